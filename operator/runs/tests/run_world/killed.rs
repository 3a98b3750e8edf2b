//! The process dies; the next one carries the run on.

use super::{
    bed::{alone, at_every_step},
    world::{Fault, MOMENTS},
};
use p861_crds::common::RunPhase;

#[test]
fn after_a_death_at_any_moment_of_any_step_the_run_succeeds_and_each_effect_has_happened_once() {
    at_every_step(&MOMENTS, |case, bed| {
        bed.dies(&case.step.id, false, Fault::Stops(case.variant));
        bed.check(&bed.ends(), RunPhase::Succeeded);
        bed.check_once();
    });
}

#[test]
fn after_deaths_at_every_moment_of_a_step_one_after_the_other_it_is_the_same() {
    at_every_step(&[()], |case, bed| {
        for moment in MOMENTS {
            bed.dies(&case.step.id, false, Fault::Stops(moment));
        }
        bed.check(&bed.ends(), RunPhase::Succeeded);
        bed.check_once();
    });
}

#[test]
fn after_a_death_in_the_middle_of_undoing_or_cleaning_up_the_aborted_run_leaves_nothing() {
    at_every_step(&MOMENTS, |case, bed| {
        let undo = case.step.undo.is_some();
        if !undo && !case.step.finally {
            return;
        }
        let process = bed.process();
        bed.world.plant(&case.step.id, undo, process.number, Fault::Stops(case.variant));
        let reached = alone(async {
            bed.aborted_at(&process, &bed.last(), super::world::Moment::During).await;
            tokio::select! {
                () = bed.world.reached.notified() => true,
                _ = bed.until_end(&process) => false,
            }
        });
        assert!(reached, "it was never there");
        bed.check(&bed.ends(), RunPhase::Aborted);
        bed.check_undone();
    });
}
