//! Whether an object that is there is the one of the backup.

use super::{
    diff::{brief, differences},
    group, kind, metadata, name,
    save::{SERVER_ANNOTATIONS, SERVER_FIELDS},
};
use crate::quantity::Quantity;
use serde_json::{Map, Value, json};

/// What an object contains: without status and without what the server stores beside it.
pub fn content(object: &Value) -> Value {
    let mut object = data(object);
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    object
}

/// What an object contains, to be compared with `wanted`: with its status if `wanted` has one, since then the status is data.
pub fn content_as(object: &Value, wanted: &Value) -> Value {
    if wanted.get("status").is_some() { data(object) } else { content(object) }
}

/// An object without what the server stores beside it.
fn data(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !SERVER_FIELDS.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !SERVER_ANNOTATIONS.contains(&key.as_str()));
        }
        metadata.retain(|_, value| !is_empty(value));
    }
    object
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Whether `live` has everything that `wanted` says, so that writing it would change nothing. Lists must be equal; a map may have more.
pub fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| live.get(key).map_or_else(|| is_empty(value), |live| covers(live, value)))
        }
        _ => live == wanted,
    }
}

/// Whether the object exists in every namespace as the cluster makes it, and nobody has changed it yet: its like in a backup is no conflict.
pub fn is_untouched(live: &Value) -> bool {
    if (group(live), kind(live), name(live)) != ("", "ServiceAccount", "default") {
        return false;
    }
    let content = content(live);
    let plain = |map: &Map<String, Value>, known: &[&str]| map.iter().all(|(key, value)| known.contains(&key.as_str()) || is_empty(value));
    content.as_object().is_some_and(|map| plain(map, &["apiVersion", "kind", "metadata"]))
        && metadata(&content).is_some_and(|metadata| plain(metadata, &["name", "namespace"]))
}

/// What applying `wanted` would change of the live object, as far as `wanted` says: what the API server adds by itself is not known.
pub fn differences_of(live: &Value, wanted: &Value) -> String {
    differences(&overlap(&content_as(live, wanted), wanted), wanted)
}

/// What a claim that is there has in common with the one of the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimMatch {
    /// All of its spec.
    Same,
    /// All but its size: it was enlarged since the backup, and stays as large.
    Larger,
    /// Its spec is another, and a restore changes no claim's spec.
    Other(String),
}

/// Compares the spec of a claim that is there with the one of the backup.
pub fn compare_claims(live: &Value, wanted: &Value) -> ClaimMatch {
    const SIZE: &str = "/spec/resources/requests/storage";
    let size = |claim: &Value| claim.pointer(SIZE).and_then(Value::as_str).and_then(|text| Quantity::parse(text).ok());
    let rest = |claim: &Value| {
        let mut spec = claim.get("spec").cloned().unwrap_or_else(|| json!({}));
        if let Some(requests) = spec.pointer_mut("/resources/requests").and_then(Value::as_object_mut) {
            requests.remove("storage");
        }
        spec
    };
    let (there, asked) = (rest(live), rest(wanted));
    if !covers(&there, &asked) {
        let asked = brief(&differences(&overlap(&there, &asked), &asked));
        return ClaimMatch::Other(format!("spec.{asked}: a restore changes no claim's spec"));
    }
    match (size(live), size(wanted)) {
        (Some(there), Some(asked)) if there < asked => {
            let text = |claim: &Value| claim.pointer(SIZE).and_then(Value::as_str).unwrap_or_default().to_owned();
            ClaimMatch::Other(format!(
                "it requests {}, the backup's {}: a restore enlarges no claim; raise spec.resources.requests.storage if its class allows expansion",
                text(live),
                text(wanted)
            ))
        }
        (Some(there), Some(asked)) if there > asked => ClaimMatch::Larger,
        _ => ClaimMatch::Same,
    }
}

/// The members of `live` that `wanted` has, too.
fn overlap(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().filter_map(|(key, wanted)| Some((key.clone(), overlap(live.get(key)?, wanted)))).collect::<Map<_, _>>().into()
        }
        _ => live.clone(),
    }
}

