//! Volume snapshots of a backup: taken at one moment, read through claims of their own, and removed.
//!
//! A mover's pod has the claim that a snapshot is read through as an ephemeral volume, so the cluster makes it with the pod and removes it with the pod: the operator
//! makes and deletes no claim.

use super::{EffectOutcome, StepContext, workloads::Look};
use crate::{
    context::RunContext,
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    sites::list_all,
};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::{DynamicObject, GroupVersionKind},
};
use p861_core::{
    engine::{Evidence, Failure, SavedPart, TakenSnapshot},
    names,
    objects::LABEL_VALUE_MOVER,
    protection::snapshots::{self, Attempt, LeftContent, Reading, SnapshotStatus, Taking},
    runs::{AllottedSite, ClaimSnapshot, MoverTask},
    told::Noun,
};
use p861_crds::{
    Reason,
    names::{FIELD_MANAGER, ROLE_LABEL, RUN_LABEL},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// Snapshots that are asked for at once: the moments of those of one application lie as near to each other as the API server allows.
const MAX_PARALLEL_REQUESTS: usize = 32;
/// A VolumeSnapshot that is being deleted for so long is asked why.
const SLOW_REMOVAL: SignedDuration = SignedDuration::from_secs(10);
/// What is left that a message names.
const MAX_NAMED: usize = 5;

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn labels(run: &str) -> Value {
    json!({RUN_LABEL: run, ROLE_LABEL: LABEL_VALUE_MOVER})
}

fn of_run(run: &str) -> ListParams {
    ListParams::default().labels(&format!("{RUN_LABEL}={run},{ROLE_LABEL}={LABEL_VALUE_MOVER}"))
}

fn value_of(object: &DynamicObject) -> Result<Value> {
    serde_json::to_value(object).map_err(|error| Error::Internal(format!("a VolumeSnapshot can't be read: {error}")))
}

/// The run's VolumeSnapshots of a namespace; none if the site doesn't serve that kind.
async fn list(client: &Client, namespace: &str, run: &str) -> Result<Option<Vec<DynamicObject>>> {
    let found: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots"));
    match found.list(&of_run(run)).await {
        Ok(list) => Ok(Some(list.items)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error).context(|| format!("list the run's VolumeSnapshots in {namespace}")),
    }
}

async fn create(client: &Client, run: &str, name: &str, wanted: &ClaimSnapshot) -> Result<()> {
    let ClaimSnapshot { namespace, claim, class, .. } = wanted;
    let snapshots: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots"));
    let document = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": name, "namespace": namespace, "labels": labels(run)},
        "spec": {"volumeSnapshotClassName": class, "source": {"persistentVolumeClaimName": claim}}});
    let document: DynamicObject = serde_json::from_value(document).map_err(|error| Error::Internal(format!("a VolumeSnapshot can't be written: {error}")))?;
    snapshots.create(&PostParams::default(), &document).await.context(|| format!("ask for a snapshot of claim {namespace}/{claim}"))?;
    Ok(())
}

/// Asks for all snapshots side by side, and waits until every point in time has passed. Snapshots of one attempt are asked for together or not at all: if some of
/// them are missing, another attempt takes all anew.
///
/// # Errors
/// If the API server refuses a snapshot, or can't be reached.
pub async fn take(context: &RunContext, step_context: &StepContext, site: &AllottedSite, wanted: &[ClaimSnapshot]) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let run = step_context.run.uid.as_str();
    let failed = |reason: Reason, message: String| Ok(EffectOutcome::Failed(Failure::transient(reason, message), None));
    let named: Vec<(&ClaimSnapshot, String)> = wanted.iter().map(|of| (of, names::snapshot(run, step_context.attempt, &of.namespace, &of.claim))).collect();
    let mut found: BTreeMap<(String, String), SnapshotStatus> = BTreeMap::new();
    for namespace in wanted.iter().map(|of| of.namespace.as_str()).collect::<BTreeSet<_>>() {
        let Some(objects) = list(&client, namespace, run).await? else {
            return failed(
                Reason::NoSnapshotClass,
                format!("{site} doesn't serve VolumeSnapshots any more: install the snapshot controller and its CRDs again"),
            );
        };
        for object in objects {
            found.insert((namespace.to_owned(), object.name_any()), SnapshotStatus::of(&value_of(&object)?));
        }
    }
    let is_there = |of: &ClaimSnapshot, name: &str| found.contains_key(&(of.namespace.clone(), name.to_owned()));
    if !named.iter().any(|(of, name)| is_there(of, name)) {
        let requests: Vec<_> = named.iter().map(|(of, name)| create(&client, run, name, of)).collect();
        let requests: Vec<Result<()>> = stream::iter(requests).buffer_unordered(MAX_PARALLEL_REQUESTS).collect().await;
        requests.into_iter().collect::<Result<Vec<()>>>()?;
        return Ok(EffectOutcome::running(format!("{} asked for", Noun::Snapshot.are(named.len()))));
    }
    let now = Timestamp::now();
    let attempt = Attempt { age: now.duration_since(step_context.started), deadline: step_context.deadline };
    let wanted: Vec<snapshots::Wanted<'_>> = named.iter().map(|(of, name)| (*of, name.as_str())).collect();
    let status = |namespace: &str, name: &str| found.get(&(namespace.to_owned(), name.to_owned()));
    match snapshots::taking(&wanted, status, attempt, now) {
        Taking::Taken(snapshots) => Ok(EffectOutcome::done(Evidence::SnapshotsTaken { snapshots })),
        Taking::Waits(message) => Ok(EffectOutcome::running(message)),
        Taking::Failed(message) => failed(Reason::SnapshotNotTaken, message),
    }
}

