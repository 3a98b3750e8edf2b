//! Three drills for the tests: one that passed after a retry, one whose check failed, one that a person aborted.

use super::report::{
    API_VERSION, ActionReport, ApplicationReport, BackupReport, CheckOutcome, CheckReport, CleanUpReport, DrillReport, Failure, KIND, Named, Objective,
    Prediction, Span, StepOutcome, StepReport, Version,
};
use crate::engine::{Evidence, LeftOutObjects, StoredObject};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    LocalizedText, Reason,
    common::ActionKind,
    protection::{backup::VerificationLevel, restore::RestoreChanges},
    recovery::{
        drill::{DrillResult, DrillType, Participant, RpoProof},
        plan::PredictionBasis,
    },
};
use std::{collections::BTreeMap, net::IpAddr};

pub fn start() -> Timestamp {
    "2026-11-15T01:00:02Z".parse().expect("a time")
}

fn at(seconds: f64) -> Timestamp {
    start() + SignedDuration::from_secs_f64(seconds)
}

fn secs(seconds: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(seconds)
}

pub fn named(name: &str, zh: &str, en: &str) -> Named {
    Named { name: name.into(), names: Some(LocalizedText { zh: Some(zh.into()), en: Some(en.into()) }) }
}

fn step(id: &str, after: &[&str], planned: (f64, f64), actual: (f64, f64)) -> StepReport {
    StepReport {
        id: id.into(),
        after: after.iter().map(ToString::to_string).collect(),
        planned: Some(Span { start: secs(planned.0), end: secs(planned.1) }),
        started: Some(at(actual.0)),
        ended: Some(at(actual.1)),
        attempts: 1,
        outcome: StepOutcome::Done,
        clean_up: id == "clean-up",
        message: None,
        evidence: None,
    }
}

fn application(name: &str, zh: &str, en: &str, rto: (i64, Option<f64>), rpo: (i64, f64), backup: &str, size: &str) -> ApplicationReport {
    ApplicationReport {
        application: named(name, zh, en),
        department: Some("administrative-approval".into()),
        rto: Objective { target: Some(SignedDuration::from_mins(rto.0)), measured: rto.1.map(secs) },
        rpo: Objective { target: Some(SignedDuration::from_mins(rpo.0)), measured: Some(secs(rpo.1)) },
        rpo_proof: Some(RpoProof::Marker),
        marker_time: Some(at(-rpo.1)),
        backup: Some(BackupReport {
            name: backup.into(),
            repository: "shinan".into(),
            snapshot_id: "9f2c7be01d4a66ef3b8a52c9d0e1f4a7b6c5d8e90f1a2b3c4d5e6f708192a3b4".into(),
            recovery_point_time: at(-rpo.1 + 8.0),
            verification: Some(VerificationLevel::Probed),
            size: Some(size.into()),
        }),
        checks: Vec::new(),
    }
}

fn check(name: &str, from: f64, to: f64, evidence: &str) -> CheckReport {
    CheckReport { name: name.into(), outcome: CheckOutcome::Passed, started: Some(at(from)), ended: Some(at(to)), evidence: evidence.into() }
}

