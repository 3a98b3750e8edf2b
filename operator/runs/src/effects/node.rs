//! Cordons and drains a node for manual work, and uncordons it afterwards.

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{ErrorContext as _, Result, is_not_found},
    hub::districts,
};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{EvictParams, ListParams, Patch, PatchParams},
};
use p861_core::{
    engine::{Evidence, Failure, UncordonResult},
    ids::SiteName,
    platform::district::is_allotted,
};
use p861_crds::{
    District, Reason,
    names::{CORDON_ANNOTATION, FIELD_MANAGER},
};
use serde_json::json;
use std::collections::BTreeSet;

/// A drain fails this long before its deadline, so that it can report which pods stay and why.
const DRAIN_REPORT_MARGIN: SignedDuration = SignedDuration::from_secs(15);
/// Pods named in a message.
const MAX_NAMED_PODS: usize = 3;

/// Checks that the node exists and that its pods can run elsewhere. Changes nothing.
pub async fn inspect(context: &RunContext, site: &SiteName, node: &str, district: Option<&str>) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let Some(found) = Api::<Node>::all(client.clone()).get_opt(node).await.context(|| format!("read node {node} on {site}"))? else {
        return Ok(EffectOutcome::Failed(Failure::refused(Reason::NodeMissing, format!("site {site} has no node {node}: kubectl get nodes")), None));
    };
    let pods = leaving(&client, site, node).await?;
    let strays: Vec<String> = pods.iter().filter(|pod| pod.owner_references().iter().all(|owner| owner.controller != Some(true))).map(named).collect();
    if !strays.is_empty() {
        let message = format!("no controller would make {} anew: delete it first, or give it one", listed(&strays));
        return Ok(EffectOutcome::Failed(Failure::refused(Reason::PodUnmanaged, message), Some(Evidence::PodsUnmanaged { pods: strays })));
    }
    if let Some(district) = district {
        let others: Vec<District> = districts(&context.hub.client).await?.into_iter().filter(|other: &District| other.hub_namespace() != district).collect();
        let spaces: BTreeSet<String> = pods.iter().filter_map(ResourceExt::namespace).collect();
        let taken = spaces.iter().find_map(|space| others.iter().find(|other| is_allotted(other, space)).map(|other| (space, other.name_any())));
        if let Some((space, other)) = taken {
            let message = format!(
                "node {node} runs pods of district {other} (namespace {space}): the ticket is the city's, open it in namespace {}",
                context.hub.namespace
            );
            return Ok(EffectOutcome::Failed(Failure::refused(Reason::NodeShared, message), None));
        }
    }
    let cordoned = found.spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    Ok(EffectOutcome::done(Evidence::NodeInspected { pods: pods.len() as u64, cordoned }))
}

/// Cordons the node for `owner`. A node that somebody else has cordoned stays theirs.
pub async fn cordon(context: &RunContext, site: &SiteName, node: &str, owner: &str) -> Result<EffectOutcome> {
    let nodes: Api<Node> = Api::all(context.sites.client(site).await?);
    let found = nodes.get(node).await.context(|| format!("read node {node} on {site}"))?;
    let holder = found.annotations().get(CORDON_ANNOTATION).map(String::as_str);
    let closed = found.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let ours = || EffectOutcome::done(Evidence::NodeCordoned { owner: Some(owner.to_owned()) });
    match (closed, holder) {
        (true, Some(holder)) if holder == owner => Ok(ours()),
        (_, Some(holder)) if holder != owner => {
            Ok(EffectOutcome::Failed(Failure::refused(Reason::NodeBusy, format!("ticket {holder} works on node {node}: wait for its end")), None))
        }
        (true, None) => Ok(EffectOutcome::done(Evidence::NodeCordoned { owner: None })),
        (_, _) => {
            // With its resourceVersion, so that only one of two concurrent tickets gets the node.
            let patch =
                json!({"metadata": {"resourceVersion": found.resource_version(), "annotations": {CORDON_ANNOTATION: owner}}, "spec": {"unschedulable": true}});
            nodes.patch(node, &PatchParams::default(), &Patch::Merge(patch)).await.context(|| format!("cordon node {node} on {site}"))?;
            Ok(ours())
        }
    }
}

