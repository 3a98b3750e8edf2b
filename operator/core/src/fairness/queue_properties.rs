//! The promises of the queue, over whatever comes and ends in whatever order.

use super::{FairQueue, WorkerLimits};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMITS: WorkerLimits = WorkerLimits { borrowed: 4, borrowed_per_share: 2, total: 8 };

#[derive(Clone, Copy, Debug)]
enum Happens {
    /// A ticket of this share comes.
    Comes(u8),
    /// One of the workers that are held ends, by its place among them.
    Ends(usize),
}

fn happens(shares: u8) -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![3 => (0..shares).prop_map(Happens::Comes), 2 => (0..64_usize).prop_map(Happens::Ends)];
    proptest::collection::vec(one, 1..200)
}

/// What happened so far, kept apart from the queue.
#[derive(Default)]
struct World {
    /// Shares of the workers that are held.
    held: Vec<u8>,
    /// Tickets that wait, in their order.
    waiting: BTreeMap<u8, Vec<u32>>,
    /// Of each share that waits and holds nothing: how often each other share has begun meanwhile.
    overtaken: BTreeMap<u8, BTreeMap<u8, u32>>,
    tickets: u32,
}

impl World {
    fn holds(&self, share: u8) -> usize {
        self.held.iter().fold(0, |count, held| count + usize::from(*held == share))
    }

    fn borrowed(&self) -> usize {
        let mut all: BTreeMap<u8, usize> = BTreeMap::new();
        self.held.iter().for_each(|share| *all.entry(*share).or_default() += 1);
        all.values().map(|held| held - 1).sum()
    }

    fn starves(&self, share: u8) -> bool {
        self.holds(share) == 0 && self.waiting.get(&share).is_some_and(|waiting| !waiting.is_empty())
    }

    fn drain(&mut self, queue: &mut FairQueue<u8, u32>) {
        while let Some((share, ticket)) = queue.begin_next() {
            let first = self.waiting.get_mut(&share).filter(|waiting| !waiting.is_empty()).map(|waiting| waiting.remove(0));
            assert_eq!(first, Some(ticket), "first in, first out");
            self.held.push(share);
            for (other, begun) in &mut self.overtaken {
                if *other != share {
                    let begun = begun.entry(share).or_default();
                    *begun += 1;
                    assert!(*begun <= 1, "share {other} waits and holds nothing, and share {share} began twice");
                }
            }
            self.overtaken.remove(&share);
        }
        let starving: Vec<u8> = self.waiting.keys().copied().filter(|share| self.starves(*share)).collect();
        self.overtaken.retain(|share, _| starving.contains(share));
        for share in starving {
            self.overtaken.entry(share).or_default();
        }
    }

    fn check(&self, queue: &FairQueue<u8, u32>, limits: WorkerLimits) {
        let full = self.held.len() == limits.total;
        assert!(self.held.len() <= limits.total && self.borrowed() <= limits.borrowed);
        for (share, waiting) in &self.waiting {
            let held = self.holds(*share);
            assert_eq!((queue.held(share), queue.waiting(share)), (held, waiting.len()));
            assert!(held <= 1 + limits.borrowed_per_share, "share {share} holds {held}");
            assert!(!self.starves(*share) || full, "share {share} waits for its own worker");
            let must_wait = full || self.borrowed() == limits.borrowed || held == 1 + limits.borrowed_per_share;
            assert!(waiting.is_empty() || must_wait, "share {share} waits, and a worker is free for it");
        }
    }
}

fn play(happens: Vec<Happens>, limits: WorkerLimits) {
    let (mut queue, mut world) = (FairQueue::new(limits), World::default());
    for one in happens {
        match one {
            Happens::Comes(share) => {
                world.tickets += 1;
                world.waiting.entry(share).or_default().push(world.tickets);
                queue.enqueue(share, world.tickets);
            }
            Happens::Ends(place) if !world.held.is_empty() => {
                let share = world.held.swap_remove(place % world.held.len());
                queue.release(&share);
            }
            Happens::Ends(_) => {}
        }
        world.drain(&mut queue);
        world.check(&queue, limits);
    }
}

proptest! {
    /// As many shares as a city has: each has a worker of its own, always.
    #[test]
    fn fault_e12_no_share_waits_for_another_while_each_can_have_a_worker(happens in happens(4)) {
        play(happens, LIMITS);
    }

    /// More shares than workers: while one waits, each other begins at most once, so that it waits for at most as many as there are others.
    #[test]
    fn fault_e12_beyond_that_a_share_waits_for_at_most_one_of_each_other(happens in happens(20)) {
        play(happens, LIMITS);
    }

    /// One at a time for all, as the opening of repositories.
    #[test]
    fn fault_e12_a_single_worker_goes_round(happens in happens(6)) {
        play(happens, WorkerLimits { borrowed: 0, borrowed_per_share: 0, total: 1 });
    }
}

#[test]
fn fault_e12_a_share_that_fills_its_part_leaves_the_rest_and_its_own_worker_to_each_other() {
    let mut queue = FairQueue::new(LIMITS);
    let begun = |queue: &mut FairQueue<&'static str, u32>| std::iter::from_fn(|| queue.begin_next()).map(|(share, _)| share).collect::<Vec<_>>();
    for ticket in 0..100 {
        queue.enqueue("slow", ticket);
    }
    assert_eq!(begun(&mut queue), ["slow"; 3], "its own worker, and two borrowed ones");
    for ticket in 0..2 {
        queue.enqueue("other", ticket);
        queue.enqueue("third", ticket);
    }
    assert_eq!(begun(&mut queue), ["other", "third", "other", "third"], "each has its own, and what is left to borrow");
    assert_eq!(queue.waiting(&"slow"), 97);
    queue.release(&"unknown");
    queue.release(&"other");
    assert_eq!(begun(&mut queue), Vec::<&str>::new(), "a share holds no more than its part");
}
