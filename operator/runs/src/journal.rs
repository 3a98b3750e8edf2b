//! Where a run's plan and journal are kept: an owned ConfigMap on the hub, or the plan's repository, which outlives the hub.
//!
//! Both have one operation that matters: append after exactly what was read. A ConfigMap is replaced by resourceVersion; in a bucket each batch of records
//! is an object named by its first sequence number and created only if absent.

use crate::{
    error::{Error, Result, Tried as _, is_conflict, is_not_found},
    repository::vault,
};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Api, Client, api::PostParams};
use p861_core::{
    engine::{Journal, Plan, Record},
    runs::Action,
};
use p861_vault::AsyncStore;
use std::collections::BTreeMap;

/// A record was refused: someone else has written.
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
        /// How people name the place.
        location: String,
    },
}

const PLAN: &str = "plan.json";
const RECORDS: &str = "journal.jsonl";

impl JournalStore {
    /// How people name the place.
    pub fn location(&self) -> String {
        match self {
            Self::ConfigMap { namespace, name, .. } => format!("configmap:{namespace}/{name}"),
            Self::Bucket { location, .. } => location.clone(),
        }
    }

    /// Stores the plan unless one is there already, and returns the one that is there.
    pub async fn begin(&self, plan: &Plan<Action>) -> Result<Plan<Action>> {
        let text = serde_json::to_string(plan).map_err(|error| Error::Internal(format!("the plan can't be written: {error}")))?;
        match self {
            Self::ConfigMap { client, namespace, name, owner } => {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                let map = ConfigMap {
                    metadata: kube::core::ObjectMeta { name: Some(name.clone()), owner_references: Some(vec![owner.clone()]), ..Default::default() },
                    data: Some(BTreeMap::from([(PLAN.to_owned(), text), (RECORDS.to_owned(), String::new())])),
                    ..Default::default()
                };
                match maps.create(&PostParams::default(), &map).await {
                    Ok(_) => {}
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error).tried(|| format!("create the journal {namespace}/{name}")),
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
            .ok_or_else(|| Error::transient("JournalMissing", format!("the journal {} was written and is not there", self.location())))
    }

    /// Plan and journal as they are stored; none if the run was never begun.
    pub async fn load(&self) -> Result<Option<(Plan<Action>, Journal)>> {
        let broken = |what: String| Error::Stated {
            reason: "JournalDamaged",
            message: format!("the journal {}: {what}", self.location()),
            category: crate::error::Category::NeedsPerson,
        };
        let (plan, lines) = match self {
            Self::ConfigMap { client, namespace, name, .. } => {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                let map = match maps.get(name).await {
                    Ok(map) => map,
                    Err(error) if is_not_found(&error) => return Ok(None),
                    Err(error) => return Err(error).tried(|| format!("read the journal {namespace}/{name}")),
                };
                let mut data = map.data.unwrap_or_default();
                let Some(plan) = data.remove(PLAN) else { return Err(broken(format!("the key {PLAN} is missing"))) };
                (plan, data.remove(RECORDS).unwrap_or_default())
            }
            Self::Bucket { store, prefix, .. } => {
                let plan = match store.get(&format!("{prefix}/{PLAN}")).await {
                    Ok(bytes) => String::from_utf8(bytes).map_err(|_| broken(format!("{PLAN} is not text")))?,
                    Err(error) if error.is_not_found() => return Ok(None),
                    Err(error) => return Err(vault("read the plan of the run", &error)),
                };
                let mut names: Vec<String> = store.list(&format!("{prefix}/records/")).await.map_err(|error| vault("list the journal", &error))?;
                names.sort();
                let mut lines = String::new();
                for name in names {
                    let bytes = store.get(&name).await.map_err(|error| vault("read the journal", &error))?;
                    lines.push_str(&String::from_utf8(bytes).map_err(|_| broken(format!("{name} is not text")))?);
                    lines.push('\n');
                }
                (plan, lines)
            }
        };
        let plan: Plan<Action> = serde_json::from_str(&plan).map_err(|error| broken(error.to_string()))?;
        let journal = Journal::from_lines(&lines).map_err(|error| broken(error.to_string()))?;
        Ok(Some((plan, journal)))
    }

    /// Appends records, all or none, after exactly the records before them.
    pub async fn append(&self, records: &[Record]) -> std::result::Result<(), StoreError> {
        let Some(first) = records.first() else { return Ok(()) };
        let mut text = String::new();
        for record in records {
            text.push_str(&serde_json::to_string(record).map_err(|error| Error::Internal(format!("a record can't be written: {error}")))?);
            text.push('\n');
        }
        match self {
            Self::ConfigMap { client, namespace, name, .. } => {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                let mut map = maps.get(name).await.tried(|| format!("read the journal {namespace}/{name}"))?;
                let data = map.data.get_or_insert_default();
                let stored = data.entry(RECORDS.to_owned()).or_default();
                let last = stored
                    .lines()
                    .rev()
                    .find(|line| !line.is_empty())
                    .and_then(|line| serde_json::from_str::<Record>(line).ok())
                    .map_or(0, |record| record.sequence);
                if last + 1 != first.sequence {
                    return Err(StoreError::Overtaken(last));
                }
                stored.push_str(&text);
                match maps.replace(name, &PostParams::default(), &map).await {
                    Ok(_) => Ok(()),
                    Err(error) if is_conflict(&error) => Err(StoreError::Overtaken(first.sequence)),
                    Err(error) => Err(StoreError::Other(Error::Kube { what: format!("append to the journal {namespace}/{name}"), source: Box::new(error) })),
                }
            }
            Self::Bucket { store, prefix, .. } => {
                match store.put_if_absent(&format!("{prefix}/records/{:08}.jsonl", first.sequence), text.clone().into_bytes()).await {
                    Ok(_) => Ok(()),
                    // Our own write may have arrived although its answer was lost: what is there decides.
                    Err(error) if error.is_already_exists() => match store.get(&format!("{prefix}/records/{:08}.jsonl", first.sequence)).await {
                        Ok(bytes) if bytes == text.as_bytes() => Ok(()),
                        _ => Err(StoreError::Overtaken(first.sequence)),
                    },
                    Err(error) => Err(StoreError::Other(vault("append to the journal", &error))),
                }
            }
        }
    }
}
