//! Restore: one run of the restore plan, or its preview.

use super::{active_site, all, backup, district_of, drill::claim_of, is_allotted, named};
use crate::{
    context::Context,
    drive::{Drive, announce, record},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use p861_core::{
    conditions::{self, Verdict},
    engine::{Outcome, Plan, RunResult},
    protection::{
        choose::{self, RecoveryPoint},
        restore::{self, RestoreFacts},
    },
    runs::Action,
    time::parse_duration,
};
use p861_crds::{
    Application, Backup, Restore, RestoreStatus, Time,
    common::RunPhase,
    names::{DISTRICT_LABEL, FIELD_MANAGER},
    protection::restore::{RestoreChanges, RestoreMode},
};
use p861_runs::{
    self as runs, JournalStore, Pass, RunIdentity,
    error::{Category, Error, Result, Tried as _},
    finalizer, repository,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// The controller.
pub struct RestoreDriver;

impl Drive for RestoreDriver {
    type Kind = Restore;
    const CONDITION: &'static str = "Succeeded";

    async fn pass(&self, context: &Context, object: Arc<Restore>, now: Timestamp) -> Result<Duration> {
        let before = object.status.clone().unwrap_or_default();
        let deleted_unbegun = object.metadata.deletion_timestamp.is_some() && !finalizer::is_held(object.as_ref());
        if before.phase.is_some_and(RunPhase::is_end) || deleted_unbegun {
            finalizer::hold(&context.hub, object.as_ref(), false).await?;
            return Ok(backup::REST);
        }
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        // A run that has begun needs neither its backup's object nor its application's any more: it goes by its plan.
        let (point, application) = match begun(&before) {
            Some(point) => (point, None),
            None => match source(context, &object).await {
                Ok((point, application)) => (point, Some(application)),
                Err(error) if error.category() == Category::Invalid && before.journal.is_none() => return refuse(context, &object, &error, now).await,
                Err(error) => return Err(error),
            },
        };
        finalizer::hold(&context.hub, object.as_ref(), true).await?;
        let run = RunIdentity {
            kind: "Restore",
            namespace: namespace.clone(),
            name: name.clone(),
            uid: object.uid().unwrap_or_default(),
            repository: point.repository.clone(),
        };
        let owner = object.controller_owner_ref(&()).ok_or_else(|| Error::Internal("the Restore has no UID".into()))?;
        let store =
            JournalStore::ConfigMap { client: context.hub.client.clone(), namespace: namespace.clone(), name: format!("{name}-restore-journal"), owner };
        let pass = match runs::pass(&context.runs, &run, &store, &finalizer::actions(object.as_ref(), &object.spec.actions), async || {
            compile(context, &object, &point, application.as_ref()).await
        })
        .await
        {
            Ok(pass) => pass,
            Err(error) if error.category() == Category::Invalid && before.journal.is_none() => return refuse(context, &object, &error, now).await,
            Err(error) => return Err(error),
        };
        let view = runs::view(&pass, &store.location(), "restore", &name);
        let mut status = before.clone();
        status.observed_generation = object.metadata.generation;
        status.observed_actions = Some(view.observed_actions);
        status.phase = Some(view.phase);
        status.start_time = view.start_time;
        status.completion_time = view.completion_time;
        status.steps = Some(view.steps);
        status.current_steps = view.current_steps;
        status.progress = view.progress;
        status.journal = Some(view.journal);
        status.site = pass.plan.steps().iter().find_map(|step| step.action.site().map(str::to_owned));
        // A newer backup that ends meanwhile changes nothing: the run goes on with what it was compiled for.
        if before.journal.is_none() {
            status.backup = Some(point.backup.clone());
            status.snapshot_id = Some(point.snapshot.clone());
            status.recovery_point_time = Some(Time(point.time));
            status.repository = Some(point.repository.clone());
        }
        let verdict = conclude(&pass, &object, &mut status);
        status.conditions = conditions::apply(&status.conditions, &[verdict], object.metadata.generation, now);
        if view.phase.is_end() && object.spec.mode == RestoreMode::Preview {
            store_preview(context, &object, &pass).await?;
        }
        if view.phase.is_end()
            && let Some(message) = choose::damage_in(&pass.summary.timeline, |_| true)
        {
            // Known from here on: the next restore or drill takes another one.
            backup::note_verdict(context, &namespace, &point.backup, Verdict::bad("Verified", "Damaged", message), None).await?;
        }
        record(context, object.as_ref(), object.status.as_ref(), &status).await?;
        backup::tell(context, object.as_ref(), &pass).await;
        if view.phase.is_end() {
            backup::ended(context, &run, &pass);
            finalizer::hold(&context.hub, object.as_ref(), false).await?;
            return Ok(backup::REST);
        }
        Ok(backup::next_look(&pass))
    }
}

/// What a run that has begun restores.
fn begun(status: &RestoreStatus) -> Option<RecoveryPoint> {
    status.journal.as_ref()?;
    let (backup, snapshot, repository) = (status.backup.clone()?, status.snapshot_id.clone()?, status.repository.clone()?);
    Some(RecoveryPoint { backup, snapshot, repository, time: status.recovery_point_time.as_ref()?.0, level: None })
}

/// The run can't be started; the object says why, and stays as it is.
async fn refuse(context: &Context, object: &Restore, error: &Error, now: Timestamp) -> Result<Duration> {
    let mut status = object.status.clone().unwrap_or_default();
    status.phase = Some(RunPhase::Refused);
    status.observed_generation = object.metadata.generation;
    status.start_time = Some(Time(now));
    status.completion_time = Some(Time(now));
    status.conditions = conditions::apply(&status.conditions, &[Verdict::bad("Succeeded", error.reason(), error.to_string())], object.metadata.generation, now);
    record(context, object, object.status.as_ref(), &status).await?;
    announce(&context.hub.client, &context.hub.identity, object, "RunFinished", &error.to_string(), true).await;
    finalizer::hold(&context.hub, object, false).await?;
    Ok(backup::REST)
}

/// The backup that is restored, and the application that it is of. A damaged one is refused by name, with the newest sound one.
async fn source(context: &Context, object: &Restore) -> Result<(RecoveryPoint, Application)> {
    let namespace = object.namespace().unwrap_or_default();
    let backups: Vec<Backup> = all(&context.hub.client, &namespace).await?;
    let source = &object.spec.source;
    let refuse = |error: choose::NoRecoveryPoint| Error::invalid("NoRecoveryPoint", error.to_string());
    let (application, point) = if let Some(reference) = &source.backup_ref {
        let chosen: Backup = named(&context.hub.client, &namespace, &reference.name).await?;
        let application = chosen.spec.application_ref.name.clone();
        if choose::is_damaged(&chosen) {
            let other = choose::newest_sound(&application, &backups, None)
                .map_or_else(|error| error.to_string(), |point| format!("the newest sound one is {}", point.backup));
            return Err(Error::invalid("Damaged", format!("backup {} is damaged in its repository; {other}", reference.name)));
        }
        let point = choose::newest_sound(&application, std::iter::once(&chosen), None);
        (
            application,
            point.map_err(|_| {
                Error::invalid("NoRecoveryPoint", format!("backup {} has not succeeded: p861 backup list {}", reference.name, chosen.spec.application_ref.name))
            })?,
        )
    } else if let Some(reference) = &source.application_ref {
        let point = choose::newest_sound(&reference.name, &backups, source.not_after_time.as_ref().map(|time| time.0)).map_err(refuse)?;
        (reference.name.clone(), point)
    } else if let Some(snapshot) = &source.snapshot {
        let of_snapshot = backups.iter().find(|b| b.status.as_ref().and_then(|s| s.snapshot_id.as_deref()).is_some_and(|id| id.starts_with(&snapshot.id)));
        let chosen = of_snapshot.ok_or_else(|| {
            Error::invalid("SnapshotMissing", format!("no Backup of this namespace has snapshot {}: restic snapshots, or p861 backup list", snapshot.id))
        })?;
        let application = chosen.spec.application_ref.name.clone();
        let point = choose::newest_sound(&application, std::iter::once(chosen), None).map_err(refuse)?;
        (application, point)
    } else {
        return Err(Error::invalid("Invalid", "give exactly one of source.backupRef, source.applicationRef and source.snapshot"));
    };
    Ok((point, named(&context.hub.client, &namespace, &application).await?))
}

async fn compile(context: &Context, object: &Restore, point: &RecoveryPoint, application: Option<&Application>) -> Result<Plan<Action>> {
    let application = application.ok_or_else(|| {
        Error::Internal(format!(
            "the journal of Restore {} is gone: what it did can't be known; look at what it wrote, and create another Restore",
            object.name_any()
        ))
    })?;
    let namespace = object.namespace().unwrap_or_default();
    let district = district_of(&context.hub.client, &namespace).await?;
    let site = match &object.spec.target.site_ref {
        Some(site) => site.name.clone(),
        None => active_site(&district)?,
    };
    let parts = repository::parts_of(&context.hub, &namespace, point).await?;
    let first = application.spec.namespaces.first().cloned().unwrap_or_default();
    let claims = parts.unwrap_or_default().iter().filter_map(|part| claim_of(part, &first)).collect::<Vec<_>>();
    let deadline = parse_duration(&object.spec.deadline.0).map_err(|error| Error::invalid("Invalid", format!("spec.deadline: {error}")))?;
    let facts = RestoreFacts { spec: &object.spec, application: &application.spec, site: &site, point, claims: &claims, deadline };
    let targets = restore::namespaces(&facts);
    if let Some(foreign) = targets.values().find(|target| !is_allotted(&district, target)) {
        return Err(Error::invalid(
            "NamespaceNotAllotted",
            format!("namespace {foreign} is not the district's: see spec.siteNamespaces of District {}", district.name_any()),
        ));
    }
    // The movers run in the target namespaces, so those are made before the first step; an existing one is left as it is.
    let client = context.sites.client(&site).await?;
    let namespaces: Api<Namespace> = Api::all(client);
    for target in targets.values() {
        if namespaces.get_opt(target).await.tried(|| format!("read namespace {target} on {site}"))?.is_none() {
            context.hub.leadership.ensure()?;
            let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target, "labels": {DISTRICT_LABEL: district.name_any()}}});
            namespaces
                .patch(target, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document))
                .await
                .tried(|| format!("make namespace {target} on {site}"))?;
        }
    }
    restore::compile(&facts).map_err(|error| Error::invalid("Invalid", error.to_string()))
}

