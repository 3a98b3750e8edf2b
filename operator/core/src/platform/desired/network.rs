//! Isolation by NetworkPolicy: restricts incoming traffic only. Outgoing traffic is restricted at its destination.

use super::{Document, Owner, Place};
use p861_crds::{
    PlatformSpec,
    names::{DEPARTMENT_LABEL, DISTRICT_LABEL, DRILL_LABEL},
    platform::{
        platform::{AllowedFlow, Isolation},
        profile::Layer,
    },
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The policies of every namespace.
pub fn network_policies(spec: &PlatformSpec, owner: Owner<'_>, places: &[Place]) -> Vec<Document> {
    if spec.network.isolation == Isolation::None {
        return Vec::new();
    }
    let gateways: BTreeSet<&str> = spec
        .network
        .gateways
        .iter()
        .flat_map(|gateway| &gateway.sites)
        .filter(|at| at.site_ref.name == owner.site)
        .map(|at| at.gateway_ref.namespace.as_str())
        .collect();
    let mut all = Vec::new();
    for place in places {
        let mut policy = |name: &str, ingress: Value| {
            let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress});
            all.push(owner.document(Layer::Network, "networking.k8s.io/v1", "NetworkPolicy", name, Some(&place.namespace), json!({"spec": spec})));
        };
        policy("p861-default-deny", json!([]));
        policy("p861-inside", json!([{"from": [inside(spec.network.isolation, owner, place, places)]}]));
        if !gateways.is_empty() {
            let from: Vec<Value> = gateways.iter().map(|namespace| json!({"namespaceSelector": {"matchLabels": {NAME_LABEL: namespace}}})).collect();
            policy("p861-gateways", json!([{"from": from}]));
        }
        for flow in spec
            .network
            .allow
            .iter()
            .filter(|flow| flow.to.department == place.department && flow.to.namespace.as_ref().is_none_or(|namespace| *namespace == place.namespace))
        {
            policy(&format!("p861-allow-{}", flow.name), allowed(flow, owner, places).into_iter().collect());
        }
    }
    all
}

/// Sources that are always allowed. A drill's copies also carry the district's label: their own policies isolate them, and these policies exclude them, too. Labels of a
/// namespace can be written by whoever administers it, and its name can't: where the names are known, they must be right as well.
fn inside(isolation: Isolation, owner: Owner<'_>, place: &Place, places: &[Place]) -> Value {
    let mut labels = json!({DISTRICT_LABEL: owner.district});
    let mut expressions = vec![json!({"key": DRILL_LABEL, "operator": "DoesNotExist"})];
    if isolation == Isolation::Department {
        labels[DEPARTMENT_LABEL] = json!(place.department);
        expressions.push(named(places.iter().filter(|other| other.department == place.department)));
    }
    json!({"namespaceSelector": {"matchLabels": labels, "matchExpressions": expressions}})
}

fn named<'a>(places: impl Iterator<Item = &'a Place>) -> Value {
    let names: BTreeSet<&str> = places.map(|place| place.namespace.as_str()).collect();
    json!({"key": NAME_LABEL, "operator": "In", "values": names})
}

/// The rule of an allowed flow; none while its department has no such namespace on the site. An empty list of sources would mean everybody.
fn allowed(flow: &AllowedFlow, owner: Owner<'_>, places: &[Place]) -> Option<Value> {
    let is_source =
        |place: &&Place| place.department == flow.from.department && flow.from.namespace.as_ref().is_none_or(|namespace| *namespace == place.namespace);
    places.iter().find(is_source)?;
    let labels = json!({DISTRICT_LABEL: owner.district, DEPARTMENT_LABEL: flow.from.department});
    let sources = json!({"matchLabels": labels, "matchExpressions": [named(places.iter().filter(is_source))]});
    let mut rule = json!({"from": [{"namespaceSelector": sources}]});
    if !flow.ports.is_empty() {
        rule["ports"] = flow.ports.iter().map(|port| json!({"port": port.port, "protocol": port.protocol})).collect();
    }
    Some(rule)
}
