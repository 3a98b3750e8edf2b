//! What each action touches. Every field of every action is named here, so that a new one can't be forgotten.

use crate::{
    ids::SiteName,
    isolation::Entrypoint,
    runs::{
        action::{Action, Bubble, ClaimSnapshot, PreflightSubject},
        task::{CopyRules, MoverTask, SealFacts, SnapshotToForget},
    },
};
use p861_crds::{
    WorkloadReference,
    common::ContainerCommand,
    platform::{
        application::{ClusterResource, Marker},
        check::{Check, ConditionCheck, ExecCheck, HttpCheck, TcpCheck},
        platform::{Bundle, OciBundle},
    },
};
use std::collections::BTreeMap;

/// An object on the hub that an action names, always in its run's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubObject<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a str,
}

/// Everything that an action touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched<'a> {
    /// Sites.
    pub sites: Vec<&'a SiteName>,
    /// Namespaces on these sites that it reads, writes or runs something in.
    pub namespaces: Vec<&'a str>,
    /// Namespaces that references to workloads name themselves, each after the namespace in which the action looks for the workload.
    pub workloads: Vec<(&'a str, &'a str)>,
    /// Namespaces as a backup names them: where its data came from.
    pub sources: Vec<&'a str>,
    /// Isolated copies that it makes or removes: original, copy, the drill's id.
    pub copies: Vec<(&'a str, &'a str, &'a str)>,
    /// Drills, by their ids, whose copies it makes or removes.
    pub drills: Vec<&'a str>,
    /// Cluster-scoped objects of these sites.
    pub cluster: Vec<&'a ClusterResource>,
    /// Nodes, each after its site.
    pub nodes: Vec<(&'a SiteName, &'a str)>,
    /// Names of objects on these sites, as they stand in the paths of requests: nodes, claims, workloads, Services, components.
    pub names: Vec<&'a str>,
    /// Paths of pages that it fetches through an API server.
    pub pages: Vec<&'a str>,
    /// Districts, by the names of their Districts, whose namespaces it makes.
    pub districts: Vec<&'a str>,
    /// Labels that it gives to objects.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Its mover gets the credentials of the run's repository.
    pub uses_repository: bool,
    /// BackupRepositories that it names.
    pub repositories: Vec<&'a str>,
    /// Objects on the hub that it reads or makes.
    pub hub: Vec<HubObject<'a>>,
    /// Hub namespaces in whose name it acts.
    pub owners: Vec<&'a str>,
    /// It acts in the name of the city.
    pub as_city: bool,
    /// Labels of the alerts that it silences.
    pub silences: Vec<&'a BTreeMap<String, String>>,
}

impl<'a> Touched<'a> {
    fn at(site: &'a SiteName) -> Self {
        Self { sites: vec![site], ..Self::default() }
    }

    fn within(site: &'a SiteName, namespaces: impl IntoIterator<Item = &'a String>) -> Self {
        Self { namespaces: namespaces.into_iter().map(String::as_str).collect(), ..Self::at(site) }
    }

    fn on_node(site: &'a SiteName, node: &'a str) -> Self {
        Self { nodes: vec![(site, node)], ..Self::named(site, node) }
    }

    fn named(site: &'a SiteName, name: &'a str) -> Self {
        Self { names: vec![name], ..Self::at(site) }
    }

    /// A workload that is looked for in `namespace`.
    fn workload(&mut self, namespace: &'a str, workload: &'a WorkloadReference) {
        let WorkloadReference { kind: _, name, namespace: named } = workload;
        self.names.push(name);
        self.workloads.extend(named.as_deref().map(|named| (namespace, named)));
    }

    fn command(&mut self, namespace: &'a str, command: &'a ContainerCommand) {
        let ContainerCommand { workload_ref, container: _, command: _ } = command;
        self.workload(namespace, workload_ref);
    }

