//! Installs a component of the base software from its bundle, or reverts it to the version before.
//!
//! Two ConfigMaps on the hub record the installed objects per site: `…-now`, written before anything is applied, and `…-before`, from which a revert works even
//! if the old bundle is gone. The operator has the right to write into the component's namespaces only for the duration of the step.

mod drift;
mod registry;
mod rights;

pub use drift::correct_drift;
pub use registry::BundleCache;

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{Error, ErrorContext as _, Result, is_not_found},
    hub::{district_of, labels_of_new_namespace},
    object_path::in_path,
    secrets::SecretsOf,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use p861_core::{
    engine::{Evidence, Failure},
    ids::SiteName,
    names,
    platform::{
        bundle::{self, label, left_behind, resource, stamped},
        district::takes_objects,
        drift::Correction,
    },
    runs::AllottedSite,
};
use p861_crds::platform::platform::Bundle;
use p861_crds::{
    Reason,
    names::{COMPONENT_LABEL, COMPONENT_VERSION_ANNOTATION, DISTRICT_LABEL, FIELD_MANAGER},
};
use parking_lot::Mutex;
use rights::{remove_leftover_rights, with_right};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

const RECORD_KEY: &str = "installed.json";

/// Installed objects of a component on a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Installed {
    /// Its version; empty if it is not installed.
    pub version: String,
    /// Digest of its bundle.
    pub digest: String,
    /// Whether everything of it was applied.
    pub complete: bool,
    /// Its objects, in the order in which they were written.
    pub objects: Vec<Value>,
}

/// Locks, one per component and site: a step of a change and drift correction must not write at the same time.
#[derive(Clone, Default)]
pub struct ComponentLocks {
    turns: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
    corrections: Arc<Mutex<HashMap<String, Correction>>>,
    /// Components on sites where certainly no write right is left over.
    without_right: Arc<Mutex<HashSet<String>>>,
}

impl ComponentLocks {
    /// Takes the component's lock, which is held until the guard is dropped.
    async fn turn(&self, record: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let place = self.turns.lock().entry(record.to_owned()).or_default().clone();
        place.lock_owned().await
    }

    /// Whether a write right may be left over from a former process or a cancelled pass.
    fn may_have_right(&self, record: &str) -> bool {
        !self.without_right.lock().contains(record)
    }

    fn note_right(&self, record: &str) {
        self.without_right.lock().remove(record);
    }

    fn note_no_right(&self, record: &str) {
        self.without_right.lock().insert(record.to_owned());
    }
}

/// The two ConfigMaps of a component on a site.
struct Record {
    hub: Client,
    namespace: String,
    component: String,
    name: String,
    labels: Value,
}

impl Record {
    /// For locks, which all districts of the process share: components of two districts may have one name.
    fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Record {
    fn of(hub: &Client, namespace: &str, component: &str, site: &SiteName) -> Self {
        let name = names::bounded(&format!("p861-component-{component}-{site}"), 240);
        Self { hub: hub.clone(), namespace: namespace.to_owned(), component: component.to_owned(), name, labels: json!({COMPONENT_LABEL: component}) }
    }

    async fn read(&self, which: &str) -> Result<Installed> {
        let name = format!("{}-{which}", self.name);
        let maps: Api<ConfigMap> = Api::namespaced(self.hub.clone(), &self.namespace);
        let Some(map) = maps.get_opt(&name).await.context(|| format!("read ConfigMap {name}"))? else { return Ok(Installed::default()) };
        let text = map.data.unwrap_or_default().remove(RECORD_KEY).unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| Error::invalid(Reason::RecordDamaged, format!("ConfigMap {name} can't be read: {error}")))
    }

    async fn store(&self, which: &str, installed: &Installed) -> Result<()> {
        let name = format!("{}-{which}", self.name);
        let text = serde_json::to_string(installed).map_err(|error| Error::Internal(format!("what is installed can't be written: {error}")))?;
        let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": self.labels}, "data": {RECORD_KEY: text}});
        let maps: Api<ConfigMap> = Api::namespaced(self.hub.clone(), &self.namespace);
        maps.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.context(|| format!("write ConfigMap {name}")).map(drop)
    }
}

/// Reads the record of a component on a site. Objects that somebody else installed are not in it.
///
/// # Errors
/// `RecordDamaged` if it can't be parsed; otherwise the hub's error.
pub async fn installed(hub: &Client, namespace: &str, component: &str, site: &SiteName) -> Result<Installed> {
    Record::of(hub, namespace, component, site).read("now").await
}

/// Component to install.
pub struct Wanted<'a> {
    /// The component.
    pub component: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Where its manifests are.
    pub bundle: &'a Bundle,
    /// The approved digest.
    pub digest: &'a str,
}

