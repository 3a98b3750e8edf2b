//! Desired objects of a site, ready to be applied. The same declaration always gives the same objects.

mod admission;
mod network;
mod site;

pub use admission::admission;
pub use network::network_policies;
pub use site::{DesiredSite, of_site, places};

use super::{
    facts::Refused,
    pod_security::{self, ENFORCE},
};
use p861_crds::{
    PlatformSpec, Reason,
    names::{DEPARTMENT_LABEL, DISTRICT_LABEL, PLATFORM_LABEL, ROLE_LABEL},
    platform::{district::DistrictLimits, platform::PriorityClass, profile::Layer},
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
    /// What the district may not exceed.
    pub limits: DistrictLimits,
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
pub fn namespace_labels(spec: &PlatformSpec, owner: Owner<'_>, place: &Place) -> Document {
    let mut labels = json!({PLATFORM_LABEL: owner.district, DISTRICT_LABEL: owner.district, DEPARTMENT_LABEL: place.department});
    for (label, level) in pod_security::labels_beside_policy(pod_security::level(&owner.limits, Some(spec))) {
        labels[label] = level.into();
    }
    Document { layer: Layer::Security, object: json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace, "labels": labels}}) }
}

/// A namespace that is no application's any more: our labels are taken back, but not what it enforces on its pods, and nothing else is touched.
pub fn released_namespace(namespace: &str, enforced: Option<&str>) -> Value {
    let labels: Map<String, Value> = enforced.map(|level| (ENFORCE.to_owned(), json!(level))).into_iter().collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
}

/// What the declaration asks for and the District doesn't allow. None of it is applied.
pub fn beyond_limits(spec: &PlatformSpec, owner: Owner<'_>) -> Vec<Refused> {
    let (district, limit) = (owner.district, owner.limits.pod_security);
    let mut refused: Vec<Refused> = spec.servers.priority_classes.iter().filter_map(|class| class_beyond(class, owner)).collect();
    if spec.security.pod_security < limit {
        let (declared, limit) = (spec.security.pod_security, limit);
        refused.push(Refused {
            layer: Layer::Security,
            reason: Reason::BeyondLimits,
            message: format!(
                "podSecurity {declared:?} is less strict than {limit:?}, which spec.limits.podSecurity of District {district} asks for: {limit:?} is enforced"
            ),
            remedy: format!("write security.podSecurity: {limit:?}, or ask the city to change the limit"),
        });
    }
    refused
}

fn class_beyond(class: &PriorityClass, owner: Owner<'_>) -> Option<Refused> {
    let (PriorityClass { name, value }, district, most) = (class, owner.district, owner.limits.max_priority);
    let (why, remedy) = if !name.starts_with(&format!("{district}-")) {
        (format!("its name doesn't begin with {district}-, and it would be the whole site's"), format!("call it {district}-{name}"))
    } else if *value > most {
        let remedy = format!("write a value of at most {most}, or ask the city to change the limit");
        (format!("its value {value} is above {most}, which spec.limits.maxPriority of District {district} allows"), remedy)
    } else {
        return None;
    };
    Some(Refused { layer: Layer::Servers, reason: Reason::BeyondLimits, message: format!("PriorityClass {name} is not made: {why}"), remedy })
}

/// The priority classes that the District allows. They are the site's own; their names say whose they are. Their pods are scheduled before others and evict none: those
/// of other districts run on the same nodes.
pub fn priority_classes(spec: &PlatformSpec, owner: Owner<'_>) -> Vec<Document> {
    let one = |class: &PriorityClass| {
        owner.document(
            Layer::Servers,
            "scheduling.k8s.io/v1",
            "PriorityClass",
            &class.name,
            None,
            json!({"value": class.value, "preemptionPolicy": "Never", "description": "Kept by Platform 861"}),
        )
    };
    spec.servers.priority_classes.iter().filter(|class| class_beyond(class, owner).is_none()).map(one).collect()
}

/// The quota of a namespace, from its shares.
pub fn resource_quota(owner: Owner<'_>, layer: Layer, namespace: &str, hard: &Map<String, Value>) -> Document {
    let name = if layer == Layer::Storage { "p861-storage" } else { "p861-servers" };
    owner.document(layer, "v1", "ResourceQuota", name, Some(namespace), json!({"spec": {"hard": hard}}))
}
