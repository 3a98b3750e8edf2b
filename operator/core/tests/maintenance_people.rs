//! Whose word counts, and who is on duty.

use jiff::{SignedDuration, Timestamp};
use p861_core::maintenance::{
    approval::{Given, Subject, Void, condition, count, refusal, would_count},
    roster::{Duty, Heard, Roster, heartbeat_condition},
    window::DEFAULT_ZONE,
};
use p861_crds::{
    DutyRosterSpec, Reason,
    maintenance::{
        approval::{ApprovalDecision, ApprovalSpec, Purpose, SubjectKind, SubjectReference},
        roster::{DutyActionKind, HandOver, Heartbeat},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn word(approver: Option<&str>, decision: &str, uid: &str, digest: &str) -> ApprovalSpec {
    let mut spec = json!({"subjectRef": {"kind": "MaintenanceTicket", "name": "chg", "uid": uid}, "purpose": "Start", "digest": digest, "decision": decision});
    if let Some(approver) = approver {
        spec["approver"] = approver.into();
    }
    serde_json::from_value(spec).unwrap()
}

fn subject() -> Subject {
    let reference = SubjectReference { kind: SubjectKind::MaintenanceTicket, name: "chg".into(), uid: "uid".into() };
    let asked_by = ["engineer", "planner"].map(str::to_owned).into();
    Subject { reference, asked_by, digest: Some("sha256:shown".into()), started: None, ended: None, required: 1 }
}

fn given<'a>(name: &'a str, spec: &'a ApprovalSpec, created: &str) -> Given<'a> {
    Given { name, spec, created: time(created) }
}

#[test]
fn fault_e5_each_way_to_cheat_is_seen_and_named() {
    let now = time("2026-11-28T12:00:00Z");
    let at = "2026-11-28T10:00:00Z";
    for (what, spec, created, expected) in [
        ("as it should be", word(Some("leader"), "Approved", "uid", "sha256:shown"), at, Ok(ApprovalDecision::Approved)),
        ("a no", word(Some("leader"), "Rejected", "uid", "sha256:shown"), at, Ok(ApprovalDecision::Rejected)),
        ("one's own", word(Some("engineer"), "Approved", "uid", "sha256:shown"), at, Err(Void::RequesterCannotApprove)),
        ("that of who has written a part of it", word(Some("planner"), "Approved", "uid", "sha256:shown"), at, Err(Void::RequesterCannotApprove)),
        ("another plan", word(Some("leader"), "Approved", "uid", "sha256:other"), at, Err(Void::DigestDiffers)),
        ("another object of the same name", word(Some("leader"), "Approved", "older", "sha256:shown"), at, Err(Void::SubjectGone)),
        ("nobody's name", word(None, "Approved", "uid", "sha256:shown"), at, Err(Void::Nameless)),
        ("yesterday's", word(Some("leader"), "Approved", "uid", "sha256:shown"), "2026-11-27T12:00:00Z", Err(Void::Expired)),
    ] {
        let tally = count(Some(&subject()), Purpose::Start, &[given("x", &spec, created)], now);
        assert_eq!(tally.words["x"], expected, "{what}");
        assert_eq!(tally.agrees(1), expected == Ok(ApprovalDecision::Approved), "{what}");
    }
    let spec = word(Some("leader"), "Approved", "uid", "sha256:shown");
    assert_eq!(count(None, Purpose::Start, &[given("x", &spec, at)], now).words["x"], Err(Void::SubjectGone));
    // Whoever may approve only drills, or only this one of them, names what he may approve and the UID of something else.
    for (kind, name) in [(SubjectKind::Drill, "chg"), (SubjectKind::MaintenanceTicket, "another")] {
        let mut spec = spec.clone();
        spec.subject_ref = SubjectReference { kind, name: name.into(), uid: "uid".into() };
        assert_eq!(count(Some(&subject()), Purpose::Start, &[given("x", &spec, at)], now).words["x"], Err(Void::SubjectGone), "fault_e5: {kind:?} {name}");
    }
    let unknown = Subject { digest: None, ..subject() };
    assert_eq!(
        count(Some(&unknown), Purpose::Start, &[given("x", &spec, at)], now).words["x"],
        Err(Void::DigestDiffers),
        "nothing can be agreed to before it is known"
    );
}

#[test]
fn a_person_has_one_voice_and_the_newest_word_is_it() {
    let (yes, no) = (word(Some("leader"), "Approved", "uid", "sha256:shown"), word(Some("leader"), "Rejected", "uid", "sha256:shown"));
    let words = [given("yes", &yes, "2026-11-28T10:00:00Z"), given("no", &no, "2026-11-28T11:00:00Z")];
    let tally = count(Some(&subject()), Purpose::Start, &words, time("2026-11-28T12:00:00Z"));
    assert_eq!((tally.words["yes"], tally.words["no"]), (Err(Void::SamePerson), Ok(ApprovalDecision::Rejected)));
    assert!(!tally.agrees(0), "one no is stronger than every yes");
}

#[test]
fn every_word_is_recorded_with_who_when_and_why_and_a_rejection_counts() {
    let mut no = word(Some("leader"), "Rejected", "uid", "sha256:shown");
    no.reason = Some("too close to the holiday".into());
    let old = word(Some("chief"), "Approved", "uid", "sha256:other");
    let words = [given("no", &no, "2026-11-28T11:00:00Z"), given("old", &old, "2026-11-28T10:00:00Z")];
    let tally = count(Some(&subject()), Purpose::Start, &words, time("2026-11-28T12:00:00Z"));
    let records: Vec<_> =
        tally.records.iter().map(|record| (record.name.as_str(), record.approver.as_str(), record.reason.as_deref(), record.void.is_some())).collect();
    assert_eq!(records, [("old", "chief", None, true), ("no", "leader", Some("too close to the holiday"), false)]);
    assert_eq!(tally.records[1].time.0, time("2026-11-28T11:00:00Z"));
    let counted = condition(tally.words["no"], &tally, 1);
    assert_eq!((counted.status, counted.reason.to_string().as_str()), (Some(true), "Rejected"), "a rejection that holds the change up counts");
    assert_eq!(refusal(&[], &counted), None, "and nobody is told that it doesn't");
}

#[test]
fn what_counted_when_work_began_counts_for_ever_and_nothing_is_added() {
    let spec = word(Some("leader"), "Approved", "uid", "sha256:shown");
    let started = Subject { started: Some(time("2026-11-28T14:00:00Z")), ..subject() };
    let words = [given("before", &spec, "2026-11-28T10:00:00Z")];
    assert!(count(Some(&started), Purpose::Start, &words, time("2027-11-28T14:00:00Z")).agrees(1));
    let late = word(Some("other"), "Rejected", "uid", "sha256:shown");
    let tally = count(Some(&started), Purpose::Start, &[words[0].clone(), given("late", &late, "2026-11-28T15:00:00Z")], time("2026-11-28T16:00:00Z"));
    assert_eq!((tally.agrees(1), tally.words["late"]), (true, Err(Void::TooLate)));
}

#[test]
fn fault_h9_a_word_that_would_never_count_is_known_before_it_is_given() {
    let now = time("2026-11-28T12:00:00Z");
    let (before, later) = (Some(time("2026-11-28T10:00:00Z")), Some(time("2026-11-28T12:05:00Z")));
    let leaders = || word(Some("leader"), "Approved", "uid", "sha256:shown");
    for (what, subject, spec, expected) in [
        ("as it should be", subject(), leaders(), Ok(())),
        ("one's own", subject(), word(Some("engineer"), "Approved", "uid", "sha256:shown"), Err(Void::RequesterCannotApprove)),
        ("one's own no", subject(), word(Some("engineer"), "Rejected", "uid", "sha256:shown"), Err(Void::RequesterCannotApprove)),
        ("that of who has written a part of it", subject(), word(Some("planner"), "Approved", "uid", "sha256:shown"), Err(Void::RequesterCannotApprove)),
        ("of what has begun", Subject { started: before, ..subject() }, leaders(), Err(Void::TooLate)),
        ("of what has begun by a faster clock", Subject { started: later, ..subject() }, leaders(), Err(Void::TooLate)),
        ("of what has ended", Subject { started: before, ended: before, ..subject() }, leaders(), Err(Void::Ended)),
        ("of what has ended and never began", Subject { ended: before, ..subject() }, leaders(), Err(Void::Ended)),
        ("of another plan", subject(), word(Some("leader"), "Approved", "uid", "sha256:other"), Err(Void::DigestDiffers)),
    ] {
        assert_eq!(would_count(&subject, &spec, now), expected, "{what}");
    }
    // A signature comes after the end.
    let mut signs = leaders();
    signs.purpose = Purpose::SignOff;
    assert_eq!(would_count(&Subject { started: before, ended: before, ..subject() }, &signs, now), Ok(()));
}

#[test]
fn what_was_agreed_to_before_a_ticket_ended_still_counts() {
    let spec = word(Some("leader"), "Approved", "uid", "sha256:shown");
    let ended = Subject { ended: Some(time("2026-11-28T11:00:00Z")), ..subject() };
    let words = [given("before", &spec, "2026-11-28T10:00:00Z"), given("after", &spec, "2026-11-28T11:30:00Z")];
    let tally = count(Some(&ended), Purpose::Start, &words, time("2026-11-28T12:00:00Z"));
    assert_eq!((tally.words["before"], tally.words["after"]), (Ok(ApprovalDecision::Approved), Err(Void::Ended)));
}

prop_compose! {
    fn words()(person in 0..4usize, yes in any::<bool>(), right in prop::bool::weighted(0.8), hours in 0..40i64) -> (ApprovalSpec, i64) {
        let person = ["engineer", "leader", "director", "colleague"][person];
        (word(Some(person), if yes { "Approved" } else { "Rejected" }, "uid", if right { "sha256:shown" } else { "sha256:other" }), hours)
    }
}

proptest! {
    #[test]
    fn no_set_of_words_makes_the_requester_or_one_person_twice_count(words in prop::collection::vec(words(), 0..12), order in any::<prop::sample::Index>()) {
        let now = time("2026-11-28T12:00:00Z");
        let names: Vec<String> = (0..words.len()).map(|index| format!("word-{index:02}")).collect();
        let mut given: Vec<Given<'_>> = words.iter().zip(&names).map(|((spec, hours), name)| Given { name, spec, created: now - SignedDuration::from_hours(*hours) }).collect();
        let tally = count(Some(&subject()), Purpose::Start, &given, now);
        let mut people = [tally.given.clone(), tally.rejected.clone()].concat();
        prop_assert!(!people.contains(&"engineer".to_owned()));
        let before = people.len();
        people.sort();
        people.dedup();
        prop_assert_eq!(before, people.len());
        prop_assert!(tally.given.len() <= 3);
        if !given.is_empty() {
            let middle = order.index(given.len());
            given.rotate_left(middle);
        }
        prop_assert_eq!(count(Some(&subject()), Purpose::Start, &given, now), tally, "the order of a list decides nothing");
    }
}

/// The roster of the examples.
fn shinan() -> Value {
    let names = ["duty-engineer-a", "duty-engineer-b", "duty-engineer-c", "shift-leader-a", "shift-leader-b", "centre-director"];
    let people = names.map(|name| json!({"name": name, "username": format!("oidc:{name}")})).to_vec();
    json!({
        "people": people,
        "levels": [
            {"name": "duty", "escalateAfter": "10m", "rotations": [
                {"name": "day", "start": "08:00", "end": "20:00", "startDate": "2026-11-23", "people": ["duty-engineer-a", "duty-engineer-b", "duty-engineer-c"]},
                {"name": "night", "start": "20:00", "end": "08:00", "startDate": "2026-11-23", "people": ["duty-engineer-c", "duty-engineer-a", "duty-engineer-b"]},
            ]},
            {"name": "leader", "escalateAfter": "15m", "rotations": [{"name": "week", "startDate": "2026-11-23", "turnDays": 7, "people": ["shift-leader-a", "shift-leader-b"]}]},
            {"name": "director", "rotations": [{"name": "always", "people": ["centre-director"]}]},
        ],
        "overrides": [{"startTime": "2026-12-05T20:00:00+08:00", "endTime": "2026-12-06T08:00:00+08:00", "person": "duty-engineer-c", "substitute": "shift-leader-b", "reason": "training"}],
    })
}

fn roster(spec: Value) -> Roster {
    let spec: DutyRosterSpec = serde_json::from_value(spec).unwrap();
    Roster::parse(&spec, DEFAULT_ZONE).unwrap()
}

fn covered(name: &str) -> Duty {
    Duty::Covered(name.into())
}

#[test]
fn the_examples_roster_says_who_and_until_when() {
    let roster = roster(shinan());
    let now = time("2026-11-24T00:02:00Z");
    let current = roster.current(None, now);
    let seen: Vec<_> = current.iter().map(|level| (level.level.as_str(), level.person.as_deref(), level.until_time.as_ref().map(|time| time.0))).collect();
    let expected = [
        ("duty", Some("duty-engineer-b"), Some(time("2026-11-24T12:00:00Z"))),
        ("leader", Some("shift-leader-a"), Some(time("2026-11-29T16:00:00Z"))),
        ("director", Some("centre-director"), None),
    ];
    assert_eq!(seen, expected);
    for (at, who) in [
        ("2026-11-23T00:00:00Z", "duty-engineer-a"),
        ("2026-11-23T11:59:59Z", "duty-engineer-a"),
        ("2026-11-23T12:00:00Z", "duty-engineer-c"),
        ("2026-11-23T23:59:59Z", "duty-engineer-c"),
        ("2026-11-24T12:00:00Z", "duty-engineer-a"),
        ("2026-12-05T12:00:00Z", "shift-leader-b"),
    ] {
        assert_eq!(roster.who("duty", time(at)), covered(who), "{at}");
    }
    assert_eq!(roster.who("duty", time("2026-11-22T12:00:00Z")), Duty::Uncovered, "before the first shift");
    assert_eq!(roster.condition(now).reason, "Covered");
}

#[test]
fn who_stands_in_is_on_duty_for_exactly_that_time() {
    let roster = roster(shinan());
    assert_eq!(roster.who("duty", time("2026-12-05T12:00:00Z")), covered("shift-leader-b"), "the night of duty-engineer-c");
    assert_eq!(roster.until("duty", time("2026-12-05T12:00:00Z")), Some(time("2026-12-06T00:00:00Z")));
    assert_eq!(roster.who("duty", time("2026-12-05T11:59:59Z")), covered("duty-engineer-a"));
    assert_eq!(roster.who("duty", time("2026-12-08T12:00:00Z")), covered("duty-engineer-c"), "and only that one");
}

#[test]
fn a_gap_is_found_and_said_with_its_moment() {
    let mut spec = shinan();
    spec["levels"][0]["rotations"][1]["start"] = "21:00".into();
    let update = roster(spec).condition(time("2026-11-24T00:00:00Z"));
    assert_eq!(
        (update.reason.as_str(), update.message.as_str()),
        ("Uncovered", "nobody is on duty in level duty from Tue 2026-11-24 20:00: complete its rotations")
    );
}

#[test]
fn until_the_duty_is_taken_both_are_called() {
    let roster = roster(shinan());
    let both = |hand_over: &HandOver, at: &str| {
        let first = roster.current(Some(hand_over), time(at)).remove(0);
        (first.person.unwrap(), first.also)
    };
    let given = roster.hand_over(None, DutyActionKind::HandOver, "oidc:duty-engineer-c", Some("portal overdue"), time("2026-11-23T23:58:20Z")).unwrap();
    assert_eq!(both(&given, "2026-11-24T00:00:30Z"), ("duty-engineer-b".into(), Some("duty-engineer-c".into())));
    let taken = roster.hand_over(Some(&given), DutyActionKind::TakeOver, "oidc:duty-engineer-b", None, time("2026-11-24T00:01:05Z")).unwrap();
    assert_eq!((taken.from.as_deref(), taken.to.as_deref(), taken.note.as_deref()), (Some("duty-engineer-c"), Some("duty-engineer-b"), Some("portal overdue")));
    assert_eq!(both(&taken, "2026-11-24T00:01:06Z"), ("duty-engineer-b".into(), None));
    assert_eq!(both(&taken, "2026-11-24T12:00:01Z"), ("duty-engineer-a".into(), Some("duty-engineer-b".into())), "the next shift begins anew");
    let early = roster.hand_over(Some(&taken), DutyActionKind::TakeOver, "oidc:duty-engineer-a", None, time("2026-11-24T11:50:00Z")).unwrap();
    assert_eq!(both(&early, "2026-11-24T12:00:01Z"), ("duty-engineer-a".into(), None), "a little early is no trouble");
    assert_eq!(roster.current(None, time("2026-11-24T12:00:01Z"))[0].also, None, "who never hands over doesn't use it");
    assert!(roster.hand_over(None, DutyActionKind::TakeOver, "stranger", None, time("2026-11-24T12:00:01Z")).is_err());
}

#[test]
fn shifts_keep_to_the_clock_on_the_wall_where_clocks_are_changed() {
    let mut spec = shinan();
    spec["timeZone"] = "Europe/Berlin".into();
    let roster = roster(spec);
    // The night of 2027-03-28 has eleven hours, that of 2027-10-31 thirteen; neither has a gap.
    for (night, hours) in [("2027-03-27T19:00:00Z", 11), ("2027-10-30T18:00:00Z", 13)] {
        let until = roster.until("duty", time(night)).unwrap();
        assert_eq!(until.duration_since(time(night)), SignedDuration::from_hours(hours), "{night}");
        assert_eq!(roster.gap(time(night), SignedDuration::from_hours(48)), None);
    }
}

#[test]
fn fault_e29_whoever_writes_a_roster_decides_not_how_long_the_operator_looks() {
    let rotation = |number: usize| json!({"name": format!("r{number}"), "start": format!("{:02}:{:02}", number, number * 3), "end": format!("{:02}:30", number + 1), "startDate": "2026-11-01", "people": ["a", "b"]});
    let rotations: Vec<Value> = (0..16).map(rotation).chain([json!({"name": "all", "people": ["a"]})]).collect();
    let levels: Vec<Value> = (0..8).map(|number| json!({"name": format!("l{number}"), "rotations": rotations})).collect();
    let roster = roster(json!({"timeZone": "Asia/Shanghai", "people": [{"name": "a"}, {"name": "b"}], "levels": levels}));
    let (now, began) = (time("2026-11-24T00:00:00Z"), std::time::Instant::now());
    let (current, condition, next) = (roster.current(None, now), roster.condition(now), roster.next_change(now));
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!((current.len(), condition.reason.as_str(), next.is_some()), (8, "Covered", true));
    // It says no more than it has looked at.
    let until = condition.message.rsplit(' ').next().unwrap().to_owned();
    assert!(until.as_str() > "2026-11-26" && until.as_str() < "2026-12-24", "{until}");
}

#[test]
fn names_that_stand_nowhere_are_refused() {
    let mut spec = shinan();
    spec["overrides"][0]["substitute"] = "somebody".into();
    let spec: DutyRosterSpec = serde_json::from_value(spec).unwrap();
    let error = Roster::parse(&spec, DEFAULT_ZONE).unwrap_err().to_string();
    assert!(error.contains("somebody, who is not in spec.people"), "{error}");
}

prop_compose! {
    fn rotation()(start in prop::option::of((0..24u8, prop::sample::select(vec![0u8, 30]))), length in 1..24u8, first in 1..28u8, turn in 1..9i32, people in 1..4usize) -> Value {
        let people = &["a", "b", "c"][..people];
        let mut rotation = json!({"name": "r", "startDate": format!("2027-01-{first:02}"), "turnDays": turn, "people": people});
        if let Some((hour, minute)) = start {
            rotation["start"] = format!("{hour:02}:{minute:02}").into();
            rotation["end"] = format!("{:02}:{minute:02}", (hour + length) % 24).into();
        }
        rotation
    }
}

proptest! {
    #[test]
    fn every_instant_is_covered_or_reported_uncovered(
        rotations in prop::collection::vec(rotation(), 1..4),
        at in 1_798_000_000i64..1_815_000_000,
        zone in prop::sample::select(vec!["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    ) {
        let rotations: Vec<Value> = rotations.into_iter().enumerate().map(|(index, mut rotation)| { rotation["name"] = format!("r{index}").into(); rotation }).collect();
        let roster = roster(json!({"timeZone": zone, "people": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "levels": [{"name": "duty", "rotations": rotations}]}));
        let at = Timestamp::from_second(at).unwrap();
        let ahead = SignedDuration::from_hours(30);
        let gap = roster.gap(at, ahead).map(|(_, since)| since);
        let now = roster.who("duty", at);
        let until = roster.until("duty", at);
        // Looked at minute by minute: nobody is missing before the gap that is reported, and nobody changes before `until`.
        for minute in 0..30 * 60 {
            let moment = at + SignedDuration::from_mins(minute);
            let who = roster.who("duty", moment);
            prop_assert!(who != Duty::Uncovered || gap.is_some_and(|gap| gap <= moment), "nobody at {}, reported {:?}", moment, gap);
            prop_assert!(who == now || until.is_some_and(|until| until <= moment), "{:?} at {}, until {:?}", who, moment, until);
        }
        if let Some(gap) = gap {
            prop_assert_eq!(roster.who("duty", gap), Duty::Uncovered);
        }
        prop_assert!(until.is_none_or(|until| until > at && roster.who("duty", until) != now));
    }
}

#[test]
fn silence_is_told_from_a_beginning_and_from_a_heart_that_beats() {
    let heartbeat = Heartbeat { alert_name: "Watchdog".into(), max_silence: "5m".into() };
    let now = time("2026-11-24T00:10:00Z");
    let site = |name: &str, last: &str, heard| Heard { site: name.into(), last: time(last), heard };
    let reason = |sites: &[Heard]| heartbeat_condition(&heartbeat, sites, now).map(|update| (update.reason, update.status));
    let (fresh, old) = ("2026-11-24T00:08:00Z", "2026-11-24T00:04:59Z");
    assert_eq!(reason(&[site("a", fresh, true), site("b", fresh, true)]), Some((Reason::HeartbeatSeen, Some(true))));
    assert_eq!(reason(&[site("a", fresh, true), site("b", fresh, false)]), None, "it has just begun to listen");
    assert_eq!(reason(&[site("a", fresh, true), site("b", old, false)]), Some((Reason::HeartbeatMissing, Some(false))));
    assert_eq!(reason(&[site("a", old, true)]), Some((Reason::HeartbeatMissing, Some(false))));
    assert_eq!(reason(&[]), Some((Reason::NoAlertmanager, None)));
}
