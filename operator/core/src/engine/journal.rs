//! The journal: what happened to a run, in order. It is the only truth about the run; a status is a summary of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use p861_crds::common::RunAction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{course::Course, step::StepId};

/// How a failure is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureClass {
    /// It may go away: the step is tried again while it has attempts.
    Transient,
    /// It stays: trying again without a person is useless.
    Permanent,
    /// It was stopped on purpose, because the run ends early or a person skips the step.
    Cancelled,
    /// What was asked is refused and nothing was changed; the run ends as Refused, not as Failed. Otherwise like Permanent.
    Refused,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How it is to be taken.
    pub class: FailureClass,
    /// A reason of the API, in CamelCase, for example `MoverLost`; the key of the texts for people.
    pub reason: String,
    /// What happened, to which object, what to do next.
    pub message: String,
}

impl Failure {
    /// A failure that may go away.
    pub fn transient(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Transient, reason: reason.into(), message: message.into() }
    }

    /// A failure that stays.
    pub fn permanent(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Permanent, reason: reason.into(), message: message.into() }
    }

    /// A refusal before anything was changed.
    pub fn refused(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Refused, reason: reason.into(), message: message.into() }
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
        /// A reason of the API.
        reason: String,
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
}

impl Event {
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
            | Self::UndoFailed(_) => true,
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
    /// What proves it; for the report.
    pub evidence: Value,
}

impl Entry {
    /// About a step.
    pub fn of(step: StepId, attempt: u32, event: Event) -> Self {
        Self { step: Some(step), attempt, event, by: None, evidence: Value::Null }
    }

    /// About the run.
    pub fn run(event: Event) -> Self {
        Self { step: None, attempt: 0, event, by: None, evidence: Value::Null }
    }

    /// The effect of this attempt has happened.
    pub fn done(step: StepId, attempt: u32, evidence: Value) -> Self {
        Self { evidence, ..Self::of(step, attempt, Event::Done) }
    }

    /// This attempt has failed.
    pub fn failed(step: StepId, attempt: u32, failure: Failure, evidence: Value) -> Self {
        Self { evidence, ..Self::of(step, attempt, Event::Failed(failure)) }
    }

    /// The undo has happened.
    pub fn undone(step: StepId, attempt: u32, evidence: Value) -> Self {
        Self { evidence, ..Self::of(step, attempt, Event::Undone) }
    }

    /// This attempt to undo has failed.
    pub fn undo_failed(step: StepId, attempt: u32, failure: Failure, evidence: Value) -> Self {
        Self { evidence, ..Self::of(step, attempt, Event::UndoFailed(failure)) }
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
    /// What proves it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evidence: Value,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a record cannot stand where it is. In each case the journal is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Records are missing, or one comes twice.
    #[error("record {seen} ({event}) follows record {last}; {} was expected: {}", .last + 1, if *.seen > .last + 1 { "records are missing, read the journal again" } else { "another orchestrator has written, read the journal again" })]
    Sequence {
        /// Sequence of the last good record.
        last: u64,
        /// Sequence of the one that was read or appended.
        seen: u64,
        /// Its event.
        event: &'static str,
    },
    /// The writer's token is older than the journal's: someone else has claimed the run.
    #[error("record {sequence} ({event}) has token {seen}, but the run was claimed with token {current}: this orchestrator has lost the run and must stop")]
    StaleToken {
        /// Sequence of the record.
        sequence: u64,
        /// Its event.
        event: &'static str,
        /// The journal's token.
        current: u64,
        /// The record's.
        seen: u64,
    },
    /// A newer token appears without a claim.
    #[error("record {sequence} ({event}) has token {seen}, which nobody has claimed; the journal's token is {current}: append a claim first")]
    Unclaimed {
        /// Sequence of the record.
        sequence: u64,
        /// Its event.
        event: &'static str,
        /// The journal's token; 0 in an empty journal.
        current: u64,
        /// The record's.
        seen: u64,
    },
    /// The run is over.
    #[error("record {sequence} ({event}) comes after the end of the run, which record {finished} states; nothing may follow")]
    AfterEnd {
        /// Sequence of the record.
        sequence: u64,
        /// Its event.
        event: &'static str,
        /// Sequence of the last record.
        finished: u64,
    },
    /// An event about a step names none, or an event about the run names one.
    #[error("record {sequence} ({event}) {}", if *.about_step { "names no step" } else { "names a step, but is about the run" })]
    WrongSubject {
        /// Sequence of the record.
        sequence: u64,
        /// Its event.
        event: &'static str,
        /// Whether the event is about a step.
        about_step: bool,
    },
    /// An action is copied twice, or one was left out.
    #[error("record {sequence} copies action {seen} of the run, but {expected} is the next; copy each action once, in order")]
    ActionIndex {
        /// Sequence of the record.
        sequence: u64,
        /// The index that is next.
        expected: u32,
        /// The index of the record.
        seen: u32,
    },
    /// The event cannot happen to the step where it stands.
    #[error("record {sequence}: step {step} is {state}, so {event} (attempt {attempt}) cannot follow")]
    Impossible {
        /// Sequence of the record.
        sequence: u64,
        /// The step.
        step: StepId,
        /// Where it stands, with the attempt.
        state: String,
        /// The event.
        event: &'static str,
        /// The attempt of the record.
        attempt: u32,
    },
    /// A line is not a record.
    #[error("line {line} of the journal is not a record: {problem}")]
    Line {
        /// Number of the line; 1 is the first.
        line: usize,
        /// What the parser said.
        problem: String,
    },
}

/// A checked journal: no gaps, tokens only rise, each step's records make sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    records: Vec<Record>,
    courses: BTreeMap<StepId, Course>,
    actions: u32,
}

