//! Reading a snapshot back.

use crate::{OnProgress, Progress, Repository, VaultError, repository::Indexed, seal::INVENTORY, source::watched};
use rustic_core::{
    LocalDestination, LsOptions, RestoreOptions,
    repofile::{Node, NodeType, SnapshotFile},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashSet,
    io::{self, Write},
    os::unix::fs::{PermissionsExt as _, lchown},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// What was restored of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreResult {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What was read of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamResult {
    /// Bytes.
    pub bytes: u64,
    /// Their digest.
    pub sha256: String,
}

/// Counts and digests what passes.
struct Meter<'a> {
    inner: &'a mut dyn Write,
    bytes: &'a AtomicU64,
    hasher: Sha256,
}

impl Write for Meter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Repository {
    fn node(&self, repository: &Indexed, snapshot: &SnapshotFile, path: &str) -> Result<Node, VaultError> {
        repository.node_from_path(snapshot.tree, Path::new(path)).map_err(|error| match self.store.take_error() {
            Some(store) if store.is_not_found() => VaultError::Damaged { object: "a pack of folders".into(), what: store.to_string() },
            Some(store) => store.into(),
            None => VaultError::SnapshotMissing { id: snapshot.id.to_hex().to_string(), what: format!("it has no {path}: {}", error.display_log()) },
        })
    }

    /// The snapshot's `inventory.json`.
    pub fn inventory(&self, id: &str) -> Result<serde_json::Value, VaultError> {
        let mut text = Vec::new();
        self.read_file(id, INVENTORY, &mut text)?;
        serde_json::from_slice(&text).map_err(|error| VaultError::Damaged { object: INVENTORY.into(), what: error.to_string() })
    }

    /// Files under a part, by their path in it, with their sizes, in order.
    pub fn list_files(&self, id: &str, part: &str) -> Result<Vec<(String, u64)>, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        let node = self.node(&repository, &snapshot, part)?;
        let listed = self.engine("list files", repository.ls(&node, &LsOptions::default()))?;
        let mut files = Vec::new();
        for entry in listed {
            let (path, node) = self.engine("list files", entry)?;
            if node.is_file() {
                files.push((path.to_string_lossy().into_owned(), node.meta.size));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Writes a file's bytes; returns how many.
    pub fn read_file(&self, id: &str, path: &str, writer: &mut dyn Write) -> Result<u64, VaultError> {
        self.copy_out(id, path, writer, &|_| {}).map(|result| result.bytes)
    }

    fn copy_out(&self, id: &str, path: &str, writer: &mut dyn Write, on_progress: OnProgress<'_>) -> Result<StreamResult, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        let node = self.node(&repository, &snapshot, path)?;
        let bytes = AtomicU64::new(0);
        let size = node.meta.size;
        let mut meter = Meter { inner: writer, bytes: &bytes, hasher: Sha256::new() };
        let progress = || Progress { items_done: 0, items_total: None, bytes_done: bytes.load(Ordering::Relaxed), bytes_total: (size > 0).then_some(size) };
        // The writer may belong to one thread only; progress is told by hand.
        on_progress(progress());
        let dumped = repository.dump(&node, &mut meter);
        on_progress(progress());
        dumped.map_err(|error| match self.store.take_error() {
            Some(store) if store.is_not_found() => VaultError::Damaged { object: store.to_string(), what: format!("{path} needs it") },
            Some(store) => store.into(),
            None if error.display_log().contains("Broken pipe") => VaultError::Destination { path: path.into(), what: "the reader took no more of it".into(), full: false },
            None => VaultError::Damaged { object: path.into(), what: error.display_log() },
        })?;
        let sha256 = hex::encode(meter.hasher.finalize());
        Ok(StreamResult { bytes: bytes.into_inner(), sha256 })
    }

    /// Writes a stream's bytes and compares their digest with the one that was taken when it was saved.
    pub fn stream_out(&self, id: &str, part: &str, writer: &mut dyn Write, on_progress: OnProgress<'_>) -> Result<StreamResult, VaultError> {
        let inventory = self.inventory(id)?;
        let parts = inventory.get("parts").and_then(serde_json::Value::as_object);
        let saved = parts.and_then(|parts| parts.values().find(|entry| entry.get("part").and_then(serde_json::Value::as_str) == Some(part)));
        let expected = saved.and_then(|entry| entry.get("sha256")).and_then(serde_json::Value::as_str).map(str::to_owned);
        let result = self.copy_out(id, part, writer, on_progress)?;
        match expected {
            Some(expected) if expected != result.sha256 => Err(VaultError::Damaged { object: part.into(), what: format!("its digest is {}, but {expected} was saved", result.sha256) }),
            _ => Ok(result),
        }
    }

    /// Restores a folder: contents, owners, modes, times, attributes, links. What is there and not in the backup stays. Started again after a kill, it goes on
    /// where it was, since what is there already and right is not written again.
    pub fn restore_folder(&self, id: &str, part: &str, destination: &Path, paths: &[String], on_progress: OnProgress<'_>) -> Result<RestoreResult, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
        let refused = |path: &Path, error: &io::Error| VaultError::Destination { path: path.display().to_string(), what: error.to_string(), full: error.kind() == io::ErrorKind::StorageFull };
        std::fs::create_dir_all(destination).map_err(|error| refused(destination, &error))?;
        let mut total = RestoreResult { files: 0, bytes: 0 };
        let whole = [String::new()];
        for selected in if paths.is_empty() { whole.as_slice() } else { paths } {
            let relative = selected.trim_matches('/');
            let node = self.node(&repository, &snapshot, format!("{part}/{relative}").trim_end_matches('/'))?;
            let place = destination.join(relative);
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent).map_err(|error| refused(parent, &error))?;
            }
            let result = self.restore_node(&repository, &node, &place, on_progress)?;
            total.files += result.files;
            total.bytes += result.bytes;
        }
        Ok(total)
    }

