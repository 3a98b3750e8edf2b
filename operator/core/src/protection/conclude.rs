//! What a backup and a restore have come to: the status fields and conditions that follow from their journal.

mod behind;
mod left_out;
mod missing;

use super::{choose, readable::is_unused};
use crate::{
    conditions::ConditionUpdate,
    engine::{Evidence, ListedChange, Outcome, RunResult, Step, StepTimeline},
    objects, quantity,
    runs::{Action, BackupFinding, Conclusion, MoverTask, Part, RunOutcome, SealFacts, StepKey, unreadable},
    told::Noun,
};
use behind::{Written, left_behind, written};
use missing::{MAX_CLAIMS_LISTED, changed_files, claims_text, incomplete, lacking, missing_claims, no_files};
use p861_crds::{
    BackupStatus, ConditionType, Reason, RestoreStatus, Time,
    common::{Quantity, RunPhase},
    protection::{
        backup::{BackupContents, BackupSize, Consistency, LeftOut, MissingClaim, Verification, VerificationLevel},
        restore::{RestoreMode, RestoredData, RestoredInPlace},
    },
};
use std::collections::BTreeMap;

/// Kinds that a message names.
const MAX_KINDS_NAMED: usize = 5;
/// What a preview says of a backup that hooks had quiesced.
pub const QUIESCED: &str =
    "what hooks.quiesce of the Application had done comes back with this backup, and no restore runs hooks.resume: undo it by hand where it lasts";

/// What a backup has come to. `before` is its status with the fields that every run has.
pub fn backup(before: &BackupStatus, run: &RunOutcome<'_>) -> Conclusion<BackupStatus> {
    let mut status = before.clone();
    status.site = run.site().map(ToString::to_string);
    status.half_restored = seal_facts(run).and_then(|facts| facts.half_restored.clone());
    let mut unread = run.unreadable_evidence();
    let mut missing = Vec::new();
    if let Some(seal) = run.done(|key| matches!(key, StepKey::Seal { .. })) {
        missing = missing_claims(run);
        match &seal.evidence {
            Some(Evidence::Sealed { snapshot, bytes, added, objects, recovery_point_time, .. }) => {
                status.snapshot_id = Some(snapshot.to_string());
                status.recovery_point_time = Some(Time(*recovery_point_time));
                status.size = Some(BackupSize { total: Quantity(quantity::print_bytes(*bytes)), added: Some(Quantity(quantity::print_bytes(*added))) });
                let contents = contents(*objects, seal_facts(run), saved(run), &missing);
                status.contents = Some(BackupContents { changed_files: changed_files(run), ..contents });
                status.consistency = seal_facts(run).map(|facts| if facts.consistent { Consistency::Application } else { Consistency::Crash });
            }
            _ => drop(unread.get_or_insert_with(|| unreadable(seal, "no sealed snapshot"))),
        }
    }
    let verify = run.step(|key| matches!(key, StepKey::Verify { .. }));
    if let Some(verified_time) = verify.filter(|step| is_verified(step)).and_then(|step| step.ended) {
        status.verification = Some(Verification { level: VerificationLevel::Stored, verified_time: Time(verified_time) });
    }
    let (unused, missing): (Vec<MissingClaim>, Vec<MissingClaim>) = missing.into_iter().partition(is_unused);
    let shortfall = unread.map(|message| (Reason::EvidenceUnreadable, message)).or_else(|| incomplete(&status, &missing));
    if shortfall.is_some() && has_succeeded(run) {
        status.phase = Some(RunPhase::Failed);
    }
    let verified = verify.and_then(stored);
    let shortfall = match verified.as_ref().filter(|verified| verified.status == Some(false)) {
        // The snapshot is not sound, whatever it lacks besides.
        Some(unsound) if !missing.is_empty() => Some((unsound.reason.clone(), format!("{}; it also lacks {}", unsound.message, claims_text(&missing)))),
        _ => shortfall,
    };
    let succeeded = backup_succeeded(&status, run, !missing.is_empty(), shortfall);
    let succeeded = if succeeded.holds() { ConditionUpdate { message: succeeded.message + &no_files(&unused), ..succeeded } } else { succeeded };
    let updates = verified.into_iter().chain(run.clean_up_skipped()).chain([succeeded]).collect();
    Conclusion { status, updates, findings: Vec::new() }
}

fn seal_facts<'a>(run: &RunOutcome<'a>) -> Option<&'a SealFacts> {
    run.plan.steps().iter().find_map(|step| match &step.action {
        Action::Move { task: MoverTask::Seal { facts }, .. } => Some(facts),
        _ => None,
    })
}

