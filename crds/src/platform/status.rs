//! What a Platform's status says: per layer, per site, per item of the profile, and how the layers compare.

use super::profile::Layer;
use crate::common::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How something stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum State {
    /// As declared.
    #[default]
    Ready,
    /// There, and not as it should be.
    Weak,
    /// Not there.
    Missing,
    /// Nobody looked: the profile's item is provisional.
    NotAssessed,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// A site's part of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteState {
    /// The Site.
    pub site: String,
    /// How the layer stands there.
    pub state: State,
}

/// One thing that is not as declared, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The Site; every site of the district when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Key of the texts in zh and en.
    pub reason: String,
    /// What is so.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerStatus {
    /// The layer.
    pub layer: Layer,
    /// How it stands: as its worst site.
    pub state: State,
    /// Standard applications that it can carry; absent where the profile has no demand for it, or a site could not be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supportable: Option<i64>,
    /// Site by site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub sites: Vec<SiteState>,
    /// What is not as declared; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// One item of the profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemStatus {
    /// Its key.
    pub key: String,
    /// How it stands.
    pub state: State,
    /// Key of the texts in zh and en.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Applications that provide it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provided_by: Vec<String>,
}

/// How a forecast was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ForecastMethod {
    /// A straight line through the recorded days, by least squares.
    Linear,
}

/// What a forecast rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastBasis {
    /// How it was made.
    pub method: ForecastMethod,
    /// Days between the first and the last record.
    pub days: i32,
}

/// When a layer runs short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The layer.
    pub layer: Layer,
    /// When it is into its reserve, at the growth of the recorded days; absent if that is not to be expected, or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_time: Option<Time>,
    /// What it rests on.
    pub basis: ForecastBasis,
    /// What to do, or why nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How the layers compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Balance {
    /// Standard applications that the platform can carry: what its shortest layer can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supportable: Option<i64>,
    /// Applications that run.
    pub running: i64,
    /// The shortest layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortest_layer: Option<Layer>,
    /// Layers that can carry more than three times as much as the shortest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excess_layers: Vec<Layer>,
    /// When which layer runs short.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer"]))]
    pub forecast: Vec<Forecast>,
}

/// A component on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentSite {
    /// The Site.
    pub site: String,
    /// The version that was seen there; absent if none is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
    /// How it stands there.
    pub state: State,
}

/// A component of the base software.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentStatus {
    /// Its name.
    pub name: String,
    /// Version that is declared.
    pub version: String,
    /// Site by site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub sites: Vec<ComponentSite>,
}

/// How the platform stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlatformStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Layer by layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer"]))]
    pub layers: Vec<LayerStatus>,
    /// Item by item of the profile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub items: Vec<ItemStatus>,
    /// Component by component, as seen on the sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<ComponentStatus>,
    /// How the layers compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// Ready, one per layer, Balanced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
