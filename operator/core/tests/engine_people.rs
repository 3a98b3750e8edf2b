//! Stories of what people ask of a run: pause, abort, retry, skip, answer, extend; and when they are refused.

use crate::engine_world::{
    Behaviour::{FailsForGood, FailsForNow, Works},
    Fuse, Orchestrator, Store, World, action, lines, run_with, seconds,
    story::{Story, answer, assert_told, drill, failover, ids, step, text},
};
use p861_core::engine::{Backoff, Limits, OnFailure, OnTimeout, Plan, Prompt, Retry};
use p861_crds::common::{ActionKind, RunAction};

#[test]
fn an_abort_stops_what_runs_and_leaves_nothing_behind() {
    assert_told(
        Story::of(drill()).when("restore/volume", &[Works(5)]).asks(2, action(ActionKind::Abort, None)).asks(2, action(ActionKind::Abort, None)),
        "
   0s Claimed
   0s Intent prepare #1
   1s Done prepare #1
   1s Intent restore/volume #1
   1s Intent restore/stream #1
   2s Done restore/stream #1
   2s Action Abort
   2s Action Abort
   2s ActionRefused the run is being aborted already: for the test
   2s Failed restore/volume #1 Aborted
   2s UndoIntent restore/volume #1
   3s Undone restore/volume #1
   3s UndoIntent prepare #1
   4s Undone prepare #1
   4s Intent remove #1
   5s Done remove #1
   5s Finished Aborted Aborted",
    );
}

#[test]
fn after_the_point_of_no_return_an_abort_is_refused_and_a_failure_waits_for_a_person() {
    assert_told(
        Story::of(failover())
            .when("start", &[FailsForGood(1)])
            .asks(4, action(ActionKind::Abort, None))
            .asks(6, action(ActionKind::Retry, Some("start")))
            .asks(7, action(ActionKind::Skip, Some("epoch"))),
        "
   0s Claimed
   0s Intent stop #1
   1s Done stop #1
   1s Intent epoch #1
   2s Done epoch #1
   2s Intent start #1
   3s Failed start #1 Broken
   3s Asked start what to do
   4s Action Abort
   4s ActionRefused step epoch was the point of no return and is done: there is only forward; retry or skip what fails, or move back with a new run
   6s Action Retry start
   6s Intent start #2
   7s Done start #2
   7s Action Skip epoch
   7s ActionRefused step epoch is the point of no return and cannot be skipped; retry it, or abort the run
   7s Intent traffic #1
   8s Done traffic #1
   8s Intent report #1
   9s Done report #1
   9s Finished Succeeded Complete",
    );
}

#[test]
fn an_abort_while_the_point_of_no_return_is_in_doubt_waits_for_its_outcome() {
    let story = || Story::of(failover()).asks(2, action(ActionKind::Abort, None));
    assert_told(
        story().when("epoch", &[Works(3)]),
        "
   0s Claimed
   0s Intent stop #1
   1s Done stop #1
   1s Intent epoch #1
   2s Action Abort
   4s Done epoch #1
   4s ActionRefused step epoch was the point of no return and is done: there is only forward; retry or skip what fails, or move back with a new run
   4s Intent start #1
   5s Done start #1
   5s Intent traffic #1
   6s Done traffic #1
   6s Intent report #1
   7s Done report #1
   7s Finished Succeeded Complete",
    );
    assert_told(
        story().when("epoch", &[FailsForNow(3)]),
        "
   0s Claimed
   0s Intent stop #1
   1s Done stop #1
   1s Intent epoch #1
   2s Action Abort
   4s Failed epoch #1 Unavailable
   4s UndoIntent stop #1
   5s Undone stop #1
   5s Intent report #1
   6s Done report #1
   6s Finished Aborted Aborted",
    );
}

#[test]
fn paused_nothing_new_starts_and_what_runs_ends() {
    assert_told(
        Story::of(drill())
            .asks(0, action(ActionKind::Resume, None))
            .asks(0, action(ActionKind::Pause, None))
            .asks(3, action(ActionKind::Resume, None))
            .asks(4, action(ActionKind::Pause, None))
            .asks(8, action(ActionKind::Resume, None)),
        "
   0s Claimed
   0s Action Resume
   0s Action Pause
   0s ActionRefused the run is not paused
   3s Action Resume
   3s Intent prepare #1
   4s Done prepare #1
   4s Action Pause
   8s Action Resume
   8s Intent restore/volume #1
   8s Intent restore/stream #1
   9s Done restore/volume #1
   9s Done restore/stream #1
   9s Intent start #1
  10s Done start #1
  10s Intent check #1
  11s Done check #1
  11s Intent remove #1
  12s Done remove #1
  12s Finished Succeeded Complete",
    );
}

