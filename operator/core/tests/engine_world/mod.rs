//! A small world for the engine's tests: a store that takes each record once, effects that take time and may fail, people who answer, and an
//! orchestrator that can be killed between any two things it does.

pub mod check;
pub mod draft;
pub mod story;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use jiff::{SignedDuration, Timestamp};
use p861_core::engine::{AskKind, CancelCause, Command, Direction, Entry, Event, Evidence, Failure, Journal, Plan, Record, StepId, WaitsFor, settle, summary};
use p861_crds::{
    Reason,
    common::{ActionKind, RunAction},
};

pub type TestPlan = Plan<String>;

pub fn start() -> Timestamp {
    "2026-11-15T01:00:00Z".parse().unwrap()
}

pub fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub fn id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

pub fn action(kind: ActionKind, step: Option<&str>) -> RunAction {
    RunAction {
        action: kind,
        step: step.map(str::to_owned),
        reason: Some("for the test".to_owned()),
        answer: None,
        duration: None,
        by: Some("drill-leader".to_owned()),
    }
}

/// How one attempt goes. Seconds count from when it was first performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Works(u8),
    FailsForNow(u8),
    FailsForGood(u8),
    Refuses(u8),
    Hangs,
}

/// What people do when a step waits for them, two seconds after it began to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    Retries,
    Skips,
    Aborts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    ends: Option<Timestamp>,
    behaviour: Behaviour,
    outcome: Option<Result<(), Failure>>,
}

/// Which effect: step, whether its undo, attempt.
pub type Effect = (StepId, bool, u32);

/// Everything outside the journal. It survives every orchestrator.
#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub scripts: BTreeMap<(StepId, bool), Vec<Behaviour>>,
    pub person: Person,
    pub answers: bool,
    pub actions: Vec<RunAction>,
    acted: BTreeSet<(StepId, u64)>,
    jobs: BTreeMap<Effect, Job>,
    /// Effects that became visible, in order. A second one of the same step would be a second database.
    pub visible: Vec<Effect>,
    /// How often each effect was asked for.
    pub asked_for: BTreeMap<Effect, u32>,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: start(),
            scripts: BTreeMap::new(),
            person: Person::Skips,
            answers: true,
            actions: Vec::new(),
            acted: BTreeSet::new(),
            jobs: BTreeMap::new(),
            visible: Vec::new(),
            asked_for: BTreeMap::new(),
        }
    }

    pub fn script(mut self, step: &str, undo: bool, behaviours: &[Behaviour]) -> Self {
        self.scripts.insert((id(step), undo), behaviours.to_vec());
        self
    }

    fn perform(&mut self, effect: &Effect) {
        *self.asked_for.entry(effect.clone()).or_default() += 1;
        if self.jobs.contains_key(effect) {
            return;
        }
        let script = self.scripts.get(&(effect.0.clone(), effect.1));
        let nth = usize::try_from(effect.2 - 1).unwrap();
        let behaviour = script.and_then(|script| script.get(nth)).copied().unwrap_or(Behaviour::Works(1));
        let ends = match behaviour {
            Behaviour::Works(after) | Behaviour::FailsForNow(after) | Behaviour::FailsForGood(after) | Behaviour::Refuses(after) => {
                Some(self.now + seconds(i64::from(after.max(1))))
            }
            Behaviour::Hangs => None,
        };
        self.jobs.insert(effect.clone(), Job { ends, behaviour, outcome: None });
    }

    /// Stops an effect, even one that never began, and says how it ended.
    fn stop(&mut self, effect: &Effect, cause: &CancelCause) -> Result<(), Failure> {
        let stopped = Job { ends: None, behaviour: Behaviour::Hangs, outcome: None };
        let job = self.jobs.entry(effect.clone()).or_insert(stopped);
        job.outcome.get_or_insert_with(|| Err(cause.failure())).clone()
    }

    /// Lets a second pass.
    pub fn tick(&mut self) {
        self.now += seconds(1);
        for (effect, job) in &mut self.jobs {
            if job.outcome.is_none() && job.ends.is_some_and(|ends| ends <= self.now) {
                let outcome = match job.behaviour {
                    Behaviour::Works(_) => Ok(()),
                    Behaviour::FailsForNow(_) => Err(Failure::transient(Reason::from_text("Unavailable"), "the store answered 503")),
                    Behaviour::FailsForGood(_) => Err(Failure::permanent(Reason::from_text("Broken"), "it is broken")),
                    Behaviour::Refuses(_) => Err(Failure::refused(Reason::Conflicts, "something else is there")),
                    Behaviour::Hangs => continue,
                };
                if outcome.is_ok() {
                    self.visible.push(effect.clone());
                }
                job.outcome = Some(outcome);
            }
        }
    }

    /// People look at the run and do what they do.
    pub fn people(&mut self, plan: &TestPlan, journal: &Journal) {
        let seen = summary(plan, journal, self.now).unwrap();
        for step in seen.current {
            let asked = journal.records().iter().rev().find(|record| record.step.as_ref() == Some(&step.id) && matches!(record.event, Event::Asked { .. }));
            let Some(asked) = asked else { continue };
            if self.now < asked.at + seconds(2) {
                continue;
            }
            let answer = match step.waits_for {
                WaitsFor::Answer { answered, .. } => {
                    // Each time another person, until enough have answered.
                    let yes = RunAction {
                        answer: Some("yes".to_owned()),
                        by: Some(format!("person-{answered}")),
                        ..action(ActionKind::Answer, Some(step.id.as_str()))
                    };
                    if self.answers { Some((yes, u64::from(answered))) } else { None }
                }
                WaitsFor::Decision => {
                    // Who was refused tries something else.
                    let refused =
                        journal.records().iter().filter(|record| record.sequence > asked.sequence && matches!(record.event, Event::ActionRefused { .. }));
                    let refused = u64::try_from(refused.count()).unwrap().min(7);
                    let kind = match self.person {
                        _ if refused > 0 => ActionKind::Skip,
                        Person::Retries => ActionKind::Retry,
                        Person::Skips => ActionKind::Skip,
                        Person::Aborts => ActionKind::Abort,
                    };
                    // Nobody retries for ever, and what cannot be skipped is aborted.
                    let failed = self.acted.iter().filter(|(acted, _)| *acted == step.id).count();
                    let ponr = plan.step(&step.id).is_some_and(|step| step.point_of_no_return);
                    let kind = match kind {
                        ActionKind::Retry if failed > 8 && ponr => ActionKind::Abort,
                        ActionKind::Retry if failed > 8 => ActionKind::Skip,
                        ActionKind::Skip if ponr => ActionKind::Abort,
                        ActionKind::Abort if seen.committed => ActionKind::Skip,
                        kind => kind,
                    };
                    Some((action(kind, Some(step.id.as_str())), refused))
                }
                _ => None,
            };
            let Some((action, nth)) = answer else { continue };
            if self.acted.insert((step.id.clone(), asked.sequence * 8 + nth)) {
                self.actions.push(action);
            }
        }
    }
}

