//! The folder of things that were built before. Every entry is whole or absent, and one process at a time adds to it.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::report::Report;

/// Longer than the longest build (Kubernetes, cold, on a slow machine): a holder that exceeds it is stuck, not busy.
const LOCK_LIMIT: Duration = Duration::from_hours(1);

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// There is no home directory to keep the cache in.
    #[error("no cache folder: neither P861_TESTBED_CACHE, XDG_CACHE_HOME nor HOME is set; set P861_TESTBED_CACHE to a folder with 5 GiB free")]
    NoHome,
    /// A file of the cache could not be read or written.
    #[error("{} in the test bed's cache: {source}; check its owner and the free space", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process held the lock for too long.
    #[error("{} is held by process {holder} for {} s; end that process, or wait for it, and try again", path.display(), LOCK_LIMIT.as_secs())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that wrote its id there.
        holder: String,
    },
}

/// The cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// Held while something is added to the cache. The system frees it with the process, however that ends.
#[derive(Debug)]
pub struct CacheLock {
    _file: File,
}

/// What to do with what an interrupted attempt left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// Go on from it: each file in it is whole.
    Keep,
    /// Begin anew.
    Discard,
}

impl Cache {
    /// The user's cache: `$P861_TESTBED_CACHE`, else `platform861/testbed` under `$XDG_CACHE_HOME` or `$HOME/.cache`.
    pub fn of_user() -> Result<Self, CacheError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = variable("P861_TESTBED_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("platform861/testbed")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/platform861/testbed")))
            .ok_or(CacheError::NoHome)?;
        Self::at(root)
    }

    /// A cache in the given folder, which is created.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|source| CacheError::Io { path: root.clone(), source })?;
        Ok(Self { root })
    }

    /// Where the entry of this name is, or will be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The entry of this name, if it is there. What is there is whole.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.path(name);
        path.exists().then_some(path)
    }

    /// Waits until no other process adds to this cache.
    pub fn lock(&self, report: &Report) -> Result<CacheLock, CacheError> {
        let path = self.path("lock");
        let io = |source| CacheError::Io { path: path.clone(), source };
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let start = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(io(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            let holder = holder(&mut file).map_err(io)?;
            if start.elapsed() >= LOCK_LIMIT {
                return Err(CacheError::Locked { path, holder });
            }
            if !told {
                report.line(&format!("waiting for process {holder}, which is building into {}", self.root.display()));
                told = true;
            }
            thread::sleep(Duration::from_millis(200));
        }
        file.set_len(0).map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        write!(file, "{}", std::process::id()).map_err(io)?;
        Ok(CacheLock { _file: file })
    }

    /// Adds the entry `name`, a folder that `fill` fills. It appears under its name only when `fill` succeeded, by one rename,
    /// so a kill at any moment leaves no half-built entry. An entry that is already there is left as it is.
    pub fn add<E: From<CacheError>>(&self, _held: &CacheLock, name: &str, leftover: Leftover, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<PathBuf, E> {
        if let Some(path) = self.find(name) {
            return Ok(path);
        }
        let staging = self.path(&format!(".{name}.part"));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Io { path, source }
        };
        if leftover == Leftover::Discard && staging.exists() {
            fs::remove_dir_all(&staging).map_err(io(&staging))?;
        }
        fs::create_dir_all(&staging).map_err(io(&staging))?;
        fill(&staging)?;
        let path = self.path(name);
        fs::rename(&staging, &path).map_err(io(&path))?;
        Ok(path)
    }
}

fn holder(file: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    Ok(if text.is_empty() { "unknown".to_owned() } else { text })
}

/// A short name for exactly these inputs: 12 hexadecimal digits of a SHA-256 over the parts and their lengths.
pub fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // With the length first, ["ab", "c"] and ["a", "bc"] differ.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut text = hex::encode(hash.finalize());
    text.truncate(12);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        (folder, cache)
    }

    #[test]
    fn a_key_depends_on_every_part_and_on_where_parts_end() {
        let keys = [key([b"ab".as_slice(), b"c"]), key([b"a".as_slice(), b"bc"]), key([b"abc".as_slice()]), key([b"ab".as_slice(), b"d"])];
        for (index, one) in keys.iter().enumerate() {
            assert_eq!(one.len(), 12);
            assert!(!keys[index + 1..].contains(one), "{keys:?}");
        }
        assert_eq!(key([b"ab".as_slice(), b"c"]), keys[0]);
    }

    #[test]
    fn an_entry_that_fails_to_fill_does_not_appear() {
        let (_folder, cache) = cache();
        let lock = cache.lock(&Report::silent()).unwrap();
        let result: Result<PathBuf, CacheError> = cache.add(&lock, "one", Leftover::Discard, |folder| {
            fs::write(folder.join("half"), "x").unwrap();
            Err(CacheError::NoHome)
        });
        result.unwrap_err();
        assert!(cache.find("one").is_none());

        let path: PathBuf = cache
            .add(&lock, "one", Leftover::Discard, |folder| {
                assert!(!folder.join("half").exists(), "what the failed attempt left is discarded");
                fs::write(folder.join("whole"), "x").map_err(|source| CacheError::Io { path: folder.into(), source })
            })
            .unwrap();
        assert!(path.join("whole").exists());
        assert_eq!(cache.find("one"), Some(path));
    }

    #[test]
    fn a_kept_leftover_is_continued() {
        let (_folder, cache) = cache();
        let lock = cache.lock(&Report::silent()).unwrap();
        let failed: Result<PathBuf, CacheError> = cache.add(&lock, "one", Leftover::Keep, |folder| {
            fs::write(folder.join("first"), "x").unwrap();
            Err(CacheError::NoHome)
        });
        failed.unwrap_err();
        let path: Result<PathBuf, CacheError> = cache.add(&lock, "one", Leftover::Keep, |folder| {
            assert!(folder.join("first").exists());
            Ok(())
        });
        assert!(path.unwrap().join("first").exists());
    }

    #[test]
    fn an_entry_that_is_there_is_not_filled_again() {
        let (_folder, cache) = cache();
        let lock = cache.lock(&Report::silent()).unwrap();
        for round in 0..2 {
            let result: Result<PathBuf, CacheError> = cache.add(&lock, "one", Leftover::Discard, |_| {
                assert_eq!(round, 0);
                Ok(())
            });
            result.unwrap();
        }
    }

    #[test]
    fn the_second_holder_waits_for_the_first() {
        let (_folder, cache) = cache();
        let first = cache.lock(&Report::silent()).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let other = cache.clone();
        let waiting = thread::spawn(move || {
            let _second = other.lock(&Report::silent()).unwrap();
            sender.send(()).unwrap();
        });
        assert!(receiver.recv_timeout(Duration::from_millis(600)).is_err(), "the lock was given twice");
        drop(first);
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        waiting.join().unwrap();
    }

    #[test]
    fn the_lock_file_names_its_holder() {
        let (_folder, cache) = cache();
        let _lock = cache.lock(&Report::silent()).unwrap();
        assert_eq!(fs::read_to_string(cache.path("lock")).unwrap(), std::process::id().to_string());
    }
}
