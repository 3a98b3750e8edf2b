//! What a change does: its work, what is done before it, and what if it goes wrong.

use super::super::common::{Duration, LocalizedText, ObjectReference};
use super::window::ChangeClass;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What will be changed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Standard (approved once for all), Normal, or Emergency (needs no window).
    pub class: ChangeClass,
    /// The window; any that is for its class when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ref: Option<ObjectReference>,
    /// The work.
    pub work: Work,
    /// How long it is expected to take. It doesn't start where its window closes sooner. Without it: as long as its steps take at least, by the last backups of
    /// what it affects and by what it watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_duration: Option<Duration>,
    /// What is backed up before it.
    #[serde(default)]
    pub backup: ChangeBackup,
    /// What is silent in Alertmanager exactly as long as it goes on.
    #[serde(default)]
    pub silence: ChangeSilence,
    /// It doesn't start while one of these fires on what it affects.
    #[serde(default = "default_blocking_alerts")]
    #[schemars(length(max = 8))]
    pub blocking_alerts: Vec<BlockingAlert>,
    /// How it is done, in words. Without it, work of people waits for the action Plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<LocalizedText>,
    /// What if it goes wrong.
    #[serde(default)]
    pub rollback: Rollback,
    /// Where it was rehearsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
}

fn default_blocking_alerts() -> Vec<BlockingAlert> {
    vec![BlockingAlert { severity: "critical".into() }]
}

/// Whether a backup is taken first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ChangeBackup {
    /// Of every application that it affects.
    #[default]
    Affected,
    /// None.
    Skip,
}

/// What is silent meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ChangeSilence {
    /// Alerts of the applications and sites that it affects.
    #[default]
    Affected,
    /// Nothing.
    None,
}

/// The work of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.upgradeComponent), has(self.drainNode), has(self.manual)].filter(w, w).size() == 1").message("say what the work is: one of upgradeComponent: {component, version}, drainNode: {siteRef, nodeName} and, for what people do, manual: {}")
)]
pub struct Work {
    /// A component of the Platform is brought to its declared version, site after site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_component: Option<UpgradeComponent>,
    /// A node is emptied for work on it, and takes pods again afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_node: Option<DrainNode>,
    /// People do it; they say Start and Done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<Manual>,
}

impl Work {
    /// Whether the operator does it, or else people.
    pub fn by_operator(&self) -> bool {
        self.manual.is_none()
    }
}

/// A component that is installed or upgraded from its bundle: on the standby site first, which is watched, then on the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeComponent {
    /// The component of the district's Platform.
    #[schemars(length(min = 1, max = 40))]
    pub component: String,
    /// The version: the one that the Platform declares. If it declares another one by then, nothing is done.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// How long it may take on a site until it is healthy.
    #[serde(default = "default_healthy_within")]
    pub healthy_within: Duration,
    /// How long it must stay healthy on a site before the next one follows.
    #[serde(default = "default_watch_for")]
    pub watch_for: Duration,
}

fn default_healthy_within() -> Duration {
    "5m".into()
}

fn default_watch_for() -> Duration {
    "10m".into()
}

/// A node that is emptied. When it is empty the ticket waits for the action Done: what is done to the node is people's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainNode {
    /// Its site.
    pub site_ref: ObjectReference,
    /// The node.
    #[schemars(length(min = 1, max = 253))]
    pub node_name: String,
    /// How long its pods may take to leave. Disruption budgets are respected; what is not gone then ends the work, and the node takes pods again.
    #[serde(default = "default_drain_deadline")]
    pub deadline: Duration,
}

fn default_drain_deadline() -> Duration {
    "30m".into()
}

/// Work of people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manual {}

/// Alerts that keep a change from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockingAlert {
    /// Their label `severity`.
    #[schemars(length(min = 1, max = 63))]
    pub severity: String,
}

/// What if it goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollback {
    /// Whether it can be taken back, and who decides.
    #[serde(default)]
    pub policy: RollbackPolicy,
    /// How, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<LocalizedText>,
}

/// Whether a change can be taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RollbackPolicy {
    /// At the first failure.
    #[default]
    OnFailure,
    /// When a person says so.
    Manual,
    /// Only forward.
    Impossible,
}

/// Where a change was rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// The Drill.
    pub drill_ref: ObjectReference,
}
