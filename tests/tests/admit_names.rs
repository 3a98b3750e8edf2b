//! What movers have under names of their own, on a real API server: nobody else takes their names, enters their pods, or acts as one of them.

use crate::support::{
    judged::{changes, creates, judged, said, until_said},
    lone::{Lone, lone},
    operator::{api, apply},
};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
};
use p861_core::names;
use serde_json::{Value, json};
use std::sync::Arc;

const SPACE: &str = "shinan-names";
const SITE: &str = "system:serviceaccount:p861-system:p861-site";
/// Whoever has every right in this namespace, and none elsewhere.
const TENANT: &str = "names-tenant";
/// Who has the site role of an Engineer.
const ENGINEER: &str = "names-engineer";
/// One of the people that the API server knows by a token, with what Kubernetes' own role edit consists of. (Its controllers, which are not here, put it together.)
const EDITOR: &str = "auditor-qian";
const ACCOUNT: &str = "p861-run-bcdfghjk";
const NAME: &str = "this name is for what the operator of Platform 861 makes for its movers";
const STAYS: &str = "what the operator of Platform 861 has made for its movers stays as it is";
const PODS: &str = "a mover of Platform 861 is not entered";
const ACTS: &str = "only a mover's own pod acts as one";
const BY_OPERATOR: &str = "only the operator of Platform 861 starts movers";

fn place(client: &Client, kind: &str) -> Api<DynamicObject> {
    let group = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => "apps",
        "Job" | "CronJob" => "batch",
        "Role" | "RoleBinding" => "rbac.authorization.k8s.io",
        _ => "",
    };
    api(client, group, kind, &format!("{}s", kind.to_lowercase()), Some(SPACE))
}

fn object(version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SPACE}});
    object.as_object_mut().expect("an object").extend(rest.as_object().expect("fields").clone());
    object
}

fn binding(name: &str, role: &str, kind: &str, subject: &Value) -> Value {
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role});
    object("rbac.authorization.k8s.io/v1", "RoleBinding", name, json!({"roleRef": reference, "subjects": [subject]}))
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

/// A pod's spec with a container that has more, and with more of its own.
fn spec(of_container: Value, more: Value) -> Value {
    let mut container = json!({"name": "c", "image": "registry.example/app:1"});
    container.as_object_mut().expect("a container").extend(of_container.as_object().expect("fields").clone());
    let mut spec = json!({"serviceAccountName": "default", "automountServiceAccountToken": false, "containers": [container]});
    spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
    spec
}

fn job(name: &str, labels: Value, pod: Value) -> Value {
    let mut job = object("batch/v1", "Job", name, json!({"spec": {"suspend": true, "template": {"metadata": {"labels": labels}, "spec": pod}}}));
    job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    job["metadata"]["labels"] = labels;
    job
}

async fn acting(server: &Lone, who: &str) -> Client {
    server.client(Some((who, &["system:serviceaccounts", "system:authenticated"]))).await
}

async fn laid_out() -> Arc<Lone> {
    static ONCE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let server = tokio::task::spawn_blocking(|| lone("security_md")).await.expect("a server");
    let _turn = ONCE.lock().await;
    let client = server.client(None).await;
    let account = json!({"kind": "ServiceAccount", "namespace": SPACE, "name": ACCOUNT});
    for document in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": {"platform861.io/district": "shinan"}}}),
        object("v1", "ServiceAccount", "default", json!({})),
        object("v1", "ServiceAccount", ACCOUNT, json!({})),
        object("rbac.authorization.k8s.io/v1", "Role", "all", json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})),
        binding("all", "all", "Role", &user(TENANT)),
        binding("engineer", "p861-site-role-engineer", "ClusterRole", &user(ENGINEER)),
        binding("editor", "system:aggregate-to-edit", "ClusterRole", &user(EDITOR)),
        binding("p861-run-bcdfghjk-restore", "p861-mover-restore", "ClusterRole", &account),
        object(
            "apps/v1",
            "Deployment",
            "web",
            json!({"spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec(json!({}), json!({}))}}}),
        ),
    ] {
        apply(&client, &document.to_string()).await;
    }
    let tenant = acting(&server, TENANT).await;
    until_said("", async || creates(&place(&tenant, "ConfigMap"), &object("v1", "ConfigMap", "own", json!({}))).await).await;
    until_said(NAME, async || creates(&place(&tenant, "ServiceAccount"), &object("v1", "ServiceAccount", "p861-run-early", json!({}))).await).await;
    server
}

