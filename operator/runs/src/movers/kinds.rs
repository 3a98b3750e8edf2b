//! The kinds that an API server serves, each in the version in which it is read and written.

use super::work::WorkError;
use crate::error::ErrorContext as _;
use kube::{
    Client,
    api::{ApiResource, GroupVersionKind},
    core::discovery::v2::{APIGroupDiscovery, APIVersionDiscovery},
};
use p861_core::objects::{ServedKind, ServedVersion, StatusOwner, choose_kinds};
use p861_crds::Reason;
use std::collections::BTreeSet;

/// What an API server serves.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// Every namespaced kind that can be listed, once, in order of name.
    pub kinds: Vec<ApiResource>,
    /// Those whose objects have a status that is data, by group and kind.
    pub with_status: BTreeSet<(String, String)>,
    /// Kinds whose server doesn't answer, as people call them.
    pub unanswered: Vec<String>,
}

/// Name of the file that has the objects of a kind.
pub fn file_name(resource: &ApiResource) -> String {
    if resource.group.is_empty() { format!("{}.jsonl", resource.plural) } else { format!("{}.{}.jsonl", resource.plural, resource.group) }
}

/// Every namespaced kind that can be listed, each in its best version, in order of name.
///
/// # Errors
/// As [`discover`].
pub async fn namespaced_kinds(client: &Client) -> Result<Vec<ApiResource>, WorkError> {
    Ok(discover(client).await?.kinds)
}

/// Asks for all kinds of all groups and versions.
///
/// # Errors
/// If the API server doesn't answer, or names no kind of its own.
pub async fn discover(client: &Client) -> Result<Discovered, WorkError> {
    let what = || "ask the API server for its kinds".to_owned();
    let core = client.list_core_api_versions_aggregated().await.context(what)?;
    let groups = client.list_api_groups_aggregated().await.context(what)?;
    let versions: Vec<ServedVersion> = core.items.iter().chain(&groups.items).flat_map(versions_of).collect();
    if !versions.iter().any(|version| version.group.is_empty() && !version.kinds.is_empty()) {
        let message = "the API server names no kinds (apidiscovery.k8s.io): it is too old, or a proxy before it answers instead";
        return Err(WorkError::stated(Reason::ApiError, message, false));
    }
    let chosen = choose_kinds(&versions);
    let with_status = chosen.kinds.iter().filter(|kind| kind.status == StatusOwner::Writer).map(|kind| (kind.group.clone(), kind.kind.clone())).collect();
    let resource = |kind: p861_core::objects::ChosenKind| {
        let gvk = GroupVersionKind { group: kind.group, version: kind.version, kind: kind.kind };
        ApiResource::from_gvk_with_plural(&gvk, &kind.plural)
    };
    let mut kinds: Vec<ApiResource> = chosen.kinds.into_iter().map(resource).collect();
    kinds.sort_by_key(file_name);
    Ok(Discovered { kinds, with_status, unanswered: chosen.unanswered })
}

fn versions_of(group: &APIGroupDiscovery) -> impl Iterator<Item = ServedVersion> {
    let name = group.metadata.as_ref().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
    group.versions.iter().map(move |version| ServedVersion {
        group: name.clone(),
        version: version.version.clone().unwrap_or_default(),
        is_stale: version.freshness.as_deref() == Some("Stale"),
        is_known: !version.resources.is_empty(),
        kinds: namespaced(version),
    })
}

fn namespaced(version: &APIVersionDiscovery) -> Vec<ServedKind> {
    let listed = version.resources.iter().filter(|resource| {
        let verbs = &resource.verbs;
        resource.scope.as_deref() == Some("Namespaced") && verbs.iter().any(|verb| verb == "list")
    });
    let named = listed.filter_map(|resource| {
        let has_status = resource.subresources.iter().any(|sub| sub.subresource.as_deref() == Some("status"));
        Some(ServedKind { kind: resource.response_kind.as_ref()?.kind.clone()?, plural: resource.resource.clone()?, has_status })
    });
    named.collect()
}
