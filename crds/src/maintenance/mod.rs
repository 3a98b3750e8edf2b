//! Feature area *maintenance*: what changes when, who agreed, who is on duty.

pub mod approval;
pub mod change;
pub mod roster;
pub mod template;
pub mod ticket;
pub mod window;
