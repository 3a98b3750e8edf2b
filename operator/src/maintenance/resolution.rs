//! Resolves the alerts of tickets that resolved while they were silenced, because Alertmanager posts no resolution of those.

use crate::context::Context;
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use p861_core::maintenance::silenced_resolution::{AbsentAlerts, FiringAlert, MIN_UPTIME, firing_alerts, resolve};
use p861_crds::{MaintenanceTicket, Site};
use p861_runs::status::apply_status_if_unchanged;
use p861_runs::{
    alertmanager::Alertmanager,
    error::{ErrorContext as _, Result},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Time between polls of the Alertmanagers.
const POLL_INTERVAL: Duration = Duration::from_secs(20);

/// A ticket with firing alerts.
struct OpenTicket {
    namespace: String,
    name: String,
    uid: String,
    firing: Vec<FiringAlert>,
}

/// Polls the Alertmanagers until the process ends; only while it leads.
pub async fn watch(context: Context) {
    let mut absent = AbsentAlerts::default();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        if !context.hub.leadership.holds() {
            continue;
        }
        if let Err(error) = check_tickets(&context, &mut absent).await {
            tracing::warn!("silenced alerts of tickets can't be resolved: {error}");
        }
    }
}

async fn check_tickets(context: &Context, absent: &mut AbsentAlerts) -> Result<()> {
    let open = |ticket: &MaintenanceTicket| {
        let firing = firing_alerts(ticket);
        (!firing.is_empty()).then_some(OpenTicket { namespace: ticket.namespace()?, name: ticket.name_any(), uid: ticket.uid()?, firing })
    };
    let open = context.cache.filter_map(None, open).await?;
    absent.retain(&open.iter().map(|ticket| ticket.uid.clone()).collect());
    if open.is_empty() {
        return Ok(());
    }
    let present = present_alerts(context).await?;
    for ticket in open {
        let gone = absent.observe(&ticket.uid, &ticket.firing, &present, Timestamp::now());
        if !gone.is_empty() {
            resolve_alerts(context, &ticket, &gone).await?;
        }
    }
    Ok(())
}

/// The fingerprints that each site's Alertmanager has, silenced or not. Sites whose Alertmanager does not answer or has just started are left out.
async fn present_alerts(context: &Context) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut present = BTreeMap::new();
    for site in context.cache.filter_map(None, |site: &Site| site.spec.monitoring.as_ref()?.alertmanager.as_ref().map(|_| site.clone())).await? {
        let name = site.name_any();
        match alerts_of(context, &site).await {
            Ok(Some(alerts)) => drop(present.insert(name, alerts)),
            Ok(None) => {}
            Err(error) => tracing::debug!(site = name, "its Alertmanager can't be asked: {error}"),
        }
    }
    Ok(present)
}

async fn alerts_of(context: &Context, site: &Site) -> Result<Option<BTreeSet<String>>> {
    let Some(alertmanager) = Alertmanager::of(&context.hub.client, &context.hub.leadership, &context.hub.namespace, site).await? else { return Ok(None) };
    if Timestamp::now().duration_since(alertmanager.started().await?) < MIN_UPTIME {
        return Ok(None);
    }
    alertmanager.alerts().await.map(Some)
}

async fn resolve_alerts(context: &Context, open: &OpenTicket, gone: &[FiringAlert]) -> Result<()> {
    let (namespace, name) = (&open.namespace, &open.name);
    let tickets: Api<MaintenanceTicket> = Api::namespaced(context.hub.client.clone(), namespace);
    let ticket = tickets.get(name).await.context(|| format!("read ticket {namespace}/{name}"))?;
    let mut status = ticket.status.clone().unwrap_or_default();
    status.alerts = resolve(&status.alerts, gone, Timestamp::now());
    // After a conflict the next poll tries again.
    if apply_status_if_unchanged(&context.hub.client, &context.hub.leadership, &ticket, ticket.status.as_ref(), &status).await? {
        tracing::info!(ticket = name, namespace, alerts = gone.len(), "silenced alerts have resolved");
    }
    Ok(())
}
