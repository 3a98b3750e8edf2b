//! Acknowledgement links in messages: a person on duty takes a ticket from a phone, without a kubeconfig.
//!
//! Opening a link only shows a page, since mail programs open links by themselves; its button acknowledges. A link is sealed for one ticket, its present
//! opening, and one person. The link itself has all that its seal covers, and the key is kept in memory: before the seal is right, nothing is asked of the API
//! server, so that a stranger can make it no work.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Html,
    routing::get,
};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use p861_core::maintenance::{
    link::{self, AcknowledgeLink},
    rate::{Rate, RateLimit},
};
use p861_crds::{
    MaintenanceTicket, Reason,
    maintenance::ticket::{ClockName, TicketAction, TicketActionKind, TicketPhase},
};
use p861_runs::{
    error::{Error, Result, is_not_found},
    hub::own_name,
    leadership::Leadership,
    secrets::SecretsOf,
};
use parking_lot::Mutex;
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The Secret with the token, in the operator's namespace.
pub const TOKEN_SECRET: &str = "p861-alerts";
/// A shorter token could be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// How long a token is used before the Secret is read again.
const TOKEN_CACHE_TIME: Duration = Duration::from_secs(10);
/// How long a token counts for requests from outside if the Secret can't be read.
const TOKEN_MAX_AGE: Duration = Duration::from_mins(5);
/// Links with a wrong seal that are answered; more are turned away without a look. A seal can't be guessed, so this is about work, not about guessing.
const WRONG_SEALS: Rate = Rate { burst: 20, interval: Duration::from_millis(500) };
/// Requests by one link. Each reads its ticket.
const PER_LINK: Rate = Rate { burst: 10, interval: Duration::from_secs(3) };
/// Lines of the log of one kind that requests from outside cause.
pub const LOG_LINES: Rate = Rate { burst: 10, interval: Duration::from_secs(6) };
/// Links of which the number of requests is remembered.
const MAX_COUNTED_LINKS: usize = 1_000;

/// The token of Secret `p861-alerts`: Alertmanager authenticates with it, and links are sealed with it.
#[derive(Clone)]
pub struct Keys {
    client: Client,
    namespace: String,
    leadership: Leadership,
    cached: Arc<Mutex<Option<CachedToken>>>,
}

struct CachedToken {
    read: Instant,
    token: Vec<u8>,
}

impl Keys {
    /// Keys of the operator in this namespace; nothing is read yet.
    pub fn new(client: Client, namespace: &str, leadership: Leadership) -> Self {
        Self { client, namespace: namespace.to_owned(), leadership, cached: Arc::default() }
    }

    /// The token, for requests from outside: none of them reads a Secret. None if it could not be read lately.
    pub fn known(&self) -> Option<Vec<u8>> {
        self.cached.lock().as_ref().filter(|cached| cached.read.elapsed() < TOKEN_MAX_AGE).map(|cached| cached.token.clone())
    }

    /// Reads the token again and again, so that it is known. Creates it when this process leads, so that a person can configure an Alertmanager before the first
    /// alert.
    pub async fn keep_known(self) {
        let mut last_error = String::new();
        loop {
            let error = self.token().await.err().map(|error| error.to_string()).unwrap_or_default();
            if error != last_error && !error.is_empty() && self.leadership.holds() {
                tracing::warn!("the token of alerts and links can't be read: {error}");
            }
            last_error = error;
            // A replica that waits for the lease knows it in time, too.
            tokio::time::sleep(if last_error.is_empty() { TOKEN_CACHE_TIME } else { Duration::from_secs(2) }).await;
        }
    }

    /// The token from the Secret, generated if there is none.
    pub async fn token(&self) -> Result<Vec<u8>> {
        if let Some(CachedToken { read, token }) = self.cached.lock().as_ref()
            && read.elapsed() < TOKEN_CACHE_TIME
        {
            return Ok(token.clone());
        }
        let secrets = SecretsOf::operator(&self.client, &self.namespace);
        let (mut keys, _) = secrets.found_or_made(&self.leadership, TOKEN_SECRET, "token").await?;
        let token = keys.take("token").unwrap_or_default().trim().as_bytes().to_vec();
        if token.len() < MIN_TOKEN_BYTES {
            let message = format!("Secret {}/{TOKEN_SECRET} has no key token of at least {MIN_TOKEN_BYTES} characters", self.namespace);
            return Err(Error::invalid(Reason::TokenMissing, message));
        }
        *self.cached.lock() = Some(CachedToken { read: Instant::now(), token: token.clone() });
        Ok(token)
    }
}

