//! `kubectl get … -o json` and `kubectl apply --server-side` without kubectl: waits look many times a second, and starting kubectl costs a quarter of a second of
//! processor time each time, and the API server as much again, since kubectl reads the schemas of all kinds before it applies something.

use kube::{
    Client, Config,
    api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams, TypeMeta, ValidationDirective},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::{Discovery, Scope, pinned_kind},
};
use p861_testbed::bed::{BedError, Result, Site};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, LazyLock, mpsc},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Callers may stand in a runtime of their own, so the work is done in this one, and they wait outside.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());

/// One reader per kubeconfig: beds come and go under the same path.
static READERS: LazyLock<Mutex<HashMap<String, Arc<Reader>>>> = LazyLock::new(Mutex::default);

/// A site's API server, and the kinds that it serves.
struct Reader {
    client: Client,
    kinds: Mutex<Vec<(ApiResource, Scope)>>,
}

/// What is asked for, as in kubectl's arguments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    namespace: Option<String>,
    labels: Option<String>,
    fields: Option<String>,
    /// As people write them: `pods`, `statefulset`, `backups.platform861.io`.
    kinds: Vec<String>,
    name: Option<String>,
}

/// What `kubectl get ARGUMENTS --output json` prints, parsed.
pub fn get(site: &Site, arguments: &[&str]) -> Result<Value> {
    get_at(&site.kubeconfig(), arguments).map_err(|message| BedError::Refused(format!("{}: get {}: {message}", site.name, arguments.join(" "))))
}

/// [`get`] of the server of any kubeconfig.
pub fn get_at(kubeconfig: &Path, arguments: &[&str]) -> std::result::Result<Value, String> {
    let question = Question::read(arguments)?;
    ask(kubeconfig, async move |reader| reader.answer(&question).await)
}

/// What the server answers at a path, as text: `kubectl get --raw PATH`.
pub fn raw_at(kubeconfig: &Path, path: &str) -> std::result::Result<String, String> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    ask(kubeconfig, async move |reader| reader.client.request_text(request).await.map_err(|error| said(&error)))
}

/// Writes the documents of a YAML or JSON text as `kubectl apply --server-side` does: unknown fields and conflicts are refused.
pub fn apply_at(kubeconfig: &Path, text: &str) -> std::result::Result<(), String> {
    let documents = documents(text)?;
    ask(kubeconfig, async move |reader| {
        let writing = PatchParams { field_manager: Some("kubectl".into()), field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() };
        for document in documents {
            let (api, name) = reader.api_of(&document).await?;
            api.patch(&name, &writing, &Patch::Apply(&document)).await.map_err(|error| said(&error))?;
        }
        Ok(())
    })
}

/// Whether the server would make the documents of a text: `kubectl create --dry-run=server`.
pub fn would_create_at(kubeconfig: &Path, text: &str) -> std::result::Result<(), String> {
    let documents = documents(text)?;
    ask(kubeconfig, async move |reader| {
        for document in documents {
            let (api, _) = reader.api_of(&document).await?;
            let object: DynamicObject = serde_json::from_value(document).map_err(|error| error.to_string())?;
            api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await.map_err(|error| said(&error))?;
        }
        Ok(())
    })
}

/// Objects of a text; those of lists one by one.
fn documents(text: &str) -> std::result::Result<Vec<Value>, String> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let each = |document: Value| match document.get("items") {
        Some(Value::Array(items)) => items.clone(),
        _ => vec![document],
    };
    Ok(all.into_iter().filter(|document| !document.is_null()).flat_map(each).collect())
}

/// Asks the server of a kubeconfig something. The caller may stand in a runtime: the work is done in another, and he waits outside.
fn ask<T, Answer>(kubeconfig: &Path, question: impl FnOnce(Arc<Reader>) -> Answer + Send + 'static) -> std::result::Result<T, String>
where
    T: Send + 'static,
    Answer: Future<Output = std::result::Result<T, String>> + Send,
{
    let text = std::fs::read_to_string(kubeconfig).map_err(|error| format!("{}: {error}", kubeconfig.display()))?;
    let runtime = RUNTIME.as_ref().map_err(ToString::to_string)?;
    let (sender, received) = mpsc::channel();
    runtime.spawn(async move {
        let answer = async { question(Reader::of(text).await?).await };
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let _ = sender.send(answer);
    });
    received.recv().unwrap_or_else(|_| Err("the reader broke off".into()))
}

impl Question {
    fn read(arguments: &[&str]) -> std::result::Result<Self, String> {
        let (mut question, mut words) = (Self::default(), Vec::new());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(option) = argument.strip_prefix("--") else {
                words.push(*argument);
                continue;
            };
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (option, None),
            };
            let mut value = || value.or_else(|| rest.next().copied()).map(str::to_owned);
            match option {
                "namespace" => question.namespace = value(),
                "selector" => question.labels = value(),
                "field-selector" => question.fields = value(),
                "all-namespaces" => question.namespace = None,
                other => return Err(format!("--{other} is not understood here: use Site::kubectl")),
            }
        }
        let (kinds, name) = match words.as_slice() {
            [one] => one.split_once('/').map_or((*one, None), |(kind, name)| (kind, Some(name))),
            [kinds, name] => (*kinds, Some(*name)),
            other => return Err(format!("kinds and at most one name are understood here, not {other:?}: use Site::kubectl")),
        };
        question.kinds = kinds.split(',').map(str::to_owned).collect();
        question.name = name.map(str::to_owned);
        Ok(question)
    }
}

