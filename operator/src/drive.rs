//! The one loop that every kind's controller runs in.
//!
//! An object that can't be read is reported on its own status and stops nobody else. An error's category decides when it is tried again. Nothing runs unless
//! this process leads.

use crate::{
    context::Context,
    error::{Error, Result, Tried as _},
};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::{DeserializeGuard, DynamicObject},
    runtime::{
        controller::{Action, Controller},
        events::{Event, EventType, Recorder, Reporter},
        watcher,
    },
};
use p861_core::conditions::{self, Verdict};
use p861_crds::{Condition, names::FIELD_MANAGER};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, sync::Arc, time::Duration};

/// A kind's controller: what one pass over an object does.
pub trait Drive: Send + Sync + 'static {
    /// The kind.
    type Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static;
    /// The condition that says whether the object is in order: `Ready`, or `Succeeded` on runs.
    const CONDITION: &'static str;

    /// Observes, decides, performs and records. Returns when to look again even if nothing changes.
    fn pass(&self, context: &Context, object: Arc<Self::Kind>, now: Timestamp) -> impl Future<Output = Result<Duration>> + Send;
}

/// Runs a controller until the process ends.
pub async fn drive<D: Drive>(context: Context, driver: D) {
    let api: Api<DeserializeGuard<D::Kind>> = Api::all(context.client.clone());
    let kind = D::Kind::kind(&()).into_owned();
    let driver = Arc::new(driver);
    let shared = Arc::new((context, driver));
    Controller::new(api, watcher::Config::default())
        .with_config(kube::runtime::controller::Config::default().concurrency(16))
        .run(reconcile::<D>, on_error::<D>, shared)
        .for_each(|result| {
            if let Err(error) = result {
                tracing::debug!(kind, %error, "pass ended with an error");
            }
            futures::future::ready(())
        })
        .await;
}

type Shared<D> = Arc<(Context, Arc<D>)>;

async fn reconcile<D: Drive>(guard: Arc<DeserializeGuard<D::Kind>>, shared: Shared<D>) -> Result<Action> {
    let (context, driver) = (&shared.0, &shared.1);
    if !context.leadership.holds() {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let kind = D::Kind::kind(&()).into_owned();
    let timer = context.metrics.reconcile_duration.with_label_values(&[&kind]).start_timer();
    let object = match &guard.0 {
        Ok(object) => Arc::new(object.clone()),
        Err(invalid) => {
            report_invalid::<D>(context, &guard, &invalid.error).await?;
            return Ok(Action::requeue(Duration::from_secs(300)));
        }
    };
    let result = driver.pass(context, object, Timestamp::now()).await;
    timer.observe_duration();
    result.map(Action::requeue)
}

fn on_error<D: Drive>(guard: Arc<DeserializeGuard<D::Kind>>, error: &Error, shared: Shared<D>) -> Action {
    let kind = D::Kind::kind(&()).into_owned();
    let category = error.category();
    shared.0.metrics.reconcile_errors.with_label_values(&[kind.as_str(), category.word()]).inc();
    tracing::warn!(kind, namespace = guard.meta().namespace, name = guard.meta().name, reason = error.reason(), category = category.word(), "{error}");
    Action::requeue(category.requeue())
}

/// An object that slipped in from another version: its own status says so.
async fn report_invalid<D: Drive>(context: &Context, guard: &DeserializeGuard<D::Kind>, error: &str) -> Result<()> {
    let kind = D::Kind::kind(&()).into_owned();
    let message = format!("this object can't be read by this version of the operator: {error}. Correct the field, or delete the object");
    tracing::warn!(kind, namespace = guard.meta().namespace, name = guard.meta().name, "{message}");
    let resource = kube::core::ApiResource::erase::<D::Kind>(&());
    let api: Api<DynamicObject> = match guard.meta().namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(context.client.clone(), namespace, &resource),
        None => Api::all_with(context.client.clone(), &resource),
    };
    let name = guard.name_any();
    let current = api.get(&name).await.tried(|| format!("read {kind} {name}"))?;
    let before: Vec<Condition> = current.data.pointer("/status/conditions").and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
    let after = conditions::apply(&before, &[Verdict::bad(D::CONDITION, "Invalid", message)], guard.meta().generation, Timestamp::now());
    if after == before {
        return Ok(());
    }
    context.leadership.ensure()?;
    let patch = serde_json::json!({"status": {"conditions": after}});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.tried(|| format!("write the status of {kind} {name}"))?;
    Ok(())
}

/// Writes a namespaced object's status by server-side apply, if it differs from what is there.
pub async fn record<K, S>(context: &Context, object: &K, before: Option<&S>, after: &S) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize + PartialEq,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    apply_status(context, &api, object, before, after).await
}

/// The same for any scope, with the object's own Api.
pub async fn apply_status<K, S>(context: &Context, api: &Api<K>, object: &K, before: Option<&S>, after: &S) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    S: Serialize + PartialEq,
{
    if before == Some(after) {
        return Ok(());
    }
    context.leadership.ensure()?;
    let name = object.name_any();
    let patch = serde_json::json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name, "uid": object.uid()}, "status": after});
    api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await.tried(|| format!("write the status of {} {name}", K::kind(&())))?;
    Ok(())
}

/// Tells people of one change, as an Event on the object.
pub async fn announce<K: Resource<DynamicType = ()>>(client: &Client, identity: &str, object: &K, reason: &str, note: &str, warning: bool) {
    let reporter = Reporter { controller: FIELD_MANAGER.into(), instance: Some(identity.to_owned()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.into(),
        note: Some(conditions::shorten(note, 1000)),
        action: reason.into(),
        secondary: None,
    };
    // An Event that can't be written holds up nothing: the journal and the status have it all.
    if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
        tracing::warn!(reason, %error, "can't write an Event");
    }
}
