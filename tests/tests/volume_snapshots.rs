//! Backups that read volume snapshots, beside a real API server with the CRDs of the external snapshotter. The operator has the rights that its chart gives; the snapshot
//! controller, the storage driver and the kubelet are played here, as the real ones treat finalizers, deletion policies and errors.

use crate::support::{
    lone::{Lone, lone},
    operator::{Operator, api, apply, operator, until},
};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Node, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use p861_testbed::{components::snapshot_crds, report::Report};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

const GROUP: &str = "snapshot.storage.k8s.io";
const DRIVER: &str = "hostpath.csi.k8s.io";
const NAMESPACE: &str = "shinan-forms";
/// Whatever a run waits for is said within this.
const SAID_WITHIN: Duration = Duration::from_secs(30);

fn snapshots(client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
    api(client, GROUP, "VolumeSnapshot", "volumesnapshots", namespace)
}

fn contents(client: &Client) -> Api<DynamicObject> {
    api(client, GROUP, "VolumeSnapshotContent", "volumesnapshotcontents", None)
}

/// The snapshot controller and the driver's sidecar.
struct Storage {
    client: Client,
    policy: &'static str,
    /// The driver answers with this error.
    error: Option<&'static str>,
    /// The driver has taken the snapshot.
    taken: bool,
    /// It can be read.
    ready: bool,
    /// What stands in the storage, by content.
    kept: BTreeSet<String>,
}

impl Storage {
    /// Goes once through everything that is there.
    async fn tick(&mut self) {
        for snapshot in snapshots(&self.client, None).list(&ListParams::default()).await.expect("a list").items {
            self.see_to(&snapshot).await;
        }
        for content in contents(&self.client).list(&ListParams::default()).await.expect("a list").items {
            if content.metadata.deletion_timestamp.is_some() {
                // One that is retained is forgotten on the API server, and stays in the storage.
                if content.data["spec"]["deletionPolicy"] == "Delete" {
                    self.kept.remove(&content.name_any());
                }
                free(&contents(&self.client), &content.name_any()).await;
            }
        }
        // Jobs that are gone have no pods: nobody collects garbage here.
        let jobs: Vec<String> =
            Api::<Job>::all(self.client.clone()).list(&ListParams::default()).await.expect("a list").iter().filter_map(ResourceExt::uid).collect();
        for pod in Api::<Pod>::all(self.client.clone()).list(&ListParams::default()).await.expect("a list").items {
            if pod.owner_references().iter().any(|owner| owner.kind == "Job" && !jobs.contains(&owner.uid)) {
                let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
                let _ = pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await;
            }
        }
    }

    async fn see_to(&mut self, snapshot: &DynamicObject) {
        let (name, namespace, uid) = (snapshot.name_any(), snapshot.namespace().unwrap_or_default(), snapshot.uid().unwrap_or_default());
        let (api, content_name) = (snapshots(&self.client, Some(&namespace)), format!("snapcontent-{uid}"));
        let content = contents(&self.client).get_opt(&content_name).await.expect("an answer");
        if snapshot.metadata.deletion_timestamp.is_some() {
            match content {
                Some(content) if content.data["spec"]["deletionPolicy"] == "Delete" => {
                    let _ = contents(&self.client).delete(&content_name, &DeleteParams::default()).await;
                }
                _ => free(&api, &name).await,
            }
            return;
        }
        if content.is_none() {
            let document = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
                "metadata": {"name": content_name, "finalizers": ["snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"]},
                "spec": {"deletionPolicy": self.policy, "driver": DRIVER, "source": {"volumeHandle": "volume-1"}, "volumeSnapshotClassName": "snap",
                    "volumeSnapshotRef": {"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "name": name, "namespace": namespace, "uid": uid}}});
            let document: DynamicObject = serde_json::from_value(document).expect("a content");
            contents(&self.client).create(&PostParams::default(), &document).await.expect("a content");
            let finalizers = json!({"metadata": {"finalizers": ["snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"]}});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(finalizers)).await.expect("finalizers");
        }
        let mut status = json!({"boundVolumeSnapshotContentName": content_name, "readyToUse": false, "error": null});
        if let Some(error) = self.error {
            status["error"] = json!({"message": error, "time": "2026-11-15T00:00:00Z"});
        } else if self.taken {
            self.kept.insert(content_name.clone());
            status["creationTime"] = json!("2026-11-15T00:00:00Z");
            status["readyToUse"] = json!(self.ready);
            status["restoreSize"] = json!("2Gi");
        }
        let _ = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await;
    }
}

/// Takes off the finalizers.
async fn free(api: &Api<DynamicObject>, name: &str) {
    let _ = api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await;
}

struct World {
    server: Arc<Lone>,
    operator: Arc<Operator>,
    client: Client,
    storage: Storage,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let server = lone("volume_snapshots");
        let crds = tokio::task::block_in_place(|| snapshot_crds::ensure(&Report::stderr())).expect("the CRDs");
        for entry in fs::read_dir(crds).expect("a folder") {
            server.apply(&fs::read_to_string(entry.expect("a file").path()).expect("YAML"));
        }
        for plural in ["volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"] {
            server.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{plural}.{GROUP}")]).expect("it is established");
        }
        let (client, folder) = (server.client(None).await, tempfile::tempdir().expect("a folder"));
        let nodes: Api<Node> = Api::all(client.clone());
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
        nodes.patch("n1", &PatchParams::apply("test").force(), &Patch::Apply(node)).await.expect("a node");
        apply(&client, &declared(folder.path())).await;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
        let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"]}});
        claims.patch_status("files", &PatchParams::default(), &Patch::Merge(bound)).await.expect("it is bound");
        let operator = operator(&server);
        let storage = Storage { client: client.clone(), policy: "Retain", error: None, taken: false, ready: false, kept: BTreeSet::new() };
        Self { server, operator, client, storage, _folder: folder }
    }

