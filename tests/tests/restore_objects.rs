//! Objects of a backup, written to a real API server without nodes: what comes back, what is never touched, and what is said of the rest.

use crate::support::lone::Lone;
use kube::Client;
use p861_core::{
    engine::ListedChange,
    runs::{ConflictHandling, CopyRules},
};
use p861_crds::{platform::application::CronJobsInCopy, protection::restore::ConflictPolicy};
use p861_runs::movers::restore::{Choice, ObjectsOutcome, ObjectsTask, restore};
use p861_vault::{Location, PartSpec, Repository, RepositoryAccess, SealSpec};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// The namespace in the backup.
const SOURCE: &str = "shinan-forms";

fn object(api: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": SOURCE}});
    for (key, value) in rest.as_object().expect("members") {
        match (key.as_str(), value.as_object()) {
            ("metadata", Some(more)) => object["metadata"].as_object_mut().expect("metadata").extend(more.clone()),
            _ => object[key] = value.clone(),
        }
    }
    object
}

/// A repository with one sealed snapshot that has these objects, by file.
fn backup(folder: &Path, files: &[(&str, Vec<Value>)]) -> (RepositoryAccess, String) {
    let access =
        RepositoryAccess { location: Location::Folder { path: folder.join("repository") }, credentials: None, password: "correct horse".into(), id: None };
    let place = folder.join("objects").join(SOURCE);
    fs::create_dir_all(&place).expect("a folder");
    for (name, objects) in files {
        let lines: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let text = lines.join("\n") + "\n";
        fs::write(place.join(format!("{name}.jsonl")), text).expect("written");
    }
    let repository = Repository::open_or_init(&access).expect("a repository");
    let part = PartSpec { run: "r", part: "objects", host: "primary", parent: None };
    repository.write_folder(&part, &folder.join("objects"), &|_| {}).expect("the part");
    let spec = SealSpec {
        run: "r".into(),
        host: "primary".into(),
        time: "2026-11-15T00:50:03Z".parse().expect("a time"),
        tags: Vec::new(),
        parts: vec!["objects".into()],
        inventory: json!({}),
        label: "forms".into(),
    };
    let sealed = repository.seal(&spec, &|| Ok(())).expect("sealed");
    (access, sealed.snapshot)
}

struct World {
    server: Lone,
    client: Client,
    folder: tempfile::TempDir,
    access: RepositoryAccess,
    snapshot: String,
}

impl World {
    async fn with(files: &[(&str, Vec<Value>)]) -> Self {
        let (server, folder) = (Lone::bare(), tempfile::tempdir().expect("a folder"));
        // The repository has a runtime of its own.
        let (access, snapshot) = tokio::task::block_in_place(|| backup(folder.path(), files));
        let client = server.client(None).await;
        Self { server, client, folder, access, snapshot }
    }

    async fn restore(&self, target: &str, conflict: ConflictPolicy, preview: bool) -> Result<ObjectsOutcome, String> {
        let rules = CopyRules {
            namespaces: BTreeMap::from([(SOURCE.into(), target.into())]),
            storage_classes: Vec::new(),
            images: Vec::new(),
            isolated: false,
            stopped: false,
            cron_jobs: CronJobsInCopy::Run,
            labels: BTreeMap::new(),
        };
        let conflict = ConflictHandling::Policy(conflict);
        let task = ObjectsTask { snapshot: self.snapshot.as_str().into(), rules, choice: Choice::default(), conflict, preview };
        restore(&self.client, self.access.clone(), &task, &|_| {}).await.map_err(|error| error.to_string())
    }

    fn namespace(&self, name: &str) {
        self.server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    }

    fn get(&self, namespace: &str, kind: &str, name: &str) -> Value {
        self.server.get(&["--namespace", namespace, kind, name])
    }
}

/// Numbers: created, changed, the same, refused, not served.
fn counts(outcome: &ObjectsOutcome) -> [i64; 5] {
    let changes = &outcome.changes;
    [changes.create, changes.change, changes.same, changes.refused, changes.not_served]
}

fn named(list: &[ListedChange]) -> Vec<String> {
    list.iter().map(|item| format!("{} {}: {}", item.kind, item.name, item.why)).collect()
}

