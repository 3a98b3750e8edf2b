//! Notices runs whose object is gone while they go on, and has them cleaned up after.

use crate::context::Context;
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_crds::{RunObject as _, common::RunPhase};
use p861_runs::{
    RunKind,
    controller::{clean_up, has_left},
    district::work_for,
    error::Error,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between passes over a vanished run.
const PASS_INTERVAL: Duration = Duration::from_secs(1);
/// How long it is tried to clean up: a site may be away for a night.
const PATIENCE: Duration = Duration::from_hours(24);

/// The objects of one kind whose runs go on, as they were last seen, by UID.
pub struct Going<K: RunKind>(Mutex<HashMap<String, Arc<K::Object>>>);

impl<K: RunKind> Default for Going<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: RunKind + From<Context>> Going<K> {
    /// Notes what was seen of an object.
    pub fn note(&self, object: &Arc<K::Object>) {
        let uid = object.uid().unwrap_or_default();
        let has_ended = object.run_status().and_then(p861_crds::RunStatus::phase).is_some_and(RunPhase::is_end);
        let mut going = self.0.lock();
        if has_ended {
            going.remove(&uid);
        } else {
            going.insert(uid, object.clone());
        }
    }

    /// Those that are not there any more. `present` gives the UIDs of the kind's objects; it is asked last, since what begins meanwhile is there.
    fn gone(&self, present: &dyn Fn() -> HashSet<String>) -> Vec<Arc<K::Object>> {
        let known: Vec<String> = self.0.lock().keys().cloned().collect();
        if known.is_empty() {
            return Vec::new();
        }
        let present = present();
        let mut going = self.0.lock();
        known.iter().filter(|uid| !present.contains(*uid)).filter_map(|uid| going.remove(uid)).collect()
    }

    /// Gives back the places of those that are gone, and cleans up after those that had no time to do so.
    pub fn sweep(&self, context: &Context, present: &dyn Fn() -> HashSet<String>) {
        for object in self.gone(present) {
            context.runs.admissions.end(&K::run_uid(&object));
            let (context, namespace) = (context.clone(), object.namespace().unwrap_or_default());
            tokio::spawn(work_for(namespace.as_str().into(), async move { clean_up_after::<K>(&context, &object).await }));
        }
    }
}

/// Ends a run whose object is gone, and removes what it has made. Says nothing of one that had ended, or had not begun: the last look at it was a moment before.
pub async fn clean_up_after<K: RunKind + From<Context>>(context: &Context, object: &K::Object) {
    let (kind, began) = (K::from(context.clone()), Instant::now());
    let (class, namespace, name) = (K::CLASS.kind(), object.namespace().unwrap_or_default(), object.name_any());
    let (mut vanished, mut told) = (false, String::new());
    while began.elapsed() < PATIENCE {
        let passed = async {
            if !vanished {
                if !has_left::<K>(&context.runs, object).await? {
                    return Ok(true);
                }
                vanished = true;
                context.runs.metrics.runs_failed.with_label_values(&[namespace.as_str(), class]).inc();
                tracing::error!(
                    kind = class,
                    namespace,
                    name,
                    "the object of a run is gone while the run goes on: somebody has removed its finalizer. The run holds up no other any more, is aborted and cleans up"
                );
            }
            clean_up(&context.runs, &kind, object, Timestamp::now()).await
        };
        match passed.await {
            Ok(true) if vanished => {
                tracing::info!(kind = class, namespace, name, "a run whose object is gone has ended, and what it had made is removed");
                return;
            }
            Ok(true) => return,
            // The next leader reads the hub anew, and knows nothing of it.
            Err(error @ Error::LeaseLost) => {
                tracing::error!(kind = class, namespace, name, "what a run without an object has made may be left: {error}");
                return;
            }
            Err(error) if error.to_string() != told => {
                told = error.to_string();
                tracing::warn!(kind = class, namespace, name, reason = error.reason().as_str(), "a run whose object is gone can't clean up yet: {told}");
            }
            Ok(false) | Err(_) => {}
        }
        tokio::time::sleep(PASS_INTERVAL).await;
    }
    tracing::error!(kind = class, namespace, name, "what a run without an object has made may be left, after a day: {told}");
}
