//! Backup: one run of the backup plan.

mod behind;
mod down;

use super::{
    active_site, all, district_of, named, refuse_foreign_namespaces, refuse_taken_namespaces,
    run::{runs_of, scope_of},
};
use crate::context::Context;
use behind::{behind_claims, snapshots_of};
use down::note_down;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    core::v1::{Namespace, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use p861_core::{
    engine::Plan,
    ids::{SiteName, SnapshotId},
    protection::{
        backup::{self, BackupFacts, Claim},
        choose, claims, conclude,
        default_repository::default_repository,
        half_restored,
        policy::holding::followed,
        readable::{self, ClaimState},
        volumes,
    },
    quantity::Quantity,
    runs::{Action, ClaimSnapshot, Conclusion, Request, RunClass, RunOutcome, SiteNamespace},
    time::parse_limit,
};
use p861_crds::{
    Application, ApplicationSpec, Backup, BackupPolicy, BackupRepository, BackupStatus, ConditionType, Reason, RecoveryPlan, Restore, common::RunPhase,
    protection::backup::MissingClaim,
};
use p861_runs::{
    Pass, Readiness, RunKind, RunPlace, RunRecord,
    error::{Error, ErrorContext as _, Result},
    kind::{journal_on_hub, remembered, request_of, to_remember},
    repository,
    sites::list_all,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// Annotation of a claim that names its StorageClass, from before `spec.storageClassName`.
const OLD_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// Annotation of a claim whose first pod has got a node, so that its volume is made.
const SELECTED_NODE_ANNOTATION: &str = "volume.kubernetes.io/selected-node";
/// The `volumeBindingMode` of a StorageClass that makes volumes for the first pod.
const FIRST_POD: &str = "WaitForFirstConsumer";
/// Time until the repository's status is checked again.
const REPOSITORY_INTERVAL: Duration = Duration::from_secs(2);

/// Backups.
pub struct BackupRun {
    context: Context,
}

impl From<Context> for BackupRun {
    fn from(context: Context) -> Self {
        Self { context }
    }
}

/// Input of the compiler.
pub struct Source {
    application: ApplicationSpec,
    site: SiteName,
    claims: Vec<Claim>,
    missing: Vec<MissingClaim>,
    snapshots: Vec<ClaimSnapshot>,
    /// The Restore that has ended half way in the application, if nothing has made it whole since.
    half_restored: Option<String>,
    parent: Option<SnapshotId>,
    deadline: SignedDuration,
    policy: Option<String>,
}

/// State that a backup depends on.
pub struct Facts {
    repository: String,
    /// None once the run has begun.
    source: Option<Source>,
    begun: Begun,
}

/// What it is begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    /// Where it reads.
    reads: BTreeSet<SiteNamespace>,
    /// The policy that it follows.
    policy: Option<String>,
}

impl RunKind for BackupRun {
    type Object = Backup;
    type Facts = Facts;
    const CLASS: RunClass = RunClass::Backup;

    async fn locate(&self, backup: &Backup, begun: Option<&RunRecord>) -> Result<Readiness<RunPlace>> {
        let namespace = backup.namespace().unwrap_or_default();
        let repository = if let Some(begun) = begun {
            begun.repository.clone()
        } else {
            let repository = repository_of(&self.context, backup).await?;
            if !was_looked_at(&repository) {
                let message = format!("repository {} was not opened yet; if that lasts, this says why: p861 -d {namespace} status", repository.name_any());
                return Ok(Readiness::Wait { reason: Reason::RepositoryUnopened, message, again: REPOSITORY_INTERVAL });
            }
            repository.name_any()
        };
        let journal = journal_on_hub(&self.context.hub, backup, Self::CLASS, &Self::run_uid(backup))?;
        let scope = scope_of(&self.context, &namespace, &repository, begun).await?;
        let repository_runs = runs_of(&self.context, &namespace, &repository).await?;
        Ok(Readiness::Ready(RunPlace { repository, repository_runs, journal, scope }))
    }

    async fn gather(&self, backup: &Backup, place: &RunPlace, begun: Option<&RunRecord>) -> Result<Facts> {
        let repository = place.repository.clone();
        if let Some(begun) = begun {
            return Ok(Facts { repository, source: None, begun: remembered(begun)? });
        }
        let source = source(&self.context, backup).await?;
        let reads = source.application.namespaces.iter().map(|namespace| SiteNamespace { site: source.site.clone(), namespace: namespace.clone() });
        let begun = Begun { reads: reads.collect(), policy: source.policy.clone() };
        Ok(Facts { repository, begun, source: Some(source) })
    }

    fn remember(facts: &Facts) -> Result<serde_json::Value> {
        to_remember(&facts.begun)
    }

    fn request(backup: &Backup, place: &RunPlace, facts: &Facts) -> Option<Request> {
        let site = facts.source.as_ref().map(|source| source.site.clone()).or_else(|| backup.status.as_ref()?.site.as_deref().map(SiteName::from));
        Some(Request {
            applications: [backup.spec.application_ref.name.clone()].into(),
            sites: site.into_iter().collect(),
            reads: facts.begun.reads.clone(),
            ..request_of(backup, Self::CLASS, place)
        })
    }

    fn compile(backup: &Backup, facts: &Facts) -> Result<Plan<Action>> {
        let source = facts.source.as_ref().ok_or_else(|| Error::Internal("a backup that has begun is compiled again".into()))?;
        let (name, namespace) = (backup.name_any(), backup.namespace().unwrap_or_default());
        let facts = BackupFacts {
            backup: &name,
            application: &backup.spec.application_ref.name,
            district: &namespace,
            site: &source.site,
            spec: &source.application,
            claims: &source.claims,
            missing: &source.missing,
            snapshots: &source.snapshots,
            half_restored: source.half_restored.as_deref(),
            parent: source.parent.as_ref(),
            deadline: source.deadline,
        };
        backup::compile(&facts).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))
    }

    fn conclude(_: &Backup, facts: &Facts, before: &BackupStatus, run: &RunOutcome<'_>) -> Conclusion<BackupStatus> {
        let before = BackupStatus { repository: Some(facts.repository.clone()), policy: facts.begun.policy.clone(), ..before.clone() };
        conclude::backup(&before, run)
    }

    async fn finish(&self, backup: &Backup, facts: &Facts, status: &mut BackupStatus, _: &Pass) -> Result<()> {
        let (namespace, uid) = (backup.namespace().unwrap_or_default(), backup.uid().unwrap_or_default());
        let result = match status.phase {
            Some(RunPhase::Succeeded) => "Succeeded",
            Some(RunPhase::Aborted) => "Aborted",
            _ => "Failed",
        };
        self.context.metrics.backup_runs.with_label_values(&[namespace.as_str(), backup.spec.application_ref.name.as_str(), result]).inc();
        // What is sealed stays, also if it lacks something: its parts are gone by then, and only unsealed ones are forgotten.
        if status.phase != Some(RunPhase::Succeeded)
            && let Err(error) = repository::forget_unsealed(&self.context.hub, &namespace, &facts.repository, &uid).await
        {
            // Not fatal: leftovers only cost space in the repository.
            tracing::warn!(backup = backup.name_any(), "what it stored before it failed stays in the repository: {error}");
        }
        Ok(())
    }
}

