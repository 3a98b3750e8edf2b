//! BackupPolicy: which backups begin by their schedules.

use super::window::{until, zone_of};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf, StatusWrite},
    metrics::Metrics,
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::PostParams};
use p861_core::{
    conditions::{ObjectEvent, is_true},
    ids::SiteName,
    protection::policy::{
        decide::{self, PolicyFacts, Start},
        due::is_unfinished,
        seen::Seen,
        slot::SlotRecord,
        standing::RepositoryStands,
    },
    runs::Limits,
};
use p861_crds::{
    Application, Backup, BackupPolicy, BackupPolicyStatus, BackupRepository, ConditionType, Reason,
    names::{APPLICATION_LABEL, POLICY_LABEL},
};
use p861_runs::{
    error::{Error, ErrorContext as _, Result, is_conflict},
    hub::own_name,
    repository::open_store,
    slots::{self, Taking},
};
use parking_lot::Mutex;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::sync::OnceCell;

/// Longest time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// Time between them while something waits or has just begun, and the shortest: of two thousand applications one begins several times a second.
const BUSY_INTERVAL: Duration = Duration::from_secs(2);
/// Time limit for taking a slot in the register of its repository.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);
/// Backups that are made at a time.
const MADE_AT_ONCE: usize = 4;

/// The controller. What it remembers, by namespace, is only of this process; a restart costs that what was missed meanwhile is told.
#[derive(Default)]
pub struct PolicyController {
    seen: Mutex<HashMap<String, Seen>>,
    own_name: OnceCell<String>,
}

/// What a policy does.
#[derive(Clone, Debug, PartialEq)]
pub struct Effects {
    starts: Vec<Start>,
    told: Vec<(String, Timestamp)>,
    newly_missed: usize,
    late: usize,
}

impl Controller for PolicyController {
    type Kind = BackupPolicy;
    type Status = BackupPolicyStatus;
    type Observed = PolicyFacts;
    type Effects = Effects;
    /// What people are told of slots that are another hub's.
    type Performed = Vec<ObjectEvent>;
    const CONDITION: ConditionType = ConditionType::Ready;
    /// It counts on from what it says.
    const STATUS_WRITE: StatusWrite = StatusWrite::IfUnchanged;
    const DECIDES_LONG: bool = true;

    async fn observe(&self, context: &ReadContext, policy: &BackupPolicy, now: Timestamp) -> Result<PolicyFacts> {
        let namespace = policy.namespace().unwrap_or_default();
        let policies = context.cache.list::<BackupPolicy>(&namespace).await?;
        let applications = context.cache.list::<Application>(&namespace).await?;
        let mut backups = context.cache.list::<Backup>(&namespace).await?;
        let stands = |repository: &BackupRepository| Some((repository.name_any(), how_it_stands(repository)));
        let repositories = context.cache.filter_map(Some(&namespace), stands).await?.into_iter().collect();
        let (elsewhere, zone) = (elsewhere(context, &namespace).await?, zone_of(context, &namespace).await?);
        let memory = self.seen.lock().entry(namespace).or_default().look(&policies, &applications, &mut backups, now);
        Ok(PolicyFacts { policies, applications, backups, repositories, zone, limits: Limits::default(), elsewhere, memory })
    }

    fn decide(policy: &BackupPolicy, facts: &PolicyFacts, now: Timestamp) -> DecisionOf<Self> {
        let decided = decide::decide(policy, facts, now);
        let is_busy = decided.waits || !decided.starts.is_empty();
        let next = if is_busy { BUSY_INTERVAL } else { until(decided.next, now).clamp(BUSY_INTERVAL, RECONCILE_INTERVAL) };
        Decision {
            status: decided.status,
            conditions: decided.conditions,
            events: decided.events,
            effects: Effects { starts: decided.starts, told: decided.told, newly_missed: decided.newly_missed, late: decided.late },
            requeue: next,
        }
    }

    /// A backup that can't be made is tried again in a moment, and the status says why.
    async fn perform(&self, context: &Context, policy: &BackupPolicy, effects: &Effects, now: Timestamp) -> Result<Vec<ObjectEvent>> {
        let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
        let late = i64::try_from(effects.late).unwrap_or(i64::MAX);
        context.metrics.backup_late.with_label_values(&[namespace.as_str(), name.as_str()]).set(late);
        let begin = |start: &Start| {
            let start = start.clone();
            async move { (self.begin(context, policy, &start, now).await, start) }
        };
        let begun: Vec<_> = stream::iter(effects.starts.iter().map(begin).collect::<Vec<_>>()).buffered(MADE_AT_ONCE).collect().await;
        let mut known = self.seen.lock();
        let seen = known.entry(namespace).or_default();
        let mut events = Vec::new();
        for (begun, start) in begun {
            match begun {
                Ok(Begun::Made(backup)) => seen.note_made(&start, *backup, now),
                Ok(Begun::Before) => seen.note_settled(&start),
                Ok(Begun::Elsewhere) => {
                    seen.note_settled(&start);
                    let note = format!("backup {} is another hub's, which uses repository {} as well", start.backup, policy.spec.repository_ref.name);
                    events.push(ObjectEvent { reason: Reason::SlotTaken, note, warning: false });
                }
                Err(error) => {
                    tracing::warn!(policy = name, backup = start.backup, "a backup can't begin: {error}");
                    seen.note_hindered(&start, (error.reason(), format!("backup {} can't begin: {error}", start.backup)), now);
                }
            }
        }
        Ok(events)
    }

