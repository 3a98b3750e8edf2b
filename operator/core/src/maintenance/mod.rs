//! Room *maintenance*: when may something change, who agreed, who is on duty, what became of it.

pub mod alerts;
pub mod approval;
pub mod notify;
pub mod roster;
pub mod silenced_resolution;
pub mod ticket;
pub mod window;
pub mod work;
