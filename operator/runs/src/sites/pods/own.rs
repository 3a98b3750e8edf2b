//! Whose a pod is. A selector says nothing of that: whoever writes a workload or a Service lets it select what he likes, the pods of movers among it.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use p861_crds::{WorkloadKind, WorkloadReference, names::ROLE_LABEL};

/// How the accounts of movers begin.
const MOVER_ACCOUNT: &str = "p861-run-";
/// Label of the pods of a Deployment's ReplicaSet, with which the name of that ReplicaSet ends.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Whether a pod is one of ours on a site: a mover, or what a copy has for its isolation. In these are the keys of a repository and ways out: no command runs in them,
/// and no port of theirs is forwarded, for anybody. Only the operator gives a pod the label or the account; one of them is enough.
pub fn is_platforms(pod: &Pod) -> bool {
    let mut accounts = pod.spec.iter().flat_map(|spec| [&spec.service_account_name, &spec.service_account]).flatten();
    pod.labels().contains_key(ROLE_LABEL) || accounts.any(|account| account.starts_with(MOVER_ACCOUNT))
}

/// Whether the workload, which has this UID, controls the pod.
///
/// Between a Deployment and its pods are ReplicaSets. They are known by the name that the cluster gives them, the Deployment's with the hash of the template: to ask
/// for them by UID would be one more request for each check. Who forges such an owner makes the pod himself, and what is run for him runs in a pod of his own.
pub fn controls(workload: &WorkloadReference, uid: Option<&str>, pod: &Pod) -> bool {
    let Some(owner) = pod.owner_references().iter().find(|owner| owner.controller == Some(true)) else { return false };
    if !owner.api_version.starts_with("apps/") {
        return false;
    }
    let is_it = |kind: &str| owner.kind == kind && uid == Some(owner.uid.as_str()) && !owner.uid.is_empty();
    match workload.kind {
        WorkloadKind::Deployment => {
            let hash = pod.labels().get(TEMPLATE_HASH).filter(|hash| !hash.is_empty());
            owner.kind == "ReplicaSet" && hash.is_some_and(|hash| owner.name == format!("{}-{hash}", workload.name))
        }
        WorkloadKind::StatefulSet => is_it("StatefulSet"),
        WorkloadKind::DaemonSet => is_it("DaemonSet"),
    }
}
