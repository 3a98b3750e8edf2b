//! Feature area *maintenance*: windows, approvals, duty rosters, tickets.

pub mod alerts;
pub mod approval;
pub mod drain;
pub mod notify;
pub mod roster;
pub mod roster_standing;
pub mod silenced_resolution;
pub mod ticket;
pub mod window;
pub mod window_standing;
pub mod work;
