//! The suites of the executor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test stops where it is wrong")]

mod run_world;
