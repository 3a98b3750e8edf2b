//! An API server in memory, as far as runs use one: objects, finalizers, labels. There are no controllers, so no Job ever ends.

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::ByteString;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Group and version, plural, namespace (empty: none), name.
type Key = (String, String, String, String);

#[derive(Default)]
struct Stored {
    objects: BTreeMap<Key, Value>,
    version: u64,
    /// Namespaces that are being deleted: nothing can be created in them.
    terminating: Vec<String>,
    /// A kind whose lists are refused, and how.
    refused_lists: Option<(&'static str, StatusCode)>,
}

/// The API server.
#[derive(Clone, Default)]
pub struct FakeHub(Arc<Mutex<Stored>>);

/// What a request is about: an object, or a collection if there is no name.
struct Asked {
    api: String,
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    is_status: bool,
}

fn asked(path: &str) -> Asked {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_status = parts.last() == Some(&"status");
    if is_status {
        parts.pop();
    }
    let rest = parts.split_off(if parts[0] == "api" { 2 } else { 3 });
    let text = |part: &str| Some(part.to_owned());
    let (namespace, plural, name) = match rest.as_slice() {
        ["namespaces", namespace, plural, name] => (text(namespace), *plural, text(name)),
        ["namespaces", namespace, plural] => (text(namespace), *plural, None),
        [plural, name] => (text(""), *plural, text(name)),
        [plural] => (None, *plural, None),
        _ => panic!("{path}"),
    };
    Asked { api: parts.join("/"), plural: plural.to_owned(), namespace, name, is_status }
}

/// Puts the members of one object over another's.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => from.iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value)),
        (into, from) => *into = from.clone(),
    }
}

/// Whether an object is the one that a deletion names.
fn meets(object: &Value, preconditions: &Value) -> bool {
    ["uid", "resourceVersion"].iter().all(|field| preconditions[field].is_null() || preconditions[field] == object["metadata"][field])
}

