//! Inventory of a site, read once a minute for all its districts, since nodes and pods are many and shared.

use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        core::v1::{Container, Namespace, Node, PersistentVolumeClaim, Pod},
        networking::v1::Ingress,
        storage::v1::StorageClass,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use p861_core::platform::{
    facts::{Amounts, NodeFacts},
    quota,
};
use p861_runs::{
    error::{ErrorContext as _, Result},
    hub::is_ready,
    sites::{for_each, list_all},
};
use std::collections::{BTreeMap, BTreeSet};

/// Selects the pods that have not ended: only they use what a node and a quota have.
const ALIVE_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Inventory of a site.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Nodes with the requests of their pods.
    pub nodes: Vec<NodeFacts>,
    /// Names of StorageClasses.
    pub storage_classes: BTreeSet<String>,
    /// Names of VolumeSnapshotClasses; none if the kind isn't served.
    pub snapshot_classes: Option<BTreeSet<String>>,
    /// Bytes requested by claims, by StorageClass.
    pub claims: BTreeMap<String, i64>,
    /// Usage by namespace and ResourceQuota resource name.
    pub usage: BTreeMap<String, BTreeMap<String, i64>>,
    /// Namespaces with their labels.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// TLS Secrets that Ingresses name, by namespace.
    pub tls_secrets: BTreeMap<String, BTreeSet<String>>,
    /// ValidatingAdmissionPolicies, and whether they are bound.
    pub admission_policies: BTreeMap<String, bool>,
}

/// A resource by group, version, kind and plural.
pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// Objects of a kind that the site may not serve; none if it doesn't.
pub async fn served(client: &Client, resource: &ApiResource) -> Result<Option<Vec<DynamicObject>>> {
    match Api::<DynamicObject>::all_with(client.clone(), resource).list(&ListParams::default()).await {
        Ok(list) => Ok(Some(list.items)),
        Err(error) if p861_runs::error::is_not_found(&error) => Ok(None),
        Err(error) => Err(error).context(|| format!("list {}", resource.plural)),
    }
}

/// Reads everything, page by page: of each object only what the inventory has stays in memory.
pub async fn read(client: &Client) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    let every = ListParams::default;
    let asked = count_pods(client, &mut inventory).await?;
    let add = |node: Node| inventory.nodes.push(node_facts(&node, &asked));
    for_each(&Api::<Node>::all(client.clone()), every(), || "the nodes".into(), add).await?;
    let add = |claim: PersistentVolumeClaim| inventory.add_claim(&claim);
    for_each(&Api::<PersistentVolumeClaim>::all(client.clone()), every(), || "the claims".into(), add).await?;
    let classes = list_all(&Api::<StorageClass>::all(client.clone()), || "the storage classes".into()).await?;
    inventory.storage_classes = classes.iter().map(kube::ResourceExt::name_any).collect();
    inventory.snapshot_classes = served(client, &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshotClass", "volumesnapshotclasses"))
        .await?
        .map(|items| items.iter().map(kube::ResourceExt::name_any).collect());
    let add = |namespace: Namespace| {
        if namespace.metadata.deletion_timestamp.is_none() {
            inventory.namespaces.insert(namespace.name_any(), namespace.metadata.labels.unwrap_or_default());
        }
    };
    for_each(&Api::<Namespace>::all(client.clone()), every(), || "the namespaces".into(), add).await?;
    let add = |ingress: Ingress| {
        let names = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten()).filter_map(|tls| tls.secret_name.clone());
        inventory.tls_secrets.entry(ingress.namespace().unwrap_or_default()).or_default().extend(names);
    };
    for_each(&Api::<Ingress>::all(client.clone()), every(), || "the ingresses".into(), add).await?;
    inventory.admission_policies = admission_policies(client).await?;
    Ok(inventory)
}

impl Inventory {
    fn add_claim(&mut self, claim: &PersistentVolumeClaim) {
        let spec = claim.spec.as_ref();
        let class = spec.and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default();
        let bytes = spec
            .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"))
            .and_then(|quantity| quota::read("requests.storage", &quantity.0))
            .unwrap_or_default();
        *self.claims.entry(class.clone()).or_default() += bytes;
        let usage = self.usage.entry(claim.namespace().unwrap_or_default()).or_default();
        *usage.entry("requests.storage".into()).or_default() += bytes;
        *usage.entry("persistentvolumeclaims".into()).or_default() += 1;
        *usage.entry(format!("{class}.storageclass.storage.k8s.io/requests.storage")).or_default() += bytes;
        *usage.entry(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims")).or_default() += 1;
    }
}

/// Adds what the pods ask for to the usage of their namespaces, and returns it by node.
///
/// Pods are the most numerous objects of a site. Those that have ended, of which a namespace of CronJobs has many more than of others, are not asked for; of the rest
/// a page is in memory at a time, and of each pod only sums stay.
async fn count_pods(client: &Client, inventory: &mut Inventory) -> Result<BTreeMap<String, Amounts>> {
    let mut asked: BTreeMap<String, Amounts> = BTreeMap::new();
    let count = |pod: Pod| {
        if !is_alive(&pod) {
            return;
        }
        let requests = |resource: &str| pod_amount(&pod, resource, false);
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) {
            *asked.entry(node).or_default() += Amounts { cpu: requests("cpu"), memory: requests("memory"), pods: 1 };
        }
        let usage = inventory.usage.entry(pod.namespace().unwrap_or_default()).or_default();
        let limits = |resource: &str| pod_amount(&pod, resource, true);
        for (resource, amount) in [
            ("pods", 1),
            ("cpu", requests("cpu")),
            ("requests.cpu", requests("cpu")),
            ("memory", requests("memory")),
            ("requests.memory", requests("memory")),
            ("limits.cpu", limits("cpu")),
            ("limits.memory", limits("memory")),
        ] {
            *usage.entry(resource.to_owned()).or_default() += amount;
        }
    };
    let alive = ListParams::default().fields(ALIVE_PODS);
    for_each(&Api::<Pod>::all(client.clone()), alive, || "the pods".into(), count).await?;
    Ok(asked)
}

