#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use super::{super::Tree, *};
use crate::{format::Clock, text::Language};
use p861_crds::common::{ActionKind, RunAction, StepCounts, Time};

mod joining;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000 + second).expect("a time")
}

fn step(id: &str, attempt: i32, second: i64) -> CurrentStep {
    CurrentStep { id: id.into(), phase: RunPhase::Running, attempt, start_time: Some(Time(at(second))), ..Default::default() }
}

/// A run whose status has these letters and these steps under way.
fn seen(states: &str, current: Vec<CurrentStep>) -> Snapshot {
    let number = |letter| i32::try_from(states.chars().filter(|state| *state == letter).count()).unwrap_or_default();
    let total = i32::try_from(states.len()).unwrap_or_default();
    let steps = StepCounts { total, done: number('d'), failed: number('f'), skipped: number('s') + number('n'), states: states.into(), ..Default::default() };
    Snapshot { noun: "drill", name: "d".into(), phase: RunPhase::Running, start: Some(at(0)), steps, current, ..Default::default() }
}

/// The same, of a status that says when each step ended.
fn ended(states: &str, ends: &str, current: Vec<CurrentStep>) -> Snapshot {
    let seen = seen(states, current);
    Snapshot { steps: StepCounts { ends: ends.into(), ..seen.steps.clone() }, ..seen }
}

fn story(outline: &str) -> Story {
    let mut story = Story::default();
    story.learn(Outline::parse(outline).expect("an outline"));
    story
}

/// Four steps, one after the other, and clean-up.
const FOUR: &str = r#"[{"id":"a"},{"id":"b","after":["a"]},{"id":"c","after":["b"]},{"id":"clean-up","finally":true}]"#;

fn brief(told: &[Told]) -> Vec<String> {
    let one = |told: &Told| match &told.change {
        Change::Phase(phase) => format!("{phase}"),
        Change::Waits(message) => format!("waits {message}"),
        Change::Started(step) => format!("start {} {}", step.id, step.attempt),
        Change::Says(step) => format!("says {}", step.message),
        Change::Asked(step) => format!("ask {}", step.id),
        Change::Ended(id, how, took) => format!("{how:?} {id} {}", took.map_or("-".into(), |took| took.as_secs().to_string())),
        Change::Refused(refused) => format!("refused {}", refused.why),
    };
    let time = |told: &Told| told.at.map_or_else(|| "-".to_owned(), |at| (at.as_second() - 1_000).to_string());
    told.iter().map(|told| format!("{} {}", time(told), one(told))).collect()
}

#[test]
fn a_run_that_has_not_begun_says_for_what_it_waits_once_for_each_reason() {
    let mut story = Story::default();
    let waits = |message: &str| Snapshot { phase: RunPhase::Pending, waits_for: Some(message.into()), ..Snapshot::default() };
    assert_eq!(brief(&story.update(at(1), &waits("for backup a"))), ["- waits for backup a", "- Pending"]);
    assert!(story.update(at(2), &waits("for backup a")).is_empty());
    assert_eq!(brief(&story.update(at(3), &waits("for backup b"))), ["- waits for backup b"]);
    assert_eq!(brief(&story.update(at(4), &seen("", vec![]))), ["- Running"]);
}

#[test]
fn a_step_ends_when_the_journal_says_and_took_its_time_until_then() {
    let mut story = story(FOUR);
    assert_eq!(brief(&story.update(at(1), &seen("rwww", vec![step("a", 1, 0)]))), ["0 start a 1", "- Running"]);
    assert_eq!(brief(&story.update(at(9), &ended("drww", "7,,,", vec![step("b", 1, 8)]))), ["7 Done a 7", "8 start b 1"]);
    assert!(story.update(at(10), &ended("drww", "7,,,", vec![step("b", 1, 8)])).is_empty(), "nothing changed");
    assert_eq!(brief(&story.update(at(12), &ended("drww", "7,,,", vec![step("b", 2, 11)]))), ["11 start b 2"]);
    assert_eq!(brief(&story.update(at(20), &ended("dfnw", "7,19,,", vec![]))), ["19 Failed b 8", "- NotRun c -"]);
    let end = Snapshot { phase: RunPhase::Failed, completion: Some(at(24)), ..ended("dfnd", "7,19,,23", vec![]) };
    assert_eq!(brief(&story.update(at(25), &end)), ["23 Done clean-up -", "24 Failed"]);
}

