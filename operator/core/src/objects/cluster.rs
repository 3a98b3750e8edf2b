//! Cluster-scoped objects of an application: which an Application may name, and what of them may be written.
//!
//! Such an object is shared by everybody on the site. Three rules keep a district from reaching what isn't its own: only kinds of [`CLUSTER_KINDS`], and no name
//! of Kubernetes or of the platform ([`permitted`]); only contents that stay with the application ([`prepare_cluster`]); and only names for which the site's
//! administrator has given the district's movers a right, which the site's API server holds to. None is ever deleted.

use super::{group, kind, name, text};
use crate::runs::CopyRules;
use p861_crds::platform::application::ClusterResource;
use serde_json::{Value, json};
use std::fmt;

const EXTENSIONS: &str = "apiextensions.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// A cluster-scoped kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterKind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// Its name in addresses.
    pub plural: &'static str,
    /// Lower is written earlier.
    order: Order,
}

/// When objects of a kind are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    /// They define kinds, whose objects can be written afterwards.
    Definitions,
    /// Whatever is written may need them.
    Needed,
    /// They name others of these.
    Bindings,
    /// After everything else: they would refuse it while what they call doesn't run.
    Last,
}

/// The cluster-scoped kinds that an Application may name. All of them are served in version [`CLUSTER_VERSION`].
pub const CLUSTER_KINDS: &[ClusterKind] = &[
    ClusterKind { group: EXTENSIONS, kind: "CustomResourceDefinition", plural: "customresourcedefinitions", order: Order::Definitions },
    ClusterKind { group: RBAC, kind: "ClusterRole", plural: "clusterroles", order: Order::Needed },
    ClusterKind { group: "scheduling.k8s.io", kind: "PriorityClass", plural: "priorityclasses", order: Order::Needed },
    ClusterKind { group: "storage.k8s.io", kind: "StorageClass", plural: "storageclasses", order: Order::Needed },
    ClusterKind { group: "node.k8s.io", kind: "RuntimeClass", plural: "runtimeclasses", order: Order::Needed },
    ClusterKind { group: "networking.k8s.io", kind: "IngressClass", plural: "ingressclasses", order: Order::Needed },
    ClusterKind { group: "", kind: "PersistentVolume", plural: "persistentvolumes", order: Order::Needed },
    ClusterKind { group: RBAC, kind: "ClusterRoleBinding", plural: "clusterrolebindings", order: Order::Bindings },
    ClusterKind { group: ADMISSION, kind: "MutatingWebhookConfiguration", plural: "mutatingwebhookconfigurations", order: Order::Last },
    ClusterKind { group: ADMISSION, kind: "ValidatingWebhookConfiguration", plural: "validatingwebhookconfigurations", order: Order::Last },
];

/// The version in which they are read and written.
pub const CLUSTER_VERSION: &str = "v1";

impl ClusterKind {
    /// The kind of that group and name; none if an Application may name no object of it.
    pub fn of(group: &str, kind: &str) -> Option<&'static Self> {
        CLUSTER_KINDS.iter().find(|known| (known.group, known.kind) == (group, kind))
    }

    /// The kind of an object that an Application names.
    pub fn named(resource: &ClusterResource) -> Option<&'static Self> {
        Self::of(resource.group.as_deref().unwrap_or_default(), &resource.kind)
    }

    /// `group/version`, as objects have it.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { CLUSTER_VERSION.to_owned() } else { format!("{}/{CLUSTER_VERSION}", self.group) }
    }

    /// Whether objects of it are written into a copy, too: they define what its objects are, and give nobody anything. All others act on the whole cluster.
    pub fn goes_into_a_copy(&self) -> bool {
        self.order == Order::Definitions
    }

    /// Whether they are written after everything else.
    pub fn comes_last(&self) -> bool {
        self.order == Order::Last
    }

    /// Its place in the order in which kinds are written; lower is earlier.
    pub fn order(&self) -> u8 {
        self.order as u8
    }
}

impl fmt::Display for ClusterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(self.kind) } else { write!(f, "{}.{}", self.kind, self.group) }
    }
}

