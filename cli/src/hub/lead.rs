//! Whether an operator leads. Statuses are written only when they change, so old news look like good news: only the lease tells whether anybody keeps them true.

use super::Hub;
use crate::{
    error::Result,
    format::Clock,
    text::{self, Bilingual, Language},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// The lease that the acting operator renews.
const LEASE: &str = "p861-operator";
/// Time between two readings of the lease while something is followed.
const LEASE_INTERVAL: Duration = Duration::from_secs(5);
/// Clocks of computers differ; a lease that is older than this beyond its end is old by any of them.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// A reading of the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// When an operator last renewed it; none if none ever did.
    pub renewed: Option<Timestamp>,
    /// How long a renewal holds.
    pub holds: SignedDuration,
    /// Whether anybody has it. An operator that ends in order gives it back.
    pub held: bool,
}

/// No operator leads: nothing goes on, and what statuses say is as of then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaderless {
    /// The last sign of an operator that led, if there was one.
    pub since: Option<Timestamp>,
}

impl Heartbeat {
    fn of(lease: Lease) -> Self {
        let spec = lease.spec.unwrap_or_default();
        // Who gives the lease back takes its time out of it. When the API server last took a change is still there.
        let written = || lease.metadata.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max();
        Self {
            renewed: spec.renew_time.map(|time| time.0).or_else(written),
            holds: SignedDuration::from_secs(spec.lease_duration_seconds.map_or(0, i64::from)),
            held: spec.holder_identity.is_some_and(|holder| !holder.is_empty()),
        }
    }

    fn none_leads(self) -> Leaderless {
        Leaderless { since: self.renewed }
    }

    /// That no operator leads, by this one reading and the reader's clock.
    pub fn leaderless(self, now: Timestamp) -> Option<Leaderless> {
        let is_fresh = self.renewed.is_some_and(|renewed| now.duration_since(renewed) <= self.holds + CLOCKS_DIFFER);
        (!self.held || !is_fresh).then(|| self.none_leads())
    }
}

impl Leaderless {
    /// `no operator has led since 03:04:10 (12m ago)`.
    pub fn said(self, clock: &Clock) -> Bilingual {
        let Some(since) = self.since else { return text::no_operator_leads() };
        let ago = |language: Language| text::ago(&clock.moment(since), &clock.age(since, language)).pick(language).to_owned();
        text::no_operator_since(&ago(Language::En), &ago(Language::Zh))
    }

    /// The same, and what that means for what is shown.
    pub fn warning(self, clock: &Clock) -> Bilingual {
        text::kept_by_nobody(&self.said(clock), self.since.is_some())
    }
}

/// Readings in a row. A lease that moves is renewed, whatever the clocks of two computers say, and one that stands still for longer than it holds is not.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    last: Heartbeat,
    /// Since when it stands still, as far as was seen.
    still_since: Instant,
    has_moved: bool,
}

impl Pulse {
    fn new(first: Heartbeat, at: Instant) -> Self {
        Self { last: first, still_since: at, has_moved: false }
    }

    fn take(&mut self, reading: Heartbeat, at: Instant, now: Timestamp) -> Option<Leaderless> {
        if reading.renewed != self.last.renewed {
            (self.still_since, self.has_moved) = (at, true);
        }
        self.last = reading;
        // It may have been renewed just before the reading that is not made yet.
        let holds = Duration::try_from(reading.holds).unwrap_or_default() + LEASE_INTERVAL;
        if !reading.held || at.duration_since(self.still_since) > holds {
            return Some(reading.none_leads());
        }
        if self.has_moved { None } else { reading.leaderless(now) }
    }
}

impl Hub {
    /// Reads the lease. None if the person may not.
    pub async fn read_heartbeat(&self) -> Result<Option<Heartbeat>> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.operator_namespace);
        match leases.get_opt(LEASE).await {
            Ok(lease) => Ok(Some(lease.map(Heartbeat::of).unwrap_or_default())),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            Err(error) => Err(self.explain(&error, &text::to_read("lease", LEASE))),
        }
    }

    /// That no operator led when the hub was first asked.
    pub fn leaderless(&self) -> Option<Leaderless> {
        self.heartbeat.and_then(|heartbeat| heartbeat.leaderless(Timestamp::now()))
    }
}

