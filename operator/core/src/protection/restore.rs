//! The steps of a restore.

mod files;
mod mappings;

use super::backup::Claim;
use crate::{
    engine::{OnFailure, Plan, Retry, Step},
    ids::SiteName,
    objects::Runner,
    platform::moves,
    protection::{
        claims::{MissingPart, missing_parts},
        readable::Unreadable,
    },
    recovery::bring_up::{BringUp, Gates, ObjectParts, Parts, Subject, Target, VolumeParts, bring_up},
    runs::{Action, CompileError, ConflictHandling, CopyRules, StepKey},
};
use jiff::SignedDuration;
pub use mappings::{refuse_classes, refuse_mappings};
use p861_crds::{
    ApplicationSpec, RestoreSpec, WorkloadReference,
    platform::{application::CronJobsInCopy, platform::PlatformSpec},
    protection::{
        backup::MissingClaim,
        restore::{ConflictPolicy, RestoreMode},
    },
};
use std::collections::BTreeMap;

/// How long the removal of movers may take.
const CLEAN_UP_DEADLINE: SignedDuration = SignedDuration::from_mins(2);

/// Everything that a restore's steps follow from.
#[derive(Clone, Debug)]
pub struct RestoreFacts<'a> {
    /// The Restore.
    pub spec: &'a RestoreSpec,
    /// The Application and the backup.
    pub subject: Subject<'a>,
    /// The parts that the backup's snapshot names.
    pub parts: &'a [String],
    /// The backup says itself that it lacks claims. Whoever names it restores the rest.
    pub is_partial: bool,
    /// Claims that had no files when the backup was taken, as its Backup says.
    pub unused: &'a [MissingClaim],
    /// Name of the District.
    pub district: &'a str,
    /// The site restored to.
    pub site: &'a SiteName,
    /// Claims of the target that can be looked into: those that are there and have a volume.
    pub present: &'a [Claim],
    /// Those that are there and can't be looked into, each with the reason.
    pub hidden: &'a [(Claim, Unreadable)],
    /// How long the restore may take in all.
    pub deadline: SignedDuration,
    /// The district's Platform, if it has one.
    pub platform: Option<&'a PlatformSpec>,
}

/// Namespace in the backup → namespace written to.
pub fn namespaces(facts: &RestoreFacts<'_>) -> BTreeMap<String, String> {
    targets(facts.subject.spec, facts.spec)
}

/// The same, of what an Application and a Restore declare.
pub fn targets(application: &ApplicationSpec, restore: &RestoreSpec) -> BTreeMap<String, String> {
    let mappings = &restore.target.namespace_mappings;
    let target =
        |namespace: &String| mappings.iter().find(|mapping| mapping.from == *namespace).map_or_else(|| namespace.clone(), |mapping| mapping.to.clone());
    application.namespaces.iter().map(|namespace| (namespace.clone(), target(namespace))).collect()
}

/// Whether a restore writes into none of the application's own namespaces, on whatever site: what it writes can be looked at, and thrown away.
pub fn goes_elsewhere(application: &ApplicationSpec, restore: &RestoreSpec) -> bool {
    targets(application, restore).values().all(|target| !application.namespaces.contains(target))
}

/// The site on which a restore would let the application run beside the running one, under the same names, so that two write; none if it doesn't. `active` is where
/// the application runs.
pub fn second_writer<'a>(application: &ApplicationSpec, restore: &'a RestoreSpec, active: &str) -> Option<&'a str> {
    let site = restore.target.site_ref.as_ref().map(|site| site.name.as_str()).filter(|site| *site != active)?;
    let select = &restore.select;
    let runs = |kind: &str| kind == "*" || Runner::ALL.iter().any(|runner| runner.kind() == kind);
    let runs_pods = select.files.is_empty() && (select.resources.is_empty() || select.resources.iter().any(|selector| runs(&selector.kind)));
    (runs_pods && !goes_elsewhere(application, restore)).then_some(site)
}

/// Compiles a restore: verify and, beside it, compare (not under the policy Skip); then stop, objects, volumes; then tier by tier start and streams; then once more what
/// could not be written before the start. A preview says what the objects step would do, and what the volumes' steps would do to claims that are there; it writes nothing.
///
/// With `select.files`, only files are written, and only what uses their claims is stopped. With other selections nothing is stopped, and volumes and streams
/// are left alone.
///
/// # Errors
/// [`CompileError`] if the selection names no claim of the backup or no tier of the application, if the backup lacks a part that the whole application needs, or
/// as [`refuse_mappings`] and [`bring_up`].
pub fn compile(facts: &RestoreFacts<'_>) -> Result<Plan<Action>, CompileError> {
    refuse_mappings(facts.subject.name, facts.subject.spec, &facts.spec.target.namespace_mappings)?;
    refuse_incomplete(facts)?;
    files::refuse(facts)?;
    let (spec, namespaces) = (facts.spec, namespaces(facts));
    let targets: Vec<String> = namespaces.values().cloned().collect();
    let moved = moves::between(facts.platform, facts.subject.point.site.as_ref(), facts.site).but(&spec.target);
    let rules = CopyRules {
        namespaces,
        storage_classes: moved.storage_classes,
        images: moved.images,
        isolated: false,
        // A whole application is started in order; selected objects come as they were.
        stopped: !is_selective(spec),
        cron_jobs: CronJobsInCopy::Run,
        patches: Vec::new(),
        kinds: Vec::new(),
        resolver: Vec::new(),
        labels: BTreeMap::new(),
    };
    let preview = spec.mode == RestoreMode::Preview;
    let prepare = StepKey::Prepare.id()?;
    let make = Action::MakeNamespaces { site: facts.site.clone(), namespaces: targets.clone(), district: facts.district.into(), preview };
    let mut steps = vec![Step::new(prepare.clone(), make, CLEAN_UP_DEADLINE).retry(Retry::times(3)).on_failure(OnFailure::Abort)];
    let fragment = bring_up(&BringUp {
        subject: &facts.subject,
        target: Target { site: facts.site, rules, conflict: ConflictHandling::Policy(spec.conflict_policy) },
        gates: Gates { data: vec![prepare], ..Gates::default() },
        parts: parts(facts)?,
        on_failure: OnFailure::Abort,
        deadline: facts.deadline,
    })?;
    steps.extend(fragment.steps);
    let clean_up = StepKey::CleanUp.id()?;
    let remove_movers = Action::RemoveMovers { site: facts.site.clone(), namespaces: targets };
    steps.push(Step::new(clean_up, remove_movers, CLEAN_UP_DEADLINE).finally());
    Ok(Plan::new(steps)?)
}

