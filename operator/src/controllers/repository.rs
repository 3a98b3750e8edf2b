//! BackupRepository: whether it can be opened, is still the same repository, and is off-site.

use super::{allotted_site, cached_district};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
    metrics::Metrics,
};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use p861_core::{
    conditions::{ConditionUpdate, is_true},
    platform::district,
    protection::standing,
    quantity::print_bytes,
};
use p861_crds::{Application, Backup, BackupRepository, BackupRepositoryStatus, ConditionType, Reason, RecoveryPlan, Site, Time, common::Quantity};
use p861_runs::{
    error::{Error, ErrorContext as _, Result},
    repository::{self, RepositoryState},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);
/// Time between measurements of its size, which list every object, while no snapshot comes or goes.
const MEASURE_INTERVAL: Duration = Duration::from_hours(1);
/// After a change of its snapshots it is measured sooner: at most so often, and this many times as long as the last measurement took.
const MEASURE_INTERVAL_AFTER_CHANGE: Duration = Duration::from_mins(1);
const MEASURE_SHARE: u32 = 50;
/// Time limit of a measurement.
const MEASURE_TIMEOUT: Duration = Duration::from_mins(1);

/// The controller. Remembers how each repository was measured, by its id; a restart only causes one extra measurement.
#[derive(Default)]
pub struct RepositoryController {
    measured: Mutex<HashMap<String, Measurement>>,
}

/// The last measurement of a repository.
#[derive(Clone, Copy, Debug)]
struct Measurement {
    at: Instant,
    took: Duration,
    /// How many snapshots there were; none if it took too long.
    snapshots: Option<usize>,
}

impl Measurement {
    /// Whether it is measured again, so many snapshots being there now.
    fn is_outdated(&self, snapshots: usize, age: Duration) -> bool {
        let after_change = MEASURE_INTERVAL_AFTER_CHANGE.max(self.took * MEASURE_SHARE);
        age >= MEASURE_INTERVAL || self.snapshots.is_some_and(|before| before != snapshots) && age >= after_change
    }
}

/// What a repository is judged by, besides whether it opens.
pub struct Observed {
    backups: Vec<Backup>,
    /// Failure domains in which the namespace's applications run.
    domains: Result<BTreeSet<String>>,
}

/// A repository that was opened.
pub struct Opened {
    state: RepositoryState,
    /// Bytes stored in it, if it was measured.
    bytes: Option<u64>,
}

