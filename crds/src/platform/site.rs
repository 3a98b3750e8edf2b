//! Site: a Kubernetes cluster that is managed, in a failure domain of its own.

use super::super::{
    common::{Condition, LocalizedText, ObjectReference, Quantity},
    protection::policy::UploadHours,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Kubernetes cluster: how to reach it, and its failure domain.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "Site",
    derive = "PartialEq",
    status = "SiteStatus",
    category = "p861",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.kubernetesVersion"),
    printcolumn(name = "Ready-Nodes", type_ = "integer", json_path = ".status.nodes.ready"),
    printcolumn(name = "Agent", type_ = "string", json_path = ".status.agentVersion", priority = 1),
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.failureDomain", priority = 1),
    printcolumn(name = "Cluster-UID", type_ = "string", json_path = ".status.clusterUID", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SiteSpec {
    /// Names for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<LocalizedText>,
    /// Failure domain: sites, buckets and servers with the same value are expected to fail together.
    #[schemars(length(min = 1, max = 63))]
    pub failure_domain: String,
    /// How to reach the cluster.
    pub access: SiteAccess,
    /// The site's own Prometheus and Alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
    /// Its line to the repositories, for a site behind a thin one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<Uplink>,
    /// Namespaces of software that districts share there: a Platform of any district may name their Gateways and HelmReleases, and its status says how they stand. Of
    /// other namespaces a district sees its own only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 63)))]
    pub shared_namespaces: Vec<String>,
}

/// The hub's own cluster, or a kubeconfig in a Secret of the operator's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.inCluster) != has(self.kubeconfig)").message("give exactly one of access.inCluster: {} and access.kubeconfig"))]
pub struct SiteAccess {
    /// The hub runs in this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_cluster: Option<InCluster>,
    /// Reach the cluster with a kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<KubeconfigAccess>,
}

/// The hub's own cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InCluster {}

/// A kubeconfig in a Secret (key `kubeconfig`) of the operator's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigAccess {
    /// The Secret.
    pub secret_ref: ObjectReference,
    /// Context in the kubeconfig; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub context: Option<String>,
}

/// A site's own Prometheus and Alertmanager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Monitoring {
    /// Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Endpoint>,
    /// Alertmanager. Changes silence alerts there, and the operator checks there whether a ticket's alerts still fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<Endpoint>,
}

/// How much of a site's line movers take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Uplink {
    /// Bytes that movers of the site upload per second, all together; at least 16Ki.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_bytes_per_second: Option<Quantity>,
    /// Hours with another limit. Of several that hold at once the first does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hours: Vec<UploadHours>,
}

/// An HTTP endpoint with optional credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Base URL.
    #[schemars(regex(pattern = "^https?://"), length(max = 1024))]
    pub url: String,
    /// Secret with the credentials, in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<ObjectReference>,
}

/// Nodes of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeCounts {
    /// All nodes.
    pub total: i32,
    /// Nodes whose Ready condition is True.
    pub ready: i32,
}

/// Resources that nodes offer, or that pods request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// Cores.
    pub cpu: Quantity,
    /// Bytes.
    pub memory: Quantity,
    /// Pods.
    pub pods: Quantity,
}

/// Observed state of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SiteStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// UID of kube-system, recorded at first contact. The operator refuses a different cluster behind the same kubeconfig.
    #[serde(rename = "clusterUID", skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<String>,
    /// The API server's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// The agent's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
    /// Allocatable resources of the ready nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocatable: Option<Capacity>,
    /// Resources requested by the pods on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Capacity>,
    /// Ready, Reachable, AgentConnected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
