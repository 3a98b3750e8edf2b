//! BackupRepository: where backups are kept, in restic's format.

use super::{
    super::common::{Condition, ObjectReference, Quantity, Time},
    retention::{EndedRetentionRun, RetentionRun},
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A repository for backups.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "BackupRepository",
    plural = "backuprepositories",
    derive = "PartialEq",
    namespaced,
    status = "BackupRepositoryStatus",
    shortname = "brepo",
    category = "p861",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Checked", type_ = "string", json_path = ".status.conditions[?(@.type=='Checked')].status"),
    printcolumn(name = "OffSite", type_ = "string", json_path = ".status.conditions[?(@.type=='OffSite')].status"),
    printcolumn(name = "Escrow", type_ = "string", json_path = ".status.conditions[?(@.type=='EscrowProven')].status", priority = 1),
    printcolumn(name = "Used", type_ = "string", json_path = ".status.used"),
    printcolumn(name = "Pruned", type_ = "date", json_path = ".status.lastPruneTime", priority = 1),
    printcolumn(name = "Measured", type_ = "date", json_path = ".status.usedTime", priority = 1),
    printcolumn(name = "Capacity", type_ = "string", json_path = ".spec.capacity"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.s3) != has(self.folder)").message("give exactly one of s3 and folder"))]
pub struct BackupRepositorySpec {
    /// Failure domain, as in Site.
    #[schemars(length(min = 1, max = 63))]
    pub failure_domain: String,
    /// A bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Location>,
    /// A folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderLocation>,
    /// The key.
    pub encryption: Encryption,
    /// Maximum size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Quantity>,
    /// How much may be done with it at once.
    #[serde(default)]
    pub limits: RepositoryLimits,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Location {
    /// Base URL.
    #[schemars(regex(pattern = "^https?://[^/]+"), length(max = 1024))]
    pub endpoint: String,
    /// Bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Region.
    #[serde(default = "default_region")]
    #[schemars(length(max = 64))]
    pub region: String,
    /// Path in the bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub prefix: String,
    /// How URLs name the bucket.
    #[serde(default)]
    pub addressing: Addressing,
    /// Secret with keys accessKeyID and secretAccessKey.
    pub credentials_secret_ref: ObjectReference,
    /// Secret with key ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<ObjectReference>,
}

fn default_region() -> String {
    "us-east-1".into()
}

/// How URLs name a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Addressing {
    /// `https://host/bucket`.
    #[default]
    Path,
    /// `https://bucket.host`.
    VirtualHost,
}

/// A folder: a claim that movers mount, or a path on the machine where they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.claimName) != has(self.path)").message("give exactly one of folder.claimName and folder.path"))]
pub struct FolderLocation {
    /// Claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub claim_name: Option<String>,
    /// Absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"), length(max = 1024))]
    pub path: Option<String>,
}

/// The repository's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Secret with the key `password`. The operator creates it if absent. Without the password the data is lost.
    pub key_secret_ref: ObjectReference,
}

/// How much may be done with the repository at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RepositoryLimits {
    /// Runs at a time whose movers use it.
    #[schemars(range(min = 1, max = 256))]
    pub movers: i32,
    /// Bytes that movers upload to it per second, all together; at least 16Ki.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_bytes_per_second: Option<Quantity>,
}

impl Default for RepositoryLimits {
    fn default() -> Self {
        Self { movers: 4, upload_bytes_per_second: None }
    }
}

/// Observed state of the repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupRepositoryStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// restic's repository id. The operator refuses a different repository at the same address.
    #[serde(rename = "repositoryID", skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// Stored bytes, measured at `usedTime`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Quantity>,
    /// When the stored bytes were measured: when there were other snapshots than before, and once an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_time: Option<Time>,
    /// Number of snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<i32>,
    /// Time of the last structure check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check_time: Option<Time>,
    /// When snapshots were last forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_forget_time: Option<Time>,
    /// Number of snapshots that were forgotten then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<i64>,
    /// When it was last pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_prune_time: Option<Time>,
    /// Bytes that left the store then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reclaimed: Option<Quantity>,
    /// Bytes that no snapshot needed then and that are still there: they leave once they have been marked for long enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marked: Option<Quantity>,
    /// Number of snapshots that retention would forget, as it was last found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_forget: Option<i64>,
    /// When retention and prune are next looked at, unless a person asks for something before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_retention_time: Option<Time>,
    /// The run that forgets or prunes, or was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_run: Option<RetentionRun>,
    /// Those before it, the newest first; their journals stay as long as they are here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub ended_retention_runs: Vec<EndedRetentionRun>,
    /// Ready, Checked, OffSite, Pruned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
