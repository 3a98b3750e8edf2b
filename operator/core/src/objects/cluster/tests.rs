//! What an Application may name, and what of it is written.

use super::*;
use p861_crds::platform::application::CronJobsInCopy;
use std::collections::BTreeMap;

fn resource(group: &str, kind: &str, name: &str) -> ClusterResource {
    ClusterResource { group: (!group.is_empty()).then(|| group.to_owned()), kind: kind.into(), name: name.into() }
}

fn rules() -> CopyRules {
    CopyRules {
        namespaces: BTreeMap::from([("shinan-gadgets".to_owned(), "shinan-new".to_owned())]),
        storage_classes: Vec::new(),
        images: Vec::new(),
        isolated: false,
        stopped: false,
        cron_jobs: CronJobsInCopy::Run,
        patches: Vec::new(),
        kinds: Vec::new(),
        resolver: Vec::new(),
        labels: BTreeMap::new(),
    }
}

fn object(api: &str, kind: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "gadgets"}});
    object.as_object_mut().expect("an object").extend(rest.as_object().expect("members").clone());
    object
}

#[test]
fn fault_b12_an_application_names_only_kinds_of_the_list_and_no_object_that_is_kubernetes_own_or_the_platforms() {
    for known in CLUSTER_KINDS {
        assert_eq!(permitted(&resource(known.group, known.kind, "gadgets.demo.example")), Ok(known));
    }
    for (named, says) in [
        (resource("", "Namespace", "shinan-gadgets"), "no such cluster-scoped object"),
        (resource("", "Node", "n1"), "no such cluster-scoped object"),
        (resource("apiregistration.k8s.io", "APIService", "v1.demo.example"), "no such cluster-scoped object"),
        // A kind of the same name in another group is another.
        (resource("", "ClusterRole", "gadgets"), "no such cluster-scoped object"),
        (resource("demo.example", "PersistentVolume", "gadgets"), "no such cluster-scoped object"),
        (resource(RBAC, "ClusterRole", "cluster-admin"), "Kubernetes' own"),
        (resource(RBAC, "ClusterRole", "view"), "Kubernetes' own"),
        (resource(RBAC, "ClusterRoleBinding", "system:basic-user"), "Kubernetes' own"),
        (resource("scheduling.k8s.io", "PriorityClass", "system-node-critical"), "Kubernetes' own"),
        (resource(RBAC, "ClusterRole", "p861-mover-restore"), "the platform's own"),
        (resource(EXTENSIONS, "CustomResourceDefinition", "backups.platform861.io"), "the platform's own"),
        (resource(RBAC, "ClusterRole", "../clusterroles/x"), "no object has such a name"),
        (resource(RBAC, "ClusterRole", ".."), "no object has such a name"),
        (resource(RBAC, "ClusterRole", "a%2fb"), "no object has such a name"),
        (resource(RBAC, "ClusterRole", ""), "no object has such a name"),
    ] {
        let refused = permitted(&named).expect_err(&named.name);
        assert!(refused.contains(says), "{named:?}: {refused}");
    }
}

#[test]
fn fault_b12_no_kind_of_the_list_is_ever_deleted_by_a_restore() {
    for known in CLUSTER_KINDS {
        let live = json!({"apiVersion": known.api_version(), "kind": known.kind, "metadata": {"name": "a", "uid": "u"}});
        assert!(super::super::replaceable(&live, &live).is_err(), "{known}");
    }
}

