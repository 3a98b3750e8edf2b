//! Ended runs leave the hub, as `spec.history` of their District says. What one proved is in the repository before its object goes.
//!
//! One document under `history/` has the object with its status, the plan and journal from its ConfigMap, the lists of what a restore
//! could not write and of what it left out, and the Approvals. (A drill's journal and report are in the repository already.) The ConfigMaps go with the object that owns them.
//!
//! A repository keeps as many documents as the hub keeps objects (`stored`).
//!
//! Every step may be repeated: the document is written again, as it is by now, and the object goes only at the version that was written.

mod stored;

use super::{all, restore::listing};
use crate::{context::Context, hub_cache::ReadFrom};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use p861_core::runs::{
    RunClass,
    history::{EndedRun, HistoryFacts, to_collect},
    packed, stored_history,
};
use p861_crds::{Approval, Backup, BackupRepository, Drill, MaintenanceTicket, Reason, Restore, RunObject, common::HistoryLimits};
use p861_runs::{
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    repository,
    run_objects::RunObjects,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Objects that one look removes at most: the rest is for the next one, so that a District's look stays short.
const MAX_COLLECTED_PER_LOOK: usize = 32;
/// Time limit of one look's removals. A repository that doesn't answer must not hold up the District.
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// Version of the stored document.
const FORMAT_VERSION: u32 = 1;

/// The runs of a namespace whose objects go now. `limits` are those of the District.
///
/// # Errors
/// If the objects can't be read.
pub async fn ended(context: &Context, namespace: &str, limits: HistoryLimits, now: Timestamp) -> Result<Vec<EndedRun>> {
    if to_collect(&facts(context, namespace, ReadFrom::Cache).await?, limits, now).is_empty() {
        return Ok(Vec::new());
    }
    // Removing is irreversible: read from the API server, not from the cache, which may lack a Restore that was just declared.
    let mut ended = to_collect(&facts(context, namespace, ReadFrom::ApiServer).await?, limits, now);
    ended.truncate(MAX_COLLECTED_PER_LOOK);
    Ok(ended)
}

async fn facts(context: &Context, namespace: &str, source: ReadFrom) -> Result<HistoryFacts> {
    Ok(HistoryFacts {
        backups: source.list(context, namespace).await?,
        restores: source.list(context, namespace).await?,
        drills: source.list(context, namespace).await?,
        tickets: source.list(context, namespace).await?,
        approvals: source.list(context, namespace).await?,
        applications: source.list(context, namespace).await?,
        plans: source.list(context, namespace).await?,
        policies: source.list(context, namespace).await?,
    })
}

/// Stores the runs in the repository and removes their objects. What fails is logged, and tried again at the next look; it does not hold up the others.
pub async fn collect(context: &Context, namespace: &str, ended: &[EndedRun]) {
    let all_of_them = async {
        let mut repositories: Vec<BackupRepository> = all(&context.hub.client, namespace).await?;
        repositories.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let repositories: Vec<String> = repositories.into_iter().filter_map(|repository| repository.metadata.name).collect();
        let place = Place { context, namespace, repositories: &repositories };
        let mut failed = Ok(());
        for run in ended {
            let collected = match run.class {
                RunClass::Backup | RunClass::Verification => place.collect::<Backup>(run).await,
                RunClass::Restore => place.collect::<Restore>(run).await,
                RunClass::Drill => place.collect::<Drill>(run).await,
                RunClass::Change => place.collect::<MaintenanceTicket>(run).await,
                // The first has no objects in this release, the second none of its own.
                RunClass::Failover | RunClass::Prune => Ok(()),
            };
            failed = failed.and(collected);
        }
        failed
    };
    match tokio::time::timeout(LOOK_TIMEOUT, all_of_them).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(namespace, reason = error.reason().as_str(), "ended runs stay on the hub for now: {error}"),
        Err(_) => tracing::warn!(namespace, "ended runs stay on the hub for now: storing them took longer than {LOOK_TIMEOUT:?}"),
    }
}

/// Where runs are stored and removed.
struct Place<'a> {
    context: &'a Context,
    namespace: &'a str,
    /// The namespace's repositories, sorted.
    repositories: &'a [String],
}

