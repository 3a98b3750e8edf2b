//! Every way in which a drill ends, and what its status then says.

use super::*;
use crate::{
    engine::{EVIDENCE_VERSION, Entry, Event, Evidence, Failure, Journal, ListedChange, ObjectChange, Record, RefusedObjects, StoredObject, summary},
    protection::choose::RecoveryPoint,
    recovery::{
        bring_up::Subject as DrillSubject,
        drill::{self as compiler, DrillFacts},
        ground::Ground,
    },
    runs::played::{End, Played, asked, play, start},
};
use p861_crds::{
    ConditionType, Reason,
    common::{ActionKind, RunAction},
    recovery::drill::RpoProof,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Two applications with one check each, drilled from backups ten minutes old.
fn applications(objectives: &Value) -> Vec<Application> {
    let one = |name: &str| {
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": {
            "department": "d", "namespaces": [format!("shinan-{name}")], "objectives": objectives[name],
            "tiers": [{"name": "web", "workloadRefs": [{"kind": "Deployment", "name": "web"}]}],
            "checks": [{"name": "login", "tcp": {"serviceName": "web", "port": 80}}]}})
    };
    ["one", "two"].map(|name| serde_json::from_value(one(name)).expect("an application")).to_vec()
}

fn plan_spec(rto: Option<&str>) -> RecoveryPlanSpec {
    let groups = json!([{"name": "all", "members": [{"applicationRef": {"name": "one"}}, {"applicationRef": {"name": "two"}}]}]);
    let mut plan = json!({"repositoryRef": {"name": "r"}, "groups": groups});
    if let Some(rto) = rto {
        plan["objectives"] = json!({"rto": rto});
    }
    serde_json::from_value(plan).expect("a plan")
}

fn drilled_as(drill_type: DrillType, plan: &RecoveryPlanSpec, applications: &[Application], actions: &[RunAction], end_of: impl Fn(&str) -> End) -> Played {
    let subjects: Vec<DrillSubject<'_>> = applications
        .iter()
        .map(|application| DrillSubject {
            name: application.metadata.name.as_deref().unwrap_or_default(),
            spec: &application.spec,
            point: RecoveryPoint {
                backup: format!("{}-backup", application.metadata.name.as_deref().unwrap_or_default()),
                snapshot: "s".into(),
                time: start() - SignedDuration::from_mins(10),
                repository: "r".into(),
                level: None,
                site: None,
            },
            claims: Vec::new(),
        })
        .collect();
    let facts =
        DrillFacts { drill_type, id: "k7m2q", site: &"standby".into(), plan, subjects: &subjects, keep_for: SignedDuration::ZERO, ground: &Ground::default() };
    play(compiler::compile(&facts).expect("compiles"), actions, end_of)
}

fn works(_: &str) -> End {
    End::Done(None)
}

fn but(step: &'static str, end: End) -> impl Fn(&str) -> End {
    move |this| if this == step { end.clone() } else { works(this) }
}

fn fails(reason: &str) -> End {
    End::Failed(Failure::permanent(Reason::from_text(reason), format!("{reason} happened")))
}

fn concluded(drill_type: DrillType, plan: &RecoveryPlanSpec, applications: &[Application], run: &Played) -> Conclusion<DrillStatus> {
    let before = DrillStatus::default();
    conclude(&DrillConclusionFacts { name: "d1", drill_type, before: &before, plan, prediction: None, applications }, &run.outcome())
}

/// A drill of applications with the usual objectives (30 minutes and more), in which each round of steps takes ten seconds.
fn usual(end_of: impl Fn(&str) -> End) -> Conclusion<DrillStatus> {
    usual_until(&[], end_of)
}

fn usual_until(actions: &[RunAction], end_of: impl Fn(&str) -> End) -> Conclusion<DrillStatus> {
    let (plan, applications) = (plan_spec(Some("30m")), applications(&json!({})));
    let run = drilled_as(DrillType::Isolated, &plan, &applications, actions, end_of);
    concluded(DrillType::Isolated, &plan, &applications, &run)
}

