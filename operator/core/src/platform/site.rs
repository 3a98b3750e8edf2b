//! Whether a site can be used, from what its API server answered.

use crate::{conditions::ConditionUpdate, quantity, told::Noun};
use p861_crds::{
    ConditionType, Reason, SiteStatus,
    common::Quantity,
    platform::site::{Capacity, NodeCounts},
};

/// The oldest minor version of Kubernetes 1.x that serves the rules of our kinds.
pub const MIN_KUBERNETES_MINOR: u32 = 33;

/// A node of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its Ready condition is True.
    pub ready: bool,
    /// A ticket works on it.
    pub in_maintenance: bool,
    /// What it offers to pods: `cpu`, `memory` and `pods`, as Kubernetes writes them. What can't be read counts nothing.
    pub allocatable: [Option<String>; 3],
}

/// A site that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSeen {
    /// UID of the cluster: that of its namespace kube-system.
    pub uid: String,
    /// Version of the API server, for example `v1.36.3`.
    pub version: String,
    /// Its nodes.
    pub nodes: Vec<NodeSeen>,
}

impl SiteSeen {
    /// Its nodes that are not ready because a ticket works on them, so that nobody need be called for them.
    pub fn in_maintenance(&self) -> usize {
        self.nodes.iter().filter(|node| node.in_maintenance && !node.ready).count()
    }
}

/// A site that didn't answer: reason of the API, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteUnseen {
    /// The reason.
    pub reason: Reason,
    /// The message.
    pub message: String,
}

/// The status and conditions that follow. The status keeps what was known of a site that doesn't answer, or that is another cluster than before.
pub fn decide(name: &str, before: &SiteStatus, seen: &Result<SiteSeen, SiteUnseen>) -> (SiteStatus, Vec<ConditionUpdate>) {
    let neither = |reason: Reason, message: String| {
        vec![ConditionUpdate::bad(ConditionType::Reachable, reason.clone(), message.clone()), ConditionUpdate::bad(ConditionType::Ready, reason, message)]
    };
    let seen = match seen {
        Ok(seen) => seen,
        Err(unseen) => return (before.clone(), neither(unseen.reason.clone(), unseen.message.clone())),
    };
    if let Some(pinned) = before.cluster_uid.as_ref().filter(|pinned| **pinned != seen.uid) {
        let message = format!("site {name} is cluster {pinned}, but its kubeconfig leads to cluster {}: correct the Secret, or make a new Site", seen.uid);
        return (before.clone(), neither(Reason::ClusterChanged, message));
    }
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let ready = seen.nodes.iter().filter(|node| node.ready).count();
    let mut status = before.clone();
    status.cluster_uid = Some(seen.uid.clone());
    status.kubernetes_version = Some(seen.version.clone());
    status.nodes = Some(NodeCounts { total: count(seen.nodes.len()), ready: count(ready) });
    status.allocatable = Some(allocatable(&seen.nodes));
    (status, vec![ConditionUpdate::good(ConditionType::Reachable, Reason::Answers, "the API server answers"), supported(seen, ready)])
}

fn supported(seen: &SiteSeen, ready: usize) -> ConditionUpdate {
    let minor = seen.version.trim_start_matches('v').split('.').nth(1).and_then(|minor| minor.trim_end_matches('+').parse::<u32>().ok());
    // A version that can't be read is no reason to stop using a site that answers.
    if minor.is_none_or(|minor| minor >= MIN_KUBERNETES_MINOR) {
        return ConditionUpdate::good(ConditionType::Ready, Reason::AsDeclared, format!("{ready} of {} ready", Noun::Node.count(seen.nodes.len())));
    }
    let message = format!("Kubernetes {} is older than 1.{MIN_KUBERNETES_MINOR}, which the kinds' rules need: upgrade the cluster", seen.version);
    ConditionUpdate::bad(ConditionType::Ready, Reason::VersionUnsupported, message)
}

fn allocatable(nodes: &[NodeSeen]) -> Capacity {
    let sum = |at: usize| -> u64 {
        let values = nodes.iter().filter(|node| node.ready).filter_map(|node| node.allocatable[at].as_deref());
        let thousandths: i128 = values.filter_map(|text| quantity::Quantity::parse(text).ok()).map(super::super::quantity::Quantity::thousandths).sum();
        u64::try_from(thousandths / 1000).unwrap_or(0)
    };
    Capacity { cpu: Quantity(sum(0).to_string()), memory: Quantity(quantity::print_bytes(sum(1))), pods: Quantity(sum(2).to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: bool) -> NodeSeen {
        NodeSeen { ready, in_maintenance: false, allocatable: ["3500m", "1Gi", "110"].map(|text| Some(text.to_owned())) }
    }

    fn seen(uid: &str, version: &str) -> SiteSeen {
        SiteSeen { uid: uid.into(), version: version.into(), nodes: vec![node(true), node(true), node(false)] }
    }

    #[test]
    fn a_site_is_ready_if_it_answers_is_the_same_cluster_and_new_enough() {
        let silent = Err(SiteUnseen { reason: Reason::Unreachable, message: "no answer".into() });
        for (case, pinned, seen, reachable, ready) in [
            ("first seen", None, Ok(seen("a", "v1.36.3")), "Answers", "AsDeclared"),
            ("seen again", Some("a"), Ok(seen("a", "v1.36.3")), "Answers", "AsDeclared"),
            ("the oldest", Some("a"), Ok(seen("a", "v1.33.0")), "Answers", "AsDeclared"),
            ("a provider's version", Some("a"), Ok(seen("a", "1.34+")), "Answers", "AsDeclared"),
            ("an unreadable version", Some("a"), Ok(seen("a", "main")), "Answers", "AsDeclared"),
            ("too old", Some("a"), Ok(seen("a", "v1.32.9")), "Answers", "VersionUnsupported"),
            ("another cluster", Some("a"), Ok(seen("b", "v1.36.3")), "ClusterChanged", "ClusterChanged"),
            ("silent", Some("a"), silent, "Unreachable", "Unreachable"),
        ] {
            let before = SiteStatus { cluster_uid: pinned.map(str::to_owned), ..SiteStatus::default() };
            let (status, updates) = decide("home", &before, &seen);
            let told: Vec<(&str, &str, bool)> = updates.iter().map(|it| (it.kind.as_str(), it.reason.as_str(), it.holds())).collect();
            assert_eq!(told, [("Reachable", reachable, reachable == "Answers"), ("Ready", ready, ready == "AsDeclared")], "{case}");
            assert_eq!(status.cluster_uid.as_deref(), Some("a"), "{case}: a site stays the cluster that it was");
            assert_eq!(status.nodes.is_some(), reachable == "Answers", "{case}");
        }
    }

    #[test]
    fn fault_e8_a_node_that_a_ticket_works_on_is_missed_by_nobody() {
        let mut site = seen("a", "v1.36.3");
        assert_eq!(site.in_maintenance(), 0);
        site.nodes.iter_mut().for_each(|node| node.in_maintenance = true);
        assert_eq!(site.in_maintenance(), 1, "those that are ready are not missing");
    }

    #[test]
    fn only_ready_nodes_offer_anything() {
        let (status, _) = decide("home", &SiteStatus::default(), &Ok(seen("a", "v1.36.3")));
        let offered = status.allocatable.map(|capacity| [capacity.cpu.0, capacity.memory.0, capacity.pods.0]);
        assert_eq!(offered, Some(["7", "2048Mi", "220"].map(str::to_owned)));
        assert_eq!(status.nodes.map(|nodes| (nodes.ready, nodes.total)), Some((2, 3)));
    }
}
