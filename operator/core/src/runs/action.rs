//! One effect, as the compiler states it and the operator performs it.

use super::task::MoverTask;
use jiff::Timestamp;
use p861_crds::{
    WorkloadReference,
    common::ContainerCommand,
    platform::application::{Check, Marker},
    protection::backup::VerificationLevel,
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
    /// Networks (CIDR) that pods of the bubble may reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_egress: Vec<String>,
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
    pub snapshot: String,
    /// Its recovery point.
    pub time: Timestamp,
    /// How far it was proven before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<VerificationLevel>,
}

/// One effect. Each is idempotent: performed again after a crash it finds what it did before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// A mover moves data beside the data.
    Move {
        /// The site.
        site: String,
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
        site: String,
        /// The namespace of the workload.
        namespace: String,
        /// The command.
        command: ContainerCommand,
    },
    /// The standby is looked at before anything is made.
    Preflight {
        /// The site.
        site: String,
        /// What will be recovered.
        subjects: Vec<PreflightSubject>,
    },
    /// The bubble is made: namespaces, default deny, room for movers.
    Isolate {
        /// The site.
        site: String,
        /// The bubble.
        bubble: Bubble,
    },
    /// The bubble is removed, with everything that the run made.
    RemoveBubble {
        /// The site.
        site: String,
        /// The bubble.
        bubble: Bubble,
    },
    /// Workloads get the replicas that they had, and are ready.
    Start {
        /// The site.
        site: String,
        /// Namespace → workloads; an empty list means all that still stand still.
        workloads: BTreeMap<String, Vec<WorkloadReference>>,
    },
    /// A check holds.
    Check {
        /// The site.
        site: String,
        /// The namespace.
        namespace: String,
        /// The check.
        check: Check,
    },
    /// The newest marker is read in the recovered application.
    ReadMarker {
        /// The site.
        site: String,
        /// The namespace.
        namespace: String,
        /// How.
        marker: Marker,
    },
    /// Jobs, Secrets and permissions of the run's movers are removed.
    RemoveMovers {
        /// The site.
        site: String,
        /// Where they were.
        namespaces: Vec<String>,
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
            Self::RemoveBubble { .. } => "removeBubble",
            Self::Start { .. } => "start",
            Self::Check { .. } => "check",
            Self::ReadMarker { .. } => "readMarker",
            Self::RemoveMovers { .. } => "removeMovers",
            Self::Ask {} => "ask",
        }
    }

    /// The site that it touches.
    pub fn site(&self) -> Option<&str> {
        match self {
            Self::Move { site, .. }
            | Self::Execute { site, .. }
            | Self::Preflight { site, .. }
            | Self::Isolate { site, .. }
            | Self::RemoveBubble { site, .. }
            | Self::Start { site, .. }
            | Self::Check { site, .. }
            | Self::ReadMarker { site, .. }
            | Self::RemoveMovers { site, .. } => Some(site),
            Self::Ask {} => None,
        }
    }
}
