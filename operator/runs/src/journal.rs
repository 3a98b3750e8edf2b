//! Stores of a run's plan and journal: an owned ConfigMap on the hub, or the plan's repository, which survives the loss of the hub.
//!
//! The essential operation is a conditional append after exactly the records read. A ConfigMap is replaced by resourceVersion; in a bucket each batch of
//! records is an object named by its first sequence number and created only if absent. Both are compacted as they grow (docs/ENGINE.md).
//!
//! Only the operator writes ConfigMaps of a district. Its bucket others can write to: what is stored there is sealed.

mod bucket;
mod format;
mod record;
mod sealing;

use crate::{
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    owned_maps::{MapContent, owned_map},
};
use format::{PLAN, RECORDS};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Api, Client, api::PostParams};
use p861_core::{
    engine::{Journal, MIN_RECORDS_SAVED, Plan, Record, sealed::ChainHead},
    runs::Action,
};
use p861_crds::Reason;
use p861_vault::AsyncStore;
pub use record::{RecordStore, RunRecord};
pub use sealing::{JournalKeys, KEY_SECRET, Sealing, missing};

/// A plan as it stands in a ConfigMap: whole, so that who reads it can compute its digest.
///
/// # Errors
/// `JournalFull` if it is too large for a ConfigMap.
pub fn plan_content(plan: &Plan<Action>) -> Result<MapContent> {
    let mut content = MapContent::default();
    format::put(&mut content.data, &mut content.binary_data, PLAN, format::plan_text(plan)?)?;
    Ok(content)
}

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
        /// How it is sealed.
        sealing: Box<Sealing>,
    },
}

/// A run as it is stored.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// Its plan.
    pub plan: Plan<Action>,
    /// Its journal.
    pub journal: Journal,
    /// The seal of the last record, if the journal is sealed.
    pub head: Option<ChainHead>,
}

impl JournalStore {
    /// Location, as shown to people.
    pub fn location(&self) -> String {
        match self {
            Self::ConfigMap { namespace, name, .. } => format!("configmap:{namespace}/{name}"),
            Self::Bucket { location, .. } => location.clone(),
        }
    }

    /// Whether plan and journal are where people of the district need not be able to read them.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Bucket { .. })
    }

    /// Stores the plan unless one is there already, and returns what is there. In a bucket no other plan than this one is taken, and the hub knows of it first.
    ///
    /// # Errors
    /// `JournalFull` if the plan is too large for a ConfigMap; otherwise as [`JournalStore::load`].
    pub async fn begin(&self, plan: &Plan<Action>) -> Result<StoredRun> {
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
            Self::Bucket { store, prefix, sealing, .. } => {
                sealing.put_pin(plan.digest(), None).await?;
                bucket::put_plan(store, prefix, sealing.seal_plan(&text)).await?;
            }
        }
        self.load().await?.ok_or_else(|| Error::transient(Reason::JournalMissing, format!("the journal {} was written and is not there", self.location())))
    }

    /// Reads plan and journal; none if the run was never begun. In a bucket this costs one list and one read per batch since the last compaction.
    ///
    /// # Errors
    /// `JournalDamaged` if they can't be parsed; of a sealed journal as [`Sealing::load`]; otherwise the hub's or the repository's error.
    pub async fn load(&self) -> Result<Option<StoredRun>> {
        let (client, namespace, name) = match self {
            Self::ConfigMap { client, namespace, name, .. } => (client, namespace, name),
            Self::Bucket { store, prefix, location, sealing } => return sealing.load(store, prefix, location).await,
        };
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
        let plan = format::read_plan(&plan).map_err(|what| self.broken(&what))?;
        let journal = Journal::from_lines(&text(RECORDS)?.unwrap_or_default()).map_err(|error| self.broken(&error.to_string()))?;
        Ok(Some(StoredRun { plan, journal, head: None }))
    }

    fn broken(&self, what: &str) -> Error {
        Error::Stated {
            reason: Reason::JournalDamaged,
            message: format!("the journal {}: {what}", self.location()),
            category: crate::error::Category::NeedsPerson,
        }
    }

    /// Appends records, all or none, after exactly the records before them: `head` is the last one's seal, if the journal is sealed. Returns the new head.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] if another orchestrator has written in between.
    pub async fn append(&self, head: Option<&ChainHead>, records: &[Record]) -> std::result::Result<Option<ChainHead>, StoreError> {
        let Some(first) = records.first() else { return Ok(head.cloned()) };
        match self {
            Self::ConfigMap { client, namespace, name, .. } => {
                let text = format::record_lines(records)?;
                replace_records(client, namespace, name, first.sequence.saturating_sub(1), |stored| stored + &text).await?;
                Ok(None)
            }
            Self::Bucket { store, prefix, sealing, .. } => {
                let (text, after) = sealing.seal_records(&head.cloned().unwrap_or_else(|| sealing.begin()), records)?;
                bucket::append(store, prefix, first.sequence, &text).await?;
                Ok(Some(after))
            }
        }
    }

    /// Keeps where others can't write which plan the run follows and which record is its last, if its journal is where others can write.
    ///
    /// # Errors
    /// As [`Sealing::put_pin`].
    pub async fn pin(&self, plan: &Plan<Action>, head: Option<&ChainHead>) -> Result<()> {
        match self {
            Self::ConfigMap { .. } => Ok(()),
            Self::Bucket { sealing, .. } => sealing.put_pin(plan.digest(), head).await,
        }
    }

    /// Compacts the stored journal if that saves enough, and returns the shorter one, whose head is the same. `journal` must be as stored; records that another
    /// process has written since are not lost.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] if another orchestrator has written in between.
    pub async fn compact(&self, plan: &Plan<Action>, journal: &Journal, head: Option<&ChainHead>) -> std::result::Result<Option<Journal>, StoreError> {
        let Some(shorter) = journal.compacted(plan, MIN_RECORDS_SAVED) else { return Ok(None) };
        match self {
            Self::ConfigMap { client, namespace, name, .. } => {
                let text = format::journal_text(&shorter)?;
                replace_records(client, namespace, name, shorter.sequence(), |_| text).await?;
            }
            Self::Bucket { store, prefix, sealing, .. } => {
                let Some(head) = head else { return Ok(None) };
                bucket::write_compacted(store, prefix, shorter.head().through, sealing.seal_compacted(head, &shorter)?).await?;
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
