//! Selection of objects for a backup.

use super::{
    group, kind,
    kinds::StatusOwner,
    left_out::LeaveReason,
    made_again::{Ownership, ownership, reduce_references},
    metadata, name, namespace, text, tokens,
};
use p861_crds::{
    names::{DEPARTMENT_LABEL, DISTRICT_LABEL, DRILL_LABEL, PLATFORM_LABEL, ROLE_LABEL, RUN_LABEL},
    platform::application::ObjectSelector,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Whether an object is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveDecision {
    /// As this, with the server's own fields removed.
    Keep(Value),
    /// Not, and why.
    Leave(LeaveReason),
}

/// What a decision about one object must know of its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Its Services by name, and whether each selects pods.
    pub services: BTreeMap<String, bool>,
}

/// The ConfigMap that the cluster makes in every namespace. No backup has it.
pub const ROOT_CA_CONFIG_MAP: &str = "kube-root-ca.crt";

/// Kinds that the cluster makes again by itself, or that mean nothing elsewhere, whatever the object.
const MADE_BY_CLUSTER: &[(&str, &str)] = &[
    ("", "Event"),
    ("events.k8s.io", "Event"),
    ("coordination.k8s.io", "Lease"),
    ("coordination.k8s.io", "LeaseCandidate"),
    ("metrics.k8s.io", "PodMetrics"),
    ("storage.k8s.io", "CSIStorageCapacity"),
    ("certificates.k8s.io", "PodCertificateRequest"),
];

/// Values of [`ROLE_LABEL`] that we give, each with the label that stands beside it. Anything else under that label is a user's own.
const OUR_ROLES: &[(&str, &str)] = &[("mover", RUN_LABEL), ("stopped", RUN_LABEL), ("access", DISTRICT_LABEL), ("platform", PLATFORM_LABEL)];

/// Fields of `metadata` that belong to the server that stored the object.
pub(super) const SERVER_FIELDS: &[&str] =
    &["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink"];
/// Annotations that belong to it, or to kubectl.
pub(super) const SERVER_ANNOTATIONS: &[&str] = &["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"];
/// Labels of a Namespace that say where it is and whose it is there.
const PLACE_LABELS: &[&str] = &["kubernetes.io/metadata.name", DISTRICT_LABEL, DEPARTMENT_LABEL, PLATFORM_LABEL, DRILL_LABEL, RUN_LABEL];

/// Whether an object of that kind may be a user's. Kinds that hold none need not be listed.
pub fn may_hold_user_objects(group: &str, kind: &str) -> bool {
    !MADE_BY_CLUSTER.contains(&(group, kind))
}

/// As [`judge`], without knowing anything of the namespace.
pub fn save(object: Value, exclude: &[ObjectSelector]) -> SaveDecision {
    judge(object, exclude, &NamespaceFacts::default(), StatusOwner::Controller)
}

/// Judges one object. The object is taken as the API server lists it.
pub fn judge(mut object: Value, exclude: &[ObjectSelector], facts: &NamespaceFacts, status: StatusOwner) -> SaveDecision {
    if let Some(reason) = left_out(&object, exclude, facts) {
        return SaveDecision::Leave(reason);
    }
    strip(&mut object, status);
    match (group(&object), kind(&object)) {
        ("", "Secret") if tokens::is_token(&object) => tokens::empty_token(&mut object),
        ("", "ServiceAccount") => {
            tokens::forget_automatic(&mut object);
            if tokens::is_untouched_default(&object) {
                return SaveDecision::Leave(LeaveReason::MadeByCluster);
            }
        }
        ("", "Namespace") => strip_namespace(&mut object),
        _ => {}
    }
    SaveDecision::Keep(object)
}

fn left_out(object: &Value, exclude: &[ObjectSelector], facts: &NamespaceFacts) -> Option<LeaveReason> {
    if is_made_by_cluster(object, facts) {
        return Some(LeaveReason::MadeByCluster);
    }
    if is_ours(object) {
        return Some(LeaveReason::MadeByPlatform);
    }
    match ownership(object) {
        Ownership::MadeAgain => return Some(LeaveReason::MadeByOwner),
        Ownership::PodOfAnother => return Some(LeaveReason::ControlledPod),
        Ownership::Kept => {}
    }
    if exclude.iter().any(|selector| selects(selector, object)) {
        return Some(LeaveReason::Excluded);
    }
    if metadata(object).is_some_and(|metadata| metadata.contains_key("deletionTimestamp")) {
        return Some(LeaveReason::BeingDeleted);
    }
    is_finished(object).then_some(LeaveReason::Finished)
}

