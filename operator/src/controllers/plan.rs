//! RecoveryPlan: whether it compiles, its standby is ready, and it was drilled.

use super::{all, district_of, drill, plan_sites};
use crate::{context::Context, metrics::Metrics, reconciler::Reconciler};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use p861_core::{
    conditions::{self, ConditionUpdate},
    engine::Plan,
    protection::choose,
    recovery::{
        conclude,
        drill::{self as compiler, DrillFacts},
        standing,
    },
    runs::Action,
    time::print_duration,
};
use p861_crds::{
    Application, Backup, ConditionType, Drill, Reason, RecoveryPlan, RecoveryPlanStatus, Time,
    common::StepCounts,
    names::FIELD_MANAGER,
    protection::backup::VerificationLevel,
    recovery::{
        drill::DrillType,
        plan::{Preflight, PreflightCheck, PreflightResult},
    },
};
use p861_runs::status::apply_status;
use p861_runs::{
    error::{Error, Result, Tried as _},
    repository,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);

/// The controller.
pub struct PlanReconciler;

impl Reconciler for PlanReconciler {
    type Kind = RecoveryPlan;
    const CONDITION: ConditionType = ConditionType::Ready;

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.drill_last_completion.remove_label_values(&[namespace, name]);
        let _ = metrics.drill_rto.remove_label_values(&[namespace, name]);
        for result in conclude::RESULTS {
            let _ = metrics.drill_last_result.remove_label_values(&[namespace, name, &result.to_string()]);
        }
    }

    async fn reconcile(&self, context: &Context, plan: Arc<RecoveryPlan>, now: Timestamp) -> Result<Duration> {
        let namespace = plan.namespace().unwrap_or_default();
        let mut status = plan.status.clone().unwrap_or_default();
        status.observed_generation = plan.metadata.generation;
        let drills: Vec<Drill> = all(&context.hub.client, &namespace).await?;
        let of_plan: Vec<&Drill> = drills.iter().filter(|drill| drill.spec.plan_ref.name == plan.name_any()).collect();
        status.current_run =
            of_plan.iter().find(|drill| drill.status.as_ref().is_some_and(|s| s.phase.is_some_and(|phase| !phase.is_end()))).map(|drill| drill.name_any());
        let last_drill = standing::last_drill(&of_plan);
        let mut updates = vec![standing::drilled(last_drill.as_ref(), now)];
        status.last_drill = last_drill.or(status.last_drill);
        // Also sets the metrics after a restart, which loses them.
        let ended = of_plan.iter().filter_map(|drill| drill.status.as_ref().filter(|status| conclude::proves(&drill.spec, status)));
        if let Some(newest) = ended.max_by_key(|s| s.completion_time.as_ref().map(|time| time.0)) {
            drill::gauge(context, &namespace, &plan.name_any(), newest);
        } else {
            // A plan that was never drilled becomes overdue, too, counted from its creation.
            let since = plan.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
            context.metrics.drill_last_completion.with_label_values(&[&namespace, &plan.name_any()]).set(since.as_duration().as_secs_f64());
        }
        status.prediction = standing::predict(&of_plan).or(status.prediction);
        match compile(context, &plan).await {
            Ok((compiled, standby)) => {
                status.active_site = Some(standby.0.clone());
                status.plan_digest = Some(compiled.digest().to_owned());
                status.steps = Some(StepCounts { total: i32::try_from(compiled.steps().len()).unwrap_or(i32::MAX), ..StepCounts::default() });
                updates.push(ConditionUpdate::good(
                    ConditionType::Ready,
                    Reason::Compiled,
                    format!("{} steps, {} applications", compiled.steps().len(), members(&plan).count()),
                ));
                store_steps(context, &plan, &compiled).await?;
                updates.push(preflight(context, &plan, &standby.1, &mut status, now).await?);
            }
            Err(error) => {
                updates.push(ConditionUpdate::bad(ConditionType::Ready, error.reason(), error.to_string()));
                updates.push(ConditionUpdate::bad(ConditionType::ReadyToFailover, Reason::PlanNotReady, "see Ready"));
            }
        }
        status.conditions = conditions::apply(&status.conditions, &updates, plan.metadata.generation, now);
        apply_status(&context.hub, plan.as_ref(), plan.status.as_ref(), &status).await?;
        Ok(RECONCILE_INTERVAL)
    }
}

/// Names of the plan's applications.
pub fn members(plan: &RecoveryPlan) -> impl Iterator<Item = &str> {
    standing::members(&plan.spec)
}

/// Compiles an isolated drill of the plan as of now. Also returns the active and the standby site.
async fn compile(context: &Context, plan: &RecoveryPlan) -> Result<(Plan<Action>, (String, String))> {
    let namespace = plan.namespace().unwrap_or_default();
    let district = district_of(&context.hub.client, &namespace).await?;
    let sites = plan_sites(plan, &district)?;
    let plans: Vec<RecoveryPlan> = all(&context.hub.client, &namespace).await?;
    let older = |other: &&RecoveryPlan| {
        other.uid() != plan.uid() && other.metadata.creation_timestamp.as_ref().map(|t| t.0) <= plan.metadata.creation_timestamp.as_ref().map(|t| t.0)
    };
    for other in plans.iter().filter(older) {
        if let Some(shared) = members(plan).find(|name| members(other).any(|theirs| theirs == *name)) {
            return Err(Error::invalid(
                Reason::ApplicationInOtherPlan,
                format!("application {shared} is in plan {}: an application is in one plan", other.name_any()),
            ));
        }
    }
    let applications: Vec<Application> = all(&context.hub.client, &namespace).await?;
    let points = drill::points(context, plan, &applications, &sites.0, None).await?;
    let subjects = drill::subjects_of(&applications, &points);
    let facts =
        DrillFacts { drill_type: DrillType::Isolated, id: "00000", site: &sites.1, plan: &plan.spec, subjects: &subjects, keep_for: SignedDuration::ZERO };
    let compiled = compiler::compile(&facts).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))?;
    Ok((compiled, sites))
}

