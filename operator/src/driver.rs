//! The steps of every controller, except those of runs: observe → decide → perform → record. A controller fills in the steps; the driver makes them, in this
//! order, and records for all of them.

use crate::{
    context::{Context, ReadContext},
    dispatch::Step,
    metrics::Metrics,
    reconciler::Reconciler,
};
use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::{DynamicObject, object::HasStatus},
};
use p861_core::conditions::{self, ConditionUpdate, ObjectEvent};
use p861_crds::{Condition, ConditionType, names::FIELD_MANAGER};
use p861_runs::{
    error::{ErrorContext as _, Result, is_conflict, is_not_found},
    status::{event_type, is_stored, publish_event},
    thinking,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashSet,
    fmt::Debug,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Time until the next reconcile of an object that changed while it was reconciled.
const CHANGED_MEANWHILE_INTERVAL: Duration = Duration::from_millis(200);

/// A status that has conditions.
pub trait ObjectStatus: Clone + Default + PartialEq + Serialize + Send + Sync + 'static {
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
    /// Sets its conditions, and the generation that they were decided for.
    fn set_conditions(&mut self, conditions: Vec<Condition>, generation: Option<i64>);
}

macro_rules! object_status {
    ($($status:ty),+ $(,)?) => {$(
        impl ObjectStatus for $status {
            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }

            fn set_conditions(&mut self, conditions: Vec<Condition>, generation: Option<i64>) {
                self.conditions = conditions;
                self.observed_generation = generation;
            }
        }
    )+};
}

object_status!(
    p861_crds::ApplicationStatus,
    p861_crds::ApprovalStatus,
    p861_crds::BackupPolicyStatus,
    p861_crds::BackupRepositoryStatus,
    p861_crds::ChangeTemplateStatus,
    p861_crds::DistrictStatus,
    p861_crds::DutyRosterStatus,
    p861_crds::MaintenanceTicketStatus,
    p861_crds::MaintenanceWindowStatus,
    p861_crds::PlatformProfileStatus,
    p861_crds::PlatformStatus,
    p861_crds::RecoveryPlanStatus,
    p861_crds::SiteStatus,
);

/// What follows from an observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<S, E> {
    /// The object's new status. The driver adds the conditions and the generation.
    pub status: S,
    /// Conditions that change; the others stay.
    pub conditions: Vec<ConditionUpdate>,
    /// Events, published once the status is written.
    pub events: Vec<ObjectEvent>,
    /// What `perform` and `follow_up` do.
    pub effects: E,
    /// Time until the next reconcile, in case nothing changes before.
    pub requeue: Duration,
}

/// The decision of a controller.
pub type DecisionOf<C> = Decision<<C as Controller>::Status, <C as Controller>::Effects>;

/// When a status may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusWrite {
    /// Whenever it differs: this controller is its only writer.
    Always,
    /// Only if the object is still at the version that was observed: its status has other writers, or counts the actions that were read.
    IfUnchanged,
}

/// A kind's controller. `decide` and `conclude` have no access to anything but their arguments.
pub trait Controller: Send + Sync + 'static {
    /// The kind.
    type Kind: Resource<DynamicType = ()> + HasStatus<Status = Self::Status> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static;
    /// Its status.
    type Status: ObjectStatus;
    /// Everything that the decision depends on.
    type Observed: Send + Sync;
    /// What is to be done beyond the object's own status.
    type Effects: Send + Sync;
    /// What came of it.
    type Performed: Default + Send;
    /// The object's main condition.
    const CONDITION: ConditionType;
    /// When its status may be written.
    const STATUS_WRITE: StatusWrite = StatusWrite::Always;
    /// As [`Reconciler::TELLS_OF_FIRST_LOOK`]. A status that may only be written over what was observed is written again after that.
    const TELLS_OF_FIRST_LOOK: bool = matches!(Self::STATUS_WRITE, StatusWrite::Always);
    /// Whether a decision can take so long that nothing else may wait for it: schedules and shifts of years are looked through.
    const DECIDES_LONG: bool = false;

    /// Time until the next reconcile of an object with which there is nothing to do; none of any other.
    fn idle(_object: &Self::Kind) -> Option<Duration> {
        None
    }

    /// Reads everything that the decision depends on. The clients of its context refuse to write.
    fn observe(&self, context: &ReadContext, object: &Self::Kind, now: Timestamp) -> impl Future<Output = Result<Self::Observed>> + Send;

    /// Decides what to do and what to report.
    fn decide(object: &Self::Kind, observed: &Self::Observed, now: Timestamp) -> DecisionOf<Self>;

    /// Performs the effects. Must be idempotent: the process may die before the status is written.
    fn perform(
        &self,
        _context: &Context,
        _object: &Self::Kind,
        _effects: &Self::Effects,
        _now: Timestamp,
    ) -> impl Future<Output = Result<Self::Performed>> + Send {
        async { Ok(Self::Performed::default()) }
    }

    /// Completes the decision, for controllers whose status depends on what came of the effects.
    fn conclude(
        _object: &Self::Kind,
        _observed: &Self::Observed,
        decision: DecisionOf<Self>,
        _performed: Self::Performed,
        _now: Timestamp,
    ) -> DecisionOf<Self> {
        decision
    }

    /// Sets the object's metrics.
    fn set_metrics(&self, _metrics: &Metrics, _object: &Self::Kind, _observed: &Self::Observed, _status: &Self::Status) {}

    /// Performs effects that must not begin before the status has announced them. Returns when to reconcile at the latest, if they need it.
    fn follow_up(
        &self,
        _context: &Context,
        _object: &Self::Kind,
        _decision: DecisionOf<Self>,
        _now: Timestamp,
    ) -> impl Future<Output = Result<Option<Duration>>> + Send {
        async { Ok(None) }
    }

    /// Removes the metrics of a deleted object: a series that stays would alert for ever.
    fn on_deleted(&self, _metrics: &Metrics, _namespace: &str, _name: &str) {}

    /// As [`Reconciler::sweep`].
    fn sweep(&self, _context: &Context, _present: &dyn Fn() -> HashSet<String>) {}
}

