//! What stands on the hub: an application that is well, one that is not, a plan with its checks, backups, drills.

use super::hub::{Hub, ago, condition, hours_ago};
use jiff::SignedDuration;
use p861_core::{
    engine::{Plan, Step, StepId},
    maintenance::ticket::{Planned, Work, plan_digest},
    names,
    runs::Action,
};
use p861_crds::MaintenanceTicket;
use serde_json::{Value, json};

/// Steps, each with its id, what it comes after, its action and its deadline in minutes.
fn compiled(steps: &[(&str, &[&str], Value, i64)]) -> Plan<Action> {
    let id = |id: &str| StepId::new(id).expect("an id");
    let one = |(name, after, action, minutes): &(&str, &[&str], Value, i64)| {
        let action: Action = serde_json::from_value(action.clone()).expect("an action");
        let step = Step::new(id(name), action, SignedDuration::from_mins(*minutes)).after(after.iter().map(|name| id(name)));
        if *name == "clean-up" { step.finally() } else { step }
    };
    Plan::new(steps.iter().map(one).collect()).expect("a plan")
}

/// The steps of the plan `core`.
pub fn core_steps() -> Plan<Action> {
    let bubble = json!({"id": "x", "namespaces": {"shinan-approval": "shinan-approval--drill-x"}});
    let check = json!({"name": "login-page", "tcp": {"serviceName": "web", "port": 80}});
    compiled(&[
        ("preflight", &[], json!({"do": "preflight", "site": "laoshan-dr", "subjects": []}), 2),
        ("isolate", &["preflight"], json!({"do": "isolate", "site": "laoshan-dr", "bubble": bubble}), 2),
        ("restore/approval/stream/approval-db", &["isolate"], json!({"do": "ask"}), 30),
        ("restore/portal/volume/site-files", &["isolate"], json!({"do": "ask"}), 30),
        (
            "check/approval/login-page",
            &["restore/approval/stream/approval-db"],
            json!({"do": "check", "site": "laoshan-dr", "namespace": "shinan-approval--drill-x", "check": check}),
            2,
        ),
        ("clean-up", &[], json!({"do": "removeBubble", "site": "laoshan-dr", "bubble": bubble}), 5),
    ])
}

/// The steps of an upgrade.
fn change_steps() -> Plan<Action> {
    let install = |site: &str| {
        json!({"do": "installComponent", "site": site, "component": "bulletin", "version": "1.1.0", "bundle": {"configMapRef": {"name": "bulletin-bundle"}},
            "digest": "sha256:2b6d7f8e9a0c1d2e"})
    };
    compiled(&[
        ("install/laoshan-dr/bulletin", &[], install("laoshan-dr"), 2),
        ("install/xinxi-dasha/bulletin", &["install/laoshan-dr/bulletin"], install("xinxi-dasha"), 2),
    ])
}

impl Hub {
    /// An application; `recoverable` is the condition of that name.
    pub async fn application(&self, name: &str, hours: i64, recoverable: Value) {
        let conditions = [
            condition("Ready", "True", "Resolved", "4 workloads that spec names, 2 claims, 3 checks found in shinan-approval"),
            condition("Healthy", "True", "ChecksPass", "3 of 3"),
            condition("Protected", "True", "BackedUp", "repository main"),
            recoverable,
            condition(
                "ReadyToFailover",
                "Unknown",
                "NotAvailable",
                "failover comes with a later release. A drill proves that plan core can be recovered: p861 drill run core",
            ),
        ];
        let spec = json!({"names": {"zh": "网上审批", "en": "Online approval"}, "department": "approval-bureau", "criticality": "Critical", "namespaces": [format!("{}-{name}", self.district)]});
        let last = json!({"name": format!("{name}-20261124-0800"), "recoveryPointTime": hours_ago(hours)});
        let status = json!({"activeSite": "xinxi-dasha", "objectives": {"rto": "30m", "rpo": "15m"}, "lastBackup": last, "recoveryPlan": "core", "backupPolicy": "critical", "conditions": conditions});
        self.put("Application", name, spec, status).await;
    }

