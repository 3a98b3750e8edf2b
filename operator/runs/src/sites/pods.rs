//! Pods of workloads, and commands in them.

mod own;

use super::attached::{self, Attached, Exit, Limits};
use crate::{
    error::{Error, ErrorContext as _, Result},
    object_path::in_path,
};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        core::v1::{Pod, ReplicationController},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Client, ResourceExt,
    api::{AttachParams, ListParams},
};
use p861_core::{objects::Runner, runs::Permitted};
use p861_crds::{Reason, WorkloadKind, WorkloadReference, common::ContainerCommand};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Output and exit of a command in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output, at most [`MAX_OUTPUT_BYTES`] bytes.
    pub stdout: String,
    /// Begin and end of standard error.
    pub stderr: String,
    /// How it ended, from the API server.
    pub message: String,
}

impl Output {
    /// Standard output and error in short, for evidence and messages.
    pub fn excerpt(&self) -> String {
        let text = if self.success || self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        p861_core::conditions::shorten(text.trim(), 600)
    }
}

/// Output beyond this is read and discarded.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;
/// Buffer of each stream between the connection and its reader or writer.
const STREAM_BUFFER_BYTES: usize = 256 * 1024;

/// A workload's pod selector and how many pods it wants and has ready.
#[derive(Clone, Debug)]
pub struct WorkloadState {
    /// Selects its pods.
    pub selector: String,
    /// Pods wanted.
    pub wanted: i32,
    /// Pods ready, of the newest template.
    pub ready: i32,
    /// Conditions that are True, for example Available; and RolledOut, if all pods that are wanted are ready and of the newest template.
    pub conditions: Vec<String>,
    /// Whether its controller has seen the newest spec.
    pub observed: bool,
}

fn selector_text(selector: &LabelSelector) -> String {
    let mut parts: Vec<String> = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.clone().unwrap_or_default().join(",");
        parts.push(match expression.operator.as_str() {
            "In" => format!("{} in ({values})", expression.key),
            "NotIn" => format!("{} notin ({values})", expression.key),
            "Exists" => expression.key.clone(),
            _ => format!("!{}", expression.key),
        });
    }
    parts.join(",")
}

/// The annotations of a workload; None if it doesn't exist.
///
/// # Errors
/// If the API server can't be read.
pub async fn annotations(client: &Client, namespace: &str, workload: &WorkloadReference) -> Result<Option<std::collections::BTreeMap<String, String>>> {
    let (client, name) = (client.clone(), &*in_path(&workload.name)?);
    let found = match workload.kind {
        WorkloadKind::Deployment => {
            Api::<Deployment>::namespaced(client, namespace).get_metadata_opt(name).await.map(|found| found.map(|found| found.metadata))
        }
        WorkloadKind::StatefulSet => {
            Api::<StatefulSet>::namespaced(client, namespace).get_metadata_opt(name).await.map(|found| found.map(|found| found.metadata))
        }
        WorkloadKind::DaemonSet => Api::<DaemonSet>::namespaced(client, namespace).get_metadata_opt(name).await.map(|found| found.map(|found| found.metadata)),
    };
    Ok(found.context(|| format!("read {workload} in {namespace}"))?.map(|metadata| metadata.annotations.unwrap_or_default()))
}

/// Reads a workload's state; None if it doesn't exist.
///
/// # Errors
/// If the API server can't be read.
pub async fn workload(client: &Client, namespace: &str, workload: &WorkloadReference) -> Result<Option<WorkloadState>> {
    Ok(with_uid(client, namespace, workload).await?.map(|(state, _)| state))
}

/// The state and the UID of a workload.
fn both<K: ResourceExt + Into<WorkloadState>>(found: K) -> (WorkloadState, Option<String>) {
    let uid = found.uid();
    (found.into(), uid)
}

