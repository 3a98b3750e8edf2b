//! Summary of a run for its status, and timeline for its report.

use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Reason,
    common::{LocalizedText, RunPhase},
};
use serde::Serialize;

use super::{
    ReplayError,
    advance::phase,
    course::State,
    event::{Failure, FailureClass, RunResult, SkipCause},
    evidence::Evidence,
    journal::Journal,
    plan::{Plan, Planned},
    run::{Commitment, Run},
    states::StepState,
    step::StepId,
};

/// How many steps a status shows.
pub const MOST_CURRENT_STEPS: usize = 16;

/// How many steps stand where. Every step is counted in exactly one of them (but `total` and `retried`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All steps.
    pub total: u32,
    /// Done.
    pub done: u32,
    /// Their effect, or its undo, is under way.
    pub running: u32,
    /// Not started, waiting for a person, or between two attempts.
    pub waiting: u32,
    /// Failed for good.
    pub failed: u32,
    /// Skipped; when the run is over, also what never started.
    pub skipped: u32,
    /// Done and then undone.
    pub undone: u32,
    /// Steps that needed more than one attempt.
    pub retried: u32,
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum WaitsFor {
    /// Its effect.
    Effect,
    /// Its undo.
    Undo,
    /// Its effect to stop.
    Stop,
    /// The answer of so many more people.
    Answer {
        /// What is asked.
        text: LocalizedText,
        /// How many must answer.
        people: u32,
        /// How many have.
        answered: u32,
    },
    /// A person to retry it, to skip it, or to abort the run.
    Decision,
    /// Its next attempt.
    Retry {
        /// When that may start.
        time: Timestamp,
    },
    /// Other steps.
    Steps {
        /// Which.
        steps: Vec<StepId>,
    },
    /// Others to end, because not all may run at once.
    Turn,
    /// A person to resume the run.
    Resume,
    /// The rest of the run, because it is clean-up.
    End,
}

/// How a step ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It has not ended.
    Open,
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Stopped, because the run ended early.
    Cancelled,
    /// Skipped by a person.
    Skipped,
    /// Skipped, because a step before it was not done.
    NotReached,
    /// The run ended before it started.
    NotRun,
    /// Done or tried, and undone.
    Undone,
}

/// A step that is under way, or waits for a person or for its next attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentStep {
    /// The step.
    pub id: StepId,
    /// Running, WaitingForPerson, Aborting (its undo, or being stopped) or CleaningUp.
    pub phase: RunPhase,
    /// The attempt, of the action or of its undo; 1 is the first.
    pub attempt: u32,
    /// When the attempt, or the question, began.
    pub start: Option<Timestamp>,
    /// When it is given up.
    pub deadline: Option<Timestamp>,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// Its last failure, if it is tried again.
    pub failure: Option<Failure>,
}

/// The failure that decides how the run ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunFailure {
    /// The step.
    pub step: StepId,
    /// Why, in short.
    pub reason: Reason,
    /// What happened.
    pub message: String,
}

/// A clean-up step or an undo that has failed more often than the step's attempts: it is still tried, but somebody should look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CleanUpTrouble {
    /// The step.
    pub step: StepId,
    /// How often it has failed.
    pub failures: u32,
    /// The last failure.
    pub failure: Failure,
}

/// One line of the time line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepTimeline {
    /// The step.
    pub id: StepId,
    /// When it was expected to start and end.
    pub planned: Option<Planned>,
    /// Its first intent, or its question.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// It has changed something, or may have.
    pub touched: bool,
    /// What it waits for, while it is open.
    pub waits_for: Option<WaitsFor>,
    /// Its last failure, even if a later attempt succeeded.
    pub failure: Option<Failure>,
    /// Why it was skipped.
    pub skipped: Option<SkipCause>,
    /// What its last attempt that proved anything proves.
    pub evidence: Option<Evidence>,
}

/// A run, for status and report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Where it stands.
    pub phase: RunPhase,
    /// How many steps stand where.
    pub counts: Counts,
    /// Where each step stands, in the plan's order.
    pub states: Vec<StepState>,
    /// Up to [`MOST_CURRENT_STEPS`] steps that are under way or wait for a person, those first.
    pub current: Vec<CurrentStep>,
    /// When it was claimed first.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub completion: Option<Timestamp>,
    /// How long it has run, or ran.
    #[serde(skip)]
    pub elapsed: SignedDuration,
    /// How it ended, with reason and message.
    pub result: Option<(RunResult, Reason, String)>,
    /// The failure that decides the end, as soon as it is known.
    pub failure: Option<RunFailure>,
    /// Undos and clean-up steps that keep failing.
    pub clean_up_trouble: Vec<CleanUpTrouble>,
    /// The point of no return is done.
    pub committed: bool,
    /// Sequence of the journal's last record.
    pub sequence: u64,
    /// Token of its last claim.
    pub token: u64,
    /// How many of the run's actions were copied.
    pub observed_actions: u32,
    /// Actions without effect: index and why.
    pub refused_actions: Vec<(u32, String)>,
    /// Every step, in the plan's order.
    pub timeline: Vec<StepTimeline>,
}

