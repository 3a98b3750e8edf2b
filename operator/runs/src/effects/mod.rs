//! The effects of steps. Each is idempotent by run, step and attempt, and looks before it acts: performed again, it finds what it did.

mod backup;
mod bubble;
pub mod check;
pub mod component;
mod mover;
mod node;
mod preflight;
pub mod silence;
mod start;

use crate::{
    RunIdentity,
    context::RunContext,
    error::{Category, Error, Result},
    sites::pods,
};
use jiff::{SignedDuration, Timestamp};
use p861_core::{
    engine::{Failure, StepId},
    runs::Action,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// What became of an effect in this pass.
#[derive(Clone, Debug)]
pub enum Effect {
    /// It has happened; what proves it.
    Done(Value),
    /// It has failed.
    Failed(Failure, Value),
    /// It was stopped, and certainly isn't happening any more.
    Stopped,
    /// It is under way; what it says of itself.
    Running(Value),
}

/// Where and when an effect is performed.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The run.
    pub run: &'a RunIdentity,
    /// The step.
    pub step: &'a StepId,
    /// The attempt.
    pub attempt: u32,
    /// When the attempt was intended.
    pub started: Timestamp,
    /// How long it may take.
    pub deadline: SignedDuration,
    /// Evidence of the steps before it.
    pub inputs: BTreeMap<String, Value>,
}

impl Situation<'_> {
    /// What is left of the attempt's time.
    pub fn left(&self) -> SignedDuration {
        self.deadline - Timestamp::now().duration_since(self.started)
    }
}

/// Reading a marker may take this long.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// Performs an action, or goes on with it.
pub async fn perform(context: &RunContext, situation: &Situation<'_>, action: &Action) -> Effect {
    let result = match action {
        Action::Move { site, namespace, claim, namespaces, task } => {
            mover::perform(context, situation, &mover::Place { site, namespace, claim: claim.as_deref(), namespaces }, task).await
        }
        Action::Execute { site, namespace, command } => execute(context, situation, site, namespace, command).await,
        Action::Preflight { site, subjects } => preflight::perform(context, situation, site, subjects).await,
        Action::Isolate { site, bubble } => bubble::make(context, situation, site, bubble).await,
        Action::RemoveBubble { site, bubble } => bubble::remove(context, situation, site, bubble).await,
        Action::Start { site, workloads } => start::perform(context, site, workloads).await,
        Action::Check { site, namespace, check } => check::perform(context, situation, site, namespace, check).await,
        Action::ReadMarker { site, namespace, marker } => read_marker(context, site, namespace, marker).await,
        Action::RemoveMovers { site, namespaces } => mover::remove(context, situation, site, namespaces).await,
        Action::TakeBackup { application, backup } => backup::take(context, situation, application, backup).await,
        Action::Silence { site, owner, labels } => silence::make(context, situation, site, owner, labels).await,
        Action::EndSilence { site, owner } => silence::end(context, site, owner).await,
        Action::InspectNode { site, node, district } => node::inspect(context, site, node, district.as_deref()).await,
        Action::Cordon { site, node, owner } => node::cordon(context, site, node, owner).await,
        Action::Uncordon { site, node, owner } => node::uncordon(context, site, node, owner).await,
        Action::Drain { site, node } => node::drain(context, situation, site, node).await,
        Action::InstallComponent { site, component, version, bundle, digest } => {
            component::install(context, situation, site, &component::Wanted { component, version, bundle, digest }).await
        }
        Action::RevertComponent { site, component, version } => component::revert(context, situation, site, component, version).await,
        Action::EndInstallation { site, component } => component::end(context, situation, site, component).await,
        Action::Watch { site, checks, duration } => check::watch(context, situation, site, checks, *duration).await,
        Action::Ask {} => Ok(Effect::Done(Value::Null)),
    };
    result.unwrap_or_else(|error| failed(&error))
}

