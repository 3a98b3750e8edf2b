//! The steps that bring one application up from a backup: shared by a restore, a drill and a failover, which differ only in where, when and how much.

use crate::{
    engine::{OnFailure, Retry, Step, StepId},
    ids::{SiteName, SnapshotId},
    names,
    objects::ClusterKind,
    protection::{
        backup::{Claim, cluster_resources, is_skipped},
        choose::RecoveryPoint,
    },
    runs::{Action, CompileError, ConflictHandling, CopyRules, ExtraFiles, MoverTask, ObjectsMode, RefusedFiles, StepKey},
    time::parse_duration,
};
use jiff::SignedDuration;
use p861_crds::{
    ApplicationSpec, WorkloadReference,
    platform::application::{Check, ClusterResource, Stream, Tier},
    protection::restore::{ConflictPolicy, FileSelection, RestoreSelection},
};
use std::collections::BTreeMap;

/// How long one reading of a marker may take.
const MARKER_DEADLINE: SignedDuration = SignedDuration::from_mins(2);
/// How long it may take until nothing can write any more: pods may have long grace periods, and the application is down meanwhile.
const STOP_DEADLINE: SignedDuration = SignedDuration::from_hours(1);
/// The engine waits this much longer than a check's own deadline: the check gives up first, and says what it saw last.
pub const CHECK_MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// One application, with the backup that it is brought up from.
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

/// Where the application is brought up.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// The site.
    pub site: &'a SiteName,
    /// How objects differ from those in the backup, with the labels that they get. The namespace mapping in it holds for volumes, workloads and checks too.
    pub rules: CopyRules,
    /// What is done about objects that exist already.
    pub conflict: ConflictHandling,
}

/// Steps of the run that must be done first.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// Before the first step of the application: anything that its movers need, for example the namespaces of a drill.
    pub data: Vec<StepId>,
    /// Before the first object is written, besides the verification of the backup: for example the proof that a copy is closed.
    pub objects: Vec<StepId>,
    /// Before any workload starts, besides the application's own data: for example the groups before it, or a point of no return.
    pub start: Vec<StepId>,
}

/// Which objects are restored.
#[derive(Clone, Debug, Default)]
pub struct ObjectParts {
    /// Which kinds; all when empty.
    pub select: RestoreSelection,
    /// Which workloads; all when empty. Each with its namespace.
    pub workloads: Vec<WorkloadReference>,
    /// Say what would be done, and write nothing.
    pub preview: bool,
}

/// Which volumes are restored.
#[derive(Clone, Debug, Default)]
pub struct VolumeParts {
    /// Which files of which claims. When empty: all of every claim that the application doesn't skip.
    pub files: Vec<FileSelection>,
    /// Files go under this path of their volume, and replace nothing.
    pub path_prefix: Option<String>,
    /// Files that the backup doesn't have stay. Otherwise a whole claim becomes what it is in the backup.
    pub keep_extra_files: bool,
    /// Say what would be done to the claims that are there, and write nothing.
    pub preview: bool,
    /// Claims of the target that are there and can be looked into.
    pub present: Vec<Claim>,
    /// Claims of the target that are there and can't be looked into.
    pub hidden: Vec<Claim>,
    /// Namespaces of the target in which a whole claim that is there is no place for a restore, unless its files are those of the backup.
    pub refuses_in: Vec<String>,
}

impl VolumeParts {
    /// What of a claim's files ends the restore before anything is stopped, and whether the claim must be mounted to know; none if nothing does, or if the claim isn't
    /// there.
    fn refuses(&self, claim: &Claim, paths: &[String]) -> Option<(RefusedFiles, bool)> {
        let whole = paths.is_empty() && self.path_prefix.is_none();
        if self.hidden.contains(claim) {
            return (!paths.is_empty()).then_some((RefusedFiles::MissingPaths, false));
        }
        if !self.present.contains(claim) {
            return None;
        }
        if whole && self.refuses_in.contains(&claim.namespace) {
            return Some((RefusedFiles::Differences, true));
        }
        // A whole claim becomes what it is in the backup, whatever stands in it.
        (!whole || self.keep_extra_files).then_some((RefusedFiles::InTheWay, true))
    }

