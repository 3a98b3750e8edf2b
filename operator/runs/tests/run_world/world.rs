//! The world that effects change. It survives every process, notices each promise that is broken, and stops effects where a test wants them stopped.

use super::bed::Disk;
use jiff::Timestamp;
use p861_core::{
    engine::{Event, Evidence, Failure, Plan, Record, Step, StepId},
    runs::Action,
};
use p861_crds::Reason;
use p861_runs::{EffectOutcome, Effects, Pass, StepContext, leadership::Leadership};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Notify, watch};

/// Which effect: the step, the attempt, and whether it is the step's undo.
pub type Effect = (StepId, u32, bool);

/// A moment of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its intent is stored, and nothing has happened.
    Before,
    /// It has begun, and some of it is there.
    During,
    /// It has happened, and its outcome is not recorded.
    After,
}

/// Reason of an effect that fails for good.
const BROKEN: &str = "Broken";

/// Every moment.
pub const MOMENTS: [Moment; 3] = [Moment::Before, Moment::During, Moment::After];

/// What goes wrong at the first attempt of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes no further, in this process, until the world is released.
    Stops(Moment),
    /// It fails for good.
    Fails,
    /// Its server is not reached, once before it happens and once while it happens.
    Away,
    /// It happens, and then the store refuses everything.
    StoreDown,
    /// It happens, and then what is written arrives, but no answer comes back.
    AnswersLost,
    /// It happens, and then the lease is lost.
    LeaseLost,
}

#[derive(Default)]
struct State {
    faults: Vec<(StepId, bool, u32, Fault)>,
    /// Each call of perform, with its process.
    performs: Vec<(Effect, u32)>,
    /// What came with the first call of each effect.
    first: HashMap<Effect, (Timestamp, BTreeMap<String, Evidence>)>,
    begun: BTreeSet<Effect>,
    happened: Vec<Effect>,
    failed: BTreeSet<Effect>,
    /// Effects whose server was not reached before they happened.
    away: BTreeSet<Effect>,
    stopped: BTreeSet<Effect>,
    /// Effects that run now, by process.
    active: Vec<(Effect, u32)>,
    things: BTreeSet<String>,
    broken: Vec<String>,
    /// So often an effect that is cancelled isn't stopped yet.
    stubborn: u32,
}

/// The world.
pub struct World {
    /// The run's plan.
    pub plan: Plan<Action>,
    /// What is really stored.
    pub disk: Disk,
    /// An effect has come to where it stops.
    pub reached: Notify,
    arrived: AtomicBool,
    released: watch::Sender<bool>,
    state: Mutex<State>,
}

/// The effects as one process brings them about.
#[derive(Clone)]
pub struct Hands {
    /// The world.
    pub world: Arc<World>,
    /// The process.
    pub process: u32,
    /// The process's lease.
    pub leadership: Leadership,
}

/// An effect runs as long as this lives.
struct Running<'a>(&'a World, Effect, u32);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if let Some(at) = state.active.iter().position(|(effect, process)| *effect == self.1 && *process == self.2) {
            state.active.remove(at);
        }
    }
}

fn proof(effect: &Effect) -> Evidence {
    Evidence::CheckSeen { check: effect.0.to_string(), seen: format!("attempt {}", effect.1) }
}

/// What an action leaves in the world as soon as it has begun.
fn makes(step: &StepId, action: &Action) -> Vec<String> {
    match action {
        Action::Move { site, namespace, .. } => vec![format!("mover {site}/{namespace} of {step}")],
        Action::TakeSnapshots { site, snapshots } => {
            snapshots.iter().map(|snapshot| format!("snapshot {site}/{}/{}", snapshot.namespace, snapshot.claim)).collect()
        }
        Action::Isolate { bubble, .. } => vec![format!("bubble {}", bubble.id)],
        Action::Execute { command, namespace, .. } if command.command == ["freeze"] => vec![format!("frozen {namespace}")],
        Action::Stop { site, namespaces } => namespaces.keys().map(|namespace| format!("stopped {site}/{namespace}")).collect(),
        Action::Silence { site, owner, .. } => vec![format!("silence {site} {owner}")],
        Action::Cordon { site, node, .. } => vec![format!("cordon {site}/{node}")],
        Action::InstallComponent { site, component, .. } => vec![format!("version {site} {component}"), format!("right {site} {component}")],
        _ => Vec::new(),
    }
}

