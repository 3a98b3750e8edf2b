//! Cordons and drains a node for manual work, and uncordons it afterwards.

mod evict;

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{Category, Error, ErrorContext as _, Result},
    hub::districts,
};
use evict::evict_all;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use p861_core::{
    engine::{Evidence, Failure, UncordonResult},
    ids::SiteName,
    maintenance::drain::{DrainConsent, DrainLook, DrainOutlook, Fate, NodePod, fate},
    objects::LABEL_VALUE_MOVER,
    platform::district::is_allotted,
    runs::AllottedSite,
};
use p861_crds::{
    District, Reason,
    names::{CORDON_ANNOTATION, FIELD_MANAGER, ROLE_LABEL},
};
use serde_json::json;
use std::collections::BTreeSet;

/// A drain fails this long before its deadline, so that it can report which pods stay and why.
const DRAIN_REPORT_MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// What a drain of the node would do now, for people who are to agree to it.
///
/// # Errors
/// If the site or the hub can't be read.
pub async fn look(context: &RunContext, site: &AllottedSite, node: &str, district: Option<&str>, consent: DrainConsent) -> Result<DrainOutlook> {
    let client = context.sites.client(site).await?;
    if find(&client, site, node).await?.is_none() {
        return Ok(DrainOutlook::Missing(no_such_node(site, node)));
    }
    let pods = pods_of(&client, site, node).await?;
    // Pods of others are not named.
    if let Some(shared) = Others::of(context, district).await?.on(&pods, node) {
        return Ok(DrainOutlook::Unsafe(Reason::NodeShared, shared));
    }
    Ok(DrainLook::of(&pods.iter().map(node_pod).collect::<Vec<_>>(), consent).into())
}

async fn find(client: &Client, site: &AllottedSite, node: &str) -> Result<Option<Node>> {
    Api::<Node>::all(client.clone()).get_opt(node).await.context(|| format!("read node {node} on {site}"))
}

fn no_such_node(site: &AllottedSite, node: &str) -> String {
    format!("site {site} has no node {node}: kubectl get nodes")
}

/// The districts whose pods a ticket may not move.
#[derive(Default)]
pub(super) struct Others {
    districts: Vec<District>,
    /// The operator's namespace, where the city's tickets are.
    city: String,
}

impl Others {
    /// All but the ticket's own; none if the ticket is the city's.
    async fn of(context: &RunContext, district: Option<&str>) -> Result<Self> {
        let Some(district) = district else { return Ok(Self::default()) };
        let all = districts(&context.hub.client).await?;
        Ok(Self { districts: all.into_iter().filter(|other: &District| other.hub_namespace() != district).collect(), city: context.hub.namespace.clone() })
    }

    /// Why the node may not be drained: pods of one of them run on it. None if there are none.
    fn on(&self, pods: &[Pod], node: &str) -> Option<String> {
        let movable = pods.iter().filter(|pod| matches!(fate(&node_pod(pod), DrainConsent::default()), Fate::Leaves | Fate::Kept(_)));
        let spaces: BTreeSet<String> = movable.filter_map(ResourceExt::namespace).collect();
        // No namespace is named: whose it is, the city may know and another district need not.
        let other = spaces.iter().find_map(|space| self.districts.iter().find(|other| is_allotted(other, space)))?.name_any();
        Some(format!("node {node} runs pods of district {other}, too: such a change is the city's, which opens it in namespace {}", self.city))
    }
}

/// Checks that the node exists, that its pods are the district's, and that nothing of them is lost that the change doesn't agree to lose. Changes nothing.
///
/// # Errors
/// If the site can't be asked, or refuses.
pub async fn inspect(context: &RunContext, site: &AllottedSite, node: &str, district: Option<&str>, consent: DrainConsent) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let Some(found) = find(&client, site, node).await? else {
        return Ok(EffectOutcome::Failed(Failure::refused(Reason::NodeMissing, no_such_node(site, node)), None));
    };
    let pods = pods_of(&client, site, node).await?;
    if let Some(message) = Others::of(context, district).await?.on(&pods, node) {
        return Ok(EffectOutcome::Failed(Failure::refused(Reason::NodeShared, message), None));
    }
    let look = DrainLook::of(&pods.iter().map(node_pod).collect::<Vec<_>>(), consent);
    let (said, loss) = (look.words(), look.loss());
    let DrainLook { leaving, returning, local_data, unmanaged, refused, .. } = look;
    if refused {
        let reason = loss.unwrap_or(Reason::PodUnmanaged);
        let evidence = Evidence::PodsUnmanaged { pods: unmanaged, local_data };
        return Ok(EffectOutcome::Failed(Failure::refused(reason, said.unwrap_or_default()), Some(evidence)));
    }
    let cordoned = found.spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    Ok(EffectOutcome::done(Evidence::NodeInspected { pods: leaving, cordoned, unmanaged, local_data, returning }))
}

