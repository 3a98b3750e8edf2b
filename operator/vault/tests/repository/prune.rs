//! Forgetting and pruning, with stock restic as the independent reader after each step.

use super::Fixture;
use crate::support::{Restic, noise::noise, seal_spec, spec};
use p861_vault::{ForgetOrder, Forgettable, MayWrite, PruneReport, PruneSpec, Repository};
use serde_json::json;
use std::{fs, io::Cursor, process::Command, sync::Arc, time::Duration};

const NO_DELAY: PruneSpec = PruneSpec { delay: Duration::ZERO, max_repack_bytes: u64::MAX, max_unused_percent: 0, keep_records: Duration::from_hours(24 * 31) };

pub fn always() -> MayWrite {
    Arc::new(|| Ok(()))
}

/// A backup of application `approval` of district `shinan` with this stream.
pub fn backup(repository: &Repository, run: &str, body: &[u8]) -> String {
    let stored = repository.write_stream(&spec(run, "streams/db"), Box::new(Cursor::new(body.to_vec())), &|_| {}).unwrap();
    let inventory = json!({"parts": {"save/a/stream/db": {"part": "streams/db", "sha256": stored.sha256}}});
    let mut spec = seal_spec(run, &["streams/db"], inventory);
    spec.tags = vec!["application=approval".into(), "district=shinan".into(), format!("backup={run}")];
    repository.seal(&spec, &|| Ok(())).unwrap().snapshot
}

pub fn forget(repository: &Repository, id: &str) {
    let snapshots = [Forgettable { id: id.into(), application: "approval".into(), why: "no place".into() }];
    let order = ForgetOrder { snapshots: &snapshots, district: "shinan", by: "prune shinan/main", at: "2026-11-15T00:00:00Z".parse().unwrap() };
    assert_eq!(repository.forget_recorded(&order, &always(), &|_| {}).unwrap().forgotten, 1);
}

pub fn prune(repository: &Repository) -> PruneReport {
    repository.prune(&NO_DELAY, &always(), &|_| {}).unwrap()
}

/// All that was marked is removed. A pack is larger than what it holds, by its head.
pub fn was_marked(removed: &PruneReport, marked: &PruneReport) {
    let (gone, marked) = (removed.removed, marked.marked);
    assert_eq!(gone.packs, marked.packs);
    assert!(gone.bytes >= marked.bytes && gone.bytes - marked.bytes < marked.bytes / 1000, "{gone:?} {marked:?}");
}

/// Data of which two backups have a part in common.
pub fn bodies() -> [Vec<u8>; 2] {
    let both = noise(1, 5 << 20);
    [[noise(2, 6 << 20), both.clone()].concat(), [both, noise(3, 300 << 10)].concat()]
}

#[test]
fn stock_restic_finds_no_error_after_each_step_and_restores_what_is_kept() {
    let fixture = Fixture::new();
    let restic = Restic::new(fixture.path("repository").to_str().unwrap(), "correct horse", &[]);
    let [first, second] = bodies();
    let (gone, kept) = (backup(&fixture.repository, "first", &first), backup(&fixture.repository, "second", &second));
    let by_restic = fixture.path("by-restic-itself");
    fs::create_dir(&by_restic).unwrap();
    fs::write(by_restic.join("file"), noise(7, 1 << 20)).unwrap();
    restic.run(&["backup", by_restic.to_str().unwrap()]);
    let mut checked = 0;
    let mut clean = |step: &str| {
        assert!(restic.run(&["check", "--read-data"]).contains("no errors were found"), "{step}");
        let target = fixture.path(&format!("target-{checked}"));
        checked += 1;
        restic.run(&["restore", &kept, "--target", target.to_str().unwrap()]);
        assert!(fs::read(target.join("streams/db")).unwrap() == second, "{step}");
        restic.run(&["restore", "latest", "--path", by_restic.to_str().unwrap(), "--target", target.to_str().unwrap()]);
        assert!(fs::read(target.join(by_restic.strip_prefix("/").unwrap()).join("file")).unwrap() == noise(7, 1 << 20), "{step}: what restic has stored");
    };
    clean("two backups, and one of restic's own");
    forget(&fixture.repository, &gone);
    clean("one is forgotten");
    let marked = prune(&fixture.repository);
    assert!(marked.marked.packs > 0 && marked.repacked_bytes > 0, "{marked:?}");
    clean("its packs are marked");
    let removed = prune(&fixture.repository);
    was_marked(&removed, &marked);
    clean("they are removed");
    assert!(prune(&fixture.repository).is_clean());
    assert_eq!(fixture.repository.snapshots().unwrap().len(), 1, "restic's snapshot is none of ours");
    clean("nothing was left to do");
}

