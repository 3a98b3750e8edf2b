//! What a run of any kind is concluded from, and what a conclusion holds.

use super::{Action, Part, PreflightSubject, StepKey, left::left};
use crate::{
    conditions::{ConditionUpdate, shorten},
    engine::{CurrentStep, Evidence, Journal, Outcome, Plan, RunSummary, SkipCause, Step, StepId, StepProgress, StepTimeline},
    ids::SiteName,
};
use p861_crds::{ConditionType, Reason, protection::backup::Verification};
use std::collections::BTreeMap;

/// Workloads that a message names.
const MAX_WORKLOADS_NAMED: usize = 5;
/// How much of what a step waits for the condition of its run says.
const MAX_WAIT_CHARS: usize = 512;

/// A run as the engine sees it: running or ended.
#[derive(Clone, Copy, Debug)]
pub struct RunOutcome<'a> {
    /// The plan that the run goes by.
    pub plan: &'a Plan<Action>,
    /// Its journal.
    pub journal: &'a Journal,
    /// The summary of that journal.
    pub summary: &'a RunSummary,
    /// What the effects under way have said.
    pub progress: &'a BTreeMap<StepId, StepProgress>,
}

impl<'a> RunOutcome<'a> {
    /// The site that the run works on: that of its first step that has one.
    pub fn site(&self) -> Option<&'a SiteName> {
        self.plan.steps().iter().find_map(|step| step.action.site())
    }

    /// The applications of the run and the backups that it uses, as its preflight step names them.
    pub fn subjects(&self) -> &'a [PreflightSubject] {
        let subjects = self.plan.steps().iter().find_map(|step| match &step.action {
            Action::Preflight { subjects, .. } => Some(subjects.as_slice()),
            _ => None,
        });
        subjects.unwrap_or_default()
    }

    /// The time line of the first step of such a key.
    pub fn step(&self, is: impl Fn(&StepKey) -> bool) -> Option<&'a StepTimeline> {
        self.summary.timeline.iter().find(|step| StepKey::of(&step.id).as_ref().is_some_and(&is))
    }

    /// The same, if that step is done.
    pub fn done(&self, is: impl Fn(&StepKey) -> bool) -> Option<&'a StepTimeline> {
        self.step(is).filter(|step| step.outcome == Outcome::Done)
    }

    /// What became of the objects of each application in the end: where a second try came to some of them, its evidence, which counts all; else that of the first.
    pub fn objects_restored(&self) -> BTreeMap<String, &'a Evidence> {
        let mut found = BTreeMap::new();
        for step in &self.summary.timeline {
            let Some(StepKey::Restore { application, part: part @ (Part::Objects | Part::ObjectsAgain) }) = StepKey::of(&step.id) else { continue };
            match &step.evidence {
                Some(evidence @ Evidence::ObjectsRestored { .. }) if part == Part::ObjectsAgain => drop(found.insert(application, evidence)),
                Some(evidence @ (Evidence::ObjectsRestored { .. } | Evidence::RestorePreviewed { .. })) => {
                    found.entry(application).or_insert(evidence);
                }
                _ => {}
            }
        }
        found
    }

    /// Names the first step that is done, but whose evidence this release can't read. Such a run can't be said to have succeeded.
    pub fn unreadable_evidence(&self) -> Option<String> {
        let done = self.summary.timeline.iter().filter(|step| step.outcome == Outcome::Done);
        done.filter_map(|step| Some((step, step.evidence.as_ref()?.unknown()?))).map(|(step, unknown)| unreadable(step, &unknown)).next()
    }

    /// Says which steps people skipped, for a run that must do all of them to prove what it is for; none if they skipped none. That a copy was left standing for a
    /// shorter time is no part of it.
    pub fn skipped_by_people(&self) -> Option<String> {
        let by_person = |step: &&StepTimeline| {
            step.outcome == Outcome::Skipped && matches!(step.skipped, Some(SkipCause::Person { .. })) && StepKey::of(&step.id) != Some(StepKey::Hold)
        };
        let steps: Vec<&str> = self.summary.timeline.iter().filter(by_person).map(|step| step.id.as_str()).collect();
        let first = steps.first()?;
        let others = if steps.len() == 1 { String::new() } else { format!(" and {} more", steps.len() - 1) };
        Some(format!("a person skipped step {first}{others}: the run did not do all that it is for. Run it again without the skip"))
    }

    /// CleanedUp, of a run that people let go without removing, undoing or releasing everything: what stays, and how it is removed by hand. None if they skipped
    /// nothing of that kind.
    pub fn clean_up_skipped(&self) -> Option<ConditionUpdate> {
        let of_step = |(step, seen): (&Step<Action>, &StepTimeline)| {
            let (what, effect) = match (seen.outcome, &seen.skipped) {
                (Outcome::Skipped, Some(SkipCause::Person { .. })) if step.finally || step.releases() => ("step", &step.action),
                // The step itself was done or tried: its undo was given up.
                (Outcome::Skipped, None) => ("the undo of step", step.undo.as_ref()?),
                _ => return None,
            };
            Some(format!("a person skipped {what} {}, which leaves {}", step.id, left(effect)))
        };
        let all: Vec<String> = self.plan.steps().iter().zip(&self.summary.timeline).filter_map(of_step).collect();
        (!all.is_empty()).then(|| ConditionUpdate::bad(ConditionType::CleanedUp, Reason::StepSkipped, all.join("; ")))
    }

    /// The steps under way, each with what it waits for, for the message of a run that has not ended.
    pub fn current_steps(&self) -> String {
        let told = |step: &CurrentStep| match step.waits(self.progress.get(&step.id)) {
            Some(waits) => format!("{}: {}", step.id, shorten(&waits, MAX_WAIT_CHARS)),
            None => step.id.to_string(),
        };
        let steps: Vec<String> = self.summary.current.iter().map(told).collect();
        steps.join("; ")
    }

    /// Names the workloads that were started and not waited for; empty if there were none.
    pub fn not_awaited(&self) -> String {
        let named = self.summary.timeline.iter().filter_map(|step| match &step.evidence {
            Some(Evidence::WorkloadsReady { not_awaited: named, .. }) => Some(named),
            _ => None,
        });
        not_awaited(&named.flatten().cloned().collect::<Vec<_>>())
    }
}

/// Says which workloads are not waited for, since they were not ready when the backup was taken; empty if there are none.
pub fn not_awaited(workloads: &[String]) -> String {
    if workloads.is_empty() {
        return String::new();
    }
    let first: Vec<&str> = workloads.iter().take(MAX_WORKLOADS_NAMED).map(String::as_str).collect();
    let more = workloads.len() - first.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; not ready when the backup was taken, and not waited for: {}{more}", first.join(", "))
}

/// Text for a step that is done, and whose evidence is not what the step must prove.
pub(crate) fn unreadable(step: &StepTimeline, what: &str) -> String {
    format!("step {} was done, but this release can't read what it proved ({what}): conclude the run with the release that ran it", step.id)
}

/// What follows from where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Conclusion<S> {
    /// The status before, with the fields that follow from the run. Its conditions are those of before: the caller applies the updates.
    pub status: S,
    /// The conditions of the run.
    pub updates: Vec<ConditionUpdate>,
    /// What the run proves of backups. Empty until it has ended.
    pub findings: Vec<BackupFinding>,
}

/// What a run found out about a backup that it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFinding {
    /// The Backup's name.
    pub backup: String,
    /// Its condition Verified.
    pub update: ConditionUpdate,
    /// The level that it reached; none leaves the level as it is.
    pub level: Option<Verification>,
}
