//! What may run beside what: one pure table, asked before a run begins.
//!
//! Two runs are in each other's way if they want the same thing in ways that don't go together ([`conflict`]). The run of the higher class then aborts the
//! other where [`RunClass::aborts`] says so, and does not wait for its clean-up; otherwise the later one waits and says for whom.
//!
//! # What goes together
//! | on one | may not run at once |
//! |---|---|
//! | application | two backups; a backup and a restore in place or a change; a change and a drill, a verification, a restore in place or another change; two drills or verifications; a failover and anything but a restore elsewhere |
//! | plan | two drills; a drill and a verification; a failover and anything but a restore elsewhere |
//! | site | a change of the site itself (a node, a component) and a drill, a verification, a failover or another such change; a failover and the drills and verifications of its district; a restore in place and a drill or verification of the same application or plan |
//! | namespace of a site | a run that writes there and any other that writes or reads there |
//! | repository | an exclusive use (prune) and any other |
//!
//! - **A drill runs beside a backup.** It reads finished snapshots and writes only into its own isolated namespaces on the standby, "while protection continues"
//!   (DESIGN section 5): a long drill must not cost the application its recovery points. The same holds for a verification.
//! - **A restore into other namespaces runs beside everything** that uses neither those namespaces nor the repository exclusively.
//! - **A change of a whole site doesn't stop backups.** It may stand open for days while people work, and its data is on the site meanwhile: a mover whose node is
//!   drained is tried again. A change of an application does stop that application's backups, except the one that it takes itself.
//! - **A part is not in its whole's way.** A run that was started by another one ([`Request::part_of`]), as the backup before a change or the final backup of a
//!   planned failover, doesn't conflict with it.
//!
//! # Who goes first
//! Of two waiting runs that are in each other's way the one of the higher class goes first, then the older, then the one with the lower UID. This is a total order,
//! so two runs never wait for each other. Places under [`Limits`] go to the higher class first, and within a class to the district with the fewest runs under way,
//! its oldest request first. On each site a district has one place of its own, which no other takes: runs that stand there for days, held or paused, stop nobody
//! else. (A site with a limit of its own, as behind a thin line, has no such places.)
//!
//! A prune takes its turn among the backups: while it waits, it lets no younger backup into its repository ([`held_back`]), or it would wait for ever. The caller bounds how
//! long that lasts.
//!
//! The caller asks under one lock, and counts as running what it has admitted as soon as it has the answer.
//!
//! ```
//! use p861_core::runs::{Admission, Limits, Request, RunClass, RunRef, Running, admit};
//!
//! let backup = |name: &str| {
//!     let run = RunRef { class: RunClass::Backup, namespace: "shinan".into(), name: name.into(), uid: name.into() };
//!     Request { applications: ["approval".to_owned()].into(), ..Request::new(run, jiff::Timestamp::UNIX_EPOCH) }
//! };
//! let running = [Running::new(backup("nightly"))];
//! let Admission::Wait(why) = admit(&backup("by-hand"), &running, &Limits::default()) else { panic!("two backups of one application at once") };
//! assert_eq!(why.message, "waits for backup nightly, which runs on application approval: p861 backup show nightly");
//! ```

mod conflict;
#[cfg(test)]
mod tests;

pub use conflict::{Contested, conflict};

use super::class::RunClass;
use crate::ids::{PlanName, SiteName};
use jiff::Timestamp;
use p861_crds::Reason;
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Runs that a message names.
const MAX_RUNS_NAMED: usize = 5;

/// Names a run's object on the hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunRef {
    /// Its class, which gives its kind.
    pub class: RunClass,
    /// Its namespace on the hub: the district's, or the city's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, self.name)
    }
}

/// A namespace of a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SiteNamespace {
    /// The site.
    pub site: SiteName,
    /// The namespace.
    pub namespace: String,
}

/// How a run uses its repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryUse {
    /// It adds or reads data, beside others that do.
    Shared,
    /// It removes data: nothing else may use the repository meanwhile.
    Exclusive,
}

