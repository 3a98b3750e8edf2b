//! Tickets: state machine, deadlines, blockers, and decisions.

mod again;
pub mod block;
pub mod clocks;
mod conditions;
mod decide;
mod decisions;
mod digest;
mod facts;
mod graver;
pub mod life;
mod planned;
mod surroundings;

pub use block::{Access, Block, BlockReason, change_under_way};
pub use decide::{Decision, decide};
pub use digest::{is_digest_of, plan_digest, required_approvals, still_agreed};
pub use facts::{Asks, Facts, Work, WorkRun};
pub use planned::{Planned, plan_text};
pub use surroundings::{Permit, Surroundings};
