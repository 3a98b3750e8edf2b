//! Movers: what they are told, what they answer, and (in [`work`]) what they do.
//!
//! A mover is the operator's own image in a Job, or its own program as a child process where there is no kubelet. It gets its task and the evidence of the steps before it as environment, the repository's access as a mounted
//! Secret; it answers with its termination message, and prints its progress as lines of JSON.

pub mod child;
pub mod restore;
pub mod save;
pub mod streams;
pub mod work;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a mover leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum MoverOutcome {
    /// It did it.
    Done {
        /// What proves it.
        evidence: Value,
    },
    /// It could not.
    Failed {
        /// Reason of the API.
        reason: String,
        /// What happened, to which object, what to do.
        message: String,
        /// Whether trying again is useless.
        permanent: bool,
    },
}
