//! What must happen until nothing that could write runs in a namespace any more: what can't be stopped, what is stopped now, and which pods are waited for.

mod watch;

pub use watch::{Watch, started_again};

use super::{
    metadata, name,
    stop::{Controller, Runner, Stop, controller, has_ended, is_mover, is_stopped, stop, stopped_replicas},
    text,
};
use crate::time::human_duration;
use jiff::{SignedDuration, Timestamp};
use p861_crds::names::{FIELD_MANAGER, RUN_LABEL};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Owners above a pod are followed so far.
const MAX_OWNERS: usize = 8;
/// By then each object has been stopped once.
const ALL_STOPPED_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// One namespace at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// All objects of the kinds that run pods, pods included, as the API server lists them.
    pub objects: &'a [Value],
    /// Only what uses one of these claims is stopped; everything when empty.
    pub claims: &'a [String],
    /// UID of the run. Its own movers may run.
    pub run: &'a str,
    /// When the attempt to stop it began.
    pub started: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// What is to be done in a namespace, and what is waited for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Halt {
    /// Pods that only a foreign controller, or a person, may stop, each in words. Nothing may be stopped while there are any.
    pub unstoppable: Vec<String>,
    /// Objects that somebody has started again since, each in words.
    pub set_back: Vec<String>,
    /// Merge patches that stop objects, by kind and name.
    pub patches: Vec<(Runner, String, Value)>,
    /// Pods that are deleted and made again, held: the UID of the one that is there, and how it is made again.
    pub remakes: Vec<(String, Value)>,
    /// Pods that may still write, each in words, those with the longest to go first.
    pub waiting: Vec<String>,
}

/// Judges a namespace. Pure: the same objects give the same answer.
pub fn halt(scene: &Scene<'_>) -> Halt {
    let by_uid: BTreeMap<&str, &Value> = scene.objects.iter().map(|object| (text(object, "/metadata/uid"), object)).collect();
    let mut halt = Halt::default();
    let mut concerned: BTreeSet<&str> = BTreeSet::new();
    let mut waiting: Vec<(SignedDuration, String)> = Vec::new();
    for pod in scene.objects.iter().filter(|object| may_write(object, scene)) {
        let (chain, top) = owners(pod, &by_uid);
        concerned.extend(chain.iter().map(|owner| text(owner, "/metadata/uid")));
        let terminating = !text(pod, "/metadata/deletionTimestamp").is_empty();
        match top {
            Top::Foreign(owner) if !terminating => {
                halt.unstoppable.push(format!("pod {} of {}/{} ({})", name(pod), owner.kind, owner.name, owner.api_version));
            }
            Top::Foreign(_) | Top::Known | Top::Gone => waiting.push(still_there(pod, chain.last().copied(), scene)),
        }
    }
    for object in scene.objects {
        if !scene.claims.is_empty() && !concerned.contains(text(object, "/metadata/uid")) && !uses(object, scene.claims) {
            continue;
        }
        let (Some(runner), stopped) = (Runner::of(object), stop(object)) else { continue };
        if let Some(words) = unsettled(runner, object, &by_uid) {
            waiting.push((SignedDuration::ZERO, words));
        }
        if stopped == Stop::Nothing || !text(object, "/metadata/deletionTimestamp").is_empty() {
            continue;
        }
        if let Stop::ByHand(why) = stopped {
            halt.unstoppable.push(format!("pod {}, which has no owner: {why}", name(object)));
            continue;
        }
        if let Some(manager) = written_by_another(object, scene.started).filter(|_| was_stopped(object, scene)) {
            halt.set_back.push(format!("{}/{} by {manager}", runner.kind(), name(object)));
            continue;
        }
        match stopped {
            Stop::Patch(patch) => halt.patches.push((runner, name(object).to_owned(), patch)),
            Stop::Remake(again) => halt.remakes.push((text(object, "/metadata/uid").to_owned(), again)),
            Stop::ByHand(_) | Stop::Nothing => {}
        }
    }
    waiting.sort();
    waiting.reverse();
    halt.waiting = waiting.into_iter().map(|(_, words)| words).collect();
    halt
}

/// Whether a pod can write, or will. One that is ending still can.
fn may_write(pod: &Value, scene: &Scene<'_>) -> bool {
    let our_mover = || is_mover(pod) && metadata(pod).and_then(|metadata| metadata.get("labels")?.get(RUN_LABEL)?.as_str()) == Some(scene.run);
    let held = || is_stopped(pod) && text(pod, "/spec/nodeName").is_empty();
    let concerned = || scene.claims.is_empty() || uses(pod, scene.claims);
    Runner::of(pod) == Some(Runner::Pod) && !has_ended(pod) && !held() && !our_mover() && concerned()
}

/// Who stands at the top of a pod's owners.
enum Top<'a> {
    /// An object of a kind that can be stopped, or the pod itself.
    Known,
    /// An owner of such a kind that is gone: its pods are collected.
    Gone,
    /// Somebody whose controller sets things back.
    Foreign(Controller<'a>),
}

