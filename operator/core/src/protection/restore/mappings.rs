//! Which mappings of namespaces and storage classes a restore takes. One that would not count, would mix two namespaces, or leads to a class that isn't there, is refused: whoever
//! has written it expects something else.

use crate::{ids::SiteName, runs::CompileError};
use p861_crds::{ApplicationSpec, protection::restore::Mapping};

/// Refuses mappings of what is no namespace of the application, two of one namespace, and two namespaces that would become one.
///
/// # Errors
/// [`CompileError::Invalid`] with the first mapping that is wrong, and the namespaces that there are.
pub fn refuse_mappings(application: &str, spec: &ApplicationSpec, mappings: &[Mapping]) -> Result<(), CompileError> {
    let Some(wrong) = mappings.iter().enumerate().find_map(|(at, mapping)| wrong(&spec.namespaces, mappings, at, mapping)) else { return Ok(()) };
    let known = spec.namespaces.join(", ");
    Err(CompileError::Invalid(format!("spec.target.namespaceMappings {wrong}; the namespaces of application {application}: {known}")))
}

/// Refuses mappings to a StorageClass that `site` doesn't have: claims of it would wait for ever. One that the Application names among its cluster-scoped objects comes with the
/// backup. `there` has the site's classes.
///
/// # Errors
/// [`CompileError::Invalid`] with the first such mapping, and the classes that there are.
pub fn refuse_classes(site: &SiteName, spec: &ApplicationSpec, there: &[String], mappings: &[Mapping]) -> Result<(), CompileError> {
    let comes = |class: &str| spec.cluster_resources.iter().any(|named| named.kind == "StorageClass" && named.name == class);
    let Some(Mapping { from, to }) = mappings.iter().find(|mapping| !there.contains(&mapping.to) && !comes(&mapping.to)) else { return Ok(()) };
    if there.is_empty() {
        return Err(CompileError::Invalid(format!("spec.target.storageClassMappings maps {from} to {to}, but {site} has no StorageClass at all")));
    }
    let mut there = there.to_vec();
    there.sort();
    let there = there.join(", ");
    Err(CompileError::Invalid(format!("spec.target.storageClassMappings maps {from} to {to}, but {site} has no StorageClass {to}; it has {there}")))
}

/// What is wrong with a mapping beside those before it, and the namespaces of its application.
fn wrong(namespaces: &[String], mappings: &[Mapping], at: usize, Mapping { from, to }: &Mapping) -> Option<String> {
    if !namespaces.contains(from) {
        return Some(format!("maps {from} to {to}, but {from} is no namespace of the application"));
    }
    let before = || mappings.iter().take(at);
    if let Some(other) = before().find(|other| other.from == *from) {
        return Some(format!("maps {from} twice, to {} and to {to}: leave one of them", other.to));
    }
    if let Some(other) = before().find(|other| other.to == *to) {
        return Some(format!("maps {} and {from} both to {to}: give each a namespace of its own", other.from));
    }
    let stays = to != from && namespaces.contains(to) && !mappings.iter().any(|other| other.from == *to);
    stays.then(|| format!("maps {from} to {to}, where the application's own {to} goes: map {to}, too, or name another"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mapping_to_a_class_that_the_site_lacks_is_refused_with_the_classes_that_it_has() {
        let spec: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["a"],
            "clusterResources": [{"group": "storage.k8s.io", "kind": "StorageClass", "name": "own"}]}))
        .expect("a spec");
        let there = ["slow".to_owned(), "local".to_owned()];
        for (mappings, there, says) in [
            (json!([]), &there[..], None),
            (json!([{"from": "fast", "to": "slow"}]), &there[..], None),
            (json!([{"from": "fast", "to": "own"}]), &there[..], None),
            (json!([{"from": "x", "to": "slow"}, {"from": "fast", "to": "nosuch"}]), &there[..], Some("StorageClass nosuch; it has local, slow")),
            (json!([{"from": "fast", "to": "nosuch"}]), &there[..0], Some("StorageClass at all")),
        ] {
            let read: Vec<Mapping> = serde_json::from_value(mappings.clone()).expect("mappings");
            let refused = refuse_classes(&"east".into(), &spec, there, &read).map_err(|error| error.to_string());
            let text = |lacks: &str| format!("spec.target.storageClassMappings maps fast to nosuch, but east has no {lacks}");
            assert_eq!(refused, says.map_or(Ok(()), |lacks| Err(text(lacks))), "{mappings}");
        }
    }

    #[test]
    fn a_mapping_that_would_not_count_or_would_mix_namespaces_is_refused_by_name() {
        let spec: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["a", "b"]})).expect("a spec");
        for (mappings, says) in [
            (json!([]), None),
            (json!([{"from": "a", "to": "x"}]), None),
            (json!([{"from": "a", "to": "a"}]), None),
            (json!([{"from": "a", "to": "x"}, {"from": "b", "to": "y"}]), None),
            (json!([{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]), None),
            (json!([{"from": "c", "to": "x"}]), Some("maps c to x, but c is no namespace of the application")),
            (json!([{"from": "a", "to": "x"}, {"from": "a", "to": "y"}]), Some("maps a twice, to x and to y: leave one of them")),
            (json!([{"from": "a", "to": "x"}, {"from": "a", "to": "x"}]), Some("maps a twice, to x and to x: leave one of them")),
            (json!([{"from": "a", "to": "x"}, {"from": "b", "to": "x"}]), Some("maps a and b both to x: give each a namespace of its own")),
            (json!([{"from": "a", "to": "b"}]), Some("maps a to b, where the application's own b goes: map b, too, or name another")),
        ] {
            let read: Vec<Mapping> = serde_json::from_value(mappings.clone()).expect("mappings");
            let refused = refuse_mappings("portal", &spec, &read).map_err(|error| error.to_string());
            let expected = says.map_or(Ok(()), |says| Err(format!("spec.target.namespaceMappings {says}; the namespaces of application portal: a, b")));
            assert_eq!(refused, expected, "{mappings}");
        }
    }
}
