//! A policy of one application in a random world.

use super::*;
use p861_core::{
    protection::policy::slot,
    schedule::{Budget, Schedule, zone},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What happens in a random world.
#[derive(Clone, Debug)]
enum Happening {
    /// The process ends, and another begins so many minutes later.
    Down(i64),
    /// The application can't be found for so many minutes.
    Lost(i64),
    /// Backups take so many minutes from now on.
    Takes(i64),
    /// Time passes.
    Quiet(i64),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        (1i64..200).prop_map(Happening::Down),
        (1i64..90).prop_map(Happening::Lost),
        (0i64..40).prop_map(Happening::Takes),
        (1i64..120).prop_map(Happening::Quiet),
    ];
    prop::collection::vec(one, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_no_slot_is_taken_twice_none_pile_up_and_none_is_lost_untold(
        happenings in happenings(),
        schedule in prop::sample::select(vec!["*/10 * * * *", "*/30 * * * *", "7 * * * *", "0 */3 * * *"]),
    ) {
        let mut world = one(schedule, &json!({"jitter": "40s"}));
        let every = SignedDuration::from_secs(30);
        let pass = |world: &mut World, passed: i64| {
            let until = after(world.now, minutes(passed));
            world.run(&until.to_string(), every);
        };
        pass(&mut world, 70);
        for happening in happenings {
            match happening {
                Happening::Down(passed) => {
                    world.now = after(world.now, minutes(passed));
                    world.restart();
                }
                Happening::Lost(passed) => {
                    world.not_ready("a", Some(Reason::Unreachable));
                    pass(&mut world, passed);
                    world.not_ready("a", None);
                }
                Happening::Takes(takes) => world.takes = minutes(takes),
                Happening::Quiet(passed) => pass(&mut world, passed),
            }
        }
        // Somebody is there in the end, who looks.
        pass(&mut world, 2);
        // `World::take` stops at a second of one name. One application never has two under way:
        prop_assert!(world.most <= 1);
        // Every slot was taken, or told as missed, or is the newest, which may still wait.
        let taken: BTreeSet<Timestamp> = world.facts.backups.iter().filter_map(slot::of_backup).collect();
        let read = Schedule::parse(schedule, &zone("Asia/Shanghai").expect("a zone")).expect("a schedule");
        let (mut at, mut slots) = (time("2026-11-24T00:00:05Z"), 0);
        while let Some(next) = read.next(at, &Budget::of_each(1)).filter(|next| after(*next, minutes(1)) <= world.now) {
            (at, slots) = (next, slots + 1);
        }
        let known = taken.len() + world.missed;
        // One that was late may be told as missed and made up for afterwards.
        let both = world.told.len();
        prop_assert!(known >= slots - 1 && known <= slots + both + 1, "{} slots, {} taken, {} missed: {:?}", slots, taken.len(), world.missed, world.told);
    }
}
