//! Opening and making a repository, and the snapshots in it.

use crate::{RepositoryAccess, VaultError, backend::Store};
use jiff::Timestamp;
use rustic_core::{
    ConfigOptions, Credentials, IndexedFullStatus, IndexedIdsStatus, KeyOptions, OpenStatus, RepositoryBackends, RepositoryOptions, RusticError, RusticResult,
    repofile::{MasterKey, SnapshotFile, SnapshotId},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// An open repository.
pub struct Repository {
    pub(crate) store: Arc<Store>,
    access: RepositoryAccess,
    id: String,
    key: OnceLock<MasterKey>,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the password nor the key that it leads to is ever printed.
        f.debug_struct("Repository").field("location", &self.access.location).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A snapshot of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// restic's id.
    pub id: String,
    /// Its time: the recovery point.
    pub time: Timestamp,
    /// The site.
    pub host: String,
    /// The application.
    pub label: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// Marks a sealed snapshot.
pub(crate) const SEALED: &str = "p861-sealed";

pub(crate) type Opened = rustic_core::Repository<OpenStatus>;
pub(crate) type Indexed = rustic_core::Repository<IndexedFullStatus>;
pub(crate) type IndexedIds = rustic_core::Repository<IndexedIdsStatus>;

impl Repository {
    /// Opens a repository.
    pub fn open(access: &RepositoryAccess) -> Result<Self, VaultError> {
        let store = Store::open(access)?;
        Self::open_in(store, access)?.ok_or_else(|| VaultError::NotARepository { location: access.location.to_string() })
    }

    /// Opens a repository, or makes it where there is none.
    pub fn open_or_init(access: &RepositoryAccess) -> Result<Self, VaultError> {
        let store = Store::open(access)?;
        if let Some(repository) = Self::open_in(store.clone(), access)? {
            return Ok(repository);
        }
        store.run(|| store.store().ensure_bucket())?;
        let raw = Self::raw(&store)?;
        // Two that make it at once: config is created only if absent, so the loser opens the winner's.
        let made = raw.init(&Credentials::password(&access.password), &KeyOptions::default().with_created(true), &ConfigOptions::default().set_version(2_u32));
        if let Err(error) = made {
            let cause = store.take_error();
            if !cause.as_ref().is_some_and(crate::StoreError::is_already_exists) {
                return Err(VaultError::engine("make the repository", &error, cause));
            }
        }
        Self::open_in(store, access)?.ok_or_else(|| VaultError::NotARepository { location: access.location.to_string() })
    }

    fn raw(store: &Arc<Store>) -> Result<rustic_core::Repository<()>, VaultError> {
        let options = RepositoryOptions::default().no_cache(true);
        rustic_core::Repository::new(&options, &RepositoryBackends::new(store.clone(), None)).map_err(|error| VaultError::engine("prepare the repository", &error, store.take_error()))
    }

    /// None: there is no repository.
    fn open_in(store: Arc<Store>, access: &RepositoryAccess) -> Result<Option<Self>, VaultError> {
        match store.run(|| store.store().head("config")) {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let mut repository = Self { store, access: access.clone(), id: String::new(), key: OnceLock::new() };
        repository.id = repository.opened()?.config().id.to_hex().to_string();
        if let Some(expected) = access.id.as_ref().filter(|expected| **expected != repository.id) {
            return Err(VaultError::RepositoryChanged { location: access.location.to_string(), expected: expected.clone(), found: repository.id });
        }
        Ok(Some(repository))
    }

    /// restic's id of the repository.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// A result of the engine, with the store's error behind it.
    pub(crate) fn engine<T>(&self, what: &str, result: RusticResult<T>) -> Result<T, VaultError> {
        result.map_err(|error: Box<RusticError>| {
            if error.is_incorrect_password() {
                return VaultError::KeyWrong { location: self.store.location().to_owned() };
            }
            VaultError::engine(what, &error, self.store.take_error())
        })
    }

    /// A handle of its own. Deriving the key from the password is slow by design, so it is done once.
    pub(crate) fn opened(&self) -> Result<Opened, VaultError> {
        let raw = Self::raw(&self.store)?;
        let credentials = self.key.get().map_or_else(|| Credentials::password(&self.access.password), |key| Credentials::Masterkey(key.clone()));
        let opened = self.engine("open the repository", raw.open(&credentials))?;
        // Another thread may have been first, with the same key.
        let _ = self.key.set(opened.key());
        Ok(opened)
    }

    pub(crate) fn indexed(&self) -> Result<Indexed, VaultError> {
        let opened = self.opened()?;
        self.engine("read the repository's index", opened.to_indexed())
    }

    pub(crate) fn indexed_ids(&self) -> Result<IndexedIds, VaultError> {
        let opened = self.opened()?;
        self.engine("read the repository's index", opened.to_indexed_ids())
    }

    pub(crate) fn all_snapshots(&self) -> Result<Vec<SnapshotFile>, VaultError> {
        let opened = self.opened()?;
        self.engine("read the snapshots", opened.get_all_snapshots())
    }

    /// Sealed snapshots, oldest first. Parts of unfinished backups are not among them.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>, VaultError> {
        let mut sealed: Vec<SnapshotInfo> = self.all_snapshots()?.iter().filter(|snapshot| snapshot.tags.contains(SEALED)).map(info).collect();
        sealed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok(sealed)
    }

    /// A snapshot by its id.
    pub(crate) fn snapshot(&self, id: &str) -> Result<SnapshotFile, VaultError> {
        let missing = |what: &str| VaultError::SnapshotMissing { id: id.into(), what: what.into() };
        let found: SnapshotId = id.parse().map_err(|_| missing("this is no snapshot id"))?;
        let opened = self.opened()?;
        match opened.get_snapshots(&[found.to_hex().to_string()]) {
            Ok(mut snapshots) if !snapshots.is_empty() => Ok(snapshots.remove(0)),
            Ok(_) => Err(missing("it was forgotten")),
            Err(error) => match self.store.take_error() {
                Some(store) if !store.is_not_found() => Err(store.into()),
                _ => Err(missing(&error.display_log())),
            },
        }
    }

    /// Removes snapshots from the list; their data stays until a prune.
    pub fn forget(&self, ids: &[String]) -> Result<(), VaultError> {
        let ids: Vec<SnapshotId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let opened = self.opened()?;
        self.engine("forget snapshots", opened.delete_snapshots(&ids))
    }
}

fn info(snapshot: &SnapshotFile) -> SnapshotInfo {
    SnapshotInfo {
        id: snapshot.id.to_hex().to_string(),
        time: snapshot.time.timestamp(),
        host: snapshot.hostname.clone(),
        label: snapshot.label.clone(),
        tags: snapshot.tags.iter().cloned().collect(),
    }
}