fn told(updates: &[ConditionUpdate]) -> Vec<(&str, Option<bool>, &str)> {
    updates.iter().map(|update| (update.kind.as_str(), update.status, update.reason.as_str())).collect()
}

#[test]
fn fault_a5_a_missed_objective_is_named_by_its_own_reason() {
    let (long, short) = ("10h", "1s");
    let asks = |rto: &str, rpo: &str| json!({"rto": rto, "rpo": rpo});
    for (case, plan_rto, one, two, reason, message) in [
        ("all met", Some(long), asks(long, long), asks(long, long), "WithinObjectives", "every application within its RTO and RPO"),
        ("no plan objective", None, asks(long, long), asks(long, long), "WithinObjectives", "every application within its RTO and RPO"),
        ("an application's RTO", Some(long), asks(short, long), asks(long, long), "RTOExceeded", "one: RTO 1m20s of 1s"),
        ("an application's RPO", Some(long), asks(long, long), asks(long, short), "RPOExceeded", "two: RPO 10m of 1s"),
        ("one application's both", Some(long), asks(short, short), asks(long, long), "RTOAndRPOExceeded", "one: RTO 1m20s of 1s, RPO 10m of 1s"),
        ("one's RTO, two's RPO", Some(long), asks(short, long), asks(long, short), "RTOAndRPOExceeded", "one: RTO 1m20s of 1s; two: RPO 10m of 1s"),
        ("the plan's RTO", Some(short), asks(long, long), asks(long, long), "RTOExceeded", "plan: RTO 1m20s of 1s"),
        ("the plan's RTO and an RPO", Some(short), asks(long, short), asks(long, long), "RTOAndRPOExceeded", "plan: RTO 1m20s of 1s; one: RPO 10m of 1s"),
    ] {
        let (plan, applications) = (plan_spec(plan_rto), applications(&json!({"one": one, "two": two})));
        let run = drilled_as(DrillType::Isolated, &plan, &applications, &[], works);
        let concluded = concluded(DrillType::Isolated, &plan, &applications, &run);
        let met = reason == Reason::WithinObjectives;
        let update = concluded.updates.iter().find(|update| update.kind == ConditionType::ObjectivesMet).unwrap_or_else(|| panic!("{case}: no ObjectivesMet"));
        assert_eq!((update.status, update.reason.as_str(), update.message.as_str()), (Some(met), reason, message), "{case}");
        assert_eq!(concluded.status.result, Some(if met { DrillResult::Passed } else { DrillResult::Failed }), "{case}");
        let succeeded = concluded.updates.last().map(|update| (update.status, update.reason.as_str()));
        assert_eq!(succeeded, Some((Some(true), if met { "Passed" } else { "Complete" })), "{case}: an objective missed is no step failed");
    }
}

#[test]
fn each_end_of_a_drill_has_its_result_and_conditions() {
    let abort = [asked(ActionKind::Abort, None)];
    let clean = ("CleanedUp", Some(true), "NothingLeft");
    let standing = ("CleanedUp", Some(false), "InUse");
    let damaged = but("verify/one", fails("Damaged"));
    for (case, concluded, result, expected) in [
        (
            "all works",
            usual(works),
            Some(DrillResult::Passed),
            vec![clean, ("ObjectivesMet", Some(true), "WithinObjectives"), ("Succeeded", Some(true), "Passed")],
        ),
        ("data is damaged", usual(damaged), Some(DrillResult::Failed), vec![clean, ("Succeeded", Some(false), "Damaged")]),
        (
            "the preflight refuses",
            usual(but("preflight", End::Failed(Failure::refused(Reason::PreflightFailed, "no room")))),
            Some(DrillResult::Incomplete),
            vec![clean, ("Succeeded", Some(false), "PreflightFailed")],
        ),
        (
            "fault e13: the site does not keep the copy closed",
            usual(but("prove-isolation", End::Failed(Failure::refused(Reason::IsolationNotEnforced, "open")))),
            Some(DrillResult::Incomplete),
            vec![clean, ("Succeeded", Some(false), "IsolationNotEnforced")],
        ),
        (
            "it is aborted",
            usual_until(&abort, but("check/one/login", End::Open)),
            Some(DrillResult::Incomplete),
            vec![clean, ("Succeeded", Some(false), "Aborted")],
        ),
        ("a check is under way", usual(but("check/one/login", End::Open)), None, vec![standing, ("Succeeded", None, "Running")]),
        ("the clean-up is under way", usual(but("clean-up", End::Open)), None, vec![standing, ("Succeeded", None, "Running")]),
        (
            "the clean-up keeps failing",
            usual(but("clean-up", End::Failed(Failure::transient(Reason::Unreachable, "no answer")))),
            None,
            vec![("CleanedUp", Some(false), "CleanUpFailed"), ("Succeeded", None, "Running")],
        ),
    ] {
        assert_eq!(told(&concluded.updates), expected, "{case}: {:?}", concluded.updates);
        assert_eq!(concluded.status.result, result, "{case}");
    }
}

