//! Effects in progress. Each effect runs in its own task, so that a slow one neither blocks a pass nor delays a person's Abort.
//!
//! A district has at most [`MAX_EFFECTS_PER_DISTRICT`] of them under way; further ones wait. Exempt is what ends something: an undo, a clean-up, a cancellation.

use crate::{district, effects::EffectOutcome, places::Places};
use p861_core::engine::{Direction, Failure, StepId};
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::{JoinError, JoinHandle};

/// Effects of one district that are under way at once.
pub const MAX_EFFECTS_PER_DISTRICT: usize = 32;

/// One attempt of one step of one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskKey {
    /// UID of the run.
    pub(crate) run: String,
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
    pub(crate) direction: Direction,
    /// Whether the attempt is being stopped, and not performed.
    pub(crate) stops: bool,
}

/// For whom an effect is performed.
#[derive(Clone, Debug)]
pub(crate) struct EffectOwner {
    /// The district, by its namespace on the hub.
    pub(crate) district: Arc<str>,
    /// Whether it begins whatever else the district has under way.
    pub(crate) exempt: bool,
}

/// What became of an effect so far.
#[derive(Debug)]
pub(crate) enum Polled {
    /// It has ended.
    Ended(Box<EffectOutcome>),
    /// It goes on.
    UnderWay,
    /// It has not begun: its district has as many effects under way as it may.
    Queued,
}

#[derive(Debug)]
struct EffectTask {
    handle: JoinHandle<EffectOutcome>,
    /// Whether it waits for others of its district.
    is_queued: Arc<AtomicBool>,
}

/// Effects in progress in this process. If the process dies, the next one performs them again: effects are idempotent.
#[derive(Clone)]
pub struct EffectTasks {
    running: Arc<Mutex<HashMap<TaskKey, EffectTask>>>,
    /// How often in a row the effect's server was not reached.
    unreached: Arc<Mutex<HashMap<TaskKey, u32>>>,
    places: Places,
}

impl Default for EffectTasks {
    fn default() -> Self {
        Self { running: Arc::default(), unreached: Arc::default(), places: Places::new(MAX_EFFECTS_PER_DISTRICT) }
    }
}

/// The wait before an effect is performed again whose server was not reached; twice as long after each further time.
const FIRST_UNREACHED_WAIT: Duration = Duration::from_millis(500);
const LONGEST_UNREACHED_WAIT: Duration = Duration::from_secs(30);

fn wait_after(unreached: u32) -> Duration {
    match unreached {
        0 => Duration::ZERO,
        times => FIRST_UNREACHED_WAIT.saturating_mul(1 << (times - 1).min(16)).min(LONGEST_UNREACHED_WAIT),
    }
}

/// A task that was taken out to be waited for. It goes back unless it has ended: a pass that is given up meanwhile must not lose it, or the effect would be performed
/// a second time beside it.
struct Taken<'a> {
    tasks: &'a EffectTasks,
    key: &'a TaskKey,
    task: Option<EffectTask>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.tasks.running.lock().insert(self.key.clone(), task);
        }
    }
}

impl EffectTasks {
    /// Starts the effect unless it is in progress, and waits for it at most `patience`: poll again if it has not ended. An effect whose server was not reached
    /// starts after a wait that grows.
    pub(crate) async fn poll<F>(&self, key: TaskKey, owner: &EffectOwner, patience: Duration, start: impl FnOnce() -> F) -> Polled
    where
        F: Future<Output = EffectOutcome> + Send + 'static,
    {
        let known = self.running.lock().remove(&key);
        let task = known.unwrap_or_else(|| self.start(&key, owner, start()));
        let is_queued = task.is_queued.clone();
        let mut taken = Taken { tasks: self, key: &key, task: Some(task) };
        let Some(task) = &mut taken.task else { return Polled::UnderWay };
        let Ok(ended) = tokio::time::timeout(patience, &mut task.handle).await else {
            return if is_queued.load(Ordering::Relaxed) { Polled::Queued } else { Polled::UnderWay };
        };
        taken.task = None;
        drop(taken);
        let ended = ended.unwrap_or_else(crashed);
        let mut unreached = self.unreached.lock();
        if matches!(ended, EffectOutcome::Unreachable(_)) {
            *unreached.entry(key).or_default() += 1;
        } else {
            unreached.remove(&key);
        }
        Polled::Ended(Box::new(ended))
    }

    fn start(&self, key: &TaskKey, owner: &EffectOwner, effect: impl Future<Output = EffectOutcome> + Send + 'static) -> EffectTask {
        let wait = wait_after(self.unreached.lock().get(key).copied().unwrap_or(0));
        let (places, district) = ((!owner.exempt).then(|| self.places.clone()), owner.district.clone());
        let is_queued = Arc::new(AtomicBool::new(false));
        let queued = is_queued.clone();
        let work = async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            queued.store(true, Ordering::Relaxed);
            let _place = match places {
                Some(places) => places.take(&district).await,
                None => None,
            };
            queued.store(false, Ordering::Relaxed);
            effect.await
        };
        EffectTask { handle: tokio::spawn(district::work_for(owner.district.clone(), work)), is_queued }
    }

    /// Stops the task of an attempt and waits until it has stopped. Requests that it had sent may still take effect.
    pub(crate) async fn stop(&self, key: &TaskKey) {
        self.unreached.lock().remove(key);
        let known = self.running.lock().remove(key);
        if known.is_some() {
            let mut taken = Taken { tasks: self, key, task: known };
            if let Some(task) = &mut taken.task {
                task.handle.abort();
                // Either aborted or finished just before; both count as stopped.
                drop((&mut task.handle).await);
            }
            taken.task = None;
        }
    }

    /// Stops all tasks of a run that has ended.
    pub(crate) fn forget(&self, run: &str) {
        self.unreached.lock().retain(|key, _| key.run != run);
        self.running.lock().retain(|key, task| {
            let keeps = key.run != run;
            if !keeps {
                task.handle.abort();
            }
            keeps
        });
    }
}

