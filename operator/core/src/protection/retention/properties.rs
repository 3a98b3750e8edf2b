//! What holds for whatever snapshots there are.

use super::{tests::now, *};
use proptest::{prelude::*, sample::subsequence};

const ZONES: [&str; 4] = ["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "UTC"];

fn flaw() -> impl Strategy<Value = Option<Flaw>> {
    prop_oneof![12 => Just(None), 1 => Just(Some(Flaw::Damaged)), 1 => Just(Some(Flaw::Partial)), 1 => Just(Some(Flaw::HalfRestored))]
}

fn hold() -> impl Strategy<Value = Vec<Hold>> {
    prop_oneof![
        15 => Just(Vec::new()),
        1 => Just(vec![Hold::Marked]),
        1 => Just(vec![Hold::InUse("restore r".into())]),
        1 => (-40_i64..40).prop_map(|hours| vec![Hold::Until(now() + SignedDuration::from_hours(hours))]),
    ]
}

/// Minutes before now: most of the last days, some of years, a few of the future.
fn minutes_ago() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0_i64..5_000, 4 => 0_i64..2_000_000, 1 => -3_000_i64..0]
}

fn proof() -> impl Strategy<Value = Option<(VerificationLevel, i64)>> {
    let level = prop_oneof![Just(VerificationLevel::Stored), Just(VerificationLevel::Restored), Just(VerificationLevel::Probed)];
    proptest::option::weighted(0.3, (level, 0_i64..5_000))
}

fn one() -> impl Strategy<Value = KnownSnapshot> {
    (any::<u64>(), minutes_ago(), proof(), flaw(), hold()).prop_map(|(id, minutes, proof, flaw, holds)| {
        let before = |minutes| now() - SignedDuration::from_mins(minutes);
        let snapshot = format!("{id:064x}");
        let proof = proof.map(|(level, minutes)| (level, before(minutes)));
        KnownSnapshot { snapshot: snapshot.into(), backup: id.to_string(), time: before(minutes), proof, flaw, holds, asked: None }
    })
}

fn some() -> impl Strategy<Value = Vec<KnownSnapshot>> {
    proptest::collection::vec(one(), 0..60).prop_map(|mut all| {
        let mut seen = BTreeSet::new();
        all.retain(|known| seen.insert(known.snapshot.clone()));
        all
    })
}

fn number() -> impl Strategy<Value = Option<u32>> {
    proptest::option::of(0_u32..8)
}

fn terms() -> impl Strategy<Value = Terms> {
    let numbers = (number(), number(), number(), number(), number(), number());
    (numbers, proptest::option::weighted(0.95, Just(())), proptest::sample::select(ZONES.to_vec())).prop_map(
        |((last, hourly, daily, weekly, monthly, yearly), stated, zone)| Terms {
            retention: stated.map(|()| Retention { last, hourly, daily, weekly, monthly, yearly }),
            zone: TimeZone::get(zone).expect("a zone"),
        },
    )
}

fn asking(all: Vec<KnownSnapshot>) -> impl Strategy<Value = Vec<KnownSnapshot>> {
    let numbers: Vec<usize> = (0..all.len()).collect();
    (subsequence(numbers, 0..=all.len().min(8)), any::<bool>()).prop_map(move |(asked, even_newest)| {
        let mut all = all.clone();
        for number in asked {
            all[number].asked = Some(Asked { by: None, reason: None, even_newest });
        }
        all
    })
}

fn ids(plan: &RetentionPlan) -> BTreeSet<SnapshotId> {
    plan.going().map(|(judged, _)| judged.snapshot.clone()).collect()
}

fn without(all: &[KnownSnapshot], gone: &BTreeSet<SnapshotId>) -> Vec<KnownSnapshot> {
    all.iter().filter(|known| !gone.contains(&known.snapshot)).cloned().collect()
}

