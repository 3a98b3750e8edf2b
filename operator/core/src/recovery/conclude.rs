//! What a drill has come to: what was measured, whether the objectives were met, whether it was cleaned up, and what it proves of the backups it used.

use super::{
    measure::{self, Measurement},
    objectives,
};
use crate::{
    conditions::ConditionUpdate,
    engine::{Evidence, Outcome, RunResult, StepTimeline},
    protection::{
        choose,
        conclude::{adjusted, partially_restored},
    },
    runs::{Action, BackupFinding, Conclusion, RunOutcome, StepKey},
    time::{after, human_duration, print_duration, whole_seconds},
    told::Noun,
};
use jiff::SignedDuration;
use p861_crds::{
    Application, ApplicationSpec, ConditionType, DrillSpec, DrillStatus, Reason, RecoveryPlanSpec, Time,
    common::RunPhase,
    protection::backup::{Verification, VerificationLevel},
    recovery::{
        drill::{CheckCounts, DrillResult, DrillType, DrilledApplication, IsolationStatus, Measured},
        plan::Prediction,
    },
};

/// Every result of a drill.
pub const RESULTS: [DrillResult; 3] = [DrillResult::Passed, DrillResult::Failed, DrillResult::Incomplete];

/// Whether a drill that has ended says anything of the plan: an isolated one that was neither refused nor aborted. An abort, by a person or by a run that goes
/// first, neither proves the plan nor takes back what an earlier drill proved.
pub fn proves(spec: &DrillSpec, status: &DrillStatus) -> bool {
    let ended = status.completion_time.is_some() && status.result.is_some();
    let is_isolated = spec.r#type == DrillType::Isolated && is_on_standby(status);
    is_isolated && ended && !matches!(status.phase, Some(RunPhase::Refused | RunPhase::Aborted))
}

/// Whether the copy is on another site than the applications. One beside them says nothing of the site where they would be recovered, so nothing of the plan.
pub fn is_on_standby(status: &DrillStatus) -> bool {
    status.target_site.is_none() || status.target_site != status.from_site
}

/// What a drill's conclusion follows from, beside its run.
#[derive(Clone, Copy, Debug)]
pub struct DrillConclusionFacts<'a> {
    /// The Drill's name.
    pub name: &'a str,
    /// How far it goes.
    pub drill_type: DrillType,
    /// Its status with the fields that every run has.
    pub before: &'a DrillStatus,
    /// The plan that it rehearses.
    pub plan: &'a RecoveryPlanSpec,
    /// What the plan predicts now; kept from the drill's first conclusion on.
    pub prediction: Option<&'a Prediction>,
    /// The applications of the namespace.
    pub applications: &'a [Application],
}

impl<'a> DrillConclusionFacts<'a> {
    fn application(&self, name: &str) -> Option<&'a ApplicationSpec> {
        self.applications.iter().find(|application| application.metadata.name.as_deref() == Some(name)).map(|application| &application.spec)
    }
}

/// What a drill has come to.
pub fn conclude(facts: &DrillConclusionFacts<'_>, run: &RunOutcome<'_>) -> Conclusion<DrillStatus> {
    let mut status = facts.before.clone();
    fill(&mut status, facts, run);
    let isolated = facts.drill_type == DrillType::Isolated;
    let measured = if isolated { measure_all(facts, run) } else { Vec::new() };
    if isolated {
        status.applications = measured.iter().map(|one| drilled(one, run.summary.phase.is_end())).collect();
    }
    let objectives = Objectives::of(facts.plan, &measured);
    if let Some(rto) = objectives.rto {
        status.measured = Some(Measured { rto: Some(duration_text(rto)), rpo: None });
    }
    let mut updates = vec![cleaned_up(run, &status)];
    let succeeded_so_far = matches!(run.summary.result, Some((RunResult::Succeeded, ..)));
    let unread = run.unreadable_evidence().filter(|_| succeeded_so_far);
    // A copy that lacks objects is not what would be recovered.
    let partial = partially_restored(run).filter(|_| succeeded_so_far && unread.is_none());
    let skipped = run.skipped_by_people().filter(|_| succeeded_so_far && unread.is_none() && partial.is_none());
    if let Some((result, ..)) = &run.summary.result {
        status.result =
            Some(if unread.is_some() || skipped.is_some() { DrillResult::Incomplete } else { drill_result(*result, !isolated || objectives.met()) });
        if isolated && *result == RunResult::Succeeded && unread.is_none() && skipped.is_none() {
            updates.push(objectives.condition());
        }
    }
    let proves = run.summary.phase.is_end() && unread.is_none() && partial.is_none() && skipped.is_none();
    if let Some(message) = unread {
        status.phase = Some(RunPhase::Failed);
        updates.push(ConditionUpdate::bad(ConditionType::Succeeded, Reason::EvidenceUnreadable, message));
    } else if let Some(message) = partial {
        (status.phase, status.result) = (Some(RunPhase::Failed), Some(DrillResult::Failed));
        updates.push(ConditionUpdate::bad(ConditionType::Succeeded, Reason::PartiallyRestored, message));
    } else if let Some(message) = skipped {
        status.phase = Some(RunPhase::Failed);
        updates.push(ConditionUpdate::bad(ConditionType::Succeeded, Reason::StepSkipped, message));
    } else {
        updates.push(succeeded(&status, isolated, &objectives, run));
    }
    let findings = if proves { findings(facts.name, &status, run) } else { Vec::new() };
    Conclusion { status, updates, findings }
}

