//! A drill's bubble: isolated namespaces that can only reach each other, and are removed afterwards.

use super::{EffectOutcome, StepContext, mover::LABEL_VALUE_MOVER};
use crate::{
    context::RunContext,
    error::{Error, ErrorContext as _, Result},
};
use k8s_openapi::api::{
    core::v1::{Namespace, PersistentVolume, Service},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use p861_core::{engine::Evidence, ids::SiteName, runs::Bubble};
use p861_crds::{
    Reason,
    names::{DISTRICT_LABEL, DRILL_LABEL, FIELD_MANAGER, ROLE_LABEL, RUN_LABEL},
};
use serde_json::{Value, json};

/// Creates the namespaces and isolates them before anything runs in them.
pub async fn make(context: &RunContext, step_context: &StepContext, site: &SiteName, bubble: &Bubble) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let dns = resolver(&client).await?;
    for name in bubble.namespaces.values() {
        let existing = namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))?;
        if let Some(existing) = &existing {
            let owner = existing.labels().get(RUN_LABEL).map(String::as_str);
            if owner != Some(step_context.run.uid.as_str()) {
                return Err(Error::invalid(
                    Reason::NamespaceTaken,
                    format!("namespace {name} on {site} is there and not of this drill: delete it, or run another drill"),
                ));
            }
            if existing.metadata.deletion_timestamp.is_some() {
                return Ok(EffectOutcome::running(format!("namespace {name} is being deleted")));
            }
        }
        let labels = json!({
            RUN_LABEL: step_context.run.uid, DRILL_LABEL: bubble.id, DISTRICT_LABEL: step_context.run.namespace,
            // Copies need the same privileges as the originals; the network policies isolate them.
            "pod-security.kubernetes.io/enforce": "privileged",
        });
        apply(&namespaces, name, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})).await?;
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), name);
        for (policy, spec) in policies_of(bubble, &dns) {
            let document = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": policy, "labels": {RUN_LABEL: step_context.run.uid, DRILL_LABEL: bubble.id}}, "spec": spec});
            apply(&policies, policy, document).await?;
        }
    }
    Ok(EffectOutcome::done(Evidence::Isolated { namespaces: bubble.namespaces.values().cloned().collect() }))
}

/// The cluster's DNS, the only destination outside that pods may reach.
struct Resolver {
    addresses: Vec<String>,
    ports: Vec<Value>,
}

/// Reads the addresses of the cluster's DNS. Network policies see the packet after the Service's translation, so the pods' own ports are needed, too.
async fn resolver(client: &Client) -> Result<Resolver> {
    let services: Api<Service> = Api::namespaced(client.clone(), "kube-system");
    let list = services.list(&ListParams::default().labels("k8s-app=kube-dns")).await.context(|| "list the DNS service".into())?;
    let specs: Vec<_> = list.items.into_iter().filter_map(|service| service.spec).collect();
    let addresses = specs.iter().filter_map(|spec| spec.cluster_ip.clone()).filter(|address| address != "None").collect();
    let mut ports = vec![json!({"protocol": "UDP", "port": 53}), json!({"protocol": "TCP", "port": 53})];
    for port in specs.iter().flat_map(|spec| spec.ports.iter().flatten()).filter(|port| port.port == 53) {
        let own = json!({"protocol": port.protocol.as_deref().unwrap_or("TCP"), "port": port.target_port});
        if port.target_port.is_some() && !ports.contains(&own) {
            ports.push(own);
        }
    }
    Ok(Resolver { addresses, ports })
}

/// Everything is denied but: pods of the same bubble among themselves, questions to the cluster's DNS, the networks that the Application allows, and movers'
/// way to the repository and the API server.
fn policies_of(bubble: &Bubble, dns: &Resolver) -> Vec<(&'static str, Value)> {
    let same_bubble = json!({"namespaceSelector": {"matchLabels": {DRILL_LABEL: bubble.id}}});
    let mut resolvers: Vec<Value> = vec![
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}),
    ];
    resolvers.extend(dns.addresses.iter().map(|address| json!({"ipBlock": {"cidr": format!("{address}/{}", if address.contains(':') { 128 } else { 32 })}})));
    let mut egress = vec![json!({"to": [same_bubble]}), json!({"to": resolvers, "ports": dns.ports})];
    if !bubble.allow_egress.is_empty() {
        egress.push(json!({"to": bubble.allow_egress.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect::<Vec<_>>()}));
    }
    vec![
        ("p861-isolate", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [same_bubble]}], "egress": egress})),
        ("p861-movers", json!({"podSelector": {"matchLabels": {ROLE_LABEL: LABEL_VALUE_MOVER}}, "policyTypes": ["Egress"], "egress": [{}]})),
    ]
}

async fn apply<K>(api: &Api<K>, name: &str, document: Value) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.context(|| format!("apply {kind} {name}"))?;
    Ok(())
}

/// Deletes the namespaces and waits until they and their bound volumes are gone.
pub async fn remove(context: &RunContext, step_context: &StepContext, site: &SiteName, bubble: &Bubble) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ours = format!("{RUN_LABEL}={}", step_context.run.uid);
    let left = namespaces.list(&ListParams::default().labels(&ours)).await.context(|| format!("list the drill's namespaces on {site}"))?.items;
    for namespace in left.iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_none()) {
        namespaces
            .delete(&namespace.name_any(), &DeleteParams::default())
            .await
            .map(|_| ())
            .or_else(|error| if crate::error::is_not_found(&error) { Ok(()) } else { Err(error) })
            .context(|| format!("delete namespace {} on {site}", namespace.name_any()))?;
    }
    // The provisioner deletes volumes after their claims; without this wait, "nothing left" would be reported too early.
    let volumes: Api<PersistentVolume> = Api::all(client);
    let bound = volumes.list(&ListParams::default()).await.context(|| format!("list the volumes of {site}"))?.items;
    let of_bubble = |volume: &&PersistentVolume| {
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        claim.and_then(|claim| claim.namespace.as_ref()).is_some_and(|namespace| bubble.namespaces.values().any(|name| name == namespace))
    };
    let deletes = |volume: &&PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some("Delete");
    let volumes_left = bound.iter().filter(of_bubble).filter(deletes).count();
    if left.is_empty() && volumes_left == 0 {
        return Ok(EffectOutcome::done(Evidence::IsolationRemoved { namespaces: bubble.namespaces.values().cloned().collect() }));
    }
    let stuck = left.iter().find_map(why_stuck).map_or_else(String::new, |why| format!(": {why}"));
    Ok(EffectOutcome::running(format!("{} namespaces and {volumes_left} volumes are being removed{stuck}", left.len())))
}

/// Why a namespace is still terminating, from its conditions.
fn why_stuck(namespace: &Namespace) -> Option<String> {
    let conditions = namespace.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().filter(|c| c.status == "True" && c.type_ != "NamespaceDeletionDiscoveryFailure").find_map(|c| c.message.clone())
}
