//! Objects of a backup, written to a real API server without nodes: what comes back, what is never touched, and what is said of the rest.

use crate::support::lone::Lone;
use kube::Client;
use p861_core::{
    engine::{Awaits, ListedChange},
    objects::Identity,
    runs::{ConflictHandling, CopyRules},
};
use p861_crds::{
    platform::application::{ClusterResource, CronJobsInCopy},
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
            labels: BTreeMap::new(),
        };
        let choice = Choice { cluster, ..Choice::default() };
        ObjectsTask { snapshot: self.snapshot.as_str().into(), rules, choice, conflict, preview, absent: Vec::new(), again: None }
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

fn named_resource(group: &str, kind: &str, name: &str) -> ClusterResource {
    ClusterResource { group: Some(group.into()), kind: kind.into(), name: name.into() }
}

/// An application with a kind of its own, rights over it, and a webhook that refuses its objects while it doesn't run.
fn with_cluster_objects(column: &str) -> (Vec<(&'static str, Vec<Value>)>, Vec<ClusterResource>) {
    let (definitions, rbac, admission) = ("apiextensions.k8s.io", "rbac.authorization.k8s.io", "admissionregistration.k8s.io");
    let whole = |api: &str, kind: &str, name: &str, rest: Value| {
        let mut object = object(api, kind, name, rest);
        object["metadata"].as_object_mut().expect("metadata").remove("namespace");
        object
    };
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": schema,
        "additionalPrinterColumns": [{"name": column, "type": "string", "jsonPath": ".spec.a"}]});
    let names = json!({"plural": "gizmos", "singular": "gizmo", "kind": "Gizmo", "listKind": "GizmoList"});
    let crd = json!({"spec": {"group": "b12.example", "scope": "Namespaced", "names": names, "versions": [version]}});
    let account = |namespace: &str| json!([{"kind": "ServiceAccount", "name": "gizmos", "namespace": namespace}]);
    let role = json!({"rules": [{"apiGroups": ["b12.example"], "resources": ["gizmos"], "verbs": ["get", "list"]}]});
    let bound = |namespace: &str| json!({"roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "gizmo-reader"}, "subjects": account(namespace)});
    let hook = json!({"name": "gizmos.b12.example", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
        "clientConfig": {"service": {"name": "hooks", "namespace": SOURCE}},
        "rules": [{"apiGroups": ["b12.example"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["gizmos"]}]});
    let files = vec![
        (
            "_cluster/customresourcedefinitions.apiextensions.k8s.io",
            vec![whole("apiextensions.k8s.io/v1", "CustomResourceDefinition", "gizmos.b12.example", crd)],
        ),
        ("_cluster/clusterroles.rbac.authorization.k8s.io", vec![whole("rbac.authorization.k8s.io/v1", "ClusterRole", "gizmo-reader", role)]),
        (
            "_cluster/clusterrolebindings.rbac.authorization.k8s.io",
            vec![
                whole("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "gizmo-reader", bound(SOURCE)),
                whole("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "gizmo-stranger", bound("kube-system")),
            ],
        ),
        (
            "_cluster/validatingwebhookconfigurations.admissionregistration.k8s.io",
            vec![whole("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "gizmos", json!({"webhooks": [hook]}))],
        ),
        ("gizmos.b12.example", vec![object("b12.example/v1", "Gizmo", "g", json!({"spec": {"a": 1}}))]),
        ("configmaps", vec![object("v1", "ConfigMap", "plain", json!({"data": {"a": "b"}}))]),
    ];
    let named = vec![
        named_resource(definitions, "CustomResourceDefinition", "gizmos.b12.example"),
        named_resource(rbac, "ClusterRole", "gizmo-reader"),
        named_resource(rbac, "ClusterRoleBinding", "gizmo-reader"),
        named_resource(rbac, "ClusterRoleBinding", "gizmo-stranger"),
        named_resource(admission, "ValidatingWebhookConfiguration", "gizmos"),
    ];
    (files, named)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_what_an_application_needs_of_the_cluster_comes_first_and_its_webhooks_last() {
    let (files, cluster) = with_cluster_objects("A");
    let world = World::with(&files).await;
    world.namespace("target");
    let refuse = ConflictHandling::Policy(ConflictPolicy::Refuse);
    let preview = world.restore_with("target", refuse, true, cluster.clone()).await.expect("a preview");
    // The stranger's binding is refused; its own kind is promised by the definition.
    assert_eq!(counts(&preview), [6, 0, 0, 1, 0], "{:?}", named(&preview.listed));
    let outcome = world.restore_with("target", refuse, false, cluster.clone()).await.expect("a restore");
    assert_eq!(counts(&outcome), counts(&preview), "{:?}", named(&outcome.listed));
    assert!(named(&outcome.listed)[0].contains("no account of the application"), "{:?}", named(&outcome.listed));
    assert_eq!(world.get("target", "gizmo", "g")["spec"]["a"], 1, "its kind was served in time, and its own webhook was not there yet");
    assert_eq!(world.get("target", "clusterrolebinding", "gizmo-reader")["subjects"][0]["namespace"], "target");
    assert_eq!(world.get("target", "validatingwebhookconfiguration", "gizmos")["webhooks"][0]["clientConfig"]["service"]["namespace"], "target");
    let again = world.restore_with("target", refuse, false, cluster.clone()).await.expect("again");
    // Nobody serves the webhook here, so it refuses the Gizmo by now.
    assert_eq!(counts(&again), [0, 0, 5, 2, 0], "{:?}", named(&again.listed));
    // Without a place on the Application's list nothing of it is touched.
    let none = world.restore_with("target", refuse, false, Vec::new()).await.expect("a restore");
    assert_eq!((counts(&none), none.left_out.values().sum::<u64>()), ([0, 0, 1, 1, 0], 5), "{:?}", none.left_out);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_a_cluster_scoped_object_that_a_webhook_kept_back_is_written_by_a_second_try() {
    let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "orchard"}, "value": 5});
    let world = World::with(&[("_cluster/priorityclasses.scheduling.k8s.io", vec![class])]).await;
    world.namespace("target");
    world.server.apply(
        "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: classes}, webhooks: [{name: classes.demo.example,
          failurePolicy: Fail, sideEffects: None, admissionReviewVersions: [v1], timeoutSeconds: 2,
          clientConfig: {service: {namespace: target, name: web, path: /check}},
          rules: [{apiGroups: [scheduling.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [priorityclasses]}]}]}",
    );
    let cluster = ["orchard", "gone"].map(|name| named_resource("scheduling.k8s.io", "PriorityClass", name)).to_vec();
    let task = world.task_with("target", ConflictHandling::Policy(ConflictPolicy::Merge), false, cluster);
    let first = loop {
        // The API server learns of a webhook a moment later.
        let first = world.perform(&task).await.expect("what can't be written ends no restore");
        if counts(&first)[3] == 1 {
            break first;
        }
        let _ = world.server.kubectl(&["delete", "priorityclass", "orchard", "--ignore-not-found"]);
    };
    assert_eq!((first.listed.len(), first.listed[0].awaits), (1, Some(Awaits::Webhook)), "{:?}", named(&first.listed));
    assert!(first.adjusted.keys().any(|told| told.contains("PriorityClass gone is not in the backup")), "{:?}", first.adjusted);

    world.server.kubectl(&["delete", "validatingwebhookconfiguration", "classes"]).expect("deleted");
    let again = ObjectsTask { again: Some(first.listed.iter().map(Identity::listed).collect()), ..task };
    let last = loop {
        let last = world.perform(&again).await.expect("a second try");
        // The webhook's end is learned a moment later, too.
        if counts(&last)[3] == 0 {
            break last;
        }
    };
    assert_eq!(
        (counts(&last), last.tried.len(), last.adjusted.len()),
        ([1, 0, 0, 0, 0], 1, 0),
        "what the first try said is not said again: {:?}",
        last.adjusted
    );
    assert_eq!(world.get("target", "priorityclass", "orchard")["value"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_a_copy_makes_a_missing_definition_and_changes_none() {
    let (files, cluster) = with_cluster_objects("A");
    let world = World::with(&files).await;
    world.namespace("target--drill-x");
    let drilled = world.restore_with("target--drill-x", ConflictHandling::Own, false, cluster.clone()).await.expect("a copy");
    assert_eq!((counts(&drilled)[0] >= 2, &counts(&drilled)[1..]), (true, &[0, 0, 0, 0][..]), "{:?}", named(&drilled.listed));
    assert!(drilled.adjusted.keys().any(|told| told.contains("was missing and was made")), "{:?}", drilled.adjusted);
    let definition = || world.get("target--drill-x", "customresourcedefinition", "gizmos.b12.example");
    let before = definition();
    let client: kube::Api<k8s_openapi::api::rbac::v1::ClusterRole> = kube::Api::all(world.client.clone());
    assert!(client.get_opt("gizmo-reader").await.expect("asked").is_none(), "a copy gives nobody a right");

    // The same application, whose definition is another by now.
    let (files, _) = with_cluster_objects("B");
    let folder = tempfile::tempdir().expect("a folder");
    let (access, snapshot) = tokio::task::block_in_place(|| backup(folder.path(), &files));
    let world = World { folder, access, snapshot, ..world };
    let drilled = world.restore_with("target--drill-x", ConflictHandling::Own, false, cluster.clone()).await.expect("a copy");
    assert!(drilled.adjusted.keys().any(|told| told.contains("gizmos.b12.example is there with another content")), "{:?}", drilled.adjusted);
    let replaced = ConflictHandling::Policy(ConflictPolicy::Replace);
    let definition = || world.get("target--drill-x", "customresourcedefinition", "gizmos.b12.example");
    assert_eq!(definition()["spec"], before["spec"]);
    let restored = world.restore_with("target--drill-x", replaced, false, cluster).await.expect("a restore");
    let after = definition();
    assert_eq!((&after["metadata"]["uid"], counts(&restored)[1] >= 1), (&before["metadata"]["uid"], true), "in place, never deleted");
    assert_eq!(after["spec"]["versions"][0]["additionalPrinterColumns"][0]["name"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b10_a_status_that_is_data_comes_back_and_one_of_a_controller_is_left_to_it() {
    let serial = |kind: &str, serial: u32| object("b10.example/v1", kind, "a", json!({"spec": {"a": 1}, "status": {"serial": serial}}));
    let world = World::with(&[("counters.b10.example", vec![serial("Counter", 7)]), ("gauges.b10.example", vec![serial("Gauge", 7)])]).await;
    for (plural, kind, subresources) in [("counters", "Counter", json!({})), ("gauges", "Gauge", json!({"status": {}}))] {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": subresources});
        let names = json!({"plural": plural, "singular": kind.to_lowercase(), "kind": kind});
        let spec = json!({"group": "b10.example", "scope": "Namespaced", "names": names, "versions": [version]});
        let metadata = json!({"name": format!("{plural}.b10.example")});
        world
            .server
            .apply(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}).to_string());
    }
    world.namespace("target");
    let mut outcome = world.restore("target", ConflictPolicy::Merge, false).await.expect("a restore");
    for _ in 0..240 {
        if outcome.changes.not_served == 0 {
            break;
        }
        // Discovery names new kinds with a delay.
        tokio::time::sleep(Duration::from_millis(250)).await;
        outcome = world.restore("target", ConflictPolicy::Merge, false).await.expect("a restore");
    }
    assert_eq!(world.get("target", "counter", "a")["status"], json!({"serial": 7}));
    assert_eq!(world.get("target", "gauge", "a").get("status"), None);
    assert!(outcome.adjusted.keys().any(|told| told.contains("status is its controller's")), "{:?}", outcome.adjusted);
    // What differs in the status alone is a difference; a second attempt finds none.
    let eight = json!({"status": {"serial": 8}}).to_string();
    world.server.kubectl(&["patch", "counters.b10.example", "a", "--namespace", "target", "--type=merge", "--patch", &eight]).expect("the patch");
    let refused = world.restore("target", ConflictPolicy::Refuse, false).await.expect_err("the serial differs");
    assert!(refused.contains("status.serial: 8 → 7"), "{refused}");
    for (policy, changed) in [(ConflictPolicy::Merge, 1), (ConflictPolicy::Replace, 0)] {
        let outcome = world.restore("target", policy, false).await.expect("a restore");
        assert_eq!(counts(&outcome), [0, changed, 2 - changed, 0, 0], "{policy:?} {:?}", named(&outcome.listed));
    }
    assert_eq!(world.get("target", "counter", "a")["status"], json!({"serial": 7}));
}
