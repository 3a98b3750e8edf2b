//! etcd, the API server, and the managers that use it.

use std::time::Duration;

use super::Site;
use crate::bed::error::{BedError, Result};
use crate::bed::network::{SERVICES, pods};
use crate::bed::wait::while_running;

/// How long the API server may take until it is ready, on a machine that is busy with another site's.
const API_SERVER: Duration = Duration::from_mins(2);

impl Site {
    pub(super) fn start_etcd(&self) -> Result<()> {
        let data = self.folder.join("etcd");
        let arguments = [
            format!("--name={}", self.name),
            format!("--data-dir={}", data.display()),
            "--listen-client-urls=http://127.0.0.1:2379".into(),
            "--advertise-client-urls=http://127.0.0.1:2379".into(),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
            format!("--initial-cluster={}=http://127.0.0.1:2380", self.name),
            // A bed that loses power is thrown away.
            "--unsafe-no-fsync".into(),
            "--quota-backend-bytes=4294967296".into(),
        ];
        self.room.start("etcd", &self.components.etcd, &arguments, &[]).map(drop)
    }

    pub(super) fn start_api_server(&self) -> Result<()> {
        let certificates = self.certificates();
        let (certificate, key) = certificates.of("kube-apiserver");
        let (kubelet_certificate, kubelet_key) = certificates.of("kubelet-client");
        let (authority, (tokens, tokens_key)) = (certificates.authority(), certificates.tokens());
        let arguments = [
            "--etcd-servers=http://127.0.0.1:2379".into(),
            format!("--advertise-address={}", self.address),
            "--secure-port=6443".into(),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement".into(),
            "--allow-privileged=true".into(),
            format!("--client-ca-file={}", authority.display()),
            format!("--tls-cert-file={}", certificate.display()),
            format!("--tls-private-key-file={}", key.display()),
            format!("--kubelet-certificate-authority={}", authority.display()),
            format!("--kubelet-client-certificate={}", kubelet_certificate.display()),
            format!("--kubelet-client-key={}", kubelet_key.display()),
            "--kubelet-preferred-address-types=InternalIP".into(),
            format!("--service-cluster-ip-range={SERVICES}"),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
            format!("--service-account-key-file={}", tokens.display()),
            format!("--service-account-signing-key-file={}", tokens_key.display()),
            "--profiling=false".into(),
        ];
        self.room.start("kube-apiserver", &self.components.kube_apiserver, &arguments, &[]).map(drop)
    }

    pub(super) fn wait_api_server(&self) -> Result<()> {
        while_running(&[self.process("etcd"), self.process("kube-apiserver")], &format!("the API server of {} is ready", self.name), API_SERVER, || {
            self.kubectl(&["get", "--raw", "/readyz"]).map(drop).map_err(|error| error.to_string())
        })
    }

    pub(super) fn start_managers(&self) -> Result<()> {
        let certificates = self.certificates();
        let config = |holder: &str| self.kubeconfig_of(holder).display().to_string();
        let manager = [
            format!("--kubeconfig={}", config("kube-controller-manager")),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            "--use-service-account-credentials=true".into(),
            format!("--service-account-private-key-file={}", certificates.tokens().1.display()),
            format!("--root-ca-file={}", certificates.authority().display()),
            "--allocate-node-cidrs=true".into(),
            format!("--cluster-cidr={}", pods(self.position)),
            "--node-cidr-mask-size=24".into(),
            format!("--service-cluster-ip-range={SERVICES}"),
            // Short, because tests wait for a dead node to be seen.
            "--node-monitor-grace-period=20s".into(),
            "--node-monitor-period=2s".into(),
        ];
        self.room.start("kube-controller-manager", &self.components.kube_controller_manager, &manager, &[])?;
        let scheduler = [format!("--kubeconfig={}", config("kube-scheduler")), "--leader-elect=false".into(), "--bind-address=127.0.0.1".into()];
        self.room.start("kube-scheduler", &self.components.kube_scheduler, &scheduler, &[])?;
        let proxy_config = self.folder.join("kube-proxy.json");
        let text = serde_json::json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
            "clientConnection": {"kubeconfig": config("kube-proxy")}, "hostnameOverride": self.node(), "clusterCIDR": pods(self.position),
            "bindAddress": "0.0.0.0", "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
            // The machine's own limits are not a test bed's to change.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s", "udpTimeout": "0s", "udpStreamTimeout": "0s"},
            "nftables": {"syncPeriod": "10s", "minSyncPeriod": "0s"},
        });
        std::fs::write(&proxy_config, format!("{text:#}\n")).map_err(BedError::io(&proxy_config))?;
        self.room.start("kube-proxy", &self.components.kube_proxy, &[format!("--config={}", proxy_config.display())], &[])?;
        let policy = [
            format!("--kubeconfig={}", config("network-policy")),
            format!("--socket={}", self.policy_socket().display()),
            format!("--nft={}", self.components.nft.display()),
        ];
        self.room.start("network-policy", &self.components.network_policy, &policy, &[])?;
        let socket = self.policy_socket();
        while_running(&[self.process("network-policy")], &format!("the network policies of {} are in force", self.name), API_SERVER, || {
            std::os::unix::net::UnixStream::connect(&socket).map(drop).map_err(|error| error.to_string())
        })
    }
}
