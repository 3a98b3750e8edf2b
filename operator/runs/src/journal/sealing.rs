//! A journal in a repository, sealed: the key, what the hub knows of the journal, and reading it.
//!
//! The district has the credentials of that bucket. What is read from there is acted upon only if its seals hold (`p861_core::engine::sealed`) and it is no older
//! than the hub knows: by the run's record, which is written before the first effect and by each process that takes the run, and by the run's status.

use super::{StoredRun, bucket, format, record::RecordStore};
use crate::{
    context::Hub,
    error::{Category, Error, Result},
    secrets::SecretsOf,
};
use p861_core::{
    engine::{
        Journal, Plan, Record,
        sealed::{self, ChainHead, MasterKey, OpenError, Pin, RunKey, Tampered},
    },
    runs::{Action, RunClass},
};
use p861_crds::{Reason, RunObject, RunStatus as _, common::JournalReference};
use p861_vault::AsyncStore;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// The Secret with the key from which the journals' keys are derived, in the operator's namespace.
pub const KEY_SECRET: &str = "p861-journals";
/// The key of that Secret.
const KEY: &str = "key";
/// Time until a journal whose seals don't hold is read once more: a store may have answered with something stale.
const SECOND_LOOK_WAIT: Duration = Duration::from_millis(500);

/// The key of journals. It is read once, or made, and kept as long as the process lives: a run that has begun goes on without the Secret.
#[derive(Clone, Debug, Default)]
pub struct JournalKeys(Arc<tokio::sync::Mutex<Option<MasterKey>>>);

impl JournalKeys {
    /// The key of a run's journal.
    ///
    /// # Errors
    /// `JournalKeyLost` if the Secret has something else; otherwise if it can't be read or made.
    pub async fn of_run(&self, hub: &Hub, namespace: &str, uid: &str) -> Result<RunKey> {
        let mut master = self.0.lock().await;
        let master = match &mut *master {
            Some(master) => master,
            none => none.insert(read_key(hub).await?),
        };
        Ok(master.of_district(namespace).of_run(uid))
    }

    /// Reads the key anew the next time: somebody may have put the former one back.
    async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

async fn read_key(hub: &Hub) -> Result<MasterKey> {
    let secrets = SecretsOf::operator(&hub.client, &hub.namespace);
    let (found, made) = secrets.found_or_made(&hub.leadership, KEY_SECRET, KEY).await?;
    if made {
        tracing::info!(namespace = hub.namespace, name = KEY_SECRET, "made the key that seals journals");
    }
    found.get(KEY).and_then(MasterKey::from_text).ok_or_else(|| {
        let message = format!("Secret {}/{KEY_SECRET} has no {KEY} of 64 hexadecimal digits: put back the one that was there", hub.namespace);
        Error::Stated { reason: Reason::JournalKeyLost, message, category: Category::NeedsPerson }
    })
}

/// Where it is kept what is known of a journal, beyond the reach of who can write to the journal.
#[derive(Clone)]
enum Pins {
    /// In the run's record on the hub.
    Hub(Box<RecordStore>),
    /// In this process, as long as it lives.
    Process(Arc<Mutex<Option<Pin>>>),
}

/// How a journal is sealed, and what is known of it.
#[derive(Clone)]
pub struct Sealing {
    key: RunKey,
    /// Where the key is from; none without a hub.
    keys: Option<JournalKeys>,
    pins: Pins,
    /// What the run's status says.
    status: Option<JournalReference>,
}

impl Sealing {
    /// Of a run of the hub.
    ///
    /// # Errors
    /// If the object has no UID, or the key can't be read or made.
    pub async fn of_object<K: RunObject>(hub: &Hub, object: &K, class: RunClass, run_uid: &str) -> Result<Self> {
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let key = hub.journal_keys.of_run(hub, &namespace, run_uid).await?;
        let pins = Pins::Hub(Box::new(RecordStore::of(hub, object, class, run_uid)?));
        Ok(Self { key, keys: Some(hub.journal_keys.clone()), pins, status: object.run_status().and_then(|status| status.journal().cloned()) })
    }

    /// Of a run without a hub, by the key that was handed over. Nothing is known of its journal but what this process has seen.
    pub fn without_hub(key: RunKey) -> Self {
        Self { key, keys: None, pins: Pins::Process(Arc::default()), status: None }
    }

    /// The head of a journal without records.
    pub fn begin(&self) -> ChainHead {
        ChainHead::begin(&self.key)
    }

    async fn pin(&self) -> Result<Option<Pin>> {
        match &self.pins {
            Pins::Hub(record) => record.pin().await,
            Pins::Process(pin) => Ok(pin.lock().clone()),
        }
    }

    /// Keeps which plan the run follows, and the last of its records, for whoever reads the journal next.
    ///
    /// # Errors
    /// [`Error::RunLost`] if a later record is known; otherwise if this process doesn't lead, or the API server refuses.
    pub async fn put_pin(&self, plan: &str, head: Option<&ChainHead>) -> Result<()> {
        let pin = Pin { plan: plan.to_owned(), key: self.key.id().to_owned(), head: head.cloned() };
        match &self.pins {
            Pins::Hub(record) => record.put_pin(&pin).await,
            Pins::Process(known) => {
                let mut known = known.lock();
                is_newer(known.as_ref(), &pin)?;
                *known = Some(pin);
                Ok(())
            }
        }
    }