fn is_made_by_cluster(object: &Value, facts: &NamespaceFacts) -> bool {
    if !may_hold_user_objects(group(object), kind(object)) {
        return true;
    }
    // The API server keeps its own Service, with where it is, in this namespace.
    let of_api_server = namespace(object) == "default" && name(object) == "kubernetes";
    match (group(object), kind(object)) {
        ("", "ConfigMap") => name(object) == ROOT_CA_CONFIG_MAP,
        ("", "Secret") => tokens::is_token(object) && tokens::is_automatic(object),
        ("", "Service") => of_api_server,
        ("", "Endpoints") => of_api_server || is_lock(object) || follows_a_selector(object, facts),
        ("discovery.k8s.io", "EndpointSlice") => of_api_server || slice_follows(object, facts),
        _ => false,
    }
}

/// Endpoints that elect a leader, as old clients do.
fn is_lock(endpoints: &Value) -> bool {
    !text(endpoints, "/metadata/annotations/control-plane.alpha.kubernetes.io~1leader").is_empty()
}

/// Whether the endpoints controller keeps it, after the pods that its Service selects.
fn follows_a_selector(endpoints: &Value, facts: &NamespaceFacts) -> bool {
    // What was left from a time when the Service selected pods is now whoever edits it.
    let by_controller = || text(endpoints, "/metadata/labels/endpoints.kubernetes.io~1managed-by") == "endpoint-controller";
    facts.services.get(name(endpoints)).copied().unwrap_or_else(by_controller)
}

/// Whether a built-in controller keeps it, after the pods that its Service selects or after its Endpoints, which are saved.
fn slice_follows(slice: &Value, facts: &NamespaceFacts) -> bool {
    let service = text(slice, "/metadata/labels/kubernetes.io~1service-name");
    match text(slice, "/metadata/labels/endpointslice.kubernetes.io~1managed-by") {
        "endpointslicemirroring-controller.k8s.io" => true,
        "endpointslice-controller.k8s.io" => facts.services.get(service).copied().unwrap_or(true),
        _ => false,
    }
}

pub(super) fn is_ours(object: &Value) -> bool {
    let Some(labels) = metadata(object).and_then(|metadata| metadata.get("labels")) else { return false };
    let role = labels.get(ROLE_LABEL).and_then(Value::as_str);
    OUR_ROLES.iter().any(|(ours, beside)| role == Some(ours) && labels.get(*beside).is_some())
}

/// Whether a selector of an Application selects the object.
pub fn selects(selector: &ObjectSelector, object: &Value) -> bool {
    selector.kind == kind(object)
        && selector.group.as_deref().unwrap_or_default() == group(object)
        && selector.name.as_deref().is_none_or(|wanted| wanted == name(object))
}

/// Restored, it would run again, and its work is in the data already.
fn is_finished(object: &Value) -> bool {
    match (group(object), kind(object)) {
        ("batch", "Job") => {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            conditions.is_some_and(|conditions| conditions.iter().any(|c| matches!(text(c, "/type"), "Complete" | "Failed") && text(c, "/status") == "True"))
        }
        ("", "Pod") => matches!(text(object, "/status/phase"), "Succeeded" | "Failed"),
        _ => false,
    }
}

/// Removes the fields that the server sets.
fn strip(object: &mut Value, status: StatusOwner) {
    if status == StatusOwner::Controller
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for field in SERVER_FIELDS {
        metadata.remove(*field);
    }
    reduce_references(metadata);
    remove_keys(metadata, "annotations", SERVER_ANNOTATIONS);
}

/// Removes what says where a Namespace is and whose; what a user put there is his labels and annotations.
fn strip_namespace(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.remove("spec");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("finalizers");
        remove_keys(metadata, "labels", PLACE_LABELS);
    }
}

/// Removes keys of a map in `metadata`, and the map if that empties it.
fn remove_keys(metadata: &mut Map<String, Value>, map: &str, keys: &[&str]) {
    let Some(values) = metadata.get_mut(map).and_then(Value::as_object_mut) else { return };
    let before = values.len();
    values.retain(|key, _| !keys.contains(&key.as_str()));
    if values.is_empty() && before > 0 {
        metadata.remove(map);
    }
}

#[cfg(test)]
#[path = "save_tests.rs"]
mod tests;
