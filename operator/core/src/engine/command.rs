//! One thing to do, for the journal or to the world.

use jiff::Timestamp;
use p861_crds::Reason;
use serde::{Deserialize, Serialize};

use super::{
    event::{AbortCause, Answer, AskKind, Entry, Event, Failure, RunResult, SkipCause},
    step::StepId,
};

/// Which of a step's two effects is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Its action.
    Forward,
    /// Its undo.
    Undo,
}

/// Why an effect is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelCause {
    /// The attempt's deadline has passed.
    DeadlineExceeded {
        /// When.
        deadline: Timestamp,
        /// How long the attempt was given.
        allowed: String,
    },
    /// The run ends early.
    RunEnds,
    /// A person skips the step.
    Skipped,
}

impl CancelCause {
    /// What to record once the effect has stopped without having happened.
    pub fn failure(&self) -> Failure {
        self.failure_after(None)
    }

    /// The same. `said` is what it waited for, or did, before it was told to stop: whoever reads that it took too long asks why.
    pub fn failure_after(&self, said: Option<&str>) -> Failure {
        match self {
            Self::DeadlineExceeded { deadline, allowed } => {
                let last = said.map_or_else(String::new, |said| format!("; the last that it said: {said}"));
                Failure::transient(Reason::DeadlineExceeded, format!("it was not done within {allowed}, by {deadline:.0}, and was stopped{last}"))
            }
            Self::RunEnds => Failure::cancelled(Reason::Aborted, "stopped, because the run ends early"),
            Self::Skipped => Failure::cancelled(Reason::Skipped, "stopped, because a person skips it"),
        }
    }
}

/// One thing to do. The first group is written to the journal ([`Command::entry`]), the second is done to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Record the intent of a step's action. Once that is durable, `advance` commands to perform it.
    Start {
        /// The step.
        step: StepId,
        /// Its attempt; 1 is the first.
        attempt: u32,
    },
    /// Record the intent of a step's undo.
    Undo {
        /// The step.
        step: StepId,
        /// The attempt to undo it; 1 is the first.
        attempt: u32,
    },
    /// Record that a person is asked, and tell people.
    Ask {
        /// The step.
        step: StepId,
        /// About what.
        kind: AskKind,
    },
    /// Record that a question has ended in the step's favour.
    Settle {
        /// The step.
        step: StepId,
        /// How.
        answer: Answer,
    },
    /// Record that a step has failed without an attempt: the answer was no, or nobody answered.
    Fail {
        /// The step.
        step: StepId,
        /// Why.
        failure: Failure,
        /// Who said no.
        by: Option<String>,
    },
    /// Record that a step, or its undo, is skipped.
    Skip {
        /// The step.
        step: StepId,
        /// Why.
        cause: SkipCause,
        /// Who skipped it.
        by: Option<String>,
    },
    /// Record that a person's action has no effect.
    Refuse {
        /// Its index in `spec.actions`.
        index: u32,
        /// Why, and what to do instead.
        message: String,
    },
    /// Record that the run's deadline has passed.
    Abort {
        /// Why.
        cause: AbortCause,
        /// A sentence.
        reason: String,
    },
    /// Record the end of the run.
    Finish {
        /// How it ended.
        result: RunResult,
        /// Why, in short.
        reason: Reason,
        /// A sentence.
        message: String,
    },
    /// Bring this step's effect about, or go on doing so: its intent is durable. Idempotent by step and attempt.
    Perform {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
    },
    /// The same for its undo.
    PerformUndo {
        /// The step.
        step: StepId,
        /// The attempt to undo it.
        attempt: u32,
    },
    /// Stop the effect and, only when it has certainly stopped, record how it ended: Done (Undone) if it happened, else Failed (UndoFailed) with
    /// [`CancelCause::failure`]. Until that stands in the journal the command comes again.
    Cancel {
        /// The step.
        step: StepId,
        /// The attempt, of the action or of its undo.
        attempt: u32,
        /// Which of the two.
        direction: Direction,
        /// Why.
        cause: CancelCause,
    },
}

impl Command {
    /// What this command writes to the journal; none if it is done to the world.
    pub fn entry(&self) -> Option<Entry> {
        Some(match self {
            Self::Start { step, attempt } => Entry::of(step.clone(), *attempt, Event::Intent),
            Self::Undo { step, attempt } => Entry::of(step.clone(), *attempt, Event::UndoIntent),
            Self::Ask { step, kind } => Entry::of(step.clone(), 0, Event::Asked { kind: *kind }),
            Self::Settle { step, answer } => Entry::of(step.clone(), 0, Event::Answered { answer: *answer }),
            Self::Fail { step, failure, by } => Entry { by: by.clone(), ..Entry::of(step.clone(), 0, Event::Failed(failure.clone())) },
            Self::Skip { step, cause, by } => Entry { by: by.clone(), ..Entry::of(step.clone(), 0, Event::Skipped { cause: cause.clone() }) },
            Self::Refuse { index, message } => Entry::run(Event::ActionRefused { index: *index, message: message.clone() }),
            Self::Abort { cause, reason } => Entry::run(Event::AbortRequested { cause: *cause, reason: reason.clone() }),
            Self::Finish { result, reason, message } => Entry::run(Event::Finished { result: *result, reason: reason.clone(), message: message.clone() }),
            Self::Perform { .. } | Self::PerformUndo { .. } | Self::Cancel { .. } => return None,
        })
    }

    /// The step that it is about.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::Start { step, .. }
            | Self::Undo { step, .. }
            | Self::Ask { step, .. }
            | Self::Settle { step, .. }
            | Self::Fail { step, .. }
            | Self::Skip { step, .. }
            | Self::Perform { step, .. }
            | Self::PerformUndo { step, .. }
            | Self::Cancel { step, .. } => Some(step),
            Self::Refuse { .. } | Self::Abort { .. } | Self::Finish { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_i6_what_took_too_long_says_why_it_waited_and_until_when_to_the_second() {
        let deadline = "2026-11-15T01:02:03.456789012Z".parse().expect("a time");
        let cause = CancelCause::DeadlineExceeded { deadline, allowed: "2m".into() };
        for (said, message) in [
            (None, "it was not done within 2m, by 2026-11-15T01:02:03Z, and was stopped"),
            (
                Some("namespace n is being deleted: pods remain in it"),
                "it was not done within 2m, by 2026-11-15T01:02:03Z, and was stopped; the last that it said: namespace n is being deleted: pods remain in it",
            ),
        ] {
            let failure = cause.failure_after(said);
            assert_eq!((failure.message.as_str(), failure.reason), (message, Reason::DeadlineExceeded));
        }
    }
}
