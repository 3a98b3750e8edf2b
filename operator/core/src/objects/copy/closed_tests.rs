//! Nothing of a copy reaches outside it: which kinds it has, and what their pods share with their node.

use super::*;
use p861_crds::platform::application::{CopyKind, CopyPatch};
use proptest::prelude::*;
use std::{collections::BTreeMap, net::IpAddr};

const COPY: &str = "shinan-approval--drill-k7m2q";

fn rules() -> CopyRules {
    CopyRules {
        namespaces: BTreeMap::from([("shinan-approval".into(), COPY.into())]),
        isolated: true,
        resolver: vec![IpAddr::from([10, 96, 7, 7])],
        ..CopyRules::default()
    }
}

fn object(api: &str, kind: &str, fields: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "shinan-approval"}});
    object.as_object_mut().expect("a map").extend(fields.as_object().expect("fields").clone());
    object
}

fn prepared(object: Value, rules: &CopyRules) -> (Value, Vec<&'static str>) {
    match prepare(object, rules) {
        Prepared::Write(value, adjusted) => (value, adjusted),
        Prepared::Leave(why) => panic!("left: {why}"),
    }
}

fn kind(group: &str, kind: &str) -> CopyKind {
    CopyKind { group: Some(group.into()).filter(|group: &String| !group.is_empty()), kind: kind.into() }
}

#[test]
fn fault_e13_a_copy_has_the_harmless_kinds_and_those_that_its_application_names() {
    let left = |api: &str, kind: &str, added: &[CopyKind]| match prepare(object(api, kind, json!({})), &CopyRules { kinds: added.to_vec(), ..rules() }) {
        Prepared::Write(..) => None,
        Prepared::Leave(why) => Some(why.into_owned()),
    };
    for known in HARMLESS_KINDS {
        let api = if known.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", known.group) };
        assert_eq!(left(&api, known.kind, &[]), None, "{known:?}");
        assert!(!known.why.is_empty());
    }
    for (api, named, says) in [
        ("networking.k8s.io/v1", "Ingress", "claim names"),
        ("v1", "ResourceQuota", "movers"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "start what is stopped"),
        ("policy/v1", "PodDisruptionBudget", "clean-up"),
        ("resource.k8s.io/v1", "ResourceClaimTemplate", "device"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "outside the copy"),
        ("externaldns.k8s.io/v1alpha1", "DNSEndpoint", "outside the copy"),
        ("cert-manager.io/v1", "Certificate", "outside the copy"),
        ("networking.istio.io/v1", "VirtualService", "outside the copy"),
        ("traefik.io/v1alpha1", "IngressRoute", "outside the copy"),
        ("projectcontour.io/v1", "HTTPProxy", "outside the copy"),
        ("route.openshift.io/v1", "Route", "outside the copy"),
        ("external-secrets.io/v1", "ExternalSecret", "outside the copy"),
        ("postgresql.cnpg.io/v1", "ScheduledBackup", "outside the copy"),
        ("example.com/v1", "Secret", "outside the copy"),
    ] {
        let why = left(api, named, &[]).unwrap_or_else(|| panic!("{api} {named} is in the copy"));
        let group = api.split_once('/').map_or("", |(group, _)| group);
        let told = if group.is_empty() { named.to_owned() } else { format!("{named}.{group}") };
        assert!(why.starts_with(&format!("{told}: ")) && why.contains(says) && why.contains("isolation.kinds"), "{why}");
        assert_eq!(refused_kind(&kind(group, named)), None);
        assert_eq!(left(api, named, &[kind(group, named)]), None, "named by its Application");
        assert!(left(api, named, &[kind("other.example", named)]).is_some(), "the kind of another group");
    }
    for (api, named) in [
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("cilium.io/v2", "CiliumNetworkPolicy"),
        ("crd.projectcalico.org/v1", "NetworkPolicy"),
        ("projectcalico.org/v3", "NetworkPolicy"),
        ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
        ("network.openshift.io/v1", "EgressNetworkPolicy"),
        ("platform861.io/v1alpha1", "Backup"),
    ] {
        let group = api.split_once('/').map_or("", |(group, _)| group);
        assert!(refused_kind(&kind(group, named)).is_some_and(|why| why.contains(named)), "{api} {named}");
        assert!(left(api, named, &[kind(group, named)]).is_some(), "{api} {named}: a stored plan can hold what no compiler takes");
    }
}

