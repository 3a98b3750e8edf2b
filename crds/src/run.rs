//! What the objects of all runs have in common: people's actions, and a status with the same fields.

use crate::{
    Backup, BackupRepository, BackupRepositoryStatus, BackupStatus, Condition, Drill, DrillStatus, MaintenanceTicket, MaintenanceTicketStatus, Restore,
    RestoreStatus, Time,
    common::{CurrentStep, JournalReference, RefusedRunAction, RunAction, RunPhase, RunProgress, StepCounts},
};
use kube::core::NamespaceResourceScope;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// The fields of a run's status that follow from its journal alone.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Where it stands.
    pub phase: RunPhase,
    /// When it started.
    pub start_time: Option<Time>,
    /// When it ended.
    pub completion_time: Option<Time>,
    /// Its steps.
    pub steps: StepCounts,
    /// Those under way.
    pub current_steps: Vec<CurrentStep>,
    /// How far it is.
    pub progress: Option<RunProgress>,
    /// Its journal.
    pub journal: JournalReference,
    /// Actions read.
    pub observed_actions: i32,
    /// Those of them without effect, the newest ones.
    pub refused_actions: Vec<RefusedRunAction>,
}

/// A run's status.
pub trait RunStatus: Clone + Default + PartialEq + Debug + Serialize + Send + Sync + 'static {
    /// Where it stands.
    fn phase(&self) -> Option<RunPhase>;
    /// Whether its journal was begun.
    fn has_begun(&self) -> bool;
    /// Where its journal is, and how far it was when the status was written.
    fn journal(&self) -> Option<&JournalReference>;
    /// When it ended; none if it hasn't, or if the status doesn't say.
    fn completion_time(&self) -> Option<&Time>;
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
    /// Sets the conditions.
    fn set_conditions(&mut self, conditions: Vec<Condition>);
    /// Sets the generation that it speaks of.
    fn set_observed_generation(&mut self, generation: Option<i64>);
    /// Sets the fields that follow from the journal.
    fn set_view(&mut self, view: &RunView);
    /// Sets it to ended at `time` without a step: refused, or aborted by a person before it began. So many of its actions were read.
    fn set_not_begun(&mut self, phase: RunPhase, time: Time, observed_actions: usize);
    /// Sets it to failed at `time`, with what is known of its steps: nothing follows from its journal any more.
    fn set_failed(&mut self, time: Time);
}

/// A run's object.
pub trait RunObject:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
    /// Its status.
    type Status: RunStatus;
    /// Its status, if it has one.
    fn run_status(&self) -> Option<&Self::Status>;
    /// What people asked of it.
    fn actions(&self) -> &[RunAction];
}

macro_rules! run {
    ($object:ty, $status:ty) => {
        impl RunStatus for $status {
            fn phase(&self) -> Option<RunPhase> {
                self.phase
            }

            fn has_begun(&self) -> bool {
                self.journal.is_some()
            }

            fn journal(&self) -> Option<&JournalReference> {
                self.journal.as_ref()
            }

            fn completion_time(&self) -> Option<&Time> {
                self.completion_time.as_ref()
            }

            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }

            fn set_conditions(&mut self, conditions: Vec<Condition>) {
                self.conditions = conditions;
            }

            fn set_observed_generation(&mut self, generation: Option<i64>) {
                self.observed_generation = generation;
            }

            fn set_view(&mut self, view: &RunView) {
                self.observed_actions = Some(view.observed_actions);
                self.refused_actions.clone_from(&view.refused_actions);
                self.phase = Some(view.phase);
                self.start_time.clone_from(&view.start_time);
                self.completion_time.clone_from(&view.completion_time);
                self.steps = Some(view.steps.clone());
                self.current_steps.clone_from(&view.current_steps);
                self.progress.clone_from(&view.progress);
                self.journal = Some(view.journal.clone());
            }

            fn set_not_begun(&mut self, phase: RunPhase, time: Time, observed_actions: usize) {
                self.phase = Some(phase);
                self.observed_actions = i32::try_from(observed_actions).ok();
                self.start_time = Some(time.clone());
                self.completion_time = Some(time);
            }

            fn set_failed(&mut self, time: Time) {
                self.phase = Some(RunPhase::Failed);
                self.completion_time = Some(time);
                (self.current_steps, self.progress) = (Vec::new(), None);
            }
        }

        impl RunObject for $object {
            type Status = $status;

            fn run_status(&self) -> Option<&Self::Status> {
                self.status.as_ref()
            }

            fn actions(&self) -> &[RunAction] {
                &self.spec.actions
            }
        }
    };
}