/// Whether an Application may name this object. Returns its kind.
///
/// # Errors
/// Why not, as a sentence: its kind isn't on the list, the name is none, or the object is Kubernetes' own or the platform's.
pub fn permitted(resource: &ClusterResource) -> Result<&'static ClusterKind, String> {
    let ClusterResource { group: _, kind, name } = resource;
    let Some(known) = ClusterKind::named(resource) else {
        let all: Vec<String> = CLUSTER_KINDS.iter().map(ToString::to_string).collect();
        let of = resource.group.as_deref().map(|group| format!(".{group}")).unwrap_or_default();
        return Err(format!("{kind}{of} {name}: an Application may name no such cluster-scoped object; the kinds are {}", all.join(", ")));
    };
    let is_name = !matches!(name.as_str(), "" | "." | "..") && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    if !is_name {
        return Err(format!("{kind} {name:?}: no object has such a name"));
    }
    match owner(known, name) {
        Some(owner) => Err(format!("{kind} {name} is {owner}, and no application's")),
        None => Ok(known),
    }
}

/// Whose an object is that is no application's.
fn owner(kind: &ClusterKind, name: &str) -> Option<&'static str> {
    let of_platform = name.starts_with("p861-") || name.ends_with(".platform861.io");
    let of_kubernetes = match kind.kind {
        "ClusterRole" | "ClusterRoleBinding" => matches!(name, "cluster-admin" | "admin" | "edit" | "view"),
        "PriorityClass" => name.starts_with("system-"),
        _ => false,
    };
    match (of_platform, of_kubernetes || name.starts_with("system:")) {
        (true, _) => Some("the platform's own"),
        (false, true) => Some("Kubernetes' own"),
        (false, false) => None,
    }
}

/// Whether an Application names the object so.
pub fn names_object(resource: &ClusterResource, object: &Value) -> bool {
    resource.group.as_deref().unwrap_or_default() == group(object) && resource.kind == kind(object) && resource.name == name(object)
}

/// A cluster-scoped object of a backup, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterObject {
    /// The object.
    pub object: Value,
    /// Why it must not be written, unless it is there just so already.
    pub forbidden: Option<String>,
    /// It was saved with owners, which mean nothing here.
    pub had_owners: bool,
}

/// Prepares a cluster-scoped object of a backup for its place. What it says of the application's namespaces moves with them.
pub fn prepare_cluster(mut object: Value, rules: &CopyRules) -> ClusterObject {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let had_owners = metadata.and_then(|metadata| metadata.remove("ownerReferences")).is_some();
    let forbidden = match (group(&object), kind(&object)) {
        (EXTENSIONS, "CustomResourceDefinition") => object.pointer_mut("/spec/conversion/webhook/clientConfig").and_then(|call| called(call, rules)),
        (RBAC, "ClusterRole") => hands_out(&object),
        (RBAC, "ClusterRoleBinding") => bound(&mut object, rules),
        (ADMISSION, _) => items(object.get_mut("webhooks")).filter_map(|webhook| webhook.get_mut("clientConfig")).find_map(|call| called(call, rules)),
        ("", "PersistentVolume") => volume(&mut object, rules),
        ("scheduling.k8s.io", _) if object.get("globalDefault") == Some(&Value::Bool(true)) => Some(DEFAULT.to_owned()),
        ("storage.k8s.io", _) if is_marked(&object, "storageclass.kubernetes.io~1is-default-class") => Some(DEFAULT.to_owned()),
        ("networking.k8s.io", _) if is_marked(&object, "ingressclass.kubernetes.io~1is-default-class") => Some(DEFAULT.to_owned()),
        _ => None,
    };
    ClusterObject { object, forbidden, had_owners }
}

const DEFAULT: &str = "it would be the default of the whole cluster, for every district: only the site's administrator may write it";

fn is_marked(object: &Value, annotation: &str) -> bool {
    text(object, &format!("/metadata/annotations/{annotation}")) == "true"
}

fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

