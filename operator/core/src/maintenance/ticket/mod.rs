//! A ticket: its life, its clocks, what is in its way, and what follows from all that.

pub mod block;
pub mod clocks;
mod decide;
pub mod life;

pub use block::{Access, Block, BlockReason};
pub use decide::{Asks, Decision, Facts, Happened, Work, WorkRun, decide, plan_digest, required_approvals, still_agreed};
