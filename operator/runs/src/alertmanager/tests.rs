use super::*;
use crate::http_client::tests::serve;
use axum::{Router, body::Bytes, http::StatusCode, routing::any};
use p861_crds::Reason;
use parking_lot::Mutex;
use std::sync::Arc;

/// An Alertmanager that answers everything in the same way, and the requests that it got.
async fn answering(code: u16, body: &str) -> (Alertmanager, Arc<Mutex<Vec<String>>>) {
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let (status, body, keep) = (StatusCode::from_u16(code).unwrap(), body.to_owned(), got.clone());
    let url = serve(Router::new().fallback(any(move |method: Method, uri: http::Uri, headers: HeaderMap, sent: Bytes| async move {
        let token = headers.get(AUTHORIZATION).map_or("-", |value| value.to_str().unwrap()).to_owned();
        keep.lock().push(format!("{method} {uri} {token} {}", String::from_utf8_lossy(&sent)));
        (status, body)
    })))
    .await;
    (alertmanager(&format!("{url}am/"), "secret\n", LIMITS), got)
}

fn alertmanager(url: &str, token: &str, limits: Limits) -> Alertmanager {
    let leadership = Leadership::none();
    leadership.lead_for(Duration::from_mins(1));
    Alertmanager::new(&"here".into(), url, &BTreeMap::from([("token".to_owned(), token.to_owned())]), limits, leadership).unwrap()
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("alertname".to_owned(), "A".to_owned())])
}

