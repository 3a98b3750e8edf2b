//! Queries on the steps of a run: which are ready, finished or still to undo, and when the next deadline is due.

use jiff::{SignedDuration, Timestamp};
use p861_crds::common::LocalizedText;

use super::{
    course::{Course, State},
    event::{FailureClass, SkipCause},
    run::{Commitment, Run},
    step::{OnFailure, Step, StepId},
};
use crate::time;

impl<A> Run<'_, A> {
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
            FailureClass::Transient | FailureClass::Cancelled => {
                let used_up = standing.course.failures.saturating_sub(standing.forgiven) >= step.retry.attempts;
                // No attempt begins that the hold would end at once.
                used_up || self.hold_ends(at).is_some_and(|end| self.not_before(at).is_none_or(|next| next >= end))
            }
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
        Some(time::after(asked, self.question_lasts(at)?))
    }

    /// How long the step's question stays open, with everything by which people extended it; none if it has no end, or asks nothing.
    pub fn question_lasts(&self, at: usize) -> Option<SignedDuration> {
        let prompt = self.step(at).needs_person.as_ref()?;
        let common = if prompt.hold { self.extension } else { SignedDuration::ZERO };
        Some(prompt.timeout?.saturating_add(self.steps[at].extension).saturating_add(common))
    }

    /// When the hold ends that the step works under.
    pub fn hold_ends(&self, at: usize) -> Option<Timestamp> {
        let hold = self.step(at).under.as_ref()?;
        let since = self.course(self.plan.position(&hold.since)?).started?;
        Some(time::after(since, hold.limit))
    }

    /// When the attempt under way, of the action or its undo, is given up. A person may extend the step's own deadline, not a hold.
    pub fn attempt_deadline(&self, at: usize) -> Option<Timestamp> {
        let own = |since| time::after(since, self.step(at).deadline.saturating_add(self.steps[at].extension));
        match self.course(at).state {
            State::InFlight { since, .. } => Some(self.hold_ends(at).map_or(own(since), |end| end.min(own(since)))),
            State::Undoing { since, .. } => Some(own(since)),
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
        let (step, standing) = (self.step(at), &self.steps[at]);
        let backoff = if step.finally { step.retry.backoff.without_end() } else { step.retry.backoff };
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
        let (backoff, standing) = (self.step(at).retry.backoff.without_end(), &self.steps[at]);
        match &standing.course.state {
            State::UndoFailed { at, .. } if !standing.retry_now => {
                Some(time::after(*at, backoff.wait(standing.course.undo_failures.saturating_sub(standing.undo_forgiven))))
            }
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
}