/// How many cluster-scoped objects the backup of the objects saved, and what it left out and the cluster doesn't make again by itself.
fn saved(run: &RunOutcome<'_>) -> (u64, Vec<LeftOut>) {
    let saved = run.done(|key| matches!(key, StepKey::Save { part: Part::Objects, .. }));
    match saved.and_then(|step| step.evidence.as_ref()) {
        Some(Evidence::ObjectsSaved { kinds, left_out, .. }) => {
            let cluster_scoped = kinds.iter().filter(|kind| kind.namespace.is_empty()).map(|kind| kind.count).sum();
            (cluster_scoped, objects::told(left_out))
        }
        _ => (0, Vec::new()),
    }
}

/// How many of the volumes were read from volume snapshots, in words; empty if none were.
fn from_snapshots(run: &RunOutcome<'_>) -> String {
    let reads_snapshot = |step: &&Step<Action>| matches!(step.action, Action::Move { task: MoverTask::BackupVolume { from_snapshot: true, .. }, .. });
    match run.plan.steps().iter().filter(reads_snapshot).count() {
        0 => String::new(),
        number => format!(" ({number} as of a volume snapshot)"),
    }
}

fn has_succeeded(run: &RunOutcome<'_>) -> bool {
    matches!(run.summary.result, Some((RunResult::Succeeded, ..)))
}

/// What the sealed snapshot holds: objects as the seal found them, the rest as it was told to seal.
fn contents(objects: u64, facts: Option<&SealFacts>, (cluster_objects, left_out): (u64, Vec<LeftOut>), missing: &[MissingClaim]) -> BackupContents {
    let parts = |prefix: &str| facts.map_or(0, |facts| facts.parts.iter().filter(|part| part.starts_with(prefix)).count());
    // Those that nothing could read from the beginning have no part.
    let unsaved = missing.len().saturating_sub(facts.map_or(0, |facts| facts.missing.len()));
    BackupContents {
        objects: i64::try_from(objects).unwrap_or(i64::MAX),
        cluster_objects: i64::try_from(cluster_objects).unwrap_or(i64::MAX),
        volumes: i32::try_from(parts("volumes/").saturating_sub(unsaved)).unwrap_or(i32::MAX),
        streams: i32::try_from(parts("streams/")).unwrap_or(i32::MAX),
        left_out,
        missing_claims: missing.iter().take(MAX_CLAIMS_LISTED).cloned().collect(),
        changed_files: Vec::new(),
    }
}

fn is_verified(verify: &StepTimeline) -> bool {
    verify.outcome == Outcome::Done && matches!(verify.evidence, Some(Evidence::SnapshotVerified { .. }))
}

/// Verified, as soon as the verification has ended.
fn stored(verify: &StepTimeline) -> Option<ConditionUpdate> {
    match (verify.outcome, &verify.failure) {
        (Outcome::Done, _) if !is_verified(verify) => {
            Some(ConditionUpdate::bad(ConditionType::Verified, Reason::EvidenceUnreadable, unreadable(verify, "no verified snapshot")))
        }
        (Outcome::Done, _) => {
            Some(ConditionUpdate::good(ConditionType::Verified, Reason::Stored, "every file that it needs is in the repository, and as long as it should be"))
        }
        (Outcome::Failed, Some(failure)) => Some(ConditionUpdate::bad(ConditionType::Verified, failure.reason.clone(), failure.message.clone())),
        (Outcome::Failed, None) => Some(ConditionUpdate::bad(ConditionType::Verified, Reason::NotYet, "")),
        _ => None,
    }
}

/// `is_partial`: the run went on without some volumes, for which the engine calls it failed, and sealed the rest.
fn backup_succeeded(status: &BackupStatus, run: &RunOutcome<'_>, is_partial: bool, shortfall: Option<(Reason, String)>) -> ConditionUpdate {
    match (&run.summary.result, shortfall) {
        (Some((RunResult::Failed, ..)), Some((reason, message))) if is_partial => ConditionUpdate::bad(ConditionType::Succeeded, reason, message),
        (_, shortfall) => backup_ended(status, run, shortfall),
    }
}

