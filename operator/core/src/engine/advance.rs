//! Decides what to do now. Pure and total; resumes from any prefix of the journal.

use jiff::Timestamp;
use p861_crds::{Reason, common::RunPhase};
use serde::Serialize;

use super::{
    ReplayError,
    command::{CancelCause, Command, Direction},
    course::State,
    event::{AbortCause, Answer, AskKind, Entry, Failure, RunResult, SkipCause},
    journal::Journal,
    plan::Plan,
    run::{Commitment, Ending, Run},
    step::{OnFailure, OnTimeout, StepId},
};
use crate::time::human_duration;

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// In the plan's order. None of them depends on another: all may be done at once.
    pub commands: Vec<Command>,
    /// Where the run stands.
    pub phase: RunPhase,
    /// When to look again, even if nothing else happens: the next deadline, retry or time-out.
    pub next: Option<Timestamp>,
}

impl Advance {
    /// What is to be written to the journal.
    pub fn entries(&self) -> Vec<Entry> {
        self.commands.iter().filter_map(Command::entry).collect()
    }
}

/// Decides what to do now, from plan and journal alone.
///
/// Commands that write to the journal come until they stand there; so an orchestrator writes [`Advance::entries`], asks again, and does what remains to
/// the world. [`super::settle`] does the first part.
///
/// # Errors
/// [`ReplayError`] if the journal belongs to another plan.
pub fn advance<A: Serialize>(plan: &Plan<A>, journal: &Journal, now: Timestamp) -> Result<Advance, ReplayError> {
    Ok(advance_run(&Run::replay(plan, journal)?, now))
}

pub(super) fn advance_run<A>(run: &Run<'_, A>, now: Timestamp) -> Advance {
    let phase = phase(run);
    // Do nothing for an unclaimed run (empty journal) or a finished one.
    if run.finished.is_some() || run.start.is_none() {
        return Advance { commands: Vec::new(), phase, next: None };
    }
    let mut pass = Pass { run, now, commands: Vec::new(), next: None, slots: slots(run) };
    pass.refusals();
    pass.in_flight();
    match run.ending {
        Some(_) => pass.undo(),
        None => pass.forward(),
    }
    if run.cleaning_up() {
        pass.clean_up();
    }
    Advance { commands: pass.commands, phase, next: pass.next }
}

/// How many more effects may start.
fn slots<A>(run: &Run<'_, A>) -> usize {
    let cap = run.plan.limits().parallel.map_or(usize::MAX, |cap| usize::try_from(cap.get()).unwrap_or(usize::MAX));
    cap.saturating_sub(run.indices().filter(|at| run.course(*at).in_flight()).count())
}

struct Pass<'a, 'p, A> {
    run: &'a Run<'p, A>,
    now: Timestamp,
    commands: Vec<Command>,
    next: Option<Timestamp>,
    slots: usize,
}

impl<A> Pass<'_, '_, A> {
    fn id(&self, at: usize) -> StepId {
        self.run.step(at).id.clone()
    }

    /// Whether the moment has come; if not, it is one to look again at.
    fn due(&mut self, moment: Option<Timestamp>) -> bool {
        let Some(moment) = moment else { return true };
        if moment <= self.now {
            return true;
        }
        self.next = Some(self.next.map_or(moment, |next| next.min(moment)));
        false
    }

    /// As [`Self::due`], for a moment that may never come.
    fn passed(&mut self, moment: Option<Timestamp>) -> bool {
        moment.is_some() && self.due(moment)
    }

    fn refusals(&mut self) {
        let open = self.run.refusals.iter().filter(|(_, _, noted)| !noted);
        self.commands.extend(open.map(|(index, message, _)| Command::Refuse { index: *index, message: message.clone() }));
    }

