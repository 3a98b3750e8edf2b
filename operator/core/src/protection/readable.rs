//! Which claims a mover can read. One that it can't read would keep a backup waiting until its deadline, so the backup names it before it reads anything, saves the
//! rest, and ends as failed. One that nothing has mounted yet has no files: it is named, and the backup is whole without them.

use super::{backup::Claim, volumes::SavedBy};
use crate::ids::SnapshotId;
use p861_crds::{ApplicationSpec, Backup, Reason, protection::backup::MissingClaim};
use std::{collections::BTreeMap, fmt};

/// A claim as it stands on a site.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of a claim, and all go together as they come")]
pub struct ClaimState {
    /// The claim.
    pub claim: Claim,
    /// Its volume is a block device, not a file system.
    pub block: bool,
    /// Only one pod may have it (ReadWriteOncePod).
    pub single_pod: bool,
    /// Pods on several nodes may have it (ReadWriteMany, ReadOnlyMany).
    pub shared: bool,
    /// Its phase, as the API server has it.
    pub phase: String,
    /// Its class makes its volume for the first pod that mounts it, and there was none yet.
    pub waits_for_first_pod: bool,
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
    /// The nodes that its volume can be mounted on don't run.
    pub node_down: Option<DownNode>,
}

/// The node that a claim is bound to, which doesn't run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownNode {
    /// The volume is on that node, and nowhere else.
    HasVolume(String),
    /// A pod on that node has the volume, and no other node can have it meanwhile.
    HasPod {
        /// The node.
        node: String,
        /// The pod.
        pod: String,
    },
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
    /// It has no volume, and never had: nothing has mounted it.
    Unused,
    /// It has no volume yet, in that phase.
    Unbound(String),
    /// It is in use by this pod, and no other may have it.
    InUse(String),
    /// Its node doesn't run.
    Down(DownNode),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("is a block device, which has no files: save what is on it with a stream"),
            Self::Deleting => f.write_str("is being deleted: wait for its end, or end what still uses it"),
            Self::Lost => f.write_str("has lost its volume: delete it, or bring the volume back"),
            Self::Unused => f.write_str("has no volume, because nothing has mounted it yet: start what uses it, or delete it"),
            Self::Unbound(phase) => write!(f, "is {phase} and has no volume yet: start what uses it, or delete it"),
            Self::InUse(pod) => write!(f, "is ReadWriteOncePod and in use by pod {pod}: save what is in it with a stream, or make it ReadWriteOnce"),
            Self::Down(DownNode::HasVolume(node)) => write!(f, "is on node {node}, which is not Ready: bring the node back, and back up again"),
            Self::Down(DownNode::HasPod { node, pod }) => write!(
                f,
                "is in use by pod {pod} on node {node}, which is not Ready: bring the node back, or taint it node.kubernetes.io/out-of-service if it is off, and back up again"
            ),
        }
    }
}

impl Unreadable {
    /// Whether nothing can be in it: it never had a volume.
    pub fn is_empty_claim(&self) -> bool {
        matches!(self, Self::Unused | Self::Unbound(_))
    }

    /// What a backup says of the claim.
    fn of_backup(&self, claim: &Claim) -> MissingClaim {
        let (reason, message) = match self {
            Self::Unused => (Reason::ClaimUnused, "it had no volume when the backup was taken: nothing had mounted it yet".to_owned()),
            why => (Reason::ClaimNotReadable, why.to_string()),
        };
        MissingClaim { claim: format!("{}/{}", claim.namespace, claim.name), reason: reason.to_string(), message }
    }
}

/// Whether a backup is whole without the files of this claim: there were none.
pub fn is_unused(missing: &MissingClaim) -> bool {
    missing.reason == Reason::ClaimUnused.as_str()
}

/// The claims that had no files when a snapshot was taken, as its Backup says.
pub fn unused_in(backups: &[Backup], snapshot: &SnapshotId) -> Vec<MissingClaim> {
    let of_snapshot = |backup: &&Backup| backup.status.as_ref().is_some_and(|status| status.snapshot_id.as_deref() == Some(snapshot.as_str()));
    let contents = backups.iter().find(of_snapshot).and_then(|backup| backup.status.as_ref()?.contents.as_ref());
    contents.into_iter().flat_map(|contents| &contents.missing_claims).filter(|missing| is_unused(missing)).cloned().collect()
}

