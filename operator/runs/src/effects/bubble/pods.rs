//! Pods of our own in a copy: its DNS, and the probes that prove it closed. They are valid under Pod Security *restricted* and run the operator's image.

use crate::context::RunContext;
use p861_crds::names::{DRILL_LABEL, ROLE_LABEL, RUN_LABEL};
use serde_json::{Value, json};

/// User and group of the copy's own pods.
const UID: i64 = 65532;
/// Value of the role label of the copy's DNS, which may ask the API server and the cluster's DNS.
pub const LABEL_VALUE_DNS: &str = "copy-dns";
/// Value of the role label of the free probe: it shows that what the closed ones don't reach answers.
pub const LABEL_VALUE_FREE_PROBE: &str = "copy-probe-free";
/// Value of the role label of the closed probes. No network policy names it: they are held like the pods of the application. Like the others, only the operator may write
/// it: a false probe would prove what it likes.
pub const LABEL_VALUE_CLOSED_PROBE: &str = "copy-probe";

/// A program of the image in a pod.
pub struct OwnPod<'a> {
    /// UID of the run.
    pub run: &'a str,
    /// Short id of the drill.
    pub drill: &'a str,
    /// What the pod is for, as its role label says it.
    pub role: &'static str,
    /// The image's subcommand.
    pub command: &'static str,
    /// An environment variable and its value.
    pub order: (&'static str, String),
    /// The account whose token the pod gets; none if it needs no API server.
    pub account: Option<&'a str>,
    /// Memory limit.
    pub memory: &'static str,
}

impl OwnPod<'_> {
    /// Labels of the pod and of whatever makes it.
    pub fn labels(&self) -> Value {
        json!({RUN_LABEL: self.run, DRILL_LABEL: self.drill, ROLE_LABEL: self.role})
    }

    /// Its template; `more` are fields of the pod, `of_container` fields of its container.
    pub fn template(&self, context: &RunContext, more: &Value, of_container: &Value) -> Value {
        let (variable, order) = &self.order;
        let mut container = json!({
            "name": self.command, "image": context.movers.image, "imagePullPolicy": context.movers.image_pull_policy, "args": [self.command],
            "env": [{"name": variable, "value": order}, {"name": "P861_LOG", "value": "json"}],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": self.memory}},
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
        });
        extend(&mut container, of_container);
        let mut pod = json!({
            "automountServiceAccountToken": self.account.is_some(), "enableServiceLinks": false, "terminationGracePeriodSeconds": 2,
            "securityContext": {"runAsNonRoot": true, "runAsUser": UID, "runAsGroup": UID, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        });
        if let Some(account) = self.account {
            pod["serviceAccountName"] = json!(account);
        }
        extend(&mut pod, more);
        json!({"metadata": {"labels": self.labels()}, "spec": pod})
    }
}

fn extend(map: &mut Value, more: &Value) {
    if let (Some(map), Some(more)) = (map.as_object_mut(), more.as_object()) {
        map.extend(more.clone());
    }
}
