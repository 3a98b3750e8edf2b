//! What a policy does now: which backups begin, what waits, and what people are told.

use super::{
    due::{Around, Due, Known, Member, Memory, Missed, is_ready, is_unfinished, known},
    holding::holding,
    slot, sparse,
    standing::{self, RepositoryStands},
    terms::{Terms, TermsError},
};
use crate::{
    conditions::{ConditionUpdate, ObjectEvent},
    ids::SiteName,
    recovery::objectives,
    runs::Limits,
    schedule::Budget,
    told::Noun,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Application, Backup, BackupPolicy, BackupPolicyStatus, Reason, Time,
    protection::policy::{MissedSlots, WaitingSlot},
};
use std::collections::{BTreeMap, BTreeSet};

/// Slots that a status lists.
const MAX_LISTED: usize = 16;

/// Everything that the policies of a district are decided by.
#[derive(Clone, Debug, Default)]
pub struct PolicyFacts {
    /// All policies of the district's namespace.
    pub policies: Vec<BackupPolicy>,
    /// All its applications.
    pub applications: Vec<Application>,
    /// All its Backups.
    pub backups: Vec<Backup>,
    /// Its repositories, and how each stands.
    pub repositories: BTreeMap<String, RepositoryStands>,
    /// Its time zone.
    pub zone: String,
    /// How much may be under way at once.
    pub limits: Limits,
    /// Backups of other districts that are under way, by site.
    pub elsewhere: BTreeMap<SiteName, usize>,
    /// What this process remembers.
    pub memory: Memory,
}

/// A backup that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The application.
    pub application: String,
    /// Its UID.
    pub uid: String,
    /// The slot.
    pub slot: Timestamp,
    /// The Backup's name.
    pub backup: String,
}

/// What follows for a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDecision {
    /// Its status, without the conditions.
    pub status: BackupPolicyStatus,
    /// Its conditions.
    pub conditions: Vec<ConditionUpdate>,
    /// What people are told.
    pub events: Vec<ObjectEvent>,
    /// Backups that begin, the most urgent first.
    pub starts: Vec<Start>,
    /// UIDs of applications, and the newest slot of each that is told as missed.
    pub told: Vec<(String, Timestamp)>,
    /// Slots that became missed.
    pub newly_missed: usize,
    /// Applications whose backup is late.
    pub late: usize,
    /// Something waits that may go on at any time.
    pub waits: bool,
    /// When the next slot begins.
    pub next: Option<Timestamp>,
}

/// A policy with what it says, and its applications.
struct Read<'a> {
    policy: &'a BackupPolicy,
    terms: Result<Terms, TermsError>,
    since: Timestamp,
    applications: Vec<&'a Application>,
}

impl<'a> Read<'a> {
    fn name(&self) -> &'a str {
        self.policy.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its status, if it is of the schedule that is in force now.
    fn continued(&self) -> Option<&'a BackupPolicyStatus> {
        continued(self.policy, self.terms.as_ref().ok()?)
    }
}

fn continued<'a>(policy: &'a BackupPolicy, terms: &Terms) -> Option<&'a BackupPolicyStatus> {
    policy.status.as_ref().filter(|status| status.active_schedule.as_ref() == Some(&terms.text))
}

/// Since when the schedule of a policy is in force.
fn active_since(policy: &BackupPolicy, terms: &Terms, now: Timestamp) -> Timestamp {
    let since = continued(policy, terms).and_then(|status| status.active_since.as_ref()).map_or(now, |time| time.0);
    // A time that is still to come was written by a clock that was ahead.
    since.max(terms.resumed.unwrap_or(Timestamp::MIN)).min(now)
}

fn read(facts: &PolicyFacts, now: Timestamp) -> Vec<Read<'_>> {
    let mut members: BTreeMap<&str, Vec<&Application>> = BTreeMap::new();
    for application in facts.applications.iter().filter(|application| application.metadata.deletion_timestamp.is_none()) {
        if let Some(name) = holding(application, &facts.policies).policy().and_then(|policy| policy.metadata.name.as_deref()) {
            members.entry(name).or_default().push(application);
        }
    }
    let read = facts.policies.iter().map(|policy| {
        let terms = Terms::parse(&policy.spec, &facts.zone, now);
        let since = terms.as_ref().map_or(now, |terms| active_since(policy, terms, now));
        let applications = policy.metadata.name.as_deref().and_then(|name| members.remove(name)).unwrap_or_default();
        Read { policy, terms, since, applications }
    });
    read.collect()
}

