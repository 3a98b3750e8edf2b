//! Posts from Alertmanager, and the tickets that their alerts belong to.
//!
//! One incident per group of alerts. A group finds its ticket by Alertmanager's group key, or by a common alert; alerts of an unreachable site join the ticket of
//! that site. Posts may be repeated, late and out of order: each group and start time opens one ticket, and a resolved alert does not fire again with the same start
//! time. A group that fires again within [`REOPENS_WITHIN`] of the end of its alerts is the same incident, whose ticket is reopened, unless a person ended it.

mod heartbeat;
mod post;

pub use heartbeat::Heartbeats;
pub use post::{Alert, ListedGroup, Post, Refusal, UnreadableAlert, parse};

use crate::conditions::shorten;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    District, LocalizedText, MaintenanceTicket, MaintenanceTicketSpec, ObjectReference, Time,
    maintenance::ticket::{Affected, AlertState, AlertmanagerSource, Grade, Incident, IncidentSource, TicketAlert, TicketPhase, TicketType},
};
use post::printable;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Most alerts that are taken of one post, and that one ticket lists; the others are counted.
pub const MOST: usize = 1_000;
/// An incident that its alerts closed is reopened by an alert that starts within this time. It covers a change of leader, after which the alerts' patience (`for`)
/// begins anew.
pub const REOPENS_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// The longest name of an application or a site that a ticket can affect, in bytes.
const MAX_OBJECT_NAME_BYTES: usize = 253;
/// Alerts that speak of tickets themselves: a ticket about a late ticket would be late too.
const OF_TICKETS: [&str; 1] = ["P861TicketOverdue"];
/// Alert whose ticket collects all other alerts of the same site.
const SITE_LOST: &str = "P861SiteUnreachable";
/// Severity of alerts that by convention are for nobody to act on, such as a heartbeat.
const SEVERITY_NONE: &str = "none";

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

/// Namespace of an alert's ticket: that of the district in its labels, else of every district of the site in its labels, else the hub-wide one. Alerts about tickets,
/// and those of severity `none`, have no ticket.
pub fn place(alert: &Alert, districts: &[District]) -> Place {
    if OF_TICKETS.contains(&alert.name.as_str()) || alert.label("severity") == Some(SEVERITY_NONE) {
        return Place::None;
    }
    let namespace = |district: &District| district.hub_namespace().to_owned();
    if let Some(named) = alert.label("district") {
        return district_of(named, districts)
            .map_or_else(|| Place::Unknown(format!("district {}", shorten(named, 64))), |district| Place::Districts(BTreeSet::from([namespace(district)])));
    }
    let Some(site) = alert.label("site") else { return Place::City };
    let of_site: BTreeSet<String> =
        districts.iter().filter(|district| district.spec.sites.iter().any(|used| used.site_ref.name == site)).map(namespace).collect();
    if of_site.is_empty() { Place::City } else { Place::Districts(of_site) }
}

/// The district that a label `district` names, by its name or its namespace.
fn district_of<'a>(named: &str, districts: &'a [District]) -> Option<&'a District> {
    districts.iter().find(|district| district.hub_namespace() == named || district.metadata.name.as_deref() == Some(named))
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
        listed: Listed,
    },
    /// A ticket that is there has these alerts now.
    Join {
        /// Its name.
        name: String,
        /// All its alerts.
        listed: Listed,
    },
    /// Nothing is new.
    Known,
}

/// The alerts of a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Those that the ticket lists; at most [`MOST`].
    pub alerts: Vec<TicketAlert>,
    /// Number of alerts that it doesn't list; none if it lists all.
    pub truncated: Option<i32>,
}

/// The alerts of a post that belong to one namespace.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The site whose Alertmanager posted.
    pub site: &'a str,
    /// Alertmanager's name of the group.
    pub group_key: &'a str,
    /// Number of alerts of the group that were not posted, wherever they belong.
    pub truncated: u64,
    /// The alerts.
    pub alerts: &'a [Alert],
}

