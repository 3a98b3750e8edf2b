//! Site: whether it is reachable and still the same cluster, and its capacity.

use crate::{
    context::ReadContext,
    driver::{Controller, Decision, DecisionOf},
    metrics::Metrics,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::{
    conditions::is_true,
    platform::site::{self, NodeSeen, SiteSeen, SiteUnseen},
};
use p861_crds::{ConditionType, Reason, Site, SiteStatus, names::CORDON_ANNOTATION};
use p861_runs::{
    error::{Error, ErrorContext as _, Result},
    sites::{cluster_uid, for_each},
};
use std::time::Duration;

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(20);
/// Time limit for reading a site; after it the site counts as unreachable.
const SITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The controller. It observes what the site's API server answers.
pub struct SiteController;

impl Controller for SiteController {
    type Kind = Site;
    type Status = SiteStatus;
    type Observed = std::result::Result<SiteSeen, SiteUnseen>;
    type Effects = ();
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, site: &Site, _: Timestamp) -> Result<Self::Observed> {
        let seen = match context.sites.connect(site).await {
            Ok((client, _)) => tokio::time::timeout(SITE_TIMEOUT, read(&client)).await.unwrap_or_else(|_| {
                Err(Error::transient(Reason::Unreachable, format!("the API server of {} doesn't answer within {SITE_TIMEOUT:?}", site.name_any())))
            }),
            Err(error) => Err(error),
        };
        Ok(seen.map_err(|error| SiteUnseen { reason: error.reason(), message: error.to_string() }))
    }

    fn decide(site: &Site, seen: &Self::Observed, _: Timestamp) -> DecisionOf<Self> {
        let name = site.metadata.name.as_deref().unwrap_or_default();
        let (status, conditions) = site::decide(name, &site.status.clone().unwrap_or_default(), seen);
        let ready = conditions.iter().any(|condition| condition.kind == Self::CONDITION && condition.holds());
        Decision { status, conditions, events: Vec::new(), effects: (), requeue: if ready { RECONCILE_INTERVAL } else { RECONCILE_INTERVAL / 4 } }
    }

    fn set_metrics(&self, metrics: &Metrics, site: &Site, seen: &Self::Observed, status: &SiteStatus) {
        let name = site.name_any();
        metrics.site_reachable.with_label_values(&[&name]).set(i64::from(is_true(&status.conditions, Self::CONDITION)));
        if let Some(nodes) = &status.nodes {
            metrics.site_nodes_ready.with_label_values(&[&name]).set(if seen.is_ok() { i64::from(nodes.ready) } else { 0 });
            metrics.site_nodes_total.with_label_values(&[&name]).set(i64::from(nodes.total));
            let in_maintenance = seen.as_ref().map_or(0, SiteSeen::in_maintenance);
            metrics.site_nodes_in_maintenance.with_label_values(&[&name]).set(i64::try_from(in_maintenance).unwrap_or(i64::MAX));
        }
    }

    fn on_deleted(&self, metrics: &Metrics, _namespace: &str, name: &str) {
        for metric in [&metrics.site_reachable, &metrics.site_nodes_ready, &metrics.site_nodes_total, &metrics.site_nodes_in_maintenance] {
            let _ = metric.remove_label_values(&[name]);
        }
    }
}

async fn read(client: &Client) -> Result<SiteSeen> {
    let uid = cluster_uid(client).await?;
    let version = client.apiserver_version().await.context(|| "read the API server's version".into())?.git_version;
    let mut nodes = Vec::new();
    for_each(&Api::<Node>::all(client.clone()), ListParams::default(), || "the nodes".into(), |node: Node| nodes.push(node_seen(&node))).await?;
    Ok(SiteSeen { uid, version, nodes })
}

/// Converts a node for core.
fn node_seen(node: &Node) -> NodeSeen {
    let offered = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let allocatable = ["cpu", "memory", "pods"].map(|resource| offered?.get(resource).map(|quantity| quantity.0.clone()));
    NodeSeen { ready: p861_runs::hub::is_ready(node), in_maintenance: node.annotations().contains_key(CORDON_ANNOTATION), allocatable }
}
