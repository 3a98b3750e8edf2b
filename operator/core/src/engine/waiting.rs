//! What a step that is under way does or waits for, in words: the same in a run's status, in its condition and in the live view.

use super::{
    evidence::StepProgress,
    summary::{CurrentStep, WaitsFor},
};
use crate::{quantity, told::Noun};

/// What is said of an effect that has said nothing yet.
pub const UNDER_WAY: &str = "under way";

impl CurrentStep {
    /// What it does or waits for, with its last failure. `said` is the progress of its effect.
    pub fn words(&self, said: Option<&StepProgress>) -> String {
        let words = match &self.waits_for {
            WaitsFor::Effect | WaitsFor::Undo => said.map_or_else(|| UNDER_WAY.to_owned(), described),
            other => waited_for(other),
        };
        match &self.failure {
            Some(failure) => format!("{words}; before: {}", failure.message),
            None => words,
        }
    }

    /// The same, if it is more than that it is under way, and how far: that changes by the second.
    pub fn waits(&self, said: Option<&StepProgress>) -> Option<String> {
        let is_effect = matches!(self.waits_for, WaitsFor::Effect | WaitsFor::Undo);
        let has_words = said.and_then(|said| said.message.as_deref()).is_some_and(|message| message != UNDER_WAY);
        (!is_effect || has_words || self.failure.is_some()).then(|| self.words(said.filter(|_| has_words)))
    }
}

fn waited_for(waits_for: &WaitsFor) -> String {
    match waits_for {
        WaitsFor::Effect | WaitsFor::Undo => UNDER_WAY.into(),
        WaitsFor::Stop => "being stopped".into(),
        WaitsFor::Answer { people, answered, .. } => format!("{answered} of {people} answered"),
        WaitsFor::Decision => "waits for a person: retry, skip or abort".into(),
        WaitsFor::Retry { time } => format!("tried again at {time:.0}"),
        WaitsFor::Steps { steps } => format!("waits for {}", steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        WaitsFor::Turn => "waits for its turn".into(),
        WaitsFor::Resume => "paused".into(),
        WaitsFor::End => "waits for the end of the run".into(),
    }
}

/// A running step's progress as a sentence: its own message, or what it counts.
fn described(progress: &StepProgress) -> String {
    if let Some(message) = &progress.message {
        return message.clone();
    }
    let bytes = |value: u64| quantity::human_bytes(value);
    match (progress.bytes_done, progress.bytes_total, progress.items_done, progress.items_total) {
        (Some(done), Some(total), ..) => format!("{} of {}", bytes(done), bytes(total)),
        (Some(done), None, ..) if done > 0 => bytes(done),
        (_, _, Some(done), Some(total)) => format!("{done} of {total}"),
        (_, _, Some(done), None) => Noun::Item.count(done),
        _ => UNDER_WAY.into(),
    }
}
