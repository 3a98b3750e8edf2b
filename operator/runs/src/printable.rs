//! In front of each cluster: what a server-side apply sends is readable YAML, whatever texts are in it.
//!
//! An API server reads the body of an apply as YAML, also where it is JSON. YAML allows no control characters and takes some others for the end of a line, and JSON escapes
//! none of these. One byte that an application prints would then keep a status as it is for ever, and an object of a backup from coming back. JSON may write each character as
//! an escape, which YAML reads alike: so these are.

use http::{Request, header::CONTENT_TYPE};
use kube::{Client, client::Body};
use std::fmt::Write as _;
use tower::BoxError;

/// The content type of an apply.
const APPLY: &str = "application/apply-patch+yaml";

/// The same client, except that what it applies is escaped.
pub fn client(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let send = move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let request = if is_apply(&request) { readable(request).await? } else { request };
            Ok::<_, BoxError>(client.send(request).await?)
        }
    };
    Client::new(tower::service_fn(send), namespace)
}

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

/// The request with a body that YAML reads.
async fn readable(request: Request<Body>) -> Result<Request<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let bytes = body.collect_bytes().await?;
    let plain = std::str::from_utf8(&bytes).ok().and_then(escaped);
    let body = plain.map_or_else(|| Body::from(bytes.to_vec()), |plain| Body::from(plain.into_bytes()));
    Ok(Request::from_parts(head, body))
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
        let client = client(Client::new(server, "default"));
        let text = json!({"message": "\u{9b}2J\u{7f}\u{85}\u{2028}\u{feff} ünïcode 中文"}).to_string();
        for (kind, wanted) in [
            (APPLY, r#"{"message":"\u009b2J\u007f\u0085\u2028\ufeff ünïcode 中文"}"#),
            ("application/merge-patch+json", text.as_str()),
            ("application/json", text.as_str()),
        ] {
            let request = Request::patch("/x").header(CONTENT_TYPE, kind).body(Body::from(text.clone().into_bytes())).unwrap();
            client.send(request).await.unwrap();
            assert_eq!(seen.lock().last().map(String::as_str), Some(wanted), "{kind}");
        }
    }
}