/// Decides. `tickets` are all of the namespace.
pub fn intake(part: &Part<'_>, tickets: &[MaintenanceTicket], zone: &TimeZone) -> Intake {
    let Part { site, group_key, truncated, alerts } = *part;
    let (ended, open): (Vec<_>, Vec<_>) = tickets.iter().filter(|ticket| ticket.spec.r#type == TicketType::Incident).partition(|ticket| has_ended(ticket));
    let ours = open.into_iter().min_by_key(|ticket| {
        (fit(ticket, site, group_key, alerts), ticket.metadata.creation_timestamp.as_ref().map(|time| time.0), ticket.metadata.name.clone())
    });
    if let Some(ticket) = ours.filter(|ticket| fit(ticket, site, group_key, alerts) != Fit::Not) {
        return join(part, ticket);
    }
    // A beginning that an ended ticket has is no news: its alert resolved, or a person has ended the ticket all the same.
    let news = |alert: &&Alert| alert.state == AlertState::Firing && !ended.iter().any(|ticket| has_beginning(ticket, alert));
    let firing: Vec<&Alert> = alerts.iter().filter(news).collect();
    let Some(start) = firing.iter().map(|alert| alert.start).min() else { return Intake::Known };
    let reopens = |ticket: &&&MaintenanceTicket| {
        fit(ticket, site, group_key, alerts) != Fit::Not && closed_by_alerts(ticket).is_some_and(|closed| start.duration_since(closed) <= REOPENS_WITHIN)
    };
    if let Some(ticket) = ended.iter().filter(reopens).max_by_key(|ticket| closed_by_alerts(ticket)) {
        return join(part, ticket);
    }
    let digest = hex::encode(Sha256::digest(format!("{site}\0{group_key}\0{start}")));
    let stem = format!("inc-{}", start.to_zoned(zone.clone()).strftime("%Y%m%d"));
    for length in [4, 12, 32] {
        let name = format!("{stem}-{}", &digest[..length]);
        match tickets.iter().find(|ticket| ticket.metadata.name.as_deref() == Some(&name)) {
            None => {
                let (alerts, surplus) = merge(site, &[], alerts);
                let listed = Listed { alerts, truncated: counted(truncated.saturating_add(surplus)) };
                return Intake::Open { name, spec: Box::new(spec(site, group_key, &firing, start)), listed };
            }
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

/// Whether a ticket has ended. One that its alerts closed and that has a firing alert again is about to be reopened.
fn has_ended(ticket: &MaintenanceTicket) -> bool {
    let fires = || ticket.status.iter().flat_map(|status| &status.alerts).any(|alert| alert.state == AlertState::Firing);
    phase(ticket).is_end() && !(closed_by_alerts(ticket).is_some() && fires())
}

/// When its alerts closed an incident; none if a person ended it, or it has not ended.
fn closed_by_alerts(ticket: &MaintenanceTicket) -> Option<Timestamp> {
    let status = ticket.status.as_ref()?;
    status.closed_phase?;
    status.completion_time.as_ref().map(|time| time.0)
}

/// Whether a ticket lists an alert with this start time or a later one.
fn has_beginning(ticket: &MaintenanceTicket, alert: &Alert) -> bool {
    let known = ticket.status.as_ref().map(|status| status.alerts.as_slice()).unwrap_or_default();
    known.iter().any(|known| known.fingerprint == alert.fingerprint && alert.start <= known.start_time.0)
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

fn join(part: &Part<'_>, ticket: &MaintenanceTicket) -> Intake {
    let status = ticket.status.as_ref();
    let before = status.map(|status| status.alerts.as_slice()).unwrap_or_default();
    let known = status.and_then(|status| status.truncated_alerts);
    let (alerts, surplus) = merge(part.site, before, part.alerts);
    let now = counted(part.truncated.saturating_add(surplus));
    // Another group's post lists nothing of what this one's left out.
    let own = fit(ticket, part.site, part.group_key, part.alerts) == Fit::Group;
    let truncated = if own { now } else { now.max(known) };
    if alerts == before && truncated == known {
        return Intake::Known;
    }
    Intake::Join { name: ticket.metadata.name.clone().unwrap_or_default(), listed: Listed { alerts, truncated } }
}

/// As the status has it: absent rather than 0.
fn counted(truncated: u64) -> Option<i32> {
    (truncated > 0).then(|| i32::try_from(truncated).unwrap_or(i32::MAX))
}

/// The alerts of a ticket after a post: each fingerprint once, the newest word on it. Also the number of firing alerts that it has no room for.
fn merge(site: &str, before: &[TicketAlert], alerts: &[Alert]) -> (Vec<TicketAlert>, u64) {
    let mut all = before.to_vec();
    let mut surplus = 0;
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
            None if alert.state == AlertState::Resolved => {}
            None if all.len() < MOST => all.push(alert.as_status(site)),
            // What has ended makes room for what fires.
            None => match all.iter().position(|known| known.state == AlertState::Resolved) {
                Some(index) => all[index] = alert.as_status(site),
                None => surplus += 1,
            },
        }
    }
    (all, surplus)
}

fn spec(site: &str, group_key: &str, firing: &[&Alert], start: Timestamp) -> MaintenanceTicketSpec {
    let worst = firing.iter().min_by_key(|alert| (grades(alert.label("severity")), alert.start, alert.name.clone()));
    let (impact, urgency) = worst.map_or((Grade::Low, Grade::Low), |alert| grades(alert.label("severity")));
    let named = |label: &str, most: usize| {
        let names: BTreeSet<&str> = firing.iter().filter_map(|alert| alert.label(label)).filter(|name| name.len() <= MAX_OBJECT_NAME_BYTES).collect();
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
pub fn grades(severity: Option<&str>) -> (Grade, Grade) {
    match severity {
        Some("critical") => (Grade::High, Grade::High),
        Some("error" | "major") => (Grade::High, Grade::Medium),
        Some("warning") => (Grade::Medium, Grade::Medium),
        Some(_) | None => (Grade::Low, Grade::Low),
    }
}

/// What the worst alert says of itself, and how many there are beside it. An alert of others often says nothing in Chinese: its name does, and its words are quoted.
fn title(worst: Option<&Alert>, count: usize) -> LocalizedText {
    let said = |key: &str| worst.and_then(|alert| alert.annotations.get(key)).map(|text| text.trim()).filter(|text| !text.is_empty());
    let name = worst.map_or("alert", |alert| alert.name.as_str());
    let (more, more_zh) = if count > 1 { (format!(" (+{})", count - 1), format!("（另 {} 条）", count - 1)) } else { (String::new(), String::new()) };
    let with = |text: &str, more: &str| Some(format!("{}{more}", shorten(&printable(text), 480)));
    let quoted = |summary: &str| format!("告警 {name}：“{}”", shorten(&printable(summary), 400));
    let chinese = said("summary_zh").map_or_else(|| said("summary").map_or_else(|| format!("告警 {name}"), quoted), ToOwned::to_owned);
    LocalizedText { zh: with(&chinese, &more_zh), en: with(said("summary").unwrap_or(name), &more) }
}
