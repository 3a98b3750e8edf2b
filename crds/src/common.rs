//! Shapes that several kinds share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A duration as in Gateway API (GEP-2257): one to four numbers with units h, m, s or ms, for example `15m` or `1h30m`. No days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Duration(#[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 24))] pub String);

impl From<&str> for Duration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Duration {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A Kubernetes quantity, for example `20Ti`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Quantity(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"), length(max = 32))] pub String);

/// Text for people, in Chinese, English or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.zh) || has(self.en)").message("give the text in at least one language: {zh: …} or {en: …}"))]
pub struct LocalizedText {
    /// Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub zh: Option<String>,
    /// English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub en: Option<String>,
}

impl LocalizedText {
    /// The text in the language asked for (`zh` or `en`), or in the other one.
    pub fn in_language(&self, language: &str) -> &str {
        let (first, second) = if language == "zh" { (&self.zh, &self.en) } else { (&self.en, &self.zh) };
        first.as_deref().or(second.as_deref()).unwrap_or_default()
    }

    /// A text of a person in the language that it is written in: Chinese if it has a Chinese character.
    pub fn written(text: &str) -> Self {
        let is_chinese = text.chars().any(|c| ('\u{3400}'..='\u{9fff}').contains(&c));
        let text = Some(text.to_owned());
        if is_chinese { Self { zh: text, en: None } } else { Self { zh: None, en: text } }
    }
}

/// Points at an object of the same namespace, or at a cluster-scoped kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl ObjectReference {
    /// A reference to the object of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// Kinds of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
}

impl std::fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// A workload of an application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadReference {
    /// Kind of the workload.
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace on the site; the application's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

impl std::fmt::Display for WorkloadReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A command to run in a container of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerCommand {
    /// The workload; the operator uses one of its ready pods.
    pub workload_ref: WorkloadReference,
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub container: Option<String>,
    /// The command and its arguments; no shell unless it names one.
    #[schemars(length(min = 1, max = 64), inner(length(max = 8192)))]
    pub command: Vec<String>,
}

/// Actions that people may request of a run, by appending to `spec.actions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ActionKind {
    /// Start no new step until Resume.
    Pause,
    /// Continue after Pause.
    Resume,
    /// Stop, undo completed steps, clean up.
    Abort,
    /// Retry the failed step.
    Retry,
    /// Give up the step and continue without it. What cleans up, undoes or releases only after three failed attempts.
    Skip,
    /// Answer the step's question.
    Answer,
    /// Drill: keep the copy for longer, at most 720h in all.
    Extend,
    /// Drill: remove the copy now, before `keepFor` ends.
    CleanUp,
    /// Backup, once it has ended: its snapshot leaves the repository. A later Abort takes it back, as long as nothing has gone.
    Forget,
}

/// One entry of `spec.actions`: appended, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!(self.action in ['Abort', 'Skip', 'Forget']) || (has(self.reason) && size(self.reason) > 0)").message("Abort, Skip and Forget need a reason: add reason: \"why\""),
    validation = Rule::new("!(self.action in ['Retry', 'Skip', 'Answer']) || has(self.step)").message("Retry, Skip and Answer need a step: add step: \"<id from status.currentSteps>\"")
)]
pub struct RunAction {
    /// The action.
    pub action: ActionKind,
    /// The step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub step: Option<String>,
    /// Reason; recorded in the journal and the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Answer: the answer. Forget: `newest` if the snapshot is to go also as the newest, or the newest of its verification level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub answer: Option<String>,
    /// Extend: by how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Requester. Admission fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
}

/// An action that had no effect when the operator read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedRunAction {
    /// Index in `spec.actions`, starting at 0.
    pub index: i32,
    /// Why it had no effect, and what to do instead.
    pub why: String,
}

/// Phase of a run, for people. Programs should read the conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RunPhase {
    /// Not started yet.
    #[default]
    Pending,
    /// Steps are running.
    Running,
    /// A step waits for an answer.
    WaitingForPerson,
    /// Paused by a person.
    Paused,
    /// Undoing completed steps.
    Aborting,
    /// Removing objects that the run created.
    CleaningUp,
    /// Succeeded.
    Succeeded,
    /// Failed.
    Failed,
    /// Aborted by a person.
    Aborted,
    /// Not started; the condition gives the reason.
    Refused,
}

impl RunPhase {
    /// Whether the run has ended.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted | Self::Refused)
    }
}

impl std::fmt::Display for RunPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// How many ended runs stay as objects. What others refer to, what a status is concluded from, and what is labelled `platform861.io/keep: "true"` stays besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryLimits {
    /// Runs that succeeded.
    #[schemars(range(min = 0, max = 1000))]
    pub succeeded: i32,
    /// Runs that failed, were aborted, or were refused.
    #[schemars(range(min = 0, max = 1000))]
    pub failed: i32,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { succeeded: 6, failed: 6 }
    }
}

/// Number of steps of a run, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StepCounts {
    /// All steps.
    pub total: i32,
    /// Done.
    pub done: i32,
    /// Running.
    #[serde(skip_serializing_if = "is_zero")]
    pub running: i32,
    /// Not started.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: i32,
    /// Steps that needed more than one attempt.
    #[serde(skip_serializing_if = "is_zero")]
    pub retried: i32,
    /// Skipped by a person, or because a step before them failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: i32,
    /// Failed after all retries.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: i32,
    /// Where each step stands: a letter for each, in the order of the run's plan. w waits, r is running, d done, f failed, s skipped by a person, c stopped because the run
    /// ended early, n not run, u undone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub states: String,
    /// When each step ended, in whole seconds since the run's start, in the order of the run's plan with commas between them; nothing for one that has not ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ends: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A step that is running or waits for a person. A status lists at most 16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CurrentStep {
    /// Stable id, for example `restore/portal/volume/site-files`.
    pub id: String,
    /// Phase.
    pub phase: RunPhase,
    /// Which attempt this is; 1 is the first.
    pub attempt: i32,
    /// When this attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Deadline of this attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_time: Option<Time>,
    /// What it does or waits for.
    pub message: String,
    /// The question, if the step waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<LocalizedText>,
    /// The command that answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Progress of a count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountProgress {
    /// Done so far.
    pub done: i64,
    /// Total, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

/// Progress in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ByteProgress {
    /// Done so far.
    pub done: Quantity,
    /// Total, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Quantity>,
}

/// Progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunProgress {
    /// Percent of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
    /// Objects or files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<CountProgress>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteProgress>,
    /// Estimated end at the current rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_completion_time: Option<Time>,
}

/// Location of a run's journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalReference {
    /// `s3://bucket/journal/plan/uid`, a folder, or `configmap:namespace/name`.
    pub location: String,
    /// Highest sequence number.
    pub sequence: i64,
    /// The executor's fencing token.
    pub token: i64,
    /// Digest of the plan that the run follows. Another plan is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Seal of that record, if the journal is in a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// Equality of a type with its text, both ways round.
macro_rules! compares_with_text {
    ($type:ty) => {
        impl PartialEq<str> for $type {
            fn eq(&self, text: &str) -> bool {
                self.as_str() == text
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, text: &&str) -> bool {
                self.as_str() == *text
            }
        }

        impl PartialEq<$type> for str {
            fn eq(&self, value: &$type) -> bool {
                self == value.as_str()
            }
        }

        impl PartialEq<$type> for &str {
            fn eq(&self, value: &$type) -> bool {
                *self == value.as_str()
            }
        }

        impl PartialEq<$type> for String {
            fn eq(&self, value: &$type) -> bool {
                self.as_str() == value.as_str()
            }
        }
    };
}
pub(crate) use compares_with_text;
