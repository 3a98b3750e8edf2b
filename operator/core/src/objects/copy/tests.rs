//! How an object differs in its new place.

use super::*;
use crate::objects::stopped_replicas;
use p861_crds::protection::restore::Mapping;
use std::collections::BTreeMap;

fn rules() -> CopyRules {
    CopyRules {
        namespaces: BTreeMap::from([("shinan-approval".into(), "shinan-approval--drill-k7m2q".into())]),
        storage_classes: vec![Mapping { from: "ceph-rbd".into(), to: "topolvm".into() }],
        images: vec![Mapping { from: "registry.xinxi.example".into(), to: "registry.laoshan.example".into() }],
        isolated: true,
        stopped: true,
        cron_jobs: CronJobsInCopy::Suspend,
        patches: Vec::new(),
        kinds: Vec::new(),
        resolver: vec!["10.96.7.7".parse().expect("an address")],
        labels: BTreeMap::from([("platform861.io/drill".into(), "k7m2q".into())]),
    }
}

fn written(object: Value) -> Value {
    match prepare(object, &rules()) {
        Prepared::Write(value, _) => value,
        Prepared::Leave(why) => panic!("left: {why}"),
    }
}

#[test]
fn nothing_of_a_bubble_claims_a_name_a_port_or_a_way_out() {
    for (api, kind) in [
        ("networking.k8s.io/v1", "Ingress"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ] {
        let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "shinan-approval"}});
        assert!(matches!(prepare(object, &rules()), Prepared::Leave(_)), "{kind}");
    }
    let service = written(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "shinan-approval"},
        "spec": {"type": "NodePort", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{"port": 80, "nodePort": 30080}], "externalIPs": ["192.0.2.1"]}}));
    assert_eq!(service["spec"], json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
    let pod = written(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "shinan-approval"},
        "spec": {"template": {"spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80, "hostPort": 80}]}]}}}}));
    assert_eq!(pod.pointer("/spec/template/spec/hostNetwork"), None);
    assert_eq!(pod.pointer("/spec/template/spec/containers/0/ports/0/hostPort"), None);
}

#[test]
fn a_headless_service_stays_headless() {
    let service = written(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "shinan-approval"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
    );
    assert_eq!(service["spec"], json!({"clusterIP": "None"}));
}

#[test]
fn a_workload_waits_at_zero_and_remembers_its_replicas() {
    let set = written(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "postgres", "namespace": "shinan-approval"},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "c", "image": "registry.xinxi.example/pg:15"}]}}, "volumeClaimTemplates": [{"spec": {"storageClassName": "ceph-rbd"}}]}}));
    assert_eq!(set.pointer("/spec/replicas"), Some(&json!(0)));
    assert_eq!(stopped_replicas(&set), Some("3"));
    assert_eq!(set.pointer("/spec/template/spec/containers/0/image"), Some(&json!("registry.laoshan.example/pg:15")));
    assert_eq!(set.pointer("/spec/volumeClaimTemplates/0/spec/storageClassName"), Some(&json!("topolvm")));
    assert_eq!(set.pointer("/metadata/namespace"), Some(&json!("shinan-approval--drill-k7m2q")));
}

#[test]
fn a_claim_is_bound_anew() {
    let claim = written(
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d", "namespace": "shinan-approval", "finalizers": ["kubernetes.io/pvc-protection"],
        "annotations": {"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "n1", "mine": "1"}}, "spec": {"volumeName": "pvc-1", "storageClassName": "ceph-rbd"}}),
    );
    assert_eq!(claim["spec"], json!({"storageClassName": "topolvm"}));
    assert_eq!(claim.pointer("/metadata/annotations"), Some(&json!({"mine": "1"})));
    assert_eq!(claim.pointer("/metadata/finalizers"), None);
}

#[test]
fn no_object_carries_our_role_into_a_bubble() {
    // A pod with the movers' label would have the movers' way out.
    let object = written(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shinan-approval", "labels": {"platform861.io/role": "mover"}}}),
    );
    assert_eq!(object.pointer("/metadata/labels"), Some(&json!({"platform861.io/drill": "k7m2q"})));
}

#[test]
fn an_object_of_another_namespace_is_left() {
    assert!(matches!(
        prepare(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "kube-system"}}), &rules()),
        Prepared::Leave(_)
    ));
}

