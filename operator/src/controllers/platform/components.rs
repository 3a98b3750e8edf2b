//! Components of the base software on a site: installed version and health. Drift from the installed version is corrected here; only a ticket installs another
//! version.

use super::{inventory::resource, shown};
use crate::context::Context;
use kube::{Api, Client, core::DynamicObject};
use p861_core::{
    ids::SiteName,
    names,
    platform::{bundle, facts::ComponentFacts},
};
use p861_crds::{
    District,
    names::COMPONENT_VERSION_ANNOTATION,
    platform::platform::{Component, NamespacedReference},
};
use p861_runs::{
    effects::component::{correct_drift, installed},
    error::{Category, Error, ErrorContext as _, Result},
    object_path::in_path,
    sites::pods,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Corrects a component's drift from its installed version, and observes it; none if it is not installed. What is wrong with a component is told of it, and takes along no
/// other and no layer that has nothing to do with it. An error is what may go away by itself.
pub async fn assess(context: &Context, district: &District, client: &Client, site: &SiteName, component: &Component) -> Result<Option<ComponentFacts>> {
    if let Some(why) = misnamed(component) {
        return Ok(Some(unknown(why)));
    }
    match correct_and_observe(context, district, client, site, component).await {
        Err(error) if error.category() != Category::Transient => Ok(Some(unknown(error.to_string()))),
        seen => seen,
    }
}

/// A component of which nothing can be seen.
fn unknown(trouble: String) -> ComponentFacts {
    ComponentFacts { installed: "unknown".into(), failing: Vec::new(), trouble: Some(trouble) }
}

/// That no object can have the name that a component gives its HelmRelease.
fn misnamed(component: &Component) -> Option<String> {
    let name = &component.helm_release.as_ref()?.name;
    let told = || format!("helmRelease.name is {name:?}: {}. Correct it in spec.baseSoftware.components of the Platform", names::NAME_RULE);
    (!names::is_object_name(name)).then(told)
}

/// The same, of a component with a name that can be asked for.
async fn correct_and_observe(
    context: &Context,
    district: &District,
    client: &Client,
    site: &SiteName,
    component: &Component,
) -> Result<Option<ComponentFacts>> {
    let shown = shown::namespaces(context, district, site).await?;
    let (seen, first) = match &component.helm_release {
        Some(release) => match shown.refuses(&release.namespace) {
            // Nothing of it is read: whether it is there would be an answer.
            Some(why) => return Ok(Some(unknown(why))),
            None => (helm_release(client, site, release).await?, release.namespace.clone()),
        },
        None => from_bundle(context, district, client, site, component).await?,
    };
    let Some(mut facts) = seen else { return Ok(None) };
    for check in &component.health {
        let workload = &check.condition.workload_ref;
        let namespace = workload.namespace.as_deref().unwrap_or(&first);
        let kind = &check.condition.r#type;
        if let Some(why) = shown.refuses(namespace) {
            facts.failing.push(format!("check {}: {why}", check.name));
            continue;
        }
        let failing = match pods::workload(client, namespace, workload).await {
            Ok(Some(state)) if state.observed && state.conditions.contains(kind) => continue,
            Ok(Some(_)) => format!("check {}: {workload} in {namespace} is not {kind}", check.name),
            Ok(None) => format!("check {}: {workload} doesn't exist in {namespace}", check.name),
            Err(Error::LeaseLost) => return Err(Error::LeaseLost),
            Err(error) => format!("check {}: {error}", check.name),
        };
        facts.failing.push(failing);
    }
    Ok(Some(facts))
}

/// Observes a component that was installed from a bundle, by the version annotation on its workloads, which reveals changes made by others. Also returns the
/// bundle's first namespace.
async fn from_bundle(
    context: &Context,
    district: &District,
    client: &Client,
    site: &SiteName,
    component: &Component,
) -> Result<(Option<ComponentFacts>, String)> {
    let namespace = district.hub_namespace();
    // Drift that can't be corrected is reported, and doesn't prevent the observation.
    let kept = match correct_drift(&context.runs, district, client, site, &component.name).await {
        Err(Error::LeaseLost) => return Err(Error::LeaseLost),
        Err(error) => Some(format!("what was changed could not be put back: {error}")),
        Ok(stubborn) if stubborn.is_empty() => None,
        Ok(stubborn) => Some(format!("somebody else keeps changing it: {}", stubborn.join(", "))),
    };
    let record = installed(&context.hub.client, namespace, &component.name, site).await?;
    let workloads = bundle::workloads(&record.objects);
    let first = workloads.first().and_then(|workload| workload.namespace.clone()).unwrap_or_default();
    if record.version.is_empty() {
        return Ok((None, first));
    }
    let (mut versions, mut missing) = (BTreeSet::new(), Vec::new());
    for workload in &workloads {
        let namespace = workload.namespace.as_deref().unwrap_or_default();
        match pods::annotations(client, namespace, workload).await? {
            Some(annotations) => drop(versions.insert(annotations.get(COMPONENT_VERSION_ANNOTATION).cloned().unwrap_or_default())),
            None => missing.push(format!("{workload} in {namespace}")),
        }
    }
    let trouble = if !missing.is_empty() {
        Some(format!("{} is gone", missing.join(", ")))
    } else if versions.len() > 1 {
        Some(format!("its workloads are of versions {}", versions.iter().cloned().collect::<Vec<_>>().join(" and ")))
    } else {
        kept.or_else(|| (!record.complete).then(|| format!("{} was not applied to its end", record.version)))
    };
    // If all workloads are gone, it is not installed, whatever the record says.
    let installed = versions.pop_last();
    Ok((installed.map(|installed| ComponentFacts { installed, failing: Vec::new(), trouble }), first))
}

/// Observes a Flux HelmRelease: the chart version that Flux last installed, not the requested one.
async fn helm_release(client: &Client, site: &SiteName, reference: &NamespacedReference) -> Result<Option<ComponentFacts>> {
    let (name, namespace) = (&reference.name, &reference.namespace);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases"));
    // A site without Flux answers 404, too, which means the same: not installed.
    let Some(release) = api.get_opt(&in_path(name)?).await.context(|| format!("read HelmRelease {namespace}/{name} on {site}"))? else { return Ok(None) };
    Ok(read(&release.data))
}

fn read(release: &Value) -> Option<ComponentFacts> {
    // Newest first. Failed attempts are in the history, too, but don't run.
    let history = release.pointer("/status/history").and_then(Value::as_array)?;
    let deployed = history.iter().find(|entry| matches!(entry["status"].as_str(), Some("deployed" | "superseded")))?;
    let installed = deployed["chartVersion"].as_str()?.to_owned();
    let conditions = release.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let trouble = ready
        .filter(|condition| condition["status"] == "False")
        .map(|condition| format!("its HelmRelease is not ready: {}", condition["message"].as_str().unwrap_or_default()));
    Some(ComponentFacts { installed, failing: Vec::new(), trouble })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_component_whose_name_no_object_can_have_is_told_with_its_field() {
        for (component, says) in [
            (json!({"helmRelease": {"name": "envoy", "namespace": "gateways"}}), None),
            (json!({"bundle": {"configMapRef": {"name": "envoy"}}}), None),
            (json!({"helmRelease": {"name": "../../secrets/x", "namespace": "gateways"}}), Some("helmRelease.name is \"../../secrets/x\": a name has")),
            (json!({"helmRelease": {"name": "..", "namespace": "gateways"}}), Some("helmRelease.name is \"..\": a name has")),
        ] {
            let mut declared = json!({"name": "envoy-gateway", "version": "1.6.1"});
            declared.as_object_mut().expect("an object").extend(component.as_object().expect("an object").clone());
            let declared: Component = serde_json::from_value(declared).expect("a component");
            match (misnamed(&declared), says) {
                (None, None) => {}
                (Some(told), Some(says)) => assert!(told.starts_with(says) && told.contains("spec.baseSoftware.components"), "{told}"),
                other => panic!("{component}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_installed_version_is_what_was_deployed_and_not_what_failed_or_is_asked_for() {
        let entry = |version: &str, status: &str| json!({"chartVersion": version, "status": status});
        let release = |history: Value, ready: &str| json!({"spec": {"chart": {"spec": {"version": "1.29.0"}}}, "status": {"history": history, "conditions": [{"type": "Ready", "status": ready, "message": "upgrade failed"}]}});
        let seen = read(&release(json!([entry("1.29.0", "failed"), entry("1.28.1", "superseded")]), "False")).expect("it is installed");
        assert_eq!((seen.installed.as_str(), seen.trouble.as_deref()), ("1.28.1", Some("its HelmRelease is not ready: upgrade failed")));
        let seen = read(&release(json!([entry("1.29.0", "deployed"), entry("1.28.1", "superseded")]), "True")).expect("it is installed");
        assert_eq!((seen.installed.as_str(), seen.trouble), ("1.29.0", None));
        assert_eq!(read(&release(json!([entry("1.29.0", "failed")]), "False")), None, "never installed");
        assert_eq!(read(&json!({"spec": {}})), None);
    }
}
