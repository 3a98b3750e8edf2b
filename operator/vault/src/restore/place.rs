//! Folders of a volume, opened one name at a time. Pods may still write into the volume, and a link that one of them puts in the way is never followed: neither
//! a look nor a removal leaves the volume.

pub(super) use crate::beneath::{opened, shown};

use crate::{
    VaultError,
    beneath::{Found, names, subfolder},
    metadata::Standing,
};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, futimens, mkdirat, openat, unlinkat};
use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The folder that mkfs makes at the root of a file system, for its checker.
const LOST_AND_FOUND: &str = "lost+found";

/// What was said to something outside of a volume.
pub(super) fn refused(path: &Path, error: &io::Error) -> VaultError {
    refused_at(path.display().to_string(), error)
}

fn refused_at(path: String, error: &io::Error) -> VaultError {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    VaultError::Destination { path, what: error.to_string(), full }
}

/// A path below a folder, from a text that may begin with a slash.
///
/// # Errors
/// If a part of it leads upwards.
pub(super) fn below(text: &str) -> Result<PathBuf, VaultError> {
    let path = Path::new(text.trim_matches('/'));
    if path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(path.to_owned());
    }
    Err(VaultError::Destination { path: text.into(), what: "a path in a volume has no . and no ..".into(), full: false })
}

fn open(folder: impl AsFd, name: &OsStr) -> io::Result<Option<OwnedFd>> {
    Ok(match subfolder(folder, name)? {
        Found::Opened(folder) => Some(folder),
        Found::Gone | Found::Else => None,
    })
}

/// A volume.
pub(super) struct Place {
    path: PathBuf,
    root: Arc<OwnedFd>,
    /// The mount that it is; others inside are not entered.
    mount: (u64, u64),
    is_file_system: bool,
    /// The folder that was opened last: entries of one folder come one after the other.
    last: Option<(PathBuf, Arc<OwnedFd>)>,
}

