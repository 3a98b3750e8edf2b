//! What evidence is made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A part of a backup that was stored in the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedPart {
    /// Its path in the snapshot, for example `volumes/attachments`.
    pub part: String,
    /// Files.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes that it added to the repository.
    pub added: u64,
    /// When reading began: everything written before is in it.
    pub started_at: Timestamp,
    /// Hex digest of a stream; none for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Files that changed or vanished while they were read; the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A kind of which a backup has objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SavedKind {
    /// Namespace of the objects.
    pub namespace: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// The version in which its objects are saved.
    pub version: String,
    /// Number of its objects in the namespace.
    pub count: u64,
}

/// One check of a preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightResult {
    /// Name of the check.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// Observation, shown to people.
    pub seen: String,
}

/// An object of a run in its repository, by its content (`operator/runs/src/run_objects.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredObject {
    /// Hex digest of its content.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// What a restore does with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ObjectChange {
    /// It doesn't exist.
    Create,
    /// It exists and differs.
    Change,
    /// It exists and is the same.
    Same,
    /// The API server would refuse it.
    Refused,
}

/// An object that a restore would change, or that would be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedChange {
    /// What would happen.
    pub action: ObjectChange,
    /// Its kind.
    pub kind: String,
    /// Namespace that it is written to.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The difference, or why it is refused.
    pub why: String,
}

/// Objects that a restore could not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedObjects {
    /// The first of them.
    pub first: ListedChange,
    /// Number of objects in the list.
    pub listed: u64,
    /// The list, as JSON of [`ListedChange`].
    pub list: StoredObject,
}

/// Result of uncordoning a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UncordonResult {
    /// It takes pods again.
    Uncordoned,
    /// The node was deleted.
    NodeGone,
    /// Somebody else's cordon stays.
    CordonOfAnother,
}

/// Progress of a running attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepProgress {
    /// What it does or waits for; shown instead of the counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Files or objects done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_done: Option<u64>,
    /// Of how many, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_total: Option<u64>,
    /// Bytes done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_done: Option<u64>,
    /// Of how many, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
}

impl StepProgress {
    /// Progress in words.
    pub fn message(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::default() }
    }
}
