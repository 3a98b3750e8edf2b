//! Workers that districts share, given out as [`FairQueue`] decides. Waiting costs a few hundred bytes and holds nothing.

use p861_core::fairness::{FairQueue, WorkerLimits};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Workers in common. Clones share them.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Mutex<FairQueue<Arc<str>, oneshot::Sender<Worker>>>>);

/// A worker, free again when this is dropped.
#[derive(Debug)]
pub struct Worker {
    /// None once it was given back.
    held: Option<(Workers, Arc<str>)>,
}

impl Workers {
    /// So many workers, all of them free.
    pub fn new(limits: WorkerLimits) -> Self {
        Self(Arc::new(Mutex::new(FairQueue::new(limits))))
    }

    /// Waits for a worker for this share.
    pub async fn acquire(&self, share: &Arc<str>) -> Worker {
        let (ticket, worker) = oneshot::channel();
        self.0.lock().enqueue(share.clone(), ticket);
        self.give_out();
        // The queue keeps a ticket until it has its turn, so the sender is never lost. A worker that the queue doesn't count could only be too many.
        worker.await.unwrap_or(Worker { held: None })
    }

    fn give_out(&self) {
        loop {
            let Some((share, ticket)) = self.0.lock().begin_next() else { return };
            let worker = Worker { held: Some((self.clone(), share.clone())) };
            if let Err(mut unwanted) = ticket.send(worker) {
                // Whoever waited is gone. Given back here: its own drop would come back to this loop, once for each that is gone.
                unwanted.held = None;
                self.0.lock().release(&share);
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((workers, share)) = self.held.take() {
            workers.0.lock().release(&share);
            workers.give_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::pin;

    const ONE_EACH: WorkerLimits = WorkerLimits { borrowed: 0, borrowed_per_share: 0, total: 2 };

    #[tokio::test]
    async fn fault_e12_a_worker_goes_on_to_the_next_and_who_is_gone_keeps_none() {
        let (workers, share) = (Workers::new(ONE_EACH), Arc::<str>::from("shinan"));
        let first = workers.acquire(&share).await;
        for _ in 0..10_000 {
            assert!(workers.acquire(&share).now_or_never().is_none(), "the share has one worker");
        }
        let mut waits = pin!(workers.acquire(&share));
        assert!(waits.as_mut().now_or_never().is_none());
        let other = workers.acquire(&"laoshan".into()).now_or_never();
        assert!(other.is_some(), "another share has its own");
        drop(first);
        let second = waits.now_or_never().expect("it is free again");
        drop(second);
        assert!(workers.acquire(&share).now_or_never().is_some());
    }
}
