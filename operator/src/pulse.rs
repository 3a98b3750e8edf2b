//! Whether the process is alive: whether its runtime still gets round to its tasks.
//!
//! Starving is not dead. A process that gets no processor time, or that was frozen for a while, goes on by itself, and a restart would only cost it more. So the runtime's silence is
//! not measured in time but in turns that the watching thread has had meanwhile: what keeps the runtime from running keeps the watch from counting.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Time between beats, and between the turns of the watch.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);
/// Turns of the watch without a beat after which the runtime counts as dead. No task may keep a thread for so long.
const MAX_SILENT_TURNS: u32 = 60;

/// The pulse of a runtime. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU32>);

impl Pulse {
    /// Beats, in the runtime that is watched.
    pub async fn keep_beating(self) {
        loop {
            self.beat();
            tokio::time::sleep(BEAT_INTERVAL).await;
        }
    }

    /// Watches, on a thread that the runtime has no part in.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(BEAT_INTERVAL).await;
            self.turn();
        }
    }

    fn beat(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn turn(&self) {
        // Two threads never count at once, so nothing is lost.
        self.0.store(self.0.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    /// Whether the runtime is dead.
    pub fn has_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MAX_SILENT_TURNS
    }

    /// A pulse that has stopped.
    #[cfg(test)]
    pub fn stopped() -> Self {
        let pulse = Self::default();
        (0..=MAX_SILENT_TURNS).for_each(|_| pulse.turn());
        pulse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_h7_only_a_runtime_that_is_silent_while_the_watch_has_its_turns_is_dead() {
        let pulse = Pulse::default();
        for _ in 0..MAX_SILENT_TURNS {
            pulse.turn();
        }
        // Frozen, or without processor time: neither the runtime nor the watch has a turn, however long that takes.
        assert!(!pulse.has_stopped());
        pulse.turn();
        assert!(pulse.has_stopped());
        pulse.beat();
        assert!(!pulse.has_stopped(), "one that goes on is alive");
    }
}
