//! What leaves a repository: snapshots, each with a record, and what no snapshot needs. The mover holds the exclusive lease, and makes sure of that before each write.

use super::{
    lease::LeaseGuard,
    work::{Printer, WorkError, blocking},
};
use jiff::{SignedDuration, Timestamp};
use p861_core::{
    engine::{Evidence, PackSum, PrunedPacks},
    runs::SnapshotToForget,
};
use p861_crds::Reason;
use p861_vault::{ForgetOrder, Forgettable, MayWrite, Packs, PruneReport, PruneSpec, Repository, RepositoryAccess};
use std::{sync::Arc, time::Duration};

/// How long the records of forgotten snapshots stay. What they could bring back is gone a day or two after; they still say who let what go, and why.
const RECORDS_KEPT_FOR: Duration = Duration::from_hours(90 * 24);
/// So much of what is stored may be unneeded before packs that are needed in part are written anew, in percent: as stock restic has it.
const MAX_UNUSED_PERCENT: u8 = 5;

/// Asks before each write whether the lease still holds.
fn may_write(lease: LeaseGuard) -> MayWrite {
    Arc::new(move || lease.ensure())
}

/// Forgets snapshots of a district. `holder` is the run, for people.
pub(super) async fn forget(
    access: RepositoryAccess,
    (district, at): (String, Timestamp),
    snapshots: Vec<SnapshotToForget>,
    holder: String,
    lease: LeaseGuard,
) -> Result<Evidence, WorkError> {
    let snapshots: Vec<Forgettable> = snapshots
        .into_iter()
        .map(|SnapshotToForget { snapshot, application, backup: _, why }| Forgettable { id: snapshot.to_string(), application, why })
        .collect();
    let forgotten = blocking(move || {
        let (repository, printer) = (Repository::open(&access)?, Printer::new());
        let order = ForgetOrder { snapshots: &snapshots, district: &district, by: &holder, at };
        repository.forget_recorded(&order, &may_write(lease), &|progress| printer.print(&progress))
    });
    let forgotten = forgotten.await?;
    Ok(Evidence::SnapshotsForgotten { forgotten: forgotten.forgotten, absent: forgotten.absent, locked: forgotten.locked })
}

/// Prunes once.
pub(super) async fn prune(access: RepositoryAccess, delay: SignedDuration, max_repack_bytes: u64, lease: LeaseGuard) -> Result<Evidence, WorkError> {
    let delay = Duration::try_from(delay).map_err(|_| WorkError::stated(Reason::MoverMisused, "the delay of a prune is negative", true))?;
    let spec = PruneSpec { delay, max_repack_bytes, max_unused_percent: MAX_UNUSED_PERCENT, keep_records: RECORDS_KEPT_FOR };
    let report = blocking(move || {
        let (repository, printer) = (Repository::open(&access)?, Printer::new());
        repository.prune(&spec, &may_write(lease), &|progress| printer.print(&progress))
    });
    Ok(Evidence::Pruned(pruned(&report.await?)))
}

