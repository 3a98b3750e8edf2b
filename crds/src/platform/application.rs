//! Application: what a department runs, and how it is started, saved, proven and reached.

pub use super::check::{Check, ConditionCheck, ExecCheck, HttpCheck, TcpCheck};

use super::super::common::{Condition, ContainerCommand, Duration, LocalizedText, ObjectReference, Time, WorkloadReference};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    validation = Rule::new("!has(self.spec.isolation) || !has(self.spec.isolation.allowEgress) || self.spec.isolation.allowEgress.all(e, isCIDR(e) || e.matches('^([*][.])?([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])+[a-z]([-a-z0-9]*[a-z0-9])?$'))").message("allowEgress: write a network, for example 10.20.3.7/32, or a DNS name, for example ldap.city.example or *.city.example"),
    printcolumn(name = "Department", type_ = "string", json_path = ".spec.department"),
    printcolumn(name = "Site", type_ = "string", json_path = ".status.activeSite"),
    printcolumn(name = "Healthy", type_ = "string", json_path = ".status.conditions[?(@.type=='Healthy')].status"),
    printcolumn(name = "Protected", type_ = "string", json_path = ".status.conditions[?(@.type=='Protected')].status"),
    printcolumn(name = "Recoverable", type_ = "string", json_path = ".status.conditions[?(@.type=='Recoverable')].status"),
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
    /// Shared by all departments, or specific to one department.
    #[serde(default)]
    pub sharing: Sharing,
    /// Item of the profile that it implements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub profile_item: Option<String>,
    /// Determines the default objectives.
    #[serde(default)]
    pub criticality: Criticality,
    /// Objectives that override those of the criticality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<ApplicationObjectives>,
    /// Namespaces on the site. Fields without a namespace mean the first.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Start order: a tier starts when the one before it is ready. Workloads in no tier start last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tiers: Vec<Tier>,
    /// Data that a command dumps, and another command restores into the running container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub streams: Vec<Stream>,
    /// How to save claims. Claims that match no entry are read from a volume snapshot where their storage can take one, otherwise as files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub volumes: Vec<VolumeRule>,
    /// Cluster-scoped objects that it needs: its CustomResourceDefinitions, ClusterRoles, ClusterRoleBindings, PriorityClasses, webhook configurations,
    /// PersistentVolumes and classes. They are saved with it and restored before everything else (webhook configurations after it). The site's administrator
    /// permits them by name, with the chart's value `site.clusterResources`. A copy in a drill gets only CustomResourceDefinitions that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub cluster_resources: Vec<ClusterResource>,
    /// Objects left out of backups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub exclude: Vec<ObjectSelector>,
    /// Commands to run before and after a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Proves the recovery point from the data itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<Marker>,
    /// Checks that must pass for the application to count as healthy or recovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub checks: Vec<Check>,
    /// DNS names through which users reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub entrypoints: Vec<Entrypoint>,
    /// How a copy in a drill or verification differs from the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Backup policy; when absent, the one whose `defaultFor` lists its criticality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_policy_ref: Option<ObjectReference>,
}

/// Shared by all departments, or specific to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Sharing {
    /// Built once for all departments.
    Common,
    /// Specific to one department.
    #[default]
    Specific,
}

/// How important it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Criticality {
    /// Default RTO 30m, RPO 15m.
    Critical,
    /// Default RTO 4h, RPO 4h.
    Important,
    /// Default RTO 24h, RPO 24h.
    #[default]
    Ordinary,
}

/// Objectives of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationObjectives {
    /// Maximum time from the declared start until it is in service again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// Maximum age of lost data.
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
    /// Name, unique within the application.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its workloads.
    #[schemars(length(min = 1, max = 64))]
    pub workload_refs: Vec<WorkloadReference>,
}

/// Data that a command dumps to standard output, and another restores from standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name, unique within the application.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The workload; the operator uses one of its ready pods.
    pub workload_ref: WorkloadReference,
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub container: Option<String>,
    /// Writes the data to standard output.
    #[schemars(length(min = 1, max = 64), inner(length(max = 8192)))]
    pub dump: Vec<String>,
    /// Reads the data from standard input.
    #[schemars(length(min = 1, max = 64), inner(length(max = 8192)))]
    pub restore: Vec<String>,
}

/// How to save a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumeMethod {
    /// Takes a CSI volume snapshot and reads that. The backup is refused where none can be taken.
    Snapshot,
    /// Reads the files in the mounted volume.
    #[default]
    Files,
    /// Not saved; empty after a restore.
    Skip,
}

/// Method for the claims whose name matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeRule {
    /// Claim name; `*` matches any characters.
    #[schemars(length(min = 1, max = 253))]
    pub claim: String,
    /// Method.
    #[serde(default)]
    pub method: VolumeMethod,
}

