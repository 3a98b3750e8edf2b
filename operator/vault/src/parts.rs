//! Parts: the output of one mover. Until sealing, a part is a separate snapshot, with the same path as in the sealed one.

use crate::{
    Repository, VaultError,
    repository::IndexedIds,
    source::{Filled, FolderSource, GrowingSource, StreamSource, StreamState, Witness, watched},
};
use jiff::Timestamp;
use rustic_core::{
    BackupOptions, ParentOptions, ReadSource, SnapshotOptions,
    repofile::{SnapshotFile, StringList},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Arc, mpsc::Receiver},
};

/// How far work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files or objects done.
    pub items_done: u64,
    /// Of how many, when known.
    pub items_total: Option<u64>,
    /// Bytes done.
    pub bytes_done: u64,
    /// Of how many, when known.
    pub bytes_total: Option<u64>,
}

/// Told how far work is, about twice a second.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Which part is written.
#[derive(Clone, Copy, Debug)]
pub struct PartSpec<'a> {
    /// UID of the run.
    pub run: &'a str,
    /// Path in the sealed snapshot: `objects`, `volumes/<claim>`, `streams/<name>`.
    pub part: &'a str,
    /// The site.
    pub host: &'a str,
    /// The application's snapshot before this one. One that is gone only costs time.
    pub parent: Option<&'a str>,
}

/// A part that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartResult {
    /// Its path.
    pub part: String,
    /// restic's id of the part.
    pub snapshot: String,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that it added to the repository.
    pub added: u64,
    /// Digest of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Files that changed or vanished while they were read; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How many there are.
    #[serde(default)]
    pub warned: u64,
    /// When reading it began.
    pub started_at: Timestamp,
}

pub(crate) fn run_tag(run: &str) -> String {
    format!("p861-run:{run}")
}

pub(crate) fn part_tag(part: &str) -> String {
    format!("p861-part:{part}")
}

/// Marks a part that was read but not yet judged.
const DRAFT: &str = "p861-draft";
/// Streams up to this many bytes are buffered in memory until their length is known.
const SHORT: u64 = 4 << 20;
/// More warnings than this are counted, not listed.
const MOST_WARNINGS: usize = 10;

fn tags(list: &[String]) -> Result<StringList, VaultError> {
    StringList::from_str(&list.join(",")).map_err(|error| VaultError::Other { what: "make tags".into(), message: error.to_string() })
}

impl Repository {
    /// Stores a folder as a part. Fails on an unreadable file, with its path.
    ///
    /// # Errors
    /// If the folder can't be read, or the repository can't be written.
    pub fn write_folder(&self, spec: &PartSpec<'_>, source: &Path, on_progress: OnProgress<'_>) -> Result<PartResult, VaultError> {
        self.write_files(spec, (source, Timestamp::now()), |folder| folder, on_progress)
    }

    /// Stores a folder as a part while it is filled, by somebody who says which files are whole. What is in it was read since a time: whoever restores it is told that.
    /// Of one that is not filled to its end nothing is stored.
    ///
    /// # Errors
    /// As [`Repository::write_folder`].
    pub fn write_growing_folder(
        &self,
        spec: &PartSpec<'_>,
        folder: (&Path, Timestamp),
        filled: Receiver<Filled>,
        on_progress: OnProgress<'_>,
    ) -> Result<PartResult, VaultError> {
        self.write_files(spec, folder, |folder| GrowingSource::new(folder, filled), on_progress)
    }

    fn write_files<R>(
        &self,
        spec: &PartSpec<'_>,
        (source, started_at): (&Path, Timestamp),
        read: impl FnOnce(FolderSource) -> R,
        on_progress: OnProgress<'_>,
    ) -> Result<PartResult, VaultError>
    where
        R: ReadSource + Sync + 'static,
        R::Open: Send,
        R::Iter: Send,
    {
        if let Some(stored) = self.stored_part(spec)? {
            return Ok(stored);
        }
        let parents: Vec<String> = spec.parent.filter(|parent| self.snapshot(parent).is_ok()).map(str::to_owned).into_iter().collect();
        let (index, witness) = (self.indexed_ids()?, Arc::new(Witness::default()));
        let folder = FolderSource::new(source, Path::new(spec.part).file_name().unwrap_or_default(), witness.clone())
            .map_err(|error| VaultError::ReadErrors { count: 1, first: format!("{}: {error}", source.display()) })?;
        let folder = read(folder);
        // The same files under the same path of the snapshot before. A file is read again unless its size, mtime and ctime are the same: programs can set an
        // mtime back, but no ctime. Without a parent the engine would choose one itself.
        let parent = ParentOptions::default().force(parents.is_empty()).parents(parents);
        let snapshot = watched(on_progress, || witness.progress(), || self.archive(&index, spec, &folder, source, parent))?;
        let errors = witness.errors();
        if let Some(first) = errors.first() {
            self.forget(&[snapshot.id.to_hex().to_string()])?;
            return Err(VaultError::ReadErrors { count: errors.len(), first: first.clone() });
        }
        self.keep(spec, snapshot, None, witness.warnings(), started_at)
    }

