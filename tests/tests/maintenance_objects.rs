//! The room *maintenance* on a real API server, with the operator as a process beside it: what its objects say, and what they do to each other.

mod alerts;
mod duty;
mod killed;
mod messages;
mod registry;
mod stage;
mod templates;
mod tickets;
