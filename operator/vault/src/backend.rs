//! Adapter from rustic to the object store: restic's file layout as keys.

use crate::{
    AsyncStore, RepositoryAccess, StoreError, VaultError,
    budget::Budget,
    cipher::{Cipher, CipherError},
    folders::FolderPacks,
    limits,
    store::Refusal,
};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use std::{
    fmt,
    ops::ControlFlow,
    sync::{Arc, LazyLock, OnceLock, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, Runtime};

/// How long a fault of the store is waited out, unless `P861_S3_PATIENCE` (seconds) says otherwise.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between attempts; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The threads that wait for the answers of all stores of this process.
static THREADS: LazyLock<Result<Runtime, String>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("stores").enable_all().build().map_err(|error| error.to_string())
});

/// A store for callers that block.
pub(crate) struct Store {
    objects: AsyncStore,
    handle: Handle,
    location: String,
    patience: Duration,
    /// The error behind an error of the engine, which keeps only its text.
    last: Mutex<Option<StoreError>>,
    /// The repository's `config`, and what decrypts it, once they are known.
    opened: OnceLock<(Bytes, Cipher)>,
    folders: FolderPacks,
    budget: Budget,
    /// Bytes of files that the engine has restored.
    pub(crate) restored: AtomicU64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.location)
    }
}

impl Store {
    pub(crate) fn open(access: &RepositoryAccess) -> Result<Arc<Self>, VaultError> {
        Self::at(AsyncStore::prepare(&access.location, access.credentials.as_ref())?, access)
    }

    fn at(objects: AsyncStore, access: &RepositoryAccess) -> Result<Arc<Self>, VaultError> {
        let patience = std::env::var("P861_S3_PATIENCE").ok().and_then(|text| text.parse().ok()).map_or(PATIENCE, Duration::from_secs);
        Self::with_patience(objects, access, patience)
    }

    /// Faults are not waited out.
    #[cfg(test)]
    pub(crate) fn at_without_patience(objects: AsyncStore, access: &RepositoryAccess) -> Result<Arc<Self>, VaultError> {
        Self::with_patience(objects, access, Duration::ZERO)
    }

    fn with_patience(objects: AsyncStore, access: &RepositoryAccess, patience: Duration) -> Result<Arc<Self>, VaultError> {
        let runtime = THREADS.as_ref().map_err(|error| VaultError::Other { what: "start the stores' threads".into(), message: error.clone() })?;
        Ok(Arc::new(Self {
            objects,
            handle: runtime.handle().clone(),
            location: access.location.to_string(),
            patience,
            last: Mutex::default(),
            opened: OnceLock::new(),
            folders: FolderPacks::default(),
            budget: Budget::default(),
            restored: AtomicU64::new(0),
        }))
    }

    /// The engine gets this `config` from now on, and what it reads is unpacked within its bounds.
    pub(crate) fn unlock(&self, config: Vec<u8>, cipher: Cipher) {
        // A store is opened once.
        let _ = self.opened.set((config.into(), cipher));
    }

    /// The content of `config`, as the repository was opened with.
    pub(crate) fn config(&self) -> &[u8] {
        self.opened.get().map_or(&[], |(config, _)| config)
    }

    /// Reads and decrypts a file of the repository, within its bounds.
    ///
    /// # Errors
    /// The inner error: why it can't be decrypted.
    pub(crate) fn decrypted(&self, tpe: FileType, id: &Id) -> Result<Result<Vec<u8>, CipherError>, StoreError> {
        let key = key(tpe, id);
        let body = self.run(|| self.objects.get(&key))?;
        let Some((_, cipher)) = self.opened.get() else { return Ok(Err(CipherError::NotOurs)) };
        match cipher.open(&body, limits::unpacked_bytes(&key)) {
            Err(error @ CipherError::TooLarge(_)) => Err(StoreError::new(Refusal::TooLarge, &self.location, &key, error.to_string())),
            opened => Ok(opened),
        }
    }