/// A cluster-scoped object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterResource {
    /// API group; the core group when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Selects one object, or all objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectSelector {
    /// API group; the core group when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name; all objects of the kind when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
}

/// Commands to run before and after a backup. `resume` also runs when the backup fails, when its mover dies, and at the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hooks {
    /// Maximum time between `quiesce` and `resume`.
    #[serde(default = "default_hook_deadline")]
    pub deadline: Duration,
    /// Pauses the application's writes.
    pub quiesce: ContainerCommand,
    /// Resumes the application's writes.
    pub resume: ContainerCommand,
}

fn default_hook_deadline() -> Duration {
    "60s".into()
}

/// A time written into the data once per period. Read back from the recovered copy, it proves the recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.write.exists(w, w.contains('$(MARKER)'))").message("write must contain $(MARKER), which is replaced by the time to write"))]
pub struct Marker {
    /// The workload; the operator uses one of its ready pods.
    pub workload_ref: WorkloadReference,
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub container: Option<String>,
    /// How often to write it.
    #[serde(default = "default_marker_period")]
    pub period: Duration,
    /// Writes `$(MARKER)`, an RFC 3339 time, into the data. A backup may read the data at any moment, so write atomically: in a database transaction, or into a new
    /// file that is then renamed.
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub write: Vec<String>,
    /// Prints the newest written time.
    #[schemars(length(min = 1, max = 64), inner(length(max = 8192)))]
    pub read: Vec<String>,
}

fn default_marker_period() -> Duration {
    "1m".into()
}

/// A DNS name through which users reach the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entrypoint {
    /// Name, unique within the application.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// DNS name.
    #[schemars(length(max = 253))]
    pub hostname: String,
    /// The Service behind it.
    #[schemars(length(max = 63))]
    pub service_name: String,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Gateway, by its name in the Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub gateway: Option<String>,
    /// HTTP path that must answer.
    #[serde(default = "super::check::default_path")]
    #[schemars(length(max = 2048))]
    pub path: String,
}

/// Whether CronJobs of a copy run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CronJobsInCopy {
    /// Suspended.
    #[default]
    Suspend,
    /// Running.
    Run,
}

/// How a copy in a drill or verification differs from the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Isolation {
    /// What the copy may connect to: networks (CIDR), and DNS names that its own DNS answers, as far as they lead into these networks. A name may begin with `*.`.
    /// No other name of the world is answered in a copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub allow_egress: Vec<String>,
    /// Kinds that the copy gets although they may act outside it, for example custom resources whose controller is part of the application. Kubernetes' own kinds
    /// that are harmless in a closed namespace need no entry (docs/SECURITY.md lists them); everything else is left out. Policies of networks can't be added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub kinds: Vec<CopyKind>,
    /// What happens to the copy's CronJobs.
    pub cron_jobs: CronJobsInCopy,
    /// Changes to objects of the copy, made before it is closed and stopped. One that matches nothing is named in the drill's report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub patches: Vec<CopyPatch>,
}

/// A kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct CopyKind {
    /// API group; the core group when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
}

/// A change to objects of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CopyPatch {
    /// Objects to change.
    pub target: ObjectSelector,
    /// Merge patch. In core, apps and batch kinds, lists of containers, variables, volumes and ports merge by their keys, and `$patch: delete` takes an entry out, as
    /// with `kubectl patch`; elsewhere a list is replaced. It may not touch what an object is, where it is and whose.
    #[schemars(schema_with = "any_object")]
    pub patch: Map<String, Value>,
}

/// An object with any fields.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A backup named in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSummary {
    /// The Backup.
    pub name: String,
    /// Recovery point: the backup contains all data written before this time.
    pub recovery_point_time: Time,
}

/// A restore that ended half way, in an application's own namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HalfRestored {
    /// The Restore.
    pub restore: String,
    /// When it ended.
    pub time: Time,
}

/// The newest backup that reached a verification level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBackup {
    /// The level.
    pub level: super::super::protection::backup::VerificationLevel,
    /// The Backup.
    pub backup: String,
    /// When it reached the level.
    pub verified_time: Time,
}

/// A drill named in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillSummary {
    /// The Drill.
    pub name: String,
    /// End time.
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

/// Observed state of the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The site where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_site: Option<String>,
    /// Objectives in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectives: Option<ApplicationObjectives>,
    /// Backup policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<String>,
    /// When its policy takes the next backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_backup_time: Option<Time>,
    /// The newest successful backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<BackupSummary>,
    /// The restore that ended half way and since which nothing has made the data whole. Backups that are taken meanwhile are restored only if they are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_restored: Option<HalfRestored>,
    /// The newest backup of each verification level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["level"]))]
    pub verified: Vec<VerifiedBackup>,
    /// The plan that contains it.
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
