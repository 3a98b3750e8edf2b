//! The controllers of Backup, Restore and Drill: one for all kinds of runs.

use crate::{context::Context, drive::Drive};
use jiff::Timestamp;
use p861_runs::{RunKind, controller::reconcile, error::Result};
use std::{marker::PhantomData, sync::Arc, time::Duration};

/// Controller of a kind of run whose object is nothing but a run.
pub struct RunDriver<K>(PhantomData<fn() -> K>);

impl<K> Default for RunDriver<K> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<K: RunKind + From<Context>> Drive for RunDriver<K> {
    type Kind = K::Object;
    const CONDITION: &'static str = "Succeeded";

    async fn pass(&self, context: &Context, object: Arc<K::Object>, now: Timestamp) -> Result<Duration> {
        reconcile(&context.runs, &K::from(context.clone()), object.as_ref(), now).await
    }
}
