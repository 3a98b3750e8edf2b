//! A whole claim is written only once no other pod can write into it.

use super::{MoverPlace, stopping::controller_of};
use crate::{
    effects::{EffectOutcome, StepContext},
    error::{ErrorContext as _, Result},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::{Api, Client, ResourceExt, api::ListParams};
use p861_core::{
    engine::Failure,
    objects::{LABEL_VALUE_MOVER, NOT_STARTED},
    runs::MoverTask,
    time::human_duration,
};
use p861_crds::{
    Reason,
    names::{ROLE_LABEL, RUN_LABEL},
};

/// How long an attempt waits for the pods that use a claim: longer than what ends by itself takes.
const IN_USE_TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
/// Pods that a message names.
const MAX_PODS_NAMED: usize = 3;

/// The pods that mount a claim and have not ended, a terminating one included: it writes until it is gone. Movers of the run are not among them, nor pods that
/// our scheduling gate holds: they have no node.
fn users<'a>(pods: &'a [Pod], claim: &str, run: &str) -> Vec<&'a Pod> {
    let mounts = |pod: &Pod| {
        let mut volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.any(|volume| volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == claim))
    };
    let ended = |pod: &Pod| matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    let is = |pod: &Pod, label: &str, value: &str| pod.labels().get(label).is_some_and(|own| own == value);
    // Anybody can give a pod labels; a Job's pod is made by the Job controller.
    let ours = |pod: &Pod| is(pod, ROLE_LABEL, LABEL_VALUE_MOVER) && is(pod, RUN_LABEL, run) && controller_of(pod).is_some_and(|owner| owner.kind == "Job");
    let held = |pod: &Pod| {
        let gates = |spec: &PodSpec| spec.node_name.is_none() && spec.scheduling_gates.iter().flatten().any(|gate| gate.name == NOT_STARTED);
        pod.spec.as_ref().is_some_and(gates)
    };
    pods.iter().filter(|pod| mounts(pod) && !ended(pod) && !ours(pod) && !held(pod)).collect()
}

/// What is said of a claim that these pods use: who is waited for, and at last a failure.
fn outcome(claim: &str, users: &[&Pod], waited: SignedDuration) -> EffectOutcome {
    let named: Vec<String> = users.iter().take(MAX_PODS_NAMED).map(|pod| pod.name_any()).collect();
    let more = if users.len() > named.len() { format!(" and {} more", users.len() - named.len()) } else { String::new() };
    let who = format!("{}{more}", named.join(", "));
    if waited < IN_USE_TIMEOUT {
        return EffectOutcome::running(format!("waits until no pod uses claim {claim}: {who}"));
    }
    let after = human_duration(IN_USE_TIMEOUT);
    let message = format!("claim {claim} is in use after {after} by pod {who}, which would write beside the restore: stop what runs it, and restore again");
    EffectOutcome::Failed(Failure::permanent(Reason::ClaimInUse, message), None)
}

/// Waits until nothing uses the claim that the task writes as a whole; none if nothing does, or if it writes no whole claim.
///
/// # Errors
/// If the API server can't be read.
pub async fn wait(client: &Client, step_context: &StepContext, place: &MoverPlace<'_>, task: &MoverTask) -> Result<Option<EffectOutcome>> {
    let Some(claim) = place.claim.filter(|_| task.writes_whole_claim()) else { return Ok(None) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), place.namespace);
    let pods = pods.list(&ListParams::default()).await.context(|| format!("list the pods of {}", place.namespace))?.items;
    let users = users(&pods, claim, &step_context.run.uid);
    let waited = Timestamp::now().duration_since(step_context.started);
    Ok((!users.is_empty()).then(|| outcome(claim, &users, waited)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::engine::FailureClass;
    use serde_json::{Value, json};

    fn pod(name: &str, more: &Value) -> Pod {
        let mut pod = json!({"metadata": {"name": name}, "status": {"phase": "Running"},
            "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}});
        pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn fault_c2_a_claim_is_in_use_until_every_pod_that_can_write_into_it_is_gone() {
        let owned = |kind: &str, run: &str| {
            json!({"metadata": {"name": "p", "labels": {ROLE_LABEL: LABEL_VALUE_MOVER, RUN_LABEL: run},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": kind, "name": "o", "uid": "u", "controller": true}]}})
        };
        let held = |spec: &Value| {
            let mut pod = json!({"spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}});
            pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            pod
        };
        for (name, more, uses) in [
            ("running", json!({}), true),
            ("terminating", json!({"metadata": {"name": "p", "deletionTimestamp": "2026-11-15T00:00:00Z"}}), true),
            ("pending", json!({"status": {"phase": "Pending"}}), true),
            ("of an unknown phase", json!({"status": {"phase": "Unknown"}}), true),
            ("without a status", json!({"status": {}}), true),
            ("succeeded", json!({"status": {"phase": "Succeeded"}}), false),
            ("failed", json!({"status": {"phase": "Failed"}}), false),
            ("on another claim", json!({"spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data-2"}}]}}), false),
            ("held", held(&json!({"schedulingGates": [{"name": NOT_STARTED}]})), false),
            ("held, and on a node all the same", held(&json!({"schedulingGates": [{"name": NOT_STARTED}], "nodeName": "node-1"})), true),
            ("held by another's gate", held(&json!({"schedulingGates": [{"name": "quota.example/wait"}]})), true),
            ("without a claim", json!({"spec": {"containers": []}}), false),
            ("a mover of this run", owned("Job", "run-1"), false),
            ("a mover of another run", owned("Job", "run-2"), true),
            ("in a mover's clothes", owned("ReplicaSet", "run-1"), true),
        ] {
            assert_eq!(!users(&[pod("p", &more)], "data", "run-1").is_empty(), uses, "{name}");
        }
    }

    #[test]
    fn fault_c3_a_claim_that_stays_in_use_fails_the_step_with_who_uses_it() {
        let pods: Vec<Pod> = ["a", "b", "c", "d", "e"].iter().map(|name| pod(name, &json!({}))).collect();
        let users = users(&pods, "data", "run-1");
        let EffectOutcome::Running(progress) = outcome("data", &users, SignedDuration::from_mins(14)) else { panic!("it waits") };
        assert_eq!(progress.message.as_deref(), Some("waits until no pod uses claim data: a, b, c and 2 more"));
        let EffectOutcome::Failed(failure, None) = outcome("data", &users, IN_USE_TIMEOUT) else { panic!("it ends") };
        assert_eq!((failure.class, failure.reason), (FailureClass::Permanent, Reason::ClaimInUse));
        assert!(failure.message.contains("by pod a, b, c and 2 more"), "{}", failure.message);
    }
}
