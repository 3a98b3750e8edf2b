//! Components of the base software, as they are on a site: the version that is there, and whether it is well. Nothing here installs anything.

use super::inventory::resource;
use crate::{
    error::{Error, Result, Tried as _},
    sites::pods,
};
use kube::{Api, Client, core::DynamicObject};
use p861_core::platform::facts::ComponentFacts;
use p861_crds::platform::platform::{Component, NamespacedReference};
use serde_json::Value;

/// What is seen of a component; none if it is not installed, or if nothing here knows how to look.
pub async fn see(client: &Client, site: &str, component: &Component) -> Result<Option<ComponentFacts>> {
    let Some(release) = &component.helm_release else { return Ok(None) };
    let Some(mut facts) = helm_release(client, site, release).await? else { return Ok(None) };
    for check in &component.health {
        let workload = &check.condition.workload_ref;
        let namespace = workload.namespace.as_deref().unwrap_or(&release.namespace);
        let kind = &check.condition.r#type;
        let failing = match pods::workload(client, namespace, workload).await {
            Ok(Some(state)) if state.observed && state.conditions.contains(kind) => continue,
            Ok(Some(_)) => format!("check {}: {workload} in {namespace} is not {kind}", check.name),
            Ok(None) => format!("check {}: {workload} doesn't exist in {namespace}", check.name),
            Err(error @ Error::Kube { .. }) => format!("check {}: {error}", check.name),
            Err(error) => return Err(error),
        };
        facts.failing.push(failing);
    }
    Ok(Some(facts))
}

/// A Flux HelmRelease: the version of the chart that was installed last, as Flux recorded it, and not the one that was asked for.
async fn helm_release(client: &Client, site: &str, reference: &NamespacedReference) -> Result<Option<ComponentFacts>> {
    let (name, namespace) = (&reference.name, &reference.namespace);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases"));
    // A site without Flux answers the same as one without the release, and lacks the same.
    let Some(release) = api.get_opt(name).await.tried(|| format!("read HelmRelease {namespace}/{name} on {site}"))? else { return Ok(None) };
    Ok(read(&release.data))
}

fn read(release: &Value) -> Option<ComponentFacts> {
    // The newest first; an attempt that failed is in it too, and is not what runs.
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
