//! One pass over a run: repeats actions of people, due records, effects and outcomes until nothing more is due.

use crate::{
    cache::{ClaimedRun, Mark, RunIdentity},
    effects::{EffectOutcome, Effects, StepContext},
    error::{Error, Result},
    executor::Executor,
    journal::{JournalStore, StoreError, StoredRun},
    sharing,
    tasks::{EffectOwner, MAX_EFFECTS_PER_DISTRICT, Polled, TaskKey},
};
use futures::future::join_all;
use jiff::Timestamp;
use p861_core::{
    engine::{
        CancelCause, Command, CurrentStep, Direction, Entry, Event, Evidence, Failure, Journal, Plan, Record, RunSummary, StepId, StepProgress, UNDER_WAY,
        WaitsFor, sealed::ChainHead, settle, summary,
    },
    runs::{Action, RunOutcome},
};
use p861_crds::{Reason, common::RunAction};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

fn report_clean_up<E: Effects>(executor: &Executor<E>, run: &RunIdentity, failing: bool) {
    let count = executor.cache.set_clean_up_failing(run, failing);
    executor.metrics.cleanup_failing.with_label_values(&[run.namespace.as_str(), run.kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// How far the run is; none while nobody expects it to go on: it has ended, waits for a person, or watches for a given time.
fn mark(plan: &Plan<Action>, summary: &RunSummary, progress: &BTreeMap<StepId, StepProgress>) -> Option<Mark> {
    let for_person = |step: &CurrentStep| matches!(step.waits_for, WaitsFor::Answer { .. } | WaitsFor::Decision | WaitsFor::Resume);
    let watches = progress.keys().any(|id| plan.step(id).is_some_and(|step| matches!(step.action, Action::Watch { .. })));
    if summary.phase.is_end() || watches || summary.current.iter().any(for_person) {
        return None;
    }
    let counts = &summary.counts;
    let ended = [counts.done, counts.undone, counts.skipped, counts.failed].into_iter().map(u64::from).sum();
    let sum = |count: fn(&StepProgress) -> Option<u64>| progress.values().filter_map(count).fold(0, u64::saturating_add);
    Some((ended, sum(|step| step.items_done), sum(|step| step.bytes_done)))
}

fn report_progress<E: Effects>(executor: &Executor<E>, run: &RunIdentity, mark: Option<Mark>) {
    let labels = [run.namespace.as_str(), run.kind];
    match executor.cache.set_progress(run, mark, Timestamp::now()) {
        Some(oldest) => executor.metrics.last_progress.with_label_values(&labels).set(oldest.as_second()),
        // There was none.
        None => drop(executor.metrics.last_progress.remove_label_values(&labels)),
    }
}

/// Drops the in-memory state of an ended run and stops its tasks.
pub fn forget<E: Effects>(executor: &Executor<E>, run: &RunIdentity) {
    report_progress(executor, run, None);
    report_clean_up(executor, run, false);
    executor.cache.remove(&run.uid);
    executor.tasks.forget(&run.uid);
}

/// Result of a pass.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The run's stored plan.
    pub plan: Plan<Action>,
    /// Its journal.
    pub journal: Journal,
    /// The seal of the journal's last record, if it is sealed.
    pub head: Option<ChainHead>,
    /// Progress, as the engine sums it up.
    pub summary: RunSummary,
    /// Progress of running steps.
    pub progress: BTreeMap<StepId, StepProgress>,
    /// Records that this pass has written.
    pub records: Vec<Record>,
    /// Next time at which the engine has something to do.
    pub next: Option<Timestamp>,
    /// Whether an effect is in progress.
    pub in_flight: bool,
}

impl Pass {
    /// The run as conclusions read it.
    pub fn outcome(&self) -> RunOutcome<'_> {
        RunOutcome { plan: &self.plan, journal: &self.journal, summary: &self.summary, progress: &self.progress }
    }
}

/// Bounds a pass if the engine never settles; the rest waits for the next pass.
const MAX_ROUNDS: usize = 64;
/// How long a pass waits for an effect before it leaves it to a later pass.
const EFFECT_WAIT: Duration = Duration::from_millis(250);

/// Stored state of a run before a pass.
#[derive(Clone, Debug)]
pub enum Stored {
    /// This process has claimed it.
    Claimed,
    /// A plan and its journal, to be claimed.
    Found(Box<StoredRun>),
    /// Nothing: the run has not begun.
    Nothing,
    /// Nothing yet: the run begins with this plan.
    New(Box<Plan<Action>>),
}

/// Reads what is stored of a run, unless this process has claimed it.
///
/// # Errors
/// If the journal can't be read, or is damaged.
pub async fn load<E: Effects>(executor: &Executor<E>, run: &RunIdentity, store: &JournalStore) -> Result<Stored> {
    if executor.cache.slot(&run.uid).lock().await.is_some() {
        return Ok(Stored::Claimed);
    }
    Ok(store.load().await?.map_or(Stored::Nothing, |found| Stored::Found(Box::new(found))))
}

/// Does everything that is due now. A run that has begun goes on with the plan that it began with.
///
/// # Errors
/// If the journal can't be written, for example because another orchestrator has claimed the run. A failed effect is not an error: it is in the journal.
pub async fn pass<E: Effects>(executor: &Executor<E>, run: &RunIdentity, store: &JournalStore, actions: &[RunAction], stored: Stored) -> Result<Pass> {
    let slot = executor.cache.slot(&run.uid);
    let mut slot = slot.lock().await;
    // Kept only after a pass that ended well. After any error, and after a pass that was given up between a record and its place in memory, the journal is read
    // again: what is stored is the truth.
    let mut claimed = slot.take();
    let result = claimed_pass(executor, run, store, actions, stored, &mut claimed).await;
    match &result {
        Ok(_) => *slot = claimed,
        // Who may not write may not act either. After other errors effects go on: a later pass takes their outcomes.
        Err(Error::RunLost(_) | Error::LeaseLost) => executor.tasks.forget(&run.uid),
        Err(_) => {}
    }
    result
}

async fn claimed_pass<E: Effects>(
    executor: &Executor<E>,
    run: &RunIdentity,
    store: &JournalStore,
    actions: &[RunAction],
    stored: Stored,
    slot: &mut Option<ClaimedRun>,
) -> Result<Pass> {
    let claimed = match slot {
        Some(claimed) => claimed,
        None => slot.insert(claim(executor, store, stored).await?),
    };
    rounds(executor, run, store, actions, claimed).await
}

async fn claim<E: Effects>(executor: &Executor<E>, store: &JournalStore, stored: Stored) -> Result<ClaimedRun> {
    executor.leadership.ensure()?;
    let StoredRun { plan, mut journal, mut head } = match stored {
        Stored::Found(found) => *found,
        Stored::New(plan) => {
            let begun = store.begin(&plan).await?;
            if begun.journal.sequence() > 0 {
                return Err(Error::RunLost(format!("another orchestrator has begun it, and written record {}", begun.journal.sequence())));
            }
            begun
        }
        Stored::Claimed | Stored::Nothing => return Err(Error::transient(Reason::JournalMissing, "the run was claimed before; its journal is read again")),
    };
    let mut token = journal.token();
    if !journal.is_finished() {
        let record = journal.claim(plan.digest(), &executor.identity, Timestamp::now());
        token = record.token;
        append(executor, store, (&mut journal, &mut head), vec![record]).await?;
        // Before the first effect: a journal that ends before this claim is refused from here on.
        executor.leadership.ensure()?;
        store.pin(&plan, head.as_ref()).await?;
    }
    Ok(ClaimedRun { plan, journal, head, token, progress: BTreeMap::new(), said: BTreeMap::new() })
}

async fn append<E: Effects>(
    executor: &Executor<E>,
    store: &JournalStore,
    (journal, head): (&mut Journal, &mut Option<ChainHead>),
    records: Vec<Record>,
) -> Result<()> {
    executor.leadership.ensure()?;
    *head = store.append(head.as_ref(), &records).await.map_err(lost)?;
    for record in records {
        journal.push(record).map_err(|error| Error::Internal(error.to_string()))?;
    }
    Ok(())
}

fn lost(error: StoreError) -> Error {
    match error {
        StoreError::Overtaken(_) => Error::RunLost(error.to_string()),
        StoreError::Other(error) => error,
    }
}

/// Compacts the journal in memory and in its store, if that saves enough.
async fn compact(store: &JournalStore, claimed: &mut ClaimedRun) -> Result<()> {
    match store.compact(&claimed.plan, &claimed.journal, claimed.head.as_ref()).await {
        Ok(Some(shorter)) => claimed.journal = shorter,
        Ok(None) => {}
        Err(error @ StoreError::Overtaken(_)) => return Err(lost(error)),
        // Harmless: the records are stored, and the next record tries to compact again.
        Err(StoreError::Other(error)) => tracing::warn!("the journal {} was not compacted: {error}", store.location()),
    }
    Ok(())
}

async fn rounds<E: Effects>(executor: &Executor<E>, run: &RunIdentity, store: &JournalStore, actions: &[RunAction], claimed: &mut ClaimedRun) -> Result<Pass> {
    let mut written = Vec::new();
    let mut outcomes: Vec<Entry> = Vec::new();
    let (mut next, mut in_flight) = (None, false);
    // Effects that a round of this pass has waited for already: others that end meanwhile make rounds, and each would wait again.
    let mut slow = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        if claimed.journal.is_finished() {
            in_flight = false;
            break;
        }
        let now = Timestamp::now();
        // One write for the last round's outcomes, new actions of people and the records due after them: each write is a request.
        let mut journal = claimed.journal.clone();
        let mut records = Vec::new();
        let copied = journal.uncopied(actions);
        for entry in outcomes.drain(..).chain(copied) {
            let record = journal.stamp(entry, claimed.token, now);
            journal.push(record.clone()).map_err(|error| Error::Internal(error.to_string()))?;
            records.push(record);
        }
        let due = settle(&claimed.plan, &mut journal, claimed.token, now).map_err(|error| Error::Internal(error.to_string()))?;
        records.extend(due.records);
        measure_steps(executor, run, &claimed.plan, &journal, &records);
        written.extend(records.clone());
        if !records.is_empty() {
            append(executor, store, (&mut claimed.journal, &mut claimed.head), records).await?;
            compact(store, claimed).await?;
        }
        next = due.next;
        if due.commands.is_empty() {
            in_flight = false;
            break;
        }
        executor.leadership.ensure()?;
        let effects = join_all(due.commands.iter().map(|command| perform(executor, run, claimed, command, &slow))).await;
        let (entries, progress): (Vec<_>, Vec<_>) = effects.into_iter().unzip();
        let waits = due.commands.iter().zip(&progress).filter(|(command, _)| !matches!(command, Command::Cancel { .. }));
        let said = waits.filter_map(|(_, progress)| progress.as_ref()).filter_map(|(step, progress)| Some((step.clone(), progress.message.clone()?)));
        claimed.said.extend(said.filter(|(_, message)| message != UNDER_WAY));
        outcomes.extend(entries.into_iter().flatten());
        claimed.progress = progress.into_iter().flatten().collect();
        slow.extend(claimed.progress.keys().cloned());
        in_flight = !claimed.progress.is_empty();
        if outcomes.is_empty() {
            break;
        }
    }
    let summary = summary(&claimed.plan, &claimed.journal, Timestamp::now()).map_err(|error| Error::Internal(error.to_string()))?;
    report_clean_up(executor, run, !summary.clean_up_trouble.is_empty());
    report_progress(executor, run, mark(&claimed.plan, &summary, &claimed.progress));
    Ok(Pass {
        plan: claimed.plan.clone(),
        journal: claimed.journal.clone(),
        head: claimed.head.clone(),
        summary,
        progress: claimed.progress.clone(),
        records: written,
        next,
        in_flight: in_flight || !outcomes.is_empty(),
    })
}

