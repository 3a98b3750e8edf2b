//! When something recurs: five cron fields in a time zone, through every change of clocks.
//!
//! A time of the schedule that the clock leaves out is at the end of what is left out; times that become one by that are one. Where the clock repeats an hour, a single time
//! of day comes once, the first time, and a schedule with several hours or minutes comes in both passes: what is taken every ten minutes is taken every ten minutes.

use crate::time::after;
use croner::{Cron, Weekday, parser::CronParser};
use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::Date,
    tz::{TimeZone, TimeZoneTransition},
};
use std::cell::Cell;

/// Default time zone of schedules.
pub const DEFAULT_ZONE: &str = "Asia/Shanghai";
/// So far ahead a schedule is looked for: the 29th of February comes within it.
const YEARS_AHEAD: i16 = 8;
/// Days that are looked at for one question, over all schedules that it is about. They take some 50 milliseconds; a year of nightly openings of a window needs a sixth of
/// them.
const DAYS_PER_QUESTION: u32 = 400_000;
/// Days of it that each schedule has in any case.
const MIN_DAYS_PER_SCHEDULE: u32 = 4_000;
/// How many days' looks an exact search costs, which knows of changes of clocks.
const SEARCH_COST: u32 = 20;
/// Changes of clocks that are looked at between two times of a schedule: they come twice a year.
const MAX_CHANGES: usize = 64;
/// Days of a schedule that its periods are judged by: the longest month and the longest week are among them, and a leap year's end.
const DAYS_JUDGED: usize = 366 * 4 + 1;

/// How much may still be looked at for an answer. Whoever writes schedules decides how much there is to look at, so beyond this an answer is "not in sight".
#[derive(Clone, Debug)]
pub struct Budget(Cell<u32>);

impl Budget {
    /// The share of each of so many schedules in one question.
    pub fn of_each(schedules: usize) -> Self {
        let schedules = u32::try_from(schedules).unwrap_or(u32::MAX).max(1);
        Self::of_days((DAYS_PER_QUESTION / schedules).max(MIN_DAYS_PER_SCHEDULE))
    }

    /// So many days' looks.
    pub(crate) const fn of_days(days: u32) -> Self {
        Self(Cell::new(days))
    }

    fn spend(&self, days: u32) {
        self.0.set(self.0.get().saturating_sub(days));
    }

    /// Whether nothing more is looked at: what was found last may be wrong.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

/// A schedule that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The time zone is unknown.
    #[error("time zone {0:?} is unknown: write an IANA name such as Asia/Shanghai")]
    Zone(String),
    /// A schedule is no cron pattern.
    #[error("schedule {schedule:?} can't be read: {why}; write five fields: minute, hour, day of month, month, day of week")]
    Schedule {
        /// What was read.
        schedule: String,
        /// What is wrong.
        why: String,
    },
}

/// The time zone of that name.
///
/// # Errors
/// If nobody knows it.
pub fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    TimeZone::get(name).map_err(|_| ScheduleError::Zone(name.to_owned()))
}

