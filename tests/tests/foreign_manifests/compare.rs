//! What is on a site, and how two sites differ. This comparison is the test's own: it shares nothing with the product's.

use futures::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, ListParams},
    core::{DynamicObject, Request},
    discovery::{Discovery, Scope, verbs},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Lists at the same time.
const MAX_PARALLEL_LISTS: usize = 8;
/// Fields of `metadata` that no two servers have equal.
const OF_THE_SERVER: [&str; 6] = ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"];

/// An object: its kind with the group, its namespace and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Identity {
    pub fn of(object: &Value) -> Self {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let group = text("/apiVersion").split_once('/').map_or_else(String::new, |(group, _)| group.to_owned());
        Self { group, kind: text("/kind"), namespace: text("/metadata/namespace"), name: text("/metadata/name") }
    }

    /// As an inventory names it.
    pub fn told(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Everything in these namespaces, and the namespaces themselves: each kind in its most stable version, whole, but for what no two servers have equal. An owner
/// is named by its name instead of its UID.
pub async fn everything(client: &Client, namespaces: &BTreeSet<String>) -> BTreeMap<Identity, Value> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await.expect("the kinds");
    let kinds = discovery.groups().flat_map(kube::discovery::ApiGroup::resources_by_stability);
    let wanted = kinds.filter(|(resource, can)| can.supports_operation(verbs::LIST) && (can.scope == Scope::Namespaced || resource.kind == "Namespace"));
    let lists = wanted.map(|(resource, can)| {
        let has_status = can.subresources.iter().any(|(part, _)| part.plural == "status");
        async move { list(client, &resource, namespaces, has_status).await }
    });
    let lists: Vec<Vec<Value>> = stream::iter(lists.collect::<Vec<_>>()).buffer_unordered(MAX_PARALLEL_LISTS).collect().await;
    let mut found: Vec<Value> = lists.concat();
    let names: BTreeMap<String, String> = found.iter().filter_map(|object| Some((uid(&object["metadata"])?, Identity::of(object).told()))).collect();
    for object in &mut found {
        let Some(metadata) = object["metadata"].as_object_mut() else { continue };
        metadata.retain(|field, _| !OF_THE_SERVER.contains(&field.as_str()));
        for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(name) = uid(owner).and_then(|uid| names.get(&uid)) {
                owner["uid"] = json!(name);
            }
        }
    }
    found.into_iter().map(|object| (Identity::of(&object), object)).collect()
}

fn uid(of: &Value) -> Option<String> {
    of["uid"].as_str().map(str::to_owned)
}

async fn list(client: &Client, resource: &ApiResource, namespaces: &BTreeSet<String>, has_status: bool) -> Vec<Value> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let request = Request::new(api.resource_url()).list(&ListParams::default()).expect("a request");
    let mut answer: Value = client.request(request).await.unwrap_or_else(|error| panic!("list {}: {error}", resource.plural));
    let mut items = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let place = if resource.kind == "Namespace" { "/metadata/name" } else { "/metadata/namespace" };
    items.retain(|item| item.pointer(place).and_then(Value::as_str).is_some_and(|place| namespaces.contains(place)));
    for item in &mut items {
        item["apiVersion"] = json!(resource.api_version);
        item["kind"] = json!(resource.kind);
        // A status of its own is what controllers see; one that is a part of the object is whatever was written there.
        if let Some(fields) = item.as_object_mut().filter(|_| has_status) {
            fields.remove("status");
        }
    }
    items
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// For example `spec.containers[].image`.
    pub path: String,
    pub before: Value,
    pub after: Value,
}

/// All fields in which two objects differ.
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("", before, after, &mut found);
    found
}

fn walk(path: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let of = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
    match (before, after) {
        _ if before == after => {}
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                walk(&below(key), &of(one, key), &of(other, key), found);
            }
        }
        // A map that only one of them has: what is in it differs. An empty one says something by being there.
        (Value::Object(map), Value::Null) if !map.is_empty() => map.iter().for_each(|(key, value)| walk(&below(key), value, &Value::Null, found)),
        (Value::Null, Value::Object(map)) if !map.is_empty() => map.iter().for_each(|(key, value)| walk(&below(key), &Value::Null, value, found)),
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).for_each(|(one, other)| walk(&format!("{path}[]"), one, other, found));
        }
        _ => found.push(Difference { path: path.to_owned(), before: before.clone(), after: after.clone() }),
    }
}

#[test]
fn the_comparison_of_two_sites_finds_every_field() {
    let before = json!({"a": {"b": [{"c": 1, "d": 2}], "gone": {"x": 1}}, "empty": {}, "list": [1], "same": [{}]});
    let after = json!({"a": {"b": [{"c": 1, "d": 3}]}, "list": [1, 2], "same": [{}], "new": null});
    let paths: Vec<String> = differences(&before, &after).into_iter().map(|difference| difference.path).collect();
    assert_eq!(paths, ["a.b[].d", "a.gone.x", "empty", "list"]);
}
