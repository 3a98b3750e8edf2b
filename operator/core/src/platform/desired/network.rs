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
        policy("p861-inside", json!([{"from": [inside(spec.network.isolation, owner, place)]}]));
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
            policy(&format!("p861-allow-{}", flow.name), json!([allowed(flow, owner)]));
        }
    }
    all
}

/// Sources that are always allowed. A drill's copies also carry the district's label: their own policies isolate them, and these policies exclude them, too.
fn inside(isolation: Isolation, owner: Owner<'_>, place: &Place) -> Value {
    let mut labels = json!({DISTRICT_LABEL: owner.district});
    if isolation == Isolation::Department {
        labels[DEPARTMENT_LABEL] = json!(place.department);
    }
    json!({"namespaceSelector": {"matchLabels": labels, "matchExpressions": [{"key": DRILL_LABEL, "operator": "DoesNotExist"}]}})
}

fn allowed(flow: &AllowedFlow, owner: Owner<'_>) -> Value {
    let mut labels = json!({DISTRICT_LABEL: owner.district, DEPARTMENT_LABEL: flow.from.department});
    if let Some(namespace) = &flow.from.namespace {
        labels[NAME_LABEL] = json!(namespace);
    }
    let mut rule = json!({"from": [{"namespaceSelector": {"matchLabels": labels}}]});
    if !flow.ports.is_empty() {
        rule["ports"] = flow.ports.iter().map(|port| json!({"port": port.port, "protocol": port.protocol})).collect();
    }
    rule
}