/// Installs a component, after recording the version before for a revert.
///
/// # Errors
/// If the bundle can't be read, or the site can't be reached or refuses an object. A bundle other than the approved one is an outcome.
pub async fn install(context: &RunContext, step_context: &StepContext, site: &AllottedSite, wanted: &Wanted<'_>) -> Result<EffectOutcome> {
    let namespace = &step_context.run.namespace;
    let record = Record::of(&context.hub.client, namespace, wanted.component, site);
    let _turn = context.components.locks.turn(&record.key()).await;
    let now = record.read("now").await?;
    let same = now.version == wanted.version && now.digest == wanted.digest;
    if same && now.complete {
        return Ok(EffectOutcome::done(Evidence::ComponentInstalled { version: now.version, objects: now.objects.len() as u64 }));
    }
    let target = if same {
        now
    } else {
        let district = district_of(&context.hub.client, namespace).await?;
        let files = files(context, &SecretsOf::run(&context.hub.client, &step_context.run), wanted.bundle).await?;
        let read = bundle::read(&files, |space| takes_objects(&district, space));
        let read = read.map_err(|error| Error::invalid(Reason::BundleRefused, format!("bundle {} of {}: {error}", wanted.bundle, wanted.component)))?;
        if read.digest != wanted.digest {
            let message = format!("bundle {} of {} is not the one that was agreed to: open another change", wanted.bundle, wanted.component);
            let evidence = Evidence::BundleChanged { digest: read.digest, approved: wanted.digest.to_owned() };
            return Ok(EffectOutcome::Failed(Failure::permanent(Reason::BundleChanged, message), Some(evidence)));
        }
        record.store("before", &now).await?;
        let target = Installed { version: wanted.version.into(), digest: read.digest, complete: false, objects: read.objects };
        record.store("now", &target).await?;
        target
    };
    let before = record.read("before").await?;
    let (version, objects) = put(context, step_context, site, &record, &before.objects, target).await?;
    Ok(EffectOutcome::done(Evidence::ComponentInstalled { version, objects }))
}

/// Ends a change: revokes leftover write rights. Waits for the lock, so that it doesn't revoke the right of a drift correction in progress.
///
/// # Errors
/// If the site can't be reached, or the right can't be revoked.
pub async fn end(context: &RunContext, step_context: &StepContext, site: &AllottedSite, component: &str) -> Result<EffectOutcome> {
    let record = Record::of(&context.hub.client, &step_context.run.namespace, component, site);
    let _turn = context.components.locks.turn(&record.key()).await;
    let district = district_of(&context.hub.client, &step_context.run.namespace).await?;
    let left = remove_leftover_rights(&context.sites.client(site).await?, site, component, &district).await?;
    context.components.locks.note_no_right(&record.key());
    Ok(EffectOutcome::done(Evidence::RightsRevoked { namespaces: left.into_iter().collect() }))
}

/// Reverts to the version before `version`, or removes the component if there was none. Does nothing if `version` was never begun.
///
/// # Errors
/// If the record can't be read, or if the site can't be reached or refuses an object.
pub async fn revert(context: &RunContext, step_context: &StepContext, site: &AllottedSite, component: &str, version: &str) -> Result<EffectOutcome> {
    let record = Record::of(&context.hub.client, &step_context.run.namespace, component, site);
    let _turn = context.components.locks.turn(&record.key()).await;
    let (now, before) = (record.read("now").await?, record.read("before").await?);
    if now.version != version {
        return Ok(EffectOutcome::done(Evidence::RevertUnneeded { version: now.version }));
    }
    let left = now.objects.clone();
    let (version, objects) = put(context, step_context, site, &record, &left, Installed { complete: false, ..before }).await?;
    Ok(EffectOutcome::done(Evidence::ComponentReverted { version, objects }))
}

/// Applies the wanted objects, deletes those that only `other` had, and records completion. Returns version and number of objects.
async fn put(
    context: &RunContext,
    step_context: &StepContext,
    site: &AllottedSite,
    record: &Record,
    other: &[Value],
    wanted: Installed,
) -> Result<(String, u64)> {
    let client = context.sites.client(site).await?;
    let district = district_of(&context.hub.client, &step_context.run.namespace).await?.name_any();
    put_with_right(context, record, &client, site, &district, &wanted, other).await?;
    let (version, objects) = (wanted.version.clone(), wanted.objects.len() as u64);
    // Recorded last: an incomplete installation must not count as installed.
    record.store("now", &Installed { complete: true, ..wanted }).await?;
    Ok((version, objects))
}

