//! Writes of status and Events on the hub.

use crate::{
    context::Hub,
    error::{ErrorContext as _, Result, is_conflict, is_not_found},
    leadership::Leadership,
};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use p861_core::conditions;
use p861_crds::{Reason, names::FIELD_MANAGER};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// The longest note of an Event, in characters.
const MAX_NOTE_LENGTH: usize = 1000;

/// Whether a status is what is stored already, by what would be sent: a time of the API has whole seconds, so one that was read elsewhere with parts of one differs from
/// itself, once stored, for ever.
pub fn is_stored<S: Serialize + PartialEq>(before: Option<&S>, after: &S) -> bool {
    let sent = |status: &S| serde_json::to_value(status).ok();
    before.is_some_and(|before| before == after || sent(before).is_some_and(|before| Some(before) == sent(after)))
}

/// Applies a namespaced object's status if it differs from `before`.
///
/// # Errors
/// If this process doesn't lead, or the API server refuses.
pub async fn apply_status<K, S>(hub: &Hub, object: &K, before: Option<&S>, after: &S) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize + PartialEq,
{
    if is_stored(before, after) {
        return Ok(());
    }
    hub.leadership.ensure()?;
    let name = object.name_any();
    let api: Api<K> = Api::namespaced(hub.client.clone(), &object.namespace().unwrap_or_default());
    let patch = serde_json::json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name, "uid": object.uid()}, "status": after});
    api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch))
        .await
        .context(|| format!("write the status of {} {name}", K::kind(&())))?;
    Ok(())
}

/// Applies a status only if the object is still at the version that the status was computed from; otherwise returns false and writes nothing. For kinds whose
/// status has several writers, or counts actions that were read.
///
/// # Errors
/// If this process doesn't lead, or the API server refuses.
pub async fn apply_status_if_unchanged<K, S>(client: &Client, leadership: &Leadership, object: &K, before: Option<&S>, after: &S) -> Result<bool>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize + PartialEq,
{
    if is_stored(before, after) {
        return Ok(true);
    }
    leadership.ensure()?;
    let name = object.name_any();
    let api: Api<K> = Api::namespaced(client.clone(), object.meta().namespace.as_deref().unwrap_or_default());
    let metadata = serde_json::json!({"name": name, "uid": object.uid(), "resourceVersion": object.resource_version()});
    let patch = serde_json::json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "status": after});
    match api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await {
        Ok(_) => Ok(true),
        Err(error) if is_conflict(&error) || is_not_found(&error) => Ok(false),
        Err(error) => Err(error).context(|| format!("write the status of {} {name}", K::kind(&()))),
    }
}

/// Publishes an Event on the object. Failures are only logged: journal and status have the same information.
pub async fn publish_event<K: Resource<DynamicType = ()>>(hub: &Hub, object: &K, type_: EventType, reason: Reason, note: &str) {
    let reporter = Reporter { controller: FIELD_MANAGER.into(), instance: Some(hub.identity.clone()) };
    let recorder = Recorder::new(hub.client.clone(), reporter);
    let event =
        Event { type_, reason: reason.to_string(), note: Some(conditions::shorten(note, MAX_NOTE_LENGTH)), action: reason.to_string(), secondary: None };
    if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
        tracing::warn!(%reason, %error, "can't write an Event");
    }
}

/// `Warning` or `Normal`.
pub fn event_type(warning: bool) -> EventType {
    if warning { EventType::Warning } else { EventType::Normal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::{
        Time,
        platform::application::{ApplicationStatus, BackupSummary},
    };

    #[test]
    fn fault_e10_a_status_is_compared_as_it_would_be_stored() {
        let at = |time: &str| {
            let last_backup = Some(BackupSummary { name: "b".into(), recovery_point_time: Time(time.parse().expect("a time")) });
            ApplicationStatus { last_backup, ..ApplicationStatus::default() }
        };
        let (exact, stored, later) = (at("2026-11-30T10:00:00.123456Z"), at("2026-11-30T10:00:00Z"), at("2026-11-30T10:00:01Z"));
        assert!(is_stored(Some(&stored), &exact), "the API server keeps whole seconds");
        assert!(!is_stored(Some(&stored), &later) && !is_stored(None, &exact));
    }
}
