//! Which ended runs leave the hub: by properties over random districts, and by cases.

use jiff::{SignedDuration, Timestamp};
use p861_core::{
    conditions::ConditionUpdate,
    platform::{application, facts::Unseen},
    protection::{policy::decide as policy, standing as protection},
    recovery::{conclude, standing as recovery},
    runs::{
        RunClass,
        history::{EndedRun, HistoryFacts, RUN_KEPT_FOR, TICKET_KEPT_FOR, to_collect},
    },
};
use p861_crds::{
    Application, Approval, Backup, BackupPolicy, Drill, MaintenanceTicket, Reason, RecoveryPlan, Restore,
    common::HistoryLimits,
    names::{CLEANUP_FINALIZER, KEEP, TICKET_LABEL},
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const LIMITS: HistoryLimits = HistoryLimits { succeeded: 2, failed: 1 };

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().expect("a time")
}

fn ago(minutes: i64) -> String {
    (now() - SignedDuration::from_mins(minutes)).to_string()
}

fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: Value, status: Value) -> K {
    let metadata = json!({"name": name, "namespace": "shinan", "uid": format!("uid-{name}"), "resourceVersion": "7", "creationTimestamp": ago(1_000_000)});
    serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status})).expect(kind)
}

/// A backup that succeeded so many minutes ago.
fn backup(name: &str, application: &str, minutes: i64) -> Backup {
    let status = json!({"phase": "Succeeded", "completionTime": ago(minutes), "recoveryPointTime": ago(minutes), "snapshotID": format!("5aa5{name}"), "repository": "r"});
    object("Backup", name, json!({"applicationRef": {"name": application}}), status)
}

/// A drill of plan `p` that passed so many minutes ago.
fn drill(name: &str, minutes: i64) -> Drill {
    let status = json!({"phase": "Succeeded", "result": "Passed", "completionTime": ago(minutes)});
    object("Drill", name, json!({"planRef": {"name": "p"}, "type": "Tabletop"}), status)
}

