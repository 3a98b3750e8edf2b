//! The journal's store is down for a while, or the lease is lost and won again.

use super::{
    bed::{Bed, alone, at_every_step},
    plans,
    world::Fault,
};
use p861_crds::common::RunPhase;
use p861_runs::error::Error;
use std::time::{Duration, Instant};

#[test]
fn nothing_happens_without_a_stored_intent_and_the_run_goes_on_afterwards() {
    at_every_step(&[Fault::StoreDown, Fault::AnswersLost, Fault::LeaseLost], |case, bed| {
        let process = bed.process();
        bed.world.plant(&case.step.id, false, process.number, case.variant);
        alone(async {
            let error = bed.until_end(&process).await.expect_err("nothing can be written");
            assert_eq!(matches!(error, Error::LeaseLost), case.variant == Fault::LeaseLost, "{error:?}");
            assert!(!matches!(error, Error::RunLost(_)), "{error:?}");
            let asked = bed.world.asked_for();
            for _ in 0..3 {
                assert!(bed.pass(&process).await.is_err(), "nothing can be written");
            }
            assert_eq!(bed.world.asked_for(), asked, "effects were performed meanwhile");
            bed.world.disk.answer();
            process.executor.leadership.set(Some(Instant::now() + Duration::from_mins(10)));
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Succeeded);
            bed.check_once();
        });
    });
}

#[test]
fn a_run_begins_once_its_store_answers() {
    for (name, plan) in plans::plans() {
        let bed = Bed::new(name, &plan);
        let process = bed.process();
        alone(async {
            bed.world.disk.refuse_everything();
            for _ in 0..3 {
                assert!(bed.pass(&process).await.is_err(), "nothing can be written");
            }
            assert_eq!(bed.world.asked_for(), 0);
            bed.world.disk.answer();
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Succeeded);
            bed.check_once();
        });
    }
}
