//! Tasks of movers. A task is part of the Job's spec, so it must not contain secrets.

use super::StepKey;
use crate::{
    engine::StepId,
    ids::{SiteName, SnapshotId},
    protection::claims::claim_of,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Reason, WorkloadReference,
    platform::application::{ClusterResource, CopyKind, CopyPatch, CronJobsInCopy, ObjectSelector},
    protection::{
        backup::MissingClaim,
        restore::{ConflictPolicy, Mapping, RestoreSelection},
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// What the sealed snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealFacts {
    /// The Backup's name.
    pub backup: String,
    /// The Application.
    pub application: String,
    /// The district's namespace on the hub.
    pub district: String,
    /// The site whose data it is.
    pub site: SiteName,
    /// The application's namespaces, the first first.
    pub namespaces: Vec<String>,
    /// Parts that are read, for example `objects`, `volumes/attachments`. A volume whose step fails is left out, and named; all others must be there.
    pub parts: Vec<String>,
    /// Claims that nothing could read when the backup began: they have no part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingClaim>,
    /// The Restore that had ended half way in the application when the backup began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_restored: Option<String>,
    /// Streams or hooks made it consistent.
    pub consistent: bool,
}

impl SealFacts {
    /// The claim behind a part that was to be read and was not, and why; none if the part is no volume, or was read. `why_not` says of a step that has settled why it
    /// was not done.
    pub fn why_not_saved(&self, part: &str, why_not: impl Fn(&StepId) -> Option<(Reason, String)>) -> Option<MissingClaim> {
        let claim = claim_of(part, self.namespaces.first().map(String::as_str).unwrap_or_default())?;
        let (reason, message) = why_not(&StepKey::save_volume(&self.application, part).id().ok()?)?;
        Some(MissingClaim { claim: format!("{}/{}", claim.namespace, claim.name), reason: reason.to_string(), message })
    }
}

/// How objects of a copy differ from those in the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyRules {
    /// Namespace in the backup → namespace to write to.
    pub namespaces: BTreeMap<String, String>,
    /// Other storage classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage_classes: Vec<Mapping>,
    /// Other registries: a prefix of an image name for another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Mapping>,
    /// The copy is isolated: objects that would take names, ports or permissions outside are left out.
    pub isolated: bool,
    /// Workloads wait at zero replicas until they are started.
    pub stopped: bool,
    /// CronJobs of an isolated copy.
    #[serde(default)]
    pub cron_jobs: CronJobsInCopy,
    /// Changes to objects of an isolated copy, as its Application says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<CopyPatch>,
    /// Kinds that an isolated copy gets besides those that are harmless, as its Application says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<CopyKind>,
    /// Addresses of an isolated copy's own DNS, which its pods ask. They are known once the copy is proven to be closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolver: Vec<IpAddr>,
    /// Labels that every object gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What to do with existing objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConflictHandling {
    /// Target namespaces are the drill's own; conflicts cannot occur.
    Own,
    /// As the Restore says.
    Policy(ConflictPolicy),
}

/// What becomes of files in a claim that the backup doesn't have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExtraFiles {
    /// They stay.
    #[default]
    Keep,
    /// They are removed: the claim becomes what it is in the backup.
    Remove,
}

/// What of a claim's files a look at them refuses: it fails, and the run is refused before anything is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusedFiles {
    /// A path that the snapshot lacks. The claim itself is not looked at.
    MissingPaths,
    /// That, and what stands in the way of a file: a folder, or anything where nothing may be replaced.
    InTheWay,
    /// All that, and every file that would be changed or removed.
    Differences,
}

/// What a mover does with the objects of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectsMode {
    /// They are written.
    #[default]
    Write,
    /// Those are written that the step before could not write, and that may be taken now.
    Again,
    /// Those that are there are compared: the step fails if one differs under the policy Refuse, or can't be changed in place under Merge and Replace. Nothing is
    /// written.
    Compare,
    /// It is said what would be done with each. Nothing is written.
    Preview,
}

/// A snapshot that is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotToForget {
    /// restic's id.
    pub snapshot: SnapshotId,
    /// The Application whose it is.
    pub application: String,
    /// Its Backup, if that is on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Why it goes.
    pub why: String,
}

