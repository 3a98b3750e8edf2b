//! Selection of a backup: the newest undamaged one.

use crate::{
    engine::{Outcome, StepTimeline},
    ids::{SiteName, SnapshotId},
    runs::StepKey,
};
use jiff::Timestamp;
use p861_crds::{
    Backup, BackupStatus, ConditionType, Reason,
    common::{Condition, RunPhase},
    protection::backup::VerificationLevel,
};
use serde::{Deserialize, Serialize};

/// A backup that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryPoint {
    /// The Backup's name.
    pub backup: String,
    /// restic's id.
    pub snapshot: SnapshotId,
    /// Recovery point: it contains all data written before this time.
    pub time: Timestamp,
    /// Repository that it is in.
    pub repository: String,
    /// How far it was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<VerificationLevel>,
    /// The site whose data it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
}

/// A recovery point as its repository describes it. Its Backup may not be on the hub any more: objects go when there are many (`runs::history`), snapshots stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CataloguedPoint {
    /// The Application's name.
    pub application: String,
    /// The point. How far it was proven is not known.
    pub point: RecoveryPoint,
    /// Its snapshot lacks something, as it says itself.
    pub is_partial: bool,
    /// It was taken of an application in which a restore had ended half way, as it says itself.
    pub is_half_restored: bool,
    /// The district's namespace on the hub, as it says itself; none if it doesn't.
    pub district: Option<String>,
}

/// Why no backup can be offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecoveryPoint {
    /// There is none that succeeded.
    #[error("application {0} has no backup that succeeded: p861 backup now {0}")]
    None(String),
    /// There are some, all newer.
    #[error("application {application} has no sound backup of {before} or earlier; the oldest is of {oldest}")]
    AllNewer {
        /// The Application.
        application: String,
        /// The time asked for.
        before: Timestamp,
        /// The oldest there is.
        oldest: Timestamp,
    },
    /// There are some, all damaged.
    #[error("every backup of application {0} is damaged in its repository: p861 backup list {0}")]
    AllDamaged(String),
    /// There are some, all taken after a restore had ended half way.
    #[error(
        "every sound backup of application {0} was taken after a restore had ended half way, and holds a mixture: name one, if it is what you want: p861 backup list {0}"
    )]
    AllHalfRestored(String),
    /// There are some, and none was read since one was found damaged.
    #[error("no backup of application {0} was read since one was found damaged")]
    Unread(String),
}

/// Whether the backup's snapshot is not in its repository any more: it was forgotten, or is missing.
pub fn is_gone(backup: &Backup) -> bool {
    gone(backup).is_some()
}

/// The condition that says so.
pub fn gone(backup: &Backup) -> Option<&Condition> {
    let mut conditions = backup.status.iter().flat_map(|status| &status.conditions);
    conditions.rfind(|condition| condition.type_ == ConditionType::Kept && condition.status == "False")
}

/// Whether a backup was found damaged.
pub fn is_damaged(backup: &Backup) -> bool {
    backup
        .status
        .as_ref()
        .is_some_and(|status| status.conditions.iter().any(|c| c.type_ == ConditionType::Verified && c.status == "False" && c.reason == Reason::Damaged))
}

/// Whether a backup was taken of an application in which a restore had ended half way. It is never chosen by itself, but a person may name it.
pub fn is_half_restored(backup: &Backup) -> bool {
    backup.status.as_ref().is_some_and(|status| status.half_restored.is_some())
}

/// What the steps that used a backup found wrong with its data, if anything.
pub fn damage_in<'a>(timeline: impl IntoIterator<Item = &'a StepTimeline>, of_backup: impl Fn(&StepKey) -> bool) -> Option<String> {
    let failures = timeline
        .into_iter()
        .filter(|step| step.outcome != Outcome::Done && StepKey::of(&step.id).as_ref().is_some_and(&of_backup))
        .filter_map(|step| step.failure.as_ref());
    failures.filter(|failure| failure.reason == Reason::Damaged).map(|failure| failure.message.clone()).next()
}

/// Whether the backup failed only because its sealed snapshot lacks something: volumes that could not be read, or cluster-scoped objects that its Application names
/// and that didn't exist. The snapshot has everything else: it is never chosen by itself, but a person may name it.
pub fn is_partial(status: &BackupStatus) -> bool {
    let lacks = |condition: &Condition| {
        condition.type_ == ConditionType::Succeeded && (condition.reason == Reason::PartiallySaved || condition.reason == Reason::ClusterResourceMissing)
    };
    status.phase == Some(RunPhase::Failed) && status.snapshot_id.is_some() && status.conditions.iter().any(lacks)
}

