//! Why a mover does not run yet, and how long that is waited for.

use super::{
    job::DATA_VOLUME,
    warned::{Warning, newest_of},
};
use crate::effects::{EffectOutcome, StepContext, start};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, PersistentVolumeClaim, Pod},
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use p861_core::{
    engine::Failure,
    time::{human_duration, whole_seconds},
};
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long an attempt waits for its mover to run. Whatever keeps it away has been said long before, and another attempt begins anew.
pub const START_TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
/// A mover usually runs by then; until then nobody asks why it doesn't.
const PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// Events of a mover that waits are read as often: an API server looks through all Events of the namespace.
const EVENTS_INTERVAL: Duration = Duration::from_secs(10);
/// What is known of a mover's Events is forgotten after this.
const EVENTS_TTL: Duration = Duration::from_mins(10);
/// What the scheduler says of a pod whose claims are to be made before it chooses a node.
const UNBOUND_CLAIMS: &str = "unbound immediate PersistentVolumeClaims";
/// Annotation of a claim for which the scheduler has chosen a node.
const SELECTED_NODE_ANNOTATION: &str = "volume.kubernetes.io/selected-node";

/// When Events were read, and the newest warning among them.
type Read = (Instant, Option<Warning>);

/// The newest warning of each Job and pod that was asked about, by UID.
#[derive(Clone, Default)]
pub struct Warnings(Arc<Mutex<HashMap<String, Read>>>);

impl Warnings {
    /// The newest warning about an object, read at most every [`EVENTS_INTERVAL`]. None also if Events can't be read: they only explain.
    pub async fn newest(&self, client: &Client, namespace: &str, uid: &str) -> Option<Warning> {
        let known = self.0.lock().get(uid).cloned();
        if let Some((_, warning)) = known.filter(|(read, _)| read.elapsed() < EVENTS_INTERVAL) {
            return warning;
        }
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning"));
        let warning = match events.list(&about).await {
            Ok(list) => newest_of(&list.items),
            Err(error) => {
                tracing::warn!("the Events of {uid} in {namespace} can't be read: {error}");
                None
            }
        };
        let mut known = self.0.lock();
        known.retain(|_, (read, _)| read.elapsed() < EVENTS_TTL);
        known.insert(uid.to_owned(), (Instant::now(), warning.clone()));
        warning
    }
}

/// What a mover waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wait {
    reason: Reason,
    message: String,
}

/// What to do about a pod that is refused.
fn remedy(warning: &str) -> &'static str {
    match warning {
        text if text.contains("exceeded quota") || text.contains("failed quota") => {
            "; raise the quota for each mover that waits (requests cpu 50m, memory 64Mi; limits cpu 2, memory 1Gi each)"
        }
        text if text.contains("violates PodSecurity") => {
            "; a mover that mounts a claim needs root, to keep the owners of its files: label the namespace pod-security.kubernetes.io/enforce=baseline, or leave the claim out of the backup (spec.volumes of the Application, method: Skip)"
        }
        text if text.contains("per Container") || text.contains("per Pod") => "; let the LimitRange allow a mover (limits cpu 2, memory 1Gi)",
        text if text.contains("denied the request") || text.contains("failed calling webhook") || text.contains("ValidatingAdmissionPolicy") => {
            "; let that rule admit pods with the label platform861.io/role=mover"
        }
        _ => "",
    }
}

/// What a mover waits for, by its pod and by the newest warning about the pod; or about the Job, while there is no pod.
fn wait(pod: Option<&Pod>, warning: Option<&str>) -> Wait {
    let of = |reason: Reason, message: String| Wait { reason, message };
    let Some(pod) = pod else {
        return warning.map_or_else(
            || of(Reason::MoverNotStarted, "its mover starts".into()),
            |warning| of(Reason::MoverRefused, format!("its mover's pod is refused: {warning}{}", remedy(warning))),
        );
    };
    if let Some(message) = unscheduled(pod) {
        return of(Reason::MoverUnschedulable, format!("no node takes its mover: {message}"));
    }
    if let Some(why) = start::reason(pod) {
        return of(Reason::MoverNotStarted, format!("its mover's container can't start: {why}"));
    }
    match warning {
        Some(warning) => of(Reason::MoverNotStarted, format!("its mover's pod can't start: {warning}{}", remedy(warning))),
        None => of(Reason::MoverNotStarted, "its mover's pod starts".into()),
    }
}

