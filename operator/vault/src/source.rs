//! Sources that fail on unreadable files. rustic only warns about them; here each one is recorded and fails the part.

mod folder;
mod growing;

use folder::FileOpen;
pub(crate) use folder::FolderSource;
pub use growing::Filled;
pub(crate) use growing::GrowingSource;

use crate::{OnProgress, Progress};
use parking_lot::Mutex;
use rustic_core::{
    ReadSource, ReadSourceEntry, ReadSourceOpen, RusticResult,
    repofile::{Metadata, Node, NodeType},
};
use sha2::{Digest as _, Sha256};
use std::{
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
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
        self.errors.lock().push(text);
    }

    fn warn(&self, text: String) {
        self.warnings.lock().push(text);
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().clone()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
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

/// Fills a buffer unless the end comes before. The engine's chunker shrinks its buffer to the shortest read that it ever got, so readers of pipes and
/// connections, which give what they have, would soon be asked for single bytes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Read from a file or a stream at a time, at most; the engine asks for 4 KiB.
const READ_AHEAD: usize = 256 << 10;

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

/// Length and digest of a stream.
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
        if self.whole.load(Ordering::Acquire) { self.digest.lock().clone() } else { None }
    }
}

impl ReadSource for StreamSource {
    type Open = StreamOpen;
    type Iter = std::vec::IntoIter<RusticResult<ReadSourceEntry<StreamOpen>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let open = self.open.lock().take();
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
        Ok(StreamReader { reader: BufReader::with_capacity(READ_AHEAD, self.reader), state: self.state, hasher: Some(Sha256::new()) })
    }
}

/// Reads a stream, counts and digests it.
pub(crate) struct StreamReader {
    reader: BufReader<Box<dyn Read + Send>>,
    state: Arc<StreamState>,
    hasher: Option<Sha256>,
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match fill(&mut self.reader, buffer) {
            Ok(read) => {
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&buffer[..read]);
                }
                self.state.witness.bytes.fetch_add(read as u64, Ordering::Relaxed);
                if read == 0
                    && !buffer.is_empty()
                    && let Some(hasher) = self.hasher.take()
                {
                    *self.state.digest.lock() = Some(hex::encode(hasher.finalize()));
                    self.state.whole.store(true, Ordering::Release);
                }
                Ok(read)
            }
            Err(error) => {
                self.state.witness.error(format!("the stream broke off: {error}"));
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow connection may.
    struct Drops(u64);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = usize::from(self.0 > 0 && !buffer.is_empty());
            self.0 -= n as u64;
            buffer[..n].fill(7);
            Ok(n)
        }
    }

    #[test]
    fn a_stream_that_comes_in_drops_is_read_in_whole_buffers() {
        let state = Arc::new(StreamState::default());
        let mut reader = StreamOpen { reader: Box::new(Drops(10_000)), state: state.clone() }.open().unwrap();
        let mut buffer = [0; 4096];
        let reads: Vec<usize> = (0..5).map(|_| reader.read(&mut buffer).unwrap()).collect();
        assert_eq!(reads, [4096, 4096, 1808, 0, 0]);
        assert_eq!((state.bytes(), state.digest()), (10_000, Some(hex::encode(Sha256::digest([7; 10_000])))));
    }
}
