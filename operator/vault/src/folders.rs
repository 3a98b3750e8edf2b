//! Cache of tree packs while folders are walked.

use crate::StoreError;
use bytes::Bytes;
use parking_lot::Mutex;
use rustic_core::Id;
use std::collections::VecDeque;

/// So many bytes of packs are kept; the one that was used longest ago goes first.
const MOST: usize = 64 << 20;

/// Packs that hold folders, the last used at the end.
#[derive(Debug, Default)]
pub(crate) struct FolderPacks(Mutex<VecDeque<(Id, Bytes)>>);

impl FolderPacks {
    /// A part of a pack: from memory, or from the whole pack, which is read then. A pack that is shorter than the part needs is asked for the part alone, so
    /// that the store says what is wrong; so is one that is too large to be kept.
    pub(crate) fn part(
        &self,
        id: &Id,
        offset: u32,
        length: u32,
        whole: impl FnOnce() -> Result<Vec<u8>, StoreError>,
        alone: impl FnOnce() -> Result<Vec<u8>, StoreError>,
    ) -> Result<Bytes, StoreError> {
        // Held while it is read: others that walk the same folders wait for this pack rather than read it too.
        let mut packs = self.0.lock();
        let pack = match packs.iter().position(|(kept, _)| kept == id).and_then(|index| packs.remove(index)) {
            Some((_, pack)) => pack,
            None => match whole() {
                Ok(pack) => Bytes::from(pack),
                Err(error) if error.is_too_large() => return alone().map(Bytes::from),
                Err(error) => return Err(error),
            },
        };
        packs.push_back((*id, pack.clone()));
        while packs.len() > 1 && packs.iter().map(|(_, pack)| pack.len()).sum::<usize>() > MOST {
            packs.pop_front();
        }
        drop(packs);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if end <= pack.len() { Ok(pack.slice(start..end)) } else { alone().map(Bytes::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_pack_is_read_once_and_the_oldest_is_dropped_when_too_much_is_kept() {
        let packs = FolderPacks::default();
        let reads = Cell::new(0);
        let ids: Vec<Id> = (0..5).map(|_| Id::random()).collect();
        let part = |id: &Id| {
            let whole = || {
                reads.set(reads.get() + 1);
                Ok(vec![7; MOST / 4])
            };
            packs.part(id, 10, 5, whole, || unreachable!()).unwrap()
        };
        for _ in 0..3 {
            assert_eq!(part(&ids[0]), [7; 5].as_slice());
        }
        assert_eq!(reads.get(), 1);
        ids[1..4].iter().for_each(|id| drop(part(id)));
        part(&ids[0]);
        assert_eq!(reads.get(), 4, "four packs fit");
        part(&ids[4]);
        part(&ids[0]);
        assert_eq!(reads.get(), 5, "the first was used last, so it stays");
        part(&ids[1]);
        assert_eq!(reads.get(), 6);
    }

    #[test]
    fn a_pack_that_was_cut_is_asked_for_the_part() {
        let asked = Cell::new(false);
        let alone = || {
            asked.set(true);
            Ok(vec![])
        };
        FolderPacks::default().part(&Id::random(), 10, 5, || Ok(vec![0; 12]), alone).unwrap();
        assert!(asked.get());
    }
}