    /// What becomes of files that the backup doesn't have: they go if the whole claim is restored, in its own place. Who selects paths means these.
    fn extra_files(&self, paths: &[String]) -> ExtraFiles {
        if self.keep_extra_files || self.path_prefix.is_some() || !paths.is_empty() { ExtraFiles::Keep } else { ExtraFiles::Remove }
    }
}

/// How much of the application is brought up. The backup is verified in any case.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Its objects.
    pub objects: Option<ObjectParts>,
    /// Its volumes.
    pub volumes: Option<VolumeParts>,
    /// Before anything is written, everything is stopped that runs where it is written, and afterwards started again, whatever becomes of the run. A copy
    /// in namespaces of its own needs none.
    pub stop: bool,
    /// Its workloads are started tier by tier, and fed their streams.
    pub start: bool,
    /// What proves it is read: its marker and its checks. Needs `start`.
    pub proofs: bool,
}

impl Parts {
    /// The whole application, with its proofs.
    pub fn all() -> Self {
        Self { objects: Some(ObjectParts::default()), volumes: Some(VolumeParts::default()), stop: false, start: true, proofs: true }
    }
}

/// Everything that the steps follow from.
#[derive(Clone, Debug)]
pub struct BringUp<'a> {
    /// The application and its backup.
    pub subject: &'a Subject<'a>,
    /// Where to.
    pub target: Target<'a>,
    /// What must be done first.
    pub gates: Gates,
    /// How much of it.
    pub parts: Parts,
    /// What a failed restore or start means for the run. A damaged backup aborts it; a failed marker or check never does.
    pub on_failure: OnFailure,
    /// How long one attempt of a restore or start may take.
    pub deadline: SignedDuration,
}

/// A piece of a plan.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// Its steps, in an order in which they can be done.
    pub steps: Vec<Step<Action>>,
    /// The steps that end it: what comes after the application waits for these.
    pub ends: Vec<StepId>,
}

/// Compiles the steps of one application: verify, and beside it a comparison unless the policy is Skip, then of claims whose files may be refused → where it is wanted, stop →
/// objects → volumes side by side →
/// for each tier start, then its streams → start of the rest, then the streams of no tier → the objects that could not be written and may be now → marker and checks
/// side by side.
///
/// # Errors
/// [`CompileError`] if the application has no namespaces, a name can't be part of a step's id, or a check's deadline is no duration.
pub fn bring_up(request: &BringUp<'_>) -> Result<Fragment, CompileError> {
    let mut compiler = Compiler::new(request)?;
    let mut checked: Vec<StepId> = std::iter::once(compiler.verify()?).chain(compiler.compare()?).collect();
    checked.extend(compiler.compare_volumes(&checked)?);
    let still = compiler.stop(checked)?;
    let objects = compiler.objects(&still)?;
    let mut ends = compiler.volumes(&objects)?;
    if request.parts.start {
        ends.extend(request.gates.start.iter().cloned());
        ends = compiler.start(ends)?;
        let again = compiler.objects_again(&objects, &ends)?;
        ends = if request.parts.proofs { compiler.proofs(ends, again)? } else { ends.into_iter().chain(again).collect() };
    } else if request.parts.stop {
        ends = vec![compiler.rest(&ends)?];
    }
    Ok(Fragment { steps: compiler.steps, ends })
}

struct Compiler<'a> {
    request: &'a BringUp<'a>,
    spec: &'a ApplicationSpec,
    /// The namespace in the backup of whatever names none.
    first: &'a String,
    steps: Vec<Step<Action>>,
    /// The step that stops what runs. Whatever writes is told by its evidence what must stay still.
    stopped: Option<StepId>,
    /// The step that verifies the backup. Whatever starts is told by its evidence which workloads were not ready in it.
    verified: Option<StepId>,
    /// Workloads that the steps so far wait for, by namespace.
    awaited: BTreeMap<String, Vec<WorkloadReference>>,
}

impl<'a> Compiler<'a> {
    fn new(request: &'a BringUp<'a>) -> Result<Self, CompileError> {
        let Subject { name, spec, .. } = request.subject;
        let first = spec.namespaces.first().ok_or_else(|| CompileError::Invalid(format!("application {name}: spec.namespaces is empty")))?;
        Ok(Self { request, spec, first, steps: Vec::new(), stopped: None, verified: None, awaited: BTreeMap::new() })
    }

