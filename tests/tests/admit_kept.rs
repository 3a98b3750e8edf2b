//! What the operator keeps in a district's namespaces, on a real API server: nobody who has rights there only changes it, takes it away, or is there first.

use crate::support::{
    judged::{changes, creates, judged, said, until_said},
    lone::{Lone, lone},
    operator::{api, apply},
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::sync::Arc;

const SPACE: &str = "shinan-kept";
const SITE: &str = "system:serviceaccount:p861-system:p861-site";
/// Whoever has all rights in this namespace, as the account of a workload that was restored, and none elsewhere.
const TENANT: &str = "system:serviceaccount:shinan-kept:own";
const MOVER: &str = "system:serviceaccount:shinan-kept:p861-run-bcdfghjk";
/// Whoever looks after these kinds in the whole cluster.
const KEEPER: &str = "kept-keeper";
const KEPT: &str = "is kept by the operator of Platform 861";
const GIVEN: &str = "the operator of Platform 861 has given these rights";
/// Kinds of which nobody else makes, changes or deletes what the operator keeps, and its name.
const KINDS: [(&str, &str); 3] = [("NetworkPolicy", "p861-default-deny"), ("ResourceQuota", "p861-servers"), ("LimitRange", "p861-limits")];
/// Bindings that the operator takes back itself.
const BINDINGS: [&str; 4] = ["p861-site-role-engineer", "p861-run-bcdfghjk-backup", "p861-install-proxy", "p861-dns-k7m2q"];

fn place(client: &Client, kind: &str) -> Api<DynamicObject> {
    let (group, plural) = match kind {
        "NetworkPolicy" => ("networking.k8s.io", "networkpolicies"),
        "ResourceQuota" => ("", "resourcequotas"),
        "LimitRange" => ("", "limitranges"),
        _ => ("rbac.authorization.k8s.io", "rolebindings"),
    };
    api(client, group, kind, plural, Some(SPACE))
}

fn ours() -> Value {
    json!({"platform861.io/platform": "shinan", "platform861.io/role": "platform"})
}

fn object(kind: &str, name: &str, labels: Value) -> Value {
    let (version, spec) = match kind {
        "NetworkPolicy" => ("networking.k8s.io/v1", json!({"podSelector": {}, "policyTypes": ["Ingress"]})),
        "ResourceQuota" => ("v1", json!({"hard": {"pods": "3"}})),
        _ => ("v1", json!({"limits": [{"type": "Container", "max": {"cpu": "4"}}]})),
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SPACE, "labels": labels}, "spec": spec})
}

fn binding(name: &str, role: &str, subject: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": SPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [subject]})
}

async fn acting(server: &Lone, who: &str) -> Client {
    server.client(Some((who, &["system:serviceaccounts", "system:authenticated"]))).await
}

