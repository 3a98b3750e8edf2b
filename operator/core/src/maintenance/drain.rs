//! Which pods leave a node that is drained, which stay, and what would be lost with those that leave. The rules are those of `kubectl drain --ignore-daemonsets`.

use crate::conditions::ConditionUpdate;
use p861_crds::{ConditionType, Reason};
use serde::{Deserialize, Serialize};

/// Most pods that one sentence names.
const MAX_NAMED_PODS: usize = 5;

/// What a change agrees to lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DrainConsent {
    /// The data of `emptyDir` volumes.
    pub delete_empty_dir_data: bool,
    /// Pods without a controller.
    pub force: bool,
}

impl DrainConsent {
    /// Whether nothing may be lost.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A pod of a node, as far as a drain needs it.
#[expect(clippy::struct_excessive_bools, reason = "each is one fact about a pod")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePod {
    /// Namespace and name, `namespace/name`.
    pub name: String,
    /// The node's own: the API server only mirrors it.
    pub mirror: bool,
    /// It has succeeded or failed.
    pub ended: bool,
    /// Kind of its controller; none if it has none.
    pub controller: Option<String>,
    /// It tolerates a cordoned node, so its controller's next pod could come back at once.
    pub tolerates_cordon: bool,
    /// It has an `emptyDir` volume.
    pub empty_dir: bool,
}

/// What a drain does with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It leaves.
    Leaves,
    /// It belongs to the node.
    Stays,
    /// It would come back at once, so it stays.
    WouldReturn,
    /// It stays, because something of it would be lost that the change doesn't agree to lose.
    Kept(Loss),
}

/// What is lost with a pod that leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// The data of its `emptyDir` volumes.
    pub data: bool,
    /// The pod itself: nothing starts it again.
    pub pod: bool,
}

/// What is lost with the pod if it leaves.
fn loss(pod: &NodePod) -> Loss {
    // What has ended has no use for its data, and nobody waits for it.
    Loss { data: pod.empty_dir && !pod.ended, pod: pod.controller.is_none() && !pod.ended }
}

/// What a drain does with a pod.
pub fn fate(pod: &NodePod, consent: DrainConsent) -> Fate {
    if pod.mirror {
        return Fate::Stays;
    }
    if pod.ended {
        return Fate::Leaves;
    }
    match pod.controller.as_deref() {
        Some("DaemonSet") => return Fate::Stays,
        Some(_) if pod.tolerates_cordon => return Fate::WouldReturn,
        Some(_) | None => {}
    }
    let loss = loss(pod);
    let refused = Loss { data: loss.data && !consent.delete_empty_dir_data, pod: loss.pod && !consent.force };
    if refused == Loss::default() { Fate::Leaves } else { Fate::Kept(refused) }
}

/// What a drain of a node does, before it begins. Pods are named `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainLook {
    /// Number of pods that leave.
    pub leaving: u64,
    /// Pods that stay because they would come back at once.
    pub returning: Vec<String>,
    /// Pods whose `emptyDir` data is deleted.
    pub local_data: Vec<String>,
    /// Pods that nothing starts again.
    pub unmanaged: Vec<String>,
    /// Whether the change does not agree to one of these losses.
    pub refused: bool,
    consent: DrainConsent,
}

impl DrainLook {
    /// Looks at the pods of a node.
    pub fn of(pods: &[NodePod], consent: DrainConsent) -> Self {
        let mut look = Self { consent, ..Self::default() };
        for pod in pods {
            match fate(pod, consent) {
                Fate::Stays => continue,
                Fate::WouldReturn => {
                    look.returning.push(pod.name.clone());
                    continue;
                }
                Fate::Leaves => look.leaving += 1,
                Fate::Kept(_) => look.refused = true,
            }
            let loss = loss(pod);
            if loss.data {
                look.local_data.push(pod.name.clone());
            }
            if loss.pod {
                look.unmanaged.push(pod.name.clone());
            }
        }
        look
    }

    /// Why something is lost, or would be: what the change doesn't agree to comes first. None if nothing is.
    pub fn loss(&self) -> Option<Reason> {
        let pods = (!self.unmanaged.is_empty(), self.consent.force, Reason::PodUnmanaged);
        let data = (!self.local_data.is_empty(), self.consent.delete_empty_dir_data, Reason::PodHasLocalData);
        let mut lost: Vec<(bool, Reason)> = [pods, data].into_iter().filter_map(|(is_lost, agreed, reason)| is_lost.then_some((agreed, reason))).collect();
        lost.sort_by_key(|(agreed, _)| *agreed);
        lost.into_iter().next().map(|(_, reason)| reason)
    }

