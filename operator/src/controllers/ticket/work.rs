//! The steps of a change: compiled while the ticket waits, begun when the ticket allows it, then carried on until they end, whatever becomes of the ticket.

use super::super::{active_site, named, refuse_foreign_namespaces, run::scope_of, takes_objects};
use crate::context::Context;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use p861_core::{
    engine::{Outcome, Plan},
    ids::SiteName,
    maintenance::{
        drain::DrainOutlook,
        ticket::{Planned, Work, WorkRun, still_agreed},
        work::{self, Affected, ComponentOf, WorkFacts},
    },
    platform::bundle::Bundle,
    runs::{Action, Conclusion, RunClass, RunOutcome},
};
use p861_crds::{
    Application, Backup, ConditionType, District, MaintenanceTicket, MaintenanceTicketStatus, Platform, Reason, Site,
    common::{RunAction, RunPhase},
    maintenance::change::{Change, DrainNode, UpgradeComponent},
    platform::{
        district::{DistrictSite, SiteRole},
        platform::{Bundle as BundleSource, Component},
    },
};
use p861_runs::{
    Pass, Readiness, RunIdentity, RunKind, RunPlace, RunRecord,
    controller::{self, Carried},
    effects::{self, node, silence},
    error::{Category, Error, Result},
    kind::journal_on_hub,
    secrets::SecretsOf,
};
use std::time::Duration;

/// A node that can't be looked at in this time doesn't hold up its ticket.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// The work of tickets.
pub struct ChangeRun {
    context: Context,
}

impl From<Context> for ChangeRun {
    fn from(context: Context) -> Self {
        Self { context }
    }
}

/// An application that the change affects, the site where it runs, and how long its last backup took.
type AffectedApplication = (Application, SiteName, Option<SignedDuration>);

/// A component to upgrade: its declaration, the source of its manifests, its manifests, and its sites with the primary last.
type Upgraded = (Component, BundleSource, Bundle, Vec<SiteName>);

/// Input of the compiler.
pub struct Facts {
    district: Option<String>,
    applications: Vec<AffectedApplication>,
    /// Sites that have an Alertmanager.
    alertmanagers: Vec<SiteName>,
    component: Option<Upgraded>,
}

impl RunKind for ChangeRun {
    type Object = MaintenanceTicket;
    /// None once the run has begun.
    type Facts = Option<Facts>;
    const CLASS: RunClass = RunClass::Change;

    /// A ticket that is reopened and started again is another run, with another journal.
    fn run_uid(ticket: &MaintenanceTicket) -> String {
        format!("{}-{}", ticket.uid().unwrap_or_default(), started_second(ticket))
    }

    fn actions(&self, ticket: &MaintenanceTicket) -> Vec<RunAction> {
        ticket.status.as_ref().map(|status| run_actions(ticket, status)).unwrap_or_default()
    }

    async fn locate(&self, ticket: &MaintenanceTicket, begun: Option<&RunRecord>) -> Result<Readiness<RunPlace>> {
        let journal = journal_on_hub(&self.context.hub, ticket, Self::CLASS, &Self::run_uid(ticket))?;
        let mut scope = scope_of(&self.context, &ticket.namespace().unwrap_or_default(), "", begun).await?;
        if let Some(drain) = ticket.spec.change.as_ref().and_then(|change| change.work.drain_node.as_ref()) {
            scope = scope.with_node(&drain.site_ref.name.as_str().into(), &drain.node_name);
        }
        Ok(Readiness::Ready(RunPlace { repository: String::new(), repository_runs: None, journal, scope }))
    }