/// A schedule, ready to be asked.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Reads five cron fields, to be understood in a zone.
    ///
    /// # Errors
    /// If they are none.
    pub fn parse(schedule: &str, zone: &TimeZone) -> Result<Self, ScheduleError> {
        let fields = CronParser::builder().seconds(croner::parser::Seconds::Disallowed).year(croner::parser::Year::Disallowed).build();
        let cron = fields.parse(schedule).map_err(|error| ScheduleError::Schedule { schedule: schedule.to_owned(), why: error.to_string() })?;
        Ok(Self { cron, zone: zone.clone() })
    }

    /// Its time zone.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first time after `at`, as far as can be seen.
    pub fn next(&self, at: Timestamp, budget: &Budget) -> Option<Timestamp> {
        let now = at.to_zoned(self.zone.clone());
        let last = now.date().checked_add(YEARS_AHEAD.years()).unwrap_or(Date::MAX);
        if !self.has_day(now.date(), last, budget) {
            return None;
        }
        budget.spend(SEARCH_COST);
        let found = self.cron.find_next_occurrence(&now, false).ok().map(|found| found.timestamp()).filter(|found| *found > at);
        let until = found.unwrap_or(Timestamp::MAX);
        let mut changes = self.zone.following(at).take(MAX_CHANGES).take_while(|change| change.timestamp() < until);
        changes.find(|change| self.is_left_out_by(change)).map(|change| change.timestamp()).or(found)
    }

    /// The last time at or before `at`, and not before `from`.
    pub fn last(&self, from: Timestamp, at: Timestamp, budget: &Budget) -> Option<Timestamp> {
        let now = at.to_zoned(self.zone.clone());
        if from > at || !self.has_day(from.to_zoned(self.zone.clone()).date(), now.date(), budget) {
            return None;
        }
        budget.spend(SEARCH_COST);
        let found = self.cron.find_previous_occurrence(&now, true).ok().map(|found| found.timestamp()).filter(|found| *found <= at);
        let since = found.unwrap_or(Timestamp::MIN).max(from);
        let behind = after(at, SignedDuration::from_nanos(1));
        let mut changes = self.zone.preceding(behind).take(MAX_CHANGES).take_while(|change| change.timestamp() > since);
        let left_out = changes.find(|change| self.is_left_out_by(change)).map(|change| change.timestamp());
        left_out.or(found).filter(|found| *found >= from)
    }

    /// Whether the clock, as it is put forward there, leaves out a time of the schedule.
    fn is_left_out_by(&self, change: &TimeZoneTransition<'_>) -> bool {
        let at = change.timestamp();
        let before = self.zone.to_offset(after(at, SignedDuration::from_nanos(-1))).to_datetime(at);
        let behind = change.offset().to_datetime(at);
        before < behind && self.cron.find_next_occurrence(&before, true).is_ok_and(|found| found < behind)
    }

    /// Whether one of these days is one of the schedule's. Without this, an exact search for a day that never comes goes on for thousands of years.
    fn has_day(&self, first: Date, last: Date, budget: &Budget) -> bool {
        self.days(first, last, budget).next().is_some()
    }

    /// The days of the schedule among these, as far as the budget goes.
    fn days<'a>(&'a self, first: Date, last: Date, budget: &'a Budget) -> impl Iterator<Item = Date> + 'a {
        let pattern = &self.cron.pattern;
        let mut day = Some(first);
        std::iter::from_fn(move || {
            while let Some(looked_at) = day.filter(|day| *day <= last && !budget.is_spent()) {
                budget.spend(1);
                let (year, month) = (i32::from(looked_at.year()), u32::from(looked_at.month().unsigned_abs()));
                if !pattern.month_match(month).unwrap_or(false) {
                    day = looked_at.last_of_month().tomorrow().ok();
                    continue;
                }
                day = looked_at.tomorrow().ok();
                let weekday = Weekday::from_days_from_sunday(u32::from(looked_at.weekday().to_sunday_zero_offset().unsigned_abs()));
                if pattern.day_match(year, month, u32::from(looked_at.day().unsigned_abs()), weekday).unwrap_or(false) {
                    return Some(looked_at);
                }
            }
            None
        })
    }

    /// Its shortest and its longest period from a day on, by the clock on the wall: an hour that clocks leave out or repeat is not counted. None if it never recurs.
    pub fn periods(&self, from: Timestamp, budget: &Budget) -> Option<Periods> {
        let pattern = &self.cron.pattern;
        let is_hour = |hour: &u32| pattern.hour_match(*hour).unwrap_or(false);
        let is_minute = |minute: &u32| pattern.minute_match(*minute).unwrap_or(false);
        let of_day: Vec<u32> = (0..24).filter(is_hour).flat_map(|hour| (0..60).filter(is_minute).map(move |minute| hour * 60 + minute)).collect();
        let (first, last) = (*of_day.first()?, *of_day.last()?);
        let within = of_day.windows(2).filter_map(|pair| if let [one, next] = pair { Some(i64::from(next - one)) } else { None });
        let mut periods: Option<(i64, i64)> = None;
        let mut count = |minutes: i64| {
            let (shortest, longest) = periods.unwrap_or((minutes, minutes));
            periods = Some((shortest.min(minutes), longest.max(minutes)));
        };
        within.for_each(&mut count);
        let today = from.to_zoned(self.zone.clone()).date();
        let end = today.checked_add(YEARS_AHEAD.years()).unwrap_or(Date::MAX);
        let mut before: Option<Date> = None;
        for day in self.days(today, end, budget).take(DAYS_JUDGED) {
            if let Some(before) = before {
                let days = i64::from(before.until(day).map_or(0, |span| span.get_days()));
                count(days * 24 * 60 - i64::from(last) + i64::from(first));
            }
            before = Some(day);
        }
        // A day that doesn't come again within the years that are looked at is no period.
        before?;
        periods.map(|(shortest, longest)| Periods { shortest: SignedDuration::from_mins(shortest), longest: SignedDuration::from_mins(longest) })
    }
}