/// A whole application is not restored from a backup that lacks some of it: it would end as a success without its data.
fn refuse_incomplete(facts: &RestoreFacts<'_>) -> Result<(), CompileError> {
    if is_selective(facts.spec) || !facts.spec.select.files.is_empty() {
        return Ok(());
    }
    let mut missing = missing_parts(facts.subject.spec, facts.parts, facts.unused);
    missing.retain(|part| !(facts.is_partial && matches!(part, MissingPart::Volume(_))));
    if missing.is_empty() {
        return Ok(());
    }
    Err(CompileError::Invalid(format!(
        "backup {} has no {}, which the Application names: choose a backup that has it, correct the Application, or restore a part with spec.select",
        facts.subject.point.backup,
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", no ")
    )))
}

/// Namespaces in which files that are there and different are refused, as objects are: those that are not the application's own. Where it runs, its data is to become that of
/// the backup.
fn refuses_files_in(facts: &RestoreFacts<'_>) -> Vec<String> {
    if facts.spec.conflict_policy != ConflictPolicy::Refuse {
        return Vec::new();
    }
    namespaces(facts).into_values().filter(|target| !facts.subject.spec.namespaces.contains(target)).collect()
}

/// Whether it must be known which claims the target has: for a preview, and where what stands in them may end the restore before anything is stopped.
pub fn looks_into_claims(application: &ApplicationSpec, restore: &RestoreSpec) -> bool {
    let refuses =
        restore.conflict_policy == ConflictPolicy::Refuse && targets(application, restore).values().any(|target| !application.namespaces.contains(target));
    restore.mode == RestoreMode::Preview
        || refuses
        || !restore.select.files.is_empty()
        || restore.target.path_prefix.is_some()
        || restore.target.keep_extra_files
}

/// Whether only some objects are restored.
fn is_selective(spec: &RestoreSpec) -> bool {
    !spec.select.tiers.is_empty() || !spec.select.resources.is_empty()
}

fn parts(facts: &RestoreFacts<'_>) -> Result<Parts, CompileError> {
    let select = &facts.spec.select;
    let preview = facts.spec.mode == RestoreMode::Preview;
    let only_files = !select.files.is_empty();
    let with_volumes = !is_selective(facts.spec);
    let workloads = workloads_of_tiers(facts.subject.spec, &select.tiers)?;
    Ok(Parts {
        objects: (!only_files).then(|| ObjectParts { select: select.clone(), workloads, preview }),
        volumes: with_volumes.then(|| VolumeParts {
            files: select.files.clone(),
            path_prefix: facts.spec.target.path_prefix.clone(),
            keep_extra_files: facts.spec.target.keep_extra_files,
            preview,
            present: facts.present.to_vec(),
            hidden: facts.hidden.iter().map(|(claim, _)| claim.clone()).collect(),
            refuses_in: refuses_files_in(facts),
        }),
        // Whatever is done about objects that are there: what runs would write beside us.
        stop: with_volumes && !preview,
        start: with_volumes && !preview && !only_files,
        proofs: false,
    })
}

/// The workloads of the selected tiers, each with its namespace; none if no tier is selected.
fn workloads_of_tiers(application: &ApplicationSpec, tiers: &[String]) -> Result<Vec<WorkloadReference>, CompileError> {
    let mut found = Vec::new();
    for name in tiers {
        let tier = application.tiers.iter().find(|tier| tier.name == *name).ok_or_else(|| {
            let known: Vec<&str> = application.tiers.iter().map(|tier| tier.name.as_str()).collect();
            CompileError::Invalid(if known.is_empty() {
                format!("select.tiers names {name}, which is no tier of the application; it has none: leave select.tiers out, or declare spec.tiers")
            } else {
                format!("select.tiers names {name}, which is no tier of the application; it has {}", known.join(", "))
            })
        })?;
        let first = application.namespaces.first();
        found.extend(
            tier.workload_refs
                .iter()
                .map(|workload| WorkloadReference { namespace: workload.namespace.clone().or_else(|| first.cloned()), ..workload.clone() }),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
