//! What is attacked, and what is laid out there.

use super::attack::{Forms, Target};
use crate::support::{documents, root};
use serde_json::{Value, json};

/// Our kinds, and whether each is in a namespace.
const OURS: [(&str, &str, bool); 16] = [
    ("Site", "sites", false),
    ("District", "districts", false),
    ("PlatformProfile", "platformprofiles", false),
    ("Platform", "platforms", true),
    ("Application", "applications", true),
    ("BackupRepository", "backuprepositories", true),
    ("BackupPolicy", "backuppolicies", true),
    ("Backup", "backups", true),
    ("Restore", "restores", true),
    ("RecoveryPlan", "recoveryplans", true),
    ("Drill", "drills", true),
    ("MaintenanceWindow", "maintenancewindows", true),
    ("ChangeTemplate", "changetemplates", true),
    ("MaintenanceTicket", "maintenancetickets", true),
    ("Approval", "approvals", true),
    ("DutyRoster", "dutyrosters", true),
];

/// Kinds of Kubernetes: group, version, kind, plural, whether in a namespace.
const KUBERNETES: &[(&str, &str, &str, &str, bool)] = &[
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Event", "events", true),
    ("", "v1", "Pod", "pods", true),
    ("", "v1", "Service", "services", true),
    ("", "v1", "Endpoints", "endpoints", true),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "v1", "ResourceQuota", "resourcequotas", true),
    ("", "v1", "ReplicationController", "replicationcontrollers", true),
    ("events.k8s.io", "v1", "Event", "events", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("apps", "v1", "StatefulSet", "statefulsets", true),
    ("apps", "v1", "DaemonSet", "daemonsets", true),
    ("apps", "v1", "ReplicaSet", "replicasets", true),
    ("batch", "v1", "Job", "jobs", true),
    ("batch", "v1", "CronJob", "cronjobs", true),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", true),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true),
    ("coordination.k8s.io", "v1", "Lease", "leases", true),
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "Node", "nodes", false),
    ("", "v1", "PersistentVolume", "persistentvolumes", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", false),
];

const OPENED: Forms = Forms::Open(&["GET", "POST"]);
const PROXIED: Forms = Forms::Open(&["GET", "POST", "PUT", "PATCH", "DELETE"]);

/// Subresources of Kubernetes' kinds.
const PARTS: &[(&str, &str, Forms)] = &[
    ("pods", "log", Forms::Open(&["GET"])),
    ("pods", "exec", OPENED),
    ("pods", "attach", OPENED),
    ("pods", "portforward", OPENED),
    ("pods", "proxy", PROXIED),
    ("pods", "eviction", Forms::Ask),
    ("pods", "binding", Forms::Ask),
    ("pods", "ephemeralcontainers", Forms::Part),
    ("pods", "status", Forms::Part),
    ("services", "proxy", PROXIED),
    ("services", "status", Forms::Part),
    ("serviceaccounts", "token", Forms::Ask),
    ("deployments", "scale", Forms::Part),
    ("deployments", "status", Forms::Part),
    ("statefulsets", "scale", Forms::Part),
    ("statefulsets", "status", Forms::Part),
    ("replicasets", "scale", Forms::Part),
    ("replicationcontrollers", "scale", Forms::Part),
    ("nodes", "proxy", PROXIED),
    ("nodes", "status", Forms::Part),
    ("namespaces", "status", Forms::Part),
    ("certificatesigningrequests", "approval", Forms::Part),
];

/// Rights that are no requests: they are asked of the API server's judgement. Verbs, and the resource.
pub const JUDGED: &[(&[&str], &str)] = &[
    (&["approve"], "drills.platform861.io"),
    (&["approve"], "maintenancetickets.platform861.io"),
    (&["run"], "movers.platform861.io"),
    (&["update"], "backups.platform861.io/finalizers"),
    (&["update"], "restores.platform861.io/finalizers"),
    (&["update"], "drills.platform861.io/finalizers"),
    (&["update"], "maintenancetickets.platform861.io/finalizers"),
    (&["update"], "deployments.apps/finalizers"),
    (&["bind", "escalate"], "roles.rbac.authorization.k8s.io"),
    (&["bind", "escalate"], "clusterroles.rbac.authorization.k8s.io"),
    (&["impersonate"], "users"),
    (&["impersonate"], "groups"),
    (&["impersonate"], "serviceaccounts"),
    (&["impersonate"], "userextras.authentication.k8s.io/scopes"),
];

/// Everything that is attacked.
pub fn targets() -> Vec<Target> {
    let target = |(group, version, kind, plural, namespaced): (&'static str, &'static str, &str, &'static str, bool), sub: &'static str, forms: Forms| Target {
        group,
        version,
        kind: kind.to_owned(),
        plural,
        sub,
        namespaced,
        forms,
    };
    let mut all = vec![target(("", "v1", "Secret", "secrets", true), "", Forms::All)];
    for (kind, plural, namespaced) in OURS {
        let ours = ("platform861.io", "v1alpha1", kind, plural, namespaced);
        all.extend([target(ours, "", Forms::All), target(ours, "status", Forms::Part)]);
    }
    for kind in KUBERNETES {
        // What a role may write there is tried in every form, too.
        let full = matches!(kind.3, "pods" | "deployments" | "serviceaccounts" | "rolebindings");
        all.push(target(*kind, "", if full { Forms::All } else { Forms::Each }));
        all.extend(PARTS.iter().filter(|(plural, ..)| *plural == kind.3).map(|(_, sub, forms)| target(*kind, sub, *forms)));
    }
    all
}

/// What is in a Secret that nobody may read. Each of these words alone would give it away.
pub const HIDDEN: [&str; 4] = ["hushkey", "aHVzaHZhbHVl", "hushvalue", "hushnote"];

/// A Secret whose contents nobody may see.
pub fn secret(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace, "annotations": {"note": "hushnote"}}, "data": {"hushkey": "aHVzaHZhbHVl"}})
}

/// An object of each of our kinds, made of the first example that the API server takes.
pub fn ours(namespace: &str, name: &str) -> Vec<Value> {
    OURS.iter().map(|(kind, _, namespaced)| example(kind, namespaced.then_some(namespace), name)).collect()
}

fn example(kind: &str, namespace: Option<&str>, name: &str) -> Value {
    let folder = root().join("tests/examples").join(kind.to_lowercase());
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("examples").map(|file| file.expect("a file").path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("accepted-")));
    // The least says least of names.
    files.sort_by_key(|path| (!path.to_string_lossy().ends_with("accepted-least.yaml"), path.clone()));
    let mut object = documents(&std::fs::read_to_string(&files[0]).expect("an example")).remove(0);
    object["metadata"] = json!({"name": name});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        // The API server writes who asks.
        for by in ["requestedBy", "approver", "actions"] {
            spec.remove(by);
        }
    }
    object
}
