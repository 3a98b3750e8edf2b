//! A folder as a source. Whoever writes into a volume while it is read may put a link in the place of a file or a folder at any moment: each is opened below the volume,
//! one name at a time, and no link is followed ([`crate::beneath`]). Nothing but regular files is opened for reading.

use super::{READ_AHEAD, Witness, fill};
use crate::{
    beneath::{Beneath, Found, names, shown, subfolder},
    metadata::node,
};
use rustic_core::{ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult, repofile::Node};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufReader, Read},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    vec,
};

/// Folders in each other that are held open; the others are opened again. Whoever fills a volume decides how deep its folders are.
const MAX_HELD_OPEN: usize = 64;

/// A folder, read strictly.
#[derive(Clone)]
pub(crate) struct FolderSource {
    pub(super) beneath: Beneath,
    pub(super) root: PathBuf,
    name: OsString,
    pub(super) witness: Arc<Witness>,
}

impl FolderSource {
    /// `name` is what the folder is called in the snapshot.
    pub(crate) fn new(root: &Path, name: &OsStr, witness: Arc<Witness>) -> io::Result<Self> {
        Ok(Self { beneath: Beneath::open(root)?, root: root.to_owned(), name: name.to_owned(), witness })
    }

    /// The folder itself: its owner and mode matter, since a database refuses a data folder with others.
    pub(super) fn own_entry(&self) -> RusticResult<ReadSourceEntry<FileOpen>> {
        let own = || {
            let Found::Opened(root) = self.beneath.folder(Path::new(""))? else { return Err(io::ErrorKind::NotADirectory.into()) };
            node(&root, ".".as_ref(), &self.name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        own().map(|node| ReadSourceEntry { path: self.root.clone(), node, open: None }).map_err(|error: io::Error| {
            self.witness.error(format!("{}: {error}", shown(Path::new(""))));
            RusticError::with_source(ErrorKind::InputOutput, "the source can't be read", error)
        })
    }

    /// What is at a path below it. A file is opened when its turn has come.
    pub(super) fn entry(&self, relative: PathBuf, node: Node) -> ReadSourceEntry<FileOpen> {
        let path = self.root.join(&relative);
        let (beneath, size, witness) = (self.beneath.clone(), node.meta.size, self.witness.clone());
        let open = node.is_file().then(|| FileOpen { beneath, relative, size, witness });
        ReadSourceEntry { path, node, open }
    }
}

impl ReadSource for FolderSource {
    type Open = FileOpen;
    type Iter = Box<dyn Iterator<Item = RusticResult<ReadSourceEntry<FileOpen>>> + Send>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        Box::new(std::iter::once(self.own_entry()).chain(Walk::new(self.clone()).map(Ok)))
    }
}

/// Everything below a folder, each folder before what is in it, sorted by name. What can't be read is recorded and left out.
struct Walk {
    source: FolderSource,
    levels: Vec<Level>,
}

/// A folder that is being walked.
struct Level {
    relative: PathBuf,
    /// None: it was let go of, and is opened again.
    folder: Option<Arc<OwnedFd>>,
    left: vec::IntoIter<OsString>,
}

impl Walk {
    fn new(source: FolderSource) -> Self {
        let mut walk = Self { source, levels: Vec::new() };
        let opened = walk.source.beneath.folder(Path::new(""));
        walk.enter(PathBuf::new(), opened);
        walk
    }

    fn failed(&self, relative: &Path, error: &io::Error) {
        self.source.witness.error(format!("{}: {error}", shown(relative)));
    }

    fn vanished(&self, relative: &Path) {
        self.source.witness.warn(format!("vanished: {}", shown(relative)));
    }

    fn enter(&mut self, relative: PathBuf, opened: io::Result<Found<Arc<OwnedFd>>>) {
        let folder = match opened {
            Ok(Found::Opened(folder)) => folder,
            Ok(Found::Gone | Found::Else) => return self.vanished(&relative),
            Err(error) => return self.failed(&relative, &error),
        };
        let mut names = match names(&folder) {
            Ok(names) => names,
            Err(error) => return self.failed(&relative, &error),
        };
        names.sort_unstable();
        if let Some(held) = self.levels.len().checked_sub(MAX_HELD_OPEN).and_then(|index| self.levels.get_mut(index)) {
            held.folder = None;
        }
        self.levels.push(Level { relative, folder: Some(folder), left: names.into_iter() });
    }

