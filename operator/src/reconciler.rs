//! The loop that runs every kind's controller.
//!
//! An object that can't be read gets a condition and doesn't block others. The category of an error decides when to retry. Nothing is reconciled unless
//! this process holds the lease. When it is an object's turn, the dispatcher says (`dispatch.rs`).

use crate::{
    context::Context,
    dispatch::{Dispatcher, ObjectKey, Step, key_of},
    hub_cache::HubCache,
    metrics::Metrics,
};
use futures::{
    Stream, StreamExt as _,
    stream::{self, FuturesUnordered},
};
use jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject},
    runtime::{
        controller::{Action, Controller},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use p861_core::conditions::{self, ConditionUpdate};
use p861_crds::{Condition, ConditionType, Reason};
use p861_runs::{
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    hub_object::HubObject,
};
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
    /// Whether an object that has no word of its own yet is told that its first look goes on: its status may then be written beside the reconcile.
    const TELLS_OF_FIRST_LOOK: bool = false;

    /// Reconciles an object. Returns the time until the next reconcile, in case nothing changes before. It says which step begins. After
    /// [`RECONCILE_DEADLINE`](crate::dispatch::RECONCILE_DEADLINE) it is dropped wherever it waits.
    fn reconcile(&self, context: &Context, object: Arc<Self::Kind>, now: Timestamp, step: &Step) -> impl Future<Output = Result<Duration>> + Send;

    /// Removes the metrics of a deleted object: a series that stays would alert for ever.
    fn on_deleted(&self, _metrics: &Metrics, _namespace: &str, _name: &str) {}

    /// Called every [`SWEEP_INTERVAL`]; `present` gives the UIDs of the objects that are there. For what a deleted object leaves that had no time to clean up.
    fn sweep(&self, _context: &Context, _present: &dyn Fn() -> HashSet<String>) {}
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

/// What a panic said.
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
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

fn controller_of<R: Reconciler>(client: &Client) -> Controller<HubObject<R::Kind>> {
    Controller::new(Api::<HubObject<R::Kind>>::all(client.clone()), watcher::Config::default())
}

fn pending<R: Reconciler>(cache: &mut HubCache, reconciler: R, controller: Controller<HubObject<R::Kind>>) -> PendingController {
    cache.register(controller.store());
    PendingController { kind: R::Kind::kind(&()).into_owned(), start: Box::new(move |context| tokio::spawn(run(context, reconciler, controller))) }
}

async fn run<R: Reconciler>(context: Context, reconciler: R, controller: Controller<HubObject<R::Kind>>) {
    let kind = R::Kind::kind(&()).into_owned();
    // No limit of its own: the dispatcher has one that is fair by district.
    let controller = controller.with_config(kube::runtime::controller::Config::default().concurrency(0));
    let shared = Arc::new(Shared { store: controller.store(), dispatcher: Dispatcher::new(context, reconciler), seen: Mutex::default() });
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
    store: Store<HubObject<R::Kind>>,
    dispatcher: Arc<Dispatcher<R>>,
    seen: Mutex<HashSet<ObjectKey>>,
}

/// Counts objects that can't be read, and forgets deleted ones and their metrics.
async fn sweep_deleted<R: Reconciler>(shared: Arc<Shared<R>>) {
    let kind = R::Kind::kind(&()).into_owned();
    let (dispatcher, metrics) = (&shared.dispatcher, &shared.dispatcher.context.metrics);
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let state = shared.store.state();
        let invalid = state.iter().filter(|guard| guard.object.is_err()).count();
        metrics.invalid_objects.with_label_values(&[&kind]).set(i64::try_from(invalid).unwrap_or(i64::MAX));
        let now: HashSet<ObjectKey> = state.iter().map(|guard| key_of(guard.as_ref())).collect();
        dispatcher.forget_all_but(&now);
        let mut seen = shared.seen.lock();
        seen.difference(&now).for_each(|(namespace, name)| dispatcher.reconciler.on_deleted(metrics, namespace, name));
        *seen = now;
        drop(seen);
        let present = || shared.store.state().iter().filter_map(|guard| guard.meta().uid.clone()).collect();
        dispatcher.reconciler.sweep(&dispatcher.context, &present);
    }
}