    fn restore_node(&self, repository: &Indexed, node: &Node, place: &Path, on_progress: OnProgress<'_>) -> Result<RestoreResult, VaultError> {
        let text = place.to_str().ok_or_else(|| VaultError::Destination { path: place.display().to_string(), what: "the destination's own path must be UTF-8".into(), full: false })?;
        let is_file = node.is_file();
        let destination = self.engine("prepare the destination", LocalDestination::new(text, true, is_file))?;
        let listed = self.engine("list files", repository.ls(node, &LsOptions::default()))?;
        let mut options = RestoreOptions::default().numeric_id(true).verify_existing(true);
        // Runs of zeros become holes. The engine keeps the option's type to itself, but reads it.
        options.sparse = serde_json::from_str("\"ByContent\"").ok();
        let (mut files, mut bytes, mut linked) = (0, 0, HashSet::new());
        for entry in listed.clone() {
            let (path, node) = self.engine("list files", entry)?;
            if matches!(node.node_type, NodeType::File) {
                files += 1;
                bytes += node.meta.size;
            }
            // The engine makes the second name of a file anew, and stops if it is there.
            if node.meta.links > 1 && !node.is_dir() && !linked.insert((node.meta.device_id, node.meta.inode)) {
                remove_name(&place.join(&path)).map_err(|error| VaultError::Destination { path: path.display().to_string(), what: error.to_string(), full: false })?;
            }
        }
        let progress = || Progress { items_done: 0, items_total: Some(files), bytes_done: 0, bytes_total: Some(bytes) };
        watched(on_progress, progress, || {
            let plan = self.engine("compare with what is there", repository.prepare_restore(&options, listed.clone(), &destination, false))?;
            // The engine ends a thread that meets an error with a panic; the store remembers what it was.
            let restored = catch_unwind(AssertUnwindSafe(|| repository.restore(plan, &options, listed.clone(), &destination)));
            match restored {
                Ok(result) => self.engine("restore files", result)?,
                Err(_) => {
                    return Err(match self.store.take_error() {
                        Some(store) if store.is_not_found() => VaultError::Damaged { object: store.to_string(), what: "files of the volume need it".into() },
                        Some(store) => store.into(),
                        None => VaultError::Other { what: format!("restore {text}"), message: "a file could not be read from the repository or written here: is the volume full, or a pack damaged?".into() },
                    });
                }
            }
            // Read back: what the engine only warned about must not pass for restored.
            let again = self.engine("compare with the backup", repository.prepare_restore(&options, listed.clone(), &destination, true))?;
            if again.restore_size > 0 {
                return Err(VaultError::Other { what: format!("restore {text}"), message: format!("{} bytes differ from the backup after they were written", again.restore_size) });
            }
            Ok(())
        })?;
        if !is_file {
            root_metadata(place, node).map_err(|error| VaultError::Destination { path: text.into(), what: error.to_string(), full: false })?;
        }
        on_progress(Progress { items_done: files, items_total: Some(files), bytes_done: bytes, bytes_total: Some(bytes) });
        Ok(RestoreResult { files, bytes })
    }
}

/// Removes a name of a file, if it is there and no folder.
fn remove_name(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_dir() => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Owner, mode and time of the folder itself, which the engine leaves alone. A folder that only stands above others in the snapshot has none.
fn root_metadata(place: &Path, node: &Node) -> io::Result<()> {
    let meta = &node.meta;
    if meta.uid.is_some() || meta.gid.is_some() {
        lchown(place, meta.uid, meta.gid)?;
    }
    if let Some(mode) = meta.mode {
        let special = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
        let mode = special.iter().filter(|(bit, _)| mode & bit != 0).fold(mode & 0o777, |mode, (_, bit)| mode | bit);
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode))?;
    }
    if let Some(mtime) = meta.mtime {
        let time = std::time::SystemTime::try_from(mtime).map_err(io::Error::other)?;
        std::fs::File::open(place)?.set_modified(time)?;
    }
    Ok(())
}
