//! Backup: one run of the backup plan.

use super::{active_site, all, district_of, named, refuse_foreign_namespaces};
use crate::{
    context::Context,
    drive::{Drive, announce, record},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use kube::{Api, Client, Resource as _, ResourceExt, api::ListParams};
use p861_core::{
    conditions::{self, Verdict},
    engine::{Event, Outcome, Plan, RunResult},
    protection::{
        backup::{self, BackupFacts, Claim},
        choose,
    },
    quantity,
    runs::{Action, MoverTask},
    time::parse_duration,
};
use p861_crds::{
    Application, Backup, BackupRepository, BackupStatus, Time,
    common::{Quantity, RunPhase},
    protection::backup::{BackupContents, BackupSize, Consistency, Verification, VerificationLevel},
};
use p861_runs::{
    self as runs, JournalStore, Pass, RunIdentity,
    error::{Category, Error, Result, Tried as _},
    finalizer, repository,
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How often a run with effects under way is looked at.
pub const POLL: Duration = Duration::from_millis(500);
/// An ended run is looked at again only for its deletion.
pub const REST: Duration = Duration::from_secs(600);
/// How soon it is seen whether the repository was opened.
const UNOPENED: Duration = Duration::from_secs(2);

/// The controller.
pub struct BackupDriver;

impl Drive for BackupDriver {
    type Kind = Backup;
    const CONDITION: &'static str = "Succeeded";

    async fn pass(&self, context: &Context, backup: Arc<Backup>, now: Timestamp) -> Result<Duration> {
        let before = backup.status.clone().unwrap_or_default();
        let deleted_unbegun = backup.metadata.deletion_timestamp.is_some() && !finalizer::is_held(backup.as_ref());
        if before.phase.is_some_and(RunPhase::is_end) || deleted_unbegun {
            finalizer::hold(&context.hub, backup.as_ref(), false).await?;
            return Ok(REST);
        }
        let (name, namespace) = (backup.name_any(), backup.namespace().unwrap_or_default());
        let repository = match repository_of(context, &backup).await {
            Ok(repository) => repository,
            Err(error) if error.category() == Category::Invalid => return refuse(context, &backup, &error, now).await,
            Err(error) => return Err(error),
        };
        if before.journal.is_none() && !was_looked_at(&repository) {
            let waits = format!("repository {} was not opened yet: p861 -d {namespace} status says why, if it lasts", repository.name_any());
            let mut status = before.clone();
            let verdict = Verdict::unknown("Succeeded", "RepositoryUnopened", waits);
            status.conditions = conditions::apply(&status.conditions, &[verdict], backup.metadata.generation, now);
            record(context, backup.as_ref(), backup.status.as_ref(), &status).await?;
            return Ok(UNOPENED);
        }
        let repository = repository.name_any();
        finalizer::hold(&context.hub, backup.as_ref(), true).await?;
        let run = RunIdentity {
            kind: "Backup",
            namespace: namespace.clone(),
            name: name.clone(),
            uid: backup.uid().unwrap_or_default(),
            repository: repository.clone(),
        };
        let owner = backup.controller_owner_ref(&()).ok_or_else(|| Error::Internal("the Backup has no UID".into()))?;
        let store = JournalStore::ConfigMap { client: context.hub.client.clone(), namespace: namespace.clone(), name: format!("{name}-backup-journal"), owner };
        let pass =
            runs::pass(&context.runs, &run, &store, &finalizer::actions(backup.as_ref(), &backup.spec.actions), async || compile(context, &backup).await).await;
        let pass = match pass {
            Ok(pass) => pass,
            Err(error) if error.category() == Category::Invalid && before.journal.is_none() => return refuse(context, &backup, &error, now).await,
            Err(error) => return Err(error),
        };
        let view = runs::view(&pass, &store.location(), "backup", &name);
        let mut status = before.clone();
        status.observed_generation = backup.metadata.generation;
        status.observed_actions = Some(view.observed_actions);
        status.phase = Some(view.phase);
        status.start_time = view.start_time;
        status.completion_time = view.completion_time;
        status.steps = Some(view.steps);
        status.current_steps = view.current_steps;
        status.progress = view.progress;
        status.journal = Some(view.journal);
        status.repository = Some(repository);
        status.site = pass.plan.steps().iter().find_map(|step| step.action.site().map(str::to_owned));
        let verdicts = conclude(&pass, &mut status);
        status.conditions = conditions::apply(&status.conditions, &verdicts, backup.metadata.generation, now);
        record(context, backup.as_ref(), backup.status.as_ref(), &status).await?;
        tell(context, backup.as_ref(), &pass).await;
        if view.phase.is_end() {
            let result = match view.phase {
                RunPhase::Succeeded => "Succeeded",
                RunPhase::Aborted => "Aborted",
                _ => "Failed",
            };
            context.metrics.backup_runs.with_label_values(&[namespace.as_str(), backup.spec.application_ref.name.as_str(), result]).inc();
            ended(context, &run, &pass);
            if view.phase != RunPhase::Succeeded
                && let Err(error) = repository::forget_unsealed(&context.hub, &namespace, &run.repository, &run.uid).await
            {
                // They cost room in the repository and nothing else.
                tracing::warn!(backup = name, "what it stored before it failed stays in the repository: {error}");
            }
            finalizer::hold(&context.hub, backup.as_ref(), false).await?;
            return Ok(REST);
        }
        Ok(next_look(&pass))
    }
}

/// When a run is looked at again: soon while effects are under way, otherwise by the engine's clock.
pub fn next_look(pass: &Pass) -> Duration {
    if pass.in_flight {
        return POLL;
    }
    let by_clock = pass.next.and_then(|next| Duration::try_from(next.duration_since(Timestamp::now())).ok());
    by_clock.unwrap_or(Duration::from_secs(5)).clamp(Duration::from_millis(100), Duration::from_secs(5))
}

/// Notes on a Backup what a restore or a drill found out about it. One that is gone meanwhile needs no note.
pub async fn note_verdict(context: &Context, namespace: &str, backup: &str, verdict: Verdict, level: Option<Verification>) -> Result<()> {
    let api: Api<Backup> = Api::namespaced(context.hub.client.clone(), namespace);
    let Some(used) = api.get_opt(backup).await.tried(|| format!("read Backup {backup}"))? else { return Ok(()) };
    let mut proven = used.status.clone().unwrap_or_default();
    if level.is_some() {
        proven.verification = level;
    }
    proven.conditions = conditions::apply(&proven.conditions, &[verdict], used.metadata.generation, Timestamp::now());
    record(context, &used, used.status.as_ref(), &proven).await
}

/// Counts an ended run and forgets it.
pub fn ended(context: &Context, run: &RunIdentity, pass: &Pass) {
    if pass.summary.phase == RunPhase::Failed {
        context.runs.metrics.runs_failed.with_label_values(&[run.namespace.as_str(), run.kind]).inc();
    }
    runs::forget(&context.runs, run);
}

/// Events for what this pass has written: one per change.
pub async fn tell<K: kube::Resource<DynamicType = ()>>(context: &Context, object: &K, pass: &Pass) {
    for record in &pass.records {
        let step = record.step.as_ref().map(ToString::to_string).unwrap_or_default();
        let (reason, note, warning) = match &record.event {
            Event::Claimed { .. } if record.sequence == 1 => ("RunStarted", format!("{} steps", pass.plan.steps().len()), false),
            Event::Failed(failure) => ("StepFailed", format!("{step}: {}", failure.message), true),
            Event::UndoFailed(failure) => ("CleanUpFailed", format!("{step}: {}", failure.message), true),
            Event::Skipped { .. } => ("StepSkipped", step, true),
            Event::Asked { .. } => ("WaitingForPerson", step, true),
            Event::Finished { reason, message, .. } => ("RunFinished", format!("{reason}: {message}"), false),
            _ => continue,
        };
        announce(&context.hub.client, &context.hub.identity, object, reason, &note, warning).await;
    }
}

/// The run can't be started; the object says why, and stays as it is.
async fn refuse(context: &Context, backup: &Backup, error: &Error, now: Timestamp) -> Result<Duration> {
    let mut status = backup.status.clone().unwrap_or_default();
    status.phase = Some(RunPhase::Refused);
    status.observed_generation = backup.metadata.generation;
    status.start_time = Some(Time(now));
    status.completion_time = Some(Time(now));
    status.conditions = conditions::apply(&status.conditions, &[Verdict::bad("Succeeded", error.reason(), error.to_string())], backup.metadata.generation, now);
    record(context, backup, backup.status.as_ref(), &status).await?;
    announce(&context.hub.client, &context.hub.identity, backup, "RunFinished", &error.to_string(), true).await;
    finalizer::hold(&context.hub, backup, false).await?;
    Ok(REST)
}

/// The repository: stated, or the namespace's only one.
async fn repository_of(context: &Context, backup: &Backup) -> Result<BackupRepository> {
    let namespace = backup.namespace().unwrap_or_default();
    if let Some(reference) = &backup.spec.repository_ref {
        return named(&context.hub.client, &namespace, &reference.name).await;
    }
    let mut there: Vec<BackupRepository> = all(&context.hub.client, &namespace).await?;
    match (there.pop(), there.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Error::invalid("NoRepository", format!("namespace {namespace} has no BackupRepository: create one"))),
        (Some(last), false) => {
            let names: Vec<String> = there.iter().map(ResourceExt::name_any).chain([last.name_any()]).collect();
            Err(Error::invalid(
                "NoRepository",
                format!("namespace {namespace} has several repositories ({}): name one in spec.repositoryRef", names.join(", ")),
            ))
        }
    }
}

/// Whether its controller has said yet how it stands: one that was just declared is opened in a moment, and nobody should fail for that moment.
fn was_looked_at(repository: &BackupRepository) -> bool {
    repository.status.iter().flat_map(|status| &status.conditions).any(|condition| condition.type_ == "Ready" && condition.status != "Unknown")
}

/// Looks at the application's namespaces and compiles.
async fn compile(context: &Context, backup: &Backup) -> Result<Plan<Action>> {
    let namespace = backup.namespace().unwrap_or_default();
    let application_name = &backup.spec.application_ref.name;
    let application: Application = named(&context.hub.client, &namespace, application_name).await?;
    let district = district_of(&context.hub.client, &namespace).await?;
    refuse_foreign_namespaces(&district, &application)?;
    let site = active_site(&district)?;
    let client = context.sites.client(&site).await?;
    let claims = claims(&client, &site, &application).await?;
    let others: Vec<Backup> = all(&context.hub.client, &namespace).await?;
    let parent = choose::newest_sound(application_name, &others, None).ok();
    let deadline = parse_duration(&backup.spec.deadline.0).map_err(|error| Error::invalid("Invalid", format!("spec.deadline: {error}")))?;
    let facts = BackupFacts {
        backup: &backup.name_any(),
        application: application_name,
        district: &namespace,
        site: &site,
        spec: &application.spec,
        claims: &claims,
        parent: parent.as_ref().map(|point| point.snapshot.as_str()),
        deadline,
    };
    backup::compile(&facts).map_err(|error| Error::invalid("Invalid", error.to_string()))
}

/// The claims of an application, in order of name. A namespace that doesn't exist is an error, not an empty backup.
pub async fn claims(client: &Client, site: &str, application: &Application) -> Result<Vec<Claim>> {
    let mut there = HashMap::new();
    for namespace in &application.spec.namespaces {
        if Api::<Namespace>::all(client.clone()).get_opt(namespace).await.tried(|| format!("read namespace {namespace} on {site}"))?.is_none() {
            continue;
        }
        let list = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace)
            .list(&ListParams::default())
            .await
            .tried(|| format!("list the claims of {namespace} on {site}"))?;
        there.insert(namespace.as_str(), list.items.iter().map(ResourceExt::name_any).collect());
    }
    own_claims(site, application, |namespace| there.get(namespace).cloned())
}

