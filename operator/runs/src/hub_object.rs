//! Objects of the hub as the operator keeps them in memory: without what only servers and kubectl need, and of each namespace no more than a budget.
//!
//! The budget is by construction: each object in memory holds a charge, which it gives back when it is dropped. One that its namespace's budget has no room for is
//! kept by its name only, as one that can't be read, and says so in its condition.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::error_boundary::InvalidObject};
use parking_lot::Mutex;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock},
};

/// Bytes of one namespace's objects in memory, of all kinds and of those that are read besides, as [`weight`] counts them. A district of 400 applications with
/// twelve ended backups of each takes about half of it.
pub const MAX_NAMESPACE_BYTES: usize = 64 << 20;
/// Labels and annotations with other prefixes mean nothing to the operator.
const OWN_PREFIX: &str = "platform861.io/";
/// Bytes that a value takes beside its text, roughly.
const VALUE_OVERHEAD: usize = 24;

/// Under which the bytes of all namespaces that are nobody's are counted together: no namespace can be called so.
const NOBODYS: &str = "*";

/// Bytes in memory by namespace; those of [`NOBODYS`] together, and those of what is in no namespace (districts, sites) under an empty name.
static CHARGED: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);
/// Namespaces on the hub of districts, and the city's.
static HUB_NAMESPACES: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// These namespaces are districts' on the hub, or the city's: each has a budget of its own from now on. All others share one, since whoever may restore can make as many
/// namespaces as he likes where the hub is a site.
pub fn note_hub_namespaces(namespaces: impl IntoIterator<Item = String>) {
    HUB_NAMESPACES.lock().extend(namespaces);
}

/// Whose budget holds for a namespace. What is in none has one of its own: only the city declares that, and nobody else's objects may drive it out.
fn payer(namespace: &str) -> &str {
    if namespace.is_empty() || HUB_NAMESPACES.lock().contains(namespace) { namespace } else { NOBODYS }
}

/// An object of the hub, or why it can't be read or kept.
#[derive(Clone, Debug)]
pub struct HubObject<K> {
    /// The object.
    pub object: Result<K, InvalidObject>,
    /// Clones share it.
    _charge: Option<Arc<Charge>>,
}

/// Bytes that an object takes of its namespace's budget.
#[derive(Debug)]
struct Charge {
    namespace: String,
    bytes: usize,
}

impl Charge {
    /// Charges the namespace; none if its budget has no room.
    fn new(namespace: &str, bytes: usize, budget: usize) -> Option<Self> {
        let mut all = CHARGED.lock();
        let charged = all.entry(namespace.to_owned()).or_default();
        if *charged + bytes > budget {
            return None;
        }
        *charged += bytes;
        Some(Self { namespace: namespace.to_owned(), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut all = CHARGED.lock();
        if let Some(charged) = all.get_mut(&self.namespace) {
            *charged = charged.saturating_sub(self.bytes);
            if *charged == 0 {
                all.remove(&self.namespace);
            }
        }
    }
}

/// Takes off what the operator has no use for: `managedFields` alone is several times as large as the object.
fn strip(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    for field in ["labels", "annotations"] {
        if let Some(texts) = metadata.get_mut(field).and_then(Value::as_object_mut) {
            texts.retain(|key, _| key.starts_with(OWN_PREFIX));
        }
    }
}

/// Roughly how many bytes a value takes in memory.
pub fn weight(value: &Value) -> usize {
    VALUE_OVERHEAD
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(map) => map.iter().map(|(key, value)| key.len() + VALUE_OVERHEAD + weight(value)).sum(),
        }
}

/// What is kept of an object that can't be: enough to name it and to write its condition.
fn named_only(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        generation: metadata.generation,
        resource_version: metadata.resource_version,
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    }
}

/// An object of a list that is read once and dropped: no budget holds for it, since a list with a gap decides wrongly.
pub(crate) struct Listed<K>(pub(crate) Result<K, InvalidObject>);

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Listed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        strip(&mut value);
        typed(&value).map(Self).map_err(D::Error::custom)
    }
}

fn metadata_of(value: &Value) -> Result<ObjectMeta, serde_json::Error> {
    value.get("metadata").map_or_else(|| Ok(ObjectMeta::default()), ObjectMeta::deserialize)
}

fn invalid(value: &Value, error: String) -> Result<InvalidObject, serde_json::Error> {
    Ok(InvalidObject { error, metadata: named_only(metadata_of(value)?) })
}

fn typed<K: Resource + DeserializeOwned>(value: &Value) -> Result<Result<K, InvalidObject>, serde_json::Error> {
    match K::deserialize(value) {
        Ok(object) => Ok(Ok(object)),
        Err(error) => invalid(value, error.to_string()).map(Err),
    }
}

