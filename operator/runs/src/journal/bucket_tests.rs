#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it is wrong")]

use super::{super::format, *};
use jiff::{SignedDuration, Timestamp};
use p861_core::engine::{Entry, Event, Failure, Journal, Plan, Record, Step, StepId};
use p861_crds::Reason;
use p861_vault::Location;

const RUN: &str = "journal/plan/uid";

struct Bed {
    folder: tempfile::TempDir,
    store: AsyncStore,
    plan: Plan<u8>,
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = AsyncStore::new(&Location::Folder { path: folder.path().to_owned() }, None).await.unwrap();
        let plan = Plan::new(vec![Step::new(StepId::new("remove").unwrap(), 0, SignedDuration::from_secs(9)).finally()]).unwrap();
        Self { folder, store, plan }
    }

    async fn journal(&self) -> Journal {
        Journal::from_lines(&load(&self.store, RUN).await.unwrap()).unwrap()
    }

    async fn put(&self, journal: &mut Journal, record: Record) -> std::result::Result<(), StoreError> {
        append(&self.store, RUN, record.sequence, &lines(&record)).await?;
        journal.push(record).unwrap();
        Ok(())
    }

    async fn claim(&self) -> Journal {
        let mut journal = self.journal().await;
        let claim = journal.claim(self.plan.digest(), "operator", Timestamp::UNIX_EPOCH);
        self.put(&mut journal, claim).await.unwrap();
        journal
    }

    /// The clean-up step fails so often.
    async fn fail(&self, journal: &mut Journal, times: u32) {
        let step = StepId::new("remove").unwrap();
        let done = journal.records().iter().filter(|record| record.step.is_some()).map(|record| record.attempt).max().unwrap_or_default();
        for attempt in done + 1..=done + times {
            let failed = Entry::failed(step.clone(), attempt, Failure::transient(Reason::Unreachable, "no"), None);
            for entry in [Entry::of(step.clone(), attempt, Event::Intent), failed] {
                let record = journal.stamp(entry, journal.token(), Timestamp::UNIX_EPOCH);
                self.put(journal, record).await.unwrap();
            }
        }
    }

    async fn keys(&self) -> Vec<String> {
        self.store.list(&format!("{RUN}/")).await.unwrap()
    }
}

fn lines(record: &Record) -> String {
    format::record_lines(std::slice::from_ref(record)).unwrap()
}

async fn compact(bed: &Bed, shorter: &Journal) -> Result<()> {
    write_compacted(&bed.store, RUN, shorter.head().through, format::journal_text(shorter).unwrap()).await
}

#[tokio::test]
async fn a_compacted_journal_is_two_objects_and_the_next_records_follow() {
    let bed = Bed::new().await;
    let mut journal = bed.claim().await;
    bed.fail(&mut journal, 30).await;
    assert_eq!(bed.journal().await, journal, "read in parallel, in order");
    let mut journal = journal.compacted(&bed.plan, 1).unwrap();
    compact(&bed, &journal).await.unwrap();
    delete_superseded(&bed.store, RUN).await.unwrap();
    assert_eq!(bed.keys().await, [compacted(RUN, 61)]);
    assert_eq!(bed.journal().await, journal);
    bed.fail(&mut journal, 2).await;
    assert_eq!(bed.journal().await, journal);
}

#[tokio::test]
async fn a_crash_between_any_two_steps_of_a_compaction_leaves_a_journal_that_says_the_same() {
    // How many of the old objects were deleted before the crash.
    for deleted in 0..6 {
        let bed = Bed::new().await;
        let mut journal = bed.claim().await;
        bed.fail(&mut journal, 1).await;
        let shorter = {
            bed.fail(&mut journal, 1).await;
            journal.compacted(&bed.plan, 1).unwrap()
        };
        compact(&bed, &shorter).await.unwrap();
        // The answer was lost, and it is written again.
        compact(&bed, &shorter).await.unwrap();
        for first in 1..=deleted {
            bed.store.delete(&batch(RUN, first)).await.unwrap();
        }
        assert_eq!(bed.journal().await, shorter, "{deleted} deleted");
        // Another executor goes on; its own compaction removes the rest.
        let mut next = bed.claim().await;
        bed.fail(&mut next, 2).await;
        let next = next.compacted(&bed.plan, 1).unwrap();
        compact(&bed, &next).await.unwrap();
        assert_eq!(bed.journal().await, next);
        delete_superseded(&bed.store, RUN).await.unwrap();
        assert_eq!(bed.keys().await, [compacted(RUN, next.sequence())]);
        assert_eq!(bed.journal().await, next);
    }
}

