//! The room platform against a real API server: the operator runs as its own program, out of the cluster; nodes and namespaces are made by hand.

use crate::support::{
    lone::lone,
    operator::{ACCOUNT, Operator, api, apply, condition, operator, until},
    text,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn policies(client: &Client, namespace: &str) -> Api<DynamicObject> {
    api(client, "networking.k8s.io", "NetworkPolicy", "networkpolicies", Some(namespace))
}

fn quotas(client: &Client, namespace: &str) -> Api<DynamicObject> {
    api(client, "", "ResourceQuota", "resourcequotas", Some(namespace))
}

fn platforms(client: &Client, district: &str) -> Api<DynamicObject> {
    api(client, "platform861.io", "Platform", "platforms", Some(district))
}

fn priority_classes(client: &Client) -> Api<DynamicObject> {
    api(client, "scheduling.k8s.io", "PriorityClass", "priorityclasses", None)
}

fn namespaces(client: &Client) -> Api<Namespace> {
    Api::all(client.clone())
}

async fn policy_names(client: &Client, namespace: &str) -> Result<Vec<String>, String> {
    let list = policies(client, namespace).list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    Ok(list.items.iter().map(kube::ResourceExt::name_any).collect())
}

async fn node(client: &Client, name: &str, ready: bool) {
    let nodes: Api<Node> = Api::all(client.clone());
    let document = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"platform861.io/pool": "general"}}});
    nodes.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(document)).await.expect("a node");
    let amounts = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
    let status = json!({"status": {"allocatable": amounts, "capacity": amounts, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "reason": "Test", "message": "", "lastHeartbeatTime": "2026-11-01T00:00:00Z", "lastTransitionTime": "2026-11-01T00:00:00Z"}]}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.expect("the node's status");
}

/// A district of one site, which is the hub, with two departments of one application each.
async fn district(client: &Client, name: &str) {
    apply(client, &text("charts/p861/files/profiles/861-2008.yaml")).await;
    let manifest = format!(
        "
apiVersion: platform861.io/v1alpha1
kind: Site
metadata: {{name: here}}
spec: {{failureDomain: here, access: {{inCluster: {{}}}}}}
---
apiVersion: platform861.io/v1alpha1
kind: District
metadata: {{name: {name}}}
spec:
  code: \"370202\"
  names: {{zh: 市南区}}
  profileRef: {{name: 861-2008}}
  sites: [{{siteRef: {{name: here}}, role: Primary}}]
  departments: [{{name: tax-office}}, {{name: approval-bureau}}]
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}-tax}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}-forms}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}-approval}}
---
apiVersion: platform861.io/v1alpha1
kind: Application
metadata: {{name: tax, namespace: {name}}}
spec: {{department: tax-office, profileItem: workflow, namespaces: [{name}-tax, {name}-forms]}}
---
apiVersion: platform861.io/v1alpha1
kind: Application
metadata: {{name: approval, namespace: {name}}}
spec: {{department: approval-bureau, profileItem: portal, namespaces: [{name}-approval]}}
"
    );
    apply(client, &manifest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_districts_with_one_code_the_younger_is_told_and_the_older_is_not_touched() {
    let server = lone("platform_objects");
    let operator = operator(&server);
    let client = server.client(None).await;
    let declare = async |name: &str| {
        let spec = json!({"code": "370299", "names": {"en": name}, "sites": [{"siteRef": {"name": "nowhere"}, "role": "Primary"}]});
        apply(&client, &json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": name}, "spec": spec}).to_string()).await;
    };
    let says = async |name: &str, reason: &str| {
        until(&operator, &format!("district {name} says {reason}"), async || {
            let seen = api(&client, "platform861.io", "District", "districts", None).get(name).await.map_err(|error| error.to_string())?;
            let ready = condition(&seen, "Ready").clone();
            if ready["reason"] == reason { Ok(ready["message"].as_str().unwrap_or_default().to_owned()) } else { Err(ready.to_string()) }
        })
        .await
    };
    declare("older").await;
    says("older", "SiteMissing").await;
    // Times of creation are whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    declare("younger").await;
    let said = says("younger", "CodeTaken").await;
    assert!(said.contains("370299") && said.contains("older"), "{said}");
    says("older", "SiteMissing").await;
    let districts = api(&client, "platform861.io", "District", "districts", None);
    districts.delete("older", &DeleteParams::default()).await.expect("deleted");
    says("younger", "SiteMissing").await;
    districts.delete("younger", &DeleteParams::default()).await.expect("deleted");
}

async fn platform(client: &Client, name: &str, spec: Value) {
    apply(
        client,
        &json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "metadata": {"name": name, "namespace": name}, "spec": spec}).to_string(),
    )
    .await;
}

