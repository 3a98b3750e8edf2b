//! Figures: what `make bench` measures, and how. Nothing here judges a figure; what is wrong is an error.

pub mod declare;
pub mod engine;
pub mod figures;
pub mod load;
pub mod processes;
pub mod runs;
pub mod samples;
pub mod timeline;

use p861_testbed::bed::BedError;
use std::fmt::Display;

/// An error that says what was tried.
pub fn failed(what: impl Display) -> impl FnOnce(&dyn Display) -> BedError {
    move |error| BedError::Refused(format!("{what}: {error}"))
}
