//! Compiles the steps of a change: backup, silence, the work, checks; the silence always ends.

use crate::{
    engine::{OnFailure, Outcome, Plan, Prompt, Retry, RunResult, RunSummary, Step, StepId, WaitsFor},
    ids::SiteName,
    maintenance::{
        drain::DrainConsent,
        ticket::{Asks, Planned, WorkRun},
    },
    names,
    platform::bundle::{self, Bundle},
    recovery::bring_up::{CHECK_MARGIN, namespace_of},
    runs::{Action, CompileError, StepKey},
    time::parse_duration,
};
use jiff::SignedDuration;
use p861_crds::{
    ApplicationSpec, LocalizedText, MaintenanceTicketSpec, Reason,
    common::{ActionKind, RunAction},
    maintenance::{
        change::{Change, ChangeBackup, ChangeSilence, DrainNode, RollbackPolicy, UpgradeComponent, Work},
        ticket::{TicketAction, TicketActionKind},
    },
    platform::{
        check::{Check, ConditionCheck},
        platform::Component,
    },
};
use std::collections::BTreeMap;

/// A backup before a change may take this long.
const BACKUP: SignedDuration = SignedDuration::from_hours(6);
/// Everything that is one request, or a few, may take this long.
const SHORT: SignedDuration = SignedDuration::from_mins(2);
/// Work of people may take this long.
const HANDS: SignedDuration = SignedDuration::from_hours(24 * 7);

/// An application that a change affects.
#[derive(Clone, Debug)]
pub struct Affected<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its spec.
    pub spec: &'a ApplicationSpec,
    /// Where it runs.
    pub site: &'a SiteName,
    /// How long its last backup took; none if there is none.
    pub last_backup: Option<SignedDuration>,
}

/// Everything that a change's steps follow from.
#[derive(Clone, Debug)]
pub struct WorkFacts<'a> {
    /// The ticket's name.
    pub ticket: &'a str,
    /// Its namespace on the hub.
    pub namespace: &'a str,
    /// The district; none for a hub-wide ticket.
    pub district: Option<&'a str>,
    /// What was asked.
    pub spec: &'a MaintenanceTicketSpec,
    /// Which text of it says how people work.
    pub planned: Planned,
    /// Applications that it affects, as they stand in the spec.
    pub applications: &'a [Affected<'a>],
    /// Sites that have an Alertmanager.
    pub alertmanagers: &'a [SiteName],
    /// The component that is upgraded, as the district's Platform declares it.
    pub component: Option<ComponentOf<'a>>,
}

/// A component, its bundle, and where it goes.
#[derive(Clone, Debug)]
pub struct ComponentOf<'a> {
    /// As it is declared.
    pub declared: &'a Component,
    /// Where its manifests are.
    pub source: &'a p861_crds::platform::platform::Bundle,
    /// Its manifests.
    pub bundle: &'a Bundle,
    /// The district's sites: the standby ones first, the primary last.
    pub sites: &'a [SiteName],
}

