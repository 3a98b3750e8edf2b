//! A site that somebody else's manifests are applied to.

use super::compare::Identity;
use crate::support::lone::Lone;
use futures::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, Patch, PatchParams, PostParams},
    core::{DynamicObject, Request},
    discovery::{Discovery, Scope},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Objects that are made at the same time.
const MAX_PARALLEL_CREATES: usize = 16;
/// How long the API server may take until it serves what was defined.
const SERVED: Duration = Duration::from_mins(2);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(300);
/// A namespace's quota needs a controller that counts, and limits for some would refuse the others, which share a namespace here and don't at home.
const NOT_APPLIED: [&str; 2] = ["ResourceQuota", "LimitRange"];

/// What is applied to one namespace.
pub struct Load {
    pub namespace: String,
    /// Labels of the namespaces in the manifests, all in one.
    pub labels: Value,
    /// CustomResourceDefinitions.
    pub definitions: Vec<Value>,
    pub objects: Vec<Value>,
    /// How many objects the API server takes at least.
    at_least: usize,
}

impl Load {
    /// What is in the YAML files below a folder. The first of equal names counts, whatever its namespace.
    pub fn read(namespace: &str, folder: &Path, at_least: usize) -> Self {
        let mut files = Vec::new();
        files_below(folder, &mut files);
        files.sort();
        let documents = files.iter().flat_map(|file| {
            let text = fs::read_to_string(file).expect("a manifest");
            parsed(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        });
        let mut load = Self::sorted(namespace, documents.collect());
        load.objects.retain(|object| !NOT_APPLIED.contains(&object["kind"].as_str().unwrap_or_default()));
        load.at_least = at_least;
        load
    }

    /// What is in one text.
    pub fn of(namespace: &str, text: &str) -> Self {
        Self::sorted(namespace, parsed(text).expect("YAML"))
    }

    fn sorted(namespace: &str, documents: Vec<Value>) -> Self {
        let mut load = Self { namespace: namespace.into(), labels: json!({}), definitions: Vec::new(), objects: Vec::new(), at_least: 0 };
        let mut known = BTreeSet::new();
        for mut object in documents.into_iter().flat_map(items) {
            // Not every YAML file is an object, and one without a name can't be compared.
            if object["apiVersion"].as_str().is_none() || object["kind"].as_str().is_none() || object.pointer("/metadata/name").is_none() {
                continue;
            }
            object["metadata"]["namespace"] = json!(namespace);
            if !known.insert(Identity::of(&object)) {
                continue;
            }
            match object["kind"].as_str() {
                Some("CustomResourceDefinition") => load.definitions.push(object),
                Some("Namespace") => {
                    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
                        // What a namespace refuses to the pods of one project would be refused to all.
                        if !key.starts_with("pod-security.kubernetes.io/enforce") && key != "kubernetes.io/metadata.name" {
                            load.labels[key] = value.clone();
                        }
                    }
                }
                _ => load.objects.push(object),
            }
        }
        load
    }
}

fn parsed(text: &str) -> Result<Vec<Value>, String> {
    serde_saphyr::from_multiple(text).map_err(|error| error.to_string())
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of manifests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}

/// The objects of a List, or the object.
fn items(mut document: Value) -> Vec<Value> {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document.get_mut("items").and_then(Value::as_array_mut) {
        Some(items) if is_list => std::mem::take(items),
        _ => vec![document],
    }
}

/// An API server with nothing around it.
pub struct Site {
    _server: Lone,
    pub client: Client,
    /// By API version and kind; whether it is namespaced.
    kinds: BTreeMap<(String, String), (ApiResource, bool)>,
}

impl Site {
    pub async fn start() -> Self {
        let server = tokio::task::spawn_blocking(Lone::bare).await.expect("an API server");
        let client = server.client(None).await;
        let mut site = Self { _server: server, client, kinds: BTreeMap::new() };
        site.discover().await;
        site
    }

    async fn discover(&mut self) {
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await.expect("the kinds");
        let versions = discovery.groups().flat_map(|group| group.versions().map(move |version| (group, version)));
        let all = versions.flat_map(|(group, version)| group.versioned_resources(version));
        self.kinds = all.map(|(resource, can)| ((resource.api_version.clone(), resource.kind.clone()), (resource, can.scope == Scope::Namespaced))).collect();
    }

    fn api(&self, object: &Value) -> Option<Api<DynamicObject>> {
        let of = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (resource, is_namespaced) = self.kinds.get(&(of("apiVersion"), of("kind")))?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        Some(if *is_namespaced { Api::namespaced_with(self.client.clone(), namespace, resource) } else { Api::all_with(self.client.clone(), resource) })
    }

    /// Creates an object as it is written.
    async fn create(&self, object: &Value) -> Result<Value, String> {
        let api = self.api(object).ok_or_else(|| "not served".to_owned())?;
        let body = serde_json::to_vec(object).expect("JSON");
        let request = || Request::new(api.resource_url()).create(&PostParams::default(), body.clone()).expect("a request");
        let since = Instant::now();
        loop {
            match self.client.request(request()).await {
                // Defined a moment ago: discovery knows it, and the handler not yet.
                Err(kube::Error::Api(status)) if status.code == 404 && since.elapsed() < SERVED / 10 => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(error.to_string()),
                Ok(created) => return Ok(created),
            }
        }
    }

