//! A component's bundle: parses, limits and validates manifests before they are approved or applied.

pub mod image;
pub mod registry;

use crate::{
    canonical,
    objects::{group, kind, name, namespace, rank},
};
use p861_crds::{WorkloadKind, WorkloadReference};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum size of a bundle in bytes: the ConfigMap that stores it must also hold the previously installed one.
pub const MOST_BYTES: usize = 700 * 1024;
/// It has at most so many objects.
pub const MOST_OBJECTS: usize = 200;
/// Kinds that a bundle may hold: group, version, kind, plural. All stand in namespaces, and none hands out rights or holds secrets.
pub const KINDS: [(&str, &str, &str, &str); 12] = [
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("batch", "v1", "CronJob", "cronjobs"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
];

/// What is wrong with a bundle, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is too large.
    #[error("it has {0} bytes, and a bundle has at most {MOST_BYTES}: divide it into two components")]
    TooLarge(usize),
    /// It has too many objects.
    #[error("it has {0} objects, and a bundle has at most {MOST_OBJECTS}: divide it into two components")]
    TooMany(usize),
    /// A layer of an image can't be read.
    #[error("{place}: {error}")]
    Layer {
        /// Its title, or its number.
        place: String,
        /// What is wrong with it.
        error: String,
    },
    /// A document can't be read.
    #[error("{file}: no YAML: {error}")]
    Unreadable {
        /// The key of the ConfigMap, or the path in the image.
        file: String,
        /// The parser's words.
        error: String,
    },
    /// A document is no object.
    #[error("{0}: a document has no apiVersion, kind or metadata.name")]
    NoObject(String),
    /// The object's labels or annotations are malformed.
    #[error("{0}: its metadata.labels and metadata.annotations are maps of texts, or absent")]
    Labels(String),
    /// A kind that a bundle must not hold.
    #[error("{0}: a bundle holds no such kind; what is the whole cluster's, or hands out rights, is installed by its engine: name a helmRelease")]
    Kind(String),
    /// An object without a namespace.
    #[error("{0}: write its metadata.namespace")]
    NoNamespace(String),
    /// A namespace that is another's.
    #[error("{object}: namespace {namespace} is not the district's: see spec.siteNamespaces of the District")]
    Foreign {
        /// The object.
        object: String,
        /// Its namespace.
        namespace: String,
    },
    /// An object twice.
    #[error("{0}: it stands in the bundle twice")]
    Twice(String),
    /// Nothing in it runs.
    #[error("it has no Deployment, StatefulSet or DaemonSet: whether it is installed could not be seen")]
    NothingRuns,
}

/// A bundle that can be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// Its objects, in the order in which they are written.
    pub objects: Vec<Value>,
    /// Digest of all of it.
    pub digest: String,
}

/// YAML without aliases: each is a copy of what it names, and a few kilobytes of them fill the memory. Manifests as tools render them have none.
fn without_aliases() -> serde_saphyr::Options {
    serde_saphyr::options! { budget: serde_saphyr::budget! { max_aliases: 0 } }
}

