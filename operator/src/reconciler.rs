//! The loop that runs every kind's controller.
//!
//! An object that fails to deserialize gets a condition and doesn't block others. The category of an error decides when to retry. Nothing is reconciled unless
//! this process holds the lease.

use crate::{context::Context, hub_cache::HubCache, metrics::Metrics};
use futures::{
    Stream, StreamExt as _,
    stream::{self, FuturesUnordered},
};
use jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::{DeserializeGuard, DynamicObject},
    runtime::{
        controller::{Action, Controller},
        reflector::Store,
        watcher,
    },
};
use p861_core::conditions::{self, ConditionUpdate};
use p861_crds::{Condition, ConditionType, Reason};
use p861_runs::error::{Error, ErrorContext as _, Result};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use std::{any::Any, collections::HashSet, fmt::Debug, sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinHandle};

/// How often deleted objects are looked for, to remove their metrics.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// What the loop does with each object of a kind: the [`Driver`](crate::driver::Driver) of its controller, or the controller of runs.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind that it reconciles.
    type Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static;
    /// The object's main condition: `Ready`, or `Succeeded` on runs.
    const CONDITION: ConditionType;

    /// Reconciles an object. Returns the time until the next reconcile, in case nothing changes before.
    fn reconcile(&self, context: &Context, object: Arc<Self::Kind>, now: Timestamp) -> impl Future<Output = Result<Duration>> + Send;

    /// Removes the metrics of a deleted object: a series that stays would alert for ever.
    fn on_deleted(&self, _metrics: &Metrics, _namespace: &str, _name: &str) {}
}

/// A controller that starts once it gets its context.
pub struct PendingController {
    kind: String,
    start: Box<dyn FnOnce(Context) -> JoinHandle<()> + Send>,
}

impl PendingController {
    /// Starts it. It runs until the process ends.
    pub fn start(self, context: &Context) -> Running {
        Running { name: format!("the controller of {}", self.kind), task: (self.start)(context.clone()) }
    }
}

/// Something that must run as long as the process does.
pub struct Running {
    name: String,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts it.
    pub fn start(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { name: name.to_owned(), task: tokio::spawn(work) }
    }
}

/// Waits until the first of them ends, which none should, and says which and why. The process then ends: one that works on without a controller looks healthy, and
/// its objects wait for ever.
pub async fn first_end(running: impl IntoIterator<Item = Running>) -> String {
    let mut tasks: FuturesUnordered<_> = running.into_iter().map(|Running { name, task }| async move { (name, task.await) }).collect();
    match tasks.next().await {
        Some((name, Ok(()))) => format!("{name} ended, which it never should"),
        Some((name, Err(error))) => match error.try_into_panic() {
            Ok(panic) => format!("{name} panicked: {}", text_of(panic.as_ref())),
            Err(error) => format!("{name} was stopped: {error}"),
        },
        None => "there are no controllers".to_owned(),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}

/// Registers a kind's watch in the cache, for all controllers to read. The controller runs from when it gets its context until the process ends.
pub fn register<R: Reconciler>(client: &Client, cache: &mut HubCache, reconciler: R) -> PendingController {
    pending(cache, reconciler, controller_of::<R>(client))
}

/// The same, for a kind whose status depends on what another controller does: all its objects are reconciled at once when that calls.
pub fn register_called<R: Reconciler>(client: &Client, cache: &mut HubCache, reconciler: R, call: Arc<Notify>) -> PendingController {
    pending(cache, reconciler, controller_of::<R>(client).reconcile_all_on(calls(call)))
}

fn calls(call: Arc<Notify>) -> impl Stream<Item = ()> + Send + 'static {
    stream::unfold(call, |call| async move {
        call.notified().await;
        Some(((), call))
    })
}

fn controller_of<R: Reconciler>(client: &Client) -> Controller<DeserializeGuard<R::Kind>> {
    Controller::new(Api::<DeserializeGuard<R::Kind>>::all(client.clone()), watcher::Config::default())
}

fn pending<R: Reconciler>(cache: &mut HubCache, reconciler: R, controller: Controller<DeserializeGuard<R::Kind>>) -> PendingController {
    cache.register(controller.store());
    PendingController { kind: R::Kind::kind(&()).into_owned(), start: Box::new(move |context| tokio::spawn(run(context, reconciler, controller))) }
}

async fn run<R: Reconciler>(context: Context, reconciler: R, controller: Controller<DeserializeGuard<R::Kind>>) {
    let kind = R::Kind::kind(&()).into_owned();
    let controller = controller.with_config(kube::runtime::controller::Config::default().concurrency(16));
    let shared = Arc::new(Shared { context, reconciler, store: controller.store(), seen: Mutex::default() });
    let sweeping = sweep_deleted(shared.clone());
    let reconciling = controller.run(reconcile_object::<R>, on_error::<R>, shared).for_each(|result| {
        if let Err(error) = result {
            tracing::debug!(kind, %error, "reconcile ended with an error");
        }
        futures::future::ready(())
    });
    tokio::select! {
        () = reconciling => {}
        () = sweeping => {}
    }
}

/// Shared by all reconciles of a kind.
struct Shared<R: Reconciler> {
    context: Context,
    reconciler: R,
    store: Store<DeserializeGuard<R::Kind>>,
    seen: Mutex<HashSet<(String, String)>>,
}

