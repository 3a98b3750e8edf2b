//! ChangeTemplate: work that is approved once for all, within stated limits.

use super::{
    super::common::{Condition, Duration, LocalizedText, ObjectReference},
    change::{
        BlockingAlert, ChangeBackup, ChangeSilence, Manual, Rollback, default_blocking_alerts, default_drain_deadline, default_healthy_within,
        default_watch_for,
    },
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Work that is approved once for all. A change of class Standard names a template and keeps within it; any other change is approved individually. An Approver publishes a
/// template for a district, the city in the operator's namespace for all districts.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "platform861.io",
    version = "v1alpha1",
    kind = "ChangeTemplate",
    derive = "PartialEq",
    namespaced,
    status = "ChangeTemplateStatus",
    shortname = "ctpl",
    category = "p861",
    validation = Rule::new("self.metadata.name.size() <= 63").message("a template's name has at most 63 characters"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Publisher", type_ = "string", json_path = ".spec.publishedBy"),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title.zh"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("a template can't be changed: publish another, or delete it to withdraw it and publish it anew"),
    validation = Rule::new("!has(self.work.manual) || has(self.plan)").message("manual work is what its plan says: write spec.plan")
)]
pub struct ChangeTemplateSpec {
    /// Title.
    pub title: LocalizedText,
    /// The work, with what of it may vary.
    pub work: TemplateWork,
    /// What a change must name as affected. What is absent may be anything of the district.
    #[serde(default)]
    pub affects: TemplateAffects,
    /// Description of the work. A change must have the same; if absent, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<LocalizedText>,
    /// Backup before the work. Affected: a change must take it. Skip: it may.
    #[serde(default)]
    pub backup: ChangeBackup,
    /// Silences during the work. Affected: a change may make them. None: it must not.
    #[serde(default)]
    pub silence: ChangeSilence,
    /// Alerts that prevent the start. A change must name them, and may name more.
    #[serde(default = "default_blocking_alerts")]
    #[schemars(length(max = 8))]
    pub blocking_alerts: Vec<BlockingAlert>,
    /// What to do on failure. A change must have the same policy, and the same plan if one is stated here.
    #[serde(default)]
    pub rollback: Rollback,
    /// Expected duration. A change must state the same; if absent, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_duration: Option<Duration>,
    /// Publisher, who can't open Standard changes by it. Admission fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub published_by: Option<String>,
}

/// The work of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.upgradeComponent), has(self.drainNode), has(self.manual)].filter(w, w).size() == 1").message("name the work that is permitted: one of upgradeComponent: {components, versions, bundles}, drainNode: {nodes} and, for work of people, manual: {}")
)]
pub struct TemplateWork {
    /// Upgrades of components of a Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_component: Option<TemplateUpgrade>,
    /// Drains of nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_node: Option<TemplateDrain>,
    /// Manual work, as `spec.plan` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<Manual>,
}

/// Which upgrades are permitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateUpgrade {
    /// Components of a district's Platform, by name.
    #[schemars(length(min = 1, max = 64))]
    pub components: Vec<ComponentName>,
    /// Versions that may be installed.
    pub versions: VersionRange,
    /// Where the manifests may come from: a version is a name only, and whoever declares the component chooses them.
    #[schemars(length(min = 1, max = 64))]
    pub bundles: Vec<TemplateBundle>,
    /// Longest `healthyWithin` of a change.
    #[serde(default = "default_healthy_within")]
    pub healthy_within: Duration,
    /// Shortest `watchFor` of a change.
    #[serde(default = "default_watch_for")]
    pub watch_for: Duration,
}

/// The name of a component.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ComponentName(#[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))] pub String);

/// Versions from one on and below another. They are compared number by number, with or without a leading `v`; a pre-release such as `1.7.0-rc.1` is in no range that
/// doesn't begin with one of the same version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionRange {
    /// The lowest version.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-+._A-Za-z0-9]*[A-Za-z0-9])?$"))]
    pub at_least: String,
    /// The lowest version that is too high.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-+._A-Za-z0-9]*[A-Za-z0-9])?$"))]
    pub below: String,
}

/// Where manifests may come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.image), has(self.digest), has(self.configMapRef)].filter(b, b).size() == 1").message("give exactly one of image, digest and configMapRef")
)]
pub struct TemplateBundle {
    /// Any manifests of this OCI image: an image reference without tag, as `bundle.oci.image` of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// The OCI image with this digest of its manifest, whatever it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"), length(max = 71))]
    pub digest: Option<String>,
    /// Whatever this ConfigMap of the district's namespace on the hub has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ObjectReference>,
}

/// Which drains are permitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateDrain {
    /// Nodes that may be drained.
    #[schemars(length(min = 1, max = 32))]
    pub nodes: Vec<TemplateNodes>,
    /// Longest `deadline` of a change.
    #[serde(default = "default_drain_deadline")]
    pub deadline: Duration,
    /// A change may say `deleteEmptyDirData`.
    #[serde(default)]
    pub delete_empty_dir_data: bool,
    /// A change may say `force`.
    #[serde(default)]
    pub force: bool,
}

/// Nodes of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateNodes {
    /// The site.
    pub site_ref: ObjectReference,
    /// Its nodes, by name; when absent, any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 253)))]
    pub node_names: Option<Vec<String>>,
}

/// What a change by a template must name as affected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateAffects {
    /// Exactly these applications; when absent, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub application_refs: Option<Vec<ObjectReference>>,
    /// Exactly these sites; when absent, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub site_refs: Option<Vec<ObjectReference>>,
}

/// State of the template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangeTemplateStatus {
    /// Generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the work, its limits and its publisher. Changes are bound to the digest at their opening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
