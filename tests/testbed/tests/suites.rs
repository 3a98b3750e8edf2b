//! The suites of the test bed.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test stops where it is wrong")]

mod bed;
mod release;
mod services;
