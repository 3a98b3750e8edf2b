//! A namespace becomes still: nothing is touched that can't be stopped, and every pod that can write is waited for.

use super::*;
use crate::objects::merged;
use serde_json::json;

const START: &str = "2026-11-15T01:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn object(api_version: &str, kind: &str, name: &str, more: &Value) -> Value {
    let base = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "n", "uid": format!("{kind}/{name}")}});
    merged(base, more)
}

fn owned(owner: &Value) -> Value {
    let owner = json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": owner["metadata"]["uid"], "controller": true});
    json!({"metadata": {"ownerReferences": [owner]}})
}

fn pod(name: &str, owner: Option<&Value>) -> Value {
    let pod = object("v1", "Pod", name, &json!({"spec": {"nodeName": "node-1", "containers": [{"name": "c"}]}, "status": {"phase": "Running"}}));
    owner.map_or(pod.clone(), |owner| merged(pod, &owned(owner)))
}

/// A Deployment with its ReplicaSet and a pod.
fn deployment(name: &str, replicas: i64, claim: &str) -> [Value; 3] {
    let template = json!({"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]}});
    let top = object(
        "apps/v1",
        "Deployment",
        name,
        &json!({"spec": {"replicas": replicas, "template": template}, "metadata": {"generation": 2}, "status": {"observedGeneration": 2}}),
    );
    let set = merged(object("apps/v1", "ReplicaSet", &format!("{name}-1"), &json!({"spec": {"replicas": replicas}})), &owned(&top));
    let pod = merged(pod(&format!("{name}-1-a"), Some(&set)), &json!({"spec": {"volumes": template["spec"]["volumes"]}}));
    [top, set, pod]
}

fn judged(objects: &[Value], claims: &[&str], now: &str) -> Halt {
    let claims: Vec<String> = claims.iter().map(|claim| (*claim).to_owned()).collect();
    halt(&Scene { objects, claims: &claims, run: "uid", started: at(START), now: at(now) })
}

fn patched(halt: &Halt) -> Vec<String> {
    halt.patches.iter().map(|(runner, name, _)| format!("{}/{name}", runner.kind())).collect()
}

#[test]
fn fault_c2_a_terminating_pod_is_waited_for_and_says_how_long_it_still_has() {
    let [web, set, pod] = deployment("web", 0, "files");
    let ending = json!({"metadata": {"deletionTimestamp": "2026-11-15T01:01:05Z", "deletionGracePeriodSeconds": 60}});
    for (now, words) in [
        ("2026-11-15T01:00:25Z", "pod web-1-a of Deployment/web is terminating for 20s, 40s of its grace period are left"),
        ("2026-11-15T01:01:45Z", "pod web-1-a of Deployment/web is terminating for 1m40s, 40s longer than its grace period: does node node-1 answer?"),
    ] {
        let halt = judged(&[web.clone(), set.clone(), merged(pod.clone(), &ending)], &[], now);
        assert_eq!((halt.waiting.as_slice(), halt.patches.len()), (&[words.to_owned()][..], 0), "{now}");
    }
    let halt = judged(&[web, set, merged(pod, &json!({"status": {"phase": "Succeeded"}}))], &[], START);
    assert_eq!(halt, Halt::default(), "what has ended writes no more");
}

#[test]
fn a_controller_that_has_not_seen_that_it_is_stopped_may_still_make_a_pod() {
    let [web, set, _] = deployment("web", 0, "files");
    let unseen = merged(web.clone(), &json!({"metadata": {"generation": 3}}));
    assert_eq!(judged(&[unseen, set.clone()], &[], START).waiting, ["Deployment/web is stopped, and its controller has not seen it"]);
    let wants = merged(set, &json!({"spec": {"replicas": 2}}));
    assert_eq!(judged(&[web, wants], &[], START).waiting, ["ReplicaSet/web-1 still wants pods, though its owner is stopped"]);
}

#[test]
fn every_kind_that_runs_pods_is_stopped() {
    let [web, set, web_pod] = deployment("web", 2, "files");
    let nightly = object("batch/v1", "CronJob", "nightly", &json!({"spec": {"suspend": false}}));
    let night = merged(object("batch/v1", "Job", "night-1", &json!({"spec": {"suspend": false}})), &owned(&nightly));
    let others = [
        object("apps/v1", "StatefulSet", "db", &json!({"spec": {"replicas": 1}})),
        object("apps/v1", "DaemonSet", "agent", &json!({"spec": {"template": {"spec": {}}}})),
        object("apps/v1", "ReplicaSet", "free", &json!({"spec": {"replicas": 1}})),
        object("v1", "ReplicationController", "old", &json!({"spec": {"replicas": 1}})),
        object("batch/v1", "Job", "migrate", &json!({"spec": {"suspend": false}})),
        pod("bare", None),
    ];
    let objects: Vec<Value> = [web, set, web_pod, nightly, night].into_iter().chain(others).collect();
    let halt = judged(&objects, &[], START);
    let mut stopped = patched(&halt);
    stopped.sort();
    assert_eq!(
        stopped,
        [
            "CronJob/nightly",
            "DaemonSet/agent",
            "Deployment/web",
            "Job/migrate",
            "Job/night-1",
            "ReplicaSet/free",
            "ReplicationController/old",
            "StatefulSet/db"
        ]
    );
    assert_eq!(halt.remakes.iter().map(|(uid, _)| uid.as_str()).collect::<Vec<_>>(), ["Pod/bare"]);
    assert_eq!((halt.unstoppable.len(), halt.set_back.len(), halt.waiting.len()), (0, 0, 2));
}

#[test]
fn fault_c5_what_was_at_zero_is_not_touched() {
    let still = [
        object("apps/v1", "Deployment", "off", &json!({"spec": {"replicas": 0}})),
        object("batch/v1", "CronJob", "paused", &json!({"spec": {"suspend": true}})),
    ];
    assert_eq!(judged(&still, &[], START), Halt::default());
}

#[test]
fn a_pod_that_only_a_foreign_controller_can_stop_is_named_with_its_owner() {
    let custom = object("db.example/v1", "Postgres", "main", &json!({}));
    let set = merged(object("apps/v1", "StatefulSet", "main", &json!({"spec": {"replicas": 1}})), &owned(&custom));
    let running = pod("main-0", Some(&set));
    let halt = judged(&[set.clone(), running.clone()], &[], START);
    assert_eq!(halt.unstoppable, ["pod main-0 of Postgres/main (db.example/v1)"]);
    let going = merged(running, &json!({"metadata": {"deletionTimestamp": "2026-11-15T01:00:30Z"}}));
    let halt = judged(&[set, going], &[], START);
    assert_eq!((halt.unstoppable.len(), halt.waiting.len()), (0, 1), "somebody has stopped it by hand");
    let mirror = pod("kube-proxy", Some(&object("v1", "Node", "node-1", &json!({}))));
    assert_eq!(judged(&[mirror], &[], START).unstoppable, ["pod kube-proxy of Node/node-1 (v1)"]);
}

#[test]
fn fault_c1_a_pod_without_an_owner_is_not_deleted_with_data_of_its_own() {
    let with = |more: &Value| merged(pod("bare", None), more);
    let volume = |volume: &Value| json!({"spec": {"volumes": [merged(json!({"name": "v"}), volume)]}});
    for (more, why) in [
        (volume(&json!({"emptyDir": {}})), Some("its emptyDir or ephemeral volumes would go with it")),
        (volume(&json!({"ephemeral": {"volumeClaimTemplate": {}}})), Some("its emptyDir or ephemeral volumes would go with it")),
        (json!({"metadata": {"finalizers": ["example.org/keep"]}}), Some("a finalizer may keep it for ever")),
        (volume(&json!({"emptyDir": {"medium": "Memory"}})), None),
        (volume(&json!({"persistentVolumeClaim": {"claimName": "files"}})), None),
    ] {
        let halt = judged(&[with(&more)], &[], START);
        let told: Vec<String> = why.iter().map(|why| format!("pod bare, which has no owner: {why}")).collect();
        assert_eq!((halt.unstoppable, halt.remakes.len()), (told, usize::from(why.is_none())), "{more}");
    }
}

#[test]
fn who_sets_a_number_back_while_it_is_waited_for_is_named() {
    let [web, ..] = deployment("web", 2, "files");
    let ours = json!({"metadata": {"annotations": {"platform861.io/replicas": "2"}}});
    let written = |manager: &str, time: &str| json!({"metadata": {"managedFields": [{"manager": manager, "operation": "Update", "time": time}]}});
    let (soon, late) = ("2026-11-15T01:00:10Z", "2026-11-15T01:01:10Z");
    for (case, annotated, manager, time, now, by) in [
        ("set back", true, "argocd-controller", "2026-11-15T01:00:09Z", soon, Some("Deployment/web by argocd-controller")),
        ("replaced, our annotation with it", false, "argocd-controller", "2026-11-15T01:01:09Z", late, Some("Deployment/web by argocd-controller")),
        ("scaled as the step began, and not stopped yet", false, "kube-controller-manager", "2026-11-15T01:00:09Z", soon, None),
        ("written before: it is simply stopped", true, "argocd-controller", "2026-11-15T00:59:09Z", soon, None),
        ("written by us", true, "p861-operator", "2026-11-15T01:00:09Z", soon, None),
    ] {
        let object = if annotated { merged(web.clone(), &ours) } else { web.clone() };
        let halt = judged(&[merged(object, &written(manager, time))], &[], now);
        assert_eq!((halt.set_back.first().map(String::as_str), halt.patches.is_empty()), (by, by.is_some()), "{case}");
    }
}

#[test]
fn only_the_runs_own_movers_may_go_on() {
    let mover = |run: &str| json!({"metadata": {"labels": {"platform861.io/role": "mover", "platform861.io/run": run}}});
    let job = |run: &str| merged(object("batch/v1", "Job", "p861-x", &json!({"spec": {}})), &mover(run));
    let of = |run: &str| [job(run), merged(pod("p861-x-a", Some(&job(run))), &mover(run))];
    assert_eq!(judged(&of("uid"), &[], START), Halt::default());
    let halt = judged(&of("other"), &[], START);
    assert_eq!((halt.waiting.len(), halt.patches.len()), (1, 0), "another run's mover is waited for and never suspended");
}

#[test]
fn with_claims_only_what_uses_them_is_stopped() {
    let [web, set, web_pod] = deployment("web", 1, "files");
    let [api, api_set, api_pod] = deployment("api", 1, "cache");
    let db = object("apps/v1", "StatefulSet", "db", &json!({"spec": {"replicas": 1, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}}));
    let objects = [web, set, web_pod, api, api_set, api_pod, db];
    for (claims, stopped, waited) in [
        (&["files"][..], vec!["Deployment/web"], 1),
        (&["data-db-0"][..], vec!["StatefulSet/db"], 0),
        (&["data-db-x"][..], vec![], 0),
        (&[][..], vec!["Deployment/web", "Deployment/api", "StatefulSet/db"], 2),
    ] {
        let halt = judged(&objects, claims, START);
        assert_eq!((patched(&halt), halt.waiting.len()), (stopped.into_iter().map(str::to_owned).collect(), waited), "{claims:?}");
    }
}
