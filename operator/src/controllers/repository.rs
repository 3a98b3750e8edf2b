//! BackupRepository: whether it can be opened, is still the same repository, and is off-site; and that it is thinned out.

mod look;
mod policies;
mod retention;
pub mod run;

use super::{allotted_site, cached_district, vanished::Going};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf, StatusWrite},
    metrics::Metrics,
};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use p861_core::{
    conditions::{ConditionUpdate, is_true},
    platform::district,
    protection::{prune::bytes_of, standing},
    quantity::print_bytes,
};
use p861_crds::{Application, Backup, BackupRepository, BackupRepositoryStatus, ConditionType, Reason, RecoveryPlan, Site, Time, common::Quantity};
use p861_runs::{
    Pass, RunIdentity,
    error::{Error, ErrorContext as _, Result},
    finalizer,
    repository::{self, RepositoryState},
};
use parking_lot::Mutex;
use retention::{Retention, Standing};
use run::{Progress, RetentionRuns, is_under_way};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);
/// Time until a run that was decided on begins.
const BEGIN_INTERVAL: Duration = Duration::from_millis(200);
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
    /// When each repository was last opened, by its object's UID.
    opened: Mutex<HashMap<String, Instant>>,
    retention: Retention,
    /// Repositories whose runs go on.
    going: Going<RetentionRuns>,
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

/// What is done with a repository besides its status.
#[derive(Default)]
pub struct Effects {
    /// The run that was carried on, whose Events are published once the status is written.
    run: Option<(Box<RunIdentity>, Box<Pass>)>,
}

/// What came of it.
#[derive(Default)]
pub struct Performed {
    /// Its run was carried on.
    carried: Option<Progress>,
    /// Time until a run that has ended is left, if it isn't yet.
    leaves: Option<Duration>,
    /// It was opened.
    opened: Option<Result<Opened>>,
    /// How retention stands; none while a run is under way.
    standing: Option<Standing>,
}

impl Controller for RepositoryController {
    type Kind = BackupRepository;
    type Status = BackupRepositoryStatus;
    type Observed = Observed;
    type Effects = Effects;
    type Performed = Performed;
    const CONDITION: ConditionType = ConditionType::Ready;
    /// A run that was decided on is decided on once.
    const STATUS_WRITE: StatusWrite = StatusWrite::IfUnchanged;
    const TELLS_OF_FIRST_LOOK: bool = true;

    async fn observe(&self, context: &ReadContext, repository: &BackupRepository, _: Timestamp) -> Result<Observed> {
        let namespace = repository.namespace().unwrap_or_default();
        if finalizer::is_held(repository) {
            self.going.note(&Arc::new(repository.clone()));
        }
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
            effects: Effects::default(),
            requeue: RECONCILE_INTERVAL,
        }
    }

    /// Its run is carried on. Then it is opened, initialised if it is new, proven writable, and measured if that is due.
    async fn perform(&self, context: &Context, repository: &BackupRepository, _: &Effects, now: Timestamp) -> Result<Performed> {
        let mut performed = Performed::default();
        let status = repository.status.clone().unwrap_or_default();
        let is_held = finalizer::is_held(repository);
        if repository.metadata.deletion_timestamp.is_some() && !is_held {
            return Ok(performed);
        }
        if is_under_way(&status) {
            let progress = Box::pin(run::carry_on(context, repository, now)).await;
            if progress.status.retention_run.is_none() {
                self.retention.look_again(repository);
            }
            performed.carried = Some(progress);
            if !self.is_to_be_opened(repository) {
                return Ok(performed);
            }
        } else if is_held {
            performed.leaves = Some(run::leave(context, repository, now).await?);
        }
        if repository.metadata.deletion_timestamp.is_some() {
            return Ok(performed);
        }
        let opened = self.open(context, repository).await;
        if let (Ok(Opened { state, .. }), false) = (&opened, is_under_way(&status)) {
            performed.standing = self.look(context, repository, state.snapshots, now).await;
        }
        performed.opened = Some(opened);
        Ok(performed)
    }

    fn conclude(repository: &BackupRepository, _: &Observed, mut decision: DecisionOf<Self>, performed: Performed, now: Timestamp) -> DecisionOf<Self> {
        let Performed { carried, leaves, opened, standing } = performed;
        if let Some(Progress { status, run, again }) = carried {
            take_over(&mut decision.status, status);
            decision.effects.run = run;
            decision.requeue = again;
        }
        if let Some(ready) = opened.map(|opened| ready(&mut decision, opened, now)) {
            decision.conditions.insert(0, ready);
        }
        let pruned = retention::decide(repository, &mut decision.status, standing, now);
        decision.conditions.push(pruned);
        if is_under_way(&decision.status) && !repository.status.as_ref().is_some_and(is_under_way) {
            decision.requeue = BEGIN_INTERVAL;
        }
        decision.requeue = leaves.map_or(decision.requeue, |leaves| leaves.min(decision.requeue));
        decision
    }

    fn set_metrics(&self, metrics: &Metrics, repository: &BackupRepository, _: &Observed, status: &BackupRepositoryStatus) {
        let labels = [repository.namespace().unwrap_or_default(), repository.name_any()];
        let damaged = status.conditions.iter().any(|condition| condition.type_ == ConditionType::Checked && condition.reason == Reason::Damaged);
        metrics.repository_damaged.with_label_values(&labels).set(i64::from(damaged));
        metrics.repository_ready.with_label_values(&labels).set(i64::from(is_true(&status.conditions, Self::CONDITION)));
        let is_late = status.conditions.iter().any(|condition| condition.type_ == ConditionType::Pruned && condition.status == "False");
        metrics.repository_pruned.with_label_values(&labels).set(i64::from(!is_late));
        let marked = status.marked.as_ref().and_then(bytes_of).and_then(|bytes| i64::try_from(bytes).ok());
        metrics.repository_marked.with_label_values(&labels).set(marked.unwrap_or_default());
        if let Some(last) = &status.last_prune_time {
            metrics.repository_last_prune.with_label_values(&labels).set(last.0.as_duration().as_secs_f64());
        }
    }

    async fn follow_up(&self, context: &Context, repository: &BackupRepository, decision: DecisionOf<Self>, now: Timestamp) -> Result<Option<Duration>> {
        run::drop_journals(context, repository, &decision.status).await?;
        match decision.effects.run {
            Some((run, pass)) => run::publish(context, repository, &run, &pass, now).await,
            None => Ok(None),
        }
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.repository_ready.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_damaged.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_pruned.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_marked.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_last_prune.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_forgotten.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_reclaimed.remove_label_values(&[namespace, name]);
    }

    fn sweep(&self, context: &Context, present: &dyn Fn() -> HashSet<String>) {
        self.going.sweep(context, present);
    }
}

