//! How an application stands: whether it is found and healthy, protected and recoverable, and when its marker is due.

use super::{age::age, district::plan_of, facts::Unseen};
use crate::{
    conditions::ConditionUpdate,
    ids::SiteName,
    protection::{choose, doubt, half_restored, policy::decide::ApplicationPolicy, standing},
    recovery::objectives,
    time::parse_duration,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Application, ApplicationStatus, Backup, ConditionType, District, Reason, RecoveryPlan, Restore, Time,
    platform::application::{BackupSummary, Marker},
};

/// Shortest time to wait for a marker: a reconcile within it writes the marker at once.
const MARKER_LEEWAY: SignedDuration = SignedDuration::from_millis(500);

/// A spec that can't stand beside its district or another application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Misplaced {
    /// The district has no such department.
    #[error("department {department} is not of district {district}: it has {known}")]
    DepartmentUnknown {
        /// The department.
        department: String,
        /// The district.
        district: String,
        /// The departments that it has.
        known: String,
    },
    /// An older application has the namespace.
    #[error("namespace {namespace} belongs to application {owner}: a namespace is in one application")]
    NamespaceTaken {
        /// The application that has it.
        owner: String,
        /// The namespace.
        namespace: String,
    },
}

impl Misplaced {
    /// The reason of the API.
    pub fn reason(&self) -> Reason {
        match self {
            Self::DepartmentUnknown { .. } => Reason::DepartmentUnknown,
            Self::NamespaceTaken { .. } => Reason::NamespaceTaken,
        }
    }
}

/// Refuses a department that the district doesn't have. A district that lists none allows any.
///
/// # Errors
/// [`Misplaced::DepartmentUnknown`].
pub fn refuse_unknown_department(district: &District, application: &Application) -> Result<(), Misplaced> {
    let (known, department) = (&district.spec.departments, &application.spec.department);
    if known.is_empty() || known.iter().any(|known| known.name == *department) {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
    let district = district.metadata.name.clone().unwrap_or_default();
    Err(Misplaced::DepartmentUnknown { department: department.clone(), district, known: known.join(", ") })
}

/// The namespace that both name, if `other` is the older, which may have it: two would save and restore each other's objects.
pub fn taken_namespace(application: &Application, other: &Application) -> Option<Misplaced> {
    // Looked for first: each application is held against all others of its district.
    let namespace = other.spec.namespaces.iter().find(|namespace| application.spec.namespaces.contains(namespace))?;
    let is_older = other.metadata.uid != application.metadata.uid && age(&other.metadata) < age(&application.metadata);
    is_older.then(|| Misplaced::NamespaceTaken { namespace: namespace.clone(), owner: other.metadata.name.clone().unwrap_or_default() })
}

/// A check that was tried once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSeen {
    /// Its name.
    pub name: String,
    /// What was seen instead; none if it passes.
    pub failing: Option<String>,
}

/// An application that was found on its site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationSeen {
    /// The site.
    pub site: SiteName,
    /// What was found, for people.
    pub found: String,
    /// Its checks.
    pub checks: Vec<CheckSeen>,
}

/// The status and conditions that follow.
pub fn decide(
    application: &Application,
    seen: &Result<ApplicationSeen, Unseen>,
    plans: &[RecoveryPlan],
    (backups, restores): (&[Backup], &[Restore]),
    policy: &ApplicationPolicy,
    now: Timestamp,
) -> (ApplicationStatus, Vec<ConditionUpdate>) {
    let name = application.metadata.name.as_deref().unwrap_or_default();
    let mut status = application.status.clone().unwrap_or_default();
    let objectives = objectives::in_force(&application.spec);
    let rpo = objectives::duration(objectives.rpo.as_ref()).ok().flatten();
    status.objectives = Some(objectives);
    let mut updates = match seen {
        Ok(seen) => {
            status.active_site = Some(seen.site.to_string());
            vec![ConditionUpdate::good(ConditionType::Ready, Reason::Resolved, seen.found.clone()), healthy(&seen.checks)]
        }
        Err(unseen) => {
            vec![
                ConditionUpdate::bad(ConditionType::Ready, unseen.reason.clone(), unseen.message.clone()),
                ConditionUpdate::unknown(ConditionType::Healthy, Reason::NotResolved, "see Ready"),
            ]
        }
    };
    let newest = choose::newest_sound(name, backups, None);
    if let Ok(point) = &newest {
        status.last_backup = Some(BackupSummary { name: point.backup.clone(), recovery_point_time: Time(point.time) });
    }
    status.verified = standing::verified(name, backups);
    status.backup_policy.clone_from(&policy.name);
    status.next_backup_time = policy.next.map(Time);
    status.half_restored = half_restored::half_restored(application, restores, now);
    let namespace = application.metadata.namespace.as_deref().unwrap_or_default();
    let half = status.half_restored.as_ref().map(|half| format!("{}; {}", half_restored::told(half), half_restored::remedy(namespace, name)));
    let plan = plan_of(name, plans);
    status.recovery_plan = plan.and_then(|plan| plan.metadata.name.clone());
    let recoverable = standing::recoverable(name, !application.spec.checks.is_empty(), &status.verified, now);
    let ready_to_failover = standing::ready_to_failover(plan, &recoverable);
    let unread = doubt::told(name, backups);
    let but = match (half, unread) {
        (Some(half), Some(unread)) => Some((Reason::HalfRestored, format!("{half}; {unread}"))),
        (Some(half), None) => Some((Reason::HalfRestored, half)),
        (None, unread) => unread.map(|unread| (Reason::Damaged, unread)),
    };
    let (counts, but) = (doubt::newest_undoubted(name, backups), but.as_ref().map(|(reason, why)| (reason.clone(), why.as_str())));
    updates.extend([standing::protected(name, &counts, but, (policy, rpo), now), recoverable, ready_to_failover]);
    (status, updates)
}