/// As a restore of a whole application to its own namespace writes it.
fn in_its_place(object: Value) -> Value {
    let namespaces = BTreeMap::from([("shinan-approval".into(), "shinan-approval".into())]);
    let rules = CopyRules { namespaces, isolated: false, stopped: false, labels: BTreeMap::new(), cron_jobs: CronJobsInCopy::Run, ..rules() };
    match prepare(object, &rules) {
        Prepared::Write(value, _) => value,
        Prepared::Leave(why) => panic!("left: {why}"),
    }
}

fn object(api: &str, kind: &str, spec: Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "shinan-approval"}, "spec": spec})
}

#[test]
fn fault_b6_a_service_keeps_its_numbers_unless_it_is_of_an_isolated_copy() {
    let spec = json!({"type": "NodePort", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "internalTrafficPolicy": "Local", "ipFamilyPolicy": "PreferDualStack",
        "ipFamilies": ["IPv4"], "externalTrafficPolicy": "Local", "healthCheckNodePort": 30999, "ports": [{"port": 80, "nodePort": 30888}]});
    assert_eq!(in_its_place(object("v1", "Service", spec.clone()))["spec"], spec);
    // Under another name another Service may have its address, not its ports: these are said if they are taken.
    let moved = CopyRules { isolated: false, stopped: false, ..rules() };
    let Prepared::Write(there, _) = prepare(object("v1", "Service", spec.clone()), &moved) else { panic!("left") };
    let mut expected = spec.clone();
    expected.as_object_mut().unwrap().retain(|field, _| !field.starts_with("clusterIP"));
    assert_eq!(there["spec"], expected);
    assert_eq!(written(object("v1", "Service", spec))["spec"], json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
}

#[test]
fn fault_b7_a_claim_keeps_its_class_whichever_way_it_names_it() {
    let mut claim = object("v1", "PersistentVolumeClaim", json!({}));
    claim["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": "ceph-rbd", "volume.beta.kubernetes.io/storage-provisioner": "x"});
    assert_eq!(in_its_place(claim.clone()).pointer("/metadata/annotations"), Some(&json!({"volume.beta.kubernetes.io/storage-class": "topolvm"})));
    let set = object("apps/v1", "StatefulSet", json!({"volumeClaimTemplates": [{"metadata": claim["metadata"], "spec": {}}]}));
    let annotations = in_its_place(set).pointer("/spec/volumeClaimTemplates/0/metadata/annotations").cloned();
    assert_eq!(annotations, Some(json!({"volume.beta.kubernetes.io/storage-class": "topolvm"})));
}

#[test]
fn fault_b9_a_bare_pod_is_scheduled_anew() {
    let mount = |name: &str| json!({"name": name, "mountPath": "/x"});
    let spec = json!({"nodeName": "n1", "priority": 0, "preemptionPolicy": "PreemptLowerPriority", "tolerations": [{"key": "k"}], "serviceAccountName": "default",
        "volumes": [{"name": "kube-api-access-8xk2p", "projected": {}}, {"name": "data"}],
        "containers": [{"name": "c", "image": "x", "volumeMounts": [mount("kube-api-access-8xk2p"), mount("data")]}]});
    let expected = json!({"tolerations": [{"key": "k"}], "serviceAccountName": "default", "volumes": [{"name": "data"}],
        "containers": [{"name": "c", "image": "x", "volumeMounts": [mount("data")]}]});
    assert_eq!(in_its_place(object("v1", "Pod", spec))["spec"], expected);
}

#[test]
fn fault_b14_a_service_with_outside_addresses_and_a_job_that_selects_its_own_pods_are_as_the_api_server_takes_them() {
    let spec = json!({"type": "ClusterIP", "externalIPs": ["192.0.2.1"], "externalTrafficPolicy": "Cluster", "ports": [{"port": 80}]});
    assert_eq!(in_its_place(object("v1", "Service", spec.clone()))["spec"], spec);
    assert_eq!(written(object("v1", "Service", spec))["spec"], json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
    let job = |manual: bool| {
        let template = json!({"metadata": {"labels": {"job-name": "a", "app": "x"}}, "spec": {"containers": []}});
        in_its_place(object("batch/v1", "Job", json!({"manualSelector": manual, "selector": {"matchLabels": {"job-name": "a"}}, "template": template})))
    };
    assert_eq!(job(true).pointer("/spec/selector/matchLabels"), Some(&json!({"job-name": "a"})));
    assert_eq!(job(true).pointer("/spec/template/metadata/labels"), Some(&json!({"job-name": "a", "app": "x"})));
    assert_eq!(job(false).pointer("/spec/selector"), None);
    assert_eq!(job(false).pointer("/spec/template/metadata/labels"), Some(&json!({"app": "x"})));
}

fn binding(subjects: &[(&str, &str, Option<&str>)]) -> Value {
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|(kind, name, namespace)| match namespace {
            Some(namespace) => json!({"kind": kind, "name": name, "namespace": namespace}),
            None => json!({"kind": kind, "name": name}),
        })
        .collect();
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "a", "namespace": "shinan-approval"}, "subjects": subjects})
}

