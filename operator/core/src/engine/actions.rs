//! Requests from people to a run, and when they are refused. Each refusal says what to do instead.

use jiff::SignedDuration;
use p861_crds::common::{ActionKind, RunAction};

use super::{
    course::State,
    event::{AbortCause, SkipCause},
    run::{Commitment, Ending, Run},
};
use crate::time::{human_duration, parse_duration};

/// What cleans up, undoes or releases can be skipped once so many of its attempts have failed. Skipped earlier, everything that it would have removed
/// would stay, and nobody would know whether it had to.
pub const SKIPPABLE_AFTER: u32 = 3;

/// How long a run, a question or an attempt may last at most with everything by which people extend it: 30 days.
pub const LONGEST_EXTENDED: SignedDuration = SignedDuration::from_hours(30 * 24);

impl<A> Run<'_, A> {
    /// Lets an action of `spec.actions` take effect.
    ///
    /// # Errors
    /// Why it has none, as a sentence for the one who asked.
    pub fn act(&mut self, index: u32, action: &RunAction) -> Result<(), String> {
        let reason = action.reason.clone().unwrap_or_default();
        match action.action {
            ActionKind::Pause => {
                self.must_go_on()?;
                if self.paused {
                    return Err("the run is paused already".to_owned());
                }
                self.paused = true;
                Ok(())
            }
            ActionKind::Resume => {
                if !self.paused {
                    return Err("the run is not paused".to_owned());
                }
                self.paused = false;
                Ok(())
            }
            ActionKind::Abort => {
                self.must_go_on()?;
                if self.abort_wanted.is_some() {
                    return Err("an abort was asked for already".to_owned());
                }
                if self.commitment() == Commitment::Committed {
                    return Err(self.no_way_back());
                }
                self.abort_wanted = Some((AbortCause::Person, reason, Some(index)));
                Ok(())
            }
            ActionKind::Retry => self.act_retry(self.named(action)?),
            ActionKind::Skip => self.act_skip(self.named(action)?, action.by.clone(), reason),
            ActionKind::Answer => self.act_answer(self.named(action)?, action),
            ActionKind::Extend => self.act_extend(action),
            ActionKind::Forget => Err("only a Backup is forgotten, once it has ended: p861 backup forget".to_owned()),
            ActionKind::CleanUp => {
                self.must_go_on()?;
                let holds = |at: usize| self.step(at).needs_person.as_ref().is_some_and(|prompt| prompt.hold) && !self.settled(at);
                if !self.indices().any(holds) {
                    return Err("this run keeps no copy; abort it to end it early".to_owned());
                }
                self.clean_up_wanted = true;
                Ok(())
            }
        }
    }

    /// The step that an action names.
    fn named(&self, action: &RunAction) -> Result<usize, String> {
        let Some(name) = &action.step else {
            return Err("name the step: add step: \"<id from status.currentSteps>\"".to_owned());
        };
        let found = self.indices().find(|at| self.step(*at).id.as_str() == name);
        found.ok_or_else(|| format!("the run has no step {name:?}; its steps stand in status.currentSteps and in the journal"))
    }

    /// Refused once nothing but undoing and cleaning up is left.
    fn must_go_on(&self) -> Result<(), String> {
        match &self.ending {
            Some(Ending::Failure(at)) => Err(format!("the run is ending already, because step {} failed", self.step(*at).id)),
            Some(Ending::Abort { reason, .. }) => Err(format!("the run is being aborted already: {reason}")),
            None if self.forward_over() => Err("every step has ended and only clean-up is left".to_owned()),
            None => Ok(()),
        }
    }

    fn act_retry(&mut self, at: usize) -> Result<(), String> {
        let id = self.step(at).id.clone();
        let retriable = match &self.course(at).state {
            State::UndoFailed { .. } => true,
            State::Failed { .. } => {
                if !self.step(at).finally {
                    self.must_go_on()?;
                }
                true
            }
            State::Waiting
            | State::Asked { .. }
            | State::Answered
            | State::InFlight { .. }
            | State::Done
            | State::Skipped { .. }
            | State::Undoing { .. }
            | State::Undone
            | State::UndoGivenUp => false,
        };
        if !retriable {
            return Err(format!("step {id} is {}; only a failed step can be retried", self.course(at).state.describe()));
        }
        let standing = &mut self.steps[at];
        standing.forgiven = standing.course.failures;
        standing.undo_forgiven = standing.course.undo_failures;
        standing.retry_now = true;
        standing.skip = None;
        self.reopen_behind(at);
        Ok(())
    }

    fn act_skip(&mut self, at: usize, by: Option<String>, reason: String) -> Result<(), String> {
        let (step, course) = (self.step(at), self.course(at));
        let id = step.id.clone();
        if step.point_of_no_return {
            return Err(format!("step {id} is the point of no return and cannot be skipped; retry it, or abort the run"));
        }
        let refused = Err(format!("step {id} is {}; there is nothing to skip", course.state.describe()));
        match &course.state {
            State::Waiting
            | State::Asked { .. }
            | State::Answered
            | State::InFlight { .. }
            | State::Failed { .. }
            | State::Skipped { cause: SkipCause::DependencyFailed { .. } } => {
                if step.finally {
                    must_keep_failing(&format!("clean-up step {id}"), course.failures)?;
                } else {
                    self.must_go_on()?;
                    if step.releases() {
                        must_keep_failing(&format!("step {id}, which releases what the run holds,"), course.failures)?;
                    }
                }
            }
            State::Undoing { .. } | State::UndoFailed { .. } => must_keep_failing(&format!("the undo of step {id}"), course.undo_failures)?,
            State::Done | State::Skipped { .. } | State::Undone | State::UndoGivenUp => return refused,
        }
        self.steps[at].skip = Some((by, reason));
        Ok(())
    }

    fn act_answer(&mut self, at: usize, action: &RunAction) -> Result<(), String> {
        self.must_go_on()?;
        let id = self.step(at).id.clone();
        let State::Asked { .. } = self.course(at).state else {
            return Err(match self.course(at).state {
                State::Failed { .. } => format!("step {id} has failed and asks nothing; retry it, skip it, or abort the run"),
                _ => format!("step {id} asks nothing now, it is {}", self.course(at).state.describe()),
            });
        };
        let is_hold = self.step(at).needs_person.as_ref().is_some_and(|prompt| prompt.hold);
        let standing = &mut self.steps[at];
        match action.answer.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("yes") => {
                if !standing.yes.insert(action.by.clone()) {
                    return Err(format!("{} has answered step {id} already; another person must", action.by.as_deref().unwrap_or("this person")));
                }
            }
            // What is held stays until its time is over, or somebody says yes.
            Some("no") if is_hold => {}
            Some("no") => {
                standing.no.get_or_insert((action.by.clone(), action.reason.clone()));
            }
            Some(other) => return Err(format!("{other:?} is no answer to step {id}; answer yes or no")),
            None => return Err(format!("say what step {id} is answered: add answer: \"yes\" or \"no\"")),
        }
        Ok(())
    }

    fn act_extend(&mut self, action: &RunAction) -> Result<(), String> {
        self.must_go_on()?;
        let Some(text) = &action.duration else {
            return Err("say by how long: add duration: 30m".to_owned());
        };
        let duration: SignedDuration = parse_duration(&text.0).map_err(|error| error.to_string())?;
        if action.step.is_some() {
            let at = self.named(action)?;
            let step = self.step(at);
            let lasts = if self.prompt_deadline(at).is_some() {
                self.question_lasts(at)
            } else if self.attempt_deadline(at).is_some() {
                Some(step.deadline.saturating_add(self.steps[at].extension))
            } else {
                return Err(format!("step {} is {} and has no deadline now", step.id, self.course(at).state.describe()));
            };
            within_longest(&format!("step {}", step.id), lasts, duration)?;
            let standing = &mut self.steps[at];
            standing.extension = standing.extension.saturating_add(duration);
            return Ok(());
        }
        let holds = |at: &usize| self.step(*at).needs_person.as_ref().is_some_and(|prompt| prompt.hold) && !self.settled(*at);
        let held: Vec<usize> = self.indices().filter(holds).collect();
        let deadline = self.plan.limits().deadline;
        if deadline.is_none() && held.is_empty() {
            return Err("this run has no deadline and keeps no copy; name the step whose deadline to extend".to_owned());
        }
        within_longest("this run", deadline.map(|deadline| deadline.saturating_add(self.extension)), duration)?;
        for at in held {
            within_longest("the copy that this run keeps", self.question_lasts(at), duration)?;
        }
        self.extension = self.extension.saturating_add(duration);
        Ok(())
    }
}

/// What cleans up, undoes or releases is skipped only when it keeps failing.
fn must_keep_failing(what: &str, failures: u32) -> Result<(), String> {
    let so_far = match failures {
        SKIPPABLE_AFTER.. => return Ok(()),
        0 => "has not failed".to_owned(),
        1 => "has failed once".to_owned(),
        times => format!("has failed {times} times"),
    };
    Err(format!(
        "{what} {so_far}: it can be skipped after {SKIPPABLE_AFTER} failed attempts, since everything that it would remove or release stays then; \
         ask again if it keeps failing"
    ))
}

/// Refuses an extension by which something would last longer than anything may.
fn within_longest(what: &str, lasts: Option<SignedDuration>, by: SignedDuration) -> Result<(), String> {
    match lasts {
        Some(lasts) if lasts.saturating_add(by) > LONGEST_EXTENDED => Err(format!(
            "{what} may last {} already, and no more than {} (30 days) in all: extend it by {} at most",
            human_duration(lasts),
            human_duration(LONGEST_EXTENDED),
            human_duration(LONGEST_EXTENDED.saturating_sub(lasts).max(SignedDuration::ZERO)),
        )),
        _ => Ok(()),
    }
}
