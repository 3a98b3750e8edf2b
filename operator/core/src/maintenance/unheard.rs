//! Alerts whose end nobody was told.
//!
//! Alertmanager does not post the end of an alert that is silenced when it ends, and of what is gone when the silence ends it never speaks again. So what a
//! ticket has as firing is looked for in the Alertmanager that it came from: what has not been there for a while has ended.

use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    MaintenanceTicket, Time,
    maintenance::ticket::{AlertState, TicketAlert, TicketType},
};
use std::collections::{BTreeMap, BTreeSet};

/// An Alertmanager that has not run for so long says nothing: Prometheus tells it of what fires again and again, but not at once.
pub const SETTLES: SignedDuration = SignedDuration::from_mins(5);
/// What has been absent for so long has ended: Prometheus tells of what fires once a minute, and Alertmanager keeps it for several.
pub const ABSENT: SignedDuration = SignedDuration::from_secs(60);

/// The site whose Alertmanager a ticket's alerts came from, and those that fire.
pub fn firing(ticket: &MaintenanceTicket) -> Option<(&str, Vec<&str>)> {
    let status = ticket.status.as_ref()?;
    if ticket.spec.r#type != TicketType::Incident || status.phase.is_some_and(|phase| phase.is_end()) {
        return None;
    }
    let source = ticket.spec.incident.as_ref()?.source.as_ref()?.alertmanager.as_ref()?;
    let firing: Vec<&str> = status.alerts.iter().filter(|alert| alert.state == AlertState::Firing).map(|alert| alert.fingerprint.as_str()).collect();
    (!firing.is_empty()).then_some((source.site_ref.name.as_str(), firing))
}

/// Since when alerts of tickets have been absent, by the ticket's UID and the alert's fingerprint.
#[derive(Clone, Debug, Default)]
pub struct Absences {
    since: BTreeMap<(String, String), Timestamp>,
}

impl Absences {
    /// Notes which of a ticket's firing alerts are in no Alertmanager at `now`; gives those that have been in none for long enough.
    pub fn look(&mut self, ticket: &str, firing: &[&str], present: &BTreeSet<String>, now: Timestamp) -> Vec<String> {
        let mut gone = Vec::new();
        for fingerprint in firing {
            let key = (ticket.to_owned(), (*fingerprint).to_owned());
            if present.contains(*fingerprint) {
                self.since.remove(&key);
                continue;
            }
            let since = self.since.entry(key).or_insert(now);
            // A clock that was put back begins anew.
            *since = (*since).min(now);
            if now.duration_since(*since) >= ABSENT {
                gone.push((*fingerprint).to_owned());
            }
        }
        gone
    }

    /// Nothing is known of a ticket's alerts any more: its Alertmanager was not heard.
    pub fn forget(&mut self, ticket: &str) {
        self.since.retain(|(of, _), _| of != ticket);
    }

    /// Forgets all tickets but these.
    pub fn keep(&mut self, tickets: &BTreeSet<String>) {
        self.since.retain(|(of, _), _| tickets.contains(of));
    }
}

/// A ticket's alerts after some of them were found to have ended.
pub fn ended(before: &[TicketAlert], gone: &[String], now: Timestamp) -> Vec<TicketAlert> {
    let end = |alert: &TicketAlert| {
        let over = alert.state == AlertState::Firing && gone.contains(&alert.fingerprint);
        if over { TicketAlert { state: AlertState::Resolved, end_time: Some(Time(now)), ..alert.clone() } } else { alert.clone() }
    };
    before.iter().map(end).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ticket(phase: &str) -> MaintenanceTicket {
        let alert = |fingerprint: &str, state: &str| json!({"fingerprint": fingerprint, "alertName": "A", "state": state, "startTime": "2026-12-07T19:06:10Z"});
        let source = json!({"alertmanager": {"siteRef": {"name": "here"}, "groupKey": "g"}});
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "inc-1", "uid": "u"},
            "spec": {"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {"source": source}},
            "status": {"phase": phase, "alerts": [alert("a", "Firing"), alert("b", "Firing"), alert("c", "Resolved")]}}))
        .unwrap()
    }

    #[test]
    fn what_an_alertmanager_has_not_had_for_a_minute_has_ended_and_nothing_else() {
        let ticket = ticket("Acknowledged");
        let (site, firing) = firing(&ticket).unwrap();
        assert_eq!((site, firing.as_slice()), ("here", ["a", "b"].as_slice()));
        let (all, one) = (BTreeSet::from(["a".to_owned(), "b".to_owned()]), BTreeSet::from(["b".to_owned()]));
        let mut absences = Absences::default();
        assert!(absences.look("u", &firing, &one, at(0)).is_empty(), "it was there a moment ago");
        assert!(absences.look("u", &firing, &all, at(30)).is_empty());
        assert!(absences.look("u", &firing, &one, at(60)).is_empty(), "it was there in between");
        assert!(absences.look("u", &firing, &one, at(119)).is_empty());
        let gone = absences.look("u", &firing, &one, at(120));
        assert_eq!(gone, ["a"]);
        let after = ended(&ticket.status.as_ref().unwrap().alerts, &gone, at(120));
        assert_eq!(after.iter().map(|alert| alert.state).collect::<Vec<_>>(), [AlertState::Resolved, AlertState::Firing, AlertState::Resolved]);
        assert_eq!((after[0].end_time.clone(), after[2].end_time.clone()), (Some(Time(at(120))), None));
    }

    #[test]
    fn an_alertmanager_that_is_not_heard_and_a_clock_that_is_put_back_end_nothing() {
        let mut absences = Absences::default();
        let none = BTreeSet::new();
        assert!(absences.look("u", &["a"], &none, at(0)).is_empty());
        absences.forget("u");
        assert!(absences.look("u", &["a"], &none, at(90)).is_empty(), "nobody knows what was in between");
        assert!(absences.look("u", &["a"], &none, at(-3600)).is_empty());
        assert!(absences.look("u", &["a"], &none, at(-3570)).is_empty());
        assert_eq!(absences.look("u", &["a"], &none, at(-3540)), ["a"]);
        absences.keep(&BTreeSet::new());
        assert!(absences.look("u", &["a"], &none, at(500)).is_empty());
        assert_eq!(super::firing(&ticket("Closed")), None, "what has ended is not looked for");
    }
}
