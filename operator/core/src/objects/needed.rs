//! Which cluster-scoped objects the applications of some namespaces need: a proposal for `spec.clusterResources`.

use super::{
    cluster::{ClusterKind, permitted},
    group, kind, name, text,
};
use p861_crds::{names::PLATFORM_LABEL, platform::application::ClusterResource};
use serde_json::Value;
use std::collections::BTreeSet;

/// Annotation by which Helm says in which namespace it installed something.
const HELM_NAMESPACE: &str = "/metadata/annotations/meta.helm.sh~1release-namespace";

/// What was found on a site. Whatever could not be read is left out.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Names of the CustomResourceDefinitions (`<plural>.<group>`) of whose kinds the namespaces have objects.
    pub used_definitions: BTreeSet<String>,
    /// Specs of the pods, and of pod templates, in the namespaces.
    pub pod_specs: Vec<Value>,
    /// RoleBindings in the namespaces.
    pub role_bindings: Vec<Value>,
    /// Cluster-scoped objects of the site, with their kinds. Of CustomResourceDefinitions the names are enough.
    pub cluster: Vec<Value>,
}

/// The objects that belong to what runs in these namespaces, in the order in which they are written. What the platform itself declares is not among them.
pub fn needed(namespaces: &[String], survey: &Survey) -> Vec<ClusterResource> {
    let own = |namespace: &str| namespaces.iter().any(|own| own == namespace);
    let bound = |object: &Value| kind(object) == "ClusterRoleBinding" && all_of(object.get("subjects"), |subject| is_account(subject, own));
    let bindings = survey.cluster.iter().filter(|object| bound(object)).chain(&survey.role_bindings);
    let roles: BTreeSet<&str> =
        bindings.filter(|binding| text(binding, "/roleRef/kind") == "ClusterRole").map(|binding| text(binding, "/roleRef/name")).collect();
    let named_by_pods = |field: &str, object: &Value| survey.pod_specs.iter().any(|pod| text(pod, field) == name(object));
    let is_needed = |object: &&Value| match kind(object) {
        "CustomResourceDefinition" => survey.used_definitions.contains(name(object)),
        "ClusterRole" => roles.contains(name(object)),
        "ClusterRoleBinding" => bound(object),
        "PriorityClass" => named_by_pods("/priorityClassName", object),
        // Many use these; whose they are, only their installation says.
        "RuntimeClass" => named_by_pods("/runtimeClassName", object) && own(text(object, HELM_NAMESPACE)),
        "IngressClass" => own(text(object, HELM_NAMESPACE)) || own(text(object, "/spec/parameters/namespace")),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            all_of(object.get("webhooks"), |webhook| own(text(webhook, "/clientConfig/service/namespace")))
        }
        _ => false,
    };
    let of_platform = |object: &Value| object.pointer("/metadata/labels").is_some_and(|labels| labels.get(PLATFORM_LABEL).is_some());
    let resource = |object: &Value| {
        let group = group(object);
        let resource = ClusterResource { group: (!group.is_empty()).then(|| group.to_owned()), kind: kind(object).to_owned(), name: name(object).to_owned() };
        permitted(&resource).ok().map(|kind: &ClusterKind| (kind.order(), resource))
    };
    let mut found: Vec<(u8, ClusterResource)> = survey.cluster.iter().filter(is_needed).filter(|object| !of_platform(object)).filter_map(resource).collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, resource)| resource).collect()
}

/// Whether a list has entries, and all are so.
fn all_of(list: Option<&Value>, holds: impl Fn(&Value) -> bool) -> bool {
    list.and_then(Value::as_array).is_some_and(|list| !list.is_empty() && list.iter().all(holds))
}