/// The snapshot that a task reads, as an earlier step has proved it; none if the task reads none.
///
/// # Errors
/// If no earlier step has proved one.
pub fn to_read(step_context: &StepContext, namespace: &str, claim: Option<&str>, task: &MoverTask) -> Result<Option<TakenSnapshot>> {
    if !matches!(task, MoverTask::BackupVolume { from_snapshot: true, .. }) {
        return Ok(None);
    }
    let of_claim = |input: &Evidence| match input {
        Evidence::SnapshotsTaken { snapshots } => snapshots.iter().find(|taken| taken.namespace == namespace && Some(taken.claim.as_str()) == claim).cloned(),
        _ => None,
    };
    let taken = step_context.inputs.values().find_map(of_claim);
    let message = || format!("no earlier step proves a snapshot of claim {namespace}/{}", claim.unwrap_or_default());
    taken.map(Some).ok_or_else(|| Error::invalid(Reason::EvidenceUnreadable, message()))
}

/// Whether a snapshot can be read: through a claim of at least so many bytes. Breaks with the step's outcome if not, or not yet.
///
/// # Errors
/// If the API server can't be read.
pub async fn ready(client: &Client, taken: &TakenSnapshot) -> Result<ControlFlow<EffectOutcome, u64>> {
    let found: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &taken.namespace, &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots"));
    let found = found.get_opt(&taken.name).await.context(|| format!("read VolumeSnapshot {}/{}", taken.namespace, taken.name))?;
    let status = found.as_ref().map(value_of).transpose()?.map(|object| SnapshotStatus::of(&object));
    Ok(match snapshots::reading(taken, status.as_ref()) {
        Reading::Ready(bytes) => ControlFlow::Continue(bytes),
        Reading::Waits(message) => ControlFlow::Break(EffectOutcome::running(message)),
        Reading::Gone(message) => ControlFlow::Break(EffectOutcome::Failed(Failure::permanent(Reason::SnapshotNotTaken, message), None)),
    })
}

/// The ephemeral volume of a mover's pod: a claim of `bytes` that is made from the snapshot, of the StorageClass of the original.
pub fn volume(run: &str, taken: &TakenSnapshot, bytes: u64) -> Value {
    json!({"volumeClaimTemplate": {"metadata": {"labels": labels(run)}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": taken.storage_class, "resources": {"requests": {"storage": bytes.to_string()}},
        "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": taken.name}}}})
}

/// What was saved of a snapshot is as it was at the snapshot's point in time, whenever it was read.
pub fn as_of(outcome: EffectOutcome, taken: &TakenSnapshot) -> EffectOutcome {
    match outcome {
        EffectOutcome::Done(Some(Evidence::VolumeSaved(part))) => EffectOutcome::done(Evidence::VolumeSaved(SavedPart { started_at: taken.time, ..part })),
        other => other,
    }
}

