//! Workloads that ran where objects are restored: stopped, written over, and started again, as the patches of `core` do it.

use super::*;
use kube::{
    Api,
    api::{ApiResource, Patch, PatchParams},
    core::{DynamicObject, GroupVersionKind},
};
use p861_core::objects::{self, Runner, Stop};
use p861_runs::movers::{ending::EndRequest, restore::compare_until};

/// A set with that policy, or a Deployment if there is none.
fn workload(name: &str, replicas: u32, label: &str, policy: Option<&str>) -> Value {
    let template = json!({"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let mut spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": label}}, "template": template});
    let Some(policy) = policy else { return object("apps/v1", "Deployment", name, json!({"spec": spec})) };
    spec["serviceName"] = json!(name);
    spec["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": policy, "whenDeleted": "Retain"});
    spec["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    object("apps/v1", "StatefulSet", name, json!({"spec": spec}))
}

/// Patches an object that is there, as the steps that stop and start do. Returns it as it is then.
async fn patched(world: &World, live: &Value, patch: &Value) -> Value {
    let (group, version, kind, plural) = Runner::of(live).expect("it runs pods").names();
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), objects::namespace(live), &resource);
    let parameters = PatchParams { field_manager: Some("p861-operator".into()), ..PatchParams::default() };
    let after = api.patch(objects::name(live), &parameters, &Patch::Merge(patch)).await.expect("patched");
    serde_json::to_value(after).expect("an object")
}

fn whole(live: &Value, kind: &str) -> Value {
    let mut object = live.clone();
    object["apiVersion"] = json!("apps/v1");
    object["kind"] = json!(kind);
    object
}

async fn stopped(world: &World, live: &Value) -> Value {
    let Stop::Patch(patch) = objects::stop(live) else { panic!("it can be stopped: {live}") };
    patched(world, live, &patch).await
}

async fn started(world: &World, live: &Value) -> Value {
    patched(world, live, &objects::start(live).expect("it was stopped")).await
}

