//! Ended runs whose objects leave the hub, so that its lists stay short however long the product works.
//!
//! Rule: an object goes only if its run has ended and cleaned up some time ago; if at least as many as `spec.history` allows ended after it, of the same group and
//! outcome (that of the BackupPolicy for Backups of its applications, if it has one, or else that of the District); and if nobody needs it:
//! - no person keeps it: label or annotation `platform861.io/keep: "true"`, and `spec.keepUntilTime` of a Backup;
//! - no other object refers to it;
//! - no status is concluded from it: what Application, BackupRepository and RecoveryPlan say does not change when it goes (only how long backups take is known from those that are
//!   there).
//!
//! | kind | group | succeeded |
//! |---|---|---|
//! | Backup | application | phase Succeeded, not found damaged since, not taken of a half restored application, and its snapshot is there |
//! | Restore | application and mode | phase Succeeded |
//! | Drill | plan and type | result Passed |
//! | MaintenanceTicket | type | phase Closed |
//!
//! Snapshots stay: only retention removes them. Whoever removes the object stores it in the repository first, with its journal. An Approval goes with its subject.
//! What is stored goes later, by the same limits ([`super::stored_history`]).

use super::RunClass;
use crate::{
    protection::{choose, doubt, half_restored, policy::holding::holding, standing as protection},
    recovery::{conclude, standing as recovery},
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Application, Approval, Backup, BackupPolicy, Drill, MaintenanceTicket, ObjectMeta, RecoveryPlan, Restore, RunObject, RunStatus as _,
    common::{HistoryLimits, RunPhase},
    maintenance::ticket::TicketPhase,
    names::{CLEANUP_FINALIZER, KEEP, TICKET_LABEL},
    protection::restore::RestoreMode,
    recovery::drill::DrillResult,
};
use std::collections::{BTreeMap, BTreeSet};

/// How long an ended run stays in any case. People look at it, and whoever waits for its end has seen it by then.
pub const RUN_KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long an ended ticket stays in any case. An alert that still fires opens a ticket anew once its closed one is gone, so that must not be soon.
pub const TICKET_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 31);

/// The objects of a district's namespace that the decision depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryFacts {
    /// All Backups.
    pub backups: Vec<Backup>,
    /// All Restores.
    pub restores: Vec<Restore>,
    /// All Drills.
    pub drills: Vec<Drill>,
    /// All tickets.
    pub tickets: Vec<MaintenanceTicket>,
    /// All Approvals.
    pub approvals: Vec<Approval>,
    /// All Applications.
    pub applications: Vec<Application>,
    /// All RecoveryPlans.
    pub plans: Vec<RecoveryPlan>,
    /// All BackupPolicies.
    pub policies: Vec<BackupPolicy>,
}

impl HistoryFacts {
    /// How many Backups stay of each application whose policy says so.
    fn limits_of_policies(&self) -> BTreeMap<&str, HistoryLimits> {
        let of = |application: &'_ Application| holding(application, &self.policies).policy()?.spec.history;
        self.applications.iter().filter_map(|application| Some((application.metadata.name.as_deref()?, of(application)?))).collect()
    }
}

/// An object that goes, as it was observed. One that has changed since stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedRun {
    /// What it is.
    pub class: RunClass,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Names and UIDs of the Approvals that go with it.
    pub approvals: Vec<(String, String)>,
    /// What it is counted by: the application of a Backup, mode and application of a Restore, type and plan of a Drill, the type of a ticket.
    pub group: Vec<String>,
    /// As what it counts.
    pub succeeded: bool,
    /// By which the newest are found.
    pub order: Timestamp,
    /// How many of its group stay.
    pub limits: HistoryLimits,
}

/// An object, by class and name.
type ObjectKey = (RunClass, String);

/// A run that has ended.
struct Candidate<'a> {
    class: RunClass,
    group: Vec<String>,
    succeeded: bool,
    ended: Timestamp,
    /// By which the newest are found: of a Backup its recovery point.
    order: Timestamp,
    kept_for: SignedDuration,
    kept_until: Option<Timestamp>,
    metadata: &'a ObjectMeta,
}