impl Journal {
    /// An empty journal: the run has not been claimed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks records as they were stored.
    ///
    /// # Errors
    /// The first that cannot stand where it is.
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Result<Self, JournalError> {
        let mut journal = Self::new();
        for record in records {
            journal.push(record)?;
        }
        Ok(journal)
    }

    /// Reads records from lines of JSON. Empty lines are ignored.
    ///
    /// # Errors
    /// The first line that is no record, or the first record that cannot stand where it is.
    pub fn from_lines(text: &str) -> Result<Self, JournalError> {
        let mut journal = Self::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let record = serde_json::from_str(line).map_err(|error| JournalError::Line { line: at + 1, problem: error.to_string() })?;
            journal.push(record)?;
        }
        Ok(journal)
    }

    /// Appends a record that was stored, or is about to be.
    ///
    /// # Errors
    /// If it cannot stand there; the journal is then as before.
    pub fn push(&mut self, record: Record) -> Result<(), JournalError> {
        let (sequence, event) = (record.sequence, record.event.name());
        let (last, current) = (self.sequence(), self.token());
        if record.token < current {
            // Before the sequence: a loser's record is both stale and in a place that is taken, and must learn that it has lost.
            return Err(JournalError::StaleToken { sequence, event, current, seen: record.token });
        }
        if sequence != last.saturating_add(1) {
            return Err(JournalError::Sequence { last, seen: sequence, event });
        }
        if self.is_finished() {
            return Err(JournalError::AfterEnd { sequence, event, finished: last });
        }
        let claims = matches!(record.event, Event::Claimed { .. });
        if claims && record.token == current {
            return Err(JournalError::StaleToken { sequence, event, current, seen: record.token });
        }
        if !claims && (record.token > current || current == 0) {
            return Err(JournalError::Unclaimed { sequence, event, current, seen: record.token });
        }
        let about_step = record.event.is_about_step();
        if about_step != record.step.is_some() {
            return Err(JournalError::WrongSubject { sequence, event, about_step });
        }
        match &record.event {
            Event::Action { index, .. } if *index != self.actions => {
                return Err(JournalError::ActionIndex { sequence, expected: self.actions, seen: *index });
            }
            Event::ActionRefused { index, .. } if *index >= self.actions => {
                return Err(JournalError::ActionIndex { sequence, expected: self.actions, seen: *index });
            }
            _ => {}
        }
        if let Some(step) = &record.step {
            let course = self.courses.get(step).cloned().unwrap_or_default();
            let course = course.after(&record).map_err(|state| JournalError::Impossible { sequence, step: step.clone(), state, event, attempt: record.attempt })?;
            self.courses.insert(step.clone(), course);
        }
        if matches!(record.event, Event::Action { .. }) {
            self.actions += 1;
        }
        self.records.push(record);
        Ok(())
    }

    /// The record that this entry would be: the next in sequence, written now under `token`.
    pub fn stamp(&self, entry: Entry, token: u64, now: Timestamp) -> Record {
        Record {
            sequence: self.sequence().saturating_add(1),
            token,
            step: entry.step,
            attempt: entry.attempt,
            event: entry.event,
            at: now,
            by: entry.by,
            evidence: entry.evidence,
        }
    }

    /// The record by which an orchestrator takes the run: its token is higher than all before it.
    pub fn claim(&self, plan_digest: &str, by: &str, now: Timestamp) -> Record {
        let entry = Entry { by: Some(by.to_owned()), ..Entry::run(Event::Claimed { plan: plan_digest.to_owned() }) };
        self.stamp(entry, self.token().saturating_add(1), now)
    }

    /// Entries for those of the run's actions that the journal has not got yet. Copying them again does nothing.
    pub fn uncopied(&self, actions: &[RunAction]) -> Vec<Entry> {
        let copied = usize::try_from(self.actions).unwrap_or(usize::MAX);
        let copy = |(index, action): (u32, &RunAction)| Entry {
            by: action.by.clone(),
            ..Entry::run(Event::Action { index, action: action.clone() })
        };
        (0_u32..).zip(actions).skip(copied).map(copy).collect()
    }

    /// All records, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Sequence of the last record; 0 in an empty journal.
    pub fn sequence(&self) -> u64 {
        self.records.last().map_or(0, |record| record.sequence)
    }

    /// The token under which the run was claimed last; 0 if never.
    pub fn token(&self) -> u64 {
        self.records.last().map_or(0, |record| record.token)
    }

    /// How many of the run's actions were copied: `status.observedActions`.
    pub fn observed_actions(&self) -> u32 {
        self.actions
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.records.last(), Some(Record { event: Event::Finished { .. }, .. }))
    }
}
