//! One controller per kind. Each observes, lets core decide, performs and records.

mod access;
pub mod application;
pub mod approval;
pub mod backup;
pub mod district;
pub mod drill;
pub mod plan;
pub mod platform;
pub mod profile;
pub mod repository;
pub mod restore;
pub mod roster;
pub mod site;
pub mod ticket;
pub mod window;

use crate::{
    context::Context,
    error::{Error, Result, Tried as _},
};
use kube::{Api, Client, Resource, ResourceExt as _, api::ListParams};
use p861_crds::{Application, District, RecoveryPlan};
use std::fmt::Debug;

/// All districts that can be read.
pub async fn districts(client: &Client) -> Result<Vec<District>> {
    let districts: Api<kube::core::DeserializeGuard<District>> = Api::all(client.clone());
    let list = districts.list(&ListParams::default()).await.tried(|| "list the districts".into())?;
    Ok(list.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
}

/// The district whose namespace on the hub this is.
pub async fn district_of(client: &Client, namespace: &str) -> Result<District> {
    districts(client)
        .await?
        .into_iter()
        .find(|district| district.hub_namespace() == namespace)
        .ok_or_else(|| Error::invalid("DistrictMissing", format!("namespace {namespace} belongs to no District: kubectl get districts")))
}

/// The same as the hub is known. One that isn't known yet is asked for: a district and what is in it may come in one breath.
pub async fn known_district(context: &Context, namespace: &str) -> Result<District> {
    let known = context.known.pick(None, |district: &District| (district.hub_namespace() == namespace).then(|| district.clone())).await?;
    match known.into_iter().next() {
        Some(district) => Ok(district),
        None => district_of(&context.client, namespace).await,
    }
}

/// An object of the namespace, with an error that says what to do if it isn't there.
pub async fn named<K>(client: &Client, namespace: &str, name: &str) -> Result<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let kind = K::kind(&());
    api.get_opt(name).await.tried(|| format!("read {kind} {namespace}/{name}"))?.ok_or_else(|| {
        Error::invalid("NotFound", format!("{kind} {name} doesn't exist in namespace {namespace}: kubectl get {} -n {namespace}", K::plural(&())))
    })
}

/// All objects of a kind in a namespace that can be read. One that can't be read is reported on its own status and doesn't count here.
pub async fn all<K>(client: &Client, namespace: &str) -> Result<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api: Api<kube::core::DeserializeGuard<K>> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default()).await.tried(|| format!("list {} in {namespace}", K::plural(&())))?;
    Ok(list.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
}

/// The site where an application runs: home, since failovers come with a later release.
pub fn active_site(district: &District) -> Result<String> {
    let primary = district.spec.sites.iter().find(|site| site.role == p861_crds::platform::district::SiteRole::Primary);
    primary
        .map(|site| site.site_ref.name.clone())
        .ok_or_else(|| Error::invalid("SiteMissing", format!("district {} has no site with role Primary", district.hub_namespace())))
}

/// Home and standby of a plan.
pub fn plan_sites(plan: &RecoveryPlan, district: &District) -> Result<(String, String)> {
    if let Some(sites) = &plan.spec.sites {
        let standby = sites.standby_site_refs.first().map(|site| site.name.clone());
        let standby = standby.ok_or_else(|| Error::invalid("SiteMissing", "spec.sites.standbySiteRefs is empty: name a site"))?;
        return Ok((sites.home_site_ref.name.clone(), standby));
    }
    let standby = district.spec.sites.iter().find(|site| site.role == p861_crds::platform::district::SiteRole::Standby);
    let standby = standby
        .ok_or_else(|| Error::invalid("SiteMissing", format!("district {} has no site with role Standby: add one to spec.sites", district.hub_namespace())))?;
    Ok((active_site(district)?, standby.site_ref.name.clone()))
}

/// Whether a namespace of a site is the district's.
pub fn is_allotted(district: &District, namespace: &str) -> bool {
    let name = district.metadata.name.as_deref().unwrap_or_default();
    match &district.spec.site_namespaces {
        Some(allotted) if !allotted.prefixes.is_empty() || !allotted.names.is_empty() => {
            allotted.prefixes.iter().any(|prefix| namespace.starts_with(prefix.as_str())) || allotted.names.iter().any(|n| n == namespace)
        }
        _ => namespace.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')),
    }
}

/// Refuses an application that reaches beyond its district: by a namespace that is not the district's, or by a command in a namespace that is not its own.
pub fn refuse_foreign_namespaces(district: &District, application: &Application) -> Result<()> {
    let (name, spec) = (application.name_any(), &application.spec);
    if let Some(foreign) = spec.namespaces.iter().find(|namespace| !is_allotted(district, namespace)) {
        let owner = district.name_any();
        let message = format!(
            "application {name}: namespace {foreign} is not the district's: it must begin with {owner}- or stand in spec.siteNamespaces of District {owner}"
        );
        return Err(Error::invalid("NamespaceNotAllotted", message));
    }
    let foreign = spec.workload_refs().filter_map(|workload| workload.namespace.as_ref()).find(|namespace| !spec.namespaces.contains(namespace));
    match foreign {
        Some(foreign) => Err(Error::invalid(
            "NamespaceNotAllotted",
            format!("application {name}: a workloadRef names namespace {foreign}, which is not in spec.namespaces: add it there, if it is the district's"),
        )),
        None => Ok(()),
    }
}
