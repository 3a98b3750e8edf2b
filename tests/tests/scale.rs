//! A city's size, in two API servers that have objects and nothing else, and a real S3 server: twelve districts of 28 departments each, 2,000 applications, 300 nodes,
//! 10,000 pods and 20 repositories. How long one operator takes until everything says how it stands, also if it dies in the middle; what it costs to look on; and how
//! much memory it ever takes. A campaign: `make scale`.
#![allow(clippy::print_stdout, reason = "it says what it measured")]

use crate::support::{
    lone::{Lone, SYSTEM},
    operator::{Operator, api, condition},
    s3::Store,
};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Node, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use p861_testbed::services::http;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

const DISTRICTS: usize = 12;
const DEPARTMENTS: usize = 28;
const APPLICATIONS: usize = 2000;
/// Nodes of the primary and of the standby.
const NODES: [usize; 2] = [200, 100];
/// Pods of each application, on the primary.
const PODS: usize = 5;
/// Repositories of all districts.
const REPOSITORIES: usize = 20;
/// Tickets of each district: so many incidents, and so many changes that wait to be agreed to.
const TICKETS: [usize; 2] = [4, 2];
/// The promise: everything says how it stands within this, looking on costs no more of a core than that, and no process ever takes more memory.
const SETTLES: Duration = Duration::from_mins(2);
const IDLES: f64 = 0.1;
const MEMORY_MIB: u64 = 256;
/// How long idling is watched, and how long before that nothing is asked of the operator.
const WATCHED: Duration = Duration::from_mins(2);
const REST: Duration = Duration::from_secs(30);
/// Something is wrong, and not merely slow, after this.
const LIMIT: Duration = Duration::from_mins(15);
/// The lease of an operator that is installed.
const LEASE_SECONDS: &str = "15";
/// Objects that are made at once.
const AT_ONCE: usize = 24;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: make scale"]
async fn fault_e10_scale_a_city_settles_within_two_minutes_also_after_a_cold_restart_and_never_takes_more_than_256_mib() {
    let (hub, primary, store) = (Lone::start_with_charts(), Lone::bare(), Store::start());
    let here = hub.client(None).await;
    let since = Instant::now();
    city(&here, &primary, &store).await;
    println!(
        "made {DISTRICTS} districts of {DEPARTMENTS} departments, {APPLICATIONS} applications, {} nodes, {} pods, {REPOSITORIES} repositories in {:.0?}",
        NODES[0] + NODES[1],
        APPLICATIONS * PODS,
        since.elapsed()
    );

    // One that dies when half of the city has settled; its successor begins with an empty memory.
    let first = shipped(&hub);
    until(&first, "half of the applications have settled", async || {
        let settled = APPLICATIONS - open_of(&here, "Application", "applications", &[("Ready", "True")]).await.len();
        if settled * 2 >= APPLICATIONS { Ok(()) } else { Err(format!("{settled} of {APPLICATIONS}")) }
    })
    .await;
    check_process(&first);
    println!("the first is killed; {}", memory(first.id));
    first.kill();

    let operator = shipped(&hub);
    let since = Instant::now();
    until(&operator, "everything says how it stands", async || {
        let unsettled = unsettled(&here).await;
        if unsettled.is_empty() { Ok(()) } else { Err(format!("{unsettled:?}")) }
    })
    .await;
    until_all_seen(&operator).await;
    let settled = since.elapsed();
    println!("settled in {settled:.1?}, with {:.1?} of processor time; {}", processor_time(operator.id), memory(operator.id));
    tokio::time::sleep(REST).await;
    let (before, since, asked) = (processor_time(operator.id), Instant::now(), requests(&here).await);
    tokio::time::sleep(WATCHED).await;
    let used = processor_time(operator.id).checked_sub(before).expect("processor time only grows");
    let idle = used.as_secs_f64() / since.elapsed().as_secs_f64();
    println!("idles at {idle:.3} of a core; {}", memory(operator.id));
    let asked = more(&asked, &requests(&here).await);
    println!("asked of the hub meanwhile: {asked:?}");
    // But for a window that may open or close just now.
    let is_written = |what: &str| what.ends_with("/status") && !what.starts_with("GET") && !what.contains(" maintenancewindows/");
    let written: Vec<_> = asked.iter().filter(|(what, _)| is_written(what)).collect();
    assert!(written.is_empty(), "who looks on writes no status: {written:?}");
    assert!(unsettled(&here).await.is_empty(), "it did not stay settled: {:?}", unsettled(&here).await);
    check_process(&operator);
    operator.kill();

    // A third one meets a city that has settled: nothing is written, and everything is read.
    let third = shipped(&hub);
    let since = Instant::now();
    until_all_seen(&third).await;
    println!("after a cold restart everything was looked at within {:.1?}; {}", since.elapsed(), memory(third.id));
    check_process(&third);
    assert!(settled <= SETTLES, "settled in {settled:?}, promised: {SETTLES:?}");
    assert!(idle <= IDLES, "idles at {idle:.3} of a core, promised: {IDLES}");
}

