//! A hub without an operator: objects and their statuses are written as an operator would, and the real `p861` reads them.

use crate::support::lone::{Lone, SYSTEM, lone};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use p861_tests::install::program;
use serde_json::{Value, json};
use std::{
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long something may take that takes a moment.
pub const SOON: Duration = Duration::from_mins(1);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its answer.
    pub out: String,
    /// What it said beside the answer.
    pub err: String,
}

impl Said {
    /// The answer as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The lines of the answer.
    pub fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// A district on the hub.
pub struct Hub {
    server: Arc<Lone>,
    client: Client,
    /// The district, and its namespace.
    pub district: &'static str,
}

/// A time so long ago, as the API writes it.
pub fn ago(duration: SignedDuration) -> String {
    let time = Timestamp::now() - duration;
    format!("{time:.0}")
}

/// Whole hours ago: their number is right for almost an hour more, however busy the machine is.
pub fn hours_ago(hours: i64) -> String {
    ago(SignedDuration::from_hours(hours))
}

/// A condition.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": hours_ago(1), "observedGeneration": 1})
}

fn resource(kind: &str) -> ApiResource {
    let plural = match kind {
        "BackupRepository" => "backuprepositories".to_owned(),
        "BackupPolicy" => "backuppolicies".to_owned(),
        _ => format!("{}s", kind.to_lowercase()),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", kind), &plural)
}

impl Hub {
    /// A district with two sites that are well. The sites are all districts'; the district is this test's alone.
    pub async fn of(district: &'static str) -> Self {
        let server = lone("cli_commands");
        let client = server.client(None).await;
        let hub = Self { server, client, district };
        let namespaces: Api<Namespace> = Api::all(hub.client.clone());
        namespaces
            .patch(district, &apply(), &Patch::Apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": district}})))
            .await
            .expect("a namespace");
        for (name, domain, access, nodes) in [
            ("xinxi-dasha", "qingdao-shinan", json!({"kubeconfig": {"secretRef": {"name": "site-xinxi-dasha"}}}), 18),
            ("laoshan-dr", "qingdao-laoshan", json!({"inCluster": {}}), 9),
        ] {
            let conditions = [condition("Reachable", "True", "Answers", "the API server answers"), condition("Ready", "True", "AsDeclared", "all nodes ready")];
            let status = json!({"kubernetesVersion": "v1.36.3", "nodes": {"total": nodes, "ready": nodes}, "conditions": conditions});
            hub.put("Site", name, json!({"failureDomain": domain, "access": access, "names": {"zh": "站点", "en": "Site"}}), status).await;
        }
        let sites = json!([{"siteRef": {"name": "xinxi-dasha"}, "role": "Primary"}, {"siteRef": {"name": "laoshan-dr"}, "role": "Standby"}]);
        let conditions = [condition("Ready", "True", "AsDeclared", "in place"), condition("AccessApplied", "True", "RolesBound", "3 roles bound")];
        let spec = json!({"code": "370202", "names": {"zh": "市南区", "en": "Shinan District"}, "sites": sites, "departments": [{"name": "approval-bureau"}]});
        hub.put("District", district, spec, json!({"conditions": conditions})).await;
        // It holds for longer than any test takes.
        hub.beat(SYSTEM, SignedDuration::from_hours(1), SignedDuration::ZERO).await;
        hub
    }

    /// The sign of life of an operator in a namespace: how long it holds, and how long ago it was given.
    pub async fn beat(&self, namespace: &str, holds: SignedDuration, before: SignedDuration) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let renewed = format!("{:.6}", Timestamp::now() - before);
        let spec = json!({"holderIdentity": "p861-operator-0", "leaseDurationSeconds": holds.as_secs(), "renewTime": renewed});
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "p861-operator"}, "spec": spec});
        leases.patch("p861-operator", &apply(), &Patch::Apply(lease)).await.expect("a lease");
    }

    /// Objects of a kind in the district, or cluster-scoped ones.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        if matches!(kind, "Site" | "District") {
            Api::all_with(self.client.clone(), &resource(kind))
        } else {
            Api::namespaced_with(self.client.clone(), self.district, &resource(kind))
        }
    }

    /// Declares an object.
    pub async fn declare(&self, kind: &str, name: &str, spec: Value) {
        let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        self.api(kind).patch(name, &apply(), &Patch::Apply(document)).await.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Declares an object as a person who may do everything.
    pub async fn declare_as(&self, person: &str, kind: &str, name: &str, spec: Value) {
        let client = self.server.client(Some((person, &["system:masters"]))).await;
        let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let api: Api<DynamicObject> = Api::namespaced_with(client, self.district, &resource(kind));
        api.patch(name, &apply(), &Patch::Apply(document)).await.unwrap_or_else(|error| panic!("{kind} {name} of {person}: {error}"));
    }

    /// Writes a status as the operator would.
    pub async fn write(&self, kind: &str, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api(kind).patch_status(name, &PatchParams::default(), &patch).await.unwrap_or_else(|error| panic!("status of {kind} {name}: {error}"));
    }

    /// Teaches a kind one more phase. No other test is touched: nothing is taken away.
    pub async fn learn_phase(&self, kind: &str, phase: &str) {
        let kinds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/phase/enum/-";
        let patch = serde_json::from_value(json!([{"op": "add", "path": path, "value": phase}])).expect("a patch");
        kinds.patch(kind, &PatchParams::default(), &Patch::Json::<()>(patch)).await.expect("the kind learns it");
    }

    /// Writes a status as soon as the API server has learnt what it says.
    pub async fn write_when_known(&self, kind: &str, name: &str, status: Value) {
        let (since, patch) = (Instant::now(), Patch::Merge(json!({ "status": status })));
        while let Err(error) = self.api(kind).patch_status(name, &PatchParams::default(), &patch).await {
            assert!(since.elapsed() < SOON, "status of {kind} {name} is not taken within {SOON:?}: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Declares an object and writes its status.
    pub async fn put(&self, kind: &str, name: &str, spec: Value, status: Value) {
        self.declare(kind, name, spec).await;
        self.write(kind, name, status).await;
    }

    /// An object as it stands on the hub.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        let object = self.api(kind).get(name).await.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
        serde_json::to_value(object).expect("JSON")
    }

    /// Names of the district's objects of a kind.
    pub async fn names(&self, kind: &str) -> Vec<String> {
        let list = self.api(kind).list(&kube::api::ListParams::default()).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        list.items.into_iter().filter_map(|object| object.metadata.name).collect()
    }

    /// Writes a ConfigMap of the district.
    pub async fn map(&self, name: &str, data: Value) {
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(self.client.clone(), self.district);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        maps.patch(name, &apply(), &Patch::Apply(map)).await.expect("a ConfigMap");
    }

    /// Applies manifests of other kinds.
    pub fn apply(&self, text: &str) {
        self.server.apply(text);
    }

    /// The administrator's kubeconfig, changed: a copy in the folder of this test's process.
    pub fn kubeconfig(&self, name: &str, change: impl Fn(String) -> String) -> String {
        let text = std::fs::read_to_string(self.server.kubeconfig()).expect("a kubeconfig");
        let path = self.server.kubeconfig().with_file_name(name);
        std::fs::write(&path, change(text)).expect("written");
        path.to_string_lossy().into_owned()
    }

    /// A command of the district, in English, without a terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("p861").expect("p861 is built: cargo build --package p861"));
        command.env("KUBECONFIG", self.server.kubeconfig()).env("P861_LANG", "en").env("TERM", "xterm").env_remove("NO_COLOR");
        command.args(["-d", self.district]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command in English without a terminal, by a kubeconfig of its own and without the district.
    pub fn with_kubeconfig(&self, kubeconfig: &str, arguments: &[&str]) -> Said {
        let mut command = Command::new(self.command(&[]).get_program());
        command.env("KUBECONFIG", kubeconfig).env("P861_LANG", "en").args(arguments).stdin(Stdio::null());
        said(command)
    }

    /// What `p861 -d DISTRICT …` says.
    pub fn p861(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments))
    }

    /// Waits for something of an object.
    pub async fn wait(&self, what: &str, kind: &str, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let seen = self.get(kind, name).await;
            if holds(&seen) {
                return seen;
            }
            assert!(since.elapsed() < SOON, "{what} not within {SOON:?}; last: {seen}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the district has an object of a kind that it had not, and gives its name.
    pub async fn wait_for_new(&self, kind: &str, before: &[String]) -> String {
        let since = Instant::now();
        loop {
            if let Some(name) = self.names(kind).await.into_iter().find(|name| !before.contains(name)) {
                return name;
            }
            assert!(since.elapsed() < SOON, "no new {kind} within {SOON:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn apply() -> PatchParams {
    PatchParams::apply("cli-commands").force()
}

/// What a command says. One that waits where it should not is ended, and the test fails.
pub fn said(mut command: Command) -> Said {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Running::start(command).end()
}

/// A command that is still running.
pub struct Running {
    child: std::process::Child,
    out: thread::JoinHandle<String>,
    err: thread::JoinHandle<String>,
    seen: Arc<parking_lot::Mutex<String>>,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        use std::io::Read as _;
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let seen = Arc::new(parking_lot::Mutex::new(String::new()));
        let read = |mut pipe: Box<dyn std::io::Read + Send>| {
            let seen = seen.clone();
            thread::spawn(move || {
                let mut all = Vec::new();
                let mut chunk = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                    all.extend_from_slice(&chunk[..length]);
                    seen.lock().push_str(&String::from_utf8_lossy(&chunk[..length]));
                }
                String::from_utf8_lossy(&all).into_owned()
            })
        };
        let (out, err) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        Self { child, out: read(Box::new(out)), err: read(Box::new(err)), seen: seen.clone() }
    }

    /// Waits until it has printed a text.
    pub fn until(&self, text: &str) {
        let since = Instant::now();
        loop {
            let seen = self.seen.lock().clone();
            if seen.contains(text) {
                return;
            }
            assert!(since.elapsed() < SOON, "{text:?} was not printed within {SOON:?}; what was:\n{seen}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types keys.
    pub fn press(&mut self, keys: &str) {
        use std::io::Write as _;
        let keyboard = self.child.stdin.as_mut().expect("a keyboard");
        keyboard.write_all(keys.as_bytes()).and_then(|()| keyboard.flush()).expect("typed");
    }

    /// Sends it a signal, as Ctrl-C does.
    pub fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Said {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            if since.elapsed() > SOON {
                let _ = self.child.kill();
                panic!("it has not ended within {SOON:?}; it printed:\n{}", self.seen.lock());
            }
            thread::sleep(Duration::from_millis(50));
        };
        drop(self.child.stdin.take());
        Said { code: status.code().unwrap_or(-1), out: self.out.join().expect("read"), err: self.err.join().expect("read") }
    }
}
