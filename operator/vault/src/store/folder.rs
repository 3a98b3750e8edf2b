//! A folder as a store. A file appears whole or not at all, and conditional writes hold between processes of one machine. Only regular files are read, and no link below
//! the folder is followed.

use super::{
    Condition, Take,
    error::{Refusal, Result, StoreError},
};
use crate::{
    beneath::{Beneath, Found, subfolder},
    limits::{self, ListingMeter},
};
use rustix::{
    fs::{AtFlags, Dir, FileType, StatxFlags, statx},
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    ops::ControlFlow,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Files that are being written end like this.
const PARTIAL: &str = ".p861-partial";
/// Folders in folders that a listing goes into.
const MAX_DEPTH: usize = 16;
/// Held while a file is compared and replaced.
const LOCK: &str = ".p861-lock";

/// Makes the names of partial files differ within this process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A folder.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

fn tag_of(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn refused(&self, refusal: Refusal, key: &str, what: impl Into<String>) -> StoreError {
        StoreError::new(refusal, &self.location(), key, what)
    }

    pub(super) fn location(&self) -> String {
        format!("folder {}", self.root.display())
    }

    fn io(&self, key: &str, error: &io::Error) -> StoreError {
        let refusal = match error.kind() {
            ErrorKind::NotFound => Refusal::NotFound,
            ErrorKind::AlreadyExists => Refusal::AlreadyExists,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Refusal::AccessDenied,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Refusal::NoSpace,
            ErrorKind::NotADirectory | ErrorKind::InvalidFilename => Refusal::Invalid,
            _ => Refusal::Other,
        };
        let what = match refusal {
            Refusal::NotFound => "it doesn't exist".to_owned(),
            Refusal::AlreadyExists => "it is there already".to_owned(),
            Refusal::AccessDenied => format!("{error}: give the process's user the right to read and write it"),
            _ => error.to_string(),
        };
        self.refused(refusal, key, what)
    }

    pub(super) fn ensure(&self) -> Result<()> {
        fs::create_dir_all(&self.root).map_err(|error| self.io("", &error))
    }

    /// Opens a file.
    fn open(&self, key: &str) -> Result<(File, u64)> {
        let open = || Beneath::open(&self.root)?.file(Path::new(key));
        match open().map_err(|error| self.io(key, &error))? {
            Found::Opened(file) => {
                let size = file.metadata().map_err(|error| self.io(key, &error))?.len();
                Ok((file, size))
            }
            Found::Gone => Err(self.io(key, &ErrorKind::NotFound.into())),
            Found::Else => Err(self.refused(Refusal::Invalid, key, "it is no regular file in folders: links, pipes and devices are not read")),
        }
    }

    pub(super) fn get(&self, key: &str, limit: u64) -> Result<(Vec<u8>, String)> {
        let (file, size) = self.open(key)?;
        let mut body = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or_default());
        // It may grow while it is read.
        file.take(limit + 1).read_to_end(&mut body).map_err(|error| self.io(key, &error))?;
        if body.len() as u64 > limit {
            return Err(self.refused(Refusal::TooLarge, key, format!("it is larger than {}, which is the most that is read of it", limits::size(limit))));
        }
        let tag = tag_of(&body);
        Ok((body, tag))
    }

    pub(super) fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        let (mut file, size) = self.open(key)?;
        let there = size.saturating_sub(offset).min(length);
        let mut read = || -> io::Result<Vec<u8>> {
            file.seek(SeekFrom::Start(offset))?;
            let mut body = Vec::with_capacity(usize::try_from(there).unwrap_or_default());
            (&mut file).take(length).read_to_end(&mut body)?;
            Ok(body)
        };
        let body = read().map_err(|error| self.io(key, &error))?;
        if body.len() as u64 == length {
            Ok(body)
        } else {
            Err(self.refused(Refusal::Shorter, key, format!("it is shorter than it should be: {} bytes at {offset} instead of {length}", body.len())))
        }
    }

    /// Writes beside, then puts in place. Creating is a hard link, which fails if the name is taken.
    pub(super) fn write(&self, key: &str, body: &[u8], condition: Condition<'_>) -> Result<String> {
        let _held = match condition {
            // One at a time: comparing and writing are two steps on a file system.
            Condition::IfMatch(tag) => {
                let lock = File::create(self.root.join(LOCK)).and_then(|lock| lock.lock().map(|()| lock)).map_err(|error| self.io(key, &error))?;
                let (_, current) = self.get(key, limits::object_bytes(key))?;
                if current != tag {
                    return Err(self.refused(Refusal::PreconditionFailed, key, "it was changed by another"));
                }
                Some(lock)
            }
            Condition::Always | Condition::IfAbsent => None,
        };
        self.place(key, body, matches!(condition, Condition::IfAbsent)).map_err(|error| self.io(key, &error))?;
        Ok(tag_of(body))
    }

    fn place(&self, key: &str, body: &[u8], absent: bool) -> io::Result<()> {
        let path = self.root.join(key);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let partial = path.with_file_name(format!("{}-{}{PARTIAL}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let put = || -> io::Result<()> {
            let mut file = File::create(&partial)?;
            file.write_all(body)?;
            file.sync_all()?;
            if absent { fs::hard_link(&partial, &path) } else { fs::rename(&partial, &path) }
        };
        let result = put();
        // After a rename it is gone already.
        let _ = fs::remove_file(&partial);
        result
    }

    pub(super) fn each(&self, under: &str, take: Take<'_>) -> Result<()> {
        let start = under.rsplit_once('/').map_or("", |(folder, _)| folder);
        let opened = Beneath::open(&self.root).and_then(|root| root.folder(Path::new(start)));
        let folder = match opened {
            Ok(Found::Opened(folder)) => folder,
            Ok(Found::Gone) => return Ok(()),
            Ok(Found::Else) => return Err(self.refused(Refusal::Invalid, under, "it is no folder: links are not followed")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.io(under, &error)),
        };
        let mut walk = Walk { folder: self, under, take, meter: ListingMeter::new(under), began: Instant::now() };
        walk.walk(&folder, PathBuf::from(start)).map(drop)
    }

    pub(super) fn head(&self, key: &str) -> Result<u64> {
        self.open(key).map(|(_, size)| size)
    }

    pub(super) fn delete(&self, key: &str) -> Result<()> {
        match fs::remove_file(self.root.join(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.io(key, &error)),
            _ => Ok(()),
        }
    }
}

