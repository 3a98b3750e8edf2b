//! Progress bars from texts such as `1.3 GiB of 1.8 GiB` or `143 of 145`.

use p861_core::quantity::{Quantity, human_bytes};

/// Something done, of something in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// So much is done.
    pub done: u64,
    /// Of so much.
    pub total: u64,
    /// Whether these are bytes; otherwise they are things.
    pub bytes: bool,
}

/// What is in a cell that is partly filled, in eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

impl Amount {
    /// Reads `A of B` at the start of a message, where both are sizes (`1.3 GiB`, `1.3Gi`) or both are numbers.
    pub fn read(message: &str) -> Option<Self> {
        let (left, right) = message.split_once(" of ")?;
        let right = right.split([';', ',']).next().unwrap_or(right);
        let (done, total) = (number(left)?, number(right)?);
        (total.0 > 0 && done.0 <= total.0).then_some(Self { done: done.0, total: total.0, bytes: done.1 || total.1 })
    }

    /// Whole percent, rounded down: 100 is said when all is done.
    pub fn percent(self) -> u64 {
        u64::try_from(u128::from(self.done) * 100 / u128::from(self.total.max(1))).unwrap_or(100).min(100)
    }

    /// A bar of so many cells.
    pub fn bar(self, cells: u64) -> String {
        let eighths = u64::try_from(u128::from(self.done.min(self.total)) * u128::from(cells * 8) / u128::from(self.total.max(1))).unwrap_or(0);
        let (full, rest) = (eighths / 8, usize::try_from(eighths % 8).unwrap_or(0));
        let part = EIGHTHS.get(rest).copied().unwrap_or("");
        let empty = cells - full - u64::from(!part.is_empty());
        format!("{}{part}{}", "█".repeat(usize::try_from(full).unwrap_or(0)), "░".repeat(usize::try_from(empty).unwrap_or(0)))
    }

    /// How much a second, after so many seconds.
    pub fn rate(self, seconds: i64) -> Option<u64> {
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
        Some(self.done / seconds).filter(|rate| *rate > 0)
    }

    /// Seconds that it will still take at the rate so far.
    pub fn left(self, seconds: i64) -> Option<i64> {
        let rate = self.rate(seconds)?;
        i64::try_from((self.total - self.done) / rate).ok()
    }

    /// The rate for people: `62 MiB/s`.
    pub fn speed(self, seconds: i64) -> Option<String> {
        let rate = self.rate(seconds)?;
        Some(if self.bytes { format!("{}/s", human_bytes(rate)) } else { format!("{rate}/s") })
    }
}

/// A number, and whether it is a size.
fn number(text: &str) -> Option<(u64, bool)> {
    let text = text.trim();
    if let Ok(plain) = text.parse::<u64>() {
        return Some((plain, false));
    }
    // `1.3 GiB` is written for people, `1.3Gi` is a quantity: they differ by a blank and a B.
    let compact = text.replace(' ', "");
    let quantity = compact.strip_suffix('B').unwrap_or(&compact);
    Quantity::parse(quantity).ok()?.bytes().ok().map(|bytes| (bytes, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_the_operator_and_people_write_them() {
        let gib = 1 << 30;
        for (message, expected) in [
            ("143 of 145", Some((143, 145, false))),
            ("1.5 GiB of 3.0 GiB", Some((gib * 3 / 2, gib * 3, true))),
            ("1Gi of 2Gi at 62Mi/s", None),
            ("512 B of 2.0 KiB; before: S3 was down", Some((512, 2048, true))),
            ("under way", None),
            ("3 of 2", None),
            ("0 of 0", None),
        ] {
            assert_eq!(Amount::read(message), expected.map(|(done, total, bytes)| Amount { done, total, bytes }), "{message}");
        }
    }

    #[test]
    fn a_bar_is_always_as_wide_as_was_asked_for() {
        for done in 0..=1000 {
            assert_eq!(Amount { done, total: 1000, bytes: true }.bar(20).chars().count(), 20, "{done}");
            assert_eq!(Amount { done, total: 1000, bytes: true }.bar(10).chars().count(), 10, "{done}");
        }
        assert_eq!(Amount { done: 667, total: 1000, bytes: true }.bar(20), "█████████████▎░░░░░░");
        assert_eq!(Amount { done: 999, total: 1000, bytes: true }.percent(), 99);
    }

    #[test]
    fn speed_and_the_time_that_is_left_come_from_the_time_so_far() {
        let amount = Amount { done: 600 << 20, total: 1200 << 20, bytes: true };
        assert_eq!((amount.speed(10).as_deref(), amount.left(10)), (Some("60 MiB/s"), Some(10)));
        assert_eq!((amount.speed(0), amount.left(0)), (None, None));
    }
}
