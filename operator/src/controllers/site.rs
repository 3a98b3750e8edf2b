//! Site: is it reachable, is it still the same cluster, what does it offer.

use crate::{context::Context, drive::Drive, metrics::Metrics};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::{
    conditions::{self, Verdict},
    quantity,
};
use p861_crds::{
    Site, SiteStatus,
    common::Quantity,
    platform::site::{Capacity, NodeCounts},
};
use p861_runs::status::apply_status_with;
use p861_runs::{
    error::{Result, Tried as _},
    sites::cluster_uid,
};
use std::{sync::Arc, time::Duration};

/// How often a site is looked at.
const PERIOD: Duration = Duration::from_secs(20);
/// A site that doesn't answer within this is unreachable.
const PATIENCE: Duration = Duration::from_secs(10);

/// The controller.
pub struct SiteDriver;

struct Observed {
    uid: String,
    version: String,
    nodes: Vec<Node>,
}

async fn observe(client: &Client) -> Result<Observed> {
    let uid = cluster_uid(client).await?;
    let version = client.apiserver_version().await.tried(|| "read the API server's version".into())?.git_version;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.tried(|| "list the nodes".into())?.items;
    Ok(Observed { uid, version, nodes })
}

impl Drive for SiteDriver {
    type Kind = Site;
    const CONDITION: &'static str = "Ready";

    fn gone(&self, metrics: &Metrics, _namespace: &str, name: &str) {
        for metric in [&metrics.site_reachable, &metrics.site_nodes_ready, &metrics.site_nodes_total] {
            let _ = metric.remove_label_values(&[name]);
        }
    }

    async fn pass(&self, context: &Context, site: Arc<Site>, now: Timestamp) -> Result<Duration> {
        let name = site.name_any();
        let seen = match context.sites.connect(&site).await {
            Ok((client, _)) => match tokio::time::timeout(PATIENCE, observe(&client)).await {
                Ok(seen) => seen,
                Err(_) => Err(p861_runs::error::Error::transient("Unreachable", format!("the API server of {name} doesn't answer within {PATIENCE:?}"))),
            },
            Err(error) => Err(error),
        };
        let mut status = site.status.clone().unwrap_or_default();
        let verdicts = decide(&name, &mut status, &seen);
        let ready = verdicts.iter().any(|verdict| verdict.kind == "Ready" && verdict.holds());
        context.metrics.site_reachable.with_label_values(&[&name]).set(i64::from(ready));
        if let Some(nodes) = &status.nodes {
            context.metrics.site_nodes_ready.with_label_values(&[&name]).set(if seen.is_ok() { i64::from(nodes.ready) } else { 0 });
            context.metrics.site_nodes_total.with_label_values(&[&name]).set(i64::from(nodes.total));
        }
        status.observed_generation = site.metadata.generation;
        status.conditions = conditions::apply(&status.conditions, &verdicts, site.metadata.generation, now);
        apply_status_with(&context.hub, &Api::all(context.hub.client.clone()), site.as_ref(), site.status.as_ref(), &status).await?;
        Ok(if ready { PERIOD } else { PERIOD / 4 })
    }
}

/// What follows from what was seen. The status keeps what was known of a site that can't be seen.
fn decide(name: &str, status: &mut SiteStatus, seen: &Result<Observed>) -> Vec<Verdict> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => {
            let message = error.to_string();
            return vec![Verdict::bad("Reachable", error.reason(), message.clone()), Verdict::bad("Ready", error.reason(), message)];
        }
    };
    if let Some(pinned) = status.cluster_uid.as_ref().filter(|pinned| **pinned != seen.uid) {
        let message = format!("site {name} is cluster {pinned}, but its kubeconfig leads to cluster {}: correct the Secret, or make a new Site", seen.uid);
        return vec![Verdict::bad("Reachable", "ClusterChanged", message.clone()), Verdict::bad("Ready", "ClusterChanged", message)];
    }
    status.cluster_uid = Some(seen.uid.clone());
    status.kubernetes_version = Some(seen.version.clone());
    let ready = seen.nodes.iter().filter(|node| p861_runs::hub::is_ready(node)).count();
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    status.nodes = Some(NodeCounts { total: count(seen.nodes.len()), ready: count(ready) });
    status.allocatable = Some(allocatable(&seen.nodes));
    let mut verdicts = vec![Verdict::good("Reachable", "Answers", "the API server answers")];
    let supported = seen
        .version
        .trim_start_matches('v')
        .split('.')
        .nth(1)
        .and_then(|minor| minor.trim_end_matches('+').parse::<u32>().ok())
        .is_none_or(|minor| minor >= 33);
    verdicts.push(if supported {
        Verdict::good("Ready", "AsDeclared", format!("{ready} of {} nodes ready", seen.nodes.len()))
    } else {
        Verdict::bad("Ready", "VersionUnsupported", format!("Kubernetes {} is older than 1.33, which the kinds' rules need: upgrade the cluster", seen.version))
    });
    verdicts
}

fn allocatable(nodes: &[Node]) -> Capacity {
    let sum = |resource: &str| -> i128 {
        let values = nodes
            .iter()
            .filter(|node| p861_runs::hub::is_ready(node))
            .filter_map(|node| node.status.as_ref()?.allocatable.as_ref()?.get(resource).map(|quantity| quantity.0.clone()));
        values.filter_map(|text| quantity::Quantity::parse(&text).ok()).map(p861_core::quantity::Quantity::thousandths).sum()
    };
    let whole = |thousandths: i128| u64::try_from(thousandths / 1000).unwrap_or(0);
    Capacity {
        cpu: Quantity(whole(sum("cpu")).to_string()),
        memory: Quantity(quantity::print_bytes(whole(sum("memory")))),
        pods: Quantity(whole(sum("pods")).to_string()),
    }
}
