//! Watching a run: from changing statuses to a story, from the story to a tree that lives or to lines that stay.

mod bar;
mod console;
mod live;
mod outline;
mod plain;
mod screen;
mod story;
mod tree;
mod updates;
mod watch;

pub use bar::Amount;
pub use outline::Outline;
pub use story::{Change, Ending, Known, State, Story, Told};
pub use tree::{Tree, label, steps_called};
pub use updates::outline;
pub use watch::{Stand, Watched, code_of, standing, stated, watch, watch_started};

use crate::{
    format::{Clock, Line, Tone},
    hub::{Refused, Run},
    text::{self, Language},
};
use jiff::{SignedDuration, Timestamp};
use p861_core::runs::StepKey;
use p861_crds::{
    ConditionType,
    common::{CurrentStep, RunPhase, RunProgress, StepCounts},
};
use std::collections::BTreeMap;

/// A run as the views need it, of whatever kind.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The command line's word for its kind.
    pub noun: &'static str,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub phase: RunPhase,
    /// When it started.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub completion: Option<Timestamp>,
    /// What a run that has not begun waits for.
    pub waits_for: Option<String>,
    /// Number of steps by state.
    pub steps: StepCounts,
    /// Steps under way; at most 16.
    pub current: Vec<CurrentStep>,
    /// How far it is.
    pub progress: Option<RunProgress>,
    /// Actions of people that the operator has not read yet.
    pub unread_actions: usize,
    /// Those that had no effect.
    pub refused: Vec<Refused>,
    /// How long it may take.
    pub target: Option<SignedDuration>,
    /// How long it was expected to take.
    pub predicted: Option<SignedDuration>,
    /// What is worth saying of each application in it.
    pub notes: BTreeMap<String, String>,
}

/// Question of a step that waits for a person: its own, or its failure.
pub fn question(step: &CurrentStep, language: Language) -> String {
    let says = || text::operator_says(&step.message).pick(language).to_owned();
    step.prompt.as_ref().map_or_else(says, |prompt| text::here(prompt.in_language(language.key())))
}

/// Whether a step keeps a copy for people to look at.
pub fn is_hold(step: &CurrentStep) -> bool {
    step.id.parse() == Ok(StepKey::Hold)
}

/// What a step that waits for a person asks, and until when. Of a copy that is kept, how long it stands comes first.
pub fn asked(step: &CurrentStep, clock: &Clock, language: Language) -> String {
    let question = question(step, language);
    match step.deadline_time.as_ref().map(|time| clock.moment(time.0)) {
        None => question,
        Some(until) if is_hold(step) => text::kept_and_asked(&until, &question).pick(language).to_owned(),
        Some(until) => format!("{question}{}", text::until(&until).pick(language)),
    }
}

/// How long the copy of a run is kept, if it is kept now.
pub fn kept_until(current: &[CurrentStep], clock: &Clock) -> Option<text::Bilingual> {
    let hold = current.iter().find(|step| is_hold(step))?;
    Some(text::copy_kept_until(&clock.moment(hold.deadline_time.as_ref()?.0)))
}

/// What had no effect, and why, in a line.
pub fn refusal(noun: &str, refused: &Refused, language: Language) -> Line {
    let Refused { action, why, .. } = refused;
    let step = action.step.as_deref().map(|step| label(noun, step, language));
    Line::toned(Tone::Bad, "✗ ").with(text::action_refused(action.action, step.as_deref(), action.by.as_deref(), why).pick(language))
}

/// The message of the condition `Succeeded` of a run that has not begun.
fn waits_for<K: Run>(run: &K) -> Option<String> {
    let condition = run.conditions().iter().find(|condition| condition.type_ == ConditionType::Succeeded && condition.status == "Unknown");
    condition.filter(|_| run.start().is_none()).map(|condition| condition.message.clone())
}

impl Snapshot {
    /// What every kind of run has. `target`, `predicted` and `notes` are the kind's own.
    pub fn of<K: Run>(run: &K) -> Self {
        let (asked, read) = run.actions();
        Self {
            noun: K::NOUN,
            name: kube::ResourceExt::name_any(run),
            phase: run.phase(),
            start: run.start().map(|time| time.0),
            completion: run.completion().map(|time| time.0),
            waits_for: waits_for(run),
            steps: run.steps(),
            current: run.current_steps().to_vec(),
            progress: run.progress().cloned(),
            unread_actions: asked.saturating_sub(read),
            refused: run.refused(),
            target: None,
            predicted: None,
            notes: BTreeMap::new(),
        }
    }

    /// Steps that wait for a person.
    pub fn waiting_for_person(&self) -> impl Iterator<Item = &CurrentStep> {
        self.current.iter().filter(|step| step.phase == RunPhase::WaitingForPerson)
    }

    /// Whether nothing goes on until a person acts.
    pub fn stands_still(&self) -> bool {
        self.phase == RunPhase::WaitingForPerson && self.current.iter().all(|step| step.phase == RunPhase::WaitingForPerson)
    }

    /// How long it has been going on.
    pub fn elapsed(&self, now: Timestamp) -> SignedDuration {
        self.start.map_or(SignedDuration::ZERO, |start| self.completion.unwrap_or(now).duration_since(start)).max(SignedDuration::ZERO)
    }

    /// Remaining time: from the run's progress, otherwise from the prediction.
    pub fn left(&self, now: Timestamp) -> Option<SignedDuration> {
        let stated = self.progress.as_ref().and_then(|progress| progress.estimated_completion_time.as_ref()).map(|time| time.0.duration_since(now));
        stated.or_else(|| self.predicted.map(|predicted| predicted - self.elapsed(now))).filter(|left| *left > SignedDuration::ZERO)
    }
}