/// The same, by what each namespace is said to have; none if it doesn't exist.
pub fn own_claims(site: &str, application: &Application, of: impl Fn(&str) -> Option<Vec<String>>) -> Result<Vec<Claim>> {
    let mut found = Vec::new();
    for namespace in &application.spec.namespaces {
        let Some(names) = of(namespace) else {
            return Err(Error::invalid(
                "NamespaceMissing",
                format!("application {}: namespace {namespace} doesn't exist on {site}: correct spec.namespaces", application.name_any()),
            ));
        };
        found.extend(names.into_iter().map(|name| Claim { namespace: namespace.clone(), name }));
    }
    found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    // A pattern may match nothing today; a name that matches nothing is a mistake, and what it meant would be missing from every backup.
    let named = application.spec.volumes.iter().map(|rule| &rule.claim).filter(|claim| !claim.contains('*'));
    if let Some(missing) = named.into_iter().find(|name| !found.iter().any(|claim| claim.name == **name)) {
        let namespaces = application.spec.namespaces.join(", ");
        return Err(Error::invalid(
            "ClaimMissing",
            format!("application {}: claim {missing} doesn't exist in {namespaces} on {site}: correct spec.volumes", application.name_any()),
        ));
    }
    Ok(found)
}

/// Fills in what an ended step proves, and says what follows.
fn conclude(pass: &Pass, status: &mut BackupStatus) -> Vec<Verdict> {
    let timeline = |id: &str| pass.summary.timeline.iter().find(|step| step.id.as_str() == id);
    let done = |id: &str| timeline(id).filter(|step| step.outcome == Outcome::Done).map(|step| &step.evidence);
    if let Some(seal) = done("seal") {
        let text = |key: &str| seal.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| seal.get(key).and_then(Value::as_u64).unwrap_or(0);
        status.snapshot_id = text("snapshot");
        status.recovery_point_time = text("recoveryPointTime").and_then(|time| time.parse().ok()).map(Time);
        let facts = pass.plan.steps().iter().find_map(|step| match &step.action {
            Action::Move { task: MoverTask::Seal { facts }, .. } => Some(facts),
            _ => None,
        });
        let count =
            |prefix: &str| facts.map_or(0, |facts| i32::try_from(facts.parts.iter().filter(|part| part.starts_with(prefix)).count()).unwrap_or(i32::MAX));
        status.consistency = facts.map(|facts| if facts.consistent { Consistency::Application } else { Consistency::Crash });
        status.contents = Some(BackupContents {
            objects: i64::try_from(number("objects")).unwrap_or(i64::MAX),
            cluster_objects: 0,
            volumes: count("volumes/"),
            streams: count("streams/"),
        });
        status.size =
            Some(BackupSize { total: Quantity(quantity::print_bytes(number("bytes"))), added: Some(Quantity(quantity::print_bytes(number("added")))) });
    }
    let mut verdicts = Vec::new();
    if let Some(verify) = timeline("verify") {
        match verify.outcome {
            Outcome::Done => {
                let at = verify.ended.map(Time);
                status.verification = at.map(|verified_time| Verification { level: VerificationLevel::Stored, verified_time });
                verdicts.push(Verdict::good("Verified", "Stored", "every file that it needs is in the repository, and as long as it should be"));
            }
            Outcome::Failed => {
                let failure = verify.failure.as_ref();
                verdicts.push(Verdict::bad(
                    "Verified",
                    failure.map_or("NotYet", |f| f.reason.as_str()),
                    failure.map_or_else(String::new, |f| f.message.clone()),
                ));
            }
            _ => {}
        }
    }
    let succeeded = match &pass.summary.result {
        None => {
            let steps: Vec<&str> = pass.summary.current.iter().map(|step| step.id.as_str()).collect();
            Verdict::unknown("Succeeded", "Running", steps.join(", "))
        }
        Some((RunResult::Succeeded, ..)) => {
            let contents = status.contents.clone().unwrap_or_default();
            Verdict::good("Succeeded", "Complete", format!("{} objects, {} volumes, {} streams", contents.objects, contents.volumes, contents.streams))
        }
        Some((_, reason, message)) => Verdict::bad("Succeeded", reason, message.clone()),
    };
    verdicts.push(succeeded);
    verdicts
}