fn ticket(name: &str, phase: &str, minutes: i64) -> MaintenanceTicket {
    let spec = json!({"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {}});
    object("MaintenanceTicket", name, spec, json!({"phase": phase, "completionTime": ago(minutes)}))
}

fn application(name: &str) -> Application {
    let spec = json!({"names": {"en": name}, "department": "d", "namespaces": [name], "objectives": {"rpo": "24h"}});
    object("Application", name, spec, json!({}))
}

fn names(ended: &[EndedRun]) -> Vec<String> {
    ended.iter().map(|run| format!("{} {}", run.class.kind(), run.name)).collect()
}

fn key(run: &EndedRun) -> (RunClass, String) {
    (run.class, run.name.clone())
}

/// What is left once these have gone.
fn without(facts: &HistoryFacts, gone: &[EndedRun]) -> HistoryFacts {
    let gone: BTreeSet<(RunClass, String)> = gone.iter().map(key).collect();
    let stays = |class: RunClass, name: &Option<String>| !gone.contains(&(class, name.clone().unwrap_or_default()));
    let mut left = facts.clone();
    left.backups.retain(|object| stays(RunClass::Backup, &object.metadata.name));
    left.restores.retain(|object| stays(RunClass::Restore, &object.metadata.name));
    left.drills.retain(|object| stays(RunClass::Drill, &object.metadata.name));
    left.tickets.retain(|object| stays(RunClass::Change, &object.metadata.name));
    left
}

/// Everything that a status says because of runs.
fn said(facts: &HistoryFacts) -> Vec<String> {
    let unseen = Err(Unseen { reason: Reason::Unreachable, message: String::new() });
    let mut said = Vec::new();
    for application in &facts.applications {
        let policy = policy::of_application(application, &facts.policies, &facts.backups, "UTC", now());
        let (status, conditions) = application::decide(application, &unseen, &facts.plans, (&facts.backups, &facts.restores), &policy, now());
        said.push(format!("{status:?} {conditions:?}"));
    }
    for repository in ["r", "s"] {
        let ConditionUpdate { status, reason, message, .. } = protection::checked(repository, &facts.backups);
        // A damaged repository names its damaged backups: as long as one is there, that is enough.
        let message = if reason == Reason::Damaged { String::new() } else { message };
        said.push(format!("{status:?} {reason} {message}"));
    }
    for plan in ["p", "q"] {
        let drills: Vec<&Drill> = facts.drills.iter().filter(|drill| drill.spec.plan_ref.name == plan).collect();
        let proving = drills.iter().filter(|drill| drill.status.as_ref().is_some_and(|status| conclude::proves(&drill.spec, status)));
        let newest = proving.filter_map(|drill| drill.status.as_ref()?.completion_time.clone()).max_by_key(|time| time.0);
        said.push(format!("{:?} {:?} {newest:?}", recovery::last_drill(&drills), recovery::predict(&drills)));
    }
    said
}

/// What a generated run is made of.
#[derive(Clone, Debug)]
struct Seed {
    class: u8,
    group: u8,
    phase: u8,
    minutes: i64,
    level: Option<(u8, i64)>,
    damaged: bool,
    mark: u8,
    refers: u8,
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    // Few distinct times, so that many are equal; the grace period lies among them.
    let minutes = prop_oneof![0_i64..5, 55_i64..65, (0_i64..40).prop_map(|day| day * 1440)];
    let seed = (0_u8..9, 0_u8..2, 0_u8..10, minutes, prop::option::of((0_u8..3, 0_i64..6)), prop::bool::weighted(0.2), 0_u8..24, 0_u8..40);
    let seed =
        seed.prop_map(|(class, group, phase, minutes, level, damaged, mark, refers)| Seed { class, group, phase, minutes, level, damaged, mark, refers });
    prop::collection::vec(seed, 0..60)
}

fn phase(number: u8) -> &'static str {
    ["Succeeded", "Succeeded", "Succeeded", "Succeeded", "Failed", "Aborted", "Refused", "Running", "CleaningUp", "Pending"][usize::from(number)]
}

/// A person, or the run itself, keeps an object: never, by label, by annotation, by its finalizer, or because it goes already.
fn mark(metadata: &mut p861_crds::ObjectMeta, mark: u8) {
    match mark {
        0 => drop(metadata.labels.get_or_insert_default().insert(KEEP.into(), "true".into())),
        1 => drop(metadata.annotations.get_or_insert_default().insert(KEEP.into(), "true".into())),
        2 => metadata.finalizers = Some(vec![CLEANUP_FINALIZER.into()]),
        3 => metadata.deletion_timestamp = Some(p861_crds::Time(now())),
        4 => drop(metadata.labels.get_or_insert_default().insert(KEEP.into(), "false".into())),
        _ => {}
    }
}

fn backup_of(name: &str, seed: &Seed) -> Backup {
    let mut backup = backup(name, if seed.group == 0 { "a" } else { "b" }, seed.minutes);
    mark(&mut backup.metadata, seed.mark);
    let mut status = json!({"phase": phase(seed.phase), "repository": if seed.refers.is_multiple_of(3) { "s" } else { "r" }});
    if seed.phase < 7 {
        status["completionTime"] = json!(ago(seed.minutes));
    }
    if seed.phase < 4 {
        (status["recoveryPointTime"], status["snapshotID"]) = (json!(ago(seed.minutes)), json!(format!("5aa5{name}")));
    }
    if let Some((level, ago_days)) = seed.level.filter(|_| seed.phase < 4) {
        let level = ["Stored", "Restored", "Probed"][usize::from(level)];
        status["verification"] = json!({"level": level, "verifiedTime": ago(ago_days * 1440)});
    }
    if seed.damaged {
        status["conditions"] = json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "a pack is gone", "lastTransitionTime": ago(1)}]);
    }
    backup.status = serde_json::from_value(status).expect("a status");
    if seed.mark == 5 {
        backup.spec.keep_until_time = Some(p861_crds::Time(now() + SignedDuration::from_mins(1)));
    }
    if seed.refers == 1 {
        backup.metadata.labels.get_or_insert_default().insert(TICKET_LABEL.into(), "3".into());
    }
    backup
}

fn drill_of(name: &str, seed: &Seed) -> Drill {
    let mut status = json!({"phase": phase(seed.phase)});
    if seed.phase < 7 {
        let result = if seed.phase > 3 {
            "Incomplete"
        } else if seed.damaged {
            "Failed"
        } else {
            "Passed"
        };
        (status["completionTime"], status["result"]) = (json!(ago(seed.minutes)), json!(result));
    }
    if seed.level.is_some() && seed.phase < 4 {
        status["measured"] = json!({"rto": format!("{}m", seed.refers)});
        status["applications"] = json!([{"name": "a", "backup": seed.refers.to_string()}]);
    }
    let spec = json!({"planRef": {"name": if seed.group == 0 { "p" } else { "q" }}, "type": if seed.mark.is_multiple_of(2) { "Isolated" } else { "Tabletop" }});
    let mut drill: Drill = object("Drill", name, spec, status);
    mark(&mut drill.metadata, seed.mark);
    drill
}

