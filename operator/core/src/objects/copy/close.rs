//! What closes the pods of a copy, in whatever kind and place their templates stand: templates are found by their shape.
//!
//! NetworkPolicies hold for a pod's own network only. So nothing of a copy shares a namespace, a port or a path with its node, and nothing makes the node's kubelet
//! connect elsewhere for it: neither a volume of the outside nor a probe of another host. And its names are answered by the copy's own DNS.

use super::{claims, group, kind};
use crate::{isolation, runs::CopyRules};
use p861_crds::names::{ROLE_LABEL, RUN_LABEL};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// How an object is written otherwise than it was saved.
pub(super) const WITHOUT_NODE: &str = "in the copy without what its pods share with their node or mount from outside";

/// Fields by which a pod shares something with its node.
const SHARED_WITH_NODE: &[&str] = &["hostNetwork", "hostPID", "hostIPC", "hostPort", "hostProcess"];
/// Volumes that are the pod's own, or data of its namespace. Any other is mounted by the node, from the node or from outside.
const OWN_VOLUMES: &[&str] = &["configMap", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];
/// Maps of texts, which have no fields of a pod.
const MAPS_OF_TEXTS: &[&str] = &["annotations", "labels", "matchLabels", "nodeSelector"];
/// Maps that can hold a label of ours.
const MAPS_OF_LABELS: &[&str] = &["labels", "matchLabels", "selector"];
/// Lists of containers.
const CONTAINERS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];
/// What a kubelet connects to for a container.
const CONNECTED_TO: &[&str] = &["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
/// Search domains that every API server takes.
const MAX_SEARCHES: usize = 32;
/// Servers that every resolver asks.
const MAX_NAMESERVERS: usize = 3;
/// As a kubelet sets it.
const NDOTS: &str = "5";
/// Nobody answers there: without an address of the copy's DNS no name is answered.
const NO_RESOLVER: &str = "127.0.0.1";

/// Closes an object. Returns whether its pods shared anything with their node or mounted anything from outside.
pub(super) fn close(object: &mut Value, namespace: &str, rules: &CopyRules) -> bool {
    // Their content is data, whatever it looks like.
    if matches!((group(object), kind(object)), ("", "ConfigMap" | "Secret")) {
        return false;
    }
    let mut closed = false;
    visit(object, &mut |fields| {
        closed |= without_node(fields);
        if is_pod_spec(fields) {
            closed |= own_volumes(fields);
            closed |= own_connections(fields);
            names(fields, namespace, &rules.resolver);
            // An outside controller would have to say that the pod is ready.
            fields.remove("readinessGates");
        }
    });
    closed
}

/// Takes our labels off, wherever they stand: a pod with the movers' role would have the movers' way out of the copy.
pub(super) fn without_our_labels(object: &mut Value) {
    visit(object, &mut |fields| {
        for map in MAPS_OF_LABELS {
            if let Some(labels) = fields.get_mut(*map).and_then(Value::as_object_mut) {
                labels.remove(ROLE_LABEL);
                labels.remove(RUN_LABEL);
            }
        }
    });
}

/// Goes over every map in a value, the outer first.
fn visit(value: &mut Value, each: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            each(fields);
            for (_, inner) in fields.iter_mut().filter(|(field, _)| !MAPS_OF_TEXTS.contains(&field.as_str())) {
                visit(inner, each);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a map is the spec of a pod, or a part of one that a custom resource hands on.
fn is_pod_spec(fields: &Map<String, Value>) -> bool {
    fields.get("containers").and_then(Value::as_array).and_then(|containers| containers.first()).is_some_and(Value::is_object)
}

fn without_node(fields: &mut Map<String, Value>) -> bool {
    let before = fields.len();
    // A flag that is off shares nothing.
    let shares = SHARED_WITH_NODE.iter().any(|field| fields.get(*field).is_some_and(|value| *value != Value::Bool(false)));
    fields.retain(|field, _| !SHARED_WITH_NODE.contains(&field.as_str()));
    if fields.contains_key("containerPort") {
        fields.remove("hostIP");
    }
    let path = fields.remove("hostPath").is_some();
    if path && fields.len() == 1 && fields.contains_key("name") {
        // What mounts it finds an empty folder.
        fields.insert("emptyDir".into(), json!({}));
    }
    (shares && fields.len() < before) || path
}

/// Makes every volume that is not the pod's own an empty folder.
fn own_volumes(pod: &mut Map<String, Value>) -> bool {
    let mut closed = false;
    for volume in pod.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_own = |field: &String| field == "name" || OWN_VOLUMES.contains(&field.as_str());
        if !volume.keys().all(is_own) {
            volume.retain(|field, _| field == "name");
            volume.insert("emptyDir".into(), json!({}));
            closed = true;
        }
        if let Some(claim) = volume.get_mut("ephemeral").and_then(|ephemeral| ephemeral.pointer_mut("/volumeClaimTemplate/spec")?.as_object_mut()) {
            claims::close(claim);
        }
    }
    closed
}

/// Probes and hooks of a container are its kubelet's connections, for which no policy of the copy holds: they go to the pod itself.
fn own_connections(pod: &mut Map<String, Value>) -> bool {
    let mut closed = false;
    for list in CONTAINERS {
        for container in pod.get_mut(*list).and_then(Value::as_array_mut).into_iter().flatten() {
            for place in CONNECTED_TO {
                for handler in ["httpGet", "tcpSocket"] {
                    let handler = container.pointer_mut(place).and_then(|probe| probe.get_mut(handler)?.as_object_mut());
                    closed |= handler.is_some_and(|handler| handler.remove("host").is_some());
                }
            }
        }
    }
    closed
}

/// Has the pod ask the copy's DNS and no other. Search domains and options of its own stay, after those that a kubelet would give it.
fn names(pod: &mut Map<String, Value>, namespace: &str, resolver: &[IpAddr]) {
    let own = pod.remove("dnsConfig").unwrap_or_default();
    let list = |field: &str| own.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut searches: Vec<Value> = isolation::searches(namespace).into_iter().map(Value::from).collect();
    for search in list("searches") {
        if !searches.contains(&search) && searches.len() < MAX_SEARCHES {
            searches.push(search);
        }
    }
    let mut options = list("options");
    if !options.iter().any(|option| option.get("name").and_then(Value::as_str) == Some("ndots")) {
        options.push(json!({"name": "ndots", "value": NDOTS}));
    }
    let mut servers: Vec<String> = resolver.iter().take(MAX_NAMESERVERS).map(IpAddr::to_string).collect();
    if servers.is_empty() {
        servers.push(NO_RESOLVER.into());
    }
    pod.insert("dnsPolicy".into(), json!("None"));
    pod.insert("dnsConfig".into(), json!({"nameservers": servers, "searches": searches, "options": options}));
}