    /// The folder that is being walked; none if it is gone by now.
    fn current(&mut self) -> Option<(Arc<OwnedFd>, PathBuf)> {
        let level = self.levels.last_mut()?;
        if let Some(folder) = &level.folder {
            return Some((folder.clone(), level.relative.clone()));
        }
        let relative = level.relative.clone();
        match self.source.beneath.folder(&relative) {
            Ok(Found::Opened(folder)) => {
                level.folder = Some(folder.clone());
                return Some((folder, relative));
            }
            Ok(Found::Gone | Found::Else) => self.vanished(&relative),
            Err(error) => self.failed(&relative, &error),
        }
        None
    }
}

impl Iterator for Walk {
    type Item = ReadSourceEntry<FileOpen>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(name) = self.levels.last_mut()?.left.next() else {
                self.levels.pop();
                continue;
            };
            let Some((folder, above)) = self.current() else {
                self.levels.pop();
                continue;
            };
            let relative = above.join(&name);
            let node = match node(&folder, &name, &name) {
                Ok(Some(node)) => node,
                // Between listing and reading it was deleted by the application.
                Ok(None) => {
                    self.vanished(&relative);
                    continue;
                }
                Err(error) => {
                    self.failed(&relative, &error);
                    continue;
                }
            };
            self.source.witness.items.fetch_add(1, Ordering::Relaxed);
            if node.is_dir() {
                let opened = subfolder(&folder, &name).map(|found| match found {
                    Found::Opened(folder) => Found::Opened(Arc::new(folder)),
                    Found::Gone => Found::Gone,
                    Found::Else => Found::Else,
                });
                self.enter(relative.clone(), opened);
            }
            return Some(self.source.entry(relative, node));
        }
    }
}

/// A file of a folder.
#[derive(Debug)]
pub(crate) struct FileOpen {
    beneath: Beneath,
    relative: PathBuf,
    /// Bytes when it was listed.
    size: u64,
    witness: Arc<Witness>,
}

