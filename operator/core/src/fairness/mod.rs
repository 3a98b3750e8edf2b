//! Fair shares of what all districts have in common: who may begin next, and when something that took too long is tried again.

mod queue;
#[cfg(test)]
mod queue_properties;

pub use queue::{FairQueue, WorkerLimits};

use std::time::Duration;

/// Wait after the first reconcile of an object that was given up; doubled after each further one.
pub const FIRST_RETRY_WAIT: Duration = Duration::from_secs(15);
/// Longest wait after a reconcile that was given up.
pub const LONGEST_RETRY_WAIT: Duration = Duration::from_mins(5);

/// Wait before an object is reconciled again of which so many reconciles in a row were given up: 15 s, 30 s, 1 min … up to 5 min. 0 counts as 1.
pub fn retry_wait(given_up: u32) -> Duration {
    // Beyond 2^16 the product is longer than the longest wait anyway.
    FIRST_RETRY_WAIT.saturating_mul(1 << given_up.saturating_sub(1).min(16)).min(LONGEST_RETRY_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e12_what_takes_too_long_is_tried_less_and_less_often() {
        let waits: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, 7, u32::MAX].map(|given_up| retry_wait(given_up).as_secs()).into();
        assert_eq!(waits, [15, 15, 30, 60, 120, 240, 300, 300, 300]);
    }
}
