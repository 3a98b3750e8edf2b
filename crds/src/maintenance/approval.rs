//! Approval: a person's word on a run or a ticket, bound to what was shown.

use super::super::common::{Condition, Duration, ObjectReference};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person's approval of a start, statement of a fact, or signature. It is immutable; deleting it withdraws it.
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
    validation = Rule::new("self == oldSelf").message("an approval can't be changed: delete it to withdraw it, and create another"),
    validation = Rule::new("(self.purpose == 'AffirmSiteOff') == has(self.siteRef) && (self.purpose != 'Start' || has(self.digest))").message("Start needs the digest of the plan that was shown, and only AffirmSiteOff has a siteRef, which it needs")
)]
pub struct ApprovalSpec {
    /// Subject of the approval.
    pub subject_ref: SubjectReference,
    /// Purpose of the approval.
    pub purpose: Purpose,
    /// Digest of the plan that was shown. If the plan compiles differently, the approval does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"), length(max = 71))]
    pub digest: Option<String>,
    /// AffirmSiteOff: the site that is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<ObjectReference>,
    /// Approved or Rejected.
    pub decision: ApprovalDecision,
    /// Approver. Admission fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub approver: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// How long it counts; it also counts once the work has started.
    #[serde(default = "default_valid_for")]
    pub valid_for: Duration,
}

fn default_valid_for() -> Duration {
    "24h".into()
}

/// Subject of an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectReference {
    /// Its kind.
    pub kind: SubjectKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its UID. An object with the same name but another UID is not the subject.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// Kinds that can be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A drill, for its sign-off.
    Drill,
    /// A change.
    MaintenanceTicket,
}

/// Purpose of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    /// The run or change may start.
    Start,
    /// The old site is off.
    AffirmSiteOff,
    /// The loss of data is accepted.
    AcceptDataLoss,
    /// The data on the old site may be discarded.
    DiscardOldData,
    /// The result was reviewed and accepted.
    SignOff,
}

/// Decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalDecision {
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
}

/// State of the approval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
