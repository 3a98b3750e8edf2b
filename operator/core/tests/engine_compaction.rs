//! A compacted journal says what the whole one said, and a run may fail for a year without filling it.

use crate::engine_world::{
    Behaviour, Fuse, Orchestrator, Store, TestPlan, action,
    check::check,
    draft::draft,
    id, lines, run, run_with, seconds, start,
    story::{drill, ids, step},
};
use jiff::{SignedDuration, Timestamp};
use p861_core::engine::{
    Command, Direction, Entry, Event, Evidence, Failure, Head, Journal, JournalError, LONGEST_CLEAN_UP_WAIT, MAX_TEXT_CHARS, MIN_RECORDS_SAVED, Plan, Record,
    RunResult, RunSummary, WaitsFor, advance, settle, summary,
};
use p861_crds::{Reason, common::ActionKind};
use proptest::prelude::*;

fn told(records: &[Record]) -> Vec<(Option<String>, u32, Event, Timestamp)> {
    let told = records.iter().filter(|record| !matches!(record.event, Event::Claimed { .. }));
    told.map(|record| (record.step.as_ref().map(ToString::to_string), record.attempt, record.event.clone(), record.at)).collect()
}

fn says(plan: &TestPlan, journal: &Journal, now: Timestamp) -> (RunSummary, Vec<Command>, Option<Timestamp>) {
    let due = advance(plan, journal, now).unwrap();
    (summary(plan, journal, now).unwrap(), due.commands, due.next)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compacted_anywhere_and_cut_anywhere_after_it_the_journal_says_the_same_and_leads_to_the_same_story(
        draft in draft(), failures in 2..6_usize, abort in proptest::option::of(1..12_i64), retry in 10..40_i64, kill in 1..40_u32, one in 3..9_usize,
    ) {
        let plan = draft.plan();
        let mut world = draft.world();
        for step in plan.steps() {
            world.scripts.insert((step.id.clone(), !step.finally), vec![Behaviour::FailsForGood(1); failures]);
        }
        let mut whole = Store { keep_worlds: true, ..Store::default() };
        // Some executors claim the run for nothing, one is killed on the way.
        for _ in 0..3 {
            let mut killed = Orchestrator::claim(&plan, &mut whole, &world, Fuse(None)).unwrap();
            killed.fuse = Fuse(Some(kill / 8));
            let _ = killed.pass(&plan, &mut whole, &mut world);
        }
        let mut orchestrator = Orchestrator::claim(&plan, &mut whole, &world, Fuse(None)).unwrap();
        let (mut aborted, mut retried) = (false, false);
        run_with(&plan, &mut whole, &mut world, &mut orchestrator, |world, journal| {
            let passed = world.now.duration_since(start()).as_secs();
            if !aborted && abort.is_some_and(|second| passed >= second) {
                aborted = true;
                world.actions.push(action(ActionKind::Abort, None));
            }
            if !retried && passed >= retry {
                retried = true;
                let failed = summary(&plan, journal, world.now).unwrap().current.into_iter().find(|step| step.failure.is_some());
                world.actions.extend(failed.map(|step| action(ActionKind::Retry, Some(step.id.as_str()))));
            }
        }).unwrap();
        check(&plan, &whole.records, &world);
        for cut in (1..whole.records.len()).skip(one % 3).step_by(one) {
            let prefix = Journal::from_records(whole.records[..cut].to_vec()).unwrap();
            let Some(shorter) = prefix.compacted(&plan, 1) else { continue };
            prop_assert!(shorter.records().len() < cut);
            let text = shorter.to_lines().unwrap();
            prop_assert_eq!(&Journal::from_lines(&text).unwrap(), &shorter);
            // Every later record, and where the run stands after each.
            let (mut short, mut long) = (shorter.clone(), prefix.clone());
            for (record, world) in whole.records[cut..].iter().zip(&whole.worlds[cut..]) {
                prop_assert_eq!(says(&plan, &short, world.now), says(&plan, &long, world.now), "{}\nstands for\n{}", lines(short.records()), lines(long.records()));
                short.push(record.clone()).unwrap();
                long.push(record.clone()).unwrap();
                // Compacted again, on top.
                if let Some(again) = short.compacted(&plan, 3) {
                    short = again;
                }
            }
            prop_assert_eq!(says(&plan, &short, world.now), says(&plan, &long, world.now));
            // Resumed from it.
            let mut resumed_world = whole.worlds[cut].clone();
            let mut resumed = Store { records: whole.records[..cut].to_vec(), compacted: Some(text), ..Store::default() };
            // What people asked in the first life after the cut is asked again in this one only by the world's own people.
            if !whole.records[cut..].iter().any(|record| matches!(&record.event, Event::Action { action, .. } if action.reason.is_some() || action.action != ActionKind::Answer)) {
                run(&plan, &mut resumed, &mut resumed_world);
                prop_assert_eq!(told(&resumed.records), told(&whole.records));
                check(&plan, &resumed.records, &resumed_world);
            }
        }
    }
}

