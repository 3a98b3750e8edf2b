//! The stage: what the demo shows and what the suites that need everything begin with.

use crate::follow::{Follower, webhook_path};
use crate::install::{SYSTEM, apply_private, charts, hand_over_kubeconfig, operator_image, program, root};
use crate::look::{Look as _, wait_rolled_out};
use p861_testbed::bed::{self, Bed, BedError, Options, Result, SITES, Site, until};
use p861_testbed::report::Report;
use p861_testbed::services::http;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// How long an application may take to start, or the operator to notice something.
const READY: Duration = Duration::from_mins(4);
/// The district.
pub const DISTRICT: &str = "shinan";
/// Somebody who may agree to changes.
pub const APPROVER: &str = "shift-leader-a";
/// The bucket of its repository, in which the repository lies at the top.
pub const BUCKET: &str = "p861-shinan";

/// Two sites, an operator, a district, two applications.
pub struct Stage {
    /// The test bed.
    pub bed: Bed,
    /// It was up before this process.
    pub(crate) standing: bool,
    report: Report,
}

impl Stage {
    /// Sets everything up. `name` is the bed's; it stays when this value is dropped: [`Stage::down`] ends it.
    pub fn up(name: &str, report: &Report) -> Result<Self> {
        let options = Options { rules: vec![root().join("charts/p861/files/p861.rules.yaml")], ..Options::default() };
        let bed = Bed::up(name, &options, report)?;
        let stage = Self { bed, standing: false, report: report.clone() };
        thread::scope(|scope| {
            let applications = scope.spawn(|| stage.start_applications());
            report.timed("Installing the operator from its charts", || {
                let tag = operator_image(&stage.bed, &Report::silent())?;
                charts(&stage.bed, &tag)?;
                hand_over_kubeconfig(&stage.bed, stage.primary()?, "site-xinxi-dasha")
            })?;
            report.timed("Waiting for the district's two applications", || {
                applications.join().unwrap_or_else(|_| Err(BedError::Refused("starting the applications panicked".to_owned())))
            })
        })?;
        report.timed("Declaring sites, district, repository, applications and plan", || stage.declare())?;
        Follower::Metrics.start(&stage.bed)?;
        Ok(stage)
    }

    /// The stage of this name that was set up before.
    pub fn find(name: &str, report: &Report) -> Result<Option<Self>> {
        Ok(Bed::find(name, report)?.map(|bed| Self { bed, standing: true, report: report.clone() }))
    }

    /// Brings the operator in that was built last.
    pub fn renew_operator(&self) -> Result<()> {
        self.report.timed("Renewing the operator", || charts(&self.bed, &operator_image(&self.bed, &Report::silent())?))
    }

    /// Takes everything down.
    pub fn down(&self) -> Result<()> {
        bed::down(self.bed.name(), &self.report)
    }

    /// The site where the applications are at home.
    pub fn primary(&self) -> Result<&Site> {
        self.bed.site(SITES[0])
    }

    /// The site of the operator, and of drills.
    pub fn standby(&self) -> Result<&Site> {
        self.bed.hub()
    }

