use super::*;
use crate::{
    AsyncStore, Location, Repository as Opened,
    store::{Fault, Faults},
};
use std::{fs, path::Path};

fn access(place: &Path, password: &str) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: place.to_owned() }, credentials: None, password: password.into(), id: None }
}

fn with_faults(place: &Path, faults: &Arc<Faults>) -> Result<Opened, VaultError> {
    let access = access(place, "p");
    let store = Store::at_without_patience(AsyncStore::faulty(place, faults.clone()), &access)?;
    Opened::open_or_init_at(store, &access)
}

fn keys_of(place: &Path) -> Vec<String> {
    let found = fs::read_dir(place.join("keys")).map(|keys| keys.map(|key| key.unwrap().file_name().into_string().unwrap()).collect());
    found.unwrap_or_default()
}

/// A repository is there, with one key and nothing that was left behind, and all who open it get the same.
fn must_be_whole(case: &str, place: &Path) -> String {
    let opened = Opened::open_or_init(&access(place, "p")).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(keys_of(place).len(), 1, "{case}");
    assert!(!place.join(CLAIM).exists(), "{case}");
    assert_eq!(Opened::open(&access(place, "p")).unwrap().id(), opened.id(), "{case}");
    opened.id()
}

/// How many requests an initialisation makes.
fn requests() -> usize {
    let place = tempfile::tempdir().unwrap();
    let faults = Faults::new(usize::MAX, Fault::Lost, None);
    with_faults(place.path(), &faults).unwrap();
    faults.requests()
}

#[test]
fn fault_e15_wherever_an_initialisation_stops_or_loses_an_answer_the_next_one_completes_it() {
    let requests = requests();
    assert!(requests > 10);
    for at in 0..requests {
        for fault in [Fault::Lost, Fault::AnswerLost, Fault::DiesBefore, Fault::DiesAfter] {
            let case = format!("{fault:?} at {at}");
            let place = tempfile::tempdir().unwrap();
            let first = with_faults(place.path(), &Faults::new(at, fault, None)).map(|opened| opened.id());
            if let Err(error) = &first {
                assert!(error.is_transient(), "{case}: {error}");
            }
            let id = must_be_whole(&case, place.path());
            assert!(first.is_err() || first.is_ok_and(|first| first == id), "{case}");
        }
    }
}

#[test]
fn fault_e15_of_two_who_initialise_at_once_both_get_the_same_repository_whenever_the_second_comes() {
    for at in 0..requests() {
        let case = format!("another before request {at}");
        let place = tempfile::tempdir().unwrap();
        let path = place.path().to_owned();
        let other = move || drop(Opened::open_or_init(&access(&path, "p")).unwrap());
        let first = with_faults(place.path(), &Faults::new(at, Fault::Before, Some(Box::new(other)))).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(must_be_whole(&case, place.path()), first.id(), "{case}");
    }
}

#[test]
fn fault_e15_of_two_of_whom_one_dies_the_other_gets_a_repository_whenever_that_is() {
    for at in 0..requests() {
        for dies in 0..requests() {
            let case = format!("another that dies at {dies}, before request {at}");
            let place = tempfile::tempdir().unwrap();
            let path = place.path().to_owned();
            let other = move || drop(with_faults(&path, &Faults::new(dies, Fault::DiesAfter, None)));
            let first = with_faults(place.path(), &Faults::new(at, Fault::Before, Some(Box::new(other)))).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(must_be_whole(&case, place.path()), first.id(), "{case}");
        }
    }
}

