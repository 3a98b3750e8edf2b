//! Enforces the desired objects on a site: creates missing ones, corrects drift, deletes unwanted ones. Objects without our label are never touched.

use super::inventory::resource;
use crate::{context::Context, controllers::is_allotted};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use p861_core::{
    ids::SiteName,
    platform::{
        desired::{Document, released_namespace},
        facts::Refused,
        pod_security::ENFORCE,
    },
    quantity::Quantity,
};
use p861_crds::{
    District, Reason,
    names::{DRILL_LABEL, PLATFORM_LABEL, PLATFORM_MANAGER},
};
use p861_runs::{
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    sites::list_selected,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Kinds that are enforced, and deleted when no longer desired.
const MANAGED_KINDS: [(&str, &str, &str, &str); 5] = [
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("", "v1", "ResourceQuota", "resourcequotas"),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses"),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
];

/// Applies a district's desired objects on a site.
pub struct Keeper<'a> {
    /// Shared by all controllers.
    pub context: &'a Context,
    /// The site's client.
    pub client: &'a Client,
    /// The site.
    pub site: &'a SiteName,
    /// The district.
    pub district: &'a District,
}

type Key = (String, String);

fn key(object: &Value) -> Key {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/metadata/namespace"), text("/metadata/name"))
}

impl Keeper<'_> {
    /// Makes our objects on the site match the documents. Refused objects are returned and don't block the others. `quotas` are our ResourceQuotas, just
    /// listed.
    pub async fn apply(
        &self,
        documents: &[Document],
        namespaces: &BTreeMap<String, BTreeMap<String, String>>,
        quotas: Vec<DynamicObject>,
    ) -> Result<Vec<Refused>> {
        let (mut refused, mut quotas) = (Vec::new(), Some(quotas));
        for (group, version, kind, plural) in MANAGED_KINDS {
            let resource = resource(group, version, kind, plural);
            let wanted: BTreeMap<Key, &Document> =
                documents.iter().filter(|document| document.object["kind"] == kind).map(|document| (key(&document.object), document)).collect();
            let listed = match quotas.take_if(|_| kind == "ResourceQuota") {
                Some(quotas) => quotas,
                None => self.ours(&resource).await?,
            };
            let mut there: BTreeMap<Key, DynamicObject> =
                listed.into_iter().map(|object| ((object.namespace().unwrap_or_default(), object.name_any()), object)).collect();
            for (key, document) in wanted {
                if let Err(error) = self.apply_one(&resource, &key, document, there.remove(&key)).await {
                    if matches!(error, Error::LeaseLost) {
                        return Err(error);
                    }
                    refused.push(refusal(document, kind, &key, &error));
                }
            }
            for (key, object) in there {
                self.remove(&resource, &key, &object, namespaces).await?;
            }
        }
        Ok(refused)
    }

    fn api(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        if namespace.is_empty() { Api::all_with(self.client.clone(), resource) } else { Api::namespaced_with(self.client.clone(), namespace, resource) }
    }

    async fn apply_one(&self, resource: &ApiResource, key: &Key, document: &Document, there: Option<DynamicObject>) -> Result<()> {
        let (namespace, name) = key;
        let api = self.api(resource, namespace);
        let what = || format!("keep {} {name} on {}", resource.kind, self.site);
        let internal = |error: serde_json::Error| Error::Internal(format!("{}: {error}", what()));
        let there = match there {
            Some(there) => Some(there),
            None => api.get_opt(name).await.context(what)?,
        };
        let Some(mut there) = there else {
            self.context.hub.leadership.ensure()?;
            let object: DynamicObject = serde_json::from_value(document.object.clone()).map_err(internal)?;
            return match api.create(&PostParams::default(), &object).await {
                // Created by somebody else meanwhile; the next reconcile looks at it.
                Err(error) if is_conflict(&error) => Ok(()),
                result => result.map(drop).context(what),
            };
        };
        let owner = there.labels().get(PLATFORM_LABEL).cloned();
        let as_wanted =
            ["spec", "value"].iter().all(|field| same(document.object.get(field).unwrap_or(&Value::Null), there.data.get(field).unwrap_or(&Value::Null)));
        if owner.as_deref() != Some(self.district.name_any().as_str()) {
            // A cluster-scoped object declared identically by two districts is not a conflict.
            if owner.is_some() && namespace.is_empty() && as_wanted {
                return Ok(());
            }
            return Err(Error::invalid(Reason::NotOurs, format!("{} {name} is there and not this Platform's: nothing was changed", resource.kind)));
        }
        let labelled = document
            .object
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .is_some_and(|labels| labels.iter().all(|(label, value)| there.labels().get(label).map(String::as_str) == value.as_str()));
        if as_wanted && labelled {
            return Ok(());
        }
        self.context.hub.leadership.ensure()?;
        for field in ["spec", "value", "description"] {
            if let Some(value) = document.object.get(field) {
                there.data[field] = value.clone();
            }
        }
        let labels: BTreeMap<String, String> =
            serde_json::from_value(document.object.pointer("/metadata/labels").cloned().unwrap_or_default()).map_err(internal)?;
        there.labels_mut().extend(labels);
        there.metadata.managed_fields = None;
        // Replace at the version that was read: additions to the spec are removed, and a concurrent change is a conflict for the next reconcile.
        match api.replace(name, &PostParams::default(), &there).await {
            Err(error) if is_conflict(&error) => return Ok(()),
            result => drop(result.context(what)?),
        }
        self.count_correction(&resource.kind);
        tracing::info!(site = %self.site, kind = resource.kind, namespace, name, "set right");
        Ok(())
    }

    /// Deletes an object of ours that is no longer desired, except in other districts' namespaces and in a drill's copy.
    async fn remove(&self, resource: &ApiResource, key: &Key, object: &DynamicObject, namespaces: &BTreeMap<String, BTreeMap<String, String>>) -> Result<()> {
        let (namespace, name) = key;
        let in_copy = namespaces.get(namespace).is_some_and(|labels| labels.contains_key(DRILL_LABEL));
        if !namespace.is_empty() && (in_copy || !is_allotted(self.district, namespace)) {
            return Ok(());
        }
        self.context.hub.leadership.ensure()?;
        let only_this = DeleteParams { preconditions: Some(kube::api::Preconditions { uid: object.uid(), resource_version: None }), ..DeleteParams::default() };
        match self.api(resource, namespace).delete(name, &only_this).await {
            Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
            result => result
                .map(|_| tracing::info!(site = %self.site, kind = resource.kind, namespace, name, "removed"))
                .context(|| format!("remove {} {name} on {}", resource.kind, self.site)),
        }
    }

    fn count_correction(&self, kind: &str) {
        self.context.runs.metrics.platform_corrections.with_label_values(&[self.district.hub_namespace(), self.site.as_str(), kind]).inc();
    }

    /// Applies our labels to namespaces, and removes them from namespaces that no application has any more. Other labels are left alone.
    pub async fn namespaces(&self, wanted: &[Document], seen: &BTreeMap<String, BTreeMap<String, String>>) -> Result<Vec<Refused>> {
        let api = Api::<k8s_openapi::api::core::v1::Namespace>::all(self.client.clone());
        let parameters = PatchParams::apply(PLATFORM_MANAGER).force();
        let mut refused = Vec::new();
        for document in wanted {
            let (_, name) = key(&document.object);
            let labels = document.object.pointer("/metadata/labels").and_then(Value::as_object);
            let before = seen.get(&name);
            if labels.into_iter().flatten().all(|(label, value)| before.and_then(|before| before.get(label)).map(String::as_str) == value.as_str()) {
                continue;
            }
            self.context.hub.leadership.ensure()?;
            match api.patch(&name, &parameters, &Patch::Apply(&document.object)).await.context(|| format!("label namespace {name} on {}", self.site)) {
                Ok(_) if before.is_some_and(|before| before.contains_key(PLATFORM_LABEL)) => self.count_correction("Namespace"),
                Ok(_) => {}
                Err(error) => refused.push(refusal(document, "Namespace", &(String::new(), name), &error)),
            }
        }
        for (name, labels) in seen {
            let ours = labels.get(PLATFORM_LABEL).is_some_and(|owner| *owner == self.district.name_any());
            if !ours || wanted.iter().any(|document| key(&document.object).1 == *name) || !is_allotted(self.district, name) {
                continue;
            }
            self.context.hub.leadership.ensure()?;
            let released = released_namespace(name, labels.get(ENFORCE).map(String::as_str));
            api.patch(name, &parameters, &Patch::Apply(released)).await.context(|| format!("take the labels of namespace {name} on {} back", self.site))?;
        }
        Ok(refused)
    }

    /// Objects of a kind with our label.
    async fn ours(&self, resource: &ApiResource) -> Result<Vec<DynamicObject>> {
        let ours = ListParams::default().labels(&format!("{PLATFORM_LABEL}={}", self.district.name_any()));
        let api = Api::<DynamicObject>::all_with(self.client.clone(), resource);
        list_selected(&api, ours, || format!("{} on {}", resource.plural, self.site)).await
    }

    /// Our ResourceQuotas on the site.
    pub async fn quotas(&self) -> Result<Vec<DynamicObject>> {
        self.ours(&resource("", "v1", "ResourceQuota", "resourcequotas")).await
    }
}

