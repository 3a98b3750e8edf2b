//! In front of each cluster: what a server-side apply sends is readable YAML, whatever texts are in it.
//!
//! An API server reads the body of an apply as YAML, also where it is JSON. YAML allows no control characters and takes some others for the end of a line, and JSON escapes
//! none of these. One byte that an application prints would then keep a status as it is for ever, and an object of a backup from coming back. JSON may write each character as
//! an escape, which YAML reads alike: so these are.

use crate::movers::Touch;
use futures::FutureExt as _;
use http::{Request, header::CONTENT_TYPE};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use std::{
    fmt::Write as _,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// The content type of an apply.
const APPLY: &str = "application/apply-patch+yaml";

/// A client for a process that has no lease: a mover's, which notes what it may have changed.
///
/// # Errors
/// If the configuration can't be used.
pub fn client(config: Config, touch: &Touch) -> Result<Client, kube::Error> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&Printable).with_layer(touch).build())
}

/// Escapes what an apply sends.
#[derive(Clone, Copy, Debug)]
pub struct Printable;

impl<S> Layer<S> for Printable {
    type Service = Escaping<S>;

    fn layer(&self, inner: S) -> Escaping<S> {
        Escaping(inner)
    }
}

/// The way to a cluster behind [`Printable`].
#[derive(Clone, Debug)]
pub struct Escaping<S>(S);

/// Whether YAML refuses the character, or reads another in its place.
fn is_refused(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// The JSON text with each such character as an escape; none if there is none. In JSON they are only ever within a string.
fn escaped(text: &str) -> Option<String> {
    let first = text.find(is_refused)?;
    let mut plain = String::with_capacity(text.len() + 64);
    plain.push_str(&text[..first]);
    for character in text[first..].chars() {
        if is_refused(character) {
            // Writing to a String can't fail.
            let _ = write!(plain, "\\u{:04x}", u32::from(character));
        } else {
            plain.push(character);
        }
    }
    Some(plain)
}

fn is_apply<B>(request: &Request<B>) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == APPLY.as_bytes())
}

/// The request with a body that YAML reads. What is applied is in memory already, so nothing is waited for.
fn readable(request: Request<Body>) -> Request<Body> {
    let (head, body) = request.into_parts();
    let Some(Ok(bytes)) = body.collect_bytes().now_or_never() else {
        // Sent empty, it is refused: better than half.
        tracing::error!(path = head.uri.path(), "the body of an apply is not in memory");
        return Request::from_parts(head, Body::empty());
    };
    let plain = std::str::from_utf8(&bytes).ok().and_then(escaped);
    let body = plain.map_or_else(|| Body::from(bytes.to_vec()), |plain| Body::from(plain.into_bytes()));
    Request::from_parts(head, body)
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Escaping<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.0.call(if is_apply(&request) { readable(request) } else { request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::{convert::Infallible, sync::Arc};

    proptest! {
        #[test]
        fn fault_e41_whatever_a_text_has_in_it_yaml_reads_what_json_meant(text in any::<String>(), key in any::<String>()) {
            let object = json!({"status": {"message": text, "more": [key.clone()]}, key: 1});
            let sent = object.to_string();
            let plain = escaped(&sent).unwrap_or(sent);
            prop_assert!(!plain.contains(is_refused));
            prop_assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), object);
        }
    }

    #[tokio::test]
    async fn fault_e41_an_apply_is_sent_readable_and_nothing_else_is_touched() {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = seen.clone();
        let server = tower::service_fn(move |request: Request<Body>| {
            let noted = noted.clone();
            async move {
                let bytes = request.into_body().collect_bytes().await.unwrap();
                noted.lock().push(String::from_utf8(bytes.to_vec()).unwrap());
                Ok::<_, Infallible>(http::Response::new(Body::empty()))
            }
        });
        let mut client = Printable.layer(server);
        let text = json!({"message": "\u{9b}2J\u{7f}\u{85}\u{2028}\u{feff} ünïcode 中文"}).to_string();
        for (kind, wanted) in [
            (APPLY, r#"{"message":"\u009b2J\u007f\u0085\u2028\ufeff ünïcode 中文"}"#),
            ("application/merge-patch+json", text.as_str()),
            ("application/json", text.as_str()),
        ] {
            let request = Request::patch("/x").header(CONTENT_TYPE, kind).body(Body::from(text.clone().into_bytes())).unwrap();
            client.call(request).await.unwrap();
            assert_eq!(seen.lock().last().map(String::as_str), Some(wanted), "{kind}");
        }
    }
}
