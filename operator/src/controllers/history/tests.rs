//! Ended runs that leave the hub, against an API server in memory and a repository in a folder.

use super::{super::run::fake_hub::FakeHub, *};
use crate::{
    context::tests::process,
    hub_cache::{Cached, HubCache},
};
use kube::runtime::{reflector, watcher::Event};
use p861_crds::{Application, BackupPolicy, RecoveryPlan};
use p861_runs::hub_object::HubObject;
use serde::de::DeserializeOwned;
use std::{fmt::Debug, fs, path::Path};

pub(super) const LIMITS: HistoryLimits = HistoryLimits { succeeded: 2, failed: 2 };

pub(super) fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().expect("a time")
}

pub(super) fn ours(kind: &str, name: &str, spec: &Value, status: &Value) -> Value {
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "shinan"}, "spec": spec, "status": status})
}

/// A backup that ended in that minute of an hour long ago.
fn backup(minute: u8) -> Value {
    let time = format!("2026-11-27T08:{minute:02}:00Z");
    let status = json!({"phase": "Succeeded", "completionTime": time, "recoveryPointTime": time, "snapshotID": format!("5aa{minute}"), "repository": "main",
        "journal": {"location": format!("configmap:shinan/b{minute}-backup-journal-x"), "sequence": 9, "token": 1}});
    ours("Backup", &format!("b{minute}"), &json!({"applicationRef": {"name": "approval"}}), &status)
}

pub(super) struct Bed {
    pub(super) hub: FakeHub,
    pub(super) folder: tempfile::TempDir,
}

impl Bed {
    /// Nothing but a repository.
    pub(super) fn empty() -> Self {
        let bed = Self { hub: FakeHub::default(), folder: tempfile::tempdir().expect("a folder") };
        bed.put_repository(bed.folder.path());
        bed
    }

