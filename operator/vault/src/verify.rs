//! Verifies that everything a snapshot needs exists and is unmodified.

use crate::{
    Repository, VaultError,
    backend::key,
    parallel::{REQUESTS, each},
    repository::Indexed,
};
use parking_lot::Mutex;
use rustic_core::{
    CheckOptions, FileType, Id, ReadBackend as _, ReadSubsetOption, TreeId,
    repofile::{Node, PackId, SnapshotFile},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// What a verification looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blobs that the snapshot needs.
    pub blobs: u64,
    /// Packs that they are in.
    pub packs: u64,
    /// Size of these packs.
    pub bytes: u64,
}

/// One thing that is wrong with a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckError {
    /// The file of the repository.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// What is wrong.
    pub errors: Vec<CheckError>,
    /// Snapshots that were walked.
    pub snapshots: usize,
}

/// A pack's need: how many bytes of it a snapshot reaches, and one file that needs it.
pub(crate) struct Need {
    end: u64,
    file: PathBuf,
}

/// Blobs that a snapshot needs, collected while walking it.
#[derive(Default)]
struct Needs {
    blobs: AtomicU64,
    packs: Mutex<BTreeMap<PackId, Need>>,
}

impl Needs {
    fn note(&self, pack: PackId, offset: u32, length: u32, file: &Path) {
        let end = u64::from(offset) + u64::from(length);
        self.blobs.fetch_add(1, Ordering::Relaxed);
        let mut packs = self.packs.lock();
        let need = packs.entry(pack).or_insert_with(|| Need { end: 0, file: file.to_owned() });
        need.end = need.end.max(end);
    }
}

impl Repository {
    /// Every blob of the snapshot is in the index, every pack that holds one is there and long enough; with `read_data`, every pack is read and compared with
    /// its digest. What is wrong with other snapshots doesn't matter here.
    ///
    /// # Errors
    /// If there is no such snapshot, or the repository can't be read. Damage is in the report.
    pub fn verify_snapshot(&self, id: &str, read_data: bool) -> Result<VerifyReport, VaultError> {
        let snapshot = self.snapshot(id)?;
        self.verify_in(&self.indexed()?, &snapshot, read_data)
    }

