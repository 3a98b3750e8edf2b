//! Where each step stands, as a status tells it in letters: what the journal says, however much of it is written.

use crate::engine_world::{
    TestPlan,
    draft::{asked, draft, run_while_asked},
    lines,
};
use p861_core::engine::{Direction, Event, Journal, Record, SkipCause, StepId, StepState, WaitsFor, summary};
use p861_crds::common::StepCounts;
use proptest::prelude::*;

/// What a step may be called by the last of its records alone. The plan decides among them: whether a failure is for good, and whether what waits will never run.
fn allowed(records: &[Record], step: &StepId) -> &'static str {
    let of_step = records.iter().rev().filter(|record| record.step.as_ref() == Some(step));
    let last = of_step.map(|record| &record.event).find(|event| !matches!(event, Event::Asked { .. } | Event::Answered { .. }));
    match last {
        None | Some(Event::Skipped { cause: SkipCause::DependencyFailed { .. } }) => "wn",
        Some(Event::Intent | Event::UndoIntent) => "r",
        Some(Event::Done) => "d",
        Some(Event::Failed(_) | Event::FailedRepeatedly { direction: Direction::Forward, .. }) => "wfcn",
        Some(Event::UndoFailed(_) | Event::FailedRepeatedly { direction: Direction::Undo, .. }) => "w",
        // A skipped undo leaves the step as it is, and that was a person's decision, too.
        Some(Event::Skipped { cause: SkipCause::Person { .. } | SkipCause::TimedOut }) => "s",
        Some(Event::Undone) => "u",
        Some(other) => panic!("{other:?} is about no step"),
    }
}

fn check_prefix(plan: &TestPlan, records: &[Record]) {
    let journal = Journal::from_records(records.to_vec()).unwrap();
    let seen = summary(plan, &journal, records.last().unwrap().at).unwrap();
    let counts = StepCounts::from(&seen);
    let states = StepState::read(&counts.states).expect("every step has a letter");
    assert_eq!(states, seen.states);
    assert_eq!(states.len(), plan.steps().len());
    for (step, letter) in plan.steps().iter().zip(counts.states.chars()) {
        assert!(allowed(records, &step.id).contains(letter), "{} is {letter}:\n{}", step.id, lines(records));
        assert!(!journal.is_finished() || !"wr".contains(letter), "{} is {letter} after the end:\n{}", step.id, lines(records));
    }
    let number = |letters: &str| i32::try_from(counts.states.chars().filter(|letter| letters.contains(*letter)).count()).unwrap();
    let counted = [counts.done, counts.running, counts.waiting, counts.failed, counts.skipped];
    assert_eq!(counted, ["du", "r", "w", "f", "scn"].map(number), "counts and letters are one truth");
    for current in &seen.current {
        let at = plan.steps().iter().position(|step| step.id == current.id).unwrap();
        let waits_for_decision = current.waits_for == WaitsFor::Decision && states[at] == StepState::Failed;
        let is_open = matches!(states[at], StepState::Waiting | StepState::Running);
        assert!(is_open || waits_for_decision, "{} is under way, waits for {:?}, and is {:?}:\n{}", current.id, current.waits_for, states[at], lines(records));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fault_h1_at_every_prefix_of_a_journal_the_letters_say_of_each_step_what_the_journal_says(
        draft in draft(),
        asked in asked(),
    ) {
        let (plan, store) = run_while_asked(&draft, asked);
        for cut in 1..=store.records.len() {
            check_prefix(&plan, &store.records[..cut]);
        }
    }
}