#[test]
fn fault_h24_lines_have_the_times_of_the_journal_whatever_the_readers_clock_says() {
    let lines = |skew: i64| {
        let mut story = story(FOUR);
        let mut told = Vec::new();
        for (now, seen) in [
            (10, ended("rwww", "", vec![step("a", 1, 9)])),
            (12, ended("drww", "11,,,", vec![step("b", 1, 11)])),
            (50, ended("ddrw", "11,46,,", vec![step("c", 1, 46)])),
            (52, Snapshot { phase: RunPhase::CleaningUp, ..ended("dddr", "11,46,47,", vec![step("clean-up", 1, 47)]) }),
            (55, Snapshot { phase: RunPhase::Succeeded, completion: Some(at(49)), ..ended("dddd", "11,46,47,49", vec![]) }),
        ] {
            told.extend(brief(&story.update(at(now + skew), &seen)));
            told.extend(brief(&story.lasting(at(now + skew))));
        }
        told
    };
    let expected = [
        "9 start a 1",
        "- Running",
        "11 Done a 2",
        "11 start b 1",
        "46 Done b 35",
        "46 start c 1",
        "47 Done c 1",
        "47 CleaningUp",
        "47 start clean-up 1",
        "49 Done clean-up 2",
        "49 Succeeded",
    ];
    for skew in [-900, 0, 40] {
        assert_eq!(lines(skew), expected, "{skew}");
    }
}

#[test]
fn fault_h24_a_phase_stands_before_what_begins_with_it_and_after_what_ended_before_it() {
    let mut story = story(FOUR);
    story.update(at(1), &ended("ddrw", "0,0,,", vec![step("c", 1, 0)]));
    let cleans = Snapshot { phase: RunPhase::CleaningUp, ..ended("dddr", "0,0,8,", vec![step("clean-up", 1, 8)]) };
    assert_eq!(brief(&story.update(at(9), &cleans)), ["8 Done c 8", "8 CleaningUp", "8 start clean-up 1"]);
}

#[test]
fn whoever_joins_late_is_told_when_each_step_ended_or_no_time_at_all() {
    let mut story = story(FOUR);
    let joined = ended("ddrw", "2,3,,", vec![step("c", 1, 4)]);
    assert_eq!(brief(&story.update(at(500), &joined)), ["2 Done a -", "3 Done b -", "4 start c 1", "- Running"]);
    let end = Snapshot { phase: RunPhase::Succeeded, ..ended("dddd", "2,3,8,9", vec![]) };
    assert_eq!(brief(&story.update(at(509), &end)), ["8 Done c 4", "9 Done clean-up -", "- Succeeded"]);
    // An operator of an earlier release does not say it.
    let mut untold = self::story(FOUR);
    assert_eq!(brief(&untold.update(at(500), &seen("ddrw", vec![step("c", 1, 4)]))), ["- Done a -", "- Done b -", "4 start c 1", "- Running"]);
    assert_eq!(brief(&untold.update(at(509), &seen("dddr", vec![step("clean-up", 1, 8)]))), ["- Done c -", "8 start clean-up 1"]);
}

#[test]
fn what_is_refused_meanwhile_is_told_and_what_was_refused_before_is_not() {
    let refused = |index: usize| Refused {
        index,
        action: RunAction { action: ActionKind::Skip, step: None, reason: None, answer: None, duration: None, by: None },
        why: format!("it is {index}"),
    };
    let mut story = story(FOUR);
    let with = |refused: Vec<Refused>| Snapshot { refused, ..seen("rwww", vec![step("a", 1, 0)]) };
    story.update(at(1), &with(vec![refused(0)]));
    assert_eq!(brief(&story.update(at(2), &with(vec![refused(0), refused(1)]))), ["- refused it is 1"]);
    assert!(story.update(at(3), &with(vec![refused(0), refused(1)])).is_empty());
}

