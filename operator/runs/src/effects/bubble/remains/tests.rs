//! What remains of a copy, on an API server that notes what is changed.

use super::*;
use http::{Method, Request, Response};
use kube::client::Body;
use parking_lot::Mutex;
use std::{convert::Infallible, sync::Arc};

/// A namespace that is being deleted, and what remains in it.
struct Server {
    /// As it is when it is read again.
    now: Value,
    /// By plural.
    objects: Vec<(&'static str, Value)>,
    /// Plural and name of what was patched, with the patch.
    patched: Vec<(String, Value)>,
    lists: usize,
}

fn discovery(group: &str, resources: &[(&str, &str)]) -> Value {
    let resource = |(plural, kind): &(&str, &str)| json!({"resource": plural, "responseKind": {"group": group, "version": "v1", "kind": kind}, "scope": "Namespaced", "singularResource": "", "verbs": ["list", "patch"]});
    let resources: Vec<Value> = resources.iter().map(resource).collect();
    let group = json!({"metadata": {"name": group}, "versions": [{"version": "v1", "freshness": "Current", "resources": resources}]});
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [group]})
}

fn answer(server: &mut Server, method: &Method, path: &str, body: &Value) -> Value {
    let last = path.rsplit('/').next().unwrap_or_default();
    if method == Method::PATCH {
        let mut parts = path.rsplit('/');
        let (name, plural) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        server.patched.push((format!("{plural}/{name}"), body.clone()));
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"});
        return match plural {
            "rolebindings" => json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name}, "roleRef": role}),
            _ => json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}),
        };
    }
    match path {
        "/api" => discovery("", &[("configmaps", "ConfigMap"), ("pods", "Pod")]),
        "/apis" => discovery("rbac.authorization.k8s.io", &[("rolebindings", "RoleBinding")]),
        "/api/v1/namespaces/copy" => server.now.clone(),
        _ => {
            server.lists += 1;
            let items: Vec<Value> = server
                .objects
                .iter()
                .filter(|(plural, _)| *plural == last)
                .map(|(_, object)| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object}))
                .collect();
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items})
        }
    }
}

fn client(server: &Arc<Mutex<Server>>) -> Client {
    let server = server.clone();
    let service = move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let body: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
            let answer = answer(&mut server.lock(), &head.method, head.uri.path(), &body);
            Ok::<_, Infallible>(Response::builder().body(Body::from(answer.to_string().into_bytes())).unwrap())
        }
    };
    Client::new(tower::service_fn(service), "n")
}

fn namespace(run: &str, uid: &str, trouble: bool) -> Value {
    let remaining = "Some resources are remaining: configmaps. has 1 resource instances, rolebindings.rbac.authorization.k8s.io has 1 resource instances";
    let mut conditions = vec![json!({"type": "NamespaceContentRemaining", "status": "True", "message": remaining})];
    if trouble {
        conditions.push(json!({"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": "dead.example.com/v1: stale GroupVersion discovery"}));
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "copy", "uid": uid, "deletionTimestamp": "2026-11-15T01:00:00Z", "labels": {RUN_LABEL: run, DRILL_LABEL: "k7m2q"}},
        "status": {"phase": "Terminating", "conditions": conditions}})
}

fn object(name: &str, finalizer: &str) -> Value {
    json!({"name": name, "namespace": "copy", "uid": format!("uid of {name}"), "resourceVersion": "7", "deletionTimestamp": "2026-11-15T01:00:00Z", "finalizers": [finalizer]})
}

#[tokio::test]
async fn fault_d1_what_only_holds_up_this_drills_copy_is_removed_and_nothing_elsewhere() {
    let site: SiteName = "standby".into();
    let binding = format!("{}-cleaner", run_name("mine"));
    let own = || ("rolebindings", object(&binding, CLEANUP_FINALIZER));
    let held = || ("configmaps", object("held", "example.com/hold"));
    for (case, before, now, objects, patched, told) in [
        (
            "a finalizer that nobody removes",
            namespace("mine", "u", false),
            namespace("mine", "u", false),
            vec![own(), held()],
            Some("configmaps/held"),
            "ConfigMap held",
        ),
        ("nothing but our own right", namespace("mine", "u", false), namespace("mine", "u", false), vec![own()], Some("rolebindings"), ""),
        ("another drill's copy", namespace("other", "u", false), namespace("other", "u", false), vec![own(), held()], None, ""),
        ("it was made again meanwhile", namespace("mine", "u", false), namespace("mine", "another", false), vec![own(), held()], None, "ConfigMap held"),
        ("an API that doesn't answer", namespace("mine", "u", true), namespace("mine", "u", true), vec![own()], None, "kubectl get apiservices"),
    ] {
        let server = Arc::new(Mutex::new(Server { now, objects, patched: Vec::new(), lists: 0 }));
        let client = client(&server);
        let place = Place { client: &client, site: &site, run: "mine", drill: "k7m2q" };
        let before: Namespace = serde_json::from_value(before).unwrap();
        let words = place.clear(&before).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        let server = server.lock();
        match patched {
            Some(expected) => {
                assert_eq!(server.patched.len(), 1, "{case}: {:?}", server.patched);
                let (what, patch) = &server.patched[0];
                assert!(what.starts_with(expected) && patch.pointer("/metadata/finalizers") == Some(&Value::Null), "{case}: {what} {patch}");
                if expected.starts_with("configmaps") {
                    assert_eq!((&patch["metadata"]["uid"], &patch["metadata"]["resourceVersion"]), (&json!("uid of held"), &json!("7")), "{case}");
                }
            }
            None => assert!(server.patched.is_empty(), "{case}: {:?}", server.patched),
        }
        assert_eq!(told.is_empty(), words.is_empty(), "{case}: {words:?}");
        assert!(told.is_empty() || words.iter().any(|line| line.contains(told)), "{case}: {words:?}");
        assert_eq!(server.lists == 0, case == "another drill's copy", "{case}: who isn't the drill lists nothing");
    }
}