/// What a namespace of somebody else's may hold.
fn odd_objects() -> Vec<(&'static str, Vec<Value>)> {
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "keeper", "controller": true, "blockOwnerDeletion": false}]);
    let gone = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody"}]);
    let ports = |number: u32| json!({"spec": {"type": "NodePort", "internalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": number}]}});
    let doubled = json!({"name": "c", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
        "ports": [{"containerPort": 80}, {"containerPort": 80}]});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [doubled]}});
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SOURCE, "labels": {"team": "forms", "kubernetes.io/metadata.name": SOURCE}}});
    vec![
        ("namespaces", vec![namespace]),
        ("configmaps", vec![object("v1", "ConfigMap", "keeper", json!({"data": {"a": "b"}}))]),
        (
            "secrets",
            vec![
                // Its owner is made of a file that is read later than its own rank would need.
                object("v1", "Secret", "first", json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "second"}]}})),
                object("v1", "Secret", "lonely", json!({"metadata": {"ownerReferences": gone}})),
                object("v1", "Secret", "second", json!({"metadata": {"ownerReferences": owner}})),
            ],
        ),
        ("services", vec![object("v1", "Service", "open", ports(30_888)), object("v1", "Service", "taken", ports(30_889))]),
        (
            "deployments.apps",
            vec![object("apps/v1", "Deployment", "web", json!({"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}}))],
        ),
        ("widgets.demo.example", vec![object("demo.example/v1", "Widget", "w", json!({"spec": {"a": 1}}))]),
        ("ingresses.networking.k8s.io", vec![object("networking.k8s.io/v1", "Ingress", "broken", json!({"spec": {"rules": [{"host": "NOT A HOST"}]}}))]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b_what_was_saved_comes_back_and_what_cannot_is_named() {
    let world = World::with(&odd_objects()).await;
    world.namespace("target");
    world.namespace("other");
    world
        .server
        .apply("{apiVersion: v1, kind: Service, metadata: {name: squatter, namespace: other}, spec: {type: NodePort, ports: [{port: 80, nodePort: 30889}]}}");

    let preview = world.restore("target", ConflictPolicy::Refuse, true).await.expect("a preview");
    assert_eq!(counts(&preview), [8, 0, 0, 1, 1], "{:?}", named(&preview.listed));
    let outcome = world.restore("target", ConflictPolicy::Refuse, false).await.expect("fault_b13: what can't be written ends no restore");
    let listed = named(&outcome.listed);
    assert_eq!(counts(&outcome), [8, 0, 0, 1, 1], "{listed:?}");
    assert!(listed[0].starts_with("Ingress broken: ") && listed[0].contains("spec.rules[0].host"), "{listed:?}");
    assert_eq!((listed[1].as_str(), listed.len()), ("Widget w: demo.example/v1 is not served on this site", 2), "fault_a4");
    assert_eq!(outcome.not_served, BTreeMap::from([("Widget.demo.example".into(), 1)]));

    let uid = |kind: &str, name: &str| world.get("target", kind, name)["metadata"]["uid"].clone();
    let owner = |name: &str| world.get("target", "secret", name)["metadata"]["ownerReferences"].clone();
    assert_eq!(owner("second")[0]["uid"], uid("configmap", "keeper"), "fault_b2");
    assert_eq!(owner("first")[0]["uid"], uid("secret", "second"), "fault_b2: an owner that has an owner");
    assert_eq!(owner("lonely"), Value::Null, "fault_b2");
    assert_eq!(world.get("target", "namespace", "target")["metadata"]["labels"]["team"], "forms", "fault_b5");
    let (open, taken) = (world.get("target", "service", "open"), world.get("target", "service", "taken"));
    assert_eq!((&open["spec"]["ports"][0]["nodePort"], &open["spec"]["internalTrafficPolicy"]), (&json!(30_888), &json!("Local")), "fault_b6");
    assert_ne!(taken["spec"]["ports"][0]["nodePort"], json!(30_889), "fault_b6");
    assert_eq!(outcome.adjusted.values().copied().collect::<Vec<_>>(), [1, 1], "{:?}", outcome.adjusted);
    let web = world.get("target", "deployment", "web");
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["env"].as_array().map(Vec::len), Some(2), "fault_b14");

    // Once more: nothing is written again, under any policy that could. The port that was taken is another now.
    for policy in [ConflictPolicy::Merge, ConflictPolicy::Skip] {
        let again = world.restore("target", policy, false).await.expect("again");
        let [create, change, same, refused, not_served] = counts(&again);
        assert_eq!((create, refused, not_served), (0, 1, 1), "{policy:?} {:?}", named(&again.listed));
        assert!(same >= 7 && change <= 1, "{policy:?} {change} {same}");
    }
    assert_eq!(world.get("target", "deployment", "web")["metadata"]["resourceVersion"], web["metadata"]["resourceVersion"]);
    drop(world.folder);
}

/// Nobody collects garbage beside a lone API server: takes away the finalizer by which it keeps an object whose dependents are to be orphaned.
async fn orphaned(client: Client, namespace: &'static str) {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{
        Api, ResourceExt as _,
        api::{ListParams, Patch, PatchParams},
    };
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    loop {
        for map in maps.list(&ListParams::default()).await.into_iter().flatten() {
            if map.metadata.deletion_timestamp.is_some() {
                let _ = maps.patch(&map.name_any(), &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c1_replacing_makes_everything_as_saved_and_never_deletes_a_claim() {
    let claim = |size: &str, label: &str| json!({"metadata": {"labels": {"l": label}}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": size}}}});
    let files = vec![
        (
            "configmaps",
            vec![
                object("v1", "ConfigMap", "plain", json!({"data": {"a": "saved"}})),
                object("v1", "ConfigMap", "sealed", json!({"immutable": true, "data": {"a": "saved"}})),
            ],
        ),
        (
            "persistentvolumeclaims",
            vec![object("v1", "PersistentVolumeClaim", "data", claim("1Gi", "saved")), object("v1", "PersistentVolumeClaim", "small", claim("5Gi", "saved"))],
        ),
        (
            "services",
            vec![object(
                "v1",
                "Service",
                "web",
                json!({"spec": {"clusterIP": "10.99.0.77", "clusterIPs": ["10.99.0.77"], "selector": {"app": "web"}, "ports": [{"port": 80}]}}),
            )],
        ),
    ];
    let world = World::with(&files).await;
    world.namespace(SOURCE);
    world.server.apply(&format!(
        "{{apiVersion: v1, kind: List, items: [
          {{apiVersion: v1, kind: ConfigMap, metadata: {{name: plain, namespace: {SOURCE}}}, data: {{a: live, extra: live}}}},
          {{apiVersion: v1, kind: ConfigMap, metadata: {{name: sealed, namespace: {SOURCE}}}, immutable: true, data: {{a: live}}}},
          {{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data, namespace: {SOURCE}}}, spec: {{accessModes: [ReadWriteOnce], storageClassName: fast, resources: {{requests: {{storage: 2Gi}}}}}}}},
          {{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: small, namespace: {SOURCE}}}, spec: {{accessModes: [ReadWriteOnce], storageClassName: fast, resources: {{requests: {{storage: 2Gi}}}}}}}},
          {{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: {SOURCE}}}, spec: {{selector: {{app: other}}, ports: [{{port: 81}}]}}}}]}}"
    ));
    let claims = || ["data", "small"].map(|name| world.get(SOURCE, "persistentvolumeclaim", name));
    let (before, address) = (claims(), world.get(SOURCE, "service", "web")["spec"]["clusterIP"].clone());

    let refused = world.restore(SOURCE, ConflictPolicy::Refuse, false).await.expect_err("objects differ");
    assert!(refused.contains("are there and different") && refused.contains("nothing was written"), "{refused}");
    let preview = world.restore(SOURCE, ConflictPolicy::Replace, true).await.expect("a preview");
    let helper = tokio::spawn(orphaned(world.client.clone(), SOURCE));
    let outcome = world.restore(SOURCE, ConflictPolicy::Replace, false).await.expect("a restore");
    helper.abort();
    // Two maps, the larger claim's label and the Service changed; the smaller claim is named.
    assert_eq!(counts(&outcome), [0, 4, 0, 1, 0], "{:?}", named(&outcome.listed));
    assert_eq!(counts(&preview), counts(&outcome), "the preview said so: {:?}", named(&preview.listed));
    assert!(named(&outcome.listed)[0].contains("it requests 2Gi, the backup's 5Gi"), "{:?}", named(&outcome.listed));
    for (before, after) in before.iter().zip(claims()) {
        assert_eq!((&before["metadata"]["uid"], &before["spec"]), (&after["metadata"]["uid"], &after["spec"]), "a claim stays what it is");
    }
    assert_eq!(claims()[0]["metadata"]["labels"], json!({"l": "saved"}));
    for name in ["plain", "sealed"] {
        assert_eq!(world.get(SOURCE, "configmap", name)["data"], json!({"a": "saved"}), "{name}: what the backup doesn't have goes");
    }
    let web = world.get(SOURCE, "service", "web");
    assert_eq!((&web["spec"]["clusterIP"], &web["spec"]["selector"]), (&address, &json!({"app": "web"})));
    let again = world.restore(SOURCE, ConflictPolicy::Replace, false).await.expect("again");
    assert_eq!(counts(&again), [0, 0, 4, 1, 0], "a second attempt finds all the same: {:?}", named(&again.listed));
}
