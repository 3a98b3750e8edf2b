//! A site's Alertmanager, as far as silences go (its API v2).

use crate::{
    error::{Error, Result, Tried as _},
    leadership::Leadership,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Config};
use p861_crds::{Site, platform::site::Endpoint};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// It answers within this time, or is not there.
const LIMIT: Duration = Duration::from_secs(10);
/// Who makes our silences, in the Alertmanager's own page.
const CREATED_BY: &str = "p861";

/// A site's Alertmanager.
pub struct Alertmanager {
    server: Client,
    leadership: Leadership,
    site: String,
    /// Path that stands before `/api`.
    path: String,
    token: Option<String>,
}

/// A silence as it stands there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Its id.
    pub id: String,
    /// When it began.
    pub starts_at: Timestamp,
    comment: String,
    created_by: String,
    status: Status,
    matchers: Vec<Matcher>,
}

/// What it says of itself.
#[derive(Deserialize)]
struct Running {
    /// The moment when it began, in spite of the name.
    uptime: Timestamp,
}

/// An alert that it has.
#[derive(Deserialize)]
struct Known {
    fingerprint: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Status {
    state: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Matcher {
    name: String,
    value: String,
}

impl Standing {
    /// The labels of the alerts that it is for.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.matchers.iter().map(|matcher| (matcher.name.clone(), matcher.value.clone())).collect()
    }

    /// Whether it is for alerts with exactly these labels.
    pub fn is_for(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels() == *labels
    }
}

impl Alertmanager {
    /// The one of a site; none if the Site names none. Its credentials are read in the operator's `namespace`: `token`, and `ca.crt` for https.
    pub async fn of(hub: &Client, leadership: &Leadership, namespace: &str, site: &Site) -> Result<Option<Self>> {
        let Some(endpoint) = site.spec.monitoring.as_ref().and_then(|monitoring| monitoring.alertmanager.as_ref()) else { return Ok(None) };
        let name = site.metadata.name.clone().unwrap_or_default();
        let keys = credentials(hub, namespace, endpoint).await?;
        let unusable = || Error::invalid("EndpointInvalid", format!("site {name}: spec.monitoring.alertmanager.url can't be used: write http://host:9093"));
        let url: http::Uri = endpoint.url.parse().map_err(|_| unusable())?;
        let path = url.path().trim_end_matches('/').to_owned();
        let mut parts = url.into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        let mut config = Config::new(http::Uri::from_parts(parts).map_err(|_| unusable())?);
        (config.connect_timeout, config.read_timeout) = (Some(LIMIT), Some(LIMIT));
        if let Some(pem) = keys.get("ca.crt") {
            config.root_cert = Some(crate::tls::certificates(pem).ok_or_else(unusable)?);
        }
        let server = Client::try_from(config).map_err(|_| unusable())?;
        Ok(Some(Self { server, leadership: leadership.clone(), site: name, path, token: keys.get("token").cloned() }))
    }

    /// Since when it runs.
    pub async fn started(&self) -> Result<Timestamp> {
        let text = self.ask(http::Request::get(format!("{}/api/v2/status", self.path)), Vec::new(), "read the status").await?;
        let status: Running = serde_json::from_str(&text).map_err(|error| self.unreadable("status", &error))?;
        Ok(status.uptime)
    }

    /// The fingerprints of the alerts that it has, whether they are silenced or not.
    pub async fn alerts(&self) -> Result<BTreeSet<String>> {
        let text = self.ask(http::Request::get(format!("{}/api/v2/alerts", self.path)), Vec::new(), "list the alerts").await?;
        let all: Vec<Known> = serde_json::from_str(&text).map_err(|error| self.unreadable("list of alerts", &error))?;
        Ok(all.into_iter().map(|alert| alert.fingerprint).collect())
    }

    fn unreadable(&self, what: &str, error: &serde_json::Error) -> Error {
        Error::transient("AlertmanagerUnreadable", format!("the Alertmanager of site {} answered what is no {what}: {error}", self.site))
    }

