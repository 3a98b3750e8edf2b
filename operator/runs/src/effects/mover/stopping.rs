//! Stopping movers, and whose pods they are.

use super::{MoverPlace, delete_job, ours, shared, terminated};
use crate::{
    context::RunContext,
    effects::{EffectOutcome, StepContext},
    error::{ErrorContext as _, Result},
    movers::MoverAnswer,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use p861_core::{
    engine::StepId,
    names,
    runs::{AllottedSite, MoverTask},
};
use p861_crds::names::{RUN_LABEL, STEP_LABEL};
use std::iter;

/// How long after its grace period a reading mover's pod may be left behind: its node does not answer.
const LEFT_BEHIND_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// What made a pod. Anybody in its namespace can give a pod the labels of a mover; only the Job controller's pods are controlled by the Job.
pub fn controller_of(pod: &Pod) -> Option<&OwnerReference> {
    pod.owner_references().iter().find(|owner| owner.controller == Some(true))
}

fn has_ended(job: &Job) -> bool {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True")
}

/// Whether a mover only reads: what is left of it can harm nothing.
fn only_reads(task: &MoverTask) -> bool {
    match task {
        MoverTask::BackupObjects { .. }
        | MoverTask::BackupVolume { .. }
        | MoverTask::BackupStream { .. }
        | MoverTask::VerifyStored { .. }
        | MoverTask::PreviewVolume { .. } => true,
        MoverTask::RestoreObjects { .. } => !task.writes_objects(),
        MoverTask::Seal { .. } | MoverTask::RestoreVolume { .. } | MoverTask::RestoreStream { .. } | MoverTask::Forget { .. } | MoverTask::Prune { .. } => {
            false
        }
    }
}

/// Whether a mover's pod may still do something that matters. One on a node that does not answer stays for as long as the node is away: what only reads is not
/// waited for.
fn may_act(pod: &Pod, task: &MoverTask, now: Timestamp) -> bool {
    // The time includes the grace period.
    let left_behind = pod.metadata.deletion_timestamp.as_ref().is_some_and(|time| now.duration_since(time.0) > LEFT_BEHIND_AFTER);
    terminated(pod).is_none() && !(left_behind && only_reads(task))
}

/// The step, and those whose movers may go on with it.
fn steps(step_context: &StepContext) -> impl Iterator<Item = &StepId> {
    iter::once(&step_context.step).chain(step_context.leaders.iter().map(|leader| &leader.step))
}

/// Stops the movers of earlier attempts, and those that were to go on with the step. An attempt whose end was not seen may still have one, and two would work on the
/// same data. Says what is waited for; none when no other can act any more.
pub async fn stop_earlier(client: &Client, step_context: &StepContext, place: &MoverPlace<'_>, task: &MoverTask, name: &str) -> Result<Option<String>> {
    let steps: Vec<String> = steps(step_context).map(|step| names::step_label(step.as_str())).collect();
    let of_step = format!("{RUN_LABEL}={},{STEP_LABEL} in ({})", step_context.run.uid, steps.join(","));
    let of_step = ListParams::default().labels(&of_step);
    let jobs: Api<Job> = Api::namespaced(client.clone(), place.namespace);
    let what = || format!("look for movers of earlier attempts in {} on {}", place.namespace, place.site);
    let jobs = jobs.list(&of_step).await.context(what)?.items;
    for other in jobs.iter().filter(|job| !has_ended(job)).map(ResourceExt::name_any).filter(|other| other != name) {
        delete_job(client, place.namespace, &other).await?;
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), place.namespace);
    let now = Timestamp::now();
    // The attempt has no Job, so every Job's pod of the step is of another one; and no mover of an earlier step goes on with it.
    let pods = pods.list(&of_step).await.context(what)?.items;
    let ours = |pod: &Pod| steps.iter().any(|step| ours::is_pod(pod, &step_context.run.uid, step));
    let acting = pods.into_iter().find(|pod| ours(pod) && controller_of(pod).is_some_and(|owner| owner.kind == "Job") && may_act(pod, task, now));
    Ok(acting.map(|pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node yet");
        format!("the mover of an earlier attempt is being stopped: pod {} on {node}", pod.name_any())
    }))
}

/// What a mover that was stopped says of its work.
fn last_word(answer: &MoverAnswer) -> String {
    match answer {
        MoverAnswer::Done { .. } => "its work was done when it was stopped".into(),
        MoverAnswer::Failed { message, .. } => message.clone(),
    }
}

