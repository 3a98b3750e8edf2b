//! What a run was begun with, on the hub beside its journal: a run that has begun is carried on with this, whatever becomes of the objects that it came from.
//!
//! The ConfigMap belongs to one run by its UID. While the run goes on it has a finalizer: neither a person nor the deletion of its namespace can take it away
//! before the run has cleaned up.

use super::{format, sealing::is_newer};
use crate::{
    context::Hub,
    error::{Category, Error, ErrorContext as _, Result, is_conflict, is_not_found},
    leadership::Leadership,
    owned_maps::{owned_map, owner_of},
};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Api, Client, ResourceExt as _, api::PostParams};
use p861_core::{
    engine::{Plan, sealed::Pin},
    names,
    recovery::plan_standing::listing,
    runs::{Action, RunClass, Scope},
};
use p861_crds::{Reason, RunObject, names::CLEANUP_FINALIZER};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The key of the record.
pub(super) const RECORD: &str = "run.json";
/// The key of the run's steps, for those who look at it: each with what it comes after, in the order of its plan.
const STEPS: &str = "steps.json";
/// The key of what is known of a journal that is elsewhere.
const PIN: &str = "pin.json";
/// Attempts to change the ConfigMap while others change it.
const MAX_WRITES: u32 = 5;

/// What a run was begun with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// UID of the run.
    pub uid: String,
    /// Its BackupRepository, by name; empty if it needs none.
    pub repository: String,
    /// Where its journal is, as shown to people.
    pub journal: String,
    /// What its actions might touch when it began. Used only if its District is gone.
    pub scope: Scope,
    /// What its conclusion depends on, as its kind writes it.
    pub facts: Value,
}

/// The place of a run's record: a ConfigMap that the run's object owns.
#[derive(Clone)]
pub struct RecordStore {
    client: Client,
    leadership: Leadership,
    namespace: String,
    name: String,
    owner: OwnerReference,
}

