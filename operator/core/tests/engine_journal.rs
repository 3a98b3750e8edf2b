//! What a journal accepts: no gaps, no loser's records, nothing impossible; and what it looks like on paper.

use jiff::Timestamp;
use p861_core::engine::{
    AbortCause, Answer, AskKind, Entry, Event, Evidence, Failure, Journal, JournalError, Plan, Record, ReplayError, RunResult, SkipCause, Step, StepId,
    advance, summary,
};
use p861_crds::{
    Reason,
    common::{ActionKind, RunAction},
};

fn id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

fn at(second: i64) -> Timestamp {
    "2026-11-15T01:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second)
}

fn action(kind: ActionKind) -> RunAction {
    RunAction { action: kind, step: None, reason: Some("wrong day".to_owned()), answer: None, duration: None, by: Some("drill-leader".to_owned()) }
}

/// A claimed journal in which these happened to step `a`.
fn journal(events: &[(u32, Event)]) -> Journal {
    let mut journal = Journal::new();
    journal.push(journal.claim("sha256:x", "operator-0", at(0))).unwrap();
    for (attempt, event) in events {
        push(&mut journal, *attempt, event.clone()).unwrap();
    }
    journal
}

fn push(journal: &mut Journal, attempt: u32, event: Event) -> Result<(), JournalError> {
    let entry = if event.is_about_step() { Entry::of(id("a"), attempt, event) } else { Entry::run(event) };
    journal.push(journal.stamp(entry, journal.token(), at(1)))
}

fn failed() -> Event {
    Event::Failed(Failure::transient(Reason::from_text("Unavailable"), "503"))
}

fn undo_failed() -> Event {
    Event::UndoFailed(Failure::transient(Reason::from_text("Unavailable"), "503"))
}

fn not_reached() -> Event {
    Event::Skipped { cause: SkipCause::DependencyFailed { step: id("b") } }
}

fn skipped() -> Event {
    Event::Skipped { cause: SkipCause::Person { reason: "not needed".to_owned() } }
}

/// Every state of a step, with how it is reached and in words; and, for each event, in which of them it may happen.
#[test]
fn each_event_may_follow_only_where_it_makes_sense() {
    use Event::{Done, Intent, UndoIntent, Undone};
    let asked = || Event::Asked { kind: AskKind::Prompt };
    let yes = || Event::Answered { answer: Answer::Yes };
    let states: Vec<(&str, Vec<(u32, Event)>)> = vec![
        ("not started", vec![]),
        ("waiting for an answer", vec![(0, asked())]),
        ("answered and about to start", vec![(0, asked()), (0, yes())]),
        ("under way (attempt 1)", vec![(1, Intent)]),
        ("failed (Unavailable)", vec![(1, Intent), (1, failed())]),
        ("done", vec![(1, Intent), (1, Done)]),
        ("skipped", vec![(1, Intent), (1, failed()), (0, skipped())]),
        ("skipped", vec![(0, not_reached())]),
        ("being undone (attempt 1)", vec![(1, Intent), (1, Done), (1, UndoIntent)]),
        ("not yet undone (Unavailable)", vec![(1, Intent), (1, Done), (1, UndoIntent), (1, undo_failed())]),
        ("undone", vec![(1, Intent), (1, Done), (1, UndoIntent), (1, Undone)]),
        ("left as it is, its undo was skipped", vec![(1, Intent), (1, Done), (1, UndoIntent), (1, undo_failed()), (0, skipped())]),
    ];
    // A row per event, a column per state above: * where it may happen with the right attempt.
    let table: Vec<(Event, &str)> = vec![
        (asked(), "*...*..*...."),
        (Event::Asked { kind: AskKind::Failure }, "....*......."),
        (yes(), ".*.........."),
        (Intent, "*.*.*..*...."),
        (Done, "...*........"),
        (failed(), ".*.*........"),
        (skipped(), "***.*..*.*.."),
        (not_reached(), "***.*..*...."),
        (UndoIntent, "....***..*.."),
        (Undone, "........*..."),
        (undo_failed(), "........*..."),
    ];
    for (event, row) in table {
        for ((state, path), expected) in states.iter().zip(row.chars()) {
            let before = journal(path);
            let taken = (0..4).any(|attempt| push(&mut before.clone(), attempt, event.clone()).is_ok());
            assert_eq!(taken, expected == '*', "{} while {state} ({path:?})", event.name());
            // The attempt must be the next one, or the one under way.
            if taken && matches!(event, Intent | Done | UndoIntent | Undone) {
                let right: Vec<u32> = (0..9).filter(|attempt| push(&mut before.clone(), *attempt, event.clone()).is_ok()).collect();
                assert_eq!(right.len(), 1, "{} while {state} is taken with attempts {right:?}", event.name());
            }
            if !taken {
                let mut after = before.clone();
                let error = push(&mut after, 1, event.clone()).unwrap_err();
                assert_eq!(after, before, "a refused record changed the journal");
                let sequence = before.sequence() + 1;
                assert_eq!(error.to_string(), format!("record {sequence}: step a is {state}, so {} (attempt 1) cannot follow", event.name()));
            }
        }
    }
}

