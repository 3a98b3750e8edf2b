//! Restore: one restore, or the preview of one.

use super::super::common::{Condition, CurrentStep, Duration, JournalReference, ObjectReference, RunAction, RunPhase, RunProgress, StepCounts, Time};
use super::backup::BackupSize;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Creating one starts it. A preview never turns into a restore.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Restore",
    derive = "PartialEq",
    namespaced,
    status = "RestoreStatus",
    shortname = "prs",
    category = "p861",
    printcolumn(name = "Backup", type_ = "string", json_path = ".status.backup"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Percent", type_ = "integer", json_path = ".status.progress.percent"),
    printcolumn(name = "Site", type_ = "string", json_path = ".status.site", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.source == oldSelf.source && self.mode == oldSelf.mode && self.target == oldSelf.target && self.select == oldSelf.select && self.conflictPolicy == oldSelf.conflictPolicy && self.deadline == oldSelf.deadline && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a run can't be changed, only spec.actions appended: create another Restore")
)]
pub struct RestoreSpec {
    /// What is restored.
    pub source: RestoreSource,
    /// Do it, or only say what would be done.
    #[serde(default)]
    pub mode: RestoreMode,
    /// Where to.
    #[serde(default)]
    pub target: RestoreTarget,
    /// What of it.
    #[serde(default)]
    pub select: RestoreSelection,
    /// What is done about objects that are there and different.
    #[serde(default)]
    pub conflict_policy: ConflictPolicy,
    /// Given up after this long.
    #[serde(default = "default_deadline")]
    pub deadline: Duration,
    /// Who asked for it. Filled in by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub requested_by: Option<String>,
    /// What people ask of the run; append only.
    #[serde(default)]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("size(self) >= size(oldSelf) && oldSelf.all(i, a, self[i] == a)").message("actions are appended, never changed or removed"))]
    pub actions: Vec<RunAction>,
}

fn default_deadline() -> Duration {
    "6h".into()
}

/// One of a backup, an application's newest before a time, or a snapshot in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.backupRef), has(self.applicationRef), has(self.snapshot)].exists_one(x, x)").message("give exactly one of source.backupRef, source.applicationRef and source.snapshot"),
    validation = Rule::new("!has(self.notAfterTime) || has(self.applicationRef)").message("notAfterTime goes with source.applicationRef")
)]
pub struct RestoreSource {
    /// A Backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_ref: Option<ObjectReference>,
    /// The newest sound backup of an Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_ref: Option<ObjectReference>,
    /// No newer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_time: Option<Time>,
    /// A snapshot that no Backup object names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotReference>,
}

/// A snapshot in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReference {
    /// The repository.
    pub repository_ref: ObjectReference,
    /// restic's id, whole or its first characters.
    #[schemars(regex(pattern = "^[0-9a-f]{8,64}$"))]
    pub id: String,
}

/// Do it, or only say what would be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestoreMode {
    /// Do it.
    #[default]
    Execute,
    /// Print create, change, same and refused; write nothing.
    Preview,
}

/// Where a restore goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreTarget {
    /// The site; the application's active one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<ObjectReference>,
    /// Other namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub namespace_mappings: Vec<Mapping>,
    /// Other storage classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub storage_class_mappings: Vec<Mapping>,
    /// Other registries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub image_mappings: Vec<Mapping>,
    /// Files go under this path of their volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"), length(max = 1024))]
    pub path_prefix: Option<String>,
}

/// One name for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mapping {
    /// As it is in the backup.
    #[schemars(length(min = 1, max = 253))]
    pub from: String,
    /// As it shall be.
    #[schemars(length(min = 1, max = 253))]
    pub to: String,
}

/// What of a backup is restored; everything when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreSelection {
    /// Tiers of the application.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tiers: Vec<String>,
    /// Kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub resources: Vec<ResourceSelector>,
    /// Files only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub files: Vec<FileSelection>,
}

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSelector {
    /// API group; the core group when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind.
    pub kind: String,
}

/// Files of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileSelection {
    /// The claim.
    pub claim: String,
    /// Paths in it; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub paths: Vec<String>,
}

/// What is done about objects that are there and different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConflictPolicy {
    /// Write nothing.
    #[default]
    Refuse,
    /// Leave them.
    Skip,
    /// Server-side apply over them.
    Merge,
    /// Delete and create.
    Replace,
}

/// What a restore changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RestoreChanges {
    /// Not there.
    pub create: i64,
    /// There and different.
    pub change: i64,
    /// There and equal.
    pub same: i64,
    /// Refused by admission.
    pub refused: i64,
}

/// What became of the restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many of `spec.actions` were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_actions: Option<i32>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RunPhase>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// The Backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// restic's snapshot id.
    #[serde(rename = "snapshotID", skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// The repository that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// What was written up to here comes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point_time: Option<Time>,
    /// The site restored to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What it changes, or would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<RestoreChanges>,
    /// How large it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<BackupSize>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<RunProgress>,
    /// Its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepCounts>,
    /// At most 16 steps under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub current_steps: Vec<CurrentStep>,
    /// Its journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReference>,
    /// Succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
