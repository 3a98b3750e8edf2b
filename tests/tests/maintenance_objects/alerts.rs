//! Alerts that become tickets, posted by a real Alertmanager and by strangers.

use super::stage::{DISTRICT, ENGINEER, NOTICED, Shared, Stage, api, is, namespace, object, stage};
use crate::support::{
    lone::Lone,
    operator::{ACCOUNT, Operator, until},
};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

/// Posts to the operator as Alertmanager does: the status code.
async fn post(address: &str, path: &str, token: Option<&str>, body: &[u8]) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{authorization}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the operator listens");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // A server that refuses a large body may answer and close before it has read it.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    text.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {text}"))
}

fn firing(district: &str, name: &str, number: u64, resolved: bool) -> Vec<u8> {
    let end = if resolved { "2026-11-24T01:00:00Z" } else { "0001-01-01T00:00:00Z" };
    let alert = json!({"status": if resolved { "resolved" } else { "firing" }, "labels": {"alertname": name, "district": district, "severity": "critical"}, "annotations": {"summary": name},
        "startsAt": "2026-11-24T00:00:00Z", "endsAt": end, "fingerprint": format!("{number:016x}")});
    json!({"version": "4", "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"), "alerts": [alert]}).to_string().into_bytes()
}

impl Stage {
    /// A cluster-scoped object, applied.
    async fn apply(&self, kind: &str, name: &str, spec: Value) {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", kind), &format!("{}s", kind.to_lowercase()));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(document)).await.expect("applied");
    }

    /// The district and the site that alerts come from.
    async fn district(&self) {
        self.apply(
            "Site",
            "laoshan-dr",
            json!({"failureDomain": "laoshan", "access": {"inCluster": {}}, "monitoring": {"alertmanager": {"url": "http://127.0.0.1:9093"}}}),
        )
        .await;
        self.apply(
            "District",
            DISTRICT,
            json!({"code": "370202", "names": {"zh": "市南区"}, "sites": [{"siteRef": {"name": "laoshan-dr"}, "role": "Primary"}]}),
        )
        .await;
    }

    /// The operator's token, which it makes when it leads.
    async fn token(&self) -> String {
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(self.client.clone(), "p861-system");
        let secret =
            until(&self.shared.operator, "the operator has made its token", async || secrets.get("p861-alerts").await.map_err(|error| error.to_string())).await;
        String::from_utf8(secret.data.expect("data")["token"].0.clone()).expect("text")
    }

