//! Where the mover of such a run works: it needs no claim and no object of any application, only a way to the repository.

use crate::{conditions::is_true, ids::SiteName, runs::Allotment};
use p861_crds::{Application, ConditionType, District, Site};
use std::collections::BTreeSet;

/// A namespace that no application has. Where it doesn't exist, the mover is in the product's own namespace.
const NOBODYS: &str = "p861-retention";

/// The site and the namespace of the mover: on a site that answers, in the repository's failure domain if the district has one there, else where its applications are active.
/// None if none of the district's sites is declared.
pub fn place(district: &District, domain: &str, sites: &[Site], active: &BTreeSet<SiteName>, applications: &[Application]) -> Option<(SiteName, String)> {
    let declared = district.spec.sites.iter().filter_map(|of_district| {
        let name = of_district.site_ref.name.as_str();
        let site = sites.iter().find(|site| site.metadata.name.as_deref() == Some(name))?;
        let answers = site.status.as_ref().is_some_and(|status| is_true(&status.conditions, ConditionType::Reachable));
        Some((answers, site.spec.failure_domain == domain, active.contains(name), SiteName::from(name)))
    });
    // The first of several that are as good.
    let mut best: Option<(bool, bool, bool, SiteName)> = None;
    for found in declared {
        if best.as_ref().is_none_or(|best| (found.0, found.1, found.2) > (best.0, best.1, best.2)) {
            best = Some(found);
        }
    }
    let (.., site) = best?;
    Some((site, namespace(district, applications)))
}

/// The first namespace of the first application, all by name.
fn namespace(district: &District, applications: &[Application]) -> String {
    let allotment = Allotment::of(district);
    let of_applications = applications.iter().flat_map(|application| &application.spec.namespaces).filter(|namespace| allotment.holds(namespace));
    let stated = district.spec.site_namespaces.clone().unwrap_or_default();
    let first_name = of_applications.min().cloned().or_else(|| stated.names.first().cloned());
    first_name.unwrap_or_else(|| {
        let own = format!("{}-", district.metadata.name.as_deref().unwrap_or_default());
        format!("{}{NOBODYS}", stated.prefixes.first().unwrap_or(&own))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn district(namespaces: &Value) -> District {
        let sites = json!([{"siteRef": {"name": "home"}, "role": "Primary"}, {"siteRef": {"name": "hill"}, "role": "Standby"}, {"siteRef": {"name": "edge"}, "role": "Edge"}]);
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": sites, "siteNamespaces": namespaces}}))
        .expect("a district")
    }

    fn site(name: &str, domain: &str, answers: bool) -> Site {
        let reachable = if answers { "True" } else { "False" };
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Site", "metadata": {"name": name},
            "spec": {"failureDomain": domain, "access": {"inCluster": {}}},
            "status": {"conditions": [{"type": "Reachable", "status": reachable, "reason": "x", "message": "", "lastTransitionTime": "2026-11-15T00:00:00Z"}]}}))
        .expect("a site")
    }

    fn application(namespaces: &[&str]) -> Application {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"},
            "spec": {"department": "d", "namespaces": namespaces}}))
        .expect("an application")
    }

    #[test]
    fn it_works_on_a_site_that_answers_near_the_repository_if_there_is_one() {
        let active = BTreeSet::from([SiteName::from("home")]);
        for (sites, expected) in [
            (vec![site("home", "city", true), site("hill", "hill", true)], Some("hill")),
            (vec![site("home", "city", true), site("hill", "hill", false)], Some("home")),
            (vec![site("edge", "shore", true), site("home", "city", true)], Some("home")),
            (vec![site("edge", "shore", true), site("home", "city", false)], Some("edge")),
            (vec![site("edge", "shore", false), site("home", "city", false)], Some("home")),
            (vec![site("another", "hill", true)], None),
        ] {
            let found = place(&district(&Value::Null), "hill", &sites, &active, &[]).map(|(site, _)| site.to_string());
            assert_eq!(found.as_deref(), expected, "{:?}", sites.iter().map(|site| site.metadata.name.as_deref()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn its_namespace_is_one_of_the_districts_also_if_there_is_no_application() {
        for (allotted, applications, expected) in [
            (Value::Null, vec![application(&["shinan-portal", "shinan-approval"]), application(&["kube-system"])], "shinan-approval"),
            (Value::Null, vec![], "shinan-p861-retention"),
            (json!({"names": ["portal"]}), vec![], "portal"),
            (json!({"prefixes": ["sn-"]}), vec![application(&["shinan-portal"])], "sn-p861-retention"),
        ] {
            let district = district(&allotted);
            assert_eq!(namespace(&district, &applications), expected, "{allotted}");
            assert!(Allotment::of(&district).holds(expected), "{expected}");
        }
    }
}
