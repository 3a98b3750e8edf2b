//! Room *maintenance*: when may something change, who agreed, who is on duty, what became of it.

pub mod window;
