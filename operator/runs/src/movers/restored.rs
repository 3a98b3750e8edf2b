//! The work of a mover that restores objects, and the lists that it stores.

use super::{
    ending::EndRequest,
    restore::{ObjectsOutcome, ObjectsTask, compare_until, restore_until},
    work::{Printer, WorkError, stored},
};
use crate::run_objects::{ObjectError, RunObjects};
use kube::Client;
use p861_core::{
    engine::{Evidence, ListedChange, RefusedObjects, StoredObject},
    objects::{Identity, ObjectCounts, worth_a_second_try},
};
use p861_crds::Reason;
use p861_vault::RepositoryAccess;
use std::collections::BTreeMap;

/// Bytes of one stored piece of a preview's list: whoever reads it holds one at a time in memory.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// What such a mover works with.
pub(super) struct Restorer<'a> {
    /// The site.
    pub(super) client: &'a Client,
    /// The repository.
    pub(super) access: RepositoryAccess,
    /// Where lists are stored.
    pub(super) objects: &'a RunObjects,
    /// It may be told to end.
    pub(super) end: &'a EndRequest,
    /// Where progress is printed.
    pub(super) printer: &'a Printer,
}

impl Restorer<'_> {
    /// Restores objects, or previews it.
    pub(super) async fn restore(self, task: &ObjectsTask) -> Result<Evidence, WorkError> {
        let ObjectsOutcome { changes, listed, left_out, not_served, adjusted, patches_unmatched, tried: _ } = self.outcome(task).await?;
        if task.preview {
            let lists = stored_lists(self.objects, &listed).await?;
            return Ok(Evidence::RestorePreviewed { changes, listed: listed.len() as u64, lists, left_out, not_served, adjusted });
        }
        objects_restored(self.objects, ObjectCounts { changes, left_out, not_served, adjusted, refused: listed, patches_unmatched }).await
    }

    /// Compares the objects that are there already, and writes nothing.
    pub(super) async fn compare(self, task: &ObjectsTask) -> Result<Evidence, WorkError> {
        let compared = compare_until(self.client, self.access.clone(), task, &|progress| self.printer.print(&progress), self.end).await?;
        Ok(Evidence::ObjectsCompared { compared })
    }

    /// Tries once more the objects that the first try could not write and that may be taken now. The evidence is the end state of all objects.
    pub(super) async fn second_try(self, task: ObjectsTask, inputs: &BTreeMap<String, Evidence>) -> Result<Evidence, WorkError> {
        let Some(Evidence::ObjectsRestored { changes, left_out, not_served, adjusted, refused: Some(first), patches_unmatched }) =
            worth_a_second_try(inputs).cloned()
        else {
            return Err(WorkError::stated(Reason::MoverMisused, "there is nothing to try again", true));
        };
        let refused: Vec<ListedChange> = self.objects.get(&first.list).await?;
        let again = refused.iter().filter(|listed| listed.awaits.is_some()).map(Identity::listed).collect();
        let first = ObjectCounts { changes, left_out, not_served, adjusted, refused, patches_unmatched };
        let ObjectsOutcome { changes, listed, left_out, not_served, adjusted, patches_unmatched, tried } =
            self.outcome(&ObjectsTask { again: Some(again), ..task }).await?;
        let second = ObjectCounts { changes, left_out, not_served, adjusted, refused: listed, patches_unmatched };
        objects_restored(self.objects, first.after_second_try(&tried, second)).await
    }

    async fn outcome(&self, task: &ObjectsTask) -> Result<ObjectsOutcome, WorkError> {
        restore_until(self.client, self.access.clone(), task, &|progress| self.printer.print(&progress), self.end).await
    }
}

/// Stores the list of what was refused; the rest is the evidence.
async fn objects_restored(objects: &RunObjects, counts: ObjectCounts) -> Result<Evidence, WorkError> {
    let ObjectCounts { changes, left_out, not_served, adjusted, refused, patches_unmatched } = counts;
    let refused = match refused.first().cloned() {
        Some(first) => {
            let awaiting = refused.iter().filter(|listed| listed.awaits.is_some()).count() as u64;
            let (listed, list) = stored_list(objects, refused).await?;
            Some(RefusedObjects { first, listed, list, awaiting })
        }
        None => None,
    };
    Ok(Evidence::ObjectsRestored { changes, left_out, not_served, adjusted, refused, patches_unmatched })
}

/// Stores a list in pieces of at most about [`MAX_LIST_BYTES`].
async fn stored_lists(objects: &RunObjects, list: &[ListedChange]) -> Result<Vec<StoredObject>, WorkError> {
    let (mut stored_pieces, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, listed) in list.iter().enumerate() {
        let more = serde_json::to_vec(listed).map_or(0, |text| text.len());
        if bytes + more > MAX_LIST_BYTES && at > from {
            stored_pieces.push(stored(objects, &list[from..at]).await?);
            (from, bytes) = (at, 0);
        }
        bytes += more;
    }
    if from < list.len() {
        stored_pieces.push(stored(objects, &list[from..]).await?);
    }
    Ok(stored_pieces)
}

/// Stores the list of what was refused; of one that is too large the first part. Returns the number of objects in it, too.
async fn stored_list(objects: &RunObjects, mut list: Vec<ListedChange>) -> Result<(u64, StoredObject), WorkError> {
    loop {
        match stored(objects, &list).await {
            Err(WorkError::Object(ObjectError::TooLarge { .. })) if !list.is_empty() => list.truncate(list.len() / 2),
            result => return Ok((list.len() as u64, result?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::engine::ObjectChange;
    use p861_vault::{AsyncStore, Location};

    #[tokio::test]
    async fn a_long_list_is_stored_in_pieces_that_are_read_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = AsyncStore::new(&Location::Folder { path: folder.path().to_owned() }, None).await.unwrap();
        let objects = RunObjects::new(store, "one");
        let listed = |number: usize, bytes: usize| ListedChange {
            action: ObjectChange::Change,
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: "n".into(),
            name: format!("m-{number}"),
            why: String::new(),
            awaits: None,
            diff: "x".repeat(bytes),
            manifest: None,
        };
        for (sizes, pieces) in
            [(vec![], 0), (vec![10, 10], 1), (vec![MAX_LIST_BYTES / 2; 5], 5), (vec![MAX_LIST_BYTES / 3; 5], 3), (vec![10, 2 * MAX_LIST_BYTES, 10], 3)]
        {
            let list: Vec<ListedChange> = sizes.iter().enumerate().map(|(number, bytes)| listed(number, *bytes)).collect();
            let stored = stored_lists(&objects, &list).await.unwrap();
            assert_eq!(stored.len(), pieces, "{sizes:?}");
            let mut read = Vec::new();
            for piece in &stored {
                read.extend(objects.get::<Vec<ListedChange>>(piece).await.unwrap());
            }
            assert_eq!(read, list, "{sizes:?}");
        }
    }
}
