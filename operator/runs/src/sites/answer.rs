//! Answers of pods, by way of the API server. An application decides what its pods send, so each is read with a bound.

use futures::AsyncReadExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::LogParams, client::Body};
use serde::Deserialize;
use std::time::Duration;

/// Bytes of a log that are read for its last line.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// Time limit for reading it.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Status of the answer.
    pub status: i32,
    /// Its text, or what the API server says instead of it.
    pub text: String,
    /// There is more of it, which was not read.
    pub is_cut: bool,
}

/// The API server's own words, for example if no pod is there that could answer.
#[derive(Deserialize)]
struct StatusOfServer {
    kind: String,
    message: String,
}

/// Asks for a page, of which at most `most_bytes` are read. An error status is a page, too. The caller bounds the time.
///
/// # Errors
/// If there is no answer, or it breaks off.
pub async fn of_page(client: &Client, request: Request<Vec<u8>>, most_bytes: usize) -> kube::Result<Page> {
    let answer = client.send(request.map(Body::from)).await?;
    let status = i32::from(answer.status().as_u16());
    let (bytes, is_cut) = bounded(answer, most_bytes).await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if status < 400 {
        return Ok(Page { status, text, is_cut });
    }
    let said = serde_json::from_str::<StatusOfServer>(&text).ok().filter(|said| said.kind == "Status");
    Ok(Page { status, text: said.map_or(text, |said| said.message), is_cut })
}

/// The last line of a pod's log, as far as it is bounded. Nothing if it can't be read: it is only shown.
pub async fn last_line(pods: &Api<Pod>, name: &str) -> String {
    let parameters = LogParams { tail_lines: Some(1), limit_bytes: i64::try_from(MAX_LINE_BYTES).ok(), ..LogParams::default() };
    let mut line = Vec::new();
    let read = async {
        // The kubelet keeps to the limit. What reaches this process is bounded whatever it does.
        if let Ok(log) = pods.log_stream(name, &parameters).await {
            let _ = log.take(MAX_LINE_BYTES).read_to_end(&mut line).await;
        }
    };
    let _ = tokio::time::timeout(LINE_TIMEOUT, read).await;
    String::from_utf8_lossy(&line).into_owned()
}

/// The first bytes of a body, and whether there are more.
async fn bounded(answer: Response<Body>, most_bytes: usize) -> kube::Result<(Vec<u8>, bool)> {
    let (mut body, mut bytes) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame?.into_data() else { continue };
        let room = most_bytes - bytes.len();
        bytes.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room {
            return Ok((bytes, true));
        }
    }
    Ok((bytes, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt as _, stream};
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    /// An API server that answers everything with this.
    fn client(status: u16, body: impl Fn() -> axum::body::Body + Clone + Send + Sync + 'static) -> Client {
        let answer = move |_: Request<Body>| {
            let body = body();
            async move { Ok::<_, Infallible>(Response::builder().status(status).body(body).expect("an answer")) }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    async fn page(client: &Client, most_bytes: usize) -> Page {
        of_page(client, Request::get("/x").body(Vec::new()).unwrap(), most_bytes).await.unwrap()
    }

    #[tokio::test]
    async fn fault_e11_of_an_endless_page_only_as_much_is_read_as_is_allowed() {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let endless = move || {
            let counted = counted.clone();
            axum::body::Body::from_stream(stream::repeat_with(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>("0123456789")
            }))
        };
        for status in [200, 500] {
            sent.store(0, Ordering::SeqCst);
            let page = page(&client(status, endless.clone()), 1_001).await;
            assert_eq!((page.status, page.text.len(), page.is_cut), (i32::from(status), 1_001, true));
            assert!(sent.load(Ordering::SeqCst) < 200, "{} parts were taken", sent.load(Ordering::SeqCst));
        }
        // One part that is larger than all that is allowed.
        let large = page(&client(200, || axum::body::Body::from("x".repeat(1 << 20))), 10).await;
        assert_eq!((large.text.len(), large.is_cut), (10, true));
        let fits = page(&client(200, || axum::body::Body::from("x".repeat(10))), 10).await;
        assert_eq!((fits.text.len(), fits.is_cut), (10, false));
    }

    #[tokio::test]
    async fn fault_e11_a_page_that_drips_is_left_by_whoever_bounds_the_time() {
        let drips = || axum::body::Body::from_stream(stream::once(async { Ok::<_, Infallible>("a") }).chain(stream::pending()));
        let client = client(200, drips);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(100), page(&client, 10)).await;
        assert!(waited.is_err(), "it is dropped, and the connection with it");
    }

    #[tokio::test]
    async fn an_error_is_told_in_the_words_of_the_api_server_or_of_the_page() {
        for (status, body, text) in [
            (503, r#"{"kind":"Status","message":"no endpoints available for service"}"#, "no endpoints available for service"),
            (404, "<html>nothing</html>", "<html>nothing</html>"),
            (404, r#"{"kind":"Other","message":"x"}"#, r#"{"kind":"Other","message":"x"}"#),
            (302, "", ""),
            (200, r#"{"kind":"Status","message":"fine"}"#, r#"{"kind":"Status","message":"fine"}"#),
        ] {
            let page = page(&client(status, move || axum::body::Body::from(body)), 1_000).await;
            assert_eq!((page.status, page.text.as_str()), (i32::from(status), text));
        }
    }

    #[tokio::test]
    async fn fault_e11_of_a_log_without_end_only_as_much_is_read_as_a_line_may_have() {
        let endless = || axum::body::Body::from_stream(stream::repeat(Ok::<_, Infallible>("progress ".repeat(100))));
        let pods: Api<Pod> = Api::namespaced(client(200, endless), "n");
        let line = tokio::time::timeout(Duration::from_secs(20), last_line(&pods, "mover")).await.expect("it ends");
        assert_eq!(line.len() as u64, MAX_LINE_BYTES);
        let gone: Api<Pod> = Api::namespaced(client(404, || axum::body::Body::from("{}")), "n");
        assert_eq!(last_line(&gone, "mover").await, "");
    }
}
