//! How many writes are under way at once, as the API server takes them.

use std::time::Duration;

/// Writes at once at the beginning. A request takes milliseconds, and each step up takes as many answers as are under way.
const FIRST: usize = 32;
/// As few as slow answers alone make them: whoever asks for less says so.
const FEWEST_WHEN_SLOW: usize = 16;
/// At most.
const MOST: usize = 64;
/// At least.
const LEAST: usize = 2;
/// How many more are tried after as many answers as are under way.
const STEP: usize = 8;
/// Answers that take this many times as long as the fastest ones mean that more at once only wait.
const SLOW_FACTOR: f64 = 4.0;
/// Weight of the newest answer in the mean.
const WEIGHT: f64 = 0.1;

/// The number of writes at once: it grows while answers come as fast as before, and is halved when the server asks for less.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    at_once: usize,
    /// Answers since the number was last changed.
    answers: usize,
    /// Answers that were under way when it was halved: they say nothing of the new number.
    under_way: usize,
    /// Mean time of an answer in seconds.
    mean: f64,
    /// The best mean in seconds.
    best: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { at_once: FIRST, answers: 0, under_way: 0, mean: 0.0, best: f64::INFINITY }
    }
}

impl Pace {
    /// How many may be under way.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// An answer came after this time.
    pub fn answered(&mut self, after: Duration) {
        let seconds = after.as_secs_f64();
        self.mean = if self.mean == 0.0 { seconds } else { self.mean + WEIGHT * (seconds - self.mean) };
        self.answers += 1;
        self.under_way = self.under_way.saturating_sub(1);
        if self.answers < self.at_once {
            return;
        }
        self.answers = 0;
        self.best = self.best.min(self.mean);
        if self.mean <= SLOW_FACTOR * self.best {
            self.at_once = (self.at_once + STEP).min(MOST);
        } else {
            self.at_once = (self.at_once - self.at_once / 4).max(FEWEST_WHEN_SLOW);
        }
    }

    /// The server asked for less (429), or did not answer in time. Answers to what was under way then count once.
    pub fn refused(&mut self) {
        if self.under_way > 0 {
            self.under_way -= 1;
            return;
        }
        self.under_way = self.at_once;
        self.at_once = (self.at_once / 2).max(LEAST);
        self.answers = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pace: &mut Pace, answers: usize, milliseconds: u64) -> usize {
        (0..answers).for_each(|_| pace.answered(Duration::from_millis(milliseconds)));
        pace.at_once()
    }

    #[test]
    fn it_grows_while_answers_are_fast_and_is_halved_when_the_server_asks_for_less() {
        let mut pace = Pace::default();
        assert_eq!(pace.at_once(), 32);
        assert_eq!(after(&mut pace, 1_000, 10), 64);
        pace.refused();
        assert_eq!(pace.at_once(), 32);
        assert!(after(&mut pace, 31, 10) == 32 && after(&mut pace, 1, 10) == 40);
        // Answers that have become slow: more at once would only wait.
        assert_eq!(after(&mut pace, 2_000, 500), 16);
        // A refusal of one of them halves it again only after as many answers as are under way.
        for _ in 0..16 {
            pace.refused();
        }
        assert_eq!(pace.at_once(), 8, "what was under way counts once");
        for _ in 0..200 {
            pace.refused();
        }
        assert_eq!(pace.at_once(), 2);
        assert_eq!(after(&mut pace, 1_000, 10), 64);
    }
}
