//! No ConfigMap is made past `owned_maps`, which gives each its owner.

use regex::Regex;
use std::{fs, path::Path};

/// Where ConfigMaps are made, and why one has no owner.
const ELSEWHERE: [(&str, &str); 1] =
    // The record of a component is of its objects on a site: it must outlive its Platform, or they would be taken for somebody else's.
    [("runs/src/effects/component.rs", r#""kind": "ConfigMap", "metadata": {"name": name, "labels": self.labels}"#)];

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.to_string_lossy().ends_with("tests.rs") && !path.ends_with("fake_hub.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
            found.push((path.to_string_lossy().into_owned(), code));
        }
    }
}

#[test]
fn fault_f8_every_config_map_that_the_operator_makes_goes_with_its_owner() {
    let operator = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in ["src", "runs/src"] {
        sources(&operator.join(folder), &mut found);
    }
    // As JSON, by its fields, or empty. Not the store of journals that is called after it.
    let makes = Regex::new(r#""kind": "ConfigMap"|[^:\w]ConfigMap \{\s*(metadata|data|binary_data|immutable|\.\.)|[^:\w]ConfigMap::default\(\)"#).unwrap();
    let mut makers = Vec::new();
    for (path, code) in &found {
        let mut code = code.clone();
        for (file, exception) in ELSEWHERE.iter().filter(|(file, _)| path.ends_with(file)) {
            assert!(code.contains(exception), "{file} makes none any more: take it out of this test");
            code = code.replace(exception, "");
        }
        if makes.is_match(&code) {
            makers.push(path.rsplit("operator/").next().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(makers, ["runs/src/owned_maps.rs"], "make ConfigMaps by owned_maps, so that they go with their object");
}