    fn conclude(_: &BackupPolicy, _: &PolicyFacts, mut decision: DecisionOf<Self>, events: Vec<ObjectEvent>, _: Timestamp) -> DecisionOf<Self> {
        decision.events.extend(events);
        decision
    }

    /// What was missed counts as told once the status says it.
    async fn follow_up(&self, context: &Context, policy: &BackupPolicy, decision: DecisionOf<Self>, _: Timestamp) -> Result<Option<Duration>> {
        let Effects { told, newly_missed, .. } = decision.effects;
        if !told.is_empty() {
            let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
            let missed = context.metrics.backup_slots_missed.with_label_values(&[namespace.as_str(), name.as_str()]);
            missed.inc_by(u64::try_from(newly_missed).unwrap_or(u64::MAX));
            self.seen.lock().entry(namespace).or_default().note_told(&told);
        }
        Ok(None)
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.backup_late.remove_label_values(&[namespace, name]);
        let _ = metrics.backup_slots_missed.remove_label_values(&[namespace, name]);
    }
}

/// What became of a backup whose turn it was.
enum Begun {
    /// Its Backup was made.
    Made(Box<Backup>),
    /// It was before: it is there, or was deleted since.
    Before,
    /// Another hub has taken the slot.
    Elsewhere,
}

impl PolicyController {
    /// Takes the slot in its repository's register, and makes the Backup.
    async fn begin(&self, context: &Context, policy: &BackupPolicy, start: &Start, now: Timestamp) -> Result<Begun> {
        let namespace = policy.namespace().unwrap_or_default();
        let repository = &policy.spec.repository_ref.name;
        let late = |_| Error::transient(Reason::Unreachable, format!("repository {repository} has not answered within {REGISTER_TIMEOUT:?}"));
        let take = async {
            let store = open_store(&context.hub, &namespace, repository).await?;
            let taking = slots::take(&store, &start.application, &SlotRecord::taking(&start.application, &start.uid, start.slot), now).await?;
            Ok::<_, Error>((store, taking))
        };
        let (store, taken) = match tokio::time::timeout(REGISTER_TIMEOUT, take).await.map_err(late)?? {
            (store, Taking::Taken(taken)) => (store, taken),
            (_, Taking::Before) => return Ok(Begun::Before),
            (_, Taking::Elsewhere) => return Ok(Begun::Elsewhere),
        };
        let wanted = self.backup(context, policy, start).await?;
        let backups: Api<Backup> = Api::namespaced(context.hub.client.clone(), &namespace);
        let begun = match backups.create(&PostParams::default(), &wanted).await {
            Ok(made) => Begun::Made(Box::new(made)),
            Err(error) if is_conflict(&error) => Begun::Before,
            Err(error) => return Err(error).context(|| format!("make Backup {}", start.backup)),
        };
        match tokio::time::timeout(REGISTER_TIMEOUT, taken.note_made(&store, &start.application)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(backup = start.backup, "its slot's record stays as it was before the Backup was made: {error}"),
            Err(_) => tracing::warn!(backup = start.backup, "its slot's record stays as it was before the Backup was made: no answer"),
        }
        Ok(begun)
    }

    async fn backup(&self, context: &Context, policy: &BackupPolicy, start: &Start) -> Result<Backup> {
        // Admission requires the name of who asks on clusters that don't fill it in.
        let requester = self.own_name.get_or_try_init(|| own_name(&context.hub.client)).await?;
        let (name, repository) = (policy.name_any(), &policy.spec.repository_ref.name);
        let document = json!({
            "apiVersion": "platform861.io/v1alpha1", "kind": "Backup",
            "metadata": {"name": start.backup, "namespace": policy.namespace(), "labels": {APPLICATION_LABEL: start.application, POLICY_LABEL: name}},
            "spec": {"applicationRef": {"name": start.application}, "policyRef": {"name": name}, "repositoryRef": {"name": repository}, "requestedBy": requester}
        });
        serde_json::from_value(document).map_err(|error| Error::Internal(format!("a Backup can't be written: {error}")))
    }
}

fn how_it_stands(repository: &BackupRepository) -> RepositoryStands {
    let conditions = repository.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == ConditionType::Ready) {
        Some(_) if is_true(conditions, ConditionType::Ready) => {
            RepositoryStands::Ready { runs: usize::try_from(repository.spec.limits.movers).unwrap_or_default() }
        }
        Some(ready) if ready.status == "False" => RepositoryStands::NotReady,
        _ => RepositoryStands::NotSeen,
    }
}

/// Backups of other districts that are under way, by site.
async fn elsewhere(context: &Context, namespace: &str) -> Result<BTreeMap<SiteName, usize>> {
    let site = |backup: &Backup| {
        let is_other = backup.metadata.namespace.as_deref() != Some(namespace);
        (is_other && is_unfinished(backup)).then(|| backup.status.as_ref()?.site.as_deref().map(SiteName::from)).flatten()
    };
    let mut by_site = BTreeMap::new();
    for site in context.cache.filter_map(None, site).await? {
        *by_site.entry(site).or_default() += 1;
    }
    Ok(by_site)
}

#[cfg(test)]
mod tests;
