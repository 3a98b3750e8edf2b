//! Stopping everything that runs pods in namespaces, before their data is written; and starting it again if the run ends early.

use super::{
    EffectOutcome, StepContext,
    workloads::{self, Look, first_of, kept::Kept},
};
use crate::{context::RunContext, error::Result};
use jiff::{SignedDuration, Timestamp};
use p861_core::{
    engine::{Evidence, Failure},
    objects::{self, Halt, Runner, Scene},
    runs::AllottedSite,
    told::Noun,
};
use p861_crds::Reason;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Names that a message lists.
const MAX_NAMED: usize = 5;
/// Names that the evidence lists.
const MAX_PROVEN: usize = 50;
/// The step fails so long before its deadline, so that its failure names the pods.
const LAST_WORD: SignedDuration = SignedDuration::from_secs(20);

/// Stops what uses the claims of each namespace, or everything in it, and waits until every pod that can write is gone. Nothing is stopped while anything is
/// there that can't be.
pub async fn perform(
    context: &RunContext,
    step_context: &StepContext,
    site: &AllottedSite,
    namespaces: &BTreeMap<String, Vec<String>>,
) -> Result<EffectOutcome> {
    let (client, look) = (context.sites.client(site).await?, Look::begins());
    let mut halts: Vec<(&String, Vec<Value>, Halt)> = Vec::new();
    for (namespace, claims) in namespaces {
        let found = workloads::list(&client, namespace, Runner::ALL).await?;
        let scene = Scene { objects: &found, claims, run: &step_context.run.uid, started: step_context.started, now: Timestamp::now() };
        let halt = objects::halt(&scene);
        halts.push((namespace, found, halt));
    }
    if let Some(failure) = impossible(&halts) {
        return Ok(EffectOutcome::Failed(failure, None));
    }
    let kept = Kept { client: &client, own: &context.hub.namespace, run: &step_context.run.uid };
    let (mut busy, mut waiting, mut stopped) = (false, Vec::new(), Vec::new());
    for (namespace, found, halt) in halts {
        busy |= !halt.patches.is_empty() || !halt.remakes.is_empty();
        workloads::patch(&client, namespace, halt.patches).await?;
        kept.remake(namespace, halt.remakes).await?;
        busy |= kept.bring_back(namespace, &found, true).await? > 0;
        waiting.extend(halt.waiting.into_iter().map(|words| format!("{namespace}: {words}")));
        stopped.extend(found.iter().filter(|object| objects::is_stopped(object)).filter_map(|object| in_words(namespace, object)));
    }
    if !busy && waiting.is_empty() {
        let count = u64::try_from(stopped.len()).unwrap_or(u64::MAX);
        stopped.truncate(MAX_PROVEN);
        return Ok(EffectOutcome::done(Evidence::WorkloadsStopped { workloads: count, stopped }));
    }
    let words = if waiting.is_empty() { "workloads are being stopped".to_owned() } else { first_of(&waiting, MAX_NAMED) };
    if step_context.left() < LAST_WORD {
        let message = format!("not everything has stopped on {site}: {words}. What was stopped is started again");
        return Ok(EffectOutcome::Failed(Failure::permanent(Reason::DeadlineExceeded, message), None));
    }
    look.pause().await;
    Ok(EffectOutcome::running(format!("waits until nothing can write: {words}")))
}

/// Why it can't be done; nothing was touched in this pass.
fn impossible(halts: &[(&String, Vec<Value>, Halt)]) -> Option<Failure> {
    let all = |of: fn(&Halt) -> &Vec<String>| -> Vec<String> {
        halts.iter().flat_map(|(namespace, _, halt)| of(halt).iter().map(move |words| format!("{namespace}: {words}"))).collect()
    };
    let unstoppable = all(|halt| &halt.unstoppable);
    if !unstoppable.is_empty() {
        let message = format!(
            "these pods can only be stopped by hand: {}. Stop them, for example with their custom resource, and restore again; or leave their volumes out with spec.volumes of the Application (method Skip)",
            first_of(&unstoppable, MAX_NAMED)
        );
        return Some(Failure::permanent(Reason::WorkloadNotStopped, message));
    }
    let set_back = all(|halt| &halt.set_back);
    (!set_back.is_empty()).then(|| {
        let message = format!(
            "started again by somebody else during the restore: {}. Suspend whatever starts it (GitOps, an autoscaler) until the restore has ended",
            first_of(&set_back, MAX_NAMED)
        );
        Failure::permanent(Reason::WorkloadNotStopped, message)
    })
}

fn in_words(namespace: &str, object: &Value) -> Option<String> {
    let did = objects::stopped_replicas(object).unwrap_or("running");
    Some(format!("{namespace}/{}/{} {did}", Runner::of(object)?.kind(), objects::name(object)))
}

/// What the evidence of this step lists of a namespace, as `Kind/name`.
pub fn listed(stopped: &[String], namespace: &str) -> BTreeSet<String> {
    let of_namespace = |words: &String| {
        let object = words.strip_prefix(namespace)?.strip_prefix('/')?;
        object.rsplit_once(' ').map(|(object, _)| object.to_owned())
    };
    stopped.iter().filter_map(of_namespace).collect()
}

/// Starts again whatever is stopped in namespaces that were there before the run, and doesn't wait until it is ready: it may never be, on data that is half
/// restored. What the run has made in namespaces of its own stays stopped.
pub async fn start_again(context: &RunContext, step_context: &StepContext, site: &AllottedSite, namespaces: &[String]) -> Result<EffectOutcome> {
    let (client, look) = (context.sites.client(site).await?, Look::begins());
    let own: BTreeSet<&String> = step_context.inputs.values().flat_map(made_namespaces).collect();
    let kept = Kept { client: &client, own: &context.hub.namespace, run: &step_context.run.uid };
    let mut started = 0;
    for namespace in namespaces.iter().filter(|namespace| !own.contains(namespace)) {
        let found = workloads::list(&client, namespace, Runner::ALL).await?;
        let patches = workloads::starts(&found);
        started += patches.len();
        workloads::patch(&client, namespace, patches).await?;
        started += kept.bring_back(namespace, &found, false).await?;
    }
    if started > 0 {
        look.pause().await;
        return Ok(EffectOutcome::running(format!("{} started again", Noun::Workload.are(started))));
    }
    let (made, again): (Vec<String>, Vec<String>) = namespaces.iter().cloned().partition(|namespace| own.contains(namespace));
    let mut stopped = Vec::new();
    for namespace in &made {
        let found = workloads::list(&client, namespace, Runner::ALL).await?;
        stopped.extend(found.iter().filter(|object| objects::is_stopped(object)).filter_map(|object| in_words(namespace, object)));
    }
    let count = u64::try_from(stopped.len()).unwrap_or(u64::MAX);
    stopped.truncate(MAX_PROVEN);
    Ok(EffectOutcome::done(Evidence::WorkloadsLeft { again, made, workloads: count, stopped }))
}

fn made_namespaces(evidence: &Evidence) -> &[String] {
    match evidence {
        Evidence::NamespacesMade { made } => made,
        _ => &[],
    }
}
