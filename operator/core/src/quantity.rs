//! Kubernetes quantities (`1843Mi`, `500m`, `1e3`), as exact numbers, and sizes for people (`1.8 GiB`).
//!
//! The grammar is that of `k8s.io/apimachinery/pkg/api/resource`: a decimal number with an optional sign, followed by a binary suffix (Ki, Mi, Gi, Ti,
//! Pi, Ei), a decimal suffix (n, u, m, none, k, M, G, T, P, E) or a decimal exponent (`e3`, `E-2`). As there, what is finer than a billionth is rounded
//! away from zero, so that a demand is never understated.

/// Billionths in one.
const NANO: i128 = 1_000_000_000;

/// The largest number of ones that is read, in either direction: 2⁶³−1, as in Kubernetes.
const MOST: i128 = i64::MAX as i128;

/// A quantity that cannot be read, or has no such form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text is no quantity.
    #[error("{text:?} is not a quantity: {problem}; write a number with an optional suffix, for example 20Ti, 500m or 12G")]
    Malformed {
        /// What was read.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is larger than 2⁶³−1.
    #[error("{text:?} is too large; the largest quantity is 9223372036854775807")]
    TooLarge {
        /// What was read.
        text: String,
    },
    /// It is negative, where only a size makes sense.
    #[error("{nanos} billionths is negative; a size cannot be")]
    Negative {
        /// The number, in billionths.
        nanos: i128,
    },
}

/// An exact quantity, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: i128,
}

impl Quantity {
    /// Reads a quantity.
    ///
    /// # Errors
    /// [`QuantityError::Malformed`] or [`QuantityError::TooLarge`].
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let malformed = |problem| QuantityError::Malformed { text: text.to_owned(), problem };
        let too_large = || QuantityError::TooLarge { text: text.to_owned() };
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(malformed("it has no digits"));
        }
        if fraction.contains('.') {
            return Err(malformed("it has two decimal points"));
        }
        let scale = Scale::parse(suffix).ok_or_else(|| malformed("its suffix is not one of n u m k M G T P E Ki Mi Gi Ti Pi Ei, or an exponent such as e3"))?;

        let nanos = billionths(whole, fraction, &scale).filter(|nanos| *nanos <= MOST * NANO).ok_or_else(too_large)?;
        Ok(Self { nanos: if negative { -nanos } else { nanos } })
    }

    /// A quantity of whole ones, for example bytes.
    pub fn from_ones(ones: i64) -> Self {
        Self { nanos: i128::from(ones) * NANO }
    }

    /// The number in billionths: exact.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// Whole ones, for example bytes or pods; a fraction is rounded away from zero.
    pub fn ones(self) -> i64 {
        i64::try_from(divide_away(self.nanos, NANO)).unwrap_or(if self.nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// Thousandths, for example of a CPU; a finer fraction is rounded away from zero.
    pub fn thousandths(self) -> i128 {
        divide_away(self.nanos, NANO / 1_000)
    }

    /// Bytes.
    ///
    /// # Errors
    /// [`QuantityError::Negative`].
    pub fn bytes(self) -> Result<u64, QuantityError> {
        u64::try_from(self.ones()).map_err(|_| QuantityError::Negative { nanos: self.nanos })
    }
}

/// `whole.fraction` × scale in billionths, rounded up; none if that is far too large.
///
/// The decimal point is moved in the digits themselves. Behind it, 38 digits decide with certainty: a factor of at most 2⁶⁰ lifts what follows them
/// to less than one unit of the last of them, so further digits matter only in whether they are all zero.
fn billionths(whole: &str, fraction: &str, scale: &Scale) -> Option<i128> {
    const LIMB: i128 = 10_000_000_000_000_000_000;
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let length = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let point = length(whole.len()) - length(digits.len() - significant.len()) + scale.exponent + 9;
    if point > 38 {
        return None;
    }
    let digit = |at: i64| usize::try_from(at).ok().and_then(|at| significant.as_bytes().get(at)).map_or(0, |byte| i128::from(byte - b'0'));
    let number = |from: i64, to: i64| (from..to).try_fold(0_i128, |number, at| number.checked_mul(10)?.checked_add(digit(at)));
    let ones = number(0, point)?;
    let (high, low) = (number(point, point + 19)?, number(point + 19, point + 38)?);
    let beyond = usize::try_from(point + 38).map_or(significant, |at| significant.get(at..).unwrap_or_default());
    let low = low * scale.factor;
    let high = high * scale.factor + low / LIMB;
    let remainder = high % LIMB != 0 || low % LIMB != 0 || beyond.bytes().any(|byte| byte != b'0');
    ones.checked_mul(scale.factor)?.checked_add(high / LIMB)?.checked_add(i128::from(remainder))
}

fn divide_up(value: i128, by: i128) -> i128 {
    value / by + i128::from(value % by > 0)
}

fn divide_away(value: i128, by: i128) -> i128 {
    if value < 0 { -divide_up(-value, by) } else { divide_up(value, by) }
}

/// What a suffix multiplies by: factor × 10^exponent.
struct Scale {
    factor: i128,
    exponent: i64,
}

impl Scale {
    fn parse(suffix: &str) -> Option<Self> {
        let decimal = |exponent| Some(Self { factor: 1, exponent });
        let binary = |power: u32| Some(Self { factor: 1_i128 << (10 * power), exponent: 0 });
        match suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(1),
            "Mi" => binary(2),
            "Gi" => binary(3),
            "Ti" => binary(4),
            "Pi" => binary(5),
            "Ei" => binary(6),
            exponent => {
                let digits = exponent.strip_prefix(['e', 'E'])?;
                let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
                let valid = (1..=9).contains(&unsigned.len()) && unsigned.bytes().all(|byte| byte.is_ascii_digit());
                valid.then(|| digits.parse().ok()).flatten().and_then(decimal)
            }
        }
    }
}

