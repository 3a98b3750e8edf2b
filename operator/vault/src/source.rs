//! Sources that fail loudly. The engine only warns about what it can't read; here every such file is remembered, and fails the part.

use crate::{OnProgress, Progress};
use rustic_core::{
    ErrorKind, Excludes, LocalSource, LocalSourceFilterOptions, LocalSourceSaveOptions, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult,
    repofile::{Metadata, Node, NodeType},
};
use sha2::{Digest as _, Sha256};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

/// What was seen while a part was read.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    errors: Mutex<Vec<String>>,
    warnings: Mutex<Vec<String>>,
    items: AtomicU64,
    bytes: AtomicU64,
}

impl Witness {
    fn error(&self, text: String) {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn warn(&self, text: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { items_done: self.items.load(Ordering::Relaxed), items_total: None, bytes_done: self.bytes.load(Ordering::Relaxed), bytes_total: None }
    }
}

/// Runs work and tells how far it is, from a thread of its own, so that slow work is seen to be alive.
pub(crate) fn watched<T: Send>(on_progress: OnProgress<'_>, progress: impl Fn() -> Progress + Send + Sync, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (ended, waits) = mpsc::channel::<()>();
        let progress = &progress;
        scope.spawn(move || {
            while waits.recv_timeout(Duration::from_millis(500)) == Err(mpsc::RecvTimeoutError::Timeout) {
                on_progress(progress());
            }
            on_progress(progress());
        });
        let result = work();
        drop(ended);
        result
    })
}

/// A folder, read strictly.
pub(crate) struct FolderSource {
    inner: LocalSource,
    root: PathBuf,
    name: OsString,
    witness: Arc<Witness>,
}

impl FolderSource {
    /// `name` is what the folder is called in the snapshot.
    pub(crate) fn new(root: &Path, name: &OsStr, witness: Arc<Witness>) -> RusticResult<Self> {
        let inner = LocalSource::new(LocalSourceSaveOptions::default(), &Excludes::default(), &LocalSourceFilterOptions::default(), &[root])?;
        Ok(Self { inner, root: root.to_owned(), name: name.to_owned(), witness })
    }
}

/// restic writes Go's bits for the mode of a folder. Source: Go's `io/fs.FileMode`.
fn folder_mode(mode: u32) -> u32 {
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    special.iter().filter(|(bit, _)| mode & bit != 0).fold((mode & 0o777) | (1 << 31), |go, (_, bit)| go | bit)
}

/// The folder itself: the engine leaves it out, but its owner and mode matter (a database refuses a data folder with others).
fn root_entry(root: &Path, name: &OsStr) -> io::Result<ReadSourceEntry<FileOpen>> {
    let metadata = std::fs::symlink_metadata(root)?;
    let time = |seconds: i64, nanos: i64| jiff::Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0)).ok();
    let meta = Metadata {
        mode: Some(folder_mode(metadata.mode())),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
        uid: Some(metadata.uid()),
        gid: Some(metadata.gid()),
        inode: metadata.ino(),
        ..Metadata::default()
    };
    Ok(ReadSourceEntry { path: root.to_owned(), node: Node::new_node(name, NodeType::Dir, meta), open: None })
}

impl ReadSource for FolderSource {
    type Open = FileOpen;
    type Iter = Box<dyn Iterator<Item = RusticResult<ReadSourceEntry<FileOpen>>> + Send>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let witness = self.witness.clone();
        let root = root_entry(&self.root, &self.name).map_err(|error| {
            witness.error(format!("{}: {error}", self.root.display()));
            RusticError::with_source(ErrorKind::InputOutput, "the source can't be read", error)
        });
        let entries = self.inner.entries().filter_map(move |entry| match entry {
            Ok(entry) => {
                witness.items.fetch_add(1, Ordering::Relaxed);
                let witness = witness.clone();
                let path = entry.path.clone();
                let open = entry.open.map(|_| FileOpen { path, size: entry.node.meta.size, witness });
                Some(Ok(ReadSourceEntry { path: entry.path, node: entry.node, open }))
            }
            Err(error) => {
                let text = error.display_log();
                // What vanished between being listed and being looked at was deleted by the application.
                if text.contains("No such file or directory") {
                    witness.warn(format!("vanished: {text}"));
                    return None;
                }
                witness.error(text);
                Some(Err(error))
            }
        });
        Box::new(std::iter::once(root).chain(entries))
    }
}

