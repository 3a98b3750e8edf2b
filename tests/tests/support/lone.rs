//! A Kubernetes API server with its etcd and nothing else: enough for what is decided at admission, and ready in seconds.

use super::{helm, programs};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long the API server may take until it is ready.
const READY: Duration = Duration::from_secs(240);
/// What it knows its administrator by.
const TOKEN: &str = "lone-administrator";

/// An API server with both charts installed. It ends when the last one who holds it lets go.
pub struct Lone {
    folder: TempDir,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

/// The server that runs now, or a new one with both charts installed.
pub fn lone() -> Arc<Lone> {
    static SHARED: Mutex<Weak<Lone>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let server = Arc::new(Lone::start_with_charts());
    *shared = Arc::downgrade(&server);
    server
}

impl Lone {
    /// A server of its own with both charts installed: for a test that kills or changes what others need.
    pub fn start_with_charts() -> Self {
        let server = Self::start();
        let kubeconfig = server.kubeconfig().to_string_lossy().into_owned();
        for (chart, namespace) in [("p861-crds", "default"), ("p861", "p861-system")] {
            helm(&["install", chart, chart, "--kubeconfig", &kubeconfig, "--namespace", namespace, "--create-namespace"]).expect("the chart installs");
        }
        server
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [etcd, peer, api] = free_ports();
        let at = folder.path();
        let accounts = rcgen::KeyPair::generate().expect("a key");
        fs::write(at.join("sa.key"), accounts.serialize_pem()).expect("written");
        fs::write(at.join("sa.pub"), accounts.public_key_pem()).expect("written");
        fs::write(at.join("tokens.csv"), format!("{TOKEN},administrator,administrator,\"system:masters\"\n")).expect("written");
        let kubeconfig = format!(
            "{{apiVersion: v1, kind: Config, current-context: lone, clusters: [{{name: lone, cluster: {{server: \"https://127.0.0.1:{api}\", insecure-skip-tls-verify: true}}}}], \
             users: [{{name: lone, user: {{token: {TOKEN}}}}}], contexts: [{{name: lone, context: {{cluster: lone, user: lone}}}}]}}\n"
        );
        fs::write(at.join("kubeconfig"), kubeconfig).expect("written");
        let (stop, stopped) = mpsc::channel();
        let (started, ready) = mpsc::channel();
        let path = at.to_owned();
        // The programs die with the thread that started them, so that a killed test leaves nothing; the thread waits until the server is let go.
        let keeper = thread::spawn(move || {
            let mut children = processes(&path, etcd, peer, api);
            let _ = started.send(());
            let _ = stopped.recv();
            for child in children.iter_mut().rev() {
                let _ = child.kill();
                let _ = child.wait();
            }
        });
        ready.recv().expect("etcd and the API server start");
        let server = Self { folder, stop: Some(stop), keeper: Some(keeper) };
        server.wait(api);
        server
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A client: the administrator, or whom he acts as (a user, with `system:masters` or with these groups).
    pub async fn client(&self, user: Option<(&str, &[&str])>) -> Client {
        // The first caller decides the process's provider; a second one is refused, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).expect("a kubeconfig");
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a configuration");
        if let Some((user, groups)) = user {
            config.auth_info.impersonate = Some(user.to_owned());
            config.auth_info.impersonate_groups = Some(groups.iter().map(ToString::to_string).collect());
        }
        Client::try_from(config).expect("a client")
    }

    fn wait(&self, port: u16) {
        let since = Instant::now();
        let mut last = String::new();
        while since.elapsed() < READY {
            let asked = Command::new(&programs().kubectl).args(["get", "--raw", "/readyz", "--kubeconfig"]).arg(self.kubeconfig()).output().expect("kubectl");
            if asked.status.success() {
                return;
            }
            last = String::from_utf8_lossy(&asked.stderr).into_owned();
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.folder.path().join("api.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        panic!("the API server on port {port} is not ready after {READY:?}; last: {last}; its log, newest first:\n{}", tail.join("\n"));
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Three ports that nobody uses now.
fn free_ports() -> [u16; 3] {
    let taken = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    taken.map(|listener| listener.local_addr().expect("an address").port())
}

fn processes(folder: &Path, etcd: u16, peer: u16, api: u16) -> Vec<Child> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let start = |program: &Path, log: &str, arguments: Vec<String>| {
        let log = File::create(folder.join(log)).expect("a log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("setpriv")
    };
    let etcd_arguments = vec![
        format!("--data-dir={}", path("etcd")),
        format!("--listen-client-urls={}", url(etcd)),
        format!("--advertise-client-urls={}", url(etcd)),
        format!("--listen-peer-urls={}", url(peer)),
        "--unsafe-no-fsync".into(),
    ];
    let api_arguments = vec![
        format!("--etcd-servers={}", url(etcd)),
        format!("--secure-port={api}"),
        "--bind-address=127.0.0.1".into(),
        format!("--cert-dir={}", path("certificates")),
        format!("--service-account-key-file={}", path("sa.pub")),
        format!("--service-account-signing-key-file={}", path("sa.key")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        "--authorization-mode=RBAC".into(),
        format!("--token-auth-file={}", path("tokens.csv")),
        "--service-cluster-ip-range=10.99.0.0/24".into(),
    ];
    vec![start(&programs().etcd, "etcd.log", etcd_arguments), start(&programs().kube_apiserver, "api.log", api_arguments)]
}
