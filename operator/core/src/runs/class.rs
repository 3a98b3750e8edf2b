//! The classes of runs, and which of two goes first.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a run is for. Each kind of run states its class once; admission, messages and metrics read it from there.
///
/// The order is the precedence of DESIGN section 5, lowest first, so that `RunClass::Failover` is the greatest. A change stands between restores and drills:
/// - it goes before a drill, a verification and a backup, because it was planned for a window that closes, and each of them can run later;
/// - it goes after a failover and a restore, because people without their data can't wait for maintenance;
/// - only a failover aborts it. A change that is half done is neither the old state nor the new one, so a restore waits for its end.
///
/// A prune stands below all. It may be stopped at any moment and loses nothing by that, so that nobody who needs their data waits for it.
///
/// ```
/// use p861_core::runs::RunClass;
///
/// assert!(RunClass::Failover > RunClass::Restore);
/// assert_eq!(RunClass::Change.noun(), "ticket");
/// assert_eq!("drill".parse(), Ok(RunClass::Drill));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunClass {
    /// Snapshots are forgotten, or what no snapshot needs leaves a repository.
    Prune,
    /// An application is saved into a repository.
    Backup,
    /// A backup is restored into an isolated namespace to prove it.
    Verification,
    /// A recovery plan is rehearsed in isolation.
    Drill,
    /// The work of a maintenance ticket.
    Change,
    /// A backup is written back.
    Restore,
    /// A plan's applications move to another site.
    Failover,
}

impl RunClass {
    /// All classes, highest precedence first.
    pub const ALL: [Self; 7] = [Self::Failover, Self::Restore, Self::Change, Self::Drill, Self::Verification, Self::Backup, Self::Prune];

    /// The Kubernetes kind of its objects. A verification has no kind of its own: it is recorded on the Backup that it proves; nor has a prune, which is recorded on its
    /// BackupRepository.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Failover => "Failover",
            Self::Restore => "Restore",
            Self::Change => "MaintenanceTicket",
            Self::Drill => "Drill",
            Self::Verification | Self::Backup => "Backup",
            Self::Prune => "BackupRepository",
        }
    }

    /// The noun of `p861`, as in `p861 backup show`.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Restore => "restore",
            Self::Change => "ticket",
            Self::Drill => "drill",
            Self::Verification | Self::Backup => "backup",
            Self::Prune => "repository",
        }
    }

    /// The class in a sentence, in metrics and in logs. [`FromStr`] reads it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Restore => "restore",
            Self::Change => "change",
            Self::Drill => "drill",
            Self::Verification => "verification",
            Self::Backup => "backup",
            Self::Prune => "prune",
        }
    }

    /// Default precedence from 1 (yields to everything) to 7 (yields to nothing). It orders as the class itself does.
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Failover => 7,
            Self::Restore => 6,
            Self::Change => 5,
            Self::Drill => 4,
            Self::Verification => 3,
            Self::Backup => 2,
            Self::Prune => 1,
        }
    }

    /// Whether a run of this class aborts a run of `other` that is in its way, instead of waiting for its end.
    ///
    /// A failover aborts every other class. A restore aborts what can be run again without loss. A drill proves more than the verification that it aborts. A backup waits for
    /// a prune, which is short and would never come to its end where backups are taken every few minutes.
    /// Classes abort nothing of their own or of a higher precedence.
    pub const fn aborts(self, other: Self) -> bool {
        match self {
            Self::Failover => !matches!(other, Self::Failover),
            Self::Restore => matches!(other, Self::Drill | Self::Verification | Self::Backup | Self::Prune),
            Self::Drill => matches!(other, Self::Verification),
            Self::Change | Self::Verification | Self::Backup | Self::Prune => false,
        }
    }

    /// Whether its runs take a place of those that [`Limits`](super::Limits) count. A failover waits for no place, a change moves no data itself, and a
    /// prune is alone in its repository anyway.
    pub const fn is_limited(self) -> bool {
        match self {
            Self::Failover | Self::Change | Self::Prune => false,
            Self::Restore | Self::Drill | Self::Verification | Self::Backup => true,
        }
    }
}

impl fmt::Display for RunClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A word is no class of runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no class of runs: give failover, restore, change, drill, verification, backup or prune")]
pub struct UnknownClass(String);

impl FromStr for RunClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.word() == text).ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_precedence_and_every_word_is_read_back() {
        assert!(RunClass::ALL.is_sorted_by(|a, b| a > b && a.precedence() > b.precedence()));
        for class in RunClass::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).expect("json"), class.word());
        }
        let error = "rest".parse::<RunClass>().expect_err("no class");
        assert!(error.to_string().starts_with("\"rest\" is no class of runs"), "{error}");
    }

    #[test]
    fn a_class_aborts_only_what_is_below_it() {
        for class in RunClass::ALL {
            for other in RunClass::ALL.into_iter().filter(|other| class.aborts(*other)) {
                assert!(class > other, "{class} aborts {other}");
            }
        }
    }
}
