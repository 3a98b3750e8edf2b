//! Prerequisites of a recovery, tried before one is needed.

use super::standing::members;
use crate::{conditions::ConditionUpdate, ids::SiteName, protection::choose, told::Noun};
use p861_crds::{
    Application, Backup, ConditionType, Reason, RecoveryPlanSpec,
    platform::site::NodeCounts,
    protection::backup::VerificationLevel,
    recovery::plan::{PreflightCheck, PreflightResult},
};

/// Rehearses a plan.
const DRILL: &str = "p861 drill run";

/// What the checks are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct PreflightFacts<'a> {
    /// The plan.
    pub plan: &'a str,
    /// Where it would recover its applications.
    pub standby: &'a SiteName,
    /// The standby's nodes, or why they are not known.
    pub nodes: &'a Result<NodeCounts, String>,
    /// Whether the plan's repository can be read, or why not.
    pub repository: &'a Result<(), String>,
    /// All applications of its namespace.
    pub applications: &'a [Application],
}

/// The checks, and condition ReadyToFailover. It is never True: the checks say that a drill can begin, and the product has no failover.
pub fn preflight(spec: &RecoveryPlanSpec, facts: &PreflightFacts<'_>, backups: &[Backup]) -> (Vec<PreflightCheck>, ConditionUpdate) {
    let (plan, standby, repository) = (facts.plan, facts.standby, &spec.repository_ref.name);
    let reachable = match facts.nodes {
        Ok(nodes) if nodes.ready > 0 => Ok(format!("{standby}, {}", Noun::Node.count(nodes.total))),
        Ok(_) => Err(format!("{standby} has no ready node")),
        Err(why) => Err(why.clone()),
    };
    let opened = facts.repository.as_ref().map(|()| format!("repository {repository} opened")).map_err(Clone::clone);
    let unproven = unproven(spec, backups);
    let recoverable = if unproven.is_empty() {
        Ok(format!("{} restored and probed", Noun::Application.count(members(spec).count())))
    } else {
        let without = without_checks(&unproven, facts.applications);
        // No drill would change that.
        let without = if without.is_empty() { String::new() } else { format!("; without checks to probe, which spec.checks declares: {}", without.join(", ")) };
        Err(format!("never restored and probed: {}{without}", unproven.join(", ")))
    };
    let show_repository = || format!("p861 repository show {repository}");
    let checks = vec![
        check("StandbyReachable", reachable, || format!("p861 site show {standby}")),
        check("KeyAccess", opened.clone(), show_repository),
        check("RecoverableData", recoverable, || format!("{DRILL} {plan}")),
        check("JournalWritable", opened, show_repository),
    ];
    let failed: Vec<&str> = checks.iter().filter(|check| check.result == PreflightResult::Fail).map(|check| check.name.as_str()).collect();
    let (all, failing) = (checks.len(), failed.len());
    let verdict = if failed.is_empty() {
        let message =
            format!("{all} of {all} checks pass, and failover comes with a later release. A drill proves that this plan can be recovered: {DRILL} {plan}");
        ConditionUpdate::unknown(ConditionType::ReadyToFailover, Reason::NotAvailable, message)
    } else {
        let message = format!("{failing} of {all} checks fail ({}): p861 plan check {plan}", failed.join(", "));
        ConditionUpdate::bad(ConditionType::ReadyToFailover, Reason::PreflightFailed, message)
    };
    (checks, verdict)
}

fn check(name: &str, outcome: Result<String, String>, remedy: impl FnOnce() -> String) -> PreflightCheck {
    match outcome {
        Ok(message) => PreflightCheck { name: name.into(), result: PreflightResult::Pass, message, remedy: None },
        Err(message) => PreflightCheck { name: name.into(), result: PreflightResult::Fail, message, remedy: Some(remedy()) },
    }
}

/// The plan's applications of which no sound backup was ever restored and probed.
fn unproven<'a>(spec: &'a RecoveryPlanSpec, backups: &[Backup]) -> Vec<&'a str> {
    let probed = |backup: &Backup| {
        let proof = backup.status.as_ref().and_then(|status| status.verification.as_ref());
        !choose::is_damaged(backup) && !choose::is_gone(backup) && proof.is_some_and(|proof| proof.level == VerificationLevel::Probed)
    };
    members(spec).filter(|name| !backups.iter().any(|backup| backup.spec.application_ref.name == *name && probed(backup))).collect()
}

