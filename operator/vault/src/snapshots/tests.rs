use super::*;
use crate::{Location, PartSpec, RepositoryAccess, SealSpec};
use sha2::{Digest as _, Sha256};
use std::{fs, io::Cursor, path::Path, process::Command};

fn sealed(repository: &Repository, run: &str) -> String {
    let part = PartSpec { run, part: "streams/db", host: "here", parent: None };
    repository.write_stream(&part, Box::new(Cursor::new(run.as_bytes().to_vec())), &|_| {}).unwrap();
    let spec = SealSpec {
        run: run.into(),
        host: "here".into(),
        time: Timestamp::UNIX_EPOCH,
        tags: vec!["backup=b".into()],
        parts: vec!["streams/db".into()],
        inventory: serde_json::json!({}),
        label: "a".into(),
    };
    repository.seal(&spec, &|| Ok(())).unwrap().snapshot
}

#[test]
fn fault_f8_a_mover_reads_no_snapshot_that_is_older_than_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let access = RepositoryAccess { location: Location::Folder { path: folder.path().to_owned() }, credentials: None, password: "p".into(), id: None };
    let old: Vec<String> = {
        let repository = Repository::open_or_init(&access).unwrap();
        (0..3).map(|number| sealed(&repository, &format!("old-{number}"))).collect()
    };
    // Each mover is a process of its own.
    let first = Repository::open(&access).unwrap();
    let part = PartSpec { run: "new", part: "streams/db", host: "here", parent: None };
    first.write_stream(&part, Box::new(Cursor::new(b"new".to_vec())), &|_| {}).unwrap();
    assert_eq!(first.snapshots.lock().len(), 1, "only its own part");
    let second = Repository::open(&access).unwrap();
    let snapshot = sealed(&second, "new");
    assert!(second.snapshots.lock().values().all(|read| read.tags.contains(&run_tag("new"))), "only those of its run");
    assert_eq!(sealed(&Repository::open(&access).unwrap(), "new"), snapshot, "and it finds what an attempt before has sealed");
    let all: BTreeSet<String> = second.snapshots().unwrap().into_iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(all, old.into_iter().chain([snapshot]).collect());
}

#[test]
fn a_part_is_found_although_nobody_knows_any_more_what_was_there_before_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let access = RepositoryAccess { location: Location::Folder { path: folder.path().to_owned() }, credentials: None, password: "p".into(), id: None };
    let part = PartSpec { run: "r", part: "streams/db", host: "here", parent: None };
    let repository = Repository::open_or_init(&access).unwrap();
    repository.write_stream(&part, Box::new(Cursor::new(b"data".to_vec())), &|_| {}).unwrap();
    fs::remove_dir_all(folder.path().join("p861/runs")).unwrap();
    assert!(Repository::open(&access).unwrap().part("r", "streams/db").unwrap().is_some());
}

/// Memory of this process in MiB: now, and at most so far.
fn memory() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mib = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap() >> 10;
    (mib("VmRSS:"), mib("VmHWM:"))
}

#[test]
fn fault_e10_twenty_open_repositories_with_three_thousand_snapshots_each_take_little_memory() {
    const MEASURED: &str = "P861_MEASURED_REPOSITORY";
    let access = |path: &Path| RepositoryAccess { location: Location::Folder { path: path.to_owned() }, credentials: None, password: "p".into(), id: None };
    if let Some(path) = std::env::var_os(MEASURED) {
        let before = memory().0;
        let open: Vec<Repository> = (0..20).map(|_| Repository::open(&access(Path::new(&path))).unwrap()).collect();
        assert!(open.iter().all(|repository| repository.count_snapshots().unwrap() == 3_000));
        let held: usize = open.iter().map(Repository::held_bytes).sum();
        let (after, peak) = memory();
        println!("before {before} MiB, after {after} MiB, peak {peak} MiB, held {} MiB", held >> 20);
        assert!(held < 32 << 20, "{held} bytes are said to be held");
        assert!(peak - before < 64, "from {before} to {peak} MiB");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    fs::create_dir(folder.path().join("snapshots")).unwrap();
    for number in 0..3_000 {
        let text = serde_json::json!({
            "time": "2026-11-15T08:50:03.123456789+08:00", "tree": "0".repeat(64), "hostname": "primary", "label": "approval", "username": "root", "uid": 0, "gid": 0,
            "paths": ["/inventory.json", "/objects", "/volumes/attachments", "/streams/db"],
            "tags": ["application=approval", "district=shinan", format!("backup=approval-nightly-{number}"), format!("p861-run:{number:036}"), SEALED],
            "summary": {"files_new": 0, "total_bytes_processed": 123_456_789},
        });
        let body = repository.open_key().cipher.encrypt(text.to_string().as_bytes()).unwrap();
        fs::write(folder.path().join("snapshots").join(hex::encode(Sha256::digest(&body))), body).unwrap();
    }
    // Memory is that of a process.
    let thread = std::thread::current();
    let output =
        Command::new(std::env::current_exe().unwrap()).args(["--exact", thread.name().unwrap(), "--nocapture"]).env(MEASURED, folder.path()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
