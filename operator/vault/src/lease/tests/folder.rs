//! Leases in a folder, by the real clock.

use crate::{
    AsyncStore, Location,
    lease::{
        LeaseError,
        LeaseKind::{Exclusive, Shared},
        Leases, MARGIN, MAX_TTL, MIN_TTL, RECORD,
    },
};
use parking_lot::Mutex;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const TTL: Duration = Duration::from_mins(1);

fn folder(path: &Path) -> AsyncStore {
    AsyncStore::prepare(&Location::Folder { path: path.to_owned() }, None).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn in_a_folder_movers_share_prune_is_alone_and_each_is_told_by_whom() {
    let place = tempfile::tempdir().unwrap();
    block_on(async {
        let mut leases = Leases::new(folder(place.path()));
        let one = leases.acquire(Shared, "backup one", TTL).await.unwrap();
        let mut two = leases.acquire(Shared, "backup two", TTL).await.unwrap();
        let Err(LeaseError::Held { by, kind: Shared, free_in }) = leases.acquire(Exclusive, "prune", TTL).await else { panic!("both at once") };
        assert!(by.starts_with("backup") && free_in > TTL && free_in < TTL + 3 * MARGIN, "{by} {free_in:?}");
        leases.release(one).await.unwrap();
        leases.renew(&mut two).await.unwrap();
        assert!(two.is_held() && two.left() > TTL.checked_sub(MARGIN).unwrap());
        leases.release(two).await.unwrap();
        let prune = leases.acquire(Exclusive, "prune", TTL).await.unwrap();
        let error = leases.acquire(Shared, "backup three", TTL).await.unwrap_err();
        assert!(error.to_string().starts_with("the repository is leased to prune (exclusive)"), "{error}");
        assert_eq!((error.reason(), error.is_transient()), ("RepositoryBusy", true));
        leases.release(prune).await.unwrap();
        leases.acquire(Shared, "backup three", TTL).await.unwrap();
        assert_eq!(leases.acquire(Shared, "for ever", MAX_TTL * 2).await.unwrap_err().reason(), "Invalid");
    });
}

#[test]
fn a_holder_that_died_is_passed_over_after_its_time_and_its_late_renewal_fails() {
    let place = tempfile::tempdir().unwrap();
    block_on(async {
        let mut dead = Leases::new(folder(place.path()));
        let mut lease = dead.acquire(Exclusive, "prune that died", MIN_TTL).await.unwrap();
        let mut alive = Leases::new(folder(place.path()));
        assert!(matches!(alive.acquire(Shared, "backup", TTL).await, Err(LeaseError::Held { .. })));
        let began = Instant::now();
        alive.acquire_within(Duration::from_secs(10), Shared, "backup", TTL).await.unwrap();
        assert!(began.elapsed() >= MIN_TTL + MARGIN, "its own time was waited for: {:?}", began.elapsed());
        assert!(!lease.is_held());
        assert!(matches!(dead.renew(&mut lease).await, Err(LeaseError::Lost { .. })));
        dead.release(lease).await.unwrap();
    });
}

#[test]
fn many_at_once_in_a_folder_never_hold_what_excludes_another() {
    let place = tempfile::tempdir().unwrap();
    block_on(async {
        let inside = Arc::new(Mutex::new((0_u32, 0_u32)));
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (mut leases, inside) = (Leases::new(folder(place.path())), inside.clone());
            clients.spawn(async move {
                let kind = if number % 3 == 0 { Exclusive } else { Shared };
                let mut had = 0;
                for _ in 0..20 {
                    let Ok(lease) = leases.acquire(kind, &format!("client {number}"), TTL).await else { continue };
                    let count = |up: bool| {
                        let mut inside = inside.lock();
                        let which = if kind == Exclusive { &mut inside.0 } else { &mut inside.1 };
                        *which = if up { *which + 1 } else { *which - 1 };
                        assert!(inside.0 == 0 || *inside == (1, 0), "{inside:?}");
                    };
                    count(true);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    count(false);
                    leases.release(lease).await.unwrap();
                    had += 1;
                }
                had
            });
        }
        assert!(clients.join_all().await.iter().sum::<u32>() > 10);
    });
}

#[test]
fn a_record_that_cannot_be_read_is_nobodys_to_write_over() {
    let place = tempfile::tempdir().unwrap();
    block_on(async {
        let store = folder(place.path());
        for body in ["{", r#"{"version": 2, "sequence": 1, "nonce": "n", "holders": []}"#] {
            store.put(RECORD, body.as_bytes().to_vec()).await.unwrap();
            let error = Leases::new(store.clone()).acquire(Shared, "backup", TTL).await.unwrap_err();
            assert_eq!(error.reason(), "LeaseUnreadable", "{error}");
            assert_eq!(store.get(RECORD).await.unwrap(), body.as_bytes());
        }
    });
}
