//! A second orchestrator claims the run while the first one goes on.

use super::{
    bed::{alone, at_every_step},
    world::{Fault, MOMENTS, Moment},
};
use p861_crds::common::{ActionKind, RunPhase};
use p861_runs::error::Error;
use std::pin::pin;

/// What makes the first one write again.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Its effect ends.
    Outcome,
    /// Its effect doesn't end, and a person says something.
    Action,
}

#[test]
fn who_lost_the_run_writes_nothing_more_and_its_effects_stop_while_the_other_completes_it() {
    let outcomes = MOMENTS.into_iter().map(|moment| (moment, Next::Outcome));
    let variants: Vec<(Moment, Next)> = outcomes.chain([(Moment::During, Next::Action)]).collect();
    at_every_step(&variants, |case, bed| {
        let (moment, next) = case.variant;
        alone(async {
            let first = bed.process();
            bed.world.plant(&case.step.id, false, first.number, Fault::Stops(moment));
            let mut going_on = pin!(bed.until_end(&first));
            tokio::select! {
                () = bed.world.reached.notified() => {}
                ended = &mut going_on => panic!("the run ended: {ended:?}"),
            }
            let second = bed.process();
            let end = bed.until_end(&second).await.unwrap();
            bed.say(ActionKind::Pause, None);
            if matches!(next, Next::Outcome) {
                bed.world.release();
            }
            let lost = going_on.await;
            assert!(matches!(lost, Err(Error::RunLost(_))), "{lost:?}");
            // A task that was stopped ends when the runtime looks at it next.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert_eq!(bed.world.active(first.number), 0, "the loser's effects go on");
            let (asked, stored) = (bed.world.asked_by(first.number), bed.world.disk.records().len());
            let after = bed.until_end(&first).await.unwrap();
            assert!(after.records.is_empty(), "the loser wrote {:?}", after.records);
            assert_eq!((bed.world.asked_by(first.number), bed.world.disk.records().len()), (asked, stored), "the loser did something");
            bed.check(&end, RunPhase::Succeeded);
            bed.check_once();
        });
    });
}
