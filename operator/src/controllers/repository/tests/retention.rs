//! A repository is thinned out, against an API server in memory and a repository in a folder. There are no controllers: the test itself is the mover.

use super::{
    super::super::run::fake_hub::FakeHub,
    cached, declare, {Driver, RepositoryController},
};
use crate::{
    context::{Context, tests::process},
    dispatch::Dispatcher,
    hub_cache::HubCache,
};
use jiff::{SignedDuration, Timestamp};
use p861_core::{
    engine::{Evidence, PackSum, PrunedPacks},
    names::{journal, retention_of},
    protection::retention::ledger,
};
use p861_crds::{
    Application, Backup, BackupPolicy, BackupRepository, District, Drill, MaintenanceTicket, RecoveryPlan, Restore, Site, names::CLEANUP_FINALIZER,
};
use p861_runs::{hub_object::HubObject, movers::MoverAnswer, run_objects::RunObjects};
use p861_vault::{AsyncStore, ForgetOrder, Forgettable, Location, PartSpec, Repository, RepositoryAccess, SealSpec};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};

/// More looks than are ever needed here.
const MOST_LOOKS: u32 = 60;

fn access(folder: &Path) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: folder.to_owned() }, credentials: None, password: "secret".into(), id: None }
}

/// Seals snapshots of an application, a day apart, the newest of today. Returns their ids, the oldest first.
fn seal(folder: &Path, names: &[&str]) -> Vec<String> {
    let repository = Repository::open_or_init(&access(folder)).expect("a repository");
    let newest = Timestamp::now() - SignedDuration::from_hours(1);
    let of_one = |(name, age): (&&str, i64)| {
        let part = PartSpec { run: name, part: "objects", host: "here", parent: None };
        repository.write_stream(&part, Box::new(std::io::Cursor::new((*name).to_owned())), &|_| {}).expect("a part");
        let spec = SealSpec {
            run: (*name).to_owned(),
            host: "here".into(),
            time: newest - SignedDuration::from_hours(24 * age),
            tags: vec!["application=approval".into(), format!("backup={name}"), "district=shinan".into()],
            parts: vec!["objects".into()],
            inventory: json!({}),
            label: "approval".into(),
        };
        repository.seal(&spec, &|| Ok(())).expect("a snapshot").snapshot
    };
    let ages = (0..i64::try_from(names.len()).expect("few")).rev();
    names.iter().zip(ages).map(of_one).collect()
}

/// A hub that is its only site, with a repository of three snapshots.
struct Bed {
    hub: FakeHub,
    folder: tempfile::TempDir,
    snapshots: Vec<String>,
    context: Context,
    dispatcher: Arc<Dispatcher<Driver<RepositoryController>>>,
}

