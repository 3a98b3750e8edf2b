//! A change's steps: compiled while they wait, begun when the ticket says so, carried on until they have ended, whatever becomes of the ticket.

use super::super::{active_site, backup, is_allotted, named};
use crate::context::Context;
use jiff::SignedDuration;
use kube::{Resource as _, ResourceExt};
use p861_core::{
    engine::{Outcome, Plan},
    maintenance::{
        ticket::{Work, WorkRun, still_agreed},
        work::{self, Affected, ComponentOf, WorkFacts},
    },
    platform::bundle::Bundle,
    runs::Action,
};
use p861_crds::{
    Application, Backup, District, MaintenanceTicket, MaintenanceTicketStatus, Platform, Site,
    common::RunPhase,
    maintenance::change::{Change, UpgradeComponent},
    platform::{
        district::{DistrictSite, SiteRole},
        platform::{Bundle as Source, Component},
    },
};
use p861_runs::{
    self as runs, JournalStore, Pass, RunIdentity,
    effects::{self, silence},
    error::{Category, Error, Result},
    finalizer,
};
use std::time::Duration;

/// What a pass found of a change's steps.
pub struct Looked {
    /// For the ticket's decision.
    pub work: Work,
    /// The run, once it has begun.
    pub run: Option<(RunIdentity, Pass)>,
}