/// The slots of one policy.
#[derive(Default)]
struct OfPolicy {
    due: Vec<Due>,
    missed: Vec<Missed>,
    next: Option<Timestamp>,
    too_sparse: Vec<(String, String)>,
}

fn of_policy<'a>(read: &Read<'a>, known: &BTreeMap<&str, Known<'a>>, facts: &PolicyFacts, now: Timestamp) -> OfPolicy {
    let mut found = OfPolicy::default();
    let Ok(terms) = &read.terms else { return found };
    let (nothing, repository) = (Known::default(), read.policy.spec.repository_ref.name.as_str());
    let hindrance = match facts.repositories.get(repository) {
        Some(RepositoryStands::Ready { .. }) => None,
        other => Some(standing::repository_lacks(repository, other)),
    };
    let around = Around::of(terms, read.since, now);
    let counted = read.continued().and_then(|status| status.missed.as_ref()).map(|missed| missed.last_slot_time.0);
    for application in &read.applications {
        let name = application.metadata.name.as_deref().unwrap_or_default();
        let known = known.get(name).unwrap_or(&nothing);
        let rpo = objectives::duration(objectives::in_force(&application.spec).rpo.as_ref()).ok().flatten();
        let hindrance = hindrance.as_ref();
        let member =
            Member { policy: read.name(), terms, since: read.since, around: &around, counted, application, rpo, hindrance, known, memory: &facts.memory };
        let budget = Budget::of_each(facts.applications.len());
        let (due, missed) = member.due(now, &budget);
        found.due.extend(due);
        found.missed.extend(missed);
        found.next = found.next.into_iter().chain(member.next_start()).min();
        found.too_sparse.extend(sparse::too_sparse(read.name(), terms.periods, known.takes, rpo).map(|why| (name.to_owned(), why)));
    }
    found
}

/// Places that are taken.
struct Places<'a> {
    facts: &'a PolicyFacts,
    district: usize,
    sites: BTreeMap<SiteName, usize>,
    repositories: BTreeMap<&'a str, usize>,
    policies: BTreeMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    /// Those of the Backups that have not ended. One that can't even begin, because its application can't be found, holds none: it would stop all others.
    fn of(facts: &'a PolicyFacts, sites: &BTreeMap<&str, (Option<SiteName>, bool)>) -> Self {
        let mut places = Self { facts, district: 0, sites: BTreeMap::new(), repositories: BTreeMap::new(), policies: BTreeMap::new() };
        for backup in facts.backups.iter().filter(|backup| is_unfinished(backup)) {
            let (site, is_ready) = sites.get(backup.spec.application_ref.name.as_str()).cloned().unwrap_or((None, false));
            let has_begun = backup.status.as_ref().is_some_and(|status| status.journal.is_some());
            if is_ready || has_begun {
                let of_status = backup.status.as_ref().and_then(|status| status.repository.as_deref());
                let repository = of_status.or(backup.spec.repository_ref.as_ref().map(|reference| reference.name.as_str()));
                places.take(site, repository, backup.spec.policy_ref.as_ref().map(|policy| policy.name.as_str()));
            }
        }
        places
    }

    fn take(&mut self, site: Option<SiteName>, repository: Option<&'a str>, policy: Option<&'a str>) {
        self.district += 1;
        if let Some(site) = site {
            *self.sites.entry(site).or_default() += 1;
        }
        if let Some(repository) = repository {
            *self.repositories.entry(repository).or_default() += 1;
        }
        if let Some(policy) = policy {
            *self.policies.entry(policy).or_default() += 1;
        }
    }

    /// Why there is no place for a backup; none if there is.
    fn lacks(&self, site: Option<&SiteName>, repository: (&str, usize), policy: (&str, usize)) -> Option<String> {
        let waits = |under_way: usize, limit: usize, of: String| {
            (under_way >= limit.max(1)).then(|| format!("waits for a place: {under_way} of at most {} {of} are under way", Noun::Backup.count(limit.max(1))))
        };
        let limits = &self.facts.limits;
        let of_site = || {
            let site = site?;
            let (own, others) = (self.sites.get(site).copied().unwrap_or_default(), self.facts.elsewhere.get(site).copied().unwrap_or_default());
            let special = limits.of_sites.get(site).copied();
            // A district has one place of its own on each site, unless the site has a limit of its own.
            if own == 0 && special.is_none() {
                return None;
            }
            waits(own + others, special.unwrap_or(limits.per_site), format!("on site {site}"))
        };
        waits(self.policies.get(policy.0).copied().unwrap_or_default(), policy.1, format!("of policy {}", policy.0))
            .or_else(|| waits(self.district, limits.per_district, "of this district".to_owned()))
            .or_else(|| waits(self.repositories.get(repository.0).copied().unwrap_or_default(), repository.1, format!("in repository {}", repository.0)))
            .or_else(of_site)
    }
}