impl Bed {
    async fn new() -> Self {
        let (hub, folder) = (FakeHub::default(), tempfile::tempdir().expect("a folder"));
        let ours =
            |kind: &str, name: &str, spec: Value| json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        hub.put(
            "nodes",
            &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        );
        hub.put("namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shinan-approval"}}));
        hub.put("sites", &ours("Site", "here", json!({"failureDomain": "here", "access": {"inCluster": {}}})));
        let sites = json!([{"siteRef": {"name": "here"}, "role": "Primary"}]);
        hub.put("districts", &ours("District", "shinan", json!({"code": "370202", "names": {"en": "Shinan"}, "sites": sites})));
        hub.put(
            "secrets",
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "shinan"}, "data": {"password": "c2VjcmV0"}}),
        );
        let mut application = ours("Application", "approval", json!({"department": "any", "namespaces": ["shinan-approval"]}));
        application["metadata"]["namespace"] = json!("shinan");
        hub.put("applications", &application);
        declare(&hub, "shinan", "main", ("folder", json!({"path": folder.path()})));
        let path = folder.path().to_owned();
        let snapshots = tokio::task::spawn_blocking(move || seal(&path, &["one", "two", "three"])).await.expect("sealed");
        for (name, snapshot) in ["one", "two", "three"].iter().zip(&snapshots) {
            let mut backup = ours("Backup", name, json!({"applicationRef": {"name": "approval"}}));
            backup["metadata"]["namespace"] = json!("shinan");
            backup["status"] = json!({"phase": "Succeeded", "snapshotID": snapshot, "recoveryPointTime": Timestamp::now().to_string(), "repository": "main"});
            hub.put("backups", &backup);
        }
        let context = process(&hub.client(), Self::cache(&hub));
        let dispatcher = Dispatcher::new(context.clone(), Driver::of(RepositoryController::default()));
        Self { hub, folder, snapshots, context, dispatcher }
    }

    fn cache(hub: &FakeHub) -> HubCache {
        let mut cache = HubCache::default();
        cached::<Site>(hub, &mut cache, "sites");
        cached::<District>(hub, &mut cache, "districts");
        cached::<Application>(hub, &mut cache, "applications");
        cached::<RecoveryPlan>(hub, &mut cache, "recoveryplans");
        cached::<Backup>(hub, &mut cache, "backups");
        cached::<Restore>(hub, &mut cache, "restores");
        cached::<Drill>(hub, &mut cache, "drills");
        cached::<MaintenanceTicket>(hub, &mut cache, "maintenancetickets");
        cached::<BackupPolicy>(hub, &mut cache, "backuppolicies");
        cached::<BackupRepository>(hub, &mut cache, "backuprepositories");
        cache
    }

    /// A process that knows nothing yet, with the hub as it is now.
    fn restarts(&mut self) {
        self.context = process(&self.hub.client(), Self::cache(&self.hub));
        self.dispatcher = Dispatcher::new(self.context.clone(), Driver::of(RepositoryController::default()));
    }

    async fn look(&self) {
        let newest = || {
            let object: HubObject<BackupRepository> = serde_json::from_value(self.hub.get("backuprepositories", "main")?).expect("a repository");
            Some(Arc::new(object))
        };
        let key = ("shinan".to_owned(), "main".to_owned());
        self.dispatcher.reconcile(&key, newest).await.expect("it is reconciled");
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..MOST_LOOKS {
            if is_so(self) {
                return;
            }
            self.look().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: in vain; {:#}", self.status());
    }

    fn status(&self) -> Value {
        self.hub.get("backuprepositories", "main").map_or(Value::Null, |object| object["status"].clone())
    }

    fn ask(&mut self, backup: &str, answer: Option<&str>) {
        let mut object = self.hub.get("backups", backup).expect("a backup");
        object["spec"]["actions"] = json!([{"action": "Forget", "reason": "test data", "by": "hong", "answer": answer}]);
        self.hub.put("backups", &object);
        self.restarts();
    }

    fn kept(&self, backup: &str) -> Option<(String, String, String)> {
        let object = self.hub.get("backups", backup)?;
        let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        let kept = object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Kept")?;
        Some((text(kept, "status"), text(kept, "reason"), text(kept, "message")))
    }

    fn job(&self) -> Value {
        self.hub.of("jobs").into_iter().next().expect("a mover")
    }

    /// The mover's task, as it is told.
    fn task(&self) -> Value {
        let job = self.job();
        let told = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("variables").clone();
        let task = told.iter().find(|variable| variable["name"] == "P861_TASK").expect("a task");
        serde_json::from_str(task["value"].as_str().expect("a text")).expect("a task")
    }

    /// The mover has proven this, and its pod has ended.
    async fn proves(&self, evidence: &Evidence) {
        let job = self.job();
        let uid = job["metadata"]["labels"]["platform861.io/run"].as_str().expect("a run").to_owned();
        let store = AsyncStore::new(&access(self.folder.path()).location, None).await.expect("a store");
        let stored = RunObjects::new(store, &uid).put(evidence).await.expect("stored");
        let message = serde_json::to_string(&MoverAnswer::done(stored)).expect("JSON");
        let name = job["metadata"]["name"].clone();
        let mut labels = job["metadata"]["labels"].clone();
        labels["batch.kubernetes.io/job-name"] = name.clone();
        let terminated = json!({"exitCode": 0, "message": message, "reason": "Completed"});
        self.hub.put(
            "pods",
            &json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "mover-pod", "namespace": job["metadata"]["namespace"], "labels": labels,
                    "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": true}]},
                "spec": {"containers": [], "serviceAccountName": job["spec"]["template"]["spec"]["serviceAccountName"]},
                "status": {"phase": "Succeeded", "containerStatuses": [{"name": "mover", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
                    "state": {"terminated": terminated}}]}}),
        );
    }

    /// What the mover of a forget does.
    async fn forgets(&self, backup: usize) {
        let (path, id) = (self.folder.path().to_owned(), self.snapshots[backup].clone());
        let forget = move || {
            let snapshots = [Forgettable { id, application: "approval".into(), why: "a test".into() }];
            let order = ForgetOrder { snapshots: &snapshots, district: "shinan", by: "a test", at: Timestamp::now() };
            let may_write: p861_vault::MayWrite = Arc::new(|| Ok(()));
            Repository::open(&access(&path)).expect("open").forget_recorded(&order, &may_write, &|_| {}).expect("forgotten")
        };
        let forgotten = tokio::task::spawn_blocking(forget).await.expect("done");
        self.proves(&Evidence::SnapshotsForgotten { forgotten: forgotten.forgotten, absent: forgotten.absent, locked: forgotten.locked }).await;
    }
}