run!(Backup, BackupStatus);
run!(Restore, RestoreStatus);
run!(Drill, DrillStatus);

/// A ticket's work is its run. The ticket's own life (phase, clocks, times) is not the run's.
impl RunStatus for MaintenanceTicketStatus {
    fn phase(&self) -> Option<RunPhase> {
        self.work_phase
    }

    fn has_begun(&self) -> bool {
        self.journal.is_some()
    }

    fn journal(&self) -> Option<&JournalReference> {
        self.journal.as_ref()
    }

    fn completion_time(&self) -> Option<&Time> {
        None
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn set_conditions(&mut self, conditions: Vec<Condition>) {
        self.conditions = conditions;
    }

    fn set_observed_generation(&mut self, generation: Option<i64>) {
        self.observed_generation = generation;
    }

    fn set_view(&mut self, view: &RunView) {
        self.work_phase = Some(view.phase);
        self.steps = Some(view.steps.clone());
        self.current_steps.clone_from(&view.current_steps);
        self.progress.clone_from(&view.progress);
        self.journal = Some(view.journal.clone());
    }

    fn set_not_begun(&mut self, phase: RunPhase, _: Time, _: usize) {
        self.work_phase = Some(phase);
        self.current_steps = Vec::new();
    }

    fn set_failed(&mut self, _: Time) {
        self.work_phase = Some(RunPhase::Failed);
        (self.current_steps, self.progress) = (Vec::new(), None);
    }
}

impl RunObject for MaintenanceTicket {
    type Status = MaintenanceTicketStatus;

    fn run_status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    /// None: people act on the ticket, and the ticket on its run.
    fn actions(&self) -> &[RunAction] {
        &[]
    }
}

/// What thins out a repository is a run of the repository: its phase, its steps and its conditions stand in `retentionRun`, apart from the repository's own.
impl RunStatus for BackupRepositoryStatus {
    fn phase(&self) -> Option<RunPhase> {
        self.retention_run.as_ref().map(|run| run.phase)
    }

    fn has_begun(&self) -> bool {
        self.journal().is_some()
    }

    fn journal(&self) -> Option<&JournalReference> {
        self.retention_run.as_ref()?.journal.as_ref()
    }

    fn completion_time(&self) -> Option<&Time> {
        self.retention_run.as_ref()?.completion_time.as_ref()
    }

    fn conditions(&self) -> &[Condition] {
        self.retention_run.as_ref().map(|run| run.conditions.as_slice()).unwrap_or_default()
    }

    fn set_conditions(&mut self, conditions: Vec<Condition>) {
        if let Some(run) = &mut self.retention_run {
            run.conditions = conditions;
        }
    }

    /// Left as it is: the repository's own conditions say which generation they are of.
    fn set_observed_generation(&mut self, _: Option<i64>) {}

    fn set_view(&mut self, view: &RunView) {
        if let Some(run) = &mut self.retention_run {
            run.phase = view.phase;
            run.start_time.clone_from(&view.start_time);
            run.completion_time.clone_from(&view.completion_time);
            run.steps = Some(view.steps.clone());
            run.current_steps.clone_from(&view.current_steps);
            run.progress.clone_from(&view.progress);
            run.journal = Some(view.journal.clone());
        }
    }

    fn set_not_begun(&mut self, phase: RunPhase, time: Time, _: usize) {
        if let Some(run) = &mut self.retention_run {
            run.phase = phase;
            run.start_time = Some(time.clone());
            run.completion_time = Some(time);
        }
    }

    fn set_failed(&mut self, time: Time) {
        if let Some(run) = &mut self.retention_run {
            run.phase = RunPhase::Failed;
            run.completion_time = Some(time);
            (run.current_steps, run.progress) = (Vec::new(), None);
        }
    }
}

impl RunObject for BackupRepository {
    type Status = BackupRepositoryStatus;

    fn run_status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    /// None: people ask for something on a Backup.
    fn actions(&self) -> &[RunAction] {
        &[]
    }
}
