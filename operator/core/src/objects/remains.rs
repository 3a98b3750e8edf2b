//! What keeps a namespace from ending: its conditions say which kinds remain and what its controller can't do; of what remains, which finalizers may be removed.

use super::{kind, name, text};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How long an object may keep a finalizer after it should have been gone.
const FINALIZER_PATIENCE: SignedDuration = SignedDuration::from_secs(15);
/// The same of finalizers that Kubernetes' own controllers remove, which run on every cluster.
const OWN_FINALIZER_PATIENCE: SignedDuration = SignedDuration::from_mins(2);
/// Finalizers of the garbage collector, which have no domain.
const COLLECTORS: [&str; 2] = ["foregroundDeletion", "orphan"];

/// Why a namespace that is being deleted is still there, from its conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// What its controller can't do, each with what a person can do about it.
    pub troubles: Vec<String>,
    /// Kinds of which something remains: plural name and API group.
    pub kinds: Vec<(String, String)>,
}

/// Reads the conditions of a namespace. A condition of a type that nobody listed is told in its own words.
pub fn remains(namespace: &Value) -> Remains {
    let mut found = Remains::default();
    for condition in namespace.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten() {
        if text(condition, "/status") != "True" {
            continue;
        }
        let message = text(condition, "/message");
        match text(condition, "/type") {
            "NamespaceContentRemaining" => found.kinds = kinds_in(message),
            // The objects are listed, with their finalizers.
            "NamespaceFinalizersRemaining" => {}
            "NamespaceDeletionDiscoveryFailure" => found.troubles.push(format!(
                "{message}. Its controller deletes nothing for good before every API answers: kubectl get apiservices shows which doesn't; mend its server, or delete that APIService"
            )),
            "NamespaceDeletionContentFailure" => {
                found.troubles.push(format!("{message}. If a webhook or the conversion of a custom resource refuses it, mend or delete that one"));
            }
            _ => found.troubles.push(message.to_owned()),
        }
    }
    found
}

/// Says that a namespace is being deleted, and why it is still there.
pub fn told_terminating(namespace: &Value) -> String {
    let Remains { mut troubles, kinds } = remains(namespace);
    let kinds: Vec<String> = kinds.into_iter().map(|(plural, group)| if group.is_empty() { plural } else { format!("{plural}.{group}") }).collect();
    if !kinds.is_empty() {
        troubles.push(format!("{} remain in it", kinds.join(", ")));
    }
    let why = if troubles.is_empty() { String::new() } else { format!(": {}", troubles.join("; ")) };
    format!("namespace {} is being deleted{why}", name(namespace))
}

/// The kinds that the controller's message counts: `Some resources are remaining: widgets.example.com has 1 resource instances, pods. has 2 resource instances`.
fn kinds_in(message: &str) -> Vec<(String, String)> {
    let (_, list) = message.split_once(": ").unwrap_or(("", message));
    let counted = list.split(", ").filter_map(|part| part.split_once(" has ")).map(|(resource, _)| resource);
    counted.filter_map(|resource| resource.split_once('.')).map(|(plural, group)| (plural.to_owned(), group.to_owned())).collect()
}

/// Whether the namespace is the copy that this drill has made: by its labels, and by its UID if one is given.
pub fn is_copy_of(namespace: &Value, run: (&str, &str), drill: (&str, &str), uid: Option<&str>) -> bool {
    let label = |(key, value): (&str, &str)| {
        !value.is_empty() && namespace.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value)
    };
    label(run) && label(drill) && uid.is_none_or(|uid| text(namespace, "/metadata/uid") == uid)
}

/// What is to be done about an object that remains in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Its finalizers are removed: nobody else has done it. With what is told of it.
    Release(String),
    /// It is waited for; with what is told of it.
    Wait(String),
}

/// Judges one object that remains. Finalizers of Kubernetes' own controllers stay while pods remain, since they protect what these use.
pub fn leftover(object: &Value, pods_remain: bool, now: Timestamp) -> Leftover {
    let finalizers: Vec<&str> = object.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let what = format!("{} {}", kind(object), name(object));
    // Of a pod this is when its grace period ends.
    let Ok(due) = text(object, "/metadata/deletionTimestamp").parse::<Timestamp>() else {
        return Leftover::Wait(format!("{what} is not being deleted yet"));
    };
    if finalizers.is_empty() {
        let node = if kind(object) == "Pod" { ": see its node, and delete it with --force if that is gone" } else { "" };
        return Leftover::Wait(format!("{what} is still being deleted{node}"));
    }
    let told = format!("{what} (finalizer {})", finalizers.join(", "));
    let waited = now.duration_since(due);
    let own = finalizers.iter().any(|finalizer| is_own(finalizer));
    let patience = if own { OWN_FINALIZER_PATIENCE } else { FINALIZER_PATIENCE };
    if waited < patience || (own && pods_remain && kind(object) != "Pod") { Leftover::Wait(told) } else { Leftover::Release(told) }
}

