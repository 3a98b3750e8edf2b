//! How long a backup holds its application: from the start of quiesce to the start of resume at most as long as the hooks allow, whatever happens to its parts.

use jiff::{SignedDuration, Timestamp};
use p861_core::{
    engine::{Command, Entry, Event, Failure, Journal, Plan, Step, settle},
    protection::backup::{BackupFacts, Claim, compile},
    runs::{Action, ClaimSnapshot},
};
use p861_crds::{ApplicationSpec, Reason, common::RunAction};
use proptest::prelude::*;
use std::collections::BTreeMap;

const BACKUP_DEADLINE: SignedDuration = SignedDuration::from_hours(6);

/// `snapshots`: so many of the claims are read from snapshots.
fn plan(hold: &str, streams: usize, claims: usize, snapshots: usize) -> Plan<Action> {
    let workload = serde_json::json!({"kind": "StatefulSet", "name": "postgres"});
    let streams: Vec<_> =
        (0..streams).map(|at| serde_json::json!({"name": format!("db-{at}"), "workloadRef": workload, "dump": ["d"], "restore": ["r"]})).collect();
    let hook = |word: &str| serde_json::json!({"workloadRef": workload, "command": [word]});
    let spec: ApplicationSpec = serde_json::from_value(serde_json::json!({"department": "d", "namespaces": ["n"], "streams": streams,
        "hooks": {"quiesce": hook("freeze"), "resume": hook("thaw"), "deadline": hold}}))
    .unwrap();
    let claims: Vec<Claim> = (0..claims).map(|at| Claim { namespace: "n".into(), name: format!("files-{at}") }).collect();
    let snapshot = |claim: &Claim| ClaimSnapshot {
        namespace: claim.namespace.clone(),
        claim: claim.name.clone(),
        class: "snap".into(),
        storage_class: "block".into(),
        bytes: 1,
    };
    let snapshots: Vec<ClaimSnapshot> = claims.iter().take(snapshots).map(snapshot).collect();
    let facts = BackupFacts {
        backup: "b",
        application: "a",
        district: "d",
        site: &"west".into(),
        spec: &spec,
        claims: &claims,
        missing: &[],
        snapshots: &snapshots,
        half_restored: None,
        parent: None,
        deadline: BACKUP_DEADLINE,
    };
    compile(&facts).unwrap()
}

/// What an attempt of an effect does, after so many seconds.
#[derive(Clone, Copy, Debug)]
enum Does {
    Works(i64),
    Fails(i64),
    Hangs,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![(0..90_i64).prop_map(Does::Works), (0..90_i64).prop_map(Does::Fails), Just(Does::Hangs)]
}

