//! The operator as a program of its own, against an API server that stands alone, and what tests do to objects there.

use super::{documents, lone::Lone};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;
use std::{
    fs::File,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// What the operator notices, it notices within this, on a machine that has much else to do.
const NOTICED: Duration = Duration::from_secs(150);

/// The operator as a program of its own; it ends with the test.
pub struct Operator {
    child: Child,
    log: std::path::PathBuf,
}

/// The operator that runs now, or a new one: two at once would only wait for each other's lease.
pub fn operator(server: &Arc<Lone>) -> Arc<Operator> {
    static SHARED: Mutex<Weak<Operator>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(Operator::start(server));
    *shared = Arc::downgrade(&started);
    started
}

impl Operator {
    fn start(server: &Lone) -> Self {
        let program = p861_tests::install::program("p861-operator").expect("cargo build --workspace --bins");
        let log = server.kubeconfig().with_file_name("operator.log");
        let file = File::create(&log).expect("a log");
        // With the rights that the chart gives it, and no others.
        let rights = "as: \"system:serviceaccount:p861-system:p861-operator\", as-groups: [\"system:serviceaccounts\", \"system:serviceaccounts:p861-system\", \"system:authenticated\"]";
        let text = std::fs::read_to_string(server.kubeconfig()).expect("a kubeconfig");
        let own = server.kubeconfig().with_file_name("operator.kubeconfig");
        std::fs::write(&own, text.replace("user: {token: lone-administrator", &format!("user: {{{rights}, token: lone-administrator"))).expect("written");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args([
                "run",
                "--namespace",
                "p861-system",
                "--identity",
                "operator-of-the-test",
                "--image",
                "registry.example/p861-operator:0.1.0",
                "--listen",
                "127.0.0.1:0",
            ])
            .env("KUBECONFIG", own)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a log"))
            .stderr(file)
            .spawn()
            .expect("the operator starts");
        Self { child, log }
    }

    /// The end of its log.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut last: Vec<&str> = text.lines().rev().take(25).collect();
        last.reverse();
        last.join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
        let plural = match types.kind.as_str() {
            "NetworkPolicy" => "networkpolicies".to_owned(),
            "BackupRepository" => "backuprepositories".to_owned(),
            "StorageClass" | "PriorityClass" => format!("{}es", types.kind.to_lowercase()),
            kind => format!("{}s", kind.to_lowercase()),
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