/// Sums up a run.
///
/// # Errors
/// [`ReplayError`] if the journal belongs to another plan.
pub fn summary<A: Serialize>(plan: &Plan<A>, journal: &Journal, now: Timestamp) -> Result<RunSummary, ReplayError> {
    let run = Run::replay(plan, journal)?;
    let schedule = plan.schedule();
    let timeline: Vec<StepTimeline> = run.indices().map(|at| line(&run, at, schedule[at])).collect();
    let completion = run.finished.as_ref().map(|(_, _, _, at)| *at);
    let states: Vec<StepState> = run.indices().map(|at| StepState::of(timeline[at].outcome, run.course(at).in_flight())).collect();
    Ok(RunSummary {
        phase: phase(&run),
        counts: count(&timeline, &states),
        states,
        current: current(&run),
        start: run.start,
        completion,
        elapsed: run.start.map_or(SignedDuration::ZERO, |start| completion.unwrap_or(now).duration_since(start)),
        result: run.finished.clone().map(|(result, reason, message, _)| (result, reason, message)),
        failure: run.deciding_failure(),
        clean_up_trouble: trouble(&run),
        committed: run.commitment() == Commitment::Committed,
        sequence: journal.sequence(),
        token: journal.token(),
        observed_actions: journal.observed_actions(),
        refused_actions: run.refusals.iter().map(|(index, message, _)| (*index, message.clone())).collect(),
        timeline,
    })
}

fn outcome<A>(run: &Run<'_, A>, at: usize) -> Outcome {
    let over = run.finished.is_some();
    match &run.course(at).state {
        State::Done => Outcome::Done,
        State::Undone => Outcome::Undone,
        State::Skipped { cause: SkipCause::DependencyFailed { .. } } if !run.steps[at].reopened => Outcome::NotReached,
        // Undo given up: its effect stands, and a person decided so.
        State::Skipped { cause: SkipCause::Person { .. } | SkipCause::TimedOut } | State::UndoGivenUp => Outcome::Skipped,
        State::Failed { failure, .. } if failure.class == FailureClass::Cancelled && run.ending.is_some() => Outcome::Cancelled,
        State::Failed { .. } if over || (!run.step(at).finally && (run.exhausted(at) || run.ending.is_some())) => Outcome::Failed,
        State::Waiting | State::Asked { .. } | State::Answered | State::Skipped { .. } if over || (run.ending.is_some() && !run.step(at).finally) => {
            Outcome::NotRun
        }
        State::Waiting
        | State::Asked { .. }
        | State::Answered
        | State::InFlight { .. }
        | State::Failed { .. }
        | State::Skipped { .. }
        | State::Undoing { .. }
        | State::UndoFailed { .. } => Outcome::Open,
    }
}

fn line<A>(run: &Run<'_, A>, at: usize, planned: Option<Planned>) -> StepTimeline {
    let course = run.course(at);
    let outcome = outcome(run, at);
    StepTimeline {
        id: run.step(at).id.clone(),
        planned,
        started: course.started,
        ended: if course.in_flight() { None } else { course.ended },
        attempts: course.attempts,
        outcome,
        touched: course.may_have_acted(),
        waits_for: (outcome == Outcome::Open || run.needs_decision(at)).then(|| waits_for(run, at)),
        failure: course.failure.clone(),
        skipped: match &course.state {
            State::Skipped { cause } => Some(cause.clone()),
            _ => None,
        },
        evidence: course.evidence.clone(),
    }
}

