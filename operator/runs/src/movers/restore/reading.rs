//! Reads the objects of a snapshot line by line: only those under way are in memory.

use crate::movers::{
    cluster::FOLDER,
    pieces::file_of,
    work::{WorkError, blocking},
};
use p861_core::ids::SnapshotId;
use p861_vault::{Repository, RepositoryAccess};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};
use tokio::sync::mpsc;

/// Lines that are read ahead.
const READ_AHEAD: usize = 64;

/// A file of objects, or a piece of one: one namespace, one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Its path under `objects/`, for example `shinan-portal/deployments.apps.jsonl`.
    pub(super) path: String,
    /// The namespace in the backup.
    pub(super) namespace: String,
    /// API group; empty for the core group.
    pub(super) group: String,
    /// The kind's plural.
    pub(super) plural: String,
    /// Size in bytes.
    pub(super) bytes: u64,
}

impl File {
    /// Whether its objects are in no namespace.
    pub(super) fn is_of_cluster(&self) -> bool {
        self.namespace == FOLDER
    }

    pub(super) fn of((path, bytes): (String, u64)) -> Self {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let file = file_of(name);
        let stem = file.strip_suffix(".jsonl").unwrap_or(file);
        let (plural, group) = stem.split_once('.').unwrap_or((stem, ""));
        Self { namespace: folder.to_owned(), group: group.to_owned(), plural: plural.to_owned(), bytes, path }
    }
}

/// A line of a file.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The file's place in the list of files.
    pub(super) file: usize,
    /// Its place in the file, from 0.
    pub(super) number: usize,
    /// One object as JSON.
    pub(super) text: Vec<u8>,
}

/// Lines by file: all of a file, or these.
pub(super) type Wanted = BTreeMap<usize, Option<BTreeSet<usize>>>;

/// The objects of a snapshot.
#[derive(Debug)]
pub(super) struct Source {
    /// Open all the while: its key takes a good part of a second each time.
    repository: Arc<Repository>,
    snapshot: SnapshotId,
    /// Its files, in order of path.
    pub(super) files: Vec<File>,
}

impl Source {
    pub(super) async fn open(access: RepositoryAccess, snapshot: &SnapshotId) -> Result<Self, WorkError> {
        let id = snapshot.clone();
        let (repository, files) = blocking(move || {
            let repository = Repository::open(&access)?;
            let files = repository.list_files(id.as_str(), "objects")?;
            Ok((Arc::new(repository), files))
        })
        .await?;
        Ok(Self { repository, snapshot: snapshot.clone(), files: files.into_iter().map(File::of).collect() })
    }

    /// Reads these files in this order. The reader ends when nobody receives any more.
    pub(super) fn read(&self, order: Vec<usize>, wanted: Wanted) -> mpsc::Receiver<Result<Line, WorkError>> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        let (repository, snapshot) = (self.repository.clone(), self.snapshot.clone());
        let order: Vec<usize> = order.into_iter().filter(|file| wanted.contains_key(file)).collect();
        if order.is_empty() {
            return receiver;
        }
        let paths: Vec<String> = order.iter().filter_map(|file| Some(format!("objects/{}", self.files.get(*file)?.path))).collect();
        tokio::spawn(async move {
            let lines = sender.clone();
            let read = blocking(move || {
                let mut splitter = Splitter { order, wanted, sender: lines, at: 0, number: 0, rest: Vec::new() };
                repository.read_files(snapshot.as_str(), &paths, &mut |at, bytes| splitter.take(at, bytes))?;
                // Without a receiver there is nobody to tell.
                let _ = splitter.end_file();
                Ok(())
            });
            if let Err(error) = read.await {
                let _ = sender.send(Err(error)).await;
            }
        });
        receiver
    }
}

/// Splits the bytes of files into lines.
struct Splitter {
    order: Vec<usize>,
    wanted: Wanted,
    sender: mpsc::Sender<Result<Line, WorkError>>,
    /// The file that is read, by its place in `order`.
    at: usize,
    number: usize,
    rest: Vec<u8>,
}

