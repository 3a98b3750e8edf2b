//! One pass over a run: people's actions, due records, effects, outcomes, again, until nothing more is due now.

use crate::{
    cache::{ClaimedRun, RunIdentity},
    context::RunContext,
    effects::{self, Effect},
    error::{Error, Result},
    journal::{JournalStore, StoreError},
};
use futures::future::join_all;
use jiff::Timestamp;
use p861_core::{
    engine::{Command, Direction, Entry, Event, Failure, Journal, Plan, Record, RunSummary, StepId, settle, summary},
    runs::Action,
};
use p861_crds::common::RunAction;
use serde_json::Value;
use std::collections::BTreeMap;

fn report_clean_up(context: &RunContext, run: &RunIdentity, failing: bool) {
    let count = context.cache.set_clean_up_failing(run, failing);
    context.metrics.cleanup_failing.with_label_values(&[run.namespace.as_str(), run.kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Forgets an ended run.
pub fn forget(context: &RunContext, run: &RunIdentity) {
    report_clean_up(context, run, false);
    context.cache.remove(&run.uid);
}

/// What a pass found.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The plan that the run goes by.
    pub plan: Plan<Action>,
    /// Its journal.
    pub journal: Journal,
    /// Where it stands.
    pub summary: RunSummary,
    /// What running steps say of themselves.
    pub notes: BTreeMap<StepId, Value>,
    /// Records that this pass has written.
    pub records: Vec<Record>,
    /// When to look again by the engine's own clock.
    pub next: Option<Timestamp>,
    /// Whether an effect is under way.
    pub in_flight: bool,
}

/// More rounds than this in one pass is a mistake; the rest waits for the next pass.
const MOST_ROUNDS: usize = 64;

/// Does everything that is due now. `compile` is called only if the run was never begun: a run goes on with the plan that it started with.
pub async fn pass<F>(context: &RunContext, run: &RunIdentity, store: &JournalStore, actions: &[RunAction], compile: F) -> Result<Pass>
where
    F: AsyncFnOnce() -> Result<Plan<Action>>,
{
    let slot = context.cache.slot(&run.uid);
    let mut slot = slot.lock().await;
    if slot.is_none() {
        *slot = Some(claim(context, store, compile).await?);
    }
    let result = match slot.as_mut() {
        Some(claimed) => rounds(context, run, store, actions, claimed).await,
        None => Err(Error::Internal("a claimed run is missing".into())),
    };
    // Whatever went wrong, what is stored is the truth: it is read again.
    if result.is_err() {
        *slot = None;
    }
    result
}

async fn claim<F>(context: &RunContext, store: &JournalStore, compile: F) -> Result<ClaimedRun>
where
    F: AsyncFnOnce() -> Result<Plan<Action>>,
{
    context.hub.leadership.ensure()?;
    let (plan, mut journal) = match store.load().await? {
        Some(stored) => stored,
        None => {
            let plan = compile().await?;
            (store.begin(&plan).await?, Journal::new())
        }
    };
    let mut token = journal.token();
    if !journal.is_finished() {
        let record = journal.claim(plan.digest(), &context.hub.identity, Timestamp::now());
        token = record.token;
        append(context, store, &mut journal, vec![record]).await?;
    }
    Ok(ClaimedRun { plan, journal, token, notes: BTreeMap::new() })
}

async fn append(context: &RunContext, store: &JournalStore, journal: &mut Journal, records: Vec<Record>) -> Result<()> {
    context.hub.leadership.ensure()?;
    store.append(&records).await.map_err(|error| match error {
        StoreError::Overtaken(_) => Error::RunLost(error.to_string()),
        StoreError::Other(error) => error,
    })?;
    for record in records {
        journal.push(record).map_err(|error| Error::Internal(error.to_string()))?;
    }
    Ok(())
}

async fn rounds(context: &RunContext, run: &RunIdentity, store: &JournalStore, actions: &[RunAction], claimed: &mut ClaimedRun) -> Result<Pass> {
    let mut written = Vec::new();
    let mut outcomes: Vec<Entry> = Vec::new();
    let (mut next, mut in_flight) = (None, false);
    for _ in 0..MOST_ROUNDS {
        if claimed.journal.is_finished() {
            in_flight = false;
            break;
        }
        let now = Timestamp::now();
        // One write holds the outcomes of the round before, people's new actions and everything that is due after them.
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
        measure_steps(context, run, &claimed.plan, &journal, &records);
        written.extend(records.clone());
        if !records.is_empty() {
            append(context, store, &mut claimed.journal, records).await?;
        }
        next = due.next;
        if due.commands.is_empty() {
            in_flight = false;
            break;
        }
        context.hub.leadership.ensure()?;
        let effects = join_all(due.commands.iter().map(|command| perform(context, run, claimed, command))).await;
        claimed.notes.clear();
        in_flight = false;
        for (entry, note) in effects {
            outcomes.extend(entry);
            if let Some((step, note)) = note {
                in_flight = true;
                claimed.notes.insert(step, note);
            }
        }
        if outcomes.is_empty() {
            break;
        }
    }
    let summary = summary(&claimed.plan, &claimed.journal, Timestamp::now()).map_err(|error| Error::Internal(error.to_string()))?;
    report_clean_up(context, run, !summary.clean_up_trouble.is_empty());
    Ok(Pass {
        plan: claimed.plan.clone(),
        journal: claimed.journal.clone(),
        summary,
        notes: claimed.notes.clone(),
        records: written,
        next,
        in_flight: in_flight || !outcomes.is_empty(),
    })
}

/// Brings one command about. Returns what to record, if it has ended, or what it says of itself, if not.
async fn perform(context: &RunContext, run: &RunIdentity, claimed: &ClaimedRun, command: &Command) -> (Option<Entry>, Option<(StepId, Value)>) {
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
    let situation = effects::Situation {
        run,
        step,
        attempt,
        started: claimed
            .journal
            .records()
            .iter()
            .rev()
            .find(|r| r.step.as_ref() == Some(step) && matches!(r.event, Event::Intent | Event::UndoIntent))
            .map_or_else(Timestamp::now, |r| r.at),
        deadline: planned.deadline,
        inputs: planned.dependencies().filter_map(|before| Some((before.to_string(), evidence(&claimed.journal, before)?))).collect(),
    };
    let effect = match cancel {
        None => effects::perform(context, &situation, action).await,
        Some(_) => effects::cancel(context, &situation, action).await,
    };
    let failed = |failure: Failure, evidence: Value| match direction {
        Direction::Forward => Entry::failed(step.clone(), attempt, failure, evidence),
        Direction::Undo => Entry::undo_failed(step.clone(), attempt, failure, evidence),
    };
    match effect {
        Effect::Done(evidence) => {
            let entry = match direction {
                Direction::Forward => Entry::done(step.clone(), attempt, evidence),
                Direction::Undo => Entry::undone(step.clone(), attempt, evidence),
            };
            (Some(entry), None)
        }
        Effect::Failed(failure, evidence) => (Some(failed(failure, evidence)), None),
        Effect::Stopped => (cancel.map(|cause| failed(cause.failure(), last_note(claimed, step))), None),
        Effect::Running(note) => (None, Some((step.clone(), note))),
    }
}

/// What a step that had to be stopped said last: the evidence of its failure.
fn last_note(claimed: &ClaimedRun, step: &StepId) -> Value {
    claimed.notes.get(step).cloned().unwrap_or(Value::Null)
}

fn evidence(journal: &Journal, step: &StepId) -> Option<Value> {
    journal
        .records()
        .iter()
        .rev()
        .find(|record| record.step.as_ref() == Some(step) && matches!(record.event, Event::Done))
        .map(|record| record.evidence.clone())
}

fn measure_steps(context: &RunContext, run: &RunIdentity, plan: &Plan<Action>, journal: &Journal, records: &[Record]) {
    for record in records.iter().filter(|record| matches!(record.event, Event::Done | Event::Failed(_))) {
        let Some(step) = record.step.as_ref().and_then(|id| plan.step(id)) else { continue };
        let intent =
            journal.records().iter().rev().find(|r| r.step.as_ref() == Some(&step.id) && r.attempt == record.attempt && matches!(r.event, Event::Intent));
        if let Some(intent) = intent {
            let seconds = record.at.duration_since(intent.at).as_secs_f64();
            context.metrics.step_duration.with_label_values(&[run.kind, step.action.word()]).observe(seconds);
        }
    }
}
