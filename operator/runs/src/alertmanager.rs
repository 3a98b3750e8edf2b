//! A site's Alertmanager, as far as silences and the alerts of a group go (its API v2).

use crate::{
    error::{Category, Error, Result},
    http_client::{HttpClient, HttpError, Limits},
    leadership::Leadership,
    secrets::{SecretTexts, SecretsOf},
};
use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use jiff::Timestamp;
use kube::Client;
use p861_core::{ids::SiteName, maintenance::alerts::ListedGroup};
use p861_crds::{Reason, Site};
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Limits of a request. A list of ten thousand alerts has about 10 MiB.
const LIMITS: Limits = Limits { time: Duration::from_secs(10), body_bytes: 32 << 20 };
/// The author of our silences, as Alertmanager's own page shows it.
const CREATED_BY: &str = "p861";

/// A site's Alertmanager.
pub struct Alertmanager {
    client: HttpClient,
    leadership: Leadership,
    site: SiteName,
    /// Ends with a slash.
    base: Url,
    headers: HeaderMap,
}

/// A silence that Alertmanager has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveSilence {
    /// Its id.
    pub id: String,
    /// When it began.
    pub starts_at: Timestamp,
    comment: String,
    created_by: String,
    status: SilenceStatus,
    matchers: Vec<Matcher>,
}

#[derive(Deserialize)]
struct ServerStatus {
    /// Start time, despite its name in the API.
    uptime: Timestamp,
}

#[derive(Deserialize)]
struct HeldAlert {
    fingerprint: String,
}

#[derive(Deserialize)]
struct MadeSilence {
    #[serde(rename = "silenceID")]
    id: String,
}

#[derive(Clone, Debug, Deserialize)]
struct SilenceStatus {
    state: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Matcher {
    name: String,
    value: String,
}

impl ActiveSilence {
    /// Labels of the alerts that it matches.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.matchers.iter().map(|matcher| (matcher.name.clone(), matcher.value.clone())).collect()
    }

    /// Whether it matches alerts with exactly these labels.
    pub fn is_for(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels() == *labels
    }
}

impl Alertmanager {
    /// The Alertmanager of a site; None if the Site has none. Its credentials are read in the operator's `namespace`: `token`, and `ca.crt` for https.
    ///
    /// # Errors
    /// If the Secret is missing or the URL is unusable.
    pub async fn of(hub: &Client, leadership: &Leadership, namespace: &str, site: &Site) -> Result<Option<Self>> {
        let Some(endpoint) = site.spec.monitoring.as_ref().and_then(|monitoring| monitoring.alertmanager.as_ref()) else { return Ok(None) };
        let name = SiteName::from(site.metadata.name.as_deref().unwrap_or_default());
        let keys = match &endpoint.credentials_secret_ref {
            Some(secret) => SecretsOf::operator(hub, namespace).required(&secret.name, "token, and ca.crt if need be").await?,
            None => SecretTexts::default(),
        };
        Self::new(&name, &endpoint.url, keys.as_map(), LIMITS, leadership.clone()).map(Some)
    }