/// Attributes that show whether a file was modified while it was read.
fn version(file: &File) -> Option<(u64, i64, i64)> {
    file.metadata().ok().map(|metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

impl ReadSourceOpen for FileOpen {
    type Reader = FileReader;

    fn open(self) -> RusticResult<FileReader> {
        let failed = |error: io::Error| RusticError::with_source(ErrorKind::InputOutput, "a file can't be opened", error);
        let file = match self.beneath.file(&self.relative) {
            Ok(Found::Opened(file)) => file,
            // Between listing and reading it was deleted by the application, or something else took its place: a link, which may lead out of the volume, or a pipe.
            Ok(Found::Gone) => {
                self.witness.warn(format!("vanished: {}", shown(&self.relative)));
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            Ok(Found::Else) => {
                self.witness.warn(format!("something else took its place while it was read: {}", shown(&self.relative)));
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            Err(error) => {
                self.witness.error(format!("{}: {error}", shown(&self.relative)));
                return Err(failed(error));
            }
        };
        let before = version(&file);
        if before.is_some_and(|(length, _, _)| length != self.size) {
            self.witness.warn(format!("changed while it was read: {}", shown(&self.relative)));
        }
        let ahead = usize::try_from(self.size).unwrap_or(usize::MAX).min(READ_AHEAD);
        Ok(FileReader { file: BufReader::with_capacity(ahead, file), before, left: self.size, relative: self.relative, witness: self.witness })
    }
}

/// Reads a file, counts, and notices that it changed meanwhile. It gives exactly as many bytes as the file had when it was listed: the snapshot says so, and
/// restic restores by what the snapshot says. What was appended since waits for the next backup; what was cut off is filled with zeros, as tar does.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: BufReader<File>,
    before: Option<(u64, i64, i64)>,
    left: u64,
    relative: PathBuf,
    witness: Arc<Witness>,
}

impl FileReader {
    fn compare(&mut self) {
        if self.before.is_some() && version(self.file.get_ref()) != self.before {
            self.before = None;
            self.witness.warn(format!("changed while it was read: {}", shown(&self.relative)));
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
        let read = fill(&mut self.file, wanted).inspect_err(|error| self.witness.error(format!("{}: {error}", shown(&self.relative))))?;
        if read < most {
            self.compare();
            wanted[read..].fill(0);
        }
        self.left -= most as u64;
        self.witness.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
    use std::{
        fs,
        os::unix::fs::symlink,
        sync::{atomic::AtomicBool, mpsc},
        time::{Duration, Instant},
    };

    fn source(root: &Path) -> (FolderSource, Arc<Witness>) {
        let witness = Arc::new(Witness::default());
        (FolderSource::new(root, OsStr::new("volume"), witness.clone()).unwrap(), witness)
    }

    /// The paths below the source, and the content of those that could be read.
    fn read(source: &FolderSource) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let entries = source.entries().map(Result::unwrap).collect::<Vec<_>>();
        let read = entries.into_iter().map(|entry| {
            let content = entry.open.and_then(|open| open.open().ok()).map(|mut reader| {
                let mut content = Vec::new();
                reader.read_to_end(&mut content).unwrap();
                content
            });
            (entry.path.strip_prefix(&source.root).unwrap().to_owned(), content)
        });
        read.collect()
    }

    #[test]
    fn a_file_gives_as_many_bytes_as_it_had_when_it_was_listed_and_a_change_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (now, listed, expected, changes) in
            [("same", 4, &b"same"[..], false), ("appended since", 4, b"appe", true), ("cut", 6, b"cut\0\0\0", true), ("written", 7, b"written", true)]
        {
            fs::write(&path, now).unwrap();
            let (source, witness) = source(folder.path());
            let open = FileOpen { beneath: source.beneath.clone(), relative: "file".into(), size: listed, witness: witness.clone() };
            let mut reader = open.open().unwrap();
            if changes && now.len() as u64 == listed {
                File::options().append(true).open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            }
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, expected, "{now}");
            assert_eq!(!witness.warnings().is_empty(), changes, "{now}: {:?}", witness.warnings());
            assert!(
                witness.warnings().iter().all(|warning| warning.ends_with(": /file")),
                "fault_i7: it is named as the volume names it: {:?}",
                witness.warnings()
            );
            assert!(witness.errors().is_empty());
        }
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_names_are_sorted_however_deep_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let mut deep = folder.path().join("b");
        for number in 0..MAX_HELD_OPEN + 5 {
            fs::create_dir_all(&deep).unwrap();
            fs::write(deep.join("z"), number.to_string()).unwrap();
            deep.push("d");
        }
        fs::write(folder.path().join("b.txt"), "after").unwrap();
        fs::write(folder.path().join("a"), "first").unwrap();
        let (source, witness) = source(folder.path());
        let read = read(&source);
        let paths: Vec<&PathBuf> = read.iter().map(|(path, _)| path).collect();
        assert!(paths.is_sorted(), "{paths:?}");
        assert_eq!(read.len(), 1 + 2 + 2 * (MAX_HELD_OPEN + 5));
        assert!(read.contains(&("b.txt".into(), Some(b"after".to_vec()))));
        assert_eq!((witness.errors(), witness.warnings()), (vec![], vec![]));
    }

    #[test]
    fn fault_e16_a_pipe_that_took_the_place_of_a_file_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let (source, witness) = source(folder.path());
        let entry = source.entries().map(Result::unwrap).nth(1).unwrap();
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || done.send(entry.open.unwrap().open().is_err()).unwrap());
        assert_eq!(waits.recv_timeout(Duration::from_secs(10)), Ok(true));
        assert!(witness.warnings().iter().any(|warning| warning.contains("something else took its place")), "{:?}", witness.warnings());
        assert!(witness.errors().is_empty());
        // One that was listed is stored as a pipe, and not opened.
        assert_eq!(read(&source), [("".into(), None), ("file".into(), None)]);
    }

    /// Swaps two names until it is told to stop.
    fn swap(stop: &AtomicBool, a: &Path, b: &Path) {
        while !stop.load(Ordering::Relaxed) {
            renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
        }
    }

    #[test]
    fn fault_e16_not_a_byte_from_outside_is_read_while_files_and_folders_are_swapped_for_links() {
        const SECRET: &[u8] = b"SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS";
        let folder = tempfile::tempdir().unwrap();
        let (outside, volume) = (folder.path().join("outside"), folder.path().join("volume"));
        fs::create_dir_all(outside.join("deeper")).unwrap();
        fs::create_dir_all(volume.join("folder/deeper")).unwrap();
        for path in ["file", "deeper/file"] {
            fs::write(outside.join(path), SECRET).unwrap();
            fs::write(volume.join("folder").join(path), b"own content").unwrap();
        }
        fs::write(volume.join("file"), b"own content").unwrap();
        symlink(&outside, volume.join("folder-link")).unwrap();
        symlink(outside.join("file"), volume.join("file-link")).unwrap();
        let stop = AtomicBool::new(false);
        let (mut own, mut swapped) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| swap(&stop, &volume.join("folder"), &volume.join("folder-link")));
            scope.spawn(|| swap(&stop, &volume.join("file"), &volume.join("file-link")));
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(2) || (own == 0 || swapped == 0) && began.elapsed() < Duration::from_secs(30) {
                let (source, witness) = source(&volume);
                for (path, content) in read(&source) {
                    if let Some(content) = content {
                        own += 1;
                        assert!(!content.contains(&b'S'), "{}: {}", path.display(), String::from_utf8_lossy(&content));
                    }
                }
                assert_eq!(witness.errors(), Vec::<String>::new());
                swapped += witness.warnings().len();
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(own > 0 && swapped > 0, "{own} files were read, and {swapped} swaps noticed");
    }
}