/// Stops an effect that is under way.
pub async fn cancel(context: &RunContext, situation: &Situation<'_>, action: &Action) -> Effect {
    let result = match action {
        Action::Move { site, namespace, .. } => mover::cancel(context, situation, site, namespace).await,
        // Everything else ends with the pass that performs it.
        _ => Ok(Effect::Stopped),
    };
    // What can't be stopped now is tried again: an effect is not called stopped before it is.
    result.unwrap_or_else(|error| Effect::Running(json!({"message": format!("being stopped: {error}")})))
}

/// An error as a step's failure.
fn failed(error: &Error) -> Effect {
    let message = error.to_string();
    let failure = match error.category() {
        Category::Transient => Failure::transient(error.reason(), message),
        Category::Refused | Category::Invalid | Category::NeedsPerson => Failure::permanent(error.reason(), message),
    };
    Effect::Failed(failure, Value::Null)
}

async fn execute(
    context: &RunContext,
    situation: &Situation<'_>,
    site: &str,
    namespace: &str,
    command: &p861_crds::common::ContainerCommand,
) -> Result<Effect> {
    let client = context.sites.client(site).await?;
    // A hook has as long as its deadline says.
    let limit = Duration::try_from(situation.left()).unwrap_or(Duration::from_secs(1)).max(Duration::from_secs(1));
    let output = pods::execute(&client, namespace, &command.workload_ref, command.container.as_deref(), &command.command, limit).await?;
    let evidence = json!({"workload": command.workload_ref.to_string(), "output": output.excerpt()});
    if output.success {
        return Ok(Effect::Done(evidence));
    }
    let message = format!(
        "{:?} in {} of {namespace} failed: {}: {}",
        command.command.first().map(String::as_str).unwrap_or_default(),
        command.workload_ref,
        output.message,
        output.excerpt()
    );
    Ok(Effect::Failed(Failure::transient("CommandFailed", message), evidence))
}

/// Reads the newest marker. What is not a time is a failure that says what was read.
async fn read_marker(context: &RunContext, site: &str, namespace: &str, marker: &p861_crds::platform::application::Marker) -> Result<Effect> {
    let client = context.sites.client(site).await?;
    let output = pods::execute(&client, namespace, &marker.workload_ref, marker.container.as_deref(), &marker.read, LONGEST_REQUEST).await?;
    if !output.success {
        return Ok(Effect::Failed(
            Failure::transient("MarkerUnreadable", format!("marker.read in {} failed: {}", marker.workload_ref, output.excerpt())),
            json!({"output": output.excerpt()}),
        ));
    }
    match parse_marker(output.stdout.trim()) {
        Some(time) => Ok(Effect::Done(json!({"marker": time.to_string(), "read": output.stdout.trim()}))),
        None => Ok(Effect::Failed(
            Failure::permanent(
                "MarkerUnreadable",
                format!("marker.read in {} printed {:?}, which is no time; it must print what marker.write wrote", marker.workload_ref, output.excerpt()),
            ),
            json!({"output": output.excerpt()}),
        )),
    }
}

/// A time as a database may print it: RFC 3339, or with a blank for the T and an offset of hours only.
fn parse_marker(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let mut candidate = text.replacen(' ', "T", 1);
    let tail = candidate.len().checked_sub(3).and_then(|at| candidate.get(at..))?;
    if (tail.starts_with('+') || tail.starts_with('-')) && tail[1..].bytes().all(|b| b.is_ascii_digit()) {
        candidate.push_str(":00");
    }
    candidate.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_marker;

    #[test]
    fn a_marker_is_read_as_databases_print_it() {
        let expected = "2026-11-15T00:50:03Z".parse().ok();
        for text in ["2026-11-15T00:50:03Z", "2026-11-15 00:50:03+00", "2026-11-15 08:50:03+08", "2026-11-15 08:50:03+08:00"] {
            assert_eq!(parse_marker(text), expected, "{text}");
        }
        assert_eq!(parse_marker(""), None);
        assert_eq!(parse_marker("no rows"), None);
    }
}
