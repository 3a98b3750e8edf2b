//! RecoveryPlan: which applications move together, in which order.

use super::super::common::{Condition, ContainerCommand, Duration, LocalizedText, ObjectReference, StepCounts, Time};
use super::drill::{DrillResult, DrillType};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A plan to recover applications on another site.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "RecoveryPlan",
    derive = "PartialEq",
    namespaced,
    status = "RecoveryPlanStatus",
    shortname = "rplan",
    category = "p861",
    printcolumn(name = "Active", type_ = "string", json_path = ".status.activeSite"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='ReadyToFailover')].status"),
    printcolumn(name = "Drilled", type_ = "string", json_path = ".status.conditions[?(@.type=='Drilled')].status"),
    printcolumn(name = "RTO", type_ = "string", json_path = ".status.prediction.rto"),
    printcolumn(name = "Run", type_ = "string", json_path = ".status.currentRun"),
    printcolumn(name = "Writer", type_ = "string", json_path = ".status.conditions[?(@.type=='SingleWriter')].status", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.sites) == has(oldSelf.sites) && (!has(self.sites) || self.sites == oldSelf.sites)").message("sites can't be changed: who is active is the plan's epoch, moved by a Failover")
)]
pub struct RecoveryPlanSpec {
    /// Names for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<LocalizedText>,
    /// Where journal and reports are kept: the plan must be readable without the hub.
    pub repository_ref: ObjectReference,
    /// The district's primary and standby when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<PlanSites>,
    /// How the standby is kept.
    #[serde(default)]
    pub standby: StandbyMode,
    /// Objectives of the whole plan; each application keeps its own besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<PlanObjectives>,
    /// Data is brought for all at once; starting and checking go group by group.
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<Group>,
    /// Questions and commands between the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<ExtraStep>,
}

/// Where a plan's applications run at home, and where they are recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSites {
    /// Home.
    pub home_site_ref: ObjectReference,
    /// Standby sites.
    #[schemars(length(min = 1, max = 8))]
    pub standby_site_refs: Vec<ObjectReference>,
}

/// How the standby is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StandbyMode {
    /// Restored when needed.
    #[default]
    Cold,
    /// Each backup is restored ahead.
    Warm,
    /// The database follows.
    Replica,
}

/// Objectives of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanObjectives {
    /// Longest time until everything serves again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
}

/// What a run does when a step of the group fails for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// A person is asked.
    #[default]
    Prompt,
    /// The run goes on.
    Continue,
    /// The run is undone, before its point of no return.
    Abort,
}

/// Applications that start together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Name, unique in the plan.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Groups before it; the one above when absent, none when [].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub after: Option<Vec<String>>,
    /// Its applications.
    #[schemars(length(min = 1, max = 64))]
    pub members: Vec<Member>,
    /// A step is given up after this long.
    #[serde(default = "default_group_deadline")]
    pub deadline: Duration,
    /// What happens when a step fails for good.
    #[serde(default)]
    pub on_failure: FailurePolicy,
}

fn default_group_deadline() -> Duration {
    "30m".into()
}

/// An application of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The Application.
    pub application_ref: ObjectReference,
}

/// What happens when nobody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnTimeout {
    /// The run goes on.
    Continue,
    /// The step fails.
    #[default]
    Fail,
}

/// A question to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptStep {
    /// The question.
    pub text: LocalizedText,
    /// Waits this long.
    #[serde(default = "default_prompt_timeout")]
    pub timeout: Duration,
    /// What happens then.
    #[serde(default)]
    pub on_timeout: OnTimeout,
}

fn default_prompt_timeout() -> Duration {
    "30m".into()
}

/// A command in an application's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecStep {
    /// The Application.
    pub application_ref: ObjectReference,
    /// Where and what.
    #[serde(flatten)]
    pub command: ContainerCommand,
}

/// Kinds of run that an extra step is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunKind {
    /// Failovers.
    Failover,
    /// Live drills.
    LiveDrill,
    /// Isolated drills.
    IsolatedDrill,
}

/// A question or command between a run's own steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.prompt) != has(self.exec)").message("give exactly one of prompt and exec"),
    validation = Rule::new("has(self.before) != has(self.after)").message("give exactly one of before and after, for example after: Start/public")
)]
pub struct ExtraStep {
    /// Name, unique in the plan.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Before this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(Quiesce|Stop|FinalSync|Fence|Promote|Start|Start/[a-z0-9]([-a-z0-9]*[a-z0-9])?|Check|Traffic|Reprotect)$"))]
    pub before: Option<String>,
    /// After this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(Quiesce|Stop|FinalSync|Fence|Promote|Start|Start/[a-z0-9]([-a-z0-9]*[a-z0-9])?|Check|Traffic|Reprotect)$"))]
    pub after: Option<String>,
    /// Runs that it is part of; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub runs: Vec<RunKind>,
    /// A question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptStep>,
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecStep>,
    /// An attempt is given up after this long.
    #[serde(default = "default_step_deadline")]
    pub deadline: Duration,
    /// Attempts after the first.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,
    /// What happens when it fails for good.
    #[serde(default)]
    pub on_failure: FailurePolicy,
}

fn default_step_deadline() -> Duration {
    "5m".into()
}

/// What a prediction rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PredictionBasis {
    /// Measured drills.
    Drills,
    /// Deadlines and sizes only.
    Estimate,
}

/// How long a run is expected to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// Expected RTO.
    pub rto: Duration,
    /// What it rests on.
    pub basis: PredictionBasis,
    /// How many drills.
    #[serde(default)]
    pub samples: i32,
}

/// Outcome of one preflight check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PreflightResult {
    /// Good.
    Pass,
    /// Bad.
    Fail,
}

/// One preflight check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreflightCheck {
    /// Its name, for example StandbyCapacity.
    pub name: String,
    /// Its outcome.
    pub result: PreflightResult,
    /// What was seen.
    pub message: String,
    /// The command that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// The preflight checks; rewritten when a result changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// When a result last changed.
    pub changed_time: Time,
    /// The checks.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub checks: Vec<PreflightCheck>,
}

/// The newest drill of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDrill {
    /// The Drill.
    pub name: String,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<DrillType>,
    /// Its result.
    pub result: DrillResult,
    /// When it ended.
    pub completion_time: Time,
}

/// What is known of the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecoveryPlanStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Who may write: counted up by each failover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The site that holds the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_site: Option<String>,
    /// Digest of the compiled plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// Its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepCounts>,
    /// How long it is expected to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// The preflight checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
    /// The newest drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<LastDrill>,
    /// The run that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_run: Option<String>,
    /// Ready, ReadyToFailover, Drilled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
