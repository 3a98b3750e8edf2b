//! What reaches beyond a district is refused before anything is asked, and nothing in this program runs a command past the gate.

use super::*;
use crate::leadership::Leadership;
use kube::{Client, client::Body};
use p861_core::runs::Allotment;
use p861_crds::District;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

fn scope() -> Scope {
    let district: District = read(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
        "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}]}}));
    Scope::of_district("shinan", ["west"], Allotment::of(&district))
}

/// Sites whose hub notes what it is asked, and has nothing.
fn sites() -> (Sites, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    let server = tower::service_fn(move |request: http::Request<Body>| {
        notes.lock().push(request.uri().path().to_owned());
        let missing = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not here"});
        async move { http::Response::builder().status(404).body(Body::from(missing.to_string().into_bytes())) }
    });
    (Sites::new(Client::new(server, "default"), "p861-system", Leadership::without_lease()), asked)
}

fn command(namespace: Option<&str>) -> Value {
    json!({"workloadRef": {"kind": "Deployment", "name": "coredns", "namespace": namespace}, "command": ["cat", "/etc/kubernetes/admin.conf"]})
}

#[tokio::test]
async fn fault_e1_what_is_no_step_of_a_run_reaches_no_namespace_and_no_site_of_another_either() {
    let limit = Duration::from_secs(5);
    for (site, namespace, named, expected) in [
        ("west", "kube-system", None, "NamespaceNotAllotted"),
        ("west", "laoshan-approval", Some("laoshan-approval"), "NamespaceNotAllotted"),
        ("west", "shinan-approval", Some("kube-system"), "NamespaceNotAllotted"),
        ("west", "shinan-approval--drill-k7m2q", None, "NamespaceNotAllotted"),
        ("north", "shinan-approval", None, "SiteNotAllotted"),
        // These pass the gate, and the hub is asked for the site.
        ("west", "shinan-approval", None, "SiteMissing"),
        ("west", "shinan-approval", Some("shinan-data"), "SiteMissing"),
    ] {
        let (sites, asked) = sites();
        let site = site.into();
        let check = |kind: &str, what: Value| read::<Check>(json!({"name": "c", kind: what}));
        let mut condition = command(named);
        condition["type"] = json!("Available");
        let mut results = vec![
            run_command(&sites, &scope(), &site, namespace, &read(command(named)), limit).await.err(),
            try_check(&sites, &scope(), &site, namespace, &check("exec", command(named))).await.err(),
            try_check(&sites, &scope(), &site, namespace, &check("condition", condition)).await.err(),
        ];
        if named.is_none() {
            results.push(try_check(&sites, &scope(), &site, namespace, &check("tcp", json!({"serviceName": "s", "port": 53}))).await.err());
            results.push(try_check(&sites, &scope(), &site, namespace, &check("http", json!({"serviceName": "s", "port": 80, "path": "/"}))).await.err());
        }
        for error in results {
            assert_eq!(error.map(|error| error.reason().to_string()).as_deref(), Some(expected), "{site} {namespace} {named:?}");
        }
        assert_eq!(asked.lock().is_empty(), expected != "SiteMissing", "{site} {namespace}: {:?}", asked.lock());
    }
}

#[tokio::test]
async fn fault_e1_a_probe_from_another_districts_site_asks_nobody() {
    assert_eq!(scope().site(&"north".into()).expect_err("another's").reason(), "SiteNotAllotted");
    let (sites, asked) = sites();
    let west = scope().site(&"west".into()).expect("its own");
    let refused = probe(&sites, &west, "p861-system", "10.0.0.1", 443, Duration::from_secs(5)).await.expect_err("no such site");
    assert_eq!((refused.reason().as_str(), asked.lock().is_empty()), ("SiteMissing", false));
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") && entry.file_name().is_none_or(|name| name != "tests.rs") {
            found.push((entry.clone(), fs::read_to_string(&entry).expect("a source")));
        }
    }
}

/// Whoever adds a way to run a command, to forward a port or to fetch a page must lead it through the gate, and say so here.
#[test]
fn fault_e1_commands_run_and_connections_open_only_behind_the_gate() {
    let operator = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent");
    let mut found = Vec::new();
    for folder in ["runs/src", "src"] {
        sources(&operator.join(folder), &mut found);
    }
    for (words, places) in [
        // Takes a pod that its caller has chosen; the other puts the operator's own program in the place of itself.
        (".exec(", &["runs/src/sites/pods.rs", "src/lease_loss.rs"][..]),
        // Into a pod that is known to be a mover's of the run, whose step has passed the gate.
        (".attach(", &["runs/src/effects/mover/keys.rs"]),
        // A mover runs what the gate has let the operator give it, with rights in the run's namespaces only.
        ("attach(", &["runs/src/effects/mover/keys.rs", "runs/src/movers/streams.rs", "runs/src/sites/pods.rs"]),
        ("execute_in(", &["runs/src/effects/gated.rs", "runs/src/sites/pods.rs"]),
        // Takes a permitted action.
        ("pods::execute(", &["runs/src/effects/check.rs", "runs/src/effects/gated.rs", "runs/src/effects/mod.rs"]),
        ("try_once(", &["runs/src/effects/check.rs", "runs/src/effects/gated.rs"]),
        (".portforward(", &["runs/src/effects/check.rs"]),
        ("/proxy", &["runs/src/effects/check.rs"]),
        ("of_page(", &["runs/src/effects/check.rs", "runs/src/sites/answer.rs"]),
    ] {
        let mut here: Vec<String> = found
            .iter()
            .filter(|(_, text)| text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(words)))
            .map(|(path, _)| path.strip_prefix(operator).expect("in the operator").display().to_string())
            .collect();
        here.sort();
        assert_eq!(here, places, "{words}");
    }
}
