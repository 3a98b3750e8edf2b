//! The steps of a run that share a mover, as its effects need to know them ([`p861_core::runs::sharing`] decides).

use jiff::SignedDuration;
use p861_core::{
    engine::{Event, Journal, Plan, StepId},
    runs::{Action, sharing},
};

/// A step that the mover of another goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The step.
    pub step: StepId,
    /// What it waits for: steps of the same mover.
    pub after: Vec<StepId>,
    /// Its action.
    pub action: Action,
    /// How long it may take.
    pub deadline: SignedDuration,
}

/// The attempt of an earlier step that is done, whose mover may go on with this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The step.
    pub step: StepId,
    /// The attempt that did it.
    pub attempt: u32,
}

/// The steps that the mover of a step goes on with.
pub(crate) fn followers(plan: &Plan<Action>, step: &StepId) -> Vec<Follower> {
    let followers = sharing::followers(plan, step).into_iter();
    followers.map(|next| Follower { step: next.id.clone(), after: next.after.clone(), action: next.action.clone(), deadline: next.deadline }).collect()
}

/// The movers that may go on with a step, the nearest first.
pub(crate) fn leaders(plan: &Plan<Action>, journal: &Journal, step: &StepId) -> Vec<Leader> {
    let done = |leader: &StepId| {
        let mut records = journal.records().iter().rev();
        let done = records.find(|record| record.step.as_ref() == Some(leader) && matches!(record.event, Event::Done))?;
        Some(Leader { step: leader.clone(), attempt: done.attempt })
    };
    sharing::leaders(plan, step).into_iter().filter_map(done).collect()
}
