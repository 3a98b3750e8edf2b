//! Transformation of a backed-up object for another namespace or site.

mod claims;
mod pods;
mod services;
mod subjects;

use super::{group, kind, name, namespace, patch, stop::held, text};
use crate::runs::CopyRules;
use p861_crds::{
    names::{ROLE_LABEL, RUN_LABEL},
    platform::application::CronJobsInCopy,
};
use serde_json::{Value, json};

/// Result of the transformation of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It is written like this.
    Write(Value),
    /// It is not written, and why.
    Leave(&'static str),
}

/// Prepares one object of a backup for its place.
pub fn prepare(mut object: Value, rules: &CopyRules) -> Prepared {
    let is_namespace = (group(&object), kind(&object)) == ("", "Namespace");
    let source = if is_namespace { name(&object) } else { namespace(&object) };
    let Some(target) = rules.namespaces.get(source).cloned() else {
        return Prepared::Leave("its namespace is not restored");
    };
    let moved = target != source;
    if is_namespace {
        set(&mut object, "/metadata", "name", json!(target));
        return Prepared::Write(object);
    }
    if rules.isolated {
        if let Some(why) = left_out_of_a_bubble(&object) {
            return Prepared::Leave(why);
        }
        // First of all, so that everything that closes the copy holds against a patch.
        patch::apply(&rules.patches, &mut object);
        without_finalizers(&mut object);
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), json!(target));
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            // What a run of ours made is in no backup: elsewhere these labels are a user's own.
            if rules.isolated {
                labels.remove(ROLE_LABEL);
                labels.remove(RUN_LABEL);
            }
            labels.extend(rules.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
        }
    }
    let (api_group, api_kind) = (group(&object).to_owned(), kind(&object).to_owned());
    match (api_group.as_str(), api_kind.as_str()) {
        ("", "Service") => services::prepare(&mut object, rules.isolated, moved),
        ("", "PersistentVolumeClaim") => claims::claim(&mut object, &rules.storage_classes),
        ("rbac.authorization.k8s.io", "RoleBinding") => subjects::prepare(&mut object, rules),
        ("batch", "CronJob") if rules.isolated && rules.cron_jobs == CronJobsInCopy::Suspend => set(&mut object, "/spec", "suspend", json!(true)),
        _ => {}
    }
    if api_group == "batch" && api_kind == "Job" {
        pods::generated_job_fields(&mut object);
    }
    if rules.isolated {
        pods::template_labels(&mut object);
    }
    if let Some(template) = pod_template(&api_group, &api_kind)
        && let Some(pod) = object.pointer_mut(template)
    {
        pods::pod_spec(pod, rules);
    }
    if (api_group.as_str(), api_kind.as_str()) == ("", "Pod") {
        pods::bare(&mut object);
    }
    if rules.stopped {
        object = held(object);
    }
    if api_kind == "StatefulSet" {
        claims::templates(&mut object, &rules.storage_classes);
    }
    Prepared::Write(object)
}

/// Whether an object in an isolated copy would take a name, port, permission or route that belongs to the outside.
fn left_out_of_a_bubble(object: &Value) -> Option<&'static str> {
    match (group(object), kind(object)) {
        ("networking.k8s.io", "NetworkPolicy") => Some("the bubble has its own policy; another could open it"),
        ("networking.k8s.io", "Ingress") | ("gateway.networking.k8s.io" | "externaldns.k8s.io", _) => Some("it would claim names outside the bubble"),
        ("", "ResourceQuota") => Some("it would refuse the movers"),
        ("autoscaling", _) => Some("it would start what is stopped"),
        ("policy", "PodDisruptionBudget") => Some("it would hold up the clean-up"),
        ("cert-manager.io" | "acme.cert-manager.io", _) => Some("it would ask a certificate authority outside"),
        _ => None,
    }
}

/// A finalizer waits for a controller that the copy may not have, and would keep the copy for ever. Templates hand theirs on to what is made of them, whatever the kind.
fn without_finalizers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                if field == "metadata"
                    && let Some(metadata) = inner.as_object_mut()
                {
                    metadata.remove("finalizers");
                }
                without_finalizers(inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_finalizers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn pod_template(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => Some("/spec/template/spec"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template/spec"),
        ("", "Pod") => Some("/spec"),
        _ => None,
    }
}

fn set(object: &mut Value, at: &str, key: &str, value: Value) {
    if let Some(map) = object.pointer_mut(at).and_then(Value::as_object_mut) {
        map.insert(key.into(), value);
    }
}

#[cfg(test)]
#[path = "copy/tests.rs"]
mod tests;