async fn reconcile_object<R: Reconciler>(guard: Arc<HubObject<R::Kind>>, shared: Arc<Shared<R>>) -> Result<Action> {
    if !shared.dispatcher.context.hub.leadership.holds() {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let (key, reference) = (key_of(guard.as_ref()), ObjectRef::from_obj(guard.as_ref()));
    // It may wait for long, and is not kept meanwhile.
    drop(guard);
    let next = shared.dispatcher.reconcile(&key, || shared.store.get(&reference)).await?;
    Ok(next.map_or_else(Action::await_change, Action::requeue))
}

fn on_error<R: Reconciler>(guard: Arc<HubObject<R::Kind>>, error: &Error, shared: Arc<Shared<R>>) -> Action {
    let kind = R::Kind::kind(&()).into_owned();
    let category = error.category();
    shared.dispatcher.context.metrics.reconcile_errors.with_label_values(&[kind.as_str(), category.word()]).inc();
    let (namespace, name, reason) = (&guard.meta().namespace, &guard.meta().name, error.reason());
    let reason = reason.as_str();
    // That the lease was lost is told once, as the process starts anew, and not of each of thousands of objects.
    if matches!(error, Error::LeaseLost) {
        tracing::debug!(kind, namespace, name, reason, "{error}");
    } else {
        tracing::warn!(kind, namespace, name, reason, category = category.word(), "{error}");
    }
    Action::requeue(shared.dispatcher.wait_after(&key_of(guard.as_ref()), error))
}

/// Reports on the object's own status that this version can't read it, for example after a downgrade.
pub async fn report_invalid<R: Reconciler>(context: &Context, guard: &HubObject<R::Kind>, error: &str) -> Result<()> {
    let (kind, name) = (R::Kind::kind(&()).into_owned(), guard.name_any());
    let current = objects_of(context, &resource::<R>(), guard.namespace()).get(&name).await.context(|| format!("read {kind} {name}"))?;
    let whole = serde_json::to_value(&current).unwrap_or_default();
    // Parsed again for the path of the field, which the watch's parser doesn't report.
    let message = match serde_path_to_error::deserialize::<_, R::Kind>(whole) {
        Err(place) => format!("this object can't be read by this version of the operator: {}: {error}. Correct the field, or delete the object", place.path()),
        Ok(_) => format!("this object is not looked after: {error}"),
    };
    set_condition::<R>(context, &current, ConditionUpdate::bad(R::CONDITION, Reason::Invalid, message)).await
}

/// Sets one condition of an object, whatever its status is otherwise.
pub async fn write_condition<R: Reconciler>(context: &Context, guard: &HubObject<R::Kind>, update: ConditionUpdate) -> Result<()> {
    let (kind, name) = (R::Kind::kind(&()).into_owned(), guard.name_any());
    match objects_of(context, &resource::<R>(), guard.namespace()).get_opt(&name).await.context(|| format!("read {kind} {name}"))? {
        Some(current) => set_condition::<R>(context, &current, update).await,
        None => Ok(()),
    }
}

/// Sets the main condition of an object that has none yet.
pub async fn write_first_condition<R: Reconciler>(context: &Context, guard: &HubObject<R::Kind>, update: ConditionUpdate) -> Result<()> {
    let (kind, name) = (R::Kind::kind(&()).into_owned(), guard.name_any());
    match objects_of(context, &resource::<R>(), guard.namespace()).get_opt(&name).await.context(|| format!("read {kind} {name}"))? {
        Some(current) if !conditions_of(&current).iter().any(|condition| condition.type_ == update.kind) => set_condition::<R>(context, &current, update).await,
        _ => Ok(()),
    }
}

fn conditions_of(object: &DynamicObject) -> Vec<Condition> {
    object.data.pointer("/status/conditions").and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
}

fn resource<R: Reconciler>() -> ApiResource {
    ApiResource::erase::<R::Kind>(&())
}

/// The objects beside one: in its namespace, or cluster-scoped.
fn objects_of(context: &Context, resource: &ApiResource, namespace: Option<String>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(context.hub.client.clone(), &namespace, resource),
        None => Api::all_with(context.hub.client.clone(), resource),
    }
}

async fn set_condition<R: Reconciler>(context: &Context, current: &DynamicObject, update: ConditionUpdate) -> Result<()> {
    let (kind, name, metadata) = (R::Kind::kind(&()).into_owned(), current.name_any(), &current.metadata);
    let before = conditions_of(current);
    let message = update.message.clone();
    let after = conditions::apply(&before, &[update], metadata.generation, Timestamp::now());
    if after == before {
        return Ok(());
    }
    tracing::warn!(kind, namespace = metadata.namespace, name, "{message}");
    context.hub.leadership.ensure()?;
    // At this version only: the list of conditions is written as a whole.
    let patch = serde_json::json!({"metadata": {"resourceVersion": metadata.resource_version}, "status": {"conditions": after}});
    match objects_of(context, &resource::<R>(), current.namespace()).patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        // Whoever changed it looks at it again.
        Err(error) if is_conflict(&error) || is_not_found(&error) => Ok(()),
        result => result.map(drop).context(|| format!("write the status of {kind} {name}")),
    }
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
