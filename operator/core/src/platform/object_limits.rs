//! The quota of a district's namespace on the hub: how many objects of our kinds it may have.

use crate::quantity::Quantity;
use p861_crds::{names::GROUP, platform::district::ObjectLimits};
use std::collections::BTreeMap;

/// Name of the ResourceQuota.
pub const QUOTA_NAME: &str = "p861-objects";

/// The quota's `spec.hard`: `count/<plural>.<group>` of each kind.
pub fn hard(limits: &ObjectLimits) -> BTreeMap<String, String> {
    // Every field is a kind, by its plural in camel case: a kind that is added there is counted here.
    let fields = serde_json::to_value(limits).unwrap_or_default();
    let fields = fields.as_object().cloned().unwrap_or_default();
    fields.into_iter().map(|(plural, limit)| (format!("count/{}.{GROUP}", plural.to_lowercase()), limit.to_string())).collect()
}

/// Whether a quota's amounts are as wanted. The API server writes 5000 as `5k`.
pub fn is_as_wanted<'a>(there: impl IntoIterator<Item = (&'a String, &'a String)>, wanted: &BTreeMap<String, String>) -> bool {
    let there: BTreeMap<&String, &String> = there.into_iter().collect();
    let same = |a: &str, b: &str| a == b || matches!((Quantity::parse(a), Quantity::parse(b)), (Ok(a), Ok(b)) if a == b);
    there.len() == wanted.len() && wanted.iter().all(|(name, amount)| there.get(name).is_some_and(|found| same(found, amount)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e10_every_kind_of_a_districts_namespace_has_a_limit_to_its_number() {
        let hard = hard(&ObjectLimits::default());
        let mut namespaced = Vec::new();
        for document in p861_crds::generate::definitions().iter().filter(|document| document.spec.scope == "Namespaced") {
            namespaced.push(format!("count/{}.{}", document.spec.names.plural, document.spec.group));
        }
        namespaced.sort();
        assert_eq!(hard.keys().cloned().collect::<Vec<_>>(), namespaced, "ObjectLimits has a field for each kind, by its plural");
        assert!(hard.values().all(|limit| limit.parse::<u32>().is_ok_and(|limit| limit > 0)), "{hard:?}");
        assert_eq!(hard["count/backups.platform861.io"], "7000");
    }

    #[test]
    fn a_quota_is_as_wanted_however_the_server_writes_it() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned())).collect::<BTreeMap<_, _>>();
        let wanted = map(&[("count/a", "5000"), ("count/b", "2")]);
        for (there, same) in [
            (map(&[("count/a", "5k"), ("count/b", "2")]), true),
            (map(&[("count/a", "5001"), ("count/b", "2")]), false),
            (map(&[("count/a", "5k")]), false),
            (map(&[("count/a", "5k"), ("count/b", "2"), ("pods", "1")]), false),
        ] {
            assert_eq!(is_as_wanted(&there, &wanted), same, "{there:?}");
        }
    }
}
