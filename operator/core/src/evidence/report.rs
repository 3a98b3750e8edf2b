//! The report of a drill as data. The HTML page is generated only from this.
//!
//! The JSON form is stable: a field may be added, never renamed or given another meaning. Times are RFC 3339 in UTC, durations GEP-2257 in whole milliseconds.

use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    LocalizedText, Reason,
    common::ActionKind,
    protection::backup::VerificationLevel,
    recovery::{
        drill::{DrillResult, DrillType, Participant, RpoProof},
        plan::PredictionBasis,
    },
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::html::{Language, page};
use crate::engine::Evidence;

/// `apiVersion` of the JSON form.
pub const API_VERSION: &str = "report.platform861.io/v1";
/// `kind` of the JSON form.
pub const KIND: &str = "DrillReport";

/// A report can't be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The JSON can't be made.
    #[error("the report of drill {drill} can't be written as JSON: {why}")]
    Unwritable {
        /// The drill.
        drill: String,
        /// What the serializer said.
        why: String,
    },
}

/// The report of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillReport {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Name of the Drill.
    pub drill: String,
    /// UID of the Drill.
    pub uid: String,
    /// Its district.
    pub district: Named,
    /// How far it went.
    pub drill_type: DrillType,
    /// The plan that was rehearsed.
    pub plan: Named,
    /// Digest of the compiled steps: what was approved is what ran.
    pub plan_digest: String,
    /// Scenario of the exercise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<LocalizedText>,
    /// Who asked for it.
    pub requested_by: String,
    /// Who took part.
    #[serde(default)]
    pub participants: Vec<Participant>,
    /// Where the applications run.
    pub from_site: Named,
    /// Where they were recovered.
    pub target_site: Named,
    /// Namespaces of the bubble.
    #[serde(default)]
    pub isolation: Vec<String>,
    /// The page shows times this many minutes east of UTC; 480 is Asia/Shanghai.
    pub utc_offset_minutes: i32,
    /// When it started.
    pub start_time: Timestamp,
    /// When it ended, clean-up included.
    pub completion_time: Timestamp,
    /// What came of it.
    pub result: DrillResult,
    /// Reason of the condition Succeeded.
    pub reason: Reason,
    /// A sentence for people.
    pub message: String,
    /// The failure that decided the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Objectives of the plan, and what was measured of it.
    pub rto: Objective,
    /// What was expected beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// Its applications.
    #[serde(default)]
    pub applications: Vec<ApplicationReport>,
    /// Every step, in the plan's order.
    #[serde(default)]
    pub steps: Vec<StepReport>,
    /// What people asked of it, in order.
    #[serde(default)]
    pub actions: Vec<ActionReport>,
    /// What was removed, and what was not.
    pub clean_up: CleanUpReport,
    /// Where the journal is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// Versions of what took part, for example `p861-operator` and `kubernetes (laoshan-dr)`.
    #[serde(default)]
    pub versions: Vec<Version>,
    /// When the report was made.
    pub generated_time: Timestamp,
}

/// Something with a name and, for people, names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name in the API.
    pub name: String,
    /// Its names for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<LocalizedText>,
}

/// The step that decided a bad end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step.
    pub step: String,
    /// A reason of the API.
    pub reason: Reason,
    /// What happened.
    pub message: String,
}

/// A target and what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// The longest that is allowed; none if nothing was stated.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    pub target: Option<SignedDuration>,
    /// What it took; none if it was not reached.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    pub measured: Option<SignedDuration>,
}

impl Objective {
    /// Whether it was met; none if nothing was stated, false if something was stated and nothing measured.
    pub fn met(self) -> Option<bool> {
        self.target.map(|target| self.measured.is_some_and(|measured| measured <= target))
    }
}

/// How long the drill was expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The RTO expected.
    #[serde(with = "span")]
    pub rto: SignedDuration,
    /// What that rested on.
    pub basis: PredictionBasis,
    /// How many drills.
    #[serde(default)]
    pub samples: i32,
}

/// One application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationReport {
    /// The application.
    #[serde(flatten)]
    pub application: Named,
    /// Its department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// RTO, from the drill's start until the last check passed.
    pub rto: Objective,
    /// RPO, from the drill's start back to the recovered data.
    pub rpo: Objective,
    /// How the RPO was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_proof: Option<RpoProof>,
    /// Newest time found in the recovered data, if it was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker_time: Option<Timestamp>,
    /// The backup used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupReport>,
    /// Its checks.
    #[serde(default)]
    pub checks: Vec<CheckReport>,
}

