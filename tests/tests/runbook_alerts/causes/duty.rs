//! What happens to those on duty: their roster, the way of alerts to it, its messages and its deadlines.

use crate::{
    runbook_alerts::night::{CLOSED_PORT, DISTRICT, Night, wait_token},
    support::lone::SYSTEM,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use p861_testbed::services::http;
use serde_json::{Value, json};

/// A heartbeat is expected, and no Prometheus has its rule.
pub async fn heartbeat(night: &mut Night) {
    night.merge("DutyRoster", "dutyrosters", "a-day", json!({"spec": {"heartbeat": {"alertName": "Watchdog", "maxSilence": "20s"}}})).await;
}

pub fn heartbeat_mended(night: &Night) {
    night.monitors.rules("watchdog.yaml", "groups: [{name: heartbeat, rules: [{alert: Watchdog, expr: vector(1), labels: {severity: none}}]}]\n");
}

pub async fn gap_in_duty(night: &mut Night) {
    let rotation = json!({"name": "minute", "start": "00:00", "end": "00:01", "startDate": "2026-01-01", "people": ["wu"]});
    let spec = json!({"people": [{"name": "wu"}], "levels": [{"name": "duty", "rotations": [rotation]}]});
    night.declare("DutyRoster", "b-night", spec).await;
}

pub async fn gap_filled(night: &mut Night) {
    night.p861(DISTRICT, &["ticket", "list"]);
    let levels = json!([{"name": "duty", "rotations": [{"name": "always", "people": ["wu"]}]}]);
    night.merge("DutyRoster", "dutyrosters", "b-night", json!({"spec": {"levels": levels}})).await;
}

/// Somebody tries the door.
pub fn stranger(night: &Night) {
    let address = night.address.parse().expect("an address");
    let headers = [("Authorization", "Bearer guessed"), ("Content-Type", "application/json")];
    let answer = http::request(address, "POST", "/alertmanager/here", &headers, b"{}").expect("an answer");
    assert_eq!(answer.status, 401, "{}", answer.summary());
}

/// The messenger of the duty does not answer; today's test message is due.
pub async fn messages(night: &mut Night) {
    let patch = json!({"spec": {"testMessageAt": "00:00", "channels": [{"name": "message", "webhook": {"urlSecretRef": {"name": "duty-webhook"}}}]}});
    night.merge("DutyRoster", "dutyrosters", "a-day", patch).await;
}

/// The stranger may know the token: the operator makes another, and the receiver gets it.
pub async fn token_replaced(night: &mut Night) {
    let secrets: Api<Secret> = Api::namespaced(night.client.clone(), SYSTEM);
    secrets.delete("p861-alerts", &DeleteParams::default()).await.expect("deleted");
    let token = wait_token(&night.client, &night.token).await;
    night.monitors.exchange_token(&night.token, &token);
    night.token = token;
}

pub async fn messages_mended(night: &mut Night) {
    // It ends with 4, because its test message reached nobody.
    assert!(night.p861_ending(DISTRICT, &["duty", "now", "--roster", "a-day"], 4).contains("li"), "who is on duty");
    let url = receiver().await;
    assert_eq!(night.secret(DISTRICT, "duty-webhook", "url", &url).await, CLOSED_PORT);
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

/// The test is sent again in the minute to come.
pub async fn people_tested(night: &mut Night) {
    let soon = (Timestamp::now() + SignedDuration::from_secs(60)).to_zoned(TimeZone::get("Asia/Shanghai").expect("a zone"));
    night.merge("DutyRoster", "dutyrosters", "a-day", json!({"spec": {"testMessageAt": soon.strftime("%H:%M").to_string()}})).await;
}

/// The roster allows five seconds.
pub async fn clocks(night: &mut Night) {
    let clocks: Vec<Value> = ["P1", "P2", "P3", "P4"].map(|priority| json!({"priority": priority, "acknowledge": "5s", "resolve": "24h"})).to_vec();
    night.merge("DutyRoster", "dutyrosters", "a-day", json!({"spec": {"clocks": clocks}})).await;
}

pub async fn all_acknowledged(night: &mut Night) {
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
