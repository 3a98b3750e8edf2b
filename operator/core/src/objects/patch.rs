//! Patches of a copy's objects, as an Application declares them. They are made on the object as it was saved, before it is prepared for its place: what closes a
//! copy, stops it and marks it as ours comes afterwards and holds against any patch.

use super::{group, selects};
use p861_crds::platform::application::CopyPatch;
use serde_json::{Map, Value};

/// API groups whose lists have keys by which `kubectl patch` merges them.
const KEYED_GROUPS: &[&str] = &["", "apps", "batch"];
/// Lists that are merged by a key, each with the fields that may be it.
const KEYED_LISTS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("secrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("ports", &["containerPort", "port"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey"]),
];
/// What an entry of a keyed list, or a map, is to become instead of being merged: `delete` or `replace`.
const DIRECTIVE: &str = "$patch";
/// Prefix of our own labels and annotations.
const OURS: &str = "platform861.io/";
/// Fields that say what an object is, where it is and whose, besides those in its metadata.
const IDENTITY: &[&str] = &["apiVersion", "kind", "status", DIRECTIVE];
/// Fields of its metadata that do.
const IDENTITY_METADATA: &[&str] = &["name", "namespace", "generateName", "uid", "resourceVersion", "finalizers", "ownerReferences", DIRECTIVE];

/// Why a patch is refused; none if it may be made.
pub fn refused(patch: &CopyPatch) -> Option<String> {
    let CopyPatch { target, patch } = patch;
    if target.kind == "Namespace" && target.group.as_deref().unwrap_or_default().is_empty() {
        return Some("the Namespace itself can't be patched: a copy has the labels of its source".into());
    }
    let of_metadata = patch.get("metadata").and_then(Value::as_object);
    if of_metadata.is_none() && patch.contains_key("metadata") {
        return Some("a patch may not replace metadata".into());
    }
    let touched = IDENTITY.iter().filter(|field| patch.contains_key(**field)).map(|field| (*field).to_owned());
    let in_metadata = IDENTITY_METADATA.iter().filter(|field| of_metadata.is_some_and(|metadata| metadata.contains_key(**field)));
    let mut all = touched.chain(in_metadata.map(|field| format!("metadata.{field}"))).chain(patch.iter().flat_map(|(key, value)| ours(key, value)));
    all.next().map(|field| format!("a patch may not touch {field}"))
}

