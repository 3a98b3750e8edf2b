//! The DNS of a copy: one server in its first namespace, behind a Service whose address its pods are given.
//!
//! The operator may make Services and Deployments nowhere on a site but in a copy: it binds a role to itself there. The server may read Services and EndpointSlices of
//! the copy's namespaces and nothing else.

use super::{
    apply,
    pods::{LABEL_VALUE_DNS, OwnPod},
};
use crate::{
    context::RunContext,
    effects::{StepContext, account::own_subject},
    error::{Category, Error, ErrorContext as _, Result},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
    rbac::v1::RoleBinding,
};
use kube::{Api, Client};
use p861_core::{
    ids::SiteName,
    isolation::{COPY_DNS_PORT, ZONE_VARIABLE},
    runs::Bubble,
};
use p861_crds::{
    Reason,
    names::{DRILL_LABEL, ROLE_LABEL, RUN_LABEL},
};
use serde_json::{Value, json};
use std::net::IpAddr;

/// ClusterRole that the operator binds to itself in the copy's first namespace: Services and Deployments.
const MAKER_ROLE: &str = "p861-site-copy-maker";
/// ClusterRole of the server in each of the copy's namespaces: Services and EndpointSlices.
const READER_ROLE: &str = "p861-copy-dns";
/// Memory limit of the server.
const MEMORY_LIMIT: &str = "128Mi";

/// Name of the server's Deployment, Service, ServiceAccount and bindings.
pub fn name(bubble: &Bubble) -> String {
    format!("p861-dns-{}", bubble.id)
}

/// The namespace of the server: the first of the copy. None if the copy has no namespace.
pub fn home(bubble: &Bubble) -> Option<&String> {
    bubble.namespaces.values().next()
}

/// Makes the server, without waiting for it: the proof of the isolation does. Returns what is waited for, if it can't be made yet.
pub async fn make(context: &RunContext, client: &Client, step_context: &StepContext, site: &SiteName, bubble: &Bubble) -> Result<Option<String>> {
    let Some(home) = home(bubble) else { return Ok(None) };
    let zone = bubble.zone().map_err(|why| Error::invalid(Reason::Invalid, format!("spec.isolation.allowEgress: {why}")))?;
    let order = serde_json::to_string(&zone).map_err(|error| Error::Internal(format!("the order of a copy's DNS can't be written: {error}")))?;
    let (run, name) = (step_context.run.uid.as_str(), name(bubble));
    let labels = json!({RUN_LABEL: run, DRILL_LABEL: bubble.id, ROLE_LABEL: LABEL_VALUE_DNS});
    let metadata = |name: &str| json!({"name": name, "labels": labels});
    let own = own_subject(client, site).await?;
    bind(client, site, home, &format!("{name}-maker"), MAKER_ROLE, &labels, &own).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), home);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(&name), "automountServiceAccountToken": false});
    apply(&accounts, &name, account).await?;
    for namespace in bubble.namespaces.values() {
        bind(client, site, namespace, &name, READER_ROLE, &labels, &json!({"kind": "ServiceAccount", "namespace": home, "name": name})).await?;
    }
    let pod =
        OwnPod { run, drill: &bubble.id, role: LABEL_VALUE_DNS, command: "dns", order: (ZONE_VARIABLE, order), account: Some(&name), memory: MEMORY_LIMIT };
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(&name), "spec": {
        "selector": pod.labels(),
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": COPY_DNS_PORT}, {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": COPY_DNS_PORT}],
    }});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&name), "spec": {
        "replicas": 1, "selector": {"matchLabels": pod.labels()}, "strategy": {"type": "Recreate"},
        "template": template(context, &pod),
    }});
    match serve(client, home, &name, service, deployment).await {
        // A binding is not known to every API server at once.
        Err(error) if error.reason() == Reason::CredentialsRefused && error.category() == Category::Refused => Ok(Some(format!("the copy's DNS: {error}"))),
        made => made.map(|()| None),
    }
}

/// With the right that is bound for it.
async fn serve(client: &Client, home: &str, name: &str, service: Value, deployment: Value) -> Result<()> {
    let services: Api<Service> = Api::namespaced(client.clone(), home);
    apply(&services, name, service).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), home);
    apply(&deployments, name, deployment).await
}

fn template(context: &RunContext, pod: &OwnPod<'_>) -> Value {
    let probe = json!({"tcpSocket": {"port": COPY_DNS_PORT}, "periodSeconds": 1, "timeoutSeconds": 2});
    let ports =
        json!([{"name": "dns", "containerPort": COPY_DNS_PORT, "protocol": "UDP"}, {"name": "dns-tcp", "containerPort": COPY_DNS_PORT, "protocol": "TCP"}]);
    pod.template(context, &json!({}), &json!({"ports": ports, "readinessProbe": probe}))
}

async fn bind(client: &Client, site: &SiteName, namespace: &str, name: &str, role: &str, labels: &Value, subject: &Value) -> Result<()> {
    let document = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "labels": labels},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [subject],
    });
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    match apply(&bindings, name, document).await {
        Err(error) if error.category() == Category::Refused && error.reason() != Reason::NamespaceTerminating => Err(Error::invalid(
            error.reason(),
            format!("bind {role} in {namespace} on {site}: {error}. A copy needs a DNS of its own: upgrade the chart p861 on {site} to the operator's version"),
        )),
        bound => bound,
    }
}

/// The addresses of the copy's DNS; none before its Service has one.
pub async fn addresses(client: &Client, bubble: &Bubble) -> Result<Vec<IpAddr>> {
    let Some(home) = home(bubble) else { return Ok(Vec::new()) };
    let services: Api<Service> = Api::namespaced(client.clone(), home);
    let name = name(bubble);
    let found = services.get_opt(&name).await.context(|| format!("read Service {home}/{name}"))?;
    let spec = found.and_then(|service| service.spec);
    Ok(spec.and_then(|spec| spec.cluster_ips).unwrap_or_default().iter().filter_map(|address| address.parse().ok()).collect())
}
