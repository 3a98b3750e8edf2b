//! A folder as a store. A file appears whole or not at all, and conditional writes hold between processes of one machine.

use super::{
    Condition,
    error::{Refusal, Result, StoreError},
};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Files that are being written end like this.
const PARTIAL: &str = ".p861-partial";
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
        StoreError::new(refusal, &format!("folder {}", self.root.display()), key, what)
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

    pub(super) fn get(&self, key: &str) -> Result<(Vec<u8>, String)> {
        let body = fs::read(self.root.join(key)).map_err(|error| self.io(key, &error))?;
        let tag = tag_of(&body);
        Ok((body, tag))
    }

    pub(super) fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.root.join(key))?;
            file.seek(SeekFrom::Start(offset))?;
            let mut body = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            file.take(length).read_to_end(&mut body)?;
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
                let (_, current) = self.get(key)?;
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

    pub(super) fn list(&self, under: &str) -> Result<Vec<(String, u64)>> {
        let start = match under.rsplit_once('/') {
            Some((folder, _)) => self.root.join(folder),
            None => self.root.clone(),
        };
        let mut keys = Vec::new();
        self.walk(&start, &mut keys).map_err(|error| self.io(under, &error))?;
        keys.retain(|(key, _)| key.starts_with(under));
        keys.sort();
        Ok(keys)
    }

    fn walk(&self, folder: &Path, keys: &mut Vec<(String, u64)>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.walk(&path, keys)?;
            } else if let Some(key) = path.strip_prefix(&self.root).ok().and_then(Path::to_str).filter(|key| !key.ends_with(PARTIAL)) {
                match entry.metadata() {
                    Ok(metadata) => keys.push((key.to_owned(), metadata.len())),
                    // Deleted by another since it was listed.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    pub(super) fn head(&self, key: &str) -> Result<u64> {
        fs::metadata(self.root.join(key)).map(|metadata| metadata.len()).map_err(|error| self.io(key, &error))
    }

    pub(super) fn delete(&self, key: &str) -> Result<()> {
        match fs::remove_file(self.root.join(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.io(key, &error)),
            _ => Ok(()),
        }
    }
}
