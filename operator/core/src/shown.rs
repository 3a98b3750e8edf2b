//! How times and durations are shown to people: one rule for the command line, the reports of drills, mails, and messages, in both languages.
//!
//! - A time is `2026-11-24 08:00`, by the clock of the reader's zone. Where moments are compared it has seconds; where a reader may be in another zone, the offset. A weekday, where
//!   one matters, stands before it; in Chinese behind the date: `2026-11-24（周二）08:00`.
//! - A duration is written as in the API, with the units of the language: `1h30m`, `1小时30分钟`. The larger unit comes first, none is zero, and there are no days. One that was
//!   measured has whole seconds; only below one second it has milliseconds.
//! - How long ago something was has one unit, rounded down: `45s`, `12m`, `5h`, `9d`; `45秒`, `12分钟`, `5小时`, `9天`. Days begin at the third.
//! - A clock that runs has no units, nor has a duration beside one: `0:09`, `1:30:00`.
//!
//! Names of runs, folders and tickets hold times in forms of their own: those are no texts.

use crate::{
    time::{human_duration, parse_duration, whole_seconds},
    told,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// A text in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

fn local(time: Timestamp, zone: &TimeZone, form: &str) -> String {
    time.to_zoned(zone.clone()).strftime(form).to_string()
}

/// `2026-11`.
pub fn month(time: Timestamp, zone: &TimeZone) -> String {
    local(time, zone, "%Y-%m")
}

/// `2026-11-24`.
pub fn day(time: Timestamp, zone: &TimeZone) -> String {
    local(time, zone, "%Y-%m-%d")
}

/// `2026-11-24 08:00`.
pub fn minute(time: Timestamp, zone: &TimeZone) -> String {
    local(time, zone, "%Y-%m-%d %H:%M")
}

/// `Tue 2026-11-24 08:00`: as messages have it, which [`told`] tells in Chinese.
pub fn weekday_and_minute(time: Timestamp, zone: &TimeZone) -> String {
    local(time, zone, "%a %Y-%m-%d %H:%M")
}

/// `2026-11-24 08:00:03`.
pub fn second(time: Timestamp, zone: &TimeZone) -> String {
    local(time, zone, "%Y-%m-%d %H:%M:%S")
}

/// `08:00:03`, where the day is known.
pub fn second_of_day(time: Timestamp, zone: &TimeZone) -> String {
    local(time, zone, "%H:%M:%S")
}

/// `08:00:03`, with the day before it if that is another than `now`'s.
pub fn moment(time: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    if day(time, zone) == day(now, zone) { second_of_day(time, zone) } else { second(time, zone) }
}

/// `+08:00`.
pub fn offset(time: Timestamp, zone: &TimeZone) -> String {
    local(time, zone, "%:z")
}

/// A duration that was measured.
pub fn measured(duration: SignedDuration) -> Shown {
    let is_below_a_second = duration.as_secs() == 0;
    with_units(human_duration(if is_below_a_second { duration } else { whole_seconds(duration) }))
}

/// A duration that somebody has written, for example `90m`. What is none stays as it is.
pub fn stated(text: &str) -> Shown {
    match parse_duration(text) {
        Ok(duration) => with_units(human_duration(duration)),
        Err(_) => Shown { en: text.to_owned(), zh: text.to_owned() },
    }
}

fn with_units(duration: String) -> Shown {
    Shown { zh: told::chinese_units(&duration), en: duration }
}

/// How long ago something was. What is yet to come was just now.
pub fn age(passed: SignedDuration) -> Shown {
    let seconds = passed.as_secs().max(0);
    let (number, en, zh) = match seconds {
        ..60 => (seconds, "s", "秒"),
        60..3_600 => (seconds / 60, "m", "分钟"),
        3_600..172_800 => (seconds / 3_600, "h", "小时"),
        _ => (seconds / 86_400, "d", "天"),
    };
    Shown { en: format!("{number}{en}"), zh: format!("{number}{zh}") }
}

/// A running clock. Nothing below zero.
pub fn running(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shanghai() -> TimeZone {
        TimeZone::get("Asia/Shanghai").expect("the zone is in the program")
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_time_is_shown_in_one_form_with_as_much_of_it_as_matters() {
        let (at, zone) = (time("2026-11-24T00:00:03Z"), shanghai());
        for (shown, expected) in [
            (month(at, &zone), "2026-11"),
            (day(at, &zone), "2026-11-24"),
            (minute(at, &zone), "2026-11-24 08:00"),
            (weekday_and_minute(at, &zone), "Tue 2026-11-24 08:00"),
            (second(at, &zone), "2026-11-24 08:00:03"),
            (second_of_day(at, &zone), "08:00:03"),
            (moment(at, time("2026-11-24T15:59:59Z"), &zone), "08:00:03"),
            (moment(at, time("2026-11-24T16:00:00Z"), &zone), "2026-11-24 08:00:03"),
            (offset(at, &zone), "+08:00"),
            (second(at, &TimeZone::UTC), "2026-11-24 00:00:03"),
        ] {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_duration_is_shown_as_the_api_writes_it_with_the_units_of_the_language() {
        for (millis, en, zh) in [
            (0, "0s", "0秒"),
            (400, "400ms", "400毫秒"),
            (999, "999ms", "999毫秒"),
            (1_499, "1s", "1秒"),
            (1_500, "2s", "2秒"),
            (59_500, "1m", "1分钟"),
            (521_400, "8m41s", "8分41秒"),
            (5_400_000, "1h30m", "1小时30分钟"),
            (604_800_000, "168h", "168小时"),
            (-90_000, "-1m30s", "-1分30秒"),
        ] {
            assert_eq!(measured(SignedDuration::from_millis(millis)), Shown { en: en.into(), zh: zh.into() }, "{millis}");
        }
        for (written, en, zh) in [("90m", "1h30m", "1小时30分钟"), ("1500ms", "1s500ms", "1秒500毫秒"), ("24h", "24h", "24小时"), ("soon", "soon", "soon")]
        {
            assert_eq!(stated(written), Shown { en: en.into(), zh: zh.into() }, "{written}");
        }
        assert_eq!(measured(SignedDuration::MAX).zh, "2562047788015215小时30分7秒", "also what the API has no form for");
    }

    #[test]
    fn an_age_has_one_unit_and_a_running_clock_has_none() {
        for (seconds, en, zh) in [
            (45, "45s", "45秒"),
            (120, "2m", "2分钟"),
            (18_000, "5h", "5小时"),
            (172_799, "47h", "47小时"),
            (172_800, "2d", "2天"),
            (777_600, "9d", "9天"),
            (-5, "0s", "0秒"),
        ] {
            assert_eq!(age(SignedDuration::from_secs(seconds)), Shown { en: en.into(), zh: zh.into() }, "{seconds}");
        }
        assert_eq!([9, 62, 1_800, 5_400, -5].map(|seconds| running(SignedDuration::from_secs(seconds))), ["0:09", "1:02", "30:00", "1:30:00", "0:00"]);
    }

    proptest! {
        /// Both languages have the same numbers, and what is shown reads back as what was measured.
        #[test]
        fn a_duration_says_the_same_in_both_languages(millis in 0i64..=359_999_998_999) {
            let duration = SignedDuration::from_millis(millis);
            let shown = measured(duration);
            let english = shown.zh.replace("毫秒", "ms").replace("小时", "h").replace("分钟", "m").replace('分', "m").replace('秒', "s");
            prop_assert_eq!(&english, &shown.en);
            let read = parse_duration(&shown.en);
            prop_assert_eq!(read, Ok(if millis < 1_000 { duration } else { whole_seconds(duration) }));
            prop_assert_eq!(stated(&shown.en), shown);
        }

        /// The parts of a time are one another's beginnings and ends, in any zone, and read back as the time.
        #[test]
        fn every_form_of_a_time_is_a_part_of_the_same_form(at in 0i64..4_000_000_000, minutes in -720i32..=720) {
            let zone = TimeZone::fixed(jiff::tz::Offset::from_seconds(minutes * 60).expect("an offset"));
            let at = Timestamp::from_second(at).expect("a time");
            let whole = second(at, &zone);
            prop_assert_eq!(format!("{} {}", day(at, &zone), second_of_day(at, &zone)), whole.clone());
            prop_assert!(whole.starts_with(&minute(at, &zone)) && day(at, &zone).starts_with(&month(at, &zone)));
            prop_assert!(weekday_and_minute(at, &zone).ends_with(&minute(at, &zone)));
            let read = format!("{}{}", whole.replace(' ', "T"), offset(at, &zone)).parse::<Timestamp>();
            prop_assert_eq!(read.ok(), Some(at));
        }
    }
}
