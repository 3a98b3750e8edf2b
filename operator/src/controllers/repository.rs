//! BackupRepository: whether it can be opened, is still the same repository, and is off-site.

use super::{all, district_of};
use crate::{context::Context, metrics::Metrics, reconciler::Reconciler};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use p861_core::{
    conditions::{self, ConditionUpdate},
    platform::district,
    protection::standing,
    quantity::print_bytes,
};
use p861_crds::{Application, Backup, BackupRepository, ConditionType, Reason, RecoveryPlan, Site, common::Quantity};
use p861_runs::status::{apply_status, event_type, publish_event};
use p861_runs::{
    error::{Error, Result, Tried as _},
    repository,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);

/// Time between measurements of its size, which list every object.
const MEASURE_INTERVAL: Duration = Duration::from_hours(1);

/// The controller. Remembers in memory when each repository was measured; a restart only causes one extra measurement.
#[derive(Default)]
pub struct RepositoryReconciler {
    measured: Mutex<HashMap<String, Instant>>,
}

impl Reconciler for RepositoryReconciler {
    type Kind = BackupRepository;
    const CONDITION: ConditionType = ConditionType::Ready;

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.repository_ready.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_damaged.remove_label_values(&[namespace, name]);
    }

    async fn reconcile(&self, context: &Context, repository: Arc<BackupRepository>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (repository.name_any(), repository.namespace().unwrap_or_default());
        let mut status = repository.status.clone().unwrap_or_default();
        let opened = repository::open_and_inspect(&context.hub, &repository, status.repository_id.clone()).await;
        let mut updates = Vec::new();
        match &opened {
            Ok(look) => {
                status.repository_id = Some(look.id.clone());
                status.snapshots = i32::try_from(look.snapshots).ok();
                if let Some(bytes) = self.measure(context, &namespace, &name, &look.id).await {
                    status.used = Some(Quantity(print_bytes(bytes)));
                }
                updates.push(ConditionUpdate::good(ConditionType::Ready, Reason::Opened, "opened, written and read back"));
            }
            Err(error) => updates.push(ConditionUpdate::bad(ConditionType::Ready, error.reason(), error.to_string())),
        }
        updates.push(off_site(context, &namespace, &repository).await);
        let backups: Vec<Backup> = all(&context.hub.client, &namespace).await?;
        let checked = standing::checked(&name, &backups);
        let damaged = checked.reason == Reason::Damaged
            && !status.conditions.iter().any(|before| before.type_ == ConditionType::Checked && before.reason == Reason::Damaged);
        if damaged {
            publish_event(&context.hub, repository.as_ref(), event_type(true), Reason::RepositoryDamaged, &checked.message).await;
        }
        context.metrics.repository_damaged.with_label_values(&[&namespace, &name]).set(i64::from(checked.reason == Reason::Damaged));
        updates.push(checked);
        context.metrics.repository_ready.with_label_values(&[&namespace, &name]).set(i64::from(opened.is_ok()));
        status.observed_generation = repository.metadata.generation;
        status.conditions = conditions::apply(&status.conditions, &updates, repository.metadata.generation, now);
        apply_status(&context.hub, repository.as_ref(), repository.status.as_ref(), &status).await?;
        Ok(if opened.is_ok() { RECONCILE_INTERVAL } else { RECONCILE_INTERVAL / 6 })
    }
}

impl RepositoryReconciler {
    /// Measures the stored bytes if it is time. On failure the last value stays and the next reconcile tries again.
    async fn measure(&self, context: &Context, namespace: &str, name: &str, id: &str) -> Option<u64> {
        let due = self.measured.lock().get(id).is_none_or(|at| at.elapsed() >= MEASURE_INTERVAL);
        if !due {
            return None;
        }
        match repository::bytes_stored(&context.hub, namespace, name).await {
            Ok(bytes) => {
                self.measured.lock().insert(id.to_owned(), Instant::now());
                Some(bytes)
            }
            Err(error) => {
                tracing::warn!(namespace, name, "the repository can't be measured: {error}");
                None
            }
        }
    }
}

/// Whether the repository is in another failure domain than the applications that it protects.
async fn off_site(context: &Context, namespace: &str, repository: &BackupRepository) -> ConditionUpdate {
    match domains(context, namespace).await {
        Ok(domains) => standing::off_site(&repository.spec.failure_domain, &domains),
        Err(error) => ConditionUpdate::unknown(ConditionType::OffSite, error.reason(), error.to_string()),
    }
}

/// The failure domains in which the namespace's applications run.
async fn domains(context: &Context, namespace: &str) -> Result<BTreeSet<String>> {
    let district = district_of(&context.hub.client, namespace).await?;
    let applications: Vec<Application> = all(&context.hub.client, namespace).await?;
    let plans: Vec<RecoveryPlan> = all(&context.hub.client, namespace).await?;
    let names = applications.iter().map(ResourceExt::name_any);
    let sites = district::active_sites(names, &plans, &district).map_err(|error| Error::invalid(error.reason(), error.to_string()))?;
    let mut domains = BTreeSet::new();
    for name in sites {
        let site: Option<Site> = Api::all(context.hub.client.clone()).get_opt(&name).await.tried(|| format!("read site {name}"))?;
        let site = site.ok_or_else(|| Error::invalid(Reason::SiteMissing, format!("site {name}, where applications run, doesn't exist: kubectl get sites")))?;
        domains.insert(site.spec.failure_domain);
    }
    Ok(domains)
}
