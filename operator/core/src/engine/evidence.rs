//! Evidence: what an attempt of a step proves, as the journal stores it.
//!
//! The stored form is one JSON object: `{"v": 1, "kind": "volumeSaved", …}`. A reader takes an object only if it understands all of it and can write the same
//! object again; anything else, such as a kind of a later release, is kept as it is in [`Evidence::Unknown`]. So a new field needs a new version.

mod items;

pub use items::{
    Awaits, LeftOutObjects, ListedChange, ObjectChange, PackSum, PreflightResult, PrunedPacks, RefusedObjects, SavedKind, SavedPart, StepProgress,
    StoredObject, TakenSnapshot, UncordonResult,
};

use crate::ids::SnapshotId;
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Reason,
    protection::{backup::LeftOut, restore::RestoreChanges},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr};

/// Version of the stored form that this release writes and reads.
pub const EVIDENCE_VERSION: u64 = 1;
/// Key of the version.
pub(crate) const VERSION_KEY: &str = "v";
/// Key of the kind.
pub(crate) const KIND_KEY: &str = "kind";

/// What an attempt of a step proves: one variant for each finding of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Evidence {
    /// A command ran in a container; also of one that failed.
    CommandRun {
        /// The workload, for example `Deployment/cms`.
        workload: String,
        /// Beginning of its output.
        output: String,
    },
    /// The newest marker in an application's data.
    MarkerRead {
        /// Its time: all data written before is there.
        time: Timestamp,
        /// The command's output.
        output: String,
    },
    /// Last observation of a check, passed or failed.
    CheckSeen {
        /// Name of the check.
        check: String,
        /// Observation, shown to people.
        seen: String,
    },
    /// Checks that passed for a while.
    Watched {
        /// Number of checks.
        checks: u64,
        /// For how long.
        #[serde(with = "crate::time::gep2257")]
        duration: SignedDuration,
    },
    /// The checks of a preflight.
    Preflight {
        /// All checks, passed and failed.
        checks: Vec<PreflightResult>,
    },
    /// The isolated namespaces of a drill, closed by default-deny policies.
    Isolated {
        /// The namespaces.
        namespaces: Vec<String>,
    },
    /// What pods under the policies of a drill's copy reached outside it.
    IsolationProbed {
        /// Addresses of the copy's own DNS, which they reached.
        resolver: Vec<IpAddr>,
        /// Nodes on which they tried.
        nodes: Vec<String>,
        /// What a free pod reached and they did not.
        refused: Vec<String>,
        /// What a free pod did not reach either, which says nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        silent: Vec<String>,
        /// What they reached; of a closed copy nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reached: Vec<String>,
    },
    /// A list by label shows none of the drill's namespaces, and none of their volumes.
    IsolationRemoved {
        /// The namespaces.
        namespaces: Vec<String>,
    },
    /// Nothing that can write runs any more.
    WorkloadsStopped {
        /// Number of objects that are stopped.
        workloads: u64,
        /// The first of them with what they did, for example `portal/Deployment/cms 2` or `portal/CronJob/nightly running`.
        stopped: Vec<String>,
    },
    /// A stop was taken back: what ran before runs again, and what the run has made in namespaces of its own stays stopped.
    WorkloadsLeft {
        /// Namespaces in which everything was started again.
        again: Vec<String>,
        /// Namespaces that the run has made.
        made: Vec<String>,
        /// Number of objects in these that are stopped.
        workloads: u64,
        /// The first of them with what they would do, for example `portal-look/Deployment/cms 2`.
        stopped: Vec<String>,
    },
    /// Workloads whose pods are all ready.
    WorkloadsReady {
        /// Number of workloads.
        workloads: u64,
        /// The first of them with their pods, for example `Deployment/cms 2/2`.
        ready: Vec<String>,
        /// The first that are not, and were not when the backup was taken: for these it was not waited.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_awaited: Vec<String>,
    },
    /// Snapshots of claims: their points in time have passed, so that the application may go on.
    SnapshotsTaken {
        /// One for each claim.
        snapshots: Vec<TakenSnapshot>,
    },
    /// Nothing of the run's snapshots is left, on the API server or in the storage.
    SnapshotsRemoved {
        /// Where they were.
        namespaces: Vec<String>,
    },
    /// Nothing of the run's movers is left.
    MoversRemoved {
        /// Where they were.
        namespaces: Vec<String>,
    },
    /// Namespaces that the run created; those that existed are not listed.
    NamespacesMade {
        /// Their names.
        made: Vec<String>,
    },
    /// A Backup that succeeded.
    BackupTaken {
        /// Its name.
        backup: String,
        /// restic's id of its snapshot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<SnapshotId>,
    },
    /// Silences in an Alertmanager.
    Silenced {
        /// Their ids.
        silences: Vec<String>,
    },
    /// The silences are over.
    SilencesEnded {
        /// How many were ended now.
        ended: u64,
    },
    /// A node that can be drained as the change says.
    NodeInspected {
        /// Pods that will leave.
        pods: u64,
        /// It was cordoned already.
        cordoned: bool,
        /// Pods that nothing starts again, which the change agrees to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unmanaged: Vec<String>,
        /// Pods whose `emptyDir` data is deleted, which the change agrees to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        local_data: Vec<String>,
        /// Pods that stay because they would come back at once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        returning: Vec<String>,
    },
    /// Pods with something that a drain would lose.
    PodsUnmanaged {
        /// Pods that no controller would create again.
        pods: Vec<String>,
        /// Pods with `emptyDir` data.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        local_data: Vec<String>,
    },
    /// A node takes no new pods.
    NodeCordoned {
        /// Whose cordon it is; none if somebody cordoned it before the run, so that it stays cordoned afterwards.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// The run's cordon is gone.
    NodeUncordoned {
        /// How.
        result: UncordonResult,
    },
    /// No pods are left on a node but those that belong to it.
    NodeDrained {
        /// The node.
        node: String,
    },
    /// Pods that a drain could not evict.
    DrainHeld {
        /// Each with the reason that the API server gave.
        held: Vec<String>,
    },
    /// A component was installed completely.
    ComponentInstalled {
        /// Its version.
        version: String,
        /// Number of its objects.
        objects: u64,
    },
    /// A component was reverted completely.
    ComponentReverted {
        /// The version that is installed now; empty if there was none before.
        version: String,
        /// Number of its objects.
        objects: u64,
    },
    /// The version to revert was never installed.
    RevertUnneeded {
        /// The version that is installed.
        version: String,
    },
    /// The bundle is not the one that was approved.
    BundleChanged {
        /// Its digest.
        digest: String,
        /// The approved digest.
        approved: String,
    },
    /// No right to write a component's bundle is left.
    RightsRevoked {
        /// Namespaces in which one was left over.
        namespaces: Vec<String>,
    },
    /// The objects of a backup that are there already, none of them different.
    ObjectsCompared {
        /// Number of objects in namespaces; cluster-scoped ones are compared, too, and not counted.
        compared: u64,
    },
    /// The objects of a backup.
    ObjectsSaved {
        /// The part that they are in.
        #[serde(flatten)]
        part: SavedPart,
        /// Number of objects.
        objects: u64,
        /// Number of kinds that had any.
        resources: u64,
        /// The kinds that had any, each in the version in which it was read, by namespace.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        kinds: Vec<SavedKind>,
        /// What was left out, by reason, with the first names of each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<LeftOut>,
        /// All names, as JSON of pairs of reason and name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out_names: Vec<StoredObject>,
        /// The first workloads that had not all of their pods ready, for example `n/Deployment/cms`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_ready: Vec<String>,
    },
    /// The files of a claim.
    VolumeSaved(SavedPart),
    /// The output of a dump.
    StreamSaved(SavedPart),
    /// All parts are one snapshot.
    Sealed {
        /// restic's id.
        snapshot: SnapshotId,
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Bytes that the whole backup added to the repository.
        added: u64,
        /// Number of objects.
        objects: u64,
        /// Everything written before this time is in the backup.
        recovery_point_time: Timestamp,
    },
    /// Every file that a snapshot needs is in the repository.
    SnapshotVerified {
        /// restic's id.
        snapshot: SnapshotId,
        /// Blobs that it needs.
        blobs: u64,
        /// Packs that they are in.
        packs: u64,
        /// Size of these packs in bytes.
        bytes: u64,
        /// Workloads that had not all of their pods ready when the snapshot was taken, as its inventory names them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_ready: Vec<String>,
    },
    /// What a restore of the objects would do.
    RestorePreviewed {
        /// Number of objects by what would happen.
        changes: RestoreChanges,
        /// Number of objects in the lists: all of them, unless there are too many.
        listed: u64,
        /// The lists, each as JSON of [`ListedChange`]: first what would change, be left or be refused, then what would be created, then what is the same.
        lists: Vec<StoredObject>,
        /// Number of objects that are left out, by reason.
        left_out: BTreeMap<String, u64>,
        /// Their names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_out_names: Option<LeftOutObjects>,
        /// Number of objects of kinds that the site doesn't serve, by kind.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        not_served: BTreeMap<String, u64>,
        /// Number of objects that would be written otherwise than they were saved, by what is changed.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        adjusted: BTreeMap<String, u64>,
    },
    /// The objects that a restore wrote.
    ObjectsRestored {
        /// Number of objects by what happened.
        changes: RestoreChanges,
        /// Number of objects that were left out, by reason.
        left_out: BTreeMap<String, u64>,
        /// Their names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_out_names: Option<LeftOutObjects>,
        /// Number of objects of kinds that the site doesn't serve, by kind.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        not_served: BTreeMap<String, u64>,
        /// Number of objects that were written otherwise than they were saved, by what was changed.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        adjusted: BTreeMap<String, u64>,
        /// Objects that could not be written, those of kinds that aren't served among them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<RefusedObjects>,
        /// Patches of the copy that no object was meant by.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        patches_unmatched: Vec<String>,
    },
    /// What a restore would do to the files of a claim.
    VolumePreviewed {
        /// Files that are not in the backup and would be removed.
        removed: u64,
        /// Files that are there and different.
        changed: u64,
        /// Files that are not there.
        created: u64,
        /// The first files that would be removed; without any, the first that would change.
        first: Vec<String>,
    },
    /// The files that a restore wrote.
    VolumeRestored {
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Files that were not in the backup and were removed.
        removed: u64,
        /// Their bytes.
        removed_bytes: u64,
    },
    /// A stream that a command took.
    StreamRestored {
        /// Bytes.
        bytes: u64,
        /// Hex digest of the stream.
        sha256: String,
        /// Beginning of the command's output.
        output: String,
    },
    /// Snapshots that are not in the repository any more.
    SnapshotsForgotten {
        /// Forgotten by this step.
        forgotten: u64,
        /// Gone before.
        absent: u64,
        /// Kept by the store's lock.
        locked: u64,
    },
    /// What a prune has done.
    Pruned(PrunedPacks),
    /// Last progress of an attempt that was stopped.
    Stopped(StepProgress),
    /// Why a step was not done, told to one that starts however that step ended. No journal has it: there the step's own records say so.
    NotDone {
        /// Why, in one word.
        reason: Reason,
        /// What happened.
        message: String,
    },
    /// Evidence that this release can't read, as it is stored. It proves nothing.
    #[serde(skip)]
    Unknown(Value),
}

