//! A Kubernetes API server with its etcd and nothing else: enough for what is decided at admission, and ready in seconds.

use super::{LIMIT, helm, programs};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use p861_testbed::components::run::run;
use p861_tests::reader;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The operator's namespace.
pub const SYSTEM: &str = "p861-system";
/// How long the API server may take until it is ready.
const READY: Duration = Duration::from_mins(4);
/// How often the programs are looked after.
const LOOK: Duration = Duration::from_millis(200);
/// What it knows its administrator by.
const TOKEN: &str = "lone-administrator";
/// The people that it knows by a token each, and their groups: those of one district, and a stranger from another.
pub const PEOPLE: [(&str, &str); 6] = [
    ("viewer-zhou", "shinan-viewers"),
    ("engineer-li", "shinan-engineers"),
    ("approver-sun", "shinan-approvers"),
    ("commander-zhao", "shinan-commanders"),
    ("auditor-qian", "shinan-auditors"),
    ("stranger-wu", "jimo-engineers"),
];

/// An API server with both charts installed. It ends when the last one who holds it lets go.
pub struct Lone {
    folder: TempDir,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

/// The server of a suite that runs now, or a new one with both charts installed. Suites are in one process and one server's objects are another's disturbance:
/// each suite has its own.
pub fn lone(suite: &'static str) -> Arc<Lone> {
    static SHARED: Mutex<BTreeMap<&str, Weak<Lone>>> = Mutex::new(BTreeMap::new());
    let mut shared = SHARED.lock();
    if let Some(running) = shared.get(suite).and_then(Weak::upgrade) {
        return running;
    }
    let server = Arc::new(Lone::bare());
    server.install(&[]);
    shared.insert(suite, Arc::downgrade(&server));
    server
}

impl Lone {
    /// A server of its own with both charts installed: for a test that kills or changes what others need.
    pub fn start_with_charts() -> Self {
        let server = Self::bare();
        server.install(&[]);
        server
    }

    /// A server of its own, with nothing installed: for a test that installs, upgrades and uninstalls.
    pub fn bare() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [etcd, peer, api] = free_ports();
        let at = folder.path();
        let accounts = rcgen::KeyPair::generate().expect("a key");
        fs::write(at.join("sa.key"), accounts.serialize_pem()).expect("written");
        fs::write(at.join("sa.pub"), accounts.public_key_pem()).expect("written");
        let people = PEOPLE.map(|(name, group)| format!("{},{name},{name},\"{group}\"\n", token(name))).concat();
        fs::write(at.join("tokens.csv"), format!("{TOKEN},administrator,administrator,\"system:masters\"\n{people}")).expect("written");
        let kubeconfig = format!(
            "{{apiVersion: v1, kind: Config, current-context: lone, clusters: [{{name: lone, cluster: {{server: \"https://127.0.0.1:{api}\", insecure-skip-tls-verify: true}}}}], \
             users: [{{name: lone, user: {{token: {TOKEN}}}}}], contexts: [{{name: lone, context: {{cluster: lone, user: lone}}}}]}}\n"
        );
        fs::write(at.join("kubeconfig"), kubeconfig).expect("written");
        let (stop, stopped) = mpsc::channel();
        let (started, ready) = mpsc::channel();
        let path = at.to_owned();
        // The programs die with the thread that started them, so that a killed test leaves nothing; the thread waits until the server is let go.
        let ended = Arc::new(AtomicBool::new(false));
        let noticed = ended.clone();
        let keeper = thread::spawn(move || {
            let mut children = processes(&path, etcd, peer, api);
            let _ = started.send(());
            while matches!(stopped.recv_timeout(LOOK), Err(mpsc::RecvTimeoutError::Timeout)) {
                let gone = children.iter_mut().any(|child| !matches!(child.try_wait(), Ok(None)));
                noticed.store(gone, Ordering::Relaxed);
            }
            for child in children.iter_mut().rev() {
                let _ = child.kill();
                let _ = child.wait();
            }
        });
        ready.recv().expect("etcd and the API server start");
        let server = Self { folder, stop: Some(stop), keeper: Some(keeper) };
        server.wait(api, &ended);
        server
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Installs both charts, the operator's with these values, and waits until the kinds are served.
    pub fn install(&self, values: &[&str]) {
        self.helm(&["install", "p861-crds", "p861-crds", "--create-namespace"]).expect("the kinds install");
        let mut arguments = vec!["install", "p861", "p861"];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        self.helm(&arguments).expect("the operator installs");
        let until = |what: &str, act: &dyn Fn() -> Result<(), String>| {
            let since = Instant::now();
            while let Err(said) = act() {
                assert!(since.elapsed() < READY, "{what} after {READY:?}: {said}");
                thread::sleep(LOOK);
            }
        };
        for plural in ["sites", "districts", "applications", "backuprepositories", "backups", "restores", "recoveryplans", "drills"] {
            until(&format!("{plural} are not served"), &|| {
                reader::raw_at(&self.kubeconfig(), &format!("/apis/platform861.io/v1alpha1/{plural}?limit=1")).map(drop)
            });
        }
        // The API server's mutating policies learn of a new kind some seconds after it is served, and refuse its objects until then.
        for (kind, spec) in
            [("Backup", "applicationRef: {name: a}"), ("Restore", "source: {backupRef: {name: a}}"), ("Drill", "planRef: {name: a}, type: Isolated")]
        {
            let first = format!(
                "{{apiVersion: platform861.io/v1alpha1, kind: {kind}, metadata: {{name: first, namespace: default}}, spec: {{{spec}, requestedBy: administrator}}}}"
            );
            until(&format!("no {kind} can be made"), &|| reader::would_create_at(&self.kubeconfig(), &first));
            // Validating policies are in force in their own time, too.
            let nobodys = first.replace("requestedBy: administrator", "requestedBy: somebody-else");
            until(&format!("{kind} in another's name is not refused"), &|| match reader::would_create_at(&self.kubeconfig(), &nobodys) {
                Err(said) if said.contains("requestedBy") => Ok(()),
                answer => Err(format!("{answer:?}")),
            });
        }
    }

