//! What the hub holds, as the controllers' own watches show it: no request is made, so that looking at two thousand applications costs next to nothing.
//!
//! It may be a moment old, and two kinds need not be equally old. It is for what is looked at again and again and set right by itself. What begins something
//! that can't be taken back asks the API server.

use crate::{context::Context, controllers::all};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Resource,
    core::DeserializeGuard,
    runtime::reflector::{Lookup, Store},
};
use p861_runs::error::{Error, Result};
use serde::de::DeserializeOwned;
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a pass waits for a kind's first list.
const FIRST_LIST: Duration = Duration::from_secs(5);
/// How long they stay sorted by namespace.
const SORTED: Duration = Duration::from_millis(250);

/// A kind of the hub, and how its objects are held.
pub trait Held: Lookup<DynamicType = ()> + Resource<DynamicType = ()> + Clone + Send + Sync + 'static {}

impl<K: Lookup<DynamicType = ()> + Resource<DynamicType = ()> + Clone + Send + Sync + 'static> Held for K {}

/// A kind's objects by namespace.
type Shelves<K> = HashMap<String, Vec<Arc<DeserializeGuard<K>>>>;

/// A kind's store, and its objects by namespace as they were a moment ago: sorting two thousand for each of two thousand passes would be most of what is done.
struct Holding<K: Held> {
    store: Store<DeserializeGuard<K>>,
    sorted: Mutex<Option<(Instant, Arc<Shelves<K>>)>>,
}

impl<K: Held> Holding<K> {
    fn shelves(&self) -> Arc<Shelves<K>> {
        let mut sorted = self.sorted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, shelves)) = sorted.as_ref().filter(|(at, _)| at.elapsed() < SORTED) {
            return shelves.clone();
        }
        let mut shelves = Shelves::<K>::new();
        for guard in self.store.state() {
            shelves.entry(guard.meta().namespace.clone().unwrap_or_default()).or_default().push(guard);
        }
        let shelves = Arc::new(shelves);
        *sorted = Some((Instant::now(), shelves.clone()));
        shelves
    }
}

/// The stores of all kinds. Objects that can't be read are on their own status, and not in here.
#[derive(Clone, Default)]
pub struct Known {
    stores: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Known {
    /// Adds a kind.
    pub fn hold<K: Held>(&mut self, store: Store<DeserializeGuard<K>>) {
        self.stores.insert(TypeId::of::<K>(), Arc::new(Holding { store, sorted: Mutex::default() }));
    }

    /// What `look` takes of every object of a kind; of a namespace, if one is given.
    pub async fn pick<K: Held, T>(&self, namespace: Option<&str>, mut look: impl FnMut(&K) -> Option<T>) -> Result<Vec<T>> {
        let kind = <K as Resource>::kind(&());
        let held = self.stores.get(&TypeId::of::<K>()).and_then(|held| held.downcast_ref::<Holding<K>>());
        let held = held.ok_or_else(|| Error::Internal(format!("no controller holds the kind {kind}")))?;
        // The first list of a kind is a matter of moments, unless it is refused; then its own controller says why.
        let listed = tokio::time::timeout(FIRST_LIST, held.store.wait_until_ready()).await;
        if !matches!(listed, Ok(Ok(()))) {
            return Err(Error::transient("NotListedYet", format!("the objects of kind {kind} have not been listed yet")));
        }
        let shelves = held.shelves();
        let chosen = shelves.iter().filter(|(shelf, _)| namespace.is_none_or(|namespace| *shelf == namespace));
        Ok(chosen.flat_map(|(_, objects)| objects).filter_map(|guard| look(guard.0.as_ref().ok()?)).collect())
    }

    /// The objects of a kind in a namespace, in order of name.
    pub async fn of<K: Held>(&self, namespace: &str) -> Result<Vec<K>> {
        let mut all = self.pick(Some(namespace), |object: &K| Some(object.clone())).await?;
        all.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
        Ok(all)
    }
}

/// Where a decision looks its neighbours up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// In what the hub is known to hold.
    Held,
    /// At the API server: for what begins something.
    Asked,
}

impl Look {
    /// The objects of a kind in a namespace.
    pub async fn of<K>(self, context: &Context, namespace: &str) -> Result<Vec<K>>
    where
        K: Held + Resource<Scope = NamespaceResourceScope> + Debug + DeserializeOwned,
    {
        match self {
            Self::Held => context.known.of(namespace).await,
            Self::Asked => all(&context.hub.client, namespace).await,
        }
    }
}
