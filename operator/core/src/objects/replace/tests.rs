//! Which objects may be deleted to be made again, over kinds that somebody listed and kinds that nobody did; and what an update in place carries over.

use super::*;

fn live(api: &str, kind: &str) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "n", "uid": "u1"}})
}

fn with(mut object: Value, at: &str, value: Value) -> Value {
    let (parent, last) = at.rsplit_once('/').unwrap();
    let mut place = &mut object;
    for step in parent.split('/').filter(|step| !step.is_empty()) {
        place = place.as_object_mut().unwrap().entry(step).or_insert_with(|| json!({}));
    }
    place.as_object_mut().unwrap().insert(last.into(), value);
    object
}

#[test]
fn fault_c1_what_holds_data_or_may_take_data_with_it_is_never_deleted() {
    for (api, kind) in [
        ("v1", "PersistentVolumeClaim"),
        ("v1", "PersistentVolume"),
        ("v1", "Namespace"),
        ("v1", "Node"),
        ("v1", "ServiceAccount"),
        ("v1", "KindOfNextYear"),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("apps/v1", "Anything"),
        // Custom resources, also such as are called like a kind of the list.
        ("postgresql.cnpg.io/v1", "Cluster"),
        ("zalando.org/v1", "StatefulSet"),
        ("example.org/v1", "ConfigMap"),
        ("apps.example.org/v1", "Deployment"),
        ("", ""),
    ] {
        let why = replaceable(&live(api, kind), &live(api, kind)).expect_err(kind);
        assert_eq!(why, format!("a {kind} can't be changed in place, and a restore deletes no {kind}"));
    }
}

#[test]
fn fault_c1_an_object_of_the_list_is_deleted_by_its_uid_and_only_where_no_data_goes_with_it() {
    let (pods, volumes) = (|number: u64| json!({"replicas": number}), |volume: &str| json!([{"name": "v", volume: {}}]));
    for (case, object, may) in [
        ("a ConfigMap", live("v1", "ConfigMap"), true),
        ("a RoleBinding", live("rbac.authorization.k8s.io/v1", "RoleBinding"), true),
        ("a Secret", live("v1", "Secret"), true),
        ("a token's Secret", with(live("v1", "Secret"), "/type", json!("kubernetes.io/service-account-token")), false),
        ("a stopped Deployment", with(live("apps/v1", "Deployment"), "/status", pods(0)), true),
        ("a running Deployment", with(live("apps/v1", "Deployment"), "/status", pods(2)), false),
        ("a running StatefulSet with the same selector", with(live("apps/v1", "StatefulSet"), "/status", pods(2)), true),
        ("a running StatefulSet of other pods", with(with(live("apps/v1", "StatefulSet"), "/status", pods(2)), "/spec/selector", json!({"x": "y"})), false),
        ("a running DaemonSet", with(live("apps/v1", "DaemonSet"), "/status", json!({"currentNumberScheduled": 1})), false),
        ("an active Job", with(live("batch/v1", "Job"), "/status", json!({"active": 1})), false),
        ("an ended Job", with(live("batch/v1", "Job"), "/status", json!({"succeeded": 1})), true),
        ("a pod on a claim", with(live("v1", "Pod"), "/spec/volumes", volumes("persistentVolumeClaim")), true),
        ("a pod with scratch data", with(live("v1", "Pod"), "/spec/volumes", volumes("emptyDir")), false),
        ("a pod with an ephemeral volume", with(live("v1", "Pod"), "/spec/volumes", volumes("ephemeral")), false),
        (
            "a Service whose load balancer is given back first",
            with(live("v1", "Service"), "/metadata/finalizers", json!(["service.kubernetes.io/load-balancer-cleanup"])),
            false,
        ),
        ("an object without finalizers", with(live("v1", "ConfigMap"), "/metadata/finalizers", json!([])), true),
        ("a pod that ends within its usual time", with(live("v1", "Pod"), "/spec/terminationGracePeriodSeconds", json!(30)), true),
        ("a pod that may take long to end", with(live("v1", "Pod"), "/spec/terminationGracePeriodSeconds", json!(3600)), false),
        ("an object without a uid", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}), false),
    ] {
        let wanted = json!({"apiVersion": object["apiVersion"], "kind": object["kind"]});
        let permission = replaceable(&object, &wanted);
        assert_eq!(permission.as_ref().ok().map(|may| (may.name(), may.uid())), may.then_some(("a", "u1")), "{case}: {permission:?}");
    }
}

#[test]
fn fault_c1_an_update_in_place_keeps_what_the_server_owns_and_drops_the_rest() {
    let there = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "finalizers": ["lb"], "labels": {"gone": "x"}},
        "spec": {"type": "NodePort", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ipFamilies": ["IPv4"], "sessionAffinity": "ClientIP",
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}, {"port": 81, "protocol": "TCP", "nodePort": 30002}]}, "status": {"loadBalancer": {}}});
    let wanted = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {"new": "y"}},
        "spec": {"type": "NodePort", "clusterIP": "10.0.0.9", "ports": [{"port": 80}, {"port": 81, "nodePort": 30099}]}});
    let expected = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "finalizers": ["lb"], "labels": {"new": "y"}},
        "spec": {"type": "NodePort", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ipFamilies": ["IPv4"],
            "ports": [{"port": 80, "nodePort": 30001}, {"port": 81, "nodePort": 30099}]}, "status": {"loadBalancer": {}}});
    assert_eq!(in_place(&wanted, &there), expected);

    let there = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "labels": {"job-name": "a", "x": "y"}}, "spec": {"selector": {"s": 1},
        "template": {"metadata": {"labels": {"controller-uid": "u"}}}}});
    let wanted = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"suspend": true, "template": {"metadata": {}}}});
    let expected = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "labels": {"job-name": "a"}}, "spec": {"suspend": true, "selector": {"s": 1},
        "template": {"metadata": {"labels": {"controller-uid": "u"}}}}});
    assert_eq!(in_place(&wanted, &there), expected);

    let there = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n1", "priority": 0, "volumes": [{"name": "kube-api-access-x"}],
        "containers": [{"name": "c", "image": "a:1", "volumeMounts": [{"name": "kube-api-access-x"}, {"name": "gone"}]}]}});
    let wanted = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "a:2"}]}});
    let expected = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n1", "priority": 0, "volumes": [{"name": "kube-api-access-x"}],
        "containers": [{"name": "c", "image": "a:2", "volumeMounts": [{"name": "kube-api-access-x"}]}]}});
    assert_eq!(in_place(&wanted, &there), expected);
}