#[test]
fn fault_b15_subjects_move_with_their_namespace() {
    let all = |namespace: &'static str| {
        binding(&[
            ("ServiceAccount", "x", Some(namespace)),
            ("ServiceAccount", "x", Some("other")),
            ("Group", &format!("system:serviceaccounts:{namespace}"), None),
            ("Group", "system:serviceaccounts:other", None),
            ("Group", "system:serviceaccounts", None),
            ("User", &format!("system:serviceaccount:{namespace}:x"), None),
            ("User", "li", None),
        ])
    };
    let moved = CopyRules { isolated: false, ..rules() };
    let Prepared::Write(written, adjusted) = prepare(all("shinan-approval"), &moved) else { panic!("it is written") };
    assert_eq!((&written["subjects"], adjusted), (&all("shinan-approval--drill-k7m2q")["subjects"], Vec::new()));
}

#[test]
fn fault_e13_whoever_has_rights_in_production_has_none_in_its_copy() {
    let to = "shinan-approval--drill-k7m2q";
    let outsiders = [
        ("User", "li", None),
        ("Group", "portal-devs", None),
        ("Group", "system:authenticated", None),
        ("Group", "system:serviceaccounts", None),
        ("Group", "system:serviceaccounts:other", None),
        ("User", "system:serviceaccount:other:deployer", None),
        ("ServiceAccount", "deployer", Some("other")),
    ];
    for outsider in outsiders {
        assert!(matches!(prepare(binding(&[outsider]), &rules()), Prepared::Leave(why) if why.contains("outside the copy")), "{outsider:?} alone");
        let Prepared::Write(written, adjusted) = prepare(binding(&[outsider, ("ServiceAccount", "x", Some("shinan-approval"))]), &rules()) else {
            panic!("{outsider:?}: the account of the copy keeps its rights")
        };
        assert_eq!(written["subjects"], json!([{"kind": "ServiceAccount", "name": "x", "namespace": to}]), "{outsider:?}");
        assert_eq!(adjusted, ["without rights of people and of accounts outside the copy"], "{outsider:?}");
    }
    assert!(matches!(prepare(binding(&[]), &rules()), Prepared::Write(..)), "one that binds nobody stays what it is");
}

#[test]
fn fault_b5_a_namespace_takes_the_name_that_it_is_restored_to_and_none_of_a_copys_labels() {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shinan-approval", "labels": {"team": "a"}}});
    assert_eq!(written(namespace)["metadata"], json!({"name": "shinan-approval--drill-k7m2q", "labels": {"team": "a"}}));
    let other = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}});
    assert!(matches!(prepare(other, &rules()), Prepared::Leave(_)));
}

#[test]
fn fault_d1_no_finalizer_goes_into_a_copy_and_every_one_into_a_restore() {
    let held = || json!(["example.com/hold"]);
    let template = json!({"metadata": {"finalizers": held(), "labels": {"app": "x"}}, "spec": {"containers": []}});
    for (case, object) in [
        ("a PodTemplate", object("v1", "PodTemplate", json!({"of": [{"metadata": {"finalizers": held()}}]}))),
        ("a Deployment", object("apps/v1", "Deployment", json!({"template": template.clone()}))),
        ("a CronJob", object("batch/v1", "CronJob", json!({"jobTemplate": {"metadata": {"finalizers": held()}, "spec": {"template": template.clone()}}}))),
        (
            "a StatefulSet",
            object("apps/v1", "StatefulSet", json!({"template": template, "volumeClaimTemplates": [{"metadata": {"name": "d", "finalizers": held()}}]})),
        ),
    ] {
        let mut object = object;
        object["metadata"]["finalizers"] = held();
        let copy = written(object.clone()).to_string();
        assert!(!copy.contains("finalizers"), "{case}: {copy}");
        let back = in_its_place(object.clone());
        let count = |value: &Value| value.to_string().matches("example.com/hold").count();
        assert_eq!(count(&back), count(&object), "{case}: {back}");
    }
}