#[tokio::test]
async fn the_loser_is_refused_even_where_a_compaction_has_freed_its_place() {
    let bed = Bed::new().await;
    let mut loser = bed.claim().await;
    bed.fail(&mut loser, 2).await;
    // One that has read the journal and is slow to claim it.
    let mut late = bed.journal().await;
    let mut winner = bed.claim().await;
    bed.fail(&mut winner, 3).await;
    let winner = winner.compacted(&bed.plan, 1).unwrap();
    compact(&bed, &winner).await.unwrap();
    delete_superseded(&bed.store, RUN).await.unwrap();
    let intent = loser.stamp(Entry::of(StepId::new("remove").unwrap(), 3, Event::Intent), loser.token(), Timestamp::UNIX_EPOCH);
    assert!(matches!(bed.put(&mut loser, intent).await, Err(StoreError::Overtaken(6))));
    let claim = late.claim(bed.plan.digest(), "late", Timestamp::UNIX_EPOCH);
    assert!(matches!(bed.put(&mut late, claim).await, Err(StoreError::Overtaken(6))));
    // What they wrote is read by nobody, and goes.
    assert_eq!(bed.journal().await, winner);
    // A compaction by the loser, of what it knows, hides nothing.
    let of_loser = loser.compacted(&bed.plan, 1).unwrap();
    compact(&bed, &of_loser).await.unwrap();
    assert_eq!(bed.journal().await, winner);
    delete_superseded(&bed.store, RUN).await.unwrap();
    assert_eq!(bed.keys().await, [compacted(RUN, winner.sequence())]);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognised_and_another_in_its_place_is_refused() {
    let bed = Bed::new().await;
    let mut journal = bed.claim().await;
    let intent = journal.stamp(Entry::of(StepId::new("remove").unwrap(), 1, Event::Intent), 1, Timestamp::UNIX_EPOCH);
    append(&bed.store, RUN, 2, &lines(&intent)).await.unwrap();
    bed.put(&mut journal, intent.clone()).await.unwrap();
    let other = Record { token: 2, ..intent };
    assert!(matches!(append(&bed.store, RUN, 2, &lines(&other)).await, Err(StoreError::Overtaken(2))));
}

#[tokio::test]
async fn fault_e11_a_journal_that_somebody_has_filled_up_is_named_and_not_read_into_memory() {
    let bed = Bed::new().await;
    let place = bed.folder.path().join(RUN).join("records");
    let said = async || load(&bed.store, RUN).await.map(drop).map_err(|error| (error.reason(), error.to_string()));
    std::fs::create_dir_all(&place).unwrap();
    let put = |first: u64, bytes: u64| std::fs::File::create(place.join(format!("{first:020}.jsonl"))).unwrap().set_len(bytes).unwrap();
    put(1, 17 << 20);
    let (reason, text) = said().await.unwrap_err();
    assert!(reason == Reason::TooLarge && text.contains(&format!("{RUN}/records/{:020}.jsonl", 1)), "{text}");
    (1..=3).for_each(|first| put(first, 12 << 20));
    let (reason, text) = said().await.unwrap_err();
    assert!(reason == Reason::TooLarge && text.contains("more than 32 MiB"), "{text}");
    (1..=u64::try_from(MAX_BATCHES).unwrap() + 1).for_each(|first| put(first, 0));
    let (reason, text) = said().await.unwrap_err();
    assert!(reason == Reason::TooLarge && text.contains("10001 batches"), "{text}");
}
