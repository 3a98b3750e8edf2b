//! Where the mover of a claim may run: where the claim is in use, on the node that its volume is bound to, and beside the taints that its application takes.

use super::MoverPlace;
use crate::{
    effects::workloads,
    error::{Error, ErrorContext as _, Result},
    sites::list_all,
    volume_nodes::nodes_of,
};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Toleration};
use kube::{Api, Client, ResourceExt as _};
use p861_core::objects::{self, Runner};
use serde_json::{Value, json};

/// Taint of a cordoned node.
const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

/// Where a mover may run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The only node that can mount the claim: a pod there has it, or its volume is there.
    pub node: Option<String>,
    /// The node is only the best: a snapshot of the claim can be mounted elsewhere, if the storage can be reached from there.
    pub node_is_preferred: bool,
    /// Taints that it takes: those that the pods of the claim take, and the cordon of its node.
    pub tolerations: Vec<Toleration>,
}

impl Placement {
    fn tolerate(&mut self, more: impl IntoIterator<Item = Toleration>) {
        for toleration in more {
            if !self.tolerations.contains(&toleration) {
                self.tolerations.push(toleration);
            }
        }
    }

    /// It must run on this node. The data is there, cordoned or not: a cordon keeps new work away, and this work can be nowhere else.
    fn bind(&mut self, node: String) {
        self.node = Some(node);
        let (key, operator, effect) = (Some(UNSCHEDULABLE_TAINT.into()), Some("Exists".into()), Some("NoSchedule".into()));
        self.tolerate([Toleration { key, operator, effect, ..Toleration::default() }]);
    }

    /// The node that the mover runs on: it must, or it had better.
    pub fn affinity(&self) -> Option<Value> {
        let node = self.node.as_ref()?;
        let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
        Some(if self.node_is_preferred {
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": term}]}})
        } else {
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}})
        })
    }
}

/// Where the mover of a claim may run.
///
/// # Errors
/// If the API server can't be read.
pub async fn placement(client: &Client, place: &MoverPlace<'_>) -> Result<Placement> {
    let Some(claim) = place.claim else { return Ok(Placement::default()) };
    // Pods say where the claim is in use. While they are stopped, as in a restore, what makes them says which taints of their node they take.
    let found = workloads::list(client, place.namespace, Runner::ALL).await?;
    let mut placement = Placement { node_is_preferred: place.snapshot.is_some(), ..among(&found, claim)? };
    if placement.node.is_none()
        && let Some(node) = only_node(client, place.namespace, claim).await?
    {
        placement.bind(node);
    }
    Ok(placement)
}

/// Where the claim is in use, and which taints whatever uses it takes, of every kind that runs pods.
fn among(found: &[Value], claim: &str) -> Result<Placement> {
    let mut placement = Placement::default();
    let claims = [claim.to_owned()];
    let is_ending = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some();
    for object in found.iter().filter(|object| !is_ending(object) && !objects::has_ended(object) && objects::uses(object, &claims)) {
        let Some(pods) = objects::pod_spec(object) else { continue };
        placement.tolerate(tolerations(pods)?);
        let node = pods.get("nodeName").and_then(Value::as_str).filter(|node| !node.is_empty() && Runner::of(object) == Some(Runner::Pod));
        if let Some(node) = node.filter(|_| placement.node.is_none()) {
            placement.bind(node.to_owned());
        }
    }
    Ok(placement)
}

fn tolerations(pods: &Value) -> Result<Vec<Toleration>> {
    let Some(tolerations) = pods.get("tolerations") else { return Ok(Vec::new()) };
    serde_json::from_value(tolerations.clone()).map_err(|error| Error::Internal(format!("tolerations can't be read: {error}")))
}

