//! Changing an object that is there: in place, or, for few kinds and never for data, deleted and made again.

use super::{group, kind, name, stop::Runner, text};
use crate::told::Noun;
use serde_json::{Map, Value, json};

/// Kinds whose objects a restore may delete in order to make them again. They hold nothing that the backup doesn't give back, and what they own is orphaned.
/// A kind that nobody listed is never deleted.
const REPLACEABLE: &[(&str, &str)] = &[
    ("", "ConfigMap"),
    ("", "Endpoints"),
    ("", "Pod"),
    ("", "ReplicationController"),
    ("", "Secret"),
    ("", "Service"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
];

/// The longest grace period of a pod that is deleted to be made again: a restore waits for its end, and a longer wait could end with neither.
const MAX_GRACE_SECONDS: u64 = 30;
/// Labels that the API server generates for a Job and its pods.
pub(crate) const JOB_LABELS: [&str; 4] = ["controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"];
/// Beginning of the name of the token volume that admission adds to every pod.
pub(crate) const TOKEN_VOLUME_PREFIX: &str = "kube-api-access-";
/// Annotations that controllers keep for themselves; a backup doesn't have them.
const CONTROLLERS_ANNOTATIONS: &[&str] =
    &["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/", "control-plane.alpha.kubernetes.io/leader"];

/// The permission to delete one object, since it is made again at once. Only [`replaceable`] gives one. The deletion orphans what the object owns, and holds
/// only for the object with this UID.
#[derive(Debug, PartialEq, Eq)]
pub struct MayReplace {
    name: String,
    uid: String,
}

impl MayReplace {
    /// The object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object's UID: another object of the same name stays.
    pub fn uid(&self) -> &str {
        &self.uid
    }
}

/// Whether `live`, which can't be changed in place to `wanted`, may be deleted and made again.
///
/// # Errors
/// Why not, as a sentence: it holds data or may take some with it, its kind is not known to hold none, its pods run and would be left beside the new ones, or its
/// deletion may not end while the restore waits.
pub fn replaceable(live: &Value, wanted: &Value) -> Result<MayReplace, String> {
    let (group, kind) = (group(live), kind(live));
    let never = || Err(format!("a {kind} can't be changed in place, and a restore deletes no {kind}"));
    if !REPLACEABLE.contains(&(group, kind)) {
        return never();
    }
    let holds_data = match (group, kind) {
        // Its token is of this cluster: no backup gives it back.
        ("", "Secret") => text(live, "/type") == "kubernetes.io/service-account-token",
        ("", "Pod") => volumes(live).any(|volume| volume.get("emptyDir").is_some() || volume.get("ephemeral").is_some()),
        _ => false,
    };
    if holds_data {
        return Err(format!("this {kind} can't be changed in place, and it holds data that would go with it: delete it by hand if that may go"));
    }
    // Once it is being deleted there is no way back, and what doesn't end is lost.
    if let Some(finalizer) = live.pointer("/metadata/finalizers/0").and_then(Value::as_str) {
        return Err(format!(
            "this {kind} can't be changed in place, and its deletion would wait for the finalizer {finalizer}: delete it by hand if it may go"
        ));
    }
    let grace = live.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(MAX_GRACE_SECONDS);
    if kind == "Pod" && grace > MAX_GRACE_SECONDS {
        return Err(format!("this Pod can't be changed in place, and it may take {grace} s to end: delete it first"));
    }
    let pods = running_pods(live);
    // Pods of a StatefulSet are taken over by the new one, if it selects them.
    let taken_over = kind == "StatefulSet" && live.pointer("/spec/selector") == wanted.pointer("/spec/selector");
    if pods > 0 && !taken_over {
        return Err(format!(
            "this {kind} can't be changed in place while {} of it run, which would stay beside the new ones: stop it first",
            Noun::Pod.count(pods)
        ));
    }
    match text(live, "/metadata/uid") {
        "" => never(),
        uid => Ok(MayReplace { name: name(live).to_owned(), uid: uid.to_owned() }),
    }
}

/// A live object as it will be once what runs is stopped, for a look before that: nothing of it runs.
pub fn once_stopped(live: &Value) -> Value {
    let mut object = live.clone();
    if let Some(members) = object.as_object_mut().filter(|_| Runner::of(live).is_some()) {
        members.remove("status");
    }
    object
}

fn volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten()
}

/// Pods that a workload's status counts.
fn running_pods(workload: &Value) -> u64 {
    let at = match (group(workload), kind(workload)) {
        ("apps", "DaemonSet") => "/status/currentNumberScheduled",
        ("batch", "Job") => "/status/active",
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet") | ("", "ReplicationController") => "/status/replicas",
        _ => return 0,
    };
    workload.pointer(at).and_then(Value::as_u64).unwrap_or(0)
}

