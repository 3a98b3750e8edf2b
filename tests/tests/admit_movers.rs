//! Who may start a mover, on a real API server: nobody by a label, an image, or the name of an account; and what else no pod of a district gets past.

use crate::support::{
    lone::{Lone, lone},
    operator::{api, apply},
};
use kube::{
    Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use p861_core::platform::desired::{Owner, admission};
use p861_crds::{PlatformSpec, platform::district::DistrictLimits};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const SPACE: &str = "laoshan-forms";
const SITE: &str = "system:serviceaccount:p861-system:p861-site";
const JOBS: &str = "system:serviceaccount:kube-system:job-controller";
/// Whoever has every right in this namespace, and none elsewhere.
const TENANT: &str = "tenant";
/// A mover's own account, which restores whatever was saved.
const RESTORER: &str = "restorer";
/// How long the API server may take to learn of policies and bindings.
const LEARNED: Duration = Duration::from_mins(1);
const BY_OPERATOR: &str = "only the operator of Platform 861 starts movers";
const LABELS: &str = "a mover's labels platform861.io/… stay";

/// A mover of a volume: root, with capabilities that Restricted refuses.
fn root() -> Value {
    json!({"runAsUser": 0, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}})
}

fn hardened() -> Value {
    json!({"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}})
}

/// A pod's spec: its account, and its container's security context.
fn spec(account: &str, security: Value) -> Value {
    json!({"serviceAccountName": account, "automountServiceAccountToken": false, "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "registry.example/p861-operator:0.1.0", "securityContext": security}]})
}

fn labels(mover: bool) -> Value {
    if mover { json!({"platform861.io/role": "mover", "platform861.io/run": "u"}) } else { json!({"app": "own"}) }
}

fn object(kind: &str, name: &str, labels: &Value, spec: Value) -> DynamicObject {
    let version = match kind {
        "Pod" => "v1",
        "Deployment" => "apps/v1",
        _ => "batch/v1",
    };
    serde_json::from_value(json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SPACE, "labels": labels}, "spec": spec}))
        .expect("an object")
}

fn job(name: &str, own: &Value, of_pods: &Value, pod: Value) -> DynamicObject {
    object("Job", name, own, json!({"suspend": true, "template": {"metadata": {"labels": of_pods}, "spec": pod}}))
}

fn owned(mut pod: DynamicObject, kind: &str, uid: &str) -> DynamicObject {
    let owner = json!([{"apiVersion": "batch/v1", "kind": kind, "name": "m", "uid": uid, "controller": true}]);
    pod.metadata.owner_references = serde_json::from_value(owner).expect("owners");
    pod
}

/// What the API server says to somebody who creates an object; nothing if it takes it.
async fn said(server: &Lone, user: &str, object: &DynamicObject, dry_run: bool) -> String {
    let client = server.client(Some((user, &["system:serviceaccounts", "system:authenticated"]))).await;
    let kind = object.types.clone().expect("a kind").kind;
    let group = match kind.as_str() {
        "Pod" => "",
        "Deployment" => "apps",
        _ => "batch",
    };
    let place = api(&client, group, &kind, &format!("{}s", kind.to_lowercase()), Some(SPACE));
    match place.create(&PostParams { dry_run, ..PostParams::default() }, object).await {
        Ok(_) => String::new(),
        Err(kube::Error::Api(status)) => status.message,
        Err(error) => panic!("not judged: {error}"),
    }
}

/// The server, with a district whose Platform asks for Restricted and whose pods have a priority of at most 1000.
async fn laid_out() -> Arc<Lone> {
    static ONCE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let server = tokio::task::spawn_blocking(|| lone("security_md")).await.expect("a server");
    let _turn = ONCE.lock().await;
    let client = server.client(None).await;
    let bound = |name: &str, role: &str, kind: &str, user: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": SPACE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})
        .to_string()
    };
    for document in [
        // As a restore makes it: whose it is, and no department.
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": {"platform861.io/district": "laoshan", "pod-security.kubernetes.io/enforce": "baseline"}}}).to_string(),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": SPACE}}).to_string(),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "p861-run-x", "namespace": SPACE}}).to_string(),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "everything", "namespace": SPACE},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})
        .to_string(),
        bound("everything", "everything", "Role", TENANT),
        bound("restorer", "p861-mover-restore", "ClusterRole", RESTORER),
    ] {
        apply(&client, &document).await;
    }
    let platform: PlatformSpec = serde_json::from_value(json!({"security": {"podSecurity": "Restricted"}})).expect("a Platform");
    let owner = Owner { district: "laoshan", site: "here", limits: DistrictLimits { max_priority: 1000, ..DistrictLimits::default() } };
    for document in admission(&platform, owner) {
        server.apply(&document.object.to_string());
    }
    let since = Instant::now();
    for (user, words) in [(TENANT, "podSecurity is Restricted"), (RESTORER, "podSecurity is Restricted"), (JOBS, "podSecurity is Restricted")] {
        loop {
            let last = said(&server, user, &object("Pod", "early", &labels(false), spec("default", root())), true).await;
            if last.contains(words) {
                break;
            }
            assert!(since.elapsed() < LEARNED, "{user}: {last}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e17_a_mover_is_what_the_operator_starts_and_no_label_image_or_account_makes_one() {
    let server = laid_out().await;
    let (plain, mover) = (labels(false), labels(true));
    let restricted = "podSecurity is Restricted";
    // The operator starts one, and the cluster's controller makes its pod.
    let started = job("m", &mover, &mover, spec("p861-run-x", root()));
    assert_eq!(said(&server, SITE, &started, false).await, "", "the operator starts a mover");
    let client = server.client(None).await;
    let uid = api(&client, "batch", "Job", "jobs", Some(SPACE)).get("m").await.expect("the Job").metadata.uid.expect("a UID");
    let its_pod = owned(object("Pod", "m-1", &mover, spec("p861-run-x", root())), "Job", &uid);
    assert_eq!(said(&server, JOBS, &its_pod, false).await, "", "its pod is made");
    let cron = |own: &Value, of_jobs: &Value, of_pods: &Value, account: &str| {
        let template = json!({"metadata": {"labels": of_jobs}, "spec": {"template": {"metadata": {"labels": of_pods}, "spec": spec(account, hardened())}}});
        object("CronJob", "c", own, json!({"schedule": "0 0 * * *", "jobTemplate": template}))
    };
    let deployment = |of_pods: &Value, account: &str| {
        let mut pod = spec(account, hardened());
        pod["restartPolicy"] = json!("Always");
        let mut of_pods = of_pods.clone();
        of_pods["app"] = json!("own");
        object("Deployment", "d", &plain, json!({"selector": {"matchLabels": {"app": "own"}}, "template": {"metadata": {"labels": of_pods}, "spec": pod}}))
    };
    for (what, user, object, words) in [
        ("the operator's image", TENANT, object("Pod", "a", &plain, spec("default", root())), restricted),
        ("the image and the label", TENANT, object("Pod", "a", &mover, spec("default", root())), BY_OPERATOR),
        ("the label alone", TENANT, object("Pod", "a", &mover, spec("default", hardened())), BY_OPERATOR),
        ("the label of a copy's DNS", TENANT, object("Pod", "a", &json!({"platform861.io/role": "copy-dns"}), spec("default", hardened())), BY_OPERATOR),
        (
            "the label of the free probe",
            TENANT,
            object("Pod", "a", &json!({"platform861.io/role": "copy-probe-free"}), spec("default", hardened())),
            BY_OPERATOR,
        ),
        ("the label of the closed probe", TENANT, object("Pod", "a", &json!({"platform861.io/role": "copy-probe"}), spec("default", hardened())), BY_OPERATOR),
        ("a Deployment of a copy's DNS", TENANT, deployment(&json!({"platform861.io/role": "copy-dns"}), "default"), BY_OPERATOR),
        ("a mover's account", TENANT, object("Pod", "a", &plain, spec("p861-run-x", hardened())), BY_OPERATOR),
        ("as of the operator's Job", TENANT, owned(object("Pod", "a", &mover, spec("p861-run-x", root())), "Job", &uid), BY_OPERATOR),
        ("a Job with the label", TENANT, job("a", &mover, &plain, spec("default", hardened())), BY_OPERATOR),
        ("a Job whose pods have it", TENANT, job("a", &plain, &mover, spec("default", hardened())), BY_OPERATOR),
        ("a Job with the account", TENANT, job("a", &plain, &plain, spec("p861-run-x", hardened())), BY_OPERATOR),
        ("a CronJob with the label", TENANT, cron(&mover, &plain, &plain, "default"), BY_OPERATOR),
        ("a CronJob whose Jobs have it", TENANT, cron(&plain, &mover, &plain, "default"), BY_OPERATOR),
        ("a CronJob whose pods have it", TENANT, cron(&plain, &plain, &mover, "default"), BY_OPERATOR),
        ("a CronJob with the account", TENANT, cron(&plain, &plain, &plain, "p861-run-x"), BY_OPERATOR),
        ("a Deployment whose pods have it", TENANT, deployment(&mover, "default"), BY_OPERATOR),
        ("a Deployment with the account", TENANT, deployment(&plain, "p861-run-x"), BY_OPERATOR),
        ("a Job of a backup that somebody forged", RESTORER, job("a", &mover, &mover, spec("p861-run-x", root())), BY_OPERATOR),
        ("a pod of no Job, by the controller", JOBS, object("Pod", "a", &mover, spec("p861-run-x", root())), BY_OPERATOR),
        ("a pod of something else, by the controller", JOBS, owned(object("Pod", "a", &mover, spec("p861-run-x", root())), "CronJob", &uid), BY_OPERATOR),
        ("a pod of a Job that is no mover", JOBS, owned(object("Pod", "a", &plain, spec("default", root())), "Job", &uid), restricted),
        ("root by the operator, and no mover", SITE, job("a", &plain, &plain, spec("default", root())), restricted),
    ] {
        // Of two policies that refuse, one is told; what is in order but for its claim is refused by one alone.
        let said = said(&server, user, &object, true).await;
        assert!(said.contains(words) || said.contains(restricted), "{what}: {said:?}");
    }
    assert_eq!(said(&server, TENANT, &job("own", &plain, &plain, spec("default", hardened())), false).await, "", "what is in order");
    assert_eq!(said(&server, TENANT, &object("Pod", "own", &plain, spec("default", hardened())), false).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e17_nothing_becomes_a_mover_afterwards_and_a_mover_stays_as_it_was_started() {
    let server = laid_out().await;
    let (plain, mover) = (labels(false), labels(true));
    for (user, object) in [
        (TENANT, job("later", &plain, &plain, spec("default", hardened()))),
        (TENANT, object("Pod", "later", &plain, spec("default", hardened()))),
        // As hardened as anything, so that nothing else refuses what follows.
        (SITE, job("started", &mover, &mover, spec("p861-run-x", hardened()))),
    ] {
        assert_eq!(said(&server, user, &object, false).await, "");
    }
    let administrator = server.client(None).await;
    let uid = api(&administrator, "batch", "Job", "jobs", Some(SPACE)).get("started").await.expect("the Job").metadata.uid.expect("a UID");
    assert_eq!(said(&server, JOBS, &owned(object("Pod", "started", &mover, spec("p861-run-x", hardened())), "Job", &uid), false).await, "");
    let tenant = server.client(Some((TENANT, &["system:authenticated"]))).await;
    let change = async |client: &Client, kind: &str, name: &str, patch: Value| {
        let (group, plural) = if kind == "Pod" { ("", "pods") } else { ("batch", "jobs") };
        let place = api(client, group, kind, plural, Some(SPACE));
        match place.patch(name, &PatchParams { dry_run: true, ..PatchParams::default() }, &Patch::Strategic(patch)).await {
            Ok(_) => String::new(),
            Err(kube::Error::Api(status)) => status.message,
            Err(error) => panic!("not judged: {error}"),
        }
    };
    let label = json!({"metadata": {"labels": {"platform861.io/role": "mover"}}});
    let image = json!({"spec": {"containers": [{"name": "c", "image": "evil:1"}]}});
    let stays = "a mover stays as the operator of Platform 861 has started it";
    for (what, kind, name, patch, words) in [
        ("a pod is labelled", "Pod", "later", label.clone(), BY_OPERATOR),
        ("a Job is labelled", "Job", "later", label.clone(), BY_OPERATOR),
        ("a Job's pods are labelled", "Job", "later", json!({"spec": {"template": label}}), BY_OPERATOR),
        ("a mover gets another image", "Pod", "started", image, stays),
        ("a mover's Job goes elsewhere", "Job", "started", json!({"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}), stays),
        ("a mover is noted", "Pod", "started", json!({"metadata": {"labels": {"seen": "yes"}, "annotations": {"note": "x"}}}), ""),
        ("a mover is no mover any more", "Pod", "started", json!({"metadata": {"labels": {"platform861.io/role": null}}}), LABELS),
        ("a mover is another run's", "Pod", "started", json!({"metadata": {"labels": {"platform861.io/run": "other"}}}), LABELS),
    ] {
        let said = change(&tenant, kind, name, patch).await;
        assert!(if words.is_empty() { said.is_empty() } else { said.contains(words) }, "{what}: {said:?}");
    }
    let pods = api(&tenant, "", "Pod", "pods", Some(SPACE));
    for (what, name, security, words) in [
        ("a container beside a mover's", "started", hardened(), stays),
        ("a container that is added to a pod is held to what the pod is", "later", root(), "podSecurity is Restricted"),
    ] {
        let beside = json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "evil:1", "targetContainerName": "c", "securityContext": security}]}});
        let said = pods.patch_subresource("ephemeralcontainers", name, &PatchParams::default(), &Patch::Strategic(beside)).await;
        let said = said.map(drop).expect_err("refused").to_string();
        assert!(said.contains(words), "{what}: {said}");
    }

    // A token would be as good as a pod.
    let ask = |account: &str| {
        let path = format!("/api/v1/namespaces/{SPACE}/serviceaccounts/{account}/token");
        http::Request::post(path)
            .header("Content-Type", "application/json")
            .body(br#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#.to_vec())
            .expect("a request")
    };
    let said = tenant.request_text(ask("p861-run-x")).await.expect_err("refused").to_string();
    assert!(said.contains("no token of theirs is given to others"), "{said}");
    tenant.request_text(ask("default")).await.expect("any other account's");
    let secret = |account: &str| -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": format!("token-of-{account}"), "namespace": SPACE, "annotations": {"kubernetes.io/service-account.name": account}}}))
        .expect("a Secret")
    };
    let secrets = api(&tenant, "", "Secret", "secrets", Some(SPACE));
    let said = secrets.create(&PostParams::default(), &secret("p861-run-x")).await.map(drop).expect_err("refused").to_string();
    assert!(said.contains("no token of theirs is given to others"), "{said}");
    secrets.create(&PostParams::default(), &secret("default")).await.expect("any other account's");
}

/// The node writes it, and who looks after every pod.
#[tokio::test(flavor = "multi_thread")]
async fn fault_e36_what_a_districts_pod_answers_and_at_which_address_nobody_in_the_namespace_writes() {
    let server = laid_out().await;
    let (plain, mover) = (labels(false), labels(true));
    for (user, object) in
        [(TENANT, object("Pod", "moves", &plain, spec("default", hardened()))), (SITE, job("answers", &mover, &mover, spec("p861-run-x", hardened())))]
    {
        assert_eq!(said(&server, user, &object, false).await, "");
    }
    let administrator = server.client(None).await;
    let uid = api(&administrator, "batch", "Job", "jobs", Some(SPACE)).get("answers").await.expect("the Job").metadata.uid.expect("a UID");
    assert_eq!(said(&server, JOBS, &owned(object("Pod", "answers", &mover, spec("p861-run-x", hardened())), "Job", &uid), false).await, "");
    let tenant = server.client(Some((TENANT, &["system:authenticated"]))).await;
    let label = json!({"metadata": {"labels": {"platform861.io/role": "mover"}}});
    let elsewhere = json!({"status": {"podIP": "10.0.0.9"}});
    let forged = json!({"status": {"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "message": "{\"outcome\":\"failed\"}"}}}]}});
    let status = async |client: &Client, name: &str, patch: &Value| {
        let pods = api(client, "", "Pod", "pods", Some(SPACE));
        let parameters = PatchParams { dry_run: true, ..PatchParams::default() };
        match pods.patch_subresource("status", name, &parameters, &Patch::Strategic(patch)).await {
            Ok(_) => String::new(),
            Err(kube::Error::Api(status)) => status.message,
            Err(error) => panic!("not judged: {error}"),
        }
    };
    for (what, client, name, patch, words) in [
        ("a tenant answers for a mover", &tenant, "answers", &forged, "only their node and the cluster's controllers write it"),
        ("a tenant moves his pod to another's address", &tenant, "moves", &elsewhere, "only their node and the cluster's controllers write it"),
        ("a pod is labelled by its status", &tenant, "moves", &label, BY_OPERATOR),
        ("an administrator", &administrator, "answers", &forged, ""),
    ] {
        let said = status(client, name, patch).await;
        assert!(if words.is_empty() { said.is_empty() } else { said.contains(words) }, "{what}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e9_no_pod_of_a_district_is_above_its_limit_whoever_made_the_class() {
    let server = laid_out().await;
    let client = server.client(None).await;
    for (name, value) in [("laoshan-low", 1000), ("city-high", 1001)] {
        apply(&client, &json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}).to_string()).await;
    }
    let of_class = |class: &str| {
        let mut pod = spec("default", hardened());
        pod["priorityClassName"] = json!(class);
        pod
    };
    let limit = "pods have a priority of at most 1000 here";
    for (class, words) in [("laoshan-low", ""), ("city-high", limit), ("system-node-critical", limit), ("system-cluster-critical", limit)] {
        let pod = object("Pod", "ranked", &labels(false), of_class(class));
        let mut last = said(&server, TENANT, &pod, true).await;
        let since = Instant::now();
        // The API server learns of a class a moment after it is made.
        while last.contains("no PriorityClass") && since.elapsed() < LEARNED {
            tokio::time::sleep(Duration::from_millis(100)).await;
            last = said(&server, TENANT, &pod, true).await;
        }
        assert!(if words.is_empty() { last.is_empty() } else { last.contains(words) }, "{class}: {last:?}");
    }
    // Kubernetes' own are refused where they are written, and not only where the pods are missing then.
    let template = job("ranked", &labels(false), &labels(false), of_class("system-node-critical"));
    assert!(said(&server, TENANT, &template, true).await.contains(limit));
}
