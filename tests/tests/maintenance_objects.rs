//! The room *maintenance* on a real API server, with the operator as a process beside it: what its objects say, and what they do to each other.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it is wrong")]

#[path = "maintenance/alerts.rs"]
mod alerts;
#[path = "maintenance/duty.rs"]
mod duty;
#[path = "maintenance/killed.rs"]
mod killed;
#[path = "maintenance/messages.rs"]
mod messages;
#[path = "maintenance/registry.rs"]
mod registry;
#[path = "maintenance/stage.rs"]
mod stage;
mod support;
#[path = "maintenance/tickets.rs"]
mod tickets;
