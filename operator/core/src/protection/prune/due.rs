//! When a repository is thinned out: at night, in the order forget, prune; what a person has asked for at once.

use super::steps::MAX_SNAPSHOTS;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    BackupRepositoryStatus, Time,
    common::{Quantity, RunPhase},
    protection::retention::RetentionWork,
};
use sha2::{Digest as _, Sha256};

/// The hour of the day, in the district's time zone, from which on it is done.
const HOUR: i8 = 2;
/// Repositories begin within this time, each always at the same distance.
const SPREAD: SignedDuration = SignedDuration::from_hours(2);
/// What was not begun within this time waits for the next night: backups of the day go first.
const WINDOW: SignedDuration = SignedDuration::from_hours(4);
/// What was promised, and not done for so long, is done by day: a hub may be switched off every night.
const NOT_LATER_THAN: SignedDuration = SignedDuration::from_hours(72);
/// How often a repository is pruned in which nothing is known to be in the way: parts of failed backups, and what other programs have left.
const PRUNED_EVERY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long after one that didn't succeed the next is tried.
pub const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// A time is of the future only if it is this much ahead.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// As the status counts them.
const MAX_SNAPSHOTS_COUNTED: i64 = 1_000;
const _: () = assert!(MAX_SNAPSHOTS == 1_000);

/// By what is decided whether a repository is thinned out. No run of it is under way.
#[derive(Clone, Copy, Debug)]
pub struct DueFacts<'a> {
    /// UID of the BackupRepository.
    pub uid: &'a str,
    /// When that was made.
    pub created: Timestamp,
    /// Its status.
    pub status: &'a BackupRepositoryStatus,
    /// Number of snapshots that go.
    pub going: usize,
    /// Number of these that people have asked for.
    pub asked: usize,
    /// The district's time zone.
    pub zone: &'a TimeZone,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// This, now.
    Now(RetentionWork),
    /// Nothing before then.
    At(Timestamp),
}

/// What is due at `now`.
pub fn due(facts: &DueFacts<'_>, now: Timestamp) -> Due {
    let (slot, next) = slots(facts.uid, facts.zone, now);
    if let Some(until) = pause(facts.status, now) {
        return Due::At(until);
    }
    if facts.asked > 0 {
        return Due::Now(RetentionWork::Forget);
    }
    let past = |time: &Option<Time>| time.as_ref().map(|time| time.0).filter(|time| now.duration_since(*time) > -CLOCKS_DIFFER);
    let (forgot, pruned) = (past(&facts.status.last_forget_time), past(&facts.status.last_prune_time));
    let promised = facts.status.next_retention_time.as_ref().is_some_and(|time| time.0 <= now);
    let may_begin = |last: Option<Timestamp>| {
        let last = last.unwrap_or(facts.created.min(now));
        last < slot && (now.duration_since(slot) < WINDOW || promised && now.duration_since(last) > NOT_LATER_THAN)
    };
    // What one run could not take goes with the next.
    let took_all = facts.status.forgotten.is_none_or(|forgotten| forgotten < MAX_SNAPSHOTS_COUNTED);
    if facts.going > 0 && (may_begin(forgot) || !took_all && now.duration_since(slot) < WINDOW) {
        return Due::Now(RetentionWork::Forget);
    }
    let has_marked = facts.status.marked.as_ref().is_some_and(|Quantity(bytes)| bytes != "0");
    let since_pruned = now.duration_since(pruned.unwrap_or(facts.created.min(now)));
    if (forgot > pruned || has_marked || since_pruned > PRUNED_EVERY) && may_begin(pruned) {
        return Due::Now(RetentionWork::Prune);
    }
    Due::At(next)
}

/// Until when nothing is begun, after a run that didn't succeed.
fn pause(status: &BackupRepositoryStatus, now: Timestamp) -> Option<Timestamp> {
    let last = status.retention_run.as_ref().filter(|last| last.phase.is_end() && last.phase != RunPhase::Succeeded)?;
    let ended = last.completion_time.as_ref()?.0;
    let until = ended.saturating_add(RETRY_AFTER).unwrap_or(Timestamp::MAX);
    // One that has ended in the future says nothing.
    (now < until && now.duration_since(ended) > -CLOCKS_DIFFER).then_some(until)
}