    /// A command of `p861` as administrator of the hub, who has a context for the other site, too.
    pub fn p861(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("p861")?);
        let kubeconfigs = std::env::join_paths([self.standby()?.kubeconfig(), self.primary()?.kubeconfig()]);
        let kubeconfigs = kubeconfigs.map_err(|error| BedError::Refused(error.to_string()))?;
        command.args(["--district", DISTRICT]).args(arguments).env("KUBECONFIG", kubeconfigs).env("P861_LANG", "en");
        Ok(command)
    }

    /// An object of the district on the hub.
    pub fn object(&self, kind: &str, name: &str) -> Result<Value> {
        self.standby()?.get(&["--namespace", DISTRICT, kind, name])
    }

    /// Waits for something of an object of the district.
    pub fn wait<T>(&self, what: &str, limit: Duration, kind: &str, name: &str, judge: impl FnMut(&Value) -> std::result::Result<T, String>) -> Result<T> {
        self.standby()?.wait(what, limit, &["--namespace", DISTRICT, kind, name], judge)
    }

    /// Waits until a run has ended, and gives it.
    pub fn wait_end(&self, limit: Duration, kind: &str, name: &str) -> Result<Value> {
        self.wait(&format!("{kind} {name} has ended"), limit, kind, name, |seen| {
            let phase = seen["status"]["phase"].as_str().unwrap_or("none");
            if matches!(phase, "Succeeded" | "Failed" | "Aborted" | "Refused") { Ok(seen.clone()) } else { Err(seen["status"].to_string()) }
        })
    }

    /// Applies a manifest; `@S3_ENDPOINT@` and `@ALERTMANAGER@` are filled in.
    pub fn apply(&self, site: &Site, name: &str, manifest: &str) -> Result<()> {
        let alertmanager = format!("http://{}", self.bed.services.alertmanager());
        apply_private(&self.bed, site, name, &manifest.replace("@S3_ENDPOINT@", &self.bed.s3().endpoint()).replace("@ALERTMANAGER@", &alertmanager))
    }

    fn start_applications(&self) -> Result<()> {
        let primary = self.primary()?;
        let password = self.bed.services.identity("admin")?.secret_key;
        for name in ["approval", "portal"] {
            self.apply(primary, &format!("{name}.yaml"), &read(&format!("tests/apps/{name}.yaml"))?.replace("@PASSWORD@", &password))?;
        }
        for (namespace, workload) in [
            ("shinan-approval", "statefulset/postgres"),
            ("shinan-approval", "deployment/approval-server"),
            ("shinan-approval", "deployment/approval-worker"),
            ("shinan-approval", "deployment/approval-web"),
            ("shinan-portal", "deployment/portal-web"),
        ] {
            wait_rolled_out(primary, READY, namespace, workload)?;
        }
        Ok(())
    }

    fn declare(&self) -> Result<()> {
        let hub = self.standby()?;
        self.apply(hub, "sites.yaml", &read("tests/district/sites.yaml")?)?;
        hub.wait_condition(READY, &["district", DISTRICT], "Ready")?;
        let identity = self.bed.services.identity(BUCKET)?;
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: repository-s3, namespace: {DISTRICT}}}\nstringData: {{accessKeyID: {}, secretAccessKey: {}}}\n",
            identity.access_key, identity.secret_key
        );
        apply_private(&self.bed, hub, "repository-s3.yaml", &secret)?;
        self.apply(hub, "shinan.yaml", &read("tests/district/shinan.yaml")?)?;
        // The plan is Ready when its applications have been backed up.
        for (kind, name) in [("backuprepository", DISTRICT), ("application", "approval"), ("application", "portal")] {
            hub.wait_condition(READY, &["--namespace", DISTRICT, kind, name], "Ready")
                .map_err(|error| BedError::Refused(format!("{error}\n{}", self.operator_log())))?;
        }
        Ok(())
    }

    /// Opens a window for every change, for some hours from now.
    pub fn open_window(&self) -> Result<()> {
        let now = jiff::Timestamp::now();
        let hours = jiff::SignedDuration::from_hours;
        let (start, end) = (now - hours(1), now + hours(6));
        let manifest = format!(
            "apiVersion: platform861.io/v1alpha1\nkind: MaintenanceWindow\nmetadata: {{name: any-time, namespace: {DISTRICT}}}\nspec: {{changeClasses: [Standard, Normal], dates: [{{startTime: \"{start:.0}\", endTime: \"{end:.0}\"}}]}}\n"
        );
        self.apply(self.standby()?, "window.yaml", &manifest)
    }

    /// Agrees to a change, as somebody who did not ask for it.
    pub fn approve(&self, ticket: &str) -> Result<()> {
        let hub = self.standby()?;
        let digest = self.wait("there is a plan to agree to", READY, "maintenanceticket", ticket, |seen| {
            seen["status"]["planDigest"].as_str().map(str::to_owned).ok_or_else(|| seen["status"].to_string())
        })?;
        let uid = self.object("maintenanceticket", ticket)?["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let path = self.folder().join("approval.yaml");
        let manifest = format!(
            "apiVersion: platform861.io/v1alpha1\nkind: Approval\nmetadata: {{name: {ticket}-{APPROVER}, namespace: {DISTRICT}}}\nspec: {{subjectRef: {{kind: MaintenanceTicket, name: {ticket}, uid: {uid}}}, purpose: Start, digest: \"{digest}\", decision: Approved, reason: \"agreed in the morning meeting\"}}\n"
        );
        fs::write(&path, manifest).map_err(|source| BedError::Io { path: path.clone(), source })?;
        let groups = ["--as", APPROVER, "--as-group", "shinan-shift-leaders", "--as-group", "system:authenticated"];
        if self.standing {
            // Who gave an approval takes it back, and nobody else.
            let name = format!("{ticket}-{APPROVER}");
            hub.kubectl(&[&["delete", "--namespace", DISTRICT, "approval", &name, "--ignore-not-found"], &groups[..]].concat())?;
        }
        hub.kubectl(&[&["create", "--filename", &path.to_string_lossy()], &groups[..]].concat()).map(drop)
    }

    /// Sends the bed's alerts to the operator's replicas from now on, wherever they are; the one that leads takes them.
    pub fn route_alerts(&self) -> Result<()> {
        let (follower, path) = (Follower::Alerts.start(&self.bed)?, webhook_path(&self.bed)?);
        until("Alertmanager posts to the operator", READY, || {
            let answer = http::request(self.bed.services.alertmanager(), "GET", "/api/v2/status", &[], &[]).map_err(|error| error.to_string())?;
            if answer.body.contains(&path) { Ok(()) } else { Err(format!("its configuration has no receiver {path}; the follower's log: {}", follower.tail())) }
        })
    }

    /// The end of the operator's log, for errors.
    pub fn operator_log(&self) -> String {
        let log = self
            .standby()
            .and_then(|hub| hub.kubectl(&["logs", "--namespace", SYSTEM, "--selector=app.kubernetes.io/component=operator", "--tail=15", "--prefix"]));
        format!("the operator's log ends with:\n{}", log.unwrap_or_else(|error| error.to_string()))
    }

    /// Where reports of the demo go.
    pub fn folder(&self) -> PathBuf {
        self.bed.folder()
    }
}

