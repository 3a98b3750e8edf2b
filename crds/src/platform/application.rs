//! Application: what a department runs, and how it is started, saved, proven and reached.

pub use super::check::{Check, ConditionCheck, ExecCheck, HttpCheck, TcpCheck};

use super::super::common::{Condition, ContainerCommand, Duration, LocalizedText, ObjectReference, Time, WorkloadReference};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An application of a department.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Application",
    derive = "PartialEq",
    namespaced,
    status = "ApplicationStatus",
    shortname = "papp",
    category = "p861",
    validation = Rule::new("self.metadata.name.size() <= 40 && self.spec.namespaces.all(n, n.size() <= 47)").message("an application's name has at most 40 characters and its namespaces at most 47: a drill appends --drill-<id>"),
    printcolumn(name = "Department", type_ = "string", json_path = ".spec.department"),
    printcolumn(name = "Site", type_ = "string", json_path = ".status.activeSite"),
    printcolumn(name = "Healthy", type_ = "string", json_path = ".status.conditions[?(@.type=='Healthy')].status"),
    printcolumn(name = "Protected", type_ = "string", json_path = ".status.conditions[?(@.type=='Protected')].status"),
    printcolumn(name = "Recoverable", type_ = "string", json_path = ".status.conditions[?(@.type=='Recoverable')].status"),
    printcolumn(name = "Failover", type_ = "string", json_path = ".status.conditions[?(@.type=='ReadyToFailover')].status"),
    printcolumn(name = "Last-Backup", type_ = "date", json_path = ".status.lastBackup.recoveryPointTime"),
    printcolumn(name = "Policy", type_ = "string", json_path = ".status.backupPolicy", priority = 1),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.recoveryPlan", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSpec {
    /// Names for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<LocalizedText>,
    /// Department of the district that owns it.
    #[schemars(length(min = 1, max = 63))]
    pub department: String,
    /// Built once for all departments, or one department's own.
    #[serde(default)]
    pub sharing: Sharing,
    /// Item of the profile that it provides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub profile_item: Option<String>,
    /// What its objectives are where it states none.
    #[serde(default)]
    pub criticality: Criticality,
    /// Objectives over the criticality's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<ApplicationObjectives>,
    /// Namespaces on the site; the first is meant wherever a field names none.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Started in this order, each when the one before is ready. What is not listed starts last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tiers: Vec<Tier>,
    /// Data that is dumped by a command and restored into the running container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub streams: Vec<Stream>,
    /// How claims are saved; claims that no entry matches are saved as files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub volumes: Vec<VolumeRule>,
    /// Objects left out of backups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub exclude: Vec<ObjectSelector>,
    /// Commands around a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Proves the recovery point by data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<Marker>,
    /// What must hold for the application to be called healthy, or recovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub checks: Vec<Check>,
    /// Names under which people reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub entrypoints: Vec<Entrypoint>,
    /// How a copy in a drill or verification differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// The backup policy; the one with `defaultFor` its criticality when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_policy_ref: Option<ObjectReference>,
}

/// Built once for all, or one department's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Sharing {
    /// Built once, given to every department.
    Common,
    /// One department's own.
    #[default]
    Specific,
}

/// How much depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Criticality {
    /// RTO 30m, RPO 15m where nothing else is said.
    Critical,
    /// RTO 4h, RPO 4h.
    Important,
    /// RTO 24h, RPO 24h.
    #[default]
    Ordinary,
}

/// Objectives of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationObjectives {
    /// Longest time from the declared start until it serves again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// Longest stretch of data that may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Duration>,
    /// Level of GB/T 20988, 1 to 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 6))]
    pub recovery_level: Option<i32>,
}

/// Workloads that start together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Name, unique in the application.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its workloads.
    #[schemars(length(min = 1, max = 64))]
    pub workload_refs: Vec<WorkloadReference>,
}

/// Data that is dumped by a command on standard output and restored by one on standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name, unique in the application.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The workload; one ready pod of it is used.
    pub workload_ref: WorkloadReference,
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Writes the data to standard output.
    #[schemars(length(min = 1, max = 64))]
    pub dump: Vec<String>,
    /// Reads the data from standard input.
    #[schemars(length(min = 1, max = 64))]
    pub restore: Vec<String>,
}

