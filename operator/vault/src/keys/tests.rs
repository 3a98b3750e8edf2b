use super::*;
use crate::{Location, Repository, RepositoryAccess};
use std::{cell::Cell, fs, path::Path};

thread_local! {
    /// Keys that this thread has derived.
    pub(super) static DERIVED: Cell<u64> = const { Cell::new(0) };
}

fn derived() -> u64 {
    DERIVED.with(Cell::get)
}

fn access(place: &Path) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: place.to_owned() }, credentials: None, password: "correct horse".into(), id: None }
}

/// Writes a key file under its digest, and gives its key in the store.
fn put(place: &Path, body: &[u8]) -> String {
    let name = name(&digest(body));
    fs::write(place.join(&name), body).unwrap();
    name
}

fn key_file(n: u64, r: u64, p: u64) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({"kdf": "scrypt", "N": n, "r": r, "p": p, "salt": "AAAA", "data": "AAAA"})).unwrap()
}

#[test]
fn fault_e10_a_key_is_derived_once_in_a_process_however_often_a_repository_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let access = access(folder.path());
    let before = derived();
    let made = Repository::open_or_init(&access).unwrap();
    let (makes, opens) = (derived() - before, derived());
    assert_eq!(makes, 1);
    for _ in 0..3 {
        assert_eq!(Repository::open(&access).unwrap().id(), made.id());
        assert_eq!(Repository::open_or_init(&access).unwrap().id(), made.id());
    }
    assert_eq!(derived(), opens, "it is known");
    // Others' keys make nobody derive ours again, however often they come and go.
    let other = put(folder.path(), &key_file(1 << 17, 8, 1));
    assert!(made.is_as_opened().unwrap());
    assert_eq!((Repository::open(&access).unwrap().id(), derived()), (made.id(), opens));
    fs::remove_file(folder.path().join(other)).unwrap();
    // Without its key file, whoever has no memory of the key can't open it: neither do we.
    let own = fs::read_dir(folder.path().join("keys")).unwrap().next().unwrap().unwrap().path();
    fs::rename(&own, folder.path().join("own")).unwrap();
    assert!(!made.is_as_opened().unwrap());
    assert_eq!(Repository::open(&access).unwrap_err().reason(), "Damaged");
    fs::rename(folder.path().join("own"), &own).unwrap();
    for _ in 0..3 {
        assert_eq!(Repository::open(&RepositoryAccess { password: "wrong".into(), ..access.clone() }).unwrap_err().reason(), "KeyWrong");
        assert_eq!(derived(), opens + 1, "it is known to be wrong");
    }
}

#[test]
fn fault_g2_a_key_that_one_process_has_derived_opens_the_repository_in_another_and_a_foreign_one_does_not() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (access, other) = (access(folder.path()), access(elsewhere.path()));
    assert!(super::derived(&access).is_none(), "nothing was opened yet");
    let made = [Repository::open_or_init(&access).unwrap(), Repository::open_or_init(&other).unwrap()];
    let key = super::derived(&access).unwrap();
    assert!(!format!("{key:?}").contains("encrypt"), "it is not printed");
    let told = serde_json::to_string(&key).unwrap();
    let key: DerivedKey = serde_json::from_str(&told).unwrap();
    let opens = derived();
    // With another password the key is known only because it was taken over.
    let unknown = |access: &RepositoryAccess, password: &str| RepositoryAccess { password: password.into(), ..access.clone() };
    assert!(super::derived(&unknown(&access, "told")).is_none());
    take_over(&unknown(&access, "told"), &key);
    assert_eq!((Repository::open(&unknown(&access, "told")).unwrap().id(), derived()), (made[0].id(), opens));
    // That of another repository opens nothing here, under whatever name it comes.
    let own = super::derived(&other).unwrap();
    take_over(&unknown(&other, "foreign"), &DerivedKey { file: own.file, master: key.master.clone() });
    assert_eq!(Repository::open(&unknown(&other, "foreign")).unwrap_err().reason(), "Damaged", "a key file that this key opens, but no config");
    take_over(&other, &DerivedKey { file: "keys/none".into(), ..key });
    assert_eq!(Repository::open(&other).unwrap().id(), made[1].id());
}

#[test]
fn fault_e10_who_presents_new_keys_again_and_again_waits_and_is_told_until_when() {
    let folder = tempfile::tempdir().unwrap();
    let access = access(folder.path());
    let made = Repository::open_or_init(&access).unwrap();
    let with = |password: &str| Repository::open(&RepositoryAccess { password: password.into(), ..access.clone() });
    let before = derived();
    assert!(with("one").unwrap_err().to_string().contains("opens none of its keys"));
    for password in ["two", "three"] {
        let error = with(password).unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), ("KeyWrong", false));
        assert!(error.to_string().contains("the new ones are tried at 20"), "{error}");
    }
    put(folder.path(), &key_file(16, 8, 1));
    assert!(matches!(with("one").unwrap_err(), VaultError::KeyWaits { .. }), "a new key file");
    assert_eq!(derived(), before + 1);
    assert_eq!(with("correct horse").unwrap().id(), made.id(), "what is known needs no wait");
    assert!(matches!(with("four").unwrap_err(), VaultError::KeyWaits { .. }), "and ends none");
    assert_eq!(derived(), before + 1);
}