    /// Effects under way: go on, or stop.
    fn in_flight(&mut self) {
        for at in self.run.indices() {
            let step = self.id(at);
            let (attempt, direction) = match self.run.course(at).state {
                State::InFlight { attempt, .. } => (attempt, Direction::Forward),
                State::Undoing { attempt, .. } => (attempt, Direction::Undo),
                State::Waiting
                | State::Asked { .. }
                | State::Answered
                | State::Failed { .. }
                | State::Done
                | State::Skipped { .. }
                | State::UndoFailed { .. }
                | State::Undone
                | State::UndoGivenUp => continue,
            };
            let ends = self.run.ending.is_some() && direction == Direction::Forward && !self.run.step(at).finally;
            let deadline = self.run.attempt_deadline(at);
            let cause = if ends {
                CancelCause::RunEnds
            } else if self.run.steps[at].skip.is_some() {
                CancelCause::Skipped
            } else if let Some(deadline) = deadline.filter(|_| self.passed(deadline)) {
                let own = self.run.step(at).deadline.saturating_add(self.run.steps[at].extension);
                let held = self.run.step(at).under.as_ref().filter(|_| self.run.hold_ends(at) == Some(deadline));
                let allowed = held.map_or_else(|| human_duration(own), |hold| format!("{} of {}", human_duration(hold.limit), hold.since));
                CancelCause::DeadlineExceeded { deadline, allowed }
            } else {
                self.commands.push(match direction {
                    Direction::Forward => Command::Perform { step, attempt },
                    Direction::Undo => Command::PerformUndo { step, attempt },
                });
                continue;
            };
            self.commands.push(Command::Cancel { step, attempt, direction, cause });
        }
    }

    /// The part before clean-up.
    fn forward(&mut self) {
        let run = self.run;
        if run.forward_over() {
            return;
        }
        if run.commitment() == Commitment::NotYet && !run.deadline_noted {
            let deadline = run.run_deadline();
            if self.passed(deadline) {
                let allowed = run.plan.limits().deadline.map(|allowed| human_duration(allowed.saturating_add(run.extension))).unwrap_or_default();
                let under_way: Vec<&str> = run.indices().filter(|at| run.course(*at).in_flight()).map(|at| run.step(at).id.as_str()).collect();
                let under_way = if under_way.is_empty() { String::new() } else { format!("; under way: {}", under_way.join(", ")) };
                self.commands.push(Command::Abort {
                    cause: AbortCause::DeadlineExceeded,
                    reason: format!("the run was not done within {allowed}; extend its deadline next time, or see which step was slow{under_way}"),
                });
                return;
            }
        }
        for at in run.indices().filter(|at| !run.step(*at).finally) {
            self.forward_step(at);
        }
    }

    fn forward_step(&mut self, at: usize) {
        let run = self.run;
        let standing = &run.steps[at];
        if run.settled(at) || standing.course.in_flight() {
            return;
        }
        if let Some((by, reason)) = &standing.skip {
            let cause = SkipCause::Person { reason: reason.clone() };
            self.commands.push(Command::Skip { step: self.id(at), cause, by: by.clone() });
            return;
        }
        if let Some(step) = run.broken_dependency(at) {
            // A reopened step is skipped again; the record says so again.
            let cause = SkipCause::DependencyFailed { step: step.clone() };
            self.commands.push(Command::Skip { step: self.id(at), cause, by: None });
            return;
        }
        if !run.unmet(at).is_empty() {
            return;
        }
        match &standing.course.state {
            State::Asked { .. } => self.question(at),
            State::Waiting | State::Answered | State::Failed { .. } | State::Skipped { .. } => {
                if run.exhausted(at) {
                    self.failed_for_good(at);
                } else if (!run.paused || run.step(at).despite_pause) && !run.holds_back() && self.due(run.not_before(at)) {
                    if run.must_ask(at) {
                        self.commands.push(Command::Ask { step: self.id(at), kind: AskKind::Prompt });
                    } else {
                        self.start(at);
                    }
                }
            }
            State::InFlight { .. } | State::Done | State::Undoing { .. } | State::UndoFailed { .. } | State::Undone | State::UndoGivenUp => {}
        }
    }

    /// An open question: answered, timed out, or still open.
    fn question(&mut self, at: usize) {
        let run = self.run;
        let (step, standing) = (self.id(at), &run.steps[at]);
        let Some(prompt) = &run.step(at).needs_person else { return };
        if let Some((by, reason)) = &standing.no {
            let who = by.as_deref().unwrap_or("somebody");
            let why = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let failure = Failure::permanent(Reason::AnsweredNo, format!("{who} answered no{why}"));
            self.commands.push(Command::Fail { step, failure, by: by.clone() });
        } else if standing.yes.len() >= usize::try_from(prompt.people).unwrap_or(usize::MAX) || run.hold_released(at) {
            self.commands.push(Command::Settle { step, answer: Answer::Yes });
        } else if !run.paused {
            let deadline = run.prompt_deadline(at);
            if self.passed(deadline) {
                let asked = prompt.timeout.map(human_duration).unwrap_or_default();
                self.commands.push(match prompt.on_timeout {
                    OnTimeout::Continue => Command::Settle { step, answer: Answer::TimedOut },
                    OnTimeout::Skip => Command::Skip { step, cause: SkipCause::TimedOut, by: None },
                    OnTimeout::Fail => {
                        let failure = Failure::permanent(Reason::NotAnswered, format!("nobody answered within {asked}; retry the step to ask again"));
                        Command::Fail { step, failure, by: None }
                    }
                });
            }
        }
    }

