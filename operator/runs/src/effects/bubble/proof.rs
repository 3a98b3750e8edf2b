//! The proof that a copy is closed, before anything is written into it: pods in it try to reach what is outside. See `p861_core::isolation`.

use super::{
    dns,
    pods::{LABEL_VALUE_CLOSED_PROBE, LABEL_VALUE_FREE_PROBE, OwnPod},
};
use crate::{
    context::RunContext,
    effects::{EffectOutcome, StepContext, mover::controller_of, start},
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    hub::{is_ready, named},
    sites::for_each,
};
use jiff::SignedDuration;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Node, Pod, Service},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use p861_core::{
    engine::Failure,
    isolation::{self, AllowedEgress, CLUSTER_DOMAIN, PROBE_VARIABLE, ProbeAnswer, ProbeFacts, ProbeOrder, Verdict},
    names,
    runs::{AllottedSite, Bubble},
};
use p861_crds::{
    BackupRepository, Reason,
    names::{ROLE_LABEL, RUN_LABEL},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

/// The step says so long before its deadline what it waits for, so that its failure names it.
const LAST_WORD: SignedDuration = SignedDuration::from_secs(20);
/// Nodes on which a closed pod tries.
const MAX_NODES: usize = 16;
/// Memory limit of a probe.
const MEMORY_LIMIT: &str = "64Mi";
/// Usually a probe's pod is there by then; until then nobody asks why it isn't.
const PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// Services and pods that are looked at.
const FEW: u32 = 20;
/// How long a repository's name may take to be looked up.
const LOOK_UP_PATIENCE: Duration = Duration::from_secs(2);

/// The Jobs of an attempt.
struct Jobs {
    closed: Job,
    free: Job,
}

/// Starts the probes, or looks what they have found.
pub async fn perform(context: &RunContext, step_context: &StepContext, site: &AllottedSite, bubble: &Bubble) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let Some(home) = dns::home(bubble).filter(|_| !bubble.namespaces.is_empty()) else {
        return Err(Error::invalid(Reason::Invalid, "the copy has no namespace: spec.namespaces of its Applications is empty"));
    };
    if !context.sites.has_nodes(site).await? {
        return Err(Error::invalid(Reason::NoNode, format!("{site} has no node, so that nothing can be tried there and no copy can run")));
    }
    let name = names::mover(&step_context.run.uid, step_context.step.as_str(), step_context.attempt);
    let jobs: Api<Job> = Api::namespaced(client.clone(), home);
    let of = |role: &str| format!("{name}-{role}");
    let what = || format!("read the probes of {home} on {site}");
    let (closed, free) = (jobs.get_opt(&of("closed")).await.context(what)?, jobs.get_opt(&of("free")).await.context(what)?);
    for (job, role) in [(&closed, LABEL_VALUE_CLOSED_PROBE), (&free, LABEL_VALUE_FREE_PROBE)] {
        if let Some(job) = job.as_ref().filter(|job| !is_ours(job, &step_context.run.uid, role)) {
            return Err(in_the_way(job, site));
        }
    }
    let (closed, free) = match (closed, free) {
        (Some(closed), Some(free)) => (closed, free),
        (closed, free) => {
            // Both try the same, whatever has changed since the first was made, or since one of them was removed.
            let order = match closed.as_ref().or(free.as_ref()) {
                Some(job) => order_of(job)?,
                None => order(context, &client, step_context, bubble).await?,
            };
            if order.resolver.is_empty() {
                return Ok(waits(step_context, "the Service of the copy's DNS has no address yet"));
            }
            let nodes = nodes(&client, site).await?.clamp(1, MAX_NODES);
            for (role, label, pods) in [("closed", LABEL_VALUE_CLOSED_PROBE, nodes), ("free", LABEL_VALUE_FREE_PROBE, 1)] {
                create(&jobs, &job(context, step_context, bubble, &order, (&of(role), label, pods))?).await?;
            }
            return Ok(EffectOutcome::running("its probes start"));
        }
    };
    look(context, &client, step_context, home, &Jobs { closed, free }).await
}

