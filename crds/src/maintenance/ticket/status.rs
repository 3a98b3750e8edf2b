//! A ticket's status: where it stands, its clocks, alerts and messages, and its steps.

use super::{Priority, TicketActionKind};
use crate::{
    common::{Condition, CurrentStep, JournalReference, RunPhase, RunProgress, StepCounts, Time},
    maintenance::{approval::ApprovalDecision, window::ChangeClass},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Phase of a ticket, for people. Programs should read the conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TicketPhase {
    /// Not acknowledged yet.
    #[default]
    Open,
    /// Acknowledged.
    Acknowledged,
    /// Change: the plan exists.
    Planned,
    /// Change: approved.
    Approved,
    /// Change: scheduled.
    Scheduled,
    /// Work is in progress.
    InProgress,
    /// Work is done; checks are running.
    Verifying,
    /// Closed.
    Closed,
    /// Suspended.
    Suspended,
    /// Change: rolled back.
    RolledBack,
    /// Cancelled.
    Cancelled,
}

impl TicketPhase {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Open,
        Self::Acknowledged,
        Self::Planned,
        Self::Approved,
        Self::Scheduled,
        Self::InProgress,
        Self::Verifying,
        Self::Closed,
        Self::Suspended,
        Self::RolledBack,
        Self::Cancelled,
    ];

    /// Whether the ticket has ended. (It can still be reopened.)
    pub fn is_end(self) -> bool {
        matches!(self, Self::Closed | Self::RolledBack | Self::Cancelled)
    }
}

impl std::fmt::Display for TicketPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Resolution of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Resolution {
    /// Done.
    Done,
    /// Rolled back.
    RolledBack,
    /// Cancelled.
    Cancelled,
    /// Duplicate of another ticket.
    Duplicate,
    /// Not reproducible.
    NotReproducible,
}

/// A silence in an Alertmanager. The operator extends it during the work and ends it afterwards; if the operator fails, it expires soon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// The site of the Alertmanager.
    pub site: String,
    /// Alertmanager's id.
    pub id: String,
    /// When it expires unless extended.
    pub end_time: Time,
}

/// An alert of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketAlert {
    /// Alertmanager's id.
    pub fingerprint: String,
    /// Its name.
    pub alert_name: String,
    /// Its label `severity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Whether it fires.
    pub state: AlertState,
    /// Start time.
    pub start_time: Time,
    /// End time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// The Site whose Alertmanager reported it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted_by: Option<String>,
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AlertState {
    /// Firing.
    Firing,
    /// Resolved.
    Resolved,
}

/// A deadline of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketClock {
    /// Acknowledge, Resolve or Report.
    pub name: ClockName,
    /// State.
    pub state: ClockState,
    /// Due time.
    pub due_time: Time,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met_time: Option<Time>,
}

/// Kind of deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ClockName {
    /// Acknowledged.
    Acknowledge,
    /// Resolved.
    Resolve,
    /// Reported to the authority.
    Report,
}

/// State of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClockState {
    /// Running.
    Running,
    /// Met.
    Met,
    /// Overdue.
    Overdue,
    /// Met too late.
    MetLate,
    /// Paused: the ticket is suspended.
    Paused,
    /// No longer needed.
    Stopped,
}

/// State of the escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escalation {
    /// The level of the roster called last.
    pub level: String,
    /// The next level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_level: Option<String>,
    /// When the next level is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_time: Option<Time>,
    /// State.
    pub state: EscalationState,
}

/// State of an escalation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EscalationState {
    /// The next level will be called.
    Running,
    /// Stopped: the ticket is acknowledged or closed.
    Stopped,
    /// There is no further level.
    Exhausted,
}

/// A message to a person about a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketNotification {
    /// Recipient.
    pub person: String,
    /// Channel of the roster.
    pub channel: String,
    /// Level that caused the message.
    pub level: String,
    /// State.
    pub state: NotificationState,
    /// Since when it has been in this state.
    pub time: Time,
    /// Scheduled time.
    pub due_time: Time,
    /// Number of attempts.
    #[serde(default)]
    pub attempts: i32,
    /// Time of the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_time: Option<Time>,
    /// Whether it was delivered late, which the message says.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// Error of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// State of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NotificationState {
    /// Pending: it will be retried.
    Pending,
    /// Delivered.
    Delivered,
    /// No longer needed.
    Dropped,
}

/// The template of a Standard change, as it was when the ticket was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedTemplate {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its digest. Another template of that name is not followed.
    pub digest: String,
    /// Its publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_by: Option<String>,
}

/// State of the approvals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApprovalCounts {
    /// Required number.
    pub required: i32,
    /// Number received.
    pub given: i32,
    /// Approvers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// Every approval and rejection, the newest 64, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<ApprovalRecord>,
}

/// An approval or a rejection of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRecord {
    /// The Approval.
    pub name: String,
    /// The person.
    pub approver: String,
    /// Approved or Rejected.
    pub decision: ApprovalDecision,
    /// When it was given.
    pub time: Time,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it does not count; it counts if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<String>,
}

/// An action that was not possible when the operator read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedAction {
    /// Index in `spec.actions`, starting at 0.
    pub index: i32,
    /// The requested action.
    pub action: TicketActionKind,
    /// Why it was not possible, and what to do instead.
    pub why: String,
}

/// When the operator read an action: people see an action and its time together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionTime {
    /// Index in `spec.actions`, starting at 0.
    pub index: i32,
    /// When the operator read it.
    pub time: Time,
}

/// State of the ticket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceTicketStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of entries in `spec.actions` that the operator has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_actions: Option<i32>,
    /// Phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<TicketPhase>,
    /// Phase before it was suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_phase: Option<TicketPhase>,
    /// Time of the suspension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_time: Option<Time>,
    /// Incident: phase in which it goes on if one of its alerts fires again within ten minutes after they closed it. Absent if a person ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_phase: Option<TicketPhase>,
    /// Result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// Priority, from impact and urgency. It rises when a graver alert joins the incident, and never falls by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Assignee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Change: digest of the compiled work. Approvals with another digest do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// Change: class in force. Normal for a Standard change that does not keep within its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_class: Option<ChangeClass>,
    /// Standard change: its template, as it was when the ticket was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PinnedTemplate>,
    /// Change: approvals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalCounts>,
    /// Change: earliest start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Time>,
    /// Start of the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// End time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Change: phase of the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_phase: Option<RunPhase>,
    /// Change: index of the first entry of `spec.actions` that belongs to the current work, starting at 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_first_action: Option<i32>,
    /// Change: number of steps by state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepCounts>,
    /// Change: running steps, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub current_steps: Vec<CurrentStep>,
    /// Change: progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<RunProgress>,
    /// Change: location of the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReference>,
    /// Change: Backups taken before the work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<String>,
    /// Change: silences during the work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<Silence>,
    /// Incident: its alerts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["fingerprint"]))]
    pub alerts: Vec<TicketAlert>,
    /// Incident: number of alerts of its group that Alertmanager left out of its post (`max_alerts`) and that the operator could not read from
    /// its API, or that are above 1000. The incident does not close by itself before a post lists all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated_alerts: Option<i32>,
    /// Deadlines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub clocks: Vec<TicketClock>,
    /// State of the escalation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Messages to people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["person", "channel"]))]
    pub notifications: Vec<TicketNotification>,
    /// When the operator read each entry of `spec.actions`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["index"]))]
    pub action_times: Vec<ActionTime>,
    /// Rejected actions, the newest 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_actions: Vec<RefusedAction>,
    /// Succeeded, Approved, DrainSafe, Blocked, WithinClocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