    /// The plan's text as it is stored.
    pub fn seal_plan(&self, text: &str) -> String {
        sealed::seal_plan(&self.key, text)
    }

    /// Records as they are stored, and the head after them.
    ///
    /// # Errors
    /// If a record can't be written as JSON.
    pub fn seal_records(&self, head: &ChainHead, records: &[Record]) -> Result<(String, ChainHead)> {
        sealed::seal_records(&self.key, head, records).map_err(|error| format::unwritable(&error))
    }

    /// A compacted journal as it is stored.
    ///
    /// # Errors
    /// If a record can't be written as JSON.
    pub fn seal_compacted(&self, head: &ChainHead, shorter: &Journal) -> Result<String> {
        sealed::seal_compacted(&self.key, head, shorter).map_err(|error| format::unwritable(&error))
    }

    /// Reads plan and journal; none if the run was never begun.
    ///
    /// # Errors
    /// `JournalTampered` if it isn't what the operator has stored; `JournalMissing` if all of it is gone, and the run has begun; `JournalKeyLost` if it was sealed
    /// with another key; `JournalDamaged` if this release can't read it; otherwise the repository's or the hub's error.
    pub async fn load(&self, store: &AsyncStore, prefix: &str, location: &str) -> Result<Option<StoredRun>> {
        let looked = match self.look(store, prefix, location).await? {
            Looked::Tampered(_) => {
                tokio::time::sleep(SECOND_LOOK_WAIT).await;
                self.look(store, prefix, location).await?
            }
            looked => looked,
        };
        match looked {
            Looked::Nothing => Ok(None),
            Looked::Stored(run) => Ok(Some(*run)),
            Looked::Tampered(how) => {
                Err(stated(Reason::JournalTampered, format!("the journal {location} was changed by somebody other than the operator: {how}")))
            }
        }
    }

    async fn look(&self, store: &AsyncStore, prefix: &str, location: &str) -> Result<Looked> {
        let pin = self.pin().await?;
        if let Some(pin) = pin.as_ref().filter(|pin| pin.key != self.key.id()) {
            if let Some(keys) = &self.keys {
                keys.forget().await;
            }
            let (sealed, present) = (&pin.key, self.key.id());
            let message =
                format!("the journal {location} was sealed with key {sealed}, and Secret {KEY_SECRET} has another, {present}: put back the one that was there");
            return Err(stated(Reason::JournalKeyLost, message));
        }
        let Some(plan) = bucket::read_plan(store, prefix).await? else {
            return if pin.is_some_and(|pin| pin.head.is_some()) { Err(missing(location)) } else { Ok(Looked::Nothing) };
        };
        let damaged = |what: &str| stated(Reason::JournalDamaged, format!("the journal {location}: {what}"));
        let text = match sealed::open_plan(&self.key, &plan) {
            Ok(text) => text,
            Err(how) => return Ok(Looked::Tampered(how)),
        };
        let plan: Plan<Action> = format::read_plan(&text).map_err(|what| damaged(&what))?;
        let (of_record, of_status) = (pin.as_ref().and_then(|pin| pin.head.clone()), self.status.as_ref().and_then(head_of));
        let known: Vec<ChainHead> = of_record.into_iter().chain(of_status).collect();
        let opened = match sealed::open(&self.key, &bucket::load(store, prefix).await?, &known) {
            Ok(opened) => opened,
            Err(OpenError::Tampered(how)) => return Ok(Looked::Tampered(how)),
            Err(OpenError::Unreadable(error)) => return Err(damaged(&error.to_string())),
        };
        let pinned = pin.as_ref().map(|pin| pin.plan.as_str()).into_iter().chain(self.status.as_ref().and_then(|status| status.plan.as_deref()));
        if let Err(how) = sealed::same_plan(plan.digest(), pinned, &opened.journal) {
            return Ok(Looked::Tampered(how));
        }
        Ok(Looked::Stored(Box::new(StoredRun { plan, journal: opened.journal, head: Some(opened.head) })))
    }
}

enum Looked {
    Nothing,
    Stored(Box<StoredRun>),
    Tampered(Tampered),
}

fn stated(reason: Reason, message: String) -> Error {
    Error::Stated { reason, message, category: Category::NeedsPerson }
}

/// A run whose journal is gone: what it did is not known.
pub fn missing(location: &str) -> Error {
    let message = format!(
        "the journal {location} is gone: what this run did can't be known, and it goes no further. Look at what it touches, mend it by hand, and delete this object"
    );
    stated(Reason::JournalMissing, message)
}

/// The last record that a status knows of.
fn head_of(status: &JournalReference) -> Option<ChainHead> {
    Some(ChainHead { sequence: u64::try_from(status.sequence).ok()?, seal: status.seal.clone()? })
}

/// Refuses to go back behind what is known: somebody else has the run.
///
/// # Errors
/// [`Error::RunLost`].
pub fn is_newer(known: Option<&Pin>, pin: &Pin) -> Result<()> {
    let sequence = |pin: &Pin| pin.head.as_ref().map_or(0, |head| head.sequence);
    match known.map(sequence).filter(|known| *known > sequence(pin)) {
        Some(known) => Err(Error::RunLost(format!("another orchestrator has written record {known}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "sealing_tests.rs"]
mod tests;
