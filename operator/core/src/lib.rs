//! Every decision of Platform 861, as pure functions: what was observed and the time go in, what to do comes out.
//!
//! Nothing here reads a clock, a file, the network or the environment, so everything here can be tested by telling it what it sees.
//!
//! Rooms: `platform` judges what a district stands on; `protection` and `recovery` compile runs into plans of `runs::Action`; `engine` says what of a plan is due; `objects` knows Kubernetes objects as
//! data; `maintenance` says when something may change, who is on duty and where a ticket stands; `evidence` writes reports.

pub mod conditions;
pub mod engine;
pub mod evidence;
pub mod maintenance;
pub mod names;
pub mod objects;
pub mod platform;
pub mod protection;
pub mod quantity;
pub mod recovery;
pub mod runs;
pub mod time;
