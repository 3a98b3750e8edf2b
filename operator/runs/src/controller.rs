//! The controller that all kinds of runs share: finalizer, refusal, claim, passes, status, findings, Events, metrics.

mod ending;
mod pace;
mod vanished;

use crate::{
    admissions::Answer,
    cache::RunIdentity,
    context::{Hub, RunContext},
    error::{Category, Error, ErrorContext as _, Result},
    finalizer,
    journal::{self, RecordStore, RunRecord},
    kind::{Readiness, RunKind, RunPlace},
    pass::{self, Pass, Stored},
    repository,
    run_objects::RunObjects,
    status::{apply_status, publish_event},
    view::view,
};
use ending::{refuse, stop, untrusted};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Resource, ResourceExt as _, runtime::events::EventType};
use p861_core::{
    conditions::{self, ConditionUpdate},
    engine::{Event, Plan},
    runs::{Action, BackupFinding, RunClass},
    told::Noun,
};
use p861_crds::{
    Backup, Condition, ConditionType, Reason, RunObject, RunStatus,
    common::{ActionKind, RunAction, RunPhase},
};
use std::{sync::Arc, time::Duration};

pub use vanished::{clean_up, has_left};

/// Time between passes while effects are in progress.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time between reconciles of an ended run, whose object may be deleted.
pub const ENDED_INTERVAL: Duration = Duration::from_mins(10);
/// Time between admission requests of a run that waits for others.
const ADMISSION_INTERVAL: Duration = Duration::from_secs(1);
/// Time between reconciles of a run whose journal is missing.
const LOST_JOURNAL_INTERVAL: Duration = Duration::from_mins(1);
/// Time between attempts to remove an ended run's objects from its repository.
const OBJECTS_INTERVAL: Duration = Duration::from_secs(30);
/// How long after its end a run waits for a repository that doesn't answer, to remove its objects.
const OBJECTS_PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Time between attempts to carry on a run that has begun, while something keeps it from that which only a person mends.
const HINDERED_INTERVAL: Duration = Duration::from_secs(30);
/// How long after its end a run tries to write its report and what it found of backups.
const RESULTS_PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Longest time between passes of a run without effects in progress.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Shortest time between passes of a run without effects in progress.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// Result of carrying a run on by one pass.
pub enum Carried<S> {
    /// The run made a pass.
    On {
        /// Its status, not written yet.
        status: Box<S>,
        /// What the pass did.
        pass: Box<Pass>,
        /// Identity of the run.
        run: Box<RunIdentity>,
    },
    /// It can't begin yet.
    Waits {
        /// Reason of its condition.
        reason: Reason,
        /// For what, and what to do if it lasts.
        message: String,
        /// Time until the next attempt.
        again: Duration,
    },
    /// It can't begin as it is specified. Nothing was done.
    Refused {
        /// Why.
        error: Error,
    },
    /// The run began, but its journal is missing. Its effects are unknown, so nothing is done and nothing is undone.
    JournalMissing {
        /// Where the journal was, and what to do; shown to people.
        message: String,
    },
    /// Somebody else has changed its journal or its plan. Nothing of it is done, and nothing is undone: a person decides.
    Tampered {
        /// How, and what to do; shown to people.
        message: String,
        /// Identity of the run.
        run: Box<RunIdentity>,
    },
}