impl Reader {
    /// The reader of a kubeconfig.
    async fn of(kubeconfig: String) -> std::result::Result<Arc<Self>, String> {
        if let Some(known) = READERS.lock().get(&kubeconfig) {
            return Ok(known.clone());
        }
        let reader = Arc::new(Self::connect(&kubeconfig).await?);
        READERS.lock().insert(kubeconfig, reader.clone());
        Ok(reader)
    }

    async fn connect(kubeconfig: &str) -> std::result::Result<Self, String> {
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig).map_err(|error| error.to_string())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|error| error.to_string())?;
        let client = Client::try_from(config).map_err(|error| error.to_string())?;
        Ok(Self { client, kinds: Mutex::default() })
    }

    async fn answer(&self, question: &Question) -> std::result::Result<Value, String> {
        let mut items = Vec::new();
        for kind in &question.kinds {
            let (resource, scope) = self.kind(kind).await?;
            let namespace = question.namespace.as_deref();
            let api: Api<DynamicObject> = match (scope, namespace, &question.name) {
                (Scope::Cluster, ..) | (Scope::Namespaced, None, None) => Api::all_with(self.client.clone(), &resource),
                (Scope::Namespaced, namespace, _) => Api::namespaced_with(self.client.clone(), namespace.unwrap_or("default"), &resource),
            };
            if let Some(name) = &question.name {
                let object = api.get(name).await.map_err(|error| said(&error))?;
                return serde_json::to_value(object).map_err(|error| error.to_string());
            }
            let wanted = ListParams { label_selector: question.labels.clone(), field_selector: question.fields.clone(), ..ListParams::default() };
            for mut object in api.list(&wanted).await.map_err(|error| said(&error))?.items {
                object.types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
                items.push(serde_json::to_value(object).map_err(|error| error.to_string())?);
            }
        }
        Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
    }

    /// Where an object is written, and its name.
    async fn api_of(&self, document: &Value) -> std::result::Result<(Api<DynamicObject>, String), String> {
        let text = |at: &str| document.pointer(at).and_then(Value::as_str);
        let version = text("/apiVersion").unwrap_or_default();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, text("/kind").unwrap_or_default());
        let (resource, abilities) = pinned_kind(&self.client, &kind).await.map_err(|error| said(&error))?;
        let api = match abilities.scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), text("/metadata/namespace").unwrap_or("default"), &resource),
        };
        Ok((api, text("/metadata/name").unwrap_or_default().to_owned()))
    }

    /// A kind by its plural, its singular, or its plural with its group. One that isn't known yet may have been installed since.
    async fn kind(&self, word: &str) -> std::result::Result<(ApiResource, Scope), String> {
        if let Some(known) = find(&self.kinds.lock(), word) {
            return Ok(known);
        }
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await.map_err(|error| said(&error))?;
        let all = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources).map(|(resource, abilities)| (resource, abilities.scope));
        *self.kinds.lock() = all.collect();
        find(&self.kinds.lock(), word).ok_or_else(|| format!("the server doesn't have a resource type {word:?}"))
    }
}

/// The core group's kind comes first: `pods` are also those of metrics.k8s.io.
fn find(kinds: &[(ApiResource, Scope)], word: &str) -> Option<(ApiResource, Scope)> {
    let (word, group) = word.split_once('.').map_or((word, None), |(word, group)| (word, Some(group)));
    let called = |resource: &ApiResource| resource.plural == word || resource.kind.to_lowercase() == word.to_lowercase();
    let mut found: Vec<_> = kinds.iter().filter(|(resource, _)| called(resource) && group.is_none_or(|group| resource.group == group)).collect();
    found.sort_by_key(|(resource, _)| (!resource.group.is_empty(), resource.group.ends_with("metrics.k8s.io")));
    found.first().map(|&found| found.clone())
}

fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("Error from server ({}): {}", status.reason, status.message),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_kubectl_reads_them() {
        let text = |text: &str| Some(text.to_owned());
        for (arguments, expected) in [
            (&["pod", "--namespace", "a", "b"][..], Question { namespace: text("a"), kinds: vec!["pod".into()], name: text("b"), ..Question::default() }),
            (
                &["--namespace", "a", "deployment/b"],
                Question { namespace: text("a"), kinds: vec!["deployment".into()], name: text("b"), ..Question::default() },
            ),
            (
                &["jobs,secrets", "--namespace", "a", "--selector", "x=y", "--field-selector=status.phase=Running"],
                Question {
                    namespace: text("a"),
                    labels: text("x=y"),
                    fields: text("status.phase=Running"),
                    kinds: vec!["jobs".into(), "secrets".into()],
                    ..Question::default()
                },
            ),
        ] {
            assert_eq!(Question::read(arguments), Ok(expected), "{arguments:?}");
        }
        for refused in [&["pods", "a", "b"][..], &[], &["pods", "--watch"]] {
            assert!(Question::read(refused).is_err(), "{refused:?}");
        }
    }
}
