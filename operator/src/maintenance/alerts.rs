//! Turns posts of Alertmanager into tickets: `POST /alertmanager/<site>` with the bearer token of Secret `p861-alerts`.
//!
//! The answer is 200 only when everything that can be read is stored. Otherwise Alertmanager retries, which bridges a restart, a change of leader and an unreachable
//! API server. Posts are idempotent. An alert that can't be read is named in the answer, the log, the metric and an Event of the Site; the others of its post count.

use super::links::{Keys, LOG_LINES, TOKEN_SECRET};
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
    Api, Client, ResourceExt as _,
    api::{ListParams, PostParams},
    core::DeserializeGuard,
};
use p861_core::{
    maintenance::{
        alerts::{self, Alert, Intake, Listed, Part, Place, Post, UnreadableAlert, intake, parse, place},
        rate::RateLimit,
        window::DEFAULT_ZONE,
    },
    told::Noun,
};
use p861_crds::{District, DutyRoster, MaintenanceTicket, Reason, Site};
use p861_runs::status::{apply_status_if_unchanged, event_type, publish_event};
use p861_runs::{
    Hub, JournalKeys,
    alertmanager::Alertmanager,
    error::{Error, ErrorContext as _, Result, is_conflict},
    hub::own_name,
    leadership::Leadership,
    repository::StoreCache,
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use subtle::ConstantTimeEq as _;

/// Largest post; Alertmanager's largest are a tenth of it.
const MAX_POST_BYTES: usize = 4 << 20;
/// Results of posts, as the metric spells them.
const MAX_RESULTS: usize = 32;
/// Posts that are read at a time.
const MAX_POSTS: usize = 4;
/// Time limit for receiving a post, and for waiting until others are received.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Result of a post that is stored completely, as the metric spells it.
const ACCEPTED: &str = "accepted";
/// Result of a post to a replica that stands by.
const NOT_LEADER: &str = "notLeader";
/// Attempts of a write that conflicts with another writer's.
const MAX_WRITE_ATTEMPTS: usize = 8;
/// Unreadable alerts named in an answer, a line of the log and an Event.
const MAX_NAMED_ALERTS: usize = 5;
/// Unreadable alerts remembered as told by an Event. Above that all are forgotten, and told again.
const MAX_TOLD_ALERTS: usize = 1_000;

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
    /// Name of this replica.
    pub identity: String,
    /// Only the leader writes.
    pub leadership: Leadership,
    /// Metrics.
    pub metrics: Metrics,
    /// Heartbeats.
    pub heartbeats: Heartbeats,
    /// The token.
    pub keys: Keys,
    /// When this process began.
    since: Instant,
    /// Refusals that the log tells, by result.
    logged: Arc<Mutex<RateLimit<String>>>,
    /// Posts that are in memory at a time.
    bodies: Arc<tokio::sync::Semaphore>,
    /// Serialises posts: two concurrent ones would both open the same ticket, and one would fail.
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
    /// Unreadable alerts that an Event of their Site tells of: Alertmanager posts the same ones again every few minutes.
    told: Arc<Mutex<BTreeSet<(String, UnreadableAlert)>>>,
}

impl AlertReceiver {
    /// A receiver that has heard no heartbeat yet.
    pub fn new(client: Client, namespace: &str, identity: &str, leadership: Leadership, metrics: Metrics) -> Self {
        let keys = Keys::new(client.clone(), namespace, leadership.clone());
        Self {
            client,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            leadership,
            metrics,
            heartbeats: Heartbeats::default(),
            keys,
            since: Instant::now(),
            logged: Arc::new(Mutex::new(RateLimit::new(LOG_LINES, MAX_RESULTS))),
            bodies: Arc::new(tokio::sync::Semaphore::new(MAX_POSTS)),
            one_at_a_time: Arc::default(),
            told: Arc::default(),
        }
    }

    /// Its route.
    pub fn router(self) -> Router {
        Router::new().route("/alertmanager/{site}", post(receive)).with_state(self)
    }

