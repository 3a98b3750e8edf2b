//! Where a district's applications run, and which namespaces of its sites are its own.

use super::age::age;
use crate::{
    ids::SiteName,
    recovery::standing::members,
    runs::{Allotment, Scope},
};
use p861_crds::{
    ApplicationSpec, District, Reason, RecoveryPlan, RecoveryPlanSpec, RecoveryPlanStatus,
    platform::district::{DistrictSite, SiteRole},
};
use std::collections::BTreeSet;

/// A plan or a district names no site where one is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteMissing {
    /// The district has no primary site.
    #[error("district {0} has no site with role Primary")]
    Primary(String),
    /// The district has no standby site.
    #[error("district {0} has no site with role Standby: add one to spec.sites")]
    Standby(String),
    /// The plan states its sites, but no standby.
    #[error("spec.sites.standbySiteRefs is empty: name a site")]
    PlanStandby,
}

impl SiteMissing {
    /// The reason of the API.
    pub fn reason(&self) -> Reason {
        Reason::SiteMissing
    }
}

fn site_of_role(district: &District, role: SiteRole) -> Option<SiteName> {
    district.spec.sites.iter().find(|site| site.role == role).map(|DistrictSite { site_ref, .. }| site_ref.name.as_str().into())
}

/// The site where a plan's applications run at home: the plan's own, or the district's primary.
///
/// # Errors
/// [`SiteMissing`] if neither is stated.
pub fn home_site(spec: Option<&RecoveryPlanSpec>, district: &District) -> Result<SiteName, SiteMissing> {
    match spec.and_then(|spec| spec.sites.as_ref()) {
        Some(sites) => Ok(sites.home_site_ref.name.as_str().into()),
        None => site_of_role(district, SiteRole::Primary).ok_or_else(|| SiteMissing::Primary(district.hub_namespace().to_owned())),
    }
}

/// The site where applications run: the active site of their plan, or home as long as no plan says more.
///
/// The status decides over every spec: a site that a failover has moved to stays active whatever is declared.
///
/// # Errors
/// [`SiteMissing`] if neither plan nor district states a home.
pub fn active_site(status: Option<&RecoveryPlanStatus>, spec: Option<&RecoveryPlanSpec>, district: &District) -> Result<SiteName, SiteMissing> {
    match status.and_then(|status| status.active_site.as_deref()) {
        Some(active) => Ok(active.into()),
        None => home_site(spec, district),
    }
}

/// The plan that an application belongs to: the oldest that names it, since a younger one is not Ready.
pub fn plan_of<'a>(application: &str, plans: &'a [RecoveryPlan]) -> Option<&'a RecoveryPlan> {
    let naming = plans.iter().filter(|plan| members(&plan.spec).any(|member| member == application));
    naming.min_by_key(|plan| age(&plan.metadata))
}

/// The site where one application runs.
///
/// # Errors
/// As [`active_site`].
pub fn site_of_application(application: &str, plans: &[RecoveryPlan], district: &District) -> Result<SiteName, SiteMissing> {
    let plan = plan_of(application, plans);
    active_site(plan.and_then(|plan| plan.status.as_ref()), plan.map(|plan| &plan.spec), district)
}

/// The sites where applications run: the primary if there are none.
///
/// # Errors
/// As [`active_site`].
pub fn active_sites(applications: impl IntoIterator<Item = String>, plans: &[RecoveryPlan], district: &District) -> Result<BTreeSet<SiteName>, SiteMissing> {
    let mut sites = BTreeSet::new();
    for application in applications {
        sites.insert(site_of_application(&application, plans, district)?);
    }
    if sites.is_empty() {
        sites.insert(home_site(None, district)?);
    }
    Ok(sites)
}

/// The two sites of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SitesOfPlan {
    /// Where its applications run.
    pub active: SiteName,
    /// Where they would be recovered: the standby, or home while the standby is active.
    pub target: SiteName,
}

/// The two sites of a plan.
///
/// # Errors
/// [`SiteMissing`] if a site is stated neither by the plan nor by the district.
pub fn sites_of_plan(status: Option<&RecoveryPlanStatus>, spec: &RecoveryPlanSpec, district: &District) -> Result<SitesOfPlan, SiteMissing> {
    let standby = match &spec.sites {
        Some(sites) => sites.standby_site_refs.first().map(|site| site.name.as_str().into()).ok_or(SiteMissing::PlanStandby)?,
        None => site_of_role(district, SiteRole::Standby).ok_or_else(|| SiteMissing::Standby(district.hub_namespace().to_owned()))?,
    };
    let active = active_site(status, Some(spec), district)?;
    let target = if active == standby { home_site(Some(spec), district)? } else { standby };
    Ok(SitesOfPlan { active, target })
}

