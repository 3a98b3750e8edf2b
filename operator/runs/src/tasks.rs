//! Effects in progress. Each effect runs in its own task, so that a slow one neither blocks a pass nor delays a person's Abort.

use crate::effects::EffectOutcome;
use p861_core::engine::{Direction, Failure, StepId};
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::task::{JoinError, JoinHandle};

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

/// Effects in progress in this process. If the process dies, the next one performs them again: effects are idempotent.
#[derive(Clone, Default)]
pub struct EffectTasks {
    running: Arc<Mutex<HashMap<TaskKey, JoinHandle<EffectOutcome>>>>,
    /// How often in a row the effect's server was not reached.
    unreached: Arc<Mutex<HashMap<TaskKey, u32>>>,
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

impl EffectTasks {
    /// Starts the effect unless it is in progress, and waits for it at most `patience`. None if it is still running: poll again. An effect whose server was not
    /// reached starts after a wait that grows.
    pub(crate) async fn poll<F>(&self, key: TaskKey, patience: Duration, start: impl FnOnce() -> F) -> Option<EffectOutcome>
    where
        F: Future<Output = EffectOutcome> + Send + 'static,
    {
        let known = self.running.lock().remove(&key);
        let wait = wait_after(self.unreached.lock().get(&key).copied().unwrap_or(0));
        let mut task = known.unwrap_or_else(|| {
            let effect = start();
            tokio::spawn(async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                effect.await
            })
        });
        let Ok(ended) = tokio::time::timeout(patience, &mut task).await else {
            self.running.lock().insert(key, task);
            return None;
        };
        let ended = ended.unwrap_or_else(crashed);
        let mut unreached = self.unreached.lock();
        if matches!(ended, EffectOutcome::Unreachable(_)) {
            *unreached.entry(key).or_default() += 1;
        } else {
            unreached.remove(&key);
        }
        Some(ended)
    }

    /// Stops the task of an attempt and waits until it has stopped. Requests that it had sent may still take effect.
    pub(crate) async fn stop(&self, key: &TaskKey) {
        self.unreached.lock().remove(key);
        let known = self.running.lock().remove(key);
        if let Some(task) = known {
            task.abort();
            // Either aborted or finished just before; both count as stopped.
            drop(task.await);
        }
    }

    /// Stops all tasks of a run that has ended.
    pub(crate) fn forget(&self, run: &str) {
        self.unreached.lock().retain(|key, _| key.run != run);
        self.running.lock().retain(|key, task| {
            let keeps = key.run != run;
            if !keeps {
                task.abort();
            }
            keeps
        });
    }
}

fn crashed(error: JoinError) -> EffectOutcome {
    EffectOutcome::Failed(Failure::transient(Reason::InternalError, format!("the effect ended without an outcome: {error}")), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(stops: bool) -> TaskKey {
        TaskKey { run: "uid".into(), step: StepId::new("start").expect("a step"), attempt: 1, direction: Direction::Forward, stops }
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
        assert!(tasks.poll(key(false), SHORT_WAIT, slow).await.is_none());
        assert!(tasks.poll(key(false), SHORT_WAIT, slow).await.is_none());
        finish.send(()).expect("the effect waits");
        assert!(matches!(tasks.poll(key(false), LONG_WAIT, slow).await, Some(EffectOutcome::Done(_))));
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
        assert!(tasks.poll(key(false), SHORT_WAIT, slow).await.is_none());
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
        let outcome = tasks.poll(key(false), LONG_WAIT, || async { panic!("a mistake of ours") }).await;
        assert!(matches!(outcome, Some(EffectOutcome::Failed(failure, _)) if failure.reason == Reason::InternalError));
    }
}
