//! The suites of the command line without a cluster.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it is wrong")]

mod chinese;
mod completing;
mod errors;
mod help;
mod install;
mod support;
