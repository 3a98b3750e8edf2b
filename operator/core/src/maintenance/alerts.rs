//! Posts from Alertmanager, and the tickets that their alerts belong to.
//!
//! One incident per group of alerts. A group finds its ticket by Alertmanager's group key, or by a common alert; alerts of an unreachable site join the ticket of
//! that site. Posts may be repeated, late and out of order: each group and start time opens one ticket, and a resolved alert does not fire again with the same start
//! time.

use crate::conditions::shorten;
use jiff::{Timestamp, tz::TimeZone};
use p861_crds::{
    District, LocalizedText, MaintenanceTicket, MaintenanceTicketSpec, ObjectReference, Time,
    maintenance::ticket::{Affected, AlertState, AlertmanagerSource, Grade, Incident, IncidentSource, TicketAlert, TicketPhase, TicketType},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// More alerts than this in one post, or in one ticket, are refused: `max_alerts` of Alertmanager's receiver keeps below it.
pub const MOST: usize = 1_000;
/// Alerts that speak of tickets themselves: a ticket about a late ticket would be late too.
const OF_TICKETS: [&str; 1] = ["P861TicketOverdue"];
/// Alert whose ticket collects all other alerts of the same site.
const SITE_LOST: &str = "P861SiteUnreachable";

/// Why a post is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no post of Alertmanager's.
    #[error("this is no post of Alertmanager's webhook receiver: {0}")]
    Malformed(String),
    /// Another form than the one that is known.
    #[error("webhook version {0:?} is not known: this operator reads version 4")]
    Version(String),
    /// Too many at once.
    #[error("{0} alerts in one post are too many: set max_alerts of the receiver to at most {MOST}")]
    TooMany(usize),
}

impl Refusal {
    /// As the metric spells it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Version(_) => "version",
            Self::TooMany(_) => "tooMany",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPost {
    version: String,
    group_key: String,
    alerts: Vec<RawAlert>,
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
    /// The alerts.
    pub alerts: Vec<Alert>,
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
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Alert {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn as_status(&self, site: &str) -> TicketAlert {
        TicketAlert {
            fingerprint: self.fingerprint.clone(),
            alert_name: self.name.clone(),
            severity: self.label("severity").map(str::to_owned),
            state: self.state,
            start_time: Time(self.start),
            end_time: self.end.map(Time),
            posted_by: Some(site.to_owned()),
        }
    }
}

/// Reads a post.
///
/// # Errors
/// If it is none, or not one that can be taken.
pub fn parse(body: &[u8]) -> Result<Post, Refusal> {
    let raw: RawPost = serde_json::from_slice(body).map_err(|error| Refusal::Malformed(error.to_string()))?;
    if raw.version != "4" {
        return Err(Refusal::Version(shorten(&raw.version, 32)));
    }
    if raw.group_key.is_empty() || raw.group_key.chars().count() > 4_096 {
        return Err(Refusal::Malformed("groupKey is empty, or longer than 4096 characters".into()));
    }
    if raw.alerts.len() > MOST {
        return Err(Refusal::TooMany(raw.alerts.len()));
    }
    let alerts = raw.alerts.into_iter().map(alert).collect::<Result<Vec<_>, _>>()?;
    Ok(Post { group_key: raw.group_key, alerts })
}

fn alert(raw: RawAlert) -> Result<Alert, Refusal> {
    let wrong = |what: &str| Refusal::Malformed(what.to_owned());
    let state = match raw.status.as_str() {
        "firing" => AlertState::Firing,
        "resolved" => AlertState::Resolved,
        _ => return Err(wrong("the status of an alert is neither firing nor resolved")),
    };
    if !(1..=32).contains(&raw.fingerprint.len()) || !raw.fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong("the fingerprint of an alert is no hexadecimal number"));
    }
    let name = raw.labels.get("alertname").cloned().unwrap_or_default();
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(wrong("an alert has no label alertname of at most 128 characters"));
    }
    // A ticket keeps whole seconds: a beginning that had parts of one would look newer than itself.
    let start = Timestamp::from_second(raw.starts_at.as_second()).map_err(|_| wrong("the beginning of an alert is no time"))?;
    // Alertmanager writes the year 1 for "no end".
    let end = raw.ends_at.filter(|end| state == AlertState::Resolved && *end >= raw.starts_at);
    Ok(Alert { fingerprint: raw.fingerprint, name, state, start, end, labels: raw.labels, annotations: raw.annotations })
}

