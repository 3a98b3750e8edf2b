//! Feature area *maintenance*: windows, approvals, templates, duty rosters, tickets.

pub mod alerts;
pub mod approval;
pub mod drain;
pub mod link;
pub mod notify;
pub mod rate;
pub mod roster;
pub mod roster_standing;
pub mod silenced_resolution;
pub mod template;
pub mod ticket;
pub mod window;
pub mod window_standing;
pub mod work;
