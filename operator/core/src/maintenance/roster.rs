//! Who is on duty at any instant.
//!
//! The first active rotation of a level decides. A shift belongs to the day on which it starts, so a night shift ends on the next day. Turns are counted in days from `startDate` in the roster's time zone. Overrides are applied last and once.

use crate::{
    conditions::ConditionUpdate,
    schedule::{ScheduleError, zone},
    shown,
    time::{after, parse_duration},
};
use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{Date, Time as Clock},
    tz::TimeZone,
};
use p861_crds::{
    ConditionType, DutyRosterSpec, Reason, Time,
    maintenance::roster::{DutyActionKind, DutyLevel, HandOver, Heartbeat, OnDuty, Rotation},
};
use std::collections::BTreeSet;

use super::ticket::clocks::Level;

/// So far ahead gaps are looked for.
pub const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Maximum number of changes of duty to examine before assuming that there is no end.
const HORIZON: usize = 4_000;
/// Rotations that are looked at for one question, over all levels and changes of duty: whoever writes a roster decides how many there are. They take some 100
/// milliseconds.
const LOOKS: usize = 40_000;
/// A person may take over this long before the shift begins.
const EARLY: SignedDuration = SignedDuration::from_hours(2);

/// A roster that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// The time zone is unknown.
    #[error(transparent)]
    Zone(#[from] ScheduleError),
    /// A date or a time is none.
    #[error("rotation {rotation} of level {level}: {what}")]
    Rotation {
        /// The level.
        level: String,
        /// The rotation.
        rotation: String,
        /// What is wrong, and what to write.
        what: String,
    },
    /// A name that is not defined anywhere.
    #[error("{place} names {person}, who is not in spec.people: add them, or correct the name")]
    Stranger {
        /// Where.
        place: String,
        /// Who.
        person: String,
    },
}

#[derive(Clone, Debug)]
struct Turns {
    start: Clock,
    /// None: the whole day.
    end: Option<Clock>,
    first: Option<Date>,
    days: i64,
    people: Vec<String>,
}

impl Turns {
    fn parse(level: &str, rotation: &Rotation) -> Result<Self, RosterError> {
        let wrong = |what: String| RosterError::Rotation { level: level.to_owned(), rotation: rotation.name.clone(), what };
        let clock = |text: &String| Clock::strptime("%H:%M", text).map_err(|_| wrong(format!("{text:?} is no time: write 08:00")));
        let first =
            rotation.start_date.as_ref().map(|text| text.parse::<Date>().map_err(|_| wrong(format!("{text:?} is no day: write 2026-11-23")))).transpose()?;
        if rotation.people.is_empty() {
            return Err(wrong("it has no people".into()));
        }
        Ok(Self {
            start: rotation.start.as_ref().map(clock).transpose()?.unwrap_or(Clock::midnight()),
            end: rotation.end.as_ref().map(clock).transpose()?,
            first,
            days: i64::from(rotation.turn_days.max(1)),
            people: rotation.people.clone(),
        })
    }

    /// The shift that begins on a day: who, from when, until when.
    fn shift(&self, day: Date, zone: &TimeZone) -> Option<(&str, Timestamp, Timestamp)> {
        let turn = match self.first {
            Some(first) => i64::from(first.until(day).ok()?.get_days()).div_euclid(self.days),
            None => 0,
        };
        if turn < 0 {
            return None;
        }
        let index = usize::try_from(turn).ok()? % self.people.len();
        let last_day = if self.end.is_some_and(|end| end > self.start) { day } else { day.checked_add(1.day()).ok()? };
        let at = |day: Date, clock: Clock| day.to_datetime(clock).to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
        let (from, until) = (at(day, self.start)?, at(last_day, self.end.unwrap_or(self.start))?);
        // Where clocks are put forward a shift may vanish.
        (from < until).then_some((self.people[index].as_str(), from, until))
    }

    /// The shift that holds at an instant: one of today, of yesterday, or where clocks were changed of the day between.
    fn at(&self, at: Timestamp, zone: &TimeZone) -> Option<(&str, Timestamp, Timestamp)> {
        let today = at.to_zoned(zone.clone()).date();
        let days = [Some(today), today.yesterday().ok(), today.tomorrow().ok()];
        days.into_iter().flatten().filter_map(|day| self.shift(day, zone)).find(|(_, from, until)| *from <= at && at < *until)
    }

