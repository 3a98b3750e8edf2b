use super::*;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

fn pod(containers: &[&str], annotation: Option<&str>) -> Pod {
    let containers: Vec<_> = containers.iter().map(|name| json!({"name": name, "image": "i"})).collect();
    let annotations = annotation.map(|name| json!({DEFAULT_CONTAINER: name}));
    serde_json::from_value(json!({"metadata": {"name": "web-0", "annotations": annotations}, "spec": {"containers": containers}})).unwrap()
}

#[test]
fn fault_f1_a_command_without_a_container_runs_where_kubectl_would_run_it() {
    for (containers, annotation, named, chosen) in [
        (&["web"][..], None, None, "web"),
        (&["web", "proxy"], None, None, "web"),
        (&["proxy", "web"], Some("web"), None, "web"),
        (&["proxy", "web"], Some("gone"), None, "proxy"),
        (&["proxy", "web"], Some("web"), Some("proxy"), "proxy"),
    ] {
        let target = Target::of(&pod(containers, annotation), named);
        assert_eq!(target, Some(Target { pod: "web-0".into(), container: chosen.into() }), "{containers:?} {annotation:?} {named:?}");
    }
}

#[tokio::test]
async fn fault_d4_a_commands_output_is_bounded_and_read_to_its_end() {
    let (stdout, mut far) = tokio::io::duplex(1024);
    let (stderr, mut far_errors) = tokio::io::duplex(1024);
    let (exits, exit) = tokio::sync::oneshot::channel();
    let status = Box::pin(async move { exit.await.ok() });
    let attached = Attached { stdin: None, stdout: Box::new(stdout), stderr: Box::new(stderr), status, connection: None };
    tokio::spawn(async move {
        far_errors.write_all(&vec![b'e'; 1 << 20]).await.unwrap();
        far.write_all(&vec![b'o'; 1 << 20]).await.unwrap();
        exits.send(serde_json::from_value(json!({"status": "Failure", "message": "exit 3"})).unwrap()).unwrap();
    });
    let limits = Limits { close: Duration::from_millis(50), exit: Duration::from_millis(50) };
    let output = tokio::time::timeout(Duration::from_secs(20), output_of(attached, limits, || "run it".into())).await.expect("it ends").unwrap();
    assert_eq!((output.success, output.message.as_str(), output.stdout.len()), (false, "exit 3", MAX_OUTPUT_BYTES));
    assert!(output.stderr.len() < 2 * 1024);
}

#[tokio::test]
async fn fault_e11_a_command_that_prints_without_end_is_left_at_its_limit_and_fills_no_memory() {
    let (stdout, mut far) = tokio::io::duplex(64 << 10);
    let printed = tokio::spawn(async move {
        let mut bytes = 0;
        while far.write_all(&[b'x'; 16 << 10]).await.is_ok() {
            bytes += 16 << 10;
        }
        bytes
    });
    let attached =
        Attached { stdin: None, stdout: Box::new(stdout), stderr: Box::new(tokio::io::empty()), status: Box::pin(std::future::pending()), connection: None };
    let output = tokio::time::timeout(Duration::from_millis(300), output_of(attached, attached::LIMITS, || "run it".into())).await;
    assert!(output.is_err(), "it has not ended");
    let bytes = tokio::time::timeout(Duration::from_secs(20), printed).await.expect("its connection is closed").unwrap();
    assert!(bytes > MAX_OUTPUT_BYTES * 4, "{bytes} bytes were read past");
    let long = serde_json::from_value(json!({"status": "Failure", "message": "x".repeat(1 << 20)})).unwrap();
    assert!(matches!(Exit::from(Some(long)), Exit::Failure(message) if message.len() < 4_096));
}

#[tokio::test]
async fn fault_d4_a_connection_that_is_lost_is_no_exit_of_the_command() {
    let (stdout, _open) = tokio::io::duplex(1024);
    let attached = Attached { stdin: None, stdout: Box::new(stdout), stderr: Box::new(tokio::io::empty()), status: Box::pin(async { None }), connection: None };
    let limits = Limits { close: Duration::from_millis(50), exit: Duration::from_millis(50) };
    let lost = tokio::time::timeout(Duration::from_secs(20), output_of(attached, limits, || "run it".into())).await.expect("it ends");
    assert!(matches!(lost, Err(error) if error.reason() == Reason::ConnectionLost));
}

