//! What must hold of every run that has ended, read from its journal alone and compared with what the world saw. Written without the engine's own
//! notions of "ready", "settled" or "reverted", so that a mistake in those shows.

use std::collections::{BTreeMap, BTreeSet};

use p861_core::engine::{Event, FailureClass, OnFailure, Record, RunResult, SkipCause, Step, StepId};
use p861_crds::common::ActionKind;

use super::{TestPlan, World, lines};

/// Where a step stands by its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Asked,
    Running,
    Failed,
    Done,
    SkippedOnPurpose,
    NotReached,
    Undoing,
    UndoFailed,
    Undone,
    LeftAsItIs,
}

struct Checker<'a> {
    plan: &'a TestPlan,
    records: &'a [Record],
    seen: BTreeMap<StepId, Seen>,
    tried: BTreeMap<StepId, u32>,
    since_retry: BTreeMap<StepId, u32>,
    failures: BTreeMap<StepId, u32>,
    paused: bool,
}

impl Checker<'_> {
    fn seen(&self, step: &StepId) -> Seen {
        self.seen.get(step).copied().unwrap_or(Seen::Nothing)
    }

    fn context(&self, step: &StepId) -> bool {
        self.tried.contains_key(step)
    }

    fn must(&self, holds: bool, record: &Record, what: &str) {
        assert!(holds, "{what}, at record {} ({:?} {}):\n{}", record.sequence, record.step, record.event.name(), lines(self.records));
    }

    fn forward(&self) -> impl Iterator<Item = &Step<String>> {
        self.plan.steps().iter().filter(|step| !step.finally)
    }

    /// Steps that come after this one, directly or not.
    fn descendants(&self, step: &StepId) -> BTreeSet<&StepId> {
        let mut found: BTreeSet<&StepId> = BTreeSet::new();
        for other in self.plan.steps() {
            if other.dependencies().any(|before| before == step || found.contains(before)) {
                found.insert(&other.id);
            }
        }
        found
    }

    fn in_flight(&self) -> usize {
        self.seen.values().filter(|seen| matches!(seen, Seen::Running | Seen::Undoing)).count()
    }

    fn committed(&self) -> bool {
        self.plan.steps().iter().any(|step| step.point_of_no_return && self.seen(&step.id) == Seen::Done)
    }

    fn read(&mut self, record: &Record) {
        let step = record.step.as_ref().map(|id| self.plan.step(id).unwrap());
        match (&record.event, step) {
            (Event::Intent, Some(step)) => self.intent(record, step),
            (Event::Asked { .. }, Some(step)) if self.seen(&step.id) != Seen::Failed => {
                self.ready(record, step);
                self.must(!self.paused, record, "a question was asked while the run was paused");
                self.seen.insert(step.id.clone(), Seen::Asked);
            }
            (Event::Done, Some(step)) => drop(self.seen.insert(step.id.clone(), Seen::Done)),
            (Event::Failed(failure), Some(step)) => {
                if failure.class != FailureClass::Cancelled {
                    *self.failures.entry(step.id.clone()).or_default() += 1;
                }
                self.seen.insert(step.id.clone(), Seen::Failed);
            }
            (Event::Skipped { cause }, Some(step)) => {
                self.may_be_skipped(record, step, cause);
                let seen = match (cause, self.seen(&step.id)) {
                    (_, Seen::UndoFailed) => Seen::LeftAsItIs,
                    (SkipCause::DependencyFailed { step: because }, _) => {
                        let because = self.seen(because);
                        self.must(matches!(because, Seen::Failed | Seen::NotReached), record, "a step was skipped for one that had not failed");
                        Seen::NotReached
                    }
                    (SkipCause::Person { .. } | SkipCause::TimedOut, _) => Seen::SkippedOnPurpose,
                };
                self.must(!step.point_of_no_return || seen == Seen::NotReached, record, "the point of no return was skipped");
                self.seen.insert(step.id.clone(), seen);
            }
            (Event::UndoIntent, Some(step)) => self.undo_intent(record, step),
            (Event::Undone, Some(step)) => drop(self.seen.insert(step.id.clone(), Seen::Undone)),
            (Event::UndoFailed(_), Some(step)) => drop(self.seen.insert(step.id.clone(), Seen::UndoFailed)),
            (Event::Action { action, .. }, _) => match action.action {
                ActionKind::Pause if self.can_pause() => self.paused = true,
                ActionKind::Resume => self.paused = false,
                ActionKind::Retry => {
                    if let Some(step) = action.step.as_ref().and_then(|step| StepId::new(step.clone()).ok()) {
                        self.since_retry.insert(step.clone(), 0);
                        self.failures.insert(step, 0);
                    }
                }
                _ => {}
            },
            (Event::Finished { result, .. }, _) => self.finished(record, *result),
            _ => {}
        }
        let cap = self.plan.limits().parallel.map_or(usize::MAX, |cap| usize::try_from(cap.get()).unwrap());
        self.must(self.in_flight() <= cap, record, "more effects were under way than may be");
    }

    /// What cleans up or undoes may be skipped by a person once three of its attempts have failed.
    fn may_be_skipped(&self, record: &Record, step: &Step<String>, cause: &SkipCause) {
        let undoes = self.seen(&step.id) == Seen::UndoFailed;
        if !(step.finally || undoes) || !matches!(cause, SkipCause::Person { .. }) {
            return;
        }
        let of_step = self.records.iter().filter(|other| other.sequence < record.sequence && other.step.as_ref() == Some(&step.id));
        let failed = of_step.filter(|other| match other.event {
            Event::UndoFailed(_) => undoes,
            Event::Failed(_) => !undoes,
            _ => false,
        });
        self.must(failed.count() >= 3, record, "clean-up or an undo was skipped before it had failed three times");
    }

    /// Pausing has an effect only before clean-up; here it is enough to know that no clean-up step and no undo has begun, and something is open.
    fn can_pause(&self) -> bool {
        let begun = self.plan.steps().iter().any(|step| step.finally && self.context(&step.id))
            || self.seen.values().any(|seen| matches!(seen, Seen::Undoing | Seen::UndoFailed | Seen::Undone));
        !begun
    }

    fn ready(&self, record: &Record, step: &Step<String>) {
        let done = |id: &StepId| matches!(self.seen(id), Seen::Done | Seen::SkippedOnPurpose);
        self.must(step.after.iter().all(done), record, "a step began before what it comes after was done");
        let ended = |id: &StepId| matches!(self.seen(id), Seen::Done | Seen::SkippedOnPurpose | Seen::NotReached | Seen::Failed);
        self.must(step.once_settled.iter().all(ended), record, "a step began before what it waits for had ended");
    }

    fn intent(&mut self, record: &Record, step: &Step<String>) {
        self.ready(record, step);
        if step.finally {
            for other in self.forward() {
                let seen = self.seen(&other.id);
                self.must(!matches!(seen, Seen::Running | Seen::Undoing | Seen::UndoFailed), record, "clean-up began while something else was under way");
            }
        } else {
            self.must(!self.paused, record, "a step started while the run was paused");
            let undone = self.seen.values().any(|seen| matches!(seen, Seen::Undoing | Seen::UndoFailed | Seen::Undone));
            self.must(!undone, record, "a step started after undoing had begun");
            let cleaned = self.plan.steps().iter().any(|step| step.finally && self.context(&step.id));
            self.must(!cleaned, record, "a step started after clean-up had begun");
            let since = self.since_retry.entry(step.id.clone()).or_default();
            *since += 1;
            let since = *since;
            self.must(since <= step.retry.attempts, record, "a step was tried more often than it may be");
        }
        let failures = self.failures.get(&step.id).copied().unwrap_or_default();
        let last = self.records.iter().filter(|other| other.sequence < record.sequence).rfind(|other| other.step.as_ref() == Some(&step.id));
        if let Some(Record { event: Event::Failed(failure), at, .. }) = last
            && failures > 0
        {
            let waited = record.at.duration_since(*at);
            self.must(waited >= step.retry.backoff.wait(failures), record, "a step was tried again too soon");
            self.must(step.finally || failure.class == FailureClass::Transient, record, "a permanent failure was tried again");
        }
        *self.tried.entry(step.id.clone()).or_default() += 1;
        self.seen.insert(step.id.clone(), Seen::Running);
    }

    fn undo_intent(&mut self, record: &Record, step: &Step<String>) {
        self.must(!self.committed(), record, "something was undone after the point of no return");
        self.must(step.undo.is_some() && self.context(&step.id), record, "an undo of nothing");
        for later in self.descendants(&step.id) {
            let later = self.plan.step(later).unwrap();
            let seen = self.seen(&later.id);
            let gone = !self.context(&later.id) || matches!(seen, Seen::Undone | Seen::LeftAsItIs) || (later.undo.is_none() && seen != Seen::Running);
            self.must(gone, record, "a step was undone before what comes after it");
        }
        self.seen.insert(step.id.clone(), Seen::Undoing);
    }

    fn finished(&self, record: &Record, result: RunResult) {
        for step in self.plan.steps().iter().filter(|step| step.finally) {
            let seen = self.seen(&step.id);
            self.must(matches!(seen, Seen::Done | Seen::SkippedOnPurpose), record, "the run ended without its clean-up");
        }
        self.must(self.in_flight() == 0, record, "the run ended while something was under way");
        let all_done = self.forward().all(|step| matches!(self.seen(&step.id), Seen::Done | Seen::SkippedOnPurpose));
        if result == RunResult::Succeeded {
            self.must(all_done, record, "the run succeeded, but not every step was done");
        }
        if self.committed() {
            self.must(matches!(result, RunResult::Succeeded | RunResult::Failed), record, "a committed run was called aborted");
            let open = self.forward().find(|step| {
                let given_up = step.on_failure == OnFailure::Continue && self.seen(&step.id) == Seen::Failed;
                !given_up && !matches!(self.seen(&step.id), Seen::Done | Seen::SkippedOnPurpose | Seen::NotReached)
            });
            self.must(open.is_none(), record, "a committed run ended with an open step");
        }
        // Either every step has ended, or everything that can be undone is.
        let ended = self.forward().all(|step| match self.seen(&step.id) {
            Seen::Done | Seen::SkippedOnPurpose | Seen::NotReached => true,
            Seen::Failed => step.on_failure == OnFailure::Continue,
            _ => false,
        });
        let reverted =
            self.forward().all(|step| !self.context(&step.id) || step.undo.is_none() || matches!(self.seen(&step.id), Seen::Undone | Seen::LeftAsItIs));
        self.must(ended || reverted, record, "an early end left something behind");
        if result == RunResult::Aborted {
            self.must(reverted, record, "an abort left something behind");
        }
    }
}

