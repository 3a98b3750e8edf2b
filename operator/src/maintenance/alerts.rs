//! Turns posts of Alertmanager into tickets: `POST /alertmanager/<site>` with the bearer token of Secret `p861-alerts`.
//!
//! The answer is 200 only when everything is stored. Otherwise Alertmanager retries, which bridges a restart, a change of leader and an unreachable API server.
//! Posts are idempotent.

use super::links::{Keys, TOKEN_SECRET, own_name};
use crate::metrics::Metrics;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use jiff::{Timestamp, tz::TimeZone};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    core::DeserializeGuard,
};
use p861_core::maintenance::{
    alerts::{Alert, Intake, Place, Post, intake, parse, place},
    window::DEFAULT_ZONE,
};
use p861_crds::{District, DutyRoster, MaintenanceTicket, Reason, Site, maintenance::ticket::TicketAlert};
use p861_runs::status::apply_status_if_unchanged;
use p861_runs::{
    error::{Error, ErrorContext as _, Result, is_conflict},
    leadership::Leadership,
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// Largest post; Alertmanager's largest are a tenth of it.
const MAX_POST_BYTES: usize = 4 << 20;
/// Time limit for receiving a post.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts of a write that conflicts with another writer's.
const MAX_WRITE_ATTEMPTS: usize = 8;

/// When each site's heartbeat was last heard. Kept in memory: a heartbeat per minute is not worth an API write.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    since: Arc<Mutex<Timestamp>>,
    last: Arc<Mutex<HashMap<(String, String), Timestamp>>>,
}

impl Heartbeats {
    /// Call when this process becomes the leader: only the leader gets posts, so missing heartbeats count from then on.
    pub fn listen_from(&self, now: Timestamp) {
        *self.since.lock() = now;
    }

    /// Time of the last post of a site's alert, and true; if there was none, the time since which this process listens, and false.
    pub fn last(&self, site: &str, alert: &str) -> (Timestamp, bool) {
        let since = *self.since.lock();
        let last = self.last.lock();
        last.get(&(site.to_owned(), alert.to_owned())).map_or((since, false), |at| (*at, true))
    }

    fn hear(&self, site: &str, alert: &str, now: Timestamp) {
        self.last.lock().insert((site.to_owned(), alert.to_owned()), now);
    }
}