    /// How many posts the operator has counted with that result.
    async fn counted(&self, result: &str) -> f64 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(&self.shared.operator.address).await.expect("the operator listens");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("metrics");
        let line = text.lines().find(|line| line.starts_with(&format!("p861_alert_posts_total{{result=\"{result}\"}}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// The incidents of an alert.
    async fn incidents(&self, alert: &str) -> Vec<DynamicObject> {
        let all = api(&self.client, "MaintenanceTicket", DISTRICT).list(&kube::api::ListParams::default()).await.expect("a list").items;
        all.into_iter().filter(|ticket| ticket.data["spec"]["incident"]["runbook"] == alert).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_of_strangers_are_refused_and_counted_and_leave_nothing() {
    let stage = stage().await;
    stage.district().await;
    let token = stage.token().await;
    let address = stage.shared.operator.address.clone();
    let good = firing(DISTRICT, "Hostile", 1, false);
    let path = "/alertmanager/laoshan-dr";
    for (what, path, token, body, code, result) in [
        ("no token", path, None, good.clone(), 401, "unauthorized"),
        ("a wrong token", path, Some("0123456789abcdef0123456789abcdef"), good.clone(), 401, "unauthorized"),
        ("no JSON", path, Some(token.as_str()), b"\x00\xff{{{{".to_vec(), 400, "malformed"),
        ("deep JSON", path, Some(token.as_str()), "[".repeat(100_000).into_bytes(), 400, "malformed"),
        ("huge", path, Some(token.as_str()), vec![b'x'; 5 << 20], 413, "tooLarge"),
        ("an unknown district", path, Some(token.as_str()), firing("atlantis", "Hostile", 2, false), 422, "unknownDistrict"),
        ("an unknown site", "/alertmanager/atlantis", Some(token.as_str()), good.clone(), 404, "unknownSite"),
    ] {
        let before = stage.counted(result).await;
        assert_eq!(post(&address, path, token, &body).await, code, "{what}");
        assert!(stage.counted(result).await > before, "{what} is counted as {result}");
    }
    assert_eq!(stage.incidents("Hostile").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f3_a_post_with_an_odd_alert_opens_the_tickets_of_the_others_and_names_it() {
    let stage = stage().await;
    stage.district().await;
    let token = stage.token().await;
    let address = stage.shared.operator.address.clone();
    let mut body: Value = serde_json::from_slice(&firing(DISTRICT, "BesideAnOddOne", 31, false)).expect("JSON");
    let mut odd = body["alerts"][0].clone();
    (odd["labels"]["alertname"], odd["startsAt"]) = (json!("OddOne"), json!("yesterday"));
    body["alerts"].as_array_mut().expect("alerts").insert(0, odd);
    body["truncatedAlerts"] = json!(7);
    let before = stage.counted("alertUnreadable").await;
    assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), body.to_string().as_bytes()).await, 200);
    assert!(stage.counted("alertUnreadable").await > before);
    let incidents = stage.incidents("BesideAnOddOne").await;
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].data["status"]["truncatedAlerts"], 7, "no Alertmanager answers at the Site's address");
    let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(stage.client.clone(), "default");
    let since = Instant::now();
    loop {
        let all = events.list(&kube::api::ListParams::default()).await.expect("a list").items;
        let notes: Vec<_> = all.into_iter().filter(|event| event.reason.as_deref() == Some("AlertUnreadable")).filter_map(|event| event.message).collect();
        if notes.iter().any(|note| note.contains("alert OddOne")) {
            return;
        }
        assert!(since.elapsed() < NOTICED, "no Event names the alert: {notes:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e7_another_districts_heartbeat_keeps_no_incident_from_this_one() {
    let stage = stage().await;
    stage.district().await;
    namespace(&stage.client, "laoshan").await;
    let rosters = api(&stage.client, "DutyRoster", "laoshan");
    let roster = json!({"people": [{"name": "a"}], "levels": [{"name": "duty", "rotations": [{"name": "always", "people": ["a"]}]}], "heartbeat": {"alertName": "Unheard"}});
    rosters.create(&PostParams::default(), &object("DutyRoster", "laoshan", "hostile", roster)).await.expect("created");
    let (token, address) = (stage.token().await, stage.shared.operator.address.clone());
    assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), &firing(DISTRICT, "Unheard", 41, false)).await, 200);
    assert_eq!(stage.incidents("Unheard").await.len(), 1);
    assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), &firing(DISTRICT, "Unheard", 41, true)).await, 200);
    rosters.delete("hostile", &DeleteParams::default()).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_comes_again_and_from_many_sides_at_once_opens_one_ticket_that_ends_with_its_alerts() {
    let stage = stage().await;
    stage.district().await;
    let token = stage.token().await;
    let address = stage.shared.operator.address.clone();
    let body = firing(DISTRICT, "Repeated", 77, false);
    let posts = (0..8).map(|_| post(&address, "/alertmanager/laoshan-dr", Some(&token), &body));
    let codes = futures::future::join_all(posts).await;
    assert!(codes.iter().all(|code| *code == 200), "{codes:?}");
    let incidents = stage.incidents("Repeated").await;
    assert_eq!(incidents.len(), 1);
    let name = incidents[0].metadata.name.clone().expect("a name");
    let open = stage
        .wait("it is open", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Open" && seen["status"]["alerts"][0]["state"] == "Firing")
        .await;
    assert_eq!((&open["status"]["priority"], &open["spec"]["requestedBy"]), (&json!("P1"), &json!(ACCOUNT)));
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "ack", &name]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "resolve", &name, "--lang", "en"]);
    assert!(code == 3 && said.contains("1 of its alerts fire"), "{said}");
    assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), &firing(DISTRICT, "Repeated", 77, true)).await, 200);
    let closed = stage.wait("it is closed", "MaintenanceTicket", &name, |seen| is(seen, "Succeeded", "True", "Done")).await;
    assert_eq!(closed["status"]["assignee"], "duty-engineer-a", "what people did stands beside what alerts did");
    assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), &body).await, 200);
    assert_eq!(stage.incidents("Repeated").await.len(), 1, "a late post opens nothing again");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h10_an_alert_that_fires_again_soon_reopens_its_incident_for_who_has_it() {
    let stage = stage().await;
    stage.district().await;
    let (token, address) = (stage.token().await, stage.shared.operator.address.clone());
    let send = async |body: &[u8]| assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), body).await, 200);
    send(&firing(DISTRICT, "Flapping", 61, false)).await;
    let name = stage.wait_incident("Flapping").await;
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "ack", &name]);
    assert_eq!(code, 0, "{said}");
    send(&firing(DISTRICT, "Flapping", 61, true)).await;
    stage.wait("it is closed", "MaintenanceTicket", &name, |seen| is(seen, "Succeeded", "True", "Done")).await;

    let mut again: Value = serde_json::from_slice(&firing(DISTRICT, "Flapping", 61, false)).expect("JSON");
    again["alerts"][0]["startsAt"] = json!(jiff::Timestamp::now().to_string());
    send(again.to_string().as_bytes()).await;
    let open = stage.wait("it goes on", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Acknowledged").await;
    assert_eq!((&open["status"]["assignee"], &open["status"]["completionTime"]), (&json!("duty-engineer-a"), &Value::Null));
    assert_eq!(stage.incidents("Flapping").await.len(), 1, "no other is opened");
    (again["alerts"][0]["status"], again["alerts"][0]["endsAt"]) = (json!("resolved"), json!(jiff::Timestamp::now().to_string()));
    send(again.to_string().as_bytes()).await;
    stage.wait("it is closed again", "MaintenanceTicket", &name, |seen| is(seen, "Succeeded", "True", "Done")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_alertmanager_opens_and_closes_a_ticket_and_its_heart_is_heard_also_through_a_restart_of_the_operator() {
    // A server of its own: the operator is killed here.
    let server = Arc::new(Lone::start_with_charts());
    let client = server.client(None).await;
    namespace(&client, DISTRICT).await;
    let stage = Stage { shared: Arc::new(Shared { operator: Operator::start(&server), server }), client };
    stage.district().await;
    let token = stage.token().await;
    let roster = json!({"people": [{"name": "a"}], "levels": [{"name": "duty", "rotations": [{"name": "always", "people": ["a"]}]}], "heartbeat": {"alertName": "Watchdog", "maxSilence": "30s"}});
    stage.create("DutyRoster", "roster", roster).await;
    let alertmanager = Alertmanager::start(&stage.shared.operator.address, &token);
    alertmanager.fire(&[("Watchdog", "none"), ("RealTrouble", "critical")], false).await;
    stage.wait("the heart is heard", "DutyRoster", "roster", |seen| is(seen, "AlertsArrive", "True", "HeartbeatSeen")).await;
    let found = stage.wait_incident("RealTrouble").await;
    stage.wait("it is open", "MaintenanceTicket", &found, |seen| seen["status"]["phase"] == "Open").await;
    assert_eq!(stage.incidents("Watchdog").await.len(), 0, "a heartbeat is no incident");

    // The operator dies; meanwhile the trouble ends. Alertmanager's own retries bring the news to the one that comes after.
    let Stage { shared, client } = stage;
    let Shared { server, operator } = Arc::try_unwrap(shared).unwrap_or_else(|_| panic!("nobody else has it"));
    let address = operator.address.clone();
    operator.kill();
    alertmanager.fire(&[("RealTrouble", "critical")], true).await;
    let stage = Stage { shared: Arc::new(Shared { operator: Operator::start_at(&server, &address), server }), client };
    stage.wait("it is closed", "MaintenanceTicket", &found, |seen| is(seen, "Succeeded", "True", "Done")).await;
    assert_eq!(stage.incidents("RealTrouble").await.len(), 1);

    // Alertmanager dies: silence is noticed.
    drop(alertmanager);
    stage.wait("the silence is noticed", "DutyRoster", "roster", |seen| is(seen, "AlertsArrive", "False", "HeartbeatMissing")).await;
}

impl Stage {
    async fn wait_incident(&self, alert: &str) -> String {
        let since = Instant::now();
        loop {
            if let Some(ticket) = self.incidents(alert).await.first() {
                return ticket.metadata.name.clone().expect("a name");
            }
            assert!(since.elapsed() < NOTICED, "no ticket of {alert} after {NOTICED:?}\nthe operator's log:\n{}", self.shared.operator.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A real Alertmanager whose only receiver is the operator. It ends when it is let go.
struct Alertmanager {
    child: std::process::Child,
    address: std::net::SocketAddr,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    fn start(operator: &str, token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let receiver = json!({"url": format!("http://{operator}/alertmanager/laoshan-dr"), "send_resolved": true, "max_alerts": 500, "http_config": {"authorization": {"credentials": token}}});
        // As a computer centre would have it, but quicker.
        let config = json!({
            "route": {"receiver": "p861", "group_by": ["alertname", "site", "district"], "group_wait": "1s", "group_interval": "1s", "repeat_interval": "4h",
                "routes": [{"receiver": "p861", "matchers": ["alertname=\"Watchdog\""], "repeat_interval": "2s"}]},
            "receivers": [{"name": "p861", "webhook_configs": [receiver]}],
        });
        let path = folder.path().join("alertmanager.yml");
        std::fs::write(&path, config.to_string()).expect("written");
        let log = std::fs::File::create(folder.path().join("alertmanager.log")).expect("a log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&crate::support::programs().alertmanager)
            .args([format!("--config.file={}", path.display()), format!("--storage.path={}", folder.path().join("data").display())])
            .args([format!("--web.listen-address={address}"), "--cluster.listen-address=".to_owned()])
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("setpriv");
        Self { child, address, _folder: folder }
    }

    /// Says that alerts fire, or have ended, as Prometheus would.
    async fn fire(&self, alerts: &[(&str, &str)], ended: bool) {
        let now = jiff::Timestamp::now();
        let end = if ended { now } else { now + jiff::SignedDuration::from_hours(1) };
        let alerts: Vec<Value> = alerts.iter().map(|(name, severity)| json!({"labels": {"alertname": name, "severity": severity, "district": DISTRICT}, "annotations": {"summary": name}, "startsAt": "2026-11-24T00:00:00Z", "endsAt": end.to_string()})).collect();
        let body = json!(alerts).to_string();
        let since = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            assert!(since.elapsed() < NOTICED, "Alertmanager does not listen");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        loop {
            let code = post(&self.address.to_string(), "/api/v2/alerts", None, body.as_bytes()).await;
            if code == 200 {
                return;
            }
            assert!(since.elapsed() < NOTICED, "Alertmanager answers {code}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