impl Controller for RepositoryController {
    type Kind = BackupRepository;
    type Status = BackupRepositoryStatus;
    type Observed = Observed;
    type Effects = ();
    type Performed = Option<Result<Opened>>;
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, repository: &BackupRepository, _: Timestamp) -> Result<Observed> {
        let namespace = repository.namespace().unwrap_or_default();
        Ok(Observed { backups: context.cache.list(&namespace).await?, domains: domains(context, &namespace).await })
    }

    fn decide(repository: &BackupRepository, observed: &Observed, _: Timestamp) -> DecisionOf<Self> {
        let status = repository.status.clone().unwrap_or_default();
        let off_site = match &observed.domains {
            Ok(domains) => standing::off_site(&repository.spec.failure_domain, domains),
            Err(error) => ConditionUpdate::unknown(ConditionType::OffSite, error.reason(), error.to_string()),
        };
        let checked = standing::checked(repository.metadata.name.as_deref().unwrap_or_default(), &observed.backups);
        Decision {
            events: standing::damage(&status.conditions, &checked).into_iter().collect(),
            status,
            conditions: vec![off_site, checked],
            effects: (),
            requeue: RECONCILE_INTERVAL,
        }
    }

    /// It is opened, initialised if it is new, proven writable, and measured if that is due.
    async fn perform(&self, context: &Context, repository: &BackupRepository, (): &(), _: Timestamp) -> Result<Self::Performed> {
        let pinned = repository.status.as_ref().and_then(|status| status.repository_id.clone());
        let state = match repository::open_and_inspect(&context.hub, repository, pinned).await {
            Ok(state) => state,
            Err(error) => return Ok(Some(Err(error))),
        };
        let last = self.measured.lock().get(&state.id).copied();
        let is_due = last.is_none_or(|last| last.is_outdated(state.snapshots, last.at.elapsed()));
        let bytes = if is_due { self.measure(context, repository, &state).await } else { None };
        Ok(Some(Ok(Opened { state, bytes })))
    }

    fn conclude(_: &BackupRepository, _: &Observed, mut decision: DecisionOf<Self>, opened: Self::Performed, now: Timestamp) -> DecisionOf<Self> {
        let ready = match opened {
            None => return decision,
            Some(Ok(Opened { state, bytes })) => {
                decision.status.repository_id = Some(state.id);
                decision.status.snapshots = i32::try_from(state.snapshots).ok();
                if let Some(bytes) = bytes {
                    decision.status.used = Some(Quantity(print_bytes(bytes)));
                    decision.status.used_time = Some(Time(now));
                }
                ConditionUpdate::good(ConditionType::Ready, Reason::Opened, "opened, written and read back")
            }
            Some(Err(error)) => {
                decision.requeue = RECONCILE_INTERVAL / 6;
                ConditionUpdate::bad(ConditionType::Ready, error.reason(), error.to_string())
            }
        };
        decision.conditions.insert(0, ready);
        decision
    }

    fn set_metrics(&self, metrics: &Metrics, repository: &BackupRepository, _: &Observed, status: &BackupRepositoryStatus) {
        let labels = [repository.namespace().unwrap_or_default(), repository.name_any()];
        let damaged = status.conditions.iter().any(|condition| condition.type_ == ConditionType::Checked && condition.reason == Reason::Damaged);
        metrics.repository_damaged.with_label_values(&labels).set(i64::from(damaged));
        metrics.repository_ready.with_label_values(&labels).set(i64::from(is_true(&status.conditions, Self::CONDITION)));
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.repository_ready.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_damaged.remove_label_values(&[namespace, name]);
    }
}

impl RepositoryController {
    /// Measures the stored bytes. On failure the last value stays, and the next reconcile tries again; one that takes too long is tried again in an hour, so that it
    /// doesn't hold up everything else that is known of the repository.
    async fn measure(&self, context: &Context, repository: &BackupRepository, state: &RepositoryState) -> Option<u64> {
        let (name, namespace) = (repository.name_any(), repository.namespace().unwrap_or_default());
        let begun = Instant::now();
        let measured = |snapshots| self.measured.lock().insert(state.id.clone(), Measurement { at: Instant::now(), took: begun.elapsed(), snapshots });
        match tokio::time::timeout(MEASURE_TIMEOUT, repository::bytes_stored(&context.hub, &namespace, &name)).await {
            Ok(Ok(bytes)) => {
                measured(Some(state.snapshots));
                Some(bytes)
            }
            Ok(Err(error)) => {
                tracing::warn!(namespace, name, "the repository can't be measured: {error}");
                None
            }
            Err(_) => {
                measured(None);
                tracing::warn!(namespace, name, "the repository could not be measured within {MEASURE_TIMEOUT:?}");
                None
            }
        }
    }
}

/// The failure domains in which the namespace's applications run.
async fn domains(context: &Context, namespace: &str) -> Result<BTreeSet<String>> {
    let district = cached_district(context, namespace).await?;
    let names = context.cache.filter_map(Some(namespace), |application: &Application| Some(application.name_any())).await?;
    let plans: Vec<RecoveryPlan> = context.cache.list(namespace).await?;
    let sites = district::active_sites(names, &plans, &district).map_err(|error| Error::invalid(error.reason(), error.to_string()))?;
    let mut domains = BTreeSet::new();
    for name in sites {
        let name = allotted_site(&district, &name)?;
        let site: Option<Site> = Api::all(context.hub.client.clone()).get_opt(name.as_str()).await.context(|| format!("read site {name}"))?;
        let site = site.ok_or_else(|| Error::invalid(Reason::SiteMissing, format!("site {name}, where applications run, doesn't exist: kubectl get sites")))?;
        domains.insert(site.spec.failure_domain);
    }
    Ok(domains)
}

#[cfg(test)]
mod tests;
