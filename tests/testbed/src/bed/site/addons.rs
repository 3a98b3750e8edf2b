//! What every cluster has: DNS, volumes, and the rights of the service proxy.

use std::time::Duration;

use super::Site;
use crate::bed::error::{BedError, Result};
use crate::bed::network::DNS_SERVICE;
use crate::bed::wait::while_running;
use crate::images::{BASE_IMAGE, COREDNS, LOCAL_PATH_PROVISIONER};

/// How long the node and its first pods may take.
const READY: Duration = Duration::from_mins(3);

impl Site {
    pub(super) fn apply_addons(&self) -> Result<()> {
        let file = self.folder.join("addons.yaml");
        let text = include_str!("../../../addons/addons.yaml")
            .replace("@DNS_SERVICE@", DNS_SERVICE)
            .replace("@COREDNS@", COREDNS)
            .replace("@PROVISIONER@", LOCAL_PATH_PROVISIONER)
            .replace("@HELPER@", BASE_IMAGE)
            .replace("@VOLUMES@", &self.folder.join("volumes").display().to_string());
        std::fs::write(&file, text).map_err(BedError::io(&file))?;
        self.apply(&file)
    }

    /// Waits until the node is Ready, DNS answers, and volumes can be made.
    pub(super) fn wait_ready(&self) -> Result<()> {
        let node = ["get", "nodes", "--output", "jsonpath={range .items[*].status.conditions[?(@.type==\"Ready\")]}{.status} {.message}{end}"];
        self.wait_for("its node is Ready", &node, |seen| seen.starts_with("True"))?;
        let ready =
            ["get", "deployments", "--namespace", "kube-system", "--output", "jsonpath={range .items[*]}{.metadata.name}={.status.availableReplicas} {end}"];
        self.wait_for("its DNS and its provisioner are available", &ready, |seen| seen == "coredns=1 local-path-provisioner=1")
    }

    fn wait_for(&self, what: &str, look: &[&str], good: impl Fn(&str) -> bool) -> Result<()> {
        while_running(&self.processes(), &format!("{}: {what}", self.name), READY, || {
            let seen = self.kubectl(look).map_err(|error| error.to_string())?;
            if good(seen.trim()) { Ok(()) } else { Err(seen) }
        })
    }
}
