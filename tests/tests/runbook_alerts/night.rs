//! The stage of the night: a hub and a site far away, two districts, an operator, Prometheus and Alertmanager.

use super::causes::Labels;
use crate::support::{
    lone::{Lone, SYSTEM},
    monitors::Monitors,
    operator::{Operator, api, apply, condition, mover_rights, program},
    programs, text,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long an alert may take to fire, to become a ticket, or to end: what waits longest is a run that has stood still for ten minutes.
const NOTICED: Duration = Duration::from_mins(12);
pub const DISTRICT: &str = "shinan";
/// Reserved for nobody.
pub const CLOSED_PORT: &str = "http://127.0.0.1:9/";

/// Everything.
pub struct Night {
    /// The hub, which is a site without nodes: movers are children of the operator there.
    pub hub: Lone,
    /// The other cluster: a site near by, and under another name one far away.
    pub near: Lone,
    pub client: Client,
    pub operator: Option<Operator>,
    pub monitors: Monitors,
    /// Where repositories of the kind folder are.
    pub folder: TempDir,
    pub address: String,
    /// When what happens now began to happen.
    pub since: Instant,
    /// The token with which Alertmanager posts.
    pub token: String,
    /// What was taken away, to be put back.
    pub kept: BTreeMap<&'static str, String>,
    controllers: Child,
}

impl Drop for Night {
    fn drop(&mut self) {
        let _ = self.controllers.kill();
        let _ = self.controllers.wait();
    }
}

impl Night {
    /// Everything is in order.
    pub async fn begin() -> Self {
        let (hub, near) = (Lone::bare(), Lone::bare());
        hub.install(&["site.readCertificates=true"]);
        let client = hub.client(None).await;
        // Namespaces that are deleted go.
        let mut controllers = Command::new("setpriv");
        controllers.args(["--pdeathsig", "KILL", "--"]).arg(&programs().kube_controller_manager);
        controllers.args(["--controllers=namespace-controller", "--leader-elect=false", "--secure-port=0"]).arg("--kubeconfig").arg(hub.kubeconfig());
        let controllers = controllers.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("setpriv");
        let folder = tempfile::tempdir().expect("a folder");
        declare(&client, &near, &folder).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let address = format!("127.0.0.1:{port}");
        let operator = Operator::start_at(&hub, &address);
        let token = wait_token(&client, "").await;
        let monitors = Monitors::start(&address, "here", &token);
        apply(&client, &json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Site", "metadata": {"name": "here"}, "spec": {"failureDomain": "here", "access": {"inCluster": {}}, "monitoring": {"alertmanager": {"url": monitors.alertmanager_url()}}}}).to_string()).await;
        let (since, kept) = (Instant::now(), BTreeMap::new());
        let night = Self { hub, near, client, operator: Some(operator), monitors, folder, address, since, token, kept, controllers };
        for (kind, plural, name) in [
            ("Site", "sites", "near"),
            ("Site", "sites", "far"),
            ("BackupRepository", "backuprepositories", "cellar"),
            ("BackupRepository", "backuprepositories", "attic"),
            ("BackupRepository", "backuprepositories", "vault"),
            ("Application", "applications", "forms"),
            ("Application", "applications", "ledger"),
        ] {
            night.until_condition(kind, plural, name, "Ready", "True").await;
        }
        night.backed_up("forms", "cellar").await;
        night.backed_up("ledger", "attic").await;
        night
    }

    /// An API of one of our kinds in the district, or of the cluster.
    pub fn ours(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let namespace = (!matches!(kind, "Site" | "District")).then_some(DISTRICT);
        api(&self.client, "platform861.io", kind, plural, namespace)
    }

    pub async fn apply(&self, manifest: &str) {
        apply(&self.client, manifest).await;
    }

    /// An object of the district.
    pub async fn declare(&self, kind: &str, name: &str, spec: Value) {
        self.apply(
            &json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec}).to_string(),
        )
        .await;
    }

    pub async fn merge(&self, kind: &str, plural: &str, name: &str, patch: Value) {
        let patched = self.ours(kind, plural).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched.unwrap_or_else(|error| panic!("{kind} {name}: {error}: {patch}"));
    }

    /// Writes a text into a Secret of a namespace; gives what was there.
    pub async fn secret(&self, namespace: &str, name: &str, key: &str, value: &str) -> String {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let before =
            secrets.get_opt(name).await.expect("asked").and_then(|secret| secret.data?.remove(key)).map(|bytes| String::from_utf8(bytes.0).expect("text"));
        let document = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": {key: value}});
        secrets.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(document)).await.expect("a Secret");
        before.unwrap_or_default()
    }

    /// What `p861` says, as a runbook has it typed; it must end well.
    pub fn p861(&self, namespace: &str, arguments: &[&str]) -> String {
        self.p861_ending(namespace, arguments, 0)
    }

    /// The same, ending with this exit code.
    pub fn p861_ending(&self, namespace: &str, arguments: &[&str], code: i32) -> String {
        let (ended, said) = self.typed(namespace, arguments);
        assert!(ended == Some(code), "p861 {}: {said}\n{}", arguments.join(" "), self.said());
        said
    }

    /// How a command ends, and what it says.
    pub fn typed(&self, namespace: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(program("p861"));
        command.args(arguments).args(["-n", namespace, "--lang", "en", "--timeout", "4m"]).env("KUBECONFIG", self.hub.kubeconfig()).stdin(Stdio::null());
        let output = command.output().expect("p861");
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    pub async fn backed_up(&self, application: &str, repository: &str) {
        let said = self.p861(DISTRICT, &["backup", "now", application, "--repository", repository]);
        self.until(&format!("a backup of {application} succeeded"), async |night: &Self| {
            let all = night.ours("Backup", "backups").list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            let good = all.iter().any(|backup| backup.data["spec"]["applicationRef"]["name"] == application && backup.data["status"]["phase"] == "Succeeded");
            if good { Ok(()) } else { Err(format!("{said}; {:?}", all.iter().map(|backup| backup.data["status"].to_string()).collect::<Vec<_>>())) }
        })
        .await;
    }

    /// Tickets of the district and of the city, with their namespaces.
    pub async fn tickets(&self) -> Vec<(String, DynamicObject)> {
        let mut all = Vec::new();
        for namespace in [DISTRICT, "jimo", SYSTEM] {
            let api = api(&self.client, "platform861.io", "MaintenanceTicket", "maintenancetickets", Some(namespace));
            all.extend(api.list(&ListParams::default()).await.expect("tickets").items.into_iter().map(|ticket| (namespace.to_owned(), ticket)));
        }
        all
    }

    pub async fn until_condition(&self, kind: &str, plural: &str, name: &str, of: &str, status: &str) {
        self.until(&format!("{kind} {name} is {of}={status}"), async |night: &Self| {
            let seen = night.ours(kind, plural).get(name).await.map_err(|error| error.to_string())?;
            if condition(&seen, of)["status"] == status { Ok(()) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
    }

    /// An alert fires, or has fired since all this began: what counts events of half an hour is over before the slowest alert fires.
    pub async fn until_has_fired(&self, alert: &str, labels: Labels) {
        self.until(&format!("{alert} {labels:?} fires"), async |night: &Self| {
            let fired = night.monitors.has_fired(alert, labels, night.since.elapsed());
            if fired { Ok(()) } else { Err(format!("there fire {:?}", night.monitors.firing())) }
        })
        .await;
    }

    pub async fn until_over(&self, alert: &str) {
        self.until(&format!("{alert} fires no more"), async |night: &Self| {
            let firing = night.monitors.firing();
            if firing.iter().any(|name| name == alert) { Err(format!("there fire {firing:?}")) } else { Ok(()) }
        })
        .await;
    }

    /// An alert stands in a ticket in this state, and in the other state in none.
    pub async fn until_ticket(&self, alert: &str, state: &str) {
        self.until(&format!("{alert} stands in a ticket as {state}"), async |night: &Self| {
            let tickets = night.tickets().await;
            let alerts = tickets.iter().flat_map(|(_, ticket)| ticket.data["status"]["alerts"].as_array().into_iter().flatten());
            let states: Vec<&Value> = alerts.filter(|found| found["alertName"] == alert).map(|found| &found["state"]).collect();
            // One that came and went is no worse for it.
            let good = !states.is_empty() && (state == "Firing" || states.iter().all(|found| **found == state));
            let of_it =
                |ticket: &&(String, DynamicObject)| ticket.1.data["status"]["alerts"].as_array().into_iter().flatten().any(|found| found["alertName"] == alert);
            let told = || {
                tickets
                    .iter()
                    .filter(of_it)
                    .map(|(_, ticket)| format!("{}: {}", ticket.metadata.name.as_deref().unwrap_or_default(), ticket.data["status"]))
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            if good {
                Ok(())
            } else {
                Err(format!(
                    "{}\nAlertmanager has {}\nand says\n{}",
                    told(),
                    night.monitors.alertmanager("GET", "/api/v2/alerts"),
                    night.monitors.log("alertmanager")
                ))
            }
        })
        .await;
    }

    /// Waits until something is so; prints what was last seen if it never is.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Result<T, String>) -> T {
        let since = Instant::now();
        loop {
            match look(self).await {
                Ok(seen) => return seen,
                Err(last) if since.elapsed() > NOTICED => panic!("{what}: not within {NOTICED:?}; last seen: {last}\n{}", self.said()),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    fn said(&self) -> String {
        self.operator.as_ref().map_or_else(String::new, |operator| format!("the operator's log ends with:\n{}", operator.said()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The token of alerts that the operator makes; another one than this.
pub async fn wait_token(client: &Client, other_than: &str) -> String {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    let since = Instant::now();
    loop {
        let found = secrets.get_opt("p861-alerts").await.expect("asked").and_then(|secret| secret.data?.remove("token"));
        let token = found.map(|bytes| String::from_utf8(bytes.0).expect("text")).unwrap_or_default();
        if !token.is_empty() && token != other_than {
            return token;
        }
        assert!(since.elapsed() < NOTICED, "the operator makes no token of alerts");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A node of so many cores.
pub async fn node(client: &Client, name: &str, cores: &str, ready: bool) {
    apply(client, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"platform861.io/pool": "general"}}}).to_string()).await;
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(client.clone());
    let amounts = json!({"cpu": cores, "memory": format!("{cores}Gi").replace("8Gi", "32Gi").replace("640Gi", "2560Gi"), "pods": "1000"});
    let ready = if ready { "True" } else { "False" };
    let status = json!({"status": {"allocatable": amounts, "capacity": amounts, "conditions": [{"type": "Ready", "status": ready}]}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.expect("a node's status");
}

/// What is there before anything happens.
async fn declare(client: &Client, near: &Lone, folder: &TempDir) {
    apply(client, &text("charts/p861/files/profiles/861-2008.yaml")).await;
    let kubeconfig = std::fs::read_to_string(near.kubeconfig()).expect("a kubeconfig");
    let repository = |name: &str| {
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": name, "namespace": DISTRICT},
            "spec": {"failureDomain": "elsewhere", "folder": {"path": folder.path().join(name)}, "encryption": {"keySecretRef": {"name": format!("{name}-key")}}}})
    };
    let application = |name: &str, rest: Value| {
        let mut spec = json!({"names": {"en": name}, "department": "any", "namespaces": [format!("{DISTRICT}-{name}")], "objectives": {"rto": "2h"}});
        spec.as_object_mut().expect("a map").extend(rest.as_object().expect("a map").clone());
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec})
    };
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let map = |place: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": format!("{DISTRICT}-{place}")}, "data": {"text": "x".repeat(2000)}});
    let mut documents = vec![namespace(DISTRICT), namespace(&format!("{DISTRICT}-store"))];
    documents.extend(["forms", "ledger", "volume", "late", "look"].map(|name| namespace(&format!("{DISTRICT}-{name}"))));
    documents.extend(["forms", "ledger", "volume", "late"].map(map));
    documents.extend(["cellar", "attic", "vault"].map(repository));
    documents.extend([
        application("forms", json!({})),
        application("ledger", json!({})),
        application("volume", json!({})),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "site-near", "namespace": SYSTEM}, "stringData": {"kubeconfig": kubeconfig}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "site-far", "namespace": SYSTEM}, "stringData": {"kubeconfig": kubeconfig}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "duty-webhook", "namespace": DISTRICT}, "stringData": {"url": CLOSED_PORT}}),
    ]);
    // Ours before what is in them, and what takes part of a group by its plural.
    let text = format!("{}\n---\n{}", include_str!("night.yaml"), documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n"));
    for document in crate::support::documents(&text) {
        crate::support::operator::apply(client, &document.to_string()).await;
    }
    let other = near.client(None).await;
    for name in ["node-1", "node-2"] {
        node(&other, name, "8", true).await;
    }
    apply(client, &mover_rights(&["shinan-forms", "shinan-ledger", "shinan-volume", "shinan-late", "shinan-look"])).await;
    // A drill of long ago.
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 40);
    let status = json!({"status": {"phase": "Succeeded", "result": "Passed", "startTime": long_ago, "completionTime": long_ago}});
    api(client, "platform861.io", "Drill", "drills", Some(DISTRICT))
        .patch_status("old", &PatchParams::default(), &Patch::Merge(status))
        .await
        .expect("a drill's status");
}
