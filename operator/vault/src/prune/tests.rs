//! Pruning over a folder that fails as a test says: whatever happens at whatever request, what is kept can be restored, and a later prune ends clean.

use super::*;
use crate::{
    AsyncStore, Filled, ForgetOrder, Forgettable, Location, PartSpec, RepositoryAccess, SealSpec,
    backend::Store,
    store::{Fault, Faults},
};
use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};
use tempfile::TempDir;

const NO_DELAY: PruneSpec = PruneSpec { delay: Duration::ZERO, max_repack_bytes: u64::MAX, max_unused_percent: 0, keep_records: Duration::from_hours(24 * 31) };

fn access(place: &Path) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: place.to_owned() }, credentials: None, password: "p".into(), id: None }
}

fn always() -> MayWrite {
    Arc::new(|| Ok(()))
}

/// Bytes that neither repeat nor compress, the same for the same seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let blocks = (0_u64..).flat_map(|number| Sha256::digest([seed.to_le_bytes(), number.to_le_bytes()].concat()));
    blocks.take(bytes).collect()
}

/// Files, each small enough to be stored as one piece: what two backups have in common is stored once.
type Files = Vec<(String, Vec<u8>)>;

/// So many files of 400 KiB, of the same content wherever the name is the same.
fn files_named(name: &str, number: u64) -> Files {
    let seed = |at: u64| name.bytes().fold(at, |seed, byte| seed * 257 + u64::from(byte));
    (0..number).map(|at| (format!("{name}-{at}"), noise(seed(at), 400 << 10))).collect()
}

fn stored(repository: &Repository, run: &str, files: &Files) {
    let source = tempfile::tempdir().unwrap();
    for (name, body) in files {
        fs::write(source.path().join(name), body).unwrap();
    }
    let part = PartSpec { run, part: "volumes/files", host: "here", parent: None };
    repository.write_folder(&part, source.path(), &|_| {}).unwrap();
}

fn sealed(repository: &Repository, run: &str) -> String {
    let spec = SealSpec {
        run: run.into(),
        host: "here".into(),
        time: Timestamp::UNIX_EPOCH,
        tags: vec!["district=shinan".into(), format!("backup={run}")],
        parts: vec!["volumes/files".into()],
        inventory: serde_json::json!({"parts": {}}),
        label: "approval".into(),
    };
    repository.seal(&spec, &|| Ok(())).unwrap().snapshot
}

fn backup(repository: &Repository, run: &str, files: &Files) -> String {
    stored(repository, run, files);
    sealed(repository, run)
}

fn forget(repository: &Repository, ids: &[&str]) -> crate::Forgotten {
    let snapshots: Vec<Forgettable> = ids.iter().map(|id| Forgettable { id: (*id).into(), application: "approval".into(), why: "no place".into() }).collect();
    let order = ForgetOrder { snapshots: &snapshots, district: "shinan", by: "a test", at: "2026-11-15T00:00:00Z".parse().unwrap() };
    repository.forget_recorded(&order, &always(), &|_| {}).unwrap()
}

