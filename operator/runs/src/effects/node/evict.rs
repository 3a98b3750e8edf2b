//! Evicts the pods of a node, and says of each that remains why it does.

use super::{Others, name_of, node_pod, pods_of};
use crate::{
    error::{Error, ErrorContext as _, Result, words_of},
    leadership::Leadership,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::EvictParams, core::Status};
use p861_core::{
    ids::SiteName,
    maintenance::drain::{DrainConsent, Fate, Loss, fate, named},
    time::{human_duration, whole_seconds},
    told::Noun,
};
use p861_crds::Reason;

/// A pod that is still there so long after its grace period is named.
const GRACE_SLACK: SignedDuration = SignedDuration::from_secs(30);

/// Pods that a drain has not moved yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remaining {
    /// Number of pods that terminate.
    pub going: usize,
    /// Pods that don't, or for too long, each with the reason.
    pub held: Vec<String>,
}

impl Remaining {
    pub fn is_empty(&self) -> bool {
        self.going == 0 && self.held.is_empty()
    }

    /// For people: how many leave, and what holds the others back.
    pub fn words(&self) -> String {
        match (self.held.is_empty(), self.going) {
            (true, going) => format!("{} to leave", Noun::Pod.count(going)),
            (false, 0) => format!("held back: {}", named(&self.held)),
            (false, going) => format!("{} to leave; held back: {}", Noun::Pod.count(going), named(&self.held)),
        }
    }
}

/// What became of a request for eviction.
#[derive(Debug)]
pub(super) enum Answer {
    /// The pod terminates.
    Going,
    /// The pod is gone.
    Gone,
    /// Not now, and why.
    Held(String),
    /// The server doesn't answer; the other pods would be told the same.
    Away(String),
    /// Never, as things are.
    Refused(kube::Error),
}

/// Evicts every pod that leaves, once. Returns those that remain. None is evicted while pods of others are among them.
pub(super) async fn evict_all(
    client: &Client,
    leadership: &Leadership,
    site: &SiteName,
    node: &str,
    others: &Others,
    consent: DrainConsent,
) -> Result<Remaining> {
    let mut remaining = Remaining::default();
    let pods = pods_of(client, site, node).await?;
    if let Some(shared) = others.on(&pods, node) {
        return Err(Error::invalid(Reason::NodeShared, shared));
    }
    for pod in pods {
        match fate(&node_pod(&pod), consent) {
            Fate::Stays | Fate::WouldReturn => continue,
            Fate::Kept(loss) => {
                // It came after the node was looked at.
                remaining.held.push(format!("pod {} ({})", name_of(&pod), kept(loss)));
                continue;
            }
            Fate::Leaves => {}
        }
        if pod.metadata.deletion_timestamp.is_some() {
            match overdue(&pod, Timestamp::now()) {
                Some(why) => remaining.held.push(why),
                None => remaining.going += 1,
            }
            continue;
        }
        leadership.ensure()?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        let evicted = pods.evict(&pod.name_any(), &EvictParams::default()).await;
        match answer(evicted.map(drop)) {
            Answer::Going => remaining.going += 1,
            Answer::Gone => {}
            Answer::Held(why) => remaining.held.push(format!("pod {} ({why})", name_of(&pod))),
            Answer::Away(why) => {
                remaining.held.push(format!("pod {} ({why})", name_of(&pod)));
                break;
            }
            Answer::Refused(error) => return Err(error).context(|| format!("evict pod {} from node {node} on {site}", name_of(&pod))),
        }
    }
    Ok(remaining)
}

fn kept(loss: Loss) -> &'static str {
    match loss {
        Loss { pod: true, data: true } => "it has no controller and emptyDir data, and the change agrees to lose neither",
        Loss { pod: true, data: false } => "it has no controller, and the change agrees to no such loss: delete it, or give it one",
        Loss { pod: false, .. } => "it has emptyDir data, and the change does not agree to delete it",
    }
}

/// What the API server's answer to an eviction means.
pub(super) fn answer(evicted: std::result::Result<(), kube::Error>) -> Answer {
    let error = match evicted {
        Ok(()) => return Answer::Going,
        Err(error) => error,
    };
    match &error {
        kube::Error::Api(status) => match status.code {
            404 => Answer::Gone,
            // The pod's namespace is being deleted, and the pod with it.
            403 if status.message.contains("being terminated") => Answer::Going,
            500 if status.message.contains("more than one PodDisruptionBudget") => {
                Answer::Held(format!("{}: change the selectors so that one budget is left", words_of(&error).trim_end_matches('.')))
            }
            // A budget allows no eviction now (429), the pod has changed (409), or the server has trouble of its own.
            408 | 409 | 429 | 500..=599 => Answer::Held(with_budget(status, &words_of(&error))),
            _ => Answer::Refused(error),
        },
        kube::Error::Service(_) | kube::Error::HyperError(_) => Answer::Away(words_of(&error)),
        _ => Answer::Refused(error),
    }
}

/// The message, and which budget refuses: the API server says that only in the details.
fn with_budget(status: &Status, message: &str) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let budgets: Vec<&str> = causes.filter(|cause| cause.reason == "DisruptionBudget").map(|cause| cause.message.trim_end_matches('.')).collect();
    let message = message.trim_end_matches('.');
    if budgets.is_empty() { message.to_owned() } else { format!("{message} {}", budgets.join("; ")) }
}

/// Why a pod that terminates should be gone already; none if it still has time.
pub(super) fn overdue(pod: &Pod, now: Timestamp) -> Option<String> {
    // The API server adds the grace period to the time of the deletion.
    let due = pod.metadata.deletion_timestamp.as_ref()?.0;
    let late = now.duration_since(due);
    if late < GRACE_SLACK {
        return None;
    }
    let finalizers = pod.finalizers();
    let why = if finalizers.is_empty() { "its node does not say that it has ended".to_owned() } else { format!("finalizers: {}", finalizers.join(", ")) };
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
    let late = human_duration(whole_seconds(late));
    Some(format!(
        "pod {} (terminates {late} longer than its grace of {grace}s; {why}: kubectl -n {} describe pod {})",
        name_of(pod),
        pod.namespace().unwrap_or_default(),
        pod.name_any()
    ))
}
