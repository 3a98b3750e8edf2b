//! A post of Alertmanager's webhook receiver, read alert by alert: one that can't be read is named, and the others count.

use super::{MOST, grades};
use crate::conditions::{misleads, shorten};
use jiff::Timestamp;
use p861_crds::{
    Time,
    maintenance::ticket::{AlertState, TicketAlert},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The longest group key that a ticket has, in characters; a longer one is cut, and ends with its digest.
const MAX_GROUP_KEY_CHARS: usize = 4_096;
/// The longest alert name, in characters.
const MAX_NAME_CHARS: usize = 128;
/// The longest severity that a ticket has, in characters.
const MAX_SEVERITY_CHARS: usize = 63;
/// The longest reason why an alert can't be read, in characters.
const MAX_WHY_CHARS: usize = 200;

/// Why a post is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no post of Alertmanager's.
    #[error("this is no post of Alertmanager's webhook receiver: {0}")]
    Malformed(String),
    /// Another form than the one that is known.
    #[error("webhook version {0:?} is not known: this operator reads version 4")]
    Version(String),
}

impl Refusal {
    /// As the metric spells it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Version(_) => "version",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPost {
    version: String,
    group_key: String,
    #[serde(default)]
    receiver: Option<String>,
    #[serde(default)]
    group_labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    truncated_alerts: Option<u64>,
    alerts: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAlert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    fingerprint: String,
}

/// A group of alerts, as it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Alertmanager's name of the group.
    pub group_key: String,
    /// The alerts that could be read; at most [`MOST`].
    pub alerts: Vec<Alert>,
    /// Alerts that could not be read.
    pub unreadable: Vec<UnreadableAlert>,
    /// Number of alerts of the group that are not in the post, or not taken of it.
    pub truncated: u64,
    receiver: String,
    group_labels: BTreeMap<String, String>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Alertmanager's name of it.
    pub fingerprint: String,
    /// Its label `alertname`.
    pub name: String,
    /// Whether it fires.
    pub state: AlertState,
    /// Since when.
    pub start: Timestamp,
    /// Until when.
    pub end: Option<Timestamp>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// An alert of a post that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnreadableAlert {
    /// Its label `alertname` as far as it can be read, or its place in the post, for example `#3`.
    pub name: String,
    /// Why.
    pub why: String,
}

impl std::fmt::Display for UnreadableAlert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "alert {}: {}", self.name, self.why)
    }
}

/// A group of firing alerts as Alertmanager's API v2 lists it.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedGroup {
    labels: BTreeMap<String, String>,
    receiver: ListedReceiver,
    alerts: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct ListedReceiver {
    name: String,
}

impl Alert {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn as_status(&self, site: &str) -> TicketAlert {
        TicketAlert {
            fingerprint: self.fingerprint.clone(),
            alert_name: self.name.clone(),
            severity: self.label("severity").map(|severity| shorten(severity, MAX_SEVERITY_CHARS)),
            state: self.state,
            start_time: Time(self.start),
            end_time: self.end.map(Time),
            posted_by: Some(site.to_owned()),
        }
    }
}

impl Post {
    /// Adds the alerts of the group that the post left out, as Alertmanager's API lists them now. The list has all that fire, so nothing is left out any more but
    /// what is above [`MOST`].
    pub fn complete(&mut self, groups: &[ListedGroup]) {
        let posted: BTreeSet<String> = self.alerts.iter().map(|alert| alert.fingerprint.clone()).collect();
        let ours: Vec<&ListedGroup> = groups.iter().filter(|group| group.receiver.name == self.receiver && group.labels == self.group_labels).collect();
        // Two routes can have the same receiver and the same labels: the group with an alert of the post is the one that was posted.
        let shares = |group: &&ListedGroup| group.alerts.iter().any(|alert| alert["fingerprint"].as_str().is_some_and(|listed| posted.contains(listed)));
        let sharing: Vec<&ListedGroup> = ours.iter().copied().filter(shares).collect();
        let mut known = posted;
        let listed = if sharing.is_empty() { ours } else { sharing };
        for value in listed.into_iter().flat_map(|group| &group.alerts) {
            if !value["fingerprint"].as_str().is_some_and(|fingerprint| known.insert(fingerprint.to_owned())) {
                continue;
            }
            let mut value = value.clone();
            // The API's status is an object; what it lists fires.
            value["status"] = "firing".into();
            match read_alert(self.alerts.len() + self.unreadable.len(), value) {
                Ok(alert) => self.alerts.push(alert),
                Err(unreadable) => self.unreadable.push(unreadable),
            }
        }
        self.truncated = 0;
        self.keep_the_gravest();
    }

