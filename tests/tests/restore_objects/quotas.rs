//! What a restore costs of the quotas of a namespace in which its objects are.

use super::*;

const COUNTED: [&str; 4] = ["persistentvolumeclaims", "requests.storage", "count/secrets", "services"];

fn files() -> Vec<(&'static str, Vec<Value>)> {
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
    vec![
        ("configmaps", vec![object("v1", "ConfigMap", "plain", json!({"data": {"a": "b"}}))]),
        ("persistentvolumeclaims", ["data", "files"].map(|name| object("v1", "PersistentVolumeClaim", name, claim.clone())).to_vec()),
        ("secrets", vec![object("v1", "Secret", "key", json!({"type": "Opaque", "data": {"a": "Yg=="}}))]),
        ("services", vec![object("v1", "Service", "web", json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}))]),
    ]
}

/// How much of the quota is used. No controller counts it anew beside a lone API server: what was charged stays charged.
fn used(world: &World) -> Vec<String> {
    let quota = world.get("target", "resourcequota", "small");
    COUNTED.map(|counted| quota["status"]["used"][counted].as_str().unwrap_or_default().to_owned()).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_i3_a_restore_in_place_charges_no_quota_for_what_is_there() {
    let world = World::with(&files()).await;
    world.namespace("target");
    let hard = json!({"persistentvolumeclaims": "5", "requests.storage": "50Gi", "count/secrets": "50", "services": "5"});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": "target"}, "spec": {"hard": hard}});
    world.server.apply(&quota.to_string());
    let used_at_first = json!({"persistentvolumeclaims": "0", "requests.storage": "0", "count/secrets": "0", "services": "0"});
    let counted = json!({"status": {"hard": hard, "used": used_at_first}}).to_string();
    let status = ["--namespace", "target", "patch", "resourcequota", "small", "--subresource=status", "--type=merge", "--patch"];
    world.server.kubectl(&[&status[..], &[counted.as_str()]].concat()).expect("counted");
    // The API server learns of a quota a moment later.
    for number in 0.. {
        let probe = format!("probe-{number}");
        let made = world.server.kubectl(&["--namespace", "target", "create", "secret", "generic", &probe]);
        if made.is_ok() && used(&world)[2] != "0" {
            break;
        }
        assert!(number < 40, "secrets are not counted: {made:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }

    let secrets: u32 = used(&world)[2].parse().expect("a number");
    let made = world.restore("target", ConflictPolicy::Refuse, false).await.expect("a restore");
    assert_eq!(counts(&made), [5, 0, 0, 0, 0], "{:?}", named(&made.listed));
    let (once, one_more) = (used(&world), (secrets + 1).to_string());
    assert_eq!(once, ["2", "2Gi", one_more.as_str(), "1"], "what was missing is made, and charged");
    for policy in [ConflictPolicy::Refuse, ConflictPolicy::Skip, ConflictPolicy::Merge, ConflictPolicy::Replace] {
        for preview in [true, false] {
            let again = world.restore("target", policy, preview).await.expect("again");
            assert_eq!(counts(&again), [0, 0, 5, 0, 0], "{policy:?}: {:?}", named(&again.listed));
            assert_eq!(used(&world), once, "{policy:?}, preview {preview}: nothing is made, and nothing is charged");
        }
    }
    drop(world.folder);
}
