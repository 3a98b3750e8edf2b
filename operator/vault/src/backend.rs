//! The engine's way to the store: restic's file layout over keys.

use crate::{AsyncStore, RepositoryAccess, StoreError, VaultError};
use bytes::Bytes;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use std::{
    fmt,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// How long a fault of the store is waited out, unless `P861_S3_PATIENCE` (seconds) says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store for callers that block.
pub(crate) struct Store {
    store: AsyncStore,
    runtime: Runtime,
    location: String,
    patience: Duration,
    /// The error behind an error of the engine, which keeps only its text.
    last: Mutex<Option<StoreError>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.location)
    }
}

impl Store {
    pub(crate) fn open(access: &RepositoryAccess) -> Result<Arc<Self>, VaultError> {
        let store = AsyncStore::prepare(&access.location, access.credentials.as_ref())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| VaultError::Other { what: "start the store's threads".into(), message: error.to_string() })?;
        let patience = std::env::var("P861_S3_PATIENCE").ok().and_then(|text| text.parse().ok()).map_or(PATIENCE, Duration::from_secs);
        Ok(Arc::new(Self { store, runtime, location: access.location.to_string(), patience, last: Mutex::new(None) }))
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The error behind the engine's last error.
    pub(crate) fn take_error(&self) -> Option<StoreError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the answer, and waits out faults that may go away.
    pub(crate) fn run<T, F: Future<Output = Result<T, StoreError>>>(&self, request: impl Fn() -> F) -> Result<T, StoreError> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            match self.runtime.block_on(request()) {
                Err(error) if error.is_transient() && begin.elapsed() + pause < self.patience => {
                    tracing::warn!("{error}; tried again in {pause:?}");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                result => return result,
            }
        }
    }

    fn engine<T>(&self, result: Result<T, StoreError>) -> RusticResult<T> {
        result.map_err(|error| {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            RusticError::with_source(ErrorKind::Backend, "the repository's store refused", error)
        })
    }

    pub(crate) fn store(&self) -> &AsyncStore {
        &self.store
    }
}

/// Where restic keeps a file. Packs are spread over 256 folders by the first byte of their id.
pub(crate) fn key(tpe: FileType, id: &Id) -> String {
    let name = id.to_hex();
    let name = name.as_str();
    match tpe {
        FileType::Config => "config".into(),
        FileType::Index => format!("index/{name}"),
        FileType::Key => format!("keys/{name}"),
        FileType::Snapshot => format!("snapshots/{name}"),
        FileType::Pack => format!("data/{}/{name}", &name[..2]),
    }
}

impl ReadBackend for Store {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if tpe == FileType::Config {
            return Ok(match self.run(|| self.store.head("config")) {
                Ok(size) => vec![(Id::default(), u32::try_from(size).unwrap_or(u32::MAX))],
                Err(error) if error.is_not_found() => Vec::new(),
                Err(error) => return self.engine(Err(error)),
            });
        }
        let folder = match tpe {
            FileType::Index => "index/",
            FileType::Key => "keys/",
            FileType::Snapshot => "snapshots/",
            FileType::Pack | FileType::Config => "data/",
        };
        let listed = self.engine(self.run(|| self.store.list_with_size(folder)))?;
        // Anything that isn't named like a file of restic's is none.
        Ok(listed.into_iter().filter_map(|(key, size)| Some((key.rsplit('/').next()?.parse::<Id>().ok()?, u32::try_from(size).unwrap_or(u32::MAX)))).collect())
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        let key = key(tpe, id);
        self.engine(self.run(|| self.store.get(&key))).map(Bytes::from)
    }

    fn read_partial(&self, tpe: FileType, id: &Id, _cacheable: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        let key = key(tpe, id);
        self.engine(self.run(|| self.store.get_range(&key, offset.into(), length.into()))).map(Bytes::from)
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        key(tpe, id)
    }
}

impl WriteBackend for Store {
    fn create(&self) -> RusticResult<()> {
        self.engine(self.run(|| self.store.ensure_bucket()))
    }

    fn write_bytes(&self, tpe: FileType, id: &Id, _cacheable: bool, content: BytesList) -> RusticResult<()> {
        let key = key(tpe, id);
        let mut body = Vec::new();
        content.reader().read_to_end(&mut body).map_err(|error| RusticError::with_source(ErrorKind::InputOutput, "a file of the repository can't be put together", error))?;
        // Every file but config is named by its content: writing it again writes the same.
        let result = match tpe {
            FileType::Config => self.run(|| self.store.put_if_absent(&key, body.clone())),
            _ => self.run(|| self.store.put(&key, body.clone())),
        };
        self.engine(result).map(|_| ())
    }

    fn remove(&self, tpe: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        let key = key(tpe, id);
        self.engine(self.run(|| self.store.delete(&key)))
    }
}