/// The last time at which this repository's turn came, and the next one.
fn slots(uid: &str, zone: &TimeZone, now: Timestamp) -> (Timestamp, Timestamp) {
    let today = now.to_zoned(zone.clone());
    let of_day = |days: i64| {
        let day = today.date().saturating_add(SignedDuration::from_hours(24 * days));
        // An hour that the clock leaves out is at the end of what is left out.
        let hour = day.at(HOUR, 0, 0, 0).to_zoned(zone.clone()).unwrap_or_else(|_| today.clone());
        hour.timestamp().saturating_add(spread(uid)).unwrap_or(now)
    };
    let all = [-1, 0, 1].map(of_day);
    let last = all.into_iter().filter(|slot| *slot <= now).max().unwrap_or(all[0]);
    let next = all.into_iter().filter(|slot| *slot > now).min().unwrap_or(all[2]);
    (last, next)
}

/// How long after the hour a repository has its turn: always the same, and different for each.
fn spread(uid: &str) -> SignedDuration {
    let digest = Sha256::digest([b"retention\0", uid.as_bytes()].concat());
    let number = digest.iter().take(4).fold(0_i64, |number, byte| (number << 8) | i64::from(*byte));
    SignedDuration::from_secs(number % SPREAD.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::protection::retention::RetentionRun;

    const UID: &str = "3f6c1f3e-0000-4000-8000-000000000001";

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Shanghai").expect("a zone")
    }

    /// The repository's turn on a night, by the date of the district.
    fn turn(day: &str) -> Timestamp {
        time(&format!("{day}T02:00:00+08:00")) + spread(UID)
    }

    fn asked(status: &BackupRepositoryStatus, going: usize, asked: usize, now: Timestamp) -> Due {
        due(&DueFacts { uid: UID, created: time("2026-01-01T00:00:00Z"), status, going, asked, zone: &zone() }, now)
    }

    #[test]
    fn what_goes_by_the_policy_goes_at_night_and_the_repository_is_pruned_after_it() {
        let yesterday = turn("2026-11-14") + SignedDuration::from_mins(5);
        let mut status =
            BackupRepositoryStatus { last_forget_time: Some(Time(yesterday)), last_prune_time: Some(Time(yesterday)), ..BackupRepositoryStatus::default() };
        let night = turn("2026-11-15");
        let before = night - SignedDuration::from_secs(1);
        assert_eq!(asked(&status, 3, 0, before), Due::At(night));
        assert_eq!(asked(&status, 3, 0, night), Due::Now(RetentionWork::Forget));
        assert_eq!(asked(&status, 0, 0, night), Due::At(turn("2026-11-16")), "nothing goes, and nothing was marked");
        status.last_forget_time = Some(Time(night + SignedDuration::from_mins(1)));
        assert_eq!(asked(&status, 0, 0, night + SignedDuration::from_mins(2)), Due::Now(RetentionWork::Prune));
        assert_eq!(asked(&status, 5, 0, night + SignedDuration::from_mins(2)), Due::Now(RetentionWork::Prune), "once a night is enough");
        status.forgotten = Some(MAX_SNAPSHOTS_COUNTED);
        assert_eq!(asked(&status, 5, 0, night + SignedDuration::from_mins(2)), Due::Now(RetentionWork::Forget), "unless one run could not take all");
        status.forgotten = Some(3);
        status.last_prune_time = Some(Time(night + SignedDuration::from_mins(9)));
        status.marked = Some(Quantity("40960".into()));
        assert_eq!(asked(&status, 0, 0, night + SignedDuration::from_mins(10)), Due::At(turn("2026-11-16")));
        assert_eq!(asked(&status, 0, 0, turn("2026-11-16")), Due::Now(RetentionWork::Prune), "what was marked leaves the next night");
    }

    #[test]
    fn what_a_policy_lets_go_that_was_just_declared_waits_for_the_night_so_that_people_can_look_at_it() {
        let noon = time("2026-11-15T12:00:00+08:00");
        let status = BackupRepositoryStatus::default();
        assert_eq!(asked(&status, 500, 0, noon), Due::At(turn("2026-11-16")));
        let promised = BackupRepositoryStatus { next_retention_time: Some(Time(turn("2026-11-16"))), ..status };
        assert_eq!(asked(&promised, 500, 0, noon), Due::At(turn("2026-11-16")));
        assert_eq!(asked(&promised, 500, 0, turn("2026-11-16")), Due::Now(RetentionWork::Forget));
    }

    #[test]
    fn what_a_person_has_asked_for_goes_at_once() {
        let noon = time("2026-11-15T12:00:00+08:00");
        let status = BackupRepositoryStatus { last_forget_time: Some(Time(turn("2026-11-15"))), ..BackupRepositoryStatus::default() };
        assert_eq!(asked(&status, 1, 1, noon), Due::Now(RetentionWork::Forget));
    }

    #[test]
    fn a_hub_that_is_off_every_night_does_it_by_day_after_three_days() {
        let done = turn("2026-11-10");
        let of = |promised: &str| BackupRepositoryStatus {
            last_forget_time: Some(Time(done)),
            last_prune_time: Some(Time(done)),
            next_retention_time: Some(Time(turn(promised))),
            ..BackupRepositoryStatus::default()
        };
        let noon = |day: &str| time(&format!("{day}T12:00:00+08:00"));
        assert_eq!(asked(&of("2026-11-12"), 3, 0, noon("2026-11-12")), Due::At(turn("2026-11-13")));
        assert_eq!(asked(&of("2026-11-14"), 3, 0, noon("2026-11-14")), Due::Now(RetentionWork::Forget));
        assert_eq!(asked(&of("2026-11-15"), 3, 0, noon("2026-11-14")), Due::At(turn("2026-11-15")), "the night is still to come");
    }

    #[test]
    fn a_run_that_failed_is_tried_again_after_an_hour_and_not_sooner() {
        let night = turn("2026-11-15");
        let mut run = RetentionRun::new(RetentionWork::Prune, Time(night));
        (run.phase, run.completion_time) = (RunPhase::Failed, Some(Time(night + SignedDuration::from_mins(3))));
        let status = BackupRepositoryStatus { retention_run: Some(run), ..BackupRepositoryStatus::default() };
        let again = night + SignedDuration::from_mins(63);
        assert_eq!(asked(&status, 3, 3, night + SignedDuration::from_mins(4)), Due::At(again));
        assert_eq!(asked(&status, 3, 0, again), Due::Now(RetentionWork::Forget));
    }

    #[test]
    fn a_repository_of_which_nothing_is_known_to_go_is_pruned_once_a_week() {
        let mut status = BackupRepositoryStatus { last_prune_time: Some(Time(turn("2026-11-08"))), ..BackupRepositoryStatus::default() };
        let later = SignedDuration::from_secs(1);
        assert_eq!(asked(&status, 0, 0, turn("2026-11-14") + later), Due::At(turn("2026-11-15")));
        assert_eq!(asked(&status, 0, 0, turn("2026-11-15") + later), Due::Now(RetentionWork::Prune));
        status.last_prune_time = None;
        assert_eq!(asked(&status, 0, 0, turn("2026-11-15")), Due::Now(RetentionWork::Prune), "it is as old as the repository");
    }

    #[test]
    fn clocks_that_jumped_stop_it_for_no_longer_than_they_are_wrong() {
        let night = turn("2026-11-15");
        let future = Some(Time(time("2031-01-01T00:00:00Z")));
        let mut run = RetentionRun::new(RetentionWork::Prune, Time(night));
        (run.phase, run.completion_time) = (RunPhase::Failed, future.clone());
        let status =
            BackupRepositoryStatus { last_forget_time: future.clone(), last_prune_time: future, retention_run: Some(run), ..BackupRepositoryStatus::default() };
        assert_eq!(asked(&status, 1, 0, night), Due::Now(RetentionWork::Forget));
    }

    #[test]
    fn each_night_has_one_turn_also_when_the_clock_is_changed() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        for day in ["2027-03-28", "2027-10-31", "2027-07-01"] {
            let noon = time(&format!("{day}T12:00:00Z"));
            let (last, next) = slots(UID, &berlin, noon);
            assert!(last <= noon && noon < next, "{day}");
            let hours = next.duration_since(last).as_hours();
            assert!((23..=25).contains(&hours), "{day}: {hours}");
            assert_eq!(slots(UID, &berlin, last), (last, next), "{day}");
        }
    }
}