#[tokio::test]
async fn what_alertmanager_refuses_is_told_in_its_own_words_and_not_in_kubernetes_reasons() {
    let cases = [
        (422, r#"{"code":612,"message":"matchers in body should have at least 1 items"}"#, "AlertmanagerRefused", Category::Refused, "matchers in body"),
        (400, r#""silence invalid: start time must be before end time""#, "AlertmanagerRefused", Category::Refused, "start time must be before end time"),
        (401, "", "CredentialsRefused", Category::Refused, "check the token"),
        (403, "", "CredentialsRefused", Category::Refused, "check the token"),
        (404, "no such page", "AlertmanagerRefused", Category::Refused, "404: no such page"),
        (302, "", "EndpointInvalid", Category::Invalid, "redirect"),
        (429, "slow down", "AlertmanagerRefused", Category::Transient, "slow down"),
        (503, "starting", "AlertmanagerRefused", Category::Transient, "503: starting"),
        (200, "<html>", "AlertmanagerUnreadable", Category::Transient, "can't be read"),
    ];
    for (code, body, reason, category, words) in cases {
        let (alertmanager, _) = answering(code, body).await;
        let now = Timestamp::now();
        let error = alertmanager.silence("t", &labels(), now, now).await.unwrap_err();
        assert_eq!((error.reason(), error.category()), (Reason::from_text(reason), category), "{code}: {error}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("Alertmanager of site here") && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn requests_go_below_the_path_of_the_url_with_the_token() {
    let (alertmanager, got) = answering(200, r#"{"silenceID":"s-1"}"#).await;
    let start: Timestamp = "2026-12-07T19:00:00Z".parse().unwrap();
    assert_eq!(alertmanager.silence("t", &labels(), start, start).await.unwrap(), "s-1");
    let got = got.lock();
    assert!(got[0].starts_with("POST /am/api/v2/silences Bearer secret {"), "{}", got[0]);
    let sent: serde_json::Value = serde_json::from_str(&got[0][got[0].find('{').unwrap()..]).unwrap();
    assert_eq!((&sent["comment"], &sent["createdBy"], &sent["matchers"][0]["value"]), (&json!("ticket t"), &json!("p861"), &json!("A")));
    assert_eq!(sent["startsAt"], "2026-12-07T19:00:00Z");
}

#[tokio::test]
async fn only_silences_of_the_same_ticket_that_have_not_expired_are_ours() {
    let silence = |id: &str, comment: &str, by: &str, state: &str| json!({"id": id, "startsAt": "2026-12-07T19:00:00Z", "comment": comment, "createdBy": by, "status": {"state": state}, "matchers": [{"name": "alertname", "value": "A"}]});
    let all = json!([
        silence("ours", "ticket t", "p861", "active"),
        silence("pending", "ticket t", "p861", "pending"),
        silence("over", "ticket t", "p861", "expired"),
        silence("other", "ticket u", "p861", "active"),
        silence("person", "ticket t", "li", "active"),
    ]);
    let (alertmanager, _) = answering(200, &all.to_string()).await;
    let ours = alertmanager.silences("t").await.unwrap();
    assert_eq!(ours.iter().map(|silence| silence.id.as_str()).collect::<Vec<_>>(), ["ours", "pending"]);
    assert!(ours[0].is_for(&labels()) && !ours[0].is_for(&BTreeMap::new()));
}

#[tokio::test]
async fn a_silence_that_is_gone_has_ended() {
    assert!(answering(404, "").await.0.end("s-1").await.is_ok());
    assert!(answering(200, "").await.0.end("s-1").await.is_ok());
    assert_eq!(answering(500, "").await.0.end("s-1").await.unwrap_err().reason(), "AlertmanagerRefused");
}

#[tokio::test]
async fn an_alertmanager_that_hangs_or_never_stops_talking_is_left() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = alertmanager(&url, "secret", Limits { time: Duration::from_millis(100), ..LIMITS }).alerts().await.unwrap_err();
    assert_eq!((error.reason(), error.category()), (Reason::Unreachable, Category::Transient), "{error}");
    let url = serve(Router::new().fallback(any(|| async { "[".repeat(2_000) }))).await;
    let error = alertmanager(url.as_str(), "secret", Limits { body_bytes: 1_000, ..LIMITS }).alerts().await.unwrap_err();
    assert!(error.reason() == "AlertmanagerUnreadable" && error.to_string().contains("more than 1000 bytes"), "{error}");
}

#[tokio::test]
async fn nothing_is_changed_without_the_lease() {
    let (mut alertmanager, got) = answering(200, r#"{"silenceID":"s-1"}"#).await;
    alertmanager.leadership = Leadership::none();
    let now = Timestamp::now();
    assert!(matches!(alertmanager.silence("t", &labels(), now, now).await, Err(Error::LeaseLost)));
    assert!(matches!(alertmanager.end("s-1").await, Err(Error::LeaseLost)));
    assert!(got.lock().is_empty());
}

#[test]
fn a_site_whose_endpoint_can_not_be_used_is_told_so() {
    let new = |url: &str, keys: &[(&str, &str)]| {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Alertmanager::new(&"here".into(), url, &keys, LIMITS, Leadership::none()).map(drop)
    };
    assert!(new("http://am:9093/", &[]).is_ok());
    for (url, keys) in [
        ("am:9093", &[][..]),
        ("http://", &[]),
        ("ftp://am", &[]),
        ("http://am:9093", &[("token", "a\nb")]),
        ("https://am:9093", &[("ca.crt", "no certificate")]),
    ] {
        let error = new(url, keys).unwrap_err();
        assert!(error.reason() == "EndpointInvalid" && error.to_string().starts_with("site here: spec.monitoring.alertmanager"), "{error}");
    }
}

#[tokio::test]
async fn fault_f4_the_groups_are_asked_for_without_what_is_not_posted() {
    let alert = json!({"fingerprint": "a1", "startsAt": "2026-12-07T19:00:00Z", "labels": {"alertname": "A"}, "status": {"state": "active"}});
    let (alertmanager, got) = answering(200, &json!([{"labels": {"site": "here"}, "receiver": {"name": "p861"}, "alerts": [alert]}]).to_string()).await;
    assert_eq!(alertmanager.groups().await.unwrap().len(), 1);
    assert!(got.lock()[0].starts_with("GET /am/api/v2/alerts/groups?silenced=false&inhibited=false&muted=false Bearer secret"), "{}", got.lock()[0]);
}

#[tokio::test]
async fn fault_e11_an_alertmanager_that_answers_without_end_or_never_is_left() {
    let endless = || axum::body::Body::from_stream(futures::stream::repeat(Ok::<_, std::convert::Infallible>("[{},".repeat(1_024))));
    let url = serve(
        Router::new()
            .route("/am/api/v2/status", any(std::future::pending::<()>))
            .route("/am/api/v2/alerts", any(move || async move { endless() }))
            .route("/am/api/v2/silences", any(|| async { "[".repeat(1 << 20) })),
    )
    .await;
    let limits = Limits { time: Duration::from_millis(500), body_bytes: 2 << 20 };
    let alertmanager = alertmanager(&format!("{url}am/"), "secret", limits);
    let started = alertmanager.started().await.unwrap_err();
    assert!(started.reason() == Reason::Unreachable && started.to_string().contains("does not answer within"), "{started}");
    let alerts = alertmanager.alerts().await.unwrap_err();
    assert!(alerts.reason() == Reason::AlertmanagerUnreadable && alerts.to_string().contains("more than 2097152 bytes"), "{alerts}");
    // A million brackets within the limit: what parses it must not use up its stack.
    let silences = alertmanager.silences("t").await.unwrap_err();
    assert!(silences.reason() == Reason::AlertmanagerUnreadable && silences.to_string().len() < 600, "{}", silences.to_string().len());
}
