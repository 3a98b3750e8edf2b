//! What happens in the night, alert by alert, and what the runbook of the same name says to do about it.

use super::night::{CLOSED_PORT, DISTRICT, Night, node};
use crate::support::{
    lone::SYSTEM,
    operator::{Operator, api},
    root,
};
use futures::future::{FutureExt as _, LocalBoxFuture};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use p861_core::platform::forecast::{Row, Sample};
use p861_crds::platform::profile::{DemandResource, Layer};
use p861_testbed::services::http;
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

/// Seen to end in another suite.
pub const DRILL_FAILED: &str = "P861DrillFailed";

type Act = for<'a> fn(&'a mut Night) -> LocalBoxFuture<'a, ()>;

/// A cause of an alert, and its end.
pub struct Cause {
    pub alert: &'static str,
    pub happens: Act,
    pub mitigated: Act,
}

/// Nothing of its own: it follows from another's cause, or ends with it.
fn follows(_: &mut Night) -> LocalBoxFuture<'_, ()> {
    async {}.boxed_local()
}

/// Every cause, in the order in which they happen and are seen to.
pub fn all() -> Vec<Cause> {
    let cause = |alert, happens: Act, mitigated: Act| Cause { alert, happens, mitigated };
    vec![
        // First, while nothing else has happened that the operator would have to see again.
        cause("P861OperatorStarved", |n| starved(n).boxed_local(), follows),
        cause("P861CleanUpFailed", |n| silent_for_ever(n).boxed_local(), |n| alertmanager_back(n).boxed_local()),
        // A change that can't clean up stands still.
        cause("P861RunStuck", follows, follows),
        cause("P861AlertsNotArriving", |n| heartbeat(n).boxed_local(), |n| async move { heartbeat_mended(n) }.boxed_local()),
        cause("P861DutyUncovered", |n| gap_in_duty(n).boxed_local(), |n| gap_filled(n).boxed_local()),
        cause("P861SiteUnreachable", |n| far_refuses(n).boxed_local(), |n| far_mended(n).boxed_local()),
        // The plan's only drill is of long ago. The next one fails, since its standby has no storage class.
        cause("P861DrillOverdue", follows, |n| async move { drilled(n) }.boxed_local()),
        cause("P861SiteNodesNotReady", |n| node_goes(n).boxed_local(), |n| node_comes(n).boxed_local()),
        cause("P861RepositoryNotReady", |n| wrong_key(n).boxed_local(), |n| right_key(n).boxed_local()),
        cause("P861RepositoryDamaged", |n| damage(n).boxed_local(), |n| damage_mended(n).boxed_local()),
        // The restore of what is damaged fails.
        cause("P861RunFailed", follows, follows),
        cause("P861BackupFailed", |n| volume(n).boxed_local(), |n| volume_gone(n).boxed_local()),
        cause("P861BackupOverdue", |n| late(n).boxed_local(), |n| async move { in_time(n) }.boxed_local()),
        cause("P861PlatformLayerMissing", |n| platform(n).boxed_local(), |n| class_made(n).boxed_local()),
        cause("P861CertificateExpiring", |n| certificate(n, 5).boxed_local(), |n| certificate(n, 90).boxed_local()),
        // Its layer is weak because of the certificate.
        cause("P861PlatformLayerWeak", follows, follows),
        cause("P861PlatformFull", follows, |n| strengthened(n).boxed_local()),
        cause("P861PlatformRunsShort", follows, follows),
        cause("P861InvalidObject", |n| older_object(n).boxed_local(), |n| older_object_gone(n).boxed_local()),
        cause("P861ReconcileErrors", |n| rights_taken(n).boxed_local(), |n| async move { rights_back(n) }.boxed_local()),
        cause("P861ObjectsNotReconciled", |n| slow_repository(n).boxed_local(), |n| slow_repository_gone(n).boxed_local()),
        cause("P861AlertPostsRefused", |n| async move { stranger(n) }.boxed_local(), follows),
        // Late, because what can't be delivered is tried less and less often.
        cause("P861MessagesUndelivered", |n| messages(n).boxed_local(), |n| messages_mended(n).boxed_local()),
        cause("P861PeopleUnreachable", follows, |n| people_tested(n).boxed_local()),
        cause("P861TicketOverdue", |n| clocks(n).boxed_local(), |n| all_acknowledged(n).boxed_local()),
    ]
}

