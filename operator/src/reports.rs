//! A drill's report: from its journal to a page, in the plan's repository and on the hub.

use crate::{context::Context, controllers::district_of};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use p861_core::evidence::{
    DrillReport, Language,
    compose::{self, ReportFacts},
    publish,
    report::Named,
};
use p861_crds::{Application, Drill, DrillStatus, RecoveryPlan, Site, names::FIELD_MANAGER, recovery::drill::ReportReference};
use p861_runs::{
    Pass,
    error::{Error, ErrorContext as _, Result},
    repository,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Durations of the steps of the plan's newest drill, used as estimates for the next.
pub async fn durations(context: &Context, namespace: &str, plan: &RecoveryPlan) -> BTreeMap<String, SignedDuration> {
    let Some(last) = plan.status.as_ref().and_then(|status| status.last_drill.as_ref()) else { return BTreeMap::new() };
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), namespace);
    let Ok(Some(map)) = maps.get_opt(&format!("{}-report", last.name)).await else { return BTreeMap::new() };
    let report: Option<DrillReport> = map.data.and_then(|data| serde_json::from_str(data.get("report.json")?).ok());
    report.as_ref().map(compose::durations).unwrap_or_default()
}

/// Creates the report and stores it, create-only in the repository and in a ConfigMap owned by the Drill. Idempotent.
pub async fn write(
    context: &Context,
    drill: &Drill,
    status: &DrillStatus,
    plan: &RecoveryPlan,
    applications: &[Application],
    pass: &Pass,
) -> Result<ReportReference> {
    let (name, namespace) = (drill.name_any(), drill.namespace().unwrap_or_default());
    let district = district_of(&context.hub.client, &namespace).await?;
    let (from_site, target_site) = (named_site(context, status.from_site.as_ref()).await?, named_site(context, status.target_site.as_ref()).await?);
    let version = env!("CARGO_PKG_VERSION");
    let facts = ReportFacts { drill, status, plan, applications, district: &district, from_site: &from_site, target_site: &target_site, version };
    let report = compose::compose(&facts, &pass.outcome()).ok_or_else(|| Error::Internal("a report of a drill that has not ended".into()))?;
    let published = publish(&report, Language::Zh).map_err(|error| Error::Internal(error.to_string()))?;
    let repository = &plan.spec.repository_ref.name;
    let store = repository::open_store(&context.hub, &namespace, repository).await?;
    // The UID distinguishes drills of the same name on a rebuilt hub.
    let key = |ending: &str| format!("reports/{name}-{}.{ending}", drill.uid().unwrap_or_default());
    let mut locations = Vec::new();
    for (ending, text) in [("html", &published.html), ("json", &published.json)] {
        match store.put_if_absent(&key(ending), text.clone().into_bytes()).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(repository::vault("store the report", &error)),
        }
        locations.push(repository::location_of(&context.hub, &namespace, repository, &key(ending)).await?);
    }
    context.hub.leadership.ensure()?;
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), &namespace);
    let map = format!("{name}-report");
    let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": map, "ownerReferences": [drill.controller_owner_ref(&())]},
        "data": {"report.html": published.html, "report.json": published.json}});
    maps.patch(&map, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.context(|| format!("write ConfigMap {map}"))?;
    let mut locations = locations.into_iter();
    Ok(ReportReference { html: locations.next().unwrap_or_default(), json: locations.next().unwrap_or_default(), digest: published.digest })
}

/// A site by its name and the names that people know it by.
async fn named_site(context: &Context, name: Option<&String>) -> Result<Named> {
    let Some(name) = name.cloned() else { return Ok(Named { name: "?".into(), names: None }) };
    let found: Option<Site> = Api::all(context.hub.client.clone()).get_opt(&name).await.context(|| format!("read site {name}"))?;
    Ok(Named { name, names: found.and_then(|site| site.spec.names) })
}
