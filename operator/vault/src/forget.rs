//! Forgetting a snapshot: its file is removed, and kept before that under [`FORGOTTEN`], with who let it go and why.
//!
//! The data of a forgotten snapshot stays until prunes have marked and removed it, a day later at the earliest. Until then the snapshot comes back by putting its file
//! back: `jq -r .file p861/forgotten/<time>_<id>.json | base64 -d > snapshots/<id>`.

use crate::{
    OnProgress, Progress, Repository, VaultError,
    backend::key,
    parallel::{REQUESTS, each},
    prune::MayWrite,
    snapshots::SEALED,
    source::watched,
    store::Removal,
};
use aws_smithy_types::base64;
use jiff::{SignedDuration, Timestamp};
use rustic_core::{
    FileType,
    repofile::{SnapshotFile, SnapshotId},
};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the files of forgotten snapshots are.
pub const FORGOTTEN: &str = "p861/forgotten/";
/// Version of the record.
const FORMAT_VERSION: u32 = 1;
/// How the time of forgetting stands in a record's key, in UTC.
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// A snapshot that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgettable {
    /// restic's id.
    pub id: String,
    /// The application whose it is. One of another is not forgotten.
    pub application: String,
    /// Why it goes, in words.
    pub why: String,
}

/// Who lets snapshots go, and when.
#[derive(Clone, Copy, Debug)]
pub struct ForgetOrder<'a> {
    /// The snapshots.
    pub snapshots: &'a [Forgettable],
    /// The district's namespace on the hub. Snapshots of another district, and those that no run of ours has sealed, are not forgotten.
    pub district: &'a str,
    /// The run, for people.
    pub by: &'a str,
    /// When it was decided. The same order says the same time, however often it is carried out.
    pub at: Timestamp,
}

/// What became of the snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Gone now.
    pub forgotten: u64,
    /// Gone before.
    pub absent: u64,
    /// Kept by the store's lock: they are there still.
    pub locked: u64,
}

/// What became of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    Now,
    Before,
    Locked,
}

impl Repository {
    /// Forgets snapshots of this product. Doing it again does the rest. `may_write` is asked before each of them.
    ///
    /// # Errors
    /// `NotOurs` if one of them was not sealed for this district and application: it stays, and so do those that were not looked at yet. Otherwise what `may_write` says,
    /// or if the repository can't be read or written.
    pub fn forget_recorded(&self, order: &ForgetOrder<'_>, may_write: &MayWrite, on_progress: OnProgress<'_>) -> Result<Forgotten, VaultError> {
        let done = AtomicU64::new(0);
        let progress = || Progress { items_done: done.load(Ordering::Relaxed), items_total: Some(order.snapshots.len() as u64), ..Progress::default() };
        let gone = watched(on_progress, progress, || {
            each(order.snapshots, REQUESTS, |snapshot| {
                let gone = self.forget_one(order, snapshot, may_write);
                done.fetch_add(1, Ordering::Relaxed);
                gone
            })
        })?;
        let count = |what: Gone| gone.iter().filter(|gone| **gone == what).count() as u64;
        Ok(Forgotten { forgotten: count(Gone::Now), absent: count(Gone::Before), locked: count(Gone::Locked) })
    }

    fn forget_one(&self, order: &ForgetOrder<'_>, snapshot: &Forgettable, may_write: &MayWrite) -> Result<Gone, VaultError> {
        let foreign = |what: String| VaultError::NotOurs { id: snapshot.id.clone(), what };
        let id: SnapshotId = snapshot.id.parse().map_err(|_| foreign("this is no snapshot's id".into()))?;
        let key = key(FileType::Snapshot, &id);
        let file = match self.store.run(|| self.store.store().get(&key)) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Ok(Gone::Before),
            Err(error) => return Err(error.into()),
        };
        let damaged = |what: String| VaultError::Damaged { object: key.clone(), what };
        let plain = match self.store.decrypted(FileType::Snapshot, &id) {
            Ok(Ok(plain)) => plain,
            Ok(Err(error)) => return Err(damaged(error.to_string())),
            Err(error) if error.is_missing() => return Ok(Gone::Before),
            Err(error) => return Err(error.into()),
        };
        let stored: SnapshotFile = serde_json::from_slice(&plain).map_err(|error| damaged(format!("it can't be read: {error}")))?;
        is_of(&stored, order.district, &snapshot.application).map_err(foreign)?;
        let record = record(order, snapshot, &stored, &file);
        let place = format!("{FORGOTTEN}{}_{}.json", order.at.strftime(TIME_FORMAT), snapshot.id);
        may_write()?;
        self.store.run(|| self.store.store().put(&place, record.clone()))?;
        may_write()?;
        Ok(match self.store.run(|| self.store.store().remove(&key))? {
            Removal::Gone | Removal::Hidden => Gone::Now,
            Removal::Locked(_) => Gone::Locked,
        })
    }

    /// Removes the records of what was forgotten longer ago than that. Returns their number.
    ///
    /// # Errors
    /// What `may_write` says, or if the repository can't be read or written.
    pub(crate) fn drop_records(&self, older_than: SignedDuration, now: Timestamp, may_write: &MayWrite) -> Result<u64, VaultError> {
        let keys = self.store.run(|| self.store.store().list(FORGOTTEN))?;
        let limit = now.saturating_sub(older_than).unwrap_or(Timestamp::MIN).strftime(TIME_FORMAT).to_string();
        // Times of the same form are in the order of their texts.
        let is_old = |key: &&String| {
            key.strip_prefix(FORGOTTEN).and_then(|name| name.split_once('_')).is_some_and(|(time, _)| time.len() == limit.len() && time < &*limit)
        };
        let old: Vec<&String> = keys.iter().filter(is_old).collect();
        each(&old, REQUESTS, |key| {
            may_write()?;
            Ok(self.store.run(|| self.store.store().delete(key))?)
        })?;
        Ok(old.len() as u64)
    }
}

/// Whether a run of ours has sealed the snapshot, for this district and application.
fn is_of(stored: &SnapshotFile, district: &str, application: &str) -> Result<(), String> {
    let of_district = format!("district={district}");
    if !stored.tags.contains(SEALED) {
        return Err("no run of Platform 861 has sealed it".into());
    }
    if !stored.tags.contains(&of_district) {
        return Err(format!("it lacks the tag {of_district}"));
    }
    if stored.label != application {
        return Err(format!("it is of application {}, not {application}", stored.label));
    }
    Ok(())
}

fn record(order: &ForgetOrder<'_>, snapshot: &Forgettable, stored: &SnapshotFile, file: &[u8]) -> Vec<u8> {
    let tags: Vec<&str> = stored.tags.iter().map(String::as_str).collect();
    let record = json!({
        "formatVersion": FORMAT_VERSION, "snapshot": snapshot.id, "application": snapshot.application, "district": order.district,
        "recoveryPointTime": stored.time.timestamp().to_string(), "host": stored.hostname, "tags": tags,
        "forgottenTime": order.at.to_string(), "by": order.by, "why": snapshot.why, "file": base64::encode(file),
    });
    record.to_string().into_bytes()
}

#[cfg(test)]
mod tests;
