//! What damage of one backup says of the others: backups of an application share their data, so none of them counts until somebody has read it since.

use super::choose::{self, NoRecoveryPoint, RecoveryPoint};
use jiff::Timestamp;
use p861_crds::{Backup, ConditionType, protection::backup::VerificationLevel};
use std::collections::BTreeMap;

/// The last time that a backup of an application was found damaged in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundDamaged<'a> {
    /// When.
    pub at: Timestamp,
    /// Its recovery point, if it has one: of those found at one time the newest is told of.
    point: Option<Timestamp>,
    /// The Backup.
    pub backup: &'a str,
}

/// By repository, the last time that a backup of the application was found damaged there. One whose snapshot has gone counts as well: what it shared is still there.
pub fn found_damaged<'a>(application: &str, backups: impl IntoIterator<Item = &'a Backup>) -> BTreeMap<&'a str, FoundDamaged<'a>> {
    let mut found: BTreeMap<&str, FoundDamaged<'_>> = BTreeMap::new();
    for backup in backups.into_iter().filter(|backup| backup.spec.application_ref.name == application && choose::is_damaged(backup)) {
        let (Some(status), Some(name)) = (&backup.status, &backup.metadata.name) else { continue };
        let Some(repository) = status.repository.as_deref() else { continue };
        let verified = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Verified);
        let Some(at) = verified.map(|condition| condition.last_transition_time.0) else { continue };
        let this = FoundDamaged { at, point: status.recovery_point_time.as_ref().map(|time| time.0), backup: name };
        found.entry(repository).and_modify(|last| *last = this.max(*last)).or_insert(this);
    }
    found
}

/// Whether a backup's data was read since a backup of its application was found damaged in its repository. Level Stored reads only that each file is there, and how long.
fn is_read_since(backup: &Backup, found: &BTreeMap<&str, FoundDamaged<'_>>) -> bool {
    let Some(status) = &backup.status else { return true };
    let Some(damage) = status.repository.as_deref().and_then(|repository| found.get(repository)) else { return true };
    status.verification.as_ref().is_some_and(|proof| proof.level > VerificationLevel::Stored && proof.verified_time.0 > damage.at)
}

/// The newest sound backup of an application that isn't in doubt.
///
/// # Errors
/// [`NoRecoveryPoint::Unread`] if all sound ones are in doubt; another as [`choose::newest_sound`].
pub fn newest_undoubted<'a>(application: &str, backups: impl IntoIterator<Item = &'a Backup> + Clone) -> Result<RecoveryPoint, NoRecoveryPoint> {
    choose::newest_sound(application, backups.clone(), None)?;
    let found = found_damaged(application, backups.clone());
    let read = backups.into_iter().filter(|backup| is_read_since(backup, &found));
    choose::newest_sound(application, read, None).map_err(|_| NoRecoveryPoint::Unread(application.into()))
}

/// Why the newest sound backup doesn't count, and what to do about it; none if it counts, or there is none.
pub fn told<'a>(application: &str, backups: impl IntoIterator<Item = &'a Backup> + Clone) -> Option<String> {
    let newest = choose::newest_sound(application, backups.clone(), None).ok()?;
    if newest_undoubted(application, backups.clone()).is_ok_and(|counts| counts == newest) {
        return None;
    }
    let found = found_damaged(application, backups);
    let FoundDamaged { at, backup, .. } = found.get(newest.repository.as_str())?;
    Some(format!(
        "backup {backup} was found damaged at {at:.0}, and nobody has read since what other backups share with it: run a drill of its plan, or mend repository {}",
        newest.repository
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A backup of application `a`, taken in that hour, with the level that it reached in another, or the hour in which it was found damaged.
    fn backup(name: &str, repository: &str, hour: u8, proof: Option<(&str, u8)>, damaged: Option<u8>) -> Backup {
        let at = |hour: u8| format!("2026-11-15T{hour:02}:00:00Z");
        let mut status = json!({"phase": "Succeeded", "snapshotID": name, "recoveryPointTime": at(hour), "repository": repository});
        if let Some((level, hour)) = proof {
            status["verification"] = json!({"level": level, "verifiedTime": at(hour)});
        }
        if let Some(hour) = damaged {
            status["conditions"] = json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "", "lastTransitionTime": at(hour)}]);
        }
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": name},
            "spec": {"applicationRef": {"name": "a"}}, "status": status}))
        .expect("a backup")
    }

    #[test]
    fn after_damage_a_backup_counts_once_somebody_has_read_its_data_again() {
        let bad = || backup("bad", "r", 1, None, Some(10));
        for (case, others, counts) in [
            ("not looked at since", vec![backup("other", "r", 2, Some(("Stored", 2)), None)], Err("other")),
            ("its lengths were looked at since", vec![backup("other", "r", 11, Some(("Stored", 11)), None)], Err("other")),
            ("probed before", vec![backup("other", "r", 2, Some(("Probed", 9)), None)], Err("other")),
            ("probed since", vec![backup("other", "r", 2, Some(("Probed", 11)), None)], Ok("other")),
            ("restored by a drill since", vec![backup("other", "r", 2, Some(("Restored", 11)), None)], Ok("other")),
            ("in another repository", vec![backup("other", "s", 2, None, None)], Ok("other")),
            (
                "an older one was probed since",
                vec![backup("older", "r", 2, Some(("Probed", 11)), None), backup("newer", "r", 3, Some(("Stored", 3)), None)],
                Err("older"),
            ),
        ] {
            let all: Vec<Backup> = others.into_iter().chain([bad()]).collect();
            let newest = newest_undoubted("a", &all).map(|point| point.backup);
            let expected = match (case, counts) {
                (_, Ok(name)) | ("an older one was probed since", Err(name)) => Ok(name.to_owned()),
                (_, Err(_)) => Err(NoRecoveryPoint::Unread("a".into())),
            };
            assert_eq!(newest, expected, "{case}");
            let told = told("a", &all);
            assert_eq!(told.is_none(), counts.is_ok(), "{case}: {told:?}");
            assert!(told.is_none_or(|told| told.starts_with("backup bad was found damaged at 2026-11-15T10:00:00Z, ")), "{case}");
        }
    }

    #[test]
    fn without_damage_and_without_a_sound_backup_nothing_is_in_doubt() {
        let sound = [backup("one", "r", 1, Some(("Stored", 1)), None)];
        assert_eq!((newest_undoubted("a", &sound).map(|point| point.backup), told("a", &sound)), (Ok("one".into()), None));
        let bad = [backup("bad", "r", 1, None, Some(10))];
        assert_eq!((newest_undoubted("a", &bad), told("a", &bad)), (Err(NoRecoveryPoint::AllDamaged("a".into())), None));
        assert_eq!(newest_undoubted("b", &bad), Err(NoRecoveryPoint::None("b".into())));
    }

    #[test]
    fn the_last_damage_is_told_and_that_of_another_application_is_not() {
        let all = [backup("first", "r", 1, None, Some(4)), backup("last", "r", 2, None, Some(5)), backup("same", "r", 3, None, Some(5))];
        assert_eq!(found_damaged("a", &all).get("r").map(|found| found.backup), Some("same"));
        assert!(found_damaged("b", &all).is_empty());
    }
}
