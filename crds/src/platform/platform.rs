//! Platform: the five layers of a district, as they ought to be.

use super::{application::ConditionCheck, profile::Layer, status::PlatformStatus};
use crate::common::{Duration, ObjectReference, Quantity};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The platform of a district: one object, with the district's name, in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Platform",
    derive = "PartialEq",
    namespaced,
    status = "PlatformStatus",
    category = "p861",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Supports", type_ = "integer", json_path = ".status.balance.supportable"),
    printcolumn(name = "Runs", type_ = "integer", json_path = ".status.balance.running"),
    printcolumn(name = "Shortest", type_ = "string", json_path = ".status.balance.shortestLayer"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct PlatformSpec {
    /// Isolation, gateways, lines.
    pub network: NetworkLayer,
    /// Nodes, reserve, quotas.
    pub servers: ServersLayer,
    /// Classes, capacity, repositories.
    pub storage: StorageLayer,
    /// Pod security, certificates, what is forbidden.
    pub security: SecurityLayer,
    /// Components of the catalogue.
    pub base_software: BaseSoftwareLayer,
}

/// What is closed off from what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Isolation {
    /// Departments are closed to each other; inside one, all is open.
    #[default]
    Department,
    /// The district is closed to others; inside it, all is open.
    District,
    /// Nothing is closed.
    None,
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkLayer {
    /// What is closed off. Closing is about what comes in: a pod may open connections outwards.
    pub isolation: Isolation,
    /// Flows that are allowed beside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub allow: Vec<AllowedFlow>,
    /// What a gateway's name is on each site. Gateways reach into every namespace of the district.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub gateways: Vec<Gateway>,
    /// Lines that the applications share. The narrowest counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub uplinks: Vec<Uplink>,
    /// What must be reachable, and how fast.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub probes: Vec<Probe>,
}

/// One allowed flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllowedFlow {
    /// Name, part of the NetworkPolicy's.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Who opens the connection.
    pub from: FlowEnd,
    /// Who is reached.
    pub to: FlowEnd,
    /// Ports; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub ports: Vec<FlowPort>,
}

/// A department, or one namespace of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowEnd {
    /// The department.
    #[schemars(length(min = 1, max = 63))]
    pub department: String,
    /// Only this namespace of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowPort {
    /// Number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::upper_case_acronyms, reason = "as Kubernetes spells them")]
pub enum Protocol {
    /// TCP.
    #[default]
    TCP,
    /// UDP.
    UDP,
    /// SCTP.
    SCTP,
}

/// Whom a gateway faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Exposure {
    /// The government's own network.
    Intranet,
    /// The public.
    Extranet,
    /// The site itself.
    Internal,
}

/// A gateway by the name that applications use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gateway {
    /// Name that Applications use in `entrypoints[].gateway`.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// Whom it faces.
    pub exposure: Exposure,
    /// What it is on each site.
    #[schemars(length(min = 1, max = 32))]
    pub sites: Vec<GatewaySite>,
}

/// A gateway on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySite {
    /// The Site.
    pub site_ref: ObjectReference,
    /// The Gateway (gateway.networking.k8s.io).
    pub gateway_ref: NamespacedReference,
    /// Addresses that names lead to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub addresses: Vec<String>,
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

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uplink {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Capacity in bits per second.
    pub capacity_bits_per_second: Quantity,
}

/// Something that must be reachable from a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Where it is tried from.
    pub from_site_ref: ObjectReference,
    /// What is tried.
    pub tcp: ProbeTarget,
    /// How often.
    #[serde(default = "default_probe_period")]
    pub period: Duration,
    /// The longest that connecting may take; any time within 5s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Duration>,
}

fn default_probe_period() -> Duration {
    "30s".into()
}

/// A TCP port somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeTarget {
    /// Name or address.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
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
    /// Kept free of what the nodes offer, in percent.
    #[schemars(range(min = 0, max = 90))]
    pub reserve_percent: i32,
    /// A department's total over all its namespaces on a site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department"]))]
    pub quotas: Vec<ServersQuota>,
    /// Priority classes that every site has.
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
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,
    /// How many must be ready where.
    #[schemars(length(min = 1, max = 32))]
    pub sites: Vec<PoolSite>,
}

/// A pool on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolSite {
    /// The Site.
    pub site_ref: ObjectReference,
    /// Nodes that must be ready.
    #[schemars(range(min = 0, max = 10000))]
    pub min_ready_nodes: i32,
}

/// What a department may use of the servers, on each site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.hard.all(k, !k.contains('storage') && !k.startsWith('persistentvolumeclaims'))").message("quotas on claims and storage stand in storage.quotas"))]
pub struct ServersQuota {
    /// The department.
    #[schemars(length(min = 1, max = 63))]
    pub department: String,
    /// Limits in the words of ResourceQuota, for example `requests.cpu: "40"`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub hard: BTreeMap<String, Quantity>,
}

