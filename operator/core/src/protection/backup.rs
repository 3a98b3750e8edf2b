//! The steps of a backup.

use crate::{
    engine::{Hold, OnFailure, Plan, Retry, Step, StepId},
    ids::{SiteName, SnapshotId},
    names, objects,
    runs::{Action, ClaimSnapshot, CompileError, MoverTask, SealFacts, StepKey},
    time::parse_duration,
};
use jiff::SignedDuration;
use p861_crds::{
    ApplicationSpec,
    platform::application::{ClusterResource, VolumeMethod},
    protection::backup::MissingClaim,
};
use std::collections::BTreeSet;

/// How long one attempt to take snapshots may last where no hook sets a limit. Drivers take them within seconds; what they copy afterwards counts as reading.
const SNAPSHOT_DEADLINE: SignedDuration = SignedDuration::from_mins(10);
/// How long the removal of movers may take, and that of snapshots.
const CLEAN_UP_DEADLINE: SignedDuration = SignedDuration::from_mins(2);

/// A claim of the application, as it was found on the site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Everything that a backup's steps follow from.
#[derive(Clone, Debug)]
pub struct BackupFacts<'a> {
    /// The Backup's name.
    pub backup: &'a str,
    /// The Application's name.
    pub application: &'a str,
    /// The district's namespace on the hub.
    pub district: &'a str,
    /// The site where the application runs.
    pub site: &'a SiteName,
    /// The Application.
    pub spec: &'a ApplicationSpec,
    /// Claims found in its namespaces that can be read.
    pub claims: &'a [Claim],
    /// Those that should be saved and can't be read: the backup saves the rest, and ends as failed.
    pub missing: &'a [MissingClaim],
    /// The Restore that has ended half way in the application, if nothing has made it whole since.
    pub half_restored: Option<&'a str>,
    /// Those of them that are read from a volume snapshot.
    pub snapshots: &'a [ClaimSnapshot],
    /// Snapshot of the application's newest backup, which unchanged files are compared with.
    pub parent: Option<&'a SnapshotId>,
    /// How long the backup may take in all.
    pub deadline: SignedDuration,
}

/// What the Application says of a claim: the first rule that matches its name; none if no rule does.
pub fn rule_of(spec: &ApplicationSpec, claim: &str) -> Option<VolumeMethod> {
    spec.volumes.iter().find(|rule| matches_pattern(&rule.claim, claim)).map(|rule| rule.method)
}

/// Whether the Application leaves a claim out of its backups. [`super::volumes::decide`] says how the others are saved.
pub fn is_skipped(spec: &ApplicationSpec, claim: &str) -> bool {
    rule_of(spec, claim) == Some(VolumeMethod::Skip)
}

/// `*` stands for any characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The cluster-scoped objects that the Application names.
///
/// # Errors
/// [`CompileError`] if one of them is none that an Application may name.
pub fn cluster_resources(spec: &ApplicationSpec) -> Result<Vec<ClusterResource>, CompileError> {
    let permitted = |resource: &ClusterResource| match objects::permitted(resource) {
        Ok(_) => Ok(resource.clone()),
        Err(why) => Err(CompileError::Invalid(format!("spec.clusterResources: {why}"))),
    };
    spec.cluster_resources.iter().map(permitted).collect()
}