/// The only node that can mount the claim's volume; none if it has none yet, or several can.
async fn only_node(client: &Client, namespace: &str, claim: &str) -> Result<Option<String>> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let found = claims.get_opt(claim).await.context(|| format!("read claim {namespace}/{claim}"))?;
    let Some(name) = found.and_then(|found| found.spec?.volume_name) else { return Ok(None) };
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = volumes.get_opt(&name).await.context(|| format!("read PersistentVolume {name} of claim {namespace}/{claim}"))?;
    let Some(volume) = volume.filter(|volume| volume.spec.as_ref().is_some_and(|spec| spec.node_affinity.is_some())) else { return Ok(None) };
    let nodes = list_all(&Api::<Node>::all(client.clone()), || "the nodes".into()).await?;
    Ok(match nodes_of(&volume, &nodes).as_deref() {
        Some([only]) => Some(only.name_any()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object that runs pods with this claim and these tolerations.
    fn runner(kind: Runner, claim: &str, tolerated: &[&str]) -> Value {
        let tolerations: Vec<Value> = tolerated.iter().map(|key| json!({"key": key, "operator": "Exists"})).collect();
        let pods = json!({"containers": [], "tolerations": tolerations, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]});
        let spec = match kind {
            Runner::Pod => pods,
            Runner::CronJob => json!({"jobTemplate": {"spec": {"template": {"spec": pods}}}}),
            _ => json!({"template": {"spec": pods}}),
        };
        let (group, version, kind, _) = kind.names();
        let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec})
    }

    fn pod(node: Option<&str>, claim: &str, phase: &str, tolerated: &[&str]) -> Value {
        let mut pod = runner(Runner::Pod, claim, tolerated);
        pod["spec"]["nodeName"] = json!(node);
        pod["status"] = json!({"phase": phase});
        pod
    }

    fn keys(placement: &Placement) -> Vec<&str> {
        placement.tolerations.iter().filter_map(|toleration| toleration.key.as_deref()).collect()
    }

    #[test]
    fn fault_d5_a_mover_runs_where_the_claim_is_in_use_whatever_taints_that_node_has() {
        let (running, cordoned) = ("Running", UNSCHEDULABLE_TAINT);
        let mut ending = pod(Some("n1"), "data", running, &["x"]);
        ending["metadata"]["deletionTimestamp"] = json!("2026-11-15T00:00:00Z");
        for (name, pods, node, tolerated) in [
            ("nobody uses it", vec![pod(Some("n1"), "other", running, &["database"])], None, vec![]),
            ("on a node", vec![pod(Some("n1"), "data", running, &[])], Some("n1"), vec![cordoned]),
            ("on a tainted node", vec![pod(Some("n1"), "data", running, &["database", "gpu"])], Some("n1"), vec!["database", "gpu", cordoned]),
            ("by two", vec![pod(None, "data", "Pending", &["x"]), pod(Some("n2"), "data", running, &["x", "y"])], Some("n2"), vec!["x", "y", cordoned]),
            ("by one that has ended", vec![pod(Some("gone"), "data", "Succeeded", &["x"])], None, vec![]),
            ("by one that is being deleted", vec![ending], None, vec![]),
        ] {
            let placement = among(&pods, "data").unwrap();
            assert_eq!((placement.node.as_deref(), keys(&placement)), (node, tolerated), "{name}");
        }
    }

    #[test]
    fn fault_d5_a_mover_takes_the_taints_that_a_stopped_application_takes_whatever_kind_it_is() {
        for kind in Runner::ALL {
            let found = [runner(kind, "data", &["database"]), runner(kind, "other", &["gpu"])];
            let placement = among(&found, "data").unwrap();
            assert_eq!((placement.node.as_deref(), keys(&placement)), (None, vec!["database"]), "{kind:?}");
        }
        // The claims of a stopped set are known by their names.
        let mut set = runner(Runner::StatefulSet, "shared", &["database"]);
        set["metadata"]["name"] = json!("postgres");
        set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}}]);
        for (claim, uses) in [("data-postgres-0", true), ("data-postgres-12", true), ("shared", true), ("data-postgres-x", false), ("data-mysql-0", false)] {
            assert_eq!(!keys(&among(std::slice::from_ref(&set), claim).unwrap()).is_empty(), uses, "{claim}");
        }
    }

    #[tokio::test]
    async fn fault_d5_the_mover_of_a_volume_that_only_one_node_has_runs_there_also_if_it_is_cordoned_and_no_pod_is_there() {
        for (hosts, bound) in [(&["n1"][..], Some("n1")), (&["n1", "n2"], None), (&["gone"], None)] {
            let client = site(hosts);
            let site = p861_core::runs::Scope::of_city("p861", ["west"]).site(&"west".into()).unwrap();
            let place = MoverPlace { site: &site, namespace: "n", claim: Some("data"), snapshot: None, namespaces: &[] };
            let placement = placement(&client, &place).await.unwrap();
            let cordon = if bound.is_some() { vec![UNSCHEDULABLE_TAINT] } else { vec![] };
            assert_eq!((placement.node.as_deref(), keys(&placement)), (bound, cordon), "{hosts:?}");
            assert_eq!(placement.affinity().is_some(), bound.is_some(), "{hosts:?}");
        }
    }

    /// A site of two nodes, without workloads, with a claim whose volume these nodes can mount.
    fn site(hosts: &'static [&'static str]) -> Client {
        let answer = move |request: http::Request<kube::client::Body>| async move {
            let node = |name: &str| json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
            let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": hosts}]});
            let document = match request.uri().path() {
                "/api/v1/namespaces/n/persistentvolumeclaims/data" => {
                    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"volumeName": "pv"}})
                }
                "/api/v1/persistentvolumes/pv" => {
                    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}})
                }
                "/api/v1/nodes" => json!({"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": [node("n1"), node("n2")]}),
                _ => json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []}),
            };
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(document.to_string().into_bytes())))
        };
        Client::new(tower::service_fn(answer), "default")
    }
}
