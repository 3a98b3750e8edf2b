use super::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: Value, status: Value) -> K {
    let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec, "status": status});
    serde_json::from_value(document).unwrap_or_else(|error| panic!("{kind} {name}: {error}"))
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-24T00:00:00Z"})
}

fn site(name: &str, conditions: Value) -> Site {
    object("Site", name, json!({"failureDomain": "d", "access": {"inCluster": {}}}), json!({ "conditions": conditions }))
}

fn drill(name: &str, status: Value) -> Drill {
    object("Drill", name, json!({"planRef": {"name": "core"}, "type": "Isolated"}), status)
}

fn look(objects: &Objects, language: Language) -> Found {
    let clock = Clock { now: "2026-11-24T00:30:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC };
    found(objects, &Telling { language, place: " -d shinan", clock: &clock, operator_namespace: "p861-system", person: None })
}

fn told(objects: &Objects) -> Vec<(String, String, String)> {
    let needs = look(objects, Language::En).needs;
    needs.into_iter().map(|need| (format!("{} {} {}", need.noun, need.name, need.condition), need.said, need.command)).collect()
}

#[test]
fn what_nobody_has_looked_at_is_not_called_well() {
    let told = told(&Objects { sites: vec![site("a", json!([]))], ..Objects::default() });
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].2, "kubectl -n p861-system get pods");
}

#[test]
fn one_trouble_under_two_names_is_told_once() {
    let conditions = json!([condition("Reachable", "False", "Unreachable", "no answer"), condition("Ready", "False", "Unreachable", "no answer")]);
    assert_eq!(
        told(&Objects { sites: vec![site("a", conditions)], ..Objects::default() }),
        [("site a Ready".into(), "no answer".into(), "p861 site show a -d shinan".into())]
    );
}

#[test]
fn a_run_that_waits_is_told_with_the_command_that_answers_it() {
    let waits = drill(
        "d",
        json!({"phase": "WaitingForPerson", "currentSteps": [
            {"id": "announce", "phase": "WaitingForPerson", "attempt": 1, "message": "0 of 1 answered", "prompt": {"en": "Called?"}, "remedy": "p861 drill answer d announce --yes"},
            {"id": "check/a/b", "phase": "Running", "attempt": 1, "message": "under way"}
        ]}),
    );
    let paused = drill("p", json!({"phase": "Paused"}));
    assert_eq!(
        told(&Objects { drills: vec![waits, paused, drill("r", json!({"phase": "Running"}))], ..Objects::default() }),
        [
            ("drill d WaitingForPerson".into(), "announce: Called?".into(), "p861 drill answer d announce --yes -d shinan".into()),
            ("drill p Paused".into(), "paused: no new steps are started".into(), "p861 drill resume p -d shinan".into()),
        ]
    );
}

#[test]
fn a_ticket_is_told_while_nobody_has_it_while_it_waits_for_agreement_and_for_hands() {
    let spec = |kind: &str, more: Value| {
        let mut spec = json!({"type": kind, "title": {"en": "t"}, "impact": "Low", "urgency": "Low"});
        spec.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        spec
    };
    let incident: MaintenanceTicket = object("MaintenanceTicket", "inc", spec("Incident", json!({"incident": {}})), json!({"phase": "Open"}));
    let of_change = spec("Change", json!({"change": {"class": "Normal", "work": {"manual": {}}, "plan": {"en": "so"}}}));
    let asks =
        json!({"phase": "Planned", "approvals": {"required": 1, "given": 0}, "conditions": [condition("Approved", "False", "ApprovalsMissing", "0 of 1")]});
    let change: MaintenanceTicket = object("MaintenanceTicket", "chg", of_change.clone(), asks);
    let hands = json!({"phase": "InProgress", "currentSteps": [{"id": "manual", "phase": "WaitingForPerson", "attempt": 0, "message": "0 of 1 answered", "prompt": {"en": "Empty."}, "remedy": "p861 ticket done wrk"}]});
    let working: MaintenanceTicket = object("MaintenanceTicket", "wrk", of_change.clone(), hands);
    let closed: MaintenanceTicket =
        object("MaintenanceTicket", "end", of_change, json!({"phase": "Closed", "conditions": [condition("WithinClocks", "False", "ResolveOverdue", "late")]}));
    assert_eq!(
        told(&Objects { tickets: vec![incident, change, working, closed], ..Objects::default() }),
        [
            ("ticket inc Open".into(), "not acknowledged yet".into(), "p861 ticket ack inc -d shinan".into()),
            ("ticket chg Approved".into(), "waits for 1 approval".into(), "p861 ticket approve chg -d shinan".into()),
            ("ticket wrk WaitingForPerson".into(), "Empty.".into(), "p861 ticket done wrk -d shinan".into()),
        ]
    );
}

#[test]
fn what_an_ended_drill_left_is_told_and_what_a_running_one_uses_is_not() {
    let standing = |phase: &str| drill(phase, json!({"phase": phase, "conditions": [condition("CleanedUp", "False", "InUse", "2 namespaces on laoshan-dr")]}));
    assert_eq!(told(&Objects { drills: vec![standing("Running"), standing("Failed")], ..Objects::default() }).len(), 1);
    // A backup or restore says so only if a person skipped its clean-up.
    let status = json!({"phase": "Succeeded", "conditions": [condition("CleanedUp", "False", "StepSkipped", "a person skipped step clean-up")]});
    let backup: Backup = object("Backup", "b", json!({"applicationRef": {"name": "portal"}}), status.clone());
    let restore: Restore = object("Restore", "r", json!({"source": {"backupRef": {"name": "b"}}, "mode": "Execute"}), status);
    assert_eq!(told(&Objects { backups: vec![backup], restores: vec![restore], ..Objects::default() }).len(), 2);
}

