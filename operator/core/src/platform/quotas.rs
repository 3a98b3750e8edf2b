//! Departments' quotas, divided over their namespaces on a site.

use super::{
    desired::{self, Document, Owner, Place},
    facts::QuotaFacts,
    quota,
};
use p861_crds::{PlatformSpec, common::Quantity, platform::profile::Layer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What each namespace uses, in a resource's unit.
pub type Usage = BTreeMap<String, BTreeMap<String, i64>>;

/// ResourceQuotas of all namespaces, and usage against the departments' quotas. `counted` is the API server's count, for resources that we don't count.
pub fn divide(
    spec: &PlatformSpec,
    owner: Owner<'_>,
    places: &[Place],
    usage: &Usage,
    counted: &BTreeMap<String, BTreeMap<String, String>>,
) -> (Vec<Document>, Vec<QuotaFacts>) {
    let (mut documents, mut facts) = (Vec::new(), Vec::new());
    let servers = spec.servers.quotas.iter().map(|quota| (Layer::Servers, &quota.department, &quota.hard));
    let storage = spec.storage.quotas.iter().map(|quota| (Layer::Storage, &quota.department, &quota.hard));
    for (layer, department, hard) in servers.chain(storage) {
        let of_department: Vec<&Place> = places.iter().filter(|place| place.department == *department).collect();
        let shares = shares(layer, department, hard, &of_department, usage, counted, &mut facts);
        documents.extend(of_department.iter().zip(shares).map(|(place, share)| desired::resource_quota(owner, layer, &place.namespace, &share)));
    }
    (documents, facts)
}

fn shares(
    layer: Layer,
    department: &str,
    hard: &BTreeMap<String, Quantity>,
    places: &[&Place],
    usage: &Usage,
    counted: &BTreeMap<String, BTreeMap<String, String>>,
    facts: &mut Vec<QuotaFacts>,
) -> Vec<Map<String, Value>> {
    let mut shares = vec![Map::new(); places.len()];
    for (resource, granted) in hard {
        let Some(total) = quota::read(resource, &granted.0) else { continue };
        let used: Vec<i64> = places
            .iter()
            .map(|place| {
                let ours = usage.get(&place.namespace).and_then(|usage| usage.get(resource)).copied();
                let theirs = || counted.get(&place.namespace).and_then(|used| used.get(resource)).and_then(|text| quota::read(resource, text));
                ours.or_else(theirs).unwrap_or_default()
            })
            .collect();
        let sum = used.iter().fold(0_i64, |sum, used| sum.saturating_add(*used));
        facts.push(QuotaFacts {
            layer,
            department: department.to_owned(),
            resource: resource.clone(),
            granted: granted.0.clone(),
            used: quota::write(resource, sum),
            exceeded: sum > total,
        });
        for (share, amount) in shares.iter_mut().zip(quota::divide(total, &used)) {
            share.insert(resource.clone(), Value::String(quota::write(resource, amount)));
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::platform::district::DistrictLimits;

    #[test]
    fn a_departments_total_is_divided_over_its_namespaces_and_over_no_others() {
        let spec: PlatformSpec = serde_saphyr::from_str("{servers: {quotas: [{department: a, hard: {pods: \"10\", requests.cpu: \"4\"}}]}, storage: {quotas: [{department: a, hard: {requests.storage: 4Gi}}]}}").expect("a spec");
        let place = |namespace: &str, department: &str| Place { namespace: namespace.into(), department: department.into() };
        let places = [place("d-one", "a"), place("d-two", "a"), place("d-other", "b")];
        let usage: Usage = [("d-one".to_owned(), [("pods".to_owned(), 4), ("requests.cpu".to_owned(), 4500)].into())].into();
        let owner = Owner { district: "d", site: "s", limits: DistrictLimits::default() };
        let (documents, facts) = divide(&spec, owner, &places, &usage, &BTreeMap::new());
        let said: Vec<String> = documents
            .iter()
            .map(|document| format!("{} {} {}", document.object["metadata"]["namespace"], document.object["metadata"]["name"], document.object["spec"]["hard"]))
            .collect();
        assert_eq!(
            said,
            [
                r#""d-one" "p861-servers" {"pods":"7","requests.cpu":"4500m"}"#,
                r#""d-two" "p861-servers" {"pods":"3","requests.cpu":"0"}"#,
                r#""d-one" "p861-storage" {"requests.storage":"2Gi"}"#,
                r#""d-two" "p861-storage" {"requests.storage":"2Gi"}"#,
            ]
        );
        let exceeded: Vec<&str> = facts.iter().filter(|fact| fact.exceeded).map(|fact| fact.resource.as_str()).collect();
        assert_eq!(exceeded, ["requests.cpu"]);
    }
}
