//! The load: many small objects. One in twenty is a Deployment that wants no replicas, the others are ConfigMaps.

use p861_testbed::bed::{BedError, Result, Site};
use p861_testbed::report::{Report, seconds};

use super::failed;
use futures::future::try_join_all;
use http::{Request, StatusCode};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config, Resource, ResourceExt as _,
    api::{ListParams, PostParams},
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections that create objects side by side.
pub const CONNECTIONS: usize = 32;
/// Objects per page of a list.
pub const PAGE_SIZE: u32 = 500;
/// Bytes of a ConfigMap's data.
pub const BYTES: usize = 1024;
/// One object of so many is a Deployment.
const OBJECTS_PER_DEPLOYMENT: u64 = 20;
/// Deployments at most. A site's own controller takes in about seven new ones a second: with more of them the figures would be its figures.
const MAX_DEPLOYMENTS: u64 = 1_500;
/// How long that controller may take for all of them.
const SETTLE_LIMIT: Duration = Duration::from_mins(15);
const SETTLE_INTERVAL: Duration = Duration::from_secs(5);
/// How often a person is told how far it is.
const TELL: Duration = Duration::from_secs(5);
/// What the objects are known by.
const LABEL: &str = "bench";

/// How many of so many objects are Deployments.
pub fn deployments(objects: u64) -> u64 {
    (objects / OBJECTS_PER_DEPLOYMENT).min(MAX_DEPLOYMENTS)
}

/// How many of so many objects are ConfigMaps.
pub fn config_maps(objects: u64) -> u64 {
    objects - deployments(objects)
}

/// A client of a site, as its administrator. A client that makes one request after the other uses one connection.
pub async fn client(site: &Site) -> Result<Client> {
    let wrong = |error: &dyn std::fmt::Display| BedError::Refused(format!("{}: {error}", site.kubeconfig().display()));
    let kubeconfig = Kubeconfig::read_from(site.kubeconfig()).map_err(|error| wrong(&error))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|error| wrong(&error))?;
    Client::try_from(config).map_err(|error| wrong(&error))
}

/// Makes a request and gives the bytes of its answer, not decoded.
pub async fn bytes_of(client: &Client, what: &str, request: Request<Vec<u8>>) -> Result<impl AsRef<[u8]> + use<>> {
    let answer = client.send(request.map(Body::from)).await.map_err(|error| failed(what)(&error))?;
    let status = answer.status();
    let bytes = answer.into_body().collect_bytes().await.map_err(|error| failed(what)(&error))?;
    if matches!(status, StatusCode::OK | StatusCode::CREATED) {
        return Ok(bytes);
    }
    Err(BedError::Refused(format!("{what}: the API server answers {status}: {}", String::from_utf8_lossy(&bytes))))
}

/// Objects that are to be created: where, and as what.
struct ToCreate {
    objects: Vec<(String, Vec<u8>)>,
    /// The first that no connection has taken yet.
    next: AtomicUsize,
}

impl ToCreate {
    fn of(namespace: &str, count: u64) -> Self {
        let (maps, sets) = (path::<ConfigMap>(namespace), path::<Deployment>(namespace));
        let all_maps = (0..config_maps(count)).map(|number| (maps.clone(), config_map(number)));
        let all_sets = (0..deployments(count)).map(|number| (sets.clone(), deployment(number)));
        Self { objects: all_maps.chain(all_sets).collect(), next: AtomicUsize::new(0) }
    }

    /// Creates one after the other over one connection, until there are no more.
    async fn create(self: Arc<Self>, client: Client) -> Result<()> {
        while let Some((path, body)) = self.objects.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let what = format!("create an object at {path}");
            let request = kube::core::Request::new(path).create(&PostParams::default(), body.clone()).map_err(|error| failed(&what)(&error))?;
            bytes_of(&client, &what, request).await?;
        }
        Ok(())
    }
}

/// The path of a kind's objects in a namespace.
pub fn path<K: Resource<DynamicType = ()>>(namespace: &str) -> String {
    K::url_path(&(), Some(namespace))
}

/// Creates so many objects over [`CONNECTIONS`] connections and decodes no answer. Gives how long it took.
pub async fn create(site: &Site, namespace: &str, count: u64, report: &Report) -> Result<Duration> {
    let to_create = Arc::new(ToCreate::of(namespace, count));
    let clients = try_join_all((0..CONNECTIONS).map(|_| client(site))).await?;
    let begun = Instant::now();
    let writers = clients.into_iter().map(|client| tokio::spawn(to_create.clone().create(client)));
    let mut all = std::pin::pin!(try_join_all(writers));
    loop {
        match tokio::time::timeout(TELL, &mut all).await {
            Ok(ended) => {
                let results = ended.map_err(|error| failed(format!("create objects in {namespace}"))(&error))?;
                return results.into_iter().collect::<Result<()>>().map(|()| begun.elapsed());
            }
            Err(_) => report.line(&progress(to_create.next.load(Ordering::Relaxed), to_create.objects.len(), begun.elapsed())),
        }
    }
}