/// The recovery point of a backup that succeeded, sound or not, or that [`is_partial`]; none of any other, and none if its snapshot [`is_gone`].
pub fn as_point(backup: &Backup) -> Option<RecoveryPoint> {
    let status = backup.status.as_ref().filter(|_| !is_gone(backup))?;
    if status.phase != Some(RunPhase::Succeeded) && !is_partial(status) {
        return None;
    }
    Some(RecoveryPoint {
        backup: backup.metadata.name.clone()?,
        snapshot: status.snapshot_id.clone()?.into(),
        time: status.recovery_point_time.as_ref()?.0,
        repository: status.repository.clone()?,
        level: status.verification.as_ref().map(|v| v.level),
        site: status.site.as_deref().map(SiteName::from),
    })
}

/// The newest sound backup of an application, no newer than `not_after`.
///
/// # Errors
/// [`NoRecoveryPoint`], with why there is none.
pub fn newest_sound<'a>(
    application: &str,
    backups: impl IntoIterator<Item = &'a Backup>,
    not_after: Option<Timestamp>,
) -> Result<RecoveryPoint, NoRecoveryPoint> {
    let of_application: Vec<&Backup> = backups
        .into_iter()
        .filter(|b| b.spec.application_ref.name == application && b.status.as_ref().is_some_and(|s| s.phase == Some(RunPhase::Succeeded)))
        .filter(|b| !is_gone(b))
        .collect();
    if of_application.is_empty() {
        return Err(NoRecoveryPoint::None(application.into()));
    }
    let undamaged: Vec<&Backup> = of_application.into_iter().filter(|b| !is_damaged(b)).collect();
    let mut sound: Vec<RecoveryPoint> = undamaged.iter().filter(|b| !is_half_restored(b)).filter_map(|b| as_point(b)).collect();
    if sound.is_empty() && !undamaged.is_empty() {
        return Err(NoRecoveryPoint::AllHalfRestored(application.into()));
    }
    sound.sort_by(|a, b| (a.time, &a.backup).cmp(&(b.time, &b.backup)));
    let Some(oldest) = sound.first().map(|point| point.time) else { return Err(NoRecoveryPoint::AllDamaged(application.into())) };
    match sound.into_iter().rfind(|point| not_after.is_none_or(|limit| point.time <= limit)) {
        Some(point) => Ok(point),
        None => Err(NoRecoveryPoint::AllNewer { application: application.into(), before: not_after.unwrap_or(oldest), oldest }),
    }
}

/// The newest catalogued point of an application, no newer than `not_after`, that is whole, and that no Backup on the hub calls damaged, or incomplete.
pub fn newest_catalogued(application: &str, catalogue: &[CataloguedPoint], backups: &[Backup], not_after: Option<Timestamp>) -> Option<RecoveryPoint> {
    let is_incomplete = |backup: &Backup| backup.status.as_ref().is_some_and(is_partial);
    let passed_over = |point: &RecoveryPoint| {
        let of_point = |backup: &&Backup| backup.status.as_ref().and_then(|status| status.snapshot_id.as_deref()) == Some(point.snapshot.as_str());
        backups.iter().filter(of_point).any(|backup| is_damaged(backup) || is_incomplete(backup) || is_half_restored(backup))
    };
    let whole = catalogue.iter().filter(|catalogued| catalogued.application == application && !catalogued.is_partial && !catalogued.is_half_restored);
    let of_application = whole.map(|catalogued| &catalogued.point);
    let sound = of_application.filter(|point| not_after.is_none_or(|limit| point.time <= limit) && !passed_over(point));
    sound.max_by(|a, b| (a.time, &a.backup).cmp(&(b.time, &b.backup))).cloned()
}

