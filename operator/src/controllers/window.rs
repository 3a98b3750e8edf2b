//! MaintenanceWindow: whether it is open, and when that changes.

use crate::{context::Context, hub_cache::ReadFrom, metrics::Metrics, reconciler::Reconciler};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    conditions::{self, ConditionUpdate},
    maintenance::window::{self, Window},
};
use p861_crds::{ConditionType, District, MaintenanceWindow, Reason, Time, maintenance::window::Freeze};
use p861_runs::error::Result;
use p861_runs::status::{apply_status, event_type, publish_event};
use std::{sync::Arc, time::Duration};

/// Longest time between reconciles, since another window's freeze applies to it, too.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);

/// The controller.
pub struct WindowReconciler;

impl Reconciler for WindowReconciler {
    type Kind = MaintenanceWindow;
    const CONDITION: ConditionType = ConditionType::Open;

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.window_open.remove_label_values(&[namespace, name]);
    }

    async fn reconcile(&self, context: &Context, object: Arc<MaintenanceWindow>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        let mut status = object.status.clone().unwrap_or_default();
        status.observed_generation = object.metadata.generation;
        let windows = windows_for(context, ReadFrom::Cache, &namespace).await?;
        let freezes = freezes_of(&windows);
        let (update, next) = match Window::parse(&object.spec, &zone_of(context, &namespace).await?) {
            Ok(parsed) => {
                let opening = parsed.over_all(&freezes, now);
                status.next_open_time = opening.next_open_time.map(Time);
                status.next_close_time = opening.next_close_time.map(Time);
                (window::condition(&opening, &parsed.zone), opening.next_change())
            }
            Err(error) => {
                (status.next_open_time, status.next_close_time) = (None, None);
                (ConditionUpdate::bad(ConditionType::Open, Reason::Invalid, error.to_string()), None)
            }
        };
        context.metrics.window_open.with_label_values(&[&namespace, &name]).set(i64::from(update.holds()));
        let reason_before = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Open).map(|condition| condition.reason.clone());
        status.conditions = conditions::apply(&status.conditions, std::slice::from_ref(&update), object.metadata.generation, now);
        apply_status(&context.hub, object.as_ref(), object.status.as_ref(), &status).await?;
        if reason_before.is_none_or(|before| before != update.reason) {
            let event = match update.reason {
                Reason::Open => Some(Reason::WindowOpened),
                Reason::Frozen => Some(Reason::FreezeStarted),
                _ => None,
            };
            if let Some(reason) = event {
                publish_event(&context.hub, object.as_ref(), event_type(false), reason, &update.message).await;
            }
        }
        Ok(until(next, now).min(RECONCILE_INTERVAL))
    }
}

/// Time until `then`, at least half a second, so that the next reconcile comes after it.
pub fn until(then: Option<Timestamp>, now: Timestamp) -> Duration {
    let wait = then.and_then(|then| Duration::try_from(then.duration_since(now)).ok()).unwrap_or(Duration::from_hours(1));
    wait.max(Duration::from_millis(500))
}

/// The windows that apply to a namespace: its own and the hub-wide ones.
pub async fn windows_for(context: &Context, source: ReadFrom, namespace: &str) -> Result<Vec<MaintenanceWindow>> {
    let mut windows = source.list::<MaintenanceWindow>(context, namespace).await?;
    if namespace != context.hub.namespace {
        windows.extend(source.list::<MaintenanceWindow>(context, &context.hub.namespace).await?);
    }
    Ok(windows)
}

/// All freezes of these windows.
pub fn freezes_of(windows: &[MaintenanceWindow]) -> Vec<Freeze> {
    windows.iter().flat_map(|window| window.spec.freezes.clone()).collect()
}

/// The time zone of a namespace's schedules: its district's, or the default for the operator's namespace.
pub async fn zone_of(context: &Context, namespace: &str) -> Result<String> {
    let zone = |district: &District| (district.hub_namespace() == namespace).then(|| district.spec.time_zone.clone());
    let known = context.cache.filter_map(None, zone).await?;
    Ok(known.into_iter().next().unwrap_or_else(|| window::DEFAULT_ZONE.to_owned()))
}
