//! Every decision of Platform 861, as pure functions from the observed state and the time to the actions to take.
//!
//! Nothing here reads a clock, a file, the network or the environment, so tests need only data.
//!
//! Modules: `canonical` digests JSON; `platform` assesses a district's platform; `protection` and `recovery` compile runs into plans of `runs::Action`; `engine` decides which steps are due; `objects`
//! transforms Kubernetes objects; `isolation` closes the copy of a drill; `ids` types the names that must not be mixed up; `maintenance` decides about windows, duty and tickets; `evidence` generates reports;
//! `fairness` shares workers among districts; `schedule` says when something recurs; `shown` writes times and durations for people; `told` tells messages in Chinese.

#![warn(clippy::missing_errors_doc)]

pub mod canonical;
pub mod conditions;
pub mod engine;
pub mod evidence;
pub mod fairness;
pub mod ids;
pub mod isolation;
pub mod maintenance;
pub mod names;
pub mod objects;
pub mod platform;
pub mod protection;
pub mod quantity;
pub mod recovery;
pub mod runs;
pub mod schedule;
pub mod shown;
pub mod time;
pub mod told;