/// The policy that a Backup follows. One that is gone by now says nothing: a backup without it is better than none.
async fn policy_of(context: &Context, backup: &Backup) -> Result<Option<BackupPolicy>> {
    let namespace = backup.namespace().unwrap_or_default();
    let own = |application: &Application| (application.name_any() == backup.spec.application_ref.name).then(|| application.clone());
    let applications = context.cache.filter_map(Some(&namespace), own).await?;
    Ok(followed(backup, &applications, &context.cache.list::<BackupPolicy>(&namespace).await?).cloned())
}

/// The repository that the Backup names, or the one that [`default_repository`] finds.
async fn repository_of(context: &Context, backup: &Backup) -> Result<BackupRepository> {
    let namespace = backup.namespace().unwrap_or_default();
    if let Some(reference) = &backup.spec.repository_ref {
        return named(&context.hub.client, &namespace, &reference.name).await;
    }
    let mut there: Vec<BackupRepository> = all(&context.hub.client, &namespace).await?;
    let names: Vec<String> = there.iter().map(ResourceExt::name_any).collect();
    let (plans, policy, backups) = if names.len() > 1 {
        (context.cache.list::<RecoveryPlan>(&namespace).await?, policy_of(context, backup).await?, context.cache.list::<Backup>(&namespace).await?)
    } else {
        (Vec::new(), None, Vec::new())
    };
    let chosen = default_repository((&namespace, &backup.spec.application_ref.name), &names, &plans, policy.as_ref(), &backups);
    let chosen = chosen.map_err(|error| Error::invalid(Reason::NoRepository, error.to_string()))?;
    let at = names.iter().position(|name| *name == chosen).ok_or_else(|| Error::Internal(format!("repository {chosen} was chosen and is not there")))?;
    Ok(there.swap_remove(at))
}

