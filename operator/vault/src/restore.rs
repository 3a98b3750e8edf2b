//! Restoring a folder.

mod ahead;
mod compare;
mod place;
mod sound;

pub use compare::FolderComparison;

use crate::{
    OnProgress, Progress, Repository, VaultError,
    metadata::{Standing, difference, is_as_saved, restore_root, same_kind},
    repository::Indexed,
    source::watched,
};
use ahead::mark_of;
use compare::Level;
use place::{Place, Sweep, below, opened, refused, set_modified, shown};
use rustic_core::{LocalDestination, LsOptions, RestoreOptions, RusticResult, repofile::Node};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, unlinkat};
use std::{
    collections::HashSet,
    io,
    os::fd::AsFd as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{LazyLock, atomic::Ordering},
};

/// What becomes of files that are at the destination already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing<'a> {
    /// Each restored folder becomes what it is in the backup: what is not in the backup is removed, sockets and pipes too. The file system's own `lost+found`
    /// and what is mounted inside stay.
    Exact,
    /// Files of the backup replace those of their names; others stay.
    Keep,
    /// Nothing changes: where something stands in the place of a file, nothing is restored.
    Untouched {
        /// The run. What an earlier attempt of it has written doesn't stand in its way.
        run: &'a str,
    },
}

/// Which files of a snapshot go where.
#[derive(Clone, Copy, Debug)]
pub struct FolderRestore<'a> {
    /// restic's id of the snapshot.
    pub snapshot: &'a str,
    /// The part, for example `volumes/attachments`.
    pub part: &'a str,
    /// The folder that is the volume. Nothing outside of it is written or removed.
    pub volume: &'a Path,
    /// Files go under this path of the volume.
    pub prefix: Option<&'a str>,
    /// Paths in the part; all of it when empty.
    pub paths: &'a [String],
    /// What becomes of what is there.
    pub existing: Existing<'a>,
}

/// Result of restoring a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreResult {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Files that were not in the backup and were removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

/// A path in the backup, and its node.
type Entry = Result<(PathBuf, Node), VaultError>;

/// A folder or file of the backup, with its path below the volume.
struct Chosen {
    node: Node,
    relative: PathBuf,
    /// How much of the path is not of the backup.
    prefix: PathBuf,
}

impl Chosen {
    /// Below the volume, the path of an entry.
    fn at(&self, entry: &Path) -> PathBuf {
        if self.node.is_file() || entry.as_os_str().is_empty() { self.relative.clone() } else { self.relative.join(entry) }
    }
}

impl Repository {
    /// Restores a folder: contents, owners, modes, times, attributes, links. Started again after a kill, it goes on where it was, since what is there already
    /// and right is not written again. Where files are there, what is to be written is read whole from the repository first: a damaged backup costs nothing of them.
    /// What is not in the backup is removed last, when all of the backup is there and was read back; first only if the volume is full.
    ///
    /// # Errors
    /// If there is no such snapshot or part, if it can't be read, if the volume can't be written, or if something is in the way: that, and damage to what would
    /// replace files, is found before anything is changed.
    pub fn restore_folder(&self, request: &FolderRestore<'_>, on_progress: OnProgress<'_>) -> Result<RestoreResult, VaultError> {
        self.restore_folder_from(request, &|| {}, on_progress)
    }