/// The longest text in evidence, in characters: a mover's warning or what a check has seen must not fill the journal.
pub const MAX_EVIDENCE_TEXT_CHARS: usize = 4_096;

/// Cuts every text in a JSON value; returns whether one was longer.
fn cut_texts(value: &mut Value) -> bool {
    match value {
        Value::String(text) => match text.char_indices().nth(MAX_EVIDENCE_TEXT_CHARS) {
            Some((end, _)) => {
                text.truncate(end);
                text.push('…');
                true
            }
            None => false,
        },
        // Every member is cut: `any` would stop at the first.
        Value::Array(items) => items.iter_mut().map(cut_texts).filter(|cut| *cut).count() > 0,
        Value::Object(members) => members.values_mut().map(cut_texts).filter(|cut| *cut).count() > 0,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Evidence {
    /// The same, with texts of at most [`MAX_EVIDENCE_TEXT_CHARS`].
    #[must_use]
    pub(super) fn with_short_texts(self) -> Self {
        let Ok(mut value) = serde_json::to_value(&self) else { return self };
        if !cut_texts(&mut value) {
            return self;
        }
        serde_json::from_value(value).unwrap_or(self)
    }

    /// Says which evidence this release can't read; none if it can.
    pub fn unknown(&self) -> Option<String> {
        let Self::Unknown(value) = self else { return None };
        let shown = |key: &str| value.get(key).map_or_else(|| "none".to_owned(), ToString::to_string);
        Some(format!("kind {}, version {}; this release reads version {EVIDENCE_VERSION}", shown(KIND_KEY), shown(VERSION_KEY)))
    }

    /// The part of a backup that it proves to be stored, if any.
    pub fn saved_part(&self) -> Option<&SavedPart> {
        match self {
            Self::ObjectsSaved { part, .. } | Self::VolumeSaved(part) | Self::StreamSaved(part) => Some(part),
            _ => None,
        }
    }

    /// The stored form.
    fn stored(&self) -> Result<Value, serde_json::Error> {
        if let Self::Unknown(value) = self {
            return Ok(value.clone());
        }
        let mut value = Self::serialize(self, serde_json::value::Serializer)?;
        match value.as_object_mut() {
            Some(members) => drop(members.insert(VERSION_KEY.into(), EVIDENCE_VERSION.into())),
            None => return Err(<serde_json::Error as serde::ser::Error>::custom("evidence is an object")),
        }
        Ok(value)
    }

    /// What the stored form says; none if this release does not understand all of it.
    fn known(value: &Value) -> Option<Self> {
        if value.get(VERSION_KEY).and_then(Value::as_u64) != Some(EVIDENCE_VERSION) {
            return None;
        }
        let known = Self::deserialize(value).ok()?;
        // Written again, for example by a compaction, it must still say everything.
        (known.stored().ok()? == *value).then_some(known)
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.stored().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Evidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_null() {
            return Err(D::Error::custom("evidence is null: leave it out"));
        }
        Ok(Self::known(&value).unwrap_or(Self::Unknown(value)))
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
