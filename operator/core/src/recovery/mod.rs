//! Feature area *recovery*: how an application is brought up from a backup, the steps of a drill, and its measurements.

pub mod bring_up;
pub mod conclude;
pub mod drill;
pub mod ground;
pub mod measure;
pub mod objectives;
pub mod plan_standing;
pub mod preflight;
pub mod standing;
