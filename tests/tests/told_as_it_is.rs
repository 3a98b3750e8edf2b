//! What a status says of a run is what happened, in words for people, and at a cost that grows with the work: a real API server, the real operator, its real movers.

use crate::support::{
    lone::{Lone, SYSTEM, lone},
    operator::{Operator, api, apply, condition, mover_rights, operator, until},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use p861_tests::reader;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Requests that this test has under way at once.
const AT_ONCE: usize = 32;

/// A district of its own on a hub that is its only site, with a repository and an application in its namespace `<district>-one`.
struct World {
    server: Arc<Lone>,
    operator: Arc<Operator>,
    client: Client,
    district: &'static str,
    _folder: tempfile::TempDir,
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn config_map(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"text": name}})
}

fn ours(kind: &str, name: &str, namespace: Option<&str>, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

impl World {
    async fn of(district: &'static str, code: &str) -> Self {
        let server = lone("told_as_it_is");
        let (client, folder) = (server.client(None).await, tempfile::tempdir().expect("a folder"));
        let home = format!("{district}-one");
        let application = json!({"names": {"en": "One"}, "department": "any", "namespaces": [home]});
        let repository = json!({"failureDomain": "there", "folder": {"path": folder.path()}, "encryption": {"keySecretRef": {"name": "key"}}});
        for object in [
            namespace(district),
            namespace(&home),
            config_map(&home, "one"),
            ours("Site", "only", None, json!({"names": {"en": "Only"}, "failureDomain": "here", "access": {"inCluster": {}}})),
            ours("District", district, None, json!({"code": code, "names": {"en": "A district"}, "sites": [{"siteRef": {"name": "only"}, "role": "Primary"}]})),
            ours("BackupRepository", "folder", Some(district), repository),
            ours("Application", "one", Some(district), application),
        ] {
            apply(&client, &object.to_string()).await;
        }
        apply(&client, &mover_rights(&[&home])).await;
        let operator = operator(&server);
        Self { server, operator, client, district, _folder: folder }
    }

    fn runs(&self, kind: &str) -> Api<DynamicObject> {
        api(&self.client, "platform861.io", kind, &format!("{}s", kind.to_lowercase()), Some(self.district))
    }

    async fn declare(&self, kind: &str, name: &str, spec: Value) {
        apply(&self.client, &ours(kind, name, Some(self.district), spec).to_string()).await;
    }

    /// Declares a run and waits until it has ended in this phase; gives its object.
    async fn ends(&self, phase: &str, kind: &str, name: &str, spec: Value) -> DynamicObject {
        self.declare(kind, name, spec).await;
        self.ended(phase, kind, name).await
    }

    async fn ended(&self, phase: &str, kind: &str, name: &str) -> DynamicObject {
        let (runs, what) = (self.runs(kind), format!("{kind} {name} has ended"));
        let ended = until(&self.operator, &what, async || {
            let seen = runs.get(name).await.map_err(|error| error.to_string())?;
            if seen.data["status"]["completionTime"].is_string() { Ok(seen) } else { Err(seen.data["status"].to_string()) }
        });
        let ended = ended.await;
        assert_eq!(ended.data["status"]["phase"], phase, "{kind} {name}: {}", ended.data["status"]);
        ended
    }

    /// The ConfigMaps of the runs of a Backup, by name.
    async fn journals(&self, backup: &str) -> Vec<String> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), self.district).list(&ListParams::default()).await.expect("a list");
        let begins = format!("{backup}-backup-journal");
        maps.items.iter().map(kube::ResourceExt::name_any).filter(|name| name.starts_with(&begins)).collect()
    }

    /// `kubectl delete --cascade=orphan`. Nobody collects garbage beside a lone API server, so what its collector does is done here: the dependents lose their
    /// owner, and then the object its finalizer.
    async fn delete_and_orphan(&self, kind: &str, name: &str) {
        let runs = self.runs(kind);
        let uid = runs.get(name).await.expect("it is there").uid().unwrap_or_default();
        runs.delete(name, &DeleteParams::orphan()).await.expect("it is deleted");
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.district);
        for map in maps.list(&ListParams::default()).await.expect("a list") {
            if map.owner_references().iter().any(|owner| owner.uid == uid) {
                let orphan = Patch::Merge(json!({"metadata": {"ownerReferences": null}}));
                maps.patch(&map.name_any(), &PatchParams::default(), &orphan).await.expect("it has no owner any more");
            }
        }
        until(&self.operator, &format!("{kind} {name} is gone"), async || {
            let Some(left) = runs.get_opt(name).await.map_err(|error| error.to_string())? else { return Ok(()) };
            let others: Vec<&String> = left.finalizers().iter().filter(|finalizer| *finalizer != "orphan").collect();
            let _ = runs.patch(name, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": others}}))).await;
            Err(format!("its finalizers are {:?}", left.finalizers()))
        })
        .await;
    }
}