/// Makes the steps of a controller.
pub struct Driver<C> {
    /// The controller.
    pub controller: C,
    reading: OnceLock<ReadContext>,
}

impl<C: Controller> Driver<C> {
    /// The driver of this controller.
    pub fn of(controller: C) -> Self {
        Self { controller, reading: OnceLock::new() }
    }
}

impl<C: Controller> Reconciler for Driver<C> {
    type Kind = C::Kind;
    const CONDITION: ConditionType = C::CONDITION;
    const TELLS_OF_FIRST_LOOK: bool = C::TELLS_OF_FIRST_LOOK;

    async fn reconcile(&self, context: &Context, object: Arc<C::Kind>, now: Timestamp, step: &Step) -> Result<Duration> {
        let (controller, object) = (&self.controller, object.as_ref());
        if let Some(idle) = C::idle(object) {
            return Ok(idle);
        }
        step.begins("observe");
        let observed = controller.observe(self.reading.get_or_init(|| context.reading()), object, now).await?;
        let decision = if C::DECIDES_LONG { thinking::beside(|| C::decide(object, &observed, now)) } else { C::decide(object, &observed, now) };
        step.begins("perform");
        let performed = controller.perform(context, object, &decision.effects, now).await?;
        let mut decision = C::conclude(object, &observed, decision, performed, now);
        let generation = object.meta().generation;
        decision.status.set_conditions(conditions::apply(decision.status.conditions(), &decision.conditions, generation, now), generation);
        controller.set_metrics(&context.metrics, object, &observed, &decision.status);
        step.begins("write the status");
        if !record::<C>(context, object, &decision.status).await? {
            return Ok(CHANGED_MEANWHILE_INTERVAL);
        }
        for ObjectEvent { reason, note, warning } in std::mem::take(&mut decision.events) {
            publish_event(&context.hub, object, event_type(warning), reason, &note).await;
        }
        let requeue = decision.requeue;
        step.begins("follow up");
        let follow_up = controller.follow_up(context, object, decision, now).await?;
        Ok(follow_up.map_or(requeue, |at_latest| at_latest.min(requeue)))
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        self.controller.on_deleted(metrics, namespace, name);
    }

    fn sweep(&self, context: &Context, present: &dyn Fn() -> HashSet<String>) {
        self.controller.sweep(context, present);
    }
}

/// Applies the status if it differs from the object's. Returns false, and has written nothing, if the object had to be unchanged and isn't.
async fn record<C: Controller>(context: &Context, object: &C::Kind, status: &C::Status) -> Result<bool> {
    if is_stored(object.status(), status) {
        return Ok(true);
    }
    context.hub.leadership.ensure()?;
    let (kind, name) = (C::Kind::kind(&()), object.name_any());
    let resource = kube::core::ApiResource::erase::<C::Kind>(&());
    let api: Api<DynamicObject> = match object.meta().namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(context.hub.client.clone(), namespace, &resource),
        None => Api::all_with(context.hub.client.clone(), &resource),
    };
    let mut metadata = serde_json::json!({"name": name, "uid": object.uid()});
    if C::STATUS_WRITE == StatusWrite::IfUnchanged {
        metadata["resourceVersion"] = serde_json::json!(object.resource_version());
    }
    let patch = serde_json::json!({"apiVersion": C::Kind::api_version(&()), "kind": kind, "metadata": metadata, "status": status});
    match api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await {
        Ok(_) => Ok(true),
        Err(error) if C::STATUS_WRITE == StatusWrite::IfUnchanged && (is_conflict(&error) || is_not_found(&error)) => Ok(false),
        Err(error) => Err(error).context(|| format!("write the status of {kind} {name}")),
    }
}

#[cfg(test)]
mod tests;
