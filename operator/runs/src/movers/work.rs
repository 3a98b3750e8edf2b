//! The work of a mover, in its own process. It can be killed at any moment: the next attempt finds or repeats its work.

use super::{MoverOutcome, restore, save, streams};
use crate::repository::reason_of_vault;
use jiff::Timestamp;
use kube::Client;
use p861_core::runs::{MoverTask, SealFacts};
use p861_crds::Reason;
use p861_vault::{PartResult, PartSpec, Progress, Repository, RepositoryAccess, SealSpec, VaultError};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Where the claim is mounted.
const DATA_PATH: &str = "/data";
/// Where the repository's access is mounted.
const ACCESS_PATH: &str = "/var/run/p861/repository.json";
/// Where objects are gathered before they are stored.
const SCRATCH_PATH: &str = "/tmp/objects";
/// File of the answer; the kubelet reads at most 4096 bytes of it.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";
const MAX_MESSAGE_CHARS: usize = 1500;

/// A mover's failure.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The repository.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The site's API server.
    #[error(transparent)]
    Operator(#[from] crate::error::Error),
    /// Anything else.
    #[error("{message}")]
    Stated {
        /// Reason of the API.
        reason: Reason,
        /// What happened.
        message: String,
        /// Whether retrying is useless.
        permanent: bool,
    },
}

impl WorkError {
    /// A failure with a reason.
    pub fn stated(reason: Reason, message: impl Into<String>, permanent: bool) -> Self {
        Self::Stated { reason, message: message.into(), permanent }
    }

    fn outcome(&self) -> MoverOutcome {
        let (reason, permanent) = match self {
            Self::Vault(error) => (reason_of_vault(error.reason()), !error.is_transient()),
            Self::Operator(error) => (error.reason(), error.category() != crate::error::Category::Transient),
            Self::Stated { reason, permanent, .. } => (reason.clone(), *permanent),
        };
        MoverOutcome::Failed { reason, message: p861_core::conditions::shorten(&self.to_string(), MAX_MESSAGE_CHARS), permanent }
    }
}

/// Performs the task in this process's environment and writes the answer. Returns whether it succeeded.
pub async fn run() -> bool {
    // A child process must not outlive the operator that started it; a Job's container ends with its pod.
    if std::env::var_os("P861_ANSWER_FILE").is_some()
        && let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
    {
        tracing::warn!("this process will not end with the operator: {error}");
    }
    let outcome = match work().await {
        Ok(evidence) => MoverOutcome::Done { evidence },
        Err(error) => {
            tracing::error!("{error}");
            error.outcome()
        }
    };
    let done = matches!(outcome, MoverOutcome::Done { .. });
    let text = serde_json::to_string(&outcome).unwrap_or_default();
    let place = place("P861_ANSWER_FILE", TERMINATION_MESSAGE_PATH);
    if let Err(error) = std::fs::write(&place, text) {
        // Without an answer the attempt counts as lost and is made again.
        tracing::error!("can't write {}: {error}", place.display());
        return false;
    }
    done
}

/// A place in a Job's container, unless the environment names another: a child process has no container.
fn place(variable: &str, in_container: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| in_container.into(), PathBuf::from)
}

fn variable(name: &str) -> Result<String, WorkError> {
    std::env::var(name).map_err(|_| WorkError::stated(Reason::MoverMisused, format!("{name} is not set: movers are started by the operator"), true))
}

/// Prints progress, at most twice a second.
pub(crate) struct Printer(Mutex<Instant>);

impl Printer {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    pub(crate) fn print(&self, progress: &Progress) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < Duration::from_millis(500) {
            return;
        }
        *last = Instant::now();
        let line = json!({"progress": {"itemsDone": progress.items_done, "itemsTotal": progress.items_total, "bytesDone": progress.bytes_done, "bytesTotal": progress.bytes_total}});
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }
}