/// Whether a namespace of a site is the district's to put something into: allotted to it, no copy that a drill has made, and not its own namespace on the hub.
pub fn takes_objects(district: &District, namespace: &str) -> bool {
    Scope::of(district).is_own(namespace)
}

/// Whether a namespace of a site is the district's.
pub fn is_allotted(district: &District, namespace: &str) -> bool {
    Allotment::of(district).holds(namespace)
}

/// An application reaches beyond its district or beyond its own namespaces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignNamespace {
    /// A namespace of the application is not the district's.
    #[error(
        "application {application}: namespace {namespace} is not the district's: it must begin with {district}- or stand in spec.siteNamespaces of District {district}"
    )]
    OfDistrict {
        /// The Application's name.
        application: String,
        /// The namespace.
        namespace: String,
        /// The District's name.
        district: String,
    },
    /// A namespace of the application is allotted to the district, and is not for applications.
    #[error(
        "application {application}: namespace {namespace} is not for applications: the names of drills' copies have `--drill-` in them, and a district's own namespace on the hub is for its objects: choose another"
    )]
    Reserved {
        /// The Application's name.
        application: String,
        /// The namespace.
        namespace: String,
    },
    /// A command or workload is in a namespace that is not the application's.
    #[error("application {application}: a workloadRef names namespace {namespace}, which is not in spec.namespaces: add it there, if it is the district's")]
    OfApplication {
        /// The Application's name.
        application: String,
        /// The namespace.
        namespace: String,
    },
}

impl ForeignNamespace {
    /// The reason of the API.
    pub fn reason(&self) -> Reason {
        Reason::NamespaceNotAllotted
    }
}

