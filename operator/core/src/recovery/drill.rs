//! Compiles the steps of a drill. An isolated drill is the recovery itself, into isolated namespaces.

use crate::{
    engine::{OnFailure, Plan, Prompt, Retry, Step, StepId},
    names,
    protection::{
        backup::{Claim, CompileError, volume_method},
        choose::RecoveryPoint,
    },
    runs::{Action, Bubble, ConflictHandling, CopyRules, MoverTask, PreflightSubject},
    time::parse_duration,
};
use jiff::SignedDuration;
use p861_crds::{
    ApplicationSpec, LocalizedText, RecoveryPlanSpec, WorkloadReference,
    names::DRILL_LABEL,
    platform::application::VolumeMethod,
    protection::restore::RestoreSelection,
    recovery::{
        drill::DrillType,
        plan::{ExtraStep, FailurePolicy, Group, OnTimeout, RunKind},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// One application of the plan, with the backup that is used.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The Application's name.
    pub name: &'a str,
    /// The Application.
    pub spec: &'a ApplicationSpec,
    /// The backup.
    pub point: RecoveryPoint,
    /// Claims in the backup.
    pub claims: Vec<Claim>,
}

/// Everything that a drill's steps follow from.
#[derive(Clone, Debug)]
pub struct DrillFacts<'a> {
    /// How far it goes.
    pub drill_type: DrillType,
    /// Short id of the bubble.
    pub id: &'a str,
    /// The site where it is recovered.
    pub site: &'a str,
    /// The plan.
    pub plan: &'a RecoveryPlanSpec,
    /// Its applications.
    pub subjects: &'a [Subject<'a>],
    /// The copy is left standing this long.
    pub keep_for: SignedDuration,
}

/// Compiles a drill.
///
/// *Tabletop*: preflight alone. *Isolated*: preflight → bubble → per application objects, volumes, then tier by tier start and streams → checks and marker →
/// (left standing) → clean-up, which runs however the run ends. Data is brought for all applications at once; starting waits for the groups before.
pub fn compile(facts: &DrillFacts<'_>) -> Result<Plan<Action>, CompileError> {
    let bubble = bubble(facts);
    let subject = |s: &Subject<'_>| PreflightSubject {
        application: s.name.into(),
        backup: s.point.backup.clone(),
        repository: s.point.repository.clone(),
        snapshot: s.point.snapshot.clone(),
        time: s.point.time,
        level: s.point.level,
    };
    let subjects = facts.subjects.iter().map(subject).collect();
    let preflight = StepId::new("preflight")?;
    let mut steps =
        vec![Step::new(preflight.clone(), Action::Preflight { site: facts.site.into(), subjects }, SignedDuration::from_mins(2)).retry(Retry::times(2))];
    match facts.drill_type {
        DrillType::Tabletop => return Ok(Plan::new(steps)?),
        DrillType::Isolated => {}
        DrillType::Live => {
            return Err(CompileError::Invalid("a Live drill is a planned failover, which this release does not have: use type: Isolated".into()));
        }
    }
    let isolate = StepId::new("isolate")?;
    steps.push(
        Step::new(isolate.clone(), Action::Isolate { site: facts.site.into(), bubble: bubble.clone() }, SignedDuration::from_mins(2))
            .after([preflight])
            .retry(Retry::times(3)),
    );

    places_of_extra_steps(facts.plan)?;
    let mut compiler = Compiler { facts, bubble: &bubble, steps, isolate, group_ends: BTreeMap::new(), ends: Vec::new() };
    let opening = compiler.extra(|step| step.before.as_deref() == Some("Start"), &[compiler.isolate.clone()])?;
    let mut above: Option<&str> = None;
    for group in &facts.plan.groups {
        let before: Vec<String> = group.after.clone().unwrap_or_else(|| above.iter().map(|name| (*name).to_owned()).collect());
        compiler.group(group, &before, &opening)?;
        above = Some(&group.name);
    }
    compiler.extra_after_everything()?;
    let Compiler { mut steps, ends, .. } = compiler;
    if facts.keep_for > SignedDuration::ZERO {
        let text = LocalizedText {
            zh: Some("副本保留供人查看；可随时提前清理".into()),
            en: Some("The copy is left standing for people to look at; it can be cleaned up at any time".into()),
        };
        steps.push(
            Step::new(StepId::new("hold")?, Action::Ask {}, SignedDuration::from_mins(1))
                .once_settled(ends)
                .needs_person(Prompt::hold(text, facts.keep_for))
                .on_failure(OnFailure::Continue),
        );
    }
    steps.push(Step::new(StepId::new("clean-up")?, Action::RemoveBubble { site: facts.site.into(), bubble }, SignedDuration::from_mins(5)).finally());
    Ok(Plan::new(steps)?)
}

