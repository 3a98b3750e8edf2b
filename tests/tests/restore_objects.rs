//! Objects of a backup, written to a real API server without nodes: what comes back, what is never touched, and what is said of the rest.

mod cluster;
mod namespaces;
mod quotas;
mod stopped;

use crate::support::lone::Lone;
use kube::Client;
use p861_core::{
    engine::{Awaits, ListedChange},
    objects::Identity,
    runs::{ConflictHandling, CopyRules},
};
use p861_crds::{
    platform::application::{ClusterResource, CopyKind, CronJobsInCopy},
    protection::restore::ConflictPolicy,
};
use p861_runs::movers::{
    ending::end_request,
    restore::{Choice, ObjectsOutcome, ObjectsTask, restore, restore_until},
};
use p861_vault::{Location, PartSpec, Repository, RepositoryAccess, SealSpec};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// UID of the run that restores.
const RUN: &str = "run-1";
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
    for (name, objects) in files {
        let lines: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let text = lines.join("\n") + "\n";
        // Of the source's namespace, unless the name says another folder.
        let path = folder.join("objects").join(if name.contains('/') { format!("{name}.jsonl") } else { format!("{SOURCE}/{name}.jsonl") });
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
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
        self.perform(&self.task(target, conflict, preview)).await
    }

    /// With cluster-scoped objects. As a copy, if nothing is said of conflicts.
    async fn restore_with(&self, target: &str, conflict: ConflictHandling, preview: bool, cluster: Vec<ClusterResource>) -> Result<ObjectsOutcome, String> {
        self.perform(&self.task_with(target, conflict, preview, cluster)).await
    }

    /// A second try at those that the first could not write, and that may be taken later.
    async fn restore_again(&self, target: &str, conflict: ConflictPolicy, first: &ObjectsOutcome) -> ObjectsOutcome {
        let again = first.listed.iter().filter(|listed| listed.awaits.is_some()).map(Identity::listed).collect();
        let task = ObjectsTask { again: Some(again), ..self.task(target, conflict, false) };
        self.perform(&task).await.expect("a second try")
    }

    fn task(&self, target: &str, conflict: ConflictPolicy, preview: bool) -> ObjectsTask {
        self.task_with(target, ConflictHandling::Policy(conflict), preview, Vec::new())
    }

    fn task_with(&self, target: &str, conflict: ConflictHandling, preview: bool, cluster: Vec<ClusterResource>) -> ObjectsTask {
        let rules = CopyRules {
            namespaces: BTreeMap::from([(SOURCE.into(), target.into())]),
            storage_classes: Vec::new(),
            images: Vec::new(),
            isolated: conflict == ConflictHandling::Own,
            stopped: false,
            cron_jobs: CronJobsInCopy::Run,
            patches: Vec::new(),
            // Of its applications: what a copy has otherwise is Kubernetes' own.
            kinds: vec![CopyKind { group: Some("b12.example".into()), kind: "Gizmo".into() }],
            resolver: Vec::new(),
            labels: BTreeMap::new(),
        };
        let choice = Choice { cluster, ..Choice::default() };
        ObjectsTask { run: RUN.into(), snapshot: self.snapshot.as_str().into(), rules, choice, conflict, preview, absent: Vec::new(), again: None }
    }

    async fn perform(&self, task: &ObjectsTask) -> Result<ObjectsOutcome, String> {
        restore(&self.client, self.access.clone(), task, &|_| {}).await.map_err(|error| error.to_string())
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
        ("services", vec![object("v1", "Service", "open", ports(30_065)), object("v1", "Service", "taken", ports(30_066))]),
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
        .apply("{apiVersion: v1, kind: Service, metadata: {name: squatter, namespace: other}, spec: {type: NodePort, ports: [{port: 80, nodePort: 30066}]}}");

    let preview = world.restore("target", ConflictPolicy::Refuse, true).await.expect("a preview");
    // The namespace is there and lacks a label, which no policy refuses.
    assert_eq!((counts(&preview), preview.changes.added), ([7, 1, 0, 1, 1], 1), "fault_a3 {:?}", named(&preview.listed));
    let outcome = world.restore("target", ConflictPolicy::Refuse, false).await.expect("fault_b13: what can't be written ends no restore");
    let listed = named(&outcome.listed);
    assert_eq!(counts(&outcome), [7, 1, 0, 1, 1], "fault_a3 {listed:?}");
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
    assert_eq!((&open["spec"]["ports"][0]["nodePort"], &open["spec"]["internalTrafficPolicy"]), (&json!(30_065), &json!("Local")), "fault_b6");
    assert_ne!(taken["spec"]["ports"][0]["nodePort"], json!(30_066), "fault_b6");
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

#[tokio::test(flavor = "multi_thread")]
async fn fault_c6_a_preview_into_a_namespace_that_is_not_there_asks_for_nothing_in_it_and_makes_none() {
    let world = World::with(&odd_objects()).await;
    // Its mover may do nothing there: no role can be bound in a namespace that isn't there.
    let nobody = world.server.client(Some(("nobody", &["system:authenticated"]))).await;
    let task = ObjectsTask { absent: vec!["nowhere".into()], ..world.task("nowhere", ConflictPolicy::Refuse, true) };
    let outcome = restore(&nobody, world.access.clone(), &task, &|_| {}).await.expect("a preview");
    assert_eq!(counts(&outcome), [9, 0, 0, 0, 1], "{:?}", named(&outcome.listed));
    let of_namespace = outcome.listed.iter().find(|item| item.kind == "Namespace").expect("the namespace is among what would be made");
    assert!(of_namespace.why.contains("not tried"), "{}", of_namespace.why);
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(world.client.clone());
    assert!(namespaces.get_opt("nowhere").await.expect("an answer").is_none());
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

#[tokio::test(flavor = "multi_thread")]
async fn fault_b13_what_needed_the_applications_webhook_or_kind_is_written_by_a_second_try_and_nothing_else_is() {
    let hooked = |name: &str| object("v1", "ConfigMap", name, json!({"metadata": {"labels": {"checked": "yes"}}, "data": {"a": "b"}}));
    let files = vec![
        ("configmaps", vec![hooked("one"), object("v1", "ConfigMap", "plain", json!({"data": {"a": "b"}})), hooked("two")]),
        ("ingresses.networking.k8s.io", vec![object("networking.k8s.io/v1", "Ingress", "broken", json!({"spec": {"rules": [{"host": "NOT A HOST"}]}}))]),
        ("widgets.demo.example", vec![object("demo.example/v1", "Widget", "w", json!({"spec": {"a": 1}}))]),
    ];
    let world = World::with(&files).await;
    world.namespace("target");
    // A webhook of the application, which doesn't run yet.
    world.server.apply(
        "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: checked}, webhooks: [{name: maps.demo.example,
          failurePolicy: Fail, sideEffects: None, admissionReviewVersions: [v1], timeoutSeconds: 2, objectSelector: {matchLabels: {checked: 'yes'}},
          clientConfig: {service: {namespace: target, name: web, path: /check}},
          rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}]}",
    );
    let first = loop {
        // The API server learns of a webhook a moment later.
        let first = world.restore("target", ConflictPolicy::Merge, false).await.expect("what can't be written ends no restore");
        if counts(&first)[3] == 3 {
            break first;
        }
        let _ = world.server.kubectl(&["delete", "configmap", "--namespace", "target", "one", "two", "plain", "--ignore-not-found"]);
    };
    assert_eq!(counts(&first), [1, 0, 0, 3, 1], "{:?}", named(&first.listed));
    let awaited: Vec<_> = first.listed.iter().map(|listed| (listed.name.as_str(), listed.awaits)).collect();
    let webhook = Some(Awaits::Webhook);
    assert_eq!(awaited, [("one", webhook), ("two", webhook), ("broken", None), ("w", Some(Awaits::Kind))], "{:?}", named(&first.listed));

    // Before anything has changed it ends as the first.
    let vain = world.restore_again("target", ConflictPolicy::Merge, &first).await;
    assert_eq!((counts(&vain), vain.tried.len()), ([0, 0, 0, 2, 1], 3), "{:?}", named(&vain.listed));

    world.server.kubectl(&["delete", "validatingwebhookconfiguration", "checked"]).expect("deleted");
    world.server.apply(
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.demo.example}, spec: {group: demo.example, scope: Namespaced,
          names: {kind: Widget, plural: widgets}, versions: [{name: v1, served: true, storage: true,
          schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}",
    );
    world.server.kubectl(&["wait", "--for=condition=Established", "customresourcedefinition/widgets.demo.example", "--timeout=60s"]).expect("established");
    let plain = world.get("target", "configmap", "plain");
    let mut created = 0;
    let last = loop {
        let again = world.restore_again("target", ConflictPolicy::Merge, &first).await;
        created += counts(&again)[0];
        // The webhook's end is learned a moment later, too.
        if counts(&again)[3..] == [0, 0] {
            break again;
        }
    };
    assert_eq!((created, last.tried.len(), last.listed.len()), (3, 3, 0), "{:?}", named(&last.listed));
    assert_eq!(world.get("target", "widget", "w")["spec"], json!({"a": 1}));
    assert_eq!(world.get("target", "configmap", "plain"), plain, "what was written is not written again");
}

