//! Figures: what `make bench` measures, and how. A target that is missed is said beside its figure; an error is only what could not be measured.

pub mod declare;
pub mod engine;
pub mod figures;
pub mod limits;
pub mod load;
pub mod machine;
pub mod processes;
pub mod runs;
pub mod samples;
pub mod targets;
pub mod timeline;

use p861_testbed::bed::BedError;
use std::fmt::Display;

/// An error that says what was tried.
pub fn failed(what: impl Display) -> impl FnOnce(&dyn Display) -> BedError {
    move |error| BedError::Refused(format!("{what}: {error}"))
}