/// The labels and annotations of a saved object that a live one lacks or has otherwise, as a merge patch; none if it has them all. Those for which `keep` says
/// no are left out; those that the live one has otherwise only with `overwrite`.
pub fn metadata_patch(wanted: &Value, live: &Value, overwrite: bool, keep: impl Fn(&str) -> bool) -> Option<Value> {
    let mut changes = Map::new();
    for field in ["labels", "annotations"] {
        let of = |object: &Value| object.pointer(&format!("/metadata/{field}")).and_then(Value::as_object).cloned().unwrap_or_default();
        let (wanted, live) = (of(wanted), of(live));
        let differs = |key: &String, value: &Value| live.get(key).is_none_or(|there| overwrite && there != value);
        let of_field: Map<String, Value> = wanted.into_iter().filter(|(key, value)| keep(key) && differs(key, value)).collect();
        if !of_field.is_empty() {
            changes.insert(field.into(), of_field.into());
        }
    }
    (!changes.is_empty()).then(|| json!({"metadata": changes}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_covers_what_the_server_would_not_change() {
        let live = json!({"spec": {"replicas": 1, "strategy": {"type": "Recreate"}, "list": [{"a": 1, "b": 2}]}});
        for (wanted, covered) in [
            (json!({"spec": {"replicas": 1}}), true),
            (json!({"spec": {"replicas": 1, "extra": {}, "none": null}}), true),
            (json!({"spec": {"replicas": 2}}), false),
            (json!({"spec": {"more": 1}}), false),
            (json!({"spec": {"list": [{"a": 1, "b": 2}]}}), true),
            // A list may be replaced as a whole: a field less in it is a difference.
            (json!({"spec": {"list": [{"a": 1}]}}), false),
        ] {
            assert_eq!(covers(&live, &wanted), covered, "{wanted}");
        }
    }

    #[test]
    fn fault_b10_a_status_is_compared_where_it_was_saved() {
        let live = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"a": 1}, "status": {"serial": 8}});
        let (plain, with_status) =
            (json!({"metadata": {"name": "a"}, "spec": {"a": 1}}), json!({"metadata": {"name": "a"}, "spec": {"a": 1}, "status": {"serial": 7}}));
        assert!(covers(&content_as(&live, &plain), &plain), "it is its controller's");
        assert!(!covers(&content_as(&live, &with_status), &with_status), "it is data");
        assert_eq!(differences_of(&live, &with_status), "status.serial: 8 → 7");
        assert_eq!(content_as(&live, &with_status).pointer("/metadata/uid"), None);
    }

    #[test]
    fn only_an_untouched_account_of_every_namespace_is_no_conflict() {
        let account = |name: &str, extra: Value| {
            let mut object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "n", "uid": "u"}});
            object.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            object
        };
        for (object, untouched) in [
            (account("default", json!({})), true),
            (account("default", json!({"imagePullSecrets": []})), true),
            (account("default", json!({"imagePullSecrets": [{"name": "mine"}]})), false),
            (account("other", json!({})), false),
            (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "default"}}), false),
        ] {
            assert_eq!(is_untouched(&object), untouched, "{object}");
        }
    }

    #[test]
    fn fault_b14_a_claim_that_was_enlarged_stays_and_no_claim_is_changed() {
        let claim = |class: Option<&str>, size: &str| json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": size}}}});
        let same =
            [(claim(Some("a"), "1Gi"), claim(Some("a"), "1Gi")), (claim(Some("a"), "1Gi"), claim(Some("a"), "1024Mi")), (claim(Some("a"), "1Gi"), json!({}))];
        for (live, wanted) in same {
            assert_eq!(compare_claims(&live, &wanted), ClaimMatch::Same, "{live} {wanted}");
        }
        assert_eq!(compare_claims(&claim(Some("a"), "2Gi"), &claim(Some("a"), "1Gi")), ClaimMatch::Larger);
        for (live, wanted, says) in [
            (claim(Some("a"), "1Gi"), claim(Some("a"), "2Gi"), "it requests 1Gi, the backup's 2Gi"),
            (claim(Some("a"), "1Gi"), claim(Some("b"), "1Gi"), "spec.storageClassName: \"a\" → \"b\""),
        ] {
            let ClaimMatch::Other(why) = compare_claims(&live, &wanted) else { panic!("{live} {wanted}") };
            assert!(why.starts_with(says), "{why}");
        }
    }
}
