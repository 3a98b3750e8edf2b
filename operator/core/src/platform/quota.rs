//! Divides a department's quota over its namespaces, since Kubernetes has quotas per namespace only.

use super::supply::amount;
use crate::quantity::Quantity;
use p861_crds::platform::profile::DemandResource;

/// The unit that a resource of a ResourceQuota is counted in: thousandths for cores, whole ones for all others.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "`requests.cpu` is no file")]
fn unit(resource: &str) -> DemandResource {
    if resource == "cpu" || resource.ends_with(".cpu") { DemandResource::Cpu } else { DemandResource::Pods }
}

/// A quantity of a resource of a ResourceQuota.
pub fn read(resource: &str, text: &str) -> Option<i64> {
    amount(unit(resource), text)
}

/// Writes an amount of a resource, exactly.
pub fn write(resource: &str, amount: i64) -> String {
    match unit(resource) {
        DemandResource::Cpu if amount % 1000 == 0 => (amount / 1000).to_string(),
        DemandResource::Cpu => format!("{amount}m"),
        _ if amount != 0 && amount % (1 << 30) == 0 => format!("{}Gi", amount >> 30),
        _ if amount != 0 && amount % (1 << 20) == 0 => format!("{}Mi", amount >> 20),
        _ => amount.to_string(),
    }
}

/// Divides `total` over namespaces by current use: each keeps its use, and the free rest is divided evenly. The sum never exceeds `total`.
/// If the use exceeds `total`, each namespace is limited to its current use: running pods stay, and no new ones can start.
pub fn divide(total: i64, used: &[i64]) -> Vec<i64> {
    let used: Vec<i64> = used.iter().map(|used| (*used).max(0)).collect();
    let sum = used.iter().fold(0_i64, |sum, used| sum.saturating_add(*used));
    let Ok(count) = i64::try_from(used.len()) else { return used };
    if count == 0 || total <= sum {
        return used;
    }
    let free = total - sum;
    let (share, rest) = (free / count, free % count);
    used.iter().zip(0_i64..).map(|(used, index)| used + share + i64::from(index < rest)).collect()
}

/// What a list of quantities sums to, in a resource's unit.
pub fn sum<'a>(resource: &str, texts: impl IntoIterator<Item = &'a str>) -> i64 {
    texts.into_iter().filter_map(|text| Quantity::parse(text).ok().and_then(|_| read(resource, text))).fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_is_written_as_kubernetes_reads_it() {
        for (resource, text, written) in [
            ("requests.cpu", "40", "40"),
            ("limits.cpu", "1500m", "1500m"),
            ("requests.memory", "120Gi", "120Gi"),
            ("requests.memory", "1.5Gi", "1536Mi"),
            ("pods", "200", "200"),
            ("requests.storage", "0", "0"),
        ] {
            assert_eq!(read(resource, text).map(|amount| write(resource, amount)).as_deref(), Some(written), "{resource} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_more_is_granted_than_there_is_and_nobody_gets_less_than_he_uses(total in 0_i64..1_000_000, used in prop::collection::vec(0_i64..100_000, 1..20)) {
            let shares = divide(total, &used);
            let sum: i64 = used.iter().sum();
            prop_assert_eq!(shares.iter().sum::<i64>(), total.max(sum));
            for (share, used) in shares.iter().zip(&used) {
                prop_assert!(share >= used);
            }
        }

        #[test]
        fn what_is_written_is_read_again(amount in 0_i64..1_000_000_000_000_000) {
            for resource in ["requests.cpu", "requests.memory", "pods"] {
                prop_assert_eq!(read(resource, &write(resource, amount)), Some(amount));
            }
        }
    }
}
