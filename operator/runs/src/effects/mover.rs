//! Movers: Jobs beside the data, with only their repository's credentials.
//!
//! Per run and namespace there is one ServiceAccount and one RoleBinding for each namespace that is read or written, all under one name; per step and attempt there is
//! one Job. All carry the run's label and are removed when the run ends. What opens the repository is in none of them: [`keys`].

mod heard;
mod in_use;
mod job;
mod keys;
mod ours;
mod placement;
pub mod rights;
mod room;
mod shared;
mod still;
mod stopping;
mod told;
mod upload;
mod waiting;
mod warned;
mod way_out;

pub use keys::KeysGiven;
pub use p861_core::objects::LABEL_VALUE_MOVER;
pub use still::Watched;
pub use stopping::{cancel, controller_of};
pub use waiting::Warnings;

use super::{EffectOutcome, StepContext, snapshot};
use crate::{
    context::RunContext,
    error::{Category, Error, ErrorContext as _, Result, is_conflict, is_not_found},
    movers::{
        MoverAnswer, MoverLine,
        child::{self, ChildSpec, ChildState},
    },
    repository::{open_store, repository_keys},
    run_objects::{ObjectError, RunObjects},
    sites::answer::last_line,
};
use heard::{Heard, heard};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, ServiceAccount},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use p861_core::{
    engine::{Evidence, Failure, FailureClass, StoredObject, TakenSnapshot},
    isolation, names, objects,
    runs::{AllottedSite, MoverTask, ObjectsMode},
    told::Noun,
};
use p861_crds::{
    Reason,
    names::{ROLE_LABEL, RUN_LABEL},
};
use p861_egress::{Egress, OWN_VARIABLE};
use serde_json::json;
use std::{borrow::Cow, collections::BTreeMap, ops::ControlFlow};
use told::environment;

/// A termination message is at most so long: the kubelet cuts it at this, and a longer one is nobody's that we started.
const MAX_TERMINATION_BYTES: usize = 4_096;

/// Place where a mover runs.
#[derive(Clone, Copy, Debug)]
pub struct MoverPlace<'a> {
    /// The site.
    pub site: &'a AllottedSite,
    /// The Job's namespace.
    pub namespace: &'a str,
    /// The claim that is mounted.
    pub claim: Option<&'a str>,
    /// Not the claim itself is mounted, but this snapshot of it.
    pub snapshot: Option<&'a TakenSnapshot>,
    /// Namespaces whose objects or pods it needs.
    pub namespaces: &'a [String],
}

/// Name of a run's ServiceAccount, with which those of its RoleBindings begin.
pub fn run_name(uid: &str) -> String {
    format!("p861-run-{}", names::short_digest(&["run", uid], 8))
}

/// Whether a second try at objects could write nothing more than the first: then no mover is started for it.
fn is_needless(task: &MoverTask, inputs: &BTreeMap<String, Evidence>) -> bool {
    matches!(task, MoverTask::RestoreObjects { mode: ObjectsMode::Again, .. }) && objects::worth_a_second_try(inputs).is_none()
}

/// The task with what is only known now: which namespaces of a preview aren't there, and of a copy whom its pods ask for names. Nothing is written into a copy before
/// that is proven to be closed.
async fn told<'t>(client: &Client, step_context: &StepContext, place: &MoverPlace<'_>, task: &'t MoverTask) -> Result<Cow<'t, MoverTask>> {
    if task.to_forget().is_some() {
        return Ok(Cow::Owned(task.clone().without_list()));
    }
    if !task.writes_a_copy() {
        return room::told(client, place, task).await;
    }
    let resolver = isolation::resolver_of(&step_context.inputs).ok_or_else(|| {
        let message = "no step before this one has proven that the copy is closed: prove-isolation was skipped, or the drill was begun by another release of the operator. Run another drill";
        Error::invalid(Reason::IsolationUnproven, message)
    })?;
    Ok(Cow::Owned(task.clone().with_resolver(resolver)))
}

/// Starts the mover, or polls a running one; and looks whether what the run has stopped stays so.
pub async fn perform(context: &RunContext, step_context: &StepContext, place: &MoverPlace<'_>, task: &MoverTask) -> Result<EffectOutcome> {
    if is_needless(task, &step_context.inputs) {
        return Ok(EffectOutcome::Done(None));
    }
    let outcome = advance(context, step_context, place, task).await?;
    let outcome = way_out::explained(context, step_context, place, outcome).await;
    still::kept(context, step_context, place, task, as_refusal(task, outcome)).await
}