fn backup_of(application: &str) -> Value {
    json!({"applicationRef": {"name": application}})
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a2_a_backup_that_is_made_again_under_its_name_runs_again_beside_the_journal_of_the_one_before() {
    let world = World::of("again", "370202").await;
    let first = world.ends("Succeeded", "Backup", "nightly", backup_of("one")).await;
    let left = world.journals("nightly").await;
    assert!(!left.is_empty(), "it has a journal");
    world.delete_and_orphan("Backup", "nightly").await;
    assert_eq!(world.journals("nightly").await, left, "its journal stays behind, or nothing is proven here");

    apply(&world.client, &config_map("again-one", "written-since").to_string()).await;
    let second = world.ends("Succeeded", "Backup", "nightly", backup_of("one")).await;
    let objects = |backup: &DynamicObject| backup.data["status"]["contents"]["objects"].as_i64().expect("a number");
    assert_eq!(objects(&second), objects(&first) + 1, "what was written since is in it: {}", second.data["status"]);
    for field in ["snapshotID", "recoveryPointTime", "completionTime"] {
        assert_ne!(second.data["status"][field], first.data["status"][field], "{field} is that of the one before: {}", second.data["status"]);
    }
    let journals = world.journals("nightly").await;
    assert!(journals.len() > left.len() && left.iter().all(|name| journals.contains(name)), "each has a journal of its own: {left:?}, {journals:?}");
}

/// A policy of the city that takes no namespace of this name; returns when it is in force.
async fn refuse_namespace(world: &World, name: &str) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["namespaces"]});
    let validations = json!([{"expression": format!("object.metadata.name != '{name}'"), "message": "the city has namespaces enough"}]);
    for (kind, spec) in [
        ("ValidatingAdmissionPolicy", json!({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": validations})),
        ("ValidatingAdmissionPolicyBinding", json!({"policyName": "enough", "validationActions": ["Deny"]})),
    ] {
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "enough"}, "spec": spec});
        world.server.apply(&object.to_string());
    }
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let refused: Namespace = serde_json::from_value(namespace(name)).expect("a namespace");
    until(&world.operator, "the policy is in force", async || {
        match namespaces.create(&PostParams { dry_run: true, ..PostParams::default() }, &refused).await {
            Err(error) if error.to_string().contains("namespaces enough") => Ok(()),
            answer => Err(format!("{answer:?}")),
        }
    })
    .await;
}