    /// Merges a patch into an object.
    pub async fn merge(&self, object: &Value, patch: &Value) -> Result<(), String> {
        let api = self.api(object).ok_or_else(|| "not served".to_owned())?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop).map_err(|error| error.to_string())
    }

    /// Defines the kinds of all loads, and waits until they are served.
    pub async fn define(&mut self, loads: &[Load]) {
        let mut wanted = BTreeSet::new();
        let mut known = BTreeSet::new();
        for definition in loads.iter().flat_map(|load| &load.definitions) {
            let mut definition = definition.clone();
            definition["metadata"].as_object_mut().expect("metadata").remove("namespace");
            if !known.insert(definition["metadata"]["name"].to_string()) {
                continue;
            }
            self.create(&definition).await.unwrap_or_else(|error| panic!("define {}: {error}", definition["metadata"]["name"]));
            let (group, kind) = (&definition["spec"]["group"], &definition["spec"]["names"]["kind"]);
            for version in definition["spec"]["versions"].as_array().into_iter().flatten().filter(|version| version["served"] == true) {
                let api_version = format!("{}/{}", group.as_str().unwrap_or_default(), version["name"].as_str().unwrap_or_default());
                wanted.insert((api_version, kind.as_str().unwrap_or_default().to_owned()));
            }
        }
        let since = Instant::now();
        loop {
            self.discover().await;
            let unserved: Vec<_> = wanted.iter().filter(|kind| !self.kinds.contains_key(kind)).collect();
            if unserved.is_empty() {
                return;
            }
            assert!(since.elapsed() < SERVED, "not served after {SERVED:?}: {unserved:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes a namespace, and in it what the controllers of a whole cluster put into every one. Pods need the account.
    pub async fn make_namespace(&self, name: &str, labels: &Value, account: &Value) {
        let mut default = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}});
        default["metadata"]["labels"] = account["metadata"]["labels"].clone();
        default["imagePullSecrets"] = account["imagePullSecrets"].clone();
        for object in [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}),
            default,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "namespace": name}, "data": {"ca.crt": "x"}}),
        ] {
            self.create(&object).await.unwrap_or_else(|error| panic!("{object}: {error}"));
        }
    }

    /// Applies a load: accounts first and pods last. What belongs to the whole cluster and what this API server refuses is left out and said.
    pub async fn fill(&self, load: &Load) {
        let is_namespaced = |object: &&Value| {
            let of = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
            self.kinds.get(&(of("apiVersion"), of("kind"))).is_none_or(|(_, is_namespaced)| *is_namespaced)
        };
        let (mut made, mut refused) = (0, Vec::new());
        for rank in [&["ServiceAccount"][..], &[], &["Pod"]] {
            let of_rank = |object: &&Value| match object["kind"].as_str() {
                Some(kind @ ("ServiceAccount" | "Pod")) => rank == [kind],
                _ => rank.is_empty(),
            };
            let objects: Vec<&Value> = load.objects.iter().filter(is_namespaced).filter(of_rank).collect();
            let creates = objects.into_iter().map(|object| async move { (object, self.create(object).await) });
            let created: Vec<(&Value, Result<Value, String>)> = stream::iter(creates).buffer_unordered(MAX_PARALLEL_CREATES).collect().await;
            for (object, result) in created {
                match result {
                    Ok(_) => made += 1,
                    Err(why) => refused.push(format!("  {}: {why}", Identity::of(object).told())),
                }
            }
        }
        println!("{}: {made} objects; not taken:\n{}", load.namespace, refused.join("\n"));
        assert!(made >= load.at_least, "{}: only {made} objects, at least {} are there", load.namespace, load.at_least);
    }

    /// Applies a load one by one. Owners get their UIDs, a status is written, and what is called `leaving` is deleted.
    pub async fn fill_in_order(&self, load: &Load) {
        let mut uids: BTreeMap<(String, String), Value> = BTreeMap::new();
        let key = |object: &Value| (object["kind"].to_string(), object["name"].to_string());
        for object in &load.objects {
            let mut object = object.clone();
            for owner in object["metadata"].get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
                owner["uid"] = uids.get(&key(owner)).unwrap_or_else(|| panic!("{owner} comes later")).clone();
            }
            let created = self.create(&object).await.unwrap_or_else(|error| panic!("{object}: {error}"));
            uids.insert((object["kind"].to_string(), object["metadata"]["name"].to_string()), created["metadata"]["uid"].clone());
            let (api, name) = (self.api(&object).expect("served"), object["metadata"]["name"].as_str().expect("a name"));
            // A custom resource may keep its status as a field like any other.
            if let Some(status) = object.get("status").filter(|status| **status != created["status"]) {
                api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.expect("a status");
            }
            if name == "leaving" {
                api.delete(name, &DeleteParams::default()).await.expect("deleted");
            }
        }
    }
}