/// What is said of a deletion that is only tried.
async fn deletes(place: &Api<DynamicObject>, name: &str) -> String {
    said(place.delete(name, &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.map(drop))
}

/// What is said of the deletion of everything of a kind, which is only tried.
async fn deletes_all(place: &Api<DynamicObject>) -> String {
    said(place.delete_collection(&DeleteParams { dry_run: true, ..DeleteParams::default() }, &ListParams::default()).await.map(drop))
}

async fn laid_out() -> Arc<Lone> {
    static ONCE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let server = tokio::task::spawn_blocking(|| lone("security_md")).await.expect("a server");
    let _turn = ONCE.lock().await;
    let client = server.client(None).await;
    let account = |name: &str| json!({"kind": "ServiceAccount", "namespace": SPACE, "name": name});
    let mut documents = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": {"platform861.io/district": "shinan"}}}),
        binding("sa-all", "cluster-admin", account("own")),
        binding("mover", "p861-mover-restore", account("p861-run-bcdfghjk")),
        binding("own", "view", account("own")),
    ];
    documents.extend(BINDINGS.map(|name| binding(name, "view", account("any"))));
    documents.extend(KINDS.iter().flat_map(|(kind, name)| [object(kind, name, ours()), object(kind, "own", json!({}))]));
    for document in documents {
        apply(&client, &document.to_string()).await;
    }
    server.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {KEEPER}}}, rules: [{{apiGroups: [\"\", networking.k8s.io, rbac.authorization.k8s.io], \
         resources: [networkpolicies, resourcequotas, limitranges, rolebindings], verbs: [create, patch, delete]}}]}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: {KEEPER}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {KEEPER}}}, \
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {KEEPER}}}]}}"
    ));
    for client in [acting(&server, TENANT).await, server.mover(MOVER).await, acting(&server, KEEPER).await] {
        until_said("", async || creates(&place(&client, "NetworkPolicy"), &object("NetworkPolicy", "early", json!({}))).await).await;
    }
    let tenant = acting(&server, TENANT).await;
    until_said(KEPT, async || creates(&place(&tenant, "NetworkPolicy"), &object("NetworkPolicy", "p861-early", json!({}))).await).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e44_who_has_all_rights_in_a_namespace_takes_away_nothing_that_the_operator_keeps_there() {
    let server = laid_out().await;
    let (tenant, mover) = (acting(&server, TENANT).await, server.mover(MOVER).await);
    for (kind, name) in KINDS {
        for (who, client) in [("a tenant", &tenant), ("a mover", &mover)] {
            let place = place(client, kind);
            let metadata = |fields: Value| json!({"metadata": fields});
            let is = |what: &str| format!("{who}, {kind}: {what}");
            judged(&is("deleted"), &deletes(&place, name).await, KEPT);
            for (what, patch) in [
                ("changed", json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "hard": {"pods": "300"}, "limits": []}})),
                ("nobody's", metadata(json!({"labels": null}))),
                ("another district's", metadata(json!({"labels": {"platform861.io/platform": "licang"}}))),
                ("to go with another", metadata(json!({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}]}))),
                ("never to go", metadata(json!({"finalizers": ["example.com/x"]}))),
            ] {
                judged(&is(what), &changes(&place, name, &patch).await, KEPT);
            }
            judged(&is("there first"), &creates(&place, &object(kind, "p861-next", json!({}))).await, KEPT);
            judged(&is("by its label"), &creates(&place, &object(kind, "next", json!({"platform861.io/platform": "shinan"}))).await, KEPT);
            judged(&is("given our label"), &changes(&place, "own", &metadata(json!({"labels": {"platform861.io/platform": "shinan"}}))).await, KEPT);
            // What is his own.
            judged(&is("his own, made"), &creates(&place, &object(kind, "next", json!({"app": "web"}))).await, "");
            judged(&is("his own, changed"), &changes(&place, "own", &metadata(json!({"labels": {"app": "web"}}))).await, "");
            judged(&is("his own, deleted"), &deletes(&place, "own").await, "");
        }
        judged(&format!("every {kind}"), &deletes_all(&place(&tenant, kind)).await, KEPT);
    }
    for client in [&tenant, &mover] {
        for name in BINDINGS {
            judged(name, &deletes(&place(client, "RoleBinding"), name).await, GIVEN);
        }
        judged("his own binding", &deletes(&place(client, "RoleBinding"), "own").await, "");
    }
    judged("every binding", &deletes_all(&place(&tenant, "RoleBinding")).await, GIVEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e44_the_operator_the_city_and_the_cluster_still_do_with_it_what_they_must() {
    let server = laid_out().await;
    let site = acting(&server, SITE).await;
    for (kind, name) in &KINDS[..2] {
        judged(&format!("the operator makes a {kind}"), &creates(&place(&site, kind), &object(kind, "p861-next", ours())).await, "");
        judged(&format!("the operator deletes a {kind}"), &deletes(&place(&site, kind), name).await, "");
    }
    let opened = json!({"metadata": {"labels": {"platform861.io/department": "tax"}}});
    judged("the operator changes a policy", &changes(&place(&site, "NetworkPolicy"), "p861-default-deny", &opened).await, "");
    let keeper = acting(&server, KEEPER).await;
    for (kind, name) in KINDS {
        judged(&format!("the city makes a {kind}"), &creates(&place(&keeper, kind), &object(kind, "p861-next", json!({}))).await, "");
        judged(&format!("the city changes a {kind}"), &changes(&place(&keeper, kind), name, &opened).await, "");
        judged(&format!("the city deletes a {kind}"), &deletes(&place(&keeper, kind), name).await, "");
    }
    for client in [&site, &keeper] {
        for name in BINDINGS {
            judged(name, &deletes(&place(client, "RoleBinding"), name).await, "");
        }
    }
    // A namespace ends, or an owner does.
    let namespaces = acting(&server, "system:serviceaccount:kube-system:namespace-controller").await;
    let collector = acting(&server, "system:serviceaccount:kube-system:generic-garbage-collector").await;
    for (kind, name) in KINDS.into_iter().chain([("RoleBinding", BINDINGS[0])]) {
        judged(&format!("the cluster, every {kind}"), &deletes_all(&place(&namespaces, kind)).await, "");
        judged(&format!("the cluster, a {kind}"), &deletes(&place(&collector, kind), name).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e44_what_a_quota_has_counted_is_written_by_the_cluster() {
    let server = laid_out().await;
    let of = |hard: &str| json!({"status": {"hard": {"pods": hard}, "used": {"pods": "0"}}});
    let try_only = PatchParams { dry_run: true, ..PatchParams::default() };
    for (who, client) in [("a tenant", acting(&server, TENANT).await), ("a mover", server.mover(MOVER).await)] {
        let quotas = place(&client, "ResourceQuota");
        for (what, patch) in [("more than it is", of("300")), ("nobody's", json!({"metadata": {"labels": null}}))] {
            judged(&format!("{who}: {what}"), &said(quotas.patch_status("p861-servers", &try_only, &Patch::Merge(&patch)).await), KEPT);
        }
        judged(&format!("{who}: his own"), &said(quotas.patch_status("own", &try_only, &Patch::Merge(&of("300"))).await), "");
    }
    let counts = place(&acting(&server, "system:serviceaccount:kube-system:resourcequota-controller").await, "ResourceQuota");
    let mut quota = place(&server.client(None).await, "ResourceQuota").get("p861-servers").await.expect("the quota");
    quota.data["status"] = of("3")["status"].clone();
    let written = counts.replace_status("p861-servers", &PostParams { dry_run: true, ..PostParams::default() }, &quota).await;
    judged("the cluster counts", &said(written), "");
}
