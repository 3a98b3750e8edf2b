//! The work of a mover, in its own process. It can be killed at any moment: the next attempt finds or repeats its work.

use super::{
    MoverAnswer, MoverLine, NextTask,
    chain::Chain,
    ending::{EndRequest, Ender, end_request},
    keys,
    lease::{LEASE_PATIENCE, LeaseGuard, MoverLease},
    removal, restore,
    restored::Restorer,
    saved::{self, Listing},
    seal, streams,
    touch::Touch,
    upload::Upload,
    volumes::{self, VolumeFiles},
};
use crate::{
    printable,
    repository::reason_of_vault,
    run_objects::{ObjectError, RunObjects},
};
use kube::{Client, Config};
use p861_core::{
    engine::{Evidence, SavedPart, StepProgress, StoredObject},
    ids::SnapshotId,
    runs::{MoverTask, ObjectsMode},
};
use p861_crds::Reason;
use p861_vault::{AsyncStore, LeaseKind, PartResult, PartSpec, Progress, Repository, RepositoryAccess, VaultError};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::task::JoinError;

/// Where the claim is mounted.
pub(super) const DATA_PATH: &str = "/data";
/// File of the answer; the kubelet reads at most 4096 bytes of it.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";
pub(super) const MAX_MESSAGE_CHARS: usize = 1500;
/// How long a mover tries to store what it has proved.
const STORE_PATIENCE: Duration = Duration::from_mins(5);
/// How long a mover that ends tries to release its lease: it must be gone within 5 s of being told to end.
const RELEASE_PATIENCE: Duration = Duration::from_millis(2_500);
/// How long work that ends by itself when it is told to may take for that: longer than it waits for answers.
const WORK_END_PATIENCE: Duration = Duration::from_secs(2);
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Warnings of a part that its evidence lists.
const MAX_WARNINGS: usize = 5;
pub(super) const MAX_WARNING_CHARS: usize = 200;

/// A mover's failure.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The repository.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// An object of the run in the repository.
    #[error(transparent)]
    Object(#[from] ObjectError),
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

    pub(super) fn answer(&self) -> MoverAnswer {
        let (reason, permanent) = match self {
            Self::Vault(error) => (reason_of_vault(error.reason()), !error.is_transient()),
            Self::Object(error) => (error.reason(), !error.is_transient()),
            Self::Operator(error) => (error.reason(), error.category() != crate::error::Category::Transient),
            Self::Stated { reason, permanent, .. } => (reason.clone(), *permanent),
        };
        MoverAnswer::Failed { reason, message: p861_core::conditions::shorten(&self.to_string(), MAX_MESSAGE_CHARS), permanent, untouched: false }
    }
}

/// Whether the task of this process's environment mostly waits for answers of an API server. One thread is enough to ask: more would wake each other for each answer, and
/// take that time from the API server where it shares their processors. What computes for long has threads of its own.
pub fn mostly_asks() -> bool {
    matches!(told::<MoverTask>("P861_TASK"), Ok(Some(MoverTask::RestoreObjects { .. } | MoverTask::BackupObjects { .. })))
}

/// Performs the task in this process's environment and writes the answer. Returns whether it succeeded.
pub async fn run() -> bool {
    // A child process must not outlive the operator that started it; a Job's container ends with its pod.
    if std::env::var_os("P861_ANSWER_FILE").is_some()
        && let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
    {
        tracing::warn!("this process will not end with the operator: {error}");
    }
    let touch = Touch::default();
    let answer = Box::pin(work(&touch)).await.unwrap_or_else(|error| {
        tracing::error!("{error}");
        error.answer()
    });
    let answer = answer.and_untouched(touch.close());
    let done = answer.is_all_done();
    let text = answer.text();
    let place = place("P861_ANSWER_FILE", TERMINATION_MESSAGE_PATH);
    if let Err(error) = std::fs::write(&place, text) {
        // Without an answer the attempt counts as lost and is made again.
        tracing::error!("can't write {}: {error}", place.display());
        return false;
    }
    done
}

/// A place in a Job's container, unless the environment names another: a child process has no container.
pub(super) fn place(variable: &str, in_container: &str) -> PathBuf {
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
        let mut last = self.0.lock();
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
        print_line(&MoverLine::of(progress));
    }
}