/// Writes with a temporary right, which is revoked afterwards.
async fn put_with_right(
    context: &RunContext,
    record: &Record,
    client: &Client,
    site: &SiteName,
    district: &str,
    wanted: &Installed,
    other: &[Value],
) -> Result<()> {
    let spaces: BTreeSet<String> = wanted.objects.iter().chain(other).map(|object| p861_core::objects::namespace(object).to_owned()).collect();
    context.components.locks.note_right(&record.key());
    let component = &record.component;
    let labels = labels_of_new_namespace(&context.hub.client, &record.namespace, district).await?;
    with_right(client, site, &spaces, &labels, component, || write(client, site, component, district, wanted, other)).await?;
    context.components.locks.note_no_right(&record.key());
    Ok(())
}

/// The files of a bundle: from a registry, with those of the Secrets that it may name, or from a ConfigMap of their namespace.
async fn files(context: &RunContext, secrets: &SecretsOf, bundle: &Bundle) -> Result<BTreeMap<String, String>> {
    let namespace = secrets.namespace();
    let name = match bundle {
        Bundle { oci: Some(oci), .. } => return context.components.bundles.files(secrets, oci).await,
        Bundle { config_map_ref: Some(map), .. } => &map.name,
        Bundle { .. } => return Err(Error::invalid(Reason::BundleMissing, "the component's bundle names neither an image nor a ConfigMap")),
    };
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), namespace);
    let map = maps.get_opt(&in_path(name)?).await.context(|| format!("read ConfigMap {name}"))?;
    let missing = || Error::invalid(Reason::BundleMissing, format!("ConfigMap {namespace}/{name} doesn't exist: put the component's manifests in it"));
    Ok(map.ok_or_else(missing)?.data.unwrap_or_default())
}

/// The bundle of a component, for compiling. `secrets` are those of its district.
///
/// # Errors
/// If the bundle can't be read; `BundleRefused` if it can't be applied.
pub async fn bundle_of(context: &RunContext, secrets: &SecretsOf, source: &Bundle, allotted: impl Fn(&str) -> bool) -> Result<bundle::Bundle> {
    let files = files(context, secrets, source).await?;
    bundle::read(&files, allotted).map_err(|error| Error::invalid(Reason::BundleRefused, format!("bundle {source}: {error}")))
}

async fn write(client: &Client, site: &SiteName, component: &str, district: &str, wanted: &Installed, other: &[Value]) -> Result<()> {
    for object in &wanted.objects {
        let labels = [(COMPONENT_LABEL, component), (DISTRICT_LABEL, district)];
        let ours = stamped(object, &labels, &[(COMPONENT_VERSION_ANNOTATION, &wanted.version)]);
        let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), p861_core::objects::namespace(object), &resource_of(object)?);
        let name = p861_core::objects::name(object);
        let there = objects.get_opt(&in_path(name)?).await.context(|| format!("read {} on {site}", label(object)))?;
        if let Some(there) = there
            && there.labels().get(COMPONENT_LABEL).map(String::as_str) != Some(component)
        {
            return Err(Error::invalid(
                Reason::NotOurs,
                format!(
                    "{} is on {site} already and not of component {component}: nothing of it was changed; delete it, or label it {COMPONENT_LABEL}={component}",
                    label(object)
                ),
            ));
        }
        objects
            .patch(&in_path(name)?, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(ours))
            .await
            .context(|| format!("apply {} on {site}", label(object)))?;
    }
    for object in left_behind(other, &wanted.objects) {
        let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), p861_core::objects::namespace(object), &resource_of(object)?);
        match objects.delete(&in_path(p861_core::objects::name(object))?, &DeleteParams::background()).await {
            Err(error) if !is_not_found(&error) => return Err(error).context(|| format!("remove {} from {site}", label(object))),
            _ => {}
        }
    }
    Ok(())
}

fn resource_of(object: &Value) -> Result<ApiResource> {
    let (group, version, kind, plural) = resource(object).ok_or_else(|| Error::Internal(format!("{} is of a kind that no bundle may hold", label(object))))?;
    Ok(ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::client::Body;

    #[tokio::test]
    async fn fault_e33_components_of_two_districts_with_one_name_wait_for_each_other_nowhere() {
        let server = tower::service_fn(|_: http::Request<Body>| std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))));
        let (hub, site) = (Client::new(server, "default"), SiteName::from("home"));
        let record = |namespace: &str| Record::of(&hub, namespace, "ingress-nginx", &site);
        let (locks, one, other) = (ComponentLocks::default(), record("shinan"), record("licang"));
        let held = locks.turn(&one.key()).await;
        drop(tokio::time::timeout(std::time::Duration::from_secs(10), locks.turn(&other.key())).await.expect("it is free"));
        drop(held);
        locks.note_no_right(&one.key());
        assert!(!locks.may_have_right(&one.key()) && locks.may_have_right(&other.key()));
        assert_eq!(one.name, other.name, "the ConfigMaps are apart by their namespaces");
    }
}
