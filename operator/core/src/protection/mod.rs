//! Feature area *protection*: the steps of backups and restores, and the selection of a backup, and backups by a policy.

pub mod backup;
pub mod choose;
pub mod claims;
pub mod conclude;
pub mod default_repository;
pub mod doubt;
pub mod folder;
pub mod half_restored;
pub mod policy;
pub mod prune;
pub mod readable;
pub mod restore;
pub mod retention;
pub mod snapshots;
pub mod standing;
pub mod volumes;
