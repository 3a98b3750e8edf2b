//! Cache of the hub's objects, filled by the controllers' own watches. A read costs no request, so two thousand applications can be evaluated cheaply.
//!
//! Reads may be stale, and kinds are not consistent with each other. Use the cache for level-triggered decisions; before an irreversible action read from the
//! API server ([`ReadFrom::ApiServer`]).

use crate::{context::Context, controllers::all};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Resource,
    runtime::reflector::{Lookup, Store},
};
use p861_crds::Reason;
use p861_runs::{
    error::{Error, Result},
    hub_object::HubObject,
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a read waits for the first list of a kind.
const FIRST_LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an index by namespace is reused.
const INDEX_TTL: Duration = Duration::from_millis(250);

/// A kind of the hub that the cache can hold.
pub trait Cached: Lookup<DynamicType = ()> + Resource<DynamicType = ()> + Clone + Send + Sync + 'static {}

impl<K: Lookup<DynamicType = ()> + Resource<DynamicType = ()> + Clone + Send + Sync + 'static> Cached for K {}

/// A kind's objects by namespace.
type NamespaceIndex<K> = HashMap<String, Vec<Arc<HubObject<K>>>>;

/// A kind's reflector store, with an index that is reused for [`INDEX_TTL`]: without it, each of two thousand reconciles would sort two thousand objects.
struct CachedKind<K: Cached> {
    store: Store<HubObject<K>>,
    index: Mutex<Option<(Instant, Arc<NamespaceIndex<K>>)>>,
}

impl<K: Cached> CachedKind<K> {
    fn by_namespace(&self) -> Arc<NamespaceIndex<K>> {
        let mut cached = self.index.lock();
        if let Some((_, index)) = cached.as_ref().filter(|(at, _)| at.elapsed() < INDEX_TTL) {
            return index.clone();
        }
        let mut index = NamespaceIndex::<K>::new();
        for guard in self.store.state() {
            index.entry(guard.meta().namespace.clone().unwrap_or_default()).or_default().push(guard);
        }
        let index = Arc::new(index);
        *cached = Some((Instant::now(), index.clone()));
        index
    }
}

/// Reflector stores by kind. Objects that can't be read, or for which their namespace's budget has no room, are left out; they carry a condition instead.
#[derive(Clone, Default)]
pub struct HubCache {
    stores: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl HubCache {
    /// Adds a kind. Called before the controllers start.
    pub fn register<K: Cached>(&mut self, store: Store<HubObject<K>>) {
        self.stores.insert(TypeId::of::<K>(), Arc::new(CachedKind { store, index: Mutex::default() }));
    }

    /// Maps every object of a kind, in one namespace or in all, and keeps the results that are `Some`. Their order is unspecified.
    pub async fn filter_map<K: Cached, T>(&self, namespace: Option<&str>, mut map: impl FnMut(&K) -> Option<T>) -> Result<Vec<T>> {
        let kind = <K as Resource>::kind(&());
        let cached = self.stores.get(&TypeId::of::<K>()).and_then(|cached| cached.downcast_ref::<CachedKind<K>>());
        let cached = cached.ok_or_else(|| Error::Internal(format!("no controller watches the kind {kind}")))?;
        // The first list takes moments unless the API server refuses it; the kind's own controller reports that.
        let listed = tokio::time::timeout(FIRST_LIST_TIMEOUT, cached.store.wait_until_ready()).await;
        if !matches!(listed, Ok(Ok(()))) {
            return Err(Error::transient(Reason::NotListedYet, format!("the objects of kind {kind} have not been listed yet")));
        }
        let index = cached.by_namespace();
        let lists: Vec<_> = namespace.map_or_else(|| index.values().collect(), |namespace| index.get(namespace).into_iter().collect());
        Ok(lists.into_iter().flatten().filter_map(|guard| map(guard.object.as_ref().ok()?)).collect())
    }

    /// The objects of a kind in a namespace, sorted by name.
    pub async fn list<K: Cached>(&self, namespace: &str) -> Result<Vec<K>> {
        let mut all = self.filter_map(Some(namespace), |object: &K| Some(object.clone())).await?;
        all.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
        Ok(all)
    }
}

/// Source of the objects that a decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The cache: fast, may be stale.
    Cache,
    /// The API server: for decisions that start something irreversible.
    ApiServer,
}

impl ReadFrom {
    /// The objects of a kind in a namespace.
    pub async fn list<K>(self, context: &Context, namespace: &str) -> Result<Vec<K>>
    where
        K: Cached + Resource<Scope = NamespaceResourceScope> + Debug + DeserializeOwned,
    {
        match self {
            Self::Cache => context.cache.list(namespace).await,
            Self::ApiServer => all(&context.hub.client, namespace).await,
        }
    }
}
