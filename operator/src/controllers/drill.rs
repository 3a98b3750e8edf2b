//! Drill: one run of a plan into a bubble, measured and reported.

use super::{all, backup, backup::claims, district_of, named, plan, plan_sites};
use crate::{
    context::Context,
    drive::{Drive, announce, record},
    reports,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use p861_core::{
    conditions::{self, Verdict},
    engine::{Limits, Outcome, Plan, RunResult},
    maintenance::ticket::change_under_way,
    names,
    protection::{backup::Claim, choose},
    recovery::{
        drill::{self as compiler, DrillFacts, Subject},
        measure::{self, Measurement},
        objectives,
    },
    runs::Action,
    time::{human_duration, parse_duration, print_duration, whole_seconds},
};
use p861_crds::{
    Application, Backup, Drill, DrillSpec, DrillStatus, MaintenanceTicket, RecoveryPlan, Time,
    common::RunPhase,
    protection::backup::{Verification, VerificationLevel},
    recovery::drill::{CheckCounts, DrillResult, DrillType, DrilledApplication, IsolationStatus, Measured},
};
use p861_runs::{
    self as runs, JournalStore, Pass, RunIdentity,
    error::{Category, Error, Result},
    finalizer, repository,
};
use std::{sync::Arc, time::Duration};

/// The controller.
pub struct DrillDriver;

impl Drive for DrillDriver {
    type Kind = Drill;
    const CONDITION: &'static str = "Succeeded";

    async fn pass(&self, context: &Context, drill: Arc<Drill>, now: Timestamp) -> Result<Duration> {
        let before = drill.status.clone().unwrap_or_default();
        let (name, namespace) = (drill.name_any(), drill.namespace().unwrap_or_default());
        let deleted_unbegun = drill.metadata.deletion_timestamp.is_some() && !finalizer::is_held(drill.as_ref());
        if before.phase.is_some_and(RunPhase::is_end) {
            // Nothing of an ended drill stands any more: its object may go.
            finalizer::hold(&context.hub, drill.as_ref(), false).await?;
            return Ok(backup::REST);
        }
        if deleted_unbegun {
            finalizer::hold(&context.hub, drill.as_ref(), false).await?;
            return Ok(backup::REST);
        }
        let plan: RecoveryPlan = match named(&context.hub.client, &namespace, &drill.spec.plan_ref.name).await {
            Ok(plan) => plan,
            Err(error) if error.category() == Category::Invalid && before.journal.is_none() => return refuse(context, &drill, &error, now).await,
            Err(error) => return Err(error),
        };
        finalizer::hold(&context.hub, drill.as_ref(), true).await?;
        let applications: Vec<Application> = all(&context.hub.client, &namespace).await?;
        let run = RunIdentity {
            kind: "Drill",
            namespace: namespace.clone(),
            name: name.clone(),
            uid: drill.uid().unwrap_or_default(),
            repository: plan.spec.repository_ref.name.clone(),
        };
        let store = repository::open_store(&context.hub, &namespace, &run.repository).await?;
        let prefix = format!("journal/{}/{}", plan.name_any(), run.uid);
        let location = repository::location_of(&context.hub, &namespace, &run.repository, &prefix).await?;
        let store = JournalStore::Bucket { store, prefix, location };
        let actions = finalizer::actions(drill.as_ref(), &drill.spec.actions);
        let pass = runs::pass(&context.runs, &run, &store, &actions, async || compile(context, &drill, &plan, &applications).await).await;
        let pass = match pass {
            Ok(pass) => pass,
            Err(error) if error.category() == Category::Invalid && before.journal.is_none() => return refuse(context, &drill, &error, now).await,
            Err(error) => return Err(error),
        };
        let mut status = before.clone();
        if status.from_site.is_none() {
            status.from_site = plan_sites(&plan, &district_of(&context.hub.client, &namespace).await?).ok().map(|(home, _)| home);
        }
        fill(&mut status, &drill, &plan, &pass, &store.location());
        let verdicts = conclude(&mut status, &drill, &plan, &applications, &pass);
        status.conditions = conditions::apply(&status.conditions, &verdicts, drill.metadata.generation, now);
        if pass.summary.phase.is_end() {
            prove_backups(context, &drill, &status, &pass).await?;
            status.report = Some(reports::write(context, &drill, &status, &plan, &applications, &pass).await?);
            if proves(&drill.spec, &status) {
                gauge(context, &namespace, &plan.name_any(), &status);
            }
        }
        record(context, drill.as_ref(), drill.status.as_ref(), &status).await?;
        backup::tell(context, drill.as_ref(), &pass).await;
        if pass.summary.phase.is_end() {
            backup::ended(context, &run, &pass);
            finalizer::hold(&context.hub, drill.as_ref(), false).await?;
            return Ok(backup::REST);
        }
        Ok(backup::next_look(&pass))
    }
}

/// The run can't be started; the object says why, and stays as it is.
async fn refuse(context: &Context, drill: &Drill, error: &Error, now: Timestamp) -> Result<Duration> {
    let mut status = drill.status.clone().unwrap_or_default();
    status.phase = Some(RunPhase::Refused);
    status.result = Some(DrillResult::Incomplete);
    status.observed_generation = drill.metadata.generation;
    status.start_time = Some(Time(now));
    status.completion_time = Some(Time(now));
    let verdicts = [Verdict::bad("Succeeded", error.reason(), error.to_string()), Verdict::good("CleanedUp", "NothingMade", "nothing was made")];
    status.conditions = conditions::apply(&status.conditions, &verdicts, drill.metadata.generation, now);
    record(context, drill, drill.status.as_ref(), &status).await?;
    announce(&context.hub.client, &context.hub.identity, drill, "RunFinished", &error.to_string(), true).await;
    finalizer::hold(&context.hub, drill, false).await?;
    Ok(backup::REST)
}

/// The plan's applications, each with the newest sound backup and the claims that the backup has.
pub async fn subjects<'a>(
    context: &Context,
    plan: &RecoveryPlan,
    applications: &'a [Application],
    home: &str,
    not_after: Option<Timestamp>,
) -> Result<Vec<Subject<'a>>> {
    let namespace = plan.namespace().unwrap_or_default();
    let backups: Vec<Backup> = all(&context.hub.client, &namespace).await?;
    let mut subjects = Vec::new();
    for name in plan::members(plan) {
        let application = applications.iter().find(|application| application.name_any() == name).ok_or_else(|| {
            Error::invalid(
                "ApplicationMissing",
                format!("application {name} of plan {} doesn't exist: kubectl get applications -n {namespace}", plan.name_any()),
            )
        })?;
        let point = choose::newest_sound(name, &backups, not_after).map_err(|error| Error::invalid("NoRecoveryPoint", error.to_string()))?;
        let parts = repository::parts_of(&context.hub, &namespace, &point).await?;
        let first = application.spec.namespaces.first().cloned().unwrap_or_default();
        let claims = match parts {
            Some(parts) => parts.iter().filter_map(|part| claim_of(part, &first)).collect(),
            // A backup whose journal is gone: what stands at home says which claims there are.
            None => claims(&context.sites.client(home).await?, home, application).await?,
        };
        subjects.push(Subject { name: name_of(applications, name), spec: &application.spec, point, claims });
    }
    Ok(subjects)
}

