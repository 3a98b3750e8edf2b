//! Two thousand applications with one policy.

use super::*;

const APPLICATIONS: usize = 2000;

fn city(schedule: &str, more: &Value) -> World {
    let applications = (0..APPLICATIONS).map(|number| application(&format!("a-{number:04}"), "all", "25h")).collect();
    World::new("2026-11-24T00:55:05Z", vec![policy("all", schedule, more)], applications)
}

#[test]
fn two_thousand_applications_with_one_policy_never_stand_at_the_hub_at_once() {
    // As it is by default, but with a jitter, of which a daily policy has ten minutes.
    let mut world = city("0 9 * * *", &json!({"jitter": "10m"}));
    world.run("2026-11-24T01:12:00Z", EVERY);
    let begun = world.begun.len();
    assert_eq!(world.most, 4, "no more Backups are made than can begin");
    // A place is free again at the look after thirty seconds: four of each thirty are the most that there can be.
    assert!((60..=100).contains(&begun), "{begun}");
    assert_eq!((world.missed, world.reason(0).as_str()), (0, "AsDeclared"), "who waits for a place is not late");
    let status = world.facts.policies[0].status.clone().expect("a status");
    assert_eq!(status.waiting.len(), 16, "a status lists the first");
    assert_eq!(status.waiting_slots, i32::try_from(APPLICATIONS - begun).ok());
    assert!(status.waiting.iter().all(|slot| slot.reason == "LimitReached"));
    assert!(serde_json::to_string(&status).expect("JSON").len() < 8_000, "it stays small");
}

#[test]
fn with_places_for_all_the_jitter_spreads_what_begins() {
    let mut world = city("0 9 * * *", &json!({"jitter": "10m", "limits": {"backups": 256}}));
    world.facts.repositories.insert("main".into(), RepositoryStands::Ready { runs: 10_000 });
    world.facts.limits = Limits { per_site: 10_000, per_district: 10_000, ..Limits::default() };
    let mut of_ten_seconds: BTreeMap<i64, usize> = BTreeMap::new();
    world.run("2026-11-24T01:10:30Z", EVERY);
    for (at, _) in &world.begun {
        *of_ten_seconds.entry(at.as_second() / 10).or_default() += 1;
    }
    assert_eq!(world.begun.len(), APPLICATIONS);
    let busiest = of_ten_seconds.values().max().copied().unwrap_or_default();
    assert!(busiest <= 70, "33 on average, {busiest} at most");
    assert!(world.most <= 256);
}

#[test]
fn one_look_at_two_thousand_applications_is_quick() {
    let mut world = city("0 9 * * *", &json!({"jitter": "10m"}));
    world.now = time("2026-11-24T01:30:00Z");
    let began = std::time::Instant::now();
    for _ in 0..3 {
        world.look();
    }
    let each = began.elapsed() / 3;
    assert!(each < std::time::Duration::from_secs(5), "{each:?} in a build for tests");
}