fn policy(set: &Value) -> (Option<i64>, Option<&str>) {
    (set["spec"]["replicas"].as_i64(), set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"].as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c1_a_set_that_a_restore_stops_or_writes_keeps_its_claims_until_it_runs_again() {
    let saved = |name: &str| workload(name, 2, name, Some("Delete"));
    let world = World::with(&[("statefulsets.apps", vec![saved("db"), saved("new")])]).await;
    world.namespace(SOURCE);
    world.server.apply(&saved("db").to_string());
    let get = |name: &str| whole(&world.get(SOURCE, "statefulset", name), "StatefulSet");
    let before = get("db");
    assert_eq!(policy(&before), (Some(2), Some("Delete")));
    assert_eq!(policy(&stopped(&world, &before).await), (Some(0), Some("Retain")), "in one patch: its controller sees no zero without it");

    let mut task = world.task(SOURCE, ConflictPolicy::Merge, false);
    task.rules.stopped = true;
    let outcome = world.perform(&task).await.expect("a restore");
    assert_eq!(counts(&outcome), [1, 0, 1, 0, 0], "{:?}", named(&outcome.listed));
    for name in ["db", "new"] {
        assert_eq!(policy(&get(name)), (Some(0), Some("Retain")), "{name}: written at zero, beside claims that are restored");
        let running = whole(&started(&world, &get(name)).await, "StatefulSet");
        assert_eq!((policy(&running), objects::start(&running)), ((Some(2), Some("Delete")), None), "{name}");
    }
    let annotations = |set: &Value| set["metadata"]["annotations"].clone();
    assert_eq!(annotations(&get("db")), annotations(&before), "nothing of it is left");
}

/// The look before anything is stopped.
async fn compared(world: &World, policy: ConflictPolicy) -> Result<u64, String> {
    let task = world.task(SOURCE, policy, false);
    compare_until(&world.client, world.access.clone(), &task, &|_| {}, &EndRequest::never()).await.map_err(|error| error.to_string())
}

fn cron(suspend: bool) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]});
    object(
        "batch/v1",
        "CronJob",
        "nightly",
        json!({"spec": {"schedule": "0 3 * * *", "suspend": suspend, "jobTemplate": {"spec": {"template": {"spec": pod}}}}}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h2_an_unchanged_application_that_runs_differs_in_nothing_and_is_restored_under_refuse() {
    let (web, off, db) = (workload("web", 2, "web", None), workload("off", 0, "off", None), workload("db", 1, "db", Some("Delete")));
    let world =
        World::with(&[("deployments.apps", vec![off.clone(), web.clone()]), ("statefulsets.apps", vec![db.clone()]), ("cronjobs.batch", vec![cron(true)])])
            .await;
    world.namespace(SOURCE);
    for live in [&web, &off, &db, &cron(true)] {
        world.server.apply(&live.to_string());
    }
    assert_eq!(compared(&world, ConflictPolicy::Refuse).await, Ok(4), "nothing is at zero that the backup has at zero only because it is written so");
    let preview = world.restore(SOURCE, ConflictPolicy::Refuse, true).await.expect("a preview");
    assert_eq!(counts(&preview), [0, 0, 4, 0, 0], "{:?}", named(&preview.listed));
    let get = |kind: &str, name: &str, whole_kind: &str| whole(&world.get(SOURCE, kind, name), whole_kind);
    let before = (get("deployment", "web", "Deployment")["spec"].clone(), get("statefulset", "db", "StatefulSet")["spec"].clone());
    stopped(&world, &get("deployment", "web", "Deployment")).await;
    stopped(&world, &get("statefulset", "db", "StatefulSet")).await;
    for policy in [ConflictPolicy::Refuse, ConflictPolicy::Merge, ConflictPolicy::Replace] {
        let mut task = world.task(SOURCE, policy, false);
        task.rules.stopped = true;
        let outcome = world.perform(&task).await.expect("a restore");
        assert_eq!(counts(&outcome), [0, 0, 4, 0, 0], "{policy:?}: {:?}", named(&outcome.listed));
    }
    started(&world, &get("deployment", "web", "Deployment")).await;
    started(&world, &get("statefulset", "db", "StatefulSet")).await;
    assert_eq!((get("deployment", "web", "Deployment")["spec"].clone(), get("statefulset", "db", "StatefulSet")["spec"].clone()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b14_an_immutable_field_is_found_before_anything_is_stopped_and_leaves_no_workload_at_zero() {
    let world = World::with(&[("deployments.apps", vec![workload("api", 1, "api", None), workload("web", 2, "old", None)])]).await;
    world.namespace(SOURCE);
    world.server.apply(&workload("api", 3, "api", None).to_string());
    world.server.apply(&workload("web", 2, "new", None).to_string());
    let web = || whole(&world.get(SOURCE, "deployment", "web"), "Deployment");
    // The Deployment's controller would say so.
    let pods: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), SOURCE, &deployments());
    let status = json!({"status": {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 2, "observedGeneration": 1}});
    pods.patch_status("web", &PatchParams::default(), &Patch::Merge(status)).await.expect("a status");
    let before = web();

    let refused = compared(&world, ConflictPolicy::Merge).await.expect_err("a selector can't be changed");
    for words in ["1 object is there and can't be changed in place", "Deployment web", "spec.selector", "nothing was written", "conflictPolicy Replace"] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert_eq!(compared(&world, ConflictPolicy::Replace).await, Ok(2), "once it is stopped, it can be deleted and made again");
    assert_eq!(web()["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"], "it was looked at only");

    // Somebody gave it that selector after the look.
    let held = stopped(&world, &before).await;
    assert_eq!(held["spec"]["replicas"], 0);
    let mut task = world.task(SOURCE, ConflictPolicy::Merge, false);
    task.rules.stopped = true;
    let outcome = world.perform(&task).await.expect("fault_b13: everything else is written");
    assert!(named(&outcome.listed)[0].starts_with("Deployment web: ") && outcome.listed.len() == 1, "{:?}", named(&outcome.listed));
    let running = started(&world, &web()).await;
    assert_eq!((&running["spec"]["replicas"], objects::start(&whole(&running, "Deployment"))), (&json!(2), None), "it runs as before");
}

fn deployments() -> ApiResource {
    let (group, version, kind, plural) = Runner::Deployment.names();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}