/// Where an alert belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// These namespaces on the hub.
    Districts(BTreeSet<String>),
    /// Nobody's in particular: the operator's own namespace.
    City,
    /// A district that there isn't.
    Unknown(String),
    /// No ticket is made of it.
    None,
}

/// Namespace of an alert's ticket: that of the district in its labels, else of every district of the site in its labels, else the hub-wide one.
pub fn place(alert: &Alert, districts: &[District]) -> Place {
    if OF_TICKETS.contains(&alert.name.as_str()) {
        return Place::None;
    }
    let namespace = |district: &District| district.hub_namespace().to_owned();
    if let Some(named) = alert.label("district") {
        let found = districts.iter().find(|district| district.hub_namespace() == named || district.metadata.name.as_deref() == Some(named));
        return found
            .map_or_else(|| Place::Unknown(format!("district {}", shorten(named, 64))), |district| Place::Districts(BTreeSet::from([namespace(district)])));
    }
    let Some(site) = alert.label("site") else { return Place::City };
    let of_site: BTreeSet<String> =
        districts.iter().filter(|district| district.spec.sites.iter().any(|used| used.site_ref.name == site)).map(namespace).collect();
    if of_site.is_empty() { Place::City } else { Place::Districts(of_site) }
}

/// What is to be done with the alerts of a post in one namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Intake {
    /// A ticket is opened, and gets these alerts.
    Open {
        /// Its name, derived from the group and its beginning: posted twice, opened once.
        name: String,
        /// The ticket.
        spec: Box<MaintenanceTicketSpec>,
        /// Its alerts.
        alerts: Vec<TicketAlert>,
    },
    /// A ticket that is there has these alerts now.
    Join {
        /// Its name.
        name: String,
        /// All its alerts.
        alerts: Vec<TicketAlert>,
    },
    /// Nothing is new.
    Known,
}