/// Healthy: whether every check passes.
pub fn healthy(checks: &[CheckSeen]) -> ConditionUpdate {
    let failing: Vec<String> = checks.iter().filter_map(|check| Some(format!("{}: {}", check.name, check.failing.as_ref()?))).collect();
    let total = checks.len();
    match (total, failing.is_empty()) {
        (0, _) => ConditionUpdate::unknown(ConditionType::Healthy, Reason::NoChecks, "spec.checks is empty: nobody can tell"),
        (_, true) => ConditionUpdate::good(ConditionType::Healthy, Reason::ChecksPass, format!("{total} of {total}")),
        (_, false) => ConditionUpdate::bad(ConditionType::Healthy, Reason::ChecksFail, failing.join("; ")),
    }
}

/// Whether a marker is written now, and when the next is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerTurn {
    /// It is due now.
    pub due: bool,
    /// Time until the next.
    pub next: SignedDuration,
}

/// The turn of a marker that was written `last`. A period that can't be read is a minute; none is shorter than a second.
pub fn marker_turn(marker: &Marker, last: Option<Timestamp>, now: Timestamp) -> MarkerTurn {
    let period = parse_duration(&marker.period.0).unwrap_or(SignedDuration::from_mins(1)).max(SignedDuration::from_secs(1));
    let wait = last.map_or(SignedDuration::ZERO, |last| period - now.duration_since(last));
    let due = wait <= MARKER_LEEWAY;
    MarkerTurn { due, next: if due { period } else { wait } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn application(name: &str, created: &str, namespaces: &[&str]) -> Application {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "uid": name, "creationTimestamp": created},
            "spec": {"names": {"zh": "门户", "en": "Portal"}, "department": "office", "criticality": "Important", "namespaces": namespaces}}))
        .expect("an application")
    }

    fn now() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn an_application_is_of_a_department_of_its_district() {
        for (departments, allowed) in [(json!([]), true), (json!(["office"]), true), (json!(["police"]), false)] {
            let departments: Vec<_> =
                departments.as_array().into_iter().flatten().map(|name| json!({"name": name, "names": {"zh": "办", "en": "o"}})).collect();
            let district: District = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "d"},
                "spec": {"code": "370202", "names": {"zh": "区", "en": "d"}, "timeZone": "Asia/Shanghai", "departments": departments, "sites": []}}))
            .expect("a district");
            assert_eq!(refuse_unknown_department(&district, &application("a", "2026-01-01T00:00:00Z", &[])).is_ok(), allowed, "{departments:?}");
        }
    }

    #[test]
    fn of_two_applications_with_one_namespace_the_older_has_it() {
        let (old, new) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let mine = application("a", new, &["x", "y"]);
        for (case, other, taken) in [
            ("an older one", application("b", old, &["y"]), true),
            ("a younger one", application("b", "2026-01-03T00:00:00Z", &["y"]), false),
            ("one as old, later in the alphabet", application("b", new, &["y"]), false),
            ("an older one elsewhere", application("b", old, &["z"]), false),
            ("itself", mine.clone(), false),
        ] {
            assert_eq!(taken_namespace(&mine, &other).is_some(), taken, "{case}");
        }
    }

    #[test]
    fn an_application_is_healthy_if_every_check_passes() {
        let check = |failing: Option<&str>| CheckSeen { name: "login".into(), failing: failing.map(str::to_owned) };
        for (checks, status, reason) in [
            (vec![], None, "NoChecks"),
            (vec![check(None), check(None)], Some(true), "ChecksPass"),
            (vec![check(None), check(Some("HTTP 500"))], Some(false), "ChecksFail"),
        ] {
            let update = healthy(&checks);
            assert_eq!((update.status, update.reason.as_str()), (status, reason), "{checks:?}");
        }
    }

    #[test]
    fn an_application_that_is_not_found_keeps_its_site_and_is_of_unknown_health() {
        let mut object = application("a", "2026-01-01T00:00:00Z", &["x"]);
        let seen = Ok(ApplicationSeen { site: "hill".into(), found: "1 workloads".into(), checks: Vec::new() });
        let policy = ApplicationPolicy { name: Some("critical".into()), next: Some(now()), ..ApplicationPolicy::default() };
        let (status, _) = decide(&object, &seen, &[], (&[], &[]), &policy, now());
        assert_eq!((status.backup_policy.as_deref(), status.next_backup_time.clone()), (Some("critical"), Some(Time(now()))));
        assert_eq!(status.active_site.as_deref(), Some("hill"));
        object.status = Some(status);
        let lost = Err(Unseen { reason: Reason::Unreachable, message: "no answer".into() });
        let (status, updates) = decide(&object, &lost, &[], (&[], &[]), &ApplicationPolicy::default(), now());
        assert_eq!((status.backup_policy, status.next_backup_time), (None, None));
        assert_eq!(status.active_site.as_deref(), Some("hill"));
        let told: Vec<_> = updates.iter().map(|update| (update.kind.as_str(), update.status, update.reason.as_str())).collect();
        assert_eq!(
            told,
            [
                ("Ready", Some(false), "Unreachable"),
                ("Healthy", None, "NotResolved"),
                ("Protected", Some(false), "NoBackupYet"),
                ("Recoverable", Some(false), "NoChecks"),
                ("ReadyToFailover", Some(false), "NoPlan"),
            ]
        );
    }

    #[test]
    fn an_application_is_not_protected_by_a_backup_that_nobody_has_read_since_another_was_found_damaged() {
        let backup = |name: &str, minute: u8, level: &str, damaged: bool| -> Backup {
            let time = format!("2026-11-28T11:{minute:02}:00Z");
            let verified = json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "", "lastTransitionTime": time}]);
            let status = json!({"phase": "Succeeded", "snapshotID": name, "recoveryPointTime": time, "repository": "r",
                "verification": {"level": level, "verifiedTime": time}, "conditions": if damaged { verified } else { json!([]) }});
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": name},
                "spec": {"applicationRef": {"name": "a"}}, "status": status}))
            .expect("a backup")
        };
        let bad = backup("bad", 30, "Stored", true);
        let policy = ApplicationPolicy { name: Some("critical".into()), ..ApplicationPolicy::default() };
        let unseen = Err(Unseen { reason: Reason::Unreachable, message: "no answer".into() });
        for (case, backups, expected) in [
            ("stored before", vec![backup("good", 20, "Stored", false), bad.clone()], (Some(false), "Damaged")),
            ("stored since: of files only that they are there", vec![backup("good", 40, "Stored", false), bad.clone()], (Some(false), "Damaged")),
            ("probed since", vec![backup("good", 40, "Probed", false), bad.clone()], (Some(true), "BackedUp")),
            ("no damage", vec![backup("good", 20, "Stored", false)], (Some(true), "BackedUp")),
            ("nothing else", vec![bad], (Some(false), "NoBackupYet")),
        ] {
            let (status, updates) = decide(&application("a", "2026-01-01T00:00:00Z", &["x"]), &unseen, &[], (&backups, &[]), &policy, now());
            let protected = updates.iter().find(|update| update.kind == ConditionType::Protected).expect("the condition");
            assert_eq!((protected.status, protected.reason.as_str()), expected, "{case}: {}", protected.message);
            assert_eq!(protected.message.contains("backup bad was found damaged"), expected.1 == "Damaged", "{case}: {}", protected.message);
            assert_eq!(status.last_backup.is_some(), backups.len() > 1 || expected.1 == "BackedUp", "{case}: it is there all the same");
        }
    }

    #[test]
    fn a_marker_is_written_once_a_period() {
        let marker = |period: &str| -> Marker {
            serde_json::from_value(json!({"period": period, "workloadRef": {"kind": "Deployment", "name": "db"}, "write": ["true"], "read": ["true"]}))
                .expect("a marker")
        };
        let ago = |millis: i64| Some(now() - SignedDuration::from_millis(millis));
        for (period, last, due, next_millis) in [
            ("10s", None, true, 10_000),
            ("10s", ago(10_000), true, 10_000),
            ("10s", ago(9_600), true, 10_000),
            ("10s", ago(4_000), false, 6_000),
            ("0s", None, true, 1_000),
            ("soon", None, true, 60_000),
        ] {
            assert_eq!(marker_turn(&marker(period), last, now()), MarkerTurn { due, next: SignedDuration::from_millis(next_millis) }, "{period} {last:?}");
        }
    }
}