#[test]
fn a_prune_of_stock_restic_after_one_of_ours_takes_the_marked_packs_and_nothing_else() {
    let fixture = Fixture::new();
    let restic = Restic::new(fixture.path("repository").to_str().unwrap(), "correct horse", &[]);
    let [first, second] = bodies();
    let (gone, kept) = (backup(&fixture.repository, "first", &first), backup(&fixture.repository, "second", &second));
    forget(&fixture.repository, &gone);
    prune(&fixture.repository);
    // Nobody works with the repository meanwhile.
    restic.run(&["prune"]);
    restic.run(&["check", "--read-data"]);
    let reopened = Repository::open(&super::access(&fixture.path("repository"))).unwrap();
    reopened.verify_snapshot(&kept, true).unwrap();
    assert!(prune(&reopened).is_clean() || prune(&reopened).is_clean());
    reopened.verify_snapshot(&kept, true).unwrap();
}

/// Set for a process that is to die while it prunes, before its write or removal of this number.
const DIES_AT: &str = "P861_PRUNE_DIES_AT";
const PLACE: &str = "P861_PRUNE_PLACE";

#[test]
fn a_process_that_is_killed_while_it_prunes_leaves_a_repository_in_which_stock_restic_finds_no_error() {
    if let (Ok(at), Ok(place)) = (std::env::var(DIES_AT), std::env::var(PLACE)) {
        let (at, asked): (usize, _) = (at.parse().unwrap(), std::sync::atomic::AtomicUsize::new(0));
        let dies: MayWrite = Arc::new(move || {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == at {
                std::process::abort();
            }
            Ok(())
        });
        Repository::open(&super::access(place.as_ref())).unwrap().prune(&NO_DELAY, &dies, &|_| {}).unwrap();
        return;
    }
    let [first, second] = bodies();
    for prunes_before in [0, 1] {
        for at in 1..64 {
            let fixture = Fixture::new();
            let (gone, kept) = (backup(&fixture.repository, "first", &first), backup(&fixture.repository, "second", &second));
            forget(&fixture.repository, &gone);
            for _ in 0..prunes_before {
                prune(&fixture.repository);
            }
            let thread = std::thread::current();
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", thread.name().unwrap(), "--nocapture"]).env(DIES_AT, at.to_string()).env(PLACE, fixture.path("repository"));
            let ended = child.output().unwrap().status;
            let restic = Restic::new(fixture.path("repository").to_str().unwrap(), "correct horse", &[]);
            assert!(restic.run(&["check"]).contains("no errors were found"), "{prunes_before} before, at {at}");
            fixture.repository.verify_snapshot(&kept, true).unwrap();
            let reports: Vec<PruneReport> = (0..3).map(|_| prune(&fixture.repository)).collect();
            assert!(reports[2].is_clean(), "{prunes_before} before, at {at}: {reports:?}");
            fixture.repository.verify_snapshot(&kept, true).unwrap();
            if ended.success() {
                assert!(at > 3, "it had fewer writes than that");
                break;
            }
        }
    }
}