/// The drill of the walkthrough.
#[expect(clippy::too_many_lines, reason = "one report, written out")]
pub fn passed() -> DrillReport {
    let mut approval = application("approval", "行政审批系统", "Administrative approval", (30, Some(348.0)), (15, 611.0), "approval-20261115-0850", "8 GiB");
    approval.checks = vec![
        check("login-page", 341.0, 343.2, "http approval-web:8080/login: 200"),
        check("balance", 341.0, 348.0, "psql in StatefulSet/approval-db: sum(abalance) = 1284310 = sum(delta)"),
        check("database-port", 341.0, 341.4, "tcp postgres:5432: accepts"),
    ];
    let mut portal = application("portal", "公众服务门户", "Public portal", (120, Some(521.0)), (60, 1811.0), "portal-20261115-0830", "19 GiB");
    portal.department = Some("e-government-office".into());
    portal.checks = vec![check("front-page", 515.0, 521.0, "http portal:80/: 200"), check("search", 515.0, 516.5, "http portal:80/search?q=营业执照: 200")];
    let mut steps = vec![
        step("preflight", &[], (0.0, 6.0), (0.4, 5.1)),
        step("isolate", &["preflight"], (6.0, 10.0), (5.2, 9.0)),
        step("prove-isolation", &["isolate"], (10.0, 14.0), (9.1, 13.4)),
        step("verify/approval", &["isolate"], (10.0, 30.0), (9.1, 26.0)),
        step("restore/approval/objects", &["verify/approval", "prove-isolation"], (30.0, 34.0), (26.2, 28.4)),
        step("restore/approval/volume/attachments", &["restore/approval/objects"], (34.0, 150.0), (28.6, 139.0)),
        step("start/approval/tier/data", &["restore/approval/objects", "restore/approval/volume/attachments"], (150.0, 180.0), (139.1, 163.0)),
        step("restore/approval/stream/approval-db", &["start/approval/tier/data"], (180.0, 300.0), (163.2, 254.0)),
        step("start/approval/tier/server", &["restore/approval/stream/approval-db", "start/approval/tier/data"], (300.0, 330.0), (254.2, 309.0)),
        step("start/approval/rest", &["start/approval/tier/server"], (330.0, 350.0), (309.1, 340.6)),
        step("marker/approval", &["start/approval/rest"], (350.0, 352.0), (340.8, 342.0)),
        step("check/approval/login-page", &["start/approval/rest"], (350.0, 356.0), (341.0, 343.2)),
        step("check/approval/balance", &["start/approval/rest"], (350.0, 360.0), (341.0, 348.0)),
        step("check/approval/database-port", &["start/approval/rest"], (350.0, 352.0), (341.0, 341.4)),
        step("verify/portal", &["isolate"], (10.0, 50.0), (9.2, 44.0)),
        step("restore/portal/objects", &["verify/portal", "prove-isolation"], (50.0, 54.0), (44.1, 46.9)),
        step("restore/portal/volume/site-files", &["restore/portal/objects"], (54.0, 290.0), (47.1, 481.0)),
        step(
            "start/portal/tier/site",
            &["restore/portal/volume/site-files", "check/approval/balance", "check/approval/login-page"],
            (360.0, 390.0),
            (481.2, 509.0),
        ),
        step("start/portal/rest", &["start/portal/tier/site"], (390.0, 400.0), (509.1, 514.8)),
        step("marker/portal", &["start/portal/rest"], (400.0, 402.0), (515.0, 515.7)),
        step("check/portal/front-page", &["start/portal/rest"], (400.0, 408.0), (515.0, 521.0)),
        step("check/portal/search", &["start/portal/rest"], (400.0, 404.0), (515.0, 516.5)),
        step("clean-up", &[], (410.0, 560.0), (521.4, 684.0)),
    ];
    steps[2].evidence = Some(Evidence::IsolationProbed {
        resolver: vec![IpAddr::from([10, 96, 71, 7])],
        nodes: vec!["laoshan-1".into(), "laoshan-2".into()],
        refused: vec![
            "the API server (10.96.0.1:443/tcp)".into(),
            "the cluster's DNS (10.96.0.10:53/udp)".into(),
            "the backup repository (192.0.2.9:443/tcp)".into(),
        ],
        silent: vec!["the cloud's metadata (169.254.169.254:80/tcp)".into()],
        reached: Vec::new(),
    });
    steps[4].evidence = Some(Evidence::ObjectsRestored {
        changes: RestoreChanges { create: 143, ..RestoreChanges::default() },
        left_out: BTreeMap::from([(
            "Certificate.cert-manager.io: its controller may stand outside the copy; spec.isolation.kinds of the Application adds it".into(),
            2,
        )]),
        left_out_names: Some(LeftOutObjects {
            first: BTreeMap::from([(
                "Certificate.cert-manager.io: its controller may stand outside the copy; spec.isolation.kinds of the Application adds it".into(),
                vec!["Certificate shinan-portal/portal".into(), "Certificate shinan-portal/portal-old".into()],
            )]),
            listed: 2,
            lists: vec![StoredObject { sha256: "5e".repeat(32), bytes: 412 }],
        }),
        not_served: BTreeMap::new(),
        adjusted: BTreeMap::new(),
        refused: None,
        patches_unmatched: Vec::new(),
    });
    let ready = vec!["Deployment/approval-web 2/2".into(), "Deployment/approval-worker 1/1".into()];
    steps[9].evidence = Some(Evidence::WorkloadsReady { workloads: 2, ready, not_awaited: Vec::new() });
    steps[10].evidence = Some(Evidence::MarkerRead { time: at(-611.0), output: "2026-11-15 00:49:51+00".into() });
    steps[16].attempts = 2;
    steps[16].message = Some("the store can't be reached (connection refused): check the endpoint and the network".into());
    steps[16].evidence = Some(Evidence::VolumeRestored { files: 18231, bytes: 20_401_094_656, removed: 0, removed_bytes: 0 });
    DrillReport {
        api_version: API_VERSION.into(),
        kind: KIND.into(),
        drill: "shinan-core-20261115-0900".into(),
        uid: "3b1f9a52-8c0d-4b1e-9b7e-6f2f0e5a4c11".into(),
        district: named("shinan", "市南区", "Shinan District"),
        drill_type: DrillType::Isolated,
        plan: named("shinan-core", "市南区核心业务", "Core services of Shinan"),
        plan_digest: "sha256:bbed40a857df04b2867b226a5b509cddf3af044c071dc89b69ba4d2a8323d8b3".into(),
        scenario: Some(LocalizedText {
            zh: Some("信息大厦机房停电，主用站点全部不可用".into()),
            en: Some("Power is lost in the Information Building; the primary site is down".into()),
        }),
        requested_by: "drill-leader".into(),
        participants: vec![
            Participant { role: "Commander".into(), person: "drill-leader".into() },
            Participant { role: "Observer".into(), person: "shift-leader-a".into() },
        ],
        from_site: named("xinxi-dasha", "信息大厦机房", "Information Building"),
        target_site: named("laoshan-dr", "崂山灾备中心", "Laoshan recovery centre"),
        isolation: vec!["shinan-approval--drill-k7m2q".into(), "shinan-portal--drill-k7m2q".into()],
        utc_offset_minutes: 480,
        start_time: start(),
        completion_time: at(684.0),
        result: DrillResult::Passed,
        reason: Reason::Passed,
        message: "2 applications, 5 of 5 checks, RTO 8m41s of 30m".into(),
        failure: None,
        rto: Objective { target: Some(SignedDuration::from_mins(30)), measured: Some(secs(521.0)) },
        prediction: Some(Prediction { rto: secs(408.0), basis: PredictionBasis::Drills, samples: 4 }),
        applications: vec![approval, portal],
        steps,
        actions: vec![ActionReport {
            action: ActionKind::Retry,
            step: Some("restore/portal/volume/site-files".into()),
            reason: Some("备用交换机端口故障，已恢复".into()),
            answer: None,
            by: "drill-leader".into(),
            time: at(52.0),
            refused: None,
        }],
        clean_up: CleanUpReport {
            complete: true,
            removed: vec!["shinan-approval--drill-k7m2q".into(), "shinan-portal--drill-k7m2q".into()],
            left: vec![],
            evidence: "a list of namespaces by the drill's label, and of volumes by their claims, shows none".into(),
        },
        journal: Some("s3://p861-shinan/journal/shinan-core/3b1f9a52-8c0d-4b1e-9b7e-6f2f0e5a4c11".into()),
        versions: [("p861-operator", "0.1.0"), ("Kubernetes (xinxi-dasha)", "v1.36.3"), ("Kubernetes (laoshan-dr)", "v1.36.3")]
            .map(|(name, version)| Version { name: name.into(), version: version.into() })
            .to_vec(),
        generated_time: at(685.0),
    }
}

