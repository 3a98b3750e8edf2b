//! What the repository promises, on a folder, with stock restic as the independent reader.

mod damage;
mod parts;
pub mod prune;

use crate::support::{Restic, describe, odd_tree, race_for_creation, race_for_increments, seal, seal_spec, spec, whole};
use p861_vault::{AsyncStore, Existing, Filled, FolderRestore, Location, PartSpec, Repository, RepositoryAccess, Sealed, VaultError};
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
};
use tempfile::TempDir;

fn access(path: &Path) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: path.to_owned() }, credentials: None, password: "correct horse".into(), id: None }
}

struct Fixture {
    folder: TempDir,
    repository: Repository,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(&access(&folder.path().join("repository"))).unwrap();
        Self { folder, repository }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sealed(&self) -> Sealed {
        let source = self.path("source");
        odd_tree(&source);
        self.repository.write_folder(&spec("run-1", "volumes/attachments"), &source, &|_| {}).unwrap();
        let stream = self.repository.write_stream(&spec("run-1", "streams/db"), Box::new(io::Cursor::new(vec![7_u8; 9 << 20])), &|_| {}).unwrap();
        seal(&self.repository, "run-1", &["volumes/attachments", "streams/db"], stream.sha256.as_deref())
    }
}

#[test]
fn odd_files_come_back_as_they_were() {
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    let target = fixture.path("target");
    fixture.repository.restore_folder(&whole(&sealed.snapshot, "volumes/attachments", &target, Existing::Keep), &|_| {}).unwrap();
    assert_eq!(describe(&target), describe(&fixture.path("source")));
    let (plain, link) = (fs::metadata(target.join("plain")).unwrap(), fs::metadata(target.join("hard-link")).unwrap());
    assert_eq!(plain.ino(), link.ino(), "hard links are links again");
    assert!(fs::metadata(target.join("sparse")).unwrap().blocks() * 512 < 1 << 20, "holes are holes again");
}

#[test]
fn a_restore_that_was_cut_short_is_completed_by_the_next() {
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    let target = fixture.path("target");
    fixture.repository.restore_folder(&whole(&sealed.snapshot, "volumes/attachments", &target, Existing::Keep), &|_| {}).unwrap();
    fs::remove_file(target.join("private")).unwrap();
    fs::write(target.join("plain"), b"he").unwrap();
    fs::write(target.join("not of the backup"), b"stays").unwrap();
    fixture.repository.restore_folder(&whole(&sealed.snapshot, "volumes/attachments", &target, Existing::Keep), &|_| {}).unwrap();
    assert_eq!(fs::read(target.join("not of the backup")).unwrap(), b"stays");
    fs::remove_file(target.join("not of the backup")).unwrap();
    let (mut after, mut before) = (describe(&target), describe(&fixture.path("source")));
    // The folder's own time moved when the test's own file was removed.
    after.remove(Path::new(""));
    before.remove(Path::new(""));
    assert_eq!(after, before);
}

#[test]
fn a_single_folder_of_a_volume_can_be_restored_elsewhere() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(source.join("news/2026")).unwrap();
    fs::write(source.join("news/2026/a"), "a").unwrap();
    fs::write(source.join("other"), "o").unwrap();
    fixture.repository.write_folder(&spec("r", "volumes/site"), &source, &|_| {}).unwrap();
    let sealed = seal(&fixture.repository, "r", &["volumes/site"], None);
    let target = fixture.path("target");
    let result = fixture
        .repository
        .restore_folder(&FolderRestore { paths: &["/news/2026".into()], ..whole(&sealed.snapshot, "volumes/site", &target, Existing::Keep) }, &|_| {})
        .unwrap();
    assert_eq!(result.files, 1);
    assert_eq!(fs::read(target.join("news/2026/a")).unwrap(), b"a");
    assert!(!target.join("other").exists());
}

