//! Reading a snapshot's files back: the inventory, objects, streams.

use crate::{OnProgress, Progress, Repository, VaultError, repository::Indexed, seal::INVENTORY};
use rustic_core::{
    LsOptions, RusticError,
    repofile::{Node, SnapshotFile},
};
use sha2::{Digest as _, Sha256};
use std::{
    io::{self, Write},
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

/// Result of reading a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamResult {
    /// Bytes.
    pub bytes: u64,
    /// Their digest.
    pub sha256: String,
}

/// Names of a folder that a message lists.
const MAX_NAMES: usize = 5;

/// What a folder has, those names first that begin like the one that it lacks.
fn told_names(folder: &Path, lacks: &str, mut names: Vec<String>) -> String {
    let folder = if folder.as_os_str().is_empty() { "its top".into() } else { folder.display().to_string() };
    if names.is_empty() {
        return format!("{folder} is empty");
    }
    let alike = |name: &str| name.chars().zip(lacks.chars()).take_while(|(a, b)| a == b).count();
    names.sort_by(|a, b| alike(b).cmp(&alike(a)).then_with(|| a.cmp(b)));
    let more = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{folder} has {}{more}", names.join(", "))
}

/// Interval between progress reports.
const PERIOD: Duration = Duration::from_millis(500);

/// Counts and hashes written bytes and reports progress. It reports from within `write`, because the writer may not be `Send`.
struct Meter<'a> {
    inner: &'a mut dyn Write,
    on_progress: OnProgress<'a>,
    told: Instant,
    progress: Progress,
    hasher: Sha256,
    /// What the inner writer refused.
    refused: Option<io::Error>,
}