/// Those of them that have no checks.
fn without_checks<'a>(names: &[&'a str], applications: &[Application]) -> Vec<&'a str> {
    let has_none =
        |name: &&&str| applications.iter().any(|application| application.metadata.name.as_deref() == Some(**name) && application.spec.checks.is_empty());
    names.iter().filter(has_none).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn backup(application: &str, level: &str, damaged: bool) -> Backup {
        let time = "2026-11-15T00:00:00Z";
        let verified = json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "a pack is gone", "lastTransitionTime": time}]);
        let conditions = if damaged { verified } else { json!([]) };
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
            "spec": {"applicationRef": {"name": application}},
            "status": {"phase": "Succeeded", "verification": {"level": level, "verifiedTime": time}, "conditions": conditions}}))
        .expect("a backup")
    }

    #[test]
    fn fault_a12_a_plan_whose_checks_pass_claims_no_failover_that_the_product_lacks() {
        let spec: RecoveryPlanSpec = serde_json::from_value(json!({"repositoryRef": {"name": "offsite"}, "groups": []})).expect("a plan");
        let facts =
            PreflightFacts { plan: "core", standby: &"b".into(), nodes: &Ok(NodeCounts { total: 1, ready: 1 }), repository: &Ok(()), applications: &[] };
        let (checks, verdict) = preflight(&spec, &facts, &[]);
        assert!(checks.iter().all(|check| check.result == PreflightResult::Pass));
        assert_eq!((verdict.status, verdict.reason.as_str()), (None, "NotAvailable"));
        let message = "4 of 4 checks pass, and failover comes with a later release. A drill proves that this plan can be recovered: p861 drill run core";
        assert_eq!(verdict.message, message);
    }

    #[test]
    fn fault_a12_whatever_the_checks_find_no_plan_is_ready_for_a_failover_that_does_not_exist() {
        let spec: RecoveryPlanSpec = serde_json::from_value(json!({"repositoryRef": {"name": "offsite"},
            "groups": [{"name": "g", "members": [{"applicationRef": {"name": "portal"}}]}]}))
        .expect("a plan");
        let (up, none_ready, silent) = (Ok(NodeCounts { total: 3, ready: 2 }), Ok(NodeCounts { total: 3, ready: 0 }), Err("no answer".to_owned()));
        let (opens, refused) = (Ok(()), Err("403".to_owned()));
        let probed = [backup("portal", "Probed", false)];
        for (case, nodes, repository, backups, failing) in [
            ("all is well", &up, &opens, &probed[..], vec![]),
            ("no ready node", &none_ready, &opens, &probed[..], vec!["StandbyReachable"]),
            ("a silent standby", &silent, &opens, &probed[..], vec!["StandbyReachable"]),
            ("a repository that refuses", &up, &refused, &probed[..], vec!["KeyAccess", "JournalWritable"]),
            ("no backup", &up, &opens, &[], vec!["RecoverableData"]),
            ("only restored", &up, &opens, &[backup("portal", "Restored", false)], vec!["RecoverableData"]),
            ("probed, then damaged", &up, &opens, &[backup("portal", "Probed", true)], vec!["RecoverableData"]),
            ("another application's", &up, &opens, &[backup("other", "Probed", false)], vec!["RecoverableData"]),
        ] {
            let (checks, verdict) = preflight(&spec, &PreflightFacts { plan: "p", standby: &"b".into(), nodes, repository, applications: &[] }, backups);
            let failed: Vec<&str> = checks.iter().filter(|check| check.result == PreflightResult::Fail).map(|check| check.name.as_str()).collect();
            let expected = if failing.is_empty() { (None, "NotAvailable") } else { (Some(false), "PreflightFailed") };
            assert_eq!((failed, (verdict.status, verdict.reason.as_str())), (failing, expected), "{case}");
            assert!(checks.iter().all(|check| check.remedy.is_some() == (check.result == PreflightResult::Fail)), "{case}: a failure says what to do");
        }
    }

    #[test]
    fn an_application_without_checks_is_told_of_because_no_drill_can_probe_it() {
        let spec: RecoveryPlanSpec = serde_json::from_value(json!({"repositoryRef": {"name": "offsite"},
            "groups": [{"name": "g", "members": [{"applicationRef": {"name": "portal"}}, {"applicationRef": {"name": "forms"}}]}]}))
        .expect("a plan");
        let application = |name: &str, checks: serde_json::Value| -> Application {
            let spec = json!({"names": {"en": "a"}, "department": "d", "namespaces": ["n"], "checks": checks});
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": spec}))
                .expect("an application")
        };
        let applications = [application("portal", json!([{"name": "c", "http": {"serviceName": "web", "port": 80}}])), application("forms", json!([]))];
        let nodes = Ok(NodeCounts { total: 1, ready: 1 });
        let facts = PreflightFacts { plan: "p", standby: &"b".into(), nodes: &nodes, repository: &Ok(()), applications: &applications };
        let data = |backups: &[Backup]| {
            let checks = preflight(&spec, &facts, backups).0;
            checks.into_iter().find(|check| check.name == "RecoverableData").map(|check| check.message)
        };
        let text = "never restored and probed: portal, forms; without checks to probe, which spec.checks declares: forms";
        assert_eq!(data(&[]).as_deref(), Some(text));
        assert_eq!(data(&[backup("forms", "Probed", false)]).as_deref(), Some("never restored and probed: portal"));
    }
}