fn refused(code: StatusCode, reason: &str, message: &str) -> (StatusCode, Value) {
    let details = json!({"causes": [{"reason": reason}]});
    (code, json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": message, "details": details}))
}

impl FakeHub {
    /// A client of it.
    pub fn client(&self) -> Client {
        let hub = self.clone();
        let server = tower::service_fn(move |request: Request<Body>| {
            let hub = hub.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("a body");
                let body = serde_json::from_slice(&body).unwrap_or_default();
                // On the way there and on the way back a caller may give up.
                tokio::task::yield_now().await;
                let (code, answer) = hub.answer(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), &body);
                tokio::task::yield_now().await;
                Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()))
            }
        });
        Client::new(server, "default")
    }

    /// Makes an object, or sets all of it.
    pub fn put(&self, plural: &str, object: &Value) {
        let api = object["apiVersion"].as_str().unwrap_or_default();
        let api = if api.contains('/') { format!("apis/{api}") } else { format!("api/{api}") };
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        self.0.lock().write((api, plural.to_owned(), text("namespace"), text("name")), object.clone());
    }

    /// An object by plural and name; none if it isn't there.
    pub fn get(&self, plural: &str, name: &str) -> Option<Value> {
        self.of(plural).into_iter().find(|object| object["metadata"]["name"] == name)
    }

    /// All objects of a kind.
    pub fn of(&self, plural: &str) -> Vec<Value> {
        self.0.lock().objects.iter().filter(|(key, _)| key.1 == plural).map(|(_, object)| object.clone()).collect()
    }

    /// A person, or a controller, deletes an object. One with finalizers stays until they are gone.
    pub fn delete(&self, plural: &str, name: &str) {
        let mut stored = self.0.lock();
        let keys: Vec<Key> = stored.objects.keys().filter(|key| key.1 == plural && key.3 == name).cloned().collect();
        assert!(!keys.is_empty(), "{plural} {name} isn't there");
        for key in &keys {
            stored.delete(key);
        }
    }

    /// A person deletes a namespace with everything in it.
    pub fn delete_namespace(&self, namespace: &str) {
        let mut stored = self.0.lock();
        stored.terminating.push(namespace.to_owned());
        let keys: Vec<Key> = stored.objects.keys().filter(|key| key.2 == namespace).cloned().collect();
        for key in &keys {
            stored.delete(key);
        }
    }

    /// From now on lists of a kind are refused with this code; with none, they are given again.
    pub fn refuse_lists(&self, plural: &'static str, code: Option<StatusCode>) {
        self.0.lock().refused_lists = code.map(|code| (plural, code));
    }

    /// Everything that is in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<String> {
        self.0.lock().objects.keys().filter(|key| key.2 == namespace).map(|key| format!("{} {}", key.1, key.3)).collect()
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: &Value) -> (StatusCode, Value) {
        if path.ends_with("/selfsubjectreviews") {
            let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
                "status": {"userInfo": {"username": "system:serviceaccount:p861-system:p861-operator", "groups": []}}});
            return (StatusCode::CREATED, review);
        }
        let mut stored = self.0.lock();
        let asked = asked(path);
        let missing = || refused(StatusCode::NOT_FOUND, "NotFound", &format!("{path} not found"));
        let Some(name) = asked.name.clone().or_else(|| body["metadata"]["name"].as_str().filter(|_| *method == Method::POST).map(str::to_owned)) else {
            return match stored.refused_lists {
                Some((plural, code)) if plural == asked.plural => refused(code, "Refused", "no lists of these"),
                _ => (StatusCode::OK, stored.list(&asked, query)),
            };
        };
        let namespace = asked.namespace.clone().unwrap_or_default();
        let key = (asked.api.clone(), asked.plural.clone(), namespace.clone(), name);
        let there = stored.objects.get(&key).cloned();
        let creates = there.is_none() && (*method == Method::POST || *method == Method::PATCH);
        if creates && stored.terminating.contains(&namespace) {
            return refused(StatusCode::FORBIDDEN, "NamespaceTerminating", "unable to create new content because it is being terminated");
        }
        match (method.as_str(), there) {
            ("GET", Some(object)) => (StatusCode::OK, object),
            ("POST", None) => (StatusCode::CREATED, stored.write(key, body.clone())),
            ("POST", Some(_)) => refused(StatusCode::CONFLICT, "AlreadyExists", "it exists"),
            ("PUT", Some(object)) if object["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"] => {
                (StatusCode::OK, stored.write(key, body.clone()))
            }
            ("PUT", Some(_)) => refused(StatusCode::CONFLICT, "Conflict", "it was changed"),
            ("PATCH", None) if body["metadata"]["uid"].is_string() => refused(StatusCode::CONFLICT, "Conflict", "the UID differs"),
            ("PATCH", Some(mut object)) if asked.is_status => {
                object["status"] = body["status"].clone();
                (StatusCode::OK, stored.write(key, object))
            }
            ("PATCH", there) => {
                let mut object = there.unwrap_or_else(|| json!({}));
                merge(&mut object, body);
                (StatusCode::OK, stored.write(key, object))
            }
            ("DELETE", Some(object)) if !meets(&object, &body["preconditions"]) => refused(StatusCode::CONFLICT, "Conflict", "it was changed"),
            ("DELETE", Some(_)) => {
                stored.delete(&key);
                (StatusCode::OK, json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}))
            }
            _ => missing(),
        }
    }
}

impl Stored {
    fn list(&self, asked: &Asked, query: &str) -> Value {
        let query = query.replace("%3D", "=").replace("%2F", "/").replace("%2C", ",");
        let selector = query.split('&').find_map(|part| part.strip_prefix("labelSelector=")).unwrap_or_default();
        let wanted: Vec<(&str, &str)> = selector.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let chosen = self.objects.iter().filter(|(key, object)| {
            key.0 == asked.api
                && key.1 == asked.plural
                && asked.namespace.as_ref().is_none_or(|namespace| *namespace == key.2)
                && wanted.iter().all(|(label, value)| object["metadata"]["labels"][label] == *value)
        });
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": chosen.map(|(_, object)| object).collect::<Vec<_>>()})
    }

    fn write(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if !metadata["uid"].is_string() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
        }
        if !metadata["creationTimestamp"].is_string() {
            // A Job of long ago would count as one that never starts.
            metadata["creationTimestamp"] = json!(jiff::Timestamp::now().to_string());
        }
        if !key.2.is_empty() {
            metadata["namespace"] = json!(key.2);
        }
        // As an API server does, which keeps no stringData.
        if let Some(Value::Object(texts)) = object.as_object_mut().and_then(|object| object.remove("stringData")) {
            for (key, text) in texts {
                object["data"][key] = json!(ByteString(text.as_str().unwrap_or_default().as_bytes().to_vec()));
            }
        }
        let metadata = &object["metadata"];
        let held = metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        if metadata["deletionTimestamp"].is_string() && !held {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, object.clone());
        }
        object
    }

    fn delete(&mut self, key: &Key) {
        let Some(mut object) = self.objects.get(key).cloned() else { return };
        object["metadata"]["deletionTimestamp"] = json!("2026-11-15T01:00:00Z");
        self.write(key.clone(), object);
    }
}
