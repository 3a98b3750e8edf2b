//! The steps of a restore.

use super::backup::{Claim, CompileError, volume_method};
use crate::{
    engine::{OnFailure, Plan, Retry, Step, StepId},
    names,
    protection::choose::RecoveryPoint,
    runs::{Action, ConflictHandling, CopyRules, MoverTask},
};
use jiff::SignedDuration;
use p861_crds::{
    ApplicationSpec, RestoreSpec, WorkloadReference,
    platform::application::{CronJobsInCopy, Stream, VolumeMethod},
    protection::restore::RestoreMode,
};
use std::collections::BTreeMap;

/// Everything that a restore's steps follow from.
#[derive(Clone, Debug)]
pub struct RestoreFacts<'a> {
    /// The Restore.
    pub spec: &'a RestoreSpec,
    /// The Application.
    pub application: &'a ApplicationSpec,
    /// The site restored to.
    pub site: &'a str,
    /// The backup.
    pub point: &'a RecoveryPoint,
    /// Claims in the backup.
    pub claims: &'a [Claim],
    /// How long the restore may take in all.
    pub deadline: SignedDuration,
}

/// Namespace in the backup → namespace written to.
pub fn namespaces(facts: &RestoreFacts<'_>) -> BTreeMap<String, String> {
    let mappings = &facts.spec.target.namespace_mappings;
    let target =
        |namespace: &String| mappings.iter().find(|mapping| mapping.from == *namespace).map_or_else(|| namespace.clone(), |mapping| mapping.to.clone());
    facts.application.namespaces.iter().map(|namespace| (namespace.clone(), target(namespace))).collect()
}

/// Compiles a restore: verify, objects, volumes, then tier by tier start and streams. A preview says what the objects step would do, and writes nothing.
///
/// With `select.files`, only files are written. With other selections, volumes and streams are left alone.
pub fn compile(facts: &RestoreFacts<'_>) -> Result<Plan<Action>, CompileError> {
    let (spec, application) = (facts.spec, facts.application);
    let targets = namespaces(facts);
    let first = application.namespaces.first().ok_or_else(|| CompileError::Invalid("the application has no namespaces".into()))?;
    let into = |namespace: Option<&String>| targets.get(namespace.unwrap_or(first)).cloned().unwrap_or_default();
    let home = into(None);
    let preview = spec.mode == RestoreMode::Preview;
    let all: Vec<String> = targets.values().cloned().collect();
    let mover = |namespace: &str, claim: Option<String>, task: MoverTask| Action::Move {
        site: facts.site.into(),
        namespace: namespace.into(),
        claim,
        namespaces: all.clone(),
        task,
    };
    let step = |id: StepId, action: Action| Step::new(id, action, facts.deadline).on_failure(OnFailure::Abort);
    let snapshot = || facts.point.snapshot.clone();
    let only_files = !spec.select.files.is_empty();
    let selective = !spec.select.tiers.is_empty() || !spec.select.resources.is_empty();

    let verify = StepId::new("verify")?;
    let mut steps = vec![step(verify.clone(), mover(&home, None, MoverTask::VerifyStored { snapshot: Some(snapshot()) })).retry(Retry::times(2))];
    let mut gate = vec![verify.clone()];
    if !only_files {
        let rules = CopyRules {
            namespaces: targets.clone(),
            storage_classes: spec.target.storage_class_mappings.clone(),
            images: spec.target.image_mappings.clone(),
            isolated: false,
            // A whole application is started in order; selected objects come as they were.
            stopped: !selective,
            cron_jobs: CronJobsInCopy::Run,
            labels: BTreeMap::new(),
        };
        let id = StepId::new("objects")?;
        let task = MoverTask::RestoreObjects {
            snapshot: snapshot(),
            rules,
            select: spec.select.clone(),
            workloads: workloads_of_tiers(application, &spec.select.tiers, first)?,
            conflict: ConflictHandling::Policy(spec.conflict_policy),
            preview,
        };
        steps.push(step(id.clone(), mover(&home, None, task)).after([verify]).retry(Retry::times(3)));
        gate = vec![id];
    }
    if !preview && !selective {
        let chosen = |claim: &&Claim| {
            if only_files { spec.select.files.iter().any(|f| f.claim == claim.name) } else { volume_method(application, &claim.name) != VolumeMethod::Skip }
        };
        let mut data = Vec::new();
        for claim in facts.claims.iter().filter(chosen) {
            let part = names::volume_part(first, &claim.namespace, &claim.name);
            let id = StepId::of(&["files", part.strip_prefix("volumes/").unwrap_or(&part)])?;
            let paths = spec.select.files.iter().find(|f| f.claim == claim.name).map(|f| f.paths.clone()).unwrap_or_default();
            let task = MoverTask::RestoreVolume { snapshot: snapshot(), part, paths, path_prefix: spec.target.path_prefix.clone() };
            steps.push(step(id.clone(), mover(&into(Some(&claim.namespace)), Some(claim.name.clone()), task)).after(gate.clone()).retry(Retry::times(3)));
            data.push(id);
        }
        if only_files && data.is_empty() {
            let known: Vec<&str> = facts.claims.iter().map(|c| c.name.as_str()).collect();
            return Err(CompileError::Invalid(format!("select.files names no claim of the backup; it has {}", known.join(", "))));
        }
        gate.extend(data);
        if !only_files {
            start(facts, &into, &mover, &step, gate, &mut steps)?;
        }
    }
    steps.push(
        Step::new(StepId::new("clean-up")?, Action::RemoveMovers { site: facts.site.into(), namespaces: all.clone() }, SignedDuration::from_mins(2)).finally(),
    );
    Ok(Plan::new(steps)?)
}