async fn make(client: &Client, kind: &str, document: Value) -> kube::Result<DynamicObject> {
    place(client, kind).create(&PostParams::default(), &serde_json::from_value(document).expect("an object")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e17_nobody_takes_a_movers_name_before_it_or_holds_on_to_what_it_was_given() {
    let server = laid_out().await;
    let (tenant, site) = (acting(&server, TENANT).await, acting(&server, SITE).await);
    // A mover writes whatever a backup has.
    let mover = server.mover(&format!("system:serviceaccount:{SPACE}:{ACCOUNT}")).await;
    // Makes what a tenant asks it for, in the whole cluster.
    server.apply(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: names-everywhere}, rules: [{apiGroups: [\"\"], resources: [serviceaccounts], verbs: [create, patch, update]}]}\n---\n\
         {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: names-everywhere}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: names-everywhere}, \
         subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: makes-accounts}]}",
    );
    let everywhere = acting(&server, "makes-accounts").await;
    until_said("", async || creates(&place(&everywhere, "ServiceAccount"), &object("v1", "ServiceAccount", "any", json!({}))).await).await;
    let next = "p861-run-zzzzzzzz";
    let squatted = object("v1", "ServiceAccount", next, json!({"automountServiceAccountToken": true}));
    let answer = spec(json!({"command": ["sh", "-c", "echo '{\"outcome\":\"failed\"}' > /dev/termination-log"]}), json!({}));
    let next_job = names::mover("run-1", "verify/approval", 1);
    let rights = binding(&format!("{next}-restore"), "view", "ClusterRole", &user(TENANT));
    for (who, client) in [("a tenant", &tenant), ("a mover", &mover)] {
        for (kind, document) in [
            ("ServiceAccount", squatted.clone()),
            ("Job", job(&next_job, json!({"a": "b"}), answer.clone())),
            ("Job", job(&format!("{next_job}-closed"), json!({"a": "b"}), answer.clone())),
            ("Job", job(&names::mover("run-1", "restore/approval/volume/DATA_db", 12), json!({"a": "b"}), answer.clone())),
            ("RoleBinding", rights.clone()),
            ("RoleBinding", binding("p861-site-role-approver", "view", "ClusterRole", &user(TENANT))),
            ("RoleBinding", binding("p861-install-proxy", "view", "ClusterRole", &user(TENANT))),
        ] {
            judged(&format!("{who}: {kind} {}", document["metadata"]["name"]), &creates(&place(client, kind), &document).await, NAME);
        }
        for (kind, document) in [
            ("ServiceAccount", object("v1", "ServiceAccount", "p861-own", json!({}))),
            ("Secret", object("v1", "Secret", "p861-run-own", json!({}))),
            ("Job", job("p861-nightly-report-2", json!({"a": "b"}), answer.clone())),
            ("RoleBinding", binding("own", "view", "ClusterRole", &user(TENANT))),
            ("RoleBinding", binding("p861-portal", "view", "ClusterRole", &user(TENANT))),
        ] {
            judged(&format!("{who}: {kind} of his own"), &creates(&place(client, kind), &document).await, "");
        }
    }
    judged("what a tenant has it make", &creates(&place(&everywhere, "ServiceAccount"), &squatted).await, NAME);
    judged("the operator's", &creates(&place(&site, "ServiceAccount"), &squatted).await, "");
    judged(
        "the operator's",
        &creates(&place(&site, "RoleBinding"), &binding(&format!("{next}-restore"), "p861-mover-restore", "ClusterRole", &user("m"))).await,
        "",
    );
    // What is there.
    for (what, client, patch, words) in [
        ("with a token", &tenant, json!({"automountServiceAccountToken": true}), STAYS),
        ("with a token, by what a tenant tells", &everywhere, json!({"automountServiceAccountToken": true}), STAYS),
        ("never to go", &tenant, json!({"metadata": {"finalizers": ["example.com/x"]}}), STAYS),
        ("to go with another", &tenant, json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}]}}), STAYS),
        ("another run's", &tenant, json!({"metadata": {"labels": {"platform861.io/run": "other"}}}), STAYS),
        ("noted", &tenant, json!({"metadata": {"labels": {"seen": "yes"}, "annotations": {"note": "x"}}}), ""),
        ("by the operator", &site, json!({"automountServiceAccountToken": false}), ""),
    ] {
        judged(what, &changes(&place(client, "ServiceAccount"), ACCOUNT, &patch).await, words);
    }
    judged("its account, for pulling", &changes(&place(&tenant, "ServiceAccount"), ACCOUNT, &json!({"imagePullSecrets": [{"name": "a"}]})).await, "");
    let subjects = json!({"subjects": [user(TENANT)]});
    judged("its rights", &changes(&place(&tenant, "RoleBinding"), "p861-run-bcdfghjk-restore", &subjects).await, STAYS);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e17_the_operator_makes_no_pod_of_a_template_that_somebody_else_has_written() {
    let server = laid_out().await;
    let (tenant, site) = (acting(&server, TENANT).await, acting(&server, SITE).await);
    let mover = server.mover(&format!("system:serviceaccount:{SPACE}:{ACCOUNT}")).await;
    let template = |name: &str, own: Value, of_pod: Value, pod: Value| {
        let mut template = object("v1", "PodTemplate", name, json!({"template": {"metadata": {"name": "x", "labels": of_pod}, "spec": pod}}));
        template["metadata"]["labels"] = own;
        template
    };
    let (plain, stopped, of_mover) = (json!({"a": "b"}), json!({"platform861.io/role": "stopped"}), json!({"platform861.io/role": "mover"}));
    let mut acts = spec(json!({}), json!({}));
    acts["serviceAccountName"] = json!(ACCOUNT);
    let evil = template("x", stopped.clone(), of_mover.clone(), acts.clone());
    for (who, client) in [("a tenant", &tenant), ("a mover, from a backup", &mover)] {
        for (what, document) in [
            ("as it was tried", evil.clone()),
            ("of a stopped pod", template("x", stopped.clone(), plain.clone(), spec(json!({}), json!({})))),
            ("with a mover's label", template("x", plain.clone(), of_mover.clone(), spec(json!({}), json!({})))),
            ("with a mover's account", template("x", plain.clone(), plain.clone(), acts.clone())),
        ] {
            judged(&format!("{who}, {what}"), &creates(&place(client, "PodTemplate"), &document).await, BY_OPERATOR);
        }
        judged(who, &creates(&place(client, "PodTemplate"), &template("x", plain.clone(), plain.clone(), spec(json!({}), json!({})))).await, "");
    }
    let kept = template("p861-stopped-x", json!({"platform861.io/role": "stopped", "platform861.io/run": "u"}), plain.clone(), spec(json!({}), json!({})));
    judged("the operator keeps a pod", &said(make(&site, "PodTemplate", kept).await), "");
    let other = json!({"template": {"spec": {"containers": [{"name": "c", "image": "evil:1"}]}}});
    judged("what is kept is changed", &changes(&place(&tenant, "PodTemplate"), "p861-stopped-x", &other).await, "a mover stays as the operator");
    judged("a plain one becomes one", &said(make(&tenant, "PodTemplate", template("later", plain.clone(), plain, spec(json!({}), json!({})))).await), "");
    judged("a plain one becomes one", &changes(&place(&tenant, "PodTemplate"), "later", &json!({"metadata": {"labels": stopped}})).await, BY_OPERATOR);
}