    /// Five backups, each with its journal.
    fn new() -> Self {
        let bed = Self::empty();
        let hub = &bed.hub;
        for minute in 1..=5 {
            hub.put("backups", &backup(minute));
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("b{minute}-backup-journal-x"), "namespace": "shinan"},
                "data": {"plan.json": "{}", "journal.jsonl": format!("record {minute}\n"), "run.json": "{\"repository\": \"main\"}"}});
            hub.put("configmaps", &map);
        }
        bed
    }

    fn put_repository(&self, folder: &Path) {
        let spec = json!({"failureDomain": "there", "folder": {"path": folder}, "encryption": {"keySecretRef": {"name": "key"}}});
        self.hub.put("backuprepositories", &ours("BackupRepository", "main", &spec, &json!({})));
    }

    /// A process whose cache is as the hub is now.
    pub(super) fn process(&self) -> Context {
        let mut cache = HubCache::default();
        self.cached::<Backup>(&mut cache, "backups");
        self.cached::<Restore>(&mut cache, "restores");
        self.cached::<Drill>(&mut cache, "drills");
        self.cached::<MaintenanceTicket>(&mut cache, "maintenancetickets");
        self.cached::<Approval>(&mut cache, "approvals");
        self.cached::<Application>(&mut cache, "applications");
        self.cached::<RecoveryPlan>(&mut cache, "recoveryplans");
        self.cached::<BackupPolicy>(&mut cache, "backuppolicies");
        process(&self.hub.client(), cache)
    }

    fn cached<K: Cached + Debug + DeserializeOwned>(&self, cache: &mut HubCache, plural: &str) {
        let (store, mut writer) = reflector::store::<HubObject<K>>();
        writer.apply_watcher_event(&Event::Init);
        for object in self.hub.of(plural) {
            writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object).expect("an object")));
        }
        writer.apply_watcher_event(&Event::InitDone);
        cache.register(store);
    }

    pub(super) fn left(&self, plural: &str) -> Vec<String> {
        self.hub.of(plural).iter().filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    /// What is stored of a run.
    fn stored(&self, noun: &str, plural: &str, name: &str, uid: &str) -> Value {
        let end = format!("_{name}_{uid}.json");
        let found: Vec<String> = self.files(&format!("history/{noun}")).into_iter().filter(|path| path.ends_with(&end)).collect();
        assert_eq!(found.len(), 1, "{plural} {name}: {found:?}");
        serde_json::from_str(&fs::read_to_string(self.folder.path().join(&found[0])).expect("a text")).expect("JSON")
    }

    /// The files of the repository under a folder of it, sorted.
    pub(super) fn files(&self, under: &str) -> Vec<String> {
        let (root, mut found, mut folders) = (self.folder.path(), Vec::new(), vec![self.folder.path().join(under)]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(root).expect("under the root").to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().expect("a UID").to_owned()
}

#[tokio::test]
async fn fault_f8_an_ended_run_is_stored_with_its_journal_before_its_object_goes() {
    let bed = Bed::new();
    let context = bed.process();
    let third = uid(&bed.hub.get("backups", "b3").expect("a backup"));
    let left_by_movers = bed.folder.path().join(format!("p861/runs/{third}/aa.json"));
    fs::create_dir_all(left_by_movers.parent().expect("a folder")).expect("a folder");
    fs::write(&left_by_movers, b"{}").expect("a file");
    let gone = ended(&context, "shinan", LIMITS, now()).await.expect("it can be read");
    collect(&context, "shinan", &gone).await;
    assert_eq!(bed.left("backups"), ["b4", "b5"]);
    let stored = bed.stored("backup", "backups", "b3", &third);
    assert_eq!((&stored["kind"], &stored["object"]["status"]["snapshotID"]), (&json!("Backup"), &json!("5aa3")));
    assert_eq!(stored["files"]["journal.jsonl"], "record 3\n");
    let documents = bed.files("history/backup");
    assert!(documents.len() == 2 && !documents.iter().any(|path| path.contains("_b1_")), "as many documents as objects: {documents:?}");
    assert!(!left_by_movers.exists(), "what its movers left goes with it");
    assert_eq!(ended(&context, "shinan", LIMITS, now()).await.expect("it can be read"), Vec::new(), "nothing is over the limits any more");
}

#[tokio::test]
async fn fault_f8_nothing_goes_that_could_not_be_stored() {
    let bed = Bed::new();
    let all: Vec<String> = (1..=5).map(|minute| format!("b{minute}")).collect();
    // A file stands where the folder of documents must be.
    fs::write(bed.folder.path().join("history"), b"").expect("a file");
    let context = bed.process();
    let gone = ended(&context, "shinan", LIMITS, now()).await.expect("it can be read");
    collect(&context, "shinan", &gone).await;
    assert_eq!(bed.left("backups"), all);
    bed.hub.delete("backuprepositories", "main");
    let context = bed.process();
    collect(&context, "shinan", &gone).await;
    assert_eq!(bed.left("backups"), all, "without a repository nothing goes either");
}

#[tokio::test]
async fn fault_f8_an_object_that_changes_meanwhile_or_that_a_new_one_refers_to_stays() {
    let bed = Bed::new();
    let context = bed.process();
    // The cache doesn't have it yet.
    let source = json!({"source": {"backupRef": {"name": "b2"}}});
    bed.hub.put("restores", &ours("Restore", "back", &source, &json!({})));
    let gone = ended(&context, "shinan", LIMITS, now()).await.expect("it can be read");
    assert_eq!(gone.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["b1", "b3"]);
    let mut kept = bed.hub.get("backups", "b3").expect("a backup");
    kept["metadata"]["labels"] = json!({"platform861.io/keep": "true"});
    bed.hub.put("backups", &kept);
    collect(&context, "shinan", &gone).await;
    assert_eq!(bed.left("backups"), ["b2", "b3", "b4", "b5"]);
}

#[tokio::test]
async fn fault_f8_a_ticket_goes_with_its_approvals_which_are_stored_too() {
    let bed = Bed::new();
    let spec = json!({"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {}});
    for day in 1..=3 {
        let status = json!({"phase": "Closed", "completionTime": format!("2026-09-0{day}T00:00:00Z")});
        bed.hub.put("maintenancetickets", &ours("MaintenanceTicket", &format!("t{day}"), &spec, &status));
    }
    let ticket = uid(&bed.hub.get("maintenancetickets", "t1").expect("a ticket"));
    for (name, subject) in [("yes", ticket.as_str()), ("of-another", "uid-0")] {
        let spec =
            json!({"subjectRef": {"kind": "MaintenanceTicket", "name": "t1", "uid": subject}, "purpose": "SignOff", "decision": "Approved", "approver": "sun"});
        bed.hub.put("approvals", &ours("Approval", name, &spec, &json!({})));
    }
    let context = bed.process();
    collect(&context, "shinan", &ended(&context, "shinan", LIMITS, now()).await.expect("it can be read")).await;
    assert_eq!((bed.left("maintenancetickets"), bed.left("approvals")), (vec!["t2".into(), "t3".into()], vec!["of-another".into()]));
    let stored = bed.stored("ticket", "maintenancetickets", "t1", &ticket);
    assert_eq!(stored["approvals"][0]["spec"]["approver"], "sun");
}

#[test]
fn the_document_of_a_run_goes_where_its_data_is() {
    let declared: Vec<String> = ["a", "b"].map(str::to_owned).to_vec();
    let files = |repository: &str| BTreeMap::from([("run.json".to_owned(), json!({"repository": repository}).to_string())]);
    for (case, object, files, expected) in [
        ("as its status says", json!({"status": {"repository": "b"}}), files("a"), Some("b")),
        ("as its record says", json!({"status": {}}), files("b"), Some("b")),
        ("its repository is gone", json!({"status": {"repository": "old"}}), files("old"), Some("a")),
        ("it used none", json!({}), files(""), Some("a")),
        ("it never began", json!({}), BTreeMap::new(), Some("a")),
    ] {
        assert_eq!(repository_of(&object, &files, &declared).as_deref(), expected, "{case}");
        assert_eq!(repository_of(&object, &files, &[]), None, "{case}, and none is declared");
    }
}

#[test]
fn the_texts_of_a_journal_are_stored_unpacked() {
    let packed = packed::pack("long").expect("packed");
    let map = ConfigMap {
        data: Some(BTreeMap::from([("run.json".to_owned(), "{}".to_owned())])),
        binary_data: Some(BTreeMap::from([
            ("journal.jsonl.gz".to_owned(), k8s_openapi::ByteString(packed)),
            ("plan.json.gz".to_owned(), k8s_openapi::ByteString(b"no gzip".to_vec())),
        ])),
        ..ConfigMap::default()
    };
    let texts = texts(map);
    assert_eq!((texts["run.json"].as_str(), texts["journal.jsonl"].as_str()), ("{}", "long"));
    assert!(texts["plan.json"].contains("can't be unpacked"), "{texts:?}");
}

#[test]
fn the_config_maps_of_a_run_are_found_by_its_status_or_its_name() {
    let run = |class, name: &str| EndedRun {
        class,
        name: name.into(),
        uid: "u".into(),
        resource_version: "1".into(),
        approvals: Vec::new(),
        group: Vec::new(),
        succeeded: true,
        order: now(),
        limits: LIMITS,
    };
    let on_hub = json!({"status": {"journal": {"location": "configmap:shinan/x-journal"}}});
    let in_bucket = json!({"status": {"journal": {"location": "s3://bucket/journal/core/u"}}});
    let record = p861_core::names::journal("d", "drill", "u");
    assert_eq!(map_names(&on_hub, &run(RunClass::Backup, "b")), ["x-journal"]);
    assert_eq!(map_names(&on_hub, &run(RunClass::Restore, "r")), ["x-journal", "r-refused", "r-left-out"]);
    assert_eq!(map_names(&in_bucket, &run(RunClass::Drill, "d")), [record]);
}