/// What a look before a restore refuses is refused, and so is a selection that the backup has nothing of, if nothing was written: nothing was changed, and the run doesn't
/// end as one that has failed.
fn as_refusal(task: &MoverTask, outcome: EffectOutcome) -> EffectOutcome {
    let is_refusal = |failure: &Failure| match failure.reason {
        Reason::Conflicts | Reason::PathMissing | Reason::DestinationRefused => task.looks_beforehand(),
        Reason::NotFound => task.is_preview_of_objects() || (task.writes_objects() && failure.untouched),
        _ => false,
    };
    match outcome {
        EffectOutcome::Failed(failure, evidence) if failure.class == FailureClass::Permanent && is_refusal(&failure) => {
            EffectOutcome::Failed(Failure::refused(failure.reason, failure.message), evidence)
        }
        outcome => outcome,
    }
}

async fn advance(context: &RunContext, step_context: &StepContext, place: &MoverPlace<'_>, task: &MoverTask) -> Result<EffectOutcome> {
    let client = context.sites.client(place.site).await?;
    let name = names::mover(&step_context.run.uid, step_context.step.as_str(), step_context.attempt);
    if let Some(state) = context.movers.children.poll(&name)? {
        let outcome = outcome_of_child(context, step_context, &name, state).await?;
        // Clean-up forgets one that goes on with other steps.
        if !matches!(outcome, EffectOutcome::Running(_)) && step_context.followers.is_empty() {
            context.movers.children.forget(&name);
        }
        return Ok(outcome);
    }
    // What a shared mover did not do, or did in vain, is tried again by one of its own.
    if step_context.attempt == 1
        && let Some(outcome) = shared::ask(context, &client, step_context, place).await?
    {
        return Ok(outcome);
    }
    let earlier = (1..step_context.attempt).map(|earlier| names::mover(&step_context.run.uid, step_context.step.as_str(), earlier));
    for other in earlier.chain(step_context.leaders.iter().map(|leader| shared::name_of(step_context, leader))) {
        context.movers.children.stop(&other).await?;
    }
    if !context.sites.has_nodes(place.site).await? {
        return start_child(context, &client, step_context, place, task, &name).await;
    }
    let (place, job) = room::find(&client, place, &context.hub.namespace, task, &name).await?;
    let Some(job) = job else {
        return start_job(context, &client, step_context, &place, task, &name).await;
    };
    let job = ours::job(job, place.site.as_str(), &step_context.run.uid, &names::step_label(step_context.step.as_str()))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), place.namespace);
    let list = pods
        .list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}")))
        .await
        .context(|| format!("list the pods of mover {}/{name}", place.namespace))?;
    let status = job.status.clone().unwrap_or_default();
    let is_over = status.failed.unwrap_or(0) > 0 || status.succeeded.unwrap_or(0) > 0;
    let pod = match heard(&list.items, &job) {
        Heard::Ended { pod, exit_code, message, reason } => {
            return outcome(context, step_context, pod, exit_code, message.as_deref(), reason.as_deref()).await;
        }
        Heard::Runs(_) | Heard::Waits(_) if is_over => {
            // The Job ended, but its pod with the result is gone: a new attempt finds or repeats its work.
            let why = status.conditions.into_iter().flatten().find(|c| c.status == "True").and_then(|c| c.message).unwrap_or_else(|| "its pod is gone".into());
            return Ok(EffectOutcome::Failed(
                Failure::transient(Reason::MoverLost, format!("mover {}/{name} on {} ended without a result: {why}", place.namespace, place.site)),
                None,
            ));
        }
        Heard::Runs(pod) => pod,
        Heard::Waits(pod) => {
            let from = (place.namespace, place.snapshot.is_some());
            let outcome = waiting::look(&context.movers.warnings, &client, step_context, from, &job, pod).await;
            if matches!(outcome, EffectOutcome::Failed(..)) {
                // The next attempt makes sure that it is gone.
                delete_job(&client, place.namespace, &name).await?;
            }
            return Ok(if context.movers.given.never(&step_context.run.uid, &name) { untouched(outcome) } else { outcome });
        }
    };
    let line = MoverLine::read(&last_line(&pods, &pod.name_any()).await).unwrap_or_else(MoverLine::under_way);
    if line.wants_keys {
        context.movers.given.give(&step_context.run.uid, &name);
        let upload = upload::limits(context, step_context, place.site.as_str(), task).await?;
        let keys = repository_keys(&context.hub, &step_context.run.namespace, &step_context.run.repository, upload).await?;
        return Ok(EffectOutcome::Running(keys::give(&pods, pod, &keys).await));
    }
    match line.done.get(step_context.step.as_str()) {
        // Who mounts a claim is waited for: until its pod has ended, nobody else may be able to mount it.
        Some(stored) if place.claim.is_none() => answered(context, step_context, MoverAnswer::done(stored.clone())).await,
        _ => Ok(EffectOutcome::Running(line.progress)),
    }
}

