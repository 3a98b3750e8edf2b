//! What a drill's copy may have, whoever makes it there: tried with the API server's own judgement.

use crate::support::{
    judged::{changes, creates, judged, said, until_said},
    lone::{Lone, lone},
    operator::{api, apply},
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::time::Duration;

const COPY: &str = "shinan-tax--drill-k7m2q";
const PLAIN: &str = "shinan-tax";

/// What the API server says of an object, which it doesn't keep.
async fn tried(server: &Lone, namespace: &str, kind: &str, spec: &Value) -> Result<(), String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    let client = server.client(None).await;
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let document = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "tried", "namespace": namespace}, "spec": spec});
    let object: DynamicObject = serde_json::from_value(document).expect("an object");
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e13_no_pod_of_a_copy_shares_anything_with_its_node_and_no_service_has_a_way_from_outside_whoever_makes_it() {
    let server = lone("admit_copies");
    server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {COPY}, labels: {{platform861.io/drill: k7m2q}}}}}}"));
    server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {PLAIN}}}}}"));
    for namespace in [COPY, PLAIN] {
        server.apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {namespace}}}}}"));
    }
    let pod = |more: Value| {
        let mut spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "x"}]});
        spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
        spec
    };
    let port = |name: &str| json!([{"name": name, "image": "x", "ports": [{"containerPort": 80, "hostPort": 80}]}]);
    let service = |more: Value| {
        let mut spec = json!({"ports": [{"port": 80}], "selector": {"a": "b"}});
        spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
        spec
    };
    let table = [
        ("Pod", pod(json!({"hostNetwork": true})), "hostNetwork"),
        ("Pod", pod(json!({"hostPID": true})), "hostPID"),
        ("Pod", pod(json!({"hostIPC": true})), "hostIPC"),
        ("Pod", pod(json!({"containers": port("c")})), "hostPort"),
        ("Pod", pod(json!({"initContainers": port("before")})), "hostPort"),
        ("Pod", pod(json!({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]})), "hostPath"),
        ("Service", service(json!({"type": "NodePort"})), "ClusterIP"),
        ("Service", service(json!({"type": "LoadBalancer"})), "ClusterIP"),
        ("Service", service(json!({"externalIPs": ["192.0.2.1"]})), "externalIPs"),
    ];
    // A policy is in force some time after it was installed.
    for _ in 0..1200 {
        if tried(&server, COPY, "Pod", &table[0].1).await.is_err_and(|said| said.contains("p861-copies")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (kind, spec, says) in &table {
        let said = tried(&server, COPY, kind, spec).await.expect_err(says);
        assert!(said.contains("p861-copies") && said.contains(says), "{kind} {spec}: {said}");
        assert_eq!(tried(&server, PLAIN, kind, spec).await, Ok(()), "elsewhere nobody is held: {spec}");
    }
    for (kind, spec) in [
        ("Pod", pod(json!({"hostNetwork": false}))),
        ("Service", service(json!({}))),
        ("Service", json!({"type": "ExternalName", "externalName": "a.example"})),
    ] {
        assert_eq!(tried(&server, COPY, kind, &spec).await, Ok(()), "{kind} {spec}");
    }
}

const OPEN: &str = "shinan-opened--drill-k7m2q";
const SITE: &str = "system:serviceaccount:p861-system:p861-site";
const MOVER: &str = "system:serviceaccount:shinan-opened--drill-k7m2q:p861-run-bcdfghjk";
/// Who has every right in the copy, by a binding that came with it or that he had made before.
const TENANT: &str = "copy-tenant";
/// An operator of the whole cluster, which makes accounts and their rights for what it runs.
const DATABASES: &str = "system:serviceaccount:databases:operator";

async fn acting(server: &Lone, who: &str) -> Client {
    server.client(Some((who, &["system:serviceaccounts", "system:authenticated"]))).await
}

fn of(client: &Client, kind: &str) -> Api<DynamicObject> {
    match kind {
        "NetworkPolicy" => api(client, "networking.k8s.io", kind, "networkpolicies", Some(OPEN)),
        _ => api(client, "rbac.authorization.k8s.io", kind, &format!("{}s", kind.to_lowercase()), Some(OPEN)),
    }
}

fn document(kind: &str, name: &str) -> Value {
    let group = if kind == "NetworkPolicy" { "networking.k8s.io/v1" } else { "rbac.authorization.k8s.io/v1" };
    let mut document = json!({"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": OPEN}});
    let more = match kind {
        "NetworkPolicy" => json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}}),
        "Role" => json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}),
        _ => json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "p861-copy-dns"},
            "subjects": [{"kind": "ServiceAccount", "namespace": OPEN, "name": "own"}]}),
    };
    document.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e13_nobody_opens_a_copy_and_nobody_is_given_rights_in_it_but_by_the_restore() {
    let server = lone("admit_copies");
    let administrator = server.client(None).await;
    apply(
        &administrator,
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPEN, "labels": {"platform861.io/drill": "k7m2q"}}}).to_string(),
    )
    .await;
    let user = |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name});
    let bound = |name: &str, role: &str, subject: Value| {
        let mut binding = document("RoleBinding", name);
        binding["roleRef"]["name"] = json!(role);
        binding["subjects"] = json!([subject]);
        binding.to_string()
    };
    for binding in [bound("me", "cluster-admin", user(TENANT)), bound("mover", "p861-mover-restore", user(MOVER))] {
        apply(&administrator, &binding).await;
    }
    server.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: copy-databases}}, rules: [{{apiGroups: [rbac.authorization.k8s.io, networking.k8s.io], resources: [roles, rolebindings, clusterroles, networkpolicies], verbs: [create, patch, delete, bind, escalate]}}]}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: copy-databases}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: copy-databases}}, \
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: \"{DATABASES}\"}}]}}"
    ));
    let (closed, rights) = ("a drill's copy is closed by the operator", "nobody is given rights in a drill's copy but by the restore");
    for (kind, name, words) in [("NetworkPolicy", "p861-isolate", closed), ("Role", "own", rights), ("RoleBinding", "own", rights)] {
        let delete = DeleteParams { dry_run: true, ..DeleteParams::default() };
        let only = kube::api::ListParams::default();
        let noted = json!({"metadata": {"labels": {"a": "b"}}});
        let tenant = of(&acting(&server, TENANT).await, kind);
        until_said(words, async || creates(&tenant, &document(kind, "free")).await).await;
        // As the operator closes a copy, or as the mover restores what gives its accounts rights.
        let maker = if kind == "NetworkPolicy" { acting(&server, SITE).await } else { server.mover(MOVER).await };
        until_said("", async || creates(&of(&maker, kind), &document(kind, name)).await).await;
        apply(&maker, &document(kind, name).to_string()).await;
        judged(&format!("{kind} changed"), &changes(&tenant, name, &noted).await, words);
        judged(&format!("{kind} deleted"), &said(tenant.delete(name, &delete).await.map(drop)), words);
        judged(&format!("every {kind} deleted"), &said(tenant.delete_collection(&delete, &only).await.map(drop)), words);
        // A mover writes rights that the application has, and no network policy.
        let mover = of(&server.mover(MOVER).await, kind);
        judged(&format!("a mover, {kind}"), &creates(&mover, &document(kind, "restored")).await, if kind == "NetworkPolicy" { words } else { "" });
        let databases = of(&acting(&server, DATABASES).await, kind);
        let (made, expected) = (document(kind, "database"), if kind == "NetworkPolicy" { words } else { "" });
        until_said(expected, async || creates(&databases, &made).await).await;
        // The operator, and the cluster when the copy goes.
        let site = of(&acting(&server, SITE).await, kind);
        if kind != "Role" {
            judged(&format!("the operator, {kind}"), &changes(&site, name, &noted).await, "");
        }
        let controller = of(&acting(&server, "system:serviceaccount:kube-system:namespace-controller").await, kind);
        judged(&format!("the cluster, {kind}"), &said(controller.delete_collection(&delete, &only).await.map(drop)), "");
    }
}
