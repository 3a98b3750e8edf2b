//! What a repository remembers of its snapshots, so that a hub that knows nothing of them yet lets none go that an earlier one would have kept.
//!
//! How far a backup was proven, and until when a person keeps it, stand on its Backup on the hub. A hub that was lost takes that with it; whoever declares the same policies
//! on a new one must not have the last proven snapshot forgotten. The ledger only ever gives reasons to keep.

use super::{KeepReason, KnownSnapshot, RetentionPlan, Verdict};
use crate::ids::SnapshotId;
use jiff::Timestamp;
use p861_crds::protection::backup::VerificationLevel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where it is in the repository.
pub const KEY: &str = "p861/kept.json";
/// The form that is written.
const FORMAT_VERSION: u32 = 1;

/// What is remembered of one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remembered {
    /// How far it was proven, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<(VerificationLevel, Timestamp)>,
    /// Until when a person keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<Timestamp>,
}

/// What is remembered of the snapshots of one district.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// By restic's id.
    #[serde(default)]
    pub snapshots: BTreeMap<SnapshotId, Remembered>,
}

/// The ledgers of all districts that use a repository, by their namespaces on the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledgers {
    /// The form.
    pub format_version: u32,
    /// By district.
    #[serde(default)]
    pub districts: BTreeMap<String, Ledger>,
}

impl Ledgers {
    /// The same with the district's ledger as it is now; none if nothing changes.
    pub fn with(&self, district: &str, ledger: Ledger) -> Option<Self> {
        if self.districts.get(district).map_or(ledger.snapshots.is_empty(), |before| *before == ledger) {
            return None;
        }
        let mut renewed = self.clone();
        renewed.format_version = FORMAT_VERSION;
        renewed.districts.insert(district.to_owned(), ledger);
        Some(renewed)
    }
}

impl Ledger {
    /// What is remembered of a snapshot.
    pub fn of(&self, snapshot: &SnapshotId) -> Remembered {
        self.snapshots.get(snapshot).cloned().unwrap_or_default()
    }

    /// What is to be remembered now: proofs by which something stays, and the times until which people keep something. What is not in the repository any more is not
    /// remembered.
    pub fn now(known: &BTreeMap<String, Vec<KnownSnapshot>>, plans: &BTreeMap<String, RetentionPlan>) -> Self {
        let mut ledger = Self::default();
        for (application, snapshots) in known {
            let Some(plan) = plans.get(application) else { continue };
            for judged in &plan.judged {
                let Verdict::Keep(reasons) = &judged.verdict else { continue };
                let is_proof = reasons.iter().any(|reason| matches!(reason, KeepReason::NewestOfLevel { .. }));
                let keep_until = reasons.iter().find_map(|reason| if let KeepReason::Until { time } = reason { Some(*time) } else { None });
                let of_snapshot = snapshots.iter().find(|known| known.snapshot == judged.snapshot);
                let proof = of_snapshot.and_then(|known| known.proof).filter(|_| is_proof);
                if proof.is_some() || keep_until.is_some() {
                    ledger.snapshots.insert(judged.snapshot.clone(), Remembered { proof, keep_until });
                }
            }
        }
        ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::retention::{Hold, Terms};
    use jiff::tz::TimeZone;
    use p861_crds::Retention;

    fn time(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).expect("a time")
    }

    fn snapshot(id: &str, hour: i64, level: VerificationLevel, until: Option<i64>) -> KnownSnapshot {
        KnownSnapshot {
            snapshot: id.into(),
            backup: format!("backup-{id}"),
            time: time(hour),
            proof: Some((level, time(hour + 1))),
            flaw: None,
            holds: until.map(|hour| Hold::Until(time(hour))).into_iter().collect(),
            asked: None,
        }
    }

    #[test]
    fn a_hub_that_was_lost_takes_no_proof_and_no_promise_with_it() {
        let known = |proven: bool| {
            let all = [
                snapshot("probed", 1, VerificationLevel::Probed, None),
                snapshot("kept", 2, VerificationLevel::Stored, Some(1000)),
                snapshot("old", 3, VerificationLevel::Stored, None),
                snapshot("new", 4, VerificationLevel::Stored, None),
            ];
            let forgotten = |known: KnownSnapshot| KnownSnapshot { proof: None, holds: Vec::new(), ..known };
            let all: Vec<KnownSnapshot> = all.into_iter().map(|known| if proven { known } else { forgotten(known) }).collect();
            BTreeMap::from([("a".to_owned(), all)])
        };
        let terms = Terms { retention: Some(Retention { last: Some(1), ..Retention::default() }), zone: TimeZone::UTC };
        let plans = |known: &BTreeMap<String, Vec<KnownSnapshot>>| BTreeMap::from([("a".to_owned(), RetentionPlan::of(&known["a"], &terms, time(10)))]);
        let going = |plans: &BTreeMap<String, RetentionPlan>| -> Vec<String> { plans["a"].going().map(|(judged, _)| judged.snapshot.to_string()).collect() };

        let before = known(true);
        let ledger = Ledger::now(&before, &plans(&before));
        assert_eq!(going(&plans(&before)), ["old"]);
        assert_eq!(ledger.snapshots.keys().map(ToString::to_string).collect::<Vec<_>>(), ["kept", "new", "probed"]);

        let mut after = known(false);
        assert_eq!(going(&plans(&after)), ["old", "kept", "probed"], "without it");
        for known in after.get_mut("a").expect("a") {
            let remembered = ledger.of(&known.snapshot);
            known.proof = remembered.proof;
            known.holds.extend(remembered.keep_until.map(Hold::Until));
        }
        assert_eq!(going(&plans(&after)), ["old"], "with it");
        assert_eq!(Ledger::now(&after, &plans(&after)), ledger, "and it stays as it was");
    }

    #[test]
    fn a_ledger_is_written_only_when_it_changes_and_leaves_those_of_others_as_they_are() {
        let of = |id: &str| Ledger { snapshots: [(id.into(), Remembered { proof: None, keep_until: Some(time(5)) })].into() };
        let empty = Ledgers::default();
        assert_eq!(empty.with("shinan", Ledger::default()), None);
        let first = empty.with("shinan", of("a")).expect("new");
        assert_eq!(first.with("shinan", of("a")), None);
        let both = first.with("shibei", of("b")).expect("another");
        assert_eq!((&both.districts["shinan"], &both.districts["shibei"]), (&of("a"), &of("b")));
        let text = serde_json::to_string(&both).expect("JSON");
        assert_eq!(serde_json::from_str::<Ledgers>(&text).expect("a ledger"), both, "{text}");
    }
}
