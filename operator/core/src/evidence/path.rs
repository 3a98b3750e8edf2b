//! Analysis of a drill's timeline: the critical path, and deviations from the plan.

use super::report::{DrillReport, StepOutcome, StepReport};
use std::collections::{HashMap, HashSet};

/// The steps that decided how long the recovery took, first to last: from the step that ended last back to the one that each had to wait for longest.
///
/// Clean-up does not count: the RTO does not wait for it. A step that never started is on no path.
pub fn critical_path(report: &DrillReport) -> Vec<&str> {
    let by_id: HashMap<&str, &StepReport> = report.steps.iter().map(|step| (step.id.as_str(), step)).collect();
    let ended = |step: &&StepReport| !step.clean_up && step.started.is_some() && step.ended.is_some();
    let mut path = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut next = report.steps.iter().filter(ended).max_by_key(|step| step.ended);
    while let Some(step) = next {
        // The plan has no cycle; data read from a file might.
        if !seen.insert(&step.id) {
            break;
        }
        path.push(step.id.as_str());
        next = step.after.iter().filter_map(|id| by_id.get(id.as_str()).copied()).filter(ended).max_by_key(|step| step.ended);
    }
    path.reverse();
    path
}

/// Steps that failed or needed retries. Steps that were only skipped because of another failure are left out.
pub fn deviations(report: &DrillReport) -> Vec<&StepReport> {
    report
        .steps
        .iter()
        .filter(|step| match step.outcome {
            StepOutcome::Done => step.attempts > 1,
            StepOutcome::Failed | StepOutcome::Cancelled | StepOutcome::Skipped | StepOutcome::Undone | StepOutcome::Open => true,
            StepOutcome::NotReached | StepOutcome::NotRun => false,
        })
        .collect()
}