#[test]
fn a_record_in_the_wrong_place_is_refused_and_the_message_says_what_was_seen() {
    let good = journal(&[(1, Event::Intent)]);
    let next = good.stamp(Entry::done(id("a"), 1, None), 1, at(2));
    let finish = Event::Finished { result: RunResult::Succeeded, reason: Reason::Complete, message: String::new() };
    let cases: Vec<(Record, &str)> = vec![
        (Record { sequence: 5, ..next.clone() }, "record 5 (Done) follows record 2; 3 was expected: records are missing, read the journal again"),
        (Record { sequence: 2, ..next.clone() }, "record 2 (Done) follows record 2; 3 was expected: another orchestrator has written, read the journal again"),
        (
            Record { token: 0, ..next.clone() },
            "record 3 (Done) has token 0, but the run was claimed with token 1: this orchestrator has lost the run and must stop",
        ),
        (Record { token: 2, ..next.clone() }, "record 3 (Done) has token 2, which nobody has claimed; the journal's token is 1: append a claim first"),
        (Record { step: None, ..next.clone() }, "record 3 (Done) names no step"),
        (Record { event: finish.clone(), ..next.clone() }, "record 3 (Finished) names a step, but is about the run"),
        (
            good.stamp(Entry::run(Event::Claimed { plan: "sha256:x".to_owned() }), 1, at(2)),
            "record 3 (Claimed) has token 1, but the run was claimed with token 1: this orchestrator has lost the run and must stop",
        ),
        (
            good.stamp(Entry::run(Event::Action { index: 1, action: action(ActionKind::Abort) }), 1, at(2)),
            "record 3 copies action 1 of the run, but 0 is the next; copy each action once, in order",
        ),
        (
            good.stamp(Entry::run(Event::ActionRefused { index: 0, message: String::new() }), 1, at(2)),
            "record 3 copies action 0 of the run, but 0 is the next; copy each action once, in order",
        ),
    ];
    for (record, message) in cases {
        let mut journal = good.clone();
        assert_eq!(journal.push(record).unwrap_err().to_string(), message);
        assert_eq!(journal, good);
    }

    let mut over = journal(&[]);
    push(&mut over, 0, finish).unwrap();
    let claim = over.claim("sha256:x", "operator-1", at(9));
    let error = over.push(claim).unwrap_err().to_string();
    assert_eq!(error, "record 3 (Claimed) comes after the end of the run, which record 2 states; nothing may follow");

    let unclaimed = Journal::new().push(Record { sequence: 1, token: 0, ..next }).unwrap_err().to_string();
    assert_eq!(unclaimed, "record 1 (Done) has token 0, which nobody has claimed; the journal's token is 0: append a claim first");
}

