//! What runs pods, and how each kind is held and let go: one table for objects that a restore writes held, for objects that are stopped in place, and for
//! their start. Every kind that can be held can be let go.

use super::{group, kind, metadata, retention, text};
use p861_crds::names::{ROLE_LABEL, RUN_LABEL};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Annotation of a held object: how many replicas it had, or whether it ran. Starting it reads this.
pub const REPLICAS_ANNOTATION: &str = "platform861.io/replicas";
/// A label that no node has keeps a held DaemonSet from running; a scheduling gate of that name keeps a held Pod from running.
pub const NOT_STARTED: &str = "platform861.io/not-started";
/// Value of [`ROLE_LABEL`] on Jobs and pods of movers.
pub const LABEL_VALUE_MOVER: &str = "mover";

/// What a held object that has no number of replicas did before.
const RUNNING: &str = "running";
/// Somebody had suspended it: it stays suspended.
const SUSPENDED: &str = "suspended";

/// A kind that runs pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runner {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
    /// `v1` ReplicationController.
    ReplicationController,
    /// `batch/v1` CronJob.
    CronJob,
    /// `batch/v1` Job.
    Job,
    /// `v1` Pod.
    Pod,
}

/// How a kind is held.
enum Means {
    /// `spec.replicas` is 0.
    Replicas,
    /// Its pods fit on no node.
    Nodes,
    /// `spec.suspend` is true.
    Suspend,
    /// It waits for a scheduling gate to be removed.
    Gate,
}

impl Runner {
    /// All of them. CronJobs come before their Jobs: a held CronJob makes no more.
    pub const ALL: [Self; 8] =
        [Self::CronJob, Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::ReplicaSet, Self::ReplicationController, Self::Job, Self::Pod];

    /// Group, version, kind, plural.
    pub const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
            Self::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::ReplicationController => ("", "v1", "ReplicationController", "replicationcontrollers"),
            Self::CronJob => ("batch", "v1", "CronJob", "cronjobs"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Pod => ("", "v1", "Pod", "pods"),
        }
    }

    /// Its kind, as `kind` spells it.
    pub const fn kind(self) -> &'static str {
        self.names().2
    }

    /// The kind of that name in that group, whatever its version; none if it runs no pods.
    pub fn named(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|runner| (runner.names().0, runner.names().2) == (group, kind))
    }

    /// What the object is; none if its kind runs no pods.
    pub fn of(object: &Value) -> Option<Self> {
        Self::named(group(object), kind(object))
    }

    /// Whether it keeps a number of pods ready, which a start waits for.
    pub const fn keeps_ready(self) -> bool {
        matches!(self.means(), Means::Replicas | Means::Nodes)
    }

    const fn means(self) -> Means {
        match self {
            Self::Deployment | Self::StatefulSet | Self::ReplicaSet | Self::ReplicationController => Means::Replicas,
            Self::DaemonSet => Means::Nodes,
            Self::CronJob | Self::Job => Means::Suspend,
            Self::Pod => Means::Gate,
        }
    }

    /// Whether nothing of it runs, or will.
    pub(super) fn is_held(self, object: &Value) -> bool {
        match self.means() {
            Means::Replicas => replicas(object) == 0,
            Means::Nodes => object.pointer("/spec/template/spec/nodeSelector").and_then(|selector| selector.get(NOT_STARTED)).is_some(),
            Means::Suspend => is_suspended(object),
            Means::Gate => gates(object).iter().any(is_our_gate),
        }
    }

    /// Whether somebody else has it at zero, or suspended. What we hold has our annotation, and a set whose claims would go is written otherwise than it is.
    fn rests_by_itself(self, object: &Value) -> bool {
        matches!(self.means(), Means::Replicas | Means::Suspend)
            && self.is_held(object)
            && stopped_replicas(object).is_none()
            && !retention::is_kept(object)
            && !retention::deletes_claims(object)
    }

    /// What it does now, as the annotation says it.
    fn state(self, object: &Value) -> String {
        match self.means() {
            Means::Replicas => replicas(object).to_string(),
            Means::Suspend if is_suspended(object) => SUSPENDED.into(),
            Means::Nodes | Means::Suspend | Means::Gate => RUNNING.into(),
        }
    }

    /// The merge patch that holds it; what it did is kept.
    fn hold(self, object: &Value, kept: &str) -> Value {
        let spec = match self.means() {
            Means::Replicas => json!({"replicas": 0}),
            Means::Nodes => json!({"template": {"spec": {"nodeSelector": {NOT_STARTED: "true"}}}}),
            Means::Suspend => json!({"suspend": true}),
            // The scheduler chooses the node once the gate is gone. A pod that has one already can't have a gate.
            Means::Gate => {
                let others = gates(object).iter().filter(|gate| !is_our_gate(gate));
                json!({"schedulingGates": others.cloned().chain([json!({"name": NOT_STARTED})]).collect::<Vec<_>>(), "nodeName": null})
            }
        };
        let mut patch = json!({"metadata": {"annotations": {REPLICAS_ANNOTATION: kept}}, "spec": spec});
        retention::hold(object, &mut patch);
        patch
    }

    /// What it did before it was held, or does.
    fn kept(self, object: &Value) -> String {
        stopped_replicas(object).filter(|_| self.is_held(object)).map_or_else(|| self.state(object), str::to_owned)
    }

    /// The merge patch that lets it go.
    fn release(self, object: &Value, kept: &str) -> Value {
        let number = kept.parse::<i64>().unwrap_or(1);
        let spec = match self.means() {
            Means::Replicas => json!({"replicas": number}),
            Means::Nodes => json!({"template": {"spec": {"nodeSelector": {NOT_STARTED: null}}}}),
            Means::Suspend => json!({"suspend": kept == SUSPENDED}),
            Means::Gate => json!({"schedulingGates": gates(object).iter().filter(|gate| !is_our_gate(gate)).collect::<Vec<_>>()}),
        };
        let mut patch = json!({"metadata": {"annotations": {REPLICAS_ANNOTATION: null}}, "spec": spec});
        retention::release(object, number, &mut patch);
        patch
    }
}