/// A pod that shares everything with its node and mounts what it can.
fn open_pod() -> Value {
    let probe = json!({"httpGet": {"path": "/", "port": 80, "host": "production.example"}});
    let container = |name: &str| {
        json!({"name": name, "image": "x", "ports": [{"containerPort": 80, "hostPort": 80, "hostIP": "192.0.2.1"}], "livenessProbe": probe,
            "lifecycle": {"postStart": {"tcpSocket": {"port": 1, "host": "production.example"}}}, "securityContext": {"windowsOptions": {"hostProcess": true}}})
    };
    json!({
        "hostNetwork": true, "hostPID": true, "hostIPC": true, "dnsPolicy": "ClusterFirstWithHostNet", "readinessGates": [{"conditionType": "example.com/lb"}],
        "dnsConfig": {"nameservers": ["10.96.0.10"], "searches": ["shinan.example"], "options": [{"name": "timeout", "value": "1"}]},
        "initContainers": [container("init")], "containers": [container("c")],
        "volumes": [
            {"name": "node", "hostPath": {"path": "/var/run"}}, {"name": "share", "nfs": {"server": "production.example", "path": "/"}},
            {"name": "vault", "csi": {"driver": "secrets-store.csi.k8s.io"}}, {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "empty", "emptyDir": {}},
            {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "", "selector": {"matchLabels": {"a": "b"}}}}}}
        ]
    })
}