fn name_of<'a>(applications: &'a [Application], name: &str) -> &'a str {
    applications.iter().filter_map(|application| application.metadata.name.as_deref()).find(|known| *known == name).unwrap_or_default()
}

/// The claim behind a part's path.
pub fn claim_of(part: &str, first: &str) -> Option<Claim> {
    let name = part.strip_prefix("volumes/")?;
    Some(match name.split_once('.') {
        Some((namespace, claim)) if names::volume_part(first, namespace, claim) == part => Claim { namespace: namespace.into(), name: claim.into() },
        _ => Claim { namespace: first.into(), name: name.into() },
    })
}

async fn compile(context: &Context, drill: &Drill, plan: &RecoveryPlan, applications: &[Application]) -> Result<Plan<Action>> {
    let namespace = drill.namespace().unwrap_or_default();
    let district = district_of(&context.hub.client, &namespace).await?;
    let (home, standby) = plan_sites(plan, &district)?;
    let site = drill.spec.site_ref.as_ref().map_or(standby, |site| site.name.clone());
    if drill.spec.r#type != DrillType::Tabletop {
        let tickets: Vec<MaintenanceTicket> = all(&context.hub.client, &namespace).await?;
        if let Some(busy) = change_under_way(&tickets, &plan::members(plan).collect::<Vec<_>>(), &site) {
            let name = busy.name_any();
            let message = format!("change {name} is under way on what this drill uses: wait for its end (p861 ticket show {name}), and run the drill anew");
            return Err(Error::invalid("PlanBusy", message));
        }
    }
    let invalid = |what: &str, error: &dyn std::fmt::Display| Error::invalid("Invalid", format!("{what}: {error}"));
    let keep_for = parse_duration(&drill.spec.keep_for.0).map_err(|error| invalid("spec.keepFor", &error))?;
    let deadline = parse_duration(&drill.spec.deadline.0).map_err(|error| invalid("spec.deadline", &error))?;
    let subjects = subjects(context, plan, applications, &home, drill.spec.recovery_point.not_after_time.as_ref().map(|time| time.0)).await?;
    let id = names::drill_id(&drill.uid().unwrap_or_default());
    let facts = DrillFacts { drill_type: drill.spec.r#type, id: &id, site: &site, plan: &plan.spec, subjects: &subjects, keep_for };
    let compiled = compiler::compile(&facts).map_err(|error| Error::invalid("Invalid", error.to_string()))?;
    let estimates = reports::durations(context, &namespace, plan).await;
    let steps = compiled.steps().iter().map(|step| step.clone().estimate(estimates.get(step.id.as_str()).copied())).collect();
    let limits = Limits { parallel: None, deadline: Some(deadline) };
    Plan::with_limits(steps, limits).map_err(|error| Error::invalid("Invalid", error.to_string()))
}

