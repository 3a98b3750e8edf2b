//! What a plan accepts, in which order it puts its steps, and what its digest is made of.

use std::num::NonZeroU32;

use jiff::SignedDuration;
use p861_core::engine::{Backoff, LONGEST_ID, Limits, OnFailure, OnTimeout, Plan, PlanError, Prompt, Retry, Step, StepId};
use p861_crds::common::LocalizedText;
use proptest::prelude::*;

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

fn step(name: &str) -> Step<String> {
    Step::new(id(name), name.to_owned(), seconds(10))
}

fn prompt() -> Prompt {
    Prompt::new(LocalizedText { zh: Some("可以吗？".to_owned()), en: None })
}

#[test]
fn a_plan_that_cannot_work_is_refused_with_the_reason() {
    let cases: Vec<(Vec<Step<String>>, &str)> = vec![
        (vec![], "the plan has no steps"),
        (vec![step("a"), step("b"), step("a")], "two steps have the id a; give each its own"),
        (vec![step("a").after([id("b")])], "step a waits for b, which is not in the plan"),
        (vec![step("a").once_settled([id("b")])], "step a waits for b, which is not in the plan"),
        (vec![step("a").after([id("a")])], "these steps wait for each other: a"),
        (vec![step("x"), step("a").after([id("b")]), step("b").once_settled([id("a"), id("x")])], "these steps wait for each other: a, b"),
        (vec![step("a").point_of_no_return(), step("b").point_of_no_return()], "both a and b are the point of no return; a plan has at most one"),
        (vec![step("a").point_of_no_return().undo("b".to_owned())], "step a: the point of no return cannot be undone"),
        (vec![step("a").point_of_no_return().finally()], "step a: a clean-up step cannot be the point of no return"),
        (
            vec![step("a").point_of_no_return().on_failure(OnFailure::Continue)],
            "step a: the run cannot go on as if it were optional, since it is the point of no return",
        ),
        (
            vec![step("a").point_of_no_return().needs_person(prompt().within(seconds(1), OnTimeout::Skip))],
            "step a: the point of no return cannot be skipped when nobody answers; let it continue or fail",
        ),
        (vec![step("a").finally().undo("b".to_owned())], "step a: a clean-up step cannot be undone"),
        (vec![step("a").finally().needs_person(prompt())], "step a: a clean-up step cannot wait for a person, or clean-up might never end"),
        (vec![step("a").needs_person(prompt().by(0))], "step a: it waits for the answers of 0 people"),
        (vec![step("a").retry(Retry::times(0))], "step a: it may be tried 0 times; 1 is no retry"),
        (vec![step("a"), step("b").finally().after([id("a")])], "step b: a clean-up step waits for all other steps already; name only clean-up steps"),
        (vec![step("a").after([id("b")]), step("b").finally()], "step a: it waits for a clean-up step, which runs only after it"),
        (vec![Step { deadline: seconds(0), ..step("a") }], "the deadline of step a is 0s; it must be whole milliseconds from 1ms to 99999h"),
        (
            vec![Step { deadline: SignedDuration::new(1, 500), ..step("a") }],
            "the deadline of step a is 1s and 500 ns; it must be whole milliseconds from 1ms to 99999h",
        ),
        (
            vec![step("a").retry(Retry { attempts: 1, backoff: Backoff { first: seconds(0), longest: seconds(1) } })],
            "the first wait between attempts of step a is 0s; it must be whole milliseconds from 1ms to 99999h",
        ),
        (
            vec![step("a").retry(Retry { attempts: 1, backoff: Backoff { first: seconds(2), longest: seconds(1) } })],
            "step a: its longest wait between attempts is shorter than the first",
        ),
        (
            vec![step("a").needs_person(prompt().within(seconds(-1), OnTimeout::Fail))],
            "the time that step a waits for a person is -1s; it must be whole milliseconds from 1ms to 99999h",
        ),
    ];
    for (steps, message) in cases {
        assert_eq!(Plan::new(steps).unwrap_err().to_string(), message);
    }
}

