//! Looks for the alerts of tickets in the Alertmanagers they came from: the end of one that was silenced is told to nobody.

use crate::context::Context;
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use p861_core::maintenance::unheard::{Absences, Burning, SETTLES, burning, ended};
use p861_crds::{MaintenanceTicket, Site};
use p861_runs::status::apply_status_if_unchanged;
use p861_runs::{
    alertmanager::Alertmanager,
    error::{Result, Tried as _},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(20);

/// A ticket with alerts that fire.
struct Open {
    namespace: String,
    name: String,
    uid: String,
    burning: Vec<Burning>,
}

/// Looks, until the process ends.
pub async fn watch(context: Context) {
    let mut absences = Absences::default();
    loop {
        tokio::time::sleep(EVERY).await;
        if !context.hub.leadership.holds() {
            continue;
        }
        if let Err(error) = look(&context, &mut absences).await {
            tracing::warn!("the alerts of tickets can't be looked for: {error}");
        }
    }
}

async fn look(context: &Context, absences: &mut Absences) -> Result<()> {
    let open = |ticket: &MaintenanceTicket| {
        let burning = burning(ticket);
        (!burning.is_empty()).then_some(Open { namespace: ticket.namespace()?, name: ticket.name_any(), uid: ticket.uid()?, burning })
    };
    let open = context.known.pick(None, open).await?;
    absences.keep(&open.iter().map(|ticket| ticket.uid.clone()).collect());
    if open.is_empty() {
        return Ok(());
    }
    let present = present(context).await?;
    for ticket in open {
        let gone = absences.look(&ticket.uid, &ticket.burning, &present, Timestamp::now());
        if !gone.is_empty() {
            end(context, &ticket, &gone).await?;
        }
    }
    Ok(())
}

/// The alerts that each site's Alertmanager has, silenced or not; of those that answer, and have run for long enough to know.
async fn present(context: &Context) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut present = BTreeMap::new();
    for site in context.known.pick(None, |site: &Site| site.spec.monitoring.as_ref()?.alertmanager.as_ref().map(|_| site.clone())).await? {
        let name = site.name_any();
        match alerts_of(context, &site).await {
            Ok(Some(alerts)) => drop(present.insert(name, alerts)),
            Ok(None) => {}
            Err(error) => tracing::debug!(site = name, "its Alertmanager tells nothing: {error}"),
        }
    }
    Ok(present)
}

async fn alerts_of(context: &Context, site: &Site) -> Result<Option<BTreeSet<String>>> {
    let Some(alertmanager) = Alertmanager::of(&context.hub.client, &context.hub.leadership, &context.hub.namespace, site).await? else { return Ok(None) };
    if Timestamp::now().duration_since(alertmanager.started().await?) < SETTLES {
        return Ok(None);
    }
    alertmanager.alerts().await.map(Some)
}

async fn end(context: &Context, open: &Open, gone: &[Burning]) -> Result<()> {
    let (namespace, name) = (&open.namespace, &open.name);
    let tickets: Api<MaintenanceTicket> = Api::namespaced(context.hub.client.clone(), namespace);
    let ticket = tickets.get(name).await.tried(|| format!("read ticket {namespace}/{name}"))?;
    let mut status = ticket.status.clone().unwrap_or_default();
    status.alerts = ended(&status.alerts, gone, Timestamp::now());
    // Somebody else writes it: the next look finds the same.
    if apply_status_if_unchanged(&context.hub.client, &context.hub.leadership, &ticket, ticket.status.as_ref(), &status).await? {
        tracing::info!(ticket = name, namespace, alerts = gone.len(), "alerts have ended that Alertmanager did not tell of");
    }
    Ok(())
}
