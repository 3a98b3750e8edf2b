//! District: its namespace on the hub and the limits of it, its people's roles there and on its sites, whether its sites and profile exist, and which ended runs stay.

use super::{access, history};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    core::DeserializeGuard,
};
use p861_core::{
    conditions::ConditionUpdate,
    platform::{
        district_standing::{DistrictFacts, ProfileSeen, is_kept_away, ready},
        object_limits::{QUOTA_NAME, hard, is_as_wanted},
        overlap::overlap,
    },
    runs::history::EndedRun,
    told::Noun,
};
use p861_crds::{
    ConditionType, District, DistrictStatus, Platform, PlatformProfile, Reason, Site,
    names::{DISTRICT_LABEL, FIELD_MANAGER, GROUP},
};
use p861_runs::{
    error::{Error, ErrorContext as _, Result},
    hub_object::note_hub_namespaces,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);

/// Name of the quota in the operator's own namespace by which is seen whether the cluster counts our kinds.
const QUOTA_PROBE_NAME: &str = "p861-counts";
/// How long a new quota is waited for until the cluster has counted what there is, and how often it is looked at meanwhile.
const QUOTA_COUNT_TIMEOUT: Duration = Duration::from_secs(3);
const QUOTA_COUNT_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Nothing: its namespace, or what it was allotted, belongs to another.
    KeepAway,
}

impl Controller for DistrictController {
    type Kind = District;
    type Status = DistrictStatus;
    type Observed = Observed;
    type Effects = Effects;
    /// Conditions AccessApplied and ObjectsLimited.
    type Performed = Vec<ConditionUpdate>;
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, district: &District, now: Timestamp) -> Result<Observed> {
        let namespace = district.hub_namespace();
        let existing = Api::<Namespace>::all(context.hub.client.clone()).get_opt(namespace).await.context(|| format!("read namespace {namespace}"))?;
        let sites = Api::<Site>::all(context.hub.client.clone()).list(&ListParams::default()).await.context(|| "list the sites".into())?.items;
        let all = context.cache.filter_map(None, |other: &District| Some(other.clone())).await?;
        let facts = DistrictFacts {
            namespace_owner: existing.and_then(|found| found.labels().get(DISTRICT_LABEL).cloned()),
            code_owner: code_owner(context, district).await?,
            overlap: overlap(district, &all),
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
            effects: if is_kept_away(district, facts) { Effects::KeepAway } else { Effects::Establish(ended.clone()) },
        }
    }

    async fn perform(&self, context: &Context, district: &District, effects: &Effects, _: Timestamp) -> Result<Vec<ConditionUpdate>> {
        match effects {
            Effects::KeepAway => Ok(Vec::new()),
            Effects::Establish(_) => {
                note_hub_namespaces([district.hub_namespace().to_owned()]);
                apply_namespace(context, &district.name_any(), district.hub_namespace()).await?;
                let limited = limit_objects(context, district).await?;
                Ok([Some(access::apply(context, district).await?), limited].into_iter().flatten().collect())
            }
        }
    }

    fn conclude(_: &District, _: &Observed, mut decision: DecisionOf<Self>, performed: Vec<ConditionUpdate>, _: Timestamp) -> DecisionOf<Self> {
        decision.conditions.splice(0..0, performed);
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

/// Limits how many objects of ours the district may have, as condition ObjectsLimited. The hub's own namespace is the city's and has no limit.
///
/// An object whose number is limited and not counted is refused by the API server. So nothing is limited before the cluster is seen to count our kinds: it may have no
/// controller that does, and one that has just learnt of a kind needs half a minute.
async fn limit_objects(context: &Context, district: &District) -> Result<Option<ConditionUpdate>> {
    let (namespace, wanted) = (district.hub_namespace(), hard(&district.spec.object_limits));
    if namespace == context.hub.namespace {
        return Ok(None);
    }
    let quotas: Api<ResourceQuota> = Api::namespaced(context.hub.client.clone(), namespace);
    let what = || format!("limit the objects of district {}", district.name_any());
    let there = quotas.get_opt(QUOTA_NAME).await.context(what)?;
    let is_there = there.as_ref().is_some_and(|quota| is_as_wanted(amounts(quota), &wanted));
    if !is_there {
        if !counts_our_kinds(context).await? {
            let message =
                "the hub's cluster does not count objects for quotas (yet), so the district's have no limit: is its controller resourcequota running?";
            return Ok(Some(ConditionUpdate::unknown(ConditionType::ObjectsLimited, Reason::QuotaNotCounted, message)));
        }
        context.hub.leadership.ensure()?;
        let document = quota(QUOTA_NAME, &district.name_any(), &wanted);
        quotas.patch(QUOTA_NAME, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.context(what)?;
        // People would meet the moment in which it is not counted yet just when the district becomes Ready.
        let counted = async {
            while !quotas.get_opt(QUOTA_NAME).await.context(what)?.is_some_and(|quota| is_counted(&quota, &wanted)) {
                tokio::time::sleep(QUOTA_COUNT_INTERVAL).await;
            }
            Ok::<(), Error>(())
        };
        tokio::time::timeout(QUOTA_COUNT_TIMEOUT, counted).await.unwrap_or(Ok(()))?;
    }
    let limits = &district.spec.object_limits;
    let message = format!(
        "{}, {} and {} at most: kubectl describe quota {QUOTA_NAME} -n {namespace}",
        Noun::Application.count(limits.applications),
        Noun::Backup.count(limits.backups),
        Noun::Repository.count(limits.backup_repositories)
    );
    Ok(Some(ConditionUpdate::good(ConditionType::ObjectsLimited, Reason::QuotaApplied, message)))
}

/// Whether the cluster counts our kinds: a quota of the operator's own namespace, for a kind that nobody makes there, is counted.
async fn counts_our_kinds(context: &Context) -> Result<bool> {
    let probe = BTreeMap::from([(format!("count/{}.{GROUP}", Platform::plural(&())), "0".to_owned())]);
    let quotas: Api<ResourceQuota> = Api::namespaced(context.hub.client.clone(), &context.hub.namespace);
    let what = || "see whether the hub's cluster counts our kinds".to_owned();
    if let Some(quota) = quotas.get_opt(QUOTA_PROBE_NAME).await.context(what)? {
        return Ok(is_counted(&quota, &probe));
    }
    context.hub.leadership.ensure()?;
    let document = quota(QUOTA_PROBE_NAME, "", &probe);
    quotas.patch(QUOTA_PROBE_NAME, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.context(what)?;
    Ok(false)
}

fn quota(name: &str, district: &str, hard: &BTreeMap<String, String>) -> Value {
    let labels = if district.is_empty() { json!({}) } else { json!({DISTRICT_LABEL: district}) };
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "labels": labels}, "spec": {"hard": hard}})
}