fn is_hold(step: &Step<Action>) -> bool {
    step.id.as_str() == "quiesce/a"
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// Plays a backup, and gives how long the application was held: from the intent of quiesce to that of resume or of the undo.
fn held(plan: &Plan<Action>, courses: &[Does], paused_at: Option<i64>) -> Option<SignedDuration> {
    let mut journal = Journal::new();
    let claim = journal.claim(plan.digest(), "p", at(0));
    let token = claim.token;
    journal.push(claim).unwrap();
    let mut begun: BTreeMap<(String, u32, bool), (i64, Does)> = BTreeMap::new();
    let mut next_course = courses.iter().copied().cycle();
    let mut actions = Vec::new();
    for second in 0..1_000 {
        // Nobody can ask anything of a run that has ended.
        if journal.records().iter().any(|record| matches!(record.event, Event::Finished { .. })) {
            break;
        }
        if paused_at == Some(second) {
            actions.push(serde_json::from_value::<RunAction>(serde_json::json!({"action": "Pause"})).unwrap());
        }
        for _ in 0..200 {
            let now = at(second);
            let copied: Vec<Entry> = journal.uncopied(&actions).into_iter().collect();
            for entry in copied {
                let record = journal.stamp(entry, token, now);
                journal.push(record).unwrap();
            }
            let due = settle(plan, &mut journal, token, now).unwrap();
            let mut ended: Option<Entry> = None;
            for command in due.commands {
                let failure = || Failure::transient(Reason::from_text("Unavailable"), "for now");
                ended = match command {
                    Command::Perform { step, attempt } => {
                        let first = step.as_str() == "quiesce/a" || step.as_str() == "resume/a";
                        let (since, does) = *begun
                            .entry((step.to_string(), attempt, false))
                            .or_insert_with(|| (second, if first { Does::Works(3) } else { next_course.next().unwrap() }));
                        match does {
                            Does::Works(after) if second - since >= after => Some(Entry::done(step, attempt, None)),
                            Does::Fails(after) if second - since >= after => Some(Entry::failed(step, attempt, failure(), None)),
                            _ => None,
                        }
                    }
                    Command::PerformUndo { step, attempt } => Some(Entry::undone(step, attempt, None)),
                    Command::Cancel { step, attempt, cause, .. } => Some(Entry::failed(step, attempt, cause.failure(), None)),
                    _ => None,
                };
                if ended.is_some() {
                    break;
                }
            }
            let Some(entry) = ended else { break };
            let record = journal.stamp(entry, token, at(second));
            journal.push(record).unwrap();
        }
    }
    let records = journal.records();
    let since = records.iter().find(|record| record.step.as_ref().is_some_and(|id| id.as_str() == "quiesce/a"))?.at;
    let released = records.iter().find(|record| {
        let id = record.step.as_ref().map(p861_core::engine::StepId::as_str);
        matches!((&record.event, id), (Event::Intent, Some("resume/a")) | (Event::UndoIntent, Some("quiesce/a")))
    });
    released.map(|record| record.at.duration_since(since))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fault_c8_an_application_is_held_no_longer_than_its_hooks_allow(
        (minutes, streams, claims, snapshots) in (1..4_i64, 0..3_usize, 0..3_usize, 0..3_usize),
        courses in prop::collection::vec(does(), 1..9),
        paused_at in prop::option::of(0..200_i64),
    ) {
        let plan = plan(&format!("{minutes}m"), streams, claims, snapshots);
        let limit = SignedDuration::from_mins(minutes);
        if let Some(held) = held(&plan, &courses, paused_at) {
            prop_assert!(held <= limit, "held for {held:?}, and allowed are {limit:?}");
        } else {
            prop_assert!(paused_at.is_some_and(|second| second < 2), "the application was never released");
        }
    }

    #[test]
    fn fault_c8_every_step_between_quiesce_and_resume_works_under_the_hold(
        (seconds, streams, claims, snapshots) in (1..10_000_i64, 0..5_usize, 0..5_usize, 0..5_usize),
    ) {
        let plan = plan(&format!("{seconds}s"), streams, claims, snapshots);
        let limit = SignedDuration::from_secs(seconds);
        let quiesce = plan.steps().iter().find(|step| is_hold(step)).unwrap();
        prop_assert!(quiesce.deadline <= limit && quiesce.retry.attempts == 1);
        let resume = plan.steps().iter().find(|step| step.id.as_str() == "resume/a").unwrap();
        prop_assert!(resume.despite_pause);
        for before in resume.dependencies() {
            let part = plan.step(before).unwrap();
            let hold = part.under.as_ref().unwrap();
            prop_assert_eq!((&hold.since, hold.limit), (&quiesce.id, limit));
            prop_assert!(part.despite_pause && part.after == [quiesce.id.clone()] && part.once_settled.is_empty());
        }
        // Nothing else works under the hold: the application would be held for it and not wait for it.
        let under: Vec<_> = plan.steps().iter().filter(|step| step.under.is_some()).map(|step| step.id.clone()).collect();
        prop_assert_eq!(under.len(), resume.dependencies().count());
        // What is read from a snapshot is not waited for, and neither are the objects beside it.
        let snapshots = snapshots.min(claims);
        prop_assert_eq!(resume.dependencies().count(), if snapshots == 0 { 1 + streams + claims } else { 1 + streams + claims - snapshots });
    }
}

#[test]
fn fault_c8_parts_that_hang_end_together_with_the_hold() {
    let plan = plan("2m", 1, 1, 0);
    assert_eq!(held(&plan, &[Does::Hangs], None), Some(SignedDuration::from_mins(2)));
    assert_eq!(held(&plan, &[Does::Fails(110)], None), Some(SignedDuration::from_mins(2)), "the second attempt ends with the hold");
    assert_eq!(held(&plan, &[Does::Fails(116)], None), Some(SignedDuration::from_secs(119)), "a second attempt would begin after the hold");
    assert_eq!(held(&plan, &[Does::Works(10)], None), Some(SignedDuration::from_secs(13)));
    assert_eq!(held(&plan, &[Does::Works(10)], Some(5)), Some(SignedDuration::from_secs(13)), "a pause does not lengthen it");
}

#[test]
fn an_application_is_held_for_its_snapshots_and_not_for_the_reading_of_them() {
    let plan = plan("2m", 0, 2, 2);
    // Quiesce takes 3 seconds and the snapshots 10; then nothing that hangs holds the application.
    assert_eq!(held(&plan, &[Does::Works(10), Does::Hangs], None), Some(SignedDuration::from_secs(13)));
}