/// The API server asks a webhook about objects of everybody, so it may only be a Service of the application.
fn called(call: &mut Value, rules: &CopyRules) -> Option<String> {
    if call.get("url").is_some() {
        return Some("it calls a webhook by its URL, outside the application".into());
    }
    let namespace = text(call, "/service/namespace").to_owned();
    match (rules.namespaces.get(&namespace), call.get_mut("service").and_then(Value::as_object_mut)) {
        (Some(target), Some(service)) => {
            service.insert("namespace".into(), json!(target));
            None
        }
        _ => Some(format!("it calls a webhook in namespace {namespace:?}, which is none of the application's")),
    }
}

/// Rights by which whoever has them gets any other. The API server refuses the writer those that he doesn't have himself, but he might have them.
fn hands_out(role: &Value) -> Option<String> {
    let mut rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    let has = |rule: &Value, field: &str, wanted: &[&str]| {
        rule.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).any(|value| wanted.contains(&value))
    };
    let powerful = |rule: &&Value| {
        let any_verb = has(rule, "verbs", &["*"]);
        let of_rights =
            has(rule, "apiGroups", &["*", RBAC]) || (has(rule, "apiGroups", &[""]) && has(rule, "resources", &["*", "serviceaccounts", "users", "groups"]));
        has(rule, "verbs", &["escalate", "bind", "impersonate"]) || (any_verb && of_rights)
    };
    rules.find(powerful).map(|rule| format!("its rule {rule} would let the application hand out any right, or act as anybody"))
}

/// Gives a binding its subjects in the target. All must be accounts of the application.
fn bound(binding: &mut Value, rules: &CopyRules) -> Option<String> {
    items(binding.get_mut("subjects")).find_map(|subject| {
        let told = || format!("its subject {} {} is no account of the application", text(subject, "/kind"), text(subject, "/name"));
        let target = |from: &str| rules.namespaces.get(from);
        let moved = match text(subject, "/kind") {
            "ServiceAccount" => target(text(subject, "/namespace")).map(|to| ("namespace", to.clone())),
            "Group" => {
                text(subject, "/name").strip_prefix("system:serviceaccounts:").and_then(target).map(|to| ("name", format!("system:serviceaccounts:{to}")))
            }
            "User" => text(subject, "/name")
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
                .and_then(|(from, account)| Some(("name", format!("system:serviceaccount:{}:{account}", target(from)?)))),
            _ => None,
        };
        let Some((field, value)) = moved else { return Some(told()) };
        if let Some(subject) = subject.as_object_mut() {
            subject.insert(field.into(), json!(value));
        }
        None
    })
}

/// A volume is the application's if it is reserved for a claim of it, or for nobody. One in a node's own files is a way into the node.
fn volume(volume: &mut Value, rules: &CopyRules) -> Option<String> {
    if let Some(path) = ["hostPath", "local"].into_iter().find(|source| volume.pointer(&format!("/spec/{source}")).is_some()) {
        return Some(format!("its {path} is a part of a node's file system"));
    }
    let claim = volume.pointer_mut("/spec/claimRef").and_then(Value::as_object_mut)?;
    // Of the claim that had it there. The one here is known by its name.
    claim.remove("uid");
    claim.remove("resourceVersion");
    let namespace = claim.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(target) = rules.namespaces.get(&namespace) else {
        return Some(format!("it is reserved for a claim in namespace {namespace:?}, which is none of the application's"));
    };
    claim.insert("namespace".into(), json!(target));
    None
}

/// Whether the API server has taken a CustomResourceDefinition: objects of its kind can be written.
pub fn is_established(definition: &Value) -> bool {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    let holds = |wanted: &str| conditions.is_some_and(|all| all.iter().any(|one| text(one, "/type") == wanted && text(one, "/status") == "True"));
    holds("Established") && holds("NamesAccepted")
}

/// The namespaced kind that a CustomResourceDefinition defines, by group and kind; none if its objects are in no namespace.
pub fn defined_kind(definition: &Value) -> Option<(String, String)> {
    let is_definition = (group(definition), kind(definition)) == (EXTENSIONS, "CustomResourceDefinition");
    let found = (text(definition, "/spec/group").to_owned(), text(definition, "/spec/names/kind").to_owned());
    (is_definition && text(definition, "/spec/scope") == "Namespaced").then_some(found)
}

#[cfg(test)]
#[path = "cluster/tests.rs"]
mod tests;
