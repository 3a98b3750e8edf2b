//! When changes may be made: occurrences of windows, minus freezes.
//!
//! A window is open for a class of change from an occurrence's start (inclusive) to its end (exclusive), unless a freeze that doesn't except the class is
//! in force. Freezes of one window hold for every window of the district.

use crate::{
    conditions::ConditionUpdate,
    schedule::Schedule,
    shown,
    time::{after, human_duration, parse_duration},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    ConditionType, Reason,
    maintenance::window::{ChangeClass, Freeze, MaintenanceWindowSpec, Recurrence},
};

pub use crate::schedule::{Budget, DEFAULT_ZONE, ScheduleError, zone};

/// Maximum length of one occurrence.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 31);
/// Maximum number of state changes to examine before a window counts as never closing or never opening.
const HORIZON: usize = 2_000;

/// So many openings are looked at for one that is long enough: more than a year of nightly ones.
const OPENINGS: usize = 400;

/// A window that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Its time zone or a schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A duration is none, or too long.
    #[error("duration {0:?} of a recurrence must be longer than 0s and at most 744h")]
    Duration(String),
}

/// A schedule with the time that its occurrences last.
#[derive(Clone, Debug)]
struct Recurring {
    schedule: Schedule,
    lasts: SignedDuration,
}

impl Recurring {
    fn parse(recurrence: &Recurrence, zone: &TimeZone) -> Result<Self, WindowError> {
        let schedule = Schedule::parse(&recurrence.schedule, zone)?;
        let lasts = parse_duration(&recurrence.duration.0).map_err(|_| WindowError::Duration(recurrence.duration.0.clone()))?;
        if lasts <= SignedDuration::ZERO || lasts > LONGEST {
            return Err(WindowError::Duration(recurrence.duration.0.clone()));
        }
        Ok(Self { schedule, lasts })
    }

    /// The end of the occurrence that holds `at`. The latest start decides: it ends last, since all last equally long.
    fn end_around(&self, at: Timestamp, budget: &Budget) -> Option<Timestamp> {
        let start = self.schedule.last(after(at, -self.lasts), at, budget)?;
        let end = after(start, self.lasts);
        (at < end).then_some(end)
    }

    fn next_start(&self, at: Timestamp, budget: &Budget) -> Option<Timestamp> {
        self.schedule.next(at, budget)
    }
}

/// A window, ready to be asked.
#[derive(Clone, Debug)]
pub struct Window {
    /// Its time zone.
    pub zone: TimeZone,
    /// Changes that it is for.
    pub classes: Vec<ChangeClass>,
    recurring: Vec<Recurring>,
    dates: Vec<(Timestamp, Timestamp)>,
}

impl Window {
    /// Reads a window; `default_zone` is the district's.
    ///
    /// # Errors
    /// If its zone, a schedule or a duration can't be understood.
    pub fn parse(spec: &MaintenanceWindowSpec, default_zone: &str) -> Result<Self, WindowError> {
        let zone = zone(spec.time_zone.as_deref().unwrap_or(default_zone))?;
        let recurring = spec.recurrences.iter().map(|recurrence| Recurring::parse(recurrence, &zone)).collect::<Result<_, _>>()?;
        let dates = spec.dates.iter().map(|date| (date.start_time.0, date.end_time.0)).collect();
        Ok(Self { zone, classes: spec.change_classes.clone(), recurring, dates })
    }

    /// The end of an occurrence that holds `at`, the latest there is.
    fn end_around(&self, at: Timestamp, budget: &Budget) -> Option<Timestamp> {
        let dates = self.dates.iter().filter(|(start, end)| *start <= at && at < *end).map(|(_, end)| *end);
        self.recurring.iter().filter_map(|recurring| recurring.end_around(at, budget)).chain(dates).max()
    }

