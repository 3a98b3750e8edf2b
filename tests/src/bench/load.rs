//! The load: many small objects.

use p861_testbed::bed::{BedError, Result, Site};
use p861_testbed::report::{Report, seconds};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config,
    api::{ListParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Writes at a time.
const WRITES: usize = 16;
/// How often a person is told how far it is.
const TELL: Duration = Duration::from_secs(5);
/// What the objects are known by.
const LABEL: &str = "bench";
/// Bytes of an object's data.
pub const BYTES: usize = 1024;

/// A client of a site, as its administrator.
pub async fn client(site: &Site) -> Result<Client> {
    let wrong = |error: &dyn std::fmt::Display| BedError::Refused(format!("{}: {error}", site.kubeconfig().display()));
    let kubeconfig = Kubeconfig::read_from(site.kubeconfig()).map_err(|error| wrong(&error))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|error| wrong(&error))?;
    Client::try_from(config).map_err(|error| wrong(&error))
}

/// Creates so many ConfigMaps. Gives how long it took.
pub async fn create(client: &Client, namespace: &str, count: u64, report: &Report) -> Result<Duration> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let (begun, mut told, mut done) = (Instant::now(), Instant::now(), 0_u64);
    let nothing = PostParams::default();
    let writes = stream::iter(0..count).map(|number| {
        let (api, nothing) = (&api, &nothing);
        async move {
            api.create(nothing, &config_map(number)).await.map_err(|error| BedError::Refused(format!("create ConfigMap {number} in {namespace}: {error}")))
        }
    });
    let mut writes = writes.buffer_unordered(WRITES);
    while writes.try_next().await?.is_some() {
        done += 1;
        if told.elapsed() >= TELL {
            told = Instant::now();
            report.line(&progress(done, count, begun.elapsed()));
        }
    }
    Ok(begun.elapsed())
}

fn progress(done: u64, count: u64, elapsed: Duration) -> String {
    let left = elapsed.mul_f64(share(count - done, done.max(1)));
    format!("  {done} of {count} ConfigMaps, about {} left", seconds(left))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn config_map(number: u64) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("entry-{number:06}")),
            labels: Some(BTreeMap::from([("app".to_owned(), LABEL.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("entry".to_owned(), noise(number))])),
        ..ConfigMap::default()
    }
}

/// Hexadecimal digits, others for each number: what repeats would be stored once, and make a backup look quicker than it is.
fn noise(number: u64) -> String {
    let mut text = String::with_capacity(BYTES);
    // SplitMix64.
    let mut state = number.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(1);
    while text.len() < BYTES {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // Writing to a String cannot fail.
        let _ = write!(text, "{:016x}", word ^ (word >> 31));
    }
    text
}

/// Compares the namespace's ConfigMaps with those that were created: all there, each with its data.
pub async fn compare(client: &Client, namespace: &str, count: u64) -> Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let (mut token, mut found, mut differ) = (None, 0_u64, Vec::new());
    loop {
        let page = ListParams { limit: Some(500), continue_token: token.take(), ..ListParams::default().labels(&format!("app={LABEL}")) };
        let list = api.list(&page).await.map_err(|error| BedError::Refused(format!("list the ConfigMaps of {namespace}: {error}")))?;
        for map in list.items {
            found += 1;
            let name = map.metadata.name.unwrap_or_default();
            let number = name.strip_prefix("entry-").and_then(|digits| digits.parse().ok()).filter(|number| *number < count);
            if number.is_none_or(|number| map.data != config_map(number).data) && differ.len() < 5 {
                differ.push(name);
            }
        }
        token = list.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    if found == count && differ.is_empty() {
        return Ok(());
    }
    Err(BedError::Refused(format!("namespace {namespace} has {found} of {count} ConfigMaps; with other data: {differ:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_a_kibibyte_of_data_and_no_two_the_same() {
        let texts: std::collections::BTreeSet<String> = (0..2000).map(noise).collect();
        assert_eq!(texts.len(), 2000);
        assert!(texts.iter().all(|text| text.len() == BYTES));
    }

    #[test]
    fn a_person_is_told_how_long_it_still_takes() {
        assert_eq!(progress(10_000, 30_000, Duration::from_secs(20)), "  10000 of 30000 ConfigMaps, about 40 s left");
    }
}
