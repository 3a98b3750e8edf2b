//! The runs that thin out a repository: begun when the repository's controller has decided on one, then carried on until they end, whatever becomes of the repository's object.

use super::{
    super::{
        district_of,
        run::{runs_of, scope_of},
    },
    look::{Look, look},
};
use crate::{context::Context, hub_cache::ReadFrom};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _, api::DeleteParams};
use p861_core::{
    conditions::{self, ConditionUpdate},
    engine::Plan,
    names,
    platform::district::active_sites,
    protection::prune::{self, Ordered, RunFacts, bytes_of},
    runs::{Action, Conclusion, RepositoryUse, Request, RunClass, RunOutcome, RunRef},
};
use p861_crds::{
    Application, BackupRepository, BackupRepositoryStatus, ConditionType, Reason, RecoveryPlan, RunStatus as _, Site, Time,
    common::RunPhase,
    protection::retention::{EndedRetentionRun, RetentionRun, RetentionWork},
};
use p861_runs::{
    Pass, Readiness, RunIdentity, RunKind, RunPlace, RunRecord,
    controller::{self, Carried},
    error::{Category, Error, ErrorContext as _, Result, is_not_found},
    finalizer,
    kind::journal_on_hub,
};
use std::{collections::BTreeSet, time::Duration};

/// A run that has not begun for so long, because others use the repository, is given up: the next night comes.
const BEGIN_PATIENCE: SignedDuration = SignedDuration::from_hours(4);
/// Time between attempts to carry on what only a person, or time, mends.
const HINDERED_INTERVAL: Duration = Duration::from_secs(30);

/// What thins out repositories.
pub struct RetentionRuns {
    context: Context,
}

impl From<Context> for RetentionRuns {
    fn from(context: Context) -> Self {
        Self { context }
    }
}

/// UID of a repository's run, by when that was decided on.
fn uid_of(repository: &BackupRepository, decided: &Time) -> String {
    format!("{}-{}", repository.uid().unwrap_or_default(), decided.0.as_second())
}

fn run_of(repository: &BackupRepository) -> Option<&RetentionRun> {
    repository.status.as_ref()?.retention_run.as_ref()
}

/// Whether a run of it has begun, or is to, and has not ended.
pub fn is_under_way(status: &BackupRepositoryStatus) -> bool {
    status.retention_run.as_ref().is_some_and(|run| !run.phase.is_end())
}

impl RunKind for RetentionRuns {
    type Object = BackupRepository;
    /// None once the run has begun.
    type Facts = Option<RunFacts>;
    const CLASS: RunClass = RunClass::Prune;

    fn run_uid(repository: &BackupRepository) -> String {
        run_of(repository).map(|run| uid_of(repository, &run.decided_time)).unwrap_or_default()
    }

    async fn locate(&self, repository: &BackupRepository, begun: Option<&RunRecord>) -> Result<Readiness<RunPlace>> {
        let name = repository.name_any();
        let journal = journal_on_hub(&self.context.hub, repository, Self::CLASS, &Self::run_uid(repository))?;
        let namespace = repository.namespace().unwrap_or_default();
        let scope = scope_of(&self.context, &namespace, &name, begun).await?;
        let repository_runs = runs_of(&self.context, &namespace, &name).await?;
        Ok(Readiness::Ready(RunPlace { repository: name, repository_runs, journal, scope }))
    }

    async fn gather(&self, repository: &BackupRepository, _: &RunPlace, begun: Option<&RunRecord>) -> Result<Option<RunFacts>> {
        if begun.is_some() {
            return Ok(None);
        }
        let run = run_of(repository).ok_or_else(|| Error::Internal("a repository without a run is asked for its facts".into()))?;
        facts(&self.context, repository, run.work).await.map(Some)
    }

    fn request(repository: &BackupRepository, place: &RunPlace, _: &Option<RunFacts>) -> Option<Request> {
        let decided = run_of(repository)?.decided_time.0;
        let (namespace, name, uid) = (repository.namespace().unwrap_or_default(), repository.name_any(), Self::run_uid(repository));
        let run = RunRef { class: Self::CLASS, namespace, name, uid };
        Some(Request { repository: Some((place.repository.clone(), RepositoryUse::Exclusive)), ..Request::new(run, decided) })
    }

