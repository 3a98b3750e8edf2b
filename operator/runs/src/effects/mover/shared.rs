//! Movers that do several steps: what they are told, and what one says of a later step. `p861_core::runs::sharing` says which steps share one.

use super::{Heard, MoverPlace, answered, heard, objects_of, ours};
use crate::{
    context::RunContext,
    effects::{EffectOutcome, StepContext},
    error::{ErrorContext as _, Result},
    movers::{MoverAnswer, MoverLine, NextTask, child::ChildState},
    sharing::{Follower, Leader},
    sites::answer::last_line,
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::{
    names,
    runs::{Action, MoverTask},
};

/// The steps that the step's mover goes on with, each with its task. The gate stands before each: none is told that its run may not do, nor what comes after it.
pub fn followers(step_context: &StepContext) -> impl Iterator<Item = (&Follower, &MoverTask)> {
    step_context.followers.iter().map_while(|next| match &next.action {
        Action::Move { task, .. } if step_context.run.scope.permits(&next.action).is_ok() => Some((next, task)),
        _ => None,
    })
}

/// What the step's mover is told of the steps that it goes on with.
pub fn next_tasks(step_context: &StepContext) -> Vec<NextTask> {
    let told = |(next, task): (&Follower, &MoverTask)| NextTask {
        step: next.step.to_string(),
        after: next.after.iter().map(ToString::to_string).collect(),
        task: task.clone(),
    };
    followers(step_context).map(told).collect()
}

/// Name of the mover of an earlier step.
pub fn name_of(step_context: &StepContext, leader: &Leader) -> String {
    names::mover(&step_context.run.uid, leader.step.as_str(), leader.attempt)
}

/// What a mover of an earlier step says.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    /// It runs; this is its last line.
    Line(MoverLine),
    /// It has ended with this answer.
    Answer(MoverAnswer),
    /// It does not run, and gave no answer.
    Nothing,
}

/// What follows for a step.
#[derive(Clone, Debug, PartialEq)]
enum Ruling {
    /// The mover did the step, or failed to.
    Ended(MoverAnswer),
    /// It waits to be told that the step has begun.
    Tell,
    /// It is at work.
    Works(MoverLine),
    /// It doesn't do it, and won't: the step needs another mover.
    Declined,
}

fn rule(step: &str, said: Said) -> Ruling {
    match said {
        Said::Line(line) => match line.done.get(step) {
            Some(stored) => Ruling::Ended(MoverAnswer::done(stored.clone())),
            None if line.waits.as_deref() == Some(step) => Ruling::Tell,
            None => Ruling::Works(line),
        },
        Said::Answer(answer) => answer.of(step).map_or(Ruling::Declined, |part| Ruling::Ended(part.clone())),
        Said::Nothing => Ruling::Declined,
    }
}

/// Asks the movers of earlier steps for the step: one of them may do it, or has done it. None if none will.
///
/// # Errors
/// If the API server can't be read, or another has made a Job under a mover's name.
pub async fn ask(context: &RunContext, client: &Client, step_context: &StepContext, place: &MoverPlace<'_>) -> Result<Option<EffectOutcome>> {
    for leader in &step_context.leaders {
        let name = name_of(step_context, leader);
        let said = match context.movers.children.poll(&name)? {
            Some(ChildState::Running(line)) => Said::Line(line),
            Some(ChildState::Answered(answer)) => Said::Answer(answer),
            None if context.sites.has_nodes(place.site).await? => said_by_job(client, step_context, place, leader, &name).await?,
            Some(ChildState::Lost(_)) | None => Said::Nothing,
        };
        match rule(step_context.step.as_str(), said) {
            Ruling::Ended(answer) => return answered(context, step_context, answer).await.map(Some),
            Ruling::Works(line) => return Ok(Some(EffectOutcome::Running(line.progress))),
            Ruling::Tell => {
                let told = objects_of(context, step_context).await?.tell_to_begin(&name, step_context.step.as_str()).await;
                return Ok(Some(match told {
                    Ok(()) => EffectOutcome::running("the mover of the step before goes on with it"),
                    Err(error) => EffectOutcome::running(format!("its mover can't be told to go on yet: {error}")),
                }));
            }
            Ruling::Declined => {}
        }
    }
    Ok(None)
}

async fn said_by_job(client: &Client, step_context: &StepContext, place: &MoverPlace<'_>, leader: &Leader, name: &str) -> Result<Said> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), place.namespace);
    let what = || format!("look at mover {}/{name} on {}", place.namespace, place.site);
    let Some(job) = jobs.get_opt(name).await.context(what)? else { return Ok(Said::Nothing) };
    let job = ours::job(job, place.site.as_str(), &step_context.run.uid, &names::step_label(leader.step.as_str()))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), place.namespace);
    let list = pods.list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"))).await.context(what)?;
    Ok(match heard(&list.items, &job) {
        Heard::Ended { message, .. } => message.and_then(|text| serde_json::from_str(&text).ok()).map_or(Said::Nothing, Said::Answer),
        // One that is being stopped begins nothing more.
        Heard::Runs(pod) if pod.metadata.deletion_timestamp.is_none() => {
            Said::Line(MoverLine::read(&last_line(&pods, &pod.name_any()).await).unwrap_or_else(MoverLine::under_way))
        }
        Heard::Runs(_) | Heard::Waits(_) => Said::Nothing,
    })
}

#[cfg(test)]
mod tests;
