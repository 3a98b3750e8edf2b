//! The work of a mover, in its own process. It can be killed at any moment: the next attempt finds or repeats its work.

use super::{MoverOutcome, ProgressLine, restore, save, streams};
use crate::repository::reason_of_vault;
use jiff::Timestamp;
use kube::Client;
use p861_core::{
    engine::{Evidence, SavedPart, StepProgress},
    runs::{MoverTask, SealFacts},
};
use p861_crds::Reason;
use p861_vault::{PartResult, PartSpec, Progress, Repository, RepositoryAccess, SealSpec, VaultError};
use serde_json::json;
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
/// Warnings of a part that its evidence lists.
const MAX_WARNINGS: usize = 5;
const MAX_WARNING_CHARS: usize = 200;

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
        let progress = StepProgress {
            message: None,
            items_done: Some(progress.items_done),
            items_total: progress.items_total,
            bytes_done: Some(progress.bytes_done),
            bytes_total: progress.bytes_total,
        };
        let line = serde_json::to_string(&ProgressLine { progress }).unwrap_or_default();
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }
}

async fn work() -> Result<Evidence, WorkError> {
    let bad = |what: &str| WorkError::stated(Reason::MoverMisused, format!("{what} can't be read: operator and mover are of different versions"), true);
    let task: MoverTask = serde_json::from_str(&variable("P861_TASK")?).map_err(|_| bad("P861_TASK"))?;
    let inputs: BTreeMap<String, Evidence> = serde_json::from_str(&variable("P861_INPUTS")?).map_err(|_| bad("P861_INPUTS"))?;
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
            Ok(Evidence::ObjectsSaved { part: saved_part(result), objects: saved.objects, resources: saved.resources })
        }
        MoverTask::BackupVolume { part: name, parent } => Ok(Evidence::VolumeSaved(saved_part(part(access, run, name, parent, DATA_PATH.into()).await?))),
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
            Ok(Evidence::StreamSaved(saved_part(result?)))
        }
        MoverTask::Seal { facts } => {
            let parts = parts_to_seal(&facts, &inputs)?;
            blocking(move || seal(&access, &run, &facts, &parts)).await
        }
        MoverTask::VerifyStored { snapshot } => {
            let snapshot = match snapshot {
                Some(snapshot) => snapshot,
                None => sealed(&inputs)?,
            };
            blocking(move || {
                let report = Repository::open(&access)?.verify_snapshot(&snapshot, false)?;
                Ok(Evidence::SnapshotVerified { snapshot, blobs: report.blobs, packs: report.packs, bytes: report.bytes })
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
                Ok(Evidence::VolumeRestored { files: result.files, bytes: result.bytes })
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

fn saved_part(result: PartResult) -> SavedPart {
    let PartResult { part, files, bytes, added, sha256, warnings, started_at, .. } = result;
    let warnings = warnings.iter().take(MAX_WARNINGS).map(|warning| p861_core::conditions::shorten(warning, MAX_WARNING_CHARS)).collect();
    SavedPart { part, files, bytes, added, started_at, sha256, warnings }
}

/// The snapshot that the step before has sealed.
fn sealed(inputs: &BTreeMap<String, Evidence>) -> Result<String, WorkError> {
    let sealed = inputs.values().find_map(|input| match input {
        Evidence::Sealed { snapshot, .. } => Some(snapshot.clone()),
        _ => None,
    });
    sealed.ok_or_else(|| unproven(inputs, "no earlier step has sealed a snapshot"))
}

/// A task lacks what an earlier step must prove.
fn unproven(inputs: &BTreeMap<String, Evidence>, what: &str) -> WorkError {
    let unknown = inputs.iter().find_map(|(step, input)| Some(format!("; evidence of step {step} can't be read: {}", input.unknown()?)));
    WorkError::stated(Reason::EvidenceUnreadable, format!("{what}{}", unknown.unwrap_or_default()), true)
}

/// The parts of a backup, by the step that saved each.
struct PartsToSeal {
    parts: BTreeMap<String, SavedPart>,
    objects: u64,
}

/// Takes the parts to seal from the evidence of the steps before. Each part must be proven: the recovery point is the beginning of the first.
fn parts_to_seal(facts: &SealFacts, inputs: &BTreeMap<String, Evidence>) -> Result<PartsToSeal, WorkError> {
    let parts: BTreeMap<String, SavedPart> = inputs.iter().filter_map(|(step, input)| Some((step.clone(), input.saved_part()?.clone()))).collect();
    if let Some(missing) = facts.parts.iter().find(|part| !parts.values().any(|saved| saved.part == **part)) {
        return Err(unproven(inputs, &format!("no step proves that part {missing} was saved")));
    }
    let objects = inputs.values().map(|input| match input {
        Evidence::ObjectsSaved { objects, .. } => *objects,
        _ => 0,
    });
    Ok(PartsToSeal { objects: objects.sum(), parts })
}

/// The recovery point is the time at which reading of the first part began: everything written before is in the backup.
fn seal(access: &RepositoryAccess, run: &str, facts: &SealFacts, saved: &PartsToSeal) -> Result<Evidence, VaultError> {
    let PartsToSeal { parts, objects } = saved;
    let time = parts.values().map(|part| part.started_at).min().unwrap_or_else(Timestamp::now);
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
    let added = parts.values().map(|part| part.added).sum::<u64>() + sealed.added;
    Ok(Evidence::Sealed { snapshot: sealed.snapshot, files: sealed.files, bytes: sealed.bytes, added, objects: *objects, recovery_point_time: time })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(parts: &[&str]) -> SealFacts {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        let text = |text: &str| text.to_owned();
        SealFacts { backup: text("b"), application: text("a"), district: text("d"), site: text("s"), namespaces: Vec::new(), parts, consistent: false }
    }

    fn saved(part: &str) -> SavedPart {
        SavedPart { part: part.into(), files: 1, bytes: 1, added: 1, started_at: Timestamp::UNIX_EPOCH, sha256: None, warnings: Vec::new() }
    }

    #[test]
    fn a_part_that_no_evidence_proves_is_not_sealed() {
        let inputs = BTreeMap::from([
            ("save/a/objects".to_owned(), Evidence::ObjectsSaved { part: saved("objects"), objects: 3, resources: 1 }),
            ("save/a/volume/v".to_owned(), Evidence::VolumeSaved(saved("volumes/v"))),
            ("resume/a".to_owned(), Evidence::CommandRun { workload: "Deployment/a".into(), output: String::new() }),
        ]);
        let all = parts_to_seal(&facts(&["objects", "volumes/v"]), &inputs).unwrap();
        assert_eq!((all.objects, all.parts.keys().map(String::as_str).collect::<Vec<_>>()), (3, vec!["save/a/objects", "save/a/volume/v"]));
        let unknown = BTreeMap::from([("save/a/volume/w".to_owned(), Evidence::Unknown(json!({"v": 9, "kind": "volumeSaved"})))]);
        for (inputs, said) in [
            (inputs.clone(), "no step proves that part volumes/w was saved"),
            (inputs.into_iter().chain(unknown).collect(), r#"evidence of step save/a/volume/w can't be read: kind "volumeSaved", version 9"#),
        ] {
            let refused = parts_to_seal(&facts(&["objects", "volumes/w"]), &inputs).map(drop).unwrap_err();
            assert!(refused.to_string().contains(said), "{refused}");
            assert!(matches!(refused.outcome(), MoverOutcome::Failed { permanent: true, .. }));
        }
    }
}
