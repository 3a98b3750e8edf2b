//! A drill's report: from its journal to a page, in the plan's repository and on the hub.

use crate::{context::Context, controllers::district_of};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use p861_core::{
    engine::{Event, Evidence, Outcome, SkipCause, StepId, StepTimeline},
    evidence::{
        DrillReport, Language, publish,
        report::{
            API_VERSION, ActionReport, ApplicationReport, BackupReport, CheckOutcome, CheckReport, CleanUpReport, Failure, KIND, Named, Objective, Prediction,
            Span, StepOutcome, StepReport, Version,
        },
    },
    recovery::objectives,
    runs::{Action, PreflightSubject, StepKey},
    time::parse_duration,
};
use p861_crds::{Application, Drill, DrillStatus, RecoveryPlan, Site, names::FIELD_MANAGER, recovery::drill::ReportReference};
use p861_runs::{
    Pass,
    error::{Error, ErrorContext as _, Result},
    repository,
};
use serde_json::json;
use std::collections::BTreeMap;

/// The applications of a run and the backups that it uses.
pub fn subjects_of(pass: &Pass) -> Vec<PreflightSubject> {
    let subjects = pass.plan.steps().iter().find_map(|step| match &step.action {
        Action::Preflight { subjects, .. } => Some(subjects.clone()),
        _ => None,
    });
    subjects.unwrap_or_default()
}

/// Durations of the steps of the plan's newest drill, used as estimates for the next.
pub async fn durations(context: &Context, namespace: &str, plan: &RecoveryPlan) -> BTreeMap<String, SignedDuration> {
    let Some(last) = plan.status.as_ref().and_then(|status| status.last_drill.as_ref()) else { return BTreeMap::new() };
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), namespace);
    let Ok(Some(map)) = maps.get_opt(&format!("{}-report", last.name)).await else { return BTreeMap::new() };
    let report: Option<DrillReport> = map.data.and_then(|data| serde_json::from_str(data.get("report.json")?).ok());
    let steps = report.map(|report| report.steps).unwrap_or_default();
    steps
        .into_iter()
        .filter(|step| step.outcome == StepOutcome::Done)
        .filter_map(|step| Some((step.id, step.ended?.duration_since(step.started?))))
        .filter(|(_, took)| *took >= SignedDuration::from_millis(1))
        .map(|(id, took)| (id, SignedDuration::from_millis(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))))
        .collect()
}

/// Creates the report and stores it, create-only in the repository and in a ConfigMap owned by the Drill. Idempotent.
pub async fn write(
    context: &Context,
    drill: &Drill,
    status: &DrillStatus,
    plan: &RecoveryPlan,
    applications: &[Application],
    pass: &Pass,
) -> Result<ReportReference> {
    let (name, namespace) = (drill.name_any(), drill.namespace().unwrap_or_default());
    let report = build(context, drill, status, plan, applications, pass).await?;
    let published = publish(&report, Language::Zh).map_err(|error| Error::Internal(error.to_string()))?;
    let repository = &plan.spec.repository_ref.name;
    let store = repository::open_store(&context.hub, &namespace, repository).await?;
    // The UID distinguishes drills of the same name on a rebuilt hub.
    let key = |ending: &str| format!("reports/{name}-{}.{ending}", drill.uid().unwrap_or_default());
    let mut locations = Vec::new();
    for (ending, text) in [("html", &published.html), ("json", &published.json)] {
        match store.put_if_absent(&key(ending), text.clone().into_bytes()).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(repository::vault("store the report", &error)),
        }
        locations.push(repository::location_of(&context.hub, &namespace, repository, &key(ending)).await?);
    }
    context.hub.leadership.ensure()?;
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), &namespace);
    let map = format!("{name}-report");
    let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": map, "ownerReferences": [drill.controller_owner_ref(&())]},
        "data": {"report.html": published.html, "report.json": published.json}});
    maps.patch(&map, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.context(|| format!("write ConfigMap {map}"))?;
    let mut locations = locations.into_iter();
    Ok(ReportReference { html: locations.next().unwrap_or_default(), json: locations.next().unwrap_or_default(), digest: published.digest })
}