/// The fields that follow from the plans of the drill and of the district.
fn fill(status: &mut DrillStatus, facts: &DrillConclusionFacts<'_>, run: &RunOutcome<'_>) {
    status.target_site = run.site().map(ToString::to_string);
    status.plan_digest = Some(run.plan.digest().to_owned());
    status.objectives.clone_from(&facts.plan.objectives);
    if status.prediction.is_none() {
        status.prediction = facts.prediction.cloned();
    }
    status.isolation = run.plan.steps().iter().find_map(|step| match &step.action {
        Action::Isolate { bubble, .. } => Some(IsolationStatus { id: bubble.id.clone(), namespaces: bubble.namespaces.values().cloned().collect() }),
        _ => None,
    });
}

/// One application of the drill, and what was measured of it.
struct Subject<'a> {
    name: &'a str,
    backup: &'a str,
    recovery_point: jiff::Timestamp,
    spec: &'a ApplicationSpec,
    measured: Measurement,
}

fn measure_all<'a>(facts: &DrillConclusionFacts<'a>, run: &RunOutcome<'a>) -> Vec<Subject<'a>> {
    let start = run.summary.start.unwrap_or_default();
    let of_run = run.subjects().iter().filter_map(|subject| {
        let spec = facts.application(&subject.application)?;
        let measured = measure::measure(&subject.application, spec, run.journal, start, subject.time);
        Some(Subject { name: &subject.application, backup: &subject.backup, recovery_point: subject.time, spec, measured })
    });
    of_run.collect()
}

/// An application's line of the status. Its RPO is shown once nothing can change it: when it is recovered, or the drill has ended.
fn drilled(subject: &Subject<'_>, drill_ended: bool) -> DrilledApplication {
    let m = &subject.measured;
    let ended = drill_ended || m.rto.is_some();
    DrilledApplication {
        name: subject.name.to_owned(),
        backup: Some(subject.backup.to_owned()),
        recovery_point_time: Some(Time(subject.recovery_point)),
        objectives: objectives::in_force(subject.spec),
        measured: Measured { rto: m.rto.map(duration_text), rpo: m.rpo.filter(|_| ended).map(duration_text) },
        rpo_proof: ended.then_some(m.proof),
        checks: CheckCounts { passed: m.passed, total: m.total },
    }
}

fn duration_text(duration: SignedDuration) -> p861_crds::Duration {
    print_duration(whole_seconds(duration)).unwrap_or_default().into()
}

/// What the drill measured against what the plan and its applications ask for.
struct Objectives<'a> {
    subjects: &'a [Subject<'a>],
    /// The longest RTO; none if one was not measured.
    rto: Option<SignedDuration>,
    /// The plan's own RTO objective.
    plan_rto: Option<SignedDuration>,
}