#[test]
fn of_more_steps_than_a_status_describes_the_others_are_under_way_too() {
    let mut story = story(FOUR);
    let told = story.update(at(1), &seen("drrw", vec![step("b", 1, 0)]));
    assert_eq!(brief(&told), ["- Done a -", "0 start b 1", "- start c 1", "- Running"]);
    assert!(story.update(at(2), &seen("drrw", vec![step("c", 1, 1)])).is_empty(), "that it is described now is nothing new");
    let State::Current(c) = &story.steps()[2].state else { panic!("{:?}", story.steps()) };
    assert_eq!(c.start_time, Some(Time(at(1))));
}

#[test]
fn a_run_whose_steps_cannot_be_read_tells_what_is_under_way_and_guesses_no_end() {
    let mut story = Story::default();
    assert_eq!(brief(&story.update(at(1), &seen("rwww", vec![step("a", 1, 0)]))), ["0 start a 1", "- Running"]);
    assert_eq!(brief(&story.update(at(9), &seen("fnnr", vec![step("clean-up", 1, 8)]))), ["- Unclear a -", "8 start clean-up 1"]);
    // Letters of a plan that is not this one's outline say nothing of its steps.
    let mut other = self::story(FOUR);
    assert_eq!(brief(&other.update(at(1), &seen("dd", vec![]))), ["- Running"]);
}