impl RecordStore {
    /// The place of this run of the object.
    ///
    /// # Errors
    /// If the object has no UID, that is, was not read from an API server.
    pub fn of<K: RunObject>(hub: &Hub, object: &K, class: RunClass, run: &str) -> Result<Self> {
        let owner = owner_of(object)?;
        Ok(Self {
            client: hub.client.clone(),
            leadership: hub.leadership.clone(),
            namespace: object.namespace().unwrap_or_default(),
            name: names::journal(&object.name_any(), class.noun(), run),
            owner,
        })
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn broken(&self, what: &str) -> Error {
        let message = format!("the record of the run, ConfigMap {}/{}: {what}", self.namespace, self.name);
        Error::Stated { reason: Reason::JournalDamaged, message, category: Category::NeedsPerson }
    }

    async fn get(&self) -> Result<Option<ConfigMap>> {
        self.maps().get_opt(&self.name).await.context(|| format!("read the record of the run, ConfigMap {}/{}", self.namespace, self.name))
    }

    /// Reads it; none if the run was never begun.
    ///
    /// # Errors
    /// `JournalDamaged` if it can't be parsed; otherwise the hub's error.
    pub async fn load(&self) -> Result<Option<RunRecord>> {
        let Some(map) = self.get().await? else { return Ok(None) };
        let text = format::text_of(&map, RECORD).map_err(|what| self.broken(&what))?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.broken(&error.to_string()))).transpose()
    }

    /// Stores it, also over one of an attempt to begin that came to nothing. With the steps of a plan that is kept elsewhere: where people of the district can read them.
    ///
    /// # Errors
    /// If this process doesn't lead, or the API server refuses.
    pub async fn put(&self, record: &RunRecord, plan_elsewhere: Option<&Plan<Action>>) -> Result<()> {
        self.leadership.ensure()?;
        let unwritable = |error: serde_json::Error| Error::Internal(format!("the record of the run can't be written: {error}"));
        let text = serde_json::to_string(record).map_err(unwritable)?;
        let steps = plan_elsewhere.map(|plan| serde_json::to_string(&listing(plan))).transpose().map_err(unwritable)?;
        let fill = |map: &mut ConfigMap| -> Result<()> {
            format::put_text(map, RECORD, text.clone())?;
            steps.clone().map_or(Ok(()), |steps| format::put_text(map, STEPS, steps))
        };
        let what = || format!("write the record of the run, ConfigMap {}/{}", self.namespace, self.name);
        let mut map = self.empty();
        fill(&mut map)?;
        match self.maps().create(&PostParams::default(), &map).await {
            Err(error) if is_conflict(&error) => {}
            done => return done.map(drop).context(what),
        }
        let mut map = self.get().await?.ok_or_else(|| Error::transient(Reason::JournalMissing, "the record of the run was written and is not there"))?;
        fill(&mut map)?;
        self.maps().replace(&self.name, &PostParams::default(), &map).await.map(drop).context(what)
    }

    /// What is known of the run's journal; none before the run begins, or if the journal is here.
    ///
    /// # Errors
    /// `JournalDamaged` if it can't be parsed; otherwise the hub's error.
    pub async fn pin(&self) -> Result<Option<Pin>> {
        let map = self.get().await?;
        map.as_ref().map_or(Ok(None), |map| self.pin_in(map))
    }

    fn pin_in(&self, map: &ConfigMap) -> Result<Option<Pin>> {
        let text = format::text_of(map, PIN).map_err(|what| self.broken(&what))?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.broken(&error.to_string()))).transpose()
    }

    /// Keeps what is known of the run's journal.
    ///
    /// # Errors
    /// [`Error::RunLost`] if more is known already; otherwise if this process doesn't lead, or the API server refuses.
    pub async fn put_pin(&self, pin: &Pin) -> Result<()> {
        let text = serde_json::to_string(pin).map_err(|error| Error::Internal(format!("the record of the run can't be written: {error}")))?;
        let what = || format!("write the record of the run, ConfigMap {}/{}", self.namespace, self.name);
        for _ in 0..MAX_WRITES {
            let there = self.get().await?;
            is_newer(there.as_ref().map_or(Ok(None), |map| self.pin_in(map))?.as_ref(), pin)?;
            let mut map = there.clone().unwrap_or_else(|| self.empty());
            format::put_text(&mut map, PIN, text.clone())?;
            self.leadership.ensure()?;
            let written = match there {
                Some(_) => self.maps().replace(&self.name, &PostParams::default(), &map).await,
                None => self.maps().create(&PostParams::default(), &map).await,
            };
            match written {
                Err(error) if is_conflict(&error) => {}
                done => return done.map(drop).context(what),
            }
        }
        Err(Error::transient(Reason::JournalBusy, format!("ConfigMap {}/{} was changed each time it was to be written", self.namespace, self.name)))
    }

    /// A ConfigMap with nothing in it, which nobody can take away before the run has cleaned up.
    fn empty(&self) -> ConfigMap {
        let mut map = owned_map(&self.owner, &self.name);
        map.metadata.finalizers = Some(vec![CLEANUP_FINALIZER.to_owned()]);
        map
    }

    /// Whether it may not be deleted: the run was begun, and has neither ended nor come to nothing.
    ///
    /// # Errors
    /// The hub's error.
    pub async fn is_held(&self) -> Result<bool> {
        let map = self.get().await?;
        Ok(map.is_some_and(|map| map.finalizers().iter().any(|finalizer| finalizer == CLEANUP_FINALIZER)))
    }

    /// Lets it be deleted: the run has ended, or never began.
    ///
    /// # Errors
    /// If this process doesn't lead, or the API server refuses.
    pub async fn release(&self) -> Result<()> {
        for _ in 0..MAX_WRITES {
            let Some(mut map) = self.get().await? else { return Ok(()) };
            let finalizers = map.metadata.finalizers.get_or_insert_default();
            if !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
                return Ok(());
            }
            finalizers.retain(|finalizer| finalizer != CLEANUP_FINALIZER);
            self.leadership.ensure()?;
            match self.maps().replace(&self.name, &PostParams::default(), &map).await {
                Err(error) if is_conflict(&error) => {}
                Err(error) if is_not_found(&error) => return Ok(()),
                done => return done.map(drop).context(|| format!("release ConfigMap {}/{}", self.namespace, self.name)),
            }
        }
        Err(Error::transient(Reason::JournalBusy, format!("ConfigMap {}/{} was changed each time it was to be released", self.namespace, self.name)))
    }
}