impl<K: Resource + DeserializeOwned> HubObject<K> {
    fn read(mut value: Value, budget: usize) -> Result<Self, serde_json::Error> {
        strip(&mut value);
        let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let payer = payer(namespace);
        let Some(charge) = Charge::new(payer, weight(&value), budget) else {
            let whose = match payer {
                NOBODYS => format!("all namespaces that are no district's, of which {namespace} is one,"),
                "" => "the whole cluster".to_owned(),
                own => format!("namespace {own}"),
            };
            let error = format!(
                "the objects of {whose} take more than {} MiB of the operator's memory, and this one has no room. Delete objects that nobody needs, or \
                 shorten them; this one is read again when it changes",
                budget >> 20
            );
            return Ok(Self { object: Err(invalid(&value, error)?), _charge: None });
        };
        let object = typed(&value)?;
        let charge = object.is_ok().then(|| Arc::new(charge));
        Ok(Self { object, _charge: charge })
    }
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for HubObject<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(deserializer)?, MAX_NAMESPACE_BYTES).map_err(D::Error::custom)
    }
}

impl<K: Resource> Resource for HubObject<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.as_ref().map_or_else(|invalid| &invalid.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.as_mut().map_or_else(|invalid| &mut invalid.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::{Backup, District};
    use serde_json::json;

    fn backup(namespace: &str, name: &str, application: &str) -> Value {
        let fields = json!({"f:status": {"f:conditions": {"k:{\"type\":\"Succeeded\"}": {".": {}, "f:status": {}}}}});
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "spec": {"applicationRef": {"name": application}},
            "metadata": {"name": name, "namespace": namespace, "uid": "u", "finalizers": ["platform861.io/clean-up"],
                "managedFields": [{"manager": "p861-operator", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}],
                "labels": {"platform861.io/keep": "true", "team": "x".repeat(63)},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "platform861.io/keep": "true"}}})
    }

    fn charged(namespace: &str) -> usize {
        CHARGED.lock().get(namespace).copied().unwrap_or_default()
    }

    #[test]
    fn fault_e10_scale_an_object_in_memory_has_nothing_that_only_servers_and_kubectl_need() {
        let read: HubObject<Backup> = serde_json::from_value(backup("stripped", "b", "portal")).unwrap();
        let kept = read.object.clone().unwrap();
        assert_eq!(kept.metadata.managed_fields, None);
        let ours = [("platform861.io/keep".to_owned(), "true".to_owned())];
        assert_eq!((kept.metadata.labels, kept.metadata.annotations), (Some(ours.clone().into()), Some(ours.into())));
        assert_eq!(kept.metadata.finalizers.as_deref(), Some(["platform861.io/clean-up".to_owned()].as_slice()), "these say that a run is held");
        assert_eq!(kept.spec.application_ref.name, "portal");
    }

    #[test]
    fn fault_e10_scale_the_objects_of_a_namespace_have_a_budget_and_another_namespace_has_its_own() {
        note_hub_namespaces(["greedy", "modest"].map(str::to_owned));
        let read = |namespace: &str, name: &str| HubObject::<Backup>::read(backup(namespace, name, "portal"), 2_000).unwrap();
        let mut kept = Vec::new();
        while let one = read("greedy", &format!("b{}", kept.len()))
            && one.object.is_ok()
        {
            kept.push(one);
        }
        assert!(kept.len() > 1 && charged("greedy") <= 2_000, "{} of {} bytes", kept.len(), charged("greedy"));
        let refused = read("greedy", "one-more");
        assert_eq!(refused.meta().name.as_deref(), Some("one-more"));
        let told = refused.object.unwrap_err();
        assert!(told.error.contains("the objects of namespace greedy take more than"), "{}", told.error);
        assert_eq!((told.metadata.labels, told.metadata.finalizers), (None, None), "nothing of it stays but its name");
        assert!(read("modest", "b").object.is_ok());
        drop(kept.pop());
        assert!(read("greedy", "one-more").object.is_ok(), "there is room again");
        drop(kept);
        assert_eq!((charged("greedy"), charged("modest")), (0, 0), "what is dropped is given back");
        let (first, second) = (read("greedy", "b"), read("greedy", "b").clone());
        drop(first);
        assert!(charged("greedy") > 0, "a clone is charged as long as it lives");
        drop(second);
        assert_eq!(charged("greedy"), 0);
    }

    #[test]
    fn fault_e42_namespaces_that_are_nobodys_share_one_budget_however_many_they_are() {
        let read = |number: usize| HubObject::<Backup>::read(backup(&format!("made-up-{number}"), "b", "portal"), 4_000).unwrap();
        let mut kept = Vec::new();
        while let one = read(kept.len())
            && one.object.is_ok()
        {
            kept.push(one);
            assert!(kept.len() < 100, "each has a budget of its own");
        }
        let told = read(kept.len()).object.unwrap_err();
        assert!(told.error.contains("the objects of all namespaces that are no district's, of which made-up-"), "{}", told.error);
        note_hub_namespaces(["made-up-100".to_owned()]);
        assert!(read(100).object.is_ok(), "a district's is its own");
        let district = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan", "uid": "u"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "a"}, "role": "Primary"}]}});
        assert!(HubObject::<District>::read(district, 4_000).unwrap().object.is_ok(), "nobody's objects drive out no District");
    }

    #[test]
    fn an_object_that_cannot_be_read_keeps_its_name_and_says_why() {
        let mut wrong = backup("unreadable", "b", "portal");
        wrong["spec"]["applicationRef"] = json!("portal");
        let read: HubObject<Backup> = serde_json::from_value(wrong).unwrap();
        assert_eq!((read.meta().name.as_deref(), read.meta().uid.as_deref()), (Some("b"), Some("u")));
        assert!(read.object.is_err());
    }
}