fn is_sound(known: &KnownSnapshot) -> bool {
    known.flaw.is_none() && !is_of_future(known, now())
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_has_nothing_more_to_do(all in some().prop_flat_map(asking), terms in terms()) {
        let gone = ids(&RetentionPlan::of(&all, &terms, now()));
        let again = RetentionPlan::of(&without(&all, &gone), &terms, now());
        prop_assert_eq!(ids(&again), BTreeSet::new());
    }

    #[test]
    fn half_a_plan_that_was_carried_out_leaves_the_other_half_and_no_more(all in some().prop_flat_map(asking), terms in terms(), every in 1_usize..4) {
        let gone = ids(&RetentionPlan::of(&all, &terms, now()));
        let done: BTreeSet<SnapshotId> = gone.iter().step_by(every).cloned().collect();
        let again = ids(&RetentionPlan::of(&without(&all, &done), &terms, now()));
        prop_assert!(again.is_subset(&gone), "what was to stay goes after a crash: {again:?} {gone:?}");
    }

    #[test]
    fn a_newer_snapshot_never_brings_an_older_one_back(all in some(), terms in terms(), newer in one()) {
        let newest = all.iter().map(|known| known.time).filter(|time| *time <= now()).max().unwrap_or_else(now);
        let newer = KnownSnapshot { time: newest, snapshot: "f".repeat(64).into(), ..newer };
        let before = ids(&RetentionPlan::of(&all, &terms, now()));
        let mut more = all;
        more.push(newer);
        prop_assert!(before.is_subset(&ids(&RetentionPlan::of(&more, &terms, now()))));
    }

    #[test]
    fn the_newest_sound_one_and_the_newest_of_each_level_are_never_lost(all in some(), terms in terms()) {
        let gone = ids(&RetentionPlan::of(&all, &terms, now()));
        let left = without(&all, &gone);
        let newest = |of: &[KnownSnapshot], level: Option<VerificationLevel>| {
            let reached = of.iter().filter(|known| is_sound(known) && level.is_none_or(|level| known.proof.is_some_and(|(reached, _)| reached >= level)));
            reached.map(|known| known.time).max()
        };
        let latest_proof = |of: &[KnownSnapshot], level: VerificationLevel| {
            let proofs = of.iter().filter(|known| is_sound(known)).filter_map(|known| known.proof);
            proofs.filter(|(reached, _)| *reached >= level).map(|(_, when)| when).max()
        };
        prop_assert_eq!(newest(&all, None), newest(&left, None));
        for level in LEVELS {
            prop_assert_eq!(newest(&all, Some(level)), newest(&left, Some(level)));
            prop_assert_eq!(latest_proof(&all, level), latest_proof(&left, level));
        }
        prop_assert!(all.is_empty() || !left.is_empty());
    }

    #[test]
    fn what_is_held_or_of_the_future_never_goes(all in some().prop_flat_map(asking), terms in terms()) {
        let gone = ids(&RetentionPlan::of(&all, &terms, now()));
        for known in all.iter().filter(|known| gone.contains(&known.snapshot)) {
            prop_assert!(!known.holds.iter().any(|hold| holds(hold, now())), "{known:?}");
            prop_assert!(known.asked.is_some() || !is_of_future(known, now()), "{known:?}");
        }
    }

    #[test]
    fn no_more_sound_ones_stay_than_the_numbers_allow_and_those_that_nothing_may_take(all in some(), terms in terms()) {
        let Some(Retention { last, hourly, daily, weekly, monthly, yearly }) = stated(terms.retention) else { return Ok(()) };
        let allowed: u32 = [last, hourly, daily, weekly, monthly, yearly].into_iter().flatten().sum();
        let plan = RetentionPlan::of(&all, &terms, now());
        let free = |judged: &&Judged| {
            let known = all.iter().find(|known| known.snapshot == judged.snapshot).expect("it was given");
            matches!(judged.verdict, Verdict::Keep(_)) && is_sound(known) && known.holds.is_empty()
        };
        // The newest, and two of each level.
        let most = usize::try_from(allowed).expect("small") + 1 + 2 * LEVELS.len();
        prop_assert!(plan.judged.iter().filter(free).count() <= most);
    }

    #[test]
    fn the_same_snapshots_give_the_same_plan_in_any_order(all in some().prop_flat_map(asking), terms in terms(), turn in any::<usize>()) {
        let plan = RetentionPlan::of(&all, &terms, now());
        let mut turned = all.clone();
        turned.rotate_left(if all.is_empty() { 0 } else { turn % all.len() });
        prop_assert_eq!(&RetentionPlan::of(&turned, &terms, now()), &plan);
        prop_assert_eq!(plan.judged.len(), all.len(), "each is judged");
        let every_verdict_says_why = |judged: &Judged| matches!(&judged.verdict, Verdict::Keep(reasons) if !reasons.is_empty()) || matches!(judged.verdict, Verdict::Forget(_));
        prop_assert!(plan.judged.iter().all(every_verdict_says_why));
    }
}
