//! MaintenanceTicket: an incident or a change, with a life, clocks, people and a trace.

mod status;

pub use status::*;

use super::super::common::{LocalizedText, ObjectReference, Time};
use super::change::Change;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something went wrong, or something will be changed: who does what about it, until when, with whose agreement.
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
    validation = Rule::new("(self.type == 'Change') == has(self.change) && (self.type == 'Incident') == has(self.incident)").message("a Change has change: {…} and an Incident has incident: {…}"),
    validation = Rule::new("self.type == oldSelf.type && self.title == oldSelf.title && self.impact == oldSelf.impact && self.urgency == oldSelf.urgency && self.affects == oldSelf.affects && has(self.incident) == has(oldSelf.incident) && (!has(self.incident) || self.incident == oldSelf.incident) && has(self.change) == has(oldSelf.change) && (!has(self.change) || self.change == oldSelf.change) && has(self.from) == has(oldSelf.from) && (!has(self.from) || self.from == oldSelf.from) && has(self.dueTime) == has(oldSelf.dueTime) && (!has(self.dueTime) || self.dueTime == oldSelf.dueTime) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("a ticket can't be changed, only spec.actions appended: add a Note, or open another ticket")
)]
pub struct MaintenanceTicketSpec {
    /// Incident or Change.
    pub r#type: TicketType,
    /// What it is about, in a line.
    pub title: LocalizedText,
    /// How much is hurt: now by an incident, or if a change goes wrong.
    pub impact: Grade,
    /// How soon something must be done.
    pub urgency: Grade,
    /// What it is about, by name.
    #[serde(default)]
    pub affects: Affected,
    /// Incident: what was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// Change: what will be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The run that it came out of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// Until when it shall be done, where that is not the roster's clocks'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_time: Option<Time>,
    /// Who opened it. Filled in by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub requested_by: Option<String>,
    /// What people did about it; append only.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[x_kube(validation = Rule::new("size(self) >= size(oldSelf) && oldSelf.all(i, a, self[i] == a)").message("actions are appended, never changed or removed"))]
    pub actions: Vec<TicketAction>,
}

/// What a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TicketType {
    /// Something went wrong.
    Incident,
    /// Something will be changed.
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

/// How soon: by impact and urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Priority {
    /// At once.
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

/// What an incident came out of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Incident {
    /// Who or what noticed it; a person if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IncidentSource>,
    /// When the trouble began, which is not when the ticket was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// What users have of it.
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

/// What noticed an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IncidentSource {
    /// An Alertmanager. Only the operator may say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<AlertmanagerSource>,
}

/// A group of alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagerSource {
    /// The site whose Alertmanager it was.
    pub site_ref: ObjectReference,
    /// Alertmanager's name of the group.
    #[schemars(length(min = 1, max = 4096))]
    pub group_key: String,
}

/// What users have of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ServiceState {
    /// It works.
    Working,
    /// It works badly.
    Degraded,
    /// It doesn't work.
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

/// The run that a ticket came out of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Its kind, for example Drill.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What people may do about a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TicketActionKind {
    /// I have it.
    Acknowledge,
    /// Somebody else shall have it.
    Assign,
    /// Something to remember.
    Note,
    /// Change: how it is done.
    Plan,
    /// Work begins.
    Start,
    /// Work is done; what follows is looking whether it was good.
    Done,
    /// Change: it was taken back.
    RollBack,
    /// It is over.
    Resolve,
    /// Nothing happens for now; the clock Resolve stands still.
    Suspend,
    /// It goes on.
    Resume,
    /// It was not over.
    Reopen,
    /// It will not be done.
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
    validation = Rule::new("(self.action == 'Assign') == has(self.assignee)").message("Assign names who shall have it: add assignee: \"name\""),
    validation = Rule::new("!(self.action in ['Note', 'Plan']) || (has(self.note) && size(self.note) > 0)").message("Note and Plan say something: add note: \"text\""),
    validation = Rule::new("self.action == 'Resolve' || !has(self.resolution)").message("only Resolve has a resolution"),
    validation = Rule::new("self.action == 'Note' || !has(self.reported)").message("only a Note says that it was reported")
)]
pub struct TicketAction {
    /// What was done.
    pub action: TicketActionKind,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Note, Plan: the text. On others something to remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub note: Option<String>,
    /// Note: the incident was reported upwards, which the clock Report asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<bool>,
    /// Assign: to whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub assignee: Option<String>,
    /// Resolve: what came of it; Done when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// Who did it. Filled in by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
    /// The person who did it by the link of a message. Only the operator may say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub on_behalf_of: Option<String>,
}

impl TicketAction {
    /// The person who did it.
    pub fn person(&self) -> &str {
        self.on_behalf_of.as_deref().or(self.by.as_deref()).unwrap_or_default()
    }
}