/// Where records are kept: a place takes one record, once.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub records: Vec<Record>,
    /// The world as it was when each record was about to be written.
    pub worlds: Vec<World>,
    pub keep_worlds: bool,
    /// What stands in the place of the first records, as it was written down.
    pub compacted: Option<String>,
}

/// Why an orchestrator stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was killed.
    Killed,
    /// Its record's place was taken.
    Lost,
}

impl Store {
    fn append(&mut self, record: &Record, world: &World) -> Result<(), Stopped> {
        if record.sequence != u64::try_from(self.records.len()).unwrap() + 1 {
            return Err(Stopped::Lost);
        }
        if self.keep_worlds {
            self.worlds.push(world.clone());
        }
        self.records.push(record.clone());
        Ok(())
    }

    pub fn journal(&self) -> Journal {
        let mut journal = Journal::from_lines(self.compacted.as_deref().unwrap_or_default()).unwrap();
        let known = usize::try_from(journal.sequence()).unwrap();
        for record in &self.records[known..] {
            journal.push(record.clone()).unwrap();
        }
        journal
    }
}

/// Kills an orchestrator before its n-th act.
#[derive(Clone, Copy, Debug)]
pub struct Fuse(pub Option<u32>);

impl Fuse {
    fn burn(&mut self) -> Result<(), Stopped> {
        match &mut self.0 {
            Some(0) => Err(Stopped::Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The loop of the operator, as small as it can be.
#[derive(Clone, Debug)]
pub struct Orchestrator {
    pub journal: Journal,
    pub token: u64,
    pub fuse: Fuse,
    /// Performs every effect so many times.
    pub times: u32,
}

impl Orchestrator {
    pub fn claim(plan: &TestPlan, store: &mut Store, world: &World, fuse: Fuse) -> Result<Self, Stopped> {
        let journal = store.journal();
        if journal.is_finished() {
            return Ok(Self { token: journal.token(), journal, fuse, times: 1 });
        }
        let claim = journal.claim(plan.digest(), "operator", world.now);
        let mut this = Self { token: claim.token, journal, fuse, times: 1 };
        this.store(store, world, claim)?;
        Ok(this)
    }

    fn store(&mut self, store: &mut Store, world: &World, record: Record) -> Result<(), Stopped> {
        self.fuse.burn()?;
        store.append(&record, world)?;
        self.journal.push(record).unwrap();
        Ok(())
    }

    fn write(&mut self, store: &mut Store, world: &World, entry: Entry) -> Result<(), Stopped> {
        let record = self.journal.stamp(entry, self.token, world.now);
        self.store(store, world, record)
    }

    fn outcome(&mut self, store: &mut Store, world: &World, effect: Effect, outcome: Result<(), Failure>) -> Result<(), Stopped> {
        let (step, undo, attempt) = effect;
        let evidence = Evidence::NodeDrained { node: step.as_str().into() };
        let entry = match (outcome, undo) {
            (Ok(()), false) => Entry::done(step, attempt, evidence),
            (Ok(()), true) => Entry::undone(step, attempt, evidence),
            (Err(failure), false) => Entry::failed(step, attempt, failure, evidence),
            (Err(failure), true) => Entry::undo_failed(step, attempt, failure, evidence),
        };
        self.write(store, world, entry)
    }

    /// One pass: what effects report, what people asked, what is due, and then the world. True when the run is over.
    pub fn pass(&mut self, plan: &TestPlan, store: &mut Store, world: &mut World) -> Result<bool, Stopped> {
        if self.journal.is_finished() {
            return Ok(true);
        }
        let now = p861_core::engine::advance(plan, &self.journal, world.now).unwrap();
        for command in now.commands {
            let effect = match command {
                Command::Perform { step, attempt } => (step, false, attempt),
                Command::PerformUndo { step, attempt } => (step, true, attempt),
                Command::Cancel { step, attempt, direction, .. } => (step, direction == Direction::Undo, attempt),
                _ => continue,
            };
            if let Some(outcome) = world.jobs.get(&effect).and_then(|job| job.outcome.clone()) {
                self.outcome(store, world, effect, outcome)?;
            }
        }
        for entry in self.journal.uncopied(&world.actions) {
            self.write(store, world, entry)?;
        }
        // Until nothing is left to write: an effect that was stopped is an outcome, too.
        loop {
            let mut ahead = self.journal.clone();
            let pass = settle(plan, &mut ahead, self.token, world.now).unwrap();
            for record in pass.records {
                self.store(store, world, record)?;
            }
            let mut stopped = None;
            for command in pass.commands {
                let (effect, cancel) = match command {
                    Command::Perform { step, attempt } => ((step, false, attempt), None),
                    Command::PerformUndo { step, attempt } => ((step, true, attempt), None),
                    Command::Cancel { step, attempt, direction, cause } => ((step, direction == Direction::Undo, attempt), Some(cause)),
                    other => panic!("settle left {other:?}"),
                };
                for _ in 0..self.times {
                    self.fuse.burn()?;
                    match &cancel {
                        Some(cause) if stopped.is_none() => drop(world.stop(&effect, cause)),
                        Some(_) => {}
                        None => world.perform(&effect),
                    }
                }
                if let (Some(cause), None) = (cancel, &stopped) {
                    stopped = Some((world.stop(&effect, &cause), effect));
                }
            }
            let Some((outcome, effect)) = stopped else { break };
            self.outcome(store, world, effect, outcome)?;
        }
        Ok(self.journal.is_finished())
    }
}

/// How long a run may take before it counts as stuck.
pub const MOST_SECONDS: u32 = 3_000;

/// Runs to the end. `each` is called every second, before the pass.
pub fn run_with(
    plan: &TestPlan,
    store: &mut Store,
    world: &mut World,
    orchestrator: &mut Orchestrator,
    mut each: impl FnMut(&mut World, &Journal),
) -> Result<(), Stopped> {
    for _ in 0..MOST_SECONDS {
        each(world, &orchestrator.journal);
        if orchestrator.pass(plan, store, world)? {
            return Ok(());
        }
        world.tick();
        world.people(plan, &orchestrator.journal);
    }
    let seen = summary(plan, &orchestrator.journal, world.now).unwrap();
    panic!("not over after {MOST_SECONDS} s; last seen: {:?} {:#?}\n{}", seen.phase, seen.current, lines(&store.records));
}

/// Runs to the end, undisturbed, from whatever the store holds.
pub fn run(plan: &TestPlan, store: &mut Store, world: &mut World) {
    let mut orchestrator = Orchestrator::claim(plan, store, world, Fuse(None)).unwrap();
    run_with(plan, store, world, &mut orchestrator, |_, _| {}).unwrap();
}

/// The journal as a story, for assertions and for messages.
pub fn lines(records: &[Record]) -> String {
    let mut out = String::new();
    for record in records {
        let at = record.at.duration_since(start()).as_secs();
        let about = record.step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
        let attempt = if record.attempt > 0 { format!(" #{}", record.attempt) } else { String::new() };
        let more = match &record.event {
            Event::Failed(failure) | Event::UndoFailed(failure) => format!(" {}", failure.reason),
            Event::Finished { result, reason, .. } => format!(" {result:?} {reason}"),
            Event::Action { action, .. } => format!(" {:?}{}", action.action, action.step.as_ref().map(|step| format!(" {step}")).unwrap_or_default()),
            Event::ActionRefused { message, .. } => format!(" {message}"),
            Event::Asked { kind: AskKind::Failure } => " what to do".to_owned(),
            Event::Answered { answer } => format!(" {answer:?}"),
            Event::Skipped { cause } => format!(" {cause:?}").split([' ', '{']).nth(1).map(|cause| format!(" {cause}")).unwrap_or_default(),
            _ => String::new(),
        };
        writeln!(out, "{at:>4}s {}{about}{attempt}{more}", record.event.name()).unwrap();
    }
    out
}