    /// The next begin or end of a shift after an instant.
    fn next_turn(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = at.to_zoned(zone.clone()).date();
        // Before the first day nothing happens until then.
        let from = self.first.map_or(today, |first| today.max(first));
        let days = (-1..=2).filter_map(|days: i32| from.checked_add(days.days()).ok());
        days.filter_map(|day| self.shift(day, zone)).flat_map(|(_, from, until)| [from, until]).filter(|moment| *moment > at).min()
    }
}

/// A roster, ready to be asked.
#[derive(Clone, Debug)]
pub struct Roster {
    /// Its time zone.
    pub zone: TimeZone,
    levels: Vec<(Level, Vec<Turns>)>,
    overrides: Vec<(Timestamp, Timestamp, String, String)>,
    people: Vec<(String, String)>,
}

/// Who is on duty in a level at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// This person.
    Covered(String),
    /// Nobody.
    Uncovered,
}

impl Roster {
    /// Reads a roster; `default_zone` is the district's.
    ///
    /// # Errors
    /// If something in it can't be understood, or a name stands nowhere.
    pub fn parse(spec: &DutyRosterSpec, default_zone: &str) -> Result<Self, RosterError> {
        let zone = zone(spec.time_zone.as_deref().unwrap_or(default_zone))?;
        let names: BTreeSet<&str> = spec.people.iter().map(|person| person.name.as_str()).collect();
        let known = |place: String, person: &String| {
            if names.contains(person.as_str()) { Ok(()) } else { Err(RosterError::Stranger { place, person: person.clone() }) }
        };
        let mut levels = Vec::new();
        for level in &spec.levels {
            for rotation in &level.rotations {
                rotation.people.iter().try_for_each(|person| known(format!("rotation {} of level {}", rotation.name, level.name), person))?;
            }
            levels.push((as_level(level), level.rotations.iter().map(|rotation| Turns::parse(&level.name, rotation)).collect::<Result<_, _>>()?));
        }
        for entry in &spec.overrides {
            known("an override".into(), &entry.person)?;
            known("an override".into(), &entry.substitute)?;
        }
        Ok(Self {
            zone,
            levels,
            overrides: spec.overrides.iter().map(|entry| (entry.start_time.0, entry.end_time.0, entry.person.clone(), entry.substitute.clone())).collect(),
            people: spec.people.iter().map(|person| (person.name.clone(), person.username.clone().unwrap_or_else(|| person.name.clone()))).collect(),
        })
    }

    /// Its levels, in the order in which they are called.
    pub fn levels(&self) -> Vec<Level> {
        self.levels.iter().map(|(level, _)| level.clone()).collect()
    }

    /// The name on the roster of somebody whom the API server knows by another.
    pub fn person(&self, username: &str) -> Option<&str> {
        self.people.iter().find(|(_, known)| known == username).map(|(name, _)| name.as_str())
    }

    /// Who is on duty in a level at an instant.
    pub fn who(&self, level: &str, at: Timestamp) -> Duty {
        let rotations = self.levels.iter().find(|(known, _)| known.name == level).map(|(_, rotations)| rotations.as_slice()).unwrap_or_default();
        let Some((person, ..)) = rotations.iter().find_map(|turns| turns.at(at, &self.zone)) else { return Duty::Uncovered };
        let substitute = self.overrides.iter().find(|(from, until, away, _)| *from <= at && at < *until && away == person);
        Duty::Covered(substitute.map_or(person, |(.., substitute)| substitute.as_str()).to_owned())
    }

    /// How many changes of duty of a level are looked at.
    fn horizon(&self) -> usize {
        let rotations: usize = self.levels.iter().map(|(_, rotations)| rotations.len()).sum();
        (LOOKS / rotations.max(1)).min(HORIZON)
    }

    /// When somebody else comes on duty in a level; none if no end is in sight.
    pub fn until(&self, level: &str, at: Timestamp) -> Option<Timestamp> {
        let now = self.who(level, at);
        let mut moment = at;
        for _ in 0..self.horizon() {
            moment = self.next_boundary(level, moment)?;
            if self.who(level, moment) != now {
                return Some(moment);
            }
        }
        None
    }

