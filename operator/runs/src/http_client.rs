//! HTTP to servers that are neither Kubernetes nor ours: webhooks, Alertmanagers and registries. This is the only way by which the operator speaks it.
//!
//! - An answer is bounded in bytes, headers and time, whatever the server does. It is not unpacked, so that it can't grow.
//! - Redirects are not followed. Who must follow one makes another request, to which all of this applies again.
//! - Every address is checked against the installation's rules (p861-egress) when the connection is made. Proxies are not used: they would resolve the names.
//! - No error holds the URL: the URL of a webhook is a secret.

use crate::tls;
use http::{HeaderMap, Method, StatusCode};
use p861_core::conditions::shorten;
use p861_egress::{ConnectError, Egress};
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{fmt, time::Duration};

/// Characters of a refusal that are kept for the message.
const MAX_REFUSAL_CHARS: usize = 256;
/// Headers of an answer. Their bytes are bounded by the client's own buffer of about 400 KiB.
const MAX_HEADERS: usize = 100;

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
    egress: Egress,
    limits: Limits,
}

/// An answer that came in time, of any status, with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer that came in time: 2xx.
pub type Body = String;

/// Why there is no good answer.
#[derive(Debug, PartialEq, Eq)]
pub enum HttpError {
    /// No connection, or it broke.
    Unreachable(String),
    /// The installation doesn't let the operator connect there.
    NotAllowed(p861_egress::Refused),
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
            Self::NotAllowed(refused) => write!(f, "is not asked: {refused}"),
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
        Self::build(tls::client_config(ca)?, Egress::of_process(), limits)
    }

    /// A client that trusts the authorities in `ca` (PEM) besides those of the machine.
    ///
    /// # Errors
    /// The fault of `ca`, as a phrase that follows its name in a message.
    pub fn trusting_also(ca: Option<&str>, limits: Limits) -> Result<Self, String> {
        Self::build(tls::client_config_with(ca)?, Egress::of_process(), limits)
    }

    fn build(tls: rustls::ClientConfig, egress: Egress, limits: Limits) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Resolver(egress.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            // Other crates could turn on what unpacks: a small answer would then fill the memory.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, egress, limits })
    }

    /// Sends a request and reads the answer, whatever its status. A body of more than `most_bytes` is an error; that of a refusal is cut there.
    ///
    /// # Errors
    /// [`HttpError`], but no [`HttpError::Refused`].
    pub async fn exchange(&self, method: Method, url: Url, headers: HeaderMap, body: Vec<u8>, most_bytes: usize) -> Result<Answer, HttpError> {
        // The resolver sees names only.
        self.egress.check_literal(url.host_str().unwrap_or_default()).map_err(HttpError::NotAllowed)?;
        let request = self.client.request(method, url).headers(headers).body(body);
        let exchange = async {
            let mut answer = request.send().await.map_err(unreachable)?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut body = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(unreachable)? {
                let room = most_bytes - body.len();
                if part.len() <= room {
                    body.extend_from_slice(&part);
                } else if status.is_success() {
                    return Err(HttpError::TooLong(most_bytes));
                } else {
                    body.extend_from_slice(&part[..room]);
                    break;
                }
            }
            Ok(Answer { status, headers, body })
        };
        tokio::time::timeout(self.limits.time, exchange).await.unwrap_or(Err(HttpError::TooSlow(self.limits.time)))
    }

    /// Sends JSON, or nothing if `body` is empty, and returns the body of a 2xx answer.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn send(&self, method: Method, url: Url, mut headers: HeaderMap, body: Vec<u8>) -> Result<Body, HttpError> {
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let Answer { status, body, .. } = self.exchange(method, url, headers, body, self.limits.body_bytes).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() { Ok(text) } else { Err(HttpError::Refused { status, said: refusal(&text) }) }
    }
}

/// Gives the open addresses of a name.
struct Resolver(Egress);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0.clone();
        Box::pin(async move {
            match egress.resolve(name.as_str(), 0).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(ConnectError::Refused(refused)) => Err(refused.into()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// The innermost cause, without the URL.
fn unreachable(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    if let Some(refused) = p861_egress::cause(&error) {
        return HttpError::NotAllowed(*refused);
    }
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
impl HttpClient {
    /// A client by other rules than this process's.
    pub(crate) fn by(egress: Egress, ca: Option<&str>, limits: Limits) -> Self {
        Self::build(tls::client_config(ca).unwrap_or_else(|what| panic!("ca {what}")), egress, limits).unwrap_or_else(|what| panic!("{what}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
pub(crate) mod hostile;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
pub(crate) mod tests;
