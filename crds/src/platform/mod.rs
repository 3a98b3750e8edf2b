//! Room *platform*: what runs where.

pub mod application;
pub mod check;
pub mod district;
pub mod site;
