//! Compiles the steps of a drill. An isolated drill is the recovery itself, into isolated namespaces.

use super::{
    bring_up::{BringUp, Fragment, Gates, Parts, Subject, Target, bring_up},
    ground::Ground,
};
use crate::{
    engine::{LONGEST_EXTENDED, OnFailure, Plan, Prompt, Retry, Step, StepId},
    ids::SiteName,
    isolation::{AllowedEgress, Entrypoint},
    names, objects,
    runs::{Action, Bubble, CompileError, ConflictHandling, CopyRules, PreflightSubject, StepKey},
    time::{human_duration, parse_duration},
};
use jiff::SignedDuration;
use p861_crds::{
    LocalizedText, RecoveryPlanSpec,
    names::DRILL_LABEL,
    platform::application::{CopyKind, CopyPatch},
    recovery::{
        drill::DrillType,
        plan::{ExtraStep, Group, StepScope},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// How long the proof of the isolation may take: its pods are of the smallest, but a node may have to fetch their image.
const PROOF_DEADLINE: SignedDuration = SignedDuration::from_mins(5);

/// The longest that a drill may take, and that its copy may be kept, with all extensions: a copy holds the data of production.
pub const LONGEST_DRILL: SignedDuration = LONGEST_EXTENDED;

/// Checks how long a drill may take (`spec.deadline`) and its copy be kept (`spec.keepFor`).
///
/// # Errors
/// [`CompileError`] that names the field.
pub fn check_times(deadline: SignedDuration, keep_for: SignedDuration) -> Result<(), CompileError> {
    if !deadline.is_positive() {
        return Err(CompileError::Invalid("spec.deadline: a drill takes longer than 0s: say how long it may take, for example 4h".into()));
    }
    for (field, time) in [("deadline", deadline), ("keepFor", keep_for)] {
        if time > LONGEST_DRILL {
            let (asked, longest) = (human_duration(time), human_duration(LONGEST_DRILL));
            let message = format!("spec.{field}: {asked} is more than {longest} (30 days), the longest that a drill and its copy may last: ask for less");
            return Err(CompileError::Invalid(message));
        }
    }
    Ok(())
}

/// Everything that a drill's steps follow from.
#[derive(Clone, Debug)]
pub struct DrillFacts<'a> {
    /// How far it goes.
    pub drill_type: DrillType,
    /// Short id of the bubble.
    pub id: &'a str,
    /// The site where it is recovered.
    pub site: &'a SiteName,
    /// The plan.
    pub plan: &'a RecoveryPlanSpec,
    /// Its applications.
    pub subjects: &'a [Subject<'a>],
    /// The copy is left standing this long.
    pub keep_for: SignedDuration,
    /// What is known of the sites.
    pub ground: &'a Ground,
}

/// Compiles a drill.
///
/// *Tabletop*: preflight alone. *Isolated*: preflight → bubble → proof that it is closed → per application objects, volumes, then tier by tier start and streams →
/// checks and marker → (left standing) → clean-up, which runs however the run ends. Data is brought for all applications at once; starting waits for the groups
/// before. Backups are verified beside the proof.
///
/// # Errors
/// [`CompileError`] if a duration, a patch, a kind or an allowed connection can't be read, or the steps are no valid plan.
pub fn compile(facts: &DrillFacts<'_>) -> Result<Plan<Action>, CompileError> {
    let bubble = bubble(facts)?;
    let subjects = facts.subjects.iter().map(|subject| preflight_subject(facts, subject)).collect();
    let preflight = StepKey::Preflight.id()?;
    let mut steps =
        vec![Step::new(preflight.clone(), Action::Preflight { site: facts.site.clone(), subjects }, SignedDuration::from_mins(2)).retry(Retry::times(2))];
    match facts.drill_type {
        DrillType::Tabletop => return Ok(Plan::new(steps)?),
        DrillType::Isolated => {}
        DrillType::Live => {
            return Err(CompileError::Invalid("a Live drill is a planned failover, which this release does not have: use type: Isolated".into()));
        }
    }
    let isolate = StepKey::Isolate.id()?;
    steps.push(
        Step::new(isolate.clone(), Action::Isolate { site: facts.site.clone(), bubble: bubble.clone() }, SignedDuration::from_mins(2))
            .after([preflight])
            .retry(Retry::times(3)),
    );
    let proven = StepKey::ProveIsolation.id()?;
    steps.push(
        Step::new(proven.clone(), Action::ProveIsolation { site: facts.site.clone(), bubble: bubble.clone() }, PROOF_DEADLINE)
            .after([isolate.clone()])
            .retry(Retry::times(3)),
    );

    places_of_extra_steps(facts.plan)?;
    let mut compiler = Compiler { facts, bubble: &bubble, steps, isolate, proven, group_ends: BTreeMap::new(), ends: Vec::new() };
    let opening = compiler.extra(|step| step.before.as_deref() == Some("Start"), &[compiler.proven.clone()])?;
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
            zh: Some("现在清理副本吗？回答“否”则保留到期满".into()),
            en: Some("Clean up now? No keeps the copy until its time is over".into()),
        };
        steps.push(
            Step::new(StepKey::Hold.id()?, Action::Ask {}, SignedDuration::from_mins(1))
                .once_settled(ends)
                .needs_person(Prompt::hold(text, facts.keep_for))
                .on_failure(OnFailure::Continue),
        );
    }
    steps.push(Step::new(StepKey::CleanUp.id()?, Action::RemoveBubble { site: facts.site.clone(), bubble }, SignedDuration::from_mins(5)).finally());
    Ok(Plan::new(steps)?)
}

