//! What an application defines for the whole cluster, and the status of what it defines.

use super::*;

fn named_resource(group: &str, kind: &str, name: &str) -> ClusterResource {
    ClusterResource { group: Some(group.into()), kind: kind.into(), name: name.into() }
}

/// An application with a kind of its own, rights over it, and a webhook that refuses its objects while it doesn't run.
fn with_cluster_objects(column: &str) -> (Vec<(&'static str, Vec<Value>)>, Vec<ClusterResource>) {
    let (definitions, rbac, admission) = ("apiextensions.k8s.io", "rbac.authorization.k8s.io", "admissionregistration.k8s.io");
    let whole = |api: &str, kind: &str, name: &str, rest: Value| {
        let mut object = object(api, kind, name, rest);
        object["metadata"].as_object_mut().expect("metadata").remove("namespace");
        object
    };
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": schema,
        "additionalPrinterColumns": [{"name": column, "type": "string", "jsonPath": ".spec.a"}]});
    let names = json!({"plural": "gizmos", "singular": "gizmo", "kind": "Gizmo", "listKind": "GizmoList"});
    let crd = json!({"spec": {"group": "b12.example", "scope": "Namespaced", "names": names, "versions": [version]}});
    let account = |namespace: &str| json!([{"kind": "ServiceAccount", "name": "gizmos", "namespace": namespace}]);
    let role = json!({"rules": [{"apiGroups": ["b12.example"], "resources": ["gizmos"], "verbs": ["get", "list"]}]});
    let bound = |namespace: &str| json!({"roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "gizmo-reader"}, "subjects": account(namespace)});
    let hook = json!({"name": "gizmos.b12.example", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
        "clientConfig": {"service": {"name": "hooks", "namespace": SOURCE}},
        "rules": [{"apiGroups": ["b12.example"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["gizmos"]}]});
    let files = vec![
        (
            "_cluster/customresourcedefinitions.apiextensions.k8s.io",
            vec![whole("apiextensions.k8s.io/v1", "CustomResourceDefinition", "gizmos.b12.example", crd)],
        ),
        ("_cluster/clusterroles.rbac.authorization.k8s.io", vec![whole("rbac.authorization.k8s.io/v1", "ClusterRole", "gizmo-reader", role)]),
        (
            "_cluster/clusterrolebindings.rbac.authorization.k8s.io",
            vec![
                whole("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "gizmo-reader", bound(SOURCE)),
                whole("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "gizmo-stranger", bound("kube-system")),
            ],
        ),
        (
            "_cluster/validatingwebhookconfigurations.admissionregistration.k8s.io",
            vec![whole("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "gizmos", json!({"webhooks": [hook]}))],
        ),
        ("gizmos.b12.example", vec![object("b12.example/v1", "Gizmo", "g", json!({"spec": {"a": 1}}))]),
        ("configmaps", vec![object("v1", "ConfigMap", "plain", json!({"data": {"a": "b"}}))]),
    ];
    let named = vec![
        named_resource(definitions, "CustomResourceDefinition", "gizmos.b12.example"),
        named_resource(rbac, "ClusterRole", "gizmo-reader"),
        named_resource(rbac, "ClusterRoleBinding", "gizmo-reader"),
        named_resource(rbac, "ClusterRoleBinding", "gizmo-stranger"),
        named_resource(admission, "ValidatingWebhookConfiguration", "gizmos"),
    ];
    (files, named)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_what_an_application_needs_of_the_cluster_comes_first_and_its_webhooks_last() {
    let (files, cluster) = with_cluster_objects("A");
    let world = World::with(&files).await;
    world.namespace("target");
    let refuse = ConflictHandling::Policy(ConflictPolicy::Refuse);
    let preview = world.restore_with("target", refuse, true, cluster.clone()).await.expect("a preview");
    // The stranger's binding is refused; its own kind is promised by the definition.
    assert_eq!(counts(&preview), [6, 0, 0, 1, 0], "{:?}", named(&preview.listed));
    let outcome = world.restore_with("target", refuse, false, cluster.clone()).await.expect("a restore");
    assert_eq!(counts(&outcome), counts(&preview), "{:?}", named(&outcome.listed));
    assert!(named(&outcome.listed)[0].contains("no account of the application"), "{:?}", named(&outcome.listed));
    assert_eq!(world.get("target", "gizmo", "g")["spec"]["a"], 1, "its kind was served in time, and its own webhook was not there yet");
    assert_eq!(world.get("target", "clusterrolebinding", "gizmo-reader")["subjects"][0]["namespace"], "target");
    assert_eq!(world.get("target", "validatingwebhookconfiguration", "gizmos")["webhooks"][0]["clientConfig"]["service"]["namespace"], "target");
    let again = world.restore_with("target", refuse, false, cluster.clone()).await.expect("again");
    // Nobody serves the webhook here, so it refuses the Gizmo by now.
    assert_eq!(counts(&again), [0, 0, 5, 2, 0], "{:?}", named(&again.listed));
    // Without a place on the Application's list nothing of it is touched.
    let none = world.restore_with("target", refuse, false, Vec::new()).await.expect("a restore");
    assert_eq!((counts(&none), none.left_out.values().sum::<u64>()), ([0, 0, 1, 1, 0], 5), "{:?}", none.left_out);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_a_cluster_scoped_object_that_a_webhook_kept_back_is_written_by_a_second_try() {
    let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "orchard"}, "value": 5});
    let world = World::with(&[("_cluster/priorityclasses.scheduling.k8s.io", vec![class])]).await;
    world.namespace("target");
    world.server.apply(
        "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: classes}, webhooks: [{name: classes.demo.example,
          failurePolicy: Fail, sideEffects: None, admissionReviewVersions: [v1], timeoutSeconds: 2,
          clientConfig: {service: {namespace: target, name: web, path: /check}},
          rules: [{apiGroups: [scheduling.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [priorityclasses]}]}]}",
    );
    let cluster = ["orchard", "gone"].map(|name| named_resource("scheduling.k8s.io", "PriorityClass", name)).to_vec();
    let task = world.task_with("target", ConflictHandling::Policy(ConflictPolicy::Merge), false, cluster);
    let first = loop {
        // The API server learns of a webhook a moment later.
        let first = world.perform(&task).await.expect("what can't be written ends no restore");
        if counts(&first)[3] == 1 {
            break first;
        }
        let _ = world.server.kubectl(&["delete", "priorityclass", "orchard", "--ignore-not-found"]);
    };
    assert_eq!((first.listed.len(), first.listed[0].awaits), (1, Some(Awaits::Webhook)), "{:?}", named(&first.listed));
    assert!(first.adjusted.keys().any(|told| told.contains("PriorityClass gone is not in the backup")), "{:?}", first.adjusted);

    world.server.kubectl(&["delete", "validatingwebhookconfiguration", "classes"]).expect("deleted");
    let again = ObjectsTask { again: Some(first.listed.iter().map(Identity::listed).collect()), ..task };
    let last = loop {
        let last = world.perform(&again).await.expect("a second try");
        // The webhook's end is learned a moment later, too.
        if counts(&last)[3] == 0 {
            break last;
        }
    };
    assert_eq!(
        (counts(&last), last.tried.len(), last.adjusted.len()),
        ([1, 0, 0, 0, 0], 1, 0),
        "what the first try said is not said again: {:?}",
        last.adjusted
    );
    assert_eq!(world.get("target", "priorityclass", "orchard")["value"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_a_copy_makes_a_missing_definition_and_changes_none() {
    let (files, cluster) = with_cluster_objects("A");
    let world = World::with(&files).await;
    world.namespace("target--drill-x");
    let drilled = world.restore_with("target--drill-x", ConflictHandling::Own, false, cluster.clone()).await.expect("a copy");
    assert_eq!((counts(&drilled)[0] >= 2, &counts(&drilled)[1..]), (true, &[0, 0, 0, 0][..]), "{:?}", named(&drilled.listed));
    assert!(drilled.adjusted.keys().any(|told| told.contains("was missing and was made")), "{:?}", drilled.adjusted);
    let definition = || world.get("target--drill-x", "customresourcedefinition", "gizmos.b12.example");
    let before = definition();
    let client: kube::Api<k8s_openapi::api::rbac::v1::ClusterRole> = kube::Api::all(world.client.clone());
    assert!(client.get_opt("gizmo-reader").await.expect("asked").is_none(), "a copy gives nobody a right");

    // The same application, whose definition is another by now.
    let (files, _) = with_cluster_objects("B");
    let folder = tempfile::tempdir().expect("a folder");
    let (access, snapshot) = tokio::task::block_in_place(|| backup(folder.path(), &files));
    let world = World { folder, access, snapshot, ..world };
    let drilled = world.restore_with("target--drill-x", ConflictHandling::Own, false, cluster.clone()).await.expect("a copy");
    assert!(drilled.adjusted.keys().any(|told| told.contains("gizmos.b12.example is there with another content")), "{:?}", drilled.adjusted);
    let replaced = ConflictHandling::Policy(ConflictPolicy::Replace);
    let definition = || world.get("target--drill-x", "customresourcedefinition", "gizmos.b12.example");
    assert_eq!(definition()["spec"], before["spec"]);
    let restored = world.restore_with("target--drill-x", replaced, false, cluster).await.expect("a restore");
    let after = definition();
    assert_eq!((&after["metadata"]["uid"], counts(&restored)[1] >= 1), (&before["metadata"]["uid"], true), "in place, never deleted");
    assert_eq!(after["spec"]["versions"][0]["additionalPrinterColumns"][0]["name"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b10_a_status_that_is_data_comes_back_and_one_of_a_controller_is_left_to_it() {
    let serial = |kind: &str, serial: u32| object("b10.example/v1", kind, "a", json!({"spec": {"a": 1}, "status": {"serial": serial}}));
    let world = World::with(&[("counters.b10.example", vec![serial("Counter", 7)]), ("gauges.b10.example", vec![serial("Gauge", 7)])]).await;
    for (plural, kind, subresources) in [("counters", "Counter", json!({})), ("gauges", "Gauge", json!({"status": {}}))] {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": subresources});
        let names = json!({"plural": plural, "singular": kind.to_lowercase(), "kind": kind});
        let spec = json!({"group": "b10.example", "scope": "Namespaced", "names": names, "versions": [version]});
        let metadata = json!({"name": format!("{plural}.b10.example")});
        world
            .server
            .apply(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}).to_string());
    }
    world.namespace("target");
    let mut outcome = world.restore("target", ConflictPolicy::Merge, false).await.expect("a restore");
    for _ in 0..240 {
        if outcome.changes.not_served == 0 {
            break;
        }
        // Discovery names new kinds with a delay.
        tokio::time::sleep(Duration::from_millis(250)).await;
        outcome = world.restore("target", ConflictPolicy::Merge, false).await.expect("a restore");
    }
    assert_eq!(world.get("target", "counter", "a")["status"], json!({"serial": 7}));
    assert_eq!(world.get("target", "gauge", "a").get("status"), None);
    assert!(outcome.adjusted.keys().any(|told| told.contains("status is its controller's")), "{:?}", outcome.adjusted);
    // What differs in the status alone is a difference; a second attempt finds none.
    let eight = json!({"status": {"serial": 8}}).to_string();
    world.server.kubectl(&["patch", "counters.b10.example", "a", "--namespace", "target", "--type=merge", "--patch", &eight]).expect("the patch");
    let refused = world.restore("target", ConflictPolicy::Refuse, false).await.expect_err("the serial differs");
    assert!(refused.contains("status.serial: 8 → 7"), "{refused}");
    for (policy, changed) in [(ConflictPolicy::Merge, 1), (ConflictPolicy::Replace, 0)] {
        let outcome = world.restore("target", policy, false).await.expect("a restore");
        assert_eq!(counts(&outcome), [0, changed, 2 - changed, 0, 0], "{policy:?} {:?}", named(&outcome.listed));
    }
    assert_eq!(world.get("target", "counter", "a")["status"], json!({"serial": 7}));
}
