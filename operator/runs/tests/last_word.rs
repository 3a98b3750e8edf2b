//! What a step said before it was stopped stands in its failure.

use jiff::SignedDuration;
use p861_core::{
    engine::{OnFailure, Plan, Retry, Step, StepId, sealed::DistrictKey},
    runs::{Action, Scope},
};
use p861_crds::{Reason, common::RunPhase};
use p861_runs::{EffectOutcome, Effects, Executor, JournalStore, RunIdentity, RunMetrics, Sealing, StepContext, Stored, leadership::Leadership, load, pass};
use p861_vault::{AsyncStore, Location};
use std::time::Duration;

/// An effect that waits for something that never comes, and takes its time to stop.
#[derive(Clone)]
struct Waits;

impl Effects for Waits {
    async fn perform(&self, _: &StepContext, _: &Action) -> EffectOutcome {
        EffectOutcome::running("namespace n is being deleted: pods remain in it")
    }

    async fn cancel(&self, step: &StepContext, _: &Action) -> EffectOutcome {
        let late = -step.left();
        if late < SignedDuration::from_millis(200) {
            EffectOutcome::running("it is being stopped")
        } else {
            EffectOutcome::Stopped { said: None, untouched: true }
        }
    }
}

#[tokio::test]
async fn fault_i6_a_step_that_was_stopped_at_its_deadline_keeps_the_last_reason_for_which_it_waited() {
    let step = Step::new(StepId::new("prepare").unwrap(), Action::Ask {}, SignedDuration::from_millis(300)).on_failure(OnFailure::Abort).retry(Retry::times(1));
    let plan = Plan::new(vec![step]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = AsyncStore::new(&Location::Folder { path: folder.path().to_owned() }, None).await.unwrap();
    let key = DistrictKey::from_text(&"5a".repeat(32)).unwrap().of_run("uid");
    let journal = JournalStore::Bucket { store, prefix: "journal/core/uid".into(), location: "folder".into(), sealing: Box::new(Sealing::without_hub(key)) };
    let scope = Scope::of_city("p861", ["west"]);
    let run = RunIdentity { kind: "Restore", namespace: "shinan".into(), name: "r".into(), uid: "uid".into(), repository: String::new(), scope };
    let executor = Executor::new(Waits, Leadership::without_lease(), "test", RunMetrics::new(&prometheus::Registry::new()).unwrap());
    journal.begin(&plan).await.unwrap();
    let mut stored = load(&executor, &run, &journal).await.unwrap();
    let ended = loop {
        let passed = pass(&executor, &run, &journal, &[], stored).await.unwrap();
        if passed.summary.phase.is_end() {
            break passed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        stored = Stored::Claimed;
    };
    assert_eq!(ended.summary.phase, RunPhase::Failed);
    let failure = ended.summary.timeline[0].failure.clone().unwrap();
    assert_eq!(failure.reason, Reason::DeadlineExceeded);
    assert!(failure.message.ends_with("the last that it said: namespace n is being deleted: pods remain in it"), "{}", failure.message);
    assert!(failure.untouched && !ended.summary.timeline[0].touched, "it was stopped before it had changed anything: {failure:?}");
}