/// Keys of ours in a patch.
fn ours(key: &str, value: &Value) -> Vec<String> {
    let inner: Vec<String> = match value {
        Value::Object(fields) => fields.iter().flat_map(|(key, value)| ours(key, value)).collect(),
        Value::Array(items) => items.iter().flat_map(|item| ours("", item)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    key.starts_with(OURS).then(|| key.to_owned()).into_iter().chain(inner).collect()
}

/// The places of those patches that are meant for the object.
pub fn matching(patches: &[CopyPatch], object: &Value) -> Vec<usize> {
    patches.iter().enumerate().filter(|(_, patch)| selects(&patch.target, object)).map(|(at, _)| at).collect()
}

/// A patch in words, by its place in the Application.
pub fn told(at: usize, patch: &CopyPatch) -> String {
    let name = patch.target.name.as_deref().unwrap_or("any");
    format!("spec.isolation.patches[{at}] ({} {name})", patch.target.kind)
}

/// Makes the patches that are meant for the object, in their order. One that may not be made, for example of a stored plan, changes nothing.
pub fn apply(patches: &[CopyPatch], object: &mut Value) {
    let keyed = KEYED_GROUPS.contains(&group(object));
    for patch in matching(patches, object).into_iter().filter_map(|at| patches.get(at)).filter(|patch| refused(patch).is_none()) {
        merge(object, &patch.patch, keyed);
    }
}

fn merge(target: &mut Value, patch: &Map<String, Value>, keyed: bool) {
    if !target.is_object() || (keyed && directive(patch) == Some("replace")) {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, wanted) in patch.iter().filter(|(key, _)| !keyed || *key != DIRECTIVE) {
        match wanted {
            Value::Null => drop(fields.remove(key)),
            Value::Object(inner) if keyed && directive(inner) == Some("delete") => drop(fields.remove(key)),
            Value::Object(inner) => merge(fields.entry(key.clone()).or_insert(Value::Null), inner, keyed),
            Value::Array(items) => match list_key(key, items).filter(|_| keyed) {
                Some(by) => merge_list(fields.entry(key.clone()).or_insert(Value::Null), items, by),
                None => drop(fields.insert(key.clone(), wanted.clone())),
            },
            Value::Bool(_) | Value::Number(_) | Value::String(_) => drop(fields.insert(key.clone(), wanted.clone())),
        }
    }
}

fn directive(patch: &Map<String, Value>) -> Option<&str> {
    patch.get(DIRECTIVE).and_then(Value::as_str)
}

/// The field by which the entries of a list are told apart; none if it is replaced as a whole.
fn list_key(list: &str, items: &[Value]) -> Option<&'static str> {
    let (_, keys) = KEYED_LISTS.iter().find(|(name, _)| *name == list)?;
    keys.iter().copied().find(|key| !items.is_empty() && items.iter().all(|item| item.get(*key).is_some()))
}

fn merge_list(target: &mut Value, items: &[Value], by: &str) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else { return };
    for item in items.iter().filter_map(Value::as_object) {
        let place = list.iter().position(|entry| entry.get(by) == item.get(by));
        match (place, directive(item)) {
            (Some(at), Some("delete")) => drop(list.remove(at)),
            (None, Some("delete")) => {}
            (Some(at), _) => merge(&mut list[at], item, true),
            (None, _) => {
                let mut entry = Value::Null;
                merge(&mut entry, item, true);
                list.push(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::kind;
    use serde_json::json;

    fn patch(target: &Value, patch: &Value) -> CopyPatch {
        serde_json::from_value(json!({"target": target, "patch": patch})).expect("a patch")
    }

    fn patched(mut object: Value, wanted: &Value) -> Value {
        let target = json!({"group": group(&object), "kind": kind(&object)});
        apply(&[patch(&target, wanted)], &mut object);
        object
    }

    #[test]
    fn a_patch_merges_maps_and_keyed_lists_and_replaces_everything_else() {
        let pod = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": spec}}});
        let container = json!({"name": "web", "image": "x", "args": ["a", "b"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
        let two = pod(json!({"containers": [container, {"name": "proxy", "image": "y"}], "nodeSelector": {"disk": "ssd"}}));
        for (case, wanted, expected) in [
            (
                "one variable of one container",
                json!({"containers": [{"name": "web", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]}),
                json!({"containers": [{"name": "web", "image": "x", "args": ["a", "b"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
                    {"name": "proxy", "image": "y"}], "nodeSelector": {"disk": "ssd"}}),
            ),
            (
                "a container and a variable are taken out",
                json!({"containers": [{"name": "web", "env": [{"name": "A", "$patch": "delete"}], "args": ["c"]}, {"name": "proxy", "$patch": "delete"}], "nodeSelector": null}),
                json!({"containers": [{"name": "web", "image": "x", "args": ["c"], "env": [{"name": "B", "value": "2"}]}]}),
            ),
            (
                "a map is replaced",
                json!({"nodeSelector": {"$patch": "replace", "zone": "a"}, "containers": [{"name": "web", "$patch": "replace", "image": "z"}]}),
                json!({"containers": [{"name": "web", "image": "z"}, {"name": "proxy", "image": "y"}], "nodeSelector": {"zone": "a"}}),
            ),
        ] {
            let found = patched(two.clone(), &json!({"spec": {"template": {"spec": wanted}}}));
            assert_eq!(found, pod(expected), "{case}");
        }
        let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": spec});
        let found = patched(
            widget(json!({"containers": [{"name": "a"}, {"name": "b"}], "x": 1})),
            &json!({"spec": {"containers": [{"name": "b", "c": 1}], "x": null}}),
        );
        assert_eq!(found, widget(json!({"containers": [{"name": "b", "c": 1}]})), "a custom resource takes a JSON merge patch");
    }

    #[test]
    fn a_patch_is_made_on_what_its_target_selects_and_on_nothing_else() {
        let object = |kind: &str, name: &str| json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {"replicas": 3}});
        let patches = [
            patch(&json!({"group": "apps", "kind": "Deployment", "name": "web"}), &json!({"spec": {"replicas": 1}})),
            patch(&json!({"group": "apps", "kind": "Deployment"}), &json!({"spec": {"paused": true}})),
            patch(&json!({"kind": "Deployment"}), &json!({"spec": {"replicas": 0}})),
        ];
        for (kind, name, places, replicas, paused) in
            [("Deployment", "web", vec![0, 1], 1, true), ("Deployment", "api", vec![1], 3, true), ("StatefulSet", "web", vec![], 3, false)]
        {
            let mut found = object(kind, name);
            assert_eq!(matching(&patches, &found), places, "{kind} {name}");
            apply(&patches, &mut found);
            assert_eq!((found["spec"]["replicas"].clone(), found["spec"]["paused"] == true), (json!(replicas), paused), "{kind} {name}");
        }
        assert_eq!(told(0, &patches[0]), "spec.isolation.patches[0] (Deployment web)");
    }

    #[test]
    fn a_patch_never_touches_what_an_object_is_where_it_is_and_whose() {
        let before = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "labels": {"platform861.io/drill": "k7m2q"}}});
        for (wanted, named) in [
            (json!({"kind": "Secret"}), "kind"),
            (json!({"apiVersion": "v2"}), "apiVersion"),
            (json!({"status": {}}), "status"),
            (json!({"$patch": "replace"}), "$patch"),
            (json!({"metadata": {"$patch": "replace"}}), "metadata.$patch"),
            (json!({"metadata": {"name": "b"}}), "metadata.name"),
            (json!({"metadata": {"namespace": "kube-system"}}), "metadata.namespace"),
            (json!({"metadata": {"finalizers": ["x/y"]}}), "metadata.finalizers"),
            (json!({"metadata": {"ownerReferences": []}}), "metadata.ownerReferences"),
            (json!({"metadata": {"labels": {"platform861.io/drill": null}}}), "platform861.io/drill"),
            (json!({"spec": {"template": {"metadata": {"labels": {"platform861.io/role": "mover"}}}}}), "platform861.io/role"),
            (json!({"spec": {"list": [{"metadata": {"annotations": {"platform861.io/replicas": "3"}}}]}}), "platform861.io/replicas"),
        ] {
            let of = patch(&json!({"kind": "ConfigMap"}), &wanted);
            assert_eq!(refused(&of), Some(format!("a patch may not touch {named}")));
            assert_eq!(patched(before.clone(), &wanted), before, "{wanted}: a stored plan can hold what no compiler takes");
        }
        for replaced in [json!({"metadata": null}), json!({"metadata": "x"})] {
            assert_eq!(patched(before.clone(), &replaced), before, "{replaced}");
        }
        assert!(refused(&patch(&json!({"kind": "Namespace"}), &json!({"metadata": {"labels": {}}}))).is_some());
        assert_eq!(refused(&patch(&json!({"kind": "ConfigMap"}), &json!({"metadata": {"labels": {"team": "a"}}, "data": {"mode": "drill"}}))), None);
    }
}