#[test]
fn steps_stand_after_what_they_wait_for_and_otherwise_as_given() {
    let plan = Plan::new(vec![step("c").after([id("a")]), step("clean").finally(), step("b"), step("a"), step("d").once_settled([id("c")])]).unwrap();
    let order: Vec<&str> = plan.steps().iter().map(|step| step.id.as_str()).collect();
    assert_eq!(order, ["clean", "b", "a", "c", "d"]);
}

#[test]
fn the_digest_changes_with_everything_but_the_estimates() {
    let base = || vec![step("a"), step("b").after([id("a")])];
    let digest = |steps| Plan::new(steps).unwrap().digest().to_owned();
    let first = digest(base());
    assert!(first.starts_with("sha256:") && first.len() == 71, "{first}");
    assert_eq!(digest(base().into_iter().map(|step| step.estimate(Some(seconds(3)))).collect()), first);
    // Written twice or in another order, a dependency is the same.
    assert_eq!(digest(vec![step("a"), step("b").after([id("a"), id("a")])]), first);

    let changed: [fn(Step<String>) -> Step<String>; 9] = [
        |step| Step { action: "other".to_owned(), ..step },
        |step| step.undo("u".to_owned()),
        |step| Step { deadline: seconds(11), ..step },
        |step| step.retry(Retry::times(2)),
        |step| step.on_failure(OnFailure::Prompt),
        Step::point_of_no_return,
        |step| step.needs_person(prompt()),
        |step| Step { after: vec![], ..step },
        |step| Step { once_settled: step.after, after: vec![], ..step },
    ];
    let mut seen = vec![first];
    for change in changed {
        let [a, b] = base().try_into().unwrap();
        seen.push(digest(vec![a, change(b)]));
    }
    seen.push(Plan::with_limits(base(), Limits { parallel: NonZeroU32::new(1), deadline: None }).unwrap().digest().to_owned());
    seen.push(Plan::with_limits(base(), Limits { parallel: None, deadline: Some(seconds(1)) }).unwrap().digest().to_owned());
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "two different plans have one digest");
}

