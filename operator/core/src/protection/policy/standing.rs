//! How a policy stands, in words.

use super::{
    decide::PolicyFacts,
    due::{Due, Missed},
    holding::{Holding, taken_defaults},
    terms::{Suspended, Terms, TermsError},
};
use crate::{
    conditions::{ConditionUpdate, ObjectEvent},
    shown,
    told::Noun,
};
use jiff::tz::TimeZone;
use p861_crds::{Application, BackupPolicy, ConditionType, Reason};

/// Applications that a message names.
const MAX_NAMED: usize = 3;

/// How a repository stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryStands {
    /// It can be used by so many runs at once.
    Ready {
        /// The most runs.
        runs: usize,
    },
    /// It can't be used.
    NotReady,
    /// Its controller has not looked at it yet.
    NotSeen,
}

/// Why no backup can begin in a repository; none is there if it is not known.
pub fn repository_lacks(name: &str, stands: Option<&RepositoryStands>) -> (Reason, String) {
    match stands {
        None => (Reason::NoRepository, format!("repository {name} doesn't exist: create it, or correct spec.repositoryRef")),
        Some(RepositoryStands::NotSeen) => (Reason::RepositoryUnopened, format!("repository {name} was not opened yet")),
        Some(RepositoryStands::NotReady | RepositoryStands::Ready { .. }) => {
            (Reason::RepositoryNotReady, format!("repository {name} is not Ready: p861 repository show {name}"))
        }
    }
}

/// That a policy is suspended.
pub fn suspended(policy: &str, suspended: &Suspended, zone: &TimeZone) -> String {
    let Suspended { reason, until } = suspended;
    match until {
        Some(until) => format!("policy {policy} is suspended until {} ({reason})", shown::minute(*until, zone)),
        None => format!("policy {policy} is suspended ({reason})"),
    }
}

/// Why no policy holds for an application.
pub fn no_policy(application: &Application, holding: Holding<'_>) -> String {
    match holding {
        Holding::Missing(name) => format!("policy {name} of spec.backupPolicyRef doesn't exist: create it, or correct the name"),
        Holding::None | Holding::Policy(_) => {
            format!("no BackupPolicy is for it: name one in spec.backupPolicyRef, or let one be defaultFor {:?}", application.spec.criticality)
        }
    }
}

/// How the slots of a policy stand.
pub struct Slots<'a> {
    /// Those that are late and wait.
    pub late: &'a [&'a Due],
    /// Applications whose RPO can't be met, and why.
    pub too_sparse: &'a [(String, String)],
    /// Number of its applications.
    pub applications: usize,
}

/// Ready: whether the policy takes backups as it says.
pub fn ready(policy: &BackupPolicy, facts: &PolicyFacts, terms: &Result<Terms, TermsError>, slots: &Slots<'_>) -> ConditionUpdate {
    let bad = |reason, message| ConditionUpdate::bad(ConditionType::Ready, reason, message);
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let terms = match terms {
        Ok(terms) => terms,
        Err(error) => return bad(Reason::Invalid, error.to_string()),
    };
    if let Some(why) = &terms.suspended {
        return bad(Reason::Suspended, suspended(name, why, terms.schedule.zone()));
    }
    let repository = policy.spec.repository_ref.name.as_str();
    match facts.repositories.get(repository) {
        Some(RepositoryStands::Ready { .. }) => {}
        other => {
            let (reason, message) = repository_lacks(repository, other);
            let is_seen = other != Some(&RepositoryStands::NotSeen);
            return if is_seen { bad(reason, message) } else { ConditionUpdate::unknown(ConditionType::Ready, reason, message) };
        }
    }
    if let Some(first) = slots.late.first() {
        let why = first.waits.as_ref().map(|(_, why)| why.as_str()).unwrap_or_default();
        let message = format!("the backup of {} is late: {why}", named(slots.late.iter().map(|due| due.application.as_str())));
        return bad(Reason::BackupMissed, message);
    }
    if let Some((criticality, older)) = taken_defaults(policy, &facts.policies).first() {
        let message = format!("policy {older} is older and the default for {criticality:?}: take it out of defaultFor of one of them");
        return bad(Reason::DefaultTaken, message);
    }
    if let Some((_, why)) = slots.too_sparse.first() {
        let of = named(slots.too_sparse.iter().map(|(application, _)| application.as_str()));
        return bad(Reason::SchedulesTooSparse, format!("{of}: {why}"));
    }
    ConditionUpdate::good(ConditionType::Ready, Reason::AsDeclared, Noun::Application.count(slots.applications))
}

/// The first names by the alphabet, and that there are more.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let more = if names.len() > MAX_NAMED { ", …" } else { "" };
    names.truncate(MAX_NAMED);
    format!("{}{more}", names.join(", "))
}

/// What people are told of backups that did not begin in time.
pub fn missed_event(missed: &[Missed]) -> Option<ObjectEvent> {
    let first = missed.iter().max_by_key(|missed| missed.last)?;
    let number: usize = missed.iter().map(|missed| missed.slots).sum();
    let of = named(missed.iter().map(|missed| missed.application.as_str()));
    let why = first.why.as_ref().map(|(_, why)| format!(": {why}")).unwrap_or_default();
    let note = format!("{} missed, the newest of {:.0} ({of}){why}", Noun::Backup.count(number), first.last);
    Some(ObjectEvent { reason: Reason::BackupMissed, note, warning: true })
}