/// It goes on, until it is nearly too late to say why it doesn't.
fn waits(step_context: &StepContext, message: impl Into<String>) -> EffectOutcome {
    let message = message.into();
    if step_context.left() < LAST_WORD {
        let message = format!("whether the copy is closed was not found out in time: {message}");
        return EffectOutcome::Failed(Failure::transient(Reason::IsolationUnproven, message), None);
    }
    EffectOutcome::running(message)
}

/// How many nodes take pods.
async fn nodes(client: &Client, site: &AllottedSite) -> Result<usize> {
    let mut count = 0;
    let take = |node: Node| count += usize::from(takes_pods(&node));
    for_each(&Api::<Node>::all(client.clone()), ListParams::default(), || format!("the nodes of {site}"), take).await?;
    Ok(count)
}

fn takes_pods(node: &Node) -> bool {
    is_ready(node) && !node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default()
}

/// What the probes try, as the site is now.
async fn order(context: &RunContext, client: &Client, step_context: &StepContext, bubble: &Bubble) -> Result<ProbeOrder> {
    let allowed = AllowedEgress::of(&bubble.allow_egress).map_err(|why| Error::invalid(Reason::Invalid, format!("spec.isolation.allowEgress: {why}")))?;
    let few = ListParams::default().limit(FEW);
    let of_dns = few.clone().labels("k8s-app=kube-dns");
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let api_server = services.get_opt("kubernetes").await.context(|| "read Service default/kubernetes".into())?;
    let services: Api<Service> = Api::namespaced(client.clone(), "kube-system");
    let dns_services = services.list(&of_dns).await.context(|| "list the Services of the cluster's DNS".into())?.items;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "kube-system");
    let dns_pods = pods.list(&of_dns).await.context(|| "list the pods of the cluster's DNS".into())?.items;
    let mut originals = Vec::new();
    for namespace in bubble.namespaces.keys() {
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        originals.extend(values(services.list(&few).await.context(|| format!("list the Services of {namespace}"))?.items.iter())?);
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&few).await.context(|| "list the nodes".into())?.items;
    let repository = repository(context, step_context).await;
    let (api_server, dns_services, dns_pods, nodes) =
        (values(api_server.iter())?, values(dns_services.iter())?, values(dns_pods.iter())?, values(nodes.iter())?);
    let facts =
        ProbeFacts { api_server: &api_server, dns_services: &dns_services, dns_pods: &dns_pods, nodes: &nodes, originals: &originals, repository: &repository };
    let resolver = dns::addresses(client, bubble).await?;
    let home = dns::home(bubble).cloned().unwrap_or_default();
    let name = format!("{}.{home}.svc.{CLUSTER_DOMAIN}", dns::name(bubble));
    Ok(ProbeOrder { resolver, name, targets: isolation::targets(&facts, &allowed) })
}

fn values<'a, T: Serialize + 'a>(objects: impl Iterator<Item = &'a T>) -> Result<Vec<Value>> {
    let value = |object| serde_json::to_value(object).map_err(|error| Error::Internal(format!("an object of the site can't be written: {error}")));
    objects.map(value).collect()
}

/// Where the run's repository is: an address outside that answers. One that the operator can't look up is not tried.
async fn repository(context: &RunContext, step_context: &StepContext) -> Vec<SocketAddr> {
    let run = &step_context.run;
    let Ok(repository) = named::<BackupRepository>(&context.hub.client, &run.namespace, &run.repository).await else { return Vec::new() };
    let endpoint = repository.spec.s3.and_then(|s3| s3.endpoint.parse::<http::Uri>().ok());
    let Some((host, port)) = endpoint.as_ref().and_then(|uri| Some((uri.host()?.trim_matches(['[', ']']).to_owned(), port_of(uri)))) else { return Vec::new() };
    match tokio::time::timeout(LOOK_UP_PATIENCE, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => found.take(2).collect(),
        _ => Vec::new(),
    }
}