impl Candidate<'_> {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Whether it has ended for long enough, is cleaned up, and nobody keeps it.
    fn may_go(&self, now: Timestamp) -> bool {
        let metadata = self.metadata;
        let marked = |marks: &Option<BTreeMap<String, String>>| marks.as_ref().and_then(|marks| marks.get(KEEP)).is_some_and(|value| value == "true");
        let held = metadata.finalizers.iter().flatten().any(|finalizer| finalizer == CLEANUP_FINALIZER);
        let goes_already = metadata.deletion_timestamp.is_some();
        let kept = marked(&metadata.labels) || marked(&metadata.annotations) || self.kept_until.is_some_and(|until| now < until);
        !held && !goes_already && !kept && now.duration_since(self.ended) >= self.kept_for
    }

    /// None if it was not read from an API server, so that nothing tells it from another of its name.
    fn as_ended(&self, approvals: &[Approval], limits: HistoryLimits) -> Option<EndedRun> {
        let uid = self.metadata.uid.clone()?;
        let of_it = approvals.iter().filter(|approval| approval.spec.subject_ref.uid == uid);
        let approvals = of_it.filter_map(|approval| Some((approval.metadata.name.clone()?, approval.metadata.uid.clone()?))).collect();
        let (name, resource_version) = (self.metadata.name.clone()?, self.metadata.resource_version.clone()?);
        let (class, group, succeeded, order) = (self.class, self.group.clone(), self.succeeded, self.order);
        Some(EndedRun { class, name, uid, resource_version, approvals, group, succeeded, order, limits })
    }
}

/// The objects that go at `now`, the longest ended first. `of_district` are the limits of the District, which hold where no policy has its own.
pub fn to_collect(facts: &HistoryFacts, of_district: HistoryLimits, now: Timestamp) -> Vec<EndedRun> {
    let mut groups: BTreeMap<(RunClass, Vec<String>, bool), Vec<Candidate<'_>>> = BTreeMap::new();
    for candidate in candidates(facts) {
        groups.entry((candidate.class, candidate.group.clone(), candidate.succeeded)).or_default().push(candidate);
    }
    let of_policies = facts.limits_of_policies();
    let limits = |class: RunClass, group: &[String]| match (class, group) {
        (RunClass::Backup, [application]) => of_policies.get(application.as_str()).copied().unwrap_or(of_district),
        _ => of_district,
    };
    let mut over = Vec::new();
    for ((class, key, succeeded), mut group) in groups {
        let limits = limits(class, &key);
        let limit = usize::try_from(if succeeded { limits.succeeded } else { limits.failed }).unwrap_or_default();
        group.sort_by(|a, b| (b.order, b.name()).cmp(&(a.order, a.name())));
        over.extend(group.into_iter().skip(limit));
    }
    over.retain(|candidate| candidate.may_go(now));
    if over.is_empty() {
        return Vec::new();
    }
    let needed = needed(facts);
    over.retain(|candidate| !needed.contains(&(candidate.class, candidate.name().to_owned())));
    over.sort_by(|a, b| (a.ended, a.class, a.name()).cmp(&(b.ended, b.class, b.name())));
    over.iter().filter_map(|candidate| candidate.as_ended(&facts.approvals, limits(candidate.class, &candidate.group))).collect()
}

fn candidates(facts: &HistoryFacts) -> Vec<Candidate<'_>> {
    let backups = facts.backups.iter().filter_map(|backup| {
        let group = vec![backup.spec.application_ref.name.clone()];
        let mut candidate = of_run(RunClass::Backup, backup, &backup.metadata, group)?;
        // It takes no place of one that can be restored.
        candidate.succeeded &= !choose::is_damaged(backup) && !choose::is_half_restored(backup) && !choose::is_gone(backup);
        candidate.order = backup.status.as_ref().and_then(|status| status.recovery_point_time.as_ref()).map_or(candidate.ended, |time| time.0);
        candidate.kept_until = backup.spec.keep_until_time.as_ref().map(|time| time.0);
        Some(candidate)
    });
    let restores = facts.restores.iter().filter_map(|restore| {
        let mode = if restore.spec.mode == RestoreMode::Preview { "preview" } else { "restore" };
        of_run(RunClass::Restore, restore, &restore.metadata, vec![mode.to_owned(), application_of(restore, &facts.backups).to_owned()])
    });
    let drills = facts.drills.iter().filter_map(|drill| {
        let group = vec![format!("{:?}", drill.spec.r#type), drill.spec.plan_ref.name.clone()];
        let mut candidate = of_run(RunClass::Drill, drill, &drill.metadata, group)?;
        candidate.succeeded &= drill.status.as_ref().is_some_and(|status| status.result == Some(DrillResult::Passed));
        Some(candidate)
    });
    backups.chain(restores).chain(drills).chain(facts.tickets.iter().filter_map(of_ticket)).collect()
}

/// A run that has ended; none while it goes on.
fn of_run<'a, K: RunObject>(class: RunClass, object: &K, metadata: &'a ObjectMeta, group: Vec<String>) -> Option<Candidate<'a>> {
    let status = object.run_status()?;
    let phase = status.phase().filter(|phase| phase.is_end())?;
    let ended = status.completion_time().or(metadata.creation_timestamp.as_ref())?.0;
    let succeeded = phase == RunPhase::Succeeded;
    Some(Candidate { class, group, succeeded, ended, order: ended, kept_for: RUN_KEPT_FOR, kept_until: None, metadata })
}