fn amounts(quota: &ResourceQuota) -> impl Iterator<Item = (&String, &String)> {
    quota.spec.iter().filter_map(|spec| spec.hard.as_ref()).flatten().map(|(name, amount)| (name, &amount.0))
}

fn is_counted(quota: &ResourceQuota, wanted: &BTreeMap<String, String>) -> bool {
    let used = quota.status.as_ref().and_then(|status| status.used.as_ref());
    used.is_some_and(|used| wanted.keys().all(|name| used.contains_key(name)))
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

#[cfg(test)]
mod tests {
    use super::{super::run::fake_hub::FakeHub, *};
    use crate::{context::tests::process, hub_cache::HubCache};

    fn district(namespace: &str, applications: i32) -> District {
        let spec = json!({"code": "370202", "names": {"en": "Shinan"}, "namespace": namespace, "sites": [{"siteRef": {"name": "here"}, "role": "Primary"}],
            "objectLimits": {"applications": applications}});
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"}, "spec": spec}))
            .expect("a district")
    }

    #[tokio::test]
    async fn fault_e10_the_number_of_a_districts_objects_is_limited_as_it_says_once_the_cluster_counts_them() {
        let hub = FakeHub::default();
        let context = process(&hub.client(), HubCache::default());
        let limit = async |applications: i32| limit_objects(&context, &district("shinan-hub", applications)).await.expect("no error").expect("a condition");
        // Nobody counts: what is limited would be refused.
        for _ in 0..2 {
            assert_eq!(limit(5000).await.reason, Reason::QuotaNotCounted);
        }
        assert!(hub.get("resourcequotas", QUOTA_NAME).is_none());
        let mut probe = hub.get("resourcequotas", QUOTA_PROBE_NAME).expect("it was asked");
        assert_eq!(probe["metadata"]["namespace"], "p861-system");
        probe["status"] = json!({"used": {"count/platforms.platform861.io": "0"}});
        hub.put("resourcequotas", &probe);
        let quota = || hub.get("resourcequotas", QUOTA_NAME).expect("a quota");
        assert!(limit(5000).await.holds());
        let made = quota();
        let hard = &made["spec"]["hard"];
        assert_eq!((&hard["count/applications.platform861.io"], &hard["count/backuprepositories.platform861.io"]), (&json!("5000"), &json!("8")), "{made}");
        assert_eq!(made["metadata"]["namespace"], "shinan-hub");
        // The API server writes it in its own way, and it stays as it is.
        let mut written = made.clone();
        written["spec"]["hard"]["count/applications.platform861.io"] = json!("5k");
        hub.put("resourcequotas", &written);
        let before = quota();
        assert!(limit(5000).await.holds());
        assert_eq!(quota(), before);
        assert!(limit(20).await.holds());
        assert_eq!(quota()["spec"]["hard"]["count/applications.platform861.io"], "20");
        assert_eq!(limit_objects(&context, &district("p861-system", 20)).await.expect("no error"), None, "the city's own has no limit");
    }
}