#[test]
fn the_digest_is_the_same_in_every_release_and_on_every_machine() {
    // If this fails, approvals given before an upgrade no longer hold, and runs under way cannot go on: think twice before writing a new digest here.
    let steps = vec![step("a").needs_person(prompt()), step("b").after([id("a")]).undo("c".to_owned()).retry(Retry::times(3)), step("z").finally()];
    let plan = Plan::with_limits(steps, Limits { parallel: NonZeroU32::new(4), deadline: Some(seconds(5400)) }).unwrap();
    insta::assert_snapshot!(plan.digest(), @"sha256:4105597fba0d2db5166f06ad649d2f363ae1ad24005a6363019999437e8495c4");
    insta::assert_snapshot!(serde_json::to_string(&plan).unwrap(), @r#"{"parallel":4,"deadline":"1h30m","steps":[{"id":"a","action":"a","deadline":"10s","retry":{"attempts":1,"backoff":{"first":"1s","longest":"1m"}},"onFailure":"Abort","needsPerson":{"text":{"zh":"可以吗？"},"onTimeout":"Fail","people":1}},{"id":"b","after":["a"],"action":"b","undo":"c","deadline":"10s","retry":{"attempts":3,"backoff":{"first":"1s","longest":"1m"}},"onFailure":"Abort"},{"id":"z","action":"z","deadline":"10s","retry":{"attempts":1,"backoff":{"first":"1s","longest":"1m"}},"onFailure":"Abort","finally":true}]}"#);
}

#[test]
fn a_plan_that_was_stored_is_checked_again_when_it_is_read() {
    let text = serde_json::to_string(&Plan::new(vec![step("a"), step("b").after([id("a")])]).unwrap()).unwrap();
    let broken = text.replace(r#""after":["a"]"#, r#""after":["c"]"#);
    let error = serde_json::from_str::<Plan<String>>(&broken).unwrap_err().to_string();
    assert!(error.contains("step b waits for c, which is not in the plan"), "{error}");
}

#[test]
fn actions_that_cannot_be_written_as_json_are_refused() {
    let action = std::collections::BTreeMap::from([(vec![1_u8], 1_u8)]);
    let error = Plan::new(vec![Step::new(id("a"), action, seconds(1))]).unwrap_err();
    assert!(matches!(error, PlanError::Unwritable { .. }), "{error}");
}

#[test]
fn an_id_is_made_of_names_of_kubernetes_and_slashes() {
    for good in ["a", "restore/approval/volume/site-files", "objects/rbac/system:node", "x_y/z.1@2", &"a".repeat(LONGEST_ID)] {
        assert_eq!(StepId::new(good).unwrap().as_str(), good);
    }
    for bad in ["", "/", "a/", "/a", "a//b", "a b", "größe", "a\nb", &"a".repeat(LONGEST_ID + 1)] {
        let error = StepId::new(bad).unwrap_err();
        assert!(error.to_string().contains("cannot be the id of a step"), "{error}");
        assert!(serde_json::from_value::<StepId>(serde_json::json!(bad)).is_err());
    }
    assert_eq!(StepId::of(&["restore", "portal"]).unwrap(), id("restore/portal"));
    assert!(StepId::of(&["restore", ""]).is_err());
}

#[test]
fn waits_double_up_to_the_longest() {
    let backoff = Backoff { first: seconds(3), longest: seconds(20) };
    let waits: Vec<i64> = [1, 2, 3, 4, 5, 31, 32, 33, u32::MAX].iter().map(|failures| backoff.wait(*failures).as_secs()).collect();
    assert_eq!(waits, [3, 6, 12, 20, 20, 20, 20, 20, 20]);
}

#[test]
fn the_schedule_follows_the_longest_way_and_knows_what_it_cannot_know() {
    let took = |name: &str, estimate: i64| step(name).estimate(Some(seconds(estimate)));
    let steps = vec![
        took("a", 5),
        took("b", 3),
        took("c", 4).after([id("a"), id("b")]),
        step("unknown").after([id("b")]),
        took("d", 1).once_settled([id("unknown")]),
        took("clean", 2).finally(),
    ];
    let schedule = |steps| -> Vec<Option<(i64, i64)>> {
        Plan::new(steps).unwrap().schedule().into_iter().map(|planned| planned.map(|it| (it.start.as_secs(), it.end.as_secs()))).collect()
    };
    assert_eq!(schedule(steps.clone()), [Some((0, 5)), Some((0, 3)), Some((5, 9)), None, None, None]);
    let known: Vec<Step<String>> = steps.into_iter().map(|step| if step.estimate.is_none() { step.estimate(Some(seconds(20))) } else { step }).collect();
    assert_eq!(schedule(known), [Some((0, 5)), Some((0, 3)), Some((5, 9)), Some((3, 23)), Some((23, 24)), Some((24, 26))]);
}

proptest! {
    #[test]
    fn however_steps_are_given_each_stands_after_what_it_waits_for(edges in proptest::collection::vec(any::<u16>(), 1..12), swaps in proptest::collection::vec((0..12_usize, 0..12_usize), 0..20)) {
        let mut steps: Vec<Step<String>> = edges.iter().enumerate().map(|(at, mask)| {
            step(&format!("s{at}")).after((0..at).filter(|before| mask & (1 << before) != 0).map(|before| id(&format!("s{before}"))))
        }).collect();
        for (a, b) in swaps {
            let (a, b) = (a % steps.len(), b % steps.len());
            steps.swap(a, b);
        }
        let plan = Plan::new(steps).unwrap();
        for (at, step) in plan.steps().iter().enumerate() {
            for before in &step.after {
                let place = plan.steps().iter().position(|other| other.id == *before).unwrap();
                prop_assert!(place < at);
            }
        }
    }
}
