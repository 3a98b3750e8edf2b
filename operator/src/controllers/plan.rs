//! RecoveryPlan: whether it compiles, its standby is ready, and it was drilled.

use super::{district_of, drill, plan_sites, platform_of, steps};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
    metrics::Metrics,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt as _, api::ListParams};
use p861_core::{
    engine::Plan,
    names::steps_of_plan,
    platform::facts::Unseen,
    recovery::{
        conclude,
        ground::Ground,
        plan_standing::{PlanFacts, PlanInputs, RecoveryInputs, decide},
        standing,
    },
    runs::{Action, AllottedSite},
};
use p861_crds::{Application, ConditionType, Drill, RecoveryPlan, RecoveryPlanStatus, platform::site::NodeCounts};
use p861_runs::{
    error::{Error, Result},
    hub::is_ready,
    repository,
    sites::for_each,
};
use std::time::Duration;

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);

/// The controller.
pub struct PlanController;

impl Controller for PlanController {
    type Kind = RecoveryPlan;
    type Status = RecoveryPlanStatus;
    type Observed = PlanFacts;
    /// Steps to store.
    type Effects = Option<Plan<Action>>;
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, plan: &RecoveryPlan, _: Timestamp) -> Result<PlanFacts> {
        let namespace = plan.namespace().unwrap_or_default();
        let mut drills: Vec<Drill> = context.cache.list(&namespace).await?;
        drills.retain(|drill| drill.spec.plan_ref.name == plan.name_any());
        Ok(PlanFacts {
            drills,
            backups: context.cache.list(&namespace).await?,
            inputs: inputs(context, plan, &namespace).await.map_err(|error| unseen(&error)),
        })
    }

    fn decide(plan: &RecoveryPlan, facts: &PlanFacts, now: Timestamp) -> DecisionOf<Self> {
        let stands = decide(plan, facts, now);
        Decision { status: stands.status, conditions: stands.conditions, events: Vec::new(), effects: stands.steps, requeue: RECONCILE_INTERVAL }
    }

    async fn perform(&self, context: &Context, plan: &RecoveryPlan, compiled: &Option<Plan<Action>>, _: Timestamp) -> Result<()> {
        match compiled {
            Some(compiled) => steps::store(context, plan, &steps_of_plan(&plan.name_any()), compiled).await,
            None => Ok(()),
        }
    }

    /// Set on each reconcile, since a restart loses them.
    fn set_metrics(&self, metrics: &Metrics, plan: &RecoveryPlan, facts: &PlanFacts, _: &RecoveryPlanStatus) {
        let (name, namespace) = (plan.name_any(), plan.namespace().unwrap_or_default());
        let ended = facts.drills.iter().filter_map(|drill| drill.status.as_ref().filter(|status| conclude::proves(&drill.spec, status)));
        if let Some(newest) = ended.max_by_key(|status| status.completion_time.as_ref().map(|time| time.0)) {
            drill::gauge(metrics, &namespace, &name, newest);
        } else if let Some(created) = &plan.metadata.creation_timestamp {
            // A plan that was never drilled becomes overdue, too, counted from its creation.
            metrics.drill_last_completion.with_label_values(&[&namespace, &name]).set(created.0.as_duration().as_secs_f64());
        }
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.drill_last_completion.remove_label_values(&[namespace, name]);
        let _ = metrics.drill_rto.remove_label_values(&[namespace, name]);
        for result in conclude::RESULTS {
            let _ = metrics.drill_last_result.remove_label_values(&[namespace, name, &result.to_string()]);
        }
    }
}

/// Names of the plan's applications.
pub fn members(plan: &RecoveryPlan) -> impl Iterator<Item = &str> {
    standing::members(&plan.spec)
}

fn unseen(error: &Error) -> Unseen {
    Unseen { reason: error.reason(), message: error.to_string() }
}

/// Reads what the plan is compiled from.
async fn inputs(context: &Context, plan: &RecoveryPlan, namespace: &str) -> Result<PlanInputs> {
    let district = district_of(&context.hub.client, namespace).await?;
    let (active, standby) = plan_sites(plan, &district)?;
    let applications: Vec<Application> = context.cache.list(namespace).await?;
    let recovery = match drill::points(context, plan, &applications, None).await {
        Ok(points) => {
            Ok(RecoveryInputs { points, nodes: nodes(context, &standby).await, repository: opens(context, namespace, &plan.spec.repository_ref.name).await })
        }
        Err(error) => Err(unseen(&error)),
    };
    // Which classes the claims have is asked when a drill begins.
    let ground = Ground { platform: platform_of(&context.hub.client, namespace).await?, ..Ground::default() };
    Ok(PlanInputs { active: active.into(), standby: standby.into(), plans: context.cache.list(namespace).await?, applications, recovery, ground })
}

/// Counts the nodes of the standby.
async fn nodes(context: &Context, site: &AllottedSite) -> std::result::Result<NodeCounts, String> {
    let client = context.sites.client(site).await.map_err(|error| error.to_string())?;
    let mut counts = NodeCounts { total: 0, ready: 0 };
    let count = |node: Node| {
        counts.total += 1;
        counts.ready += i32::from(is_ready(&node));
    };
    for_each(&Api::<Node>::all(client), ListParams::default(), || format!("the nodes of {site}"), count).await.map_err(|error| error.to_string())?;
    Ok(counts)
}

/// Opens the repository and reads its configuration.
async fn opens(context: &Context, namespace: &str, repository: &str) -> std::result::Result<(), String> {
    let store = repository::open_store(&context.hub, namespace, repository).await.map_err(|error| error.to_string())?;
    store.first("config").await.map(drop).map_err(|error| error.to_string())
}