    /// `keys` may have `token` and `ca.crt`.
    fn new(site: &SiteName, url: &str, keys: &BTreeMap<String, String>, limits: Limits, leadership: Leadership) -> Result<Self> {
        let invalid = |what: &str| Error::invalid(Reason::EndpointInvalid, format!("site {site}: spec.monitoring.alertmanager {what}"));
        let base = Url::parse(&format!("{}/", url.trim_end_matches('/'))).ok().filter(|base| matches!(base.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| invalid("has a url that can't be used: write http://host:9093"))?;
        let client = HttpClient::new(keys.get("ca.crt").map(String::as_str), limits);
        let client = client.map_err(|what| invalid(&format!("has a Secret whose ca.crt {what}")))?;
        let mut headers = HeaderMap::new();
        if let Some(token) = keys.get("token") {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
            let mut bearer = bearer.map_err(|_| invalid("has a Secret whose token holds characters that no header may have"))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Self { client, leadership, site: site.clone(), base, headers })
    }

    /// When it was started.
    ///
    /// # Errors
    /// If Alertmanager can't be reached or refuses.
    pub async fn started(&self) -> Result<Timestamp> {
        let status: ServerStatus = self.read("status", "read the status").await?;
        Ok(status.uptime)
    }

    /// Fingerprints of its alerts, silenced or not.
    ///
    /// # Errors
    /// If Alertmanager can't be reached or refuses.
    pub async fn alerts(&self) -> Result<BTreeSet<String>> {
        let alerts: Vec<HeldAlert> = self.read("alerts", "list the alerts").await?;
        Ok(alerts.into_iter().map(|alert| alert.fingerprint).collect())
    }

    /// Its groups with all their firing alerts, except those that it does not post because they are silenced or inhibited.
    ///
    /// # Errors
    /// If Alertmanager can't be reached or refuses.
    pub async fn groups(&self) -> Result<Vec<ListedGroup>> {
        self.read("alerts/groups?silenced=false&inhibited=false&muted=false", "list the groups of alerts").await
    }

    /// Silences of `owner` that have not expired.
    ///
    /// # Errors
    /// If Alertmanager can't be reached or refuses.
    pub async fn silences(&self, owner: &str) -> Result<Vec<ActiveSilence>> {
        let silences: Vec<ActiveSilence> = self.read("silences", "list the silences").await?;
        let ours = |silence: &ActiveSilence| silence.created_by == CREATED_BY && silence.comment == comment(owner) && silence.status.state != "expired";
        Ok(silences.into_iter().filter(ours).collect())
    }

    /// Silences alerts with these labels from `start` until `end`. Returns its id.
    ///
    /// # Errors
    /// If Alertmanager can't be reached or refuses.
    pub async fn silence(&self, owner: &str, labels: &BTreeMap<String, String>, start: Timestamp, end: Timestamp) -> Result<String> {
        self.put(owner, labels, None, start, end).await
    }

    /// Extends a silence until `end`. Alertmanager keeps its id only if its start is unchanged.
    ///
    /// # Errors
    /// If Alertmanager can't be reached or refuses.
    pub async fn extend(&self, owner: &str, silence: &ActiveSilence, end: Timestamp) -> Result<String> {
        self.put(owner, &silence.labels(), Some(&silence.id), silence.starts_at, end).await
    }

    async fn put(&self, owner: &str, labels: &BTreeMap<String, String>, id: Option<&str>, start: Timestamp, end: Timestamp) -> Result<String> {
        let matchers: Vec<_> = labels.iter().map(|(name, value)| json!({"name": name, "value": value, "isRegex": false, "isEqual": true})).collect();
        let mut body = json!({"matchers": matchers, "startsAt": start, "endsAt": end, "createdBy": CREATED_BY, "comment": comment(owner)});
        if let Some(id) = id {
            body["id"] = json!(id);
        }
        self.leadership.ensure()?;
        let what = "silence alerts";
        let text = self.ask(Method::POST, "silences", body.to_string().into_bytes()).await.map_err(|error| self.failed(what, &error))?;
        let made: MadeSilence = self.parse(what, &text)?;
        Ok(made.id)
    }

    /// Ends a silence. A missing one is not an error.
    ///
    /// # Errors
    /// If Alertmanager can't be reached or refuses.
    pub async fn end(&self, id: &str) -> Result<()> {
        self.leadership.ensure()?;
        match self.ask(Method::DELETE, &format!("silence/{id}"), Vec::new()).await {
            Err(HttpError::Refused { status, .. }) if status.as_u16() == 404 => Ok(()),
            result => result.map(drop).map_err(|error| self.failed("end a silence", &error)),
        }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<T> {
        let text = self.ask(Method::GET, path, Vec::new()).await.map_err(|error| self.failed(what, &error))?;
        self.parse(what, &text)
    }

    fn parse<T: DeserializeOwned>(&self, what: &str, text: &str) -> Result<T> {
        let unreadable = |error| Error::transient(Reason::AlertmanagerUnreadable, format!("{what}: the answer of {} can't be read: {error}", self.name()));
        serde_json::from_str(text).map_err(unreadable)
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> std::result::Result<String, HttpError> {
        let url = self.base.join(&format!("api/v2/{path}")).map_err(|error| HttpError::Unreachable(error.to_string()))?;
        self.client.send(method, url, self.headers.clone(), body).await
    }

    fn name(&self) -> String {
        format!("the Alertmanager of site {}", self.site)
    }

    /// Converts an error: 401 and 403 blame the credentials, other 4xx the request; all others are transient.
    fn failed(&self, what: &str, error: &HttpError) -> Error {
        let (reason, category, hint) = match error {
            HttpError::Unreachable(_) | HttpError::TooSlow(_) => (Reason::Unreachable, Category::Transient, ""),
            HttpError::NotAllowed(_) => (Reason::EgressRefused, Category::Invalid, ""),
            HttpError::TooLong(_) => (Reason::AlertmanagerUnreadable, Category::Transient, ""),
            HttpError::Refused { status, .. } => match status.as_u16() {
                401 | 403 => (Reason::CredentialsRefused, Category::Refused, ": check the token in the Secret of spec.monitoring.alertmanager"),
                408 | 429 => (Reason::AlertmanagerRefused, Category::Transient, ""),
                300..=399 => (Reason::EndpointInvalid, Category::Invalid, ""),
                400..=499 => (Reason::AlertmanagerRefused, Category::Refused, ""),
                _ => (Reason::AlertmanagerRefused, Category::Transient, ""),
            },
        };
        Error::Stated { reason, message: format!("{what}: {} {error}{hint}", self.name()), category }
    }
}

/// Marks our silences, so that people see which ticket made them.
fn comment(owner: &str) -> String {
    format!("ticket {owner}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod tests;
