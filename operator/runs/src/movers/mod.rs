//! Movers: their inputs, their results, and (in [`work`]) their work.
//!
//! A mover is the operator's own image in a Job, or its own program as a child process where there is no kubelet. It gets its task and the evidence of earlier
//! steps as environment, and the repository's access as a mounted Secret. It answers with its termination message and prints progress as lines of JSON.

pub mod child;
pub mod restore;
pub mod save;
pub mod streams;
pub mod work;

use p861_core::engine::{Evidence, StepProgress};
use p861_crds::Reason;
use serde::{Deserialize, Serialize};

/// Result of a mover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum MoverOutcome {
    /// The task is done.
    Done {
        /// Evidence for the journal.
        evidence: Evidence,
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
