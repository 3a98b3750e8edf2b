//! The snapshots in a repository.

use crate::{
    Repository, VaultError,
    backend::key,
    parallel::{REQUESTS, each},
    parts::run_tag,
    seal::INVENTORY,
};
use jiff::Timestamp;
use rustic_core::{
    FileType, ReadBackend as _,
    repofile::{SnapshotFile, SnapshotId},
};

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

/// Marks a sealed snapshot.
pub(crate) const SEALED: &str = "p861-sealed";

impl Repository {
    /// Every snapshot that can be read. A damaged one is logged and left out: it must not take the sound ones with it. A snapshot never changes, so each is read
    /// once.
    pub(crate) fn all_snapshots(&self) -> Result<Vec<SnapshotFile>, VaultError> {
        let listed = self.engine("list the snapshots", self.store.list_with_size(FileType::Snapshot))?;
        let mut ids: Vec<SnapshotId> = listed.into_iter().map(|(id, _)| id.into()).collect();
        ids.sort_unstable();
        let unread: Vec<SnapshotId> = {
            let known = self.snapshots.lock();
            ids.iter().filter(|id| !known.contains_key(id)).copied().collect()
        };
        if !unread.is_empty() {
            let opened = self.opened()?;
            let read = each(&unread, REQUESTS, |id| match opened.get_file::<SnapshotFile>(id) {
                Ok(mut snapshot) => {
                    snapshot.id = *id;
                    snapshot.original.get_or_insert(*id);
                    Ok(Some(snapshot))
                }
                Err(error) => match self.explain(FileType::Snapshot, id, "read a snapshot", &error) {
                    // Forgotten since it was listed.
                    VaultError::Store(store) if store.is_not_found() => Ok(None),
                    damaged @ VaultError::Damaged { .. } => {
                        tracing::warn!("{damaged}");
                        Ok(None)
                    }
                    other => Err(other),
                },
            })?;
            self.snapshots.lock().extend(read.into_iter().flatten().map(|snapshot| (snapshot.id, snapshot)));
        }
        let mut known = self.snapshots.lock();
        known.retain(|id, _| ids.binary_search(id).is_ok());
        Ok(known.values().cloned().collect())
    }

    /// Sealed snapshots, oldest first. Parts of unfinished backups are not among them.
    ///
    /// # Errors
    /// If the repository can't be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>, VaultError> {
        let mut sealed: Vec<SnapshotInfo> = self.all_snapshots()?.iter().filter(|snapshot| snapshot.tags.contains(SEALED)).map(info).collect();
        sealed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok(sealed)
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
        let of_run = |snapshot: &&SnapshotFile| snapshot.tags.contains(&run) && !snapshot.tags.contains(SEALED);
        let parts: Vec<String> = self.all_snapshots()?.iter().filter(of_run).map(|snapshot| snapshot.id.to_hex().to_string()).collect();
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

fn info(snapshot: &SnapshotFile) -> SnapshotInfo {
    SnapshotInfo {
        id: snapshot.id.to_hex().to_string(),
        time: snapshot.time.timestamp(),
        host: snapshot.hostname.clone(),
        label: snapshot.label.clone(),
        tags: snapshot.tags.iter().cloned().collect(),
    }
}
