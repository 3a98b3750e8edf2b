//! Whether two runs are in each other's way.

use super::{RepositoryUse, Request, SiteNamespace};
use crate::{
    ids::{PlanName, SiteName},
    runs::class::RunClass,
};
use std::{collections::BTreeSet, fmt};

/// What two runs both want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contested {
    /// An Application.
    Application(String),
    /// A RecoveryPlan.
    Plan(PlanName),
    /// A site.
    Site(SiteName),
    /// A namespace of a site.
    Namespace(SiteNamespace),
    /// A BackupRepository.
    Repository(String),
}

impl fmt::Display for Contested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(name) => write!(f, "application {name}"),
            Self::Plan(name) => write!(f, "plan {name}"),
            Self::Site(name) => write!(f, "site {name}"),
            Self::Namespace(SiteNamespace { site, namespace }) => write!(f, "namespace {namespace} of site {site}"),
            Self::Repository(name) => write!(f, "repository {name}"),
        }
    }
}

/// What keeps two runs from running at once, if anything; the same whichever comes first. The module's table says it in words.
pub fn conflict(a: &Request, b: &Request) -> Option<Contested> {
    let part = |part: &Request, whole: &Request| part.part_of.as_ref().is_some_and(|of| of.uid == whole.run.uid);
    if a.run.uid == b.run.uid || part(a, b) || part(b, a) {
        return None;
    }
    application(a, b).or_else(|| plan(a, b)).or_else(|| site(a, b)).or_else(|| namespace(a, b)).or_else(|| repository(a, b))
}

/// What a run does to an application, as far as others must care.
#[derive(Clone, Copy)]
enum Effect {
    /// It moves it.
    Moves,
    /// It writes to it in place.
    Overwrites,
    /// It writes a copy elsewhere.
    Copies,
    /// It changes it.
    Changes,
    /// It brings up an isolated copy and measures or proves it.
    Proves,
    /// It saves it.
    Saves,
    /// It removes data of a repository, and touches no application.
    Prunes,
}

fn effect(request: &Request) -> Effect {
    match request.class() {
        RunClass::Failover => Effect::Moves,
        RunClass::Restore if request.writes_in_place => Effect::Overwrites,
        RunClass::Restore => Effect::Copies,
        RunClass::Change => Effect::Changes,
        RunClass::Drill | RunClass::Verification => Effect::Proves,
        RunClass::Backup => Effect::Saves,
        RunClass::Prune => Effect::Prunes,
    }
}

fn common<'a, T: Ord>(a: &'a BTreeSet<T>, b: &'a BTreeSet<T>) -> Option<&'a T> {
    a.intersection(b).next()
}

fn same_district(a: &Request, b: &Request) -> bool {
    a.run.namespace == b.run.namespace
}

fn common_application<'a>(a: &'a Request, b: &'a Request) -> Option<&'a String> {
    if same_district(a, b) { common(&a.applications, &b.applications) } else { None }
}

fn common_plan<'a>(a: &'a Request, b: &Request) -> Option<&'a PlanName> {
    a.plan.as_ref().filter(|_| same_district(a, b) && a.plan == b.plan)
}

fn application(a: &Request, b: &Request) -> Option<Contested> {
    use Effect::{Changes, Copies, Moves, Overwrites, Proves, Prunes, Saves};
    let name = common_application(a, b)?;
    let excluded = match (effect(a), effect(b)) {
        // A copy is made elsewhere, of finished snapshots; so is the isolated one that is measured or proven.
        (Copies | Prunes, _) | (_, Copies | Prunes) | (Overwrites | Saves, Proves) | (Proves, Overwrites | Saves) => false,
        (Moves, _) | (_, Moves) | (Overwrites | Changes | Saves, Overwrites | Changes | Saves) | (Changes | Proves, Proves) | (Proves, Changes) => true,
    };
    excluded.then(|| Contested::Application(name.clone()))
}

fn plan(a: &Request, b: &Request) -> Option<Contested> {
    use Effect::{Copies, Moves, Prunes};
    let name = common_plan(a, b)?;
    let excluded = match (effect(a), effect(b)) {
        (Copies | Prunes, _) | (_, Copies | Prunes) => false,
        (Moves, _) | (_, Moves) => true,
        // A drill measures the plan; two verifications of its applications disturb nobody.
        _ => {
            let proves = |request: &Request| matches!(request.class(), RunClass::Drill | RunClass::Verification);
            proves(a) && proves(b) && (a.class() == RunClass::Drill || b.class() == RunClass::Drill)
        }
    };
    excluded.then(|| Contested::Plan(name.clone()))
}

fn site(a: &Request, b: &Request) -> Option<Contested> {
    one_sided_site(a, b).or_else(|| one_sided_site(b, a)).map(|site| Contested::Site(site.clone()))
}

/// What `a` does to a site that `b` needs to stand still, or that `b` leaves no room on.
fn one_sided_site<'a>(a: &'a Request, b: &'a Request) -> Option<&'a SiteName> {
    use Effect::{Changes, Copies, Moves, Overwrites, Proves, Prunes, Saves};
    let shared = common(&a.sites, &b.sites);
    match (effect(a), effect(b)) {
        (Changes, Changes) => common(&a.changed_sites, &b.changed_sites),
        (Changes, Proves | Moves) => common(&a.changed_sites, &b.sites),
        // The standby's room is for the failover. Another district's drill has room of its own, by its quota.
        (Moves, Proves) if same_district(a, b) => shared,
        // Both load the site, and what the drill measures would be worth nothing.
        (Overwrites, Proves) if common_application(a, b).is_some() || common_plan(a, b).is_some() => shared,
        (Changes | Moves | Overwrites | Copies | Proves | Saves | Prunes, _) => None,
    }
}

fn namespace(a: &Request, b: &Request) -> Option<Contested> {
    let writes = a.writes.intersection(&b.writes);
    let touched = writes.chain(a.writes.intersection(&b.reads)).chain(a.reads.intersection(&b.writes));
    touched.min().map(|place| Contested::Namespace(place.clone()))
}

/// Whether one of them uses the repository of the other exclusively.
pub(super) fn repository(a: &Request, b: &Request) -> Option<Contested> {
    let ((mine, my_use), (theirs, their_use)) = (a.repository.as_ref()?, b.repository.as_ref()?);
    let exclusive = *my_use == RepositoryUse::Exclusive || *their_use == RepositoryUse::Exclusive;
    (same_district(a, b) && mine == theirs && exclusive).then(|| Contested::Repository(mine.clone()))
}