impl ClaimState {
    /// Why a mover can't read it; none if it can.
    pub fn unreadable(&self) -> Option<Unreadable> {
        if self.deleting {
            return Some(Unreadable::Deleting);
        }
        if self.waits_for_first_pod && self.volume.is_none() && matches!(self.phase.as_str(), "" | "Pending") {
            return Some(Unreadable::Unused);
        }
        if self.block {
            return Some(Unreadable::Block);
        }
        match self.phase.as_str() {
            "Bound" => {}
            "Lost" => return Some(Unreadable::Lost),
            phase => return Some(Unreadable::Unbound(if phase.is_empty() { "Pending".into() } else { phase.into() })),
        }
        let down = self.node_down.clone().map(Unreadable::Down);
        down.or_else(|| self.used_by.clone().filter(|_| self.single_pod).map(Unreadable::InUse))
    }
}

/// None of an application's data can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReadable {
    application: String,
    claims: Vec<MissingClaim>,
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
        write!(f, "application {}: nothing is saved, because none of its data can be read: ", self.application)?;
        for missing in &self.claims {
            write!(f, "claim {} {}; ", missing.claim, missing.message)?;
        }
        let (them, whose) = if self.claims.len() == 1 { ("it", "its name") } else { ("them", "their names") };
        write!(f, "or leave {them} out: {whose} in spec.volumes, with method Skip")
    }
}