/// A step that would never come is a mistake: one at a group that isn't there, or one that is meant for isolated drills at a stage that they don't have.
fn places_of_extra_steps(plan: &RecoveryPlanSpec) -> Result<(), CompileError> {
    for step in &plan.steps {
        let (side, stage) = match (&step.before, &step.after) {
            (Some(stage), _) => ("before", stage),
            (None, Some(stage)) => ("after", stage),
            (None, None) => continue,
        };
        let known = match (side, stage.split_once('/')) {
            (_, Some(("Start", group))) if !plan.groups.iter().any(|known| known.name == group) => {
                let groups: Vec<&str> = plan.groups.iter().map(|group| group.name.as_str()).collect();
                return Err(CompileError::Invalid(format!("step {}: {side}: {stage} names no group of the plan; it has {}", step.name, groups.join(", "))));
            }
            (_, Some(_)) => true,
            ("before", None) => stage == "Start",
            (_, None) => stage == "Start" || stage == "Check",
        };
        if !known && step.runs.contains(&RunKind::IsolatedDrill) {
            let message = format!(
                "step {}: an isolated drill has nothing {side} {stage}; it has before: Start, after: Start, after: Check, and both of Start/<group>",
                step.name
            );
            return Err(CompileError::Invalid(message));
        }
    }
    Ok(())
}

/// The bubble of a drill: one namespace for each of the applications'.
pub fn bubble(facts: &DrillFacts<'_>) -> Bubble {
    let namespaces: BTreeMap<String, String> =
        facts.subjects.iter().flat_map(|s| &s.spec.namespaces).map(|namespace| (namespace.clone(), names::bubble_namespace(namespace, facts.id))).collect();
    let allow_egress: BTreeSet<String> =
        facts.subjects.iter().filter_map(|s| s.spec.isolation.as_ref()).flat_map(|isolation| isolation.allow_egress.clone()).collect();
    Bubble { id: facts.id.into(), namespaces, allow_egress: allow_egress.into_iter().collect() }
}

struct Compiler<'a> {
    facts: &'a DrillFacts<'a>,
    bubble: &'a Bubble,
    steps: Vec<Step<Action>>,
    isolate: StepId,
    /// Last steps of each group so far.
    group_ends: BTreeMap<String, Vec<StepId>>,
    /// Steps that nothing waits for yet.
    ends: Vec<StepId>,
}