/// A priority class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriorityClass {
    /// Name.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Higher goes first.
    #[schemars(range(min = -1_000_000_000, max = 1_000_000_000))]
    pub value: i32,
}

/// The storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageLayer {
    /// What a class's name is on each site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub classes: Vec<StorageClass>,
    /// Kept free of each class and repository, in percent.
    #[schemars(range(min = 0, max = 90))]
    pub reserve_percent: i32,
    /// A department's total over all its namespaces on a site.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department"]))]
    pub quotas: Vec<StorageQuota>,
    /// Repositories whose capacity counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub repository_refs: Vec<ObjectReference>,
}

impl Default for StorageLayer {
    fn default() -> Self {
        Self { classes: Vec::new(), reserve_percent: 20, quotas: Vec::new(), repository_refs: Vec::new() }
    }
}

/// A storage class by the name that the district uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageClass {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What it is on each site.
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
    /// How much it can hold; not counted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Quantity>,
}

/// What a department may use of the storage, on each site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.hard.all(k, k.contains('storage') || k.startsWith('persistentvolumeclaims'))").message("storage.quotas are about claims and storage; all others stand in servers.quotas"))]
pub struct StorageQuota {
    /// The department.
    #[schemars(length(min = 1, max = 63))]
    pub department: String,
    /// Limits in the words of ResourceQuota, for example `requests.storage: 8Ti`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub hard: BTreeMap<String, Quantity>,
}

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodSecurity {
    /// Nothing is refused.
    Privileged,
    /// Known escalations are refused.
    #[default]
    Baseline,
    /// Only hardened pods.
    Restricted,
}

impl PodSecurity {
    /// As the namespace's label has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// What the district's namespaces may not contain.
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
    /// Pod Security level of the district's namespaces.
    pub pod_security: PodSecurity,
    /// Certificates of gateways, ingresses and API servers.
    pub certificates: Certificates,
    /// What is refused at admission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub forbidden: Vec<Forbidden>,
    /// ValidatingAdmissionPolicies that every site must have, and have bound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub admission_policies: Vec<ObjectReference>,
}

/// When an expiring certificate is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificates {
    /// So long before it expires.
    pub warn_before: Duration,
}

impl Default for Certificates {
    fn default() -> Self {
        Self { warn_before: "720h".into() }
    }
}

/// The base software.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaseSoftwareLayer {
    /// Registries that images come from, and where each site pulls them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub registries: Vec<Registry>,
    /// Components of the catalogue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<Component>,
}

/// A registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registry {
    /// Its name in images.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Where each site pulls from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub mirrors: Vec<RegistryMirror>,
}

/// A registry's mirror on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryMirror {
    /// The Site.
    pub site_ref: ObjectReference,
    /// Host, with port and path if it has them.
    #[schemars(length(min = 1, max = 253))]
    pub endpoint: String,
}

/// A component of the catalogue. The version is the target: a raised one is installed by a MaintenanceTicket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bundle) != has(self.helmRelease)").message("give exactly one of bundle and helmRelease"))]
pub struct Component {
    /// Name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Version that is wanted.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-+._A-Za-z0-9]*[A-Za-z0-9])?$"))]
    pub version: String,
    /// Manifests that we apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
    /// A Flux HelmRelease on each site, which installs it; we watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_release: Option<NamespacedReference>,
    /// What must hold for it to be called healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub health: Vec<HealthCheck>,
}

/// Where a component's manifests are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.oci) != has(self.configMapRef)").message("give exactly one of bundle.oci and bundle.configMapRef"))]
pub struct Bundle {
    /// An image of manifests, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciBundle>,
    /// A ConfigMap of the district's namespace on the hub, whose values are YAML manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ObjectReference>,
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.oci, &self.config_map_ref) {
            (Some(oci), _) => write!(f, "{}@{}", oci.image, oci.digest),
            (None, Some(map)) => write!(f, "ConfigMap {}", map.name),
            (None, None) => f.write_str("nothing"),
        }
    }
}

/// Manifests in a registry, as Flux, ORAS or an image builder puts them there. The registry is asked by https.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciBundle {
    /// Image without tag.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Digest of its manifest.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Secret of the type kubernetes.io/dockerconfigjson in the district's namespace on the hub, for a registry that asks who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_ref: Option<ObjectReference>,
    /// Secret there whose key ca.crt has the certificates of the registry's authority, besides the system's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<ObjectReference>,
}

/// One check of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthCheck {
    /// Name.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// A workload's condition is True.
    pub condition: ConditionCheck,
}

impl PlatformSpec {
    /// The type of a layer's condition.
    pub fn condition_of(layer: Layer) -> &'static str {
        match layer {
            Layer::Network => "NetworkReady",
            Layer::Servers => "ServersReady",
            Layer::Storage => "StorageReady",
            Layer::Security => "SecurityReady",
            Layer::BaseSoftware => "BaseSoftwareReady",
        }
    }
}
