//! A run with its journal's folder, and the processes that carry it on.

use super::{
    plans,
    world::{Fault, Hands, Moment, World},
};
use p861_core::{
    engine::{Event, Plan, Record, Step, StepId, WaitsFor, sealed::DistrictKey},
    runs::Action,
};
use p861_crds::common::{ActionKind, RunAction, RunPhase};
use p861_runs::{Executor, JournalStore, Pass, RunIdentity, RunMetrics, Sealing, Stored, error::Error, leadership::Leadership, load, pass};
use p861_vault::{AsyncStore, Location};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Cases that are tried at once: most of them wait.
const CASES_AT_ONCE: usize = 24;
/// More passes than this are never needed.
const MOST_PASSES: usize = 100;
const PREFIX: &str = "journal/plan/uid";

/// The folder that the journal is in: what is really there, however the store answers.
pub struct Disk {
    folder: tempfile::TempDir,
    read: Mutex<(BTreeSet<PathBuf>, Vec<Record>)>,
}

impl Disk {
    fn new() -> Self {
        // In memory, where there is such a place: the store waits for the disk at each record.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let disk = Self { folder, read: Mutex::default() };
        fs::create_dir(disk.real()).unwrap();
        disk.answer();
        disk
    }

    fn real(&self) -> PathBuf {
        self.folder.path().join("real")
    }

    /// Where processes look for it.
    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn compacted(&self) -> PathBuf {
        self.real().join(PREFIX).join("compacted")
    }

    /// The store refuses to be read or written.
    pub fn refuse_everything(&self) {
        fs::remove_file(self.store()).unwrap();
        fs::write(self.store(), "no folder").unwrap();
    }

    /// The store takes what is written, and then says that it did not.
    pub fn lose_answers(&self) {
        fs::write(self.compacted(), "no folder").unwrap();
    }

    /// The store works.
    pub fn answer(&self) {
        for broken in [self.store(), self.compacted()] {
            drop(fs::remove_file(broken));
        }
        std::os::unix::fs::symlink(self.real(), self.store()).unwrap();
    }

    /// The records that are stored.
    pub fn records(&self) -> Vec<Record> {
        let mut read = self.read.lock();
        let (known, records) = &mut *read;
        let entries = fs::read_dir(self.real().join(PREFIX).join("records")).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| is_batch(path) && !known.contains(path)).collect();
        files.sort();
        for file in files {
            records.extend(fs::read_to_string(&file).unwrap().lines().map(|line| serde_json::from_str::<Record>(line).unwrap()));
            known.insert(file);
        }
        records.clone()
    }
}

