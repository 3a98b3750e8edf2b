//! The operator beside an API server that has no kubelet: its movers are child processes, its repository is a folder.

use crate::support::{
    lone::{Lone, lone},
    operator::on_this_machine,
    programs,
};
use p861_testbed::components::run::run;
use p861_tests::{install::program, reader};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);
const OBJECTS: usize = 300;

/// An operator out of the cluster; it is killed when it goes out of use.
struct Operator(Child);

impl Operator {
    fn start(server: &Lone, identity: &str) -> Self {
        let mut command = Command::new(program("p861-operator").expect("the operator is built"));
        command.args(["run", "--identity", identity, "--image", "none", "--listen", "127.0.0.1:0", "--namespace", "p861-system", "--lease-duration", "6"]);
        command.env("KUBECONFIG", server.kubeconfig()).envs(on_this_machine()).stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the operator starts"))
    }

    /// Its movers that run now: its children.
    fn children(&self) -> Vec<String> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.0.id())).unwrap_or_default();
        let all = fs::read_dir(format!("/proc/{}/task", self.0.id())).into_iter().flatten().flatten();
        let of_threads = all.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        of_threads.chain([children]).flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Hub(Arc<Lone>);

impl Hub {
    fn apply(&self, documents: &[Value]) {
        self.0.apply(&json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string());
    }

    fn get(&self, arguments: &[&str]) -> Result<Value, String> {
        reader::get_at(&self.0.kubeconfig(), arguments)
    }

    fn wait<T>(&self, what: &str, arguments: &[&str], judge: impl Fn(&Value) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            let seen = self.get(arguments);
            if let Some(found) = seen.as_ref().ok().and_then(&judge) {
                return found;
            }
            assert!(since.elapsed() < LIMIT, "{what}: not within {LIMIT:?}; last seen: {seen:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn wait_ready(&self, kind: &str, name: &str) {
        self.wait(&format!("{kind} {name} is Ready"), &["--namespace", "shinan", kind, name], |seen| {
            let conditions = seen["status"]["conditions"].as_array()?;
            conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True").then_some(())
        });
    }

    fn wait_end(&self, kind: &str, name: &str) -> Value {
        self.wait(&format!("{kind} {name} has ended"), &["--namespace", "shinan", kind, name], |seen| {
            seen["status"]["completionTime"].is_string().then(|| seen["status"].clone())
        })
    }

    /// The data of the ConfigMaps of a namespace, by name.
    fn config_maps(&self, namespace: &str) -> BTreeMap<String, Value> {
        let list = self.get(&["configmaps", "--namespace", namespace]).expect("a list");
        list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|map| (map["metadata"]["name"].as_str().unwrap_or_default().to_owned(), map["data"].clone()))
            .collect()
    }
}

