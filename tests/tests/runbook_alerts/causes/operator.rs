//! What happens to the operator itself: its processor time, its rights, its objects and its lease.

use crate::{
    runbook_alerts::night::{DISTRICT, Night},
    support::{lone::SYSTEM, operator::Operator, root},
};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

/// Twice the operator gets no processor time for longer than its lease lasts. Then it has some again, and goes on.
pub fn starved(night: &Night) {
    let operator = night.operator.as_ref().expect("it runs");
    tokio::task::block_in_place(|| (0..2).for_each(|_| operator.loses_its_lease()));
}

/// Its process is gone. It is seen before another is started.
pub async fn operator_ends(night: &mut Night) {
    drop(night.operator.take());
    night.until_has_fired("P861OperatorDown", &[]).await;
}

/// Another is started that may not have the lease: somebody took the right away.
pub fn no_leader(night: &mut Night) {
    night.hub.kubectl(&["delete", "rolebinding", "p861-operator", "--namespace", SYSTEM]).expect("deleted");
    night.operator = Some(Operator::start_waiting(&night.hub, &night.address));
}

pub fn lease_allowed(night: &Night) {
    rights_back(night);
    night.operator.as_ref().expect("it runs").wait_leads();
}

/// Somebody took a right away; three approvals can't be looked after.
pub async fn rights_taken(night: &mut Night) {
    let role = night.hub.get(&["clusterrole", "p861-hub"]);
    let rules: Vec<Value> = role["rules"].as_array().into_iter().flatten().cloned().map(without_approvals).collect();
    let patch = json!({"rules": rules}).to_string();
    night.hub.kubectl(&["patch", "clusterrole", "p861-hub", "--type=merge", "--patch", &patch]).expect("a right is taken away");
    for number in 0..3 {
        let spec = json!({"subjectRef": {"kind": "MaintenanceTicket", "name": "none", "uid": "none"}, "purpose": "Start", "digest": format!("sha256:{}", "0".repeat(64)), "decision": "Approved", "approver": "administrator"});
        let approval = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Approval", "metadata": {"name": format!("about-nothing-{number}"), "namespace": DISTRICT}, "spec": spec});
        night.apply(&approval.to_string()).await;
    }
}

fn without_approvals(mut rule: Value) -> Value {
    if let Some(resources) = rule["resources"].as_array_mut() {
        resources.retain(|resource| resource != "approvals/status");
    }
    rule
}

pub fn rights_back(night: &Night) {
    night.hub.helm(&["upgrade", "p861", "p861", "--reuse-values", "--force-conflicts"]).expect("the chart puts the rights back");
}

/// An object that an older version let in: its deadline was a number of seconds.
pub async fn older_object(night: &mut Night) {
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/deadline";
    let loosened = json!([{"op": "replace", "path": path, "value": {"x-kubernetes-preserve-unknown-fields": true}}, {"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"}]);
    let patch = loosened.to_string();
    night.hub.kubectl(&["patch", "customresourcedefinition", "backups.platform861.io", "--type=json", "--patch", &patch]).expect("loosened");
    let older = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": "from-before", "namespace": DISTRICT},
        "spec": {"applicationRef": {"name": "forms"}, "deadline": 600, "requestedBy": "administrator"}});
    night
        .until("the old object is let in", async |night: &Night| {
            let object = serde_json::from_value(older.clone()).expect("an object");
            night.ours("Backup", "backups").create(&PostParams::default(), &object).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    let chart = root().join("charts/p861-crds/templates/backups.yaml");
    night.hub.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &chart.to_string_lossy()]).expect("the kind as it is");
}

pub async fn older_object_gone(night: &mut Night) {
    night.ours("Backup", "backups").delete("from-before", &DeleteParams::default()).await.expect("deleted");
}

/// A store that lets each request wait for half a minute, and answers every second one: each is in time, and all together never end.
pub async fn slow_repository(night: &mut Night) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut request = [0; 16 * 1024];
                let _ = stream.read(&mut request);
                thread::sleep(Duration::from_secs(29));
                if number % 2 == 1 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                }
            });
        }
    });
    night
        .apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slow-s3", "namespace": DISTRICT}, "stringData": {"accessKeyID": "a", "secretAccessKey": "s"}}).to_string())
        .await;
    let s3 = json!({"endpoint": endpoint, "bucket": "slow", "credentialsSecretRef": {"name": "slow-s3"}});
    night.declare("BackupRepository", "slow", json!({"failureDomain": "here", "s3": s3, "encryption": {"keySecretRef": {"name": "slow-key"}}})).await;
}

pub async fn slow_repository_gone(night: &mut Night) {
    night.ours("BackupRepository", "backuprepositories").delete("slow", &DeleteParams::default()).await.expect("deleted");
}
