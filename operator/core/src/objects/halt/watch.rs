//! What a run has stopped stays so while it is written over: who has started some of it again.

use super::{Top, last_writer, name, owners, text, uses};
use crate::objects::stop::{Controller, Runner, controller, follows, has_ended, is_mover, is_stopped, stopped_replicas};
use jiff::Timestamp;
use p861_crds::names::{FIELD_MANAGER, RUN_LABEL};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One namespace at one moment, while a mover of the run writes what was stopped before.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// All objects of the kinds that run pods, pods included, as the API server lists them.
    pub objects: &'a [Value],
    /// Objects of the namespace that the run has stopped and not started since, as `Kind/name`.
    pub stopped: &'a BTreeSet<String>,
    /// So is whatever carries our annotation.
    pub all_annotated: bool,
    /// The run writes all objects of the namespace, held: what rested in the backup carries no annotation.
    pub all_written: bool,
    /// The claim that is written, and the name of the mover's Job.
    pub claim: Option<(&'a str, &'a str)>,
    /// UID of the run. Its movers may run.
    pub run: &'a str,
}

/// Who runs again though it was stopped, and which pods use the claim that is written, each in words. Empty as long as everything is still. Pure.
pub fn started_again(watch: &Watch<'_>) -> Vec<String> {
    let by_uid: BTreeMap<&str, &Value> = watch.objects.iter().map(|object| (text(object, "/metadata/uid"), object)).collect();
    let began = watch.claim.and_then(|(_, mover)| began(watch.objects, mover));
    let mut of_workload: BTreeMap<&str, &str> = BTreeMap::new();
    let mut using: Vec<(&str, String)> = Vec::new();
    for pod in watch.objects.iter().filter(|object| Runner::of(object) == Some(Runner::Pod) && !is_own_mover(object, watch.run) && !is_waiting(object)) {
        let (chain, top) = owners(pod, &by_uid);
        let uid = chain.last().map_or("", |top| text(top, "/metadata/uid"));
        if !has_ended(pod) {
            of_workload.entry(uid).or_insert_with(|| name(pod));
        }
        let uses_claim = watch.claim.is_some_and(|(claim, _)| uses(pod, &[claim.to_owned()]));
        // One that was started since and has ended has written meanwhile.
        let wrote = began.is_some_and(|began| !has_ended(pod) || started(pod).is_some_and(|time| time >= began));
        if uses_claim && wrote {
            using.push((uid, format!("pod {}{} uses claim {}", name(pod), of(&chain, &top), watch.claim.map_or("", |(claim, _)| claim))));
        }
    }
    let again = watch.objects.iter().filter(|object| runs_again(object, watch));
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let mut words: Vec<String> = Vec::new();
    for object in again {
        let uid = text(object, "/metadata/uid");
        named.insert(uid);
        let by = last_writer(object).map_or_else(String::new, |(_, manager)| format!(" by {manager}"));
        let pod = of_workload.get(uid).map_or_else(String::new, |pod| format!(" (pod {pod})"));
        words.push(format!("{}/{}{by}{pod}", text(object, "/kind"), name(object)));
    }
    words.extend(using.into_iter().filter(|(uid, _)| !named.contains(uid)).map(|(_, words)| words));
    words
}

/// Whether the object was stopped by the run and is not stopped any more.
fn runs_again(object: &Value, watch: &Watch<'_>) -> bool {
    let Some(runner) = Runner::of(object) else { return false };
    let of_claim = || watch.claim.is_some_and(|(claim, _)| uses(object, &[claim.to_owned()]));
    let marked = stopped_replicas(object).is_some() && (watch.all_annotated || of_claim());
    let known = || watch.stopped.contains(&format!("{}/{}", runner.kind(), name(object)));
    let woken = || watch.all_written && was_made_resting(object) && was_woken(object);
    let going = !text(object, "/metadata/deletionTimestamp").is_empty();
    // What its Deployment starts is told of the Deployment.
    (marked || known() || woken()) && !follows(object) && !runner.is_held(object) && !has_ended(object) && !going
}

/// The entries of the object's `managedFields` that are not of its status.
fn writers(object: &Value) -> impl Iterator<Item = &Value> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().filter(|entry| text(entry, "/subresource") != "status")
}

/// Whether we have made the object and not touched it since: then it rested in the backup, or it would still carry our annotation or have lost it by our start.
fn was_made_resting(object: &Value) -> bool {
    let Ok(made) = text(object, "/metadata/creationTimestamp").parse::<Timestamp>() else { return false };
    let mut ours = writers(object).filter(|entry| text(entry, "/manager") == FIELD_MANAGER).peekable();
    ours.peek().is_some() && ours.all(|entry| text(entry, "/time").parse::<Timestamp>().is_ok_and(|time| time <= made))
}

