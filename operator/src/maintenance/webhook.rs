//! Messages by webhook: one POST of JSON. The URL may carry a token, so no error shows it.

use super::notify::Message;
use http::{HeaderMap, Method};
use p861_crds::Reason;
use p861_runs::{
    error::{Error, Result},
    http_client::{HttpClient, Limits},
};
use reqwest::Url;
use std::collections::BTreeMap;

/// Largest answer; it is only used for the message of a refusal.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Posts a message. `keys` are those of Secret `secret`: `url`, and `ca.crt` for an authority of one's own. `phone` is the person's number, if there is one.
pub async fn post(secret: &str, keys: &BTreeMap<String, String>, phone: Option<&str>, message: &Message<'_>, time: std::time::Duration) -> Result<()> {
    let invalid = |what: String| Error::invalid(Reason::WebhookInvalid, what);
    let unusable = || invalid(format!("the url of Secret {secret} is none: write https://host/path"));
    let text = keys.get("url").filter(|url| !url.trim().is_empty());
    let text = text.ok_or_else(|| Error::invalid(Reason::SecretIncomplete, format!("Secret {secret} has no key url")))?;
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(unusable)?;
    let limits = Limits { time, body_bytes: MAX_BODY_BYTES };
    let client = HttpClient::new(keys.get("ca.crt").map(String::as_str), limits).map_err(|what| invalid(format!("ca.crt of Secret {secret} {what}")))?;
    let body = serde_json::json!({
        "id": message.id, "person": message.person, "phone": phone, "ticket": message.ticket,
        "subject": message.text.subject, "text": message.text.body,
    });
    let sent = client.send(Method::POST, url, HeaderMap::new(), body.to_string().into_bytes()).await;
    sent.map(drop).map_err(|error| Error::transient(Reason::WebhookFailed, format!("the webhook {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, routing};
    use p861_core::maintenance::notify::MessageText;
    use parking_lot::Mutex;
    use std::{sync::Arc, time::Duration};

    /// Serves until the test ends; the URL of its root.
    async fn serve(router: Router) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn send(url: &str) -> Result<()> {
        let keys = BTreeMap::from([("url".to_owned(), url.to_owned())]);
        let text = MessageText { subject: "门户".into(), body: "打不开".into() };
        let message = Message { id: "id".into(), person: "li", text: &text, ticket: Some("inc-1") };
        post("hook", &keys, Some("861"), &message, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_message_is_posted_as_json_with_the_query_of_the_url() {
        let got: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = got.clone();
        let taken = move |uri: http::Uri, body: String| async move { keep.lock().push(format!("{uri} {body}")) };
        let url = serve(Router::new().route("/call", routing::post(taken))).await;
        send(&format!("{url}call?key=hidden")).await.unwrap();
        let got = got.lock();
        let (path, body) = got[0].split_once(' ').unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(path, "/call?key=hidden");
        assert_eq!(body, serde_json::json!({"id": "id", "person": "li", "phone": "861", "ticket": "inc-1", "subject": "门户", "text": "打不开"}));
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_receiver_said_and_never_the_url() {
        let url = serve(Router::new().fallback(|| async { (StatusCode::UNPROCESSABLE_ENTITY, r#"{"message":"no such number"}"#) })).await;
        let error = send(&format!("{url}?key=hidden")).await.unwrap_err();
        assert_eq!((error.reason(), error.to_string().as_str()), (Reason::WebhookFailed, "the webhook answers 422: no such number"));
        for url in ["", " ", "hidden", "ftp://hidden/x", "http://", "https://hidden host/"] {
            let error = send(url).await.unwrap_err();
            assert!(matches!(error.reason(), Reason::WebhookInvalid | Reason::SecretIncomplete) && !error.to_string().contains("hidden"), "{error}");
        }
    }

    #[tokio::test]
    async fn fault_e11_a_webhook_that_answers_without_end_or_not_at_all_is_left() {
        let endless = || axum::body::Body::from_stream(futures::stream::repeat(Ok::<_, std::convert::Infallible>("x".repeat(4_096))));
        let url = serve(
            Router::new()
                .route("/endless", routing::post(move || async move { endless() }))
                .route("/refusal", routing::post(move || async move { (StatusCode::BAD_GATEWAY, endless()) }))
                .route("/silent", routing::post(std::future::pending::<()>)),
        )
        .await;
        let keys = |path: &str| BTreeMap::from([("url".to_owned(), format!("{url}{path}?key=hidden"))]);
        let text = MessageText { subject: "x".into(), body: "y".into() };
        let message = Message { id: "id".into(), person: "li", text: &text, ticket: None };
        for (path, said) in [("endless", "answers more than 65536 bytes"), ("refusal", "answers 502: xxx"), ("silent", "does not answer within 0.5 s")] {
            let error = post("hook", &keys(path), None, &message, Duration::from_millis(500)).await.unwrap_err();
            assert!(error.to_string().contains(said) && error.to_string().len() < 400 && !error.to_string().contains("hidden"), "{path}: {error}");
        }
    }
}
