//! Bounded parallelism: a remote store has high latency but serves many requests at once.

use crate::VaultError;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests that wait for the store at the same time.
pub(crate) const REQUESTS: usize = 16;

/// Does `work` for every item, at most `threads` at a time, and gives the results in the items' order. The first error ends it.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> Result<R, VaultError> + Sync) -> Result<Vec<R>, VaultError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    match work(item) {
                        Ok(result) => done.lock().push((index, result)),
                        Err(error) => {
                            next.store(items.len(), Ordering::Relaxed);
                            failed.lock().get_or_insert(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    let mut done = done.into_inner();
    done.sort_unstable_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(each(&items, 7, |item| Ok(item * 2)).unwrap(), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(each(&[] as &[usize], 7, |item| Ok(*item)).unwrap().is_empty());
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let started = AtomicUsize::new(0);
        let items: Vec<usize> = (0..100_000).collect();
        let result = each(&items, 4, |item| {
            started.fetch_add(1, Ordering::Relaxed);
            if *item == 10 { Err(VaultError::Other { what: "do".into(), message: "ten".into() }) } else { Ok(()) }
        });
        assert!(result.unwrap_err().to_string().contains("ten"));
        assert!(started.into_inner() < items.len(), "the rest is not begun");
    }
}
