//! Everything that is desired on one site.

use super::{Document, Owner, Place, admission, beyond_limits, namespace_labels, network_policies, priority_classes};
use crate::platform::{
    age::age,
    district::refuse_foreign_namespaces,
    facts::{QuotaFacts, Refused},
    quotas::{self, Usage},
};
use p861_crds::{Application, District, PlatformSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is desired on one site.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredSite {
    /// Labels of namespaces. Applied first: policies select by label, and must not cut off a department's own namespaces, not even briefly.
    pub labels: Vec<Document>,
    /// All other objects.
    pub objects: Vec<Document>,
    /// Departments' quotas as they were divided.
    pub quotas: Vec<QuotaFacts>,
    /// What is declared and beyond the District's limits: it is none of the objects.
    pub refused: Vec<Refused>,
}

/// What is desired on a site that has these namespaces. `counted` is the API server's count of what they use, for resources that we don't count.
pub fn of_site(spec: &PlatformSpec, owner: Owner<'_>, here: &[Place], usage: &Usage, counted: &BTreeMap<String, BTreeMap<String, String>>) -> DesiredSite {
    let (of_quotas, quotas) = quotas::divide(spec, owner, here, usage, counted);
    let mut objects = network_policies(spec, owner, here);
    objects.extend(of_quotas);
    objects.extend(priority_classes(spec, owner));
    objects.extend(admission(spec, owner));
    let labels = here.iter().map(|place| namespace_labels(spec, owner, place)).collect();
    DesiredSite { labels, objects, quotas, refused: beyond_limits(spec, owner) }
}

/// Namespaces of the district's applications, each with its department. A namespace of another district is skipped; the Application reports it.
pub fn places(district: &District, applications: &[Application]) -> Vec<Place> {
    let name = |application: &Application| application.metadata.name.clone().unwrap_or_default();
    let own = |application: &&Application| refuse_foreign_namespaces(district, &name(application), &application.spec).is_ok();
    let mut all: Vec<&Application> = applications.iter().filter(own).collect();
    // If two applications name one namespace, the older has it, as everywhere.
    all.sort_by(|one, other| age(&one.metadata).cmp(&age(&other.metadata)));
    let named = all.into_iter().flat_map(|application| {
        application.spec.namespaces.iter().map(|namespace| Place { namespace: namespace.clone(), department: application.spec.department.clone() })
    });
    let mut taken = BTreeSet::new();
    let mut places: Vec<Place> = named.filter(|place| taken.insert(place.namespace.clone())).collect();
    places.sort();
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn application(name: &str, created: &str, department: &str, namespaces: &[&str]) -> Application {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"names": {"zh": "门户", "en": "Portal"}, "department": department, "criticality": "Important", "namespaces": namespaces}}))
        .expect("an application")
    }

    #[test]
    fn a_namespace_is_of_the_oldest_application_that_names_it_and_of_its_own_district() {
        let district: District = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"zh": "区", "en": "d"}, "timeZone": "Asia/Shanghai", "sites": []}}))
        .expect("a district");
        let all = [
            application("young", "2026-01-02T00:00:00Z", "police", &["shinan-portal", "shinan-tax"]),
            application("old", "2026-01-01T00:00:00Z", "office", &["shinan-portal"]),
            application("foreign", "2026-01-01T00:00:00Z", "office", &["kube-system"]),
        ];
        let found: Vec<_> = places(&district, &all).into_iter().map(|place| (place.namespace, place.department)).collect();
        let expected = [("shinan-portal", "office"), ("shinan-tax", "police")].map(|(namespace, department)| (namespace.to_owned(), department.to_owned()));
        assert_eq!(found, expected);
    }
}
