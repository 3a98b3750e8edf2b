//! Backup: one recovery point of an application.

use super::super::common::{Condition, CurrentStep, Duration, JournalReference, ObjectReference, Quantity, RunAction, RunPhase, RunProgress, StepCounts, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Creating one takes a backup now. The same name never runs twice.
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
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.applicationRef == oldSelf.applicationRef && has(self.repositoryRef) == has(oldSelf.repositoryRef) && (!has(self.repositoryRef) || self.repositoryRef == oldSelf.repositoryRef) && has(self.policyRef) == has(oldSelf.policyRef) && (!has(self.policyRef) || self.policyRef == oldSelf.policyRef) && self.deadline == oldSelf.deadline && has(self.reason) == has(oldSelf.reason) && (!has(self.reason) || self.reason == oldSelf.reason) && has(self.keepUntilTime) == has(oldSelf.keepUntilTime) && (!has(self.keepUntilTime) || self.keepUntilTime == oldSelf.keepUntilTime) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a run can't be changed, only spec.actions appended: create another Backup")
)]
pub struct BackupSpec {
    /// What is saved.
    pub application_ref: ObjectReference,
    /// Where to; the policy's, or the namespace's only one, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_ref: Option<ObjectReference>,
    /// The policy whose retention applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<ObjectReference>,
    /// Given up after this long.
    #[serde(default = "default_deadline")]
    pub deadline: Duration,
    /// Why it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Kept at least until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until_time: Option<Time>,
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

/// How far a backup was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum VerificationLevel {
    /// The repository holds every byte of it.
    Stored,
    /// It was restored into an isolated namespace.
    Restored,
    /// The application's own checks passed there.
    Probed,
}

/// Level reached, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The level.
    pub level: VerificationLevel,
    /// When it was reached.
    pub verified_time: Time,
}

/// Whether the data is as the application would have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// Dumped or quiesced.
    Application,
    /// As if the power had failed.
    Crash,
}

/// What is in a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupContents {
    /// Objects of its namespaces.
    pub objects: i64,
    /// Cluster-scoped objects.
    #[serde(skip_serializing_if = "is_zero")]
    pub cluster_objects: i64,
    /// Volumes.
    pub volumes: i32,
    /// Streams.
    pub streams: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// How large a backup is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupSize {
    /// Restored size.
    pub total: Quantity,
    /// What it added to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Quantity>,
}

/// What became of the backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupStatus {
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
    /// The site whose data it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The repository that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// restic's snapshot id.
    #[serde(rename = "snapshotID", skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// What was written up to here is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point_time: Option<Time>,
    /// Dumped or quiesced, or as after a power cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// What is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<BackupContents>,
    /// How large it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<BackupSize>,
    /// How far it was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
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
    /// Succeeded, Verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