fn restore_of(name: &str, seed: &Seed) -> Restore {
    let source = match seed.group {
        0 => json!({"backupRef": {"name": seed.refers.to_string()}}),
        _ => json!({"applicationRef": {"name": "a"}}),
    };
    let mut status = json!({"phase": phase(seed.phase), "backup": seed.refers.to_string()});
    if seed.phase < 7 {
        status["completionTime"] = json!(ago(seed.minutes));
    }
    let mut restore: Restore = object("Restore", name, json!({"source": source, "mode": if seed.damaged { "Preview" } else { "Execute" }}), status);
    mark(&mut restore.metadata, seed.mark);
    restore
}

fn ticket_of(name: &str, seed: &Seed) -> MaintenanceTicket {
    let phase = ["Closed", "Closed", "RolledBack", "Cancelled", "Open", "InProgress"][usize::from(seed.phase % 6)];
    let mut ticket = ticket(name, phase, seed.minutes);
    ticket.status.get_or_insert_default().backups = vec![seed.refers.to_string()];
    mark(&mut ticket.metadata, seed.mark);
    ticket
}

/// A district. A run is named by its number, so that some refer to others that are there.
fn district(seeds: &[Seed]) -> HistoryFacts {
    let mut facts = HistoryFacts { applications: vec![application("a"), application("b")], ..HistoryFacts::default() };
    for (number, seed) in seeds.iter().enumerate() {
        let name = number.to_string();
        match seed.class {
            0..=4 => facts.backups.push(backup_of(&name, seed)),
            5..=6 => facts.drills.push(drill_of(&name, seed)),
            7 => facts.restores.push(restore_of(&name, seed)),
            _ => facts.tickets.push(ticket_of(&name, seed)),
        }
    }
    facts
}

/// Everything that an object of the district refers to by name, found in its JSON.
fn referred(facts: &HistoryFacts) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut add = |value: &Value| found.extend(value.as_str().map(str::to_owned));
    for restore in &facts.restores {
        let restore = serde_json::to_value(restore).expect("JSON");
        add(&restore["spec"]["source"]["backupRef"]["name"]);
        add(&restore["status"]["backup"]);
    }
    for drill in &facts.drills {
        let drill = serde_json::to_value(drill).expect("JSON");
        drill["status"]["applications"].as_array().into_iter().flatten().for_each(|application| add(&application["backup"]));
    }
    for ticket in &facts.tickets {
        let ticket = serde_json::to_value(ticket).expect("JSON");
        ticket["status"]["backups"].as_array().into_iter().flatten().for_each(&mut add);
    }
    found
}

/// Metadata and status of an object, as JSON.
fn json_of(facts: &HistoryFacts, run: &EndedRun) -> Value {
    let find = |objects: Value| objects.as_array().into_iter().flatten().find(|object| object["metadata"]["uid"] == run.uid.as_str()).cloned();
    let all = match run.class {
        RunClass::Backup => json!(facts.backups),
        RunClass::Restore => json!(facts.restores),
        RunClass::Drill => json!(facts.drills),
        _ => json!(facts.tickets),
    };
    find(all).expect("what goes was there")
}

