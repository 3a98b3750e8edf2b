//! Finalizer of a run's object: it stays until the run has cleaned up. Deleting the object of a running run aborts it.

use crate::{
    context::Hub,
    error::{ErrorContext as _, Result, is_conflict, is_not_found},
};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use p861_crds::{
    common::{ActionKind, RunAction},
    names::CLEANUP_FINALIZER,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Whether the object has the finalizer, that is, the run may have created something.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == CLEANUP_FINALIZER)
}

/// Sets or removes the finalizer. An object that is being deleted gets none: the API server would refuse it.
///
/// # Errors
/// If this process doesn't lead, or the API server refuses.
pub async fn hold<K>(hub: &Hub, object: &K, held: bool) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    if is_held(object) == held || (held && object.meta().deletion_timestamp.is_some()) {
        return Ok(());
    }
    hub.leadership.ensure()?;
    let name = object.name_any();
    let finalizers: &[&str] = if held { &[CLEANUP_FINALIZER] } else { &[] };
    // A field manager of its own owns only our entry of the list. The UID keeps the apply from recreating a deleted object.
    let patch = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name, "uid": object.uid(), "finalizers": finalizers}});
    let api: Api<K> = Api::namespaced(hub.client.clone(), &object.namespace().unwrap_or_default());
    match api.patch(&name, &PatchParams::apply(CLEANUP_FINALIZER).force(), &Patch::Apply(patch)).await {
        Err(error) if !held && (is_not_found(&error) || is_conflict(&error)) => Ok(()),
        Err(error) => Err(error).context(|| format!("write the finalizer of {} {name}", K::kind(&()))),
        Ok(_) => Ok(()),
    }
}

/// Actions that people requested; deleting the object counts as Abort.
pub fn actions<K: Resource>(object: &K, asked: &[RunAction]) -> Vec<RunAction> {
    let mut actions = asked.to_vec();
    if object.meta().deletion_timestamp.is_some() && !actions.iter().any(|action| action.action == ActionKind::Abort) {
        let reason = Some("its object was deleted".into());
        actions.push(RunAction { action: ActionKind::Abort, step: None, reason, answer: None, duration: None, by: None });
    }
    actions
}
