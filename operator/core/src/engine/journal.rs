//! The journal of a run: its ordered records and only source of truth. A status is a summary of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use p861_crds::{Reason, common::RunAction};
use serde::{Deserialize, Serialize};

use super::{
    command::Direction,
    course::Course,
    event::{Entry, Event, Record, SkipCause},
    step::StepId,
};

/// Why the journal rejects a record. The journal is unchanged in each case.
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
    /// A compacted journal has lost records, or got some.
    #[error("the journal was compacted to {expected} records up to record {through}, but {seen} were read; records are missing")]
    Compacted {
        /// How many records its head promises.
        expected: u64,
        /// How many there are.
        seen: u64,
        /// Sequence of the last of them.
        through: u64,
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

/// The first line of a compacted journal: up to `through`, `records` records stand for all that were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Sequence of the last record that was compacted; 0 in a journal that never was.
    pub through: u64,
    /// How many records are left of those.
    pub records: u64,
}

/// A line of a stored journal. Untagged, so that a record's line is the record.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Head { compacted: Head },
    Other {},
}

/// A checked journal: no gaps (but for what was compacted), tokens only rise, each step's records make sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    records: Vec<Record>,
    courses: BTreeMap<StepId, Course>,
    actions: u32,
    head: Head,
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

    /// Checks the records of a compacted journal.
    ///
    /// # Errors
    /// The first record that cannot stand where it is, or [`JournalError::Compacted`] if it is not what `head` says.
    pub fn from_compacted(head: Head, records: impl IntoIterator<Item = Record>) -> Result<Self, JournalError> {
        let mut journal = Self { head, ..Self::default() };
        for record in records {
            journal.push(record)?;
        }
        let seen = journal.records.iter().take_while(|record| record.sequence <= head.through).count();
        let seen = u64::try_from(seen).unwrap_or(u64::MAX);
        let complete = journal.records.iter().any(|record| record.sequence == head.through) || head == Head::default();
        if seen != head.records || !complete {
            return Err(JournalError::Compacted { expected: head.records, seen, through: head.through });
        }
        Ok(journal)
    }

    /// Why a step that has settled was not done; none if it was. One that was skipped for the sake of another says what became of the other.
    pub fn why_not_done(&self, step: &StepId) -> Option<(Reason, String)> {
        let mut of_step = self.records.iter().rev().filter(|record| record.step.as_ref() == Some(step));
        let settled = of_step.find_map(|record| match &record.event {
            Event::Done => Some(None),
            Event::Failed(failure) | Event::FailedRepeatedly { direction: Direction::Forward, failure, .. } => {
                Some(Some((failure.reason.clone(), failure.message.clone())))
            }
            Event::Skipped { cause } => Some(Some(self.why_skipped(cause))),
            _ => None,
        });
        settled.flatten()
    }

    fn why_skipped(&self, cause: &SkipCause) -> (Reason, String) {
        match cause {
            SkipCause::Person { reason } => (Reason::StepSkipped, format!("a person skipped it: {reason}")),
            SkipCause::TimedOut => (Reason::StepSkipped, "nobody answered its question in time".into()),
            SkipCause::DependencyFailed { step } => self.why_not_done(step).unwrap_or_else(|| (Reason::StepSkipped, format!("step {step} was not done"))),
        }
    }

    /// What a person's action without effect comes to, for people: what was asked for, by whom, and why nothing follows from it.
    pub fn refusal(&self, index: u32, why: &str) -> String {
        let asked = self.records.iter().find_map(|record| match &record.event {
            Event::Action { index: copied, action } if *copied == index => Some(action),
            _ => None,
        });
        let Some(action) = asked else { return why.to_owned() };
        let step = action.step.as_deref().map(|step| format!(" of step {step}")).unwrap_or_default();
        format!("{:?}{step} by {} has no effect: {why}", action.action, action.by.as_deref().unwrap_or("somebody"))
    }

    /// Reads the lines that [`Journal::to_lines`] and later appends have written. Empty lines are ignored.
    ///
    /// # Errors
    /// The first line that is no record, or the first record that cannot stand where it is.
    pub fn from_lines(text: &str) -> Result<Self, JournalError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
        let bad = |at: usize, error: serde_json::Error| JournalError::Line { line: at + 1, problem: error.to_string() };
        let head = match lines.peek().map(|(_, line)| serde_json::from_str(line)) {
            Some(Ok(Line::Head { compacted })) => {
                lines.next();
                compacted
            }
            _ => Head::default(),
        };
        let records = lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| bad(at, error))).collect::<Result<Vec<Record>, _>>()?;
        Self::from_compacted(head, records)
    }

    /// The whole journal as lines of JSON: its head, if it was compacted, and a line for each record.
    ///
    /// # Errors
    /// If evidence cannot be written as JSON.
    pub fn to_lines(&self) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        if self.head != Head::default() {
            text.push_str(&serde_json::to_string(&serde_json::json!({ "compacted": self.head }))?);
            text.push('\n');
        }
        for record in &self.records {
            text.push_str(&serde_json::to_string(record)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// Appends a record that was stored, or is about to be.
    ///
    /// # Errors
    /// If it cannot stand there; the journal is then as before.
    pub fn push(&mut self, record: Record) -> Result<(), JournalError> {
        let (sequence, event) = (record.sequence, record.event.name());
        let (last, current) = (self.sequence(), self.token());
        if record.token < current {
            // Check the token before the sequence: a record of an executor that lost the run is stale and out of sequence, and the error must say that it lost.
            return Err(JournalError::StaleToken { sequence, event, current, seen: record.token });
        }
        let follows = if sequence <= self.head.through { sequence > last } else { sequence == last.saturating_add(1) };
        if !follows {
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
            let course =
                course.after(&record).map_err(|state| JournalError::Impossible { sequence, step: step.clone(), state, event, attempt: record.attempt })?;
            self.courses.insert(step.clone(), course);
        }
        if matches!(record.event, Event::Action { .. }) {
            self.actions += 1;
        }
        self.records.push(record);
        Ok(())
    }

    /// The record that this entry would be: the next in sequence, written now under `token`.
    ///
    /// Its texts are cut to [`super::MAX_TEXT_CHARS`], those of its evidence to [`super::MAX_EVIDENCE_TEXT_CHARS`].
    pub fn stamp(&self, mut entry: Entry, token: u64, now: Timestamp) -> Record {
        entry.event.cap_texts();
        Record {
            sequence: self.sequence().saturating_add(1),
            token,
            step: entry.step,
            attempt: entry.attempt,
            event: entry.event,
            at: now,
            by: entry.by,
            evidence: entry.evidence.map(super::Evidence::with_short_texts),
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
        let copy = |(index, action): (u32, &RunAction)| Entry { by: action.by.clone(), ..Entry::run(Event::Action { index, action: action.clone() }) };
        (0_u32..).zip(actions).skip(copied).map(copy).collect()
    }

    /// All records, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Up to where it was compacted, and to how many records.
    pub fn head(&self) -> Head {
        self.head
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
