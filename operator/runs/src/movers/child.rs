//! Movers as child processes, for sites without a kubelet that could run a Job (only an API server with its etcd).
//!
//! A child runs the same program with the same task as a Job. It dies with the operator, and the next leader starts it again. It can't mount volumes.

use super::{MoverAnswer, MoverLine};
use crate::error::{Error, Result};
use p861_core::engine::Failure;
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{collections::HashMap, os::unix::fs::OpenOptionsExt as _, path::Path, process::Stdio, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// How long a child that is told to end may take, as long as a pod's grace period.
const END_PATIENCE: Duration = Duration::from_millis(4_500);

/// Input of a child process. Access and kubeconfig are secrets: it has no debug output.
#[derive(Clone)]
pub struct ChildSpec {
    /// Environment, without anything secret.
    pub environment: Vec<(&'static str, String)>,
    /// The repository's access, as in the Secret of a Job.
    pub access: String,
    /// The kubeconfig of the site; none for the hub's own cluster.
    pub kubeconfig: Option<String>,
}

/// State of a child process.
#[derive(Clone, Debug)]
pub enum ChildState {
    /// It runs; with its last line.
    Running(MoverLine),
    /// It has answered. The answer is kept until [`Children::forget`].
    Answered(MoverAnswer),
    /// It ended without an answer.
    Lost(String),
}

struct Running {
    run: String,
    child: Child,
    folder: TempDir,
    line: Arc<Mutex<MoverLine>>,
}

impl Running {
    fn answer(&self) -> Option<MoverAnswer> {
        std::fs::read_to_string(self.folder.path().join("answer.json")).ok().and_then(|text| serde_json::from_str(&text).ok())
    }
}

/// Sends the signal by which the kubelet ends a container, too.
fn tell_to_end(child: &Child) {
    let process = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(process) = process
        && let Err(error) = rustix::process::kill_process(process, rustix::process::Signal::TERM)
    {
        tracing::debug!("a mover can't be told to end: {error}");
    }
}

/// The children of this process, by their movers' names.
#[derive(Clone, Default)]
pub struct Children(Arc<Mutex<HashMap<String, Running>>>);

impl Children {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Running>) -> T) -> T {
        act(&mut self.0.lock())
    }

    /// State of the child of this name; none if this process has none. A child that ended without an answer is forgotten by this call.
    ///
    /// # Errors
    /// If its state can't be read.
    pub fn poll(&self, name: &str) -> Result<Option<ChildState>> {
        self.with(|children| {
            let Some(running) = children.get_mut(name) else { return Ok(None) };
            let ended = running.child.try_wait().map_err(|error| Error::Internal(format!("look at mover {name}: {error}")))?;
            let Some(status) = ended else {
                return Ok(Some(ChildState::Running(running.line.lock().clone())));
            };
            if let Some(answer) = running.answer() {
                return Ok(Some(ChildState::Answered(answer)));
            }
            children.remove(name);
            Ok(Some(ChildState::Lost(status.to_string())))
        })
    }

    /// Forgets a child whose answer goes into the journal next. If this process dies before, the child is started again and finds its earlier work.
    pub fn forget(&self, name: &str) {
        self.with(|children| drop(children.remove(name)));
    }

    /// Starts a child. Secrets go into files that only this user can read, never on a command line or into the environment.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(&self, run: &str, name: &str, spec: &ChildSpec) -> Result<()> {
        let failed = |error: std::io::Error| Error::transient(Reason::MoverLost, format!("mover {name} can't be started as a child process: {error}"));
        let folder = tempfile::Builder::new().prefix("p861-mover-").tempdir().map_err(failed)?;
        let path = |file: &str| folder.path().join(file);
        write_private(&path("repository.json"), &spec.access).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("mover").envs(spec.environment.iter().cloned());
        command.env("P861_ACCESS_FILE", path("repository.json")).env("P861_ANSWER_FILE", path("answer.json")).env("P861_SCRATCH", path("scratch"));
        if let Some(kubeconfig) = &spec.kubeconfig {
            write_private(&path("kubeconfig"), kubeconfig).map_err(failed)?;
            command.env("KUBECONFIG", path("kubeconfig"));
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(failed)?;
        let last = Arc::new(Mutex::new(MoverLine::under_way()));
        if let Some(stdout) = child.stdout.take() {
            let last = last.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(stdout).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if let Some(line) = MoverLine::read(&line) {
                        *last.lock() = line;
                    }
                }
            });
        }
        self.with(|children| children.insert(name.to_owned(), Running { run: run.to_owned(), child, folder, line: last }));
        Ok(())
    }

    /// Tells the child of this name to end, kills it if it doesn't soon, and waits until it has ended. Returns its answer, if it gave one.
    ///
    /// # Errors
    /// If it can't be killed.
    pub async fn stop(&self, name: &str) -> Result<Option<MoverAnswer>> {
        let Some(mut running) = self.with(|children| children.remove(name)) else { return Ok(None) };
        if !matches!(running.child.try_wait(), Ok(Some(_))) {
            tell_to_end(&running.child);
            if tokio::time::timeout(END_PATIENCE, running.child.wait()).await.is_err() {
                let failed = |error: std::io::Error| Error::transient(Reason::MoverLost, format!("mover {name} can't be killed: {error}"));
                running.child.kill().await.map_err(failed)?;
            }
        }
        Ok(running.answer())
    }

    /// The names of a run's children.
    pub fn names_of_run(&self, run: &str) -> Vec<String> {
        self.with(|children| children.iter().filter(|(_, running)| running.run == run).map(|(name, _)| name.clone()).collect())
    }
}

/// Failure of a child that ended without an answer, that is, was killed. Transient: it is started again.
pub fn lost(name: &str, status: &str) -> Failure {
    Failure::transient(Reason::MoverLost, format!("mover {name}, a child process of the operator, was killed: {status}"))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
