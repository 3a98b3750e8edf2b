//! Movers as child processes, for sites without a kubelet that could run a Job (only an API server with its etcd).
//!
//! A child runs the same program with the same task as a Job. It dies with the operator, and the next leader starts it again. It can't mount volumes.

use super::{MoverAnswer, MoverLine};
use crate::{
    error::{Error, Result},
    own_program::own_program,
};
use futures::future::join_all;
use p861_core::engine::Failure;
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Stdio,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    runtime::Handle,
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

/// A child to be started, the runtime that it belongs to, and where to say what came of it.
type Order = (Command, Handle, mpsc::Sender<io::Result<Child>>);

/// The thread that starts children. A child is killed when the *thread* that started it ends (`set_parent_process_death_signal` in `work.rs`), and the runtime ends threads
/// of its own while the process goes on.
static STARTER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);

fn spawn(command: Command) -> io::Result<Child> {
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let (answer, answered) = mpsc::channel();
    {
        let mut starter = STARTER.lock();
        let orders = match starter.take() {
            Some(orders) => orders,
            None => begin_starter()?,
        };
        let sent = orders.send((command, runtime, answer));
        *starter = Some(orders);
        sent.map_err(|_| io::Error::other("the thread that starts movers has ended"))?;
    }
    answered.recv().map_err(io::Error::other)?
}

fn begin_starter() -> io::Result<mpsc::Sender<Order>> {
    let (orders, ordered) = mpsc::channel::<Order>();
    thread::Builder::new().name("movers".into()).spawn(move || {
        for (mut command, runtime, answer) in ordered {
            let _entered = runtime.enter();
            // Whoever asked may be gone; then the child is dropped, and killed.
            let _ = answer.send(command.spawn());
        }
    })?;
    Ok(orders)
}

#[derive(Default)]
struct ChildrenState {
    running: HashMap<String, Running>,
    /// No more are started.
    ended: bool,
}

/// The children of this process, by their movers' names.
#[derive(Clone, Default)]
pub struct Children(Arc<Mutex<ChildrenState>>);

impl Children {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Running>) -> T) -> T {
        act(&mut self.0.lock().running)
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
    /// If it can't be started; [`Error::LeaseLost`] after [`end_all`](Self::end_all).
    pub fn start(&self, run: &str, name: &str, spec: &ChildSpec) -> Result<()> {
        let failed = |error: std::io::Error| Error::transient(Reason::MoverLost, format!("mover {name} can't be started as a child process: {error}"));
        let folder = tempfile::Builder::new().prefix("p861-mover-").tempdir().map_err(failed)?;
        let path = |file: &str| folder.path().join(file);
        write_private(&path("repository.json"), &spec.access).map_err(failed)?;
        let mut command = Command::new(own_program().map_err(failed)?);
        command.arg("mover").envs(spec.environment.iter().cloned());
        command.env("P861_ACCESS_FILE", path("repository.json")).env("P861_ANSWER_FILE", path("answer.json")).env("P861_SCRATCH", path("scratch"));
        if let Some(kubeconfig) = &spec.kubeconfig {
            write_private(&path("kubeconfig"), kubeconfig).map_err(failed)?;
            command.env("KUBECONFIG", path("kubeconfig"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        // Held until the child is known: one that `end_all` does not see would outlive it.
        let mut state = self.0.lock();
        if state.ended {
            return Err(Error::LeaseLost);
        }
        let mut child = spawn(command).map_err(failed)?;
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
        state.running.insert(name.to_owned(), Running { run: run.to_owned(), child, folder, line: last });
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

    /// Ends all children, as [`stop`](Self::stop) does, and starts no more: who has lost the lease leaves nobody at work.
    pub async fn end_all(&self) {
        let names: Vec<String> = {
            let mut state = self.0.lock();
            state.ended = true;
            state.running.keys().cloned().collect()
        };
        for (name, ended) in names.iter().zip(join_all(names.iter().map(|name| self.stop(name))).await) {
            if let Err(error) = ended {
                tracing::warn!(name, "{error}");
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A child that does nothing but what this shell script says.
    fn add(children: &Children, name: &str, script: &str) -> (u32, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = spawn(command).unwrap();
        let (id, path) = (child.id().unwrap(), folder.path().to_owned());
        let line = Arc::new(Mutex::new(MoverLine::under_way()));
        children.with(|all| all.insert(name.to_owned(), Running { run: "uid".into(), child, folder, line }));
        (id, path)
    }

    /// Whether the process is there, be it as a zombie.
    fn is_there(id: u32) -> bool {
        Path::new(&format!("/proc/{id}")).exists()
    }

    #[tokio::test]
    async fn fault_h7_who_has_lost_the_lease_leaves_no_child_no_zombie_no_secret_and_starts_none() {
        let children = Children::default();
        let willing = add(&children, "willing", "exec sleep 60");
        let deaf = add(&children, "deaf", "trap '' TERM; while :; do sleep 1; done");
        assert!(is_there(willing.0) && is_there(deaf.0));
        children.end_all().await;
        for (id, folder) in [willing, deaf] {
            assert!(!is_there(id), "process {id} was not killed, or nobody waited for it");
            assert!(!folder.exists(), "{} stays, with the repository's access", folder.display());
        }
        let spec = ChildSpec { environment: Vec::new(), access: "{}".into(), kubeconfig: None };
        assert!(matches!(children.start("uid", "late", &spec), Err(Error::LeaseLost)));
    }

    #[tokio::test]
    async fn a_child_outlives_the_thread_that_asked_for_it() {
        let runtime = Handle::current();
        let asks = move || {
            let _entered = runtime.enter();
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--", "sleep", "60"]).kill_on_drop(true);
            spawn(command).unwrap()
        };
        let mut child = thread::spawn(asks).join().unwrap();
        let began = Instant::now();
        // A signal of the thread's end has come long before.
        while began.elapsed() < Duration::from_millis(500) {
            assert!(child.try_wait().unwrap().is_none(), "it died with the thread");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().await.unwrap();
    }
}