impl Compiler<'_> {
    /// `opening` are the extra steps before everything that starts.
    fn group(&mut self, group: &Group, before: &[String], opening: &[StepId]) -> Result<(), CompileError> {
        let mut gates = opening.to_vec();
        for name in before {
            let ends = self
                .group_ends
                .get(name)
                .ok_or_else(|| CompileError::Invalid(format!("group {} comes after {name}, which is not a group above it in spec.groups", group.name)))?;
            gates.extend(ends.clone());
        }
        let stage = format!("Start/{}", group.name);
        let before_start = self.extra(|step| step.before.as_deref() == Some(&stage), &gates)?;
        if !before_start.is_empty() {
            gates = before_start;
        }
        let mut ends = Vec::new();
        for member in &group.members {
            let name = &member.application_ref.name;
            let subject = self
                .facts
                .subjects
                .iter()
                .find(|subject| subject.name == name)
                .ok_or_else(|| CompileError::Invalid(format!("application {name} of group {} is not there: kubectl get applications", group.name)))?
                .clone();
            ends.extend(self.application(&subject, group, &gates)?);
        }
        let after_start = self.extra(|step| step.after.as_deref() == Some(&stage), &ends)?;
        ends.extend(after_start);
        self.ends.extend(ends.clone());
        self.group_ends.insert(group.name.clone(), ends);
        Ok(())
    }

    /// The steps of one application; returns those that end it.
    #[expect(clippy::too_many_lines, reason = "the compilers of restores and drills become one")]
    fn application(&mut self, subject: &Subject<'_>, group: &Group, gates: &[StepId]) -> Result<Vec<StepId>, CompileError> {
        let facts = self.facts;
        let spec = subject.spec;
        let site = facts.site.to_owned();
        let first = spec.namespaces.first().ok_or_else(|| CompileError::Invalid(format!("application {}: spec.namespaces is empty", subject.name)))?;
        let in_bubble = |namespace: Option<&String>| self.bubble.namespaces.get(namespace.unwrap_or(first)).cloned().unwrap_or_default();
        let home = in_bubble(None);
        let deadline = parse_duration(&group.deadline.0)?;
        let on_failure = match group.on_failure {
            FailurePolicy::Prompt => OnFailure::Prompt,
            FailurePolicy::Continue => OnFailure::Continue,
            FailurePolicy::Abort => OnFailure::Abort,
        };
        let namespaces: Vec<String> = spec.namespaces.iter().map(|n| in_bubble(Some(n))).collect();
        let mover = |namespace: &str, claim: Option<String>, task: MoverTask| Action::Move {
            site: site.clone(),
            namespace: namespace.into(),
            claim,
            namespaces: namespaces.clone(),
            task,
        };
        let step = |id: StepId, action: Action| Step::new(id, action, deadline).on_failure(on_failure);
        let mut made: Vec<Step<Action>> = Vec::new();

        // A damaged backup is found before anything is built on it.
        let verify = StepId::of(&["verify", subject.name])?;
        made.push(
            step(verify.clone(), mover(&home, None, MoverTask::VerifyStored { snapshot: Some(subject.point.snapshot.clone()) }))
                .after([self.isolate.clone()])
                .retry(Retry::times(2))
                .on_failure(OnFailure::Abort),
        );
        let objects = StepId::of(&["restore", subject.name, "objects"])?;
        let rules = CopyRules {
            namespaces: self.bubble.namespaces.iter().filter(|(from, _)| spec.namespaces.contains(from)).map(|(from, to)| (from.clone(), to.clone())).collect(),
            storage_classes: Vec::new(),
            images: Vec::new(),
            isolated: true,
            stopped: true,
            cron_jobs: spec.isolation.as_ref().map(|isolation| isolation.cron_jobs).unwrap_or_default(),
            labels: BTreeMap::from([(DRILL_LABEL.to_owned(), facts.id.to_owned())]),
        };
        let task = MoverTask::RestoreObjects {
            snapshot: subject.point.snapshot.clone(),
            rules,
            select: RestoreSelection::default(),
            workloads: Vec::new(),
            conflict: ConflictHandling::Own,
            preview: false,
        };
        made.push(step(objects.clone(), mover(&home, None, task)).after([verify]).retry(Retry::times(3)));

        let mut data = vec![objects.clone()];
        for claim in subject.claims.iter().filter(|claim| volume_method(spec, &claim.name) != VolumeMethod::Skip) {
            let part = names::volume_part(first, &claim.namespace, &claim.name);
            let id = StepId::of(&["restore", subject.name, "volume", part.strip_prefix("volumes/").unwrap_or(&part)])?;
            let task = MoverTask::RestoreVolume { snapshot: subject.point.snapshot.clone(), part, paths: Vec::new(), path_prefix: None };
            made.push(
                step(id.clone(), mover(&in_bubble(Some(&claim.namespace)), Some(claim.name.clone()), task)).after([objects.clone()]).retry(Retry::times(3)),
            );
            data.push(id);
        }

        let mut gate: Vec<StepId> = data.into_iter().chain(gates.iter().cloned()).collect();
        let place = |workload: &WorkloadReference| (in_bubble(workload.namespace.as_ref()), WorkloadReference { namespace: None, ..workload.clone() });
        let mut streams: Vec<_> = spec.streams.iter().collect();
        for tier in &spec.tiers {
            let mut workloads: BTreeMap<String, Vec<WorkloadReference>> = BTreeMap::new();
            for (namespace, workload) in tier.workload_refs.iter().map(place) {
                workloads.entry(namespace).or_default().push(workload);
            }
            let id = StepId::of(&["start", subject.name, &tier.name])?;
            made.push(step(id.clone(), Action::Start { site: site.clone(), workloads }).after(std::mem::take(&mut gate)).retry(Retry::times(2)));
            gate.push(id);
            let (now, later): (Vec<_>, Vec<_>) = streams.into_iter().partition(|stream| tier.workload_refs.contains(&stream.workload_ref));
            streams = later;
            gate = self.streams(subject, &now, &gate, &mover, &step, &mut made)?;
        }
        // What no tier lists starts last; an empty list means all that still stand still.
        let rest = StepId::of(&["start", subject.name, "rest"])?;
        let everywhere = spec.namespaces.iter().map(|n| (in_bubble(Some(n)), Vec::new())).collect();
        made.push(step(rest.clone(), Action::Start { site: site.clone(), workloads: everywhere }).after(gate).retry(Retry::times(2)));
        let ready = self.streams(subject, &streams, &[rest], &mover, &step, &mut made)?;

        let mut ends = Vec::new();
        if let Some(marker) = &spec.marker {
            let id = StepId::of(&["marker", subject.name])?;
            let action = Action::ReadMarker { site: site.clone(), namespace: in_bubble(marker.workload_ref.namespace.as_ref()), marker: marker.clone() };
            made.push(Step::new(id.clone(), action, SignedDuration::from_mins(2)).after(ready.clone()).retry(Retry::times(3)).on_failure(OnFailure::Continue));
            ends.push(id);
        }
        for check in &spec.checks {
            let id = StepId::of(&["check", subject.name, &check.name])?;
            let namespace =
                check.exec.as_ref().map(|e| &e.workload_ref).or(check.condition.as_ref().map(|c| &c.workload_ref)).and_then(|w| w.namespace.as_ref());
            let action = Action::Check { site: site.clone(), namespace: in_bubble(namespace), check: check.clone() };
            // The effect fails at the check's deadline with the last observation; the engine's later deadline is only a safety net.
            let deadline = parse_duration(&check.deadline.0)? + SignedDuration::from_secs(30);
            made.push(Step::new(id.clone(), action, deadline).after(ready.clone()).on_failure(OnFailure::Continue));
            ends.push(id);
        }
        if ends.is_empty() {
            ends = ready;
        }
        self.steps.extend(made);
        Ok(ends)
    }

    /// Streams are fed to running containers; returns what the next tier waits for.
    fn streams(
        &self,
        subject: &Subject<'_>,
        streams: &[&p861_crds::platform::application::Stream],
        gate: &[StepId],
        mover: &dyn Fn(&str, Option<String>, MoverTask) -> Action,
        step: &dyn Fn(StepId, Action) -> Step<Action>,
        made: &mut Vec<Step<Action>>,
    ) -> Result<Vec<StepId>, CompileError> {
        let mut next = gate.to_vec();
        for stream in streams {
            let from = stream.workload_ref.namespace.as_ref().or(subject.spec.namespaces.first());
            let namespace = from.and_then(|n| self.bubble.namespaces.get(n)).cloned().unwrap_or_default();
            let id = StepId::of(&["restore", subject.name, "stream", &stream.name])?;
            let task = MoverTask::RestoreStream {
                snapshot: subject.point.snapshot.clone(),
                part: format!("streams/{}", stream.name),
                namespace: namespace.clone(),
                workload_ref: WorkloadReference { namespace: None, ..stream.workload_ref.clone() },
                container: stream.container.clone(),
                restore: stream.restore.clone(),
            };
            made.push(step(id.clone(), mover(&namespace, None, task)).after(gate.to_vec()).retry(Retry::times(2)));
            next.push(id);
        }
        Ok(next)
    }

    /// Extra steps of the plan that are part of an isolated drill and match, after `gate`.
    fn extra(&mut self, matches: impl Fn(&ExtraStep) -> bool, gate: &[StepId]) -> Result<Vec<StepId>, CompileError> {
        let mut ids = Vec::new();
        let plan = self.facts.plan;
        for extra in plan.steps.iter().filter(|step| matches(step) && (step.runs.is_empty() || step.runs.contains(&RunKind::IsolatedDrill))) {
            let id = StepId::new(extra.name.clone())?;
            let on_failure = match extra.on_failure {
                FailurePolicy::Prompt => OnFailure::Prompt,
                FailurePolicy::Continue => OnFailure::Continue,
                FailurePolicy::Abort => OnFailure::Abort,
            };
            let attempts = u32::try_from(extra.retries).unwrap_or(0) + 1;
            let (action, prompt) = match (&extra.exec, &extra.prompt) {
                (Some(exec), _) => {
                    let home = self.facts.subjects.iter().find(|s| s.name == exec.application_ref.name).and_then(|s| s.spec.namespaces.first());
                    let namespace = exec.command.workload_ref.namespace.as_ref().or(home).and_then(|n| self.bubble.namespaces.get(n)).cloned();
                    let namespace = namespace
                        .ok_or_else(|| CompileError::Invalid(format!("step {}: application {} is not in the plan", extra.name, exec.application_ref.name)))?;
                    (Action::Execute { site: self.facts.site.into(), namespace, command: exec.command.clone() }, None)
                }
                (None, Some(prompt)) => {
                    let on_timeout = match prompt.on_timeout {
                        OnTimeout::Continue => crate::engine::OnTimeout::Continue,
                        OnTimeout::Fail => crate::engine::OnTimeout::Fail,
                    };
                    (Action::Ask {}, Some(Prompt::new(prompt.text.clone()).within(parse_duration(&prompt.timeout.0)?, on_timeout)))
                }
                (None, None) => continue,
            };
            let gate = if gate.is_empty() { vec![self.isolate.clone()] } else { gate.to_vec() };
            let mut step = Step::new(id.clone(), action, parse_duration(&extra.deadline.0)?).after(gate).retry(Retry::times(attempts)).on_failure(on_failure);
            step.needs_person = prompt;
            self.steps.push(step);
            ids.push(id);
        }
        Ok(ids)
    }

    /// Extra steps after Start or Check: once all groups have ended. Stages that an isolated drill doesn't have (Traffic, Fence …) have no place in it.
    fn extra_after_everything(&mut self) -> Result<(), CompileError> {
        let gate = self.ends.clone();
        let ids = self.extra(|step| matches!(step.after.as_deref(), Some("Start" | "Check")), &gate)?;
        self.ends.extend(ids);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
