//! MaintenanceWindow: when changes may be made, and when not.

use super::super::common::{Condition, Duration, LocalizedText, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When changes are allowed in a district. A window in the operator's namespace applies to every district.
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
    validation = Rule::new("has(self.recurrences) || has(self.dates) || has(self.freezes)").message("give recurrences or dates for when it is open, or freezes for when it is not")
)]
pub struct MaintenanceWindowSpec {
    /// IANA time zone of its schedules; the district's when absent, Asia/Shanghai for a hub-wide window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Classes of changes that it allows. Emergency changes need no window.
    #[serde(default = "default_classes")]
    #[schemars(length(min = 1, max = 3))]
    pub change_classes: Vec<ChangeClass>,
    /// Recurring openings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub recurrences: Vec<Recurrence>,
    /// Single openings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub dates: Vec<OpenDate>,
    /// Freezes: no change may start. A freeze overrides every window of the district.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub freezes: Vec<Freeze>,
}

fn default_classes() -> Vec<ChangeClass> {
    vec![ChangeClass::Standard, ChangeClass::Normal]
}

/// Class of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ChangeClass {
    /// Pre-approved by a ChangeTemplate: well known and low risk.
    Standard,
    /// Planned and approved individually.
    Normal,
    /// Cannot wait for a window.
    Emergency,
}

impl std::fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// A recurring opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recurrence {
    /// Five cron fields, in the window's time zone.
    #[schemars(regex(pattern = r"^[^ ]+( [^ ]+){4}$"), length(max = 128))]
    pub schedule: String,
    /// How long it stays open: elapsed time, independent of daylight saving changes.
    pub duration: Duration,
}

/// A single opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startTime < self.endTime").message("startTime must be before endTime"))]
pub struct OpenDate {
    /// Start.
    pub start_time: Time,
    /// End, exclusive.
    pub end_time: Time,
}

/// A freeze.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startTime < self.endTime").message("startTime must be before endTime"))]
pub struct Freeze {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Start.
    pub start_time: Time,
    /// End, exclusive.
    pub end_time: Time,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<LocalizedText>,
    /// Classes of changes that are still allowed.
    #[serde(default = "default_except")]
    #[schemars(length(max = 3))]
    pub except: Vec<ChangeClass>,
}

fn default_except() -> Vec<ChangeClass> {
    vec![ChangeClass::Emergency]
}

/// Next opening.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceWindowStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Next opening; absent while the window is open, or if it never opens again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_open_time: Option<Time>,
    /// Next closing; absent if no end is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_close_time: Option<Time>,
    /// Open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