#[test]
fn a_question_needs_different_people_and_a_clear_answer() {
    assert_told(
        Story::of(vec![step("fence").needs_person(Prompt::new(text("is it off?")).by(2))])
            .asks(1, answer("a", "fence", "yes"))
            .asks(2, answer("a", "fence", "Yes"))
            .asks(3, answer("b", "fence", "maybe"))
            .asks(4, answer("b", "nowhere", "yes"))
            .asks(5, answer("b", "fence", "yes"))
            .asks(5, answer("c", "fence", "yes")),
        "
   0s Claimed
   0s Asked fence
   1s Action Answer fence
   2s Action Answer fence
   2s ActionRefused a has answered step fence already; another person must
   3s Action Answer fence
   3s ActionRefused \"maybe\" is no answer to step fence; answer yes or no
   4s Action Answer nowhere
   4s ActionRefused the run has no step \"nowhere\"; its steps stand in status.currentSteps and in the journal
   5s Action Answer fence
   5s Action Answer fence
   5s Answered fence Yes
   5s Intent fence #1
   6s Done fence #1
   6s Finished Succeeded Complete",
    );
}

#[test]
fn no_means_no_until_somebody_retries() {
    assert_told(
        Story::of(vec![step("announce").needs_person(Prompt::new(text("told them?"))).on_failure(OnFailure::Prompt)])
            .asks(1, answer("a", "announce", "no"))
            .asks(2, answer("a", "announce", "yes"))
            .asks(3, action(ActionKind::Retry, Some("announce")))
            .asks(4, answer("a", "announce", "yes")),
        "
   0s Claimed
   0s Asked announce
   1s Action Answer announce
   1s Failed announce AnsweredNo
   1s Asked announce what to do
   2s Action Answer announce
   2s ActionRefused step announce has failed and asks nothing; retry it, skip it, or abort the run
   3s Action Retry announce
   3s Asked announce
   4s Action Answer announce
   4s Answered announce Yes
   4s Intent announce #1
   5s Done announce #1
   5s Finished Succeeded Complete",
    );
}

#[test]
fn a_question_that_nobody_answers_ends_as_the_plan_says() {
    for (on_timeout, end) in [
        (OnTimeout::Continue, "   4s Answered announce TimedOut\n   4s Intent announce #1\n   5s Done announce #1\n   5s Finished Succeeded Complete\n"),
        (OnTimeout::Skip, "   4s Skipped announce TimedOut\n   4s Finished Succeeded Complete\n"),
        (OnTimeout::Fail, "   4s Failed announce NotAnswered\n   4s Finished Failed NotAnswered\n"),
    ] {
        let told = Story::of(vec![step("announce").needs_person(Prompt::new(text("told them?")).within(seconds(4), on_timeout))]).told();
        assert_eq!(told, format!("   0s Claimed\n   0s Asked announce\n{end}"));
    }
}

#[test]
fn a_kept_copy_stands_as_long_as_people_want_and_no_longer() {
    let steps = || {
        let mut steps = drill();
        steps.push(step("keep").once_settled(ids(["check"])).needs_person(Prompt::hold(text("look at it"), seconds(20))));
        steps
    };
    let extend = |duration: &str| RunAction { duration: Some(duration.into()), ..action(ActionKind::Extend, None) };
    let kept = |story: Story| {
        let told = story.told();
        let second = |what: &str| told.lines().find(|line| line.contains(what)).map(|line| line[..4].trim().parse::<i64>().unwrap());
        (second("Asked keep"), second("Intent remove"))
    };
    // Also when the check failed: that is when one wants to look.
    assert_eq!(kept(Story::of(steps()).when("check", &[FailsForGood(1)])), (Some(4), Some(25)));
    assert_eq!(kept(Story::of(steps()).asks(10, extend("30s"))), (Some(4), Some(55)));
    assert_eq!(kept(Story::of(steps()).asks(2, extend("30s"))), (Some(4), Some(55)));
    assert_eq!(kept(Story::of(steps()).asks(10, action(ActionKind::CleanUp, None))), (Some(4), Some(11)));
    // Said before it stands, it is not kept at all.
    assert_eq!(kept(Story::of(steps()).asks(1, action(ActionKind::CleanUp, None))), (None, Some(5)));
    let told = Story::of(drill()).asks(1, action(ActionKind::CleanUp, None)).asks(1, extend("x")).asks(1, extend("5m")).told();
    assert!(told.contains("ActionRefused this run keeps no copy; abort it to end it early"), "{told}");
    assert!(told.contains("ActionRefused \"x\" is not a duration"), "{told}");
    assert!(told.contains("ActionRefused this run has no deadline and keeps no copy; name the step whose deadline to extend"), "{told}");
}