impl Place {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = OwnedFd::from(File::open(path)?);
        let mount = mount(&root)?;
        let above = openat(&root, "..", FOLDER, Mode::empty())?;
        let is_file_system = self::mount(&above)? != mount;
        Ok(Self { path: path.to_owned(), root: Arc::new(root), mount, is_file_system, last: None })
    }

    /// Where a path of the volume is, for the engine.
    pub(super) fn full(&self, relative: &Path) -> PathBuf {
        if relative.as_os_str().is_empty() { self.path.clone() } else { self.path.join(relative) }
    }

    /// What the volume said to something at a path.
    pub(super) fn refused(relative: &Path, error: &io::Error) -> VaultError {
        refused_at(shown(relative), error)
    }

    /// A folder of the volume; none if there is nothing, or something else, or a link above it.
    pub(super) fn folder(&mut self, relative: &Path) -> Result<Option<Arc<OwnedFd>>, VaultError> {
        if let Some((_, folder)) = self.last.as_ref().filter(|(path, _)| path == relative) {
            return Ok(Some(folder.clone()));
        }
        let mut folder = self.root.clone();
        for name in relative {
            match open(&folder, name).map_err(|error| Self::refused(relative, &error))? {
                Some(next) => folder = Arc::new(next),
                None => return Ok(None),
            }
        }
        self.last = Some((relative.to_owned(), folder.clone()));
        Ok(Some(folder))
    }

    /// The folder that holds a path, and its name in it.
    pub(super) fn parent<'a>(&mut self, relative: &'a Path) -> Result<Option<(Arc<OwnedFd>, &'a OsStr)>, VaultError> {
        let Some(name) = relative.file_name() else { return Ok(None) };
        let parent = self.folder(relative.parent().unwrap_or(Path::new("")))?;
        Ok(parent.map(|folder| (folder, name)))
    }

    /// Makes a folder of the volume and those above it. What is no folder is removed with `replaces`, and refused without.
    pub(super) fn make(&mut self, relative: &Path, replaces: bool) -> Result<(), VaultError> {
        let mut path = PathBuf::new();
        self.last = None;
        for name in relative {
            let folder = self.folder(&path)?.ok_or_else(|| Self::moved(&path))?;
            path.push(name);
            if open(&folder, name).map_err(|error| Self::refused(&path, &error))?.is_some() {
                continue;
            }
            if Standing::at(&folder, name).map_err(|error| Self::refused(&path, &error))?.is_some() {
                if !replaces {
                    return Err(VaultError::Destination { path: shown(&path), what: "it is no folder".into(), full: false });
                }
                unlinkat(&folder, name, AtFlags::empty()).map_err(|error| Self::refused(&path, &error.into()))?;
            }
            mkdirat(&folder, name, Mode::from(0o755)).map_err(|error| Self::refused(&path, &error.into()))?;
        }
        Ok(())
    }

    pub(super) fn moved(relative: &Path) -> VaultError {
        VaultError::Destination {
            path: shown(relative),
            what: "something else took the folder's place meanwhile: stop what writes into the volume".into(),
            full: false,
        }
    }

    /// Whether nothing is in the folder but what mkfs puts there.
    pub(super) fn is_empty(&mut self, relative: &Path) -> Result<bool, VaultError> {
        let Some(folder) = self.folder(relative)? else { return Ok(true) };
        let names = names(&folder).map_err(|error| Self::refused(relative, &error))?;
        Ok(names.iter().all(|name| self.stays(&relative.join(name))))
    }

    /// Whether a path is the file system's own.
    pub(super) fn stays(&self, relative: &Path) -> bool {
        self.is_file_system && relative == Path::new(LOST_AND_FOUND)
    }

    /// Names in a folder of the volume that are not among `known`.
    pub(super) fn extra(&mut self, relative: &Path, known: &HashSet<OsString>) -> Result<Vec<OsString>, VaultError> {
        if self.stays(relative) {
            return Ok(Vec::new());
        }
        let Some(folder) = self.folder(relative)? else { return Ok(Vec::new()) };
        let mut extra = names(&folder).map_err(|error| Self::refused(relative, &error))?;
        extra.retain(|name| !known.contains(name) && !self.stays(&relative.join(name)));
        extra.sort();
        Ok(extra)
    }

    /// Removes a name of a folder with all that is under it, or only counts it. `at` is its path, for messages.
    pub(super) fn sweep(&self, folder: BorrowedFd<'_>, name: &OsStr, at: &Path, sweep: &mut Sweep) -> Result<(), VaultError> {
        self.sweep_tree(folder, name, at, sweep).map_err(|error| Self::refused(at, &error))
    }

    /// Goes down without recursion: whoever fills a volume decides how deep its folders are.
    fn sweep_tree(&self, folder: BorrowedFd<'_>, name: &OsStr, at: &Path, sweep: &mut Sweep) -> io::Result<()> {
        let Some(there) = Standing::at(folder, name)? else { return Ok(()) };
        if there.kind != FileType::Directory {
            return sweep.file(folder, name, &there, at);
        }
        let Some(mut levels) = self.level(folder, name)?.map(|level| vec![level]) else { return Ok(()) };
        let mut path = at.to_owned();
        while let Some(level) = levels.last_mut() {
            let Some(child) = level.left.pop() else {
                let Some(done) = levels.pop() else { break };
                path.pop();
                let above = levels.last_mut();
                if sweep.counts_only || done.keeps {
                    if let Some(above) = above {
                        above.keeps = true;
                    }
                } else {
                    let parent = above.as_ref().map_or(folder, |above| above.folder.as_fd());
                    unlinkat(parent, &done.name, AtFlags::REMOVEDIR)?;
                }
                continue;
            };
            let Some(there) = Standing::at(&level.folder, &child)? else { continue };
            if there.kind != FileType::Directory {
                sweep.file(level.folder.as_fd(), &child, &there, &path.join(&child))?;
                continue;
            }
            match self.level(level.folder.as_fd(), &child)? {
                Some(next) => {
                    path.push(&child);
                    levels.push(next);
                }
                None => level.keeps = true,
            }
        }
        Ok(())
    }

    /// A folder to be swept; none if it is a mount point, or no folder any more.
    fn level(&self, folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Level>> {
        let Some(folder) = open(folder, name)? else { return Ok(None) };
        if mount(&folder)? != self.mount {
            return Ok(None);
        }
        Ok(Some(Level { left: names(&folder)?, folder, name: name.to_owned(), keeps: false }))
    }
}

/// A folder that is being swept.
struct Level {
    folder: OwnedFd,
    name: OsString,
    left: Vec<OsString>,
    /// Something in it stays, so it stays.
    keeps: bool,
}

/// What was removed, or would be.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    pub(super) counts_only: bool,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// The first files.
    pub(super) first: Vec<PathBuf>,
}

/// How many files a sweep names.
const NAMED: usize = 5;

impl Sweep {
    fn file(&mut self, folder: BorrowedFd<'_>, name: &OsStr, there: &Standing, at: &Path) -> io::Result<()> {
        if !self.counts_only {
            unlinkat(folder, name, AtFlags::empty())?;
        }
        self.files += 1;
        self.bytes += if there.kind == FileType::RegularFile { there.size } else { 0 };
        if self.first.len() < NAMED {
            self.first.push(at.to_owned());
        }
        Ok(())
    }
}

/// Puts the time of a folder back that removing something from it has moved.
pub(super) fn set_modified(folder: BorrowedFd<'_>, modified: jiff::Timestamp) -> io::Result<()> {
    let nanos = modified.as_nanosecond().rem_euclid(1_000_000_000);
    let seconds = modified.as_nanosecond().div_euclid(1_000_000_000);
    let last_modification = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: i64::try_from(nanos).unwrap_or(0) };
    futimens(folder, &Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification })?;
    Ok(())
}

/// The mount that a folder is in: its device, and the mount's number where the kernel tells it.
fn mount(folder: impl AsFd) -> io::Result<(u64, u64)> {
    use rustix::fs::{StatxFlags, makedev, statx};
    let there = statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
    Ok((makedev(there.stx_dev_major, there.stx_dev_minor), there.stx_mnt_id))
}
