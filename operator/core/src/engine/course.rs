//! The state machine of one step over its journal records, independent of the plan.

use jiff::Timestamp;

use super::{
    command::Direction,
    event::{Answer, AskKind, Event, Failure, Record, SkipCause},
    evidence::Evidence,
};

/// Where a step stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing has happened.
    #[default]
    Waiting,
    /// Its question is open.
    Asked { at: Timestamp },
    /// Its question was answered, it may start.
    Answered,
    /// Its effect is under way, or its orchestrator died while it was.
    InFlight { attempt: u32, since: Timestamp },
    /// Its last attempt failed. `asked`: a person was asked what to do.
    Failed { at: Timestamp, failure: Failure, asked: Option<Timestamp> },
    /// Done.
    Done,
    /// Not done, and not to be done.
    Skipped { cause: SkipCause },
    /// Its undo is under way.
    Undoing { attempt: u32, since: Timestamp },
    /// Its last undo failed.
    UndoFailed { at: Timestamp, failure: Failure },
    /// Undone.
    Undone,
    /// A person gave up undoing it.
    UndoGivenUp,
}

impl State {
    /// For the sentence "the step is …".
    pub fn describe(&self) -> String {
        match self {
            Self::Waiting => "not started".to_owned(),
            Self::Asked { .. } => "waiting for an answer".to_owned(),
            Self::Answered => "answered and about to start".to_owned(),
            Self::InFlight { attempt, .. } => format!("under way (attempt {attempt})"),
            Self::Failed { failure, .. } => format!("failed ({})", failure.reason),
            Self::Done => "done".to_owned(),
            Self::Skipped { .. } => "skipped".to_owned(),
            Self::Undoing { attempt, .. } => format!("being undone (attempt {attempt})"),
            Self::UndoFailed { failure, .. } => format!("not yet undone ({})", failure.reason),
            Self::Undone => "undone".to_owned(),
            Self::UndoGivenUp => "left as it is, its undo was skipped".to_owned(),
        }
    }
}

/// A step's state and what its records say besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    pub state: State,
    /// Attempts that were intended.
    pub attempts: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Undo attempts that were intended.
    pub undo_attempts: u32,
    /// Undo attempts that failed.
    pub undo_failures: u32,
    /// Its question has been answered in its favour.
    pub answered: bool,
    /// The first intent, or the first question.
    pub started: Option<Timestamp>,
    /// The end of the action: done, failed or skipped; the last of these.
    pub ended: Option<Timestamp>,
    /// Evidence of the last record that had any.
    pub evidence: Option<Evidence>,
    /// The last failure of the action.
    pub failure: Option<Failure>,
    /// The last failure of the undo.
    pub undo_failure: Option<Failure>,
    /// An attempt of the action that has ended may have changed something.
    pub touched: bool,
}

