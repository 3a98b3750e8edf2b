//! The one loop that every kind's controller runs in.
//!
//! An object that can't be read is reported on its own status and stops nobody else. An error's category decides when it is tried again. Nothing runs unless
//! this process leads.

use crate::{context::Context, known::Known, metrics::Metrics};
use futures::StreamExt as _;
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
use p861_core::conditions::{self, Verdict};
use p861_crds::Condition;
use p861_runs::error::{Error, Result, Tried as _};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashSet,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How soon the metrics of an object that is gone are taken back.
const TAKE_BACK: Duration = Duration::from_secs(10);

/// A kind's controller: what one pass over an object does.
pub trait Drive: Send + Sync + 'static {
    /// The kind.
    type Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static;
    /// The condition that says whether the object is in order: `Ready`, or `Succeeded` on runs.
    const CONDITION: &'static str;

    /// Observes, decides, performs and records. Returns when to look again even if nothing changes.
    fn pass(&self, context: &Context, object: Arc<Self::Kind>, now: Timestamp) -> impl Future<Output = Result<Duration>> + Send;

    /// Takes back what was told of an object that is gone: a metric that stays would alert for ever.
    fn gone(&self, _metrics: &Metrics, _namespace: &str, _name: &str) {}
}

/// A controller that waits for its context.
pub type Waiting = Box<dyn FnOnce(Context) -> tokio::task::JoinHandle<()> + Send>;

/// Prepares a kind's controller: what it watches is held for all others to see, and it runs until the process ends once it gets its context.
pub fn prepare<D: Drive>(client: &Client, known: &mut Known, driver: D) -> Waiting {
    let controller = Controller::new(Api::<DeserializeGuard<D::Kind>>::all(client.clone()), watcher::Config::default());
    known.hold(controller.store());
    Box::new(move |context| tokio::spawn(drive(context, driver, controller)))
}

async fn drive<D: Drive>(context: Context, driver: D, controller: Controller<DeserializeGuard<D::Kind>>) {
    let kind = D::Kind::kind(&()).into_owned();
    let controller = controller.with_config(kube::runtime::controller::Config::default().concurrency(16));
    let shared = Arc::new(Shared { context, driver, store: controller.store(), known: Mutex::default() });
    let watching = tokio::spawn(take_back(shared.clone()));
    controller
        .run(reconcile::<D>, on_error::<D>, shared)
        .for_each(|result| {
            if let Err(error) = result {
                tracing::debug!(kind, %error, "pass ended with an error");
            }
            futures::future::ready(())
        })
        .await;
    watching.abort();
}

/// What the passes over a kind share.
struct Shared<D: Drive> {
    context: Context,
    driver: D,
    store: Store<DeserializeGuard<D::Kind>>,
    known: Mutex<HashSet<(String, String)>>,
}

/// Every few seconds: counts the objects that can't be read, and takes back the metrics of those that are gone.
async fn take_back<D: Drive>(shared: Arc<Shared<D>>) {
    let kind = D::Kind::kind(&()).into_owned();
    loop {
        tokio::time::sleep(TAKE_BACK).await;
        let state = shared.store.state();
        shared
            .context
            .metrics
            .invalid_objects
            .with_label_values(&[&kind])
            .set(i64::try_from(state.iter().filter(|guard| guard.0.is_err()).count()).unwrap_or(i64::MAX));
        let now: HashSet<(String, String)> = state.iter().map(|guard| (guard.namespace().unwrap_or_default(), guard.name_any())).collect();
        let mut known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.difference(&now).for_each(|(namespace, name)| shared.driver.gone(&shared.context.metrics, namespace, name));
        *known = now;
    }
}

async fn reconcile<D: Drive>(guard: Arc<DeserializeGuard<D::Kind>>, shared: Arc<Shared<D>>) -> Result<Action> {
    let (context, driver) = (&shared.context, &shared.driver);
    if !context.hub.leadership.holds() {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let kind = D::Kind::kind(&()).into_owned();
    let timer = context.metrics.reconcile_duration.with_label_values(&[&kind]).start_timer();
    let object = match &guard.0 {
        Ok(object) => Arc::new(object.clone()),
        Err(invalid) => {
            report_invalid::<D>(context, &guard, &invalid.error).await?;
            return Ok(Action::requeue(Duration::from_mins(5)));
        }
    };
    let result = driver.pass(context, object, Timestamp::now()).await;
    timer.observe_duration();
    result.map(Action::requeue)
}

fn on_error<D: Drive>(guard: Arc<DeserializeGuard<D::Kind>>, error: &Error, shared: Arc<Shared<D>>) -> Action {
    let kind = D::Kind::kind(&()).into_owned();
    let category = error.category();
    shared.context.metrics.reconcile_errors.with_label_values(&[kind.as_str(), category.word()]).inc();
    tracing::warn!(kind, namespace = guard.meta().namespace, name = guard.meta().name, reason = error.reason(), category = category.word(), "{error}");
    Action::requeue(category.requeue())
}

/// An object that slipped in from another version: its own status says so.
async fn report_invalid<D: Drive>(context: &Context, guard: &DeserializeGuard<D::Kind>, error: &str) -> Result<()> {
    let kind = D::Kind::kind(&()).into_owned();
    let resource = kube::core::ApiResource::erase::<D::Kind>(&());
    let api: Api<DynamicObject> = match guard.meta().namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(context.hub.client.clone(), namespace, &resource),
        None => Api::all_with(context.hub.client.clone(), &resource),
    };
    let name = guard.name_any();
    let current = api.get(&name).await.tried(|| format!("read {kind} {name}"))?;
    let whole = serde_json::to_value(&current).unwrap_or_default();
    // Read once more, to say where: the parser that met it first knows only what.
    let place = serde_path_to_error::deserialize::<_, D::Kind>(whole).err().map(|error| format!("{}: ", error.path())).unwrap_or_default();
    let message = format!("this object can't be read by this version of the operator: {place}{error}. Correct the field, or delete the object");
    let before: Vec<Condition> = current.data.pointer("/status/conditions").and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
    let after = conditions::apply(&before, &[Verdict::bad(D::CONDITION, "Invalid", message.clone())], guard.meta().generation, Timestamp::now());
    if after == before {
        return Ok(());
    }
    tracing::warn!(kind, namespace = guard.meta().namespace, name = guard.meta().name, "{message}");
    context.hub.leadership.ensure()?;
    let patch = serde_json::json!({"status": {"conditions": after}});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.tried(|| format!("write the status of {kind} {name}"))?;
    Ok(())
}
