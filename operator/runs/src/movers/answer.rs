//! What a mover is told, and what it says.

use p861_core::{
    conditions::shorten,
    engine::{StepProgress, StoredObject},
    runs::MoverTask,
};
use p861_crds::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answer of a mover: its termination message, of which the kubelet reads at most 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum MoverAnswer {
    /// The task is done.
    Done {
        /// Its evidence, in the repository.
        evidence: StoredObject,
        /// What became of the steps that the mover went on with, by their ids.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        then: BTreeMap<String, MoverAnswer>,
    },
    /// The task failed.
    Failed {
        /// Reason of the API.
        reason: Reason,
        /// What happened, to which object, what to do.
        message: String,
        /// Whether retrying is useless.
        permanent: bool,
        /// Whether it has certainly changed nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        untouched: bool,
    },
}

/// The kubelet cuts a termination message at 4,096 bytes; an answer that is cut can't be read.
const MAX_ANSWER_BYTES: usize = 4_000;

impl MoverAnswer {
    /// The answer of a mover that went on with no other step.
    pub fn done(evidence: StoredObject) -> Self {
        Self::Done { evidence, then: BTreeMap::new() }
    }

    /// The same; a failure of a mover that has changed nothing, if `untouched`, says so.
    #[must_use]
    pub fn and_untouched(mut self, nothing: bool) -> Self {
        if let Self::Failed { untouched, .. } = &mut self {
            *untouched |= nothing;
        }
        self
    }

    /// Whether all that it was started for, or was told to go on with, is done.
    pub fn is_all_done(&self) -> bool {
        matches!(self, Self::Done { then, .. } if then.values().all(Self::is_all_done))
    }

    /// The text of a failure, its own or that of a step that the mover went on with: a mover fails once.
    fn message(&mut self) -> Option<&mut String> {
        match self {
            Self::Failed { message, .. } => Some(message),
            Self::Done { then, .. } => then.values_mut().find_map(Self::message),
        }
    }

    /// The answer as JSON of at most [`MAX_ANSWER_BYTES`]: a longer text of a failure is cut.
    pub(super) fn text(mut self) -> String {
        loop {
            let text = serde_json::to_string(&self).unwrap_or_default();
            match self.message() {
                Some(message) if text.len() > MAX_ANSWER_BYTES && !message.is_empty() => *message = shorten(message, message.chars().count() / 2),
                _ => return text,
            }
        }
    }

    /// What it says of a step that the mover may have gone on with; none if it did not.
    pub fn of(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Done { then, .. } => then.get(step),
            Self::Failed { .. } => None,
        }
    }
}

/// A step that a mover goes on with, once it is told that the step has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextTask {
    /// The step.
    pub step: String,
    /// The steps of the same mover whose evidence it gets.
    pub after: Vec<String>,
    /// What it does.
    pub task: MoverTask,
}

/// A line of a mover's standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoverLine {
    /// How far it is.
    pub progress: StepProgress,
    /// The evidence of each step that it has done, in the repository.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub done: BTreeMap<String, StoredObject>,
    /// It waits until this step has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// It waits for the keys of the repository.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wants_keys: bool,
}

impl MoverLine {
    /// What a line of a mover's output says; none if it is of another form.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim()).ok()
    }

    /// A line that says only how far the mover is.
    pub(crate) fn of(progress: StepProgress) -> Self {
        Self { progress, ..Self::default() }
    }

    /// The line of a mover that has not got the keys of its repository yet.
    pub(crate) fn wanting_keys() -> Self {
        Self { wants_keys: true, ..Self::of(StepProgress::message("waits for the keys of the repository")) }
    }

    /// What is said of a mover that has not said anything yet.
    pub(crate) fn under_way() -> Self {
        Self::of(StepProgress::message("under way"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::work::MAX_MESSAGE_CHARS, *};
    use p861_core::{engine::LONGEST_ID, runs::sharing::MAX_STEPS_PER_MOVER};

    fn failed(message: &str) -> MoverAnswer {
        MoverAnswer::Failed { reason: Reason::CommandFailed, message: message.into(), permanent: false, untouched: false }
    }

    #[test]
    fn an_answer_is_never_cut_by_the_kubelet() {
        for (message, whole) in [("no such file".repeat(10), true), ("\u{8bc1}".repeat(MAX_MESSAGE_CHARS), false), ("\"".repeat(10_000), false)] {
            let text = failed(&message).text();
            assert!(text.len() <= MAX_ANSWER_BYTES, "{} bytes", text.len());
            let MoverAnswer::Failed { message: read, .. } = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            assert_eq!(read == message, whole, "{text}");
        }
        let stored = StoredObject { sha256: "a".repeat(64), bytes: u64::MAX };
        assert!(MoverAnswer::done(stored).text().len() < 200);
    }

    #[test]
    fn fault_g2_an_answer_for_as_many_steps_as_a_mover_may_have_is_not_cut_either() {
        let stored = StoredObject { sha256: "a".repeat(64), bytes: u64::MAX };
        let id = |number: usize| format!("{number}{}", "a".repeat(LONGEST_ID - 1));
        let mut then: BTreeMap<String, MoverAnswer> = (2..MAX_STEPS_PER_MOVER).map(|number| (id(number), MoverAnswer::done(stored.clone()))).collect();
        then.insert(id(MAX_STEPS_PER_MOVER), failed(&"\"".repeat(10_000)));
        let text = MoverAnswer::Done { evidence: stored.clone(), then }.text();
        assert!(text.len() <= MAX_ANSWER_BYTES, "{} bytes", text.len());
        let answer: MoverAnswer = serde_json::from_str(&text).unwrap();
        assert_eq!(answer.of(&id(2)), Some(&MoverAnswer::done(stored)));
        assert!(matches!(answer.of(&id(MAX_STEPS_PER_MOVER)), Some(MoverAnswer::Failed { message, .. }) if message.len() > 100));
        assert!(!answer.is_all_done() && answer.of("another").is_none());
    }

    #[test]
    fn fault_g2_what_a_mover_of_another_release_says_is_understood() {
        let stored = StoredObject { sha256: "a".repeat(64), bytes: 1 };
        let old = serde_json::json!({"outcome": "done", "evidence": stored});
        assert_eq!(serde_json::from_value::<MoverAnswer>(old.clone()).unwrap(), MoverAnswer::done(stored.clone()));
        assert_eq!(serde_json::to_value(MoverAnswer::done(stored)).unwrap(), old, "one step says what it always said");
        assert_eq!(MoverLine::read(r#"{"progress": {"itemsDone": 3}}"#).unwrap().progress.items_done, Some(3));
        assert_eq!(MoverLine::read(r#"{"timestamp": "t", "level": "WARN", "fields": {"message": "m"}}"#), None);
    }
}
