//! What runs are made of: the actions that a step can be, shared by Backup, Restore, Drill and a ticket's work, so that a drill is the recovery.

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