#[test]
fn an_operator_that_renews_its_lease_is_alive_and_any_other_is_told() {
    let beat = |renewed: Option<&str>| {
        Some(Heartbeat { renewed: renewed.map(|time| time.parse().expect("a time")), holds: jiff::SignedDuration::from_secs(15), held: renewed.is_some() })
    };
    for (heartbeat, silent) in [(None, false), (beat(Some("2026-11-24T00:29:50Z")), false), (beat(Some("2026-11-24T00:20:00Z")), true), (beat(None), true)] {
        assert_eq!(!told(&Objects { heartbeat, ..Objects::default() }).is_empty(), silent, "{heartbeat:?}");
    }
}

#[test]
fn a_plan_that_was_never_drilled_is_told_with_the_drill_to_type() {
    let plan: RecoveryPlan = object(
        "RecoveryPlan",
        "core",
        json!({"repositoryRef": {"name": "r"}, "groups": []}),
        json!({"conditions": [condition("Drilled", "False", "NeverDrilled", "no isolated drill of this plan has ended: p861 drill run")]}),
    );
    assert_eq!(told(&Objects { plans: vec![plan], ..Objects::default() })[0].2, "p861 drill run core -d shinan");
}

#[test]
fn fault_h15_a_layer_far_above_the_others_and_an_item_without_an_application_are_advice_and_nothing_that_needs_a_person() {
    let conditions = [
        condition("Ready", "True", "AsDeclared", "every layer is as declared"),
        condition("Balanced", "False", "Excess", "Storage supports 17 applications, Network 62; strengthen Storage first: p861 platform gaps"),
    ];
    let items =
        json!([{"key": "knowledge", "state": "Missing", "reason": "NoApplication"}, {"key": "archive", "state": "NotAssessed", "reason": "Provisional"}]);
    let platform: Platform = object("Platform", "shinan", json!({"network": {"isolation": "Department"}}), json!({"conditions": conditions, "items": items}));
    let objects = Objects { platforms: vec![platform.clone()], ..Objects::default() };
    for (language, said) in [
        (
            Language::En,
            [
                "Storage supports 17 applications, Network 62; strengthen Storage first",
                "the profile expects knowledge, and no application provides it; declare spec.profileItem: knowledge in the Application that does",
            ],
        ),
        (Language::Zh, ["一枝独秀", "规范要求构成项 knowledge，尚无应用提供；请在提供它的 Application 中写明 spec.profileItem: knowledge"]),
    ] {
        let Found { needs, advice } = look(&objects, language);
        assert!(needs.is_empty(), "nobody is called for it: {needs:?}");
        assert_eq!(advice.len(), 2, "{advice:?}");
        for (advice, said) in advice.iter().zip(said) {
            assert!(advice.said.starts_with(said) && !advice.bad, "{advice:?}");
            assert_eq!(advice.command, "p861 platform gaps -d shinan");
        }
    }
    let short = [condition("Balanced", "False", "ShortPlank", "Storage supports 8 applications, 12 run: p861 platform gaps")];
    let platform: Platform = object("Platform", "shinan", json!({"network": {"isolation": "Department"}}), json!({ "conditions": short }));
    assert_eq!(told(&Objects { platforms: vec![platform], ..Objects::default() }).len(), 1, "more applications than there is room for need a person");
}

#[test]
fn fault_h15_every_problem_comes_with_a_command_that_can_be_typed() {
    for noun in ["site", "platform", "repository", "app", "plan", "duty", "template", "ticket", "backup", "restore", "drill", "district"] {
        let command = shows(noun, "name");
        assert!(command.starts_with("kubectl ") || crate::args::understands(&command), "{noun}: {command}");
    }
}

#[test]
fn a_policy_that_somebody_suspended_is_advice_and_one_that_takes_no_backups_for_another_reason_needs_a_person() {
    let policy = |name: &str, reason: &str, message: &str| -> BackupPolicy {
        let spec = json!({"repositoryRef": {"name": "main"}, "schedule": "0 2 * * *"});
        object("BackupPolicy", name, spec, json!({"conditions": [condition("Ready", "False", reason, message)]}))
    };
    let policies =
        vec![policy("resting", "Suspended", "policy resting is suspended (moved)"), policy("late", "BackupMissed", "the backup of a is late: no answer")];
    let found = look(&Objects { policies, ..Objects::default() }, Language::En);
    let told = |needs: &[Need]| needs.iter().map(|need| format!("{} {}: {}", need.noun, need.name, need.command)).collect::<Vec<_>>();
    assert_eq!(told(&found.needs), ["policy late: p861 policy show late -d shinan"]);
    assert_eq!(told(&found.advice), ["policy resting: p861 policy show resting -d shinan"]);
}

#[test]
fn several_items_without_an_application_are_told_with_where_each_is_declared() {
    let said = text::items_missing(&["knowledge", "archive"]);
    assert_eq!(
        said.en,
        "the profile expects knowledge, archive, and no application provides them; declare each as spec.profileItem of the Application that does"
    );
    assert!(said.zh.contains("knowledge、archive") && said.zh.contains("spec.profileItem"), "{}", said.zh);
    let item = serde_json::to_value(p861_crds::ApplicationSpec { profile_item: Some("knowledge".into()), ..application_spec() }).expect("a spec");
    assert_eq!(item["profileItem"], "knowledge", "the field is called so");
}

fn application_spec() -> p861_crds::ApplicationSpec {
    serde_json::from_value(json!({"department": "d", "namespaces": ["a"]})).expect("a spec")
}
