//! What a change does: its work, what is done before it, and what if it goes wrong.

use super::super::common::{Duration, LocalizedText, ObjectReference};
use super::window::ChangeClass;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change and how to perform it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.class == 'Standard') == has(self.templateRef)").message("a Standard change follows a template that somebody else has published: add templateRef: {name: …}; any other class names none, and needs an approval")
)]
pub struct Change {
    /// Standard (approved once for all by its template), Normal, or Emergency (needs no window).
    pub class: ChangeClass,
    /// Standard: the ChangeTemplate that it follows, of the district or, if it has none of that name, of the operator's namespace. A change that does not keep within
    /// it needs an approval as a Normal one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<ObjectReference>,
    /// Maintenance window; when absent, any window for the change's class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ref: Option<ObjectReference>,
    /// The work.
    pub work: Work,
    /// Expected duration. The change does not start if its window closes sooner. Default: the minimum duration of
    /// its steps, computed from the last backups of the affected applications and from the observation periods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_duration: Option<Duration>,
    /// Backup before the work.
    #[serde(default)]
    pub backup: ChangeBackup,
    /// Alerts to silence during the work.
    #[serde(default)]
    pub silence: ChangeSilence,
    /// The change does not start while one of these alerts fires on an affected object.
    #[serde(default = "default_blocking_alerts")]
    #[schemars(length(max = 8))]
    pub blocking_alerts: Vec<BlockingAlert>,
    /// Description of the work; the newest action Plan replaces it. Without either, manual work waits for the action Plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<LocalizedText>,
    /// What to do on failure.
    #[serde(default)]
    pub rollback: Rollback,
    /// The rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
}

pub(super) fn default_blocking_alerts() -> Vec<BlockingAlert> {
    vec![BlockingAlert { severity: "critical".into() }]
}

/// Backup before a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ChangeBackup {
    /// Back up every affected application.
    #[default]
    Affected,
    /// No backup.
    Skip,
}

/// Alerts to silence during a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ChangeSilence {
    /// Silence the district's alerts of affected applications and sites, and the alerts of a node that is drained.
    #[default]
    Affected,
    /// Silence nothing.
    None,
}

/// The work of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.upgradeComponent), has(self.drainNode), has(self.manual)].filter(w, w).size() == 1").message("name the work: one of upgradeComponent: {component, version}, drainNode: {siteRef, nodeName} and, for work of people, manual: {}")
)]
pub struct Work {
    /// Upgrades a component of the Platform to its declared version, site by site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_component: Option<UpgradeComponent>,
    /// Drains a node for maintenance, and uncordons it afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_node: Option<DrainNode>,
    /// Manual work: people report Start and Done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<Manual>,
}

impl Work {
    /// Whether the operator performs the work, rather than people.
    pub fn by_operator(&self) -> bool {
        self.manual.is_none()
    }
}

/// Installs or upgrades a component from its bundle: on the standby site first, then, after an observation period, on the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeComponent {
    /// Component of the district's Platform.
    #[schemars(length(min = 1, max = 40))]
    pub component: String,
    /// Version; must be the one that the Platform declares. If the Platform declares another one at the start, nothing is done.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// Maximum time until it is healthy on a site.
    #[serde(default = "default_healthy_within")]
    pub healthy_within: Duration,
    /// How long it must stay healthy on a site before the next site follows.
    #[serde(default = "default_watch_for")]
    pub watch_for: Duration,
}

pub(super) fn default_healthy_within() -> Duration {
    "5m".into()
}

pub(super) fn default_watch_for() -> Duration {
    "10m".into()
}

/// Drains a node. The ticket then waits for the action Done, while people work on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainNode {
    /// Site of the node.
    pub site_ref: ObjectReference,
    /// The node.
    #[schemars(length(min = 1, max = 253))]
    pub node_name: String,
    /// Maximum time to drain the node. Disruption budgets are respected. If pods remain after that time, the change fails and the node is uncordoned.
    #[serde(default = "default_drain_deadline")]
    pub deadline: Duration,
    /// Drain pods with `emptyDir` data, too; the data is deleted with them. Without it, such a pod ends the change before anything is done to the node.
    #[serde(default)]
    pub delete_empty_dir_data: bool,
    /// Drain pods without a controller, too; nothing starts them again. Without it, such a pod ends the change before anything is done to the node.
    #[serde(default)]
    pub force: bool,
}

pub(super) fn default_drain_deadline() -> Duration {
    "30m".into()
}

/// Manual work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manual {}

/// Alerts that prevent a change from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockingAlert {
    /// Their label `severity`.
    #[schemars(length(min = 1, max = 63))]
    pub severity: String,
}

/// What to do on failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollback {
    /// Whether it can be rolled back, and who decides.
    #[serde(default)]
    pub policy: RollbackPolicy,
    /// Description of the rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<LocalizedText>,
}

/// Whether a change can be rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RollbackPolicy {
    /// Roll back automatically at the first failure.
    #[default]
    OnFailure,
    /// Roll back when a person requests it.
    Manual,
    /// No rollback.
    Impossible,
}

/// Where a change was rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// The Drill.
    pub drill_ref: ObjectReference,
}
