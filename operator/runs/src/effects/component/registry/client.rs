//! Reading from a registry (the distribution specification), over https only.
//!
//! A registry is chosen by a district, and names servers itself: for tokens, and by redirects for the content of layers. Each of these requests goes through
//! [`HttpClient`], which bounds the answer and checks the address. The account and the token go to the registry, the account to its token server, and neither to
//! anybody else.

use crate::http_client::{Answer, HttpClient, HttpError, Limits};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, LOCATION, WWW_AUTHENTICATE},
};
use p861_core::platform::bundle::registry::{Challenge, ImageName};
use reqwest::Url;
use serde::Deserialize;
use std::time::Duration;

/// Manifests that a registry may send, indexes included, so that one of these is named as such.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// Redirects that are followed for one blob.
const MAX_REDIRECTS: usize = 3;
/// The answer of a token server; a token of a large cloud has a quarter of it.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// Who reads.
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: String,
}

impl Account {
    /// Its header. Marked, so that no log shows it.
    fn header(&self) -> Option<HeaderValue> {
        let mut header = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.user, self.password)))).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// Why a registry gives nothing.
#[derive(Debug)]
pub(super) enum PullError {
    /// It doesn't let the account in.
    Denied,
    /// It has no such image.
    Missing,
    /// It redirects in a way that is not followed.
    Redirect(&'static str),
    /// An answer that makes no sense.
    Unreadable(&'static str),
    /// Any other status.
    Answers(StatusCode),
    /// No whole answer.
    Http(HttpError),
}

impl From<HttpError> for PullError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// One image in a registry.
pub(super) struct Registry {
    client: HttpClient,
    image: ImageName,
    account: Option<Account>,
    /// What the registry has asked for.
    authorization: Option<HeaderValue>,
}

impl Registry {
    /// `ca` holds authorities besides the machine's; `time` limits each request.
    ///
    /// # Errors
    /// The fault of `ca`, as a phrase that follows its name in a message.
    pub(super) fn new(image: ImageName, account: Option<Account>, ca: Option<&str>, time: Duration) -> Result<Self, String> {
        let client = HttpClient::trusting_also(ca, Limits { time, body_bytes: MAX_TOKEN_BYTES })?;
        Ok(Self { client, image, account, authorization: None })
    }

    /// The manifest of this digest. Whether it has the digest is for the caller to check.
    pub(super) async fn manifest(&mut self, digest: &str, most_bytes: usize) -> Result<Vec<u8>, PullError> {
        self.get(&format!("manifests/{digest}"), MANIFESTS, most_bytes).await
    }

    /// The blob of this digest. Whether it has the digest is for the caller to check.
    pub(super) async fn blob(&mut self, digest: &str, most_bytes: usize) -> Result<Vec<u8>, PullError> {
        self.get(&format!("blobs/{digest}"), "application/octet-stream, */*", most_bytes).await
    }

    fn url(&self, path: &str) -> Result<Url, PullError> {
        let text = format!("https://{}/v2/{}/{path}", self.image.server(), self.image.repository);
        text.parse().map_err(|_| PullError::Unreadable("has no address"))
    }

    async fn get(&mut self, path: &str, accept: &'static str, most_bytes: usize) -> Result<Vec<u8>, PullError> {
        let own = self.url(path)?;
        let (mut url, mut asked_who, mut redirects) = (own.clone(), false, 0);
        loop {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            let is_own = url.origin() == own.origin();
            if let Some(authorization) = self.authorization.as_ref().filter(|_| is_own) {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let answer = self.client.exchange(Method::GET, url.clone(), headers, Vec::new(), most_bytes).await?;
            match answer.status {
                status if status.is_success() => return Ok(answer.body),
                StatusCode::UNAUTHORIZED if is_own && !asked_who => {
                    asked_who = true;
                    self.authorization = Some(self.authorize(&answer).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(PullError::Denied),
                StatusCode::NOT_FOUND => return Err(PullError::Missing),
                status if status.is_redirection() => {
                    redirects += 1;
                    if redirects > MAX_REDIRECTS {
                        return Err(PullError::Redirect("again and again"));
                    }
                    url = target(&url, &answer)?;
                }
                status => return Err(PullError::Answers(status)),
            }
        }
    }

    /// Answers the registry's question who asks.
    async fn authorize(&self, answer: &Answer) -> Result<HeaderValue, PullError> {
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|header| Challenge::parse(header.to_str().ok()?));
        let basic = self.account.as_ref().and_then(Account::header);
        for challenge in challenges {
            match (challenge, &basic) {
                (Challenge::Basic, Some(basic)) => return Ok(basic.clone()),
                (Challenge::Basic, None) => {}
                (Challenge::Bearer { realm, service }, basic) => return self.token(&realm, service.as_deref(), basic.as_ref()).await,
            }
        }
        Err(PullError::Denied)
    }

    /// Gets a token from the server that the registry names.
    async fn token(&self, realm: &str, service: Option<&str>, basic: Option<&HeaderValue>) -> Result<HeaderValue, PullError> {
        let mut url =
            Url::parse(realm).ok().filter(|url| url.scheme() == "https" && url.has_host()).ok_or(PullError::Unreadable("names no token server with https"))?;
        let scope = format!("repository:{}:pull", self.image.repository);
        url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).append_pair("scope", &scope);
        let headers = basic.map(|basic| (AUTHORIZATION, basic.clone())).into_iter().collect();
        let answer = self.client.exchange(Method::GET, url, headers, Vec::new(), MAX_TOKEN_BYTES).await?;
        match answer.status {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(PullError::Denied),
            status if status.is_redirection() => return Err(PullError::Redirect("who asks for a token, which is not followed")),
            status => return Err(PullError::Answers(status)),
        }
        let read: Token = serde_json::from_slice(&answer.body).map_err(|_| PullError::Unreadable("holds no token"))?;
        let token = read.token.or(read.access_token).filter(|token| !token.is_empty()).ok_or(PullError::Unreadable("holds no token"))?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| PullError::Unreadable("holds a token that no header can have"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Where a redirect leads.
fn target(from: &Url, answer: &Answer) -> Result<Url, PullError> {
    let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok()).ok_or(PullError::Redirect("nowhere"))?;
    let url = from.join(location).map_err(|_| PullError::Redirect("nowhere"))?;
    if url.scheme() == "https" { Ok(url) } else { Err(PullError::Redirect("to an address without https")) }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
