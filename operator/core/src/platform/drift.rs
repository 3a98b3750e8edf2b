//! Drift detection: compares an object with what was applied. Defaults and normalised quantities are not drift.

use crate::{
    objects::{kind, name, namespace},
    quantity::Quantity,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Lists that several hands may write, each its own entries: more of them than were applied is no drift. All others are one hand's, and whole.
/// Source: `x-kubernetes-list-type: map` and `set` of the built-in kinds that a bundle holds.
const SHARED_LISTS: [&str; 15] = [
    "containers",
    "initContainers",
    "volumes",
    "env",
    "ports",
    "volumeMounts",
    "volumeDevices",
    "imagePullSecrets",
    "hostAliases",
    "secrets",
    "ownerReferences",
    "finalizers",
    "resourceClaims",
    "schedulingGates",
    "topologySpreadConstraints",
];

/// After this many corrections somebody else is changing the field on purpose: report it, and correct it only at this interval.
const OFTEN: u32 = 3;
const LONG: SignedDuration = SignedDuration::from_mins(10);

/// Corrected drift: the object, the number of corrections, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    what: Vec<String>,
    times: u32,
    since: Timestamp,
}

/// The record to keep when drift is corrected now. None: it was corrected too often, so leave it for a while.
pub fn correct(before: Option<&Correction>, drifted: &[String], now: Timestamp) -> Option<Correction> {
    let again = before.filter(|before| before.what == drifted && (SignedDuration::ZERO..LONG).contains(&now.duration_since(before.since)));
    let (times, since) = again.map_or((0, now), |before| (before.times, before.since));
    (times < OFTEN).then(|| Correction { what: drifted.to_vec(), times: times + 1, since })
}

/// Whether an object differs from what was applied. `bundle` is the whole applied bundle: a replica count that one of its autoscalers changes is not drift.
pub fn differs(applied: &Value, there: &Value, bundle: &[Value]) -> bool {
    let mut applied = applied.clone();
    if let Some(map) = applied.as_object_mut() {
        map.remove("status");
    }
    if bundle.iter().any(|scaler| scales(scaler, &applied))
        && let Some(spec) = applied.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("replicas");
    }
    !holds("", &applied, there)
}

fn scales(scaler: &Value, object: &Value) -> bool {
    let target = |field: &str| scaler.pointer(&format!("/spec/scaleTargetRef/{field}")).and_then(Value::as_str).unwrap_or_default();
    kind(scaler) == "HorizontalPodAutoscaler" && namespace(scaler) == namespace(object) && target("kind") == kind(object) && target("name") == name(object)
}

fn holds(field: &str, wanted: &Value, there: &Value) -> bool {
    match (wanted, there) {
        (Value::Null, _) => true,
        (Value::Object(wanted), there) => wanted.iter().all(|(key, value)| there.get(key).map_or_else(|| is_nothing(value), |there| holds(key, value, there))),
        (Value::Array(wanted), Value::Array(there)) if SHARED_LISTS.contains(&field) => {
            wanted.iter().all(|one| there.iter().any(|other| holds("", one, other)))
        }
        (Value::Array(wanted), Value::Array(there)) => wanted.len() == there.len() && wanted.iter().zip(there).all(|(one, other)| holds("", one, other)),
        (Value::String(one), Value::String(other)) if one != other => {
            matches!((Quantity::parse(one), Quantity::parse(other)), (Ok(one), Ok(other)) if one == other)
        }
        // A quantity may be written as a number.
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            matches!((Quantity::parse(&number.to_string()), Quantity::parse(text)), (Ok(one), Ok(other)) if one == other)
        }
        (one, other) => one == other,
    }
}

/// Values that a server may drop: null, false, zero, and empty strings, maps and lists.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn server(replicas: u32, image: &str, cpu: &str) -> Value {
        json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "a", "labels": {"of": "us"}, "creationTimestamp": null}, "spec": {"replicas": replicas,
            "template": {"spec": {"containers": [{"name": "web", "image": image, "args": ["-v"], "resources": {"limits": {"cpu": cpu}}}]}}}, "status": {}})
    }

    /// As the server shows it: with defaults, another's label, and a container that was injected.
    fn shown(of: &Value) -> Value {
        let mut there = of.clone();
        there["metadata"]["uid"] = json!("1");
        there["metadata"]["labels"]["more"] = json!("theirs");
        there["metadata"]["creationTimestamp"] = json!("2026-11-24T00:00:00Z");
        there["spec"]["revisionHistoryLimit"] = json!(10);
        there["status"] = json!({"replicas": 1});
        let containers = there["spec"]["template"]["spec"]["containers"].as_array_mut().expect("containers");
        containers[0]["imagePullPolicy"] = json!("Always");
        containers.insert(0, json!({"name": "injected"}));
        there
    }

    #[test]
    fn what_a_server_adds_is_no_drift_and_what_a_person_changes_is() {
        let applied = server(2, "i:1", "1000m");
        assert!(!differs(&applied, &shown(&server(2, "i:1", "1")), &[]));
        assert!(differs(&applied, &shown(&server(1, "i:1", "1")), &[]), "replicas");
        assert!(differs(&applied, &shown(&server(2, "i:2", "1")), &[]), "image");
        assert!(differs(&applied, &shown(&server(2, "i:1", "2")), &[]), "limit");
        let mut unlabelled = shown(&applied);
        unlabelled["metadata"]["labels"] = json!({});
        assert!(differs(&applied, &unlabelled, &[]), "labels");
        let mut argued = shown(&applied);
        argued["spec"]["template"]["spec"]["containers"][1]["args"] = json!(["-v", "--more"]);
        assert!(differs(&applied, &argued, &[]), "arguments are one hand's");
        let pod = |host: Value| json!({"kind": "Deployment", "spec": {"hostNetwork": host}});
        assert!(!differs(&pod(json!(false)), &json!({"kind": "Deployment", "spec": {}}), &[]), "what is false is left out");
        assert!(differs(&pod(json!(false)), &pod(json!(true)), &[]));
    }

    #[test]
    fn what_an_autoscaler_of_the_same_bundle_moves_is_no_drift() {
        let scaler = |name: &str| json!({"kind": "HorizontalPodAutoscaler", "metadata": {"name": "s", "namespace": "a"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": name}}});
        let (applied, there) = (server(2, "i:1", "1"), shown(&server(7, "i:1", "1")));
        assert!(!differs(&applied, &there, &[scaler("web")]));
        assert!(differs(&applied, &there, &[scaler("other")]));
    }

    #[test]
    fn what_is_changed_again_and_again_is_left_for_ten_minutes_and_anything_else_is_not() {
        let (one, other) = (vec!["Deployment a/web".to_owned()], vec!["ConfigMap a/c".to_owned()]);
        let at = |minute: i64| Timestamp::from_second(minute * 60).expect("a time");
        let mut last = None;
        for minute in 0..3 {
            last = Some(correct(last.as_ref(), &one, at(minute)).expect("it is put back"));
        }
        assert_eq!(correct(last.as_ref(), &one, at(3)), None, "the fourth time");
        assert!(correct(last.as_ref(), &other, at(3)).is_some(), "another thing");
        assert!(correct(last.as_ref(), &one, at(11)).is_some(), "after a while");
        assert!(correct(last.as_ref(), &one, at(-5)).is_some(), "the clock was put back");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), any::<i32>().prop_map(Value::from), "[a-z0-9]{1,6}".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,5}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// An applied object never counts as drifted, so that correction terminates.
        #[test]
        fn nothing_differs_from_itself(value in any_value()) {
            prop_assert!(!differs(&value, &value, &[]));
        }
    }
}
