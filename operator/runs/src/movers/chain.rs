//! The steps that a mover does one after the other, in one process and under one lease.
//!
//! It is told of them when it starts, and begins each only once the operator has written that the step has begun ([`RunObjects::tell_to_begin`]): intent comes before
//! effect. Nobody waits for the end of its pod: its last line says what is done. A mover that is told nothing ends, and the next step gets a mover of its own.

use super::{
    MoverAnswer, MoverLine, NextTask,
    ending::EndRequest,
    work::{WorkError, stored},
};
use crate::run_objects::RunObjects;
use p861_core::{
    engine::{Evidence, StepProgress, StoredObject},
    runs::MoverTask,
};
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a mover waits to be told of the next step. The operator does so as soon as it has read what is done, unless the run is paused or nobody leads.
pub const NEXT_PATIENCE: Duration = Duration::from_secs(20);
/// Time between looks whether the next step has begun.
const NEXT_INTERVAL: Duration = Duration::from_millis(150);
/// How often a waiting mover says again what is done: another line may have come after it.
const SAY_INTERVAL: Duration = Duration::from_secs(2);

/// What has become of the steps of a mover so far.
#[derive(Default)]
struct Course {
    done: Vec<(String, StoredObject, Evidence)>,
    under_way: Option<String>,
}

/// The steps of a mover.
pub struct Chain<'a> {
    /// The mover's name, by which the operator tells it to go on.
    pub mover: String,
    /// The step that it was started for.
    pub step: String,
    /// The steps that it goes on with.
    pub then: Vec<NextTask>,
    /// Objects of its run.
    pub objects: &'a RunObjects,
    /// How long it waits to be told.
    pub patience: Duration,
    /// Where its lines go.
    pub print: &'a (dyn Fn(&MoverLine) + Sync),
    course: Mutex<Course>,
}

impl<'a> Chain<'a> {
    /// A chain of which nothing is done.
    pub fn new(mover: String, step: String, then: Vec<NextTask>, objects: &'a RunObjects, print: &'a (dyn Fn(&MoverLine) + Sync)) -> Self {
        Self { mover, step, then, objects, patience: NEXT_PATIENCE, print, course: Mutex::default() }
    }

    /// Does the first task, and then each of the others once it is told to, with what those before have proved.
    ///
    /// # Errors
    /// That of the task that failed: [`Self::answer`] says whose it is.
    pub async fn go_through(
        &self,
        task: MoverTask,
        inputs: BTreeMap<String, Evidence>,
        end: &EndRequest,
        mut perform: impl AsyncFnMut(MoverTask, BTreeMap<String, Evidence>) -> Result<Evidence, WorkError>,
    ) -> Result<(), WorkError> {
        self.one(&self.step, perform(task, inputs)).await?;
        for next in &self.then {
            if !self.is_told(&next.step, end).await {
                return Ok(());
            }
            self.say(StepProgress::message("under way"), None);
            self.one(&next.step, perform(next.task.clone(), self.proved(&next.after))).await?;
        }
        Ok(())
    }

    async fn one(&self, step: &str, work: impl Future<Output = Result<Evidence, WorkError>>) -> Result<(), WorkError> {
        self.course.lock().under_way = Some(step.to_owned());
        let evidence = work.await?;
        let stored = stored(self.objects, &evidence).await?;
        let mut course = self.course.lock();
        course.under_way = None;
        course.done.push((step.to_owned(), stored, evidence));
        drop(course);
        self.say(StepProgress::message("done"), None);
        Ok(())
    }

    /// What these steps have proved.
    fn proved(&self, steps: &[String]) -> BTreeMap<String, Evidence> {
        let course = self.course.lock();
        course.done.iter().filter(|(step, ..)| steps.contains(step)).map(|(step, _, evidence)| (step.clone(), evidence.clone())).collect()
    }

    fn say(&self, progress: StepProgress, waits: Option<&str>) {
        let done = self.course.lock().done.iter().map(|(step, stored, _)| (step.clone(), stored.clone())).collect();
        (self.print)(&MoverLine { done, waits: waits.map(str::to_owned), ..MoverLine::of(progress) });
    }

    /// Waits until the step has begun; says no if that takes too long, or the mover is told to end. A store that doesn't answer has not said that it has.
    async fn is_told(&self, step: &str, end: &EndRequest) -> bool {
        let began = Instant::now();
        let (mut said, mut warned): (Option<Instant>, bool) = (None, false);
        while began.elapsed() < self.patience && !end.is_made() {
            if said.is_none_or(|said| said.elapsed() >= SAY_INTERVAL) {
                self.say(StepProgress::message("waits for the next step"), Some(step));
                said = Some(Instant::now());
            }
            match self.objects.is_told_to_begin(&self.mover, step).await {
                Ok(true) => return true,
                Err(error) if !warned => {
                    warned = true;
                    tracing::warn!("this mover can't read whether step {step} has begun: {error}");
                }
                Ok(false) | Err(_) => {}
            }
            tokio::time::sleep(NEXT_INTERVAL).await;
        }
        tracing::info!("nobody has told this mover to begin step {step}: it ends, and the step gets another");
        false
    }

    /// The mover's answer, once its work has ended so.
    pub fn answer(self, result: Result<(), WorkError>) -> MoverAnswer {
        let Course { done, under_way } = self.course.into_inner();
        let mut done = done.into_iter().map(|(step, stored, _)| (step, stored));
        let failure = result.err().map(|error| error.answer());
        let Some((_, evidence)) = done.next() else {
            return failure.unwrap_or_else(|| WorkError::stated(Reason::MoverLost, "the mover ended before it began", false).answer());
        };
        let mut then: BTreeMap<String, MoverAnswer> = done.map(|(step, stored)| (step, MoverAnswer::done(stored))).collect();
        // A mover that is stopped while it waits has failed nothing.
        if let (Some(step), Some(failure)) = (under_way, failure) {
            then.insert(step, failure);
        }
        MoverAnswer::Done { evidence, then }
    }
}

#[cfg(test)]
mod tests;