fn backup_ended(status: &BackupStatus, run: &RunOutcome<'_>, shortfall: Option<(Reason, String)>) -> ConditionUpdate {
    match &run.summary.result {
        None => ConditionUpdate::unknown(ConditionType::Succeeded, Reason::Running, run.current_steps()),
        Some((RunResult::Succeeded, ..)) => {
            if let Some((reason, message)) = shortfall {
                return ConditionUpdate::bad(ConditionType::Succeeded, reason, message);
            }
            let contents = status.contents.clone().unwrap_or_default();
            let (reason, mixture) = match &status.half_restored {
                None => (Reason::Complete, String::new()),
                Some(restore) => (
                    Reason::HalfRestored,
                    format!("; taken after Restore {restore} had ended half way: it holds a mixture, and is restored only by a Restore that names it"),
                ),
            };
            ConditionUpdate::good(
                ConditionType::Succeeded,
                reason,
                format!(
                    "{}, {}{}, {}{}{mixture}",
                    Noun::Object.count(contents.objects),
                    Noun::Volume.count(contents.volumes),
                    from_snapshots(run),
                    Noun::Stream.count(contents.streams),
                    left_out::backup_text(&contents.left_out)
                ),
            )
        }
        Some((RunResult::Failed | RunResult::Aborted | RunResult::Refused, reason, message)) => {
            ConditionUpdate::bad(ConditionType::Succeeded, reason.clone(), message.clone())
        }
    }
}

/// What a restore's conclusion follows from, beside its run.
#[derive(Clone, Copy, Debug)]
pub struct RestoreConclusionFacts<'a> {
    /// Its mode.
    pub mode: RestoreMode,
    /// Its status with the fields that every run has.
    pub before: &'a RestoreStatus,
    /// The Backup that it restores.
    pub backup: &'a str,
    /// That Backup was called damaged when the restore began, and everything in it is restored: success proves the opposite.
    pub reads_damaged_anew: bool,
    /// Claims whose files the backup lacks, of those that the restore asks for.
    pub missing: &'a [MissingClaim],
    /// The application, if it is restored where it runs.
    pub in_place: Option<InPlace<'a>>,
    /// The namespaces that are written to.
    pub writes: &'a [String],
    /// Hooks had quiesced the application while the backup was taken.
    pub quiesced: bool,
}

/// An application that is restored where it runs.
#[derive(Clone, Copy, Debug)]
pub struct InPlace<'a> {
    /// The Application.
    pub application: &'a str,
    /// All of it is restored, from a backup that is no mixture itself.
    pub is_whole: bool,
}

/// What a restore, or its preview, has come to.
pub fn restore(facts: &RestoreConclusionFacts<'_>, run: &RunOutcome<'_>) -> Conclusion<RestoreStatus> {
    let mut status = facts.before.clone();
    status.site = run.site().map(ToString::to_string);
    let objects = run.done(|key| matches!(key, StepKey::Restore { part: Part::Objects, .. }));
    let end_state = run.objects_restored().into_values().next();
    let mut unread = run.unreadable_evidence();
    if let Some(step) = objects {
        match end_state.or(step.evidence.as_ref()) {
            Some(Evidence::RestorePreviewed { changes, .. } | Evidence::ObjectsRestored { changes, .. }) => status.changes = Some(changes.clone()),
            _ => drop(unread.get_or_insert_with(|| unreadable(step, "no number of objects"))),
        }
    }
    status.left_out = left_out::of_restore(run);
    status.missing_claims = facts.missing.iter().take(MAX_CLAIMS_LISTED).cloned().collect();
    status.files_removed = files_removed(run).map(|files| i64::try_from(files).unwrap_or(i64::MAX));
    // Everything else was written, volumes and streams too, and what was written was started. But it is not what was saved.
    let partial = partially_restored(run);
    let skipped = run.skipped_by_people();
    if (unread.is_some() || partial.is_some() || skipped.is_some()) && has_succeeded(run) {
        status.phase = Some(RunPhase::Failed);
    }
    let is_whole = has_succeeded(run) && unread.is_none() && partial.is_none() && skipped.is_none();
    status.in_place = facts.in_place.and_then(|in_place| restored_data(facts, in_place, is_whole, run));
    let whole = if unread.is_none() && partial.is_none() && skipped.is_none() { found_whole(facts, run) } else { None };
    let shortfall = unread.map(|message| (Reason::EvidenceUnreadable, message));
    let shortfall = shortfall.or(partial.map(|message| (Reason::PartiallyRestored, message))).or(skipped.map(|message| (Reason::StepSkipped, message)));
    let updates = [restore_succeeded(facts, &status, run, shortfall)].into_iter().chain(run.clean_up_skipped()).collect();
    Conclusion { status, updates, findings: damage_found(facts.backup, run).or(whole).into_iter().collect() }
}

