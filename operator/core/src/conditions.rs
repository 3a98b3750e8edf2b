//! Conditions. `lastTransitionTime` changes only when the status changes.

use jiff::Timestamp;
use p861_crds::{Condition, ConditionType, Reason, Time};

/// One condition as a decision states it, before times are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// Its type.
    pub kind: ConditionType,
    /// True, False, or unknown.
    pub status: Option<bool>,
    /// Why.
    pub reason: Reason,
    /// English text for people: the state, and what to do about it.
    pub message: String,
}

impl ConditionUpdate {
    /// Holds.
    pub fn good(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: Some(true), reason, message: message.into() }
    }

    /// Doesn't hold.
    pub fn bad(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: Some(false), reason, message: message.into() }
    }

    /// Not known, or not yet.
    pub fn unknown(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: None, reason, message: message.into() }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.status == Some(true)
    }
}

/// An Event of an object, as a decision states it: one change that people are told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEvent {
    /// Reason of the Event.
    pub reason: Reason,
    /// What happened.
    pub note: String,
    /// Whether it is a warning.
    pub warning: bool,
}

/// The conditions that follow from `before` and the updates: types that no update names stay as they are, times move only with the status.
pub fn apply(before: &[Condition], updates: &[ConditionUpdate], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let mut after: Vec<Condition> = before.to_vec();
    for update in updates {
        let status = match update.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let old = after.iter().position(|condition| condition.type_ == update.kind);
        let since = match old {
            Some(index) if after[index].status == status => after[index].last_transition_time.clone(),
            _ => Time(now),
        };
        let condition = Condition {
            type_: update.kind.to_string(),
            status: status.into(),
            reason: update.reason.to_string(),
            message: shorten(&update.message, 1024),
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
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether a character of a text would hide or reorder others, or be obeyed by a terminal: shown as it is, the text looks different from what it says.
pub fn misleads(character: char) -> bool {
    let reorders = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}');
    let is_unseen = matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{00ad}' | '\u{180e}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    character.is_control() || reorders || is_unseen
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
        let first = apply(&[], &[ConditionUpdate::bad(ConditionType::Ready, Reason::Unreachable, "no answer")], Some(1), at(10));
        let same = apply(&first, &[ConditionUpdate::bad(ConditionType::Ready, Reason::CredentialsRefused, "401")], Some(2), at(20));
        assert_eq!(same[0].last_transition_time, Time(at(10)));
        assert_eq!(same[0].reason, "CredentialsRefused");
        let turned = apply(&same, &[ConditionUpdate::good(ConditionType::Ready, Reason::AsDeclared, "answers")], Some(2), at(30));
        assert_eq!(turned[0].last_transition_time, Time(at(30)));
        assert_eq!(turned.len(), 1);
    }

    #[test]
    fn a_type_that_nobody_speaks_of_stays() {
        let before = apply(&[], &[ConditionUpdate::good(ConditionType::Reachable, Reason::Answers, "6 ms")], Some(1), at(10));
        let after = apply(&before, &[ConditionUpdate::good(ConditionType::Ready, Reason::AsDeclared, "")], Some(1), at(11));
        assert!(is_true(&after, ConditionType::Reachable) && is_true(&after, ConditionType::Ready));
    }
}