    async fn gather(&self, ticket: &MaintenanceTicket, _: &RunPlace, begun: Option<&RunRecord>) -> Result<Option<Facts>> {
        match &ticket.spec.change {
            Some(change) if begun.is_none() => gather(&self.context, ticket, change).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Refuses steps whose digest differs from the approved one.
    fn compile(ticket: &MaintenanceTicket, facts: &Option<Facts>) -> Result<Plan<Action>> {
        let facts = facts.as_ref().ok_or_else(|| Error::Internal("a change that has begun is compiled again".into()))?;
        let status = ticket.status.clone().unwrap_or_default();
        let plan = compile(ticket, facts, Planned::of(&ticket.spec, &status))?;
        if still_agreed(&ticket.spec, &status, plan.digest()) {
            return Ok(plan);
        }
        let message = "what would be done is not what was agreed to any more; nothing was done: Reopen the ticket, and have it agreed to as it is now";
        Err(Error::invalid(Reason::PlanChanged, message))
    }

    fn conclude(_: &MaintenanceTicket, _: &Option<Facts>, before: &MaintenanceTicketStatus, run: &RunOutcome<'_>) -> Conclusion<MaintenanceTicketStatus> {
        let mut status = before.clone();
        status.backups = of_done_steps(run, |action| if let Action::TakeBackup { backup, .. } = action { Some(backup.clone()) } else { None });
        Conclusion { status, updates: Vec::new(), findings: Vec::new() }
    }
}

/// Start of the ticket's present work as Unix time in seconds. Distinguishes the runs of a reopened ticket.
fn started_second(ticket: &MaintenanceTicket) -> i64 {
    ticket.status.as_ref().and_then(|status| status.start_time.as_ref()).map_or(0, |time| time.0.as_second())
}

/// Progress of a change's steps.
pub struct Progress {
    /// The ticket's status after the pass, not written yet.
    pub status: MaintenanceTicketStatus,
    /// For the ticket's decision.
    pub work: Work,
    /// The run, once it has begun and until its end was recorded.
    pub run: Option<(Box<RunIdentity>, Box<Pass>)>,
}

/// The steps of a waiting change.
pub struct Preview {
    /// For the ticket's decision.
    pub work: Work,
    /// The steps themselves; none if they could not be compiled.
    pub compiled: Option<Box<Plan<Action>>>,
}

/// Compiles the steps of a waiting change, with the text that is `planned`, without effects.
pub async fn preview(context: &Context, ticket: &MaintenanceTicket, change: &Change, planned: Planned) -> Result<Preview> {
    let compiled = gather(context, ticket, change).await.and_then(|facts| {
        let plan = compile(ticket, &facts, planned.clone())?;
        let takes = work::takes(&plan, change).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))?;
        Ok((plan, takes, facts.component.map(|(_, source, ..)| source)))
    });
    let (compiled, takes, source) = match compiled {
        Ok((plan, takes, source)) => (Ok(Box::new(plan)), takes, source),
        // If a registry is unreachable, the digest approved earlier stays valid; the error is reported only if nothing was compiled yet.
        Err(error @ Error::Stated { .. }) if error.category() == Category::Invalid || !has_digest(ticket) => {
            (Err(error.to_string()), SignedDuration::ZERO, None)
        }
        Err(error) => return Err(error),
    };
    let outlook = match &change.work.drain_node {
        Some(drain) if compiled.is_ok() => Some(outlook_of(context, &ticket.namespace().unwrap_or_default(), drain).await),
        _ => None,
    };
    // Nobody is asked to agree to the drain of a node that isn't there.
    let compiled = match &outlook {
        Some(DrainOutlook::Missing(why)) => Err(why.clone()),
        _ => compiled,
    };
    let steps = compiled.as_ref().map(|plan| plan.digest().to_owned()).map_err(Clone::clone);
    Ok(Preview { work: Work { takes, drain: outlook, source, planned, ..Work::compiled(steps) }, compiled: compiled.ok() })
}

fn has_digest(ticket: &MaintenanceTicket) -> bool {
    ticket.status.as_ref().is_some_and(|status| status.plan_digest.is_some())
}

/// What a drain of the node would do as it is now. That it can't be looked at is said, and keeps nothing from being approved: the step `inspect` looks again.
async fn outlook_of(context: &Context, namespace: &str, drain: &DrainNode) -> DrainOutlook {
    let (site, node) = (SiteName::from(drain.site_ref.name.as_str()), &drain.node_name);
    // As `gather` has it: a ticket in the operator's namespace is the city's.
    let district = Some(namespace).filter(|namespace| *namespace != context.hub.namespace);
    let looked = async {
        let site = scope_of(context, namespace, "", None).await?.site(&site)?;
        node::look(&context.runs, &site, node, district, work::consent(drain)).await
    };
    match tokio::time::timeout(LOOK_TIMEOUT, looked).await {
        Ok(Ok(outlook)) => outlook,
        Ok(Err(error)) => DrainOutlook::Unseen(error.reason(), format!("node {node} can't be looked at now: {error}")),
        Err(_) => DrainOutlook::Unseen(Reason::Unreachable, format!("node {node} can't be looked at now: site {site} does not answer")),
    }
}