/// A repository with something to mark as a whole, something to write anew, and something that stays as it is.
struct Stage {
    folder: TempDir,
    /// What stays, with what is in it.
    kept: Vec<(String, Files)>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(&access(folder.path())).unwrap();
        let gone = [backup(&repository, "first", &Self::first()), backup(&repository, "alone", &files_named("alone", 1))];
        let second = [files_named("both", 5), files_named("new", 1)].concat();
        let kept = vec![(backup(&repository, "second", &second), second), (backup(&repository, "third", &files_named("third", 1)), files_named("third", 1))];
        assert_eq!(forget(&repository, &[&gone[0], &gone[1]]).forgotten, 2);
        Self { folder, kept }
    }

    /// What the snapshot had that is gone: some of it is in one that stays.
    fn first() -> Files {
        [files_named("old", 8), files_named("both", 5)].concat()
    }

    fn repository(&self) -> Repository {
        Repository::open(&access(self.folder.path())).unwrap()
    }

    /// The same, in another place. Files of a repository are never changed in their place, so that both may have them.
    fn copy(&self) -> Self {
        fn link(from: &Path, to: &Path) {
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
                let to = to.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() { link(&entry.path(), &to) } else { fs::hard_link(entry.path(), &to).unwrap() }
            }
        }
        let folder = tempfile::tempdir().unwrap();
        link(self.folder.path(), folder.path());
        Self { folder, kept: self.kept.clone() }
    }

    fn prune(&self) -> PruneReport {
        self.repository().prune(&NO_DELAY, &always(), &|_| {}).unwrap()
    }

    /// A prune whose requests fail as `faults` says.
    fn prune_with(&self, faults: &Arc<Faults>) -> Result<PruneReport, VaultError> {
        let access = access(self.folder.path());
        let store = Store::at_without_patience(AsyncStore::faulty(self.folder.path(), faults.clone()), &access)?;
        Repository::open_or_init_at(store, &access)?.prune(&NO_DELAY, &always(), &|_| {})
    }

    /// How many requests a prune makes.
    fn requests(&self) -> usize {
        let faults = Faults::new(usize::MAX, Fault::Lost, None);
        self.copy().prune_with(&faults).unwrap();
        faults.requests()
    }

    fn must_restore(&self, case: &str) {
        let repository = self.repository();
        for (snapshot, files) in &self.kept {
            repository.verify_snapshot(snapshot, true).unwrap_or_else(|error| panic!("{case}: {error}"));
            for (name, body) in files {
                let mut out = Vec::new();
                repository.copy_out(snapshot, &format!("volumes/files/{name}"), &mut out, &|_| {}).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(out == *body, "{case}: {name}");
            }
        }
    }

    /// Prunes until nothing is left to do; then nothing is there that nobody needs.
    fn must_end_clean(&self, case: &str) {
        let mut reports = Vec::new();
        for _ in 0..4 {
            let report = self.repository().prune(&NO_DELAY, &always(), &|_| {}).unwrap_or_else(|error| panic!("{case}: {error}"));
            reports.push(report);
            if report.is_clean() {
                break;
            }
        }
        assert!(reports.last().is_some_and(PruneReport::is_clean), "{case}: {reports:?}");
        self.must_restore(case);
        assert_eq!(self.unnamed(), BTreeSet::new(), "{case}");
    }

    /// Packs that no index names as ordinary ones.
    fn unnamed(&self) -> BTreeSet<Id> {
        let opened = self.repository().opened().unwrap();
        let files = opened.stream_files::<IndexFile>().unwrap().map(|file| file.unwrap().1);
        let named: BTreeSet<Id> = files.flat_map(|index| index.packs).map(|pack| *pack.id).collect();
        let listed = self.repository().store.files(FileType::Pack).unwrap();
        listed.into_iter().map(|(id, _)| id).filter(|id| !named.contains(id)).collect()
    }
}

#[test]
fn what_nobody_needs_is_marked_first_and_removed_by_a_later_prune_after_the_delay() {
    let stage = Stage::new();
    let long = PruneSpec { delay: Duration::from_hours(23), ..NO_DELAY };
    let first = stage.repository().prune(&long, &always(), &|_| {}).unwrap();
    assert!(first.marked.packs >= 3 && first.marked.bytes > 3 << 20, "{first:?}");
    assert!(first.repacked_bytes > 1 << 20, "of a pack that is needed in part the rest is written anew: {first:?}");
    assert_eq!(first.removed, Packs::default());
    stage.must_restore("marked");
    let second = stage.repository().prune(&long, &always(), &|_| {}).unwrap();
    assert_eq!((second.removed, second.waiting.packs), (Packs::default(), first.marked.packs), "the delay is not over");
    let third = stage.prune();
    assert_eq!((third.removed.packs, third.waiting), (first.marked.packs, Packs::default()));
    assert!(third.removed.bytes >= first.marked.bytes, "files have heads: {third:?}");
    stage.must_end_clean("removed");
    let last = stage.prune();
    assert!(last.is_clean() && last.removed == Packs::default(), "{last:?}");
}

