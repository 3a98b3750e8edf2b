//! Transformation of a backed-up object for another namespace or site.

mod annotations;
mod claims;
mod close;
mod kinds;
mod pods;
mod services;
mod subjects;

pub use kinds::{HARMLESS_KINDS, HarmlessKind, refused as refused_kind};

use super::{group, kind, name, namespace, patch, reach, stop::held, text};
use crate::runs::CopyRules;
use p861_crds::platform::application::CronJobsInCopy;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Result of the transformation of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It is written like this, which differs from how it was saved in these ways.
    Write(Value, Vec<&'static str>),
    /// It is not written, and why.
    Leave(Cow<'static, str>),
}

/// Prepares one object of a backup for its place.
pub fn prepare(mut object: Value, rules: &CopyRules) -> Prepared {
    let is_namespace = (group(&object), kind(&object)) == ("", "Namespace");
    let source = if is_namespace { name(&object) } else { namespace(&object) };
    let Some(target) = rules.namespaces.get(source).cloned() else {
        return Prepared::Leave("its namespace is not restored".into());
    };
    let moved = target != source;
    if is_namespace {
        set(&mut object, "/metadata", "name", json!(target));
        return Prepared::Write(object, Vec::new());
    }
    let mut adjusted = Vec::new();
    if rules.isolated {
        if let Some(why) = kinds::left_out(&object, &rules.kinds) {
            return Prepared::Leave(why.into());
        }
        adjusted = isolated(&mut object, &target, rules);
    } else if let Some(why) = reach::beyond(&object) {
        return Prepared::Leave(why.into());
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), json!(target));
        // What a run of ours made is in no backup: elsewhere these labels are a user's own.
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.extend(rules.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
        }
    }
    let (api_group, api_kind) = (group(&object).to_owned(), kind(&object).to_owned());
    match (api_group.as_str(), api_kind.as_str()) {
        ("", "Service") => services::prepare(&mut object, rules.isolated, moved),
        ("", "PersistentVolumeClaim") => claims::claim(&mut object, rules),
        ("rbac.authorization.k8s.io", "RoleBinding") => {
            let (fewer, some) = subjects::prepare(&mut object, rules);
            if fewer && !some {
                return Prepared::Leave("it gives rights only to people and to accounts outside the copy".into());
            }
            adjusted.extend(fewer.then_some(subjects::WITHOUT_OUTSIDERS));
        }
        ("batch", "CronJob") if rules.isolated && rules.cron_jobs == CronJobsInCopy::Suspend => set(&mut object, "/spec", "suspend", json!(true)),
        _ => {}
    }
    if api_group == "batch" && api_kind == "Job" {
        pods::generated_job_fields(&mut object);
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
        claims::templates(&mut object, rules);
    }
    Prepared::Write(object, adjusted)
}

/// Closes an object of an isolated copy. Its patches come before what closes it, which holds against them.
fn isolated(object: &mut Value, target: &str, rules: &CopyRules) -> Vec<&'static str> {
    let annotated = annotations::take_off(object);
    patch::apply(&rules.patches, object);
    without_finalizers(object);
    annotations::close(object);
    close::without_our_labels(object);
    let shared = close::close(object, target, rules);
    if group(object) == "batch" {
        // Another than Kubernetes' own controller would carry it out, elsewhere.
        for spec in ["/spec", "/spec/jobTemplate/spec"] {
            if let Some(spec) = object.pointer_mut(spec).and_then(Value::as_object_mut) {
                spec.remove("managedBy");
            }
        }
    }
    let told = [(annotated, annotations::WITHOUT_ANNOTATIONS), (shared, close::WITHOUT_NODE)];
    told.into_iter().filter_map(|(is_so, how)| is_so.then_some(how)).collect()
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
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") | ("", "ReplicationController") => Some("/spec/template/spec"),
        ("", "PodTemplate") => Some("/template/spec"),
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

#[cfg(test)]
#[path = "copy/closed_tests.rs"]
mod closed_tests;
