//! Finding an application in a namespace: workloads, the order they depend on each other in, their data. What only a person knows is marked TODO.

use crate::format::{Line, Tone};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::{ConfigMap, PersistentVolumeClaim, PodTemplateSpec, Service},
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A workload that was found.
#[derive(Clone, Debug)]
pub struct Workload {
    kind: &'static str,
    name: String,
    labels: BTreeMap<String, String>,
    template: PodTemplateSpec,
    claims: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    workloads: Vec<Workload>,
    /// Indexes of workloads, those that others call first.
    tiers: Vec<Vec<usize>>,
    services: Vec<Service>,
    claims: Vec<String>,
}

/// Looks into a namespace. Secrets are not read.
pub async fn look(client: &Client, namespace: &str) -> kube::Result<Found> {
    let every = ListParams::default();
    let mut workloads = Vec::new();
    for found in Api::<StatefulSet>::namespaced(client.clone(), namespace).list(&every).await? {
        let (name, spec) = (found.name_any(), found.spec.unwrap_or_default());
        let claims = spec.volume_claim_templates.iter().flatten().map(|claim| format!("{}-{name}-*", claim.name_any())).collect();
        workloads.push(workload("StatefulSet", name, spec.template, claims));
    }
    for found in Api::<Deployment>::namespaced(client.clone(), namespace).list(&every).await? {
        let (name, spec) = (found.name_any(), found.spec.unwrap_or_default());
        workloads.push(workload("Deployment", name, spec.template, Vec::new()));
    }
    for found in Api::<DaemonSet>::namespaced(client.clone(), namespace).list(&every).await? {
        let (name, spec) = (found.name_any(), found.spec.unwrap_or_default());
        workloads.push(workload("DaemonSet", name, spec.template, Vec::new()));
    }
    let services = Api::<Service>::namespaced(client.clone(), namespace).list(&every).await?.items;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace).list(&every).await?.items;
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace).list(&every).await?.items.iter().map(kube::ResourceExt::name_any).collect();
    let tiers = order(&workloads, &services, &maps);
    Ok(Found { workloads, tiers, services, claims })
}

fn workload(kind: &'static str, name: String, template: PodTemplateSpec, claims: Vec<String>) -> Workload {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    Workload { kind, name, labels, template, claims }
}

/// Layers by who names whose Service, in its pod template or in a ConfigMap that it uses. Those that call each other in a circle stand together, last.
fn order(workloads: &[Workload], services: &[Service], maps: &[ConfigMap]) -> Vec<Vec<usize>> {
    let texts: Vec<String> = workloads.iter().map(|workload| said(workload, maps)).collect();
    let mut calls: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); workloads.len()];
    for service in services {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
        let Ok(named) = Regex::new(&format!(r"(^|[^A-Za-z0-9-]){}($|[^A-Za-z0-9-])", regex::escape(&service.name_any()))) else { continue };
        for (callee, _) in workloads.iter().enumerate().filter(|(_, w)| !selector.is_empty() && selector.iter().all(|(key, value)| w.labels.get(key) == Some(value))) {
            for (caller, text) in texts.iter().enumerate() {
                if caller != callee && named.is_match(text) {
                    calls[caller].insert(callee);
                }
            }
        }
    }
    let mut tiers: Vec<Vec<usize>> = Vec::new();
    let mut placed = BTreeSet::new();
    while placed.len() < workloads.len() {
        let ready: Vec<usize> = (0..workloads.len()).filter(|index| !placed.contains(index) && calls[*index].is_subset(&placed)).collect();
        let layer = if ready.is_empty() { (0..workloads.len()).filter(|index| !placed.contains(index)).collect() } else { ready };
        placed.extend(layer.iter().copied());
        tiers.push(layer);
    }
    tiers
}

/// Everything that a workload says about others. A ConfigMap that several share is counted only by the files that are mounted.
fn said(workload: &Workload, maps: &[ConfigMap]) -> String {
    let spec = workload.template.spec.clone().unwrap_or_default();
    let mut text = String::new();
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        for value in container.env.iter().flatten().filter_map(|env| env.value.as_ref()).chain(container.args.iter().flatten()).chain(container.command.iter().flatten()) {
            text.push_str(value);
            text.push('\n');
        }
    }
    for volume in spec.volumes.iter().flatten().filter_map(|volume| volume.config_map.as_ref()) {
        let keys: Option<BTreeSet<&String>> = volume.items.as_ref().map(|items| items.iter().map(|item| &item.key).collect());
        let map = maps.iter().find(|map| map.name_any() == volume.name);
        for (key, value) in map.iter().filter_map(|map| map.data.as_ref()).flatten() {
            if keys.as_ref().is_none_or(|keys| keys.contains(key)) {
                text.push_str(value);
                text.push('\n');
            }
        }
    }
    text
}