    /// The next start of an occurrence after `at`.
    fn next_start(&self, at: Timestamp, budget: &Budget) -> Option<Timestamp> {
        let dates = self.dates.iter().map(|(start, _)| *start).filter(|start| *start > at);
        self.recurring.iter().filter_map(|recurring| recurring.next_start(at, budget)).chain(dates).min()
    }

    fn moment(&self, class: ChangeClass, freezes: &[Freeze], at: Timestamp, budget: &Budget) -> Moment {
        if let Some(freeze) = freeze_at(freezes, class, at) {
            return Moment { state: State::Frozen, until: Some(freeze.end_time.0) };
        }
        let thaw = freezes.iter().filter(|freeze| holds_for(freeze, class) && freeze.start_time.0 > at).map(|freeze| freeze.start_time.0).min();
        match self.end_around(at, budget) {
            Some(end) => Moment { state: State::Open, until: Some(thaw.map_or(end, |thaw| end.min(thaw))) },
            None => Moment { state: State::Between, until: self.next_start(at, budget) },
        }
    }

    /// Whether a change of that class may start at `at`, and when that changes. `freezes` are those of all windows that hold for the district.
    pub fn at(&self, class: ChangeClass, freezes: &[Freeze], at: Timestamp) -> Opening {
        self.at_within(class, freezes, at, &Budget::of_each(1))
    }

    /// As [`Window::at`], as far as the budget goes.
    pub fn at_within(&self, class: ChangeClass, freezes: &[Freeze], at: Timestamp, budget: &Budget) -> Opening {
        let first = self.moment(class, freezes, at, budget);
        let open = first.state == State::Open;
        let frozen_by = freeze_at(freezes, class, at).map(|freeze| freeze.name.clone());
        let turns = |from, open| self.turns(class, freezes, from, open, budget);
        let next_open_time = if open { None } else { turns(at, true) };
        let next_close_time = if open { turns(at, false) } else { next_open_time.and_then(|opens| turns(opens, false)) };
        Opening { open, frozen_by, next_open_time, next_close_time }
    }

    /// The first moment from `from` on at which it is open, or is not.
    fn turns(&self, class: ChangeClass, freezes: &[Freeze], from: Timestamp, open: bool, budget: &Budget) -> Option<Timestamp> {
        self.turns_before(class, freezes, (from, Timestamp::MAX), open, budget)
    }

    /// As [`Window::turns`], but not later than `end`.
    fn turns_before(&self, class: ChangeClass, freezes: &[Freeze], (from, end): (Timestamp, Timestamp), open: bool, budget: &Budget) -> Option<Timestamp> {
        let mut at = from;
        for _ in 0..HORIZON {
            if at >= end {
                return None;
            }
            let moment = self.moment(class, freezes, at, budget);
            if budget.is_spent() {
                return None;
            }
            if (moment.state == State::Open) == open {
                return Some(at);
            }
            // Guard against an endless loop: each interval must advance.
            at = moment.until.filter(|until| *until > at)?;
        }
        None
    }

    /// When a change of that class that takes so long may start: the first moment from `at` on at which it is open, and stays open for that long. None if it is
    /// never, as far as can be seen.
    pub fn fits(&self, class: ChangeClass, freezes: &[Freeze], at: Timestamp, takes: SignedDuration) -> Option<Timestamp> {
        self.fits_within(class, freezes, at, takes, &Budget::of_each(1))
    }

    /// As [`Window::fits`], as far as the budget goes.
    pub fn fits_within(&self, class: ChangeClass, freezes: &[Freeze], at: Timestamp, takes: SignedDuration, budget: &Budget) -> Option<Timestamp> {
        let mut from = at;
        for _ in 0..OPENINGS {
            let opens = self.turns(class, freezes, from, true, budget)?;
            match self.turns_before(class, freezes, (opens, after(opens, takes)), false, budget) {
                Some(closes) => from = closes,
                None => return (!budget.is_spent()).then_some(opens),
            }
        }
        None
    }