fn restore_succeeded(facts: &RestoreConclusionFacts<'_>, status: &RestoreStatus, run: &RunOutcome<'_>, shortfall: Option<(Reason, String)>) -> ConditionUpdate {
    match &run.summary.result {
        None => ConditionUpdate::unknown(ConditionType::Succeeded, Reason::Running, run.current_steps()),
        Some((RunResult::Succeeded, ..)) => {
            let is_preview = facts.mode == RestoreMode::Preview;
            let left_out = left_out::restore_text(&status.left_out, if is_preview { "would be left out" } else { "left out" });
            if let Some((reason, message)) = shortfall {
                return ConditionUpdate::bad(ConditionType::Succeeded, reason, message + &adjusted(run) + &run.not_awaited() + &left_out);
            }
            let changes = status.changes.clone().unwrap_or_default();
            match facts.mode {
                RestoreMode::Preview => {
                    let unserved = if changes.not_served > 0 { format!("; {}", unserved(run)) } else { String::new() };
                    let mut text =
                        format!("would create {}, change {}; {} same, {} refused{unserved}", changes.create, changes.change, changes.same, changes.refused);
                    text.extend(previewed_files(run));
                    text.push_str(&adjusted(run));
                    text.push_str(&lacking(facts.missing));
                    text.push_str(&left_out);
                    text.extend(facts.quiesced.then(|| format!("; {QUIESCED}")));
                    ConditionUpdate::good(ConditionType::Succeeded, Reason::Previewed, text)
                }
                RestoreMode::Execute => ConditionUpdate::good(
                    ConditionType::Succeeded,
                    Reason::Complete,
                    format!(
                        "{} created, {} changed, {} the same; {}{}{}{}{}{left_out}",
                        Noun::Object.count(changes.create),
                        changes.change,
                        changes.same,
                        Noun::File.count(restored_files(run)),
                        removed_files(run),
                        adjusted(run),
                        lacking(facts.missing),
                        run.not_awaited()
                    ),
                ),
            }
        }
        Some((RunResult::Failed | RunResult::Aborted | RunResult::Refused, reason, message)) => {
            ConditionUpdate::bad(ConditionType::Succeeded, reason.clone(), format!("{message}{}", left_behind(facts, run)))
        }
    }
}

/// What has become of the data of an application that is restored where it runs: a mixture from the first step that may write until the last is done; whole after a run
/// that has restored everything. None otherwise: nothing was written, or a part was asked for and is there. Objects that could not be written make no mixture: the
/// status says which they are.
fn restored_data(facts: &RestoreConclusionFacts<'_>, in_place: InPlace<'_>, is_whole: bool, run: &RunOutcome<'_>) -> Option<RestoredInPlace> {
    let data = match (written(facts, run), is_whole) {
        (Written::Partly(_), _) => RestoredData::Partly,
        (Written::Nothing | Written::All, true) if in_place.is_whole => RestoredData::Whole,
        (Written::Nothing | Written::All, _) => return None,
    };
    Some(RestoredInPlace { application: in_place.application.to_owned(), data })
}

/// Says which objects a run that restored the rest could not write; none if it wrote all.
pub fn partially_restored(run: &RunOutcome<'_>) -> Option<String> {
    let refused = |evidence: &Evidence| match evidence {
        Evidence::ObjectsRestored { changes, refused: Some(refused), .. } => Some((changes.clone(), refused.first.clone())),
        _ => None,
    };
    let all: Vec<_> = run.objects_restored().into_values().filter_map(refused).collect();
    let (_, first) = all.first()?;
    let number: i64 = all.iter().map(|(changes, _)| changes.refused + changes.not_served).sum();
    let unserved = unserved(run);
    let unserved = if unserved.is_empty() { unserved } else { format!("; {unserved}") };
    let were = Noun::Object.were(number);
    let ListedChange { kind, name, namespace, why, .. } = first;
    let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    Some(format!("{were} not written, the first {kind} {name}{place}: {why}{unserved}; everything else was"))
}

