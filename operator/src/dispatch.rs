//! Gives each reconcile a worker of its district, a time limit, and growing waits after one that was given up.
//!
//! kube's own limit of concurrency is off: it takes objects in the order of their events, so a district with more slow objects than there are workers would hold all of
//! them. Here an object that waits for its turn holds nothing, and a district holds at most its part of the workers ([`FairQueue`](p861_core::fairness::FairQueue)).

use crate::{
    context::Context,
    panics,
    reconciler::{Reconciler, report_invalid, text_of, write_condition, write_first_condition},
};
use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};
use p861_core::{
    conditions::ConditionUpdate,
    fairness::{WorkerLimits, retry_wait},
};
use p861_crds::Reason;
use p861_runs::{
    district,
    error::{Category, Error, Result},
    hub_object::HubObject,
    workers::Workers,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Time limit of a reconcile. Everything in it that may take long has a shorter one of its own, with a message of its own; this one holds for what was forgotten.
pub const RECONCILE_DEADLINE: Duration = Duration::from_mins(3);
/// A first look that takes longer is told of: who has just made an object sees that it was seen, and what it waits for.
const FIRST_LOOK_PATIENCE: Duration = Duration::from_secs(15);
/// Time limit for writing that a reconcile was given up.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest time between reconciles of an object, however often it is written.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Time until the next reconcile of an object that can't be read.
const INVALID_INTERVAL: Duration = Duration::from_mins(5);
/// Workers of a kind: one of each district's own, and these to borrow.
const WORKERS: WorkerLimits = WorkerLimits { borrowed: 16, borrowed_per_share: 8, total: 64 };

/// Namespace and name; the namespace of a cluster-scoped object is empty.
pub type ObjectKey = (String, String);

/// Which step of a reconcile is under way: what is told if it is given up.
#[derive(Debug, Default)]
pub struct Step(Mutex<&'static str>);

impl Step {
    /// The step begins.
    pub fn begins(&self, name: &'static str) {
        *self.0.lock() = name;
    }

    fn name(&self) -> &'static str {
        *self.0.lock()
    }
}

/// Why a reconcile was given up.
enum GivenUp {
    TimedOut(&'static str),
    Panicked(String),
}

impl GivenUp {
    fn error(self) -> Error {
        let minutes = RECONCILE_DEADLINE.as_secs() / 60;
        match self {
            Self::TimedOut(step) => Error::transient(
                Reason::ReconcileTimeout,
                format!(
                    "it took longer than {minutes} minutes and was given up at the step \"{step}\": something that it asks doesn't answer. kubectl get sites, kubectl get \
                     backuprepositories and the operator's log say more. It is tried again, less and less often"
                ),
            ),
            Self::Panicked(text) => Error::Internal(format!("a bug in the operator: {text}. It is tried again, less and less often; please report it")),
        }
    }
}

/// What is known of an object between its reconciles.
struct Pace {
    begun: Instant,
    /// How many in a row were given up.
    given_up: u32,
}

/// Reconciles the objects of a kind, each in its turn.
pub struct Dispatcher<R: Reconciler> {
    /// Shared by all controllers.
    pub context: Context,
    /// What is done with an object.
    pub reconciler: R,
    workers: Workers,
    /// Time limit of a reconcile.
    deadline: Duration,
    /// How long a first look goes on unsaid.
    first_look_patience: Duration,
    objects: Mutex<HashMap<ObjectKey, Pace>>,
    /// Districts with objects whose last reconcile was given up.
    told: Mutex<HashSet<Arc<str>>>,
}

/// Whose worker an object takes: its district's, by the namespace on the hub. Cluster-scoped objects are the city's own, and few: each has a share.
fn share_of((namespace, name): &ObjectKey) -> Arc<str> {
    if namespace.is_empty() { format!("/{name}").into() } else { namespace.as_str().into() }
}

/// The share as the label `district`.
fn label_of(share: &Arc<str>) -> &str {
    if share.starts_with('/') { "" } else { share }
}

impl<R: Reconciler> Dispatcher<R> {
    /// All workers are free.
    pub fn new(context: Context, reconciler: R) -> Arc<Self> {
        Self::with_limits(context, reconciler, RECONCILE_DEADLINE, FIRST_LOOK_PATIENCE)
    }

    fn with_limits(context: Context, reconciler: R, deadline: Duration, first_look_patience: Duration) -> Arc<Self> {
        let (workers, objects, told) = (Workers::new(WORKERS), Mutex::default(), Mutex::default());
        Arc::new(Self { context, reconciler, workers, deadline, first_look_patience, objects, told })
    }

    /// Reconciles an object in its turn, as it is then. Returns the time until the next reconcile, in case nothing changes before; none if it is gone.
    ///
    /// # Errors
    /// That of the reconcile; `ReconcileTimeout` if it was given up.
    pub async fn reconcile(&self, key: &ObjectKey, newest: impl FnOnce() -> Option<Arc<HubObject<R::Kind>>>) -> Result<Option<Duration>> {
        let (kind, share) = (R::Kind::kind(&()).into_owned(), share_of(key));
        self.pace(key).await;
        let queued = Instant::now();
        let worker = self.workers.acquire(&share).await;
        self.context.metrics.reconcile_wait.with_label_values(&[label_of(&share)]).observe(queued.elapsed().as_secs_f64());
        let Some(object) = newest() else { return Ok(None) };
        let step = Step::default();
        let timer = self.context.metrics.reconcile_duration.with_label_values(&[&kind]).start_timer();
        // Boxed: what waits for its turn is small.
        let pass = panics::contained(district::work_for(share.clone(), self.pass(&object, &step)));
        // What is given up is dropped before that is told: it may hold what others wait for.
        let passed = {
            let mut pass = std::pin::pin!(tokio::time::timeout(self.deadline, pass));
            tokio::select! {
                passed = &mut pass => passed,
                () = Box::pin(self.tell_of_first_look(&object, &step)) => pass.await,
            }
        };
        let given_up = match passed {
            Ok(Ok(result)) => {
                timer.observe_duration();
                self.ended(key, &share);
                return result.map(Some);
            }
            Ok(Err(panic)) => GivenUp::Panicked(text_of(panic.as_ref()).to_owned()),
            Err(_) => GivenUp::TimedOut(step.name()),
        };
        timer.observe_duration();
        let error = given_up.error();
        self.given_up(key, &share, &kind);
        let told = tokio::time::timeout(REPORT_TIMEOUT, Box::pin(self.tell(&object, &error))).await;
        if let Ok(Err(why)) = told {
            tracing::warn!(kind, "that a reconcile was given up can't be written: {why}");
        }
        drop(worker);
        Err(error)
    }

    async fn pass(&self, object: &HubObject<R::Kind>, step: &Step) -> Result<Duration> {
        match &object.object {
            Ok(readable) => self.reconciler.reconcile(&self.context, Arc::new(readable.clone()), Timestamp::now(), step).await,
            Err(invalid) => report_invalid::<R>(&self.context, object, &invalid.error).await.map(|()| INVALID_INTERVAL),
        }
    }

    /// Says of an object about which nothing was said yet that it is being looked at, once that takes long.
    async fn tell_of_first_look(&self, object: &HubObject<R::Kind>, step: &Step) {
        if !R::TELLS_OF_FIRST_LOOK || object.object.is_err() {
            return;
        }
        tokio::time::sleep(self.first_look_patience).await;
        let (seconds, step) = (self.first_look_patience.as_secs(), step.name());
        let message =
            format!("the first look at it takes longer than {seconds} s, at the step \"{step}\": something that it asks answers slowly, or not at all");
        let update = ConditionUpdate::unknown(R::CONDITION, Reason::NotYet, message);
        let told = tokio::time::timeout(REPORT_TIMEOUT, Box::pin(write_first_condition::<R>(&self.context, object, update))).await;
        if let Ok(Err(why)) = told {
            tracing::warn!("that the first look at an object takes long can't be written: {why}");
        }
    }

    async fn tell(&self, object: &HubObject<R::Kind>, error: &Error) -> Result<()> {
        let update = ConditionUpdate::unknown(R::CONDITION, error.reason(), error.to_string());
        write_condition::<R>(&self.context, object, update).await
    }

    /// Waits until an object may be reconciled again.
    async fn pace(&self, key: &ObjectKey) {
        let next = self.objects.lock().get(key).map(|pace| pace.begun + MIN_INTERVAL);
        if let Some(next) = next {
            tokio::time::sleep_until(next).await;
        }
        let mut objects = self.objects.lock();
        let now = Instant::now();
        objects.entry(key.clone()).or_insert(Pace { begun: now, given_up: 0 }).begun = now;
    }

    fn ended(&self, key: &ObjectKey, share: &Arc<str>) {
        let was_given_up = self.objects.lock().get_mut(key).is_some_and(|pace| std::mem::take(&mut pace.given_up) > 0);
        if was_given_up {
            self.show(share);
        }
    }

    fn given_up(&self, key: &ObjectKey, share: &Arc<str>, kind: &str) {
        if let Some(pace) = self.objects.lock().get_mut(key) {
            pace.given_up = pace.given_up.saturating_add(1);
        }
        self.context.metrics.reconciles_given_up.with_label_values(&[label_of(share), kind]).inc();
        self.show(share);
    }

    /// Counts a share's objects whose last reconcile was given up.
    fn show(&self, share: &Arc<str>) {
        let label = label_of(share);
        let of_label = |key: &ObjectKey| label_of(&share_of(key)) == label;
        let count = self.objects.lock().iter().filter(|(key, pace)| pace.given_up > 0 && of_label(key)).count();
        let kind = R::Kind::kind(&());
        if count > 0 {
            self.told.lock().insert(label.into());
            self.context.metrics.objects_not_reconciled.with_label_values(&[label, &kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
        } else if self.told.lock().remove(label) {
            let _ = self.context.metrics.objects_not_reconciled.remove_label_values(&[label, &kind]);
        }
    }

    /// Forgets objects that are gone.
    pub fn forget_all_but(&self, there: &HashSet<ObjectKey>) {
        self.objects.lock().retain(|key, _| there.contains(key));
        let told: Vec<Arc<str>> = self.told.lock().iter().cloned().collect();
        for label in &told {
            self.show(label);
        }
    }

    /// Time until an object is reconciled again after this error.
    pub fn wait_after(&self, key: &ObjectKey, error: &Error) -> Duration {
        let given_up = self.objects.lock().get(key).map_or(0, |pace| pace.given_up);
        match error.category() {
            Category::Transient if given_up > 0 => retry_wait(given_up),
            category => category.requeue(),
        }
    }
}

/// The key of an object.
pub fn key_of<K: kube::Resource>(object: &K) -> ObjectKey {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
