//! Sketch of the kind of run that a failover is: all that it adds to what runs share. Effects that don't exist yet are questions that nobody is asked.

use super::object::Failover;
use jiff::SignedDuration;
use kube::ResourceExt as _;
use p861_core::{
    conditions::ConditionUpdate,
    engine::{OnFailure, Outcome, Plan, Retry, RunResult, Step, StepId},
    ids::SiteName,
    platform::district::sites_of_plan,
    protection::{choose, claims::claim_of},
    recovery::bring_up::{BringUp, Gates, Parts, Subject, Target, bring_up},
    runs::{Action, Allotment, CompileError, Conclusion, ConflictHandling, CopyRules, Request, RunClass, RunOutcome, Scope, StepKey},
};
use p861_crds::{
    Application, ApplicationSpec, Backup, ConditionType, DrillStatus, Reason, RecoveryPlan, common::ContainerCommand, platform::application::CronJobsInCopy,
    protection::restore::ConflictPolicy,
};
use p861_runs::{
    Hub, JournalStore, Readiness, RunKind, RunPlace, RunRecord, Sealing,
    error::{Error, Result},
    hub::{all, district_of, named},
    kind::request_of,
    repository,
};
use std::collections::BTreeMap;

/// Failovers.
pub struct FailoverRun {
    pub hub: Hub,
}

/// Applications, each with the backup that it is brought up from and the parts of that.
pub type Group = Vec<(String, ApplicationSpec, choose::RecoveryPoint, Vec<String>)>;

/// What a failover follows from.
pub struct Facts {
    pub from: SiteName,
    pub to: SiteName,
    pub groups: Vec<Group>,
}

impl RunKind for FailoverRun {
    type Object = Failover;
    type Facts = Facts;
    const CLASS: RunClass = RunClass::Failover;

    async fn locate(&self, failover: &Failover, _: Option<&RunRecord>) -> Result<Readiness<RunPlace>> {
        let (namespace, uid) = (failover.namespace().unwrap_or_default(), failover.uid().unwrap_or_default());
        let plan: RecoveryPlan = named(&self.hub.client, &namespace, &failover.spec.plan_ref.name).await?;
        let (district, repository) = (district_of(&self.hub.client, &namespace).await?, plan.spec.repository_ref.name);
        let prefix = format!("journal/{}/{uid}", failover.spec.plan_ref.name);
        let location = repository::location_of(&self.hub, &namespace, &repository, &prefix).await?;
        let sealing = Sealing::of_object(&self.hub, failover, Self::CLASS, &uid).await?;
        let journal =
            JournalStore::Bucket { store: repository::open_store(&self.hub, &namespace, &repository).await?, prefix, location, sealing: Box::new(sealing) };
        let sites = district.spec.sites.iter().map(|site| site.site_ref.name.as_str());
        let scope = Scope::of_district(&namespace, sites, Allotment::of(&district)).with_repository(&repository);
        Ok(Readiness::Ready(RunPlace { repository, repository_runs: None, journal, scope }))
    }

    async fn gather(&self, failover: &Failover, _: &RunPlace, begun: Option<&RunRecord>) -> Result<Facts> {
        let (client, namespace) = (&self.hub.client, failover.namespace().unwrap_or_default());
        let plan: RecoveryPlan = named(client, &namespace, &failover.spec.plan_ref.name).await?;
        let district = district_of(client, &namespace).await?;
        let sites = sites_of_plan(plan.status.as_ref(), &plan.spec, &district).map_err(|error| Error::invalid(error.reason(), error.to_string()))?;
        let mut facts = Facts { from: sites.active, to: sites.target, groups: Vec::new() };
        let begun = begun.is_some();
        let backups: Vec<Backup> = if begun { Vec::new() } else { all(client, &namespace).await? };
        for group in plan.spec.groups.iter().filter(|_| !begun) {
            let mut members = Vec::new();
            for member in &group.members {
                let application: Application = named(client, &namespace, &member.application_ref.name).await?;
                let point = choose::newest_sound(&application.name_any(), &backups, None)
                    .map_err(|error| Error::invalid(Reason::NoRecoveryPoint, error.to_string()))?;
                let parts = repository::snapshot_parts(&self.hub, &namespace, &point).await?;
                members.push((application.name_any(), application.spec, point, parts));
            }
            facts.groups.push(members);
        }
        Ok(facts)
    }

    fn request(failover: &Failover, place: &RunPlace, facts: &Facts) -> Option<Request> {
        let applications = facts.groups.iter().flatten().map(|(name, ..)| name.clone()).collect();
        let sites = [facts.from.clone(), facts.to.clone()].into();
        Some(Request { plan: Some(failover.spec.plan_ref.name.as_str().into()), applications, sites, ..request_of(failover, Self::CLASS, place) })
    }

