//! Actions: the effects that a compiler can put into a step and the executor performs.

use super::task::MoverTask;
use crate::{
    ids::{SiteName, SnapshotId},
    isolation::{AllowedEgress, CopyZone, Entrypoint},
    maintenance::drain::DrainConsent,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    WorkloadReference,
    common::ContainerCommand,
    platform::{
        application::{Check, Marker},
        platform::Bundle,
    },
    protection::{backup::VerificationLevel, restore::Mapping},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The namespaces of a drill, closed to everything outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bubble {
    /// Short id in the names and labels.
    pub id: String,
    /// Namespace in the backup → namespace of the bubble.
    pub namespaces: BTreeMap<String, String>,
    /// What its pods may connect to: networks (CIDR) and DNS names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_egress: Vec<String>,
    /// Names of the applications' entrypoints, which mean the bubble in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoints: Vec<Entrypoint>,
}

impl Bubble {
    /// What names mean in it.
    ///
    /// # Errors
    /// What is wrong with an entry of `allow_egress`.
    pub fn zone(&self) -> Result<CopyZone, String> {
        let egress = AllowedEgress::of(&self.allow_egress)?;
        Ok(CopyZone { namespaces: self.namespaces.clone(), entrypoints: self.entrypoints.clone(), egress })
    }
}

/// What a preflight looks at for one application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreflightSubject {
    /// The Application.
    pub application: String,
    /// The Backup that will be used.
    pub backup: String,
    /// The repository that it is in.
    pub repository: String,
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// Its recovery point.
    pub time: Timestamp,
    /// How far it was proven before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<VerificationLevel>,
    /// The storage classes of its claims where the backup was made, each with the one that they get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, String>,
    /// Why its storage classes are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes_unknown: Option<String>,
    /// Beginnings of its images' names that are others on the site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Mapping>,
}

/// A snapshot that a backup takes of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSnapshot {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// The VolumeSnapshotClass.
    pub class: String,
    /// StorageClass of the claim, and of the one that the snapshot is read through.
    pub storage_class: String,
    /// Size of the claim in bytes.
    pub bytes: u64,
}

/// One effect. Each is idempotent: performed again after a crash, it finds its earlier result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// A mover moves data beside the data.
    Move {
        /// The site.
        site: SiteName,
        /// The namespace that its Job runs in.
        namespace: String,
        /// Claims are mounted from there; objects are read or written there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<String>,
        /// Namespaces whose objects or pods it needs.
        namespaces: Vec<String>,
        /// What it does.
        task: MoverTask,
    },
    /// A command in a container of a workload.
    Execute {
        /// The site.
        site: SiteName,
        /// The namespace of the workload.
        namespace: String,
        /// The command.
        command: ContainerCommand,
    },
    /// The standby is looked at before anything is made.
    Preflight {
        /// The site.
        site: SiteName,
        /// What will be recovered.
        subjects: Vec<PreflightSubject>,
    },
    /// The bubble is made: namespaces, default deny, room for movers.
    Isolate {
        /// The site.
        site: SiteName,
        /// The bubble.
        bubble: Bubble,
    },
    /// A pod in the bubble tries to reach what is outside it, and doesn't.
    ProveIsolation {
        /// The site.
        site: SiteName,
        /// The bubble.
        bubble: Bubble,
    },
    /// The bubble is removed, with everything that the run made.
    RemoveBubble {
        /// The site.
        site: SiteName,
        /// The bubble.
        bubble: Bubble,
    },
    /// Everything that runs pods is stopped, and every pod that can write is gone.
    Stop {
        /// The site.
        site: SiteName,
        /// Namespace → claims: what uses them is stopped; an empty list means everything in it.
        namespaces: BTreeMap<String, Vec<String>>,
    },
    /// What was stopped is started again, as it was: a stop is taken back. It need not become ready.
    StartAgain {
        /// The site.
        site: SiteName,
        /// The namespaces; in those that the run has made nothing is started.
        namespaces: Vec<String>,
    },
    /// Workloads get the replicas that they had, and are ready.
    Start {
        /// The site.
        site: SiteName,
        /// Namespace → workloads; an empty list means everything that still stands still, of every kind.
        workloads: BTreeMap<String, Vec<WorkloadReference>>,
        /// Namespace → claims: only workloads that use them must be ready; an empty list means all.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        claims: BTreeMap<String, Vec<String>>,
        /// Namespace → its name in the backup, whose inventory says which workloads were not ready there: for these nobody waits.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        saved_as: BTreeMap<String, String>,
        /// Namespace → workloads that a step before has waited for, or a person has given up: nobody waits for them twice.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        awaited: BTreeMap<String, Vec<WorkloadReference>>,
    },
    /// A check holds.
    Check {
        /// The site.
        site: SiteName,
        /// The namespace.
        namespace: String,
        /// The check.
        check: Check,
    },
    /// The newest marker is read in the recovered application.
    ReadMarker {
        /// The site.
        site: SiteName,
        /// The namespace.
        namespace: String,
        /// How.
        marker: Marker,
    },
    /// Snapshots of claims are taken, all at one moment.
    TakeSnapshots {
        /// The site.
        site: SiteName,
        /// Of which claims, and how.
        snapshots: Vec<ClaimSnapshot>,
    },
    /// The run's snapshots are removed, with what they take in the storage, and the claims that they were read through.
    RemoveSnapshots {
        /// The site.
        site: SiteName,
        /// Where they were.
        namespaces: Vec<String>,
    },
    /// Jobs, Secrets and permissions of the run's movers are removed.
    RemoveMovers {
        /// The site.
        site: SiteName,
        /// Where they were.
        namespaces: Vec<String>,
    },
    /// A Backup is made and has succeeded. One that is there already, from before a crash, is it.
    TakeBackup {
        /// The Application.
        application: String,
        /// The Backup's name.
        backup: String,
    },
    /// Silences alerts about affected objects in an Alertmanager during a change.
    Silence {
        /// The site whose Alertmanager it is.
        site: SiteName,
        /// Whose silences they are: the ticket, as people know it.
        owner: String,
        /// One silence each: alerts that have all of these labels.
        labels: Vec<BTreeMap<String, String>>,
    },
    /// The silences of that owner end.
    EndSilence {
        /// The site.
        site: SiteName,
        /// Whose they are.
        owner: String,
    },
    /// A node is looked at before it is emptied: it is there, and everything on it can go.
    InspectNode {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
        /// The district of the ticket; none for a hub-wide ticket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        district: Option<String>,
        /// What the change agrees to lose.
        #[serde(default, skip_serializing_if = "DrainConsent::is_none")]
        consent: DrainConsent,
    },
    /// A node takes no new pods. One that somebody else has cordoned stays theirs.
    Cordon {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
        /// Whose cordon it is.
        owner: String,
    },
    /// A node takes pods again, if the cordon is that owner's.
    Uncordon {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
        /// Whose cordon it is.
        owner: String,
    },
    /// The pods of a node leave it, as their disruption budgets allow.
    Drain {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
        /// The district of the ticket, whose pods it moves and no other district's; none for a hub-wide ticket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        district: Option<String>,
        /// What the change agrees to lose.
        #[serde(default, skip_serializing_if = "DrainConsent::is_none")]
        consent: DrainConsent,
    },
    /// Applies a component's bundle on a site and removes objects that only the previous bundle had. The previous bundle is kept for a rollback.
    InstallComponent {
        /// The site.
        site: SiteName,
        /// The component.
        component: String,
        /// Its version.
        version: String,
        /// Where its manifests are.
        bundle: Bundle,
        /// Digest of the bundle that was agreed to. Another one is not applied.
        digest: String,
    },
    /// Rolls back: applies the previous bundle again and removes objects that only this version had.
    RevertComponent {
        /// The site.
        site: SiteName,
        /// The component.
        component: String,
        /// The version that is taken back.
        version: String,
    },
    /// The right to write a component's bundle is taken back, if a crash has left it.
    EndInstallation {
        /// The site.
        site: SiteName,
        /// The component.
        component: String,
    },
    /// Checks hold all the time, for so long.
    Watch {
        /// The site.
        site: SiteName,
        /// The checks, each with its namespace.
        checks: Vec<(String, Check)>,
        /// For how long.
        #[serde(with = "crate::time::gep2257")]
        duration: SignedDuration,
    },
    /// Namespaces are made where they are missing; those that exist stay as they are.
    MakeNamespaces {
        /// The site.
        site: SiteName,
        /// The namespaces.
        namespaces: Vec<String>,
        /// Name of the District whose they are.
        district: String,
        /// Only look whether they may be written to; make none.
        #[serde(default)]
        preview: bool,
    },
    /// Nothing: the step is its question.
    Ask {},
}