/// The pod and its owners that are there, from below, and who stands above them.
fn owners<'a>(pod: &'a Value, by_uid: &BTreeMap<&str, &'a Value>) -> (Vec<&'a Value>, Top<'a>) {
    let mut chain = vec![pod];
    while let Some(owner) = chain.last().copied().and_then(controller).filter(|_| chain.len() <= MAX_OWNERS) {
        match by_uid.get(owner.uid).copied() {
            Some(object) => chain.push(object),
            None if Runner::named(owner.group(), owner.kind).is_some() => return (chain, Top::Gone),
            None => return (chain, Top::Foreign(owner)),
        }
    }
    (chain, Top::Known)
}

/// A pod that is waited for, and since when. With how long it may still take, as far as it says.
fn still_there(pod: &Value, top: Option<&Value>, scene: &Scene<'_>) -> (SignedDuration, String) {
    let of = top.filter(|top| !std::ptr::eq(*top, pod)).map(|top| format!(" of {}/{}", text(top, "/kind"), name(top))).unwrap_or_default();
    let pod_name = name(pod);
    let Ok(end) = text(pod, "/metadata/deletionTimestamp").parse::<Timestamp>() else {
        let waited = whole(scene.now.duration_since(scene.started));
        let words = format!("pod {pod_name}{of} still runs, {} after it was to stop", human_duration(waited));
        return (SignedDuration::MAX, words);
    };
    let grace = SignedDuration::from_secs(pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0));
    let (left, since) = (whole(end.duration_since(scene.now)), whole(scene.now.duration_since(end).saturating_add(grace)));
    let words = if left.is_negative() {
        let node = text(pod, "/spec/nodeName");
        format!(
            "pod {pod_name}{of} is terminating for {}, {} longer than its grace period: does node {node} answer?",
            human_duration(since),
            human_duration(-left)
        )
    } else {
        format!("pod {pod_name}{of} is terminating for {}, {} of its grace period are left", human_duration(since), human_duration(left))
    };
    (left, words)
}

fn whole(duration: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(duration.as_secs())
}

/// A controller that may still make a pod, because it has not seen yet that it is to have none.
fn unsettled(runner: Runner, object: &Value, by_uid: &BTreeMap<&str, &Value>) -> Option<String> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let of_stopped =
        || controller(object).and_then(|owner| by_uid.get(owner.uid)).is_some_and(|owner| Runner::of(owner).is_some_and(|kind| kind.is_held(owner)));
    let words = |what: &str| Some(format!("{}/{} {what}", runner.kind(), name(object)));
    if !runner.keeps_ready() {
        None
    } else if runner.is_held(object) {
        if number("/status/observedGeneration") < number("/metadata/generation") { words("is stopped, and its controller has not seen it") } else { None }
    } else if of_stopped() {
        words("still wants pods, though its owner is stopped")
    } else {
        None
    }
}

/// Whether the step has stopped the object before: it carries our annotation, or, if somebody has replaced it with that, has had time enough to be stopped. One that
/// an autoscaler or a rollout writes as the step begins has not been stopped yet.
fn was_stopped(object: &Value, scene: &Scene<'_>) -> bool {
    stopped_replicas(object).is_some() || scene.now.duration_since(scene.started) > ALL_STOPPED_AFTER
}

/// Who has written the object last and is not us, and when. Its status doesn't count.
fn last_writer(object: &Value) -> Option<(Timestamp, &str)> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let spec = entries.iter().filter(|entry| text(entry, "/subresource") != "status" && text(entry, "/manager") != FIELD_MANAGER);
    spec.filter_map(|entry| Some((text(entry, "/time").parse::<Timestamp>().ok()?, text(entry, "/manager")))).max()
}

/// Who has written the object last, after `since`, and is not us.
fn written_by_another(object: &Value, since: Timestamp) -> Option<&str> {
    let (time, manager) = last_writer(object)?;
    // What is made new while we stop is stopped as well: only its maker has written it.
    let made = text(object, "/metadata/creationTimestamp").parse::<Timestamp>().ok();
    (time > since && made.is_none_or(|made| made <= since)).then_some(manager)
}

/// The spec of the object's pods, or of the pod; none if its kind runs no pods.
pub fn pod_spec(object: &Value) -> Option<&Value> {
    let at = match Runner::of(object)? {
        Runner::Pod => "/spec",
        Runner::CronJob => "/spec/jobTemplate/spec/template/spec",
        Runner::Deployment | Runner::StatefulSet | Runner::DaemonSet | Runner::ReplicaSet | Runner::ReplicationController | Runner::Job => {
            "/spec/template/spec"
        }
    };
    object.pointer(at)
}

/// Whether pods of the object, or the pod, use one of the claims.
pub fn uses(object: &Value, claims: &[String]) -> bool {
    if Runner::of(object).is_none() {
        return false;
    }
    let volumes = pod_spec(object).and_then(|pod| pod.get("volumes")).and_then(Value::as_array);
    let mounted = volumes.into_iter().flatten().any(|volume| claims.iter().any(|claim| claim == text(volume, "/persistentVolumeClaim/claimName")));
    // A StatefulSet's claims are <template>-<set>-<number>.
    let templates = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    mounted
        || templates.into_iter().flatten().any(|template| {
            let stem = format!("{}-{}-", text(template, "/metadata/name"), name(object));
            let numbered = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
            claims.iter().any(|claim| claim.strip_prefix(stem.as_str()).is_some_and(numbered))
        })
}

#[cfg(test)]
#[path = "halt/tests.rs"]
mod tests;