/// Compiles a backup: quiesce, then objects, streams and volumes side by side, resume, seal, verify; clean-up in any case.
///
/// Resume is a step of its own, right after the data is read; if the run fails before, undoing quiesce resumes too.
///
/// Volumes that are read from snapshots don't hold the application: it goes on as soon as all snapshots are taken. Objects are then read beside it, since hooks
/// concern only data. Streams, and the files of volumes without snapshots, must be read while it holds still.
///
/// A volume that can't be read after all doesn't end the run: the rest is sealed, the snapshot says what it lacks, and the backup has failed.
///
/// # Errors
/// [`CompileError`] if a duration can't be read, or the steps are no valid plan.
pub fn compile(facts: &BackupFacts<'_>) -> Result<Plan<Action>, CompileError> {
    let spec = facts.spec;
    let first = spec.namespaces.first().ok_or_else(|| CompileError::Invalid(format!("application {}: spec.namespaces is empty", facts.application)))?;
    let mut steps: Vec<Step<Action>> = Vec::new();
    let quiesce = match &spec.hooks {
        Some(hooks) => {
            let execute = |command: &p861_crds::common::ContainerCommand| Action::Execute {
                site: facts.site.clone(),
                namespace: command.workload_ref.namespace.clone().unwrap_or_else(|| first.clone()),
                command: command.clone(),
            };
            let id = StepKey::quiesce(facts.application).id()?;
            let deadline = parse_duration(&hooks.deadline.0)?;
            steps.push(Step::new(id.clone(), execute(&hooks.quiesce), deadline).undo(execute(&hooks.resume)));
            Some((id, execute(&hooks.resume), deadline))
        }
        None => None,
    };
    let after_quiesce: Vec<StepId> = quiesce.iter().map(|(id, ..)| id.clone()).collect();
    // The application holds still for no longer than the hooks allow, quiescing it included, however often a part is tried.
    let hold = quiesce.as_ref().map(|(id, _, deadline)| Hold { since: id.clone(), limit: *deadline });
    let under_hold = |id: &StepId, action: Action, deadline: SignedDuration| {
        let deadline = quiesce.as_ref().map_or(deadline, |(_, _, limit)| *limit);
        Step::new(id.clone(), action, deadline).after(after_quiesce.clone()).under(hold.clone()).retry(Retry::times(3))
    };
    // What the application holds still for, and what becomes the snapshot in the repository; volumes apart, since that goes on without them.
    let (mut held, mut data, mut parts): (Vec<StepId>, Vec<StepId>, Vec<String>) = (Vec::new(), Vec::new(), Vec::new());
    let (mut held_volumes, mut volumes): (Vec<StepId>, Vec<StepId>) = (Vec::new(), Vec::new());
    let take = StepKey::snapshot(facts.application).id()?;
    if !facts.snapshots.is_empty() {
        let action = Action::TakeSnapshots { site: facts.site.clone(), snapshots: facts.snapshots.to_vec() };
        steps.push(under_hold(&take, action, SNAPSHOT_DEADLINE.min(facts.deadline)));
        held.push(take.clone());
    }
    for Read { id, part, namespace, claim, task, when } in reads(facts, first)? {
        let is_volume = claim.is_some();
        let action = Action::Move { site: facts.site.clone(), namespace, claim, namespaces: spec.namespaces.clone(), task };
        let step = match when {
            When::Held => under_hold(&id, action, facts.deadline),
            When::Beside => Step::new(id.clone(), action, facts.deadline).after(after_quiesce.clone()).retry(Retry::times(3)),
            When::Taken => Step::new(id.clone(), action, facts.deadline).after([take.clone()]).retry(Retry::times(3)),
        };
        let (step, held, read) = if is_volume { (step.on_failure(OnFailure::Continue), &mut held_volumes, &mut volumes) } else { (step, &mut held, &mut data) };
        steps.push(step);
        held.extend(matches!(when, When::Held).then(|| id.clone()));
        read.push(id);
        parts.push(part);
    }
    // Without volumes, all data are dumps.
    let is_dumped = !spec.streams.is_empty() && volumes.is_empty();
    let mut before_seal = data;
    if let Some((_, resume, deadline)) = quiesce.clone() {
        let id = StepKey::resume(facts.application).id()?;
        steps.push(Step::new(id.clone(), resume, deadline).after(held).once_settled(held_volumes).despite_pause().retry(Retry::times(5)));
        before_seal.push(id);
    }
    let facts_of_seal = SealFacts {
        backup: facts.backup.into(),
        application: facts.application.into(),
        district: facts.district.into(),
        site: facts.site.clone(),
        namespaces: spec.namespaces.clone(),
        parts,
        missing: facts.missing.to_vec(),
        half_restored: facts.half_restored.map(str::to_owned),
        consistent: spec.hooks.is_some() || is_dumped,
    };
    let mover = |task: MoverTask| Action::Move { site: facts.site.clone(), namespace: first.clone(), claim: None, namespaces: spec.namespaces.clone(), task };
    let (seal, verify) = (StepKey::seal(facts.application).id()?, StepKey::verify(facts.application).id()?);
    let sealed = Step::new(seal.clone(), mover(MoverTask::Seal { facts: facts_of_seal }), facts.deadline);
    steps.push(sealed.after(before_seal).once_settled(volumes).retry(Retry::times(3)));
    let verified = Step::new(verify, mover(MoverTask::VerifyStored { snapshot: None }), facts.deadline).after([seal]);
    steps.push(verified.retry(Retry::times(3)).on_failure(OnFailure::Continue));
    steps.extend(clean_up(facts)?);
    Ok(Plan::new(steps)?)
}

