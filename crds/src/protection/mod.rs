//! Feature area *protection*: repositories, backups, restores.

pub mod backup;
pub mod repository;
pub mod restore;