fn is_batch(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

/// A run.
pub struct Bed {
    /// The world around it.
    pub world: Arc<World>,
    /// What people said.
    actions: Mutex<Vec<RunAction>>,
    run: RunIdentity,
    /// What every process knows: it outlives them.
    sealing: Sealing,
    processes: AtomicU32,
}

/// A process.
pub struct Process {
    /// Its executor.
    pub executor: Executor<Hands>,
    /// Its number; the first is 1.
    pub number: u32,
}

impl Bed {
    /// A run that has not begun.
    pub fn new(name: &str, plan: &Plan<Action>) -> Self {
        let (namespace, uid) = ("shinan".into(), "uid".into());
        let run = RunIdentity { kind: "Drill", namespace, name: name.into(), uid, repository: "main".into(), scope: plans::scope(name) };
        let world = Arc::new(World::new(plan.clone(), Disk::new()));
        let key = DistrictKey::from_text(&"5a".repeat(32)).unwrap().of_run("uid");
        Self { world, actions: Mutex::default(), run, sealing: Sealing::without_hub(key), processes: AtomicU32::new(0) }
    }

    /// The next process, which has claimed nothing.
    pub fn process(&self) -> Process {
        let number = self.processes.fetch_add(1, Ordering::Relaxed) + 1;
        let (leadership, metrics) = (Leadership::without_lease(), RunMetrics::new(&prometheus::Registry::new()).unwrap());
        let hands = Hands { world: self.world.clone(), process: number, leadership: leadership.clone() };
        Process { executor: Executor::new(hands, leadership, &format!("process-{number}"), metrics), number }
    }

    /// A person says something about a step, or about the run.
    pub fn say(&self, action: ActionKind, step: Option<&StepId>) {
        let (reason, by) = (Some("for the test".to_owned()), Some("drill-leader".to_owned()));
        let answer = (action == ActionKind::Answer).then(|| "yes".to_owned());
        self.actions.lock().push(RunAction { action, step: step.map(ToString::to_string), reason, answer, duration: None, by });
    }

    /// One pass.
    pub async fn pass(&self, process: &Process) -> Result<Pass, Error> {
        let store = AsyncStore::new(&Location::Folder { path: self.world.disk.store() }, None).await.unwrap();
        let store = JournalStore::Bucket { store, prefix: PREFIX.into(), location: "folder".into(), sealing: Box::new(self.sealing.clone()) };
        let stored = match load(&process.executor, &self.run, &store).await? {
            Stored::Nothing => Stored::New(Box::new(self.world.plan.clone())),
            stored => stored,
        };
        let actions = self.actions.lock().clone();
        pass(&process.executor, &self.run, &store, &actions, stored).await
    }

    /// Passes until something is so. People answer what they are asked.
    pub async fn until(&self, process: &Process, is_so: impl Fn(&Pass) -> bool) -> Result<Pass, Error> {
        let mut answered = BTreeSet::new();
        for _ in 0..MOST_PASSES {
            let pass = self.pass(process).await?;
            if is_so(&pass) {
                return Ok(pass);
            }
            for step in pass.summary.current.iter().filter(|step| matches!(step.waits_for, WaitsFor::Answer { .. })) {
                if answered.insert(step.id.clone()) {
                    self.say(ActionKind::Answer, Some(&step.id));
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("waited in vain: {:#?}", self.pass(process).await.map(|pass| pass.summary));
    }

    /// Passes until the run has ended.
    pub async fn until_end(&self, process: &Process) -> Result<Pass, Error> {
        self.until(process, |pass| pass.summary.phase.is_end()).await
    }

    /// A process carries the run on until an effect comes to where it stops. Then the process is no more: neither its pass nor its effects go on.
    pub fn dies(&self, step: &StepId, undo: bool, fault: Fault) {
        let process = self.process();
        self.world.plant(step, undo, process.number, fault);
        let reached = alone(async {
            tokio::select! {
                () = self.world.reached.notified() => true,
                _ = self.until_end(&process) => false,
            }
        });
        assert!(reached, "the run ended and {step} was never there");
        assert_eq!(self.world.active(process.number), 0, "effects outlived their process");
    }

    /// The last step that can be aborted: before the point of no return, or else before clean-up.
    pub fn last(&self) -> StepId {
        let steps = || self.world.plan.steps().iter();
        let before_return = steps().find(|step| step.point_of_no_return).and_then(|point| point.after.last().cloned());
        before_return.unwrap_or_else(|| steps().rfind(|step| !step.finally).unwrap().id.clone())
    }

    /// Whether there is only forward: the point of no return is done, or under way.
    pub fn is_committed(&self) -> bool {
        let point = self.world.plan.steps().iter().find(|step| step.point_of_no_return);
        point.is_some_and(|point| self.world.disk.records().iter().any(|record| record.step.as_ref() == Some(&point.id)))
    }

    /// The process comes to where a step's effect stops, and a person aborts the run there. Returns whether that was in time.
    pub async fn aborted_at(&self, process: &Process, step: &StepId, moment: Moment) -> bool {
        self.world.plant(step, false, process.number, Fault::Stops(moment));
        self.until(process, |pass| self.world.hangs(pass)).await.unwrap();
        self.world.reached.notified().await;
        self.say(ActionKind::Abort, None);
        !self.is_committed() && self.world.plan.step(step).is_some_and(|step| !step.finally)
    }

    /// An abort that came too late is refused, and the run goes on.
    pub async fn goes_on(&self, process: &Process) {
        self.world.release();
        let end = self.until_end(process).await.unwrap();
        assert_eq!(end.summary.refused_actions.len(), 1, "the abort is refused");
        self.check(&end, RunPhase::Succeeded);
    }

    /// Another process carries the run to its end.
    pub fn ends(&self) -> Pass {
        let process = self.process();
        alone(self.until_end(&process)).expect("the run goes on")
    }

    /// The run has ended so; every promise was kept. Nothing is left but what a successful change installs, and what a failover has stopped for good.
    pub fn check(&self, pass: &Pass, phase: RunPhase) {
        assert_eq!(pass.summary.phase, phase, "{:?}", pass.summary.result);
        self.world.check();
        let (mut left, moved) = (self.world.left(), self.is_committed());
        left.retain(|thing| {
            !(phase == RunPhase::Succeeded && thing.starts_with("version ") || moved && (thing.starts_with("frozen ") || thing.starts_with("stopped ")))
        });
        assert_eq!(left, Vec::<String>::new(), "left after the end");
    }

    /// What was done, or begun, and can be undone, was undone, each once. (The world sees to it that nothing is undone before what came after it.)
    pub fn check_undone(&self) {
        let steps = self.world.plan.steps().iter();
        let mut expected: Vec<StepId> = steps.filter(|step| step.undo.is_some() && self.world.was_asked(&step.id)).map(|step| step.id.clone()).collect();
        let mut undone = self.world.undone();
        expected.sort();
        undone.sort();
        assert_eq!(undone, expected, "undone");
        for step in self.world.plan.steps().iter().filter(|step| step.finally) {
            assert!(self.world.has(&step.id, false), "the clean-up {} was not done", step.id);
        }
    }

    /// Every step has happened, at its first attempt.
    pub fn check_once(&self) {
        for step in self.world.plan.steps() {
            assert!(self.world.has(&step.id, false), "{} has not happened", step.id);
        }
        let records = self.world.disk.records();
        let more: Vec<&Record> = records.iter().filter(|record| record.attempt > 1 || matches!(record.event, Event::Failed(_) | Event::UndoIntent)).collect();
        assert!(more.is_empty(), "one attempt of each step is enough: {more:#?}");
    }
}

/// Runs in a runtime of its own, which ends with it, with every task in it.
pub fn alone<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A case at a step of a plan.
pub struct Case<'a, T> {
    /// The plan's name.
    pub name: &'static str,
    /// The plan.
    pub plan: &'a Plan<Action>,
    /// The step.
    pub step: &'a Step<Action>,
    /// What differs.
    pub variant: T,
}

/// Tries something at every step of every plan, in every variant, and says where it went wrong.
pub fn at_every_step<T: Copy + std::fmt::Debug + Send + Sync>(variants: &[T], tried: impl Fn(&Case<'_, T>, &Bed) + Sync) {
    let plans = plans::plans();
    let cases: Vec<Case<'_, T>> = plans
        .iter()
        .flat_map(|(name, plan)| plan.steps().iter().flat_map(move |step| variants.iter().map(move |variant| Case { name, plan, step, variant: *variant })))
        .collect();
    let (next, wrong) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    let bed = Bed::new(case.name, case.plan);
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tried(case, &bed))) {
                        let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
                        wrong.lock().push(format!("{} at {}, {:?}: {}", case.name, case.step.id, case.variant, said.unwrap_or_default()));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner();
    assert!(cases.len() > 50, "the plans have steps");
    assert!(wrong.is_empty(), "{} of {} cases went wrong:\n{}", wrong.len(), cases.len(), wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n"));
}