    /// The same. `begins` is called before the first change of the volume: whatever fails before it has changed nothing.
    ///
    /// # Errors
    /// As [`Self::restore_folder`].
    pub fn restore_folder_from(&self, request: &FolderRestore<'_>, begins: &dyn Fn(), on_progress: OnProgress<'_>) -> Result<RestoreResult, VaultError> {
        let repository = self.indexed()?;
        let chosen = self.chosen(&repository, request)?;
        std::fs::create_dir_all(request.volume).map_err(|error| refused(request.volume, &error))?;
        let mut place = Place::open(request.volume).map_err(|error| refused(request.volume, &error))?;
        self.look_ahead(&repository, &chosen, &mut place, request.existing)?;
        if !matches!(request.existing, Existing::Untouched { .. }) {
            chosen.iter().try_for_each(|chosen| self.require_sound(&repository, chosen, &mut place, on_progress))?;
        }
        begins();
        let marker = match request.existing {
            Existing::Untouched { run } => Some(put_mark(&mut place, run)?),
            Existing::Exact | Existing::Keep => None,
        };
        let mut total = RestoreResult::default();
        for chosen in &chosen {
            let result = self.restore_chosen(&repository, chosen, &mut place, request.existing, on_progress)?;
            total.files += result.files;
            total.bytes += result.bytes;
            total.removed += result.removed;
            total.removed_bytes += result.removed_bytes;
        }
        if let Some(marker) = marker
            && let Some(root) = place.folder(Path::new(""))?
        {
            unlinkat(&root, marker.as_str(), AtFlags::empty()).map_err(|error| Place::refused(Path::new(&marker), &error.into()))?;
        }
        Ok(total)
    }

    /// Finds what is asked for, before anything is written.
    fn chosen(&self, repository: &Indexed, request: &FolderRestore<'_>) -> Result<Vec<Chosen>, VaultError> {
        let snapshot = self.snapshot(request.snapshot)?;
        let prefix = below(request.prefix.unwrap_or_default())?;
        let whole = [String::new()];
        let paths = if request.paths.is_empty() { whole.as_slice() } else { request.paths };
        let chosen = paths.iter().map(|path| {
            let path = below(path)?;
            let node = self.node(repository, &snapshot, Path::new(request.part).join(&path).to_string_lossy().trim_end_matches('/'))?;
            Ok(Chosen { node, relative: prefix.join(path), prefix: prefix.clone() })
        });
        chosen.collect()
    }

