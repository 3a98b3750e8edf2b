//! The actions of runs, shared by Backup, Restore, Drill and the work of a change, so that a drill runs the same steps as a recovery.
//!
//! Before a run begins, `admission` says what it may run beside. Before each of its effects, `scope` says whether its district may touch that.

mod action;
mod admission;
mod class;
mod conclusion;
mod error;
pub mod history;
mod left;
pub mod packed;

#[cfg(test)]
pub mod played;
mod scope;
pub mod sharing;
mod step_key;
pub mod stored_history;
mod task;

pub use action::{Action, Bubble, ClaimSnapshot, PreflightSubject};
pub use admission::{
    Admission, Contested, Limits, RepositoryUse, Request, RunRef, Running, SiteNamespace, WaitReason, Why, admit, admit_in_turn, conflict, held_back,
};
pub use class::{RunClass, UnknownClass};
pub(crate) use conclusion::unreadable;
pub use conclusion::{BackupFinding, Conclusion, RunOutcome, not_awaited};
pub use error::CompileError;
pub use scope::{Allotment, AllottedSite, HubObject, Occupants, Occupied, OutOfScope, Permitted, Scope, SiteNotAllotted, Touched};
pub use step_key::{Part, StepKey, StepKeyError};
pub use task::{ConflictHandling, CopyRules, ExtraFiles, MoverTask, ObjectsMode, RefusedFiles, SealFacts, SnapshotToForget};