/// Ready, by whether it was opened.
fn ready(decision: &mut DecisionOf<RepositoryController>, opened: Result<Opened>, now: Timestamp) -> ConditionUpdate {
    match opened {
        Ok(Opened { state, bytes }) => {
            decision.status.repository_id = Some(state.id);
            decision.status.snapshots = i32::try_from(state.snapshots).ok();
            if let Some(bytes) = bytes {
                decision.status.used = Some(Quantity(print_bytes(bytes)));
                decision.status.used_time = Some(Time(now));
            }
            ConditionUpdate::good(ConditionType::Ready, Reason::Opened, "opened, written and read back")
        }
        Err(error) => {
            decision.requeue = decision.requeue.min(RECONCILE_INTERVAL / 6);
            ConditionUpdate::bad(ConditionType::Ready, error.reason(), error.to_string())
        }
    }
}

/// Takes over what a pass over the repository's run has changed.
fn take_over(status: &mut BackupRepositoryStatus, of_run: BackupRepositoryStatus) {
    status.retention_run = of_run.retention_run;
    (status.last_forget_time, status.forgotten) = (of_run.last_forget_time, of_run.forgotten);
    (status.last_prune_time, status.reclaimed, status.marked) = (of_run.last_prune_time, of_run.reclaimed, of_run.marked);
}

impl RepositoryController {
    /// Whether it is opened again, although its run is looked at much more often.
    fn is_to_be_opened(&self, repository: &BackupRepository) -> bool {
        let uid = repository.uid().unwrap_or_default();
        self.opened.lock().get(&uid).is_none_or(|last| last.elapsed() >= RECONCILE_INTERVAL)
    }

    async fn open(&self, context: &Context, repository: &BackupRepository) -> Result<Opened> {
        self.opened.lock().insert(repository.uid().unwrap_or_default(), Instant::now());
        let pinned = repository.status.as_ref().and_then(|status| status.repository_id.clone());
        let state = repository::open_and_inspect(&context.hub, repository, pinned).await?;
        let last = self.measured.lock().get(&state.id).copied();
        let is_due = last.is_none_or(|last| last.is_outdated(state.snapshots, last.at.elapsed()));
        let bytes = if is_due { self.measure(context, repository, &state).await } else { None };
        Ok(Opened { state, bytes })
    }

    /// How retention stands. Whatever is in its way keeps nobody from knowing how the repository is, and nothing goes until it is known.
    async fn look(&self, context: &Context, repository: &BackupRepository, snapshots: usize, now: Timestamp) -> Option<Standing> {
        let (name, namespace) = (repository.name_any(), repository.namespace().unwrap_or_default());
        let looked = async {
            let backups: Vec<Backup> = context.cache.list(&namespace).await?;
            self.retention.stands(context, repository, snapshots, &backups, now).await
        };
        match looked.await {
            Ok(standing) => Some(standing),
            Err(error) => {
                tracing::warn!(namespace, name, reason = error.reason().as_str(), "what retention makes of the snapshots is not known: {error}");
                None
            }
        }
    }

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
