//! Where a run's steps stand: what its status says of the journal, so that whoever joins late knows what others have seen; and what changed, in the order of time.

use super::{Outline, Snapshot};
use crate::hub::Refused;
use jiff::{SignedDuration, Timestamp};
use p861_core::engine::{MOST_CURRENT_STEPS, StepState, read_ends};
use p861_crds::common::{CurrentStep, RunPhase};
use std::collections::BTreeMap;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Skipped by a person.
    Skipped,
    /// Stopped, because the run ended early.
    Stopped,
    /// Never started: a step before it was not done, or the run ended first.
    NotRun,
    /// Done or tried, and undone.
    Undone,
    /// It is not under way any more, and how it ended is not told: its run's steps could not be read.
    Unclear,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not started.
    Waiting,
    /// Under way, or waiting for a person or another attempt.
    Current(Box<CurrentStep>),
    /// Over.
    Ended(Ending, Option<SignedDuration>),
}

/// A step that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: State,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The run is in another phase.
    Phase(RunPhase),
    /// The run has not begun, and waits for something else than before.
    Waits(String),
    /// A step was started, or is tried again.
    Started(Box<CurrentStep>),
    /// A step has been saying something for a while: what it waits for, what keeps it.
    Says(Box<CurrentStep>),
    /// A step waits for a person.
    Asked(Box<CurrentStep>),
    /// A step is over.
    Ended(String, Ending, Option<SignedDuration>),
    /// What a person asked for had no effect.
    Refused(Box<Refused>),
}

/// A change, and when it happened if the journal says so. What the watcher has seen at some time is no such time: others saw it at another.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When.
    pub at: Option<Timestamp>,
    /// What.
    pub change: Change,
}

/// What a step says without its numbers: a count that goes on is nothing new.
fn shape(message: &str) -> String {
    let (mut shape, mut counts) = (String::new(), false);
    for word in message.split_whitespace() {
        // A number may carry its unit, which grows with it; one of a thing has the shape of several.
        let number = word.starts_with(|first: char| first.is_ascii_digit());
        let word = match word {
            "are" => "is",
            "were" => "was",
            noun if counts => noun.trim_end_matches('s'),
            other => other,
        };
        counts = number;
        let unit = matches!(word.trim_end_matches([',', ';', '.']), "B" | "KiB" | "MiB" | "GiB" | "TiB" | "PiB");
        if !unit {
            shape.push_str(if number { "0" } else { word });
            shape.push(' ');
        }
    }
    shape
}

/// What every step says that has nothing to say, and counts of its work, which the end of the step tells.
fn is_plain(message: &str) -> bool {
    let shape = shape(message);
    let words = shape.split_whitespace().filter(|word| *word != "0" && !["of", "item"].contains(word));
    shape.trim().is_empty() || message == "under way" || words.count() == 0
}

/// All that is known of a run's steps, in the plan's order where that is known.
#[derive(Clone, Debug, Default)]
pub struct Story {
    outline: Outline,
    steps: Vec<Known>,
    says: BTreeMap<String, Says>,
    last: Option<Snapshot>,
}

/// What a step says of itself.
#[derive(Clone, Debug)]
struct Says {
    shape: String,
    since: Timestamp,
    told: bool,
}

/// A message that lasts so long is told: most waits are shorter.
const LASTING: SignedDuration = SignedDuration::from_secs(5);

impl Story {
    /// Takes in which steps the run has. What is known of them stays.
    pub fn learn(&mut self, outline: Outline) {
        let mut known = std::mem::take(&mut self.steps);
        let mut take = |id: &str| known.iter().position(|step| step.id == id).map(|at| known.remove(at));
        self.steps = outline.0.iter().map(|step| take(&step.id).unwrap_or_else(|| Known { id: step.id.clone(), state: State::Waiting })).collect();
        self.steps.extend(known.into_iter().filter(|step| step.state != State::Waiting));
        self.outline = outline;
    }

    /// The steps.
    pub fn steps(&self) -> &[Known] {
        &self.steps
    }

    /// Steps that come before one and are not over.
    pub fn open_before(&self, id: &str) -> Vec<&str> {
        let before = self.outline.0.iter().find(|step| step.id == id).map(|step| step.after.as_slice()).unwrap_or_default();
        let open = |id: &&String| self.steps.iter().any(|known| known.id == **id && !matches!(known.state, State::Ended(..)));
        before.iter().filter(open).map(String::as_str).collect()
    }

