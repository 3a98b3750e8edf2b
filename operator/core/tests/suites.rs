//! The suites of core: the engine, maintenance, and what comes from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test stops where it is wrong")]

mod engine_compaction;
mod engine_journal;
mod engine_people;
mod engine_plan;
mod engine_properties;
mod engine_states;
mod engine_stories;
mod engine_summary;
mod engine_world;
mod maintenance_again;
mod maintenance_alerts;
mod maintenance_change;
mod maintenance_people;
mod maintenance_ticket;
mod maintenance_told;
mod maintenance_window;
mod maintenance_work;
mod outside;
mod policy_world;
mod protection_hold;
mod runs_history;
mod ticket_world;
mod told;