/// Of an effect that panicked, or was stopped. In the operator a panic has ended the process before this.
fn crashed(error: JoinError) -> EffectOutcome {
    EffectOutcome::Failed(Failure::transient(Reason::InternalError, format!("the effect ended without an outcome: {error}")), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(stops: bool) -> TaskKey {
        TaskKey { run: "uid".into(), step: StepId::new("start").expect("a step"), attempt: 1, direction: Direction::Forward, stops }
    }

    fn owner() -> EffectOwner {
        EffectOwner { district: "shinan".into(), exempt: false }
    }

    fn has_ended(polled: &Polled) -> bool {
        matches!(polled, Polled::Ended(_))
    }

    const SHORT_WAIT: Duration = Duration::from_millis(20);
    const LONG_WAIT: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_slow_effect_is_begun_once_and_its_outcome_is_taken_by_a_later_pass() {
        let (tasks, begun) = (EffectTasks::default(), Arc::new(Mutex::new(0)));
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let finished = Arc::new(tokio::sync::Mutex::new(Some(finished)));
        let slow = || {
            let (begun, finished) = (begun.clone(), finished.clone());
            async move {
                *begun.lock() += 1;
                if let Some(finished) = finished.lock().await.take() {
                    drop(finished.await);
                }
                EffectOutcome::Done(None)
            }
        };
        assert!(!has_ended(&tasks.poll(key(false), &owner(), SHORT_WAIT, slow).await));
        assert!(!has_ended(&tasks.poll(key(false), &owner(), SHORT_WAIT, slow).await));
        finish.send(()).expect("the effect waits");
        assert!(matches!(tasks.poll(key(false), &owner(), LONG_WAIT, slow).await, Polled::Ended(ended) if matches!(*ended, EffectOutcome::Done(_))));
        assert_eq!(*begun.lock(), 1);
    }

    #[tokio::test]
    async fn an_effect_that_is_stopped_does_nothing_more() {
        let tasks = EffectTasks::default();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let slow = move || async move {
            let _alive = alive;
            std::future::pending::<EffectOutcome>().await
        };
        assert!(!has_ended(&tasks.poll(key(false), &owner(), SHORT_WAIT, slow).await));
        tasks.stop(&key(false)).await;
        assert!(ended.await.is_err(), "what the effect held is dropped: nothing of it goes on");
    }

    #[test]
    fn fault_d12_a_server_that_is_away_is_asked_less_and_less_often() {
        let waits: Vec<u128> = [0, 1, 2, 3, 6, 7, 40, u32::MAX].map(|times| wait_after(times).as_millis()).into();
        assert_eq!(waits, [0, 500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000]);
    }

    #[tokio::test]
    async fn an_effect_that_panics_is_a_failure_and_ends_nothing_else() {
        let tasks = EffectTasks::default();
        let outcome = tasks.poll(key(false), &owner(), LONG_WAIT, || async { panic!("a mistake of ours") }).await;
        assert!(matches!(outcome, Polled::Ended(ended) if matches!(&*ended, EffectOutcome::Failed(failure, _) if failure.reason == Reason::InternalError)));
    }

    #[tokio::test]
    async fn fault_e12_a_pass_that_is_given_up_while_it_waits_for_an_effect_loses_nothing_of_it() {
        let (tasks, begun) = (EffectTasks::default(), Arc::new(Mutex::new(0)));
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let finished = Arc::new(Mutex::new(Some(finished)));
        let slow = || {
            *begun.lock() += 1;
            let finished = finished.lock().take();
            async move {
                if let Some(finished) = finished {
                    drop(finished.await);
                }
                EffectOutcome::Done(None)
            }
        };
        let owner = owner();
        for _ in 0..3 {
            assert!(tokio::time::timeout(SHORT_WAIT, tasks.poll(key(false), &owner, LONG_WAIT, slow)).await.is_err(), "the pass is given up");
        }
        finish.send(()).expect("the effect waits");
        assert!(has_ended(&tasks.poll(key(false), &owner, LONG_WAIT, slow).await));
        assert_eq!(*begun.lock(), 1, "it is the effect that was begun at first");
    }

    #[tokio::test]
    async fn fault_e12_the_effects_of_a_district_have_a_limit_of_their_own_and_what_ends_something_has_none() {
        let tasks = EffectTasks::default();
        let key = |number: usize| TaskKey { run: format!("run-{number}"), ..key(false) };
        let stands = || std::future::pending::<EffectOutcome>();
        for number in 0..MAX_EFFECTS_PER_DISTRICT {
            assert!(matches!(tasks.poll(key(number), &owner(), SHORT_WAIT, stands).await, Polled::UnderWay), "{number}");
        }
        let done = || async { EffectOutcome::Done(None) };
        let next = key(MAX_EFFECTS_PER_DISTRICT);
        assert!(matches!(tasks.poll(next.clone(), &owner(), SHORT_WAIT, done).await, Polled::Queued));
        let ends = EffectOwner { exempt: true, ..owner() };
        assert!(has_ended(&tasks.poll(key(1_000), &ends, LONG_WAIT, done).await), "an undo doesn't wait");
        let other = EffectOwner { district: "laoshan".into(), exempt: false };
        assert!(has_ended(&tasks.poll(key(1_001), &other, LONG_WAIT, done).await), "nor does another district");
        tasks.stop(&key(0)).await;
        assert!(has_ended(&tasks.poll(next, &owner(), LONG_WAIT, done).await), "a place is free");
    }
}
