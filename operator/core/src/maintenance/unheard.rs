//! Resolution of silenced alerts.
//!
//! Alertmanager does not report the end of an alert that ends while it is silenced, not even after the silence. So the operator
//! looks up a ticket's firing alerts in their Alertmanager; an alert that has been absent for a while counts as resolved.

use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    MaintenanceTicket, Time,
    maintenance::ticket::{AlertState, TicketAlert, TicketPhase, TicketType},
};
use std::collections::{BTreeMap, BTreeSet};

/// Minimum uptime of an Alertmanager before its answer counts: Prometheus needs some time to report all firing alerts to it again.
pub const SETTLES: SignedDuration = SignedDuration::from_mins(5);
/// An alert that has been absent for this long counts as resolved. Alertmanager itself reports a resolved alert within its `group_interval` (default five minutes),
/// so wait longer than that.
pub const ABSENT: SignedDuration = SignedDuration::from_mins(6);

/// An alert of a ticket that fires, and where it was posted from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burning {
    /// The Site whose Alertmanager told of it.
    pub site: String,
    /// Alertmanager's name of it.
    pub fingerprint: String,
    /// Since when it fires.
    pub start: Timestamp,
}

/// Firing alerts of an incident. Alerts posted before their source was recorded are left out.
pub fn burning(ticket: &MaintenanceTicket) -> Vec<Burning> {
    let Some(status) = ticket.status.as_ref().filter(|status| !status.phase.is_some_and(TicketPhase::is_end)) else {
        return Vec::new();
    };
    if ticket.spec.r#type != TicketType::Incident {
        return Vec::new();
    }
    let of = |alert: &TicketAlert| Some(Burning { site: alert.posted_by.clone()?, fingerprint: alert.fingerprint.clone(), start: alert.start_time.0 });
    status.alerts.iter().filter(|alert| alert.state == AlertState::Firing).filter_map(of).collect()
}

/// Since when alerts of tickets have been absent, by the ticket's UID.
#[derive(Clone, Debug, Default)]
pub struct Absences {
    since: BTreeMap<(String, Burning), Timestamp>,
}

impl Absences {
    /// Notes which of a ticket's alerts are in no Alertmanager at `now`; gives those that have been in none for long enough. `present` has what each Alertmanager
    /// that answered has: of an alert whose own did not answer nothing is known.
    pub fn look(&mut self, ticket: &str, burning: &[Burning], present: &BTreeMap<String, BTreeSet<String>>, now: Timestamp) -> Vec<Burning> {
        let mut gone = Vec::new();
        for alert in burning {
            let key = (ticket.to_owned(), alert.clone());
            if !present.contains_key(&alert.site) || present.values().any(|alerts| alerts.contains(&alert.fingerprint)) {
                self.since.remove(&key);
                continue;
            }
            let since = self.since.entry(key).or_insert(now);
            // A clock that was put back begins anew.
            *since = (*since).min(now);
            if now.duration_since(*since) >= ABSENT {
                gone.push(alert.clone());
            }
        }
        gone
    }

    /// Forgets all tickets but these.
    pub fn keep(&mut self, tickets: &BTreeSet<String>) {
        self.since.retain(|(of, _), _| tickets.contains(of));
    }
}

/// A ticket's alerts after some of them were found to have ended. One that has begun anew meanwhile is another.
pub fn ended(before: &[TicketAlert], gone: &[Burning], now: Timestamp) -> Vec<TicketAlert> {
    let is_gone = |alert: &TicketAlert| gone.iter().any(|gone| gone.fingerprint == alert.fingerprint && gone.start == alert.start_time.0);
    let end = |alert: &TicketAlert| {
        let over = alert.state == AlertState::Firing && is_gone(alert);
        if over { TicketAlert { state: AlertState::Resolved, end_time: Some(Time(now)), ..alert.clone() } } else { alert.clone() }
    };
    before.iter().map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ticket(phase: &str) -> MaintenanceTicket {
        let alert = |fingerprint: &str, state: &str, site: &str| json!({"fingerprint": fingerprint, "alertName": "A", "state": state, "startTime": "2026-12-07T19:06:10Z", "postedBy": site});
        let alerts = [alert("a", "Firing", "here"), alert("b", "Firing", "here"), alert("c", "Resolved", "here"), alert("d", "Firing", "there")];
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "inc-1", "uid": "u"},
            "spec": {"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {}}, "status": {"phase": phase, "alerts": alerts}}))
        .unwrap()
    }

    fn present(alerts: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        alerts.iter().map(|(site, alerts)| ((*site).to_owned(), alerts.iter().map(|alert| (*alert).to_owned()).collect())).collect()
    }

    fn names(gone: &[Burning]) -> Vec<&str> {
        gone.iter().map(|alert| alert.fingerprint.as_str()).collect()
    }

    #[test]
    fn what_its_alertmanager_has_not_had_for_six_minutes_has_ended_and_nothing_else() {
        let ticket = ticket("Acknowledged");
        let burning = burning(&ticket);
        assert_eq!(names(&burning), ["a", "b", "d"]);
        let (all, one) = (present(&[("here", &["a", "b"])]), present(&[("here", &["b"])]));
        let mut absences = Absences::default();
        assert!(absences.look("u", &burning, &one, at(0)).is_empty(), "it was there a moment ago");
        assert!(absences.look("u", &burning, &all, at(200)).is_empty());
        assert!(absences.look("u", &burning, &one, at(360)).is_empty(), "it was there in between");
        assert!(absences.look("u", &burning, &one, at(719)).is_empty());
        let gone = absences.look("u", &burning, &one, at(720));
        assert_eq!(names(&gone), ["a"], "what another site's Alertmanager told of is not for this one to end");
        let mut alerts = ticket.status.as_ref().unwrap().alerts.clone();
        let states = |alerts: &[TicketAlert]| alerts.iter().map(|alert| alert.state == AlertState::Firing).collect::<Vec<_>>();
        assert_eq!(states(&ended(&alerts, &gone, at(720))), [false, true, false, true]);
        alerts[0].start_time = Time(at(719));
        assert_eq!(states(&ended(&alerts, &gone, at(720))), [true, true, false, true], "it has begun anew");
    }

    #[test]
    fn an_alertmanager_that_is_not_heard_and_a_clock_that_is_put_back_end_nothing() {
        let burning = burning(&ticket("Acknowledged"))[..1].to_vec();
        let (none, unheard) = (present(&[("here", &[])]), present(&[("there", &[])]));
        let mut absences = Absences::default();
        assert!(absences.look("u", &burning, &none, at(0)).is_empty());
        assert!(absences.look("u", &burning, &unheard, at(300)).is_empty());
        assert!(absences.look("u", &burning, &none, at(400)).is_empty(), "nobody knows what was in between");
        assert!(absences.look("u", &burning, &none, at(-3600)).is_empty());
        assert!(absences.look("u", &burning, &none, at(-3300)).is_empty());
        assert_eq!(names(&absences.look("u", &burning, &none, at(-3240))), ["a"]);
        assert!(absences.look("u", &burning, &present(&[("here", &[]), ("there", &["a"])]), at(0)).is_empty(), "another has it");
        absences.keep(&BTreeSet::new());
        assert!(absences.look("u", &burning, &none, at(5000)).is_empty());
        assert!(super::burning(&ticket("Closed")).is_empty(), "what has ended is not looked for");
    }
}