/// Whether an action removes a thing.
fn removes(action: &Action, thing: &str) -> bool {
    match action {
        Action::RemoveMovers { site, namespaces } => namespaces.iter().any(|namespace| thing.starts_with(&format!("mover {site}/{namespace} "))),
        Action::RemoveSnapshots { site, namespaces } => namespaces.iter().any(|namespace| thing.starts_with(&format!("snapshot {site}/{namespace}/"))),
        Action::RemoveBubble { site, bubble } => {
            thing == format!("bubble {}", bubble.id) || bubble.namespaces.values().any(|namespace| thing.starts_with(&format!("mover {site}/{namespace} ")))
        }
        Action::Execute { command, namespace, .. } => command.command == ["thaw"] && thing == format!("frozen {namespace}"),
        Action::StartAgain { site, namespaces } => namespaces.iter().any(|namespace| thing == format!("stopped {site}/{namespace}")),
        Action::Start { site, workloads, .. } => {
            workloads.iter().any(|(namespace, listed)| listed.is_empty() && thing == format!("stopped {site}/{namespace}"))
        }
        Action::EndSilence { site, owner } => thing == format!("silence {site} {owner}"),
        Action::Uncordon { site, node, .. } => thing == format!("cordon {site}/{node}"),
        Action::RevertComponent { site, component, .. } => thing == format!("version {site} {component}"),
        Action::EndInstallation { site, component } => thing == format!("right {site} {component}"),
        _ => false,
    }
}

impl State {
    fn has(&self, step: &StepId, undo: bool) -> bool {
        self.happened.iter().any(|(other, _, of_undo)| other == step && *of_undo == undo)
    }

    fn under_way(&self) -> impl Iterator<Item = &Effect> {
        self.begun.iter().filter(|effect| !self.happened.contains(effect) && !self.failed.contains(*effect) && !self.stopped.contains(*effect))
    }
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(plan: Plan<Action>, disk: Disk) -> Self {
        Self { plan, disk, reached: Notify::new(), arrived: AtomicBool::new(false), released: watch::Sender::new(false), state: Mutex::default() }
    }

    /// Something goes wrong with a step, or with its undo, in one process.
    pub fn plant(&self, step: &StepId, undo: bool, process: u32, fault: Fault) {
        self.state.lock().faults.push((step.clone(), undo, process, fault));
    }

    /// Whether an effect has come to where it stops, and the pass has left it there. (On a busy machine a pass leaves others, too.)
    pub fn hangs(&self, pass: &Pass) -> bool {
        pass.in_flight && self.arrived.load(Ordering::Relaxed)
    }

    /// What was stopped goes on.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// So often an effect that is cancelled isn't stopped yet.
    pub fn stubborn(&self, times: u32) {
        self.state.lock().stubborn = times;
    }

    /// Whether something that is cancelled will be said to be under way still.
    pub fn is_stubborn(&self) -> bool {
        self.state.lock().stubborn > 0
    }

    /// How many effects run in a process.
    pub fn active(&self, process: u32) -> usize {
        self.state.lock().active.iter().filter(|(_, other)| *other == process).count()
    }

    /// How often effects were asked for.
    pub fn asked_for(&self) -> usize {
        self.state.lock().performs.len()
    }

    /// How often a process asked for effects.
    pub fn asked_by(&self, process: u32) -> usize {
        self.state.lock().performs.iter().filter(|(_, other)| *other == process).count()
    }

    /// Whether a step's effect, or that of its undo, has happened.
    pub fn has(&self, step: &StepId, undo: bool) -> bool {
        self.state.lock().has(step, undo)
    }

    /// What a step was told of another when its effect was first asked for.
    pub fn told(&self, step: &StepId, of: &StepId) -> Option<Evidence> {
        self.state.lock().first.iter().find(|((asked, _, undo), _)| asked == step && !undo).and_then(|(_, (_, inputs))| inputs.get(of.as_str()).cloned())
    }

    /// Whether a step's effect was asked for.
    pub fn was_asked(&self, step: &StepId) -> bool {
        self.state.lock().performs.iter().any(|((other, _, undo), _)| other == step && !undo)
    }

    /// What is left that a run makes for itself.
    pub fn left(&self) -> Vec<String> {
        self.state.lock().things.iter().cloned().collect()
    }

    /// The undos that happened, in order.
    pub fn undone(&self) -> Vec<StepId> {
        self.state.lock().happened.iter().filter(|effect| effect.2).map(|effect| effect.0.clone()).collect()
    }

    /// Panics if a promise was broken, or if anything is still under way.
    pub fn check(&self) {
        let state = self.state.lock();
        assert!(state.broken.is_empty(), "{}", state.broken.join("\n"));
        assert_eq!(state.under_way().collect::<Vec<_>>(), Vec::<&Effect>::new(), "under way after the end");
        assert_eq!(state.active, Vec::new(), "running after the end");
    }