/// Refuses an application that reaches beyond its district: by a namespace that is not the district's, or by a command in a namespace that is not its own.
///
/// # Errors
/// [`ForeignNamespace`], with the first such namespace.
pub fn refuse_foreign_namespaces(district: &District, application: &str, spec: &ApplicationSpec) -> Result<(), ForeignNamespace> {
    if let Some(foreign) = spec.namespaces.iter().find(|namespace| !is_allotted(district, namespace)) {
        let district = district.metadata.name.clone().unwrap_or_default();
        return Err(ForeignNamespace::OfDistrict { application: application.into(), namespace: foreign.clone(), district });
    }
    if let Some(reserved) = spec.namespaces.iter().find(|namespace| !takes_objects(district, namespace)) {
        return Err(ForeignNamespace::Reserved { application: application.into(), namespace: reserved.clone() });
    }
    let mut named = spec.workload_refs().filter_map(|workload| workload.namespace.as_ref());
    match named.find(|namespace| !spec.namespaces.contains(namespace)) {
        Some(foreign) => Err(ForeignNamespace::OfApplication { application: application.into(), namespace: foreign.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn district(roles: &[(&str, &str)], namespaces: &Value) -> District {
        let sites: Vec<Value> = roles.iter().map(|(name, role)| json!({"siteRef": {"name": name}, "role": role})).collect();
        let mut spec = json!({"code": "370202", "names": {"en": "Shinan"}, "sites": sites});
        if !namespaces.is_null() {
            spec["siteNamespaces"] = namespaces.clone();
        }
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"}, "spec": spec}))
            .expect("a district")
    }

    fn both() -> District {
        district(&[("edge", "Edge"), ("home", "Primary"), ("away", "Standby")], &Value::Null)
    }

    fn plan(name: &str, created: &str, sites: &Value, active: Option<&str>) -> RecoveryPlan {
        let mut spec = json!({"repositoryRef": {"name": "r"}, "groups": [{"name": "all", "members": [{"applicationRef": {"name": "portal"}}]}]});
        if !sites.is_null() {
            spec["sites"] = sites.clone();
        }
        let status = active.map_or_else(|| json!({}), |active| json!({"activeSite": active, "epoch": 2}));
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "RecoveryPlan",
            "metadata": {"name": name, "creationTimestamp": created}, "spec": spec, "status": status}))
        .expect("a plan")
    }

    const OLD: &str = "2026-01-01T00:00:00Z";
    const NEW: &str = "2026-06-01T00:00:00Z";

    #[test]
    fn a_plan_is_active_where_its_status_says_and_at_home_before_any_failover() {
        let own = json!({"homeSiteRef": {"name": "own-home"}, "standbySiteRefs": [{"name": "own-away"}]});
        for (case, sites, active, expected) in [
            ("the district's sites", Value::Null, None, ("home", "away")),
            ("active at home", Value::Null, Some("home"), ("home", "away")),
            ("failed over", Value::Null, Some("away"), ("away", "home")),
            ("its own sites", own.clone(), None, ("own-home", "own-away")),
            ("its own sites, failed over", own.clone(), Some("own-away"), ("own-away", "own-home")),
            ("active on a third site", own, Some("third"), ("third", "own-away")),
        ] {
            let plan = plan("p", OLD, &sites, active);
            let district = both();
            let found = sites_of_plan(plan.status.as_ref(), &plan.spec, &district).expect("sites");
            assert_eq!((found.active.as_str(), found.target.as_str()), expected, "{case}");
            assert_eq!(active_site(plan.status.as_ref(), Some(&plan.spec), &district), Ok(expected.0.into()), "{case}");
        }
    }

    #[test]
    fn an_application_runs_where_its_oldest_plan_is_active_and_without_one_on_the_primary() {
        let district = both();
        let (old, new) = (plan("z", OLD, &Value::Null, Some("away")), plan("a", NEW, &Value::Null, Some("home")));
        for (case, application, plans, expected) in [
            ("no plan", "portal", vec![], "home"),
            ("a plan of others", "mail", vec![old.clone()], "home"),
            ("failed over", "portal", vec![old.clone()], "away"),
            ("in two plans", "portal", vec![new, old], "away"),
        ] {
            assert_eq!(site_of_application(application, &plans, &district), Ok(expected.into()), "{case}");
        }
    }

    #[test]
    fn a_site_that_nobody_states_is_asked_for() {
        let plan = plan("p", OLD, &Value::Null, None);
        let sites = |district: &District| sites_of_plan(None, &plan.spec, district).map(|_| ()).map_err(|error| error.to_string());
        let (no_standby, no_primary) = (district(&[("home", "Primary")], &Value::Null), district(&[("away", "Standby")], &Value::Null));
        assert_eq!(sites(&no_standby), Err("district shinan has no site with role Standby: add one to spec.sites".into()));
        assert_eq!(sites(&no_primary), Err("district shinan has no site with role Primary".into()));
        assert_eq!(site_of_application("portal", &[], &no_standby), Ok("home".into()), "running needs no standby");
    }

    #[test]
    fn a_namespace_is_the_districts_by_its_name_or_by_what_the_district_states() {
        let stated = json!({"prefixes": ["gov-"], "names": ["mail"]});
        for (namespaces, namespace, expected) in [
            (Value::Null, "shinan-portal", true),
            (Value::Null, "shinan", false),
            (Value::Null, "shinanx-portal", false),
            (Value::Null, "laoshan-portal", false),
            (json!({}), "shinan-portal", true),
            (stated.clone(), "gov-portal", true),
            (stated.clone(), "mail", true),
            (stated.clone(), "mail2", false),
            (stated, "shinan-portal", false),
        ] {
            assert_eq!(is_allotted(&district(&[], &namespaces), namespace), expected, "{namespaces} {namespace}");
        }
    }

    #[test]
    fn fault_e37_neither_a_drills_copy_nor_the_hub_namespace_takes_objects_of_a_district() {
        let district = district(&[], &json!({"prefixes": ["shinan"], "names": ["shinan-b--drill-abcde", "mail"]}));
        for (namespace, takes) in [("shinan-a", true), ("mail", true), ("shinan-a--drill-abcde", false), ("shinan-b--drill-abcde", false), ("shinan", false)] {
            assert_eq!(takes_objects(&district, namespace), takes, "{namespace}");
        }
    }

    #[test]
    fn an_application_stays_within_its_district_and_its_own_namespaces() {
        for (namespaces, workload, problem) in [
            (json!(["shinan-a"]), json!({"kind": "Deployment", "name": "web"}), None),
            (json!(["shinan-a", "shinan-b"]), json!({"kind": "Deployment", "name": "web", "namespace": "shinan-b"}), None),
            (json!(["shinan-a", "laoshan-b"]), json!({"kind": "Deployment", "name": "web"}), Some("namespace laoshan-b is not the district's")),
            (json!(["shinan-a--drill-abcde"]), json!({"kind": "Deployment", "name": "web"}), Some("namespace shinan-a--drill-abcde is not for applications")),
            (json!(["shinan-a"]), json!({"kind": "Deployment", "name": "web", "namespace": "shinan-b"}), Some("names namespace shinan-b, which is not in")),
        ] {
            let spec: ApplicationSpec =
                serde_json::from_value(json!({"department": "d", "namespaces": namespaces, "tiers": [{"name": "web", "workloadRefs": [workload]}]}))
                    .expect("a spec");
            let refused = refuse_foreign_namespaces(&both(), "portal", &spec).err().map(|error| error.to_string());
            match problem {
                None => assert_eq!(refused, None, "{namespaces}"),
                Some(problem) => assert!(refused.as_ref().is_some_and(|refused| refused.contains(problem)), "{namespaces}: {refused:?}"),
            }
        }
    }
}
