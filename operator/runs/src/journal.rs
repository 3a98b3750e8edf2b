//! Stores of a run's plan and journal: an owned ConfigMap on the hub, or the plan's repository, which survives the loss of the hub.
//!
//! The essential operation is a conditional append after exactly the records read. A ConfigMap is replaced by resourceVersion; in a bucket each batch of
//! records is an object named by its first sequence number and created only if absent. Both are compacted as they grow (docs/ENGINE.md).

mod bucket;
mod format;
mod record;

use crate::{
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    owned_maps::owned_map,
    repository::vault,
};
use format::{PLAN, RECORDS};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Api, Client, api::PostParams};
use p861_core::{
    engine::{Journal, MIN_RECORDS_SAVED, Plan, Record},
    runs::Action,
};
use p861_crds::Reason;
use p861_vault::AsyncStore;
pub use record::{RecordStore, RunRecord};

/// Why records were not appended.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another orchestrator has appended.
    #[error("another orchestrator has written record {0}")]
    Overtaken(u64),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] Error),
}

/// A place for one run's journal.
#[derive(Clone)]
pub enum JournalStore {
    /// A ConfigMap that the run's object owns.
    ConfigMap {
        /// The hub.
        client: Client,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// The run's object.
        owner: OwnerReference,
    },
    /// Objects under a prefix of the plan's repository.
    Bucket {
        /// The repository's store.
        store: AsyncStore,
        /// Prefix of the run, without a slash at the end.
        prefix: String,
        /// Location, as shown to people.
        location: String,
    },
}

impl JournalStore {
    /// Location, as shown to people.
    pub fn location(&self) -> String {
        match self {
            Self::ConfigMap { namespace, name, .. } => format!("configmap:{namespace}/{name}"),
            Self::Bucket { location, .. } => location.clone(),
        }
    }

    /// Stores the plan unless one is there already, and returns the one that is there.
    ///
    /// # Errors
    /// `JournalFull` if the plan is too large for a ConfigMap; otherwise the hub's or the repository's error.
    pub async fn begin(&self, plan: &Plan<Action>) -> Result<Plan<Action>> {
        let text = format::plan_text(plan)?;
        match self {
            Self::ConfigMap { client, namespace, name, owner } => {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                let what = || format!("create the journal {namespace}/{name}");
                // The record of the run is there already, if its controller keeps one.
                let there = maps.get_opt(name).await.context(what)?;
                let mut map = there.clone().unwrap_or_else(|| owned_map(owner, name));
                if format::text_of(&map, PLAN).map_err(|what| self.broken(&what))?.is_none() {
                    format::put_text(&mut map, PLAN, text)?;
                    format::put_text(&mut map, RECORDS, String::new())?;
                    let written = match there {
                        Some(_) => maps.replace(name, &PostParams::default(), &map).await,
                        None => maps.create(&PostParams::default(), &map).await,
                    };
                    match written {
                        Ok(_) => {}
                        Err(error) if is_conflict(&error) => {}
                        Err(error) => return Err(error).context(what),
                    }
                }
            }
            Self::Bucket { store, prefix, .. } => match store.put_if_absent(&format!("{prefix}/{PLAN}"), text.into_bytes()).await {
                Ok(_) => {}
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(vault("store the plan of the run", &error)),
            },
        }
        self.load()
            .await?
            .map(|(plan, _)| plan)
            .ok_or_else(|| Error::transient(Reason::JournalMissing, format!("the journal {} was written and is not there", self.location())))
    }