/// Takes Alertmanager's posts.
#[derive(Clone)]
pub struct AlertReceiver {
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
    /// Serialises posts: two concurrent ones would both open the same ticket, and one would fail.
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

impl AlertReceiver {
    /// A receiver that has heard no heartbeat yet.
    pub fn new(client: Client, namespace: &str, leadership: Leadership, metrics: Metrics) -> Self {
        let keys = Keys::new(client.clone(), namespace, leadership.clone());
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

async fn receive(State(receiver): State<AlertReceiver>, Path(site): Path<String>, headers: HeaderMap, body: Body) -> (StatusCode, String) {
    if !receiver.leadership.holds() {
        return receiver.answer("notLeader", StatusCode::SERVICE_UNAVAILABLE, "another replica leads: try again");
    }
    let token = match receiver.keys.token().await {
        Ok(token) => token,
        Err(error) => return receiver.answer("failed", StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer ")).unwrap_or_default();
    // Comparing digests makes the comparison's time independent of the token.
    if Sha256::digest(given.trim_ascii()) != Sha256::digest(&token) {
        return receiver.answer("unauthorized", StatusCode::UNAUTHORIZED, format!("give the token of Secret {TOKEN_SECRET} as bearer token"));
    }
    let bytes = match tokio::time::timeout(READ_TIMEOUT, to_bytes(body, MAX_POST_BYTES)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            return receiver.answer(
                "tooLarge",
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a post has at most {MAX_POST_BYTES} bytes: set max_alerts of the receiver"),
            );
        }
        Err(_) => return receiver.answer("tooSlow", StatusCode::REQUEST_TIMEOUT, "the post did not arrive in time"),
    };
    let post = match parse(&bytes) {
        Ok(post) => post,
        Err(refusal) => return receiver.answer(refusal.word(), StatusCode::BAD_REQUEST, refusal.to_string()),
    };
    for alert in &post.alerts {
        tracing::debug!(site, group = post.group_key, alert = alert.name, alert.fingerprint, state = ?alert.state, start = %alert.start, "posted");
    }
    match store_post(&receiver, &site, &post).await {
        Ok(StoredPost { unknown, .. }) if !unknown.is_empty() => receiver.answer(
            "unknownDistrict",
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("there is no {}: kubectl get districts", unknown.into_iter().collect::<Vec<_>>().join(", ")),
        ),
        Ok(StoredPost { tickets, .. }) => receiver.answer("accepted", StatusCode::OK, format!("{} alerts, tickets: {}", post.alerts.len(), tickets.join(", "))),
        Err(error) if error.reason() == Reason::SiteMissing => receiver.answer("unknownSite", StatusCode::NOT_FOUND, error.to_string()),
        // Alertmanager retries after 5xx.
        Err(error) => receiver.answer("failed", StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// What was stored of a post.
struct StoredPost {
    tickets: Vec<String>,
    unknown: BTreeSet<String>,
}

/// Stores a post. Alerts of a missing district are skipped and reported; the others are stored.
async fn store_post(receiver: &AlertReceiver, site: &str, post: &Post) -> Result<StoredPost> {
    let _turn = receiver.one_at_a_time.lock().await;
    let sites: Api<Site> = Api::all(receiver.client.clone());
    if sites.get_opt(site).await.context(|| format!("read site {site}"))?.is_none() {
        return Err(Error::invalid(Reason::SiteMissing, format!("site {site} doesn't exist: the last part of the receiver's URL is the name of a Site")));
    }
    let districts: Api<DeserializeGuard<District>> = Api::all(receiver.client.clone());
    let districts = districts.list(&ListParams::default()).await.context(|| "list the districts".into())?.items;
    let districts: Vec<District> = districts.into_iter().filter_map(|guard| guard.0.ok()).collect();
    let heartbeats = heartbeat_names(receiver).await?;
    let mut parts: BTreeMap<String, Vec<Alert>> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for alert in &post.alerts {
        if heartbeats.contains(&alert.name) {
            receiver.heartbeats.hear(site, &alert.name, Timestamp::now());
            continue;
        }
        let namespaces = match place(alert, &districts) {
            Place::Districts(namespaces) => namespaces,
            Place::City => BTreeSet::from([receiver.namespace.clone()]),
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
        tickets.extend(store_alerts(receiver, &namespace, site, &post.group_key, &alerts, &zone).await?);
    }
    Ok(StoredPost { tickets, unknown })
}

/// The names of the heartbeat alerts of all rosters: they always fire, and open no ticket.
async fn heartbeat_names(receiver: &AlertReceiver) -> Result<BTreeSet<String>> {
    let rosters: Api<DeserializeGuard<DutyRoster>> = Api::all(receiver.client.clone());
    let rosters = rosters.list(&ListParams::default()).await.context(|| "list the rosters".into())?;
    Ok(rosters.items.into_iter().filter_map(|guard| guard.0.ok()?.spec.heartbeat).map(|heartbeat| heartbeat.alert_name).collect())
}

/// Stores the alerts of a namespace. Returns their ticket; None if it had them already.
async fn store_alerts(receiver: &AlertReceiver, namespace: &str, site: &str, group_key: &str, alerts: &[Alert], zone: &TimeZone) -> Result<Option<String>> {
    let api: Api<MaintenanceTicket> = Api::namespaced(receiver.client.clone(), namespace);
    for _ in 0..MAX_WRITE_ATTEMPTS {
        let guarded: Api<DeserializeGuard<MaintenanceTicket>> = Api::namespaced(receiver.client.clone(), namespace);
        let list = guarded.list(&ListParams::default()).await.context(|| format!("list the tickets of {namespace}"))?;
        let tickets: Vec<MaintenanceTicket> = list.items.into_iter().filter_map(|guard| guard.0.ok()).collect();
        let (ticket, alerts) = match intake(site, group_key, alerts, &tickets, zone) {
            Intake::Known => return Ok(None),
            Intake::Open { name, mut spec, alerts } => {
                receiver.leadership.ensure()?;
                // Admission requires it on clusters that don't fill it in.
                spec.requested_by = Some(own_name(&receiver.client).await?);
                match api.create(&PostParams::default(), &MaintenanceTicket::new(&name, *spec)).await {
                    Ok(ticket) => (ticket, alerts),
                    Err(error) if is_conflict(&error) => continue,
                    Err(error) => return Err(error).context(|| format!("open ticket {namespace}/{name}")),
                }
            }
            Intake::Join { name, alerts } => match tickets.into_iter().find(|ticket| ticket.metadata.name.as_ref() == Some(&name)) {
                Some(ticket) => (ticket, alerts),
                None => continue,
            },
        };
        if write_alerts(receiver, &ticket, alerts).await? {
            return Ok(ticket.metadata.name);
        }
    }
    Err(Error::transient(Reason::Conflict, format!("the tickets of {namespace} are being changed by somebody else: try again")))
}

async fn write_alerts(receiver: &AlertReceiver, ticket: &MaintenanceTicket, alerts: Vec<TicketAlert>) -> Result<bool> {
    let mut status = ticket.status.clone().unwrap_or_default();
    status.alerts = alerts;
    apply_status_if_unchanged(&receiver.client, &receiver.leadership, ticket, ticket.status.as_ref(), &status).await
}
