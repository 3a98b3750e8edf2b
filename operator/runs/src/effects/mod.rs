//! The effects of steps. Each is idempotent per run, step and attempt: it checks the world before it acts, so that a repeated call finds the earlier result.

mod account;
mod backup;
mod bubble;
pub mod check;
pub mod component;
pub mod gated;
mod mover;
mod namespaces;
pub mod node;
mod preflight;
pub mod silence;
mod snapshot;
mod start;
mod stop;
mod workloads;

pub use mover::{KeysGiven, Warnings, Watched, rights::refuse_unpermitted};

use crate::{
    RunIdentity,
    context::RunContext,
    error::{Category, Error, Result},
    sharing::{Follower, Leader},
    sites::pods,
};
use jiff::{SignedDuration, Timestamp};
use p861_core::{
    engine::{Evidence, Failure, StepId, StepProgress},
    ids::SiteName,
    runs::{Action, AllottedSite, Permitted},
};
use p861_crds::{Reason, common::ContainerCommand, platform::application::Marker};
use std::{collections::BTreeMap, time::Duration};

/// Result of performing an effect once.
#[derive(Clone, Debug)]
pub enum EffectOutcome {
    /// It is done; with its evidence, if the action has any.
    Done(Option<Evidence>),
    /// It has failed; with its evidence, if there is more than the failure says.
    Failed(Failure, Option<Evidence>),
    /// It was stopped, and certainly has no further effect.
    Stopped {
        /// Its last word, if it had one.
        said: Option<String>,
        /// It has certainly changed nothing.
        untouched: bool,
    },
    /// It is in progress.
    Running(StepProgress),
    /// The server that it is asked of was not reached, and why. Nobody knows whether it has happened: the attempt goes on, and is performed again.
    Unreachable(String),
}

impl EffectOutcome {
    /// It is done, and this proves it.
    pub fn done(evidence: Evidence) -> Self {
        Self::Done(Some(evidence))
    }

    /// It is in progress; with what it does or waits for.
    pub fn running(message: impl Into<String>) -> Self {
        Self::Running(StepProgress::message(message))
    }
}

/// Where and when an effect is performed.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// The run.
    pub run: RunIdentity,
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// When the attempt was intended.
    pub started: Timestamp,
    /// How long it may take.
    pub deadline: SignedDuration,
    /// Evidence of the steps before it.
    pub inputs: BTreeMap<String, Evidence>,
    /// Steps that its mover goes on with.
    pub followers: Vec<Follower>,
    /// Movers of steps before it that may go on with it, the nearest first.
    pub leaders: Vec<Leader>,
}

impl StepContext {
    /// Time until the attempt's deadline; negative after it.
    pub fn left(&self) -> SignedDuration {
        self.deadline - Timestamp::now().duration_since(self.started)
    }
}

/// Time limit for the command that reads a marker.
const MARKER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Effects of actions, as the executor calls them. Must be idempotent per run, step and attempt.
pub trait Effects: Clone + Send + Sync + 'static {
    /// Performs the action, or continues it.
    fn perform(&self, step: &StepContext, action: &Action) -> impl Future<Output = EffectOutcome> + Send;

    /// Stops an action that may be in progress. Returns [`EffectOutcome::Stopped`] only once it certainly has no further effect.
    fn cancel(&self, step: &StepContext, action: &Action) -> impl Future<Output = EffectOutcome> + Send;
}

impl Effects for RunContext {
    /// The one gate: whoever compiled or stored the plan, an action of it touches what is its run's, or nothing happens.
    async fn perform(&self, step: &StepContext, action: &Action) -> EffectOutcome {
        let permitted = match step.run.scope.permits(action) {
            Ok(permitted) => permitted,
            Err(refused) => return EffectOutcome::Failed(Failure::permanent(refused.reason(), refused.to_string()).and_untouched(true), None),
        };
        // An Application may have been declared since the run began, or since the last pass.
        if let Err(error) = self.occupancy.refuse(&self.hub, &step.run.scope, action, step.started).await {
            return given_up(self, step, permitted, &error).await;
        }
        perform(self, step, permitted).await.unwrap_or_else(|error| failed(&error))
    }

