//! A drill's report, from its journal and what was declared.

use super::report::{
    API_VERSION, ActionReport, ApplicationReport, BackupReport, CheckOutcome, CheckReport, CleanUpReport, DrillReport, Failure, KIND, Named, Objective,
    Prediction, Span, StepOutcome, StepReport, Version,
};
use crate::{
    engine::{Event, Evidence, Outcome, SkipCause, StepTimeline},
    recovery::objectives,
    runs::{PreflightSubject, RunOutcome, StepKey},
    time::parse_duration,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{Application, District, Drill, DrillStatus, RecoveryPlan, recovery::drill::DrillResult};
use std::collections::BTreeMap;

/// Offset from UTC of the times in a report when the district's time zone is unknown, in minutes: China's.
const DEFAULT_OFFSET_MINUTES: i32 = 8 * 60;

/// What a report says, beside its run.
#[derive(Clone, Copy, Debug)]
pub struct ReportFacts<'a> {
    /// The Drill.
    pub drill: &'a Drill,
    /// Its status, with what was concluded.
    pub status: &'a DrillStatus,
    /// Its plan.
    pub plan: &'a RecoveryPlan,
    /// The applications of its namespace.
    pub applications: &'a [Application],
    /// Its district.
    pub district: &'a District,
    /// Where the applications ran.
    pub from_site: &'a Named,
    /// Where they were recovered.
    pub target_site: &'a Named,
    /// Version of the operator.
    pub version: &'a str,
}

/// The report of a run that has ended; none before.
pub fn compose(facts: &ReportFacts<'_>, run: &RunOutcome<'_>) -> Option<DrillReport> {
    let ReportFacts { drill, status, plan, district, .. } = *facts;
    let summary = run.summary;
    let (_, reason, message) = summary.result.clone()?;
    let (start, end) = (summary.start.unwrap_or_default(), summary.completion.unwrap_or_default());
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let objective = objectives::duration(plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref())).ok().flatten();
    let measured = status.measured.as_ref().and_then(|m| parse_duration(&m.rto.as_ref()?.0).ok());
    Some(DrillReport {
        api_version: API_VERSION.into(),
        kind: KIND.into(),
        drill: name(&drill.metadata.name),
        uid: drill.metadata.uid.clone().unwrap_or_default(),
        district: Named { name: name(&district.metadata.name), names: Some(district.spec.names.clone()) },
        drill_type: drill.spec.r#type,
        plan: Named { name: name(&plan.metadata.name), names: plan.spec.names.clone() },
        plan_digest: run.plan.digest().to_owned(),
        scenario: drill.spec.scenario.clone(),
        requested_by: drill.spec.requested_by.clone().unwrap_or_else(|| "-".into()),
        participants: drill.spec.participants.clone(),
        from_site: facts.from_site.clone(),
        target_site: facts.target_site.clone(),
        isolation: status.isolation.clone().unwrap_or_default().namespaces,
        utc_offset_minutes: offset_minutes(&district.spec.time_zone, start),
        start_time: start,
        completion_time: end,
        result: status.result.unwrap_or(DrillResult::Incomplete),
        reason,
        message,
        failure: summary.failure.as_ref().map(|failure| Failure {
            step: failure.step.to_string(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
        }),
        rto: Objective { target: objective, measured },
        prediction: status.prediction.as_ref().and_then(|p| Some(Prediction { rto: parse_duration(&p.rto.0).ok()?, basis: p.basis, samples: p.samples })),
        applications: run.subjects().iter().filter_map(|subject| application_report(subject, facts, run)).collect(),
        steps: steps(run),
        actions: actions(run),
        clean_up: clean_up(status, run),
        journal: status.journal.as_ref().map(|journal| journal.location.clone()),
        versions: vec![Version { name: "p861-operator".into(), version: facts.version.into() }],
        // The end of the run, not the present time, so that writing the report again gives the same bytes.
        generated_time: end,
    })
}

/// How long each step took that is done, by its id, in whole milliseconds: estimates for the next drill.
pub fn durations(report: &DrillReport) -> BTreeMap<String, SignedDuration> {
    let done = report.steps.iter().filter(|step| step.outcome == StepOutcome::Done);
    let took = done.filter_map(|step| Some((step.id.clone(), step.ended?.duration_since(step.started?).as_millis())));
    took.filter(|(_, millis)| *millis >= 1).map(|(id, millis)| (id, SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))).collect()
}

fn offset_minutes(time_zone: &str, at: Timestamp) -> i32 {
    TimeZone::get(time_zone).map_or(DEFAULT_OFFSET_MINUTES, |zone| zone.to_offset(at).seconds() / 60)
}

fn of<'a>(run: &RunOutcome<'a>, key: &StepKey) -> Option<&'a StepTimeline> {
    run.step(|found| found == key)
}

fn steps(run: &RunOutcome<'_>) -> Vec<StepReport> {
    let of_plan = run.plan.steps().iter().filter_map(|step| {
        let timeline = run.summary.timeline.iter().find(|timeline| timeline.id == step.id)?;
        Some(step_report(timeline, step.dependencies().map(ToString::to_string).collect(), step.finally))
    });
    of_plan.collect()
}