/// Compiles the steps, or carries them on if they have begun. What they have come to is written into `status`.
pub async fn look(context: &Context, ticket: &MaintenanceTicket, change: &Change, status: &mut MaintenanceTicketStatus) -> Result<Looked> {
    let Some(began) = status.start_time.as_ref().map(|time| time.0) else {
        let compiled = compile(context, ticket, change).await.and_then(|plan| {
            let takes = work::takes(&plan, change).map_err(|error| Error::invalid("Invalid", error.to_string()))?;
            Ok((plan.digest().to_owned(), takes))
        });
        let (steps, takes) = match compiled {
            Ok((digest, takes)) => (Ok(digest), takes),
            // What was compiled before stays agreed to while a registry is away; whoever waits for the first time is told.
            Err(error @ Error::Stated { .. }) if error.category() == Category::Invalid || status.plan_digest.is_none() => {
                (Err(error.to_string()), SignedDuration::ZERO)
            }
            Err(error) => return Err(error),
        };
        return Ok(Looked { work: Work { steps, takes, run: None }, run: None });
    };
    let begun = Work { steps: Ok(String::new()), takes: SignedDuration::ZERO, run: None };
    // One that ended without ever having had steps.
    if status.journal.is_none() && status.phase.is_some_and(|phase| phase.is_end()) {
        return Ok(Looked { work: begun, run: None });
    }
    // Steps that could not be begun: what was said of that stands in the ticket.
    if status.journal.is_none() && status.work_phase.is_some() {
        let said = status.conditions.iter().find(|condition| condition.type_ == "Succeeded").map(|condition| condition.message.clone());
        return Ok(refused("PlanChanged", said.unwrap_or_default()));
    }
    // What has ended is only told again: it is held no more, and not counted twice.
    let over = status.work_phase.is_some_and(RunPhase::is_end);
    finalizer::hold(&context.hub, ticket, !over).await?;
    let (name, namespace, uid) = (ticket.name_any(), ticket.namespace().unwrap_or_default(), ticket.uid().unwrap_or_default());
    let owner = ticket.controller_owner_ref(&()).ok_or_else(|| Error::Internal("the ticket has no UID".into()))?;
    // A ticket that is reopened and started again has another journal.
    let life = began.as_second();
    let run =
        RunIdentity { kind: "MaintenanceTicket", namespace: namespace.clone(), name: name.clone(), uid: format!("{uid}-{life}"), repository: String::new() };
    let store = JournalStore::ConfigMap { client: context.hub.client.clone(), namespace, name: format!("{name}-journal-{life}"), owner };
    let actions = finalizer::actions(ticket, &said(ticket, status));
    let known = status.journal.is_some();
    let pass = runs::pass(&context.runs, &run, &store, &actions, async || {
        if known {
            let message = format!("the journal of ticket {name} is gone: what was done can't be known. Look at what its steps touch, and mend it by hand");
            return Err(Error::invalid("JournalMissing", message));
        }
        agreed(ticket, status, compile(context, ticket, change).await?)
    })
    .await;
    let pass = match pass {
        Ok(pass) => pass,
        Err(error) if error.category() == Category::Invalid => {
            finalizer::hold(&context.hub, ticket, false).await?;
            (status.work_phase, status.current_steps, status.silences) = (Some(RunPhase::Refused), Vec::new(), Vec::new());
            return Ok(refused(error.reason(), error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let view = runs::view(&pass, &store.location(), "ticket", &name);
    status.work_phase = Some(view.phase);
    status.steps = Some(view.steps);
    status.current_steps = view.current_steps;
    status.progress = view.progress;
    status.journal = Some(view.journal);
    status.backups = done(&pass, |action| if let Action::TakeBackup { backup, .. } = action { Some(backup.clone()) } else { None });
    let quiet: Vec<silence::Made> =
        done(&pass, |action| if let Action::Silence { site, owner, labels } = action { Some((site.clone(), owner.clone(), labels.clone())) } else { None });
    let ended = view.phase.is_end();
    status.silences = if ended || view.phase == RunPhase::CleaningUp { Vec::new() } else { silence::extend(&context.runs, &quiet, &status.silences).await };
    let work = Work { run: Some(work::standing(&pass.summary)), ..begun };
    if over {
        runs::forget(&context.runs, &run);
    }
    Ok(Looked { work, run: (!over).then_some((run, pass)) })
}

/// Steps that are refused: nothing of them runs.
fn refused(reason: &str, message: String) -> Looked {
    let run = WorkRun { phase: RunPhase::Refused, asks: None, said: (reason.to_owned(), message) };
    Looked { work: Work { steps: Ok(String::new()), takes: SignedDuration::ZERO, run: Some(run) }, run: None }
}

/// What was agreed to is what runs: the steps as they are compiled now have the digest that stood there when the work was let begin.
fn agreed(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, plan: Plan<Action>) -> Result<Plan<Action>> {
    if still_agreed(&ticket.spec, status, plan.digest()) {
        return Ok(plan);
    }
    Err(Error::invalid(
        "PlanChanged",
        "what would be done is not what was agreed to any more; nothing was done: Reopen the ticket, and have it agreed to as it is now",
    ))
}

/// Tells of what the pass did, and when the steps are to be looked at again. None once they have ended.
pub async fn told(context: &Context, ticket: &MaintenanceTicket, run: &RunIdentity, pass: &Pass) -> Result<Option<Duration>> {
    backup::tell(context, ticket, pass).await;
    if pass.summary.phase.is_end() {
        backup::ended(context, run, pass);
        finalizer::hold(&context.hub, ticket, false).await?;
        return Ok(None);
    }
    Ok(Some(backup::next_look(pass)))
}

/// What of the steps is done.
fn done<T>(pass: &Pass, of: impl Fn(&Action) -> Option<T>) -> Vec<T> {
    let is_done = |id: &p861_core::engine::StepId| pass.summary.timeline.iter().any(|step| step.id == *id && step.outcome == Outcome::Done);
    pass.plan.steps().iter().filter(|step| is_done(&step.id)).filter_map(|step| of(&step.action)).collect()
}

/// What people said since the work began and the ticket has heard.
fn said(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus) -> Vec<p861_crds::common::RunAction> {
    let whole = |number: Option<i32>| usize::try_from(number.unwrap_or_default()).unwrap_or_default();
    let Some(first) = status.work_first_action else { return Vec::new() };
    let refused: Vec<usize> = status.refused_actions.iter().filter_map(|refused| usize::try_from(refused.index).ok()).collect();
    let failed = status.current_steps.iter().find(|step| step.phase == RunPhase::WaitingForPerson && step.prompt.is_none());
    work::actions(&ticket.spec.actions, whole(Some(first)), whole(status.observed_actions), &refused, failed.map(|step| step.id.as_str()))
}

async fn compile(context: &Context, ticket: &MaintenanceTicket, change: &Change) -> Result<Plan<Action>> {
    let (name, namespace) = (ticket.name_any(), ticket.namespace().unwrap_or_default());
    let district = context.known.pick(None, |district: &District| (district.hub_namespace() == namespace).then(|| district.clone())).await?.pop();
    let of_district =
        |what: &str| Error::invalid("DistrictMissing", format!("{what}, but namespace {namespace} belongs to no District: kubectl get districts"));
    let mut applications = Vec::new();
    for reference in &ticket.spec.affects.application_refs {
        let found: Application = named(&context.hub.client, &namespace, &reference.name).await?;
        let home = district.as_ref().ok_or_else(|| of_district("the change affects applications"))?;
        let last_backup = last_backup(context, &namespace, &reference.name).await?;
        applications.push((found, active_site(home)?, last_backup));
    }
    let affected: Vec<Affected<'_>> = applications
        .iter()
        .map(|(found, site, last_backup)| Affected {
            name: found.metadata.name.as_deref().unwrap_or_default(),
            spec: &found.spec,
            site,
            last_backup: *last_backup,
        })
        .collect();
    let sites = sites_for(context, district.as_ref()).await?;
    if let Some(drain) = &change.work.drain_node
        && !sites.iter().any(|site| site.name_any() == drain.site_ref.name)
    {
        let known: Vec<String> = sites.iter().map(kube::ResourceExt::name_any).collect();
        return Err(Error::invalid("SiteMissing", format!("the work names site {}; there are {}", drain.site_ref.name, known.join(", "))));
    }
    let alertmanagers: Vec<String> = sites
        .iter()
        .filter(|site| site.spec.monitoring.as_ref().is_some_and(|monitoring| monitoring.alertmanager.is_some()))
        .map(kube::ResourceExt::name_any)
        .collect();
    let own = district.as_ref().map(District::hub_namespace);
    let upgraded = match (&change.work.upgrade_component, &district) {
        (None, _) => None,
        (Some(_), None) => return Err(of_district("the change upgrades a component")),
        (Some(upgrade), Some(district)) => Some(component_of(context, district, upgrade).await?),
    };
    let facts = WorkFacts {
        ticket: &name,
        namespace: &namespace,
        district: own.as_deref(),
        spec: &ticket.spec,
        applications: &affected,
        alertmanagers: &alertmanagers,
        component: upgraded.as_ref().map(|(declared, source, bundle, sites)| ComponentOf { declared, source, bundle, sites }),
    };
    work::compile(&facts).map_err(|error| Error::invalid("Invalid", error.to_string()))
}

/// How long the last backup of an application took.
async fn last_backup(context: &Context, namespace: &str, application: &str) -> Result<Option<SignedDuration>> {
    let took = |backup: &Backup| {
        let status = backup.status.as_ref().filter(|status| backup.spec.application_ref.name == application && status.phase == Some(RunPhase::Succeeded))?;
        let (began, ended) = (status.start_time.as_ref()?.0, status.completion_time.as_ref()?.0);
        Some((ended, ended.duration_since(began)))
    };
    Ok(context.known.pick(Some(namespace), took).await?.into_iter().max_by_key(|(ended, _)| *ended).map(|(_, took)| took))
}

/// A component as the Platform declares it, where its manifests are, its manifests, and the sites that it goes to, the primary last.
async fn component_of(context: &Context, district: &District, upgrade: &UpgradeComponent) -> Result<(Component, Source, Bundle, Vec<String>)> {
    let (namespace, name) = (district.hub_namespace(), &upgrade.component);
    let platform: Platform = named(&context.hub.client, &namespace, &district.name_any()).await?;
    let declared = platform.spec.base_software.components.into_iter().find(|component| component.name == *name);
    let declared = declared.ok_or_else(|| {
        Error::invalid("ComponentMissing", format!("Platform {} declares no component {name}: add it to spec.baseSoftware.components", district.name_any()))
    })?;
    let Some(source) = declared.bundle.clone() else {
        return Err(Error::invalid("BundleUnsupported", format!("component {name} has no bundle: what a HelmRelease installs is upgraded there")));
    };
    let bundle = effects::component::bundle_of(&context.runs, &namespace, &source, |space| is_allotted(district, space)).await?;
    let mut sites: Vec<&DistrictSite> = district.spec.sites.iter().collect();
    sites.sort_by_key(|site| site.role == SiteRole::Primary);
    let sites = sites.into_iter().map(|site| site.site_ref.name.clone()).collect();
    Ok((declared, source, bundle, sites))
}

/// The district's sites as it lists them; for a ticket of the city, all of them.
async fn sites_for(context: &Context, district: Option<&District>) -> Result<Vec<Site>> {
    let mut all = context.known.pick(None, |site: &Site| Some(site.clone())).await?;
    all.sort_by_key(ResourceExt::name_any);
    Ok(match district {
        Some(district) => district.spec.sites.iter().filter_map(|site| all.iter().find(|known| known.name_any() == site.site_ref.name).cloned()).collect(),
        None => all,
    })
}
