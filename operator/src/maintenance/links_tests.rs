use super::*;
use axum::body::to_bytes;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;
use tower::ServiceExt as _;

const TOKEN: &str = "a-token-of-more-than-sixteen-bytes";
const DUE: &str = "2026-12-07T19:06:12Z";

fn ticket(uid: &str, due: &str) -> Value {
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "inc-1", "namespace": "shinan", "uid": uid, "resourceVersion": "1"},
        "spec": {"type": "Incident", "title": {"en": "Portal away"}, "impact": "High", "urgency": "High", "requestedBy": "x", "actions": []},
        "status": {"phase": "Open", "clocks": [{"name": "Acknowledge", "startTime": due, "dueTime": due, "state": "Running"}]}})
}

/// An API server with the token's Secret and this ticket. Remembers what it was asked.
fn hub(ticket: &Value) -> (Client, Arc<Mutex<Vec<String>>>) {
    let (ticket, asked) = (ticket.clone(), Arc::<Mutex<Vec<String>>>::default());
    let heard = asked.clone();
    let answer = move |request: Request<Body>| {
        heard.lock().push(format!("{} {}", request.method(), request.uri().path()));
        let body = match request.uri().path() {
            "/api/v1/namespaces/p861-system/secrets/p861-alerts" => {
                json!({"metadata": {"name": TOKEN_SECRET}, "data": {"token": k8s_openapi::ByteString(TOKEN.into())}})
            }
            path if path.ends_with("/maintenancetickets/inc-1") => ticket.clone(),
            path if path.ends_with("/selfsubjectreviews") => json!({"metadata": {}, "status": {"userInfo": {"username": "the-operator"}}}),
            _ => Value::Null,
        };
        let code = if body.is_null() { 404 } else { 200 };
        let body = if body.is_null() { json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "none"}) } else { body };
        async move { Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).expect("an answer")) }
    };
    (Client::new(tower::service_fn(answer), "default"), asked)
}

/// A router whose token is known, what the API server was asked since, and the tokens.
async fn router(ticket: &Value) -> (Router, Arc<Mutex<Vec<String>>>) {
    let (client, asked) = hub(ticket);
    let keys = Keys::new(client.clone(), "p861-system", Leadership::without_lease());
    keys.token().await.expect("a token");
    asked.lock().clear();
    (Links::new(client, keys, Leadership::without_lease()).router(), asked)
}

async fn browse(router: &Router, method: &str, path: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(axum::body::Body::empty()).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("an answer");
    let code = answer.status().as_u16();
    (code, String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.expect("a body").to_vec()).expect("text"))
}

fn path(ticket: &Value, person: &str) -> String {
    path_of(TOKEN.as_bytes(), &serde_json::from_value(ticket.clone()).expect("a ticket"), person).expect("a link")
}

#[tokio::test]
async fn fault_e21_a_link_that_is_not_sealed_makes_the_api_server_no_work() {
    let ours = ticket("0a-1b", DUE);
    let (router, asked) = router(&ours).await;
    let good = path(&ours, "li");
    let forged = [
        good.replace("/li/", "/sun/"),
        good.replace("/shinan/", "/kube-system/"),
        good.replace("/inc-1/", "/inc-2/"),
        good.replace("0a-1b", "0a-1c"),
        format!("{}0", &good[..good.len() - 1]),
        format!("{}/{}", good.rsplit_once('/').expect("a seal").0, "x".repeat(64)),
        "/ack/shinan/inc-1/li/x/y".to_owned(),
        "/ack/shinan/inc-1/li/1-x/%00".to_owned(),
    ];
    for forged in forged.iter().filter(|forged| **forged != good) {
        for method in ["GET", "POST"] {
            assert_eq!(browse(&router, method, forged).await.0, 403, "{method} {forged}");
        }
    }
    assert_eq!(asked.lock().as_slice(), &[] as &[String], "the API server was asked");
    let (code, page) = browse(&router, "GET", &good).await;
    assert!(code == 200 && page.contains("<form") && page.contains("Portal away"), "{page}");
    assert_eq!(asked.lock().as_slice(), ["GET /apis/platform861.io/v1alpha1/namespaces/shinan/maintenancetickets/inc-1"]);
    assert_eq!(browse(&router, "POST", &good).await.0, 200);
}

#[tokio::test]
async fn a_link_of_an_earlier_opening_or_of_another_ticket_of_that_name_is_not_valid_any_more() {
    let (router, _) = router(&ticket("0a-1b", DUE)).await;
    for earlier in [ticket("0a-1b", "2026-12-07T19:06:11Z"), ticket("0a-1c", DUE)] {
        assert_eq!(browse(&router, "GET", &path(&earlier, "li")).await.0, 403);
    }
}

#[tokio::test]
async fn fault_e21_wrong_seals_and_one_link_again_and_again_are_turned_away_and_other_links_are_not() {
    let ours = ticket("0a-1b", DUE);
    let (router, asked) = router(&ours).await;
    let mut codes = Vec::new();
    for _ in 0..WRONG_SEALS.burst * 3 {
        codes.push(browse(&router, "POST", "/ack/shinan/inc-1/li/1-x/00").await.0);
    }
    assert!(codes[..10].iter().all(|code| *code == 403) && codes.contains(&429), "{codes:?}");
    assert!(asked.lock().is_empty());
    let (li, sun) = (path(&ours, "li"), path(&ours, "sun"));
    let mut codes = Vec::new();
    for _ in 0..PER_LINK.burst * 3 {
        codes.push(browse(&router, "GET", &li).await.0);
    }
    assert!(codes[0] == 200 && codes.contains(&429), "{codes:?}");
    assert!(asked.lock().len() < codes.len(), "what is turned away asks nothing");
    assert_eq!(browse(&router, "GET", &sun).await.0, 200, "a flood keeps nobody else from acknowledging");
}

#[tokio::test]
async fn fault_e21_without_a_known_key_nothing_is_asked_and_nothing_is_shown() {
    let ours = ticket("0a-1b", DUE);
    let (client, asked) = hub(&ours);
    let keys = Keys::new(client.clone(), "p861-system", Leadership::none());
    let router = Links::new(client, keys.clone(), Leadership::none()).router();
    assert_eq!(browse(&router, "GET", &path(&ours, "li")).await.0, 503);
    assert!(asked.lock().is_empty());
    let known = tokio::spawn(keys.clone().keep_known());
    let since = Instant::now();
    while keys.known().is_none() {
        assert!(since.elapsed() < Duration::from_secs(10), "it is not read");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    known.abort();
    assert_eq!(browse(&router, "GET", &path(&ours, "li")).await.0, 200, "a replica that does not lead shows the page");
    assert_eq!(browse(&router, "POST", &path(&ours, "li")).await.0, 503, "and acknowledges nothing");
}