proptest! {
    #[test]
    fn fault_f8_what_goes_has_ended_long_ago_and_nobody_keeps_it_or_refers_to_it(seeds in seeds()) {
        let facts = district(&seeds);
        let referred = referred(&facts);
        let tickets: BTreeSet<String> = facts.tickets.iter().filter_map(|ticket| ticket.metadata.name.clone()).collect();
        for run in to_collect(&facts, LIMITS, now()) {
            let object = json_of(&facts, &run);
            let (metadata, status) = (&object["metadata"], &object["status"]);
            prop_assert!(["Succeeded", "Failed", "Aborted", "Refused", "Closed", "RolledBack", "Cancelled"].contains(&status["phase"].as_str().unwrap()), "{object}");
            let ended: Timestamp = status["completionTime"].as_str().expect("an end").parse().expect("a time");
            let kept_for = if run.class == RunClass::Change { TICKET_KEPT_FOR } else { RUN_KEPT_FOR };
            prop_assert!(now().duration_since(ended) >= kept_for, "{object}");
            prop_assert!(metadata["labels"][KEEP] != "true" && metadata["annotations"][KEEP] != "true", "{object}");
            prop_assert!(metadata["finalizers"].is_null() && metadata["deletionTimestamp"].is_null(), "{object}");
            if run.class == RunClass::Backup {
                prop_assert!(!referred.contains(&run.name), "{object}");
                prop_assert!(object["spec"]["keepUntilTime"].is_null(), "{object}");
                prop_assert!(metadata["labels"][TICKET_LABEL].as_str().is_none_or(|ticket| !tickets.contains(ticket)), "{object}");
            }
        }
    }

    #[test]
    fn fault_f8_no_status_says_anything_else_when_an_object_goes(seeds in seeds()) {
        let facts = district(&seeds);
        let gone = to_collect(&facts, LIMITS, now());
        prop_assert_eq!(said(&facts), said(&without(&facts, &gone)), "without {:?}", names(&gone));
        // Nor when only some of them could be removed.
        let half = &gone[..gone.len() / 2];
        prop_assert_eq!(said(&facts), said(&without(&facts, half)), "without {:?}", names(half));
        // Not even if nothing is kept for its own sake.
        let none = to_collect(&facts, HistoryLimits { succeeded: 0, failed: 0 }, now());
        prop_assert_eq!(said(&facts), said(&without(&facts, &none)), "without {:?}", names(&none));
    }

    #[test]
    fn fault_f8_the_newest_of_each_group_stay_and_a_second_look_removes_only_what_the_first_has_freed(seeds in seeds()) {
        let facts = district(&seeds);
        let gone = to_collect(&facts, LIMITS, now());
        let left = without(&facts, &gone);
        let freed: BTreeSet<String> = referred(&facts).difference(&referred(&left)).cloned().collect();
        let of_gone_tickets = facts.tickets.len() != left.tickets.len();
        for run in to_collect(&left, LIMITS, now()) {
            let asked = left.backups.iter().any(|backup| backup.metadata.name.as_ref() == Some(&run.name) && backup.metadata.labels.is_some());
            prop_assert!(freed.contains(&run.name) || (of_gone_tickets && asked), "{} was over the limit before", run.name);
        }
        for application in ["a", "b"] {
            let sound = |facts: &HistoryFacts| {
                let mut points: Vec<(Timestamp, String)> = facts.backups.iter().filter(|backup| backup.spec.application_ref.name == application).filter_map(|backup| {
                    let status = backup.status.as_ref().filter(|status| status.recovery_point_time.is_some() && status.conditions.is_empty())?;
                    Some((status.recovery_point_time.as_ref()?.0, backup.metadata.name.clone()?))
                }).collect();
                points.sort_by(|a, b| b.cmp(a));
                points.truncate(2);
                points
            };
            prop_assert_eq!(sound(&facts), sound(&left), "the newest two of {}", application);
        }
    }
}

#[test]
fn fault_f8_of_each_group_as_many_stay_as_the_limits_say() {
    let six = HistoryLimits::default();
    let hours = |hours: i64| hours * 60;
    let facts = HistoryFacts {
        backups: (1..=20).flat_map(|n| [backup(&format!("a{n:02}"), "a", hours(n + 1)), backup(&format!("b{n:02}"), "b", hours(n + 1))]).collect(),
        drills: (1..=9).map(|n| drill(&format!("d{n}"), hours(n + 1))).collect(),
        tickets: (1..=9)
            .flat_map(|n| [ticket(&format!("closed{n}"), "Closed", hours(n)), ticket(&format!("old{n}"), "Closed", hours(24 * 32 + n))])
            .chain((1..=9).map(|n| ticket(&format!("cancelled{n}"), "Cancelled", hours(24 * 40 + n))))
            .collect(),
        ..HistoryFacts::default()
    };
    let gone = to_collect(&facts, six, now());
    let left = without(&facts, &gone);
    let left_of = |of: &str| -> usize { left.backups.iter().filter(|backup| backup.spec.application_ref.name == of).count() };
    assert_eq!((left_of("a"), left_of("b"), left.drills.len()), (6, 6, 6), "{:?}", names(&gone));
    // Of the closed tickets nine are younger than a month; of the cancelled ones the newest six stay.
    assert_eq!(left.tickets.len(), 9 + 6, "{:?}", names(&gone));
    assert_eq!(names(&gone)[0], "MaintenanceTicket cancelled9", "the longest ended goes first");
}

