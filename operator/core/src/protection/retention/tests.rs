//! Single cases: what stays whatever the numbers say, what takes no place, and what a person may ask.

use super::*;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A sound snapshot, called by its number, which was taken so many hours before [`now`].
pub(super) fn taken(number: usize, hours_ago: i64) -> KnownSnapshot {
    let snapshot = format!("{number:064x}");
    let time = now() - SignedDuration::from_hours(hours_ago);
    KnownSnapshot { snapshot: snapshot.into(), backup: format!("a-{number}"), time, proof: None, flaw: None, holds: Vec::new(), asked: None }
}

pub(super) fn now() -> Timestamp {
    at("2026-11-15T04:30:00Z")
}

pub(super) fn terms(retention: Retention) -> Terms {
    Terms { retention: Some(retention), zone: TimeZone::get("Asia/Shanghai").expect("a zone") }
}

fn last(number: u32) -> Terms {
    terms(Retention { last: Some(number), ..Retention::default() })
}

fn proven(known: KnownSnapshot, level: VerificationLevel, hours_ago: i64) -> KnownSnapshot {
    KnownSnapshot { proof: Some((level, now() - SignedDuration::from_hours(hours_ago))), ..known }
}

fn with_flaw(known: KnownSnapshot, flaw: Flaw) -> KnownSnapshot {
    KnownSnapshot { flaw: Some(flaw), ..known }
}

fn asked(known: KnownSnapshot, even_newest: bool) -> KnownSnapshot {
    KnownSnapshot { asked: Some(Asked { by: Some("li".into()), reason: Some("wrong data".into()), even_newest }), ..known }
}

/// Numbers of the snapshots that go.
fn going(plan: &RetentionPlan) -> Vec<usize> {
    let number = |judged: &Judged| usize::from_str_radix(judged.snapshot.as_str(), 16).expect("a number");
    plan.going().map(|(judged, _)| number(judged)).collect()
}

fn reasons(plan: &RetentionPlan, number: usize) -> Vec<KeepReason> {
    let id = SnapshotId::from(format!("{number:064x}"));
    plan.reasons_to_keep(&id).unwrap_or_else(|| panic!("{number} goes")).to_vec()
}

#[test]
fn the_newest_stay_by_number_and_the_plan_says_of_each_why() {
    let all: Vec<KnownSnapshot> = (0..5).map(|number| taken(number, i64::try_from(number).expect("small"))).collect();
    let plan = RetentionPlan::of(&all, &last(2), now());
    assert_eq!(going(&plan), [2, 3, 4]);
    assert_eq!(reasons(&plan, 0), [KeepReason::Last, KeepReason::Newest]);
    assert_eq!(reasons(&plan, 1), [KeepReason::Last]);
    assert!(plan.going().all(|(_, reason)| *reason == ForgetReason::NoPlace));
    let mut other_way: Vec<KnownSnapshot> = all.clone();
    other_way.reverse();
    assert_eq!(RetentionPlan::of(&other_way, &last(2), now()), plan, "whatever their order");
}

#[test]
fn a_snapshot_has_every_reason_that_holds_for_it() {
    let terms = terms(Retention { last: Some(1), hourly: Some(1), daily: Some(1), weekly: Some(1), monthly: Some(1), yearly: Some(1) });
    let only = proven(KnownSnapshot { holds: vec![Hold::Marked], ..taken(0, 0) }, VerificationLevel::Probed, 0);
    let plan = RetentionPlan::of(&[only], &terms, now());
    let by_number = [KeepReason::Last, KeepReason::Hourly, KeepReason::Daily, KeepReason::Weekly, KeepReason::Monthly, KeepReason::Yearly, KeepReason::Newest];
    let of_levels = LEVELS.map(|level| KeepReason::NewestOfLevel { level });
    let expected: Vec<KeepReason> = by_number.into_iter().chain(of_levels).chain([KeepReason::Marked]).collect();
    assert_eq!(reasons(&plan, 0), expected);
}

#[test]
fn the_newest_of_each_level_stays_however_old_it_is() {
    use VerificationLevel::{Probed, Restored, Stored};
    let all = [
        proven(taken(0, 1), Stored, 1),
        proven(taken(1, 2), Stored, 2),
        proven(taken(2, 500), Restored, 490),
        proven(taken(3, 5_000), Probed, 4_900),
        proven(taken(4, 6_000), Probed, 5_900),
    ];
    let plan = RetentionPlan::of(&all, &last(1), now());
    assert_eq!(going(&plan), [1, 4]);
    assert_eq!(reasons(&plan, 2), [KeepReason::NewestOfLevel { level: Restored }]);
    assert_eq!(reasons(&plan, 3), [KeepReason::NewestOfLevel { level: Probed }]);
}

