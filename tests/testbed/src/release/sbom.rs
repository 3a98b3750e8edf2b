//! The bill of materials, in CycloneDX: every package of Cargo.lock with its version, licence and checksum, and what depends on what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{ReleaseError, Result, VERSION, io, parse, run_for};

/// The packages whose programs are shipped.
const SHIPPED: [&str; 2] = ["p861", "p861-operator"];

/// The bill of the workspace at `root`. Fetches packages that are pinned and not on this machine: cargo reads their licences.
///
/// # Errors
/// If cargo fails, or a package states no licence.
pub fn of_source(root: &Path) -> Result<Value> {
    let lock = root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(io(&lock))?;
    let all = metadata(root, &["--all-features"])?;
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let linked = linked(&metadata(root, &["--filter-platform", &target])?);
    bill(&all, &linked, &checksums(&lock))
}

fn metadata(root: &Path, arguments: &[&str]) -> Result<Value> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).args(arguments).current_dir(root);
    parse("cargo metadata", &run_for("cargo does not list the packages", &mut cargo)?)
}

/// Checksums by name and version. Packages of the workspace have none.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |package: &str, name: &str| {
        let prefix = format!("{name} = \"");
        package.lines().find_map(|line| Some(line.strip_prefix(&prefix)?.trim_end_matches('"').to_owned()))
    };
    let packages = lock.split("[[package]]").skip(1);
    packages.filter_map(|package| Some(((field(package, "name")?, field(package, "version")?), field(package, "checksum")?))).collect()
}

/// The ids of the packages that the shipped programs are built from on this platform. A package may be named that a feature of a test
/// alone asks for, never the other way round.
fn linked(metadata: &Value) -> BTreeSet<String> {
    let nodes: BTreeMap<&str, &Value> = array(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let shipped = |package: &&Value| SHIPPED.contains(&text(&package["name"])) && package["source"].is_null();
    let mut open: Vec<&str> = array(&metadata["packages"]).filter(shipped).map(|package| text(&package["id"])).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if found.insert(id.to_owned()) {
            open.extend(nodes.get(id).into_iter().flat_map(|node| dependencies(node)));
        }
    }
    found
}

/// The ids that a package needs to be built, not those that its tests need.
fn dependencies(node: &Value) -> impl Iterator<Item = &str> {
    let built = |dependency: &&Value| array(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev");
    array(&node["deps"]).filter(built).map(|dependency| text(&dependency["pkg"]))
}

fn bill(metadata: &Value, linked: &BTreeSet<String>, checksums: &BTreeMap<(String, String), String>) -> Result<Value> {
    let mut components = BTreeMap::new();
    let mut references = BTreeMap::new();
    for package in array(&metadata["packages"]) {
        let reference = package_url(text(&package["name"]), text(&package["version"]));
        references.insert(text(&package["id"]), reference.clone());
        components.insert(reference.clone(), component(package, &reference, linked, checksums)?);
    }
    let reference = |id: &str| references.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let edges: BTreeMap<String, BTreeSet<String>> =
        array(&metadata["resolve"]["nodes"]).map(|node| (reference(text(&node["id"])), dependencies(node).map(reference).collect())).collect();
    let shipped: Vec<String> = SHIPPED.iter().map(|name| package_url(name, VERSION)).collect();
    let mut edges: Vec<Value> = edges.into_iter().map(|(from, to)| json!({"ref": from, "dependsOn": to})).collect();
    edges.insert(0, json!({"ref": "platform-861", "dependsOn": shipped}));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "platform-861",
                "name": "platform-861",
                "version": VERSION,
                "licenses": [{"expression": env!("CARGO_PKG_LICENSE")}],
            },
        },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": edges,
    }))
}

fn component(package: &Value, reference: &str, linked: &BTreeSet<String>, checksums: &BTreeMap<(String, String), String>) -> Result<Value> {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let Some(license) = package["license"].as_str() else {
        return Err(ReleaseError::Refused(format!("{name} {version} states no licence: read its source, and say here what it is")));
    };
    let kind = if SHIPPED.contains(&name) { "application" } else { "library" };
    let scope = if linked.contains(text(&package["id"])) { "required" } else { "excluded" };
    let mut component = json!({
        "type": kind,
        "bom-ref": reference,
        "name": name,
        "version": version,
        "scope": scope,
        "licenses": [{"expression": expression(license)}],
        "purl": reference,
    });
    if let Some(checksum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    Ok(component)
}

/// An SPDX expression. Older packages write a slash, which means OR.
fn expression(license: &str) -> String {
    license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// `pkg:cargo/NAME@VERSION`, with a plus in the version escaped.
fn package_url(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"p861\"\nversion = \"0.1.0\"\ndependencies = [\n \"one\",\n]\n\n[[package]]\nname = \"one\"\nversion = \"1.0.0+a\"\nsource = \"registry\"\nchecksum = \"abc\"\n";

    fn packages(license: Value) -> Value {
        let package =
            |id: &str, version: &str, source: Value, license: Value| json!({"id": id, "name": id, "version": version, "source": source, "license": license});
        let edge = |to: &str, kind: Value| json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
        json!({
            "packages": [
                package("p861", "0.1.0", Value::Null, json!("Apache-2.0")),
                package("one", "1.0.0+a", json!("registry"), license),
                package("tester", "2.0.0", json!("registry"), json!("MIT")),
            ],
            "resolve": {"nodes": [
                {"id": "p861", "deps": [edge("one", Value::Null), edge("tester", json!("dev"))]},
                {"id": "one", "deps": []},
                {"id": "tester", "deps": []},
            ]},
        })
    }

    #[test]
    fn a_package_has_its_licence_its_checksum_and_whether_it_is_shipped() {
        let metadata = packages(json!("MIT / Apache-2.0"));
        let bill = bill(&metadata, &linked(&metadata), &checksums(LOCK)).unwrap();
        let found = |name: &str| array(&bill["components"]).find(|component| component["name"] == name).unwrap().clone();
        let one = found("one");
        assert_eq!(one["purl"], "pkg:cargo/one@1.0.0%2Ba");
        assert_eq!(one["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(one["hashes"][0]["content"], "abc");
        assert_eq!((&one["scope"], &found("tester")["scope"]), (&json!("required"), &json!("excluded")));
        assert_eq!(found("p861")["hashes"], Value::Null);
        let edge = array(&bill["dependencies"]).find(|edge| edge["ref"] == "pkg:cargo/p861@0.1.0").unwrap();
        assert_eq!(edge["dependsOn"], json!(["pkg:cargo/one@1.0.0%2Ba"]));
    }

    #[test]
    fn a_package_without_a_licence_is_refused() {
        let metadata = packages(Value::Null);
        let said = bill(&metadata, &linked(&metadata), &checksums(LOCK)).unwrap_err().to_string();
        assert!(said.starts_with("one 1.0.0+a states no licence"), "{said}");
    }
}
