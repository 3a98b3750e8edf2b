//! Stories of single runs: what stands in the journal, second by second, when things go right and when they go wrong.

use std::num::NonZeroU32;

use crate::engine_world::{
    Behaviour::{FailsForGood, FailsForNow, Hangs, Refuses, Works},
    action, seconds,
    story::{Story, answer, assert_told, drill, failover, ids, step, text},
};
use p861_core::engine::{AbortCause, Entry, Event, Limits, OnFailure, Prompt, Retry};
use p861_crds::common::ActionKind;

#[test]
fn independent_steps_run_together_and_clean_up_comes_last() {
    assert_told(
        Story::of(drill()).when("restore/volume", &[Works(3)]),
        "
   0s Claimed
   0s Intent prepare #1
   1s Done prepare #1
   1s Intent restore/volume #1
   1s Intent restore/stream #1
   2s Done restore/stream #1
   4s Done restore/volume #1
   4s Intent start #1
   5s Done start #1
   5s Intent check #1
   6s Done check #1
   6s Intent remove #1
   7s Done remove #1
   7s Finished Succeeded Complete",
    );
}

#[test]
fn with_a_limit_of_one_they_run_one_after_the_other_in_the_order_of_the_plan() {
    let limits = Limits { parallel: NonZeroU32::new(1), deadline: None };
    let told = Story::within(vec![step("c"), step("a"), step("b")], limits).told();
    assert_eq!(
        told,
        "   0s Claimed\n   0s Intent c #1\n   1s Done c #1\n   1s Intent a #1\n   2s Done a #1\n   2s Intent b #1\n   3s Done b #1\n   3s Finished Succeeded Complete\n"
    );
}

#[test]
fn a_failure_that_may_go_away_is_tried_again_after_growing_waits() {
    assert_told(
        Story::of(vec![step("upload").retry(Retry::times(4))]).when("upload", &[FailsForNow(1), FailsForNow(1), FailsForNow(1)]),
        "
   0s Claimed
   0s Intent upload #1
   1s Failed upload #1 Unavailable
   2s Intent upload #2
   3s Failed upload #2 Unavailable
   5s Intent upload #3
   6s Failed upload #3 Unavailable
  10s Intent upload #4
  11s Done upload #4
  11s Finished Succeeded Complete",
    );
}

#[test]
fn when_the_attempts_are_used_up_the_run_stops_undoes_in_reverse_order_and_cleans_up() {
    assert_told(
        Story::of(drill()).when("restore/volume", &[FailsForNow(1), FailsForNow(1), FailsForNow(1)]).when("restore/stream", &[Works(100)]),
        "
   0s Claimed
   0s Intent prepare #1
   1s Done prepare #1
   1s Intent restore/volume #1
   1s Intent restore/stream #1
   2s Failed restore/volume #1 Unavailable
   3s Intent restore/volume #2
   4s Failed restore/volume #2 Unavailable
   6s Intent restore/volume #3
   7s Failed restore/volume #3 Unavailable
   7s UndoIntent restore/volume #1
   7s Failed restore/stream #1 Aborted
   8s Undone restore/volume #1
   8s UndoIntent prepare #1
   9s Undone prepare #1
   9s Intent remove #1
  10s Done remove #1
  10s Finished Failed Unavailable",
    );
}

#[test]
fn a_refusal_before_anything_was_changed_ends_the_run_as_refused() {
    assert_told(
        Story::of(vec![step("compare").retry(Retry::times(5)), step("write").after(ids(["compare"]))]).when("compare", &[Refuses(2)]),
        "
   0s Claimed
   0s Intent compare #1
   2s Failed compare #1 Conflicts
   2s Finished Refused Conflicts",
    );
}

#[test]
fn a_failed_check_fails_the_run_but_what_does_not_need_it_goes_on() {
    let steps = vec![
        step("one/start"),
        step("one/check").after(ids(["one/start"])).on_failure(OnFailure::Continue),
        step("one/announce").after(ids(["one/check"])),
        step("two/start").once_settled(ids(["one/announce"])),
        step("remove").finally(),
    ];
    assert_told(
        Story::of(steps).when("one/check", &[FailsForGood(1)]),
        "
   0s Claimed
   0s Intent one/start #1
   1s Done one/start #1
   1s Intent one/check #1
   2s Failed one/check #1 Broken
   2s Skipped one/announce DependencyFailed
   2s Intent two/start #1
   3s Done two/start #1
   3s Intent remove #1
   4s Done remove #1
   4s Finished Failed Broken",
    );
}