/// A ticket that has ended, and its work, too.
fn of_ticket(ticket: &MaintenanceTicket) -> Option<Candidate<'_>> {
    let status = ticket.status.as_ref()?;
    let phase = status.phase.filter(|phase| phase.is_end())?;
    if status.work_phase.is_some_and(|work| !work.is_end()) {
        return None;
    }
    let metadata = &ticket.metadata;
    let ended = status.completion_time.as_ref().or(metadata.creation_timestamp.as_ref())?.0;
    Some(Candidate {
        class: RunClass::Change,
        group: vec![format!("{:?}", ticket.spec.r#type)],
        succeeded: phase == TicketPhase::Closed,
        ended,
        order: ended,
        kept_for: TICKET_KEPT_FOR,
        kept_until: None,
        metadata,
    })
}

/// The application that was restored; empty if the Backup that would say so is gone.
fn application_of<'a>(restore: &'a Restore, backups: &'a [Backup]) -> &'a str {
    let source = &restore.spec.source;
    if let Some(reference) = &source.application_ref {
        return &reference.name;
    }
    let restored = restore.status.as_ref().and_then(|status| status.backup.as_deref());
    let named = restored.or(source.backup_ref.as_ref().map(|reference| reference.name.as_str()));
    let backup = backups.iter().find(|backup| named.is_some() && backup.metadata.name.as_deref() == named);
    backup.map(|backup| backup.spec.application_ref.name.as_str()).unwrap_or_default()
}

/// What other objects refer to, and what a status is concluded from.
fn needed(facts: &HistoryFacts) -> BTreeSet<ObjectKey> {
    let mut needed = BTreeSet::new();
    referred(facts, &mut needed);
    concluded_from_backups(&facts.backups, &mut needed);
    concluded_from_drills(&facts.drills, &mut needed);
    for application in facts.applications.iter().filter_map(|application| application.metadata.name.as_deref()) {
        needed.extend(half_restored::deciding(application, &facts.restores).into_iter().map(|restore| (RunClass::Restore, restore.to_owned())));
    }
    needed
}

/// What another object names. A Backup that a ticket has asked for stays as long as the ticket: its work looks for it by name, and would take it again.
fn referred(facts: &HistoryFacts, needed: &mut BTreeSet<ObjectKey>) {
    let mut add = |class: RunClass, name: Option<&String>| needed.extend(name.map(|name| (class, name.clone())));
    for restore in &facts.restores {
        let source = &restore.spec.source;
        add(RunClass::Backup, source.backup_ref.as_ref().map(|reference| &reference.name));
        add(RunClass::Backup, restore.status.as_ref().and_then(|status| status.backup.as_ref()));
        let is_source = |backup: &&Backup| {
            let id = backup.status.as_ref().and_then(|status| status.snapshot_id.as_deref());
            source.snapshot.as_ref().zip(id).is_some_and(|(snapshot, id)| id.starts_with(&snapshot.id))
        };
        facts.backups.iter().filter(is_source).for_each(|backup| add(RunClass::Backup, backup.metadata.name.as_ref()));
    }
    for drill in &facts.drills {
        let used = drill.status.iter().flat_map(|status| &status.applications);
        used.for_each(|application| add(RunClass::Backup, application.backup.as_ref()));
    }
    for ticket in &facts.tickets {
        ticket.status.iter().flat_map(|status| &status.backups).for_each(|backup| add(RunClass::Backup, Some(backup)));
        let classes = [RunClass::Backup, RunClass::Restore, RunClass::Drill, RunClass::Change];
        if let Some(origin) = &ticket.spec.from
            && let Some(class) = classes.into_iter().find(|class| class.kind() == origin.kind)
        {
            add(class, Some(&origin.name));
        }
    }
    let tickets: BTreeSet<&str> = facts.tickets.iter().filter_map(|ticket| ticket.metadata.name.as_deref()).collect();
    for backup in &facts.backups {
        let asked_by = backup.metadata.labels.as_ref().and_then(|labels| labels.get(TICKET_LABEL));
        add(RunClass::Backup, backup.metadata.name.as_ref().filter(|_| asked_by.is_some_and(|ticket| tickets.contains(ticket.as_str()))));
    }
    for status in facts.applications.iter().filter_map(|application| application.status.as_ref()) {
        add(RunClass::Backup, status.last_backup.as_ref().map(|last| &last.name));
        status.verified.iter().for_each(|verified| add(RunClass::Backup, Some(&verified.backup)));
        add(RunClass::Drill, status.last_drill.as_ref().map(|last| &last.name));
    }
    for status in facts.plans.iter().filter_map(|plan| plan.status.as_ref()) {
        add(RunClass::Drill, status.last_drill.as_ref().map(|last| &last.name));
        add(RunClass::Drill, status.current_run.as_ref());
    }
}

/// The Backups that say how an application is protected, how long its backup takes, and how its repository is.
fn concluded_from_backups(backups: &[Backup], needed: &mut BTreeSet<ObjectKey>) {
    let mut add = |name: Option<String>| needed.extend(name.map(|name| (RunClass::Backup, name)));
    let mut applications: BTreeMap<&str, Vec<&Backup>> = BTreeMap::new();
    let mut repositories: BTreeMap<&str, Vec<&Backup>> = BTreeMap::new();
    for backup in backups {
        applications.entry(&backup.spec.application_ref.name).or_default().push(backup);
        if let Some(repository) = backup.status.as_ref().and_then(|status| status.repository.as_deref()) {
            repositories.entry(repository).or_default().push(backup);
        }
    }
    for (application, of_it) in applications {
        add(choose::newest_sound(application, of_it.iter().copied(), None).ok().map(|point| point.backup));
        add(doubt::newest_undoubted(application, of_it.iter().copied()).ok().map(|point| point.backup));
        for found in doubt::found_damaged(application, of_it.iter().copied()).into_values() {
            add(Some(found.backup.to_owned()));
        }
        for verified in protection::verified(application, of_it.iter().copied()) {
            add(Some(verified.backup));
        }
        let ended = of_it.iter().filter_map(|backup| {
            let status = backup.status.as_ref().filter(|status| status.phase == Some(RunPhase::Succeeded))?;
            Some((status.completion_time.as_ref()?.0, &backup.metadata.name))
        });
        add(ended.max().and_then(|(_, name)| name.clone()));
    }
    for in_it in repositories.into_values() {
        let there = || in_it.iter().filter(|backup| !choose::is_gone(backup));
        let proven = there().filter_map(|backup| {
            let proof = backup.status.as_ref()?.verification.as_ref()?;
            Some((proof.verified_time.0, &backup.metadata.name))
        });
        add(proven.max().and_then(|(_, name)| name.clone()));
        // One is enough for the repository to be called damaged.
        let damaged = there().filter(|backup| choose::is_damaged(backup)).filter_map(|backup| {
            let point = backup.status.as_ref()?.recovery_point_time.as_ref().or(backup.metadata.creation_timestamp.as_ref());
            Some((point.map(|time| time.0), &backup.metadata.name))
        });
        add(damaged.max().and_then(|(_, name)| name.clone()));
    }
}

/// The Drills that say how a plan stands: its last one, the last that proves anything, and those that predict its RTO.
fn concluded_from_drills(drills: &[Drill], needed: &mut BTreeSet<ObjectKey>) {
    let mut add = |name: Option<String>| needed.extend(name.map(|name| (RunClass::Drill, name)));
    let mut plans: BTreeMap<&str, Vec<&Drill>> = BTreeMap::new();
    for drill in drills {
        plans.entry(&drill.spec.plan_ref.name).or_default().push(drill);
    }
    for of_plan in plans.into_values() {
        add(recovery::last_drill(&of_plan).map(|last| last.name));
        for (drill, _) in recovery::measured(&of_plan) {
            add(drill.metadata.name.clone());
        }
        let proving = of_plan.iter().filter_map(|drill| {
            let status = drill.status.as_ref().filter(|status| conclude::proves(&drill.spec, status))?;
            Some((status.completion_time.as_ref()?.0, &drill.metadata.name))
        });
        add(proving.max().and_then(|(_, name)| name.clone()));
    }
}