/// Serves the links.
#[derive(Clone)]
pub struct Links {
    client: Client,
    keys: Keys,
    leadership: Leadership,
    since: Instant,
    wrong: Arc<Mutex<RateLimit<()>>>,
    right: Arc<Mutex<RateLimit<String>>>,
    told: Arc<Mutex<RateLimit<()>>>,
}

/// What a link names.
#[derive(Deserialize)]
struct Named {
    namespace: String,
    ticket: String,
    person: String,
    opening: String,
    seal: String,
}

/// Why a link is not followed.
enum Turned {
    /// It is not sealed, or its ticket is not open as it was then.
    Invalid,
    /// It was followed too often.
    TooOften,
    /// It can't be followed now.
    Trouble(Error),
}

impl From<Error> for Turned {
    fn from(error: Error) -> Self {
        Self::Trouble(error)
    }
}

impl Links {
    /// Links of the operator on this hub. Only the leader acknowledges.
    pub fn new(client: Client, keys: Keys, leadership: Leadership) -> Self {
        Self {
            client,
            keys,
            leadership,
            since: Instant::now(),
            wrong: Arc::new(Mutex::new(RateLimit::new(WRONG_SEALS, 1))),
            right: Arc::new(Mutex::new(RateLimit::new(PER_LINK, MAX_COUNTED_LINKS))),
            told: Arc::new(Mutex::new(RateLimit::new(LOG_LINES, 1))),
        }
    }

    /// Its route.
    pub fn router(self) -> Router {
        Router::new().route("/ack/{namespace}/{ticket}/{person}/{opening}/{seal}", get(show).post(acknowledge)).with_state(self)
    }

    /// UID and due time of the opening that the link is sealed for. Asks nobody.
    fn sealed_for<'a>(&self, named: &'a Named) -> std::result::Result<(&'a str, Timestamp), Turned> {
        let key = self.keys.known().ok_or_else(|| Error::transient(Reason::TokenMissing, format!("the token in Secret {TOKEN_SECRET} was not read yet")))?;
        let now = self.since.elapsed();
        let sealed = link::read_opening(&named.opening).filter(|(uid, due)| {
            let link = AcknowledgeLink { namespace: &named.namespace, ticket: &named.ticket, uid, due: *due, person: &named.person };
            link.is_sealed(&key, &named.seal)
        });
        let Some((uid, due)) = sealed else {
            return Err(if self.wrong.lock().take((), now) { Turned::Invalid } else { Turned::TooOften });
        };
        if self.right.lock().take(named.seal.to_ascii_lowercase(), now) { Ok((uid, due)) } else { Err(Turned::TooOften) }
    }

    /// The ticket, if it is open as it was when the link was sealed.
    async fn ticket(&self, named: &Named, (uid, due): (&str, Timestamp)) -> std::result::Result<MaintenanceTicket, Turned> {
        let tickets: Api<MaintenanceTicket> = Api::namespaced(self.client.clone(), &named.namespace);
        let found = match tickets.get(&named.ticket).await {
            Ok(ticket) => ticket,
            Err(error) if is_not_found(&error) => return Err(Turned::Invalid),
            Err(error) => return Err(Turned::Trouble(Error::Kube { what: format!("read ticket {}", named.ticket), source: Box::new(error) })),
        };
        if opening_of(&found) == Some((uid, due)) { Ok(found) } else { Err(Turned::Invalid) }
    }
}

impl Links {
    fn turned_away(&self, turned: &Turned) -> (StatusCode, Html<String>) {
        match turned {
            Turned::Invalid => (StatusCode::FORBIDDEN, document("<p>链接无效或已过期 / this link is not valid, or not any more: p861 ticket list</p>")),
            Turned::TooOften => (StatusCode::TOO_MANY_REQUESTS, document("<p>请求过于频繁，请稍后重试 / too often: try again in a moment</p>")),
            Turned::Trouble(error) => {
                // A stranger must not fill the log.
                if self.told.lock().take((), self.since.elapsed()) {
                    tracing::warn!("a link can't be followed now: {error}");
                }
                (StatusCode::SERVICE_UNAVAILABLE, document("<p>请稍后重试 / try again in a moment</p>"))
            }
        }
    }
}

/// UID of a ticket and the time by which its present opening must be acknowledged; none if it has no clock to stop.
fn opening_of(ticket: &MaintenanceTicket) -> Option<(&str, Timestamp)> {
    let clock = ticket.status.as_ref()?.clocks.iter().find(|clock| clock.name == ClockName::Acknowledge)?;
    Some((ticket.metadata.uid.as_deref()?, clock.due_time.0))
}

