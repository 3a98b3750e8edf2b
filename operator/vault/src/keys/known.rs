//! What this process has derived. What a password makes of a key file never changes, so none is derived twice: neither one that opens a repository nor one that doesn't.
//! And whoever presents new passwords or key files again and again, none of which opens the repository, waits longer each time.

use super::Digest;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustic_core::repofile::MasterKey;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::LazyLock,
    time::{Duration, Instant},
};

/// Most entries of each kind; the one that was used longest ago goes first. Together they take less than 1 MiB.
const MAX_KEYS: usize = 512;
const MAX_WRONG: usize = 4_096;
const MAX_PLACES: usize = 1_024;
/// Wait after a first failure; doubled with each that follows.
const FIRST_WAIT: Duration = Duration::from_mins(1);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

pub(super) static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// A password and the digest of a key file. Neither can be read from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Attempt([u8; 32]);

impl Attempt {
    pub(super) fn new(password: &str, file: &Digest) -> Self {
        Self(Sha256::new().chain_update(file).chain_update(password).finalize().into())
    }
}

/// A map that forgets what was used longest ago.
struct Recent<K, V> {
    most: usize,
    entries: HashMap<K, (Instant, V)>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    fn new(most: usize) -> Self {
        Self { most, entries: HashMap::new() }
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(key)?;
        *used = Instant::now();
        Some(value)
    }

    fn keep(&mut self, key: K, value: V) {
        if self.entries.len() >= self.most
            && !self.entries.contains_key(&key)
            && let Some(oldest) = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
        {
            self.entries.remove(&oldest);
        }
        self.entries.insert(key, (Instant::now(), value));
    }
}

/// Openings of one place that have failed in a row, each with something new to derive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    count: u32,
    /// From when on something new is derived again.
    next: Instant,
    /// The same, for people.
    pub(super) next_time: Timestamp,
}

impl Failures {
    fn after(count: u32, now: Instant, time: Timestamp) -> Self {
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1))).min(LONGEST_WAIT);
        Self { count, next: now + wait, next_time: time + wait }
    }
}

pub(super) struct Known {
    keys: Recent<Attempt, MasterKey>,
    wrong: Recent<Attempt, ()>,
    failures: Recent<Attempt, Failures>,
    /// By place the key file that has opened it last.
    files: Recent<Attempt, Digest>,
}

impl Default for Known {
    fn default() -> Self {
        Self { keys: Recent::new(MAX_KEYS), wrong: Recent::new(MAX_WRONG), failures: Recent::new(MAX_PLACES), files: Recent::new(MAX_PLACES) }
    }
}

/// A place as a key of the failures.
fn place(location: &str) -> Attempt {
    Attempt(Sha256::digest(location).into())
}

impl Known {
    /// The master key that the password has opened the file to.
    pub(super) fn key(&mut self, attempt: &Attempt) -> Option<MasterKey> {
        self.keys.get(attempt).cloned()
    }

    /// Whether the password has not opened the file.
    pub(super) fn is_wrong(&mut self, attempt: &Attempt) -> bool {
        self.wrong.get(attempt).is_some()
    }

    pub(super) fn keep(&mut self, attempt: Attempt, master: Option<&MasterKey>) {
        match master {
            Some(master) => self.keys.keep(attempt, master.clone()),
            None => self.wrong.keep(attempt, ()),
        }
    }

    /// The failures of a place, as long as nothing new is derived for it.
    pub(super) fn waits(&mut self, location: &str, now: Instant) -> Option<Failures> {
        self.failures.get(&place(location)).filter(|failures| now < failures.next).copied()
    }

    /// An opening has derived something new and failed.
    pub(super) fn failed(&mut self, location: &str, now: Instant, time: Timestamp) {
        let place = place(location);
        let count = self.failures.get(&place).map_or(0, |failures| failures.count);
        self.failures.keep(place, Failures::after(count.saturating_add(1), now, time));
    }

    /// What was derived of this key file has opened the place: its failures are over.
    pub(super) fn opened(&mut self, location: &str, file: &Digest) {
        self.failures.entries.remove(&place(location));
        self.opens_by(location, file);
    }

    /// What is known of this key file has opened the place. Its failures stay: whoever shows new key files in turn with good ones is not to begin anew each time.
    pub(super) fn opens_by(&mut self, location: &str, file: &Digest) {
        self.files.keep(place(location), *file);
    }

    /// The key file that has opened the place last.
    pub(super) fn file(&mut self, location: &str) -> Option<Digest> {
        self.files.get(&place(location)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e10_what_was_derived_is_remembered_within_bounds_and_what_was_used_last_stays() {
        let mut known = Known::default();
        let of = |number: u32| Attempt::new(&number.to_string(), &[7; 32]);
        let master = MasterKey::new();
        known.keep(of(0), Some(&master));
        for number in 1..600 {
            known.keep(of(number), Some(&master));
            assert!(known.key(&of(0)).is_some(), "{number}");
        }
        assert_eq!(known.keys.entries.len(), MAX_KEYS);
        assert!(known.key(&of(1)).is_none());
        known.keep(of(1_000), None);
        assert!(known.is_wrong(&of(1_000)) && !known.is_wrong(&of(0)) && known.key(&of(1_000)).is_none());
    }

    #[test]
    fn fault_e10_the_wait_of_a_place_grows_with_each_failure_up_to_an_hour_and_ends_with_an_opening() {
        let (mut known, now, time) = (Known::default(), Instant::now(), Timestamp::UNIX_EPOCH);
        assert_eq!(known.waits("here", now), None);
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            known.failed("here", now, time);
            let wait = Duration::from_mins(minutes);
            assert_eq!(known.waits("here", now).unwrap().next_time, time + wait);
            assert!(known.waits("here", now + wait.saturating_sub(Duration::from_secs(1))).is_some(), "{minutes}");
            assert_eq!(known.waits("here", now + wait), None, "{minutes}");
        }
        assert_eq!(known.waits("elsewhere", now), None);
        known.opened("here", &[7; 32]);
        assert_eq!(known.waits("here", now), None);
        known.failed("here", now, time);
        assert_eq!(known.waits("here", now).unwrap().next_time, time + FIRST_WAIT);
    }
}
