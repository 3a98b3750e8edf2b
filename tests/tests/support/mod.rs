//! What the chart_, runbook_ and admit_ suites share: helm, promtool, and a Kubernetes API server that stands alone.

pub mod access;
pub mod judged;
pub mod lone;
pub mod monitors;
pub mod operator;
pub mod pages;
pub mod registry;
pub mod s3;
pub mod tables;
pub mod uses;

use p861_testbed::{
    components::{self, Components, run::run},
    report::Report,
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

/// How long helm or promtool may take.
pub const LIMIT: Duration = Duration::from_mins(2);

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// The text of a file of the repository.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The real programs; built once per machine.
pub fn programs() -> &'static Components {
    static COMPONENTS: OnceLock<Components> = OnceLock::new();
    COMPONENTS.get_or_init(|| components::ensure(&Report::stderr()).expect("the components of the test bed"))
}

/// Runs helm in the folder of the charts.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    run(Command::new(&programs().helm).current_dir(root().join("charts")).args(arguments), LIMIT).map_err(|error| error.to_string())
}

/// Runs promtool in a folder of the repository.
pub fn promtool(folder: &str, arguments: &[&str]) -> Result<String, String> {
    run(Command::new(&programs().promtool).current_dir(root().join(folder)).args(arguments), LIMIT).map_err(|error| error.to_string())
}

/// The documents of the chart p861 with these values (`a.b=c`).
pub fn render(values: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["template", "p861", "p861", "--namespace", "p861-system"];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    documents(&helm(&arguments).expect("helm template"))
}

/// The documents of a YAML text, without the empty ones.
pub fn documents(yaml: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
    all.into_iter().filter(|document| !document.is_null()).collect()
}

/// The documents of a kind.
pub fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

/// The document of that kind and name.
pub fn named<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    of_kind(documents, kind).into_iter().find(|document| document["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The texts of an array.
pub fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
