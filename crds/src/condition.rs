//! Types of conditions: what the product states about its objects.

use std::{fmt, str::FromStr};

/// Declares the types: variants, names and meanings from one table.
macro_rules! condition_types {
    ($($name:ident: $meaning:literal,)*) => {
        /// The type of a condition. Equal to its text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ConditionType {
            $(#[doc = $meaning] $name,)*
        }

        impl ConditionType {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its text, as `status.conditions[].type` has it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What it states, in one English sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

condition_types! {
    AccessApplied: "District: its roles are bound on the hub and on its sites.",
    AlertsArrive: "DutyRoster: the heartbeat of its Alertmanagers arrives.",
    Approved: "Change: enough people have approved what runs.",
    Balanced: "Platform: no layer limits the others.",
    BaseSoftwareReady: "Platform: the layer of base software is as declared.",
    Blocked: "Change: something is in its way.",
    Checked: "BackupRepository: no damage is known.",
    CleanedUp: "Runs: nothing that it made is left. Of Backup and Restore only False, if a person skipped clean-up.",
    Committed: "Failover: its epoch is written, so that it goes forward only. Not stated yet.",
    Counted: "Approval: it counts.",
    DrainSafe: "Change: the drain of its node loses nothing that runs there, as it was seen before the work began.",
    Drilled: "RecoveryPlan: a recent isolated drill passed.",
    EscrowProven: "BackupRepository: its escrowed key opens it. Not stated yet.",
    Healthy: "Application: its checks pass.",
    Kept: "Backup: its snapshot is in the repository. Only stated once it has gone, or somebody has asked that it goes.",
    NetworkReady: "Platform: the network layer is as declared.",
    ObjectivesMet: "Drill: every application was within its objectives.",
    ObjectsLimited: "District: the number of its objects on the hub is limited.",
    OffSite: "BackupRepository: it is in another failure domain than its applications.",
    Open: "MaintenanceWindow: it is open.",
    PeopleReachable: "DutyRoster: the last test message reached everybody.",
    Protected: "Application: a backup is recent enough.",
    Pruned: "BackupRepository: what no snapshot needs leaves the store.",
    Reachable: "Site: its API server answers.",
    Ready: "The object can be used.",
    ReadyToFailover: "Application and RecoveryPlan: a failover could begin now. Never True in this release, which has none.",
    Recoverable: "Application: a recent restore of it was proven.",
    SecurityReady: "Platform: the security layer is as declared.",
    ServersReady: "Platform: the layer of servers is as declared.",
    SingleWriter: "RecoveryPlan: no more than one site may write. Not stated yet.",
    StorageReady: "Platform: the storage layer is as declared.",
    Succeeded: "Runs and tickets: how it ended.",
    Verified: "Backup: the result of its last verification.",
    WithinClocks: "Ticket: no clock is overdue.",
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Error for a text that is no condition type of the product.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no condition type of Platform 861")]
pub struct UnknownConditionType(String);

impl FromStr for ConditionType {
    type Err = UnknownConditionType;

    fn from_str(text: &str) -> Result<Self, UnknownConditionType> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownConditionType(text.to_owned()))
    }
}

super::common::compares_with_text!(ConditionType);

#[cfg(test)]
mod tests {
    use super::ConditionType;

    #[test]
    fn a_condition_type_is_read_back_from_its_own_text() {
        for kind in ConditionType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert!(kind.meaning().ends_with('.'), "{kind}");
        }
        assert!("Broken".parse::<ConditionType>().is_err());
    }
}
