//! What a restore that ended early has left: of the data, and of what it had stopped.

use super::RestoreConclusionFacts;
use crate::{
    engine::{Evidence, Outcome, StepTimeline},
    runs::{Part, RunOutcome, StepKey},
    told::Noun,
};
use p861_crds::protection::restore::RestoreMode;

/// Workloads that a message names.
const MAX_STOPPED_NAMED: usize = 5;

/// How much of a backup a restore has written. Status and message follow from this alone.
pub(super) enum Written {
    /// Certainly nothing.
    Nothing,
    /// These steps have begun to write, or may have, and not all that write are done.
    Partly(Vec<String>),
    /// Everything that was asked for.
    All,
}

/// How much the restore has written, as its steps prove it.
pub(super) fn written(facts: &RestoreConclusionFacts<'_>, run: &RunOutcome<'_>) -> Written {
    let key = |step: &StepTimeline| StepKey::of(&step.id);
    // A second try at some objects mixes no data.
    let writes = |step: &&StepTimeline| matches!(key(step), Some(StepKey::Restore { part, .. }) if part != Part::ObjectsAgain);
    let began = |step: &&StepTimeline| step.touched && matches!(key(step), Some(StepKey::Restore { .. }));
    let begun: Vec<String> = run.summary.timeline.iter().filter(began).map(|step| step.id.to_string()).collect();
    if begun.is_empty() || facts.mode == RestoreMode::Preview {
        return Written::Nothing;
    }
    let is_done = run.summary.timeline.iter().filter(writes).all(|step| step.outcome == Outcome::Done);
    if is_done { Written::All } else { Written::Partly(begun) }
}

/// What a restore that ended early has left, in words: what runs again, what has become of the data, and what stays stopped.
pub(super) fn left_behind(facts: &RestoreConclusionFacts<'_>, run: &RunOutcome<'_>) -> String {
    if facts.mode == RestoreMode::Preview {
        return String::new();
    }
    let stop = run.step(|key| matches!(key, StepKey::Stop { .. })).filter(|stop| stop.outcome == Outcome::Undone);
    let left = stop.and_then(|stop| stop.evidence.as_ref());
    let (started, stopped) = match left {
        Some(Evidence::WorkloadsLeft { again, made, workloads, stopped }) => (!again.is_empty(), left_stopped(made, *workloads, stopped)),
        _ => (stop.is_some(), String::new()),
    };
    let started = if started { "; what ran before was started again" } else { "" };
    let (backup, namespaces) = (facts.backup, facts.writes.join(", "));
    let data = match (written(facts, run), facts.in_place) {
        (Written::Nothing, _) => String::new(),
        (Written::Partly(begun), Some(_)) => {
            format!(". The application's data is partly that of backup {backup} (begun: {}): restore again, this backup or another", begun.join(", "))
        }
        (Written::All, Some(_)) => format!(". All data of backup {backup} was written before: the application's data is that of this backup"),
        (Written::Partly(begun), None) => {
            let begun = begun.join(", ");
            format!(". In {namespaces} there is a part of backup {backup} (begun: {begun}): restore again with spec.conflictPolicy Merge, or remove it")
        }
        (Written::All, None) => format!(". In {namespaces} there is all data of backup {backup}: restore again with spec.conflictPolicy Merge, or remove it"),
    };
    format!("{started}{data}{stopped}")
}

/// What stays stopped in namespaces that the restore has made; empty if nothing does.
fn left_stopped(made: &[String], workloads: u64, stopped: &[String]) -> String {
    if workloads == 0 {
        return String::new();
    }
    let first: Vec<&str> = stopped.iter().take(MAX_STOPPED_NAMED).map(String::as_str).collect();
    let more = usize::try_from(workloads).unwrap_or(usize::MAX).saturating_sub(first.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        ". Left stopped in {}, which this restore has made: {} ({}{more}). Restore again with spec.conflictPolicy Merge to start them, or remove them: kubectl delete namespace {}",
        made.join(", "),
        Noun::Workload.count(workloads),
        first.join(", "),
        made.join(" ")
    )
}
