//! The operator is killed again and again while a change is at work: nothing is done twice, and no silence or cordon outlives it.

use super::stage::{DISTRICT, api, namespace, object};
use crate::support::{
    lone::{Lone, SYSTEM},
    monitors::Monitors,
    operator::{Operator, apply, mover_rights},
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long one operator may take until its change is one record further.
const FURTHER: Duration = Duration::from_mins(2);
/// A change of so few steps has no more records than this.
const MOST_RECORDS: usize = 60;
/// It lives for moments only, and could not renew a short lease; each kill takes the lease away with it.
const LEASE_SECONDS: &str = "15";
/// How long the operator lives before it is looked at.
const MOMENT: Duration = Duration::from_millis(4);
/// Kills that are wanted for eight steps; a slow machine lets more happen between two of them, and needs more changes.
const KILLS: usize = 7;
const MOST_CHANGES: usize = 6;

fn manifest(alertmanager: &str, folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        r#"
{{apiVersion: v1, kind: Namespace, metadata: {{name: shinan-forms}}}}
---
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: one, namespace: shinan-forms}}, data: {{text: some}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: Site, metadata: {{name: here}}, spec: {{failureDomain: here, access: {{inCluster: {{}}}}, monitoring: {{alertmanager: {{url: "{alertmanager}"}}}}}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: Site, metadata: {{name: there}}, spec: {{failureDomain: there, access: {{kubeconfig: {{secretRef: {{name: site-there}}}}}}}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: District, metadata: {{name: shinan}}, spec: {{code: "370202", names: {{en: Shinan}}, sites: [{{siteRef: {{name: here}}, role: Primary}}, {{siteRef: {{name: there}}, role: Standby}}]}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: BackupRepository, metadata: {{name: folder, namespace: shinan}}, spec: {{failureDomain: there, folder: {{path: "{folder}"}}, encryption: {{keySecretRef: {{name: key}}}}}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: Application, metadata: {{name: forms, namespace: shinan}}, spec: {{names: {{en: Forms}}, department: any, namespaces: [shinan-forms]}}}}
"#
    )
}

/// The records of a change's journal.
async fn records(client: &Client, name: &str) -> Vec<Value> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), DISTRICT);
    let all = maps.list(&ListParams::default()).await.expect("ConfigMaps").items;
    let journal = all.into_iter().find(|map| map.metadata.name.as_deref().is_some_and(|map| map.starts_with(&format!("{name}-ticket-journal-"))));
    let text = journal.and_then(|map| map.data?.remove("journal.jsonl")).unwrap_or_default();
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).expect("a record")).collect()
}

async fn ticket(client: &Client, name: &str) -> DynamicObject {
    api(client, "MaintenanceTicket", DISTRICT).get(name).await.expect("the ticket")
}

/// Silences of Alertmanager that are in force.
fn silences(monitors: &Monitors) -> Vec<Value> {
    let all: Value = serde_json::from_str(&monitors.alertmanager("GET", "/api/v2/silences")).expect("JSON");
    all.as_array().into_iter().flatten().filter(|silence| silence["status"]["state"] == "active").cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_operator_is_killed_at_every_step_is_done_once_and_leaves_nothing() {
    // Where there are no nodes, movers are children of the operator; so the node is another site's.
    let (server, there) = (Lone::start_with_charts(), Lone::bare());
    let client = server.client(None).await;
    namespace(&client, DISTRICT).await;
    let folder = tempfile::tempdir().expect("a folder");
    let monitors = Monitors::start("127.0.0.1:9", "here", "none");
    apply(&client, &manifest(&monitors.alertmanager_url(), folder.path())).await;
    apply(&client, &mover_rights(&["shinan-forms"])).await;
    let kubeconfig = std::fs::read_to_string(there.kubeconfig()).expect("a kubeconfig");
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "site-there", "namespace": SYSTEM}, "stringData": {"kubeconfig": kubeconfig}});
    apply(&client, &secret.to_string()).await;
    let elsewhere = there.client(None).await;
    apply(&elsewhere, "{apiVersion: v1, kind: Node, metadata: {name: node-1}}").await;
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(elsewhere);
    nodes
        .patch_status("node-1", &PatchParams::default(), &Patch::Merge(json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})))
        .await
        .expect("ready");
    let operator = Operator::start(&server);
    for (kind, name) in [("backuprepository", "folder"), ("application", "forms")] {
        server
            .kubectl(&["wait", "--namespace", DISTRICT, kind, name, "--for=condition=Ready", "--timeout=90s"])
            .unwrap_or_else(|error| panic!("{error}\n{}", operator.said()));
    }
    end(&client, operator).await;
    let mut kills = 0;
    for change in 1..=MOST_CHANGES {
        let name = format!("new-disk-{change}");
        kills += disturbed(&server, &client, &name).await;
        is_done_once(&client, &name).await;
        let node = nodes.get("node-1").await.expect("the node");
        let ours = node.metadata.annotations.unwrap_or_default().into_keys().any(|key| key.contains("cordoned"));
        assert!(!ours && node.spec.and_then(|spec| spec.unschedulable) != Some(true), "a cordon outlives change {name}");
        assert_eq!(silences(&monitors), Vec::<Value>::new(), "a silence outlives change {name}");
        if kills >= KILLS {
            return;
        }
    }
    panic!("only {kills} kills in {MOST_CHANGES} changes: they went on without being disturbed");
}