    /// The plan `core` with four checks; the third fails if `ready` is false.
    pub async fn plan(&self, ready: bool) {
        let check = |name: &str, message: &str| json!({"name": name, "result": "Pass", "message": message});
        let recoverable = if ready {
            check("RecoverableData", "2 applications restored and probed")
        } else {
            json!({"name": "RecoverableData", "result": "Fail", "message": "never restored and probed: portal", "remedy": "p861 drill run core"})
        };
        let checks = [
            check("StandbyReachable", "laoshan-dr, 9 nodes"),
            check("KeyAccess", "repository main opened"),
            recoverable,
            check("JournalWritable", "repository main opened"),
        ];
        let failover = if ready {
            let message = "4 of 4 checks pass, and failover comes with a later release. A drill proves that this plan can be recovered: p861 drill run core";
            condition("ReadyToFailover", "Unknown", "NotAvailable", message)
        } else {
            condition("ReadyToFailover", "False", "PreflightFailed", "1 of 4 checks fail (RecoverableData): p861 plan check core")
        };
        let conditions =
            [condition("Ready", "True", "Compiled", "41 steps"), failover, condition("Drilled", "True", "DrillPassed", "drill core-20261115-0900 passed")];
        let member = |application: &str| json!([{"applicationRef": {"name": application}}]);
        let spec = json!({"repositoryRef": {"name": "main"}, "objectives": {"rto": "30m"}, "groups": [{"name": "services", "members": member("approval")}, {"name": "public", "members": member("portal")}]});
        let status = json!({
            "observedGeneration": 1, "activeSite": "xinxi-dasha", "epoch": 7, "planDigest": core_steps().digest(), "steps": {"total": 41, "done": 0},
            "prediction": {"rto": "9m40s", "basis": "Drills", "samples": 5}, "preflight": {"changedTime": hours_ago(1), "checks": checks},
            "lastDrill": {"name": "core-20261115-0900", "type": "Isolated", "result": "Passed", "completionTime": ago(SignedDuration::from_hours(9 * 24 + 1))},
            "conditions": conditions,
        });
        self.put("RecoveryPlan", "core", spec, status).await;
    }

    /// A repository that is well.
    pub async fn repository(&self) {
        let s3 = json!({"endpoint": "https://s3.example", "bucket": "p861-main", "credentialsSecretRef": {"name": "repository-s3"}});
        let spec = json!({"failureDomain": "qingdao-laoshan", "s3": s3, "encryption": {"keySecretRef": {"name": "repository-key"}}});
        let conditions =
            [condition("Ready", "True", "Opened", "opened, written and read back"), condition("OffSite", "True", "OtherFailureDomain", "qingdao-laoshan")];
        self.put("BackupRepository", "main", spec, json!({"snapshots": 94, "used": "15Ti", "conditions": conditions})).await;
    }

    /// A policy for critical applications, and one of them whose backup waits.
    pub async fn policy(&self, name: &str) {
        let verification = json!({"level": "Probed", "schedule": "0 4 * * 0", "maxAge": "168h"});
        let spec = json!({"repositoryRef": {"name": "main"}, "schedule": "*/5 * * * *", "defaultFor": ["Critical"], "retention": {"last": 12, "daily": 30},
            "verification": verification, "limits": {"uploadBytesPerSecond": "8Mi"}});
        let waits = json!({"application": "approval", "slotTime": hours_ago(0), "reason": "BackupRunning",
            "message": "backup approval-1 has not ended yet: p861 backup show approval-1"});
        let status = json!({"applications": 1, "nextSlotTime": hours_ago(-1), "lastSlotTime": hours_ago(1), "waitingSlots": 1, "waiting": [waits],
            "conditions": [condition("Ready", "True", "AsDeclared", "1 application")]});
        self.put("BackupPolicy", name, spec, status).await;
    }

    /// A backup of so many hours ago that succeeded, proven to a level.
    pub async fn backup(&self, name: &str, application: &str, hours: i64, level: &str) {
        let time = hours_ago(hours);
        let status = json!({
            "phase": "Succeeded", "startTime": time, "completionTime": time, "recoveryPointTime": time, "site": "xinxi-dasha", "repository": "main",
            "snapshotID": "c3ff832377ee3e0bcdd66aa561bdfa33138cafb5c754060967bad46078d7c25b", "contents": {"objects": 143, "volumes": 1, "streams": 1},
            "size": {"total": "1843Mi", "added": "11Mi"}, "verification": {"level": level, "verifiedTime": time},
            "conditions": [condition("Succeeded", "True", "Complete", "143 objects, 1 volume, 1 stream"), condition("Verified", "True", level, "")],
        });
        self.put("Backup", name, json!({"applicationRef": {"name": application}}), status).await;
    }

