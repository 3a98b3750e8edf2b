//! Times in the district's time zone, and ages relative to now. How they are shown is the rule of [`p861_core::shown`].

use crate::text::{self, Language};
use jiff::{Timestamp, civil, tz::TimeZone};
use p861_core::{maintenance::window::DEFAULT_ZONE, shown};

/// The zone of whatever is no district's, and of a District that says nothing else. The operator has the same.
pub fn default_zone() -> TimeZone {
    // It is in the program.
    TimeZone::get(DEFAULT_ZONE).unwrap_or(TimeZone::UTC)
}

/// Now, and the time zone in which times are shown.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The present.
    pub now: Timestamp,
    /// The district's zone.
    pub zone: TimeZone,
}

impl Clock {
    /// The time of the present in a zone.
    pub fn in_zone(zone: TimeZone) -> Self {
        Self { now: Timestamp::now(), zone }
    }

    /// The same zone, at another present.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self { now, zone: self.zone.clone() }
    }

    /// `2026-11-24`.
    pub fn day(&self, time: Timestamp) -> String {
        shown::day(time, &self.zone)
    }

    /// `2026-11-24 08:00`.
    pub fn minute(&self, time: Timestamp) -> String {
        shown::minute(time, &self.zone)
    }

    /// `2026-11-24 08:00 +08:00`.
    pub fn minute_and_offset(&self, time: Timestamp) -> String {
        format!("{} {}", shown::minute(time, &self.zone), shown::offset(time, &self.zone))
    }

    /// `08:00:03`, with the day before it if that is not today.
    pub fn moment(&self, time: Timestamp) -> String {
        shown::moment(time, self.now, &self.zone)
    }

    /// `09:00:02`.
    pub fn second(&self, time: Timestamp) -> String {
        shown::second_of_day(time, &self.zone)
    }

    /// `20261124-0800`, for names of runs. It is of one zone, whoever gives the name and whatever this person may read: so names stand in the order of their times.
    pub fn stamp(time: Timestamp) -> String {
        time.to_zoned(default_zone()).strftime("%Y%m%d-%H%M").to_string()
    }

    /// How long ago: `45s`, `12m`, `5h`, `9d`. A time that is yet to come has age 0.
    pub fn age(&self, time: Timestamp, language: Language) -> String {
        text::pick(shown::age(self.now.duration_since(time)), language)
    }

    /// Reads a time that a person typed: RFC 3339, or `2026-11-20 00:00[:00]` or `2026-11-20` in the district's zone.
    pub fn parse(&self, text: &str) -> Option<Timestamp> {
        parse_time(text, &self.zone)
    }
}

/// Reads a time as people type it; without an offset it is in `zone`.
pub fn parse_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = text
        .parse::<civil::DateTime>()
        .or_else(|_| civil::DateTime::strptime("%Y-%m-%d %H:%M", text))
        .or_else(|_| civil::DateTime::strptime("%Y-%m-%dT%H:%M", text))
        .ok()?;
    civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        let zone = TimeZone::get("Asia/Shanghai").expect("the zone is in the program");
        Clock { now: "2026-11-24T00:02:00Z".parse().expect("a time"), zone }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn times_are_the_districts() {
        let clock = clock();
        assert_eq!(clock.minute_and_offset(clock.now), "2026-11-24 08:02 +08:00");
        assert_eq!(clock.moment(time("2026-11-23T19:00:00Z")), "03:00:00");
        assert_eq!(clock.moment(time("2026-11-23T15:00:00Z")), "2026-11-23 23:00:00");
        assert_eq!(Clock::stamp(time("2026-11-15T01:00:02Z")), "20261115-0900", "the time in a name is everybody's");
        assert_eq!(default_zone().iana_name(), Some("Asia/Shanghai"));
    }

    #[test]
    fn an_age_has_one_unit() {
        let clock = clock();
        for (from, en, zh) in [
            ("2026-11-24T00:01:15Z", "45s", "45秒"),
            ("2026-11-24T00:00:00Z", "2m", "2分钟"),
            ("2026-11-23T18:30:00Z", "5h", "5小时"),
            ("2026-11-15T00:02:00Z", "9d", "9天"),
            ("2026-11-25T00:02:00Z", "0s", "0秒"),
        ] {
            assert_eq!((clock.age(time(from), Language::En).as_str(), clock.age(time(from), Language::Zh).as_str()), (en, zh), "{from}");
        }
    }

    #[test]
    fn a_time_is_read_as_people_type_it() {
        let clock = clock();
        let midnight = Some(time("2026-11-19T16:00:00Z"));
        for text in ["2026-11-20 00:00", "2026-11-20T00:00", "2026-11-20T00:00:00+08:00", "2026-11-20", "2026-11-19T16:00:00Z", "2026-11-20 00:00:00"] {
            assert_eq!(clock.parse(text), midnight, "{text}");
        }
        assert_eq!(clock.parse("yesterday"), None);
    }
}
