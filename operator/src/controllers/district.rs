//! District: its namespace on the hub, its people's roles there and on its sites, and whether its sites and profile exist.

use super::access;
use crate::{context::Context, reconciler::Reconciler};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    core::DeserializeGuard,
};
use p861_core::conditions::{self, ConditionUpdate};
use p861_crds::{
    ConditionType, District, PlatformProfile, Reason, Site,
    names::{DISTRICT_LABEL, FIELD_MANAGER},
    platform::district::SiteRole,
};
use p861_runs::error::{Result, Tried as _};
use p861_runs::status::apply_status_with;
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);

/// The controller.
pub struct DistrictReconciler;

impl Reconciler for DistrictReconciler {
    type Kind = District;
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn reconcile(&self, context: &Context, district: Arc<District>, now: Timestamp) -> Result<Duration> {
        let name = district.name_any();
        let namespace = district.hub_namespace().to_owned();
        let mut updates = Vec::new();
        let existing = Api::<Namespace>::all(context.hub.client.clone()).get_opt(&namespace).await.tried(|| format!("read namespace {namespace}"))?;
        let foreign = existing.as_ref().is_some_and(|found| found.labels().get(DISTRICT_LABEL).is_some_and(|owner| *owner != name));
        if foreign {
            updates.push(ConditionUpdate::bad(
                ConditionType::Ready,
                Reason::NamespaceNotOurs,
                format!("namespace {namespace} belongs to another district: set spec.namespace"),
            ));
        } else {
            apply_namespace(context, &name, &namespace).await?;
            updates.push(access::apply(context, &district).await?);
            updates.push(match (code_taken(context, &district).await?, profile_missing(context, &district).await?) {
                (Some(taken), _) => taken,
                (None, Some(missing)) => missing,
                (None, None) => sites(context, &district).await?,
            });
        }
        let mut status = district.status.clone().unwrap_or_default();
        status.observed_generation = district.metadata.generation;
        status.namespace = Some(namespace);
        status.conditions = conditions::apply(&status.conditions, &updates, district.metadata.generation, now);
        apply_status_with(&context.hub, &Api::all(context.hub.client.clone()), district.as_ref(), district.status.as_ref(), &status).await?;
        Ok(if conditions::is_true(&status.conditions, ConditionType::Ready) { RECONCILE_INTERVAL } else { RECONCILE_INTERVAL / 12 })
    }
}

async fn apply_namespace(context: &Context, district: &str, namespace: &str) -> Result<()> {
    context.hub.leadership.ensure()?;
    let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {DISTRICT_LABEL: district}}});
    Api::<Namespace>::all(context.hub.client.clone())
        .patch(namespace, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document))
        .await
        .tried(|| format!("make namespace {namespace} of district {district}"))?;
    Ok(())
}

/// Refuses a code that an older district has: reports could not distinguish the two.
async fn code_taken(context: &Context, district: &District) -> Result<Option<ConditionUpdate>> {
    let age = |district: &District| (district.metadata.creation_timestamp.as_ref().map(|time| time.0), district.name_any());
    let same = |other: &District| (other.spec.code == district.spec.code && age(other) < age(district)).then(|| other.name_any());
    let older = context.cache.filter_map(None, same).await?.into_iter().min();
    Ok(older.map(|older| {
        let message =
            format!("code {} is district {older}'s: a code can't be changed, so delete this District and declare it with its own", district.spec.code);
        ConditionUpdate::bad(ConditionType::Ready, Reason::CodeTaken, message)
    }))
}

/// Reports a profile that is missing or invalid: the district can't be assessed against it.
async fn profile_missing(context: &Context, district: &District) -> Result<Option<ConditionUpdate>> {
    let Some(reference) = &district.spec.profile_ref else { return Ok(None) };
    let name = &reference.name;
    let profiles: Api<DeserializeGuard<PlatformProfile>> = Api::all(context.hub.client.clone());
    let found = profiles.get_opt(name).await.tried(|| format!("read profile {name}"))?;
    Ok(match found {
        Some(DeserializeGuard(Ok(_))) => None,
        Some(DeserializeGuard(Err(_))) => Some(ConditionUpdate::bad(
            ConditionType::Ready,
            Reason::ProfileMissing,
            format!("profile {name} can't be read by this version: kubectl describe pprofile {name}"),
        )),
        None => Some(ConditionUpdate::bad(ConditionType::Ready, Reason::ProfileMissing, format!("profile {name} doesn't exist: kubectl get pprofile"))),
    })
}

/// Whether its sites exist and have different failure domains.
async fn sites(context: &Context, district: &District) -> Result<ConditionUpdate> {
    let sites = Api::<Site>::all(context.hub.client.clone()).list(&ListParams::default()).await.tried(|| "list the sites".into())?.items;
    let find = |name: &str| sites.iter().find(|site| site.name_any() == name);
    if let Some(missing) = district.spec.sites.iter().find(|site| find(&site.site_ref.name).is_none()) {
        return Ok(ConditionUpdate::bad(ConditionType::Ready, Reason::SiteMissing, format!("site {} doesn't exist: kubectl get sites", missing.site_ref.name)));
    }
    let domain = |role: SiteRole| -> BTreeSet<&str> {
        district.spec.sites.iter().filter(|site| site.role == role).filter_map(|site| Some(find(&site.site_ref.name)?.spec.failure_domain.as_str())).collect()
    };
    if let Some(shared) = domain(SiteRole::Primary).intersection(&domain(SiteRole::Standby)).next() {
        return Ok(ConditionUpdate::bad(
            ConditionType::Ready,
            Reason::SharedFailureDomain,
            format!("primary and standby are both in failure domain {shared}: they would burn together"),
        ));
    }
    Ok(ConditionUpdate::good(ConditionType::Ready, Reason::AsDeclared, format!("namespace, roles and {} sites are in place", district.spec.sites.len())))
}