#[test]
fn a_copy_is_patched_and_closed_whatever_the_patch_says() {
    let patch = |kind: &str, group: &str, patch: Value| serde_json::from_value(json!({"target": {"group": group, "kind": kind}, "patch": patch})).unwrap();
    let open = json!({"hostNetwork": true, "containers": [{"name": "c", "env": [{"name": "MODE", "value": "drill"}], "ports": [{"containerPort": 80, "hostPort": 80}]}]});
    let patches = vec![
        patch("Deployment", "apps", json!({"spec": {"replicas": 5, "template": {"metadata": {"finalizers": ["example.com/hold"]}, "spec": open}}})),
        patch("Service", "", json!({"spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.1"]}})),
        patch("CronJob", "batch", json!({"spec": {"suspend": false}})),
    ];
    let rules = CopyRules { patches, ..rules() };
    let prepared = |object: Value, rules: &CopyRules| match prepare(object, rules) {
        Prepared::Write(value, _) => value,
        Prepared::Leave(why) => panic!("left: {why}"),
    };
    let template = json!({"spec": {"containers": [{"name": "c", "image": "x"}]}});
    let deployment = object("apps/v1", "Deployment", json!({"replicas": 2, "template": template.clone()}));
    let copy = prepared(deployment.clone(), &rules);
    assert_eq!(copy.pointer("/spec/template/spec/containers/0/env/0/value"), Some(&json!("drill")));
    assert_eq!((copy.pointer("/spec/replicas"), stopped_replicas(&copy)), (Some(&json!(0)), Some("5")), "it waits, and is started as patched");
    assert_eq!(copy.pointer("/spec/template/spec/hostNetwork"), None);
    assert_eq!(copy.pointer("/spec/template/spec/containers/0/ports/0"), Some(&json!({"containerPort": 80})));
    assert!(!copy.to_string().contains("finalizers"), "{copy}");
    let service = prepared(object("v1", "Service", json!({"ports": [{"port": 80}]})), &rules);
    assert_eq!(service["spec"], json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
    let job = prepared(object("batch/v1", "CronJob", json!({"jobTemplate": {"spec": {"template": template}}})), &rules);
    assert_eq!(job.pointer("/spec/suspend"), Some(&json!(true)), "spec.isolation.cronJobs decides about that");
    let restored = prepared(deployment, &CopyRules { isolated: false, stopped: false, ..rules });
    assert_eq!(restored.pointer("/spec/replicas"), Some(&json!(2)), "a restore is no copy");
}

#[test]
fn fault_b11_labels_that_are_ours_by_name_stay_outside_a_copy() {
    let template = json!({"metadata": {"labels": {"app": "x", "platform861.io/role": "shop"}}, "spec": {"containers": []}});
    let mut deployment = object("apps/v1", "Deployment", json!({"template": template}));
    deployment["metadata"]["labels"] = json!({"platform861.io/role": "shop"});
    assert_eq!(in_its_place(deployment.clone()), deployment);
    assert!(!written(deployment).to_string().contains("platform861.io/role"));
}

#[test]
fn fault_b_a_claim_keeps_the_finalizers_that_kubernetes_does_not_put_on_it_again() {
    let mut claim = object("v1", "PersistentVolumeClaim", json!({}));
    claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection", "snapshot.storage.kubernetes.io/pvc-as-source-protection", "example.com/held"]);
    assert_eq!(in_its_place(claim).pointer("/metadata/finalizers"), Some(&json!(["example.com/held"])));
}

#[test]
fn fault_b_a_job_keeps_what_its_own_labels_say_of_its_name_and_loses_what_they_say_of_its_uid() {
    let labels = json!({"app": "x", "job-name": "a", "batch.kubernetes.io/job-name": "a", "controller-uid": "u", "batch.kubernetes.io/controller-uid": "u"});
    let mut job = object("batch/v1", "Job", json!({"template": {"metadata": {"labels": labels.clone()}, "spec": {"containers": []}}}));
    job["metadata"]["labels"] = labels;
    let job = in_its_place(job);
    assert_eq!(job.pointer("/metadata/labels"), Some(&json!({"app": "x", "job-name": "a", "batch.kubernetes.io/job-name": "a"})));
    assert_eq!(job.pointer("/spec/template/metadata/labels"), Some(&json!({"app": "x"})), "the API server generates these");
}
