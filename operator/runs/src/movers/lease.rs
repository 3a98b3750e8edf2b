//! The repository lease of a mover: shared with other movers, for as long as it works. A prune, which removes data, takes an exclusive one.

use super::work::WorkError;
use crate::repository::reason_of_vault;
use p861_vault::{AsyncStore, Lease, LeaseError, LeaseKind, Leases, VaultError};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// Time to live of a mover's lease. A mover that was killed keeps a prune waiting for this long.
const LEASE_TTL: Duration = Duration::from_mins(2);
/// How long a mover waits for the repository before its attempt fails; the next attempt waits again.
pub const LEASE_PATIENCE: Duration = Duration::from_mins(5);
/// Time between attempts to get or to renew a lease.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest pause of a mover that another has forestalled.
const MIN_PAUSE: Duration = Duration::from_millis(20);
/// How the holders begin that store backups.
const BACKUPS: &str = "Backup ";
/// Time limit for giving a lease back. One that isn't given back expires.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for which a lease certainly holds, measured as the lease itself does: by the clock that has gone further.
#[derive(Clone, Copy, Debug)]
struct Term {
    left: Duration,
    seen: Instant,
    seen_wall: SystemTime,
}

impl Term {
    fn of(lease: &Lease) -> Self {
        Self { left: lease.left(), seen: Instant::now(), seen_wall: SystemTime::now() }
    }

    fn holds(&self) -> bool {
        self.left > self.seen.elapsed().max(self.seen_wall.elapsed().unwrap_or_default())
    }
}

/// Says whether the mover's lease still holds. For code that blocks.
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    term: Arc<Mutex<Term>>,
    holder: String,
}

impl LeaseGuard {
    /// Call before each thing that must not happen without the lease.
    ///
    /// # Errors
    /// `LeaseLost`, which is transient, if the lease may have expired.
    pub fn ensure(&self) -> Result<(), VaultError> {
        if self.term.lock().holds() { Ok(()) } else { Err(self.lost("it was not renewed in time")) }
    }

    /// For tests: the process has slept through its time.
    #[cfg(test)]
    pub(super) fn expire(&self) {
        self.term.lock().left = Duration::ZERO;
    }

    fn lost(&self, why: &str) -> VaultError {
        VaultError::LeaseLost { holder: self.holder.clone(), what: why.to_owned() }
    }
}

/// How many others store backups in the repository, as far as the last look at its leases said.
#[derive(Clone, Debug, Default)]
pub struct Beside(Arc<AtomicU64>);

impl Beside {
    /// Their number.
    pub fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, holders: &[String], own: &str) {
        let others = holders.iter().filter(|holder| holder.starts_with(BACKUPS) && *holder != own).count();
        self.0.store(others as u64, Ordering::Relaxed);
    }
}

/// A mover's lease, renewed in the background.
#[derive(Debug)]
pub struct MoverLease {
    guard: LeaseGuard,
    beside: Beside,
    lost: watch::Receiver<Option<String>>,
    stop: oneshot::Sender<()>,
    renewals: JoinHandle<()>,
}

impl MoverLease {
    /// Takes a lease. A shared one costs one read and one write when nobody excludes it; `on_wait` hears who holds the repository meanwhile.
    ///
    /// # Errors
    /// `RepositoryBusy`, which is transient and names the holder, if `patience` is over; otherwise the store's error.
    pub async fn take(store: AsyncStore, kind: LeaseKind, holder: &str, patience: Duration, on_wait: impl Fn(&str)) -> Result<Self, WorkError> {
        let mut leases = Leases::new(store);
        let began = Instant::now();
        let lease = loop {
            match leases.acquire(kind, holder, LEASE_TTL).await {
                Ok(lease) => break lease,
                Err(error) if error.is_transient() && began.elapsed() + RETRY_INTERVAL < patience => {
                    on_wait(&waits(&error));
                    tokio::time::sleep(pause_after(&error)).await;
                }
                Err(error) => return Err(WorkError::stated(reason_of_vault(error.reason()), error.to_string(), !error.is_transient())),
            }
        };
        let beside = Beside::default();
        beside.note(leases.holders(), holder);
        let guard = LeaseGuard { term: Arc::new(Mutex::new(Term::of(&lease))), holder: holder.to_owned() };
        let (stop, stopped) = oneshot::channel();
        let (tell, lost) = watch::channel(None);
        let renewals = tokio::spawn(renew(leases, lease, guard.clone(), beside.clone(), tell, stopped));
        Ok(Self { guard, beside, lost, stop, renewals })
    }