    async fn cancel(&self, step: &StepContext, action: &Action) -> EffectOutcome {
        match step.run.scope.permits(action) {
            Ok(permitted) => cancel(self, step, permitted).await,
            // It was never performed.
            Err(_) => EffectOutcome::Stopped { said: None, untouched: true },
        }
    }
}

/// Performs an action, or continues it.
async fn perform(context: &RunContext, step_context: &StepContext, permitted: Permitted<'_>) -> Result<EffectOutcome> {
    // The gate has let the action pass, so that its site is the run's.
    let at = |site: &SiteName| permitted.site(site).map_err(Error::from);
    match permitted.action() {
        Action::Move { site, namespace, claim, namespaces, task } => {
            move_data(context, step_context, mover::MoverPlace { site: &at(site)?, namespace, claim: claim.as_deref(), snapshot: None, namespaces }, task).await
        }
        Action::Execute { site, namespace, command } => execute(context, step_context, permitted, &at(site)?, namespace, command).await,
        Action::Preflight { site, subjects } => preflight::perform(context, step_context, &at(site)?, subjects).await,
        Action::Isolate { site, bubble } => bubble::make(context, step_context, &at(site)?, bubble).await,
        Action::ProveIsolation { site, bubble } => Box::pin(bubble::proof::perform(context, step_context, &at(site)?, bubble)).await,
        Action::RemoveBubble { site, bubble } => {
            mover::rights::take_back_of_run(context, step_context, &at(site)?).await?;
            bubble::remove(context, step_context, &at(site)?, bubble).await
        }
        Action::Stop { site, namespaces } => stop::perform(context, step_context, &at(site)?, namespaces).await,
        Action::StartAgain { site, namespaces } => stop::start_again(context, step_context, &at(site)?, namespaces).await,
        Action::Start { site, workloads, claims, saved_as, awaited } => {
            start::perform(context, step_context, &at(site)?, &start::Starts { workloads, claims, saved_as, awaited }).await
        }
        Action::Check { site, namespace, check } => check::perform(context, step_context, permitted, &at(site)?, namespace, check).await,
        Action::ReadMarker { site, namespace, marker } => read_marker(context, permitted, &at(site)?, namespace, marker).await,
        Action::TakeSnapshots { site, snapshots } => snapshot::take(context, step_context, &at(site)?, snapshots).await,
        Action::RemoveSnapshots { site, namespaces } => snapshot::remove(context, step_context, &at(site)?, namespaces).await,
        Action::RemoveMovers { site, namespaces } => mover::remove(context, step_context, &at(site)?, namespaces).await,
        Action::TakeBackup { application, backup } => backup::take(context, step_context, application, backup).await,
        Action::Silence { site, owner, labels } => silence::make(context, step_context, &at(site)?, owner, labels).await,
        Action::EndSilence { site, owner } => silence::end(context, &at(site)?, owner).await,
        Action::InspectNode { site, node, district, consent } => node::inspect(context, &at(site)?, node, district.as_deref(), *consent).await,
        Action::Cordon { site, node, owner } => node::cordon(context, &at(site)?, node, owner).await,
        Action::Uncordon { site, node, owner } => node::uncordon(context, &at(site)?, node, owner).await,
        Action::Drain { site, node, district, consent } => node::drain(context, step_context, &at(site)?, node, district.as_deref(), *consent).await,
        Action::InstallComponent { site, component, version, bundle, digest } => {
            component::install(context, step_context, &at(site)?, &component::Wanted { component, version, bundle, digest }).await
        }
        Action::RevertComponent { site, component, version } => component::revert(context, step_context, &at(site)?, component, version).await,
        Action::EndInstallation { site, component } => component::end(context, step_context, &at(site)?, component).await,
        Action::Watch { site, checks, duration } => check::watch(context, step_context, permitted, &at(site)?, checks, *duration).await,
        Action::MakeNamespaces { site, namespaces, district, preview } => {
            namespaces::make(context, step_context, &at(site)?, namespaces, district, *preview).await
        }
        Action::Ask {} => Ok(EffectOutcome::Done(None)),
    }
}

/// Runs the mover of a task. One that reads a snapshot reads what an earlier step has proved, as of that time.
async fn move_data(context: &RunContext, step_context: &StepContext, place: mover::MoverPlace<'_>, task: &p861_core::runs::MoverTask) -> Result<EffectOutcome> {
    let Some(taken) = snapshot::to_read(step_context, place.namespace, place.claim, task)? else {
        return mover::perform(context, step_context, &place, task).await;
    };
    let outcome = mover::perform(context, step_context, &mover::MoverPlace { snapshot: Some(&taken), ..place }, task).await?;
    Ok(snapshot::as_of(outcome, &taken))
}

