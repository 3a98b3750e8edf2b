//! Which claims a mover can read. One that it can't read would keep a backup waiting until its deadline, so the backup says so before it reads anything.

use super::{backup::Claim, volumes::SavedBy};
use p861_crds::Reason;
use std::{collections::BTreeMap, fmt};

/// A claim as it stands on a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimState {
    /// The claim.
    pub claim: Claim,
    /// Its volume is a block device, not a file system.
    pub block: bool,
    /// Only one pod may have it (ReadWriteOncePod).
    pub single_pod: bool,
    /// Its phase, as the API server has it.
    pub phase: String,
    /// It is being deleted.
    pub deleting: bool,
    /// Its StorageClass; none if it names none.
    pub storage_class: Option<String>,
    /// Its PersistentVolume; none while it is not bound.
    pub volume: Option<String>,
    /// Its capacity in bytes, or what it asks for.
    pub bytes: u64,
    /// A pod that has it, as far as that was looked for: of claims that only one pod may have.
    pub used_by: Option<String>,
}

/// Why a mover can't read a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is a block device.
    Block,
    /// It is being deleted.
    Deleting,
    /// Its volume is gone.
    Lost,
    /// It has no volume yet, in that phase.
    Unbound(String),
    /// It is in use by this pod, and no other may have it.
    InUse(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("is a block device, which has no files: save what is on it with a stream"),
            Self::Deleting => f.write_str("is being deleted: wait for its end, or end what still uses it"),
            Self::Lost => f.write_str("has lost its volume: delete it, or bring the volume back"),
            Self::Unbound(phase) => write!(f, "is {phase} and has no volume yet: start what uses it, or delete it"),
            Self::InUse(pod) => write!(f, "is ReadWriteOncePod and in use by pod {pod}: save what is in it with a stream, or make it ReadWriteOnce"),
        }
    }
}

impl ClaimState {
    /// Why a mover can't read it; none if it can.
    pub fn unreadable(&self) -> Option<Unreadable> {
        if self.deleting {
            return Some(Unreadable::Deleting);
        }
        if self.block {
            return Some(Unreadable::Block);
        }
        match self.phase.as_str() {
            "Bound" => {}
            "Lost" => return Some(Unreadable::Lost),
            phase => return Some(Unreadable::Unbound(if phase.is_empty() { "Pending".into() } else { phase.into() })),
        }
        self.used_by.clone().filter(|_| self.single_pod).map(Unreadable::InUse)
    }
}

/// Claims of an application that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReadable {
    application: String,
    claims: Vec<(Claim, Unreadable)>,
}

impl NotReadable {
    /// The reason of the API.
    pub fn reason(&self) -> Reason {
        Reason::ClaimNotReadable
    }
}

impl std::error::Error for NotReadable {}

impl fmt::Display for NotReadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application {}: nothing is saved, because not everything can be: ", self.application)?;
        for (claim, why) in &self.claims {
            write!(f, "claim {}/{} {why}; ", claim.namespace, claim.name)?;
        }
        let (them, whose) = if self.claims.len() == 1 { ("it", "its name") } else { ("them", "their names") };
        write!(f, "or leave {them} out: {whose} in spec.volumes, with method Skip")
    }
}

/// Requires that every claim which is saved can be read. A snapshot is read through a claim of its own, whoever uses the claim that it is of.
///
/// # Errors
/// [`NotReadable`], with all that can't be.
pub fn require<'a>(application: &str, saved: &BTreeMap<Claim, SavedBy>, states: impl IntoIterator<Item = &'a ClaimState>) -> Result<(), NotReadable> {
    let unreadable = |state: &ClaimState| match (saved.get(&state.claim)?, state.unreadable()?) {
        (SavedBy::Snapshot { .. }, Unreadable::InUse(_)) => None,
        (SavedBy::Snapshot { .. } | SavedBy::Files, why) => Some((state.claim.clone(), why)),
    };
    let mut claims: Vec<(Claim, Unreadable)> = states.into_iter().filter_map(unreadable).collect();
    claims.sort_by(|(a, _), (b, _)| a.cmp(b));
    if claims.is_empty() { Ok(()) } else { Err(NotReadable { application: application.into(), claims }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(name: &str) -> ClaimState {
        let claim = Claim { namespace: "shinan-portal".into(), name: name.into() };
        let (storage_class, volume) = (Some("block".into()), Some("pv-1".into()));
        ClaimState { claim, block: false, single_pod: false, phase: "Bound".into(), deleting: false, storage_class, volume, bytes: 1 << 30, used_by: None }
    }

    fn saved(claims: &[&str], by: &SavedBy) -> BTreeMap<Claim, SavedBy> {
        claims.iter().map(|name| (bound(name).claim, by.clone())).collect()
    }

    #[test]
    fn fault_d5_a_claim_that_no_mover_can_read_is_named_before_anything_is_read() {
        let pod = || Some("db-0".to_owned());
        for (state, expected) in [
            (bound("c"), None),
            (ClaimState { used_by: pod(), ..bound("c") }, None),
            (ClaimState { single_pod: true, ..bound("c") }, None),
            (ClaimState { single_pod: true, used_by: pod(), ..bound("c") }, Some(Unreadable::InUse("db-0".into()))),
            (ClaimState { block: true, ..bound("c") }, Some(Unreadable::Block)),
            (ClaimState { deleting: true, ..bound("c") }, Some(Unreadable::Deleting)),
            (ClaimState { phase: "Lost".into(), ..bound("c") }, Some(Unreadable::Lost)),
            (ClaimState { phase: "Pending".into(), ..bound("c") }, Some(Unreadable::Unbound("Pending".into()))),
            (ClaimState { phase: String::new(), ..bound("c") }, Some(Unreadable::Unbound("Pending".into()))),
            (ClaimState { phase: "Later".into(), ..bound("c") }, Some(Unreadable::Unbound("Later".into()))),
        ] {
            assert_eq!(state.unreadable(), expected, "{state:?}");
            let required = require("portal", &saved(&["a", "c"], &SavedBy::Files), [&bound("a"), &state]);
            assert_eq!(required.is_err(), expected.is_some(), "{state:?}");
            let by_snapshot = require("portal", &saved(&["a", "c"], &SavedBy::Snapshot { class: "s".into() }), [&bound("a"), &state]);
            let in_use = matches!(expected, Some(Unreadable::InUse(_)));
            assert_eq!(by_snapshot.is_err(), expected.is_some() && !in_use, "{state:?}: a snapshot is read through a claim of its own");
            assert_eq!(require("portal", &saved(&["a"], &SavedBy::Files), [&bound("a"), &state]), Ok(()), "{state:?}: nobody asks for it");
        }
    }

    #[test]
    fn fault_d5_all_claims_that_cannot_be_read_are_named_with_what_to_do() {
        let states = [ClaimState { block: true, ..bound("disk") }, bound("files"), ClaimState { phase: "Pending".into(), ..bound("cache") }];
        let error = require("portal", &saved(&["disk", "files", "cache"], &SavedBy::Files), &states).expect_err("two can't be read");
        assert_eq!(error.reason(), Reason::ClaimNotReadable);
        assert_eq!(
            error.to_string(),
            "application portal: nothing is saved, because not everything can be: claim shinan-portal/cache is Pending and has no volume yet: start what uses \
             it, or delete it; claim shinan-portal/disk is a block device, which has no files: save what is on it with a stream; or leave them out: their names \
             in spec.volumes, with method Skip"
        );
    }
}
