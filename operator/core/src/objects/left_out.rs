//! What a backup leaves out, by reason.

use p861_crds::protection::backup::LeftOut;
use std::collections::{BTreeMap, BTreeSet};

/// Objects that a status names for each reason; the others are counted.
pub const MAX_STATUS_NAMES: usize = 10;
/// Objects that the inventory of a snapshot names in all; the others are counted. Bounds what a mover holds in memory.
pub const MAX_INVENTORY_NAMES: usize = 100_000;

/// Why an object is not saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaveReason {
    /// The cluster makes it again by itself.
    MadeByCluster,
    /// The built-in controller of its owner makes it again.
    MadeByOwner,
    /// A run or a Platform of ours has made it for itself.
    MadeByPlatform,
    /// A pod of a controller that is not built in.
    ControlledPod,
    /// The Application's `spec.exclude` names it.
    Excluded,
    /// It is being deleted.
    BeingDeleted,
    /// A Job or pod that has ended: restored, it would run again.
    Finished,
    /// A kind whose API server doesn't answer.
    StaleDiscovery,
    /// The Application's `spec.clusterResources` names it, and it doesn't exist.
    Missing,
}

impl LeaveReason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::MadeByCluster,
        Self::MadeByOwner,
        Self::MadeByPlatform,
        Self::ControlledPod,
        Self::Excluded,
        Self::BeingDeleted,
        Self::Finished,
        Self::StaleDiscovery,
        Self::Missing,
    ];

    /// Its text, as evidence, inventory and status have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MadeByCluster => "MadeByCluster",
            Self::MadeByOwner => "MadeByOwner",
            Self::MadeByPlatform => "MadeByPlatform",
            Self::ControlledPod => "ControlledPod",
            Self::Excluded => "Excluded",
            Self::BeingDeleted => "BeingDeleted",
            Self::Finished => "Finished",
            Self::StaleDiscovery => "StaleDiscovery",
            Self::Missing => "Missing",
        }
    }

    /// Whether nobody misses it after a restore, because it comes again by itself. Any other is named in the status of the backup.
    pub fn comes_again(self) -> bool {
        matches!(self, Self::MadeByCluster | Self::MadeByOwner | Self::MadeByPlatform)
    }
}

/// Counts what is left out, and keeps the names: those that no one misses are the first that are dropped when there are too many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOutTally(BTreeMap<LeaveReason, (i64, BTreeSet<String>)>);

impl LeftOutTally {
    /// Notes one object, or one kind.
    pub fn note(&mut self, reason: LeaveReason, name: impl Into<String>) {
        self.add(reason, 1, [name.into()]);
    }

    /// Adds what was noted elsewhere. The outcome doesn't depend on the order.
    pub fn merge(&mut self, other: Self) {
        for (reason, (count, names)) in other.0 {
            self.add(reason, count, names);
        }
    }

    fn add(&mut self, reason: LeaveReason, count: i64, names: impl IntoIterator<Item = String>) {
        let (total, _) = self.0.entry(reason).or_default();
        *total = total.saturating_add(count);
        for name in names {
            if let Some((_, kept)) = self.0.get_mut(&reason) {
                kept.insert(name);
            }
            // The greatest of all goes, so that those that stay don't depend on the order in which they came.
            if self.0.values().map(|(_, kept)| kept.len()).sum::<usize>() > MAX_INVENTORY_NAMES
                && let Some((_, (_, kept))) =
                    self.0.iter_mut().filter(|(_, (_, kept))| !kept.is_empty()).max_by_key(|(reason, _)| (reason.comes_again(), **reason))
            {
                kept.pop_last();
            }
        }
    }

    /// By reason, in a fixed order, with the first names of each, as a status has them.
    pub fn listed(&self) -> Vec<LeftOut> {
        self.with_names(MAX_STATUS_NAMES)
    }

    /// The same with every name that was kept, as the inventory of a snapshot has them.
    pub fn named(&self) -> Vec<LeftOut> {
        self.with_names(usize::MAX)
    }

    fn with_names(&self, most: usize) -> Vec<LeftOut> {
        let of = |(reason, (count, names)): (&LeaveReason, &(i64, BTreeSet<String>))| LeftOut {
            reason: reason.as_str().into(),
            count: *count,
            names: names.iter().take(most).cloned().collect(),
        };
        self.0.iter().map(of).collect()
    }
}

/// What people are told of: everything that doesn't come again by itself. A reason that this release doesn't know is told.
pub fn told(listed: &[LeftOut]) -> Vec<LeftOut> {
    let comes_again = |text: &str| LeaveReason::ALL.into_iter().any(|reason| reason.as_str() == text && reason.comes_again());
    listed.iter().filter(|left| !comes_again(&left.reason)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_a1_what_is_left_out_is_counted_and_the_first_are_named_in_whatever_order_they_come() {
        let mut names: Vec<String> = (0..25).map(|number| format!("Secret n/{number:02}")).collect();
        let tally = |names: &[String]| {
            let mut tally = LeftOutTally::default();
            for name in names {
                tally.note(LeaveReason::BeingDeleted, name.clone());
            }
            tally
        };
        let (mut one, two) = (tally(&names[..7]), tally(&names[7..]));
        one.merge(two);
        names.reverse();
        assert_eq!(one, tally(&names));
        one.note(LeaveReason::MadeByOwner, "Pod n/web-1");
        let listed = one.listed();
        let told = told(&listed);
        assert_eq!(listed.iter().map(|left| (left.reason.as_str(), left.count)).collect::<Vec<_>>(), [("MadeByOwner", 1), ("BeingDeleted", 25)]);
        assert_eq!(told.iter().map(|left| left.reason.as_str()).collect::<Vec<_>>(), ["BeingDeleted"], "pods of a Deployment come again");
        assert_eq!((told[0].names.len(), told[0].names[0].as_str()), (MAX_STATUS_NAMES, "Secret n/00"));
    }
    #[test]
    fn fault_a_everything_that_is_left_out_has_its_name_in_the_inventory_up_to_a_bound_and_what_comes_again_goes_first() {
        let names = |kind: &str, number: usize| (0..number).map(|at| format!("{kind} n/{at:06}")).collect::<Vec<_>>();
        let (pods, secrets) = (names("Pod", MAX_INVENTORY_NAMES - 20), names("Secret", 25));
        let mut tally = LeftOutTally::default();
        for name in &pods {
            tally.note(LeaveReason::MadeByOwner, name);
        }
        secrets.iter().rev().for_each(|name| tally.note(LeaveReason::BeingDeleted, name));
        let mut other = LeftOutTally::default();
        for name in &secrets {
            other.note(LeaveReason::BeingDeleted, name);
        }
        pods.iter().rev().for_each(|name| other.note(LeaveReason::MadeByOwner, name));
        assert!(tally == other, "the order makes no difference");
        let named = tally.named();
        let kept = |reason: &str| named.iter().find(|left| left.reason == reason).map(|left| (left.count, left.names.clone())).expect("a reason");
        assert_eq!(kept("BeingDeleted"), (25, secrets), "whoever misses them finds all names");
        let (count, kept) = kept("MadeByOwner");
        assert_eq!((count, kept.as_slice()), (i64::try_from(pods.len()).expect("a number"), &pods[..MAX_INVENTORY_NAMES - 25]));
    }
}