/// Removes the run's VolumeSnapshots, with what they take in the storage, and waits until they and the claims that they were read through are gone. What a class
/// would retain goes as well: nobody else knows of it.
///
/// # Errors
/// If the API server can't be reached.
pub async fn remove(context: &RunContext, step_context: &StepContext, site: &AllottedSite, namespaces: &[String]) -> Result<EffectOutcome> {
    let (client, look) = (context.sites.client(site).await?, Look::begins());
    let run = step_context.run.uid.as_str();
    let mut left = Vec::new();
    let (mut served, mut snapshots) = (false, 0_usize);
    for namespace in namespaces {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        // Each goes with its pod, which clean-up has removed.
        let claims = claims.list(&of_run(run)).await.context(|| format!("list the run's claims in {namespace} on {site}"))?.items;
        left.extend(claims.iter().map(|claim| format!("claim {namespace}/{} (its pod holds it)", claim.name_any())));
        let Some(objects) = list(&client, namespace, run).await? else { continue };
        served = true;
        for object in objects.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
            delete(&client, namespace, object).await?;
        }
        snapshots += objects.len();
        left.extend(objects.iter().map(|object| format!("VolumeSnapshot {namespace}/{}", object.name_any())));
    }
    // A VolumeSnapshot goes after its content, unless the content is retained. To list the contents means to list those of the whole site.
    let age = Timestamp::now().duration_since(step_context.started);
    if served && (snapshots == 0 || age >= SLOW_REMOVAL) {
        let contents = contents(&client, &names::snapshot_prefix(run), namespaces).await?;
        if snapshots == 0 {
            for content in &contents {
                release(&client, content).await?;
            }
        }
        let why = |content: &LeftContent| content.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
        left.extend(contents.iter().map(|content| format!("VolumeSnapshotContent {}{}", content.name, why(content))));
    }
    if left.is_empty() {
        return Ok(EffectOutcome::done(Evidence::SnapshotsRemoved { namespaces: namespaces.to_vec() }));
    }
    // What a driver says of a content explains all others.
    left.sort_by_key(|text| !text.starts_with("VolumeSnapshotContent"));
    let more = if left.len() > MAX_NAMED { format!(" and {} more", left.len() - MAX_NAMED) } else { String::new() };
    let named = format!("{}{more}", left[..left.len().min(MAX_NAMED)].join(", "));
    if step_context.left().is_negative() {
        let message = format!("still being deleted on {site}: {named}; if the storage driver is gone for good, take off their finalizers by hand");
        return Ok(EffectOutcome::Failed(Failure::transient(Reason::CleanUpFailed, message), None));
    }
    look.pause().await;
    Ok(EffectOutcome::running(format!("being removed: {named}")))
}

async fn delete(client: &Client, namespace: &str, object: &DynamicObject) -> Result<()> {
    let snapshots: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots"));
    // With its UID: another object of that name is another's.
    let this = DeleteParams { preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }), ..DeleteParams::default() };
    match snapshots.delete(&object.name_any(), &this).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
        Err(error) => Err(error).context(|| format!("delete VolumeSnapshot {namespace}/{}", object.name_any())),
    }
}

/// The VolumeSnapshotContents that the run has left behind.
async fn contents(client: &Client, prefix: &str, namespaces: &[String]) -> Result<Vec<LeftContent>> {
    let contents: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshotContent", "volumesnapshotcontents"));
    let found = list_all(&contents, || "the VolumeSnapshotContents".into()).await?;
    let values: Vec<Value> = found.iter().map(value_of).collect::<Result<_>>()?;
    Ok(values.iter().filter_map(|content| snapshots::left_of_run(content, prefix, namespaces)).collect())
}

/// Lets the storage remove what a content stands for, and the content go.
async fn release(client: &Client, content: &LeftContent) -> Result<()> {
    let contents: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshotContent", "volumesnapshotcontents"));
    let what = || format!("remove VolumeSnapshotContent {}", content.name);
    if content.retains {
        let patch = Patch::Merge(json!({"spec": {"deletionPolicy": "Delete"}}));
        match contents.patch(&content.name, &PatchParams::apply(FIELD_MANAGER), &patch).await {
            Ok(_) => {}
            Err(error) if is_not_found(&error) => return Ok(()),
            Err(error) => return Err(error).context(what),
        }
    }
    if content.deleting {
        return Ok(());
    }
    match contents.delete(&content.name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error).context(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> TakenSnapshot {
        TakenSnapshot {
            namespace: "n".into(),
            claim: "files".into(),
            name: "p861-snap-u-x-1".into(),
            storage_class: "block".into(),
            bytes: 4096,
            time: "2026-11-15T01:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_was_read_of_a_snapshot_is_as_of_its_point_in_time() {
        let later: Timestamp = "2026-11-15T03:00:00Z".parse().unwrap();
        let part = SavedPart { part: "volumes/files".into(), files: 1, bytes: 2, added: 3, started_at: later, sha256: None, warnings: Vec::new(), warned: 0 };
        let EffectOutcome::Done(Some(Evidence::VolumeSaved(saved))) = as_of(EffectOutcome::done(Evidence::VolumeSaved(part)), &taken()) else { panic!("done") };
        assert_eq!((saved.started_at, saved.files, saved.bytes, saved.added), (taken().time, 1, 2, 3));
        assert!(matches!(as_of(EffectOutcome::running("reads"), &taken()), EffectOutcome::Running(_)));
    }

    #[test]
    fn the_claim_of_a_snapshot_is_the_runs_own_and_as_large_as_it_must_be() {
        let volume = volume("run-1", &taken(), 8192);
        let template = &volume["volumeClaimTemplate"];
        assert_eq!(template["metadata"]["labels"], json!({RUN_LABEL: "run-1", ROLE_LABEL: "mover"}), "so that no backup saves it");
        assert_eq!(template["spec"]["resources"]["requests"]["storage"], "8192");
        assert_eq!(template["spec"]["dataSource"], json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "p861-snap-u-x-1"}));
    }
}