    fn failed_for_good(&mut self, at: usize) {
        let State::Failed { asked, .. } = &self.run.course(at).state else { return };
        match self.run.policy(at) {
            OnFailure::Prompt if asked.is_none() => {
                self.commands.push(Command::Ask { step: self.id(at), kind: AskKind::Failure });
            }
            // Abort: the point of no return is in doubt, or the run would be ending. Continue: it has settled.
            OnFailure::Prompt | OnFailure::Abort | OnFailure::Continue => {}
        }
    }

    fn start(&mut self, at: usize) {
        if self.slots == 0 {
            return;
        }
        self.slots -= 1;
        self.commands.push(Command::Start { step: self.id(at), attempt: self.run.course(at).attempts.saturating_add(1) });
    }

    /// After an early end: in reverse order, each step once nothing that depends on it has effects left.
    fn undo(&mut self) {
        let run = self.run;
        let mut clear = vec![true; run.steps.len()];
        for at in run.indices().rev().filter(|at| !run.step(*at).finally) {
            let above_is_clear = clear[at];
            let reverted = run.reverted(at);
            for before in run.plan.before(at) {
                clear[*before] &= above_is_clear && reverted;
            }
            if reverted || !above_is_clear || run.course(at).in_flight() {
                continue;
            }
            match (&run.course(at).state, &run.steps[at].skip) {
                (State::UndoFailed { .. }, Some((by, reason))) => {
                    let cause = SkipCause::Person { reason: reason.clone() };
                    self.commands.push(Command::Skip { step: self.id(at), cause, by: by.clone() });
                }
                _ => {
                    if self.due(run.not_before_undo(at)) && self.slots > 0 {
                        self.slots -= 1;
                        self.commands.push(Command::Undo { step: self.id(at), attempt: run.course(at).undo_attempts.saturating_add(1) });
                    }
                }
            }
        }
    }

    /// Clean-up steps, each until it succeeds; then the end.
    fn clean_up(&mut self) {
        let run = self.run;
        let mut all = true;
        for at in run.indices().filter(|at| run.step(*at).finally) {
            if run.settled(at) {
                continue;
            }
            all = false;
            if run.course(at).in_flight() || !run.unmet(at).is_empty() {
                continue;
            }
            if let Some((by, reason)) = &run.steps[at].skip {
                let cause = SkipCause::Person { reason: reason.clone() };
                self.commands.push(Command::Skip { step: self.id(at), cause, by: by.clone() });
            } else if self.due(run.not_before(at)) {
                self.start(at);
            }
        }
        if all {
            let (result, reason, message) = run.outcome();
            self.commands.push(Command::Finish { result, reason, message });
        }
    }
}

/// Where a run stands, for people.
pub(super) fn phase<A>(run: &Run<'_, A>) -> RunPhase {
    if let Some((result, ..)) = &run.finished {
        return match result {
            RunResult::Succeeded => RunPhase::Succeeded,
            RunResult::Failed => RunPhase::Failed,
            RunResult::Aborted => RunPhase::Aborted,
            RunResult::Refused => RunPhase::Refused,
        };
    }
    if run.cleaning_up() {
        return RunPhase::CleaningUp;
    }
    match &run.ending {
        Some(Ending::Failure(_) | Ending::Abort { .. }) => return RunPhase::Aborting,
        None => {}
    }
    if run.paused {
        return RunPhase::Paused;
    }
    if run.indices().any(|at| matches!(run.course(at).state, State::Asked { .. }) || run.needs_decision(at)) {
        return RunPhase::WaitingForPerson;
    }
    if run.indices().all(|at| run.course(at).state == State::Waiting) { RunPhase::Pending } else { RunPhase::Running }
}
