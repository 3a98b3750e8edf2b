//! The work of a mover that restores objects, and the lists that it stores.

use super::{
    ending::EndRequest,
    lists::stored_pieces,
    restore::{ObjectsOutcome, ObjectsTask, compare_until, restore_until},
    work::{Printer, WorkError, stored},
};
use crate::run_objects::{ObjectError, RunObjects};
use kube::Client;
use p861_core::{
    engine::{Evidence, LeftOutObjects, ListedChange, RefusedObjects, StoredObject},
    objects::{Identity, ObjectCounts, worth_a_second_try},
};
use p861_crds::Reason;
use p861_vault::RepositoryAccess;
use std::collections::{BTreeMap, HashSet};

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
        let (counts, _) = self.counted(task).await?;
        if let Some(unmet) = task.choice.unmet() {
            let has_written = !task.preview && counts.changes.create + counts.changes.change > 0;
            let rest = if has_written { "; what the others select was written" } else { "" };
            let message = format!(
                "the backup has nothing that spec.select.resources names: {unmet}. Correct kind, group and name (what there is: p861 restore preview){rest}"
            );
            return Err(WorkError::stated(Reason::NotFound, message, true));
        }
        if !task.preview {
            return objects_restored(self.objects, counts).await;
        }
        let ObjectCounts { changes, left_out, left_out_names, not_served, adjusted, refused: listed, patches_unmatched: _ } = counts;
        let lists = stored_pieces(self.objects, &listed).await?;
        let left_out_names = none_if_empty(left_out_names);
        Ok(Evidence::RestorePreviewed { changes, listed: listed.len() as u64, lists, left_out, left_out_names, not_served, adjusted })
    }

    /// Compares the objects that are there already, and writes nothing.
    pub(super) async fn compare(self, task: &ObjectsTask) -> Result<Evidence, WorkError> {
        let compared = compare_until(self.client, self.access.clone(), task, &|progress| self.printer.print(&progress), self.end).await?;
        Ok(Evidence::ObjectsCompared { compared })
    }

    /// Tries once more the objects that the first try could not write and that may be taken now. The evidence is the end state of all objects.
    pub(super) async fn second_try(self, task: ObjectsTask, inputs: &BTreeMap<String, Evidence>) -> Result<Evidence, WorkError> {
        let Some(Evidence::ObjectsRestored { changes, left_out, left_out_names, not_served, adjusted, refused: Some(first), patches_unmatched }) =
            worth_a_second_try(inputs).cloned()
        else {
            return Err(WorkError::stated(Reason::MoverMisused, "there is nothing to try again", true));
        };
        let refused: Vec<ListedChange> = self.objects.get(&first.list).await?;
        let again = refused.iter().filter(|listed| listed.awaits.is_some()).map(Identity::listed).collect();
        let left_out_names = left_out_names.unwrap_or_default();
        let first = ObjectCounts { changes, left_out, left_out_names, not_served, adjusted, refused, patches_unmatched };
        let (second, tried) = self.counted(&ObjectsTask { again: Some(again), ..task }).await?;
        objects_restored(self.objects, first.after_second_try(&tried, second)).await
    }

    /// Restores objects, or previews it, and stores the names of what was left out. Of a preview all objects are listed where a restore lists those that were
    /// refused. Also returns which objects a second try came to.
    async fn counted(&self, task: &ObjectsTask) -> Result<(ObjectCounts, HashSet<Identity>), WorkError> {
        let outcome = restore_until(self.client, self.access.clone(), task, &|progress| self.printer.print(&progress), self.end).await?;
        let ObjectsOutcome { changes, listed, left_out, left, left_first, not_served, adjusted, patches_unmatched, tried } = outcome;
        let left_out_names = LeftOutObjects { first: left_first, listed: left.len() as u64, lists: stored_pieces(self.objects, &left).await? };
        Ok((ObjectCounts { changes, left_out, left_out_names, not_served, adjusted, refused: listed, patches_unmatched }, tried))
    }
}

fn none_if_empty(names: LeftOutObjects) -> Option<LeftOutObjects> {
    (names != LeftOutObjects::default()).then_some(names)
}

/// Stores the list of what was refused; the rest is the evidence.
async fn objects_restored(objects: &RunObjects, counts: ObjectCounts) -> Result<Evidence, WorkError> {
    let ObjectCounts { changes, left_out, left_out_names, not_served, adjusted, refused, patches_unmatched } = counts;
    let refused = match refused.first().cloned() {
        Some(first) => {
            let awaiting = refused.iter().filter(|listed| listed.awaits.is_some()).count() as u64;
            let (listed, list) = stored_list(objects, refused).await?;
            Some(RefusedObjects { first, listed, list, awaiting })
        }
        None => None,
    };
    Ok(Evidence::ObjectsRestored { changes, left_out, left_out_names: none_if_empty(left_out_names), not_served, adjusted, refused, patches_unmatched })
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
