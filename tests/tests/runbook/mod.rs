//! A bad night: what happens in it, and what is done about it.

pub mod causes;
pub mod night;