/// How a claim is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumeMethod {
    /// A volume snapshot is taken and read.
    Snapshot,
    /// The files are read where they are.
    #[default]
    Files,
    /// Not saved; comes back empty.
    Skip,
}

/// Method for the claims that a name or pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeRule {
    /// Claim name; `*` stands for any characters.
    #[schemars(length(min = 1, max = 253))]
    pub claim: String,
    /// How it is saved.
    #[serde(default)]
    pub method: VolumeMethod,
}

/// Names an object or all of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectSelector {
    /// API group; the core group when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name; all of the kind when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Commands around a backup. Resume also runs when the backup fails, when its mover dies, and at the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hooks {
    /// Longest time between quiesce and resume.
    #[serde(default = "default_hook_deadline")]
    pub deadline: Duration,
    /// Makes the application hold still.
    pub quiesce: ContainerCommand,
    /// Lets it go on.
    pub resume: ContainerCommand,
}

fn default_hook_deadline() -> Duration {
    "60s".into()
}

/// A time is written into the data once a period; read in the recovered copy, it proves the recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.write.exists(w, w.contains('$(MARKER)'))").message("write must contain $(MARKER), which is replaced by the time to write"))]
pub struct Marker {
    /// The workload; one ready pod of it is used.
    pub workload_ref: WorkloadReference,
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How often it is written.
    #[serde(default = "default_marker_period")]
    pub period: Duration,
    /// Writes `$(MARKER)`, an RFC 3339 time, into the data. A backup may be taken at that very moment: a database's transaction is whole then, a file must be
    /// written beside and renamed.
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub write: Vec<String>,
    /// Prints the newest time written.
    #[schemars(length(min = 1, max = 64))]
    pub read: Vec<String>,
}

fn default_marker_period() -> Duration {
    "1m".into()
}

/// A name under which people reach the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entrypoint {
    /// Name, unique in the application.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// DNS name.
    pub hostname: String,
    /// The Service behind it.
    pub service_name: String,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The platform's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Path that must answer.
    #[serde(default = "super::check::default_path")]
    pub path: String,
}

/// Whether CronJobs of a copy run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CronJobsInCopy {
    /// They are suspended.
    #[default]
    Suspend,
    /// They run.
    Run,
}

/// How a copy in a drill or verification differs from the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Isolation {
    /// Networks (CIDR) that the copy may reach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow_egress: Vec<String>,
    /// CronJobs of the copy.
    pub cron_jobs: CronJobsInCopy,
}

/// A backup named in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSummary {
    /// The Backup.
    pub name: String,
    /// What was written up to here is in it.
    pub recovery_point_time: Time,
}

/// The newest backup known good at a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBackup {
    /// The level.
    pub level: super::super::protection::backup::VerificationLevel,
    /// The Backup.
    pub backup: String,
    /// When it was proven.
    pub verified_time: Time,
}

/// A drill named in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillSummary {
    /// The Drill.
    pub name: String,
    /// When it ended.
    pub completion_time: Time,
    /// Measured RTO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// Measured RPO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Duration>,
    /// How the RPO was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_proof: Option<super::super::recovery::drill::RpoProof>,
}

/// What is known of the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_site: Option<String>,
    /// Objectives in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectives: Option<ApplicationObjectives>,
    /// Backup policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<String>,
    /// The newest backup that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<BackupSummary>,
    /// The newest backup known good at each level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["level"]))]
    pub verified: Vec<VerifiedBackup>,
    /// The plan that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_plan: Option<String>,
    /// The newest drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<DrillSummary>,
    /// Ready, Healthy, Protected, Recoverable, ReadyToFailover.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl ApplicationSpec {
    /// Every workload that it names: of tiers, streams, hooks, marker and checks. One may come more than once.
    pub fn workload_refs(&self) -> impl Iterator<Item = &WorkloadReference> {
        let hooks = self.hooks.iter().flat_map(|hooks| [&hooks.quiesce.workload_ref, &hooks.resume.workload_ref]);
        let tiers = self.tiers.iter().flat_map(|tier| &tier.workload_refs);
        let streams = self.streams.iter().map(|stream| &stream.workload_ref);
        tiers.chain(streams).chain(self.marker.iter().map(|marker| &marker.workload_ref)).chain(hooks).chain(self.checks.iter().filter_map(Check::workload_ref))
    }
}
