//! What a drill's copy may have, whoever makes it there: tried with the API server's own judgement.

use crate::support::lone::{Lone, lone};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::time::Duration;

const COPY: &str = "shinan-tax--drill-k7m2q";
const PLAIN: &str = "shinan-tax";

/// What the API server says of an object, which it doesn't keep.
async fn tried(server: &Lone, namespace: &str, kind: &str, spec: &Value) -> Result<(), String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    let client = server.client(None).await;
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let document = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "tried", "namespace": namespace}, "spec": spec});
    let object: DynamicObject = serde_json::from_value(document).expect("an object");
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e13_no_pod_of_a_copy_shares_anything_with_its_node_and_no_service_has_a_way_from_outside_whoever_makes_it() {
    let server = lone("admit_copies");
    server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {COPY}, labels: {{platform861.io/drill: k7m2q}}}}}}"));
    server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {PLAIN}}}}}"));
    for namespace in [COPY, PLAIN] {
        server.apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {namespace}}}}}"));
    }
    let pod = |more: Value| {
        let mut spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "x"}]});
        spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
        spec
    };
    let port = |name: &str| json!([{"name": name, "image": "x", "ports": [{"containerPort": 80, "hostPort": 80}]}]);
    let service = |more: Value| {
        let mut spec = json!({"ports": [{"port": 80}], "selector": {"a": "b"}});
        spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
        spec
    };
    let table = [
        ("Pod", pod(json!({"hostNetwork": true})), "hostNetwork"),
        ("Pod", pod(json!({"hostPID": true})), "hostPID"),
        ("Pod", pod(json!({"hostIPC": true})), "hostIPC"),
        ("Pod", pod(json!({"containers": port("c")})), "hostPort"),
        ("Pod", pod(json!({"initContainers": port("before")})), "hostPort"),
        ("Pod", pod(json!({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]})), "hostPath"),
        ("Service", service(json!({"type": "NodePort"})), "ClusterIP"),
        ("Service", service(json!({"type": "LoadBalancer"})), "ClusterIP"),
        ("Service", service(json!({"externalIPs": ["192.0.2.1"]})), "externalIPs"),
    ];
    // A policy is in force some time after it was installed.
    for _ in 0..1200 {
        if tried(&server, COPY, "Pod", &table[0].1).await.is_err_and(|said| said.contains("p861-copies")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (kind, spec, says) in &table {
        let said = tried(&server, COPY, kind, spec).await.expect_err(says);
        assert!(said.contains("p861-copies") && said.contains(says), "{kind} {spec}: {said}");
        assert_eq!(tried(&server, PLAIN, kind, spec).await, Ok(()), "elsewhere nobody is held: {spec}");
    }
    for (kind, spec) in [
        ("Pod", pod(json!({"hostNetwork": false}))),
        ("Service", service(json!({}))),
        ("Service", json!({"type": "ExternalName", "externalName": "a.example"})),
    ] {
        assert_eq!(tried(&server, COPY, kind, &spec).await, Ok(()), "{kind} {spec}");
    }
}
