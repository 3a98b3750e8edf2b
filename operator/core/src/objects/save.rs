//! Selection of objects for a backup.

use super::{group, kind, metadata, name, text};
use p861_crds::{names::ROLE_LABEL, platform::application::ObjectSelector};
use serde_json::Value;

/// Whether an object is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveDecision {
    /// As this, with the server's own fields removed.
    Keep(Value),
    /// Not, and why.
    Leave(&'static str),
}

/// Kinds that the cluster makes again by itself, or that mean nothing elsewhere.
const MADE_BY_THE_CLUSTER: &[(&str, &str)] = &[
    ("", "Event"),
    ("events.k8s.io", "Event"),
    ("", "Endpoints"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("coordination.k8s.io", "Lease"),
    ("apps", "ControllerRevision"),
    ("metrics.k8s.io", "PodMetrics"),
    ("", "PodTemplate"),
    ("authorization.k8s.io", "LocalSubjectAccessReview"),
];

/// Fields of `metadata` that belong to the server that stored the object.
const SERVER_FIELDS: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "ownerReferences",
];

/// Judges one object. The object is taken as the API server lists it.
pub fn save(mut object: Value, exclude: &[ObjectSelector]) -> SaveDecision {
    if MADE_BY_THE_CLUSTER.contains(&(group(&object), kind(&object))) {
        return SaveDecision::Leave("made by the cluster");
    }
    if exclude.iter().any(|selector| selects(selector, &object)) {
        return SaveDecision::Leave("excluded by the Application");
    }
    let Some(metadata) = metadata(&object) else { return SaveDecision::Leave("no metadata") };
    if metadata.contains_key("deletionTimestamp") {
        return SaveDecision::Leave("being deleted");
    }
    if metadata.get("labels").is_some_and(|labels| labels.get(ROLE_LABEL).is_some()) {
        return SaveDecision::Leave("made by Platform 861");
    }
    let controlled = metadata
        .get("ownerReferences")
        .and_then(Value::as_array)
        .is_some_and(|owners| owners.iter().any(|owner| owner.get("controller") == Some(&Value::Bool(true))));
    // A StatefulSet may own its claims (persistentVolumeClaimRetentionPolicy), but they hold the data, so they are kept.
    if controlled && kind(&object) != "PersistentVolumeClaim" {
        return SaveDecision::Leave("made by its owner");
    }
    match (group(&object), kind(&object)) {
        ("", "ConfigMap") if name(&object) == "kube-root-ca.crt" => return SaveDecision::Leave("made by the cluster"),
        ("", "ServiceAccount") if name(&object) == "default" => return SaveDecision::Leave("made by the cluster"),
        ("", "Secret") if text(&object, "/type") == "kubernetes.io/service-account-token" => return SaveDecision::Leave("a token of this cluster"),
        // A finished Job restored would run again, and its work is in the data already.
        ("batch", "Job") if finished(&object) => return SaveDecision::Leave("finished"),
        _ => {}
    }
    strip(&mut object);
    SaveDecision::Keep(object)
}

/// Whether a selector of an Application selects the object.
pub fn selects(selector: &ObjectSelector, object: &Value) -> bool {
    selector.kind == kind(object)
        && selector.group.as_deref().unwrap_or_default() == group(object)
        && selector.name.as_deref().is_none_or(|wanted| wanted == name(object))
}

fn finished(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|conditions| conditions.iter().any(|c| matches!(text(c, "/type"), "Complete" | "Failed") && text(c, "/status") == "True"))
}

/// Removes the fields that the server sets.
fn strip(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            metadata.remove(*field);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            annotations.remove("deployment.kubernetes.io/revision");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept(object: Value) -> Option<Value> {
        match save(object, &[]) {
            SaveDecision::Keep(value) => Some(value),
            SaveDecision::Leave(_) => None,
        }
    }

    #[test]
    fn the_servers_own_fields_are_gone_and_the_rest_is_untouched() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "managedFields": [],
            "labels": {"x": "y"}, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"}}, "data": {"k": "v"}, "status": {"a": 1}});
        let saved = kept(object).expect("kept");
        assert_eq!(
            saved,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}, "annotations": {"keep": "me"}}, "data": {"k": "v"}})
        );
    }

    #[test]
    fn what_an_owner_makes_again_is_left_but_claims_are_kept() {
        let owned = |kind: &str, api: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "ownerReferences": [{"controller": true, "kind": "X", "name": "x"}]}});
        assert!(kept(owned("Pod", "v1")).is_none());
        assert!(kept(owned("ReplicaSet", "apps/v1")).is_none());
        assert!(kept(owned("PersistentVolumeClaim", "v1")).is_some());
    }

    #[test]
    fn a_finished_job_is_left_and_an_unfinished_one_kept() {
        let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "status": status});
        assert!(kept(job(json!({"conditions": [{"type": "Complete", "status": "True"}]}))).is_none());
        assert!(kept(job(json!({"active": 1}))).is_some());
    }

    #[test]
    fn what_the_application_excludes_is_left() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cache"}});
        let rule =
            |name: Option<&str>, group: Option<&str>| ObjectSelector { group: group.map(Into::into), kind: "Deployment".into(), name: name.map(Into::into) };
        assert_eq!(save(object.clone(), &[rule(Some("cache"), Some("apps"))]), SaveDecision::Leave("excluded by the Application"));
        assert!(matches!(save(object.clone(), &[rule(Some("other"), Some("apps"))]), SaveDecision::Keep(_)));
        assert!(matches!(save(object, &[rule(None, None)]), SaveDecision::Keep(_)), "a core Deployment does not exist");
    }
}