fn port_of(uri: &http::Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 })
}

/// The Job of some probes: their pods differ in nothing but their role.
fn job(context: &RunContext, step_context: &StepContext, bubble: &Bubble, order: &ProbeOrder, (name, role, pods): (&str, &'static str, usize)) -> Result<Job> {
    let order = serde_json::to_string(order).map_err(|error| Error::Internal(format!("a probe's order can't be written: {error}")))?;
    let run = step_context.run.uid.as_str();
    let pod = OwnPod { run, drill: &bubble.id, role, command: "probe", order: (PROBE_VARIABLE, order), account: None, memory: MEMORY_LIMIT };
    // Each on a node of its own, as far as there is room.
    let spread =
        json!([{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": pod.labels()}}]);
    // It is given addresses only.
    let more = json!({"restartPolicy": "Never", "topologySpreadConstraints": spread, "dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]}});
    let document = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": pod.labels()},
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": step_context.deadline.as_secs().max(1), "ttlSecondsAfterFinished": 86400,
            "parallelism": pods, "completions": pods, "completionMode": "Indexed", "template": pod.template(context, &more, &json!({})),
        },
    });
    serde_json::from_value(document).map_err(|error| Error::Internal(format!("a probe's Job can't be written: {error}")))
}

/// The order that a probe was given.
fn order_of(job: &Job) -> Result<ProbeOrder> {
    let spec = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let variables = spec.into_iter().flat_map(|spec| &spec.containers).flat_map(|container| container.env.iter().flatten());
    let order = variables.filter(|variable| variable.name == PROBE_VARIABLE).find_map(|variable| variable.value.as_deref());
    serde_json::from_str(order.unwrap_or_default()).map_err(|error| Error::Internal(format!("probe {} has no order that can be read: {error}", job.name_any())))
}

/// Whether the operator has made the Job, for this run. Its role is what tells: the site's admission policy `p861-movers` refuses that label to others, and no name is
/// refused to anybody.
fn is_ours(job: &Job, run: &str, role: &str) -> bool {
    let label = |name: &str| job.labels().get(name).map(String::as_str);
    label(RUN_LABEL) == Some(run) && label(ROLE_LABEL) == Some(role)
}

/// Transient: another attempt takes another name.
fn in_the_way(job: &Job, site: &AllottedSite) -> Error {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let message = format!(
        "Job {namespace}/{name} on {site} has the name of a probe of this drill and was not made by the operator: nothing that it says proves anything. Find out who made it, and delete it (kubectl delete job -n {namespace} {name})"
    );
    Error::transient(Reason::NotOurs, message)
}

async fn create(jobs: &Api<Job>, job: &Job) -> Result<()> {
    match jobs.create(&PostParams::default(), job).await {
        // Of an earlier pass, or somebody's who stands in the way: the next pass looks whose it is.
        Err(error) if !is_conflict(&error) => Err(error).context(|| format!("start probe {}", job.name_any())),
        _ => Ok(()),
    }
}

/// What is known of a probe's pod.
#[derive(Debug, PartialEq)]
enum Found {
    Answer(ProbeAnswer),
    /// It has ended without an answer.
    Lost(String),
    /// It has not ended; why it doesn't run, if it says so.
    Waits(Option<String>),
}

fn found(pod: &Pod) -> Found {
    let state = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first()?.state.as_ref());
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        let answer = ended.message.as_deref().and_then(|message| serde_json::from_str(message).ok()).filter(|_| ended.exit_code == 0);
        let why = || format!("{}, exit code {}", ended.reason.as_deref().unwrap_or("ended"), ended.exit_code);
        return answer.map_or_else(|| Found::Lost(why()), Found::Answer);
    }
    match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Failed") => Found::Lost(pod.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_else(|| "its pod has failed".into())),
        _ => Found::Waits(start::reason(pod)),
    }
}

