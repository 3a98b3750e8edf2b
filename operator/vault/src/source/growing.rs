//! A folder that is still being filled. Its files are named one after the other, each once nothing will change in it any more, and are stored meanwhile.

use super::{FileOpen, FolderSource};
use crate::{
    beneath::{Found, shown},
    metadata::node,
};
use parking_lot::Mutex;
use rustic_core::{ReadSource, ReadSourceEntry, RusticResult};
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{atomic::Ordering, mpsc::Receiver},
};

/// What is told of a folder that is being filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filled {
    /// This file below it is whole. Files are named in the order of their paths, name by name: so they stand in a snapshot.
    File(PathBuf),
    /// All files were named. Whoever goes away without that has not filled it, and nothing is stored.
    All,
}

/// A folder, read as it is filled.
pub(crate) struct GrowingSource {
    folder: FolderSource,
    filled: Mutex<Option<Receiver<Filled>>>,
}

impl GrowingSource {
    pub(crate) fn new(folder: FolderSource, filled: Receiver<Filled>) -> Self {
        Self { folder, filled: Mutex::new(Some(filled)) }
    }
}

impl ReadSource for GrowingSource {
    type Open = FileOpen;
    type Iter = Box<dyn Iterator<Item = RusticResult<ReadSourceEntry<FileOpen>>> + Send>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let named = Named { folder: self.folder.clone(), filled: self.filled.lock().take(), last: PathBuf::new(), waiting: VecDeque::new() };
        Box::new(std::iter::once(self.folder.own_entry()).chain(named.map(Ok)))
    }
}

/// The files that are named, each folder before what is in it.
struct Named {
    folder: FolderSource,
    filled: Option<Receiver<Filled>>,
    /// The file that was named last.
    last: PathBuf,
    waiting: VecDeque<ReadSourceEntry<FileOpen>>,
}

impl Named {
    fn failed(&self, relative: &Path, why: &str) {
        self.folder.witness.error(format!("{}: {why}", shown(relative)));
    }

    fn file(&mut self, relative: PathBuf) {
        if relative <= self.last {
            return self.failed(&relative, "it was named out of order");
        }
        let entered = |folder: &Path| self.last.starts_with(folder) && !self.last.as_os_str().is_empty();
        let mut folders: Vec<PathBuf> =
            relative.ancestors().skip(1).take_while(|above| !above.as_os_str().is_empty() && !entered(above)).map(Path::to_owned).collect();
        folders.reverse();
        for path in folders.into_iter().chain([relative.clone()]) {
            match self.entry(&path) {
                Ok(entry) => self.waiting.push_back(entry),
                Err(error) => return self.failed(&path, &error.to_string()),
            }
        }
        self.last = relative;
    }

    fn entry(&self, relative: &Path) -> io::Result<ReadSourceEntry<FileOpen>> {
        let FolderSource { beneath, witness, .. } = &self.folder;
        let (Some(name), Some(above)) = (relative.file_name(), relative.parent()) else { return Err(io::ErrorKind::InvalidInput.into()) };
        let Found::Opened(above) = beneath.folder(above)? else { return Err(io::ErrorKind::NotFound.into()) };
        let node = node(&above, name, name)?.ok_or(io::ErrorKind::NotFound)?;
        witness.items.fetch_add(1, Ordering::Relaxed);
        Ok(self.folder.entry(relative.to_owned(), node))
    }
}

impl Iterator for Named {
    type Item = ReadSourceEntry<FileOpen>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                return Some(entry);
            }
            match self.filled.as_ref()?.recv() {
                Ok(Filled::File(relative)) => self.file(relative),
                Ok(Filled::All) => self.filled = None,
                Err(_) => {
                    self.filled = None;
                    self.failed(Path::new(""), "it was not filled to the end");
                }
            }
        }
    }
}
