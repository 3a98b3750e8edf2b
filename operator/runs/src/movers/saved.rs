//! The work of a mover that saves objects: they are listed while it still waits for the keys of the repository, and while what has to be known of that is read.

use super::{
    keys, lists,
    save::{self, Saved},
    work::{Printer, WorkError, bad, blocking, client, place, saved_part, spec},
};
use crate::run_objects::RunObjects;
use p861_core::{engine::Evidence, ids::SnapshotId, runs::MoverTask};
use p861_crds::Reason;
use p861_vault::{Progress, Repository, RepositoryAccess};
use tokio::task::{JoinError, JoinHandle};

/// The part that the objects are.
const OBJECTS: &str = "objects";
/// Where objects are gathered before they are stored.
const SCRATCH_PATH: &str = "/tmp/objects";

/// Objects that are being listed.
pub(super) type Listing = JoinHandle<Result<Saved, WorkError>>;

/// Begins to list what the task saves; none if it saves no objects.
pub(super) fn listing(task: &MoverTask) -> Option<Listing> {
    let MoverTask::BackupObjects { namespaces, exclude, cluster, .. } = task.clone() else { return None };
    Some(tokio::spawn(async move {
        let (client, printer) = (client().await?, Printer::new());
        let on_progress = |progress: Progress| {
            if keys::have_come() {
                printer.print(&progress);
            }
        };
        save::save(&client, &namespaces, &cluster, &exclude, &place("P861_SCRATCH", SCRATCH_PATH), &on_progress).await
    }))
}

/// Stores what was listed.
pub(super) async fn store(
    listing: Option<Listing>,
    access: RepositoryAccess,
    run: String,
    parent: Option<SnapshotId>,
    objects: &RunObjects,
) -> Result<Evidence, WorkError> {
    let broke_off = |error: JoinError| WorkError::stated(Reason::MoverLost, format!("the mover's work broke off: {error}"), false);
    let listing = listing.ok_or_else(|| bad("the list of objects"))?;
    let saved = async { listing.await.map_err(broke_off)? };
    let of = (run.clone(), parent.clone());
    let prepared = blocking(move || {
        let repository = Repository::open(&access)?;
        let prepared = repository.prepare_part(&spec(&of.0, OBJECTS, of.1.as_ref()))?;
        Ok((repository, prepared))
    });
    let (saved, (repository, prepared)) = tokio::try_join!(saved, prepared)?;
    let result = blocking(move || {
        let (printer, folder) = (Printer::new(), place("P861_SCRATCH", SCRATCH_PATH));
        repository.write_prepared_folder(&spec(&run, OBJECTS, parent.as_ref()), prepared, &folder, &|progress| printer.print(&progress))
    });
    let (part, resources) = (saved_part(result.await?), saved.kinds.len() as u64);
    let left_out_names = lists::stored_names(objects, &saved.named).await?;
    let Saved { objects, kinds, left_out, named: _ } = saved;
    Ok(Evidence::ObjectsSaved { part, objects, resources, kinds, left_out, left_out_names })
}
