//! MaintenanceWindow: when changes may be made, and when not.

use super::super::common::{Condition, Duration, LocalizedText, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When changes may be made in a district, and when not. One in the operator's namespace holds for every district.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "MaintenanceWindow",
    derive = "PartialEq",
    namespaced,
    status = "MaintenanceWindowStatus",
    shortname = "mwin",
    category = "p861",
    printcolumn(name = "Open", type_ = "string", json_path = ".status.conditions[?(@.type=='Open')].status"),
    printcolumn(name = "Opens", type_ = "string", json_path = ".status.nextOpenTime"),
    printcolumn(name = "Closes", type_ = "string", json_path = ".status.nextCloseTime"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Open')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.recurrences) || has(self.dates) || has(self.freezes)").message("give recurrences or dates when it is open, or freezes when nothing may change")
)]
pub struct MaintenanceWindowSpec {
    /// IANA time zone of its schedules; the district's when absent, Asia/Shanghai for a city-wide window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Which changes it is for. Emergency changes need no window.
    #[serde(default = "default_classes")]
    #[schemars(length(min = 1, max = 3))]
    pub change_classes: Vec<ChangeClass>,
    /// When it opens, again and again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub recurrences: Vec<Recurrence>,
    /// When it is open once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub dates: Vec<OpenDate>,
    /// When nothing may change. Stronger than every window of the district, whoever's window it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub freezes: Vec<Freeze>,
}

fn default_classes() -> Vec<ChangeClass> {
    vec![ChangeClass::Standard, ChangeClass::Normal]
}

/// How a change came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ChangeClass {
    /// Approved once for all: well known, small risk.
    Standard,
    /// Planned and approved one by one.
    Normal,
    /// It can't wait for a window.
    Emergency,
}

impl std::fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Opens by a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recurrence {
    /// Five cron fields, in the window's time zone.
    #[schemars(regex(pattern = r"^[^ ]+( [^ ]+){4}$"), length(max = 128))]
    pub schedule: String,
    /// How long it stays open: elapsed time, also where clocks are put forward or back meanwhile.
    pub duration: Duration,
}

/// Open once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startTime < self.endTime").message("startTime is before endTime"))]
pub struct OpenDate {
    /// From then on.
    pub start_time: Time,
    /// Until then, exclusive.
    pub end_time: Time,
}

/// Nothing may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startTime < self.endTime").message("startTime is before endTime"))]
pub struct Freeze {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// From then on.
    pub start_time: Time,
    /// Until then, exclusive.
    pub end_time: Time,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<LocalizedText>,
    /// Changes that may be made all the same.
    #[serde(default = "default_except")]
    #[schemars(length(max = 3))]
    pub except: Vec<ChangeClass>,
}

fn default_except() -> Vec<ChangeClass> {
    vec![ChangeClass::Emergency]
}

/// When it opens next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceWindowStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When it opens next; absent while it is open, or if it never opens again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_open_time: Option<Time>,
    /// When it closes after that; absent if no end is in sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_close_time: Option<Time>,
    /// Open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