/// Performs one command. Returns the record to append if it ended, or its progress if not.
async fn perform<E: Effects>(
    executor: &Executor<E>,
    run: &RunIdentity,
    claimed: &ClaimedRun,
    command: &Command,
    slow: &BTreeSet<StepId>,
) -> (Option<Entry>, Option<(StepId, StepProgress)>) {
    let (step, attempt, direction, cancel) = match command {
        Command::Perform { step, attempt } => (step, *attempt, Direction::Forward, None),
        Command::PerformUndo { step, attempt } => (step, *attempt, Direction::Undo, None),
        Command::Cancel { step, attempt, direction, cause } => (step, *attempt, *direction, Some(cause)),
        // Everything else was settled into records.
        _ => return (None, None),
    };
    let Some(planned) = claimed.plan.step(step) else { return (None, None) };
    let action = match direction {
        Direction::Forward => Some(&planned.action),
        Direction::Undo => planned.undo.as_ref(),
    };
    let Some(action) = action else { return (None, None) };
    let step_context = StepContext {
        run: run.clone(),
        step: step.clone(),
        attempt,
        started: claimed
            .journal
            .records()
            .iter()
            .rev()
            .find(|r| r.step.as_ref() == Some(step) && matches!(r.event, Event::Intent | Event::UndoIntent))
            .map_or_else(Timestamp::now, |r| r.at),
        deadline: planned.deadline,
        inputs: planned.dependencies().filter_map(|before| Some((before.to_string(), known_of(&claimed.journal, before)?))).collect(),
        followers: sharing::followers(&claimed.plan, step),
        leaders: sharing::leaders(&claimed.plan, &claimed.journal, step),
    };
    let key = |stops: bool| TaskKey { run: run.uid.clone(), step: step.clone(), attempt, direction, stops };
    let (effects, action) = (executor.effects.clone(), action.clone());
    let patience = if slow.contains(step) { Duration::ZERO } else { EFFECT_WAIT };
    let ends = planned.finally || planned.despite_pause || direction == Direction::Undo || cancel.is_some();
    let owner = EffectOwner { district: run.namespace.as_str().into(), exempt: ends };
    let polled = if cancel.is_none() {
        executor.tasks.poll(key(false), &owner, patience, || async move { effects.perform(&step_context, &action).await }).await
    } else {
        executor.tasks.stop(&key(false)).await;
        executor.tasks.poll(key(true), &owner, patience, || async move { effects.cancel(&step_context, &action).await }).await
    };
    let effect = match polled {
        Polled::Ended(outcome) => *outcome,
        // It keeps its last progress.
        Polled::UnderWay => EffectOutcome::Running(claimed.progress.get(step).cloned().unwrap_or_else(|| StepProgress::message(UNDER_WAY))),
        Polled::Queued => EffectOutcome::running(format!("waits: {MAX_EFFECTS_PER_DISTRICT} other effects of this district are under way")),
    };
    let failed = |failure: Failure, evidence: Option<Evidence>| match direction {
        Direction::Forward => Entry::failed(step.clone(), attempt, failure, evidence),
        Direction::Undo => Entry::undo_failed(step.clone(), attempt, failure, evidence),
    };
    match effect {
        EffectOutcome::Done(evidence) => {
            let entry = match direction {
                Direction::Forward => Entry::done(step.clone(), attempt, evidence),
                Direction::Undo => Entry::undone(step.clone(), attempt, evidence),
            };
            (Some(entry), None)
        }
        EffectOutcome::Failed(failure, evidence) => (Some(failed(failure, evidence)), None),
        EffectOutcome::Stopped { said, untouched } => {
            let failure = |cause: &CancelCause| cause.failure_after(claimed.said.get(step).map(String::as_str)).and_untouched(untouched);
            (cancel.map(|cause| failed(failure(cause), last_progress(claimed, step, said))), None)
        }
        // What is being stopped doesn't count any more, but what it has done stays done.
        EffectOutcome::Running(progress) if cancel.is_some() => (None, Some((step.clone(), with_counts_of(progress, claimed.progress.get(step))))),
        EffectOutcome::Running(progress) => (None, Some((step.clone(), progress))),
        // Clean-up and undo have attempts without end, and are known by their failures.
        EffectOutcome::Unreachable(why) if cancel.is_none() && (planned.finally || direction == Direction::Undo) => {
            (Some(failed(Failure::transient(Reason::Unreachable, why), None)), None)
        }
        // A new attempt could begin beside what this one has begun.
        EffectOutcome::Unreachable(why) => (None, Some((step.clone(), StepProgress::message(format!("{why}; asked again"))))),
    }
}