fn waits_for<A>(run: &Run<'_, A>, at: usize) -> WaitsFor {
    let (step, standing) = (run.step(at), &run.steps[at]);
    let ends = run.ending.is_some() && !step.finally;
    match &standing.course.state {
        State::InFlight { .. } if ends || standing.skip.is_some() => WaitsFor::Stop,
        State::InFlight { .. } => WaitsFor::Effect,
        State::Undoing { .. } => WaitsFor::Undo,
        State::UndoFailed { .. } => run.not_before_undo(at).map_or(WaitsFor::Turn, |time| WaitsFor::Retry { time }),
        _ if ends => WaitsFor::Undo,
        State::Asked { .. } => {
            let people = step.needs_person.as_ref().map_or(1, |prompt| prompt.people);
            let text = run.prompt_text(at).cloned().unwrap_or_default();
            WaitsFor::Answer { text, people, answered: u32::try_from(standing.yes.len()).unwrap_or(u32::MAX) }
        }
        _ if run.needs_decision(at) => WaitsFor::Decision,
        _ if step.finally && !run.cleaning_up() => WaitsFor::End,
        State::Failed { .. } if !run.paused || step.finally || step.despite_pause => run.not_before(at).map_or(WaitsFor::Turn, |time| WaitsFor::Retry { time }),
        _ => {
            let unmet = run.unmet(at);
            if !unmet.is_empty() {
                WaitsFor::Steps { steps: unmet.into_iter().cloned().collect() }
            } else if run.paused && !step.finally && !step.despite_pause {
                WaitsFor::Resume
            } else {
                WaitsFor::Turn
            }
        }
    }
}

fn count(timeline: &[StepTimeline], states: &[StepState]) -> Counts {
    let mut counts = Counts::default();
    for (line, state) in timeline.iter().zip(states) {
        counts.total += 1;
        counts.retried += u32::from(line.attempts > 1);
        *match state {
            StepState::Done => &mut counts.done,
            StepState::Failed => &mut counts.failed,
            StepState::Undone => &mut counts.undone,
            StepState::Skipped | StepState::NotRun | StepState::Stopped => &mut counts.skipped,
            StepState::Running => &mut counts.running,
            StepState::Waiting => &mut counts.waiting,
        } += 1;
    }
    counts
}

fn current<A>(run: &Run<'_, A>) -> Vec<CurrentStep> {
    if run.finished.is_some() {
        return Vec::new();
    }
    let mut all: Vec<(u8, CurrentStep)> = Vec::new();
    for at in run.indices() {
        let (step, course) = (run.step(at), run.course(at));
        let waits_for = waits_for(run, at);
        let base = if step.finally { RunPhase::CleaningUp } else { RunPhase::Running };
        // The number orders them: people first, then what is under way, then what is tried again.
        let (order, phase, attempt, start, deadline) = match &course.state {
            State::Asked { at: asked } if run.ending.is_none() => {
                (0, RunPhase::WaitingForPerson, course.attempts.saturating_add(1), Some(*asked), run.prompt_deadline(at))
            }
            State::Failed { asked, at: failed, .. } if run.needs_decision(at) => {
                (0, RunPhase::WaitingForPerson, course.attempts.max(1), Some(asked.unwrap_or(*failed)), None)
            }
            State::InFlight { attempt, since } => {
                let phase = if waits_for == WaitsFor::Stop { RunPhase::Aborting } else { base };
                (1, phase, *attempt, Some(*since), run.attempt_deadline(at))
            }
            State::Undoing { attempt, since } => (1, RunPhase::Aborting, *attempt, Some(*since), run.attempt_deadline(at)),
            State::UndoFailed { at, .. } => (2, RunPhase::Aborting, course.undo_attempts.saturating_add(1), Some(*at), None),
            State::Failed { at: failed, .. } if step.finally || (run.ending.is_none() && !run.exhausted(at)) => {
                (2, base, course.attempts.saturating_add(1), Some(*failed), None)
            }
            State::Waiting
            | State::Asked { .. }
            | State::Answered
            | State::Failed { .. }
            | State::Done
            | State::Skipped { .. }
            | State::Undone
            | State::UndoGivenUp => continue,
        };
        let failure = match &course.state {
            State::Failed { failure, .. } | State::UndoFailed { failure, .. } => Some(failure.clone()),
            _ => None,
        };
        all.push((order, CurrentStep { id: step.id.clone(), phase, attempt, start, deadline, waits_for, failure }));
    }
    all.sort_by_key(|(order, _)| *order);
    all.into_iter().map(|(_, step)| step).take(MOST_CURRENT_STEPS).collect()
}

fn trouble<A>(run: &Run<'_, A>) -> Vec<CleanUpTrouble> {
    let mut trouble = Vec::new();
    for at in run.indices() {
        let (step, course) = (run.step(at), run.course(at));
        // Also while it is tried again: an attempt may take minutes, and what stands meanwhile is what matters.
        let (failures, failure) = match &course.state {
            State::UndoFailed { .. } | State::Undoing { .. } => (course.undo_failures, &course.undo_failure),
            State::Failed { .. } | State::InFlight { .. } if step.finally => (course.failures, &course.failure),
            _ => continue,
        };
        if let Some(failure) = failure.as_ref().filter(|_| failures >= step.retry.attempts) {
            trouble.push(CleanUpTrouble { step: step.id.clone(), failures, failure: failure.clone() });
        }
    }
    trouble
}
