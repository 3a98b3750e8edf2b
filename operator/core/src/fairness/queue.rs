//! A queue for workers that several shares have in common. A share is a district, by its namespace on the hub.
//!
//! 1. A share that holds no worker begins at once. This worker is its own: whatever the others do, it never waits for them.
//! 2. Beyond it, a share borrows from workers that all have in common, and at most a part of them. They go to the share that holds least.
//! 3. Workers have a limit in all, so that their memory has one. If there are more shares than that, free workers go round: while a share waits that holds none,
//!    each other share begins at most once.
//!
//! Within a share the order is first in, first out. The caller says what begins and ends; nothing here waits or reads a clock.

use std::collections::{BTreeMap, VecDeque};

/// How many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Workers that all shares borrow from, beside the one that each has of its own.
    pub borrowed: usize,
    /// Of those, how many one share may hold.
    pub borrowed_per_share: usize,
    /// Workers in all. At least 1 counts.
    pub total: usize,
}

#[derive(Debug)]
struct Share<T> {
    /// Workers that it holds.
    held: usize,
    waiting: VecDeque<T>,
    /// Since when its first ticket is the next: since it came into an empty queue, or the one before it began.
    since: u64,
}

/// Tickets that wait for a worker, by share.
#[derive(Debug)]
pub struct FairQueue<S, T> {
    limits: WorkerLimits,
    shares: BTreeMap<S, Share<T>>,
    held: usize,
    borrowed: usize,
    clock: u64,
}

impl<S: Ord + Clone, T> FairQueue<S, T> {
    /// An empty queue.
    pub fn new(limits: WorkerLimits) -> Self {
        Self { limits: WorkerLimits { total: limits.total.max(1), ..limits }, shares: BTreeMap::new(), held: 0, borrowed: 0, clock: 0 }
    }

    /// A ticket waits for a worker. Follow with [`Self::begin_next`] until it returns none.
    pub fn enqueue(&mut self, share: S, ticket: T) {
        let now = self.tick();
        let share = self.shares.entry(share).or_insert_with(|| Share { held: 0, waiting: VecDeque::new(), since: now });
        if share.waiting.is_empty() {
            share.since = now;
        }
        share.waiting.push_back(ticket);
    }

    /// A worker of the share is free again. Follow with [`Self::begin_next`] until it returns none.
    pub fn release(&mut self, share: &S) {
        let Some(of) = self.shares.get_mut(share).filter(|of| of.held > 0) else { return };
        of.held -= 1;
        self.held -= 1;
        if of.held > 0 {
            self.borrowed -= 1;
        } else if of.waiting.is_empty() {
            self.shares.remove(share);
        }
    }

    /// The ticket that begins now, and its share, which holds a worker for it from now on; none if all that wait have to go on waiting.
    pub fn begin_next(&mut self) -> Option<(S, T)> {
        if self.held >= self.limits.total {
            return None;
        }
        let may_borrow = self.borrowed < self.limits.borrowed;
        let of_share = self.limits.borrowed_per_share;
        let may_begin = |of: &Share<T>| !of.waiting.is_empty() && (of.held == 0 || (may_borrow && of.held <= of_share));
        let next = self.shares.iter().filter(|(_, of)| may_begin(of)).min_by_key(|(_, of)| (of.held, of.since));
        let share = next.map(|(share, _)| share.clone())?;
        let now = self.tick();
        let of = self.shares.get_mut(&share)?;
        let ticket = of.waiting.pop_front()?;
        if of.held > 0 {
            self.borrowed += 1;
        }
        of.held += 1;
        of.since = now;
        self.held += 1;
        Some((share, ticket))
    }

    /// Workers that the share holds.
    pub fn held(&self, share: &S) -> usize {
        self.shares.get(share).map_or(0, |of| of.held)
    }

    /// Tickets of the share that wait.
    pub fn waiting(&self, share: &S) -> usize {
        self.shares.get(share).map_or(0, |of| of.waiting.len())
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}
