//! How often something may be asked: a bucket that fills with time, and one for each of many.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// A limit: so many at once, and afterwards one in each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Time until one more is allowed.
    pub interval: Duration,
}

/// A bucket of permits. Times are since any fixed moment, by a clock that never goes back.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// The moment at which it would be full.
    full_at: Duration,
}

impl Bucket {
    const FULL: Self = Self { full_at: Duration::ZERO };

    fn take(&mut self, rate: Rate, now: Duration) -> bool {
        let full_at = self.full_at.max(now) + rate.interval;
        let allowed = full_at.saturating_sub(now) <= rate.interval * rate.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

/// A bucket for each key, and a bound to their number.
#[derive(Clone, Debug)]
pub struct RateLimit<K> {
    rate: Rate,
    most_keys: usize,
    buckets: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> RateLimit<K> {
    /// A limit for at most so many keys at a time. More are refused until earlier ones are full again.
    pub fn new(rate: Rate, most_keys: usize) -> Self {
        Self { rate, most_keys, buckets: HashMap::new() }
    }

    /// Takes a permit of this key, if there is one.
    pub fn take(&mut self, key: K, now: Duration) -> bool {
        if self.buckets.len() >= self.most_keys && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| bucket.full_at > now);
            if self.buckets.len() >= self.most_keys {
                return false;
            }
        }
        self.buckets.entry(key).or_insert(Bucket::FULL).take(self.rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, interval: Duration::from_secs(10) };

    #[test]
    fn fault_e21_a_burst_passes_and_then_one_in_each_interval() {
        let mut limit = RateLimit::new(RATE, 10);
        let mut passed = |seconds: u64| limit.take("a", Duration::from_secs(seconds));
        // The clock begins anywhere.
        let times =
            [(100, true), (100, true), (101, true), (101, false), (109, false), (110, true), (111, false), (200, true), (200, true), (200, true), (200, false)];
        for (seconds, expected) in times {
            assert_eq!(passed(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn fault_e21_each_key_has_its_own_permits_and_a_flood_of_keys_takes_no_memory() {
        let mut limit = RateLimit::new(RATE, 2);
        let now = Duration::from_secs(5);
        for key in ["a", "a", "a", "b"] {
            assert!(limit.take(key, now));
        }
        assert!(!limit.take("a", now) && limit.take("b", now));
        assert!(!limit.take("c", now), "two are kept");
        assert_eq!(limit.buckets.len(), 2);
        assert!(limit.take("c", now + Duration::from_secs(30)), "those that are full again are forgotten");
        assert_eq!(limit.buckets.len(), 1);
    }
}