impl Write for Meter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = match self.inner.write(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.refused = Some(io::Error::new(error.kind(), error.to_string()));
                return Err(error);
            }
            written => written?,
        };
        self.hasher.update(&buffer[..written]);
        self.progress.bytes_done += written as u64;
        if self.told.elapsed() >= PERIOD {
            self.told = Instant::now();
            (self.on_progress)(self.progress);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Repository {
    pub(crate) fn node(&self, repository: &Indexed, snapshot: &SnapshotFile, path: &str) -> Result<Node, VaultError> {
        repository.node_from_path(snapshot.tree, Path::new(path)).map_err(|_| match self.store.take_error() {
            Some(store) => self.while_reading(store, path),
            // Either it isn't there, or a folder above it can't be read: walking down to it tells.
            None => self.lacking(repository, snapshot, Path::new(path)),
        })
    }

    /// Why a path can't be found: because of what there is instead, or of a folder above it that can't be read.
    fn lacking(&self, repository: &Indexed, snapshot: &SnapshotFile, path: &Path) -> VaultError {
        let unreadable = || VaultError::Other { what: format!("read {}", path.display()), message: "it is there, and can't be read".into() };
        let missing = |beside: String| VaultError::PathMissing { id: snapshot.id.to_hex().to_string(), path: path.display().to_string(), beside };
        let mut parts = path.components().filter(|part| matches!(part, Component::Normal(_))).peekable();
        let (mut tree, mut folder) = (snapshot.tree, PathBuf::new());
        while let Some(part) = parts.next() {
            let Ok(listed) = repository.get_tree(&tree) else {
                // It names the file of the repository that is damaged.
                return self.needs(repository, snapshot).err().unwrap_or_else(unreadable);
            };
            let Some(node) = listed.nodes.iter().find(|node| node.name() == part.as_os_str()) else {
                let names = listed.nodes.iter().map(|node| node.name().to_string_lossy().into_owned());
                return missing(told_names(&folder, &part.as_os_str().to_string_lossy(), names.collect()));
            };
            folder.push(part);
            match node.subtree {
                Some(below) => tree = below,
                None if parts.peek().is_some() => return missing(format!("{} is no folder", folder.display())),
                None => {}
            }
        }
        unreadable()
    }

    /// Why what is in a folder can't be listed: walking it names the file of the repository that is damaged.
    pub(crate) fn unlisted(&self, repository: &Indexed, folder: &Node, error: &RusticError) -> VaultError {
        let name = folder.name();
        if let Some(store) = self.store.take_error() {
            return self.while_reading(store, &name.to_string_lossy());
        }
        let damaged = folder.subtree.and_then(|tree| self.needs_below(repository, tree, Path::new(&name)).err());
        damaged.unwrap_or_else(|| VaultError::Other { what: "list files".into(), message: error.display_log() })
    }

    /// Why files could not be read from the repository: their packs are compared with their digests, to name the damaged one.
    pub(crate) fn unreadable(&self, repository: &Indexed, nodes: impl Iterator<Item = Result<Node, VaultError>>, path: &str, message: &str) -> VaultError {
        if let Some(store) = self.store.take_error() {
            return self.while_reading(store, path);
        }
        match self.packs_of(repository, nodes, path).and_then(|packs| self.digest_packs(&packs)) {
            Err(damaged) => damaged,
            Ok(()) => VaultError::Other { what: format!("read {path}"), message: message.into() },
        }
    }

    /// The snapshot's `inventory.json`.
    ///
    /// # Errors
    /// If there is no such snapshot, or it can't be read.
    pub fn inventory(&self, id: &str) -> Result<serde_json::Value, VaultError> {
        let mut text = Vec::new();
        self.read_file(id, INVENTORY, &mut text)?;
        serde_json::from_slice(&text).map_err(|error| VaultError::Damaged { object: INVENTORY.into(), what: error.to_string() })
    }

    /// The same of a snapshot that is being read; none if it can't be.
    pub(crate) fn inventory_in(&self, repository: &Indexed, snapshot: &SnapshotFile) -> Option<serde_json::Value> {
        let (mut text, node) = (Vec::new(), self.node(repository, snapshot, INVENTORY).ok()?);
        repository.dump(&node, &mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Files under a part, by their path in it, with their sizes, in order.
    ///
    /// # Errors
    /// If there is no such snapshot or part, or it can't be read.
    pub fn list_files(&self, id: &str, part: &str) -> Result<Vec<(String, u64)>, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        let node = self.node(&repository, &snapshot, part)?;
        let listed = self.engine("list files", repository.ls(&node, &LsOptions::default()))?;
        let mut files = Vec::new();
        for entry in listed {
            let (path, file) = entry.map_err(|error| self.unlisted(&repository, &node, &error))?;
            if file.is_file() {
                files.push((path.to_string_lossy().into_owned(), file.meta.size));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Writes a file's bytes; returns how many.
    ///
    /// # Errors
    /// If there is no such snapshot or file, if it can't be read, or if `writer` fails.
    pub fn read_file(&self, id: &str, path: &str, writer: &mut dyn Write) -> Result<u64, VaultError> {
        self.copy_out(id, path, writer, &|_| {}).map(|result| result.bytes)
    }

    /// Reads files one after the other, with one reading of the index, and hands their bytes on as they come, each with the file's place in `paths`.
    ///
    /// # Errors
    /// If there is no such snapshot or file, if it can't be read, or if `take` fails.
    pub fn read_files(&self, id: &str, paths: &[String], take: &mut dyn FnMut(usize, &[u8]) -> io::Result<()>) -> Result<(), VaultError> {
        struct Taker<'a> {
            file: usize,
            take: &'a mut dyn FnMut(usize, &[u8]) -> io::Result<()>,
            refused: Option<io::Error>,
        }
        impl Write for Taker<'_> {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                (self.take)(self.file, buffer).map(|()| buffer.len()).inspect_err(|error| self.refused = Some(io::Error::new(error.kind(), error.to_string())))
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        for (file, path) in paths.iter().enumerate() {
            let node = self.node(&repository, &snapshot, path)?;
            let mut taker = Taker { file, take: &mut *take, refused: None };
            let dumped = repository.dump(&node, &mut taker);
            if let Some(error) = taker.refused {
                return Err(VaultError::Destination { path: path.clone(), what: error.to_string(), full: error.kind() == io::ErrorKind::StorageFull });
            }
            dumped.map_err(|error| self.unreadable(&repository, [Ok(node.clone())].into_iter(), path, &error.display_log()))?;
        }
        Ok(())
    }

    pub(crate) fn copy_out(&self, id: &str, path: &str, writer: &mut dyn Write, on_progress: OnProgress<'_>) -> Result<StreamResult, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        let node = self.node(&repository, &snapshot, path)?;
        let size = node.meta.size;
        let progress = Progress { bytes_total: (size > 0).then_some(size), ..Progress::default() };
        on_progress(progress);
        let mut meter = Meter { inner: writer, on_progress, told: Instant::now(), progress, hasher: Sha256::new(), refused: None };
        let dumped = repository.dump(&node, &mut meter);
        on_progress(meter.progress);
        if let Some(error) = meter.refused {
            let what = if error.kind() == io::ErrorKind::BrokenPipe { "the reader took no more of it".to_owned() } else { error.to_string() };
            return Err(VaultError::Destination { path: path.into(), what, full: error.kind() == io::ErrorKind::StorageFull });
        }
        dumped.map_err(|error| self.unreadable(&repository, [Ok(node.clone())].into_iter(), path, &error.display_log()))?;
        Ok(StreamResult { bytes: meter.progress.bytes_done, sha256: hex::encode(meter.hasher.finalize()) })
    }

    /// Writes a stream's bytes and compares their digest with the one that was taken when it was saved.
    ///
    /// # Errors
    /// If there is no such snapshot or part, if it can't be read, or if `writer` fails.
    pub fn stream_out(&self, id: &str, part: &str, writer: &mut dyn Write, on_progress: OnProgress<'_>) -> Result<StreamResult, VaultError> {
        let inventory = self.inventory(id)?;
        let parts = inventory.get("parts").and_then(serde_json::Value::as_object);
        let saved = parts.and_then(|parts| parts.values().find(|entry| entry.get("part").and_then(serde_json::Value::as_str) == Some(part)));
        let expected = saved.and_then(|entry| entry.get("sha256")).and_then(serde_json::Value::as_str).map(str::to_owned);
        let result = self.copy_out(id, part, writer, on_progress)?;
        match expected {
            Some(expected) if expected != result.sha256 => {
                Err(VaultError::Damaged { object: part.into(), what: format!("its digest is {}, but {expected} was saved", result.sha256) })
            }
            _ => Ok(result),
        }
    }
}