/// Compiles a change.
///
/// A failure before the work ends the run and nothing was changed. A failure of the work, or of a check after it, is taken back, or asks a person, as
/// `rollback.policy` says; what people do by hand only people take back.
///
/// # Errors
/// [`CompileError`] if the change, a duration of it, or its bundle can't be made into steps.
pub fn compile(facts: &WorkFacts<'_>) -> Result<Plan<Action>, CompileError> {
    let change = facts.spec.change.as_ref().ok_or_else(|| CompileError::Invalid("an incident has no work".into()))?;
    refuse_names(&change.work)?;
    let mut steps = Vec::new();
    let mut ready = Vec::new();
    if change.backup == ChangeBackup::Affected {
        for application in facts.applications {
            let id = StepKey::backup(application.name).id()?;
            let action = Action::TakeBackup { application: application.name.into(), backup: backup_name(application.name, facts.ticket, facts.spec) };
            steps.push(Step::new(id.clone(), action, BACKUP).estimate(application.last_backup));
            ready.push(id);
        }
    }
    let labels = silenced(facts, change);
    let mut quiet = Vec::new();
    if !labels.is_empty() {
        // Of a node that may not be drained nothing is silenced.
        let looked = change.work.drain_node.as_ref().map(|drain| StepKey::inspect(&site_of(drain), &drain.node_name).id()).transpose()?;
        for site in facts.alertmanagers {
            let id = StepKey::silence(site).id()?;
            let action = Action::Silence { site: site.clone(), owner: owner(facts), labels: labels.clone() };
            quiet.push(Step::new(id, action, SHORT).after(ready.clone()).after(looked.clone()).retry(Retry::times(3)));
        }
    }
    let backups = ready.clone();
    ready.extend(quiet.iter().map(|step: &Step<Action>| step.id.clone()));
    steps.extend(quiet);
    let done = match &change.work {
        Work { upgrade_component: Some(upgrade), .. } => upgrade_component(facts, change, upgrade, &ready, &mut steps)?,
        Work { drain_node: Some(drain), .. } => drain_node(facts, change, drain, (&backups, &ready), &mut steps)?,
        Work { manual: Some(_), .. } => hands(facts, &ready, &mut steps)?,
        Work { .. } => return Err(CompileError::Invalid("the work is of a kind that this version does not know: upgrade the operator".into())),
    };
    checks(facts, change, &done, &mut steps)?;
    if let (Some(upgrade), Some(component)) = (&change.work.upgrade_component, &facts.component) {
        for site in component.sites {
            let action = Action::EndInstallation { site: site.clone(), component: upgrade.component.clone() };
            steps.push(Step::new(StepKey::end_install(site, &upgrade.component).id()?, action, SHORT).finally());
        }
    }
    for site in facts.alertmanagers.iter().filter(|_| !labels.is_empty()) {
        let action = Action::EndSilence { site: site.clone(), owner: owner(facts) };
        steps.push(Step::new(StepKey::end_silence(site).id()?, action, SHORT).finally());
    }
    Ok(Plan::new(steps)?)
}

/// Steps are named by what they work on: a name that nothing can have is refused where it is written.
fn refuse_names(work: &Work) -> Result<(), CompileError> {
    let drain = work.drain_node.iter().flat_map(|drain| [("drainNode.siteRef.name", &drain.site_ref.name), ("drainNode.nodeName", &drain.node_name)]);
    let upgrade = work.upgrade_component.iter().map(|upgrade| ("upgradeComponent.component", &upgrade.component));
    match drain.chain(upgrade).find(|(_, name)| !names::is_object_name(name)) {
        Some((field, name)) => Err(CompileError::Invalid(format!("spec.change.work.{field} is {name:?}: {}", names::NAME_RULE))),
        None => Ok(()),
    }
}

/// How long a change takes: as people say, or else as long as its steps do at least.
///
/// # Errors
/// If what people say is no duration.
pub fn takes(plan: &Plan<Action>, change: &Change) -> Result<SignedDuration, CompileError> {
    let said = change.expected_duration.as_ref().map(|said| parse_duration(&said.0)).transpose()?;
    Ok(said.unwrap_or_else(|| plan.at_least()))
}

/// The name of the backup that is taken of an application before a change. One that is reopened takes another: the first is not of this day.
pub fn backup_name(application: &str, ticket: &str, spec: &MaintenanceTicketSpec) -> String {
    let reopened = spec.actions.iter().filter(|action| action.action == TicketActionKind::Reopen).count();
    let again = if reopened == 0 { String::new() } else { format!("-{}", reopened + 1) };
    names::bounded(&format!("{application}-{ticket}{again}"), 63)
}

/// Who silences and cordons: the ticket, by namespace and name.
fn owner(facts: &WorkFacts<'_>) -> String {
    format!("{}/{}", facts.namespace, facts.ticket)
}

