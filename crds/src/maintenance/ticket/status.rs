//! A ticket's status: where it stands, its clocks, alerts and messages, and its steps.

use super::{Priority, TicketActionKind};
use crate::common::{Condition, CurrentStep, JournalReference, RunPhase, RunProgress, StepCounts, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a ticket stands, for people. Programs read conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TicketPhase {
    /// Nobody has it yet.
    #[default]
    Open,
    /// Somebody has it.
    Acknowledged,
    /// Change: it is known how it is done.
    Planned,
    /// Change: enough people agreed.
    Approved,
    /// Change: it is known when.
    Scheduled,
    /// Work is under way.
    InProgress,
    /// Work is done; was it good?
    Verifying,
    /// Over.
    Closed,
    /// Nothing happens for now.
    Suspended,
    /// Change: it was taken back.
    RolledBack,
    /// It will not be done.
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

    /// Whether the ticket has ended, unless somebody reopens it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Closed | Self::RolledBack | Self::Cancelled)
    }
}

impl std::fmt::Display for TicketPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// What came of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Resolution {
    /// As wanted.
    Done,
    /// Taken back.
    RolledBack,
    /// Not done.
    Cancelled,
    /// Another ticket has it.
    Duplicate,
    /// It could not be seen again.
    NotReproducible,
}

/// A silence in an Alertmanager. It is extended while the work goes on, ends with it, and by itself soon after if nobody extends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// The site whose Alertmanager it is in.
    pub site: String,
    /// Alertmanager's name of it.
    pub id: String,
    /// When it ends if nobody extends it.
    pub end_time: Time,
}

/// An alert of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketAlert {
    /// Alertmanager's name of it.
    pub fingerprint: String,
    /// Its name.
    pub alert_name: String,
    /// Its label `severity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Whether it fires.
    pub state: AlertState,
    /// Since when.
    pub start_time: Time,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// The Site whose Alertmanager told of it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted_by: Option<String>,
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AlertState {
    /// It fires.
    Firing,
    /// It doesn't any more.
    Resolved,
}

/// A time within which something must be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketClock {
    /// Acknowledge, Resolve or Report.
    pub name: ClockName,
    /// Where it stands.
    pub state: ClockState,
    /// Until when.
    pub due_time: Time,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met_time: Option<Time>,
}

/// What must be done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ClockName {
    /// Somebody has it.
    Acknowledge,
    /// It is over.
    Resolve,
    /// It was reported upwards.
    Report,
}

/// Where a clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClockState {
    /// There is time left.
    Running,
    /// It was done in time.
    Met,
    /// The time is over, and it was not done.
    Overdue,
    /// It was done too late.
    MetLate,
    /// The ticket is suspended.
    Paused,
    /// Nobody waits for it any more.
    Stopped,
}

/// Who is called next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escalation {
    /// The level of the roster that was called last.
    pub level: String,
    /// The one after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_level: Option<String>,
    /// When that one is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_time: Option<Time>,
    /// Whether it goes on.
    pub state: EscalationState,
}

/// Whether an escalation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EscalationState {
    /// The next level is called in time.
    Running,
    /// Somebody has the ticket, or it is over.
    Stopped,
    /// There is nobody above.
    Exhausted,
}

/// A message to a person about a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketNotification {
    /// To whom.
    pub person: String,
    /// By which channel of the roster.
    pub channel: String,
    /// Because of which level.
    pub level: String,
    /// Where it stands.
    pub state: NotificationState,
    /// Since when it stands there.
    pub time: Time,
    /// When it was to be sent.
    pub due_time: Time,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: i32,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_time: Option<Time>,
    /// It was delivered late, and said so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NotificationState {
    /// It is kept, and tried again.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Nobody waits for it any more.
    Dropped,
}

/// How many people agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApprovalCounts {
    /// So many must.
    pub required: i32,
    /// So many did.
    pub given: i32,
    /// Who.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

/// An action that was not possible when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedAction {
    /// Which of `spec.actions`, the first being 0.
    pub index: i32,
    /// What was asked.
    pub action: TicketActionKind,
    /// Why it was not possible, and what to do.
    pub why: String,
}

/// Where a ticket stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceTicketStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many of `spec.actions` were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_actions: Option<i32>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<TicketPhase>,
    /// The phase before it was suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_phase: Option<TicketPhase>,
    /// Since when it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_time: Option<Time>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// By impact and urgency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Change: digest of what will be done. An approval that names another doesn't count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// Change: who agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalCounts>,
    /// Change: when it may start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Time>,
    /// When work began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Change: where the steps of its work stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_phase: Option<RunPhase>,
    /// Change: the first of `spec.actions` that is said to the work's steps, the first being 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_first_action: Option<i32>,
    /// Change: its steps in numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepCounts>,
    /// Change: steps under way; at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub current_steps: Vec<CurrentStep>,
    /// Change: how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<RunProgress>,
    /// Change: where its journal is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReference>,
    /// Change: the Backups that were taken before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<String>,
    /// Change: silences that stand while it goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<Silence>,
    /// Incident: its alerts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["fingerprint"]))]
    pub alerts: Vec<TicketAlert>,
    /// Its clocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub clocks: Vec<TicketClock>,
    /// Who is called next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Who was told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["person", "channel"]))]
    pub notifications: Vec<TicketNotification>,
    /// Actions that were not possible; the newest 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_actions: Vec<RefusedAction>,
    /// Succeeded, Approved, Blocked, WithinClocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
