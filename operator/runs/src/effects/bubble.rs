//! A drill's bubble: isolated namespaces that can only reach each other, and are removed afterwards.

mod dns;
mod pods;
pub mod proof;
mod remains;

use super::{EffectOutcome, StepContext, mover::LABEL_VALUE_MOVER, namespaces::told_terminating, workloads::Look};
use crate::{
    context::RunContext,
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    hub::labels_of_new_namespace,
};
use jiff::SignedDuration;
use k8s_openapi::api::{
    core::v1::{Namespace, PersistentVolume},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
};
use p861_core::{
    engine::{Evidence, Failure},
    ids::SiteName,
    isolation::AllowedEgress,
    runs::{AllottedSite, Bubble},
    told::Noun,
};
use p861_crds::{
    Reason,
    names::{DRILL_LABEL, FIELD_MANAGER, ROLE_LABEL, RUN_LABEL},
};
pub use pods::LABEL_VALUE_DNS;
use pods::LABEL_VALUE_FREE_PROBE;
use remains::Place;
use serde_json::{Value, json};

/// The clean-up fails so long before its deadline, so that its failure names what remains.
const LAST_WORD: SignedDuration = SignedDuration::from_secs(20);
/// Volumes that a message names.
const MAX_NAMED: usize = 3;
/// The name of a namespace, as a label that the API server keeps.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Creates the namespaces and isolates them before anything runs in them, and gives them a DNS of their own.
pub async fn make(context: &RunContext, step_context: &StepContext, site: &AllottedSite, bubble: &Bubble) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let allowed = AllowedEgress::of(&bubble.allow_egress).map_err(|why| Error::invalid(Reason::Invalid, format!("spec.isolation.allowEgress: {why}")))?;
    // What its source enforces on pods comes with the objects, before any pod of theirs, where that is stricter.
    let mut labels = labels_of_new_namespace(&context.hub.client, &step_context.run.namespace, &step_context.run.namespace).await?;
    labels.extend([(RUN_LABEL, step_context.run.uid.clone()), (DRILL_LABEL, bubble.id.clone())]);
    for name in bubble.namespaces.values() {
        let existing = namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))?;
        if let Some(existing) = &existing {
            let owner = existing.labels().get(RUN_LABEL).map(String::as_str);
            if owner != Some(step_context.run.uid.as_str()) {
                return Err(Error::invalid(
                    Reason::NamespaceTaken,
                    format!("namespace {name} on {site} is there and not of this drill: delete it, or run another drill"),
                ));
            }
            if existing.metadata.deletion_timestamp.is_some() {
                return Ok(EffectOutcome::running(told_terminating(existing)));
            }
        }
        apply(&namespaces, name, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})).await?;
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), name);
        for (policy, spec) in policies_of(bubble, &allowed) {
            let document = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": policy, "labels": {RUN_LABEL: step_context.run.uid, DRILL_LABEL: bubble.id}}, "spec": spec});
            apply(&policies, policy, document).await?;
        }
    }
    match dns::make(context, &client, step_context, site, bubble).await? {
        Some(waits) if step_context.left() < LAST_WORD => Err(Error::invalid(Reason::CredentialsRefused, waits)),
        Some(waits) => Ok(EffectOutcome::running(waits)),
        None => Ok(EffectOutcome::done(Evidence::Isolated { namespaces: bubble.namespaces.values().cloned().collect() })),
    }
}

/// Everything is denied but: pods of the same bubble among themselves, which its own DNS is one of; the networks that the Applications allow; and the way of movers,
/// of that DNS and of the free probe to the repository, the API server and the cluster's DNS. No pod of an application has their labels.
fn policies_of(bubble: &Bubble, allowed: &AllowedEgress) -> Vec<(&'static str, Value)> {
    // By their names: who administers another namespace can give it any label.
    let names: Vec<&String> = bubble.namespaces.values().collect();
    let same_bubble = json!({"namespaceSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": names}]}});
    let mut egress = vec![json!({"to": [same_bubble]})];
    let networks = allowed.cidrs();
    if !networks.is_empty() {
        egress.push(json!({"to": networks.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect::<Vec<_>>()}));
    }
    let free = json!({"matchExpressions": [{"key": ROLE_LABEL, "operator": "In", "values": [LABEL_VALUE_MOVER, LABEL_VALUE_DNS, LABEL_VALUE_FREE_PROBE]}]});
    vec![
        ("p861-isolate", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [same_bubble]}], "egress": egress})),
        ("p861-movers", json!({"podSelector": free, "policyTypes": ["Egress"], "egress": [{}]})),
    ]
}

