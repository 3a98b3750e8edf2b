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
        Runner::StatefulSet => {
            let policies = [json!({}), json!({"whenScaled": "Retain", "whenDeleted": "Delete"}), json!({"whenScaled": "Delete", "whenDeleted": "Retain"})];
            (0_i64..5, template, proptest::sample::select(policies.to_vec()))
                .prop_map(|(replicas, template, policy)| json!({"replicas": replicas, "template": template, "persistentVolumeClaimRetentionPolicy": policy}))
                .boxed()
        }
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
        prop_assert!(!retention::deletes_claims(&stopped), "C1: its claims outlive its pods: {}", stopped);
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
        prop_assert!(!retention::deletes_claims(&written), "C1: no claim that is restored beside it goes: {}", written);
        prop_assert_eq!(held(written.clone()), written.clone(), "a backup of what is held keeps what it did");
        // One that rested by itself is as it was, and needs no start.
        let rested = written == object;
        prop_assert!(!rested || runner.is_held(&object), "what ran is written otherwise, and can be started: {}", object);
        let started = if rested { written.clone() } else { merged(written.clone(), &start(&written).expect("what can be held can be started")) };
        prop_assert_eq!(start(&started), None, "it is started once, or not at all");
        prop_assert_eq!(pruned(started), pruned(object.clone()));
        // Over one that was stopped it is written so that the start leaves it as saved, whatever that one did before.
        let live = merged(object.clone(), &json!({"metadata": {"annotations": {REPLICAS_ANNOTATION: "3"}}}));
        let over = merged(live, &marked_at_rest(&written).unwrap_or(written));
        let started = merged(over.clone(), &start(&over).expect("the live one was stopped"));
        prop_assert_eq!(pruned(started), pruned(object));
    }
}

