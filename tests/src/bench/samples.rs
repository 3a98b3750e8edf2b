//! Times that runs of next to nothing took, gathered.

use super::figures::{Overhead, Spread};
use super::timeline::{StepTime, Timeline, between};
use jiff::Timestamp;
use std::time::Duration;

/// What was gathered; the fields are [`Overhead`]'s.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    claim: Vec<Duration>,
    tell: Vec<Duration>,
    between: Vec<Duration>,
    /// Trivial steps whose journal lies in a ConfigMap.
    pub config_map: Vec<Duration>,
    /// Trivial steps whose journal lies in the bucket.
    pub bucket: Vec<Duration>,
    mover: Vec<Duration>,
    per_step: Vec<Duration>,
    small_backup: Vec<Duration>,
    /// Tabletop drills.
    pub tabletop: Vec<Duration>,
    retried: usize,
}

impl Samples {
    /// Takes what a run of any kind tells.
    pub fn run(&mut self, asked: Timestamp, told: Timestamp, timeline: &Timeline) {
        self.claim.push(between(asked, timeline.claimed));
        self.tell.push(between(timeline.finished, told));
        let steps: Duration = timeline.critical_path().iter().map(|step| step.took()).sum();
        self.between.push(between(timeline.claimed, timeline.finished).saturating_sub(steps));
        self.retried += timeline.steps.iter().filter(|step| step.attempts > 1).count();
    }

    /// Takes a Backup of next to nothing: how long it took, and for each step of its critical path that a mover did, how long the mover's process ran.
    pub fn backup(&mut self, took: Duration, path: &[(&StepTime, Option<Duration>)]) {
        self.small_backup.push(took);
        let effects: Duration = path.iter().filter_map(|(_, ran)| *ran).sum();
        let of_movers = path.iter().filter(|(step, _)| step.attempts == 1).filter_map(|(step, ran)| Some(step.took().saturating_sub((*ran)?)));
        self.mover.extend(of_movers);
        self.per_step.push(took.saturating_sub(effects) / u32::try_from(path.len()).unwrap_or(u32::MAX).max(1));
    }

    /// Sums it up.
    pub fn figures(self) -> Overhead {
        Overhead {
            claim: Spread::of(self.claim),
            tell: Spread::of(self.tell),
            step_in_config_map: Spread::of(self.config_map),
            step_in_bucket: Spread::of(self.bucket),
            step_of_mover: Spread::of(self.mover),
            backup_per_step: Spread::of(self.per_step),
            small_backup: Spread::of(self.small_backup),
            between_steps: Spread::of(self.between),
            tabletop: Spread::of(self.tabletop),
            retried: self.retried,
        }
    }
}

/// The steps whose effect is a look at a workload that is as it should be. The first has to raise it, and waits for that.
pub fn trivial(timeline: &Timeline) -> Vec<Duration> {
    let steps = timeline.steps.iter().filter(|step| step.action == "start");
    steps.skip(1).filter(|step| step.attempts == 1).map(StepTime::took).collect()
}
