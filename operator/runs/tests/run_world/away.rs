//! The server that an effect is asked of is not reached for a while.

use super::{
    bed::{alone, at_every_step},
    world::Fault,
};
use p861_crds::common::{ActionKind, RunPhase};

#[test]
fn fault_d12_a_server_that_is_away_for_a_while_uses_up_no_attempt_and_nothing_happens_twice() {
    at_every_step(&[()], |case, bed| {
        // Clean-up is tried without end, so that it has no attempts to use up.
        if case.step.finally {
            return;
        }
        let process = bed.process();
        bed.world.plant(&case.step.id, false, process.number, Fault::Away);
        alone(async {
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Succeeded);
            bed.check_once();
        });
    });
}

#[test]
fn fault_d12_an_abort_is_heard_while_a_server_is_away() {
    at_every_step(&[()], |case, bed| {
        if case.step.finally || case.step.point_of_no_return {
            return;
        }
        let process = bed.process();
        bed.world.plant(&case.step.id, false, process.number, Fault::Away);
        alone(async {
            let away = |pass: &p861_runs::Pass| {
                let said = pass.progress.get(&case.step.id).and_then(|progress| progress.message.as_deref());
                said.is_some_and(|said| said.contains("connection refused"))
            };
            bed.until(&process, away).await.unwrap();
            bed.say(ActionKind::Abort, None);
            if bed.is_committed() {
                return;
            }
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Aborted);
            bed.check_undone();
        });
    });
}