/// The labels of the alerts that are silent: those of each application that is affected, those of each site, and those of the node that is drained. A site is shared by
/// districts: of its alerts a district silences its own, and only the city all.
fn silenced(facts: &WorkFacts<'_>, change: &Change) -> Vec<BTreeMap<String, String>> {
    if change.silence == ChangeSilence::None {
        return Vec::new();
    }
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let affects = &facts.spec.affects;
    let own = || facts.district.map(|_| label("district", facts.namespace));
    let applications =
        affects.application_refs.iter().map(|application| BTreeMap::from([label("district", facts.namespace), label("application", &application.name)]));
    let sites = affects.site_refs.iter().map(|site| own().into_iter().chain([label("site", &site.name)]).collect());
    let node = change.work.drain_node.iter().map(|drain| BTreeMap::from([label("site", &drain.site_ref.name), label("node", &drain.node_name)]));
    applications.chain(sites).chain(node).collect()
}

fn site_of(drain: &DrainNode) -> SiteName {
    drain.site_ref.name.as_str().into()
}

fn on_failure(change: &Change) -> OnFailure {
    match change.rollback.policy {
        RollbackPolicy::OnFailure => OnFailure::Abort,
        RollbackPolicy::Manual | RollbackPolicy::Impossible => OnFailure::Prompt,
    }
}

/// On one site after the other: install, healthy, watched. A failure takes back what was done, on every site that was reached.
fn upgrade_component(
    facts: &WorkFacts<'_>,
    change: &Change,
    upgrade: &UpgradeComponent,
    ready: &[StepId],
    steps: &mut Vec<Step<Action>>,
) -> Result<StepId, CompileError> {
    let invalid = |what: String| CompileError::Invalid(what);
    let component = facts.component.as_ref().ok_or_else(|| invalid(format!("the district's Platform has no component {}", upgrade.component)))?;
    let declared = &component.declared.version;
    if *declared != upgrade.version {
        return Err(invalid(format!("the Platform declares {} {declared}, the ticket {}: open another", upgrade.component, upgrade.version)));
    }
    let within = parse_duration(&upgrade.healthy_within.0)?;
    let mut before = ready.to_vec();
    for site in component.sites {
        let install = StepKey::install(site, &upgrade.component).id()?;
        let action = Action::InstallComponent {
            site: site.clone(),
            component: upgrade.component.clone(),
            version: upgrade.version.clone(),
            bundle: component.source.clone(),
            digest: component.bundle.digest.clone(),
        };
        let revert = Action::RevertComponent { site: site.clone(), component: upgrade.component.clone(), version: upgrade.version.clone() };
        let mut step = Step::new(install.clone(), action, SHORT).after(before).retry(Retry::times(3)).on_failure(on_failure(change));
        if change.rollback.policy != RollbackPolicy::Impossible {
            step = step.undo(revert);
        }
        steps.push(step);
        let checks = health(component, &upgrade.healthy_within.0);
        let mut healthy = vec![install.clone()];
        for (namespace, check) in &checks {
            let id = StepKey::health(site, &upgrade.component, &check.name).id()?;
            let action = Action::Check { site: site.clone(), namespace: namespace.clone(), check: check.clone() };
            steps.push(Step::new(id.clone(), action, within + CHECK_MARGIN).after([install.clone()]).on_failure(on_failure(change)));
            healthy.push(id);
        }
        let watch = StepKey::watch(site, &upgrade.component).id()?;
        let duration = parse_duration(&upgrade.watch_for.0)?;
        let action = Action::Watch { site: site.clone(), checks, duration };
        steps.push(Step::new(watch.clone(), action, duration + SHORT).estimate(Some(duration)).after(healthy).on_failure(on_failure(change)));
        before = vec![watch];
    }
    before.pop().ok_or_else(|| invalid("the district has no sites".into()))
}

