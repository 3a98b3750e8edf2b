//! PlatformProfile: everything that a district is measured against, as data with edition and source.

use super::{
    super::common::{Condition, Duration, LocalizedText, Quantity},
    application::Criticality,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a district's platform is measured against.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "PlatformProfile",
    derive = "PartialEq",
    status = "PlatformProfileStatus",
    shortname = "pprofile",
    category = "p861",
    printcolumn(name = "Edition", type_ = "string", json_path = ".spec.edition"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PlatformProfileSpec {
    /// Names for people.
    pub names: LocalizedText,
    /// Edition of the list of items.
    #[schemars(length(min = 1, max = 32))]
    pub edition: String,
    /// Source of the list of items, and open questions in it.
    #[schemars(length(min = 1, max = 1024))]
    pub source: String,
    /// The items of the profile: platforms, centres, directory.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub items: Vec<ProfileItem>,
    /// Demand of one standard application, the unit of capacity. A layer without a row is judged, but its capacity is not counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer", "resource"]))]
    pub standard_application: Vec<StandardDemand>,
    /// Default objectives for each criticality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub criticalities: Vec<CriticalityObjectives>,
    /// The standard of disaster recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_levels: Option<RecoveryLevels>,
    /// Indicators for scoring a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorecard: Option<ScorecardTable>,
}

/// The five layers of a district's platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Layer {
    /// Isolation, gateways, links.
    Network,
    /// Nodes, reserve, quotas.
    Servers,
    /// Classes, claims, repositories.
    Storage,
    /// Pod security, certificates, forbidden features.
    Security,
    /// Components of the catalogue.
    BaseSoftware,
}

impl Layer {
    /// All of them, from the bottom up.
    pub const ALL: [Self; 5] = [Self::Network, Self::Servers, Self::Storage, Self::Security, Self::BaseSoftware];
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// The group of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ItemGroup {
    /// One of the platforms.
    Platform,
    /// One of the centres.
    Centre,
    /// The directory service.
    Directory,
}

/// What provides an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProvidedBy {
    /// The layers of the platform themselves.
    Layers,
    /// An Application that names the item in `profileItem`.
    Application,
}

/// Whether a source confirms the item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Standing {
    /// A source names the item.
    #[default]
    Confirmed,
    /// Assumed: shown with a mark, and not scored.
    Provisional,
}

/// One item: a platform, a centre, or the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.providedBy != 'Layers' || (has(self.layers) && self.layers.size() > 0)").message("an item with providedBy: Layers must name them, for example layers: [Network]"))]
pub struct ProfileItem {
    /// Name used in Applications' `profileItem`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub key: String,
    /// Group.
    pub group: ItemGroup,
    /// Names for people.
    pub names: LocalizedText,
    /// Layers that it depends on. An item with `providedBy: Layers` is as good as the weakest of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub layers: Vec<Layer>,
    /// What provides it.
    pub provided_by: ProvidedBy,
    /// Whether a source confirms it.
    #[serde(default)]
    pub standing: Standing,
    /// Source of the item, if different from the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub source: Option<String>,
}

/// How much of a resource one standard application needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("quantity(self.quantity).isGreaterThan(quantity('0'))").message("quantity must be greater than 0: to leave the layer uncounted, remove the row"))]
pub struct StandardDemand {
    /// The layer that provides the resource.
    pub layer: Layer,
    /// The resource.
    pub resource: DemandResource,
    /// Amount.
    pub quantity: Quantity,
}

/// A resource of a layer that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DemandResource {
    /// Network: share of a line.
    BitsPerSecond,
    /// Servers: cores.
    Cpu,
    /// Servers: bytes.
    Memory,
    /// Servers: pods.
    Pods,
    /// Storage: bytes of volumes on a site.
    Volumes,
    /// Storage: bytes in a repository.
    Repository,
}