    /// The namespace written to for one in the backup.
    fn target(&self, namespace: Option<&String>) -> String {
        self.request.target.rules.namespaces.get(namespace.unwrap_or(self.first)).cloned().unwrap_or_default()
    }

    /// The namespace written to, and the workload without its namespace in the backup.
    fn workload(&self, workload: &WorkloadReference) -> (String, WorkloadReference) {
        (self.target(workload.namespace.as_ref()), WorkloadReference { namespace: None, ..workload.clone() })
    }

    fn site(&self) -> SiteName {
        self.request.target.site.clone()
    }

    fn snapshot(&self) -> SnapshotId {
        self.request.subject.point.snapshot.clone()
    }

    fn mover(&self, namespace: String, claim: Option<String>, task: MoverTask) -> Action {
        let namespaces = self.spec.namespaces.iter().map(|namespace| self.target(Some(namespace))).collect();
        Action::Move { site: self.site(), namespace, claim, namespaces, task }
    }

    /// Adds a step that fails as the request says.
    fn add(&mut self, id: StepId, action: Action, after: &[StepId], attempts: u32) -> StepId {
        let step = Step::new(id.clone(), action, self.request.deadline).on_failure(self.request.on_failure);
        self.steps.push(step.after(after.to_vec()).retry(Retry::times(attempts)));
        id
    }

    /// A damaged backup is found before anything is built on it.
    fn verify(&mut self) -> Result<StepId, CompileError> {
        let id = StepKey::verify(self.request.subject.name).id()?;
        let action = self.mover(self.target(None), None, MoverTask::VerifyStored { snapshot: Some(self.snapshot()) });
        let step = Step::new(id.clone(), action, self.request.deadline).on_failure(OnFailure::Abort);
        self.steps.push(step.after(self.request.gates.data.clone()).retry(Retry::times(2)));
        self.verified = Some(id.clone());
        Ok(id)
    }

    /// What is stopped: namespace → claims. Where whole objects are written, everything; where only files are, what uses their claims.
    fn halted(&self) -> BTreeMap<String, Vec<String>> {
        if self.request.parts.objects.is_some() {
            return self.spec.namespaces.iter().map(|namespace| (self.target(Some(namespace)), Vec::new())).collect();
        }
        let Some(parts) = &self.request.parts.volumes else { return BTreeMap::new() };
        let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for claim in self.request.subject.claims.iter().filter(|claim| is_written(self.spec, parts, claim)) {
            claims.entry(self.target(Some(&claim.namespace))).or_default().push(claim.name.clone());
        }
        claims
    }

    /// What the policy refuses is found while everything still runs: under Refuse any difference, under Merge and Replace what can't be changed in place. Nothing is
    /// stopped for a restore that would end with it. Under Refuse it is compared once more before the first write, since somebody may have changed it meanwhile.
    fn compare(&mut self) -> Result<Option<StepId>, CompileError> {
        let refuses = match self.request.target.conflict {
            ConflictHandling::Policy(ConflictPolicy::Refuse | ConflictPolicy::Merge | ConflictPolicy::Replace) => true,
            ConflictHandling::Policy(ConflictPolicy::Skip) | ConflictHandling::Own => false,
        };
        let Some(parts) = self.request.parts.objects.clone().filter(|_| self.request.parts.stop && refuses) else { return Ok(None) };
        let task = self.objects_task(parts, ObjectsMode::Compare)?;
        let id = StepKey::compare(self.request.subject.name).id()?;
        let action = self.mover(self.target(None), None, task);
        Ok(Some(self.add(id, action, &self.request.gates.data, 3)))
    }

