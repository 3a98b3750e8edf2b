//! The examples of tests/examples, without an API server: those that it accepts can be read into the types, and every rule has one that breaks it.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops where it is wrong")]

use p861_crds::{
    Application, Approval, Backup, BackupPolicy, BackupRepository, ChangeTemplate, District, Drill, DutyRoster, MaintenanceTicket, MaintenanceWindow, Platform,
    PlatformProfile, RecoveryPlan, Restore, Site,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};

struct Example {
    kind: String,
    name: String,
    text: String,
}

fn examples() -> Vec<Example> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/examples"));
    let mut found = Vec::new();
    for kind in fs::read_dir(folder).expect("tests/examples").map(|entry| entry.expect("an entry").path()) {
        for file in fs::read_dir(&kind).expect("a kind's folder").map(|entry| entry.expect("an entry").path()) {
            let text = fs::read_to_string(&file).expect("a file");
            let part = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
            found.push(Example { kind: part(&kind), name: part(&file), text });
        }
    }
    found.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    found
}

fn read<K: DeserializeOwned>(example: &Example, document: &str) {
    if let Err(error) = serde_saphyr::from_str::<K>(document) {
        panic!("{}/{} can't be read: {error}", example.kind, example.name);
    }
}

#[test]
fn every_example_that_is_accepted_can_be_read_into_its_type() {
    let mut count = 0;
    for example in examples().iter().filter(|example| example.name.starts_with("accepted-")) {
        for document in example.text.split("\n---\n") {
            count += 1;
            match example.kind.as_str() {
                "site" => read::<Site>(example, document),
                "district" => read::<District>(example, document),
                "platformprofile" => read::<PlatformProfile>(example, document),
                "platform" => read::<Platform>(example, document),
                "application" => read::<Application>(example, document),
                "backuprepository" => read::<BackupRepository>(example, document),
                "backuppolicy" => read::<BackupPolicy>(example, document),
                "backup" => read::<Backup>(example, document),
                "restore" => read::<Restore>(example, document),
                "recoveryplan" => read::<RecoveryPlan>(example, document),
                "drill" => read::<Drill>(example, document),
                "maintenancewindow" => read::<MaintenanceWindow>(example, document),
                "changetemplate" => read::<ChangeTemplate>(example, document),
                "maintenanceticket" => read::<MaintenanceTicket>(example, document),
                "approval" => read::<Approval>(example, document),
                "dutyroster" => read::<DutyRoster>(example, document),
                other => panic!("tests/examples/{other} belongs to no kind"),
            }
        }
    }
    assert!(count > 20, "only {count} documents");
}

#[test]
fn every_example_says_by_its_name_what_becomes_of_it_and_if_refused_with_which_words() {
    for Example { kind, name, text } in examples() {
        assert!(name.starts_with("accepted-") || name.starts_with("refused-"), "{kind}/{name}");
        assert_eq!(name.starts_with("refused-"), text.contains("# Refused with: "), "{kind}/{name}");
    }
}

/// Messages of the rules of a kind's spec; a pattern has one, too.
fn constraints(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for rule in map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                found.extend(rule["message"].as_str().map(str::to_owned));
            }
            map.values().for_each(|value| constraints(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| constraints(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_rule_and_every_form_of_a_kind_is_broken_by_an_example_of_it() {
    let examples = examples();
    for mut document in p861_crds::generate::documents_as_json().expect("documents") {
        let kind = document["spec"]["names"]["kind"].as_str().expect("a kind").to_owned();
        let schema = &mut document["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["status"] = Value::Null;
        let mut wanted = BTreeSet::new();
        constraints(schema, &mut wanted);
        let refusals: Vec<&str> = examples
            .iter()
            .filter(|example| example.kind == kind.to_lowercase())
            .filter_map(|example| example.text.lines().find_map(|line| line.strip_prefix("# Refused with: ")))
            .collect();
        for constraint in wanted {
            assert!(
                refusals.iter().any(|refusal| constraint.starts_with(refusal)),
                "tests/examples/{} has none that is refused with: {constraint}",
                kind.to_lowercase()
            );
        }
    }
}