    fn compile(_: &Failover, facts: &Facts) -> Result<Plan<Action>> {
        compile(facts).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))
    }

    fn conclude(_: &Failover, _: &Facts, before: &DrillStatus, run: &RunOutcome<'_>) -> Conclusion<DrillStatus> {
        let promoted = run.summary.timeline.iter().any(|step| step.id.as_str() == "promote" && step.outcome == Outcome::Done);
        let there = ConditionUpdate::good(ConditionType::Committed, Reason::EpochAdvanced, "it goes forward only");
        let committed = if promoted { there } else { ConditionUpdate::bad(ConditionType::Committed, Reason::NotYet, "it can be aborted") };
        let succeeded = match &run.summary.result {
            None => ConditionUpdate::unknown(ConditionType::Succeeded, Reason::Running, run.current_steps()),
            Some((RunResult::Succeeded, ..)) => ConditionUpdate::good(ConditionType::Succeeded, Reason::Complete, ""),
            Some((_, reason, message)) => ConditionUpdate::bad(ConditionType::Succeeded, reason.clone(), message.clone()),
        };
        Conclusion { status: before.clone(), updates: vec![committed, succeeded], findings: Vec::new() }
    }
}

/// preflight → quiesce and stop everywhere → the new epoch → group by group start and checks → traffic; data flows to the standby from the beginning.
fn compile(facts: &Facts) -> std::result::Result<Plan<Action>, CompileError> {
    let step = |id| Step::new(id, Action::Ask {}, SignedDuration::from_mins(1)).retry(Retry::times(2));
    let preflight = StepKey::Preflight.id()?;
    let (mut steps, mut stops) = (vec![step(preflight.clone())], Vec::new());
    for (name, spec, ..) in facts.groups.iter().flatten() {
        let mut before = preflight.clone();
        if let (Some(hooks), Some(first)) = (&spec.hooks, spec.namespaces.first()) {
            let execute = |command: &ContainerCommand| Action::Execute { site: facts.from.clone(), namespace: first.clone(), command: command.clone() };
            let quiesce = StepKey::quiesce(name).id()?;
            steps.push(Step { action: execute(&hooks.quiesce), ..step(quiesce.clone()) }.after([preflight.clone()]).undo(execute(&hooks.resume)));
            before = quiesce;
        }
        let all = spec.namespaces.iter().map(|namespace| (namespace.clone(), Vec::new())).collect();
        let stop = Action::Stop { site: facts.from.clone(), namespaces: all };
        let again = Action::StartAgain { site: facts.from.clone(), namespaces: spec.namespaces.clone() };
        stops.push(Step { action: stop, ..step(StepKey::stop(name).id()?) }.after([before]).undo(again));
    }
    let epoch = StepId::new("promote")?;
    let promote = step(epoch.clone()).after(stops.iter().map(|stop| stop.id.clone())).point_of_no_return();
    steps.extend(stops.into_iter().chain([promote]));
    let (mut gate, mut namespaces) = (vec![epoch], Vec::new());
    for group in &facts.groups {
        let mut ends = Vec::new();
        for (name, spec, point, parts) in group {
            let first = spec.namespaces.first().cloned().unwrap_or_default();
            let subject = Subject { name, spec, point: point.clone(), claims: parts.iter().filter_map(|part| claim_of(part, &first)).collect() };
            let conflict = ConflictHandling::Policy(ConflictPolicy::Replace);
            let target = Target { site: &facts.to, rules: rules(spec), conflict };
            let gates = Gates { data: vec![preflight.clone()], start: gate.clone(), ..Gates::default() };
            let deadline = SignedDuration::from_mins(30);
            let fragment = bring_up(&BringUp { subject: &subject, target, gates, parts: Parts::all(), on_failure: OnFailure::Prompt, deadline })?;
            steps.extend(fragment.steps);
            ends.extend(fragment.ends);
            namespaces.extend(spec.namespaces.iter().cloned());
        }
        gate = ends;
    }
    steps.push(step(StepId::new("traffic")?).after(gate));
    steps.push(Step::new(StepKey::CleanUp.id()?, Action::RemoveMovers { site: facts.to.clone(), namespaces }, SignedDuration::from_mins(1)).finally());
    Ok(Plan::new(steps)?)
}

fn rules(spec: &ApplicationSpec) -> CopyRules {
    let namespaces = spec.namespaces.iter().map(|namespace| (namespace.clone(), namespace.clone())).collect();
    let (cron_jobs, labels) = (CronJobsInCopy::Run, BTreeMap::new());
    CopyRules { namespaces, stopped: true, cron_jobs, labels, ..CopyRules::default() }
}
