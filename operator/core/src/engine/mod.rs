//! The engine of every run: a plan of steps, a journal of what happened, and one pure function that says what to do now.
//!
//! ```text
//! compile(spec, inventory)        -> Plan       once; stored beside the journal
//! advance(&plan, &journal, now)   -> Advance    on every pass, from whatever the journal holds
//! summary(&plan, &journal, now)   -> RunSummary for status and report
//! ```
//! An orchestrator is a loop around it: load the journal, claim it, copy people's actions, [`settle`] and store the records, then do the remaining
//! commands to the world and append how they ended. It keeps nothing in its memory that it may not lose.

mod actions;
mod advance;
mod command;
mod compact;
mod course;
mod event;
mod evidence;
mod journal;
mod plan;
mod run;
pub mod sealed;
mod standing;
mod states;
mod step;
mod summary;
mod waiting;

use jiff::Timestamp;
use p861_crds::common::RunPhase;
use serde::Serialize;

pub use actions::{LONGEST_EXTENDED, SKIPPABLE_AFTER};
pub use advance::{Advance, advance};
pub use command::{CancelCause, Command, Direction};
pub use compact::MIN_RECORDS_SAVED;
pub use event::{AbortCause, Answer, AskKind, Entry, Event, Failure, FailureClass, MAX_TEXT_CHARS, Record, RunResult, SkipCause};
pub use evidence::{
    Awaits, EVIDENCE_VERSION, Evidence, LeftOutObjects, ListedChange, MAX_EVIDENCE_TEXT_CHARS, ObjectChange, PackSum, PreflightResult, PrunedPacks,
    RefusedObjects, SavedKind, SavedPart, StepProgress, StoredObject, TakenSnapshot, UncordonResult,
};
pub(crate) use evidence::{KIND_KEY, VERSION_KEY};
pub use journal::{Head, Journal, JournalError};
pub use plan::{Limits, Plan, PlanError, Planned};
pub use states::{StepState, read_ends};
pub use step::{Backoff, Hold, LONGEST_CLEAN_UP_WAIT, LONGEST_ID, OnFailure, OnTimeout, Prompt, Retry, Step, StepId, StepIdError};
pub use summary::{CleanUpTrouble, Counts, CurrentStep, MOST_CURRENT_STEPS, Outcome, RunFailure, RunSummary, StepTimeline, WaitsFor, summary};
pub use waiting::UNDER_WAY;

/// Where a run stands.
pub type Phase = RunPhase;

/// The journal does not fit the plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The run was claimed for another plan.
    #[error("record {sequence}: the run was claimed for the plan {journal}, but this is {plan}; go on with the plan that is stored beside the journal")]
    OtherPlan {
        /// Sequence of the claim.
        sequence: u64,
        /// The plan's digest in the journal.
        journal: String,
        /// The digest of the plan at hand.
        plan: String,
    },
    /// A record is about a step that the plan has not got.
    #[error("record {sequence} is about step {step}, which is not in the plan; go on with the plan that is stored beside the journal")]
    UnknownStep {
        /// Sequence of the record.
        sequence: u64,
        /// The step.
        step: StepId,
    },
    /// A record is about something that the plan has not got: a question that the step does not ask, or an undo of what cannot be undone.
    #[error("record {sequence}: {event} of step {step}, which by the plan has no such thing; go on with the plan that is stored beside the journal")]
    Unplanned {
        /// Sequence of the record.
        sequence: u64,
        /// The step.
        step: StepId,
        /// The event.
        event: &'static str,
    },
    /// A record cannot follow. (A [`Journal`] never holds such a record; it is checked when it is appended.)
    #[error("record {sequence}: step {step} is {state}, so {event} cannot follow")]
    Impossible {
        /// Sequence of the record.
        sequence: u64,
        /// The step.
        step: StepId,
        /// Where it stands.
        state: String,
        /// The event.
        event: &'static str,
    },
}

/// Why [`settle`] could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The journal does not fit the plan.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A record cannot be appended.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The engine goes round in circles: a mistake in it, reported instead of filling the journal.
    #[error("the engine wants to write without end; its last entry was {last}")]
    Endless {
        /// The last entry.
        last: String,
    },
}

/// What [`settle`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Records to store, in order, before anything is done to the world. They are appended to the journal already.
    pub records: Vec<Record>,
    /// What is then to be done to the world: only Perform, PerformUndo and Cancel.
    pub commands: Vec<Command>,
    /// Where the run stands after these records.
    pub phase: Phase,
    /// When to look again, even if nothing else happens.
    pub next: Option<Timestamp>,
}

/// Lets the journal take every record that is due now, and says what is then to be done to the world.
///
/// `journal` must be claimed under `token` by the caller. The records are stored before the commands are done; if storing one is refused, the run belongs
/// to someone else, and none of the commands may be done.
///
/// # Errors
/// [`SettleError`]; the journal may then hold some of the records, and is to be read again.
pub fn settle<A: Serialize>(plan: &Plan<A>, journal: &mut Journal, token: u64, now: Timestamp) -> Result<Pass, SettleError> {
    let before = journal.records().len();
    let mut run = run::Run::replay(plan, journal)?;
    // Every round writes a record that takes a step, or the run, one state further without an effect; a step has fewer than eight of those.
    let most = plan.steps().len().saturating_mul(8).saturating_add(8).saturating_add(run.refusals.len());
    let mut last = String::new();
    for _ in 0..most {
        let now_due = advance::advance_run(&run, now);
        // One record at a time, so that what follows depends on the journal alone, wherever an orchestrator died: two records chosen together might,
        // after a cut between them, be followed by another choice.
        let Some(entry) = now_due.commands.iter().find_map(Command::entry) else {
            let records = journal.records()[before..].to_vec();
            return Ok(Pass { records, commands: now_due.commands, phase: now_due.phase, next: now_due.next });
        };
        last = format!("{entry:?}");
        let record = journal.stamp(entry, token, now);
        journal.push(record.clone())?;
        run.read(&record)?;
    }
    Err(SettleError::Endless { last })
}