/// Makes one pass over the steps. Returns their fields in the ticket's status, which the caller writes.
pub async fn carry_on(context: &Context, ticket: &MaintenanceTicket, mut status: MaintenanceTicketStatus, now: Timestamp) -> Result<Progress> {
    // The ticket ended before its steps began.
    if status.journal.is_none() && status.phase.is_some_and(p861_crds::maintenance::ticket::TicketPhase::is_end) {
        return Ok(Progress { status, work: Work::begun(None), run: None });
    }
    // Its steps could not be begun: the ticket says why.
    if status.journal.is_none() && status.work_phase.is_some() {
        let message = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Succeeded).map(|condition| condition.message.clone());
        return Ok(refused(status, Reason::PlanChanged, message.unwrap_or_default()));
    }
    let over = status.work_phase.is_some_and(RunPhase::is_end);
    let kind = ChangeRun { context: context.clone() };
    let carried = match controller::carry_on(&context.runs, &kind, ticket, &status, now).await {
        Ok(Carried::Refused { error }) => Err((error.reason(), error.to_string())),
        Ok(Carried::JournalMissing { message }) => Err((Reason::JournalMissing, message)),
        Ok(Carried::Tampered { message, .. }) => Err((Reason::JournalTampered, message)),
        Ok(Carried::Waits { message, .. }) => return Err(Error::transient(Reason::NotYet, message)),
        Ok(Carried::On { status, pass, run }) => Ok((status, pass, run)),
        Err(error) => return Err(error),
    };
    let (concluded, pass, run) = match carried {
        Ok(carried) => carried,
        Err((reason, message)) => {
            controller::let_go::<ChangeRun>(&context.hub, ticket).await?;
            (status.work_phase, status.current_steps, status.silences) = (Some(RunPhase::Refused), Vec::new(), Vec::new());
            return Ok(refused(status, reason, message));
        }
    };
    status = *concluded;
    let phase = pass.summary.phase;
    let quiet = of_done_steps(&pass.outcome(), |action| matches!(action, Action::Silence { .. }).then(|| action.clone()));
    let silent = !phase.is_end() && phase != RunPhase::CleaningUp;
    status.silences = if silent { silence::extend(&context.runs, &run.scope, &quiet, &status.silences).await } else { Vec::new() };
    let work = Work::begun(Some(work::standing(&pass.summary)));
    if over {
        p861_runs::forget(&context.runs.executor(), &run);
        // A process may have died between the last status and this.
        controller::let_go::<ChangeRun>(&context.hub, ticket).await?;
    }
    Ok(Progress { status, work, run: (!over).then_some((run, pass)) })
}

/// Steps that are refused: none of them runs.
fn refused(status: MaintenanceTicketStatus, reason: Reason, message: String) -> Progress {
    Progress { status, work: Work::begun(Some(WorkRun { phase: RunPhase::Refused, asks: None, said: (reason, message) })), run: None }
}

/// Call after the ticket's status is written: publishes Events and releases steps that have ended. Returns the time until the next pass; none once they have
/// ended.
pub async fn publish(context: &Context, ticket: &MaintenanceTicket, run: &RunIdentity, pass: &Pass, now: Timestamp) -> Result<Option<Duration>> {
    controller::publish::<ChangeRun>(&context.runs, ticket, run, pass, now).await
}

/// Maps the actions of all steps that are done.
fn of_done_steps<T>(run: &RunOutcome<'_>, of: impl Fn(&Action) -> Option<T>) -> Vec<T> {
    let is_done = |id: &p861_core::engine::StepId| run.summary.timeline.iter().any(|step| step.id == *id && step.outcome == Outcome::Done);
    run.plan.steps().iter().filter(|step| is_done(&step.id)).filter_map(|step| of(&step.action)).collect()
}

/// Actions for the run: those that people added since the work began and the ticket has accepted.
fn run_actions(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus) -> Vec<RunAction> {
    let whole = |number: Option<i32>| usize::try_from(number.unwrap_or_default()).unwrap_or_default();
    let Some(first) = status.work_first_action else { return Vec::new() };
    let refused: Vec<usize> = status.refused_actions.iter().filter_map(|refused| usize::try_from(refused.index).ok()).collect();
    let failed = status.current_steps.iter().find(|step| step.phase == RunPhase::WaitingForPerson && step.prompt.is_none());
    work::actions(&ticket.spec.actions, whole(Some(first)), whole(status.observed_actions), &refused, failed.map(|step| step.id.as_str()))
}

