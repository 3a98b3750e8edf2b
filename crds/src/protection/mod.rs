//! Room *protection*: is there a copy, is it proven, how old.

pub mod backup;
pub mod repository;
pub mod restore;