#[test]
fn the_orchestrator_that_lost_the_run_is_told_so_even_if_its_place_is_taken() {
    let mut shared = journal(&[(1, Event::Intent)]);
    let mut loser = shared.clone();
    shared.push(shared.claim("sha256:x", "operator-1", at(2))).unwrap();
    let record = loser.stamp(Entry::done(id("a"), 1, None), 1, at(3));
    loser.push(record.clone()).unwrap();
    assert!(matches!(shared.push(record), Err(JournalError::StaleToken { current: 2, seen: 1, .. })));
}

#[test]
fn each_action_of_a_person_is_copied_once() {
    let mut journal = journal(&[]);
    let mut asked = vec![action(ActionKind::Pause), action(ActionKind::Resume)];
    for entry in journal.uncopied(&asked) {
        assert_eq!(entry.by.as_deref(), Some("drill-leader"));
        journal.push(journal.stamp(entry, 1, at(2))).unwrap();
    }
    assert!(journal.uncopied(&asked).is_empty());
    asked.push(action(ActionKind::Abort));
    let again = journal.uncopied(&asked);
    assert_eq!(again.len(), 1);
    assert!(matches!(&again[0].event, Event::Action { index: 2, action } if action.action == ActionKind::Abort));
    assert_eq!(journal.observed_actions(), 2);
    // What has no effect is told with what was asked for, and by whom.
    assert_eq!(journal.refusal(1, "the run is not paused"), "Resume by drill-leader has no effect: the run is not paused");
}

#[test]
fn an_action_without_effect_is_told_with_its_step() {
    let mut journal = journal(&[]);
    let asked = RunAction { step: Some("clean-up".to_owned()), by: None, ..action(ActionKind::Skip) };
    for entry in journal.uncopied(&[asked]) {
        journal.push(journal.stamp(entry, 1, at(2))).unwrap();
    }
    assert_eq!(journal.refusal(0, "it has not failed"), "Skip of step clean-up by somebody has no effect: it has not failed");
}

