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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