#[test]
fn fault_e13_no_pod_of_a_copy_shares_anything_with_its_node_whatever_makes_it() {
    let template = json!({"metadata": {"labels": {"app": "x", "platform861.io/role": "mover"}}, "spec": open_pod()});
    let cases = [
        ("v1", "Pod", json!({"spec": open_pod()}), "/spec"),
        ("v1", "PodTemplate", json!({"template": template}), "/template/spec"),
        ("v1", "ReplicationController", json!({"spec": {"template": template}}), "/spec/template/spec"),
        ("apps/v1", "Deployment", json!({"spec": {"template": template}}), "/spec/template/spec"),
        ("apps/v1", "StatefulSet", json!({"spec": {"template": template}}), "/spec/template/spec"),
        ("apps/v1", "DaemonSet", json!({"spec": {"template": template}}), "/spec/template/spec"),
        ("apps/v1", "ReplicaSet", json!({"spec": {"template": template}}), "/spec/template/spec"),
        ("apps/v1", "ControllerRevision", json!({"data": {"spec": {"template": template}}}), "/data/spec/template/spec"),
        ("batch/v1", "Job", json!({"spec": {"managedBy": "kueue.x-k8s.io/multikueue", "template": template}}), "/spec/template/spec"),
        ("batch/v1", "CronJob", json!({"spec": {"jobTemplate": {"spec": {"managedBy": "x/y", "template": template}}}}), "/spec/jobTemplate/spec/template/spec"),
        ("argoproj.io/v1alpha1", "Rollout", json!({"spec": {"deep": [{"podTemplate": template}]}}), "/spec/deep/0/podTemplate/spec"),
    ];
    let rules = CopyRules { kinds: vec![kind("argoproj.io", "Rollout")], ..rules() };
    for (api, kind, fields, at) in cases {
        let (copy, adjusted) = prepared(object(api, kind, fields), &rules);
        let text = copy.to_string();
        for word in [
            "hostNetwork",
            "hostPID",
            "hostIPC",
            "hostPort",
            "hostIP",
            "hostPath",
            "hostProcess",
            "production.example",
            "secrets-store",
            "managedBy",
            "platform861.io/role",
            "readinessGates",
            "10.96.0.10",
        ] {
            assert!(!text.contains(word), "{kind}: {word} in {text}");
        }
        let pod = copy.pointer(at).unwrap_or_else(|| panic!("{kind}: {text}"));
        let empty = |name: &str| json!({"name": name, "emptyDir": {}});
        assert_eq!(
            pod["volumes"],
            json!([empty("node"), empty("share"), empty("vault"), {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}, empty("empty"),
                {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]),
            "{kind}"
        );
        assert_eq!(adjusted, [close::WITHOUT_NODE], "{kind}");
    }
}

#[test]
fn fault_e14_every_pod_of_a_copy_asks_the_copys_dns_and_no_other() {
    let dns = |pod: Value, rules: &CopyRules| {
        let (copy, _) = prepared(object("apps/v1", "Deployment", json!({"spec": {"template": {"spec": pod}}})), rules);
        (copy.pointer("/spec/template/spec/dnsPolicy").cloned(), copy.pointer("/spec/template/spec/dnsConfig").cloned().expect("a dnsConfig"))
    };
    let searches = [format!("{COPY}.svc.cluster.local"), "svc.cluster.local".to_owned(), "cluster.local".to_owned()];
    let plain = json!({"containers": [{"name": "c"}]});
    let ndots = json!([{"name": "ndots", "value": "5"}]);
    assert_eq!(dns(plain.clone(), &rules()), (Some(json!("None")), json!({"nameservers": ["10.96.7.7"], "searches": searches, "options": ndots})));
    // What it has of its own stays, but for whom it asks.
    let (policy, config) = dns(open_pod(), &rules());
    assert_eq!((policy, &config["nameservers"], &config["searches"][3]), (Some(json!("None")), &json!(["10.96.7.7"]), &json!("shinan.example")));
    assert_eq!(config["options"], json!([{"name": "timeout", "value": "1"}, {"name": "ndots", "value": "5"}]));
    let own = json!({"containers": [{"name": "c"}], "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}});
    assert_eq!(dns(own, &rules()).1["options"], json!([{"name": "ndots", "value": "1"}]));
    // Without an address nobody is asked: the cluster's DNS would answer with production.
    let (policy, config) = dns(plain.clone(), &CopyRules { resolver: Vec::new(), ..rules() });
    assert_eq!((policy, &config["nameservers"]), (Some(json!("None")), &json!(["127.0.0.1"])));
    let restored = prepared(object("v1", "Pod", json!({"spec": plain})), &CopyRules { isolated: false, ..rules() }).0;
    assert_eq!(restored.pointer("/spec/dnsPolicy"), None, "a restore is no copy");
}

#[test]
fn fault_e13_no_annotation_tells_a_controller_outside_to_act() {
    let outside = [
        "external-dns.alpha.kubernetes.io/hostname",
        "service.beta.kubernetes.io/aws-load-balancer-type",
        "service.kubernetes.io/x",
        "metallb.io/address-pool",
        "cert-manager.io/cluster-issuer",
        "kubernetes.io/tls-acme",
        "kubernetes.io/ingress.class",
        "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
        "eks.amazonaws.com/role-arn",
        "vault.hashicorp.com/agent-inject",
        "backup.velero.io/backup-volumes",
        "prometheus.io/scrape",
    ];
    let networks = ["k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network", "cni.projectcalico.org/ipAddrs", "ovn.kubernetes.io/logical_switch"];
    let own = [
        "note",
        "kubectl.kubernetes.io/default-container",
        "kubernetes.io/service-account.name",
        "checksum/config",
        "helm.sh/hook",
        "volume.beta.kubernetes.io/storage-class",
    ];
    let all: serde_json::Map<String, Value> = outside.iter().chain(&networks).chain(&own).map(|name| ((*name).to_owned(), json!("x"))).collect();
    let of = |value: &Value, at: &str| -> Vec<String> {
        let mut names: Vec<String> = value.pointer(at).and_then(Value::as_object).map(|map| map.keys().cloned().collect()).unwrap_or_default();
        names.sort();
        names
    };
    let mut sorted = own.map(str::to_owned);
    sorted.sort();
    for (api, kind) in [("v1", "Service"), ("v1", "Secret"), ("v1", "ServiceAccount"), ("apps/v1", "Deployment")] {
        let mut before = object(api, kind, json!({"spec": {"template": {"metadata": {"annotations": all.clone()}, "spec": {"containers": []}}}}));
        before["metadata"]["annotations"] = json!(all);
        let (copy, adjusted) = prepared(before.clone(), &rules());
        assert_eq!(of(&copy, "/metadata/annotations"), sorted, "{kind}");
        if kind == "Deployment" {
            assert_eq!(of(&copy, "/spec/template/metadata/annotations"), sorted);
        }
        assert_eq!(adjusted, [annotations::WITHOUT_ANNOTATIONS]);
        let (restored, adjusted) = prepared(before.clone(), &CopyRules { isolated: false, ..rules() });
        assert_eq!((of(&restored, "/metadata/annotations").len(), adjusted.len()), (all.len(), 0), "a restore is no copy");
    }
    // An Application may give one back, by a patch, but no other network.
    let patch: CopyPatch = serde_json::from_value(json!({"target": {"group": "apps", "kind": "Deployment"},
        "patch": {"spec": {"template": {"metadata": {"annotations": {"vault.hashicorp.com/agent-inject": "true", "k8s.v1.cni.cncf.io/networks": "lan"}}}}}}))
    .expect("a patch");
    let template = json!({"template": {"metadata": {}, "spec": {"containers": [{"name": "c"}]}}});
    let (copy, _) = prepared(object("apps/v1", "Deployment", json!({"spec": template})), &CopyRules { patches: vec![patch], ..rules() });
    assert_eq!(of(&copy, "/spec/template/metadata/annotations"), ["vault.hashicorp.com/agent-inject"]);
    // Those of a custom resource are its controller's, which the Application trusts.
    let mut custom = object("example.com/v1", "Widget", json!({"spec": {}}));
    custom["metadata"]["annotations"] = json!({"example.com/mode": "x"});
    let (copy, _) = prepared(custom, &CopyRules { kinds: vec![self::kind("example.com", "Widget")], ..rules() });
    assert_eq!(of(&copy, "/metadata/annotations"), ["example.com/mode"]);
}

#[test]
fn fault_e13_a_service_of_a_copy_has_no_way_from_or_to_the_outside() {
    let spec = json!({
        "type": "LoadBalancer", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{"port": 80, "nodePort": 30080}], "externalIPs": ["192.0.2.1"], "selector": {"app": "x"},
        "loadBalancerClass": "c", "loadBalancerIP": "192.0.2.1", "loadBalancerSourceRanges": [], "allocateLoadBalancerNodePorts": true, "healthCheckNodePort": 1,
        "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP", "publishNotReadyAddresses": true, "aFieldOfALaterRelease": "open"
    });
    let (copy, _) = prepared(object("v1", "Service", json!({"spec": spec})), &rules());
    assert_eq!(
        copy["spec"],
        json!({"type": "ClusterIP", "ports": [{"port": 80}], "selector": {"app": "x"}, "sessionAffinity": "ClientIP", "publishNotReadyAddresses": true})
    );
    let alias = json!({"type": "ExternalName", "externalName": "db.example"});
    assert_eq!(prepared(object("v1", "Service", json!({"spec": alias})), &rules()).0["spec"], alias, "its name is answered by the copy's DNS, or not at all");
}

#[test]
fn fault_e13_a_claim_of_a_copy_takes_no_volume_that_was_prepared() {
    let spec = json!({"storageClassName": "", "volumeName": "pv-1", "selector": {"matchLabels": {"for": "failover"}}, "accessModes": ["ReadWriteOnce"]});
    let plain = json!({"accessModes": ["ReadWriteOnce"]});
    assert_eq!(prepared(object("v1", "PersistentVolumeClaim", json!({"spec": spec})), &rules()).0["spec"], plain);
    let set = object("apps/v1", "StatefulSet", json!({"spec": {"volumeClaimTemplates": [{"spec": spec}]}}));
    assert_eq!(prepared(set, &rules()).0["spec"]["volumeClaimTemplates"][0]["spec"], plain);
    let restored = prepared(object("v1", "PersistentVolumeClaim", json!({"spec": spec})), &CopyRules { isolated: false, ..rules() }).0;
    assert_eq!(restored["spec"]["selector"], spec["selector"], "a restore is no copy");
}

/// Any JSON, rich in what opens a pod.
fn anything() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("hostNetwork"),
        Just("hostPID"),
        Just("hostIPC"),
        Just("hostPath"),
        Just("hostPort"),
        Just("hostProcess"),
        Just("containers"),
        Just("initContainers"),
        Just("volumes"),
        Just("spec"),
        Just("template"),
        Just("name"),
        Just("ports"),
        Just("containerPort"),
        Just("securityContext"),
        Just("dnsPolicy"),
        Just("annotations"),
        Just("labels"),
        Just("metadata"),
        Just("jobTemplate"),
        Just("nfs"),
        Just("other"),
    ];
    let leaf = prop_oneof![Just(json!(true)), Just(json!(false)), Just(json!(80)), Just(json!("text")), Just(Value::Null), Just(json!({})), Just(open_pod())];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

/// The places at which something of a node is shared, and pods that ask another DNS.
fn openings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                let here = format!("{at}/{field}");
                if ["hostNetwork", "hostPID", "hostIPC", "hostPath", "hostPort", "hostProcess"].contains(&field.as_str()) {
                    found.push(here.clone());
                }
                // Texts, which no kubelet reads.
                if !["annotations", "labels", "matchLabels", "nodeSelector"].contains(&field.as_str()) {
                    openings(inner, &here, found);
                }
            }
            if fields.get("containers").and_then(|containers| containers.get(0)).is_some_and(Value::is_object)
                && (fields.get("dnsPolicy") != Some(&json!("None")) || value.pointer("/dnsConfig/nameservers") != Some(&json!(["10.96.7.7"])))
            {
                found.push(format!("{at}: another DNS"));
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| openings(item, &format!("{at}/{index}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn fault_e13_whatever_an_object_is_nothing_of_it_shares_a_nodes_namespaces(
        of in prop_oneof![
            proptest::sample::select(HARMLESS_KINDS.iter().map(|known| (known.group, known.kind)).collect::<Vec<_>>()),
            proptest::sample::select(vec![("example.com", "Widget"), ("argoproj.io", "Rollout"), ("unknown.example", "Thing")]),
        ],
        spec in anything(), template in anything(), data in anything(), patched in anything(),
    ) {
        let (group, named) = of;
        let api = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
        let object = object(&api, named, json!({"spec": spec, "template": template, "data": data}));
        // A patch can't open it, either.
        let patch: CopyPatch = serde_json::from_value(json!({"target": {"group": group, "kind": named}, "patch": {"spec": patched}})).expect("a patch");
        let rules = CopyRules { kinds: vec![kind("example.com", "Widget"), kind("argoproj.io", "Rollout")], patches: vec![patch], stopped: true, ..rules() };
        if let Prepared::Write(copy, _) = prepare(object, &rules) {
            let mut found = Vec::new();
            if !matches!((group, named), ("", "ConfigMap" | "Secret")) {
                openings(&copy, "", &mut found);
            }
            prop_assert!(found.is_empty(), "{named}: {found:?} in {copy}");
        } else {
            prop_assert_eq!(group, "unknown.example");
        }
    }
}
