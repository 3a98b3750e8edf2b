//! A policy as it was understood.

use crate::{
    schedule::{Budget, Periods, Schedule, ScheduleError, zone},
    time::{DurationError, parse_duration},
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{BackupPolicySpec, protection::policy::PolicyState};

/// Longest jitter that is given when the policy states none.
const MAX_DEFAULT_JITTER: SignedDuration = SignedDuration::from_mins(10);
/// Part of the shortest period that it is.
const DEFAULT_JITTER_SHARE: i32 = 10;

/// A policy that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Its schedule, or the district's time zone.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Its schedule never comes.
    #[error("schedule {0:?} has no day that comes within eight years: correct day of month and month")]
    Never(String),
    /// A duration.
    #[error("spec.{field}: {error}")]
    Duration {
        /// The field.
        field: &'static str,
        /// What is wrong.
        error: DurationError,
    },
}

/// A suspension that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Why.
    pub reason: String,
    /// Until when; none if nobody has said.
    pub until: Option<Timestamp>,
}

/// What a policy says, ready to be asked.
#[derive(Clone, Debug)]
pub struct Terms {
    /// When backups are due.
    pub schedule: Schedule,
    /// The schedule and its zone, as the status tells them.
    pub text: String,
    /// How far apart they are.
    pub periods: Periods,
    /// Backups of different applications begin within this time.
    pub jitter: SignedDuration,
    /// What has not begun within this time is missed.
    pub starting_deadline: SignedDuration,
    /// It takes no backups now.
    pub suspended: Option<Suspended>,
    /// A suspension has ended then.
    pub resumed: Option<Timestamp>,
}

impl Terms {
    /// Reads a policy as of `now`; `zone_name` is its district's time zone.
    ///
    /// # Errors
    /// [`TermsError`], with what to write.
    pub fn parse(spec: &BackupPolicySpec, zone_name: &str, now: Timestamp) -> Result<Self, TermsError> {
        let schedule = Schedule::parse(&spec.schedule, &zone(zone_name)?)?;
        let periods = schedule.periods(now, &Budget::of_each(1)).ok_or_else(|| TermsError::Never(spec.schedule.clone()))?;
        let duration = |field, text: &str| parse_duration(text).map_err(|error| TermsError::Duration { field, error });
        let jitter = match &spec.jitter {
            // A longer one would only part slots from what they are called.
            Some(asked) => duration("jitter", &asked.0)?.min(periods.shortest),
            None => (periods.shortest / DEFAULT_JITTER_SHARE).min(MAX_DEFAULT_JITTER),
        };
        let end = spec.suspension.as_ref().and_then(|suspension| suspension.end_time.as_ref()).map(|end| end.0);
        let is_suspended = spec.state == PolicyState::Suspended && end.is_none_or(|end| now < end);
        let reason = || spec.suspension.as_ref().map(|suspension| suspension.reason.clone()).unwrap_or_default();
        Ok(Self {
            text: format!("{} {zone_name}", spec.schedule),
            schedule,
            periods,
            jitter,
            starting_deadline: duration("startingDeadline", &spec.starting_deadline.0)?,
            suspended: is_suspended.then(|| Suspended { reason: reason(), until: end }),
            resumed: end.filter(|end| spec.state == PolicyState::Suspended && *end <= now),
        })
    }
}