/// The workloads of the selected tiers, each with its namespace; none if no tier is selected.
fn workloads_of_tiers(application: &ApplicationSpec, tiers: &[String], first: &str) -> Result<Vec<WorkloadReference>, CompileError> {
    let mut found = Vec::new();
    for name in tiers {
        let tier = application.tiers.iter().find(|tier| tier.name == *name).ok_or_else(|| {
            let known: Vec<&str> = application.tiers.iter().map(|tier| tier.name.as_str()).collect();
            CompileError::Invalid(format!("select.tiers names {name}, which is no tier of the application; it has {}", known.join(", ")))
        })?;
        found.extend(
            tier.workload_refs
                .iter()
                .map(|workload| WorkloadReference { namespace: Some(workload.namespace.clone().unwrap_or_else(|| first.to_owned())), ..workload.clone() }),
        );
    }
    Ok(found)
}

/// Tier by tier: start, then feed the streams of the tier.
fn start(
    facts: &RestoreFacts<'_>,
    into: &dyn Fn(Option<&String>) -> String,
    mover: &dyn Fn(&str, Option<String>, MoverTask) -> Action,
    step: &dyn Fn(StepId, Action) -> Step<Action>,
    mut gate: Vec<StepId>,
    steps: &mut Vec<Step<Action>>,
) -> Result<(), CompileError> {
    let application = facts.application;
    let place = |workload: &WorkloadReference| (into(workload.namespace.as_ref()), WorkloadReference { namespace: None, ..workload.clone() });
    let feed = |streams: &[&Stream], gate: &[StepId], steps: &mut Vec<Step<Action>>| -> Result<Vec<StepId>, CompileError> {
        let mut next = gate.to_vec();
        for stream in streams {
            let (namespace, workload_ref) = place(&stream.workload_ref);
            let id = StepId::of(&["stream", &stream.name])?;
            let task = MoverTask::RestoreStream {
                snapshot: facts.point.snapshot.clone(),
                part: format!("streams/{}", stream.name),
                namespace: namespace.clone(),
                workload_ref,
                container: stream.container.clone(),
                restore: stream.restore.clone(),
            };
            steps.push(step(id.clone(), mover(&namespace, None, task)).after(gate.to_vec()).retry(Retry::times(2)));
            next.push(id);
        }
        Ok(next)
    };
    let mut streams: Vec<&Stream> = application.streams.iter().collect();
    for tier in &application.tiers {
        let mut workloads: BTreeMap<String, Vec<WorkloadReference>> = BTreeMap::new();
        for (namespace, workload) in tier.workload_refs.iter().map(place) {
            workloads.entry(namespace).or_default().push(workload);
        }
        let id = StepId::of(&["start", &tier.name])?;
        steps.push(step(id.clone(), Action::Start { site: facts.site.into(), workloads }).after(gate).retry(Retry::times(2)));
        let (now, later): (Vec<_>, Vec<_>) = streams.into_iter().partition(|stream| tier.workload_refs.contains(&stream.workload_ref));
        streams = later;
        gate = feed(&now, &[id], steps)?;
    }
    let rest = StepId::new("start/rest")?;
    let everywhere = application.namespaces.iter().map(|namespace| (into(Some(namespace)), Vec::new())).collect();
    steps.push(step(rest.clone(), Action::Start { site: facts.site.into(), workloads: everywhere }).after(gate).retry(Retry::times(2)));
    feed(&streams, &[rest], steps)?;
    Ok(())
}