/// A mover's task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MoverTask {
    /// Objects of the namespaces become the part `objects`.
    BackupObjects {
        /// Namespaces.
        namespaces: Vec<String>,
        /// Left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        exclude: Vec<ObjectSelector>,
        /// Cluster-scoped objects that are saved with them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cluster: Vec<ClusterResource>,
        /// The application's snapshot before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<SnapshotId>,
    },
    /// The mounted claim's files become a part.
    BackupVolume {
        /// The part, for example `volumes/attachments`.
        part: String,
        /// The application's snapshot before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<SnapshotId>,
        /// Not the claim itself is read, but the volume snapshot that an earlier step has taken of it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        from_snapshot: bool,
    },
    /// A command's output becomes a part.
    BackupStream {
        /// The part, for example `streams/approval-db`.
        part: String,
        /// Namespace of the workload.
        namespace: String,
        /// The workload.
        workload_ref: WorkloadReference,
        /// The container.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        /// The command.
        dump: Vec<String>,
    },
    /// Parts become one snapshot.
    Seal {
        /// What it says of itself.
        facts: SealFacts,
    },
    /// Every byte of a snapshot is in the repository. Without an id, the snapshot that the step before has sealed.
    VerifyStored {
        /// The snapshot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<SnapshotId>,
    },
    /// Objects of a snapshot are written.
    RestoreObjects {
        /// The snapshot.
        snapshot: SnapshotId,
        /// How they differ.
        rules: CopyRules,
        /// Which of them.
        #[serde(default)]
        select: RestoreSelection,
        /// If there are any, no other workloads are written: those of the selected tiers, each with its namespace.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        workloads: Vec<WorkloadReference>,
        /// Left out, as the Application says.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        exclude: Vec<ObjectSelector>,
        /// The cluster-scoped objects that may be written. No others of the snapshot are.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cluster: Vec<ClusterResource>,
        /// What to do with existing objects.
        conflict: ConflictHandling,
        /// What is done with them.
        #[serde(default)]
        mode: ObjectsMode,
        /// Of a preview: target namespaces that aren't there, in which everything would be new. Seen when its mover starts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        absent: Vec<String>,
    },
    /// Files of a part are written into the mounted claim.
    RestoreVolume {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part.
        part: String,
        /// Paths in it; all when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<String>,
        /// They go under this path of the claim, and nothing that is there is replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path_prefix: Option<String>,
        /// What becomes of other files.
        #[serde(default)]
        extra_files: ExtraFiles,
    },
    /// Files of the mounted claim are compared with a part. Nothing is written.
    PreviewVolume {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part.
        part: String,
        /// Paths in it; all when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<String>,
        /// They would go under this path of the claim.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path_prefix: Option<String>,
        /// What would become of other files.
        #[serde(default)]
        extra_files: ExtraFiles,
        /// What makes it fail; else it only says what it has found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refuses: Option<RefusedFiles>,
    },
    /// A part is fed to a command.
    RestoreStream {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part.
        part: String,
        /// Namespace of the workload.
        namespace: String,
        /// The workload.
        workload_ref: WorkloadReference,
        /// The container.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        /// The command.
        restore: Vec<String>,
    },
    /// Snapshots are forgotten, each with a record.
    Forget {
        /// The district's namespace on the hub: no snapshot of another is forgotten.
        district: String,
        /// When it was decided.
        at: Timestamp,
        /// The snapshots. A mover reads them from an object of its run: they may be thousands.
        snapshots: Vec<SnapshotToForget>,
    },
    /// What no snapshot needs is marked, and what was marked for long enough is removed.
    Prune {
        /// How long something stays marked before it is removed.
        #[serde(with = "crate::time::gep2257")]
        delay: SignedDuration,
        /// Most bytes that are written anew.
        max_repack_bytes: u64,
        /// Memory limit of the mover, which holds the repository's whole index.
        memory_limit: String,
    },
}