/// Whether its controller has reported its state. A repository that was just declared is opened in a moment, so a backup waits instead of failing.
fn was_looked_at(repository: &BackupRepository) -> bool {
    repository.status.iter().flat_map(|status| &status.conditions).any(|condition| condition.type_ == ConditionType::Ready && condition.status != "Unknown")
}

/// Reads the application and its namespaces.
async fn source(context: &Context, backup: &Backup) -> Result<Source> {
    let namespace = backup.namespace().unwrap_or_default();
    let name = &backup.spec.application_ref.name;
    let application: Application = named(&context.hub.client, &namespace, name).await?;
    let restores: Vec<Restore> = all(&context.hub.client, &namespace).await?;
    let half_restored = half_restored::mixed_by(&application, &restores, Timestamp::now());
    let district = district_of(&context.hub.client, &namespace).await?;
    refuse_foreign_namespaces(&district, &application)?;
    refuse_taken_namespaces(context, &application).await?;
    let site = active_site(context, &district, name).await?;
    let client = context.sites.client(&site).await?;
    let states = claim_states(&client, &site, &application.spec.namespaces).await?;
    let mut claims = claims_among(&states, &site, &application)?;
    let states: Vec<&ClaimState> = states.values().flatten().collect();
    let (stand, classes) = behind_claims(context, &namespace, (&client, &site), &application.spec, &states).await?;
    let policy = policy_of(context, backup).await?;
    let method = policy.as_ref().map_or(volumes::DEFAULT_VOLUME_METHOD, |policy| policy.spec.volume_method);
    let mut saved = volumes::decide(name, &application.spec, method, &stand, &classes).map_err(|error| Error::invalid(error.reason(), error.to_string()))?;
    // A mover would wait for such a claim until the deadline, and the backup would lack it in the end.
    let missing =
        readable::missing(name, &application.spec, &saved, states.iter().copied()).map_err(|error| Error::invalid(error.reason(), error.to_string()))?;
    claims.retain(|claim| !missing.contains_key(claim));
    saved.retain(|claim, _| !missing.contains_key(claim));
    let missing = missing.into_values().collect();
    let snapshots = snapshots_of(&saved, &states);
    let others: Vec<Backup> = all(&context.hub.client, &namespace).await?;
    let parent = choose::newest_sound(name, &others, None).ok().map(|point| point.snapshot);
    let deadline = parse_limit("spec.deadline", &backup.spec.deadline.0).map_err(|error| Error::invalid(Reason::Invalid, error))?;
    let policy = policy.map(|policy| policy.name_any());
    Ok(Source { application: application.spec, site: site.into(), claims, missing, snapshots, half_restored, parent, deadline, policy })
}

/// The claims of an application, sorted by name. A missing namespace is an error: it must not become an empty backup.
fn claims_among(states: &HashMap<String, Vec<ClaimState>>, site: &SiteName, application: &Application) -> Result<Vec<Claim>> {
    own_claims(site, application, |namespace| Some(states.get(namespace)?.iter().map(|state| state.claim.name.clone()).collect()))
}

/// The claims of some namespaces as they stand on a site. A namespace that doesn't exist is left out.
pub async fn claim_states(client: &Client, site: &SiteName, namespaces: impl IntoIterator<Item = &String>) -> Result<HashMap<String, Vec<ClaimState>>> {
    let mut there = HashMap::new();
    for namespace in namespaces {
        if Api::<Namespace>::all(client.clone()).get_opt(namespace).await.context(|| format!("read namespace {namespace} on {site}"))?.is_none() {
            continue;
        }
        let list = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace)
            .list(&ListParams::default())
            .await
            .context(|| format!("list the claims of {namespace} on {site}"))?;
        let own = list.items.iter().filter(|claim| !volumes::is_of_run(claim.labels()));
        let mut states: Vec<ClaimState> = own.map(|claim| claim_state(namespace, claim)).collect();
        if states.iter().any(|state| state.single_pod) {
            let pods = Api::<Pod>::namespaced(client.clone(), namespace);
            let pods = pods.list(&ListParams::default()).await.context(|| format!("list the pods of {namespace} on {site}"))?;
            for state in &mut states {
                state.used_by = pods.items.iter().find(|pod| uses(pod, &state.claim.name)).map(ResourceExt::name_any);
            }
        }
        there.insert(namespace.clone(), states);
    }
    note_unused(client, site, &mut there).await?;
    note_down(client, site, &mut there).await?;
    Ok(there)
}