/// Stops an effect that is under way.
async fn cancel(context: &RunContext, step_context: &StepContext, permitted: Permitted<'_>) -> EffectOutcome {
    let result = match permitted.action() {
        Action::Move { site, namespace, task, .. } => match permitted.site(site) {
            Ok(site) => mover::cancel(context, step_context, &site, namespace, task).await,
            Err(refused) => Err(refused.into()),
        },
        // Other actions end with their task.
        _ => Ok(EffectOutcome::Stopped { said: None, untouched: false }),
    };
    // Retried: reporting Stopped too early would let an undo run beside the effect.
    result.unwrap_or_else(|error| EffectOutcome::running(format!("being stopped: {error}")))
}

/// The outcome of an effect that the gate doesn't let go on. What an earlier pass has begun of it may be happening: while it is not known whether it may go on, the attempt
/// stays; where it may not, it is stopped first.
async fn given_up(context: &RunContext, step_context: &StepContext, permitted: Permitted<'_>, error: &Error) -> EffectOutcome {
    if error.category() == Category::Transient {
        return EffectOutcome::Unreachable(error.to_string());
    }
    match cancel(context, step_context, permitted).await {
        EffectOutcome::Running(progress) => EffectOutcome::Running(progress),
        _ => failed(error),
    }
}

/// An error as a step's outcome. What was not asked of a server has not failed there.
fn failed(error: &Error) -> EffectOutcome {
    let message = error.to_string();
    if error.is_unreachable() {
        return EffectOutcome::Unreachable(message);
    }
    let failure = match error.category() {
        Category::Transient => Failure::transient(error.reason(), message),
        Category::Refused | Category::Invalid | Category::NeedsPerson => Failure::permanent(error.reason(), message),
    };
    EffectOutcome::Failed(failure, None)
}

async fn execute(
    context: &RunContext,
    step_context: &StepContext,
    permitted: Permitted<'_>,
    site: &AllottedSite,
    namespace: &str,
    command: &ContainerCommand,
) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    // A hook has as long as its deadline says.
    let limit = Duration::try_from(step_context.left()).unwrap_or(Duration::from_secs(1)).max(Duration::from_secs(1));
    let output = pods::execute(&client, permitted, namespace, command, limit).await?;
    let evidence = Evidence::CommandRun { workload: command.workload_ref.to_string(), output: output.excerpt() };
    if output.success {
        return Ok(EffectOutcome::done(evidence));
    }
    let message = format!(
        "{:?} in {} of {namespace} failed: {}: {}",
        command.command.first().map(String::as_str).unwrap_or_default(),
        command.workload_ref,
        output.message,
        output.excerpt()
    );
    Ok(EffectOutcome::Failed(Failure::transient(Reason::CommandFailed, message), Some(evidence)))
}

/// Reads the newest marker. Output that is not a time is a failure that quotes it.
async fn read_marker(context: &RunContext, permitted: Permitted<'_>, site: &AllottedSite, namespace: &str, marker: &Marker) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let command = ContainerCommand { workload_ref: marker.workload_ref.clone(), container: marker.container.clone(), command: marker.read.clone() };
    let output = pods::execute(&client, permitted, namespace, &command, MARKER_READ_TIMEOUT).await?;
    let printed = Some(Evidence::CommandRun { workload: marker.workload_ref.to_string(), output: output.excerpt() });
    if !output.success {
        return Ok(EffectOutcome::Failed(
            Failure::transient(Reason::MarkerUnreadable, format!("marker.read in {} failed: {}", marker.workload_ref, output.excerpt())),
            printed,
        ));
    }
    match parse_marker(output.stdout.trim()) {
        Some(time) => Ok(EffectOutcome::done(Evidence::MarkerRead { time, output: output.stdout.trim().to_owned() })),
        None => Ok(EffectOutcome::Failed(
            Failure::permanent(
                Reason::MarkerUnreadable,
                format!("marker.read in {} printed {:?}, which is no time; it must print what marker.write wrote", marker.workload_ref, output.excerpt()),
            ),
            printed,
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