/// The store of an executor that runs for long: what is stored is compacted as an executor does it, and measured.
struct Longest {
    plan: TestPlan,
    journal: Journal,
    written: u64,
    most_bytes: usize,
}

impl Longest {
    fn append(&mut self, record: Record) {
        self.journal.push(record).unwrap();
        self.written += 1;
        if let Some(shorter) = self.journal.compacted(&self.plan, MIN_RECORDS_SAVED) {
            self.journal = shorter;
        }
        self.most_bytes = self.most_bytes.max(self.journal.to_lines().unwrap().len());
    }
}

/// A drill whose start fails while its standby dies: an undo and two clean-up steps fail for a year. The executor restarts every day.
#[test]
fn a_year_of_a_dead_site_stays_small_and_ends_when_the_site_returns() {
    let mut steps = drill();
    steps.push(step("remove/movers").finally());
    let plan: TestPlan = Plan::new(steps).unwrap();
    let mut run = Longest { journal: Journal::new(), plan, written: 0, most_bytes: 0 };
    let year = SignedDuration::from_hours(365 * 24);
    let (mut now, mut token, mut claimed) = (start(), 0, Timestamp::MIN);
    let mut waits = SignedDuration::ZERO;
    while !run.journal.is_finished() {
        if now.duration_since(claimed) >= SignedDuration::from_hours(24) {
            let claim = run.journal.claim(run.plan.digest(), "operator", now);
            (token, claimed) = (claim.token, now);
            run.append(claim);
        }
        let mut ahead = run.journal.clone();
        let pass = settle(&run.plan, &mut ahead, token, now).unwrap();
        pass.records.into_iter().for_each(|record| run.append(record));
        let dead = now.duration_since(start()) < year;
        for command in &pass.commands {
            let fails = |direction, step: &str| dead && (direction == Direction::Undo || step == "start" || step.starts_with("remove"));
            let failure = || Failure::transient(Reason::Unreachable, "x".repeat(100_000));
            let entry = match command {
                Command::Perform { step, attempt } if step.as_str() == "start" && fails(Direction::Forward, "start") => {
                    Entry::failed(step.clone(), *attempt, Failure::permanent(Reason::Unreachable, "no"), None)
                }
                Command::Perform { step, attempt } if fails(Direction::Forward, step.as_str()) => {
                    Entry::failed(step.clone(), *attempt, failure(), Evidence::NodeDrained { node: "last".into() })
                }
                Command::Perform { step, attempt } => Entry::done(step.clone(), *attempt, None),
                Command::PerformUndo { step, attempt } if dead => Entry::undo_failed(step.clone(), *attempt, failure(), None),
                Command::PerformUndo { step, attempt } => Entry::undone(step.clone(), *attempt, None),
                other => panic!("{other:?}"),
            };
            let record = run.journal.stamp(entry, token, now + seconds(1));
            run.append(record);
        }
        let later = pass.next.filter(|_| pass.commands.is_empty()).unwrap_or(now + seconds(2));
        waits = waits.max(later.duration_since(now));
        now = later;
        assert!(now.duration_since(start()) < year + SignedDuration::from_hours(3), "the site is back, the run must end");
    }
    assert!(waits > SignedDuration::from_mins(55) && waits <= LONGEST_CLEAN_UP_WAIT, "the longest wait was {waits:?}");
    assert!(run.written > 17_000, "only {} records were written: the test tests nothing", run.written);
    assert!(run.most_bytes < 64 * 1024, "the journal grew to {} bytes", run.most_bytes);
    assert!(matches!(run.journal.records().last().unwrap().event, Event::Finished { result: RunResult::Failed, .. }));
    assert!(run.journal.token() > 360);
    let undo = run.journal.records().iter().find(|record| matches!(record.event, Event::FailedRepeatedly { direction: Direction::Undo, .. })).unwrap();
    let Event::FailedRepeatedly { count, first, failure, .. } = &undo.event else { unreachable!() };
    assert!(*count > 8_000 && undo.attempt == *count && first.duration_since(start()) < SignedDuration::from_mins(1), "{count} from {first}");
    assert_eq!(failure.message.chars().count(), MAX_TEXT_CHARS);
}

/// A journal with one clean-up step that has failed so often, and its plan.
fn failing(failures: u32) -> (TestPlan, Journal, Timestamp) {
    let plan: TestPlan = Plan::new(vec![step("work"), step("remove").finally().after(ids([]))]).unwrap();
    let mut journal = Journal::new();
    journal.push(journal.claim(plan.digest(), "operator", start())).unwrap();
    let mut now = start();
    let put = |journal: &mut Journal, entry, at| journal.push(journal.stamp(entry, 1, at)).unwrap();
    put(&mut journal, Entry::of(id("work"), 1, Event::Intent), now);
    put(&mut journal, Entry::done(id("work"), 1, None), now);
    for attempt in 1..=failures {
        put(&mut journal, Entry::of(id("remove"), attempt, Event::Intent), now);
        let failure = Failure::transient(Reason::Unreachable, format!("attempt {attempt}"));
        put(&mut journal, Entry::failed(id("remove"), attempt, failure, None), now + seconds(1));
        now = advance(&plan, &journal, now + seconds(1)).unwrap().next.unwrap();
    }
    (plan, journal, now)
}