async fn start_job(
    context: &RunContext,
    client: &Client,
    step_context: &StepContext,
    place: &MoverPlace<'_>,
    task: &MoverTask,
    name: &str,
) -> Result<EffectOutcome> {
    context.movers.given.begin(step_context, name);
    if (step_context.attempt > 1 || !step_context.leaders.is_empty())
        && let Some(waits) = stopping::stop_earlier(client, step_context, place, task, name).await?
    {
        return Ok(EffectOutcome::running(waits));
    }
    if let Some(outcome) = in_use::wait(client, step_context, place, task).await? {
        return Ok(untouched(outcome));
    }
    let bytes = match place.snapshot {
        None => 0,
        Some(taken) => match snapshot::ready(client, taken).await? {
            ControlFlow::Continue(bytes) => bytes,
            ControlFlow::Break(outcome) => return Ok(outcome),
        },
    };
    let inputs = match store_inputs(context, step_context, task).await? {
        ControlFlow::Continue(inputs) => inputs,
        ControlFlow::Break(outcome) => return Ok(outcome),
    };
    let task = told(client, step_context, place, task).await?;
    prepare(context, client, step_context, place, &task).await?;
    let placement = placement::placement(client, place).await?;
    let data = job::data(&step_context.run.uid, place, bytes);
    let job = job::job(context, step_context, place, (&*task, inputs.as_ref(), data), name, &placement)?;
    let jobs: Api<Job> = Api::namespaced(client.clone(), place.namespace);
    match jobs.create(&PostParams::default(), &job).await {
        Ok(_) => {}
        // Of an earlier pass, or somebody's who stands in the way: the next pass looks whose it is.
        Err(error) if is_conflict(&error) => {}
        Err(error) => return Err(error).context(|| format!("start mover {}/{name} on {}", place.namespace, place.site)),
    }
    Ok(EffectOutcome::running("its mover starts"))
}

async fn start_child(
    context: &RunContext,
    client: &Client,
    step_context: &StepContext,
    place: &MoverPlace<'_>,
    task: &MoverTask,
    name: &str,
) -> Result<EffectOutcome> {
    if let Some(claim) = place.claim {
        return Err(Error::invalid(
            Reason::NoNode,
            format!("claim {claim} of {}: {} has no node, and only a pod on a node can mount it", place.namespace, place.site),
        ));
    }
    let inputs = match store_inputs(context, step_context, task).await? {
        ControlFlow::Continue(inputs) => inputs,
        ControlFlow::Break(outcome) => return Ok(outcome),
    };
    let upload = upload::limits(context, step_context, place.site.as_str(), task).await?;
    let access = repository_keys(&context.hub, &step_context.run.namespace, &step_context.run.repository, upload).await?;
    let kubeconfig = context.sites.kubeconfig(place.site).await?;
    let task = told(client, step_context, place, task).await?;
    let mut environment = environment(step_context, &task, inputs.as_ref())?;
    // It connects from where the operator does. A pod is in a network of its own.
    environment.push((OWN_VARIABLE, Egress::of_process().rules().own_text()));
    context.movers.given.begin(step_context, name);
    context.movers.given.give(&step_context.run.uid, name);
    context.movers.children.start(&step_context.run.uid, name, &ChildSpec { environment, access, kubeconfig })?;
    Ok(EffectOutcome::running("its mover starts"))
}

async fn outcome_of_child(context: &RunContext, step_context: &StepContext, name: &str, state: ChildState) -> Result<EffectOutcome> {
    match state {
        ChildState::Running(line) => match line.done.get(step_context.step.as_str()) {
            Some(stored) if !step_context.followers.is_empty() => answered(context, step_context, MoverAnswer::done(stored.clone())).await,
            _ => Ok(EffectOutcome::Running(line.progress)),
        },
        ChildState::Answered(answer) => answered(context, step_context, answer).await,
        ChildState::Lost(status) => Ok(EffectOutcome::Failed(child::lost(name, &status), None)),
    }
}

