//! Runs that this process has claimed. Only a cache: after a restart everything is read again from the journals.

use p861_core::{
    engine::{Journal, Plan, StepId, StepProgress},
    runs::{Action, Scope},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Identity of a run.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// Kind, for example `Drill`.
    pub kind: &'static str,
    /// Namespace on the hub.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Repository whose credentials its movers get.
    pub repository: String,
    /// Sites, namespaces and repository that its actions may touch. Checked before every effect.
    pub scope: Scope,
}

/// A run that this process has claimed.
pub(crate) struct ClaimedRun {
    pub(crate) plan: Plan<Action>,
    pub(crate) journal: Journal,
    pub(crate) token: u64,
    pub(crate) progress: BTreeMap<StepId, StepProgress>,
}

/// Runs that this process has claimed, by UID.
#[derive(Clone, Default)]
pub struct RunCache {
    claimed: Arc<Mutex<HashMap<String, Slot>>>,
    /// UIDs of runs whose clean-up keeps failing, by namespace and kind.
    failing_clean_ups: Arc<Mutex<FailingCleanUps>>,
}

type FailingCleanUps = HashMap<(String, &'static str), HashSet<String>>;

/// Lock that admits one pass at a time to a run.
pub(crate) type Slot = Arc<tokio::sync::Mutex<Option<ClaimedRun>>>;

impl RunCache {
    pub(crate) fn slot(&self, uid: &str) -> Slot {
        self.claimed.lock().entry(uid.to_owned()).or_default().clone()
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.claimed.lock().remove(uid);
    }

    /// Records whether the run's clean-up keeps failing. Returns how many runs of its kind and namespace are in that state.
    pub(crate) fn set_clean_up_failing(&self, run: &RunIdentity, failing: bool) -> usize {
        let mut all = self.failing_clean_ups.lock();
        let of_kind = all.entry((run.namespace.clone(), run.kind)).or_default();
        if failing {
            of_kind.insert(run.uid.clone())
        } else {
            of_kind.remove(&run.uid)
        };
        of_kind.len()
    }
}
