//! Is everything there that a snapshot needs, and is it what was written.

use crate::{Repository, VaultError, backend::key, repository::Indexed};
use rustic_core::{
    CheckOptions, FileType, Id, ReadBackend as _, ReadSubsetOption,
    repofile::{PackId, SnapshotFile},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
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
struct Need {
    end: u64,
    file: PathBuf,
}

impl Repository {
    /// Every blob of the snapshot is in the index, every pack that holds one is there and long enough; with `read_data`, every pack is read and compared with
    /// its digest. What is wrong with other snapshots doesn't matter here.
    pub fn verify_snapshot(&self, id: &str, read_data: bool) -> Result<VerifyReport, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        let (blobs, needs) = self.needs(&repository, &snapshot)?;
        let listed = self.engine("list the packs", self.store.list_with_size(FileType::Pack))?;
        let there: BTreeMap<Id, u32> = listed.into_iter().collect();
        let mut bytes = 0;
        for (pack, need) in &needs {
            let damaged = |what: String| VaultError::Damaged { object: key(FileType::Pack, pack), what };
            match there.get(&**pack) {
                None => return Err(damaged(format!("it is missing, and {} needs it", need.file.display()))),
                Some(size) if u64::from(*size) < need.end => return Err(damaged(format!("it has {size} bytes, and {} needs {}", need.file.display(), need.end))),
                Some(size) => bytes += u64::from(*size),
            }
        }
        if read_data {
            for (pack, need) in &needs {
                let body = self.engine("read a pack", self.store.read_full(FileType::Pack, pack))?;
                let digest = {
                    use sha2::{Digest as _, Sha256};
                    hex::encode(Sha256::digest(&body))
                };
                if digest != pack.to_hex().as_str() {
                    return Err(VaultError::Damaged { object: key(FileType::Pack, pack), what: format!("its content has changed (sha256 {digest}), and {} needs it", need.file.display()) });
                }
            }
        }
        Ok(VerifyReport { blobs, packs: needs.len() as u64, bytes })
    }

    /// Walks the snapshot's trees.
    fn needs(&self, repository: &Indexed, snapshot: &SnapshotFile) -> Result<(u64, BTreeMap<PackId, Need>), VaultError> {
        let mut needs: BTreeMap<PackId, Need> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut blobs = 0;
        let mut open = vec![(snapshot.tree, PathBuf::from("/"))];
        let mut note = |pack: PackId, offset: u32, length: u32, path: &PathBuf| {
            let end = u64::from(offset) + u64::from(length);
            let need = needs.entry(pack).or_insert_with(|| Need { end: 0, file: path.clone() });
            need.end = need.end.max(end);
        };
        while let Some((tree, path)) = open.pop() {
            if !seen.insert(tree) {
                continue;
            }
            let missing = |what: String| VaultError::Damaged { object: format!("tree {}", tree.to_hex().as_str()), what: format!("{} needs it: {what}", path.display()) };
            let entry = repository.get_index_entry(&tree).map_err(|_| missing("no index names it".into()))?;
            let pack = entry.pack;
            note(pack, entry.location.offset, entry.location.length, &path);
            blobs += 1;
            let nodes = repository.get_tree(&tree).map_err(|error| match self.store.take_error() {
                Some(store) if store.is_transient() => VaultError::Store(store),
                Some(store) => VaultError::Damaged { object: key(FileType::Pack, &pack), what: format!("{store}; {} needs it", path.display()) },
                None => VaultError::Damaged { object: key(FileType::Pack, &pack), what: format!("{} can't be read from it: {}", path.display(), error.display_log()) },
            })?;
            for node in nodes.nodes {
                let inner = path.join(node.name());
                for blob in node.content.iter().flatten() {
                    let entry = repository.get_index_entry(blob).map_err(|_| VaultError::Damaged { object: format!("blob {}", blob.to_hex().as_str()), what: format!("no index names it, and {} needs it", inner.display()) })?;
                    note(entry.pack, entry.location.offset, entry.location.length, &inner);
                    blobs += 1;
                }
                if let Some(subtree) = node.subtree {
                    open.push((subtree, inner));
                }
            }
        }
        Ok((blobs, needs))
    }

    /// Checks the whole repository; reads so many percent of the packs.
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
                let object = message.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64).map_or_else(|| "repository".to_owned(), |id| format!("data/{}/{id}", &id[..2]));
                CheckError { object, message }
            })
            .collect();
        Ok(CheckReport { errors, snapshots })
    }
}