fn everything() -> Value {
    json!({
        "network": {
            "allow": [{"name": "approval-to-tax", "from": {"department": "approval-bureau"}, "to": {"department": "tax-office", "namespace": "DISTRICT-tax"}, "ports": [{"port": 443}]}],
            "uplinks": [{"name": "line", "capacityBitsPerSecond": "100M"}],
        },
        "servers": {
            "pools": [{"name": "general", "sites": [{"siteRef": {"name": "here"}, "minReadyNodes": 2}]}],
            "quotas": [{"department": "tax-office", "hard": {"pods": "10", "requests.memory": "8Gi"}}],
            "priorityClasses": [{"name": "DISTRICT-critical", "value": 100_000}],
        },
        "storage": {"classes": [{"name": "block", "sites": [{"siteRef": {"name": "here"}, "storageClassName": "DISTRICT-block", "capacity": "3Ti"}]}]},
        "security": {"podSecurity": "Restricted", "forbidden": ["LatestTag", "NodePort"]},
    })
}

fn declared(district: &str) -> Value {
    serde_json::from_str(&everything().to_string().replace("DISTRICT", district)).expect("JSON")
}

async fn storage_class(client: &Client, name: &str) {
    apply(client, &format!("apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {name}}}\nprovisioner: example.com/none\n")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_kept_judged_and_set_right_and_nothing_else_is_touched() {
    let server = lone("platform_objects");
    let client = server.client(None).await;
    for name in ["node-a", "node-b"] {
        node(&client, name, true).await;
    }
    storage_class(&client, "shinan-block").await;
    district(&client, "shinan").await;
    somebodys_own(&client).await;
    platform(&client, "shinan", declared("shinan")).await;
    let operator = operator(&server);
    is_kept(&client, &operator).await;
    is_judged(&client, &operator).await;
    what_is_handed_over_is_ours(&client, &operator).await;
    drift_is_set_right(&client, &operator).await;
    gaps_are_said(&client, &operator).await;
    history_has_one_record(&client).await;
    what_is_not_declared_any_more_is_removed(&client, &operator).await;
    clean_up(&client, "shinan").await;
}

/// Somebody's own objects, one of them under a name that we would use.
async fn somebodys_own(client: &Client) {
    apply(
        client,
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: own, namespace: shinan-tax}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: p861-servers, namespace: shinan-forms}
spec: {hard: {pods: \"3\"}}
",
    )
    .await;
}

/// Isolation, the allowed flow, quotas, the priority class, the policies, the namespaces' labels.
async fn is_kept(client: &Client, operator: &Operator) {
    until(operator, "the policies of shinan-tax", async || {
        let names = policy_names(client, "shinan-tax").await?;
        if names == ["own", "p861-allow-approval-to-tax", "p861-default-deny", "p861-inside"] { Ok(()) } else { Err(names.join(", ")) }
    })
    .await;
    let quota =
        until(operator, "the quota of shinan-tax", async || quotas(client, "shinan-tax").get("p861-servers").await.map_err(|error| error.to_string())).await;
    assert_eq!(quota.data["spec"]["hard"], json!({"pods": "5", "requests.memory": "4Gi"}), "half of the department's, which has two namespaces");
    let tax = namespaces(client).get("shinan-tax").await.expect("the namespace");
    assert_eq!(tax.labels().get("platform861.io/department").map(String::as_str), Some("tax-office"));
    assert_eq!(tax.labels().get("pod-security.kubernetes.io/enforce").map(String::as_str), Some("baseline"));
    until(operator, "the priority class", async || priority_classes(client).get("shinan-critical").await.map_err(|error| error.to_string())).await;
}

/// Two nodes, one application's worth of each resource, what lacks is said.
async fn is_judged(client: &Client, operator: &Operator) {
    let seen = until(operator, "the Platform is judged", async || {
        let seen = platforms(client, "shinan").get("shinan").await.map_err(|error| error.to_string())?;
        let notes = seen.data["status"].to_string();
        if seen.data["status"]["balance"]["supportable"] == 6 && notes.contains("NotOurs") && seen.data["status"]["balance"]["running"] == 2 {
            Ok(seen)
        } else {
            Err(notes)
        }
    })
    .await;
    let layer =
        |name: &str| seen.data["status"]["layers"].as_array().and_then(|all| all.iter().find(|layer| layer["layer"] == name)).cloned().unwrap_or_default();
    // 100M/16M; 2 × 16 cores less a fifth, 4 each; 3Ti less a fifth, 300Gi each.
    assert_eq!((&layer("Network")["supportable"], &layer("Servers")["supportable"], &layer("Storage")["supportable"]), (&json!(6), &json!(6), &json!(8)));
    assert_eq!((&layer("Network")["state"], &layer("Storage")["state"], &layer("Security")["state"]), (&json!("Ready"), &json!("Ready"), &json!("Ready")));
    let gaps = layer("Servers")["gaps"].clone();
    assert_eq!((gaps[0]["reason"].as_str(), gaps[0]["site"].as_str()), (Some("NotOurs"), Some("here")), "{gaps}");
    assert!(gaps[0]["message"].as_str().is_some_and(|said| said.contains("ResourceQuota p861-servers in shinan-forms")), "{gaps}");
    assert_eq!(condition(&seen, "Ready")["reason"], "LayerWeak");
    let item = |key: &str| seen.data["status"]["items"].as_array().and_then(|all| all.iter().find(|item| item["key"] == key)).cloned().unwrap_or_default();
    assert_eq!(
        (&item("portal")["state"], &item("knowledge")["state"], &item("centre-3")["state"]),
        (&json!("Ready"), &json!("Missing"), &json!("NotAssessed"))
    );
}

/// Somebody's own quota is as it was, and is ours as soon as he hands it over.
async fn what_is_handed_over_is_ours(client: &Client, operator: &Operator) {
    let own = quotas(client, "shinan-forms").get("p861-servers").await.expect("his quota");
    assert_eq!(own.data["spec"]["hard"], json!({"pods": "3"}));
    let handed = json!({"metadata": {"labels": {"platform861.io/platform": "shinan"}}});
    quotas(client, "shinan-forms").patch("p861-servers", &PatchParams::default(), &Patch::Merge(handed)).await.expect("handed over");
    until(operator, "the quota that was handed over", async || {
        let quota = quotas(client, "shinan-forms").get("p861-servers").await.map_err(|error| error.to_string())?;
        if quota.data["spec"]["hard"] == json!({"pods": "5", "requests.memory": "4Gi"}) { Ok(()) } else { Err(quota.data["spec"].to_string()) }
    })
    .await;
}

/// Opened, deleted, unlabelled: all is set right within a minute.
async fn drift_is_set_right(client: &Client, operator: &Operator) {
    let since = Instant::now();
    let open = json!({"spec": {"ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]}});
    policies(client, "shinan-tax").patch("p861-default-deny", &PatchParams::default(), &Patch::Merge(open)).await.expect("opened");
    policies(client, "shinan-approval").delete("p861-inside", &DeleteParams::default()).await.expect("deleted");
    let gone = json!({"metadata": {"labels": {"platform861.io/department": null, "pod-security.kubernetes.io/enforce": "privileged"}}});
    namespaces(client).patch("shinan-approval", &PatchParams::default(), &Patch::Merge(gone)).await.expect("unlabelled");
    until(operator, "what had drifted is set right", async || {
        let deny = policies(client, "shinan-tax").get("p861-default-deny").await.map_err(|error| error.to_string())?;
        policies(client, "shinan-approval").get("p861-inside").await.map_err(|error| error.to_string())?;
        let namespace = namespaces(client).get("shinan-approval").await.map_err(|error| error.to_string())?;
        let closed =
            deny.data["spec"]["policyTypes"] == json!(["Ingress"]) && deny.data["spec"].get("ingress").is_none() && deny.data["spec"].get("egress").is_none();
        let labelled = namespace.labels().get("platform861.io/department").is_some_and(|department| department == "approval-bureau")
            && namespace.labels()["pod-security.kubernetes.io/enforce"] == "baseline";
        if closed && labelled { Ok(()) } else { Err(format!("{} {:?}", deny.data["spec"], namespace.labels())) }
    })
    .await;
    assert!(since.elapsed() < Duration::from_mins(1), "within a minute, not {:?}", since.elapsed());
    let own = policies(client, "shinan-tax").get("own").await.expect("somebody's own policy");
    assert_eq!(own.data["spec"]["policyTypes"], json!(["Egress"]));
}

/// A node that goes, a class that goes: said with site and remedy, and less is supportable.
async fn gaps_are_said(client: &Client, operator: &Operator) {
    node(client, "node-b", false).await;
    api(client, "storage.k8s.io", "StorageClass", "storageclasses", None).delete("shinan-block", &DeleteParams::default()).await.expect("deleted");
    until(operator, "the gaps are said", async || {
        let seen = platforms(client, "shinan").get("shinan").await.map_err(|error| error.to_string())?;
        let said = seen.data["status"]["layers"].to_string();
        let all = ["pool general: 1 node ready, 2 wanted", "StorageClass shinan-block, which doesn't exist"].iter().all(|words| said.contains(words));
        if all && seen.data["status"]["balance"]["supportable"] == 3 && condition(&seen, "Ready")["reason"] == "LayerMissing" {
            Ok(())
        } else {
            Err(seen.data["status"].to_string())
        }
    })
    .await;
}

/// One record of today, in an object that goes with the Platform.
async fn history_has_one_record(client: &Client) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "shinan");
    let history = maps.get("shinan-platform-history").await.expect("the history");
    let samples: Value = serde_json::from_str(&history.data.clone().unwrap_or_default()["samples.json"]).expect("JSON");
    assert_eq!(samples.as_array().map(Vec::len), Some(1), "{samples}");
    assert_eq!(history.owner_references()[0].kind, "Platform");
}

/// What is not declared any more goes; somebody's own stays.
async fn what_is_not_declared_any_more_is_removed(client: &Client, operator: &Operator) {
    platform(client, "shinan", json!({"network": {"isolation": "None"}, "servers": {}, "storage": {}, "security": {}})).await;
    until(operator, "what is not declared any more is gone", async || {
        let names = policy_names(client, "shinan-tax").await?;
        let quota = quotas(client, "shinan-forms").get_opt("p861-servers").await.map_err(|error| error.to_string())?;
        let class = priority_classes(client).get_opt("shinan-critical").await.map_err(|error| error.to_string())?;
        if names == ["own"] && quota.is_none() && class.is_none() {
            Ok(())
        } else {
            Err(format!("{names:?}, quota {}, class {}", quota.is_some(), class.is_some()))
        }
    })
    .await;
}

async fn clean_up(client: &Client, district: &str) {
    let nothing = DeleteParams::default();
    platforms(client, district).delete(district, &nothing).await.expect("deleted");
    for application in ["tax", "approval"] {
        api(client, "platform861.io", "Application", "applications", Some(district)).delete(application, &nothing).await.expect("deleted");
    }
    api(client, "platform861.io", "District", "districts", None).delete(district, &nothing).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_is_refused_at_admission_and_an_ending_certificate_is_told() {
    let server = lone("platform_objects");
    let client = server.client(None).await;
    node(&client, "node-a", true).await;
    district(&client, "jimo").await;
    let pair = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(vec!["tax.example".to_owned()]).expect("parameters");
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
    let certificate = parameters.self_signed(&pair).expect("a certificate");
    let secret =
        json!({"metadata": {"name": "tax-tls"}, "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate.pem(), "tls.key": pair.serialize_pem()}});
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "jimo-tax");
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).expect("a Secret")).await.expect("created");
    // Nobody else is here to make it, and without it the API server takes no pod.
    apply(&client, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: jimo-tax}}").await;
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "tax", "namespace": "jimo-tax"}, "spec": {"tls": [{"hosts": ["tax.example"], "secretName": "tax-tls"}], "defaultBackend": {"service": {"name": "tax", "port": {"number": 80}}}}});
    let ingresses = api(&client, "networking.k8s.io", "Ingress", "ingresses", Some("jimo-tax"));
    ingresses.create(&PostParams::default(), &serde_json::from_value(ingress).expect("an Ingress")).await.expect("created");
    platform(&client, "jimo", declared("jimo")).await;
    let operator = operator(&server);
    until(&operator, "the ended certificate is told", async || {
        let seen = platforms(&client, "jimo").get("jimo").await.map_err(|error| error.to_string())?;
        let said = seen.data["status"]["layers"].to_string();
        if said.contains("certificate of Secret jimo-tax/tax-tls has expired on 2020-01-01") && !said.contains("API server can't be read") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;

    // Refused: by tag, by type of service, by what Restricted asks; let through: what is in order, and movers.
    let pods = api(&client, "", "Pod", "pods", Some("jimo-tax"));
    let services = api(&client, "", "Service", "services", Some("jimo-tax"));
    let good =
        json!({"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    let pod = |name: &str, image: &str, context: &Value| -> DynamicObject {
        let document = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "jimo-tax"}, "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "image": image, "securityContext": context}]}});
        serde_json::from_value(document).expect("a pod")
    };
    let dry = PostParams { dry_run: true, field_manager: None };
    let outcome = async |pod: DynamicObject| match pods.create(&dry, &pod).await {
        Ok(_) => String::new(),
        Err(kube::Error::Api(status)) => status.message,
        Err(error) => panic!("not judged: {error}"),
    };
    // A policy takes a moment until the API server has it.
    until(&operator, "latest is refused", async || {
        let said = outcome(pod("x", "registry.example:5000/tax:latest", &good)).await;
        if said.contains("images need a tag other than latest") { Ok(()) } else { Err(said) }
    })
    .await;
    assert!(outcome(pod("x", "registry.example:5000/tax", &good)).await.contains("images need a tag"), "no tag at all");
    assert!(outcome(pod("x", "registry.example:5000/tax:1.0", &json!({}))).await.contains("podSecurity is Restricted"));
    let kept = json!({"runAsNonRoot": true, "allowPrivilegeEscalation": false, "seccompProfile": {"type": "RuntimeDefault"}});
    assert!(outcome(pod("x", "registry.example/tax:1.0", &kept)).await.contains("capabilities.drop: [ALL]"));
    assert_eq!(outcome(pod("x", "registry.example:5000/tax:1.0", &good)).await, "", "what is in order");
    let root = json!({"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}});
    assert!(outcome(pod("x", "registry.example/p861-operator:0.1.0", &root)).await.contains("podSecurity is Restricted"), "its image makes no mover");
    let mover = json!({"platform861.io/role": "mover"});
    let template = json!({"metadata": {"labels": mover}, "spec": {"restartPolicy": "Never", "containers": [{"name": "mover", "image": "registry.example/p861-operator:0.1.0", "securityContext": root}]}});
    let job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "m", "namespace": "jimo-tax", "labels": mover}, "spec": {"template": template}});
    let job: DynamicObject = serde_json::from_value(job).expect("a Job");
    let itself = server.client(Some((ACCOUNT, &["system:serviceaccounts", "system:authenticated"]))).await;
    api(&itself, "batch", "Job", "jobs", Some("jimo-tax")).create(&dry, &job).await.expect("a mover, by the operator");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "tax", "namespace": "jimo-tax"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let refused = services.create(&dry, &serde_json::from_value(service).expect("a Service")).await.map(drop).expect_err("refused").to_string();
    assert!(refused.contains("Services of type NodePort are forbidden here"), "{refused}");
    // Another district's namespaces are none of this one's business.
    apply(&client, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}").await;
    let elsewhere = api(&client, "", "Pod", "pods", Some("default"));
    let mut foreign = pod("x", "registry.example/tax:latest", &json!({}));
    foreign.metadata.namespace = Some("default".into());
    elsewhere.create(&dry, &foreign).await.expect("no policy holds there");
    clean_up(&client, "jimo").await;
}
