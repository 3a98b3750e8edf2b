//! The snapshots in a repository.

mod brief;

pub(crate) use brief::Briefs;

use crate::{
    Repository, StoreError, VaultError,
    backend::key,
    limits,
    parallel::{REQUESTS, each},
    parts::run_tag,
    repository::Opened,
    seal::INVENTORY,
    store::Refusal,
};
use brief::{MAX_HELD_BYTES, Stored};
use jiff::Timestamp;
use rustic_core::{
    FileType,
    repofile::{SnapshotFile, SnapshotId},
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// Snapshots that are read before those that were read are kept.
const PORTION: usize = 512;
/// How long the snapshots of a repository may take to be read at a time. The next look goes on where this one ended.
const READ_WITHIN: Duration = Duration::from_mins(2);

/// A snapshot of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// restic's id.
    pub id: String,
    /// Its time: the recovery point.
    pub time: Timestamp,
    /// The site.
    pub host: String,
    /// The application.
    pub label: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl SnapshotInfo {
    /// The value of a tag `name=value`; none if it has no such tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Marks a sealed snapshot.
pub(crate) const SEALED: &str = "p861-sealed";

impl Repository {
    /// Every snapshot that can be read. A damaged one is logged and left out: it must not take the sound ones with it.
    pub(crate) fn all_snapshots(&self) -> Result<Vec<SnapshotFile>, VaultError> {
        self.read_new(&BTreeSet::new())?;
        Ok(self.snapshots.lock().values().cloned().collect())
    }

    /// The snapshots of a run: its parts, and what it sealed. Reads only snapshots that are younger than the run, however many there are.
    pub(crate) fn of_run(&self, run: &str) -> Result<Vec<SnapshotFile>, VaultError> {
        let before = self.before(run)?;
        self.read_new(&before)?;
        let run = run_tag(run);
        Ok(self.snapshots.lock().values().filter(|snapshot| snapshot.tags.contains(&run)).cloned().collect())
    }

    /// The snapshots that were there before the run stored anything: none of them is its own. The first mover of the run stores their ids before it stores a part,
    /// where all objects of the run are, and go when it ends.
    fn before(&self, run: &str) -> Result<Arc<BTreeSet<SnapshotId>>, VaultError> {
        if let Some((_, before)) = self.before.lock().as_ref().filter(|(of, _)| of == run) {
            return Ok(before.clone());
        }
        let key = format!("p861/runs/{run}/snapshots-before");
        let listed = self.snapshot_ids()?;
        let text = listed.iter().map(|id| id.to_hex().as_str().to_owned()).collect::<Vec<_>>().join("\n");
        let before: BTreeSet<SnapshotId> = match self.store.run(|| self.store.store().put_if_absent(&key, text.clone().into_bytes())) {
            Ok(_) => listed.into_iter().collect(),
            Err(error) if error.is_already_exists() => match self.store.run(|| self.store.store().get(&key)) {
                Ok(stored) => String::from_utf8_lossy(&stored).lines().filter_map(|line| line.parse().ok()).collect(),
                // Then all are read.
                Err(error) if error.is_not_found() => BTreeSet::new(),
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        };
        let before = Arc::new(before);
        *self.before.lock() = Some((run.to_owned(), before.clone()));
        Ok(before)
    }

    /// The ids of all snapshots, sorted. One list.
    fn snapshot_ids(&self) -> Result<Vec<SnapshotId>, VaultError> {
        let listed = self.store.files(FileType::Snapshot)?;
        let mut ids: Vec<SnapshotId> = listed.into_iter().map(|(id, _)| id.into()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Brings what is known of the snapshots up to date, but for some that nobody asks for. One list, and a read of each snapshot that is new: a snapshot never
    /// changes, so none is read twice, however often and by whomever this is called. One that is damaged is read again each time.
    fn read_new(&self, skipped: &BTreeSet<SnapshotId>) -> Result<(), VaultError> {
        let ids = self.snapshot_ids()?;
        let unread: Vec<SnapshotId> = {
            let known = self.snapshots.lock();
            ids.iter().filter(|id| !known.contains_key(id) && !skipped.contains(id)).copied().collect()
        };
        if !unread.is_empty() {
            let opened = self.opened()?;
            let read = each(&unread, REQUESTS, |id| self.read_listed(&opened, id))?;
            self.snapshots.lock().extend(read.into_iter().flatten().map(|snapshot| (snapshot.id, snapshot)));
        }
        self.snapshots.lock().retain(|id, _| ids.binary_search(id).is_ok());
        Ok(())
    }

    /// As [`Self::read_new`], for those who need little of each snapshot and must not be held up or filled by who serves the repository.
    fn read_new_briefly(&self) -> Result<(), VaultError> {
        let began = Instant::now();
        let ids = self.snapshot_ids()?;
        let unread: Vec<SnapshotId> = {
            let mut known = self.briefs.lock();
            known.retain(&ids);
            ids.iter().filter(|id| !known.contains(id)).copied().collect()
        };
        let mut left = unread.len();
        for portion in unread.chunks(PORTION) {
            if began.elapsed() > READ_WITHIN {
                let message =
                    format!("{left} of {} snapshots are still unread after {} seconds; the next look goes on there", ids.len(), READ_WITHIN.as_secs());
                return Err(VaultError::Other { what: format!("read the snapshots of {}", self.store.location()), message });
            }
            let read = each(portion, REQUESTS, |id| Ok(self.read_briefly(id)?.map(|stored| (*id, stored))))?;
            let mut known = self.briefs.lock();
            for (id, stored) in read.into_iter().flatten() {
                known.keep(id, Some(stored).filter(Stored::is_short));
            }
            if known.held_bytes() > MAX_HELD_BYTES {
                let what = format!(
                    "what is kept in memory of its {} snapshots is more than {}: forget those that nobody needs (restic forget)",
                    ids.len(),
                    limits::size(MAX_HELD_BYTES as u64)
                );
                return Err(StoreError::new(Refusal::TooLarge, self.store.location(), "snapshots/", what).into());
            }
            left -= portion.len();
        }
        Ok(())
    }

    /// None if it is damaged, or was forgotten since it was listed.
    fn read_briefly(&self, id: &SnapshotId) -> Result<Option<Stored>, VaultError> {
        let damaged = |what: String| {
            tracing::warn!("{}", VaultError::Damaged { object: key(FileType::Snapshot, id), what });
            Ok(None)
        };
        match self.store.decrypted(FileType::Snapshot, id) {
            Ok(Ok(text)) => serde_json::from_slice(&text).map_or_else(|error| damaged(format!("it can't be read: {error}")), |stored| Ok(Some(stored))),
            Ok(Err(error)) => damaged(error.to_string()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// None if it is damaged, or was forgotten since it was listed.
    fn read_listed(&self, opened: &Opened, id: &SnapshotId) -> Result<Option<SnapshotFile>, VaultError> {
        match opened.get_file::<SnapshotFile>(id) {
            Ok(mut snapshot) => {
                snapshot.id = *id;
                snapshot.original.get_or_insert(*id);
                Ok(Some(snapshot))
            }
            Err(error) => match self.explain(FileType::Snapshot, id, "read a snapshot", &error) {
                VaultError::Store(store) if store.is_not_found() => Ok(None),
                damaged @ VaultError::Damaged { .. } => {
                    tracing::warn!("{damaged}");
                    Ok(None)
                }
                other => Err(other),
            },
        }
    }

    /// Sealed snapshots, oldest first. Parts of unfinished backups are not among them. Asked again, it reads only snapshots that are new, and keeps of each only
    /// what it returns.
    ///
    /// # Errors
    /// If the repository can't be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>, VaultError> {
        self.read_new_briefly()?;
        let mut sealed = self.briefs.lock().chosen(|tags| tags.iter().any(|tag| **tag == *SEALED));
        sealed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok(sealed)
    }

    /// How many sealed snapshots there are. Reads as [`Self::snapshots`] does, and copies nothing.
    ///
    /// # Errors
    /// If the repository can't be read.
    pub fn count_snapshots(&self) -> Result<usize, VaultError> {
        self.read_new_briefly()?;
        Ok(self.briefs.lock().sealed())
    }

    /// About how many bytes this value keeps in memory of the repository's snapshots, for those who keep many open. A repository's index is held only while it is used.
    pub fn held_bytes(&self) -> usize {
        self.briefs.lock().held_bytes()
    }

    /// A snapshot by its id.
    pub(crate) fn snapshot(&self, id: &str) -> Result<SnapshotFile, VaultError> {
        let missing = |what: &str| VaultError::SnapshotMissing { id: id.into(), what: what.into() };
        let found: SnapshotId = id.parse().map_err(|_| missing("this is no snapshot id"))?;
        match self.opened()?.get_file::<SnapshotFile>(&found) {
            Ok(mut snapshot) => {
                snapshot.id = found;
                Ok(snapshot)
            }
            Err(error) => Err(match self.explain(FileType::Snapshot, &found, "read the snapshot", &error) {
                VaultError::Store(store) if store.is_not_found() => missing(&format!("{} doesn't exist: it was forgotten", key(FileType::Snapshot, &found))),
                other => other,
            }),
        }
    }

    /// The parts of a sealed snapshot, for example `objects` and `volumes/attachments`, in order. Only the snapshot's own file is read: it names them as `paths`.
    ///
    /// # Errors
    /// If there is no such snapshot, if it can't be read, or if it doesn't name its parts: nothing else is asked what is in it.
    pub fn snapshot_parts(&self, id: &str) -> Result<Vec<String>, VaultError> {
        let snapshot = self.snapshot(id)?;
        let named: Option<Vec<String>> = snapshot.paths.iter().map(|path| path.strip_prefix('/').filter(|part| !part.is_empty()).map(str::to_owned)).collect();
        match named {
            Some(mut parts) if parts.iter().any(|part| part == INVENTORY) => {
                parts.retain(|part| part != INVENTORY);
                Ok(parts)
            }
            _ => Err(VaultError::PartsUnnamed { id: id.into(), paths: snapshot.paths.to_string() }),
        }
    }

    /// Removes the unsealed parts of a run. Returns their number.
    ///
    /// # Errors
    /// If the repository can't be read or written.
    pub fn forget_unsealed(&self, run: &str) -> Result<usize, VaultError> {
        let run = run_tag(run);
        self.read_new_briefly()?;
        let of_run = |tags: &[Arc<str>]| tags.iter().any(|tag| **tag == *run) && !tags.iter().any(|tag| **tag == *SEALED);
        let parts = self.briefs.lock().chosen(of_run);
        let parts: Vec<String> = parts.into_iter().map(|snapshot| snapshot.id).collect();
        self.forget(&parts)?;
        Ok(parts.len())
    }

    /// Removes snapshots from the list; their data stays until a prune.
    ///
    /// # Errors
    /// If the repository can't be written.
    pub fn forget(&self, ids: &[String]) -> Result<(), VaultError> {
        let ids: Vec<SnapshotId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.engine("forget snapshots", self.opened()?.delete_snapshots(&ids))
    }
}

#[cfg(test)]
mod tests;
