//! One controller per kind: a `Controller` whose steps the driver makes, or a `RunKind` that the controller of runs executes.

mod access;
pub mod application;
pub mod approval;
pub mod backup;
pub mod district;
pub mod drill;
pub mod history;
pub mod plan;
pub mod platform;
pub mod points;
pub mod policy;
pub mod profile;
pub mod repository;
pub mod restore;
pub mod roster;
pub mod run;
pub mod site;
mod steps;
pub mod template;
pub mod ticket;
pub mod vanished;
pub mod window;

use crate::context::Context;
use kube::{Client, ResourceExt as _};
pub use p861_core::platform::district::{is_allotted, takes_objects};
use p861_core::{
    ids::SiteName,
    platform::{application::taken_namespace, district as sites, overlap::overlap},
    runs::{AllottedSite, Scope},
};
use p861_crds::{Application, District, Platform, Reason, RecoveryPlan, platform::platform::PlatformSpec};
use p861_runs::error::{Error, Result};
pub use p861_runs::hub::{all, district_of, named};

/// The district of a namespace, from the cache; from the API server if it isn't cached yet, since a district and its objects are often created together.
pub async fn cached_district(context: &Context, namespace: &str) -> Result<District> {
    let known = context.cache.filter_map(None, |district: &District| (district.hub_namespace() == namespace).then(|| district.clone())).await?;
    let Some(district) = known.into_iter().next() else { return district_of(&context.hub.client, namespace).await };
    match context.cache.filter_map(None, |other: &District| overlap(&district, [other])).await?.into_iter().next() {
        Some(shared) => Err(Error::invalid(Reason::NamespacesOverlap, shared.to_string())),
        None => Ok(district),
    }
}

/// The Platform of a district; none if it has none.
///
/// # Errors
/// If the hub can't be read.
pub async fn platform_of(hub: &Client, namespace: &str) -> Result<Option<PlatformSpec>> {
    Ok(all::<Platform>(hub, namespace).await?.into_iter().next().map(|platform| platform.spec))
}

/// A site that an object of a district names.
///
/// # Errors
/// `SiteNotAllotted` if it is not one of the district's.
pub fn allotted_site(district: &District, site: &SiteName) -> Result<AllottedSite> {
    Ok(Scope::of(district).site(site)?)
}

/// The site where an application runs.
///
/// # Errors
/// If the plans can't be read, no site is stated, or the stated one is not the district's.
pub async fn active_site(context: &Context, district: &District, application: &str) -> Result<AllottedSite> {
    let plans: Vec<RecoveryPlan> = all(&context.hub.client, district.hub_namespace()).await?;
    site_of(application, &plans, district)
}

/// The site where an application runs, by the plans of its namespace.
///
/// # Errors
/// If no site is stated, or the stated one is not the district's.
pub fn site_of(application: &str, plans: &[RecoveryPlan], district: &District) -> Result<AllottedSite> {
    let site = sites::site_of_application(application, plans, district);
    allotted_site(district, &site.map_err(|error| Error::invalid(error.reason(), error.to_string()))?)
}

/// Where a plan's applications run, and where they would be recovered.
///
/// # Errors
/// If a site is stated neither by the plan nor by the district, or is not the district's.
pub fn plan_sites(plan: &RecoveryPlan, district: &District) -> Result<(AllottedSite, AllottedSite)> {
    let sites = sites::sites_of_plan(plan.status.as_ref(), &plan.spec, district).map_err(|error| Error::invalid(error.reason(), error.to_string()))?;
    Ok((allotted_site(district, &sites.active)?, allotted_site(district, &sites.target)?))
}

/// Refuses an application of which an older one of its district has a namespace: the two would save and restore each other's objects.
///
/// # Errors
/// `NamespaceTaken`, with the namespace and whose it is.
pub async fn refuse_taken_namespaces(context: &Context, application: &Application) -> Result<()> {
    let namespace = application.namespace().unwrap_or_default();
    let taken = context.cache.filter_map(Some(&namespace), |other: &Application| taken_namespace(application, other)).await?;
    taken.into_iter().min().map_or(Ok(()), |taken| Err(Error::invalid(taken.reason(), taken.to_string())))
}

/// Refuses an application that reaches beyond its district or its own namespaces.
///
/// # Errors
/// `NamespaceNotAllotted`, with the namespace.
pub fn refuse_foreign_namespaces(district: &District, application: &Application) -> Result<()> {
    sites::refuse_foreign_namespaces(district, &application.name_any(), &application.spec).map_err(|error| Error::invalid(error.reason(), error.to_string()))
}