    fn begin(&self, backup: &str) {
        let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": backup, "namespace": "shinan"}, "spec": {"applicationRef": {"name": "forms"}}});
        self.server.apply(&document.to_string());
    }

    /// Plays on until the backup's status is as it should be.
    async fn backup(&mut self, name: &str, what: &str, judge: impl Fn(&Value) -> bool) -> Value {
        let backups = api(&self.client, "platform861.io", "Backup", "backups", Some("shinan"));
        let storage = &mut self.storage;
        until(&self.operator, what, async || {
            storage.tick().await;
            let status = backups.get(name).await.map_err(|error| error.to_string())?.data["status"].clone();
            if judge(&status) { Ok(status) } else { Err(status.to_string()) }
        })
        .await
    }

    /// The Job of the mover that reads the snapshot.
    async fn job(&mut self) -> Job {
        let (storage, jobs) = (&mut self.storage, Api::<Job>::namespaced(self.client.clone(), NAMESPACE));
        until(&self.operator, "the mover of the snapshot has a Job", async || {
            storage.tick().await;
            let list = jobs.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            let reads = |job: &Job| serde_json::to_string(job).is_ok_and(|text| text.contains("\"ephemeral\""));
            list.into_iter().find(reads).ok_or_else(|| "no Job with an ephemeral volume".to_owned())
        })
        .await
    }

    /// The mover's pod, with a claim that the storage can't make: what the controllers would make of the Job.
    async fn pod(&self, job: &Value) -> String {
        let name = format!("{}-x1", job["metadata"]["name"].as_str().expect("a name"));
        let template = &job["spec"]["template"];
        let mut labels = template["metadata"]["labels"].clone();
        labels["batch.kubernetes.io/job-name"] = job["metadata"]["name"].clone();
        let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"], "controller": true});
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}, "spec": template["spec"]});
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        pods.create(&PostParams::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("a pod");
        let claim_template = &data_volume(job)["ephemeral"]["volumeClaimTemplate"];
        let claim_name = format!("{name}-data");
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim_name, "labels": claim_template["metadata"]["labels"]}, "spec": claim_template["spec"]});
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), NAMESPACE);
        let claim = claims.create(&PostParams::default(), &serde_json::from_value(claim).expect("a claim")).await.expect("a claim");
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "no-room"}, "type": "Warning", "reason": "ProvisioningFailed", "message": "no room",
            "involvedObject": {"kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": claim_name, "uid": claim.uid()}});
        let events: Api<Event> = Api::namespaced(self.client.clone(), NAMESPACE);
        events.create(&PostParams::default(), &serde_json::from_value(event).expect("an Event")).await.expect("an Event");
        claim_name
    }
}

fn data_volume(job: &Value) -> &Value {
    let volumes = job["spec"]["template"]["spec"]["volumes"].as_array().expect("volumes");
    volumes.iter().find(|volume| volume["name"] == "data").expect("the volume with the data")
}

/// What a step says, in a Backup's status.
fn says(status: &Value, step: &str, text: &str) -> bool {
    let mut steps = status["currentSteps"].as_array().into_iter().flatten();
    steps.any(|current| current["id"] == step && current["message"].as_str().is_some_and(|message| message.contains(text)))
}

fn declared(folder: &std::path::Path) -> String {
    let volume = json!({"driver": DRIVER, "volumeHandle": "volume-1"});
    let documents = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shinan"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        // Nobody makes it here, and no pod is admitted without.
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": DRIVER}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-files"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"],
            "storageClassName": "block", "csi": volume}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "files", "namespace": NAMESPACE}, "spec": {"accessModes": ["ReadWriteOncePod"],
            "storageClassName": "block", "volumeName": "pv-files", "resources": {"requests": {"storage": "1Gi"}}}}),
        // It is in use, and by one pod only: files couldn't be read.
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": NAMESPACE}, "spec": {"automountServiceAccountToken": false,
            "containers": [{"name": "web", "image": "none"}], "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "files"}}]}}),
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Site", "metadata": {"name": "only"}, "spec": {"failureDomain": "here", "access": {"inCluster": {}}}}),
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"}, "spec": {"code": "370202", "names": {"en": "Shinan"},
            "sites": [{"siteRef": {"name": "only"}, "role": "Primary"}]}}),
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": "folder", "namespace": "shinan"}, "spec": {"failureDomain": "there",
            "folder": {"path": folder}, "encryption": {"keySecretRef": {"name": "key"}}}}),
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": "forms", "namespace": "shinan"}, "spec": {"department": "any",
            "namespaces": [NAMESPACE], "volumes": [{"claim": "files", "method": "Snapshot"}]}}),
    ];
    documents.map(|document| document.to_string()).join("\n---\n")
}

