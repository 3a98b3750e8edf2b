//! What ended runs have left in a repository goes by the same limits as their objects: a repository keeps as many documents as the hub keeps objects, the newest
//! ([`p861_core::runs::stored_history`]). With the document of a drill go its journal and its report.
//!
//! The document goes last: who is interrupted finds it again, and goes on. What is gone is gone, so that two operators do no more than one.

use super::Place;
use crate::{controllers::drill::journal_prefix, reports};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Api, api::ListParams};
use p861_core::runs::{
    RunClass,
    history::EndedRun,
    stored_history::{StoredRun, beyond, folder},
};
use p861_crds::RunObject;
use p861_runs::{
    error::{ErrorContext as _, Result},
    repository::{self, AsyncStore},
};
use std::collections::BTreeSet;

/// Documents that go after each that was stored. More than one, so that what was interrupted, or went over a lowered limit, is made up for.
const MAX_REMOVED: usize = 4;
/// Objects of a journal that go at a time. A journal is compacted, so that it has far fewer.
const MAX_JOURNAL_OBJECTS: usize = 2_000;
/// Objects that are removed at once.
const PARALLEL_REMOVALS: usize = 16;

/// Removes what is beyond the limit that this run counts against, once its own document has been stored.
pub(super) async fn trim<K: RunObject>(place: &Place<'_>, store: &AsyncStore, run: &EndedRun) -> Result<()> {
    let keys = store.list(&folder(run)).await.map_err(|error| repository::vault("list the documents of ended runs", &error))?;
    let beyond = beyond(run, &keys);
    if beyond.is_empty() {
        return Ok(());
    }
    // A key is no proof: whoever writes to the bucket could name a run that goes on.
    // By their metadata alone: an object that this release can't read is there, too.
    let objects: Api<K> = Api::namespaced(place.context.hub.client.clone(), place.namespace);
    let objects = objects.list_metadata(&ListParams::default()).await.context(|| format!("list the {} objects of {}", run.class.kind(), place.namespace))?;
    let there: BTreeSet<String> = objects.items.into_iter().filter_map(|object| object.metadata.uid).collect();
    for old in beyond.iter().filter(|old| !there.contains(&old.uid)).take(MAX_REMOVED) {
        place.context.hub.leadership.ensure()?;
        remove(store, run, old).await?;
    }
    Ok(())
}

/// Removes one document of the group of `run`, after what belongs to it.
async fn remove(store: &AsyncStore, run: &EndedRun, old: &StoredRun) -> Result<()> {
    if let (RunClass::Drill, Some(plan)) = (run.class, run.group.last()) {
        let journal = store.list(&format!("{}/", journal_prefix(plan, &old.uid))).await;
        let journal = journal.map_err(|error| repository::vault(&format!("list the journal of drill {}", old.name), &error))?;
        let is_all = journal.len() <= MAX_JOURNAL_OBJECTS;
        delete(store, journal.into_iter().take(MAX_JOURNAL_OBJECTS)).await?;
        if !is_all {
            return Ok(());
        }
        delete(store, reports::ENDINGS.map(|ending| reports::key(&old.name, &old.uid, ending)).into_iter()).await?;
    }
    delete(store, std::iter::once(old.key.clone())).await?;
    let StoredRun { key, name, uid } = old;
    tracing::info!(kind = run.class.kind(), name, uid, "what an ended run had left in its repository was removed: {key} was beyond the limit");
    Ok(())
}

async fn delete(store: &AsyncStore, keys: impl Iterator<Item = String>) -> Result<()> {
    let removals = keys.map(|key| async move { store.delete(&key).await.map_err(|error| repository::vault(&format!("remove {key}"), &error)) });
    stream::iter(removals.collect::<Vec<_>>()).buffer_unordered(PARALLEL_REMOVALS).try_collect::<Vec<()>>().await.map(drop)
}

#[cfg(test)]
mod tests;