impl DemandResource {
    /// As the API spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::BitsPerSecond => "bitsPerSecond",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pods => "pods",
            Self::Volumes => "volumes",
            Self::Repository => "repository",
        }
    }
}

/// Objectives of a criticality.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CriticalityObjectives {
    /// The criticality.
    pub name: Criticality,
    /// Maximum time to recover.
    pub rto: Duration,
    /// Maximum age of lost data.
    pub rpo: Duration,
    /// Level of recovery.
    #[schemars(range(min = 1, max = 6))]
    pub recovery_level: i32,
}

/// A standard's levels of disaster recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryLevels {
    /// The standard, for example GB/T 20988.
    #[schemars(length(min = 1, max = 64))]
    pub standard: String,
    /// Its edition.
    #[schemars(length(min = 1, max = 32))]
    pub edition: String,
    /// Source of the figures.
    #[schemars(length(min = 1, max = 1024))]
    pub source: String,
    /// The levels.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["level"]))]
    pub levels: Vec<RecoveryLevel>,
    /// Facts that the operator can establish. A level without an entry requires the same as the level below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["element", "level"]))]
    pub elements: Vec<ElementRequirement>,
}

/// One level of the standard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryLevel {
    /// Its number.
    #[schemars(range(min = 1, max = 16))]
    pub level: i32,
    /// Its name.
    pub names: LocalizedText,
    /// Maximum time to recover.
    pub rto: LevelBound,
    /// Maximum age of lost data.
    pub rpo: LevelBound,
}

/// A limit: the wording of the standard, and the value for comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LevelBound {
    /// Wording of the standard.
    #[schemars(length(min = 1, max = 128))]
    pub text: String,
    /// Limit for comparison; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Duration>,
    /// Who set `max`, if the standard gives no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub max_source: Option<String>,
}

/// The seven elements of GB/T 20988.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RecoveryElement {
    /// Data backup.
    DataBackup,
    /// Standby infrastructure.
    StandbyInfrastructure,
    /// Standby processing.
    StandbyProcessing,
    /// Standby network.
    StandbyNetwork,
    /// Technical support.
    TechnicalSupport,
    /// Operations and their management.
    OperationsManagement,
    /// The plan.
    RecoveryPlan,
}

/// What an element needs for a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ElementRequirement {
    /// The element.
    pub element: RecoveryElement,
    /// The level.
    #[schemars(range(min = 1, max = 16))]
    pub level: i32,
    /// Facts, by name.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub requires: Vec<String>,
}

/// Indicators for scoring a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.indicators.map(i, i.weight).sum() == 100").message("the weights of the indicators must sum to 100"))]
pub struct ScorecardTable {
    /// Edition of the table.
    #[schemars(length(min = 1, max = 32))]
    pub edition: String,
    /// Source of the table.
    #[schemars(length(min = 1, max = 1024))]
    pub source: String,
    /// The indicators; their weights sum to 100.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub indicators: Vec<Indicator>,
}

/// Unit of an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IndicatorUnit {
    /// Of a hundred.
    Percent,
    /// A level of the recovery standard.
    Level,
}

/// One indicator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Indicator {
    /// Name, unique in the table.
    #[schemars(length(min = 1, max = 63))]
    pub key: String,
    /// Dimension of the indicator.
    #[schemars(length(min = 1, max = 63))]
    pub dimension: String,
    /// Names for people.
    pub names: LocalizedText,
    /// Weight out of 100.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,
    /// Value for the full score: a decimal number.
    #[schemars(regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,4})?$"), length(max = 14))]
    pub target: String,
    /// Its unit.
    pub unit: IndicatorUnit,
}

/// Number of items, by standing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ItemCounts {
    /// All items.
    pub total: i32,
    /// Confirmed items, which are scored.
    pub scored: i32,
    /// Provisional items, which are not scored.
    pub provisional: i32,
}

/// Observed state of the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlatformProfileStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Its items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemCounts>,
    /// Districts that are measured against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub districts: Vec<String>,
    /// Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
