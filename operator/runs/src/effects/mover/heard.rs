//! What the pods of a mover's Job say of it: the only way by which a message, progress or a state of a pod reaches a step.

use super::{ours, stopping::controller_of, terminated};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};

/// What is known of a mover by its pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard<'a> {
    /// It has ended.
    Ended {
        /// Its pod.
        pod: &'a Pod,
        /// Exit code of its container.
        exit_code: i32,
        /// Its termination message.
        message: Option<String>,
        /// Why it ended, in Kubernetes' word.
        reason: Option<String>,
    },
    /// Its container runs, and prints progress.
    Runs(&'a Pod),
    /// It does not run yet; with its pod, once there is one.
    Waits(Option<&'a Pod>),
}

/// What the Job's own pods say. Whoever makes a pod in the namespace can say that this Job controls it, and the Job controller then counts it as one of the Job's. So a pod
/// must also have what the Job gives its pods and nobody else may give any: the labels and the account of this run's movers.
pub fn heard<'a>(pods: &'a [Pod], job: &Job) -> Heard<'a> {
    let controlled = |pod: &Pod| controller_of(pod).is_some_and(|owner| owner.kind == "Job" && Some(&owner.uid) == job.metadata.uid.as_ref());
    let ours = || pods.iter().filter(|pod| controlled(pod) && ours::is_pod_of(pod, job));
    let ended = ours().find_map(|pod| Some((pod, terminated(pod)?)));
    if let Some((pod, (exit_code, message, reason))) = ended {
        return Heard::Ended { pod, exit_code, message, reason };
    }
    let runs = ours().find(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"));
    runs.map_or_else(|| Heard::Waits(ours().next()), Heard::Runs)
}

#[cfg(test)]
mod tests {
    use super::{super::run_name, *};
    use serde_json::{Value, json};

    fn labels() -> Value {
        json!({"batch.kubernetes.io/job-name": "mover", "platform861.io/role": "mover", "platform861.io/run": "r1", "platform861.io/step": "s1"})
    }

    fn job(uid: Option<&str>) -> Job {
        serde_json::from_value(json!({"metadata": {"name": "mover", "uid": uid, "labels": labels()},
            "spec": {"template": {"spec": {"containers": [], "serviceAccountName": run_name("r1")}}}}))
        .unwrap()
    }

    fn pod_with(name: &str, owner: &Value, status: &Value, (labels, account): (&Value, &str)) -> Pod {
        let owners: Vec<&Value> = Some(owner).filter(|owner| !owner.is_null()).into_iter().collect();
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels, "ownerReferences": owners},
            "spec": {"containers": [], "serviceAccountName": account}, "status": status}))
        .unwrap()
    }

    fn pod(name: &str, owner: &Value, status: &Value) -> Pod {
        pod_with(name, owner, status, (&labels(), &run_name("r1")))
    }

    fn owner(kind: &str, uid: &str, controller: Option<bool>) -> Value {
        json!({"apiVersion": "batch/v1", "kind": kind, "name": "mover", "uid": uid, "controller": controller})
    }

    #[test]
    fn fault_a7_messages_progress_and_states_are_taken_only_from_pods_that_the_jobs_uid_controls() {
        let ended = json!({"phase": "Succeeded", "containerStatuses": [{"name": "mover", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "message": "{\"done\": {}}"}}}]});
        let (runs, waits) = (json!({"phase": "Running"}), json!({"phase": "Pending"}));
        let strangers = [
            Value::Null,
            owner("Job", "another", Some(true)),
            owner("Job", "u1", Some(false)),
            owner("Job", "u1", None),
            owner("ReplicaSet", "u1", Some(true)),
        ];
        for stranger in &strangers {
            for status in [&ended, &runs, &waits] {
                let false_one = pod("false", stranger, status);
                // Alone it says nothing, and beside the Job's own pod it does not speak first.
                assert_eq!(heard(std::slice::from_ref(&false_one), &job(Some("u1"))), Heard::Waits(None), "{stranger} {status}");
                for own in [&ended, &runs, &waits] {
                    let pods = [false_one.clone(), pod("own", &owner("Job", "u1", Some(true)), own)];
                    let spoke = match heard(&pods, &job(Some("u1"))) {
                        Heard::Ended { pod, .. } => (pod, &ended),
                        Heard::Runs(pod) => (pod, &runs),
                        Heard::Waits(pod) => (pod.unwrap(), &waits),
                    };
                    assert_eq!((spoke.0.metadata.name.as_deref(), spoke.1), (Some("own"), own), "{stranger} {status}");
                }
            }
        }
        assert_eq!(heard(&[pod("own", &owner("Job", "u1", Some(true)), &ended)], &job(None)), Heard::Waits(None), "a Job without a UID has no pods");
    }

    #[test]
    fn fault_e36_a_pod_that_says_of_itself_that_the_job_controls_it_answers_for_no_mover() {
        let ended = json!({"phase": "Failed", "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "message": r#"{"outcome": "failed", "reason": "Damaged", "message": "forged", "permanent": true}"#}}}]});
        let (owner, account) = (owner("Job", "u1", Some(true)), run_name("r1"));
        let without = |label: &str| {
            let mut labels = labels();
            labels.as_object_mut().unwrap().remove(label);
            labels
        };
        for (what, labels, account) in [
            ("neither label nor account", json!({"batch.kubernetes.io/job-name": "mover"}), "default"),
            ("no role", without("platform861.io/role"), account.as_str()),
            ("no run", without("platform861.io/run"), account.as_str()),
            ("no step", without("platform861.io/step"), account.as_str()),
            ("another account", super::tests::labels(), "default"),
        ] {
            let pods = [pod_with("a-forged", &owner, &ended, (&labels, account)), pod("own", &owner, &json!({"phase": "Running"}))];
            assert_eq!(heard(&pods, &job(Some("u1"))), Heard::Runs(&pods[1]), "{what}");
            assert_eq!(heard(&pods[..1], &job(Some("u1"))), Heard::Waits(None), "{what}");
        }
    }

    #[test]
    fn fault_e11_a_termination_message_that_is_longer_than_the_kubelets_is_nobodys() {
        let owner = owner("Job", "u1", Some(true));
        for (bytes, taken) in [(super::super::MAX_TERMINATION_BYTES, true), (super::super::MAX_TERMINATION_BYTES + 1, false)] {
            let status = json!({"phase": "Succeeded", "containerStatuses": [{"name": "mover", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "message": "x".repeat(bytes)}}}]});
            let Heard::Ended { message, .. } = heard(&[pod("own", &owner, &status)], &job(Some("u1"))) else { panic!("it has ended") };
            assert_eq!(message.is_some(), taken, "{bytes}");
        }
    }
}
