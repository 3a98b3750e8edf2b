//! What a kind of run states of itself. Everything else about a run is [`crate::controller`]'s.

use crate::{
    cache::RunIdentity,
    context::Hub,
    error::{Error, Result},
    journal::JournalStore,
    pass::Pass,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    conditions::Verdict,
    engine::Plan,
    runs::{Action, Conclusion, RepositoryUse, Request, RunClass, RunOutcome, RunRef, Scope},
};
use p861_crds::{RunObject, common::RunAction};
use std::time::Duration;

/// Whether a run can begin, or go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness<T> {
    /// It can.
    Ready(T),
    /// Not yet. The object says so in its condition `Succeeded`.
    Wait {
        /// Reason of the condition.
        reason: &'static str,
        /// For people: for what, and what to do if it lasts.
        message: String,
        /// When to look again.
        again: Duration,
    },
}

/// Where a run keeps its journal, and which repository its movers use.
#[derive(Clone)]
pub struct RunPlace {
    /// BackupRepository, by name; empty if no mover of it needs one.
    pub repository: String,
    /// The journal.
    pub journal: JournalStore,
    /// What the run's actions may touch.
    pub scope: Scope,
}

/// A kind of run: what it reads, how it compiles, and what follows from where it stands. `compile` and `conclude` are pure.
///
/// An error of category Invalid from `locate`, `gather` or `compile` refuses a run that has not begun. A run that has begun goes by its stored plan.
pub trait RunKind: Send + Sync + 'static {
    /// Its object on the hub.
    type Object: RunObject;
    /// What it gathers.
    type Facts: Send + Sync;
    /// Its class: precedence, names, metrics.
    const CLASS: RunClass;

    /// Who the run is, for its movers, labels and journal.
    fn identity(object: &Self::Object, place: &RunPlace) -> RunIdentity {
        RunIdentity {
            kind: Self::CLASS.kind(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            repository: place.repository.clone(),
            scope: place.scope.clone(),
        }
    }

    /// What people asked of the run.
    fn actions(&self, object: &Self::Object) -> Vec<RunAction> {
        object.actions().to_vec()
    }

    /// Finds the run's repository and journal. Reads only.
    fn locate(&self, object: &Self::Object) -> impl Future<Output = Result<Readiness<RunPlace>>> + Send;

    /// Reads what `compile` (before the run has begun) and `conclude` need. Reads only.
    fn gather(&self, object: &Self::Object, place: &RunPlace, begun: bool) -> impl Future<Output = Result<Self::Facts>> + Send;

    /// What the run uses, for admission; none if it may run beside everything. Called before it begins, and again when a process takes it up.
    fn request(_object: &Self::Object, _place: &RunPlace, _facts: &Self::Facts) -> Option<Request> {
        None
    }

    /// Compiles the plan.
    ///
    /// # Errors
    /// Of category Invalid: the run is refused with it.
    fn compile(object: &Self::Object, facts: &Self::Facts) -> Result<Plan<Action>>;

    /// What follows from where the run stands. `before` has the fields that follow from the journal alone.
    fn conclude(
        object: &Self::Object,
        facts: &Self::Facts,
        before: &<Self::Object as RunObject>::Status,
        run: &RunOutcome<'_>,
    ) -> Conclusion<<Self::Object as RunObject>::Status>;

    /// What a run that ended leaves behind beside its status: reports, metrics. Called once more after a crash before the status was written.
    fn finish(
        &self,
        _object: &Self::Object,
        _facts: &Self::Facts,
        _status: &mut <Self::Object as RunObject>::Status,
        _pass: &Pass,
    ) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// More that a refused run's status says.
    fn refuse(_status: &mut <Self::Object as RunObject>::Status) -> Vec<Verdict> {
        Vec::new()
    }
}

/// A request for the run of an object that uses its repository beside others, and nothing else yet.
pub fn request_of<K: RunObject>(object: &K, class: RunClass, place: &RunPlace) -> Request {
    let run = RunRef { class, namespace: object.namespace().unwrap_or_default(), name: object.name_any(), uid: object.uid().unwrap_or_default() };
    let created = object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Request { repository: Some((place.repository.clone(), RepositoryUse::Shared)), ..Request::new(run, created) }
}

/// A journal on the hub: a ConfigMap of that name, owned by the run's object.
///
/// # Errors
/// If the object has no UID, which no object of an API server lacks.
pub fn journal_on_hub<K: RunObject>(hub: &Hub, object: &K, name: String) -> Result<JournalStore> {
    let owner = object.controller_owner_ref(&()).ok_or_else(|| Error::Internal(format!("{} {} has no UID", K::kind(&()), object.name_any())))?;
    Ok(JournalStore::ConfigMap { client: hub.client.clone(), namespace: object.namespace().unwrap_or_default(), name, owner })
}