    /// The files of a kind, with their sizes. Anything that isn't named like a file of restic's is none.
    pub(crate) fn files(&self, tpe: FileType) -> Result<Vec<(Id, u32)>, StoreError> {
        let folder = match tpe {
            FileType::Index => "index/",
            FileType::Key => "keys/",
            FileType::Snapshot => "snapshots/",
            FileType::Pack | FileType::Config => "data/",
        };
        self.run(|| async {
            let mut files = Vec::new();
            let mut take = |key: &str, size: u64| {
                let id = key.rsplit('/').next().and_then(|name| name.parse::<Id>().ok());
                files.extend(id.map(|id| (id, u32::try_from(size).unwrap_or(u32::MAX))));
                ControlFlow::Continue(())
            };
            self.objects.each(folder, &mut take).await?;
            Ok(files)
        })
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The error behind the engine's last error.
    pub(crate) fn take_error(&self) -> Option<StoreError> {
        self.last.lock().take()
    }

    /// Waits for the answer, and waits out faults that may go away. Patience is counted from the first fault, so slow requests don't use it up.
    pub(crate) fn run<T, F: Future<Output = Result<T, StoreError>>>(&self, request: impl Fn() -> F) -> Result<T, StoreError> {
        let mut since = None;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.handle.block_on(request()) {
                Err(error) if error.is_transient() && since.get_or_insert_with(Instant::now).elapsed() + pause < self.patience => {
                    tracing::warn!("{error}; tried again in {pause:?}");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn engine<T>(&self, result: Result<T, StoreError>) -> RusticResult<T> {
        result.map_err(|error| {
            *self.last.lock() = Some(error.clone());
            RusticError::with_source(ErrorKind::Backend, "the repository's store refused", error)
        })
    }

    pub(crate) fn store(&self) -> &AsyncStore {
        &self.objects
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
            return Ok(match self.opened.get() {
                Some((config, _)) => vec![(Id::default(), u32::try_from(config.len()).unwrap_or(u32::MAX))],
                None => Vec::new(),
            });
        }
        self.engine(self.files(tpe))
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        if let Some((config, cipher)) = self.opened.get() {
            if tpe == FileType::Config {
                return Ok(config.clone());
            }
            // The engine unpacks a file of any length.
            if matches!(tpe, FileType::Index | FileType::Snapshot) {
                let key = key(tpe, id);
                let body = self.engine(self.run(|| self.objects.get(&key)))?;
                if let Err(error @ CipherError::TooLarge(_)) = cipher.open(&body, limits::unpacked_bytes(&key)) {
                    return self.engine(Err(StoreError::new(Refusal::TooLarge, &self.location, &key, error.to_string())));
                }
                return Ok(body.into());
            }
        }
        let key = key(tpe, id);
        self.engine(self.run(|| self.objects.get(&key))).map(Bytes::from)
    }

    fn read_partial(&self, tpe: FileType, id: &Id, cacheable: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        let key = key(tpe, id);
        // Folders are read one by one, but many are in one pack: one request instead of thousands. The engine calls only them cacheable.
        if cacheable && tpe == FileType::Pack {
            return self.engine(self.folders.part(
                id,
                offset,
                length,
                || self.run(|| self.objects.get(&key)),
                || self.run(|| self.objects.get_range(&key, offset.into(), length.into())),
            ));
        }
        let room = self.budget.room(usize::try_from(length).unwrap_or(usize::MAX));
        self.engine(self.run(|| self.objects.get_range(&key, offset.into(), length.into()))).map(|body| room.hold(body))
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        key(tpe, id)
    }
}

impl WriteBackend for Store {
    fn create(&self) -> RusticResult<()> {
        self.engine(self.run(|| self.objects.ensure_bucket()))
    }

    fn write_bytes(&self, tpe: FileType, id: &Id, _cacheable: bool, content: BytesList) -> RusticResult<()> {
        let key = key(tpe, id);
        let mut body = BytesMut::with_capacity(content.size());
        for piece in content.into_vec() {
            body.extend_from_slice(&piece);
        }
        // Attempts share the bytes.
        let body = body.freeze();
        // Every file but config is named by its content: writing it again writes the same.
        let result = match tpe {
            FileType::Config => self.run(|| self.objects.put_if_absent(&key, body.clone())),
            _ => self.run(|| self.objects.put(&key, body.clone())),
        };
        self.engine(result).map(|_| ())
    }

    fn remove(&self, tpe: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        let key = key(tpe, id);
        self.engine(self.run(|| self.objects.delete(&key)))
    }
}
