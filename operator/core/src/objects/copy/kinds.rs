//! Which kinds go into an isolated copy: those of Kubernetes that are harmless in a closed namespace, and those that the Application names. Everything else is left
//! out: whoever acts on it may stand outside the copy, and act on production's names, certificates, volumes or buckets.

use super::{group, kind};
use p861_crds::platform::application::CopyKind;
use serde_json::Value;

/// A kind that goes into every copy.
#[derive(Clone, Copy, Debug)]
pub struct HarmlessKind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Why it does no harm.
    pub why: &'static str,
}

const fn harmless(group: &'static str, kind: &'static str, why: &'static str) -> HarmlessKind {
    HarmlessKind { group, kind, why }
}

/// Pods of a kind are closed like any others.
const RUNS_PODS: &str = "its pods have no host namespace, no port and no path of their node, the copy's DNS, and the copy's policies";

/// The kinds that go into every copy. docs/SECURITY.md has the same table.
pub const HARMLESS_KINDS: &[HarmlessKind] = &[
    harmless("", "ConfigMap", "data"),
    harmless("", "Secret", "data; nobody outside is told by an annotation to carry it away"),
    harmless("", "ServiceAccount", "an account of the copy's pods, with the rights that the copy's RoleBindings give it"),
    harmless("rbac.authorization.k8s.io", "Role", "rights in the copy's namespace"),
    harmless("rbac.authorization.k8s.io", "RoleBinding", "rights in the copy's namespace"),
    harmless("", "Service", "a name and an address inside the cluster; it has no other in a copy"),
    harmless("", "Endpoints", "addresses behind a Service; the policies decide whether they are reached"),
    harmless("discovery.k8s.io", "EndpointSlice", "addresses behind a Service; the policies decide whether they are reached"),
    harmless("", "PersistentVolumeClaim", "a volume of its own, which is provisioned anew"),
    harmless("", "LimitRange", "limits of the copy's pods"),
    harmless("coordination.k8s.io", "Lease", "a lock among the copy's pods"),
    harmless("", "Pod", RUNS_PODS),
    harmless("", "PodTemplate", RUNS_PODS),
    harmless("", "ReplicationController", RUNS_PODS),
    harmless("apps", "ControllerRevision", RUNS_PODS),
    harmless("apps", "DaemonSet", RUNS_PODS),
    harmless("apps", "Deployment", RUNS_PODS),
    harmless("apps", "ReplicaSet", RUNS_PODS),
    harmless("apps", "StatefulSet", RUNS_PODS),
    harmless("batch", "CronJob", RUNS_PODS),
    harmless("batch", "Job", RUNS_PODS),
];

/// Groups whose kinds decide who may connect to whom, or give pods a network beside the cluster's. A group also means the groups below it.
const OF_NETWORKS: &[&str] = &[
    "cilium.io",
    "projectcalico.org",
    "policy.networking.k8s.io",
    "antrea.io",
    "k8s.ovn.org",
    "kubeovn.io",
    "network.openshift.io",
    "sriovnetwork.openshift.io",
    "cni.cncf.io",
];
/// Our own kinds: a Backup or Restore in a copy would run.
const OURS: &str = "platform861.io";

/// Kinds of Kubernetes that are left out for a reason of their own.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("networking.k8s.io", "Ingress", "it would claim names outside the copy"),
    ("", "ResourceQuota", "it could refuse the movers"),
    ("autoscaling", "HorizontalPodAutoscaler", "it would start what is stopped"),
    ("policy", "PodDisruptionBudget", "it would hold up the clean-up"),
    ("resource.k8s.io", "ResourceClaim", "a device of a node may be a network of its own"),
    ("resource.k8s.io", "ResourceClaimTemplate", "a device of a node may be a network of its own"),
];

fn is_of(group: &str, of: &str) -> bool {
    group == of || group.strip_suffix(of).is_some_and(|before| before.ends_with('.'))
}

/// Why a kind may be in no copy, whatever an Application says; none if it may be named.
pub fn refused(kind: &CopyKind) -> Option<String> {
    let named = kind.group.as_deref().unwrap_or_default();
    never(named, &kind.kind).map(|why| format!("{} can't be in a copy: {why}", told(named, &kind.kind)))
}

fn never(group: &str, kind: &str) -> Option<&'static str> {
    if (group, kind) == ("networking.k8s.io", "NetworkPolicy") || OF_NETWORKS.iter().any(|of| is_of(group, of)) {
        return Some("it decides about networks, and could open the copy, which has policies of its own");
    }
    if is_of(group, OURS) {
        return Some("it is the platform's own, and would be carried out");
    }
    ((group, kind) == ("", "Namespace")).then_some("a copy's namespaces are the drill's")
}

/// Kind and group in words: `Certificate.cert-manager.io`.
fn told(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// Why an object is not in a copy; none if it is.
pub(super) fn left_out(object: &Value, added: &[CopyKind]) -> Option<String> {
    let (group, kind) = (group(object), kind(object));
    if let Some(why) = never(group, kind) {
        return Some(format!("{}: {why}", told(group, kind)));
    }
    let is_harmless = HARMLESS_KINDS.iter().any(|known| (known.group, known.kind) == (group, kind));
    if is_harmless || added.iter().any(|added| (added.group.as_deref().unwrap_or_default(), added.kind.as_str()) == (group, kind)) {
        return None;
    }
    let why = LEFT_OUT.iter().find(|(of, named, _)| (*of, *named) == (group, kind)).map_or("its controller may stand outside the copy", |(_, _, why)| why);
    Some(format!("{}: {why}; spec.isolation.kinds of the Application adds it", told(group, kind)))
}

/// Whether a group is Kubernetes' own.
pub(super) fn is_of_kubernetes(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}
