//! The runs that thin out a repository. Each is recorded on its BackupRepository: it has no object of its own.

use super::super::common::{Condition, CurrentStep, JournalReference, Quantity, RunPhase, RunProgress, StepCounts, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What such a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionWork {
    /// Forgets snapshots, each with a record under `p861/forgotten`.
    Forget,
    /// Marks what no snapshot needs, and removes what was marked for long enough.
    Prune,
}

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetentionResult {
    /// Snapshots that were forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<i64>,
    /// Bytes that have left the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reclaimed: Option<Quantity>,
    /// Bytes that no snapshot needs and that are still there: marked now or before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marked: Option<Quantity>,
    /// Bytes that were written anew, so that what no snapshot needs can go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repacked: Option<Quantity>,
    /// Packs that have left, and of which the store keeps old versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_versions: Option<i64>,
    /// Packs or snapshots that the store keeps by a lock of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<i64>,
    /// When the last of these locks ends, as far as the store says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_until_time: Option<Time>,
}

/// The run that is under way, or was the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionRun {
    /// What it does.
    pub work: RetentionWork,
    /// When it was decided on.
    pub decided_time: Time,
    /// Phase.
    #[serde(default)]
    pub phase: RunPhase,
    /// Start time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// End time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What it has come to.
    #[serde(default)]
    pub result: RetentionResult,
    /// Progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<RunProgress>,
    /// Number of steps by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepCounts>,
    /// Running steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub current_steps: Vec<CurrentStep>,
    /// Location of the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReference>,
    /// Succeeded; CleanedUp, if a person skipped clean-up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl RetentionRun {
    /// A run that was decided on and has not begun.
    pub fn new(work: RetentionWork, decided: Time) -> Self {
        Self {
            work,
            decided_time: decided,
            phase: RunPhase::Pending,
            start_time: None,
            completion_time: None,
            result: RetentionResult::default(),
            progress: None,
            steps: None,
            current_steps: Vec::new(),
            journal: None,
            conditions: Vec::new(),
        }
    }
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndedRetentionRun {
    /// What it did.
    pub work: RetentionWork,
    /// When it was decided on.
    pub decided_time: Time,
    /// How it ended.
    pub phase: RunPhase,
    /// End time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What it has come to.
    #[serde(default)]
    pub result: RetentionResult,
    /// How it ended, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where its journal is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub journal: String,
}
