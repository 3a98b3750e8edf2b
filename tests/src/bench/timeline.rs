//! A run as its journal has it: when it was claimed, when each step was intended and when it was done.

use super::failed;
use jiff::Timestamp;
use p861_core::engine::{Journal, Outcome, Plan, StepId, summary};
use p861_core::runs::{Action, Part, StepKey};
use p861_testbed::bed::{BedError, Result};
use std::time::Duration;

/// One step that was done.
#[derive(Clone, Debug)]
pub struct StepTime {
    /// Its id.
    pub id: String,
    /// What it does, in the metrics' words.
    pub action: String,
    /// The mover's task, as its environment names it.
    pub task: Option<String>,
    /// When its first attempt was intended.
    pub intent: Timestamp,
    /// When it was done.
    pub done: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Places of the steps that it waits for.
    pub(super) before: Vec<usize>,
}

impl StepTime {
    /// From intent to outcome.
    pub fn took(&self) -> Duration {
        between(self.intent, self.done)
    }
}

/// A run that succeeded.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// When an operator took it.
    pub claimed: Timestamp,
    /// When its end was written.
    pub finished: Timestamp,
    /// Its steps, in the plan's order.
    pub steps: Vec<StepTime>,
}

impl Timeline {
    /// Reads plan and journal.
    pub fn of(name: &str, plan: &str, records: &str) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| failed(format!("the journal of {name}"))(error);
        let plan: Plan<Action> = serde_json::from_str(plan).map_err(|error| wrong(&error))?;
        let journal = Journal::from_lines(records).map_err(|error| wrong(&error))?;
        let run = summary(&plan, &journal, Timestamp::now()).map_err(|error| wrong(&error))?;
        let (Some(claimed), Some(finished)) = (run.start, run.completion) else { return Err(wrong(&"the run has not ended")) };
        let position = |id: &StepId| plan.steps().iter().position(|step| step.id == *id);
        let mut steps = Vec::new();
        for (step, line) in plan.steps().iter().zip(&run.timeline) {
            let (Some(intent), Some(done), Outcome::Done) = (line.started, line.ended, line.outcome) else {
                return Err(wrong(&format!("step {} was not done", step.id)));
            };
            let task = match &step.action {
                Action::Move { task, .. } => serde_json::to_value(task).map_err(|error| wrong(&error))?["task"].as_str().map(str::to_owned),
                _ => None,
            };
            // Clean-up comes after everything.
            let before = if step.finally {
                plan.steps().iter().enumerate().filter(|(_, other)| !other.finally).map(|(at, _)| at).collect()
            } else {
                step.dependencies().filter_map(position).collect()
            };
            steps.push(StepTime { id: step.id.to_string(), action: step.action.word().to_owned(), task, intent, done, attempts: line.attempts, before });
        }
        Ok(Self { claimed, finished, steps })
    }

    /// The step that saves or restores objects.
    pub fn of_objects(&self) -> Result<&StepTime> {
        let is = |id: &str| matches!(id.parse(), Ok(StepKey::Save { part: Part::Objects, .. } | StepKey::Restore { part: Part::Objects, .. }));
        self.steps.iter().find(|step| is(&step.id)).ok_or_else(|| BedError::Refused("the run has no step of objects".into()))
    }

    /// The steps that the end waited for, the first first: from the last to end back, each time to the one that was waited for longest.
    pub fn critical_path(&self) -> Vec<&StepTime> {
        let mut path = Vec::new();
        let mut next = self.steps.iter().max_by_key(|step| step.done);
        while let Some(step) = next {
            path.push(step);
            next = step.before.iter().map(|at| &self.steps[*at]).max_by_key(|step| step.done);
        }
        path.reverse();
        path
    }
}

/// From one moment to a later one; nothing, if it is not later.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, intent: i64, done: i64, before: &[usize]) -> StepTime {
        let at = |second| Timestamp::from_second(second).unwrap();
        StepTime { id: id.to_owned(), action: "start".to_owned(), task: None, intent: at(intent), done: at(done), attempts: 1, before: before.to_vec() }
    }

    #[test]
    fn the_critical_path_goes_back_over_what_was_waited_for_longest() {
        let steps =
            vec![step("save/a/objects", 1, 9, &[]), step("save/a/volume/b", 1, 4, &[]), step("seal/a", 9, 12, &[0, 1]), step("clean-up", 12, 13, &[0, 1, 2])];
        let timeline = Timeline { claimed: steps[0].intent, finished: steps[3].done, steps };
        let path: Vec<&str> = timeline.critical_path().iter().map(|step| step.id.as_str()).collect();
        assert_eq!(path, ["save/a/objects", "seal/a", "clean-up"]);
    }
}
