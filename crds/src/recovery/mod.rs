//! Room *recovery*: can we move, how long does it take, who may write.

pub mod drill;
pub mod plan;
