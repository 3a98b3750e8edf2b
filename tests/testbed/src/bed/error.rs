//! What can go wrong with a bed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::components::ComponentsError;
use crate::components::run::RunError;
use crate::images::ImagesError;
use crate::services::ServicesError;

/// Why a bed is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum BedError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program that the bed called.
    #[error("{what}: {source}")]
    Run {
        /// What it was called for.
        what: String,
        /// How it failed.
        source: Box<RunError>,
    },
    /// Something did not become as it should in time.
    #[error("{what}: not so after {} s; last seen: {last_seen}", limit.as_secs())]
    NotSo {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What was there instead.
        last_seen: String,
    },
    /// A certificate.
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A service beside the sites.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// A program that could not be had.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// An image that could not be made.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// A person can mend it.
    #[error("{0}")]
    Refused(String),
}

impl BedError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn run(what: impl Into<String>) -> impl FnOnce(RunError) -> Self {
        let what = what.into();
        move |source| Self::Run { what, source: Box::new(source) }
    }
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, BedError>;
