//! Interface of a kind of run. Everything that all kinds share is in [`crate::controller`].

use crate::{
    cache::RunIdentity,
    context::Hub,
    error::{Category, Error, Result},
    journal::{JournalStore, RunRecord},
    owned_maps::owner_of,
    pass::Pass,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    conditions::ConditionUpdate,
    engine::Plan,
    names,
    runs::{Action, Conclusion, RepositoryUse, Request, RunClass, RunOutcome, RunRef, Scope},
};
use p861_crds::{Reason, RunObject, common::RunAction};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;

/// Whether a run can begin or continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness<T> {
    /// It can; with the value that it needs.
    Ready(T),
    /// Not yet. The object's condition `Succeeded` gives reason and message.
    Wait {
        /// Reason of the condition.
        reason: Reason,
        /// What it waits for, and what to do if the wait lasts; shown to people.
        message: String,
        /// Time until the next attempt.
        again: Duration,
    },
}

/// Where a run keeps its journal, and which repository its movers use.
#[derive(Clone)]
pub struct RunPlace {
    /// BackupRepository, by name; empty if no mover of it needs one.
    pub repository: String,
    /// Most runs in it at once, where it says so.
    pub repository_runs: Option<usize>,
    /// The journal.
    pub journal: JournalStore,
    /// What the run's actions may touch.
    pub scope: Scope,
}

/// A kind of run: what it reads, the plan that it compiles, and the status that it concludes. `compile` and `conclude` are pure.
///
/// An Invalid error from `locate`, `gather` or `compile` refuses a run that has not begun. A run that has begun follows its stored plan and is concluded from its
/// [`RunRecord`]: `locate` and `gather` take what they need from there, so that nothing that is deleted meanwhile keeps it from cleaning up.
pub trait RunKind: Send + Sync + 'static {
    /// Its object on the hub.
    type Object: RunObject;
    /// Observed state that `compile` and `conclude` depend on.
    type Facts: Send + Sync;
    /// Its class: precedence, names, metrics.
    const CLASS: RunClass;

    /// UID of the object's present run.
    fn run_uid(object: &Self::Object) -> String {
        object.uid().unwrap_or_default()
    }

    /// Identity of the run in its movers, labels and journal.
    fn identity(object: &Self::Object, place: &RunPlace) -> RunIdentity {
        RunIdentity {
            kind: Self::CLASS.kind(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: Self::run_uid(object),
            repository: place.repository.clone(),
            scope: place.scope.clone(),
        }
    }

    /// Actions that people requested, oldest first.
    fn actions(&self, object: &Self::Object) -> Vec<RunAction> {
        object.actions().to_vec()
    }

    /// Finds the run's repository and journal. Called in every pass; must not write. Once the run has begun they are those of its record.
    ///
    /// # Errors
    /// Of category Invalid: the run is refused with it. Others are retried.
    fn locate(&self, object: &Self::Object, begun: Option<&RunRecord>) -> impl Future<Output = Result<Readiness<RunPlace>>> + Send;

    /// Reads the state that `compile` (only before the run has begun) and `conclude` need. Called in every pass; must not write. Once the run has begun, what
    /// `conclude` needs is in its record, and no object needs to exist any more.
    ///
    /// # Errors
    /// Of category Invalid: the run is refused with it. Others are retried.
    fn gather(&self, object: &Self::Object, place: &RunPlace, begun: Option<&RunRecord>) -> impl Future<Output = Result<Self::Facts>> + Send;

    /// What of the facts `gather` must find in the record of a run that has begun.
    ///
    /// # Errors
    /// If it can't be written as JSON.
    fn remember(_facts: &Self::Facts) -> Result<Value> {
        Ok(Value::Null)
    }

    /// What the run uses, for admission; none if it may run beside everything. Called before it begins, and again when a process takes it up.
    fn request(_object: &Self::Object, _place: &RunPlace, _facts: &Self::Facts) -> Option<Request> {
        None
    }

    /// Compiles the plan.
    ///
    /// # Errors
    /// Of category Invalid: the run is refused with it.
    fn compile(object: &Self::Object, facts: &Self::Facts) -> Result<Plan<Action>>;

    /// Derives status, conditions and findings from the run's progress. `before` already has the fields that follow from the journal alone.
    fn conclude(
        object: &Self::Object,
        facts: &Self::Facts,
        before: &<Self::Object as RunObject>::Status,
        run: &RunOutcome<'_>,
    ) -> Conclusion<<Self::Object as RunObject>::Status>;

    /// Publishes results other than the status when the run ends: reports, metrics. Must be idempotent: a crash before the status is written repeats it.
    fn finish(
        &self,
        _object: &Self::Object,
        _facts: &Self::Facts,
        _status: &mut <Self::Object as RunObject>::Status,
        _pass: &Pass,
    ) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Additional fields and conditions of a run whose journal can't be trusted: it ends as failed, and what it has made stays.
    fn stop(_status: &mut <Self::Object as RunObject>::Status) -> Vec<ConditionUpdate> {
        Vec::new()
    }

    /// Additional fields and conditions of a refused run's status.
    fn refuse(_status: &mut <Self::Object as RunObject>::Status) -> Vec<ConditionUpdate> {
        Vec::new()
    }
}

/// A request for the run of an object that uses its repository beside others, and nothing else yet.
pub fn request_of<K: RunObject>(object: &K, class: RunClass, place: &RunPlace) -> Request {
    let run = RunRef { class, namespace: object.namespace().unwrap_or_default(), name: object.name_any(), uid: object.uid().unwrap_or_default() };
    let created = object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let repository = Some((place.repository.clone(), RepositoryUse::Shared));
    Request { repository, repository_runs: place.repository_runs, ..Request::new(run, created) }
}

/// A journal on the hub: a ConfigMap that the run's object owns, and that no other run has.
///
/// # Errors
/// If the object has no UID, that is, was not read from an API server.
pub fn journal_on_hub<K: RunObject>(hub: &Hub, object: &K, class: RunClass, run_uid: &str) -> Result<JournalStore> {
    let owner = owner_of(object)?;
    let name = names::journal(&object.name_any(), class.noun(), run_uid);
    Ok(JournalStore::ConfigMap { client: hub.client.clone(), namespace: object.namespace().unwrap_or_default(), name, owner })
}

/// The facts in a run's record, as its kind has written them.
///
/// # Errors
/// `JournalDamaged` if they can't be read.
pub fn remembered<T: DeserializeOwned>(record: &RunRecord) -> Result<T> {
    serde_json::from_value(record.facts.clone()).map_err(|error| Error::Stated {
        reason: Reason::JournalDamaged,
        message: format!("what the run was begun with can't be read: {error}; go on with the release that began it"),
        category: Category::NeedsPerson,
    })
}

/// Facts for a run's record.
///
/// # Errors
/// If they can't be written as JSON.
pub fn to_remember<T: Serialize>(facts: &T) -> Result<Value> {
    serde_json::to_value(facts).map_err(|error| Error::Internal(format!("the record of the run can't be written: {error}")))
}