#[test]
fn fault_b12_definitions_come_first_bindings_after_roles_and_webhooks_after_everything() {
    let order = |kind: &str| CLUSTER_KINDS.iter().find(|known| known.kind == kind).expect(kind);
    for (before, after) in [
        ("CustomResourceDefinition", "ClusterRole"),
        ("CustomResourceDefinition", "PersistentVolume"),
        ("ClusterRole", "ClusterRoleBinding"),
        ("ClusterRoleBinding", "ValidatingWebhookConfiguration"),
    ] {
        assert!(order(before).order() < order(after).order(), "{before} before {after}");
    }
    let last: Vec<&str> = CLUSTER_KINDS.iter().filter(|kind| kind.comes_last()).map(|kind| kind.kind).collect();
    assert_eq!(last, ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);
    let copied: Vec<&str> = CLUSTER_KINDS.iter().filter(|kind| kind.goes_into_a_copy()).map(|kind| kind.kind).collect();
    assert_eq!(copied, ["CustomResourceDefinition"], "everything else acts on the whole cluster");
}

#[test]
fn fault_b12_what_would_reach_beyond_the_application_is_not_written() {
    let role = |rule: Value| {
        object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            json!({"rules": [{"apiGroups": ["demo.example"], "resources": ["gadgets"], "verbs": ["get"]}, rule]}),
        )
    };
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    let binding = |subject: Value| object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", json!({"roleRef": {"name": "gadgets"}, "subjects": [subject]}));
    let webhook =
        |call: Value| object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", json!({"webhooks": [{"name": "a", "clientConfig": call}]}));
    let volume = |spec: Value| object("v1", "PersistentVolume", json!({ "spec": spec }));
    let conversion =
        |call: Value| object("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({"spec": {"conversion": {"webhook": {"clientConfig": call}}}}));
    let own = || json!({"service": {"name": "hooks", "namespace": "shinan-gadgets"}});
    for (object, forbidden) in [
        (role(rule(&["demo.example"], &["*"], &["*"])), None),
        (role(rule(&[""], &["secrets"], &["*"])), None),
        (role(rule(&[RBAC], &["roles"], &["get", "list"])), None),
        (role(rule(&[RBAC], &["clusterroles"], &["escalate"])), Some("hand out any right")),
        (role(rule(&[RBAC], &["clusterroles"], &["bind"])), Some("hand out any right")),
        (role(rule(&[""], &["users"], &["impersonate"])), Some("act as anybody")),
        (role(rule(&[RBAC], &["roles"], &["*"])), Some("hand out any right")),
        (role(rule(&["*"], &["*"], &["*"])), Some("hand out any right")),
        (role(rule(&[""], &["*"], &["*"])), Some("act as anybody")),
        (role(rule(&[""], &["serviceaccounts"], &["*"])), Some("act as anybody")),
        (binding(json!({"kind": "ServiceAccount", "name": "gadgets", "namespace": "shinan-gadgets"})), None),
        (binding(json!({"kind": "Group", "name": "system:serviceaccounts:shinan-gadgets"})), None),
        (binding(json!({"kind": "User", "name": "system:serviceaccount:shinan-gadgets:gadgets"})), None),
        (binding(json!({"kind": "ServiceAccount", "name": "gadgets", "namespace": "laoshan-gadgets"})), Some("subject ServiceAccount gadgets")),
        (binding(json!({"kind": "ServiceAccount", "name": "gadgets"})), Some("no account of the application")),
        (binding(json!({"kind": "Group", "name": "system:serviceaccounts"})), Some("subject Group system:serviceaccounts")),
        (binding(json!({"kind": "Group", "name": "system:authenticated"})), Some("no account of the application")),
        (binding(json!({"kind": "User", "name": "engineer-li"})), Some("subject User engineer-li")),
        (webhook(own()), None),
        (webhook(json!({"url": "https://evil.example"})), Some("by its URL")),
        (webhook(json!({"service": {"name": "hooks", "namespace": "kube-system"}})), Some("namespace \"kube-system\"")),
        (webhook(json!({})), Some("none of the application's")),
        (conversion(own()), None),
        (conversion(json!({"service": {"name": "hooks", "namespace": "laoshan-gadgets"}})), Some("laoshan-gadgets")),
        (object("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({"spec": {"conversion": {"strategy": "None"}}})), None),
        (volume(json!({"nfs": {"server": "s", "path": "/p"}})), None),
        (volume(json!({"claimRef": {"namespace": "shinan-gadgets", "name": "files"}})), None),
        (volume(json!({"claimRef": {"namespace": "laoshan-gadgets", "name": "files"}})), Some("laoshan-gadgets")),
        (volume(json!({"hostPath": {"path": "/"}})), Some("a node's file system")),
        (volume(json!({"local": {"path": "/mnt"}})), Some("a node's file system")),
        (object("scheduling.k8s.io/v1", "PriorityClass", json!({"value": 5})), None),
        (object("scheduling.k8s.io/v1", "PriorityClass", json!({"value": 5, "globalDefault": true})), Some("default of the whole cluster")),
        (
            object(
                "storage.k8s.io/v1",
                "StorageClass",
                json!({"metadata": {"name": "a", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}),
            ),
            Some("default"),
        ),
        (
            object(
                "networking.k8s.io/v1",
                "IngressClass",
                json!({"metadata": {"name": "a", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}),
            ),
            Some("default"),
        ),
        (object("node.k8s.io/v1", "RuntimeClass", json!({"handler": "kata"})), None),
    ] {
        let prepared = prepare_cluster(object.clone(), &rules());
        match (&prepared.forbidden, forbidden) {
            (Some(why), Some(says)) => assert!(why.contains(says), "{object}: {why}"),
            (found, expected) => assert_eq!(found.as_deref(), expected, "{object}"),
        }
    }
}

#[test]
fn fault_b12_what_an_object_says_of_the_applications_namespaces_moves_with_them() {
    let owned = json!({"metadata": {"name": "gadgets", "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "o"}]}});
    for (mut saved, at) in [
        (
            object(
                "rbac.authorization.k8s.io/v1",
                "ClusterRoleBinding",
                json!({"subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "shinan-gadgets"}]}),
            ),
            "/subjects/0/namespace",
        ),
        (
            object(
                "admissionregistration.k8s.io/v1",
                "MutatingWebhookConfiguration",
                json!({"webhooks": [{"clientConfig": {"service": {"namespace": "shinan-gadgets"}}}]}),
            ),
            "/webhooks/0/clientConfig/service/namespace",
        ),
        (
            object(
                "v1",
                "PersistentVolume",
                json!({"spec": {"claimRef": {"namespace": "shinan-gadgets", "name": "files", "uid": "u", "resourceVersion": "7"}}}),
            ),
            "/spec/claimRef/namespace",
        ),
    ] {
        saved["metadata"] = owned["metadata"].clone();
        let prepared = prepare_cluster(saved, &rules());
        assert_eq!((prepared.object.pointer(at), prepared.forbidden.clone(), prepared.had_owners), (Some(&json!("shinan-new")), None, true));
        assert!(prepared.object.pointer("/spec/claimRef/uid").is_none() && prepared.object.pointer("/metadata/ownerReferences").is_none(), "{prepared:?}");
    }
}

#[test]
fn fault_b12_a_definition_is_waited_for_until_the_api_server_has_taken_it() {
    let definition = |established: &str, accepted: &str| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": {"group": "demo.example", "scope": "Namespaced", "names": {"kind": "Gadget"}},
            "status": {"conditions": [{"type": "NamesAccepted", "status": accepted}, {"type": "Established", "status": established}]}})
    };
    for (established, accepted, ready) in [("True", "True", true), ("False", "True", false), ("True", "False", false)] {
        assert_eq!(is_established(&definition(established, accepted)), ready, "{established} {accepted}");
    }
    assert!(!is_established(&json!({})), "without a status");
    let mut one = definition("True", "True");
    assert_eq!(defined_kind(&one), Some(("demo.example".into(), "Gadget".into())));
    one["spec"]["scope"] = json!("Cluster");
    assert_eq!(defined_kind(&one), None);
}
