//! Events of a run, and journal records.

use jiff::Timestamp;
use p861_crds::{Reason, common::RunAction};
use serde::{Deserialize, Serialize};

use super::{command::Direction, evidence::Evidence, step::StepId};

/// The longest text of a record: messages, and the reasons that people give. What is longer is cut when the record is made ([`super::Journal::stamp`]),
/// so that no effect can fill the journal with one error page.
pub const MAX_TEXT_CHARS: usize = 2_048;

/// Cuts a text to [`MAX_TEXT_CHARS`].
fn cap(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT_CHARS) {
        let kept = text[..end].char_indices().next_back().map_or(0, |(last, _)| last);
        text.truncate(kept);
        text.push('…');
    }
}

/// Category of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureClass {
    /// Transient: retried while attempts remain.
    Transient,
    /// Permanent: a retry needs a person.
    Permanent,
    /// It was stopped on purpose, because the run ends early or a person skips the step.
    Cancelled,
    /// What was asked is refused and nothing was changed; the run ends as Refused, not as Failed. Otherwise like Permanent.
    Refused,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Category.
    pub class: FailureClass,
    /// Why, in short.
    pub reason: Reason,
    /// What happened, to which object, what to do next.
    pub message: String,
    /// The attempt has certainly changed nothing: it is known that it had not begun to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untouched: bool,
}

impl Failure {
    /// A failure that may go away.
    pub fn transient(reason: Reason, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Transient, reason, message: message.into(), untouched: false }
    }

    /// A failure that stays.
    pub fn permanent(reason: Reason, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Permanent, reason, message: message.into(), untouched: false }
    }

    /// A refusal before anything was changed.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Refused, reason, message: message.into(), untouched: true }
    }

    /// The same, stopped on purpose.
    pub fn cancelled(reason: Reason, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Cancelled, reason, message: message.into(), untouched: false }
    }

    /// The same, of an attempt that has certainly changed nothing if `untouched`.
    #[must_use]
    pub fn and_untouched(mut self, untouched: bool) -> Self {
        self.untouched |= untouched;
        self
    }
}

/// What a person is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AskKind {
    /// The step's own question, before it starts.
    Prompt,
    /// The step has failed: retry, skip or abort?
    Failure,
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Enough people said yes.
    Yes,
    /// Nobody answered in time, and the plan says to go on.
    TimedOut,
}

/// Why a step was not done, or no further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum SkipCause {
    /// A person skipped it.
    Person {
        /// Why.
        reason: String,
    },
    /// A step that it comes after was not done.
    DependencyFailed {
        /// That step.
        step: StepId,
    },
    /// Nobody answered its question in time.
    TimedOut,
}