/// Reads a bundle: the values of a ConfigMap, or the files of an image, each a YAML text of one or more documents. `allotted` says whether a namespace is the district's.
///
/// # Errors
/// [`BundleError`], with what is wrong in which file.
pub fn read(files: &BTreeMap<String, String>, allotted: impl Fn(&str) -> bool) -> Result<Bundle, BundleError> {
    let bytes = files.values().map(String::len).sum();
    if bytes > MOST_BYTES {
        return Err(BundleError::TooLarge(bytes));
    }
    let (mut objects, mut seen) = (Vec::new(), BTreeSet::new());
    for (file, text) in files {
        let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, without_aliases())
            .map_err(|error| BundleError::Unreadable { file: file.clone(), error: first_line(&error.to_string()) })?;
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            if document.get("apiVersion").is_none() || kind(&document).is_empty() || name(&document).is_empty() {
                return Err(BundleError::NoObject(file.clone()));
            }
            let (label, place) = (label(&document), namespace(&document));
            if resource(&document).is_none() {
                return Err(BundleError::Kind(label));
            }
            if place.is_empty() {
                return Err(BundleError::NoNamespace(label));
            }
            let maps = ["/metadata/labels", "/metadata/annotations"].map(|path| document.pointer(path));
            if maps.into_iter().flatten().any(|map| !map.is_object()) {
                return Err(BundleError::Labels(label));
            }
            if !allotted(place) {
                return Err(BundleError::Foreign { object: label, namespace: place.to_owned() });
            }
            if !seen.insert(label.clone()) {
                return Err(BundleError::Twice(label));
            }
            objects.push(document);
        }
    }
    if objects.len() > MOST_OBJECTS {
        return Err(BundleError::TooMany(objects.len()));
    }
    if workloads(&objects).is_empty() {
        return Err(BundleError::NothingRuns);
    }
    objects.sort_by_key(|object| (rank(object), label(object)));
    // The order of files and fields makes no other bundle.
    let digest = canonical::digest(&Value::Array(objects.clone()));
    Ok(Bundle { objects, digest })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// An object of a bundle as it is applied: with whose it is, and of which version.
pub fn stamped(object: &Value, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Value {
    let mut ours = object.clone();
    if let Some(metadata) = ours.get_mut("metadata").and_then(Value::as_object_mut) {
        for (map, entries) in [("labels", labels), ("annotations", annotations)] {
            if let Some(map) = metadata.entry(map).or_insert_with(|| Value::Object(serde_json::Map::new())).as_object_mut() {
                map.extend(entries.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))));
            }
        }
    }
    ours
}

/// How people name an object: `Deployment shinan-cache/redis`.
pub fn label(object: &Value) -> String {
    format!("{} {}/{}", kind(object), namespace(object), name(object))
}

/// Version and plural of an object's kind, if a bundle may hold it.
pub fn resource(object: &Value) -> Option<(&'static str, &'static str, &'static str, &'static str)> {
    let api = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    KINDS.into_iter().find(|(group_of, version, kind_of, _)| {
        *kind_of == kind(object)
            && *group_of == group(object)
            && api == if group_of.is_empty() { (*version).to_owned() } else { format!("{group_of}/{version}") }
    })
}

/// The workloads of these objects, each with its namespace.
pub fn workloads(objects: &[Value]) -> Vec<WorkloadReference> {
    let of = |object: &Value| {
        let kind = match (group(object), kind(object)) {
            ("apps", "Deployment") => WorkloadKind::Deployment,
            ("apps", "StatefulSet") => WorkloadKind::StatefulSet,
            ("apps", "DaemonSet") => WorkloadKind::DaemonSet,
            _ => return None,
        };
        Some(WorkloadReference { kind, name: name(object).to_owned(), namespace: Some(namespace(object).to_owned()) })
    };
    objects.iter().filter_map(of).collect()
}