/// Reconciles a run's object, for kinds whose object is only a run. Returns the time until the next reconcile.
///
/// # Errors
/// The failed read or write, with its category. The next pass starts from the stored journal.
pub async fn reconcile<K: RunKind>(context: &RunContext, kind: &K, object: &K::Object, now: Timestamp) -> Result<Duration> {
    let status = object.run_status().cloned().unwrap_or_default();
    let deleted = object.meta().deletion_timestamp.is_some();
    if status.phase().is_some_and(RunPhase::is_end) || (deleted && !finalizer::is_held(object)) {
        return leave(context, kind, object, now).await;
    }
    match carry_on(context, kind, object, &status, now).await {
        Ok(Carried::On { status, pass, run }) => record::<K>(context, object, &status, &pass, &run, now).await,
        Ok(Carried::Waits { .. }) if object.actions().iter().any(|action| action.action == ActionKind::Abort) => {
            refuse::<K>(context, object, &Error::invalid(Reason::Aborted, "aborted before it began: nothing was done"), now).await
        }
        Ok(Carried::Waits { reason, message, again }) => explain_wait(&context.hub, object, reason, message, now).await.map(|()| again),
        // Deleting the object confirms that a person has cleaned up after the run.
        Ok(Carried::JournalMissing { .. }) if deleted => let_go::<K>(&context.hub, object).await.map(|()| ENDED_INTERVAL),
        Ok(Carried::JournalMissing { message }) => {
            explain_wait(&context.hub, object, Reason::JournalMissing, message, now).await?;
            Ok(LOST_JOURNAL_INTERVAL)
        }
        Ok(Carried::Tampered { message, run }) => stop::<K>(context, object, &run, &message, now).await,
        Ok(Carried::Refused { error }) => refuse::<K>(context, object, &error, now).await,
        // It has begun, so it is not refused: it goes on as soon as a person has mended what the message names.
        Err(error) if finalizer::is_held(object) && error.category() != Category::Transient => {
            let message = format!("it has begun and can't go on, nor clean up: {error}. It goes on by itself once that is mended");
            explain_wait(&context.hub, object, error.reason(), message, now).await?;
            tracing::warn!(kind = K::CLASS.kind(), namespace = object.namespace(), name = object.name_any(), reason = error.reason().as_str(), "{error}");
            Ok(HINDERED_INTERVAL)
        }
        Err(error) => {
            // It is tried again, as long as that takes: somebody may be able to mend what stands in its way.
            if !finalizer::is_held(object) && !status.has_begun() && error.reason() != Reason::LeaseLost {
                explain_trouble(&context.hub, object, "it can't begin yet, and is tried again", &error, now).await;
            }
            Err(error)
        }
    }
}

fn records<K: RunKind>(hub: &Hub, object: &K::Object) -> Result<RecordStore> {
    RecordStore::of(hub, object, K::CLASS, &K::run_uid(object))
}

/// Leaves a run that has ended, or whose object is going before it began: a process may have died between its last status and this. Returns the time until the next look.
///
/// # Errors
/// If the hub can't be read or written.
pub async fn leave<K: RunKind>(context: &RunContext, kind: &K, object: &K::Object, now: Timestamp) -> Result<Duration> {
    context.admissions.end(&K::run_uid(object));
    if finalizer::is_held(object) {
        let completion = object.run_status().and_then(RunStatus::completion_time).map(|time| time.0);
        let record = records::<K>(&context.hub, object)?.load().await?;
        if let Ok(Readiness::Ready(place)) = kind.locate(object, record.as_ref()).await
            && !remove_objects(&context.hub, &K::identity(object, &place), completion, now).await
        {
            return Ok(OBJECTS_INTERVAL);
        }
    }
    let_go::<K>(&context.hub, object).await?;
    Ok(ENDED_INTERVAL)
}

/// Lets go of a run that has ended, or never began: its record may be deleted, and then its object.
///
/// # Errors
/// If this process doesn't lead, or the API server refuses.
pub async fn let_go<K: RunKind>(hub: &Hub, object: &K::Object) -> Result<()> {
    if !finalizer::is_held(object) {
        return Ok(());
    }
    records::<K>(hub, object)?.release().await?;
    finalizer::hold(hub, object, false).await
}

