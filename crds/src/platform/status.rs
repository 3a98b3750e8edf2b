//! What a Platform's status says: per layer, per site, per item of the profile, and how the layers compare.

use super::profile::Layer;
use crate::{
    common::{Condition, Time},
    reason::Reason,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of a layer, component or item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum State {
    /// As declared.
    #[default]
    Ready,
    /// Present, but degraded.
    Weak,
    /// Missing.
    Missing,
    /// Not assessed, because the profile's item is provisional.
    NotAssessed,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// State of a layer on one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteState {
    /// The Site.
    pub site: String,
    /// State of the layer on the site.
    pub state: State,
}

/// One deviation from the declaration, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The Site; all sites of the district when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Reason: the key for the texts in zh and en.
    #[schemars(with = "String")]
    pub reason: Reason,
    /// Description.
    pub message: String,
    /// Remedy.
    pub remedy: String,
}

/// State of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerStatus {
    /// The layer.
    pub layer: Layer,
    /// State: that of the worst site.
    pub state: State,
    /// Number of standard applications that it supports; absent if the profile has no demand for it, or a site could not be observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supportable: Option<i64>,
    /// State on each site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub sites: Vec<SiteState>,
    /// Deviations from the declaration; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// State of one item of the profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemStatus {
    /// Its key.
    pub key: String,
    /// State.
    pub state: State,
    /// Reason: the key for the texts in zh and en.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub reason: Option<Reason>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Applications that provide it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provided_by: Vec<String>,
}

/// Method of a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ForecastMethod {
    /// A straight line fitted to the recorded days by least squares.
    Linear,
}

/// Basis of a forecast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastBasis {
    /// Method.
    pub method: ForecastMethod,
    /// Days between the first and the last record.
    pub days: i32,
}

/// Forecast of when a layer runs short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The layer.
    pub layer: Layer,
    /// When it will start to use its reserve, at the growth rate of the recorded days; absent if not expected or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_time: Option<Time>,
    /// Basis.
    pub basis: ForecastBasis,
    /// What to do, or why no forecast is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Comparison of the layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Balance {
    /// Number of standard applications that the platform supports: the minimum over its layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supportable: Option<i64>,
    /// Number of running applications.
    pub running: i64,
    /// The weakest layer (短板): the one that supports the fewest applications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortest_layer: Option<Layer>,
    /// Layers that support more than three times as many applications as the weakest (一枝独秀).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excess_layers: Vec<Layer>,
    /// Forecast for each layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer"]))]
    pub forecast: Vec<Forecast>,
}

/// A component on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentSite {
    /// The Site.
    pub site: String,
    /// Installed version; absent if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
    /// State on the site.
    pub state: State,
}

/// A component of the base software.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentStatus {
    /// Its name.
    pub name: String,
    /// Declared version.
    pub version: String,
    /// State on each site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub sites: Vec<ComponentSite>,
}

/// Observed state of the platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlatformStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// State of each layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer"]))]
    pub layers: Vec<LayerStatus>,
    /// State of each item of the profile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub items: Vec<ItemStatus>,
    /// State of each component, as observed on the sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<ComponentStatus>,
    /// Comparison of the layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// Ready, one per layer, Balanced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
