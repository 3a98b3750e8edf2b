//! What is generated is checked in as it is generated.

use std::{collections::BTreeSet, fs, path::Path};

const REGENERATE: &str = "the types have changed: run `make generate` and look at the difference";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn the_charts_crds_are_those_of_the_types() {
    let folder = root().join("charts/p861-crds/templates");
    let documents = p861_crds::generate::documents().expect("documents");
    for (name, text) in &documents {
        let stored = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(stored == *text, "charts/p861-crds/templates/{name} differs: {REGENERATE}");
    }
    let stored: BTreeSet<String> =
        fs::read_dir(folder).expect("templates").map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    let generated: BTreeSet<String> = documents.into_iter().map(|(name, _)| name).collect();
    assert_eq!(stored, generated, "files without a kind, or kinds without a file: {REGENERATE}");
}

#[test]
fn the_reference_is_that_of_the_types() {
    let stored = fs::read_to_string(root().join("docs/API.md")).unwrap_or_default();
    assert!(stored == p861_crds::reference::markdown().expect("a page"), "docs/API.md differs: {REGENERATE}");
}