/// A snapshot of somebody else in the same namespace, which nobody may touch.
fn theirs(world: &World) {
    let theirs = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "theirs", "namespace": NAMESPACE},
        "spec": {"volumeSnapshotClassName": "snap", "source": {"persistentVolumeClaimName": "files"}}});
    world.server.apply(&theirs.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_reads_volume_snapshots_says_what_they_wait_for_and_leaves_nothing_of_them() {
    let mut world = World::new().await;
    world.begin("refused");
    let status = world.backup("refused", "it is refused", |status| status["phase"] == "Refused").await;
    let text = status.to_string();
    assert!(
        text.contains("NoSnapshotClass") && text.contains("of claim shinan-forms/files: the site has no VolumeSnapshotClass of driver hostpath.csi.k8s.io"),
        "{text}"
    );
    assert_eq!(snapshots(&world.client, None).list(&ListParams::default()).await.expect("a list").items.len(), 0, "nothing was begun");

    let class = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "metadata": {"name": "snap"}, "driver": DRIVER, "deletionPolicy": "Retain"});
    world.server.apply(&class.to_string());
    theirs(&world);
    world.storage.error = Some("rpc error: out of space");
    world.begin("taken");
    world.backup("taken", "it has begun", |status| !status["currentSteps"].is_null()).await;
    let since = Instant::now();
    world
        .backup("taken", "the driver's error is said", |status| {
            says(status, "snapshot/forms", "the snapshot of claim shinan-forms/files fails: rpc error: out of space")
        })
        .await;
    assert!(since.elapsed() < SAID_WITHIN, "after {:?}", since.elapsed());

    (world.storage.error, world.storage.taken) = (None, true);
    let status = world
        .backup("taken", "it waits until the snapshot can be read", |status| says(status, "save/forms/volume/files", "the storage still works on it"))
        .await;
    assert!(!says(&status, "snapshot/forms", ""), "the point in time is taken, and the application may go on: {status}");

    world.storage.ready = true;
    let job = serde_json::to_value(world.job().await).expect("JSON");
    let claim = &data_volume(&job)["ephemeral"]["volumeClaimTemplate"]["spec"];
    let source = claim["dataSource"]["name"].as_str().expect("a source");
    let of = snapshots(&world.client, Some(NAMESPACE)).get(source).await.expect("the snapshot");
    assert_eq!(of.data["spec"], json!({"volumeSnapshotClassName": "snap", "source": {"persistentVolumeClaimName": "files"}}));
    assert_eq!(
        (claim["storageClassName"].as_str(), claim["resources"]["requests"]["storage"].as_str()),
        (Some("block"), Some("2147483648")),
        "as large as the snapshot"
    );
    let mounts = job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.iter().any(|mount| mount["name"] == "data" && mount["readOnly"] == true), "{mounts:?}");

    let claim = world.pod(&job).await;
    let why = "the storage can't make a claim from the snapshot: ProvisioningFailed: no room";
    world.backup("taken", "what keeps the claim from being made is said", |status| says(status, "save/forms/volume/files", why)).await;

    let abort = json!([{"op": "add", "path": "/spec/actions", "value": [{"action": "Abort", "reason": "wrong day", "by": "administrator"}]}]);
    world.server.kubectl(&["patch", "backup", "taken", "--namespace", "shinan", "--type", "json", "--patch", &abort.to_string()]).expect("it is aborted");
    let held = format!("claim shinan-forms/{claim}");
    world.backup("taken", "what is left is named", |status| says(status, "remove-snapshots/forms", &held)).await;
    // Its pod is gone, and the cluster removes it.
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(world.client.clone(), NAMESPACE);
    claims.delete(&claim, &DeleteParams::default()).await.expect("deleted");
    let _ = claims.patch(&claim, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await;
    let status = world.backup("taken", "it has ended", |status| status["completionTime"].is_string()).await;
    assert_eq!(status["phase"], "Aborted", "{status}");

    let left: Vec<String> = snapshots(&world.client, None).list(&ListParams::default()).await.expect("a list").iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["theirs"]);
    let left = contents(&world.client).list(&ListParams::default()).await.expect("a list").items;
    assert_eq!(left.len(), 1, "that of theirs: {left:?}");
    assert_eq!(world.storage.kept, BTreeSet::from([left[0].name_any()]), "nothing of the run is retained in the storage");
    assert_eq!(left[0].data["spec"]["deletionPolicy"], "Retain", "and theirs is as it was");
    assert!(claims.get("files").await.expect("the application's claim").metadata.deletion_timestamp.is_none());
}
