//! Leases of a repository: many movers at once, or one that prunes.
//!
//! restic's own locks don't serve here: rustic_core ignores them, and they are judged by wall clocks. Ours stand in one object beside the repository's files,
//! [`RECORD`], which stock `restic` neither reads nor removes.
//!
//! # Protocol
//! The record lists who holds what: `{sequence, nonce, holders: [{id, name, kind, ttl, renewal}]}`. It is created if absent, otherwise written only over the
//! version that was read (compare and swap), and never deleted. A fresh nonce in each write keeps two versions from having the same tag, which may be a hash.
//! - *Acquire* reads the record, drops holders that have expired, gives up if one that remains excludes the new one, adds the new one, and swaps.
//! - *Renew* raises the holder's own `renewal` and swaps. A holder that isn't listed any more has lost the lease.
//! - *Release* removes the holder and swaps.
//! - After a lost answer, or a swap that failed, the record is read again: one's own id and renewal in it say whether the write was applied.
//!
//! # Clocks
//! No time is ever written or compared between machines. A holder holds until `ttl` after it **sent** the last renewal that was applied, by the larger of its monotonic
//! and its wall clock, so that a machine that was asleep is not deceived. An observer takes a holder for expired when it has seen the same `renewal` for `ttl` and a
//! margin ([`MARGIN`], and one per cent for clocks that run differently), by its own monotonic clock. An observer that has just begun must therefore watch that long.
//!
//! # Why it is safe
//! *Two holders that exclude each other never hold at once.* All versions of the record form one sequence, since each is written over the one before. Let X be listed
//! and Y be added later, the two excluding each other. In the version that Y was added to, X was not listed, so X was removed by itself (and does not hold), or by an
//! observer O at a write W. O had first seen X's last renewal at time t, after that renewal was written, hence after it was sent; at W that renewal was unchanged, or the
//! swap would have failed, so X had renewed nothing in between. W came at least `ttl` and the margin after t, so after the end of X's lease. A renewal that X
//! sends later fails, because X is not listed any more; one that is still on its way fails by its tag.
//! *A crash at any moment leaves at most a holder that nobody renews*, which expires. A write that is applied after its sender has given up does the same.
//!
//! What it can't do: stop a holder that was frozen between its last look at [`Lease::is_held`] and its next write. Prune therefore also keeps what it marks for
//! deletion for a day, and looks before each thing that it removes.
//!
//! # Example
//! ```
//! use p861_vault::{AsyncStore, LeaseError, LeaseKind, Leases, Location};
//! use std::time::Duration;
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let location = Location::Folder { path: folder.path().to_owned() };
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let store = AsyncStore::new(&location, None).await.unwrap();
//! let mut leases = Leases::new(store);
//! let minute = Duration::from_secs(60);
//! let mut mover = leases.acquire(LeaseKind::Shared, "backup shinan/nightly-1, step objects", minute).await.unwrap();
//! let refused = leases.acquire(LeaseKind::Exclusive, "prune shinan/main", minute).await;
//! assert!(matches!(refused, Err(LeaseError::Held { by, .. }) if by.starts_with("backup shinan/nightly-1")));
//! leases.renew(&mut mover).await.unwrap();
//! leases.release(mover).await.unwrap();
//! assert!(leases.acquire(LeaseKind::Exclusive, "prune shinan/main", minute).await.is_ok());
//! # });
//! ```

mod keeper;
mod record;
#[cfg(test)]
mod tests;

use crate::{AsyncStore, StoreError};
use keeper::{Host, Keeper, Moment, Register};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

/// Key of the record in the repository's location.
pub const RECORD: &str = "p861/leases/record.json";
/// Shortest lease: a renewal is one request, which may take a while.
pub const MIN_TTL: Duration = Duration::from_secs(1);
/// Longest lease: a holder that died keeps the repository for this long.
pub const MAX_TTL: Duration = Duration::from_hours(1);
/// An observer waits this much longer than a lease lasts, and one per cent of it.
pub const MARGIN: Duration = Duration::from_secs(1);

/// What a lease allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaseKind {
    /// To add and read data, beside others that do.
    Shared,
    /// To remove data, alone.
    Exclusive,
}

impl LeaseKind {
    /// Whether two leases of these kinds exclude each other.
    const fn excludes(self, other: Self) -> bool {
        matches!((self, other), (Self::Exclusive, _) | (_, Self::Exclusive))
    }
}

impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        })
    }
}