async fn objects_of(context: &RunContext, step_context: &StepContext) -> Result<RunObjects> {
    let run = &step_context.run;
    Ok(RunObjects::new(open_store(&context.hub, &run.namespace, &run.repository).await?, &run.uid))
}

/// Takes a mover's answer, with its evidence from the repository. While that can't be reached the step goes on: the work is done, and the answer stays.
async fn answered(context: &RunContext, step_context: &StepContext, answer: MoverAnswer) -> Result<EffectOutcome> {
    let stored = match answer {
        MoverAnswer::Done { evidence, then: _ } => evidence,
        MoverAnswer::Failed { reason, message, permanent, untouched } => {
            let failure = if permanent { Failure::permanent(reason, message) } else { Failure::transient(reason, message) };
            return Ok(EffectOutcome::Failed(failure.and_untouched(untouched), None));
        }
    };
    let later = |error: &dyn std::fmt::Display| EffectOutcome::running(format!("its work is done; its result can't be read yet: {error}"));
    let objects = match objects_of(context, step_context).await {
        Err(error) if error.category() == Category::Transient => return Ok(later(&error)),
        objects => objects?,
    };
    match objects.get::<Evidence>(&stored).await {
        Ok(evidence) => Ok(match evidence.unknown() {
            None => EffectOutcome::done(evidence),
            Some(unknown) => {
                let message = format!("the mover was of another release than the operator: what it proved can't be read ({unknown})");
                EffectOutcome::Failed(Failure::transient(Reason::EvidenceUnreadable, message), None)
            }
        }),
        Err(error) if error.is_transient() => Ok(later(&error)),
        // Another attempt stores its result anew.
        Err(error) => Ok(EffectOutcome::Failed(Failure::transient(error.reason(), error.to_string()), None)),
    }
}

/// Stores the evidence of earlier steps that the task needs, for its mover, or the list that is too long for its environment. Breaks with the step's outcome if it can't be stored.
async fn store_inputs(context: &RunContext, step_context: &StepContext, task: &MoverTask) -> Result<ControlFlow<EffectOutcome, Option<StoredObject>>> {
    if !task.needs_evidence() && task.to_forget().is_none() {
        return Ok(ControlFlow::Continue(None));
    }
    let failed = |failure| ControlFlow::Break(EffectOutcome::Failed(failure, None));
    let objects = objects_of(context, step_context).await?;
    let put = match task.to_forget() {
        Some(list) => objects.put(list).await,
        None => objects.put(&step_context.inputs).await,
    };
    Ok(match put {
        Ok(stored) => ControlFlow::Continue(Some(stored)),
        Err(error) if error.is_transient() => ControlFlow::Break(EffectOutcome::running(format!("its mover can't be told what to do yet: {error}"))),
        Err(error @ ObjectError::TooLarge { .. }) => failed(Failure::permanent(error.reason(), error.to_string())),
        Err(error) => failed(Failure::transient(error.reason(), error.to_string())),
    })
}

fn terminated(pod: &Pod) -> Option<(i32, Option<String>, Option<String>)> {
    let state = pod.status.as_ref()?.container_statuses.as_ref()?.first()?.state.as_ref()?;
    let terminated = state.terminated.as_ref()?;
    let message = terminated.message.as_ref().filter(|message| message.len() <= MAX_TERMINATION_BYTES);
    Some((terminated.exit_code, message.cloned(), terminated.reason.clone()))
}

/// The outcome of a mover that has certainly changed nothing.
fn untouched(outcome: EffectOutcome) -> EffectOutcome {
    match outcome {
        EffectOutcome::Failed(failure, evidence) => EffectOutcome::Failed(failure.and_untouched(true), evidence),
        EffectOutcome::Stopped { said, untouched: _ } => EffectOutcome::Stopped { said, untouched: true },
        outcome => outcome,
    }
}