    fn compile(_: &BackupRepository, facts: &Option<RunFacts>) -> Result<Plan<Action>> {
        let facts = facts.as_ref().ok_or_else(|| Error::Internal("a run that has begun is compiled again".into()))?;
        prune::compile(facts).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))
    }

    fn conclude(_: &BackupRepository, _: &Option<RunFacts>, before: &BackupRepositoryStatus, run: &RunOutcome<'_>) -> Conclusion<BackupRepositoryStatus> {
        prune::conclude(before, run)
    }

    async fn finish(&self, repository: &BackupRepository, _: &Option<RunFacts>, status: &mut BackupRepositoryStatus, _: &Pass) -> Result<()> {
        let Some(run) = &status.retention_run else { return Ok(()) };
        let labels = [repository.namespace().unwrap_or_default(), repository.name_any()];
        let counted = |number: Option<u64>| number.unwrap_or_default();
        let metrics = &self.context.metrics;
        metrics.repository_forgotten.with_label_values(&labels).inc_by(counted(run.result.forgotten.and_then(|number| u64::try_from(number).ok())));
        metrics.repository_reclaimed.with_label_values(&labels).inc_by(counted(run.result.reclaimed.as_ref().and_then(bytes_of)));
        Ok(())
    }
}

/// What a run begins with. Removing is irreversible: everything is read from the API server, not from the cache.
async fn facts(context: &Context, repository: &BackupRepository, work: RetentionWork) -> Result<RunFacts> {
    let (namespace, name) = (repository.namespace().unwrap_or_default(), repository.name_any());
    let (from, now) = (ReadFrom::ApiServer, Timestamp::now());
    let ordered = match work {
        RetentionWork::Forget => {
            let Look { plans, facts, .. } = look(context, repository, from, now).await?;
            let on_hub: BTreeSet<String> = facts.backups.iter().map(kube::ResourceExt::name_any).collect();
            let snapshots = prune::order(&plans, &on_hub);
            if snapshots.is_empty() {
                return Err(nothing_to_do());
            }
            Ordered::Forget { at: now, snapshots }
        }
        RetentionWork::Prune => {
            let used = repository.status.as_ref().and_then(|status| status.used.as_ref()).and_then(bytes_of);
            Ordered::Prune { delay: prune::delay(&from.list(context, &namespace).await?), memory_limit: prune::memory_limit(used.unwrap_or_default()) }
        }
    };
    let district = district_of(&context.hub.client, &namespace).await?;
    let applications: Vec<Application> = from.list(context, &namespace).await?;
    let plans: Vec<RecoveryPlan> = from.list(context, &namespace).await?;
    let sites: Vec<Site> = context.cache.filter_map(None, |site: &Site| Some(site.clone())).await?;
    // Where none is stated, any site of the district is as good.
    let active = active_sites(applications.iter().map(kube::ResourceExt::name_any), &plans, &district).unwrap_or_default();
    let (site, place) = prune::place(&district, &repository.spec.failure_domain, &sites, &active, &applications).ok_or_else(|| {
        let message =
            format!("none of the sites of district {} is declared, and the mover of repository {name} runs on one: kubectl get sites", district.name_any());
        Error::transient(Reason::SiteMissing, message)
    })?;
    Ok(RunFacts { district: namespace, site, namespace: place, ordered })
}

/// What was to be forgotten is gone, or stays after all. Not an error: the run comes to nothing.
fn nothing_to_do() -> Error {
    Error::invalid(Reason::NotYet, "nothing is to be forgotten any more")
}

fn is_nothing_to_do(error: &Error) -> bool {
    error.category() == Category::Invalid && error.reason() == Reason::NotYet
}

/// How far the repository's run is.
pub struct Progress {
    /// The repository's status after the pass, of which the fields of the run and what it has come to count.
    pub status: BackupRepositoryStatus,
    /// The run, until its end was recorded.
    pub run: Option<(Box<RunIdentity>, Box<Pass>)>,
    /// Time until the next pass.
    pub again: Duration,
}

