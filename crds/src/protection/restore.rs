//! Restore: one restore, or the preview of one.

use super::super::common::{
    Condition, CurrentStep, Duration, JournalReference, ObjectReference, RefusedRunAction, RunAction, RunPhase, RunProgress, StepCounts, Time,
};
use super::backup::{BackupSize, LeftOut, MissingClaim};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A restore, or a preview of one. Creating the object starts it. A preview never turns into a restore.
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
    validation = Rule::new("self.source == oldSelf.source && self.mode == oldSelf.mode && self.target == oldSelf.target && self.select == oldSelf.select && self.conflictPolicy == oldSelf.conflictPolicy && self.deadline == oldSelf.deadline && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a run can't be changed except by appending to spec.actions: create another Restore")
)]
pub struct RestoreSpec {
    /// Source of the restore.
    pub source: RestoreSource,
    /// Restore, or only preview.
    #[serde(default)]
    pub mode: RestoreMode,
    /// Target of the restore.
    #[serde(default)]
    pub target: RestoreTarget,
    /// Selection; everything when absent.
    #[serde(default)]
    pub select: RestoreSelection,
    /// What to do with existing objects that differ. No policy deletes what holds data, or changes the spec of an existing claim.
    #[serde(default)]
    pub conflict_policy: ConflictPolicy,
    /// Time limit.
    #[serde(default = "default_deadline")]
    pub deadline: Duration,
    /// Requester. Admission fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub requested_by: Option<String>,
    /// Requests from people; append only.
    #[serde(default)]
    #[schemars(length(max = 128))]
    #[x_kube(
        validation = Rule::new("size(self) >= size(oldSelf) && oldSelf.all(i, a, self[i] == a)").message("actions are appended, never changed or removed"),
        validation = Rule::new("self.filter(a, a.action != 'Abort').size() <= 120").message("at most 120 actions but for Abort, for which there is always room: abort this run and start another")
    )]
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
    validation = Rule::new("!has(self.notAfterTime) || has(self.applicationRef)").message("notAfterTime needs source.applicationRef")
)]
pub struct RestoreSource {
    /// A Backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_ref: Option<ObjectReference>,
    /// The newest undamaged backup of an Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_ref: Option<ObjectReference>,
    /// Latest allowed recovery point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_time: Option<Time>,
    /// A snapshot without a Backup object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotReference>,
}

/// A snapshot in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReference {
    /// The repository.
    pub repository_ref: ObjectReference,
    /// restic's snapshot id, or its first characters.
    #[schemars(regex(pattern = "^[0-9a-f]{8,64}$"), length(max = 64))]
    pub id: String,
}

/// Restore, or only preview.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestoreMode {
    /// Restore.
    #[default]
    Execute,
    /// Report objects to create, change, leave the same, and those refused; write nothing.
    Preview,
}

/// Target of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreTarget {
    /// The site; the application's active one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<ObjectReference>,
    /// Mapping of namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub namespace_mappings: Vec<Mapping>,
    /// Mapping of storage classes, before what the Platform declares for the two sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub storage_class_mappings: Vec<Mapping>,
    /// Mapping of image registries, before what the Platform declares for the two sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub image_mappings: Vec<Mapping>,
    /// Put files under this path of their volume; nothing there is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"), length(max = 1024))]
    pub path_prefix: Option<String>,
    /// Keep files that are not in the backup. Otherwise they are removed from each claim that is restored as a whole, without `pathPrefix`.
    #[serde(skip_serializing_if = "is_false")]
    pub keep_extra_files: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Mapping of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mapping {
    /// Name in the backup.
    #[schemars(length(min = 1, max = 253))]
    pub from: String,
    /// Name in the target.
    #[schemars(length(min = 1, max = 253))]
    pub to: String,
}

/// Selection from a backup; everything when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreSelection {
    /// Tiers of the application.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 40)))]
    pub tiers: Vec<String>,
    /// Kinds, or single objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub resources: Vec<ResourceSelector>,
    /// Files to restore, and nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub files: Vec<FileSelection>,
}

/// A kind, or one of its objects. A preview in which every selector has a name shows each object as it was saved; values of Secrets are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSelector {
    /// API group; the core group when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind; `*` means every kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name; every object of the kind when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

/// Files of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileSelection {
    /// The claim.
    #[schemars(length(min = 1, max = 253))]
    pub claim: String,
    /// Paths in the claim; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 4096)))]
    pub paths: Vec<String>,
}

/// What to do with existing objects that differ. No policy changes the spec of an existing claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConflictPolicy {
    /// Refuse the restore; write nothing.
    #[default]
    Refuse,
    /// Leave them unchanged.
    Skip,
    /// Update them with server-side apply.
    Merge,
    /// Update them so that they are as in the backup; what can't be changed in place is deleted and made again if its kind holds no data, and refused otherwise.
    Replace,
}

/// Number of objects by outcome of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreChanges {
    /// Does not exist.
    pub create: i64,
    /// Exists and differs.
    pub change: i64,
    /// Of `change`: objects that only get what they lack (labels of an existing namespace, a ServiceAccount `default` that nobody has changed). No policy refuses
    /// these.
    #[serde(skip_serializing_if = "is_zero")]
    pub added: i64,
    /// Exists and is the same.
    pub same: i64,
    /// The API server doesn't take it, or it can't be changed without harm.
    pub refused: i64,
    /// Its kind is not served on the site.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_served: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What a restore has made of the data of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestoredData {
    /// It has begun to write, and has not written everything: the data is partly that of the backup.
    Partly,
    /// All of it is that of the backup.
    Whole,
}

/// An application that is restored where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoredInPlace {
    /// The Application.
    pub application: String,
    /// Its data.
    pub data: RestoredData,
}

/// State of the restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of entries in `spec.actions` that the operator has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_actions: Option<i32>,
    /// Actions without effect, the newest 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_actions: Vec<RefusedRunAction>,
    /// Phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RunPhase>,
    /// Start time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// End time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// The Backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// restic's snapshot id.
    #[serde(rename = "snapshotID", skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// The repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Recovery point: all data written before this time is restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point_time: Option<Time>,
    /// Target site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Changes made, or previewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<RestoreChanges>,
    /// Objects of the backup that were left out, or would be, by reason. All of them: `p861 restore show NAME --objects`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reason"]))]
    pub left_out: Vec<LeftOut>,
    /// Number of files that are not in the backup and were removed, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_removed: Option<i64>,
    /// Claims whose files the Backup lacks, so that this restore doesn't bring them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["claim"]))]
    pub missing_claims: Vec<MissingClaim>,
    /// What became of the application, if it writes into namespaces of its own, on the site where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place: Option<RestoredInPlace>,
    /// Size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<BackupSize>,
    /// Progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<RunProgress>,
    /// Number of steps by state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepCounts>,
    /// Running steps, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub current_steps: Vec<CurrentStep>,
    /// Location of the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReference>,
    /// Succeeded; CleanedUp, if a person skipped clean-up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