/// The backup that an application was recovered from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupReport {
    /// The Backup.
    pub name: String,
    /// The repository.
    pub repository: String,
    /// restic's id.
    #[serde(rename = "snapshotID")]
    pub snapshot_id: String,
    /// Recovery point: it contains all data written before this time.
    pub recovery_point_time: Timestamp,
    /// How far it was proven before the drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationLevel>,
    /// Restored size, as a quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// One check of a recovered application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// When it was first tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it held, or was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What was seen.
    #[serde(default)]
    pub evidence: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOutcome {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// The drill ended before.
    NotRun,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its id, for example `restore/portal/volume/site-files`.
    pub id: String,
    /// Steps that it waited for.
    #[serde(default)]
    pub after: Vec<String>,
    /// When it was expected to start and end, counted from the drill's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Span>,
    /// When it first started, or asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
    /// How it ended.
    pub outcome: StepOutcome,
    /// Whether it is clean-up, which the RTO does not wait for.
    #[serde(default)]
    pub clean_up: bool,
    /// Its last failure, even if a later attempt succeeded; or why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it proves, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// A stretch of time, counted from the drill's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its begin.
    #[serde(with = "span")]
    pub start: SignedDuration,
    /// Its end.
    #[serde(with = "span")]
    pub end: SignedDuration,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StepOutcome {
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Stopped, because the drill ended early.
    Cancelled,
    /// Skipped by a person.
    Skipped,
    /// Skipped, because a step before it was not done.
    NotReached,
    /// The drill ended before it started.
    NotRun,
    /// Done or tried, and undone.
    Undone,
    /// Not ended when the report was made.
    Open,
}

/// What a person asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReport {
    /// What.
    pub action: ActionKind,
    /// Of which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Who.
    pub by: String,
    /// When it was read.
    pub time: Timestamp,
    /// Why it had no effect, if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What became of the bubble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanUpReport {
    /// Whether nothing is left.
    pub complete: bool,
    /// What was removed, for example `2 namespaces`.
    #[serde(default)]
    pub removed: Vec<String>,
    /// What is still there.
    #[serde(default)]
    pub left: Vec<String>,
    /// How that was seen.
    #[serde(default)]
    pub evidence: String,
}

/// A version that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Of what.
    pub name: String,
    /// Which.
    pub version: String,
}

/// The three things that are kept of a drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The page, which names the digest of the data.
    pub html: String,
    /// The data.
    pub json: String,
    /// `sha256:` of the data.
    pub digest: String,
}

/// Writes a report as data and as a page. The page opens in `language`, and shows the other at a click.
///
/// # Errors
/// [`ReportError::Unwritable`] if the JSON can't be made.
pub fn publish(report: &DrillReport, language: Language) -> Result<Published, ReportError> {
    let json = serde_json::to_string_pretty(report).map_err(|error| ReportError::Unwritable { drill: report.drill.clone(), why: error.to_string() })?;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(json.as_bytes())));
    Ok(Published { html: page(report, Some(&digest), language), json, digest })
}

/// A duration that may be absent: whole milliseconds, never negative.
mod duration {
    use crate::time::gep2257;
    use jiff::SignedDuration;
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands a reference to the field")]
    pub fn serialize<S: Serializer>(value: &Option<SignedDuration>, serializer: S) -> Result<S::Ok, S::Error> {
        gep2257::option::serialize(&value.map(super::whole_millis), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignedDuration>, D::Error> {
        gep2257::option::deserialize(deserializer)
    }
}

/// A duration: whole milliseconds, never negative.
mod span {
    use crate::time::gep2257;
    use jiff::SignedDuration;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
        gep2257::serialize(&super::whole_millis(*value), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
        gep2257::deserialize(deserializer)
    }
}

/// Engines count in nanoseconds; the API's form of a duration has milliseconds and no sign.
fn whole_millis(value: SignedDuration) -> SignedDuration {
    SignedDuration::from_millis_i128(value.as_millis()).clamp(SignedDuration::ZERO, crate::time::LONGEST)
}
