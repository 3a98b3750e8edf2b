use super::*;
use crate::{
    AsyncStore, Location, PartSpec, RepositoryAccess, SealSpec,
    backend::Store,
    store::{Fault, Faults},
};
use std::{fs, io::Cursor, path::Path, sync::Arc};

fn access(place: &Path) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: place.to_owned() }, credentials: None, password: "p".into(), id: None }
}

fn always() -> MayWrite {
    Arc::new(|| Ok(()))
}

fn sealed(repository: &Repository, run: &str, district: &str, application: &str) -> String {
    let part = PartSpec { run, part: "streams/db", host: "here", parent: None };
    repository.write_stream(&part, Box::new(Cursor::new(run.as_bytes().to_vec())), &|_| {}).unwrap();
    let spec = SealSpec {
        run: run.into(),
        host: "here".into(),
        time: Timestamp::UNIX_EPOCH,
        tags: vec![format!("district={district}"), format!("backup={run}")],
        parts: vec!["streams/db".into()],
        inventory: serde_json::json!({}),
        label: application.into(),
    };
    repository.seal(&spec, &|| Ok(())).unwrap().snapshot
}

fn going(ids: &[&str]) -> Vec<Forgettable> {
    ids.iter().map(|id| Forgettable { id: (*id).into(), application: "approval".into(), why: "no place".into() }).collect()
}

fn order(snapshots: &[Forgettable]) -> ForgetOrder<'_> {
    ForgetOrder { snapshots, district: "shinan", by: "prune shinan/main", at: "2026-11-15T01:02:03Z".parse().unwrap() }
}

#[test]
fn a_forgotten_snapshot_is_recorded_before_it_goes_and_comes_back_from_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    let (gone, kept) = (sealed(&repository, "old", "shinan", "approval"), sealed(&repository, "new", "shinan", "approval"));
    let absent = "0".repeat(64);
    let snapshots = going(&[&gone, &absent]);
    let done = repository.forget_recorded(&order(&snapshots), &always(), &|_| {}).unwrap();
    assert_eq!(done, Forgotten { forgotten: 1, absent: 1, locked: 0 });
    assert_eq!(repository.snapshots().unwrap().into_iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [kept]);
    let again = repository.forget_recorded(&order(&snapshots), &always(), &|_| {}).unwrap();
    assert_eq!(again, Forgotten { forgotten: 0, absent: 2, locked: 0 });

    let record = folder.path().join(format!("{FORGOTTEN}20261115T010203Z_{gone}.json"));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    for (field, value) in [("application", "approval"), ("by", "prune shinan/main"), ("why", "no place"), ("recoveryPointTime", "1970-01-01T00:00:00Z")] {
        assert_eq!(record[field], value);
    }
    fs::write(folder.path().join("snapshots").join(&gone), base64::decode(record["file"].as_str().unwrap()).unwrap()).unwrap();
    repository.verify_snapshot(&gone, true).unwrap();
}

#[test]
fn what_others_have_stored_is_never_forgotten_whoever_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    let part = PartSpec { run: "unsealed", part: "streams/db", host: "here", parent: None };
    let unsealed = repository.write_stream(&part, Box::new(Cursor::new(b"x".to_vec())), &|_| {}).unwrap().snapshot;
    let of_others = [
        ("another district's", sealed(&repository, "a", "licang", "approval"), "it lacks the tag district=shinan"),
        ("another application's", sealed(&repository, "b", "shinan", "portal"), "it is of application portal, not approval"),
        ("a part, or stock restic's", unsealed, "no run of Platform 861 has sealed it"),
        ("no id", "../../config".into(), "this is no snapshot's id"),
    ];
    let before = fs::read_dir(folder.path().join("snapshots")).unwrap().count();
    for (case, id, what) in of_others {
        let error = repository.forget_recorded(&order(&going(&[&id])), &always(), &|_| {}).unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), ("NotOurs", false), "{case}: {error}");
        assert!(error.to_string().contains(what), "{case}: {error}");
    }
    assert_eq!(fs::read_dir(folder.path().join("snapshots")).unwrap().count(), before);
    assert!(!folder.path().join("p861/forgotten").exists());
}

#[test]
fn wherever_forgetting_dies_no_snapshot_is_gone_without_its_record_and_the_next_attempt_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<String> = {
        let repository = Repository::open_or_init(&access(folder.path())).unwrap();
        (0..3).map(|number| sealed(&repository, &format!("run-{number}"), "shinan", "approval")).collect()
    };
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let snapshots = going(&ids);
    let kept: Vec<(String, Vec<u8>)> = ids.iter().map(|id| ((*id).to_owned(), fs::read(folder.path().join("snapshots").join(id)).unwrap())).collect();
    let attempt = |faults: &Arc<Faults>| -> Result<Forgotten, VaultError> {
        let access = access(folder.path());
        let store = Store::at_without_patience(AsyncStore::faulty(folder.path(), faults.clone()), &access)?;
        Repository::open_or_init_at(store, &access)?.forget_recorded(&order(&snapshots), &always(), &|_| {})
    };
    for at in 0..24 {
        for fault in [Fault::DiesBefore, Fault::DiesAfter, Fault::Lost, Fault::AnswerLost] {
            for (id, body) in &kept {
                fs::write(folder.path().join("snapshots").join(id), body).unwrap();
            }
            let _ = fs::remove_dir_all(folder.path().join("p861/forgotten"));
            let _ = attempt(&Faults::new(at, fault, None));
            for id in &ids {
                let is_there = folder.path().join("snapshots").join(id).exists();
                let is_recorded = folder.path().join(format!("{FORGOTTEN}20261115T010203Z_{id}.json")).exists();
                assert!(is_there || is_recorded, "{fault:?} at {at}: {id}");
            }
            let done = attempt(&Faults::new(usize::MAX, Fault::Lost, None)).unwrap();
            assert_eq!(done.forgotten + done.absent, 3, "{fault:?} at {at}");
            assert_eq!(fs::read_dir(folder.path().join("snapshots")).unwrap().count(), 0, "{fault:?} at {at}");
        }
    }
}

#[test]
fn who_has_lost_the_lease_forgets_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    let id = sealed(&repository, "old", "shinan", "approval");
    let lost: MayWrite = Arc::new(|| Err(VaultError::LeaseLost { holder: "prune".into(), what: "not renewed".into() }));
    let error = repository.forget_recorded(&order(&going(&[&id])), &lost, &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "LeaseLost");
    assert_eq!(repository.snapshots().unwrap().len(), 1);
}

#[test]
fn records_go_after_their_time_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    let place = folder.path().join("p861/forgotten");
    fs::create_dir_all(&place).unwrap();
    let names = ["20261001T000000Z_aa.json", "20261114T000000Z_bb.json", "20261115T000000Z_cc.json", "notes.txt", "2026_x.json"];
    for name in names {
        fs::write(place.join(name), "{}").unwrap();
    }
    let now = "2026-11-15T12:00:00Z".parse().unwrap();
    assert_eq!(repository.drop_records(SignedDuration::from_hours(24), now, &always()).unwrap(), 2);
    let mut left: Vec<String> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["20261115T000000Z_cc.json", "2026_x.json", "notes.txt"]);
}