/// A part of the backup: where it is read, and when.
struct Read {
    id: StepId,
    part: String,
    namespace: String,
    claim: Option<String>,
    task: MoverTask,
    when: When,
}

/// Everything that is read, objects first.
fn reads(facts: &BackupFacts<'_>, first: &str) -> Result<Vec<Read>, CompileError> {
    let spec = facts.spec;
    let parent = || facts.parent.cloned();
    let taken: BTreeSet<(&str, &str)> = facts.snapshots.iter().map(|snapshot| (snapshot.namespace.as_str(), snapshot.claim.as_str())).collect();
    let cluster = cluster_resources(spec)?;
    let task = MoverTask::BackupObjects { namespaces: spec.namespaces.clone(), exclude: spec.exclude.clone(), cluster, parent: parent() };
    let when = if taken.is_empty() { When::Held } else { When::Beside };
    let id = StepKey::save_objects(facts.application).id()?;
    let mut reads = vec![Read { id, part: "objects".into(), namespace: first.to_owned(), claim: None, task, when }];
    for stream in &spec.streams {
        let part = format!("streams/{}", stream.name);
        let namespace = stream.workload_ref.namespace.clone().unwrap_or_else(|| first.to_owned());
        let task = MoverTask::BackupStream {
            part: part.clone(),
            namespace: namespace.clone(),
            workload_ref: stream.workload_ref.clone(),
            container: stream.container.clone(),
            dump: stream.dump.clone(),
        };
        let id = StepKey::save_stream(facts.application, &stream.name).id()?;
        reads.push(Read { id, part, namespace, claim: None, task, when: When::Held });
    }
    for claim in facts.claims.iter().filter(|claim| !is_skipped(spec, &claim.name)) {
        let part = names::volume_part(first, &claim.namespace, &claim.name);
        let id = StepKey::save_volume(facts.application, &part).id()?;
        let from_snapshot = taken.contains(&(claim.namespace.as_str(), claim.name.as_str()));
        let task = MoverTask::BackupVolume { part: part.clone(), parent: parent(), from_snapshot };
        let when = if from_snapshot { When::Taken } else { When::Held };
        reads.push(Read { id, part, namespace: claim.namespace.clone(), claim: Some(claim.name.clone()), task, when });
    }
    Ok(reads)
}

/// When a part is read.
#[derive(Clone, Copy)]
enum When {
    /// While the application holds still.
    Held,
    /// From then on, whether it holds still or not.
    Beside,
    /// As soon as its snapshot is taken.
    Taken,
}