    /// For code that blocks.
    pub fn guard(&self) -> LeaseGuard {
        self.guard.clone()
    }

    /// How many others store backups in the repository.
    pub fn beside(&self) -> Beside {
        self.beside.clone()
    }

    /// Ends when the lease is lost, with the error of a mover that must stop.
    pub async fn lost(&self) -> WorkError {
        let mut lost = self.lost.clone();
        let why = match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "its renewal ended".to_owned(),
        };
        self.guard.lost(&why).into()
    }

    /// Gives the lease back.
    pub async fn release(self) {
        // The task is gone only if the lease was lost.
        if self.stop.send(()).is_ok() && tokio::time::timeout(RELEASE_TIMEOUT, self.renewals).await.is_err() {
            tracing::warn!("the repository lease could not be given back in time: it expires by itself");
        }
    }
}

fn waits(error: &LeaseError) -> String {
    match error {
        LeaseError::Held { by, .. } => format!("waits until the repository is given back by {by}"),
        other => format!("waits for the repository: {other}"),
    }
}

/// Who waits for another to finish asks once a second. Movers that start at once only write over each other: a short pause of chance length parts them.
fn pause_after(error: &LeaseError) -> Duration {
    if matches!(error, LeaseError::Held { .. }) {
        return RETRY_INTERVAL;
    }
    let mut chance = [0];
    // Without random numbers they part more slowly.
    let _ = getrandom::fill(&mut chance);
    MIN_PAUSE + Duration::from_millis(chance[0].into())
}