fn conclude(pass: &Pass, object: &Restore, status: &mut RestoreStatus) -> Verdict {
    let objects = pass.summary.timeline.iter().find(|step| step.id.as_str() == "objects" && step.outcome == Outcome::Done).map(|step| &step.evidence);
    if let Some(changes) = objects.and_then(|evidence| evidence.get("changes")) {
        status.changes = serde_json::from_value::<RestoreChanges>(changes.clone()).ok();
    }
    let files: u64 = pass.summary.timeline.iter().filter_map(|step| step.evidence.get("files").and_then(Value::as_u64)).sum();
    match &pass.summary.result {
        None => Verdict::unknown("Succeeded", "Running", pass.summary.current.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join(", ")),
        Some((RunResult::Succeeded, ..)) => {
            let changes = status.changes.clone().unwrap_or_default();
            let text = if object.spec.mode == RestoreMode::Preview {
                format!("would create {}, change {}; {} same, {} refused", changes.create, changes.change, changes.same, changes.refused)
            } else {
                format!("{} objects, {files} files", changes.create + changes.change)
            };
            Verdict::good("Succeeded", if object.spec.mode == RestoreMode::Preview { "Previewed" } else { "Complete" }, text)
        }
        Some((_, reason, message)) => Verdict::bad("Succeeded", reason, message.clone()),
    }
}

/// What a preview found by name, for `p861 restore preview --list`.
async fn store_preview(context: &Context, object: &Restore, pass: &Pass) -> Result<()> {
    let listed = pass
        .summary
        .timeline
        .iter()
        .find(|step| step.id.as_str() == "objects")
        .and_then(|step| step.evidence.get("listed").cloned())
        .unwrap_or_else(|| json!([]));
    let name = format!("{}-preview", object.name_any());
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), &object.namespace().unwrap_or_default());
    context.hub.leadership.ensure()?;
    let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": [object.controller_owner_ref(&())]}, "data": {"preview.json": listed.to_string()}});
    maps.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await.tried(|| format!("write ConfigMap {name}"))?;
    Ok(())
}
