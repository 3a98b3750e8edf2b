//! Which policy holds for an application.

use crate::platform::age::age;
use p861_crds::{Application, Backup, BackupPolicy, Retention, platform::application::Criticality};
use std::collections::BTreeMap;

/// The policy of an application.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holding<'a> {
    /// This one.
    Policy(&'a BackupPolicy),
    /// It names one that isn't there.
    Missing(&'a str),
    /// It names none, and none is the default of its criticality.
    None,
}

impl<'a> Holding<'a> {
    /// The policy, if there is one.
    pub fn policy(self) -> Option<&'a BackupPolicy> {
        match self {
            Self::Policy(policy) => Some(policy),
            Self::Missing(_) | Self::None => None,
        }
    }
}

/// The policy that holds for an application: the one that it names, or else the one that is the default of its criticality. `policies` are those of its namespace.
pub fn holding<'a>(application: &'a Application, policies: &'a [BackupPolicy]) -> Holding<'a> {
    match &application.spec.backup_policy_ref {
        Some(named) => {
            let policy = policies.iter().find(|policy| policy.metadata.name.as_ref() == Some(&named.name));
            policy.map_or(Holding::Missing(&named.name), Holding::Policy)
        }
        None => default_of(application.spec.criticality, policies).map_or(Holding::None, Holding::Policy),
    }
}

/// The policy that a Backup follows: the one that it names, or else the one that holds for its application.
pub fn followed<'a>(backup: &Backup, applications: &'a [Application], policies: &'a [BackupPolicy]) -> Option<&'a BackupPolicy> {
    if let Some(named) = &backup.spec.policy_ref {
        return policies.iter().find(|policy| policy.metadata.name.as_ref() == Some(&named.name));
    }
    let application = applications.iter().find(|application| application.metadata.name.as_ref() == Some(&backup.spec.application_ref.name));
    holding(application?, policies).policy()
}

/// By application: the policy by which its snapshots in a repository are thinned out, and the numbers that this states, if any. A policy speaks of its own repository only:
/// what a person has saved in another one stays.
pub fn thinning(applications: &[Application], policies: &[BackupPolicy], repository: &str) -> BTreeMap<String, (String, Option<Retention>)> {
    let of = |application: &Application| {
        let policy = holding(application, policies).policy().filter(|policy| policy.spec.repository_ref.name == repository)?;
        Some((application.metadata.name.clone()?, (policy.metadata.name.clone()?, policy.spec.retention)))
    };
    applications.iter().filter_map(of).collect()
}

/// The default of a criticality: the oldest policy that lists it.
pub fn default_of(criticality: Criticality, policies: &[BackupPolicy]) -> Option<&BackupPolicy> {
    policies.iter().filter(|policy| policy.spec.default_for.contains(&criticality)).min_by_key(|policy| age(&policy.metadata))
}

/// Criticalities that a policy lists and an older one has, with the name of that one.
pub fn taken_defaults<'a>(policy: &BackupPolicy, policies: &'a [BackupPolicy]) -> Vec<(Criticality, &'a str)> {
    let of_another = |criticality: &Criticality| {
        let default = default_of(*criticality, policies).filter(|default| default.metadata.name != policy.metadata.name)?;
        // The list may be older than the policy that is looked at.
        (age(&default.metadata) < age(&policy.metadata)).then(|| (*criticality, default.metadata.name.as_deref().unwrap_or_default()))
    };
    policy.spec.default_for.iter().filter_map(of_another).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(name: &str, created: &str, default_for: &[&str]) -> BackupPolicy {
        serde_json::from_value(
            json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupPolicy", "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"repositoryRef": {"name": "r"}, "schedule": "0 2 * * *", "defaultFor": default_for}}),
        )
        .expect("a policy")
    }

    fn application(criticality: &str, named: Option<&str>) -> Application {
        let mut spec = json!({"department": "d", "namespaces": ["n"], "criticality": criticality});
        if let Some(named) = named {
            spec["backupPolicyRef"] = json!({"name": named});
        }
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"}, "spec": spec})).expect("one")
    }

    #[test]
    fn a_backup_follows_the_policy_that_it_names_or_else_that_of_its_application() {
        let policies = [policy("old", "2026-01-01T00:00:00Z", &["Critical"]), policy("special", "2026-01-01T00:00:00Z", &[])];
        let applications = [application("Critical", None)];
        for (application_name, named, expected) in [
            ("a", None, Some("old")),
            ("a", Some("special"), Some("special")),
            ("a", Some("gone"), None),
            ("gone", None, None),
            ("gone", Some("special"), Some("special")),
        ] {
            let mut spec = json!({"applicationRef": {"name": application_name}});
            if let Some(named) = named {
                spec["policyRef"] = json!({"name": named});
            }
            let backup: Backup = serde_json::from_value(json!({"metadata": {"name": "b"}, "spec": spec})).expect("a backup");
            let found = followed(&backup, &applications, &policies).and_then(|policy| policy.metadata.name.as_deref());
            assert_eq!(found, expected, "{application_name} {named:?}");
        }
    }

    #[test]
    fn snapshots_are_thinned_out_by_the_policy_of_their_application_in_its_own_repository_alone() {
        let mut special = policy("special", "2026-01-01T00:00:00Z", &[]);
        special.spec.repository_ref.name = "elsewhere".into();
        special.spec.retention = Some(Retention { last: Some(3), ..Retention::default() });
        let policies = [policy("old", "2026-01-01T00:00:00Z", &["Critical"]), special.clone()];
        let named = |name: &str, application: Application| {
            let mut application = application;
            application.metadata.name = Some(name.into());
            application
        };
        let applications = [
            named("by-default", application("Critical", None)),
            named("by-name", application("Critical", Some("special"))),
            named("of-a-policy-that-is-gone", application("Critical", Some("gone"))),
            named("of-none", application("Ordinary", None)),
        ];
        assert_eq!(thinning(&applications, &policies, "r"), BTreeMap::from([("by-default".into(), ("old".into(), None))]));
        assert_eq!(thinning(&applications, &policies, "elsewhere"), BTreeMap::from([("by-name".into(), ("special".into(), special.spec.retention))]));
    }

    #[test]
    fn an_application_has_the_policy_that_it_names_or_else_the_oldest_default_of_its_criticality() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        let policies = [policy("new", late, &["Critical", "Important"]), policy("old", early, &["Critical"]), policy("special", late, &[])];
        for (criticality, named, expected) in [
            ("Critical", None, Some("old")),
            ("Important", None, Some("new")),
            ("Ordinary", None, None),
            ("Ordinary", Some("special"), Some("special")),
            ("Critical", Some("special"), Some("special")),
            ("Critical", Some("gone"), None),
        ] {
            let application = application(criticality, named);
            let found = holding(&application, &policies);
            assert_eq!(found.policy().and_then(|policy| policy.metadata.name.as_deref()), expected, "{criticality} {named:?}");
            assert_eq!(matches!(found, Holding::Missing("gone")), named == Some("gone"), "{criticality} {named:?}");
        }
        assert_eq!(taken_defaults(&policies[0], &policies), [(Criticality::Critical, "old")]);
        assert_eq!(taken_defaults(&policies[1], &policies), []);
        // Made in one second, the first by name has it.
        let twins = [policy("b", early, &["Ordinary"]), policy("a", early, &["Ordinary"])];
        assert_eq!(taken_defaults(&twins[0], &twins), [(Criticality::Ordinary, "a")]);
        assert_eq!(taken_defaults(&twins[1], &twins), []);
    }
}
