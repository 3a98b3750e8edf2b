//! What quotas of the namespaces count. The API server charges a creation before it looks whether the name is taken, and what was charged for one that it then refuses
//! stays so until the quota is counted anew, minutes later: others are refused meanwhile. So what is counted is created only where it is known to be missing.

use crate::{asking::ask, movers::work::WorkError};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api, Client,
    api::{ApiResource, ListParams},
};
use p861_core::objects::{self, Pace};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// The resources that are counted in a namespace; none if that can't be read: then anything may be.
type Counted = Option<BTreeSet<String>>;

/// What is counted, by namespace.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<String, Counted>>);

impl Quotas {
    /// Asks for the quotas of the namespaces.
    pub(super) async fn read(client: &Client, pace: &Mutex<Pace>, namespaces: BTreeSet<String>) -> Result<Self, WorkError> {
        let (mut found, every) = (HashMap::new(), ListParams::default());
        for namespace in namespaces {
            let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), &namespace);
            let listed = ask(pace, || format!("list the quotas of {namespace}"), || quotas.list(&every)).await?;
            let keys = |quota: ResourceQuota| quota.spec.and_then(|spec| spec.hard).unwrap_or_default().into_keys();
            let counted = match listed {
                Ok(listed) => Some(listed.items.into_iter().flat_map(keys).collect()),
                Err(status) if status.code == 404 => Some(BTreeSet::new()),
                Err(_) => None,
            };
            found.insert(namespace, counted);
        }
        Ok(Self(Mutex::new(found)))
    }

    /// Whether the object is counted where it will be. A quota that is written counts from now on.
    pub(super) fn charge(&self, object: &Value, resource: &ApiResource) -> bool {
        let mut quotas = self.0.lock();
        let Some(counted) = quotas.entry(objects::namespace(object).to_owned()).or_insert_with(|| Some(BTreeSet::new())) else { return true };
        let is_charged = counted.iter().any(|counted| objects::is_charged(counted, &resource.group, &resource.plural));
        if (resource.group.as_str(), resource.kind.as_str()) == ("", "ResourceQuota") {
            let hard = object.pointer("/spec/hard").and_then(Value::as_object);
            counted.extend(hard.into_iter().flat_map(|hard| hard.keys().cloned()));
        }
        is_charged
    }

    #[cfg(test)]
    pub(super) fn of(namespace: &str, counted: Option<&[&str]>) -> Self {
        let counted = counted.map(|counted| counted.iter().map(|key| (*key).to_owned()).collect());
        Self(Mutex::new(HashMap::from([(namespace.to_owned(), counted)])))
    }
}
