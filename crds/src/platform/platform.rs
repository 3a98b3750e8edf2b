//! Platform: the five layers of a district, as they ought to be.

pub use super::{network::*, software::*};

use super::{profile::Layer, status::PlatformStatus};
use crate::{
    common::{Duration, ObjectReference, Quantity},
    condition::ConditionType,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The platform of a district: one object with the district's name, in the district's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Platform",
    derive = "PartialEq",
    namespaced,
    status = "PlatformStatus",
    category = "p861",
    validation = Rule::new("!has(self.spec.servers) || !has(self.spec.servers.priorityClasses) || self.spec.servers.priorityClasses.all(c, c.name.startsWith(self.metadata.name) && c.name.substring(self.metadata.name.size()).startsWith('-'))").message("priority classes are the whole site's: begin their names with the district's, for example <district>-critical"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Supports", type_ = "integer", json_path = ".status.balance.supportable"),
    printcolumn(name = "Runs", type_ = "integer", json_path = ".status.balance.running"),
    printcolumn(name = "Shortest", type_ = "string", json_path = ".status.balance.shortestLayer"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct PlatformSpec {
    /// Isolation, gateways, links.
    pub network: NetworkLayer,
    /// Nodes, reserve, quotas.
    pub servers: ServersLayer,
    /// Classes, capacity, repositories.
    pub storage: StorageLayer,
    /// Pod security, certificates, forbidden features.
    pub security: SecurityLayer,
    /// Components of the catalogue.
    pub base_software: BaseSoftwareLayer,
}

/// An object of a namespace on a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NamespacedReference {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
}

/// The servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServersLayer {
    /// Pools of nodes. Every ready node counts when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pools: Vec<NodePool>,
    /// Share of node capacity to keep free, in percent.
    #[schemars(range(min = 0, max = 90))]
    pub reserve_percent: i32,
    /// Quota of a department, over all its namespaces on a site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department"]))]
    pub quotas: Vec<ServersQuota>,
    /// Priority classes to create on every site: with the district's name as a prefix, and values up to `spec.limits.maxPriority` of the District.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub priority_classes: Vec<PriorityClass>,
}

impl Default for ServersLayer {
    fn default() -> Self {
        Self { pools: Vec::new(), reserve_percent: 20, quotas: Vec::new(), priority_classes: Vec::new() }
    }
}

/// A pool of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePool {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Labels of its nodes; `platform861.io/pool: <name>` when empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: BTreeMap<String, String>,
    /// Minimum number of ready nodes on each site.
    #[schemars(length(min = 1, max = 32))]
    pub sites: Vec<PoolSite>,
}

/// A pool on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolSite {
    /// The Site.
    pub site_ref: ObjectReference,
    /// Minimum number of ready nodes.
    #[schemars(range(min = 0, max = 10000))]
    pub min_ready_nodes: i32,
}

/// Server quota of a department, on each site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.hard.all(k, !k.contains('storage') && !k.startsWith('persistentvolumeclaims'))").message("put quotas on claims and storage into storage.quotas"))]
pub struct ServersQuota {
    /// The department.
    #[schemars(length(min = 1, max = 63))]
    pub department: String,
    /// Limits as in a ResourceQuota, for example `requests.cpu: "40"`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub hard: BTreeMap<String, Quantity>,
}

/// A priority class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriorityClass {
    /// Name.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Pods with a higher value are scheduled first.
    #[schemars(range(min = -1_000_000_000, max = 999_999_999))]
    pub value: i32,
}

/// The storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageLayer {
    /// Storage classes, with their names on each site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub classes: Vec<StorageClass>,
    /// Share of each class and repository to keep free, in percent.
    #[schemars(range(min = 0, max = 90))]
    pub reserve_percent: i32,
    /// Quota of a department, over all its namespaces on a site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department"]))]
    pub quotas: Vec<StorageQuota>,
    /// Repositories whose capacity counts for this layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub repository_refs: Vec<ObjectReference>,
}

impl Default for StorageLayer {
    fn default() -> Self {
        Self { classes: Vec::new(), reserve_percent: 20, quotas: Vec::new(), repository_refs: Vec::new() }
    }
}

/// A storage class, by the name that the district uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageClass {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its name on each site.
    #[schemars(length(min = 1, max = 32))]
    pub sites: Vec<StorageClassSite>,
}

/// A storage class on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageClassSite {
    /// The Site.
    pub site_ref: ObjectReference,
    /// The StorageClass.
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: String,
    /// The VolumeSnapshotClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub volume_snapshot_class_name: Option<String>,
    /// Capacity; not counted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Quantity>,
}

/// Storage quota of a department, on each site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.hard.all(k, k.contains('storage') || k.startsWith('persistentvolumeclaims'))").message("storage.quotas is only for claims and storage: put other quotas into servers.quotas"))]
pub struct StorageQuota {
    /// The department.
    #[schemars(length(min = 1, max = 63))]
    pub department: String,
    /// Limits as in a ResourceQuota, for example `requests.storage: 8Ti`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub hard: BTreeMap<String, Quantity>,
}

/// A level of the Pod Security Standards; the greater is the stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PodSecurity {
    /// No restrictions.
    Privileged,
    /// Rejects known privilege escalations.
    #[default]
    Baseline,
    /// Admits only hardened pods.
    Restricted,
}

impl PodSecurity {
    /// The value of the namespace's label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    /// The level of a namespace's label; none if it is no level.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Privileged, Self::Baseline, Self::Restricted].into_iter().find(|level| level.word() == word)
    }
}

/// Features forbidden in the district's namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Forbidden {
    /// Images without a tag or with the tag latest.
    LatestTag,
    /// Services of type NodePort.
    NodePort,
    /// Services of type LoadBalancer.
    LoadBalancer,
    /// Images from a registry that baseSoftware.registries does not name.
    UnknownRegistry,
}

/// The security.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityLayer {
    /// Pod Security level of the district's namespaces. One that is less strict than `spec.limits.podSecurity` of the District is not enforced.
    pub pod_security: PodSecurity,
    /// Certificates of gateways, ingresses and API servers.
    pub certificates: Certificates,
    /// Features that admission rejects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub forbidden: Vec<Forbidden>,
    /// ValidatingAdmissionPolicies that must exist on every site and have a binding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub admission_policies: Vec<ObjectReference>,
}

/// When to report an expiring certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificates {
    /// Time before the expiry.
    pub warn_before: Duration,
}

impl Default for Certificates {
    fn default() -> Self {
        Self { warn_before: "720h".into() }
    }
}

impl PlatformSpec {
    /// The type of a layer's condition.
    pub fn condition_of(layer: Layer) -> ConditionType {
        match layer {
            Layer::Network => ConditionType::NetworkReady,
            Layer::Servers => ConditionType::ServersReady,
            Layer::Storage => ConditionType::StorageReady,
            Layer::Security => ConditionType::SecurityReady,
            Layer::BaseSoftware => ConditionType::BaseSoftwareReady,
        }
    }
}
