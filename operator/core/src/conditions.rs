//! Conditions. `lastTransitionTime` changes only when the status changes.

use jiff::Timestamp;
use p861_crds::{Condition, Time};

/// One condition as a decision states it, before times are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its type, for example `Ready`.
    pub kind: &'static str,
    /// True, False, or unknown.
    pub status: Option<bool>,
    /// Key of the texts in zh and en.
    pub reason: String,
    /// English text for people: the state, and what to do about it.
    pub message: String,
}

impl Verdict {
    /// Holds.
    pub fn good(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: Some(true), reason: reason.into(), message: message.into() }
    }

    /// Doesn't hold.
    pub fn bad(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: Some(false), reason: reason.into(), message: message.into() }
    }

    /// Not known, or not yet.
    pub fn unknown(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: None, reason: reason.into(), message: message.into() }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.status == Some(true)
    }
}

/// The conditions that follow from `before` and the verdicts: types that no verdict names stay as they are, times move only with the status.
pub fn apply(before: &[Condition], verdicts: &[Verdict], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let mut after: Vec<Condition> = before.to_vec();
    for verdict in verdicts {
        let status = match verdict.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let old = after.iter().position(|condition| condition.type_ == verdict.kind);
        let since = match old {
            Some(index) if after[index].status == status => after[index].last_transition_time.clone(),
            _ => Time(now),
        };
        let condition = Condition {
            type_: verdict.kind.into(),
            status: status.into(),
            reason: verdict.reason.clone(),
            message: shorten(&verdict.message, 1024),
            observed_generation: generation,
            last_transition_time: since,
        };
        match old {
            Some(index) => after[index] = condition,
            None => after.push(condition),
        }
    }
    after
}

/// Whether the condition of that type is True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// At most so many characters, with an ellipsis where something was cut. Condition messages have a limit in the API server.
pub fn shorten(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(longest.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    #[test]
    fn the_time_moves_only_when_the_status_does() {
        let first = apply(&[], &[Verdict::bad("Ready", "Unreachable", "no answer")], Some(1), at(10));
        let same = apply(&first, &[Verdict::bad("Ready", "CredentialsRefused", "401")], Some(2), at(20));
        assert_eq!(same[0].last_transition_time, Time(at(10)));
        assert_eq!(same[0].reason, "CredentialsRefused");
        let turned = apply(&same, &[Verdict::good("Ready", "AsDeclared", "answers")], Some(2), at(30));
        assert_eq!(turned[0].last_transition_time, Time(at(30)));
        assert_eq!(turned.len(), 1);
    }

    #[test]
    fn a_type_that_nobody_speaks_of_stays() {
        let before = apply(&[], &[Verdict::good("Reachable", "Answers", "6 ms")], Some(1), at(10));
        let after = apply(&before, &[Verdict::good("Ready", "AsDeclared", "")], Some(1), at(11));
        assert!(is_true(&after, "Reachable") && is_true(&after, "Ready"));
    }
}
