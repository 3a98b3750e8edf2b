//! What a policy does when something is in the way: nobody is there, backups take long, clocks are put forward and back.

use super::*;
use p861_core::protection::policy::holding::holding;

#[test]
fn every_slot_is_taken_once_and_none_from_before_the_policy_was_there() {
    let mut world = one("*/10 * * * *", &json!({}));
    world.run("2026-11-24T00:45:00Z", EVERY);
    assert_eq!(world.begins(), ["20261124-0010z", "20261124-0020z", "20261124-0030z", "20261124-0040z"]);
    let status = world.facts.policies[0].status.clone().expect("a status");
    assert_eq!((status.active_since, status.next_slot_time), (Some(Time(time("2026-11-24T00:00:05Z"))), Some(Time(time("2026-11-24T00:50:00Z")))));
    assert_eq!(
        (status.last_slot_time, status.applications, status.waiting_slots, status.missed),
        (Some(Time(time("2026-11-24T00:40:00Z"))), Some(1), None, None)
    );
    assert_eq!((world.reason(0).as_str(), world.missed), ("AsDeclared", 0));
}

#[test]
fn what_was_missed_while_nobody_was_there_is_made_up_for_once_however_much_it_was() {
    for (schedule, down_until, begun, missed) in [
        // A hundred and eighty slots.
        ("* * * * *", "2026-11-24T04:00:30Z", vec!["20261124-0400z"], 179),
        ("*/10 * * * *", "2026-11-24T04:07:00Z", vec!["20261124-0400z", "20261124-0410z"], 17),
        // Late, and longer than it may be.
        ("0 2 * * *", "2026-11-25T01:00:00Z", vec!["20261124-1800z"], 1),
        // None was missed: it begins a little late.
        ("30 10 * * *", "2026-11-24T02:35:00Z", vec!["20261124-0230z"], 0),
    ] {
        let mut world = one(schedule, &json!({}));
        world.run("2026-11-24T01:00:30Z", EVERY);
        world.begins();
        world.now = time(down_until);
        world.restart();
        world.run(&after(time(down_until), SignedDuration::from_secs(20)).to_string(), EVERY);
        if begun.len() == 2 {
            world.run("2026-11-24T04:10:05Z", EVERY);
        }
        assert_eq!(world.begins(), begun, "{schedule}");
        assert_eq!(world.missed, missed, "{schedule}");
        assert_eq!(world.told.len(), usize::from(missed > 0), "{schedule}: it is told once: {:?}", world.told);
    }
}

#[test]
fn a_backup_that_takes_longer_than_the_period_lets_nothing_pile_up() {
    let mut world = one("*/10 * * * *", &json!({}));
    world.takes = minutes(25);
    world.run("2026-11-24T01:09:00Z", EVERY);
    // The next one begins as soon as the one before has ended, and is called by the newest slot.
    assert_eq!(world.begins(), ["20261124-0010z", "20261124-0030z", "20261124-0100z"]);
    assert_eq!((world.most, world.missed), (1, 3), "0020z, 0040z and 0050z gave their place to the next: {:?}", world.told);
    assert_eq!(world.reason(0), "AsDeclared", "25 minutes and ten are within the RPO");
}

#[test]
fn what_is_in_the_way_is_named_and_is_late_only_after_the_starting_deadline() {
    let mut world = one("0 * * * *", &json!({"startingDeadline": "5m"}));
    world.not_ready("a", Some(Reason::Unreachable));
    world.run("2026-11-24T01:04:50Z", EVERY);
    assert_eq!((world.reason(0).as_str(), world.missed), ("AsDeclared", 0));
    let waiting = world.facts.policies[0].status.as_ref().map(|status| status.waiting.clone()).expect("a status");
    assert_eq!((waiting.len(), waiting[0].reason.as_str(), waiting[0].application.as_str()), (1, "Unreachable", "a"));
    world.run("2026-11-24T01:30:00Z", EVERY);
    assert_eq!((world.reason(0).as_str(), world.missed, world.told.len()), ("BackupMissed", 1, 1));
    assert!(world.told[0].1.starts_with("1 backup missed, the newest of 2026-11-24T01:00:00Z (a): application a is not Ready"), "{:?}", world.told);
    let decision = world.look().remove("p").expect("a decision");
    assert_eq!((decision.late, decision.waits), (1, true));
    world.not_ready("a", None);
    world.run("2026-11-24T01:31:00Z", EVERY);
    assert_eq!((world.begins(), world.reason(0).as_str()), (vec!["20261124-0100z".to_owned()], "AsDeclared"), "it is made up for");
    // A repository that is away is in everybody's way, and says so itself.
    world.facts.repositories.insert("main".into(), RepositoryStands::NotReady);
    world.run("2026-11-24T02:10:00Z", EVERY);
    assert_eq!((world.begins(), world.reason(0).as_str(), world.missed), (Vec::new(), "RepositoryNotReady", 2));
}