impl Splitter {
    fn take(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        if at != self.at {
            self.end_file()?;
            (self.at, self.number) = (at, 0);
        }
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.rest.extend_from_slice(piece);
            if pieces.peek().is_some() {
                self.end_line()?;
            }
        }
        Ok(())
    }

    fn end_file(&mut self) -> io::Result<()> {
        if self.rest.is_empty() { Ok(()) } else { self.end_line() }
    }

    fn end_line(&mut self) -> io::Result<()> {
        let (number, text) = (self.number, std::mem::take(&mut self.rest));
        self.number += 1;
        let Some(file) = self.order.get(self.at).copied() else { return Ok(()) };
        if text.is_empty() || !self.wanted.get(&file).is_some_and(|lines| lines.as_ref().is_none_or(|lines| lines.contains(&number))) {
            return Ok(());
        }
        self.sender.blocking_send(Ok(Line { file, number, text })).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn bytes_in_any_pieces_become_the_lines_that_are_wanted() {
        let texts: [&[u8]; 2] = [b"a\nbb\nccc\n", b"d\n\ne"];
        for size in 1..10 {
            let (sender, mut receiver) = mpsc::channel(100);
            let wanted = Wanted::from([(7, None), (9, Some([0, 2].into()))]);
            let mut splitter = Splitter { order: vec![7, 9], wanted, sender, at: 0, number: 0, rest: Vec::new() };
            for (at, text) in texts.iter().enumerate() {
                text.chunks(size).for_each(|piece| splitter.take(at, piece).unwrap());
            }
            splitter.end_file().unwrap();
            drop(splitter);
            let mut found = Vec::new();
            while let Ok(line) = receiver.try_recv() {
                let line = line.unwrap();
                found.push((line.file, line.number, String::from_utf8(line.text).unwrap()));
            }
            let expected = [(7, 0, "a"), (7, 1, "bb"), (7, 2, "ccc"), (9, 0, "d"), (9, 2, "e")].map(|(file, number, text)| (file, number, text.to_owned()));
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn no_more_lines_are_read_than_are_taken_whatever_the_number_of_objects() {
        const LINES: usize = 10_000;
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let read = Arc::new(AtomicUsize::new(0));
        let counting = read.clone();
        let reader = std::thread::spawn(move || {
            let mut splitter = Splitter { order: vec![0], wanted: Wanted::from([(0, None)]), sender, at: 0, number: 0, rest: Vec::new() };
            for number in 0..LINES {
                if splitter.take(0, format!("{{\"line\":{number}}}\n").as_bytes()).is_err() {
                    break;
                }
                counting.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut most = 0;
        for taken in 1..=LINES / 2 {
            receiver.blocking_recv().unwrap().unwrap();
            // Those that wait, and the one that there was just room for.
            most = most.max(read.load(Ordering::SeqCst).saturating_sub(taken));
        }
        drop(receiver);
        reader.join().unwrap();
        assert!(most <= READ_AHEAD + 1, "{most} lines were in memory");
        assert!(read.load(Ordering::SeqCst) <= LINES / 2 + READ_AHEAD + 1, "the reader ends with its taker");
    }

    #[test]
    fn a_files_path_says_what_is_in_it() {
        for (path, namespace, plural, group) in [
            ("n/deployments.apps.jsonl", "n", "deployments", "apps"),
            ("n/configmaps.jsonl", "n", "configmaps", ""),
            ("n/configmaps.jsonl+000002", "n", "configmaps", ""),
            ("n/roles.rbac.authorization.k8s.io.jsonl", "n", "roles", "rbac.authorization.k8s.io"),
        ] {
            let file = File::of((path.to_owned(), 1));
            assert_eq!((file.namespace.as_str(), file.plural.as_str(), file.group.as_str()), (namespace, plural, group));
        }
    }
}