/// The first number behind `so far`, and the first behind `of`, in what a restore says that was told to end.
fn said_to_be_written(message: &str) -> (usize, usize) {
    let number = |after: &str| message.split_once(after).and_then(|(_, rest)| rest.split(' ').next()).and_then(|word| word.parse().ok());
    (number("so far ").unwrap_or_else(|| panic!("{message}")), number("; of ").unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_told_to_end_does_so_within_5_s_says_what_it_wrote_and_the_next_one_writes_the_rest() {
    const OBJECTS: usize = 4_000;
    let maps = (0..OBJECTS).map(|number| object("v1", "ConfigMap", &format!("m-{number}"), json!({"data": {"number": number.to_string()}}))).collect();
    let world = World::with(&[("configmaps", maps)]).await;
    world.namespace("target");
    let task = world.task("target", ConflictPolicy::Refuse, false);
    let (ender, end) = end_request();
    let told = parking_lot::Mutex::new(None);
    let on_progress = |progress: p861_vault::Progress| {
        // In the middle of writing.
        if progress.items_done >= 200 && told.lock().is_none() {
            *told.lock() = Some(Instant::now());
            ender.end();
        }
    };
    let message = restore_until(&world.client, world.access.clone(), &task, &on_progress, &end).await.expect_err("it was told to end").to_string();
    let took = told.lock().expect("it was told").elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (created, unanswered) = said_to_be_written(&message);
    let there = || {
        world.server.get(&["--namespace", "target", "configmaps"])["items"]
            .as_array()
            .expect("items")
            .iter()
            .filter(|map| map["data"]["number"].is_string())
            .count()
    };
    let written = there();
    assert!((200..OBJECTS).contains(&created) && (created..=created + unanswered).contains(&written), "{written} are there: {message}");

    let next = world.perform(&task).await.expect("the next attempt");
    let [create, change, same, refused, not_served] = counts(&next);
    assert_eq!((create, same), (i64::try_from(OBJECTS - written).expect("few"), i64::try_from(written).expect("few")), "nothing is done again");
    assert_eq!((change, refused, not_served, there()), (0, 0, 0, OBJECTS));
}