/// The pods of a Job, by its UID: anybody in the namespace can give a pod its labels.
fn pods_of<'a>(pods: &'a [Pod], job: &Job) -> Vec<&'a Pod> {
    pods.iter().filter(|pod| controller_of(pod).is_some_and(|owner| owner.kind == "Job" && Some(&owner.uid) == job.metadata.uid.as_ref())).collect()
}

async fn look(context: &RunContext, client: &Client, step_context: &StepContext, home: &str, jobs: &Jobs) -> Result<EffectOutcome> {
    let order = order_of(&jobs.closed)?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), home);
    let ours = format!("{RUN_LABEL}={},{ROLE_LABEL} in ({LABEL_VALUE_CLOSED_PROBE},{LABEL_VALUE_FREE_PROBE})", step_context.run.uid);
    let pods = pods.list(&ListParams::default().labels(&ours)).await.context(|| format!("list the probes in {home}"))?.items;
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let (mut closed, mut free, mut waiting) = (Vec::new(), None, None);
    for (job, is_free) in [(&jobs.closed, false), (&jobs.free, true)] {
        for pod in pods_of(&pods, job) {
            match found(pod) {
                Found::Answer(answer) if is_free => free = Some(answer),
                Found::Answer(answer) => closed.push((node(pod), answer)),
                Found::Lost(why) => {
                    let message = format!("probe {home}/{} ended without an answer: {why}", pod.name_any());
                    return Ok(EffectOutcome::Failed(Failure::transient(Reason::IsolationUnproven, message), None));
                }
                Found::Waits(why) => waiting = waiting.or(why.map(|why| format!("; {} can't run: {why}", pod.name_any()))),
            }
        }
    }
    closed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let wanted = jobs.closed.spec.as_ref().and_then(|spec| spec.completions).and_then(|pods| usize::try_from(pods).ok()).unwrap_or(1);
    let verdict = match &free {
        Some(free) if closed.len() >= wanted => isolation::judge(&order.resolver, &order.targets, free, &closed),
        // One that gets out is enough.
        free if closed.iter().any(|(_, answer)| !answer.reached.is_empty()) => {
            isolation::judge(&order.resolver, &order.targets, free.as_ref().unwrap_or(&ProbeAnswer::default()), &closed)
        }
        _ => {
            let refused = refused(context, client, home, jobs, &pods).await;
            let done = closed.len() + usize::from(free.is_some());
            let why = waiting.or(refused).unwrap_or_default();
            return Ok(waits(step_context, format!("pods of the copy try to reach what is outside: {done} of {} have ended{why}", wanted + 1)));
        }
    };
    for job in [&jobs.closed, &jobs.free] {
        remove(client, home, &job.name_any()).await?;
    }
    Ok(match verdict {
        Verdict::Closed(evidence) => EffectOutcome::done(evidence),
        Verdict::Open(message, evidence) => EffectOutcome::Failed(Failure::refused(Reason::IsolationNotEnforced, message), Some(evidence)),
        Verdict::Unproven(message, evidence) => EffectOutcome::Failed(Failure::transient(Reason::IsolationUnproven, message), Some(evidence)),
    })
}

/// Why a Job has no pod, once that takes long.
async fn refused(context: &RunContext, client: &Client, home: &str, jobs: &Jobs, pods: &[Pod]) -> Option<String> {
    for job in [&jobs.closed, &jobs.free] {
        let made = job.metadata.creation_timestamp.as_ref()?.0;
        if pods_of(pods, job).is_empty() && jiff::Timestamp::now().duration_since(made) > PATIENCE {
            let warning = context.movers.warnings.newest(client, home, job.metadata.uid.as_deref()?).await?;
            let age = warning.age().map(|age| format!(" ({age})")).unwrap_or_default();
            return Some(format!("; the pods of {} are refused: {}{age}", job.name_any(), warning.text));
        }
    }
    None
}

async fn remove(client: &Client, home: &str, name: &str) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), home);
    match jobs.delete(name, &DeleteParams::background()).await {
        Err(error) if !is_not_found(&error) => Err(error).context(|| format!("remove probe {home}/{name}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
