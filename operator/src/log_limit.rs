//! Limits how much one district makes the operator write to its log: lines cost processor time and disk, and others' lines drown in them.

use p861_runs::district;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Lines of one district in a [`WINDOW`].
const MAX_LINES: u32 = 120;
const WINDOW: Duration = Duration::from_mins(1);

struct Lines {
    since: Instant,
    written: u32,
    /// Not written, and not told yet.
    left_out: u64,
}

/// A layer that leaves out what a district writes beyond its limit. What is written for no district has none. Clones share what they know.
#[derive(Clone, Default)]
pub struct LogLimit(Arc<Mutex<HashMap<Arc<str>, Lines>>>);

impl LogLimit {
    fn permits(&self, district: &Arc<str>, now: Instant) -> bool {
        let mut all = self.0.lock();
        let lines = all.entry(district.clone()).or_insert(Lines { since: now, written: 0, left_out: 0 });
        if now.duration_since(lines.since) >= WINDOW {
            (lines.since, lines.written) = (now, 0);
        }
        if lines.written >= MAX_LINES {
            lines.left_out += 1;
            return false;
        }
        lines.written += 1;
        true
    }

    /// How many lines of each district were left out since the last call. Districts that write nothing are forgotten.
    fn left_out(&self, now: Instant) -> Vec<(Arc<str>, u64)> {
        let mut all = self.0.lock();
        let left_out = all.iter_mut().map(|(district, lines)| (district.clone(), std::mem::take(&mut lines.left_out)));
        let left_out = left_out.filter(|(_, count)| *count > 0).collect();
        all.retain(|_, lines| now.duration_since(lines.since) < WINDOW);
        left_out
    }

    /// Says once in a while how many lines were left out, until the process ends.
    pub async fn report(self) {
        loop {
            tokio::time::sleep(WINDOW).await;
            for (district, count) in self.left_out(Instant::now()) {
                tracing::warn!(district = &*district, count, "lines about this district were left out of the log: it has more than {MAX_LINES} a minute");
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for LogLimit {
    fn event_enabled(&self, _: &Event<'_>, _: Context<'_, S>) -> bool {
        district::current().is_none_or(|district| self.permits(&district, Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn fault_e12_a_district_has_so_many_lines_a_minute_and_what_is_left_out_is_told() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let (noisy, quiet): (Arc<str>, Arc<str>) = ("noisy".into(), "quiet".into());
        let written = (0..1_000).filter(|_| limit.permits(&noisy, start)).count();
        assert_eq!(written, usize::try_from(MAX_LINES).unwrap_or_default());
        assert!(limit.permits(&quiet, start), "another district has its own");
        assert_eq!(limit.left_out(start), [(noisy.clone(), 1_000 - u64::from(MAX_LINES))]);
        assert_eq!(limit.left_out(start), [], "it is told once");
        assert!(!limit.permits(&noisy, start + WINDOW / 2));
        assert!(limit.permits(&noisy, start + WINDOW), "the next minute");
        assert!(!limit.left_out(start + 3 * WINDOW).is_empty() && limit.0.lock().is_empty(), "who writes nothing is forgotten");
    }

    #[tokio::test]
    async fn fault_e12_lines_count_for_the_district_whose_work_writes_them() {
        let lines = Arc::new(Mutex::new(Vec::<u8>::new()));
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || Pen(writer.clone())).finish().with(LogLimit::default());
        let _guard = tracing::subscriber::set_default(subscriber);
        district::work_for("noisy".into(), async { (0..500).for_each(|_| tracing::warn!("of noisy")) }).await;
        district::work_for("quiet".into(), async { tracing::warn!("of quiet") }).await;
        tracing::warn!("of nobody");
        let text = String::from_utf8(lines.lock().clone()).expect("a text");
        let count = |of: &str| text.lines().filter(|line| line.ends_with(of)).count();
        assert_eq!((count("of noisy"), count("of quiet"), count("of nobody")), (usize::try_from(MAX_LINES).expect("a number"), 1, 1));
    }

    struct Pen(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Pen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