#[test]
fn undo_and_clean_up_are_tried_until_they_succeed_or_a_person_lets_them_be() {
    assert_told(
        Story::of(drill())
            .when("start", &[FailsForGood(1)])
            .when_undone("start", &[FailsForGood(1), FailsForNow(1), Works(1)])
            .when_undone("restore/volume", &[Hangs; 9])
            .when("remove", &[FailsForGood(1), FailsForGood(1), FailsForGood(1)])
            .asks(20, action(ActionKind::Skip, Some("restore/volume")))
            .asks(43, action(ActionKind::Skip, Some("restore/volume"))),
        "
   0s Claimed
   0s Intent prepare #1
   1s Done prepare #1
   1s Intent restore/volume #1
   1s Intent restore/stream #1
   2s Done restore/volume #1
   2s Done restore/stream #1
   2s Intent start #1
   3s Failed start #1 Broken
   3s UndoIntent start #1
   4s UndoFailed start #1 Broken
   5s UndoIntent start #2
   6s UndoFailed start #2 Unavailable
   8s UndoIntent start #3
   9s Undone start #3
   9s UndoIntent restore/volume #1
  19s UndoFailed restore/volume #1 DeadlineExceeded
  20s Action Skip restore/volume
  20s ActionRefused the undo of step restore/volume has failed once: it can be skipped after 3 failed attempts, since everything that it would remove or release stays then; ask again if it keeps failing
  20s UndoIntent restore/volume #2
  30s UndoFailed restore/volume #2 DeadlineExceeded
  32s UndoIntent restore/volume #3
  42s UndoFailed restore/volume #3 DeadlineExceeded
  43s Action Skip restore/volume
  43s Skipped restore/volume Person
  43s UndoIntent prepare #1
  44s Undone prepare #1
  44s Intent remove #1
  45s Failed remove #1 Broken
  46s Intent remove #2
  47s Failed remove #2 Broken
  49s Intent remove #3
  50s Failed remove #3 Broken
  54s Intent remove #4
  55s Done remove #4
  55s Finished Failed Broken",
    );
}

#[test]
fn while_it_is_in_doubt_a_fatal_failure_beside_it_starts_nothing_and_asks_nobody_yet() {
    let mut steps = failover();
    steps.push(step("beside").after(ids(["stop"])));
    steps.push(step("behind").once_settled(ids(["stop"])).needs_person(Prompt::new(text("now?"))).on_failure(OnFailure::Continue));
    let told = Story::of(steps)
        .when("epoch", &[Works(6)])
        .when("beside", &[FailsForGood(1)])
        .asks(4, answer("drill-leader", "behind", "yes"))
        .asks(9, action(ActionKind::Skip, Some("beside")))
        .told();
    assert!(told.contains("   2s Failed beside #1 Broken\n   4s Action Answer behind\n   4s Answered behind Yes\n   7s Done epoch #1\n"), "{told}");
    assert!(told.contains("   7s Intent behind #1\n   7s Asked beside what to do\n") || told.contains("   7s Asked beside what to do\n"), "{told}");
    assert!(told.ends_with("Finished Succeeded Complete\n"), "{told}");
}

#[test]
fn an_attempt_that_takes_too_long_is_stopped_and_tried_again() {
    assert_told(
        Story::of(vec![step("upload").retry(Retry::times(2))]).when("upload", &[Hangs, Works(2)]),
        "
   0s Claimed
   0s Intent upload #1
  10s Failed upload #1 DeadlineExceeded
  11s Intent upload #2
  13s Done upload #2
  13s Finished Succeeded Complete",
    );
}

#[test]
fn a_run_that_takes_too_long_ends_as_failed() {
    let limits = Limits { parallel: None, deadline: Some(seconds(3)) };
    assert_told(
        Story::within(drill(), limits).when("restore/volume", &[Works(8)]),
        "
   0s Claimed
   0s Intent prepare #1
   1s Done prepare #1
   1s Intent restore/volume #1
   1s Intent restore/stream #1
   2s Done restore/stream #1
   3s AbortRequested
   3s Failed restore/volume #1 Aborted
   3s UndoIntent restore/volume #1
   4s Undone restore/volume #1
   4s UndoIntent prepare #1
   5s Undone prepare #1
   5s Intent remove #1
   6s Done remove #1
   6s Finished Failed DeadlineExceeded",
    );
}

#[test]
fn past_the_point_of_no_return_the_deadline_of_the_run_no_longer_holds() {
    let limits = Limits { parallel: None, deadline: Some(seconds(3)) };
    let told = Story::within(failover(), limits).when("start", &[Works(8)]).told();
    assert!(told.ends_with("Finished Succeeded Complete\n") && !told.contains("AbortRequested"), "{told}");
}

#[test]
fn a_run_of_higher_priority_takes_over() {
    let mut story = Story::of(drill()).when("restore/volume", &[Works(9)]);
    story.until(3);
    let mut journal = story.store.journal();
    let superseded = Entry::run(Event::AbortRequested { cause: AbortCause::Superseded, reason: "failover shinan-core-20261208-0316".to_owned() });
    journal.push(journal.stamp(superseded, journal.token(), story.world.now)).unwrap();
    story.store.records = journal.records().to_vec();
    let told = story.told();
    assert!(told.ends_with("Finished Aborted Superseded\n") && told.contains("Undone prepare"), "{told}");
}
