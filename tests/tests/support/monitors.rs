//! A real Prometheus and a real Alertmanager beside a lone operator, on a loopback address of their own.

use super::{programs, text};
use p861_testbed::services::{Spec, alertmanager, http, prometheus};
use regex::Regex;
use serde_json::Value;
use std::{
    fs::File,
    hash::{BuildHasher as _, Hasher as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;

/// How long either may take until it is ready.
const READY: Duration = Duration::from_mins(2);
/// How often Alertmanager repeats what still fires: a heartbeat must be heard again and again.
const REPEATED: &str = "5s";

/// Both, running. They end when this is let go.
pub struct Monitors {
    folder: TempDir,
    address: IpAddr,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Monitors {
    /// Starts them: Prometheus scrapes `operator`, and Alertmanager posts to its webhook as the Alertmanager of `site`.
    pub fn start(operator: &str, site: &str, token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = IpAddr::V4(free_address());
        let rules = folder.path().join("rules");
        std::fs::create_dir(&rules).expect("a folder");
        std::fs::write(rules.join("p861.yaml"), impatient(&text("charts/p861/files/p861.rules.yaml"))).expect("written");
        let scrape = prometheus::Scrape::Static { job: "p861".to_owned(), targets: vec![operator.to_owned()] };
        let webhook = format!("http://{operator}/alertmanager/{site}");
        let mut of_alerts = alertmanager::spec(&programs().alertmanager, address, &folder.path().join("alertmanager"), &[webhook], token);
        for file in &mut of_alerts.files {
            file.text = file.text.replace("\"1h\"", &format!("\"{REPEATED}\""));
            assert!(file.text.contains(REPEATED), "the configuration has another form: {}", file.text);
        }
        let alerts_go_to = Some(SocketAddr::new(address, alertmanager::PORT));
        let of_metrics = prometheus::spec(&programs().prometheus, address, &folder.path().join("prometheus"), &[scrape], &[rules.join("*.yaml")], alerts_go_to);
        for spec in [&of_alerts, &of_metrics] {
            spec.folders.iter().filter_map(|data| data.parent()).for_each(|parent| std::fs::create_dir_all(parent).expect("a folder"));
            spec.prepare().expect("prepared");
        }
        let (stop, stopped) = mpsc::channel();
        let (started, ready) = mpsc::channel();
        let (logs, specs) = (folder.path().to_owned(), [of_alerts.clone(), of_metrics.clone()]);
        // They die with the thread that started them, so that a killed test leaves nothing.
        let keeper = thread::spawn(move || {
            let mut children = specs.map(|spec| child(&logs, &spec));
            let _ = started.send(());
            let _ = stopped.recv();
            for child in &mut children {
                let _ = child.kill();
                let _ = child.wait();
            }
        });
        ready.recv().expect("Prometheus and Alertmanager start");
        let monitors = Self { folder, address, stop: Some(stop), keeper: Some(keeper) };
        for spec in [of_alerts, of_metrics] {
            spec.wait_ready(READY).unwrap_or_else(|error| panic!("{error}\n{}", monitors.log(spec.name)));
        }
        monitors
    }

    /// Adds a rule file, or replaces it.
    pub fn rules(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("rules").join(name), text).expect("written");
        let answer = self.ask("POST", "/-/reload");
        assert_eq!(answer.0, 200, "Prometheus takes rules {name}: {}", answer.1);
    }

    /// The names of the alerts that fire, as Prometheus says.
    pub fn firing(&self) -> Vec<String> {
        let (_, body) = self.ask("GET", "/api/v1/alerts");
        let seen: Value = serde_json::from_str(&body).unwrap_or_default();
        let alerts = seen["data"]["alerts"].as_array().into_iter().flatten().filter(|alert| alert["state"] == "firing");
        alerts.filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned)).collect()
    }

    /// Whether an alert with these labels fires, or has fired within this time.
    pub fn has_fired(&self, alert: &str, labels: &[(&str, &str)], within: Duration) -> bool {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!(",{name}=\"{value}\"")).collect();
        let fired = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"{}}}", labels.concat());
        let query: Vec<String> = format!("max_over_time({fired}[{}s])", within.as_secs().max(1)).bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (_, body) = self.ask("GET", &format!("/api/v1/query?query={}", query.concat()));
        let seen: Value = serde_json::from_str(&body).unwrap_or_default();
        seen["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
    }

    /// Gives Alertmanager another token to post with.
    pub fn exchange_token(&self, before: &str, now: &str) {
        let path = self.folder.path().join("alertmanager/alertmanager.yml");
        let configuration = std::fs::read_to_string(&path).expect("a configuration");
        assert!(configuration.contains(before), "the configuration has another form: {configuration}");
        std::fs::write(path, configuration.replace(before, now)).expect("written");
        self.alertmanager("POST", "/-/reload");
    }

    /// Asks Alertmanager.
    pub fn alertmanager(&self, method: &str, path: &str) -> String {
        let answer = http::request(SocketAddr::new(self.address, alertmanager::PORT), method, path, &[], &[]).expect("Alertmanager answers");
        assert_eq!(answer.status, 200, "{}", answer.summary());
        answer.body
    }

    /// Where Alertmanager is.
    pub fn alertmanager_url(&self) -> String {
        format!("http://{}", SocketAddr::new(self.address, alertmanager::PORT))
    }

    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        match http::request(SocketAddr::new(self.address, prometheus::PORT), method, path, &[], &[]) {
            Ok(answer) => (answer.status, answer.body),
            Err(error) => (0, error.to_string()),
        }
    }

    /// The end of a program's log.
    pub fn log(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Monitors {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// The same rules with less patience: nothing else of them changes. That the patience is right is promtool's to prove.
fn impatient(rules: &str) -> String {
    let hurried = Regex::new(r"(?m)^(\s+for:) \S+$").expect("a pattern").replace_all(rules, "$1 2s").into_owned();
    // Five scrapes: on a busy machine several in a row come late.
    let hurried = Regex::new(r"(?m)^(\s+keep_firing_for:) \S+$").expect("a pattern").replace_all(&hurried, "$1 10s").into_owned();
    let hurried = Regex::new(r"\[(30m|10m)\]").expect("a pattern").replace_all(&hurried, "[75s]").into_owned();
    Regex::new(r"offset (30m|10m)").expect("a pattern").replace_all(&hurried, "offset 75s").into_owned()
}

fn child(logs: &Path, spec: &Spec) -> Child {
    let log = File::create(logs.join(format!("{}.log", spec.name))).expect("a log");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(&spec.program).args(&spec.args).envs(spec.env.iter().cloned()).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("setpriv")
}

/// A loopback address where nobody listens on the ports that these programs take.
fn free_address() -> Ipv4Addr {
    let mut random = std::iter::repeat_with(|| std::hash::RandomState::new().build_hasher().finish().to_le_bytes());
    let addresses = random.by_ref().take(1000).map(|bytes| Ipv4Addr::new(127, bytes[0].max(1), bytes[1], bytes[2].clamp(2, 254)));
    let free = |address: &Ipv4Addr| [alertmanager::PORT, prometheus::PORT].iter().all(|port| std::net::TcpListener::bind((*address, *port)).is_ok());
    addresses.into_iter().find(free).expect("a free loopback address")
}