#[test]
fn steps_that_are_learnt_later_take_over_what_is_known() {
    let mut story = story(r#"[{"id":"a"},{"id":"gone"}]"#);
    story.update(at(1), &seen("", vec![step("a", 1, 0), step("hold", 1, 0)]));
    story.learn(Outline::parse(FOUR).expect("an outline"));
    let known: Vec<(&str, bool)> = story.steps().iter().map(|known| (known.id.as_str(), matches!(known.state, State::Current(_)))).collect();
    assert_eq!(known, [("a", true), ("b", false), ("c", false), ("clean-up", false), ("hold", true)]);
}

#[test]
fn a_run_that_ends_without_an_end_of_its_steps_leaves_them_unclear() {
    let mut story = story(FOUR);
    story.update(at(1), &seen("drww", vec![step("b", 1, 0)]));
    let stopped = Snapshot { phase: RunPhase::Failed, ..seen("drww", vec![]) };
    assert_eq!(brief(&story.update(at(9), &stopped)), ["- Unclear b -", "- Failed"]);
}

#[test]
fn a_step_that_begins_to_wait_for_a_person_is_news_and_so_is_its_next_attempt() {
    let mut story = story(FOUR);
    story.update(at(1), &seen("rwww", vec![step("a", 1, 0)]));
    let asked = CurrentStep { phase: RunPhase::WaitingForPerson, ..step("a", 1, 2) };
    assert_eq!(brief(&story.update(at(2), &seen("wwww", vec![asked]))), ["2 ask a"]);
    assert_eq!(brief(&story.update(at(6), &seen("rwww", vec![step("a", 2, 5)]))), ["5 start a 2"]);
}

#[test]
fn fault_d2_a_step_that_waits_for_a_while_says_for_what_and_counts_are_no_news() {
    let mut story = story(FOUR);
    let full = "no node takes its mover: 0/1 nodes are available";
    for (second, message, told) in [
        (1, "its mover starts", None),
        (4, full, None),
        (8, full, None),
        (9, full, Some(full)),
        (60, full, None),
        (61, "12 of 300", None),
        (70, "700 KiB of 2 GiB", None),
        (80, "1.2 GiB of 2 GiB", None),
        (81, "3 movers are being removed", None),
        (86, "2 movers are being removed", Some("2 movers are being removed")),
        (99, "1 mover is being removed", None),
        (100, "under way", None),
        (110, "under way", None),
    ] {
        story.update(at(second), &seen("rwww", vec![CurrentStep { message: message.into(), ..step("a", 1, 0) }]));
        let said = story.lasting(at(second));
        assert_eq!(brief(&said), told.map(|told| format!("- says {told}")).into_iter().collect::<Vec<_>>(), "{second}: {message}");
    }
    story.update(at(120), &seen("dwww", vec![]));
    assert!(story.lasting(at(200)).is_empty(), "it has ended");
}

#[test]
fn a_warning_that_the_cluster_gives_again_later_is_no_news() {
    let mut story = story(FOUR);
    let mut told = Vec::new();
    for (second, time) in [(1, "01:30:05"), (7, "01:30:05"), (30, "01:30:25"), (60, "01:31:05"), (90, "01:31:05")] {
        let message =
            format!("its mover's pod is refused: FailedCreate: pods … is forbidden; as of {time} UTC, and the cluster tries again by itself, within minutes");
        story.update(at(second), &seen("rwww", vec![CurrentStep { message, ..step("a", 1, 0) }]));
        told.extend(brief(&story.lasting(at(second))));
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

/// What whoever joins now is shown.
fn shown(outline: &str, seen: &Snapshot, language: Language) -> Vec<String> {
    let mut story = story(outline);
    story.update(at(60), seen);
    let clock = Clock { now: at(60), zone: jiff::tz::TimeZone::UTC };
    let tree = Tree { seen, story: &story, clock: &clock, language, selected: None, columns: 100 };
    tree.lines(usize::MAX).iter().skip(1).map(|line| line.to_string().trim_end().to_owned()).collect()
}

#[test]
fn a_page_cuts_no_message_and_a_view_fits_its_terminal() {
    let long = "no node takes its mover: ".to_owned() + &"0/12 nodes are available, ".repeat(12);
    let seen = seen("rwww", vec![CurrentStep { message: long.trim_end().into(), ..step("a", 1, 50) }]);
    let mut story = story(FOUR);
    story.update(at(60), &seen);
    let clock = Clock { now: at(60), zone: jiff::tz::TimeZone::UTC };
    let lines = |columns: usize| {
        let tree = Tree { seen: &seen, story: &story, clock: &clock, language: Language::En, selected: None, columns };
        tree.lines(usize::MAX).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(lines(super::super::tree::PAGE).iter().any(|line| line.contains(long.trim_end())), "a page says all of it");
    assert!(lines(80).iter().all(|line| crate::format::width(line) <= 80));
}

/// The lines of a view that is so wide.
fn viewed(story: &Story, seen: &Snapshot, language: Language, columns: usize) -> Vec<String> {
    let clock = Clock { now: at(60), zone: jiff::tz::TimeZone::UTC };
    let tree = Tree { seen, story, clock: &clock, language, selected: None, columns };
    tree.lines(usize::MAX).iter().map(|line| line.to_string().trim_end().to_owned()).collect()
}

#[test]
fn a_question_is_broken_where_the_view_ends_and_never_cut() {
    let words = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let en = "Clean up now? No keeps the copy until it is removed by itself, for whoever wants to look at it.";
    let zh = "现在清理吗？选择“否”则保留副本，直到到期后自动清理，供需要查看的人员使用。";
    let prompt = p861_crds::LocalizedText { en: Some(en.into()), zh: Some(zh.into()) };
    let hold = CurrentStep { phase: RunPhase::WaitingForPerson, prompt: Some(prompt), ..step("hold", 1, 40) };
    let kept = Snapshot { phase: RunPhase::WaitingForPerson, ..seen("dddrw", vec![hold]) };
    let mut story = story(DRILL);
    story.update(at(60), &kept);
    for columns in [20, 39, 60, 80, 99, 140] {
        for (language, question) in [(Language::En, en), (Language::Zh, zh)] {
            let lines = viewed(&story, &kept, language, columns);
            assert!(lines.iter().all(|line| crate::format::width(line) <= columns), "{columns}: {lines:#?}");
            assert!(words(&lines.concat()).contains(&words(question)), "{columns}: {lines:#?}");
        }
    }
}

#[test]
fn the_two_times_of_a_step_are_explained_above_them() {
    let mut told = Story::default();
    let outline = Outline::parse(FOUR).expect("an outline");
    let seen = seen("drww", vec![step("b", 1, 52)]);
    told.learn(outline.clone().expecting(&[("b".to_owned(), SignedDuration::from_secs(7))].into()));
    told.update(at(60), &seen);
    for (language, legend) in [(Language::En, "now/before"), (Language::Zh, "本次/上次")] {
        let lines = viewed(&told, &seen, language, 100);
        let column = |text: &str| lines.iter().find_map(|line| Some(crate::format::width(&line[..line.find(text)?])));
        assert_eq!(column(legend), column("0:08/0:07"), "{lines:#?}");
        assert!(column(legend).is_some(), "{lines:#?}");
    }
    let mut first = Story::default();
    first.learn(outline);
    first.update(at(60), &seen);
    assert!(!viewed(&first, &seen, Language::En, 100).concat().contains("now/before"), "there is only one time");
}

/// A drill in small, with its question and its clean-up.
const DRILL: &str = r#"[{"id":"preflight"},{"id":"restore/portal/objects","after":["preflight"]},{"id":"check/portal/home","after":["restore/portal/objects"]},
    {"id":"hold","after":["check/portal/home"]},{"id":"clean-up","finally":true}]"#;

#[test]
fn fault_h1_whoever_looks_while_a_copy_is_kept_sees_what_is_done_and_what_failed() {
    let hold = CurrentStep { phase: RunPhase::WaitingForPerson, message: "0 of 1 answered".into(), ..step("hold", 1, 40) };
    let kept = Snapshot { phase: RunPhase::WaitingForPerson, ..seen("ddfww", vec![hold]) };
    assert_eq!(
        shown(DRILL, &kept, Language::En),
        [
            "waiting for a person · 2 of 5 steps, 1 failed",
            "✓ preflight",
            "✗ portal",
            "  ✓ objects",
            "  ✗ check home                  failed",
            "? hold                          0 of 1 answered",
            "· clean up                      always runs, even if this terminal closes",
        ]
    );
}

#[test]
fn fault_h1_whoever_looks_after_a_failure_sees_in_every_phase_what_ran_and_what_did_not() {
    let cleans = Snapshot { phase: RunPhase::CleaningUp, ..seen("dfnnr", vec![step("clean-up", 1, 58)]) };
    let ended = Snapshot { phase: RunPhase::Failed, completion: Some(at(59)), ..seen("dfnnd", vec![]) };
    let undone = Snapshot { phase: RunPhase::Aborting, ..seen("ucsnw", vec![]) };
    for (seen, language, expected) in [
        (
            &cleans,
            Language::En,
            vec![
                "✗ portal",
                "  ✗ objects                     failed",
                "  - check home                  not run",
                "- hold                          not run",
                "▸ clean up",
            ],
        ),
        (&ended, Language::En, vec!["✗ portal", "  ✗ objects                     failed", "- hold                          not run", "✓ clean up"]),
        (
            &undone,
            Language::En,
            vec!["↶ preflight                     undone", "✗ portal", "  ✗ objects                     stopped", "  ↷ check home                  skipped"],
        ),
        (&cleans, Language::Zh, vec!["失败", "未执行"]),
        (&undone, Language::Zh, vec!["撤销", "停止", "跳过", "未执行"]),
    ] {
        let lines = shown(DRILL, seen, language);
        for line in expected {
            assert!(lines.iter().any(|seen| seen.starts_with(line) || (language == Language::Zh && seen.contains(line))), "{line:?} is not in {lines:#?}");
        }
    }
}

#[test]
fn fault_h1_a_step_to_come_says_for_what_it_waits() {
    let lines = shown(DRILL, &seen("drwww", vec![step("restore/portal/objects", 1, 50)]), Language::En);
    assert!(lines.iter().any(|line| line.starts_with("  · check home                  waits for portal objects")), "{lines:#?}");
    let ready = shown(DRILL, &seen("ddwww", vec![]), Language::En);
    assert!(ready.iter().any(|line| line.starts_with("  · check home                  waits for its turn")), "{ready:#?}");
    let paused = shown(DRILL, &Snapshot { phase: RunPhase::Paused, ..seen("ddwww", vec![]) }, Language::En);
    assert!(paused.iter().any(|line| line.starts_with("  · check home                  paused")), "{paused:#?}");
}