/// Says which kinds of the backup the site doesn't serve, and what to do; empty if it serves all.
fn unserved(run: &RunOutcome<'_>) -> String {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for evidence in run.objects_restored().into_values() {
        if let Evidence::ObjectsRestored { not_served, .. } | Evidence::RestorePreviewed { not_served, .. } = evidence {
            for (kind, number) in not_served {
                *kinds.entry(kind).or_default() += number;
            }
        }
    }
    if kinds.is_empty() {
        return String::new();
    }
    let (number, shown): (u64, Vec<String>) =
        (kinds.values().sum(), kinds.iter().take(MAX_KINDS_NAMED).map(|(kind, number)| format!("{kind} {number}")).collect());
    let are = Noun::Object.are(number);
    let more = if kinds.len() > shown.len() { format!(" and {} more", Noun::Kind.count(kinds.len() - shown.len())) } else { String::new() };
    format!("{are} of kinds that the site doesn't serve ({}{more}): install what defines them, or leave them out with spec.exclude", shown.join(", "))
}

/// Says what was written otherwise than it was saved, or would be.
pub fn adjusted(run: &RunOutcome<'_>) -> String {
    let adjusted = |evidence: &Evidence| match evidence {
        Evidence::ObjectsRestored { adjusted, .. } | Evidence::RestorePreviewed { adjusted, .. } => adjusted.clone(),
        _ => BTreeMap::new(),
    };
    let all = run.objects_restored().into_values().flat_map(adjusted);
    all.fold(String::new(), |text, (how, number)| format!("{text}; {number} × {how}"))
}

/// Whether it is a step that restores, and none that looks before whether it can be done.
fn restores(step: &StepTimeline) -> bool {
    matches!(StepKey::of(&step.id), Some(StepKey::Restore { .. }))
}

fn restored_files(run: &RunOutcome<'_>) -> u64 {
    let files = |step: &StepTimeline| match step.evidence {
        Some(Evidence::VolumeRestored { files, .. }) => files,
        _ => 0,
    };
    run.summary.timeline.iter().map(files).sum()
}

/// Files that the backup doesn't have and that were removed, or would be; none before a volume has been looked at.
fn files_removed(run: &RunOutcome<'_>) -> Option<u64> {
    let removed = |step: &StepTimeline| match step.evidence {
        Some(Evidence::VolumeRestored { removed, .. } | Evidence::VolumePreviewed { removed, .. }) if restores(step) => Some(removed),
        _ => None,
    };
    run.summary.timeline.iter().filter_map(removed).reduce(u64::saturating_add)
}

fn removed_files(run: &RunOutcome<'_>) -> String {
    let bytes = |step: &StepTimeline| match step.evidence {
        Some(Evidence::VolumeRestored { removed_bytes, .. }) => removed_bytes,
        _ => 0,
    };
    match files_removed(run) {
        None | Some(0) => String::new(),
        Some(files) => {
            let bytes = run.summary.timeline.iter().map(bytes).fold(0, u64::saturating_add);
            format!("; {} removed that the backup doesn't have ({bytes} bytes)", Noun::File.count(files))
        }
    }
}

/// What would become of the files of the claims that are there.
fn previewed_files(run: &RunOutcome<'_>) -> Option<String> {
    let seen = |step: &StepTimeline| match step.evidence {
        Some(Evidence::VolumePreviewed { removed, changed, created, .. }) if restores(step) => Some([1, removed, changed, created]),
        _ => None,
    };
    let add = |a: [u64; 4], b: [u64; 4]| std::array::from_fn(|at| a[at].saturating_add(b[at]));
    let [volumes, removed, changed, created] = run.summary.timeline.iter().filter_map(seen).reduce(add)?;
    Some(format!("; in {}, {} would be removed, {changed} changed, {created} created", Noun::Volume.count(volumes), Noun::File.count(removed)))
}

/// A backup that an ended restore found damaged is not offered again.
fn damage_found(backup: &str, run: &RunOutcome<'_>) -> Option<BackupFinding> {
    run.summary.result.as_ref()?;
    let message = choose::damage_in(&run.summary.timeline, |_| true)?;
    Some(BackupFinding { backup: backup.to_owned(), update: ConditionUpdate::bad(ConditionType::Verified, Reason::Damaged, message), level: None })
}

/// A backup that was called damaged and has been restored whole is sound: its store is mended, or had answered wrongly. Not for a run that fell short.
fn found_whole(facts: &RestoreConclusionFacts<'_>, run: &RunOutcome<'_>) -> Option<BackupFinding> {
    let is_proof = facts.reads_damaged_anew && facts.mode == RestoreMode::Execute && has_succeeded(run);
    let message = "all of it was restored after it had been called damaged: every byte is there";
    is_proof.then(|| BackupFinding {
        backup: facts.backup.to_owned(),
        update: ConditionUpdate::good(ConditionType::Verified, Reason::Stored, message),
        level: None,
    })
}

#[cfg(test)]
mod tests;