async fn apply<K>(api: &Api<K>, name: &str, document: Value) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.context(|| format!("apply {kind} {name}"))?;
    Ok(())
}

/// The namespaces of the copy that are left, and why others of its names are not deleted. Only what has a name of the copy and the labels of this drill is its own: who
/// administers another namespace can give it our labels, and who administers one of these can take them off.
async fn left(client: &Client, own: &str, site: &SiteName, bubble: &Bubble) -> Result<(Vec<Namespace>, Vec<String>)> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let (mut left, mut held) = (Vec::new(), Vec::new());
    for name in bubble.namespaces.values() {
        let Some(found) = namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))? else { continue };
        let label = |label: &str| found.labels().get(label).map(String::as_str);
        match (label(RUN_LABEL), label(DRILL_LABEL)) {
            (Some(run), Some(drill)) if run == own && drill == bubble.id => left.push(found),
            // Another run's, which was there first: this drill has made nothing in it.
            (Some(run), _) if run != own => {}
            _ => held.push(format!(
                "namespace {name} is there without the labels of this drill ({RUN_LABEL}, {DRILL_LABEL}): look at what is in it, and delete it by hand"
            )),
        }
    }
    Ok((left, held))
}

/// Deletes the namespaces and waits until they and their bound volumes are gone. What holds them up is removed if it is only a finalizer, and told in any case.
pub async fn remove(context: &RunContext, step_context: &StepContext, site: &AllottedSite, bubble: &Bubble) -> Result<EffectOutcome> {
    let (client, look) = (context.sites.client(site).await?, Look::begins());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let (left, foreign) = left(&client, &step_context.run.uid, site, bubble).await?;
    let place = Place { client: &client, site, run: &step_context.run.uid, drill: &bubble.id };
    let mut held = Vec::new();
    for namespace in &left {
        let name = namespace.name_any();
        if namespace.metadata.deletion_timestamp.is_some() {
            held.extend(place.clear(namespace).await?.into_iter().map(|words| format!("{name}: {words}")));
            continue;
        }
        place.prepare(namespace).await?;
        // With its UID: another namespace of that name is another's.
        let this = DeleteParams { preconditions: Some(Preconditions { uid: namespace.uid(), resource_version: None }), ..DeleteParams::default() };
        match namespaces.delete(&name, &this).await {
            Err(error) if !is_not_found(&error) && !is_conflict(&error) => return Err(error).context(|| format!("delete namespace {name} on {site}")),
            _ => {}
        }
    }
    let volumes = volumes_of(&client, site, bubble).await?;
    if left.is_empty() && volumes.is_empty() && foreign.is_empty() {
        return Ok(EffectOutcome::done(Evidence::IsolationRemoved { namespaces: bubble.namespaces.values().cloned().collect() }));
    }
    let mut message = format!("{} and {} to be removed", Noun::Namespace.count(left.len()), Noun::Volume.count(volumes.len()));
    // Volumes are released only after their namespaces.
    if left.is_empty() {
        held = volumes.iter().take(MAX_NAMED).map(|volume| format!("volume {volume} is not deleted by its provisioner")).collect();
    }
    held.extend(foreign);
    if !held.is_empty() {
        message = format!("{message}: {}", held.join("; "));
    }
    if step_context.left() < LAST_WORD {
        return Ok(EffectOutcome::Failed(Failure::transient(Reason::CleanUpFailed, format!("{message}, on {site}")), None));
    }
    look.pause().await;
    Ok(EffectOutcome::running(message))
}

/// Volumes of the copy that their provisioner deletes after their claims; without waiting for them, "nothing left" would be reported too early.
async fn volumes_of(client: &Client, site: &SiteName, bubble: &Bubble) -> Result<Vec<String>> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let bound = volumes.list(&ListParams::default()).await.context(|| format!("list the volumes of {site}"))?.items;
    let of_bubble = |volume: &&PersistentVolume| {
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        claim.and_then(|claim| claim.namespace.as_ref()).is_some_and(|namespace| bubble.namespaces.values().any(|name| name == namespace))
    };
    let deletes = |volume: &&PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some("Delete");
    let told = |volume: &PersistentVolume| {
        let status = volume.status.as_ref();
        let why = status.and_then(|status| status.message.as_deref().or(status.phase.as_deref())).unwrap_or_default();
        format!("{} ({why})", volume.name_any())
    };
    Ok(bound.iter().filter(of_bubble).filter(deletes).map(told).collect())
}

#[cfg(test)]
#[path = "bubble/tests.rs"]
mod tests;