/// Nothing is connected: the API server judges before it looks for the pod's node, which there is none of.
#[tokio::test(flavor = "multi_thread")]
async fn fault_e17_nobody_enters_a_movers_pod() {
    let server = laid_out().await;
    let (tenant, site) = (acting(&server, TENANT).await, acting(&server, SITE).await);
    let opened = async |client: &Client, pod: &str, how: &str| {
        let query = if how == "exec" { "?command=id&stdout=true" } else { "" };
        let path = format!("/api/v1/namespaces/{SPACE}/pods/{pod}/{how}{query}");
        said(client.request_text(http::Request::get(path).body(Vec::new()).expect("a request")).await)
    };
    let mover = names::mover("run-1", "restore/approval/volume/DATA_db", 3);
    let proof = names::mover("run-1", "prove-isolation", 1);
    let pods = [format!("{mover}-x7k2p"), format!("{proof}-closed-0-x7k2p"), format!("{proof}-free-0-x7k2p"), "p861-dns-k7m2q-6c8f9d7b5-x7k2p".to_owned()];
    until_said(PODS, async || opened(&tenant, &pods[0], "exec").await).await;
    for with_port in [format!("{mover}-x7k2p:8080"), format!("https:{mover}-x7k2p:10250"), format!("http:{mover}-x7k2p:")] {
        judged(&with_port, &opened(&tenant, &with_port, "proxy").await, PODS);
    }
    for how in ["exec", "attach", "portforward", "proxy"] {
        for pod in &pods {
            judged(&format!("{how} {pod}"), &opened(&tenant, pod, how).await, PODS);
            let by_operator = opened(&site, pod, how).await;
            assert!(!by_operator.contains(PODS), "the operator, {how} {pod}: {by_operator}");
        }
        for pod in ["web-6c8f9d7b5-x7k2p", "p861-operator-6c8f9d7b5-x7k2p", "p861-prober-6c8f9d7b5-x7k2p", "p861-portal-0"] {
            let own = opened(&tenant, pod, how).await;
            assert!(!own.contains(PODS), "{how} {pod}: {own}");
        }
    }
}