/// Stores the compiled steps for `p861 plan check --steps`.
async fn store_steps(context: &Context, plan: &RecoveryPlan, compiled: &Plan<Action>) -> Result<()> {
    let namespace = plan.namespace().unwrap_or_default();
    let name = format!("{}-steps", plan.name_any());
    let steps: Vec<_> = compiled
        .steps()
        .iter()
        .map(|step| json!({"id": step.id, "after": step.dependencies().collect::<Vec<_>>(), "deadline": print_duration(step.deadline).unwrap_or_default(), "action": step.action.word()}))
        .collect();
    let text = serde_json::to_string(&steps).map_err(|error| Error::Internal(error.to_string()))?;
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), &namespace);
    let existing = maps.get_opt(&name).await.tried(|| format!("read ConfigMap {name}"))?;
    if existing.as_ref().and_then(|map| map.data.as_ref()?.get("steps.json")) == Some(&text) {
        return Ok(());
    }
    context.hub.leadership.ensure()?;
    let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": [plan.controller_owner_ref(&())]}, "data": {"steps.json": text}});
    maps.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.tried(|| format!("write ConfigMap {name}"))?;
    Ok(())
}

/// Checks the prerequisites of a recovery. The status is rewritten only if a result changes.
async fn preflight(context: &Context, plan: &RecoveryPlan, standby: &str, status: &mut RecoveryPlanStatus, now: Timestamp) -> Result<ConditionUpdate> {
    let namespace = plan.namespace().unwrap_or_default();
    let check = |name: &str, outcome: std::result::Result<String, (String, Option<String>)>| match outcome {
        Ok(message) => PreflightCheck { name: name.into(), result: PreflightResult::Pass, message, remedy: None },
        Err((message, remedy)) => PreflightCheck { name: name.into(), result: PreflightResult::Fail, message, remedy },
    };
    let standby_client = context.sites.client(standby).await;
    let reachable = match &standby_client {
        Ok(client) => match Api::<Node>::all(client.clone()).list(&ListParams::default()).await {
            Ok(nodes) if nodes.items.iter().any(p861_runs::hub::is_ready) => Ok(format!("{standby}, {} nodes", nodes.items.len())),
            Ok(_) => Err((format!("{standby} has no ready node"), Some(format!("p861 site show {standby}")))),
            Err(error) => Err((format!("{standby}: {error}"), Some(format!("p861 site show {standby}")))),
        },
        Err(error) => Err((error.to_string(), Some(format!("p861 site show {standby}")))),
    };
    let repository = &plan.spec.repository_ref.name;
    let opened = match repository::open_store(&context.hub, &namespace, repository).await {
        Ok(store) => store
            .list("config")
            .await
            .map(|_| format!("repository {repository} opened"))
            .map_err(|error| (error.to_string(), Some(format!("p861 repository show {repository}")))),
        Err(error) => Err((error.to_string(), Some(format!("p861 repository show {repository}")))),
    };
    let backups: Vec<Backup> = all(&context.hub.client, &namespace).await?;
    let unproven: Vec<&str> = members(plan)
        .filter(|name| {
            let probed = |b: &&Backup| {
                b.spec.application_ref.name == *name
                    && !choose::is_damaged(b)
                    && b.status.as_ref().and_then(|s| s.verification.as_ref()).is_some_and(|v| v.level == VerificationLevel::Probed)
            };
            !backups.iter().any(|b| probed(&b))
        })
        .collect();
    let recoverable = if unproven.is_empty() {
        Ok(format!("{} applications restored and probed", members(plan).count()))
    } else {
        Err((format!("never restored and probed: {}", unproven.join(", ")), Some(format!("p861 drill run {}", plan.name_any()))))
    };
    let checks =
        vec![check("StandbyReachable", reachable), check("KeyAccess", opened.clone()), check("RecoverableData", recoverable), check("JournalWritable", opened)];
    let failed: Vec<&str> = checks.iter().filter(|check| check.result == PreflightResult::Fail).map(|check| check.name.as_str()).collect();
    let update = if failed.is_empty() {
        ConditionUpdate::good(ConditionType::ReadyToFailover, Reason::PreflightPassed, format!("{} of {} checks", checks.len(), checks.len()))
    } else {
        ConditionUpdate::bad(
            ConditionType::ReadyToFailover,
            Reason::PreflightFailed,
            format!("{} of {} checks fail ({}): p861 plan check {}", failed.len(), checks.len(), failed.join(", "), plan.name_any()),
        )
    };
    if status.preflight.as_ref().is_none_or(|before| before.checks != checks) {
        status.preflight = Some(Preflight { changed_time: Time(now), checks });
    }
    Ok(update)
}