/// What can only happen when all else is over: without an operator nothing is seen to.
pub fn last() -> Vec<Cause> {
    vec![
        // The drill that was due has failed: its site has no nodes. That a drill that passes ends it is seen where there are some, in the suite e2e.
        Cause { alert: DRILL_FAILED, happens: |n| drill_failed(n).boxed_local(), mitigated: follows },
        Cause { alert: "P861OperatorDown", happens: |n| operator_ends(n).boxed_local(), mitigated: follows },
        Cause { alert: "P861NoLeader", happens: |n| async move { no_leader(n) }.boxed_local(), mitigated: |n| async move { lease_allowed(n) }.boxed_local() },
    ]
}

/// Twice the operator gets no processor time for longer than its lease lasts. It is over soon, so it is seen firing at once.
async fn starved(night: &mut Night) {
    for _ in 0..2 {
        let operator = night.operator.as_ref().expect("it runs");
        tokio::task::block_in_place(|| {
            operator.frozen(Duration::from_secs(9));
            operator.wait_leads_again();
        });
    }
    night.until_fires("P861OperatorStarved").await;
}

/// The messenger of the duty does not answer; today's test message is due.
async fn messages(night: &mut Night) {
    let patch = json!({"spec": {"testMessageAt": "00:00", "channels": [{"name": "message", "webhook": {"urlSecretRef": {"name": "duty-webhook"}}}]}});
    night.merge("DutyRoster", "dutyrosters", "a-day", patch).await;
}

async fn messages_mended(night: &mut Night) {
    // It ends with 4, because its test message reached nobody.
    assert!(night.p861_ending(DISTRICT, &["duty", "now", "--roster", "a-day"], 4).contains("li"), "who is on duty");
    let url = receiver().await;
    assert_eq!(night.secret(DISTRICT, "duty-webhook", "url", &url).await, CLOSED_PORT);
}

/// The test is sent again in the minute to come.
async fn people_tested(night: &mut Night) {
    let soon = (Timestamp::now() + SignedDuration::from_secs(60)).to_zoned(TimeZone::get("Asia/Shanghai").expect("a zone"));
    night.merge("DutyRoster", "dutyrosters", "a-day", json!({"spec": {"testMessageAt": soon.strftime("%H:%M").to_string()}})).await;
}

/// A heartbeat is expected, and no Prometheus has its rule.
async fn heartbeat(night: &mut Night) {
    night.merge("DutyRoster", "dutyrosters", "a-day", json!({"spec": {"heartbeat": {"alertName": "Watchdog", "maxSilence": "20s"}}})).await;
}

fn heartbeat_mended(night: &Night) {
    night.monitors.rules("watchdog.yaml", "groups: [{name: heartbeat, rules: [{alert: Watchdog, expr: vector(1), labels: {severity: none}}]}]\n");
}

async fn gap_in_duty(night: &mut Night) {
    let rotation = json!({"name": "minute", "start": "00:00", "end": "00:01", "startDate": "2026-01-01", "people": ["wu"]});
    let spec = json!({"people": [{"name": "wu"}], "levels": [{"name": "duty", "rotations": [rotation]}]});
    night.declare("DutyRoster", "b-night", spec).await;
}

async fn gap_filled(night: &mut Night) {
    night.p861(DISTRICT, &["ticket", "list"]);
    let levels = json!([{"name": "duty", "rotations": [{"name": "always", "people": ["wu"]}]}]);
    night.merge("DutyRoster", "dutyrosters", "b-night", json!({"spec": {"levels": levels}})).await;
}

/// The token that the hub has for the site is none any more.
async fn far_refuses(night: &mut Night) {
    let right = fs::read_to_string(night.near.kubeconfig()).expect("a kubeconfig");
    let wrong = right.replace("lone-administrator", "expired");
    assert_ne!(right, wrong, "the kubeconfig has another form");
    night.secret(SYSTEM, "site-far", "kubeconfig", &wrong).await;
}

async fn far_mended(night: &mut Night) {
    let right = fs::read_to_string(night.near.kubeconfig()).expect("a kubeconfig");
    night.secret(SYSTEM, "site-far", "kubeconfig", &right).await;
}

async fn node_goes(night: &mut Night) {
    node(&night.near.client(None).await, "node-2", "8", false).await;
}

async fn node_comes(night: &mut Night) {
    node(&night.near.client(None).await, "node-2", "8", true).await;
}