/// An operator that leads, with the lease that it has where it is installed: the shorter one of other tests is lost on a machine that also runs the API servers.
fn shipped(hub: &Lone) -> Operator {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let operator = Operator::start_with_lease(hub, &format!("127.0.0.1:{port}"), LEASE_SECONDS);
    operator.wait_leads();
    operator
}

/// Makes everything that there is before an operator comes.
async fn city(here: &Client, primary: &Lone, store: &Store) {
    let there = primary.client(None).await;
    on_site(&there, NODES[0], APPLICATIONS).await;
    on_site(here, NODES[1], 0).await;
    let kubeconfig = fs::read_to_string(primary.kubeconfig()).expect("a kubeconfig");
    secret(here, SYSTEM, "site-primary", json!({"kubeconfig": kubeconfig})).await;
    for site in [
        json!({"metadata": {"name": "primary"}, "spec": {"names": {"en": "Primary"}, "failureDomain": "one", "access": {"kubeconfig": {"secretRef": {"name": "site-primary"}}}}}),
        json!({"metadata": {"name": "standby"}, "spec": {"names": {"en": "Standby"}, "failureDomain": "two", "access": {"inCluster": {}}}}),
    ] {
        make(here, "Site", "sites", None, site, None).await;
    }
    for number in 0..DISTRICTS {
        district(here, number).await;
    }
    each(REPOSITORIES, |number| repository(here, store, number)).await;
    each(APPLICATIONS, |number| application(here, number)).await;
}