/// Whether another has written it than the controller that only annotates it.
fn was_woken(object: &Value) -> bool {
    writers(object).any(|entry| match text(entry, "/manager") {
        FIELD_MANAGER => false,
        "kube-controller-manager" => text(entry, "/subresource") == "scale",
        _ => true,
    })
}

/// When the mover's Job was made; none before.
fn began(objects: &[Value], mover: &str) -> Option<Timestamp> {
    let job = objects.iter().find(|object| Runner::of(object) == Some(Runner::Job) && name(object) == mover)?;
    text(job, "/metadata/creationTimestamp").parse().ok()
}

fn started(pod: &Value) -> Option<Timestamp> {
    text(pod, "/status/startTime").parse().ok()
}

/// Whether it is a pod of one of the run's movers. Anybody can give a pod labels; a Job's pod is made by the Job controller.
fn is_own_mover(pod: &Value, run: &str) -> bool {
    let label = pod.pointer("/metadata/labels").and_then(|labels| labels.get(RUN_LABEL)?.as_str());
    is_mover(pod) && label == Some(run) && controller(pod).is_some_and(|owner| owner.kind == "Job")
}

/// Whether our scheduling gate holds the pod: it has no node.
fn is_waiting(pod: &Value) -> bool {
    is_stopped(pod) && text(pod, "/spec/nodeName").is_empty()
}

