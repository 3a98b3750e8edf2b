//! What is installed of a component stays as its bundle had it: what was changed or removed by another hand is put back, at the version that is installed and not
//! at the one that is declared.

use super::{ComponentLocks, Record, put_with_right, resource_of, rights::remove_leftover_rights};
use crate::{
    context::RunContext,
    error::{Result, Tried as _},
};
use jiff::Timestamp;
use kube::{Api, Client, api::DynamicObject};
use p861_core::{
    objects,
    platform::{
        bundle::{label, stamped},
        drift::{correct, differs},
    },
};
use p861_crds::names::{COMPONENT_LABEL, COMPONENT_VERSION_ANNOTATION, DISTRICT_LABEL};
use serde_json::Value;
use std::sync::PoisonError;

/// Puts back what differs from the bundle that is installed. Returns what is changed again and again by another hand.
pub async fn correct_drift(context: &RunContext, namespace: &str, district: &str, client: &Client, site: &str, component: &str) -> Result<Vec<String>> {
    let record = Record::of(&context.hub.client, namespace, component, site);
    let _turn = context.components.locks.turn(&record.name).await;
    let installed = record.read("now").await?;
    // One that is just being installed, or was left half way, is its change's.
    if !installed.complete {
        return Ok(Vec::new());
    }
    let mut drifted = Vec::new();
    for object in &installed.objects {
        let ours = stamped(object, &[(COMPONENT_LABEL, component), (DISTRICT_LABEL, district)], &[(COMPONENT_VERSION_ANNOTATION, &installed.version)]);
        let found = read_object(client, site, object).await?;
        if found.is_none_or(|found| differs(&ours, &found, &installed.objects)) {
            drifted.push(label(object));
        }
    }
    // A right that a crash, or a pass that was given up, has left is taken back before anything else. Nobody else has one: it is our turn.
    if context.components.locks.may_have_right(&record.name) {
        remove_leftover_rights(client, site, component).await?;
        context.components.locks.note_no_right(&record.name);
    }
    if drifted.is_empty() || !context.components.locks.corrects(&record.name, &drifted) {
        return Ok(drifted);
    }
    put_with_right(context, &record, client, site, district, &installed, &[]).await?;
    for what in &drifted {
        tracing::info!(site, component, what, "set right");
        let kind = what.split(' ').next().unwrap_or_default();
        context.metrics.platform_corrections.with_label_values(&[namespace, site, kind]).inc();
    }
    Ok(Vec::new())
}

impl ComponentLocks {
    /// Whether what has drifted is to be put back now; if it is, that is remembered.
    fn corrects(&self, record: &str, drifted: &[String]) -> bool {
        let mut corrections = self.corrections.lock().unwrap_or_else(PoisonError::into_inner);
        let next = correct(corrections.get(record), drifted, Timestamp::now());
        next.map(|next| corrections.insert(record.to_owned(), next)).is_some()
    }
}

async fn read_object(client: &Client, site: &str, object: &Value) -> Result<Option<Value>> {
    let looked: Api<DynamicObject> = Api::namespaced_with(client.clone(), objects::namespace(object), &resource_of(object)?);
    let found = looked.get_opt(objects::name(object)).await.tried(|| format!("read {} on {site}", label(object)))?;
    Ok(found.and_then(|found| serde_json::to_value(found).ok()))
}
