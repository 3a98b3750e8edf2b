//! The executor of every run: journal, engine, effects, in that order.

pub mod finalizer;
mod journal;
mod pass;
mod view;

pub use journal::{JournalStore, vault};
pub use pass::{Pass, RunCache, RunIdentity, forget, pass};
pub use view::view;
