//! The ids of steps: one grammar for every kind of run.
//!
//! ```text
//! <verb>/<application or site>/<kind>/<name>        a step needs no more parts than tell it from the others
//! save/approval/volume/attachments
//! start/approval/tier/data
//! cordon/laoshan-dr/node-3
//! clean-up
//! ```
//! Ids are public: the journal, the status, reports and people name steps by them. Code asks what a step is by its key, never by its text.

mod text;

use crate::{
    engine::{StepId, StepIdError},
    ids::SiteName,
};

/// What a step does, and to what. `Display` writes its id and `FromStr` reads it back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKey {
    /// `preflight`: the target is examined before anything is made.
    Preflight,
    /// `isolate`: the namespaces of a drill are made and closed.
    Isolate,
    /// `prove-isolation`: a pod in them reaches nothing outside.
    ProveIsolation,
    /// `prepare`: the namespaces that a restore writes to are made where they are missing; a preview only looks at them.
    Prepare,
    /// `hold`: the result of a drill is kept for people to look at.
    Hold,
    /// `manual`: people work, and say when they are done.
    Manual,
    /// `clean-up`: what the run made beside its result is removed.
    CleanUp,
    /// `forget`: snapshots are forgotten.
    Forget,
    /// `prune`: what no snapshot needs leaves the repository.
    Prune,
    /// `quiesce/<application>`: the application holds still.
    Quiesce {
        /// The application.
        application: String,
    },
    /// `snapshot/<application>`: snapshots of its volumes are taken.
    Snapshot {
        /// The application.
        application: String,
    },
    /// `remove-snapshots/<application>`: they are removed again.
    RemoveSnapshots {
        /// The application.
        application: String,
    },
    /// `resume/<application>`: it goes on.
    Resume {
        /// The application.
        application: String,
    },
    /// `save/<application>/<part>`: a part of a backup is written to the repository.
    Save {
        /// The application.
        application: String,
        /// The part.
        part: Part,
    },
    /// `seal/<application>`: the parts become one snapshot.
    Seal {
        /// The application.
        application: String,
    },
    /// `verify/<application>`: the repository has every byte of the snapshot.
    Verify {
        /// The application.
        application: String,
    },
    /// `restore/<application>/<part>`: a part of a backup is written to the target.
    Restore {
        /// The application.
        application: String,
        /// The part.
        part: Part,
    },
    /// `compare/<application>`: objects that are there already are those of the backup, or can be made so. `compare/<application>/volume/<claim>`: nothing in a claim
    /// stands in the way of its files.
    Compare {
        /// The application.
        application: String,
        /// The claim; none for the objects.
        volume: Option<String>,
    },
    /// `stop/<application>`: everything that runs pods where data will be written is stopped.
    Stop {
        /// The application.
        application: String,
    },
    /// `start/<application>/tier/<tier>` or `start/<application>/rest`: workloads start.
    Start {
        /// The application.
        application: String,
        /// The tier; none for the workloads of no tier.
        tier: Option<String>,
    },
    /// `marker/<application>`: the marker that proves the recovery point is read.
    Marker {
        /// The application.
        application: String,
    },
    /// `check/<application>/<check>`: one of the application's checks holds.
    Check {
        /// The application.
        application: String,
        /// The check.
        check: String,
    },
    /// `backup/<application>`: a Backup is taken before a change.
    Backup {
        /// The application.
        application: String,
    },
    /// `silence/<site>`: alerts about what a change touches are silenced.
    Silence {
        /// The site of the Alertmanager.
        site: SiteName,
    },
    /// `end-silence/<site>`: they are heard again.
    EndSilence {
        /// The site of the Alertmanager.
        site: SiteName,
    },
    /// `inspect/<site>/<node>`: a node is examined before it is drained.
    Inspect {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
    },
    /// `cordon/<site>/<node>`: the node takes no new pods.
    Cordon {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
    },
    /// `drain/<site>/<node>`: its pods leave.
    Drain {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
    },
    /// `uncordon/<site>/<node>`: it takes pods again.
    Uncordon {
        /// The site.
        site: SiteName,
        /// The node.
        node: String,
    },
    /// `install/<site>/<component>`: a version of a component is applied.
    Install {
        /// The site.
        site: SiteName,
        /// The component.
        component: String,
    },
    /// `health/<site>/<component>/<check>`: a check of the component holds.
    Health {
        /// The site.
        site: SiteName,
        /// The component.
        component: String,
        /// The check.
        check: String,
    },
    /// `watch/<site>/<component>`: its checks hold all the time, for so long.
    Watch {
        /// The site.
        site: SiteName,
        /// The component.
        component: String,
    },
    /// `end-install/<site>/<component>`: the right to write the component is taken back.
    EndInstall {
        /// The site.
        site: SiteName,
        /// The component.
        component: String,
    },
    /// A step that the author of a plan added, under the name that the author gave it.
    Extra {
        /// The name.
        name: String,
    },
}