/// Converts a mover's termination message. A mover without one was killed.
async fn outcome(
    context: &RunContext,
    step_context: &StepContext,
    pod: &Pod,
    exit_code: i32,
    message: Option<&str>,
    reason: Option<&str>,
) -> Result<EffectOutcome> {
    if let Some(answer) = message.and_then(|text| serde_json::from_str::<MoverAnswer>(text).ok()) {
        answered(context, step_context, answer).await
    } else {
        let why = match reason {
            Some("OOMKilled") => format!("it needed more than {} of memory", job::memory_limit_of(pod)),
            Some(reason) => format!("{reason}, exit code {exit_code}"),
            None => format!("exit code {exit_code}"),
        };
        Ok(EffectOutcome::Failed(
            Failure::transient(Reason::MoverLost, format!("mover {}/{} was killed: {why}", pod.namespace().unwrap_or_default(), pod.name_any())),
            None,
        ))
    }
}

/// Creates the mover's ServiceAccount and RoleBindings, before its Job exists, so that it never runs without them. That the keys which it will ask for can be read is
/// looked at first.
async fn prepare(context: &RunContext, client: &Client, step_context: &StepContext, place: &MoverPlace<'_>, task: &MoverTask) -> Result<()> {
    let name = run_name(&step_context.run.uid);
    let labels = json!({RUN_LABEL: step_context.run.uid, ROLE_LABEL: LABEL_VALUE_MOVER});
    repository_keys(&context.hub, &step_context.run.namespace, &step_context.run.repository, None).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), place.namespace);
    let document = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": labels}, "automountServiceAccountToken": false});
    ours::apply(&accounts, (place.site, place.namespace, &name), document).await?;
    if !task.needs_api() {
        return Ok(());
    }
    let writes = matches!(task, MoverTask::RestoreObjects { .. });
    let role = if writes { "p861-mover-restore" } else { "p861-mover-backup" };
    for namespace in place.namespaces.iter().filter(|namespace| !task.lacks(namespace)) {
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
        // A binding's role can't be changed, so it is part of the name.
        let binding = format!("{name}-{}", if writes { "restore" } else { "backup" });
        let document = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": binding, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": place.namespace}]});
        ours::apply(&bindings, (place.site, namespace, &binding), document).await?;
    }
    rights::give(client, place, &step_context.run.namespace, &name, task).await
}

async fn delete_job(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    ignore_missing(jobs.delete(name, &DeleteParams::background()).await).context(|| format!("delete mover {namespace}/{name}"))
}

fn ignore_missing<T>(result: std::result::Result<T, kube::Error>) -> std::result::Result<(), kube::Error> {
    match result {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Removes Jobs, ServiceAccounts and RoleBindings of the run's movers, and waits until they are gone. Those of a preview may be in the product's namespace.
pub async fn remove(context: &RunContext, step_context: &StepContext, site: &AllottedSite, namespaces: &[String]) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let name = run_name(&step_context.run.uid);
    let ours = ListParams::default().labels(&format!("{RUN_LABEL}={}", step_context.run.uid));
    for child in context.movers.children.names_of_run(&step_context.run.uid) {
        context.movers.children.stop(&child).await?;
    }
    let (mut left, mut held) = (0, None);
    let own = Some(&context.hub.namespace).filter(|own| !namespaces.contains(own));
    for namespace in namespaces.iter().chain(own) {
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        for job in jobs.list(&ours).await.context(|| format!("list the run's movers in {namespace} on {site}"))?.items {
            delete_job(&client, namespace, &job.name_any()).await?;
            left += 1;
            // While it is deleted, Kubernetes itself waits for its pods by one.
            let of_others = job.finalizers().iter().find(|finalizer| job.metadata.deletion_timestamp.is_some() && !finalizer.starts_with("foregroundDeletion"));
            held = held.or_else(|| of_others.map(|finalizer| format!("; finalizer {finalizer} holds Job {namespace}/{}", job.name_any())));
        }
        let nothing = DeleteParams::default();
        let what = || format!("remove what the run's movers were given in {namespace} on {site}");
        ignore_missing(Api::<ServiceAccount>::namespaced(client.clone(), namespace).delete(&name, &nothing).await).context(what)?;
        for suffix in ["backup", "restore"] {
            ignore_missing(Api::<RoleBinding>::namespaced(client.clone(), namespace).delete(&format!("{name}-{suffix}"), &nothing).await).context(what)?;
        }
    }
    rights::take_back(&client, site, &step_context.run.namespace, &name).await?;
    context.movers.given.forget(&step_context.run.uid);
    if left == 0 {
        Ok(EffectOutcome::done(Evidence::MoversRemoved { namespaces: namespaces.to_vec() }))
    } else {
        Ok(EffectOutcome::running(format!("{} being removed{}", Noun::Mover.are(left), held.unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests;