#[test]
fn a_drill_that_people_paused_says_that_its_rto_includes_the_pause() {
    let (plan, applications) = (plan_spec(Some("30m")), applications(&json!({})));
    let run = drilled_as(DrillType::Isolated, &plan, &applications, &[], works);
    let says = |run: &Played| concluded(DrillType::Isolated, &plan, &applications, run).updates.pop().expect("Succeeded").message;
    assert_eq!(says(&run), "2 applications, 2 of 2 checks, RTO 1m20s");
    assert_eq!(says(&with_pause(&run, 21, 28)), "2 applications, 2 of 2 checks, RTO 1m20s; paused for 7s, which the RTO includes");
}

/// The run as it was played, but for a pause between two seconds after its start, within a round of steps.
fn with_pause(run: &Played, from: i64, to: i64) -> Played {
    let mut journal = Journal::new();
    let moment = |seconds: i64| start() + SignedDuration::from_secs(seconds);
    for record in run.journal.records() {
        if record.at > moment(from) && journal.observed_actions() == 0 {
            for (index, (kind, seconds)) in (0..).zip([(ActionKind::Pause, from), (ActionKind::Resume, to)]) {
                let entry = Entry::run(Event::Action { index, action: asked(kind, None) });
                journal.push(journal.stamp(entry, record.token, moment(seconds))).expect("an action");
            }
        }
        journal.push(Record { sequence: journal.sequence() + 1, ..record.clone() }).expect("a record");
    }
    let summary = summary(&run.plan, &journal, run.summary.completion.expect("an end")).expect("a summary");
    Played { plan: run.plan.clone(), journal, summary, progress: BTreeMap::new() }
}

#[test]
fn a_tabletop_drill_passes_without_measuring_anything() {
    let (plan, applications) = (plan_spec(Some("1s")), applications(&json!({})));
    let run = drilled_as(DrillType::Tabletop, &plan, &applications, &[], works);
    let concluded = concluded(DrillType::Tabletop, &plan, &applications, &run);
    assert_eq!(told(&concluded.updates), [("CleanedUp", Some(true), "NothingMade"), ("Succeeded", Some(true), "Passed")]);
    assert_eq!(concluded.status.result, Some(DrillResult::Passed));
    assert_eq!((concluded.status.measured, concluded.status.applications.len(), concluded.findings.len()), (None, 0, 0));
}

#[test]
fn a_drill_proves_of_each_backup_what_became_of_its_application() {
    let proven = ("one-backup", "Probed", Some(VerificationLevel::Probed));
    for (case, concluded, expected) in [
        ("all works", usual(works), vec![proven, ("two-backup", "Probed", Some(VerificationLevel::Probed))]),
        ("one is damaged", usual(but("verify/one", fails("Damaged"))), vec![("one-backup", "Damaged", None)]),
        ("a check fails", usual(but("check/two/login", fails("ChecksFailed"))), vec![proven]),
        ("still running", usual(but("clean-up", End::Open)), vec![]),
    ] {
        let found: Vec<_> =
            concluded.findings.iter().map(|f| (f.backup.as_str(), f.update.reason.as_str(), f.level.as_ref().map(|level| level.level))).collect();
        assert_eq!(found, expected, "{case}");
    }
    let first = &usual(works).findings[0];
    assert_eq!(first.update.message, "restored and probed by drill d1; RTO 1m20s");
    let ended = first.level.as_ref().map(|level| level.verified_time.0);
    assert!(ended.is_some_and(|time| time > start()), "proven when the drill ended, whenever that is written");
}