/// Who or what ends a run early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbortCause {
    /// A person, by the action Abort.
    Person,
    /// The run's deadline. The run ends as Failed.
    DeadlineExceeded,
    /// A run of higher priority on the same plan.
    Superseded,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunResult {
    /// As wanted.
    Succeeded,
    /// Otherwise.
    Failed,
    /// By a person, or for a run of higher priority.
    Aborted,
    /// Before it changed anything.
    Refused,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Event {
    /// An orchestrator took the run under a new token; older ones can append no more.
    Claimed {
        /// Digest of the plan that it works by.
        plan: String,
    },
    /// A person's entry of `spec.actions`, copied.
    Action {
        /// Its index in `spec.actions`.
        index: u32,
        /// The entry.
        action: RunAction,
    },
    /// A person's action that has no effect.
    ActionRefused {
        /// Its index in `spec.actions`.
        index: u32,
        /// Why, and what to do instead.
        message: String,
    },
    /// The run shall end early; before the point of no return it does.
    AbortRequested {
        /// Who or what wants it.
        cause: AbortCause,
        /// Why.
        reason: String,
    },
    /// The run is over. Nothing follows.
    Finished {
        /// How it ended.
        result: RunResult,
        /// Why, in short.
        reason: Reason,
        /// A sentence.
        message: String,
    },
    /// A person is asked about the step.
    Asked {
        /// About what.
        kind: AskKind,
    },
    /// The step's question has ended in its favour.
    Answered {
        /// How.
        answer: Answer,
    },
    /// The step's effect is about to happen, and may have happened from here on.
    Intent,
    /// The effect has happened.
    Done,
    /// The effect has failed or was stopped. For the point of no return: it certainly has not happened.
    Failed(Failure),
    /// The step is not done, or its undo is given up.
    Skipped {
        /// Why.
        cause: SkipCause,
    },
    /// The step's undo is about to happen.
    UndoIntent,
    /// The step is undone.
    Undone,
    /// The undo has failed; it is tried again.
    UndoFailed(Failure),
    /// Several attempts in a row have failed: one record in the place of two for each ([`super::Journal::compacted`]). The record's attempt and time are
    /// the last attempt's.
    FailedRepeatedly {
        /// Of the action or of its undo.
        direction: Direction,
        /// How many attempts.
        count: u32,
        /// When the first of them began.
        first: Timestamp,
        /// The last failure.
        failure: Failure,
    },
}

impl Event {
    /// Cuts its texts to [`MAX_TEXT_CHARS`].
    pub(super) fn cap_texts(&mut self) {
        match self {
            Self::Failed(failure) | Self::UndoFailed(failure) | Self::FailedRepeatedly { failure, .. } => {
                cap(&mut failure.message);
            }
            Self::Action { action, .. } => action.reason.iter_mut().for_each(cap),
            Self::ActionRefused { message, .. } => cap(message),
            Self::AbortRequested { reason, .. } | Self::Skipped { cause: SkipCause::Person { reason } } => cap(reason),
            Self::Finished { message, .. } => {
                cap(message);
            }
            Self::Claimed { .. }
            | Self::Asked { .. }
            | Self::Answered { .. }
            | Self::Intent
            | Self::Done
            | Self::Skipped { cause: SkipCause::DependencyFailed { .. } | SkipCause::TimedOut }
            | Self::UndoIntent
            | Self::Undone => {}
        }
    }

    /// Its name, as the JSON has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claimed { .. } => "Claimed",
            Self::Action { .. } => "Action",
            Self::ActionRefused { .. } => "ActionRefused",
            Self::AbortRequested { .. } => "AbortRequested",
            Self::Finished { .. } => "Finished",
            Self::Asked { .. } => "Asked",
            Self::Answered { .. } => "Answered",
            Self::Intent => "Intent",
            Self::Done => "Done",
            Self::Failed(_) => "Failed",
            Self::Skipped { .. } => "Skipped",
            Self::UndoIntent => "UndoIntent",
            Self::Undone => "Undone",
            Self::UndoFailed(_) => "UndoFailed",
            Self::FailedRepeatedly { .. } => "FailedRepeatedly",
        }
    }

    /// Whether it is about a step (or else about the run).
    pub fn is_about_step(&self) -> bool {
        match self {
            Self::Claimed { .. } | Self::Action { .. } | Self::ActionRefused { .. } | Self::AbortRequested { .. } | Self::Finished { .. } => false,
            Self::Asked { .. }
            | Self::Answered { .. }
            | Self::Intent
            | Self::Done
            | Self::Failed(_)
            | Self::Skipped { .. }
            | Self::UndoIntent
            | Self::Undone
            | Self::UndoFailed(_)
            | Self::FailedRepeatedly { .. } => true,
        }
    }
}

/// What shall stand in the journal, before it has a place there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The step that it is about.
    pub step: Option<StepId>,
    /// The attempt (of the action, or of the undo); 0 where none is meant.
    pub attempt: u32,
    /// What happened.
    pub event: Event,
    /// Who did it, if a person.
    pub by: Option<String>,
    /// What it proves, if anything.
    pub evidence: Option<Evidence>,
}

impl Entry {
    /// About a step.
    pub fn of(step: StepId, attempt: u32, event: Event) -> Self {
        Self { step: Some(step), attempt, event, by: None, evidence: None }
    }

    /// About the run.
    pub fn run(event: Event) -> Self {
        Self { step: None, attempt: 0, event, by: None, evidence: None }
    }

    /// The effect of this attempt has happened.
    pub fn done(step: StepId, attempt: u32, evidence: impl Into<Option<Evidence>>) -> Self {
        Self { evidence: evidence.into(), ..Self::of(step, attempt, Event::Done) }
    }

    /// This attempt has failed.
    pub fn failed(step: StepId, attempt: u32, failure: Failure, evidence: impl Into<Option<Evidence>>) -> Self {
        Self { evidence: evidence.into(), ..Self::of(step, attempt, Event::Failed(failure)) }
    }

    /// The undo has happened.
    pub fn undone(step: StepId, attempt: u32, evidence: impl Into<Option<Evidence>>) -> Self {
        Self { evidence: evidence.into(), ..Self::of(step, attempt, Event::Undone) }
    }

    /// This attempt to undo has failed.
    pub fn undo_failed(step: StepId, attempt: u32, failure: Failure, evidence: impl Into<Option<Evidence>>) -> Self {
        Self { evidence: evidence.into(), ..Self::of(step, attempt, Event::UndoFailed(failure)) }
    }
}

/// One record of the journal; one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// 1, 2, 3 …
    pub sequence: u64,
    /// The claim under which it was written.
    pub token: u64,
    /// The step that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// The attempt (of the action, or of the undo); 0 where none is meant.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// What happened.
    pub event: Event,
    /// When, by the clock of its writer.
    pub at: Timestamp,
    /// Who did it, if a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What it proves, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
