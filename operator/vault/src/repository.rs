//! Opens and initialises repositories.

use crate::{RepositoryAccess, SnapshotInfo, StoreError, VaultError, backend::Store};
use parking_lot::Mutex;
use rustic_core::{
    ConfigOptions, Credentials, FileType, IndexedFullStatus, IndexedIdsStatus, KeyOptions, OpenStatus, Progress, ProgressBars, ProgressType,
    RepositoryBackends, RepositoryOptions, RusticError, RusticProgress, RusticResult,
    repofile::{MasterKey, SnapshotFile, SnapshotId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

/// An open repository.
pub struct Repository {
    pub(crate) store: Arc<Store>,
    access: RepositoryAccess,
    id: String,
    key: OnceLock<MasterKey>,
    /// Content of `config`, and the names of the keys when they were first asked for.
    config: Vec<u8>,
    key_names: Mutex<Option<Vec<String>>>,
    /// Cache of snapshots, for those who need all of each.
    pub(crate) snapshots: Mutex<BTreeMap<SnapshotId, SnapshotFile>>,
    /// A run, and the snapshots that were there before it.
    pub(crate) before: Mutex<Option<(String, Arc<BTreeSet<SnapshotId>>)>>,
    /// Cache of snapshots in short.
    pub(crate) infos: Mutex<BTreeMap<SnapshotId, SnapshotInfo>>,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never print the password or the derived key.
        f.debug_struct("Repository").field("location", &self.access.location).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Size of a pack that holds files. The engine keeps the type of sizes to itself, but reads it.
const PACK: &str = "16MiB";

/// How long to wait for a concurrent initialisation to finish.
const SETTLES: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);
const LEAST_ATTEMPTS: u32 = 4;

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

    /// Opens a repository, or initialises it if there is none.
    ///
    /// # Errors
    /// As [`Repository::open`]; or if a new one can't be written.
    pub fn open_or_init(access: &RepositoryAccess) -> Result<Self, VaultError> {
        let store = Store::open(access)?;
        if let Ok(repository) = Self::open_in(store.clone(), access)? {
            return Ok(repository);
        }
        store.run(|| store.store().ensure_bucket())?;
        let raw = Self::raw(&store)?;
        // Two that make it at once: config is created only if absent, so the loser opens the winner's. The engine writes a key before config, though, and any
        // key that the password opens may be tried, so keys of another master key must go: the loser removes its own, the winner all but its own.
        // restic's own size of packs, at any size of the repository: the engine's would grow with it, and with it every mover's need for memory.
        let mut options = ConfigOptions::default().set_version(2_u32).set_datapack_growfactor(0_u32);
        options.set_datapack_size = PACK.parse().ok();
        match raw.init(&Credentials::password(&access.password), &KeyOptions::default().with_created(true), &options) {
            Ok(made) => {
                let own = made.key_id().as_ref().map(|id| id.to_hex().to_string());
                for key in store.run(|| store.store().list("keys/"))?.iter().filter(|key| own.as_ref().is_some_and(|own| !key.ends_with(own.as_str()))) {
                    store.run(|| store.store().delete(key))?;
                }
            }
            Err(error) => {
                let cause = store.take_error();
                if !cause.as_ref().is_some_and(StoreError::is_already_exists) {
                    return Err(VaultError::engine("make the repository", &error, cause));
                }
                for key in store.take_written_keys() {
                    store.run(|| store.store().delete(&key))?;
                }
            }
        }
        Self::open_in(store, access)?.map_err(|absent| VaultError::NotARepository { location: access.location.to_string(), what: absent.what().to_owned() })
    }

    fn raw(store: &Arc<Store>) -> Result<rustic_core::Repository<()>, VaultError> {
        let options = RepositoryOptions::default().no_cache(true);
        let backends = RepositoryBackends::new(store.clone(), None);
        rustic_core::Repository::new_with_progress(&options, &backends, Gauges(store.clone()))
            .map_err(|error| VaultError::engine("prepare the repository", &error, store.take_error()))
    }

    /// The inner error: there is no repository, and this is how the store said so.
    fn open_in(store: Arc<Store>, access: &RepositoryAccess) -> Result<Result<Self, StoreError>, VaultError> {
        // Read rather than asked for its size: only an answer with a body says why it is refused.
        let config = match store.run(|| store.store().get("config")) {
            Ok(config) => config,
            Err(error) if error.is_not_found() => return Ok(Err(error)),
            Err(error) => return Err(error.into()),
        };
        let mut repository = Self {
            store,
            access: access.clone(),
            id: String::new(),
            key: OnceLock::new(),
            config,
            key_names: Mutex::default(),
            snapshots: Mutex::default(),
            before: Mutex::default(),
            infos: Mutex::default(),
        };
        repository.id = repository.settled()?.config().id.to_hex().to_string();
        if let Some(expected) = access.id.as_ref().filter(|expected| **expected != repository.id) {
            return Err(VaultError::RepositoryChanged { location: access.location.to_string(), expected: expected.clone(), found: repository.id });
        }
        Ok(Ok(repository))
    }

    /// The first handle. While two make the repository, keys of two master keys are there, and the password opens either; only the winner's opens config. The
    /// loser's key goes in a moment.
    fn settled(&self) -> Result<Opened, VaultError> {
        let since = Instant::now();
        let mut attempts = 0_u32;
        loop {
            let result = self.opened();
            let unread = matches!(&result, Err(VaultError::Damaged { object, .. }) if object == "config");
            attempts += 1;
            if !unread || since.elapsed() > SETTLES {
                return result;
            }
            // The key that was tried may be gone already when the keys are counted.
            if attempts >= LEAST_ATTEMPTS && self.store.run(|| self.store.store().list("keys/"))?.len() <= 1 {
                return result;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether the repository is still as it was opened: `config` and the names of its keys are the same. Two requests, and no key is derived, which takes 128 MiB
    /// and a second. False also if it is gone: whoever opens it anew learns why.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn is_as_opened(&self) -> Result<bool, VaultError> {
        match self.store.run(|| self.store.store().get("config")) {
            Ok(config) if config == self.config => {}
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut names = self.store.run(|| self.store.store().list("keys/"))?;
        names.sort_unstable();
        let mut known = self.key_names.lock();
        Ok(*known.get_or_insert_with(|| names.clone()) == names)
    }

    /// restic's id of the repository.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// A result of the engine, with the store's error behind it.
    pub(crate) fn engine<T>(&self, what: &str, result: RusticResult<T>) -> Result<T, VaultError> {
        result.map_err(|error: Box<RusticError>| VaultError::engine(what, &error, self.store.take_error()))
    }

    /// A handle of its own. Deriving the key from the password is slow by design, so it is done once.
    pub(crate) fn opened(&self) -> Result<Opened, VaultError> {
        let raw = Self::raw(&self.store)?;
        let credentials = self.key.get().map_or_else(|| Credentials::password(&self.access.password), |key| Credentials::Masterkey(key.clone()));
        let opened = raw.open(&credentials).map_err(|error| {
            if let Some(store) = self.store.take_error() {
                return store.into();
            }
            match self.damaged_among(FileType::Key) {
                Ok(None) if error.is_incorrect_password() => VaultError::KeyWrong { location: self.store.location().to_owned() },
                Ok(None) => {
                    VaultError::Damaged { object: "config".into(), what: format!("it can't be opened with the repository's key: {}", error.display_log()) }
                }
                Ok(Some(damaged)) | Err(damaged) => damaged,
            }
        })?;
        // Another thread may have been first, with the same key.
        let _ = self.key.set(opened.key());
        Ok(opened)
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