async fn wrong_key(night: &mut Night) {
    let right = night.secret(DISTRICT, "vault-key", "password", "somebody thought it should be changed").await;
    night.kept.insert("vault-key", right);
}

async fn right_key(night: &mut Night) {
    let right = night.kept.remove("vault-key").expect("it was kept");
    night.secret(DISTRICT, "vault-key", "password", &right).await;
}

/// A store that lets each request wait for half a minute, and answers every second one: each is in time, and all together never end.
async fn slow_repository(night: &mut Night) {
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

async fn slow_repository_gone(night: &mut Night) {
    night.ours("BackupRepository", "backuprepositories").delete("slow", &DeleteParams::default()).await.expect("deleted");
}

/// What was saved of the ledger is gone from the disk, and somebody wants to look at it.
async fn damage(night: &mut Night) {
    fs::rename(night.path("attic/data"), night.path("taken")).expect("moved away");
    let backups = night.ours("Backup", "backups").list(&ListParams::default()).await.expect("backups").items;
    let of_ledger = backups.into_iter().find(|backup| backup.data["spec"]["applicationRef"]["name"] == "ledger").and_then(|backup| backup.metadata.name);
    let backup = of_ledger.expect("a backup of ledger");
    let spec = json!({"source": {"backupRef": {"name": backup}}, "target": {"namespaceMappings": [{"from": "shinan-ledger", "to": "shinan-look"}]}, "requestedBy": "administrator"});
    night.declare("Restore", "look", spec).await;
    night.kept.insert("damaged", backup);
}

async fn damage_mended(night: &mut Night) {
    let _ = fs::remove_dir_all(night.path("attic/data"));
    fs::rename(night.path("taken"), night.path("attic/data")).expect("put back");
    night.p861(DISTRICT, &["backup", "now", "ledger", "--repository", "attic"]);
    let damaged = night.kept.remove("damaged").expect("it was kept");
    night.ours("Backup", "backups").delete(&damaged, &DeleteParams::default()).await.expect("deleted");
}

/// A volume that no mover can reach: there is no node that it is on.
async fn volume(night: &mut Night) {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "any", "resources": {"requests": {"storage": "1Gi"}}});
    night
        .apply(
            &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "files", "namespace": "shinan-volume"}, "spec": spec})
                .to_string(),
        )
        .await;
    let spec = json!({"applicationRef": {"name": "volume"}, "repositoryRef": {"name": "cellar"}, "requestedBy": "administrator"});
    night.declare("Backup", "of-volume", spec).await;
}

