//! The layer *network* of a Platform.

use super::platform::NamespacedReference;
use crate::common::{Duration, ObjectReference, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is isolated from what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Isolation {
    /// Departments are isolated from each other; traffic within a department is allowed.
    #[default]
    Department,
    /// The district is isolated from others; traffic within the district is allowed.
    District,
    /// No isolation.
    None,
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkLayer {
    /// Isolation of incoming traffic. Outgoing connections are not restricted.
    pub isolation: Isolation,
    /// Additional allowed flows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub allow: Vec<AllowedFlow>,
    /// Gateways, with their names on each site. Gateways may reach every namespace of the district.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub gateways: Vec<Gateway>,
    /// Network links that the applications share. The slowest determines the layer's capacity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub uplinks: Vec<Uplink>,
    /// Connections that must work, and their maximum latency.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub probes: Vec<Probe>,
}

/// One allowed flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllowedFlow {
    /// Name, used in the name of the NetworkPolicy.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Source of the connection.
    pub from: FlowEnd,
    /// Destination of the connection.
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
    /// Limits it to this namespace.
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
pub enum Protocol {
    /// TCP.
    #[default]
    TCP,
    /// UDP.
    UDP,
    /// SCTP.
    SCTP,
}

/// The network that a gateway serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Exposure {
    /// The government intranet.
    Intranet,
    /// The government extranet, open to the public.
    Extranet,
    /// The site itself.
    Internal,
}

/// A gateway, by the name that Applications use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gateway {
    /// Name that Applications use in `entrypoints[].gateway`.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// The network that it serves.
    pub exposure: Exposure,
    /// Its name on each site.
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
    /// Addresses for its DNS names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub addresses: Vec<String>,
}

/// A network link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uplink {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Capacity in bits per second.
    pub capacity_bits_per_second: Quantity,
}

/// A connection that must work from a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The site that opens the connection.
    pub from_site_ref: ObjectReference,
    /// The target.
    pub tcp: ProbeTarget,
    /// How often to try.
    #[serde(default = "default_probe_period")]
    pub period: Duration,
    /// Maximum connection time; 5s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Duration>,
}

fn default_probe_period() -> Duration {
    "30s".into()
}

/// A TCP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeTarget {
    /// DNS name or IP address.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}
