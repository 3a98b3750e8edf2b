//! Acquiring, renewing and releasing over any register: the same code runs in the tests' model.

use super::{
    Lease, LeaseError, LeaseKind, MARGIN, MAX_TTL, MIN_TTL,
    record::{Holder, Record},
};
use crate::StoreError;
use std::{collections::HashMap, time::Duration};

/// Swaps that others may get ahead of in a row. Each failed one means that another's has succeeded.
const MAX_ATTEMPTS: usize = 32;

/// One object with conditional writes.
pub(super) trait Register {
    /// Its content and tag, if it is there.
    async fn read(&self) -> Result<Option<(Vec<u8>, String)>, StoreError>;
    /// Writes it over the version of this tag, or only if it isn't there.
    async fn write(&self, body: Vec<u8>, over: Option<&str>) -> Result<(), StoreError>;
}

/// Clocks and random numbers.
pub(super) trait Host {
    fn now(&self) -> Moment;
    fn nonce(&self) -> Result<String, LeaseError>;
}

/// A moment by both clocks of one machine, from an origin of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) monotonic: Duration,
    pub(super) wall: Duration,
}

impl Moment {
    /// The longest that it may be since then: the monotonic clock may stand still while the machine sleeps.
    pub(super) fn longest_since(self, earlier: Self) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic).max(self.wall.saturating_sub(earlier.wall))
    }
}

/// Since when a renewal was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    renewal: u64,
    since: Duration,
}

#[derive(Debug)]
pub(super) struct Keeper<R, H> {
    register: R,
    host: H,
    seen: HashMap<String, Seen>,
    /// Holders that had not expired when the record was read last.
    names: Vec<String>,
}

/// How a write ended, as far as its sender knows.
enum Written {
    Yes,
    /// Another was first.
    No,
    /// There was no answer.
    Unknown(StoreError),
}

impl<R: Register, H: Host> Keeper<R, H> {
    pub(super) fn new(register: R, host: H) -> Self {
        Self { register, host, seen: HashMap::new(), names: Vec::new() }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) async fn acquire(&mut self, kind: LeaseKind, name: &str, ttl: Duration) -> Result<Lease, LeaseError> {
        if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
            return Err(LeaseError::Ttl(ttl));
        }
        let id = self.host.nonce()?;
        let mut first_sent = None;
        for _ in 0..MAX_ATTEMPTS {
            let (mut record, tag) = self.look().await?;
            let sent = self.host.now();
            let lease = |sent| Lease { id: id.clone(), holder: name.to_owned(), kind, ttl, renewal: 0, sent };
            // A swap that is reported as failed may have been applied: the client library repeats a request whose answer was lost.
            if record.holder(&id).is_some() {
                return Ok(lease(first_sent.unwrap_or(sent)));
            }
            record.holders.retain(|holder| self.time_left(holder) > Duration::ZERO);
            if let Some(other) = record.holders.iter().filter(|holder| holder.kind.excludes(kind)).max_by_key(|holder| self.time_left(holder)) {
                return Err(LeaseError::Held { by: other.name.clone(), kind: other.kind, free_in: self.time_left(other) });
            }
            record.holders.push(Holder::new(&id, name, kind, ttl));
            first_sent.get_or_insert(sent);
            match self.swap(&record, tag.as_deref()).await? {
                Written::Yes => return Ok(lease(sent)),
                Written::No => {}
                Written::Unknown(error) => {
                    let (record, _) = self.look().await?;
                    return if record.holder(&id).is_some() { Ok(lease(first_sent.unwrap_or(sent))) } else { Err(error.into()) };
                }
            }
        }
        Err(LeaseError::Contended)
    }

    pub(super) async fn renew(&mut self, lease: &mut Lease) -> Result<(), LeaseError> {
        for _ in 0..MAX_ATTEMPTS {
            let (mut record, tag) = self.look().await?;
            let holder = record.holder_mut(&lease.id).ok_or_else(|| LeaseError::Lost { holder: lease.holder.clone() })?;
            let renewal = holder.renewal.max(lease.renewal).saturating_add(1);
            holder.renewal = renewal;
            let sent = self.host.now();
            let applied = match self.swap(&record, tag.as_deref()).await? {
                Written::Yes => true,
                Written::No => false,
                Written::Unknown(error) => {
                    let (record, _) = self.look().await?;
                    if record.holder(&lease.id).is_none_or(|holder| holder.renewal != renewal) {
                        return Err(error.into());
                    }
                    true
                }
            };
            if applied {
                (lease.renewal, lease.sent) = (renewal, sent);
                return Ok(());
            }
        }
        Err(LeaseError::Contended)
    }

    pub(super) async fn release(&mut self, lease: &Lease) -> Result<(), LeaseError> {
        for _ in 0..MAX_ATTEMPTS {
            let (mut record, tag) = self.look().await?;
            if record.holder(&lease.id).is_none() {
                return Ok(());
            }
            record.holders.retain(|holder| holder.id != lease.id);
            match self.swap(&record, tag.as_deref()).await? {
                Written::Yes => return Ok(()),
                Written::No => {}
                Written::Unknown(error) => {
                    let (record, _) = self.look().await?;
                    return if record.holder(&lease.id).is_none() { Ok(()) } else { Err(error.into()) };
                }
            }
        }
        Err(LeaseError::Contended)
    }

    /// Reads the record and remembers since when each holder's renewal is seen. The time is taken after the answer: later than that renewal was sent.
    async fn look(&mut self) -> Result<(Record, Option<String>), LeaseError> {
        let Some((body, tag)) = self.register.read().await? else { return Ok((Record::empty(), None)) };
        let record = Record::parse(&body)?;
        let now = self.host.now().monotonic;
        self.seen.retain(|id, _| record.holder(id).is_some());
        for holder in &record.holders {
            let seen = self.seen.entry(holder.id.clone()).or_insert(Seen { renewal: holder.renewal, since: now });
            if seen.renewal != holder.renewal {
                *seen = Seen { renewal: holder.renewal, since: now };
            }
        }
        self.names = record.holders.iter().filter(|holder| self.time_left(holder) > Duration::ZERO).map(|holder| holder.name.clone()).collect();
        Ok((record, Some(tag)))
    }

    /// When a holder expires by what was seen of it; zero once it has.
    fn time_left(&self, holder: &Holder) -> Duration {
        let ttl = holder.ttl().min(MAX_TTL);
        let unrenewed = self.seen.get(&holder.id).map_or(Duration::ZERO, |seen| self.host.now().monotonic.saturating_sub(seen.since));
        (ttl + ttl / 100 + MARGIN).saturating_sub(unrenewed)
    }

    async fn swap(&self, record: &Record, over: Option<&str>) -> Result<Written, LeaseError> {
        let body = record.next(self.host.nonce()?)?;
        Ok(match self.register.write(body, over).await {
            Ok(()) => Written::Yes,
            Err(error) if error.is_precondition_failed() || error.is_already_exists() => Written::No,
            // Nobody deletes the record; a store that lost it is noticed at the next look.
            Err(error) if error.is_not_found() => Written::No,
            Err(error) if error.is_transient() => Written::Unknown(error),
            Err(error) => return Err(error.into()),
        })
    }
}
