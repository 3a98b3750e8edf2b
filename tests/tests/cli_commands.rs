//! The real `p861` before a real API server: what it prints, what it writes, and its exit codes.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it is wrong")]

#[path = "cli/act.rs"]
mod act;
#[path = "cli/discover.rs"]
mod discover;
#[path = "cli/hub.rs"]
mod hub;
#[path = "cli/look.rs"]
mod look;
#[path = "cli/scenes.rs"]
mod scenes;
#[path = "cli/start.rs"]
mod start;
mod support;
#[path = "cli/tables.rs"]
mod tables;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/watch.rs"]
mod watch;