    /// The same over all its classes: open if it is for one of them.
    pub fn over_all(&self, freezes: &[Freeze], at: Timestamp) -> Opening {
        let all: Vec<Opening> = self.classes.iter().map(|class| self.at_within(*class, freezes, at, &Budget::of_each(self.classes.len()))).collect();
        if let Some(open) = all.iter().filter(|opening| opening.open).max_by_key(|opening| opening.next_close_time.unwrap_or(Timestamp::MAX)) {
            return open.clone();
        }
        all.into_iter().min_by_key(|opening| opening.next_open_time.unwrap_or(Timestamp::MAX)).unwrap_or_default()
    }
}

/// A freeze of `class` that is in force: the one that ends last.
pub fn freeze_at(freezes: &[Freeze], class: ChangeClass, at: Timestamp) -> Option<&Freeze> {
    freezes.iter().filter(|freeze| holds_for(freeze, class) && freeze.start_time.0 <= at && at < freeze.end_time.0).max_by_key(|freeze| freeze.end_time.0)
}

fn holds_for(freeze: &Freeze, class: ChangeClass) -> bool {
    !freeze.except.contains(&class)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Frozen,
    Between,
}

/// What holds at a moment, and until when at least.
struct Moment {
    state: State,
    until: Option<Timestamp>,
}

/// Whether a window is open, and when that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// A change may start now.
    pub open: bool,
    /// The freeze in force.
    pub frozen_by: Option<String>,
    /// When it opens; none while it is open, or if it never does.
    pub next_open_time: Option<Timestamp>,
    /// When it closes after that; none if no end is in sight.
    pub next_close_time: Option<Timestamp>,
}

impl Opening {
    /// When to look again: at the next change.
    pub fn next_change(&self) -> Option<Timestamp> {
        if self.open { self.next_close_time } else { self.next_open_time }
    }
}

/// Conditions of the window.
pub fn condition(opening: &Opening, zone: &TimeZone) -> ConditionUpdate {
    let local = |time: Timestamp| shown::weekday_and_minute(time, zone);
    let opens = match (opening.next_open_time, opening.next_close_time) {
        (Some(opens), Some(closes)) => format!("opens {} for {}", local(opens), human_duration(closes.duration_since(opens))),
        (Some(opens), None) => format!("opens {}, with no end in sight", local(opens)),
        (None, _) => "never opens again: add recurrences or dates".to_owned(),
    };
    match (&opening.frozen_by, opening.open) {
        (_, true) => ConditionUpdate::good(
            ConditionType::Open,
            Reason::Open,
            opening.next_close_time.map_or_else(|| "no end is in sight".to_owned(), |closes| format!("until {}", local(closes))),
        ),
        (Some(freeze), false) => ConditionUpdate::bad(ConditionType::Open, Reason::Frozen, format!("freeze {freeze} is in force; {opens}")),
        (None, false) => ConditionUpdate::bad(ConditionType::Open, Reason::BetweenOccurrences, opens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_e29_what_is_beyond_the_budget_is_not_in_sight_and_nothing_wrong_is_said() {
        let spec = json!({"changeClasses": ["Normal"], "recurrences": [{"schedule": "0 22 * * *", "duration": "4h"}],
            "dates": [{"startTime": "2027-06-01T00:00:00Z", "endTime": "2027-06-01T10:00:00Z"}]});
        let window = Window::parse(&serde_json::from_value(spec).expect("a window"), DEFAULT_ZONE).expect("a window");
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        let fits = |budget: &Budget| window.fits_within(ChangeClass::Normal, &[], now, SignedDuration::from_hours(9), budget);
        let (full, small) = (Budget::of_each(1), Budget::of_days(1_000));
        assert_eq!(fits(&full), "2027-06-01T00:00:00Z".parse().ok());
        assert_eq!((fits(&small), small.is_spent(), full.is_spent()), (None, true, false), "a nightly opening of four hours is not long enough");
        let opening = window.at_within(ChangeClass::Normal, &[], now, &Budget::of_days(1));
        assert_eq!((opening.open, opening.next_open_time), (false, None));
    }
}