    /// A drill that has ended with a result, and its report.
    pub async fn ended_drill(&self, name: &str, passed: bool) {
        let application = |name: &str, rto: &str, passed: i64| {
            json!({"name": name, "backup": format!("{name}-20261115-0850"), "recoveryPointTime": "2026-11-15T00:50:03Z", "objectives": {"rto": "30m", "rpo": "15m"},
                "measured": {"rto": rto, "rpo": "10m11s"}, "rpoProof": "Marker", "checks": {"passed": passed, "total": 3}})
        };
        let conditions = if passed {
            [
                condition("Succeeded", "True", "Passed", "2 applications, 6 of 6 checks, RTO 8m41s"),
                condition("ObjectivesMet", "True", "WithinObjectives", ""),
                condition("CleanedUp", "True", "NothingLeft", "2 namespaces removed; a list by label shows none"),
            ]
        } else {
            [
                condition("Succeeded", "False", "ChecksFailed", "check/portal/home-page: answered 500"),
                condition("ObjectivesMet", "True", "WithinObjectives", ""),
                condition("CleanedUp", "True", "NothingLeft", "2 namespaces removed; a list by label shows none"),
            ]
        };
        let status = json!({
            "phase": if passed { "Succeeded" } else { "Failed" }, "result": if passed { "Passed" } else { "Failed" }, "startTime": "2026-11-15T01:00:02Z", "completionTime": "2026-11-15T01:11:26Z",
            "currentSteps": [], "fromSite": "xinxi-dasha", "targetSite": "laoshan-dr", "objectives": {"rto": "30m"}, "measured": {"rto": "8m41s"}, "steps": {"total": 34, "done": 34, "retried": 1, "states": if passed { "dddddd" } else { "ddddfd" }},
            "applications": [application("approval", "5m48s", 3), application("portal", "8m41s", if passed { 3 } else { 2 })], "conditions": conditions,
        });
        self.put("Drill", name, json!({"planRef": {"name": "core"}, "type": "Isolated"}), status).await;
        let step = |id: &str, seconds: i64| json!({"id": id, "outcome": "Done", "started": "2026-11-15T01:00:00Z", "ended": format!("2026-11-15T01:{:02}:{:02}Z", seconds / 60, seconds % 60)});
        let steps = [step("preflight", 9), step("isolate", 2), step("restore/approval/stream/approval-db", 91), step("restore/portal/volume/site-files", 252)];
        let report = json!({"steps": steps, "cleanUp": {"complete": true, "removed": ["a", "b"], "left": []}});
        self.map(&format!("{name}-report"), json!({"report.json": report.to_string(), "report.html": "<!doctype html><title>Drill</title>"})).await;
    }

    /// The steps of the plan `core`.
    pub async fn steps(&self) {
        let whole = serde_json::to_string(&core_steps()).expect("JSON");
        self.map("core-steps", json!({"steps.json": plan_steps().to_string(), "plan.json": whole})).await;
    }

    /// An upgrade that somebody has asked for, with its compiled steps.
    pub async fn change(&self, name: &str, requester: &str) -> Plan<Action> {
        let steps = change_steps();
        let spec = json!({"type": "Change", "title": {"en": "Upgrade bulletin to 1.1.0", "zh": "升级公告组件到 1.1.0"}, "impact": "Low", "urgency": "Low", "requestedBy": requester,
            "change": {"class": "Normal", "work": {"upgradeComponent": {"component": "bulletin", "version": "1.1.0"}}}});
        self.declare_as(requester, "MaintenanceTicket", name, spec).await;
        let seen: MaintenanceTicket = serde_json::from_value(self.get("MaintenanceTicket", name).await).expect("a ticket");
        let work = Work::compiled(Ok(steps.digest().to_owned()));
        let digest = plan_digest(&seen.spec, &Planned::default(), Some(&work)).expect("a digest");
        let conditions = [condition("Approved", "False", "ApprovalsMissing", "0 of 1; it is never the one who asked for it")];
        let status =
            json!({"observedGeneration": 1, "observedActions": 0, "phase": "Planned", "priority": "P4", "planDigest": digest, "conditions": conditions});
        self.write("MaintenanceTicket", name, status).await;
        self.map(&format!("{name}.steps"), json!({"plan.json": serde_json::to_string(&steps).expect("JSON")})).await;
        steps
    }

    /// A drill in a phase, with steps under way. Its own steps are where the operator publishes them.
    pub async fn drill(&self, name: &str, phase: &str, current: Value) {
        self.declare("Drill", name, json!({"planRef": {"name": "core"}, "type": "Isolated"})).await;
        let uid = self.get("Drill", name).await["metadata"]["uid"].as_str().expect("a UID").to_owned();
        self.map(&names::journal(name, "drill", &uid), json!({"steps.json": plan_steps().to_string()})).await;
        self.write("Drill", name, drill_status(phase, 2, current)).await;
    }
}