#[test]
fn a_restore_replaces_links_and_shared_files_that_stand_in_its_way_and_never_writes_through_them() {
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    let (target, outside) = (fixture.path("target"), fixture.path("outside"));
    fs::create_dir(&target).unwrap();
    fs::write(&outside, b"precious").unwrap();
    symlink(&outside, target.join("plain")).unwrap();
    symlink("elsewhere", target.join("symlink")).unwrap();
    fs::hard_link(&outside, target.join("private")).unwrap();
    fixture.repository.restore_folder(&whole(&sealed.snapshot, "volumes/attachments", &target, Existing::Keep), &|_| {}).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
    assert_eq!(describe(&target), describe(&fixture.path("source")));
    // In the place of a folder one stays, unless the whole is to be as in the backup.
    fs::remove_dir_all(target.join("empty folder")).unwrap();
    symlink(fixture.path(""), target.join("empty folder")).unwrap();
    fixture.repository.restore_folder(&whole(&sealed.snapshot, "volumes/attachments", &target, Existing::Exact), &|_| {}).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
    assert_eq!(describe(&target), describe(&fixture.path("source")));
}

#[test]
fn a_folder_in_the_place_of_a_file_is_left_alone_and_named() {
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    let target = fixture.path("target");
    fs::create_dir_all(target.join("plain/with something in it")).unwrap();
    let error = fixture.repository.restore_folder(&whole(&sealed.snapshot, "volumes/attachments", &target, Existing::Keep), &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "DestinationRefused", "{error}");
    assert!(error.to_string().starts_with("/plain: ") && error.to_string().contains("move it away"), "{error}");
    assert!(target.join("plain/with something in it").exists());
}

#[test]
fn sealing_twice_gives_the_same_snapshot_and_leaves_no_part() {
    let fixture = Fixture::new();
    let first = fixture.sealed();
    let again = seal(&fixture.repository, "run-1", &["volumes/attachments", "streams/db"], None);
    assert_eq!(first.snapshot, again.snapshot);
    assert_eq!(fixture.repository.snapshots().unwrap().len(), 1);
    let files = fs::read_dir(fixture.path("repository/snapshots")).unwrap().count();
    assert_eq!(files, 1, "no part is left among restic's snapshots");
}

#[test]
fn fault_i5_what_verifies_a_snapshot_reads_what_it_says_of_itself_too() {
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    let (report, inventory) = fixture.repository.verify_with_inventory(&sealed.snapshot).unwrap();
    assert_eq!(report, fixture.repository.verify_snapshot(&sealed.snapshot, false).unwrap());
    assert_eq!(inventory, Some(fixture.repository.inventory(&sealed.snapshot).unwrap()));
}

#[test]
fn a_wrong_password_and_another_repository_are_told_apart() {
    let fixture = Fixture::new();
    let place = fixture.path("repository");
    let wrong = RepositoryAccess { password: "wrong".into(), ..access(&place) };
    assert_eq!(Repository::open(&wrong).unwrap_err().reason(), "KeyWrong");
    let other = RepositoryAccess { id: Some("0".repeat(64)), ..access(&place) };
    assert_eq!(Repository::open(&other).unwrap_err().reason(), "RepositoryChanged");
    assert_eq!(Repository::open(&access(&fixture.path("nothing"))).unwrap_err().reason(), "NotARepository");
}

#[test]
fn two_who_make_the_repository_at_once_open_the_same_and_leave_one_key() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("repository");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| Repository::open_or_init(&access(&place)).unwrap().id())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(fs::read_dir(place.join("keys")).unwrap().count(), 1);
        assert_eq!(Repository::open(&access(&place)).unwrap().id(), ids[0]);
    }
}