fn clean_up(status: &DrillStatus, run: &RunOutcome<'_>) -> CleanUpReport {
    let made = status.isolation.clone().unwrap_or_default().namespaces;
    let step = of(run, &StepKey::CleanUp);
    if step.is_none_or(|step| step.outcome == Outcome::Done) {
        let evidence = "a list of namespaces by the drill's label, and of volumes by their claims, shows none".into();
        return CleanUpReport { complete: true, removed: made, left: Vec::new(), evidence };
    }
    let evidence = step.and_then(|step| step.failure.as_ref()).map_or_else(String::new, |failure| failure.message.clone());
    CleanUpReport { complete: false, removed: Vec::new(), left: made, evidence }
}

fn application_report(subject: &PreflightSubject, facts: &ReportFacts<'_>, run: &RunOutcome<'_>) -> Option<ApplicationReport> {
    let application = facts.applications.iter().find(|application| application.metadata.name.as_ref() == Some(&subject.application))?;
    let measured = facts.status.applications.iter().find(|measured| measured.name == subject.application);
    let text = |d: Option<&p861_crds::Duration>| d.and_then(|d| parse_duration(&d.0).ok());
    let stated = objectives::in_force(&application.spec);
    let name = &subject.application;
    let checks = application.spec.checks.iter().map(|check| {
        let step = of(run, &StepKey::check(name, &check.name));
        let outcome = match step.map(|step| step.outcome) {
            Some(Outcome::Done) => CheckOutcome::Passed,
            Some(Outcome::Failed) => CheckOutcome::Failed,
            _ => CheckOutcome::NotRun,
        };
        let seen = step.and_then(|step| match step.evidence.as_ref()? {
            Evidence::CheckSeen { seen, .. } => Some(seen.clone()),
            other => other.unknown(),
        });
        let evidence = seen.or_else(|| step.and_then(|step| step.failure.as_ref()).map(|failure| failure.message.clone())).unwrap_or_default();
        CheckReport { name: check.name.clone(), outcome, started: step.and_then(|s| s.started), ended: step.and_then(|s| s.ended), evidence }
    });
    let marker = of(run, &StepKey::marker(name)).and_then(|step| match step.evidence {
        Some(Evidence::MarkerRead { time, .. }) => Some(time),
        _ => None,
    });
    Some(ApplicationReport {
        application: Named { name: name.clone(), names: application.spec.names.clone() },
        department: Some(application.spec.department.clone()),
        rto: Objective { target: text(stated.rto.as_ref()), measured: text(measured.and_then(|m| m.measured.rto.as_ref())) },
        rpo: Objective { target: text(stated.rpo.as_ref()), measured: text(measured.and_then(|m| m.measured.rpo.as_ref())) },
        rpo_proof: measured.and_then(|m| m.rpo_proof),
        marker_time: marker,
        backup: Some(BackupReport {
            name: subject.backup.clone(),
            repository: subject.repository.clone(),
            snapshot_id: subject.snapshot.to_string(),
            recovery_point_time: subject.time,
            verification: subject.level,
            size: None,
        }),
        checks: checks.collect(),
    })
}

fn step_report(step: &StepTimeline, after: Vec<String>, clean_up: bool) -> StepReport {
    let skipped = step.skipped.as_ref().map(|cause| match cause {
        SkipCause::Person { reason } => reason.clone(),
        SkipCause::DependencyFailed { step } => format!("{step} was not done"),
        SkipCause::TimedOut => "nobody answered in time".into(),
    });
    StepReport {
        id: step.id.to_string(),
        after,
        planned: step.planned.map(|planned| Span { start: planned.start, end: planned.end }),
        started: step.started,
        ended: step.ended,
        attempts: step.attempts,
        outcome: match step.outcome {
            Outcome::Open => StepOutcome::Open,
            Outcome::Done => StepOutcome::Done,
            Outcome::Failed => StepOutcome::Failed,
            Outcome::Cancelled => StepOutcome::Cancelled,
            Outcome::Skipped => StepOutcome::Skipped,
            Outcome::NotReached => StepOutcome::NotReached,
            Outcome::NotRun => StepOutcome::NotRun,
            Outcome::Undone => StepOutcome::Undone,
        },
        clean_up,
        message: step.failure.as_ref().map(|failure| failure.message.clone()).or(skipped),
        evidence: step.evidence.clone(),
    }
}

fn actions(run: &RunOutcome<'_>) -> Vec<ActionReport> {
    let refused: BTreeMap<u32, &String> = run.summary.refused_actions.iter().map(|(index, why)| (*index, why)).collect();
    let of_people = run.journal.records().iter().filter_map(|record| match &record.event {
        Event::Action { index, action } => Some((record, *index, action)),
        _ => None,
    });
    of_people
        .map(|(record, index, action)| ActionReport {
            action: action.action,
            step: action.step.clone(),
            reason: action.reason.clone(),
            answer: action.answer.clone(),
            by: action.by.clone().unwrap_or_else(|| "-".into()),
            time: record.at,
            refused: refused.get(&index).map(|why| (*why).clone()),
        })
        .collect()
}

#[cfg(test)]
#[path = "compose/tests.rs"]
mod tests;
