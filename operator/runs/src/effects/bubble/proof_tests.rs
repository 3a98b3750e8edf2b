//! What the pods of probes say.

use super::*;

fn pod(status: &Value, owner: &str) -> Pod {
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": owner, "controller": true}]);
    serde_json::from_value(json!({"metadata": {"name": "p", "ownerReferences": owner}, "status": status})).unwrap()
}

fn ended(code: i32, message: &str) -> Value {
    let terminated = json!({"exitCode": code, "message": message, "reason": if code == 0 { "Completed" } else { "Error" }});
    json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [{"name": "probe", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": terminated}}]})
}

#[test]
fn fault_e13_a_probe_that_says_nothing_proves_nothing() {
    for (status, expected) in [
        (ended(0, r#"{"reached":[1]}"#), Found::Answer(ProbeAnswer { inside: None, reached: vec![1] })),
        (ended(0, r#"{"inside":"no answer","reached":[]}"#), Found::Answer(ProbeAnswer { inside: Some("no answer".into()), reached: vec![] })),
        (ended(0, ""), Found::Lost("Completed, exit code 0".into())),
        (ended(0, "{}"), Found::Lost("Completed, exit code 0".into())),
        (ended(137, r#"{"reached":[]}"#), Found::Lost("Error, exit code 137".into())),
        (json!({"phase": "Failed", "message": "The node was low on resource: memory."}), Found::Lost("The node was low on resource: memory.".into())),
        (json!({"phase": "Running"}), Found::Waits(None)),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}),
            Found::Waits(Some("0/1 nodes".into())),
        ),
    ] {
        assert_eq!(found(&pod(&status, "u1")), expected, "{status}");
    }
    let job: Job = serde_json::from_value(json!({"metadata": {"name": "j", "uid": "u1"}})).unwrap();
    let pods = [pod(&ended(0, r#"{"reached":[]}"#), "u2")];
    assert!(pods_of(&pods, &job).is_empty(), "another's pod with its labels");
}

#[test]
fn fault_e24_a_job_that_somebody_made_first_under_a_probes_name_proves_nothing() {
    let job = |labels: Value| -> Job {
        serde_json::from_value(json!({"metadata": {"name": "p861-prove-x-1-closed", "namespace": "copy", "labels": labels}})).unwrap()
    };
    for (labels, ours) in [
        (json!({RUN_LABEL: "run-1", ROLE_LABEL: LABEL_VALUE_CLOSED_PROBE}), true),
        (json!({RUN_LABEL: "run-1", ROLE_LABEL: LABEL_VALUE_FREE_PROBE}), false),
        (json!({RUN_LABEL: "run-2", ROLE_LABEL: LABEL_VALUE_CLOSED_PROBE}), false),
        (json!({RUN_LABEL: "run-1"}), false),
        (json!({}), false),
    ] {
        assert_eq!(is_ours(&job(labels.clone()), "run-1", LABEL_VALUE_CLOSED_PROBE), ours, "{labels}");
    }
}

#[test]
fn where_a_repository_is_follows_from_its_address() {
    for (endpoint, port) in [("http://192.0.2.9:8333", 8333), ("https://s3.example", 443), ("http://s3.example/x", 80)] {
        assert_eq!(port_of(&endpoint.parse().unwrap()), port, "{endpoint}");
    }
}