/// A run that wants to begin, with everything that it will use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The run. Its namespace on the hub stands for its district.
    pub run: RunRef,
    /// When its object was created.
    pub created: Timestamp,
    /// The run that has started it, if one has: the change that this backup is taken for.
    pub part_of: Option<RunRef>,
    /// Its RecoveryPlan, in its namespace.
    pub plan: Option<PlanName>,
    /// Its Applications, in its namespace.
    pub applications: BTreeSet<String>,
    /// Sites where it reads or writes.
    pub sites: BTreeSet<SiteName>,
    /// Sites whose nodes or components it changes. They need not stand in `sites`.
    pub changed_sites: BTreeSet<SiteName>,
    /// Namespaces that it writes to.
    pub writes: BTreeSet<SiteNamespace>,
    /// Namespaces that it only reads.
    pub reads: BTreeSet<SiteNamespace>,
    /// Its BackupRepository, in its namespace, and how it is used. None as soon as it needs the repository no more, as a drill whose copy is only left standing.
    pub repository: Option<(String, RepositoryUse)>,
    /// Most runs in its repository at once, where that says so itself.
    pub repository_runs: Option<usize>,
    /// It writes to the applications themselves and not to a copy of them: a restore in place. (A failover always does.)
    pub writes_in_place: bool,
}

impl Request {
    /// A request that uses nothing yet.
    pub fn new(run: RunRef, created: Timestamp) -> Self {
        Self {
            run,
            created,
            part_of: None,
            plan: None,
            applications: BTreeSet::new(),
            sites: BTreeSet::new(),
            changed_sites: BTreeSet::new(),
            writes: BTreeSet::new(),
            reads: BTreeSet::new(),
            repository: None,
            repository_runs: None,
            writes_in_place: false,
        }
    }

    /// Its class.
    pub const fn class(&self) -> RunClass {
        self.run.class
    }

    /// Whether it takes a place of the [`Limits`]. What a failover has started doesn't: it would wait for it.
    fn is_limited(&self) -> bool {
        self.class().is_limited() && self.part_of.as_ref().is_none_or(|whole| whole.class != RunClass::Failover)
    }

    /// Smaller goes first: higher class, then older, then lower UID.
    fn turn(&self) -> (Reverse<RunClass>, Timestamp, &str) {
        (Reverse(self.waits_as()), self.created, &self.run.uid)
    }

    /// The class among which it waits. A prune that went after all backups would never go.
    fn waits_as(&self) -> RunClass {
        self.class().max(RunClass::Backup)
    }
}

/// A run that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// What it uses.
    pub request: Request,
    /// It was aborted, and only undoes and cleans up. A run that aborts its class doesn't wait for that; every other does.
    pub stopping: bool,
}

impl Running {
    /// A run that goes on.
    pub const fn new(request: Request) -> Self {
        Self { request, stopping: false }
    }
}

/// How many runs may be under way at once. A limit of 0 counts as 1: a limit never stops everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// On one site, in runs of all districts; a district's only run there isn't limited by it.
    pub per_site: usize,
    /// In one repository that doesn't say so itself, in runs.
    pub per_repository: usize,
    /// Of one district, in runs.
    pub per_district: usize,
    /// Other limits of single sites, as of an edge site with a thin line.
    pub of_sites: BTreeMap<SiteName, usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_site: 8, per_repository: 4, per_district: 4, of_sites: BTreeMap::new() }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It begins.
    Admit,
    /// It waits.
    Wait(Why),
    /// It begins once these are told to abort. Their clean-up is not waited for; a step that writes still waits until no pod of theirs can write there.
    Preempt(Vec<RunRef>),
}

/// The kind of reason why a run waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitReason {
    /// Another run uses its application.
    ApplicationBusy,
    /// Another run uses its plan, or what a drill needs.
    PlanBusy,
    /// Another run uses its site.
    SiteBusy,
    /// Another run uses a namespace that it needs.
    NamespaceBusy,
    /// Another run uses its repository.
    RepositoryBusy,
    /// As many runs are under way as may be.
    LimitReached,
}

impl From<WaitReason> for Reason {
    fn from(reason: WaitReason) -> Self {
        match reason {
            WaitReason::ApplicationBusy => Self::ApplicationBusy,
            WaitReason::PlanBusy => Self::PlanBusy,
            WaitReason::SiteBusy => Self::SiteBusy,
            WaitReason::NamespaceBusy => Self::NamespaceBusy,
            WaitReason::RepositoryBusy => Self::RepositoryBusy,
            WaitReason::LimitReached => Self::LimitReached,
        }
    }
}

/// Why a run waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// For conditions and metrics.
    pub reason: WaitReason,
    /// The run that it waits for; none if it waits for a place. It may be another district's, so it is for logs; `message` doesn't name such a run.
    pub run: Option<RunRef>,
    /// For people of the run's district.
    pub message: String,
}