/// Uncordons the node if the cordon is `owner`'s. A deleted node counts as done.
pub async fn uncordon(context: &RunContext, site: &SiteName, node: &str, owner: &str) -> Result<EffectOutcome> {
    let nodes: Api<Node> = Api::all(context.sites.client(site).await?);
    let Some(found) = nodes.get_opt(node).await.context(|| format!("read node {node} on {site}"))? else {
        return Ok(EffectOutcome::done(Evidence::NodeUncordoned { result: UncordonResult::NodeGone }));
    };
    if found.annotations().get(CORDON_ANNOTATION).map(String::as_str) != Some(owner) {
        return Ok(EffectOutcome::done(Evidence::NodeUncordoned { result: UncordonResult::CordonOfAnother }));
    }
    let patch = json!({"metadata": {"annotations": {CORDON_ANNOTATION: null}}, "spec": {"unschedulable": null}});
    nodes
        .patch(node, &PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }, &Patch::Merge(patch))
        .await
        .context(|| format!("uncordon node {node} on {site}"))?;
    Ok(EffectOutcome::done(Evidence::NodeUncordoned { result: UncordonResult::Uncordoned }))
}

/// Evicts all remaining pods. The API server refuses evictions that a disruption budget doesn't allow yet; they are retried.
pub async fn drain(context: &RunContext, step_context: &StepContext, site: &SiteName, node: &str) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let pods = leaving(&client, site, node).await?;
    let (mut held, mut going) = (Vec::new(), 0_usize);
    for pod in &pods {
        if pod.metadata.deletion_timestamp.is_some() {
            going += 1;
            continue;
        }
        context.hub.leadership.ensure()?;
        let space = pod.namespace().unwrap_or_default();
        match Api::<Pod>::namespaced(client.clone(), &space).evict(&pod.name_any(), &EvictParams::default()).await {
            Ok(_) => going += 1,
            Err(error) if is_not_found(&error) => {}
            Err(kube::Error::Api(status)) if status.code == 429 => held.push(format!("{} ({})", named(pod), status.message.trim_end_matches('.'))),
            // The pod's namespace is being deleted, and the pod with it.
            Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("being terminated") => going += 1,
            Err(error) => return Err(error).context(|| format!("evict {} from node {node} on {site}", named(pod))),
        }
    }
    if pods.is_empty() {
        return Ok(EffectOutcome::done(Evidence::NodeDrained { node: node.to_owned() }));
    }
    let message = match (held.is_empty(), going) {
        (true, _) => format!("{going} pods leave"),
        (false, 0) => format!("held back: {}", listed(&held)),
        (false, _) => format!("{going} pods leave; held back: {}", listed(&held)),
    };
    if step_context.left() < DRAIN_REPORT_MARGIN {
        let why = format!("node {node} was not empty in time: {message}; see its disruption budgets: kubectl get pdb -A");
        return Ok(EffectOutcome::Failed(Failure::permanent(Reason::DrainBlocked, why), Some(Evidence::DrainHeld { held })));
    }
    Ok(EffectOutcome::running(message))
}

/// The pods that a drain moves. Not static pods, DaemonSet pods and ended pods, nor pods that tolerate a cordoned node, which would come back at once.
async fn leaving(client: &Client, site: &SiteName, node: &str) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::all(client.clone());
    let all = pods.list(&ListParams::default().fields(&format!("spec.nodeName={node}"))).await.context(|| format!("list the pods of node {node} on {site}"))?;
    let stays = |pod: &Pod| {
        let of_node = pod.annotations().contains_key("kubernetes.io/config.mirror");
        let daemon = pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet" && owner.controller == Some(true));
        let ended = pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
        of_node || daemon || ended || tolerates_cordon(pod)
    };
    Ok(all.items.into_iter().filter(|pod| !stays(pod)).collect())
}

fn tolerates_cordon(pod: &Pod) -> bool {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_ref());
    tolerations.into_iter().flatten().any(|toleration| {
        let key = toleration.key.as_deref().unwrap_or_default();
        let effect = toleration.effect.as_deref().unwrap_or_default();
        matches!(key, "" | "node.kubernetes.io/unschedulable") && toleration.operator.as_deref() == Some("Exists") && matches!(effect, "" | "NoSchedule")
    })
}

fn named(pod: &Pod) -> String {
    format!("pod {}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(MAX_NAMED_PODS);
    let first = names.iter().take(MAX_NAMED_PODS).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}
