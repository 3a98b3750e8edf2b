//! The work of a mover that saves objects: they are listed while it still waits for the keys of the repository, and while what has to be known of that is read.

use super::{
    keys, lists,
    save::{self, Saved},
    work::{Printer, WorkError, blocking, broke_off, client, place, saved_part, spec},
};
use crate::run_objects::RunObjects;
use jiff::Timestamp;
use p861_core::{engine::Evidence, ids::SnapshotId};
use p861_crds::platform::application::{ClusterResource, ObjectSelector};
use p861_vault::{Progress, Repository, RepositoryAccess};
use std::path::PathBuf;
use tokio::task::JoinHandle;

/// The part that the objects are.
const OBJECTS: &str = "objects";
/// Where objects are gathered before they are stored.
const SCRATCH_PATH: &str = "/tmp/objects";

/// Objects that are being listed.
pub(super) struct Listing {
    /// When that began. The backup holds nothing newer than what is listed, however long its mover waits for keys afterwards.
    began: Timestamp,
    folder: PathBuf,
    saved: JoinHandle<Result<Saved, WorkError>>,
}

impl Listing {
    /// Begins to list them.
    pub(super) fn begin(namespaces: Vec<String>, exclude: Vec<ObjectSelector>, cluster: Vec<ClusterResource>) -> Self {
        let (began, folder) = (Timestamp::now(), place("P861_SCRATCH", SCRATCH_PATH));
        let into = folder.clone();
        let saved = tokio::spawn(async move {
            let (client, printer) = (client().await?, Printer::new());
            let on_progress = |progress: Progress| {
                if keys::have_come() {
                    printer.print(&progress);
                }
            };
            save::save(&client, &namespaces, &cluster, &exclude, &into, &on_progress).await
        });
        Self { began, folder, saved }
    }
}

/// Stores what was listed.
pub(super) async fn store(
    Listing { began, folder, saved }: Listing,
    access: RepositoryAccess,
    run: String,
    parent: Option<SnapshotId>,
    objects: &RunObjects,
) -> Result<Evidence, WorkError> {
    let saved = async { saved.await.map_err(|error| broke_off(&error))? };
    let of = (run.clone(), parent.clone());
    let prepared = blocking(move || {
        let repository = Repository::open(&access)?;
        let prepared = repository.prepare_part(&spec(&of.0, OBJECTS, of.1.as_ref()))?;
        Ok((repository, prepared))
    });
    let (saved, (repository, prepared)) = tokio::try_join!(saved, prepared)?;
    let result = blocking(move || {
        let printer = Printer::new();
        repository.write_prepared_folder(&spec(&run, OBJECTS, parent.as_ref()), prepared, (&folder, began), &|progress| printer.print(&progress))
    });
    let (part, resources) = (saved_part(result.await?), saved.kinds.len() as u64);
    let left_out_names = lists::stored_names(objects, &saved.named).await?;
    let Saved { objects, kinds, left_out, named: _ } = saved;
    Ok(Evidence::ObjectsSaved { part, objects, resources, kinds, left_out, left_out_names })
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_vault::{AsyncStore, Location};

    #[tokio::test]
    async fn fault_a_what_waited_for_its_movers_keys_is_as_old_as_its_list() {
        let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(scratch.path().join("namespaces.jsonl"), "{}\n").unwrap();
        let location = Location::Folder { path: folder.path().to_owned() };
        let store_of_run = AsyncStore::new(&location, None).await.unwrap();
        let access = RepositoryAccess { location, credentials: None, password: "correct horse".into(), id: None };
        let made = access.clone();
        blocking(move || Repository::open_or_init(&made).map(drop)).await.unwrap();
        let began: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
        for attempt in 1..=2 {
            let saved = tokio::spawn(async { Ok(Saved::default()) });
            // The second attempt finds what the first has stored, with its time.
            let began_now = if attempt == 1 { began } else { Timestamp::now() };
            let listing = Listing { began: began_now, folder: scratch.path().to_owned(), saved };
            let evidence = store(listing, access.clone(), "run".into(), None, &RunObjects::new(store_of_run.clone(), "run")).await.unwrap();
            let Evidence::ObjectsSaved { part, .. } = evidence else { panic!("{evidence:?}") };
            assert_eq!((part.started_at, part.files), (began, 1), "attempt {attempt}");
        }
    }
}
