//! What Alertmanager posts becomes tickets: `POST /alertmanager/<site>` with the bearer token of Secret `p861-alerts`.
//!
//! The answer is 200 only when everything is stored, so that Alertmanager's own retries carry a post over a restart, to the replica that leads, or over an
//! API server that is away. Doing a post twice does nothing twice.

use crate::metrics::Metrics;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::{
    ByteString,
    api::{authentication::v1::SelfSubjectReview, core::v1::Secret},
};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta, PostParams},
    core::DeserializeGuard,
};
use p861_core::maintenance::{
    alerts::{Alert, Intake, Place, Post, intake, parse, place},
    window::DEFAULT_ZONE,
};
use p861_crds::{District, DutyRoster, MaintenanceTicket, Site, maintenance::ticket::TicketAlert};
use p861_runs::status::apply_status_if_unchanged;
use p861_runs::{
    error::{Error, Result, Tried as _, is_conflict},
    leadership::Leadership,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A post may be this large; Alertmanager's largest are a tenth of it.
const LARGEST: usize = 4 << 20;
/// A post must have arrived within this time.
const ARRIVES: Duration = Duration::from_secs(10);
/// The Secret with the token, in the operator's namespace.
pub const SECRET: &str = "p861-alerts";
/// So long a token is believed before the Secret is read again.
const TOKEN_KEPT: Duration = Duration::from_secs(10);
/// A status that somebody else changes meanwhile is tried again so often.
const ATTEMPTS: usize = 8;

/// When each site's heartbeat was last heard. In memory only: nothing is written for a heart that beats.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    since: Arc<Mutex<Timestamp>>,
    last: Arc<Mutex<HashMap<(String, String), Timestamp>>>,
}

impl Heartbeats {
    /// From now on silence counts: who doesn't lead hears nothing.
    pub fn listen_from(&self, now: Timestamp) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// When an alert was last heard of a site; if never, since when this process listens.
    pub fn last(&self, site: &str, alert: &str) -> (Timestamp, bool) {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&(site.to_owned(), alert.to_owned())).map_or((since, false), |at| (*at, true))
    }

    fn hear(&self, site: &str, alert: &str, now: Timestamp) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert((site.to_owned(), alert.to_owned()), now);
    }
}

/// The token of Secret `p861-alerts`: what Alertmanager shows, and what links are sealed with.
#[derive(Clone)]
pub struct Keys {
    client: Client,
    namespace: String,
    leadership: Leadership,
    token: Arc<Mutex<Option<Token>>>,
}

/// The token, and when it was read.
struct Token {
    read: Instant,
    token: Vec<u8>,
}

/// What a post needs.
#[derive(Clone)]
pub struct Desk {
    /// The hub.
    pub client: Client,
    /// The operator's namespace.
    pub namespace: String,
    /// Only the leader writes.
    pub leadership: Leadership,
    /// Metrics.
    pub metrics: Metrics,
    /// Heartbeats.
    pub heartbeats: Heartbeats,
    /// The token.
    pub keys: Keys,
    /// Two posts at once would both open the same ticket, and one would fail.
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

impl Desk {
    /// A desk that has seen nothing yet.
    pub fn new(client: Client, namespace: &str, leadership: Leadership, metrics: Metrics) -> Self {
        let keys = Keys { client: client.clone(), namespace: namespace.to_owned(), leadership: leadership.clone(), token: Arc::default() };
        Self { client, namespace: namespace.to_owned(), leadership, metrics, heartbeats: Heartbeats::default(), keys, one_at_a_time: Arc::default() }
    }

    /// Its route.
    pub fn router(self) -> Router {
        Router::new().route("/alertmanager/{site}", post(receive)).with_state(self)
    }

