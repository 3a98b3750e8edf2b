//! MaintenanceWindow: whether it is open, and when that changes.

use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
    hub_cache::ReadFrom,
    metrics::Metrics,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    conditions::is_true,
    maintenance::{
        window,
        window_standing::{freezes_of, standing, turn},
    },
};
use p861_crds::{ConditionType, District, MaintenanceWindow, MaintenanceWindowStatus, maintenance::window::Freeze};
use p861_runs::error::Result;
use std::time::Duration;

/// Longest time between reconciles, since another window's freeze applies to it, too.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);

/// The controller.
pub struct WindowController;

/// The window's surroundings.
pub struct Observed {
    zone: String,
    freezes: Vec<Freeze>,
}

impl Controller for WindowController {
    type Kind = MaintenanceWindow;
    type Status = MaintenanceWindowStatus;
    type Observed = Observed;
    type Effects = ();
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Open;
    const DECIDES_LONG: bool = true;

    async fn observe(&self, context: &ReadContext, window: &MaintenanceWindow, _: Timestamp) -> Result<Observed> {
        let namespace = window.namespace().unwrap_or_default();
        let freezes = freezes_of(&windows_for(context, ReadFrom::Cache, &namespace).await?);
        Ok(Observed { zone: zone_of(context, &namespace).await?, freezes })
    }

    fn decide(window: &MaintenanceWindow, observed: &Observed, now: Timestamp) -> DecisionOf<Self> {
        let mut status = window.status.clone().unwrap_or_default();
        let stands = standing(&window.spec, &observed.zone, &observed.freezes, now);
        (status.next_open_time, status.next_close_time) = (stands.next_open_time, stands.next_close_time);
        Decision {
            events: turn(&status.conditions, &stands.open).into_iter().collect(),
            status,
            conditions: vec![stands.open],
            effects: (),
            requeue: until(stands.next_change, now).min(RECONCILE_INTERVAL),
        }
    }

    fn set_metrics(&self, metrics: &Metrics, window: &MaintenanceWindow, _: &Observed, status: &MaintenanceWindowStatus) {
        let labels = [window.namespace().unwrap_or_default(), window.name_any()];
        metrics.window_open.with_label_values(&labels).set(i64::from(is_true(&status.conditions, ConditionType::Open)));
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.window_open.remove_label_values(&[namespace, name]);
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

/// The time zone of a namespace's schedules: its district's, or the default for the operator's namespace.
pub async fn zone_of(context: &Context, namespace: &str) -> Result<String> {
    let zone = |district: &District| (district.hub_namespace() == namespace).then(|| district.spec.time_zone.clone());
    let known = context.cache.filter_map(None, zone).await?;
    Ok(known.into_iter().next().unwrap_or_else(|| window::DEFAULT_ZONE.to_owned()))
}