/// A part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `objects`.
    Objects,
    /// `objects-again`: those that could not be written before the application ran. Of a restore only.
    ObjectsAgain,
    /// `volume/<claim>`; outside the application's first namespace `volume/<namespace>.<claim>`.
    Volume(String),
    /// `stream/<stream>`.
    Stream(String),
}

impl Part {
    /// The volume of which a snapshot has this part, for example `volumes/attachments`. See [`crate::names::volume_part`].
    fn volume(part: &str) -> Self {
        Self::Volume(part.strip_prefix("volumes/").unwrap_or(part).into())
    }
}

/// A text that is not the id of a step of any run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no step's id: they are like restore/<application>/volume/<claim>, see docs/ENGINE.md")]
pub struct StepKeyError {
    /// What was given.
    pub text: String,
}

impl StepKey {
    /// `quiesce/<application>`
    pub fn quiesce(application: &str) -> Self {
        Self::Quiesce { application: application.into() }
    }

    /// `snapshot/<application>`
    pub fn snapshot(application: &str) -> Self {
        Self::Snapshot { application: application.into() }
    }

    /// `remove-snapshots/<application>`
    pub fn remove_snapshots(application: &str) -> Self {
        Self::RemoveSnapshots { application: application.into() }
    }

    /// `resume/<application>`
    pub fn resume(application: &str) -> Self {
        Self::Resume { application: application.into() }
    }

    /// `save/<application>/objects`
    pub fn save_objects(application: &str) -> Self {
        Self::Save { application: application.into(), part: Part::Objects }
    }

    /// `save/<application>/volume/<claim>`, from the part of the snapshot: `volumes/<claim>`.
    pub fn save_volume(application: &str, part: &str) -> Self {
        Self::Save { application: application.into(), part: Part::volume(part) }
    }

    /// `save/<application>/stream/<stream>`
    pub fn save_stream(application: &str, stream: &str) -> Self {
        Self::Save { application: application.into(), part: Part::Stream(stream.into()) }
    }

    /// `seal/<application>`
    pub fn seal(application: &str) -> Self {
        Self::Seal { application: application.into() }
    }

    /// `verify/<application>`
    pub fn verify(application: &str) -> Self {
        Self::Verify { application: application.into() }
    }

    /// `restore/<application>/objects`
    pub fn restore_objects(application: &str) -> Self {
        Self::Restore { application: application.into(), part: Part::Objects }
    }

    /// `restore/<application>/objects-again`
    pub fn restore_objects_again(application: &str) -> Self {
        Self::Restore { application: application.into(), part: Part::ObjectsAgain }
    }

    /// `restore/<application>/volume/<claim>`, from the part of the snapshot: `volumes/<claim>`.
    pub fn restore_volume(application: &str, part: &str) -> Self {
        Self::Restore { application: application.into(), part: Part::volume(part) }
    }

    /// `restore/<application>/stream/<stream>`
    pub fn restore_stream(application: &str, stream: &str) -> Self {
        Self::Restore { application: application.into(), part: Part::Stream(stream.into()) }
    }

    /// `compare/<application>`
    pub fn compare(application: &str) -> Self {
        Self::Compare { application: application.into(), volume: None }
    }

    /// `compare/<application>/volume/<claim>`, from the part of the snapshot: `volumes/<claim>`.
    pub fn compare_volume(application: &str, part: &str) -> Self {
        Self::Compare { application: application.into(), volume: Some(part.strip_prefix("volumes/").unwrap_or(part).into()) }
    }

    /// `stop/<application>`
    pub fn stop(application: &str) -> Self {
        Self::Stop { application: application.into() }
    }

    /// `start/<application>/tier/<tier>`
    pub fn start_tier(application: &str, tier: &str) -> Self {
        Self::Start { application: application.into(), tier: Some(tier.into()) }
    }

    /// `start/<application>/rest`
    pub fn start_rest(application: &str) -> Self {
        Self::Start { application: application.into(), tier: None }
    }

    /// `marker/<application>`
    pub fn marker(application: &str) -> Self {
        Self::Marker { application: application.into() }
    }

    /// `check/<application>/<check>`
    pub fn check(application: &str, check: &str) -> Self {
        Self::Check { application: application.into(), check: check.into() }
    }

