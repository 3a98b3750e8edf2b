//! Annotations of a copy's objects. An annotation with a domain is a word to whoever knows that domain: a load balancer's controller, external-dns, cert-manager, a
//! webhook that injects a sidecar, a mirror of Secrets. In a copy only those stay that Kubernetes itself reads, and those that say where a manifest came from.

use super::{group, kinds::is_of_kubernetes};
use serde_json::{Map, Value};

/// How an object is written otherwise than it was saved.
pub(super) const WITHOUT_ANNOTATIONS: &str = "in the copy without annotations for controllers outside (spec.isolation.patches can give them back)";

/// Domains whose annotations stay: what Kubernetes' own components and kubectl read and write about pods, volumes, accounts and roll-outs, and what manifests say of
/// themselves.
const KEPT: &[&str] = &[
    "app.kubernetes.io",
    "apps.kubernetes.io",
    "batch.kubernetes.io",
    "checksum",
    "cluster-autoscaler.kubernetes.io",
    "container.apparmor.security.beta.kubernetes.io",
    "container.seccomp.security.alpha.kubernetes.io",
    "control-plane.alpha.kubernetes.io",
    "controller.kubernetes.io",
    "cronjob.kubernetes.io",
    "deployment.kubernetes.io",
    "endpoints.kubernetes.io",
    "helm.sh",
    "kubectl.kubernetes.io",
    "kubernetes.io",
    "meta.helm.sh",
    "platform861.io",
    "pv.kubernetes.io",
    "rbac.authorization.kubernetes.io",
    "scheduler.alpha.kubernetes.io",
    "seccomp.security.alpha.kubernetes.io",
    "statefulset.kubernetes.io",
    "volume.beta.kubernetes.io",
    "volume.kubernetes.io",
];
/// Annotations of kept domains by which a controller outside acts.
const ACTED_ON: &[&str] = &["kubernetes.io/tls-acme", "kubernetes.io/ingress.class"];
/// Domains of networks beside the cluster's, for which no policy holds. A domain also means those below it.
const OF_NETWORKS: &[&str] =
    &["cni.cncf.io", "multus-cni.io", "projectcalico.org", "cilium.io", "ovn.org", "ovn.kubernetes.io", "antrea.io", "spidernet.io", "networking.gke.io"];

fn domain(annotation: &str) -> Option<&str> {
    annotation.split_once('/').map(|(domain, _)| domain)
}

fn is_for_outside(annotation: &str) -> bool {
    ACTED_ON.contains(&annotation) || domain(annotation).is_some_and(|domain| !KEPT.contains(&domain))
}

fn is_of_networks(annotation: &str) -> bool {
    let of = |domain: &str, known: &str| domain == known || domain.strip_suffix(known).is_some_and(|before| before.ends_with('.'));
    domain(annotation).is_some_and(|domain| OF_NETWORKS.iter().any(|known| of(domain, known)))
}

/// Takes the annotations for controllers outside off an object as it was saved, and off all templates in it. Those of a custom resource itself are left to its
/// controller, which the Application trusts. Returns whether there were any.
pub(super) fn take_off(object: &mut Value) -> bool {
    let own = if is_of_kubernetes(group(object)) { None } else { object.pointer_mut("/metadata/annotations").map(Value::take) };
    let found = without(object, &is_for_outside);
    if let Some(own) = own {
        object["metadata"]["annotations"] = own;
    }
    found
}

/// Takes off what would give a pod another network, whoever put it there.
pub(super) fn close(object: &mut Value) {
    without(object, &is_of_networks);
}

/// Removes such annotations from every metadata in a value. Returns whether there were any.
fn without(value: &mut Value, unwanted: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Object(fields) => {
            let mut found = fields.get_mut("metadata").and_then(Value::as_object_mut).is_some_and(|metadata| strip(metadata, unwanted));
            for inner in fields.values_mut() {
                found |= without(inner, unwanted);
            }
            found
        }
        Value::Array(items) => items.iter_mut().fold(false, |found, item| without(item, unwanted) | found),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn strip(metadata: &mut Map<String, Value>, unwanted: &dyn Fn(&str) -> bool) -> bool {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return false };
    let before = annotations.len();
    annotations.retain(|annotation, _| !unwanted(annotation));
    let found = annotations.len() < before;
    if found && annotations.is_empty() {
        metadata.remove("annotations");
    }
    found
}
