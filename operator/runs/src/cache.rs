//! Runs that this process has claimed. Only a cache: after a restart everything is read again from the journals.

use crate::{error::Result, journal::RunRecord};
use jiff::Timestamp;
use p861_core::{
    engine::{Journal, Plan, StepId, StepProgress, sealed::ChainHead},
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
    /// The seal of its last record, if it is sealed: the journal is not read again to append to it.
    pub(crate) head: Option<ChainHead>,
    pub(crate) token: u64,
    pub(crate) progress: BTreeMap<StepId, StepProgress>,
    /// What each step said last before it was told to stop.
    pub(crate) said: BTreeMap<StepId, String>,
}

/// Runs that this process has claimed, by UID.
#[derive(Clone, Default)]
pub struct RunCache {
    claimed: Arc<Mutex<HashMap<String, Slot>>>,
    /// The records of runs that have begun, by UID.
    records: Arc<Mutex<HashMap<String, Arc<RunRecord>>>>,
    /// UIDs of runs whose clean-up keeps failing, by namespace and kind.
    failing_clean_ups: Arc<Mutex<FailingCleanUps>>,
    /// How far runs under way are, and since when, by UID.
    progress: Arc<Mutex<HashMap<String, Progressed>>>,
}

/// How far a run is: steps that have ended, items and bytes. Attempts that fail are no progress.
pub(crate) type Mark = (u64, u64, u64);

struct Progressed {
    of: (String, &'static str),
    mark: Mark,
    at: Timestamp,
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
        self.records.lock().remove(uid);
    }

    /// The run's record: as known, or as it is read now.
    pub(crate) async fn record(&self, uid: &str, read: impl Future<Output = Result<Option<RunRecord>>>) -> Result<Option<Arc<RunRecord>>> {
        let known = self.records.lock().get(uid).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(record) = read.await?.map(Arc::new) else { return Ok(None) };
        self.keep_record(record.clone());
        Ok(Some(record))
    }

    pub(crate) fn keep_record(&self, record: Arc<RunRecord>) {
        self.records.lock().insert(record.uid.clone(), record);
    }

    /// Records how far the run is; none if nobody expects it to go on, since it has ended or waits for a person. Returns the last progress of the run of its kind
    /// and namespace that has gone without for the longest; none if there is no such run.
    pub(crate) fn set_progress(&self, run: &RunIdentity, mark: Option<Mark>, now: Timestamp) -> Option<Timestamp> {
        let mut all = self.progress.lock();
        let of = (run.namespace.clone(), run.kind);
        match mark {
            None => drop(all.remove(&run.uid)),
            Some(mark) => match all.get_mut(&run.uid) {
                Some(known) if known.mark == mark => {}
                _ => drop(all.insert(run.uid.clone(), Progressed { of: of.clone(), mark, at: now })),
            },
        }
        all.values().filter(|known| known.of == of).map(|known| known.at).min()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(uid: &str, kind: &'static str) -> RunIdentity {
        RunIdentity { kind, namespace: "shinan".into(), name: uid.into(), uid: uid.into(), repository: "main".into(), scope: Scope::of_city("p861", ["west"]) }
    }

    #[test]
    fn the_run_that_stands_still_for_the_longest_is_told_until_it_goes_on_or_ends() {
        let (cache, at) = (RunCache::default(), |second| Timestamp::from_second(second).unwrap());
        let (a, b, other) = (run("a", "Backup"), run("b", "Backup"), run("c", "Drill"));
        for (run, mark, now, oldest) in [
            (&a, Some((0, 0, 0)), 1, Some(1)),
            (&b, Some((0, 0, 0)), 5, Some(1)),
            (&other, Some((0, 0, 0)), 6, Some(6)),
            (&a, Some((0, 0, 0)), 7, Some(1)),
            (&a, Some((0, 0, 9)), 8, Some(5)),
            (&b, None, 9, Some(8)),
            (&b, Some((1, 0, 0)), 10, Some(8)),
            (&a, None, 11, Some(10)),
            (&b, None, 12, None),
        ] {
            assert_eq!(cache.set_progress(run, mark, at(now)), oldest.map(at), "at {now}");
        }
    }
}
