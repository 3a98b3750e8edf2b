//! Two real Kubernetes sites on one machine.

pub mod bed;
pub mod components;
pub mod images;
pub mod release;
pub mod report;
pub mod services;