/// With Kubernetes' own role edit, as most who look after an application have it, and with tokens that the API server itself has made.
#[tokio::test(flavor = "multi_thread")]
async fn fault_e17_only_a_movers_own_pod_acts_as_a_mover() {
    let server = laid_out().await;
    let who = format!("system:serviceaccount:{SPACE}:{ACCOUNT}");
    let chain = server.person_as(EDITOR, &who).await;
    let rights = binding("me", "cluster-admin", "ClusterRole", &user(EDITOR));
    until_said(ACTS, async || creates(&place(&chain, "RoleBinding"), &rights).await).await;
    judged("a change", &changes(&place(&chain, "Deployment"), "web", &json!({"metadata": {"labels": {"a": "b"}}})).await, ACTS);
    let delete = kube::api::DeleteParams { dry_run: true, ..kube::api::DeleteParams::default() };
    judged("a deletion", &said(place(&chain, "Deployment").delete("web", &delete).await.map(drop)), ACTS);
    let entered = http::Request::get(format!("/api/v1/namespaces/{SPACE}/pods/web-0/exec?command=id")).body(Vec::new()).expect("a request");
    judged("a command", &said(chain.request_text(entered).await), ACTS);
    let path = format!("/api/v1/namespaces/{SPACE}/serviceaccounts/default/token");
    let asked = http::Request::post(path).header("Content-Type", "application/json");
    let asked = asked.body(br#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#.to_vec()).expect("a request");
    judged("a token of another account", &said(chain.request_text(asked).await), ACTS);
    // Who acts as somebody may not also say which pod he is.
    let mut posing = kube::Config::from_custom_kubeconfig(
        kube::config::Kubeconfig::from_yaml(&server.kubeconfig_of(EDITOR)).expect("a kubeconfig"),
        &kube::config::KubeConfigOptions::default(),
    )
    .await
    .expect("a configuration");
    posing.auth_info.impersonate = Some(who.clone());
    posing.auth_info.impersonate_user_extra = Some([("authentication.kubernetes.io/pod-name".to_owned(), vec!["m-1".to_owned()])].into());
    let posing = Client::try_from(posing).expect("a client");
    let refused = creates(&place(&posing, "RoleBinding"), &rights).await;
    assert!(refused.contains("cannot impersonate resource \"userextras"), "{refused}");

    // The mover itself, by the token that its pod is given.
    let administrator = server.client(None).await;
    let mut pod = object("v1", "Pod", "m-1", json!({"spec": spec(json!({}), json!({}))}));
    pod["spec"]["serviceAccountName"] = json!(ACCOUNT);
    make(&administrator, "Pod", pod).await.expect("a mover's pod");
    let token = async |bound: Value| {
        let path = format!("/api/v1/namespaces/{SPACE}/serviceaccounts/{ACCOUNT}/token");
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": bound}).to_string().into_bytes();
        let request = http::Request::post(path).header("Content-Type", "application/json").body(body).expect("a request");
        let answer: Value = administrator.request(request).await.expect("a token");
        answer["status"]["token"].as_str().expect("a token").to_owned()
    };
    let of_pod = server.bearer(&token(json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "m-1"}})).await).await;
    let (role, own) = (
        object("rbac.authorization.k8s.io/v1", "Role", "restored", json!({"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]})),
        binding("restored", "view", "ClusterRole", &user(TENANT)),
    );
    judged("a restore writes a Role", &creates(&place(&of_pod, "Role"), &role).await, "");
    judged("a restore writes a RoleBinding", &creates(&place(&of_pod, "RoleBinding"), &own).await, "");
    // And any other token of its account does nothing.
    let of_nobody = server.bearer(&token(json!({})).await).await;
    judged("an unbound token", &creates(&place(&of_nobody, "Role"), &role).await, ACTS);
    // Others act as the accounts that are theirs.
    let own_account = server.person_as(EDITOR, &format!("system:serviceaccount:{SPACE}:default")).await;
    let without_rights = creates(&place(&own_account, "ConfigMap"), &object("v1", "ConfigMap", "x", json!({}))).await;
    assert!(!without_rights.contains(ACTS), "{without_rights}");
}