    fn check(&mut self, namespace: &'a str, check: &'a Check) {
        let Check { name: _, http, tcp, exec, condition, period: _, deadline: _, failures: _ } = check;
        if let Some(HttpCheck { service_name, port: _, path, expect: _ }) = http {
            self.names.push(service_name);
            self.pages.push(path);
        }
        if let Some(TcpCheck { service_name, port: _ }) = tcp {
            self.names.push(service_name);
        }
        if let Some(ExecCheck { workload_ref, container: _, command: _, expect: _ }) = exec {
            self.workload(namespace, workload_ref);
        }
        if let Some(ConditionCheck { workload_ref, r#type: _ }) = condition {
            self.workload(namespace, workload_ref);
        }
    }

    fn bubble(mut self, bubble: &'a Bubble) -> Self {
        let Bubble { id, namespaces, allow_egress: _, entrypoints } = bubble;
        // Host names of entrypoints, whatever they are, lead into copies only.
        for Entrypoint { hostname: _, namespace, service } in entrypoints {
            self.namespaces.push(namespace);
            self.names.push(service);
        }
        self.drills.push(id);
        self.copies.extend(namespaces.iter().map(|(original, copy)| (original.as_str(), copy.as_str(), id.as_str())));
        self
    }

    /// An owner is spelled `<hub namespace>/<name>`.
    fn owner(mut self, owner: &'a str) -> Self {
        self.owners.push(owner.split_once('/').map_or(owner, |(namespace, _)| namespace));
        self
    }

    fn hub(mut self, kind: &'static str, name: &'a str) -> Self {
        self.hub.push(HubObject { kind, name });
        self
    }

    fn task(&mut self, task: &'a MoverTask) {
        match task {
            MoverTask::BackupObjects { namespaces, exclude: _, cluster, parent: _ } => {
                self.namespaces.extend(namespaces.iter().map(String::as_str));
                self.cluster.extend(cluster);
            }
            MoverTask::BackupVolume { part: _, parent: _, from_snapshot: _ }
            | MoverTask::VerifyStored { snapshot: _ }
            | MoverTask::Prune { delay: _, max_repack_bytes: _, memory_limit: _ }
            | MoverTask::RestoreVolume { snapshot: _, part: _, paths: _, path_prefix: _, extra_files: _ }
            | MoverTask::PreviewVolume { snapshot: _, part: _, paths: _, path_prefix: _, extra_files: _, refuses: _ } => {}
            MoverTask::BackupStream { part: _, namespace, workload_ref, container: _, dump: _ }
            | MoverTask::RestoreStream { snapshot: _, part: _, namespace, workload_ref, container: _, restore: _ } => {
                self.namespaces.push(namespace);
                self.workload(namespace, workload_ref);
            }
            MoverTask::Seal { facts } => {
                let SealFacts { backup, application, district, site, namespaces, parts: _, missing: _, half_restored: _, consistent: _ } = facts;
                self.sites.push(site);
                self.namespaces.extend(namespaces.iter().map(String::as_str));
                self.owners.push(district);
                self.hub.extend([HubObject { kind: "Backup", name: backup }, HubObject { kind: "Application", name: application }]);
            }
            MoverTask::Forget { district, at: _, snapshots } => {
                self.owners.push(district);
                for SnapshotToForget { snapshot: _, application, backup, why: _ } in snapshots {
                    self.hub.push(HubObject { kind: "Application", name: application });
                    self.hub.extend(backup.iter().map(|name| HubObject { kind: "Backup", name }));
                }
            }
            MoverTask::RestoreObjects { snapshot: _, rules, select: _, workloads, exclude: _, cluster, conflict: _, mode: _, absent: _ } => {
                self.cluster.extend(cluster);
                let CopyRules { namespaces, storage_classes: _, images: _, isolated: _, stopped: _, cron_jobs: _, patches: _, kinds: _, resolver: _, labels } =
                    rules;
                self.namespaces.extend(namespaces.values().map(String::as_str));
                self.sources.extend(namespaces.keys().map(String::as_str));
                self.labels.extend(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
                for WorkloadReference { kind: _, name, namespace } in workloads {
                    self.names.push(name);
                    self.sources.extend(namespace.as_deref());
                }
            }
        }
    }
}

impl Action {
    /// Everything that the action touches, as far as it stands in the action. The effect itself must keep to it.
    pub fn touches(&self) -> Touched<'_> {
        match self {
            Self::Move { site, namespace, claim, namespaces, task } => {
                let mut touched = Touched { uses_repository: true, ..Touched::within(site, namespaces.iter().chain([namespace])) };
                touched.names.extend(claim.as_deref());
                touched.task(task);
                touched
            }
            Self::Execute { site, namespace, command } => {
                let mut touched = Touched::within(site, [namespace]);
                touched.command(namespace, command);
                touched
            }
            Self::Preflight { site, subjects } => subjects.iter().fold(Touched::at(site), |mut touched, subject| {
                let PreflightSubject { application, backup, repository, snapshot: _, time: _, level: _, classes: _, classes_unknown: _, images: _ } = subject;
                touched.repositories.push(repository);
                touched.hub("Application", application).hub("Backup", backup)
            }),
            Self::Isolate { site, bubble } | Self::ProveIsolation { site, bubble } | Self::RemoveBubble { site, bubble } => Touched::at(site).bubble(bubble),
            Self::Stop { site, namespaces } => {
                let mut touched = Touched::within(site, namespaces.keys());
                touched.names.extend(namespaces.values().flatten().map(String::as_str));
                touched
            }
            // What is only not waited for is not touched.
            Self::Start { site, workloads, claims, saved_as: _, awaited: _ } => {
                let mut touched = Touched::within(site, workloads.keys().chain(claims.keys()));
                touched.names.extend(claims.values().flatten().map(String::as_str));
                for (namespace, workload) in workloads.iter().flat_map(|(namespace, all)| all.iter().map(move |workload| (namespace, workload))) {
                    touched.workload(namespace, workload);
                }
                touched
            }
            Self::Check { site, namespace, check } => {
                let mut touched = Touched::within(site, [namespace]);
                touched.check(namespace, check);
                touched
            }
            Self::ReadMarker { site, namespace, marker } => {
                let mut touched = Touched::within(site, [namespace]);
                let Marker { workload_ref, container: _, period: _, write: _, read: _ } = marker;
                touched.workload(namespace, workload_ref);
                touched
            }
            // A snapshot stands in its claim's namespace; its classes are the site's.
            Self::TakeSnapshots { site, snapshots } => snapshots.iter().fold(Touched::at(site), |mut touched, snapshot| {
                let ClaimSnapshot { namespace, claim, class: _, storage_class: _, bytes: _ } = snapshot;
                touched.namespaces.push(namespace);
                touched.names.push(claim);
                touched
            }),
            Self::RemoveMovers { site, namespaces } | Self::StartAgain { site, namespaces } | Self::RemoveSnapshots { site, namespaces } => {
                Touched::within(site, namespaces)
            }
            Self::MakeNamespaces { site, namespaces, district, preview: _ } => {
                Touched { districts: vec![district.as_str()], ..Touched::within(site, namespaces) }
            }
            Self::TakeBackup { application, backup } => Touched::default().hub("Application", application).hub("Backup", backup),
            Self::Silence { site, owner, labels } => Touched { silences: labels.iter().collect(), ..Touched::at(site).owner(owner) },
            Self::EndSilence { site, owner } => Touched::at(site).owner(owner),
            Self::InspectNode { site, node, district, consent: _ } | Self::Drain { site, node, district, consent: _ } => {
                Touched { as_city: district.is_none(), owners: district.iter().map(String::as_str).collect(), ..Touched::on_node(site, node) }
            }
            Self::Cordon { site, node, owner } | Self::Uncordon { site, node, owner } => Touched::on_node(site, node).owner(owner),
            Self::InstallComponent { site, component, version: _, bundle, digest: _ } => {
                let Bundle { oci, config_map_ref } = bundle;
                let mut touched = config_map_ref.iter().fold(Touched::named(site, component), |touched, map| touched.hub("ConfigMap", &map.name));
                if let Some(OciBundle { image: _, digest: _, pull_secret_ref, ca_secret_ref }) = oci {
                    touched = pull_secret_ref.iter().chain(ca_secret_ref).fold(touched, |touched, secret| touched.hub("Secret", &secret.name));
                }
                touched
            }
            Self::RevertComponent { site, component, version: _ } | Self::EndInstallation { site, component } => Touched::named(site, component),
            Self::Watch { site, checks, duration: _ } => {
                let mut touched = Touched::within(site, checks.iter().map(|(namespace, _)| namespace));
                for (namespace, check) in checks {
                    touched.check(namespace, check);
                }
                touched
            }
            Self::Ask {} => Touched::default(),
        }
    }
}
