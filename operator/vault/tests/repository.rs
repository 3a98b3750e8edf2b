//! What the repository promises, on a folder, with stock restic as the independent reader.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use p861_vault::{Location, PartSpec, Repository, RepositoryAccess, SealSpec, Sealed};
use serde_json::json;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{self, Read, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

fn access(path: &Path) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: path.to_owned() }, credentials: None, password: "correct horse".into(), id: None }
}

fn spec<'a>(run: &'a str, part: &'a str) -> PartSpec<'a> {
    PartSpec { run, part, host: "primary", parent: None }
}

fn seal(repository: &Repository, run: &str, parts: &[&str], sha256: Option<&str>) -> Sealed {
    let inventory = json!({"parts": {"stream/db": {"part": "streams/db", "sha256": sha256}}});
    repository
        .seal(&SealSpec {
            run: run.into(),
            host: "primary".into(),
            time: "2026-11-15T00:50:03Z".parse().unwrap(),
            tags: vec!["application=approval".into()],
            parts: parts.iter().map(ToString::to_string).collect(),
            inventory,
            label: "approval".into(),
        })
        .unwrap()
}

/// A tree with everything that file systems can hold and backups like to lose.
fn odd_tree(root: &Path) {
    fs::create_dir_all(root.join("empty folder/deeper")).unwrap();
    fs::write(root.join("plain"), b"hello").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-utf8-\xff\xfe")), b"bytes").unwrap();
    fs::write(root.join("中文文件.txt"), "市南区").unwrap();
    fs::write(root.join("private"), b"0600").unwrap();
    fs::set_permissions(root.join("private"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(root.join("set-uid"), b"4755").unwrap();
    fs::set_permissions(root.join("set-uid"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(root.join("plain"), root.join("hard-link")).unwrap();
    symlink("plain", root.join("symlink")).unwrap();
    symlink("/nowhere/at/all", root.join("dangling")).unwrap();
    let mut sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.write_all(b"begin").unwrap();
    sparse.set_len(64 << 20).unwrap();
    xattr::set(root.join("plain"), "user.p861", b"attribute").unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(root.join("private"), Some(1234), Some(5678)).unwrap();
        std::os::unix::fs::chown(root, Some(999), Some(999)).unwrap();
        fs::set_permissions(root, fs::Permissions::from_mode(0o750)).unwrap();
    }
    fs::File::open(root.join("中文文件.txt")).unwrap().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
}

/// Everything about a tree that must come back, by path.
fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, String>) {
        let meta = fs::symlink_metadata(path).unwrap();
        let content = if meta.is_file() { format!("{:x?}", fs::read(path).unwrap().iter().fold(0_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(*b)))) } else { fs::read_link(path).map(|l| l.display().to_string()).unwrap_or_default() };
        let attributes: Vec<_> = xattr::list(path).map(Iterator::collect).unwrap_or_default();
        let time = if meta.is_symlink() { 0 } else { meta.mtime() };
        found.insert(path.strip_prefix(root).unwrap().to_owned(), format!("{:o} {}:{} {time} {content} {attributes:?} {}", meta.mode(), meta.uid(), meta.gid(), if meta.is_dir() { 0 } else { meta.nlink() }));
        if meta.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(root, &entry.unwrap().path(), found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
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
    fixture.repository.restore_folder(&sealed.snapshot, "volumes/attachments", &target, &[], &|_| {}).unwrap();
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
    fixture.repository.restore_folder(&sealed.snapshot, "volumes/attachments", &target, &[], &|_| {}).unwrap();
    fs::remove_file(target.join("private")).unwrap();
    fs::write(target.join("plain"), b"he").unwrap();
    fs::write(target.join("not of the backup"), b"stays").unwrap();
    fixture.repository.restore_folder(&sealed.snapshot, "volumes/attachments", &target, &[], &|_| {}).unwrap();
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
    let result = fixture.repository.restore_folder(&sealed.snapshot, "volumes/site", &target, &["/news/2026".into()], &|_| {}).unwrap();
    assert_eq!(result.files, 1);
    assert_eq!(fs::read(target.join("news/2026/a")).unwrap(), b"a");
    assert!(!target.join("other").exists());
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
fn a_part_that_was_stored_is_not_stored_again() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("a"), "first").unwrap();
    let first = fixture.repository.write_folder(&spec("r", "volumes/x"), &source, &|_| {}).unwrap();
    fs::write(source.join("a"), "second").unwrap();
    let again = fixture.repository.write_folder(&spec("r", "volumes/x"), &source, &|_| {}).unwrap();
    assert_eq!(first, again, "a mover that is started again answers what its predecessor stored");
}

#[test]
fn a_stream_is_read_anew_each_time_and_its_digest_is_checked() {
    let fixture = Fixture::new();
    for (run, byte) in [("one", 1_u8), ("two", 2)] {
        let stored = fixture.repository.write_stream(&spec(run, "streams/db"), Box::new(io::Cursor::new(vec![byte; 100_000])), &|_| {}).unwrap();
        let sealed = seal(&fixture.repository, run, &["streams/db"], stored.sha256.as_deref());
        let mut out = Vec::new();
        let result = fixture.repository.stream_out(&sealed.snapshot, "streams/db", &mut out, &|_| {}).unwrap();
        assert!(out == vec![byte; 100_000]);
        assert_eq!(Some(result.sha256), stored.sha256);
    }
    let stored = fixture.repository.write_stream(&spec("three", "streams/db"), Box::new(io::Cursor::new(vec![3_u8; 1000])), &|_| {}).unwrap();
    let sealed = seal(&fixture.repository, "three", &["streams/db"], Some(&"0".repeat(64)));
    let error = fixture.repository.stream_out(&sealed.snapshot, "streams/db", &mut Vec::new(), &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "Damaged", "{error}");
    assert!(stored.sha256.is_some());
}

#[test]
fn a_stream_that_breaks_off_is_not_stored() {
    struct Breaks(usize);
    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("pg_dump exited with 1"));
            }
            let n = buffer.len().min(self.0);
            self.0 -= n;
            Ok(n)
        }
    }
    let fixture = Fixture::new();
    let error = fixture.repository.write_stream(&spec("r", "streams/db"), Box::new(Breaks(5_000_000)), &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "ReadErrors", "{error}");
    assert!(error.to_string().contains("pg_dump exited with 1"), "{error}");
    assert_eq!(fs::read_dir(fixture.path("repository/snapshots")).unwrap().count(), 0);
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

