//! What the summary of a run says while it runs, when it waits, and at its end.

use std::num::NonZeroU32;

use crate::engine_world::{
    Behaviour::{FailsForGood, FailsForNow, Works},
    id, lines, seconds, start,
    story::{Story, drill, step, text},
};
use p861_core::engine::{Evidence, Journal, Limits, OnTimeout, Outcome, Prompt, WaitsFor, settle};
use p861_crds::{Reason, common::RunPhase};

#[test]
fn a_finished_run_wants_nothing_and_an_unclaimed_one_neither() {
    let mut story = Story::of(drill());
    let end = story.until(100);
    assert_eq!(end.phase, RunPhase::Succeeded);
    let mut journal = story.store.journal();
    let pass = settle(&story.plan, &mut journal, 1, story.world.now + seconds(1_000)).unwrap();
    assert!(pass.records.is_empty() && pass.commands.is_empty() && pass.next.is_none());

    let mut empty = Journal::new();
    let pass = settle(&story.plan, &mut empty, 1, start()).unwrap();
    assert!(pass.records.is_empty() && pass.commands.is_empty() && pass.phase == RunPhase::Pending);
}

#[test]
fn the_summary_says_where_each_step_stands_and_what_it_waits_for() {
    let mut steps = drill();
    steps.push(step("announce").needs_person(Prompt::new(text("told them?")).within(seconds(60), OnTimeout::Continue)));
    let steps = steps
        .into_iter()
        .map(|step| {
            let estimate = Some(seconds(2));
            step.estimate(estimate)
        })
        .collect();
    let limits = Limits { parallel: NonZeroU32::new(1), deadline: None };
    let mut story = Story::within(steps, limits).when("restore/volume", &[FailsForNow(1), Works(5)]);
    let seen = story.until(5);

    assert_eq!(seen.phase, RunPhase::WaitingForPerson);
    let counts = seen.counts;
    assert_eq!((counts.total, counts.done, counts.running, counts.waiting, counts.retried), (7, 2, 1, 4, 1), "{}", lines(&story.store.records));
    let waits: Vec<(&str, &WaitsFor)> = seen.timeline.iter().filter_map(|line| Some((line.id.as_str(), line.waits_for.as_ref()?))).collect();
    assert_eq!(
        waits,
        [
            ("restore/volume", &WaitsFor::Effect),
            ("start", &WaitsFor::Steps { steps: vec![id("restore/volume")] }),
            ("check", &WaitsFor::Steps { steps: vec![id("start")] }),
            ("remove", &WaitsFor::End),
            ("announce", &WaitsFor::Answer { text: text("told them?"), people: 1, answered: 0 }),
        ]
    );
    let current: Vec<(&str, RunPhase, u32)> = seen.current.iter().map(|step| (step.id.as_str(), step.phase, step.attempt)).collect();
    assert_eq!(current, [("announce", RunPhase::WaitingForPerson, 1), ("restore/volume", RunPhase::Running, 2)]);
    assert_eq!(seen.current[0].deadline, Some(start() + seconds(60)));
    assert_eq!(seen.current[1].start.zip(seen.current[1].deadline), Some((start() + seconds(3), start() + seconds(13))));

    // Planned against actual: prepare, volume, start, check; clean-up after the longest way.
    let planned: Vec<(i64, i64)> = seen.timeline.iter().map(|line| line.planned.map(|it| (it.start.as_secs(), it.end.as_secs())).unwrap()).collect();
    assert_eq!(planned, [(0, 2), (2, 4), (2, 4), (4, 6), (6, 8), (8, 10), (0, 2)]);
    assert_eq!(seen.timeline[0].started.zip(seen.timeline[0].ended), Some((start(), start() + seconds(1))));
    assert_eq!(seen.timeline[0].evidence, Some(Evidence::NodeDrained { node: "prepare".into() }));
}

#[test]
fn the_summary_tells_of_failures_that_decide_and_of_clean_up_that_does_not_end() {
    let mut story = Story::of(drill()).when("start", &[FailsForGood(1)]).when("remove", &[FailsForNow(1); 9]).when_undone("start", &[FailsForNow(1); 3]);
    let undoing = story.until(5);
    assert_eq!(undoing.phase, RunPhase::Aborting);
    assert_eq!(undoing.failure.as_ref().map(|failure| (failure.step.as_str(), failure.reason.as_str())), Some(("start", "Broken")));
    assert_eq!(undoing.clean_up_trouble.iter().map(|it| (it.step.as_str(), it.failures)).collect::<Vec<_>>(), [("start", 1)]);

    let cleaning = story.until(40);
    assert_eq!(cleaning.phase, RunPhase::CleaningUp);
    assert_eq!(cleaning.clean_up_trouble.len(), 1);
    assert_eq!(cleaning.clean_up_trouble[0].step, id("remove"));
    assert!(cleaning.clean_up_trouble[0].failures >= 3);

    let end = story.until(2_000);
    let counts = end.counts;
    assert_eq!((counts.total, counts.done, counts.undone, counts.skipped, counts.failed), (6, 2, 3, 1, 0), "{}", lines(&story.store.records));
    assert_eq!(
        end.timeline.iter().map(|line| line.outcome).collect::<Vec<_>>(),
        [Outcome::Undone, Outcome::Undone, Outcome::Done, Outcome::Undone, Outcome::NotRun, Outcome::Done]
    );
    assert!(end.clean_up_trouble.is_empty() && end.current.is_empty());
    assert_eq!(end.result.map(|(_, reason, message)| (reason, message)), Some((Reason::from_text("Broken"), "step start failed: it is broken".to_owned())));
}

#[test]
fn a_status_shows_at_most_sixteen_steps_and_those_that_wait_for_people_first() {
    let mut steps: Vec<_> = (0..40).map(|at| step(&format!("volume/{at}"))).collect();
    steps.push(step("ask").needs_person(Prompt::new(text("?"))));
    let mut story = Story::of(steps);
    for at in 0..40 {
        story = story.when(&format!("volume/{at}"), &[Works(9)]);
    }
    let seen = story.until(3);
    assert_eq!(seen.current.len(), 16);
    assert_eq!(seen.current[0].id, id("ask"));
    assert_eq!(seen.counts.running, 40);
}
