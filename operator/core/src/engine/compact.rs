//! Shortening a journal without changing what it says: attempts of a step that failed one after the other become one record that counts them, and claims
//! under which nothing else is left go.
//!
//! Safe by construction: the shorter journal is taken only if the run, read from it, stands exactly where it stands by the longer one. All that the engine
//! ever decides follows from where the run stands and from the records that come later, so both journals lead to the same commands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    command::Direction,
    event::{Event, Failure, Record},
    evidence::Evidence,
    journal::{Head, Journal},
    plan::Plan,
    run::Run,
    step::StepId,
};

/// A compaction that saves fewer records than this is not worth its write.
pub const MIN_RECORDS_SAVED: usize = 32;

impl Journal {
    /// A shorter journal of the same run with the same sequence and token; none if it would save fewer than `min_saved` records (a store asks for
    /// [`MIN_RECORDS_SAVED`]), or if `plan` is not the run's.
    ///
    /// Costs one look at each record, and two replays only if it can be shortened.
    pub fn compacted<A: Serialize>(&self, plan: &Plan<A>, min_saved: usize) -> Option<Self> {
        let records = drop_empty_claims(count_failures(self.records()));
        if self.records().len().saturating_sub(records.len()) < min_saved.max(1) {
            return None;
        }
        let head = Head { through: self.sequence(), records: u64::try_from(records.len()).unwrap_or(u64::MAX) };
        let shorter = Self::from_compacted(head, records).ok()?;
        let (before, after) = (Run::replay(plan, self).ok()?, Run::replay(plan, &shorter).ok()?);
        let same = before.stands_as(&after)
            && shorter.sequence() == self.sequence()
            && shorter.token() == self.token()
            && shorter.observed_actions() == self.observed_actions();
        same.then_some(shorter)
    }
}

/// Attempts of one step that failed one after the other.
struct Failures {
    /// Places of their records.
    places: Vec<usize>,
    direction: Direction,
    count: u32,
    first: Timestamp,
    failure: Failure,
    evidence: Option<Evidence>,
}

/// What is known of each step since the last record that is neither an attempt's beginning nor its failure. (Such a record may have looked at how often a
/// step had failed, as a person's Retry does; nothing is counted across it.)
#[derive(Default)]
struct Stretch {
    failures: BTreeMap<StepId, Failures>,
    begun: BTreeMap<StepId, (usize, Direction, Timestamp)>,
}

/// Puts one record, in the place of the last failure, for several attempts that failed one after the other.
fn count_failures(records: &[Record]) -> Vec<Record> {
    let mut left: Vec<Option<Record>> = records.iter().cloned().map(Some).collect();
    let mut stretch = Stretch::default();
    for (place, record) in records.iter().enumerate() {
        match (&record.event, &record.step) {
            (Event::Claimed { .. }, _) => {}
            (Event::Intent, Some(step)) => drop(stretch.begun.insert(step.clone(), (place, Direction::Forward, record.at))),
            (Event::UndoIntent, Some(step)) => drop(stretch.begun.insert(step.clone(), (place, Direction::Undo, record.at))),
            (Event::Failed(failure) | Event::UndoFailed(failure), Some(step)) => match stretch.begun.remove(step) {
                Some((begun, direction, first)) => {
                    let places = vec![begun, place];
                    stretch.add(&mut left, step, Failures { places, direction, count: 1, first, failure: failure.clone(), evidence: record.evidence.clone() });
                }
                // It began before this stretch, or it failed without an attempt.
                None => drop(stretch.failures.remove(step)),
            },
            (Event::FailedRepeatedly { direction, count, first, failure }, Some(step)) => {
                let (places, evidence) = (vec![place], record.evidence.clone());
                stretch.add(&mut left, step, Failures { places, direction: *direction, count: *count, first: *first, failure: failure.clone(), evidence });
            }
            _ => stretch = Stretch::default(),
        }
    }
    left.into_iter().flatten().collect()
}

impl Stretch {
    /// Adds failed attempts to those of the step before them, whose records go.
    fn add(&mut self, left: &mut [Option<Record>], step: &StepId, mut new: Failures) {
        let Some(old) = self.failures.remove(step).filter(|old| old.direction == new.direction) else {
            self.failures.insert(step.clone(), new);
            return;
        };
        let Some(last) = new.places.pop() else { return };
        for place in old.places.into_iter().chain(new.places) {
            left[place] = None;
        }
        let (count, first) = (old.count.saturating_add(new.count), old.first);
        let evidence = new.evidence.or(old.evidence);
        if let Some(record) = &mut left[last] {
            record.event = Event::FailedRepeatedly { direction: new.direction, count, first, failure: new.failure.clone() };
            record.evidence.clone_from(&evidence);
        }
        self.failures.insert(step.clone(), Failures { places: vec![last], direction: new.direction, count, first, failure: new.failure, evidence });
    }
}

/// Leaves out a claim that the next claim follows at once. The first record stays: it says when the run started.
fn drop_empty_claims(records: Vec<Record>) -> Vec<Record> {
    let claims = |record: &Record| matches!(record.event, Event::Claimed { .. });
    let mut left: Vec<Record> = Vec::with_capacity(records.len());
    for record in records {
        if claims(&record) && left.len() > 1 && left.last().is_some_and(claims) {
            left.pop();
        }
        left.push(record);
    }
    left
}