/// The fields that follow from the run alone.
fn fill(status: &mut DrillStatus, drill: &Drill, plan: &RecoveryPlan, pass: &Pass, location: &str) {
    let view = runs::view(pass, location, "drill", &drill.name_any());
    status.observed_generation = drill.metadata.generation;
    status.observed_actions = Some(view.observed_actions);
    status.phase = Some(view.phase);
    status.start_time = view.start_time;
    status.completion_time = view.completion_time;
    status.steps = Some(view.steps);
    status.current_steps = view.current_steps;
    status.progress = view.progress;
    status.journal = Some(view.journal);
    status.target_site = pass.plan.steps().iter().find_map(|step| step.action.site().map(str::to_owned));
    status.plan_digest = Some(pass.plan.digest().to_owned());
    status.objectives.clone_from(&plan.spec.objectives);
    if status.prediction.is_none() {
        status.prediction = plan.status.as_ref().and_then(|s| s.prediction.clone());
    }
    status.isolation = pass.plan.steps().iter().find_map(|step| match &step.action {
        Action::Isolate { bubble, .. } => Some(IsolationStatus { id: bubble.id.clone(), namespaces: bubble.namespaces.values().cloned().collect() }),
        _ => None,
    });
}

fn duration_text(duration: SignedDuration) -> p861_crds::Duration {
    print_duration(whole_seconds(duration)).unwrap_or_default().into()
}