/// The message of a run that failed or was refused.
fn said(run: &DynamicObject) -> &str {
    condition(run, "Succeeded")["message"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a11_what_an_api_server_refuses_is_told_in_its_own_words_and_nowhere_as_rust_prints_it() {
    let world = World::of("words", "370203").await;
    refuse_namespace(&world, "words-refused").await;
    // A site whose account may do nothing, and an application in whose namespace no mover may list anything.
    let data = json!({"kubeconfig": world.server.kubeconfig_of("stranger-wu")});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "site-elsewhere", "namespace": SYSTEM}, "stringData": data});
    let access = json!({"kubeconfig": {"secretRef": {"name": "site-elsewhere"}}});
    for object in [
        secret,
        ours("Site", "elsewhere", None, json!({"names": {"en": "Elsewhere"}, "failureDomain": "there", "access": access})),
        namespace("words-locked"),
        config_map("words-locked", "one"),
    ] {
        apply(&world.client, &object.to_string()).await;
    }
    world.declare("Application", "locked", json!({"names": {"en": "Locked"}, "department": "any", "namespaces": ["words-locked"]})).await;

    let locked = world.ends("Failed", "Backup", "locked", backup_of("locked")).await;
    assert!(said(&locked).contains("is forbidden: User \""), "{}", locked.data["status"]);
    world.ends("Succeeded", "Backup", "first", backup_of("one")).await;
    let mapping = json!({"namespaceMappings": [{"from": "words-one", "to": "words-refused"}]});
    let refused = world.ends("Failed", "Restore", "refused", json!({"source": {"backupRef": {"name": "first"}}, "target": mapping})).await;
    assert!(said(&refused).contains("denied request: the city has namespaces enough"), "{}", refused.data["status"]);
    let sites = api(&world.client, "platform861.io", "Site", "sites", None);
    until(&world.operator, "the site that may not be read says so", async || {
        let seen = sites.get("elsewhere").await.map_err(|error| error.to_string())?;
        let status = seen.data["status"].to_string();
        if status.contains("is forbidden: User \\\"stranger-wu\\\"") { Ok(()) } else { Err(status) }
    })
    .await;

    let told = world.server.get(&["sites,districts,applications,backuprepositories,backups,restores,events"]);
    let told = told["items"].as_array().expect("a list");
    assert!(told.len() > 10, "{told:?}");
    for object in told {
        let text = object.to_string();
        for debug in ["Status {", "Some(", "ErrorResponse {"] {
            assert!(!text.contains(debug), "{debug} is told by {} {}: {text}", object["kind"], object["metadata"]["name"]);
        }
    }
}

/// Requests for Deployments that the API server has answered, by verb. Those for their status are the controller's, which this test plays.
fn asked_for_deployments(server: &Lone) -> BTreeMap<String, f64> {
    let metrics = reader::raw_at(&server.kubeconfig(), "/metrics").expect("metrics");
    let mut asked = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        if !line.contains("resource=\"deployments\"") || !line.contains("subresource=\"\"") {
            continue;
        }
        let verb = line.split_once("verb=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(verb, _)| verb);
        let count: f64 = line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        *asked.entry(verb.to_owned()).or_default() += count;
    }
    asked
}

fn deployments(world: &World, namespace: &str) -> Api<Deployment> {
    Api::namespaced(world.client.clone(), namespace)
}

async fn make_deployments(world: &World, namespace: &str, number: usize) {
    let api = deployments(world, namespace);
    let made = stream::iter(0..number).map(|number| {
        let (api, name) = (&api, format!("off-{number:04}"));
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
        let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template});
        let document = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec});
        async move { api.create(&PostParams::default(), &serde_json::from_value(document).expect("a Deployment")).await }
    });
    made.buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await.expect("they are made");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_g1_1500_deployments_that_want_no_pods_cost_one_request_each_and_are_not_waited_for() {
    const NUMBER: usize = 1_500;
    let world = World::of("idle", "370211").await;
    apply(&world.client, &namespace("idle-copy").to_string()).await;
    apply(&world.client, &mover_rights(&["idle-copy"])).await;
    make_deployments(&world, "idle-one", NUMBER).await;
    world.ends("Succeeded", "Backup", "first", backup_of("one")).await;

    let before = asked_for_deployments(&world.server);
    let target = json!({"namespaceMappings": [{"from": "idle-one", "to": "idle-copy"}]});
    // Under Refuse each object would be looked at beforehand, too.
    world.declare("Restore", "copy", json!({"source": {"backupRef": {"name": "first"}}, "target": target, "conflictPolicy": "Merge"})).await;
    // What wants no pods is written as it is, and there is nothing to wait for: their controller, which nobody plays here, never says that it has seen them.
    world.ended("Succeeded", "Restore", "copy").await;
    let after = asked_for_deployments(&world.server);

    let of = |asked: &BTreeMap<String, f64>, verb: &str| asked.get(verb).copied().unwrap_or_default();
    let more: BTreeMap<&str, f64> = after.keys().map(|verb| (verb.as_str(), of(&after, verb) - of(&before, verb))).collect();
    let made = more.get("POST").copied().unwrap_or_default();
    let others: f64 = more.iter().filter(|(verb, _)| **verb != "POST").map(|(_, count)| count).sum();
    // A tenth more: some are asked for twice where the API server is slow to answer, and each pass lists them all once.
    assert!((1_500.0..1_650.0).contains(&made), "each is made once: {more:?}");
    assert!(others < 150.0, "and none is patched or asked for by itself: {more:?}");
}
