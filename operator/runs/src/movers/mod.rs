//! Movers: their inputs, their results, and (in [`work`]) their work.
//!
//! A mover is the operator's own image in a Job, or its own program as a child process where there is no kubelet. It gets its task as
//! environment and the repository's access as a mounted Secret. What it needs of earlier steps, and what it proves, are objects in the repository
//! ([`crate::run_objects`]): environment and termination message only point to them. It prints progress as lines of JSON.

pub mod child;
mod cluster;
pub mod ending;
pub mod kinds;
pub mod lease;
pub mod restore;
mod restored;
pub mod save;
mod seal;
pub mod streams;
pub mod work;

use p861_core::engine::{StepProgress, StoredObject};
use p861_crds::Reason;
use serde::{Deserialize, Serialize};

/// Answer of a mover: its termination message, of which the kubelet reads at most 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum MoverAnswer {
    /// The task is done.
    Done {
        /// Its evidence, in the repository.
        evidence: StoredObject,
    },
    /// The task failed.
    Failed {
        /// Reason of the API.
        reason: Reason,
        /// What happened, to which object, what to do.
        message: String,
        /// Whether retrying is useless.
        permanent: bool,
    },
}

/// A line of a mover's standard output.
#[derive(Debug, Serialize, Deserialize)]
struct ProgressLine {
    progress: StepProgress,
}

/// The progress that a line of a mover's output says; none if it says anything else.
pub(crate) fn progress_of(line: &str) -> Option<StepProgress> {
    serde_json::from_str::<ProgressLine>(line.trim()).ok().map(|line| line.progress)
}
