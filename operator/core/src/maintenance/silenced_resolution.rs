//! Alerts that resolved while they were silenced.
//!
//! Alertmanager posts no resolution for an alert that is silenced when it resolves, not even when the silence ends later. So the operator looks for the firing
//! alerts of each ticket in the Alertmanager that posted them, and resolves those that have been absent for a while.

use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    MaintenanceTicket, Time,
    maintenance::ticket::{AlertState, TicketAlert, TicketPhase, TicketType},
};
use std::collections::{BTreeMap, BTreeSet};

/// An Alertmanager that has run for less than this is not asked: after a restart Prometheus needs some minutes to send it all firing alerts again.
pub const MIN_UPTIME: SignedDuration = SignedDuration::from_mins(5);
/// An alert that has been absent for this long has resolved. Alertmanager posts a resolution within its `group_interval`, by default five minutes: until then
/// it is Alertmanager's to post.
pub const RESOLVED_AFTER: SignedDuration = SignedDuration::from_mins(6);

/// A firing alert of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FiringAlert {
    /// The Site whose Alertmanager posted it.
    pub site: String,
    /// Alertmanager's name of it.
    pub fingerprint: String,
    /// Since when it fires.
    pub start: Timestamp,
}

/// The firing alerts of an open incident. Alerts without `postedBy`, which older posts lack, are left out.
pub fn firing_alerts(ticket: &MaintenanceTicket) -> Vec<FiringAlert> {
    let Some(status) = ticket.status.as_ref().filter(|status| !status.phase.is_some_and(TicketPhase::is_end)) else {
        return Vec::new();
    };
    if ticket.spec.r#type != TicketType::Incident {
        return Vec::new();
    }
    let of = |alert: &TicketAlert| Some(FiringAlert { site: alert.posted_by.clone()?, fingerprint: alert.fingerprint.clone(), start: alert.start_time.0 });
    status.alerts.iter().filter(|alert| alert.state == AlertState::Firing).filter_map(of).collect()
}

/// Since when alerts of tickets have been absent from all Alertmanagers, by the ticket's UID.
#[derive(Clone, Debug, Default)]
pub struct AbsentAlerts {
    since: BTreeMap<(String, FiringAlert), Timestamp>,
}

impl AbsentAlerts {
    /// Returns those of a ticket's firing alerts that have been absent for [`RESOLVED_AFTER`] at `now`. `present` has the fingerprints of each site whose
    /// Alertmanager answered; an alert whose own Alertmanager did not answer counts as present.
    pub fn observe(&mut self, ticket: &str, firing: &[FiringAlert], present: &BTreeMap<String, BTreeSet<String>>, now: Timestamp) -> Vec<FiringAlert> {
        let mut gone = Vec::new();
        for alert in firing {
            let key = (ticket.to_owned(), alert.clone());
            if !present.contains_key(&alert.site) || present.values().any(|alerts| alerts.contains(&alert.fingerprint)) {
                self.since.remove(&key);
                continue;
            }
            let since = self.since.entry(key).or_insert(now);
            // Start over if the clock went backwards.
            *since = (*since).min(now);
            if now.duration_since(*since) >= RESOLVED_AFTER {
                gone.push(alert.clone());
            }
        }
        gone
    }

    /// Forgets all tickets but these.
    pub fn retain(&mut self, tickets: &BTreeSet<String>) {
        self.since.retain(|(of, _), _| tickets.contains(of));
    }
}

/// A ticket's alerts with those in `gone` resolved at `now`. An alert that has started again meanwhile is another one.
pub fn resolve(before: &[TicketAlert], gone: &[FiringAlert], now: Timestamp) -> Vec<TicketAlert> {
    let is_gone = |alert: &TicketAlert| gone.iter().any(|gone| gone.fingerprint == alert.fingerprint && gone.start == alert.start_time.0);
    let end = |alert: &TicketAlert| {
        let over = alert.state == AlertState::Firing && is_gone(alert);
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
        let alert = |fingerprint: &str, state: &str, site: &str| json!({"fingerprint": fingerprint, "alertName": "A", "state": state, "startTime": "2026-12-07T19:06:10Z", "postedBy": site});
        let alerts = [alert("a", "Firing", "here"), alert("b", "Firing", "here"), alert("c", "Resolved", "here"), alert("d", "Firing", "there")];
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "inc-1", "uid": "u"},
            "spec": {"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {}}, "status": {"phase": phase, "alerts": alerts}}))
        .unwrap()
    }

    fn present(alerts: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        alerts.iter().map(|(site, alerts)| ((*site).to_owned(), alerts.iter().map(|alert| (*alert).to_owned()).collect())).collect()
    }

    fn names(gone: &[FiringAlert]) -> Vec<&str> {
        gone.iter().map(|alert| alert.fingerprint.as_str()).collect()
    }

    #[test]
    fn an_alert_resolves_after_six_minutes_of_absence_from_its_alertmanager() {
        let ticket = ticket("Acknowledged");
        let firing = firing_alerts(&ticket);
        assert_eq!(names(&firing), ["a", "b", "d"]);
        let (all, one) = (present(&[("here", &["a", "b"])]), present(&[("here", &["b"])]));
        let mut absent = AbsentAlerts::default();
        assert!(absent.observe("u", &firing, &one, at(0)).is_empty(), "it was there a moment ago");
        assert!(absent.observe("u", &firing, &all, at(200)).is_empty());
        assert!(absent.observe("u", &firing, &one, at(360)).is_empty(), "it was there in between");
        assert!(absent.observe("u", &firing, &one, at(719)).is_empty());
        let gone = absent.observe("u", &firing, &one, at(720));
        assert_eq!(names(&gone), ["a"], "what another site's Alertmanager told of is not for this one to end");
        let mut alerts = ticket.status.as_ref().unwrap().alerts.clone();
        let states = |alerts: &[TicketAlert]| alerts.iter().map(|alert| alert.state == AlertState::Firing).collect::<Vec<_>>();
        assert_eq!(states(&resolve(&alerts, &gone, at(720))), [false, true, false, true]);
        alerts[0].start_time = Time(at(719));
        assert_eq!(states(&resolve(&alerts, &gone, at(720))), [true, true, false, true], "it has begun anew");
    }

    #[test]
    fn a_silent_alertmanager_or_a_clock_set_back_resolves_nothing() {
        let firing = firing_alerts(&ticket("Acknowledged"))[..1].to_vec();
        let (none, other) = (present(&[("here", &[])]), present(&[("there", &[])]));
        let mut absent = AbsentAlerts::default();
        assert!(absent.observe("u", &firing, &none, at(0)).is_empty());
        assert!(absent.observe("u", &firing, &other, at(300)).is_empty());
        assert!(absent.observe("u", &firing, &none, at(400)).is_empty(), "nobody knows what was in between");
        assert!(absent.observe("u", &firing, &none, at(-3600)).is_empty());
        assert!(absent.observe("u", &firing, &none, at(-3300)).is_empty());
        assert_eq!(names(&absent.observe("u", &firing, &none, at(-3240))), ["a"]);
        assert!(absent.observe("u", &firing, &present(&[("here", &[]), ("there", &["a"])]), at(0)).is_empty(), "another has it");
        absent.retain(&BTreeSet::new());
        assert!(absent.observe("u", &firing, &none, at(5000)).is_empty());
        assert!(firing_alerts(&ticket("Closed")).is_empty(), "what has ended is not looked for");
    }
}