/// Follows whether an operator leads, until the receiver is dropped: it changes when that changes. Who may not read the lease is told nothing.
pub fn follow_lead(hub: &Hub) -> watch::Receiver<Option<Leaderless>> {
    let (sender, receiver) = watch::channel(hub.leaderless());
    let hub = hub.clone();
    tokio::spawn(async move {
        let Some(first) = hub.heartbeat else { return sender.closed().await };
        let mut pulse = Pulse::new(first, Instant::now());
        loop {
            tokio::select! {
                () = tokio::time::sleep(LEASE_INTERVAL) => {}
                () = sender.closed() => return,
            }
            // A hub that does not answer says nothing of its operator; its silence is told by those who follow an object.
            if let Ok(Some(reading)) = hub.read_heartbeat().await {
                let now = pulse.take(reading, Instant::now(), Timestamp::now());
                sender.send_if_modified(|told| std::mem::replace(told, now) != now);
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000 + second).expect("a time")
    }

    fn renewed(second: i64) -> Heartbeat {
        Heartbeat { renewed: Some(at(second)), holds: SignedDuration::from_secs(15), held: true }
    }

    #[test]
    fn fault_h7_by_one_reading_a_lease_is_old_only_if_it_is_so_by_any_clock() {
        for (reading, now, since) in [
            (renewed(0), 10, None),
            (renewed(0), 75, None),
            (renewed(0), 76, Some(Some(at(0)))),
            (Heartbeat { held: false, ..renewed(0) }, 1, Some(Some(at(0)))),
            (Heartbeat::default(), 1, Some(None)),
        ] {
            assert_eq!(reading.leaderless(at(now)).map(|leaderless| leaderless.since), since, "{reading:?} at {now}");
        }
    }

    #[test]
    fn fault_h7_a_lease_that_moves_is_renewed_whatever_the_readers_clock_says() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        // The reader's clock is an hour ahead.
        let now = |second: i64| at(second + 3_600);
        let mut pulse = Pulse::new(renewed(0), start);
        assert_eq!(pulse.take(renewed(0), after(1), now(1)), Some(Leaderless { since: Some(at(0)) }), "by the clocks it is old, and nothing else is known yet");
        assert_eq!(pulse.take(renewed(5), after(6), now(6)), None);
        assert_eq!(pulse.take(renewed(5), after(26), now(26)), None, "a reading may be late");
        assert_eq!(pulse.take(renewed(5), after(27), now(27)), Some(Leaderless { since: Some(at(5)) }));
        assert_eq!(pulse.take(renewed(40), after(41), now(41)), None, "an operator leads again");
        let given_back = Heartbeat { held: false, ..renewed(40) };
        assert_eq!(pulse.take(given_back, after(42), now(42)), Some(Leaderless { since: Some(at(40)) }), "nobody has it");
    }

    #[test]
    fn a_lease_that_was_given_back_still_tells_when_it_was_last_renewed() {
        let lease = json!({"metadata": {"managedFields": [{"manager": "a", "time": "2026-11-24T00:00:00Z"}, {"manager": "b", "time": "2026-11-24T00:00:07Z"}]},
            "spec": {"leaseDurationSeconds": 15}});
        let reading = Heartbeat::of(serde_json::from_value(lease).expect("a lease"));
        assert_eq!((reading.renewed, reading.held), (Some("2026-11-24T00:00:07Z".parse().expect("a time")), false));
    }

    #[test]
    fn who_is_told_that_no_operator_leads_is_told_since_when_in_both_languages() {
        let clock = Clock { now: at(720), zone: jiff::tz::TimeZone::UTC };
        let said = Leaderless { since: Some(at(0)) }.warning(&clock);
        assert_eq!(said.en, "no operator has led since 00:16:40 (12m ago): the state shown is of that time, and nothing goes on until one does");
        assert!(said.zh.contains("00:16:40（12分钟前）"), "{said:?}");
        assert_eq!(Leaderless { since: None }.warning(&clock).en, "no operator leads: nothing is reconciled, and nothing goes on until one does");
    }
}