    /// Runs helm on this server, in the operator's namespace.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        let kubeconfig = self.kubeconfig().to_string_lossy().into_owned();
        helm(&[arguments, &["--kubeconfig", &kubeconfig, "--namespace", SYSTEM]].concat())
    }

    /// Runs kubectl on this server, as its administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&programs().kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments).env("KUBECACHEDIR", self.folder.path().join("kubectl"));
        run(&mut command, LIMIT).map_err(|error| error.to_string())
    }

    /// What `kubectl get` gives, as JSON.
    pub fn get(&self, arguments: &[&str]) -> Value {
        reader::get_at(&self.kubeconfig(), arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Applies a manifest as the administrator.
    pub fn apply(&self, text: &str) {
        reader::apply_at(&self.kubeconfig(), text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }

    /// The kubeconfig of one of [`PEOPLE`], who is known by a token and not by what the administrator says.
    pub fn kubeconfig_of(&self, person: &str) -> String {
        fs::read_to_string(self.kubeconfig()).expect("a kubeconfig").replace(TOKEN, &token(person))
    }

    /// A client of one of [`PEOPLE`].
    pub async fn person(&self, name: &str) -> Client {
        Client::try_from(configuration(&self.kubeconfig_of(name)).await).expect("a client")
    }

    /// A client: the administrator, or whom he acts as (a user, with `system:masters` or with these groups).
    pub async fn client(&self, user: Option<(&str, &[&str])>) -> Client {
        let mut config = configuration(&fs::read_to_string(self.kubeconfig()).expect("a kubeconfig")).await;
        if let Some((user, groups)) = user {
            config.auth_info.impersonate = Some(user.to_owned());
            config.auth_info.impersonate_groups = Some(groups.iter().map(ToString::to_string).collect());
        }
        Client::try_from(config).expect("a client")
    }

    /// A client of a mover: of an account that acts by the token of its pod, as the API server knows from the token.
    pub async fn mover(&self, account: &str) -> Client {
        let mut config = configuration(&fs::read_to_string(self.kubeconfig()).expect("a kubeconfig")).await;
        config.auth_info.impersonate = Some(account.to_owned());
        config.auth_info.impersonate_groups = Some(["system:serviceaccounts", "system:authenticated"].map(str::to_owned).into());
        config.auth_info.impersonate_user_extra = Some([("authentication.kubernetes.io/pod-name".to_owned(), vec!["m-1".to_owned()])].into());
        Client::try_from(config).expect("a client")
    }

    /// A client of one of [`PEOPLE`] who acts as an account.
    pub async fn person_as(&self, person: &str, account: &str) -> Client {
        let mut config = configuration(&self.kubeconfig_of(person)).await;
        config.auth_info.impersonate = Some(account.to_owned());
        Client::try_from(config).expect("a client")
    }

    /// A client of whoever has this token.
    pub async fn bearer(&self, token: &str) -> Client {
        let text = fs::read_to_string(self.kubeconfig()).expect("a kubeconfig");
        Client::try_from(configuration(&text.replace(TOKEN, token)).await).expect("a client")
    }

    fn wait(&self, port: u16, ended: &AtomicBool) {
        let since = Instant::now();
        let mut last = String::new();
        while since.elapsed() < READY && !ended.load(Ordering::Relaxed) {
            match reader::raw_at(&self.kubeconfig(), "/readyz") {
                Ok(_) => return,
                Err(said) => last = said,
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.folder.path().join("api.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        panic!("the API server on port {port} is not ready after {:?}; last: {last}; its log, newest first:\n{}", since.elapsed(), tail.join("\n"));
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

fn token(person: &str) -> String {
    format!("token-of-{person}")
}

async fn configuration(kubeconfig: &str) -> Config {
    // The first caller decides the process's provider; a second one is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a configuration")
}

/// Three ports that nobody uses now.
fn free_ports() -> [u16; 3] {
    let taken = [0; 3].map(|_| free_port());
    taken.map(|listener| listener.local_addr().expect("an address").port())
}

/// A port below those that the kernel gives to outgoing connections: one of these could be taken again before the server listens on it.
fn free_port() -> TcpListener {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut random = std::iter::repeat_with(|| std::hash::RandomState::new().build_hasher().finish() % 20_000);
    let mut ports = random.by_ref().take(1000).filter_map(|offset| u16::try_from(10_000 + offset).ok());
    ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).expect("a free port")
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
        // Some clusters have it, and it asks for rights of its own.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".into(),
        format!("--token-auth-file={}", path("tokens.csv")),
        "--service-cluster-ip-range=10.99.0.0/24".into(),
        // As nearly every cluster is.
        "--allow-privileged=true".into(),
    ];
    vec![start(&programs().etcd, "etcd.log", etcd_arguments), start(&programs().kube_apiserver, "api.log", api_arguments)]
}
