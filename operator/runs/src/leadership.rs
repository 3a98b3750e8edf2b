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
pub struct Leadership {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Leadership {
    /// Leadership of a process that does not lead.
    pub fn none() -> Self {
        Self { until: Arc::new(Mutex::new(None)) }
    }

    /// Of a process that needs no lease, because nobody competes with it for a hub: `p861` without a hub, and tests. It leads until it resigns.
    pub fn without_lease() -> Self {
        Self { until: Arc::new(Mutex::new(Instant::now().checked_add(LONGER_THAN_ANY_PROCESS))) }
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
        self.until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Gives up the right to act, before the lease itself is given up.
    pub fn resign(&self) {
        self.set(None);
    }

    /// Leads for this long from now.
    #[cfg(test)]
    pub(crate) fn lead_for(&self, duration: Duration) {
        self.set(Some(Instant::now() + duration));
    }

    /// Sets the time until which this process may act; none ends it at once.
    pub fn set(&self, until: Option<Instant>) {
        *self.until.lock() = until;
    }
}
