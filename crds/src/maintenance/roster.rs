//! DutyRoster: who is on duty, when, and who is called after whom.

use super::super::common::{Condition, Duration, ObjectReference, Time};
use super::ticket::Priority;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is on duty in a district, and how fast what happens must be acknowledged and resolved. One in the operator's namespace is the city's.
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
    /// IANA time zone of its times; the district's when absent, Asia/Shanghai for the city's roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Everybody who stands on it.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub people: Vec<Person>,
    /// Secret of the namespace with everybody's addresses: keys `<person>.mail`, `<person>.phone`. Read by the notifier only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses_secret_ref: Option<ObjectReference>,
    /// How people are told; each is told by every channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub channels: Vec<Channel>,
    /// When everybody gets a test message each day, for example "09:00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub test_message_at: Option<String>,
    /// The first is called at once, each next one when the one before has not acknowledged.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub levels: Vec<DutyLevel>,
    /// Who stands in for whom, once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub overrides: Vec<Override>,
    /// Within which times an incident is acknowledged, resolved and reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["priority"]))]
    pub clocks: Vec<PriorityClock>,
    /// An alert that always fires. Silence from it means that alerts no longer arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// The hand-overs; append only.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = Rule::new("size(self) >= size(oldSelf) && oldSelf.all(i, a, self[i] == a)").message("actions are appended, never changed or removed"))]
    pub actions: Vec<DutyAction>,
}

/// Somebody on the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Name on the roster.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Name by which the API server knows them; the name on the roster when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub username: Option<String>,
}

/// A way to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.webhook) != has(self.smtp)").message("give exactly one of webhook and smtp"))]
pub struct Channel {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// A server that takes JSON, and calls or writes to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookChannel>,
    /// A mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpChannel>,
}

/// A server that takes JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookChannel {
    /// Secret with its `url`, and `ca.crt` if its certificate is of an authority of one's own.
    pub url_secret_ref: ObjectReference,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmtpChannel {
    /// Its `host:port`.
    #[schemars(regex(pattern = "^[^:/ ]+:[0-9]{1,5}$"))]
    pub server: String,
    /// Whom mails come from.
    #[schemars(length(min = 3, max = 320))]
    pub from: String,
    /// Secret with `username` and `password`, and `ca.crt` if its certificate is of an authority of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<ObjectReference>,
    /// How the connection is kept private.
    #[serde(default)]
    pub security: SmtpSecurity,
}

/// How a connection to a mail server is kept private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SmtpSecurity {
    /// TLS from the first byte (port 465).
    #[default]
    Tls,
    /// TLS by STARTTLS, never without (port 587).
    StartTls,
    /// Not at all: only for a server on the same machine.
    None,
}

/// Those who are called together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DutyLevel {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The next level is called this long after; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_after: Option<Duration>,
    /// Who is on duty when. The first that holds at a moment decides.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rotations: Vec<Rotation>,
}

/// People who take turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.start) == has(self.end)").message("give start and end, or neither for the whole day"),
    validation = Rule::new("size(self.people) == 1 || has(self.startDate)").message("several people take turns from a startDate on")
)]
pub struct Rotation {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When a shift begins, for example "08:00"; midnight when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: Option<String>,
    /// When it ends; on the next day if that is not after its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub end: Option<String>,
    /// Day of the first shift, for example "2026-11-23".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub start_date: Option<String>,
    /// So many days each.
    #[serde(default = "default_turn_days")]
    #[schemars(range(min = 1, max = 366))]
    pub turn_days: i32,
    /// In their order.
    #[schemars(length(min = 1, max = 64))]
    pub people: Vec<String>,
}

fn default_turn_days() -> i32 {
    1
}

/// Somebody stands in for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startTime < self.endTime").message("startTime is before endTime"))]
pub struct Override {
    /// From then on.
    pub start_time: Time,
    /// Until then, exclusive.
    pub end_time: Time,
    /// Who is away.
    #[schemars(length(min = 1, max = 63))]
    pub person: String,
    /// Who stands in.
    #[schemars(length(min = 1, max = 63))]
    pub substitute: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// Within which times an incident is acknowledged, resolved and reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriorityClock {
    /// Of which priority.
    pub priority: Priority,
    /// Until somebody has it (P1 5m, P2 15m, P3 30m, P4 2h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Duration>,
    /// Until it is over (P1 4h, P2 8h, P3 24h, P4 72h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Duration>,
    /// Until it was reported upwards (P1 4h, others never).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Duration>,
}

/// An alert that always fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Its name.
    #[schemars(length(min = 1, max = 128))]
    pub alert_name: String,
    /// It may be silent for this long.
    #[serde(default = "default_silence")]
    pub max_silence: Duration,
}

fn default_silence() -> Duration {
    "5m".into()
}

/// What people on duty do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DutyActionKind {
    /// The one who leaves: here is what you must know.
    HandOver,
    /// The one who comes: I have it.
    TakeOver,
}

/// One entry of `spec.actions`: appended, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DutyAction {
    /// Which hand is on it.
    pub action: DutyActionKind,
    /// What the next one must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub note: Option<String>,
    /// Who did it. Filled in by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
}

/// Who is on duty now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DutyRosterStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many of `spec.actions` were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_actions: Option<i32>,
    /// Who is on duty, level by level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["level"]))]
    pub current: Vec<OnDuty>,
    /// The newest hand-over. Until it is taken, both are called.
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
    /// When it was due.
    pub time: Time,
    /// To so many it was delivered; absent while it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<i32>,
    /// Of so many.
    pub total: i32,
}

/// Who is on duty in a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnDuty {
    /// The level.
    pub level: String,
    /// The person; absent if nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The one before, who is called too until the duty was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_time: Option<Time>,
}

/// A hand-over: given by the one who leaves, taken by the one who comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HandOver {
    /// Who leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// When it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_time: Option<Time>,
    /// When it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_time: Option<Time>,
    /// What the one who comes must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
