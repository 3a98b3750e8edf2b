//! What the API servers themselves take for the same objects, measured in the same run: no backup and no restore can be quicker.

use super::load::{self, PAGE_SIZE, bytes_of, config_maps, path};
use super::{failed, figures::in_seconds};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    core::Request,
};
use p861_testbed::bed::{BedError, Result, Site};
use p861_testbed::report::{Report, seconds};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The namespace that objects are created in for nothing but this.
const NAMESPACE: &str = "bench-limit";
/// How long its removal may take.
const REMOVAL_LIMIT: Duration = Duration::from_mins(15);
const REMOVAL_INTERVAL: Duration = Duration::from_secs(1);
/// The continue token of a list stands so far from its beginning at most, before the first item.
const HEAD_BYTES: usize = 4096;

/// How long the same work takes without us: measured before our own, and once more after it. The quicker one is the limit.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// Before.
    pub before_seconds: f64,
    /// After.
    pub after_seconds: f64,
    /// The quicker of both.
    pub seconds: f64,
}

impl Limit {
    /// Of two measurements.
    pub fn of(before: Duration, after: Duration) -> Self {
        Self { before_seconds: in_seconds(before), after_seconds: in_seconds(after), seconds: in_seconds(before.min(after)) }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s (before {} s, after {} s; the quicker one counts)", self.seconds, self.before_seconds, self.after_seconds)
    }
}

/// Lists the load in pages, one after the other over one connection, and decodes nothing of them.
pub async fn list(site: &Site, namespace: &str, objects: u64, report: &Report) -> Result<Duration> {
    let client = load::client(site).await?;
    let (begun, mut bytes) = (Instant::now(), 0);
    for path in [path::<ConfigMap>(namespace), path::<Deployment>(namespace)] {
        let (what, request) = (format!("list {path}"), Request::new(&path));
        let mut token = None;
        loop {
            let page = ListParams { limit: Some(PAGE_SIZE), continue_token: token.take(), ..ListParams::default() };
            let page = bytes_of(&client, &what, request.list(&page).map_err(|error| failed(&what)(&error))?).await?;
            bytes += page.as_ref().len() as u64;
            token = continue_token(page.as_ref());
            if token.is_none() {
                break;
            }
        }
    }
    let took = begun.elapsed();
    let least = config_maps(objects) * load::BYTES as u64;
    if bytes < least {
        return Err(BedError::Refused(format!("the lists of {namespace} have {bytes} bytes; the data of its ConfigMaps alone have {least}")));
    }
    report.line(&format!("A bare paged LIST of them over one connection took {}.", seconds(took)));
    Ok(took)
}

/// The token in the head of a list; none on its last page.
fn continue_token(page: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&page[..page.len().min(HEAD_BYTES)]);
    let (metadata, _) = head.split_once(r#""items":"#)?;
    let (token, _) = metadata.split_once(r#""continue":""#)?.1.split_once('"')?;
    (!token.is_empty()).then(|| token.to_owned())
}

/// Creates the load in a fresh namespace, which is removed afterwards.
pub async fn creates(site: &Site, client: &Client, objects: u64, report: &Report) -> Result<Duration> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace { metadata: ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() }, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await.map_err(|error| failed(format!("create namespace {NAMESPACE}"))(&error))?;
    report.line(&format!("Creating {objects} objects, bare, over {} connections …", load::CONNECTIONS));
    let took = load::create(site, NAMESPACE, objects, report).await?;
    report.line(&format!("Creating them took {}. Removing them again …", seconds(took)));
    remove(&namespaces).await?;
    Ok(took)
}

async fn remove(namespaces: &Api<Namespace>) -> Result<()> {
    let what = format!("remove namespace {NAMESPACE}");
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.map_err(|error| failed(&what)(&error))?;
    let begun = Instant::now();
    loop {
        match namespaces.get_opt(NAMESPACE).await {
            Ok(None) => return Ok(()),
            Ok(Some(left)) if begun.elapsed() > REMOVAL_LIMIT => {
                let last_seen = format!("{:?}", left.status.and_then(|status| status.conditions));
                return Err(BedError::NotSo { what: format!("namespace {NAMESPACE} is gone"), limit: REMOVAL_LIMIT, last_seen });
            }
            Ok(Some(_)) => tokio::time::sleep(REMOVAL_INTERVAL).await,
            Err(error) => return Err(failed(&what)(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_next_page_is_found_without_decoding_and_only_before_the_items() {
        let page =
            |metadata: &str| format!(r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{metadata},"items":[{{"data":{{"continue":"not this"}}}}]}}"#);
        for (metadata, token) in [
            (r#"{"resourceVersion":"7","continue":"eyJ2Ijo","remainingItemCount":5}"#, Some("eyJ2Ijo")),
            (r#"{"resourceVersion":"7","continue":""}"#, None),
            (r#"{"resourceVersion":"7"}"#, None),
        ] {
            assert_eq!(continue_token(page(metadata).as_bytes()).as_deref(), token, "{metadata}");
        }
        assert_eq!(continue_token(b"{}"), None);
    }

    #[test]
    fn the_limit_is_the_quicker_of_both_measurements() {
        let limit = Limit::of(Duration::from_millis(2_350), Duration::from_millis(2_100));
        assert_eq!(limit.to_string(), "2.1 s (before 2.35 s, after 2.1 s; the quicker one counts)");
    }
}
