//! Every kind that can be held can be let go, and is then what it was.

use super::*;
use proptest::prelude::*;

fn object(runner: Runner, spec: &Value, owner: Option<(&str, &str)>) -> Value {
    let (group, version, kind, _) = runner.names();
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let owners: Vec<Value> = owner.iter().map(|(api, kind)| json!({"apiVersion": api, "kind": kind, "name": "o", "uid": "u", "controller": true})).collect();
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": "n", "ownerReferences": owners}, "spec": spec})
}

/// Empty maps and lists mean the same as none.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().map(|(key, member)| (key, pruned(member)));
            Value::Object(kept.filter(|(_, member)| *member != json!({}) && *member != json!([])).collect())
        }
        other => other,
    }
}

/// A spec of that kind as the API server lists it, with its defaults.
fn spec_of(runner: Runner) -> BoxedStrategy<Value> {
    let selector = prop_oneof![Just(json!({})), Just(json!({"disk": "fast"}))];
    let template = selector.prop_map(|selector| json!({"spec": {"nodeSelector": selector, "containers": [{"name": "c"}]}}));
    match runner {
        Runner::CronJob | Runner::Job => (any::<bool>(), template).prop_map(|(suspend, template)| json!({"suspend": suspend, "template": template})).boxed(),
        Runner::DaemonSet => template.prop_map(|template| json!({"template": template})).boxed(),
        Runner::Pod => prop_oneof![Just(json!([])), Just(json!([{"name": "mine"}]))]
            .prop_map(|gates| json!({"schedulingGates": gates, "containers": [{"name": "c"}]}))
            .boxed(),
        _ => (0_i64..5, template).prop_map(|(replicas, template)| json!({"replicas": replicas, "template": template})).boxed(),
    }
}

fn any_object() -> impl Strategy<Value = Value> {
    let kinds = proptest::sample::select(Runner::ALL.to_vec());
    let annotations = prop_oneof![Just(json!({})), Just(json!({"mine": "1"}))];
    (kinds.prop_flat_map(|runner| spec_of(runner).prop_map(move |spec| object(runner, &spec, None))), annotations).prop_map(|(mut object, annotations)| {
        object["metadata"]["annotations"] = annotations;
        object
    })
}

proptest! {
    #[test]
    fn fault_c5_what_is_stopped_and_started_is_what_it_was(object in any_object()) {
        let stopped = match stop(&object) {
            Stop::Nothing => {
                prop_assert_eq!(start(&object), None, "what was still is not started");
                return Ok(());
            }
            Stop::Patch(patch) => merged(object.clone(), &patch),
            Stop::Remake(again) => again,
            Stop::ByHand(why) => {
                prop_assert!(false, "{why}: {object}");
                return Ok(());
            }
        };
        prop_assert!(is_stopped(&stopped));
        prop_assert_eq!(stop(&stopped), Stop::Nothing, "stopping twice changes nothing");
        let started = merged(stopped.clone(), &start(&stopped).expect("what can be stopped can be started"));
        prop_assert_eq!(start(&started), None, "it is started once");
        prop_assert_eq!(pruned(started), pruned(object));
    }

    #[test]
    fn fault_b8_what_is_written_held_and_started_is_what_was_saved(object in any_object()) {
        let written = held(object.clone());
        let runner = Runner::of(&written).expect("a kind that runs pods");
        prop_assert!(runner.is_held(&written), "nothing of it runs before its data is there");
        prop_assert_eq!(held(written.clone()), written.clone(), "a backup of what is held keeps what it did");
        let started = merged(written.clone(), &start(&written).expect("what can be held can be started"));
        prop_assert_eq!(pruned(started), pruned(object));
    }
}

#[test]
fn what_a_person_has_scaled_meanwhile_stays() {
    let mut web = held(object(Runner::Deployment, &json!({"replicas": 3}), None));
    web["spec"]["replicas"] = json!(1);
    let started = merged(web.clone(), &start(&web).expect("our annotation goes"));
    assert_eq!((started.pointer("/spec/replicas"), stopped_replicas(&started)), (Some(&json!(1)), None));
}

#[test]
fn what_has_an_owner_is_stopped_by_its_owner_but_for_the_job_of_a_cron_job() {
    for (runner, owner, stops) in [
        (Runner::ReplicaSet, Some(("apps/v1", "Deployment")), false),
        (Runner::ReplicaSet, None, true),
        (Runner::Pod, Some(("apps/v1", "ReplicaSet")), false),
        (Runner::Job, Some(("batch/v1", "CronJob")), true),
        (Runner::Job, Some(("demo.example/v1", "Workflow")), false),
        (Runner::StatefulSet, Some(("demo.example/v1", "Postgres")), false),
    ] {
        let stopped = stop(&object(runner, &json!({"replicas": 2}), owner));
        assert_eq!(stopped != Stop::Nothing, stops, "{runner:?} of {owner:?}: {stopped:?}");
    }
}

#[test]
fn what_has_ended_and_what_is_ours_is_left_alone() {
    let mut ended = object(Runner::Job, &json!({}), None);
    ended["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    let mut over = object(Runner::Pod, &json!({}), None);
    over["status"] = json!({"phase": "Failed"});
    let mut mover = object(Runner::Job, &json!({}), None);
    mover["metadata"]["labels"] = json!({"platform861.io/role": "mover", "platform861.io/run": "uid"});
    for left in [ended, over, mover, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})] {
        assert_eq!(stop(&left), Stop::Nothing, "{left}");
    }
}

#[test]
fn a_bare_pod_is_made_again_without_what_scheduler_and_server_gave_it() {
    let mut pod = object(Runner::Pod, &json!({"nodeName": "node-1", "priority": 0, "containers": [{"name": "c", "image": "i"}]}), None);
    pod["metadata"]["uid"] = json!("7");
    pod["metadata"]["labels"] = json!({"app": "a"});
    pod["status"] = json!({"phase": "Running"});
    let Stop::Remake(again) = stop(&pod) else { panic!("a bare pod is made again") };
    assert_eq!(
        again,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n", "labels": {"app": "a"}, "ownerReferences": [],
            "annotations": {REPLICAS_ANNOTATION: "running"}},
            "spec": {"containers": [{"name": "c", "image": "i"}], "schedulingGates": [{"name": NOT_STARTED}]}})
    );
}