/// How far apart the times of a schedule are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// The two that are nearest.
    pub shortest: SignedDuration,
    /// The two that are furthest apart.
    pub longest: SignedDuration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn schedule(text: &str, name: &str) -> Schedule {
        Schedule::parse(text, &zone(name).expect("a zone")).expect("a schedule")
    }

    /// The times after `from`, so many.
    fn times(text: &str, name: &str, from: &str, number: usize) -> Vec<String> {
        let (schedule, mut at) = (schedule(text, name), time(from));
        (0..number)
            .map(|_| {
                at = schedule.next(at, &Budget::of_each(1)).expect("a next time");
                format!("{at:.0}")
            })
            .collect()
    }

    #[test]
    fn a_time_that_the_clock_leaves_out_is_at_the_end_of_what_is_left_out() {
        // Berlin skips 02:00 to 03:00 on 2027-03-28, which is 01:00 UTC.
        for (schedule, expected) in [
            ("30 2 * * *", ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
            ("15 2,14 * * *", ["2027-03-27T01:15:00Z", "2027-03-27T13:15:00Z", "2027-03-28T01:00:00Z"]),
            ("0 3 * * *", ["2027-03-27T02:00:00Z", "2027-03-28T01:00:00Z", "2027-03-29T01:00:00Z"]),
        ] {
            assert_eq!(times(schedule, "Europe/Berlin", "2027-03-27T00:00:00Z", 3), expected, "{schedule}");
        }
        let every_ten = times("*/10 * * * *", "Europe/Berlin", "2027-03-28T00:35:00Z", 4);
        assert_eq!(every_ten, ["2027-03-28T00:40:00Z", "2027-03-28T00:50:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:10:00Z"], "as if nothing were");
        // Half an hour, on an island.
        assert_eq!(times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 1), ["2026-10-03T15:30:00Z"]);
    }

    #[test]
    fn a_time_of_day_that_comes_twice_counts_once_and_what_repeats_goes_on_through_both() {
        // Berlin has 02:00 to 03:00 twice on 2027-10-31: until and from 01:00 UTC.
        assert_eq!(times("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z", 2), ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]);
        let every_half = times("*/30 * * * *", "Europe/Berlin", "2027-10-30T23:45:00Z", 6);
        let expected =
            ["2027-10-31T00:00:00Z", "2027-10-31T00:30:00Z", "2027-10-31T01:00:00Z", "2027-10-31T01:30:00Z", "2027-10-31T02:00:00Z", "2027-10-31T02:30:00Z"];
        assert_eq!(every_half, expected, "no hour without one");
    }

    #[test]
    fn the_last_time_is_the_one_that_next_found_whatever_the_clocks_do() {
        for name in ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"] {
            for text in ["30 2 * * *", "0 2,14 * * *", "*/10 * * * *", "7 0 * * *", "15 1-3 * * 0", "0 0 1 * *"] {
                let schedule = schedule(text, name);
                let last = |at| schedule.last(time("2020-01-01T00:00:00Z"), at, &Budget::of_each(1));
                let mut at = schedule.next(time("2026-10-01T00:00:00Z"), &Budget::of_each(1)).expect("it recurs");
                for _ in 0..400 {
                    let next = schedule.next(at, &Budget::of_each(1)).expect("it recurs");
                    assert!(next > at, "{name} {text}");
                    assert_eq!(last(next), Some(next), "{name} {text}: it is its own last");
                    assert_eq!(last(after(next, SignedDuration::from_secs(-1))), Some(at), "{name} {text}: nothing lies between {at} and {next}");
                    at = next;
                }
            }
        }
    }

    #[test]
    fn nothing_before_the_beginning_is_the_last_and_a_day_that_never_comes_is_not_in_sight() {
        let nightly = schedule("0 2 * * *", "Asia/Shanghai");
        let budget = Budget::of_each(1);
        let last = |from: &str, at: &str| nightly.last(time(from), time(at), &budget).map(|last| format!("{last:.0}"));
        assert_eq!(last("2026-11-20T00:00:00Z", "2026-11-24T18:00:00Z").as_deref(), Some("2026-11-24T18:00:00Z"));
        assert_eq!(last("2026-11-23T18:00:01Z", "2026-11-24T17:59:59Z"), None);
        assert_eq!(last("2026-11-25T00:00:00Z", "2026-11-24T18:00:00Z"), None, "the clock was put back");
        let never = schedule("0 2 30 2 *", "Asia/Shanghai");
        assert_eq!(never.next(time("2026-11-24T00:00:00Z"), &Budget::of_each(1)), None);
        assert_eq!(never.last(time("1990-01-01T00:00:00Z"), time("2026-11-24T00:00:00Z"), &Budget::of_each(1)), None);
        assert_eq!(never.periods(time("2026-11-24T00:00:00Z"), &Budget::of_each(1)), None);
    }

    #[test]
    fn periods_are_the_nearest_and_the_furthest_two_times() {
        for (text, shortest, longest) in [
            ("* * * * *", "1m", "1m"),
            ("*/10 * * * *", "10m", "10m"),
            ("*/25 * * * *", "10m", "25m"),
            ("0 2 * * *", "24h", "24h"),
            ("0 2,14 * * *", "12h", "12h"),
            ("0 8-18 * * *", "1h", "14h"),
            ("0 8-18 * * 1-5", "1h", "62h"),
            ("0 2 * * 0", "168h", "168h"),
            ("0 2 1 * *", "672h", "744h"),
            ("0 2 29 2 *", "35064h", "35064h"),
        ] {
            let periods = schedule(text, "Asia/Shanghai").periods(time("2026-11-24T00:00:00Z"), &Budget::of_each(1)).expect("it recurs");
            let human = crate::time::human_duration;
            assert_eq!((human(periods.shortest).as_str(), human(periods.longest).as_str()), (shortest, longest), "{text}");
        }
    }
}
