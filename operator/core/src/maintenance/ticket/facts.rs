//! Input of the decision on a ticket.

use super::{
    block::{Access, Block},
    clocks::Level,
    planned::Planned,
};
use crate::maintenance::{approval::Tally, drain::DrainOutlook, template::ClassStanding};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    MaintenanceTicketSpec, MaintenanceTicketStatus, Reason,
    common::RunPhase,
    maintenance::roster::{OnDuty, PriorityClock},
    platform::platform::Bundle,
};

/// Observed state of a ticket and its surroundings.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What was asked.
    pub spec: &'a MaintenanceTicketSpec,
    /// Where it stood.
    pub before: &'a MaintenanceTicketStatus,
    /// When it was opened.
    pub created: Timestamp,
    /// The roster's clocks.
    pub clocks: &'a [PriorityClock],
    /// The roster's levels.
    pub levels: &'a [Level],
    /// Who is on duty, level by level.
    pub current: &'a [OnDuty],
    /// The roster's channels.
    pub channels: &'a [String],
    /// A change: its class that is in force.
    pub class: Option<ClassStanding>,
    /// A change: who agreed.
    pub tally: Tally,
    /// A change: what the windows say.
    pub access: Access,
    /// A change: what else is in the way.
    pub obstacles: Vec<Block>,
    /// A change: its steps.
    pub work: Option<Work>,
}

/// Compiled steps of a change, and their state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Digest of the steps, or why there are none. Once they have begun, of those that were begun.
    pub steps: Result<String, String>,
    /// How long they take, as far as it is known; nothing once they have begun.
    pub takes: SignedDuration,
    /// Where they stand; none before they begin.
    pub run: Option<WorkRun>,
    /// Of a drain that has not begun: what it would do to what runs on the node now, for those who are to agree.
    pub drain: Option<DrainOutlook>,
    /// Of an upgrade: where its manifests come from. None once it has begun.
    pub source: Option<Bundle>,
    /// Whose text the steps have. Steps of another text than the one that is planned are nobody's to agree to.
    pub planned: Planned,
}

impl Work {
    /// That of a change whose steps have this digest, or could not be compiled; no more is known of it.
    pub fn compiled(steps: Result<String, String>) -> Self {
        Self { steps, takes: SignedDuration::ZERO, run: None, drain: None, source: None, planned: Planned::default() }
    }

    /// That of a change that has begun.
    pub fn begun(run: Option<WorkRun>) -> Self {
        Self { run, ..Self::compiled(Ok(String::new())) }
    }
}

/// State of a change's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkRun {
    /// Their phase.
    pub phase: RunPhase,
    /// What a person is asked for.
    pub asks: Option<Asks>,
    /// Reason and message of their end, or of where they stand.
    pub said: (Reason, String),
}

/// What a step asks of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// The action Done.
    Done,
    /// The action Start, to try the step again that has failed, or RollBack.
    Start,
}