fn replicas(object: &Value) -> i64 {
    object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn is_suspended(object: &Value) -> bool {
    object.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false)
}

fn gates(object: &Value) -> &[Value] {
    object.pointer("/spec/schedulingGates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

fn is_our_gate(gate: &Value) -> bool {
    text(gate, "/name") == NOT_STARTED
}

/// What stops an object that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// Nothing of it runs, its owner is what is stopped, or its kind runs no pods.
    Nothing,
    /// This merge patch.
    Patch(Value),
    /// It is deleted and made again like this, held: a pod that runs can't be held.
    Remake(Value),
    /// Only a person may stop it, for this reason.
    ByHand(&'static str),
}

/// What stops an object that is there. What is at zero already, or suspended by somebody, stays as it is, and is not started later.
pub fn stop(object: &Value) -> Stop {
    let Some(runner) = Runner::of(object) else { return Stop::Nothing };
    // A suspended CronJob leaves its running Jobs alone, and doesn't mind that they are suspended.
    let of_an_owner = controller(object).is_some_and(|owner| owner.runner() != Some(Runner::CronJob) || runner != Runner::Job);
    // Somebody may have set back what keeps the claims of one that we hold, while the last pods go.
    let held = runner.is_held(object) && !(stopped_replicas(object).is_some() && retention::deletes_claims(object));
    if of_an_owner || has_ended(object) || is_mover(object) || held {
        return Stop::Nothing;
    }
    let patch = runner.hold(object, &runner.kept(object));
    match (runner, goes_with(object)) {
        (Runner::Pod, Some(why)) => Stop::ByHand(why),
        (Runner::Pod, None) => Stop::Remake(merged(made_again(object), &patch)),
        _ => Stop::Patch(patch),
    }
}

/// Why a pod must not be deleted, though its manifest is kept: a restore deletes no data that the backup doesn't give back.
fn goes_with(pod: &Value) -> Option<&'static str> {
    let of_a_pod = |volume: &Value| volume.get("ephemeral").is_some() || volume.get("emptyDir").is_some_and(|dir| text(dir, "/medium") != "Memory");
    if pod.pointer("/spec/volumes").and_then(Value::as_array).is_some_and(|volumes| volumes.iter().any(of_a_pod)) {
        return Some("its emptyDir or ephemeral volumes would go with it");
    }
    pod.pointer("/metadata/finalizers/0").map(|_| "a finalizer may keep it for ever")
}

/// An object of a backup as it is written before its data is there: nothing of it runs until it is started. One that rests in the backup by itself is written as it
/// is: it needs no start, which would be a patch for each.
pub fn held(object: Value) -> Value {
    let Some(runner) = Runner::of(&object).filter(|_| !has_ended(&object)) else { return object };
    if runner.rests_by_itself(&object) { object } else { marked(object, runner) }
}

/// An object that is held, with the annotation that says what it did before.
fn marked(object: Value, runner: Runner) -> Value {
    // A backup that was taken of something held says what it did before.
    let patch = runner.hold(&object, &runner.kept(&object));
    merged(object, &patch)
}

/// A live object as it compares with one that is written held: where neither runs, it makes no difference that only one is marked. Somebody else has it at zero, or
/// suspended, and so has the backup.
pub fn held_alike<'a>(live: &'a Value, wanted: &Value) -> Cow<'a, Value> {
    let rests = |object: &Value| Runner::of(object).is_some_and(|runner| runner.is_held(object));
    let runner = Runner::of(live).filter(|_| rests(live) && stopped_replicas(live).is_none() && stopped_replicas(wanted).is_some() && rests(wanted));
    runner.map_or(Cow::Borrowed(live), |runner| Cow::Owned(marked(live.clone(), runner)))
}

