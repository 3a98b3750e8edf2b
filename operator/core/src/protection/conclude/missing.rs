//! What the snapshot of a backup lacks, so that the backup has failed although it is sealed.

use super::seal_facts;
use crate::{
    conditions::shorten,
    engine::{Evidence, Outcome, StepId, StepTimeline},
    objects::LeaveReason,
    protection::claims::claim_of,
    runs::RunOutcome,
    told::Noun,
};
use p861_crds::{
    BackupStatus, Reason,
    protection::backup::{ChangedFiles, MissingClaim},
};

/// Missing claims that a message names, and the characters of the reason that it gives for each.
const MAX_CLAIMS_NAMED: usize = 10;
const MAX_WHY_CHARS: usize = 300;
/// What else may be done about claims that nothing can read.
const SKIP: &str = ". What need not be saved is left out by its name in spec.volumes of the Application, with method Skip";
/// Missing claims that a status lists. The inventory of the snapshot lists all.
pub(super) const MAX_CLAIMS_LISTED: usize = 100;

/// The claims that the sealed snapshot lacks, and why: those that nothing could read when the backup began, and those whose step was not done.
pub(super) fn missing_claims(run: &RunOutcome<'_>) -> Vec<MissingClaim> {
    let Some(facts) = seal_facts(run) else { return Vec::new() };
    let why = |step: &StepId| run.journal.why_not_done(step);
    facts.missing.iter().cloned().chain(facts.parts.iter().filter_map(|part| facts.why_not_saved(part, why))).collect()
}

/// The claims of which files changed or vanished while they were read, with the first of these.
pub(super) fn changed_files(run: &RunOutcome<'_>) -> Vec<ChangedFiles> {
    let first = seal_facts(run).and_then(|facts| facts.namespaces.first()).map(String::as_str).unwrap_or_default();
    let of_step = |step: &StepTimeline| match &step.evidence {
        Some(Evidence::VolumeSaved(saved)) if step.outcome == Outcome::Done => {
            let claim = claim_of(&saved.part, first)?;
            // A release before this one named the first without their number.
            let count = saved.warned.max(saved.warnings.len() as u64);
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            (count > 0).then(|| ChangedFiles { claim: format!("{}/{}", claim.namespace, claim.name), count, first: saved.warnings.clone() })
        }
        _ => None,
    };
    run.summary.timeline.iter().filter_map(of_step).take(MAX_CLAIMS_LISTED).collect()
}

/// `claim n/disk is a block device, …; claim n/uploads: no node takes its mover; and 3 claims more`
pub(super) fn claims_text(missing: &[MissingClaim]) -> String {
    let one = |missing: &MissingClaim| {
        let colon = if missing.reason == Reason::ClaimNotReadable.as_str() { "" } else { ":" };
        format!("claim {}{colon} {}", missing.claim, shorten(&missing.message, MAX_WHY_CHARS))
    };
    listed(missing, one)
}

/// What a backup says that is whole of the claims that had no files; empty if there are none.
pub(super) fn no_files(unused: &[MissingClaim]) -> String {
    if unused.is_empty() { String::new() } else { format!("; no data of {}", claims_text(unused)) }
}

/// What a restore says of the claims that its backup lacks; empty if it has all.
pub(super) fn lacking(missing: &[MissingClaim]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let one = |missing: &MissingClaim| {
        let why = shorten(&missing.message, MAX_WHY_CHARS);
        if missing.reason == Reason::ClaimNotReadable.as_str() {
            format!("claim {}, which {why}", missing.claim)
        } else {
            format!("claim {}: {why}", missing.claim)
        }
    };
    format!("; the backup has no data of {}", listed(missing, one))
}

fn listed(missing: &[MissingClaim], one: impl Fn(&MissingClaim) -> String) -> String {
    let named: Vec<String> = missing.iter().take(MAX_CLAIMS_NAMED).map(one).collect();
    let more = if missing.len() > named.len() { format!("; and {} more", Noun::Claim.count(missing.len() - named.len())) } else { String::new() };
    format!("{}{more}", named.join("; "))
}

/// Says what a sealed snapshot lacks; none if it is whole. Everything else is in it, but it is not what was asked for.
pub(super) fn incomplete(status: &BackupStatus, missing: &[MissingClaim]) -> Option<(Reason, String)> {
    let absent = missing_objects(status);
    if missing.is_empty() {
        return absent;
    }
    let volumes = Noun::Volume.were(missing.len());
    let absent = absent.map_or_else(String::new, |(_, text)| format!(". Besides, {text}"));
    // What nothing could read from the beginning will not be readable next time either.
    let skip = if missing.iter().any(|missing| missing.reason == Reason::ClaimNotReadable.as_str()) { SKIP } else { "" };
    let message = format!(
        "{volumes} not saved: {}. Everything else is in snapshot {}: a Restore that names this Backup brings it back{skip}{absent}",
        claims_text(missing),
        status.snapshot_id.as_deref().unwrap_or_default()
    );
    Some((Reason::PartiallySaved, message))
}

/// Says which objects that the Application names don't exist; none if all do.
fn missing_objects(status: &BackupStatus) -> Option<(Reason, String)> {
    let contents = status.contents.as_ref()?;
    let missing = contents.left_out.iter().find(|left| left.reason == LeaveReason::Missing.as_str())?;
    let more = usize::try_from(missing.count).unwrap_or(usize::MAX).saturating_sub(missing.names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!(
        "the Application names what doesn't exist: {}{more}; create it, or take it out of spec.clusterResources. Everything else is in snapshot {}: a Restore that names \
         this Backup brings it back",
        missing.names.join(", "),
        status.snapshot_id.as_deref().unwrap_or_default()
    );
    Some((Reason::ClusterResourceMissing, message))
}
