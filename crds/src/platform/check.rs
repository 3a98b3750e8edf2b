//! Checks: what must hold of an application, in ordinary times and when it was recovered.

use super::super::common::{Duration, WorkloadReference};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.http), has(self.tcp), has(self.exec), has(self.condition)].exists_one(x, x)").message("give exactly one of http, tcp, exec and condition"))]
pub struct Check {
    /// Name, unique within the application.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// An HTTP request is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// A TCP port accepts connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// A command succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecCheck>,
    /// A workload's condition is True.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionCheck>,
    /// How often to run the check.
    #[serde(default = "default_check_period")]
    pub period: Duration,
    /// In a run: maximum time until it must pass.
    #[serde(default = "default_check_deadline")]
    pub deadline: Duration,
    /// Outside runs: consecutive failures before it counts as failed.
    #[serde(default = "default_check_failures")]
    #[schemars(range(min = 1, max = 100))]
    pub failures: i32,
}

fn default_check_period() -> Duration {
    "30s".into()
}

fn default_check_deadline() -> Duration {
    "2m".into()
}

fn default_check_failures() -> i32 {
    3
}

/// A Service answers an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    /// The Service.
    #[schemars(length(max = 63))]
    pub service_name: String,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Path with query.
    #[serde(default = "default_path")]
    #[schemars(length(max = 2048))]
    pub path: String,
    /// What counts as a valid answer.
    #[serde(default)]
    pub expect: HttpExpectation,
}

pub(super) fn default_path() -> String {
    "/".into()
}

/// What counts as a valid answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpExpectation {
    /// Status code.
    #[schemars(range(min = 100, max = 599))]
    pub status: i32,
    /// Regular expression that the body must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub pattern: Option<String>,
}

impl Default for HttpExpectation {
    fn default() -> Self {
        Self { status: 200, pattern: None }
    }
}

/// A Service accepts TCP connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpCheck {
    /// The Service.
    #[schemars(length(max = 63))]
    pub service_name: String,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// A command in a container succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecCheck {
    /// The workload; the operator uses one of its ready pods.
    pub workload_ref: WorkloadReference,
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub container: Option<String>,
    /// The command and its arguments.
    #[schemars(length(min = 1, max = 64), inner(length(max = 8192)))]
    pub command: Vec<String>,
    /// Required output; exit code 0 is enough when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<OutputExpectation>,
}

/// Required output of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputExpectation {
    /// Regular expression that the output must contain.
    #[schemars(length(max = 1024))]
    pub pattern: String,
}

/// A workload's condition is True.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConditionCheck {
    /// The workload.
    pub workload_ref: WorkloadReference,
    /// The condition's type, for example Available; or RolledOut: all desired pods are ready and match the newest template.
    #[schemars(length(max = 316))]
    pub r#type: String,
}

impl Check {
    /// The workload that it asks, if it asks one.
    pub fn workload_ref(&self) -> Option<&WorkloadReference> {
        let exec = self.exec.as_ref().map(|exec| &exec.workload_ref);
        exec.or(self.condition.as_ref().map(|condition| &condition.workload_ref))
    }
}