async fn volume_gone(night: &mut Night) {
    let claims = api(&night.client, "", "PersistentVolumeClaim", "persistentvolumeclaims", Some("shinan-volume"));
    claims.patch("files", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.expect("a claim");
    let _ = claims.delete("files", &DeleteParams::default()).await;
    night.p861(DISTRICT, &["backup", "now", "volume", "--repository", "cellar"]);
}

/// An application is declared, and nobody backs it up.
async fn late(night: &mut Night) {
    let spec = json!({"names": {"en": "late"}, "department": "any", "namespaces": ["shinan-late"], "objectives": {"rto": "2h", "rpo": "20m"}});
    night.declare("Application", "late", spec).await;
}

fn in_time(night: &Night) {
    night.p861(DISTRICT, &["backup", "now", "late", "--repository", "cellar"]);
}

/// A change whose silence can't be ended: when its work is done, the site's Alertmanager has another address.
async fn silent_for_ever(night: &mut Night) {
    let spec = json!({"type": "Change", "title": {"en": "Check the cabling"}, "impact": "Low", "urgency": "Low", "requestedBy": "administrator", "affects": {"applicationRefs": [{"name": "ledger"}]},
        "change": {"class": "Emergency", "backup": "Skip", "blockingAlerts": [], "work": {"manual": {}}, "plan": {"en": "Look at every plug"}}});
    night.declare("MaintenanceTicket", "cabling", spec).await;
    let ticket = night
        .until("there are steps to agree to", async |night: &Night| {
            let seen = night.ours("MaintenanceTicket", "maintenancetickets").get("cabling").await.map_err(|error| error.to_string())?;
            if seen.data["status"]["planDigest"].is_string() { Ok(seen) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
    let about = json!({"kind": "MaintenanceTicket", "name": "cabling", "uid": ticket.metadata.uid});
    let spec =
        json!({"subjectRef": about, "purpose": "Start", "digest": ticket.data["status"]["planDigest"], "decision": "Approved", "approver": "shift-leader-a"});
    let approval =
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Approval", "metadata": {"name": "cabling-agreed", "namespace": DISTRICT}, "spec": spec});
    crate::support::operator::apply(&night.hub.client(Some(("shift-leader-a", &["system:masters"]))).await, &approval.to_string()).await;
    night
        .until("the change may begin", async |night: &Night| {
            let seen = night.ours("MaintenanceTicket", "maintenancetickets").get("cabling").await.map_err(|error| error.to_string())?;
            if seen.data["status"]["phase"] == "Scheduled" { Ok(()) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
    night.p861(DISTRICT, &["ticket", "start", "cabling"]);
    until_step(night, "manual").await;
    alertmanager(night, "http://127.0.0.1:9").await;
    night.p861(DISTRICT, &["ticket", "done", "cabling"]);
}

async fn until_step(night: &Night, step: &str) {
    night
        .until(&format!("the change is at step {step}"), async |night: &Night| {
            let seen = night.ours("MaintenanceTicket", "maintenancetickets").get("cabling").await.map_err(|error| error.to_string())?;
            let current = seen.data["status"]["currentSteps"].as_array().into_iter().flatten();
            if current.clone().any(|found| found["id"] == step) { Ok(()) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
}

async fn alertmanager(night: &Night, url: &str) {
    night.merge("Site", "sites", "here", json!({"spec": {"monitoring": {"alertmanager": {"url": url}}}})).await;
}

async fn alertmanager_back(night: &mut Night) {
    alertmanager(night, &night.monitors.alertmanager_url()).await;
}

/// The drill that is due. It is honest about a site without nodes.
fn drilled(night: &Night) {
    let said = night.p861_ending(DISTRICT, &["drill", "run", "core"], 4);
    assert!(said.contains("near has no storage class"), "{said}");
}

/// A platform that asks for a class that nobody has made, that is as full as it can be, and whose disks fill faster than anybody buys.
async fn platform(night: &mut Night) {
    let claim = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "block", "resources": {"requests": {"storage": "2Ti"}}});
    night
        .apply(
            &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "all", "namespace": "shinan-store"}, "spec": claim}).to_string(),
        )
        .await;
    let tebibyte = 1_i64 << 40;
    let samples: Vec<Sample> = (1..=30)
        .rev()
        .map(|day| Sample {
            at: Timestamp::now() - SignedDuration::from_hours(24 * day),
            running: 4,
            rows: vec![Row {
                layer: Layer::Storage,
                resource: DemandResource::Volumes,
                what: "class block".into(),
                site: Some("here".into()),
                capacity: 3 * tebibyte,
                used: 2 * tebibyte - day * tebibyte / 20,
            }],
        })
        .collect();
    declare_platform(night, "3Ti", &["near"]).await;
    let uid = night.ours("Platform", "platforms").get(DISTRICT).await.expect("the Platform").metadata.uid;
    let owner =
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "name": DISTRICT, "uid": uid, "controller": true, "blockOwnerDeletion": true});
    let samples = serde_json::to_string(&samples).expect("JSON");
    let metadata = json!({"name": "shinan-platform-history", "namespace": DISTRICT, "ownerReferences": [owner]});
    night.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"samples.json": samples}}).to_string()).await;
}

async fn declare_platform(night: &Night, capacity: &str, sites_of_pool: &[&str]) {
    let sites: Vec<Value> = sites_of_pool.iter().map(|site| json!({"siteRef": {"name": site}, "minReadyNodes": 1})).collect();
    let spec = json!({
        "network": {"isolation": "None", "uplinks": [{"name": "line", "capacityBitsPerSecond": "1G"}]},
        "servers": {"reservePercent": 0, "pools": [{"name": "general", "sites": sites}]},
        "storage": {"reservePercent": 0, "classes": [{"name": "block", "sites": [{"siteRef": {"name": "here"}, "storageClassName": "block", "capacity": capacity}]}]},
        "security": {"podSecurity": "Baseline", "certificates": {"warnBefore": "240h"}},
    });
    night.declare("Platform", DISTRICT, spec).await;
}

async fn class_made(night: &mut Night) {
    night
        .apply(
            &json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": "example.com/none"}).to_string(),
        )
        .await;
}