/// A file of a folder.
#[derive(Debug)]
pub(crate) struct FileOpen {
    path: PathBuf,
    size: u64,
    witness: Arc<Witness>,
}

impl ReadSourceOpen for FileOpen {
    type Reader = FileReader;

    fn open(self) -> RusticResult<FileReader> {
        match File::open(&self.path) {
            Ok(file) => {
                let before = file.metadata().ok().map(|metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
                Ok(FileReader { file, before, left: self.size, path: self.path, witness: self.witness })
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    self.witness.warn(format!("vanished: {}", self.path.display()));
                } else {
                    self.witness.error(format!("{}: {error}", self.path.display()));
                }
                Err(RusticError::with_source(ErrorKind::InputOutput, "a file can't be opened", error))
            }
        }
    }
}

/// Reads a file, counts, and notices that it changed meanwhile. It gives exactly as many bytes as the file had when it was listed: the snapshot says so, and
/// restic restores by what the snapshot says. What was appended since waits for the next backup; what was cut off is filled with zeros, as tar does.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: File,
    before: Option<(u64, i64, i64)>,
    left: u64,
    path: PathBuf,
    witness: Arc<Witness>,
}

impl FileReader {
    fn compare(&mut self) {
        let after = self.file.metadata().ok().map(|metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
        if self.before.is_some() && after != self.before {
            self.before = None;
            self.witness.warn(format!("changed while it was read: {}", self.path.display()));
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(wanted) = buffer.get_mut(..most).filter(|wanted| !wanted.is_empty()) else {
            self.compare();
            return Ok(0);
        };
        let read = match self.file.read(wanted) {
            Ok(0) => {
                self.compare();
                wanted.fill(0);
                most
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.witness.error(format!("{}: {error}", self.path.display()));
                return Err(error);
            }
        };
        self.left -= read as u64;
        self.witness.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A stream of bytes as one file.
pub(crate) struct StreamSource {
    path: PathBuf,
    size: u64,
    open: Mutex<Option<StreamOpen>>,
}

impl StreamSource {
    /// `size` is what the snapshot will say; 0 when it is not known.
    pub(crate) fn new(path: &Path, size: u64, reader: Box<dyn Read + Send>, state: Arc<StreamState>) -> Self {
        Self { path: path.to_owned(), size, open: Mutex::new(Some(StreamOpen { reader, state })) }
    }
}

/// What a stream turned out to be.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) witness: Witness,
    digest: Mutex<Option<String>>,
    whole: AtomicBool,
}

impl StreamState {
    /// How many bytes were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.witness.progress().bytes_done
    }

    /// The digest, if the stream was read to its end.
    pub(crate) fn digest(&self) -> Option<String> {
        if self.whole.load(Ordering::Acquire) { self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone() } else { None }
    }
}

impl ReadSource for StreamSource {
    type Open = StreamOpen;
    type Iter = std::vec::IntoIter<RusticResult<ReadSourceEntry<StreamOpen>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let now = Some(jiff::Timestamp::now());
        let meta = Metadata { mode: Some(0o600), mtime: now, atime: now, ctime: now, size: self.size, ..Metadata::default() };
        let node = Node::new_node(self.path.file_name().unwrap_or_default(), NodeType::File, meta);
        vec![Ok(ReadSourceEntry { path: self.path.clone(), node, open })].into_iter()
    }
}

pub(crate) struct StreamOpen {
    reader: Box<dyn Read + Send>,
    state: Arc<StreamState>,
}

impl ReadSourceOpen for StreamOpen {
    type Reader = StreamReader;

    fn open(self) -> RusticResult<StreamReader> {
        Ok(StreamReader { reader: self.reader, state: self.state, hasher: Some(Sha256::new()) })
    }
}

/// Reads a stream, counts and digests it.
pub(crate) struct StreamReader {
    reader: Box<dyn Read + Send>,
    state: Arc<StreamState>,
    hasher: Option<Sha256>,
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(0) if !buffer.is_empty() => {
                if let Some(hasher) = self.hasher.take() {
                    *self.state.digest.lock().unwrap_or_else(PoisonError::into_inner) = Some(hex::encode(hasher.finalize()));
                    self.state.whole.store(true, Ordering::Release);
                }
                Ok(0)
            }
            Ok(read) => {
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&buffer[..read]);
                }
                self.state.witness.bytes.fetch_add(read as u64, Ordering::Relaxed);
                Ok(read)
            }
            Err(error) => {
                self.state.witness.error(format!("the stream broke off: {error}"));
                Err(error)
            }
        }
    }
}
