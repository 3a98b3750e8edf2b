//! The layer *network* of a Platform.

use super::platform::NamespacedReference;
use crate::common::{Duration, ObjectReference, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