/// Objects of `before` that are not in `after`, the last written first: what a change of version leaves behind.
pub fn left_behind<'a>(before: &'a [Value], after: &[Value]) -> Vec<&'a Value> {
    let kept: BTreeSet<String> = after.iter().map(label).collect();
    before.iter().rev().filter(|object| !kept.contains(&label(object))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files(texts: &[&str]) -> BTreeMap<String, String> {
        texts.iter().enumerate().map(|(number, text)| (format!("{number}.yaml"), (*text).to_owned())).collect()
    }

    const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shinan-cache}\ndata: {a: b}\n";
    const SERVER: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: redis, namespace: shinan-cache}\nspec: {replicas: 1}\n";

    fn ours(namespace: &str) -> bool {
        namespace.starts_with("shinan-")
    }

    #[test]
    fn documents_of_all_files_are_read_and_written_with_what_mounts_last() {
        let one = read(&files(&[&format!("{SERVER}---\n{CONFIG}")]), ours).expect("a bundle");
        let two = read(&files(&[CONFIG, SERVER]), ours).expect("a bundle");
        assert_eq!(one.objects.iter().map(label).collect::<Vec<_>>(), ["ConfigMap shinan-cache/c", "Deployment shinan-cache/redis"]);
        assert_eq!(one.digest, two.digest, "how it is divided into files makes no other bundle");
        assert_eq!(workloads(&one.objects).len(), 1);
        let other = read(&files(&[CONFIG, &SERVER.replace("replicas: 1", "replicas: 2")]), ours).expect("a bundle");
        assert_ne!(other.digest, one.digest);
    }

    #[test]
    fn what_a_bundle_must_not_hold_is_refused_by_name() {
        let refused = |text: &str| read(&files(&[SERVER, text]), ours).expect_err("refused").to_string();
        let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n";
        assert!(refused(role).contains("ClusterRole /all") && refused(role).contains("helmRelease"), "{}", refused(role));
        assert!(refused(&CONFIG.replace("shinan-cache", "licang-cache")).contains("licang-cache is not the district's"));
        assert!(refused(&CONFIG.replace(", namespace: shinan-cache", "")).contains("write its metadata.namespace"));
        assert!(refused(&CONFIG.replace("{name: c,", "{labels: x, name: c,")).contains("maps of texts"));
        assert!(refused("kind: [").contains("1.yaml: no YAML"));
        assert!(refused("a: b").contains("no apiVersion"));
        assert!(refused(SERVER).contains("twice"));
        assert_eq!(read(&files(&[CONFIG]), ours), Err(BundleError::NothingRuns));
        assert!(matches!(read(&files(&[&"#".repeat(MOST_BYTES + 1)]), ours), Err(BundleError::TooLarge(_))));
    }

    #[test]
    fn fault_e11_a_manifest_that_grows_when_it_is_read_is_refused() {
        let large = "x".repeat(600 * 1024);
        for grows in [
            format!("a: &a {large}\nb: [{}]\n", "*a, ".repeat(1_000)),
            ('b'..='z')
                .zip('a'..='y')
                .fold("a: &a [x, x, x]\n".to_owned(), |text, (next, last)| text + &format!("{next}: &{next} [{}]\n", format!("*{last}, ").repeat(9))),
            "a: &a b\nc: *a\n".to_owned(),
        ] {
            let said = read(&files(&[SERVER, &grows]), ours).expect_err("it has aliases").to_string();
            assert!(said.starts_with("1.yaml: no YAML") && said.len() < 500, "{said}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(read(&files(&[SERVER, &deep]), ours).is_err());
    }

    #[test]
    fn what_is_applied_keeps_its_labels_and_says_whose_it_is() {
        let labelled = read(&files(&[&SERVER.replace("{name: redis,", "{labels: {app: redis}, name: redis,")]), ours).expect("a bundle").objects;
        let stamped = stamped(&labelled[0], &[("component", "cache")], &[("version", "1")]);
        assert_eq!(stamped["metadata"]["labels"], serde_json::json!({"app": "redis", "component": "cache"}));
        assert_eq!(stamped["metadata"]["annotations"], serde_json::json!({"version": "1"}));
    }

    #[test]
    fn what_a_new_version_no_longer_has_is_left_behind() {
        let before = read(&files(&[CONFIG, SERVER]), ours).expect("a bundle").objects;
        let after = read(&files(&[SERVER]), ours).expect("a bundle").objects;
        assert_eq!(left_behind(&before, &after).into_iter().map(label).collect::<Vec<_>>(), ["ConfigMap shinan-cache/c"]);
        assert!(left_behind(&after, &before).is_empty());
    }

    proptest! {
        /// Whatever stands in the ConfigMap, reading it ends with a bundle of the district's own namespaces, or with words.
        #[test]
        fn reading_never_panics(text in "[-:a-zA-Z0-9{}\\[\\],\\n \"'&*!|>%@#]{0,300}") {
            if let Ok(bundle) = read(&files(&[SERVER, &text]), ours) {
                prop_assert!(bundle.objects.iter().all(|object| ours(namespace(object))));
            }
        }
    }
}