/// Waits until something is so.
async fn until(operator: &Operator, what: &str, look: impl AsyncFn() -> Result<(), String>) {
    let since = Instant::now();
    while let Err(last) = look().await {
        assert!(since.elapsed() < LIMIT, "after {LIMIT:?} not: {what}; {last}; the operator's log ends with:\n{}", operator.said());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until this process has looked at every object, and opened every repository.
async fn until_all_seen(operator: &Operator) {
    until(operator, "everything was looked at", async || {
        let metrics = http::request(operator.address.parse().expect("an address"), "GET", "/metrics", &[], &[]).map_err(|error| error.to_string())?.body;
        let seen = |kind: &str| sum_of(&metrics, &format!("p861_reconcile_duration_seconds_count{{kind=\"{kind}\"}}"));
        let mut wanted = vec![("repositories that are ready", sum_of(&metrics, "p861_repository_ready{"), REPOSITORIES)];
        for (kind, count) in [
            ("Site", 2),
            ("District", DISTRICTS),
            ("Platform", DISTRICTS),
            ("Application", APPLICATIONS),
            ("Backup", APPLICATIONS),
            ("BackupRepository", REPOSITORIES),
            ("MaintenanceTicket", DISTRICTS * (TICKETS[0] + TICKETS[1])),
        ] {
            wanted.push((kind, seen(kind), count));
        }
        let short: Vec<_> = wanted.into_iter().filter(|(_, seen, count)| seen < count).collect();
        if short.is_empty() { Ok(()) } else { Err(format!("{short:?}")) }
    })
    .await;
}

/// The sum of the series that begin so.
fn sum_of(metrics: &str, series: &str) -> usize {
    metrics.lines().filter(|line| line.starts_with(series)).filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// The process that was started is the one that runs, it has met no bug, and it has never taken more memory than was promised.
fn check_process(operator: &Operator) {
    let log = operator.log();
    assert!(!log.contains("panicked") && !log.contains("a bug in the operator"), "it met a bug:\n{log}");
    assert_eq!(log.matches(" leads ").count(), 1, "it leads once");
    let peak = memory_mib(operator.id, "VmHWM:");
    assert!(peak <= MEMORY_MIB, "it took up to {peak} MiB, promised: {MEMORY_MIB}; its log ends with:\n{}", operator.said());
}

/// Runs something for every number, many at once.
async fn each<F: Future<Output = ()>>(count: usize, act: impl Fn(usize) -> F) {
    futures::stream::iter(0..count)
        .map(|number| Ok::<_, ()>(act(number)))
        .try_for_each_concurrent(AT_ONCE, async |act| {
            act.await;
            Ok(())
        })
        .await
        .expect("all of them");
}

fn district_name(number: usize) -> String {
    format!("district{:02}", number % DISTRICTS)
}

fn namespace_of(number: usize) -> String {
    format!("{}-app{number:04}", district_name(number))
}

async fn secret(client: &Client, namespace: &str, name: &str, texts: Value) {
    let object: Secret = serde_json::from_value(json!({"metadata": {"name": name}, "stringData": texts})).expect("a Secret");
    Api::<Secret>::namespaced(client.clone(), namespace).create(&PostParams::default(), &object).await.expect("a Secret");
}

/// A repository in a bucket of its own, which is not there yet.
async fn repository(client: &Client, store: &Store, number: usize) {
    let (namespace, name) = (district_name(number), format!("repository{number:02}"));
    secret(client, &namespace, &format!("{name}-s3"), json!({"accessKeyID": store.admin.access_key, "secretAccessKey": store.admin.secret_key})).await;
    let s3 = json!({"endpoint": store.endpoint(), "bucket": name, "credentialsSecretRef": {"name": format!("{name}-s3")}});
    let spec = json!({"failureDomain": "two", "s3": s3, "encryption": {"keySecretRef": {"name": format!("{name}-key")}}});
    make(client, "BackupRepository", "backuprepositories", Some(&namespace), json!({"metadata": {"name": name}, "spec": spec}), None).await;
}

/// Pods of an application that run, with everything that a kubelet says of them.
async fn pods(client: &Client, namespace: &str, application: usize) {
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "default"}})).expect("a ServiceAccount");
    Api::<ServiceAccount>::namespaced(client.clone(), namespace).create(&PostParams::default(), &account).await.expect("a ServiceAccount");
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for number in 0..PODS {
        let name = format!("web-6d5f8b7c9d-{number:05}");
        let node = format!("node-{:03}", (application * PODS + number) % NODES[0]);
        let variables: Vec<Value> = (0..12).map(|variable| json!({"name": format!("SETTING_{variable}"), "value": "a value of usual length"})).collect();
        let container = json!({"name": "web", "image": "registry.example/web:1", "env": variables, "ports": [{"containerPort": 8080}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}});
        let metadata =
            json!({"name": name, "labels": {"app": "web", "pod-template-hash": "6d5f8b7c9d"}, "annotations": {"example.com/checksum": "0".repeat(64)}});
        let spec = json!({"nodeName": node, "automountServiceAccountToken": false, "containers": [container]});
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a pod");
        api.create(&PostParams::default(), &pod).await.expect("a pod");
        let conditions: Vec<Value> = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-11-15T00:00:00Z"}))
            .to_vec();
        let container = json!({"name": "web", "image": "registry.example/web:1", "imageID": format!("registry.example/web@sha256:{}", "0".repeat(64)), "ready": true,
            "restartCount": 0, "started": true, "containerID": format!("containerd://{}", "0".repeat(64)), "state": {"running": {"startedAt": "2026-11-15T00:00:00Z"}}});
        let status = json!({"status": {"phase": "Running", "podIP": "10.1.2.3", "hostIP": "10.0.0.1", "startTime": "2026-11-15T00:00:00Z", "conditions": conditions, "containerStatuses": [container]}});
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.expect("its status");
    }
}

