//! Room *platform*: what runs where.

pub mod application;
pub mod district;
pub mod site;