/// What was measured, and what follows.
fn conclude(status: &mut DrillStatus, drill: &Drill, plan: &RecoveryPlan, applications: &[Application], pass: &Pass) -> Vec<Verdict> {
    let mut verdicts = vec![cleaned_up(pass, status)];
    let isolated = drill.spec.r#type == DrillType::Isolated;
    let start = pass.summary.start.unwrap_or_default();
    let subjects = reports::subjects_of(pass);
    let mut measurements: Vec<Measurement> = Vec::new();
    if isolated {
        status.applications = subjects
            .iter()
            .filter_map(|subject| {
                let application = applications.iter().find(|application| application.name_any() == subject.application)?;
                let m = measure::measure(&subject.application, &application.spec, &pass.journal, start, subject.time);
                measurements.push(m.clone());
                let ended = pass.summary.phase.is_end() || m.rto.is_some();
                Some(DrilledApplication {
                    name: subject.application.clone(),
                    backup: Some(subject.backup.clone()),
                    recovery_point_time: Some(Time(subject.time)),
                    objectives: objectives::in_force(&application.spec),
                    measured: Measured { rto: m.rto.map(duration_text), rpo: m.rpo.filter(|_| ended).map(duration_text) },
                    rpo_proof: ended.then_some(m.proof),
                    checks: CheckCounts { passed: m.passed, total: m.total },
                })
            })
            .collect();
    }
    let rto = if measurements.iter().all(|m| m.rto.is_some()) { measurements.iter().filter_map(|m| m.rto).max() } else { None };
    if let Some(rto) = rto {
        status.measured = Some(Measured { rto: Some(duration_text(rto)), rpo: None });
    }
    let plan_objective = objectives::duration(plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref())).ok().flatten();
    let within_plan = plan_objective.is_none_or(|objective| rto.is_some_and(|rto| rto <= objective));
    let all_met = within_plan && measurements.iter().all(|m| m.objectives_met);
    let checks: (i32, i32) = measurements.iter().fold((0, 0), |(passed, total), m| (passed + m.passed, total + m.total));
    let Some((result, reason, message)) = &pass.summary.result else {
        verdicts.push(Verdict::unknown("Succeeded", "Running", format!("{} of {} steps", pass.summary.counts.done, pass.summary.counts.total)));
        return verdicts;
    };
    status.result = Some(match result {
        RunResult::Succeeded if !isolated || all_met => DrillResult::Passed,
        RunResult::Succeeded | RunResult::Failed => DrillResult::Failed,
        RunResult::Aborted | RunResult::Refused => DrillResult::Incomplete,
    });
    if isolated && *result == RunResult::Succeeded {
        verdicts.push(objectives_met(all_met, within_plan, &measurements, status, rto, plan_objective));
    }
    verdicts.push(match result {
        RunResult::Succeeded => {
            let rto = rto.map_or_else(String::new, |rto| format!(", RTO {}", human_duration(rto)));
            let text = if isolated {
                format!("{} applications, {} of {} checks{rto}", measurements.len(), checks.0, checks.1)
            } else {
                "compiled and checked; nothing was touched".into()
            };
            Verdict::good("Succeeded", if all_met || !isolated { "Passed" } else { "Complete" }, text)
        }
        _ => Verdict::bad("Succeeded", reason, message.clone()),
    });
    verdicts
}

fn objectives_met(
    all_met: bool,
    within_plan: bool,
    measurements: &[Measurement],
    status: &DrillStatus,
    rto: Option<SignedDuration>,
    objective: Option<SignedDuration>,
) -> Verdict {
    if all_met {
        return Verdict::good("ObjectivesMet", "WithinObjectives", "every application within its RTO and RPO");
    }
    let late: Vec<String> = measurements
        .iter()
        .zip(&status.applications)
        .filter(|(m, _)| !m.objectives_met)
        .map(|(m, a)| {
            let text = |d: Option<SignedDuration>| d.map_or_else(|| "unknown".to_owned(), human_duration);
            let goal = |d: Option<&p861_crds::Duration>| d.map_or("-", |d| d.0.as_str()).to_owned();
            format!("{}: RTO {} of {}, RPO {} of {}", a.name, text(m.rto), goal(a.objectives.rto.as_ref()), text(m.rpo), goal(a.objectives.rpo.as_ref()))
        })
        .collect();
    if !within_plan {
        let text = |d: Option<SignedDuration>| d.map_or_else(|| "unknown".to_owned(), human_duration);
        return Verdict::bad("ObjectivesMet", "RTOExceeded", format!("plan: RTO {} of {}", text(rto), text(objective)));
    }
    Verdict::bad("ObjectivesMet", "RPOExceeded", late.join("; "))
}