/// What is said of a mover that has not run for `since`: what it waits for, and at last its failure.
fn outcome(waits: Wait, since: SignedDuration) -> EffectOutcome {
    if since < START_TIMEOUT {
        return EffectOutcome::running(waits.message);
    }
    let message = format!("{}; it has not run within {}, and is tried again", waits.message, human_duration(whole_seconds(START_TIMEOUT)));
    EffectOutcome::Failed(Failure::transient(waits.reason, message), None)
}

/// The scheduler's word about a pod that no node takes.
fn unscheduled(pod: &Pod) -> Option<&str> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?.message.as_deref()
}

/// When a node took the pod.
fn scheduled(pod: &Pod) -> Option<Timestamp> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    Some(conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "True")?.last_transition_time.as_ref()?.0)
}

/// What the mover of a snapshot waits for while its claim is made, by the newest warning about that claim. None if that is not what keeps it away.
fn wait_for_claim(claim: &PersistentVolumeClaim, pod: &Pod, warning: Option<&str>) -> Option<String> {
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound") {
        return None;
    }
    if let Some(warning) = warning {
        return Some(format!("the storage can't make a claim from the snapshot: {warning}"));
    }
    // A claim that is made where its pod will run waits for the scheduler; any other keeps the scheduler waiting.
    let waits_for_node = unscheduled(pod).is_some_and(|word| !word.contains(UNBOUND_CLAIMS)) && !claim.annotations().contains_key(SELECTED_NODE_ANNOTATION);
    (!waits_for_node).then(|| "the storage makes a claim from the snapshot".to_owned())
}

/// What keeps the claim of a mover that reads a snapshot from being made; none if it is there, or can't be looked at.
async fn look_at_claim(warnings: &Warnings, client: &Client, namespace: &str, pod: &Pod) -> Option<String> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let claim = claims.get_opt(&format!("{}-{DATA_VOLUME}", pod.name_any())).await.ok()??;
    let warning = warnings.newest(client, namespace, claim.metadata.uid.as_deref()?).await;
    let waits = wait_for_claim(&claim, pod, warning.as_ref().map(|warning| warning.text.as_str()))?;
    Some(dated(waits, warning.as_ref()))
}

/// The message with how old its warning is, if it quotes one: what was mended meanwhile is said until the cluster has tried again.
fn dated(message: String, warning: Option<&Warning>) -> String {
    match warning.filter(|warning| message.contains(&warning.text)).and_then(Warning::age) {
        Some(age) => format!("{message}; {age}"),
        None => message,
    }
}