/// The shortest layer first; and the disks that were bought are declared.
async fn strengthened(night: &mut Night) {
    // The platform carries what its weaker site does: one that has no node of a pool carries nothing.
    node(&night.client, "node-3", "640", true).await;
    node(&night.near.client(None).await, "node-3", "640", true).await;
    declare_platform(night, "3000Ti", &["near", "here"]).await;
}

/// The certificate of an entrypoint ends in so many days.
async fn certificate(night: &mut Night, days: i64) {
    let end = Timestamp::now() + SignedDuration::from_hours(24 * days);
    let mut parameters = rcgen::CertificateParams::new(vec!["late.shinan.example".to_owned()]).expect("a name");
    let date = end.to_zoned(TimeZone::UTC).date();
    parameters.not_after = rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs());
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late-tls", "namespace": "shinan-late"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()}});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "late", "namespace": "shinan-late"},
        "spec": {"tls": [{"hosts": ["late.shinan.example"], "secretName": "late-tls"}], "defaultBackend": {"service": {"name": "late", "port": {"number": 80}}}}});
    night.apply(&secret.to_string()).await;
    night.apply(&ingress.to_string()).await;
}

/// An object that an older version let in: its deadline was a number of seconds.
async fn older_object(night: &mut Night) {
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

async fn older_object_gone(night: &mut Night) {
    night.ours("Backup", "backups").delete("from-before", &DeleteParams::default()).await.expect("deleted");
}

/// Somebody took a right away; three approvals can't be looked after.
async fn rights_taken(night: &mut Night) {
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

fn rights_back(night: &Night) {
    night.hub.helm(&["upgrade", "p861", "p861", "--reuse-values", "--force-conflicts"]).expect("the chart puts the rights back");
}

/// Somebody tries the door.
fn stranger(night: &Night) {
    let address = night.address.parse().expect("an address");
    let headers = [("Authorization", "Bearer guessed"), ("Content-Type", "application/json")];
    let answer = http::request(address, "POST", "/alertmanager/here", &headers, b"{}").expect("an answer");
    assert_eq!(answer.status, 401, "{}", answer.summary());
}

/// The roster allows five seconds.
async fn clocks(night: &mut Night) {
    let clocks: Vec<Value> = ["P1", "P2", "P3", "P4"].map(|priority| json!({"priority": priority, "acknowledge": "5s", "resolve": "24h"})).to_vec();
    night.merge("DutyRoster", "dutyrosters", "a-day", json!({"spec": {"clocks": clocks}})).await;
}

async fn all_acknowledged(night: &mut Night) {
    // What comes after this night's work is not late within seconds.
    night.merge("DutyRoster", "dutyrosters", "a-day", json!({"spec": {"clocks": []}})).await;
    night
        .until("every ticket is acknowledged", async |night: &Night| {
            let open: Vec<(String, String)> = night
                .tickets()
                .await
                .into_iter()
                .filter(|(_, ticket)| ticket.data["status"]["phase"] == "Open")
                .map(|(namespace, ticket)| (namespace, ticket.metadata.name.unwrap_or_default()))
                .collect();
            for (namespace, ticket) in &open {
                let (code, said) = night.typed(namespace, &["ticket", "ack", ticket]);
                // Its alert may have ended since it was listed.
                assert!(code == Some(0) || said.contains("it has ended"), "{said}");
            }
            if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
        })
        .await;
}

/// It is seen firing before there is no operator that tells of it.
async fn drill_failed(night: &mut Night) {
    night.until_fires(DRILL_FAILED).await;
}

async fn operator_ends(night: &mut Night) {
    drop(night.operator.take());
    night.until_fires("P861OperatorDown").await;
}

/// Another is started that may not have the lease: somebody took the right away.
fn no_leader(night: &mut Night) {
    night.hub.kubectl(&["delete", "rolebinding", "p861-operator", "--namespace", SYSTEM]).expect("deleted");
    night.operator = Some(Operator::start_waiting(&night.hub, &night.address));
}

fn lease_allowed(night: &Night) {
    rights_back(night);
    night.operator.as_ref().expect("it runs").wait_leads();
}

/// A receiver of messages that takes everything.
async fn receiver() -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut part = [0; 16384];
            let _ = stream.read(&mut part).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        }
    });
    format!("http://{address}/")
}