fn progress(done: usize, count: usize, elapsed: Duration) -> String {
    let left = elapsed.mul_f64(share(count.saturating_sub(done), done.max(1)));
    format!("  {} of {count} objects, about {} left", done.min(count), seconds(left))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// Waits until the site's controller has taken in the Deployments: its own writes would else fall into what is measured.
pub async fn settle(client: &Client, namespace: &str, count: u64) -> Result<()> {
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    let (wanted, begun) = (deployments(count), Instant::now());
    loop {
        let list = sets.list_metadata(&ListParams::default()).await.map_err(|error| failed(format!("list the ReplicaSets of {namespace}"))(&error))?;
        let there = list.items.len() as u64;
        if there >= wanted {
            return Ok(());
        }
        if begun.elapsed() > SETTLE_LIMIT {
            let what = format!("each of {wanted} Deployments of {namespace} has its ReplicaSet");
            return Err(BedError::NotSo { what, limit: SETTLE_LIMIT, last_seen: format!("{there} ReplicaSets") });
        }
        tokio::time::sleep(SETTLE_INTERVAL).await;
    }
}

fn name_of_map(number: u64) -> String {
    format!("entry-{number:06}")
}

fn name_of_deployment(number: u64) -> String {
    format!("standing-{number:06}")
}

fn config_map(number: u64) -> Vec<u8> {
    let metadata = json!({"name": name_of_map(number), "labels": {"app": LABEL}});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"entry": noise(number)}}).to_string().into_bytes()
}

fn deployment(number: u64) -> Vec<u8> {
    let name = name_of_deployment(number);
    let (metadata, pod) = (json!({"name": name, "labels": {"app": LABEL}}), json!({"app": LABEL, "entry": name}));
    let container = json!({"name": "nothing", "image": "localhost/p861-portal:1", "imagePullPolicy": "Never"});
    let template = json!({"metadata": {"labels": pod}, "spec": {"containers": [container]}});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": pod}, "template": template});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}).to_string().into_bytes()
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

/// Compares the namespace's objects with those that were created: all there, each ConfigMap with its data, each Deployment without replicas.
pub async fn compare(client: &Client, namespace: &str, count: u64) -> Result<()> {
    let has_its_data = |map: &ConfigMap, number: u64| map.data.as_ref().and_then(|data| data.get("entry")) == Some(&noise(number));
    compare_kind::<ConfigMap>(client, namespace, "entry-", config_maps(count), has_its_data).await?;
    let wants_none = |set: &Deployment, _| set.spec.as_ref().and_then(|spec| spec.replicas) == Some(0);
    compare_kind::<Deployment>(client, namespace, "standing-", deployments(count), wants_none).await
}

async fn compare_kind<K>(client: &Client, namespace: &str, prefix: &str, count: u64, is_good: impl Fn(&K, u64) -> bool) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let (api, kind): (Api<K>, _) = (Api::namespaced(client.clone(), namespace), K::kind(&()));
    let (mut token, mut found, mut differ) = (None, 0_u64, Vec::new());
    loop {
        let page = ListParams { limit: Some(PAGE_SIZE), continue_token: token.take(), ..ListParams::default().labels(&format!("app={LABEL}")) };
        let list = api.list(&page).await.map_err(|error| failed(format!("list each {kind} of {namespace}"))(&error))?;
        for object in list.items {
            found += 1;
            let name = object.name_any();
            let number = name.strip_prefix(prefix).and_then(|digits| digits.parse().ok()).filter(|number| *number < count);
            if !number.is_some_and(|number| is_good(&object, number)) && differ.len() < 5 {
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
    Err(BedError::Refused(format!("namespace {namespace} has {found} of {count} objects of kind {kind}; otherwise than created: {differ:?}")))
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
    fn one_object_in_twenty_is_a_deployment_at_zero_and_no_more_than_its_controller_takes_in() {
        assert_eq!([3_000, 30_000, 300_000].map(|objects| (config_maps(objects), deployments(objects))), [(2_850, 150), (28_500, 1_500), (298_500, 1_500)]);
        let all = ToCreate::of("n", 40).objects;
        let read = |(path, body): &(String, Vec<u8>)| (path.clone(), serde_json::from_slice::<serde_json::Value>(body).unwrap());
        let (first, last) = (read(&all[0]), read(&all[39]));
        assert_eq!((first.0.as_str(), &first.1["metadata"]["name"]), ("/api/v1/namespaces/n/configmaps", &json!("entry-000000")));
        assert_eq!((last.0.as_str(), &last.1["metadata"]["name"]), ("/apis/apps/v1/namespaces/n/deployments", &json!("standing-000001")));
        let read: Deployment = serde_json::from_value(last.1).unwrap();
        assert_eq!(read.spec.unwrap().replicas, Some(0));
    }

    #[test]
    fn a_person_is_told_how_long_it_still_takes() {
        assert_eq!(progress(10_000, 30_000, Duration::from_secs(20)), "  10000 of 30000 objects, about 40 s left");
        assert_eq!(progress(30_031, 30_000, Duration::from_mins(1)), "  30000 of 30000 objects, about 0.0 s left");
    }
}
