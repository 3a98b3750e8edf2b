//! Lists that a mover stores for whoever comes after it, in pieces: whoever reads one holds a piece at a time in memory.

use super::work::{WorkError, stored};
use crate::run_objects::RunObjects;
use p861_core::engine::StoredObject;
use p861_crds::protection::backup::LeftOut;
use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes of one stored piece.
pub(super) const MAX_PIECE_BYTES: usize = 4 * 1024 * 1024;

/// Stores a list in pieces of at most about [`MAX_PIECE_BYTES`].
pub(super) async fn stored_pieces<T: Serialize>(objects: &RunObjects, list: &[T]) -> Result<Vec<StoredObject>, WorkError> {
    let (mut pieces, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, one) in list.iter().enumerate() {
        let more = serde_json::to_vec(one).map_or(0, |text| text.len());
        if bytes + more > MAX_PIECE_BYTES && at > from {
            pieces.push(stored(objects, &list[from..at]).await?);
            (from, bytes) = (at, 0);
        }
        bytes += more;
    }
    if from < list.len() {
        pieces.push(stored(objects, &list[from..]).await?);
    }
    Ok(pieces)
}

/// Stores the names of what was left out, each with its reason.
pub(super) async fn stored_names(objects: &RunObjects, left_out: &[LeftOut]) -> Result<Vec<StoredObject>, WorkError> {
    let names: Vec<(&str, &str)> = left_out.iter().flat_map(|left| left.names.iter().map(|name| (left.reason.as_str(), name.as_str()))).collect();
    stored_pieces(objects, &names).await
}

/// Reads the names that [`stored_names`] stored, by reason.
pub(super) async fn names_in(objects: &RunObjects, pieces: &[StoredObject]) -> Result<BTreeMap<String, Vec<String>>, WorkError> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for piece in pieces {
        for (reason, name) in objects.get::<Vec<(String, String)>>(piece).await? {
            names.entry(reason).or_default().push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_vault::{AsyncStore, Location};

    async fn objects(folder: &tempfile::TempDir) -> RunObjects {
        let store = AsyncStore::new(&Location::Folder { path: folder.path().to_owned() }, None).await.unwrap();
        RunObjects::new(store, "one")
    }

    #[tokio::test]
    async fn a_long_list_is_stored_in_pieces_that_are_read_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(&folder).await;
        for (sizes, pieces) in
            [(vec![], 0), (vec![10, 10], 1), (vec![MAX_PIECE_BYTES / 2 - 10; 5], 3), (vec![MAX_PIECE_BYTES / 3; 5], 3), (vec![10, 2 * MAX_PIECE_BYTES, 10], 3)]
        {
            let list: Vec<String> = sizes.iter().map(|bytes| "x".repeat(*bytes)).collect();
            let stored = stored_pieces(&objects, &list).await.unwrap();
            assert_eq!(stored.len(), pieces, "{sizes:?}");
            let mut read = Vec::new();
            for piece in &stored {
                read.extend(objects.get::<Vec<String>>(piece).await.unwrap());
            }
            assert!(read == list, "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn fault_a_the_names_of_what_was_left_out_are_read_as_they_were_stored() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(&folder).await;
        let left = |reason: &str, number: usize| LeftOut {
            reason: reason.into(),
            count: 200_000,
            names: (0..number).map(|at| format!("ConfigMap a-namespace/{at:0>60}")).collect(),
        };
        let all = [left("Excluded", 60_000), left("Finished", 30_000), left("Missing", 0)];
        let pieces = stored_names(&objects, &all).await.unwrap();
        assert!(pieces.len() > 1, "{} bytes in one piece", pieces[0].bytes);
        let names = names_in(&objects, &pieces).await.unwrap();
        let expected: BTreeMap<String, Vec<String>> = all.into_iter().filter(|left| !left.names.is_empty()).map(|left| (left.reason, left.names)).collect();
        assert!(names == expected);
    }
}