impl<'a> Objectives<'a> {
    fn of(plan: &RecoveryPlanSpec, subjects: &'a [Subject<'a>]) -> Self {
        let each: Option<Vec<SignedDuration>> = subjects.iter().map(|subject| subject.measured.rto).collect();
        let plan_rto = objectives::duration(plan.objectives.as_ref().and_then(|o| o.rto.as_ref())).ok().flatten();
        Self { subjects, rto: each.and_then(|each| each.into_iter().max()), plan_rto }
    }

    fn plan_met(&self) -> bool {
        self.plan_rto.is_none_or(|objective| self.rto.is_some_and(|rto| rto <= objective))
    }

    fn rto_met(&self) -> bool {
        self.plan_met() && self.subjects.iter().all(|subject| subject.measured.rto_met)
    }

    fn rpo_met(&self) -> bool {
        self.subjects.iter().all(|subject| subject.measured.rpo_met)
    }

    fn met(&self) -> bool {
        self.rto_met() && self.rpo_met()
    }

    /// The reason says which objective was missed, the message by whom and by how much.
    fn condition(&self) -> ConditionUpdate {
        let reason = match (self.rto_met(), self.rpo_met()) {
            (true, true) => return ConditionUpdate::good(ConditionType::ObjectivesMet, Reason::WithinObjectives, "every application within its RTO and RPO"),
            (false, true) => Reason::RTOExceeded,
            (true, false) => Reason::RPOExceeded,
            (false, false) => Reason::RTOAndRPOExceeded,
        };
        let plan = (!self.plan_met()).then(|| format!("plan: RTO {} of {}", measured_text(self.rto), measured_text(self.plan_rto)));
        let late = self.subjects.iter().filter_map(missed_text);
        ConditionUpdate::bad(ConditionType::ObjectivesMet, reason, plan.into_iter().chain(late).collect::<Vec<_>>().join("; "))
    }
}

fn measured_text(duration: Option<SignedDuration>) -> String {
    duration.map_or_else(|| "unknown".to_owned(), |duration| human_duration(whole_seconds(duration)))
}

/// The objectives that an application missed; none if it met both.
fn missed_text(subject: &Subject<'_>) -> Option<String> {
    let (m, stated) = (&subject.measured, objectives::in_force(subject.spec));
    let line = |word: &str, measured: Option<SignedDuration>, objective: Option<&p861_crds::Duration>| {
        format!("{word} {} of {}", measured_text(measured), objective.map_or("-", |objective| objective.0.as_str()))
    };
    let rto = (!m.rto_met).then(|| line("RTO", m.rto, stated.rto.as_ref()));
    let rpo = (!m.rpo_met).then(|| line("RPO", m.rpo, stated.rpo.as_ref()));
    let missed: Vec<String> = rto.into_iter().chain(rpo).collect();
    (!missed.is_empty()).then(|| format!("{}: {}", subject.name, missed.join(", ")))
}

fn drill_result(result: RunResult, objectives_met: bool) -> DrillResult {
    match result {
        RunResult::Succeeded if objectives_met => DrillResult::Passed,
        RunResult::Succeeded | RunResult::Failed => DrillResult::Failed,
        RunResult::Aborted | RunResult::Refused => DrillResult::Incomplete,
    }
}

/// Whether the run did all its steps. A drill that missed an objective ran to its end: ObjectivesMet and the result say so.
fn succeeded(status: &DrillStatus, isolated: bool, objectives: &Objectives<'_>, run: &RunOutcome<'_>) -> ConditionUpdate {
    let counts = &run.summary.counts;
    match &run.summary.result {
        None => ConditionUpdate::unknown(ConditionType::Succeeded, Reason::Running, format!("{} of {} steps", counts.done, counts.total)),
        Some((RunResult::Succeeded, ..)) if !isolated => {
            ConditionUpdate::good(ConditionType::Succeeded, Reason::Passed, "compiled and checked; nothing was touched")
        }
        Some((RunResult::Succeeded, ..)) => {
            let sum = |count: fn(&Measurement) -> i32| objectives.subjects.iter().map(|subject| count(&subject.measured)).sum::<i32>();
            let rto = objectives.rto.map_or_else(String::new, |rto| format!(", RTO {}", human_duration(whole_seconds(rto))));
            let paused = objectives.rto.map_or_else(String::new, |rto| paused_text(run, rto));
            let patches = unmatched_patches(run).map_or_else(String::new, |patches| format!("; no object matches {patches}"));
            let (applications, passed, total) = (objectives.subjects.len(), sum(|m| m.passed), sum(|m| m.total));
            let beside = if is_on_standby(status) { "" } else { "; on the site where the applications run, so it proves nothing of the plan" };
            let text = format!("{}, {passed} of {total} checks{rto}{paused}{patches}{}{beside}", Noun::Application.count(applications), adjusted(run));
            ConditionUpdate::good(ConditionType::Succeeded, if objectives.met() { Reason::Passed } else { Reason::Complete }, text)
        }
        Some((RunResult::Failed | RunResult::Aborted | RunResult::Refused, reason, message)) => {
            ConditionUpdate::bad(ConditionType::Succeeded, reason.clone(), message.clone())
        }
    }
}

