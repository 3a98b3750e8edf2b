//! Room *protection*: which steps a backup and a restore have, and which backup is offered.

pub mod backup;
pub mod choose;
pub mod claims;
pub mod conclude;
pub mod restore;