/// Nodes, and the namespaces of applications with a Deployment each that says it is well, and its pods.
async fn on_site(client: &Client, nodes: usize, applications: usize) {
    each(nodes, async |number| {
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": format!("node-{number:03}"), "labels": {"platform861.io/pool": "general"}}})).expect("a node");
        let status = json!({"status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]}});
        let nodes: Api<Node> = Api::all(client.clone());
        nodes.create(&PostParams::default(), &node).await.expect("a node");
        nodes.patch_status(&format!("node-{number:03}"), &PatchParams::default(), &Patch::Merge(status)).await.expect("its status");
    })
    .await;
    each(applications, async |number| {
        let namespace = namespace_of(number);
        let object: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}})).expect("a namespace");
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.expect("a namespace");
        let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "registry.example/web:1", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]}}});
        let object: Deployment = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).expect("a Deployment");
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
        deployments.create(&PostParams::default(), &object).await.expect("a Deployment");
        let status = json!({"status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": ""}]}});
        deployments.patch_status("web", &PatchParams::default(), &Patch::Merge(status)).await.expect("its status");
        pods(client, &namespace, number).await;
    })
    .await;
}

/// An object of ours, with the status that it has already.
async fn make(client: &Client, kind: &str, plural: &str, namespace: Option<&str>, object: Value, status: Option<Value>) {
    let mut object = object;
    object["apiVersion"] = json!("platform861.io/v1alpha1");
    object["kind"] = json!(kind);
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let name = object.metadata.name.clone().expect("a name");
    let api = api(client, "platform861.io", kind, plural, namespace);
    api.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    if let Some(status) = status {
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status})))
            .await
            .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }
}

async fn district(client: &Client, number: usize) {
    let name = district_name(number);
    let departments: Vec<Value> =
        (0..DEPARTMENTS).map(|department| json!({"name": format!("department-{department}"), "names": {"en": "A department"}})).collect();
    let spec = json!({"code": format!("3702{number:02}"), "names": {"en": "A district"}, "profileRef": {"name": "861-2008"}, "departments": departments,
        "sites": [{"siteRef": {"name": "primary"}, "role": "Primary"}, {"siteRef": {"name": "standby"}, "role": "Standby"}],
        "roleBindings": [{"role": "Viewer", "groups": [format!("{name}-staff")]}, {"role": "Engineer", "groups": [format!("{name}-engineers")]}, {"role": "Approver", "groups": [format!("{name}-leaders")]}]});
    let object: Namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": {"platform861.io/district": name}}})).expect("a namespace");
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.expect("a namespace");
    make(client, "District", "districts", None, json!({"metadata": {"name": name}, "spec": spec}), None).await;
    let at = |more: Value| -> Vec<Value> {
        ["primary", "standby"]
            .map(|site| {
                let mut one = more.clone();
                one["siteRef"] = json!({"name": site});
                one
            })
            .to_vec()
    };
    let quotas: Vec<Value> =
        (0..DEPARTMENTS).map(|department| json!({"department": format!("department-{department}"), "hard": {"requests.cpu": "400", "pods": "2000"}})).collect();
    let platform = json!({
        "network": {"isolation": "Department"},
        "servers": {"pools": [{"name": "general", "sites": at(json!({"minReadyNodes": 10}))}], "quotas": quotas},
        "storage": {"classes": []}, "security": {"podSecurity": "Baseline"}, "baseSoftware": {"components": []}});
    make(client, "Platform", "platforms", Some(&name), json!({"metadata": {"name": name}, "spec": platform}), None).await;
    let window = json!({"names": {"en": "Saturday night"}, "recurrences": [{"schedule": "0 22 * * SAT", "duration": "4h"}]});
    make(client, "MaintenanceWindow", "maintenancewindows", Some(&name), json!({"metadata": {"name": "saturday"}, "spec": window}), None).await;
    for ticket in 0..TICKETS[0] + TICKETS[1] {
        let mut spec = json!({"title": {"en": "A ticket"}, "impact": "Medium", "urgency": "Low", "requestedBy": "administrator"});
        if ticket < TICKETS[0] {
            (spec["type"], spec["incident"]) = (json!("Incident"), json!({}));
        } else {
            (spec["type"], spec["change"]) = (json!("Change"), json!({"class": "Normal", "work": {"manual": {}}, "plan": {"en": "By hand"}}));
        }
        make(client, "MaintenanceTicket", "maintenancetickets", Some(&name), json!({"metadata": {"name": format!("ticket-{ticket}")}, "spec": spec}), None)
            .await;
    }
}