fn has_ended(bed: &Bed) -> bool {
    let object = bed.hub.get("backuprepositories", "main").unwrap_or_default();
    let released = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    object["status"]["retentionRun"]["completionTime"].is_string() && released
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_asked_for_is_forgotten_by_a_run_of_the_repository_and_its_backup_says_so() {
    let mut bed = Bed::new().await;
    bed.ask("one", None);
    bed.until("a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
    let (repository, status) = (bed.hub.get("backuprepositories", "main").expect("it"), bed.status());
    assert_eq!(repository["metadata"]["finalizers"], json!([CLEANUP_FINALIZER]));
    assert_eq!((&status["retentionRun"]["work"], &status["retentionRun"]["phase"]), (&json!("Forget"), &json!("Running")), "{status:#}");
    let task = bed.task();
    assert_eq!((&task["task"], &task["district"], &task["snapshots"]), (&json!("forget"), &json!("shinan"), &json!([])), "the list is elsewhere");
    let list = bed.hub.get("configmaps", &retention_of("main")).expect("a list");
    let listed: Value = serde_json::from_str(list["data"]["retention.json"].as_str().expect("a text")).expect("JSON");
    let goes: Vec<&str> =
        listed.as_array().expect("a list").iter().filter(|one| one["verdict"]["forget"].is_object()).filter_map(|one| one["backup"].as_str()).collect();
    assert_eq!(goes, ["one"]);

    bed.forgets(0).await;
    bed.until("the run ends", has_ended).await;
    let status = bed.status();
    assert_eq!((&status["retentionRun"]["phase"], &status["forgotten"]), (&json!("Succeeded"), &json!(1)), "{status:#}");
    assert!(status["lastForgetTime"].is_string(), "{status:#}");
    assert_eq!(bed.kept("one"), Some(("False".into(), "Forgotten".into(), "hong has asked for it: test data".into())));
    assert_eq!(bed.hub.of("jobs"), Vec::<Value>::new(), "its mover is left");
    let second = status["retentionRun"]["decidedTime"].as_str().expect("a time").parse::<Timestamp>().expect("a time").as_second();
    let journal = journal("main", "repository", &format!("shinan-main-{second}"));
    assert!(bed.hub.get("configmaps", &journal).is_some(), "its journal stays as long as it is listed");
    assert!(!bed.folder.path().join("snapshots").join(&bed.snapshots[0]).exists());
    assert!(bed.folder.path().join("snapshots").join(&bed.snapshots[1]).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_stays_although_somebody_asks_and_says_what_to_do_and_goes_once_that_is_said() {
    let mut bed = Bed::new().await;
    bed.ask("three", None);
    bed.until("it is answered", |bed| bed.kept("three").is_some()).await;
    let (status, reason, message) = bed.kept("three").expect("an answer");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "ActionRefused"));
    assert!(message.contains("p861 backup forget three --even-newest"), "{message}");
    bed.look().await;
    assert_eq!(bed.status()["retentionRun"], Value::Null);
    bed.ask("three", Some("newest"));
    bed.until("a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_begun_is_carried_on_by_another_process_and_nothing_else_begins_by_day() {
    let mut bed = Bed::new().await;
    bed.ask("one", None);
    bed.until("a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
    bed.restarts();
    bed.forgets(0).await;
    bed.until("the run ends", has_ended).await;
    assert_eq!(bed.status()["retentionRun"]["phase"], "Succeeded", "{:#}", bed.status());
    bed.look().await;
    assert_eq!(bed.status()["retentionRun"]["phase"], "Succeeded", "nothing else is due by day");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_deleted_while_its_run_goes_on_is_left_clean() {
    let mut bed = Bed::new().await;
    bed.ask("one", None);
    bed.until("a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
    bed.hub.delete("backuprepositories", "main");
    for _ in 0..MOST_LOOKS {
        if bed.hub.get("backuprepositories", "main").is_none() {
            break;
        }
        bed.look().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(bed.hub.get("backuprepositories", "main").is_none(), "{:#}", bed.status());
    assert_eq!(bed.hub.of("jobs"), Vec::<Value>::new());
    assert!(bed.folder.path().join("snapshots").join(&bed.snapshots[0]).exists(), "it was not forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_marked_leaves_at_night_and_the_status_says_what_left() {
    let bed = Bed::new().await;
    bed.until("it was looked at", |bed| bed.status()["nextRetentionTime"].is_string()).await;
    // As if nothing had been done for a week of nights.
    let mut object = bed.hub.get("backuprepositories", "main").expect("it");
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    object["status"]["nextRetentionTime"] = json!("2026-01-02T00:00:00Z");
    bed.hub.put("backuprepositories", &object);
    bed.until("a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
    let task = bed.task();
    assert_eq!((&task["task"], &task["delay"], &task["memoryLimit"]), (&json!("prune"), &json!("23h"), &json!("1Gi")));
    let sum = |packs| PackSum { packs, bytes: packs * 1024 };
    let none = PackSum::default();
    let done = PrunedPacks { marked: sum(3), waiting: none, removed: sum(2), hidden: none, locked: none, locked_until: None, recovered: 0, repacked_bytes: 0 };
    bed.proves(&Evidence::Pruned(done)).await;
    bed.until("the run ends", has_ended).await;
    let status = bed.status();
    assert_eq!((&status["reclaimed"], &status["marked"]), (&json!("2Ki"), &json!("3Ki")), "{status:#}");
    let pruned = status["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == "Pruned").cloned().unwrap_or_default();
    assert_eq!((&pruned["status"], &pruned["reason"]), (&json!("True"), &json!("Pruned")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repository_remembers_what_is_proven_and_a_hub_that_lost_its_backups_keeps_that() {
    let mut bed = Bed::new().await;
    let mut proven = bed.hub.get("backups", "one").expect("a backup");
    proven["status"]["verification"] = json!({"level": "Probed", "verifiedTime": Timestamp::now().to_string()});
    bed.hub.put("backups", &proven);
    bed.restarts();
    let kept = bed.folder.path().join(ledger::KEY);
    bed.until("it is remembered", |_| kept.is_file()).await;
    let text = std::fs::read_to_string(&kept).expect("a ledger");
    assert!(text.contains(&bed.snapshots[0]) && text.contains("Probed") && !text.contains(&bed.snapshots[1]), "{text}");
    for name in ["one", "two", "three"] {
        bed.hub.delete("backups", name);
    }
    bed.restarts();
    let list = || bed.hub.get("configmaps", &retention_of("main")).map(|map| map["data"]["retention.json"].as_str().unwrap_or_default().to_owned());
    bed.look().await;
    let listed = list().expect("a list");
    assert!(listed.contains(r#"{"why":"newestOfLevel","level":"Probed"}"#), "{listed}");
    std::fs::write(&kept, "nonsense").expect("written");
    bed.restarts();
    bed.look().await;
    assert_eq!(std::fs::read_to_string(&kept).expect("a ledger"), "nonsense", "what can't be read is not written over, and nothing goes");
}
