//! Regular expressions that districts write into checks. A pattern and a text together decide how long a match takes, so both have a limit; one reading of patterns serves
//! whoever judges an Application and whoever tries its checks.

use p861_crds::platform::application::Application;
use regex::{Regex, RegexBuilder};

/// Size of a compiled pattern: `\w` takes a fifth of it, `.` a kilobyte, a class such as `[a-z]` a few bytes. The slowest match takes some seconds.
const MAX_PROGRAM_BYTES: usize = 256 << 10;
/// Memory of a match, beyond which it is slower.
const MAX_MATCH_BYTES: usize = 256 << 10;
/// Beginning of a text in which a pattern is looked for.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// A pattern that is no regular expression, or too large a one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It can't be read.
    #[error("pattern {pattern:?} is no regular expression: {why}")]
    Unreadable {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        why: String,
    },
    /// It takes too much.
    #[error(
        "pattern {0:?} takes more than {max} KiB once it is compiled: repeat less, and write [a-z0-9_] for \\w and [0-9] for \\d",
        max = MAX_PROGRAM_BYTES >> 10
    )]
    TooLarge(String),
}

/// A regular expression of a bounded size.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`], for people.
    pub fn read(pattern: &str) -> Result<Self, PatternError> {
        let built = RegexBuilder::new(pattern).size_limit(MAX_PROGRAM_BYTES).dfa_size_limit(MAX_MATCH_BYTES).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge(pattern.to_owned()),
            error => PatternError::Unreadable { pattern: pattern.to_owned(), why: error.to_string() },
        })
    }

    /// Whether the text has a match, as far as it is looked at ([`MAX_TEXT_BYTES`]).
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)])
    }
}

/// The patterns of an Application's checks, each with the check's name.
fn patterns(application: &Application) -> impl Iterator<Item = (&str, &str)> {
    application.spec.checks.iter().flat_map(|check| {
        let of_page = check.http.as_ref().and_then(|http| http.expect.pattern.as_deref());
        let of_output = check.exec.as_ref().and_then(|exec| exec.expect.as_ref()).map(|expect| expect.pattern.as_str());
        of_page.into_iter().chain(of_output).map(|pattern| (check.name.as_str(), pattern))
    })
}

/// Whether there is a pattern to read at all.
pub fn has_patterns(application: &Application) -> bool {
    patterns(application).next().is_some()
}

/// Reads all patterns of an Application's checks.
///
/// # Errors
/// The first that can't be used, with its check.
pub fn refuse_patterns(application: &Application) -> Result<(), String> {
    for (check, pattern) in patterns(application) {
        Pattern::read(pattern).map_err(|error| format!("check {check}: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, Instant};

    #[test]
    fn fault_e28_no_pattern_and_no_text_take_the_operator_long() {
        let text = "ab".repeat(1 << 20);
        // Many states that are all possible at once. The others are about as large as can be, and take a second or two.
        let too_large = ["a[ab]{60000}[^ab]", "(?:a?){30000}b{30000}c"];
        for pattern in ["a[ab]{3600}[^ab]", "(?:a?){1900}b{1900}c", "(?i)(?:[a-z]?[a-y]?){340}[0-9]", "(?:.?){240}1"].into_iter().chain(too_large) {
            let began = Instant::now();
            let read = Pattern::read(pattern);
            assert_eq!(read.is_err(), too_large.contains(&pattern), "{pattern}");
            let found = read.is_ok_and(|read| read.is_in(&text));
            assert!(!found && began.elapsed() < Duration::from_secs(15), "{pattern}: {:?}", began.elapsed());
        }
    }

    #[test]
    fn fault_e28_a_pattern_that_takes_too_much_is_refused_with_what_to_write() {
        for pattern in ["a[ab]{60000}[^a]", "(?:[ab]{200}){250}[^a]", r"\w{900}\d"] {
            let refused = Pattern::read(pattern).expect_err(pattern);
            assert_eq!(refused, PatternError::TooLarge(pattern.to_owned()));
            assert!(refused.to_string().contains("256 KiB"), "{refused}");
        }
        for pattern in ["^ok$", r"\w+@\w+", r"(?i)version: \d+\.\d+", "登录", "[0-9]{1,3}(ms|s)", "(?s)<title>.{1,200}</title>"] {
            assert!(Pattern::read(pattern).is_ok(), "{pattern}: {:?}", Pattern::read(pattern));
        }
        assert!(matches!(Pattern::read("("), Err(PatternError::Unreadable { .. })));
        let is_in = |pattern: &str, text: &str| Pattern::read(pattern).expect("a pattern").is_in(text);
        assert!(is_in("b$", "aab") && !is_in("b", &format!("{}b", "a".repeat(MAX_TEXT_BYTES))) && !is_in("x", &"录".repeat(MAX_TEXT_BYTES)));
    }

    #[test]
    fn fault_e28_an_application_says_which_check_has_a_pattern_that_can_not_be_used() {
        let with = |check: serde_json::Value| -> Application {
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"},
                "spec": {"names": {"en": "a"}, "department": "d", "namespaces": ["shinan-a"], "checks": [check]}}))
            .expect("an application")
        };
        let exec = |pattern: &str| json!({"name": "c", "exec": {"workloadRef": {"kind": "Deployment", "name": "web"}, "command": ["a"], "expect": {"pattern": pattern}}});
        let http = |pattern: &str| json!({"name": "c", "http": {"serviceName": "web", "port": 80, "expect": {"status": 200, "pattern": pattern}}});
        for check in [exec("a[ab]{60000}"), http("a[ab]{60000}")] {
            let refused = refuse_patterns(&with(check)).expect_err("too large");
            assert!(refused.starts_with("check c: pattern"), "{refused}");
        }
        assert_eq!(refuse_patterns(&with(exec("^ok"))), Ok(()));
    }
}