/// An API server with so many pods of a workload, of which only one is ready, and with what was asked of it.
fn server_of(pods: usize, ready: usize) -> (Client, std::sync::Arc<parking_lot::Mutex<Vec<String>>>) {
    let asked: std::sync::Arc<parking_lot::Mutex<Vec<String>>> = std::sync::Arc::default();
    let seen = asked.clone();
    let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).and_then(|text| text.parse::<usize>().ok());
        let (first, limit) = (number("continue").unwrap_or_default(), number("limit").unwrap_or(pods));
        let next = (first + limit).min(pods);
        let pod = |number: usize| {
            let status = if number == ready { "True" } else { "False" };
            serde_json::json!({"metadata": {"name": format!("p{number:05}")}, "status": {"conditions": [{"type": "Ready", "status": status}]}})
        };
        let token = (next < pods).then(|| next.to_string());
        let items: Vec<serde_json::Value> = (first..next).map(pod).collect();
        let answer = serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": token}, "items": items});
        seen.lock().push(query);
        async move { Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(answer.to_string().into_bytes()))) }
    });
    (Client::new(server, "default"), asked)
}

#[tokio::test]
async fn fault_f8_to_find_a_ready_pod_no_more_of_them_are_read_than_it_takes() {
    for (pods, ready, pages) in [(5_000, 7, 1), (5_000, 49, 1), (5_000, 120, 3), (120, 500, 3), (0, 0, 1)] {
        let (client, asked) = server_of(pods, ready);
        let found = first_of(&Api::namespaced(client, "n"), "app=web", |pod| is_ready(pod).then(|| pod.name_any())).await.unwrap();
        assert_eq!(found, (ready < pods).then(|| format!("p{ready:05}")), "{pods} pods");
        let asked = asked.lock().clone();
        assert_eq!(asked.len(), pages, "{pods} pods: {asked:?}");
        assert!(asked.iter().all(|query| query.contains("labelSelector=app%3Dweb") && query.contains("limit=50")), "{asked:?}");
    }
}

fn owner(api: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": true})
}

/// A ready pod.
fn ready(name: &str, labels: Value, account: &str, owners: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels, "ownerReferences": owners}, "spec": {"serviceAccountName": account, "containers": [{"name": "web"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

/// What the pods of a mover are, whatever owns them.
fn mover(name: &str, owners: Value) -> Value {
    let labels = json!({"batch.kubernetes.io/job-name": "m", "pod-template-hash": "h1", "platform861.io/role": "mover", "platform861.io/run": "u"});
    ready(name, labels, "p861-run-bcdfghjk", owners)
}

/// An API server with a workload of each kind that is called web and selects whatever is of a Job, and with these pods.
fn server_with(pods: Vec<Value>) -> Client {
    let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let path = request.uri().path();
        let workload = |kind: &str| {
            let selector = json!({"matchExpressions": [{"key": "batch.kubernetes.io/job-name", "operator": "Exists"}]});
            json!({"kind": kind, "apiVersion": "apps/v1", "metadata": {"name": "web", "uid": "u-web"}, "spec": {"selector": selector, "template": {}}})
        };
        let answer = match path.strip_prefix("/apis/apps/v1/namespaces/n/") {
            Some("deployments/web") => workload("Deployment"),
            Some("statefulsets/web") => workload("StatefulSet"),
            Some("daemonsets/web") => workload("DaemonSet"),
            _ => json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}),
        };
        async move { Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(answer.to_string().into_bytes()))) }
    });
    Client::new(server, "default")
}

