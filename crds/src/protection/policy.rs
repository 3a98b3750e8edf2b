//! BackupPolicy: when applications are backed up, how long their backups are kept, and how they are proven.

use super::{
    super::{
        common::{Condition, Duration, HistoryLimits, ObjectReference, Quantity, Time},
        platform::application::{Criticality, VolumeMethod},
    },
    backup::VerificationLevel,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Backs up applications by a schedule. An application without `backupPolicyRef` has the policy whose `defaultFor` lists its criticality.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "BackupPolicy",
    plural = "backuppolicies",
    derive = "PartialEq",
    namespaced,
    status = "BackupPolicyStatus",
    shortname = "bpol",
    category = "p861",
    validation = Rule::new("self.metadata.name.size() <= 63").message("a policy's name has at most 63 characters: its backups carry it as a label"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Repository", type_ = "string", json_path = ".spec.repositoryRef.name"),
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.verification.level"),
    printcolumn(name = "Max-Age", type_ = "string", json_path = ".spec.verification.maxAge"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextSlotTime", priority = 1),
    printcolumn(name = "Applications", type_ = "integer", json_path = ".status.applications", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.state != 'Suspended' || has(self.suspension)").message("say why no backups are taken, and until when: add suspension: {reason: \"why\", endTime: \"2026-12-01T00:00:00+08:00\"}"),
    validation = Rule::new("!has(self.suspension) || self.state == 'Suspended'").message("suspension belongs to state: Suspended: remove it, or suspend the policy")
)]
pub struct BackupPolicySpec {
    /// The repository of its backups.
    pub repository_ref: ObjectReference,
    /// Applications of these criticalities that name no policy have this one. Of two policies that list one criticality the older has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub default_for: Vec<Criticality>,
    /// When backups begin: five cron fields, in the district's time zone. Where clocks are put forward, what would fall into the hour that is left out begins at its
    /// end; where they are put back, a single time of day comes once, and what repeats within the hour comes in both.
    #[schemars(regex(pattern = r"^[^ ]+( [^ ]+){4}$"), length(max = 128))]
    pub schedule: String,
    /// Whether it takes backups.
    #[serde(default)]
    pub state: PolicyState,
    /// Why it takes none, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Suspension>,
    /// Backups of different applications begin within this time after the schedule, each application's always at the same distance; a tenth of the schedule's shortest
    /// period when absent, at most 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// How claims are saved that `spec.volumes` of the Application doesn't name. Snapshot falls back to Files where no snapshot can be taken.
    #[serde(default = "default_volume_method")]
    pub volume_method: VolumeMethod,
    /// A backup that has not begun within this time counts as missed. It is made up for once, as soon as it can be, unless the next one is due by then.
    #[serde(default = "default_starting_deadline")]
    pub starting_deadline: Duration,
    /// Which snapshots stay in the repository; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// How its backups are proven, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationPolicy>,
    /// How many ended Backups of each application stay as objects on the hub, the newest of each verification level besides; as `spec.history` of the District when absent.
    /// Snapshots are governed by `retention` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryLimits>,
    /// How much its backups may take at once.
    #[serde(default)]
    pub limits: PolicyLimits,
}

fn default_volume_method() -> VolumeMethod {
    VolumeMethod::Snapshot
}

fn default_starting_deadline() -> Duration {
    "10m".into()
}

/// Whether a policy takes backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyState {
    /// It does.
    #[default]
    Active,
    /// It takes none, until `suspension.endTime` if that is given.
    Suspended,
}

/// Why a policy takes no backups, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suspension {
    /// Why.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// From then on it takes backups again, although `state` still says Suspended. What would have been taken meanwhile is not made up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
}

/// Which snapshots stay: those that one of these rules keeps. The newest of each verification level stays whatever they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.last) || has(self.hourly) || has(self.daily) || has(self.weekly) || has(self.monthly) || has(self.yearly)").message("say what is kept, for example retention: {last: 12, daily: 30}; without retention everything is kept")
)]
pub struct Retention {
    /// The newest, so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub last: Option<u32>,
    /// The newest of each hour, for so many hours that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub hourly: Option<u32>,
    /// The newest of each day, for so many days that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub daily: Option<u32>,
    /// The newest of each week, for so many weeks that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub weekly: Option<u32>,
    /// The newest of each month, for so many months that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub monthly: Option<u32>,
    /// The newest of each year, for so many years that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub yearly: Option<u32>,
}

/// How backups are proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationPolicy {
    /// How far: Probed is the only level that makes an application recoverable.
    #[serde(default = "default_level")]
    pub level: VerificationLevel,
    /// When: five cron fields, in the district's time zone.
    #[schemars(regex(pattern = r"^[^ ]+( [^ ]+){4}$"), length(max = 128))]
    pub schedule: String,
    /// An older proof is none.
    pub max_age: Duration,
    /// Where backups are restored for it; the standby when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<ObjectReference>,
}

fn default_level() -> VerificationLevel {
    VerificationLevel::Probed
}

/// How much the backups of a policy may take at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyLimits {
    /// Backups of it that are under way at once. The district, the repository and the site have limits of their own.
    #[schemars(range(min = 1, max = 256))]
    pub backups: i32,
    /// Bytes that its movers upload per second, all together; at least 16Ki.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_bytes_per_second: Option<Quantity>,
    /// Hours with another limit. Of several that hold at once the first does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hours: Vec<UploadHours>,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self { backups: 4, upload_bytes_per_second: None, hours: Vec::new() }
    }
}

/// Hours of the day with an upload limit of their own, in the district's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.start != self.end").message("start and end of hours must differ; a limit for the whole day is uploadBytesPerSecond beside hours"))]
pub struct UploadHours {
    /// First minute.
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"), length(max = 5))]
    pub start: String,
    /// The minute after the last; before `start` if they last over midnight.
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"), length(max = 5))]
    pub end: String,
    /// Bytes per second, all movers together; at least 16Ki.
    pub upload_bytes_per_second: Quantity,
}

/// A backup that is due and has not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingSlot {
    /// The Application.
    pub application: String,
    /// When the schedule has it begin.
    pub slot_time: Time,
    /// Why it has not begun, in one word.
    pub reason: String,
    /// Why, and what to do.
    pub message: String,
}

/// Backups that did not begin in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissedSlots {
    /// How many, since `activeSince`.
    pub slots: i64,
    /// The newest of them.
    pub last_slot_time: Time,
    /// Whose it was.
    pub application: String,
    /// Why, in one word; NotYet if nobody was there who could have known.
    pub reason: String,
}

/// How the policy stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupPolicyStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Since when its schedule is in force: what lies before is not made up for. Absent while it is suspended or invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// The schedule that is in force, with its time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_schedule: Option<String>,
    /// Number of applications that it holds for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applications: Option<i32>,
    /// When the next backup begins, its application's jitter included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_slot_time: Option<Time>,
    /// The newest time of the schedule for which a backup was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_slot_time: Option<Time>,
    /// Number of backups that are due and have not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_slots: Option<i32>,
    /// The first of them, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["application"]))]
    pub waiting: Vec<WaitingSlot>,
    /// Backups that did not begin in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedSlots>,
    /// Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