#[test]
fn a_backup_that_somebody_takes_meanwhile_makes_up_for_one_that_is_late() {
    let mut world = one("0 * * * *", &json!({}));
    world.not_ready("a", Some(Reason::Unreachable));
    world.run("2026-11-24T01:20:00Z", EVERY);
    let by_hand = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": "a-by-hand"}, "spec": {"applicationRef": {"name": "a"}},
        "status": {"phase": "Succeeded", "snapshotID": "s", "recoveryPointTime": "2026-11-24T01:15:00Z", "completionTime": "2026-11-24T01:16:00Z"}});
    world.facts.backups.push(serde_json::from_value(by_hand).expect("a backup"));
    world.not_ready("a", None);
    world.run("2026-11-24T02:00:30Z", EVERY);
    assert_eq!(world.begins(), ["20261124-0200z"], "not the one of 01:00");
}

#[test]
fn a_suspended_policy_takes_nothing_and_makes_up_for_nothing_when_it_goes_on() {
    let suspended = json!({"state": "Suspended", "suspension": {"reason": "the storage is replaced", "endTime": "2026-11-24T02:30:00Z"}});
    for restarts in [false, true] {
        let mut world = one("0 * * * *", &json!({}));
        world.run("2026-11-24T01:00:30Z", EVERY);
        assert_eq!(world.begins(), ["20261124-0100z"]);
        let status = world.facts.policies[0].status.clone();
        world.facts.policies[0] = policy("p", "0 * * * *", &suspended);
        world.facts.policies[0].status = status;
        world.run("2026-11-24T02:20:00Z", EVERY);
        assert_eq!((world.begins(), world.reason(0).as_str(), world.missed), (Vec::new(), "Suspended", 0));
        let status = world.facts.policies[0].status.clone().expect("a status");
        assert_eq!((status.active_since, status.next_slot_time), (None, Some(Time(time("2026-11-24T03:00:00Z")))), "the first after its end");
        if restarts {
            // Nobody was there when it ended.
            world.now = time("2026-11-24T02:50:00Z");
            world.restart();
        }
        world.run("2026-11-24T03:00:30Z", EVERY);
        assert_eq!((world.begins(), world.missed), (vec!["20261124-0300z".to_owned()], 0), "by its end it goes on, whatever state says");
    }
}

#[test]
fn another_schedule_counts_from_when_it_was_written() {
    let mut world = one("0 2 * * *", &json!({}));
    world.run("2026-11-24T01:00:00Z", EVERY);
    let status = world.facts.policies[0].status.clone();
    world.facts.policies[0] = policy("p", "0 * * * *", &json!({}));
    world.facts.policies[0].status = status;
    world.run("2026-11-24T02:00:30Z", EVERY);
    assert_eq!((world.begins(), world.missed), (vec!["20261124-0200z".to_owned()], 0), "neither 01:00, nor anything before");
}

#[test]
fn a_clock_that_is_put_back_takes_nothing_twice_and_one_that_was_ahead_keeps_nothing_from_being_taken() {
    let mut world = one("*/10 * * * *", &json!({}));
    world.run("2026-11-24T01:00:30Z", EVERY);
    world.begins();
    // Half an hour back.
    world.now = time("2026-11-24T00:30:30Z");
    world.run("2026-11-24T01:10:30Z", EVERY);
    assert_eq!(world.begins(), ["20261124-0110z"], "what was taken stays taken");
    // A year ahead, for a while: one backup is taken there, and told what was missed.
    world.now = time("2027-11-24T01:15:00Z");
    world.run("2027-11-24T01:16:00Z", EVERY);
    assert_eq!(world.begins(), ["20271124-0110z"]);
    // And back: the slots of the present are taken again as they come.
    world.now = time("2026-11-24T01:20:30Z");
    world.run("2026-11-24T01:41:00Z", EVERY);
    assert_eq!(world.begins(), ["20261124-0120z", "20261124-0130z", "20261124-0140z"]);
}

