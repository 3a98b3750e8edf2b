//! Runs that lose what they were begun from: whatever is deleted meanwhile, they end and have cleaned up.

mod occupied;
mod shown;
mod tampered;
mod unready;
mod vanished;

use super::{
    super::{backup::BackupRun, drill::DrillRun, restore::RestoreRun},
    fake_hub::FakeHub,
    *,
};
use crate::{
    context::tests::process,
    hub_cache::{Cached, HubCache},
};
use kube::runtime::{reflector, watcher::Event};
use p861_crds::{Application, BackupPolicy, BackupRepository, District, names::CLEANUP_FINALIZER};
use p861_runs::hub_object::HubObject;
use p861_vault::{Location, PartSpec, Repository, RepositoryAccess, SealSpec};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    task::Poll,
    thread,
};

/// More passes than a run ever needs here.
const MOST_PASSES: u32 = 400;

fn ours(kind: &str, name: &str, namespace: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

/// A repository with one sealed backup, file by file.
struct Sealed {
    files: Vec<(PathBuf, Vec<u8>)>,
    snapshot: String,
}

/// Made once: deriving a repository's key is slow by design.
fn sealed() -> &'static Sealed {
    static SEALED: OnceLock<Sealed> = OnceLock::new();
    // On a thread of its own, since the vault blocks.
    SEALED.get_or_init(|| thread::spawn(seal).join().expect("a repository"))
}

fn seal() -> Sealed {
    let folder = tempfile::tempdir().expect("a folder");
    let access = RepositoryAccess { location: Location::Folder { path: folder.path().to_owned() }, credentials: None, password: "secret".into(), id: None };
    let repository = Repository::open_or_init(&access).expect("a repository");
    let part = PartSpec { run: "sound", part: "objects", host: "here", parent: None };
    repository.write_stream(&part, Box::new(b"{}".as_slice()), &|_| {}).expect("a part");
    let spec = SealSpec {
        run: "sound".into(),
        host: "here".into(),
        time: "2026-11-15T00:00:00Z".parse().expect("a time"),
        tags: vec!["application=approval".into(), "backup=sound".into()],
        parts: vec!["objects".into()],
        inventory: json!({}),
        label: "approval".into(),
    };
    let snapshot = repository.seal(&spec, &|| Ok(())).expect("a snapshot").snapshot;
    let mut files = Vec::new();
    read_files(folder.path(), Path::new(""), &mut files);
    Sealed { files, snapshot }
}

/// The files under a folder of the root, by their path in the root.
fn read_files(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder") {
        let name = folder.join(entry.expect("an entry").file_name());
        let path = root.join(&name);
        if path.is_dir() {
            read_files(root, &name, files);
        } else {
            files.push((name, fs::read(path).expect("a file")));
        }
    }
}