fn pruned(report: &PruneReport) -> PrunedPacks {
    let sum = |packs: Packs| PackSum { packs: packs.packs, bytes: packs.bytes };
    PrunedPacks {
        marked: sum(report.marked),
        waiting: sum(report.waiting),
        removed: sum(report.removed),
        hidden: sum(report.hidden),
        locked: sum(report.locked),
        locked_until: report.locked_until,
        recovered: report.recovered,
        repacked_bytes: report.repacked_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MoverAnswer, lease::MoverLease},
        *,
    };
    use p861_vault::{AsyncStore, LeaseKind, Leases, Location, PartSpec, SealSpec};
    use serde_json::json;
    use std::path::Path;

    const LIMIT: u64 = 1 << 30;

    fn access(folder: &Path) -> RepositoryAccess {
        let location = Location::Folder { path: folder.to_owned() };
        RepositoryAccess { location, credentials: None, password: "the password of a test".into(), id: None }
    }

    /// Seals a snapshot of one stream. Returns its id.
    fn sealed(repository: &Repository, application: &str, content: &str) -> String {
        let run = format!("run-of-{content}");
        let part = PartSpec { run: &run, part: "streams/db", host: "home", parent: None };
        repository.write_stream(&part, Box::new(std::io::Cursor::new(content.to_owned())), &|_| {}).unwrap();
        let spec = SealSpec {
            run: run.clone(),
            host: "home".into(),
            time: Timestamp::now(),
            tags: vec!["district=shinan".into(), format!("application={application}")],
            parts: vec!["streams/db".into()],
            inventory: json!({"application": application}),
            label: application.into(),
        };
        repository.seal(&spec, &|| Ok(())).unwrap().snapshot
    }

    async fn lease(folder: &Path) -> MoverLease {
        let store = AsyncStore::new(&access(folder).location, None).await.unwrap();
        MoverLease::take(store, LeaseKind::Exclusive, "prune shinan/main", Duration::ZERO, |_| {}).await.unwrap()
    }

    fn order(snapshot: &str, application: &str) -> Vec<SnapshotToForget> {
        vec![SnapshotToForget { snapshot: snapshot.into(), application: application.into(), backup: None, why: "a test".into() }]
    }

    #[tokio::test]
    async fn a_mover_forgets_and_prunes_under_its_lease_and_says_what_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let (old, new) = tokio::task::spawn_blocking(move || {
            let repository = Repository::open_or_init(&access(&path)).unwrap();
            (sealed(&repository, "portal", "old"), sealed(&repository, "portal", "new"))
        })
        .await
        .unwrap();
        let lease = lease(folder.path()).await;
        let of = ("shinan".to_owned(), Timestamp::now());
        let done = forget(access(folder.path()), of.clone(), order(&old, "portal"), "a test".into(), lease.guard()).await.unwrap();
        assert_eq!(done, Evidence::SnapshotsForgotten { forgotten: 1, absent: 0, locked: 0 });
        let again = forget(access(folder.path()), of.clone(), order(&old, "portal"), "a test".into(), lease.guard()).await.unwrap();
        assert_eq!(again, Evidence::SnapshotsForgotten { forgotten: 0, absent: 1, locked: 0 });
        let of_another = forget(access(folder.path()), of, order(&new, "approval"), "a test".into(), lease.guard()).await.unwrap_err();
        assert!(matches!(of_another.answer(), MoverAnswer::Failed { reason: Reason::NotOurs, permanent: true, .. }), "{of_another}");

        let Evidence::Pruned(first) = prune(access(folder.path()), SignedDuration::ZERO, LIMIT, lease.guard()).await.unwrap() else { panic!("no prune") };
        assert!(first.marked.packs > 0 && first.removed.packs == 0, "{first:?}");
        let Evidence::Pruned(second) = prune(access(folder.path()), SignedDuration::ZERO, LIMIT, lease.guard()).await.unwrap() else { panic!("no prune") };
        assert_eq!((second.removed.packs, second.marked), (first.marked.packs, PackSum::default()));
        assert!(second.removed.bytes >= first.marked.bytes, "{second:?}: files have heads");
        lease.release().await;
    }

    #[tokio::test]
    async fn whoever_has_lost_its_lease_removes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let snapshot = tokio::task::spawn_blocking(move || sealed(&Repository::open_or_init(&access(&path)).unwrap(), "portal", "one")).await.unwrap();
        let lease = lease(folder.path()).await;
        let guard = lease.guard();
        lease.release().await;
        // Another has the repository: this process slept through its time.
        let store = AsyncStore::new(&access(folder.path()).location, None).await.unwrap();
        Leases::new(store).acquire(LeaseKind::Exclusive, "another hub", Duration::from_mins(2)).await.unwrap();
        guard.expire();
        let lost = forget(access(folder.path()), ("shinan".into(), Timestamp::now()), order(&snapshot, "portal"), "a test".into(), guard.clone()).await;
        let lost = lost.unwrap_err();
        assert!(matches!(lost.answer(), MoverAnswer::Failed { reason: Reason::LeaseLost, permanent: false, .. }), "{lost}");
        assert!(folder.path().join("snapshots").join(&snapshot).is_file());
        let lost = prune(access(folder.path()), SignedDuration::ZERO, LIMIT, guard).await.unwrap_err();
        assert!(matches!(lost.answer(), MoverAnswer::Failed { permanent: false, .. }), "{lost}");
    }
}
