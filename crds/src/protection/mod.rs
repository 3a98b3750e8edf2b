//! Feature area *protection*: repositories, policies, backups, restores.

pub mod backup;
pub mod policy;
pub mod repository;
pub mod restore;
pub mod retention;