/// A hub that is its only site, too, with what a run of each kind needs.
struct Bed {
    hub: FakeHub,
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let (hub, folder) = (FakeHub::default(), tempfile::tempdir().expect("a folder"));
        for (name, content) in &sealed().files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        let ready = json!([{"type": "Ready", "status": "True", "reason": "Open", "message": "", "lastTransitionTime": "2026-11-15T00:00:00Z"}]);
        let core = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        let mut node = core("Node", "node-1");
        node["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        hub.put("nodes", &node);
        hub.put("namespaces", &core("Namespace", "shinan-approval"));
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": "any"});
        hub.put("storageclasses", &class);
        let key = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "shinan"}, "data": {"password": "c2VjcmV0"}});
        hub.put("secrets", &key);
        for site in ["here", "there"] {
            hub.put("sites", &ours("Site", site, "", json!({"names": {"en": site}, "failureDomain": site, "access": {"inCluster": {}}})));
        }
        let sites = json!([{"siteRef": {"name": "here"}, "role": "Primary"}, {"siteRef": {"name": "there"}, "role": "Standby"}]);
        hub.put("districts", &ours("District", "shinan", "", json!({"code": "370202", "names": {"en": "Shinan"}, "sites": sites})));
        hub.put("backuprepositories", &repository("main", folder.path(), &ready));
        let application = json!({"names": {"en": "Approval"}, "department": "any", "namespaces": ["shinan-approval"]});
        hub.put("applications", &ours("Application", "approval", "shinan", application));
        let members = json!([{"name": "all", "members": [{"applicationRef": {"name": "approval"}}]}]);
        hub.put("recoveryplans", &ours("RecoveryPlan", "core", "shinan", json!({"repositoryRef": {"name": "main"}, "groups": members})));
        let mut sound = ours("Backup", "sound", "shinan", json!({"applicationRef": {"name": "approval"}}));
        sound["status"] = json!({"phase": "Succeeded", "snapshotID": sealed().snapshot, "recoveryPointTime": "2026-11-15T00:00:00Z", "repository": "main"});
        hub.put("backups", &sound);
        Self { hub, folder }
    }

    /// A process that knows nothing yet.
    fn process(&self) -> Context {
        let mut cache = HubCache::default();
        cache.register(listed::<District>());
        cache.register(listed::<Application>());
        cache.register(listed::<BackupPolicy>());
        cache.register(listed::<BackupRepository>());
        process(&self.hub.client(), cache)
    }

    fn status(&self, kind: &Kind) -> Value {
        self.hub.get(kind.plural, "run").map_or(Value::Null, |run| run["status"].clone())
    }

    /// Passes until something is so.
    async fn until(&self, context: &Context, kind: &Kind, what: &str, is_so: impl Fn(&Self) -> bool) {
        let mut last = String::new();
        for _ in 0..MOST_PASSES {
            if is_so(self) {
                return;
            }
            let Some(run) = self.hub.get(kind.plural, "run") else { panic!("{what}: the run is gone") };
            last = format!("{:?}", (kind.pass)(context.clone(), run).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: in vain; last {last}; {:#}", self.status(kind));
    }

    /// Begins a run and carries it on until a mover works for it.
    async fn begin(&self, context: &Context, kind: &Kind) {
        self.hub.put(kind.plural, &ours(kind.name, "run", "shinan", (kind.spec)()));
        self.until(context, kind, "a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
    }

    fn abort(&self, kind: &Kind) {
        let mut run = self.hub.get(kind.plural, "run").expect("the run");
        run["spec"]["actions"] = json!([{"action": "Abort", "reason": "for the test"}]);
        self.hub.put(kind.plural, &run);
    }

    /// The run ends, and nothing that it made is left.
    async fn ends_clean(&self, context: &Context, kind: &Kind) {
        self.until(context, kind, "the run ends", |bed| {
            let run = bed.hub.get(kind.plural, "run").unwrap_or_default();
            let released = run["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
            run["status"]["completionTime"].is_string() && released
        })
        .await;
        assert_eq!(self.status(kind)["phase"], "Aborted");
        self.is_clean();
    }

    fn is_clean(&self) {
        assert_eq!(self.hub.of("jobs"), Vec::<Value>::new(), "movers are left");
        let copies: Vec<Value> = self.hub.of("namespaces").into_iter().filter(|namespace| namespace.to_string().contains("--drill-")).collect();
        assert_eq!(copies, Vec::<Value>::new(), "a copy is left");
        let held: Vec<Value> = self.hub.of("configmaps").into_iter().filter(|map| map.to_string().contains(CLEANUP_FINALIZER)).collect();
        assert_eq!(held, Vec::<Value>::new(), "a record is held");
    }
}

/// What a watch has listed: nothing.
fn listed<K: Cached>() -> reflector::Store<HubObject<K>>
where
    HubObject<K>: reflector::Lookup<DynamicType = ()> + Clone,
{
    let (store, mut writer) = reflector::store::<HubObject<K>>();
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    store
}

fn repository(name: &str, folder: &Path, conditions: &Value) -> Value {
    let spec = json!({"failureDomain": "there", "folder": {"path": folder}, "encryption": {"keySecretRef": {"name": "key"}}});
    let mut repository = ours("BackupRepository", name, "shinan", spec);
    repository["status"] = json!({"conditions": conditions});
    repository
}

/// A kind of run.
struct Kind {
    name: &'static str,
    plural: &'static str,
    spec: fn() -> Value,
    pass: fn(Context, Value) -> futures::future::BoxFuture<'static, Result<Duration>>,
}

fn pass<K: RunKind + From<Context>>(context: Context, object: Value) -> futures::future::BoxFuture<'static, Result<Duration>> {
    Box::pin(async move {
        let object: K::Object = serde_json::from_value(object).expect("an object");
        reconcile(&context.runs, &K::from(context.clone()), &object, Timestamp::now()).await
    })
}

fn kinds() -> [Kind; 3] {
    [
        Kind { name: "Backup", plural: "backups", spec: || json!({"applicationRef": {"name": "approval"}}), pass: pass::<BackupRun> },
        Kind { name: "Restore", plural: "restores", spec: || json!({"source": {"applicationRef": {"name": "approval"}}}), pass: pass::<RestoreRun> },
        Kind { name: "Drill", plural: "drills", spec: || json!({"planRef": {"name": "core"}, "type": "Isolated"}), pass: pass::<DrillRun> },
    ]
}

/// What can be lost while a run goes on.
const LOSSES: [(&str, &str); 6] = [
    ("applications", "approval"),
    ("backuprepositories", "main"),
    ("backups", "sound"),
    ("districts", "shinan"),
    ("recoveryplans", "core"),
    ("secrets", "key"),
];

#[tokio::test]
async fn fault_d8_whatever_is_deleted_while_a_run_goes_on_it_ends_and_has_cleaned_up() {
    for kind in kinds() {
        for (plural, name) in LOSSES {
            let bed = Bed::new();
            let context = bed.process();
            bed.begin(&context, &kind).await;
            bed.hub.delete(plural, name);
            bed.abort(&kind);
            bed.ends_clean(&context, &kind).await;
        }
    }
}

#[tokio::test]
async fn fault_d8_another_process_takes_up_a_run_that_has_lost_what_it_was_begun_from() {
    for kind in kinds() {
        for (plural, name) in LOSSES {
            // The journal of a drill is in its repository.
            let needs_store = kind.name == "Drill" && plural == "backuprepositories";
            let bed = Bed::new();
            bed.begin(&bed.process(), &kind).await;
            let lost = bed.hub.get(plural, name).expect("it is there");
            // The status was not written before the process died.
            let mut run = bed.hub.get(kind.plural, "run").expect("the run");
            run["status"] = Value::Null;
            bed.hub.put(kind.plural, &run);
            bed.hub.delete(plural, name);
            bed.abort(&kind);
            let next = bed.process();
            if needs_store {
                bed.until(&next, &kind, "it says what it lacks", |bed| bed.status(&kind).to_string().contains("BackupRepository main doesn't exist")).await;
                bed.hub.put(plural, &lost);
            }
            bed.ends_clean(&next, &kind).await;
        }
    }
}

#[tokio::test]
async fn fault_d8_a_second_repository_is_no_reason_to_leave_a_backup_that_has_begun() {
    let (bed, [kind, ..]) = (Bed::new(), kinds());
    bed.begin(&bed.process(), &kind).await;
    let mut run = bed.hub.get(kind.plural, "run").expect("the run");
    run["status"] = Value::Null;
    bed.hub.put(kind.plural, &run);
    bed.hub.put("backuprepositories", &repository("other", Path::new("/nowhere"), &json!([])));
    let next = bed.process();
    bed.until(&next, &kind, "it goes on", |bed| bed.status(&kind)["repository"] == "main").await;
    bed.abort(&kind);
    bed.ends_clean(&next, &kind).await;
}

#[tokio::test]
async fn fault_a6_a_restore_names_the_backup_that_it_began_with_although_a_newer_one_came() {
    let (bed, [_, kind, _]) = (Bed::new(), kinds());
    bed.begin(&bed.process(), &kind).await;
    let mut run = bed.hub.get(kind.plural, "run").expect("the run");
    run["status"] = Value::Null;
    bed.hub.put(kind.plural, &run);
    let mut newer = ours("Backup", "newer", "shinan", json!({"applicationRef": {"name": "approval"}}));
    newer["status"] = json!({"phase": "Succeeded", "snapshotID": "77aa", "recoveryPointTime": "2026-11-16T00:00:00Z", "repository": "main"});
    bed.hub.put("backups", &newer);
    let next = bed.process();
    bed.until(&next, &kind, "it has a status", |bed| bed.status(&kind)["backup"].is_string()).await;
    let status = bed.status(&kind);
    assert_eq!((&status["backup"], &status["snapshotID"]), (&json!("sound"), &json!(sealed().snapshot)), "{status:#}");
    bed.abort(&kind);
    bed.ends_clean(&next, &kind).await;
}

#[tokio::test]
async fn fault_d11_the_hubs_namespace_can_be_deleted_while_runs_go_on_in_it() {
    for kind in kinds() {
        let bed = Bed::new();
        let context = bed.process();
        bed.begin(&context, &kind).await;
        bed.hub.delete_namespace("shinan");
        for _ in 0..MOST_PASSES {
            let Some(run) = bed.hub.get(kind.plural, "run") else { break };
            drop((kind.pass)(context.clone(), run).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(bed.hub.in_namespace("shinan"), Vec::<String>::new(), "{}: the namespace can't go", kind.name);
        bed.is_clean();
    }
}

#[tokio::test]
async fn fault_a2_a_backup_made_again_under_its_name_runs_again_although_the_old_journal_is_there() {
    let (bed, [kind, ..]) = (Bed::new(), kinds());
    let context = bed.process();
    bed.begin(&context, &kind).await;
    bed.abort(&kind);
    bed.ends_clean(&context, &kind).await;
    let old = bed.status(&kind);
    // Deleted with --cascade=orphan: the ConfigMap stays.
    bed.hub.delete(kind.plural, "run");
    assert_eq!(bed.hub.of("configmaps").len(), 1);
    bed.begin(&bed.process(), &kind).await;
    let status = bed.status(&kind);
    assert_ne!(status["journal"]["location"], old["journal"]["location"]);
    assert!(status["completionTime"].is_null() && status["phase"] == "Running", "{status:#}");
}

#[tokio::test]
async fn fault_f8_a_backup_whose_object_left_the_hub_can_be_restored_by_name_by_snapshot_and_by_time() {
    let [_, kind, _] = kinds();
    let id = &sealed().snapshot[..12];
    for source in [
        json!({"backupRef": {"name": "sound"}}),
        json!({"snapshot": {"repositoryRef": {"name": "main"}, "id": id}}),
        json!({"applicationRef": {"name": "approval"}, "notAfterTime": "2026-11-15T12:00:00Z"}),
    ] {
        let bed = Bed::new();
        let mut newer = bed.hub.get("backups", "sound").expect("a backup");
        newer["metadata"] = json!({"name": "newer", "namespace": "shinan"});
        (newer["status"]["recoveryPointTime"], newer["status"]["snapshotID"]) = (json!("2026-11-16T00:00:00Z"), json!("77aa"));
        bed.hub.put("backups", &newer);
        bed.hub.delete("backups", "sound");
        let context = bed.process();
        bed.hub.put(kind.plural, &ours(kind.name, "run", "shinan", json!({"source": source})));
        bed.until(&context, &kind, "a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
        let status = bed.status(&kind);
        assert_eq!((&status["backup"], &status["snapshotID"]), (&json!("sound"), &json!(sealed().snapshot)), "{source}: {status:#}");
        bed.abort(&kind);
        bed.ends_clean(&context, &kind).await;
    }
}

#[tokio::test]
async fn fault_f8_a_restore_of_a_backup_that_nobody_has_is_refused() {
    let (bed, [_, kind, _]) = (Bed::new(), kinds());
    bed.hub.put(kind.plural, &ours(kind.name, "run", "shinan", json!({"source": {"backupRef": {"name": "never"}}})));
    let context = bed.process();
    bed.until(&context, &kind, "it is refused", |bed| bed.status(&kind)["phase"] == "Refused").await;
    let conditions = bed.status(&kind)["conditions"].to_string();
    assert!(conditions.contains("Backup never doesn't exist in namespace shinan, nor a snapshot of it"), "{conditions}");
}

#[tokio::test]
async fn fault_f8_a_look_at_a_repository_reads_no_snapshot_twice() {
    let bed = Bed::new();
    let context = bed.process();
    let declared = bed.hub.get("backuprepositories", "main").expect("a repository");
    let declared: p861_crds::BackupRepository = serde_json::from_value(declared).expect("a repository");
    let look = async |pinned: Option<&str>| p861_runs::repository::open_and_inspect(&context.hub, &declared, pinned.map(str::to_owned)).await;
    let first = look(None).await.expect("it opens");
    assert_eq!(first.snapshots, 1);
    // Whoever read it again would find it damaged, and would not count it.
    let file = bed.folder.path().join(format!("snapshots/{}", sealed().snapshot));
    fs::write(&file, b"garbage").expect("a file");
    for _ in 0..3 {
        assert_eq!(look(Some(&first.id)).await.expect("it opens").snapshots, 1);
    }
    fs::remove_file(&file).expect("a file");
    assert_eq!(look(Some(&first.id)).await.expect("it opens").snapshots, 0, "one that was forgotten doesn't count");
    // It is opened anew if it is another than before, or gone.
    fs::remove_file(bed.folder.path().join("config")).expect("a file");
    assert!(look(Some(&first.id)).await.is_err());
}

/// A pass that is dropped when it has to wait for the so-manieth time, unless it has ended before.
async fn given_up(mut pass: futures::future::BoxFuture<'static, Result<Duration>>, waits: u32) -> bool {
    let mut left = waits;
    std::future::poll_fn(move |context| match pass.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending if left == 0 => Poll::Ready(true),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn fault_e12_a_run_whose_passes_are_given_up_anywhere_goes_on_and_ends_clean() {
    for kind in kinds() {
        let bed = Bed::new();
        let context = bed.process();
        bed.hub.put(kind.plural, &ours(kind.name, "run", "shinan", (kind.spec)()));
        let mut dropped = 0;
        // Each a little further than the one before, until nearly all of them end.
        for waits in 0..60 {
            let run = bed.hub.get(kind.plural, "run").expect("the run");
            dropped += u32::from(given_up((kind.pass)(context.clone(), run), waits).await);
        }
        assert!(dropped > 20, "{}: only {dropped} passes were given up", kind.name);
        bed.until(&context, &kind, "a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
        let mut steps: Vec<String> = bed.hub.of("jobs").iter().map(|job| job["metadata"]["name"].to_string()).collect();
        let all = steps.len();
        steps.sort_unstable();
        steps.dedup();
        assert_eq!(steps.len(), all, "{}: a mover works twice", kind.name);
        bed.abort(&kind);
        for waits in 0..30 {
            let Some(run) = bed.hub.get(kind.plural, "run") else { break };
            given_up((kind.pass)(context.clone(), run), waits).await;
        }
        bed.ends_clean(&context, &kind).await;
    }
}
