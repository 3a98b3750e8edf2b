//! Approval: a person's word on a run or a ticket, bound to what was shown.

use super::super::common::{Condition, Duration, ObjectReference};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person's word: agreement to start, a statement of fact, a signature. It can't be changed; deleting it takes it back.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Approval",
    derive = "PartialEq",
    namespaced,
    status = "ApprovalStatus",
    category = "p861",
    selectable = ".spec.subjectRef.name",
    printcolumn(name = "Subject", type_ = "string", json_path = ".spec.subjectRef.name"),
    printcolumn(name = "Purpose", type_ = "string", json_path = ".spec.purpose"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver"),
    printcolumn(name = "Counted", type_ = "string", json_path = ".status.conditions[?(@.type=='Counted')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("an approval can't be changed: delete it to take it back, and make another"),
    validation = Rule::new("(self.purpose == 'AffirmSiteOff') == has(self.siteRef) && (self.purpose != 'Start' || has(self.digest))").message("Start needs the digest of what was shown, AffirmSiteOff the site (and nothing else has one)")
)]
pub struct ApprovalSpec {
    /// What it is about.
    pub subject_ref: SubjectReference,
    /// What is said of it.
    pub purpose: Purpose,
    /// Digest of the plan that was shown. If it compiles to something else, the approval doesn't count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// AffirmSiteOff: the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<ObjectReference>,
    /// Approved or Rejected.
    pub decision: ApprovalDecision,
    /// Who says it. Filled in by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub approver: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// It counts for this long, or until work has begun.
    #[serde(default = "default_valid_for")]
    pub valid_for: Duration,
}

fn default_valid_for() -> Duration {
    "24h".into()
}

/// What an approval is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectReference {
    /// Its kind.
    pub kind: SubjectKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its UID: another object of the same name is another subject.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// Kinds that are approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A drill: signed off.
    Drill,
    /// A change.
    MaintenanceTicket,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    /// It may start.
    Start,
    /// The old site is off.
    AffirmSiteOff,
    /// What is lost is accepted.
    AcceptDataLoss,
    /// What is on the old site may go.
    DiscardOldData,
    /// It was looked at and is accepted.
    SignOff,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalDecision {
    /// Agreed.
    Approved,
    /// Refused.
    Rejected,
}

/// Whether it counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