    /// What would keep the files of a claim from being written is found while everything still runs, too; after the objects, of which there is more to say.
    fn compare_volumes(&mut self, checked: &[StepId]) -> Result<Vec<StepId>, CompileError> {
        let Some(parts) = self.request.parts.volumes.clone().filter(|parts| self.request.parts.stop && !parts.preview) else { return Ok(Vec::new()) };
        let (spec, mut compared) = (self.spec, Vec::new());
        for claim in self.request.subject.claims.iter().filter(|claim| is_written(spec, &parts, claim)) {
            let paths = parts.files.iter().find(|file| file.claim == claim.name).map(|file| file.paths.clone()).unwrap_or_default();
            let there = Claim { namespace: self.target(Some(&claim.namespace)), name: claim.name.clone() };
            let Some((refuses, mounts)) = parts.refuses(&there, &paths) else { continue };
            let part = names::volume_part(self.first, &claim.namespace, &claim.name);
            let id = StepKey::compare_volume(self.request.subject.name, &part).id()?;
            let (snapshot, extra_files, path_prefix) = (self.snapshot(), parts.extra_files(&paths), parts.path_prefix.clone());
            let task = MoverTask::PreviewVolume { snapshot, part, paths, path_prefix, extra_files, refuses: Some(refuses) };
            let action = self.mover(there.namespace, mounts.then_some(there.name), task);
            compared.push(self.add(id, action, checked, 3));
        }
        Ok(compared)
    }

    /// A damaged backup stops nothing. What comes after writes only once no pod can write any more. Returns what the objects wait for.
    fn stop(&mut self, checked: Vec<StepId>) -> Result<Vec<StepId>, CompileError> {
        let namespaces = self.halted();
        if !self.request.parts.stop || namespaces.is_empty() {
            return Ok(checked);
        }
        let id = StepKey::stop(self.request.subject.name).id()?;
        let again = Action::StartAgain { site: self.site(), namespaces: namespaces.keys().cloned().collect() };
        let stop = Action::Stop { site: self.site(), namespaces };
        let step = Step::new(id.clone(), stop, self.request.deadline.min(STOP_DEADLINE)).on_failure(self.request.on_failure);
        // Its undo must know which namespaces the run has made: what made them is one of the gates.
        let after = self.request.gates.data.iter().cloned().chain(checked);
        self.steps.push(step.after(after).retry(Retry::times(3)).undo(again));
        self.stopped = Some(id.clone());
        Ok(vec![id])
    }

    /// The cluster-scoped objects that may be written: all that the Application names; of a copy its definitions only.
    fn cluster(&self) -> Result<Vec<ClusterResource>, CompileError> {
        let mut cluster = cluster_resources(self.spec)?;
        if self.request.target.rules.isolated {
            cluster.retain(|resource| ClusterKind::named(resource).is_some_and(ClusterKind::goes_into_a_copy));
        }
        Ok(cluster)
    }

    fn objects_task(&self, parts: ObjectParts, mode: ObjectsMode) -> Result<MoverTask, CompileError> {
        let ObjectParts { select, workloads, preview: _ } = parts;
        let target = &self.request.target;
        // What is written in a second try is not stopped: the start has been. What is compared with things that run must not differ by that; nor does a preview say
        // that they would be stopped, since they are started again.
        let rules = CopyRules { stopped: target.rules.stopped && mode == ObjectsMode::Write, ..target.rules.clone() };
        // What the Application excludes now may be in an older backup.
        let (snapshot, exclude, cluster, conflict) = (self.snapshot(), self.spec.exclude.clone(), self.cluster()?, target.conflict);
        Ok(MoverTask::RestoreObjects { snapshot, rules, select, workloads, exclude, cluster, conflict, mode, absent: Vec::new() })
    }

    /// Returns what the volumes wait for.
    fn objects(&mut self, before: &[StepId]) -> Result<Vec<StepId>, CompileError> {
        let Some(parts) = self.request.parts.objects.clone() else { return Ok(before.to_vec()) };
        let mode = if parts.preview { ObjectsMode::Preview } else { ObjectsMode::Write };
        let task = self.objects_task(parts, mode)?;
        let id = StepKey::restore_objects(self.request.subject.name).id()?;
        let action = self.mover(self.target(None), None, task);
        let after: Vec<StepId> = before.iter().chain(&self.request.gates.objects).cloned().collect();
        Ok(vec![self.add(id, action, &after, 3)])
    }

