//! Backup: one recovery point of an application.

use super::super::common::{
    Condition, CurrentStep, Duration, JournalReference, ObjectReference, Quantity, RefusedRunAction, RunAction, RunPhase, RunProgress, StepCounts, Time,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A backup. Creating the object starts it; the same name never runs twice.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Backup",
    derive = "PartialEq",
    namespaced,
    status = "BackupStatus",
    shortname = "pbk",
    category = "p861",
    selectable = ".spec.applicationRef.name",
    printcolumn(name = "Application", type_ = "string", json_path = ".spec.applicationRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Data-As-Of", type_ = "date", json_path = ".status.recoveryPointTime"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.size.total"),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.verification.level"),
    printcolumn(name = "Site", type_ = "string", json_path = ".status.site", priority = 1),
    printcolumn(name = "Snapshot", type_ = "string", json_path = ".status.snapshotID", priority = 1),
    printcolumn(name = "Kept", type_ = "string", json_path = ".status.conditions[?(@.type=='Kept')].status", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.applicationRef == oldSelf.applicationRef && has(self.repositoryRef) == has(oldSelf.repositoryRef) && (!has(self.repositoryRef) || self.repositoryRef == oldSelf.repositoryRef) && has(self.policyRef) == has(oldSelf.policyRef) && (!has(self.policyRef) || self.policyRef == oldSelf.policyRef) && self.deadline == oldSelf.deadline && has(self.reason) == has(oldSelf.reason) && (!has(self.reason) || self.reason == oldSelf.reason) && has(self.keepUntilTime) == has(oldSelf.keepUntilTime) && (!has(self.keepUntilTime) || self.keepUntilTime == oldSelf.keepUntilTime) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a run can't be changed except by appending to spec.actions: create another Backup")
)]
pub struct BackupSpec {
    /// The Application to back up.
    pub application_ref: ObjectReference,
    /// The repository; when absent, the one of the application's recovery plan, else of its policy, else of its newest backup, else the only one in the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_ref: Option<ObjectReference>,
    /// The policy whose retention and volume method apply; when absent, the one that holds for the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<ObjectReference>,
    /// Time limit.
    #[serde(default = "default_deadline")]
    pub deadline: Duration,
    /// Reason for the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Minimum retention: keep it at least until this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until_time: Option<Time>,
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

/// Verification level of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum VerificationLevel {
    /// The repository contains all its data.
    Stored,
    /// It was restored into isolated namespaces.
    Restored,
    /// The application's own checks passed there.
    Probed,
}

/// Verification level, and when it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The level.
    pub level: VerificationLevel,
    /// When it was reached.
    pub verified_time: Time,
}

/// Consistency of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// The data was dumped, or the application was quiesced.
    Application,
    /// As after a power failure.
    Crash,
}

/// Objects that a backup or a restore left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Reason. Of a backup: Excluded, BeingDeleted, Finished, ControlledPod (its controller makes it again), StaleDiscovery (a kind whose API server doesn't answer),
    /// Missing (`spec.clusterResources` of the Application names it, and it doesn't exist: the backup fails). Of a restore: in words.
    pub reason: String,
    /// Number of objects; of StaleDiscovery, of kinds.
    pub count: i64,
    /// The first of them by name; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// A claim whose files are not in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingClaim {
    /// The claim, for example `shinan-portal/uploads`.
    pub claim: String,
    /// Why, in one word: ClaimUnused if it never had a volume, ClaimNotReadable if nothing could read it when the backup began, or else why its step failed.
    pub reason: String,
    /// Why, and what to do.
    pub message: String,
}

/// Files of a claim that changed or vanished while a backup read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFiles {
    /// The claim, for example `shinan-portal/uploads`.
    pub claim: String,
    /// Number of files.
    pub count: i64,
    /// The first of them, each with what happened; at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<String>,
}

/// Content of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupContents {
    /// Objects, the cluster-scoped ones among them.
    pub objects: i64,
    /// Cluster-scoped objects.
    #[serde(skip_serializing_if = "is_zero")]
    pub cluster_objects: i64,
    /// Volumes.
    pub volumes: i32,
    /// Streams.
    pub streams: i32,
    /// Objects that are not in the backup, by reason; not what the cluster makes again by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reason"]))]
    pub left_out: Vec<LeftOut>,
    /// Claims whose files are missing; the first hundred. `inventory.json` in the snapshot names all. The backup has failed, except for those of the reason ClaimUnused,
    /// which had no files. Everything else is there, and a Restore that names this Backup brings it back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["claim"]))]
    pub missing_claims: Vec<MissingClaim>,
    /// Files that changed or vanished while they were read; the first hundred claims.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["claim"]))]
    pub changed_files: Vec<ChangedFiles>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Size of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupSize {
    /// Size when restored.
    pub total: Quantity,
    /// Bytes added to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Quantity>,
}

/// State of the backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupStatus {
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
    /// The site where the data was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Effective backup policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// restic's snapshot id.
    #[serde(rename = "snapshotID", skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Recovery point: the backup contains all data written before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point_time: Option<Time>,
    /// Consistency: Application if dumped or quiesced, otherwise Crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<BackupContents>,
    /// The Restore that had ended half way in the application when this backup was taken: it holds a mixture, and is restored only if it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_restored: Option<String>,
    /// Size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<BackupSize>,
    /// Verification level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
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
    /// Succeeded, Verified; Kept, once its snapshot has gone or somebody has asked for that; CleanedUp, if a person skipped clean-up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