fn plan_steps() -> Value {
    json!([{"id": "preflight", "deadline": "2m"}, {"id": "isolate", "after": ["preflight"], "deadline": "2m"}, {"id": "restore/approval/stream/approval-db", "after": ["isolate"], "deadline": "30m"},
        {"id": "restore/portal/volume/site-files", "after": ["isolate"], "deadline": "30m"}, {"id": "check/approval/login-page", "after": ["restore/approval/stream/approval-db"], "deadline": "2m"}, {"id": "clean-up", "finally": true, "deadline": "5m"}])
}

/// Where each step stands: those under way run or wait for a person, what comes before one of them in the plan is done, and all else waits.
fn states(current: &Value) -> String {
    let steps = plan_steps();
    let ids: Vec<&Value> = steps.as_array().expect("steps").iter().map(|step| &step["id"]).collect();
    let current: Vec<&Value> = current.as_array().expect("steps").iter().collect();
    let phase = |id: &Value| current.iter().find(|step| step["id"] == *id).map(|step| step["phase"].as_str());
    let last = ids.iter().rposition(|id| phase(id).is_some()).unwrap_or_default();
    let state = |(at, id): (usize, &&Value)| match phase(id) {
        Some(Some("WaitingForPerson")) => 'w',
        Some(_) => 'r',
        None if at < last => 'd',
        None => 'w',
    };
    ids.iter().enumerate().map(state).collect()
}

/// The status of a drill under way.
pub fn drill_status(phase: &str, done: i64, current: Value) -> Value {
    json!({"phase": phase, "observedActions": 0, "startTime": ago(SignedDuration::from_mins(1)), "fromSite": "xinxi-dasha", "targetSite": "laoshan-dr", "objectives": {"rto": "30m"},
        "prediction": {"rto": "9m40s", "basis": "Drills", "samples": 4}, "steps": {"total": 6, "done": done, "running": 1, "waiting": 3, "states": states(&current)}, "currentSteps": current,
        "conditions": [condition("Succeeded", "Unknown", "Running", "under way")]})
}

/// A step under way.
pub fn running(id: &str, message: &str) -> Value {
    json!({"id": id, "phase": "Running", "attempt": 1, "startTime": ago(SignedDuration::from_secs(10)), "message": message})
}

/// A step that asks a question.
pub fn asking(run: &str, id: &str) -> Value {
    json!({"id": id, "phase": "WaitingForPerson", "attempt": 1, "startTime": ago(SignedDuration::from_secs(10)), "message": "0 of 1 answered",
        "prompt": {"zh": "热线已通知？", "en": "Was the hotline called?"}, "remedy": format!("p861 drill answer {run} {id} --yes")})
}

/// A step that has failed for good.
pub fn failed(run: &str, id: &str) -> Value {
    json!({"id": id, "phase": "WaitingForPerson", "attempt": 3, "startTime": ago(SignedDuration::from_secs(10)), "message": "waits for a person: retry, skip or abort; before: the page answered 500",
        "remedy": format!("p861 drill retry {run} {id}")})
}

/// A platform with a weak layer whose remedy is a long command, and a roster with a gap.
async fn platform_and_roster(hub: &Hub) {
    let sites = json!([{"site": "xinxi-dasha", "state": "Ready"}, {"site": "laoshan-dr", "state": "Weak"}]);
    let gap = json!({"site": "laoshan-dr", "reason": "UpgradeNeedsTicket", "message": "envoy-gateway: 1.6.0 is installed, 1.6.1 is declared", "remedy": "p861 ticket open upgrade envoy-gateway"});
    let layers: Vec<_> = [("Network", "Ready", json!([])), ("BaseSoftware", "Weak", json!([gap]))]
        .into_iter()
        .map(|(layer, state, gaps)| json!({"layer": layer, "state": state, "supportable": 17, "sites": sites, "gaps": gaps}))
        .collect();
    let components = json!([{"name": "envoy-gateway", "version": "1.6.1", "sites": [{"site": "laoshan-dr", "installed": "1.6.0", "state": "Weak"}]}]);
    let basis = json!({"method": "Linear", "days": 40});
    let forecast = json!([{"layer": "Network", "basis": basis, "advice": "what is used does not grow"}, {"layer": "BaseSoftware", "basis": basis, "shortTime": hours_ago(-2_000), "advice": "+4 cores of CPU on laoshan-dr before 2027-01 keeps 12 months ahead"}]);
    let balance = json!({"running": 2, "supportable": 17, "shortestLayer": "Network", "forecast": forecast});
    let weak = condition("Ready", "False", "LayerWeak", "BaseSoftware is weak: p861 platform gaps");
    let status = json!({"layers": layers, "components": components, "conditions": [weak], "balance": balance});
    hub.put("Platform", hub.district, json!({"network": {"isolation": "Department"}}), status).await;
    let levels = json!([{"name": "duty", "escalateAfter": "10m", "rotations": [{"name": "always", "people": ["duty-engineer-a"]}]}]);
    let spec = json!({"timeZone": "Asia/Shanghai", "people": [{"name": "duty-engineer-a"}], "levels": levels});
    let uncovered = condition("Ready", "False", "Uncovered", "nobody is on duty in level duty from Tue 2026-12-01 08:00: complete its rotations");
    hub.put("DutyRoster", "shifts", spec, json!({"current": [{"level": "duty", "person": "duty-engineer-a"}], "conditions": [uncovered]})).await;
}

