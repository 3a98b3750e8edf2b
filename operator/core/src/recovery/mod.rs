//! Feature area *recovery*: the steps of a drill, and its measurements.

pub mod conclude;
pub mod drill;
pub mod measure;
pub mod objectives;
pub mod standing;
