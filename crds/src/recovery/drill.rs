//! Drill: the rehearsal of a plan, measured.

use super::super::common::{
    Condition, CurrentStep, Duration, JournalReference, LocalizedText, ObjectReference, RefusedRunAction, RunAction, RunPhase, RunProgress, StepCounts, Time,
};
use super::super::platform::application::ApplicationObjectives;
use super::plan::{PlanObjectives, Prediction};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A drill of a recovery plan. Creating the object starts it.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Drill",
    derive = "PartialEq",
    namespaced,
    status = "DrillStatus",
    category = "p861",
    selectable = ".spec.planRef.name",
    selectable = ".spec.type",
    validation = Rule::new("self.metadata.name.size() <= 63").message("a drill's name has at most 63 characters: it is part of its report's name in the repository"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.planRef.name"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Result", type_ = "string", json_path = ".status.result"),
    printcolumn(name = "RTO", type_ = "string", json_path = ".status.measured.rto"),
    printcolumn(name = "Clean", type_ = "string", json_path = ".status.conditions[?(@.type=='CleanedUp')].status"),
    printcolumn(name = "Site", type_ = "string", json_path = ".status.targetSite", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'Live'").message("a Live drill is a planned failover, which this release does not have: write type: Isolated, or Tabletop"),
    validation = Rule::new("self.planRef == oldSelf.planRef && self.type == oldSelf.type && has(self.siteRef) == has(oldSelf.siteRef) && (!has(self.siteRef) || self.siteRef == oldSelf.siteRef) && self.recoveryPoint == oldSelf.recoveryPoint && has(self.scenario) == has(oldSelf.scenario) && (!has(self.scenario) || self.scenario == oldSelf.scenario) && has(self.participants) == has(oldSelf.participants) && (!has(self.participants) || self.participants == oldSelf.participants) && self.keepFor == oldSelf.keepFor && self.deadline == oldSelf.deadline && has(self.fromEpoch) == has(oldSelf.fromEpoch) && (!has(self.fromEpoch) || self.fromEpoch == oldSelf.fromEpoch) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a run can't be changed except by appending to spec.actions: create another Drill")
)]
pub struct DrillSpec {
    /// The plan to drill.
    pub plan_ref: ObjectReference,
    /// Type of drill.
    pub r#type: DrillType,
    /// Target site; the plan's standby when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<ObjectReference>,
    /// Which recovery point to use.
    #[serde(default)]
    pub recovery_point: RecoveryPoint,
    /// Scenario of the exercise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<LocalizedText>,
    /// Participants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub participants: Vec<Participant>,
    /// Keep the copy for this long, for inspection. At most 720h, extensions included.
    #[serde(default = "default_keep_for")]
    pub keep_for: Duration,
    /// Time limit; clean-up starts after it. At most 720h, extensions included.
    #[serde(default = "default_deadline")]
    pub deadline: Duration,
    /// Live: the current epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub from_epoch: Option<i64>,
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

fn default_keep_for() -> Duration {
    "0s".into()
}

fn default_deadline() -> Duration {
    "4h".into()
}

/// Type of drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DrillType {
    /// Compiles, checks and predicts; changes nothing.
    Tabletop,
    /// Recovers an isolated copy.
    Isolated,
    /// A planned failover and the failback. Refused: this release has no failover.
    Live,
}

/// Recovery point: the newest, or the newest before a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecoveryPoint {
    /// Latest allowed recovery point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after_time: Option<Time>,
}

/// A participant of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Participant {
    /// Role in the drill.
    #[schemars(length(min = 1, max = 63))]
    pub role: String,
    /// The person.
    #[schemars(length(min = 1, max = 253))]
    pub person: String,
}

/// Result of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DrillResult {
    /// Every check passed, every objective was met.
    Passed,
    /// A check or an objective failed.
    Failed,
    /// Aborted, refused, or with steps that did not run.
    Incomplete,
}

impl std::fmt::Display for DrillResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// How an RPO was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RpoProof {
    /// By the newest marker, read from the recovered application.
    Marker,
    /// By the backup's recovery point.
    Assumed,
}

/// Measured RTO and RPO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Measured {
    /// RTO: from the start until the last check passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// RPO: from the recovery point to the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Duration>,
}

/// Checks of a recovered application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CheckCounts {
    /// Passed checks.
    pub passed: i32,
    /// All checks.
    pub total: i32,
}

/// Measurements of one application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrilledApplication {
    /// The Application.
    pub name: String,
    /// The Backup used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Its recovery point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point_time: Option<Time>,
    /// Its objectives.
    #[serde(default)]
    pub objectives: ApplicationObjectives,
    /// Measurements.
    #[serde(default)]
    pub measured: Measured,
    /// How the RPO was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_proof: Option<RpoProof>,
    /// Its checks.
    #[serde(default)]
    pub checks: CheckCounts,
}

/// The isolated copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IsolationStatus {
    /// Short id in the names of its namespaces.
    pub id: String,
    /// Its namespaces on the target site.
    pub namespaces: Vec<String>,
}

/// Location of the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportReference {
    /// HTML report.
    pub html: String,
    /// JSON report.
    pub json: String,
    /// sha256 of the JSON report.
    pub digest: String,
}

/// State of the drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DrillStatus {
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
    /// Result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<DrillResult>,
    /// Start time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// End time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Site where the applications run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_site: Option<String>,
    /// Where applications are recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_site: Option<String>,
    /// Digest of the compiled plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// The isolated copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationStatus>,
    /// Objectives of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectives: Option<PlanObjectives>,
    /// Predicted RTO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// Measured RTO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Results by application.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub applications: Vec<DrilledApplication>,
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
    /// The report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportReference>,
    /// Succeeded, ObjectivesMet, CleanedUp.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