/// What of the measured time the run was paused by people; nothing if it was not.
fn paused_text(run: &RunOutcome<'_>, rto: SignedDuration) -> String {
    let paused = whole_seconds(measure::paused_in(run, after(run.summary.start.unwrap_or_default(), rto)));
    if paused.is_zero() { String::new() } else { format!("; paused for {}, which the RTO includes", human_duration(paused)) }
}

/// The patches of the copy that matched no object, each with its application; none if all did.
fn unmatched_patches(run: &RunOutcome<'_>) -> Option<String> {
    let of_step = |step: &StepTimeline| -> Vec<String> {
        match (StepKey::of(&step.id), &step.evidence) {
            (Some(StepKey::Restore { application, .. }), Some(Evidence::ObjectsRestored { patches_unmatched, .. })) => {
                patches_unmatched.iter().map(|patch| format!("{patch} of {application}")).collect()
            }
            _ => Vec::new(),
        }
    };
    let all: Vec<String> = run.summary.timeline.iter().flat_map(of_step).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Whether anything that the drill made stands.
fn cleaned_up(run: &RunOutcome<'_>, status: &DrillStatus) -> ConditionUpdate {
    let namespaces = status.isolation.as_ref().map_or(0, |isolation| isolation.namespaces.len());
    let Some(step) = run.step(|key| *key == StepKey::CleanUp) else {
        return ConditionUpdate::good(ConditionType::CleanedUp, Reason::NothingMade, "nothing was made");
    };
    if step.outcome == Outcome::Done {
        return ConditionUpdate::good(
            ConditionType::CleanedUp,
            Reason::NothingLeft,
            format!("{} removed; a list by label shows none", Noun::Namespace.count(namespaces)),
        );
    }
    if let Some(skipped) = run.clean_up_skipped() {
        return skipped;
    }
    match run.summary.clean_up_trouble.first() {
        Some(trouble) => {
            ConditionUpdate::bad(ConditionType::CleanedUp, Reason::CleanUpFailed, format!("{} times: {}", trouble.failures, trouble.failure.message))
        }
        None => ConditionUpdate::bad(
            ConditionType::CleanedUp,
            Reason::InUse,
            format!("{} on {}", Noun::Namespace.count(namespaces), status.target_site.as_deref().unwrap_or_default()),
        ),
    }
}

/// What an ended drill proves, good or bad, of each backup that it used. An application that neither was recovered nor met damage proves nothing.
fn findings(drill: &str, status: &DrillStatus, run: &RunOutcome<'_>) -> Vec<BackupFinding> {
    let of_run = run.subjects().iter().filter_map(|subject| {
        let damage = choose::damage_in(&run.summary.timeline, |key| key.reads_backup_of(&subject.application));
        let (update, level) = if let Some(message) = damage {
            (ConditionUpdate::bad(ConditionType::Verified, Reason::Damaged, message), None)
        } else {
            let measured = status.applications.iter().find(|application| application.name == subject.application)?;
            let rto = measured.measured.rto.as_ref().filter(|_| measured.checks.passed == measured.checks.total)?;
            let verified_time = Time(run.summary.completion?);
            // Without a check nobody has looked whether what was restored works.
            let (level, reason, how) = if measured.checks.total > 0 {
                (VerificationLevel::Probed, Reason::Probed, "restored and probed")
            } else {
                (VerificationLevel::Restored, Reason::Restored, "restored, and probed by no check,")
            };
            let text = format!("{how} by drill {drill}; RTO {rto}");
            (ConditionUpdate::good(ConditionType::Verified, reason, text), Some(Verification { level, verified_time }))
        };
        Some(BackupFinding { backup: subject.backup.clone(), update, level })
    });
    of_run.collect()
}

#[cfg(test)]
#[path = "conclude/tests.rs"]
mod tests;