/// Whose pod it is, in words.
fn of(chain: &[&Value], top: &Top<'_>) -> String {
    match (top, chain) {
        (Top::Foreign(Controller { kind, name, .. }), _) => format!(" of {kind}/{name}"),
        (Top::Known | Top::Gone, [_, .., last]) => format!(" of {}/{}", text(last, "/kind"), name(last)),
        (Top::Known | Top::Gone, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{held, merged};
    use serde_json::json;

    const MOVER: &str = "p861-1";

    fn object(api_version: &str, kind: &str, name: &str, more: &Value) -> Value {
        merged(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "n", "uid": format!("{kind}/{name}")}}), more)
    }

    fn with_claim(claim: &str) -> Value {
        json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]})
    }

    fn deployment(name: &str, claim: &str) -> Value {
        object("apps/v1", "Deployment", name, &json!({"spec": {"replicas": 2, "template": {"spec": with_claim(claim)}}}))
    }

    /// A pod of that owner.
    fn pod(name: &str, claim: &str, owner: &Value, more: &Value) -> Value {
        let owner = json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": true});
        let pod =
            json!({"metadata": {"ownerReferences": [owner]}, "spec": with_claim(claim), "status": {"phase": "Running", "startTime": "2026-11-15T01:00:10Z"}});
        merged(object("v1", "Pod", name, &pod), more)
    }

    /// The Job of the mover that writes the claim, and its pod.
    fn mover() -> [Value; 2] {
        let labels =
            json!({"metadata": {"labels": {"platform861.io/role": "mover", "platform861.io/run": "uid"}, "creationTimestamp": "2026-11-15T01:00:00Z"}});
        let job = merged(object("batch/v1", "Job", MOVER, &json!({"spec": {}})), &labels);
        let pod = pod("p861-1-a", "files", &job, &labels);
        [job, pod]
    }

    fn seen(objects: &[Value], all_annotated: bool) -> Vec<String> {
        let stopped = BTreeSet::from(["Deployment/web".to_owned()]);
        let objects: Vec<Value> = objects.iter().cloned().chain(mover()).collect();
        started_again(&Watch { objects: &objects, stopped: &stopped, all_annotated, all_written: all_annotated, claim: Some(("files", MOVER)), run: "uid" })
    }

    #[test]
    fn fault_c_what_is_started_again_while_it_is_written_over_is_named_with_who_did_it_and_its_pod() {
        let still = held(deployment("web", "files"));
        let scaled = |manager: &str| {
            json!({"spec": {"replicas": 2}, "metadata": {"managedFields": [
                {"manager": "p861-operator", "time": "2026-11-15T01:00:00Z"}, {"manager": manager, "time": "2026-11-15T01:00:09Z"}]}})
        };
        let by_hpa = merged(still.clone(), &scaled("kube-controller-manager"));
        let replaced = merged(deployment("web", "files"), &scaled("argocd-controller"));
        let set = pod("web-1", "files", &replaced, &json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"replicas": 2}}));
        let nightly =
            object("batch/v1", "CronJob", "nightly", &json!({"metadata": {"annotations": {"platform861.io/replicas": "running"}}, "spec": {"suspend": false}}));
        for (case, objects, says) in [
            ("still", vec![still.clone()], vec![]),
            ("scaled by an autoscaler, no pod yet", vec![by_hpa.clone()], vec!["Deployment/web by kube-controller-manager"]),
            (
                "its pod runs",
                vec![by_hpa.clone(), pod("web-1-a", "files", &by_hpa, &json!({}))],
                vec!["Deployment/web by kube-controller-manager (pod web-1-a)"],
            ),
            (
                "replaced by GitOps, our annotation with it",
                vec![replaced.clone(), set.clone(), pod("web-1-a", "files", &set, &json!({}))],
                vec!["Deployment/web by argocd-controller (pod web-1-a)"],
            ),
            ("a CronJob that is no more suspended", vec![still.clone(), nightly], vec!["CronJob/nightly"]),
            ("another workload that nobody has stopped", vec![still.clone(), deployment("new", "cache")], vec![]),
            ("being deleted", vec![merged(by_hpa, &json!({"metadata": {"deletionTimestamp": "2026-11-15T01:00:09Z"}}))], vec![]),
        ] {
            assert_eq!(seen(&objects, true), says, "{case}");
        }
    }

    #[test]
    fn fault_c_a_replica_set_with_a_copy_of_our_annotation_is_its_deployments() {
        let board = merged(deployment("board", "cache"), &json!({"metadata": {"uid": "board"}}));
        let set = pod("board-1", "cache", &board, &json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"replicas": 1}}));
        let set = merged(set, &json!({"metadata": {"uid": "board-1", "annotations": {"platform861.io/replicas": "1"}}}));
        assert_eq!(seen(&[board, set], true), [""; 0], "we have started the Deployment, and Kubernetes its ReplicaSet");
    }

    #[test]
    fn fault_c_what_rested_in_the_backup_and_is_scaled_while_it_is_restored_is_named_too() {
        let entry = |manager: &str, subresource: &str, second: u32| json!({"manager": manager, "subresource": subresource, "time": format!("2026-11-15T01:00:{second:02}Z")});
        let of = |replicas: u32, entries: &[Value]| {
            let metadata = json!({"creationTimestamp": "2026-11-15T01:00:00Z", "managedFields": entries});
            merged(deployment("other", "cache"), &json!({"spec": {"replicas": replicas}, "metadata": metadata}))
        };
        let (made, status) = (entry(FIELD_MANAGER, "", 0), entry("kube-controller-manager", "status", 1));
        let (scaled, annotated) = (entry("keda", "scale", 9), entry("kube-controller-manager", "", 1));
        for (case, object, named) in [
            ("it rests", of(0, &[made.clone(), status.clone()]), false),
            ("it was scaled", of(2, &[made.clone(), status.clone(), scaled.clone()]), true),
            ("by a HorizontalPodAutoscaler", of(2, &[made.clone(), entry("kube-controller-manager", "scale", 9)]), true),
            ("we have started it, and then it was scaled", of(2, &[entry(FIELD_MANAGER, "", 8), status, scaled.clone()]), false),
            ("we have started it within its first second", of(2, &[made, annotated]), false),
            ("it isn't ours", of(2, &[entry("kubectl", "", 0), scaled]), false),
        ] {
            assert_eq!(seen(std::slice::from_ref(&object), true).len(), usize::from(named), "{case}");
            assert_eq!(seen(&[object], false), [""; 0], "{case}, and only some of the namespace is written");
        }
    }

    #[test]
    fn fault_c_a_pod_that_uses_the_claim_is_seen_also_after_it_has_ended() {
        let (still, job) = (held(deployment("web", "files")), object("batch/v1", "Job", "import", &json!({"spec": {}})));
        let ended = |time: &str| json!({"status": {"phase": "Succeeded", "startTime": time}});
        let foreign = object("db.example/v1", "Postgres", "main", &json!({}));
        for (case, pod, says) in [
            ("runs", pod("import-a", "files", &job, &json!({})), Some("pod import-a of Job/import uses claim files")),
            (
                "is ending",
                pod("import-a", "files", &job, &json!({"metadata": {"deletionTimestamp": "2026-11-15T01:00:30Z"}})),
                Some("pod import-a of Job/import uses claim files"),
            ),
            ("has run meanwhile", pod("import-a", "files", &job, &ended("2026-11-15T01:00:05Z")), Some("pod import-a of Job/import uses claim files")),
            ("had ended before", pod("import-a", "files", &job, &ended("2026-11-15T00:50:00Z")), None),
            ("uses another claim", pod("import-a", "cache", &job, &json!({})), None),
            ("of a database operator", pod("main-0", "files", &foreign, &json!({})), Some("pod main-0 of Postgres/main uses claim files")),
        ] {
            assert_eq!(seen(&[still.clone(), job.clone(), pod], false), says.into_iter().collect::<Vec<_>>(), "{case}");
        }
        let gated = held(merged(object("v1", "Pod", "bare", &json!({})), &json!({"spec": with_claim("files")})));
        assert_eq!(seen(&[gated], false), [""; 0], "it waits for our gate");
    }

    #[test]
    fn what_was_left_stopped_by_an_earlier_run_and_concerns_no_claim_of_this_one_may_be_started() {
        let other = merged(held(deployment("other", "cache")), &json!({"spec": {"replicas": 1}}));
        assert_eq!((seen(std::slice::from_ref(&other), false), seen(&[other], true).len()), (Vec::<String>::new(), 1));
    }
}