#[tokio::test]
async fn fault_e38_a_command_for_a_workload_runs_only_in_its_own_pods_and_never_in_a_movers() {
    let plain = || json!({"pod-template-hash": "h1"});
    let set = |name: &str| json!([owner("apps/v1", "ReplicaSet", name, "u-rs")]);
    let stateful = |uid: &str| json!([owner("apps/v1", "StatefulSet", "web", uid)]);
    let job = || json!([owner("batch/v1", "Job", "m", "u-job")]);
    let mut no_controller = set("web-h1");
    no_controller[0]["controller"] = json!(false);
    for (what, kind, pods, chosen) in [
        // As it was tried: a selector that means the pods of movers.
        ("a mover alone", "Deployment", vec![mover("a", job())], None),
        ("a mover first", "Deployment", vec![mover("a", job()), ready("b", plain(), "default", set("web-h1"))], Some("b")),
        ("a mover that is its own", "Deployment", vec![mover("a", set("web-h1"))], None),
        ("a mover that is its own", "StatefulSet", vec![mover("a", stateful("u-web"))], None),
        ("the label alone", "Deployment", vec![ready("a", json!({"pod-template-hash": "h1", "platform861.io/role": "x"}), "default", set("web-h1"))], None),
        ("the account alone", "Deployment", vec![ready("a", plain(), "p861-run-zzzzzzzz", set("web-h1"))], None),
        ("its own", "Deployment", vec![ready("a", plain(), "default", set("web-h1"))], Some("a")),
        ("its own", "StatefulSet", vec![ready("a", json!({}), "default", stateful("u-web"))], Some("a")),
        ("its own", "DaemonSet", vec![ready("a", json!({}), "default", json!([owner("apps/v1", "DaemonSet", "web", "u-web")]))], Some("a")),
        ("nobody's", "Deployment", vec![ready("a", plain(), "default", json!([]))], None),
        ("nobody's", "StatefulSet", vec![ready("a", json!({}), "default", json!([]))], None),
        ("a Job's", "Deployment", vec![ready("a", plain(), "default", job())], None),
        ("an owner that doesn't control it", "Deployment", vec![ready("a", plain(), "default", no_controller)], None),
        ("another Deployment's", "Deployment", vec![ready("a", plain(), "default", set("web-2-h1"))], None),
        ("a ReplicaSet's without a template", "Deployment", vec![ready("a", json!({}), "default", set("web-"))], None),
        ("a ReplicaSet of another template", "Deployment", vec![ready("a", plain(), "default", set("web-h2"))], None),
        ("a kind of another group", "Deployment", vec![ready("a", plain(), "default", json!([owner("example.com/v1", "ReplicaSet", "web-h1", "u-rs")]))], None),
        ("of one that was there before", "StatefulSet", vec![ready("a", json!({}), "default", stateful("u-old"))], None),
        ("of another kind", "DaemonSet", vec![ready("a", json!({}), "default", stateful("u-web"))], None),
    ] {
        let reference: WorkloadReference = serde_json::from_value(json!({"kind": kind, "name": "web"})).unwrap();
        let found = target(&server_with(pods), "n", &reference, None).await;
        match (chosen, found) {
            (Some(chosen), Ok(target)) => assert_eq!(target.pod, chosen, "{kind}: {what}"),
            (None, Err(error)) => assert!(error.reason() == Reason::WorkloadNotReady, "{kind}: {what}: {error}"),
            (_, found) => panic!("{kind}: {what}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn fault_e38_whatever_selects_is_shown_no_pod_of_the_platforms_own_and_nothing_runs_in_one() {
    let client = server_with(vec![
        mover("a", json!([])),
        ready("b", json!({"platform861.io/role": "copy-dns"}), "default", json!([])),
        ready("c", json!({}), "web", json!([])),
    ]);
    let found = first_of(&Api::namespaced(client, "n"), "app=web", |pod| Some(pod.name_any())).await.unwrap();
    assert_eq!(found.as_deref(), Some("c"));
    let mut old_field = ready("a", json!({}), "", json!([]));
    old_field["spec"] = json!({"serviceAccount": "p861-run-bcdfghjk", "containers": [{"name": "web"}]});
    let prober = json!({"app.kubernetes.io/name": "p861", "app.kubernetes.io/component": "prober"});
    for (what, pod, may) in [
        ("a mover", mover("a", json!([])), false),
        ("a mover, by the field's old name", old_field, false),
        ("the prober", ready("a", prober, "default", json!([])), true),
        ("an application's", ready("a", json!({"app": "web"}), "p861-portal", json!([])), true),
    ] {
        assert_eq!(Target::of(&serde_json::from_value(pod).unwrap(), None).is_some(), may, "{what}");
    }
}