    /// Whether a step is clean-up, which begins when all else has ended.
    pub fn is_finally(&self, id: &str) -> bool {
        self.outline.0.iter().any(|step| step.id == id && step.finally)
    }

    /// How long a step took the last time, if that is known.
    pub fn expected(&self, id: &str) -> Option<SignedDuration> {
        self.outline.0.iter().find(|step| step.id == id).and_then(|step| step.expected)
    }

    /// Takes in what is seen now, and says what changed since, in the order of time.
    pub fn update(&mut self, now: Timestamp, seen: &Snapshot) -> Vec<Told> {
        let ends = self.ends(seen);
        let mut told = Vec::new();
        for (id, how) in self.ended(seen) {
            let (start, at) = (self.started_at(&id), ends.get(&id).copied());
            let took = start.zip(at).map(|(start, end)| end.duration_since(start).max(SignedDuration::ZERO));
            told.push(Told { at, change: self.end(&id, how, took) });
        }
        for step in self.under_way(seen) {
            let at = step.start_time.as_ref().map(|time| time.0);
            told.extend(self.current(now, &step).map(|change| Told { at, change }));
        }
        let waited_for = self.last.as_ref().and_then(|last| last.waits_for.as_ref());
        told.extend(seen.waits_for.clone().filter(|now| waited_for != Some(now)).map(|message| Told { at: None, change: Change::Waits(message) }));
        told.extend(self.refused(seen));
        self.phase(seen, &mut told);
        self.last = Some(seen.clone());
        in_order(told)
    }

    /// A new phase stands before what begins with it, and the end after all else. The first one that is seen is where the run stands now.
    fn phase(&self, seen: &Snapshot, told: &mut Vec<Told>) {
        let change = Change::Phase(seen.phase);
        match &self.last {
            Some(last) if last.phase == seen.phase => {}
            Some(_) if !seen.phase.is_end() => {
                let ended = told.iter().take_while(|told| matches!(told.change, Change::Ended(..))).count();
                let at = told.iter().skip(ended).filter_map(|told| told.at).min();
                told.insert(ended, Told { at, change });
            }
            _ => told.push(Told { at: seen.completion.filter(|_| seen.phase.is_end()), change }),
        }
    }

    /// What had no effect since the run was last seen. What was refused before that stands on the run's page.
    fn refused(&self, seen: &Snapshot) -> Vec<Told> {
        let Some(last) = &self.last else { return Vec::new() };
        let news = seen.refused.iter().filter(|refused| !last.refused.contains(refused));
        news.map(|refused| Told { at: None, change: Change::Refused(Box::new(refused.clone())) }).collect()
    }

    /// When each step ended, as the status has it from the journal.
    fn ends(&self, seen: &Snapshot) -> BTreeMap<String, Timestamp> {
        let ends = seen.start.and_then(|start| read_ends(&seen.steps.ends, start)).filter(|ends| ends.len() == self.outline.0.len());
        let ends = ends.unwrap_or_default();
        self.outline.0.iter().zip(ends).filter_map(|(step, end)| Some((step.id.clone(), end?))).collect()
    }

    /// Where each step of the run stands, if its status says so of the steps that are known.
    fn states(&self, seen: &Snapshot) -> Vec<(String, StepState)> {
        let states = StepState::read(&seen.steps.states).filter(|states| states.len() == self.outline.0.len()).unwrap_or_default();
        self.outline.0.iter().map(|step| step.id.clone()).zip(states).collect()
    }

    /// Steps that are over, and were not when the run was last seen.
    fn ended(&mut self, seen: &Snapshot) -> Vec<(String, Ending)> {
        let states = self.states(seen);
        let mut ended = Vec::new();
        for known in &mut self.steps {
            // One that has failed and waits for a person's decision is not over.
            if seen.current.iter().any(|step| step.id == known.id) {
                continue;
            }
            let how = match states.iter().find(|(id, _)| *id == known.id).map(|(_, state)| *state) {
                Some(StepState::Done) => Ending::Done,
                Some(StepState::Failed) => Ending::Failed,
                Some(StepState::Skipped) => Ending::Skipped,
                Some(StepState::Stopped) => Ending::Stopped,
                Some(StepState::NotRun) => Ending::NotRun,
                Some(StepState::Undone) => Ending::Undone,
                // A run whose journal can't be trusted any more ends without an end of its steps.
                Some(StepState::Running) if seen.phase.is_end() => Ending::Unclear,
                Some(StepState::Waiting) => {
                    known.state = State::Waiting;
                    continue;
                }
                Some(StepState::Running) => continue,
                // A status lists only so many: what is missing from a full list may still be under way.
                None if !matches!(known.state, State::Current(_)) || seen.current.len() >= MOST_CURRENT_STEPS => continue,
                None => Ending::Unclear,
            };
            if !matches!(known.state, State::Ended(before, _) if before == how) {
                ended.push((known.id.clone(), how));
            }
        }
        ended
    }

