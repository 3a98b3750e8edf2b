//! A step fails for good, and the run does what the step's policy says.

use super::{
    bed::{Bed, Case, Process, alone, at_every_step},
    world::{Fault, Moment},
};
use p861_core::{
    engine::{Event, Evidence, OnFailure, Plan, StepId, WaitsFor},
    runs::{Action, MoverTask},
};
use p861_crds::common::{ActionKind, RunPhase};
use p861_runs::Pass;
use std::collections::BTreeSet;

/// The step, and everything that comes after it.
fn behind(plan: &Plan<Action>, step: &StepId) -> BTreeSet<StepId> {
    let mut all = BTreeSet::from([step.clone()]);
    for later in plan.steps() {
        if later.after.iter().any(|before| all.contains(before)) {
            all.insert(later.id.clone());
        }
    }
    all
}

fn has_failed(pass: &Pass, step: &StepId) -> bool {
    pass.journal.records().iter().any(|record| record.step.as_ref() == Some(step) && matches!(record.event, Event::Failed(_) | Event::UndoFailed(_)))
}

#[test]
fn a_step_that_fails_for_good_ends_the_run_as_its_policy_says() {
    at_every_step(&[()], |case, bed| {
        let process = bed.process();
        bed.world.plant(&case.step.id, false, process.number, Fault::Fails);
        alone(async {
            if case.step.finally {
                clean_up_is_tried_again(case, bed, &process).await;
                return;
            }
            match case.step.on_failure {
                OnFailure::Abort => aborts(case, bed, &process).await,
                OnFailure::Continue => goes_on(case, bed, &process).await,
                OnFailure::Prompt => asks(case, bed, &process).await,
            }
        });
    });
}

/// After the point of no return a person is asked instead.
async fn aborts(case: &Case<'_, ()>, bed: &Bed, process: &Process) {
    let end = bed.until(process, |pass| pass.summary.phase.is_end() || is_asked(pass, &case.step.id)).await.unwrap();
    if !end.summary.phase.is_end() {
        let point = case.plan.steps().iter().find(|step| step.point_of_no_return).expect("a point of no return");
        assert!(bed.world.has(&point.id, false), "there was a way back");
        all_after_a_retry(case, bed, process).await;
        return;
    }
    bed.check(&end, RunPhase::Failed);
    bed.check_undone();
    for later in behind(case.plan, &case.step.id).iter().filter(|id| **id != case.step.id) {
        assert!(!bed.world.was_asked(later), "{later} was asked for");
    }
    assert_eq!(end.summary.failure.map(|failure| failure.step), Some(case.step.id.clone()));
}

async fn goes_on(case: &Case<'_, ()>, bed: &Bed, process: &Process) {
    let end = bed.until_end(process).await.unwrap();
    bed.check(&end, RunPhase::Failed);
    let lost = behind(case.plan, &case.step.id);
    for step in case.plan.steps() {
        assert_eq!(bed.world.has(&step.id, false), !lost.contains(&step.id), "{} has happened", step.id);
    }
}

/// Whether a person is asked what to do about a step that failed.
fn is_asked(pass: &Pass, step: &StepId) -> bool {
    pass.summary.current.iter().any(|current| current.id == *step && matches!(current.waits_for, WaitsFor::Decision))
}

async fn asks(case: &Case<'_, ()>, bed: &Bed, process: &Process) {
    let pass = bed.until(process, |pass| is_asked(pass, &case.step.id)).await.unwrap();
    assert_eq!(pass.summary.phase, RunPhase::WaitingForPerson);
    all_after_a_retry(case, bed, process).await;
}

async fn clean_up_is_tried_again(case: &Case<'_, ()>, bed: &Bed, process: &Process) {
    let pass = bed.until(process, |pass| has_failed(pass, &case.step.id)).await.unwrap();
    assert_eq!(pass.summary.phase, RunPhase::CleaningUp);
    all_after_a_retry(case, bed, process).await;
}

async fn all_after_a_retry(case: &Case<'_, ()>, bed: &Bed, process: &Process) {
    bed.say(ActionKind::Retry, Some(&case.step.id));
    let end = bed.until_end(process).await.unwrap();
    bed.check(&end, RunPhase::Succeeded);
    assert!(case.plan.steps().iter().all(|step| bed.world.has(&step.id, false)), "every step has happened");
}

#[test]
fn fault_d5_a_volume_that_fails_is_told_to_the_seal_and_the_rest_of_the_backup_is_sealed() {
    at_every_step(&[()], |case, bed| {
        if !matches!(&case.step.action, Action::Move { task: MoverTask::BackupVolume { .. }, .. }) {
            return;
        }
        let process = bed.process();
        bed.world.plant(&case.step.id, false, process.number, Fault::Fails);
        let end = alone(bed.until_end(&process)).unwrap();
        bed.check(&end, RunPhase::Failed);
        for step in case.plan.steps().iter().filter(|step| step.id != case.step.id) {
            assert!(bed.world.has(&step.id, false), "{} has happened", step.id);
        }
        let seal = case.plan.steps().iter().find(|step| matches!(&step.action, Action::Move { task: MoverTask::Seal { .. }, .. })).expect("a seal");
        let told = bed.world.told(&seal.id, &case.step.id);
        assert!(matches!(&told, Some(Evidence::NotDone { message, .. }) if message == "it is broken"), "{told:?}");
    });
}

#[test]
fn an_undo_that_fails_is_tried_again_before_anything_is_cleaned_up() {
    at_every_step(&[()], |case, bed| {
        if case.step.undo.is_none() {
            return;
        }
        let process = bed.process();
        bed.world.plant(&case.step.id, true, process.number, Fault::Fails);
        alone(async {
            bed.aborted_at(&process, &bed.last(), Moment::During).await;
            bed.until(&process, |pass| has_failed(pass, &case.step.id)).await.unwrap();
            assert!(case.plan.steps().iter().filter(|step| step.finally).all(|step| !bed.world.was_asked(&step.id)), "clean-up came too early");
            bed.say(ActionKind::Retry, Some(&case.step.id));
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Aborted);
            bed.check_undone();
        });
    });
}
