//! When a replica may claim the lease, and until when it may act. Pure: times are arguments, and requests are somebody else's.
//!
//! Only differences of the monotonic clock count, never what another machine's clock has written. A holder counts from the moment at which it *sent* the renewal that was accepted,
//! everybody else from the moment at which an answer first *showed* it, which is later: so a holder stops before anybody takes its place. A lease is written only in the version
//! that was read, so of two that claim it one is refused.

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use std::time::{Duration, Instant};

/// A shorter lease can't be renewed in time on a busy API server: its margins are fractions of its length.
const MIN_LEASE_SECONDS: u64 = 3;
const MAX_LEASE_SECONDS: u64 = 600;

/// Length of the lease, and the margins derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    seconds: u64,
}

impl LeaseTimes {
    /// From the length in seconds, as a command line has it.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let seconds = text.parse().ok().filter(|seconds| (MIN_LEASE_SECONDS..=MAX_LEASE_SECONDS).contains(seconds));
        let seconds = seconds.ok_or_else(|| format!("write whole seconds from {MIN_LEASE_SECONDS} to {MAX_LEASE_SECONDS}, for example 15"))?;
        Ok(Self { seconds })
    }

    /// How long the others wait after a renewal that they have seen.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// How long the holder acts after it has sent a renewal. The sixth that is left is for requests that were sent before the end and have not arrived yet.
    pub fn acts_for(self) -> Duration {
        self.duration() * 5 / 6
    }

    /// Time between renewals: one that fails can be made up for before the holder stops.
    pub fn renew_interval(self) -> Duration {
        self.duration() / 3
    }

    /// Time between looks at a lease that somebody else holds; also how long an answer is waited for.
    pub fn read_interval(self) -> Duration {
        self.duration() * 2 / 15
    }

    /// The wait after a request that failed.
    pub fn retry_interval(self) -> Duration {
        self.duration() / 15
    }
}

/// What one replica knows of the lease.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    times: LeaseTimes,
    /// As last read or written, and when an answer first showed who holds it and since when.
    seen: Option<(Lease, Instant)>,
    /// When the renewal was sent that was accepted last.
    renewed: Option<Instant>,
    /// Somebody has deleted the lease while it was held: its holder may not know yet.
    deleted_until: Option<Instant>,
}

impl Candidate {
    /// Who has seen nothing yet.
    pub fn new(identity: &str, times: LeaseTimes) -> Self {
        Self { identity: identity.to_owned(), times, seen: None, renewed: None, deleted_until: None }
    }

    /// The lease was read; the answer came at this time. None: there is no such lease.
    pub fn saw(&mut self, lease: Option<Lease>, at: Instant) {
        let held = self.seen.as_ref().and_then(|(lease, _)| lease.spec.as_ref()).filter(|spec| holder(spec).is_some());
        if lease.is_none()
            && let Some(spec) = held
        {
            self.deleted_until = Some(at + self.lasts(spec));
        }
        let since = match (&self.seen, &lease) {
            (Some((before, since)), Some(lease)) if before.spec == lease.spec => *since,
            _ => at,
        };
        self.seen = lease.map(|lease| (lease, since));
        if !self.is_ours() {
            self.renewed = None;
        }
    }

    /// A claim that was sent at `sent` was accepted, as an answer said at `at`.
    pub fn wrote(&mut self, lease: Lease, sent: Instant, at: Instant) {
        self.seen = Some((lease, at));
        self.renewed = Some(sent);
    }

    /// Until when this replica may act; none if it does not hold the lease.
    pub fn acts_until(&self) -> Option<Instant> {
        self.renewed.map(|sent| sent + self.times.acts_for())
    }

    /// The earliest time at which there may be something to claim, as far as is known.
    pub fn claims_at(&self) -> Option<Instant> {
        let Some((lease, since)) = &self.seen else { return self.deleted_until };
        if self.is_ours() {
            return Some(self.renewed.map_or(*since, |sent| sent + self.times.renew_interval()));
        }
        let spec = lease.spec.as_ref();
        let Some(spec) = spec.filter(|spec| holder(spec).is_some()) else { return Some(*since) };
        Some(*since + self.lasts(spec))
    }

    /// How long a lease lasts by its own word, whatever length this replica was started with.
    fn lasts(&self, spec: &LeaseSpec) -> Duration {
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(self.times.seconds);
        Duration::from_secs(seconds.min(MAX_LEASE_SECONDS))
    }

    /// What to write now, if it may be claimed or is to be renewed: for its version only, or to be created if it has none. `clock` is for people who read the lease.
    pub fn claim(&self, now: Instant, clock: Timestamp) -> Option<Lease> {
        if self.claims_at().is_some_and(|at| now < at) {
            return None;
        }
        let mut lease = self.seen.as_ref().map_or_else(Lease::default, |(lease, _)| lease.clone());
        let spec = lease.spec.get_or_insert_default();
        if holder(spec) != Some(self.identity.as_str()) {
            // Of a lease that was never held, the first holder changes nothing.
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |times| times.saturating_add(1)));
            spec.holder_identity = Some(self.identity.clone());
            spec.acquire_time = Some(MicroTime(clock));
        }
        spec.renew_time = Some(MicroTime(clock));
        spec.lease_duration_seconds = i32::try_from(self.times.seconds).ok();
        Some(lease)
    }

    /// What to write so that nobody need wait until it runs out, if this replica holds it. Call it only when nothing acts any more.
    pub fn freed(&self) -> Option<Lease> {
        let (lease, _) = self.seen.as_ref().filter(|_| self.is_ours())?;
        let spec = lease.spec.clone().map(|spec| LeaseSpec { holder_identity: None, acquire_time: None, renew_time: None, ..spec });
        Some(Lease { metadata: lease.metadata.clone(), spec })
    }

    fn is_ours(&self) -> bool {
        self.seen.as_ref().and_then(|(lease, _)| holder(lease.spec.as_ref()?)) == Some(self.identity.as_str())
    }
}

fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests;