/// Reads a workload's state and its UID; None if it doesn't exist.
async fn with_uid(client: &Client, namespace: &str, workload: &WorkloadReference) -> Result<Option<(WorkloadState, Option<String>)>> {
    let (client, name) = (client.clone(), &*in_path(&workload.name)?);
    let found = match workload.kind {
        WorkloadKind::Deployment => Api::<Deployment>::namespaced(client, namespace).get_opt(name).await.map(|found| found.map(both)),
        WorkloadKind::StatefulSet => Api::<StatefulSet>::namespaced(client, namespace).get_opt(name).await.map(|found| found.map(both)),
        WorkloadKind::DaemonSet => Api::<DaemonSet>::namespaced(client, namespace).get_opt(name).await.map(|found| found.map(both)),
    };
    found.context(|| format!("read {workload} in {namespace}"))
}

impl WorkloadState {
    /// `all` are of the newest template: none of an older one is left, and none is missing.
    fn rolled_out_if(mut self, all: bool) -> Self {
        if all && self.observed && self.ready >= self.wanted {
            self.conditions.push("RolledOut".into());
        }
        self
    }
}

impl From<Deployment> for WorkloadState {
    fn from(found: Deployment) -> Self {
        let (spec, status) = (found.spec.unwrap_or_default(), found.status.unwrap_or_default());
        let (updated, wanted) = (status.updated_replicas.unwrap_or(0), spec.replicas.unwrap_or(1));
        let all = updated >= wanted && status.replicas.unwrap_or(0) == updated;
        let holding = status.conditions.unwrap_or_default().into_iter().filter(|condition| condition.status == "True");
        Self {
            selector: selector_text(&spec.selector),
            wanted,
            ready: status.ready_replicas.unwrap_or(0).min(updated),
            conditions: holding.map(|condition| condition.type_).collect(),
            observed: status.observed_generation >= found.metadata.generation,
        }
        .rolled_out_if(all)
    }
}

/// Conditions of kinds that have none of their own: Available if all pods are ready.
fn all_ready(ready: i32, wanted: i32) -> Vec<String> {
    if ready >= wanted { vec!["Available".into(), "Ready".into()] } else { Vec::new() }
}

impl From<StatefulSet> for WorkloadState {
    fn from(found: StatefulSet) -> Self {
        let (spec, status) = (found.spec.unwrap_or_default(), found.status.unwrap_or_default());
        let (wanted, ready) = (spec.replicas.unwrap_or(1), status.ready_replicas.unwrap_or(0));
        let all = status.updated_replicas.unwrap_or(0) >= wanted && status.current_revision == status.update_revision;
        let observed = status.observed_generation >= found.metadata.generation;
        Self { selector: selector_text(&spec.selector), wanted, ready, conditions: all_ready(ready, wanted), observed }.rolled_out_if(all)
    }
}

impl From<DaemonSet> for WorkloadState {
    fn from(found: DaemonSet) -> Self {
        let (spec, status) = (found.spec.unwrap_or_default(), found.status.unwrap_or_default());
        let (wanted, ready) = (status.desired_number_scheduled, status.number_ready);
        let all = status.updated_number_scheduled.unwrap_or(0) >= wanted;
        let observed = status.observed_generation >= found.metadata.generation;
        Self { selector: selector_text(&spec.selector), wanted, ready, conditions: all_ready(ready, wanted), observed }.rolled_out_if(all)
    }
}

/// The state of a workload that was listed; none if its kind keeps no number of pods.
pub fn state_of(workload: &Value) -> Option<WorkloadState> {
    fn read<K: DeserializeOwned + Into<WorkloadState>>(workload: &Value) -> Option<WorkloadState> {
        K::deserialize(workload).ok().map(Into::into)
    }
    match Runner::of(workload)? {
        Runner::Deployment => read::<Deployment>(workload),
        Runner::StatefulSet => read::<StatefulSet>(workload),
        Runner::DaemonSet => read::<DaemonSet>(workload),
        Runner::ReplicaSet => read::<ReplicaSet>(workload),
        Runner::ReplicationController => read::<ReplicationController>(workload),
        Runner::CronJob | Runner::Job | Runner::Pod => None,
    }
}

/// Whether a workload has the pods that it wants. Where its own spec wants none there is nothing to wait for: the cluster's controllers take their time over what they
/// see. (Of a DaemonSet only its status says how many it wants, once its controller has seen it.)
pub fn is_up(workload: &Value, state: &WorkloadState) -> bool {
    workload.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0) || (state.observed && state.ready >= state.wanted)
}

