//! Reading objects. One that an older version left unreadable is reported and hides no other.

use super::Hub;
use crate::{
    error::{Failure, Result},
    text::{self, Bilingual},
};
use kube::{
    Api, ResourceExt as _,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A kind that is read from the hub.
pub trait Kind: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The command line's word for it, for example `drill`.
    const NOUN: &'static str;
}

macro_rules! kinds {
    ($($kind:ty => $noun:literal),* $(,)?) => { $(impl Kind for $kind { const NOUN: &'static str = $noun; })* };
}

kinds! {
    p861_crds::Site => "site",
    p861_crds::District => "district",
    p861_crds::Application => "app",
    p861_crds::BackupRepository => "repository",
    p861_crds::Backup => "backup",
    p861_crds::Restore => "restore",
    p861_crds::RecoveryPlan => "plan",
    p861_crds::Drill => "drill",
    p861_crds::MaintenanceWindow => "window",
    p861_crds::MaintenanceTicket => "ticket",
    p861_crds::Approval => "approval",
    p861_crds::DutyRoster => "duty",
}

/// An object, typed and as the API server gave it.
#[derive(Clone, Debug)]
pub struct Read<K> {
    /// Typed, for people's pages.
    pub object: K,
    /// Whole, for programs.
    pub raw: Value,
}

/// Objects of a kind.
#[derive(Clone, Debug)]
pub struct Listing<K> {
    /// Those that could be read.
    pub items: Vec<K>,
    /// All of them, whole.
    pub raw: Vec<Value>,
    /// Those that could not, with why.
    pub unreadable: Vec<Bilingual>,
}

/// An object as a value, with its kind, without what only servers want to know.
pub fn present(object: &DynamicObject, resource: &ApiResource) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), json!(resource.api_version));
        map.insert("kind".into(), json!(resource.kind));
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    value
}

impl Hub {
    /// An API of a kind, untyped, so that one unreadable object spoils no list.
    pub fn api<K: Kind>(&self, namespace: Option<&str>) -> (Api<DynamicObject>, ApiResource) {
        let resource = ApiResource::erase::<K>(&());
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        (api, resource)
    }

    /// Objects of a kind: of a namespace, or cluster-scoped ones. `fields` is a field selector.
    pub async fn list<K: Kind>(&self, namespace: Option<&str>, fields: &str) -> Result<Listing<K>> {
        let (api, resource) = self.api::<K>(namespace);
        let params = if fields.is_empty() { ListParams::default() } else { ListParams::default().fields(fields) };
        let objects = api.list(&params).await.map_err(|error| self.explain(&error, &text::to_list(&resource.plural, namespace)))?;
        let mut listing = Listing { items: Vec::new(), raw: Vec::new(), unreadable: Vec::new() };
        for object in objects.items {
            let raw = present(&object, &resource);
            match serde_json::from_value(raw.clone()) {
                Ok(item) => listing.items.push(item),
                Err(error) => listing.unreadable.push(text::unreadable(K::NOUN, &object.name_any(), &error.to_string())),
            }
            listing.raw.push(raw);
        }
        Ok(listing)
    }

    /// Objects of a kind in the district.
    pub async fn list_here<K: Kind>(&self, fields: &str) -> Result<Listing<K>> {
        let namespace = self.namespace.clone();
        self.list(Some(&namespace), fields).await
    }

    /// One object, or none if it is not there.
    pub async fn find<K: Kind>(&self, namespace: Option<&str>, name: &str) -> Result<Option<Read<K>>> {
        let (api, resource) = self.api::<K>(namespace);
        let found = api.get_opt(name).await.map_err(|error| self.explain(&error, &text::to_read(K::NOUN, name)))?;
        found
            .map(|object| {
                let raw = present(&object, &resource);
                let object = serde_json::from_value(raw.clone()).map_err(|error| Failure::unexpected(text::unreadable(K::NOUN, name, &error.to_string())))?;
                Ok(Read { object, raw })
            })
            .transpose()
    }

    /// One object; a failure that says how to find its name if it is not there.
    pub async fn get<K: Kind>(&self, namespace: Option<&str>, name: &str) -> Result<Read<K>> {
        match self.find(namespace, name).await? {
            Some(found) => Ok(found),
            None => Err(Failure::refused(text::no_such_object(K::NOUN, name, namespace, &if namespace.is_some() { self.place() } else { String::new() }))),
        }
    }

    /// One object of the district.
    pub async fn get_here<K: Kind>(&self, name: &str) -> Result<Read<K>> {
        let namespace = self.namespace.clone();
        self.get(Some(&namespace), name).await
    }

    /// The keys of a ConfigMap of the district; none if it is not there.
    pub async fn config_map(&self, name: &str) -> Result<Option<std::collections::BTreeMap<String, String>>> {
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = maps.get_opt(name).await.map_err(|error| self.explain(&error, &text::to_read("configmap", name)))?;
        Ok(found.map(|map| map.data.unwrap_or_default()))
    }
}