#[test]
fn fault_a_a_drill_of_which_a_person_skipped_a_step_is_incomplete_and_proves_nothing() {
    let unreachable = End::Failed(Failure::transient(Reason::Unreachable, "no answer"));
    let open = |step| (step, End::Open);
    for (step, end) in [open("verify/one"), open("restore/one/objects"), open("check/one/login"), ("clean-up", unreachable)] {
        // A clean-up must have failed three times before.
        let skips = vec![asked(ActionKind::Skip, Some(step)); 3];
        let concluded = usual_until(&skips, but(step, end));
        let succeeded = concluded.updates.last().expect("a condition");
        let found = (concluded.status.result, concluded.status.phase, succeeded.reason.as_str(), concluded.findings.len());
        assert_eq!(found, (Some(DrillResult::Incomplete), Some(RunPhase::Failed), "StepSkipped", 0), "{step}: {}", succeeded.message);
        assert!(succeeded.message.contains(step), "{}", succeeded.message);
        let cleaned = &concluded.updates[0];
        let expected = if step == "clean-up" { (Some(false), "StepSkipped") } else { (Some(true), "NothingLeft") };
        assert_eq!((cleaned.status, cleaned.reason.as_str()), expected, "{step}: {}", cleaned.message);
        assert!(step != "clean-up" || cleaned.message.ends_with("on standby: kubectl delete namespaces -l platform861.io/drill=k7m2q"), "{}", cleaned.message);
    }
}

#[test]
fn fault_a_a_backup_is_not_probed_by_a_drill_without_checks() {
    let (plan, mut applications) = (plan_spec(Some("30m")), applications(&json!({})));
    applications[0].spec.checks.clear();
    let run = drilled_as(DrillType::Isolated, &plan, &applications, &[], works);
    let findings = concluded(DrillType::Isolated, &plan, &applications, &run).findings;
    let found: Vec<_> = findings.iter().map(|f| (f.backup.as_str(), f.update.reason.as_str(), f.level.as_ref().map(|level| level.level))).collect();
    assert_eq!(found, [("one-backup", "Restored", Some(VerificationLevel::Restored)), ("two-backup", "Probed", Some(VerificationLevel::Probed))]);
}

#[test]
fn fault_a_a_marker_makes_the_rpo_no_better_than_the_recovery_point_does() {
    let (plan, mut applications) = (plan_spec(Some("30m")), applications(&json!({})));
    applications[0].spec.marker =
        serde_json::from_value(json!({"workloadRef": {"kind": "Deployment", "name": "web"}, "write": ["w"], "read": ["r"]})).expect("a marker");
    for (marker, rpo, proof) in [(-20, "20m", RpoProof::Marker), (-10, "10m", RpoProof::Marker), (-2, "10m", RpoProof::Marker), (1, "10m", RpoProof::Assumed)] {
        let evidence = Evidence::MarkerRead { time: start() + SignedDuration::from_mins(marker), output: String::new() };
        let run = drilled_as(DrillType::Isolated, &plan, &applications, &[], but("marker/one", End::Done(Some(evidence))));
        let one = concluded(DrillType::Isolated, &plan, &applications, &run).status.applications.remove(0);
        assert_eq!((one.measured.rpo.map(|rpo| rpo.0), one.rpo_proof), (Some(rpo.to_owned()), Some(proof)), "a marker of minute {marker}");
    }
}

