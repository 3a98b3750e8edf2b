//! Reads of the hub's own objects, from the API server.

use crate::{
    error::{Error, ErrorContext as _, Result},
    hub_object::Listed,
    object_path::in_path,
    sites::for_each_of,
};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::Node};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ListParams, PostParams},
};
use p861_core::platform::{overlap::overlap, pod_security};
use p861_crds::{ConditionType, District, Platform, Reason, names::DISTRICT_LABEL};
use std::{collections::BTreeMap, fmt::Debug};

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
/// `DistrictMissing` if there is none; `NamespacesOverlap` if what it was allotted is an older one's as well.
pub async fn district_of(client: &Client, namespace: &str) -> Result<District> {
    let all = districts(client).await?;
    let district = all.iter().find(|district| district.hub_namespace() == namespace).cloned();
    let district =
        district.ok_or_else(|| Error::invalid(Reason::DistrictMissing, format!("namespace {namespace} belongs to no District: kubectl get districts")))?;
    match overlap(&district, &all) {
        Some(shared) => Err(Error::invalid(Reason::NamespacesOverlap, shared.to_string())),
        None => Ok(district),
    }
}

/// Labels of a namespace that is made on a site for a run in this namespace of the hub: whose it is, and what it enforces on its pods, so that there is no moment in
/// which it takes any pod. They are what District and Platform say now. Where there is no District (any more), the namespace is `otherwise`'s, and enforces what
/// one that says nothing does.
///
/// # Errors
/// If the API server can't be read.
pub async fn labels_of_new_namespace(client: &Client, namespace: &str, otherwise: &str) -> Result<BTreeMap<&'static str, String>> {
    let district = districts(client).await?.into_iter().find(|district| district.hub_namespace() == namespace);
    let platforms: Vec<Platform> = all(client, namespace).await?;
    Ok(labels_of(district.as_ref(), &platforms, otherwise))
}

fn labels_of(district: Option<&District>, platforms: &[Platform], otherwise: &str) -> BTreeMap<&'static str, String> {
    let name = district.map_or_else(|| otherwise.to_owned(), District::name_any);
    // Another object than the district's one Platform is enforced nowhere, so it says nothing here either.
    let platform = platforms.iter().find(|platform| platform.name_any() == name).map(|platform| &platform.spec);
    let limits = district.map(|district| district.spec.limits).unwrap_or_default();
    let mut labels: BTreeMap<&'static str, String> =
        pod_security::labels_of_new(&limits, platform).into_iter().map(|(label, level)| (label, level.to_owned())).collect();
    labels.insert(DISTRICT_LABEL, name);
    labels
}

/// The name by which an API server knows this client.
///
/// # Errors
/// If it can't be asked, or doesn't say.
pub async fn own_name(client: &Client) -> Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.context(|| "ask for the operator's own name".into())?;
    review
        .status
        .and_then(|status| status.user_info)
        .and_then(|user| user.username)
        .ok_or_else(|| Error::Internal("the API server does not say who the operator is".into()))
}

/// An object by name.
///
/// # Errors
/// `Invalid` for a name that no object has; if it doesn't exist, with a message that says what to do.
pub async fn named<K>(client: &Client, namespace: &str, name: &str) -> Result<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let kind = K::kind(&());
    let segment = in_path(name).map_err(|error| Error::invalid(error.reason(), format!("which {kind} of {namespace} is meant can't be told: {error}")))?;
    api.get_opt(&segment).await.context(|| format!("read {kind} {namespace}/{name}"))?.ok_or_else(|| {
        Error::invalid(Reason::NotFound, format!("{kind} {name} doesn't exist in namespace {namespace}: kubectl get {} -n {namespace}", K::plural(&())))
    })
}

/// All objects of a kind in a namespace that can be read, without what [`HubObject`](crate::hub_object::HubObject) leaves out; the others are left out and reported on their own status.
///
/// # Errors
/// If the API server can't be read.
pub async fn all<K>(client: &Client, namespace: &str) -> Result<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let (mut all, what) = (Vec::new(), || format!("{} in {namespace}", K::plural(&())));
    for_each_of(client, api.resource_url(), ListParams::default(), what, |Listed(read): Listed<K>| all.extend(read.ok())).await?;
    Ok(all)
}

/// Hands over all objects of a kind, of every namespace, that can be read. No more than a page is in memory.
///
/// # Errors
/// If the API server can't be read.
pub async fn for_each<K>(client: &Client, mut take: impl FnMut(K)) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let what = || K::plural(&()).into_owned();
    for_each_of(client, api.resource_url(), ListParams::default(), what, |Listed(read): Listed<K>| read.into_iter().for_each(&mut take)).await
}

/// Whether a node's Ready condition is True.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition.type_ == ConditionType::Ready && condition.status == "True"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_e4_a_new_namespace_is_labelled_by_what_its_district_says_and_by_no_other_platform_than_its_own() {
        let district = |limits: &serde_json::Value| -> District {
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
                "spec": {"code": "370202", "names": {"en": "Shinan"}, "namespace": "district-shinan", "sites": [], "limits": limits}}))
            .unwrap()
        };
        let platform = |name: &str, level: &str| -> Platform {
            serde_json::from_value(
                json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "metadata": {"name": name}, "spec": {"security": {"podSecurity": level}}}),
            )
            .unwrap()
        };
        let lax = json!({"podSecurity": "Privileged"});
        for (district, platforms, name, enforced, warned) in [
            (Some(district(&json!({}))), vec![], "shinan", "baseline", "baseline"),
            (Some(district(&lax)), vec![], "shinan", "privileged", "privileged"),
            (Some(district(&json!({}))), vec![platform("shinan", "Privileged")], "shinan", "baseline", "baseline"),
            (Some(district(&lax)), vec![platform("a", "Privileged"), platform("shinan", "Restricted")], "shinan", "baseline", "restricted"),
            (None, vec![platform("shinan", "Privileged")], "p861-system", "baseline", "baseline"),
        ] {
            let labels = labels_of(district.as_ref(), &platforms, "p861-system");
            let found = ["enforce", "warn"].map(|mode| labels[format!("pod-security.kubernetes.io/{mode}").as_str()].clone());
            assert_eq!((labels[DISTRICT_LABEL].as_str(), found), (name, [enforced.to_owned(), warned.to_owned()]), "{platforms:?}");
        }
    }
}