pub(super) fn print_line(line: &MoverLine) {
    let line = serde_json::to_string(line).unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

pub(super) fn bad(what: &str) -> WorkError {
    WorkError::stated(Reason::MoverMisused, format!("{what} can't be read: operator and mover are of different versions"), true)
}

/// A variable of JSON; none if it is not set.
fn told<T: serde::de::DeserializeOwned>(name: &str) -> Result<Option<T>, WorkError> {
    std::env::var(name).ok().map(|text| serde_json::from_str(&text).map_err(|_| bad(name))).transpose()
}

/// Does the task of this process's environment, and those of the steps with which it goes on, and stores what they prove.
async fn work(touch: &Touch) -> Result<MoverAnswer, WorkError> {
    let task: MoverTask = serde_json::from_str(&variable("P861_TASK")?).map_err(|_| bad("P861_TASK"))?;
    let (inputs, then) = (told::<StoredObject>("P861_INPUTS")?, told::<Vec<NextTask>>("P861_THEN")?.unwrap_or_default());
    let run = variable("P861_RUN")?;
    let listing = match task.clone() {
        MoverTask::BackupObjects { namespaces, exclude, cluster, .. } => Some(Listing::begin(namespaces, exclude, cluster)?),
        _ => None,
    };
    let (access, limits) = {
        let (ender, _end) = end_request();
        tokio::select! {
            access = keys::access() => access?,
            stopped = told_to_end(&ender, Duration::ZERO) => return Err(stopped),
        }
    };
    let store = AsyncStore::new(&access.location, access.credentials.as_ref()).await.map_err(VaultError::from)?;
    let objects = RunObjects::new(store.clone(), &run);
    let holder = variable("P861_HOLDER")?;
    let chain = Chain::new(variable("P861_MOVER")?, variable("P861_STEP")?, then, &objects, &print_line);
    let kind = if task.removes_data() { LeaseKind::Exclusive } else { LeaseKind::Shared };
    let lease = MoverLease::take(store, kind, &holder, LEASE_PATIENCE, |message| print_line(&MoverLine::of(StepProgress::message(message)))).await?;
    let _upload = limits.map(|limits| Upload::keep(limits, lease.beside()));
    let result = {
        let (ender, end) = end_request();
        // What writes objects says how many it has written.
        let patience = if matches!(task, MoverTask::RestoreObjects { .. }) { WORK_END_PATIENCE } else { Duration::ZERO };
        let work = work_with(&chain, (task, listing), (&access, &run), inputs, lease.guard(), (&end, touch));
        tokio::select! {
            biased;
            result = work => result,
            lost = lease.lost() => Err(lost),
            stopped = told_to_end(&ender, patience) => Err(stopped),
        }
    };
    if tokio::time::timeout(RELEASE_PATIENCE, lease.release()).await.is_err() {
        tracing::warn!("the repository's lease is left to expire: it could not be released in time");
    }
    if let Err(error) = &result {
        tracing::error!("{error}");
    }
    Ok(chain.answer(result))
}

/// Waits until the process is told to end, tells the work, and gives it so long. The first process of a container would otherwise ignore the signal until it is
/// killed.
async fn told_to_end(ender: &Ender, patience: Duration) -> WorkError {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(error) => {
            tracing::warn!("this process does not hear when it is told to end: {error}");
            std::future::pending::<()>().await;
        }
    }
    ender.end();
    tokio::time::sleep(patience).await;
    WorkError::stated(Reason::MoverLost, "the mover was told to end before its work was done", false)
}

/// Does one task after the other and stores what each proves.
async fn work_with(
    chain: &Chain<'_>,
    (task, mut listing): (MoverTask, Option<Listing>),
    (access, run): (&RepositoryAccess, &str),
    inputs: Option<StoredObject>,
    lease: LeaseGuard,
    (end, touch): (&EndRequest, &Touch),
) -> Result<(), WorkError> {
    let (task, inputs) = match inputs {
        Some(list) if task.to_forget().is_some() => (task.with_list(chain.objects.get(&list).await?), BTreeMap::new()),
        Some(inputs) => (task, chain.objects.get(&inputs).await?),
        None if task.to_forget().is_some() => return Err(bad("P861_INPUTS")),
        None => (task, BTreeMap::new()),
    };
    let perform = async |task, inputs| {
        let started = listing.take();
        perform((task, started), access.clone(), run.to_owned(), inputs, chain.objects, lease.clone(), (end, touch)).await
    };
    Box::pin(chain.go_through(task, inputs, end, perform)).await
}

/// Stores an object of the run. The work behind it may have taken hours, so a store that doesn't answer is waited for.
pub(super) async fn stored<T: serde::Serialize + ?Sized>(objects: &RunObjects, value: &T) -> Result<StoredObject, WorkError> {
    let began = Instant::now();
    loop {
        match objects.put(value).await {
            Err(error) if error.is_transient() && began.elapsed() < STORE_PATIENCE => {
                tracing::warn!("the result can't be stored yet: {error}");
                tokio::time::sleep(STORE_RETRY_INTERVAL).await;
            }
            result => return Ok(result?),
        }
    }
}

