//! Acknowledgement links in messages: a person on duty takes a ticket from a phone, without a kubeconfig.
//!
//! Opening a link only shows a page, since mail programs open links by themselves; its button acknowledges. A link is sealed for one ticket, its present
//! opening, and one person.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Html,
    routing::get,
};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use p861_core::maintenance::notify::seal;
use p861_crds::{
    MaintenanceTicket, Reason,
    maintenance::ticket::{ClockName, TicketAction, TicketActionKind, TicketPhase},
};
use p861_runs::{
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    leadership::Leadership,
    secrets,
};
use parking_lot::Mutex;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// The Secret with the token, in the operator's namespace.
pub const TOKEN_SECRET: &str = "p861-alerts";
/// A shorter token could be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// How long a token is used before the Secret is read again.
const TOKEN_CACHE_TIME: Duration = Duration::from_secs(10);

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

    /// The token from the Secret, generated if there is none.
    pub async fn token(&self) -> Result<Vec<u8>> {
        if let Some(CachedToken { read, token }) = self.cached.lock().as_ref()
            && read.elapsed() < TOKEN_CACHE_TIME
        {
            return Ok(token.clone());
        }
        let mut keys = match secrets::texts(&self.client, &self.namespace, TOKEN_SECRET).await? {
            Some(keys) => keys,
            None => self.make_token().await?,
        };
        let token = keys.remove("token").unwrap_or_default().trim().as_bytes().to_vec();
        if token.len() < MIN_TOKEN_BYTES {
            let message = format!("Secret {}/{TOKEN_SECRET} has no key token of at least {MIN_TOKEN_BYTES} characters", self.namespace);
            return Err(Error::invalid(Reason::TokenMissing, message));
        }
        *self.cached.lock() = Some(CachedToken { read: Instant::now(), token: token.clone() });
        Ok(token)
    }

    /// Creates the Secret, or reads the one that another replica has created meanwhile.
    async fn make_token(&self) -> Result<BTreeMap<String, String>> {
        self.leadership.ensure()?;
        let made = BTreeMap::from([("token".to_owned(), secrets::random_hex()?)]);
        let metadata = ObjectMeta { name: Some(TOKEN_SECRET.into()), ..ObjectMeta::default() };
        let secret = Secret { metadata, string_data: Some(made.clone()), ..Secret::default() };
        match Api::<Secret>::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(made),
            Err(error) if is_conflict(&error) => secrets::required(&self.client, &self.namespace, TOKEN_SECRET, "token").await,
            Err(error) => Err(error).context(|| format!("make Secret {TOKEN_SECRET}")),
        }
    }
}

/// The name by which the API server knows the operator.
pub async fn own_name(client: &Client) -> Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.context(|| "ask for the operator's own name".into())?;
    review
        .status
        .and_then(|status| status.user_info)
        .and_then(|user| user.username)
        .ok_or_else(|| Error::Internal("the API server does not say who the operator is".into()))
}

/// Serves the links.
#[derive(Clone)]
pub struct Links {
    /// The hub.
    pub client: Client,
    /// The key of the seals.
    pub keys: Keys,
    /// Only the leader writes.
    pub leadership: Leadership,
}

/// What a link names.
#[derive(Deserialize)]
struct Named {
    namespace: String,
    ticket: String,
    person: String,
    seal: String,
}

impl Links {
    /// Its route.
    pub fn router(self) -> Router {
        Router::new().route("/ack/{namespace}/{ticket}/{person}/{seal}", get(show).post(acknowledge)).with_state(self)
    }

    /// The ticket, if the seal is right.
    async fn ticket(&self, named: &Named) -> Result<Option<MaintenanceTicket>> {
        let tickets: Api<MaintenanceTicket> = Api::namespaced(self.client.clone(), &named.namespace);
        let found = match tickets.get(&named.ticket).await {
            Ok(ticket) => ticket,
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error).context(|| format!("read ticket {}", named.ticket)),
        };
        let Some(right) = seal_of(&self.keys.token().await?, &found, &named.person) else { return Ok(None) };
        // Both are keyed digests, so the comparison's time reveals nothing useful.
        Ok((right == named.seal).then_some(found))
    }
}

/// The seal of a ticket's link for a person; none if it has no clock to stop.
pub fn seal_of(key: &[u8], ticket: &MaintenanceTicket, person: &str) -> Option<String> {
    let uid = ticket.metadata.uid.as_deref()?;
    let clock = ticket.status.as_ref()?.clocks.iter().find(|clock| clock.name == ClockName::Acknowledge)?;
    Some(seal(key, uid, clock.due_time.0, person))
}

async fn show(State(links): State<Links>, Path(named): Path<Named>) -> (StatusCode, Html<String>) {
    match links.ticket(&named).await {
        Ok(Some(ticket)) => (StatusCode::OK, page(&ticket, taken(&ticket).is_none())),
        Ok(None) => refused(),
        Err(error) => trouble(&error),
    }
}

async fn acknowledge(State(links): State<Links>, Path(named): Path<Named>) -> (StatusCode, Html<String>) {
    if !links.leadership.holds() {
        return trouble(&Error::LeaseLost);
    }
    let done = async {
        let Some(ticket) = links.ticket(&named).await? else { return Ok(None) };
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
                Ok(ticket) => Ok(Some(ticket)),
                // Perhaps somebody else acknowledged first.
                Err(error) => match links.ticket(&named).await? {
                    Some(ticket) if taken(&ticket).is_some() => Ok(Some(ticket)),
                    Some(_) | None => Err(error).context(|| format!("acknowledge ticket {}", named.ticket)),
                },
            };
        }
        Ok(Some(ticket))
    };
    match done.await {
        Ok(Some(ticket)) => (StatusCode::OK, page(&ticket, false)),
        Ok(None) => refused(),
        Err(error) => trouble(&error),
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
    let head = "<!doctype html><html lang=\"zh\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\"><title>Platform 861</title>";
    Html(format!("{head}<body style=\"font: 1.2em sans-serif; margin: 2em\">{body}</body></html>\n"))
}

fn page(ticket: &MaintenanceTicket, asks: bool) -> Html<String> {
    let title = &ticket.spec.title;
    let name = ticket.metadata.name.as_deref().unwrap_or_default();
    let what = format!("<h1>{}</h1><p>{}</p><p>{}</p>", escape(name), escape(title.in_language("zh")), escape(title.in_language("en")));
    if asks {
        return document(&format!("{what}<form method=\"post\"><button style=\"font: inherit; padding: 1em\">响应 / I have it</button></form>"));
    }
    let who = taken(ticket).map(|person| format!("<p>处理人 / taken by {}</p>", escape(&person))).unwrap_or_default();
    document(&format!("{what}<p>已响应 / acknowledged</p>{who}"))
}

fn refused() -> (StatusCode, Html<String>) {
    (StatusCode::FORBIDDEN, document("<p>链接无效或已过期 / this link is not valid, or not any more: p861 ticket list</p>"))
}

fn trouble(error: &Error) -> (StatusCode, Html<String>) {
    tracing::warn!("a link can't be followed now: {error}");
    (StatusCode::SERVICE_UNAVAILABLE, document("<p>请稍后重试 / try again in a moment</p>"))
}