#[test]
fn fault_g1_what_rests_in_the_backup_is_written_as_it_is_and_needs_no_start() {
    let set = |policy: &str| scaled(0, Some(policy));
    let mut ours = object(Runner::Deployment, &json!({"replicas": 0}), None);
    ours["metadata"]["annotations"] = json!({REPLICAS_ANNOTATION: "3"});
    for (case, saved, starts) in [
        ("a Deployment at zero", object(Runner::Deployment, &json!({"replicas": 0}), None), false),
        ("a suspended CronJob", object(Runner::CronJob, &json!({"suspend": true}), None), false),
        ("a set at zero that keeps its claims", set("Retain"), false),
        ("a set at zero whose claims would go", set("Delete"), true),
        ("one that a restore held when it was saved", ours, true),
        ("a Deployment that ran", object(Runner::Deployment, &json!({"replicas": 2}), None), true),
        ("a CronJob that ran", object(Runner::CronJob, &json!({"suspend": false}), None), true),
    ] {
        let written = held(saved.clone());
        assert_eq!(start(&written).is_some(), starts, "{case}");
        assert!(starts || written == saved, "{case}");
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
fn fault_b16_what_a_deployment_controls_is_started_by_the_deployment_alone() {
    // Kubernetes copies the annotations of a Deployment to its ReplicaSets, ours too.
    let copied = |runner: Runner, owner: Option<(&str, &str)>| {
        let mut set = object(runner, &json!({"replicas": 0, "suspend": true}), owner);
        set["metadata"]["annotations"] = json!({REPLICAS_ANNOTATION: "1"});
        set
    };
    for (runner, owner, starts) in [
        (Runner::ReplicaSet, Some(("apps/v1", "Deployment")), false),
        (Runner::ReplicaSet, Some(("argoproj.io/v1alpha1", "Rollout")), true),
        (Runner::ReplicaSet, None, true),
        (Runner::Deployment, None, true),
        (Runner::Job, Some(("batch/v1", "CronJob")), true),
    ] {
        let set = copied(runner, owner);
        assert_eq!((start(&set).is_some(), is_stopped(&set)), (starts, starts), "{runner:?} {owner:?}");
    }
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

#[test]
fn fault_h2_what_stood_still_before_is_no_difference_to_what_is_written_held() {
    let zero = || object(Runner::Deployment, &json!({"replicas": 0, "strategy": {"type": "Recreate"}}), None);
    let (paused, night) = (object(Runner::CronJob, &json!({"suspend": true}), None), object(Runner::CronJob, &json!({"suspend": false}), None));
    let set = scaled(0, Some("Delete"));
    for (case, live, saved, alike) in [
        ("at zero, and so in the backup", zero(), zero(), true),
        ("suspended, and so in the backup", paused.clone(), paused.clone(), true),
        ("a set at zero that may lose its claims", set.clone(), set, true),
        ("at zero, and not in the backup", zero(), object(Runner::Deployment, &json!({"replicas": 2}), None), false),
        ("it runs, and not in the backup", object(Runner::Deployment, &json!({"replicas": 2}), None), zero(), false),
        ("suspended, and not in the backup", paused, night, false),
    ] {
        let wanted = held(saved);
        assert_eq!(super::super::covers(&held_alike(&live, &wanted), &wanted), alike, "{case}");
    }
}

fn scaled(replicas: i64, policy: Option<&str>) -> Value {
    let policy = policy.map_or_else(|| json!({}), |policy| json!({"whenScaled": policy, "whenDeleted": "Retain"}));
    object(Runner::StatefulSet, &json!({"replicas": replicas, "persistentVolumeClaimRetentionPolicy": policy}), None)
}

#[test]
fn fault_c1_the_patch_that_scales_a_set_to_zero_keeps_its_claims() {
    let of = |object: &Value| match stop(object) {
        Stop::Patch(patch) => patch,
        other => panic!("{other:?}"),
    };
    let plain = |kept: &str| json!({"metadata": {"annotations": {REPLICAS_ANNOTATION: kept}}, "spec": {"replicas": 0}});
    for (policy, keeps) in [(None, false), (Some("Retain"), false), (Some("Delete"), true)] {
        let mut wanted = plain("3");
        if keeps {
            wanted["metadata"]["annotations"][retention::WHEN_SCALED_ANNOTATION] = json!("Delete");
            wanted["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Retain"});
        }
        assert_eq!(of(&scaled(3, policy)), wanted, "{policy:?}");
    }
    // A GitOps controller sets the policy back while the last pods go.
    let set_back = merged(merged(scaled(3, Some("Delete")), &of(&scaled(3, Some("Delete")))), &json!({"spec": scaled(0, Some("Delete"))["spec"]}));
    let again = merged(set_back.clone(), &of(&set_back));
    assert_eq!((retention::deletes_claims(&again), stopped_replicas(&again)), (false, Some("3")), "kept again, and it still had three");
    assert_eq!(stop(&scaled(0, Some("Delete"))), Stop::Nothing, "somebody else's zero is left alone");
    let written = held(scaled(0, Some("Delete")));
    assert!(!retention::deletes_claims(&written), "one that the backup has at zero is written so that the claims beside it stay");
    let started = merged(written.clone(), &start(&written).expect("it was held"));
    assert_eq!(pruned(started), pruned(scaled(0, Some("Delete"))));
}

#[test]
fn fault_c1_the_policy_of_a_set_is_put_back_only_while_no_pod_is_beyond_its_number() {
    let held = held(scaled(3, Some("Delete")));
    for (case, live, replicas, policy, more) in [
        ("stopped", json!({}), 3, "Delete", false),
        ("its last pods still go", json!({"status": {"replicas": 2}}), 3, "Delete", false),
        ("more pods than it is to have still go", json!({"status": {"replicas": 4}}), 3, "Retain", true),
        ("a person has scaled it", json!({"spec": {"replicas": 1}, "status": {"replicas": 1}}), 1, "Delete", false),
        ("a person has scaled it while its last pods go", json!({"spec": {"replicas": 1}, "status": {"replicas": 3}}), 1, "Retain", true),
    ] {
        let live = merged(held.clone(), &live);
        let started = merged(live.clone(), &start(&live).expect("it was held"));
        let found = (started["spec"]["replicas"].as_i64(), started["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"].as_str());
        assert_eq!(found, (Some(replicas), Some(policy)), "{case}");
        assert_eq!(start(&started).is_some(), more, "{case}: a later look comes to it");
        let gone = merged(started, &json!({"status": {"replicas": replicas}}));
        let settled = start(&gone).map_or(gone.clone(), |patch| merged(gone, &patch));
        assert_eq!(settled["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"], "Delete", "{case}");
        assert_eq!((start(&settled), stopped_replicas(&settled)), (None, None), "{case}: nothing is left");
    }
}