/// The path of a ticket's link for a person; none if it has no clock to stop.
pub fn path_of(key: &[u8], ticket: &MaintenanceTicket, person: &str) -> Option<String> {
    let (uid, due) = opening_of(ticket)?;
    let (namespace, name) = (ticket.metadata.namespace.as_deref()?, ticket.metadata.name.as_deref()?);
    Some(AcknowledgeLink { namespace, ticket: name, uid, due, person }.path(key))
}

async fn show(State(links): State<Links>, Path(named): Path<Named>) -> (StatusCode, Html<String>) {
    let found = async { links.ticket(&named, links.sealed_for(&named)?).await };
    match found.await {
        Ok(ticket) => (StatusCode::OK, page(&ticket, taken(&ticket).is_none())),
        Err(turned) => links.turned_away(&turned),
    }
}

async fn acknowledge(State(links): State<Links>, Path(named): Path<Named>) -> (StatusCode, Html<String>) {
    let done = async {
        let opening = links.sealed_for(&named)?;
        links.leadership.ensure()?;
        let ticket = links.ticket(&named, opening).await?;
        if taken(&ticket).is_none() {
            let action = TicketAction {
                action: TicketActionKind::Acknowledge,
                reason: None,
                note: None,
                reported: None,
                assignee: None,
                resolution: None,
                by: Some(own_name(&links.client).await?),
                on_behalf_of: Some(named.person.clone()),
            };
            links.leadership.ensure()?;
            // The patch tests the actions that were read, so that two concurrent clicks give one acknowledgement.
            let patch = serde_json::from_value(serde_json::json!([
                {"op": "test", "path": "/spec/actions", "value": ticket.spec.actions},
                {"op": "add", "path": "/spec/actions/-", "value": action},
            ]));
            let patch = patch.map_err(|error| Error::Internal(error.to_string()))?;
            let tickets: Api<MaintenanceTicket> = Api::namespaced(links.client.clone(), &named.namespace);
            let patched = tickets.patch(&named.ticket, &PatchParams::default(), &Patch::Json::<()>(patch)).await;
            return match patched {
                Ok(ticket) => Ok(ticket),
                // Perhaps somebody else acknowledged first.
                Err(error) => match links.ticket(&named, opening).await? {
                    ticket if taken(&ticket).is_some() => Ok(ticket),
                    _ => Err(Turned::Trouble(Error::Kube { what: format!("acknowledge ticket {}", named.ticket), source: Box::new(error) })),
                },
            };
        }
        Ok(ticket)
    };
    match done.await {
        Ok(ticket) => (StatusCode::OK, page(&ticket, false)),
        Err(turned) => links.turned_away(&turned),
    }
}

/// Who has acknowledged the ticket, including an acknowledgement that the controller hasn't read yet.
fn taken(ticket: &MaintenanceTicket) -> Option<String> {
    let status = ticket.status.as_ref();
    let read = usize::try_from(status.and_then(|status| status.observed_actions).unwrap_or_default()).unwrap_or_default();
    let unread = ticket.spec.actions.iter().skip(read).find(|action| action.action == TicketActionKind::Acknowledge).map(|action| action.person().to_owned());
    if status.and_then(|status| status.phase).unwrap_or_default() != TicketPhase::Open {
        return Some(status.and_then(|status| status.assignee.clone()).unwrap_or_else(|| "-".into()));
    }
    unread
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn document(body: &str) -> Html<String> {
    let head = "<!doctype html><html lang=\"zh\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\"><title>Platform 861</title>";
    Html(format!("{head}<body style=\"font: 1.2em sans-serif; margin: 2em\">{body}</body></html>\n"))
}

fn page(ticket: &MaintenanceTicket, asks: bool) -> Html<String> {
    let title = &ticket.spec.title;
    let name = ticket.metadata.name.as_deref().unwrap_or_default();
    // A title in one language only stands there once.
    let titles = [&title.zh, &title.en].into_iter().flatten().flat_map(|title| ["<p>".to_owned(), escape(title), "</p>".to_owned()]);
    let titles: String = titles.collect();
    let what = format!("<h1>{}</h1>{titles}", escape(name));
    if asks {
        return document(&format!("{what}<form method=\"post\"><button style=\"font: inherit; padding: 1em\">响应 / I have it</button></form>"));
    }
    let who = taken(ticket).map(|person| format!("<p>处理人 / taken by {}</p>", escape(&person))).unwrap_or_default();
    document(&format!("{what}<p>已响应 / acknowledged</p>{who}"))
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
