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
pub struct EffectTasks(Arc<Mutex<HashMap<TaskKey, JoinHandle<EffectOutcome>>>>);

impl EffectTasks {
    /// Starts the effect unless it is in progress, and waits for it at most `patience`. None if it is still running: poll again.
    pub(crate) async fn poll<F>(&self, key: TaskKey, patience: Duration, start: impl FnOnce() -> F) -> Option<EffectOutcome>
    where
        F: Future<Output = EffectOutcome> + Send + 'static,
    {
        let known = self.0.lock().remove(&key);
        let mut task = known.unwrap_or_else(|| tokio::spawn(start()));
        if let Ok(ended) = tokio::time::timeout(patience, &mut task).await {
            return Some(ended.unwrap_or_else(crashed));
        }
        self.0.lock().insert(key, task);
        None
    }

    /// Stops the task of an attempt and waits until it has stopped. Requests that it had sent may still take effect.
    pub(crate) async fn stop(&self, key: &TaskKey) {
        let known = self.0.lock().remove(key);
        if let Some(task) = known {
            task.abort();
            // Either aborted or finished just before; both count as stopped.
            drop(task.await);
        }
    }

    /// Stops all tasks of a run that has ended.
    pub(crate) fn forget(&self, run: &str) {
        self.0.lock().retain(|key, task| {
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

    #[tokio::test]
    async fn an_effect_that_panics_is_a_failure_and_ends_nothing_else() {
        let tasks = EffectTasks::default();
        let outcome = tasks.poll(key(false), LONG_WAIT, || async { panic!("a mistake of ours") }).await;
        assert!(matches!(outcome, Some(EffectOutcome::Failed(failure, _)) if failure.reason == Reason::InternalError));
    }
}
