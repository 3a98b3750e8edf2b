//! The repository of a backup that names none.

use crate::recovery::standing::members;
use p861_crds::{Backup, BackupPolicy, RecoveryPlan, common::RunPhase};
use std::collections::BTreeSet;

/// Nothing says which one is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDefault {
    /// There is none.
    #[error("namespace {0} has no BackupRepository: create one")]
    None(String),
    /// There are several.
    #[error(
        "namespace {namespace} has several repositories ({repositories}), and neither a recovery plan nor a policy of application {application} nor a backup of it says which: name one in spec.repositoryRef"
    )]
    Several {
        /// The namespace.
        namespace: String,
        /// Their names.
        repositories: String,
        /// The application.
        application: String,
    },
}

/// The one of the application's recovery plan; else that of its policy; else that of its newest backup that succeeded; else the only one. A repository that somebody declares beside these changes
/// nothing for backups that are taken without being told where to, such as those before a change.
///
/// # Errors
/// That there is none, or that nothing says which.
pub fn default_repository(
    (namespace, application): (&str, &str),
    repositories: &[String],
    plans: &[RecoveryPlan],
    policy: Option<&BackupPolicy>,
    backups: &[Backup],
) -> Result<String, NoDefault> {
    let is_there = |name: &&str| repositories.iter().any(|there| there == name);
    let of_plans: BTreeSet<&str> = plans
        .iter()
        .filter(|plan| members(&plan.spec).any(|member| member == application))
        .map(|plan| plan.spec.repository_ref.name.as_str())
        .filter(is_there)
        .collect();
    let newest = || {
        let of_application = backups.iter().filter(|backup| backup.spec.application_ref.name == application);
        let succeeded = of_application.filter_map(|backup| backup.status.as_ref().filter(|status| status.phase == Some(RunPhase::Succeeded)));
        succeeded.filter_map(|status| Some((status.completion_time.as_ref()?.0, status.repository.as_deref().filter(is_there)?))).max().map(|(_, name)| name)
    };
    let of_plan = of_plans.first().copied().filter(|_| of_plans.len() == 1);
    let of_policy = || policy.map(|policy| policy.spec.repository_ref.name.as_str()).filter(is_there);
    match (of_plan.or_else(of_policy).or_else(newest), repositories) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(NoDefault::None(namespace.to_owned())),
        (None, several) => Err(NoDefault::Several { namespace: namespace.to_owned(), repositories: several.join(", "), application: application.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(application: &str, repository: &str) -> RecoveryPlan {
        serde_json::from_value(json!({"metadata": {"name": "core"}, "spec": {"repositoryRef": {"name": repository},
            "groups": [{"name": "all", "members": [{"applicationRef": {"name": application}}]}]}}))
        .expect("a plan")
    }

    fn backup(application: &str, repository: &str, phase: &str, at: &str) -> Backup {
        serde_json::from_value(json!({"metadata": {"name": "b"}, "spec": {"applicationRef": {"name": application}},
            "status": {"phase": phase, "repository": repository, "completionTime": format!("2026-11-30T{at}:00Z")}}))
        .expect("a backup")
    }

    fn policy(repository: &str) -> BackupPolicy {
        serde_json::from_value(json!({"metadata": {"name": "critical"}, "spec": {"repositoryRef": {"name": repository}, "schedule": "0 2 * * *"}}))
            .expect("a policy")
    }

    #[test]
    fn a_backup_goes_where_the_plan_the_policy_or_the_newest_backup_says_and_else_to_the_only_one() {
        let both = ["main".to_owned(), "other".to_owned()];
        let (old, new) = (backup("portal", "other", "Succeeded", "01:00"), backup("portal", "main", "Succeeded", "02:00"));
        for (case, repositories, plans, backups, wanted) in [
            ("the only one", &both[..1], vec![], vec![], Ok("main")),
            ("the plan's", &both[..], vec![plan("portal", "other")], vec![new.clone()], Ok("other")),
            (
                "plans of two repositories",
                &both[..],
                vec![plan("portal", "other"), plan("portal", "main")],
                vec![],
                Err("has several repositories (main, other)"),
            ),
            ("the newest backup's", &both[..], vec![plan("forms", "other")], vec![new.clone(), old.clone()], Ok("main")),
            ("one that failed says nothing", &both[..], vec![], vec![backup("portal", "other", "Failed", "03:00"), new], Ok("main")),
            ("one that is gone says nothing", &both[..1], vec![plan("portal", "other")], vec![old], Ok("main")),
            (
                "another application's says nothing",
                &both[..],
                vec![],
                vec![backup("forms", "main", "Succeeded", "01:00")],
                Err("name one in spec.repositoryRef"),
            ),
            ("there is none", &[], vec![], vec![], Err("has no BackupRepository")),
        ] {
            let chosen = default_repository(("shinan", "portal"), repositories, &plans, None, &backups).map_err(|error| error.to_string());
            match wanted {
                Ok(name) => assert_eq!(chosen.as_deref(), Ok(name), "{case}"),
                Err(words) => assert!(chosen.as_ref().is_err_and(|error| error.contains(words)), "{case}: {chosen:?}"),
            }
        }
        let with = |plans: &[RecoveryPlan], of: &str| {
            let newest = [backup("portal", "main", "Succeeded", "01:00")];
            default_repository(("shinan", "portal"), &both, plans, Some(&policy(of)), &newest).expect("one is meant")
        };
        assert_eq!(with(&[], "other"), "other", "the policy's");
        assert_eq!(with(&[plan("portal", "main")], "other"), "main", "the plan's: recovery reads it");
        assert_eq!(with(&[], "gone"), "main", "one that is gone says nothing");
    }
}
