//! The charts without a cluster: every switch of values.yaml, what is refused, and how the operator's pods are locked down.

use crate::support::{helm, named, render, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const HUB: &[&str] = &[
    "ClusterRole/p861-cluster-reader",
    "ClusterRole/p861-hub",
    "ClusterRole/p861-role-approver",
    "ClusterRole/p861-role-auditor",
    "ClusterRole/p861-role-commander",
    "ClusterRole/p861-role-engineer",
    "ClusterRole/p861-role-viewer",
    "ClusterRoleBinding/p861-hub",
    "Deployment/p861-operator",
    "NetworkPolicy/p861-operator",
    "PodDisruptionBudget/p861-operator",
    "Role/p861-operator",
    "RoleBinding/p861-operator",
    "Service/p861-operator",
    "ServiceAccount/p861-operator",
    "ValidatingAdmissionPolicy/p861-approvals-of-drills",
    "ValidatingAdmissionPolicy/p861-approvals-of-maintenancetickets",
    "ValidatingAdmissionPolicy/p861-approver",
    "ValidatingAdmissionPolicy/p861-identity",
    "ValidatingAdmissionPolicy/p861-publisher",
    "ValidatingAdmissionPolicy/p861-records",
    "ValidatingAdmissionPolicyBinding/p861-approvals-of-drills",
    "ValidatingAdmissionPolicyBinding/p861-approvals-of-maintenancetickets",
    "ValidatingAdmissionPolicyBinding/p861-approver",
    "ValidatingAdmissionPolicyBinding/p861-identity",
    "ValidatingAdmissionPolicyBinding/p861-publisher",
    "ValidatingAdmissionPolicyBinding/p861-records",
];
const SITE: &[&str] = &[
    "ClusterRole/p861-copy-dns",
    "ClusterRole/p861-mover-backup",
    "ClusterRole/p861-mover-restore",
    "ClusterRole/p861-site",
    "ClusterRole/p861-site-cleaner",
    "ClusterRole/p861-site-copy-maker",
    "ClusterRole/p861-site-installer",
    "ClusterRole/p861-site-role-approver",
    "ClusterRole/p861-site-role-auditor",
    "ClusterRole/p861-site-role-commander",
    "ClusterRole/p861-site-role-engineer",
    "ClusterRole/p861-site-role-viewer",
    "ClusterRoleBinding/p861-site",
    "ServiceAccount/p861-site",
    "ValidatingAdmissionPolicy/p861-copies",
    "ValidatingAdmissionPolicy/p861-kept",
    "ValidatingAdmissionPolicy/p861-mover-accounts",
    "ValidatingAdmissionPolicy/p861-mover-names",
    "ValidatingAdmissionPolicy/p861-mover-pods",
    "ValidatingAdmissionPolicy/p861-mover-requests",
    "ValidatingAdmissionPolicy/p861-movers",
    "ValidatingAdmissionPolicy/p861-namespaces",
    "ValidatingAdmissionPolicy/p861-services",
    "ValidatingAdmissionPolicyBinding/p861-copies",
    "ValidatingAdmissionPolicyBinding/p861-kept",
    "ValidatingAdmissionPolicyBinding/p861-mover-accounts",
    "ValidatingAdmissionPolicyBinding/p861-mover-names",
    "ValidatingAdmissionPolicyBinding/p861-mover-pods",
    "ValidatingAdmissionPolicyBinding/p861-mover-requests",
    "ValidatingAdmissionPolicyBinding/p861-movers",
    "ValidatingAdmissionPolicyBinding/p861-namespaces",
    "ValidatingAdmissionPolicyBinding/p861-services",
];
const PROBER: &[&str] = &["Deployment/p861-prober", "NetworkPolicy/p861-prober"];
const PROFILES: &[&str] = &["PlatformProfile/686-2016", "PlatformProfile/851-2011", "PlatformProfile/861-2008"];
const DASHBOARD: &[&str] = &["ConfigMap/p861-dashboard"];
const MUTATING: &[&str] = &[
    "MutatingAdmissionPolicy/p861-approver",
    "MutatingAdmissionPolicy/p861-identity",
    "MutatingAdmissionPolicy/p861-publisher",
    "MutatingAdmissionPolicyBinding/p861-approver",
    "MutatingAdmissionPolicyBinding/p861-identity",
    "MutatingAdmissionPolicyBinding/p861-publisher",
];

/// Cluster-scoped objects of a district.
const CLUSTER_RESOURCES: &[&str] = &[
    "site.clusterResources.shinan.objects[0].group=apiextensions.k8s.io",
    "site.clusterResources.shinan.objects[0].resource=customresourcedefinitions",
    "site.clusterResources.shinan.objects[0].names={gadgets.demo.example}",
    "site.clusterResources.shinan.rights[0].apiGroups={demo.example}",
    "site.clusterResources.shinan.rights[0].resources={gadgets}",
    "site.clusterResources.shinan.rights[0].verbs={get}",
];
const CLUSTER_RIGHTS: &[&str] = &[
    "ClusterRole/p861-cluster-backup-shinan",
    "ClusterRole/p861-cluster-restore-shinan",
    "ClusterRoleBinding/p861-cluster-backup-shinan",
    "ClusterRoleBinding/p861-cluster-restore-shinan",
];

/// What the groups have that may see what is no district's.
const READERS: &[&str] = &[
    "ClusterRoleBinding/p861-cluster-reader",
    "Role/p861-lease-reader",
    "RoleBinding/p861-lease-reader",
    "Role/p861-template-reader",
    "RoleBinding/p861-template-reader",
];

/// Values, and what they render.
const SWITCHES: &[(&[&str], &[&[&str]])] = &[
    (&[], &[HUB, PROFILES, SITE, DASHBOARD]),
    (&["site.enabled=false"], &[HUB, PROFILES, DASHBOARD]),
    (&["profiles.enabled=false"], &[HUB, SITE, DASHBOARD]),
    (&["site.readCertificates=false"], &[HUB, PROFILES, SITE, DASHBOARD]),
    (&["hub.enabled=false"], &[SITE, PROBER]),
    (&["hub.enabled=false", "site.prober=false"], &[SITE]),
    (&["hub.enabled=false", "site.tokenSecret=true"], &[SITE, PROBER, &["Secret/p861-site-token"]]),
    (CLUSTER_RESOURCES, &[HUB, PROFILES, SITE, DASHBOARD, CLUSTER_RIGHTS]),
    // What belongs to the hub is not made on a site, whatever else is switched on.
    (&["hub.enabled=false", "prometheusRule.enabled=true", "admission.mutating=v1", "hub.clusterReaders={a}", "profiles.enabled=true"], &[SITE, PROBER]),
    (&["hub.enabled=false", "site.enabled=false", "site.tokenSecret=true"], &[]),
    (&["dashboard.enabled=false"], &[HUB, PROFILES, SITE]),
    (&["prometheusRule.enabled=true", "prometheusRule.labels.release=monitoring"], &[HUB, PROFILES, SITE, DASHBOARD, &["PrometheusRule/p861"]]),
    (&["admission.mutating=v1"], &[HUB, PROFILES, SITE, DASHBOARD, MUTATING]),
    (&["admission.mutating=v1beta1"], &[HUB, PROFILES, SITE, DASHBOARD, MUTATING]),
    (&["admission.mutating=none"], &[HUB, PROFILES, SITE, DASHBOARD]),
    (&["hub.clusterReaders={shinan-viewers,jimo-viewers}"], &[HUB, PROFILES, SITE, DASHBOARD, READERS]),
    (
        &[
            "operator.replicas=1",
            "operator.log=text",
            "operator.publicURL=https://p861.qingdao.example",
            "operator.priorityClassName=high",
            "operator.nodeSelector.disk=ssd",
            "operator.imagePullSecrets[0].name=registry",
            "operator.tolerations[0].operator=Exists",
            "operator.podLabels.team=dr",
            "operator.podAnnotations.note=x",
        ],
        &[HUB, PROFILES, SITE, DASHBOARD],
    ),
];

fn names(documents: &[Value]) -> BTreeSet<String> {
    documents.iter().map(|document| format!("{}/{}", document["kind"].as_str().unwrap_or("?"), document["metadata"]["name"].as_str().unwrap_or("?"))).collect()
}

#[test]
fn every_switch_lints_and_renders_what_it_should_and_nothing_else() {
    helm(&["lint", "--strict", "p861-crds"]).expect("p861-crds lints");
    for (values, expected) in SWITCHES {
        let mut arguments = vec!["lint", "--strict", "p861"];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        helm(&arguments).unwrap_or_else(|error| panic!("{values:?} does not lint: {error}"));
        let documents = render(values);
        let rendered = names(&documents);
        assert_eq!(rendered, expected.iter().copied().flatten().map(ToString::to_string).collect(), "{values:?}");
        assert_eq!(rendered.len(), documents.len(), "{values:?}: nothing is rendered twice");
        for document in &documents {
            assert_eq!(document["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm", "{values:?}: {}", document["metadata"]);
        }
    }
}

#[test]
fn every_value_of_values_yaml_is_switched_by_a_test_or_is_plainly_used() {
    // A value that the templates don't read is a promise that is not kept.
    let templates: String = std::fs::read_dir(crate::support::root().join("charts/p861/templates"))
        .expect("templates")
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("a template"))
        .collect();
    let values: Value = serde_saphyr::from_str(&text("charts/p861/values.yaml")).expect("YAML");
    let schema: Value = serde_json::from_str(&text("charts/p861/values.schema.json")).expect("JSON");
    for (section, keys) in values.as_object().expect("sections") {
        for key in keys.as_object().expect("values").keys() {
            assert!(templates.contains(&format!(".Values.{section}.{key}")), "no template reads {section}.{key}");
            assert!(!schema["properties"][section]["properties"][key].is_null(), "values.schema.json does not know {section}.{key}");
        }
        for known in schema["properties"][section]["properties"].as_object().expect("properties").keys() {
            assert!(!keys[known].is_null(), "values.yaml does not have {section}.{known}, which the schema knows");
        }
    }
}

#[test]
fn a_value_that_can_t_be_right_is_refused_and_the_words_say_where_and_what() {
    let wrong = [
        ("operator.replicas=9", "at '/operator/replicas': maximum: got 9, want 5"),
        ("operator.replicas=two", "at '/operator/replicas': got string, want integer"),
        ("operator.replica=2", "additional properties 'replica' not allowed"),
        ("hub.enable=true", "additional properties 'enable' not allowed"),
        ("hub.enabled=ja", "at '/hub/enabled': got string, want boolean"),
        ("hub.clusterReaders=all", "at '/hub/clusterReaders': got string, want array"),
        ("site.token=true", "additional properties 'token' not allowed"),
        ("site.prober=ja", "at '/site/prober': got string, want boolean"),
        ("site.clusterResources.shinan.objects[0].resource=secrets", "at '/site/clusterResources/shinan/objects/0/resource': value must be one of"),
        ("site.clusterResources.shinan.objects[0].resource=clusterroles", "at '/site/clusterResources/shinan/objects/0': missing property 'names'"),
        ("site.clusterResources.shinan.rights[0].verbs={escalate}", "at '/site/clusterResources/shinan/rights/0/verbs/0': 'not' failed"),
        ("site.readCertificates=ja", "at '/site/readCertificates': got string, want boolean"),
        ("profiles.enabled=2", "at '/profiles/enabled': got number, want boolean"),
        ("profiles.names={861-2008}", "additional properties 'names' not allowed"),
        ("operator.publicURL=p861.qingdao.example", "at '/operator/publicURL': 'p861.qingdao.example' does not match pattern"),
        ("operator.egress.deny={10.0.0.0/8}", "at '/operator/egress': additional properties 'deny' not allowed"),
        ("operator.egress.allow={http://minio}", "at '/operator/egress/allow/0': 'http://minio' does not match pattern"),
        ("operator.egress.clusterNetworks={minio}", "at '/operator/egress/clusterNetworks/0': 'minio' does not match pattern"),
        ("operator.folders.path=srv/backups", "at '/operator/folders/path': 'srv/backups' does not match pattern"),
        ("operator.folders.path=/srv/backups", "at '/operator/folders/volume': minProperties: got 0, want 1"),
        ("networkPolicy.enabled=ja", "at '/networkPolicy/enabled': got string, want boolean"),
        ("networkPolicy.egress=x", "additional properties 'egress' not allowed"),
        ("networkPolicy.operator.ingressFrom={monitoring}", "at '/networkPolicy/operator/ingressFrom/0': got string, want object"),
        ("networkPolicy.prober.ingress={x}", "at '/networkPolicy/prober': additional properties 'ingress' not allowed"),
        ("operator.log=xml", "at '/operator/log': value must be one of 'text', 'json'"),
        ("operator.image.pullPolicy=Sometimes", "at '/operator/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("operator.image.repository=", "at '/operator/image/repository': minLength: got 0, want 1"),
        ("operator.imagePullSecrets[0].secret=registry", "at '/operator/imagePullSecrets/0': missing property 'name'"),
        ("operator.podLabels.floor=3", "at '/operator/podLabels/floor': got number, want string"),
        ("operator.podAnnotations.floor=3", "at '/operator/podAnnotations/floor': got number, want string"),
        ("operator.nodeSelector.ssd=true", "at '/operator/nodeSelector/ssd': got boolean, want string"),
        ("operator.tolerations[0]=Exists", "at '/operator/tolerations/0': got string, want object"),
        ("operator.resources.limit=1", "additional properties 'limit' not allowed"),
        ("admission.mutating=v2", "at '/admission/mutating': value must be one of 'auto', 'v1', 'v1beta1', 'none'"),
        ("prometheusRule.labels.release=1", "at '/prometheusRule/labels/release': got number, want string"),
        ("dashboard.labels.grafana_dashboard=1", "at '/dashboard/labels/grafana_dashboard': got number, want string"),
        ("monitoring.enabled=true", "additional properties 'monitoring' not allowed"),
    ];
    let mut unclear = Vec::new();
    for (value, words) in wrong {
        match helm(&["template", "p861", "p861", "--set", value]) {
            Ok(_) => unclear.push(format!("{value} is taken")),
            Err(said) if said.contains(words) => {}
            Err(said) => unclear.push(format!("{value} is refused without {words:?}: {said}")),
        }
    }
    assert!(unclear.is_empty(), "{}", unclear.join("\n"));
}

#[test]
fn a_cluster_that_is_too_old_for_the_kinds_rules_is_refused() {
    for chart in ["p861", "p861-crds"] {
        let said = helm(&["template", chart, chart, "--kube-version", "1.32.9"]).expect_err("1.32 is too old");
        assert!(said.contains(">=1.33.0-0") && said.contains("1.32.9"), "{said}");
        helm(&["template", chart, chart, "--kube-version", "1.33.0"]).unwrap_or_else(|error| panic!("{chart} on 1.33: {error}"));
    }
}

#[test]
fn who_asked_is_filled_in_by_the_version_that_the_cluster_serves() {
    let version = |offered: &[&str]| {
        let mut arguments = vec!["template", "p861", "p861"];
        arguments.extend(offered.iter().flat_map(|api| ["--api-versions", api]));
        let documents = crate::support::documents(&helm(&arguments).expect("helm template"));
        documents
            .iter()
            .find(|document| document["kind"] == "MutatingAdmissionPolicy")
            .map(|policy| policy["apiVersion"].as_str().expect("a version").to_owned())
    };
    let (v1, v1beta1) = ("admissionregistration.k8s.io/v1/MutatingAdmissionPolicy", "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy");
    assert_eq!(version(&[]), None, "an older cluster has none, and the client writes the name");
    assert_eq!(version(&[v1beta1]).as_deref(), Some("admissionregistration.k8s.io/v1beta1"));
    assert_eq!(version(&[v1beta1, v1]).as_deref(), Some("admissionregistration.k8s.io/v1"));
}

#[test]
fn the_operator_runs_as_nobody_on_a_root_it_can_t_write_twice_and_apart() {
    let documents = render(&[]);
    let deployment = named(&documents, "Deployment", "p861-operator");
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
    let pod = &deployment["spec"]["template"]["spec"];
    let security = &pod["securityContext"];
    assert_eq!((&security["runAsNonRoot"], &security["seccompProfile"]["type"]), (&json!(true), &json!("RuntimeDefault")));
    assert!(security["runAsUser"].as_i64().is_some_and(|user| user > 0), "{security}");
    assert!(pod["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds >= 30), "a step in hand is recorded before the end");
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[shared].is_null(), "{shared}");
    }
    for container in pod["containers"].as_array().expect("containers") {
        let own = &container["securityContext"];
        assert_eq!(own, &json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}));
        assert_eq!((&container["livenessProbe"]["httpGet"]["path"], &container["readinessProbe"]["httpGet"]["path"]), (&json!("/healthz"), &json!("/readyz")));
        let patience = ["periodSeconds", "failureThreshold"].map(|key| container["livenessProbe"][key].as_i64().unwrap_or_default());
        assert!(patience[0] * patience[1] >= 60, "a replica that was frozen for as long as its lease lasts is not killed: {}", container["livenessProbe"]);
        assert!(!container["resources"]["limits"]["memory"].is_null() && !container["resources"]["requests"]["cpu"].is_null(), "{}", container["resources"]);
    }
    for volume in pod["volumes"].as_array().expect("volumes") {
        assert!(volume["hostPath"].is_null() && !volume["emptyDir"]["sizeLimit"].is_null(), "{volume}");
    }
    let labels = &deployment["spec"]["selector"]["matchLabels"];
    let apart = &pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
    assert_eq!((&apart["topologyKey"], &apart["labelSelector"]["matchLabels"]), (&json!("kubernetes.io/hostname"), labels));
    let budget = &named(&documents, "PodDisruptionBudget", "p861-operator")["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["selector"]["matchLabels"]), (&json!(1), labels));
    assert_eq!(&named(&documents, "Service", "p861-operator")["spec"]["selector"], labels);
    for (key, value) in labels.as_object().expect("labels") {
        assert_eq!(&deployment["spec"]["template"]["metadata"]["labels"][key], value);
    }
}

#[test]
fn the_operator_reads_a_secret_of_a_site_only_where_the_switch_for_certificates_lets_it() {
    let reads = |values: &[&str]| {
        let documents = render(values);
        let rules = named(&documents, "ClusterRole", "p861-site")["rules"].as_array().expect("rules").clone();
        let of_secrets = rules.into_iter().filter(|rule| crate::support::words(&rule["resources"]).contains(&"secrets"));
        of_secrets.flat_map(|rule| crate::support::words(&rule["verbs"]).iter().map(ToString::to_string).collect::<Vec<_>>()).any(|verb| verb == "get")
    };
    assert!(reads(&[]));
    assert!(!reads(&["site.readCertificates=false"]));
}

#[test]
fn the_links_of_messages_lead_to_the_address_that_values_name() {
    let address = |values: &[&str]| {
        let documents = render(values);
        let container = &named(&documents, "Deployment", "p861-operator")["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array().expect("variables").iter();
        variables.filter(|variable| variable["name"] == "P861_PUBLIC_URL").map(|variable| variable["value"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(address(&[]), [json!("")], "without an address there are no links");
    assert_eq!(address(&["operator.publicURL=https://p861.qingdao.example"]), [json!("https://p861.qingdao.example")]);
}

#[test]
fn fault_e21_network_policies_open_the_operators_port_to_whom_values_name_and_the_prober_to_nobody() {
    let policy = |values: &[&str], name: &str| named(&render(values), "NetworkPolicy", name)["spec"].clone();
    let operator = policy(&[], "p861-operator");
    assert_eq!((&operator["policyTypes"], &operator["ingress"]), (&json!(["Ingress", "Egress"]), &json!([{"ports": [{"protocol": "TCP", "port": 8080}]}])));
    let documents = render(&[]);
    assert_eq!(operator["podSelector"], named(&documents, "Deployment", "p861-operator")["spec"]["selector"]);
    let peer = "networkPolicy.operator.ingressFrom[0].namespaceSelector.matchLabels.team=monitoring";
    assert_eq!(policy(&[peer], "p861-operator")["ingress"][0]["from"], json!([{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]));

    let prober = policy(&["hub.enabled=false"], "p861-prober");
    assert_eq!((&prober["policyTypes"], &prober["ingress"]), (&json!(["Ingress", "Egress"]), &Value::Null), "nobody reaches it");
    let documents = render(&["hub.enabled=false"]);
    assert_eq!(prober["podSelector"], named(&documents, "Deployment", "p861-prober")["spec"]["selector"]);

    let ports = |rule: &Value| rule["ports"].as_array().into_iter().flatten().filter_map(|port| port["port"].as_u64()).collect::<BTreeSet<_>>();
    for spec in [&operator, &prober] {
        let rules = spec["egress"].as_array().expect("egress");
        assert_eq!((ports(&rules[0]), ports(&rules[1])), (BTreeSet::from([53, 5353]), BTreeSet::from([443, 6443])), "DNS and API servers");
        for peer in rules[2..].iter().flat_map(|rule| rule["to"].as_array().expect("peers")) {
            let left_out = peer["ipBlock"]["except"].as_array().expect("a block without link-local addresses");
            assert!(left_out.contains(&json!("169.254.0.0/16")) || left_out.contains(&json!("fe80::/10")), "{peer}");
        }
    }
    let narrowed = policy(&["networkPolicy.operator.egress=null"], "p861-operator");
    assert_eq!(narrowed["egress"].as_array().map(Vec::len), Some(2), "what remains is DNS and API servers");
    for values in [&["networkPolicy.enabled=false"][..], &["networkPolicy.enabled=false", "hub.enabled=false"]] {
        assert!(crate::support::of_kind(&render(values), "NetworkPolicy").is_empty());
    }
}

#[test]
fn fault_e18_the_operator_is_told_where_addresses_may_lead_and_where_folders_may_be() {
    let container = |values: &[&str], name: &str| named(&render(values), "Deployment", name)["spec"]["template"]["spec"].clone();
    let variable = |pod: &Value, name: &str| {
        let mut variables = pod["containers"][0]["env"].as_array().expect("variables").iter();
        variables.find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
    };
    let plain = container(&[], "p861-operator");
    for name in ["P861_EGRESS_ALLOW", "P861_EGRESS_OWN", "P861_FOLDERS"] {
        assert_eq!(variable(&plain, name), Some(json!("")), "nothing is open by default: {name}");
    }
    let values = [
        "operator.egress.allow={10.96.7.0/24,*.storage.svc}",
        "operator.egress.clusterNetworks={192.168.0.0/16}",
        "operator.folders.path=/srv/backups",
        "operator.folders.volume.persistentVolumeClaim.claimName=backups",
    ];
    let opened = container(&values, "p861-operator");
    assert_eq!(variable(&opened, "P861_EGRESS_ALLOW"), Some(json!("10.96.7.0/24,*.storage.svc")));
    assert_eq!(variable(&opened, "P861_EGRESS_OWN"), Some(json!("192.168.0.0/16")));
    assert_eq!(variable(&opened, "P861_FOLDERS"), Some(json!("/srv/backups")));
    let mounted = json!({"name": "folders", "mountPath": "/srv/backups"});
    assert!(opened["containers"][0]["volumeMounts"].as_array().expect("mounts").contains(&mounted));
    let volume = json!({"name": "folders", "persistentVolumeClaim": {"claimName": "backups"}});
    assert!(opened["volumes"].as_array().expect("volumes").contains(&volume));
    let prober = container(&["hub.enabled=false", "operator.egress.allow={x.example}"], "p861-prober");
    assert_eq!(variable(&prober, "P861_EGRESS_ALLOW"), Some(json!("x.example")));
}

#[test]
fn the_shipped_profiles_stay_when_the_chart_goes() {
    for profile in crate::support::of_kind(&render(&[]), "PlatformProfile") {
        assert_eq!(profile["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", "{}", profile["metadata"]);
    }
}

#[test]
fn the_image_and_the_movers_image_are_one() {
    let documents = render(&["operator.image.repository=registry.example/p861-operator", "operator.image.tag=v7", "operator.image.pullPolicy=Always"]);
    let container = &named(&documents, "Deployment", "p861-operator")["spec"]["template"]["spec"]["containers"][0];
    let variable =
        |name: &str| container["env"].as_array().expect("variables").iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].clone());
    assert_eq!(container["image"], "registry.example/p861-operator:v7");
    assert_eq!(variable("P861_IMAGE"), Some(json!("registry.example/p861-operator:v7")));
    assert_eq!((&container["imagePullPolicy"], variable("P861_IMAGE_PULL_POLICY")), (&json!("Always"), Some(json!("Always"))));
    let plain = &render(&[]);
    let version = serde_saphyr::from_str::<Value>(&text("charts/p861/Chart.yaml")).expect("YAML")["appVersion"].as_str().expect("a version").to_owned();
    assert_eq!(
        named(plain, "Deployment", "p861-operator")["spec"]["template"]["spec"]["containers"][0]["image"],
        format!("platform861.io/p861-operator:{version}")
    );
}

#[test]
fn both_charts_and_the_programs_are_of_one_version() {
    for chart in ["p861", "p861-crds"] {
        let chart_file: Value = serde_saphyr::from_str(&text(&format!("charts/{chart}/Chart.yaml"))).expect("YAML");
        assert_eq!((&chart_file["version"], &chart_file["appVersion"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(env!("CARGO_PKG_VERSION"))), "{chart}");
    }
}