#[test]
fn where_clocks_are_put_forward_or_back_each_night_has_its_backup() {
    let mut world = one("30 2 * * *", &json!({}));
    world.facts.zone = "Europe/Berlin".into();
    world.facts.applications[0] = application("a", "p", "48h");
    for (from, until, expected) in [
        ("2027-03-26T12:00:00Z", "2027-03-29T12:00:00Z", vec!["20270327-0130z", "20270328-0100z", "20270329-0030z"]),
        ("2027-10-29T12:00:00Z", "2027-11-01T12:00:00Z", vec!["20271030-0030z", "20271031-0030z", "20271101-0130z"]),
    ] {
        world.facts.backups.clear();
        world.facts.policies[0].status = None;
        world.now = time(from);
        world.restart();
        world.run(until, minutes(1));
        assert_eq!(world.begins(), expected);
    }
    assert_eq!(world.missed, 0);
}

#[test]
fn the_strictest_rpo_goes_first_whichever_policy_it_is_of() {
    // Forty that may be a day old, all due at once, and one that may be a quarter of an hour old.
    let mut applications: Vec<Application> = (0..40).map(|number| application(&format!("plain-{number:02}"), "nightly", "48h")).collect();
    applications.push(application("critical", "often", "15m"));
    let policies = vec![policy("nightly", "0 9 * * *", &json!({"limits": {"backups": 100}})), policy("often", "*/10 * * * *", &json!({}))];
    let mut world = World::new("2026-11-24T00:55:05Z", policies, applications);
    world.facts.repositories.insert("main".into(), RepositoryStands::Ready { runs: 100 });
    world.takes = minutes(2);
    world.run("2026-11-24T01:35:00Z", EVERY);
    assert_eq!(world.most, 4, "the district's limit");
    let of_critical: Vec<Timestamp> = world.begun.iter().filter(|(_, name)| name.starts_with("critical")).map(|(at, _)| *at).collect();
    for (at, slot) in of_critical.iter().zip(["2026-11-24T01:00:00Z", "2026-11-24T01:10:00Z", "2026-11-24T01:20:00Z", "2026-11-24T01:30:00Z"]) {
        let waited = at.duration_since(time(slot));
        assert!(waited <= minutes(2), "{slot} waited for {waited:?}: one of four places is free within two minutes");
    }
    assert_eq!(of_critical.len(), 4);
    assert_eq!(world.begun.len(), 44, "and all others had theirs");
    assert_eq!(world.missed, 0, "who waits for a place is not late");
}

#[test]
fn two_policies_of_one_criticality_and_what_else_is_wrong_with_one_are_said() {
    let mut older = policy("older", "0 * * * *", &json!({"defaultFor": ["Ordinary"]}));
    older.metadata.creation_timestamp = Some(Time(time("2025-01-01T00:00:00Z")));
    let mut by_default = application("b", "older", "24h");
    by_default.spec.backup_policy_ref = None;
    let policies = vec![
        older,
        policy("younger", "0 * * * *", &json!({"defaultFor": ["Ordinary"]})),
        policy("unreadable", "0 25 * * *", &json!({})),
        policy("never", "0 0 30 2 *", &json!({})),
        policy("elsewhere", "0 * * * *", &json!({"repositoryRef": {"name": "gone"}})),
        policy("sparse", "0 2 * * *", &json!({})),
    ];
    let mut world = World::new("2026-11-24T00:00:05Z", policies, vec![by_default, application("a", "sparse", "4h")]);
    assert_eq!(holding(&world.facts.applications[0], &world.facts.policies).policy().and_then(|policy| policy.metadata.name.as_deref()), Some("older"));
    world.look();
    let reasons: Vec<String> = (0..6).map(|number| world.reason(number)).collect();
    assert_eq!(reasons, ["AsDeclared", "DefaultTaken", "Invalid", "Invalid", "NoRepository", "SchedulesTooSparse"]);
}