/// Gives places to what is due, the strictest RPO first, and of equal ones that which is broken first. What finds none waits for one. Returns the UIDs of the applications
/// whose backups begin, in that order.
fn give_places<'a>(reads: &'a [Read<'_>], slots: &mut [OfPolicy], facts: &'a PolicyFacts) -> Vec<String> {
    let applications = facts.applications.iter().map(|application| {
        let site = application.status.as_ref().and_then(|status| status.active_site.as_deref()).map(SiteName::from);
        (application.metadata.name.as_deref().unwrap_or_default(), (site, is_ready(application)))
    });
    let mut places = Places::of(facts, &applications.collect());
    let mut turn: Vec<(usize, usize)> = Vec::new();
    for (policy, of_policy) in slots.iter().enumerate() {
        turn.extend(of_policy.due.iter().enumerate().filter(|(_, due)| due.waits.is_none()).map(|(number, _)| (policy, number)));
    }
    let order = |(policy, number): &(usize, usize)| {
        let due = slots.get(*policy).and_then(|of_policy| of_policy.due.get(*number));
        due.map(|due| (due.rpo, due.urgent, due.slot, due.application.clone()))
    };
    turn.sort_by_cached_key(order);
    let mut begins = Vec::new();
    for (policy, number) in turn {
        let (Some(read), Some(due)) = (reads.get(policy), slots.get_mut(policy).and_then(|of_policy| of_policy.due.get_mut(number))) else { continue };
        let (name, repository) = (read.name(), read.policy.spec.repository_ref.name.as_str());
        let Some(RepositoryStands::Ready { runs }) = facts.repositories.get(repository) else { continue };
        let of_policy = usize::try_from(read.policy.spec.limits.backups).unwrap_or_default();
        due.waits = places.lacks(due.site.as_ref(), (repository, *runs), (name, of_policy)).map(|message| (Reason::LimitReached, message));
        if due.waits.is_none() {
            places.take(due.site.clone(), Some(repository), Some(name));
            begins.push(due.uid.clone());
        }
    }
    begins
}

/// What a policy does and says at `now`.
pub fn decide(policy: &BackupPolicy, facts: &PolicyFacts, now: Timestamp) -> PolicyDecision {
    let (reads, known) = (read(facts, now), known(&facts.backups));
    let mut slots: Vec<OfPolicy> = reads.iter().map(|read| of_policy(read, &known, facts, now)).collect();
    let begins = give_places(&reads, &mut slots, facts);
    let at = reads.iter().position(|read| read.policy.metadata.name == policy.metadata.name);
    let Some((read, of_policy)) = at.and_then(|at| Some((reads.get(at)?, slots.get(at)?))) else {
        return unseen(policy);
    };
    let begin: BTreeSet<&str> = begins.iter().map(String::as_str).collect();
    let mut starts: Vec<Start> = of_policy.due.iter().filter(|due| begin.contains(due.uid.as_str())).map(start).collect();
    starts.sort_by_key(|start| begins.iter().position(|uid| *uid == start.uid));
    let late: Vec<&Due> = of_policy.due.iter().filter(|due| due.is_late).collect();
    let stand = standing::Slots { late: &late, too_sparse: &of_policy.too_sparse, applications: read.applications.len() };
    PolicyDecision {
        status: status(read, of_policy, facts, now),
        conditions: vec![standing::ready(policy, facts, &read.terms, &stand)],
        events: standing::missed_event(&of_policy.missed).into_iter().collect(),
        waits: of_policy.due.iter().any(|due| due.waits.is_some()),
        starts,
        told: of_policy.missed.iter().map(|missed| (missed.uid.clone(), missed.last)).collect(),
        newly_missed: of_policy.missed.iter().map(|missed| missed.slots).sum(),
        late: late.len(),
        next: of_policy.next,
    }
}

fn status(read: &Read<'_>, of_policy: &OfPolicy, facts: &PolicyFacts, now: Timestamp) -> BackupPolicyStatus {
    let mut status = read.policy.status.clone().unwrap_or_default();
    let active = read.terms.as_ref().ok().filter(|terms| terms.suspended.is_none());
    status.missed = missed(read.continued().filter(|_| active.is_some()).and_then(|status| status.missed.as_ref()), &of_policy.missed);
    status.active_since = active.map(|_| Time(read.since));
    status.active_schedule = active.map(|terms| terms.text.clone());
    status.applications = i32::try_from(read.applications.len()).ok();
    status.next_slot_time = of_policy.next.map(Time);
    let own = facts.backups.iter().filter(|backup| backup.spec.policy_ref.as_ref().is_some_and(|of| of.name == read.name()));
    let newest = own.filter_map(slot::of_backup).filter(|slot| *slot <= now).max();
    status.last_slot_time = newest.map(Time).or(status.last_slot_time);
    let waiting: Vec<&Due> = of_policy.due.iter().filter(|due| due.waits.is_some()).collect();
    status.waiting_slots = i32::try_from(waiting.len()).ok().filter(|number| *number > 0);
    status.waiting = listed(&waiting);
    status
}