async fn perform(
    (task, started): (MoverTask, Option<Listing>),
    access: RepositoryAccess,
    run: String,
    inputs: BTreeMap<String, Evidence>,
    objects: &RunObjects,
    lease: LeaseGuard,
    (end, touch): (&EndRequest, &Touch),
) -> Result<Evidence, WorkError> {
    match task {
        MoverTask::BackupObjects { namespaces, exclude, cluster, parent } => {
            let listing = match started {
                Some(listing) => listing,
                None => Listing::begin(namespaces, exclude, cluster)?,
            };
            saved::store(listing, access, run, parent, objects).await
        }
        MoverTask::BackupVolume { part: name, parent, from_snapshot: _ } => {
            let stored = blocking(move || {
                let (repository, printer) = (Repository::open(&access)?, Printer::new());
                repository.write_folder(&spec(&run, &name, parent.as_ref()), Path::new(DATA_PATH), &|progress| printer.print(&progress))
            });
            Ok(Evidence::VolumeSaved(saved_part(stored.await?)))
        }
        MoverTask::BackupStream { part, namespace, workload_ref, container, dump } => {
            let client = client(touch).await?;
            let store = move |reader| {
                let repository = Repository::open(&access)?;
                let printer = Printer::new();
                repository.write_stream(&spec(&run, &part, None), reader, &|progress| printer.print(&progress))
            };
            let stored = streams::out_of(&client, &namespace, &workload_ref, container.as_deref(), &dump, store).await?;
            Ok(Evidence::StreamSaved(saved_part(stored)))
        }
        MoverTask::Seal { facts } => {
            let parts = seal::parts_to_seal(&facts, &inputs)?.with_names(objects).await?;
            blocking(move || seal::seal(&access, &run, &facts, &parts, &lease)).await
        }
        MoverTask::VerifyStored { snapshot } => {
            let snapshot = match snapshot {
                Some(snapshot) => snapshot,
                None => seal::sealed_snapshot(&inputs)?,
            };
            blocking(move || {
                let (report, inventory) = Repository::open(&access)?.verify_with_inventory(snapshot.as_str())?;
                let not_ready = seal::not_ready_in(inventory.as_ref());
                Ok(Evidence::SnapshotVerified { snapshot, blobs: report.blobs, packs: report.packs, bytes: report.bytes, not_ready })
            })
            .await
        }
        MoverTask::Forget { district, at, snapshots } => removal::forget(access, (district, at), snapshots, variable("P861_HOLDER")?, lease).await,
        MoverTask::Prune { delay, max_repack_bytes, memory_limit: _ } => removal::prune(access, delay, max_repack_bytes, lease).await,
        MoverTask::RestoreObjects { snapshot, rules, select, workloads, exclude, cluster, conflict, mode, absent } => {
            let choice = restore::Choice { select, workloads, exclude, cluster, ..restore::Choice::default() };
            let preview = mode == ObjectsMode::Preview;
            let task = restore::ObjectsTask { run, snapshot, rules, choice, conflict, preview, absent, again: None };
            let (client, printer) = (client(touch).await?, Printer::new());
            let restorer = Restorer { client: &client, access, objects, end, printer: &printer };
            match mode {
                ObjectsMode::Write | ObjectsMode::Preview => restorer.restore(&task).await,
                ObjectsMode::Again => restorer.second_try(task, &inputs).await,
                ObjectsMode::Compare => restorer.compare(&task).await,
            }
        }
        MoverTask::RestoreVolume { snapshot, part, paths, path_prefix, extra_files } => {
            volumes::restore(access, run, VolumeFiles { snapshot, part, paths, path_prefix, extra_files }, touch.clone()).await
        }
        MoverTask::PreviewVolume { snapshot, part, paths, path_prefix, extra_files, refuses } => {
            volumes::preview(access, run, VolumeFiles { snapshot, part, paths, path_prefix, extra_files }, refuses).await
        }
        MoverTask::RestoreStream { snapshot, part, namespace, workload_ref, container, restore } => {
            let client = client(touch).await?;
            streams::into(&client, access, &snapshot, &part, &namespace, &workload_ref, container.as_deref(), &restore).await
        }
    }
}

pub(super) async fn client(touch: &Touch) -> Result<Client, WorkError> {
    let failed = |error: String| WorkError::stated(Reason::Unreachable, format!("no way to the site's API server: {error}"), false);
    let config = Config::infer().await.map_err(|error| failed(error.to_string()))?;
    printable::client(config, touch).map_err(|error| failed(error.to_string()))
}

/// Work on another thread or task panicked, or was stopped.
pub(super) fn broke_off(error: &JoinError) -> WorkError {
    WorkError::stated(Reason::MoverLost, format!("the mover's work broke off: {error}"), false)
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, VaultError> + Send + 'static) -> Result<T, WorkError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(broke_off(&error)),
    }
}

pub(super) fn spec<'a>(run: &'a str, part: &'a str, parent: Option<&'a SnapshotId>) -> PartSpec<'a> {
    PartSpec { run, part, host: "p861", parent: parent.map(SnapshotId::as_str) }
}

pub(super) fn saved_part(result: PartResult) -> SavedPart {
    let PartResult { part, files, bytes, added, sha256, warnings, warned, started_at, .. } = result;
    let warnings = warnings.iter().take(MAX_WARNINGS).map(|warning| p861_core::conditions::shorten(warning, MAX_WARNING_CHARS)).collect();
    SavedPart { part, files, bytes, added, started_at, sha256, warnings, warned }
}