#[test]
fn fault_e16_pipes_sockets_and_links_are_stored_as_such_while_a_volume_changes_and_hold_up_nothing() {
    let fixture = Fixture::new();
    let (source, outside) = (fixture.path("source"), fixture.path("outside"));
    odd_tree(&source);
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("plain"), "secret-of-the-operator").unwrap();
    fs::create_dir_all(source.join("deep/er")).unwrap();
    fs::write(source.join("deep/er/plain"), "own").unwrap();
    symlink(&outside, source.join("swapped")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let sealed: Vec<(String, String)> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let (a, b) = (source.join("deep/er"), source.join("swapped"));
                let _ = rustix::fs::renameat_with(rustix::fs::CWD, a, rustix::fs::CWD, b, rustix::fs::RenameFlags::EXCHANGE);
            }
        });
        let sealed = (0..10).map(|number| {
            let run = format!("run-{number}");
            fixture.repository.write_folder(&spec(&run, "volumes/x"), &source, &|_| {}).unwrap();
            (seal(&fixture.repository, &run, &["volumes/x"], None).snapshot, run)
        });
        let sealed = sealed.collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        sealed
    });
    for (snapshot, run) in sealed {
        for (file, _) in fixture.repository.list_files(&snapshot, "volumes/x").unwrap() {
            // Long; and one whose name is no text.
            if file == "sparse" || file.contains(char::REPLACEMENT_CHARACTER) {
                continue;
            }
            let mut content = Vec::new();
            fixture.repository.read_file(&snapshot, &format!("volumes/x/{file}"), &mut content).unwrap();
            assert!(!content.windows(6).any(|six| six == b"secret"), "{run}: {file}");
        }
    }
}

#[test]
fn stock_restic_lists_checks_and_restores_it() {
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    let restic = Restic::new(fixture.path("repository").to_str().unwrap(), "correct horse", &[]);
    let target = fixture.path("by-restic");
    restic.lists_checks_and_restores(&sealed.snapshot, &fixture.path("source"), &target);
    assert_eq!(restic.paths(), ["/inventory.json", "/streams/db", "/volumes/attachments"]);
    assert!(
        fs::read(target.join("streams/db")).unwrap() == vec![7_u8; 9 << 20],
        "the stream is {} bytes long",
        fs::metadata(target.join("streams/db")).unwrap().len()
    );
}

#[test]
fn fault_e10_a_repository_that_stock_restic_has_made_is_opened_and_one_of_ours_takes_stock_restics_keys() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("restics");
    let restic = Restic::new(place.to_str().unwrap(), "correct horse", &[]);
    restic.run(&["init"]);
    let repository = Repository::open(&access(&place)).unwrap();
    repository.write_stream(&spec("run", "streams/db"), Box::new(io::Cursor::new(b"dump".to_vec())), &|_| {}).unwrap();
    let sealed = seal(&repository, "run", &["streams/db"], None);
    repository.verify_snapshot(&sealed.snapshot, true).unwrap();
    restic.run(&["check", "--read-data"]);

    let fixture = Fixture::new();
    let restic = Restic::new(fixture.path("repository").to_str().unwrap(), "correct horse", &[]);
    fs::write(fixture.path("new-password"), "second").unwrap();
    restic.run(&["key", "add", "--new-password-file", fixture.path("new-password").to_str().unwrap()]);
    for password in ["second", "correct horse"] {
        let access = RepositoryAccess { password: password.into(), ..access(&fixture.path("repository")) };
        assert_eq!(Repository::open(&access).unwrap().id(), fixture.repository.id(), "{password}");
    }
}

#[test]
fn fault_a1_the_parts_of_a_snapshot_are_read_from_its_own_file_alone() {
    let fixture = Fixture::new();
    fixture.repository.write_stream(&spec("other", "objects"), Box::new(io::Cursor::new(b"x".to_vec())), &|_| {}).unwrap();
    let place = fixture.path("repository");
    let unsealed = fs::read_dir(place.join("snapshots")).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let sealed = fixture.sealed();
    for (id, reason) in [(unsealed.as_str(), "Unsupported"), ("0".repeat(64).as_str(), "SnapshotMissing"), ("no id", "SnapshotMissing")] {
        let error = fixture.repository.snapshot_parts(id).unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), (reason, false), "{id}: {error}");
    }
    // Whoever plans a restore of a large repository reads neither its index nor its data.
    for folder in ["index", "data"] {
        fs::remove_dir_all(place.join(folder)).unwrap();
    }
    let repository = Repository::open(&access(&place)).unwrap();
    assert_eq!(repository.snapshot_parts(&sealed.snapshot).unwrap(), ["streams/db", "volumes/attachments"]);
    fs::write(place.join("snapshots").join(&sealed.snapshot), b"damaged").unwrap();
    assert_eq!(repository.snapshot_parts(&sealed.snapshot).unwrap_err().reason(), "Damaged");
}

