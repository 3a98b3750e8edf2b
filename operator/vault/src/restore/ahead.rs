//! What stands in the way of a restore, found before anything is changed: whoever is told so has lost nothing.

use super::{Chosen, Existing, FolderRestore, Place, refused, shown};
use crate::{Repository, VaultError, metadata::Standing, repository::Indexed};
use rustix::fs::{FileType, Mode, OFlags, openat};
use std::path::{Path, PathBuf};

/// Name of the mark that a run leaves in a volume while it writes into it and may replace nothing.
pub(super) fn mark_of(run: &str) -> String {
    format!(".p861-restoring-{run}")
}

impl Repository {
    /// Finds out whether [`Repository::restore_folder`] would be refused by what is asked for, or by what stands in the volume. Changes nothing.
    ///
    /// # Errors
    /// If there is no such snapshot, part or path, if it can't be read, or if something is in the way.
    pub fn refuse_in_the_way(&self, request: &FolderRestore<'_>) -> Result<(), VaultError> {
        let repository = self.indexed()?;
        let chosen = self.chosen(&repository, request)?;
        let mut place = Place::open(request.volume).map_err(|error| refused(request.volume, &error))?;
        self.look_ahead(&repository, &chosen, &mut place, request.existing)
    }

    /// Finds out whether the snapshot has what is asked for. Looks at no volume.
    ///
    /// # Errors
    /// If there is no such snapshot, part or path, if a path leads out of the volume, or if the repository can't be read.
    pub fn refuse_missing(&self, request: &FolderRestore<'_>) -> Result<(), VaultError> {
        self.chosen(&self.indexed()?, request).map(drop)
    }

    /// Refuses what can't be written beside what stands in the volume.
    pub(super) fn look_ahead(&self, repository: &Indexed, chosen: &[Chosen], place: &mut Place, existing: Existing<'_>) -> Result<(), VaultError> {
        if let Existing::Untouched { run } = existing
            && has_mark(place, run)?
        {
            // What an earlier attempt has written is its own.
            return Ok(());
        }
        match existing {
            Existing::Untouched { .. } => chosen.iter().try_for_each(|chosen| self.refuse_existing(repository, chosen, place)),
            Existing::Keep => chosen.iter().try_for_each(|chosen| self.refuse_others(repository, chosen, place)),
            // A folder that becomes what it is in the backup loses what is in the way inside it. Nothing above it does, and no folder becomes a file.
            Existing::Exact => chosen
                .iter()
                .try_for_each(|chosen| if chosen.node.is_dir() { refuse_above(chosen, place) } else { self.refuse_others(repository, chosen, place) }),
        }
    }

    /// Nothing may stand where a file is to come, and nothing but folders above it.
    fn refuse_existing(&self, repository: &Indexed, chosen: &Chosen, place: &mut Place) -> Result<(), VaultError> {
        let above = if chosen.node.is_dir() { chosen.relative.as_path() } else { chosen.relative.parent().unwrap_or(Path::new("")) };
        if let Some((blocked, _)) = blocked(place, above)? {
            return Err(VaultError::Destination { path: shown(&blocked), what: "it is no folder".into(), full: false });
        }
        for entry in self.entries(repository, &chosen.node)?.chain([Ok((PathBuf::new(), chosen.node.clone()))]) {
            let (path, node) = entry?;
            let path = chosen.at(&path);
            let Some(there) = standing(place, &path)? else { continue };
            if !(node.is_dir() && there.kind == FileType::Directory) {
                let what = "it is there already, and files that are put under a path replace nothing: choose another path, or move it away";
                return Err(VaultError::Destination { path: shown(&path), what: what.into(), full: false });
            }
        }
        Ok(())
    }

    /// No folder may stand where something else is to come, and nothing else where a folder is to come or above: not a link either, behind which somebody keeps what
    /// is read through it.
    fn refuse_others(&self, repository: &Indexed, chosen: &Chosen, place: &mut Place) -> Result<(), VaultError> {
        refuse_above(chosen, place)?;
        for entry in self.entries(repository, &chosen.node)?.chain([Ok((PathBuf::new(), chosen.node.clone()))]) {
            let (path, node) = entry?;
            let path = chosen.at(&path);
            let Some(there) = standing(place, &path)? else { continue };
            match (there.kind, node.is_dir()) {
                (FileType::Directory, false) => {
                    let what = format!("a folder is where the backup has a {}: move it away, or restore elsewhere", node.node_type);
                    return Err(VaultError::Destination { path: shown(&path), what, full: false });
                }
                (FileType::Directory, true) | (_, false) => {}
                (kind, true) => return Err(no_folder(&path, kind)),
            }
        }
        Ok(())
    }

    /// The first file of the backup that the volume doesn't let be written, as it answers to the engine, which names none. None if each can be.
    pub(super) fn unwritable(&self, repository: &Indexed, chosen: &Chosen, place: &mut Place) -> Result<Option<PathBuf>, VaultError> {
        for entry in self.entries(repository, &chosen.node)?.chain([Ok((PathBuf::new(), chosen.node.clone()))]) {
            let (path, node) = entry?;
            let path = chosen.at(&path);
            if !node.is_file() || standing(place, &path)?.is_none_or(|there| there.kind != FileType::RegularFile) {
                continue;
            }
            let Some((folder, name)) = place.parent(&path)? else { continue };
            let opens = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            if openat(&folder, name, opens, Mode::empty()).is_err() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

fn has_mark(place: &mut Place, run: &str) -> Result<bool, VaultError> {
    Ok(standing(place, Path::new(&mark_of(run)))?.is_some())
}

pub(super) fn standing(place: &mut Place, path: &Path) -> Result<Option<Standing>, VaultError> {
    let Some((folder, name)) = place.parent(path)? else { return Ok(None) };
    Standing::at(&folder, name).map_err(|error| Place::refused(path, &error))
}

/// Nothing but folders may stand above what is to come.
fn refuse_above(chosen: &Chosen, place: &mut Place) -> Result<(), VaultError> {
    match blocked(place, chosen.relative.parent().unwrap_or(Path::new("")))? {
        Some((path, kind)) => Err(no_folder(&path, kind)),
        None => Ok(()),
    }
}

fn no_folder(path: &Path, kind: FileType) -> VaultError {
    let kind = match kind {
        FileType::RegularFile => "file",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        _ => "device",
    };
    VaultError::Destination { path: shown(path), what: format!("a {kind} is where the backup has a folder: move it away, or restore elsewhere"), full: false }
}

/// The first part of a path that is there and no folder, and what it is.
fn blocked(place: &mut Place, path: &Path) -> Result<Option<(PathBuf, FileType)>, VaultError> {
    let mut above = PathBuf::new();
    for name in path {
        above.push(name);
        match standing(place, &above)? {
            None => return Ok(None),
            Some(there) if there.kind != FileType::Directory => return Ok(Some((above, there.kind))),
            Some(_) => {}
        }
    }
    Ok(None)
}
