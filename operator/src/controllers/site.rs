//! Site: whether it is reachable and still the same cluster, and its capacity.

use crate::{context::Context, metrics::Metrics, reconciler::Reconciler};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::{
    conditions,
    platform::site::{NodeSeen, SiteSeen, SiteUnseen, decide},
};
use p861_crds::{ConditionType, Reason, Site};
use p861_runs::status::apply_status_with;
use p861_runs::{
    error::{Result, Tried as _},
    sites::cluster_uid,
};
use std::{sync::Arc, time::Duration};

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(20);
/// Time limit for reading a site; after it the site counts as unreachable.
const SITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The controller.
pub struct SiteReconciler;

async fn observe(client: &Client) -> Result<SiteSeen> {
    let uid = cluster_uid(client).await?;
    let version = client.apiserver_version().await.tried(|| "read the API server's version".into())?.git_version;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.tried(|| "list the nodes".into())?.items;
    Ok(SiteSeen { uid, version, nodes: nodes.iter().map(node_seen).collect() })
}

impl Reconciler for SiteReconciler {
    type Kind = Site;
    const CONDITION: ConditionType = ConditionType::Ready;

    fn on_deleted(&self, metrics: &Metrics, _namespace: &str, name: &str) {
        for metric in [&metrics.site_reachable, &metrics.site_nodes_ready, &metrics.site_nodes_total] {
            let _ = metric.remove_label_values(&[name]);
        }
    }

    async fn reconcile(&self, context: &Context, site: Arc<Site>, now: Timestamp) -> Result<Duration> {
        let name = site.name_any();
        let seen = match context.sites.connect(&site).await {
            Ok((client, _)) => match tokio::time::timeout(SITE_TIMEOUT, observe(&client)).await {
                Ok(seen) => seen,
                Err(_) => {
                    Err(p861_runs::error::Error::transient(Reason::Unreachable, format!("the API server of {name} doesn't answer within {SITE_TIMEOUT:?}")))
                }
            },
            Err(error) => Err(error),
        };
        let seen = seen.map_err(|error| SiteUnseen { reason: error.reason(), message: error.to_string() });
        let (mut status, updates) = decide(&name, &site.status.clone().unwrap_or_default(), &seen);
        let ready = updates.iter().any(|update| update.kind == ConditionType::Ready && update.holds());
        context.metrics.site_reachable.with_label_values(&[&name]).set(i64::from(ready));
        if let Some(nodes) = &status.nodes {
            context.metrics.site_nodes_ready.with_label_values(&[&name]).set(if seen.is_ok() { i64::from(nodes.ready) } else { 0 });
            context.metrics.site_nodes_total.with_label_values(&[&name]).set(i64::from(nodes.total));
        }
        status.observed_generation = site.metadata.generation;
        status.conditions = conditions::apply(&status.conditions, &updates, site.metadata.generation, now);
        apply_status_with(&context.hub, &Api::all(context.hub.client.clone()), site.as_ref(), site.status.as_ref(), &status).await?;
        Ok(if ready { RECONCILE_INTERVAL } else { RECONCILE_INTERVAL / 4 })
    }
}

/// Converts a node for core.
fn node_seen(node: &Node) -> NodeSeen {
    let offered = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let allocatable = ["cpu", "memory", "pods"].map(|resource| offered?.get(resource).map(|quantity| quantity.0.clone()));
    NodeSeen { ready: p861_runs::hub::is_ready(node), allocatable }
}
