//! DutyRoster: who is on duty, when, and who is called after whom.

use super::super::common::{Condition, Duration, ObjectReference, Time};
use super::ticket::Priority;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is on duty in a district, and how fast incidents must be acknowledged and resolved. A roster in the operator's namespace applies to the whole hub.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "DutyRoster",
    derive = "PartialEq",
    namespaced,
    status = "DutyRosterStatus",
    shortname = "roster",
    category = "p861",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "On-Duty", type_ = "string", json_path = ".status.current[0].person"),
    printcolumn(name = "Until", type_ = "string", json_path = ".status.current[0].untilTime"),
    printcolumn(name = "Alerts", type_ = "string", json_path = ".status.conditions[?(@.type=='AlertsArrive')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DutyRosterSpec {
    /// IANA time zone of its times; the district's when absent, Asia/Shanghai for a hub-wide roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Everybody on the roster.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub people: Vec<Person>,
    /// Secret in the same namespace with people's addresses: keys `<person>.mail`, `<person>.phone`. Only the notifier reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses_secret_ref: Option<ObjectReference>,
    /// Channels for messages. Everybody gets each message on every channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub channels: Vec<Channel>,
    /// Time of the daily test message to everybody, for example "09:00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"), length(max = 5))]
    pub test_message_at: Option<String>,
    /// Escalation levels. The first is called at once, each next one if the previous has not acknowledged.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub levels: Vec<DutyLevel>,
    /// Temporary substitutions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub overrides: Vec<Override>,
    /// Time limits for acknowledging, resolving and reporting an incident.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["priority"]))]
    pub clocks: Vec<PriorityClock>,
    /// Heartbeat: an alert that always fires. If it stops arriving, alerts no longer arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// Hand-overs; append only.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = Rule::new("size(self) >= size(oldSelf) && oldSelf.all(i, a, self[i] == a)").message("actions are appended, never changed or removed"))]
    pub actions: Vec<DutyAction>,
}

/// A person on the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!self.name.matches('[[:cntrl:]]')").message("a name is one line, without control characters"))]
pub struct Person {
    /// Name on the roster.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// User name at the API server; the name on the roster when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub username: Option<String>,
}

/// A channel for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.webhook) != has(self.smtp)").message("give exactly one of webhook and smtp"))]
pub struct Channel {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// A webhook: a server that accepts JSON and calls or writes to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookChannel>,
    /// A mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpChannel>,
}

/// A webhook that accepts JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookChannel {
    /// Secret with `url`, and with `ca.crt` if the server uses a private CA.
    pub url_secret_ref: ObjectReference,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.server.matches('^[A-Za-z0-9._-]+:[0-9]{1,5}$')").message("server is a host name or an IPv4 address, and a port: mail.example:465"),
    validation = Rule::new("self.from.matches('^[A-Za-z0-9!#$%&*+/=?^_{|}~.-]+@[A-Za-z0-9.-]+$')").message("from is a bare mail address: name@host.example")
)]
pub struct SmtpChannel {
    /// Its `host:port`.
    #[schemars(length(max = 259))]
    pub server: String,
    /// Sender address.
    #[schemars(length(min = 3, max = 320))]
    pub from: String,
    /// Secret with `username` and `password`, and with `ca.crt` if the server uses a private CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<ObjectReference>,
    /// Encryption of the connection.
    #[serde(default)]
    pub security: SmtpSecurity,
}

/// Encryption of the connection to a mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SmtpSecurity {
    /// TLS from the first byte (port 465).
    #[default]
    Tls,
    /// STARTTLS, required (port 587).
    StartTls,
    /// No encryption: only for a server on the same machine.
    None,
}

/// An escalation level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DutyLevel {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Time until the next level is called; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_after: Option<Duration>,
    /// Rotations. The first one that is active at a moment decides.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rotations: Vec<Rotation>,
}

/// A rotation: people who take turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.start) == has(self.end)").message("give start and end, or neither for the whole day"),
    validation = Rule::new("size(self.people) == 1 || has(self.startDate)").message("a rotation of several people needs a startDate")
)]
pub struct Rotation {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Start of a shift, for example "08:00"; midnight when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"), length(max = 5))]
    pub start: Option<String>,
    /// End of a shift; on the next day if not after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"), length(max = 5))]
    pub end: Option<String>,
    /// Day of the first shift, for example "2026-11-23".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), length(max = 10))]
    pub start_date: Option<String>,
    /// Days per person.
    #[serde(default = "default_turn_days")]
    #[schemars(range(min = 1, max = 366))]
    pub turn_days: i32,
    /// People, in order.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub people: Vec<String>,
}

fn default_turn_days() -> i32 {
    1
}

/// A substitution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startTime < self.endTime").message("startTime must be before endTime"))]
pub struct Override {
    /// Start.
    pub start_time: Time,
    /// End, exclusive.
    pub end_time: Time,
    /// The absent person.
    #[schemars(length(min = 1, max = 63))]
    pub person: String,
    /// The substitute.
    #[schemars(length(min = 1, max = 63))]
    pub substitute: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// Time limits for acknowledging, resolving and reporting an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriorityClock {
    /// Priority.
    pub priority: Priority,
    /// Time until acknowledged (default P1 5m, P2 15m, P3 30m, P4 2h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Duration>,
    /// Time until resolved (default P1 4h, P2 8h, P3 24h, P4 72h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Duration>,
    /// Time until reported to the authority (default P1 4h, others never).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Duration>,
}

/// An alert that always fires. It opens no incident if it is the roster's own: in a district's roster an alert that has the district in its label `district`, in
/// the city's roster any other, and those of districts without a roster. (An alert with `severity: none` opens no incident anyway.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Its name.
    #[schemars(length(min = 1, max = 128))]
    pub alert_name: String,
    /// Maximum time without a heartbeat.
    #[serde(default = "default_silence")]
    pub max_silence: Duration,
}

fn default_silence() -> Duration {
    "5m".into()
}

/// Actions of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DutyActionKind {
    /// Give: the person going off duty hands over.
    HandOver,
    /// Take: the person coming on duty accepts.
    TakeOver,
}

/// One entry of `spec.actions`: appended, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DutyAction {
    /// The action.
    pub action: DutyActionKind,
    /// Notes for the next person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub note: Option<String>,
    /// Author. Admission fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
}

/// Who is on duty now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DutyRosterStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of entries in `spec.actions` that the operator has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_actions: Option<i32>,
    /// Who is on duty, for each level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["level"]))]
    pub current: Vec<OnDuty>,
    /// The newest hand-over. Until it is accepted, both people are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_hand_over: Option<HandOver>,
    /// The newest test message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_test: Option<TestMessage>,
    /// Ready, AlertsArrive, PeopleReachable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A test message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestMessage {
    /// Scheduled time.
    pub time: Time,
    /// Number of deliveries; absent while pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<i32>,
    /// Number of messages.
    pub total: i32,
}

/// Who is on duty on a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnDuty {
    /// The level.
    pub level: String,
    /// The person; absent if nobody is on duty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The previous person, who is also called until the hand-over is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<String>,
    /// End.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_time: Option<Time>,
}

/// A hand-over from the person going off duty to the person coming on duty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HandOver {
    /// The person going off duty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The person coming on duty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// When it was offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_time: Option<Time>,
    /// When it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_time: Option<Time>,
    /// Notes for the person coming on duty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