    /// The same without its contents, and its inventory, with one reading of the index. No inventory if it can't be read: the rest is sound without.
    ///
    /// # Errors
    /// As [`Self::verify_snapshot`].
    pub fn verify_with_inventory(&self, id: &str) -> Result<(VerifyReport, Option<serde_json::Value>), VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        let report = self.verify_in(&repository, &snapshot, false)?;
        Ok((report, self.inventory_in(&repository, &snapshot)))
    }

    fn verify_in(&self, repository: &Indexed, snapshot: &SnapshotFile, read_data: bool) -> Result<VerifyReport, VaultError> {
        let (blobs, needs) = self.needs(repository, snapshot)?;
        let listed = self.engine("list the packs", self.store.list_with_size(FileType::Pack))?;
        let there: BTreeMap<Id, u32> = listed.into_iter().collect();
        let mut bytes = 0;
        for (pack, need) in &needs {
            let damaged = |what: String| VaultError::Damaged { object: key(FileType::Pack, pack), what };
            match there.get(&**pack) {
                None => {
                    self.still_missing(&key(FileType::Pack, pack))?;
                    return Err(damaged(format!("it is missing, and {} needs it", need.file.display())));
                }
                Some(size) if u64::from(*size) < need.end => {
                    return Err(damaged(format!("it has {size} bytes, and {} needs {}", need.file.display(), need.end)));
                }
                Some(size) => bytes += u64::from(*size),
            }
        }
        if read_data {
            let packs: Vec<(Id, u64, String)> =
                needs.iter().map(|(pack, need)| (**pack, there.get(&**pack).copied().unwrap_or(0).into(), need.file.display().to_string())).collect();
            self.digest_packs(&packs)?;
        }
        Ok(VerifyReport { blobs, packs: needs.len() as u64, bytes })
    }

    /// Walks the snapshot's trees. Gives the number of blobs, and the packs they are in.
    pub(crate) fn needs(&self, repository: &Indexed, snapshot: &SnapshotFile) -> Result<(u64, BTreeMap<PackId, Need>), VaultError> {
        self.needs_below(repository, snapshot.tree, Path::new("/"))
    }

    /// The same of one tree, which is a folder at a path: level by level, the folders of a level at the same time.
    pub(crate) fn needs_below(&self, repository: &Indexed, tree: TreeId, path: &Path) -> Result<(u64, BTreeMap<PackId, Need>), VaultError> {
        let needs = Needs::default();
        let mut seen = BTreeSet::from([tree]);
        let mut level = vec![(tree, path.to_owned())];
        while !level.is_empty() {
            let folders = each(&level, REQUESTS, |(tree, path)| self.look(repository, *tree, path, &needs))?;
            level = folders.into_iter().flatten().filter(|(tree, _)| seen.insert(*tree)).collect();
        }
        Ok((needs.blobs.into_inner(), needs.packs.into_inner()))
    }

    /// The packs that hold files' contents, each with its size and with a file that needs it; one that is missing is an error.
    pub(crate) fn packs_of(
        &self,
        repository: &Indexed,
        nodes: impl Iterator<Item = Result<Node, VaultError>>,
        path: &str,
    ) -> Result<Vec<(Id, u64, String)>, VaultError> {
        let mut needs = BTreeMap::new();
        for node in nodes {
            let node = node?;
            for blob in node.content.iter().flatten() {
                let entry = repository.get_index_entry(blob).map_err(|_| VaultError::Damaged {
                    object: format!("blob {}", blob.to_hex().as_str()),
                    what: format!("no index names it, and {path} needs it"),
                })?;
                needs.entry(entry.pack).or_insert_with(|| node.name().to_string_lossy().into_owned());
            }
        }
        let there: BTreeMap<Id, u32> = self.engine("list the packs", self.store.list_with_size(FileType::Pack))?.into_iter().collect();
        let sized = needs.into_iter().map(|(pack, file)| {
            if let Some(size) = there.get(&*pack) {
                return Ok((*pack, u64::from(*size), file));
            }
            let object = key(FileType::Pack, &pack);
            self.still_missing(&object)?;
            Err(VaultError::Damaged { object, what: format!("it is missing, and {file} needs it") })
        });
        sized.collect()
    }

    /// Notes what a folder needs; gives the folders in it.
    fn look(&self, repository: &Indexed, tree: TreeId, path: &Path, needs: &Needs) -> Result<Vec<(TreeId, PathBuf)>, VaultError> {
        let unknown = |object: String, file: &Path| VaultError::Damaged { object, what: format!("no index names it, and {} needs it", file.display()) };
        let entry = repository.get_index_entry(&tree).map_err(|_| unknown(format!("tree {}", tree.to_hex().as_str()), path))?;
        let (pack, offset, length) = (entry.pack, entry.location.offset, entry.location.length);
        needs.note(pack, offset, length, path);
        let nodes = repository.get_tree(&tree).map_err(|error| {
            let needed_by = path.display().to_string();
            let key = key(FileType::Pack, &pack);
            // Read once more: the store's last error may be of another thread.
            match self.store.run(|| self.store.store().get_range(&key, offset.into(), length.into())) {
                Err(store) => self.while_reading(store, &needed_by),
                Ok(_) => VaultError::Damaged { object: key, what: format!("{needed_by} can't be read from it: {}", error.display_log()) },
            }
        })?;
        let mut folders = Vec::new();
        for node in nodes.nodes {
            let inner = path.join(node.name());
            for blob in node.content.iter().flatten() {
                let entry = repository.get_index_entry(blob).map_err(|_| unknown(format!("blob {}", blob.to_hex().as_str()), &inner))?;
                needs.note(entry.pack, entry.location.offset, entry.location.length, &inner);
            }
            folders.extend(node.subtree.map(|subtree| (subtree, inner)));
        }
        Ok(folders)
    }

    /// Checks the whole repository; reads so many percent of the packs.
    ///
    /// # Errors
    /// If the repository can't be read. Damage is in the report.
    pub fn check(&self, read_percent: u8) -> Result<CheckReport, VaultError> {
        let opened = self.opened()?;
        let subset = if read_percent >= 100 { ReadSubsetOption::All } else { ReadSubsetOption::Percentage(f64::from(read_percent)) };
        let options = CheckOptions::default().read_data(read_percent > 0).read_data_subset(subset);
        let results = self.engine("check the repository", opened.check(options))?;
        let snapshots = self.all_snapshots()?.len();
        let errors = results
            .0
            .iter()
            .filter(|(level, _)| format!("{level:?}") == "Error")
            .map(|(_, error)| {
                let message = error.to_string();
                let object = message
                    .split(|c: char| !c.is_ascii_hexdigit())
                    .find(|word| word.len() == 64)
                    .map_or_else(|| "repository".to_owned(), |id| format!("data/{}/{id}", &id[..2]));
                CheckError { object, message }
            })
            .collect();
        Ok(CheckReport { errors, snapshots })
    }
}
