//! Reports of drills that were played.

use super::*;
use crate::{
    engine::Failure as StepFailure,
    protection::choose::RecoveryPoint,
    recovery::{
        bring_up::Subject,
        conclude::{DrillConclusionFacts, conclude},
        drill::{self as compiler, DrillFacts},
        ground::Ground,
    },
    runs::played::{End, Played, asked, play, start},
};
use p861_crds::{
    Reason,
    common::{ActionKind, RunAction},
    recovery::drill::DrillType,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn object<T: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> T {
    let metadata = json!({"name": name, "namespace": "shinan", "uid": "u1"});
    serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})).expect("an object")
}

fn application() -> Application {
    let web = json!([{"name": "web", "workloadRefs": [{"kind": "Deployment", "name": "web"}]}]);
    let checks = json!([{"name": "login", "tcp": {"serviceName": "web", "port": 80}}]);
    object("Application", "portal", &json!({"department": "d", "namespaces": ["shinan-portal"], "objectives": {"rto": "30m"}, "tiers": web, "checks": checks}))
}

fn plan() -> RecoveryPlan {
    object("RecoveryPlan", "core", &json!({"repositoryRef": {"name": "r"}, "groups": [{"name": "all", "members": [{"applicationRef": {"name": "portal"}}]}]}))
}

fn played(actions: &[RunAction], end_of: impl Fn(&str) -> End) -> Played {
    let (application, plan) = (application(), plan());
    let point = RecoveryPoint {
        backup: "portal-1".into(),
        snapshot: "5a1f".into(),
        time: start() - SignedDuration::from_mins(10),
        repository: "r".into(),
        level: None,
        site: None,
    };
    let subjects = [Subject { name: "portal", spec: &application.spec, point, claims: Vec::new() }];
    let keep_for = SignedDuration::ZERO;
    let facts = DrillFacts {
        drill_type: DrillType::Isolated,
        id: "k7m2q",
        site: &"east".into(),
        plan: &plan.spec,
        subjects: &subjects,
        keep_for,
        ground: &Ground::default(),
    };
    play(compiler::compile(&facts).expect("compiles"), actions, end_of)
}

fn report(run: &Played) -> Option<DrillReport> {
    let (applications, plan) = ([application()], plan());
    let drill: Drill = object("Drill", "d1", &json!({"planRef": {"name": "core"}, "type": "Isolated", "requestedBy": "leader"}));
    let district: District = object(
        "District",
        "shinan",
        &json!({"code": "370202", "names": {"en": "Shinan"}, "timeZone": "Asia/Shanghai", "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}]}),
    );
    let before = DrillStatus::default();
    let of_drill =
        DrillConclusionFacts { name: "d1", drill_type: DrillType::Isolated, before: &before, plan: &plan.spec, prediction: None, applications: &applications };
    let status = conclude(&of_drill, &run.outcome()).status;
    let [west, east] = ["west", "east"].map(|name| Named { name: name.into(), names: None });
    let facts = ReportFacts {
        drill: &drill,
        status: &status,
        plan: &plan,
        applications: &applications,
        district: &district,
        from_site: &west,
        target_site: &east,
        version: "1.2.3",
    };
    compose(&facts, &run.outcome())
}

fn works(_: &str) -> End {
    End::Done(None)
}

#[test]
fn a_report_says_what_was_measured_and_what_each_step_took() {
    let report = report(&played(&[], works)).expect("it has ended");
    assert_eq!((report.result, report.reason.as_str(), report.utc_offset_minutes), (DrillResult::Passed, "Complete", 8 * 60));
    assert_eq!((report.from_site.name.as_str(), report.target_site.name.as_str(), report.requested_by.as_str()), ("west", "east", "leader"));
    let [portal] = report.applications.as_slice() else { panic!("one application: {:?}", report.applications) };
    assert_eq!(portal.backup.as_ref().map(|backup| backup.name.as_str()), Some("portal-1"));
    assert!(portal.rto.measured.is_some_and(|rto| Some(rto) < portal.rto.target), "{:?}", portal.rto);
    assert_eq!(portal.checks.iter().map(|check| (check.name.as_str(), check.outcome)).collect::<Vec<_>>(), [("login", CheckOutcome::Passed)]);
    assert!(report.clean_up.complete && report.clean_up.left.is_empty() && report.clean_up.removed == report.isolation && !report.isolation.is_empty());
    let durations = durations(&report);
    assert_eq!(durations.len(), report.steps.len(), "each step is done");
    assert!(durations.values().all(|took| *took > SignedDuration::ZERO));
}

#[test]
fn what_failed_what_is_left_and_what_people_did_stand_in_the_report() {
    let failing = |step: &str| {
        let failed = |what: &str| End::Failed(StepFailure::permanent(Reason::from_text("ChecksFailed"), format!("{what} happened")));
        if step == "check/portal/login" { failed("a page that never was") } else { works(step) }
    };
    let failed = report(&played(&[], failing)).expect("it has ended");
    assert_eq!(failed.result, DrillResult::Failed);
    assert_eq!(failed.applications[0].checks[0].outcome, CheckOutcome::Failed);
    assert!(failed.applications[0].checks[0].evidence.contains("a page that never was"));
    assert_eq!(durations(&failed).get("check/portal/login"), None, "it was not done");

    let open = |step: &str| if step == "check/portal/login" { End::Open } else { works(step) };
    assert!(report(&played(&[], open)).is_none(), "it has not ended");
    let aborted = report(&played(&[asked(ActionKind::Abort, None)], open)).expect("it has ended");
    assert_eq!((aborted.result, aborted.actions.len()), (DrillResult::Incomplete, 1));
    assert_eq!((aborted.actions[0].by.as_str(), aborted.actions[0].refused.as_ref()), ("leader", None));
}