/// Makes one pass over a run and concludes. Returns the new status without writing it; `before` is the present status.
///
/// # Errors
/// The failed read or write. A run that can't begin as specified is no error: [`Carried::Refused`].
pub async fn carry_on<K: RunKind>(
    context: &RunContext,
    kind: &K,
    object: &K::Object,
    before: &<K::Object as RunObject>::Status,
    now: Timestamp,
) -> Result<Carried<<K::Object as RunObject>::Status>> {
    let Begun { place, stored, facts, mut record } = match load(context, kind, object, before).await? {
        Loaded::Begun(begun) => *begun,
        Loaded::Not(carried) => return Ok(carried),
    };
    let run = K::identity(object, &place);
    let ended_before = before.phase().is_some_and(RunPhase::is_end);
    if let Some(request) = K::request(object, &place, &facts).filter(|_| !ended_before) {
        match stored {
            Stored::Nothing => {
                if let Answer::Wait { reason, message } = context.admissions.ask(request) {
                    return Ok(Carried::Waits { reason, message, again: ADMISSION_INTERVAL });
                }
            }
            _ => context.admissions.take_up(request),
        }
    }
    let mut unheld = None;
    let stored = match stored {
        Stored::Nothing => {
            let admitted = context.admissions.until_held(&run.uid);
            match compiled::<K>(context, object, &facts, &run, now).await {
                Ok(plan) => {
                    record = None;
                    unheld = Some(admitted);
                    Stored::New(Box::new(plan))
                }
                Err(error) => return refused(error),
            }
        }
        stored => stored,
    };
    let is_new = matches!(stored, Stored::New(_));
    let passed = async {
        // The finalizer is set before the first record: the run must clean up before its object is gone.
        finalizer::hold(&context.hub, object, !ended_before).await?;
        if let Some(unheld) = unheld {
            unheld.held();
        }
        if record.is_none() && !ended_before {
            remember::<K>(context, object, &place, &facts, &stored).await?;
        }
        let mut actions = finalizer::actions(object, &kind.actions(object));
        if let Some(reason) = context.admissions.aborted(&run.uid) {
            actions.push(RunAction { action: ActionKind::Abort, step: None, reason: Some(reason), answer: None, duration: None, by: None });
        }
        pass::pass(&context.executor(), &run, &place.journal, &actions, stored).await
    };
    let pass = match passed.await {
        Ok(pass) => pass,
        Err(error) => {
            // An object that was deleted meanwhile never comes back: admitted and not begun, it would hold up others for good.
            if is_new {
                context.admissions.end(&run.uid);
            }
            return if is_new && error.reason() == Reason::JournalFull { Ok(Carried::Refused { error }) } else { untrusted(error, run) };
        }
    };
    let generation = object.meta().generation;
    let mut status = before.clone();
    status.set_observed_generation(generation);
    status.set_view(&view(&pass, &place.journal.location(), K::CLASS, &run.name));
    let concluded = K::conclude(object, &facts, &status, &pass.outcome());
    let mut status = concluded.status;
    status.set_conditions(conditions::apply(status.conditions(), &concluded.updates, generation, now));
    let findings = concluded.findings;
    if pass.summary.phase.is_end() && !ended_before {
        let published = async {
            record_findings(&context.hub, &run.namespace, findings, now).await?;
            kind.finish(object, &facts, &mut status, &pass).await
        };
        publish_results(&context.hub, object, published.await, pass.summary.completion, now).await?;
    }
    Ok(Carried::On { status: Box::new(status), pass: Box::new(pass), run: Box::new(run) })
}

/// The plan of a run that begins, if the run may do all of it.
async fn compiled<K: RunKind>(context: &RunContext, object: &K::Object, facts: &K::Facts, run: &RunIdentity, now: Timestamp) -> Result<Plan<Action>> {
    let plan = K::compile(object, facts)?;
    if let Err((step, beyond)) = run.scope.permits_plan(&plan) {
        return Err(Error::invalid(beyond.reason(), format!("step {step}: {beyond}")));
    }
    for step in plan.steps() {
        context.occupancy.refuse(&context.hub, &run.scope, &step.action, now).await?;
    }
    Ok(plan)
}

/// A run that can be carried on.
struct Begun<K: RunKind> {
    place: RunPlace,
    stored: Stored,
    facts: K::Facts,
    record: Option<Arc<RunRecord>>,
}

enum Loaded<K: RunKind> {
    Begun(Box<Begun<K>>),
    /// It goes no further, for now or for good.
    Not(Carried<<K::Object as RunObject>::Status>),
}

/// An error before the run has begun: it is refused, if trying again is useless.
fn refused<S>(error: Error) -> Result<Carried<S>> {
    if error.category() == Category::Invalid { Ok(Carried::Refused { error }) } else { Err(error) }
}

/// Finds the run's journal and gathers its facts: from its record, if it has begun.
async fn load<K: RunKind>(context: &RunContext, kind: &K, object: &K::Object, before: &<K::Object as RunObject>::Status) -> Result<Loaded<K>> {
    let uid = K::run_uid(object);
    let record =
        if finalizer::is_held(object) || before.has_begun() { context.cache.record(&uid, records::<K>(&context.hub, object)?.load()).await? } else { None };
    let may_have_begun = record.is_some() || before.has_begun();
    let mut place = match kind.locate(object, record.as_deref()).await {
        Ok(Readiness::Ready(place)) => place,
        Ok(Readiness::Wait { reason, message, again }) => return Ok(Loaded::Not(Carried::Waits { reason, message, again })),
        Err(error) if may_have_begun => return Err(error),
        Err(error) => return refused(error).map(Loaded::Not),
    };
    let run = K::identity(object, &place);
    let stored = match pass::load(&context.executor(), &run, &place.journal).await {
        Ok(stored) => stored,
        Err(error) => return untrusted(error, run).map(Loaded::Not),
    };
    let has_begun = !matches!(stored, Stored::Nothing);
    if !has_begun && before.has_begun() {
        return untrusted(journal::missing(&place.journal.location()), run).map(Loaded::Not);
    }
    let begun = record.as_deref().filter(|_| has_begun);
    if !has_begun && record.is_some() {
        // An attempt to begin came to nothing: what it was to begin with may be out of date.
        place = match kind.locate(object, None).await {
            Ok(Readiness::Ready(place)) => place,
            Ok(Readiness::Wait { reason, message, again }) => return Ok(Loaded::Not(Carried::Waits { reason, message, again })),
            Err(error) => return refused(error).map(Loaded::Not),
        };
    }
    match kind.gather(object, &place, begun).await {
        Ok(facts) => Ok(Loaded::Begun(Box::new(Begun { place, stored, facts, record }))),
        Err(error) if has_begun => Err(error),
        Err(error) => refused(error).map(Loaded::Not),
    }
}

