//! The site's node: containerd and the kubelet, in a mount namespace of their own that goes when they do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::Site;
use crate::bed::disk::EVICTION_PERCENT;
use crate::bed::error::{BedError, Result};
use crate::bed::network::{DNS_SERVICE, NO_RESOLVER, pods};
use crate::bed::process::Room;
use crate::bed::wait::while_running;
use crate::images::PAUSE;

/// How long containerd may take to answer.
const CONTAINERD: Duration = Duration::from_mins(1);

/// Kernel settings that a kubelet writes. They are the whole machine's, so each is covered by a file of the site's own.
const SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// What the keeper does before it sleeps: in a mount namespace that nobody else sees, folders that programs have fixed in their code
/// become the site's own, and so do the kernel's settings. Bridged packets go through the firewall, which enforces NetworkPolicies.
const KEEPER: &str = r#"
set -eu
mount --make-rprivate /
mkdir -p "$P861_SITE/run/containerd" "$P861_SITE/run/runc" "$P861_SITE/cni-cache"
mkdir -p /run/containerd /run/runc /var/lib/cni
mount --bind "$P861_SITE/run/containerd" /run/containerd
mount --bind "$P861_SITE/run/runc" /run/runc
mount --bind "$P861_SITE/cni-cache" /var/lib/cni
for setting in $P861_SETTINGS; do
  [ ! -e "/proc/sys/$setting" ] || mount --bind "$P861_SITE/settings/$(echo "$setting" | tr / .)" "/proc/sys/$setting"
done
for setting in net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables net/bridge/bridge-nf-call-ip6tables; do
  echo 1 > "/proc/sys/$setting"
done
: > "$P861_SITE/keeper.ready"
exec sleep infinity
"#;

impl Site {
    /// Where its node's containerd answers.
    pub fn containerd_socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    pub(super) fn policy_socket(&self) -> PathBuf {
        self.folder.join("network-policy.sock")
    }

    /// The room of those who share the keeper's mounts.
    pub(super) fn room_with_mounts(&self) -> Result<Room> {
        let keeper = self.room.process("keeper");
        keeper.check()?;
        Ok(Room { mounts: keeper.id(), ..self.room.clone() })
    }

    pub(super) fn start_keeper(&self) -> Result<()> {
        let settings = self.folder.join("settings");
        fs::create_dir_all(&settings).map_err(BedError::io(&settings))?;
        for (name, value) in SETTINGS {
            write(&settings.join(name.replace('/', ".")), &format!("{value}\n"))?;
        }
        let arguments = ["--mount", "sh", "-c", KEEPER].map(str::to_owned);
        let environment = [("P861_SITE".to_owned(), self.folder.display().to_string()), ("P861_SETTINGS".to_owned(), SETTINGS.map(|(name, _)| name).join(" "))];
        let keeper = self.room.start("keeper", Path::new("unshare"), &arguments, &environment)?;
        let ready = self.folder.join("keeper.ready");
        while_running(std::slice::from_ref(&keeper), &format!("the mounts of {} are made", self.name), CONTAINERD, || {
            if ready.exists() { Ok(()) } else { Err("the keeper is at work".to_owned()) }
        })
    }

    pub(super) fn start_containerd(&self) -> Result<()> {
        let [root, state, cni] = ["containerd", "run/containerd-state", "cni"].map(|name| self.folder.join(name));
        fs::create_dir_all(&cni).map_err(BedError::io(&cni))?;
        let socket = self.containerd_socket();
        let config = self.folder.join("containerd.toml");
        write(
            &config,
            &format!(
                r#"version = 2
root = "{root}"
state = "{state}"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{socket}"

[ttrpc]
address = "{socket}.ttrpc"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
device_ownership_from_security_context = false

[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_bin}"
conf_dir = "{cni}"
"#,
                root = root.display(),
                state = state.display(),
                socket = socket.display(),
                runc = self.components.runc.display(),
                cni_bin = self.components.cni_bin_dir.display(),
                cni = cni.display(),
            ),
        )?;
        let plugins = json!({
            "cniVersion": "1.0.0", "name": "p861",
            "plugins": [
                {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
                 "ipam": {"type": "host-local", "ranges": [[{"subnet": pods(self.position)}]], "dataDir": self.folder.join("addresses")}},
                {"type": "network-policy", "socket": self.policy_socket()},
            ],
        });
        write(&cni.join("10-p861.conflist"), &format!("{plugins:#}\n"))?;
        let containerd = self.room_with_mounts()?.start("containerd", &self.components.containerd, &["--config".into(), config.display().to_string()], &[])?;
        while_running(&[containerd], &format!("containerd of {} answers", self.name), CONTAINERD, || {
            std::os::unix::net::UnixStream::connect(&socket).map(drop).map_err(|error| error.to_string())
        })
    }

    pub(super) fn start_kubelet(&self) -> Result<()> {
        let certificates = self.certificates();
        let (certificate, key) = certificates.of("kubelet");
        let resolver = self.folder.join("resolv.conf");
        // Nobody outside answers names: a bed leads nowhere.
        write(&resolver, NO_RESOLVER)?;
        let percent = format!("{EVICTION_PERCENT}%");
        let [plugins, logs] = ["volume-plugins", "pod-logs"].map(|name| self.folder.join(name));
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupRoot": self.cgroup_root, "failSwapOn": false, "oomScoreAdj": 0,
            "containerRuntimeEndpoint": format!("unix://{}", self.containerd_socket().display()),
            "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": certificates.authority()}},
            "authorization": {"mode": "Webhook"}, "tlsCertFile": certificate, "tlsPrivateKeyFile": key,
            "clusterDNS": [DNS_SERVICE], "clusterDomain": "cluster.local", "resolvConf": resolver,
            "podLogsDir": logs, "volumePluginDir": plugins, "healthzBindAddress": "127.0.0.1",
            // A bed lives for an hour on somebody's machine: what it evicts for would be that machine's state.
            "evictionHard": {"memory.available": "64Mi", "nodefs.available": percent, "nodefs.inodesFree": percent, "imagefs.available": percent},
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99, "enforceNodeAllocatable": ["none"],
            "maxPods": 200, "nodeStatusUpdateFrequency": "4s", "syncFrequency": "10s", "serializeImagePulls": false,
            "registryPullQPS": 0, "eventRecordQPS": 0, "kubeAPIQPS": 200, "kubeAPIBurst": 400,
        });
        let file = self.folder.join("kubelet.json");
        write(&file, &format!("{config:#}\n"))?;
        let arguments = [
            format!("--config={}", file.display()),
            format!("--kubeconfig={}", self.kubeconfig_of("kubelet").display()),
            format!("--hostname-override={}", self.node()),
            format!("--node-ip={}", self.address),
            format!("--root-dir={}", self.folder.join("kubelet").display()),
            format!("--node-labels=topology.kubernetes.io/zone={}", self.name),
        ];
        self.room_with_mounts()?.start("kubelet", &self.components.kubelet, &arguments, &[]).map(drop)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(BedError::io(path))
}
