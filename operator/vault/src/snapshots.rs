//! The snapshots in a repository.

use crate::{
    Repository, VaultError,
    backend::key,
    parallel::{REQUESTS, each},
    parts::run_tag,
    repository::Opened,
    seal::INVENTORY,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use rustic_core::{
    FileType, ReadBackend as _,
    repofile::{SnapshotFile, SnapshotId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Snapshots that are in memory as a whole at the same time while they are read.
const MAX_READ_AT_ONCE: usize = 512;

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

    fn is_sealed(&self) -> bool {
        self.tags.iter().any(|tag| tag == SEALED)
    }
}

/// Marks a sealed snapshot.
pub(crate) const SEALED: &str = "p861-sealed";

impl Repository {
    /// Every snapshot that can be read. A damaged one is logged and left out: it must not take the sound ones with it.
    pub(crate) fn all_snapshots(&self) -> Result<Vec<SnapshotFile>, VaultError> {
        self.read_new(&self.snapshots, &BTreeSet::new(), |snapshot| snapshot)?;
        Ok(self.snapshots.lock().values().cloned().collect())
    }

    /// The snapshots of a run: its parts, and what it sealed. Reads only snapshots that are younger than the run, however many there are.
    pub(crate) fn of_run(&self, run: &str) -> Result<Vec<SnapshotFile>, VaultError> {
        let before = self.before(run)?;
        self.read_new(&self.snapshots, &before, |snapshot| snapshot)?;
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
        let listed = self.engine("list the snapshots", self.store.list_with_size(FileType::Snapshot))?;
        let mut ids: Vec<SnapshotId> = listed.into_iter().map(|(id, _)| id.into()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Brings what is known of the snapshots up to date, but for some that nobody asks for. One list, and a read of each snapshot that is new: a snapshot never
    /// changes, so none is read twice, however often and by whomever this is called. One that is damaged is read again each time.
    fn read_new<T>(&self, known: &Mutex<BTreeMap<SnapshotId, T>>, skipped: &BTreeSet<SnapshotId>, keep: impl Fn(SnapshotFile) -> T) -> Result<(), VaultError> {
        let ids = self.snapshot_ids()?;
        let unread: Vec<SnapshotId> = {
            let known = known.lock();
            ids.iter().filter(|id| !known.contains_key(id) && !skipped.contains(id)).copied().collect()
        };
        if !unread.is_empty() {
            let opened = self.opened()?;
            // In portions: of most snapshots only a few words are kept.
            for portion in unread.chunks(MAX_READ_AT_ONCE) {
                let read = each(portion, REQUESTS, |id| self.read_listed(&opened, id))?;
                known.lock().extend(read.into_iter().flatten().map(|snapshot| (snapshot.id, keep(snapshot))));
            }
        }
        known.lock().retain(|id, _| ids.binary_search(id).is_ok());
        Ok(())
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
        let mut sealed: Vec<SnapshotInfo> = self.described(SnapshotInfo::is_sealed)?;
        sealed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok(sealed)
    }

    fn described(&self, chosen: impl Fn(&SnapshotInfo) -> bool) -> Result<Vec<SnapshotInfo>, VaultError> {
        self.read_new(&self.infos, &BTreeSet::new(), |snapshot| info(&snapshot))?;
        Ok(self.infos.lock().values().filter(|snapshot| chosen(snapshot)).cloned().collect())
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
        let parts = self.described(|snapshot| snapshot.tags.contains(&run) && !snapshot.is_sealed())?;
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

fn info(snapshot: &SnapshotFile) -> SnapshotInfo {
    SnapshotInfo {
        id: snapshot.id.to_hex().to_string(),
        time: snapshot.time.timestamp(),
        host: snapshot.hostname.clone(),
        label: snapshot.label.clone(),
        tags: snapshot.tags.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Location, PartSpec, RepositoryAccess, SealSpec};
    use std::{fs, io::Cursor};

    fn sealed(repository: &Repository, run: &str) -> String {
        let part = PartSpec { run, part: "streams/db", host: "here", parent: None };
        repository.write_stream(&part, Box::new(Cursor::new(run.as_bytes().to_vec())), &|_| {}).unwrap();
        let spec = SealSpec {
            run: run.into(),
            host: "here".into(),
            time: Timestamp::UNIX_EPOCH,
            tags: vec!["backup=b".into()],
            parts: vec!["streams/db".into()],
            inventory: serde_json::json!({}),
            label: "a".into(),
        };
        repository.seal(&spec, &|| Ok(())).unwrap().snapshot
    }

    #[test]
    fn fault_f8_a_mover_reads_no_snapshot_that_is_older_than_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let access = RepositoryAccess { location: Location::Folder { path: folder.path().to_owned() }, credentials: None, password: "p".into(), id: None };
        let old: Vec<String> = {
            let repository = Repository::open_or_init(&access).unwrap();
            (0..3).map(|number| sealed(&repository, &format!("old-{number}"))).collect()
        };
        // Each mover is a process of its own.
        let first = Repository::open(&access).unwrap();
        let part = PartSpec { run: "new", part: "streams/db", host: "here", parent: None };
        first.write_stream(&part, Box::new(Cursor::new(b"new".to_vec())), &|_| {}).unwrap();
        assert_eq!(first.snapshots.lock().len(), 1, "only its own part");
        let second = Repository::open(&access).unwrap();
        let snapshot = sealed(&second, "new");
        assert!(second.snapshots.lock().values().all(|read| read.tags.contains(&run_tag("new"))), "only those of its run");
        assert_eq!(sealed(&Repository::open(&access).unwrap(), "new"), snapshot, "and it finds what an attempt before has sealed");
        let all: BTreeSet<String> = second.snapshots().unwrap().into_iter().map(|snapshot| snapshot.id).collect();
        assert_eq!(all, old.into_iter().chain([snapshot]).collect());
    }

    #[test]
    fn a_part_is_found_although_nobody_knows_any_more_what_was_there_before_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let access = RepositoryAccess { location: Location::Folder { path: folder.path().to_owned() }, credentials: None, password: "p".into(), id: None };
        let part = PartSpec { run: "r", part: "streams/db", host: "here", parent: None };
        let repository = Repository::open_or_init(&access).unwrap();
        repository.write_stream(&part, Box::new(Cursor::new(b"data".to_vec())), &|_| {}).unwrap();
        fs::remove_dir_all(folder.path().join("p861/runs")).unwrap();
        assert!(Repository::open(&access).unwrap().part("r", "streams/db").unwrap().is_some());
    }
}