    /// The next instant at which something of a level may change.
    fn next_boundary(&self, level: &str, at: Timestamp) -> Option<Timestamp> {
        let rotations = self.levels.iter().find(|(known, _)| known.name == level).map(|(_, rotations)| rotations.as_slice()).unwrap_or_default();
        let turns = rotations.iter().filter_map(|turns| turns.next_turn(at, &self.zone));
        let overrides = self.overrides.iter().flat_map(|(from, until, ..)| [*from, *until]).filter(|moment| *moment > at);
        turns.chain(overrides).min()
    }

    /// When the present shift of a level began, and who was on duty before it: within the last week.
    fn before(&self, level: &str, at: Timestamp) -> Option<(Timestamp, String)> {
        let now = self.who(level, at);
        let mut moment = after(at, SignedDuration::from_hours(-24 * 8));
        let mut last = None;
        for _ in 0..self.horizon() {
            let next = self.next_boundary(level, moment).filter(|next| *next <= at)?;
            let (earlier, later) = (self.who(level, moment), self.who(level, next));
            if earlier != later
                && later == now
                && let Duty::Covered(person) = earlier
            {
                last = Some((next, person));
            }
            moment = next;
            if self.next_boundary(level, moment).is_none_or(|next| next > at) {
                return last;
            }
        }
        last
    }

    /// The first instant within `ahead` at which a level has nobody.
    pub fn gap(&self, from: Timestamp, ahead: SignedDuration) -> Option<(String, Timestamp)> {
        self.covered(from, ahead).err()
    }

    /// Until when every level has somebody, as far as it was looked; at most so far ahead. Fails with the first level that has nobody, and when.
    fn covered(&self, from: Timestamp, ahead: SignedDuration) -> Result<Timestamp, (String, Timestamp)> {
        let end = after(from, ahead);
        let (mut looked, mut first): (Timestamp, Option<(String, Timestamp)>) = (end, None);
        for (level, _) in &self.levels {
            let mut moment = Some(from);
            for _ in 0..self.horizon() {
                let Some(at) = moment.filter(|moment| *moment <= end) else { break };
                if self.who(&level.name, at) == Duty::Uncovered {
                    let sooner = first.as_ref().is_none_or(|(_, known)| at < *known);
                    first = if sooner { Some((level.name.clone(), at)) } else { first };
                    moment = None;
                    break;
                }
                moment = self.next_boundary(&level.name, at);
            }
            // It is as it was then for as far as was asked, or nobody has looked any further.
            looked = looked.min(moment.unwrap_or(end));
        }
        first.map_or(Ok(looked), Err)
    }

    /// Whether all is covered.
    pub fn condition(&self, now: Timestamp) -> ConditionUpdate {
        match self.covered(now, AHEAD) {
            Ok(until) => {
                ConditionUpdate::good(ConditionType::Ready, Reason::Covered, format!("every level is covered until {}", shown::day(until, &self.zone)))
            }
            Err((level, since)) => ConditionUpdate::bad(
                ConditionType::Ready,
                Reason::Uncovered,
                format!("nobody is on duty in level {level} from {}: complete its rotations", shown::weekday_and_minute(since, &self.zone)),
            ),
        }
    }

    /// Who is on duty now, level by level. In the first level the one before is called too until the duty was taken over.
    pub fn current(&self, hand_over: Option<&HandOver>, now: Timestamp) -> Vec<OnDuty> {
        let one = |(index, (level, _)): (usize, &(Level, Vec<Turns>))| {
            let person = match self.who(&level.name, now) {
                Duty::Covered(person) => Some(person),
                Duty::Uncovered => None,
            };
            let also = (index == 0).then(|| self.also(&level.name, person.as_deref(), hand_over, now)).flatten();
            OnDuty { level: level.name.clone(), person, also, until_time: self.until(&level.name, now).map(Time) }
        };
        self.levels.iter().enumerate().map(one).collect()
    }