impl From<ReplicaSet> for WorkloadState {
    fn from(found: ReplicaSet) -> Self {
        let (spec, status) = (found.spec.unwrap_or_default(), found.status.unwrap_or_default());
        let (wanted, ready) = (spec.replicas.unwrap_or(1), status.ready_replicas.unwrap_or(0));
        let observed = status.observed_generation >= found.metadata.generation;
        Self { selector: selector_text(&spec.selector), wanted, ready, conditions: all_ready(ready, wanted), observed }
    }
}

impl From<ReplicationController> for WorkloadState {
    fn from(found: ReplicationController) -> Self {
        let (spec, status) = (found.spec.unwrap_or_default(), found.status.unwrap_or_default());
        let (wanted, ready) = (spec.replicas.unwrap_or(1), status.ready_replicas.unwrap_or(0));
        let observed = status.observed_generation >= found.metadata.generation;
        let selector = LabelSelector { match_labels: spec.selector, ..LabelSelector::default() };
        Self { selector: selector_text(&selector), wanted, ready, conditions: all_ready(ready, wanted), observed }
    }
}

/// Whether a pod is ready and not being deleted.
pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|conditions| conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// Pods that are asked for at a time to find one.
const FIRST_PODS: u32 = 50;

/// What `choose` makes of the first pod, by name, that it wants. It is shown none of the platform's own, whatever the selector selects. Checks and markers look for one
/// pod every half minute, and a workload can have thousands: no more pages are read than it takes to find one.
///
/// # Errors
/// If the API server can't be read.
pub async fn first_of<T>(pods: &Api<Pod>, selector: &str, mut choose: impl FnMut(&Pod) -> Option<T>) -> kube::Result<Option<T>> {
    let page_of = || ListParams::default().labels(selector).limit(FIRST_PODS);
    let mut parameters = page_of();
    loop {
        let mut page = pods.list(&parameters).await?;
        page.items.sort_by_key(ResourceExt::name_any);
        let chosen = page.items.iter().filter(|pod| !own::is_platforms(pod)).find_map(&mut choose);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) if chosen.is_none() => parameters = page_of().continue_token(&token),
            _ => return Ok(chosen),
        }
    }
}

/// Where a command runs. Only [`Target::of`] makes one, and none of a pod of the platform's own: there is no way to run anything in a mover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The pod.
    pub pod: String,
    /// Its container.
    container: String,
}

/// Names a pod's container for commands without one, as kubectl does.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

impl Target {
    /// The named container of a pod; else the one that its annotation names, else its first. The API server itself refuses to choose among several. None if the pod is
    /// one of the platform's own, whoever asks.
    pub fn of(pod: &Pod, container: Option<&str>) -> Option<Self> {
        if own::is_platforms(pod) {
            return None;
        }
        let names: Vec<&str> = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str()).collect();
        let annotated = pod.annotations().get(DEFAULT_CONTAINER).map(String::as_str).filter(|name| names.contains(name));
        let container = container.or(annotated).or(names.first().copied()).unwrap_or_default();
        Some(Self { pod: pod.name_any(), container: container.to_owned() })
    }
}

