//! An effect that never ends.

use super::{
    bed::{Bed, alone, at_every_step},
    world::{Fault, Moment},
};
use jiff::SignedDuration;
use p861_core::{
    engine::{Plan, Step, StepId},
    runs::Action,
};
use p861_crds::common::{ActionKind, RunPhase};
use std::time::{Duration, Instant};

/// No pass is held longer, on a busy machine.
const BOUND: Duration = Duration::from_secs(10);

#[test]
fn fault_d9_an_effect_that_never_ends_holds_no_pass_and_an_abort_is_heard_meanwhile() {
    // How often what is being stopped has not stopped yet.
    at_every_step(&[0, 2], |case, bed| {
        let process = bed.process();
        bed.world.stubborn(case.variant);
        bed.world.plant(&case.step.id, false, process.number, Fault::Stops(Moment::During));
        let bounded = async || tokio::time::timeout(BOUND, bed.pass(&process)).await.expect("the effect holds the pass").unwrap();
        alone(async {
            let reached = tokio::time::timeout(BOUND, bed.until(&process, |pass| bed.world.hangs(pass))).await;
            reached.expect("the effect holds the pass").unwrap();
            assert!(bounded().await.in_flight, "it is still under way");
            if case.step.finally {
                return;
            }
            bed.say(ActionKind::Abort, None);
            if bed.is_committed() {
                bed.goes_on(&process).await;
                return;
            }
            for _ in 0..case.variant {
                let pass = bounded().await;
                // A pass looks again whenever another step has been undone.
                if !bed.world.is_stubborn() {
                    break;
                }
                assert_eq!((pass.summary.phase, pass.in_flight), (RunPhase::Aborting, true), "it is not stopped before it says so");
            }
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Aborted);
            bed.check_undone();
        });
    });
}

/// How long one pass over twenty steps one after the other takes, and whether a step beside them is still under way.
fn twenty_steps(beside: Option<&str>) -> (Duration, bool) {
    let id = |text: &str| StepId::new(text).unwrap();
    let step = |text: &str| Step::new(id(text), Action::Ask {}, SignedDuration::from_hours(1));
    let name = |at: u32| format!("quick-{at}");
    let quick = (1..=20).map(|at| step(&name(at)).after((at > 1).then(|| id(&name(at - 1)))));
    let plan = Plan::new(quick.chain(beside.map(step)).collect()).unwrap();
    let bed = Bed::new("twenty steps", &plan);
    let process = bed.process();
    if let Some(slow) = beside {
        bed.world.plant(&id(slow), false, process.number, Fault::Stops(Moment::During));
    }
    let begun = Instant::now();
    let pass = alone(async { tokio::time::timeout(BOUND, bed.pass(&process)).await }).expect("the effect holds the pass").unwrap();
    assert_eq!(pass.summary.counts.done, 20);
    (begun.elapsed(), pass.in_flight)
}

#[test]
fn a_slow_step_costs_a_pass_its_patience_once_however_many_steps_end_meanwhile() {
    let (alone, _) = twenty_steps(None);
    let (with_slow, in_flight) = twenty_steps(Some("slow"));
    assert!(in_flight);
    // Twenty times its patience would be five seconds.
    assert!(with_slow < 2 * alone + Duration::from_secs(2), "the pass waited for the slow step again and again: {with_slow:?}, and {alone:?} without it");
}