/// The stream of a database that is known by its image.
fn stream(workload: &Workload) -> Option<Value> {
    let containers = workload.template.spec.as_ref()?.containers.iter();
    let (container, postgres) = containers.filter_map(|container| {
        let image = container.image.as_deref().unwrap_or_default().to_ascii_lowercase();
        if image.contains("postgres") { Some((container, true)) } else { (image.contains("mysql") || image.contains("mariadb")).then_some((container, false)) }
    }).find(|(container, _)| container.ports.iter().flatten().any(|port| matches!(port.container_port, 5432 | 3306)))?;
    let value = |name: &str| container.env.iter().flatten().find(|env| env.name == name).and_then(|env| env.value.clone());
    let (dump, restore) = if postgres {
        let user = value("POSTGRES_USER").unwrap_or_else(|| "postgres".into());
        let database = value("POSTGRES_DB").unwrap_or_else(|| user.clone());
        (
            vec!["pg_dump".into(), format!("--username={user}"), "--format=custom".into(), database.clone()],
            vec!["pg_restore".into(), format!("--username={user}"), format!("--dbname={database}"), "--clean".into(), "--if-exists".into(), "--exit-on-error".into()],
        )
    } else {
        (vec!["mysqldump".into(), "--single-transaction".into(), "--all-databases".into()], vec!["mysql".to_owned()])
    };
    Some(json!({"name": format!("{}-db", workload.name), "workloadRef": {"kind": workload.kind, "name": workload.name}, "container": container.name, "dump": dump, "restore": restore}))
}

/// The Application that follows.
pub fn draft(found: &Found, name: &str, hub_namespace: &str, namespace: &str) -> Value {
    let reference = |index: &usize| found.workloads.get(*index).map(|workload| json!({"kind": workload.kind, "name": workload.name}));
    let tiers: Vec<Value> = found.tiers.iter().enumerate().map(|(place, tier)| json!({"name": format!("tier-{}", place + 1), "workloadRefs": tier.iter().filter_map(reference).collect::<Vec<_>>()})).collect();
    let with_stream: Vec<(&Workload, Value)> = found.workloads.iter().filter_map(|workload| Some((workload, stream(workload)?))).collect();
    let skipped: Vec<Value> = with_stream.iter().flat_map(|(workload, _)| &workload.claims).map(|claim| json!({"claim": claim, "method": "Skip"})).collect();
    let streams: Vec<&Value> = with_stream.iter().map(|(_, stream)| stream).collect();
    let checks: Vec<Value> = found.services.iter().filter_map(|service| {
        let port = service.spec.as_ref()?.ports.as_ref()?.first()?.port;
        Some(json!({"name": format!("{}-answers", service.name_any()), "tcp": {"serviceName": service.name_any(), "port": port}}))
    }).collect();
    let mut spec = json!({"names": {"zh": "TODO", "en": "TODO"}, "department": "TODO", "criticality": "Important", "namespaces": [namespace], "tiers": tiers});
    for (key, list) in [("streams", json!(streams)), ("volumes", json!(skipped)), ("checks", json!(checks))] {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            spec[key] = list;
        }
    }
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": hub_namespace}, "spec": spec})
}

/// What was found, a line each, for a person.
pub fn remarks(found: &Found) -> Vec<Line> {
    let name = |index: &usize| found.workloads.get(*index).map(|workload| format!("{}/{}", workload.kind, workload.name)).unwrap_or_default();
    let order: Vec<String> = found.tiers.iter().map(|tier| tier.iter().map(name).collect::<Vec<_>>().join(", ")).collect();
    let streams: Vec<String> = found.workloads.iter().filter(|workload| stream(workload).is_some()).map(|workload| format!("stream {}-db", workload.name)).collect();
    let good = |head: &str, text: String| Line::toned(Tone::Good, "✓ ").with(format!("{head:<11}{text}"));
    vec![
        good("workloads", format!("{}", found.workloads.len())),
        good("order", order.join(" → ")),
        good("data", [streams, found.claims.iter().map(|claim| format!("claim {claim}")).collect()].concat().join(", ")),
        Line::toned(Tone::Warn, "? ").with(format!("{:<11}names, department, criticality, marker, checks", "yours")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> (Vec<Workload>, Vec<Service>, Vec<ConfigMap>) {
        let template = |app: &str, env: &str| serde_json::from_value(json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": app, "image": if app == "db" { "library/postgres:15" } else { "web" }, "env": [{"name": "PEER", "value": env}, {"name": "POSTGRES_USER", "value": "owner"}], "ports": [{"containerPort": if app == "db" { 5432 } else { 80 }}]}]}})).expect("a template");
        let workloads = vec![
            workload("Deployment", "web".into(), template("web", "http://api:80/"), vec![]),
            workload("Deployment", "api".into(), template("api", "host=db-main.example"), vec![]),
            workload("StatefulSet", "db".into(), template("db", "api-not-called"), vec!["data-db-*".into()]),
        ];
        let service = |name: &str, app: &str| serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}})).expect("a service");
        (workloads, vec![service("api", "api"), service("db-main", "db")], vec![])
    }

    #[test]
    fn who_names_a_service_starts_after_it() {
        let (workloads, services, maps) = found();
        assert_eq!(order(&workloads, &services, &maps), [vec![2], vec![1], vec![0]]);
    }

    #[test]
    fn a_draft_is_an_application_whose_database_travels_as_a_stream() {
        let (workloads, services, maps) = found();
        let tiers = order(&workloads, &services, &maps);
        let draft = draft(&Found { workloads, tiers, services, claims: vec!["data-db-0".into()] }, "shop", "shinan", "shinan-shop");
        let application: p861_crds::Application = serde_json::from_value(draft).expect("it can be read as an Application");
        assert_eq!(application.spec.streams[0].dump, ["pg_dump", "--username=owner", "--format=custom", "owner"]);
        assert_eq!(application.spec.volumes[0].claim, "data-db-*");
        assert_eq!(application.spec.tiers.len(), 3);
    }
}
