//! The operator as a process beside a lone API server, with the rights that the chart gives it and no others.

use super::{documents, lone::Lone};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Weak, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The account that the chart makes.
pub const ACCOUNT: &str = "system:serviceaccount:p861-system:p861-operator";
/// The image that its movers would run.
const IMAGE: &str = "registry.example/p861-operator:0.1.0";
/// How long its lease lasts: the next one after a kill waits for its end. Shorter, a busy machine would lose it.
const LEASE_SECONDS: &str = "6";
/// Whoever gets no processor time for so long loses it.
pub const LONGER_THAN_THE_LEASE: Duration = Duration::from_secs(9);
/// How long an operator may take until it leads: the lease of one that was killed must run out first.
const LEADS: Duration = Duration::from_secs(90);
/// What the operator notices, it notices within this, on a machine that has much else to do.
const NOTICED: Duration = Duration::from_secs(150);

/// What an operator on this machine needs open: servers on loopback, and repositories in temporary folders.
pub fn on_this_machine() -> [(&'static str, std::ffi::OsString); 2] {
    [("P861_EGRESS_ALLOW", "127.0.0.0/8,::1".into()), ("P861_FOLDERS", std::env::temp_dir().into())]
}

/// A running operator. It is killed when it is let go.
pub struct Operator {
    folder: TempDir,
    /// Where it listens.
    pub address: String,
    /// Its process.
    pub id: u32,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Operator {
    /// Starts one and waits until it leads.
    pub fn start(server: &Lone) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        Self::start_at(server, &format!("127.0.0.1:{port}"))
    }

    /// Starts one that listens at this address and waits until it leads.
    pub fn start_at(server: &Lone, address: &str) -> Self {
        let operator = Self::start_waiting(server, address);
        operator.wait_leads();
        operator
    }

    /// Starts one that listens at this address, whether it leads or not.
    pub fn start_waiting(server: &Lone, address: &str) -> Self {
        Self::start_with_lease(server, address, LEASE_SECONDS)
    }

    /// The same with a lease of its own length, for one that is stopped now and then and renews late.
    pub fn start_with_lease(server: &Lone, address: &str, lease_seconds: &str) -> Self {
        Self::start_with(server, address, lease_seconds, &on_this_machine())
    }

    /// Starts one as the chart does by default, without addresses that are opened and without a folder for repositories, and waits until it leads.
    pub fn start_closed(server: &Lone) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let closed = on_this_machine().map(|(name, _)| (name, std::ffi::OsString::new()));
        let operator = Self::start_with(server, &format!("127.0.0.1:{port}"), LEASE_SECONDS, &closed);
        operator.wait_leads();
        operator
    }

    fn start_with(server: &Lone, address: &str, lease_seconds: &str, environment: &[(&'static str, std::ffi::OsString)]) -> Self {
        let environment = environment.to_vec();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kubeconfig = fs::read_to_string(server.kubeconfig()).expect("a kubeconfig");
        let groups = "[system:serviceaccounts, \"system:serviceaccounts:p861-system\", system:authenticated]";
        let acting = kubeconfig.replace("user: {token: ", &format!("user: {{as: \"{ACCOUNT}\", as-groups: {groups}, token: "));
        assert!(acting.contains(ACCOUNT), "the kubeconfig has another form: {kubeconfig}");
        fs::write(folder.path().join("kubeconfig"), acting).expect("written");
        let identity = format!("operator-{}", folder.path().file_name().unwrap_or_default().to_string_lossy().trim_matches('.').to_lowercase());
        let public = format!("http://{address}");
        let arguments = [
            "run",
            "--namespace",
            "p861-system",
            "--image",
            IMAGE,
            "--listen",
            address,
            "--identity",
            &identity,
            "--public-url",
            &public,
            "--lease-duration",
            lease_seconds,
        ]
        .map(str::to_owned);
        let (stop, stopped) = mpsc::channel();
        let (started, ready) = mpsc::channel();
        let (path, program) = (folder.path().to_owned(), program("p861-operator"));
        // It dies with the thread that started it, so that a killed test leaves nothing; the thread outlives the test that was first to need it.
        let keeper = thread::spawn(move || {
            let log = File::create(path.join("operator.log")).expect("a log");
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments).env("KUBECONFIG", path.join("kubeconfig")).envs(environment);
            let mut child = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("setpriv");
            let _ = started.send(child.id());
            let _ = stopped.recv();
            let _ = child.kill();
            let _ = child.wait();
        });
        let id = ready.recv().expect("the operator starts");
        Self { folder, address: address.to_owned(), id, stop: Some(stop), keeper: Some(keeper) }
    }

    /// Waits until it leads.
    pub fn wait_leads(&self) {
        let since = Instant::now();
        while !self.log().contains(" leads ") {
            assert!(since.elapsed() < LEADS, "the operator does not lead after {LEADS:?}; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Gets no processor time for so long.
    pub fn frozen(&self, time: Duration) {
        self.signal(Signal::STOP);
        thread::sleep(time);
        self.signal(Signal::CONT);
    }

    /// Gets no processor time until it has lost the lease, and waits until it leads again, as the same process.
    pub fn loses_its_lease(&self) {
        const LOST: &str = "the lease was lost: ";
        let before = self.log().matches(LOST).count();
        self.frozen(LONGER_THAN_THE_LEASE);
        let since = Instant::now();
        while !self.log().rsplit_once(LOST).is_some_and(|(earlier, after)| earlier.matches(LOST).count() >= before && after.contains(" leads ")) {
            assert!(since.elapsed() < LEADS, "the operator does not lead again after {LEADS:?}; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(id, signal).unwrap_or_else(|error| panic!("the operator: {error}\n{}", self.said()));
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("operator.log")).unwrap_or_default()
    }

    /// The end of its log.
    pub fn said(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Ends it without asking, as a power cut would.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// The operator that runs now beside this server, or a new one: two at once would only wait for each other's lease.
pub fn operator(server: &Arc<Lone>) -> Arc<Operator> {
    static SHARED: Mutex<BTreeMap<PathBuf, Weak<Operator>>> = Mutex::new(BTreeMap::new());
    let mut shared = SHARED.lock();
    if let Some(running) = shared.get(&server.kubeconfig()).and_then(Weak::upgrade) {
        return running;
    }
    let started = Arc::new(Operator::start(server));
    shared.insert(server.kubeconfig(), Arc::downgrade(&started));
    started
}

/// The rights of movers in these namespaces, for an operator whose movers are its children.
pub fn mover_rights(namespaces: &[&str]) -> String {
    let binding = |namespace: &str, role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": format!("children-{role}"), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "namespace": "p861-system", "name": "p861-operator"}]})
    };
    let all = namespaces.iter().flat_map(|namespace| ["p861-mover-backup", "p861-mover-restore"].map(|role| binding(namespace, role).to_string()));
    all.collect::<Vec<_>>().join("\n---\n")
}

/// An API of a kind.
pub fn api(client: &Client, group: &str, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let version = if group == "platform861.io" { "v1alpha1" } else { "v1" };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Applies a manifest as the administrator.
pub async fn apply(client: &Client, manifest: &str) {
    for document in documents(manifest) {
        let object: DynamicObject = serde_json::from_value(document.clone()).expect("an object");
        let types = object.types.clone().expect("a kind");
        let (group, _) = types.api_version.split_once('/').unwrap_or(("", ""));
        let word = types.kind.to_lowercase();
        let plural = match (word.strip_suffix('y'), word.ends_with("ss")) {
            (Some(stem), _) if !stem.ends_with('a') => format!("{stem}ies"),
            (_, true) => format!("{word}es"),
            _ => format!("{word}s"),
        };
        let api = api(client, group, &types.kind, &plural, object.namespace().as_deref());
        api.patch(&object.name_any(), &PatchParams::apply("test").force(), &Patch::Apply(&document))
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", object.name_any()));
    }
}

/// Waits until what `look` sees is good; prints what was last seen, and what the operator said, if it never is.
pub async fn until<T>(operator: &Operator, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(last) if since.elapsed() > NOTICED => {
                panic!("{what}: not within {NOTICED:?}; last seen: {last}\nthe operator's log ends with:\n{}", operator.said())
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

/// A condition of an object.
pub fn condition<'a>(object: &'a DynamicObject, kind: &str) -> &'a Value {
    object.data["status"]["conditions"].as_array().and_then(|all| all.iter().find(|condition| condition["type"] == kind)).unwrap_or(&Value::Null)
}

/// A program of this workspace, which must have been built: `cargo build`.
pub fn program(name: &str) -> PathBuf {
    p861_tests::install::program(name).unwrap_or_else(|error| panic!("{error}"))
}
