//! Drift correction of components: objects that somebody changed or removed are restored to the *installed* version, not to the declared one, which only a
//! change may install.

use super::{ComponentLocks, Record, put_with_right, resource_of, rights::remove_leftover_rights};
use crate::{
    context::RunContext,
    error::{ErrorContext as _, Result},
    object_path::in_path,
};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _, api::DynamicObject};
use p861_core::{
    ids::SiteName,
    objects,
    platform::{
        bundle::{label, stamped},
        drift::{correct, differs},
    },
};
use p861_crds::{
    District,
    names::{COMPONENT_LABEL, COMPONENT_VERSION_ANNOTATION, DISTRICT_LABEL},
};
use serde_json::Value;

/// Restores objects that differ from the installed bundle. Returns objects that somebody keeps changing, which are left alone for a while.
///
/// # Errors
/// If the record or the site can't be read or written.
pub async fn correct_drift(context: &RunContext, district: &District, client: &Client, site: &SiteName, component: &str) -> Result<Vec<String>> {
    let (namespace, name) = (district.hub_namespace(), &district.name_any());
    let record = Record::of(&context.hub.client, namespace, component, site);
    let _turn = context.components.locks.turn(&record.key()).await;
    let installed = record.read("now").await?;
    // An incomplete installation belongs to its change.
    if !installed.complete {
        return Ok(Vec::new());
    }
    let mut drifted = Vec::new();
    for object in &installed.objects {
        let ours = stamped(object, &[(COMPONENT_LABEL, component), (DISTRICT_LABEL, name)], &[(COMPONENT_VERSION_ANNOTATION, &installed.version)]);
        let found = read_object(client, site, object).await?;
        if found.is_none_or(|found| differs(&ours, &found, &installed.objects)) {
            drifted.push(label(object));
        }
    }
    // Revoke rights that a crash or a cancelled pass left over. Safe, since we hold the lock.
    if context.components.locks.may_have_right(&record.key()) {
        remove_leftover_rights(client, site, component, district).await?;
        context.components.locks.note_no_right(&record.key());
    }
    if drifted.is_empty() || !context.components.locks.corrects(&record.key(), &drifted) {
        return Ok(drifted);
    }
    put_with_right(context, &record, client, site, name, &installed, &[]).await?;
    for what in &drifted {
        tracing::info!(%site, component, what, "set right");
        let kind = what.split(' ').next().unwrap_or_default();
        context.metrics.platform_corrections.with_label_values(&[namespace, site.as_str(), kind]).inc();
    }
    Ok(Vec::new())
}

impl ComponentLocks {
    /// Whether to correct this drift now. Remembers the correction, to recognise one that repeats.
    fn corrects(&self, record: &str, drifted: &[String]) -> bool {
        let mut corrections = self.corrections.lock();
        let next = correct(corrections.get(record), drifted, Timestamp::now());
        next.map(|next| corrections.insert(record.to_owned(), next)).is_some()
    }
}

async fn read_object(client: &Client, site: &SiteName, object: &Value) -> Result<Option<Value>> {
    let looked: Api<DynamicObject> = Api::namespaced_with(client.clone(), objects::namespace(object), &resource_of(object)?);
    let found = looked.get_opt(&in_path(objects::name(object))?).await.context(|| format!("read {} on {site}", label(object)))?;
    Ok(found.and_then(|found| serde_json::to_value(found).ok()))
}