    fn effect(&self, context: &StepContext, action: &Action) -> (Effect, Step<Action>) {
        let step = self.plan.step(&context.step).expect("a step of the plan").clone();
        let undo = step.action != *action;
        assert!(!undo || step.undo.as_ref() == Some(action), "{}: an action that is not the plan's", context.step);
        ((context.step.clone(), context.attempt, undo), step)
    }

    /// The record of the effect's intent must be stored, and by the newest claim no outcome of it.
    fn check_intent(&self, effect: &Effect, context: &StepContext) -> Result<(), String> {
        let records = self.disk.records();
        let of_effect = |record: &&Record| record.step.as_ref() == Some(&effect.0) && record.attempt == effect.1;
        let intent = records.iter().filter(of_effect).find(|record| if effect.2 { record.event == Event::UndoIntent } else { record.event == Event::Intent });
        match intent {
            None => Err(format!("{effect:?} without a stored intent")),
            Some(intent) if intent.at != context.started => Err(format!("{effect:?} says it began at {}, its intent says {}", context.started, intent.at)),
            Some(_) => Ok(()),
        }
    }

    /// What must have happened before, has; and what it proved is at hand.
    fn check_order(&self, state: &State, (step, _, undo): &Effect, planned: &Step<Action>, context: &StepContext) -> Result<(), String> {
        let steps = || self.plan.steps().iter();
        if *undo {
            let kept = steps().find(|behind| {
                behind.dependencies().any(|id| id == step) && behind.undo.is_some() && state.has(&behind.id, false) && !state.has(&behind.id, true)
            });
            return kept.map_or(Ok(()), |behind| Err(format!("{step} is undone before {}, which came after it", behind.id)));
        }
        if planned.finally {
            let early = state.under_way().find(|effect| effect.2 || self.plan.step(&effect.0).is_some_and(|step| !step.finally));
            if let Some(early) = early {
                return Err(format!("{step} cleans up while {early:?} is under way"));
            }
        }
        self.check_sharing(state, step, context)?;
        if let Some(missing) = planned.after.iter().find(|before| !state.has(before, false)) {
            return Err(format!("{step} before {missing} was done"));
        }
        for before in planned.dependencies() {
            let proven = state.happened.iter().rfind(|effect| effect.0 == *before && !effect.2).map(proof);
            let told = context.inputs.get(before.as_str());
            let has_failed = proven.is_none() && state.failed.iter().any(|(failed, _, of_undo)| failed == before && !of_undo);
            let is_right = match told {
                Some(Evidence::NotDone { reason, .. }) if has_failed => reason.as_str() == BROKEN,
                // One that was skipped, or stopped.
                Some(Evidence::NotDone { .. }) => proven.is_none(),
                told => !has_failed && told == proven.as_ref(),
            };
            if !is_right {
                return Err(format!("{step} is told {told:?} of {before}, which proved {proven:?}"));
            }
        }
        Ok(())
    }

    /// A mover goes on only with steps that wait for nothing but steps of its own, and a step is looked for only at movers of what is done.
    fn check_sharing(&self, state: &State, step: &StepId, context: &StepContext) -> Result<(), String> {
        let mut own = vec![step];
        for follower in &context.followers {
            let planned = self.plan.step(&follower.step).expect("a step of the plan");
            if let Some(foreign) = planned.dependencies().find(|before| !own.contains(before)) {
                return Err(format!("the mover of {step} goes on with {}, which waits for {foreign}", follower.step));
            }
            if (&planned.action, &planned.after) != (&follower.action, &follower.after) {
                return Err(format!("the mover of {step} is told of {} what is not the plan's", follower.step));
            }
            own.push(&follower.step);
        }
        let early = context.leaders.iter().find(|leader| !state.happened.contains(&(leader.step.clone(), leader.attempt, false)));
        early.map_or(Ok(()), |leader| Err(format!("{step} is looked for at {leader:?}, which did not do its own step")))
    }