#[test]
fn of_a_level_both_the_newest_data_and_the_newest_proof_stay() {
    let all = [taken(0, 1), proven(taken(1, 100), VerificationLevel::Probed, 90), proven(taken(2, 200), VerificationLevel::Probed, 10)];
    let plan = RetentionPlan::of(&all, &last(1), now());
    assert_eq!(going(&plan), Vec::<usize>::new(), "a drill may have taken an older one last");
}

#[test]
fn nothing_goes_where_no_number_keeps_anything() {
    let all: Vec<KnownSnapshot> = (0..3).map(|number| taken(number, 1_000 * i64::try_from(number).expect("small"))).collect();
    let nothing = Retention { last: Some(0), daily: Some(0), ..Retention::default() };
    for retention in [None, Some(Retention::default()), Some(nothing)] {
        let plan = RetentionPlan::of(&all, &Terms { retention, ..last(1) }, now());
        assert_eq!(going(&plan), Vec::<usize>::new(), "{retention:?}");
        assert!(reasons(&plan, 2).contains(&KeepReason::NoRetention), "{retention:?}");
    }
}

#[test]
fn the_only_snapshot_stays_and_so_does_the_newest_sound_one_under_any_number() {
    let yearly = terms(Retention { yearly: Some(1), ..Retention::default() });
    assert_eq!(going(&RetentionPlan::of(&[taken(0, 90_000)], &yearly, now())), Vec::<usize>::new());
    let all = [with_flaw(taken(0, 1), Flaw::Damaged), with_flaw(taken(1, 2), Flaw::Partial), taken(2, 9_000)];
    let plan = RetentionPlan::of(&all, &last(1), now());
    assert_eq!(going(&plan), Vec::<usize>::new());
    assert!(reasons(&plan, 2).contains(&KeepReason::Newest), "those that are not sound have not taken its place");
    assert_eq!(reasons(&plan, 0), [KeepReason::NothingSounder { flaw: Flaw::Damaged }]);
}

#[test]
fn a_snapshot_that_is_not_sound_drives_none_out_and_goes_two_weeks_later() {
    let fortnight = FLAWED_KEPT_FOR.as_hours();
    for flaw in [Flaw::Damaged, Flaw::Partial, Flaw::HalfRestored] {
        let all = [taken(0, 1), with_flaw(taken(1, 2), flaw), taken(2, 3), with_flaw(taken(3, fortnight), flaw), taken(4, 2 * fortnight)];
        let plan = RetentionPlan::of(&all, &last(2), now());
        assert_eq!(going(&plan), [3, 4], "{flaw:?}");
        assert!(matches!(reasons(&plan, 1)[..], [KeepReason::Flawed { .. }]), "{flaw:?}");
        assert!(plan.going().any(|(_, reason)| *reason == ForgetReason::Flawed { flaw }), "{flaw:?}");
        let alone = [with_flaw(taken(0, 5 * fortnight), flaw), with_flaw(taken(1, 6 * fortnight), flaw)];
        assert_eq!(going(&RetentionPlan::of(&alone, &last(1), now())), Vec::<usize>::new(), "{flaw:?}: there is nothing else");
    }
}

#[test]
fn what_is_held_stays_and_says_by_whom() {
    let holds = [
        (Hold::Until(now() + SignedDuration::from_hours(1)), Some(KeepReason::Until { time: now() + SignedDuration::from_hours(1) })),
        (Hold::Until(now()), None),
        (Hold::Marked, Some(KeepReason::Marked)),
        (Hold::InUse("restore back".into()), Some(KeepReason::InUse { by: "restore back".into() })),
        (Hold::WarmCopy("core".into()), Some(KeepReason::WarmCopy { plan: "core".into() })),
    ];
    for (hold, reason) in holds {
        let held = KnownSnapshot { holds: vec![hold.clone(), hold.clone()], ..taken(1, 900) };
        for held in [held.clone(), asked(held, true)] {
            let is_asked = held.asked.is_some();
            let plan = RetentionPlan::of(&[taken(0, 1), held], &last(1), now());
            match &reason {
                Some(reason) => assert_eq!(reasons(&plan, 1), std::slice::from_ref(reason), "{hold:?}, asked: {is_asked}"),
                None => assert_eq!(going(&plan), [1], "{hold:?} is over"),
            }
        }
    }
}

