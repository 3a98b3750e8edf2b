//! What evidence is made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// How many there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warned: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A volume snapshot of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenSnapshot {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// The VolumeSnapshot.
    pub name: String,
    /// StorageClass of the claim that the snapshot is read through.
    pub storage_class: String,
    /// Size of the claim in bytes; the one that the snapshot is read through is no smaller.
    pub bytes: u64,
    /// Its point in time: everything written before is in it.
    pub time: Timestamp,
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
    /// It is not written: it exists, differs, and is left as it is, or the restore leaves it out.
    Leave,
    /// The API server would refuse it.
    Refused,
}

/// What an object that could not be written waits for: it may be taken once the application runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Awaits {
    /// Whatever serves its kind.
    Kind,
    /// A webhook that didn't answer.
    Webhook,
}

/// An object of a restore or of its preview, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedChange {
    /// What would happen.
    pub action: ObjectChange,
    /// Its API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Namespace that it is written to; of one that is left out, where it is in the backup.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The difference, or why it is refused.
    pub why: String,
    /// What it waits for; none if a second try would end as the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Awaits>,
    /// Of a preview: all differences, one a line. Empty if there is no more than `why` says. Values of Secrets are not in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// Of a preview that names single objects: the object as it was saved, ready to be applied. Values of Secrets are hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<serde_json::Value>,
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
    /// Number of objects in the list that a second try may write.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub awaiting: u64,
}

/// Names of the objects that a restore left out, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOutObjects {
    /// The first names of each reason, for example `Secret n/a`.
    pub first: BTreeMap<String, Vec<String>>,
    /// Number of objects in the lists.
    pub listed: u64,
    /// The lists, each as JSON of [`ListedChange`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<StoredObject>,
}

/// Packs of a repository, which hold its data, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackSum {
    /// Their number.
    pub packs: u64,
    /// Their size.
    pub bytes: u64,
}

/// What a prune has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrunedPacks {
    /// Marked now: they are removed once the delay is over.
    pub marked: PackSum,
    /// Marked before, whose delay is not over.
    pub waiting: PackSum,
    /// Removed.
    pub removed: PackSum,
    /// Of those, kept by the store as old versions.
    pub hidden: PackSum,
    /// Not removed, because the store keeps them by its lock.
    pub locked: PackSum,
    /// When the last of these locks ends, as far as the store says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Timestamp>,
    /// Marked before, and needed again.
    pub recovered: u64,
    /// Bytes that were written anew.
    pub repacked_bytes: u64,
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