/// The patches of an application's copy.
fn patches(subject: &Subject<'_>) -> Result<Vec<CopyPatch>, CompileError> {
    let patches = subject.spec.isolation.as_ref().map(|isolation| isolation.patches.clone()).unwrap_or_default();
    for (at, patch) in patches.iter().enumerate() {
        if let Some(why) = objects::refused_patch(patch) {
            return Err(CompileError::Invalid(format!("application {}: {}: {why}", subject.name, objects::told_patch(at, patch))));
        }
    }
    Ok(patches)
}

/// What the preflight looks at for an application.
fn preflight_subject(facts: &DrillFacts<'_>, subject: &Subject<'_>) -> PreflightSubject {
    let moved = facts.ground.from_backup(&subject.point, facts.site);
    let (classes, classes_unknown) = facts.ground.classes_of(subject.name, &moved);
    PreflightSubject {
        application: subject.name.into(),
        backup: subject.point.backup.clone(),
        repository: subject.point.repository.clone(),
        snapshot: subject.point.snapshot.clone(),
        time: subject.point.time,
        level: subject.point.level,
        classes,
        classes_unknown,
        images: moved.images,
    }
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
                return Err(CompileError::Invalid(if groups.is_empty() {
                    format!("step {}: {side}: {stage} names no group of the plan; it has no groups", step.name)
                } else {
                    format!("step {}: {side}: {stage} names no group of the plan; it has {}", step.name, groups.join(", "))
                }));
            }
            (_, Some(_)) => true,
            ("before", None) => stage == "Start",
            (_, None) => stage == "Start" || stage == "Check",
        };
        if !known && step.runs.contains(&StepScope::IsolatedDrill) {
            let message = format!(
                "step {}: an isolated drill has nothing {side} {stage}; it has before: Start, after: Start, after: Check, and both of Start/<group>",
                step.name
            );
            return Err(CompileError::Invalid(message));
        }
    }
    Ok(())
}

/// The kinds that an application's copy gets besides the harmless ones.
fn kinds(subject: &Subject<'_>) -> Result<Vec<CopyKind>, CompileError> {
    let kinds = subject.spec.isolation.as_ref().map(|isolation| isolation.kinds.clone()).unwrap_or_default();
    match kinds.iter().find_map(objects::refused_kind) {
        Some(why) => Err(CompileError::Invalid(format!("application {}: spec.isolation.kinds: {why}", subject.name))),
        None => Ok(kinds),
    }
}

