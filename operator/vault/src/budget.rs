//! Limits the memory for packs. rustic restores with twenty threads, each holding a piece of a pack or a whole pack.

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// Maximum number of bytes in use at a time, unless a single piece is larger.
const MOST: usize = 48 << 20;

/// A semaphore for bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(Arc<Lent>);

#[derive(Debug, Default)]
struct Lent {
    bytes: Mutex<usize>,
    returned: Condvar,
}

/// A permit for the bytes of a piece, released on drop.
pub(crate) struct Room {
    budget: Budget,
    bytes: usize,
}

/// A piece with its permit: both are dropped together.
struct Piece {
    body: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Budget {
    /// Blocks until `bytes` fit. A caller must release its permit before acquiring another, or it deadlocks.
    pub(crate) fn room(&self, bytes: usize) -> Room {
        let mut lent = self.0.bytes.lock();
        while *lent > 0 && *lent + bytes > MOST {
            self.0.returned.wait(&mut lent);
        }
        *lent += bytes;
        Room { budget: self.clone(), bytes }
    }
}

impl Room {
    /// Bytes that hold their permit until the last reference is dropped.
    pub(crate) fn hold(self, body: Vec<u8>) -> Bytes {
        Bytes::from_owner(Piece { body, _room: self })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        *self.budget.0.bytes.lock() -= self.bytes;
        self.budget.0.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

    #[test]
    fn who_asks_for_more_than_is_left_waits_until_a_piece_is_dropped() {
        let budget = Budget::default();
        let piece = budget.room(MOST).hold(vec![1, 2, 3]);
        let part = piece.slice(1..2);
        drop(piece);
        let (granted, waits) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _room = budget.room(1);
                granted.send(()).unwrap();
            });
            assert_eq!(waits.recv_timeout(Duration::from_millis(100)), Err(mpsc::RecvTimeoutError::Timeout));
            assert_eq!(part, [2].as_slice());
            drop(part);
            waits.recv_timeout(Duration::from_secs(10)).unwrap();
        });
        // A piece larger than the budget gets its permit when nothing else is in use.
        drop(budget.room(10 * MOST));
    }
}