async fn admission_policies(client: &Client) -> Result<BTreeMap<String, bool>> {
    let policies = list_all(&Api::<ValidatingAdmissionPolicy>::all(client.clone()), || "the admission policies".into()).await?;
    let bindings = list_all(&Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()), || "the admission policies' bindings".into()).await?;
    let bound: BTreeSet<&str> = bindings.iter().map(|binding| binding.spec.policy_name.as_str()).collect();
    Ok(policies.iter().map(|policy| (policy.name_any(), bound.contains(policy.name_any().as_str()))).collect())
}

fn is_alive(pod: &Pod) -> bool {
    !matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

fn node_facts(node: &Node, asked: &BTreeMap<String, Amounts>) -> NodeFacts {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let offered = |resource: &str| allocatable.and_then(|map| map.get(resource)).and_then(|quantity| quota::read(resource, &quantity.0)).unwrap_or_default();
    NodeFacts {
        labels: node.labels().clone(),
        usable: is_ready(node) && !node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default(),
        allocatable: Amounts { cpu: offered("cpu"), memory: offered("memory"), pods: offered("pods") },
        requested: asked.get(&node.name_any()).copied().unwrap_or_default(),
    }
}

/// A pod's requests or limits as the scheduler counts them: the sum of its containers, or its largest init container if that is more.
fn pod_amount(pod: &Pod, resource: &str, limits: bool) -> i64 {
    let of = |map: Option<&BTreeMap<String, Quantity>>| {
        map.and_then(|map| map.get(resource)).and_then(|quantity| quota::read(resource, &quantity.0)).unwrap_or_default()
    };
    let container = |container: &Container| {
        of(container.resources.as_ref().and_then(|resources| if limits { resources.limits.as_ref() } else { resources.requests.as_ref() }))
    };
    let Some(spec) = &pod.spec else { return 0 };
    let stays = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let running: i64 = spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(stays)).map(container).sum();
    let starting = spec.init_containers.iter().flatten().filter(|c| !stays(c)).map(container).max().unwrap_or_default();
    running.max(starting) + of(spec.overhead.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use p861_runs::sites::PAGE_SIZE;
    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use std::{convert::Infallible, sync::Arc};

    /// Pods of the site, on several pages.
    const PODS: usize = 1_200;

    /// The value of a parameter of a query.
    fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// A page of pods on `node-1`; the last of each page has ended.
    fn page(query: &str) -> Value {
        let number = |name: &str| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
        let (first, limit) = (number("continue").unwrap_or_default(), number("limit").unwrap_or(PODS));
        let next = (first + limit).min(PODS);
        let pod = |number: usize| {
            let phase = if number + 1 == next { "Succeeded" } else { "Running" };
            json!({"metadata": {"name": format!("p{number}"), "namespace": "shinan-approval"}, "status": {"phase": phase},
                "spec": {"nodeName": "node-1", "containers": [{"name": "c", "resources": {"requests": {"cpu": "10m"}}}]}})
        };
        let token = if next < PODS { json!(next.to_string()) } else { Value::Null };
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": token}, "items": (first..next).map(pod).collect::<Vec<_>>()})
    }

    #[tokio::test]
    async fn fault_f8_a_look_at_a_site_asks_for_pods_that_run_page_by_page() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = asked.clone();
        let server = tower::service_fn(move |request: Request<Body>| {
            let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
            let answer = match path.as_str() {
                "/api/v1/pods" => {
                    seen.lock().push(query.clone());
                    page(&query)
                }
                "/api/v1/nodes" => json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [{"metadata": {"name": "node-1"}}]}),
                _ => json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}),
            };
            async move { Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes()))) }
        });
        let inventory = read(&Client::new(server, "default")).await.expect("it can be read");
        let asked = asked.lock().clone();
        assert_eq!(asked.len(), PODS.div_ceil(usize::try_from(PAGE_SIZE).expect("a number")), "{asked:?}");
        for query in &asked {
            let selected = parameter(query, "fieldSelector").is_some_and(|selector| selector.contains("Succeeded") && selector.contains("Failed"));
            assert!(selected && parameter(query, "limit") == Some(&PAGE_SIZE.to_string()), "{query}");
        }
        let running = i64::try_from(PODS - asked.len()).expect("a number");
        assert_eq!(inventory.nodes[0].requested.pods, running, "those that have ended use nothing");
        assert_eq!(inventory.usage["shinan-approval"]["pods"], running);
    }

    #[tokio::test]
    async fn fault_e10_scale_districts_that_look_at_a_site_at_once_read_it_once() {
        let asked: Arc<Mutex<usize>> = Arc::default();
        let counted = asked.clone();
        let server = tower::service_fn(move |request: Request<Body>| {
            *counted.lock() += usize::from(request.uri().path() == "/api/v1/nodes");
            async move {
                tokio::task::yield_now().await;
                let answer = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []});
                Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes())))
            }
        });
        let (controller, client, site) = (super::super::PlatformController::default(), Client::new(server, "default"), "primary".into());
        let looks = futures::future::join_all((0..12).map(|_| controller.inventory(&client, &site))).await;
        assert!(looks.iter().all(std::result::Result::is_ok));
        assert_eq!(*asked.lock(), 1, "each page of a reading is in memory");
    }
}
