//! How an application is protected, and what a repository's backups say of it.

use super::{
    choose::{self, NoRecoveryPoint, RecoveryPoint},
    policy::decide::ApplicationPolicy,
};
use crate::{
    conditions::{ConditionUpdate, ObjectEvent},
    shown,
    time::human_duration,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    Backup, Condition, ConditionType, Reason, RecoveryPlan, common::RunPhase, platform::application::VerifiedBackup, protection::backup::VerificationLevel,
};
use std::collections::BTreeSet;

/// A proof older than this is no proof. Source: profile 861-2008's policy for Important applications; BackupPolicy will state it.
pub const PROOF_MAX_AGE: SignedDuration = SignedDuration::from_hours(168);

/// Protected: whether the newest backup that counts is within the RPO, and the policy takes them often enough that one always is. `but` says why newer ones don't count, and
/// what to do about it: a restore has ended half way, or damage was found. Without a policy an application is protected for as long as a backup that somebody has taken is
/// young enough.
pub fn protected(
    application: &str,
    newest: &Result<RecoveryPoint, NoRecoveryPoint>,
    but: Option<(Reason, &str)>,
    (policy, rpo): (&ApplicationPolicy, Option<SignedDuration>),
    now: Timestamp,
) -> ConditionUpdate {
    let overdue = |point: &RecoveryPoint| rpo.is_some_and(|rpo| now.duration_since(point.time) > rpo);
    match (newest, but) {
        (Ok(point), Some((_, why))) if !overdue(point) => {
            let message = format!("repository {}, backup {}; backups since then don't count: {why}", point.repository, point.backup);
            return ConditionUpdate::good(ConditionType::Protected, Reason::BackedUp, message);
        }
        (Ok(point), Some((reason, why))) => {
            let message = format!("the newest backup that counts is {}, which is older than the RPO: {why}", point.backup);
            return ConditionUpdate::bad(ConditionType::Protected, reason, message);
        }
        (Err(error), Some((reason, why))) => return ConditionUpdate::bad(ConditionType::Protected, reason, format!("{error}; {why}")),
        (_, None) => {}
    }
    let bad = |reason, message| ConditionUpdate::bad(ConditionType::Protected, reason, message);
    match (newest, rpo, &policy.lacks) {
        (Err(error), _, Some(lacks)) => bad(Reason::NoPolicy, format!("{lacks}; {error}")),
        (Err(error), _, None) => bad(Reason::NoBackupYet, error.to_string()),
        (Ok(point), Some(rpo), Some(lacks)) if now.duration_since(point.time) > rpo => {
            bad(Reason::NoPolicy, format!("{lacks}; the newest backup is older than the RPO of {}: p861 backup now {application}", human_duration(rpo)))
        }
        (Ok(point), Some(rpo), None) if now.duration_since(point.time) > rpo => {
            bad(Reason::BackupOverdue, format!("the newest backup is older than the RPO of {}: p861 backup now {application}", human_duration(rpo)))
        }
        (Ok(point), ..) => match &policy.too_sparse {
            Some(why) => bad(Reason::SchedulesTooSparse, why.clone()),
            None => ConditionUpdate::good(ConditionType::Protected, Reason::BackedUp, format!("repository {}", point.repository)),
        },
    }
}

/// The newest sound backup proven to each level, the lowest level first.
pub fn verified<'a>(application: &str, backups: impl IntoIterator<Item = &'a Backup> + Clone) -> Vec<VerifiedBackup> {
    let sound = |backup: &&Backup| {
        let unfit = choose::is_damaged(backup) || choose::is_half_restored(backup) || choose::is_gone(backup);
        backup.spec.application_ref.name == application && !unfit
    };
    let proven = |backup: &Backup| {
        let status = backup.status.as_ref().filter(|status| status.phase == Some(RunPhase::Succeeded))?;
        Some((backup.metadata.name.clone()?, status.verification.clone()?))
    };
    let newest = |level: VerificationLevel| {
        let reached = backups.clone().into_iter().filter(sound).filter_map(proven).filter(|(_, proof)| proof.level >= level);
        let (backup, proof) = reached.max_by_key(|(_, proof)| proof.verified_time.0)?;
        Some(VerifiedBackup { level, backup, verified_time: proof.verified_time })
    };
    [VerificationLevel::Stored, VerificationLevel::Restored, VerificationLevel::Probed].into_iter().filter_map(newest).collect()
}

