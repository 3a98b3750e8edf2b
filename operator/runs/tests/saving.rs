//! What a mover saves of an API server that is simulated over HTTP: which kinds, in which version, page by page, several at once, and the same bytes each time.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use kube::{Client, Config};
use p861_crds::platform::application::ClusterResource;
use p861_runs::movers::save::{Saved, save};
use p861_vault::Filled;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    time::Duration,
};

/// Objects of a page, whatever is asked for.
const PAGE: usize = 500;

#[derive(Default)]
struct Server {
    /// Answers to `/api` and `/apis`.
    discovery: [Value; 2],
    /// Objects by the path of their list.
    objects: BTreeMap<String, Vec<Value>>,
    /// Answers to reads of single objects, by path.
    named: BTreeMap<String, (u16, Value)>,
    /// Continue tokens that are refused once each, with what the refusal offers instead.
    expired: Mutex<Vec<(String, Option<String>)>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

fn resource(kind: &str, plural: &str, namespaced: bool) -> Value {
    json!({"resource": plural, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": if namespaced { "Namespaced" } else { "Cluster" }, "verbs": ["get", "list"]})
}

fn version(name: &str, freshness: &str, resources: Vec<Value>) -> Value {
    json!({"version": name, "freshness": freshness, "resources": resources})
}

fn groups(groups: Vec<(&str, Vec<Value>)>) -> Value {
    let items: Vec<Value> = groups.into_iter().map(|(name, versions)| json!({"metadata": {"name": name}, "versions": versions})).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn named(count: usize) -> Vec<Value> {
    (0..count)
        .map(|number| json!({"metadata": {"name": format!("a-{number:05}"), "namespace": "n", "uid": format!("u-{number}")}, "data": {"b": "1", "a": "2"}}))
        .collect()
}

fn answer(status: StatusCode, body: &Value) -> Response {
    Response::builder().status(status).header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "no", "reason": "Expired", "code": code})
}

async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    server.most.fetch_max(server.under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(20)).await;
    server.under_way.fetch_sub(1, Ordering::SeqCst);
    server.asked.lock().push(path.clone());
    match path.as_str() {
        "/api" => return answer(StatusCode::OK, &server.discovery[0]),
        "/apis" => return answer(StatusCode::OK, &server.discovery[1]),
        "/api/v1/namespaces/n" => {
            let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "n", "labels": {"team": "a", "kubernetes.io/metadata.name": "n"}}, "spec": {"finalizers": ["kubernetes"]}});
            return answer(StatusCode::OK, &namespace);
        }
        _ => {}
    }
    if let Some((code, object)) = server.named.get(&path) {
        return answer(StatusCode::from_u16(*code).unwrap(), object);
    }
    let Some(objects) = server.objects.get(&path) else { return answer(StatusCode::NOT_FOUND, &status(404)) };
    let token = query.split('&').find_map(|pair| pair.strip_prefix("continue=")).unwrap_or("0").to_owned();
    let expired = server.expired.lock().iter().position(|(expired, _)| *expired == token);
    if let Some(at) = expired {
        let (_, instead) = server.expired.lock().remove(at);
        let mut refused = status(410);
        refused["metadata"]["continue"] = json!(instead);
        return answer(StatusCode::GONE, &refused);
    }
    let from: usize = token.parse().unwrap();
    let rest = &objects[from.min(objects.len())..];
    let next = (rest.len() > PAGE).then(|| (from + PAGE).to_string());
    answer(
        StatusCode::OK,
        &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1", "continue": next}, "items": &rest[..rest.len().min(PAGE)]}),
    )
}

async fn client_of(server: Arc<Server>) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve).with_state(server)).await });
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap()
}

/// A server with many ConfigMaps, and kinds of a group that prefers a version which doesn't serve all of them.
fn city() -> Server {
    let kinds = ["ConfigMap", "Secret", "Service", "Event", "Pod", "PodTemplate", "LimitRange", "ResourceQuota", "ServiceAccount", "Endpoints"];
    let plural = |kind: &str| if kind == "Endpoints" { "endpoints".to_owned() } else { format!("{}s", kind.to_lowercase()) };
    let mut core: Vec<Value> = kinds.iter().map(|kind| resource(kind, &plural(kind), true)).collect();
    core.push(resource("Node", "nodes", false));
    let demo = vec![
        version("v1", "Current", vec![resource("Widget", "widgets", true)]),
        version("v1alpha1", "Current", vec![resource("Widget", "widgets", true), resource("Gadget", "gadgets", true)]),
    ];
    let dead = |version_name: &str| vec![version(version_name, "Stale", Vec::new())];
    let mut objects: BTreeMap<String, Vec<Value>> = kinds.iter().map(|kind| (format!("/api/v1/namespaces/n/{}", plural(kind)), Vec::new())).collect();
    objects.insert("/api/v1/namespaces/n/configmaps".into(), named(1_201));
    objects.insert("/apis/demo.example/v1/namespaces/n/widgets".into(), named(2));
    objects.insert("/apis/demo.example/v1alpha1/namespaces/n/gadgets".into(), named(1));
    let going = json!({"metadata": {"name": "going", "namespace": "n", "deletionTimestamp": "2026-11-15T00:00:00Z"}, "type": "Opaque"});
    objects.insert("/api/v1/namespaces/n/secrets".into(), vec![going]);
    // By hand: its Service has no selector.
    objects.insert("/api/v1/namespaces/n/services".into(), vec![json!({"metadata": {"name": "legacy", "namespace": "n"}, "spec": {"ports": [{"port": 1}]}})]);
    objects.insert("/api/v1/namespaces/n/endpoints".into(), vec![json!({"metadata": {"name": "legacy", "namespace": "n"}, "subsets": []})]);
    let apis = groups(vec![("demo.example", demo), ("metrics.k8s.io", dead("v1beta1"))]);
    Server { discovery: [groups(vec![("", vec![version("v1", "Current", core)])]), apis], objects, ..Server::default() }
}

