//! Movers: their inputs, their results, and (in [`work`]) their work.
//!
//! A mover is the operator's own image in a Job, or its own program as a child process where there is no kubelet. It gets its task as
//! environment and what opens the repository on its standard input ([`keys`]). What it needs of earlier steps, and what it proves, are objects in the repository
//! ([`crate::run_objects`]): environment and termination message only point to them. It prints progress as lines of JSON.

mod answer;
mod chain;
pub mod child;
mod cluster;
pub mod ending;
mod keys;
pub mod kinds;
pub mod lease;
mod lists;
mod pieces;
mod removal;
pub mod restore;
mod restored;
pub mod save;
mod saved;
mod seal;
pub mod streams;
mod touch;
pub mod upload;
mod volumes;
pub mod work;

pub use seal::{HALF_RESTORED_TAG, PARTIAL_TAG};

pub use answer::{MoverAnswer, MoverLine, NextTask};
pub use chain::NEXT_PATIENCE;
pub use keys::MoverKeys;
pub use touch::Touch;