#[test]
fn on_paper_a_record_is_one_line_that_stays_the_same() {
    let mut journal = journal(&[(0, Event::Asked { kind: AskKind::Prompt }), (0, Event::Answered { answer: Answer::TimedOut }), (1, Event::Intent)]);
    let evidence = Evidence::CommandRun { workload: "Deployment/cms".into(), output: "line\nbreak".into() };
    journal.push(journal.stamp(Entry::failed(id("a"), 1, Failure::permanent(Reason::from_text("Broken"), "it is broken"), evidence), 1, at(2))).unwrap();
    for event in [not_reached(), skipped(), Event::UndoIntent, undo_failed(), Event::UndoIntent, Event::Undone] {
        let attempt = match &event {
            Event::UndoIntent | Event::Undone | Event::UndoFailed(_) => {
                1 + u32::from(journal.records().iter().any(|record| record.event.name() == "UndoFailed"))
            }
            _ => 0,
        };
        // The first skip does not suit a failed attempt that is skipped again by a person.
        push(&mut journal, attempt, event).unwrap();
    }
    push(&mut journal, 0, Event::Action { index: 0, action: action(ActionKind::Abort) }).unwrap();
    push(&mut journal, 0, Event::ActionRefused { index: 0, message: "too late".to_owned() }).unwrap();
    push(&mut journal, 0, Event::AbortRequested { cause: AbortCause::Superseded, reason: "failover".to_owned() }).unwrap();
    push(&mut journal, 0, Event::Finished { result: RunResult::Aborted, reason: Reason::Superseded, message: "failover".to_owned() }).unwrap();
    let text: Vec<String> = journal.records().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
    {"sequence":1,"token":1,"event":{"type":"Claimed","plan":"sha256:x"},"at":"2026-11-15T01:00:00Z","by":"operator-0"}
    {"sequence":2,"token":1,"step":"a","event":{"type":"Asked","kind":"Prompt"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":3,"token":1,"step":"a","event":{"type":"Answered","answer":"TimedOut"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":4,"token":1,"step":"a","attempt":1,"event":{"type":"Intent"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":5,"token":1,"step":"a","attempt":1,"event":{"type":"Failed","class":"Permanent","reason":"Broken","message":"it is broken"},"at":"2026-11-15T01:00:02Z","evidence":{"kind":"commandRun","output":"line\nbreak","v":1,"workload":"Deployment/cms"}}
    {"sequence":6,"token":1,"step":"a","event":{"type":"Skipped","cause":{"kind":"DependencyFailed","step":"b"}},"at":"2026-11-15T01:00:01Z"}
    {"sequence":7,"token":1,"step":"a","event":{"type":"Skipped","cause":{"kind":"Person","reason":"not needed"}},"at":"2026-11-15T01:00:01Z"}
    {"sequence":8,"token":1,"step":"a","attempt":1,"event":{"type":"UndoIntent"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":9,"token":1,"step":"a","attempt":1,"event":{"type":"UndoFailed","class":"Transient","reason":"Unavailable","message":"503"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":10,"token":1,"step":"a","attempt":2,"event":{"type":"UndoIntent"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":11,"token":1,"step":"a","attempt":2,"event":{"type":"Undone"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":12,"token":1,"event":{"type":"Action","index":0,"action":{"action":"Abort","reason":"wrong day","by":"drill-leader"}},"at":"2026-11-15T01:00:01Z"}
    {"sequence":13,"token":1,"event":{"type":"ActionRefused","index":0,"message":"too late"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":14,"token":1,"event":{"type":"AbortRequested","cause":"Superseded","reason":"failover"},"at":"2026-11-15T01:00:01Z"}
    {"sequence":15,"token":1,"event":{"type":"Finished","result":"Aborted","reason":"Superseded","message":"failover"},"at":"2026-11-15T01:00:01Z"}
    "#);
    assert_eq!(Journal::from_lines(&text.join("\n\n")).unwrap(), journal);
}

#[test]
fn a_damaged_journal_is_not_read() {
    let good = journal(&[(1, Event::Intent), (1, Event::Done)]);
    let lines: Vec<String> = good.records().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    let read = |lines: &[&str]| Journal::from_lines(&lines.join("\n")).unwrap_err().to_string();
    assert!(read(&[&lines[0], &lines[2]]).starts_with("record 3 (Done) follows record 1; 2 was expected"));
    assert!(
        read(&[&lines[1]]).starts_with("record 2 (Intent) has token 1, which nobody has claimed")
            || read(&[&lines[1]]).starts_with("record 2 (Intent) follows record 0")
    );
    assert!(read(&[&lines[0], &lines[1][..30]]).starts_with("line 2 of the journal is not a record: "));
    assert!(read(&[&lines[0], &lines[1].replace("Intent", "Invent")]).contains("unknown variant `Invent`"));
}

#[test]
fn a_journal_of_another_plan_is_refused() {
    let plan = Plan::new(vec![Step::new(id("b"), "x", jiff::SignedDuration::from_secs(1))]).unwrap();
    let other = advance(&plan, &journal(&[]), at(1)).unwrap_err();
    assert!(matches!(&other, ReplayError::OtherPlan { journal, .. } if journal == "sha256:x"), "{other}");

    let mut journal = Journal::new();
    journal.push(journal.claim(plan.digest(), "operator-0", at(0))).unwrap();
    push(&mut journal, 1, Event::Intent).unwrap();
    let unknown = summary(&plan, &journal, at(1)).unwrap_err().to_string();
    assert_eq!(unknown, "record 2 is about step a, which is not in the plan; go on with the plan that is stored beside the journal");

    let mut journal = Journal::new();
    journal.push(journal.claim(plan.digest(), "operator-0", at(0))).unwrap();
    journal.push(journal.stamp(Entry::of(id("b"), 0, Event::Asked { kind: AskKind::Prompt }), 1, at(1))).unwrap();
    let unplanned = summary(&plan, &journal, at(1)).unwrap_err().to_string();
    assert_eq!(unplanned, "record 2: Asked of step b, which by the plan has no such thing; go on with the plan that is stored beside the journal");
}