fn packs(repository: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(repository.join("data")).unwrap() {
        found.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    found
}

#[test]
fn a_missing_or_cut_pack_is_named_and_another_snapshot_stays_sound() {
    let fixture = Fixture::new();
    let place = fixture.path("repository");
    let write = |run: &str, byte: u8| {
        fixture.repository.write_stream(&spec(run, "streams/db"), Box::new(io::Cursor::new(vec![byte; 200_000])), &|_| {}).unwrap();
        seal(&fixture.repository, run, &["streams/db"], None).snapshot
    };
    let old = write("old", 1);
    let before = packs(&place);
    let new = write("new", 2);
    fixture.repository.verify_snapshot(&new, true).unwrap();
    let of_new: Vec<PathBuf> = packs(&place).into_iter().filter(|pack| !before.contains(pack)).collect();
    for pack in of_new {
        let body = fs::read(&pack).unwrap();
        let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
        for damage in ["missing", "cut", "changed"] {
            match damage {
                "missing" => fs::remove_file(&pack).unwrap(),
                "cut" => fs::write(&pack, &body[..10]).unwrap(),
                _ => fs::write(&pack, body.iter().map(|b| b ^ 1).collect::<Vec<_>>()).unwrap(),
            }
            let result = fixture.repository.verify_snapshot(&new, true);
            // Packs of parts that were merged away hurt nobody.
            if let Err(error) = &result {
                assert_eq!(error.reason(), "Damaged", "{damage}: {error}");
                assert!(error.to_string().contains(&name), "{damage}: {error}");
            }
            fs::write(&pack, &body).unwrap();
        }
    }
    let data = packs(&place).into_iter().filter(|pack| !before.contains(pack)).max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    fs::remove_file(&data).unwrap();
    assert_eq!(fixture.repository.verify_snapshot(&new, false).unwrap_err().reason(), "Damaged");
    fixture.repository.verify_snapshot(&old, true).unwrap();
}

#[test]
fn an_unreadable_file_fails_the_part_and_is_named() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything, so this test is run again as nobody, from a copy that nobody can reach.
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = folder.path().join("tests");
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&copy)
            .args(["--exact", "an_unreadable_file_fails_the_part_and_is_named"])
            .current_dir("/")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("secret"), "x").unwrap();
    fs::set_permissions(source.join("secret"), fs::Permissions::from_mode(0)).unwrap();
    let error = fixture.repository.write_folder(&spec("r", "volumes/x"), &source, &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "ReadErrors", "{error}");
    assert!(error.to_string().contains("secret"), "{error}");
    assert_eq!(fixture.repository.snapshots().unwrap().len(), 0);
}

#[test]
fn unchanged_files_add_nothing_to_the_repository() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(&source).unwrap();
    let noise: Vec<u8> = (0_u64..4_000_000).map(|i| u8::try_from((i.wrapping_mul(6_364_136_223_846_793_005) >> 33) & 0xff).unwrap()).collect();
    fs::write(source.join("big"), &noise).unwrap();
    fixture.repository.write_folder(&spec("one", "volumes/x"), &source, &|_| {}).unwrap();
    let first = seal(&fixture.repository, "one", &["volumes/x"], None).snapshot;
    let again = fixture.repository.write_folder(&PartSpec { parent: Some(&first), ..spec("two", "volumes/x") }, &source, &|_| {}).unwrap();
    assert!(again.added < 10_000, "added {}", again.added);
    assert_eq!(again.bytes, 4_000_000);
}

#[test]
fn stock_restic_lists_checks_and_restores_it() {
    let Ok(version) = Command::new("restic").arg("version").output() else {
        println!("restic is not installed: skipped");
        return;
    };
    assert!(version.status.success());
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    let run = |arguments: &[&str]| {
        let output = Command::new("restic").args(arguments).arg("--no-cache").env("RESTIC_PASSWORD", "correct horse").env("RESTIC_REPOSITORY", fixture.path("repository")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run(&["snapshots"]).contains(&sealed.snapshot[..8]));
    run(&["check", "--read-data"]);
    let target = fixture.path("by-restic");
    run(&["restore", &sealed.snapshot, "--target", target.to_str().unwrap()]);
    assert!(fs::read(target.join("streams/db")).unwrap() == vec![7_u8; 9 << 20], "the stream is {} bytes long", fs::metadata(target.join("streams/db")).unwrap().len());
    let restored = describe(&target.join("volumes/attachments"));
    let mut source = describe(&fixture.path("source"));
    // restic 0.14 restores names of bytes and attributes as we stored them; only the access to the folder's own time differs.
    assert_eq!(restored.keys().collect::<Vec<_>>(), source.keys().collect::<Vec<_>>());
    source.remove(Path::new(""));
    for (path, expected) in source {
        assert_eq!(restored.get(&path), Some(&expected), "{}", path.display());
    }
}
