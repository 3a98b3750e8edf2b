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
pub mod run;
pub mod site;
pub mod ticket;
pub mod window;

use crate::context::Context;
use kube::ResourceExt as _;
use p861_crds::{Application, District, RecoveryPlan};
use p861_runs::error::{Error, Result};
pub use p861_runs::hub::{all, district_of, is_allotted, named};

/// The same as the hub is known. One that isn't known yet is asked for: a district and what is in it may come in one breath.
pub async fn known_district(context: &Context, namespace: &str) -> Result<District> {
    let known = context.known.pick(None, |district: &District| (district.hub_namespace() == namespace).then(|| district.clone())).await?;
    match known.into_iter().next() {
        Some(district) => Ok(district),
        None => district_of(&context.hub.client, namespace).await,
    }
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
