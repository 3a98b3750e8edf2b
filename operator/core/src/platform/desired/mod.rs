//! Desired objects of a site, ready to be applied. The same declaration always gives the same objects.

mod admission;
mod network;
mod site;

pub use admission::admission;
pub use network::network_policies;
pub use site::{DesiredSite, of_site, places};

use p861_crds::{
    PlatformSpec,
    names::{DEPARTMENT_LABEL, DISTRICT_LABEL, PLATFORM_LABEL, ROLE_LABEL},
    platform::{platform::PodSecurity, profile::Layer},
};
use serde_json::{Map, Value, json};

/// A namespace of the district on a site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its name.
    pub namespace: String,
    /// The department whose application it is.
    pub department: String,
}

/// The declaring district, and the site.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The district.
    pub district: &'a str,
    /// The site.
    pub site: &'a str,
    /// Image of the operator's movers, which run in the applications' namespaces.
    pub image: &'a str,
}

/// A document, and the layer that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The layer.
    pub layer: Layer,
    /// What is applied.
    pub object: Value,
}

impl Owner<'_> {
    /// Labels of everything that is made for the district.
    fn labels(&self) -> Value {
        // With a role, an object is left out of backups: a copy of an application brings no quota and no isolation of its original along.
        json!({PLATFORM_LABEL: self.district, ROLE_LABEL: "platform"})
    }

    fn document(&self, layer: Layer, api: &str, kind: &str, name: &str, namespace: Option<&str>, rest: Value) -> Document {
        let mut metadata = json!({"name": name, "labels": self.labels()});
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        let mut object = Map::from_iter([("apiVersion".to_owned(), json!(api)), ("kind".to_owned(), json!(kind)), ("metadata".to_owned(), metadata)]);
        if let Value::Object(rest) = rest {
            object.extend(rest);
        }
        Document { layer, object: Value::Object(object) }
    }
}

/// The labels of a namespace: whose it is, and how hardened its pods must be.
///
/// Our movers read volumes as root, which Restricted forbids: they would be refused wherever data is saved. So the namespace enforces Baseline, warns of what
/// Restricted refuses, and a policy of our own (see [`admission`]) refuses it for every pod but a mover's.
pub fn namespace_labels(spec: &PlatformSpec, owner: Owner<'_>, place: &Place) -> Document {
    let level = spec.security.pod_security;
    let enforced = if level == PodSecurity::Restricted { PodSecurity::Baseline } else { level };
    let labels = json!({
        PLATFORM_LABEL: owner.district,
        DISTRICT_LABEL: owner.district,
        DEPARTMENT_LABEL: place.department,
        "pod-security.kubernetes.io/enforce": enforced.word(),
        "pod-security.kubernetes.io/warn": level.word(),
        "pod-security.kubernetes.io/audit": level.word(),
    });
    Document { layer: Layer::Security, object: json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace, "labels": labels}}) }
}

/// A namespace that is no application's any more: our labels are taken back, nothing else is touched.
pub fn released_namespace(namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
}

/// The priority classes. They are the site's own, so two districts that declare one of the same name share it.
pub fn priority_classes(spec: &PlatformSpec, owner: Owner<'_>) -> Vec<Document> {
    let one = |class: &p861_crds::platform::platform::PriorityClass| {
        owner.document(
            Layer::Servers,
            "scheduling.k8s.io/v1",
            "PriorityClass",
            &class.name,
            None,
            json!({"value": class.value, "description": "Kept by Platform 861"}),
        )
    };
    spec.servers.priority_classes.iter().map(one).collect()
}

/// The quota of a namespace, from its shares.
pub fn resource_quota(owner: Owner<'_>, layer: Layer, namespace: &str, hard: &Map<String, Value>) -> Document {
    let name = if layer == Layer::Storage { "p861-storage" } else { "p861-servers" };
    owner.document(layer, "v1", "ResourceQuota", name, Some(namespace), json!({"spec": {"hard": hard}}))
}