/// The API server's own count of quota usage, by namespace.
pub fn counted(quotas: &[DynamicObject]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut usage: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for quota in quotas {
        let used: BTreeMap<String, String> = quota.data.pointer("/status/used").cloned().and_then(|used| serde_json::from_value(used).ok()).unwrap_or_default();
        usage.entry(quota.namespace().unwrap_or_default()).or_default().extend(used);
    }
    usage
}

fn refusal(document: &Document, kind: &str, key: &Key, error: &Error) -> Refused {
    let (namespace, name) = key;
    let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    let remedy = if error.reason() == Reason::NotOurs {
        format!("delete or rename {kind} {name}{place}, or label it {PLATFORM_LABEL} to hand it over")
    } else {
        "upgrade chart p861 on the site, which has the rights; or correct the Platform".to_owned()
    };
    Refused { layer: document.layer, reason: error.reason(), message: format!("{kind} {name}{place}: {error}"), remedy }
}

/// Whether two values are equivalent: absent, null and empty are equal, and quantities are compared by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.keys().chain(y.keys()).all(|key| same(x.get(key).unwrap_or(&Value::Null), y.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(x), Value::Array(y)) if !x.is_empty() || !y.is_empty() => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::String(x), Value::String(y)) => x == y || matches!((Quantity::parse(x), Quantity::parse(y)), (Ok(x), Ok(y)) if x == y),
        (a, b) => a == b || (is_nothing(a) && is_nothing(b)),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_server_writes_differently_is_no_drift_and_what_somebody_adds_is() {
        let policy = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []});
        assert!(same(&policy, &json!({"podSelector": {}, "policyTypes": ["Ingress"]})));
        assert!(!same(&policy, &json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]})), "everything is let in");
        assert!(!same(&policy, &json!({"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Ingress"]})));
        assert!(!same(&policy, &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})));
        assert!(same(&json!({"hard": {"pods": "2000", "requests.memory": "1024Mi"}}), &json!({"hard": {"pods": "2k", "requests.memory": "1Gi"}})));
        assert!(!same(&json!({"hard": {"pods": "20"}}), &json!({"hard": {"pods": "21"}})));
        assert!(!same(&json!({"hard": {"pods": "20"}}), &json!({"hard": {"pods": "20", "services": "1"}})));
    }
}