const UNITS: [(&str, &str, u64); 6] =
    [("Ei", "EiB", 1 << 60), ("Pi", "PiB", 1 << 50), ("Ti", "TiB", 1 << 40), ("Gi", "GiB", 1 << 30), ("Mi", "MiB", 1 << 20), ("Ki", "KiB", 1 << 10)];

/// `value / by`, rounded to the nearest, halves up.
fn nearest(value: u128, by: u64) -> u128 {
    (value + u128::from(by) / 2) / u128::from(by)
}

/// A size for people: `512 B`, `1.8 GiB`, `11 MiB`. Below ten units it has one decimal, above none.
pub fn human_bytes(bytes: u64) -> String {
    // From the smallest unit up, since a number that rounds to 1024 belongs to the next one.
    let mut text = format!("{bytes} B");
    for (_, unit, size) in UNITS.iter().rev() {
        let tenths = nearest(u128::from(bytes) * 10, *size);
        let ones = nearest(u128::from(bytes), *size);
        if bytes < 1024 {
            return text;
        }
        text = if tenths < 100 { format!("{}.{} {unit}", tenths / 10, tenths % 10) } else { format!("{ones} {unit}") };
        if ones < 1024 {
            return text;
        }
    }
    text
}

/// A size for a status: a quantity of at most four digits and a binary suffix (`1843Mi`, `391Mi`, `27Gi`), rounded to the nearest, so that its unit is said wherever it
/// is shown as it is. Below 10 KiB it is rounded up, and nothing but 0 is 0; from there on it is within a twentieth. What must be exact is written out in bytes.
pub fn print_bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    if bytes < 10 * 1024 {
        return format!("{}Ki", bytes.div_ceil(1024));
    }
    let fits = UNITS.iter().rev().find(|(_, _, size)| nearest(u128::from(bytes), *size) < 10_000);
    fits.map_or_else(|| bytes.to_string(), |(suffix, _, size)| format!("{}{suffix}", nearest(u128::from(bytes), *size)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_read_exactly() {
        for (text, nanos) in [
            ("0", 0),
            ("4", 4 * NANO),
            ("500m", NANO / 2),
            ("1e3", 1_000 * NANO),
            ("1E3", 1_000 * NANO),
            ("1e-3", NANO / 1_000),
            ("1E+2", 100 * NANO),
            ("12G", 12_000_000_000 * NANO),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("1843Mi", 1_843 * (1 << 20) * NANO),
            ("20Ti", 20 * (1 << 40) * NANO),
            ("1.5Gi", 3 * (1 << 29) * NANO),
            ("0.1Ki", 102_400_000_000),
            (".5", NANO / 2),
            ("5.", 5 * NANO),
            ("-2k", -2_000 * NANO),
            ("+7", 7 * NANO),
            ("100n", 100),
            ("3u", 3_000),
            ("0.0000000001", 1),
            ("-0.0000000001", -1),
            ("1e-99", 1),
            ("0e999999999", 0),
            ("0.000000000000000000000000000000000000000000000000000000000000000000000000000000000000001Ei", 1),
            ("000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000012", 12 * NANO),
            ("9223372036854775807", MOST * NANO),
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::nanos), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_and_the_message_says_why() {
        for (text, problem) in [
            ("", "it has no digits"),
            (".", "it has no digits"),
            ("Mi", "it has no digits"),
            ("-", "it has no digits"),
            ("--1", "it has no digits"),
            ("1.2.3", "it has two decimal points"),
            ("1 Gi", "its suffix is not one of"),
            ("1K", "its suffix is not one of"),
            ("1mi", "its suffix is not one of"),
            ("1GB", "its suffix is not one of"),
            ("1e", "its suffix is not one of"),
            ("1e+", "its suffix is not one of"),
            ("1e1.5", "its suffix is not one of"),
            ("1e9999999999", "its suffix is not one of"),
            ("12Größe", "its suffix is not one of"),
            ("9223372036854775808", "too large"),
            ("8Ei", "too large"),
            ("-8Ei", "too large"),
            ("1e999999999", "too large"),
            ("100000000000000000000000000000000000000000000000000000000", "too large"),
        ] {
            let error = Quantity::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(&format!("{text:?}")), "{text}: {error}");
        }
    }

    #[test]
    fn parts_of_a_byte_or_of_a_thousandth_count_as_whole_ones() {
        let read = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((read("1500m").ones(), read("-1500m").ones(), read("1n").ones()), (2, -2, 1));
        assert_eq!((read("250m").thousandths(), read("2").thousandths(), read("100u").thousandths()), (250, 2_000, 1));
        assert_eq!(read("0.1Ki").bytes(), Ok(103));
        assert_eq!(read("20Ti").bytes(), Ok(20 << 40));
        assert!(matches!(read("-1").bytes(), Err(QuantityError::Negative { .. })));
        assert_eq!(Quantity::from_ones(7), read("7"));
    }

    #[test]
    fn sizes_are_said_shortly() {
        for (bytes, human, status) in [
            (0, "0 B", "0"),
            (1, "1 B", "1Ki"),
            (512, "512 B", "1Ki"),
            (1_023, "1023 B", "1Ki"),
            (1_024, "1.0 KiB", "1Ki"),
            (1_025, "1.0 KiB", "2Ki"),
            (9_999, "9.8 KiB", "10Ki"),
            (10_000, "9.8 KiB", "10Ki"),
            (10_188, "9.9 KiB", "10Ki"),
            (10_189, "10 KiB", "10Ki"),
            (10_240, "10 KiB", "10Ki"),
            (1_048_575, "1.0 MiB", "1024Ki"),
            (11 << 20, "11 MiB", "11Mi"),
            (1_843 << 20, "1.8 GiB", "1843Mi"),
            (391 << 20, "391 MiB", "391Mi"),
            (27 << 30, "27 GiB", "27Gi"),
            (20 << 40, "20 TiB", "20Ti"),
            (u64::MAX, "16 EiB", "16Ei"),
        ] {
            assert_eq!((human_bytes(bytes).as_str(), print_bytes(bytes).as_str()), (human, status), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_with_any_suffix_are_exact(number in 0..8_000_u64, at in 0..6_usize, decimal in 0..6_u32) {
            let (suffix, _, size) = UNITS[at];
            let product = u128::from(number) * u128::from(size);
            let read = Quantity::parse(&format!("{number}{suffix}"));
            if let Ok(ones) = i64::try_from(product) {
                prop_assert_eq!(read, Ok(Quantity::from_ones(ones)));
            } else {
                prop_assert!(matches!(read, Err(QuantityError::TooLarge { .. })), "{read:?}");
            }
            let suffix = ["", "k", "M", "G", "T", "P"][usize::try_from(decimal).unwrap()];
            let expected = i64::try_from(number * 10_u64.pow(3 * decimal).min(1_000_000_000_000_000)).ok();
            if let Some(expected) = expected.filter(|_| number < 1_000) {
                prop_assert_eq!(Quantity::parse(&format!("{number}{suffix}")), Ok(Quantity::from_ones(expected)));
            }
        }

        #[test]
        fn fractions_are_rounded_up_to_the_billionth(whole in 0..1_000_000_u64, fraction in "[0-9]{1,60}", at in 0..6_usize) {
            // The same in exact arithmetic, digit by digit: nanos = ceil(number × factor × 10⁹).
            let (suffix, _, size) = UNITS[at];
            let read = Quantity::parse(&format!("{whole}.{fraction}{suffix}"));
            let mut ones = u128::from(whole) * u128::from(size) * 1_000_000_000;
            let mut rest: Vec<u128> = fraction.bytes().map(|byte| u128::from(byte - b'0')).collect();
            let factor = u128::from(size) * 1_000_000_000;
            let mut carry = 0;
            for digit in rest.iter_mut().rev() {
                let product = *digit * factor + carry;
                *digit = product % 10;
                carry = product / 10;
            }
            ones += carry + u128::from(rest.iter().any(|digit| *digit != 0));
            if ones <= u128::try_from(MOST * NANO).unwrap() {
                prop_assert_eq!(read.unwrap().nanos(), i128::try_from(ones).unwrap());
            } else {
                prop_assert!(matches!(read, Err(QuantityError::TooLarge { .. })), "{read:?}");
            }
        }

        #[test]
        fn a_sign_mirrors_and_order_is_kept(a in "[0-9]{1,6}(\\.[0-9]{1,4})?(m|Ki|Mi|k|M|e2)?", b in "[0-9]{1,6}(\\.[0-9]{1,4})?(m|Ki|Mi|k|M|e2)?") {
            let (left, right) = (Quantity::parse(&a).unwrap(), Quantity::parse(&b).unwrap());
            prop_assert_eq!(Quantity::parse(&format!("-{a}")).unwrap().nanos(), -left.nanos());
            if left <= right {
                prop_assert!(left.ones() <= right.ones() && left.thousandths() <= right.thousandths());
            }
        }

        #[test]
        fn no_text_stops_the_program(text in "\\PC{0,40}", number in "[-+]?[0-9.]{0,50}[a-zA-Z]{0,2}[-+]?[0-9]{0,12}") {
            drop(Quantity::parse(&text));
            drop(Quantity::parse(&number));
        }

        #[test]
        fn what_a_status_shows_is_a_quantity_that_differs_by_at_most_a_twentieth_or_a_kibibyte(bytes in prop_oneof![any::<u64>(), 0..20_000_u64]) {
            let text = print_bytes(bytes);
            prop_assert!(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len() <= 4, "{}", text);
            // 16Ei, and what rounds to 8Ei, is more than Kubernetes can read.
            if let Ok(read) = Quantity::parse(&text) {
                let difference = u128::from(read.bytes().unwrap()).abs_diff(u128::from(bytes));
                prop_assert!(difference * 20 <= u128::from(bytes) || bytes < 10 << 10 && difference < 1 << 10, "{} is not {}", text, bytes);
            } else {
                prop_assert!(bytes > 1 << 62);
            }
        }

        #[test]
        fn what_people_read_grows_with_the_size(bytes: u64, more in 0..1_000_000_u64) {
            let value = |text: &str| -> f64 {
                let (number, unit) = text.split_once(' ').unwrap();
                let size = UNITS.iter().find(|(_, name, _)| *name == unit).map_or(1, |(_, _, size)| *size);
                #[expect(clippy::cast_precision_loss, reason = "close is enough")]
                let size = size as f64;
                number.parse::<f64>().unwrap() * size
            };
            let (small, large) = (human_bytes(bytes), human_bytes(bytes.saturating_add(more)));
            prop_assert!(value(&small) <= value(&large), "{} {}", small, large);
            prop_assert!(small.split_once(' ').unwrap().0.len() <= 4);
        }
    }
}
