//! Reads of the hub's own objects, from the API server.

use crate::error::{Error, ErrorContext as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, Resource, api::ListParams};
use p861_crds::{ConditionType, District, Reason};
use std::fmt::Debug;

/// All districts that deserialize.
///
/// # Errors
/// If the API server can't be read.
pub async fn districts(client: &Client) -> Result<Vec<District>> {
    let districts: Api<kube::core::DeserializeGuard<District>> = Api::all(client.clone());
    let list = districts.list(&ListParams::default()).await.context(|| "list the districts".into())?;
    Ok(list.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
}

/// The district whose hub namespace is `namespace`.
///
/// # Errors
/// `DistrictMissing` if there is none.
pub async fn district_of(client: &Client, namespace: &str) -> Result<District> {
    districts(client)
        .await?
        .into_iter()
        .find(|district| district.hub_namespace() == namespace)
        .ok_or_else(|| Error::invalid(Reason::DistrictMissing, format!("namespace {namespace} belongs to no District: kubectl get districts")))
}

/// An object by name.
///
/// # Errors
/// If it doesn't exist, with a message that says what to do.
pub async fn named<K>(client: &Client, namespace: &str, name: &str) -> Result<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let kind = K::kind(&());
    api.get_opt(name).await.context(|| format!("read {kind} {namespace}/{name}"))?.ok_or_else(|| {
        Error::invalid(Reason::NotFound, format!("{kind} {name} doesn't exist in namespace {namespace}: kubectl get {} -n {namespace}", K::plural(&())))
    })
}

/// All objects of a kind in a namespace that deserialize; the others are left out and reported on their own status. One list request.
///
/// # Errors
/// If the API server can't be read.
pub async fn all<K>(client: &Client, namespace: &str) -> Result<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api: Api<kube::core::DeserializeGuard<K>> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default()).await.context(|| format!("list {} in {namespace}", K::plural(&())))?;
    Ok(list.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
}

/// Whether a node's Ready condition is True.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition.type_ == ConditionType::Ready && condition.status == "True"))
}