/// Renews the lease until it is lost or to be given back.
async fn renew(
    mut leases: Leases,
    mut lease: Lease,
    LeaseGuard { term, holder }: LeaseGuard,
    beside: Beside,
    lost: watch::Sender<Option<String>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut pause = lease.renew_every();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = tokio::time::sleep(pause) => {}
        }
        let why = match leases.renew(&mut lease).await {
            Ok(()) => {
                *term.lock() = Term::of(&lease);
                beside.note(leases.holders(), &holder);
                pause = lease.renew_every();
                continue;
            }
            Err(error @ LeaseError::Lost { .. }) => Some(error.to_string()),
            Err(error) if !lease.is_held() => Some(error.to_string()),
            Err(error) => {
                tracing::warn!("the repository lease can't be renewed, and holds for {} s: {error}", lease.left().as_secs());
                None
            }
        };
        if let Some(why) = why {
            term.lock().left = Duration::ZERO;
            lost.send_replace(Some(why));
            return;
        }
        pause = RETRY_INTERVAL;
    }
    if let Err(error) = leases.release(lease).await {
        tracing::warn!("the repository lease can't be given back, and expires by itself: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::Reason;
    use p861_vault::Location;
    use std::path::Path;

    const SHORT_WAIT: Duration = Duration::from_millis(1500);

    async fn store(folder: &Path) -> AsyncStore {
        AsyncStore::new(&Location::Folder { path: folder.to_owned() }, None).await.unwrap()
    }

    #[tokio::test]
    async fn a_mover_waits_for_who_prunes_and_says_who_it_is_and_then_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let mut leases = Leases::new(store.clone());
        let prune = leases.acquire(LeaseKind::Exclusive, "prune shinan/main", LEASE_TTL).await.unwrap();
        let heard = Mutex::new(Vec::new());

        let refused =
            MoverLease::take(store.clone(), LeaseKind::Shared, "backup shinan/b, step objects", SHORT_WAIT, |text| heard.lock().push(text.to_owned()))
                .await
                .unwrap_err();
        let failed = refused.answer();
        assert!(matches!(&failed, super::super::MoverAnswer::Failed { reason, permanent: false, .. } if *reason == Reason::RepositoryBusy), "{failed:?}");
        assert!(refused.to_string().contains("prune shinan/main"), "{refused}");
        assert_eq!(heard.lock().first().map(String::as_str), Some("waits until the repository is given back by prune shinan/main"));

        let waiting =
            MoverLease::take(store.clone(), LeaseKind::Shared, "backup shinan/b, step objects", LEASE_PATIENCE, |text| heard.lock().push(text.to_owned()));
        let (taken, ()) = tokio::join!(waiting, async {
            tokio::time::sleep(SHORT_WAIT).await;
            leases.release(prune).await.unwrap();
        });
        let taken = taken.unwrap();
        assert!(heard.lock().len() >= 2);
        taken.guard().ensure().unwrap();
        let beside = leases.acquire(LeaseKind::Exclusive, "prune shinan/main", LEASE_TTL).await;
        assert!(matches!(&beside, Err(LeaseError::Held { by, .. }) if by == "backup shinan/b, step objects"), "{beside:?}");
        taken.release().await;
        leases.acquire(LeaseKind::Exclusive, "prune shinan/main", LEASE_TTL).await.unwrap();
    }

    #[tokio::test]
    async fn a_mover_that_removes_data_waits_for_those_that_write_and_then_keeps_them_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let writes = MoverLease::take(store.clone(), LeaseKind::Shared, "backup shinan/b, step objects", Duration::ZERO, |_| {}).await.unwrap();
        let refused = MoverLease::take(store.clone(), LeaseKind::Exclusive, "prune shinan/main", Duration::ZERO, |_| {}).await.unwrap_err();
        assert!(refused.to_string().contains("backup shinan/b, step objects"), "{refused}");
        writes.release().await;
        let removes = MoverLease::take(store.clone(), LeaseKind::Exclusive, "prune shinan/main", Duration::ZERO, |_| {}).await.unwrap();
        let late = MoverLease::take(store.clone(), LeaseKind::Shared, "backup shinan/c, step objects", Duration::ZERO, |_| {}).await.unwrap_err();
        assert!(late.to_string().contains("prune shinan/main"), "{late}");
        removes.release().await;
    }

    #[tokio::test]
    async fn movers_beside_each_other_wait_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let one = MoverLease::take(store.clone(), LeaseKind::Shared, "one", Duration::ZERO, |_| {}).await.unwrap();
        let two = MoverLease::take(store.clone(), LeaseKind::Shared, "two", Duration::ZERO, |text| panic!("{text}")).await.unwrap();
        two.release().await;
        one.guard().ensure().unwrap();
        one.release().await;
    }

    #[tokio::test]
    async fn a_mover_knows_how_many_others_store_backups_in_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let mut held = Vec::new();
        for (holder, others) in [("Backup shinan/a, step objects", 0), ("Restore shinan/r, step objects", 1), ("Backup shinan/b, step objects", 1)] {
            let lease = MoverLease::take(store.clone(), LeaseKind::Shared, holder, Duration::ZERO, |text| panic!("{text}")).await.unwrap();
            assert_eq!(lease.beside().number(), others, "{holder}");
            held.push(lease);
        }
        let beside = Beside::default();
        beside.note(&["Backup shinan/a, step objects".into(), "Backup shinan/b, step objects".into()], "Backup shinan/b, step objects");
        assert_eq!(beside.number(), 1, "itself is no other");
        for lease in held {
            lease.release().await;
        }
    }

    #[tokio::test]
    async fn who_has_lost_its_lease_stops() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let mut leases = Leases::new(store.clone());
        let lease = leases.acquire(LeaseKind::Shared, "mover", Duration::from_secs(4)).await.unwrap();
        let guard = LeaseGuard { term: Arc::new(Mutex::new(Term::of(&lease))), holder: "mover".into() };
        guard.ensure().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, lost) = watch::channel(None);
        let beside = Beside::default();
        let renewals = tokio::spawn(renew(leases, lease, guard.clone(), beside.clone(), tell, stopped));
        let held = MoverLease { guard: guard.clone(), beside, lost, stop, renewals };
        // Another has given it up: the record lists nobody any more.
        let record = folder.path().join("p861/leases/record.json");
        let mut stored: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
        stored["holders"] = serde_json::json!([]);
        std::fs::write(&record, stored.to_string()).unwrap();
        let error = held.lost().await;
        assert!(error.to_string().contains("the repository lease of mover was lost"), "{error}");
        assert!(matches!(error.answer(), super::super::MoverAnswer::Failed { permanent: false, .. }));
        assert!(guard.ensure().is_err(), "nothing is sealed any more");
        held.release().await;
    }

    #[test]
    fn a_term_ends_by_the_clock_that_has_gone_further() {
        let minute = Duration::from_mins(1);
        let term = |left, slept| Term { left, seen: Instant::now(), seen_wall: SystemTime::now() - slept };
        assert!(term(minute, Duration::ZERO).holds());
        assert!(!term(minute, 2 * minute).holds(), "the machine was asleep");
        assert!(!term(Duration::ZERO, Duration::ZERO).holds());
    }
}