    fn answer(&self, result: &str, code: StatusCode, text: impl Into<String>) -> (StatusCode, String) {
        self.metrics.alert_posts.with_label_values(&[result]).inc();
        let text = text.into();
        // Whoever reaches the port causes refusals, and must not fill the log. The metric counts all of them.
        if is_usual(result) || !self.logged.lock().take(result.to_owned(), self.since.elapsed()) {
            tracing::debug!(result, "alerts: {text}");
        } else {
            tracing::warn!(result, "alerts: {text}");
        }
        (code, format!("{text}\n"))
    }
}

/// Whether a result tells nobody anything. A replica that stands by gets every other post, and Alertmanager gives it to the next replica.
fn is_usual(result: &str) -> bool {
    matches!(result, ACCEPTED | NOT_LEADER)
}

async fn receive(State(receiver): State<AlertReceiver>, Path(site): Path<String>, headers: HeaderMap, body: Body) -> (StatusCode, String) {
    if !receiver.leadership.holds() {
        return receiver.answer(NOT_LEADER, StatusCode::SERVICE_UNAVAILABLE, "another replica leads: try again");
    }
    let Some(token) = receiver.keys.known() else {
        return receiver.answer("failed", StatusCode::SERVICE_UNAVAILABLE, format!("the token in Secret {TOKEN_SECRET} was not read yet: try again"));
    };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer ")).unwrap_or_default();
    // Digests have one length, and are compared in one time.
    if !bool::from(Sha256::digest(given.trim_ascii()).ct_eq(&Sha256::digest(&token))) {
        return receiver.answer("unauthorized", StatusCode::UNAUTHORIZED, format!("give the token of Secret {TOKEN_SECRET} as bearer token"));
    }
    let Ok(_turn) = tokio::time::timeout(READ_TIMEOUT, receiver.bodies.acquire()).await else {
        return receiver.answer("failed", StatusCode::SERVICE_UNAVAILABLE, "too many posts at a time: try again");
    };
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
    let mut post = match parse(&bytes) {
        Ok(post) => post,
        Err(refusal) => return receiver.answer(refusal.word(), StatusCode::BAD_REQUEST, refusal.to_string()),
    };
    for alert in &post.alerts {
        tracing::debug!(site, group = post.group_key, alert = alert.name, alert.fingerprint, state = ?alert.state, start = %alert.start, "posted");
    }
    match store_post(&receiver, &site, &mut post).await {
        Ok(stored) => stored_answer(&receiver, &post, stored),
        Err(error) if error.reason() == Reason::SiteMissing => receiver.answer("unknownSite", StatusCode::NOT_FOUND, error.to_string()),
        // Alertmanager retries after 5xx.
        Err(error) => receiver.answer("failed", StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// The answer to a post that was read. Whatever of it is not stored is named.
fn stored_answer(receiver: &AlertReceiver, post: &Post, stored: StoredPost) -> (StatusCode, String) {
    let StoredPost { tickets, unknown, failed } = stored;
    // Alertmanager retries after 5xx, also what is stored: that changes nothing.
    if let Some(error) = failed {
        return receiver.answer("failed", StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    }
    if !unknown.is_empty() {
        let unknown = unknown.into_iter().collect::<Vec<_>>().join(", ");
        return receiver.answer("unknownDistrict", StatusCode::UNPROCESSABLE_ENTITY, format!("there is no {unknown}: kubectl get districts"));
    }
    let text = format!("{}, tickets: {}", Noun::Alert.count(post.alerts.len()), tickets.join(", "));
    if post.unreadable.is_empty() {
        return receiver.answer(ACCEPTED, StatusCode::OK, text);
    }
    // Not an error of HTTP: the same post would be no better the next time.
    receiver.answer("alertUnreadable", StatusCode::OK, format!("{text}; {}", unreadable_words(&post.unreadable)))
}

/// The first unreadable alerts, and how many there are.
fn unreadable_words(unreadable: &[UnreadableAlert]) -> String {
    let named: Vec<String> = unreadable.iter().take(MAX_NAMED_ALERTS).map(ToString::to_string).collect();
    let more = unreadable.len().saturating_sub(MAX_NAMED_ALERTS);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{} can't be read and have no ticket: {}{more}", unreadable.len(), named.join("; "))
}

/// What was stored of a post.
struct StoredPost {
    tickets: Vec<String>,
    unknown: BTreeSet<String>,
    /// Why the alerts of a namespace could not be stored; the first of several.
    failed: Option<Error>,
}

/// Stores a post. Alerts of a missing district are skipped and reported, and so are those of a namespace whose tickets can't be written; the others are stored.
async fn store_post(receiver: &AlertReceiver, site: &str, post: &mut Post) -> Result<StoredPost> {
    let sites: Api<Site> = Api::all(receiver.client.clone());
    let Some(poster) = sites.get_opt(site).await.context(|| format!("read site {site}"))? else {
        return Err(Error::invalid(Reason::SiteMissing, format!("site {site} doesn't exist: the last part of the receiver's URL is the name of a Site")));
    };
    if post.truncated > 0 {
        complete(receiver, &poster, site, post).await;
    }
    if !post.unreadable.is_empty() {
        announce_unreadable(receiver, &poster, site, &post.unreadable).await;
    }
    // Alertmanager's API was asked before: nobody waits for that.
    let _turn = receiver.one_at_a_time.lock().await;
    let districts: Api<DeserializeGuard<District>> = Api::all(receiver.client.clone());
    let districts = districts.list(&ListParams::default()).await.context(|| "list the districts".into())?.items;
    let districts: Vec<District> = districts.into_iter().filter_map(|guard| guard.0.ok()).collect();
    let heartbeats = expected_heartbeats(receiver).await?;
    let mut parts: BTreeMap<String, Vec<Alert>> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for alert in &post.alerts {
        if heartbeats.hears(alert, site, &districts) {
            receiver.heartbeats.hear(site, &alert.name, Timestamp::now());
        }
        if heartbeats.owns(alert, &districts) {
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
    let mut stored = StoredPost { tickets: Vec::new(), unknown, failed: None };
    for (namespace, alerts) in parts {
        let zone = districts.iter().find(|district| district.hub_namespace() == namespace).map_or(DEFAULT_ZONE, |district| &district.spec.time_zone);
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let part = Part { site, group_key: &post.group_key, truncated: post.truncated, alerts: &alerts };
        match store_alerts(receiver, &namespace, &part, &zone).await {
            Ok(ticket) => stored.tickets.extend(ticket),
            Err(error) => {
                tracing::warn!(namespace, "alerts are not stored: {error}");
                stored.failed.get_or_insert(error);
            }
        }
    }
    Ok(stored)
}

/// Reads the alerts that Alertmanager left out of the post from its API. If it can't be asked, the tickets say how many are missing.
async fn complete(receiver: &AlertReceiver, site: &Site, name: &str, post: &mut Post) {
    let groups = match Alertmanager::of(&receiver.client, &receiver.leadership, &receiver.namespace, site).await {
        Ok(Some(alertmanager)) => alertmanager.groups().await,
        Ok(None) => {
            tracing::warn!(site = name, truncated = post.truncated, "a post lacks alerts, and the Site has no spec.monitoring.alertmanager to ask");
            return;
        }
        Err(error) => Err(error),
    };
    match groups {
        Ok(groups) => post.complete(&groups),
        Err(error) => tracing::warn!(site = name, truncated = post.truncated, "a post lacks alerts: {error}"),
    }
}

/// Publishes an Event of the Site for alerts that it has not told of.
async fn announce_unreadable(receiver: &AlertReceiver, site: &Site, name: &str, unreadable: &[UnreadableAlert]) {
    let news: Vec<UnreadableAlert> = {
        let mut told = receiver.told.lock();
        if told.len() > MAX_TOLD_ALERTS {
            told.clear();
        }
        unreadable.iter().filter(|alert| told.insert((name.to_owned(), (*alert).clone()))).cloned().collect()
    };
    if news.is_empty() || receiver.leadership.ensure().is_err() {
        return;
    }
    let hub = Hub {
        client: receiver.client.clone(),
        leadership: receiver.leadership.clone(),
        namespace: receiver.namespace.clone(),
        identity: receiver.identity.clone(),
        stores: StoreCache::default(),
        journal_keys: JournalKeys::default(),
    };
    publish_event(&hub, site, event_type(true), Reason::AlertUnreadable, &unreadable_words(&news)).await;
}

/// The heartbeats that rosters expect.
async fn expected_heartbeats(receiver: &AlertReceiver) -> Result<alerts::Heartbeats> {
    let rosters: Api<DeserializeGuard<DutyRoster>> = Api::all(receiver.client.clone());
    let rosters = rosters.list(&ListParams::default()).await.context(|| "list the rosters".into())?;
    let readable = rosters.items.into_iter().filter_map(|guard| guard.0.ok());
    let named = readable.map(|roster| (roster.namespace().unwrap_or_default(), roster.spec.heartbeat.map(|heartbeat| heartbeat.alert_name)));
    Ok(alerts::Heartbeats::of(&receiver.namespace, named))
}

/// Stores the alerts of a namespace. Returns their ticket; None if it had them already.
async fn store_alerts(receiver: &AlertReceiver, namespace: &str, part: &Part<'_>, zone: &TimeZone) -> Result<Option<String>> {
    let api: Api<MaintenanceTicket> = Api::namespaced(receiver.client.clone(), namespace);
    for _ in 0..MAX_WRITE_ATTEMPTS {
        let guarded: Api<DeserializeGuard<MaintenanceTicket>> = Api::namespaced(receiver.client.clone(), namespace);
        let list = guarded.list(&ListParams::default()).await.context(|| format!("list the tickets of {namespace}"))?;
        let tickets: Vec<MaintenanceTicket> = list.items.into_iter().filter_map(|guard| guard.0.ok()).collect();
        let (ticket, listed) = match intake(part, &tickets, zone) {
            Intake::Known => return Ok(None),
            Intake::Open { name, mut spec, listed } => {
                receiver.leadership.ensure()?;
                // Admission requires it on clusters that don't fill it in.
                spec.requested_by = Some(own_name(&receiver.client).await?);
                match api.create(&PostParams::default(), &MaintenanceTicket::new(&name, *spec)).await {
                    Ok(ticket) => (ticket, listed),
                    Err(error) if is_conflict(&error) => continue,
                    Err(error) => return Err(error).context(|| format!("open ticket {namespace}/{name}")),
                }
            }
            Intake::Join { name, listed } => match tickets.into_iter().find(|ticket| ticket.metadata.name.as_ref() == Some(&name)) {
                Some(ticket) => (ticket, listed),
                None => continue,
            },
        };
        if write_alerts(receiver, &ticket, listed).await? {
            return Ok(ticket.metadata.name);
        }
    }
    Err(Error::transient(Reason::Conflict, format!("the tickets of {namespace} are being changed by somebody else: try again")))
}

async fn write_alerts(receiver: &AlertReceiver, ticket: &MaintenanceTicket, listed: Listed) -> Result<bool> {
    let mut status = ticket.status.clone().unwrap_or_default();
    (status.alerts, status.truncated_alerts) = (listed.alerts, listed.truncated);
    apply_status_if_unchanged(&receiver.client, &receiver.leadership, ticket, ticket.status.as_ref(), &status).await
}

#[cfg(test)]
mod tests {
    use super::is_usual;

    #[test]
    fn only_what_somebody_can_mend_is_a_warning_in_the_log() {
        for (result, usual) in [("accepted", true), ("notLeader", true), ("failed", false), ("unauthorized", false), ("unknownDistrict", false)] {
            assert_eq!(is_usual(result), usual, "{result}");
        }
    }
}