/// The balance does not add up in the recovered database; what depends on it is not reached.
pub fn failed() -> DrillReport {
    let mut report = passed();
    let message = "check balance did not hold within 2m: psql in StatefulSet/approval-db: command terminated with non-zero exit code: \
         3 transactions are in one table and not in the other";
    report.result = DrillResult::Failed;
    report.reason = Reason::ChecksFailed;
    report.message = format!("step check/approval/balance failed: {message}");
    report.failure = Some(Failure { step: "check/approval/balance".into(), reason: Reason::ChecksFailed, message: message.into() });
    report.rto.measured = None;
    report.completion_time = at(628.0);
    for step in &mut report.steps {
        match step.id.as_str() {
            "check/approval/balance" => {
                step.outcome = StepOutcome::Failed;
                step.ended = Some(at(461.0));
                step.attempts = 1;
                step.message = Some(message.into());
            }
            "start/portal/tier/site" | "start/portal/rest" | "marker/portal" | "check/portal/front-page" | "check/portal/search" => {
                (step.started, step.ended, step.attempts, step.outcome) = (None, None, 0, StepOutcome::NotReached);
            }
            "clean-up" => (step.started, step.ended) = (Some(at(482.0)), Some(at(628.0))),
            _ => {}
        }
    }
    let approval = &mut report.applications[0];
    approval.rto.measured = None;
    approval.checks[1] =
        CheckReport { name: "balance".into(), outcome: CheckOutcome::Failed, started: Some(at(341.0)), ended: Some(at(461.0)), evidence: message.into() };
    let portal = &mut report.applications[1];
    (portal.rto.measured, portal.rpo_proof, portal.marker_time) = (None, Some(RpoProof::Assumed), None);
    portal.rpo = Objective { target: Some(SignedDuration::from_mins(15)), measured: Some(secs(1803.0)) };
    portal.checks.iter_mut().for_each(|check| {
        *check = CheckReport { name: check.name.clone(), outcome: CheckOutcome::NotRun, started: None, ended: None, evidence: String::new() }
    });
    report.clean_up = CleanUpReport {
        complete: false,
        removed: Vec::new(),
        left: vec!["shinan-approval--drill-k7m2q".into(), "shinan-portal--drill-k7m2q".into()],
        evidence: "2 namespaces and 1 volume to be removed: volume pvc-7d1c is not deleted by its provisioner, on laoshan-dr".into(),
    };
    report
}

