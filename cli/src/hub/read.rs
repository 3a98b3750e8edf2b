//! Reads objects. An unreadable object of another version is reported, and does not hide the others.

use super::Hub;
use crate::{
    args,
    error::{Failure, Result},
    text::{self, Bilingual, Language},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};
use p861_core::runs::packed;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
    p861_crds::PlatformProfile => "profile",
    p861_crds::Platform => "platform",
    p861_crds::Application => "app",
    p861_crds::BackupRepository => "repository",
    p861_crds::BackupPolicy => "policy",
    p861_crds::Backup => "backup",
    p861_crds::Restore => "restore",
    p861_crds::RecoveryPlan => "plan",
    p861_crds::Drill => "drill",
    p861_crds::MaintenanceWindow => "window",
    p861_crds::ChangeTemplate => "template",
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
    /// All of them, whole: first those that could be read, in the same order.
    pub raw: Vec<Value>,
    /// Those that could not, with why.
    pub unreadable: Vec<Bilingual>,
}

impl<K: Kind> Listing<K> {
    /// Whether there are none, not even unreadable ones.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Keeps these of the readable ones, in this order, for people and programs alike. What is unreadable stays: it may be what is looked for.
    pub fn show(&mut self, chosen: Vec<K>) {
        let mut rest = self.raw.split_off(self.items.len().min(self.raw.len()));
        let mut by_name: BTreeMap<String, Value> = std::mem::take(&mut self.raw).into_iter().filter_map(|raw| Some((name_of(&raw)?.to_owned(), raw))).collect();
        self.raw = chosen.iter().filter_map(|item| by_name.remove(&item.name_any())).collect();
        self.raw.append(&mut rest);
        self.items = chosen;
    }

    /// Sorts the readable ones, for people and programs alike.
    pub fn sort_by_key<T: Ord>(&mut self, key: impl Fn(&K) -> T) {
        let mut items = self.items.clone();
        items.sort_by_key(key);
        self.show(items);
    }
}

/// The name of an object that could perhaps not be read.
pub fn name_of(raw: &Value) -> Option<&str> {
    raw.pointer("/metadata/name").and_then(Value::as_str)
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
        let mut rest = Vec::new();
        for object in objects.items {
            let raw = present(&object, &resource);
            match serde_json::from_value(raw.clone()) {
                Ok(item) => {
                    listing.items.push(item);
                    listing.raw.push(raw);
                }
                Err(error) => {
                    listing.unreadable.push(text::unreadable(K::NOUN, &object.name_any(), &error.to_string()));
                    rest.push(raw);
                }
            }
        }
        listing.raw.append(&mut rest);
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

    /// One object; a failure that says which was perhaps meant, and how to find its name, if it is not there.
    pub async fn get<K: Kind>(&self, namespace: Option<&str>, name: &str) -> Result<Read<K>> {
        if let Some(found) = self.find(namespace, name).await? {
            return Ok(found);
        }
        let names = self.known_names(&ApiResource::erase::<K>(&()), namespace).await;
        Err(Failure::refused(text::no_such_object(K::NOUN, name, namespace, &names, &self.lister::<K>(namespace))))
    }

    /// The command that lists a kind: a noun of ours, or kubectl where no noun lists it.
    fn lister<K: Kind>(&self, namespace: Option<&str>) -> String {
        let nouns = args::command(Language::En, false);
        if nouns.find_subcommand(K::NOUN).is_some_and(|noun| noun.find_subcommand("list").is_some()) {
            return format!("p861 {} list{}", K::NOUN, self.place());
        }
        let at = namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        format!("kubectl get {}{at}", K::plural(&()))
    }

    /// One object of the district.
    pub async fn get_here<K: Kind>(&self, name: &str) -> Result<Read<K>> {
        let namespace = self.namespace.clone();
        self.get(Some(&namespace), name).await
    }

    /// The keys of a ConfigMap of the district, packed ones unpacked; none if it is not there.
    pub async fn config_map(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = maps.get_opt(name).await.map_err(|error| self.explain(&error, &text::to_read("configmap", name)))?;
        Ok(found.map(texts))
    }
}

/// The texts of a ConfigMap by key. A key that can't be unpacked is left out: nothing that was written by the operator.
pub(super) fn texts(map: ConfigMap) -> BTreeMap<String, String> {
    let packed = map.binary_data.into_iter().flatten();
    let unpacked = packed.filter_map(|(key, bytes)| Some((key.strip_suffix(packed::SUFFIX)?.to_owned(), packed::unpack(&bytes.0).ok()?)));
    map.data.into_iter().flatten().chain(unpacked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn a_long_plan_is_read_from_where_it_is_packed() {
        let (plan, bytes) = ("{}".to_owned(), packed::pack("a long plan").expect("packed"));
        let map = ConfigMap {
            data: Some([("journal.jsonl".to_owned(), plan)].into()),
            binary_data: Some([("plan.json.gz".to_owned(), ByteString(bytes)), ("other.gz".to_owned(), ByteString(b"no gzip".to_vec()))].into()),
            ..ConfigMap::default()
        };
        let texts = texts(map);
        assert_eq!(texts.get("plan.json").map(String::as_str), Some("a long plan"));
        assert_eq!(texts.len(), 2);
    }
}