/// A window that is frozen, and a template.
async fn window_and_template(hub: &Hub) {
    let frozen = condition("Open", "False", "Frozen", "freeze election is in force; opens Tue 2026-11-24 08:00 for 4h");
    let freeze =
        json!({"name": "election", "startTime": "2026-11-20T00:00:00Z", "endTime": "2026-11-24T00:00:00Z", "reason": {"en": "Election week", "zh": "选举周"}});
    let spec = json!({"changeClasses": ["Normal", "Standard"], "recurrences": [{"schedule": "0 8 * * 2", "duration": "4h"}], "freezes": [freeze]});
    hub.put("MaintenanceWindow", "night", spec, json!({"open": false, "nextOpenTime": hours_ago(-3), "conditions": [frozen]})).await;
    let spec = json!({"title": {"en": "Replace a disk", "zh": "更换磁盘"}, "work": {"manual": {}}, "plan": {"en": "swap the disk, wait for the rebuild", "zh": "更换磁盘，等待重建"}});
    let ready = condition("Ready", "True", "Valid", "published by administrator, who can't open Standard changes by it");
    hub.put("ChangeTemplate", "replace-a-disk", spec, json!({"conditions": [ready]})).await;
}

/// An incident that somebody has taken, and a change that waits for approvals.
async fn tickets(hub: &Hub) {
    let incident = json!({"startTime": hours_ago(1), "runbook": "P861SiteUnreachable"});
    let affects = json!({"applicationRefs": [{"name": "approval"}, {"name": "portal"}], "siteRefs": [{"name": "xinxi-dasha"}]});
    let spec = json!({"type": "Incident", "title": {"en": "the API server of site xinxi-dasha does not answer the hub", "zh": "管理中心无法访问站点 xinxi-dasha 的 API 服务器"},
        "impact": "High", "urgency": "High", "requestedBy": "administrator", "affects": affects, "incident": incident});
    let clocks = json!([{"name": "Acknowledge", "state": "MetLate", "dueTime": hours_ago(1), "metTime": hours_ago(0)}, {"name": "Resolve", "state": "Running", "dueTime": hours_ago(-3)}]);
    let told = |person: &str, state: &str, message: Option<&str>| json!({"person": person, "channel": "mail", "level": "duty", "state": state, "time": hours_ago(1), "dueTime": hours_ago(1), "attempts": 1, "late": false, "message": message});
    let undelivered = told("duty-engineer-b", "Dropped", Some("not on duty any more"));
    let alert = json!({"fingerprint": "8d1c5e0a4b7f2c39", "alertName": "P861SiteUnreachable", "state": "Firing", "startTime": hours_ago(1)});
    let late = condition("WithinClocks", "False", "AcknowledgeOverdue", "Acknowledge was due Tue 2026-11-24 08:00");
    let status = json!({"phase": "Acknowledged", "priority": "P1", "assignee": "duty-engineer-a", "clocks": clocks, "alerts": [alert], "conditions": [late],
        "notifications": [told("duty-engineer-a", "Delivered", None), undelivered], "escalation": {"level": "duty", "state": "Stopped"}});
    hub.put("MaintenanceTicket", "inc-20261124-ab12", spec, status).await;
    hub.change("upgrade-bulletin", "administrator").await;
}

/// What a district has beside its protection: platform, roster, window, template, tickets.
pub async fn rest(hub: &Hub) {
    platform_and_roster(hub).await;
    window_and_template(hub).await;
    tickets(hub).await;
}