    fn also(&self, level: &str, person: Option<&str>, hand_over: Option<&HandOver>, now: Timestamp) -> Option<String> {
        // Who never handed over anything doesn't use hand-overs.
        let hand_over = hand_over?;
        let (began, before) = self.before(level, now)?;
        let taken = hand_over.taken_time.as_ref().is_some_and(|taken| taken.0 >= after(began, -EARLY)) && hand_over.to.as_deref() == person;
        (!taken && Some(before.as_str()) != person).then_some(before)
    }

    /// Updates the newest hand-over when somebody gives or takes the duty.
    ///
    /// # Errors
    /// If the person is not on the roster.
    pub fn hand_over(&self, last: Option<&HandOver>, action: DutyActionKind, by: &str, note: Option<&str>, now: Timestamp) -> Result<HandOver, String> {
        let person = self.person(by).ok_or_else(|| format!("{by} is not in spec.people"))?.to_owned();
        let level = self.levels.first().map(|(level, _)| level.name.clone()).unwrap_or_default();
        let note = note.map(str::to_owned);
        match action {
            DutyActionKind::HandOver => Ok(HandOver { from: Some(person), to: None, given_time: Some(Time(now)), taken_time: None, note }),
            DutyActionKind::TakeOver => {
                let open = last.filter(|last| last.taken_time.is_none());
                let before = self.before(&level, now).map(|(_, before)| before);
                Ok(HandOver {
                    from: open.and_then(|open| open.from.clone()).or(before),
                    to: Some(person),
                    given_time: open.and_then(|open| open.given_time.clone()),
                    taken_time: Some(Time(now)),
                    note: open.and_then(|open| open.note.clone()).or(note),
                })
            }
        }
    }

    /// When to look again: at the next change of duty.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.levels.iter().filter_map(|(level, _)| self.until(&level.name, now)).min()
    }
}

/// A level as an escalation needs it. A duration that can't be read is refused at admission; one that slipped in means never.
pub fn as_level(level: &DutyLevel) -> Level {
    Level { name: level.name.clone(), escalate_after: level.escalate_after.as_ref().and_then(|wait| parse_duration(&wait.0).ok()) }
}

/// When a site's heartbeat was last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The site.
    pub site: String,
    /// When; or since when it is listened to, if never.
    pub last: Timestamp,
    /// Whether it was ever heard.
    pub heard: bool,
}

/// Whether alerts arrive. None: it is not known yet, and what was said before stays. Messages name no times that pass, so that nothing is written for a
/// heart that beats.
pub fn heartbeat_condition(heartbeat: &Heartbeat, sites: &[Heard], now: Timestamp) -> Option<ConditionUpdate> {
    if sites.is_empty() {
        return Some(ConditionUpdate::unknown(ConditionType::AlertsArrive, Reason::NoAlertmanager, "no site of the roster has spec.monitoring.alertmanager"));
    }
    // A duration that can't be read is refused at admission; one that slipped in allows no silence.
    let allowed = parse_duration(&heartbeat.max_silence.0).unwrap_or(SignedDuration::ZERO);
    let silent: Vec<&str> = sites.iter().filter(|site| after(site.last, allowed) < now).map(|site| site.site.as_str()).collect();
    if !silent.is_empty() {
        let message = format!(
            "{} not heard from {} for more than {}: is Alertmanager there, and does its receiver post to the operator?",
            heartbeat.alert_name,
            silent.join(", "),
            heartbeat.max_silence
        );
        return Some(ConditionUpdate::bad(ConditionType::AlertsArrive, Reason::HeartbeatMissing, message));
    }
    sites.iter().all(|site| site.heard).then(|| {
        ConditionUpdate::good(ConditionType::AlertsArrive, Reason::HeartbeatSeen, sites.iter().map(|site| site.site.as_str()).collect::<Vec<_>>().join(" and "))
    })
}

/// When the newest test message was due: today's or yesterday's. None if `at` is no time.
pub fn test_due(at: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let clock = Clock::strptime("%H:%M", at).ok()?;
    let today = now.to_zoned(zone.clone()).date();
    let moments = [Some(today), today.yesterday().ok()].into_iter().flatten().filter_map(|day| day.to_datetime(clock).to_zoned(zone.clone()).ok());
    moments.map(|zoned| zoned.timestamp()).find(|moment| *moment <= now)
}
