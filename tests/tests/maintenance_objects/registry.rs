//! A component whose manifests are in a registry: what can't be had from there is said in the ticket, and what was agreed to is what is installed.

use super::stage::{DISTRICT, api, condition, namespace, object};
use crate::support::{
    lone::Lone,
    operator::{Operator, apply},
    registry::Registry,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the operator may take to notice something.
const NOTICED: Duration = Duration::from_mins(2);
const SPACE: &str = "shinan-tools";
const PLACES: &str = r#"
{apiVersion: platform861.io/v1alpha1, kind: Site, metadata: {name: here}, spec: {failureDomain: here, access: {inCluster: {}}}}
---
{apiVersion: platform861.io/v1alpha1, kind: District, metadata: {name: shinan}, spec: {code: "370202", names: {en: Shinan}, sites: [{siteRef: {name: here}, role: Primary}]}}
"#;

/// A small component.
fn manifests(said: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notice, namespace: {SPACE}}}\ndata: {{said: {said}}}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: notice, namespace: {SPACE}}}\n\
         spec: {{selector: {{matchLabels: {{app: notice}}}}, template: {{metadata: {{labels: {{app: notice}}}}, spec: {{containers: [{{name: notice, image: \"notice:1\"}}]}}}}}}\n"
    )
}

/// The stage of this test.
struct Scene {
    client: Client,
    operator: Operator,
    registry: Registry,
}

impl Scene {
    /// The Platform declares the component's version, from an image.
    async fn declare(&self, version: &str, digest: &str) {
        let image = format!("{}/bundles/notice", self.registry.address);
        let oci = json!({"image": image, "digest": digest, "pullSecretRef": {"name": "registry"}, "caSecretRef": {"name": "registry-ca"}});
        let spec = json!({"baseSoftware": {"components": [{"name": "notice", "version": version, "bundle": {"oci": oci}}]}});
        let platform =
            json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "metadata": {"name": DISTRICT, "namespace": DISTRICT}, "spec": spec});
        apply(&self.client, &platform.to_string()).await;
    }

    async fn secret(&self, mut secret: Value) {
        secret["metadata"]["namespace"] = json!(DISTRICT);
        apply(&self.client, &secret.to_string()).await;
    }

    async fn open(&self, name: &str, version: &str) {
        let work = json!({"upgradeComponent": {"component": "notice", "version": version, "healthyWithin": "1m", "watchFor": "1s"}});
        let spec = json!({"type": "Change", "title": {"en": "Install the notice board"}, "impact": "Low", "urgency": "Low", "requestedBy": "administrator",
            "change": {"class": "Emergency", "backup": "Skip", "silence": "None", "work": work}});
        api(&self.client, "MaintenanceTicket", DISTRICT)
            .create(&PostParams::default(), &object("MaintenanceTicket", DISTRICT, name, spec))
            .await
            .expect("created");
    }

    async fn until(&self, what: &str, ticket: &str, judge: impl Fn(&Value) -> bool) -> DynamicObject {
        let since = Instant::now();
        loop {
            let seen = api(&self.client, "MaintenanceTicket", DISTRICT).get(ticket).await.expect("the ticket");
            if judge(&serde_json::to_value(&seen).expect("JSON")) {
                return seen;
            }
            assert!(since.elapsed() < NOTICED, "{what}: not so after {NOTICED:?}: {}\n{}", seen.data["status"], self.operator.said());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the ticket says why there is nothing to approve.
    async fn says(&self, ticket: &str, words: &str) {
        let said = |seen: &Value| condition(seen, "Approved")["message"].as_str().unwrap_or_default().contains(words);
        self.until(&format!("it says {words:?}"), ticket, said).await;
    }

    /// There is no kubelet here: the Deployment says that it is well when it is told to.
    async fn roll_out(&self) {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), SPACE);
        let since = Instant::now();
        let there = loop {
            match deployments.get_opt("notice").await.expect("asked") {
                Some(there) => break there,
                None => assert!(since.elapsed() < NOTICED, "there is no Deployment:\n{}", self.operator.said()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let status = json!({"status": {"observedGeneration": there.metadata.generation, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
            "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": ""}]}});
        deployments.patch_status("notice", &PatchParams::default(), &Patch::Merge(status)).await.expect("its status");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_comes_from_a_registry_by_digest_and_what_is_wrong_there_is_said() {
    // The test speaks to the registry by itself, too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Lone::start_with_charts();
    let client = server.client(None).await;
    namespace(&client, DISTRICT).await;
    apply(&client, PLACES).await;
    let scene = Scene { client, operator: Operator::start(&server), registry: Registry::start().await };
    let (digest, _) = scene.registry.push("bundles/notice", "notice.yaml", &manifests("first")).await;
    let authority = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry-ca"}, "stringData": {"ca.crt": scene.registry.authority}});

    scene.declare("1.0.0", &digest).await;
    scene.open("first", "1.0.0").await;
    scene.says("first", "Secret registry doesn't exist").await;
    scene.secret(scene.registry.pull_secret("registry", false)).await;
    scene.says("first", "Secret registry-ca doesn't exist").await;
    scene.secret(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry-ca"}, "stringData": {"ca.crt": rcgen::generate_simple_self_signed(vec!["other".into()]).expect("a certificate").cert.pem()}})).await;
    scene.says("first", "certificate").await;
    scene.secret(authority).await;
    scene.says("first", "the registry refuses: see bundle.oci.pullSecretRef").await;
    scene.secret(scene.registry.pull_secret("registry", true)).await;
    let ticket = scene.until("there is something to agree to", "first", |seen| seen["status"]["planDigest"].is_string()).await;
    let spec = json!({"subjectRef": {"kind": "MaintenanceTicket", "name": "first", "uid": ticket.metadata.uid}, "purpose": "Start", "digest": ticket.data["status"]["planDigest"], "decision": "Approved", "approver": "shift-leader-a"});
    let leader = server.client(Some(("shift-leader-a", &["system:masters"]))).await;
    api(&leader, "Approval", DISTRICT).create(&PostParams::default(), &object("Approval", DISTRICT, "agreed", spec)).await.expect("approved");
    scene.roll_out().await;
    scene.until("it is installed", "first", |seen| seen["status"]["phase"] == "Closed" && seen["status"]["resolution"] == "Done").await;
    let map = Api::<ConfigMap>::namespaced(scene.client.clone(), SPACE).get("notice").await.expect("what was in the image");
    assert_eq!(map.data.expect("data")["said"], "first");

    scene.declare("1.1.0", &format!("sha256:{}", "0".repeat(64))).await;
    scene.open("no-such-image", "1.1.0").await;
    scene.says("no-such-image", "the registry has no such image").await;
    for (version, ticket, manifest) in [("1.2.0", "damaged-layer", false), ("1.3.0", "damaged-manifest", true)] {
        let (image, layer) = scene.registry.push("bundles/notice", "notice.yaml", &manifests(version)).await;
        scene.registry.damage(if manifest { &image } else { &layer });
        scene.declare(version, &image).await;
        scene.open(ticket, version).await;
        scene.says(ticket, "damaged in the registry").await;
    }
}