    fn answer(&self, result: &str, code: StatusCode, text: impl Into<String>) -> (StatusCode, String) {
        self.metrics.alert_posts.with_label_values(&[result]).inc();
        let text = text.into();
        if code.is_success() {
            tracing::debug!(result, "alerts: {text}");
        } else {
            tracing::warn!(result, "alerts: {text}");
        }
        (code, format!("{text}\n"))
    }
}

impl Keys {
    /// The token, from the Secret; made at random if there is none.
    pub async fn token(&self) -> Result<Vec<u8>> {
        if let Some(Token { read, token }) = self.token.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            && read.elapsed() < TOKEN_KEPT
        {
            return Ok(token.clone());
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = match secrets.get_opt(SECRET).await.tried(|| format!("read Secret {SECRET}"))? {
            Some(secret) => secret,
            None => self.make_token(&secrets).await?,
        };
        let token = secret.data.unwrap_or_default().remove("token").map(|bytes| bytes.0).unwrap_or_default();
        let token = token.trim_ascii().to_vec();
        if token.len() < 16 {
            return Err(Error::invalid("TokenMissing", format!("Secret {}/{SECRET} has no key token of at least 16 characters", self.namespace)));
        }
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(Token { read: Instant::now(), token: token.clone() });
        Ok(token)
    }

    async fn make_token(&self, secrets: &Api<Secret>) -> Result<Secret> {
        self.leadership.ensure()?;
        let mut random = [0u8; 32];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut random))
            .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
        let data = BTreeMap::from([("token".to_owned(), ByteString(hex::encode(random).into_bytes()))]);
        let secret = Secret { metadata: ObjectMeta { name: Some(SECRET.into()), ..ObjectMeta::default() }, data: Some(data), ..Secret::default() };
        match secrets.create(&PostParams::default(), &secret).await {
            Err(error) if is_conflict(&error) => secrets.get(SECRET).await.tried(|| format!("read Secret {SECRET}")),
            result => result.tried(|| format!("make Secret {SECRET}")),
        }
    }
}

/// The name by which the API server knows the operator.
pub async fn own_name(client: &Client) -> Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.tried(|| "ask for the operator's own name".into())?;
    review
        .status
        .and_then(|status| status.user_info)
        .and_then(|user| user.username)
        .ok_or_else(|| Error::Internal("the API server does not say who the operator is".into()))
}