    fn entries<'a>(&'a self, repository: &'a Indexed, node: &'a Node) -> Result<impl Iterator<Item = Entry> + use<'a>, VaultError> {
        static ALL: LazyLock<LsOptions> = LazyLock::new(LsOptions::default);
        let listed = repository.ls(node, &ALL).map_err(|error| self.unlisted(repository, node, &error))?;
        Ok(listed.map(|entry| entry.map_err(|error| self.unlisted(repository, node, &error))))
    }

    fn restore_chosen(
        &self,
        repository: &Indexed,
        chosen: &Chosen,
        place: &mut Place,
        existing: Existing<'_>,
        on_progress: OnProgress<'_>,
    ) -> Result<RestoreResult, VaultError> {
        let Chosen { node, relative, prefix } = chosen;
        place.make(prefix, false)?;
        place.make(if node.is_dir() { relative } else { relative.parent().unwrap_or(Path::new("")) }, existing == Existing::Exact)?;
        // Walk the tree again instead of keeping it in memory: a volume may have millions of files.
        let entries = || self.entries(repository, node);
        let exact = existing == Existing::Exact && node.is_dir();
        // A new volume has nothing to remove.
        let fresh = !exact || place.is_empty(relative)?;
        let mut sweep = Sweep::default();
        let RestoreResult { files, bytes, .. } = clear_the_way(entries()?, chosen, place, exact.then_some(&mut sweep))?;
        let coming = Progress { items_done: 0, items_total: Some(files), bytes_done: 0, bytes_total: Some(bytes) };
        match self.write(repository, chosen, place, coming, on_progress) {
            Err(VaultError::Destination { full: true, .. }) if !fresh => {
                sweep_extra(entries()?, chosen, place, &mut sweep)?;
                self.write(repository, chosen, place, coming, on_progress)?;
            }
            written => written?,
        }
        if !fresh {
            sweep_extra(entries()?, chosen, place, &mut sweep)?;
        }
        if node.is_dir() {
            let folder = place.folder(relative)?.ok_or_else(|| Place::moved(relative))?;
            restore_root(&opened(&folder, ".".as_ref()), node).map_err(|error| Place::refused(relative, &error))?;
        }
        Self::require_same(entries()?, chosen, place)?;
        on_progress(Progress { items_done: files, bytes_done: bytes, ..coming });
        Ok(RestoreResult { files, bytes, removed: sweep.files, removed_bytes: sweep.bytes })
    }

    /// Requires that each file is as in the backup and at its own place: what the engine wrote through a link that somebody put in the way is not.
    fn require_same(entries: impl Iterator<Item = Entry>, chosen: &Chosen, place: &mut Place) -> Result<(), VaultError> {
        for entry in entries.chain([Ok((PathBuf::new(), chosen.node.clone()))]) {
            let (path, node) = entry?;
            let path = chosen.at(&path);
            let there = match place.parent(&path)? {
                Some((folder, name)) => difference(&opened(&folder, name), &node),
                None if path.as_os_str().is_empty() => place.folder(&path)?.and_then(|root| difference(&opened(&root, ".".as_ref()), &node)),
                None => return Err(Place::moved(path.parent().unwrap_or(&path))),
            };
            if let Some(what) = there {
                let what = format!("{what}: does the volume allow it, and may we set it?");
                return Err(VaultError::Destination { path: shown(&path), what, full: false });
            }
        }
        Ok(())
    }

    /// Writes what is not there yet, and reads it back. What the volume refuses is named.
    fn write(&self, repository: &Indexed, chosen: &Chosen, place: &mut Place, coming: Progress, on_progress: OnProgress<'_>) -> Result<(), VaultError> {
        let full = place.full(&chosen.relative);
        match self.write_to(repository, &chosen.node, &full, coming, on_progress) {
            // The engine says what was refused, and not where.
            Err(VaultError::Destination { full: false, what, .. }) => {
                let file = self.unwritable(repository, chosen, place)?.unwrap_or_else(|| chosen.relative.clone());
                Err(VaultError::Destination { path: shown(&file), what, full: false })
            }
            Err(VaultError::Destination { full: true, what, .. }) => Err(VaultError::Destination { path: shown(&chosen.relative), what, full: true }),
            written => written,
        }
    }

    fn write_to(&self, repository: &Indexed, node: &Node, place: &Path, coming: Progress, on_progress: OnProgress<'_>) -> Result<(), VaultError> {
        let text = utf8(place)?;
        let listed = self.engine("list files", repository.ls(node, &LsOptions::default()))?;
        let destination = self.engine("prepare the destination", LocalDestination::new(text, true, node.is_file()))?;
        let mut options = RestoreOptions::default().numeric_id(true).verify_existing(true);
        // Runs of zeros become holes. The engine keeps the option's type to itself, but reads it.
        options.sparse = serde_json::from_str("\"ByContent\"").ok();
        let before = self.store.restored.load(Ordering::Relaxed);
        let written = || self.store.restored.load(Ordering::Relaxed).saturating_sub(before);
        let progress = || Progress { bytes_done: written().min(coming.bytes_total.unwrap_or(u64::MAX)), ..coming };
        watched(on_progress, progress, || {
            let plan = self.engine("compare with what is there", repository.prepare_restore(&options, listed.clone(), &destination, false))?;
            // What is there already counts as done.
            self.store.restored.fetch_add(plan.matched_size, Ordering::Relaxed);
            // The engine ends a thread that meets an error with a panic.
            // It makes links, pipes and devices anew, and only warns of those that are there.
            let to_make = listed.clone().filter(|entry| !is_same_special(entry, place));
            match catch_unwind(AssertUnwindSafe(|| repository.restore(plan, &options, to_make, &destination))) {
                Ok(result) => self.engine("restore files", result)?,
                Err(panic) => {
                    let entries = self.entries(repository, node)?;
                    return Err(self.broken_off(repository, entries, place, panic.downcast_ref::<String>().map_or("", String::as_str)));
                }
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
        })
    }

    /// Why the engine ended with a panic: the volume refused, or the repository has no sound copy of what is needed.
    fn broken_off(&self, repository: &Indexed, entries: impl Iterator<Item = Entry>, place: &Path, panic: &str) -> VaultError {
        if let Some(number) = ["os error ", "Os { code: "]
            .iter()
            .find_map(|said| panic.split(said).nth(1))
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        {
            return refused(place, &io::Error::from_raw_os_error(number));
        }
        self.unreadable(repository, entries.map(|entry| entry.map(|(_, node)| node)), &place.display().to_string(), "the engine broke off; its log says more")
    }
}

