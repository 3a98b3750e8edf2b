//! Claims on nodes that don't run: no mover could read or write them until its deadline.

use k8s_openapi::api::core::v1::{Node, PersistentVolume, Pod};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::{
    ids::SiteName,
    protection::readable::{ClaimState, DownNode},
};
use p861_runs::{
    error::{ErrorContext as _, Result},
    sites::{for_each, list_all},
    volume_nodes::{is_ready, nodes_of},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Notes which claims only nodes that are down could mount. Where all nodes are Ready, nothing more is read.
///
/// # Errors
/// If the site can't be read.
pub async fn note_down(client: &Client, site: &SiteName, states: &mut HashMap<String, Vec<ClaimState>>) -> Result<()> {
    let nodes = list_all(&Api::<Node>::all(client.clone()), || format!("the nodes of {site}")).await?;
    let down: BTreeSet<String> = nodes.iter().filter(|node| !is_ready(node)).map(kube::ResourceExt::name_any).collect();
    if down.is_empty() {
        return Ok(());
    }
    let bound: BTreeSet<String> = states.values().flatten().filter_map(|state| state.volume.clone()).collect();
    let mut lost: BTreeMap<String, String> = BTreeMap::new();
    let note = |volume: PersistentVolume| {
        if bound.contains(&volume.name_any()) {
            lost.extend(all_down(&volume, &nodes).map(|node| (volume.name_any(), node)));
        }
    };
    for_each(&Api::<PersistentVolume>::all(client.clone()), ListParams::default(), || format!("the volumes of {site}"), note).await?;
    for (namespace, states) in states {
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let pods = pods.list(&ListParams::default()).await.context(|| format!("list the pods of {namespace} on {site}"))?.items;
        for state in states {
            let of_volume = state.volume.as_ref().and_then(|volume| lost.get(volume)).cloned().map(DownNode::HasVolume);
            state.node_down = of_volume.or_else(|| held_on_down(state, &pods, &down));
        }
    }
    Ok(())
}

/// The node that has the volume, if it is down; of several that could mount it, the first, if all are.
fn all_down(volume: &PersistentVolume, nodes: &[Node]) -> Option<String> {
    let able = nodes_of(volume, nodes)?;
    let first = able.first()?.name_any();
    able.iter().all(|node| !is_ready(node)).then_some(first)
}

/// The pod on a node that is down that has a claim which no other node can have meanwhile. One that is being deleted gives it back in a while.
fn held_on_down(state: &ClaimState, pods: &[Pod], down: &BTreeSet<String>) -> Option<DownNode> {
    if state.shared {
        return None;
    }
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && super::uses(pod, &state.claim.name)).find_map(|pod| {
        let node = pod.spec.as_ref()?.node_name.clone().filter(|node| down.contains(node))?;
        Some(DownNode::HasPod { node, pod: pod.name_any() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, ready: &str) -> Node {
        let document =
            json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        serde_json::from_value(document).expect("a node")
    }

    #[test]
    fn fault_d5_a_claim_whose_node_is_down_is_named_with_the_node() {
        let nodes = [node("up", "True"), node("off", "Unknown"), node("ill", "False")];
        for (on, expected) in [(&["up"][..], None), (&["off"], Some("off")), (&["off", "ill"], Some("off")), (&["off", "up"], None), (&["gone"], None)] {
            let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": on}]});
            let volume: PersistentVolume =
                serde_json::from_value(json!({"metadata": {"name": "pv"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}}))
                    .expect("a volume");
            assert_eq!(all_down(&volume, &nodes).as_deref(), expected, "{on:?}");
        }
        let down: BTreeSet<String> = ["off".to_owned()].into();
        let pod = |node: &str, claim: &str, more: serde_json::Value| -> Pod {
            let mut document = json!({"metadata": {"name": "db-0"}, "status": {"phase": "Running"},
                "spec": {"nodeName": node, "containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}});
            document["metadata"].as_object_mut().expect("metadata").extend(more.as_object().cloned().unwrap_or_default());
            serde_json::from_value(document).expect("a pod")
        };
        let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}});
        let state = super::super::claim_state("n", &serde_json::from_value(claim.clone()).expect("a claim"));
        let mut of_many = claim;
        of_many["spec"]["accessModes"] = json!(["ReadWriteMany"]);
        let shared = super::super::claim_state("n", &serde_json::from_value(of_many).expect("a claim"));
        let held = Some(DownNode::HasPod { node: "off".into(), pod: "db-0".into() });
        let ending = json!({"deletionTimestamp": "2026-11-15T00:00:00Z"});
        for (case, state, pod, expected) in [
            ("on the node that is off", &state, pod("off", "data", json!({})), held),
            ("on one that runs", &state, pod("up", "data", json!({})), None),
            ("with another claim", &state, pod("off", "other", json!({})), None),
            ("being deleted", &state, pod("off", "data", ending), None),
            ("of a claim that several nodes may have", &shared, pod("off", "data", json!({})), None),
        ] {
            assert_eq!(held_on_down(state, &[pod], &down), expected, "{case}");
        }
    }
}
