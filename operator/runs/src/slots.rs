//! The register of an application's slots in a repository: hubs that use one repository take no slot twice. Which may be taken, [`slot::claim`] says.

use crate::{
    error::{Error, Result},
    repository::vault,
};
use jiff::Timestamp;
use p861_core::protection::policy::slot::{self, Claim, SlotRecord};
use p861_vault::{AsyncStore, StoreError};

/// Times that a slot is tried again because another has written at the same moment.
const TRIES: u32 = 4;
/// A longer record was not written by this product.
const MAX_RECORD_BYTES: usize = 4096;

/// What became of a slot.
#[derive(Debug)]
pub enum Taking {
    /// It is taken now.
    Taken(TakenSlot),
    /// It, or a newer one, was taken from this hub, and its Backup was made.
    Before,
    /// It, or a newer one, was taken from another hub.
    Elsewhere,
}

/// A slot that was taken. Its Backup is made next, and then [`TakenSlot::note_made`] says so.
#[derive(Debug)]
pub struct TakenSlot {
    record: SlotRecord,
    /// Of the record as it is in the store.
    tag: String,
}

/// Takes a slot of an application, if nobody has.
///
/// # Errors
/// If the store can't be read or written. The slot may be taken then: trying again finds that out.
pub async fn take(store: &AsyncStore, application: &str, wanted: &SlotRecord, now: Timestamp) -> Result<Taking> {
    let (key, what) = (slot::register(application), "take the slot of a backup");
    let body = text(wanted)?;
    for _ in 0..TRIES {
        let found = read(store, &key).await.map_err(|error| vault(what, &error))?;
        let (register, tag) = found.map_or((None, None), |(register, tag)| (register, Some(tag)));
        let written = match (slot::claim(register.as_ref(), wanted, now), &tag) {
            (Claim::Taken, _) => {
                let is_own = register.is_some_and(|register| register.application == wanted.application);
                return Ok(if is_own { Taking::Before } else { Taking::Elsewhere });
            }
            (Claim::Ours, tag) => Ok(tag.clone().unwrap_or_default()),
            (Claim::Write, None) => store.put_if_absent(&key, body.clone()).await,
            (Claim::Write, Some(tag)) => store.put_if_match(&key, body.clone(), tag).await,
        };
        match written {
            Ok(tag) => return Ok(Taking::Taken(TakenSlot { record: wanted.clone(), tag })),
            // Another was first; or this write arrived, and only its answer didn't.
            Err(error) if error.is_already_exists() || error.is_precondition_failed() || error.is_not_found() => {}
            Err(error) => return Err(vault(what, &error)),
        }
    }
    Err(Error::Internal(format!("the slots of {application} are written by others all the time")))
}

impl TakenSlot {
    /// Notes that the Backup was made, so that nobody makes it again once it is deleted.
    ///
    /// # Errors
    /// If the store can't be written. The Backup then is made again if it is deleted within its period, and no harm is done.
    pub async fn note_made(self, store: &AsyncStore, application: &str) -> Result<()> {
        let made = text(&SlotRecord { made: true, ..self.record })?;
        match store.put_if_match(&slot::register(application), made, &self.tag).await {
            Ok(_) => Ok(()),
            // A newer slot was taken meanwhile: that says it as well.
            Err(error) if error.is_precondition_failed() || error.is_not_found() => Ok(()),
            Err(error) => Err(vault("note that a backup was made", &error)),
        }
    }
}

/// What the register says, and the tag of it; none if there is nothing. What can't be read says nothing, and is written over.
async fn read(store: &AsyncStore, key: &str) -> std::result::Result<Option<(Option<SlotRecord>, String)>, StoreError> {
    match store.get_with_tag(key).await {
        Ok((body, tag)) => {
            let record = (body.len() <= MAX_RECORD_BYTES).then(|| serde_json::from_slice(&body).ok()).flatten();
            Ok(Some((record, tag)))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(record: &SlotRecord) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| Error::Internal(format!("the record of a slot can't be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_vault::Location;

    const NOW: &str = "2026-11-24T00:02:00Z";

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    async fn store_in(folder: &tempfile::TempDir) -> AsyncStore {
        AsyncStore::new(&Location::Folder { path: folder.path().into() }, None).await.expect("a store")
    }

    /// What becomes of a slot that a hub wants.
    async fn want(store: &AsyncStore, uid: &str, minute: u8) -> Taking {
        let wanted = SlotRecord::taking("approval", uid, time(&format!("2026-11-24T00:{minute:02}:00Z")));
        take(store, "approval", &wanted, time(NOW)).await.expect("the store answers")
    }

    #[tokio::test]
    async fn of_many_hubs_that_want_one_slot_one_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        for minute in [0, 1] {
            let hubs = ["a", "b", "c", "d"].map(|hub| {
                let store = store_in(&folder);
                async move { want(&store.await, hub, minute).await }
            });
            let taken = futures::future::join_all(hubs).await;
            assert_eq!(taken.iter().filter(|taken| matches!(taken, Taking::Taken(_))).count(), 1, "{minute}: {taken:?}");
            assert_eq!(taken.iter().filter(|taken| matches!(taken, Taking::Elsewhere)).count(), 3, "{minute}: {taken:?}");
        }
        assert!(matches!(want(&store_in(&folder).await, "e", 0).await, Taking::Elsewhere), "an older one is over");
    }

    #[tokio::test]
    async fn who_took_a_slot_and_died_goes_on_with_it_until_its_backup_was_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store_in(&folder).await;
        assert!(matches!(want(&store, "mine", 0).await, Taking::Taken(_)));
        let Taking::Taken(again) = want(&store, "mine", 0).await else { panic!("it is ours") };
        again.note_made(&store, "approval").await.expect("the store answers");
        assert!(matches!(want(&store, "mine", 0).await, Taking::Before), "its Backup was deleted since");
        assert!(matches!(want(&store, "mine", 1).await, Taking::Taken(_)));
    }

    #[tokio::test]
    async fn a_register_that_nobody_can_read_keeps_no_backup_from_being_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store_in(&folder).await;
        for (minute, rubbish) in [b"{".to_vec(), vec![b' '; MAX_RECORD_BYTES + 1], br#"{"slot": 7}"#.to_vec()].into_iter().enumerate() {
            store.put(&slot::register("approval"), rubbish).await.expect("it is written");
            assert!(matches!(want(&store, "mine", u8::try_from(minute).expect("small")).await, Taking::Taken(_)), "{minute}");
        }
    }
}
