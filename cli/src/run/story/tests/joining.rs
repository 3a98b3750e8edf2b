//! Whoever joins a run, at whatever record of its journal, is shown what they have seen who watched from the beginning. Over random plans.

use super::{Outline, RunPhase, Snapshot, State, Story, Told};
use jiff::{SignedDuration, Timestamp};
use p861_core::engine::{Journal, Outcome, Record, RunSummary, StepTimeline, summary};
use p861_crds::common::{CurrentStep, Time};
use proptest::prelude::*;
use serde_json::json;

#[path = "../../../../../operator/core/tests/engine_world/mod.rs"]
#[allow(dead_code, reason = "a part of it is enough")]
mod engine_world;

use engine_world::{
    TestPlan,
    draft::{asked, draft, run_while_asked},
    lines,
};

/// The run as its status tells it.
fn look(summary: &RunSummary) -> Snapshot {
    let current = summary.current.iter().map(|step| CurrentStep {
        id: step.id.to_string(),
        phase: step.phase,
        attempt: i32::try_from(step.attempt).unwrap(),
        start_time: step.start.map(Time),
        ..CurrentStep::default()
    });
    let (start, completion) = (summary.start, summary.completion);
    Snapshot { phase: summary.phase, start, completion, steps: summary.into(), current: current.collect(), ..Snapshot::default() }
}

/// The steps as they are published.
fn outline(plan: &TestPlan) -> Outline {
    let steps = plan.steps().iter().map(|step| json!({"id": step.id, "after": step.dependencies().collect::<Vec<_>>(), "finally": step.finally}));
    Outline::parse(&json!(steps.collect::<Vec<_>>()).to_string()).unwrap()
}

fn watcher(plan: &TestPlan) -> Story {
    let mut story = Story::default();
    story.learn(outline(plan));
    story
}

/// How each step stands, without the times that only those know who saw it.
fn standing(story: &Story) -> Vec<String> {
    let one = |state: &State| match state {
        State::Waiting => "waits".to_owned(),
        State::Current(step) => format!("{:?}, attempt {}", step.phase, step.attempt),
        State::Ended(how, _) => format!("{how:?}"),
    };
    story.steps().iter().map(|known| format!("{} {}", known.id, one(&known.state))).collect()
}

fn check(plan: &TestPlan, records: &[Record]) {
    let mut first = watcher(plan);
    for cut in 1..=records.len() {
        let written = &records[..cut];
        let now = written.last().unwrap().at;
        let seen = summary(plan, &Journal::from_records(written.to_vec()).unwrap(), now).unwrap();
        let looked = look(&seen);
        let told: Vec<Told> = first.update(now, &looked);
        let mut late = watcher(plan);
        // Whoever looks, and whenever he does: each line has the time of a record, or none.
        let joined = late.update(now + SignedDuration::from_hours(1), &looked);
        for told in told.iter().chain(&joined) {
            let is_written = |at: Timestamp| written.iter().any(|record| record.at.as_second() == at.as_second());
            assert!(told.at.is_none_or(is_written), "{told:?} has the time of no record:\n{}", lines(written));
        }
        assert_eq!(standing(&late), standing(&first), "after {cut} records:\n{}", lines(written));
        let over = |story: &Story| story.steps().iter().filter(|known| matches!(known.state, State::Ended(..))).count();
        let has_ended = |line: &&StepTimeline| line.outcome != Outcome::Open && !seen.current.iter().any(|step| step.id == line.id);
        assert_eq!(over(&late), seen.timeline.iter().filter(has_ended).count(), "{}", lines(written));
        let mut again = first.clone();
        assert!(again.update(now, &looked).is_empty(), "what is seen twice is told once:\n{}", lines(written));
        assert!(seen.phase != RunPhase::Succeeded || over(&late) == plan.steps().len(), "nothing is left open after the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fault_h1_whoever_joins_at_any_record_sees_what_they_see_who_watched_from_the_beginning(
        draft in draft(),
        asked in asked(),
    ) {
        let (plan, store) = run_while_asked(&draft, asked);
        check(&plan, &store.records);
    }
}
