//! Room *maintenance*: what changes when, who agreed, who is on duty.

pub mod window;
