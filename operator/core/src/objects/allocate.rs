//! Numbers and addresses of a Service that this cluster can't give it.

use super::{group, kind};
use serde_json::Value;

/// Takes out of a Service what the API server refused at these fields, so that it allots others. Returns what it took out, as a text that counts; none if there
/// is nothing of the kind.
pub fn allocate_anew(service: &mut Value, refused: &[&str]) -> Option<&'static str> {
    if (group(service), kind(service)) != ("", "Service") {
        return None;
    }
    let spec = service.get_mut("spec")?.as_object_mut()?;
    for field in refused {
        if let Some(index) = field.strip_prefix("spec.ports[").and_then(|rest| rest.strip_suffix("].nodePort")) {
            let port = spec.get_mut("ports").and_then(|ports| ports.get_mut(index.parse::<usize>().ok()?)).and_then(Value::as_object_mut);
            if port.is_some_and(|port| port.remove("nodePort").is_some()) {
                return Some("nodePort taken or out of range, another was allotted");
            }
        }
        if *field == "spec.healthCheckNodePort" && spec.remove("healthCheckNodePort").is_some() {
            return Some("healthCheckNodePort taken or out of range, another was allotted");
        }
        let headless = spec.get("clusterIP").and_then(Value::as_str) == Some("None");
        if field.starts_with("spec.clusterIP") && !headless && (spec.remove("clusterIP").is_some() | spec.remove("clusterIPs").is_some()) {
            return Some("clusterIP taken or out of range, another was allotted");
        }
        if field.starts_with("spec.ipFamil") && (spec.remove("ipFamilies").is_some() | spec.remove("ipFamilyPolicy").is_some()) {
            spec.remove("clusterIPs");
            return Some("IP families that this cluster doesn't have, its own were chosen");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_b6_only_what_was_refused_is_allotted_anew() {
        let spec = || json!({"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081}]});
        for (field, gone) in [
            ("spec.ports[1].nodePort", &["/spec/ports/1/nodePort"][..]),
            ("spec.clusterIPs", &["/spec/clusterIP", "/spec/clusterIPs"]),
            ("spec.clusterIP", &["/spec/clusterIP", "/spec/clusterIPs"]),
            ("spec.ipFamilies[1]", &["/spec/ipFamilies", "/spec/ipFamilyPolicy", "/spec/clusterIPs"]),
        ] {
            let mut service = json!({"apiVersion": "v1", "kind": "Service", "spec": spec()});
            assert!(allocate_anew(&mut service, &[field]).is_some(), "{field}");
            let all = ["/spec/ports/0/nodePort", "/spec/ports/1/nodePort", "/spec/clusterIP", "/spec/clusterIPs", "/spec/ipFamilies", "/spec/ipFamilyPolicy"];
            for place in all {
                assert_eq!(service.pointer(place).is_none(), gone.contains(&place), "{field}: {place}");
            }
        }
        let mut service = json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "None"}});
        assert_eq!(allocate_anew(&mut service, &["spec.clusterIP", "spec.type"]), None);
        let mut other = json!({"apiVersion": "v1", "kind": "ConfigMap", "spec": spec()});
        assert_eq!(allocate_anew(&mut other, &["spec.clusterIP"]), None);
    }
}