async fn gather(context: &Context, ticket: &MaintenanceTicket, change: &Change) -> Result<Facts> {
    let namespace = ticket.namespace().unwrap_or_default();
    let district = context.cache.filter_map(None, |district: &District| (district.hub_namespace() == namespace).then(|| district.clone())).await?.pop();
    let of_district =
        |what: &str| Error::invalid(Reason::DistrictMissing, format!("{what}, but namespace {namespace} belongs to no District: kubectl get districts"));
    let mut applications = Vec::new();
    for reference in &ticket.spec.affects.application_refs {
        let found: Application = named(&context.hub.client, &namespace, &reference.name).await?;
        let home = district.as_ref().ok_or_else(|| of_district("the change affects applications"))?;
        refuse_foreign_namespaces(home, &found)?;
        let last_backup = last_backup(context, &namespace, &reference.name).await?;
        let site = active_site(context, home, &reference.name).await?;
        applications.push((found, site.into(), last_backup));
    }
    let sites = sites_for(context, district.as_ref()).await?;
    if let Some(drain) = &change.work.drain_node
        && !sites.iter().any(|site| site.name_any() == drain.site_ref.name)
    {
        let known: Vec<String> = sites.iter().map(kube::ResourceExt::name_any).collect();
        return Err(Error::invalid(Reason::SiteMissing, format!("the work names site {}; there are {}", drain.site_ref.name, known.join(", "))));
    }
    let alertmanagers: Vec<SiteName> = sites
        .iter()
        .filter(|site| site.spec.monitoring.as_ref().is_some_and(|monitoring| monitoring.alertmanager.is_some()))
        .map(|site| site.name_any().into())
        .collect();
    let component = match (&change.work.upgrade_component, &district) {
        (None, _) => None,
        (Some(_), None) => return Err(of_district("the change upgrades a component")),
        (Some(upgrade), Some(district)) => Some(component_of(context, district, upgrade).await?),
    };
    Ok(Facts { district: district.as_ref().map(District::hub_namespace).map(str::to_owned), applications, alertmanagers, component })
}

fn compile(ticket: &MaintenanceTicket, facts: &Facts, planned: Planned) -> Result<Plan<Action>> {
    let (name, namespace) = (ticket.name_any(), ticket.namespace().unwrap_or_default());
    let affected: Vec<Affected<'_>> = facts
        .applications
        .iter()
        .map(|(found, site, last_backup)| Affected {
            name: found.metadata.name.as_deref().unwrap_or_default(),
            spec: &found.spec,
            site,
            last_backup: *last_backup,
        })
        .collect();
    let of_ticket = WorkFacts {
        ticket: &name,
        namespace: &namespace,
        district: facts.district.as_deref(),
        spec: &ticket.spec,
        planned,
        applications: &affected,
        alertmanagers: &facts.alertmanagers,
        component: facts.component.as_ref().map(|(declared, source, bundle, sites)| ComponentOf { declared, source, bundle, sites }),
    };
    work::compile(&of_ticket).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))
}

/// Duration of the last backup of an application.
async fn last_backup(context: &Context, namespace: &str, application: &str) -> Result<Option<SignedDuration>> {
    let took = |backup: &Backup| {
        let status = backup.status.as_ref().filter(|status| backup.spec.application_ref.name == application && status.phase == Some(RunPhase::Succeeded))?;
        let (began, ended) = (status.start_time.as_ref()?.0, status.completion_time.as_ref()?.0);
        Some((ended, ended.duration_since(began)))
    };
    Ok(context.cache.filter_map(Some(namespace), took).await?.into_iter().max_by_key(|(ended, _)| *ended).map(|(_, took)| took))
}

/// Reads a component's declaration and manifests, and its sites with the primary last.
async fn component_of(context: &Context, district: &District, upgrade: &UpgradeComponent) -> Result<Upgraded> {
    let (namespace, name) = (district.hub_namespace(), &upgrade.component);
    let platform: Platform = named(&context.hub.client, namespace, &district.name_any()).await?;
    let declared = platform.spec.base_software.components.into_iter().find(|component| component.name == *name);
    let declared = declared.ok_or_else(|| {
        Error::invalid(
            Reason::ComponentMissing,
            format!("Platform {} declares no component {name}: add it to spec.baseSoftware.components", district.name_any()),
        )
    })?;
    let Some(source) = declared.bundle.clone() else {
        return Err(Error::invalid(Reason::BundleUnsupported, format!("component {name} has no bundle: what a HelmRelease installs is upgraded there")));
    };
    let secrets = SecretsOf::district(&context.hub.client, district);
    let bundle = effects::component::bundle_of(&context.runs, &secrets, &source, |space| takes_objects(district, space)).await?;
    let mut sites: Vec<&DistrictSite> = district.spec.sites.iter().collect();
    sites.sort_by_key(|site| site.role == SiteRole::Primary);
    let sites = sites.into_iter().map(|site| site.site_ref.name.as_str().into()).collect();
    Ok((declared, source, bundle, sites))
}

/// The district's sites in its order; all sites for a hub-wide ticket.
async fn sites_for(context: &Context, district: Option<&District>) -> Result<Vec<Site>> {
    let mut all = context.cache.filter_map(None, |site: &Site| Some(site.clone())).await?;
    all.sort_by_key(ResourceExt::name_any);
    Ok(match district {
        Some(district) => district.spec.sites.iter().filter_map(|site| all.iter().find(|known| known.name_any() == site.site_ref.name).cloned()).collect(),
        None => all,
    })
}