#[test]
fn fault_h3_no_keeps_what_is_held_and_fails_nothing_and_yes_cleans_up() {
    let steps = || {
        let mut steps = drill();
        steps.push(step("keep").once_settled(ids(["check"])).needs_person(Prompt::hold(text("Clean up now?"), seconds(20))).on_failure(OnFailure::Continue));
        steps
    };
    let told = |story: Story| story.told();
    let kept = told(Story::of(steps()).asks(10, answer("a", "keep", "no")).asks(11, answer("b", "keep", "no")));
    assert!(kept.contains("Answered keep TimedOut") && kept.ends_with("Finished Succeeded Complete\n"), "it stands until its time is over: {kept}");
    assert!(!kept.contains("Failed") && !kept.contains("ActionRefused"), "{kept}");
    let cleaned = told(Story::of(steps()).asks(10, answer("a", "keep", "no")).asks(12, answer("a", "keep", "yes")));
    assert!(cleaned.contains("  12s Answered keep Yes") && cleaned.ends_with("Finished Succeeded Complete\n"), "who said no may say yes: {cleaned}");
}

#[test]
fn an_attempt_under_way_can_be_given_more_time() {
    let more = RunAction { duration: Some("15s".into()), ..action(ActionKind::Extend, Some("upload")) };
    assert_told(
        Story::of(vec![step("upload")]).when("upload", &[Works(22)]).asks(9, more),
        "
   0s Claimed
   0s Intent upload #1
   9s Action Extend upload
  22s Done upload #1
  22s Finished Succeeded Complete",
    );
}

#[test]
fn a_person_may_skip_a_step_at_any_time_and_what_comes_after_it_runs() {
    let skip = |second| Story::of(drill()).when("restore/volume", &[Works(9)]).asks(second, action(ActionKind::Skip, Some("restore/volume")));
    let waiting = skip(0).told();
    assert!(waiting.contains("   0s Skipped restore/volume Person\n") && waiting.contains("   2s Intent start #1\n"), "{waiting}");
    let running = skip(3).told();
    assert!(running.contains("   3s Failed restore/volume #1 Skipped\n   3s Skipped restore/volume Person\n   3s Intent start #1\n"), "{running}");
    let done = skip(10).told();
    assert!(done.contains("  10s ActionRefused step restore/volume is done; there is nothing to skip\n"), "{done}");
    for told in [waiting, running, done] {
        assert!(told.ends_with("Finished Succeeded Complete\n"), "{told}");
    }
}

#[test]
fn fault_e39_clean_up_is_skipped_only_when_it_keeps_failing() {
    let skip = || action(ActionKind::Skip, Some("remove"));
    // Asked for with the run itself, or after one or two failures, it has no effect: the next attempt works.
    let told = Story::of(drill()).when("remove", &[FailsForNow(1); 3]).asks(0, skip()).asks(5, skip()).asks(7, skip()).told();
    for (second, failed) in [(0, "has not failed"), (5, "has failed once"), (7, "has failed 2 times")] {
        assert!(told.contains(&format!("{second:>4}s ActionRefused clean-up step remove {failed}: it can be skipped after 3 failed attempts")), "{told}");
    }
    assert!(!told.contains("Skipped") && told.ends_with("  15s Done remove #4\n  15s Finished Succeeded Complete\n"), "{told}");
    let told = Story::of(drill()).when("remove", &[FailsForNow(1); 9]).asks(11, skip()).told();
    let end = "  10s Failed remove #3 Unavailable\n  11s Action Skip remove\n  11s Skipped remove Person\n  11s Finished Succeeded Complete\n";
    assert!(told.ends_with(end), "{told}");
}

#[test]
fn fault_e39_what_releases_an_application_is_skipped_only_when_it_keeps_failing() {
    let steps = || {
        vec![
            step("quiesce").undo("resume".to_owned()),
            step("save").after(ids(["quiesce"])),
            step("resume").after(ids(["save"])).despite_pause().retry(Retry::times(5)),
        ]
    };
    let skip = || action(ActionKind::Skip, Some("resume"));
    let told = Story::of(steps()).asks(0, skip()).told();
    assert!(told.contains("   0s ActionRefused step resume, which releases what the run holds, has not failed: ") && told.contains("Done resume #1"), "{told}");
    let told = Story::of(steps()).when("resume", &[FailsForNow(1); 5]).asks(9, skip()).told();
    let end = "   8s Failed resume #3 Unavailable\n   9s Action Skip resume\n   9s Skipped resume Person\n   9s Finished Succeeded Complete\n";
    assert!(told.ends_with(end), "{told}");
}