/// Where a command for a workload runs: in its first ready pod by name, so that every attempt takes the same. Its pods are those that it controls: whoever writes a
/// workload lets its selector select others, too.
///
/// # Errors
/// If the workload has no ready pod.
pub async fn target(client: &Client, namespace: &str, reference: &WorkloadReference, container: Option<&str>) -> Result<Target> {
    let Some((state, uid)) = with_uid(client, namespace, reference).await? else {
        return Err(Error::invalid(Reason::WorkloadMissing, format!("{reference} doesn't exist in namespace {namespace}: correct workloadRef, or create it")));
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut others = false;
    let ready = first_of(&pods, &state.selector, |pod| {
        let is_its = own::controls(reference, uid.as_deref(), pod);
        others |= !is_its;
        if is_its && is_ready(pod) { Target::of(pod, container) } else { None }
    });
    let ready = ready.await.context(|| format!("list the pods of {reference} in {namespace}"))?;
    ready.ok_or_else(|| {
        let of_others = if others { "; others that its selector selects are not its own, and nothing is run in them: correct spec.selector" } else { "" };
        let counted = format!("{} of {} ready", state.ready, state.wanted);
        Error::transient(Reason::WorkloadNotReady, format!("{reference} in {namespace} has no ready pod of its own ({counted}){of_others}"))
    })
}

/// Starts a command in a container. Asks no gate: for movers, which have rights in their run's namespaces only, and for what has passed it.
///
/// # Errors
/// If the API server refuses.
pub(crate) async fn attach(client: &Client, namespace: &str, target: &Target, command: &[String], with_input: bool) -> Result<Attached> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let buffered = AttachParams::default().max_stdin_buf_size(STREAM_BUFFER_BYTES).max_stdout_buf_size(STREAM_BUFFER_BYTES);
    let parameters = buffered.stdin(with_input).stdout(true).stderr(true).container(&target.container);
    let process = pods.exec(&target.pod, command, &parameters).await.context(|| what(namespace, target, command))?;
    Ok(process.into())
}

fn what(namespace: &str, target: &Target, command: &[String]) -> String {
    format!("run {:?} in pod {namespace}/{}", command.first().map(String::as_str).unwrap_or_default(), target.pod)
}

/// Runs a command in a ready pod of a workload and waits for its exit, at most `limit` in all. Standard output is cut at [`MAX_OUTPUT_BYTES`]; of standard error
/// begin and end are kept.
///
/// # Errors
/// If the permitted action doesn't reach into the namespace, if there is no ready pod, or if the command can't be started or doesn't end in time. A non-zero exit is
/// not an error.
pub(crate) async fn execute(client: &Client, permitted: Permitted<'_>, namespace: &str, command: &ContainerCommand, limit: Duration) -> Result<Output> {
    let ContainerCommand { workload_ref, container, command } = command;
    reaches(permitted, namespace)?;
    let what = || format!("run {:?} in {workload_ref} of {namespace}", command.first().map(String::as_str).unwrap_or_default());
    let run = async {
        let target = target(client, namespace, workload_ref, container.as_deref()).await?;
        execute_in(client, namespace, &target, command, limit).await
    };
    tokio::time::timeout(limit, run).await.unwrap_or_else(|_| Err(late(what(), limit)))
}

/// Refuses a namespace into which a permitted action doesn't reach.
///
/// # Errors
/// If it doesn't: a bug.
pub(crate) fn reaches(permitted: Permitted<'_>, namespace: &str) -> Result<()> {
    if permitted.reaches(namespace) {
        return Ok(());
    }
    Err(Error::Internal(format!("action {} is permitted, but not in namespace {namespace}", permitted.action().word())))
}

/// Like [`execute`], in a given container, and without the gate.
///
/// # Errors
/// If the command can't be started or doesn't end in time.
pub(crate) async fn execute_in(client: &Client, namespace: &str, target: &Target, command: &[String], limit: Duration) -> Result<Output> {
    let run = async {
        let attached = attach(client, namespace, target, command, false).await?;
        output_of(attached, attached::LIMITS, || what(namespace, target, command)).await
    };
    tokio::time::timeout(limit, run).await.unwrap_or_else(|_| Err(late(what(namespace, target, command), limit)))
}

fn late(what: String, limit: Duration) -> Error {
    Error::transient(Reason::DeadlineExceeded, format!("{what}: no end after {limit:?}"))
}

async fn output_of(attached: Attached, limits: Limits, what: impl Fn() -> String) -> Result<Output> {
    let (exit, stdout, stderr) = attached::output(attached, limits, MAX_OUTPUT_BYTES).await;
    let (success, message) = match exit {
        Exit::Lost => return Err(Error::transient(Reason::ConnectionLost, format!("{}: the connection ended before the command did", what()))),
        Exit::Success => (true, String::new()),
        Exit::Failure(message) => (false, message),
    };
    Ok(Output { success, stdout: stdout.begin(), stderr: stderr.quoted(), message })
}

#[cfg(test)]
#[path = "pods/tests.rs"]
mod tests;
