//! Prometheus: scrapes what it is told, evaluates the rule files it is given.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Ready, ServicesError, Spec, SpecFile, config_text};

/// The port.
pub const PORT: u16 = 9090;

/// Where metrics come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scrape {
    /// Fixed addresses.
    Static {
        /// The value of the label `job`.
        job: String,
        /// `HOST:PORT` each.
        targets: Vec<String>,
    },
    /// What a file lists, which Prometheus reads again whenever it changes; see [`write_targets`]. Debian's Prometheus cannot ask a
    /// Kubernetes API server itself.
    File {
        /// The value of the label `job`.
        job: String,
        /// The file, whose name ends in `.json`.
        path: PathBuf,
    },
}

impl Scrape {
    fn config(&self) -> Value {
        match self {
            Self::Static { job, targets } => json!({"job_name": job, "static_configs": [{"targets": targets}]}),
            Self::File { job, path } => json!({"job_name": job, "file_sd_configs": [{"files": [path]}]}),
        }
    }
}

/// One address to scrape and the labels that its metrics get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `HOST:PORT`.
    pub address: String,
    /// Names and values.
    pub labels: BTreeMap<String, String>,
}

/// Writes the file of a [`Scrape::File`], whole.
pub fn write_targets(path: &Path, targets: &[Target]) -> Result<(), ServicesError> {
    let list: Vec<Value> = targets.iter().map(|target| json!({"targets": [target.address], "labels": target.labels})).collect();
    SpecFile { path: path.to_owned(), mode: 0o644, text: config_text(&json!(list)) }.write()
}

/// How Prometheus is started at `address`, its port being [`PORT`], with its data and configuration in `folder`. After the
/// configuration was written again (`Spec::prepare`), `POST /-/reload` takes it up.
pub fn spec(prometheus: &Path, address: IpAddr, folder: &Path, scrapes: &[Scrape], rule_files: &[PathBuf], alertmanager: Option<SocketAddr>) -> Spec {
    let config = folder.join("prometheus.yml");
    let data = folder.join("data");
    let alertmanagers: Vec<Value> = alertmanager.iter().map(|address| json!({"static_configs": [{"targets": [address.to_string()]}]})).collect();
    let text = config_text(&json!({
        // Short, because tests wait for what it sees.
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": rule_files,
        "alerting": {"alertmanagers": alertmanagers},
        "scrape_configs": scrapes.iter().map(Scrape::config).collect::<Vec<_>>(),
    }));
    let address = SocketAddr::new(address, PORT);
    Spec {
        name: "prometheus",
        program: prometheus.to_owned(),
        args: vec![
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address={address}"),
            "--web.enable-lifecycle".to_owned(),
            "--storage.tsdb.retention.time=1d".to_owned(),
        ],
        env: vec![],
        folders: vec![data],
        files: vec![SpecFile { path: config, mode: 0o644, text }],
        ready: Ready::Http { address, path: "/-/ready" },
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::components::{run::run, tool};

    #[test]
    fn promtool_accepts_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.yaml");
        std::fs::write(&rules, "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n").unwrap();
        let targets = folder.path().join("pods.json");
        let labels = BTreeMap::from([("site".to_owned(), "xinxi-dasha".to_owned())]);
        write_targets(&targets, &[Target { address: "127.0.0.1:8080".into(), labels }]).unwrap();
        let scrapes = [Scrape::Static { job: "self".into(), targets: vec!["127.0.0.1:9090".into()] }, Scrape::File { job: "p861".into(), path: targets }];
        let spec =
            spec(Path::new("prometheus"), [127, 0, 0, 1].into(), folder.path(), &scrapes, std::slice::from_ref(&rules), Some(([127, 0, 0, 1], 9093).into()));
        spec.prepare().unwrap();
        let output = run(Command::new(tool("promtool", "prometheus")).args(["check", "config"]).arg(&spec.files[0].path), Duration::from_secs(30)).unwrap();
        assert!(output.contains("SUCCESS: 1 rule files found"), "{output}");
    }
}