/// A listing under way.
struct Walk<'a> {
    folder: &'a Folder,
    under: &'a str,
    take: Take<'a>,
    meter: ListingMeter,
    began: Instant,
}

impl Walk<'_> {
    fn walk(&mut self, folder: &OwnedFd, path: PathBuf) -> Result<ControlFlow<()>> {
        let too_large = |walk: &Self, what: String| walk.folder.refused(Refusal::TooLarge, walk.under, format!("its listing is too large: {what}"));
        let io = |walk: &Self, path: &Path, error: io::Error| walk.folder.io(&path.to_string_lossy(), &error);
        if path.components().count() > MAX_DEPTH {
            return Err(too_large(self, format!("more than {MAX_DEPTH} folders are in each other")));
        }
        for entry in Dir::read_from(folder).map_err(|error| io(self, &path, error.into()))? {
            let entry = entry.map_err(|error| io(self, &path, error.into()))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            self.meter.page(1, self.began.elapsed()).map_err(|what| too_large(self, what))?;
            let path = path.join(name);
            // Names that are not UTF-8 are none of ours.
            let Some(key) = path.to_str().filter(|key| !key.ends_with(PARTIAL)) else { continue };
            let there = match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
                Ok(there) => there,
                // Deleted by another since it was listed.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(io(self, &path, error.into())),
            };
            match FileType::from_raw_mode(there.stx_mode.into()) {
                FileType::Directory => {
                    if let Found::Opened(inner) = subfolder(folder, name).map_err(|error| io(self, &path, error))?
                        && self.walk(&inner, path)?.is_break()
                    {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                FileType::RegularFile if key.starts_with(self.under) => {
                    self.meter.object(key).map_err(|what| too_large(self, what))?;
                    if (self.take)(key, there.stx_size).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                _ => {}
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