#[test]
fn on_paper_a_compacted_journal_has_a_head_and_one_record_for_many_failures() {
    let (plan, journal, _) = failing(40);
    let shorter = journal.compacted(&plan, MIN_RECORDS_SAVED).unwrap();
    insta::assert_snapshot!(shorter.to_lines().unwrap().replace(plan.digest(), "sha256:x"), @r#"
    {"compacted":{"records":4,"through":83}}
    {"sequence":1,"token":1,"event":{"type":"Claimed","plan":"sha256:x"},"at":"2026-11-15T01:00:00Z","by":"operator"}
    {"sequence":2,"token":1,"step":"work","attempt":1,"event":{"type":"Intent"},"at":"2026-11-15T01:00:00Z"}
    {"sequence":3,"token":1,"step":"work","attempt":1,"event":{"type":"Done"},"at":"2026-11-15T01:00:00Z"}
    {"sequence":83,"token":1,"step":"remove","attempt":40,"event":{"type":"FailedRepeatedly","direction":"Forward","count":40,"first":"2026-11-15T01:00:00Z","failure":{"class":"Transient","reason":"Unreachable","message":"attempt 40"}},"at":"2026-11-16T05:08:55Z"}
    "#);
}

#[test]
fn a_compacted_journal_that_lost_a_record_is_not_read() {
    let (plan, journal, _) = failing(40);
    let shorter = journal.compacted(&plan, 1).unwrap();
    let (head, records) = (shorter.head(), shorter.records().to_vec());
    for lost in 0..records.len() {
        let mut records = records.clone();
        records.remove(lost);
        assert!(Journal::from_compacted(head, records).is_err(), "without record {lost}");
    }
    let error = Journal::from_compacted(Head { records: 5, ..head }, records).unwrap_err();
    assert_eq!(error, JournalError::Compacted { expected: 5, seen: 4, through: 83 });
}

#[test]
fn of_another_plan_nothing_is_compacted() {
    let (_, journal, _) = failing(40);
    let other: TestPlan = Plan::new(vec![step("work"), step("remove").finally(), step("more")]).unwrap();
    assert_eq!(journal.compacted(&other, 1), None);
}

#[test]
fn a_clean_up_that_waits_an_hour_says_when_it_tries_again_and_a_retry_starts_it_at_once() {
    let (plan, mut journal, next) = failing(40);
    let now = next - SignedDuration::from_mins(50);
    let seen = summary(&plan, &journal, now).unwrap();
    assert_eq!(seen.current[0].waits_for, WaitsFor::Retry { time: next });
    assert_eq!(seen.clean_up_trouble[0].failures, 40);
    assert!(settle(&plan, &mut journal, 1, now).unwrap().records.is_empty());
    for entry in journal.uncopied(&[action(ActionKind::Retry, Some("remove"))]) {
        journal.push(journal.stamp(entry, 1, now)).unwrap();
    }
    let pass = settle(&plan, &mut journal, 1, now).unwrap();
    assert_eq!(pass.commands, [Command::Perform { step: id("remove"), attempt: 41 }]);
    // If it fails again, the waits begin again with the shortest.
    let failure = Entry::failed(id("remove"), 41, Failure::transient(Reason::Unreachable, "no"), None);
    journal.push(journal.stamp(failure, 1, now + seconds(1))).unwrap();
    assert_eq!(advance(&plan, &journal, now + seconds(1)).unwrap().next, Some(now + seconds(2)));
}

#[test]
fn fault_d7_every_text_of_a_record_is_cut_also_those_of_its_evidence() {
    use p861_core::engine::{MAX_EVIDENCE_TEXT_CHARS, SavedPart};
    let (_, journal, now) = failing(1);
    let part = SavedPart {
        part: "volumes/files".into(),
        files: 1,
        bytes: 1,
        added: 1,
        started_at: now,
        sha256: None,
        warnings: vec!["ü".repeat(100_000), "short".into()],
        warned: 2,
    };
    let failure = Failure::transient(Reason::Unreachable, "x".repeat(100_000));
    let record = journal.stamp(Entry::failed(id("remove"), 2, failure, Evidence::VolumeSaved(part)), 1, now);
    let Some(Evidence::VolumeSaved(kept)) = &record.evidence else { panic!("{record:?}") };
    assert_eq!(kept.warnings[0].chars().count(), MAX_EVIDENCE_TEXT_CHARS + 1, "and the sign of the cut");
    assert_eq!(kept.warnings[1], "short");
    assert!(serde_json::to_string(&record).unwrap().len() < 16 * 1024);
}
