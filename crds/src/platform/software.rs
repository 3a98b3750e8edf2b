//! The layer *base software* of a Platform: registries, and components with their bundles.

use super::{application::ConditionCheck, platform::NamespacedReference};
use crate::common::ObjectReference;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The base software.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaseSoftwareLayer {
    /// Image registries, and the mirror that each site pulls from.
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
    /// Its host name in image references.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The mirror of each site.
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
    /// Host, with optional port and path.
    #[schemars(length(min = 1, max = 253))]
    pub endpoint: String,
}

/// A component of the catalogue. A MaintenanceTicket installs a new version; changing the version here does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bundle) != has(self.helmRelease)").message("give exactly one of bundle and helmRelease"))]
pub struct Component {
    /// Name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Desired version.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-+._A-Za-z0-9]*[A-Za-z0-9])?$"))]
    pub version: String,
    /// Manifests that the operator applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
    /// A Flux HelmRelease on each site that installs the component. The operator only watches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_release: Option<NamespacedReference>,
    /// Checks that must pass for the component to count as healthy.
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
    /// An OCI image with manifests, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciBundle>,
    /// A ConfigMap in the district's namespace on the hub; its values are YAML manifests.
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

/// Manifests in a registry, pushed by Flux, ORAS or an image builder. The operator uses https.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciBundle {
    /// Image reference without tag.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Digest of its manifest.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"), length(max = 71))]
    pub digest: String,
    /// Secret of type kubernetes.io/dockerconfigjson in the district's namespace on the hub, for a registry that requires authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_ref: Option<ObjectReference>,
    /// Secret in the same namespace; its key ca.crt has CA certificates for the registry, in addition to the system's.
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
