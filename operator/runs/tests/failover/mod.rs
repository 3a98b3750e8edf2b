//! A sketch of a failover: a kind of run that adds to all that runs share no more than what it reads, compiles and concludes. Its plan keeps every rule of the engine.

mod kind;
mod object;

use crate::engine_world::{self, Behaviour, Fuse, Orchestrator, Store, TestPlan, World, action, check::check, lines, run, run_with, seconds};
use jiff::Timestamp;
use kind::{Facts, FailoverRun};
use object::{Failover, FailoverSpec};
use p861_core::{
    engine::{Event, Plan, Record, RunResult, Step},
    protection::choose::RecoveryPoint,
    runs::Action,
};
use p861_crds::{
    ApplicationSpec,
    common::{ActionKind, ObjectReference},
};
use p861_runs::RunKind as _;
use serde_json::json;

fn application(namespace: &str) -> ApplicationSpec {
    let hook = |word: &str| json!({"workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "command": [word]});
    serde_json::from_value(json!({
        "department": "d", "namespaces": [namespace],
        "tiers": [{"name": "data", "workloadRefs": [{"kind": "StatefulSet", "name": "postgres"}]}, {"name": "web", "workloadRefs": [{"kind": "Deployment", "name": "web"}]}],
        "streams": [{"name": "db", "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "dump": ["pg_dump"], "restore": ["pg_restore"]}],
        "hooks": {"quiesce": hook("freeze"), "resume": hook("thaw")},
        "checks": [{"name": "login", "tcp": {"serviceName": "web", "port": 80}}]
    }))
    .unwrap()
}

/// Two groups of one application each.
pub fn failover() -> Plan<Action> {
    let point = RecoveryPoint { backup: "b".into(), snapshot: "5a1f".into(), time: Timestamp::UNIX_EPOCH, repository: "main".into(), level: None, site: None };
    let group = |name: &str| vec![(name.to_owned(), application(&format!("shinan-{name}")), point.clone(), vec!["volumes/files".to_owned()])];
    let facts = Facts { from: "west".into(), to: "east".into(), groups: vec![group("identity"), group("approval")] };
    let object = Failover::new("move", FailoverSpec { plan_ref: ObjectReference::new("core"), actions: Vec::new() });
    FailoverRun::compile(&object, &facts).expect("compiles")
}

/// The plan as the small world performs it: effects are words, and none takes longer than a few seconds.
fn in_the_small_world() -> TestPlan {
    let plain = |step: &Step<Action>| {
        let mut plain = Step::new(step.id.clone(), step.action.word().to_owned(), seconds(6)).after(step.after.clone()).retry(step.retry);
        plain.undo = step.undo.as_ref().map(|undo| undo.word().to_owned());
        plain.on_failure = step.on_failure;
        plain.finally = step.finally;
        plain.point_of_no_return = step.point_of_no_return;
        plain
    };
    Plan::new(failover().steps().iter().map(plain).collect()).unwrap()
}

/// What happened, without who wrote it.
fn story(records: &[Record]) -> Vec<String> {
    let told = records.iter().filter(|record| !matches!(record.event, Event::Claimed { .. }));
    told.map(|record| format!("{:?} {} {:?} {}", record.step, record.attempt, record.event, record.at)).collect()
}

fn result(records: &[Record]) -> RunResult {
    match records.last().map(|record| &record.event) {
        Some(Event::Finished { result, .. }) => *result,
        other => panic!("the run has not ended: {other:?}\n{}", lines(records)),
    }
}

#[test]
fn nothing_starts_on_the_standby_before_the_point_of_no_return_and_data_does_not_wait_for_it() {
    let plan = failover();
    let waits = |id: &str| -> Vec<String> { plan.step(&engine_world::id(id)).unwrap().dependencies().map(ToString::to_string).collect() };
    assert_eq!(waits("verify/approval"), ["preflight"]);
    assert_eq!(waits("promote"), ["stop/approval", "stop/identity"]);
    assert_eq!(waits("start/identity/tier/data"), ["promote", "restore/identity/objects", "restore/identity/volume/files", "verify/identity"]);
    assert_eq!(waits("start/approval/tier/data"), ["check/identity/login", "restore/approval/objects", "restore/approval/volume/files", "verify/approval"]);
    assert_eq!(waits("traffic"), ["check/approval/login"]);
}

#[test]
fn cut_after_any_record_the_failover_ends_in_the_same_way() {
    let (plan, mut world) = (in_the_small_world(), World::new());
    let mut whole = Store { keep_worlds: true, ..Store::default() };
    run(&plan, &mut whole, &mut world);
    assert_eq!(result(&whole.records), RunResult::Succeeded, "{}", lines(&whole.records));
    for cut in 0..whole.records.len() {
        let mut world = whole.worlds[cut].clone();
        let mut store = Store { records: whole.records[..cut].to_vec(), ..Store::default() };
        run(&plan, &mut store, &mut world);
        assert_eq!(story(&store.records), story(&whole.records), "cut before record {}", cut + 1);
        check(&plan, &store.records, &world);
    }
}

#[test]
fn aborted_at_any_moment_it_goes_back_before_the_point_of_no_return_and_forward_after_it() {
    let plan = in_the_small_world();
    let (mut world, mut whole) = (World::new(), Store::default());
    run(&plan, &mut whole, &mut world);
    let mut results = Vec::new();
    for second in 0..world.now.duration_since(engine_world::start()).as_secs() {
        let (mut world, mut store) = (World::new(), Store::default());
        let mut orchestrator = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
        let mut asked = false;
        run_with(&plan, &mut store, &mut world, &mut orchestrator, |world, _| {
            if !asked && world.now >= engine_world::start() + seconds(second) {
                asked = true;
                world.actions.push(action(ActionKind::Abort, None));
            }
        })
        .unwrap();
        check(&plan, &store.records, &world);
        let promoted = store.records.iter().any(|record| record.step.as_ref().is_some_and(|id| id.as_str() == "promote") && record.event == Event::Done);
        assert_eq!(result(&store.records), if promoted { RunResult::Succeeded } else { RunResult::Aborted }, "{}", lines(&store.records));
        results.push(promoted);
    }
    assert!(results.contains(&true) && results.contains(&false));
}

#[test]
fn a_failure_at_any_step_for_a_while_or_for_good_keeps_every_rule() {
    let plan = in_the_small_world();
    for step in plan.steps() {
        for failure in [Behaviour::FailsForNow(1), Behaviour::FailsForGood(1), Behaviour::Refuses(1), Behaviour::Hangs] {
            let times = if failure == Behaviour::FailsForNow(1) { 1 } else { 20 };
            let script = if step.finally { vec![failure; 2] } else { vec![failure; times] };
            let mut world = World::new().script(step.id.as_str(), false, &script);
            let mut store = Store::default();
            run(&plan, &mut store, &mut world);
            check(&plan, &store.records, &world);
            if times == 1 && step.retry.attempts > 1 {
                assert_eq!(result(&store.records), RunResult::Succeeded, "{} failed once:\n{}", step.id, lines(&store.records));
            }
        }
    }
}