    /// Reads plan and journal; none if the run was never begun. In a bucket this costs one list and one read per batch since the last compaction.
    ///
    /// # Errors
    /// `JournalDamaged` if they can't be parsed; otherwise the hub's or the repository's error.
    pub async fn load(&self) -> Result<Option<(Plan<Action>, Journal)>> {
        let (plan, lines) = match self {
            Self::ConfigMap { client, namespace, name, .. } => {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                let map = match maps.get(name).await {
                    Ok(map) => map,
                    Err(error) if is_not_found(&error) => return Ok(None),
                    Err(error) => return Err(error).context(|| format!("read the journal {namespace}/{name}")),
                };
                let text = |key| format::text_of(&map, key).map_err(|what| self.broken(&what));
                let Some(plan) = text(PLAN)? else {
                    // Only the record of a run that was about to begin.
                    let begins = text(record::RECORD)?.is_some() && text(RECORDS)?.is_none();
                    return if begins { Ok(None) } else { Err(self.broken(&format!("the key {PLAN} is missing"))) };
                };
                (plan, text(RECORDS)?.unwrap_or_default())
            }
            Self::Bucket { store, prefix, .. } => {
                let plan = match store.get(&format!("{prefix}/{PLAN}")).await {
                    Ok(bytes) => String::from_utf8(bytes).map_err(|_| self.broken(&format!("{PLAN} is not text")))?,
                    Err(error) if error.is_not_found() => return Ok(None),
                    Err(error) => return Err(vault("read the plan of the run", &error)),
                };
                (plan, bucket::load(store, prefix).await?)
            }
        };
        let plan = format::read_plan(&plan).map_err(|what| self.broken(&what))?;
        let journal = Journal::from_lines(&lines).map_err(|error| self.broken(&error.to_string()))?;
        Ok(Some((plan, journal)))
    }

    fn broken(&self, what: &str) -> Error {
        Error::Stated {
            reason: Reason::JournalDamaged,
            message: format!("the journal {}: {what}", self.location()),
            category: crate::error::Category::NeedsPerson,
        }
    }

    /// Appends records, all or none, after exactly the records before them.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] if another orchestrator has written in between.
    pub async fn append(&self, records: &[Record]) -> std::result::Result<(), StoreError> {
        let Some(first) = records.first() else { return Ok(()) };
        match self {
            Self::ConfigMap { client, namespace, name, .. } => {
                let text = format::record_lines(records)?;
                replace_records(client, namespace, name, first.sequence.saturating_sub(1), |stored| stored + &text).await
            }
            Self::Bucket { store, prefix, .. } => bucket::append(store, prefix, first.sequence, records).await,
        }
    }

    /// Compacts the stored journal if that saves enough, and returns the shorter one. `journal` must be as stored; records that another process has written
    /// since are not lost.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] if another orchestrator has written in between.
    pub async fn compact(&self, plan: &Plan<Action>, journal: &Journal) -> std::result::Result<Option<Journal>, StoreError> {
        let Some(shorter) = journal.compacted(plan, MIN_RECORDS_SAVED) else { return Ok(None) };
        match self {
            Self::ConfigMap { client, namespace, name, .. } => {
                let text = format::journal_text(&shorter)?;
                replace_records(client, namespace, name, shorter.sequence(), |_| text).await?;
            }
            Self::Bucket { store, prefix, .. } => {
                bucket::write_compacted(store, prefix, &shorter).await?;
                // Leftovers are never read, and the next compaction deletes them.
                if let Err(error) = bucket::delete_superseded(store, prefix).await {
                    tracing::warn!("the journal {} is compacted, but what it stands for can't be deleted: {error}", self.location());
                }
            }
        }
        Ok(Some(shorter))
    }
}

/// Changes the records of a ConfigMap, if the last of them is `last` and nobody else changes it meanwhile.
async fn replace_records(
    client: &Client,
    namespace: &str,
    name: &str,
    last: u64,
    change: impl FnOnce(String) -> String,
) -> std::result::Result<(), StoreError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut map = maps.get(name).await.context(|| format!("read the journal {namespace}/{name}"))?;
    let damaged = |what: String| Error::Stated { reason: Reason::JournalDamaged, message: what, category: crate::error::Category::NeedsPerson };
    let stored = format::text_of(&map, RECORDS).map_err(damaged)?.unwrap_or_default();
    let seen = format::last_sequence(&stored);
    if seen != last {
        return Err(StoreError::Overtaken(seen));
    }
    format::put_text(&mut map, RECORDS, change(stored))?;
    match maps.replace(name, &PostParams::default(), &map).await {
        Ok(_) => Ok(()),
        Err(error) if is_conflict(&error) => Err(StoreError::Overtaken(last.saturating_add(1))),
        Err(error) => Err(StoreError::Other(Error::Kube { what: format!("append to the journal {namespace}/{name}"), source: Box::new(error) })),
    }
}
