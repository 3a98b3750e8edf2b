//! MaintenanceTicket: an incident or a change, with a life, clocks, people and a trace.

mod status;

pub use status::*;

use super::super::common::{LocalizedText, ObjectReference, Time};
use super::change::Change;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An incident or a change: who handles it, by when, and with whose approval.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "MaintenanceTicket",
    derive = "PartialEq",
    namespaced,
    status = "MaintenanceTicketStatus",
    shortname = "ticket",
    category = "p861",
    selectable = ".spec.type",
    validation = Rule::new("self.metadata.name.size() <= 63").message("a ticket's name has at most 63 characters: it is a label"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Priority", type_ = "string", json_path = ".status.priority"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Assignee", type_ = "string", json_path = ".status.assignee"),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title.zh"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'Change') == has(self.change) && (self.type == 'Incident') == has(self.incident)").message("a Change needs change: {…} and an Incident needs incident: {…}"),
    validation = Rule::new("self.type == oldSelf.type && self.title == oldSelf.title && self.impact == oldSelf.impact && self.urgency == oldSelf.urgency && self.affects == oldSelf.affects && has(self.incident) == has(oldSelf.incident) && (!has(self.incident) || self.incident == oldSelf.incident) && has(self.change) == has(oldSelf.change) && (!has(self.change) || self.change == oldSelf.change) && has(self.from) == has(oldSelf.from) && (!has(self.from) || self.from == oldSelf.from) && has(self.dueTime) == has(oldSelf.dueTime) && (!has(self.dueTime) || self.dueTime == oldSelf.dueTime) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a ticket can't be changed except by appending to spec.actions: add a Note, or open another ticket")
)]
pub struct MaintenanceTicketSpec {
    /// Incident or Change.
    pub r#type: TicketType,
    /// Title.
    pub title: LocalizedText,
    /// Impact of the incident, or of a failed change.
    pub impact: Grade,
    /// Urgency.
    pub urgency: Grade,
    /// Affected objects, by name.
    #[serde(default)]
    pub affects: Affected,
    /// Incident: details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// Change: details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The run that caused the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// Due time, if different from the roster's time limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_time: Option<Time>,
    /// Requester. Admission fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub requested_by: Option<String>,
    /// Actions of people; append only.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[x_kube(
        validation = Rule::new("size(self) >= size(oldSelf) && oldSelf.all(i, a, self[i] == a)").message("actions are appended, never changed or removed"),
        validation = Rule::new("self.filter(a, !(a.action in ['Resolve', 'Cancel'])).size() <= 240").message("at most 240 actions but for Resolve and Cancel, for which there is always room: end this ticket and open another")
    )]
    pub actions: Vec<TicketAction>,
}

/// Type of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TicketType {
    /// An incident.
    Incident,
    /// A change.
    Change,
}

/// High, Medium or Low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Grade {
    /// High.
    High,
    /// Medium.
    Medium,
    /// Low.
    Low,
}

/// Priority, from impact and urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Priority {
    /// Immediately.
    P1,
    /// Today.
    P2,
    /// Soon.
    P3,
    /// When there is time.
    P4,
}

/// Objects by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Affected {
    /// Applications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub application_refs: Vec<ObjectReference>,
    /// Sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub site_refs: Vec<ObjectReference>,
}

/// Origin and effect of an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Incident {
    /// Source of the incident; a person if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IncidentSource>,
    /// When the incident began, as opposed to when the ticket was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Effect on users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_state: Option<ServiceState>,
    /// Name of the runbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub runbook: Option<String>,
    /// Level of a network-security incident, I being the worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<IncidentLevel>,
}

/// Source of an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IncidentSource {
    /// An Alertmanager. Only the operator may set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<AlertmanagerSource>,
}

/// A group of alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagerSource {
    /// The site of the Alertmanager.
    pub site_ref: ObjectReference,
    /// Alertmanager's key of the group.
    #[schemars(length(min = 1, max = 4096))]
    pub group_key: String,
}

/// Effect on users of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ServiceState {
    /// The service works.
    Working,
    /// The service is degraded.
    Degraded,
    /// The service is down.
    Down,
}

/// Level of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum IncidentLevel {
    /// Especially grave, red.
    I,
    /// Grave, orange.
    II,
    /// Considerable, yellow.
    III,
    /// Ordinary, blue.
    IV,
}

/// The run that caused a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Its kind, for example Drill.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Actions on a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TicketActionKind {
    /// Acknowledge the ticket.
    Acknowledge,
    /// Assign it to somebody.
    Assign,
    /// Add a note.
    Note,
    /// Change: describe the work.
    Plan,
    /// Work has started.
    Start,
    /// Work is done; the checks follow.
    Done,
    /// Change: rolled back.
    RollBack,
    /// Resolved.
    Resolve,
    /// Suspend the ticket; the Resolve deadline is paused.
    Suspend,
    /// Continue after Suspend.
    Resume,
    /// Reopen it.
    Reopen,
    /// Cancelled.
    Cancel,
}

impl std::fmt::Display for TicketActionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// One entry of `spec.actions`: appended, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.action in ['RollBack', 'Cancel']) || (has(self.reason) && size(self.reason) > 0)").message("RollBack and Cancel need a reason: add reason: \"why\""),
    validation = Rule::new("(self.action == 'Assign') == has(self.assignee)").message("Assign needs an assignee: add assignee: \"name\""),
    validation = Rule::new("!(self.action in ['Note', 'Plan']) || (has(self.note) && size(self.note) > 0)").message("Note and Plan need a text: add note: \"text\""),
    validation = Rule::new("self.action == 'Resolve' || !has(self.resolution)").message("only Resolve may have a resolution"),
    validation = Rule::new("self.action == 'Note' || !has(self.reported)").message("only a Note may set reported")
)]
pub struct TicketAction {
    /// The action.
    pub action: TicketActionKind,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Note, Plan: the text. Other actions: an optional note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub note: Option<String>,
    /// Note: the incident was reported to the authority; this meets the Report deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<bool>,
    /// Assign: the new assignee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub assignee: Option<String>,
    /// Resolve: the resolution; Done when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// Author. Admission fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
    /// The person who used the link in a message. Only the operator may set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub on_behalf_of: Option<String>,
}

impl TicketAction {
    /// The person who performed the action.
    pub fn person(&self) -> &str {
        self.on_behalf_of.as_deref().or(self.by.as_deref()).unwrap_or_default()
    }
}