    fn enter(&self, process: u32, effect: &Effect, planned: &Step<Action>, context: &StepContext, action: &Action) -> Running<'_> {
        let intent = self.check_intent(effect, context);
        let mut state = self.state.lock();
        let order = self.check_order(&state, effect, planned, context);
        let scope = context.run.scope.permits(action).map(drop).map_err(|refused| format!("{effect:?}: {refused}"));
        let twice = if state.active.contains(&(effect.clone(), process)) { Err(format!("{effect:?} runs twice in process {process}")) } else { Ok(()) };
        let first = state.first.entry(effect.clone()).or_insert_with(|| (context.started, context.inputs.clone()));
        let same = if *first == (context.started, context.inputs.clone()) { Ok(()) } else { Err(format!("{effect:?} is another at its second call")) };
        state.broken.extend([intent, order, scope, twice, same].into_iter().filter_map(Result::err));
        state.performs.push((effect.clone(), process));
        state.active.push((effect.clone(), process));
        Running(self, effect.clone(), process)
    }

    fn begin(&self, effect: &Effect, action: &Action) {
        let mut state = self.state.lock();
        if state.stopped.contains(effect) {
            state.broken.push(format!("{effect:?} begins after it was stopped"));
        }
        if state.begun.insert(effect.clone()) {
            state.things.extend(makes(&effect.0, action));
        }
    }

    fn happen(&self, effect: &Effect, action: &Action) {
        let mut state = self.state.lock();
        if state.stopped.contains(effect) {
            state.broken.push(format!("{effect:?} goes on after it was stopped"));
        }
        // Looks before it acts: what this attempt did is there already.
        if state.happened.contains(effect) {
            return;
        }
        if state.has(&effect.0, effect.2) {
            state.broken.push(format!("{effect:?} happens a second time"));
        }
        state.happened.push(effect.clone());
        state.things.retain(|thing| !removes(action, thing));
    }

    fn fault(&self, effect: &Effect, process: u32) -> Option<Fault> {
        let state = self.state.lock();
        let planted = state.faults.iter().find(|(step, undo, of, _)| (step, *undo, *of) == (&effect.0, effect.2, process) && effect.1 == 1);
        planted.map(|planted| planted.3)
    }

    /// What goes wrong with an effect goes wrong once.
    fn mend(&self, effect: &Effect) {
        self.state.lock().faults.retain(|(step, undo, ..)| (step, *undo) != (&effect.0, effect.2));
    }

    async fn stops_here(&self, effect: &Effect, process: u32, moment: Moment) {
        if self.fault(effect, process) == Some(Fault::Stops(moment)) {
            self.arrived.store(true, Ordering::Relaxed);
            self.reached.notify_one();
            drop(self.released.subscribe().wait_for(|released| *released).await);
        }
    }
}

impl Effects for Hands {
    async fn perform(&self, context: &StepContext, action: &Action) -> EffectOutcome {
        let world = &self.world;
        let (effect, planned) = world.effect(context, action);
        let _running = world.enter(self.process, &effect, &planned, context, action);
        world.stops_here(&effect, self.process, Moment::Before).await;
        world.begin(&effect, action);
        tokio::task::yield_now().await;
        world.stops_here(&effect, self.process, Moment::During).await;
        let fault = world.fault(&effect, self.process);
        if fault == Some(Fault::Fails) {
            world.state.lock().failed.insert(effect);
            return EffectOutcome::Failed(Failure::permanent(Reason::from_text(BROKEN), "it is broken"), None);
        }
        if fault == Some(Fault::Away) {
            let mut state = world.state.lock();
            let first = state.away.insert(effect.clone());
            if planned.finally || effect.2 {
                // Another attempt follows.
                state.failed.insert(effect);
                return EffectOutcome::Unreachable("connection refused".into());
            }
            if first {
                return EffectOutcome::Unreachable("connection refused".into());
            }
        }
        world.happen(&effect, action);
        world.stops_here(&effect, self.process, Moment::After).await;
        if fault.is_some() {
            world.mend(&effect);
        }
        match fault {
            Some(Fault::Away) => return EffectOutcome::Unreachable("no answer".into()),
            Some(Fault::StoreDown) => world.disk.refuse_everything(),
            Some(Fault::AnswersLost) => world.disk.lose_answers(),
            Some(Fault::LeaseLost) => self.leadership.set(None),
            Some(Fault::Stops(_) | Fault::Fails) | None => {}
        }
        EffectOutcome::done(proof(&effect))
    }

    async fn cancel(&self, context: &StepContext, action: &Action) -> EffectOutcome {
        let (effect, _) = self.world.effect(context, action);
        let mut state = self.world.state.lock();
        if state.active.contains(&(effect.clone(), self.process)) {
            state.broken.push(format!("{effect:?} is stopped while it runs"));
        }
        if state.stubborn > 0 {
            state.stubborn -= 1;
            return EffectOutcome::running("being stopped");
        }
        state.stopped.insert(effect);
        EffectOutcome::Stopped { said: None, untouched: false }
    }
}