/// The only catalogued point whose snapshot's id begins so; none if there is none, or several.
pub fn catalogued_snapshot<'a>(id: &str, catalogue: &'a [CataloguedPoint]) -> Option<&'a CataloguedPoint> {
    let mut found = catalogue.iter().filter(|catalogued| catalogued.point.snapshot.as_str().starts_with(id));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Failure, StepId};

    fn backup(name: &str, second: i64, phase: &str, damaged: bool) -> Backup {
        let time = Timestamp::from_second(second).expect("a time").to_string();
        let verified = if damaged {
            serde_json::json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "", "lastTransitionTime": time}])
        } else {
            serde_json::json!([])
        };
        serde_json::from_value(
            serde_json::json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": name}, "spec": {"applicationRef": {"name": "a"}},
            "status": {"phase": phase, "snapshotID": name, "recoveryPointTime": time, "repository": "r", "conditions": verified}}),
        )
        .expect("a backup")
    }

    #[test]
    fn a_damaged_backup_is_passed_over_for_the_newest_sound_one() {
        let all = [backup("old", 100, "Succeeded", false), backup("new", 200, "Succeeded", true), backup("running", 300, "Running", false)];
        assert_eq!(newest_sound("a", &all, None).map(|p| p.backup), Ok("old".into()));
    }

    #[test]
    fn a_backup_whose_snapshot_has_gone_is_passed_over_and_can_be_restored_by_nobody() {
        let kept = |status: &str| {
            let mut asked = backup("new", 200, "Succeeded", false);
            let condition =
                serde_json::json!([{"type": "Kept", "status": status, "reason": "Forgotten", "message": "", "lastTransitionTime": "2026-11-15T00:00:00Z"}]);
            asked.status.get_or_insert_default().conditions = serde_json::from_value(condition).expect("conditions");
            asked
        };
        for (status, newest) in [("False", "old"), ("True", "new"), ("Unknown", "new")] {
            let all = [backup("old", 100, "Succeeded", false), kept(status)];
            assert_eq!(newest_sound("a", &all, None).map(|point| point.backup), Ok(newest.into()), "{status}");
            assert_eq!(as_point(&all[1]).is_some(), newest == "new", "{status}");
        }
        assert!(matches!(newest_sound("a", &[kept("False")], None), Err(NoRecoveryPoint::None(_))));
    }

    #[test]
    fn fault_b12_and_d5_a_backup_that_lacks_something_is_never_chosen_and_may_be_named() {
        for (reason, sealed, may_be_named) in
            [("ClusterResourceMissing", true, true), ("PartiallySaved", true, true), ("PartiallySaved", false, false), ("ReadErrors", true, false)]
        {
            let mut newest = backup("new", 200, "Failed", false);
            let condition =
                serde_json::json!([{"type": "Succeeded", "status": "False", "reason": reason, "message": "", "lastTransitionTime": "2026-11-15T00:00:00Z"}]);
            if let Some(status) = &mut newest.status {
                status.conditions = serde_json::from_value(condition).expect("conditions");
                status.snapshot_id = status.snapshot_id.take().filter(|_| sealed);
            }
            assert_eq!(as_point(&newest).is_some(), may_be_named, "{reason}");
            let all = [backup("old", 100, "Succeeded", false), newest];
            assert_eq!(newest_sound("a", &all, None).map(|p| p.backup), Ok("old".into()), "{reason}");
            assert!(matches!(newest_sound("a", &all[1..], None), Err(NoRecoveryPoint::None(_))), "{reason}: it doesn't count");
        }
    }

    #[test]
    fn fault_c9_a_backup_of_a_half_restored_application_is_chosen_only_if_it_is_named() {
        let half = |name: &str, second| {
            let mut half = backup(name, second, "Succeeded", false);
            half.status.get_or_insert_default().half_restored = Some("restore-1".into());
            half
        };
        let (sound, damaged) = (backup("old", 100, "Succeeded", false), backup("bad", 150, "Succeeded", true));
        for (case, all, expected) in [
            ("a sound one is older", vec![sound.clone(), half("new", 200)], Ok("old")),
            ("and one is newer", vec![sound, half("new", 200), backup("newest", 300, "Succeeded", false)], Ok("newest")),
            ("there is no other", vec![half("new", 200)], Err(NoRecoveryPoint::AllHalfRestored("a".into()))),
            ("all others are damaged", vec![damaged, half("new", 200)], Err(NoRecoveryPoint::AllHalfRestored("a".into()))),
        ] {
            assert_eq!(newest_sound("a", &all, None).map(|point| point.backup), expected.map(str::to_owned), "{case}");
        }
        assert_eq!(as_point(&half("new", 200)).map(|point| point.backup).as_deref(), Some("new"), "who names it gets it");
    }

    #[test]
    fn a_time_limit_is_kept_and_its_refusal_names_the_oldest() {
        let all = [backup("old", 100, "Succeeded", false), backup("new", 200, "Succeeded", false)];
        let at = |s| Some(Timestamp::from_second(s).expect("a time"));
        assert_eq!(newest_sound("a", &all, at(150)).map(|p| p.backup), Ok("old".into()));
        assert!(matches!(newest_sound("a", &all, at(50)), Err(NoRecoveryPoint::AllNewer { .. })));
        assert!(matches!(newest_sound("b", &all, None), Err(NoRecoveryPoint::None(_))));
        assert!(matches!(newest_sound("a", &[backup("x", 1, "Succeeded", true)], None), Err(NoRecoveryPoint::AllDamaged(_))));
    }

    #[test]
    fn fault_f8_a_point_whose_backup_left_the_hub_is_found_in_the_catalogue() {
        let point = |application: &str, backup: &str, second: i64| CataloguedPoint {
            application: application.into(),
            point: RecoveryPoint {
                backup: backup.into(),
                snapshot: format!("{backup}-snapshot").as_str().into(),
                time: Timestamp::from_second(second).expect("a time"),
                repository: "r".into(),
                level: None,
                site: None,
            },
            is_partial: backup.starts_with("partial"),
            is_half_restored: backup.starts_with("half"),
            district: Some("shinan".into()),
        };
        let catalogue = [
            point("a", "one", 100),
            point("a", "two", 200),
            point("a", "partial", 210),
            point("a", "half", 220),
            point("a", "three", 300),
            point("b", "of-b", 250),
        ];
        let mut bad = backup("two", 200, "Succeeded", true);
        bad.status.get_or_insert_default().snapshot_id = Some("two-snapshot".into());
        let mut incomplete = backup("two", 200, "Failed", false);
        let status = incomplete.status.get_or_insert_default();
        status.snapshot_id = Some("two-snapshot".into());
        let missing = serde_json::json!([{"type": "Succeeded", "status": "False", "reason": "ClusterResourceMissing", "message": "", "lastTransitionTime": "2026-11-15T00:00:00Z"}]);
        status.conditions = serde_json::from_value(missing).expect("conditions");
        let at = |second| Some(Timestamp::from_second(second).expect("a time"));
        for (application, backups, not_after, expected) in [
            ("a", &[][..], at(250), Some("two")),
            ("a", std::slice::from_ref(&bad), at(250), Some("one")),
            ("a", std::slice::from_ref(&incomplete), at(250), Some("one")),
            ("a", &[], None, Some("three")),
            ("a", &[], at(50), None),
            ("b", &[], at(250), Some("of-b")),
            ("c", &[], None, None),
        ] {
            let found = newest_catalogued(application, &catalogue, backups, not_after).map(|point| point.backup);
            assert_eq!(found.as_deref(), expected, "{application} {not_after:?}");
        }
        let of_snapshot = |id| catalogued_snapshot(id, &catalogue).map(|found| found.point.backup.as_str());
        assert_eq!((of_snapshot("one"), of_snapshot("t"), of_snapshot("four")), (Some("one"), None, None), "an id that fits two names none");
        assert_eq!(of_snapshot("partial"), Some("partial"), "one that lacks something may be named");
    }

    #[test]
    fn only_a_failed_step_of_the_backup_that_met_damage_tells_of_it() {
        let step = |id: &str, outcome, reason: &str| StepTimeline {
            id: StepId::new(id).expect("an id"),
            planned: None,
            started: None,
            ended: None,
            attempts: 1,
            outcome,
            touched: true,
            waits_for: None,
            failure: Some(Failure::transient(Reason::from_text(reason), format!("{reason} at {id}"))),
            skipped: None,
            evidence: None,
        };
        let timeline = [
            step("restore/other/volume/a", Outcome::Failed, "Damaged"),
            step("restore/a/volume/x", Outcome::Done, "Damaged"),
            step("restore/a/volume/y", Outcome::Failed, "Refused"),
        ];
        let of_a = |key: &StepKey| key.reads_backup_of("a");
        assert_eq!(damage_in(&timeline, of_a), None, "another backup's, one that a retry mended, and another failure");
        let met = [&timeline[..], &[step("restore/a/volume/z", Outcome::Failed, "Damaged")]].concat();
        assert_eq!(damage_in(&met, of_a).as_deref(), Some("Damaged at restore/a/volume/z"));
    }
}