/// Checks a run that has ended.
pub fn check(plan: &TestPlan, records: &[Record], world: &World) {
    let mut checker =
        Checker { plan, records, seen: BTreeMap::new(), tried: BTreeMap::new(), since_retry: BTreeMap::new(), failures: BTreeMap::new(), paused: false };
    for record in records {
        checker.read(record);
    }
    assert!(matches!(records.last(), Some(Record { event: Event::Finished { .. }, .. })), "the run has not ended:\n{}", lines(records));

    // Every effect once; and the journal says of each what the world says.
    let mut visible = BTreeMap::new();
    for (step, undo, _) in &world.visible {
        *visible.entry((step, *undo)).or_insert(0_u32) += 1;
    }
    for step in plan.steps() {
        for undo in [false, true] {
            let wanted = if undo { Event::Undone } else { Event::Done };
            let recorded = records.iter().filter(|record| record.step.as_ref() == Some(&step.id) && record.event == wanted).count();
            let seen = visible.get(&(&step.id, undo)).copied().unwrap_or_default();
            assert_eq!(
                u32::try_from(recorded).unwrap(),
                seen,
                "{} of step {} happened {seen} times, recorded {recorded}:\n{}",
                wanted.name(),
                step.id,
                lines(records)
            );
            assert!(seen <= 1, "{} of step {} happened {seen} times:\n{}", wanted.name(), step.id, lines(records));
        }
    }
}