#[test]
fn nothing_is_written_anew_beyond_the_limit_and_what_is_needed_in_part_stays_then() {
    let stage = Stage::new();
    let report = stage.repository().prune(&PruneSpec { max_repack_bytes: 0, ..NO_DELAY }, &always(), &|_| {}).unwrap();
    assert_eq!(report.repacked_bytes, 0);
    assert!(report.marked.packs > 0, "{report:?}");
    stage.must_restore("nothing was written anew");
    let tolerant = stage.repository().prune(&PruneSpec { max_unused_percent: 99, ..NO_DELAY }, &always(), &|_| {}).unwrap();
    assert!(tolerant.repacked_bytes < 1 << 20, "only folders, which are small: {tolerant:?}");
    stage.must_end_clean("later without a limit");
}

#[test]
fn wherever_a_prune_dies_or_loses_an_answer_what_is_kept_is_whole_and_the_next_ones_end_clean() {
    let to_mark = Stage::new();
    let to_remove = to_mark.copy();
    to_remove.prune();
    for (phase, stage) in [("marking", to_mark), ("removing", to_remove)] {
        let requests = stage.requests();
        assert!(requests > 10, "{phase}: {requests}");
        for at in 0..requests {
            for fault in [Fault::DiesBefore, Fault::DiesAfter, Fault::Lost, Fault::AnswerLost] {
                let case = format!("{phase}, {fault:?} at {at} of {requests}");
                let stage = stage.copy();
                // What is asked of the store at the same time comes in any order, so that it may have ended before.
                let _ = stage.prune_with(&Faults::new(at, fault, None));
                stage.must_restore(&case);
                stage.must_end_clean(&case);
            }
        }
    }
}

#[test]
fn a_prune_that_loses_its_lease_stops_at_its_next_write_and_another_goes_on() {
    let to_mark = Stage::new();
    let to_remove = to_mark.copy();
    to_remove.prune();
    for (phase, stage) in [("marking", to_mark), ("removing", to_remove)] {
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = writes.clone();
        let count: MayWrite = Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        stage.copy().repository().prune(&NO_DELAY, &count, &|_| {}).unwrap();
        let writes = writes.load(Ordering::SeqCst);
        assert!(writes > 3, "{phase}: {writes}");
        for at in 0..writes {
            let (case, stage) = (format!("{phase}, lost at write {at}"), stage.copy());
            let asked = AtomicUsize::new(0);
            let until: MayWrite = Arc::new(move || {
                if asked.fetch_add(1, Ordering::SeqCst) < at {
                    Ok(())
                } else {
                    Err(VaultError::LeaseLost { holder: "prune".into(), what: "not renewed".into() })
                }
            });
            let error = stage.repository().prune(&NO_DELAY, &until, &|_| {}).unwrap_err();
            assert_eq!((error.reason(), error.is_transient()), ("LeaseLost", true), "{case}: {error}");
            stage.must_end_clean(&case);
        }
    }
}

#[test]
fn a_snapshot_that_comes_while_a_prune_works_is_whole_after_the_next_one_at_the_latest() {
    let stage = Stage::new();
    let patient = PruneSpec { delay: Duration::from_hours(23), ..NO_DELAY };
    let first = Stage::first();
    for at in 0..stage.requests() {
        let case = format!("another stores before request {at}");
        let mut stage = stage.copy();
        let path = stage.folder.path().to_owned();
        // The data of the snapshot that was forgotten: its packs are those that are being marked.
        let of_other = first.clone();
        let other = move || {
            let attempt = || drop(backup(&Repository::open(&access(&path)).unwrap(), "beside", &of_other));
            // It is another process: it doesn't wait for the threads of this one, which wait for it.
            let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
            // An index that it was about to read may be gone: a mover would be tried again, too.
            threads.install(|| (0..20).any(|_| std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).is_ok()));
        };
        let faults = Faults::new(at, Fault::Before, Some(Box::new(other)));
        let access = access(stage.folder.path());
        let store = Store::at_without_patience(AsyncStore::faulty(stage.folder.path(), faults), &access).unwrap();
        let pruned = Repository::open_or_init_at(store, &access).unwrap().prune(&patient, &always(), &|_| {});
        if let Err(error) = pruned {
            assert!(error.is_transient(), "{case}: {error}");
        }
        stage.must_restore(&case);
        stage.repository().prune(&patient, &always(), &|_| {}).unwrap_or_else(|error| panic!("{case}: {error}"));
        let beside = stage.repository().snapshots().unwrap().into_iter().find(|snapshot| snapshot.tag("backup") == Some("beside"));
        stage.kept.push((beside.unwrap_or_else(|| panic!("{case}: it is gone")).id, first.clone()));
        stage.must_restore(&case);
    }
}