#[test]
fn fault_e15_nothing_is_made_where_parts_of_a_repository_are_and_nothing_of_them_is_removed() {
    for part in ["keys/aa", "data/aa/aabb", "index/aa", "snapshots/aa", "locks/aa"] {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(part);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "left").unwrap();
        let error = Opened::open_or_init(&access(place.path(), "p")).unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), ("ConfigMissing", false), "{part}: {error}");
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("Put config back"), "{text}");
        assert_eq!(fs::read(&file).unwrap(), b"left");
        assert!(!place.path().join("config").exists() && !place.path().join(CLAIM).exists());
    }
    // What is beside a repository is none of it, and neither are folders without a file, which restic makes.
    let place = tempfile::tempdir().unwrap();
    for other in ["p861/leases/record.json", "journal/city/uid/plan.json", "reports/drill.html", "somebody-elses/file"] {
        fs::create_dir_all(place.path().join(other).parent().unwrap()).unwrap();
        fs::write(place.path().join(other), "{}").unwrap();
    }
    fs::create_dir_all(place.path().join("data/00")).unwrap();
    must_be_whole("other objects", place.path());
}

#[test]
fn fault_e15_a_repository_that_lost_its_config_is_left_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    Opened::open_or_init(&access(place.path(), "p")).unwrap();
    let (config, keys) = (fs::read(place.path().join("config")).unwrap(), keys_of(place.path()));
    fs::remove_file(place.path().join("config")).unwrap();
    for password in ["p", "another"] {
        assert_eq!(Opened::open_or_init(&access(place.path(), password)).unwrap_err().reason(), "ConfigMissing");
        assert_eq!(Opened::open(&access(place.path(), password)).unwrap_err().reason(), "NotARepository");
    }
    assert_eq!(keys_of(place.path()), keys);
    fs::write(place.path().join("config"), config).unwrap();
    must_be_whole("config was put back", place.path());
}

#[test]
fn fault_e15_one_that_was_begun_with_another_password_is_not_completed_with_ours() {
    let place = tempfile::tempdir().unwrap();
    let (begun, _) = Claim::draft("another").unwrap();
    fs::create_dir_all(place.path().join("p861")).unwrap();
    for body in [begun.to_bytes().unwrap(), b"garbage".to_vec()] {
        fs::write(place.path().join(CLAIM), &body).unwrap();
        let error = Opened::open_or_init(&access(place.path(), "p")).unwrap_err();
        assert_eq!(error.reason(), "KeyWrong", "{error}");
        assert!(error.to_string().contains(CLAIM), "{error}");
        assert_eq!(fs::read(place.path().join(CLAIM)).unwrap(), body);
        assert_eq!(keys_of(place.path()), Vec::<String>::new());
    }
    // Left behind beside a repository, it says nothing.
    fs::remove_file(place.path().join(CLAIM)).unwrap();
    Opened::open_or_init(&access(place.path(), "p")).unwrap();
    fs::write(place.path().join(CLAIM), begun.to_bytes().unwrap()).unwrap();
    Opened::open_or_init(&access(place.path(), "p")).unwrap();
}

#[test]
fn fault_e15_a_program_that_knows_no_claims_may_be_faster_and_our_own_key_alone_is_removed() {
    // It writes its key, and then its config, before any of our requests.
    let theirs = tempfile::tempdir().unwrap();
    let made = Opened::open_or_init(&access(theirs.path(), "p")).unwrap();
    let key = keys_of(theirs.path()).remove(0);
    let mut found = 0;
    for at in 0..requests() {
        let place = tempfile::tempdir().unwrap();
        let (from, to, name) = (theirs.path().to_owned(), place.path().to_owned(), key.clone());
        let other = move || {
            if to.join("config").exists() {
                return;
            }
            fs::create_dir_all(to.join("keys")).unwrap();
            for file in [format!("keys/{name}"), "config".into()] {
                fs::copy(from.join(&file), to.join(&file)).unwrap();
            }
        };
        let opened = with_faults(place.path(), &Faults::new(at, Fault::Before, Some(Box::new(other)))).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(must_be_whole(&format!("before request {at}"), place.path()), opened.id(), "{at}");
        found += usize::from(opened.id() == made.id());
    }
    assert!(found > 10, "theirs was found {found} times");
}
