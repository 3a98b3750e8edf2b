//! HTTP to servers that are neither Kubernetes nor ours: webhooks and Alertmanagers. Answers are bounded in bytes and time, and redirects are not followed.
//!
//! No error holds the URL: the URL of a webhook is a secret.

use crate::tls;
use http::{HeaderMap, Method, StatusCode};
use p861_core::conditions::shorten;
use reqwest::Url;
use std::{fmt, time::Duration};

/// Characters of a refusal that are kept for the message.
const MAX_REFUSAL_CHARS: usize = 256;

/// Limits of time and size for a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the name lookup to the last byte of the answer.
    pub time: Duration,
    /// The body of an answer.
    pub body_bytes: usize,
}

/// A client for one server.
pub struct HttpClient {
    client: reqwest::Client,
    limits: Limits,
}

/// An answer that came in time: 2xx.
pub type Body = String;

/// Why there is no good answer.
#[derive(Debug, PartialEq, Eq)]
pub enum HttpError {
    /// No connection, or it broke.
    Unreachable(String),
    /// Not within [`Limits::time`].
    TooSlow(Duration),
    /// More than [`Limits::body_bytes`].
    TooLong(usize),
    /// Any status but 2xx.
    Refused {
        /// The status.
        status: StatusCode,
        /// What the server said, shortened.
        said: String,
    },
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "can't be reached: {why}"),
            Self::TooSlow(limit) => write!(f, "does not answer within {} s", limit.as_secs_f32()),
            Self::TooLong(limit) => write!(f, "answers more than {limit} bytes"),
            Self::Refused { status, .. } if status.is_redirection() => {
                write!(f, "answers {}, a redirect, which is not followed: write the address that it leads to", status.as_u16())
            }
            Self::Refused { status, said } if said.is_empty() => write!(f, "answers {}", status.as_u16()),
            Self::Refused { status, said } => write!(f, "answers {}: {said}", status.as_u16()),
        }
    }
}

impl HttpClient {
    /// A client that trusts the authorities in `ca` (PEM), or those of the machine.
    ///
    /// # Errors
    /// The fault of `ca`, as a phrase that follows its name in a message.
    pub fn new(ca: Option<&str>, limits: Limits) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(ca)?)
            .redirect(reqwest::redirect::Policy::none())
            // These servers are on the same networks as the sites; a proxy of the environment is meant for registries.
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, limits })
    }

    /// Sends JSON, or nothing if `body` is empty, and returns the body of a 2xx answer.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn send(&self, method: Method, url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Body, HttpError> {
        let request = self.client.request(method, url).header(http::header::CONTENT_TYPE, "application/json").headers(headers).body(body);
        let exchange = async {
            let mut answer = request.send().await.map_err(unreachable)?;
            let status = answer.status();
            let mut bytes = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(unreachable)? {
                bytes.extend_from_slice(&part);
                if bytes.len() > self.limits.body_bytes {
                    bytes.truncate(self.limits.body_bytes);
                    if status.is_success() {
                        return Err(HttpError::TooLong(self.limits.body_bytes));
                    }
                    break;
                }
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if status.is_success() { Ok(text) } else { Err(HttpError::Refused { status, said: refusal(&text) }) }
        };
        tokio::time::timeout(self.limits.time, exchange).await.unwrap_or(Err(HttpError::TooSlow(self.limits.time)))
    }
}

/// The innermost cause, without the URL.
fn unreachable(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    HttpError::Unreachable(cause.to_string())
}

/// The words of a refusal: a JSON string, the `message` or `error` of a JSON object, or the text itself.
fn refusal(body: &str) -> String {
    let parsed: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let words = [Some(&parsed), parsed.get("message"), parsed.get("error")].into_iter().flatten().find_map(serde_json::Value::as_str);
    let words: String = words.unwrap_or(body).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shorten(words.trim(), MAX_REFUSAL_CHARS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
pub(crate) mod tests;
