//! Durations as users write them: GEP-2257, the form of Gateway API.
//!
//! One to four numbers of one to five digits, each with a unit `h`, `m`, `s` or `ms`: `15m`, `1h30m`, `250ms`. There are no days, no signs and no
//! fractions. The canonical form, which every status shows, names each unit at most once, the larger first.

use jiff::{SignedDuration, Timestamp};

const MS_PER_SECOND: u128 = 1_000;
const MS_PER_MINUTE: u128 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: u128 = 60 * MS_PER_MINUTE;

/// The longest duration that has a canonical form: `99999h59m59s999ms`.
pub const LONGEST: SignedDuration = SignedDuration::new(99_999 * 3_600 + 59 * 60 + 59, 999_000_000);

/// A duration that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is not in the form of GEP-2257.
    #[error("{text:?} is not a duration: {problem}; write one to four numbers with units h, m, s or ms, for example 15m or 1h30m")]
    Malformed {
        /// What was read.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The duration has no canonical form: it is negative, finer than a millisecond, or longer than [`LONGEST`].
    #[error("a duration of {seconds} s and {nanoseconds} ns cannot be written as GEP-2257: it must be whole milliseconds from 0s to 99999h59m59s999ms")]
    Unwritable {
        /// Whole seconds of the duration.
        seconds: i64,
        /// Nanoseconds beyond them.
        nanoseconds: i32,
    },
}

/// Reads a duration as in GEP-2257, for example `1h30m`.
///
/// Units may stand in any order and more than once, as the pattern `^([0-9]{1,5}(h|m|s|ms)){1,4}$` allows; they are added up.
///
/// # Errors
/// [`DurationError::Malformed`] if the text does not match that pattern.
pub fn parse_duration(text: &str) -> Result<SignedDuration, DurationError> {
    let malformed = |problem| DurationError::Malformed { text: text.to_owned(), problem };
    let mut rest = text;
    let mut millis: u128 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(malformed("a number was expected"));
        }
        if digits > 5 {
            return Err(malformed("a number has more than five digits"));
        }
        let (number, after) = rest.split_at(digits);
        let (unit, after) = if let Some(after) = after.strip_prefix("ms") {
            (1, after)
        } else if let Some(after) = after.strip_prefix('h') {
            (MS_PER_HOUR, after)
        } else if let Some(after) = after.strip_prefix('m') {
            (MS_PER_MINUTE, after)
        } else if let Some(after) = after.strip_prefix('s') {
            (MS_PER_SECOND, after)
        } else {
            return Err(malformed("a number has no unit h, m, s or ms"));
        };
        let number: u128 = number.parse().map_err(|_| malformed("a number was expected"))?;
        millis += number * unit;
        parts += 1;
        rest = after;
    }
    match parts {
        0 => Err(malformed("it is empty")),
        // At most 4 × 99999h: far below what a duration holds.
        1..=4 => Ok(SignedDuration::from_millis_i128(i128::try_from(millis).unwrap_or(i128::MAX))),
        _ => Err(malformed("it has more than four parts")),
    }
}

/// Writes a duration in its canonical form, for example `1h30m`, `8m41s` or `0s`.
///
/// # Errors
/// [`DurationError::Unwritable`] if it is negative, finer than a millisecond, or longer than [`LONGEST`]. Measured times are rounded first, with
/// [`whole_seconds`].
pub fn print_duration(duration: SignedDuration) -> Result<String, DurationError> {
    if duration.is_negative() || duration > LONGEST || duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(DurationError::Unwritable { seconds: duration.as_secs(), nanoseconds: duration.subsec_nanos() });
    }
    Ok(canonical(duration.as_millis().unsigned_abs()))
}

/// A duration for a sentence: like the canonical form, but defined for every duration. A negative one gets a sign, and what is finer than a
/// millisecond is cut off.
pub fn human_duration(duration: SignedDuration) -> String {
    let millis = duration.as_millis();
    format!("{}{}", if millis < 0 { "-" } else { "" }, canonical(millis.unsigned_abs()))
}