#[test]
fn a_writer_that_sleeps_while_its_data_is_marked_finds_it_again_after_the_next_prune() {
    let stage = Stage::new();
    let patient = PruneSpec { delay: Duration::from_hours(23), ..NO_DELAY };
    // What was forgotten, as a file.
    let body = files_named("alone", 1).remove(0).1;
    let source = stage.folder.path().join("not of the repository");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("file"), &body).unwrap();
    let (writer, once) = (stage.repository(), AtomicUsize::new(0));
    let part = PartSpec { run: "slept", part: "volumes/files", host: "here", parent: None };
    let (told, filled) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    // Told of its progress for the first time it has read the index, and takes what will be marked for stored.
    let on_progress = |_: Progress| {
        if once.fetch_add(1, Ordering::SeqCst) == 0 {
            begun.send(()).unwrap();
        }
    };
    let stored = std::thread::scope(|scope| {
        let writing = scope.spawn(|| writer.write_growing_folder(&part, (&source, Timestamp::now()), filled, &on_progress));
        begins.recv().unwrap();
        assert!(stage.repository().prune(&patient, &always(), &|_| {}).unwrap().marked.packs > 0);
        told.send(Filled::File("file".into())).unwrap();
        told.send(Filled::All).unwrap();
        writing.join().unwrap().unwrap()
    });
    assert!(stored.added < 10 << 10, "it has stored its content anew, which proves nothing: {stored:?}");
    let report = stage.repository().prune(&patient, &always(), &|_| {}).unwrap();
    assert!(report.recovered > 0 && report.removed == Packs::default(), "{report:?}");
    let read = || {
        let mut out = Vec::new();
        stage.repository().copy_out(&stored.snapshot, "volumes/files/file", &mut out, &|_| {}).unwrap();
        out
    };
    assert!(read() == body);
    stage.must_end_clean("slept");
    assert!(read() == body);
}

#[test]
fn packs_that_no_index_names_are_marked_also_if_nothing_else_is_to_do() {
    let stage = Stage::new();
    stage.must_end_clean("to begin with");
    // As a mover leaves it that is killed before it writes an index.
    let body = noise(9, 10 << 10);
    let name = hex::encode(Sha256::digest(&body));
    let place = stage.folder.path().join("data").join(&name[..2]);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(&name), &body).unwrap();
    let marked = stage.prune();
    assert_eq!(marked.marked, Packs { packs: 1, bytes: 10 << 10 });
    let removed = stage.prune();
    assert_eq!(removed.removed, Packs { packs: 1, bytes: 10 << 10 });
    stage.must_end_clean("afterwards");
}

#[test]
fn a_repository_that_lacks_something_is_not_pruned_and_loses_nothing_more() {
    for (what, folder) in [("a pack", "data"), ("an index file", "index")] {
        let stage = Stage::new();
        let (gone, bytes) = files(&stage.folder.path().join(folder)).into_iter().max_by_key(|(_, bytes)| *bytes).unwrap();
        fs::remove_file(&gone).unwrap();
        let before = files(stage.folder.path());
        let error = stage.repository().prune(&NO_DELAY, &always(), &|_| {}).unwrap_err();
        assert_eq!(files(stage.folder.path()), before, "{what} of {bytes} bytes: {error}");
    }
    // A snapshot that can't be read may need anything.
    let stage = Stage::new();
    let snapshot = stage.folder.path().join("snapshots").join(&stage.kept[0].0);
    let body = fs::read(&snapshot).unwrap();
    fs::remove_file(&snapshot).unwrap();
    fs::write(&snapshot, b"changed").unwrap();
    let before = files(stage.folder.path());
    stage.repository().prune(&NO_DELAY, &always(), &|_| {}).unwrap_err();
    assert_eq!(files(stage.folder.path()), before);
    fs::write(&snapshot, body).unwrap();
    stage.must_end_clean("it is mended");
}

fn files(place: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(place).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() { found.extend(files(&entry.path())) } else { found.push((entry.path(), meta.len())) }
    }
    found.sort();
    found
}