/// Recoverable: whether a backup was restored and probed, and not too long ago. Without checks no drill can probe one, however often it is run.
pub fn recoverable(application: &str, has_checks: bool, verified: &[VerifiedBackup], now: Timestamp) -> ConditionUpdate {
    let is_old = |probed: &VerifiedBackup| now.duration_since(probed.verified_time.0) > PROOF_MAX_AGE;
    match verified.iter().find(|verified| verified.level == VerificationLevel::Probed) {
        probed if !has_checks && probed.is_none_or(is_old) => ConditionUpdate::bad(
            ConditionType::Recoverable,
            Reason::NoChecks,
            format!("{application} has no checks that could probe what a drill restores: declare spec.checks, then run a drill of its plan"),
        ),
        None => ConditionUpdate::bad(
            ConditionType::Recoverable,
            Reason::NeverVerified,
            format!("no backup of {application} was ever restored and probed: run a drill of its plan"),
        ),
        Some(probed) if is_old(probed) => ConditionUpdate::bad(
            ConditionType::Recoverable,
            Reason::VerificationTooOld,
            format!("last Probed {}, allowed {}: run a drill of its plan", shown::day(probed.verified_time.0, &TimeZone::UTC), human_duration(PROOF_MAX_AGE)),
        ),
        Some(probed) => ConditionUpdate::good(ConditionType::Recoverable, Reason::Proven, format!("{} was restored and probed", probed.backup)),
    }
}

/// ReadyToFailover of an application: what it lacks, or else that the product has no failover. It is never True.
pub fn ready_to_failover(plan: Option<&RecoveryPlan>, recoverable: &ConditionUpdate) -> ConditionUpdate {
    let Some(plan) = plan else { return ConditionUpdate::bad(ConditionType::ReadyToFailover, Reason::NoPlan, "no RecoveryPlan names this application") };
    if !recoverable.holds() {
        return ConditionUpdate::bad(ConditionType::ReadyToFailover, Reason::NotRecoverable, "see Recoverable");
    }
    let name = plan.metadata.name.as_deref().unwrap_or_default();
    let lacks_only_failover = |condition: &Condition| condition.type_ == ConditionType::ReadyToFailover && condition.reason == Reason::NotAvailable;
    if plan.status.as_ref().is_some_and(|status| status.conditions.iter().any(lacks_only_failover)) {
        let message = format!("failover comes with a later release. A drill proves that plan {name} can be recovered: p861 drill run {name}");
        ConditionUpdate::unknown(ConditionType::ReadyToFailover, Reason::NotAvailable, message)
    } else {
        ConditionUpdate::bad(ConditionType::ReadyToFailover, Reason::PlanNotReady, format!("p861 plan check {name}"))
    }
}

/// Checked, of a repository: what the verifications of its backups found. Each walks what its backup needs; a drill reads every byte of it.
pub fn checked(repository: &str, backups: &[Backup]) -> ConditionUpdate {
    let is_here = |backup: &&Backup| !choose::is_gone(backup) && backup.status.as_ref().is_some_and(|status| status.repository.as_deref() == Some(repository));
    let damaged: Vec<&Backup> = backups.iter().filter(is_here).filter(|backup| choose::is_damaged(backup)).collect();
    if let Some(first) = damaged.first() {
        let conditions = first.status.iter().flat_map(|status| &status.conditions);
        let what =
            conditions.filter(|condition| condition.type_ == ConditionType::Verified).map(|condition| condition.message.as_str()).next().unwrap_or_default();
        let names: Vec<&str> = damaged.iter().filter_map(|backup| backup.metadata.name.as_deref()).collect();
        return ConditionUpdate::bad(
            ConditionType::Checked,
            Reason::Damaged,
            format!("repository {repository}: backups {} can't be used; {what}", names.join(", ")),
        );
    }
    let proofs = backups.iter().filter(is_here).filter_map(|backup| backup.status.as_ref()?.verification.as_ref());
    match proofs.map(|proof| proof.verified_time.0).max() {
        Some(time) => ConditionUpdate::good(
            ConditionType::Checked,
            Reason::BackupsVerified,
            format!("no backup in it was found damaged; the last verification was at {time:.0}"),
        ),
        None => ConditionUpdate::unknown(ConditionType::Checked, Reason::NotYet, "no backup in it was verified yet"),
    }
}

/// What people are told when a repository is found damaged; nothing while it stays so.
pub fn damage(before: &[Condition], checked: &ConditionUpdate) -> Option<ObjectEvent> {
    let told = before.iter().any(|condition| condition.type_ == checked.kind && condition.reason == checked.reason);
    let damaged = checked.reason == Reason::Damaged;
    (damaged && !told).then(|| ObjectEvent { reason: Reason::RepositoryDamaged, note: checked.message.clone(), warning: true })
}