async fn receive(State(desk): State<Desk>, Path(site): Path<String>, headers: HeaderMap, body: Body) -> (StatusCode, String) {
    if !desk.leadership.holds() {
        return desk.answer("notLeader", StatusCode::SERVICE_UNAVAILABLE, "another replica leads: try again");
    }
    let token = match desk.keys.token().await {
        Ok(token) => token,
        Err(error) => return desk.answer("failed", StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer ")).unwrap_or_default();
    // Digests are compared, so that the time it takes tells nothing of the token.
    if Sha256::digest(given.trim_ascii()) != Sha256::digest(&token) {
        return desk.answer("unauthorized", StatusCode::UNAUTHORIZED, format!("give the token of Secret {SECRET} as bearer token"));
    }
    let bytes = match tokio::time::timeout(ARRIVES, to_bytes(body, LARGEST)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            return desk.answer("tooLarge", StatusCode::PAYLOAD_TOO_LARGE, format!("a post has at most {LARGEST} bytes: set max_alerts of the receiver"));
        }
        Err(_) => return desk.answer("tooSlow", StatusCode::REQUEST_TIMEOUT, "the post did not arrive in time"),
    };
    let post = match parse(&bytes) {
        Ok(post) => post,
        Err(refusal) => return desk.answer(refusal.word(), StatusCode::BAD_REQUEST, refusal.to_string()),
    };
    for alert in &post.alerts {
        tracing::debug!(site, group = post.group_key, alert = alert.name, alert.fingerprint, state = ?alert.state, start = %alert.start, "posted");
    }
    match take(&desk, &site, &post).await {
        Ok(Taken { unknown, .. }) if !unknown.is_empty() => desk.answer(
            "unknownDistrict",
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("there is no {}: kubectl get districts", unknown.into_iter().collect::<Vec<_>>().join(", ")),
        ),
        Ok(Taken { tickets, .. }) => desk.answer("accepted", StatusCode::OK, format!("{} alerts, tickets: {}", post.alerts.len(), tickets.join(", "))),
        Err(error) if error.reason() == "SiteMissing" => desk.answer("unknownSite", StatusCode::NOT_FOUND, error.to_string()),
        // Alertmanager tries again what failed with 5xx.
        Err(error) => desk.answer("failed", StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// What became of a post.
struct Taken {
    tickets: Vec<String>,
    unknown: BTreeSet<String>,
}

/// Stores a post. What belongs to a district that there isn't is left out and said; the rest is stored all the same.
async fn take(desk: &Desk, site: &str, post: &Post) -> Result<Taken> {
    let _turn = desk.one_at_a_time.lock().await;
    let sites: Api<Site> = Api::all(desk.client.clone());
    if sites.get_opt(site).await.tried(|| format!("read site {site}"))?.is_none() {
        return Err(Error::invalid("SiteMissing", format!("site {site} doesn't exist: the last part of the receiver's URL is the name of a Site")));
    }
    let districts: Api<DeserializeGuard<District>> = Api::all(desk.client.clone());
    let districts = districts.list(&ListParams::default()).await.tried(|| "list the districts".into())?.items;
    let districts: Vec<District> = districts.into_iter().filter_map(|guard| guard.0.ok()).collect();
    let hearts = heartbeat_names(desk).await?;
    let mut parts: BTreeMap<String, Vec<Alert>> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for alert in &post.alerts {
        if hearts.contains(&alert.name) {
            desk.heartbeats.hear(site, &alert.name, Timestamp::now());
            continue;
        }
        let namespaces = match place(alert, &districts) {
            Place::Districts(namespaces) => namespaces,
            Place::City => BTreeSet::from([desk.namespace.clone()]),
            Place::Unknown(what) => {
                unknown.insert(what);
                continue;
            }
            Place::None => continue,
        };
        for namespace in namespaces {
            parts.entry(namespace).or_default().push(alert.clone());
        }
    }
    let mut tickets = Vec::new();
    for (namespace, alerts) in parts {
        let zone = districts.iter().find(|district| district.hub_namespace() == namespace).map_or(DEFAULT_ZONE, |district| &district.spec.time_zone);
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        tickets.extend(store(desk, &namespace, site, &post.group_key, &alerts, &zone).await?);
    }
    Ok(Taken { tickets, unknown })
}

/// The alerts that always fire, by the rosters' word.
async fn heartbeat_names(desk: &Desk) -> Result<BTreeSet<String>> {
    let rosters: Api<DeserializeGuard<DutyRoster>> = Api::all(desk.client.clone());
    let rosters = rosters.list(&ListParams::default()).await.tried(|| "list the rosters".into())?;
    Ok(rosters.items.into_iter().filter_map(|guard| guard.0.ok()?.spec.heartbeat).map(|heartbeat| heartbeat.alert_name).collect())
}

/// Stores the alerts of a namespace. Returns the ticket that has them.
async fn store(desk: &Desk, namespace: &str, site: &str, group_key: &str, alerts: &[Alert], zone: &TimeZone) -> Result<Option<String>> {
    let api: Api<MaintenanceTicket> = Api::namespaced(desk.client.clone(), namespace);
    for _ in 0..ATTEMPTS {
        let guarded: Api<DeserializeGuard<MaintenanceTicket>> = Api::namespaced(desk.client.clone(), namespace);
        let list = guarded.list(&ListParams::default()).await.tried(|| format!("list the tickets of {namespace}"))?;
        let tickets: Vec<MaintenanceTicket> = list.items.into_iter().filter_map(|guard| guard.0.ok()).collect();
        let (ticket, alerts) = match intake(site, group_key, alerts, &tickets, zone) {
            Intake::Known => return Ok(None),
            Intake::Open { name, mut spec, alerts } => {
                desk.leadership.ensure()?;
                // Where the cluster doesn't fill it in, admission wants to read it.
                spec.requested_by = Some(own_name(&desk.client).await?);
                match api.create(&PostParams::default(), &MaintenanceTicket::new(&name, *spec)).await {
                    Ok(ticket) => (ticket, alerts),
                    Err(error) if is_conflict(&error) => continue,
                    Err(error) => return Err(error).tried(|| format!("open ticket {namespace}/{name}")),
                }
            }
            Intake::Join { name, alerts } => match tickets.into_iter().find(|ticket| ticket.metadata.name.as_ref() == Some(&name)) {
                Some(ticket) => (ticket, alerts),
                None => continue,
            },
        };
        if write_alerts(desk, &ticket, alerts).await? {
            return Ok(ticket.metadata.name);
        }
    }
    Err(Error::transient("Conflict", format!("the tickets of {namespace} are being changed by somebody else: try again")))
}

async fn write_alerts(desk: &Desk, ticket: &MaintenanceTicket, alerts: Vec<TicketAlert>) -> Result<bool> {
    let mut status = ticket.status.clone().unwrap_or_default();
    status.alerts = alerts;
    apply_status_if_unchanged(&desk.client, &desk.leadership, ticket, ticket.status.as_ref(), &status).await
}