    /// Keeps at most [`MOST`] alerts, those that fire and are the gravest, and counts the others as left out.
    fn keep_the_gravest(&mut self) {
        if self.alerts.len() <= MOST {
            return;
        }
        self.alerts.sort_by_key(|alert| (alert.state == AlertState::Resolved, grades(alert.label("severity"))));
        self.truncated = self.truncated.saturating_add((self.alerts.len() - MOST) as u64);
        self.alerts.truncate(MOST);
    }
}

/// Reads a post. Alerts that can't be read are in [`Post::unreadable`].
///
/// # Errors
/// If it is no post of Alertmanager's.
pub fn parse(body: &[u8]) -> Result<Post, Refusal> {
    let raw: RawPost = serde_json::from_slice(body).map_err(|error| Refusal::Malformed(error.to_string()))?;
    if raw.version != "4" {
        return Err(Refusal::Version(shorten(&raw.version, 32)));
    }
    if raw.group_key.is_empty() {
        return Err(Refusal::Malformed("groupKey is empty".into()));
    }
    let mut post = Post {
        group_key: bounded_key(raw.group_key),
        alerts: Vec::new(),
        unreadable: Vec::new(),
        truncated: raw.truncated_alerts.unwrap_or_default(),
        receiver: raw.receiver.unwrap_or_default(),
        group_labels: raw.group_labels.unwrap_or_default(),
    };
    for (index, value) in raw.alerts.into_iter().enumerate() {
        match read_alert(index, value) {
            Ok(alert) => post.alerts.push(alert),
            Err(unreadable) => post.unreadable.push(unreadable),
        }
    }
    post.keep_the_gravest();
    Ok(post)
}

/// A group's labels can make its key as long as they like: cut, it must still be the group's alone.
fn bounded_key(key: String) -> String {
    if key.chars().count() <= MAX_GROUP_KEY_CHARS {
        return key;
    }
    let digest = hex::encode(Sha256::digest(&key));
    let kept: String = key.chars().take(MAX_GROUP_KEY_CHARS - digest.len() - 1).collect();
    format!("{kept}#{digest}")
}

fn read_alert(index: usize, value: Value) -> Result<Alert, UnreadableAlert> {
    let name = value["labels"]["alertname"].as_str().map(|name| shorten(&printable(name), MAX_NAME_CHARS)).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("#{}", index + 1));
    let unreadable = |why: &str| UnreadableAlert { name: name.clone(), why: shorten(&printable(why), MAX_WHY_CHARS) };
    let raw: RawAlert = serde_json::from_value(value).map_err(|error| unreadable(&error.to_string()))?;
    alert(raw).map_err(unreadable)
}

fn alert(raw: RawAlert) -> Result<Alert, &'static str> {
    let state = match raw.status.as_str() {
        "firing" => AlertState::Firing,
        "resolved" => AlertState::Resolved,
        _ => return Err("its status is neither firing nor resolved"),
    };
    if !(1..=32).contains(&raw.fingerprint.len()) || !raw.fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("its fingerprint is no hexadecimal number");
    }
    let name = raw.labels.get("alertname").cloned().unwrap_or_default();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err("it has no label alertname of 1 to 128 characters without control characters");
    }
    // A ticket keeps whole seconds: a beginning that had parts of one would look newer than itself.
    let start = Timestamp::from_second(raw.starts_at.as_second()).map_err(|_| "its beginning is no time")?;
    // Alertmanager writes the year 1 for "no end".
    let end = raw.ends_at.filter(|end| state == AlertState::Resolved && *end >= raw.starts_at);
    Ok(Alert { fingerprint: raw.fingerprint, name, state, start, end, labels: raw.labels, annotations: raw.annotations })
}

/// The text on one line, without what could steer a terminal, and with a mark for what would hide or reorder other characters.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => ' ',
        c if misleads(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}
