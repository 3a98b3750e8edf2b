//! Services: what a cluster gave them, and what would reach outside an isolated copy.

use super::text;
use serde_json::{Value, json};

/// Fields of a Service in an isolated copy. Any other gives it a way from or to the outside, or is the choice of the cluster that it came from.
const OF_A_COPY: &[&str] =
    &["clusterIP", "externalName", "ports", "publishNotReadyAddresses", "selector", "sessionAffinity", "sessionAffinityConfig", "trafficDistribution", "type"];

/// Outside a copy a Service keeps its numbers: clients have them in their configuration. Its address is its own only under its own name; what this cluster can't
/// give is allotted anew where it is written.
pub(super) fn prepare(object: &mut Value, isolated: bool, moved: bool) {
    let headless = text(object, "/spec/clusterIP") == "None";
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if isolated || moved {
        spec.remove("clusterIPs");
        if !headless {
            spec.remove("clusterIP");
        }
    }
    if !isolated {
        return;
    }
    if matches!(spec.get("type").and_then(Value::as_str), Some("LoadBalancer" | "NodePort")) {
        spec.insert("type".into(), json!("ClusterIP"));
    }
    spec.retain(|field, _| OF_A_COPY.contains(&field.as_str()));
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}
