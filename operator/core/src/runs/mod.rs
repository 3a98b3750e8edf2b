//! The actions of runs, shared by Backup, Restore, Drill and the work of a change, so that a drill runs the same steps as a recovery.

mod action;
mod class;
mod conclusion;
#[cfg(test)]
pub mod played;
mod task;

pub use action::{Action, Bubble, PreflightSubject};
pub use class::{RunClass, UnknownClass};
pub use conclusion::{BackupFinding, Conclusion, RunOutcome};
pub use task::{ConflictHandling, CopyRules, MoverTask, SealFacts};
