//! Every example of tests/examples against a real API server: accepted, or refused with the words that it says.

use crate::support::{documents, lone::lone, root};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const DISTRICT: &str = "shinan";

fn dry() -> PostParams {
    PostParams { dry_run: true, field_manager: None }
}

fn api(client: &Client, object: &DynamicObject) -> Api<DynamicObject> {
    let kind = &object.types.as_ref().expect("a kind").kind;
    let plural = match kind.as_str() {
        "BackupRepository" => "backuprepositories".to_owned(),
        "BackupPolicy" => "backuppolicies".to_owned(),
        _ => format!("{}s", kind.to_lowercase()),
    };
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

/// The kinds of the chart, by their names in lower case, and the messages of their rules.
fn kinds() -> BTreeMap<String, BTreeSet<String>> {
    fn messages(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                let rules = map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
                found.extend(rules.filter_map(|rule| rule["message"].as_str()).map(str::to_owned));
                map.values().for_each(|value| messages(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| messages(value, found)),
            _ => {}
        }
    }
    let files = std::fs::read_dir(root().join("charts/p861-crds/templates")).expect("the kinds");
    files
        .flat_map(|file| documents(&std::fs::read_to_string(file.expect("a file").path()).expect("a kind")))
        .map(|kind| {
            let mut found = BTreeSet::new();
            messages(&kind, &mut found);
            (kind["spec"]["names"]["kind"].as_str().expect("a kind").to_lowercase(), found)
        })
        .collect()
}

/// What a refusal lacks: the field that is wrong, or what to write instead.
fn unclear(said: &str, kinds: &BTreeMap<String, BTreeSet<String>>) -> Option<&'static str> {
    let field = ["spec", "metadata"].iter().any(|field| said.contains(&format!("is invalid: {field}")) || said.contains(&format!("is invalid: [{field}")));
    let remedies = [
        "supported values: ",
        ": Required value",
        "should have at least ",
        "may not be more than ",
        "should be less than or equal to ",
        "should be greater than or equal to ",
        ": Duplicate value",
    ];
    let by_rule = || kinds.values().flatten().any(|message| said.contains(message.as_str()));
    // A rule over the whole object has no field; its own words say what it is about.
    if by_rule() {
        None
    } else if !field {
        Some("which field is wrong")
    } else {
        (!remedies.iter().any(|remedy| said.contains(remedy))).then_some("what to write")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_accepted_or_refused_with_words_that_say_where_and_what_to_write() {
    let server = lone("admit_kinds");
    let client = server.client(None).await;
    namespace(&client).await;
    let kinds = kinds();
    let (mut accepted, mut refused, mut wrong) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new(), Vec::new());
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/examples"))
        .expect("examples")
        .flat_map(|kind| std::fs::read_dir(kind.expect("a folder").path()).expect("a kind"))
        .collect();
    files.sort_by_key(|file| file.as_ref().expect("a file").path());
    for file in files {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let expected = text.lines().find_map(|line| line.strip_prefix("# Refused with: "));
        let kind = path.parent().and_then(Path::file_name).expect("a kind's folder").to_string_lossy().into_owned();
        match (outcome(&client, &text).await, expected) {
            (Ok(()), None) => *accepted.entry(kind).or_default() += 1,
            (Err(said), Some(words)) if said.contains(words) => {
                *refused.entry(kind).or_default() += 1;
                if let Some(what) = unclear(&said, &kinds) {
                    wrong.push(format!("{}: the refusal does not say {what}: {said}", path.display()));
                }
            }
            (Ok(()), Some(words)) => wrong.push(format!("{}: accepted, and not refused with {words:?}", path.display())),
            (Err(said), _) => wrong.push(format!("{}: {said}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{} examples:\n{}", wrong.len(), wrong.join("\n"));
    let served: BTreeSet<String> = kinds.keys().cloned().collect();
    assert_eq!(served.len(), 16, "{served:?}");
    for (what, count) in [("accepted", &accepted), ("refused", &refused)] {
        assert_eq!(count.keys().cloned().collect::<BTreeSet<_>>(), served, "each kind has examples that are {what}");
    }
    let total = |count: &BTreeMap<String, usize>| count.values().sum::<usize>();
    assert!(total(&accepted) > 20 && total(&refused) > 60, "{accepted:?} accepted, {refused:?} refused");
}
