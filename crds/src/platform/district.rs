//! District: a namespace on the hub, its sites, departments and people.

use super::{
    super::common::{Condition, HistoryLimits, LocalizedText, ObjectReference},
    platform::PodSecurity,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A district of a city.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "District",
    derive = "PartialEq",
    status = "DistrictStatus",
    category = "p861",
    validation = Rule::new("self.metadata.name.size() <= 20 && !self.metadata.name.contains('-')").message("a district's name is a prefix on its sites: at most 20 characters and no hyphen, for example shinan"),
    printcolumn(name = "Code", type_ = "string", json_path = ".spec.code"),
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.names.zh"),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profileRef.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.sites.filter(s, s.role == 'Primary').size() == 1").message("name exactly one site with role: Primary"),
    validation = Rule::new("self.sites.all(s, self.sites.filter(t, t.siteRef.name == s.siteRef.name).size() == 1)").message("name each site only once"),
    validation = Rule::new("self.code == oldSelf.code").message("code can't be changed: create a new District"),
    validation = Rule::new("has(self.__namespace__) == has(oldSelf.__namespace__) && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)").message("namespace can't be changed: create a new District")
)]
pub struct DistrictSpec {
    /// Division code (GB/T 2260), for example 370202.
    #[schemars(regex(pattern = "^[0-9]{6}$"), length(max = 6))]
    pub code: String,
    /// Names for people.
    pub names: LocalizedText,
    /// The city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<LocalizedText>,
    /// Namespace on the hub; the district's name when absent. The operator creates it and never deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// IANA time zone of its schedules.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// The profile that the district is measured against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_ref: Option<ObjectReference>,
    /// The district's sites and their normal roles. The currently active site is determined by a plan's epoch, not here.
    #[schemars(length(min = 1, max = 32))]
    pub sites: Vec<DistrictSite>,
    /// Departments that put applications on the platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub departments: Vec<Department>,
    /// Who has which role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub role_bindings: Vec<RoleBinding>,
    /// Namespaces on the sites that the district may touch. Two districts of one site have none in common: nothing is done for the younger one until they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_namespaces: Option<SiteNamespaces>,
    /// What its Platform, its runs and its pods on the sites may not exceed.
    #[serde(default)]
    pub limits: DistrictLimits,
    /// How many ended runs stay as objects on the hub: Backups and Restores of each application, Drills of each plan, tickets of each type. Each is stored in the
    /// repository before its object goes, and the repository keeps as many again, with the journals and reports of drills. Snapshots are not touched: only retention
    /// removes them.
    #[serde(default)]
    pub history: HistoryLimits,
    /// How many objects of each kind the district may have on the hub. The operator keeps a ResourceQuota `p861-objects` in the district's namespace; what goes beyond
    /// it is refused by the API server. Condition ObjectsLimited says whether the cluster counts them.
    #[serde(default)]
    pub object_limits: ObjectLimits,
}

/// The most objects of each kind in a district's namespace on the hub. They are looked after by one operator for all districts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectLimits {
    /// Platforms. One counts; a second is needed for a moment to rename it.
    #[schemars(range(min = 1, max = 16))]
    pub platforms: i32,
    /// Applications.
    #[schemars(range(min = 1, max = 5000))]
    pub applications: i32,
    /// Backup repositories.
    #[schemars(range(min = 1, max = 64))]
    pub backup_repositories: i32,
    /// Backup policies.
    #[schemars(range(min = 1, max = 1000))]
    pub backup_policies: i32,
    /// Backups, with the ended ones that `history` keeps: twelve of each application by default.
    #[schemars(range(min = 1, max = 100_000))]
    pub backups: i32,
    /// Restores and previews.
    #[schemars(range(min = 1, max = 10_000))]
    pub restores: i32,
    /// Recovery plans.
    #[schemars(range(min = 1, max = 1000))]
    pub recovery_plans: i32,
    /// Drills.
    #[schemars(range(min = 1, max = 10_000))]
    pub drills: i32,
    /// Maintenance windows.
    #[schemars(range(min = 1, max = 1000))]
    pub maintenance_windows: i32,
    /// Templates of standard changes.
    #[schemars(range(min = 1, max = 1000))]
    pub change_templates: i32,
    /// Tickets, with the ended ones of 31 days.
    #[schemars(range(min = 1, max = 100_000))]
    pub maintenance_tickets: i32,
    /// Approvals.
    #[schemars(range(min = 1, max = 100_000))]
    pub approvals: i32,
    /// Duty rosters.
    #[schemars(range(min = 1, max = 100))]
    pub duty_rosters: i32,
}

impl Default for ObjectLimits {
    fn default() -> Self {
        Self {
            platforms: 2,
            applications: 500,
            backup_repositories: 8,
            backup_policies: 32,
            backups: 7000,
            restores: 1000,
            recovery_plans: 100,
            drills: 1000,
            maintenance_windows: 50,
            change_templates: 50,
            maintenance_tickets: 3000,
            approvals: 3000,
            duty_rosters: 16,
        }
    }
}

fn default_time_zone() -> String {
    "Asia/Shanghai".into()
}

/// What a district may not exceed, whatever its own people declare. The city sets it: a District is cluster-scoped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DistrictLimits {
    /// The least strict Pod Security level of its namespaces: of those that its Platform keeps, and of those that restores, drills and components make. A stricter
    /// one of the Platform, or of the namespace that a backup was made of, holds.
    pub pod_security: PodSecurity,
    /// Greatest value of a priority class of its Platform, and greatest priority of a pod in its namespaces. Pods of a higher priority may push out others, also
    /// those of other districts.
    #[schemars(range(min = -1_000_000_000, max = 999_999_999))]
    pub max_priority: i32,
}

impl Default for DistrictLimits {
    fn default() -> Self {
        Self { pod_security: PodSecurity::Baseline, max_priority: 1_000_000 }
    }
}

/// A site's role in a district.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SiteRole {
    /// Where applications normally run.
    Primary,
    /// Where applications are recovered.
    Standby,
    /// A small remote site.
    Edge,
}

/// A site of the district.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DistrictSite {
    /// The Site.
    pub site_ref: ObjectReference,
    /// Its role.
    pub role: SiteRole,
}

/// A department.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Department {
    /// Name used in Applications.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Names for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<LocalizedText>,
}

/// The five roles of a district.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// May read.
    Viewer,
    /// May declare platforms, applications and backups.
    Engineer,
    /// May approve.
    Approver,
    /// May run drills and failovers.
    Commander,
    /// May read everything, including who has which role.
    Auditor,
}

/// The members of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleBinding {
    /// The role.
    pub role: Role,
    /// Groups with this role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,
    /// Users with this role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub users: Vec<String>,
}

/// Namespaces on the sites that a district may touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SiteNamespaces {
    /// Name prefixes; `<district>-` when neither list is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub prefixes: Vec<String>,
    /// Full names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(min = 1, max = 63)))]
    pub names: Vec<String>,
}

/// Observed state of the district.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DistrictStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Its namespace on the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Ready, AccessApplied, ObjectsLimited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl District {
    /// The district's namespace on the hub.
    pub fn hub_namespace(&self) -> &str {
        self.spec.namespace.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }
}
