//! Restoring a folder.

use crate::{
    OnProgress, Progress, Repository, VaultError,
    metadata::{difference, restore_root, same_kind},
    repository::Indexed,
    source::watched,
};
use rustic_core::{LocalDestination, LsOptions, RestoreOptions, repofile::Node};
use std::{
    collections::HashSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

/// Result of restoring a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreResult {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A path in the backup, and its node.
type Entry = Result<(PathBuf, Node), VaultError>;

fn refused(path: &Path, error: &io::Error) -> VaultError {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    VaultError::Destination { path: path.display().to_string(), what: error.to_string(), full }
}

impl Repository {
    /// Restores a folder: contents, owners, modes, times, attributes, links. What is there and not in the backup stays. Started again after a kill, it goes on
    /// where it was, since what is there already and right is not written again.
    ///
    /// # Errors
    /// If there is no such snapshot or part, if it can't be read, or if `destination` can't be written.
    pub fn restore_folder(&self, id: &str, part: &str, destination: &Path, paths: &[String], on_progress: OnProgress<'_>) -> Result<RestoreResult, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repository = self.indexed()?;
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
        let text = place.to_str().ok_or_else(|| VaultError::Destination {
            path: place.display().to_string(),
            what: "the destination's own path must be UTF-8".into(),
            full: false,
        })?;
        let is_file = node.is_file();
        let listed = self.engine("list files", repository.ls(node, &LsOptions::default()))?;
        // Walk the tree again instead of keeping it in memory: a volume may have millions of files.
        let entries = || listed.clone().map(|entry| self.engine("list files", entry));
        let at = |path: &Path| if is_file { place.to_owned() } else { place.join(path) };
        let RestoreResult { files, bytes } = clear_the_way(entries(), at)?;
        let destination = self.engine("prepare the destination", LocalDestination::new(text, true, is_file))?;
        let mut options = RestoreOptions::default().numeric_id(true).verify_existing(true);
        // Runs of zeros become holes. The engine keeps the option's type to itself, but reads it.
        options.sparse = serde_json::from_str("\"ByContent\"").ok();
        let before = self.store.restored.load(Ordering::Relaxed);
        let written = || self.store.restored.load(Ordering::Relaxed).saturating_sub(before);
        let progress = || Progress { items_done: 0, items_total: Some(files), bytes_done: written().min(bytes), bytes_total: Some(bytes) };
        watched(on_progress, progress, || {
            let plan = self.engine("compare with what is there", repository.prepare_restore(&options, listed.clone(), &destination, false))?;
            // What is there already counts as done.
            self.store.restored.fetch_add(plan.matched_size, Ordering::Relaxed);
            // The engine ends a thread that meets an error with a panic.
            match catch_unwind(AssertUnwindSafe(|| repository.restore(plan, &options, listed.clone(), &destination))) {
                Ok(result) => self.engine("restore files", result)?,
                Err(panic) => return Err(self.broken_off(repository, entries(), place, panic.downcast_ref::<String>().map_or("", String::as_str))),
            }
            // Read the files back: rustic only warns about some errors, which must fail the restore.
            let again = self.engine("compare with the backup", repository.prepare_restore(&options, listed.clone(), &destination, true))?;
            if again.restore_size > 0 {
                return Err(VaultError::Other {
                    what: format!("restore {text}"),
                    message: format!("{} bytes differ from the backup after they were written", again.restore_size),
                });
            }
            Ok(())
        })?;
        if !is_file {
            restore_root(place, node).map_err(|error| refused(place, &error))?;
        }
        for entry in entries().chain([Ok((PathBuf::new(), node.clone()))]) {
            let (path, node) = entry?;
            if let Some(what) = difference(&at(&path), &node) {
                return Err(VaultError::Destination {
                    path: at(&path).display().to_string(),
                    what: format!("{what}: does the volume allow it, and may we set it?"),
                    full: false,
                });
            }
        }
        on_progress(Progress { items_done: files, items_total: Some(files), bytes_done: bytes, bytes_total: Some(bytes) });
        Ok(RestoreResult { files, bytes })
    }

    /// Why the engine ended with a panic: the volume refused, or the repository has no sound copy of what is needed.
    fn broken_off(&self, repository: &Indexed, entries: impl Iterator<Item = Entry>, place: &Path, panic: &str) -> VaultError {
        if let Some(number) = panic.split("os error ").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()) {
            return refused(place, &io::Error::from_raw_os_error(number));
        }
        self.unreadable(repository, entries.map(|entry| entry.map(|(_, node)| node)), &place.display().to_string(), "the engine broke off; its log says more")
    }
}

/// Removes what stands where the backup has something else: the engine would write through it, or leave it as it is. Counts the files that are to come.
fn clear_the_way(entries: impl Iterator<Item = Entry>, at: impl Fn(&Path) -> PathBuf) -> Result<RestoreResult, VaultError> {
    let mut linked = HashSet::new();
    let mut coming = RestoreResult { files: 0, bytes: 0 };
    for entry in entries {
        let (path, node) = entry?;
        let path = at(&path);
        if node.is_file() {
            coming.files += 1;
            coming.bytes += node.meta.size;
        }
        // The engine makes the second name of a file anew, and a link or a device too; it stops, or only warns, if one is there.
        let second_name = node.meta.links > 1 && node.is_file() && !linked.insert((node.meta.device_id, node.meta.inode));
        let there = match std::fs::symlink_metadata(&path) {
            Ok(there) => there,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(refused(&path, &error)),
        };
        if same_kind(&there, &path, &node) && !second_name && (node.is_file() || node.is_dir()) {
            continue;
        }
        if there.is_dir() {
            let what = format!("a folder is where the backup has a {}: move it away, or restore elsewhere", node.node_type);
            return Err(VaultError::Destination { path: path.display().to_string(), what, full: false });
        }
        std::fs::remove_file(&path).map_err(|error| refused(&path, &error))?;
    }
    Ok(coming)
}