impl Place<'_> {
    async fn collect<K: RunObject>(&self, run: &EndedRun) -> Result<()> {
        let (namespace, name, kind) = (self.namespace, &run.name, run.class.kind());
        let objects: Api<K> = Api::namespaced(self.context.hub.client.clone(), namespace);
        let Some(object) = objects.get_opt(name).await.context(|| format!("read {kind} {name}"))? else { return Ok(()) };
        if !is_as_observed(object.meta(), run) {
            return Ok(());
        }
        let object = serde_json::to_value(&object).map_err(|error| Error::Internal(format!("{kind} {name} can't be written: {error}")))?;
        let files = self.files(&object, run).await?;
        let repository = repository_of(&object, &files, self.repositories).ok_or_else(|| {
            let message = format!("namespace {namespace} has no BackupRepository to store {kind} {name} in: declare one, or delete the object by hand");
            Error::invalid(Reason::NoRepository, message)
        })?;
        let store = repository::open_store(&self.context.hub, namespace, &repository).await?;
        let text = document(run, object, files, self.approvals(run).await?)?.to_string();
        let stored = store.put(&stored_history::key(run), text.into_bytes()).await;
        stored.map_err(|error| repository::vault(&format!("store {kind} {name} in repository {repository}"), &error))?;
        // What its end could not remove, because the repository did not answer.
        RunObjects::new(store.clone(), &run.uid).remove_all().await.map_err(|error| repository::vault("remove the run's objects", &error))?;
        self.remove_approvals(run).await?;
        let removed = objects.delete(name, &only(&run.uid, Some(&run.resource_version))).await.map(drop);
        gone(removed).context(|| format!("remove {kind} {name}"))?;
        tracing::info!(kind, namespace, name, repository, "an ended run left the hub: it is stored as {}", stored_history::key(run));
        // The object is gone in any case: what is still too much goes with the next of its group.
        if let Err(error) = stored::trim::<K>(self, &store, run).await {
            tracing::warn!(namespace, repository, reason = error.reason().as_str(), "what older {kind} runs left in the repository stays for now: {error}");
        }
        Ok(())
    }

    async fn approvals(&self, run: &EndedRun) -> Result<Vec<Approval>> {
        let approvals: Api<Approval> = Api::namespaced(self.context.hub.client.clone(), self.namespace);
        let mut found = Vec::new();
        for (name, uid) in &run.approvals {
            let approval = approvals.get_opt(name).await.context(|| format!("read Approval {name}"))?;
            found.extend(approval.filter(|approval| approval.metadata.uid.as_ref() == Some(uid)));
        }
        Ok(found)
    }

    async fn remove_approvals(&self, run: &EndedRun) -> Result<()> {
        let approvals: Api<Approval> = Api::namespaced(self.context.hub.client.clone(), self.namespace);
        for (name, uid) in &run.approvals {
            gone(approvals.delete(name, &only(uid, None)).await.map(drop)).context(|| format!("remove Approval {name}"))?;
        }
        Ok(())
    }

    /// The texts of its ConfigMaps: its record, plan and journal, and the lists of what it could not write and of what it left out.
    async fn files(&self, object: &Value, run: &EndedRun) -> Result<BTreeMap<String, String>> {
        let maps: Api<ConfigMap> = Api::namespaced(self.context.hub.client.clone(), self.namespace);
        let mut files = BTreeMap::new();
        for name in map_names(object, run) {
            let Some(map) = maps.get_opt(&name).await.context(|| format!("read ConfigMap {name}"))? else { continue };
            let parts = map.data.as_ref().and_then(|data| data.get("parts")?.parse().ok()).unwrap_or(1).min(listing::MAX_PARTS);
            let mut first = texts(map);
            // Each list has its own number of objects that it could not hold.
            if let Some(left) = first.remove("left") {
                first.insert(format!("{name}.left"), left);
            }
            files.extend(first);
            // A long list goes on in further ConfigMaps, under the same key.
            for number in 1..parts {
                let name = listing::part_name(&name, number);
                let Some(map) = maps.get_opt(&name).await.context(|| format!("read ConfigMap {name}"))? else { continue };
                files.extend(texts(map).into_iter().map(|(key, text)| (format!("{number}-{key}"), text)));
            }
        }
        Ok(files)
    }
}

/// Whether the object is the one that was decided about, unchanged.
fn is_as_observed(metadata: &kube::core::ObjectMeta, run: &EndedRun) -> bool {
    metadata.uid.as_ref() == Some(&run.uid) && metadata.resource_version.as_ref() == Some(&run.resource_version)
}

/// Deletes this object and no other of its name, and if a version is given only that.
fn only(uid: &str, version: Option<&String>) -> DeleteParams {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: version.cloned() };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() }
}

/// An object that is gone already, or has changed meanwhile, is no error: it stays, or the next look decides anew.
fn gone(removed: kube::Result<()>) -> kube::Result<()> {
    match removed {
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
        removed => removed,
    }
}

/// The ConfigMaps to store: that of its journal, which its status names, and what a restore could not write or left out.
fn map_names(object: &Value, run: &EndedRun) -> Vec<String> {
    let location = object["status"]["journal"]["location"].as_str().and_then(|location| location.strip_prefix("configmap:"));
    let journal = location.and_then(|location| location.rsplit('/').next()).map(str::to_owned);
    // The journal of a drill is in its repository; the record of what it began with is on the hub.
    let record = p861_core::names::journal(&run.name, run.class.noun(), &run.uid);
    let lists: &[&str] = if run.class == RunClass::Restore { &[listing::REFUSED, listing::LEFT_OUT] } else { &[] };
    std::iter::once(journal.unwrap_or(record)).chain(lists.iter().map(|list| format!("{}-{list}", run.name))).collect()
}

/// The texts of a ConfigMap by key, unpacked. One that can't be unpacked says so in its place.
fn texts(map: ConfigMap) -> BTreeMap<String, String> {
    let mut texts = map.data.unwrap_or_default();
    for (key, packed) in map.binary_data.unwrap_or_default() {
        if let Some(plain) = key.strip_suffix(packed::SUFFIX) {
            texts.insert(plain.to_owned(), packed::unpack(&packed.0).unwrap_or_else(|error| format!("{key} can't be unpacked: {error}")));
        }
    }
    texts
}

/// The repository that the run used; if it used none, or that isn't declared any more, the namespace's first.
fn repository_of(object: &Value, files: &BTreeMap<String, String>, declared: &[String]) -> Option<String> {
    let record: Value = files.get("run.json").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let named = [&object["status"]["repository"], &record["repository"]].into_iter().filter_map(Value::as_str);
    named.map(str::to_owned).find(|name| declared.contains(name)).or_else(|| declared.first().cloned())
}

/// What is stored of a run.
fn document(run: &EndedRun, mut object: Value, files: BTreeMap<String, String>, approvals: Vec<Approval>) -> Result<Value> {
    let mut approvals = serde_json::to_value(approvals).map_err(|error| Error::Internal(format!("an Approval can't be written: {error}")))?;
    for object in approvals.as_array_mut().into_iter().flatten().chain([&mut object]) {
        // Of use only to those who write it.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    }
    Ok(json!({"formatVersion": FORMAT_VERSION, "kind": run.class.kind(), "object": object, "files": files, "approvals": approvals}))
}

#[cfg(test)]
mod tests;
