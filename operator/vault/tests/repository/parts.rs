//! What is stored of a folder or a stream, and how often it is read.

use super::*;

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
            .args(["--exact", std::thread::current().name().unwrap()])
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
    fs::set_permissions(source.join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let error = fixture.repository.write_folder(&spec("r", "volumes/x"), &source, &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "ReadErrors", "{error}");
    assert!(error.to_string().contains("secret"), "{error}");
    assert_eq!(fixture.repository.snapshots().unwrap().len(), 0);
}

#[test]
fn a_change_that_keeps_size_and_time_is_backed_up() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(&source).unwrap();
    let write = |text: &str| {
        fs::write(source.join("file"), text).unwrap();
        fs::File::open(source.join("file")).unwrap().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    };
    write("before");
    fixture.repository.write_folder(&spec("one", "volumes/x"), &source, &|_| {}).unwrap();
    let first = seal(&fixture.repository, "one", &["volumes/x"], None).snapshot;
    write("after.");
    fixture.repository.write_folder(&PartSpec { parent: Some(&first), ..spec("two", "volumes/x") }, &source, &|_| {}).unwrap();
    let second = seal(&fixture.repository, "two", &["volumes/x"], None).snapshot;
    let mut text = Vec::new();
    fixture.repository.read_file(&second, "volumes/x/file", &mut text).unwrap();
    assert_eq!(text, b"after.");
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(source.join("folder")).unwrap();
    fs::write(source.join("folder/file"), vec![1; 1_000_000]).unwrap();
    fixture.repository.write_folder(&spec("one", "volumes/x"), &source, &|_| {}).unwrap();
    let first = seal(&fixture.repository, "one", &["volumes/x"], None).snapshot;
    let read = std::sync::atomic::AtomicU64::new(0);
    let on_progress = |progress: p861_vault::Progress| read.store(progress.bytes_done, std::sync::atomic::Ordering::Relaxed);
    let stored = fixture.repository.write_folder(&PartSpec { parent: Some(&first), ..spec("two", "volumes/x") }, &source, &on_progress).unwrap();
    assert_eq!((stored.bytes, read.into_inner()), (1_000_000, 0));
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
fn fault_g_a_folder_that_is_being_filled_is_stored_as_one_that_is_whole_and_not_at_all_if_its_filling_breaks_off() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    let write = |path: &str, bytes: usize| {
        let path = source.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x".repeat(bytes)).unwrap();
    };
    let files = [("a.jsonl", 10), ("n/a.jsonl", 3_000_000), ("n/a.jsonl+000002", 20), ("n/b.jsonl", 30), ("o/deep/a.jsonl", 40)];
    fs::create_dir_all(&source).unwrap();
    let since = "2026-11-30T10:00:00Z".parse().unwrap();
    let (told, filled) = mpsc::channel();
    let stored = std::thread::scope(|scope| {
        let storing = scope.spawn(|| fixture.repository.write_growing_folder(&spec("r", "objects"), (&source, since), filled, &|_| {}));
        for (path, bytes) in files {
            write(path, bytes);
            told.send(Filled::File(path.into())).unwrap();
        }
        told.send(Filled::All).unwrap();
        storing.join().unwrap().unwrap()
    });
    assert_eq!((stored.started_at, stored.files, stored.bytes), (since, 5, 3_000_100));
    let sealed = seal(&fixture.repository, "r", &["objects"], None);
    let listed = fixture.repository.list_files(&sealed.snapshot, "objects").unwrap();
    assert_eq!(listed, files.map(|(path, bytes)| (path.to_owned(), bytes as u64)));
    // The same as of a folder that was there from the start: nothing of its content is new.
    let whole = fixture.repository.write_folder(&spec("s", "objects"), &source, &|_| {}).unwrap();
    assert_eq!((whole.files, whole.bytes), (stored.files, stored.bytes));
    assert!(whole.added < 10_000, "{}", whole.added);

    for (what, told_of, said) in [
        ("it breaks off", &["a.jsonl"][..], "was not filled to the end"),
        ("what is named is not there", &["a.jsonl", "gone.jsonl"], "gone.jsonl"),
        ("a file is named out of order", &["n/b.jsonl", "n/a.jsonl"], "out of order"),
    ] {
        let (told, filled) = mpsc::channel();
        for path in told_of {
            told.send(Filled::File(path.into())).unwrap();
        }
        if what != "it breaks off" {
            told.send(Filled::All).unwrap();
        }
        drop(told);
        let error = fixture.repository.write_growing_folder(&spec("t", "objects"), (&source, since), filled, &|_| {}).unwrap_err();
        assert!(error.reason() == "ReadErrors" && error.to_string().contains(said), "{what}: {error}");
        assert_eq!(fs::read_dir(fixture.path("repository/snapshots")).unwrap().count(), 2, "{what}");
    }
}
