//! A person aborts the run.

use super::{
    bed::{alone, at_every_step},
    world::MOMENTS,
};
use p861_core::engine::WaitsFor;
use p861_crds::common::{ActionKind, RunPhase};

#[test]
fn an_abort_at_any_moment_of_any_step_undoes_in_reverse_cleans_up_and_leaves_nothing() {
    at_every_step(&MOMENTS, |case, bed| {
        let process = bed.process();
        alone(async {
            if bed.aborted_at(&process, &case.step.id, case.variant).await {
                let end = bed.until_end(&process).await.unwrap();
                bed.check(&end, RunPhase::Aborted);
                bed.check_undone();
            } else {
                // Only clean-up is left, or the point of no return has passed.
                bed.goes_on(&process).await;
                bed.check_once();
            }
        });
    });
}

#[test]
fn an_abort_while_a_question_is_open_does_the_same() {
    at_every_step(&[()], |case, bed| {
        if case.step.needs_person.is_none() {
            return;
        }
        let process = bed.process();
        alone(async {
            let asks = |waits: &WaitsFor| matches!(waits, WaitsFor::Answer { .. });
            bed.until(&process, |pass| pass.summary.current.iter().any(|step| step.id == case.step.id && asks(&step.waits_for))).await.unwrap();
            bed.say(ActionKind::Abort, None);
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Aborted);
            bed.check_undone();
            assert!(!bed.world.was_asked(&case.step.id), "what nobody agreed to happened");
        });
    });
}