/// Stores what the run begins with, before its first record.
async fn remember<K: RunKind>(context: &RunContext, object: &K::Object, place: &RunPlace, facts: &K::Facts, stored: &Stored) -> Result<()> {
    let record = RunRecord {
        uid: K::run_uid(object),
        repository: place.repository.clone(),
        journal: place.journal.location(),
        scope: place.scope.clone(),
        facts: K::remember(facts)?,
    };
    let plan = match stored {
        Stored::New(plan) => Some(&**plan),
        Stored::Found(found) => Some(&found.plan),
        Stored::Claimed | Stored::Nothing => None,
    };
    let elsewhere = plan.filter(|_| place.journal.is_elsewhere());
    records::<K>(&context.hub, object)?.put(&record, elsewhere).await?;
    context.cache.keep_record(Arc::new(record));
    Ok(())
}

/// What an ended run publishes beside its status is tried again for a while. Then the run ends without it: it has cleaned up, and its journal says what happened.
async fn publish_results<K: RunObject>(hub: &Hub, object: &K, published: Result<()>, ended: Option<Timestamp>, now: Timestamp) -> Result<()> {
    let Err(error) = published else { return Ok(()) };
    let recent = ended.is_some_and(|ended| now.duration_since(ended) < RESULTS_PATIENCE);
    let may_work = error.category() == Category::Transient && error.reason() != Reason::NamespaceTerminating;
    if may_work && recent {
        explain_trouble(hub, object, "the run has ended and cleaned up; what it is to publish can't be written yet", &error, now).await;
        return Err(error);
    }
    let note = format!("the run has ended and cleaned up, but what it is to publish could not be written: {error}");
    publish_event(hub, object, EventType::Warning, error.reason(), &note).await;
    tracing::warn!(kind = %K::kind(&()), namespace = object.namespace(), name = object.name_any(), "{note}");
    Ok(())
}

async fn record<K: RunKind>(
    context: &RunContext,
    object: &K::Object,
    status: &<K::Object as RunObject>::Status,
    pass: &Pass,
    run: &RunIdentity,
    now: Timestamp,
) -> Result<Duration> {
    apply_status(&context.hub, object, object.run_status(), status).await?;
    Ok(publish::<K>(context, object, run, pass, now).await?.unwrap_or(ENDED_INTERVAL))
}

/// Call after the status is written: publishes the Events of the pass and releases a run that has ended. Returns the time until the next pass; none once it has
/// ended.
///
/// # Errors
/// If the finalizer can't be written.
pub async fn publish<K: RunKind>(context: &RunContext, object: &K::Object, run: &RunIdentity, pass: &Pass, now: Timestamp) -> Result<Option<Duration>> {
    publish_records(&context.hub, object, pass).await;
    if !pass.summary.phase.is_end() {
        return Ok(Some(pace::next_look(pass, now)));
    }
    if pass.summary.phase == RunPhase::Failed {
        context.metrics.runs_failed.with_label_values(&[run.namespace.as_str(), run.kind]).inc();
    }
    pass::forget(&context.executor(), run);
    context.admissions.end(&run.uid);
    if !remove_objects(&context.hub, run, pass.summary.completion, now).await {
        return Ok(Some(OBJECTS_INTERVAL));
    }
    let_go::<K>(&context.hub, object).await?;
    Ok(None)
}

