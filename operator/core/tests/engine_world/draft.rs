//! Random plans and the worlds they run in.

use std::num::NonZeroU32;

use p861_core::engine::{Backoff, Limits, OnFailure, OnTimeout, Plan, Prompt, Retry, Step, StepId};
use p861_crds::common::{ActionKind, LocalizedText};
use proptest::prelude::*;

use super::{Behaviour, Fuse, Orchestrator, Person, Store, TestPlan, World, action, run_with, seconds};

#[derive(Clone, Debug)]
pub struct StepDraft {
    after: u16,
    once_settled: u16,
    undo: bool,
    attempts: u32,
    on_failure: OnFailure,
    finally: bool,
    prompt: Option<(Option<u8>, OnTimeout, u32, bool)>,
    script: Vec<Behaviour>,
    undo_script: Vec<Behaviour>,
}

#[derive(Clone, Debug)]
pub struct Draft {
    steps: Vec<StepDraft>,
    point_of_no_return: Option<usize>,
    parallel: Option<u32>,
    deadline: Option<u8>,
    person: Person,
    answers: bool,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        12 => (1..5_u8).prop_map(Behaviour::Works),
        3 => (1..5_u8).prop_map(Behaviour::FailsForNow),
        1 => (1..5_u8).prop_map(Behaviour::FailsForGood),
        1 => (1..5_u8).prop_map(Behaviour::Refuses),
        1 => Just(Behaviour::Hangs),
    ]
}

fn step() -> impl Strategy<Value = StepDraft> {
    let on_failure = prop_oneof![3 => Just(OnFailure::Abort), 2 => Just(OnFailure::Continue), 1 => Just(OnFailure::Prompt)];
    let on_timeout = prop_oneof![Just(OnTimeout::Continue), Just(OnTimeout::Skip), Just(OnTimeout::Fail)];
    let prompt = proptest::option::weighted(0.15, (proptest::option::weighted(0.7, 1..9_u8), on_timeout, 1..3_u32, any::<bool>()));
    (
        (any::<u16>(), any::<u16>(), any::<u16>(), proptest::bool::weighted(0.6), 1..4_u32),
        (on_failure, proptest::bool::weighted(0.2), prompt, proptest::collection::vec(behaviour(), 0..3), proptest::collection::vec(behaviour(), 0..3)),
    )
        .prop_map(|((after, sparse, once_settled, undo, attempts), (on_failure, finally, prompt, script, undo_script))| StepDraft {
            after: after & sparse,
            once_settled: once_settled & sparse & !after,
            undo,
            attempts,
            on_failure,
            finally,
            prompt,
            script,
            undo_script,
        })
}

pub fn draft() -> impl Strategy<Value = Draft> {
    let person = prop_oneof![Just(Person::Retries), Just(Person::Skips), Just(Person::Aborts)];
    (
        proptest::collection::vec(step(), 1..9),
        proptest::option::weighted(0.5, 0..8_usize),
        proptest::option::weighted(0.5, 1..4_u32),
        proptest::option::weighted(0.2, 5..40_u8),
        person,
        any::<bool>(),
    )
        .prop_map(|(steps, point_of_no_return, parallel, deadline, person, answers)| Draft {
            steps,
            point_of_no_return,
            parallel,
            deadline,
            person,
            answers,
        })
}

impl Draft {
    fn name(at: usize) -> StepId {
        StepId::new(format!("step/{at}")).unwrap()
    }

    fn named(&self, mask: u16, before: usize, finally: bool) -> Vec<StepId> {
        (0..before).filter(|at| mask & (1 << at) != 0 && self.steps[*at].finally == finally).map(Self::name).collect()
    }

    /// A prompt that nobody answers must end by itself, or the run waits for ever, as it should.
    fn prompt(&self, draft: &StepDraft) -> Option<Prompt> {
        let (timeout, on_timeout, people, hold) = draft.prompt?;
        let text = LocalizedText { zh: None, en: Some("go on?".to_owned()) };
        let timeout = if self.answers { timeout } else { Some(timeout.unwrap_or(3)) };
        // Asked again by every Retry, a question that nobody answers would never end.
        let on_timeout = if self.answers || self.person != Person::Retries { on_timeout } else { OnTimeout::Continue };
        Some(match timeout {
            Some(timeout) => Prompt { hold, ..Prompt::new(text).within(seconds(i64::from(timeout)), on_timeout).by(people) },
            None => Prompt::new(text).by(people),
        })
    }

    pub fn plan(&self) -> TestPlan {
        let mut steps = Vec::new();
        for (at, draft) in self.steps.iter().enumerate() {
            let point = self.point_of_no_return == Some(at) && !draft.finally;
            let mut step = Step::new(Self::name(at), format!("do {at}"), seconds(6))
                .after(self.named(draft.after, at, draft.finally))
                .once_settled(self.named(draft.once_settled, at, draft.finally))
                .retry(Retry { attempts: draft.attempts, backoff: Backoff { first: seconds(1), longest: seconds(5) } })
                .on_failure(draft.on_failure);
            step.finally = draft.finally;
            step.point_of_no_return = point;
            if draft.undo && !draft.finally && !point {
                step = step.undo(format!("undo {at}"));
            }
            if !draft.finally {
                step.needs_person = self.prompt(draft);
            }
            if point {
                if step.on_failure == OnFailure::Continue {
                    step.on_failure = OnFailure::Abort;
                }
                if let Some(prompt) = &mut step.needs_person
                    && prompt.on_timeout == OnTimeout::Skip
                {
                    prompt.on_timeout = OnTimeout::Continue;
                }
            }
            steps.push(step);
        }
        let limits = Limits { parallel: self.parallel.and_then(NonZeroU32::new), deadline: self.deadline.map(|deadline| seconds(i64::from(deadline))) };
        Plan::with_limits(steps, limits).unwrap()
    }

    pub fn world(&self) -> World {
        let mut world = World::new();
        world.person = self.person;
        world.answers = self.answers;
        for (at, draft) in self.steps.iter().enumerate() {
            world.scripts.insert((Self::name(at), false), draft.script.clone());
            world.scripts.insert((Self::name(at), true), draft.undo_script.clone());
        }
        world
    }

    /// A world in which everything works, except as the caller scripts it.
    pub fn kind_world(&self) -> World {
        let mut world = self.world();
        world.scripts.clear();
        world
    }
}

/// What people ask of a run: after how many seconds, what, and of which step.
pub type Asked = Vec<(i64, usize, usize)>;

pub fn asked() -> impl Strategy<Value = Asked> {
    prop::collection::vec((0..40_i64, 0..4_usize, 0..9_usize), 0..6)
}

/// Runs the plan to its end while people abort it, and retry and skip steps; returns it with its whole journal.
pub fn run_while_asked(draft: &Draft, mut asked: Asked) -> (TestPlan, Store) {
    let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store::default());
    let mut orchestrator = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
    let start = world.now;
    asked.sort_unstable();
    let mut asked = asked.into_iter().peekable();
    run_with(&plan, &mut store, &mut world, &mut orchestrator, |world, _| {
        let passed = world.now.duration_since(start).as_secs();
        while let Some((_, kind, step)) = asked.next_if(|(at, ..)| *at <= passed) {
            let step = format!("step/{step}");
            world.actions.push(match kind {
                0 => action(ActionKind::Abort, None),
                1 => action(ActionKind::Retry, Some(&step)),
                _ => action(ActionKind::Skip, Some(&step)),
            });
        }
    })
    .unwrap();
    (plan, store)
}