/// The engine takes a path as text.
fn utf8(place: &Path) -> Result<&str, VaultError> {
    place.to_str().ok_or_else(|| VaultError::Destination {
        path: place.display().to_string(),
        what: "the destination's own path must be UTF-8".into(),
        full: false,
    })
}

/// Removes what is in the folder and not in the backup.
fn sweep_extra(entries: impl Iterator<Item = Entry>, chosen: &Chosen, place: &mut Place, sweep: &mut Sweep) -> Result<(), VaultError> {
    Level::each(entries, &chosen.node, |level| {
        let relative = chosen.at(&level.path);
        let extra = place.extra(&relative, &level.names)?;
        if extra.is_empty() {
            return Ok(());
        }
        let folder = place.folder(&relative)?.ok_or_else(|| Place::moved(&relative))?;
        for name in &extra {
            place.sweep(folder.as_fd(), name, &relative.join(name), sweep)?;
        }
        match level.modified {
            Some(modified) => set_modified(folder.as_fd(), modified).map_err(|error| Place::refused(&relative, &error)),
            None => Ok(()),
        }
    })
}

/// Leaves the mark of a run that may replace nothing: its next attempt goes on with what this one has written.
fn put_mark(place: &mut Place, run: &str) -> Result<String, VaultError> {
    let mark = mark_of(run);
    let root = place.folder(Path::new(""))?.ok_or_else(|| Place::moved(Path::new("")))?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&root, mark.as_str(), flags, Mode::from(0o600)).map_err(|error| Place::refused(Path::new(&mark), &error.into()))?;
    Ok(mark)
}

/// Whether an entry of the backup is no file and no folder, and is there as it was saved.
fn is_same_special(entry: &RusticResult<(PathBuf, Node)>, place: &Path) -> bool {
    let Ok((path, node)) = entry else { return false };
    if node.is_dir() || node.is_file() {
        return false;
    }
    // A path that ends with a slash would lead through a link.
    let at = if path.as_os_str().is_empty() { place.to_owned() } else { place.join(path) };
    let there = Standing::at(CWD, at.as_os_str()).ok().flatten();
    there.is_some_and(|there| is_as_saved(&there, node))
}

/// Removes what stands where the backup has something else: the engine would write through it, or leave it as it is. A whole folder only goes if there is a
/// sweep. Counts the files that are to come.
fn clear_the_way(entries: impl Iterator<Item = Entry>, chosen: &Chosen, place: &mut Place, mut sweep: Option<&mut Sweep>) -> Result<RestoreResult, VaultError> {
    let mut linked = HashSet::new();
    let mut coming = RestoreResult::default();
    for entry in entries {
        let (path, node) = entry?;
        let path = chosen.at(&path);
        if node.is_file() {
            coming.files += 1;
            coming.bytes += node.meta.size;
        }
        // The engine makes the second name of a file anew, and stops if one is there.
        let second_name = node.meta.links > 1 && node.is_file() && !linked.insert((node.meta.device_id, node.meta.inode));
        let Some((folder, name)) = place.parent(&path)? else { continue };
        let Some(there) = Standing::at(&folder, name).map_err(|error| Place::refused(&path, &error))? else { continue };
        // A file with several names is made anew: they may not be those of the backup.
        let stays = match there.kind {
            FileType::Directory => node.is_dir(),
            FileType::RegularFile => same_kind(&there, &node) && !there.shared && !second_name,
            // What is the same is not touched: whatever fails later, it is still there.
            _ => is_as_saved(&there, &node),
        };
        if stays {
            continue;
        }
        match &mut sweep {
            // What the backup has in its place is no folder either: it is changed, not removed.
            _ if there.kind != FileType::Directory && !node.is_dir() => {
                unlinkat(&folder, name, AtFlags::empty()).map_err(|error| Place::refused(&path, &error.into()))?;
            }
            Some(sweep) => place.sweep(folder.as_fd(), name, &path, sweep)?,
            // It was not there when that was looked for.
            None => return Err(Place::moved(&path)),
        }
    }
    Ok(coming)
}
