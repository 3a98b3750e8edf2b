//! The operator as a process beside a lone API server, with the rights that the chart gives it and no others.

use super::{lone::Lone, root};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The account that the chart makes.
pub const ACCOUNT: &str = "system:serviceaccount:p861-system:p861-operator";
/// How long an operator may take until it leads: the lease of one that was killed must run out first.
const LEADS: Duration = Duration::from_secs(90);

/// A running operator. It is killed when it is let go.
pub struct Operator {
    child: Child,
    folder: TempDir,
    /// Where it listens.
    pub address: String,
}

impl Operator {
    /// Starts one and waits until it leads.
    pub fn start(server: &Lone) -> Self {
        let operator = Self::spawn(server);
        operator.wait_leads();
        operator
    }

    /// Starts one.
    pub fn spawn(server: &Lone) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kubeconfig = fs::read_to_string(server.kubeconfig()).expect("a kubeconfig");
        let groups = "[system:serviceaccounts, \"system:serviceaccounts:p861-system\", system:authenticated]";
        let acting = kubeconfig.replace("user: {token: ", &format!("user: {{as: \"{ACCOUNT}\", as-groups: {groups}, token: "));
        assert!(acting.contains(ACCOUNT), "the kubeconfig has another form: {kubeconfig}");
        fs::write(folder.path().join("kubeconfig"), acting).expect("written");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let address = format!("127.0.0.1:{port}");
        let log = File::create(folder.path().join("operator.log")).expect("a log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program("p861-operator"))
            .args(["run", "--namespace", "p861-system", "--image", "none", "--listen", &address, "--identity", &format!("operator-{port}")])
            .env("KUBECONFIG", folder.path().join("kubeconfig"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("setpriv");
        Self { child, folder, address }
    }

    fn wait_leads(&self) {
        let since = Instant::now();
        while !self.log().contains("leads") || self.log().lines().all(|line| !line.trim_end().contains(" leads")) {
            assert!(since.elapsed() < LEADS, "the operator does not lead after {LEADS:?}; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("operator.log")).unwrap_or_default()
    }

    /// Ends it without asking, as a power cut would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the operator's log, newest first:\n{}", tail.join("\n"));
        }
    }
}

/// A program of this workspace, which must have been built: `cargo build`.
pub fn program(name: &str) -> PathBuf {
    let path = root().join("target/debug").join(name);
    assert!(path.exists(), "{} is not built: cargo build", path.display());
    path
}