/// OffSite, of a repository: whether it stands in none of the failure domains in which its applications run.
pub fn off_site(own: &str, domains: &BTreeSet<String>) -> ConditionUpdate {
    if domains.contains(own) {
        return ConditionUpdate::bad(
            ConditionType::OffSite,
            Reason::SameFailureDomain,
            format!("repository and applications both stand in {own}: use a bucket elsewhere"),
        );
    }
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    ConditionUpdate::good(ConditionType::OffSite, Reason::OtherFailureDomain, format!("{own}; its applications run in {}", domains.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-11-15T00:00:00Z".parse().expect("a time")
    }

    fn hours_ago(hours: i64) -> Timestamp {
        now() - SignedDuration::from_hours(hours)
    }

    /// A backup of application `a` in repository `r`, proven to a level so many hours ago.
    fn backup(name: &str, proof: Option<(&str, i64)>, damaged: bool) -> Backup {
        let time = hours_ago(1).to_string();
        let mut status = json!({"phase": "Succeeded", "snapshotID": name, "recoveryPointTime": time, "repository": "r"});
        if let Some((level, hours)) = proof {
            status["verification"] = json!({"level": level, "verifiedTime": hours_ago(hours).to_string()});
        }
        if damaged {
            status["conditions"] =
                json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "a pack is gone", "lastTransitionTime": time}]);
        }
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": name},
            "spec": {"applicationRef": {"name": "a"}}, "status": status}))
        .expect("a backup")
    }

    #[test]
    fn an_application_is_protected_by_a_backup_within_its_rpo() {
        let point =
            |hours| Ok(RecoveryPoint { backup: "b".into(), snapshot: "s".into(), time: hours_ago(hours), repository: "r".into(), level: None, site: None });
        let four_hours = Some(SignedDuration::from_hours(4));
        for (case, newest, rpo, expected) in [
            ("no backup", Err(NoRecoveryPoint::None("a".into())), four_hours, (false, "NoBackupYet")),
            ("all damaged", Err(NoRecoveryPoint::AllDamaged("a".into())), four_hours, (false, "NoBackupYet")),
            ("within", point(3), four_hours, (true, "BackedUp")),
            ("exactly", point(4), four_hours, (true, "BackedUp")),
            ("too old", point(5), four_hours, (false, "BackupOverdue")),
            ("no RPO", point(999), None, (true, "BackedUp")),
        ] {
            let with = ApplicationPolicy { name: Some("p".into()), ..ApplicationPolicy::default() };
            let update = protected("a", &newest, None, (&with, rpo), now());
            assert_eq!((update.holds(), update.reason.as_str()), expected, "{case}");
            let without = ApplicationPolicy { lacks: Some("policy p is suspended (moved)".into()), ..ApplicationPolicy::default() };
            let update = protected("a", &newest, None, (&without, rpo), now());
            assert_eq!((update.holds(), update.reason.as_str()), (expected.0, if expected.0 { "BackedUp" } else { "NoPolicy" }), "{case}, no policy");
            assert!(expected.0 || update.message.starts_with("policy p is suspended (moved); "), "{}", update.message);
            let sparse = ApplicationPolicy { too_sparse: Some("daily is too rare".into()), ..with };
            let update = protected("a", &newest, None, (&sparse, rpo), now());
            assert_eq!((update.holds(), update.reason.as_str()), (false, if expected.0 { "SchedulesTooSparse" } else { expected.1 }), "{case}, too sparse");
            let update = protected("a", &newest, Some((Reason::HalfRestored, "Restore x ended half way")), (&sparse, rpo), now());
            let reason = if expected.0 { "BackedUp" } else { "HalfRestored" };
            assert_eq!((update.holds(), update.reason.as_str()), (expected.0, reason), "fault_c9: {case}");
            assert!(update.message.contains("Restore x ended half way"), "fault_c9: {case}: {}", update.message);
        }
    }

    #[test]
    fn an_application_is_recoverable_only_if_a_sound_backup_was_probed_in_the_last_week() {
        for (case, backups, expected) in [
            ("no backup", vec![], (false, "NeverVerified")),
            ("stored", vec![backup("b", Some(("Stored", 1)), false)], (false, "NeverVerified")),
            ("restored", vec![backup("b", Some(("Restored", 1)), false)], (false, "NeverVerified")),
            ("probed", vec![backup("b", Some(("Probed", 1)), false)], (true, "Proven")),
            ("probed a week ago", vec![backup("b", Some(("Probed", 168)), false)], (true, "Proven")),
            ("probed longer ago", vec![backup("b", Some(("Probed", 169)), false)], (false, "VerificationTooOld")),
            ("probed, then found damaged", vec![backup("b", Some(("Probed", 1)), true)], (false, "NeverVerified")),
            ("a newer one only stored", vec![backup("b", Some(("Probed", 30)), false), backup("c", Some(("Stored", 1)), false)], (true, "Proven")),
        ] {
            let update = recoverable("a", true, &verified("a", &backups), now());
            assert_eq!((update.holds(), update.reason.as_str()), expected, "{case}");
            let update = recoverable("a", false, &verified("a", &backups), now());
            let expected = if expected.0 { expected } else { (false, "NoChecks") };
            assert_eq!((update.holds(), update.reason.as_str()), expected, "{case}, and it has no checks: a drill would say nothing");
            assert!(expected.0 || update.message.contains("declare spec.checks"), "{case}: {}", update.message);
        }
    }

    #[test]
    fn a_higher_level_counts_for_the_lower_ones() {
        let found = verified("a", &[backup("old", Some(("Probed", 30)), false), backup("new", Some(("Stored", 1)), false)]);
        let found: Vec<_> = found.iter().map(|it| (it.level, it.backup.as_str())).collect();
        assert_eq!(found, [(VerificationLevel::Stored, "new"), (VerificationLevel::Restored, "old"), (VerificationLevel::Probed, "old")]);
    }

    #[test]
    fn fault_a12_no_application_is_ready_for_a_failover_that_does_not_exist() {
        let plan = |ready: &str, reason: &str| -> RecoveryPlan {
            let conditions: Value =
                json!([{"type": "ReadyToFailover", "status": ready, "reason": reason, "message": "", "lastTransitionTime": now().to_string()}]);
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "RecoveryPlan", "metadata": {"name": "p"},
                "spec": {"repositoryRef": {"name": "r"}, "groups": []}, "status": {"conditions": conditions}}))
            .expect("a plan")
        };
        let (yes, no) = (
            ConditionUpdate::good(ConditionType::Recoverable, Reason::Proven, ""),
            ConditionUpdate::bad(ConditionType::Recoverable, Reason::NeverVerified, ""),
        );
        for (plan, recoverable, expected) in [
            (None, &yes, (Some(false), "NoPlan")),
            (Some(plan("Unknown", "NotAvailable")), &no, (Some(false), "NotRecoverable")),
            (Some(plan("False", "PreflightFailed")), &yes, (Some(false), "PlanNotReady")),
            // As an earlier release wrote it.
            (Some(plan("True", "PreflightPassed")), &yes, (Some(false), "PlanNotReady")),
            (Some(plan("Unknown", "NotAvailable")), &yes, (None, "NotAvailable")),
        ] {
            let update = ready_to_failover(plan.as_ref(), recoverable);
            assert_eq!((update.status, update.reason.as_str()), expected);
        }
    }

    #[test]
    fn a_repository_is_off_site_if_no_application_runs_in_its_failure_domain() {
        for (domains, expected) in [(vec!["city"], (true, "OtherFailureDomain")), (vec!["city", "hill"], (false, "SameFailureDomain"))] {
            let domains = domains.into_iter().map(str::to_owned).collect();
            let update = off_site("hill", &domains);
            assert_eq!((update.holds(), update.reason.as_str()), expected, "{domains:?}");
        }
    }

    #[test]
    fn a_repository_is_checked_by_the_verifications_of_its_own_backups() {
        for (case, repository, backups, expected) in [
            ("none", "r", vec![], (None, "NotYet")),
            ("not verified", "r", vec![backup("b", None, false)], (None, "NotYet")),
            ("verified", "r", vec![backup("b", Some(("Stored", 1)), false)], (Some(true), "BackupsVerified")),
            ("one damaged", "r", vec![backup("b", Some(("Stored", 1)), false), backup("c", Some(("Stored", 1)), true)], (Some(false), "Damaged")),
            ("another repository's", "other", vec![backup("c", None, true)], (None, "NotYet")),
        ] {
            let update = checked(repository, &backups);
            assert_eq!((update.status, update.reason.as_str()), expected, "{case}");
        }
        let sound = checked("r", &[backup("b", Some(("Stored", 1)), false)]);
        let damaged = checked("r", &[backup("c", None, true)]);
        for (before, after, told) in [(None, &sound, false), (None, &damaged, true), (Some(&sound), &damaged, true), (Some(&damaged), &damaged, false)] {
            let before = before.map(|before| conditions::apply(&[], std::slice::from_ref(before), None, now())).unwrap_or_default();
            assert_eq!(damage(&before, after).is_some(), told, "people are told once");
        }
        let two = checked("r", &[backup("b", None, true), backup("c", None, true)]);
        assert_eq!(two.message, "repository r: backups b, c can't be used; a pack is gone");
    }
}
