//! Whether this process may act. Only the lease holder writes.

use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Longer than any process runs.
const LONGER_THAN_ANY_PROCESS: Duration = Duration::from_hours(100 * 365 * 24);

/// Whether this process may act.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    /// The process may act until then; none if it does not lead.
    Until(Option<Instant>),
    /// It acts no more, whatever is read of the lease.
    Resigned,
}

impl Leadership {
    /// Leadership of a process that does not lead.
    pub fn none() -> Self {
        Self(Arc::new(Mutex::new(State::Until(None))))
    }

    /// Of a process that needs no lease, because nobody competes with it for a hub: `p861` without a hub, and tests. It leads until it resigns.
    pub fn without_lease() -> Self {
        Self(Arc::new(Mutex::new(State::Until(Instant::now().checked_add(LONGER_THAN_ANY_PROCESS)))))
    }

    /// Checks that the lease is certainly unexpired. Call before every write. No request.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub fn ensure(&self) -> Result<()> {
        if self.holds() { Ok(()) } else { Err(Error::LeaseLost) }
    }

    /// Whether the lease is certainly unexpired now.
    pub fn holds(&self) -> bool {
        matches!(*self.0.lock(), State::Until(Some(until)) if Instant::now() < until)
    }

    /// Gives up the right to act for good, before the lease itself is given up: a renewal that is read afterwards doesn't bring it back.
    pub fn resign(&self) {
        *self.0.lock() = State::Resigned;
    }

    /// Leads for this long from now.
    #[cfg(test)]
    pub(crate) fn lead_for(&self, duration: Duration) {
        self.set(Some(Instant::now() + duration));
    }

    /// Sets the time until which this process may act, unless it has resigned; none ends it at once.
    pub fn set(&self, until: Option<Instant>) {
        let mut state = self.0.lock();
        if matches!(*state, State::Until(_)) {
            *state = State::Until(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_h7_who_has_resigned_acts_no_more_whatever_is_read_of_the_lease_afterwards() {
        let leadership = Leadership::none();
        leadership.lead_for(Duration::from_mins(1));
        leadership.set(None);
        assert!(!leadership.holds());
        leadership.lead_for(Duration::from_mins(1));
        assert!(leadership.holds(), "a lease that was missed once may be had again");
        let other = leadership.clone();
        leadership.resign();
        other.lead_for(Duration::from_mins(1));
        assert!(!leadership.holds() && !other.holds());
        assert!(matches!(other.ensure(), Err(Error::LeaseLost)));
    }
}
