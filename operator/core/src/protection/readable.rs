//! Which claims a mover can read. One that it can't read would keep a backup waiting until its deadline, so the backup names it before it reads anything, saves the
//! rest, and ends as failed.

use super::{backup::Claim, volumes::SavedBy};
use p861_crds::{ApplicationSpec, Reason, protection::backup::MissingClaim};
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
        matches!(self, Self::Unbound(_))
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

/// The claims that are to be saved and can't be read, each with the reason, in order. A snapshot is read through a claim of its own, whoever uses the claim that it
/// is of.
///
/// # Errors
/// [`NotReadable`], if no claim can be read and the application has no stream: then the backup would hold none of its data.
pub fn missing<'a>(
    application: &str,
    spec: &ApplicationSpec,
    saved: &BTreeMap<Claim, SavedBy>,
    states: impl IntoIterator<Item = &'a ClaimState>,
) -> Result<BTreeMap<Claim, MissingClaim>, NotReadable> {
    let unreadable = |state: &ClaimState| match (saved.get(&state.claim)?, state.unreadable()?) {
        (SavedBy::Snapshot { .. }, Unreadable::InUse(_) | Unreadable::Down(DownNode::HasPod { .. })) => None,
        (SavedBy::Snapshot { .. } | SavedBy::Files, why) => {
            let (claim, reason) = (format!("{}/{}", state.claim.namespace, state.claim.name), Reason::ClaimNotReadable.to_string());
            Some((state.claim.clone(), MissingClaim { claim, reason, message: why.to_string() }))
        }
    };
    let missing: BTreeMap<Claim, MissingClaim> = states.into_iter().filter_map(unreadable).collect();
    if !missing.is_empty() && missing.len() == saved.len() && spec.streams.is_empty() {
        return Err(NotReadable { application: application.into(), claims: missing.into_values().collect() });
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