/// A file of the project.
pub fn read(path: &str) -> Result<String> {
    let path = root().join(path);
    fs::read_to_string(&path).map_err(|source| BedError::Io { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_h26_the_sites_of_the_bed_have_the_names_that_are_declared() {
        let declared: Vec<Value> = serde_saphyr::from_multiple(&read("tests/district/sites.yaml").unwrap()).unwrap();
        let sites = declared.iter().filter(|object| object["kind"] == "Site");
        assert_eq!(sites.map(|site| site["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>(), SITES);
    }

    #[test]
    fn fault_h26_a_context_that_a_page_names_is_one_of_the_bed_or_a_variable_of_the_reader() {
        let mut named = Vec::new();
        for folder in ["docs", "runbooks"] {
            for page in
                fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "md"))
            {
                let text = fs::read_to_string(&page).unwrap();
                let contexts = ["--context ", "--site-context ", "--kube-context "].into_iter().flat_map(|option| text.split(option).skip(1));
                for context in contexts.filter_map(|rest| rest.split([' ', '`', '\n', '|']).next()) {
                    let placeholder = context.trim_matches(['<', '>']).chars().all(|letter| letter.is_ascii_uppercase());
                    assert!(SITES.contains(&context) || context.starts_with("\"$") || placeholder, "{}: the bed has no context {context}", page.display());
                    named.push(context.to_owned());
                }
                assert!(!text.contains("KUBECONFIG/") && !text.contains("admin.kubeconfig"), "{}: a reader has one kubeconfig", page.display());
            }
        }
        assert!(named.iter().any(|context| context == SITES[0]), "{named:?}");
    }
}