/// Deletes the attempt's Job, and that of a mover which may go on with the step. Reports Stopped only when their pods have ended, since until then a mover may still
/// write.
pub async fn cancel(context: &RunContext, step_context: &StepContext, site: &AllottedSite, namespace: &str, task: &MoverTask) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let own = names::mover(&step_context.run.uid, step_context.step.as_str(), step_context.attempt);
    let shared = step_context.leaders.iter().map(|leader| shared::name_of(step_context, leader));
    let movers: Vec<(String, &StepId)> = iter::once(own.clone()).chain(shared).zip(steps(step_context)).collect();
    let mut answers: Vec<(&str, MoverAnswer)> = Vec::new();
    for (name, _) in &movers {
        answers.extend(context.movers.children.stop(name).await?.map(|answer| (name.as_str(), answer)));
        delete_job(&client, namespace, name).await?;
    }
    // Where it may be instead it only reads, or has the repository for itself, which the next waits for: its pods are not waited for.
    if task.runs_anywhere() {
        delete_job(&client, &context.hub.namespace, &own).await?;
    }
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    let now = Timestamp::now();
    for (name, step) in &movers {
        let list = pods
            .list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}")))
            .await
            .context(|| format!("list the pods of mover {namespace}/{name}"))?;
        let label = names::step_label(step.as_str());
        let ours =
            |pod: &&Pod| ours::is_pod(pod, &step_context.run.uid, &label) && controller_of(pod).is_some_and(|owner| owner.kind == "Job" && owner.name == *name);
        if let Some(pod) = list.items.iter().filter(ours).find(|pod| may_act(pod, task, now)) {
            return Ok(EffectOutcome::running(format!("its mover is being stopped: pod {}", pod.name_any())));
        }
        let told = list.items.iter().filter(ours).find_map(|pod| serde_json::from_str(&terminated(pod)?.1?).ok());
        answers.extend(told.map(|answer| (name.as_str(), answer)));
    }
    let of_step =
        |(name, answer): &(&str, MoverAnswer)| if *name == own { Some(last_word(answer)) } else { answer.of(step_context.step.as_str()).map(last_word) };
    let says_so = answers.iter().any(|(name, answer)| *name == own && matches!(answer, MoverAnswer::Failed { untouched: true, .. }));
    let untouched = says_so || context.movers.given.never(&step_context.run.uid, &own);
    Ok(EffectOutcome::Stopped { said: answers.iter().find_map(of_step), untouched })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(owner: Value, status: Value, deleted: Option<&str>) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "deletionTimestamp": deleted, "ownerReferences": [owner]}, "status": status})).unwrap()
    }

    fn owner(kind: &str, uid: &str, controller: bool) -> Value {
        json!({"apiVersion": "batch/v1", "kind": kind, "name": "mover", "uid": uid, "controller": controller})
    }

    #[test]
    fn fault_a7_only_the_jobs_own_pods_speak_for_it() {
        for (owner, ours) in [(owner("Job", "u1", true), true), (owner("Job", "u1", false), false), (owner("Job", "u2", true), false)] {
            let pod = pod(owner.clone(), json!({}), None);
            assert_eq!(controller_of(&pod).is_some_and(|owner| owner.uid == "u1"), ours, "{owner}");
        }
    }

    #[test]
    fn fault_d12_no_attempt_begins_while_the_mover_of_another_may_write() {
        let now: Timestamp = "2026-11-15T01:00:00Z".parse().unwrap();
        let (read, write) = (
            MoverTask::BackupVolume { part: "p".into(), parent: None, from_snapshot: false },
            MoverTask::RestoreVolume {
                snapshot: "5a1f".into(),
                part: "p".into(),
                paths: Vec::new(),
                path_prefix: None,
                extra_files: p861_core::runs::ExtraFiles::Keep,
            },
        );
        let (runs, ended) = (
            json!({"phase": "Running"}),
            json!({"containerStatuses": [{"name": "mover", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 137}}}]}),
        );
        for (name, status, deleted, task, acts) in [
            ("running", &runs, None, &read, true),
            ("ended", &ended, None, &write, false),
            ("being stopped", &runs, Some("2026-11-15T00:59:55Z"), &read, true),
            ("left behind by its node, reads", &runs, Some("2026-11-15T00:50:00Z"), &read, false),
            ("left behind by its node, writes", &runs, Some("2026-11-15T00:50:00Z"), &write, true),
        ] {
            assert_eq!(may_act(&pod(owner("Job", "u1", true), status.clone(), deleted), task, now), acts, "{name}");
        }
    }
}
