//! Finding an application in a namespace: workloads, the order they depend on each other in, their data. What only a person knows is marked TODO.

mod cluster;
mod data;
mod draft;
mod order;
mod tell;

pub use draft::{draft, manifest};
pub use tell::remarks;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::{ConfigMap, PersistentVolumeClaim, PodTemplateSpec, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::protection::volumes::is_of_run;
use std::collections::{BTreeMap, BTreeSet};

/// ConfigMaps that are read at the same time.
const PARALLEL_READS: usize = 8;
/// The Service that an EndpointSlice is of.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A workload that was found.
#[derive(Clone, Debug)]
struct Workload {
    kind: &'static str,
    name: String,
    labels: BTreeMap<String, String>,
    template: PodTemplateSpec,
    /// Names or patterns of the claims that its pods use.
    claims: Vec<String>,
    /// References to other workloads in its containers' environment.
    words: Vec<order::Words>,
}

/// A claim that was found.
#[derive(Clone, Debug)]
struct Claim {
    name: String,
    size: Option<String>,
}

/// Findings.
#[derive(Clone, Debug, Default)]
pub struct Found {
    workloads: Vec<Workload>,
    /// Indexes of workloads, those that others call first.
    tiers: Vec<Vec<usize>>,
    services: Vec<Service>,
    /// Services behind which something is ready; none if that may not be read.
    answering: Option<BTreeSet<String>>,
    claims: Vec<Claim>,
    /// ConfigMaps that workloads name and that may not be read.
    unread_maps: Vec<String>,
    /// What it needs of the whole cluster.
    of_cluster: cluster::OfCluster,
}

impl Found {
    /// Whether nothing runs there.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty()
    }

    fn of(mut workloads: Vec<Workload>, services: Vec<Service>, maps: &[ConfigMap], claims: Vec<Claim>) -> Self {
        for workload in &mut workloads {
            workload.words = order::words(&workload.template, maps);
        }
        let tiers = order::tiers(&workloads, &services);
        Self { workloads, tiers, services, claims, ..Self::default() }
    }
}

/// Looks into a namespace. Secrets are not read.
pub async fn look(client: &Client, namespace: &str) -> kube::Result<Found> {
    let every = ListParams::default();
    let mut workloads = Vec::new();
    for found in Api::<StatefulSet>::namespaced(client.clone(), namespace).list(&every).await? {
        let (name, spec) = (found.name_any(), found.spec.unwrap_or_default());
        let claims = spec.volume_claim_templates.iter().flatten().map(|claim| format!("{}-{name}-*", claim.name_any())).collect();
        workloads.push(workload("StatefulSet", name, spec.template, claims));
    }
    for found in Api::<Deployment>::namespaced(client.clone(), namespace).list(&every).await? {
        let (name, spec) = (found.name_any(), found.spec.unwrap_or_default());
        workloads.push(workload("Deployment", name, spec.template, Vec::new()));
    }
    for found in Api::<DaemonSet>::namespaced(client.clone(), namespace).list(&every).await? {
        let (name, spec) = (found.name_any(), found.spec.unwrap_or_default());
        workloads.push(workload("DaemonSet", name, spec.template, Vec::new()));
    }
    let services = Api::<Service>::namespaced(client.clone(), namespace).list(&every).await?.items;
    let (maps, unread_maps) = maps_of(client, namespace, &workloads).await?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace).list(&every).await?.items;
    let size = |claim: &PersistentVolumeClaim| claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage").map(|size| size.0.clone());
    let claims = claims.iter().filter(|claim| !is_of_run(claim.labels())).map(|claim| Claim { name: claim.name_any(), size: size(claim) }).collect();
    let answering = answering(client, namespace).await?;
    let mut found = Found { answering, unread_maps, ..Found::of(workloads, services, &maps, claims) };
    if !found.is_empty() {
        found.of_cluster = cluster::look(client, namespace, &found).await?;
    }
    Ok(found)
}

