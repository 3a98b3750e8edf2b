//! Compiled steps, where people read them before they agree to them.

use crate::context::Context;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::ConfigMap};
use kube::{Api, Resource, ResourceExt as _};
use p861_core::{engine::Plan, recovery::plan_standing::listing, runs::Action};
use p861_runs::{
    error::{Error, ErrorContext as _, Result},
    owned_maps, plan_content,
};

/// Stores the compiled steps of an object, unless they are there already: the list of them, and the whole plan, of which the digest in the object's status is.
pub async fn store<K>(context: &Context, object: &K, name: &str, compiled: &Plan<Action>) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let namespace = object.namespace().unwrap_or_default();
    let mut content = plan_content(compiled)?;
    let list = serde_json::to_string(&listing(compiled)).map_err(|error| Error::Internal(error.to_string()))?;
    content.data.insert("steps.json".to_owned(), list);
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), &namespace);
    let existing = maps.get_opt(name).await.context(|| format!("read ConfigMap {name}"))?.unwrap_or_default();
    if existing.data.unwrap_or_default() == content.data && existing.binary_data.unwrap_or_default() == content.binary_data {
        return Ok(());
    }
    owned_maps::apply(&context.hub, object, name, content).await
}