impl MoverTask {
    /// One word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::BackupObjects { .. } => "backupObjects",
            Self::BackupVolume { .. } => "backupVolume",
            Self::BackupStream { .. } => "backupStream",
            Self::Seal { .. } => "seal",
            Self::VerifyStored { .. } => "verifyStored",
            Self::RestoreObjects { .. } => "restoreObjects",
            Self::RestoreVolume { .. } => "restoreVolume",
            Self::PreviewVolume { .. } => "previewVolume",
            Self::RestoreStream { .. } => "restoreStream",
            Self::Forget { .. } => "forget",
            Self::Prune { .. } => "prune",
        }
    }

    /// Whether it writes objects, which needs the wider role.
    pub fn writes_objects(&self) -> bool {
        matches!(self, Self::RestoreObjects { mode: ObjectsMode::Write | ObjectsMode::Again, .. })
    }

    /// The cluster-scoped objects that it reads or writes.
    pub fn cluster_resources(&self) -> &[ClusterResource] {
        match self {
            Self::BackupObjects { cluster, .. } | Self::RestoreObjects { cluster, .. } => cluster,
            Self::BackupVolume { .. }
            | Self::BackupStream { .. }
            | Self::Seal { .. }
            | Self::VerifyStored { .. }
            | Self::RestoreVolume { .. }
            | Self::PreviewVolume { .. }
            | Self::RestoreStream { .. }
            | Self::Forget { .. }
            | Self::Prune { .. } => &[],
        }
    }

    /// Whether it writes a claim as a whole, which nothing else may write into meanwhile. Of paths that a person has selected, the person knows who uses them.
    pub fn writes_whole_claim(&self) -> bool {
        matches!(self, Self::RestoreVolume { paths, path_prefix: None, .. } if paths.is_empty())
    }

    /// Whether it looks whether a restore can be done, and what it refuses ends the run before anything is changed.
    pub fn looks_beforehand(&self) -> bool {
        matches!(self, Self::RestoreObjects { mode: ObjectsMode::Compare, .. } | Self::PreviewVolume { refuses: Some(_), .. })
    }

    /// Whether it only says what a restore of objects would do.
    pub fn is_preview_of_objects(&self) -> bool {
        matches!(self, Self::RestoreObjects { mode: ObjectsMode::Preview, .. })
    }

    /// Whether it can run in any namespace of its site: it mounts nothing and writes nothing there.
    pub fn runs_anywhere(&self) -> bool {
        self.is_preview_of_objects() || self.removes_data() || matches!(self, Self::VerifyStored { .. })
    }

    /// Whether it removes data from the repository, for which it must have it for itself.
    pub fn removes_data(&self) -> bool {
        matches!(self, Self::Forget { .. } | Self::Prune { .. })
    }

    /// The snapshots that it forgets.
    pub fn to_forget(&self) -> Option<&[SnapshotToForget]> {
        match self {
            Self::Forget { snapshots, .. } => Some(snapshots),
            _ => None,
        }
    }

    /// The same without the list of what it forgets, which its mover reads elsewhere: it may be longer than a variable of a process.
    #[must_use]
    pub fn without_list(mut self) -> Self {
        if let Self::Forget { snapshots, .. } = &mut self {
            snapshots.clear();
        }
        self
    }

    /// The same with the list of what it forgets.
    #[must_use]
    pub fn with_list(mut self, list: Vec<SnapshotToForget>) -> Self {
        if let Self::Forget { snapshots, .. } = &mut self {
            *snapshots = list;
        }
        self
    }

    /// Memory that its mover may have, if it is not as much as any other's.
    pub fn memory_limit(&self) -> Option<&str> {
        match self {
            Self::Prune { memory_limit, .. } => Some(memory_limit),
            _ => None,
        }
    }

    /// Whether it writes objects into an isolated copy, whose pods must ask the copy's own DNS.
    pub fn writes_a_copy(&self) -> bool {
        matches!(self, Self::RestoreObjects { rules: CopyRules { isolated: true, .. }, .. })
    }

    /// The same, whose objects go into a copy with this DNS. What goes elsewhere is told nothing.
    #[must_use]
    pub fn with_resolver(mut self, addresses: Vec<IpAddr>) -> Self {
        if let Self::RestoreObjects { rules, .. } = &mut self
            && rules.isolated
        {
            rules.resolver = addresses;
        }
        self
    }

    /// The same preview, where these namespaces are missing. What writes is told nothing: it fails where its namespace is gone.
    #[must_use]
    pub fn without(mut self, namespaces: Vec<String>) -> Self {
        if let Self::RestoreObjects { mode: ObjectsMode::Preview, absent, .. } = &mut self {
            *absent = namespaces;
        }
        self
    }

    /// Whether it was told that this namespace is missing.
    pub fn lacks(&self, namespace: &str) -> bool {
        matches!(self, Self::RestoreObjects { absent, .. } if absent.iter().any(|missing| missing == namespace))
    }

    /// Whether it needs what earlier steps proved.
    pub fn needs_evidence(&self) -> bool {
        matches!(self, Self::Seal { .. } | Self::VerifyStored { snapshot: None } | Self::RestoreObjects { mode: ObjectsMode::Again, .. })
    }

    /// Whether the mover of the step before may do it as well: it needs no claim and no right, only what the steps before have proved. It prints no progress, so
    /// that the last line of its mover says which steps are done.
    pub fn may_follow(&self) -> bool {
        matches!(self, Self::Seal { .. } | Self::VerifyStored { snapshot: None })
    }

    /// Whether it needs the API server of its site at all.
    pub fn needs_api(&self) -> bool {
        matches!(self, Self::BackupObjects { .. } | Self::BackupStream { .. } | Self::RestoreObjects { .. } | Self::RestoreStream { .. })
    }
}
