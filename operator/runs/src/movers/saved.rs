//! The work of a mover that saves objects: they are listed while it still waits for the keys of the repository, and stored while they are listed.

use super::{
    keys, lists,
    pieces::disk,
    save::{self, Saved},
    touch::Touch,
    work::{Printer, WorkError, blocking, broke_off, client, place, saved_part, spec},
};
use crate::run_objects::RunObjects;
use jiff::Timestamp;
use p861_core::{engine::Evidence, ids::SnapshotId};
use p861_crds::platform::application::{ClusterResource, ObjectSelector};
use p861_vault::{Filled, Progress, Repository, RepositoryAccess};
use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
};
use tokio::task::JoinHandle;

/// The part that the objects are.
const OBJECTS: &str = "objects";
/// Where objects are gathered before they are stored.
const SCRATCH_PATH: &str = "/tmp/objects";

/// Objects that are being listed.
pub(super) struct Listing {
    /// When that began: so old the backup says it is, however long its mover then waits for keys.
    began: Timestamp,
    folder: PathBuf,
    filled: Receiver<Filled>,
    saved: JoinHandle<Result<Saved, WorkError>>,
}

impl Listing {
    /// Begins to list them.
    ///
    /// # Errors
    /// If there is no place for them.
    pub(super) fn begin(namespaces: Vec<String>, exclude: Vec<ObjectSelector>, cluster: Vec<ClusterResource>) -> Result<Self, WorkError> {
        let (began, folder) = (Timestamp::now(), place("P861_SCRATCH", SCRATCH_PATH));
        // Left over if the mover was killed and restarted in the same folder.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|error| disk(&folder, &error))?;
        let ((into, told), (sender, filled)) = ((folder.clone(), Printer::new()), channel());
        let saved = tokio::spawn(async move {
            let client = client(&Touch::default()).await?;
            let on_progress = |progress: Progress| {
                if keys::have_come() {
                    told.print(&progress);
                }
            };
            save::save(&client, &namespaces, &cluster, &exclude, (&into, sender), &on_progress).await
        });
        Ok(Self { began, folder, filled, saved })
    }
}

/// Stores what is listed.
pub(super) async fn store(
    Listing { began, folder, filled, saved }: Listing,
    access: RepositoryAccess,
    run: String,
    parent: Option<SnapshotId>,
    objects: &RunObjects,
) -> Result<Evidence, WorkError> {
    let stored = blocking(move || {
        let printer = Printer::new();
        let on_progress = |progress: Progress| printer.print(&progress);
        Repository::open(&access)?.write_growing_folder(&spec(&run, OBJECTS, parent.as_ref()), (&folder, began), filled, &on_progress)
    });
    let (saved, stored) = tokio::join!(saved, stored);
    // Why the list has broken off, rather than that what was to be stored has.
    let Saved { objects: count, kinds, left_out, named, not_ready } = saved.map_err(|error| broke_off(&error))??;
    let (part, resources) = (saved_part(stored?), kinds.len() as u64);
    let left_out_names = lists::stored_names(objects, &named).await?;
    Ok(Evidence::ObjectsSaved { part, objects: count, resources, kinds, left_out, left_out_names, not_ready })
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
            let (told, filled) = channel();
            let saved = tokio::spawn(async move {
                told.send(Filled::File("namespaces.jsonl".into())).and_then(|()| told.send(Filled::All)).unwrap();
                Ok(Saved::default())
            });
            // The second attempt finds what the first has stored, with its time.
            let began_now = if attempt == 1 { began } else { Timestamp::now() };
            let listing = Listing { began: began_now, folder: scratch.path().to_owned(), filled, saved };
            let evidence = store(listing, access.clone(), "run".into(), None, &RunObjects::new(store_of_run.clone(), "run")).await.unwrap();
            let Evidence::ObjectsSaved { part, .. } = evidence else { panic!("{evidence:?}") };
            assert_eq!((part.started_at, part.files), (began, 1), "attempt {attempt}");
        }
    }

    #[tokio::test]
    async fn fault_d_a_list_that_breaks_off_is_told_as_such_and_leaves_no_part() {
        let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(scratch.path().join("namespaces.jsonl"), "{}\n").unwrap();
        let location = Location::Folder { path: folder.path().to_owned() };
        let access = RepositoryAccess { location: location.clone(), credentials: None, password: "correct horse".into(), id: None };
        let made = access.clone();
        blocking(move || Repository::open_or_init(&made).map(drop)).await.unwrap();
        let (told, filled) = channel();
        let saved = tokio::spawn(async move {
            told.send(Filled::File("namespaces.jsonl".into())).unwrap();
            Err(WorkError::stated(p861_crds::Reason::ApiError, "list secrets in n: no answer", false))
        });
        let listing = Listing { began: Timestamp::now(), folder: scratch.path().to_owned(), filled, saved };
        let objects = RunObjects::new(AsyncStore::new(&location, None).await.unwrap(), "run");
        let error = store(listing, access, "run".into(), None, &objects).await.unwrap_err();
        assert_eq!(error.to_string(), "list secrets in n: no answer");
        assert_eq!(std::fs::read_dir(folder.path().join("snapshots")).unwrap().count(), 0);
    }
}