/// What must hold: the component's own checks, and that every workload of its bundle is rolled out: an old pod that still serves says nothing of the new version.
fn health(component: &ComponentOf<'_>, within: &str) -> Vec<(String, Check)> {
    let check = |name: String, condition: ConditionCheck| Check {
        name,
        http: None,
        tcp: None,
        exec: None,
        condition: Some(condition),
        period: "5s".into(),
        deadline: within.into(),
        failures: 1,
    };
    let workloads = bundle::workloads(&component.bundle.objects);
    let first = workloads.first().and_then(|workload| workload.namespace.clone()).unwrap_or_default();
    let mut checks: Vec<(String, Check)> = Vec::new();
    for health in &component.declared.health {
        let namespace = health.condition.workload_ref.namespace.clone().unwrap_or_else(|| first.clone());
        checks.push((namespace, check(health.name.clone(), health.condition.clone())));
    }
    for workload in workloads {
        let namespace = workload.namespace.clone().unwrap_or_default();
        let name = format!("{}-{}", format!("{:?}", workload.kind).to_lowercase(), workload.name);
        // One of the same name may stand in another namespace, or the component may have called a check of its own so.
        let is_taken = checks.iter().any(|(_, other)| other.name == names::bounded(&name, 40));
        let name = if is_taken { format!("{name}-{namespace}") } else { name };
        let condition = ConditionCheck { workload_ref: workload, r#type: "RolledOut".into() };
        checks.push((namespace, check(names::bounded(&name, 40), condition)));
    }
    checks
}

/// What a change that drains a node agrees to lose.
pub fn consent(drain: &DrainNode) -> DrainConsent {
    DrainConsent { delete_empty_dir_data: drain.delete_empty_dir_data, force: drain.force }
}

/// `backups` are the steps after which the node is looked at, `ready` those after which it is cordoned.
fn drain_node(
    facts: &WorkFacts<'_>,
    change: &Change,
    drain: &DrainNode,
    (backups, ready): (&[StepId], &[StepId]),
    steps: &mut Vec<Step<Action>>,
) -> Result<StepId, CompileError> {
    let (site, node) = (site_of(drain), drain.node_name.clone());
    let inspect = StepKey::inspect(&site, &node).id()?;
    let consent = consent(drain);
    let look = Action::InspectNode { site: site.clone(), node: node.clone(), district: facts.district.map(str::to_owned), consent };
    // While backups are taken, others' pods can come.
    steps.push(Step::new(inspect.clone(), look, SHORT).after(backups.to_vec()).retry(Retry::times(3)));
    let cordon = StepKey::cordon(&site, &node).id()?;
    let closed = Action::Cordon { site: site.clone(), node: node.clone(), owner: owner(facts) };
    let open = Action::Uncordon { site: site.clone(), node: node.clone(), owner: owner(facts) };
    steps.push(Step::new(cordon.clone(), closed, SHORT).after(ready.to_vec()).after([inspect]).retry(Retry::times(3)).undo(open.clone()));
    let empty = StepKey::drain(&site, &node).id()?;
    let leave = Action::Drain { site: site.clone(), node: node.clone(), district: facts.district.map(str::to_owned), consent };
    steps.push(Step::new(empty.clone(), leave, parse_duration(&drain.deadline.0)?).after([cordon]).on_failure(on_failure(change)));
    let hands = StepKey::Manual.id()?;
    let text = facts.planned.text(facts.spec).unwrap_or_else(|| LocalizedText {
        zh: Some(format!("节点 {node} 已排空。完成作业后执行：p861 ticket done {}", facts.ticket)),
        en: Some(format!("Node {node} is empty. When the work on it is done: p861 ticket done {}", facts.ticket)),
    });
    steps.push(Step::new(hands.clone(), Action::Ask {}, HANDS).after([empty]).needs_person(Prompt::new(text)));
    let back = StepKey::uncordon(&site, &node).id()?;
    steps.push(Step::new(back.clone(), open, SHORT).after([hands]).retry(Retry::times(5)));
    Ok(back)
}

fn hands(facts: &WorkFacts<'_>, ready: &[StepId], steps: &mut Vec<Step<Action>>) -> Result<StepId, CompileError> {
    let id = StepKey::Manual.id()?;
    let text = facts.planned.text(facts.spec).unwrap_or_else(|| LocalizedText {
        zh: Some(format!("完成作业后执行：p861 ticket done {}", facts.ticket)),
        en: Some(format!("When the work is done: p861 ticket done {}", facts.ticket)),
    });
    steps.push(Step::new(id.clone(), Action::Ask {}, HANDS).after(ready.to_vec()).needs_person(Prompt::new(text)));
    Ok(id)
}

/// The applications' own checks, after the work.
fn checks(facts: &WorkFacts<'_>, change: &Change, done: &StepId, steps: &mut Vec<Step<Action>>) -> Result<(), CompileError> {
    let failed = if change.work.by_operator() { on_failure(change) } else { OnFailure::Continue };
    for application in facts.applications {
        let first =
            application.spec.namespaces.first().ok_or_else(|| CompileError::Invalid(format!("application {}: spec.namespaces is empty", application.name)))?;
        for check in &application.spec.checks {
            let namespace = namespace_of(check).unwrap_or(first).clone();
            let action = Action::Check { site: application.site.clone(), namespace, check: check.clone() };
            let deadline = parse_duration(&check.deadline.0)? + CHECK_MARGIN;
            steps.push(Step::new(StepKey::check(application.name, &check.name).id()?, action, deadline).after([done.clone()]).on_failure(failed));
        }
    }
    Ok(())
}

/// What people said about the ticket since its work began, as its steps read it. What the ticket has refused says nothing to them either.
pub fn actions(said: &[TicketAction], first: usize, observed: usize, refused: &[usize], failed_step: Option<&str>) -> Vec<RunAction> {
    let heard = said.iter().enumerate().take(observed).skip(first);
    heard
        .filter_map(|(index, action)| {
            let (kind, step) = match action.action {
                TicketActionKind::Done => (ActionKind::Answer, Some(StepKey::Manual.to_string())),
                TicketActionKind::Start => (ActionKind::Retry, failed_step.map(str::to_owned)),
                TicketActionKind::RollBack => (ActionKind::Abort, None),
                TicketActionKind::Suspend => (ActionKind::Pause, None),
                TicketActionKind::Resume => (ActionKind::Resume, None),
                TicketActionKind::Acknowledge
                | TicketActionKind::Assign
                | TicketActionKind::Note
                | TicketActionKind::Plan
                | TicketActionKind::Resolve
                | TicketActionKind::Reopen
                | TicketActionKind::Cancel => return None,
            };
            let asked = RunAction {
                action: kind,
                step,
                reason: action.reason.clone().or_else(|| action.note.clone()),
                answer: (kind == ActionKind::Answer).then(|| "yes".to_owned()),
                duration: None,
                by: Some(action.person().to_owned()),
            };
            // It keeps its place in the list, and names no step: nothing follows from it.
            let nothing = RunAction { action: ActionKind::Retry, step: None, answer: None, reason: Some("refused by the ticket".to_owned()), ..asked.clone() };
            Some(if refused.contains(&index) { nothing } else { asked })
        })
        .collect()
}

/// Where a change's steps stand, for the ticket.
pub fn standing(summary: &RunSummary) -> WorkRun {
    let waits = |kind: fn(&WaitsFor) -> bool| summary.current.iter().any(|step| kind(&step.waits_for));
    let asks = if waits(|waits| matches!(waits, WaitsFor::Decision)) {
        Some(Asks::Start)
    } else {
        waits(|waits| matches!(waits, WaitsFor::Answer { .. })).then_some(Asks::Done)
    };
    let said = match &summary.result {
        None => (Reason::Running, format!("{} of {} steps", summary.counts.done, summary.counts.total)),
        Some((RunResult::Succeeded, ..)) => {
            let checks: Vec<bool> = summary
                .timeline
                .iter()
                .filter(|step| matches!(StepKey::of(&step.id), Some(StepKey::Check { .. })))
                .map(|step| step.outcome == Outcome::Done)
                .collect();
            let passed = checks.iter().filter(|passed| **passed).count();
            let of_checks = if checks.is_empty() { String::new() } else { format!("; {passed} of {} application checks pass", checks.len()) };
            (Reason::Done, format!("{} of {} steps{of_checks}", summary.counts.done, summary.counts.total))
        }
        Some((_, reason, message)) => (reason.clone(), message.clone()),
    };
    WorkRun { phase: summary.phase, asks, said }
}