/// The Services of a namespace behind which something is ready; none if that may not be read.
async fn answering(client: &Client, namespace: &str) -> kube::Result<Option<BTreeSet<String>>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    match slices.list(&ListParams::default()).await {
        Ok(slices) => Ok(Some(slices.items.iter().filter(|slice| has_ready(slice)).filter_map(|slice| slice.labels().get(SERVICE_LABEL).cloned()).collect())),
        Err(kube::Error::Api(status)) if matches!(status.code, 403..=405) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether something in it is ready. What doesn't say so counts as ready.
fn has_ready(slice: &EndpointSlice) -> bool {
    let is_ready = |ready: Option<bool>| ready.unwrap_or(true);
    slice.endpoints.iter().flatten().any(|endpoint| is_ready(endpoint.conditions.as_ref().and_then(|conditions| conditions.ready)))
}

/// The ConfigMaps that the workloads name, and the names of those that may not be read. One by one: the account that the hub has on a site may not list them.
async fn maps_of(client: &Client, namespace: &str, workloads: &[Workload]) -> kube::Result<(Vec<ConfigMap>, Vec<String>)> {
    let (maps, names): (Api<ConfigMap>, BTreeSet<String>) =
        (Api::namespaced(client.clone(), namespace), workloads.iter().flat_map(|workload| order::maps_named(&workload.template)).collect());
    let reads = names.into_iter().map(|name| {
        let maps = &maps;
        async move {
            match maps.get_opt(&name).await {
                // One that is not there may be optional.
                Ok(map) => Ok((map, None)),
                Err(kube::Error::Api(status)) if status.code == 403 => Ok((None, Some(name))),
                Err(error) => Err(error),
            }
        }
    });
    let read: Vec<(Option<ConfigMap>, Option<String>)> = stream::iter(reads).buffered(PARALLEL_READS).try_collect().await?;
    let (maps, unread): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    Ok((maps.into_iter().flatten().collect(), unread.into_iter().flatten().collect()))
}

fn workload(kind: &'static str, name: String, template: PodTemplateSpec, mut claims: Vec<String>) -> Workload {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let mounted = template.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.extend(mounted.map(|claim| claim.claim_name.clone()));
    Workload { kind, name, labels, template, claims, words: Vec::new() }
}

#[cfg(test)]
mod samples {
    use super::*;
    use p861_crds::platform::application::ClusterResource;
    use serde_json::{Value, json};

    /// Three tiers: a web page that calls a server, which calls a database by a name that stands in a ConfigMap, and a directory outside.
    pub fn found() -> Found {
        let of = |app: &str, container: Value| {
            serde_json::from_value(json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}})).expect("a template")
        };
        let workloads = vec![
            workload(
                "Deployment",
                "web".into(),
                of("web", json!({"name": "web", "image": "web:1", "env": [{"name": "PEER", "value": "http://api:80/"}]})),
                vec![],
            ),
            workload(
                "Deployment",
                "api".into(),
                of(
                    "api",
                    json!({"name": "api", "image": "api:1", "env": [{"name": "LDAP_URL", "value": "ldaps://reader:s3cr3t@10.20.3.7:636"}], "envFrom": [{"configMapRef": {"name": "settings"}}]}),
                ),
                vec![],
            ),
            workload(
                "StatefulSet",
                "db".into(),
                of(
                    "db",
                    json!({"name": "postgres", "image": "library/postgres:16.4", "env": [{"name": "POSTGRES_USER", "value": "owner"}], "ports": [{"containerPort": 5432}]}),
                ),
                vec!["data-db-*".into()],
            ),
        ];
        let service = |name: &str, app: &str| {
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}})).expect("a service")
        };
        let settings = serde_json::from_value(json!({"metadata": {"name": "settings"}, "data": {"DB_HOST": "db-main"}})).expect("a map");
        let claim = |name: &str, size: &str| Claim { name: name.into(), size: Some(size.into()) };
        Found::of(workloads, vec![service("api", "api"), service("db-main", "db")], &[settings], vec![claim("data-db-0", "8Gi"), claim("attachments", "20Gi")])
    }

    /// The same, with a kind of its own and a class, as somebody sees it who may not read webhook configurations.
    pub fn with_cluster_resources() -> Found {
        let named = |group: &str, kind: &str, name: &str| ClusterResource { group: Some(group.into()), kind: kind.into(), name: name.into() };
        let proposed =
            vec![named("apiextensions.k8s.io", "CustomResourceDefinition", "carts.shop.example"), named("scheduling.k8s.io", "PriorityClass", "shop")];
        Found { of_cluster: cluster::OfCluster { proposed, unread: vec!["clusterroles".into(), "clusterrolebindings".into()] }, ..found() }
    }
}
