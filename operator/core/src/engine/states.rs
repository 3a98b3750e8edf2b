//! Where each step of a run stands, one letter a step: short enough for a status, so that whoever joins late sees what the journal says.

use super::summary::{Counts, Outcome, RunSummary, StepTimeline};
use jiff::Timestamp;
use p861_crds::common::StepCounts;
use serde::Serialize;

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StepState {
    /// It has not started, waits for a person, or waits for its next attempt.
    Waiting,
    /// Its effect, or its undo, is under way.
    Running,
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Skipped by a person.
    Skipped,
    /// Stopped, because the run ended early.
    Stopped,
    /// Never started: a step before it was not done, or the run ended first.
    NotRun,
    /// Done or tried, and undone.
    Undone,
}

impl StepState {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Skipped, Self::Stopped, Self::NotRun, Self::Undone];

    /// Its letter in a status.
    pub fn letter(self) -> char {
        match self {
            Self::Waiting => 'w',
            Self::Running => 'r',
            Self::Done => 'd',
            Self::Failed => 'f',
            Self::Skipped => 's',
            Self::Stopped => 'c',
            Self::NotRun => 'n',
            Self::Undone => 'u',
        }
    }

    /// The states that a status tells, in the order of the run's plan. None if it tells none, or one that only a later release knows.
    pub fn read(letters: &str) -> Option<Vec<Self>> {
        let state = |letter| Self::ALL.into_iter().find(|state| state.letter() == letter);
        letters.chars().map(state).collect::<Option<Vec<_>>>().filter(|states| !states.is_empty())
    }

    pub(super) fn of(outcome: Outcome, in_flight: bool) -> Self {
        match outcome {
            Outcome::Open if in_flight => Self::Running,
            Outcome::Open => Self::Waiting,
            Outcome::Done => Self::Done,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Stopped,
            Outcome::Skipped => Self::Skipped,
            Outcome::NotReached | Outcome::NotRun => Self::NotRun,
            Outcome::Undone => Self::Undone,
        }
    }
}

impl From<&RunSummary> for StepCounts {
    /// An undone step was done; the counts of a status do not tell it apart, its letter does.
    fn from(summary: &RunSummary) -> Self {
        let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let Counts { total, done, running, waiting, failed, skipped, undone, retried } = summary.counts;
        Self {
            total: number(total),
            done: number(done.saturating_add(undone)),
            running: number(running),
            waiting: number(waiting),
            retried: number(retried),
            skipped: number(skipped),
            failed: number(failed),
            states: summary.states.iter().map(|state| state.letter()).collect(),
            ends: ends(summary),
        }
    }
}

/// When each step ended, in whole seconds since the run's start.
fn ends(summary: &RunSummary) -> String {
    let Some(start) = summary.start else { return String::new() };
    let has_ended = |line: &&StepTimeline| line.outcome != Outcome::Open;
    let end =
        |line: &StepTimeline| Some(line).filter(has_ended).and_then(|line| line.ended).map(|end| end.as_second().saturating_sub(start.as_second()).max(0));
    let ends: Vec<Option<i64>> = summary.timeline.iter().map(end).collect();
    if ends.iter().all(Option::is_none) {
        return String::new();
    }
    ends.into_iter().map(|end| end.map(|end| end.to_string()).unwrap_or_default()).collect::<Vec<_>>().join(",")
}

/// When each step of a run that started then has ended, in the order of its plan, as a status tells it. None if it doesn't tell it.
pub fn read_ends(ends: &str, start: Timestamp) -> Option<Vec<Option<Timestamp>>> {
    let end = |text: &str| match text {
        "" => Some(None),
        seconds => Timestamp::from_second(start.as_second().checked_add(seconds.parse().ok()?)?).ok().map(Some),
    };
    if ends.is_empty() { None } else { ends.split(',').map(end).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_letter_of_its_own_and_is_read_back() {
        let letters: String = StepState::ALL.into_iter().map(StepState::letter).collect();
        assert_eq!(StepState::read(&letters), Some(StepState::ALL.to_vec()));
        assert_eq!((StepState::read(""), StepState::read("dx")), (None, None), "what is not told, or in words of a later release, is not guessed");
    }

    #[test]
    fn the_ends_of_a_status_are_times_and_what_is_not_told_is_not_guessed() {
        let at = |second| Timestamp::from_second(second).ok();
        let start = at(1_000).unwrap_or_default();
        assert_eq!(read_ends("9,,12", start), Some(vec![at(1_009), None, at(1_012)]));
        assert_eq!(read_ends(",3", start), Some(vec![None, at(1_003)]));
        assert_eq!((read_ends("", start), read_ends("9,soon", start)), (None, None));
    }
}
