//! Feature area *recovery*: recovery plans and drills.

pub mod drill;
pub mod plan;