    /// What is lost, what is refused, and what to do; none if nothing is lost and every pod leaves that can.
    pub fn words(&self) -> Option<String> {
        let Self { returning, local_data, unmanaged, consent, .. } = self;
        let mut said = Vec::new();
        if !unmanaged.is_empty() {
            let pods = named(unmanaged);
            said.push(if consent.force {
                format!("no controller makes pod {pods} anew: gone for good after the drain")
            } else {
                format!("no controller would make pod {pods} anew: delete it first, give it one, or open the change with drainNode.force (--force)")
            });
        }
        if !local_data.is_empty() {
            let pods = named(local_data);
            said.push(if consent.delete_empty_dir_data {
                format!("the emptyDir data of pod {pods} is deleted by the drain")
            } else {
                format!(
                    "pod {pods} has emptyDir data, which a drain deletes: open the change with drainNode.deleteEmptyDirData (--delete-emptydir-data) if nobody needs it"
                )
            });
        }
        if !returning.is_empty() {
            said.push(format!("pod {} tolerates a cordoned node and stays", named(returning)));
        }
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// What a drain would do to what runs on a node now, for those who are to agree to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainOutlook {
    /// Nothing is lost; which pods stay all the same, if any.
    Safe(Option<String>),
    /// Something is lost, or the drain would be refused.
    Unsafe(Reason, String),
    /// There is no such node.
    Missing(String),
    /// It can't be looked at now.
    Unseen(Reason, String),
}

impl DrainOutlook {
    /// Condition DrainSafe.
    pub fn condition(&self) -> ConditionUpdate {
        match self {
            Self::Safe(None) => ConditionUpdate::good(ConditionType::DrainSafe, Reason::Clear, "nothing is lost, and every pod leaves that can"),
            Self::Safe(Some(stay)) => ConditionUpdate::good(ConditionType::DrainSafe, Reason::Clear, stay),
            Self::Unsafe(reason, said) => ConditionUpdate::bad(ConditionType::DrainSafe, reason.clone(), said),
            Self::Missing(said) => ConditionUpdate::bad(ConditionType::DrainSafe, Reason::NodeMissing, said),
            Self::Unseen(reason, said) => ConditionUpdate::unknown(ConditionType::DrainSafe, reason.clone(), said),
        }
    }
}

impl From<DrainLook> for DrainOutlook {
    fn from(look: DrainLook) -> Self {
        match look.loss() {
            None => Self::Safe(look.words()),
            Some(reason) => Self::Unsafe(reason, look.words().unwrap_or_default()),
        }
    }
}

/// The first names, and how many more there are.
pub fn named(names: &[String]) -> String {
    let more = names.len().saturating_sub(MAX_NAMED_PODS);
    let first = names.iter().take(MAX_NAMED_PODS).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> NodePod {
        NodePod { name: format!("a/{name}"), controller: Some("ReplicaSet".into()), ..NodePod::default() }
    }

    fn consents() -> [DrainConsent; 4] {
        [(false, false), (true, false), (false, true), (true, true)].map(|(delete_empty_dir_data, force)| DrainConsent { delete_empty_dir_data, force })
    }

    #[test]
    fn fault_f5_a_pod_with_something_to_lose_leaves_only_if_the_change_says_so() {
        let data = NodePod { empty_dir: true, ..pod("data") };
        let bare = NodePod { controller: None, ..pod("bare") };
        let both = NodePod { empty_dir: true, ..bare.clone() };
        for consent in consents() {
            let kept = |data: bool, pod: bool| if data || pod { Fate::Kept(Loss { data, pod }) } else { Fate::Leaves };
            assert_eq!(fate(&pod("web"), consent), Fate::Leaves);
            assert_eq!(fate(&data, consent), kept(!consent.delete_empty_dir_data, false), "{consent:?}");
            assert_eq!(fate(&bare, consent), kept(false, !consent.force), "{consent:?}");
            assert_eq!(fate(&both, consent), kept(!consent.delete_empty_dir_data, !consent.force), "{consent:?}");
        }
    }

    #[test]
    fn fault_f5_what_belongs_to_the_node_stays_and_what_has_ended_goes() {
        for consent in consents() {
            let daemon = NodePod { controller: Some("DaemonSet".into()), empty_dir: true, ..pod("daemon") };
            let ended = NodePod { ended: true, controller: None, empty_dir: true, ..pod("ended") };
            let returning = NodePod { tolerates_cordon: true, ..pod("returning") };
            for (pod, expected) in [
                (NodePod { mirror: true, controller: Some("Node".into()), ..pod("static") }, Fate::Stays),
                (NodePod { mirror: true, ended: true, ..pod("static") }, Fate::Stays),
                (daemon, Fate::Stays),
                (returning, Fate::WouldReturn),
                (ended, Fate::Leaves),
                (NodePod { ended: true, tolerates_cordon: true, ..pod("job") }, Fate::Leaves),
            ] {
                assert_eq!(fate(&pod, consent), expected, "{pod:?} {consent:?}");
            }
        }
        let bare = NodePod { controller: None, tolerates_cordon: true, ..pod("bare") };
        assert_eq!(fate(&bare, DrainConsent { force: true, ..DrainConsent::default() }), Fate::Leaves, "nothing makes it anew, so it can't come back");
    }

    #[test]
    fn fault_f5_a_look_names_every_loss_whether_it_is_agreed_to_or_not() {
        let pods = [
            pod("web"),
            NodePod { empty_dir: true, ..pod("cache") },
            NodePod { controller: None, ..pod("debug") },
            NodePod { tolerates_cordon: true, ..pod("agent") },
        ];
        let refused = DrainLook::of(&pods, DrainConsent::default());
        assert!(refused.refused && refused.leaving == 1, "{refused:?}");
        let said = refused.words().unwrap_or_default();
        for words in ["would make pod a/debug anew", "--force", "pod a/cache has emptyDir data", "--delete-emptydir-data", "pod a/agent tolerates"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let agreed = DrainLook::of(&pods, DrainConsent { delete_empty_dir_data: true, force: true });
        assert!(!agreed.refused && agreed.leaving == 3, "{agreed:?}");
        let said = agreed.words().unwrap_or_default();
        assert!(said.contains("a/debug anew: gone for good") && said.contains("data of pod a/cache is deleted"), "{said}");
        assert_eq!(DrainLook::of(&[pod("web")], DrainConsent::default()).words(), None);
        let many: Vec<NodePod> = (0..7).map(|number| NodePod { controller: None, ..pod(&format!("p{number}")) }).collect();
        assert!(DrainLook::of(&many, DrainConsent::default()).words().unwrap_or_default().contains("a/p4 and 2 more"));
    }
}