fn cleaned_up(pass: &Pass, status: &DrillStatus) -> Verdict {
    let isolation = status.isolation.clone().unwrap_or_default();
    let Some(step) = pass.summary.timeline.iter().find(|step| step.id.as_str() == "clean-up") else {
        return Verdict::good("CleanedUp", "NothingMade", "nothing was made");
    };
    if step.outcome == Outcome::Done {
        return Verdict::good("CleanedUp", "NothingLeft", format!("{} namespaces removed; a list by label shows none", isolation.namespaces.len()));
    }
    match pass.summary.clean_up_trouble.first() {
        Some(trouble) => Verdict::bad("CleanedUp", "CleanUpFailed", format!("{} times: {}", trouble.failures, trouble.failure.message)),
        None => Verdict::bad("CleanedUp", "InUse", format!("{} namespaces on {}", isolation.namespaces.len(), status.target_site.clone().unwrap_or_default())),
    }
}

/// What the drill proves of the backups that it used, good or bad, is written on them.
async fn prove_backups(context: &Context, drill: &Drill, status: &DrillStatus, pass: &Pass) -> Result<()> {
    let namespace = drill.namespace().unwrap_or_default();
    for subject in reports::subjects_of(pass) {
        let name = &subject.application;
        let measured = status.applications.iter().find(|application| application.name == *name);
        let passed = measured.is_some_and(|a| a.measured.rto.is_some() && a.checks.passed == a.checks.total);
        let (verify, restore) = (format!("verify/{name}"), format!("restore/{name}/"));
        let damage = choose::damage_in(&pass.summary.timeline, |step| step == verify || step.starts_with(&restore));
        let (verdict, level) = if let Some(message) = damage {
            (Verdict::bad("Verified", "Damaged", message), None)
        } else if passed {
            let rto = measured.and_then(|a| a.measured.rto.clone()).unwrap_or_default();
            let proof = Verification { level: VerificationLevel::Probed, verified_time: Time(Timestamp::now()) };
            (Verdict::good("Verified", "Probed", format!("restored and probed by drill {}; RTO {rto}", drill.name_any())), Some(proof))
        } else {
            continue;
        };
        backup::note_verdict(context, &namespace, &subject.backup, verdict, level).await?;
    }
    Ok(())
}

/// Every result of a drill.
pub const RESULTS: [DrillResult; 3] = [DrillResult::Passed, DrillResult::Failed, DrillResult::Incomplete];

/// Whether a drill that has ended says anything of the plan: an isolated one that was not refused.
pub fn proves(spec: &DrillSpec, status: &DrillStatus) -> bool {
    spec.r#type == DrillType::Isolated && status.completion_time.is_some() && status.result.is_some() && status.phase != Some(RunPhase::Refused)
}

/// Tells Prometheus of a plan's newest drill that proves something.
#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double for longer than anyone will ask")]
pub fn gauge(context: &Context, namespace: &str, plan: &str, status: &DrillStatus) {
    let metrics = &context.metrics;
    if let Some(end) = &status.completion_time {
        metrics.drill_last_completion.with_label_values(&[namespace, plan]).set(end.0.as_second() as f64);
    }
    for result in RESULTS {
        metrics.drill_last_result.with_label_values(&[namespace, plan, &result.to_string()]).set(i64::from(status.result == Some(result)));
    }
    if let Some(rto) = status.measured.as_ref().and_then(|m| m.rto.as_ref()).and_then(|rto| parse_duration(&rto.0).ok()) {
        metrics.drill_rto.with_label_values(&[namespace, plan]).set(rto.as_secs_f64());
    }
}
