//! ConfigMaps that an object owns: journals, records, reports, lists, steps, samples.
//!
//! Rule: a ConfigMap that the operator makes for an object names that object as its controlling owner, so that the cluster removes it when the object goes: a run
//! that leaves the hub leaves nothing behind. They are made here and nowhere else; a test of the sources refuses others.

use crate::{
    context::Hub,
    error::{Error, ErrorContext as _, Result},
};
use k8s_openapi::{
    ByteString, NamespaceResourceScope,
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use p861_crds::names::FIELD_MANAGER;
use std::collections::BTreeMap;

/// What is in a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapContent {
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Texts by key.
    pub data: BTreeMap<String, String>,
    /// Bytes by key.
    pub binary_data: BTreeMap<String, ByteString>,
}

/// The owner of an object's ConfigMaps.
///
/// # Errors
/// If the object has no UID, that is, was not read from an API server.
pub fn owner_of<K: Resource<DynamicType = ()>>(object: &K) -> Result<OwnerReference> {
    object.controller_owner_ref(&()).ok_or_else(|| Error::Internal(format!("{} {} has no UID", K::kind(&()), object.name_any())))
}

/// An empty ConfigMap that goes with its owner.
pub fn owned_map(owner: &OwnerReference, name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.to_owned()), owner_references: Some(vec![owner.clone()]), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

/// Makes an object's ConfigMap, or sets all that we know of it.
///
/// # Errors
/// If this process doesn't lead, or the API server refuses.
pub async fn apply<K>(hub: &Hub, object: &K, name: &str, content: MapContent) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let mut map = owned_map(&owner_of(object)?, name);
    map.metadata.labels = content.labels;
    map.data = Some(content.data);
    map.binary_data = Some(content.binary_data).filter(|binary| !binary.is_empty());
    hub.leadership.ensure()?;
    let maps: Api<ConfigMap> = Api::namespaced(hub.client.clone(), &object.namespace().unwrap_or_default());
    maps.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(map)).await.context(|| format!("write ConfigMap {name}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::{Backup, Drill, MaintenanceTicket, Platform, RecoveryPlan, Restore};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn owner<K: Resource<DynamicType = ()> + DeserializeOwned>(kind: &str, spec: &Value) -> OwnerReference {
        let document =
            json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": "it", "namespace": "shinan", "uid": "u"}, "spec": spec});
        let object: K = serde_json::from_value(document).unwrap();
        owner_of(&object).unwrap()
    }

    #[test]
    fn fault_f8_a_config_map_of_every_kind_names_its_object_as_controlling_owner() {
        let ticket = json!({"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {}});
        for (kind, owner) in [
            ("Backup", owner::<Backup>("Backup", &json!({"applicationRef": {"name": "a"}}))),
            ("Restore", owner::<Restore>("Restore", &json!({"source": {"applicationRef": {"name": "a"}}}))),
            ("Drill", owner::<Drill>("Drill", &json!({"planRef": {"name": "p"}, "type": "Tabletop"}))),
            ("MaintenanceTicket", owner::<MaintenanceTicket>("MaintenanceTicket", &ticket)),
            ("RecoveryPlan", owner::<RecoveryPlan>("RecoveryPlan", &json!({"repositoryRef": {"name": "r"}, "groups": []}))),
            ("Platform", owner::<Platform>("Platform", &json!({}))),
        ] {
            let map = owned_map(&owner, "it-map");
            let owners = map.metadata.owner_references.unwrap();
            assert_eq!((owners.len(), owners[0].kind.as_str(), owners[0].uid.as_str(), owners[0].controller), (1, kind, "u", Some(true)));
            assert_eq!(map.metadata.name.as_deref(), Some("it-map"));
        }
    }

    #[test]
    fn an_object_that_no_api_server_has_owns_nothing() {
        assert!(owner_of(&Backup::new("it", serde_json::from_value(json!({"applicationRef": {"name": "a"}})).unwrap())).is_err());
    }
}