#[test]
fn fault_e39_a_skip_of_a_step_is_none_of_its_undo() {
    let told = Story::of(drill())
        .when("restore/volume", &[Works(9)])
        .when_undone("restore/volume", &[FailsForNow(1)])
        .asks(3, action(ActionKind::Skip, Some("restore/volume")))
        .asks(3, action(ActionKind::Abort, None))
        .told();
    assert!(told.contains("UndoFailed restore/volume #1") && told.contains("Undone restore/volume #2") && !told.contains("Skipped"), "{told}");
}

#[test]
fn fault_e48_nothing_is_extended_beyond_thirty_days_in_all() {
    let steps = || {
        let mut steps = drill();
        steps.push(step("keep").once_settled(ids(["check"])).needs_person(Prompt::hold(text("look at it"), seconds(20))));
        steps
    };
    let extend = |step: Option<&str>, duration: &str| RunAction { duration: Some(duration.into()), ..action(ActionKind::Extend, step) };
    let limits = Limits { parallel: None, deadline: Some(seconds(3600)) };
    let clean = || action(ActionKind::CleanUp, None);
    for (case, limits, asked, refused) in [
        ("the run", limits, extend(None, "719h1s"), Some("this run may last 1h already, and no more than 720h (30 days) in all: extend it by 719h at most")),
        ("the run, as far as it goes", limits, extend(None, "719h"), None),
        ("the copy", Limits::default(), extend(None, "99999h"), Some("the copy that this run keeps may last 20s already, and no more than 720h (30 days)")),
        (
            "the question",
            Limits::default(),
            extend(Some("keep"), "720h"),
            Some("step keep may last 20s already, and no more than 720h (30 days) in all: extend it by 719h59m40s at most"),
        ),
    ] {
        let told = Story::within(steps(), limits).asks(8, asked).asks(9, clean()).told();
        match refused {
            Some(refused) => assert!(told.contains(&format!("   8s ActionRefused {refused}")), "{case}: {told}"),
            None => assert!(!told.contains("ActionRefused"), "{case}: {told}"),
        }
    }
    // What was given already counts.
    let twice = Story::within(steps(), limits).asks(5, extend(None, "400h")).asks(6, extend(None, "400h")).asks(9, clean()).told();
    assert!(twice.contains("   6s ActionRefused this run may last 401h already, and no more than 720h (30 days) in all: extend it by 319h at most"), "{twice}");
    let attempt = Story::of(vec![step("upload")]).when("upload", &[Works(9)]).asks(2, extend(Some("upload"), "99999h")).told();
    assert!(attempt.contains("   2s ActionRefused step upload may last 10s already, and no more than 720h (30 days) in all"), "{attempt}");
}

#[test]
fn a_retry_opens_again_what_was_skipped_because_of_the_step() {
    let steps = vec![
        step("one").on_failure(OnFailure::Continue),
        step("two").after(ids(["one"])).on_failure(OnFailure::Continue),
        step("three").after(ids(["two"])),
        step("slow"),
    ];
    assert_told(
        Story::of(steps).when("slow", &[Works(7)]).when("one", &[FailsForGood(1)]).asks(3, action(ActionKind::Retry, Some("one"))),
        "
   0s Claimed
   0s Intent one #1
   0s Intent slow #1
   1s Failed one #1 Broken
   1s Skipped two DependencyFailed
   1s Skipped three DependencyFailed
   3s Action Retry one
   3s Intent one #2
   4s Done one #2
   4s Intent two #1
   5s Done two #1
   5s Intent three #1
   6s Done three #1
   7s Done slow #1
   7s Finished Succeeded Complete",
    );
}

#[test]
fn a_retry_does_not_wait_for_the_next_attempt() {
    let patient = Retry { attempts: 2, backoff: Backoff { first: seconds(100), longest: seconds(100) } };
    let told = Story::of(vec![step("upload").retry(patient)]).when("upload", &[FailsForNow(1)]).asks(5, action(ActionKind::Retry, Some("upload"))).told();
    assert!(told.contains("   5s Intent upload #2\n"), "{told}");
    let told = Story::of(vec![step("upload")]).asks(0, action(ActionKind::Retry, Some("upload"))).told();
    assert!(told.contains("ActionRefused step upload is not started; only a failed step can be retried"), "{told}");
}

#[test]
fn people_answer_in_the_small_world_too() {
    // The world's people are used by the property tests; here is what they do.
    let plan = Plan::new(vec![step("ask").needs_person(Prompt::new(text("?")).by(2))]).unwrap();
    let (mut world, mut store) = (World::new(), Store::default());
    let mut orchestrator = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
    run_with(&plan, &mut store, &mut world, &mut orchestrator, |_, _| {}).unwrap();
    let told = lines(&store.records);
    assert!(told.ends_with("Finished Succeeded Complete\n") && told.matches("Action Answer").count() == 2, "{told}");
}