async fn work() -> Result<Value, WorkError> {
    let bad = |what: &str| WorkError::stated(Reason::MoverMisused, format!("{what} can't be read: operator and mover are of different versions"), true);
    let task: MoverTask = serde_json::from_str(&variable("P861_TASK")?).map_err(|_| bad("P861_TASK"))?;
    let inputs: BTreeMap<String, Value> = serde_json::from_str(&variable("P861_INPUTS")?).map_err(|_| bad("P861_INPUTS"))?;
    let run = variable("P861_RUN")?;
    let file = place("P861_ACCESS_FILE", ACCESS_PATH);
    let text = std::fs::read_to_string(&file).map_err(|error| WorkError::stated(Reason::SecretMissing, format!("{}: {error}", file.display()), false))?;
    let access: RepositoryAccess = serde_json::from_str(&text).map_err(|_| bad("the repository's access"))?;
    match task {
        MoverTask::BackupObjects { namespaces, exclude, parent } => {
            let client = client().await?;
            let folder = place("P861_SCRATCH", SCRATCH_PATH);
            let printer = Printer::new();
            let saved = save::save(&client, &namespaces, &exclude, &folder, &|progress| printer.print(&progress)).await?;
            let result = part(access, run, "objects".into(), parent, folder).await?;
            let mut evidence = evidence_of(&result);
            evidence["objects"] = json!(saved.objects);
            evidence["resources"] = json!(saved.resources);
            Ok(evidence)
        }
        MoverTask::BackupVolume { part: name, parent } => Ok(evidence_of(&part(access, run, name, parent, DATA_PATH.into()).await?)),
        MoverTask::BackupStream { part, namespace, workload_ref, container, dump } => {
            let client = client().await?;
            let (reader, ended) = streams::out_of(&client, &namespace, &workload_ref, container.as_deref(), &dump).await?;
            let result = blocking(move || {
                let repository = Repository::open(&access)?;
                let printer = Printer::new();
                repository.write_stream(&spec(&run, &part, None), reader, &|progress| printer.print(&progress))
            })
            .await;
            // The command's exit explains more than the broken stream.
            ended.await.map_err(|_| WorkError::stated(Reason::ConnectionLost, "the dump's end was not heard of", false))??;
            Ok(evidence_of(&result?))
        }
        MoverTask::Seal { facts } => blocking(move || seal(&access, &run, &facts, &inputs)).await,
        MoverTask::VerifyStored { snapshot } => {
            let sealed = || inputs.values().find_map(|input| input.get("snapshot").and_then(Value::as_str).map(str::to_owned));
            let snapshot = snapshot.or_else(sealed).ok_or_else(|| WorkError::stated(Reason::MoverMisused, "no snapshot to verify", true))?;
            blocking(move || {
                let report = Repository::open(&access)?.verify_snapshot(&snapshot, false)?;
                Ok(json!({"snapshot": snapshot, "blobs": report.blobs, "packs": report.packs, "bytesTotal": report.bytes}))
            })
            .await
        }
        MoverTask::RestoreObjects { snapshot, rules, select, workloads, conflict, preview } => {
            let client = client().await?;
            let printer = Printer::new();
            restore::restore(&client, access, &snapshot, &rules, &restore::Choice { select, workloads }, conflict, preview, &|progress| {
                printer.print(&progress);
            })
            .await
        }
        MoverTask::RestoreVolume { snapshot, part, paths, path_prefix } => {
            blocking(move || {
                let repository = Repository::open(&access)?;
                let printer = Printer::new();
                let destination = Path::new(DATA_PATH).join(path_prefix.as_deref().unwrap_or_default().trim_start_matches('/'));
                let result = repository.restore_folder(&snapshot, &part, &destination, &paths, &|progress| printer.print(&progress))?;
                Ok(json!({"files": result.files, "bytes": result.bytes}))
            })
            .await
        }
        MoverTask::RestoreStream { snapshot, part, namespace, workload_ref, container, restore } => {
            let client = client().await?;
            streams::into(&client, access, &snapshot, &part, &namespace, &workload_ref, container.as_deref(), &restore).await
        }
    }
}

async fn client() -> Result<Client, WorkError> {
    Client::try_default().await.map_err(|error| WorkError::stated(Reason::Unreachable, format!("no way to the site's API server: {error}"), false))
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, VaultError> + Send + 'static) -> Result<T, WorkError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(WorkError::stated(Reason::MoverLost, format!("the mover's work broke off: {error}"), false)),
    }
}

fn spec<'a>(run: &'a str, part: &'a str, parent: Option<&'a str>) -> PartSpec<'a> {
    PartSpec { run, part, host: "p861", parent }
}

async fn part(access: RepositoryAccess, run: String, part: String, parent: Option<String>, source: std::path::PathBuf) -> Result<PartResult, WorkError> {
    blocking(move || {
        let repository = Repository::open(&access)?;
        let printer = Printer::new();
        repository.write_folder(&spec(&run, &part, parent.as_deref()), &source, &|progress| printer.print(&progress))
    })
    .await
}

fn evidence_of(result: &PartResult) -> Value {
    let mut evidence = json!({
        "part": result.part, "files": result.files, "bytes": result.bytes, "added": result.added, "startedAt": result.started_at.to_string(),
    });
    if let Some(digest) = &result.sha256 {
        evidence["sha256"] = json!(digest);
    }
    if !result.warnings.is_empty() {
        evidence["warnings"] = json!(result.warnings.iter().take(5).map(|warning| p861_core::conditions::shorten(warning, 200)).collect::<Vec<_>>());
    }
    evidence
}

/// The recovery point is the time at which reading of the first part began: everything written before is in the backup.
fn seal(access: &RepositoryAccess, run: &str, facts: &SealFacts, inputs: &BTreeMap<String, Value>) -> Result<Value, VaultError> {
    let started = inputs.values().filter_map(|input| input.get("startedAt")?.as_str()?.parse::<Timestamp>().ok());
    let time = started.min().unwrap_or_else(Timestamp::now);
    let objects = inputs.values().find_map(|input| input.get("objects").and_then(Value::as_u64)).unwrap_or(0);
    let parts: BTreeMap<&String, &Value> = inputs.iter().filter(|(_, input)| input.get("part").is_some()).collect();
    let inventory = json!({
        "formatVersion": 1, "application": facts.application, "district": facts.district, "backup": facts.backup, "site": facts.site, "run": run,
        "namespaces": facts.namespaces, "recoveryPointTime": time.to_string(), "consistency": if facts.consistent { "Application" } else { "Crash" },
        "objects": objects, "parts": parts, "operatorVersion": env!("CARGO_PKG_VERSION"),
    });
    let spec = SealSpec {
        run: run.into(),
        host: facts.site.clone(),
        time,
        tags: vec![format!("district={}", facts.district), format!("application={}", facts.application), format!("backup={}", facts.backup)],
        parts: facts.parts.clone(),
        inventory,
        label: facts.application.clone(),
    };
    let sealed = Repository::open(access)?.seal(&spec)?;
    let added: u64 = inputs.values().filter_map(|input| input.get("added").and_then(Value::as_u64)).sum();
    Ok(
        json!({"snapshot": sealed.snapshot, "files": sealed.files, "bytes": sealed.bytes, "added": added + sealed.added, "objects": objects, "recoveryPointTime": time.to_string()}),
    )
}
