//! What of a namespace nobody changes who has rights in that namespace only, and which addresses no Service takes, on a real API server.

use crate::support::{
    judged::{changes, creates, judged, said, until_said},
    lone::{Lone, lone},
    operator::{api, apply},
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::sync::Arc;

const SPACE: &str = "shinan-labelled";
/// A district's by its name, and without labels of ours yet.
const BARE: &str = "shinan-bare";
const SITE: &str = "system:serviceaccount:p861-system:p861-site";
/// Whoever has all rights in these namespaces, as a restored RoleBinding gives them, and none elsewhere.
const TENANT: &str = "labels-tenant";
const MOVER: &str = "system:serviceaccount:shinan-labelled:p861-run-bcdfghjk";
const LABELS: &str = "of a namespace say what may run there and whose it is";
const EXTERNAL: &str = "spec.externalIPs takes over addresses for every node of the cluster";
const BALANCED: &str = "the addresses of a load balancer are written by what balances the Services of the whole cluster";
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

fn namespaces(client: &Client) -> Api<DynamicObject> {
    api(client, "", "Namespace", "namespaces", None)
}

fn services(client: &Client, space: &str) -> Api<DynamicObject> {
    api(client, "", "Service", "services", Some(space))
}

fn service(name: &str, space: &str, more: Value) -> Value {
    let mut spec = json!({"selector": {"app": "own"}, "ports": [{"port": 443}]});
    spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": space}, "spec": spec})
}

async fn acting(server: &Lone, who: &str) -> Client {
    server.client(Some((who, &["system:serviceaccounts", "system:authenticated"]))).await
}

async fn laid_out() -> Arc<Lone> {
    static ONCE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let server = tokio::task::spawn_blocking(|| lone("security_md")).await.expect("a server");
    let _turn = ONCE.lock().await;
    let client = server.client(None).await;
    let bound = |space: &str, name: &str, role: &str, subject: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": space},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [subject]})
    };
    let tenant = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": TENANT});
    let mover = json!({"kind": "ServiceAccount", "namespace": SPACE, "name": "p861-run-bcdfghjk"});
    for document in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": {"platform861.io/district": "shinan", ENFORCE: "baseline"}}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": BARE}}),
        bound(SPACE, "me", "cluster-admin", tenant.clone()),
        bound(BARE, "me", "cluster-admin", tenant),
        bound(SPACE, "mover", "p861-mover-restore", mover.clone()),
        bound(BARE, "mover", "p861-mover-restore", mover),
    ] {
        apply(&client, &document.to_string()).await;
    }
    let (tenant, mover) = (namespaces(&acting(&server, TENANT).await), namespaces(&server.mover(MOVER).await));
    for space in [SPACE, BARE] {
        let noted = json!({"metadata": {"labels": {"team": "a"}}});
        until_said("", async || changes(&tenant, space, &noted).await).await;
        until_said("", async || changes(&mover, space, &noted).await).await;
    }
    until_said(LABELS, async || changes(&tenant, SPACE, &json!({"metadata": {"labels": {"platform861.io/district": null}}})).await).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e4_who_has_all_rights_in_a_namespace_changes_neither_what_may_run_there_nor_whose_it_is() {
    let server = laid_out().await;
    let client = acting(&server, TENANT).await;
    let tenant = namespaces(&client);
    let labels = |labels: Value| json!({"metadata": {"labels": labels}});
    for (space, what, patch) in [
        (SPACE, "as it was tried", labels(json!({ENFORCE: "privileged", "platform861.io/district": null}))),
        (SPACE, "anything may run", labels(json!({ENFORCE: "privileged"}))),
        (SPACE, "nothing is enforced", labels(json!({ENFORCE: null}))),
        (SPACE, "as in an older version", labels(json!({"pod-security.kubernetes.io/enforce-version": "v1.0"}))),
        (SPACE, "another district's", labels(json!({"platform861.io/district": "licang"}))),
        (SPACE, "another department's", labels(json!({"platform861.io/department": "tax"}))),
        (SPACE, "in another's copy", labels(json!({"platform861.io/drill": "k7m2q"}))),
        (SPACE, "removed with another's run", labels(json!({"platform861.io/run": "u"}))),
        (SPACE, "nobody's", json!({"metadata": {"labels": null}})),
        (BARE, "before it has labels of ours", labels(json!({ENFORCE: "privileged"}))),
        (BARE, "before it has labels of ours", labels(json!({"platform861.io/district": "licang"}))),
    ] {
        judged(&format!("{space}: {what}"), &changes(&tenant, space, &patch).await, LABELS);
    }
    let status = labels(json!({ENFORCE: "privileged"}));
    judged("by its status", &said(tenant.patch_status(SPACE, &PatchParams::default(), &Patch::Merge(&status)).await), LABELS);
    judged("what is his own affair", &changes(&tenant, SPACE, &labels(json!({"team": "b", "istio-injection": "enabled"}))).await, "");
    // The operator, and whoever looks after every namespace of the cluster.
    let keeper = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: labels-keeper}, rules: [{apiGroups: [\"\"], resources: [namespaces], verbs: [get, update, patch]}]}\n---\n\
        {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: labels-keeper}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: labels-keeper}, \
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: labels-keeper}]}";
    server.apply(keeper);
    for who in [SITE, "labels-keeper"] {
        let keeper = namespaces(&acting(&server, who).await);
        until_said("", async || changes(&keeper, SPACE, &labels(json!({ENFORCE: "restricted", "platform861.io/department": "tax"}))).await).await;
    }
    judged("the administrator", &changes(&namespaces(&server.client(None).await), SPACE, &labels(json!({ENFORCE: "privileged"}))).await, "");
    // The cluster's own controller ends a namespace.
    let controller = namespaces(&acting(&server, "system:serviceaccount:kube-system:namespace-controller").await);
    let delete = DeleteParams { dry_run: true, ..DeleteParams::default() };
    judged("the cluster", &said(controller.delete(SPACE, &delete).await.map(drop)), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e4_a_mover_makes_a_namespace_stricter_and_never_laxer_and_deletes_none() {
    let server = laid_out().await;
    let mover = namespaces(&server.mover(MOVER).await);
    for (space, labels, words) in [
        (SPACE, json!({ENFORCE: "restricted", "pod-security.kubernetes.io/warn": "restricted"}), ""),
        (SPACE, json!({"pod-security.kubernetes.io/audit": "baseline", "team": "b"}), ""),
        (BARE, json!({ENFORCE: "baseline"}), ""),
        (BARE, json!({ENFORCE: "privileged"}), LABELS),
        (SPACE, json!({ENFORCE: "privileged"}), LABELS),
        (SPACE, json!({ENFORCE: null}), LABELS),
        (SPACE, json!({"pod-security.kubernetes.io/enforce-version": "v1.0"}), LABELS),
        (SPACE, json!({"platform861.io/district": "licang"}), LABELS),
        (SPACE, json!({ENFORCE: "restricted", "platform861.io/drill": "k7m2q"}), LABELS),
    ] {
        judged(&format!("{space}: {labels}"), &changes(&mover, space, &json!({"metadata": {"labels": labels}})).await, words);
    }
    let delete = DeleteParams { dry_run: true, ..DeleteParams::default() };
    judged("a deletion", &said(mover.delete(SPACE, &delete).await.map(drop)), "a mover of Platform 861 deletes no namespace");
    judged("the operator's", &said(namespaces(&acting(&server, SITE).await).delete(SPACE, &delete).await.map(drop)), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e_no_service_of_a_district_takes_an_address_for_the_whole_cluster() {
    let server = laid_out().await;
    let (tenant, mover) = (acting(&server, TENANT).await, server.mover(MOVER).await);
    let administrator = server.client(None).await;
    let stolen = json!({"externalIPs": ["192.0.2.10"]});
    until_said(EXTERNAL, async || creates(&services(&tenant, SPACE), &service("mitm", SPACE, stolen.clone())).await).await;
    judged("by a backup", &creates(&services(&mover, SPACE), &service("mitm", SPACE, stolen.clone())).await, EXTERNAL);
    // The operator's own right is to install a component in its namespaces.
    let installer = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "p861-install-proxy", "namespace": SPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "p861-site-installer"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "p861-system", "name": "p861-site"}]});
    apply(&administrator, &installer.to_string()).await;
    let site = services(&acting(&server, SITE).await, SPACE);
    until_said("", async || creates(&site, &service("proxy", SPACE, json!({}))).await).await;
    judged("by a bundle", &creates(&site, &service("mitm", SPACE, stolen.clone())).await, EXTERNAL);
    // One that the city has given such an address.
    let given = service("given", SPACE, json!({"type": "LoadBalancer", "externalIPs": ["192.0.2.20"]}));
    apply(&administrator, &given.to_string()).await;
    let own = services(&tenant, SPACE);
    judged("another", &changes(&own, "given", &json!({"spec": {"externalIPs": ["192.0.2.20", "192.0.2.10"]}})).await, EXTERNAL);
    judged("instead", &changes(&own, "given", &json!({"spec": {"externalIPs": ["192.0.2.10"]}})).await, EXTERNAL);
    judged("a port", &changes(&own, "given", &json!({"spec": {"ports": [{"port": 444}]}})).await, "");
    judged("fewer", &changes(&own, "given", &json!({"spec": {"externalIPs": null}})).await, "");
    // The address of a load balancer is taken in the same way.
    let balanced = |address: &str| Patch::Merge(json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}));
    let tried = PatchParams { dry_run: true, ..PatchParams::default() };
    judged("as a balancer", &said(own.patch_status("given", &tried, &balanced("192.0.2.10")).await), BALANCED);
    let balancer = services(&acting(&server, "system:serviceaccount:kube-system:service-controller").await, SPACE);
    judged("the cluster's", &said(balancer.patch_status("given", &tried, &balanced("192.0.2.30")).await), "");
    // A namespace that is no district's is not ours to judge.
    judged("elsewhere", &creates(&services(&tenant, BARE), &service("own", BARE, stolen)).await, "");
}
