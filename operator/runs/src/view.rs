//! A run's status, from the engine's summary.

use super::pass::Pass;
use p861_core::{
    conditions::shorten,
    engine::{StepProgress, WaitsFor},
    quantity,
    runs::RunClass,
};
use p861_crds::{
    LocalizedText, RunView, Time,
    common::{ByteProgress, CountProgress, CurrentStep, JournalReference, Quantity, RefusedRunAction, RunProgress},
};

/// The longest message of a step, or of a refusal.
const MAX_MESSAGE_CHARS: usize = 512;
/// The most refused actions in a status.
const MAX_REFUSED: usize = 16;
/// The longest text of a status that is written in both languages, as the API server has it.
const MAX_LOCALIZED_CHARS: usize = 512;

/// A question as a status can hold it: the text of a plan may be longer, and whole in the ticket's page.
fn question(text: &LocalizedText) -> LocalizedText {
    let short = |text: &Option<String>| text.as_ref().map(|text| shorten(text, MAX_LOCALIZED_CHARS));
    LocalizedText { zh: short(&text.zh), en: short(&text.en) }
}

/// Builds the status fields of a run. Remedies are commands of `p861` for that class.
pub fn view(pass: &Pass, location: &str, class: RunClass, name: &str) -> RunView {
    let summary = &pass.summary;
    let noun = class.noun();
    let current_steps = summary
        .current
        .iter()
        .map(|step| {
            let message = step.words(pass.progress.get(&step.id));
            let (prompt, remedy) = match &step.waits_for {
                WaitsFor::Answer { text, .. } if class == RunClass::Change => (Some(question(text)), Some(format!("p861 ticket done {name}"))),
                WaitsFor::Decision if class == RunClass::Change => (None, Some(format!("p861 ticket start {name}"))),
                WaitsFor::Answer { text, .. } => (Some(question(text)), Some(format!("p861 {noun} answer {name} {} --yes", step.id))),
                WaitsFor::Decision => (None, Some(format!("p861 {noun} retry {name} {}", step.id))),
                _ => (None, None),
            };
            CurrentStep {
                id: step.id.to_string(),
                phase: step.phase,
                attempt: i32::try_from(step.attempt).unwrap_or(i32::MAX),
                start_time: step.start.map(Time),
                deadline_time: step.deadline.map(Time),
                message: shorten(&message, MAX_MESSAGE_CHARS),
                prompt,
                remedy,
            }
        })
        .collect();
    RunView {
        phase: summary.phase,
        start_time: summary.start.map(Time),
        completion_time: summary.completion.map(Time),
        steps: summary.into(),
        current_steps,
        progress: progress(pass),
        journal: JournalReference {
            location: location.to_owned(),
            sequence: i64::try_from(summary.sequence).unwrap_or(i64::MAX),
            token: i64::try_from(summary.token).unwrap_or(i64::MAX),
            plan: Some(pass.plan.digest().to_owned()),
            seal: pass.head.as_ref().map(|head| head.seal.clone()),
        },
        observed_actions: i32::try_from(summary.observed_actions).unwrap_or(i32::MAX),
        refused_actions: refused(&summary.refused_actions),
    }
}

/// What of people's actions had no effect, the newest ones.
fn refused(all: &[(u32, String)]) -> Vec<RefusedRunAction> {
    let one = |(index, why): &(u32, String)| RefusedRunAction { index: i32::try_from(*index).unwrap_or(i32::MAX), why: shorten(why, MAX_MESSAGE_CHARS) };
    all.iter().skip(all.len().saturating_sub(MAX_REFUSED)).map(one).collect()
}

/// Sums up the progress of running movers. The percentage counts steps, since the size of data that isn't read yet is unknown.
fn progress(pass: &Pass) -> Option<RunProgress> {
    let counts = &pass.summary.counts;
    if pass.summary.phase.is_end() || counts.total == 0 {
        return None;
    }
    let sum = |count: fn(&StepProgress) -> Option<u64>| pass.progress.values().filter_map(count).reduce(u64::saturating_add);
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let ended = counts.done + counts.undone + counts.skipped + counts.failed;
    Some(RunProgress {
        percent: i32::try_from(u64::from(ended) * 100 / u64::from(counts.total)).ok(),
        items: sum(|step| step.items_done).map(|done| CountProgress { done: whole(done), total: sum(|step| step.items_total).map(whole) }),
        bytes: sum(|step| step.bytes_done).map(|done| ByteProgress {
            done: Quantity(quantity::print_bytes(done)),
            total: sum(|step| step.bytes_total).map(|total| Quantity(quantity::print_bytes(total))),
        }),
        estimated_completion_time: None,
    })
}
