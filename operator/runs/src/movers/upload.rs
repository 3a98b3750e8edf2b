//! A mover's part of what its site, its repository and its policy allow to be uploaded, by the time of day.

use super::lease::Beside;
use jiff::Timestamp;
use p861_core::protection::policy::bandwidth::UploadLimits;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the rate is set: hours begin by the minute, and others come and go.
const SET_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the process's rate as it should be, until it is dropped.
pub(super) struct Upload(JoinHandle<()>);

impl Upload {
    /// Sets the rate now and from time to time. Whoever stores another backup in the repository has an equal part.
    pub(super) fn keep(limits: UploadLimits, beside: Beside) -> Self {
        p861_vault::set_upload_rate(part(&limits, beside.number(), Timestamp::now()));
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(SET_INTERVAL).await;
                p861_vault::set_upload_rate(part(&limits, beside.number(), Timestamp::now()));
            }
        }))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn part(limits: &UploadLimits, others: u64, now: Timestamp) -> Option<u64> {
    Some(limits.at(now)? / (others + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::protection::policy::bandwidth::UploadLimit;
    use p861_crds::common::Quantity;

    #[test]
    fn movers_that_store_backups_at_once_have_equal_parts() {
        let limit = UploadLimit::of(Some(&Quantity("3M".into())), &[]).expect("a limit");
        let limits = UploadLimits { zone: "UTC".into(), limits: vec![limit] };
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!([0, 2].map(|others| part(&limits, others, now)), [Some(3_000_000), Some(1_000_000)]);
        assert_eq!(part(&UploadLimits::default(), 2, now), None);
    }
}
