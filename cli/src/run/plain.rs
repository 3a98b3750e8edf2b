//! Watching without a terminal: one line per change, no colour.

use super::{Change, Ending, Snapshot, Told, asked, tree::label};
use crate::{
    format::{Clock, Line, elapsed, width},
    hub::{Refused, typed},
    text::{self, Language, Word},
};

/// Columns for a time of today.
const TIME: usize = 8;
/// Columns for the word that says what happened.
const VERB: usize = 8;

/// The lines of changes.
pub fn lines(told: &[Told], seen: &Snapshot, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    told.iter().filter_map(|told| line(told, seen, clock, language, place)).collect()
}

/// One line. A step that never ran is none: nothing happened.
fn line(told: &Told, seen: &Snapshot, clock: &Clock, language: Language, place: &str) -> Option<Line> {
    let written = |verb: Word, what: String| {
        let verb = verb.pick(language);
        let gap = " ".repeat(VERB.saturating_sub(width(verb)));
        let time = told.at.map_or_else(|| " ".repeat(TIME), |at| clock.moment(at));
        Some(Line::of(format!("{time}  {verb}{gap}  {what}")))
    };
    let name = |id: &str| label(seen.noun, id, language);
    match &told.change {
        Change::Phase(phase) => {
            let counts = if seen.steps.total > 0 { format!(" · {}", text::step_counts(&seen.steps).pick(language)) } else { String::new() };
            written(text::VERB_PHASE, format!("{}{counts}", text::phase(*phase).pick(language)))
        }
        Change::Waits(message) => written(text::VERB_WAITS, text::operator_says(message).pick(language).to_owned()),
        Change::Started(step) if step.attempt > 1 => written(
            text::VERB_AGAIN,
            format!("{} · {} · {}", name(&step.id), text::attempt(step.attempt).pick(language), text::operator_says(&step.message).pick(language)),
        ),
        Change::Started(step) => written(text::VERB_STARTED, name(&step.id)),
        Change::Says(step) => written(text::VERB_WAITS, format!("{} · {}", name(&step.id), text::operator_says(&step.message).pick(language))),
        Change::Asked(step) => {
            let question = asked(step, clock, language);
            let remedy = step.remedy.as_ref().map(|remedy| format!(" · {}", typed(remedy, place))).unwrap_or_default();
            written(text::VERB_ASKS, format!("{} · {question}{remedy}", name(&step.id)))
        }
        Change::Refused(refused) => {
            let Refused { action, why, .. } = refused.as_ref();
            let step = action.step.as_deref().map(name);
            let said = text::action_refused(action.action, step.as_deref(), action.by.as_deref(), why);
            written(text::VERB_REFUSED, said.pick(language).to_owned())
        }
        Change::Ended(id, how, took) => {
            let verb = match how {
                Ending::Done => text::VERB_DONE,
                Ending::Failed => text::VERB_FAILED,
                Ending::Skipped => text::VERB_SKIPPED,
                Ending::Stopped => text::VERB_STOPPED,
                Ending::Undone => text::VERB_UNDONE,
                Ending::NotRun => return None,
                Ending::Unclear => text::VERB_ENDED,
            };
            let took = took.map(|took| format!("  {}", elapsed(took))).unwrap_or_default();
            written(verb, format!("{}{took}", name(id)))
        }
    }
}
