//! Versions of components, as far as they can be compared.

use p861_crds::maintenance::template::VersionRange;
use std::cmp::Ordering;

/// A version: numbers, and what comes before their release.
#[derive(Clone, Debug)]
struct Version {
    /// Without zeros at the end: `1.6` and `1.6.0` are the same.
    numbers: Vec<u64>,
    /// Empty for a release.
    pre_release: Vec<Identifier>,
}

/// A part of a pre-release. Numbers come before words, as in semantic versioning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

impl Version {
    /// `1.6.1`, `v1.6`, `1.7.0-rc.1`; what follows a `+` says nothing about the order. None if it isn't made of numbers.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (numbers, pre_release) = text.split_once('-').map_or((text, None), |(numbers, pre)| (numbers, Some(pre)));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = |part: &str| is_number(part).then(|| part.parse::<u64>().ok()).flatten();
        let mut numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        let identifier = |part: &str| number(part).map_or_else(|| Identifier::Word(part.to_owned()), Identifier::Number);
        Some(Self { numbers, pre_release: pre_release.into_iter().flat_map(|pre| pre.split('.')).map(identifier).collect() })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let releases = other.pre_release.is_empty().cmp(&self.pre_release.is_empty()).reverse();
        self.numbers.cmp(&other.numbers).then(releases).then_with(|| self.pre_release.cmp(&other.pre_release))
    }
}

/// What is wrong with a range; none if it has versions.
pub fn fault(range: &VersionRange) -> Option<String> {
    let VersionRange { at_least, below } = range;
    let (Some(from), Some(to)) = (Version::parse(at_least), Version::parse(below)) else {
        return Some(format!("versions {at_least} to {below} can't be compared: write numbers with dots, for example 1.6.0"));
    };
    (from.compare(&to) != Ordering::Less).then(|| format!("no version is at least {at_least} and below {below}"))
}

/// Whether the version is in the range. One that can't be compared is in none.
pub fn contains(range: &VersionRange, version: &str) -> bool {
    let (Some(from), Some(to), Some(version)) = (Version::parse(&range.at_least), Version::parse(&range.below), Version::parse(version)) else { return false };
    // 1.7.0-rc.1 is below 1.7.0, and not what anybody means who permits versions below it.
    let meant = version.pre_release.is_empty() || (!from.pre_release.is_empty() && from.numbers == version.numbers);
    meant && from.compare(&version) != Ordering::Greater && version.compare(&to) == Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(at_least: &str, below: &str) -> VersionRange {
        VersionRange { at_least: at_least.into(), below: below.into() }
    }

    #[test]
    fn versions_are_ordered_by_their_numbers_and_a_pre_release_comes_before_its_release() {
        let sorted = ["0", "1.6.0-alpha", "1.6.0-alpha.1", "1.6.0-beta.2", "1.6.0-beta.11", "1.6", "v1.6.1", "1.6.2+build.7", "1.10.0", "2024.5"];
        for pair in sorted.windows(2) {
            let [lower, upper] = [pair[0], pair[1]].map(|text| Version::parse(text).expect("a version"));
            assert_eq!(lower.compare(&upper), Ordering::Less, "{pair:?}");
            assert_eq!(upper.compare(&lower), Ordering::Greater, "{pair:?}");
        }
        for (one, same) in [("1.6", "1.6.0"), ("v1.6.1", "1.6.1"), ("1.6.1+a", "1.6.1+b"), ("0", "0.0.0")] {
            assert_eq!(Version::parse(one).expect("a version").compare(&Version::parse(same).expect("a version")), Ordering::Equal, "{one} {same}");
        }
        for text in ["", "latest", "1..2", "1.x", "v", "-1", "1.6_1", "99999999999999999999"] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_range_holds_releases_from_its_beginning_to_below_its_end() {
        for (at_least, below, version, expected) in [
            ("1.6.0", "1.7.0", "1.6.0", true),
            ("1.6.0", "1.7.0", "v1.6.9", true),
            ("1.6.0", "1.7.0", "1.7.0", false),
            ("1.6.0", "1.7.0", "1.7", false),
            ("1.6.0", "1.7.0", "1.5.9", false),
            ("1.6.0", "1.7.0", "1.7.0-rc.1", false),
            ("1.6.0", "1.7.0", "1.6.5-rc.1", false),
            ("1.6.0-rc.1", "1.7.0", "1.6.0-rc.2", true),
            ("1.6.0-rc.1", "1.7.0", "1.6.1-rc.2", false),
            ("1.6.0", "1.7.0", "latest", false),
            ("latest", "1.7.0", "1.6.0", false),
        ] {
            assert_eq!(contains(&range(at_least, below), version), expected, "{at_least} {below} {version}");
        }
        assert_eq!(fault(&range("1.6.0", "1.7.0")), None);
        assert!(fault(&range("1.7.0", "1.7")).is_some_and(|fault| fault.starts_with("no version is at least")));
        assert!(fault(&range("stable", "1.7")).is_some_and(|fault| fault.contains("can't be compared")));
    }

    proptest! {
        #[test]
        fn a_range_of_numbers_holds_exactly_the_numbers_between(from in prop::array::uniform3(0_u64..4), to in prop::array::uniform3(0_u64..4), version in prop::array::uniform3(0_u64..4)) {
            let text = |numbers: [u64; 3]| numbers.map(|number| number.to_string()).join(".");
            let range = range(&text(from), &text(to));
            prop_assert_eq!(contains(&range, &text(version)), from <= version && version < to);
            prop_assert_eq!(fault(&range).is_none(), from < to);
        }
    }
}