#[test]
fn of_eight_who_create_a_file_exactly_one_wins_and_no_increment_of_eight_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let access = access(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).build().unwrap();
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(AsyncStore::new(&access.location, None).await.unwrap());
        }
        race_for_creation(&clients, 50).await;
        race_for_increments(&clients, 20).await;
    });
}

#[test]
fn who_has_lost_the_lease_stores_no_snapshot_and_the_next_attempt_does() {
    let fixture = Fixture::new();
    fixture.repository.write_stream(&spec("run", "streams/db"), Box::new(io::Cursor::new(b"data".to_vec())), &|_| {}).unwrap();
    let wanted = seal_spec("run", &["streams/db"], serde_json::json!({}));
    let lost = || Err(VaultError::LeaseLost { holder: "backup shinan/b".into(), what: "it was not renewed in time".into() });
    let error = fixture.repository.seal(&wanted, &lost).unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("LeaseLost", true), "{error}");
    assert_eq!(fixture.repository.snapshots().unwrap().len(), 0, "nothing is sealed");
    fixture.repository.seal(&wanted, &|| Ok(())).unwrap();
    assert_eq!(fixture.repository.snapshots().unwrap().len(), 1);
}

#[test]
fn fault_f8_a_snapshot_that_was_read_is_not_read_again_and_a_new_one_is_found() {
    let fixture = Fixture::new();
    let place = fixture.path("repository");
    let sealed = |run: &str| {
        fixture.repository.write_stream(&spec(run, "streams/db"), Box::new(io::Cursor::new(run.as_bytes().to_vec())), &|_| {}).unwrap();
        seal(&fixture.repository, run, &["streams/db"], None).snapshot
    };
    let ids = || fixture.repository.snapshots().unwrap().into_iter().map(|snapshot| snapshot.id).collect::<std::collections::BTreeSet<_>>();
    let first = sealed("run-1");
    assert_eq!(ids(), [first.clone()].into());
    // Whoever reads it again finds it damaged, and leaves it out.
    fs::write(place.join("snapshots").join(&first), b"damaged").unwrap();
    let second = sealed("run-2");
    assert_eq!(ids(), [first.clone(), second.clone()].into());
    let anew = Repository::open(&access(&place)).unwrap();
    assert_eq!(anew.snapshots().unwrap().into_iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [second]);
    fs::remove_file(place.join("snapshots").join(&first)).unwrap();
    assert_eq!(ids().len(), 1, "one that was forgotten is not kept");
    let part = spec("run-3", "streams/db");
    fixture.repository.write_stream(&part, Box::new(io::Cursor::new(b"part".to_vec())), &|_| {}).unwrap();
    assert_eq!((ids().len(), fixture.repository.forget_unsealed("run-3").unwrap(), ids().len()), (1, 1, 1), "a part is no snapshot");
    assert_eq!(
        (fixture.repository.forget_unsealed("run-2").unwrap(), ids().len()),
        (0, 1),
        "what is sealed stays, also if its backup failed for what it lacks"
    );
}

#[test]
fn fault_f8_a_repository_that_stays_open_knows_whether_it_is_still_the_same() {
    let fixture = Fixture::new();
    let place = fixture.path("repository");
    let same = || fixture.repository.is_as_opened().unwrap();
    assert!(same() && same());
    let key = fs::read_dir(place.join("keys")).unwrap().next().unwrap().unwrap().path();
    let other = place.join("keys").join("0".repeat(64));
    fs::copy(&key, &other).unwrap();
    assert!(same(), "a key that others use");
    fs::rename(&key, place.join("key")).unwrap();
    assert!(!same(), "our own key is gone");
    fs::rename(place.join("key"), &key).unwrap();
    assert!(same());
    let config = fs::read(place.join("config")).unwrap();
    fs::write(place.join("config"), b"another").unwrap();
    assert!(!same(), "another repository");
    fs::remove_file(place.join("config")).unwrap();
    assert!(!same(), "none");
    fs::write(place.join("config"), config).unwrap();
    assert!(same());
}
