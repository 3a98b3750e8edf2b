//! The suites of the executor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test stops where it is wrong")]

mod capabilities;
#[path = "../../core/tests/engine_world/mod.rs"]
#[allow(dead_code, reason = "the failover needs a part of it")]
mod engine_world;
mod failover;
mod gate;
mod last_word;
mod owned_maps;
mod run_world;
mod saving;
mod secrets;
mod shared_mover;
