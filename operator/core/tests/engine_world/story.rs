//! A story: a plan, how its effects go, and what people ask, second by second.

use p861_core::engine::{Limits, OnFailure, Plan, Retry, RunSummary, Step, StepId, summary};
use p861_crds::common::{ActionKind, LocalizedText, RunAction};

use super::{Behaviour, Fuse, Orchestrator, Store, TestPlan, World, action, check::check, id, lines, seconds, start};

pub fn step(name: &str) -> Step<String> {
    Step::new(id(name), name.to_owned(), seconds(10))
}

pub fn ids<const N: usize>(names: [&str; N]) -> [StepId; N] {
    names.map(id)
}

pub fn text(en: &str) -> LocalizedText {
    LocalizedText { zh: None, en: Some(en.to_owned()) }
}

/// A drill in small: a namespace, a volume and a dump in parallel, the start, a check, and the bubble removed at the end.
pub fn drill() -> Vec<Step<String>> {
    vec![
        step("prepare").undo("unprepare".to_owned()),
        step("restore/volume").after(ids(["prepare"])).undo("empty".to_owned()).retry(Retry::times(3)),
        step("restore/stream").after(ids(["prepare"])),
        step("start").after(ids(["restore/volume", "restore/stream"])).undo("stop".to_owned()),
        step("check").after(ids(["start"])).on_failure(OnFailure::Continue),
        step("remove").finally(),
    ]
}

pub struct Story {
    pub plan: TestPlan,
    pub world: World,
    asked: Vec<(i64, RunAction)>,
    pub store: Store,
}

impl Story {
    pub fn of(steps: Vec<Step<String>>) -> Self {
        Self::within(steps, Limits::default())
    }

    pub fn within(steps: Vec<Step<String>>, limits: Limits) -> Self {
        let mut world = World::new();
        world.answers = false;
        Self { plan: Plan::with_limits(steps, limits).unwrap(), world, asked: Vec::new(), store: Store::default() }
    }

    pub fn when(mut self, step: &str, behaviours: &[Behaviour]) -> Self {
        self.world = self.world.script(step, false, behaviours);
        self
    }

    pub fn when_undone(mut self, step: &str, behaviours: &[Behaviour]) -> Self {
        self.world = self.world.script(step, true, behaviours);
        self
    }

    pub fn asks(mut self, second: i64, action: RunAction) -> Self {
        self.asked.push((second, action));
        self
    }

    pub fn until(&mut self, last: i64) -> RunSummary {
        let mut orchestrator = Orchestrator::claim(&self.plan, &mut self.store, &self.world, Fuse(None)).unwrap();
        let asked = self.asked.clone();
        let mut said = 0;
        // Nobody but the story acts.
        let stop = |world: &World| world.now.duration_since(start()).as_secs() >= last;
        while !stop(&self.world) {
            let now = self.world.now.duration_since(start()).as_secs();
            while let Some((_, action)) = asked.get(said).filter(|(second, _)| *second <= now) {
                self.world.actions.push(action.clone());
                said += 1;
            }
            if orchestrator.pass(&self.plan, &mut self.store, &mut self.world).unwrap() {
                break;
            }
            self.world.tick();
        }
        summary(&self.plan, &self.store.journal(), self.world.now).unwrap()
    }

    /// The whole story; it must end within 200 seconds.
    pub fn told(mut self) -> String {
        let end = self.until(200);
        assert!(end.phase.is_end(), "not over: {:?} {:#?}\n{}", end.phase, end.current, lines(&self.store.records));
        check(&self.plan, &self.store.records, &self.world);
        lines(&self.store.records)
    }
}

/// Compares line by line; the first line of the expected text is empty.
#[track_caller]
pub fn assert_told(story: Story, expected: &str) {
    let told = story.told();
    let expected: String = expected.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).flat_map(|line| [line, "\n"]).collect();
    assert!(told == expected, "told:\n{told}\nexpected:\n{expected}");
}

/// A failover in small.
pub fn failover() -> Vec<Step<String>> {
    vec![
        step("stop").undo("start again".to_owned()),
        step("epoch").after(ids(["stop"])).point_of_no_return(),
        step("start").after(ids(["epoch"])).undo("never".to_owned()),
        step("traffic").after(ids(["start"])),
        step("report").finally(),
    ]
}

pub fn answer(by: &str, step: &str, answer: &str) -> RunAction {
    RunAction { answer: Some(answer.to_owned()), by: Some(by.to_owned()), ..action(ActionKind::Answer, Some(step)) }
}
