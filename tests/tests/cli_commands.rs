//! The real `p861` before a real API server: what it prints, what it writes, and its exit codes.

mod act;
mod approve;
mod chinese;
mod discover;
#[path = "../../operator/core/tests/told/english.rs"]
mod english;
mod hub;
mod known;
mod leading;
mod look;
mod scenes;
mod start;
mod tables;
mod terminal;
mod watch;
mod widths;