/// The bubble of a drill: one namespace for each of the applications', what it may connect to, and the names of entrypoints that mean it.
///
/// # Errors
/// [`CompileError`] if an entry of `spec.isolation.allowEgress` is neither a network nor a name.
pub fn bubble(facts: &DrillFacts<'_>) -> Result<Bubble, CompileError> {
    let copy_of = |namespace: &str| names::bubble_namespace(namespace, facts.id);
    let namespaces: BTreeMap<String, String> =
        facts.subjects.iter().flat_map(|s| &s.spec.namespaces).map(|namespace| (namespace.clone(), copy_of(namespace))).collect();
    let mut allow_egress = BTreeSet::new();
    let mut entrypoints = Vec::new();
    for subject in facts.subjects {
        let allowed = subject.spec.isolation.as_ref().map(|isolation| isolation.allow_egress.as_slice()).unwrap_or_default();
        AllowedEgress::of(allowed).map_err(|why| CompileError::Invalid(format!("application {}: spec.isolation.allowEgress: {why}", subject.name)))?;
        allow_egress.extend(allowed.iter().cloned());
        let Some(first) = subject.spec.namespaces.first() else { continue };
        let of_subject = subject.spec.entrypoints.iter();
        entrypoints.extend(of_subject.map(|entrypoint| Entrypoint {
            hostname: entrypoint.hostname.trim_end_matches('.').to_ascii_lowercase(),
            namespace: copy_of(first),
            service: entrypoint.service_name.clone(),
        }));
    }
    Ok(Bubble { id: facts.id.into(), namespaces, allow_egress: allow_egress.into_iter().collect(), entrypoints })
}

struct Compiler<'a> {
    facts: &'a DrillFacts<'a>,
    bubble: &'a Bubble,
    steps: Vec<Step<Action>>,
    isolate: StepId,
    /// The proof that the bubble is closed.
    proven: StepId,
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

    /// The steps of one application in the bubble; returns those that end it.
    fn application(&mut self, subject: &Subject<'_>, group: &Group, gates: &[StepId]) -> Result<Vec<StepId>, CompileError> {
        let spec = subject.spec;
        let moved = self.facts.ground.from_backup(&subject.point, self.facts.site);
        let rules = CopyRules {
            namespaces: self.bubble.namespaces.iter().filter(|(from, _)| spec.namespaces.contains(from)).map(|(from, to)| (from.clone(), to.clone())).collect(),
            storage_classes: moved.storage_classes,
            images: moved.images,
            isolated: true,
            stopped: true,
            cron_jobs: spec.isolation.as_ref().map(|isolation| isolation.cron_jobs).unwrap_or_default(),
            patches: patches(subject)?,
            kinds: kinds(subject)?,
            // Known once the bubble is proven to be closed.
            resolver: Vec::new(),
            labels: BTreeMap::from([(DRILL_LABEL.to_owned(), self.facts.id.to_owned())]),
        };
        let Fragment { steps, ends } = bring_up(&BringUp {
            subject,
            target: Target { site: self.facts.site, rules, conflict: ConflictHandling::Own },
            gates: Gates { data: vec![self.isolate.clone()], objects: vec![self.proven.clone()], start: gates.to_vec() },
            parts: Parts::all(),
            on_failure: group.on_failure.into(),
            deadline: parse_duration(&group.deadline.0)?,
        })?;
        self.steps.extend(steps);
        Ok(ends)
    }

    /// Extra steps of the plan that are part of an isolated drill and match, after `gate`.
    fn extra(&mut self, matches: impl Fn(&ExtraStep) -> bool, gate: &[StepId]) -> Result<Vec<StepId>, CompileError> {
        let mut ids = Vec::new();
        let plan = self.facts.plan;
        for extra in plan.steps.iter().filter(|step| matches(step) && (step.runs.is_empty() || step.runs.contains(&StepScope::IsolatedDrill))) {
            let id = StepKey::extra(&extra.name).id()?;
            let attempts = u32::try_from(extra.retries).unwrap_or(0) + 1;
            let (action, prompt) = match (&extra.exec, &extra.prompt) {
                (Some(exec), _) => {
                    let home = self.facts.subjects.iter().find(|s| s.name == exec.application_ref.name).and_then(|s| s.spec.namespaces.first());
                    let namespace = exec.command.workload_ref.namespace.as_ref().or(home).and_then(|n| self.bubble.namespaces.get(n)).cloned();
                    let namespace = namespace
                        .ok_or_else(|| CompileError::Invalid(format!("step {}: application {} is not in the plan", extra.name, exec.application_ref.name)))?;
                    (Action::Execute { site: self.facts.site.clone(), namespace, command: exec.command.clone() }, None)
                }
                (None, Some(prompt)) => {
                    (Action::Ask {}, Some(Prompt::new(prompt.text.clone()).within(parse_duration(&prompt.timeout.0)?, prompt.on_timeout.into())))
                }
                (None, None) => continue,
            };
            let gate = if gate.is_empty() { vec![self.proven.clone()] } else { gate.to_vec() };
            let mut step =
                Step::new(id.clone(), action, parse_duration(&extra.deadline.0)?).after(gate).retry(Retry::times(attempts)).on_failure(extra.on_failure.into());
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