async fn build(context: &Context, drill: &Drill, status: &DrillStatus, plan: &RecoveryPlan, applications: &[Application], pass: &Pass) -> Result<DrillReport> {
    let namespace = drill.namespace().unwrap_or_default();
    let district = district_of(&context.hub.client, &namespace).await?;
    let summary = &pass.summary;
    let (start, end) = (summary.start.unwrap_or_default(), summary.completion.unwrap_or_default());
    let (_, reason, message) = summary.result.clone().ok_or_else(|| Error::Internal("a report of a drill that has not ended".into()))?;
    let site = async |name: Option<&String>| -> Result<Named> {
        let Some(name) = name.cloned() else { return Ok(Named { name: "?".into(), names: None }) };
        let found: Option<Site> = Api::all(context.hub.client.clone()).get_opt(&name).await.context(|| format!("read site {name}"))?;
        Ok(Named { name, names: found.and_then(|site| site.spec.names) })
    };
    let offset = jiff::tz::TimeZone::get(&district.spec.time_zone).map_or(480, |zone| zone.to_offset(start).seconds() / 60);
    let timeline = |id: &StepId| summary.timeline.iter().find(|step| step.id == *id);
    let of = |key: StepKey| summary.timeline.iter().find(|step| step.id == key);
    let subjects = subjects_of(pass);
    let application_reports = subjects.iter().filter_map(|subject| application_report(subject, status, applications, &of)).collect();
    let isolation = status.isolation.clone().unwrap_or_default().namespaces;
    let clean_up = of(StepKey::CleanUp);
    let complete = clean_up.is_none_or(|step| step.outcome == Outcome::Done);
    let objective = objectives::duration(plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref())).ok().flatten();
    let measured = status.measured.as_ref().and_then(|m| parse_duration(&m.rto.as_ref()?.0).ok());
    Ok(DrillReport {
        api_version: API_VERSION.into(),
        kind: KIND.into(),
        drill: drill.name_any(),
        uid: drill.uid().unwrap_or_default(),
        district: Named { name: district.name_any(), names: Some(district.spec.names.clone()) },
        drill_type: drill.spec.r#type,
        plan: Named { name: plan.name_any(), names: plan.spec.names.clone() },
        plan_digest: pass.plan.digest().to_owned(),
        scenario: drill.spec.scenario.clone(),
        requested_by: drill.spec.requested_by.clone().unwrap_or_else(|| "-".into()),
        participants: drill.spec.participants.clone(),
        from_site: site(status.from_site.as_ref()).await?,
        target_site: site(status.target_site.as_ref()).await?,
        isolation: isolation.clone(),
        utc_offset_minutes: offset,
        start_time: start,
        completion_time: end,
        result: status.result.unwrap_or(p861_crds::recovery::drill::DrillResult::Incomplete),
        reason,
        message,
        failure: summary.failure.as_ref().map(|failure| Failure {
            step: failure.step.to_string(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
        }),
        rto: Objective { target: objective, measured },
        prediction: status.prediction.as_ref().and_then(|p| Some(Prediction { rto: parse_duration(&p.rto.0).ok()?, basis: p.basis, samples: p.samples })),
        applications: application_reports,
        steps: pass
            .plan
            .steps()
            .iter()
            .filter_map(|step| Some(step_report(timeline(&step.id)?, step.dependencies().map(ToString::to_string).collect(), step.finally)))
            .collect(),
        actions: actions(pass),
        clean_up: CleanUpReport {
            complete,
            removed: if complete { isolation.clone() } else { Vec::new() },
            left: if complete { Vec::new() } else { isolation },
            evidence: if complete {
                "a list of namespaces by the drill's label, and of volumes by their claims, shows none".into()
            } else {
                clean_up.and_then(|step| step.failure.as_ref()).map_or_else(String::new, |f| f.message.clone())
            },
        },
        journal: status.journal.as_ref().map(|journal| journal.location.clone()),
        versions: vec![Version { name: "p861-operator".into(), version: env!("CARGO_PKG_VERSION").into() }],
        // The end of the run, not the present time, so that writing the report again gives the same bytes.
        generated_time: end,
    })
}

fn application_report<'a>(
    subject: &PreflightSubject,
    status: &DrillStatus,
    applications: &[Application],
    timeline: &impl Fn(StepKey) -> Option<&'a StepTimeline>,
) -> Option<ApplicationReport> {
    let application = applications.iter().find(|application| application.name_any() == subject.application)?;
    let measured = status.applications.iter().find(|a| a.name == subject.application);
    let text = |d: Option<&p861_crds::Duration>| d.and_then(|d| parse_duration(&d.0).ok());
    let stated = objectives::in_force(&application.spec);
    let name = &subject.application;
    let checks = application.spec.checks.iter().map(|check| {
        let step = timeline(StepKey::check(name, &check.name));
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
    let marker = timeline(StepKey::marker(name)).and_then(|step| match step.evidence {
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

fn actions(pass: &Pass) -> Vec<ActionReport> {
    let refused: BTreeMap<u32, &String> = pass.summary.refused_actions.iter().map(|(index, why)| (*index, why)).collect();
    let of_people = pass.journal.records().iter().filter_map(|record| match &record.event {
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
