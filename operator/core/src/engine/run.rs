//! The state of a run, replayed from plan and journal. Actions of people take effect at their position in the journal.
//! Independent of the current time.

use p861_crds::Reason;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    ReplayError,
    command::Direction,
    course::{Course, State},
    event::{AbortCause, AskKind, Event, FailureClass, Record, RunResult, SkipCause},
    journal::Journal,
    plan::Plan,
    step::OnFailure,
    summary::RunFailure,
};

/// A step as it stands: its course, and what people asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// The same of its undo: the waits begin again with the shortest.
    pub undo_forgiven: u32,
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
    pub abort_wanted: Option<(AbortCause, String, Option<u32>)>,
    pub deadline_noted: bool,
    pub ending: Option<Ending>,
    /// By how much the run's deadline and its hold were extended.
    pub extension: SignedDuration,
    /// A person wants the copy removed now.
    pub clean_up_wanted: bool,
    /// Actions without effect, and whether the journal says so already.
    pub refusals: Vec<(u32, String, bool)>,
    pub finished: Option<(RunResult, Reason, String, Timestamp)>,
    pub point_of_no_return: Option<usize>,
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
    /// Reads one more record.
    ///
    /// # Errors
    /// [`ReplayError`] if it belongs to another plan.
    pub fn read(&mut self, record: &Record) -> Result<(), ReplayError> {
        self.start.get_or_insert(record.at);
        if let Some(id) = &record.step {
            let Some(at) = self.plan.position(id) else {
                return Err(ReplayError::UnknownStep { sequence: record.sequence, step: id.clone() });
            };
            self.read_step(at, record)?;
        } else {
            self.read_run(record)?;
        }
        self.judge(matches!(record.event, Event::Failed(_) | Event::FailedRepeatedly { direction: Direction::Forward, .. }));
        Ok(())
    }

    fn read_step(&mut self, at: usize, record: &Record) -> Result<(), ReplayError> {
        let step = self.step(at);
        let planned = match &record.event {
            Event::Asked { kind: AskKind::Prompt } => step.needs_person.is_some(),
            Event::UndoIntent | Event::FailedRepeatedly { direction: Direction::Undo, .. } => step.undo.is_some(),
            _ => true,
        };
        if !planned {
            return Err(ReplayError::Unplanned { sequence: record.sequence, step: step.id.clone(), event: record.event.name() });
        }
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
            Event::Intent | Event::UndoIntent | Event::FailedRepeatedly { .. } => {
                standing.extension = SignedDuration::ZERO;
                standing.retry_now = false;
                standing.reopened = false;
                if matches!(record.event, Event::UndoIntent | Event::FailedRepeatedly { direction: Direction::Undo, .. }) {
                    // Who skipped the action has not skipped its undo.
                    standing.skip = None;
                }
            }
            Event::Skipped { cause } => {
                standing.skip = None;
                standing.reopened = false;
                if matches!(cause, SkipCause::Person { .. } | SkipCause::TimedOut) {
                    self.reopen_behind(at);
                }
            }
            Event::Done | Event::Undone => standing.skip = None,
            Event::Asked { kind: AskKind::Failure }
            | Event::Answered { .. }
            | Event::Failed(_)
            | Event::UndoFailed(_)
            | Event::Claimed { .. }
            | Event::Action { .. }
            | Event::ActionRefused { .. }
            | Event::AbortRequested { .. }
            | Event::Finished { .. } => {}
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
            | Event::UndoFailed(_)
            | Event::FailedRepeatedly { .. } => {}
        }
        Ok(())
    }

    /// Whether the other run stands exactly where this one does: everything that [`super::advance`] and [`super::summary`] will ever say of the two, after
    /// whatever records follow, is then the same (but for the journal's own sequence and token).
    pub fn stands_as(&self, other: &Self) -> bool {
        self.plan.digest() == other.plan.digest()
            && self.steps == other.steps
            && self.start == other.start
            && self.paused == other.paused
            && self.abort_wanted == other.abort_wanted
            && self.deadline_noted == other.deadline_noted
            && self.ending == other.ending
            && self.extension == other.extension
            && self.clean_up_wanted == other.clean_up_wanted
            && self.refusals == other.refusals
            && self.finished == other.finished
            && self.point_of_no_return == other.point_of_no_return
    }

    /// Called after each record: decides whether the run ends early, and keeps the first cause. `failed` is true if the record reports a failure; only then may a
    /// step have become fatal.
    fn judge(&mut self, failed: bool) {
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
                } else if let Some(at) = failed.then(|| self.first_fatal()).flatten() {
                    self.ending = Some(Ending::Failure(at));
                }
            }
        }
    }

    /// A step whose failure ends the run, if there is a way back.
    pub fn first_fatal(&self) -> Option<usize> {
        (0..self.steps.len()).find(|at| self.step(*at).on_failure == OnFailure::Abort && !self.step(*at).finally && self.exhausted(*at))
    }

    /// Why an abort after the point of no return is refused.
    pub fn no_way_back(&self) -> String {
        let point = self.point_of_no_return.map_or("the point of no return", |at| self.step(at).id.as_str());
        format!("step {point} was the point of no return and is done: there is only forward; retry or skip what fails, or move back with a new run")
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
    pub fn outcome(&self) -> (RunResult, Reason, String) {
        match &self.ending {
            Some(Ending::Abort { cause: AbortCause::DeadlineExceeded, reason }) => (RunResult::Failed, Reason::DeadlineExceeded, reason.clone()),
            Some(Ending::Abort { cause: AbortCause::Superseded, reason }) => (RunResult::Aborted, Reason::Superseded, reason.clone()),
            Some(Ending::Abort { cause: AbortCause::Person, reason }) => (RunResult::Aborted, Reason::Aborted, reason.clone()),
            Some(Ending::Failure(_)) | None => {
                let Some(at) = self.deciding_step() else {
                    return (RunResult::Succeeded, Reason::Complete, "every step has ended as planned".to_owned());
                };
                let failure = self.course(at).failure.clone();
                // A refusal after which the run went on is a failure: by then things were changed.
                let refused = self.ending.is_some() && failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Refused);
                let result = if refused { RunResult::Refused } else { RunResult::Failed };
                let (reason, message) = failure.map_or_else(|| (Reason::StepFailed, "no reason".to_owned()), |it| (it.reason, it.message));
                (result, reason, format!("step {} failed: {message}", self.step(at).id))
            }
        }
    }

    /// Opens again what was skipped only because of this step.
    pub fn reopen_behind(&mut self, at: usize) {
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
