//! The steps of a run that thins out a repository, and what it is told to do.

use crate::{
    engine::{Plan, Retry, Step},
    ids::SiteName,
    protection::retention::{Flaw, ForgetReason, Judged, RetentionPlan},
    runs::{Action, CompileError, MoverTask, SnapshotToForget, StepKey},
    time::parse_duration,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{Backup, protection::retention::RetentionWork};
use std::collections::{BTreeMap, BTreeSet};

/// Most snapshots that one run forgets. What is left goes with the next.
pub const MAX_SNAPSHOTS: usize = 1_000;
/// A pack stays marked at least so long, even where backups may only take minutes: with one night between, what was forgotten by mistake comes back the next day.
pub const LEAST_DELAY: SignedDuration = SignedDuration::from_hours(23);
/// A backup that has its snapshot sealed at the last moment of its deadline may be late by so much.
const SLACK: SignedDuration = SignedDuration::from_hours(1);
/// Most bytes that a prune writes anew. It costs as much reading, and backups wait meanwhile.
const MAX_REPACK_BYTES: u64 = 2 << 30;
/// How long an attempt may take. One that is cut off loses nothing: the next goes on where it was.
const DEADLINE: SignedDuration = SignedDuration::from_hours(1);
/// How long the removal of its mover may take.
const CLEAN_UP_DEADLINE: SignedDuration = SignedDuration::from_mins(2);
/// Memory of a prune's mover: it holds the index of the whole repository, which is about 1 GiB for each TiB that is stored.
const LEAST_MEMORY_GIB: u64 = 1;
const MOST_MEMORY_GIB: u64 = 16;

/// What the steps follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// The district's namespace on the hub.
    pub district: String,
    /// The site on which its mover runs.
    pub site: SiteName,
    /// The namespace there.
    pub namespace: String,
    /// What it does.
    pub ordered: Ordered,
}

/// What a run is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// To forget these.
    Forget {
        /// When that was decided.
        at: Timestamp,
        /// The snapshots.
        snapshots: Vec<SnapshotToForget>,
    },
    /// To prune.
    Prune {
        /// How long something stays marked.
        delay: SignedDuration,
        /// Memory limit of its mover.
        memory_limit: String,
    },
}

impl Ordered {
    /// What it does, in one word.
    pub fn work(&self) -> RetentionWork {
        match self {
            Self::Forget { .. } => RetentionWork::Forget,
            Self::Prune { .. } => RetentionWork::Prune,
        }
    }
}

/// The steps.
///
/// # Errors
/// Never in practice: if they are no plan.
pub fn compile(facts: &RunFacts) -> Result<Plan<Action>, CompileError> {
    let (key, task) = match &facts.ordered {
        Ordered::Forget { at, snapshots } => (StepKey::Forget, MoverTask::Forget { district: facts.district.clone(), at: *at, snapshots: snapshots.clone() }),
        Ordered::Prune { delay, memory_limit } => {
            (StepKey::Prune, MoverTask::Prune { delay: *delay, max_repack_bytes: MAX_REPACK_BYTES, memory_limit: memory_limit.clone() })
        }
    };
    let (site, namespace) = (facts.site.clone(), facts.namespace.clone());
    let moves = Action::Move { site: site.clone(), namespace: namespace.clone(), claim: None, namespaces: Vec::new(), task };
    let removes = Action::RemoveMovers { site, namespaces: vec![namespace] };
    let steps = vec![Step::new(key.id()?, moves, DEADLINE).retry(Retry::times(3)), Step::new(StepKey::CleanUp.id()?, removes, CLEAN_UP_DEADLINE).finally()];
    Ok(Plan::new(steps)?)
}

/// How long packs stay marked: longer than any backup may take that the district has, or had within a day.
pub fn delay(backups: &[Backup]) -> SignedDuration {
    let longest = backups.iter().filter_map(|backup| parse_duration(&backup.spec.deadline.0).ok()).max().unwrap_or_default();
    longest.saturating_add(SLACK).max(LEAST_DELAY)
}

/// Memory limit of a prune's mover, by the bytes that are stored.
pub fn memory_limit(stored: u64) -> String {
    format!("{}Gi", (LEAST_MEMORY_GIB + (stored >> 40)).min(MOST_MEMORY_GIB))
}

/// What a run forgets, of all plans: those that people have asked for first, then the oldest.
pub fn order(plans: &BTreeMap<String, RetentionPlan>, on_hub: &BTreeSet<String>) -> Vec<SnapshotToForget> {
    let mut going: Vec<(&str, &Judged, &ForgetReason)> =
        plans.iter().flat_map(|(application, plan)| plan.going().map(move |(judged, reason)| (application.as_str(), judged, reason))).collect();
    let is_asked = |reason: &ForgetReason| matches!(reason, ForgetReason::Asked { .. });
    going.sort_by(|(_, a, of_a), (_, b, of_b)| (!is_asked(of_a), a.time, &a.snapshot).cmp(&(!is_asked(of_b), b.time, &b.snapshot)));
    let named = |(application, judged, reason): (&str, &Judged, &ForgetReason)| SnapshotToForget {
        snapshot: judged.snapshot.clone(),
        application: application.to_owned(),
        backup: Some(judged.backup.clone()).filter(|backup| on_hub.contains(backup)),
        why: why(reason),
    };
    going.into_iter().take(MAX_SNAPSHOTS).map(named).collect()
}