    /// Once the application runs it may serve the webhooks and kinds that kept some objects from being written. A try that fails leaves them as they are
    /// listed.
    fn objects_again(&mut self, first: &[StepId], running: &[StepId]) -> Result<Option<StepId>, CompileError> {
        let Some(parts) = self.request.parts.objects.clone() else { return Ok(None) };
        let task = self.objects_task(parts, ObjectsMode::Again)?;
        let id = StepKey::restore_objects_again(self.request.subject.name).id()?;
        let step = Step::new(id.clone(), self.mover(self.target(None), None, task), self.request.deadline).retry(Retry::times(3));
        // What it needs to know is proved by the first try, and before it.
        let step = step.after(running.iter().chain(first).chain(&self.request.gates.objects).cloned()).on_failure(OnFailure::Continue);
        self.steps.push(step);
        Ok(Some(id))
    }

    /// Returns all data so far.
    fn volumes(&mut self, objects: &[StepId]) -> Result<Vec<StepId>, CompileError> {
        let mut data = objects.to_vec();
        let Some(parts @ VolumeParts { files, path_prefix, preview, .. }) = &self.request.parts.volumes else { return Ok(data) };
        let spec = self.spec;
        for claim in self.request.subject.claims.iter().filter(|claim| is_written(spec, parts, claim)) {
            let selected = files.iter().find(|file| file.claim == claim.name);
            let part = names::volume_part(self.first, &claim.namespace, &claim.name);
            let id = StepKey::restore_volume(self.request.subject.name, &part).id()?;
            let paths = selected.map(|file| file.paths.clone()).unwrap_or_default();
            let (snapshot, extra_files, path_prefix) = (self.snapshot(), parts.extra_files(&paths), path_prefix.clone());
            let namespace = self.target(Some(&claim.namespace));
            let there = Claim { namespace: namespace.clone(), name: claim.name.clone() };
            let refuses = parts.refuses(&there, &paths).map(|(refuses, _)| refuses);
            // A claim that isn't there would be new, and no mover could mount it.
            if *preview && !parts.present.contains(&there) {
                continue;
            }
            let task = if *preview {
                MoverTask::PreviewVolume { snapshot, part, paths, path_prefix, extra_files, refuses }
            } else {
                MoverTask::RestoreVolume { snapshot, part, paths, path_prefix, extra_files }
            };
            let action = self.mover(namespace, Some(claim.name.clone()), task);
            let after = self.and_stopped(objects);
            data.push(self.add(id, action, &after, 3));
        }
        Ok(data)
    }

    /// Tier by tier, then what no tier lists. A stream is fed once the tier of its workload has started, and the next tier waits for it.
    fn start(&mut self, mut gate: Vec<StepId>) -> Result<Vec<StepId>, CompileError> {
        let mut streams: Vec<&Stream> = self.spec.streams.iter().collect();
        for tier in &self.spec.tiers {
            let started = self.tier(tier, &gate)?;
            let (now, later): (Vec<_>, Vec<_>) = streams.into_iter().partition(|stream| tier.workload_refs.contains(&stream.workload_ref));
            streams = later;
            gate = self.streams(&now, started)?;
        }
        let rest = self.rest(&gate)?;
        self.streams(&streams, rest)
    }

    /// Everything that still stands still.
    fn rest(&mut self, gate: &[StepId]) -> Result<StepId, CompileError> {
        let claims = if self.request.parts.start { BTreeMap::new() } else { self.halted() };
        let all = || self.spec.namespaces.iter().map(|namespace| self.target(Some(namespace))).collect();
        let namespaces: Vec<String> = if claims.is_empty() { all() } else { claims.keys().cloned().collect() };
        let workloads = namespaces.into_iter().map(|namespace| (namespace, Vec::new())).collect();
        let id = StepKey::start_rest(self.request.subject.name).id()?;
        Ok(self.starts(id, workloads, claims, gate))
    }

    /// Adds a step that starts workloads, and waits for those that no step before it has waited for.
    fn starts(&mut self, id: StepId, workloads: BTreeMap<String, Vec<WorkloadReference>>, claims: BTreeMap<String, Vec<String>>, gate: &[StepId]) -> StepId {
        let saved_as = self.request.target.rules.namespaces.iter().map(|(saved, target)| (target.clone(), saved.clone()));
        let saved_as = saved_as.filter(|(target, _)| workloads.contains_key(target)).collect();
        let awaited = self.awaited.clone();
        for (namespace, listed) in &workloads {
            self.awaited.entry(namespace.clone()).or_default().extend(listed.iter().cloned());
        }
        let after: Vec<StepId> = gate.iter().chain(self.verified.iter().filter(|verified| !gate.contains(verified))).cloned().collect();
        self.add(id, Action::Start { site: self.site(), workloads, claims, saved_as, awaited }, &after, 2)
    }

