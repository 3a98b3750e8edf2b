//! Passes that take too long are given up: dropped wherever they are.

use super::{
    bed::{Bed, Process, alone, at_every_step},
    world::{Fault, MOMENTS},
};
use p861_crds::common::RunPhase;
use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
};

/// A pass that is dropped when it has to wait for the so-manieth time, unless it has ended before.
async fn given_up(bed: &Bed, process: &Process, waits: u32) {
    let mut pass = pin!(bed.pass(process));
    let mut left = waits;
    let step = |context: &mut Context<'_>| match pass.as_mut().poll(context) {
        Poll::Ready(result) => {
            result.expect("the run goes on");
            Poll::Ready(())
        }
        Poll::Pending if left == 0 => Poll::Ready(()),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    };
    poll_fn(step).await;
}

#[test]
fn fault_e12_passes_that_are_given_up_anywhere_lose_nothing_and_nothing_happens_twice() {
    at_every_step(&MOMENTS, |case, bed| {
        let process = bed.process();
        bed.world.plant(&case.step.id, false, process.number, Fault::Stops(case.variant));
        alone(async {
            bed.until(&process, |pass| bed.world.hangs(pass)).await.unwrap();
            for waits in 0..6 {
                given_up(bed, &process, waits).await;
            }
            bed.world.release();
            for waits in 0..6 {
                given_up(bed, &process, waits).await;
            }
            let end = bed.until_end(&process).await.unwrap();
            bed.check(&end, RunPhase::Succeeded);
            bed.check_once();
        });
    });
}