/// Runs a change whose operator is killed whenever it has come further. Gives how often that was.
async fn disturbed(server: &Lone, client: &Client, name: &str) -> usize {
    // An emergency waits for no window.
    let spec = json!({"type": "Change", "title": {"en": "Replace a disk"}, "impact": "Low", "urgency": "Low", "requestedBy": "administrator",
        "affects": {"applicationRefs": [{"name": "forms"}], "siteRefs": [{"name": "there"}]},
        "change": {"class": "Emergency", "work": {"drainNode": {"siteRef": {"name": "there"}, "nodeName": "node-1"}}}});
    api(client, "MaintenanceTicket", DISTRICT).create(&PostParams::default(), &object("MaintenanceTicket", DISTRICT, name, spec)).await.expect("created");
    let (mut kills, mut known, mut approved, mut answered) = (0, 0, false, false);
    while !over(&ticket(client, name).await) {
        let operator = Operator::start_with_lease(server, "127.0.0.1:0", LEASE_SECONDS);
        let since = Instant::now();
        loop {
            // It lives from moment to moment, so that it gets no further than a step or two before it is looked at.
            send(&operator, Signal::CONT);
            tokio::time::sleep(MOMENT).await;
            send(&operator, Signal::STOP);
            // That it took the run over is a record too, and no progress.
            let further = records(client, name).await.iter().filter(|record| record["event"]["type"] != "Claimed").count();
            let seen = ticket(client, name).await;
            if further > known || over(&seen) {
                known = further;
                break;
            }
            if !approved && seen.data["status"]["planDigest"].is_string() {
                approve(&server.client(Some(("shift-leader-a", &["system:masters"]))).await, &seen).await;
                approved = true;
            }
            let mut steps = seen.data["status"]["currentSteps"].as_array().into_iter().flatten();
            if !answered && steps.any(|step| step["id"] == "manual" && step["phase"] == "WaitingForPerson") {
                done(client, name).await;
                answered = true;
            }
            assert!(since.elapsed() < FURTHER, "after {kills} kills and {known} records: {}\n{}", seen.data["status"], operator.said());
        }
        assert!(known < MOST_RECORDS, "{:#?}", records(client, name).await);
        end(client, operator).await;
        kills += 1;
    }
    // One more sees to what the last one left.
    let operator = Operator::start_with_lease(server, "127.0.0.1:0", LEASE_SECONDS);
    let since = Instant::now();
    loop {
        let seen = ticket(client, name).await;
        let status = &seen.data["status"];
        if status["phase"] == "Closed" && status["workPhase"] == "Succeeded" {
            break;
        }
        assert!(since.elapsed() < FURTHER && status["phase"] != "RolledBack", "{status}\n{}", operator.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    end(client, operator).await;
    kills
}

/// Every step of the change was done, once, and one backup was taken.
async fn is_done_once(client: &Client, name: &str) {
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for record in records(client, name).await.iter().filter(|record| record["event"]["type"] == "Done") {
        *done.entry(record["step"].as_str().expect("a step").to_owned()).or_default() += 1;
    }
    assert!(done.values().all(|times| *times == 1), "{done:?}");
    for step in [
        "backup/forms",
        "silence/here",
        "inspect/there/node-1",
        "cordon/there/node-1",
        "drain/there/node-1",
        "manual",
        "uncordon/there/node-1",
        "end-silence/here",
    ] {
        assert!(done.contains_key(step), "{step} was not done: {done:?}");
    }
    let backups = api(client, "Backup", DISTRICT).list(&ListParams::default()).await.expect("backups").items;
    let phases: Vec<&Value> = backups
        .iter()
        .filter(|backup| backup.metadata.name.as_deref().is_some_and(|backup| backup.ends_with(name)))
        .map(|backup| &backup.data["status"]["phase"])
        .collect();
    assert_eq!(phases, ["Succeeded"], "one backup of the one application");
}

/// A power cut. The lease of one that was killed runs out; here it goes with it, so that the test is not a test of patience.
async fn end(client: &Client, operator: Operator) {
    operator.kill();
    let leases: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    let _ = leases.delete("p861-operator", &DeleteParams::default()).await;
}

fn send(operator: &Operator, signal: Signal) {
    let id = i32::try_from(operator.id).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(id, signal).expect("it runs");
}

fn over(ticket: &DynamicObject) -> bool {
    matches!(ticket.data["status"]["phase"].as_str(), Some("Closed" | "RolledBack" | "Cancelled"))
}

async fn approve(client: &Client, ticket: &DynamicObject) {
    let status = &ticket.data["status"];
    let spec = json!({"subjectRef": {"kind": "MaintenanceTicket", "name": ticket.metadata.name, "uid": ticket.metadata.uid}, "purpose": "Start", "digest": status["planDigest"], "decision": "Approved", "approver": "shift-leader-a"});
    api(client, "Approval", DISTRICT)
        .create(&PostParams::default(), &object("Approval", DISTRICT, &format!("{}-agreed", ticket.metadata.name.as_deref().unwrap_or_default()), spec))
        .await
        .expect("approved");
}

async fn done(client: &Client, name: &str) {
    let patch = json!({"spec": {"actions": [{"action": "Done", "by": "administrator"}]}});
    api(client, "MaintenanceTicket", DISTRICT).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("said");
}