    fn tier(&mut self, tier: &Tier, gate: &[StepId]) -> Result<StepId, CompileError> {
        let mut workloads: BTreeMap<String, Vec<WorkloadReference>> = BTreeMap::new();
        for (namespace, workload) in tier.workload_refs.iter().map(|workload| self.workload(workload)) {
            workloads.entry(namespace).or_default().push(workload);
        }
        let id = StepKey::start_tier(self.request.subject.name, &tier.name).id()?;
        Ok(self.starts(id, workloads, BTreeMap::new(), gate))
    }

    /// Streams go into running containers. Returns what the next tier waits for.
    fn streams(&mut self, streams: &[&Stream], started: StepId) -> Result<Vec<StepId>, CompileError> {
        let mut fed = vec![started.clone()];
        for stream in streams {
            let (namespace, workload_ref) = self.workload(&stream.workload_ref);
            let task = MoverTask::RestoreStream {
                snapshot: self.snapshot(),
                part: format!("streams/{}", stream.name),
                namespace: namespace.clone(),
                workload_ref,
                container: stream.container.clone(),
                restore: stream.restore.clone(),
            };
            let id = StepKey::restore_stream(self.request.subject.name, &stream.name).id()?;
            let action = self.mover(namespace, None, task);
            let after = self.and_stopped(std::slice::from_ref(&started));
            fed.push(self.add(id, action, &after, 2));
        }
        Ok(fed)
    }

    /// These steps, and the one that has stopped what runs.
    fn and_stopped(&self, steps: &[StepId]) -> Vec<StepId> {
        steps.iter().chain(self.stopped.iter().filter(|stopped| !steps.contains(stopped))).cloned().collect()
    }

    /// The marker and the checks, side by side; without any, what they would have waited for. They see the application with all of its objects.
    fn proofs(&mut self, ready: Vec<StepId>, again: Option<StepId>) -> Result<Vec<StepId>, CompileError> {
        let (name, mut ends) = (self.request.subject.name, Vec::new());
        if let Some(marker) = &self.spec.marker {
            let id = StepKey::marker(name).id()?;
            let action = Action::ReadMarker { site: self.site(), namespace: self.target(marker.workload_ref.namespace.as_ref()), marker: marker.clone() };
            let step = Step::new(id.clone(), action, MARKER_DEADLINE).after(ready.clone()).once_settled(again.clone()).retry(Retry::times(3));
            self.steps.push(step.on_failure(OnFailure::Continue));
            ends.push(id);
        }
        for check in &self.spec.checks {
            let id = StepKey::check(name, &check.name).id()?;
            let action = Action::Check { site: self.site(), namespace: self.target(namespace_of(check)), check: check.clone() };
            let step = Step::new(id.clone(), action, parse_duration(&check.deadline.0)? + CHECK_MARGIN).after(ready.clone()).once_settled(again.clone());
            self.steps.push(step.on_failure(OnFailure::Continue));
            ends.push(id);
        }
        Ok(if ends.is_empty() { ready.into_iter().chain(again).collect() } else { ends })
    }
}

/// Whether files of the claim are written.
fn is_written(spec: &ApplicationSpec, parts: &VolumeParts, claim: &Claim) -> bool {
    is_written_by(spec, &parts.files, claim)
}

/// Whether files of the claim are written by a restore of these files; of everything, if there are none.
pub fn is_written_by(spec: &ApplicationSpec, files: &[FileSelection], claim: &Claim) -> bool {
    if files.is_empty() { !is_skipped(spec, &claim.name) } else { files.iter().any(|file| file.claim == claim.name) }
}

/// The namespace that a check names, if it names one.
pub fn namespace_of(check: &Check) -> Option<&String> {
    let workload = check.exec.as_ref().map(|exec| &exec.workload_ref).or(check.condition.as_ref().map(|condition| &condition.workload_ref));
    workload.and_then(|workload| workload.namespace.as_ref())
}

#[cfg(test)]
mod tests;
