//! Drill: the rehearsal of a plan, measured.

use super::super::common::{
    Condition, CurrentStep, Duration, JournalReference, LocalizedText, ObjectReference, RunAction, RunPhase, RunProgress, StepCounts, Time,
};
use super::super::platform::application::ApplicationObjectives;
use super::plan::{PlanObjectives, Prediction};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Creating one starts the drill.
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
    validation = Rule::new("self.type != 'Live' || has(self.fromEpoch)").message("a Live drill moves the application: add fromEpoch: <EPOCH of kubectl get recoveryplans>"),
    validation = Rule::new("self.planRef == oldSelf.planRef && self.type == oldSelf.type && has(self.siteRef) == has(oldSelf.siteRef) && (!has(self.siteRef) || self.siteRef == oldSelf.siteRef) && self.recoveryPoint == oldSelf.recoveryPoint && has(self.scenario) == has(oldSelf.scenario) && (!has(self.scenario) || self.scenario == oldSelf.scenario) && has(self.participants) == has(oldSelf.participants) && (!has(self.participants) || self.participants == oldSelf.participants) && self.keepFor == oldSelf.keepFor && self.deadline == oldSelf.deadline && has(self.fromEpoch) == has(oldSelf.fromEpoch) && (!has(self.fromEpoch) || self.fromEpoch == oldSelf.fromEpoch) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a run can't be changed, only spec.actions appended: create another Drill")
)]
pub struct DrillSpec {
    /// The plan that is rehearsed.
    pub plan_ref: ObjectReference,
    /// How far it goes.
    pub r#type: DrillType,
    /// The site; the plan's standby when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<ObjectReference>,
    /// Which data.
    #[serde(default)]
    pub recovery_point: RecoveryPoint,
    /// What is imagined to have happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<LocalizedText>,
    /// Who takes part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub participants: Vec<Participant>,
    /// The copy is left standing this long for people to look at.
    #[serde(default = "default_keep_for")]
    pub keep_for: Duration,
    /// Given up, and cleaned up, after this long.
    #[serde(default = "default_deadline")]
    pub deadline: Duration,
    /// Live: the epoch that it moves from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub from_epoch: Option<i64>,
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

fn default_keep_for() -> Duration {
    "0s".into()
}

fn default_deadline() -> Duration {
    "4h".into()
}

/// How far a drill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DrillType {
    /// Compiles, checks and predicts; touches nothing.
    Tabletop,
    /// Recovers a copy that can reach nothing outside itself.
    Isolated,
    /// A planned failover, and the way back.
    Live,
}

/// Which data: the newest, or the newest before a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecoveryPoint {
    /// No newer than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after_time: Option<Time>,
}

/// A person's part in a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Participant {
    /// The part.
    #[schemars(length(min = 1, max = 63))]
    pub role: String,
    /// The person.
    #[schemars(length(min = 1, max = 253))]
    pub person: String,
}

/// What came of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DrillResult {
    /// Every check passed, every objective was met.
    Passed,
    /// A check or an objective failed.
    Failed,
    /// Aborted, or a step never ran.
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
    /// The newest marker was read in the recovered application.
    Marker,
    /// By the backup's own time.
    Assumed,
}

/// Measured times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Measured {
    /// From the start until the last check passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// From the start back to the recovery point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Duration>,
}

/// Checks of a recovered application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CheckCounts {
    /// Passed.
    pub passed: i32,
    /// All.
    pub total: i32,
}

/// What was measured of one application.
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
    /// What was measured.
    #[serde(default)]
    pub measured: Measured,
    /// How the RPO was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_proof: Option<RpoProof>,
    /// Its checks.
    #[serde(default)]
    pub checks: CheckCounts,
}

/// The bubble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IsolationStatus {
    /// Short id in its names.
    pub id: String,
    /// Its namespaces on the target site.
    pub namespaces: Vec<String>,
}

/// Where the report is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportReference {
    /// The page.
    pub html: String,
    /// The data.
    pub json: String,
    /// sha256 of the data.
    pub digest: String,
}

/// What became of the drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DrillStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many of `spec.actions` were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_actions: Option<i32>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RunPhase>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<DrillResult>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Where the applications run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_site: Option<String>,
    /// Where they are recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_site: Option<String>,
    /// Digest of the compiled plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// The bubble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationStatus>,
    /// Objectives of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectives: Option<PlanObjectives>,
    /// How long it was expected to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Its applications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub applications: Vec<DrilledApplication>,
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
    /// Its report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportReference>,
    /// Succeeded, ObjectivesMet, CleanedUp.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