async fn application(client: &Client, number: usize) {
    let (namespace, name) = (district_name(number), format!("app{number:04}"));
    let web = json!({"kind": "Deployment", "name": "web"});
    let spec = json!({"names": {"en": "An application"}, "department": format!("department-{}", number / DISTRICTS % DEPARTMENTS), "namespaces": [namespace_of(number)],
        "objectives": {"rto": "2h", "rpo": "24h"}, "tiers": [{"name": "web", "workloadRefs": [web]}],
        "checks": [{"name": "up", "condition": {"workloadRef": web, "type": "Available"}}]});
    make(client, "Application", "applications", Some(&namespace), json!({"metadata": {"name": name}, "spec": spec}), None).await;
    let now = jiff::Timestamp::now();
    let backup = json!({"metadata": {"name": format!("{name}-1")}, "spec": {"applicationRef": {"name": name}, "requestedBy": "administrator"}});
    let status = json!({"phase": "Succeeded", "snapshotID": format!("{number:064x}"), "recoveryPointTime": now, "startTime": now, "completionTime": now, "repository": "elsewhere",
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Saved", "message": "", "lastTransitionTime": now}]});
    make(client, "Backup", "backups", Some(&namespace), backup, Some(status)).await;
}

/// Objects of a kind that do not say yet that they stand so; `*` is any state.
async fn open_of(client: &Client, kind: &str, plural: &str, wanted: &[(&str, &str)]) -> Vec<DynamicObject> {
    let listed = api(client, "platform861.io", kind, plural, None).list(&ListParams::default()).await.expect("a list").items;
    let stands = |object: &DynamicObject| {
        wanted.iter().all(|(name, status)| condition(object, name)["status"].as_str().is_some_and(|found| *status == "*" || found == *status))
    };
    listed.into_iter().filter(|object| !stands(object)).collect()
}

/// What does not say yet how it stands, in short.
async fn unsettled(client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    for (kind, plural, wanted) in [
        ("Site", "sites", &[("Ready", "True")][..]),
        ("District", "districts", &[("Ready", "True"), ("AccessApplied", "True")]),
        ("Application", "applications", &[("Ready", "True"), ("Healthy", "True"), ("Protected", "True"), ("Recoverable", "False")]),
        ("BackupRepository", "backuprepositories", &[("Ready", "True")]),
        ("Platform", "platforms", &[("NetworkReady", "True"), ("ServersReady", "True"), ("Ready", "*")]),
        ("MaintenanceWindow", "maintenancewindows", &[("Open", "*")]),
        ("MaintenanceTicket", "maintenancetickets", &[("Succeeded", "*")]),
    ] {
        let open = open_of(client, kind, plural, wanted).await;
        if let Some(first) = open.first() {
            all.push(format!("{} {plural}, as {:?}: {}", open.len(), first.metadata.name, first.data["status"]));
        }
    }
    all
}

/// Requests that the API server has answered, by verb and resource.
async fn requests(client: &Client) -> BTreeMap<String, u64> {
    let request = ::http::Request::get("/metrics").body(Vec::new()).expect("a request");
    let metrics = client.request_text(request).await.expect("metrics");
    let mut all = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| line.split_once(&format!(",{name}=\"")).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
        let count: u64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
        *all.entry(format!("{} {}/{}", label("verb"), label("resource"), label("subresource"))).or_default() += count;
    }
    all
}

fn more(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = |(what, count): (&String, &u64)| Some((what.clone(), count - before.get(what).copied().unwrap_or_default())).filter(|(_, more)| *more > 0);
    after.iter().filter_map(grown).collect()
}

/// The processor time that a process has had.
fn processor_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("the operator runs");
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // Linux counts in hundredths of a second for every program.
    Duration::from_millis(ticks * 10)
}

fn memory_mib(id: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the operator runs");
    let kib = status.lines().find_map(|line| line.strip_prefix(key)).and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn memory(id: u32) -> String {
    format!("memory {} MiB, at most {} MiB", memory_mib(id, "VmRSS:"), memory_mib(id, "VmHWM:"))
}
