//! Opens and initialises repositories.

use crate::{
    RepositoryAccess, StoreError, VaultError,
    backend::Store,
    cipher::CipherError,
    initialise,
    keys::{self, OpenKey},
    snapshots::Briefs,
};
use parking_lot::Mutex;
use rustic_core::{
    Credentials, FileType, IndexedFullStatus, IndexedIdsStatus, OpenStatus, Progress, ProgressBars, ProgressType, RepositoryBackends, RepositoryOptions,
    RusticError, RusticProgress, RusticResult, WriteBackend,
    repofile::{SnapshotFile, SnapshotId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, atomic::Ordering},
};

/// An open repository.
pub struct Repository {
    pub(crate) store: Arc<Store>,
    access: RepositoryAccess,
    id: String,
    key: OpenKey,
    /// Cache of snapshots, for those who need all of each.
    pub(crate) snapshots: Mutex<BTreeMap<SnapshotId, SnapshotFile>>,
    /// A run, and the snapshots that were there before it.
    pub(crate) before: Mutex<Option<(String, Arc<BTreeSet<SnapshotId>>)>>,
    /// Cache of snapshots in short.
    pub(crate) briefs: Mutex<Briefs>,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never print the password or the derived key.
        f.debug_struct("Repository").field("location", &self.access.location).field("id", &self.id).finish_non_exhaustive()
    }
}

pub(crate) type Opened = rustic_core::Repository<OpenStatus>;
pub(crate) type Indexed = rustic_core::Repository<IndexedFullStatus>;
pub(crate) type IndexedIds = rustic_core::Repository<IndexedIdsStatus>;

impl Repository {
    /// Opens a repository.
    ///
    /// # Errors
    /// If there is no repository, if it is another one than `access` names, or if the password doesn't open it.
    pub fn open(access: &RepositoryAccess) -> Result<Self, VaultError> {
        Self::open_in(Store::open(access)?, access)?.map_err(|absent| match absent.key() {
            "" => VaultError::Store(absent),
            _ => VaultError::NotARepository { location: access.location.to_string(), what: absent.what().to_owned() },
        })
    }

    /// Opens a repository, or initialises it if there is none and nothing of one.
    ///
    /// # Errors
    /// As [`Repository::open`]; `ConfigMissing` if only its `config` is gone; or if a new one can't be written.
    pub fn open_or_init(access: &RepositoryAccess) -> Result<Self, VaultError> {
        Self::open_or_init_at(Store::open(access)?, access)
    }

    pub(crate) fn open_or_init_at(store: Arc<Store>, access: &RepositoryAccess) -> Result<Self, VaultError> {
        if !initialise::complete_begun(&store, access)? {
            if let Ok(repository) = Self::open_in(store.clone(), access)? {
                return Ok(repository);
            }
            initialise::initialise(&store, access)?;
        }
        Self::open_in(store, access)?.map_err(|absent| VaultError::NotARepository { location: access.location.to_string(), what: absent.what().to_owned() })
    }

    /// The inner error: there is no repository, and this is how the store said so.
    fn open_in(store: Arc<Store>, access: &RepositoryAccess) -> Result<Result<Self, StoreError>, VaultError> {
        // Read rather than asked for its size: only an answer with a body says why it is refused.
        let config = match store.run(|| store.store().get("config")) {
            Ok(config) => config,
            Err(error) if error.is_not_found() => return Ok(Err(error)),
            Err(error) => return Err(error.into()),
        };
        let key = keys::find(&store, &access.password, &config)?;
        store.unlock(config, key.cipher.clone());
        let mut repository =
            Self { store, access: access.clone(), id: String::new(), key, snapshots: Mutex::default(), before: Mutex::default(), briefs: Mutex::default() };
        repository.id = repository.opened()?.config().id.to_hex().to_string();
        if let Some(expected) = access.id.as_ref().filter(|expected| **expected != repository.id) {
            return Err(VaultError::RepositoryChanged { location: access.location.to_string(), expected: expected.clone(), found: repository.id });
        }
        Ok(Ok(repository))
    }

    /// Whether the repository is still as it was opened: `config` is the same, and the key file that opened it is there. Two requests, and no key is derived. False also if
    /// it is gone: whoever opens it anew learns why.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn is_as_opened(&self) -> Result<bool, VaultError> {
        match self.store.run(|| self.store.store().get("config")) {
            Ok(config) if config == self.store.config() => {}
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        // Others may come and go: who adds or removes keys must not make us derive ours again.
        Ok(self.store.run(|| self.store.store().list("keys/"))?.contains(&self.key.name))
    }

    #[cfg(test)]
    pub(crate) fn open_key(&self) -> &OpenKey {
        &self.key
    }

    /// restic's id of the repository.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// A result of the engine, with the store's error behind it.
    pub(crate) fn engine<T>(&self, what: &str, result: RusticResult<T>) -> Result<T, VaultError> {
        result.map_err(|error: Box<RusticError>| VaultError::engine(what, &error, self.store.take_error()))
    }

    /// A file of the repository, encrypted with its key.
    pub(crate) fn encrypted(&self, plain: &[u8]) -> Result<Vec<u8>, CipherError> {
        self.key.cipher.encrypt(plain)
    }

    /// A handle of its own.
    pub(crate) fn opened(&self) -> Result<Opened, VaultError> {
        self.opened_through(self.store.clone(), Gauges(self.store.clone()))
    }

    /// A handle of its own, which reaches the store through something.
    pub(crate) fn opened_through(&self, backend: Arc<dyn WriteBackend>, bars: impl ProgressBars) -> Result<Opened, VaultError> {
        let options = RepositoryOptions::default().no_cache(true);
        let raw = rustic_core::Repository::new_with_progress(&options, &RepositoryBackends::new(backend, None), bars)
            .map_err(|error| VaultError::engine("prepare the repository", &error, self.store.take_error()))?;
        raw.open(&Credentials::Masterkey(self.key.master.clone())).map_err(|error| match self.store.take_error() {
            Some(store) => store.into(),
            None => VaultError::Damaged { object: "config".into(), what: format!("it can't be read: {}", error.display_log()) },
        })
    }

    pub(crate) fn indexed(&self) -> Result<Indexed, VaultError> {
        self.opened()?.to_indexed().map_err(|error| self.blame(FileType::Index, "read the repository's index", &error))
    }

    pub(crate) fn indexed_ids(&self) -> Result<IndexedIds, VaultError> {
        self.opened()?.to_indexed_ids().map_err(|error| self.blame(FileType::Index, "read the repository's index", &error))
    }
}

/// The engine's progress: only how much it has restored is of interest, everything else we count ourselves.
#[derive(Debug)]
struct Gauges(Arc<Store>);

#[derive(Debug)]
struct Restored(Arc<Store>);

impl ProgressBars for Gauges {
    fn progress(&self, kind: ProgressType, prefix: &str) -> Progress {
        match kind {
            ProgressType::Bytes if prefix.starts_with("restoring") => Progress::new(Restored(self.0.clone())),
            _ => Progress::hidden(),
        }
    }
}

impl RusticProgress for Restored {
    fn is_hidden(&self) -> bool {
        false
    }
    fn set_length(&self, _length: u64) {}
    fn set_title(&self, _title: &str) {}
    fn inc(&self, bytes: u64) {
        self.0.restored.fetch_add(bytes, Ordering::Relaxed);
    }
    fn finish(&self) {}
}