/// An object that rests in the backup by itself, as it is written over a live one: marked, since the live one may have been stopped and be started as what it was
/// before the restore. None if it doesn't rest by itself.
pub fn marked_at_rest(wanted: &Value) -> Option<Value> {
    let runner = Runner::of(wanted).filter(|runner| runner.rests_by_itself(wanted) && !has_ended(wanted))?;
    Some(marked(wanted.clone(), runner))
}

/// The merge patch that starts an object that was stopped or written held; none if it was neither. A number that a person has set meanwhile stays. The patch is
/// empty while nothing can be done yet, and something is to be.
///
/// What a Deployment controls is the Deployment's to start. Kubernetes copies our annotation to its ReplicaSets, and one that anybody else scales keeps the Deployment
/// from ever being rolled out again.
pub fn start(object: &Value) -> Option<Value> {
    let runner = Runner::of(object).filter(|_| !follows(object))?;
    let kept = stopped_replicas(object).or_else(|| (runner == Runner::Pod && runner.is_held(object)).then_some(RUNNING));
    if let Some(kept) = kept.filter(|_| runner.is_held(object)) {
        return Some(runner.release(object, kept));
    }
    if kept.is_none() && !retention::is_kept(object) {
        return None;
    }
    let mut patch = json!({});
    if kept.is_some() {
        patch["metadata"]["annotations"][REPLICAS_ANNOTATION] = Value::Null;
    }
    retention::release(object, replicas(object), &mut patch);
    Some(patch)
}

/// Whether another object that can be stopped controls it, so that it is stopped and started with that one; an annotation of ours on it is a copy of that one's. The Job
/// of a CronJob goes on by itself.
pub fn follows(object: &Value) -> bool {
    controller(object).and_then(|owner| owner.runner()).is_some_and(|owner| owner != Runner::CronJob)
}

/// Whether it was stopped or written held, is not started yet, and nothing of it runs.
pub fn is_stopped(object: &Value) -> bool {
    Runner::of(object).is_some_and(|runner| runner.is_held(object)) && start(object).is_some()
}

/// What a stopped object did before: a number of replicas, or a word. None for what was not stopped.
pub fn stopped_replicas(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations/platform861.io~1replicas").and_then(Value::as_str)
}

/// A pod's manifest, to make it again: without what the server and the scheduler gave it.
fn made_again(pod: &Value) -> Value {
    const KEPT: [&str; 6] = ["name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"];
    let metadata: Map<String, Value> =
        metadata(pod).into_iter().flatten().filter(|(key, _)| KEPT.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut spec = pod.get("spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        // Admission works out the priority from its class; debugging containers can only be added to a pod that is there.
        for field in ["nodeName", "priority", "ephemeralContainers"] {
            spec.remove(field);
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// The controlling owner of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller<'a> {
    /// Its API version.
    pub api_version: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
}

impl Controller<'_> {
    /// Its API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// What it is, if it is of a kind that runs pods.
    fn runner(&self) -> Option<Runner> {
        Runner::named(self.group(), self.kind)
    }
}

/// The controlling owner of an object, if it has one.
pub fn controller(object: &Value) -> Option<Controller<'_>> {
    let owners = metadata(object)?.get("ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    Some(Controller { api_version: text(owner, "/apiVersion"), kind: text(owner, "/kind"), name: text(owner, "/name"), uid: text(owner, "/uid") })
}

/// Whether it is a mover's Job or pod, of whatever run.
pub fn is_mover(object: &Value) -> bool {
    let label = |name: &str| metadata(object)?.get("labels")?.get(name)?.as_str();
    label(ROLE_LABEL) == Some(LABEL_VALUE_MOVER) && label(RUN_LABEL).is_some()
}

/// Whether it is a Job or Pod that will run nothing any more.
pub fn has_ended(object: &Value) -> bool {
    match Runner::of(object) {
        Some(Runner::Pod) => matches!(text(object, "/status/phase"), "Succeeded" | "Failed"),
        Some(Runner::Job) => {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            conditions.is_some_and(|all| all.iter().any(|c| matches!(text(c, "/type"), "Complete" | "Failed") && text(c, "/status") == "True"))
        }
        _ => false,
    }
}

/// The object after a JSON merge patch (RFC 7386).
pub fn merged(object: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut members = if let Value::Object(members) = object { members } else { Map::new() };
    for (key, change) in changes {
        if change.is_null() {
            members.remove(key);
        } else {
            let before = members.remove(key).unwrap_or_default();
            members.insert(key.clone(), merged(before, change));
        }
    }
    Value::Object(members)
}

#[cfg(test)]
#[path = "stop/tests.rs"]
mod tests;
