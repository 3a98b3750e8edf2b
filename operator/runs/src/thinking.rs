//! Work that computes for long and waits for nothing. On a thread of the runtime it would hold up whatever else that thread has to do: other districts' reconciles, the
//! renewal of the lease, the answer to the kubelet.

use crate::{
    district,
    error::{Error, Result},
    places::Places,
};
use std::sync::LazyLock;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Such pieces of work that one district has under way at once.
const MAX_PER_DISTRICT: usize = 1;

/// Does the work on a thread of its own, one piece after the other for each district.
///
/// # Errors
/// If the work panics.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    static PLACES: LazyLock<Places> = LazyLock::new(|| Places::new(MAX_PER_DISTRICT));
    // With the work: whoever gives up waiting for it does not end it, and begins no other meanwhile.
    let place = PLACES.take(&district::current().unwrap_or_default()).await;
    let work = move || {
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(district::carried(work)).await.map_err(|error| Error::Internal(format!("work on a thread of its own: {error}")))
}

/// Does the work here, and lets another thread take over what this one has to do besides. For work that borrows.
pub fn beside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    #[tokio::test]
    async fn fault_e28_one_district_computes_one_thing_at_a_time_and_the_runtime_goes_on() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |district: &'static str| {
            let (now, most) = (now.clone(), most.clone());
            district::work_for(
                district.into(),
                apart(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(50));
                    now.fetch_sub(1, Ordering::SeqCst);
                }),
            )
        };
        let mut ticks = 0;
        let tick = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ticks += 1;
            }
        };
        let all = async { tokio::join!(work("shinan"), work("shinan"), work("shinan")) };
        tokio::select! {
            done = all => assert!(done.0.is_ok() && done.1.is_ok() && done.2.is_ok()),
            () = tick => {}
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert!(ticks > 3, "the one thread of this runtime was free: {ticks}");
    }

    #[test]
    fn work_beside_is_done_on_any_runtime_and_on_none() {
        assert_eq!(beside(|| 1), 1);
        let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(one.block_on(async { beside(|| 2) }), 2);
        let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        assert_eq!(many.block_on(async { tokio::spawn(async { beside(|| 3) }).await.unwrap() }), 3);
    }
}
