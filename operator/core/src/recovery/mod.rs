//! Room *recovery*: the steps of a drill, and what they measured.

pub mod conclude;
pub mod drill;
pub mod measure;
pub mod objectives;
