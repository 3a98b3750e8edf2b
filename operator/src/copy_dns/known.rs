//! Services and EndpointSlices of a copy, as watches keep them.

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use p861_core::isolation::Directory;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};
use tokio::sync::watch;

/// Objects of one kind in one namespace, by name.
type Objects = BTreeMap<String, Value>;

#[derive(Default)]
struct State {
    /// By kind and namespace.
    objects: BTreeMap<(&'static str, String), Objects>,
    /// What they say; none since something has changed.
    directory: Option<Arc<Directory>>,
}

/// What is known of a copy.
#[derive(Clone)]
pub struct Known {
    state: Arc<Mutex<State>>,
    /// Watches that have not listed anything yet.
    missing: Arc<watch::Sender<usize>>,
}

impl Known {
    /// Nothing yet. Also returns how many watches have still to list their objects for the first time.
    pub fn watch(watches: usize) -> (Self, watch::Receiver<usize>) {
        let (missing, first) = watch::channel(watches);
        (Self { state: Arc::default(), missing: Arc::new(missing) }, first)
    }

    /// What Services and EndpointSlices say now.
    pub fn directory(&self) -> Arc<Directory> {
        let mut state = self.state.lock();
        if let Some(directory) = &state.directory {
            return directory.clone();
        }
        let of_kind =
            |kind: &str| state.objects.iter().filter(move |((known, _), _)| *known == kind).flat_map(|(_, objects)| objects.values()).collect::<Vec<_>>();
        let directory = Arc::new(Directory::of(of_kind("Service"), of_kind("EndpointSlice")));
        state.directory = Some(directory.clone());
        directory
    }

    fn change(&self, key: &(&'static str, String), change: impl FnOnce(&mut Objects)) {
        let mut state = self.state.lock();
        change(state.objects.entry(key.clone()).or_default());
        state.directory = None;
    }

    /// Watches a kind in a namespace for ever.
    pub async fn keep<K>(self, client: Client, namespace: String)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + k8s_openapi::Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
    {
        let key = (<K as k8s_openapi::Resource>::KIND, namespace.clone());
        let api: Api<K> = Api::namespaced(client, &namespace);
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        let (mut listed, mut is_first) = (Objects::new(), true);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => drop(listed.insert(object.name_any(), value_of(&object))),
                Ok(Event::InitDone) => {
                    let all = std::mem::take(&mut listed);
                    self.change(&key, |objects| *objects = all);
                    if std::mem::take(&mut is_first) {
                        self.missing.send_modify(|missing| *missing = missing.saturating_sub(1));
                    }
                }
                Ok(Event::Apply(object)) => self.change(&key, |objects| drop(objects.insert(object.name_any(), value_of(&object)))),
                Ok(Event::Delete(object)) => self.change(&key, |objects| drop(objects.remove(&object.name_any()))),
                Err(error) => tracing::warn!(kind = key.0, namespace, "can't be watched; what was seen last holds: {error}"),
            }
        }
    }
}

/// An object as its API has it; null if it can't be written, which says nothing of any name.
fn value_of(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::isolation::Backend;
    use serde_json::json;

    #[test]
    fn fault_e14_names_follow_what_is_watched() {
        let (known, first) = Known::watch(2);
        assert!(known.directory().is_empty() && *first.borrow() == 2);
        let key = ("Service", "n".to_owned());
        let service = |address: &str| json!({"metadata": {"namespace": "n", "name": "web"}, "spec": {"clusterIP": address}});
        known.change(&key, |objects| drop(objects.insert("web".into(), service("10.96.1.1"))));
        let address = |known: &Known| match known.directory().service("n", "web") {
            Some(Backend::Addresses(addresses, _)) => addresses.first().map(ToString::to_string),
            _ => None,
        };
        assert_eq!(address(&known).as_deref(), Some("10.96.1.1"));
        known.change(&key, |objects| drop(objects.insert("web".into(), service("10.96.1.2"))));
        assert_eq!(address(&known).as_deref(), Some("10.96.1.2"));
        known.change(&key, Objects::clear);
        assert_eq!(address(&known), None);
    }
}
