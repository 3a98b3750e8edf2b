//! A run as plan and journal together tell it: the journal's records are read one after the other, and people's actions take effect in the moment in
//! which they stand there. Nothing here knows what time it is.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use p861_crds::LocalizedText;
use serde::Serialize;

use super::{
    ReplayError,
    course::{Course, State},
    journal::{AbortCause, AskKind, Event, FailureClass, Journal, Record, RunResult, SkipCause},
    plan::Plan,
    step::{OnFailure, Step, StepId},
    summary::RunFailure,
};
use crate::time;

/// A step as it stands: its course, and what people asked of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub course: Course,
    /// People who answered its open question with yes.
    pub yes: BTreeSet<Option<String>>,
    /// Who answered no, and why.
    pub no: Option<(Option<String>, Option<String>)>,
    /// Who wants it skipped, and why; until it is.
    pub skip: Option<(Option<String>, String)>,
    /// By how much its open question or running attempt was extended.
    pub extension: SignedDuration,
    /// Failures that a person's Retry has forgiven.
    pub forgiven: u32,
    /// A person wants the next attempt now.
    pub retry_now: bool,
    /// It was skipped because of another step, which is being tried again.
    pub reopened: bool,
}

/// Whether there is a way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commitment {
    /// There is.
    NotYet,
    /// The point of no return is under way: nobody knows yet.
    InDoubt,
    /// There is none.
    Committed,
}

/// Why a run ends before all its steps did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A step failed.
    Failure(usize),
    /// Someone wanted it.
    Abort { cause: AbortCause, reason: String },
}

pub(super) struct Run<'a, A> {
    pub plan: &'a Plan<A>,
    pub steps: Vec<Standing>,
    /// The first record's time.
    pub start: Option<Timestamp>,
    pub paused: bool,
    /// An abort that stands in the journal and is neither refused nor in force yet.
    abort_wanted: Option<(AbortCause, String, Option<u32>)>,
    pub deadline_noted: bool,
    pub ending: Option<Ending>,
    /// By how much the run's deadline and its hold were extended.
    pub extension: SignedDuration,
    /// A person wants the copy removed now.
    pub clean_up_wanted: bool,
    /// Actions without effect, and whether the journal says so already.
    pub refusals: Vec<(u32, String, bool)>,
    pub finished: Option<(RunResult, String, String, Timestamp)>,
    point_of_no_return: Option<usize>,
}

impl<'a, A> Run<'a, A>
where
    A: Serialize,
{
    /// Reads the journal.
    ///
    /// # Errors
    /// [`ReplayError`] if it belongs to another plan.
    pub fn replay(plan: &'a Plan<A>, journal: &Journal) -> Result<Self, ReplayError> {
        let mut run = Self {
            plan,
            steps: vec![Standing::default(); plan.steps().len()],
            start: None,
            paused: false,
            abort_wanted: None,
            deadline_noted: false,
            ending: None,
            extension: SignedDuration::ZERO,
            clean_up_wanted: false,
            refusals: Vec::new(),
            finished: None,
            point_of_no_return: plan.steps().iter().position(|step| step.point_of_no_return),
        };
        for record in journal.records() {
            run.read(record)?;
        }
        Ok(run)
    }
}

