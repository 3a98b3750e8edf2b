//! Watching without a terminal: one line per change, no colour.

use super::{Change, Ending, Snapshot, question, tree::label};
use crate::{
    format::{Clock, Line, elapsed, width},
    hub::typed,
    text::{self, Language, Word},
};
use jiff::Timestamp;
use p861_crds::common::CurrentStep;

/// Columns for the word that says what happened.
const VERB: usize = 8;

/// The lines of changes.
pub fn lines(changes: &[Change], seen: &Snapshot, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    changes.iter().filter_map(|change| line(change, seen, clock, language, place)).collect()
}

fn line(change: &Change, seen: &Snapshot, clock: &Clock, language: Language, place: &str) -> Option<Line> {
    let written = |at: Timestamp, verb: Word, what: String| {
        let verb = verb.pick(language);
        let gap = " ".repeat(VERB.saturating_sub(width(verb)));
        Some(Line::of(format!("{}  {verb}{gap}  {what}", clock.moment(at))))
    };
    let name = |id: &str| label(seen.noun, id, language);
    match change {
        Change::Phase(phase) => {
            let at = if phase.is_end() { seen.completion.unwrap_or(clock.now) } else { clock.now };
            let counts = if seen.steps.total > 0 { format!(" · {}", text::step_counts(&seen.steps).pick(language)) } else { String::new() };
            written(at, text::VERB_PHASE, format!("{}{counts}", text::phase(*phase).pick(language)))
        }
        Change::Waits(message) => written(clock.now, text::VERB_WAITS, text::operator_says(message).pick(language).to_owned()),
        Change::Started(step) if step.attempt > 1 => written(
            started(step, clock),
            text::VERB_AGAIN,
            format!("{} · {} · {}", name(&step.id), text::attempt(step.attempt).pick(language), text::operator_says(&step.message).pick(language)),
        ),
        Change::Started(step) => written(started(step, clock), text::VERB_STARTED, name(&step.id)),
        Change::Says(step) => written(clock.now, text::VERB_WAITS, format!("{} · {}", name(&step.id), text::operator_says(&step.message).pick(language))),
        Change::Asked(step) => {
            let question = question(step, language);
            let remedy = step.remedy.as_ref().map(|remedy| format!(" · {}", typed(remedy, place))).unwrap_or_default();
            written(started(step, clock), text::VERB_ASKS, format!("{} · {question}{remedy}", name(&step.id)))
        }
        Change::Ended(id, how, took) => {
            let verb = match how {
                Ending::Done => text::VERB_DONE,
                Ending::Failed => text::VERB_FAILED,
                Ending::Skipped => text::VERB_SKIPPED,
                Ending::Unclear => text::VERB_ENDED,
            };
            let took = took.map(|took| format!("  {}", elapsed(took))).unwrap_or_default();
            written(clock.now, verb, format!("{}{took}", name(id)))
        }
    }
}

fn started(step: &CurrentStep, clock: &Clock) -> Timestamp {
    step.start_time.as_ref().map_or(clock.now, |time| time.0)
}