/// The object to put in the place of `live`: as `wanted`, so that fields which the backup doesn't have go, with all that the server and its controllers own.
pub fn in_place(wanted: &Value, live: &Value) -> Value {
    let mut object = wanted.clone();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        carry(&mut object, live, "/metadata", field, true);
    }
    // A finalizer is a promise of some controller: taking it away would break it. An owner of another kind of object keeps what it owns.
    carry(&mut object, live, "/metadata", "finalizers", true);
    carry(&mut object, live, "/metadata", "ownerReferences", false);
    carry(&mut object, live, "", "status", false);
    keep_entries(&mut object, live, "/metadata/annotations", |key| CONTROLLERS_ANNOTATIONS.iter().any(|known| key.starts_with(known)));
    match (group(live), kind(live)) {
        ("", "Service") => service(&mut object, live),
        ("", "ServiceAccount") => carry(&mut object, live, "", "secrets", false),
        ("", "Secret") if text(live, "/type") == "kubernetes.io/service-account-token" => carry(&mut object, live, "", "data", false),
        ("", "Pod") => pod(&mut object, live),
        ("batch", "Job") if object.pointer("/spec/manualSelector") != Some(&Value::Bool(true)) => {
            carry(&mut object, live, "/spec", "selector", true);
            for at in ["/metadata/labels", "/spec/template/metadata/labels"] {
                keep_entries(&mut object, live, at, |key| JOB_LABELS.contains(&key));
            }
        }
        _ => {}
    }
    object
}

/// Takes a field from the live object: always, or only where the wanted one has none.
fn carry(object: &mut Value, live: &Value, at: &str, field: &str, always: bool) {
    let kept = live.pointer(at).and_then(|parent| parent.get(field)).cloned();
    let Some(parent) = object.pointer_mut(at).and_then(Value::as_object_mut) else { return };
    match kept {
        Some(kept) if always || !parent.contains_key(field) => drop(parent.insert(field.into(), kept)),
        None if always => drop(parent.remove(field)),
        _ => {}
    }
}

/// Keeps those entries of a map of the live object that the wanted one lacks.
fn keep_entries(object: &mut Value, live: &Value, at: &str, keep: impl Fn(&str) -> bool) {
    let Some(kept) = live.pointer(at).and_then(Value::as_object) else { return };
    let kept: Map<String, Value> = kept.iter().filter(|(key, _)| keep(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    let Some((parent, last)) = at.rsplit_once('/').filter(|_| !kept.is_empty()) else { return };
    let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    if let Some(map) = parent.entry(last).or_insert_with(|| json!({})).as_object_mut() {
        for (key, value) in kept {
            map.entry(key).or_insert(value);
        }
    }
}

/// Addresses and ports that were given out stay with the Service, unless the wanted one has others or none at all.
fn service(object: &mut Value, live: &Value) {
    let headless = |service: &Value| text(service, "/spec/clusterIP") == "None";
    let outside = |service: &Value| text(service, "/spec/type") == "ExternalName";
    if outside(object) || outside(live) || headless(object) != headless(live) {
        return;
    }
    for field in ["clusterIP", "clusterIPs"] {
        carry(object, live, "/spec", field, true);
    }
    for field in ["ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        carry(object, live, "/spec", field, false);
    }
    if !matches!(text(object, "/spec/type"), "NodePort" | "LoadBalancer") {
        if let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.remove("healthCheckNodePort");
        }
        return;
    }
    let given: Vec<Value> = live.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
    for port in object.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = |other: &&Value| other.get("port") == port.get("port") && protocol(other) == protocol(port);
        let number = given.iter().find(same).and_then(|other| other.get("nodePort")).cloned();
        if let (Some(port), Some(number)) = (port.as_object_mut(), number) {
            port.entry("nodePort").or_insert(number);
        }
    }
}

fn protocol(port: &Value) -> &str {
    port.get("protocol").and_then(Value::as_str).unwrap_or("TCP")
}

/// What the scheduler and admission gave a pod.
fn pod(object: &mut Value, live: &Value) {
    for field in ["nodeName", "priority", "preemptionPolicy", "overhead", "ephemeralContainers", "tolerations"] {
        carry(object, live, "/spec", field, true);
    }
    let is_token = |entry: &&Value| entry.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with(TOKEN_VOLUME_PREFIX));
    let tokens: Vec<Value> = volumes(live).filter(is_token).cloned().collect();
    append(object, "/spec", "volumes", tokens);
    for list in ["initContainers", "containers"] {
        let running = live.pointer(&format!("/spec/{list}")).and_then(Value::as_array).cloned().unwrap_or_default();
        for (index, container) in running.iter().enumerate() {
            let is_token = |mount: &&Value| mount.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with(TOKEN_VOLUME_PREFIX));
            let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten().filter(is_token).cloned().collect();
            append(object, &format!("/spec/{list}/{index}"), "volumeMounts", mounts);
        }
    }
}

fn append(object: &mut Value, at: &str, list: &str, more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    let Some(parent) = object.pointer_mut(at).and_then(Value::as_object_mut) else { return };
    if let Some(list) = parent.entry(list).or_insert_with(|| json!([])).as_array_mut() {
        list.extend(more);
    }
}

#[cfg(test)]
#[path = "replace/tests.rs"]
mod tests;