#[test]
fn fault_e10_a_hostile_key_file_is_refused_without_deriving_anything_and_is_no_obstacle_beside_a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let access = access(folder.path());
    let made = Repository::open_or_init(&access).unwrap();
    let hostile = put(folder.path(), &key_file(1 << 24, 64, 1));
    put(folder.path(), &vec![b' '; 100_000]);
    let other_password = RepositoryAccess { password: "other".into(), ..access.clone() };
    let before = derived();
    let error = Repository::open(&other_password).unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("KeyRefused", false), "{error}");
    assert_eq!(derived(), before + 1, "only the good one was tried");
    let own = fs::read_dir(folder.path().join("keys")).unwrap().map(|entry| entry.unwrap().path());
    let own = own.into_iter().find(|path| fs::metadata(path).unwrap().len() < 1_000 && !path.ends_with(&hostile[5..])).unwrap();
    fs::remove_file(own).unwrap();
    let error = Repository::open(&access).unwrap_err();
    assert_eq!(error.reason(), "KeyRefused", "{error}");
    let text = error.to_string();
    assert!(
        text.contains("restic key add") && (text.contains(&hostile) && text.contains("131072 MiB of memory") || text.contains("larger than 16 KiB")),
        "{text}"
    );
    assert_eq!((derived(), made.is_as_opened().unwrap()), (before + 1, false));
}

#[test]
fn fault_e10_few_of_many_key_files_are_tried_and_those_that_cost_least_first() {
    let folder = tempfile::tempdir().unwrap();
    let access = access(folder.path());
    Repository::open_or_init(&access).unwrap();
    let wrong = RepositoryAccess { password: "wrong".into(), ..access.clone() };
    for number in 0..30 {
        let mut body = key_file(16, 8, 1);
        body.extend(vec![b' '; number]);
        put(folder.path(), &body);
    }
    let before = derived();
    let error = Repository::open(&wrong).unwrap_err();
    assert_eq!(error.reason(), "KeyWrong");
    assert!(error.to_string().contains("20 of its 31 key files were tried"), "{error}");
    assert_eq!(derived() - before, 20);

    let other = tempfile::tempdir().unwrap();
    let access = RepositoryAccess { location: Location::Folder { path: other.path().to_owned() }, ..access };
    let made = Repository::open_or_init(&access).unwrap();
    put(other.path(), &make(&made.open_key().master, "second").unwrap());
    for number in 0..10 {
        let mut body = key_file(1 << 17, 8, 8);
        body.extend(vec![b' '; number]);
        put(other.path(), &body);
    }
    let before = derived();
    let opened = Repository::open(&RepositoryAccess { password: "second".into(), ..access }).unwrap();
    assert_eq!(opened.id(), made.id());
    assert!((1..=2).contains(&(derived() - before)), "ten others ask for a gigabyte of work each");
}

#[test]
fn fault_e10_one_key_is_derived_at_a_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                alone(|| {
                    assert_eq!(AT_ONCE.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::sleep(Duration::from_millis(20));
                    AT_ONCE.fetch_sub(1, Ordering::SeqCst);
                });
            });
        }
    });
}

#[test]
fn fault_e10_a_config_that_unpacks_to_gigabytes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let access = access(folder.path());
    let made = Repository::open_or_init(&access).unwrap();
    let bomb = [vec![2], zstd::encode_all(&vec![b' '; 256 << 20][..], 3).unwrap()].concat();
    assert!(bomb.len() < 64 << 10);
    let key = made.open_key();
    fs::write(folder.path().join("config"), key.cipher.encrypt(&bomb).unwrap()).unwrap();
    let error = Repository::open(&access).unwrap_err();
    assert_eq!(error.reason(), "Damaged", "{error}");
    assert!(error.to_string().contains("it unpacks to more than 64 KiB"), "{error}");
}

#[test]
fn fault_e10_a_snapshot_that_unpacks_to_gigabytes_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    let bomb = [vec![2], zstd::encode_all(&[&b"{\"x\":\""[..], &vec![b' '; 256 << 20]].concat()[..], 3).unwrap()].concat();
    let body = repository.open_key().cipher.encrypt(&bomb).unwrap();
    let id = hex::encode(Sha256::digest(&body));
    fs::create_dir_all(folder.path().join("snapshots")).unwrap();
    fs::write(folder.path().join("snapshots").join(&id), body).unwrap();
    for error in [repository.snapshots().map(drop).unwrap_err(), repository.snapshot_parts(&id).map(drop).unwrap_err()] {
        assert_eq!((error.reason(), error.is_transient()), ("TooLarge", false), "{error}");
        assert!(error.to_string().contains(&format!("snapshots/{id}: it unpacks to more than 2 MiB")), "{error}");
    }
}
