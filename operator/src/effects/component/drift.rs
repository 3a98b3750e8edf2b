//! What is installed of a component stays as its bundle had it: what was changed or removed by another hand is put back, at the version that is installed and not
//! at the one that is declared.

use super::{Installing, Record, resource_of, spaces_of, with_right, write};
use crate::{
    context::Context,
    error::{Result, Tried as _},
};
use kube::{Api, Client, api::DynamicObject};
use p861_core::{
    objects,
    platform::{
        bundle::{label, stamped},
        drift::differs,
    },
};
use p861_crds::names::{COMPONENT_LABEL, COMPONENT_VERSION_ANNOTATION, DISTRICT_LABEL};
use serde_json::Value;
use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

/// What is put back so often, and differs again, is another hand's steady work: it is put back no sooner than after so long, and people are told.
const OFTEN: u32 = 3;
const LONG: Duration = Duration::from_mins(10);

/// Puts back what differs from the bundle that is installed. Returns what is changed again and again by another hand.
pub async fn keep(context: &Context, namespace: &str, district: &str, client: &Client, site: &str, component: &str) -> Result<Vec<String>> {
    let record = Record::of(&context.client, namespace, component, site);
    let _turn = context.installing.turn(&record.name).await;
    let installed = record.read("now").await?;
    // One that is just being installed, or was left half way, is its change's.
    if !installed.complete {
        return Ok(Vec::new());
    }
    let mut drifted = Vec::new();
    for object in &installed.objects {
        let ours = stamped(object, &[(COMPONENT_LABEL, component), (DISTRICT_LABEL, district)], &[(COMPONENT_VERSION_ANNOTATION, &installed.version)]);
        let found = seen(client, site, object).await?;
        if found.is_none_or(|found| differs(&ours, &found, &installed.objects)) {
            drifted.push(label(object));
        }
    }
    if drifted.is_empty() {
        return Ok(drifted);
    }
    if context.installing.often(&record.name, &drifted) {
        return Ok(drifted);
    }
    let spaces = spaces_of(installed.objects.iter());
    with_right(client, site, &spaces, district, component, || write(client, site, component, district, &installed, &[])).await?;
    for what in &drifted {
        tracing::info!(site, component, what, "set right");
        let kind = what.split(' ').next().unwrap_or_default();
        context.metrics.platform_corrections.with_label_values(&[namespace, site, kind]).inc();
    }
    Ok(Vec::new())
}

impl Installing {
    /// Whether the same was put back often, and just now; else it is noted that it is.
    fn often(&self, record: &str, drifted: &[String]) -> bool {
        let mut corrections = self.corrections.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, since) = match corrections.get(record) {
            Some((what, times, since)) if what == drifted && since.elapsed() < LONG => (*times, *since),
            _ => (0, Instant::now()),
        };
        if times >= OFTEN {
            return true;
        }
        corrections.insert(record.to_owned(), (drifted.to_vec(), times + 1, since));
        false
    }
}

async fn seen(client: &Client, site: &str, object: &Value) -> Result<Option<Value>> {
    let looked: Api<DynamicObject> = Api::namespaced_with(client.clone(), objects::namespace(object), &resource_of(object)?);
    let found = looked.get_opt(objects::name(object)).await.tried(|| format!("read {} on {site}", label(object)))?;
    Ok(found.and_then(|found| serde_json::to_value(found).ok()))
}