#[test]
fn a_snapshot_of_the_future_stays_says_so_and_takes_no_place() {
    let all = [proven(taken(0, -48), VerificationLevel::Probed, 1), taken(1, -24), proven(taken(2, 1), VerificationLevel::Probed, 1), taken(3, 2), taken(4, 3)];
    let plan = RetentionPlan::of(&all, &last(2), now());
    assert_eq!(going(&plan), [4]);
    assert_eq!((reasons(&plan, 0), reasons(&plan, 1)), (vec![KeepReason::Future], vec![KeepReason::Future]));
    assert!(reasons(&plan, 2).contains(&KeepReason::NewestOfLevel { level: VerificationLevel::Probed }), "its proof says nothing for another");
    let ahead = KnownSnapshot { time: now() + SignedDuration::from_mins(5), ..taken(0, 0) };
    assert!(reasons(&RetentionPlan::of(&[ahead], &last(1), now()), 0).contains(&KeepReason::Last), "clocks of machines differ a little");
}

#[test]
fn a_clock_that_is_set_back_sends_no_more_away_than_before() {
    let all: Vec<KnownSnapshot> = (0..30).map(|number| taken(number, i64::try_from(number).expect("small"))).collect();
    for hours_back in [1, 24, 24 * 365 * 30] {
        let plan = RetentionPlan::of(&all, &last(3), now() - SignedDuration::from_hours(hours_back));
        let gone = going(&plan);
        assert!(gone.len() <= 27 && !gone.iter().any(|number| *number < 3), "{hours_back} hours: {gone:?}");
    }
}

#[test]
fn what_a_person_asks_for_goes_at_once_unless_it_is_the_newest_or_the_newest_of_its_level() {
    let probed = || proven(taken(2, 50), VerificationLevel::Probed, 40);
    for (case, all, expected) in [
        ("one of several", vec![taken(0, 1), asked(taken(1, 2), false)], vec![1]),
        ("the newest", vec![asked(taken(0, 1), false), taken(1, 2)], vec![]),
        ("the newest, said", vec![asked(taken(0, 1), true), taken(1, 2)], vec![0]),
        ("the newest Probed", vec![taken(0, 1), asked(probed(), false)], vec![]),
        ("the newest Probed, said", vec![taken(0, 1), asked(probed(), true)], vec![2]),
        ("one that is damaged", vec![asked(with_flaw(taken(0, 1), Flaw::Damaged), false), taken(1, 2)], vec![0]),
        ("the only one, damaged", vec![asked(with_flaw(taken(0, 1), Flaw::Damaged), false)], vec![]),
        ("one of the future", vec![asked(taken(0, -24), false), taken(1, 2)], vec![0]),
        ("the two newest, of which one was meant", vec![asked(taken(0, 1), true), asked(taken(1, 2), false), taken(2, 3)], vec![0]),
        ("the two newest, both meant", vec![asked(taken(0, 1), true), asked(taken(1, 2), true), taken(2, 3)], vec![0, 1]),
    ] {
        let generous = terms(Retention { last: Some(99), ..Retention::default() });
        let plan = RetentionPlan::of(&all, &generous, now());
        assert_eq!(going(&plan), expected, "{case}");
        let asked = ForgetReason::Asked { by: Some("li".into()), reason: Some("wrong data".into()) };
        assert!(plan.going().all(|(_, reason)| *reason == asked), "{case}");
    }
}

#[test]
fn one_that_goes_because_somebody_asked_leaves_its_place_to_the_next() {
    let all = [taken(0, 1), asked(taken(1, 2), false), taken(2, 3), taken(3, 4)];
    assert_eq!(going(&RetentionPlan::of(&all, &last(2), now())), [1, 3]);
    let asked_newest = [asked(taken(0, 1), true), taken(1, 2), taken(2, 3)];
    let plan = RetentionPlan::of(&asked_newest, &last(1), now());
    assert_eq!(going(&plan), [0, 2]);
    assert!(reasons(&plan, 1).contains(&KeepReason::Newest), "the next one is the newest now");
}