/// The claims that are to be saved and can't be read, or were never used, each with the reason, in order. A snapshot is read through a claim of its own, whoever uses the claim that it
/// is of.
///
/// # Errors
/// [`NotReadable`], if no claim can be read and the application has no stream: then the backup would hold none of its data. Claims that were never used have none.
pub fn missing<'a>(
    application: &str,
    spec: &ApplicationSpec,
    saved: &BTreeMap<Claim, SavedBy>,
    states: impl IntoIterator<Item = &'a ClaimState>,
) -> Result<BTreeMap<Claim, MissingClaim>, NotReadable> {
    let unreadable = |state: &ClaimState| match (saved.get(&state.claim)?, state.unreadable()?) {
        (SavedBy::Snapshot { .. }, Unreadable::InUse(_) | Unreadable::Down(DownNode::HasPod { .. })) => None,
        (SavedBy::Snapshot { .. } | SavedBy::Files, why) => Some((state.claim.clone(), why.of_backup(&state.claim))),
    };
    let missing: BTreeMap<Claim, MissingClaim> = states.into_iter().filter_map(unreadable).collect();
    let is_all = missing.len() == saved.len() && spec.streams.is_empty();
    let unread: Vec<MissingClaim> = missing.values().filter(|missing| !is_unused(missing)).cloned().collect();
    if is_all && !unread.is_empty() {
        return Err(NotReadable { application: application.into(), claims: unread });
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bound(name: &str) -> ClaimState {
        let claim = Claim { namespace: "shinan-portal".into(), name: name.into() };
        ClaimState {
            claim,
            block: false,
            single_pod: false,
            shared: false,
            phase: "Bound".into(),
            waits_for_first_pod: false,
            deleting: false,
            storage_class: Some("block".into()),
            volume: Some("pv-1".into()),
            bytes: 1 << 30,
            used_by: None,
            node_down: None,
        }
    }

    fn spec(streams: &[&str]) -> ApplicationSpec {
        let stream = |name: &&str| json!({"name": name, "workloadRef": {"kind": "StatefulSet", "name": "db"}, "dump": ["d"], "restore": ["r"]});
        let streams: Vec<_> = streams.iter().map(stream).collect();
        serde_json::from_value(json!({"department": "d", "namespaces": ["shinan-portal"], "streams": streams})).expect("a spec")
    }

    fn saved(claims: &[&str], by: &SavedBy) -> BTreeMap<Claim, SavedBy> {
        claims.iter().map(|name| (bound(name).claim, by.clone())).collect()
    }

    #[test]
    fn fault_d5_a_claim_that_no_mover_can_read_is_named_before_anything_is_read_and_the_others_are_saved() {
        let pod = || Some("db-0".to_owned());
        let volume_down = || DownNode::HasVolume("n1".into());
        let pod_down = || DownNode::HasPod { node: "n1".into(), pod: "db-0".into() };
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
            (ClaimState { node_down: Some(volume_down()), ..bound("c") }, Some(Unreadable::Down(volume_down()))),
            (ClaimState { node_down: Some(pod_down()), ..bound("c") }, Some(Unreadable::Down(pod_down()))),
        ] {
            assert_eq!(state.unreadable(), expected, "{state:?}");
            let named = |claims: &[&str], by: &SavedBy| {
                let missing = missing("portal", &spec(&[]), &saved(claims, by), [&bound("a"), &state]).expect("claim a can be read");
                missing.into_values().map(|missing| (missing.claim, missing.message)).collect::<Vec<_>>()
            };
            let all: Vec<(String, String)> = expected.iter().map(|why| ("shinan-portal/c".to_owned(), why.to_string())).collect();
            assert_eq!(named(&["a", "c"], &SavedBy::Files), all, "{state:?}");
            let in_use = matches!(expected, Some(Unreadable::InUse(_) | Unreadable::Down(DownNode::HasPod { .. })));
            let of_snapshot = if in_use { Vec::new() } else { all };
            assert_eq!(named(&["a", "c"], &SavedBy::Snapshot { class: "s".into() }), of_snapshot, "{state:?}: a snapshot is read through a claim of its own");
            assert_eq!(named(&["a"], &SavedBy::Files), [], "{state:?}: nobody asks for it");
        }
    }

    #[test]
    fn a_claim_that_nothing_has_mounted_yet_has_no_files_and_the_backup_is_whole_without_them() {
        let unused = |name: &str| ClaimState { phase: "Pending".into(), volume: None, waits_for_first_pod: true, ..bound(name) };
        for (state, expected) in [
            (unused("c"), Some(Unreadable::Unused)),
            (ClaimState { phase: String::new(), ..unused("c") }, Some(Unreadable::Unused)),
            (ClaimState { block: true, ..unused("c") }, Some(Unreadable::Unused)),
            (ClaimState { waits_for_first_pod: false, ..unused("c") }, Some(Unreadable::Unbound("Pending".into()))),
            (ClaimState { volume: Some("pv-1".into()), ..unused("c") }, Some(Unreadable::Unbound("Pending".into()))),
            (ClaimState { phase: "Lost".into(), ..unused("c") }, Some(Unreadable::Lost)),
            (ClaimState { deleting: true, ..unused("c") }, Some(Unreadable::Deleting)),
            (ClaimState { waits_for_first_pod: true, ..bound("c") }, None),
        ] {
            assert_eq!(state.unreadable(), expected, "{state:?}");
        }
        let of = |states: &[ClaimState], claims: &[&str]| missing("portal", &spec(&[]), &saved(claims, &SavedBy::Files), states);
        let beside = of(&[bound("a"), unused("c")], &["a", "c"]).expect("claim a can be read");
        let told: Vec<_> =
            beside.values().map(|missing| (missing.claim.as_str(), missing.reason.as_str(), missing.message.as_str(), is_unused(missing))).collect();
        assert_eq!(told, [("shinan-portal/c", "ClaimUnused", "it had no volume when the backup was taken: nothing had mounted it yet", true)]);
        assert_eq!(of(&[unused("c")], &["c"]).map(|missing| missing.len()), Ok(1), "there are no data besides: the objects are saved");
        let error = of(&[unused("c"), ClaimState { block: true, ..bound("disk") }], &["c", "disk"]).expect_err("what has data can't be read").to_string();
        assert!(error.contains("claim shinan-portal/disk is a block device") && !error.contains("shinan-portal/c"), "{error}");
    }

    #[test]
    fn fault_d5_a_backup_is_refused_only_if_none_of_the_data_can_be_read_and_names_all_claims_with_what_to_do() {
        let states = [ClaimState { block: true, ..bound("disk") }, ClaimState { phase: "Pending".into(), ..bound("cache") }, bound("files")];
        let of = |streams: &[&str], claims: &[&str]| missing("portal", &spec(streams), &saved(claims, &SavedBy::Files), &states);
        for (case, streams, claims, expected) in [
            ("a claim can be read", &[][..], &["disk", "cache", "files"][..], Some(2)),
            ("a stream can be saved", &["db"], &["disk", "cache"], Some(2)),
            ("nothing is asked for", &[], &[], Some(0)),
            ("all can be read", &[], &["files"], Some(0)),
            ("none can be read", &[], &["disk", "cache"], None),
        ] {
            assert_eq!(of(streams, claims).ok().map(|missing| missing.len()), expected, "{case}");
        }
        let error = of(&[], &["disk", "cache"]).expect_err("none can be read");
        assert_eq!(error.reason(), Reason::ClaimNotReadable);
        assert_eq!(
            error.to_string(),
            "application portal: nothing is saved, because none of its data can be read: claim shinan-portal/cache is Pending and has no volume yet: start what \
             uses it, or delete it; claim shinan-portal/disk is a block device, which has no files: save what is on it with a stream; or leave them out: their \
             names in spec.volumes, with method Skip"
        );
    }
}