fn ours(kind: &str, name: &str, namespace: Option<&str>, spec: Value) -> Value {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn declare(hub: &Hub, folder: &Path) {
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let map = |number: usize| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("form-{number:04}"), "namespace": "shinan-forms"}, "data": {"text": format!("表 {number} {}", "x".repeat(500))}});
    hub.apply(&[namespace("shinan"), namespace("shinan-forms")]);
    hub.apply(&(0..OBJECTS).map(map).collect::<Vec<_>>());
    hub.apply(&[
        ours("Site", "only", None, json!({"names": {"en": "Only"}, "failureDomain": "here", "access": {"inCluster": {}}})),
        ours("District", "shinan", None, json!({"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "only"}, "role": "Primary"}]})),
        ours(
            "BackupRepository",
            "folder",
            Some("shinan"),
            json!({"failureDomain": "there", "folder": {"path": folder}, "encryption": {"keySecretRef": {"name": "key"}}}),
        ),
        ours("Application", "forms", Some("shinan"), json!({"names": {"en": "Forms"}, "department": "any", "namespaces": ["shinan-forms"]})),
    ]);
}

fn restic(hub: &Hub, folder: &Path, arguments: &[&str]) -> String {
    let secret = hub.get(&["secret", "--namespace", "shinan", "key"]).expect("the key");
    let password = p861_tests::install::decoded(secret["data"]["password"].as_str().unwrap_or_default()).expect("base64");
    let mut command = Command::new(&programs().restic);
    command.args(["--no-cache", "--repo"]).arg(folder).args(arguments).env("RESTIC_PASSWORD", password);
    run(&mut command, LIMIT).expect("restic")
}

#[test]
fn movers_are_child_processes_where_there_is_no_kubelet_and_die_with_the_operator() {
    let hub = Hub(lone("operator_alone"));
    let folder = tempfile::tempdir().expect("a folder");
    declare(&hub, folder.path());
    let backup = |name: &str| hub.apply(&[ours("Backup", name, Some("shinan"), json!({"applicationRef": {"name": "forms"}}))]);
    // Asked for before anybody has looked at the repository: it waits for that.
    backup("undisturbed");
    let first = Operator::start(&hub.0, "first");
    hub.wait_ready("backuprepository", "folder");
    hub.wait_ready("application", "forms");

    let status = hub.wait_end("backup", "undisturbed");
    assert_eq!(status["phase"], "Succeeded", "{status}");
    // Beside the Namespace itself there are no other objects: nothing made kube-root-ca.crt.
    assert_eq!(status["contents"]["objects"], OBJECTS + 1, "{status}");
    restic(&hub, folder.path(), &["check", "--read-data"]);

    // Killed while a mover runs: the mover ends with it, and the next operator does the step again.
    backup("disturbed");
    let since = Instant::now();
    let movers = loop {
        let movers = first.children();
        if !movers.is_empty() {
            break movers;
        }
        assert!(since.elapsed() < LIMIT, "no mover was started: {:?}", hub.get(&["--namespace", "shinan", "backup", "disturbed"]));
        thread::sleep(Duration::from_millis(5));
    };
    drop(first);
    let since = Instant::now();
    while movers.iter().any(|id| fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))) {
        assert!(since.elapsed() < LIMIT, "movers {movers:?} outlive their operator");
        thread::sleep(Duration::from_millis(20));
    }
    let _second = Operator::start(&hub.0, "second");
    let status = hub.wait_end("backup", "disturbed");
    assert_eq!(status["phase"], "Succeeded", "{status}");
    let snapshots: Value = serde_json::from_str(&restic(&hub, folder.path(), &["snapshots", "--json"])).expect("JSON");
    assert_eq!(snapshots.as_array().map(Vec::len), Some(2), "one snapshot for each backup: {snapshots}");

    let restore = json!({"source": {"backupRef": {"name": "disturbed"}}, "target": {"namespaceMappings": [{"from": "shinan-forms", "to": "shinan-copy"}]}});
    hub.apply(&[ours("Restore", "copy", Some("shinan"), restore)]);
    let status = hub.wait_end("restore", "copy");
    assert_eq!(status["phase"], "Succeeded", "{status}");
    assert_eq!(hub.config_maps("shinan-copy"), hub.config_maps("shinan-forms"));

    // An application with a volume can't be saved here, and that is said rather than left out.
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "files", "namespace": "shinan-forms"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    hub.apply(&[claim]);
    backup("without-a-volume");
    let status = hub.wait_end("backup", "without-a-volume");
    assert_eq!(status["phase"], "Refused", "a claim that is not bound has nothing to read: {status}");
    assert!(status.to_string().contains("ClaimNotReadable"), "{status}");
    // Nobody binds claims here.
    let bound =
        ["patch", "pvc", "files", "--namespace", "shinan-forms", "--subresource", "status", "--type", "merge", "--patch", r#"{"status":{"phase":"Bound"}}"#];
    hub.0.kubectl(&bound).expect("it is bound");
    backup("with-a-volume");
    let status = hub.wait_end("backup", "with-a-volume");
    assert_eq!(status["phase"], "Failed", "{status}");
    assert!(status.to_string().contains("has no node"), "{status}");
    the_rest_is_saved(&hub, folder.path(), &status);
}

/// A backup without a volume (FAULTS D5): its snapshot stays and says what it lacks, a restore that names it is allowed and says so beforehand, and by itself none is
/// chosen.
fn the_rest_is_saved(hub: &Hub, folder: &Path, status: &Value) {
    let missing = &status["contents"]["missingClaims"];
    assert_eq!((missing.as_array().map(Vec::len), &missing[0]["claim"]), (Some(1), &json!("shinan-forms/files")), "{status}");
    assert!(status.to_string().contains("PartiallySaved"), "{status}");
    let snapshots: Value = serde_json::from_str(&restic(hub, folder, &["snapshots", "--json", "--tag", "p861-partial"])).expect("JSON");
    assert_eq!((snapshots.as_array().map(Vec::len), &snapshots[0]["id"]), (Some(1), &status["snapshotID"]), "{snapshots}");
    let id = status["snapshotID"].as_str().expect("a snapshot");
    let inventory: Value = serde_json::from_str(&restic(hub, folder, &["dump", id, "/inventory.json"])).expect("JSON");
    assert_eq!(&inventory["missingClaims"], missing, "{inventory}");
    let preview = |name: &str, source: Value| {
        hub.apply(&[ours("Restore", name, Some("shinan"), json!({"source": source, "mode": "Preview"}))]);
        let status = hub.wait_end("restore", name);
        assert_eq!(status["phase"], "Succeeded", "{status}");
        status
    };
    let named = preview("named", json!({"backupRef": {"name": "with-a-volume"}}));
    assert_eq!(&named["missingClaims"], missing, "{named}");
    assert!(named.to_string().contains("the backup has no data of claim shinan-forms/files"), "{named}");
    let newest = preview("newest", json!({"applicationRef": {"name": "forms"}}));
    assert_eq!((&newest["backup"], &newest["missingClaims"]), (&json!("disturbed"), &Value::Null), "{newest}");
}