impl Course {
    /// The course after one more record.
    ///
    /// # Errors
    /// If the record's event cannot happen here: where the step stands, in words.
    #[expect(clippy::too_many_lines, reason = "the table of all states and events is read as one")]
    pub fn after(mut self, record: &Record) -> Result<Self, String> {
        let at = record.at;
        let attempt = record.attempt;
        let state = std::mem::take(&mut self.state);
        let next = match (state, &record.event) {
            (State::Waiting | State::Failed { .. } | State::Skipped { cause: SkipCause::DependencyFailed { .. } }, Event::Asked { kind: AskKind::Prompt }) => {
                self.answered = false;
                self.started.get_or_insert(at);
                State::Asked { at }
            }
            (State::Failed { at, failure, asked: None }, Event::Asked { kind: AskKind::Failure }) => State::Failed { at, failure, asked: Some(record.at) },
            (State::Asked { .. }, Event::Answered { answer: Answer::Yes | Answer::TimedOut }) => {
                self.answered = true;
                State::Answered
            }
            (State::Waiting | State::Answered | State::Failed { .. } | State::Skipped { cause: SkipCause::DependencyFailed { .. } }, Event::Intent)
                if attempt == self.attempts + 1 =>
            {
                self.attempts = attempt;
                self.started.get_or_insert(at);
                self.ended = None;
                State::InFlight { attempt, since: at }
            }
            (State::InFlight { attempt: current, .. }, Event::Done) if attempt == current => {
                self.touched = true;
                self.ended = Some(at);
                State::Done
            }
            (State::InFlight { attempt: current, .. }, Event::Failed(failure)) if attempt == current => {
                self.failures += 1;
                self.touched |= !failure.untouched;
                self.ended = Some(at);
                self.failure = Some(failure.clone());
                State::Failed { at, failure: failure.clone(), asked: None }
            }
            // The answer was no, or nobody answered: it fails without an attempt.
            (State::Asked { .. }, Event::Failed(failure)) => {
                self.ended = Some(at);
                self.failure = Some(failure.clone());
                State::Failed { at, failure: failure.clone(), asked: None }
            }
            (
                State::Waiting | State::Asked { .. } | State::Answered | State::Failed { .. } | State::Skipped { cause: SkipCause::DependencyFailed { .. } },
                Event::Skipped { cause },
            ) => {
                self.ended = Some(at);
                State::Skipped { cause: cause.clone() }
            }
            (
                State::Done | State::Asked { .. } | State::Answered | State::Failed { .. } | State::Skipped { .. } | State::UndoFailed { .. },
                Event::UndoIntent,
            ) if self.attempts > 0 && attempt == self.undo_attempts + 1 => {
                self.undo_attempts = attempt;
                State::Undoing { attempt, since: at }
            }
            (State::Undoing { attempt: current, .. }, Event::Undone) if attempt == current => State::Undone,
            (State::Undoing { attempt: current, .. }, Event::UndoFailed(failure)) if attempt == current => {
                self.undo_failures += 1;
                self.undo_failure = Some(failure.clone());
                State::UndoFailed { at, failure: failure.clone() }
            }
            (State::UndoFailed { .. }, Event::Skipped { cause: SkipCause::Person { .. } }) => State::UndoGivenUp,
            // As Intent and Failed, or UndoIntent and UndoFailed, `count` times.
            (
                State::Waiting | State::Answered | State::Failed { .. } | State::Skipped { cause: SkipCause::DependencyFailed { .. } },
                Event::FailedRepeatedly { direction: Direction::Forward, count, first, failure },
            ) if *count > 0 && self.attempts.checked_add(*count) == Some(attempt) => {
                self.attempts = attempt;
                self.failures = self.failures.saturating_add(*count);
                self.touched |= !failure.untouched;
                self.started.get_or_insert(*first);
                self.ended = Some(at);
                self.failure = Some(failure.clone());
                State::Failed { at, failure: failure.clone(), asked: None }
            }
            (
                State::Done | State::Asked { .. } | State::Answered | State::Failed { .. } | State::Skipped { .. } | State::UndoFailed { .. },
                Event::FailedRepeatedly { direction: Direction::Undo, count, failure, .. },
            ) if self.attempts > 0 && *count > 0 && self.undo_attempts.checked_add(*count) == Some(attempt) => {
                self.undo_attempts = attempt;
                self.undo_failures = self.undo_failures.saturating_add(*count);
                self.undo_failure = Some(failure.clone());
                State::UndoFailed { at, failure: failure.clone() }
            }
            (
                impossible,
                Event::Claimed { .. }
                | Event::Action { .. }
                | Event::ActionRefused { .. }
                | Event::AbortRequested { .. }
                | Event::Finished { .. }
                | Event::Asked { .. }
                | Event::Answered { .. }
                | Event::Intent
                | Event::Done
                | Event::Failed(_)
                | Event::Skipped { .. }
                | Event::UndoIntent
                | Event::Undone
                | Event::UndoFailed(_)
                | Event::FailedRepeatedly { .. },
            ) => return Err(impossible.describe()),
        };
        self.state = next;
        if record.evidence.is_some() {
            self.evidence.clone_from(&record.evidence);
        }
        Ok(self)
    }

    /// Whether the action may have changed something, or be about to.
    pub fn may_have_acted(&self) -> bool {
        self.touched || matches!(self.state, State::InFlight { .. })
    }

    /// Whether an effect of this step, or of its undo, may be happening.
    pub fn in_flight(&self) -> bool {
        match self.state {
            State::InFlight { .. } | State::Undoing { .. } => true,
            State::Waiting
            | State::Asked { .. }
            | State::Answered
            | State::Failed { .. }
            | State::Done
            | State::Skipped { .. }
            | State::UndoFailed { .. }
            | State::Undone
            | State::UndoGivenUp => false,
        }
    }
}
