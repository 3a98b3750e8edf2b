//! What becomes of a snapshot, and why.

use super::{Flaw, Hold};
use crate::ids::SnapshotId;
use jiff::Timestamp;
use p861_crds::protection::backup::VerificationLevel;
use serde::{Deserialize, Serialize};

/// Why a snapshot stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum KeepReason {
    /// One of the newest.
    Last,
    /// The newest of its hour.
    Hourly,
    /// The newest of its day.
    Daily,
    /// The newest of its week.
    Weekly,
    /// The newest of its month.
    Monthly,
    /// The newest of its year.
    Yearly,
    /// The newest that is sound.
    Newest,
    /// The newest that was proven so far.
    NewestOfLevel {
        /// How far.
        level: VerificationLevel,
    },
    /// A person keeps it until then.
    Until {
        /// When that ends.
        time: Timestamp,
    },
    /// A person keeps it.
    Marked,
    /// A run uses it.
    InUse {
        /// The run.
        by: String,
    },
    /// A warm copy stands on it.
    WarmCopy {
        /// Its plan.
        plan: String,
    },
    /// Its time has not come yet: a clock was set back, or was ahead.
    Future,
    /// No number is stated, by a policy or by none.
    NoRetention,
    /// It is not sound, and nothing sound is newer.
    NothingSounder {
        /// Why it is not sound.
        flaw: Flaw,
    },
    /// It is not sound, and stays so long for those who look into it.
    Flawed {
        /// Why it is not sound.
        flaw: Flaw,
        /// When that ends.
        until: Timestamp,
    },
}

/// Why a snapshot goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ForgetReason {
    /// None of the numbers has a place for it.
    NoPlace,
    /// It is not sound, and sound ones are newer.
    Flawed {
        /// Why it is not sound.
        flaw: Flaw,
    },
    /// A person has asked for it.
    Asked {
        /// Who.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What becomes of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It stays, for each of these reasons.
    Keep(Vec<KeepReason>),
    /// It goes.
    Forget(ForgetReason),
}

/// A snapshot and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// restic's id.
    pub snapshot: SnapshotId,
    /// Name of its Backup.
    pub backup: String,
    /// Its recovery point.
    pub time: Timestamp,
    /// How far it was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<VerificationLevel>,
    /// What becomes of it.
    pub verdict: Verdict,
}

impl From<Hold> for KeepReason {
    fn from(hold: Hold) -> Self {
        match hold {
            Hold::Until(time) => Self::Until { time },
            Hold::Marked => Self::Marked,
            Hold::InUse(by) => Self::InUse { by },
            Hold::WarmCopy(plan) => Self::WarmCopy { plan },
        }
    }
}