/// Removes what the ended run's movers left in the repository. Returns false to try again: the repository doesn't answer, and the run has just ended.
async fn remove_objects(hub: &Hub, run: &RunIdentity, ended: Option<Timestamp>, now: Timestamp) -> bool {
    if run.repository.is_empty() {
        return true;
    }
    let removed = match repository::open_store(hub, &run.namespace, &run.repository).await {
        Ok(store) => RunObjects::new(store, &run.uid).remove_all().await.map_err(|error| repository::vault("remove the run's objects", &error)),
        Err(error) => Err(error),
    };
    let Err(error) = removed else { return true };
    let recent = ended.is_some_and(|ended| now.duration_since(ended) < OBJECTS_PATIENCE);
    if error.category() == Category::Transient && recent {
        return false;
    }
    // They only cost space. A run whose repository is gone must still end.
    tracing::warn!(run = run.name, "objects of the run under p861/runs/{} stay in its repository: {error}", run.uid);
    true
}

/// Writes the reason for waiting to the object's condition.
async fn explain_wait<K: RunObject>(hub: &Hub, object: &K, reason: Reason, message: String, now: Timestamp) -> Result<()> {
    let mut status = object.run_status().cloned().unwrap_or_default();
    let update = ConditionUpdate::unknown(ConditionType::Succeeded, reason, message);
    status.set_conditions(conditions::apply(status.conditions(), &[update], object.meta().generation, now));
    apply_status(hub, object, object.run_status(), &status).await
}

/// Says on the status what keeps a run that is tried again. Written once for each reason: the text may be another server's and differ each time, and each write calls for the
/// next pass at once.
async fn explain_trouble<K: RunObject>(hub: &Hub, object: &K, what: &str, error: &Error, now: Timestamp) {
    let said = |condition: &Condition| {
        condition.type_ == ConditionType::Succeeded
            && condition.status == "Unknown"
            && condition.reason == error.reason().as_str()
            && condition.observed_generation == object.meta().generation
    };
    if object.run_status().is_some_and(|status| status.conditions().iter().any(said)) {
        return;
    }
    // What is told of is the error itself, whether or not this can be written.
    if let Err(unwritten) = explain_wait(hub, object, error.reason(), format!("{what}: {error}"), now).await {
        tracing::debug!(name = object.name_any(), "why it waits can't be written: {unwritten}");
    }
}

/// Writes findings about Backups to their status. A deleted Backup is skipped.
///
/// # Errors
/// If a Backup can't be read or written.
pub async fn record_findings(hub: &Hub, namespace: &str, findings: Vec<BackupFinding>, now: Timestamp) -> Result<()> {
    let backups: Api<Backup> = Api::namespaced(hub.client.clone(), namespace);
    for finding in findings {
        let Some(used) = backups.get_opt(&finding.backup).await.context(|| format!("read Backup {}", finding.backup))? else { continue };
        let mut status = used.status.clone().unwrap_or_default();
        if finding.level.is_some() {
            status.verification = finding.level;
        }
        status.conditions = conditions::apply(&status.conditions, &[finding.update], used.metadata.generation, now);
        apply_status(hub, &used, used.status.as_ref(), &status).await?;
    }
    Ok(())
}

/// Publishes an Event for each change that the pass has written.
async fn publish_records<K: Resource<DynamicType = ()>>(hub: &Hub, object: &K, pass: &Pass) {
    for record in &pass.records {
        let step = record.step.as_ref().map(ToString::to_string).unwrap_or_default();
        let (type_, reason, note) = match &record.event {
            Event::Claimed { .. } if record.sequence == 1 => (EventType::Normal, Reason::RunStarted, Noun::Step.count(pass.plan.steps().len())),
            Event::Failed(failure) => (EventType::Warning, Reason::StepFailed, format!("{step}: {}", failure.message)),
            Event::UndoFailed(failure) => (EventType::Warning, Reason::CleanUpFailed, format!("{step}: {}", failure.message)),
            Event::Skipped { .. } => (EventType::Warning, Reason::StepSkipped, step),
            Event::Asked { .. } => (EventType::Warning, Reason::WaitingForPerson, step),
            Event::Finished { reason, message, .. } => (EventType::Normal, Reason::RunFinished, format!("{reason}: {message}")),
            // A ticket tells of its own refusals, and gives its run actions that mean nothing.
            Event::ActionRefused { index, message } if K::kind(&()) != RunClass::Change.kind() => {
                (EventType::Warning, Reason::ActionRefused, pass.journal.refusal(*index, message))
            }
            _ => continue,
        };
        publish_event(hub, object, type_, reason, &note).await;
    }
}
