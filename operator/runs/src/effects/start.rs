//! Starting workloads that were restored at zero replicas.

use super::EffectOutcome;
use crate::{
    context::RunContext,
    error::{ErrorContext as _, Result},
    sites::pods,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use p861_core::{
    engine::{Evidence, Failure},
    ids::SiteName,
    objects,
};
use p861_crds::{Reason, WorkloadKind, WorkloadReference, names::FIELD_MANAGER};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Scales each workload to its original replicas and waits until all pods are ready. An empty list for a namespace means all that are still at zero.
pub async fn perform(context: &RunContext, site: &SiteName, workloads: &BTreeMap<String, Vec<WorkloadReference>>) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let (mut waiting, mut ready) = (Vec::new(), Vec::new());
    for (namespace, listed) in workloads {
        let listed = if listed.is_empty() { all(&client, namespace).await? } else { listed.clone() };
        for workload in listed {
            match raise(&client, namespace, &workload).await? {
                Raised::Missing => {
                    let message = format!("{workload} is not in the backup's objects of {namespace}: correct spec.tiers of the Application");
                    return Ok(EffectOutcome::Failed(Failure::permanent(Reason::WorkloadMissing, message), None));
                }
                Raised::Now => waiting.push(format!("{workload} starts")),
                Raised::Before => {}
            }
            match pods::workload(&client, namespace, &workload).await? {
                Some(state) if state.observed && state.ready >= state.wanted => ready.push(format!("{workload} {}/{}", state.ready, state.wanted)),
                Some(state) => waiting.push(format!("{workload} {}/{}{}", state.ready, state.wanted, why_not(&client, namespace, &state.selector).await)),
                None => waiting.push(format!("{workload} is gone")),
            }
        }
    }
    Ok(if waiting.is_empty() { EffectOutcome::done(Evidence::WorkloadsReady { ready }) } else { EffectOutcome::running(waiting.join(", ")) })
}

enum Raised {
    Missing,
    Now,
    Before,
}

/// Sets the replicas, if they are still zero.
async fn raise(client: &Client, namespace: &str, workload: &WorkloadReference) -> Result<Raised> {
    macro_rules! raise {
        ($kind:ty, $patch:expr) => {{
            let api: Api<$kind> = Api::namespaced(client.clone(), namespace);
            let Some(found) = api.get_opt(&workload.name).await.context(|| format!("read {workload} in {namespace}"))? else {
                return Ok(Raised::Missing);
            };
            let value = serde_json::to_value(&found).unwrap_or_default();
            let Some(replicas) = objects::stopped_replicas(&value) else { return Ok(Raised::Before) };
            let patch: fn(i64) -> Value = $patch;
            let mut patch = patch(replicas.parse().unwrap_or(1));
            // Removing the annotation makes this happen once: a later pass must not undo a person's scaling.
            patch["metadata"] = json!({"annotations": {objects::REPLICAS_ANNOTATION: null}});
            api.patch(&workload.name, &PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() }, &Patch::Merge(patch)).await.context(|| format!("start {workload} in {namespace}"))?;
            Ok(Raised::Now)
        }};
    }
    match workload.kind {
        WorkloadKind::Deployment => raise!(Deployment, |replicas| json!({"spec": {"replicas": replicas}})),
        WorkloadKind::StatefulSet => raise!(StatefulSet, |replicas| json!({"spec": {"replicas": replicas}})),
        WorkloadKind::DaemonSet => raise!(DaemonSet, |_| json!({"spec": {"template": {"spec": {"nodeSelector": {objects::NOT_STARTED: null}}}}})),
    }
}

/// All workloads of a namespace.
async fn all(client: &Client, namespace: &str) -> Result<Vec<WorkloadReference>> {
    let what = || format!("list the workloads of {namespace}");
    let mut found = Vec::new();
    let every = ListParams::default();
    let mut add = |kind: WorkloadKind, names: Vec<String>| found.extend(names.into_iter().map(|name| WorkloadReference { kind, name, namespace: None }));
    let list = Api::<Deployment>::namespaced(client.clone(), namespace).list(&every).await.context(what)?;
    add(WorkloadKind::Deployment, list.items.iter().map(ResourceExt::name_any).collect());
    let list = Api::<StatefulSet>::namespaced(client.clone(), namespace).list(&every).await.context(what)?;
    add(WorkloadKind::StatefulSet, list.items.iter().map(ResourceExt::name_any).collect());
    let list = Api::<DaemonSet>::namespaced(client.clone(), namespace).list(&every).await.context(what)?;
    add(WorkloadKind::DaemonSet, list.items.iter().map(ResourceExt::name_any).collect());
    Ok(found)
}

/// Why a workload's pods aren't ready, if they say so: an image that can't be pulled, a container that crashes, no room.
pub async fn why_not(client: &Client, namespace: &str, selector: &str) -> String {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client.clone(), namespace);
    let Ok(list) = pods.list(&ListParams::default().labels(selector)).await else { return String::new() };
    let reason = list.items.iter().filter(|pod| !pods::is_ready(pod)).find_map(reason);
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

/// What keeps a pod from being ready.
pub fn reason(pod: &k8s_openapi::api::core::v1::Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let waiting = containers.filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
        Some(format!("{reason}: {}", waiting.message.as_deref().unwrap_or(&container.image)))
    });
    let unscheduled = status.conditions.iter().flatten().filter(|c| c.type_ == "PodScheduled" && c.status == "False").filter_map(|c| c.message.clone());
    // Checked last: an init container that hangs is reported only if nothing else explains the wait.
    let preparing = status.init_container_statuses.iter().flatten().filter(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    let preparing = preparing.map(|container| format!("its init container {} still runs", container.name));
    waiting.chain(unscheduled).chain(preparing).next()
}