    /// `backup/<application>`
    pub fn backup(application: &str) -> Self {
        Self::Backup { application: application.into() }
    }

    /// `silence/<site>`
    pub fn silence(site: &SiteName) -> Self {
        Self::Silence { site: site.clone() }
    }

    /// `end-silence/<site>`
    pub fn end_silence(site: &SiteName) -> Self {
        Self::EndSilence { site: site.clone() }
    }

    /// `inspect/<site>/<node>`
    pub fn inspect(site: &SiteName, node: &str) -> Self {
        Self::Inspect { site: site.clone(), node: node.into() }
    }

    /// `cordon/<site>/<node>`
    pub fn cordon(site: &SiteName, node: &str) -> Self {
        Self::Cordon { site: site.clone(), node: node.into() }
    }

    /// `drain/<site>/<node>`
    pub fn drain(site: &SiteName, node: &str) -> Self {
        Self::Drain { site: site.clone(), node: node.into() }
    }

    /// `uncordon/<site>/<node>`
    pub fn uncordon(site: &SiteName, node: &str) -> Self {
        Self::Uncordon { site: site.clone(), node: node.into() }
    }

    /// `install/<site>/<component>`
    pub fn install(site: &SiteName, component: &str) -> Self {
        Self::Install { site: site.clone(), component: component.into() }
    }

    /// `health/<site>/<component>/<check>`
    pub fn health(site: &SiteName, component: &str, check: &str) -> Self {
        Self::Health { site: site.clone(), component: component.into(), check: check.into() }
    }

    /// `watch/<site>/<component>`
    pub fn watch(site: &SiteName, component: &str) -> Self {
        Self::Watch { site: site.clone(), component: component.into() }
    }

    /// `end-install/<site>/<component>`
    pub fn end_install(site: &SiteName, component: &str) -> Self {
        Self::EndInstall { site: site.clone(), component: component.into() }
    }

    /// A step of a plan's author. Its name may be no word of the grammar: [`StepKey::id`] refuses `hold`.
    pub fn extra(name: &str) -> Self {
        Self::Extra { name: name.into() }
    }

    /// The id of the step.
    ///
    /// # Errors
    /// [`StepIdError`] if a name in it is empty or has a slash or another character that ids don't have, if it is too long, or if an extra step has the
    /// name of a step of the run.
    pub fn id(&self) -> Result<StepId, StepIdError> {
        let id = StepId::new(self.to_string())?;
        if Self::of(&id).as_ref() == Some(self) {
            return Ok(id);
        }
        Err(StepIdError { text: id.to_string(), problem: "it means another step of the run" })
    }

    /// What the step of that id does; none if no run has such a step.
    pub fn of(id: &StepId) -> Option<Self> {
        id.as_str().parse().ok()
    }

    /// The application that the step is about; none if it is about a site, or about the run as a whole.
    pub fn application(&self) -> Option<&str> {
        match self {
            Self::Quiesce { application }
            | Self::Snapshot { application }
            | Self::RemoveSnapshots { application }
            | Self::Resume { application }
            | Self::Save { application, .. }
            | Self::Seal { application }
            | Self::Verify { application }
            | Self::Restore { application, .. }
            | Self::Compare { application, .. }
            | Self::Stop { application }
            | Self::Start { application, .. }
            | Self::Marker { application }
            | Self::Check { application, .. }
            | Self::Backup { application } => Some(application),
            Self::Preflight
            | Self::Isolate
            | Self::ProveIsolation
            | Self::Prepare
            | Self::Hold
            | Self::Manual
            | Self::CleanUp
            | Self::Forget
            | Self::Prune
            | Self::Silence { .. }
            | Self::EndSilence { .. }
            | Self::Inspect { .. }
            | Self::Cordon { .. }
            | Self::Drain { .. }
            | Self::Uncordon { .. }
            | Self::Install { .. }
            | Self::Health { .. }
            | Self::Watch { .. }
            | Self::EndInstall { .. }
            | Self::Extra { .. } => None,
        }
    }

    /// Whether the step reads the application's backup: a failure of it may be the backup's.
    pub fn reads_backup_of(&self, application: &str) -> bool {
        matches!(self, Self::Verify { .. } | Self::Restore { .. }) && self.application() == Some(application)
    }
}

impl TryFrom<StepKey> for StepId {
    type Error = StepIdError;
    fn try_from(key: StepKey) -> Result<Self, Self::Error> {
        key.id()
    }
}

impl PartialEq<StepKey> for StepId {
    fn eq(&self, key: &StepKey) -> bool {
        StepKey::of(self).as_ref() == Some(key)
    }
}

#[cfg(test)]
mod tests;