/// What keeps a mover that has not run from running. Fails the attempt after [`START_TIMEOUT`]; but a claim from a snapshot takes as long as the storage copies,
/// which only the step's deadline limits.
pub async fn look(
    warnings: &Warnings,
    client: &Client,
    step_context: &StepContext,
    (namespace, reads_snapshot): (&str, bool),
    job: &Job,
    pod: Option<&Pod>,
) -> EffectOutcome {
    let pod_of_snapshot = pod.filter(|_| reads_snapshot);
    if let Some(pod) = pod_of_snapshot
        && let Some(waits) = look_at_claim(warnings, client, namespace, pod).await
    {
        return EffectOutcome::running(waits);
    }
    let made = job.metadata.creation_timestamp.as_ref().map_or(step_context.started, |time| time.0);
    let since = Timestamp::now().duration_since(pod_of_snapshot.and_then(scheduled).unwrap_or(made));
    let about = pod.map_or_else(|| job.uid(), ResourceExt::uid);
    let warning = match about {
        Some(uid) if since >= PATIENCE => warnings.newest(client, namespace, &uid).await,
        _ => None,
    };
    let Wait { reason, message } = wait(pod, warning.as_ref().map(|warning| warning.text.as_str()));
    outcome(Wait { reason, message: dated(message, warning.as_ref()) }, since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::engine::FailureClass;
    use serde_json::{Value, json};

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn container(reason: &str) -> Value {
        json!({"name": "mover", "image": "registry/p861:1", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "it says so"}}})
    }

    #[test]
    fn fault_d2_and_d3_a_mover_that_cannot_run_says_why_and_what_to_do() {
        let creating = pod(json!({"phase": "Pending", "containerStatuses": [container("ContainerCreating")]}));
        let unscheduled =
            pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient memory."}]}));
        let image = pod(json!({"containerStatuses": [container("ImagePullBackOff")]}));
        for (name, pod, warning, reason, says) in [
            ("new", None, None, Reason::MoverNotStarted, "its mover starts"),
            (
                "quota",
                None,
                Some("FailedCreate: pods \"p\" is forbidden: exceeded quota: small, requested: limits.cpu=2"),
                Reason::MoverRefused,
                "raise the quota",
            ),
            (
                "limits missing",
                None,
                Some("FailedCreate: pods \"p\" is forbidden: failed quota: small: must specify limits.cpu"),
                Reason::MoverRefused,
                "raise the quota",
            ),
            (
                "limit range",
                None,
                Some("FailedCreate: maximum memory usage per Container is 512Mi, but limit is 1Gi"),
                Reason::MoverRefused,
                "let the LimitRange allow",
            ),
            (
                "pod security",
                None,
                Some("FailedCreate: pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\""),
                Reason::MoverRefused,
                "enforce=baseline",
            ),
            ("webhook", None, Some("FailedCreate: admission webhook \"w\" denied the request: no"), Reason::MoverRefused, "platform861.io/role=mover"),
            ("node full", Some(&unscheduled), None, Reason::MoverUnschedulable, "1 Insufficient memory"),
            ("image", Some(&image), None, Reason::MoverNotStarted, "ImagePullBackOff: it says so"),
            ("creating", Some(&creating), None, Reason::MoverNotStarted, "its mover's pod starts"),
            ("volume", Some(&creating), Some("FailedMount: MountVolume.SetUp failed"), Reason::MoverNotStarted, "MountVolume.SetUp failed"),
        ] {
            let waits = wait(pod, warning);
            assert_eq!(waits.reason, reason, "{name}: {}", waits.message);
            assert!(waits.message.contains(says) && warning.is_none_or(|warning| waits.message.contains(warning)), "{name}: {}", waits.message);
            // It says so while it waits, and ends with the same words.
            let running = outcome(waits.clone(), START_TIMEOUT - SignedDuration::from_secs(1));
            assert!(matches!(running, EffectOutcome::Running(progress) if progress.message.as_deref() == Some(waits.message.as_str())), "{name}");
            let EffectOutcome::Failed(failure, None) = outcome(waits.clone(), START_TIMEOUT) else { panic!("{name}: it waits on") };
            assert_eq!((failure.class, failure.reason), (FailureClass::Transient, reason), "{name}");
            assert!(failure.message.starts_with(&waits.message), "{name}: {}", failure.message);
        }
    }

    #[test]
    fn the_mover_of_a_snapshot_waits_for_the_storage_or_for_a_node_and_says_which() {
        let claim = |phase: &str, annotations: &Value| -> PersistentVolumeClaim {
            serde_json::from_value(json!({"metadata": {"name": "c", "annotations": annotations}, "status": {"phase": phase}})).unwrap()
        };
        let unscheduled = |message: &str| pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": message}]}));
        let (full, unbound) = ("1 Insufficient memory.", "pod has unbound immediate PersistentVolumeClaims.");
        let (nothing, chosen) = (json!({}), json!({SELECTED_NODE_ANNOTATION: "n1"}));
        for (name, phase, annotations, nodes, warning, expected) in [
            ("made", "Bound", &nothing, full, None, None),
            ("being made", "Pending", &nothing, unbound, None, Some("the storage makes a claim")),
            ("being made for a node", "Pending", &chosen, full, None, Some("the storage makes a claim")),
            ("waits for a node", "Pending", &nothing, full, None, None),
            (
                "can't be made",
                "Pending",
                &nothing,
                unbound,
                Some("ProvisioningFailed: no space"),
                Some("can't make a claim from the snapshot: ProvisioningFailed: no space"),
            ),
        ] {
            let (claim, pod) = (claim(phase, annotations), unscheduled(&format!("0/1 nodes are available: {nodes}")));
            let waits = wait_for_claim(&claim, &pod, warning);
            assert_eq!(waits.is_some(), expected.is_some(), "{name}: {waits:?}");
            assert!(waits.is_none_or(|waits| waits.contains(expected.unwrap())), "{name}");
        }
    }

    #[test]
    fn a_warning_that_is_quoted_says_when_it_was_and_that_the_cluster_tries_again() {
        let warning = Warning { text: "FailedCreate: exceeded quota: small".into(), at: Some("2026-11-15T01:30:05Z".parse().unwrap()) };
        let waits = wait(None, Some(&warning.text));
        let said = dated(waits.message.clone(), Some(&warning));
        assert_eq!(said, format!("{}; as of 01:30:05 UTC, and the cluster tries again by itself, within minutes", waits.message));
        assert_eq!(dated(waits.message.clone(), Some(&Warning { at: None, ..warning.clone() })), waits.message, "nobody knows when");
        assert_eq!(dated("no node takes its mover".into(), Some(&warning)), "no node takes its mover", "the scheduler's word is of now");
        assert_eq!(dated("its mover starts".into(), None), "its mover starts");
    }
}
