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
    validation = Rule::new("self.metadata.name.size() <= 63").message("a plan's name has at most 63 characters: it is part of its drills' journals' names in the repository"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.activeSite"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch", priority = 1),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Drilled", type_ = "string", json_path = ".status.conditions[?(@.type=='Drilled')].status"),
    printcolumn(name = "RTO", type_ = "string", json_path = ".status.prediction.rto"),
    printcolumn(name = "Run", type_ = "string", json_path = ".status.currentRun"),
    printcolumn(name = "Writer", type_ = "string", json_path = ".status.conditions[?(@.type=='SingleWriter')].status", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.sites) == has(oldSelf.sites) && (!has(self.sites) || self.sites == oldSelf.sites)").message("sites can't be changed: the active site is the plan's epoch, which a Failover moves")
)]
pub struct RecoveryPlanSpec {
    /// Names for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<LocalizedText>,
    /// Repository for journal and reports, so that the plan can be read without the hub.
    pub repository_ref: ObjectReference,
    /// Sites; the district's primary and standby when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<PlanSites>,
    /// How the standby is kept up to date.
    #[serde(default)]
    pub standby: StandbyMode,
    /// Objectives of the whole plan, in addition to those of each application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<PlanObjectives>,
    /// Groups of applications. Data is restored for all at once; starting and checking go group by group.
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<Group>,
    /// Extra steps: questions and commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<ExtraStep>,
}

/// Where a plan's applications normally run, and where they are recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSites {
    /// Primary site.
    pub home_site_ref: ObjectReference,
    /// Standby sites.
    #[schemars(length(min = 1, max = 8))]
    pub standby_site_refs: Vec<ObjectReference>,
}

/// How the standby is kept up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StandbyMode {
    /// Restored only when needed.
    #[default]
    Cold,
    /// Each backup is restored in advance.
    Warm,
    /// The database is replicated.
    Replica,
}

/// Objectives of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanObjectives {
    /// Maximum time until everything is in service again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
}

/// What a run does when a step of the group has failed after all retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// Ask a person.
    #[default]
    Prompt,
    /// The run goes on.
    Continue,
    /// Abort and undo, before the point of no return.
    Abort,
}

/// Applications that start together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Name, unique within the plan.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Groups that must be ready first; the previous group when absent, none when [].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 40)))]
    pub after: Option<Vec<String>>,
    /// Its applications.
    #[schemars(length(min = 1, max = 64))]
    pub members: Vec<Member>,
    /// Time limit of each step.
    #[serde(default = "default_group_deadline")]
    pub deadline: Duration,
    /// What happens when a step has failed after all retries.
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

/// What happens without an answer.
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
    /// How long to wait for an answer.
    #[serde(default = "default_prompt_timeout")]
    pub timeout: Duration,
    /// What happens without an answer.
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
    /// The container and the command.
    #[serde(flatten)]
    pub command: ContainerCommand,
}

/// Kinds of run that include an extra step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepScope {
    /// Failovers.
    Failover,
    /// Live drills.
    LiveDrill,
    /// Isolated drills.
    IsolatedDrill,
}

/// An extra step: a question or a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.prompt) != has(self.exec)").message("give exactly one of prompt and exec"),
    validation = Rule::new("has(self.before) != has(self.after)").message("give exactly one of before and after, for example after: Start/public")
)]
pub struct ExtraStep {
    /// Name, unique within the plan.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Run it before this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = "^(Quiesce|Stop|FinalSync|Fence|Promote|Start|Start/[a-z0-9]([-a-z0-9]*[a-z0-9])?|Check|Traffic|Reprotect)$"),
        length(max = 46)
    )]
    pub before: Option<String>,
    /// Run it after this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = "^(Quiesce|Stop|FinalSync|Fence|Promote|Start|Start/[a-z0-9]([-a-z0-9]*[a-z0-9])?|Check|Traffic|Reprotect)$"),
        length(max = 46)
    )]
    pub after: Option<String>,
    /// Runs that include it; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub runs: Vec<StepScope>,
    /// A question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptStep>,
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecStep>,
    /// Time limit of one attempt.
    #[serde(default = "default_step_deadline")]
    pub deadline: Duration,
    /// Number of retries.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,
    /// What happens when it has failed after all retries.
    #[serde(default)]
    pub on_failure: FailurePolicy,
}

fn default_step_deadline() -> Duration {
    "5m".into()
}

/// Basis of a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PredictionBasis {
    /// Measured drills.
    Drills,
    /// Deadlines and sizes only.
    Estimate,
}

/// Prediction of a run's duration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// Expected RTO.
    pub rto: Duration,
    /// Basis.
    pub basis: PredictionBasis,
    /// Number of drills.
    #[serde(default)]
    pub samples: i32,
}

/// Result of one preflight check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PreflightResult {
    /// The check passed.
    Pass,
    /// The check failed.
    Fail,
}

/// One preflight check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreflightCheck {
    /// Its name, for example StandbyCapacity.
    pub name: String,
    /// Result.
    pub result: PreflightResult,
    /// Observation.
    pub message: String,
    /// Command that fixes the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Preflight checks; updated when a result changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// Time of the last change of a result.
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
    /// End time.
    pub completion_time: Time,
}

/// Observed state of the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecoveryPlanStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Epoch; each failover increases it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The site that holds the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_site: Option<String>,
    /// Digest of the compiled plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// Number of steps by state.
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
    /// The running run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_run: Option<String>,
    /// Ready, ReadyToFailover, Drilled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