/// Aborted while data was being restored; there was no earlier drill to plan from.
pub fn aborted() -> DrillReport {
    let mut report = passed();
    report.result = DrillResult::Incomplete;
    report.reason = Reason::Aborted;
    report.message = "日期有误".into();
    report.rto.measured = None;
    report.prediction = None;
    report.completion_time = at(97.0);
    for step in &mut report.steps {
        step.planned = None;
        match step.id.as_str() {
            "restore/approval/volume/attachments" | "restore/portal/volume/site-files" => {
                (step.ended, step.outcome, step.attempts, step.message) =
                    (Some(at(63.0)), StepOutcome::Cancelled, 1, Some("stopped, because the run ends early".into()));
            }
            "clean-up" => (step.started, step.ended) = (Some(at(63.5)), Some(at(97.0))),
            _ if step.started.is_some_and(|started| started > at(60.0)) => {
                (step.started, step.ended, step.attempts, step.outcome) = (None, None, 0, StepOutcome::NotRun);
            }
            _ => {}
        }
    }
    for application in &mut report.applications {
        (application.rto.measured, application.rpo.measured, application.rpo_proof, application.marker_time) = (None, None, None, None);
        application.checks.iter_mut().for_each(|check| {
            *check = CheckReport { name: check.name.clone(), outcome: CheckOutcome::NotRun, started: None, ended: None, evidence: String::new() }
        });
    }
    let action = |action, step: Option<&str>, reason: &str, seconds, refused: Option<&str>| ActionReport {
        action,
        step: step.map(Into::into),
        reason: Some(reason.into()),
        answer: None,
        by: "drill-leader".into(),
        time: at(seconds),
        refused: refused.map(Into::into),
    };
    report.actions = vec![
        action(ActionKind::Skip, Some("preflight"), "已知问题", 41.0, Some("step preflight is done; there is nothing to skip")),
        action(ActionKind::Abort, None, "日期有误", 62.0, None),
    ];
    report
}