/// Notes which claims without a volume wait for their first pod. Classes are read only if there are such claims.
async fn note_unused(client: &Client, site: &SiteName, there: &mut HashMap<String, Vec<ClaimState>>) -> Result<()> {
    if there.values().flatten().all(|state| state.volume.is_some()) {
        return Ok(());
    }
    let classes = list_all(&Api::<StorageClass>::all(client.clone()), || format!("the storage classes of {site}")).await?;
    for state in there.values_mut().flatten() {
        state.waits_for_first_pod &= makes_for_first_pod(&classes, state.storage_class.as_deref());
    }
    Ok(())
}

/// Whether the class of that name is there and makes a volume once a pod has a node.
fn makes_for_first_pod(classes: &[StorageClass], name: Option<&str>) -> bool {
    let class = classes.iter().find(|class| Some(class.name_any().as_str()) == name);
    class.is_some_and(|class| class.volume_binding_mode.as_deref() == Some(FIRST_POD))
}

fn claim_state(namespace: &str, claim: &PersistentVolumeClaim) -> ClaimState {
    let spec = claim.spec.as_ref();
    let has_mode = |modes: &[&str]| spec.and_then(|spec| spec.access_modes.as_ref()).is_some_and(|has| has.iter().any(|mode| modes.contains(&mode.as_str())));
    ClaimState {
        claim: Claim { namespace: namespace.to_owned(), name: claim.name_any() },
        block: spec.and_then(|spec| spec.volume_mode.as_deref()) == Some("Block"),
        single_pod: has_mode(&["ReadWriteOncePod"]),
        shared: has_mode(&["ReadWriteMany", "ReadOnlyMany"]),
        // Unless its class makes a volume at once, which is looked at for all claims together.
        waits_for_first_pod: !claim.annotations().contains_key(SELECTED_NODE_ANNOTATION),
        phase: claim.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default(),
        deleting: claim.metadata.deletion_timestamp.is_some(),
        // Kubernetes prefers the old annotation.
        storage_class: claim.annotations().get(OLD_CLASS_ANNOTATION).or(spec.and_then(|spec| spec.storage_class_name.as_ref())).cloned(),
        volume: spec.and_then(|spec| spec.volume_name.clone()),
        bytes: bytes_of(claim),
        used_by: None,
        node_down: None,
    }
}

/// The size that a claim has, or asks for while it has none.
fn bytes_of(claim: &PersistentVolumeClaim) -> u64 {
    let has = claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage"));
    let asks = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    has.or(asks).and_then(|size| Quantity::parse(&size.0).ok()?.bytes().ok()).unwrap_or_default()
}

/// Whether a pod that has not ended has the claim.
fn uses(pod: &Pod, claim: &str) -> bool {
    let ended = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    !ended && volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref()).any(|source| source.claim_name == claim)
}

/// Like [`claims`], with a function that returns the claims of a namespace; none if it doesn't exist.
pub fn own_claims(site: &SiteName, application: &Application, of: impl Fn(&str) -> Option<Vec<String>>) -> Result<Vec<Claim>> {
    claims::own_claims(site, &application.name_any(), &application.spec, of).map_err(|error| Error::invalid(error.reason(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::protection::readable::Unreadable;
    use serde_json::{Value, json};

    #[test]
    fn only_a_claim_whose_class_waits_for_a_pod_that_never_came_is_unused() {
        let class = |name: &str, mode: Value| -> StorageClass {
            serde_json::from_value(json!({"metadata": {"name": name}, "provisioner": "p", "volumeBindingMode": mode})).expect("a class")
        };
        let classes = [class("late", json!("WaitForFirstConsumer")), class("soon", json!("Immediate")), class("old", Value::Null)];
        for (name, expected) in [(Some("late"), true), (Some("soon"), false), (Some("old"), false), (Some("gone"), false), (None, false)] {
            assert_eq!(makes_for_first_pod(&classes, name), expected, "{name:?}");
        }
        let claim = |annotations: Value| -> PersistentVolumeClaim {
            let metadata = json!({"name": "c", "annotations": annotations});
            serde_json::from_value(json!({"metadata": metadata, "spec": {"storageClassName": "late"}, "status": {"phase": "Pending"}})).expect("a claim")
        };
        let pending = || Some(Unreadable::Unbound("Pending".into()));
        for (annotations, expected) in [(json!({}), Some(Unreadable::Unused)), (json!({SELECTED_NODE_ANNOTATION: "n1"}), pending())] {
            assert_eq!(claim_state("n", &claim(annotations.clone())).unreadable(), expected, "{annotations}");
        }
    }
}