impl Action {
    /// One word for metrics: what kind of effect it is.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Move { task, .. } => task.word(),
            Self::Execute { .. } => "execute",
            Self::Preflight { .. } => "preflight",
            Self::Isolate { .. } => "isolate",
            Self::ProveIsolation { .. } => "proveIsolation",
            Self::RemoveBubble { .. } => "removeBubble",
            Self::Stop { .. } => "stop",
            Self::StartAgain { .. } => "startAgain",
            Self::Start { .. } => "start",
            Self::Check { .. } => "check",
            Self::ReadMarker { .. } => "readMarker",
            Self::TakeSnapshots { .. } => "takeSnapshots",
            Self::RemoveSnapshots { .. } => "removeSnapshots",
            Self::RemoveMovers { .. } => "removeMovers",
            Self::TakeBackup { .. } => "takeBackup",
            Self::Silence { .. } => "silence",
            Self::EndSilence { .. } => "endSilence",
            Self::InspectNode { .. } => "inspectNode",
            Self::Cordon { .. } => "cordon",
            Self::Uncordon { .. } => "uncordon",
            Self::Drain { .. } => "drain",
            Self::InstallComponent { .. } => "installComponent",
            Self::RevertComponent { .. } => "revertComponent",
            Self::EndInstallation { .. } => "endInstallation",
            Self::Watch { .. } => "watch",
            Self::MakeNamespaces { .. } => "makeNamespaces",
            Self::Ask {} => "ask",
        }
    }

    /// The site that it touches.
    pub fn site(&self) -> Option<&SiteName> {
        match self {
            Self::Move { site, .. }
            | Self::Execute { site, .. }
            | Self::Preflight { site, .. }
            | Self::Isolate { site, .. }
            | Self::ProveIsolation { site, .. }
            | Self::RemoveBubble { site, .. }
            | Self::Stop { site, .. }
            | Self::StartAgain { site, .. }
            | Self::Start { site, .. }
            | Self::Check { site, .. }
            | Self::ReadMarker { site, .. }
            | Self::TakeSnapshots { site, .. }
            | Self::RemoveSnapshots { site, .. }
            | Self::RemoveMovers { site, .. }
            | Self::Silence { site, .. }
            | Self::EndSilence { site, .. }
            | Self::InspectNode { site, .. }
            | Self::Cordon { site, .. }
            | Self::Uncordon { site, .. }
            | Self::Drain { site, .. }
            | Self::InstallComponent { site, .. }
            | Self::RevertComponent { site, .. }
            | Self::EndInstallation { site, .. }
            | Self::MakeNamespaces { site, .. }
            | Self::Watch { site, .. } => Some(site),
            Self::TakeBackup { .. } | Self::Ask {} => None,
        }
    }
}
