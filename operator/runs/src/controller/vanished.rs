//! Runs whose object was taken from the hub while they went on: somebody has removed its finalizer. Nobody can see or end such a run any more, so it is aborted and cleans up
//! by its journal, which has a finalizer of its own.

use super::{Carried, carry_on, records, remove_objects};
use crate::{context::RunContext, error::Result, kind::RunKind, pass};
use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};
use p861_crds::{RunObject as _, RunStatus as _, Time, common::RunPhase, names::CLEANUP_FINALIZER};

/// Whether a run whose object is gone has left something to do: it was begun, and its record is still held.
///
/// # Errors
/// The failed read.
pub async fn has_left<K: RunKind>(context: &RunContext, object: &K::Object) -> Result<bool> {
    records::<K>(&context.hub, object)?.is_held().await
}

/// Makes one pass over a vanished run. Returns whether nothing is left to do. `object` is what was last seen of its object.
///
/// # Errors
/// The failed read or write, with its category; another pass may come further.
pub async fn clean_up<K: RunKind>(context: &RunContext, kind: &K, object: &K::Object, now: Timestamp) -> Result<bool> {
    let uid = K::run_uid(object);
    // It holds up no other run, whatever becomes of it.
    context.admissions.end(&uid);
    let record = records::<K>(&context.hub, object)?;
    if !record.is_held().await? {
        return Ok(true);
    }
    let mut object = object.clone();
    // As if it was being deleted, and was still there until it has cleaned up: it is aborted.
    object.meta_mut().deletion_timestamp = Some(Time(now));
    object.meta_mut().finalizers = Some(vec![CLEANUP_FINALIZER.to_owned()]);
    let status = object.run_status().cloned().unwrap_or_default();
    if status.phase().is_some_and(RunPhase::is_end) {
        return record.release().await.map(|()| true);
    }
    let carried = carry_on(context, kind, &object, &status, now).await;
    context.admissions.end(&uid);
    let why = match carried? {
        Carried::On { pass, .. } if !pass.summary.phase.is_end() => return Ok(false),
        Carried::On { pass, run, .. } => {
            pass::forget(&context.executor(), &run);
            if !remove_objects(&context.hub, &run, pass.summary.completion, now).await {
                return Ok(false);
            }
            record.release().await?;
            return Ok(true);
        }
        Carried::Waits { message, .. } => {
            tracing::debug!(namespace = object.namespace(), name = object.name_any(), "a run without an object waits: {message}");
            return Ok(false);
        }
        Carried::Refused { error } => error.to_string(),
        Carried::JournalMissing { message } | Carried::Tampered { message, .. } => message,
    };
    tracing::error!(
        kind = K::CLASS.kind(),
        namespace = object.namespace(),
        name = object.name_any(),
        "nothing cleans up after a run whose object is gone: {why}"
    );
    record.release().await?;
    Ok(true)
}