impl Why {
    fn run(request: &Request, other: &Request, contested: &Contested, runs: bool) -> Self {
        let verb = if runs { "runs" } else { "has precedence" };
        // A district sees nothing of another.
        let message = if other.run.namespace == request.run.namespace {
            let (name, noun) = (&other.run.name, other.class().noun());
            format!("waits for {}, which {verb} on {contested}: p861 {noun} show {name}", other.run)
        } else {
            format!("waits for a {} of another district or of the city, which {verb} on {contested}", other.class())
        };
        let reason = match contested {
            Contested::Application(_) | Contested::Plan(_) | Contested::Site(_) if request.class() == RunClass::Drill => WaitReason::PlanBusy,
            Contested::Application(_) => WaitReason::ApplicationBusy,
            Contested::Plan(_) => WaitReason::PlanBusy,
            Contested::Site(_) => WaitReason::SiteBusy,
            Contested::Namespace(_) => WaitReason::NamespaceBusy,
            Contested::Repository(_) => WaitReason::RepositoryBusy,
        };
        Self { reason, run: Some(other.run.clone()), message }
    }

    /// `under_way` are those that hold the places. A district sees nothing of another's.
    fn limit(request: &Request, mut under_way: Vec<&Request>, limit: usize, of: &str) -> Self {
        under_way.sort_by(|a, b| a.turn().cmp(&b.turn()));
        let own: Vec<String> = under_way.iter().filter(|other| other.run.namespace == request.run.namespace).map(|other| other.run.to_string()).collect();
        let first = own.iter().take(MAX_RUNS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if own.len() > MAX_RUNS_NAMED { format!(" and {} more", own.len() - MAX_RUNS_NAMED) } else { String::new() };
        let named = if own.is_empty() { String::new() } else { format!(": {first}{more}") };
        let message = format!("waits for a free slot: {} of at most {limit} runs {of} are under way{named}", under_way.len());
        Self { reason: WaitReason::LimitReached, run: None, message }
    }
}

/// Whether a run may begin beside those that run. Pure and total; costs one comparison for each of `running`.
///
/// Requests that wait at the same time are not considered: [`admit_in_turn`] does that. A run that stands in `running` itself is admitted.
pub fn admit(request: &Request, running: &[Running], limits: &Limits) -> Admission {
    if running.iter().any(|other| other.request.run.uid == request.run.uid) {
        return Admission::Admit;
    }
    let aborted = match beside(request, running) {
        Ok(aborted) => aborted,
        Err(why) => return Admission::Wait(why),
    };
    place(request, aborted, running.iter().map(|other| &other.request), limits)
}

/// Why a run may not go before those that wait to have its repository for themselves; none if it may. A run of a higher class may, and an older one.
pub fn held_back(request: &Request, waiting_alone: &[Request]) -> Option<Why> {
    let earlier = waiting_alone.iter().filter(|first| first.turn() < request.turn());
    let mut in_its_way = earlier.filter_map(|first| conflict::repository(request, first).map(|contested| (first, contested)));
    in_its_way.next().map(|(first, contested)| Why::run(request, first, &contested, false))
}

/// Whether each of the waiting runs may begin, all considered at once: the same set gives the same answers, whoever asks in whatever order.
///
/// The answers come in the order in which the runs have their turn. If anything waits, something runs or at least one is admitted.
/// Costs a comparison for each pair of runs: ask when something has changed, not for each run anew.
pub fn admit_in_turn(waiting: &[Request], running: &[Running], limits: &Limits) -> Vec<(RunRef, Admission)> {
    let mut waiting: Vec<&Request> = waiting.iter().filter(|request| !running.iter().any(|other| other.request.run.uid == request.run.uid)).collect();
    waiting.sort_by(|a, b| a.turn().cmp(&b.turn()));
    let order: BTreeMap<&str, usize> = waiting.iter().enumerate().map(|(turn, request)| (request.run.uid.as_str(), turn)).collect();
    let mut answers: Vec<(RunRef, Admission)> = Vec::new();
    let mut free: Vec<(&Request, Vec<RunRef>)> = Vec::new();
    let mut reserved: Vec<&Request> = Vec::new();
    for request in waiting {
        let ahead = || {
            let first = free.iter().find_map(|(first, _)| conflict(request, first).map(|contested| (*first, contested)));
            first.or_else(|| reserved.iter().find_map(|first| conflict::repository(request, first).map(|contested| (*first, contested))))
        };
        let answer = match beside(request, running) {
            Err(why) => Err(why),
            Ok(aborted) => match ahead() {
                Some((first, contested)) => Err(Why::run(request, first, &contested, false)),
                None => Ok(aborted),
            },
        };
        match answer {
            Ok(aborted) => free.push((request, aborted)),
            Err(why) => {
                answers.push((request.run.clone(), Admission::Wait(why)));
                if matches!(request.repository, Some((_, RepositoryUse::Exclusive))) {
                    reserved.push(request);
                }
            }
        }
    }
    let mut under_way: Vec<&Request> = running.iter().map(|other| &other.request).collect();
    while let Some(next) = next_in_turn(&free, &under_way) {
        let (request, aborted) = free.remove(next);
        let answer = place(request, aborted, under_way.iter().copied(), limits);
        if !matches!(answer, Admission::Wait(_)) {
            under_way.push(request);
        }
        answers.push((request.run.clone(), answer));
    }
    answers.sort_by_key(|(run, _)| order.get(run.uid.as_str()).copied());
    answers
}

/// Of those that may begin, the one whose turn it is: higher class, then the district with the fewest runs under way, then older, then lower UID.
fn next_in_turn(free: &[(&Request, Vec<RunRef>)], under_way: &[&Request]) -> Option<usize> {
    let busy = |district: &str| under_way.iter().filter(|other| other.is_limited() && other.run.namespace == district).count();
    let turn = |request: &Request| (Reverse(request.waits_as()), busy(&request.run.namespace), request.created, request.run.uid.clone());
    (0..free.len()).min_by_key(|index| free.get(*index).map(|(request, _)| turn(request)))
}

/// The runs that must be aborted so that it may begin beside `running`, or why it must wait.
fn beside(request: &Request, running: &[Running]) -> Result<Vec<RunRef>, Why> {
    let mut aborted = Vec::new();
    let mut waits: Option<(&Request, Contested)> = None;
    for other in running {
        let Some(contested) = conflict(request, &other.request) else { continue };
        if !request.class().aborts(other.request.class()) {
            // The same one is named whatever the order of `running`.
            if waits.as_ref().is_none_or(|(first, _)| other.request.turn() < first.turn()) {
                waits = Some((&other.request, contested));
            }
        } else if !other.stopping {
            aborted.push(other.request.run.clone());
        }
    }
    aborted.sort();
    match waits {
        Some((other, contested)) => Err(Why::run(request, other, &contested, true)),
        None => Ok(aborted),
    }
}

/// Gives a run that is in nobody's way a place, if there is one.
fn place<'a>(request: &Request, aborted: Vec<RunRef>, under_way: impl Iterator<Item = &'a Request>, limits: &Limits) -> Admission {
    let counted: Vec<&Request> = under_way.filter(|other| other.is_limited() && !aborted.contains(&other.run)).collect();
    let those = |uses: &dyn Fn(&Request) -> bool| -> Vec<&Request> { counted.iter().copied().filter(|other| uses(other)).collect() };
    let own = |other: &Request| other.run.namespace == request.run.namespace;
    if request.is_limited() {
        let district = (those(&own), limits.per_district.max(1), "of this district".to_owned());
        let repository = request.repository.iter().map(|(name, _)| {
            let uses = |other: &Request| own(other) && other.repository.as_ref().is_some_and(|(theirs, _)| theirs == name);
            (those(&uses), request.repository_runs.unwrap_or(limits.per_repository).max(1), format!("in repository {name}"))
        });
        let sites = request.sites.iter().filter_map(|site| {
            let of_site = limits.of_sites.get(site).copied();
            let own_place_is_free = || those(&|other| own(other) && other.sites.contains(site)).is_empty();
            (of_site.is_some() || !own_place_is_free())
                .then(|| (those(&|other| other.sites.contains(site)), of_site.unwrap_or(limits.per_site).max(1), format!("on site {site}")))
        });
        if let Some((under_way, limit, of)) = std::iter::once(district).chain(repository).chain(sites).find(|(under_way, limit, _)| under_way.len() >= *limit) {
            return Admission::Wait(Why::limit(request, under_way, limit, &of));
        }
    }
    if aborted.is_empty() { Admission::Admit } else { Admission::Preempt(aborted) }
}
