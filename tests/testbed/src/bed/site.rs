//! One site: a Kubernetes cluster of one node, every part of it real.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::certificates::{Access, Certificates, Holder, write_kubeconfig};
use super::cgroups::Cgroups;
use super::error::{BedError, Result};
use super::network::{API_SERVICE, Network};
use super::place::Place;
use super::process::{Process, Room};
use crate::components::Components;
use crate::components::run::run;
use crate::images::Image;

mod addons;
mod control_plane;
mod node;

/// How long one call of kubectl may take.
const KUBECTL: Duration = Duration::from_mins(2);

/// A site of a bed.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub name: String,
    pub(crate) position: u8,
    /// The address of its node and API server.
    pub address: Ipv4Addr,
    pub(crate) folder: PathBuf,
    pub(crate) components: Components,
    room: Room,
    network: Network,
    cgroup_root: String,
}

impl Site {
    pub(crate) fn of(place: &Place, name: &str, position: u8, components: &Components, cgroups: &Cgroups) -> Self {
        let folder = place.folder().join("sites").join(name);
        Self {
            name: name.to_owned(),
            position,
            address: place.site(position),
            room: Room { network: place.namespace_file(name), mounts: None, cgroup: Some(cgroups.join()), folder: folder.join("processes") },
            folder,
            components: components.clone(),
            network: Network::of(place, &components.ip),
            cgroup_root: format!("/{}/{name}", place.cgroup()),
        }
    }

    /// Brings the site up. The images are there for its pods when this returns; its node is Ready and its DNS answers.
    pub(crate) fn up(&self, images: &[Image]) -> Result<()> {
        self.network.make_site(&self.name, self.position)?;
        self.make_certificates()?;
        self.start_etcd()?;
        self.start_api_server()?;
        self.start_keeper()?;
        // While the API server starts, the images are brought in.
        let images = std::thread::scope(|scope| {
            let importing = scope.spawn(|| {
                self.start_containerd()?;
                images.iter().try_for_each(|image| self.import(image))
            });
            let control = self.wait_api_server().and_then(|()| self.start_managers());
            let importing = importing.join().unwrap_or_else(|_| Err(BedError::Refused(format!("importing images into {} panicked", self.name))));
            control.and(importing)
        });
        images?;
        self.start_kubelet()?;
        self.apply_addons()?;
        self.wait_ready()
    }

    /// The name of its node. Not the site's own: people would take one for the other.
    pub fn node(&self) -> String {
        format!("{}-1", self.name)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// The URL of its API server.
    pub fn server(&self) -> String {
        format!("https://{}:6443", self.address)
    }

    /// Runs kubectl as administrator, and gives what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.components.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        run(&mut command, KUBECTL).map_err(BedError::run(format!("kubectl on {}", self.name)))
    }

    /// Applies a manifest, server-side.
    pub fn apply(&self, file: &Path) -> Result<()> {
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &file.to_string_lossy()]).map(drop)
    }

    /// Brings an image in for the site's pods.
    pub fn import(&self, image: &Image) -> Result<()> {
        let arguments =
            ["--address", &self.containerd_socket().to_string_lossy(), "--namespace", "k8s.io", "images", "import", &image.archive.to_string_lossy()]
                .map(str::to_owned);
        let mut command = self.room_with_mounts()?.command(&self.components.ctr, &arguments);
        run(&mut command, KUBECTL).map(drop).map_err(BedError::run(format!("{} is brought into {}", image.reference, self.name)))
    }

    /// Cuts the site off from everything outside.
    pub fn cut(&self) -> Result<()> {
        self.network.set_wire(&self.name, false)
    }

    /// Joins the site again.
    pub fn join(&self) -> Result<()> {
        self.network.set_wire(&self.name, true)
    }

    /// A process of the site: `etcd`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kube-proxy`, `network-policy`,
    /// `containerd` or `kubelet`.
    pub fn process(&self, name: &str) -> Process {
        self.room.process(name)
    }

    /// Every process of the site.
    pub fn processes(&self) -> Vec<Process> {
        ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "network-policy", "containerd", "kubelet"]
            .map(|name| self.process(name))
            .into()
    }

    /// Starts the API server again after it was stopped or killed, and waits until it is ready.
    pub fn restart_api_server(&self) -> Result<()> {
        self.start_api_server()?;
        self.wait_api_server()
    }

    /// Starts the kubelet again after it was stopped or killed.
    pub fn restart_kubelet(&self) -> Result<()> {
        self.start_kubelet()
    }

    fn certificates(&self) -> Certificates {
        Certificates::at(&self.folder.join("certificates"))
    }

    fn make_certificates(&self) -> Result<()> {
        let node = self.node();
        let user = format!("system:node:{node}");
        let service = API_SERVICE.parse().map_err(|_| BedError::Refused(format!("{API_SERVICE} is no address")))?;
        let addresses = [self.address.into(), service, Ipv4Addr::LOCALHOST.into()];
        let client = |file, name, group| Holder { file, name, group, hosts: &[], addresses: &[] };
        let hosts = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"];
        let certificates = self.certificates();
        certificates.make(
            &self.name,
            &[
                Holder { file: "kube-apiserver", name: "kube-apiserver", group: None, hosts: &hosts, addresses: &addresses },
                Holder { file: "kubelet", name: &user, group: Some("system:nodes"), hosts: &[&node], addresses: &addresses },
                client("kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters")),
                client("admin", "administrator", Some("system:masters")),
                client("kube-controller-manager", "system:kube-controller-manager", None),
                client("kube-scheduler", "system:kube-scheduler", None),
                client("kube-proxy", "system:kube-proxy", None),
                client("network-policy", "network-policy", Some("system:masters")),
            ],
        )?;
        write_kubeconfig(&self.kubeconfig(), &[self.access("admin")])?;
        ["kube-controller-manager", "kube-scheduler", "kube-proxy", "network-policy", "kubelet"]
            .into_iter()
            .try_for_each(|holder| write_kubeconfig(&self.kubeconfig_of(holder), &[self.access(holder)]))
    }

    fn access<'a>(&'a self, holder: &'a str) -> Access<'a> {
        Access { context: &self.name, server: self.server(), certificates: self.certificates(), holder }
    }

    /// Writes one kubeconfig for the administrator of several sites, with a context named as each. That of the first site is the current one.
    pub(super) fn write_kubeconfig_of_all(path: &Path, sites: &[&Self]) -> Result<()> {
        write_kubeconfig(path, &sites.iter().map(|site| site.access("admin")).collect::<Vec<_>>())
    }

    fn kubeconfig_of(&self, holder: &str) -> PathBuf {
        self.folder.join(format!("{holder}.kubeconfig"))
    }
}