/// Whether a subject is an account, or the accounts, of one of these namespaces.
fn is_account(subject: &Value, own: impl Fn(&str) -> bool) -> bool {
    match text(subject, "/kind") {
        "ServiceAccount" => own(text(subject, "/namespace")),
        "Group" => text(subject, "/name").strip_prefix("system:serviceaccounts:").is_some_and(own),
        "User" => {
            let account = text(subject, "/name").strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
            account.is_some_and(|(namespace, _)| own(namespace))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(api: &str, kind: &str, rest: Value) -> Value {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "gadgets"}});
        object.as_object_mut().expect("an object").extend(rest.as_object().expect("members").clone());
        object
    }

    #[test]
    fn fault_b12_discovery_proposes_what_belongs_to_the_namespaces_and_nothing_else() {
        let account = |namespace: &str| json!({"kind": "ServiceAccount", "name": "a", "namespace": namespace});
        let binding = |role: &str, subjects: Value| {
            found("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", json!({"roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects}))
        };
        let hook = |namespaces: &[&str]| {
            let hooks: Vec<Value> = namespaces.iter().map(|namespace| json!({"clientConfig": {"service": {"namespace": namespace}}})).collect();
            found("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", json!({ "webhooks": hooks }))
        };
        let definition = |name: &str| found("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({"metadata": {"name": name}}));
        let role = |name: &str| found("rbac.authorization.k8s.io/v1", "ClusterRole", json!({"metadata": {"name": name}}));
        let helm = |namespace: &str| json!({"metadata": {"name": "gadgets", "annotations": {"meta.helm.sh/release-namespace": namespace}}});
        let survey = || Survey {
            used_definitions: BTreeSet::from(["gadgets.demo.example".to_owned(), "backups.platform861.io".to_owned()]),
            pod_specs: vec![json!({"priorityClassName": "gadgets", "runtimeClassName": "gadgets"}), json!({"priorityClassName": "system-node-critical"})],
            role_bindings: vec![
                json!({"kind": "RoleBinding", "roleRef": {"kind": "ClusterRole", "name": "by-role-binding"}}),
                json!({"kind": "RoleBinding", "roleRef": {"kind": "Role", "name": "gadgets"}}),
            ],
            cluster: Vec::new(),
        };
        let class = |rest: Value| found("scheduling.k8s.io/v1", "PriorityClass", rest);
        for (objects, proposed) in [
            (vec![definition("gadgets.demo.example"), definition("others.demo.example")], vec!["gadgets.demo.example"]),
            // The platform's own are no application's, whoever uses them.
            (vec![definition("backups.platform861.io")], vec![]),
            (vec![binding("gadgets", json!([account("shinan-a")])), role("gadgets"), role("others")], vec!["gadgets", "gadgets"]),
            (vec![binding("view", json!([account("shinan-a")])), role("view")], vec!["gadgets"]),
            (vec![binding("gadgets", json!([account("shinan-a"), account("laoshan-a")])), role("gadgets")], vec![]),
            (vec![binding("gadgets", json!([])), binding("gadgets", json!([{"kind": "Group", "name": "system:authenticated"}]))], vec![]),
            (
                vec![binding(
                    "x",
                    json!([{"kind": "Group", "name": "system:serviceaccounts:shinan-a"}, {"kind": "User", "name": "system:serviceaccount:shinan-a:b"}]),
                )],
                vec!["gadgets"],
            ),
            (vec![role("by-role-binding"), role("gadgets")], vec!["by-role-binding"]),
            (vec![class(json!({"value": 5}))], vec!["gadgets"]),
            (vec![class(json!({"metadata": {"name": "gadgets", "labels": {PLATFORM_LABEL: "main"}}}))], vec![]),
            (vec![class(json!({"metadata": {"name": "system-node-critical"}})), class(json!({"metadata": {"name": "unused"}}))], vec![]),
            (vec![hook(&["shinan-a"])], vec!["gadgets"]),
            (vec![hook(&["shinan-a", "kube-system"])], vec![]),
            (vec![hook(&[])], vec![]),
            (vec![found("node.k8s.io/v1", "RuntimeClass", json!({"handler": "kata"}))], vec![]),
            (vec![found("node.k8s.io/v1", "RuntimeClass", helm("shinan-a"))], vec!["gadgets"]),
            (vec![found("networking.k8s.io/v1", "IngressClass", helm("ingress-nginx"))], vec![]),
            (vec![found("networking.k8s.io/v1", "IngressClass", helm("shinan-a"))], vec!["gadgets"]),
            (vec![found("networking.k8s.io/v1", "IngressClass", json!({"spec": {"parameters": {"namespace": "shinan-a"}}}))], vec!["gadgets"]),
            (vec![found("v1", "PersistentVolume", json!({})), found("storage.k8s.io/v1", "StorageClass", json!({}))], vec![]),
        ] {
            let survey = Survey { cluster: objects.clone(), ..survey() };
            let names: Vec<String> = needed(&["shinan-a".to_owned()], &survey).into_iter().map(|resource| resource.name).collect();
            assert_eq!(names, proposed, "{objects:?}");
        }
    }

    #[test]
    fn fault_b12_the_proposal_comes_in_the_order_in_which_it_is_written() {
        let survey = Survey {
            used_definitions: BTreeSet::from(["gadgets".to_owned()]),
            pod_specs: vec![json!({"priorityClassName": "gadgets"})],
            role_bindings: Vec::new(),
            cluster: vec![
                found(
                    "admissionregistration.k8s.io/v1",
                    "MutatingWebhookConfiguration",
                    json!({"webhooks": [{"clientConfig": {"service": {"namespace": "n"}}}]}),
                ),
                found("scheduling.k8s.io/v1", "PriorityClass", json!({})),
                found("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({})),
            ],
        };
        let kinds: Vec<String> = needed(&["n".to_owned()], &survey).into_iter().map(|resource| resource.kind).collect();
        assert_eq!(kinds, ["CustomResourceDefinition", "PriorityClass", "MutatingWebhookConfiguration"]);
    }
}