    /// Silences of `owner` that stand.
    pub async fn silences(&self, owner: &str) -> Result<Vec<Standing>> {
        let text = self.ask(http::Request::get(format!("{}/api/v2/silences", self.path)), Vec::new(), "list the silences").await?;
        let all: Vec<Standing> = serde_json::from_str(&text).map_err(|error| self.unreadable("list of silences", &error))?;
        Ok(all
            .into_iter()
            .filter(|silence| silence.created_by == CREATED_BY && silence.comment == comment(owner) && silence.status.state != "expired")
            .collect())
    }

    /// Silences alerts with these labels from `start` until `end`. Returns its id.
    pub async fn silence(&self, owner: &str, labels: &BTreeMap<String, String>, start: Timestamp, end: Timestamp) -> Result<String> {
        self.put(owner, labels, None, start, end).await
    }

    /// Lets a silence stand until `end`. It keeps its id as long as it keeps its beginning.
    pub async fn extend(&self, owner: &str, standing: &Standing, end: Timestamp) -> Result<String> {
        self.put(owner, &standing.labels(), Some(&standing.id), standing.starts_at, end).await
    }

    async fn put(&self, owner: &str, labels: &BTreeMap<String, String>, id: Option<&str>, start: Timestamp, end: Timestamp) -> Result<String> {
        let matchers: Vec<_> = labels.iter().map(|(name, value)| json!({"name": name, "value": value, "isRegex": false, "isEqual": true})).collect();
        let mut body = json!({"matchers": matchers, "startsAt": start, "endsAt": end, "createdBy": CREATED_BY, "comment": comment(owner)});
        if let Some(id) = id {
            body["id"] = json!(id);
        }
        self.leadership.ensure()?;
        let text = self.ask(http::Request::post(format!("{}/api/v2/silences", self.path)), body.to_string().into_bytes(), "silence").await?;
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let made = answer.get("silenceID").and_then(serde_json::Value::as_str).map(str::to_owned);
        made.ok_or_else(|| Error::transient("AlertmanagerUnreadable", format!("the Alertmanager of site {} gave the silence no id", self.site)))
    }

    /// Ends a silence. One that is gone needs no more.
    pub async fn end(&self, id: &str) -> Result<()> {
        self.leadership.ensure()?;
        match self.ask(http::Request::delete(format!("{}/api/v2/silence/{id}", self.path)), Vec::new(), "end a silence").await {
            Err(Error::Kube { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404) => Ok(()),
            result => result.map(drop),
        }
    }

    async fn ask(&self, request: http::request::Builder, body: Vec<u8>, what: &str) -> Result<String> {
        let mut request = request.header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(body).map_err(|_| Error::Internal(format!("a request to the Alertmanager of site {} can't be made", self.site)))?;
        let late = || Error::transient("Unreachable", format!("the Alertmanager of site {} does not answer within {} s", self.site, LIMIT.as_secs()));
        let answer = tokio::time::timeout(LIMIT, self.server.request_text(request)).await.map_err(|_| late())?;
        answer.tried(|| format!("{what} in the Alertmanager of site {}", self.site))
    }
}

/// What marks our silences: people see whose they are.
fn comment(owner: &str) -> String {
    format!("ticket {owner}")
}

async fn credentials(hub: &Client, namespace: &str, endpoint: &Endpoint) -> Result<BTreeMap<String, String>> {
    let Some(secret) = &endpoint.credentials_secret_ref else { return Ok(BTreeMap::new()) };
    let name = &secret.name;
    let found = Api::<Secret>::namespaced(hub.clone(), namespace).get_opt(name).await.tried(|| format!("read Secret {namespace}/{name}"))?;
    let found =
        found.ok_or_else(|| Error::invalid("SecretMissing", format!("Secret {namespace}/{name} doesn't exist: put token, and ca.crt if need be, in it")))?;
    Ok(found.data.unwrap_or_default().into_iter().filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.trim().to_owned()))).collect())
}