#[test]
fn of_an_application_s_backups_as_many_stay_as_its_policy_says_and_of_all_else_as_the_district_does() {
    let policy = |name: &str, history: Value| -> BackupPolicy {
        object("BackupPolicy", name, json!({"repositoryRef": {"name": "r"}, "schedule": "0 * * * *", "history": history}), json!({}))
    };
    let with = |name: &str, policy: &str| {
        let mut application = application(name);
        application.spec.backup_policy_ref = serde_json::from_value(json!({"name": policy})).expect("a reference");
        application
    };
    let hours = |hours: i64| hours * 60;
    let facts = HistoryFacts {
        backups: ["a", "b", "c"].iter().flat_map(|of| (1..=9).map(move |n| backup(&format!("{of}{n}"), of, hours(n + 1)))).collect(),
        drills: (1..=9).map(|n| drill(&format!("d{n}"), hours(n + 1))).collect(),
        applications: vec![with("a", "long"), with("b", "silent"), application("c")],
        policies: vec![policy("long", json!({"succeeded": 4, "failed": 1})), policy("silent", Value::Null)],
        ..HistoryFacts::default()
    };
    let left = without(&facts, &to_collect(&facts, LIMITS, now()));
    let left_of = |of: &str| -> usize { left.backups.iter().filter(|backup| backup.spec.application_ref.name == of).count() };
    assert_eq!((left_of("a"), left_of("b"), left_of("c"), left.drills.len()), (4, 2, 2, 2));
}

#[test]
fn fault_f8_the_newest_of_each_level_and_one_damaged_stay_however_old_they_are() {
    let proven = |name: &str, minutes: i64, level: &str| {
        let mut backup = backup(name, "a", minutes);
        let proof = json!({"level": level, "verifiedTime": ago(minutes)});
        backup.status.get_or_insert_default().verification = serde_json::from_value(proof).expect("a proof");
        backup
    };
    let damaged = |name: &str, minutes: i64| {
        let mut backup = backup(name, "a", minutes);
        let conditions = json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "", "lastTransitionTime": ago(1)}]);
        backup.status.get_or_insert_default().conditions = serde_json::from_value(conditions).expect("conditions");
        backup
    };
    let mut backups: Vec<Backup> = (1..=9).map(|n| proven(&format!("stored{n}"), 100 * n, "Stored")).collect();
    backups.extend([proven("probed-old", 9_000, "Probed"), proven("probed", 8_000, "Probed"), proven("restored", 7_000, "Restored")]);
    backups.extend((1..=9).map(|n| damaged(&format!("damaged{n}"), 10_000 + n)));
    let facts = HistoryFacts { backups, ..HistoryFacts::default() };
    let left = without(&facts, &to_collect(&facts, HistoryLimits { succeeded: 1, failed: 0 }, now()));
    let left: Vec<&str> = left.backups.iter().filter_map(|backup| backup.metadata.name.as_deref()).collect();
    assert_eq!(left, ["stored1", "probed", "restored", "damaged1"]);
}

#[test]
fn fault_f8_an_approval_goes_with_its_subject_and_by_its_uid_only() {
    let approval = |name: &str, uid: &str| -> Approval {
        let spec = json!({"subjectRef": {"kind": "MaintenanceTicket", "name": "t2", "uid": uid}, "purpose": "SignOff", "decision": "Approved"});
        object("Approval", name, spec, json!({}))
    };
    let facts = HistoryFacts {
        tickets: vec![ticket("t1", "Closed", 60 * 24 * 40), ticket("t2", "Closed", 60 * 24 * 50)],
        approvals: vec![approval("yes", "uid-t2"), approval("of-another", "uid-t0")],
        ..HistoryFacts::default()
    };
    let gone = to_collect(&facts, HistoryLimits { succeeded: 1, failed: 1 }, now());
    let expected = EndedRun {
        class: RunClass::Change,
        name: "t2".into(),
        uid: "uid-t2".into(),
        resource_version: "7".into(),
        approvals: vec![("yes".into(), "uid-yes".into())],
        group: vec!["Incident".into()],
        succeeded: true,
        order: now() - jiff::SignedDuration::from_hours(24 * 50),
        limits: HistoryLimits { succeeded: 1, failed: 1 },
    };
    assert_eq!(gone, [expected]);
}

#[test]
fn fault_f8_a_drill_that_a_plan_names_stays_and_so_does_the_origin_of_a_ticket() {
    let plan: RecoveryPlan = object(
        "RecoveryPlan",
        "p",
        json!({"repositoryRef": {"name": "r"}, "groups": []}),
        json!({"lastDrill": {"name": "d5", "result": "Passed", "completionTime": ago(500)}}),
    );
    let mut open = ticket("open", "Open", 1);
    open.spec.from = serde_json::from_value(json!({"kind": "Drill", "name": "d7"})).expect("an origin");
    let facts =
        HistoryFacts { drills: (1..=9).map(|n| drill(&format!("d{n}"), 100 * n)).collect(), plans: vec![plan], tickets: vec![open], ..HistoryFacts::default() };
    let gone = to_collect(&facts, HistoryLimits { succeeded: 1, failed: 1 }, now());
    assert_eq!(names(&gone), ["Drill d9", "Drill d8", "Drill d6", "Drill d4", "Drill d3", "Drill d2"]);
}
