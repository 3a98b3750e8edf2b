//! Every example of tests/examples against a real API server: accepted, or refused with the words that it says.

mod support;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use support::{documents, lone::lone, root};

const DISTRICT: &str = "shinan";
const MASTERS: &[&str] = &["system:masters"];

fn dry() -> PostParams {
    PostParams { dry_run: true, field_manager: None }
}

fn api(client: &Client, object: &DynamicObject) -> Api<DynamicObject> {
    let kind = &object.types.as_ref().expect("a kind").kind;
    let plural = if kind == "BackupRepository" { "backuprepositories".to_owned() } else { format!("{}s", kind.to_lowercase()) };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", kind), &plural);
    match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn namespace(client: &Client) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let document = serde_json::from_value(json!({"metadata": {"name": DISTRICT}})).expect("a namespace");
    match namespaces.create(&PostParams::default(), &document).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        result => drop(result.expect("the district's namespace")),
    }
}

/// What the API server says to the example's last document, after it took those before it.
async fn outcome(client: &Client, text: &str) -> Result<(), String> {
    let documents: Vec<DynamicObject> = documents(text).into_iter().map(|value| serde_json::from_value(value).expect("an object")).collect();
    let said = |error: kube::Error| match error {
        kube::Error::Api(status) => status.message,
        other => panic!("the API server did not judge: {other}"),
    };
    match documents.as_slice() {
        [only] => api(client, only).create(&dry(), only).await.map(drop).map_err(said),
        [first, change] => {
            let api = api(client, first);
            let stored = api.create(&PostParams::default(), first).await.map_err(|error| format!("the first document: {}", said(error)))?;
            let mut change = change.clone();
            change.metadata.resource_version = stored.resource_version();
            let result = api.replace(&stored.name_any(), &dry(), &change).await.map(drop).map_err(said);
            api.delete(&stored.name_any(), &DeleteParams::default()).await.expect("deleted");
            result
        }
        other => panic!("{} documents", other.len()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_accepted_or_refused_with_the_words_that_it_says() {
    let server = lone();
    let client = server.client(None).await;
    namespace(&client).await;
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/examples")).expect("examples").flat_map(|kind| std::fs::read_dir(kind.expect("a folder").path()).expect("a kind")).collect();
    files.sort_by_key(|file| file.as_ref().expect("a file").path());
    for file in files {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let expected = text.lines().find_map(|line| line.strip_prefix("# Refused with: "));
        match (outcome(&client, &text).await, expected) {
            (Ok(()), None) => accepted += 1,
            (Err(said), Some(words)) if said.contains(words) => refused += 1,
            (Ok(()), Some(words)) => wrong.push(format!("{}: accepted, and not refused with {words:?}", path.display())),
            (Err(said), _) => wrong.push(format!("{}: {said}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{} of {} examples:\n{}", wrong.len(), accepted + refused + wrong.len(), wrong.join("\n"));
    assert!(accepted > 20 && refused > 60, "{accepted} accepted, {refused} refused");
}

fn drill(name: &str, requested_by: Option<&str>) -> DynamicObject {
    let mut document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Drill", "metadata": {"name": name, "namespace": DISTRICT}, "spec": {"planRef": {"name": "core"}, "type": "Isolated"}});
    if let Some(who) = requested_by {
        document["spec"]["requestedBy"] = who.into();
    }
    serde_json::from_value(document).expect("a drill")
}

fn append(object: &DynamicObject, action: serde_json::Value) -> DynamicObject {
    let mut changed = object.clone();
    changed.data["spec"]["actions"].as_array_mut().expect("actions").push(action);
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_writes_who_asked_and_refuses_any_other_name() {
    let server = lone();
    namespace(&server.client(None).await).await;
    let (alice, bob) = (server.client(Some(("alice", MASTERS))).await, server.client(Some(("bob", MASTERS))).await);
    let message = |result: kube::Result<DynamicObject>| match result {
        Err(kube::Error::Api(status)) => status.message,
        other => panic!("not refused: {other:?}"),
    };
    let of_alice = api(&alice, &drill("x", None));
    let of_bob = api(&bob, &drill("x", None));

    let refused = message(of_alice.create(&PostParams::default(), &drill("as-bob", Some("bob"))).await);
    assert!(refused.contains("write requestedBy: alice"), "{refused}");
    of_alice.create(&PostParams::default(), &drill("said-so", Some("alice"))).await.expect("the right name may be written");
    let made = of_alice.create(&PostParams::default(), &drill("silent", None)).await.expect("the name may be left out");
    assert_eq!(made.data["spec"]["requestedBy"], "alice");

    let paused = of_bob.replace("silent", &PostParams::default(), &append(&made, json!({"action": "Pause"}))).await.expect("an action without a name");
    assert_eq!(paused.data["spec"]["actions"][0]["by"], "bob");
    let refused = message(of_alice.replace("silent", &PostParams::default(), &append(&paused, json!({"action": "Resume", "by": "bob"}))).await);
    assert!(refused.contains("write by: alice"), "{refused}");
    let refused = message(of_alice.create(&PostParams::default(), &{
        let mut document = drill("with-action", None);
        document.data["spec"]["actions"] = json!([{"action": "Pause", "by": "bob"}]);
        document
    }).await);
    assert!(refused.contains("write by: alice"), "a name in the first manifest counts too: {refused}");

    // The manifest of the first day, applied again: nothing was taken away.
    let mut again = drill("silent", None);
    again.data["spec"]["actions"] = json!([{"action": "Pause"}]);
    again.metadata.resource_version = paused.resource_version();
    let same = of_alice.replace("silent", &PostParams::default(), &again).await.expect("the same manifest again");
    assert_eq!((&same.data["spec"]["requestedBy"], &same.data["spec"]["actions"][0]["by"]), (&json!("alice"), &json!("bob")));

    let refused = message(of_bob.replace("silent", &PostParams::default(), &{
        let mut changed = same.clone();
        changed.data["spec"]["requestedBy"] = "bob".into();
        changed
    }).await);
    assert!(refused.contains("a run can't be changed"), "{refused}");
    for name in ["said-so", "silent"] {
        of_alice.delete(name, &DeleteParams::default()).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_written_without_asking_who_requested_the_run() {
    let server = lone();
    let administrator = server.client(None).await;
    namespace(&administrator).await;
    let (alice, operator) = (server.client(Some(("alice", MASTERS))).await, server.client(Some(("system:serviceaccount:p861-system:p861-operator", &["system:serviceaccounts", "system:authenticated"]))).await);
    let object = drill("status", None);
    api(&alice, &object).create(&PostParams::default(), &object).await.expect("created");
    let patch = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Drill", "metadata": {"name": "status"}, "status": {"phase": "Running"}});
    let parameters = kube::api::PatchParams::apply("p861-operator").force();
    api(&operator, &object).patch_status("status", &parameters, &kube::api::Patch::Apply(patch)).await.expect("the operator writes the status");
    let finalizer = json!({"metadata": {"finalizers": ["platform861.io/cleanup"]}});
    api(&operator, &object).patch("status", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(finalizer)).await.expect("the operator sets its finalizer");
    let none = json!({"metadata": {"finalizers": null}});
    api(&operator, &object).patch("status", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(none)).await.expect("the operator takes its finalizer away");
    api(&administrator, &object).delete("status", &DeleteParams::default()).await.expect("deleted");
}