/// The list of policies is older than this one: it is looked at again in a moment.
fn unseen(policy: &BackupPolicy) -> PolicyDecision {
    PolicyDecision {
        status: policy.status.clone().unwrap_or_default(),
        conditions: Vec::new(),
        events: Vec::new(),
        starts: Vec::new(),
        told: Vec::new(),
        newly_missed: 0,
        late: 0,
        waits: true,
        next: None,
    }
}

fn start(due: &Due) -> Start {
    Start { application: due.application.clone(), uid: due.uid.clone(), slot: due.slot, backup: slot::name(&due.application, due.slot) }
}

/// The slots that wait, as a status lists them: by application.
fn listed(waiting: &[&Due]) -> Vec<WaitingSlot> {
    let mut waiting: Vec<&&Due> = waiting.iter().collect();
    waiting.sort_by(|a, b| (a.slot, &a.application).cmp(&(b.slot, &b.application)));
    let slots = waiting.into_iter().take(MAX_LISTED).filter_map(|due| {
        let (reason, message) = due.waits.as_ref()?;
        Some(WaitingSlot { application: due.application.clone(), slot_time: Time(due.slot), reason: reason.to_string(), message: message.clone() })
    });
    slots.collect()
}

/// What was missed in all, with what was missed now.
fn missed(before: Option<&MissedSlots>, now: &[Missed]) -> Option<MissedSlots> {
    let Some(newest) = now.iter().max_by(|a, b| (a.last, &b.application).cmp(&(b.last, &a.application))) else { return before.cloned() };
    let more: i64 = now.iter().map(|missed| i64::try_from(missed.slots).unwrap_or(i64::MAX)).fold(0, i64::saturating_add);
    Some(MissedSlots {
        slots: before.map_or(0, |missed| missed.slots).saturating_add(more),
        last_slot_time: Time(newest.last),
        application: newest.application.clone(),
        reason: newest.why.as_ref().map_or_else(|| Reason::NotYet.to_string(), |(reason, _)| reason.to_string()),
    })
}

/// When an application's policy takes its next backup, and why it can't keep the RPO if it can't: what the Application says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplicationPolicy {
    /// The policy.
    pub name: Option<String>,
    /// When the next backup begins.
    pub next: Option<Timestamp>,
    /// Why none takes backups of it.
    pub lacks: Option<String>,
    /// Why the RPO can't be met.
    pub too_sparse: Option<String>,
}

/// What policies do for an application. `backups` are its own.
pub fn of_application(application: &Application, policies: &[BackupPolicy], backups: &[Backup], zone: &str, now: Timestamp) -> ApplicationPolicy {
    let holding = holding(application, policies);
    let Some(policy) = holding.policy() else {
        return ApplicationPolicy { lacks: Some(standing::no_policy(application, holding)), ..ApplicationPolicy::default() };
    };
    let name = policy.metadata.name.clone().unwrap_or_default();
    let terms = match Terms::parse(&policy.spec, zone, now) {
        Ok(terms) => terms,
        Err(error) => {
            let lacks = Some(format!("policy {name} takes no backups: {error}"));
            return ApplicationPolicy { name: Some(name), lacks, ..ApplicationPolicy::default() };
        }
    };
    let (known, memory) = (known(backups), Memory::default());
    let nothing = Known::default();
    let known = known.get(application.metadata.name.as_deref().unwrap_or_default()).unwrap_or(&nothing);
    let rpo: Option<SignedDuration> = objectives::duration(objectives::in_force(&application.spec).rpo.as_ref()).ok().flatten();
    let around = Around::of(&terms, now, now);
    let member = Member { policy: &name, terms: &terms, since: now, around: &around, counted: None, application, rpo, hindrance: None, known, memory: &memory };
    ApplicationPolicy {
        next: member.next_start(),
        lacks: terms.suspended.as_ref().map(|suspended| standing::suspended(&name, suspended, terms.schedule.zone())),
        too_sparse: sparse::too_sparse(&name, terms.periods, known.takes, rpo),
        name: Some(name),
    }
}