fn canonical(millis: u128) -> String {
    let parts = [
        (millis / MS_PER_HOUR, "h"),
        (millis % MS_PER_HOUR / MS_PER_MINUTE, "m"),
        (millis % MS_PER_MINUTE / MS_PER_SECOND, "s"),
        (millis % MS_PER_SECOND, "ms"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(number, _)| *number != 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
}

/// Reads a time limit of a spec: longer than nothing, and no longer than can be written again.
///
/// # Errors
/// A sentence that names the field.
pub fn parse_limit(field: &str, text: &str) -> Result<SignedDuration, String> {
    let limit = parse_duration(text).map_err(|error| format!("{field}: {error}"))?;
    if limit.is_positive() && limit <= LONGEST {
        return Ok(limit);
    }
    Err(format!("{field}: {} is no time limit: ask for 1ms to {}", human_duration(limit), human_duration(LONGEST)))
}

/// The duration rounded to whole seconds, halves away from zero: what a status shows of a measured time.
pub fn whole_seconds(duration: SignedDuration) -> SignedDuration {
    let carry = match duration.subsec_nanos() {
        500_000_000.. => 1,
        ..=-500_000_000 => -1,
        _ => 0,
    };
    SignedDuration::from_secs(duration.as_secs().saturating_add(carry))
}

/// The moment that lies `duration` after `from`, or the last moment there is.
pub fn after(from: Timestamp, duration: SignedDuration) -> Timestamp {
    from.checked_add(duration).unwrap_or(if duration.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

/// For `#[serde(with = "…::gep2257")]`: a duration as its canonical text.
pub mod gep2257 {
    use jiff::SignedDuration;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _, ser::Error as _};

    /// Writes the canonical form.
    ///
    /// # Errors
    /// If the duration has none.
    pub fn serialize<S: Serializer>(duration: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::print_duration(*duration).map_err(S::Error::custom)?)
    }

    /// Reads any form that GEP-2257 allows.
    ///
    /// # Errors
    /// If the text is not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
        super::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// The same for a duration that may be absent; use it with `default` and `skip_serializing_if`.
    pub mod option {
        use jiff::SignedDuration;
        use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

        /// Writes the canonical form, or null.
        ///
        /// # Errors
        /// If the duration has no canonical form.
        pub fn serialize<S: Serializer>(duration: &Option<SignedDuration>, serializer: S) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        /// Reads any form that GEP-2257 allows, or null.
        ///
        /// # Errors
        /// If the text is not a duration.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignedDuration>, D::Error> {
            Option::<String>::deserialize(deserializer)?.map(|text| crate::time::parse_duration(&text).map_err(D::Error::custom)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(millis: i64) -> SignedDuration {
        SignedDuration::from_millis(millis)
    }

    #[test]
    fn durations_are_read_as_gep_2257_says() {
        for (text, expected) in [
            ("0s", 0),
            ("0h", 0),
            ("1ms", 1),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("8m41s", 521_000),
            ("168h", 604_800_000),
            ("90m", 5_400_000),
            ("1m1ms", 60_001),
            ("1s1m1h1ms", 3_661_001),
            ("1m1m", 120_000),
            ("00001s", 1_000),
            ("99999h59m59s999ms", 359_999_999_999),
        ] {
            assert_eq!(parse_duration(text), Ok(millis(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_and_the_message_says_why() {
        for (text, problem) in [
            ("", "it is empty"),
            ("15", "a number has no unit"),
            ("m", "a number was expected"),
            ("-1s", "a number was expected"),
            ("+1s", "a number was expected"),
            ("1.5h", "a number has no unit"),
            ("1d", "a number has no unit"),
            ("1us", "a number has no unit"),
            ("100000s", "more than five digits"),
            ("1h1h1h1h1h", "more than four parts"),
            (" 1s", "a number was expected"),
            ("1s ", "a number was expected"),
            ("1S", "a number has no unit"),
            ("１s", "a number was expected"),
            ("P1D", "a number was expected"),
        ] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(&format!("{text:?}")) && error.contains("for example 15m"), "{text}: {error}");
        }
    }

    #[test]
    fn fault_e48_a_time_limit_that_is_none_is_refused_in_the_words_of_its_field() {
        for (text, said) in [
            ("6h", Ok(SignedDuration::from_hours(6))),
            ("0s", Err("spec.deadline: 0s is no time limit: ask for 1ms to 99999h59m59s999ms")),
            ("99999h99999h99999h99999h", Err("spec.deadline: 399996h is no time limit: ask for 1ms to 99999h59m59s999ms")),
        ] {
            assert_eq!(parse_limit("spec.deadline", text), said.map_err(str::to_owned), "{text}");
        }
        assert!(parse_limit("spec.deadline", "1d").is_err_and(|said| said.starts_with("spec.deadline: \"1d\" is not a duration")));
    }

    #[test]
    fn durations_are_written_in_one_way_only() {
        for (duration, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1_000, "1s"),
            (60_000, "1m"),
            (3_600_000, "1h"),
            (521_000, "8m41s"),
            (5_400_000, "1h30m"),
            (3_600_001, "1h1ms"),
            (604_800_000, "168h"),
        ] {
            assert_eq!(print_duration(millis(duration)).as_deref(), Ok(text));
        }
        assert_eq!(print_duration(LONGEST).as_deref(), Ok("99999h59m59s999ms"));
    }

    #[test]
    fn what_cannot_be_written_is_refused_but_can_be_said() {
        for (duration, said) in [
            (millis(-1), "-1ms"),
            (SignedDuration::from_nanos(-1), "0s"),
            (SignedDuration::from_secs(-5_400), "-1h30m"),
            (SignedDuration::new(1, 1), "1s"),
            (LONGEST + millis(1), "100000h"),
            (SignedDuration::MAX, "2562047788015215h30m7s999ms"),
            (SignedDuration::MIN, "-2562047788015215h30m8s999ms"),
        ] {
            assert!(print_duration(duration).is_err(), "{said}");
            assert_eq!(human_duration(duration), said);
        }
    }

    #[test]
    fn a_measured_time_is_rounded_to_whole_seconds() {
        for (duration, seconds) in [(0, 0), (499, 0), (500, 1), (521_417, 521), (521_500, 522), (-499, 0), (-500, -1), (-1_501, -2)] {
            assert_eq!(whole_seconds(millis(duration)), SignedDuration::from_secs(seconds), "{duration}");
        }
        assert_eq!(whole_seconds(SignedDuration::MAX), SignedDuration::from_secs(i64::MAX));
    }

    #[test]
    fn moments_stop_at_the_end_of_time() {
        let now: Timestamp = "2026-11-15T01:00:00Z".parse().unwrap();
        assert_eq!(after(now, millis(1_500)).to_string(), "2026-11-15T01:00:01.5Z");
        assert_eq!(after(now, SignedDuration::MAX), Timestamp::MAX);
        assert_eq!(after(now, SignedDuration::MIN), Timestamp::MIN);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(whole in 0..=LONGEST.as_millis()) {
            let duration = SignedDuration::from_millis_i128(whole);
            let text = print_duration(duration).unwrap();
            prop_assert_eq!(parse_duration(&text), Ok(duration));
            prop_assert!(regex::Regex::new("^([0-9]{1,5}(h|m|s|ms)){1,4}$").unwrap().is_match(&text), "{}", text);
            prop_assert_eq!(human_duration(duration), text);
        }

        #[test]
        fn exactly_what_the_pattern_allows_is_read(text in "([0-9]{0,6}(h|m|s|ms|d)?){0,5}") {
            let allowed = regex::Regex::new("^([0-9]{1,5}(h|m|s|ms)){1,4}$").unwrap().is_match(&text);
            prop_assert_eq!(parse_duration(&text).is_ok(), allowed, "{}", text);
        }

        #[test]
        fn nothing_that_is_read_or_written_stops_the_program(text in "\\PC*", seconds: i64, nanos in -999_999_999..=999_999_999_i32) {
            drop(parse_duration(&text));
            let duration = SignedDuration::new(if nanos < 0 { seconds.min(0) } else { seconds.max(0) }, nanos);
            drop(print_duration(duration));
            drop(human_duration(duration));
            let _ = whole_seconds(duration);
        }
    }
}
