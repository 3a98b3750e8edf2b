//! What a restore would do to a folder, without writing anything.

use super::{
    Chosen, Entry, Existing, FolderRestore,
    place::{Place, Sweep, refused},
};
use crate::{
    OnProgress, Progress, Repository, VaultError,
    metadata::{Standing, plain_difference},
};
use jiff::Timestamp;
use rustic_core::repofile::Node;
use std::{
    collections::HashSet,
    ffi::OsString,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

/// How many files a comparison names.
const NAMED: usize = 5;

/// What a restore of a folder would do. Files are compared by type, owner, mode, size and time, as restic and rsync compare them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderComparison {
    /// Files that are not in the backup and would be removed.
    pub removed: u64,
    /// Files that are there and different.
    pub changed: u64,
    /// Files that are not there.
    pub created: u64,
    /// The first files that would be removed; without any, the first that would change.
    pub first: Vec<String>,
}

/// A folder of the backup, when all names in it are known.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) path: PathBuf,
    pub(super) names: HashSet<OsString>,
    pub(super) modified: Option<Timestamp>,
}

impl Level {
    /// Calls `leave` with each folder of a tree, those inside before the one around them. Only the names of folders that are open are in memory.
    pub(super) fn each(entries: impl Iterator<Item = Entry>, root: &Node, mut leave: impl FnMut(&Self) -> Result<(), VaultError>) -> Result<(), VaultError> {
        let level = |path: &Path, node: &Node| Self { path: path.to_owned(), names: HashSet::new(), modified: node.meta.mtime };
        let mut levels = vec![level(Path::new(""), root)];
        for entry in entries {
            let (path, node) = entry?;
            let parent = path.parent().unwrap_or(Path::new(""));
            while let Some(done) = levels.pop_if(|level| level.path != parent) {
                leave(&done)?;
            }
            let (Some(around), Some(name)) = (levels.last_mut(), path.file_name()) else {
                return Err(VaultError::Other { what: "list files".into(), message: format!("{} is not below its folder", path.display()) });
            };
            around.names.insert(name.to_owned());
            if node.is_dir() {
                levels.push(level(&path, &node));
            }
        }
        levels.iter().rev().try_for_each(leave)
    }
}

impl Repository {
    /// Compares a folder with the backup. Writes nothing.
    ///
    /// # Errors
    /// If there is no such snapshot or part, if it can't be read, or if the volume can't be read.
    pub fn compare_folder(&self, request: &FolderRestore<'_>, on_progress: OnProgress<'_>) -> Result<FolderComparison, VaultError> {
        let repository = self.indexed()?;
        let mut place = Place::open(request.volume).map_err(|error| refused(request.volume, &error))?;
        let mut found = FolderComparison::default();
        let mut sweep = Sweep { counts_only: true, ..Sweep::default() };
        let mut changed = Vec::new();
        for chosen in self.chosen(&repository, request)? {
            let mut compared = 0;
            let entries = self.entries(&repository, &chosen.node)?.inspect(|_| {
                compared += 1;
                if compared % 1000 == 0 {
                    on_progress(Progress { items_done: compared, ..Progress::default() });
                }
            });
            let exact = request.existing == Existing::Exact && chosen.node.is_dir();
            compare_files(entries, &chosen, &mut place, exact.then_some(&mut sweep), &mut found, &mut changed)?;
            if exact {
                Level::each(self.entries(&repository, &chosen.node)?, &chosen.node, |level| {
                    let relative = chosen.at(&level.path);
                    let extra = place.extra(&relative, &level.names)?;
                    let Some(folder) = place.folder(&relative)? else { return Ok(()) };
                    extra.iter().try_for_each(|name| place.sweep(folder.as_fd(), name, &relative.join(name), &mut sweep))
                })?;
            }
        }
        found.removed = sweep.files;
        let first = if sweep.first.is_empty() { changed } else { sweep.first };
        found.first = first.iter().map(|path| path.display().to_string()).collect();
        Ok(found)
    }
}

/// Counts the files of the backup by what would become of them. A folder where the backup has something else goes with all that is in it, and what stands where
/// the backup has a folder goes, too.
fn compare_files(
    entries: impl Iterator<Item = Entry>,
    chosen: &Chosen,
    place: &mut Place,
    mut sweep: Option<&mut Sweep>,
    found: &mut FolderComparison,
    changed: &mut Vec<PathBuf>,
) -> Result<(), VaultError> {
    for entry in entries {
        let (path, node) = entry?;
        let path = chosen.at(&path);
        let standing = match place.parent(&path)? {
            Some((folder, name)) => {
                let there = Standing::at(&folder, name).map_err(|error| Place::refused(&path, &error))?;
                if let (Some(sweep), Some(there)) = (&mut sweep, &there)
                    && (there.kind == rustix::fs::FileType::Directory) != node.is_dir()
                {
                    place.sweep(folder.as_fd(), name, &path, sweep)?;
                }
                there
            }
            None => None,
        };
        if node.is_dir() {
            continue;
        }
        match standing {
            None => found.created += 1,
            Some(there) if plain_difference(&there, &node).is_none() && (!node.is_file() || there.size == node.meta.size) => {}
            Some(_) => {
                found.changed += 1;
                if changed.len() < NAMED {
                    changed.push(path);
                }
            }
        }
    }
    Ok(())
}