/// Last progress of a step that had to be stopped, kept as evidence of its failure; with what it said at its end.
fn last_progress(claimed: &ClaimedRun, step: &StepId, said: Option<String>) -> Option<Evidence> {
    let before = claimed.progress.get(step);
    match said {
        Some(said) => Some(with_counts_of(StepProgress::message(said), before)),
        None => before.cloned(),
    }
    .map(Evidence::Stopped)
}

/// A message with the counts of the progress before it.
fn with_counts_of(progress: StepProgress, before: Option<&StepProgress>) -> StepProgress {
    let Some(before) = before.filter(|_| progress.items_done.is_none() && progress.bytes_done.is_none()) else { return progress };
    StepProgress { message: progress.message, ..before.clone() }
}

/// What a step before has proved, or why it was not done.
fn known_of(journal: &Journal, step: &StepId) -> Option<Evidence> {
    match journal.why_not_done(step) {
        Some((reason, message)) => Some(Evidence::NotDone { reason, message }),
        None => evidence(journal, step),
    }
}

fn evidence(journal: &Journal, step: &StepId) -> Option<Evidence> {
    journal
        .records()
        .iter()
        .rev()
        .find(|record| record.step.as_ref() == Some(step) && matches!(record.event, Event::Done))
        .and_then(|record| record.evidence.clone())
}

fn measure_steps<E: Effects>(executor: &Executor<E>, run: &RunIdentity, plan: &Plan<Action>, journal: &Journal, records: &[Record]) {
    for record in records.iter().filter(|record| matches!(record.event, Event::Done | Event::Failed(_))) {
        let Some(step) = record.step.as_ref().and_then(|id| plan.step(id)) else { continue };
        let intent =
            journal.records().iter().rev().find(|r| r.step.as_ref() == Some(&step.id) && r.attempt == record.attempt && matches!(r.event, Event::Intent));
        if let Some(intent) = intent {
            let seconds = record.at.duration_since(intent.at).as_secs_f64();
            executor.metrics.step_duration.with_label_values(&[run.kind, step.action.word()]).observe(seconds);
        }
    }
}
