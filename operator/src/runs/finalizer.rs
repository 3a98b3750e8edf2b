//! A run's object stays until what the run made is gone: deleting it while it runs is asking for its end.

use crate::{
    context::Context,
    error::{Result, Tried as _, is_not_found},
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

/// Whether the run may have made something.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == CLEANUP_FINALIZER)
}

/// Holds the object until nothing of the run stands any more, or lets it go. An object that is being deleted takes no new finalizer.
pub async fn hold<K>(context: &Context, object: &K, held: bool) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    if is_held(object) == held || (held && object.meta().deletion_timestamp.is_some()) {
        return Ok(());
    }
    context.leadership.ensure()?;
    let mut finalizers: Vec<String> = object.finalizers().iter().filter(|finalizer| *finalizer != CLEANUP_FINALIZER).cloned().collect();
    if held {
        finalizers.push(CLEANUP_FINALIZER.into());
    }
    let api: Api<K> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    // Without its version: a status that was written meanwhile is no reason to try again, and nobody else has a finalizer here.
    let patch = json!({"metadata": {"finalizers": finalizers}});
    match api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(error) if !is_not_found(&error) => Err(error).tried(|| format!("write the finalizer of {} {}", K::kind(&()), object.name_any())),
        _ => Ok(()),
    }
}

/// What people asked of the run; whoever deletes its object asks for its end.
pub fn actions<K: Resource>(object: &K, asked: &[RunAction]) -> Vec<RunAction> {
    let mut actions = asked.to_vec();
    if object.meta().deletion_timestamp.is_some() && !actions.iter().any(|action| action.action == ActionKind::Abort) {
        let reason = Some("its object was deleted".into());
        actions.push(RunAction { action: ActionKind::Abort, step: None, reason, answer: None, duration: None, by: None });
    }
    actions
}