/// Makes one pass over the repository's run. Its errors are said on the run: they keep nobody from knowing how the repository is.
pub async fn carry_on(context: &Context, repository: &BackupRepository, now: Timestamp) -> Progress {
    let before = repository.status.clone().unwrap_or_default();
    let kind = RetentionRuns::from(context.clone());
    let decided = before.retention_run.as_ref().map_or(now, |run| run.decided_time.0);
    let says = |status: Option<bool>, reason: Reason, message: String| said(repository, &before, (status, reason, message), now);
    match controller::carry_on(&context.runs, &kind, repository, &before, now).await {
        Ok(Carried::On { status, pass, run }) => Progress { status: *status, run: Some((run, pass)), again: controller::POLL_INTERVAL },
        Ok(Carried::Waits { reason, message, .. }) if now.duration_since(decided) > BEGIN_PATIENCE => {
            context.runs.admissions.end(&RetentionRuns::run_uid(repository));
            let mut progress = says(Some(false), reason, format!("it was not begun: {message}"));
            progress.status.set_not_begun(RunPhase::Refused, Time(now), 0);
            progress
        }
        Ok(Carried::Waits { reason, message, again }) => Progress { again, ..says(None, reason, message) },
        Ok(Carried::Refused { error }) => {
            context.runs.admissions.end(&RetentionRuns::run_uid(repository));
            let mut progress = says(Some(false), error.reason(), error.to_string());
            if is_nothing_to_do(&error) {
                progress.status.retention_run = None;
            } else {
                progress.status.set_not_begun(RunPhase::Refused, Time(now), 0);
            }
            progress
        }
        // What it has done can't be known. Each of its steps may be done again, and what it was to do is decided anew.
        Ok(Carried::JournalMissing { message }) => failed(context, repository, says(Some(false), Reason::JournalMissing, message), now),
        Ok(Carried::Tampered { message, run }) => {
            p861_runs::forget(&context.runs.executor(), &run);
            failed(context, repository, says(Some(false), Reason::JournalTampered, message), now)
        }
        Err(error) if !before.has_begun() && !finalizer::is_held(repository) && now.duration_since(decided) > BEGIN_PATIENCE => {
            let mut progress = says(Some(false), error.reason(), format!("it was not begun: {error}"));
            progress.status.set_not_begun(RunPhase::Refused, Time(now), 0);
            progress
        }
        Err(error) => Progress { again: HINDERED_INTERVAL, ..says(None, error.reason(), format!("it is tried again: {error}")) },
    }
}

/// The run ends as failed, whatever it has done.
fn failed(context: &Context, repository: &BackupRepository, mut progress: Progress, now: Timestamp) -> Progress {
    context.runs.admissions.end(&RetentionRuns::run_uid(repository));
    progress.status.set_failed(Time(now));
    progress
}

/// The status with this said of its run.
fn said(repository: &BackupRepository, before: &BackupRepositoryStatus, what: (Option<bool>, Reason, String), now: Timestamp) -> Progress {
    let (holds, reason, message) = what;
    let update = ConditionUpdate { kind: ConditionType::Succeeded, status: holds, reason, message };
    let mut status = before.clone();
    let told = conditions::apply(p861_crds::RunStatus::conditions(&status), &[update], repository.metadata.generation, now);
    p861_crds::RunStatus::set_conditions(&mut status, told);
    Progress { status, run: None, again: HINDERED_INTERVAL }
}

/// Leaves a run that has ended: a process may have died between its last status and this.
pub async fn leave(context: &Context, repository: &BackupRepository, now: Timestamp) -> Result<Duration> {
    controller::leave(&context.runs, &RetentionRuns::from(context.clone()), repository, now).await
}

/// Call after the repository's status is written: publishes Events and releases a run that has ended. Returns the time until the next pass; none once it has ended.
pub async fn publish(context: &Context, repository: &BackupRepository, run: &RunIdentity, pass: &Pass, now: Timestamp) -> Result<Option<Duration>> {
    controller::publish::<RetentionRuns>(&context.runs, repository, run, pass, now).await
}

/// Removes the journals of runs that are not listed any more.
pub async fn drop_journals(context: &Context, repository: &BackupRepository, after: &BackupRepositoryStatus) -> Result<()> {
    let before = repository.status.iter().flat_map(|status| &status.ended_retention_runs);
    let is_listed = |run: &&EndedRetentionRun| after.ended_retention_runs.iter().any(|other| other.decided_time == run.decided_time);
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), &repository.namespace().unwrap_or_default());
    for dropped in before.filter(|run| !is_listed(run)) {
        let name = names::journal(&repository.name_any(), RunClass::Prune.noun(), &uid_of(repository, &dropped.decided_time));
        match maps.delete(&name, &DeleteParams::default()).await {
            Err(error) if is_not_found(&error) => {}
            done => drop(done.context(|| format!("remove ConfigMap {name}"))?),
        }
    }
    Ok(())
}

/// UIDs of the runs of repositories that have begun and not ended, for admission.
pub fn begun_of(repository: &BackupRepository) -> Option<String> {
    let status = repository.status.as_ref().filter(|status| status.has_begun() && !status.phase().is_some_and(RunPhase::is_end))?;
    status.retention_run.as_ref().map(|run| uid_of(repository, &run.decided_time))
}