/// Whether Kubernetes' own controllers set and remove it.
fn is_own(finalizer: &str) -> bool {
    let domain = finalizer.split_once('/').map_or("", |(domain, _)| domain);
    COLLECTORS.contains(&finalizer) || domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn namespace(conditions: &Value) -> Value {
        json!({"metadata": {"name": "n", "uid": "u", "labels": {"run": "r", "drill": "d"}}, "status": {"conditions": conditions}})
    }

    #[test]
    fn fault_d6_whatever_holds_a_namespace_up_is_told_with_what_a_person_can_do() {
        let discovery = "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: dead.example.com/v1: stale GroupVersion discovery: dead.example.com/v1";
        for (condition, message, told) in [
            ("NamespaceDeletionDiscoveryFailure", discovery, Some("kubectl get apiservices")),
            ("NamespaceDeletionGroupVersionParsingFailure", "unexpected GroupVersion string: a/b/c", Some("unexpected GroupVersion string: a/b/c")),
            (
                "NamespaceDeletionContentFailure",
                "Failed to delete all resource types, 1 remaining: conversion webhook failed",
                Some("conversion webhook failed"),
            ),
            ("OfALaterRelease", "the moon is full", Some("the moon is full")),
            ("NamespaceContentRemaining", "Some resources are remaining: pods. has 1 resource instances", None),
            ("NamespaceFinalizersRemaining", "Some content in the namespace has finalizers remaining: a.example/b in 1 resource instances", None),
        ] {
            let holds = |status: &str| remains(&namespace(&json!([{"type": condition, "status": status, "message": message}]))).troubles;
            assert_eq!(holds("False"), Vec::<String>::new(), "{condition}");
            match told {
                Some(told) => assert!(holds("True").iter().any(|words| words.contains(told)), "{condition}: {:?}", holds("True")),
                None => assert_eq!(holds("True"), Vec::<String>::new(), "{condition}"),
            }
        }
    }

    #[test]
    fn fault_d1_the_kinds_that_remain_are_read_from_the_condition() {
        let message = "Some resources are remaining: persistentvolumeclaims. has 2 resource instances, widgets.example.com has 1 resource instances";
        let found = remains(&namespace(&json!([{"type": "NamespaceContentRemaining", "status": "True", "message": message}])));
        let expected = [("persistentvolumeclaims", ""), ("widgets", "example.com")];
        assert_eq!(found.kinds, expected.map(|(plural, group)| (plural.to_owned(), group.to_owned())));
        let done = json!([{"type": "NamespaceContentRemaining", "status": "False", "message": "All content successfully removed"}]);
        assert_eq!(remains(&namespace(&done)), Remains::default());
        assert_eq!(kinds_in("of another form"), Vec::new());
        let both =
            json!([{"type": "NamespaceContentRemaining", "status": "True", "message": message}, {"type": "Odd", "status": "True", "message": "it is odd"}]);
        assert_eq!(told_terminating(&namespace(&both)), "namespace n is being deleted: it is odd; persistentvolumeclaims, widgets.example.com remain in it");
        assert_eq!(told_terminating(&namespace(&json!([]))), "namespace n is being deleted");
    }

    #[test]
    fn fault_d1_only_the_copy_of_this_drill_is_touched() {
        let here = namespace(&json!([]));
        for (run, drill, uid, ours) in [
            ("r", "d", None, true),
            ("r", "d", Some("u"), true),
            ("r", "d", Some("made again"), false),
            ("other", "d", None, false),
            ("r", "other", None, false),
            ("", "d", None, false),
        ] {
            assert_eq!(is_copy_of(&here, ("run", run), ("drill", drill), uid), ours, "{run} {drill} {uid:?}");
        }
        assert!(!is_copy_of(&json!({"metadata": {"name": "n"}}), ("run", ""), ("drill", ""), None), "production has no such labels");
    }

    #[test]
    fn fault_d1_a_finalizer_that_nobody_removes_is_removed_and_a_protection_only_once_no_pod_is_left() {
        let now: Timestamp = "2026-11-15T01:10:00Z".parse().unwrap();
        let object = |kind: &str, seconds: i64, finalizers: &[&str]| {
            let due = now - SignedDuration::from_secs(seconds);
            json!({"kind": kind, "metadata": {"name": "a", "deletionTimestamp": due.to_string(), "finalizers": finalizers}})
        };
        let (foreign, pvc) = (&["example.com/hold"][..], &["kubernetes.io/pvc-protection"][..]);
        for (case, object, pods_remain, released) in [
            ("at once", object("Widget", 1, foreign), false, false),
            ("after its patience", object("Widget", 20, foreign), true, true),
            ("of a claim that pods use", object("PersistentVolumeClaim", 600, pvc), true, false),
            ("of a claim that nothing uses", object("PersistentVolumeClaim", 600, pvc), false, true),
            ("of a claim, early", object("PersistentVolumeClaim", 60, pvc), false, false),
            ("of a claim with another", object("PersistentVolumeClaim", 60, &[pvc, foreign].concat()), false, false),
            ("of a pod within its grace period", object("Pod", -60, foreign), true, false),
            ("of a pod of a Job", object("Pod", 600, &["batch.kubernetes.io/job-tracking"]), true, true),
            ("of the collector", object("ConfigMap", 60, &["foregroundDeletion"]), false, false),
            ("none", object("Pod", 600, &[]), true, false),
            ("not deleted", json!({"kind": "Widget", "metadata": {"name": "a", "finalizers": foreign}}), false, false),
        ] {
            let judged = leftover(&object, pods_remain, now);
            assert_eq!(matches!(judged, Leftover::Release(_)), released, "{case}: {judged:?}");
        }
    }
}
