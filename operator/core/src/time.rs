//! Durations as users write them: GEP-2257, the form of Gateway API.
//!
//! One to four numbers of one to five digits, each with a unit `h`, `m`, `s` or `ms`: `15m`, `1h30m`, `250ms`. There are no days, no signs and no
//! fractions. The canonical form, which every status shows, names each unit at most once, the larger first.

use jiff::{SignedDuration, Timestamp};

const MS_PER_SECOND: i128 = 1_000;
const MS_PER_MINUTE: i128 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: i128 = 60 * MS_PER_MINUTE;

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
    let mut millis: i128 = 0;
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
        let number: i128 = number.parse().map_err(|_| malformed("a number was expected"))?;
        millis += number * unit;
        parts += 1;
        rest = after;
    }
    match parts {
        0 => Err(malformed("it is empty")),
        1..=4 => Ok(SignedDuration::from_millis_i128(millis)),
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
    Ok(canonical(duration))
}

/// A duration for a sentence: like the canonical form, but defined for every duration. A negative one gets a sign, and what is finer than a
/// millisecond is cut off.
pub fn human_duration(duration: SignedDuration) -> String {
    if duration.is_negative() { format!("-{}", canonical(duration.abs())) } else { canonical(duration) }
}

fn canonical(duration: SignedDuration) -> String {
    let millis = duration.as_millis();
    let parts = [
        (millis / MS_PER_HOUR, "h"),
        (millis % MS_PER_HOUR / MS_PER_MINUTE, "m"),
        (millis % MS_PER_MINUTE / MS_PER_SECOND, "s"),
        (millis % MS_PER_SECOND, "ms"),
    ];
    let text: String = parts.iter().filter(|(number, _)| *number != 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
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
        #[allow(clippy::ref_option, reason = "serde hands a reference to the field")]
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