#[test]
fn a_drill_shows_what_it_measured_and_a_running_one_no_rpo_that_may_change() {
    let status = usual(works).status;
    assert_eq!(status.target_site.as_deref(), Some("standby"));
    assert_eq!(status.isolation.map(|isolation| isolation.namespaces.len()), Some(2));
    assert_eq!(status.measured.and_then(|measured| measured.rto).map(|rto| rto.0), Some("1m20s".into()));
    let one = &status.applications[0];
    assert_eq!((one.measured.rpo.as_ref().map(|rpo| rpo.0.as_str()), one.checks.passed, one.checks.total), (Some("10m"), 1, 1));

    let running = usual(but("check/one/login", End::Open)).status;
    let shown: Vec<_> = running.applications.iter().map(|it| (it.measured.rto.is_some(), it.measured.rpo.is_some(), it.rpo_proof.is_some())).collect();
    assert_eq!(shown, [(false, false, false), (true, true, true)]);
    assert_eq!(running.measured, None, "the plan's RTO is that of its last application");
}

#[test]
fn fault_e47_a_drill_says_so_if_its_copy_is_beside_the_applications() {
    let (plan, applications) = (plan_spec(Some("30m")), applications(&json!({})));
    let run = drilled_as(DrillType::Isolated, &plan, &applications, &[], works);
    for (from, is_beside) in [("standby", true), ("primary", false)] {
        let before = DrillStatus { from_site: Some(from.into()), ..DrillStatus::default() };
        let facts =
            DrillConclusionFacts { name: "d1", drill_type: DrillType::Isolated, before: &before, plan: &plan, prediction: None, applications: &applications };
        let updates = conclude(&facts, &run.outcome()).updates;
        let succeeded = updates.last().expect("a condition");
        assert_eq!(succeeded.status, Some(true), "{from}");
        assert_eq!(succeeded.message.ends_with("on the site where the applications run, so it proves nothing of the plan"), is_beside, "{}", succeeded.message);
    }
}

#[test]
fn a_prediction_stays_as_it_was_when_the_drill_began() {
    let prediction = |rto: &str| -> Prediction { serde_json::from_value(json!({"rto": rto, "basis": "Drills", "samples": 3})).expect("a prediction") };
    let (plan, applications) = (plan_spec(None), applications(&json!({})));
    let run = drilled_as(DrillType::Isolated, &plan, &applications, &[], works);
    let (first, later) = (prediction("5m"), prediction("7m"));
    let facts =
        |before, prediction| DrillConclusionFacts { name: "d1", drill_type: DrillType::Isolated, before, plan: &plan, prediction, applications: &applications };
    let before = DrillStatus::default();
    let begun = conclude(&facts(&before, Some(&first)), &run.outcome()).status;
    assert_eq!(begun.prediction.as_ref(), Some(&first));
    assert_eq!(conclude(&facts(&begun, Some(&later)), &run.outcome()).status.prediction.as_ref(), Some(&first));
}

#[test]
fn only_an_isolated_drill_that_was_neither_refused_nor_aborted_says_anything_of_the_plan() {
    let ended =
        || DrillStatus { phase: Some(RunPhase::Failed), result: Some(DrillResult::Failed), completion_time: Some(Time(start())), ..DrillStatus::default() };
    for (case, drill_type, status, expected) in [
        ("ended", "Isolated", ended(), true),
        ("on paper", "Tabletop", ended(), false),
        ("refused", "Isolated", DrillStatus { phase: Some(RunPhase::Refused), ..ended() }, false),
        ("aborted", "Isolated", DrillStatus { phase: Some(RunPhase::Aborted), result: Some(DrillResult::Incomplete), ..ended() }, false),
        ("running", "Isolated", DrillStatus { completion_time: None, result: None, ..ended() }, false),
        ("on the standby", "Isolated", DrillStatus { from_site: Some("a".into()), target_site: Some("b".into()), ..ended() }, true),
        ("where the applications run", "Isolated", DrillStatus { from_site: Some("a".into()), target_site: Some("a".into()), ..ended() }, false),
    ] {
        let spec: DrillSpec = serde_json::from_value(json!({"planRef": {"name": "p"}, "type": drill_type})).expect("a spec");
        assert_eq!(proves(&spec, &status), expected, "{case}");
    }
}