    /// Steps under way: those that the status describes, and those of which it only says that they are.
    fn under_way(&self, seen: &Snapshot) -> Vec<CurrentStep> {
        let is_described = |id: &str| seen.current.iter().any(|step| step.id == id);
        let is_told = |id: &str| self.steps.iter().any(|known| known.id == id && matches!(known.state, State::Current(_)));
        let states = self.states(seen).into_iter();
        let bare = states.filter(|(id, state)| *state == StepState::Running && !seen.phase.is_end() && !is_described(id) && !is_told(id));
        let bare = bare.map(|(id, _)| CurrentStep { id, phase: RunPhase::Running, attempt: 1, ..CurrentStep::default() });
        seen.current.iter().cloned().chain(bare).collect()
    }

    fn started_at(&self, id: &str) -> Option<Timestamp> {
        self.steps.iter().find(|known| known.id == id).and_then(|known| match &known.state {
            State::Current(step) => step.start_time.as_ref().map(|time| time.0),
            State::Waiting | State::Ended(..) => None,
        })
    }

    fn end(&mut self, id: &str, how: Ending, took: Option<SignedDuration>) -> Change {
        self.says.remove(id);
        if let Some(known) = self.steps.iter_mut().find(|known| known.id == id) {
            known.state = State::Ended(how, took);
        }
        Change::Ended(id.to_owned(), how, took)
    }

    /// Takes in a step under way; says so if that is new.
    fn current(&mut self, now: Timestamp, step: &CurrentStep) -> Option<Change> {
        let index = self.steps.iter().position(|known| known.id == step.id).unwrap_or_else(|| {
            self.steps.push(Known { id: step.id.clone(), state: State::Waiting });
            self.steps.len() - 1
        });
        let known = self.steps.get_mut(index)?;
        let news = match &known.state {
            State::Current(old) => old.attempt != step.attempt || (old.phase != step.phase && step.phase == RunPhase::WaitingForPerson),
            State::Waiting | State::Ended(..) => true,
        };
        known.state = State::Current(Box::new(step.clone()));
        let shape = shape(&step.message);
        // The line of a later attempt quotes the message.
        let told = news && step.attempt > 1;
        match self.says.get_mut(&step.id) {
            Some(says) if says.shape == shape => says.told |= told,
            _ => drop(self.says.insert(step.id.clone(), Says { shape, since: now, told })),
        }
        news.then(|| if step.phase == RunPhase::WaitingForPerson { Change::Asked(Box::new(step.clone())) } else { Change::Started(Box::new(step.clone())) })
    }

    /// What steps under way have been saying for a while and was not told yet: what they wait for, what keeps them.
    pub fn lasting(&mut self, now: Timestamp) -> Vec<Told> {
        let mut changes = Vec::new();
        for known in &self.steps {
            let (State::Current(step), Some(says)) = (&known.state, self.says.get_mut(&known.id)) else { continue };
            let lasts = now.duration_since(says.since) >= LASTING;
            if lasts && !says.told && step.phase != RunPhase::WaitingForPerson && !is_plain(&step.message) {
                says.told = true;
                changes.push(Told { at: None, change: Change::Says(step.clone()) });
            }
        }
        changes
    }
}

/// In the order of their times. What has none stays behind what it was found with: what ended before all else, the phase after it.
fn in_order(told: Vec<Told>) -> Vec<Told> {
    let mut last = Timestamp::MIN;
    let keyed = told.into_iter().map(|told| {
        last = told.at.unwrap_or(last);
        (last, told)
    });
    let mut keyed: Vec<(Timestamp, Told)> = keyed.collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, told)| told).collect()
}

#[cfg(test)]
mod tests;
