//! Places by district: how much of one sort a district may have under way at once.

use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many places for each district. Clones share them.
#[derive(Clone, Debug)]
pub struct Places {
    limit: usize,
    free: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
}

impl Places {
    /// Each district has so many.
    pub fn new(limit: usize) -> Self {
        Self { limit, free: Arc::default() }
    }

    /// The free places of a district.
    fn of(&self, district: &Arc<str>) -> Arc<Semaphore> {
        let mut free = self.free.lock();
        // Districts with nothing under way are forgotten, so that their number is no matter.
        free.retain(|other, places| other == district || places.available_permits() < self.limit || Arc::strong_count(places) > 1);
        free.entry(district.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.limit))).clone()
    }

    /// Waits for a place of the district; it is taken until it is dropped.
    pub async fn take(&self, district: &Arc<str>) -> Option<OwnedSemaphorePermit> {
        // Never closed, so there is one in the end.
        self.of(district).acquire_owned().await.ok()
    }

    /// A place of the district, until it is dropped; none if all are taken.
    pub fn try_take(&self, district: &Arc<str>) -> Option<OwnedSemaphorePermit> {
        self.of(district).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e12_a_district_that_has_taken_all_its_places_leaves_those_of_others() {
        let (places, one, other): (_, Arc<str>, Arc<str>) = (Places::new(2), "one".into(), "other".into());
        let taken = [places.try_take(&one), places.try_take(&one)];
        assert!(taken.iter().all(Option::is_some) && places.try_take(&one).is_none());
        assert!(places.try_take(&other).is_some());
        drop(taken);
        assert!(places.try_take(&one).is_some(), "they are free again");
        assert!(places.try_take(&other).is_some() && places.free.lock().len() == 1, "a district with nothing under way is forgotten");
    }
}