#[test]
fn a_drill_whose_evidence_cannot_be_read_proves_nothing() {
    let stored = json!({"v": EVIDENCE_VERSION + 1, "kind": "checkSeen"});
    let evidence: Evidence = serde_json::from_value(stored).expect("kept");
    let concluded = usual(but("check/two/login", End::Done(Some(evidence))));
    assert_eq!(told(&concluded.updates), [("CleanedUp", Some(true), "NothingLeft"), ("Succeeded", Some(false), "EvidenceUnreadable")]);
    assert_eq!((concluded.status.result, concluded.status.phase), (Some(DrillResult::Incomplete), Some(RunPhase::Failed)));
    assert!(concluded.findings.is_empty());
}

#[test]
fn fault_b13_a_drill_whose_copy_lacks_objects_has_failed_and_proves_nothing() {
    let first = ListedChange {
        action: ObjectChange::Refused,
        group: String::new(),
        kind: "Role".into(),
        namespace: "n".into(),
        name: "x".into(),
        why: "no".into(),
        awaits: None,
        diff: String::new(),
        manifest: None,
    };
    let refused = Some(RefusedObjects { first, listed: 1, list: StoredObject { sha256: "a".into(), bytes: 1 }, awaiting: 0 });
    let changes = p861_crds::protection::restore::RestoreChanges { create: 5, refused: 1, ..Default::default() };
    let evidence = Evidence::ObjectsRestored {
        changes,
        left_out: BTreeMap::new(),
        left_out_names: None,
        not_served: BTreeMap::new(),
        adjusted: BTreeMap::new(),
        refused,
        patches_unmatched: Vec::new(),
    };
    let concluded = usual(but("restore/two/objects", End::Done(Some(evidence))));
    assert_eq!((concluded.status.phase, concluded.status.result), (Some(RunPhase::Failed), Some(DrillResult::Failed)));
    let succeeded = concluded.updates.iter().find(|update| update.kind == ConditionType::Succeeded).expect("Succeeded");
    assert_eq!((succeeded.status, &succeeded.reason), (Some(false), &Reason::PartiallyRestored));
    assert!(succeeded.message.starts_with("1 object was not written, the first Role x in n: no"), "{}", succeeded.message);
    assert!(concluded.findings.is_empty(), "{:?}", concluded.findings);
}

#[test]
fn a_patch_that_matched_nothing_is_said_of_a_drill_that_passed() {
    let changes = p861_crds::protection::restore::RestoreChanges { create: 5, ..Default::default() };
    let patches_unmatched = vec!["spec.isolation.patches[1] (Deployment gone)".to_owned()];
    let (left_out, not_served, adjusted) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let evidence = Evidence::ObjectsRestored { changes, left_out, left_out_names: None, not_served, adjusted, refused: None, patches_unmatched };
    let concluded = usual(but("restore/two/objects", End::Done(Some(evidence))));
    let succeeded = concluded.updates.iter().find(|update| update.kind == ConditionType::Succeeded).expect("Succeeded");
    assert_eq!(succeeded.status, Some(true), "{}", succeeded.message);
    assert!(succeeded.message.ends_with("; no object matches spec.isolation.patches[1] (Deployment gone) of two"), "{}", succeeded.message);
}

#[test]
fn fault_b12_a_drill_says_which_definitions_it_left_as_they_were_or_made() {
    let left = "CustomResourceDefinition gadgets.demo.example is there with another content, which a copy doesn't change";
    let adjusted = BTreeMap::from([(left.to_owned(), 1)]);
    let changes = p861_crds::protection::restore::RestoreChanges { create: 5, ..Default::default() };
    let (left_out, not_served, patches_unmatched) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let evidence = Evidence::ObjectsRestored { changes, left_out, left_out_names: None, not_served, adjusted, refused: None, patches_unmatched };
    let concluded = usual(but("restore/two/objects", End::Done(Some(evidence))));
    let succeeded = concluded.updates.iter().find(|update| update.kind == ConditionType::Succeeded).expect("Succeeded");
    assert_eq!(succeeded.status, Some(true));
    assert!(succeeded.message.ends_with(&format!("; 1 × {left}")), "{}", succeeded.message);
}
