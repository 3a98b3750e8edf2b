//! How soon a run is looked at again.

use super::{MAX_WAIT, MIN_WAIT, POLL_INTERVAL};
use crate::pass::Pass;
use jiff::{SignedDuration, Timestamp};
use p861_core::runs::Action;
use std::time::Duration;

/// Time between passes while a mover has just begun: sealing or verifying takes less than a second, and its end is not to wait for the next look.
const QUICK_INTERVAL: Duration = Duration::from_millis(200);
/// For so long after the last record of the run.
const QUICK_PERIOD: SignedDuration = SignedDuration::from_secs(5);

/// Time between passes while effects are in progress.
fn interval(moves: bool, since_last_record: SignedDuration) -> Duration {
    if moves && since_last_record < QUICK_PERIOD { QUICK_INTERVAL } else { POLL_INTERVAL }
}

/// Time until the next pass: short while effects are in progress, otherwise by the engine's clock.
pub(super) fn next_look(pass: &Pass, now: Timestamp) -> Duration {
    if pass.in_flight {
        let moves = pass.progress.keys().any(|id| matches!(pass.plan.step(id).map(|step| &step.action), Some(Action::Move { .. })));
        let last = pass.journal.records().last().map_or(Timestamp::UNIX_EPOCH, |record| record.at);
        return interval(moves, now.duration_since(last));
    }
    let by_clock = pass.next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
    by_clock.unwrap_or(MAX_WAIT).clamp(MIN_WAIT, MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_g2_a_mover_that_has_just_begun_is_looked_at_more_often_and_nothing_else_is() {
        for (moves, seconds, expected) in [(true, 0, QUICK_INTERVAL), (true, 4, QUICK_INTERVAL), (true, 5, POLL_INTERVAL), (false, 0, POLL_INTERVAL)] {
            assert_eq!(interval(moves, SignedDuration::from_secs(seconds)), expected, "{moves} {seconds}");
        }
    }
}
