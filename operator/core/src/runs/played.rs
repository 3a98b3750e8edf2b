//! For tests: a compiled run played to a point by a script that says how each step ends.

#![allow(clippy::expect_used, clippy::missing_panics_doc, missing_docs, reason = "a test stops where it is wrong")]

use super::{Action, RunOutcome};
use crate::engine::{Command, Direction, Entry, Evidence, Failure, Journal, Plan, RunSummary, StepId, StepProgress, settle, summary};
use jiff::{SignedDuration, Timestamp};
use p861_crds::common::{ActionKind, RunAction};
use std::collections::BTreeMap;

/// How a step ends, each time it is tried.
#[expect(clippy::large_enum_variant, reason = "a few of them, in tests")]
#[derive(Clone, Debug)]
pub enum End {
    Done(Option<Evidence>),
    Failed(Failure),
    /// It never ends: the run is looked at while it is under way.
    Open,
}

/// The run's start. Every round of steps takes [`ROUND`].
pub fn start() -> Timestamp {
    "2026-11-15T01:00:00Z".parse().expect("a time")
}

pub const ROUND: SignedDuration = SignedDuration::from_secs(10);

/// A run that was played.
pub struct Played {
    pub plan: Plan<Action>,
    pub journal: Journal,
    pub summary: RunSummary,
    /// What the steps that are open have said.
    pub progress: BTreeMap<StepId, StepProgress>,
}

impl Played {
    pub fn outcome(&self) -> RunOutcome<'_> {
        RunOutcome { plan: &self.plan, journal: &self.journal, summary: &self.summary, progress: &self.progress }
    }
}

/// What a person asks for of the run, or of a step.
pub fn asked(action: ActionKind, step: Option<&str>) -> RunAction {
    RunAction { action, step: step.map(str::to_owned), reason: Some("for the test".into()), answer: None, duration: None, by: Some("leader".into()) }
}

/// Plays the plan until it has ended, or nothing but open steps is left. Each of `actions` is taken up once nothing else is due.
pub fn play(plan: Plan<Action>, actions: &[RunAction], end_of: impl Fn(&str) -> End) -> Played {
    let mut journal = Journal::new();
    let claim = journal.claim(plan.digest(), "test", start());
    let token = claim.token;
    journal.push(claim).expect("a claim");
    let (mut now, mut taken_up) = (start(), 0);
    for _ in 0..200 {
        let due = settle(&plan, &mut journal, token, now).expect("settles");
        if journal.is_finished() {
            break;
        }
        now = now.checked_add(ROUND).expect("a time");
        let entries: Vec<Entry> = due.commands.iter().filter_map(|command| performed(command, &end_of)).collect();
        if entries.is_empty() && taken_up < actions.len() {
            taken_up += 1;
            for entry in journal.uncopied(&actions[..taken_up]) {
                let record = journal.stamp(entry, token, now);
                journal.push(record).expect("an action");
            }
        } else if entries.is_empty() && !due.commands.is_empty() {
            // Open steps alone are left.
            break;
        }
        for entry in entries {
            let record = journal.stamp(entry, token, now);
            journal.push(record).expect("an outcome");
        }
    }
    let summary = summary(&plan, &journal, now).expect("a summary");
    Played { plan, journal, summary, progress: BTreeMap::new() }
}

fn performed(command: &Command, end_of: &impl Fn(&str) -> End) -> Option<Entry> {
    let ended = |step: &StepId, attempt: u32| match end_of(step.as_str()) {
        End::Done(evidence) => Some(Entry::done(step.clone(), attempt, evidence)),
        End::Failed(failure) => Some(Entry::failed(step.clone(), attempt, failure, None)),
        End::Open => None,
    };
    match command {
        Command::Perform { step, attempt } => ended(step, *attempt),
        Command::PerformUndo { step, attempt } => Some(Entry::undone(step.clone(), *attempt, None)),
        Command::Cancel { step, attempt, direction: Direction::Forward, cause } => Some(Entry::failed(step.clone(), *attempt, cause.failure(), None)),
        Command::Cancel { step, attempt, direction: Direction::Undo, cause } => Some(Entry::undo_failed(step.clone(), *attempt, cause.failure(), None)),
        _ => None,
    }
}