/// A lease can't be had or kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another holds one that excludes it.
    #[error("the repository is leased to {by} ({kind}): it is free when that ends, or about {} s from now if that has died", free_in.as_secs())]
    Held {
        /// The holder, as it named itself.
        by: String,
        /// What it holds.
        kind: LeaseKind,
        /// When it expires, should it not be renewed from now on. Ask again with the same [`Leases`], which remembers what it has seen.
        free_in: Duration,
    },
    /// The lease has expired and another has removed it: what it protected must stop.
    #[error("the lease of {holder} has expired and was given up by another: it was not renewed in time")]
    Lost {
        /// The holder.
        holder: String,
    },
    /// Others wrote the record each time.
    #[error("the repository's leases are written by too many at once: try again")]
    Contended,
    /// The record can't be read.
    #[error("{} of the repository can't be read ({what}): when no backup, restore or prune runs, delete it", RECORD)]
    Unreadable {
        /// What is wrong with it.
        what: String,
    },
    /// The time to live is out of bounds.
    #[error("a lease lasts between {} s and {} s, not {} s", MIN_TTL.as_secs(), MAX_TTL.as_secs(), .0.as_secs_f64())]
    Ttl(Duration),
    /// No random number was to be had.
    #[error("this machine gives no random numbers: {0}")]
    Random(String),
    /// The store refused or can't be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LeaseError {
    /// Reason, as the API spells it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Held { .. } | Self::Contended => "RepositoryBusy",
            Self::Lost { .. } => "LeaseLost",
            Self::Unreadable { .. } => "LeaseUnreadable",
            Self::Ttl(_) => "Invalid",
            Self::Random(_) => "RandomUnavailable",
            Self::Store(error) => error.reason(),
        }
    }

    /// It may go away by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Held { .. } | Self::Contended => true,
            Self::Lost { .. } | Self::Unreadable { .. } | Self::Ttl(_) | Self::Random(_) => false,
            Self::Store(error) => error.is_transient(),
        }
    }
}

/// A lease that was acquired. Dropping it releases nothing: it then expires.
#[derive(Debug)]
pub struct Lease {
    id: String,
    holder: String,
    kind: LeaseKind,
    ttl: Duration,
    renewal: u64,
    /// When the last renewal that was applied was sent.
    sent: Moment,
}

impl Lease {
    /// What it allows.
    pub const fn kind(&self) -> LeaseKind {
        self.kind
    }

    /// How long it certainly holds from now on; nothing once it may have expired. Look before each thing that it protects.
    pub fn left(&self) -> Duration {
        self.left_at(System.now())
    }

    /// Whether it certainly still holds.
    pub fn is_held(&self) -> bool {
        self.left() > Duration::ZERO
    }

    /// How often to renew it: three attempts fit into its time to live.
    pub fn renew_every(&self) -> Duration {
        self.ttl / 4
    }

    fn left_at(&self, now: Moment) -> Duration {
        self.ttl.saturating_sub(now.longest_since(self.sent))
    }
}

/// The leases of one repository, as one process sees them. It remembers for how long it has seen each holder not renew, so keep it between attempts.
#[derive(Debug)]
pub struct Leases(Keeper<AsyncStore, System>);

impl Leases {
    /// The leases of the repository at this store. Nothing is asked of it yet.
    pub fn new(store: AsyncStore) -> Self {
        Self(Keeper::new(store, System))
    }

    /// Tries once to get a lease for `holder`, which is for people: the run and the step. Costs one read and one write, and more while others write too.
    ///
    /// # Errors
    /// [`LeaseError::Held`] while another's lease excludes it. A holder that died is passed over once this value has seen it unrenewed for its time to live.
    pub async fn acquire(&mut self, kind: LeaseKind, holder: &str, ttl: Duration) -> Result<Lease, LeaseError> {
        self.0.acquire(kind, holder, ttl).await
    }

    /// Tries once a second until it has the lease or `patience` is over.
    ///
    /// # Errors
    /// As [`Self::acquire`]; faults of the store that may go away are waited out too.
    pub async fn acquire_within(&mut self, patience: Duration, kind: LeaseKind, holder: &str, ttl: Duration) -> Result<Lease, LeaseError> {
        const PAUSE: Duration = Duration::from_secs(1);
        let began = Instant::now();
        loop {
            match self.acquire(kind, holder, ttl).await {
                Err(error) if error.is_transient() && began.elapsed() + PAUSE < patience => tokio::time::sleep(PAUSE).await,
                result => return result,
            }
        }
    }

    /// Prolongs a lease to its time to live from now on. Costs one read and one write.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] if it is gone for good. After any other error it holds on for [`Lease::left`]: try again until then.
    pub async fn renew(&mut self, lease: &mut Lease) -> Result<(), LeaseError> {
        self.0.renew(lease).await
    }

    /// Who held a lease when the record was read last, by the names that they gave themselves.
    pub fn holders(&self) -> &[String] {
        self.0.names()
    }

    /// Gives a lease back. One that was lost is given back already.
    ///
    /// # Errors
    /// Of the store. The lease then expires by itself.
    pub async fn release(&mut self, lease: Lease) -> Result<(), LeaseError> {
        self.0.release(&lease).await
    }
}

impl Register for AsyncStore {
    async fn read(&self) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        match self.get_with_tag(RECORD).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, body: Vec<u8>, over: Option<&str>) -> Result<(), StoreError> {
        match over {
            Some(tag) => self.put_if_match(RECORD, body, tag).await.map(|_| ()),
            None => self.put_if_absent(RECORD, body).await.map(|_| ()),
        }
    }
}

/// This machine's clocks and random numbers.
#[derive(Clone, Copy, Debug)]
struct System;

impl Host for System {
    fn now(&self) -> Moment {
        static BEGAN: LazyLock<(Instant, SystemTime)> = LazyLock::new(|| (Instant::now(), SystemTime::now()));
        let (monotonic, wall) = *BEGAN;
        Moment { monotonic: monotonic.elapsed(), wall: wall.elapsed().unwrap_or_default() }
    }

    fn nonce(&self) -> Result<String, LeaseError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| LeaseError::Random(error.to_string()))?;
        Ok(hex::encode(bytes))
    }
}