impl<A> Run<'_, A> {
    fn read(&mut self, record: &Record) -> Result<(), ReplayError> {
        self.start.get_or_insert(record.at);
        if let Some(id) = &record.step {
            let Some(at) = self.plan.position(id) else {
                return Err(ReplayError::UnknownStep { sequence: record.sequence, step: id.clone() });
            };
            self.read_step(at, record)?;
        } else {
            self.read_run(record)?;
        }
        self.judge();
        Ok(())
    }

    fn read_step(&mut self, at: usize, record: &Record) -> Result<(), ReplayError> {
        let course = std::mem::take(&mut self.steps[at].course);
        let course = course.after(record).map_err(|state| ReplayError::Impossible {
            sequence: record.sequence,
            step: self.plan.steps()[at].id.clone(),
            state,
            event: record.event.name(),
        })?;
        let standing = &mut self.steps[at];
        standing.course = course;
        match &record.event {
            Event::Asked { kind: AskKind::Prompt } => {
                standing.yes.clear();
                standing.no = None;
                standing.extension = SignedDuration::ZERO;
                standing.reopened = false;
                standing.retry_now = false;
            }
            Event::Intent | Event::UndoIntent => {
                standing.extension = SignedDuration::ZERO;
                standing.retry_now = false;
                standing.reopened = false;
            }
            Event::Skipped { cause } => {
                standing.skip = None;
                standing.reopened = false;
                if matches!(cause, SkipCause::Person { .. } | SkipCause::TimedOut) {
                    self.reopen_behind(at);
                }
            }
            Event::Done | Event::Undone => standing.skip = None,
            Event::Asked { kind: AskKind::Failure } | Event::Answered { .. } | Event::Failed(_) | Event::UndoFailed(_) => {}
            Event::Claimed { .. } | Event::Action { .. } | Event::ActionRefused { .. } | Event::AbortRequested { .. } | Event::Finished { .. } => {}
        }
        Ok(())
    }

    fn read_run(&mut self, record: &Record) -> Result<(), ReplayError> {
        match &record.event {
            Event::Claimed { plan } => {
                if plan != self.plan.digest() {
                    return Err(ReplayError::OtherPlan { sequence: record.sequence, journal: plan.clone(), plan: self.plan.digest().to_owned() });
                }
            }
            Event::Action { index, action } => {
                if let Err(message) = self.act(*index, action) {
                    self.refusals.push((*index, message, false));
                }
            }
            Event::ActionRefused { index, .. } => {
                for refusal in self.refusals.iter_mut().filter(|refusal| refusal.0 == *index) {
                    refusal.2 = true;
                }
            }
            Event::AbortRequested { cause, reason } => {
                self.deadline_noted |= *cause == AbortCause::DeadlineExceeded;
                if !self.forward_over() && self.abort_wanted.is_none() {
                    self.abort_wanted = Some((*cause, reason.clone(), None));
                }
            }
            Event::Finished { result, reason, message } => self.finished = Some((*result, reason.clone(), message.clone(), record.at)),
            Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Intent
            | Event::Done
            | Event::Failed(_)
            | Event::Skipped { .. }
            | Event::UndoIntent
            | Event::Undone
            | Event::UndoFailed(_) => {}
        }
        Ok(())
    }

    /// Decides, after each record, whether the run ends early. The first cause stays.
    fn judge(&mut self) {
        match self.commitment() {
            Commitment::InDoubt => {}
            Commitment::Committed => {
                if let Some((_, _, Some(index))) = self.abort_wanted.take() {
                    self.refusals.push((index, self.no_way_back(), false));
                }
            }
            Commitment::NotYet => {
                if self.ending.is_some() {
                    return;
                }
                if let Some((cause, reason, _)) = self.abort_wanted.take() {
                    self.ending = Some(Ending::Abort { cause, reason });
                } else if let Some(at) = self.first_fatal() {
                    self.ending = Some(Ending::Failure(at));
                }
            }
        }
    }

    /// A step whose failure ends the run, if there is a way back.
    fn first_fatal(&self) -> Option<usize> {
        (0..self.steps.len()).find(|at| self.step(*at).on_failure == OnFailure::Abort && !self.step(*at).finally && self.exhausted(*at))
    }

    /// Why an abort after the point of no return is refused.
    pub fn no_way_back(&self) -> String {
        let point = self.point_of_no_return.map_or("the point of no return", |at| self.step(at).id.as_str());
        format!("step {point} was the point of no return and is done: there is only forward; retry or skip what fails, or move back with a new run")
    }

    pub fn step(&self, at: usize) -> &Step<A> {
        &self.plan.steps()[at]
    }

    pub fn course(&self, at: usize) -> &Course {
        &self.steps[at].course
    }

    pub fn indices(&self) -> std::ops::Range<usize> {
        0..self.steps.len()
    }

    /// Whether there is a way back.
    pub fn commitment(&self) -> Commitment {
        match self.point_of_no_return.map(|at| &self.course(at).state) {
            Some(State::InFlight { .. }) => Commitment::InDoubt,
            Some(State::Done) => Commitment::Committed,
            _ => Commitment::NotYet,
        }
    }

    /// While the point of no return is in doubt and the run would end if there were a way back, nothing new starts.
    pub fn holds_back(&self) -> bool {
        self.commitment() == Commitment::InDoubt && (self.abort_wanted.is_some() || self.first_fatal().is_some())
    }

    /// Whether a step has failed for good, unless a person helps. (Clean-up never does.)
    pub fn exhausted(&self, at: usize) -> bool {
        let (step, standing) = (self.step(at), &self.steps[at]);
        let State::Failed { failure, .. } = &standing.course.state else { return false };
        if standing.retry_now || standing.skip.is_some() {
            return false;
        }
        match failure.class {
            FailureClass::Permanent | FailureClass::Refused => true,
            FailureClass::Transient | FailureClass::Cancelled => standing.course.failures.saturating_sub(standing.forgiven) >= step.retry.attempts,
        }
    }

    /// What the failure of this step means, now.
    pub fn policy(&self, at: usize) -> OnFailure {
        match (self.step(at).on_failure, self.commitment()) {
            (OnFailure::Abort, Commitment::Committed) => OnFailure::Prompt,
            (policy, _) => policy,
        }
    }

    /// Whether a step has ended, in whatever way.
    pub fn settled(&self, at: usize) -> bool {
        let standing = &self.steps[at];
        match &standing.course.state {
            State::Done | State::Undone | State::UndoGivenUp => true,
            State::Skipped { .. } => !standing.reopened,
            State::Failed { .. } => !self.step(at).finally && self.exhausted(at) && self.policy(at) == OnFailure::Continue,
            State::Waiting | State::Asked { .. } | State::Answered | State::InFlight { .. } | State::Undoing { .. } | State::UndoFailed { .. } => false,
        }
    }

    /// Whether what comes after a step may start: it is done, or was skipped on purpose.
    pub fn satisfied(&self, at: usize) -> bool {
        match &self.course(at).state {
            State::Done | State::Skipped { cause: SkipCause::Person { .. } | SkipCause::TimedOut } => true,
            State::Skipped { cause: SkipCause::DependencyFailed { .. } }
            | State::Waiting
            | State::Asked { .. }
            | State::Answered
            | State::InFlight { .. }
            | State::Failed { .. }
            | State::Undoing { .. }
            | State::UndoFailed { .. }
            | State::Undone
            | State::UndoGivenUp => false,
        }
    }

    /// A step that this one comes after and that has ended without being done.
    pub fn broken_dependency(&self, at: usize) -> Option<&StepId> {
        let step = self.step(at);
        step.after.iter().find(|id| self.plan.position(id).is_some_and(|before| self.settled(before) && !self.satisfied(before)))
    }

    /// What a step still waits for.
    pub fn unmet(&self, at: usize) -> Vec<&StepId> {
        let step = self.step(at);
        let unmet = |id: &&StepId, enough: &dyn Fn(usize) -> bool| self.plan.position(id).is_some_and(|before| !enough(before));
        let after = step.after.iter().filter(|id| unmet(id, &|before| self.satisfied(before)));
        let settled = step.once_settled.iter().filter(|id| unmet(id, &|before| self.settled(before)));
        after.chain(settled).collect()
    }

    /// Whether the part before clean-up is over: every step has ended, or the run ends early.
    pub fn forward_over(&self) -> bool {
        self.ending.is_some() || self.indices().all(|at| self.step(at).finally || self.settled(at))
    }

    /// Whether nothing is left to undo of this step, and none of its effects is under way.
    pub fn reverted(&self, at: usize) -> bool {
        let (step, course) = (self.step(at), self.course(at));
        match &course.state {
            State::InFlight { .. } | State::Undoing { .. } | State::UndoFailed { .. } => false,
            State::Undone | State::UndoGivenUp => true,
            State::Waiting | State::Asked { .. } | State::Answered | State::Failed { .. } | State::Done | State::Skipped { .. } => {
                course.attempts == 0 || step.undo.is_none()
            }
        }
    }

    /// Whether clean-up may begin.
    pub fn cleaning_up(&self) -> bool {
        match &self.ending {
            Some(_) => self.indices().all(|at| self.step(at).finally || self.reverted(at)),
            None => self.forward_over(),
        }
    }

    /// Whether the step's hold was ended by a person.
    pub fn hold_released(&self, at: usize) -> bool {
        self.clean_up_wanted && self.step(at).needs_person.as_ref().is_some_and(|prompt| prompt.hold)
    }

    /// When the step's open question ends by itself.
    pub fn prompt_deadline(&self, at: usize) -> Option<Timestamp> {
        let State::Asked { at: asked } = self.course(at).state else { return None };
        let prompt = self.step(at).needs_person.as_ref()?;
        let common = if prompt.hold { self.extension } else { SignedDuration::ZERO };
        Some(time::after(asked, prompt.timeout?.saturating_add(self.steps[at].extension).saturating_add(common)))
    }

    /// When the attempt under way, of the action or its undo, is given up.
    pub fn attempt_deadline(&self, at: usize) -> Option<Timestamp> {
        match self.course(at).state {
            State::InFlight { since, .. } | State::Undoing { since, .. } => {
                Some(time::after(since, self.step(at).deadline.saturating_add(self.steps[at].extension)))
            }
            State::Waiting
            | State::Asked { .. }
            | State::Answered
            | State::Failed { .. }
            | State::Done
            | State::Skipped { .. }
            | State::UndoFailed { .. }
            | State::Undone
            | State::UndoGivenUp => None,
        }
    }

    /// The first moment at which the next attempt, of the action, may start.
    pub fn not_before(&self, at: usize) -> Option<Timestamp> {
        let (backoff, standing) = (self.step(at).retry.backoff, &self.steps[at]);
        if standing.retry_now {
            return None;
        }
        let course = &standing.course;
        match &course.state {
            State::Failed { at, .. } if course.attempts > 0 => Some(time::after(*at, backoff.wait(course.failures.saturating_sub(standing.forgiven)))),
            _ => None,
        }
    }

    /// The first moment at which the next attempt to undo it may start.
    pub fn not_before_undo(&self, at: usize) -> Option<Timestamp> {
        let (backoff, standing) = (self.step(at).retry.backoff, &self.steps[at]);
        match &standing.course.state {
            State::UndoFailed { at, .. } if !standing.retry_now => Some(time::after(*at, backoff.wait(standing.course.undo_failures))),
            _ => None,
        }
    }

    /// When the run is given up.
    pub fn run_deadline(&self) -> Option<Timestamp> {
        Some(time::after(self.start?, self.plan.limits().deadline?.saturating_add(self.extension)))
    }

    /// Whether the step must ask before its next attempt.
    pub fn must_ask(&self, at: usize) -> bool {
        self.step(at).needs_person.is_some() && !self.course(at).answered && !self.hold_released(at)
    }

    /// Whether a person must say how the failed step goes on.
    pub fn needs_decision(&self, at: usize) -> bool {
        !self.step(at).finally && self.ending.is_none() && self.exhausted(at) && self.policy(at) == OnFailure::Prompt
    }

    /// What the run's question of this step says.
    pub fn prompt_text(&self, at: usize) -> Option<&LocalizedText> {
        self.step(at).needs_person.as_ref().map(|prompt| &prompt.text)
    }

    /// The failure that decides how the run ends: the one that ended it early, or else the first after which it went on.
    fn deciding_step(&self) -> Option<usize> {
        match &self.ending {
            Some(Ending::Failure(at)) => Some(*at),
            Some(Ending::Abort { .. }) => None,
            None => {
                let failed = |at: &usize| !self.step(*at).finally && self.exhausted(*at);
                self.indices().filter(failed).min_by_key(|at| self.course(*at).ended)
            }
        }
    }

    /// As [`Self::deciding_step`], in words.
    pub fn deciding_failure(&self) -> Option<RunFailure> {
        let at = self.deciding_step()?;
        let failure = self.course(at).failure.as_ref()?;
        Some(RunFailure { step: self.step(at).id.clone(), reason: failure.reason.clone(), message: failure.message.clone() })
    }

    /// How the run ends, once nothing is left to do.
    pub fn outcome(&self) -> (RunResult, String, String) {
        match &self.ending {
            Some(Ending::Abort { cause: AbortCause::DeadlineExceeded, reason }) => (RunResult::Failed, "DeadlineExceeded".to_owned(), reason.clone()),
            Some(Ending::Abort { cause: AbortCause::Superseded, reason }) => (RunResult::Aborted, "Superseded".to_owned(), reason.clone()),
            Some(Ending::Abort { cause: AbortCause::Person, reason }) => (RunResult::Aborted, "Aborted".to_owned(), reason.clone()),
            Some(Ending::Failure(_)) | None => {
                let Some(at) = self.deciding_step() else {
                    return (RunResult::Succeeded, "Complete".to_owned(), "every step has ended as planned".to_owned());
                };
                let failure = self.course(at).failure.clone();
                // A refusal after which the run went on is a failure: by then things were changed.
                let refused = self.ending.is_some() && failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Refused);
                let result = if refused { RunResult::Refused } else { RunResult::Failed };
                let (reason, message) = failure.map_or_else(|| ("StepFailed".to_owned(), "no reason".to_owned()), |it| (it.reason, it.message));
                (result, reason, format!("step {} failed: {message}", self.step(at).id))
            }
        }
    }

    pub(super) fn want_abort(&mut self, index: u32, reason: String) {
        self.abort_wanted = Some((AbortCause::Person, reason, Some(index)));
    }

    pub(super) fn abort_is_wanted(&self) -> bool {
        self.abort_wanted.is_some()
    }

    /// Opens again what was skipped only because of this step.
    pub(super) fn reopen_behind(&mut self, at: usize) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            for behind in self.plan.behind(at) {
                let comes_after = self.plan.steps()[*behind].after.contains(&self.plan.steps()[at].id);
                let standing = &mut self.steps[*behind];
                let skipped = matches!(standing.course.state, State::Skipped { cause: SkipCause::DependencyFailed { .. } });
                if comes_after && skipped && !standing.reopened {
                    standing.reopened = true;
                    open.push(*behind);
                }
            }
        }
    }
}