/// Cordons the node for `owner`. A node that somebody else has cordoned stays theirs.
///
/// # Errors
/// If the site can't be asked, or refuses.
pub async fn cordon(context: &RunContext, site: &AllottedSite, node: &str, owner: &str) -> Result<EffectOutcome> {
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
///
/// # Errors
/// If the site can't be asked, or refuses.
pub async fn uncordon(context: &RunContext, site: &AllottedSite, node: &str, owner: &str) -> Result<EffectOutcome> {
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

/// Evicts all remaining pods. What the API server refuses for now, and a server that doesn't answer for a moment, is waited for until the deadline, with its reason. Each
/// pass looks again whose pods they are: since the node was inspected, others may have come.
///
/// # Errors
/// If the site or the hub can't be asked, or refuses.
pub async fn drain(
    context: &RunContext,
    step_context: &StepContext,
    site: &AllottedSite,
    node: &str,
    district: Option<&str>,
    consent: DrainConsent,
) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let others = Others::of(context, district).await?;
    let (message, held) = match evict_all(&client, &context.hub.leadership, site, node, &others, consent).await {
        Ok(remaining) if remaining.is_empty() => return Ok(EffectOutcome::done(Evidence::NodeDrained { node: node.to_owned() })),
        Ok(remaining) => (remaining.words(), remaining.held),
        Err(error) if passes(&error) => (error.to_string(), vec![error.to_string()]),
        Err(error) => return Err(error),
    };
    if step_context.left() < DRAIN_REPORT_MARGIN {
        let why = format!("node {node} was not empty in time: {message}; see its disruption budgets: kubectl get pdb -A");
        return Ok(EffectOutcome::Failed(Failure::permanent(Reason::DrainBlocked, why), Some(Evidence::DrainHeld { held })));
    }
    Ok(EffectOutcome::running(message))
}

/// Whether a later pass may succeed where this one failed. A server that was not reached at all is the executor's to wait for.
fn passes(error: &Error) -> bool {
    matches!(error, Error::Kube { .. }) && error.category() == Category::Transient && !error.is_unreachable()
}

/// All pods of a node.
async fn pods_of(client: &Client, site: &SiteName, node: &str) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::all(client.clone());
    let all = pods.list(&ListParams::default().fields(&format!("spec.nodeName={node}"))).await;
    Ok(all.context(|| format!("list the pods of node {node} on {site}"))?.items)
}

fn node_pod(pod: &Pod) -> NodePod {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    // A mover's files are of use to nobody but itself: that of the backup before this change may still be ending, and any other is tried again.
    let is_mover = pod.labels().get(ROLE_LABEL).is_some_and(|role| role == LABEL_VALUE_MOVER);
    NodePod {
        name: name_of(pod),
        mirror: pod.annotations().contains_key("kubernetes.io/config.mirror"),
        ended: pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed")),
        controller: pod.owner_references().iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.kind.clone()),
        tolerates_cordon: tolerates_cordon(pod),
        empty_dir: !is_mover && volumes.into_iter().flatten().any(|volume| volume.empty_dir.is_some()),
    }
}

fn name_of(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

fn tolerates_cordon(pod: &Pod) -> bool {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_ref());
    tolerations.into_iter().flatten().any(|toleration| {
        let key = toleration.key.as_deref().unwrap_or_default();
        let effect = toleration.effect.as_deref().unwrap_or_default();
        matches!(key, "" | "node.kubernetes.io/unschedulable") && toleration.operator.as_deref() == Some("Exists") && matches!(effect, "" | "NoSchedule")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]
mod tests;
