//! What the hub holds, as the controllers' own watches show it: no request is made, so that looking at two thousand applications costs next to nothing.
//!
//! It may be a moment old, and two kinds need not be equally old. It is for what is looked at again and again and set right by itself. What begins something
//! that can't be taken back asks the API server.

use crate::{
    context::Context,
    controllers::all,
    error::{Error, Result},
};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Resource,
    core::DeserializeGuard,
    runtime::reflector::{Lookup, Store},
};
use serde::de::DeserializeOwned;
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt::Debug,
    sync::Arc,
    time::Duration,
};

/// How long a pass waits for a kind's first list.
const FIRST_LIST: Duration = Duration::from_secs(5);

/// A kind of the hub, and how its objects are held.
pub trait Held: Lookup<DynamicType = ()> + Resource<DynamicType = ()> + Clone + Send + Sync + 'static {}

impl<K: Lookup<DynamicType = ()> + Resource<DynamicType = ()> + Clone + Send + Sync + 'static> Held for K {}

/// The stores of all kinds. Objects that can't be read are on their own status, and not in here.
#[derive(Clone, Default)]
pub struct Known {
    stores: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Known {
    /// Adds a kind.
    pub fn hold<K: Held>(&mut self, store: Store<DeserializeGuard<K>>) {
        self.stores.insert(TypeId::of::<K>(), Arc::new(store));
    }

    /// What `look` takes of every object of a kind.
    pub async fn pick<K: Held, T>(&self, mut look: impl FnMut(&K) -> Option<T>) -> Result<Vec<T>> {
        let kind = <K as Resource>::kind(&());
        let store = self.stores.get(&TypeId::of::<K>()).and_then(|store| store.downcast_ref::<Store<DeserializeGuard<K>>>());
        let store = store.ok_or_else(|| Error::Internal(format!("no controller holds the kind {kind}")))?;
        // The first list of a kind is a matter of moments, unless it is refused; then its own controller says why.
        let listed = tokio::time::timeout(FIRST_LIST, store.wait_until_ready()).await;
        if !matches!(listed, Ok(Ok(()))) {
            return Err(Error::transient("NotListedYet", format!("the objects of kind {kind} have not been listed yet")));
        }
        Ok(store.state().iter().filter_map(|guard| look(guard.0.as_ref().ok()?)).collect())
    }

    /// The objects of a kind in a namespace, in order of name.
    pub async fn of<K: Held>(&self, namespace: &str) -> Result<Vec<K>> {
        let mut all = self.pick(|object: &K| (object.meta().namespace.as_deref() == Some(namespace)).then(|| object.clone())).await?;
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
            Self::Asked => all(&context.client, namespace).await,
        }
    }
}