/// Counts objects that fail to deserialize, and removes the metrics of deleted ones.
async fn sweep_deleted<R: Reconciler>(shared: Arc<Shared<R>>) {
    let kind = R::Kind::kind(&()).into_owned();
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let state = shared.store.state();
        shared
            .context
            .metrics
            .invalid_objects
            .with_label_values(&[&kind])
            .set(i64::try_from(state.iter().filter(|guard| guard.0.is_err()).count()).unwrap_or(i64::MAX));
        let now: HashSet<(String, String)> = state.iter().map(|guard| (guard.namespace().unwrap_or_default(), guard.name_any())).collect();
        let mut seen = shared.seen.lock();
        seen.difference(&now).for_each(|(namespace, name)| shared.reconciler.on_deleted(&shared.context.metrics, namespace, name));
        *seen = now;
    }
}

async fn reconcile_object<R: Reconciler>(guard: Arc<DeserializeGuard<R::Kind>>, shared: Arc<Shared<R>>) -> Result<Action> {
    let (context, reconciler) = (&shared.context, &shared.reconciler);
    if !context.hub.leadership.holds() {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let kind = R::Kind::kind(&()).into_owned();
    let timer = context.metrics.reconcile_duration.with_label_values(&[&kind]).start_timer();
    let object = match &guard.0 {
        Ok(object) => Arc::new(object.clone()),
        Err(invalid) => {
            report_invalid::<R>(context, &guard, &invalid.error).await?;
            return Ok(Action::requeue(Duration::from_mins(5)));
        }
    };
    let result = reconciler.reconcile(context, object, Timestamp::now()).await;
    timer.observe_duration();
    result.map(Action::requeue)
}

fn on_error<R: Reconciler>(guard: Arc<DeserializeGuard<R::Kind>>, error: &Error, shared: Arc<Shared<R>>) -> Action {
    let kind = R::Kind::kind(&()).into_owned();
    let category = error.category();
    shared.context.metrics.reconcile_errors.with_label_values(&[kind.as_str(), category.word()]).inc();
    tracing::warn!(kind, namespace = guard.meta().namespace, name = guard.meta().name, reason = error.reason().as_str(), category = category.word(), "{error}");
    Action::requeue(category.requeue())
}

/// Reports on the object's own status that this version can't read it, for example after a downgrade.
async fn report_invalid<R: Reconciler>(context: &Context, guard: &DeserializeGuard<R::Kind>, error: &str) -> Result<()> {
    let kind = R::Kind::kind(&()).into_owned();
    let resource = kube::core::ApiResource::erase::<R::Kind>(&());
    let api: Api<DynamicObject> = match guard.meta().namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(context.hub.client.clone(), namespace, &resource),
        None => Api::all_with(context.hub.client.clone(), &resource),
    };
    let name = guard.name_any();
    let current = api.get(&name).await.context(|| format!("read {kind} {name}"))?;
    let whole = serde_json::to_value(&current).unwrap_or_default();
    // Parsed again for the path of the field, which the watch's parser doesn't report.
    let place = serde_path_to_error::deserialize::<_, R::Kind>(whole).err().map(|error| format!("{}: ", error.path())).unwrap_or_default();
    let message = format!("this object can't be read by this version of the operator: {place}{error}. Correct the field, or delete the object");
    let before: Vec<Condition> = current.data.pointer("/status/conditions").and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
    let after = conditions::apply(&before, &[ConditionUpdate::bad(R::CONDITION, Reason::Invalid, message.clone())], guard.meta().generation, Timestamp::now());
    if after == before {
        return Ok(());
    }
    tracing::warn!(kind, namespace = guard.meta().namespace, name = guard.meta().name, "{message}");
    context.hub.leadership.ensure()?;
    let patch = serde_json::json!({"status": {"conditions": after}});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.context(|| format!("write the status of {kind} {name}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fault_f6_a_call_is_heard_also_if_it_comes_while_nobody_listens() {
        let call = Arc::new(Notify::new());
        let mut calls = std::pin::pin!(calls(call.clone()));
        let soon = Duration::from_secs(10);
        call.notify_one();
        call.notify_one();
        assert_eq!(tokio::time::timeout(soon, calls.next()).await.expect("it was called"), Some(()));
        assert!(tokio::time::timeout(Duration::from_millis(20), calls.next()).await.is_err(), "two calls at once are one");
        call.notify_one();
        assert_eq!(tokio::time::timeout(soon, calls.next()).await.expect("it was called again"), Some(()));
    }

    #[tokio::test]
    async fn fault_d10_a_controller_that_panics_or_ends_is_named_at_once_whatever_the_others_do() {
        async fn panics(text: &str) {
            tokio::task::yield_now().await;
            panic!("index {text}");
        }
        let forever = || Running::start("the controller of Drill", std::future::pending());
        for (ends, said) in [
            (Running::start("the controller of Backup", panics("3 of 2")), "the controller of Backup panicked: index 3 of 2"),
            (Running::start("the watch of probes", async {}), "the watch of probes ended, which it never should"),
        ] {
            let told = tokio::time::timeout(Duration::from_secs(10), first_end([forever(), ends, forever()])).await;
            assert_eq!(told.expect("it is told at once"), said);
        }
    }
}
