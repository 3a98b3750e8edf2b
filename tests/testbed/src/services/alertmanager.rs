//! Alertmanager: takes Prometheus' alerts, and hands them to a webhook if there is one.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde_json::json;

use super::{Ready, Spec, SpecFile, config_text};

/// The port.
pub const PORT: u16 = 9093;

/// How Alertmanager is started at `address`, its port being [`PORT`], with its data and configuration in `folder`. Alerts go to the URLs of
/// `webhooks`, with the bearer token if there is one.
pub fn spec(alertmanager: &Path, address: IpAddr, folder: &Path, webhooks: &[String], token: &str) -> Spec {
    let config = folder.join("alertmanager.yml");
    let data = folder.join("data");
    let authorization = if token.is_empty() { json!({}) } else { json!({"authorization": {"credentials": token}}) };
    let webhooks: Vec<_> = webhooks.iter().map(|url| json!({"url": url, "send_resolved": true, "http_config": authorization})).collect();
    let text = config_text(&json!({
        // Short, because tests wait for what arrives.
        "route": {"receiver": "bed", "group_by": ["alertname", "site", "district"], "group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h"},
        "receivers": [{"name": "bed", "webhook_configs": webhooks}],
    }));
    let address = SocketAddr::new(address, PORT);
    Spec {
        name: "alertmanager",
        program: alertmanager.to_owned(),
        args: vec![
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", data.display()),
            format!("--web.listen-address={address}"),
            // Alone: with a listener it would look for other beds' Alertmanagers.
            "--cluster.listen-address=".to_owned(),
        ],
        env: vec![],
        folders: vec![data],
        files: vec![SpecFile { path: config, mode: 0o600, text }],
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
    fn amtool_accepts_the_configuration_with_and_without_a_webhook() {
        for webhooks in [vec![], vec!["http://127.0.0.1:9/hook".to_owned()]] {
            let folder = tempfile::tempdir().unwrap();
            let spec = spec(Path::new("alertmanager"), [127, 0, 0, 1].into(), folder.path(), &webhooks, if webhooks.is_empty() { "" } else { "secret" });
            spec.prepare().unwrap();
            let output =
                run(Command::new(tool("amtool", "prometheus-alertmanager")).arg("check-config").arg(&spec.files[0].path), Duration::from_secs(30)).unwrap();
            assert!(output.contains("SUCCESS"), "{output}");
        }
    }
}