/// Removes what the backup made beside its result, in any case.
fn clean_up(facts: &BackupFacts<'_>) -> Result<Vec<Step<Action>>, CompileError> {
    let (site, namespaces) = (facts.site, &facts.spec.namespaces);
    let id = StepKey::CleanUp.id()?;
    let action = Action::RemoveMovers { site: site.clone(), namespaces: namespaces.clone() };
    let mut steps = vec![Step::new(id.clone(), action, CLEAN_UP_DEADLINE).finally()];
    if !facts.snapshots.is_empty() {
        // The movers hold the claims that the snapshots are read through.
        let action = Action::RemoveSnapshots { site: site.clone(), namespaces: namespaces.clone() };
        steps.push(Step::new(StepKey::remove_snapshots(facts.application).id()?, action, CLEAN_UP_DEADLINE).after([id]).finally());
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: serde_json::Value) -> ApplicationSpec {
        serde_json::from_value(yaml).expect("a spec")
    }

    fn ids(plan: &Plan<Action>) -> Vec<String> {
        plan.steps().iter().map(|step| step.id.to_string()).collect()
    }

    fn compiled(spec: &ApplicationSpec, claims: &[Claim]) -> Plan<Action> {
        with_snapshots(spec, claims, &[])
    }

    fn with_snapshots(spec: &ApplicationSpec, claims: &[Claim], snapshots: &[ClaimSnapshot]) -> Plan<Action> {
        compile(&BackupFacts {
            backup: "b",
            application: "approval",
            district: "shinan",
            site: &"primary".into(),
            spec,
            claims,
            missing: &[],
            snapshots,
            half_restored: None,
            parent: None,
            deadline: SignedDuration::from_hours(6),
        })
        .expect("compiles")
    }

    #[test]
    fn a_skipped_claim_is_not_saved_and_the_others_are() {
        let spec = spec(serde_json::json!({"department": "d", "namespaces": ["shinan-approval"], "volumes": [{"claim": "data-postgres-*", "method": "Skip"}],
            "streams": [{"name": "approval-db", "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "dump": ["pg_dump"], "restore": ["pg_restore"]}]}));
        let claims = ["data-postgres-0", "attachments"].map(|name| Claim { namespace: "shinan-approval".into(), name: name.into() });
        let plan = compiled(&spec, &claims);
        assert_eq!(
            ids(&plan),
            ["save/approval/objects", "save/approval/stream/approval-db", "save/approval/volume/attachments", "seal/approval", "verify/approval", "clean-up"]
        );
    }

    #[test]
    fn fault_d5_a_volume_that_fails_ends_neither_the_backup_nor_what_holds_the_application_and_what_could_not_be_read_stands_in_the_seal() {
        let hook = |word: &str| serde_json::json!({"workloadRef": {"kind": "Deployment", "name": "cms"}, "command": ["cms", word]});
        let spec = spec(serde_json::json!({"department": "d", "namespaces": ["n"], "hooks": {"quiesce": hook("stop"), "resume": hook("go")}}));
        let claims = ["files", "uploads"].map(|name| Claim { namespace: "n".into(), name: name.into() });
        let disk = MissingClaim { claim: "n/disk".into(), reason: "ClaimNotReadable".into(), message: "is a block device".into() };
        let plan = compile(&BackupFacts {
            backup: "b",
            application: "approval",
            district: "shinan",
            site: &"primary".into(),
            spec: &spec,
            claims: &claims,
            missing: std::slice::from_ref(&disk),
            snapshots: &[],
            half_restored: None,
            parent: None,
            deadline: SignedDuration::from_hours(6),
        })
        .expect("compiles");
        let volumes: Vec<&Step<Action>> = plan.steps().iter().filter(|step| step.id.as_str().contains("/volume/")).collect();
        assert_eq!(volumes.len(), 2);
        for volume in volumes {
            assert_eq!(volume.on_failure, OnFailure::Continue, "{}", volume.id);
            for waits in ["resume/approval", "seal/approval"] {
                let step = plan.steps().iter().find(|step| step.id.as_str() == waits).expect("a step");
                assert!(
                    step.once_settled.contains(&volume.id) && !step.after.contains(&volume.id),
                    "{waits} waits for the end of {}, whatever it is",
                    volume.id
                );
            }
        }
        let sealed = plan.steps().iter().find_map(|step| match &step.action {
            Action::Move { task: MoverTask::Seal { facts }, .. } => Some((facts.parts.clone(), facts.missing.clone())),
            _ => None,
        });
        let parts = ["objects", "volumes/files", "volumes/uploads"].map(str::to_owned).to_vec();
        assert_eq!(sealed, Some((parts, vec![disk])));
    }

    #[test]
    fn fault_b12_named_cluster_scoped_objects_are_saved_with_the_others_and_one_that_may_not_be_named_refuses_the_backup() {
        let named = |kind: &str, name: &str| {
            let group = "rbac.authorization.k8s.io";
            spec(serde_json::json!({"department": "d", "namespaces": ["n"], "clusterResources": [{"group": group, "kind": kind, "name": name}]}))
        };
        let application = named("ClusterRole", "gadget-operator");
        let plan = compiled(&application, &[]);
        let saved = plan.steps().iter().find_map(|step| match &step.action {
            Action::Move { task: MoverTask::BackupObjects { cluster, .. }, .. } => Some(cluster.clone()),
            _ => None,
        });
        assert_eq!(saved.as_ref(), Some(&application.cluster_resources));
        for (kind, name) in [("ClusterRole", "cluster-admin"), ("Group", "x")] {
            let error = cluster_resources(&named(kind, name)).expect_err("refused").to_string();
            assert!(error.contains("spec.clusterResources: ") && error.contains(name), "{error}");
        }
    }

    #[test]
    fn with_hooks_the_data_is_read_between_quiesce_and_resume() {
        let hook = |word: &str| serde_json::json!({"workloadRef": {"kind": "Deployment", "name": "cms"}, "command": ["cms", word]});
        let spec = spec(serde_json::json!({"department": "d", "namespaces": ["n"], "hooks": {"quiesce": hook("stop"), "resume": hook("go")}}));
        let plan = compiled(&spec, &[]);
        assert_eq!(ids(&plan), ["quiesce/approval", "save/approval/objects", "resume/approval", "seal/approval", "verify/approval", "clean-up"]);
        let quiesce = &plan.steps()[0];
        assert!(matches!(&quiesce.undo, Some(Action::Execute { command, .. }) if command.command == ["cms", "go"]), "a failed backup resumes too");
    }

    #[test]
    fn with_snapshots_the_application_holds_still_for_them_and_not_for_the_reading() {
        let hook = |word: &str| serde_json::json!({"workloadRef": {"kind": "Deployment", "name": "cms"}, "command": ["cms", word]});
        let stream = serde_json::json!({"name": "db", "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "dump": ["d"], "restore": ["r"]});
        let spec = spec(
            serde_json::json!({"department": "d", "namespaces": ["n"], "streams": [stream], "hooks": {"quiesce": hook("stop"), "resume": hook("go"), "deadline": "1m"}}),
        );
        let claims = ["fast", "slow"].map(|name| Claim { namespace: "n".into(), name: name.into() });
        let snapshots = [ClaimSnapshot { namespace: "n".into(), claim: "fast".into(), class: "snap".into(), storage_class: "block".into(), bytes: 1 }];
        let plan = with_snapshots(&spec, &claims, &snapshots);
        let step = |id: &str| plan.steps().iter().find(|step| step.id.as_str() == id).unwrap_or_else(|| panic!("{id} of {:?}", ids(&plan)));
        let after = |id: &str| step(id).dependencies().map(ToString::to_string).collect::<Vec<_>>();
        let quiesced = vec!["quiesce/approval".to_owned()];
        for (id, before, is_held) in [
            ("snapshot/approval", quiesced.clone(), true),
            ("save/approval/objects", quiesced.clone(), false),
            ("save/approval/stream/db", quiesced.clone(), true),
            ("save/approval/volume/fast", vec!["snapshot/approval".to_owned()], false),
            ("save/approval/volume/slow", quiesced, true),
        ] {
            assert_eq!(after(id), before, "{id}");
            assert_eq!(step(id).under.is_some(), is_held, "{id}");
            let minutes = if is_held { SignedDuration::from_mins(1) } else { SignedDuration::from_hours(6) };
            assert_eq!(step(id).deadline, minutes, "{id}");
            assert_eq!(after("resume/approval").contains(&id.to_owned()), is_held, "resume waits for what is held, {id}");
            assert!(id == "snapshot/approval" || after("seal/approval").contains(&id.to_owned()), "{id} is sealed");
        }
        let last: Vec<_> = plan.steps().iter().filter(|step| step.finally).map(|step| step.id.to_string()).collect();
        assert_eq!(last, ["clean-up", "remove-snapshots/approval"]);
        let plain = compiled(&spec, &claims);
        assert!(!ids(&plain).iter().any(|id| id.contains("snapshot")), "without a snapshot nothing is taken or removed");
    }

    #[test]
    fn a_star_matches_any_characters_and_nothing_else_is_special() {
        for (pattern, text, expected) in [
            ("data-*", "data-postgres-0", true),
            ("*", "", true),
            ("data", "data-0", false),
            ("*-0", "data-0", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("a.c", "abc", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }
}
