//! A policy that makes Backups, against API servers in memory and a repository in a folder.

use super::{super::run::fake_hub::FakeHub, *};
use crate::{
    context::tests::process,
    hub_cache::{Cached, HubCache},
};
use kube::runtime::{reflector, watcher::Event};
use p861_crds::District;
use p861_runs::hub_object::HubObject;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt::Debug, fs, path::Path};

const SLOT: &str = "approval-20261128-1200z";

fn now() -> Timestamp {
    "2026-11-28T12:00:30Z".parse().expect("a time")
}

fn object(kind: &str, name: &str, uid: &str, spec: &Value, status: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "shinan", "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"});
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status})
}

fn ready() -> Value {
    json!({"conditions": [{"type": "Ready", "status": "True", "reason": "AsDeclared", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
}

/// A hub with one application and a policy that backs it up every minute.
fn hub(application_uid: &str, folder: &Path) -> FakeHub {
    let hub = FakeHub::default();
    let spec = json!({"repositoryRef": {"name": "main"}, "schedule": "* * * * *", "jitter": "0s", "defaultFor": ["Critical"]});
    let since = json!({"activeSince": "2026-11-28T11:59:30Z", "activeSchedule": "* * * * * Asia/Shanghai"});
    hub.put("backuppolicies", &object("BackupPolicy", "critical", "p", &spec, &since));
    let spec = json!({"names": {"en": "Approval"}, "department": "d", "namespaces": ["shinan-approval"], "criticality": "Critical"});
    hub.put("applications", &object("Application", "approval", application_uid, &spec, &ready()));
    put_repository(&hub, folder);
    hub
}

fn put_repository(hub: &FakeHub, folder: &Path) {
    let spec = json!({"failureDomain": "there", "folder": {"path": folder}, "encryption": {"keySecretRef": {"name": "key"}}});
    hub.put("backuprepositories", &object("BackupRepository", "main", "r", &spec, &ready()));
}

fn cached<K: Cached + Debug + DeserializeOwned>(hub: &FakeHub, cache: &mut HubCache, plural: &str) {
    let (store, mut writer) = reflector::store::<HubObject<K>>();
    writer.apply_watcher_event(&Event::Init);
    for object in hub.of(plural) {
        writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object).expect("an object")));
    }
    writer.apply_watcher_event(&Event::InitDone);
    cache.register(store);
}

/// A process whose cache is as the hub is now.
fn context(hub: &FakeHub) -> Context {
    let mut cache = HubCache::default();
    cached::<Backup>(hub, &mut cache, "backups");
    cached::<BackupPolicy>(hub, &mut cache, "backuppolicies");
    cached::<BackupRepository>(hub, &mut cache, "backuprepositories");
    cached::<Application>(hub, &mut cache, "applications");
    cached::<District>(hub, &mut cache, "districts");
    process(&hub.client(), cache)
}

/// One look of a controller. Returns what was decided, and what people are told.
async fn look(controller: &PolicyController, context: &Context, hub: &FakeHub, now: Timestamp) -> (DecisionOf<PolicyController>, Vec<ObjectEvent>) {
    let policy: BackupPolicy = serde_json::from_value(hub.get("backuppolicies", "critical").expect("it is there")).expect("a policy");
    let facts = controller.observe(&context.reading(), &policy, now).await.expect("the hub answers");
    let decision = PolicyController::decide(&policy, &facts, now);
    let events = controller.perform(context, &policy, &decision.effects, now).await.expect("it goes on");
    (decision, events)
}

fn backups(hub: &FakeHub) -> Vec<String> {
    hub.of("backups").iter().filter_map(|backup| backup["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_backup_is_made_for_each_slot_once_and_names_its_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hub, controller) = (hub("a", folder.path()), PolicyController::default());
    let stale = context(&hub);
    look(&controller, &stale, &hub, now()).await;
    look(&controller, &stale, &hub, now()).await;
    assert_eq!(backups(&hub), [SLOT], "also while the cache has it not");
    let made = hub.get("backups", SLOT).expect("it is there");
    assert_eq!(made["metadata"]["labels"], json!({APPLICATION_LABEL: "approval", POLICY_LABEL: "critical"}));
    let operator = "system:serviceaccount:p861-system:p861-operator";
    let spec =
        [&made["spec"]["applicationRef"]["name"], &made["spec"]["policyRef"]["name"], &made["spec"]["repositoryRef"]["name"], &made["spec"]["requestedBy"]];
    assert_eq!(spec, ["approval", "critical", "main", operator]);
    // Another process, before and after somebody deletes the Backup.
    look(&PolicyController::default(), &context(&hub), &hub, now()).await;
    hub.delete("backups", SLOT);
    let (_, events) = look(&PolicyController::default(), &context(&hub), &hub, now()).await;
    assert_eq!((backups(&hub), events), (vec![], vec![]), "what somebody deletes is not made again");
}

#[tokio::test]
async fn of_two_hubs_with_one_repository_one_takes_a_slot_and_the_other_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (hub("a", folder.path()), hub("b", folder.path()));
    let controller = PolicyController::default();
    look(&PolicyController::default(), &context(&first), &first, now()).await;
    let (_, events) = look(&controller, &context(&second), &second, now()).await;
    assert_eq!((backups(&first), backups(&second)), (vec![SLOT.to_owned()], vec![]));
    assert_eq!(events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["SlotTaken"]);
    let (decision, events) = look(&controller, &context(&second), &second, now()).await;
    assert_eq!((decision.effects.starts, events), (vec![], vec![]), "it is settled");
}

#[tokio::test]
async fn who_died_between_taking_a_slot_and_making_its_backup_makes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub("a", folder.path());
    let context = context(&hub);
    let store = open_store(&context.hub, "shinan", "main").await.expect("it opens");
    let record = SlotRecord::taking("approval", "a", "2026-11-28T12:00:00Z".parse().expect("a time"));
    slots::take(&store, "approval", &record, now()).await.expect("it is written");
    look(&PolicyController::default(), &context, &hub, now()).await;
    assert_eq!(backups(&hub), [SLOT]);
}

#[tokio::test]
async fn a_register_that_can_t_be_written_is_told_as_what_the_backup_waits_for_and_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let no_folder = folder.path().join("file");
    fs::write(&no_folder, "").expect("it is written");
    let (hub, controller) = (hub("a", &no_folder), PolicyController::default());
    look(&controller, &context(&hub), &hub, now()).await;
    let (decision, _) = look(&controller, &context(&hub), &hub, now()).await;
    assert_eq!((decision.effects.starts, backups(&hub)), (vec![], vec![]), "not in the next seconds");
    let waiting = decision.status.waiting.first().expect("it waits");
    assert!(waiting.message.starts_with(&format!("backup {SLOT} can't begin: ")), "{}", waiting.message);
    put_repository(&hub, folder.path());
    look(&controller, &context(&hub), &hub, "2026-11-28T12:00:41Z".parse().expect("a time")).await;
    assert_eq!(backups(&hub), [SLOT]);
}