/// Decides. `site` is the site whose Alertmanager posted, `alerts` those of the post that belong to the namespace, `tickets` all of the namespace.
pub fn intake(site: &str, group_key: &str, alerts: &[Alert], tickets: &[MaintenanceTicket], zone: &TimeZone) -> Intake {
    let open = tickets.iter().filter(|ticket| !phase(ticket).is_end() && ticket.spec.r#type == TicketType::Incident);
    let ours = open.min_by_key(|ticket| {
        (fit(ticket, site, group_key, alerts), ticket.metadata.creation_timestamp.as_ref().map(|time| time.0), ticket.metadata.name.clone())
    });
    if let Some(ticket) = ours.filter(|ticket| fit(ticket, site, group_key, alerts) != Fit::Not) {
        return join(site, ticket, alerts);
    }
    let firing: Vec<&Alert> = alerts.iter().filter(|alert| alert.state == AlertState::Firing).collect();
    let Some(start) = firing.iter().map(|alert| alert.start).min() else { return Intake::Known };
    let digest = hex::encode(Sha256::digest(format!("{site}\0{group_key}\0{start}")));
    let stem = format!("inc-{}", start.to_zoned(zone.clone()).strftime("%Y%m%d"));
    for length in [4, 12, 32] {
        let name = format!("{stem}-{}", &digest[..length]);
        match tickets.iter().find(|ticket| ticket.metadata.name.as_deref() == Some(&name)) {
            None => return Intake::Open { name, spec: Box::new(spec(site, group_key, &firing, start)), alerts: merge(site, &[], alerts) },
            // The same trouble, and a person has ended the ticket: that holds until it begins anew.
            Some(ticket) if source(ticket).is_some_and(|source| source.group_key == group_key && source.site_ref.name == site) => return Intake::Known,
            // Another's name: a longer one.
            Some(_) => {}
        }
    }
    Intake::Known
}

fn phase(ticket: &MaintenanceTicket) -> TicketPhase {
    ticket.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

fn source(ticket: &MaintenanceTicket) -> Option<&AlertmanagerSource> {
    ticket.spec.incident.as_ref()?.source.as_ref()?.alertmanager.as_ref()
}

/// How well a ticket fits a group; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Group,
    Alert,
    Site,
    Not,
}

fn fit(ticket: &MaintenanceTicket, site: &str, group_key: &str, alerts: &[Alert]) -> Fit {
    if source(ticket).is_some_and(|source| source.group_key == group_key && source.site_ref.name == site) {
        return Fit::Group;
    }
    let known = ticket.status.as_ref().map(|status| status.alerts.as_slice()).unwrap_or_default();
    if source(ticket).is_some() && alerts.iter().any(|alert| known.iter().any(|known| known.fingerprint == alert.fingerprint)) {
        return Fit::Alert;
    }
    let lost = known.iter().any(|known| known.alert_name == SITE_LOST && known.state == AlertState::Firing);
    let of_site = |name: &str| alerts.iter().all(|alert| alert.label("site") == Some(name));
    if lost && !alerts.is_empty() && ticket.spec.affects.site_refs.iter().any(|lost| of_site(&lost.name)) { Fit::Site } else { Fit::Not }
}

fn join(site: &str, ticket: &MaintenanceTicket, alerts: &[Alert]) -> Intake {
    let before = ticket.status.as_ref().map(|status| status.alerts.as_slice()).unwrap_or_default();
    let merged = merge(site, before, alerts);
    if merged == before { Intake::Known } else { Intake::Join { name: ticket.metadata.name.clone().unwrap_or_default(), alerts: merged } }
}

/// The alerts of a ticket after a post: each fingerprint once, the newest word on it.
fn merge(site: &str, before: &[TicketAlert], alerts: &[Alert]) -> Vec<TicketAlert> {
    let mut all = before.to_vec();
    for alert in alerts {
        match all.iter().position(|known| known.fingerprint == alert.fingerprint) {
            Some(index) => {
                let known = &mut all[index];
                // An older beginning is a late post. At the same beginning an end is never taken back.
                let late = alert.start < known.start_time.0 || (alert.start == known.start_time.0 && known.state == AlertState::Resolved);
                if !late {
                    let told_first = known.posted_by.take().filter(|_| alert.start == known.start_time.0);
                    *known = alert.as_status(told_first.as_deref().unwrap_or(site));
                }
            }
            None if all.len() < MOST && alert.state == AlertState::Firing => all.push(alert.as_status(site)),
            None => {}
        }
    }
    all
}

fn spec(site: &str, group_key: &str, firing: &[&Alert], start: Timestamp) -> MaintenanceTicketSpec {
    let worst = firing.iter().min_by_key(|alert| (grades(alert.label("severity")), alert.start, alert.name.clone()));
    let (impact, urgency) = worst.map_or((Grade::Low, Grade::Low), |alert| grades(alert.label("severity")));
    let named = |label: &str, most: usize| {
        let names: BTreeSet<&str> = firing.iter().filter_map(|alert| alert.label(label)).filter(|name| name.len() <= 253).collect();
        names.into_iter().take(most).map(ObjectReference::new).collect::<Vec<_>>()
    };
    MaintenanceTicketSpec {
        r#type: TicketType::Incident,
        title: title(worst.copied(), firing.len()),
        impact,
        urgency,
        affects: Affected { application_refs: named("application", 256), site_refs: named("site", 32) },
        incident: Some(Incident {
            source: Some(IncidentSource { alertmanager: Some(AlertmanagerSource { site_ref: ObjectReference::new(site), group_key: group_key.to_owned() }) }),
            start_time: Some(Time(start)),
            service_state: None,
            runbook: worst.map(|alert| alert.name.clone()),
            level: None,
        }),
        change: None,
        from: None,
        due_time: None,
        requested_by: None,
        actions: Vec::new(),
    }
}

/// Impact and urgency by an alert's label `severity`.
fn grades(severity: Option<&str>) -> (Grade, Grade) {
    match severity {
        Some("critical") => (Grade::High, Grade::High),
        Some("error" | "major") => (Grade::High, Grade::Medium),
        Some("warning") => (Grade::Medium, Grade::Medium),
        Some(_) | None => (Grade::Low, Grade::Low),
    }
}

/// What the worst alert says of itself, and how many there are beside it.
fn title(worst: Option<&Alert>, count: usize) -> LocalizedText {
    let said = |key: &str| worst.and_then(|alert| alert.annotations.get(key)).map(|text| text.trim()).filter(|text| !text.is_empty());
    let harmless = |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
    let name = worst.map_or("alert", |alert| alert.name.as_str());
    let (more, more_zh) = if count > 1 { (format!(" (+{})", count - 1), format!("（另 {} 条）", count - 1)) } else { (String::new(), String::new()) };
    let with = |text: &str, more: &str| Some(format!("{}{more}", shorten(&harmless(text), 480)));
    LocalizedText { zh: said("summary_zh").and_then(|text| with(text, &more_zh)), en: with(said("summary").unwrap_or(name), &more) }
}