    /// Stores a stream as a part. A stream that breaks off is not stored.
    ///
    /// A snapshot says how long each file is, and restic restores by that; but of a stream nobody knows before its end. So a long one is stored twice: as a draft
    /// without a length, and again as what is read back of the draft, which adds nothing to the repository and proves that what was stored can be read.
    ///
    /// # Errors
    /// If the stream fails, or the repository can't be written.
    pub fn write_stream(&self, spec: &PartSpec<'_>, mut reader: Box<dyn Read + Send>, on_progress: OnProgress<'_>) -> Result<PartResult, VaultError> {
        if let Some(stored) = self.stored_part(spec)? {
            return Ok(stored);
        }
        let started_at = Timestamp::now();
        let broken = |first: String| VaultError::ReadErrors { count: 1, first: format!("{}: {first}", spec.part) };
        let mut begin = Vec::new();
        let read = (&mut reader).take(SHORT + 1).read_to_end(&mut begin).map_err(|error| broken(format!("the stream broke off: {error}")))? as u64;
        if read <= SHORT {
            let (snapshot, digest) = self.store_stream(spec, read, Box::new(io::Cursor::new(begin)), on_progress)?;
            return self.keep(spec, snapshot, Some(digest), Vec::new(), started_at);
        }
        let state = Arc::new(StreamState::default());
        let (draft, digest) = self.store_stream_as(spec, 0, Box::new(io::Cursor::new(begin).chain(reader)), state.clone(), on_progress)?;
        let draft_id = draft.id.to_hex().to_string();
        let (back, into) = io::pipe().map_err(|error| broken(format!("no pipe could be made: {error}")))?;
        let stored = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut into = into;
                self.read_file(&draft_id, spec.part, &mut into)
            });
            let stored = self.store_stream(spec, state.bytes(), Box::new(back), on_progress);
            match reading.join() {
                Ok(Ok(_)) => stored,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(VaultError::Other { what: format!("read {} back", spec.part), message: "the reader panicked".into() }),
            }
        });
        let outcome = stored.and_then(|(snapshot, again)| {
            if again == digest {
                Ok(snapshot)
            } else {
                Err(VaultError::Damaged {
                    object: spec.part.into(),
                    what: format!("its digest was {digest} when it was stored, and is {again} when it is read back"),
                })
            }
        });
        let kept = outcome.and_then(|snapshot| self.keep(spec, snapshot, Some(digest), Vec::new(), started_at));
        self.forget(&[draft_id])?;
        kept
    }

    fn store_stream(
        &self,
        spec: &PartSpec<'_>,
        size: u64,
        reader: Box<dyn Read + Send>,
        on_progress: OnProgress<'_>,
    ) -> Result<(SnapshotFile, String), VaultError> {
        self.store_stream_as(spec, size, reader, Arc::default(), on_progress)
    }

    /// Stores a draft of a stream; gives it and its digest.
    fn store_stream_as(
        &self,
        spec: &PartSpec<'_>,
        size: u64,
        reader: Box<dyn Read + Send>,
        state: Arc<StreamState>,
        on_progress: OnProgress<'_>,
    ) -> Result<(SnapshotFile, String), VaultError> {
        let path = PathBuf::from(spec.part);
        let stream = StreamSource::new(&path, size, reader, state.clone());
        let repository = self.indexed_ids()?;
        // A stream has no time to compare: with a parent it would be taken for unchanged and never read.
        let parent = ParentOptions::default().force(true);
        let snapshot = watched(on_progress, || state.witness.progress(), || self.archive(&repository, spec, &stream, &path, parent))?;
        if let Some(digest) = state.digest().filter(|_| state.witness.errors().is_empty()) {
            return Ok((snapshot, digest));
        }
        self.forget(&[snapshot.id.to_hex().to_string()])?;
        let first = state.witness.errors().into_iter().next().unwrap_or_else(|| "the stream was not read to its end".into());
        Err(VaultError::ReadErrors { count: 1, first: format!("{}: {first}", spec.part) })
    }

    fn archive<R>(&self, repository: &IndexedIds, spec: &PartSpec<'_>, source: &R, root: &Path, parent: ParentOptions) -> Result<SnapshotFile, VaultError>
    where
        R: ReadSource + 'static,
        R::Open: Send,
        R::Iter: Send,
    {
        let options = BackupOptions::default().as_path(PathBuf::from(spec.part)).parent_opts(parent).no_scan(true);
        let mut snapshot = self.engine("make a snapshot", SnapshotOptions::default().host(spec.host.to_owned()).to_snapshot())?;
        snapshot.tags = tags(&[DRAFT.to_owned(), run_tag(spec.run), format!("{DRAFT}:{}", spec.part)])?;
        self.engine(&format!("store part {}", spec.part), repository.archive(&options, source, snapshot, &[root.to_owned()]))
    }

    /// Makes a draft a part, with its result in the snapshot itself: the next attempt finds it even if this process dies before it answers.
    fn keep(
        &self,
        spec: &PartSpec<'_>,
        draft: SnapshotFile,
        sha256: Option<String>,
        warnings: Vec<String>,
        started_at: Timestamp,
    ) -> Result<PartResult, VaultError> {
        let summary = draft.summary.clone().unwrap_or_default();
        let mut result = PartResult {
            part: spec.part.into(),
            snapshot: String::new(),
            files: summary.total_files_processed,
            bytes: summary.total_bytes_processed,
            added: summary.data_added_packed,
            sha256,
            warned: warnings.len() as u64,
            warnings: warnings.into_iter().take(MOST_WARNINGS).collect(),
            started_at,
        };
        let draft_id = draft.id.to_hex().to_string();
        let mut part = draft;
        part.tags = tags(&[run_tag(spec.run), part_tag(spec.part)])?;
        part.description = serde_json::to_string(&result).ok();
        let opened = self.opened()?;
        self.engine("store the part's snapshot", opened.save_snapshots(vec![part]))?;
        self.forget(&[draft_id])?;
        let stored = self
            .part(spec.run, spec.part)?
            .ok_or_else(|| VaultError::Other { what: format!("store part {}", spec.part), message: "it was written and is not there".into() })?;
        result.snapshot = stored.id.to_hex().to_string();
        Ok(result)
    }

    /// The part that an attempt before has stored; its leftovers are removed.
    fn stored_part(&self, spec: &PartSpec<'_>) -> Result<Option<PartResult>, VaultError> {
        let draft = format!("{DRAFT}:{}", spec.part);
        let of_run = self.of_run(spec.run)?;
        let drafts: Vec<String> = of_run.iter().filter(|snapshot| snapshot.tags.contains(&draft)).map(|snapshot| snapshot.id.to_hex().to_string()).collect();
        self.forget(&drafts)?;
        Ok(of_run.iter().find(|snapshot| snapshot.tags.contains(&part_tag(spec.part))).and_then(|snapshot| {
            let result: PartResult = serde_json::from_str(snapshot.description.as_deref()?).ok()?;
            Some(PartResult { snapshot: snapshot.id.to_hex().to_string(), ..result })
        }))
    }

    pub(crate) fn part(&self, run: &str, part: &str) -> Result<Option<SnapshotFile>, VaultError> {
        let (tag, part) = (run_tag(run), part_tag(part));
        if let Some(found) = self.of_run(run)?.into_iter().find(|snapshot| snapshot.tags.contains(&part)) {
            return Ok(Some(found));
        }
        // Whoever asks has stored it. If what is known of the time before the run is gone or wrong, it is among all.
        Ok(self.all_snapshots()?.into_iter().find(|snapshot| snapshot.tags.contains(&tag) && snapshot.tags.contains(&part)))
    }
}