/// Why a snapshot goes, for its record and its Backup.
pub fn why(reason: &ForgetReason) -> String {
    match reason {
        ForgetReason::NoPlace => "retention has no place for it; this shows what stays: p861 backup retention".into(),
        ForgetReason::Flawed { flaw: Flaw::Damaged } => "it was found damaged, and a sound one is newer".into(),
        ForgetReason::Flawed { flaw: Flaw::Partial } => "it lacks something, and a sound one is newer".into(),
        ForgetReason::Flawed { flaw: Flaw::HalfRestored } => "it holds a mixture, and a sound one is newer".into(),
        ForgetReason::Asked { by, reason } => {
            let by = by.as_deref().unwrap_or("somebody");
            format!("{by} has asked for it: {}", reason.as_deref().unwrap_or("no reason was given"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::retention::Verdict;
    use serde_json::json;

    fn facts(ordered: Ordered) -> RunFacts {
        RunFacts { district: "shinan".into(), site: "hill".into(), namespace: "shinan-portal".into(), ordered }
    }

    #[test]
    fn a_run_does_one_thing_and_removes_its_mover_however_that_ends() {
        let snapshot = SnapshotToForget { snapshot: "5a1f".into(), application: "portal".into(), backup: None, why: "it was asked for".into() };
        let forget = facts(Ordered::Forget { at: Timestamp::UNIX_EPOCH, snapshots: vec![snapshot] });
        let prune = facts(Ordered::Prune { delay: LEAST_DELAY, memory_limit: "1Gi".into() });
        for (facts, key) in [(forget, "forget"), (prune, "prune")] {
            let plan = compile(&facts).expect("a plan");
            let ids: Vec<&str> = plan.steps().iter().map(|step| step.id.as_str()).collect();
            assert_eq!(ids, [key, "clean-up"]);
            assert!(plan.steps()[1].finally && !plan.steps()[0].finally);
            assert!(matches!(&plan.steps()[0].action, Action::Move { task, .. } if task.removes_data()), "{key}");
        }
    }

    #[test]
    fn packs_stay_marked_for_longer_than_any_backup_may_take_and_at_least_for_a_day() {
        let backup = |deadline: &str| -> Backup {
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
                "spec": {"applicationRef": {"name": "a"}, "deadline": deadline}}))
            .expect("a backup")
        };
        for (deadlines, hours) in [(vec![], 23), (vec!["6h"], 23), (vec!["6h", "48h", "10m"], 49), (vec!["nonsense"], 23)] {
            let backups: Vec<Backup> = deadlines.iter().map(|deadline| backup(deadline)).collect();
            assert_eq!(delay(&backups), SignedDuration::from_hours(hours), "{deadlines:?}");
        }
    }

    #[test]
    fn the_mover_of_a_prune_has_as_much_memory_as_the_index_needs_within_a_bound() {
        let tib = 1_u64 << 40;
        let limits = [0, tib - 1, tib, 5 * tib, u64::MAX].map(memory_limit);
        assert_eq!(limits, ["1Gi", "1Gi", "2Gi", "6Gi", "16Gi"]);
    }

    #[test]
    fn what_people_have_asked_for_goes_first_and_then_the_oldest_up_to_a_bound() {
        let judged = |id: &str, hour: i64, reason: ForgetReason| Judged {
            snapshot: id.into(),
            backup: format!("backup-{id}"),
            time: Timestamp::from_second(hour * 3600).expect("a time"),
            level: None,
            verdict: Verdict::Forget(reason),
        };
        let asked = ForgetReason::Asked { by: Some("hong".into()), reason: Some("test data".into()) };
        let a = RetentionPlan { judged: vec![judged("a2", 9, ForgetReason::NoPlace), judged("a1", 5, ForgetReason::Flawed { flaw: Flaw::Partial })] };
        let b = RetentionPlan { judged: vec![judged("b2", 8, asked), judged("b1", 4, ForgetReason::NoPlace)] };
        let ordered = order(&BTreeMap::from([("a".into(), a), ("b".into(), b)]), &BTreeSet::from(["backup-b2".to_owned()]));
        let names: Vec<_> = ordered.iter().map(|one| (one.snapshot.as_str(), one.application.as_str(), one.backup.as_deref())).collect();
        assert_eq!(names, [("b2", "b", Some("backup-b2")), ("b1", "b", None), ("a1", "a", None), ("a2", "a", None)]);
        assert_eq!(ordered[0].why, "hong has asked for it: test data");

        let many = RetentionPlan { judged: (0..2_000).map(|number| judged(&format!("{number:04}"), number, ForgetReason::NoPlace)).collect() };
        assert_eq!(order(&BTreeMap::from([("a".into(), many)]), &BTreeSet::new()).len(), MAX_SNAPSHOTS);
    }
}
