//! District: its namespace on the hub, its people's roles there and on its sites, whether its sites and profile exist, and which ended runs stay.

use super::{access, history};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    core::DeserializeGuard,
};
use p861_core::{
    conditions::ConditionUpdate,
    platform::district_standing::{DistrictFacts, ProfileSeen, is_namespace_foreign, ready},
    runs::history::EndedRun,
};
use p861_crds::{
    ConditionType, District, DistrictStatus, PlatformProfile, Site,
    names::{DISTRICT_LABEL, FIELD_MANAGER},
};
use p861_runs::error::{ErrorContext as _, Result};
use serde_json::json;
use std::time::Duration;

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);

/// The controller.
pub struct DistrictController;

/// What a district is judged by.
pub struct Observed {
    facts: DistrictFacts,
    /// Runs whose objects go.
    ended: Vec<EndedRun>,
}

/// What is done for a district.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effects {
    /// Makes its namespace and binds its people's roles; then removes ended runs.
    Establish(Vec<EndedRun>),
    /// Nothing: its namespace belongs to another.
    KeepAway,
}

impl Controller for DistrictController {
    type Kind = District;
    type Status = DistrictStatus;
    type Observed = Observed;
    type Effects = Effects;
    /// Condition AccessApplied.
    type Performed = Option<ConditionUpdate>;
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, district: &District, now: Timestamp) -> Result<Observed> {
        let namespace = district.hub_namespace();
        let existing = Api::<Namespace>::all(context.hub.client.clone()).get_opt(namespace).await.context(|| format!("read namespace {namespace}"))?;
        let sites = Api::<Site>::all(context.hub.client.clone()).list(&ListParams::default()).await.context(|| "list the sites".into())?.items;
        let facts = DistrictFacts {
            namespace_owner: existing.and_then(|found| found.labels().get(DISTRICT_LABEL).cloned()),
            code_owner: code_owner(context, district).await?,
            profile: profile_of(context, district).await?,
            failure_domains: sites.into_iter().map(|site| (site.name_any(), site.spec.failure_domain)).collect(),
        };
        // A district stands as it does, whether or not its ended runs can be read now.
        let ended = history::ended(context, namespace, district.spec.history, now).await.unwrap_or_else(|error| {
            tracing::debug!(namespace, "ended runs can't be looked for: {error}");
            Vec::new()
        });
        Ok(Observed { facts, ended })
    }

    fn decide(district: &District, Observed { facts, ended }: &Observed, _: Timestamp) -> DecisionOf<Self> {
        let ready = ready(district, facts);
        Decision {
            status: DistrictStatus { namespace: Some(district.hub_namespace().to_owned()), ..district.status.clone().unwrap_or_default() },
            requeue: if ready.holds() { RECONCILE_INTERVAL } else { RECONCILE_INTERVAL / 12 },
            conditions: vec![ready],
            events: Vec::new(),
            effects: if is_namespace_foreign(district, facts) { Effects::KeepAway } else { Effects::Establish(ended.clone()) },
        }
    }

    async fn perform(&self, context: &Context, district: &District, effects: &Effects, _: Timestamp) -> Result<Option<ConditionUpdate>> {
        match effects {
            Effects::KeepAway => Ok(None),
            Effects::Establish(_) => {
                apply_namespace(context, &district.name_any(), district.hub_namespace()).await?;
                access::apply(context, district).await.map(Some)
            }
        }
    }

    fn conclude(_: &District, _: &Observed, mut decision: DecisionOf<Self>, access: Option<ConditionUpdate>, _: Timestamp) -> DecisionOf<Self> {
        decision.conditions.splice(0..0, access);
        decision
    }

    /// Once the status is written: a repository that is slow to answer must not delay it.
    async fn follow_up(&self, context: &Context, district: &District, decision: DecisionOf<Self>, _: Timestamp) -> Result<Option<Duration>> {
        if let Effects::Establish(ended) = &decision.effects
            && !ended.is_empty()
        {
            history::collect(context, district.hub_namespace(), ended).await;
        }
        Ok(None)
    }
}

async fn apply_namespace(context: &Context, district: &str, namespace: &str) -> Result<()> {
    context.hub.leadership.ensure()?;
    let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {DISTRICT_LABEL: district}}});
    Api::<Namespace>::all(context.hub.client.clone())
        .patch(namespace, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document))
        .await
        .context(|| format!("make namespace {namespace} of district {district}"))?;
    Ok(())
}

/// An older district with the same code.
async fn code_owner(context: &Context, district: &District) -> Result<Option<String>> {
    let age = |district: &District| (district.metadata.creation_timestamp.as_ref().map(|time| time.0), district.name_any());
    let same = |other: &District| (other.spec.code == district.spec.code && age(other) < age(district)).then(|| other.name_any());
    Ok(context.cache.filter_map(None, same).await?.into_iter().min())
}

/// The profile that a district names.
async fn profile_of(context: &Context, district: &District) -> Result<Option<ProfileSeen>> {
    let Some(reference) = &district.spec.profile_ref else { return Ok(None) };
    let profiles: Api<DeserializeGuard<PlatformProfile>> = Api::all(context.hub.client.clone());
    let found = profiles.get_opt(&reference.name).await.context(|| format!("read profile {}", reference.name))?;
    Ok(Some(match found {
        Some(DeserializeGuard(Ok(_))) => ProfileSeen::Readable,
        Some(DeserializeGuard(Err(_))) => ProfileSeen::Unreadable,
        None => ProfileSeen::Missing,
    }))
}