async fn saved(server: &Arc<Server>, folder: &Path) -> Saved {
    let client = client_of(server.clone()).await;
    save(&client, &["n".to_owned()], &[], &[], (folder, channel().0), &|_| {}).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Every file with its text.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder.join("n")).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b1_every_kind_is_saved_in_a_version_that_serves_it_and_what_does_not_answer_is_named() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Arc::new(city()));
    let saved = saved(&server, folder.path()).await;
    let kinds: Vec<String> = saved.kinds.iter().map(|kind| format!("{} {} {} {}", kind.group, kind.version, kind.kind, kind.count)).collect();
    let expected = [" v1 ConfigMap 1201", " v1 Endpoints 1", " v1 Namespace 1", " v1 Service 1", "demo.example v1alpha1 Gadget 1", "demo.example v1 Widget 2"];
    assert_eq!(kinds, expected);
    assert_eq!(saved.objects, 1_207);
    let left_out: Vec<(&str, i64, &str)> = saved.left_out.iter().map(|left| (left.reason.as_str(), left.count, left.names[0].as_str())).collect();
    assert_eq!(left_out, [("BeingDeleted", 1, "Secret n/going"), ("StaleDiscovery", 1, "every kind of metrics.k8s.io/v1beta1")]);
    let files = files(folder.path());
    let names = ["configmaps.jsonl", "endpoints.jsonl", "gadgets.demo.example.jsonl", "namespaces.jsonl", "services.jsonl", "widgets.demo.example.jsonl"];
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), names);
    let gadget = r#"{"apiVersion":"demo.example/v1alpha1","data":{"a":"2","b":"1"},"kind":"Gadget","metadata":{"name":"a-00000","namespace":"n"}}"#;
    assert_eq!(files["gadgets.demo.example.jsonl"], format!("{gadget}\n"));
    assert_eq!(files["namespaces.jsonl"], "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"labels\":{\"team\":\"a\"},\"name\":\"n\"}}\n");
    assert!(!server.asked.lock().iter().any(|path| path.ends_with("/events")), "no Event is saved, so none is listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_g3_kinds_are_listed_side_by_side_and_equal_objects_give_equal_files() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Arc::new(city());
    let first = saved(&server, one.path()).await;
    let most = server.most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} requests at once");
    // Of the second, a continue token expires in the middle, and the list goes on with another: nothing comes twice.
    *server.expired.lock() = vec![("1000".to_owned(), Some("1000".to_owned()))];
    let second = saved(&server, two.path()).await;
    assert!(server.expired.lock().is_empty());
    assert_eq!((first.objects, &first.kinds), (second.objects, &second.kinds));
    let files = files(one.path());
    assert_eq!(files, self::files(two.path()));
    for (name, text) in files {
        assert!(text.lines().collect::<Vec<_>>().is_sorted(), "{name} is sorted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d_a_list_whose_continue_token_expires_for_good_is_no_backup_and_says_so() {
    // An API server offers another token; what stands before it, or is none, may not, and may refuse that one as well.
    for expired in [vec![("500", None)], vec![("500", Some("1000")), ("1000", None)]] {
        let (folder, server, (told, filled)) = (tempfile::tempdir().unwrap(), city(), channel());
        *server.expired.lock() = expired.into_iter().map(|(token, instead)| (token.to_owned(), instead.map(str::to_owned))).collect();
        let client = client_of(Arc::new(server)).await;
        let refused = save(&client, &["n".to_owned()], &[], &[], (folder.path(), told), &|_| {}).await.unwrap_err();
        assert!(refused.to_string().contains("list configmaps in n: its continue token has expired"), "{refused}");
        assert!(!filled.iter().any(|filled| filled == Filled::All), "what was not listed to its end is not told to be whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_g3_files_are_told_as_they_become_whole_in_the_order_of_a_folder() {
    let (folder, (told, filled)) = (tempfile::tempdir().unwrap(), channel());
    let mut server = city();
    // More than one piece of ConfigMaps: of a kibibyte each.
    let data = "x".repeat(1 << 10);
    let many = (0..8_000).map(|number| json!({"metadata": {"name": format!("a-{number:05}"), "namespace": "n"}, "data": {"b": data}})).collect();
    server.objects.insert("/api/v1/namespaces/n/configmaps".into(), many);
    let client = client_of(Arc::new(server)).await;
    save(&client, &["n".to_owned()], &[], &[], (folder.path(), told), &|_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    let told: Vec<Filled> = filled.iter().collect();
    let (last, named) = told.split_last().unwrap();
    let named: Vec<String> = named.iter().map(|one| if let Filled::File(path) = one { path.to_str().unwrap().to_owned() } else { panic!("{one:?}") }).collect();
    let there: Vec<String> = files(folder.path()).into_keys().map(|name| format!("n/{name}")).collect();
    assert_eq!((last, &named), (&Filled::All, &there));
    assert!(named.iter().filter(|name| name.starts_with("n/configmaps.jsonl")).count() > 1, "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b10_a_status_is_saved_where_the_kind_has_no_status_subresource() {
    let mut server = city();
    let mut gauge = resource("Gauge", "gauges", true);
    gauge["subresources"] = json!([{"subresource": "scale", "verbs": ["get"]}, {"subresource": "status", "verbs": ["get", "patch"]}]);
    server.discovery[1] = groups(vec![("demo.example", vec![version("v1", "Current", vec![resource("Counter", "counters", true), gauge])])]);
    for plural in ["counters", "gauges"] {
        let object = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}, "status": {"serial": 7}});
        server.objects.insert(format!("/apis/demo.example/v1/namespaces/n/{plural}"), vec![object]);
    }
    let (folder, server) = (tempfile::tempdir().unwrap(), Arc::new(server));
    saved(&server, folder.path()).await;
    let files = files(folder.path());
    for (file, kept) in [("counters.demo.example.jsonl", true), ("gauges.demo.example.jsonl", false)] {
        assert_eq!(files[file].contains(r#""status":{"serial":7}"#), kept, "{}", files[file]);
        assert!(!files[file].contains("uid"), "{}", files[file]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_named_cluster_scoped_objects_are_saved_and_one_that_does_not_exist_is_named() {
    let mut server = city();
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [],
        "metadata": {"name": "gadgets:reader", "uid": "u", "resourceVersion": "7", "labels": {"team": "a"}}});
    server.named.insert("/apis/rbac.authorization.k8s.io/v1/clusterroles/gadgets%3Areader".into(), (200, role));
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "no", "reason": "NotFound", "code": 404});
    server.named.insert("/apis/scheduling.k8s.io/v1/priorityclasses/gone".into(), (404, gone));
    let named = |group: &str, kind: &str, name: &str| ClusterResource { group: Some(group.into()), kind: kind.into(), name: name.into() };
    let cluster = [named("rbac.authorization.k8s.io", "ClusterRole", "gadgets:reader"), named("scheduling.k8s.io", "PriorityClass", "gone")];
    let (folder, client) = (tempfile::tempdir().unwrap(), client_of(Arc::new(server)).await);
    let saved = save(&client, &["n".to_owned()], &cluster, &[], (folder.path(), channel().0), &|_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    let of_cluster: Vec<(&str, u64)> = saved.kinds.iter().filter(|kind| kind.namespace.is_empty()).map(|kind| (kind.kind.as_str(), kind.count)).collect();
    assert_eq!((of_cluster, saved.objects), (vec![("ClusterRole", 1)], 1_208));
    let line = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"labels":{"team":"a"},"name":"gadgets:reader"},"rules":[]}"#;
    let folder = folder.path().join("_cluster");
    assert_eq!(fs::read_to_string(folder.join("clusterroles.rbac.authorization.k8s.io.jsonl")).unwrap(), format!("{line}\n"));
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    let missing: Vec<&str> = saved.left_out.iter().filter(|left| left.reason == "Missing").flat_map(|left| &left.names).map(String::as_str).collect();
    assert_eq!(missing, ["PriorityClass gone"]);

    let mut server = city();
    server.named.insert("/apis/scheduling.k8s.io/v1/priorityclasses/closed".into(), (403, status(403)));
    let cluster = [named("scheduling.k8s.io", "PriorityClass", "closed")];
    let place = tempfile::tempdir().unwrap();
    let refused = save(&client_of(Arc::new(server)).await, &["n".to_owned()], &cluster, &[], (place.path(), channel().0), &|_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("site.clusterResources"), "who may not read one is told who can permit it: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d6_a_server_that_names_no_kinds_is_no_empty_backup_and_a_missing_namespace_neither() {
    let folder = tempfile::tempdir().unwrap();
    let silent = Server { discovery: [json!({"kind": "APIVersions", "versions": ["v1"]}), groups(Vec::new())], ..Server::default() };
    let refused = save(&client_of(Arc::new(silent)).await, &["n".to_owned()], &[], &[], (folder.path(), channel().0), &|_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("names no kinds"), "{refused}");
    let refused = save(&client_of(Arc::new(city())).await, &["gone".to_owned()], &[], &[], (folder.path(), channel().0), &|_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("read namespace gone"), "{refused}");
}
